//! The index against the plain evaluator: random rule sets, random changes, random events.
//!
//! `NOTIFY_MATCH_CASES` asks for more cases than the usual 5,000 (`cargo xtask test --deep` asks for 100,000).

use super::generators::{event, shaped, valid_pattern};
use super::support::{Case, lines, shared_conformance, value, workspace};
use crate::pattern::{Pattern, RuleSet, Scratch};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What the definition says: every pattern tried in the order of the keys.
fn plain(rules: &BTreeMap<u16, Pattern>, event: &Value) -> Vec<u16> {
    rules.iter().filter(|(_, pattern)| pattern.matches(event)).map(|(key, _)| *key).collect()
}

/// The same by what the explanations say.
fn explained(rules: &BTreeMap<u16, Pattern>, event: &Value) -> Vec<u16> {
    rules.iter().filter(|(_, pattern)| pattern.explain(event).matched).map(|(key, _)| *key).collect()
}

/// The set's answers, from the value and from the text, must be those.
fn check(set: &RuleSet<u16>, event: &Value, expected: &[u16]) {
    let mut scratch = Scratch::default();
    let keys = |found: Vec<&u16>| found.into_iter().copied().collect::<Vec<_>>();
    assert_eq!(keys(set.matching(event)), expected, "as a value: {event}");
    let mut found = Vec::new();
    for text in [event.to_string(), format!(" {event:#}\r\n"), escaped(event)] {
        set.matching_text(&mut scratch, &text, &mut found).unwrap_or_else(|e| panic!("{e}: {text}"));
        assert_eq!(keys(found.clone()), expected, "as a text: {text}");
    }
}

/// The same document with letters written as escapes.
fn escaped(event: &Value) -> String {
    let mut inside = false;
    let mut out = String::new();
    for c in event.to_string().chars() {
        inside ^= c == '"';
        match c {
            'a' | 'A' | 'b' if inside => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            other => out.push(other),
        }
    }
    out
}

/// Operators that the common generator leaves out, and values that meet them.
fn rich_pattern() -> impl Strategy<Value = Value> {
    let text = "[abA/]{0,4}";
    let number = -3_i64..4;
    let operator = prop_oneof![
        text.prop_map(|t| json!({ "prefix": t })),
        text.prop_map(|t| json!({ "suffix": t })),
        text.prop_map(|t| json!({ "suffix": { "equals-ignore-case": t } })),
        text.prop_map(|t| json!({ "equals-ignore-case": t })),
        "[ab/]{0,2}(\\*[ab/]{1,2}){1,3}\\*?".prop_map(|t| json!({ "wildcard": t })),
        number.clone().prop_map(|n| json!({ "numeric": ["<=", n] })),
        number.clone().prop_map(|n| json!({ "numeric": [">=", n, "<", n + 2] })),
        number.prop_map(|n| json!({ "numeric": ["=", n] })),
        prop_oneof![Just("10.0.0.0/8"), Just("10.0.0.1/32"), Just("::/0"), Just("0.0.0.0/0")]
            .prop_map(|net| json!({ "cidr": net })),
        text.prop_map(Value::from),
        Just(json!({ "at-most": "low" })),
    ];
    let leaf = prop::collection::vec(operator, 1..4).prop_map(Value::Array);
    prop::collection::vec(("[abc]", leaf.clone(), prop::option::of(("[abc]", leaf))), 1..4).prop_map(
        |fields| {
            let field = |(name, leaf, inner): (String, Value, Option<(String, Value)>)| match inner {
                None => (name, leaf),
                Some((below, leaf)) => (name, json!({ below: leaf })),
            };
            fields.into_iter().map(field).collect()
        },
    )
}

/// Wildcards alone on one field, so that they come into an automaton.
fn wildcards_pattern() -> impl Strategy<Value = Value> {
    "\\*?[ab]{1,2}(\\*[ab]{1,2}){0,2}\\*?".prop_map(|t| json!({ "w": [{ "wildcard": t }] }))
}

#[derive(Debug, Clone)]
struct Scene {
    /// Keys are few, so that rules are replaced; `None` removes.
    changes: Vec<(u16, Option<Value>)>,
    events: Vec<Value>,
}

