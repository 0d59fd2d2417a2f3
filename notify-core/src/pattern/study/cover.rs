//! Whether one pattern matches every event that another matches.
//!
//! Sound, not complete: `true` is certain. One way through a pattern covers another if each of its clauses is implied by
//! a clause of the other at the same field. With arrays that is only right for clauses that need a value: the element
//! that the narrower pattern chose satisfies the wider one too. A clause that accepts absence is judged on whatever
//! element its neighbours choose, and in *all* elements if none does, so below such a clause both patterns must ask the
//! same. At the top of the event there are no elements to choose, so there it is right as it is.

use super::algebra::{finite_test, test_implies};
use super::{Clause, Kind, Study, Way};
use crate::pattern::operator::Test;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

impl Study {
    /// Whether every event that `other` matches is matched by this one. A pattern that matches nothing, or everything, is
    /// reported as such and covers nothing here, nor is it covered.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let mut theirs = other.ways.iter().filter(|way| way.dead.is_none()).peekable();
        theirs.peek().is_some()
            && theirs.all(|narrow| self.ways.iter().any(|wide| !wide.is_empty() && covers(wide, narrow)))
    }

    /// All operators in all ways: what comparing may cost.
    pub(crate) fn operators(&self) -> usize {
        let of = |way: &Way| way.clauses.iter().map(|clause| clause.test.operators.len()).sum::<usize>();
        self.ways.iter().map(of).sum()
    }

    /// Under which field and value (or field alone) each way can be found by one that it covers.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Vec<Key>> + '_ {
        self.ways.iter().filter(|way| way.dead.is_none() && !way.is_empty()).map(Way::keys)
    }
}

/// One clause of a way: what a covering pattern and a covered one have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) field: Vec<Arc<str>>,
    /// The accepted values as JSON, if these are few.
    pub(crate) values: Option<Vec<String>>,
}

impl Way {
    fn is_empty(&self) -> bool {
        self.clauses.iter().all(|clause| Kind::of(&clause.steps).always(&clause.test))
    }

    fn keys(&self) -> Vec<Key> {
        let key = |clause: &Clause| {
            // A clause that holds for everything need not be in the pattern that is covered.
            let values = finite_test(&clause.test).filter(|_| !clause.test.accepts_absence);
            Key {
                field: clause.steps.clone(),
                values: values.map(|all| all.iter().map(ToString::to_string).collect()),
            }
        };
        let says = |clause: &&Clause| !Kind::of(&clause.steps).always(&clause.test);
        self.clauses.iter().filter(says).map(key).collect()
    }

    /// The clauses below one member of the event.
    fn below(&self, member: &str) -> Vec<&Clause> {
        self.clauses.iter().filter(|clause| super::names(clause, member)).collect()
    }
}

fn covers(wide: &Way, narrow: &Way) -> bool {
    let implied = |clause: &Clause| {
        narrow
            .clauses
            .iter()
            .any(|other| other.steps == clause.steps && test_implies(&other.test, &clause.test))
    };
    // Per member of the event once: patterns can have a thousand clauses below one.
    let mut judged: HashMap<&str, bool> = HashMap::new();
    wide.clauses.iter().all(|clause| {
        if clause.steps.len() == 1 && Kind::of(&clause.steps).always(&clause.test) {
            return true;
        }
        if !implied(clause) {
            return false;
        }
        let Some(member) = clause.steps.first().filter(|_| clause.steps.len() > 1) else { return true };
        *judged.entry(member).or_insert_with(|| {
            let mine = wide.below(member);
            !mine.iter().any(|c| c.steps.len() > 1 && c.test.accepts_absence)
                || same(&mine, &narrow.below(member))
        })
    })
}

/// Whether both ask for the same, whatever the order.
fn same(a: &[&Clause], b: &[&Clause]) -> bool {
    let set = |clauses: &[&Clause]| -> HashSet<(Vec<Arc<str>>, Arc<Test>)> {
        clauses.iter().map(|clause| (clause.steps.clone(), clause.test.clone())).collect()
    };
    a.len() == b.len() && set(a) == set(b)
}
