//! The plain evaluator: one walk over pattern and event together.
//!
//! A pattern tree is compared with the event from the root. Where the event has an array, its elements are tried one
//! by one *with the whole subtree of the pattern*: that is array consistency, all fields below one array are judged
//! on the same element. A pattern tree has one node for one path, so each part of the event meets at most one node
//! per conjunction: the cost is at most values of the event times operands of the pattern, whatever the nesting. There
//! is no search over combinations of elements.

use super::expand::Node;
use super::operator::Test;
use serde_json::Value;

/// Deeper than any event that intake accepts (64) and than `json::parse` allows (120); below it nothing matches.
pub(super) const MAX_EVENT_DEPTH: usize = 256;

/// How a part of a pattern fits a part of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    No,
    /// It fits because what it wants absent is absent; no value was used.
    Absent,
    /// It fits, and at least one value was used.
    Bound,
}

impl Fit {
    fn and(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::No => Self::No,
            Self::Absent => other(),
            Self::Bound => match other() {
                Self::No => Self::No,
                _ => Self::Bound,
            },
        }
    }

    pub(super) fn is_match(self) -> bool {
        self != Self::No
    }
}

/// Which tests count; the others are as if the pattern did not have them. Matching takes all, explaining takes few.
pub(super) trait Select: Copy {
    fn wants(self, id: usize) -> bool;
    fn wants_any(self, ids: std::ops::Range<usize>) -> bool;
}

#[derive(Clone, Copy)]
pub(super) struct All;

impl Select for All {
    fn wants(self, _: usize) -> bool {
        true
    }
    fn wants_any(self, _: std::ops::Range<usize>) -> bool {
        true
    }
}

/// The fit of a whole conjunction.
pub(super) fn fit(root: &Node, event: &Value, select: impl Select) -> Fit {
    // An event is an object; a pattern of absences must not fit a bare `[]` or `1`.
    if event.is_object() { fit_fields(root, Some(event), select, 0) } else { Fit::No }
}

/// The fit of the value under one field name: its own tests, and the fields of what it is.
pub(super) fn fit_node(node: &Node, value: Option<&Value>, select: impl Select, depth: usize) -> Fit {
    if !select.wants_any(node.ids.clone()) {
        return Fit::Absent;
    }
    let mut so_far = Fit::Absent;
    for (test, id) in node.tests.iter().zip(node.ids.clone()) {
        if select.wants(id) {
            so_far = so_far.and(|| fit_test(test, value, depth));
        }
    }
    if node.children.is_empty() { so_far } else { so_far.and(|| fit_fields(node, value, select, depth)) }
}

/// The fit of the children of `node` with the object (or array of objects) `value`.
pub(super) fn fit_fields(node: &Node, value: Option<&Value>, select: impl Select, depth: usize) -> Fit {
    if depth > MAX_EVENT_DEPTH {
        return Fit::No;
    }
    let object = match value {
        Some(Value::Array(items)) => {
            return fit_elements(items, |item| fit_fields(node, item, select, depth + 1));
        }
        Some(Value::Object(object)) => Some(object),
        _ => None,
    };
    let mut so_far = Fit::Absent;
    for (name, child) in &node.children {
        let value = object.and_then(|object| object.get(&**name));
        so_far = so_far.and(|| fit_node(child, value, select, depth + 1));
        if so_far == Fit::No {
            break;
        }
    }
    so_far
}

fn fit_test(test: &Test, value: Option<&Value>, depth: usize) -> Fit {
    match value {
        _ if depth > MAX_EVENT_DEPTH => Fit::No,
        Some(Value::Array(items)) => fit_elements(items, |item| fit_test(test, item, depth + 1)),
        // `exists` is about values: an object is no value, its fields are.
        None | Some(Value::Object(_)) => {
            if test.accepts_absence {
                Fit::Absent
            } else {
                Fit::No
            }
        }
        Some(scalar) => {
            if test.holds(scalar) {
                Fit::Bound
            } else {
                Fit::No
            }
        }
    }
}

/// One element that fits by a value is enough. Without one, an absence has to hold for every element: "no such field
/// in this array" is said of all of it.
pub(super) fn fit_elements(items: &[Value], mut fit: impl FnMut(Option<&Value>) -> Fit) -> Fit {
    if items.is_empty() {
        return fit(None); // an empty array holds no value: as if the field were absent
    }
    let mut all_absent = true;
    for item in items {
        match fit(Some(item)) {
            Fit::Bound => return Fit::Bound,
            Fit::Absent => {}
            Fit::No => all_absent = false,
        }
    }
    if all_absent { Fit::Absent } else { Fit::No }
}
