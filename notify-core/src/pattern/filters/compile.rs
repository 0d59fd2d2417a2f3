//! From filters without `not` to the tree that patterns are parsed to.

use super::{Compiled, Node, PLACE};
use crate::pattern::Source;
use crate::pattern::operator::Test;
use crate::pattern::parse::{Branch, Field, Group};
use std::sync::Arc;

/// The same tree with its tests made, so that a test that ends up in several branches is one.
enum Made {
    Test(Arc<str>, Arc<Test>),
    All(Vec<Made>),
    Any(Vec<(Arc<str>, Made)>),
}

/// The caller has bounded what multiplying out gives (`bounded`).
pub(super) fn compile(node: &Node) -> Compiled {
    let mut sources = Vec::new();
    let made = make(node, &mut sources);
    Compiled { group: group(&[&made]), sources }
}

fn make(node: &Node, sources: &mut Vec<Source>) -> Made {
    match node {
        Node::Test(leaf) => {
            let test = Arc::new(Test::new(leaf.operators.clone()));
            sources.push((test.clone(), format!("{PLACE}{}", leaf.at).into()));
            Made::Test(leaf.attribute.clone(), test)
        }
        Node::All(nodes) => Made::All(nodes.iter().map(|node| make(node, sources)).collect()),
        Node::Any(branches) => {
            let one =
                |branch: &super::Leafy| (format!("{PLACE}{}", branch.at).into(), make(&branch.node, sources));
            Made::Any(branches.iter().map(one).collect())
        }
    }
}

/// One object of a pattern for filters that all have to hold. A pattern's object has one `$or`, so a second one goes
/// into each branch of the first: no deeper than the logarithm of the branches.
fn group(parts: &[&Made]) -> Group {
    let mut fields = Vec::new();
    let mut choices = Vec::new();
    let mut waiting: Vec<&Made> = parts.iter().rev().copied().collect();
    while let Some(part) = waiting.pop() {
        match part {
            Made::Test(attribute, test) => fields.push((attribute.clone(), Field::Test(test.clone()))),
            Made::All(inner) => waiting.extend(inner.iter().rev()),
            Made::Any(branches) => choices.push((part, branches)),
        }
    }
    let mut or = Vec::new();
    if let Some(((_, first), others)) = choices.split_first() {
        let others: Vec<&Made> = others.iter().map(|(part, _)| *part).collect();
        for (pointer, branch) in *first {
            let together: Vec<&Made> = std::iter::once(branch).chain(others.iter().copied()).collect();
            or.push(Branch { pointer: pointer.clone(), group: group(&together) });
        }
    }
    Group { fields, or }
}
