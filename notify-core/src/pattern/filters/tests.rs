//! `resources/patterns/filters.jsonl` and `filters-invalid.jsonl`, and compiled filters against filters taken literally.

use crate::pattern::Pattern;
use crate::pattern::tests::support::{lines, value, verdict, workspace};
use crate::problem::Code;
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

#[derive(Deserialize)]
struct Case {
    name: String,
    filters: Box<RawValue>,
    event: Box<RawValue>,
    matches: bool,
}

#[test]
fn own_filter_cases_have_their_verdicts() {
    let cases: Vec<Case> = lines(&workspace().join("resources/patterns/filters.jsonl"));
    assert!(cases.len() >= 60, "only {} cases", cases.len());
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "a name is used twice");
    for case in &cases {
        let (filters, event) = (value(case.filters.get()), value(case.event.get()));
        let pattern =
            Pattern::compile_filters(&filters).unwrap_or_else(|problem| panic!("{}: {problem}", case.name));
        assert_eq!(verdict(&pattern, &event), case.matches, "{}", case.name);
        assert_eq!(literally(&filters, &event), case.matches, "{}: the naive evaluation", case.name);
    }
    for dialect in super::DIALECTS {
        for verdict in [true, false] {
            let quoted = format!("\"{dialect}\"");
            let covered = cases.iter().any(|c| c.matches == verdict && c.filters.get().contains(&quoted));
            assert!(covered, "no case where {dialect} gives {verdict}");
        }
    }
}

#[derive(Deserialize)]
struct Invalid {
    name: String,
    filters_text: String,
    path: String,
}

#[test]
fn own_invalid_filters_are_refused_at_the_right_place() {
    let cases: Vec<Invalid> = lines(&workspace().join("resources/patterns/filters-invalid.jsonl"));
    assert!(cases.len() >= 45, "only {} cases", cases.len());
    for case in cases {
        let filters = value(&case.filters_text);
        let Err(problem) = Pattern::compile_filters(&filters) else {
            panic!("{} was accepted: {}", case.name, case.filters_text)
        };
        assert_eq!(problem.code, Code::InvalidPattern, "{}", case.name);
        assert_eq!(problem.path, case.path, "{}: {problem}", case.name);
        assert!(filters.pointer(&problem.path).is_some(), "{}: {problem}", case.name);
        assert!(!problem.reason.is_empty() && !problem.fix.is_empty(), "{}: {problem}", case.name);
    }
}

#[test]
fn filters_at_the_limits_are_accepted() {
    let pair = |k: usize| json!({ "any": [{ "exact": { format!("a{k}"): "x" } }, { "exact": { format!("b{k}"): "y" } }] });
    let many: Vec<Value> = (0..1_024).map(|k| json!({ "exact": { "type": format!("t{k}") } })).collect();
    let deep = (0..31).fold(json!({ "exact": { "type": "a" } }), |inner, _| json!({ "not": inner }));
    for filters in [
        (0..6).map(pair).collect(),
        json!([{ "any": many }]),
        json!([deep]),
        json!([{ "exact": { "type": "x".repeat(4_096) } }]),
    ] {
        let compiled = Pattern::compile_filters(&filters);
        assert!(compiled.is_ok(), "{:?}", compiled.err());
    }
}

/// filters, event, the sentence
const SENTENCES: [(&str, &str, &str); 4] = [
    (
        r#"[{"exact":{"type":"x"}},{"not":{"exact":{"region":"eu"}}}]"#,
        r#"{"type":"x","region":"eu"}"#,
        "The event does not match: `/region` is \"eu\", but the rule wants any value except \"eu\" or no value at all \
         (`/filters/1/not/exact/region`).",
    ),
    (
        r#"[{"any":[{"exact":{"severity":"high"}},{"exact":{"severity":"critical"}}]}]"#,
        r#"{"severity":"critical"}"#,
        "The event matches: `/severity` is \"critical\", as the rule wants (`/filters/0/any`).",
    ),
    (
        r#"[{"any":[{"exact":{"type":"x"}},{"prefix":{"source":"/a"}}]}]"#,
        r#"{"type":"y","source":"/b"}"#,
        "The event matches none of the 2 alternatives. In `/filters/0/any/0`: `/type` is \"y\", but the rule wants \"x\" \
         (`/filters/0/any/0/exact/type`). In `/filters/0/any/1`: `/source` is \"/b\", but the rule wants a text that \
         starts with \"/a\" (`/filters/0/any/1/prefix/source`).",
    ),
    (
        r#"[{"not":{"all":[{"exact":{"type":"x"}},{"exact":{"id":"1"}}]}}]"#,
        r#"{"type":"x","id":"2"}"#,
        "The event matches by `/filters/0/not/all/1`: `/id` is \"2\", as the rule wants (any value except \"1\") \
         (`/filters/0/not/all/1/exact/id`).",
    ),
];

