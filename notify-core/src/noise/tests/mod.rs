mod inhibitions;
mod overrides;
mod peers;
mod silences;

use crate::document::{Kind, parse};
use crate::document::{Version, parse_any};
use crate::time::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A document as it comes from the store.
pub fn version<T: serde::de::DeserializeOwned>(kind: Kind, value: &Value, version: u64) -> Version<T> {
    let (_, text, digest): parse::Parsed<String> =
        parse_any(kind, value).unwrap_or_else(|p| panic!("{value}: {p}"));
    Version { version, digest, document: serde_json::from_str(&text).unwrap() }
}

/// Minutes after a fixed time.
pub fn minute(minutes: i64) -> Timestamp {
    let start: Timestamp = "2026-11-22T06:00:00Z".parse().unwrap();
    start + jiff::SignedDuration::from_mins(minutes)
}

/// Few values, so that documents and events meet.
pub fn events() -> impl Strategy<Value = Value> {
    let value = || {
        prop_oneof![
            Just(Value::Null),
            Just(json!("")),
            Just(json!("a")),
            Just(json!("b")),
            Just(json!(1)),
            Just(json!(1.0)),
            Just(json!(["a", "b"])),
        ]
    };
    (0..3_u8, prop::option::of(value()), prop::option::of(value()), prop::bool::ANY).prop_map(
        |(kind, x, y, up)| {
            let mut data = serde_json::Map::new();
            data.insert("up".into(), up.into());
            data.extend(x.map(|x| ("x".to_owned(), x)));
            data.extend(y.map(|y| ("y".to_owned(), y)));
            json!({ "type": format!("t{kind}"), "data": data })
        },
    )
}

pub fn patterns() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0..3_u8).prop_map(|kind| json!({ "type": [format!("t{kind}")] })),
        Just(json!({ "type": [{ "prefix": "t" }] })),
        Just(json!({ "data": { "x": ["a"] } })),
        Just(json!({ "data": { "x": [{ "exists": false }] } })),
        Just(json!({ "data": { "y": [1, "b"], "up": [true] } })),
        Just(json!({ "$or": [{ "type": ["t1"] }, { "data": { "up": [true] } }] })),
    ]
}
