//! Why a pattern matched an event or did not, clause by clause.
//!
//! The verdicts come from the evaluator itself (`fit`), asked about all tests or about single ones; nothing is judged
//! a second time by other rules.

use super::Source;
use super::evaluate::{All, Fit, MAX_EVENT_DEPTH, Select, fit, fit_fields, fit_node};
use super::expand::{Conjunction, Node};
use super::operator::{Operator, Test};
use super::parse::shorten;
use crate::json::pointer_token;
use serde::Serialize;
use serde_json::Value;
use std::fmt::{self, Write as _};
use std::ops::Range;
use std::sync::Arc;

/// Values listed for one clause; [`Clause::seen_total`] counts them all.
const MAX_SEEN: usize = 8;
/// Bytes of one value shown.
const MAX_SEEN_BYTES: usize = 512;

/// The whole verdict. It matched if any alternative did; without `$or` there is exactly one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    pub matched: bool,
    pub alternatives: Vec<Alternative>,
}

/// One way through the `$or`s of the pattern.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alternative {
    /// JSON Pointers into the pattern of the `$or` branches taken; empty without `$or`. For a rule of filters, pointers
    /// into the rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<String>,
    pub matched: bool,
    pub clauses: Vec<Clause>,
    /// Set when every clause holds somewhere, but not together in one array element.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<Conflict>,
}

/// One field and what was asked of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Clause {
    /// The field as a JSON Pointer that leaves array positions out, as the pattern does.
    pub path: String,
    /// For a rule of filters: JSON Pointer into the rule of the filter that asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    pub matched: bool,
    /// What the field may be; one is enough.
    pub any_of: Vec<Choice>,
    /// The first values found; empty when the field is absent.
    pub seen: Vec<Seen>,
    pub seen_total: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Choice {
    /// As in the pattern; `equals` for a plain value.
    pub operator: &'static str,
    pub operand: Value,
    pub matched: bool,
}

/// A value of the event and where it stands, array positions included.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    pub at: String,
    /// A long text is cut and ends in `…`.
    pub value: Value,
}

/// No element of `array` satisfies all clauses below it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// JSON Pointer of the array in the event.
    pub array: String,
    /// For each clause below the array the first element that satisfies it alone.
    pub elements: Vec<ConflictElement>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConflictElement {
    pub path: String,
    /// JSON Pointer of the element in the event.
    pub element: String,
}

pub(super) fn explain(conjunctions: &[Conjunction], sources: &[Source], event: &Value) -> Explanation {
    let alternatives: Vec<_> =
        conjunctions.iter().map(|conjunction| alternative(conjunction, sources, event)).collect();
    Explanation { matched: alternatives.iter().any(|a| a.matched), alternatives }
}

/// One test of a conjunction, found by walking its tree.
struct Entry {
    id: usize,
    steps: Vec<Arc<str>>,
    test: Arc<Test>,
}

#[derive(Clone, Copy)]
struct Only(usize);

impl Select for Only {
    fn wants(self, id: usize) -> bool {
        id == self.0
    }
    fn wants_any(self, ids: Range<usize>) -> bool {
        ids.contains(&self.0)
    }
}

#[derive(Clone, Copy)]
struct Pair(usize, usize);

impl Select for Pair {
    fn wants(self, id: usize) -> bool {
        id == self.0 || id == self.1
    }
    fn wants_any(self, ids: Range<usize>) -> bool {
        ids.contains(&self.0) || ids.contains(&self.1)
    }
}

fn alternative(conjunction: &Conjunction, sources: &[Source], event: &Value) -> Alternative {
    let root = &conjunction.root;
    let mut entries = Vec::new();
    list_entries(root, &mut Vec::new(), &mut entries);
    let alone: Vec<Fit> = entries.iter().map(|e| fit(root, event, Only(e.id))).collect();
    let matched = fit(root, event, All).is_match();
    let clauses: Vec<Clause> = entries
        .iter()
        .zip(&alone)
        .map(|(entry, fit)| {
            // If the whole fits, so does each part, in the elements that the whole has chosen.
            let holds =
                matched || fit.is_match() || absent_beside_another(entry, &entries, &alone, root, event);
            clause(entry, holds, sources, event)
        })
        .collect();
    let conflict = if !matched && event.is_object() && clauses.iter().all(|c| c.matched) {
        conflict(root, event, &entries, &mut String::new())
    } else {
        None
    };
    Alternative {
        branches: conjunction.branches.iter().map(|b| b.to_string()).collect(),
        matched,
        clauses,
        conflict,
    }
}

