//! What lint calls certain is certain: each claim against the evaluator, on generated patterns and CloudEvents.

use super::algebra::{disjoint, implies};
use super::{Study, never};
use crate::document::Rule;
use crate::lint::Code;
use crate::pattern::Pattern;
use crate::pattern::operator::Operator;
use crate::pattern::parse::{Field, parse};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};

fn rule(pattern: &Value) -> Rule {
    serde_json::from_value(json!({
        "schema": "notify-rule@1", "id": "r", "name": "R", "match": pattern,
        "actions": [{ "id": "a", "channel": "c" }],
    }))
    .unwrap()
}

fn study(pattern: &Value) -> Study {
    Study::of(&rule(pattern)).unwrap_or_else(|problem| panic!("{problem}: {pattern}"))
}

fn text() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a", "ab", "b", "ba", "A", "high", "low", "none", "HIGH", "1.0", "10.0.0.1", "é", "ß", "ss",
    ])
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => text().prop_map(Value::from),
        1 => (-1_i32..3).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => prop::sample::select(vec![json!(null), json!(0.5), json!(""), json!(3_000_000_000_i64)]),
    ]
}

fn entry() -> impl Strategy<Value = Value> {
    let bound = || -1_i32..3;
    prop_oneof![
        6 => scalar(),
        1 => text().prop_map(|t| json!({ "prefix": t })),
        1 => text().prop_map(|t| json!({ "suffix": t })),
        1 => text().prop_map(|t| json!({ "equals-ignore-case": t })),
        1 => text().prop_map(|t| json!({ "prefix": { "equals-ignore-case": t } })),
        1 => text().prop_map(|t| json!({ "suffix": { "equals-ignore-case": t } })),
        1 => prop::sample::select(vec!["*", "a*", "*b", "a*b", "*a*"]).prop_map(|w| json!({ "wildcard": w })),
        1 => prop::sample::select(vec!["", "x"]).prop_map(|t| json!({ "prefix": t })),
        1 => text().prop_map(|t| json!({ "anything-but": t })),
        1 => bound().prop_map(|n| json!({ "anything-but": n })),
        1 => text().prop_map(|t| json!({ "anything-but": { "prefix": t } })),
        1 => prop::collection::vec(text(), 1..3).prop_map(|t| json!({ "anything-but": t })),
        1 => (prop::sample::select(vec!["=", "<", "<=", ">", ">="]), bound())
            .prop_map(|(sign, n)| json!({ "numeric": [sign, n] })),
        1 => bound().prop_map(|n| json!({ "numeric": [">", n, "<=", n + 1] })),
        2 => any::<bool>().prop_map(|b| json!({ "exists": b })),
        1 => prop::sample::select(vec!["none", "low", "high", "blocker"]).prop_map(|s| json!({ "at-least": s })),
        1 => prop::sample::select(vec!["none", "low", "high", "blocker"]).prop_map(|s| json!({ "at-most": s })),
        1 => prop::sample::select(vec!["10.0.0.0/8", "10.0.0.0/16", "::/0"]).prop_map(|n| json!({ "cidr": n })),
    ]
}

fn operator() -> impl Strategy<Value = Operator> {
    entry().prop_map(|entry| {
        let group = parse(&json!({ "f": [entry] })).unwrap();
        let Some((_, Field::Test(test))) = group.fields.first() else { panic!("a list is a test") };
        test.operators[0].clone()
    })
}

fn list() -> impl Strategy<Value = Value> {
    prop::collection::vec(entry(), 1..4).prop_map(Value::from)
}

/// Some fields, each with a list; `data` with fields of its own.
fn fields() -> impl Strategy<Value = Map<String, Value>> {
    let name = prop::sample::select(vec!["type", "severity", "n", "specversion", "id", "subject", "Bad"]);
    let data = prop::collection::vec((prop::sample::select(vec!["a", "b"]), inner_list()), 1..3).prop_map(
        |fields| Value::Object(fields.into_iter().map(|(name, list)| (name.to_owned(), list)).collect()),
    );
    (prop::collection::vec((name, list()), 0..3), prop::option::weighted(0.5, data), list()).prop_map(
        |(top, data, last)| {
            let mut all: Map<String, Value> =
                top.into_iter().map(|(name, list)| (name.to_owned(), list)).collect();
            if let Some(data) = data {
                all.insert("data".to_owned(), data);
            }
            if all.is_empty() {
                all.insert("type".to_owned(), last);
            }
            all
        },
    )
}

fn inner_list() -> impl Strategy<Value = Value> {
    prop_oneof![2 => list(), 1 => list().prop_map(|list| json!({ "c": list }))]
}

fn any_pattern() -> impl Strategy<Value = Value> {
    (fields(), prop::option::weighted(0.5, prop::collection::vec(fields(), 2..4))).prop_map(
        |(mut map, or)| {
            if let Some(branches) = or {
                map.insert("$or".to_owned(), branches.into_iter().map(Value::Object).collect());
            }
            Value::Object(map)
        },
    )
}

