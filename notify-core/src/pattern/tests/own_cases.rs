//! `resources/patterns/cases.jsonl`: the project's own verdicts, always run.

use super::support::{Case, lines, pattern, value, verdict, workspace};
use crate::pattern::operand::OPERATOR_NAMES;
use std::collections::BTreeSet;

#[test]
fn own_pattern_cases_have_their_verdicts() {
    let cases: Vec<Case> = lines(&workspace().join("resources/patterns/cases.jsonl"));
    assert!(cases.len() >= 150, "only {} cases", cases.len());
    let wrong: Vec<String> = cases
        .iter()
        .filter(|case| verdict(&pattern(case.pattern.get()), &value(case.event.get())) != case.matches)
        .map(|case| format!("{}: {} on {}, expected {}", case.name, case.pattern, case.event, case.matches))
        .collect();
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));

    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "a name is used twice");
    for operator in OPERATOR_NAMES {
        for verdict in [true, false] {
            let quoted = format!("\"{operator}\"");
            let covered = cases.iter().any(|c| c.matches == verdict && c.pattern.get().contains(&quoted));
            assert!(covered, "no case where {operator} gives {verdict}");
        }
    }
}

/// pattern, event, the sentence
const SENTENCES: [(&str, &str, &str); 8] = [
    (
        r#"{"type":["x"],"severity":[{"at-least":"high"}]}"#,
        r#"{"type":"x","severity":"low"}"#,
        "The event does not match: `/severity` is \"low\", wanted at-least \"high\".",
    ),
    (
        r#"{"type":["x",{"prefix":"y"}],"n":[{"exists":false}]}"#,
        r#"{"type":"yes"}"#,
        "The event matches: `/type` is \"yes\" as wanted (prefix \"y\"); `/n` is absent as wanted (no such field).",
    ),
    (
        r#"{"a":["x"],"b":[{"numeric":[">",0]},7]}"#,
        r#"{"b":[-1,-2.5]}"#,
        "The event does not match: `/a` is absent, wanted equals \"x\" and `/b` has 2 values from -1, wanted numeric \
         [\">\",0] or equals 7.",
    ),
    (
        r#"{"e":{"first":["Anna"],"last":["Smith"]}}"#,
        r#"{"e":[{"first":"Anna","last":"Jones"},{"first":"Peter","last":"Smith"}]}"#,
        "The event does not match: no single element of `/e` satisfies all of it: `/e/first` holds in `/e/0`, \
         `/e/last` holds in `/e/1`.",
    ),
    (
        r#"{"a":{"b":{"x":[1],"y":[2]}}}"#,
        r#"{"a":[{"b":0},{"b":[{"x":1},{"y":2}]}]}"#,
        "The event does not match: no single element of `/a/1/b` satisfies all of it: `/a/b/x` holds in `/a/1/b/0`, \
         `/a/b/y` holds in `/a/1/b/1`.",
    ),
    (
        r#"{"$or":[{"a":[1]},{"b":[{"anything-but":{"prefix":["x","y"]}}]}]}"#,
        r#"{"b":"xx"}"#,
        "The event does not match: in branch /$or/0 `/a` is absent, wanted equals 1; in branch /$or/1 `/b` is \"xx\", \
         wanted anything-but {\"prefix\":[\"x\",\"y\"]}.",
    ),
    // `/d/b` is there, but not in the element that `/d/a` chose, by an entry beside `exists: false`.
    (
        r#"{"d":{"a":[{"exists":false},"x"],"b":[{"exists":false}]}}"#,
        r#"{"d":[{"a":"x"},{"b":1}]}"#,
        "The event matches: `/d/a` is \"x\" as wanted (equals \"x\"); `/d/b` is absent in the \
         chosen element as wanted (no such field).",
    ),
    (
        r#"{"$or":[{"a":[1]},{"b":[2]}]}"#,
        r#"{"b":2.0}"#,
        "The event matches by branch /$or/1: `/b` is 2.0 as wanted (equals 2).",
    ),
];

#[test]
fn pattern_explanations_read_as_sentences() {
    for (text, event, sentence) in SENTENCES {
        assert_eq!(pattern(text).explain(&value(event)).to_string(), sentence);
    }
}

#[test]
fn pattern_explanation_is_machine_readable() {
    let explanation =
        pattern(r#"{"d":{"a":["x"],"b":[{"exists":false}]}}"#).explain(&value(r#"{"d":[{"a":"x","b":1}]}"#));
    let expected = r#"{"matched":false,"alternatives":[{"matched":false,"clauses":[
        {"path":"/d/a","matched":true,"anyOf":[{"operator":"equals","operand":"x","matched":true}],
         "seen":[{"at":"/d/0/a","value":"x"}],"seenTotal":1},
        {"path":"/d/b","matched":false,"anyOf":[{"operator":"exists","operand":false,"matched":false}],
         "seen":[{"at":"/d/0/b","value":1}],"seenTotal":1}]}]}"#;
    assert_eq!(serde_json::to_value(explanation).unwrap(), value(expected));
}
