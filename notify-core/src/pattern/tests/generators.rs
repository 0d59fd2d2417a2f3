//! Random patterns and events, with few names and values, so that they meet.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

pub(super) fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2_i64..3).prop_map(Value::from),
        prop_oneof![Just(0.5), Just(-0.0), Just(1.0), Just(1e300)].prop_map(Value::from),
        "[abA]{0,3}".prop_map(Value::from),
        prop_oneof![Just("high"), Just("low"), Just("10.0.0.1")].prop_map(Value::from),
    ]
}

pub(super) fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[abc]", Just("$or".to_owned()), Just("prefix".to_owned())]
}

/// Few names and values, so that patterns and events meet.
pub(super) fn event_part() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec(("[abc]", inner), 0..4)
                .prop_map(|fields| Value::Object(Map::from_iter(fields))),
        ]
    })
}

pub(super) fn event() -> impl Strategy<Value = Value> {
    prop::collection::vec(("[abc]", event_part()), 0..4)
        .prop_map(|fields| Value::Object(Map::from_iter(fields)))
}

/// An operator whose complement `anything-but` can say, as the operand of `anything-but`.
pub(super) fn negatable() -> impl Strategy<Value = Value> {
    let text = "[abA]{1,2}";
    prop_oneof![
        text.prop_map(Value::from),
        (-2_i64..3).prop_map(Value::from),
        prop::collection::vec(text, 1..3).prop_map(Value::from),
        prop::collection::vec(-2_i64..3, 1..3).prop_map(Value::from),
        text.prop_map(|t| json!({ "prefix": t })),
        prop::collection::vec(text, 1..3).prop_map(|t| json!({ "suffix": t })),
        text.prop_map(|t| json!({ "equals-ignore-case": t })),
        text.prop_map(|t| json!({ "wildcard": format!("*{t}*") })),
    ]
}

pub(super) fn operator() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => scalar(),
        1 => negatable().prop_map(|operand| json!({ "anything-but": operand })),
        2 => any::<bool>().prop_map(|exists| json!({ "exists": exists })),
        1 => (-2_i64..2).prop_map(|n| json!({ "numeric": [">", n] })),
        1 => "[abA]{0,2}".prop_map(|t| json!({ "prefix": { "equals-ignore-case": t } })),
        1 => Just(json!({ "at-least": "medium" })),
        1 => Just(json!({ "cidr": "10.0.0.0/8" })),
    ]
}

pub(super) fn valid_pattern() -> impl Strategy<Value = Value> {
    let leaf = prop::collection::vec(operator(), 1..3).prop_map(Value::Array);
    let group = |inner: BoxedStrategy<Value>| {
        let fields = prop::collection::vec(("[abc]", inner), 1..4).prop_map(Map::from_iter);
        (fields.clone(), prop::option::weighted(0.3, prop::collection::vec(fields, 2..4))).prop_map(
            |(mut map, or)| {
                if let Some(branches) = or {
                    map.insert("$or".to_owned(), branches.into_iter().map(Value::Object).collect());
                }
                Value::Object(map)
            },
        )
    };
    let nested = leaf.boxed().prop_recursive(
        3,
        20,
        3,
        move |inner| prop_oneof![1 => inner.clone(), 2 => group(inner)],
    );
    group(nested.boxed())
}

/// An event in the shape of the pattern, with fields left out, values changed and arrays put in as `choices` says:
/// blindly generated events hardly ever get as far as two clauses below one array.
pub(super) fn shaped(pattern: &Value, choices: &mut impl Iterator<Item = u8>) -> Value {
    let mut choose = |n: u8| choices.next().unwrap_or(1) % n;
    let copies = match choose(4) {
        0 => 2 + choose(2),
        _ => 0,
    };
    if copies > 0 {
        return (0..copies).map(|_| shaped(pattern, choices)).collect();
    }
    match pattern {
        Value::Object(fields) => {
            let mut object = Map::new();
            for (key, inner) in fields {
                match inner {
                    Value::Array(branches) if key == "$or" => {
                        let taken = usize::from(choices.next().unwrap_or(1)) % branches.len();
                        if let Value::Object(more) = shaped(&branches[taken], choices) {
                            object.extend(more);
                        }
                    }
                    _ if choices.next().unwrap_or(1).is_multiple_of(4) => {}
                    _ => {
                        object.insert(key.clone(), shaped(inner, choices));
                    }
                }
            }
            Value::Object(object)
        }
        Value::Array(list) => match choose(4) {
            0 => json!("other"),
            _ => list.iter().find(|item| !item.is_object()).cloned().unwrap_or_else(|| json!("aA")),
        },
        scalar => scalar.clone(),
    }
}

/// A pattern with an event shaped like it.
pub(super) fn with_event(pattern: impl Strategy<Value = Value>) -> impl Strategy<Value = (Value, Value)> {
    (pattern, prop::collection::vec(any::<u8>(), 40)).prop_map(|(pattern, choices)| {
        // The outermost choice must not make the event an array.
        let event = shaped(&pattern, &mut std::iter::once(1).chain(choices));
        (pattern, event)
    })
}