fn list_entries(node: &Node, steps: &mut Vec<Arc<str>>, into: &mut Vec<Entry>) {
    for (test, id) in node.tests.iter().zip(node.ids.clone()) {
        into.push(Entry { id, steps: steps.clone(), test: test.clone() });
    }
    for (name, child) in &node.children {
        steps.push(name.clone());
        list_entries(child, steps, into);
        steps.pop();
    }
}

/// An absence that does not hold everywhere may hold in the element that another clause chooses by a value. The
/// clause with the longest common path chooses in every array that the two share, so that one is asked.
fn absent_beside_another(entry: &Entry, all: &[Entry], alone: &[Fit], root: &Node, event: &Value) -> bool {
    let shared = |other: &Entry| entry.steps.iter().zip(&other.steps).take_while(|(a, b)| a == b).count();
    let choosing = all.iter().zip(alone).filter(|(other, fit)| **fit == Fit::Bound && other.id != entry.id);
    let nearest = choosing.map(|(other, _)| other).max_by_key(|other| shared(other));
    entry.test.accepts_absence
        && nearest.is_some_and(|other| fit(root, event, Pair(entry.id, other.id)) == Fit::Bound)
}

fn clause(entry: &Entry, matched: bool, sources: &[Source], event: &Value) -> Clause {
    let source = sources.iter().find(|(test, _)| Arc::ptr_eq(test, &entry.test));
    let operators = &entry.test.operators;
    let mut choice_holds = vec![false; operators.len()];
    let mut seen = Vec::new();
    let mut seen_total = 0;
    visit_values(event, &entry.steps, 0, &mut String::new(), &mut |at, value| {
        seen_total += 1;
        for (operator, holds) in operators.iter().zip(&mut choice_holds) {
            *holds = *holds || operator.holds(value);
        }
        if seen.len() < MAX_SEEN {
            seen.push(Seen { at: at.to_owned(), value: cut(value) });
        }
    });
    let by_value = choice_holds.contains(&true);
    let choices = operators.iter().zip(choice_holds).map(|(operator, holds)| Choice {
        operator: operator.name(),
        operand: operator.operand(),
        matched: holds || (*operator == Operator::Exists(false) && matched && !by_value),
    });
    Clause {
        path: pointer(&entry.steps),
        source: source.map(|(_, place)| place.to_string()),
        matched,
        any_of: choices.collect(),
        seen,
        seen_total,
    }
}

/// Calls `found` with every value at the path, through arrays, in the order of the event.
fn visit_values(
    value: &Value,
    steps: &[Arc<str>],
    depth: usize,
    at: &mut String,
    found: &mut impl FnMut(&str, &Value),
) {
    if depth > MAX_EVENT_DEPTH {
        return;
    }
    let length = at.len();
    match (value, steps.split_first()) {
        (Value::Array(items), _) => {
            for (i, item) in items.iter().enumerate() {
                let _ = write!(at, "/{i}"); // writing to a String cannot fail
                visit_values(item, steps, depth + 1, at, found);
                at.truncate(length);
            }
        }
        (Value::Object(object), Some((name, rest))) => {
            if let Some(inner) = object.get(&**name) {
                push_token(at, name);
                visit_values(inner, rest, depth + 1, at, found);
                at.truncate(length);
            }
        }
        (Value::Object(_), None) | (_, Some(_)) => {}
        (scalar, None) => found(at, scalar),
    }
}