/// Few fields and values, so that arrays, absence and fields named twice come together.
fn tight_pattern() -> impl Strategy<Value = Value> {
    let entry = || {
        prop::sample::select(vec![
            json!("a"),
            json!("b"),
            json!(1),
            json!({ "exists": false }),
            json!({ "exists": false }),
            json!({ "exists": true }),
            json!({ "anything-but": "a" }),
            json!({ "prefix": "a" }),
            json!({ "numeric": [">", 0] }),
        ])
    };
    let list = move || prop::collection::vec(entry(), 1..3).prop_map(Value::from);
    let inner = move || {
        prop::collection::btree_map(prop::sample::select(vec!["c", "d"]), list(), 1..3)
            .prop_map(|map| json!(map))
    };
    let field = move || prop_oneof![2 => list(), 3 => inner()];
    let data = move || {
        prop::collection::btree_map(prop::sample::select(vec!["a", "b"]), field(), 1..3)
            .prop_map(|map| json!({ "data": map }))
    };
    (data(), prop::option::weighted(0.6, (data(), data()))).prop_map(|(mut pattern, or)| {
        if let Some((one, other)) = or {
            pattern["$or"] = json!([one, other]);
        }
        pattern
    })
}

/// What meets [`tight_pattern`].
fn tight_event() -> impl Strategy<Value = Value> {
    let scalar = || prop::sample::select(vec![json!("a"), json!("b"), json!("ab"), json!(1), json!(null)]);
    let object = move || {
        prop::collection::btree_map(prop::sample::select(vec!["c", "d"]), scalar(), 0..3)
            .prop_map(|map| json!(map))
    };
    let element = move || prop_oneof![scalar(), object()];
    let part = move || prop_oneof![element(), prop::collection::vec(element(), 0..4).prop_map(Value::from)];
    let data = move || {
        prop::collection::btree_map(prop::sample::select(vec!["a", "b"]), part(), 0..3)
            .prop_map(|map| json!(map))
    };
    let data = prop_oneof![3 => data(), 1 => prop::collection::vec(data(), 0..3).prop_map(Value::from)];
    data.prop_map(
        |data| json!({ "specversion": "1.0", "source": "/s", "type": "a", "id": "1", "data": data }),
    )
}

/// Patterns with events that may meet them.
fn meeting() -> impl Strategy<Value = (Value, Vec<Value>)> {
    prop_oneof![
        (any_pattern(), prop::collection::vec(event(true), 12)),
        (tight_pattern(), prop::collection::vec(tight_event(), 24)),
    ]
}

/// As intake lets it through.
fn event(arrays: bool) -> impl Strategy<Value = Value> {
    let attribute = || text().prop_map(Value::from);
    let extension = prop_oneof![
        text().prop_map(Value::from),
        (-1_i32..3).prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
    ];
    let leaf =
        prop_oneof![3 => scalar(), 1 => Just(json!({})), 1 => scalar().prop_map(|c| json!({ "c": c }))];
    let part = leaf.prop_recursive(2, 6, 3, move |inner| {
        if arrays { prop::collection::vec(inner, 0..4).prop_map(Value::from).boxed() } else { inner.boxed() }
    });
    let data = prop::collection::vec((prop::sample::select(vec!["a", "b"]), part), 0..3)
        .prop_map(|fields| fields.into_iter().map(|(n, v)| (n.to_owned(), v)).collect::<Map<_, _>>());
    let data = prop_oneof![
        4 => data.clone().prop_map(Value::Object),
        1 => prop::collection::vec(data.prop_map(Value::Object), 0..3).prop_map(move |all| {
            if arrays { Value::from(all) } else { Value::Null }
        }),
    ];
    let optional = || prop::option::of(attribute());
    (attribute(), attribute(), optional(), optional(), prop::option::of(extension), prop::option::of(data))
        .prop_map(|(kind, id, severity, subject, n, data)| {
            let mut event = json!({ "specversion": "1.0", "source": "/s", "type": kind, "id": id });
            let optional = [("severity", severity), ("subject", subject), ("n", n), ("data", data)];
            for (name, value) in optional {
                if let Some(value) = value {
                    event[name] = value;
                }
            }
            event
        })
}

