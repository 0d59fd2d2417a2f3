//! The alternatives of many rules as flat lists of checks, with equal names and tests held once.

use super::hash::Fixed;
use super::leaves::Leaves;
use super::paths::{PathId, Paths};
use crate::pattern::Pattern;
use crate::pattern::evaluate::{All, fit};
use crate::pattern::expand::{Conjunction, Node};
use crate::pattern::operator::Test;
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Arc;

/// Gives equal tests and names of different rules one place in memory.
pub(super) struct Sharing<'p> {
    pub(super) paths: &'p mut Paths,
    tests: HashSet<Arc<Test>, Fixed>,
}

impl<'p> Sharing<'p> {
    pub(super) fn new(paths: &'p mut Paths) -> Self {
        Self { paths, tests: HashSet::default() }
    }

    /// The same pattern on shared parts; the trie knows its paths afterwards.
    pub(super) fn share(&mut self, pattern: &Pattern) -> Pattern {
        let shared = pattern.conjunctions.iter().map(|conjunction| Conjunction {
            branches: conjunction.branches.clone(),
            root: self.share_node(&conjunction.root, Paths::ROOT),
        });
        Pattern { conjunctions: shared.collect() }
    }

    /// As deep as a pattern may be.
    fn share_node(&mut self, node: &Node, path: PathId) -> Node {
        if !node.tests.is_empty() {
            self.paths.want(path);
        }
        let tests = node.tests.iter().map(|test| match self.tests.get(test) {
            Some(known) => known.clone(),
            None => {
                self.tests.insert(test.clone());
                test.clone()
            }
        });
        let tests = tests.collect();
        let children = node.children.iter().map(|(name, child)| {
            let (name, path) = self.paths.extend(path, name);
            (name, self.share_node(child, path))
        });
        Node { tests, children: children.collect(), ids: node.ids.clone() }
    }
}

/// Whether the trie has all paths that the pattern asks about.
pub(in crate::pattern) fn knows(paths: &Paths, pattern: &Pattern) -> bool {
    fn below(paths: &Paths, node: &Node, path: PathId) -> bool {
        (node.tests.is_empty() || paths.is_wanted(path))
            && node
                .children
                .iter()
                .all(|(name, child)| paths.child(path, name).is_some_and(|path| below(paths, child, path)))
    }
    pattern.conjunctions.iter().all(|conjunction| below(paths, &conjunction.root, Paths::ROOT))
}

/// Adds the pattern's paths.
pub(in crate::pattern) fn learn(paths: &mut Paths, pattern: &Pattern) {
    Sharing::new(paths).share(pattern);
}

/// One alternative: all its checks have to hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alternative {
    /// Place of its rule.
    pub(super) rule: u32,
    /// Which of the rule's alternatives it is.
    branch: u32,
    first: u32,
    length: u32,
}

#[derive(Debug, Default)]
pub(super) struct Alternatives {
    all: Vec<Alternative>,
    checks: Vec<(PathId, Arc<Test>)>,
}

impl Alternatives {
    /// The trie must know the paths of all `patterns`.
    pub(super) fn of<'p>(patterns: impl Iterator<Item = &'p Pattern>, paths: &Paths) -> Self {
        let mut alternatives = Self::default();
        for (pattern, rule) in patterns.zip(0..) {
            for (conjunction, branch) in pattern.conjunctions.iter().zip(0..) {
                let first = alternatives.checks.len();
                list_checks(&conjunction.root, Paths::ROOT, paths, &mut alternatives.checks);
                let length = alternatives.checks.len() - first;
                alternatives.all.push(Alternative {
                    rule,
                    branch,
                    first: small(first),
                    length: small(length),
                });
            }
        }
        alternatives.all.shrink_to_fit();
        alternatives.checks.shrink_to_fit();
        alternatives
    }

    pub(super) fn len(&self) -> u32 {
        small(self.all.len())
    }

    pub(super) fn get(&self, alternative: u32) -> Option<&Alternative> {
        self.all.get(alternative as usize)
    }

    fn list(&self, alternative: &Alternative) -> &[(PathId, Arc<Test>)] {
        let first = alternative.first as usize;
        self.checks.get(first..first + alternative.length as usize).unwrap_or_default()
    }

    pub(super) fn checks(&self, alternative: u32) -> impl Iterator<Item = (PathId, &Test)> {
        let list = self.get(alternative).map(|alternative| self.list(alternative)).unwrap_or_default();
        list.iter().map(|(path, test)| (*path, &**test))
    }

    /// The verdict. Where no array is on the way each field has one value or none, and the checks are independent of
    /// each other; otherwise the plain evaluator decides, on the event itself.
    pub(super) fn holds<'e>(
        &self,
        alternative: &Alternative,
        pattern: &Pattern,
        paths: &Paths,
        leaves: &Leaves,
        event: &impl Fn() -> Option<&'e Value>,
    ) -> bool {
        let checks = self.list(alternative);
        if checks.iter().any(|(path, _)| leaves.meets_array(paths, *path)) {
            let conjunction = pattern.conjunctions.get(alternative.branch as usize);
            return event().zip(conjunction).is_some_and(|(event, c)| fit(&c.root, event, All).is_match());
        }
        checks.iter().all(|(path, test)| match leaves.values(*path).next() {
            Some((_, value)) => test.accepts(value),
            None => test.accepts_absence,
        })
    }
}

fn list_checks(node: &Node, path: PathId, paths: &Paths, into: &mut Vec<(PathId, Arc<Test>)>) {
    into.extend(node.tests.iter().map(|test| (path, test.clone())));
    for (name, child) in &node.children {
        if let Some(path) = paths.child(path, name) {
            list_checks(child, path, paths, into);
        }
    }
}

/// The operands of all rules together are far below four thousand million.
fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
