//! The verdicts: of each clause of an alternative, and how many fail.

use super::alone::{Entry, alone, entries};
use super::{Alternative, Choice, Clause, Found, MAX_SEEN, MAX_SEEN_BYTES, Seen, Sources, conflict, words};
use crate::json::pointer_token;
use crate::pattern::evaluate::{All, Fit, MAX_EVENT_DEPTH, fit};
use crate::pattern::expand::{Conjunction, Node};
use crate::pattern::operator::{Operator, Test};
use serde_json::Value;
use std::fmt::Write as _;
use std::sync::Arc;

pub(super) fn alternative(conjunction: &Conjunction, sources: &Sources, event: &Value) -> Alternative {
    let entries = entries(&conjunction.root);
    let matched = fit(&conjunction.root, event, All).is_match();
    // If the whole fits, so does each part, in the elements that the whole has chosen.
    let holds = if matched { vec![true; entries.len()] } else { held(&entries, event) };
    let clauses: Vec<Clause> =
        entries.iter().zip(holds).map(|(entry, holds)| clause(entry, holds, sources, event)).collect();
    let conflict = if !matched && event.is_object() && clauses.iter().all(|clause| clause.matched) {
        conflict::find(&conjunction.root, event, &entries)
    } else {
        None
    };
    let branches = conjunction.branches.iter().map(|branch| branch.to_string()).collect();
    Alternative { branches, matched, clauses, conflict }
}

/// Which clauses of an alternative that does not match hold by themselves.
fn held(entries: &[Entry], event: &Value) -> Vec<bool> {
    let mut work = 0;
    let fits: Vec<Fit> =
        entries.iter().map(|entry| alone(&entry.test, &entry.steps, event, &mut work)).collect();
    let holds =
        |(entry, fit): (&Entry, &Fit)| fit.is_match() || absent_beside_another(entry, entries, &fits, event);
    entries.iter().zip(&fits).map(holds).collect()
}

/// An absence that does not hold everywhere may hold in the element that another clause chooses by a value. The
/// clause with the longest common path chooses in every array that the two share, so that one is asked.
fn absent_beside_another(entry: &Entry, all: &[Entry], fits: &[Fit], event: &Value) -> bool {
    if !entry.test.accepts_absence {
        return false;
    }
    let shared = |other: &Entry| entry.steps.iter().zip(&other.steps).take_while(|(a, b)| a == b).count();
    let choosing = all.iter().zip(fits).filter(|(other, fit)| **fit == Fit::Bound && other.id != entry.id);
    let nearest = choosing.map(|(other, _)| other).max_by_key(|other| shared(other));
    nearest.is_some_and(|other| {
        let both = tree(&[(&entry.steps, &entry.test), (&other.steps, &other.test)], &mut 0);
        fit(&both, event, All) == Fit::Bound
    })
}

/// The pattern tree of a few tests alone.
fn tree(parts: &[(&[Arc<str>], &Arc<Test>)], next_id: &mut usize) -> Node {
    let start = *next_id;
    let own = parts.iter().filter(|(steps, _)| steps.is_empty());
    let tests: Vec<Arc<Test>> = own.map(|(_, test)| Arc::clone(test)).collect();
    *next_id += tests.len();
    let mut children: Vec<(Arc<str>, Node)> = Vec::new();
    for name in parts.iter().filter_map(|(steps, _)| steps.first()) {
        if children.iter().all(|(known, _)| known != name) {
            let under = |(steps, test): &(&'_ [Arc<str>], &'_ Arc<Test>)| {
                let (first, rest) = steps.split_first()?;
                (first == name).then(|| (rest.to_vec(), Arc::clone(test)))
            };
            let below: Vec<(Vec<Arc<str>>, Arc<Test>)> = parts.iter().filter_map(under).collect();
            let below: Vec<_> = below.iter().map(|(steps, test)| (steps.as_slice(), test)).collect();
            children.push((name.clone(), tree(&below, next_id)));
        }
    }
    Node { tests: tests.into(), children: children.into(), ids: start..*next_id }
}

/// How many clauses keep the event from matching: 0 if it matches, else what [`Alternative::failed`] says of the
/// nearest alternative, or some number above `most`. Builds no explanation. `work` grows by what was done.
pub(in crate::pattern) fn misses(
    conjunctions: &[Conjunction],
    event: &Value,
    most: usize,
    work: &mut u64,
) -> usize {
    let mut fewest = usize::MAX;
    for conjunction in conjunctions {
        let enough = most.min(fewest.saturating_sub(1));
        let mut count = Count { event, enough, failed: 0, uncertain: false, work };
        count.walk(&conjunction.root, &mut Vec::new());
        let Count { failed, uncertain, .. } = count;
        let failed = if uncertain {
            let entries = entries(&conjunction.root);
            *work += values(event).saturating_mul(2 + entries.len() as u64);
            held(&entries, event).iter().filter(|held| !**held).count()
        } else {
            failed
        };
        if failed == 0 {
            *work += values(event);
            if fit(&conjunction.root, event, All).is_match() {
                return 0;
            }
        }
        fewest = fewest.min(failed.max(1));
    }
    fewest
}

