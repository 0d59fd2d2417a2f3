//! Any JSON, with names that stories read.

use super::HOURS;
use proptest::prelude::*;
use serde_json::Value;

pub fn pointers(value: &Value) -> Vec<String> {
    let mut all = vec![String::new()];
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (crate::json::pointer_token(name).to_string(), value))
            .collect(),
        Value::Array(items) => items.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect(),
        _ => vec![],
    };
    for (name, value) in inner {
        all.extend(pointers(value).into_iter().map(|rest| format!("/{name}{rest}")));
    }
    all
}

pub fn arbitrary_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "send", "held", "digested", "release", "digest", "attempt", "delivery", "event", HOURS
        ])
        .prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "predicate",
        "kind",
        "decisions",
        "outcome",
        "control",
        "parameters",
        "intent",
        "delivery",
        "held",
        "digest",
        "until",
        "follows",
        "attempt",
        "act",
        "replayOf",
        "fallbackOf",
        "release",
        "bypassed",
        "alsoApplied",
    ]);
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..6).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}