#[test]
fn explanations_name_the_filters() {
    for (filters, event, sentence) in SENTENCES {
        let pattern = Pattern::compile_filters(&value(filters)).unwrap();
        assert_eq!(pattern.explain(&value(event)).to_string(), sentence);
        let rule = json!({ "filters": value(filters) });
        for alternative in pattern.explain(&value(event)).alternatives {
            let places = alternative.clauses.iter().filter_map(|clause| clause.source.clone());
            for place in places.chain(alternative.branches) {
                assert!(rule.pointer(&place).is_some(), "{place} is not in {rule}");
            }
        }
    }
}

/// The specification word by word, with the one difference for suffixes of numbers.
fn literally(filters: &Value, event: &Value) -> bool {
    filters.as_array().unwrap().iter().all(|filter| holds(filter, event))
}

fn holds(filter: &Value, event: &Value) -> bool {
    let (dialect, operand) = filter.as_object().unwrap().iter().next().unwrap();
    match dialect.as_str() {
        "all" => literally(operand, event),
        "any" => operand.as_array().unwrap().iter().any(|filter| holds(filter, event)),
        "not" => !holds(operand, event),
        dialect => operand.as_object().unwrap().iter().all(|(name, text)| {
            let wanted = text.as_str().unwrap();
            let value = event.get(name).unwrap_or(&Value::Null);
            let seen = match value {
                Value::Null => return false,
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            match dialect {
                "exact" => seen == wanted,
                "prefix" => seen.starts_with(wanted),
                _ => seen.ends_with(wanted) && !value.is_number(),
            }
        }),
    }
}

/// Texts that meet numbers, booleans and each other.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab]{1,3}",
        "[0-9]{1,3}",
        "-[0-9]{0,2}",
        prop::sample::select(vec!["true", "false", "t", "e", "lse", "21474836", "-2147483648", "0", "-"])
            .prop_map(str::to_owned),
    ]
}

fn attribute() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["type", "id", "n", "urgent"])
}

fn filter() -> impl Strategy<Value = Value> {
    let compare = (
        prop::sample::select(vec!["exact", "prefix", "suffix"]),
        prop::collection::vec((attribute().prop_map(str::to_owned), text().prop_map(Value::from)), 1..3),
    );
    let leaf = compare.prop_map(|(dialect, attributes)| json!({ dialect: Map::from_iter(attributes) }));
    leaf.prop_recursive(4, 12, 3, |inner| {
        let list = prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            list.clone().prop_map(|list| json!({ "all": list })),
            list.prop_map(|list| json!({ "any": list })),
            inner.prop_map(|filter| json!({ "not": filter })),
        ]
    })
}

fn event() -> impl Strategy<Value = Value> {
    let extension = prop_oneof![
        text().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-30..60_i32).prop_map(Value::from),
        Just(Value::Null),
    ];
    (text(), text(), prop::option::of(extension.clone()), prop::option::of(extension)).prop_map(
        |(kind, id, n, urgent)| {
            let mut event = json!({ "specversion": "1.0", "source": "/s", "type": kind, "id": id });
            for (name, value) in [("n", n), ("urgent", urgent)] {
                if let Some(value) = value {
                    event[name] = value;
                }
            }
            event
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn compiled_filters_agree_with_filters_taken_literally(
        filters in prop::collection::vec(filter(), 1..4),
        events in prop::collection::vec(event(), 4),
    ) {
        let filters = Value::from(filters);
        match Pattern::compile_filters(&filters) {
            Ok(pattern) => for event in events {
                prop_assert_eq!(verdict(&pattern, &event), literally(&filters, &event), "{} on {}", filters, event);
            },
            // The generator can only exceed what multiplying out may give.
            Err(problem) => prop_assert!(problem.reason.starts_with("multiplied out"), "{problem} in {filters}"),
        }
    }
}