/// Arrays, objects and values of an event, all counted.
fn values(event: &Value) -> u64 {
    match event {
        Value::Array(items) => items.iter().map(values).sum::<u64>() + 1,
        Value::Object(members) => members.values().map(values).sum::<u64>() + 1,
        _ => 1,
    }
}

struct Count<'c> {
    event: &'c Value,
    enough: usize,
    failed: usize,
    /// An absence that fails alone may hold beside another clause: that takes a closer look.
    uncertain: bool,
    work: &'c mut u64,
}

impl<'c> Count<'c> {
    fn walk(&mut self, node: &'c Node, steps: &mut Vec<&'c str>) {
        for test in &node.tests {
            if !alone(test, steps, self.event, self.work).is_match() {
                self.failed += 1;
                self.uncertain |= test.accepts_absence;
            }
        }
        for (name, child) in &node.children {
            if self.failed > self.enough && !self.uncertain {
                return;
            }
            steps.push(name);
            self.walk(child, steps);
            steps.pop();
        }
    }
}

fn clause(entry: &Entry, matched: bool, sources: &Sources, event: &Value) -> Clause {
    let source = sources.iter().find(|(test, _)| Arc::ptr_eq(test, &entry.test));
    let operators = &entry.test.operators;
    let mut choice_holds = vec![false; operators.len()];
    let mut seen: Vec<Seen> = Vec::new();
    let mut seen_total = 0;
    let found = visit(event, &entry.steps, &mut String::new(), &mut |at, value| {
        seen_total += 1;
        let mut this_holds = false;
        for (operator, holds) in operators.iter().zip(&mut choice_holds) {
            // Once an operator has held and the value is not shown, its verdict on this one changes nothing.
            if (!*holds || seen.len() < MAX_SEEN) && operator.holds(value) {
                this_holds = true;
                *holds = true;
            }
        }
        let one = || Seen { at: at.to_owned(), value: cut(value), matched: this_holds };
        if seen.len() < MAX_SEEN {
            seen.push(one());
        } else if this_holds && !seen.iter().any(|seen| seen.matched) {
            seen.pop();
            seen.push(one());
        }
    });
    let by_value = choice_holds.contains(&true);
    let choices = operators.iter().zip(choice_holds).map(|(operator, holds)| Choice {
        operator: operator.name(),
        operand: operator.operand(),
        matched: holds || (*operator == Operator::Exists(false) && matched && !by_value),
    });
    let mut clause = Clause {
        path: pointer(&entry.steps),
        source: source.map(|(_, place)| place.to_string()),
        matched,
        sentence: String::new(),
        wants: words::wants(operators),
        has: String::new(),
        any_of: choices.collect(),
        found,
        seen,
        seen_total,
    };
    clause.has = words::has(&clause);
    clause.sentence = words::clause(&clause, operators);
    clause
}

/// Calls `each` with every value at the path, through arrays, in the order of the event.
pub(super) fn visit(
    value: &Value,
    steps: &[Arc<str>],
    at: &mut String,
    each: &mut impl FnMut(&str, &Value),
) -> Found {
    let mut found = Found::Absent;
    visit_inside(value, steps, 0, at, &mut |at, value| match value {
        Value::Object(_) if found != Found::Values => found = Found::Object,
        Value::Array(_) if found == Found::Absent => found = Found::EmptyList,
        Value::Object(_) | Value::Array(_) => {}
        scalar => {
            found = Found::Values;
            each(at, scalar);
        }
    });
    found
}

fn visit_inside(
    value: &Value,
    steps: &[Arc<str>],
    depth: usize,
    at: &mut String,
    each: &mut impl FnMut(&str, &Value),
) {
    if depth > MAX_EVENT_DEPTH {
        return;
    }
    let length = at.len();
    match (value, steps.split_first()) {
        (Value::Array(items), rest) => {
            if items.is_empty() && rest.is_none() {
                each(at, value);
            }
            for (i, item) in items.iter().enumerate() {
                let _ = write!(at, "/{i}"); // writing to a String cannot fail
                visit_inside(item, steps, depth + 1, at, each);
                at.truncate(length);
            }
        }
        (Value::Object(object), Some((name, rest))) => {
            if let Some(inner) = object.get(&**name) {
                push_token(at, name);
                visit_inside(inner, rest, depth + 1, at, each);
                at.truncate(length);
            }
        }
        (_, Some(_)) => {}
        (end, None) => each(at, end),
    }
}

pub(super) fn pointer(steps: &[Arc<str>]) -> String {
    let mut out = String::new();
    steps.iter().for_each(|step| push_token(&mut out, step));
    out
}

pub(super) fn push_token(at: &mut String, name: &str) {
    at.push('/');
    at.push_str(&pointer_token(name));
}

pub(in crate::pattern) fn cut(value: &Value) -> Value {
    match value {
        Value::String(text) if text.len() > MAX_SEEN_BYTES => {
            let head = text.floor_char_boundary(MAX_SEEN_BYTES);
            Value::from(format!("{}…", text.get(..head).unwrap_or_default()))
        }
        other => other.clone(),
    }
}
