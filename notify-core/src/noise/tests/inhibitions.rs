//! Inhibition against a history that is searched for a source that still fires.

use super::{events, minute, patterns, version};
use crate::document::{Inhibition, Kind, Version};
use crate::noise::{Inhibitions, StateKey};
use crate::pattern::Pattern;
use crate::time::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What an engine does with what it is told.
#[derive(Debug, Default, Clone)]
pub struct Engine(BTreeMap<StateKey, Timestamp>);

impl Engine {
    /// Applies an event; gives the inhibitions that mute it.
    pub fn take(&mut self, inhibitions: &Inhibitions, event: &Value, at: Timestamp) -> Vec<String> {
        let sides = inhibitions.of_event(event);
        for change in sides.sources() {
            if change.firing {
                self.0.insert(change.key, at + change.lasts.signed());
            } else {
                self.0.remove(&change.key);
            }
        }
        let firing = |key| self.0.get(key).is_some_and(|until| at < *until);
        let mut ids: Vec<_> =
            sides.targets().iter().filter(|t| firing(&t.key)).map(|t| t.id.to_string()).collect();
        ids.dedup();
        ids
    }
}

pub fn inhibition(
    n: usize,
    source: &Value,
    resolve: Option<&Value>,
    target: &Value,
    equal: &[&str],
) -> Version<Inhibition> {
    let mut value = json!({
        "schema": "notify-inhibition@1", "id": format!("i{n}"), "name": "I",
        "source": { "match": source }, "target": { "match": target }, "equal": equal, "for": "10m",
    });
    if let Some(resolve) = resolve {
        value["source"]["resolve"] = resolve.clone();
    }
    version(Kind::Inhibition, &value, 1)
}

fn matches(pattern: &Value, event: &Value) -> bool {
    Pattern::compile(pattern).unwrap().matches(event)
}

fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b).is_eq(),
        _ => a == b,
    }
}

/// Whether every value that has to be equal is there and equal.
fn equal(document: &Inhibition, a: &Value, b: &Value) -> bool {
    document.equal.iter().all(|pointer| match (a.pointer(pointer), b.pointer(pointer)) {
        (Some(a), Some(b)) => !a.is_null() && *a != json!("") && same(a, b),
        _ => false,
    })
}

fn resolves(document: &Inhibition, event: &Value) -> bool {
    document.source.resolve.as_ref().is_some_and(|pattern| matches(pattern, event))
}

fn is_target(document: &Inhibition, event: &Value) -> bool {
    matches(&document.target.r#match, event)
}

/// The obvious way: is there an earlier source with the same values that is neither over nor too old?
fn muted(document: &Inhibition, history: &[(Value, Timestamp)]) -> bool {
    let Some(((event, at), before)) = history.split_last() else { return false };
    let two_sided = matches(&document.source.r#match, event) || resolves(document, event);
    let ended = |from: usize, source: &Value| {
        history
            .iter()
            .skip(from)
            .any(|(later, _)| resolves(document, later) && equal(document, later, source))
    };
    is_target(document, event)
        && before.iter().enumerate().any(|(index, (source, fired))| {
            matches(&document.source.r#match, source)
                && !resolves(document, source)
                && equal(document, source, event)
                && *at < *fired + document.r#for.signed()
                && !ended(index + 1, source)
                && !(two_sided && is_target(document, source))
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_same_as_searching_the_history(
        documents in prop::collection::vec(
            (patterns(), prop::option::of(patterns()), patterns(), prop::sample::subsequence(vec!["/data/x", "/data/y"], 0..=2)),
            1..5,
        ),
        steps in prop::collection::vec((events(), 0..6_i64), 1..40),
        restart in 0..40_usize,
    ) {
        let documents: Vec<Version<Inhibition>> = documents
            .iter()
            .enumerate()
            .map(|(n, (source, resolve, target, equal))| inhibition(n, source, resolve.as_ref(), target, equal))
            .collect();
        let (mut inhibitions, broken) = Inhibitions::compile(documents.clone());
        prop_assert!(broken.is_empty());
        let (mut engine, mut history, mut now) = (Engine::default(), Vec::new(), 0);
        for (n, (event, later)) in steps.into_iter().enumerate() {
            now += later;
            if n == restart {
                // Compiled again, in another order; only the states are kept.
                inhibitions = Inhibitions::compile(documents.iter().rev().cloned().collect()).0;
            }
            history.push((event.clone(), minute(now)));
            let expected: Vec<_> = documents
                .iter()
                .filter(|version| muted(&version.document, &history))
                .map(|version| version.document.id.to_string())
                .collect();
            prop_assert_eq!(engine.take(&inhibitions, &event, minute(now)), expected, "{} {}", n, event);
        }
    }
}