/// The pattern without the entry of a list at this pointer into the rule; `None` if the list would be empty.
fn without(pattern: &Value, place: &str) -> Option<Value> {
    let (list, index) = place.strip_prefix("/match")?.rsplit_once('/')?;
    let mut pattern = pattern.clone();
    let entries = pattern.pointer_mut(list)?.as_array_mut()?;
    entries.remove(index.parse().ok()?);
    (!entries.is_empty()).then_some(pattern)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn operators_that_imply_or_exclude_each_other_do(a in operator(), b in operator(), values in prop::collection::vec(scalar(), 12)) {
        for value in values {
            let (one, other) = (a.holds(&value), b.holds(&value));
            prop_assert!(!implies(&a, &b) || !one || other, "{a:?} does not imply {b:?}: {value}");
            prop_assert!(!(disjoint(&a, &b) && one && other), "{a:?} and {b:?} share {value}");
            prop_assert_eq!(disjoint(&a, &b), disjoint(&b, &a));
        }
    }

    #[test]
    fn a_way_that_is_called_dead_is_never_taken((pattern, events) in meeting()) {
        let (study, compiled) = (study(&pattern), Pattern::compile(&pattern).unwrap());
        for event in events {
            let explanation = compiled.explain(&event);
            for (way, alternative) in study.ways.iter().zip(&explanation.alternatives) {
                prop_assert!(way.dead.is_none() || !alternative.matched, "{pattern} matches {event}");
            }
        }
    }

    #[test]
    fn what_needs_an_array_does_not_match_without_one(pattern in any_pattern(), events in prop::collection::vec(event(false), 8)) {
        let (study, compiled) = (study(&pattern), Pattern::compile(&pattern).unwrap());
        for event in events {
            for (way, alternative) in study.ways.iter().zip(&compiled.explain(&event).alternatives) {
                prop_assert!(never::needs_array(way).is_none() || !alternative.matched, "{pattern} matches {event}");
            }
        }
    }

    #[test]
    fn entries_that_are_called_superfluous_are((pattern, events) in meeting()) {
        let compiled = Pattern::compile(&pattern).unwrap();
        for finding in study(&pattern).findings() {
            let same = match finding.code {
                Code::RedundantEntry | Code::DeadEntry => without(&pattern, &finding.path),
                Code::MatchesEverything => {
                    prop_assert!(events.iter().all(|event| compiled.matches(event)), "{pattern}");
                    None
                }
                _ => None,
            };
            let Some(same) = same else { continue };
            let same_compiled = Pattern::compile(&same).unwrap();
            for event in &events {
                prop_assert_eq!(compiled.matches(event), same_compiled.matches(event), "{} and {} on {}", pattern, same, event);
            }
        }
    }
}

/// A pattern that asks for more: fields added, the last entries of lists removed, or both.
fn narrower(pattern: &Value, more: &Map<String, Value>, choice: u8) -> Value {
    let mut pattern = pattern.clone();
    let Some(map) = pattern.as_object_mut() else { return pattern };
    let lists = map.iter_mut().filter(|(name, _)| *name != "$or").filter_map(|(_, v)| v.as_array_mut());
    for list in lists.filter(|list| list.len() > 1 && choice.is_multiple_of(2)) {
        list.pop();
    }
    for (name, list) in more {
        match map.get_mut(name) {
            Some(Value::Object(inner)) => {
                for (field, value) in list.as_object().into_iter().flatten() {
                    inner.entry(field.clone()).or_insert_with(|| value.clone());
                }
            }
            Some(_) => {}
            None => drop(map.insert(name.clone(), list.clone())),
        }
    }
    pattern
}

/// How often one pattern was said to cover another, and how often an event of the narrower one then came by.
fn check_covering(
    samples: usize,
    patterns: impl Strategy<Value = Value>,
    fields: impl Strategy<Value = Map<String, Value>>,
    events: impl Strategy<Value = Vec<Value>>,
) -> (usize, usize) {
    let mut runner = TestRunner::deterministic();
    let cases = (patterns, fields, any::<u8>(), events);
    let (mut covered, mut met) = (0, 0);
    for _ in 0..samples {
        let (one, more, choice, events) = cases.new_tree(&mut runner).unwrap().current();
        let other = narrower(&one, &more, choice);
        let (one_study, other_study) = (study(&one), study(&other));
        for (wide, narrow, covers) in
            [(&one, &other, one_study.covers(&other_study)), (&other, &one, other_study.covers(&one_study))]
        {
            if !covers {
                continue;
            }
            covered += 1;
            let wide_pattern = Pattern::compile(wide).unwrap();
            let narrow_pattern = Pattern::compile(narrow).unwrap();
            for event in events.iter().filter(|event| narrow_pattern.matches(event)) {
                met += 1;
                assert!(wide_pattern.matches(event), "{wide} does not cover {narrow}: {event}");
            }
        }
    }
    (covered, met)
}

#[test]
fn what_covers_another_pattern_matches_all_its_events() {
    let events = prop::collection::vec(event(true), 12);
    let (covered, met) = check_covering(600, any_pattern(), fields(), events);
    assert!(covered > 50 && met > 25, "{covered} covered, {met} events met: the test shows too little");
    let more = tight_pattern().prop_map(|pattern| pattern.as_object().cloned().unwrap_or_default());
    let events = prop::collection::vec(tight_event(), 40);
    let (covered, met) = check_covering(2_500, tight_pattern(), more, events);
    assert!(covered > 200 && met > 1_000, "{covered} covered, {met} events met: the test shows too little");
}
