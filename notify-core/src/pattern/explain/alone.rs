//! One clause by itself: the walk along its path, as the evaluator walks, and at a cost that can be counted.
//!
//! The evaluator with all other tests switched off says the same, but looks past each of them at every step; with a
//! thousand clauses and an array of thousands that is a thousand times as much.

use crate::pattern::evaluate::{Fit, MAX_EVENT_DEPTH, fit_elements};
use crate::pattern::expand::Node;
use crate::pattern::operator::Test;
use serde_json::Value;
use std::sync::Arc;

/// One test of a conjunction, found by walking its tree.
pub(in crate::pattern) struct Entry {
    pub(in crate::pattern) id: usize,
    pub(in crate::pattern) steps: Vec<Arc<str>>,
    pub(in crate::pattern) test: Arc<Test>,
}

/// All tests in the order of their numbers.
pub(in crate::pattern) fn entries(root: &Node) -> Vec<Entry> {
    fn list(node: &Node, steps: &mut Vec<Arc<str>>, into: &mut Vec<Entry>) {
        for (test, id) in node.tests.iter().zip(node.ids.clone()) {
            into.push(Entry { id, steps: steps.clone(), test: test.clone() });
        }
        for (name, child) in &node.children {
            steps.push(name.clone());
            list(child, steps, into);
            steps.pop();
        }
    }
    let mut found = Vec::new();
    list(root, &mut Vec::new(), &mut found);
    found
}

/// The fit of an event with one test at the end of a path of names. `work` grows by the steps and comparisons made.
pub(in crate::pattern) fn alone<S: AsRef<str>>(
    test: &Test,
    steps: &[S],
    event: &Value,
    work: &mut u64,
) -> Fit {
    if event.is_object() { along(test, steps, Some(event), 0, work) } else { Fit::No }
}

/// The same from a place inside the event.
pub(super) fn along<S: AsRef<str>>(
    test: &Test,
    steps: &[S],
    value: Option<&Value>,
    depth: usize,
    work: &mut u64,
) -> Fit {
    *work += 1;
    if depth > MAX_EVENT_DEPTH {
        return Fit::No;
    }
    if let Some(Value::Array(items)) = value {
        return fit_elements(items, |item| along(test, steps, item, depth + 1, work));
    }
    if let Some((name, rest)) = steps.split_first() {
        let inner = match value {
            Some(Value::Object(object)) => object.get(name.as_ref()),
            _ => None,
        };
        return along(test, rest, inner, depth + 1, work);
    }
    match value {
        None | Some(Value::Object(_)) => {
            if test.accepts_absence {
                Fit::Absent
            } else {
                Fit::No
            }
        }
        Some(scalar) => {
            *work += test.operators.len() as u64;
            if test.holds(scalar) { Fit::Bound } else { Fit::No }
        }
    }
}
