//! What an index can find a rule by.

use super::Pattern;
use super::expand::{Conjunction, Node};
use super::operator::{Operator, Test};

impl Test {
    /// Whether an event that satisfies it has a value that can be looked up: no `exists: false` and no `anything-but`
    /// among its alternatives, which hold for nearly every event.
    pub(super) fn indexable(&self) -> bool {
        !self
            .operators
            .iter()
            .any(|operator| matches!(operator, Operator::Exists(false) | Operator::AnythingBut(_)))
    }
}

/// Whether a conjunction can be found by an index: at least one of its tests has no `exists: false` and no
/// `anything-but` alternative. One that cannot is evaluated for every event of its tenant. The index of many rules and
/// the lint `not-indexable` mean the same by it.
pub(super) fn indexable(conjunction: &Conjunction) -> bool {
    fn any(node: &Node) -> bool {
        node.tests.iter().any(|test| test.indexable()) || node.children.iter().any(|(_, child)| any(child))
    }
    any(&conjunction.root)
}

impl Pattern {
    /// Whether an index can find it by each of its alternatives: each has a test without `exists: false` and without
    /// `anything-but`.
    #[must_use]
    pub fn is_indexable(&self) -> bool {
        self.conjunctions.iter().all(indexable)
    }
}
