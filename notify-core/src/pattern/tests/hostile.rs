//! Rule sets and events made to cost as much as they can. None of these ends in a reasonable time if one of the bounds
//! is missing; the test runner's own limit tells.

use super::support::{pattern, value};
use crate::pattern::{Pattern, RuleSet};
use serde_json::{Value, json};

/// As large an event as intake takes by default.
const EVENT_BYTES: usize = 64 * 1024;

/// The rules that match, and whether the plain evaluator says so too (it is asked of a few only).
fn check(rules: Vec<Value>, event: &Value, expected: usize) {
    let compile = |rule: &Value| Pattern::compile(rule).unwrap_or_else(|e| panic!("{e}: {rule}"));
    let patterns: Vec<Pattern> = rules.iter().map(compile).collect();
    let set = RuleSet::new(patterns.iter().cloned().enumerate());
    let found = set.matching(event);
    assert_eq!(found.len(), expected);
    for (i, pattern) in patterns.iter().enumerate().step_by(patterns.len().div_ceil(5)) {
        assert_eq!(found.binary_search(&&i).is_ok(), pattern.matches(event), "rule {i}");
    }
}

fn tags(tag: impl Fn(usize) -> String) -> Value {
    let mut bytes = 0;
    let tags: Vec<String> = (0..)
        .map(tag)
        .take_while(|tag| {
            bytes += tag.len() + 3;
            bytes < EVENT_BYTES
        })
        .collect();
    json!({ "tags": tags, "more": tags })
}

#[test]
fn lists_of_hundreds_against_arrays_of_thousands() {
    let list = |i: usize| -> Vec<Value> { (0..1_000).map(|n| json!(format!("r{i}-{n}"))).collect() };
    check((0..50).map(|i| json!({ "tags": list(i) })).collect(), &tags(|n| format!("x{n}")), 0);
    check((0..50).map(|i| json!({ "tags": list(i) })).collect(), &tags(|n| format!("r{n}-7")), 50);
    let but = |i: usize| json!([{ "anything-but": list(i) }]);
    check((0..50).map(|i| json!({ "tags": but(i) })).collect(), &tags(|n| format!("r0-{}", n % 1_000)), 49);
}

#[test]
fn combinations_of_arrays_are_not_multiplied_out() {
    // Thousands of values in each of two fields: the product is tens of millions.
    let rules =
        (0..1_000).map(|i| json!({ "tags": [format!("t{i}")], "more": [format!("t{}", i + 1)] })).collect();
    check(rules, &tags(|n| format!("t{n}")), 1_000);
}

#[test]
fn equal_values_by_the_thousand_find_a_rule_once() {
    let rules = (0..2_000).map(|_| json!({ "tags": [{ "prefix": "a" }] })).collect();
    check(rules, &tags(|_| "a".to_owned()), 2_000);
}

#[test]
fn arrays_that_meet_every_entry_with_every_value() {
    // Each of thousands of values lies in thousands of different ranges.
    let rules = (1..5_000).map(|i| json!({ "n": [{ "numeric": [">", -i] }] })).collect();
    check(rules, &json!({ "n": vec![1; 30_000] }), 4_999);
    // Each of thousands of texts has the literals of thousands of wildcards.
    let rules = (0..5_000)
        .map(|i| json!({ "tags": [{ "wildcard": format!("*ab*c{i}*") }, { "wildcard": "*ab*" }] }))
        .collect();
    check(rules, &tags(|_| "ab".to_owned()), 5_000);
    // Thousands of groups of keys that all end in one long array.
    let fields: serde_json::Map<String, Value> = (0..2_000).map(|i| (format!("a{i}"), json!("x"))).collect();
    let mut rules: Vec<Value> = (0..2_000).map(|i| json!({ format!("a{i}"): ["x"] })).collect();
    rules.extend((0..2_000).map(|i| json!({ format!("a{i}"): ["x"], "zz": ["y"] })));
    let mut event = Value::Object(fields);
    event["zz"] = (0..6_000).map(|n| json!(n)).collect();
    check(rules, &event, 2_000);
}