/// The array in which clauses that hold one by one do not hold together. `value` does not fit `node`'s children.
fn conflict(node: &Node, value: &Value, entries: &[Entry], at: &mut String) -> Option<Conflict> {
    let length = at.len();
    match value {
        Value::Object(object) => {
            for (name, child) in &node.children {
                let inner = object.get(&**name);
                if let (Some(inner), Fit::No) = (inner, fit_node(child, inner, All, 0)) {
                    push_token(at, name);
                    return conflict(child, inner, entries, at);
                }
            }
            None
        }
        Value::Array(items) => {
            let alone = |item: &Value, id| fit_fields(node, Some(item), Only(id), 0).is_match();
            for (i, item) in items.iter().enumerate() {
                if item.is_object() || item.is_array() {
                    let below = node.children.iter().flat_map(|(_, child)| child.ids.clone());
                    if below.clone().count() > 0 && below.into_iter().all(|id| alone(item, id)) {
                        let _ = write!(at, "/{i}");
                        if let Some(deeper) = conflict(node, item, entries, at) {
                            return Some(deeper);
                        }
                        at.truncate(length);
                    }
                }
            }
            let below =
                entries.iter().filter(|entry| node.children.iter().any(|(_, c)| c.ids.contains(&entry.id)));
            let elements = below.take(MAX_SEEN).filter_map(|entry| {
                let index = items.iter().position(|item| alone(item, entry.id))?;
                Some(ConflictElement { path: pointer(&entry.steps), element: format!("{at}/{index}") })
            });
            Some(Conflict { array: at.clone(), elements: elements.collect() })
        }
        _ => None,
    }
}

fn pointer(steps: &[Arc<str>]) -> String {
    let mut out = String::new();
    steps.iter().for_each(|step| push_token(&mut out, step));
    out
}

fn push_token(at: &mut String, name: &str) {
    at.push('/');
    at.push_str(&pointer_token(name));
}

fn cut(value: &Value) -> Value {
    match value {
        Value::String(text) if text.len() > MAX_SEEN_BYTES => {
            let head = text.floor_char_boundary(MAX_SEEN_BYTES);
            Value::from(format!("{}…", text.get(..head).unwrap_or_default()))
        }
        other => other.clone(),
    }
}

impl fmt::Display for Explanation {
    /// One sentence for people: all clauses of the first alternative that matched, else what failed in each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(hit) = self.alternatives.iter().find(|a| a.matched) {
            f.write_str("The event matches")?;
            write_branches(f, " by ", hit)?;
            f.write_str(": ")?;
            for (i, clause) in hit.clauses.iter().enumerate() {
                write!(f, "{}{clause}", if i == 0 { "" } else { "; " })?;
            }
            return f.write_str(".");
        }
        f.write_str("The event does not match: ")?;
        for (i, alternative) in self.alternatives.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { "; " })?;
            write_branches(f, "in ", alternative)?;
            if !alternative.branches.is_empty() {
                f.write_str(" ")?;
            }
            let failed = alternative.clauses.iter().filter(|c| !c.matched);
            for (j, clause) in failed.enumerate() {
                write!(f, "{}{clause}", if j == 0 { "" } else { " and " })?;
            }
            if let Some(conflict) = &alternative.conflict {
                write!(f, "{conflict}")?;
            }
        }
        f.write_str(".")
    }
}

fn write_branches(f: &mut fmt::Formatter<'_>, before: &str, alternative: &Alternative) -> fmt::Result {
    if alternative.branches.is_empty() {
        return Ok(());
    }
    write!(f, "{before}branch {}", alternative.branches.join(" with "))
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asks_absence =
            |choice: &Choice| choice.operator == "exists" && choice.operand == Value::Bool(false);
        let by_value = self.any_of.iter().any(|choice| choice.matched && !asks_absence(choice));
        match self.seen.as_slice() {
            [] => write!(f, "`{}` is absent", self.path)?,
            _ if self.matched && !by_value => write!(f, "`{}` is absent in the chosen element", self.path)?,
            [one] => write!(f, "`{}` is {}", self.path, shorten(&one.value))?,
            [first, ..] => {
                write!(f, "`{}` has {} values from {}", self.path, self.seen_total, shorten(&first.value))?;
            }
        }
        f.write_str(if self.matched { " as wanted (" } else { ", wanted " })?;
        let relevant = self.any_of.iter().filter(|choice| choice.matched || !self.matched);
        for (i, choice) in relevant.enumerate() {
            f.write_str(if i == 0 { "" } else { " or " })?;
            match &choice.operand {
                Value::Bool(exists) if choice.operator == "exists" => {
                    f.write_str(if *exists { "any value" } else { "no such field" })?;
                }
                operand => write!(f, "{} {}", choice.operator, shorten(operand))?,
            }
        }
        f.write_str(if self.matched { ")" } else { "" })?;
        match &self.source {
            Some(source) => write!(f, " by {source}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no single element of `{}` satisfies all of it: ", self.array)?;
        for (i, found) in self.elements.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}`{}` holds in `{}`", found.path, found.element)?;
        }
        Ok(())
    }
}