fn scene() -> impl Strategy<Value = Scene> {
    let pattern = prop_oneof![2 => valid_pattern(), 2 => rich_pattern(), 1 => wildcards_pattern()];
    let change = (0_u16..40, prop::option::weighted(0.85, pattern));
    // In some scenes all rules ask for one and the same value besides: one key leads to all of them.
    let shared = |(changes, shared): (Vec<(u16, Option<Value>)>, bool)| {
        let with = |pattern: Value| match pattern {
            Value::Object(mut fields) if shared => {
                fields.insert("s".to_owned(), json!(["same"]));
                Value::Object(fields)
            }
            other => other,
        };
        changes.into_iter().map(|(key, pattern)| (key, pattern.map(with))).collect::<Vec<_>>()
    };
    let changes = (prop::collection::vec(change, 1..60), any::<bool>()).prop_map(shared);
    let choices = prop::collection::vec(prop::collection::vec(any::<u8>(), 30), 4);
    (changes, prop::collection::vec(event(), 2), choices).prop_map(|(changes, mut events, choices)| {
        let patterns: Vec<&Value> = changes.iter().filter_map(|(_, pattern)| pattern.as_ref()).collect();
        for choices in choices {
            let place = usize::from(choices[0]) % patterns.len().max(1);
            if let Some(pattern) = patterns.get(place) {
                events.push(shaped(pattern, &mut std::iter::once(1).chain(choices)));
            }
        }
        for event in events.iter_mut().filter_map(Value::as_object_mut) {
            event.insert("s".to_owned(), json!("same"));
            event.entry("w").or_insert_with(|| json!(["abba", "bb", "a*b"]));
        }
        Scene { changes, events }
    })
}

fn play(scene: Scene) {
    let mut model: BTreeMap<u16, Pattern> = BTreeMap::new();
    let mut set = RuleSet::new([]);
    let (before, after) = scene.changes.split_at(scene.changes.len() / 2);
    let compiled = |(key, pattern): &(u16, Option<Value>)| match pattern {
        None => Some((*key, None)),
        // What a generator makes beyond the limits is no change.
        Some(pattern) => Pattern::compile(pattern).ok().map(|pattern| (*key, Some(pattern))),
    };
    let apply = |model: &mut BTreeMap<u16, Pattern>, key, pattern: Option<Pattern>| match pattern {
        Some(pattern) => drop(model.insert(key, pattern)),
        None => drop(model.remove(&key)),
    };
    // One half at once, which builds an index, the rest one by one.
    set = set.changed(before.iter().filter_map(compiled));
    before.iter().filter_map(compiled).for_each(|(key, pattern)| apply(&mut model, key, pattern));
    set = set.folded();
    let untouched = (set.clone(), model.clone());
    for (key, pattern) in after.iter().filter_map(compiled) {
        set = match &pattern {
            Some(pattern) => set.with(key, pattern.clone()),
            None => set.without(&key),
        };
        apply(&mut model, key, pattern);
        assert_eq!(set.get(&key).is_some(), model.contains_key(&key));
    }
    let listed: Vec<u16> = set.iter().map(|(key, _)| *key).collect();
    assert_eq!(listed, model.keys().copied().collect::<Vec<_>>());
    assert_eq!(set.len(), model.len());
    let rebuilt = RuleSet::new(model.iter().rev().map(|(key, pattern)| (*key, pattern.clone())));
    for event in &scene.events {
        let expected = plain(&model, event);
        assert_eq!(explained(&model, event), expected, "{event}");
        for set in [&set, &set.folded(), &rebuilt] {
            check(set, event, &expected);
        }
        check(&untouched.0, event, &plain(&untouched.1, event));
    }
}

#[test]
fn index_answers_as_the_plain_evaluator() {
    let asked = std::env::var("NOTIFY_MATCH_CASES").ok().and_then(|n| n.parse().ok());
    // Each scene has six events on up to forty rules.
    let cases = asked.unwrap_or(5_000) / 6 + 1;
    let mut runner = TestRunner::new(Config { cases, ..Config::default() });
    runner
        .run(&scene(), |scene| {
            play(scene);
            Ok(())
        })
        .unwrap_or_else(|e| panic!("{e}"));
}

/// All cases at once: hundreds of rules in one set, each event with its own verdict among those of all others.
#[test]
fn index_agrees_on_all_cases_in_one_set() {
    let own = workspace().join("resources/patterns/cases.jsonl");
    let mut cases: Vec<Case> = lines(&own);
    cases.extend(shared_conformance("pattern-cases.jsonl").map(|file| lines(&file)).unwrap_or_default());
    let rules: Vec<(usize, Pattern)> = cases
        .iter()
        .enumerate()
        .filter_map(|(i, case)| Some((i, Pattern::compile(&value(case.pattern.get())).ok()?)))
        .collect();
    assert!(rules.len() > 300, "only {}", rules.len());
    let set = RuleSet::new(rules.iter().cloned());
    let mut scratch = Scratch::default();
    let mut by_text = Vec::new();
    let mut matches = 0;
    for case in &cases {
        let event = value(case.event.get());
        let expected: Vec<usize> =
            rules.iter().filter(|(_, pattern)| pattern.matches(&event)).map(|(i, _)| *i).collect();
        let found: Vec<usize> = set.matching(&event).into_iter().copied().collect();
        assert_eq!(found, expected, "{}", case.name);
        set.matching_text(&mut scratch, case.event.get(), &mut by_text).unwrap();
        assert_eq!(by_text.iter().map(|key| **key).collect::<Vec<_>>(), expected, "{} as text", case.name);
        matches += expected.len();
    }
    assert!(matches > 2_000, "the events hardly match anything: {matches}");
}
