//! The array in which clauses that hold one by one do not hold together, and the elements that disagree.

use super::alone::{Entry, along};
use super::judge::{cut, pointer, push_token, visit};
use super::{Conflict, ConflictElement, Disagreement, Found, MAX_SEEN, Seen, words};
use crate::pattern::evaluate::{All, Fit, fit_node};
use crate::pattern::expand::Node;
use serde_json::Value;
use std::fmt::Write as _;

/// `event` does not fit `root`, although each entry does somewhere.
pub(super) fn find(root: &Node, event: &Value, entries: &[Entry]) -> Option<Conflict> {
    search(root, event, entries, 0, &mut String::new())
}

/// `value`, `depth` names below the root, does not fit `node`'s children.
fn search(node: &Node, value: &Value, entries: &[Entry], depth: usize, at: &mut String) -> Option<Conflict> {
    let length = at.len();
    match value {
        Value::Object(object) => {
            for (name, child) in &node.children {
                let inner = object.get(&**name);
                if let (Some(inner), Fit::No) = (inner, fit_node(child, inner, All, 0)) {
                    push_token(at, name);
                    return search(child, inner, entries, depth + 1, at);
                }
            }
            None
        }
        Value::Array(items) => {
            let below: Vec<&Entry> = entries
                .iter()
                .filter(|entry| node.children.iter().any(|(_, child)| child.ids.contains(&entry.id)))
                .collect();
            let holds = |item: &Value, entry: &Entry| {
                let rest = entry.steps.get(depth..).unwrap_or_default();
                along(&entry.test, rest, Some(item), 0, &mut 0).is_match()
            };
            let mut best: Option<(usize, usize)> = None;
            for (i, item) in items.iter().enumerate() {
                let held = below.iter().filter(|entry| holds(item, entry)).count();
                if held == below.len() && held > 0 && (item.is_object() || item.is_array()) {
                    let _ = write!(at, "/{i}"); // writing to a String cannot fail
                    if let Some(deeper) = search(node, item, entries, depth, at) {
                        return Some(deeper);
                    }
                    at.truncate(length);
                }
                if best.is_none_or(|(_, most)| held > most) {
                    best = Some((i, held));
                }
            }
            let first = best.map(|(i, _)| i);
            let missing = first
                .and_then(|i| items.get(i))
                .and_then(|item| below.iter().find(|entry| !holds(item, entry)));
            let second = missing.and_then(|entry| items.iter().position(|item| holds(item, entry)));
            let elements: Vec<ConflictElement> = [first, second]
                .into_iter()
                .flatten()
                .filter_map(|i| {
                    let item = items.get(i)?;
                    let (held, failed): (Vec<&Entry>, Vec<&Entry>) =
                        below.iter().copied().partition(|entry| holds(item, entry));
                    let element = format!("{at}/{i}");
                    let fails = failed
                        .into_iter()
                        .take(MAX_SEEN)
                        .map(|entry| disagreement(entry, item, depth, &element))
                        .collect();
                    let holds = held.into_iter().take(MAX_SEEN).map(|entry| pointer(&entry.steps)).collect();
                    Some(ConflictElement { element, holds, fails })
                })
                .collect();
            let sentence = words::conflict(at, &elements);
            Some(Conflict { array: at.clone(), sentence, elements })
        }
        _ => None,
    }
}

fn disagreement(entry: &Entry, item: &Value, depth: usize, element: &str) -> Disagreement {
    let rest = entry.steps.get(depth..).unwrap_or_default();
    let mut first = None;
    let mut more = 0;
    let found = visit(item, rest, &mut element.to_owned(), &mut |at, value| {
        if first.is_none() {
            first = Some(Seen { at: at.to_owned(), value: cut(value), matched: false });
        } else {
            more += 1;
        }
    });
    let has = match &first {
        Some(seen) if found == Found::Values => words::some_values(std::slice::from_ref(seen), more + 1),
        _ => words::nothing(found).to_owned(),
    };
    Disagreement { path: pointer(&entry.steps), seen: first, wants: words::wants(&entry.test.operators), has }
}
