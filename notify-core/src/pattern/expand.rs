//! `$or` multiplied out: a pattern becomes a disjunction of conjunctions, each a tree of field names.
//!
//! Multiplying out keeps array consistency simple: fields that a branch and its surroundings name below the same
//! array are merged into one tree, so they are judged on the same element.

use super::operator::Test;
use super::parse::{Branch, Field, Group};
use std::ops::Range;
use std::sync::Arc;

/// One alternative of the pattern: all its tests have to hold.
#[derive(Debug, Clone)]
pub(super) struct Conjunction {
    /// JSON Pointers of the `$or` branches it goes through, outermost first.
    pub(super) branches: Box<[Arc<str>]>,
    pub(super) root: Node,
}

/// What is asked of the value under one field name.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// Of the value itself; several only where `$or` names a field again.
    pub(super) tests: Box<[Arc<Test>]>,
    /// Of the fields of the object (or objects in an array) that the value is.
    pub(super) children: Box<[(Arc<str>, Node)]>,
    /// The numbers of all tests here and below; the own tests come first.
    pub(super) ids: Range<usize>,
}

/// One alternative while it is being put together: path and test.
#[derive(Default, Clone)]
struct Flat {
    branches: Vec<Arc<str>>,
    tests: Vec<(Path, Arc<Test>)>,
}

/// Field names from the root.
type Path = Arc<[Arc<str>]>;

#[derive(Default)]
struct Builder {
    tests: Vec<Arc<Test>>,
    children: Vec<(Arc<str>, Builder)>,
}

/// The caller has checked the number of branches and the depth (`parse`).
pub(super) fn expand(group: &Group) -> Vec<Conjunction> {
    let flats = expand_group(group, &[]);
    flats.into_iter().map(Conjunction::from).collect()
}

fn expand_group(group: &Group, path: &[Arc<str>]) -> Vec<Flat> {
    let mut all = vec![Flat::default()];
    for (name, field) in &group.fields {
        let path: Path = path.iter().chain([name]).cloned().collect();
        match field {
            Field::Test(test) => {
                all.iter_mut().for_each(|flat| flat.tests.push((path.clone(), test.clone())))
            }
            Field::Group(inner) => all = product(&all, &expand_group(inner, &path)),
        }
    }
    if !group.or.is_empty() {
        let branches: Vec<Flat> = group.or.iter().flat_map(|branch| expand_branch(branch, path)).collect();
        all = product(&all, &branches);
    }
    all
}

fn expand_branch(branch: &Branch, path: &[Arc<str>]) -> Vec<Flat> {
    let mut flats = expand_group(&branch.group, path);
    flats.iter_mut().for_each(|flat| flat.branches.insert(0, branch.pointer.clone()));
    flats
}

fn product(left: &[Flat], right: &[Flat]) -> Vec<Flat> {
    let joined = |a: &Flat, b: &Flat| Flat {
        branches: a.branches.iter().chain(&b.branches).cloned().collect(),
        tests: a.tests.iter().chain(&b.tests).cloned().collect(),
    };
    left.iter().flat_map(|a| right.iter().map(move |b| joined(a, b))).collect()
}

impl From<Flat> for Conjunction {
    fn from(flat: Flat) -> Self {
        let mut root = Builder::default();
        for (path, test) in flat.tests {
            root.insert(&path, test);
        }
        Self { branches: flat.branches.into(), root: root.finish(&mut 0) }
    }
}

impl Builder {
    /// Recursion is bounded by the depth limit of patterns.
    fn insert(&mut self, path: &[Arc<str>], test: Arc<Test>) {
        let Some((name, rest)) = path.split_first() else { return self.tests.push(test) };
        if let Some((_, child)) = self.children.iter_mut().rev().find(|(known, _)| known == name) {
            return child.insert(rest, test);
        }
        let mut child = Self::default();
        child.insert(rest, test);
        self.children.push((name.clone(), child));
    }

    fn finish(self, next_id: &mut usize) -> Node {
        let start = *next_id;
        *next_id += self.tests.len();
        let children = self.children.into_iter().map(|(name, child)| (name, child.finish(next_id))).collect();
        Node { tests: self.tests.into(), children, ids: start..*next_id }
    }
}