/// Rules that many keys lead to, with long texts: what they take in memory is what they are made of.
#[test]
fn tables_hold_a_rule_a_few_times_only() {
    let names = |of: usize| -> Vec<Value> { (0..1_000).map(|n| json!(format!("name-{of}-{n}"))).collect() };
    let long = |i: usize| format!("{}{i}", "long/".repeat(700));
    let rules: Vec<Value> = (0..60)
        .map(|i| json!({ "type": ["t"], "image": names(0), "path": [{ "prefix": long(i) }] }))
        .collect();
    let event = json!({ "type": "t", "image": "name-0-7", "path": format!("{}/x", long(5)) });
    // `long/…5` also begins what `long/…5x` asks for: 5, and 50 to 59 do not.
    check(rules, &event, 1);
    let rules: Vec<Value> = (0..100)
        .map(|i| {
            let texts = (0..97).map(|n| json!({ "wildcard": format!("*{}{i}-{n}*", "é".repeat(490)) }));
            json!({ format!("f{i}"): texts.collect::<Vec<_>>() })
        })
        .collect();
    check(rules, &json!({ "f3": format!("x{}3-96x", "é".repeat(490)), "f4": "é".repeat(500) }), 1);
}

#[test]
fn wildcards_with_literals_inside_each_other() {
    // Every place of the text is the end of hundreds of literals.
    let rules =
        (1..500).map(|i| json!({ "text": [{ "wildcard": format!("*{}*b", "a".repeat(i)) }] })).collect();
    check(rules, &json!({ "text": "a".repeat(EVENT_BYTES) }), 0);
    // `*a*a*a…*b`, as many stars as are allowed.
    let stars = format!("{}b", "*a".repeat(31));
    let rules = (0..500).map(|i| json!({ "text": [{ "wildcard": format!("{stars}{i}") }] })).collect();
    check(rules, &json!({ "text": "a".repeat(EVENT_BYTES) }), 0);
}

#[test]
fn affixes_inside_each_other() {
    let rules = (1..2_000)
        .map(
            |i| json!({ "text": [{ "prefix": "a".repeat(i) }, { "suffix": format!("{}b", "a".repeat(i)) }] }),
        )
        .collect();
    check(rules, &json!({ "text": "a".repeat(EVENT_BYTES) }), 1_999);
}

#[test]
fn a_field_of_its_own_for_each_rule() {
    let rules = (0..20_000).map(|i| json!({ format!("f{i}"): [i] })).collect();
    check(rules, &json!({ "f7": 7, "f8": 9, "f19999": 19_999 }), 2);
}

#[test]
fn rules_without_anything_to_find_them_by() {
    let rules = (0..20_000).map(|i| json!({ "x": [{ "anything-but": format!("v{i}") }] })).collect();
    check(rules, &json!({ "x": "v17" }), 19_999);
}

#[test]
fn what_cannot_be_bounded_is_refused() {
    let ten_thousand: Vec<Value> = (0..10_000).map(|i| json!(format!("v{i}"))).collect();
    let branches: Vec<Value> = (0..10_000).map(|i| json!({ "a": [i] })).collect();
    let wildcards: Vec<Value> = (0..257).map(|i| json!({ "wildcard": format!("*{i}*") })).collect();
    let deep = (0..40).fold(json!([1]), |inner, _| json!({ "a": inner }));
    for (rule, reason) in [
        (json!({ "a": ten_thousand }), "the pattern has more than 1024 values"),
        (json!({ "$or": branches }), "the pattern has more than 1024 values"),
        (json!({ "a": wildcards }), "multiplied out, the pattern has more than 256 wildcards"),
        (
            json!({ "a": [{ "anything-but": { "wildcard": vec!["*x*"; 257] } }] }),
            "multiplied out, the pattern has more than 256 wildcards",
        ),
        (deep, "objects are nested deeper than 32 levels"),
        (json!({ "a": [{ "wildcard": "*a".repeat(33) }] }), "a wildcard has at most 32 stars"),
    ] {
        let problem = Pattern::compile(&rule).unwrap_err();
        assert_eq!(problem.reason, reason);
        assert!(!problem.fix.is_empty());
    }
    // Four `$or`s of eight each: 4,096 branches.
    let or = |name: &str| -> Value { (0..8).map(|i| json!({ name: [i] })).collect() };
    let nested = json!({ "a": { "$or": or("p") }, "b": { "$or": or("q") }, "c": { "$or": or("r") }, "d": { "$or": or("s") } });
    assert!(Pattern::compile(&nested).unwrap_err().reason.contains("more than 64 branches"));
    assert!(pattern(r#"{"a":[1]}"#).matches(&value(r#"{"a":1}"#)));
}
