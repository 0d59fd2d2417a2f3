//! The parsers against `resources/samples/documents` and against the published schemas: API and CLI use the former,
//! editors and other programs the latter, and both must say the same.

use super::*;
use crate::event::{Event, EventLimits};
use crate::ids::TenantId;
use crate::jcs::tests::any_json;
use crate::message::Message;
use crate::problem::Problem;
use crate::yaml;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const KINDS: [&str; 12] = [
    "rule",
    "channel",
    "template",
    "bundle",
    "message",
    "event",
    "silence",
    "inhibition",
    "override",
    "calendar",
    "contact",
    "policy",
];

fn resources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../resources")
}

fn document_kind(kind: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|k| k.as_str() == kind)
}

/// The canonical text, or the problem. Messages come from our own renderer, so their parser is plain serde.
fn parse(kind: &str, value: &Value) -> Result<String, Problem> {
    match (document_kind(kind), kind) {
        (Some(kind), _) => parse_any(kind, value).map(|(_, text, _)| text),
        (None, "event") => {
            let tenant = TenantId::new("acme").unwrap();
            Event::from_value(&tenant, value.clone(), &EventLimits::default()).map(|event| event.body)
        }
        _ => serde_json::from_value::<Message>(value.clone())
            .map(|message| serde_json::to_string(&message).unwrap())
            .map_err(|error| Problem::new(crate::problem::Code::Internal, "message", error.to_string(), "-")),
    }
}

fn schemas() -> BTreeMap<&'static str, jsonschema::Validator> {
    let load = |kind| {
        let text = std::fs::read(resources().join(format!("schemas/{kind}.schema.json"))).unwrap();
        let schema: Value = serde_json::from_slice(&text).unwrap();
        jsonschema::meta::validate(&schema).unwrap_or_else(|e| panic!("{kind}: {e}"));
        for field in ["title", "description", "$id"] {
            assert!(schema[field].is_string(), "{kind}: {field}");
        }
        let validator =
            jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap();
        for example in schema["examples"].as_array().unwrap() {
            let errors: Vec<_> = validator.iter_errors(example).map(|e| e.to_string()).collect();
            assert_eq!(errors, Vec::<String>::new(), "{kind}");
            assert!(parse(kind, example).is_ok(), "{kind}");
        }
        (kind, validator)
    };
    KINDS.into_iter().map(load).collect()
}

