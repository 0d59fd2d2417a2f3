//! Properties over generated patterns and events.

use super::generators::{event, name, negatable, scalar, valid_pattern, with_event};
use super::support::{pattern, value, verdict};
use crate::pattern::Pattern;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Almost patterns: the right words in any place.
fn arbitrary_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        name(),
        (0..10_usize).prop_map(|i| crate::pattern::operand::OPERATOR_NAMES[i].to_owned()),
        Just("10.0.0.0/8".to_owned()),
        Just(">".to_owned()),
        "\\PC{0,4}",
    ];
    let leaf = prop_oneof![scalar(), word.clone().prop_map(Value::from)];
    leaf.prop_recursive(6, 60, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((word.clone(), inner), 0..3).prop_map(|f| Value::Object(Map::from_iter(f))),
        ]
    })
}

/// The definition, by brute force: an assignment picks an element in every array of the event; under it the event has
/// no arrays above the fields. Exponential; for tiny events only, without `exists: false` (its quantifier differs).
fn by_assignment(pattern: &Value, event: &Value) -> bool {
    match event {
        Value::Array(items) => items.iter().any(|item| by_assignment(pattern, item)),
        _ => match pattern {
            Value::Object(fields) => fields.iter().all(|(key, inner)| match (key.as_str(), inner) {
                ("$or", Value::Array(branches)) => branches.iter().any(|branch| by_assignment(branch, event)),
                _ => event.get(key).is_some_and(|value| by_assignment(inner, value)),
            }),
            Value::Array(list) => list.contains(event),
            _ => false,
        },
    }
}

/// Only exact texts; one level of `$or` whose branches name fields of their own (`x`, `y`).
fn plain_pattern() -> impl Strategy<Value = Value> {
    let leaf = prop::collection::vec("[ab]", 1..3).prop_map(|texts| json!(texts)).boxed();
    let group = |inner: BoxedStrategy<Value>| {
        prop::collection::vec(("[abc]", inner), 1..4).prop_map(|f| Value::Object(Map::from_iter(f)))
    };
    let nested = leaf.clone().prop_recursive(3, 12, 3, group).boxed();
    let branch = |name: &'static str| leaf.clone().prop_map(move |leaf| json!({ name: leaf }));
    (group(nested), prop::option::of((branch("x"), branch("y")))).prop_map(|(mut pattern, or)| {
        if let (Some((x, y)), Some(map)) = (or, pattern.as_object_mut()) {
            map.insert("$or".to_owned(), json!([x, y]));
        }
        pattern
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn compiling_a_pattern_never_panics(pattern in arbitrary_json(), event in event()) {
        match Pattern::compile(&pattern) {
            Ok(compiled) => { verdict(&compiled, &event); }
            Err(problem) => prop_assert!(pattern.pointer(&problem.path).is_some(), "{problem} in {pattern}"),
        }
    }

    #[test]
    fn pattern_explain_agrees_with_matches((pattern, shaped) in with_event(valid_pattern()), event in event()) {
        match Pattern::compile(&pattern) {
            Ok(compiled) => { verdict(&compiled, &event); verdict(&compiled, &shaped); }
            // The generator can only exceed what `$or`s may give.
            Err(problem) => prop_assert!(problem.reason.starts_with("multiplied out"), "{problem} in {pattern}"),
        }
    }

    #[test]
    fn pattern_agrees_with_the_definition((pattern, event) in with_event(plain_pattern())) {
        let compiled = Pattern::compile(&pattern).unwrap();
        prop_assert_eq!(verdict(&compiled, &event), by_assignment(&pattern, &event));
    }

    /// For one value `anything-but` is the exact complement; absent and empty are outside both.
    #[test]
    fn anything_but_pattern_is_the_complement(operand in negatable(), value in scalar()) {
        let positive = match &operand {
            Value::Object(map) => {
                let (name, inner) = map.iter().next().unwrap();
                let list = inner.as_array().cloned().unwrap_or_else(|| vec![inner.clone()]);
                list.into_iter().map(|item| json!({ name: item })).collect()
            }
            Value::Array(list) => list.clone(),
            single => vec![single.clone()],
        };
        let positive = Pattern::compile(&json!({ "f": positive })).unwrap();
        let negative = Pattern::compile(&json!({ "f": [{ "anything-but": operand }] })).unwrap();
        let event = json!({ "f": value });
        prop_assert_ne!(verdict(&positive, &event), verdict(&negative, &event));
        for none in [json!({}), json!({ "f": [] }), json!({ "f": { "g": value } })] {
            prop_assert!(!negative.matches(&none) && !positive.matches(&none));
        }
    }

    /// `exists` true and false share every event between them.
    #[test]
    fn exists_pattern_is_the_complement_of_absence(event in event()) {
        let (there, absent) = (pattern(r#"{"a":{"b":[{"exists":true}]}}"#), pattern(r#"{"a":{"b":[{"exists":false}]}}"#));
        prop_assert_ne!(verdict(&there, &event), verdict(&absent, &event));
    }
}

/// Inputs that make a searching matcher explode; each must be done in the time of a walk.
#[test]
fn hostile_patterns_and_events_cost_no_more_than_a_walk() {
    // 20,000 elements of which each satisfies one clause: a search over combinations would not end.
    let elements: Vec<String> = (0..20_000).map(|i| format!(r#"{{"f{}":1}}"#, i % 20)).collect();
    let fields: Vec<String> = (0..20).map(|i| format!(r#""f{i}":[1]"#)).collect();
    let event = value(&format!(r#"{{"d":[{}]}}"#, elements.join(",")));
    assert!(!verdict(&pattern(&format!(r#"{{"d":{{{}}}}}"#, fields.join(","))), &event));

    // Arrays in arrays, 2^14 leaves, with two clauses that never meet.
    let mut part = r#"[{"x":1},{"y":1}]"#.to_owned();
    for _ in 0..13 {
        part = format!("[{part},{part}]");
    }
    assert!(!verdict(&pattern(r#"{"d":{"x":[1],"y":[1]}}"#), &value(&format!(r#"{{"d":{part}}}"#))));

    // A wildcard that makes backtracking matchers exponential or quadratic.
    let wildcard = pattern(&format!(r#"{{"a":[{{"wildcard":"{}b"}}]}}"#, "a*".repeat(31)));
    assert!(!verdict(&wildcard, &value(&format!(r#"{{"a":"{}"}}"#, "a".repeat(500_000)))));

    // An event built by hand, deeper than any parser lets through: no stack overflow, no match.
    let mut deep = json!({ "x": 1 });
    for _ in 0..2_000 {
        deep = Value::Array(vec![deep]);
    }
    let event = Value::Object(Map::from_iter([("d".to_owned(), deep)]));
    assert!(!verdict(&pattern(r#"{"d":{"x":[1]}}"#), &event));
}