/// (file name, kind, text) of a folder of samples.
fn samples(folder: &str) -> Vec<(String, String, String)> {
    let mut found: Vec<_> = std::fs::read_dir(resources().join(folder))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let kind = name.split('-').next().unwrap().to_owned();
            (name, kind, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{folder}");
    found
}

#[test]
fn good_documents_are_accepted_by_parser_and_schema() {
    let schemas = schemas();
    for (name, kind, text) in samples("samples/documents/good") {
        let value = yaml::parse_document(text.as_bytes(), None, yaml::DOCUMENT_LIMITS).unwrap();
        let errors: Vec<_> = schemas[kind.as_str()].iter_errors(&value).map(|e| e.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{name}");
        let canonical = parse(&kind, &value).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        // What was accepted is accepted again, as the same text, also by way of YAML.
        let again: Value = serde_json::from_str(&canonical).unwrap();
        assert_eq!(parse(&kind, &again), Ok(canonical.clone()), "{name}");
        assert!(schemas[kind.as_str()].is_valid(&again), "{name}");
        let yaml = yaml::parse(yaml::to_yaml(&again).as_bytes(), yaml::DOCUMENT_LIMITS).unwrap();
        assert_eq!(parse(&kind, &yaml), Ok(canonical), "{name}");
    }
}

#[test]
fn bad_documents_are_refused_by_both_and_the_parser_says_where() {
    let schemas = schemas();
    for (name, kind, text) in samples("samples/documents/bad") {
        let expected = text.lines().next().unwrap().strip_prefix("# expect: ").unwrap();
        let (expected, beyond) =
            expected.strip_suffix(" (beyond the schema)").map_or((expected, false), |rest| (rest, true));
        let value = yaml::parse_document(text.as_bytes(), None, yaml::DOCUMENT_LIMITS).unwrap();
        let problem = parse(&kind, &value).expect_err(&name);
        let shown = if kind == "message" {
            "message".to_owned()
        } else {
            format!("{} {}", problem.code, problem.path)
        };
        assert_eq!(shown.trim_end(), expected.trim_end(), "{name}: {problem}");
        assert!(!problem.reason.is_empty() && !problem.fix.is_empty(), "{name}");
        assert!(!problem.to_string().contains("cGFzdGVk"), "{name}: a pasted secret is shown");
        assert_eq!(schemas[kind.as_str()].is_valid(&value), beyond, "{name}");
    }
}

#[test]
fn shipped_rules_and_channels_are_valid() {
    let schemas = schemas();
    for (folder, kind) in
        [("rules", "rule"), ("channels", "channel"), ("calendars", "calendar"), ("contacts", "contact")]
    {
        for (name, _, text) in samples(folder) {
            let value = yaml::parse(text.as_bytes(), yaml::DOCUMENT_LIMITS).unwrap();
            parse(kind, &value).unwrap_or_else(|problem| panic!("{name}: {problem}"));
            assert!(schemas[kind].is_valid(&value), "{name}");
            assert_eq!(value["id"], json!(name), "the file is named after its id");
        }
    }
}

#[test]
fn the_digest_is_of_the_content_and_not_of_its_form() {
    let digest = |text: &str| {
        let value = yaml::parse_document(text.as_bytes(), None, yaml::DOCUMENT_LIMITS).unwrap();
        parse_rule(&value).unwrap().2
    };
    let base =
        digest("schema: notify-rule@1\nid: a\nname: A\nmatch: {n: [1]}\nactions: [{id: x, channel: c}]\n");
    assert_eq!(base.len(), 71);
    assert_eq!(
        digest(
            r#"{"actions":[{"channel":"c","id":"x"}],"match":{"n":[1.0]},"enabled":true,"priority":0,"labels":{},"name":"A","id":"a","schema":"notify-rule@1"}"#
        ),
        base
    );
    assert_ne!(
        digest("schema: notify-rule@1\nid: a\nname: B\nmatch: {n: [1]}\nactions: [{id: x, channel: c}]\n"),
        base
    );
}

#[test]
fn unknown_fields_get_a_suggestion() {
    let check = |value: Value, fix: &str| {
        let problem = parse_rule(&value).unwrap_err();
        assert!(problem.fix.starts_with(fix), "{problem}");
    };
    let base = |member: &str| json!({"schema": "notify-rule@1", member: 1});
    check(base("Match"), "did you mean `match`?");
    check(base("action"), "did you mean `actions`?");
    check(base("filter"), "did you mean `filters`?");
    check(base("recipients"), "known here: schema, id, name");
    let action = json!({"schema": "notify-rule@1", "id": "a", "name": "A", "match": {}, "actions": [{"id": "x", "channel": "c", "quiet_hours": 1}]});
    check(action, "did you mean `quietHours`?");
}

#[test]
fn the_tests_of_a_rule_are_bounded_together() {
    let check = |bytes: usize, accepted: bool| {
        let test = json!({ "event": { "data": "x".repeat(bytes) }, "match": false });
        let rule = json!({
            "schema": "notify-rule@1", "id": "a", "name": "A", "match": { "type": ["x"] },
            "actions": [{ "id": "x", "channel": "c" }], "tests": [test, test],
        });
        let refused = parse_rule(&rule).err().map(|problem| problem.path);
        assert_eq!(refused, (!accepted).then(|| "/tests".to_owned()), "{bytes}");
    };
    check(MAX_TESTS_BYTES / 2 - 100, true);
    check(MAX_TESTS_BYTES / 2, false);
}

/// A valid document of each kind with one member, at the top or one level down, replaced or added.
fn edited() -> impl Strategy<Value = (&'static str, Value)> {
    let whole = samples("samples/documents/good");
    let bases: Vec<(&'static str, Value)> = whole
        .into_iter()
        // Messages come from our renderer and are read by plain serde, which takes a list for a struct too.
        .filter(|(_, kind, _)| kind != "message")
        .filter_map(|(_, kind, text)| {
            let kind = KINDS.into_iter().find(|k| *k == kind)?;
            Some((kind, yaml::parse(text.as_bytes(), yaml::DOCUMENT_LIMITS).ok()?))
        })
        .collect();
    let small = prop_oneof![
        any_json(),
        "[a-z0-9A-Z_.:/ é%-]{0,12}".prop_map(Value::from),
        (-10i64..200).prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
    ];
    (prop::sample::select(bases), any::<prop::sample::Index>(), any::<prop::sample::Index>(), small).prop_map(
        |((kind, mut base), at, below, value)| {
            let members = base.as_object_mut().unwrap();
            let index = at.index(members.len());
            let target = members.values_mut().nth(index).unwrap();
            match target {
                Value::Object(inner) if !inner.is_empty() => {
                    let index = below.index(inner.len());
                    *inner.values_mut().nth(index).unwrap() = value;
                }
                Value::Array(items) if !items.is_empty() => {
                    let index = below.index(items.len());
                    match &mut items[index] {
                        Value::Object(inner) if !inner.is_empty() => {
                            let index = at.index(inner.len());
                            *inner.values_mut().nth(index).unwrap() = value;
                        }
                        other => *other = value,
                    }
                }
                other => *other = value,
            }
            (kind, base)
        },
    )
}

/// Texts with a grammar of their own, and what needs the database of zones.
fn beyond_the_schema(kind: &str, problem: &Problem) -> bool {
    const PARTS: [&str; 18] = [
        "timeZone",
        "rrule",
        "start",
        "duration",
        "from",
        "to",
        "times",
        "dates",
        "daysOfMonth",
        "years",
        "weekly",
        "include",
        "exclude",
        "ical",
        "timeIntervals",
        "holidays",
        "per",
        "members",
    ];
    ["calendar", "contact"].contains(&kind)
        && problem.code != crate::problem::Code::UnknownField
        && problem.path.split('/').any(|part| PARTS.contains(&part))
}

/// Numbers against each other, and how long a duration is, are nothing that JSON Schema could say.
fn is_beyond_the_schemas(problem: &Problem) -> bool {
    problem.code == crate::problem::Code::TenantMismatch
        || problem.fix.starts_with("write 1s to ")
        || ["`ends` is above", "`cap` is shorter"].iter().any(|reason| problem.reason.starts_with(reason))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn schema_and_parser_agree_on_edited_documents(cases in prop::collection::vec(edited(), 8)) {
        thread_local!(static SCHEMAS: BTreeMap<&'static str, jsonschema::Validator> = schemas());
        for (kind, value) in cases {
            let ours = parse(kind, &value);
            // Known to be beyond the schemas.
            if ours.as_ref().is_err_and(|problem| beyond_the_schema(kind, problem)) {
                continue;
            }
            if ours.as_ref().is_err_and(is_beyond_the_schemas) {
                continue;
            }
            let valid = SCHEMAS.with(|schemas| schemas[kind].is_valid(&value));
            prop_assert_eq!(ours.is_ok(), valid, "{} {} {:?}", kind, value, ours);
        }
    }

    #[test]
    fn arbitrary_values_never_panic(value in any_json(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for kind in KINDS {
            let _ = parse(kind, &value);
        }
        if let Ok(value) = yaml::parse_document(&bytes, None, yaml::DOCUMENT_LIMITS) {
            for kind in Kind::ALL {
                let _ = parse_any(kind, &value);
            }
        }
    }
}
