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
const SENTENCES: &[(&str, &str, &str)] = &[
    (
        r#"{"data":{"summary":{"newCritical":[{"numeric":[">",0]}]}}}"#,
        r#"{"data":{"summary":{"newCritical":0}}}"#,
        "The event does not match: `/data/summary/newCritical` is 0, but the rule wants a number greater than 0.",
    ),
    (
        r#"{"type":["x"],"severity":[{"at-least":"high"}]}"#,
        r#"{"type":"x","severity":"low"}"#,
        "The event does not match: `/severity` is \"low\", but the rule wants a severity of high or above.",
    ),
    (
        r#"{"s":[{"at-most":"low"}],"t":[{"at-least":"low"}]}"#,
        r#"{"s":"Low","t":"urgent"}"#,
        "The event does not match: `/s` is \"Low\", but the rule wants a severity of low or below (severities are written \
         in lower case); `/t` is \"urgent\", but the rule wants a severity of low or above (and that is no severity).",
    ),
    (
        r#"{"type":["x",{"prefix":"y"}],"n":[{"exists":false}]}"#,
        r#"{"type":"yes"}"#,
        "The event matches: `/type` is \"yes\", as the rule wants (a text that starts with \"y\"); `/n` is absent, as the \
         rule wants.",
    ),
    (
        r#"{"a":["x"],"b":[{"numeric":[">",0]},7]}"#,
        r#"{"b":[-1,-2.5]}"#,
        "The event does not match: `/a` is absent, but the rule wants \"x\"; `/b` has the values -1 and -2.5, but the rule \
         wants one that is a number greater than 0 or 7.",
    ),
    (
        r#"{"a":[5],"b":["5"],"c":["x"],"d":["x"],"e":[{"exists":false}],"f":[{"exists":true}]}"#,
        r#"{"a":"5","b":5,"c":{"x":1},"d":[],"e":1}"#,
        "The event does not match: `/a` is the text \"5\", but the rule wants 5; `/b` is the number 5, but the rule wants \
         \"5\"; `/c` is an object, not a single value, but the rule wants \"x\"; `/d` is an empty list, but the rule wants \
         \"x\"; `/e` is 1, but the rule wants it to be absent; `/f` is absent, but the rule wants any value.",
    ),
    (
        r#"{"e":{"first":["Anna"],"last":["Smith"]}}"#,
        r#"{"e":[{"first":"Anna","last":"Jones"},{"first":"Peter","last":"Smith"}]}"#,
        "The event does not match: each condition holds for some element of the list `/e`, but no element meets them all: \
         in `/e/0` `/e/last` is \"Jones\", but the rule wants \"Smith\"; in `/e/1` `/e/first` is \"Peter\", but the rule \
         wants \"Anna\".",
    ),
    // The element that satisfies most is the one to start from.
    (
        r#"{"e":{"x":[1],"y":[2],"z":[3]}}"#,
        r#"{"e":[{"x":1},{"x":0,"y":2,"z":3}]}"#,
        "The event does not match: each condition holds for some element of the list `/e`, but no element meets them all: \
         in `/e/1` `/e/x` is 0, but the rule wants 1; in `/e/0` `/e/y` is absent, but the rule wants 2 and `/e/z` is \
         absent, but the rule wants 3.",
    ),
    (
        r#"{"a":{"b":{"x":[1],"y":[2]}}}"#,
        r#"{"a":[{"b":0},{"b":[{"x":1},{"y":2}]}]}"#,
        "The event does not match: each condition holds for some element of the list `/a/1/b`, but no element meets them \
         all: in `/a/1/b/0` `/a/b/y` is absent, but the rule wants 2; in `/a/1/b/1` `/a/b/x` is absent, but the rule wants \
         1.",
    ),
    (
        r#"{"$or":[{"a":[1]},{"b":[{"anything-but":{"prefix":["x","y"]}}]}]}"#,
        r#"{"b":"xx"}"#,
        "The event matches none of the 2 alternatives. In `/$or/0`: `/a` is absent, but the rule wants 1. In `/$or/1`: \
         `/b` is \"xx\", but the rule wants any value that does not start with \"x\" or \"y\".",
    ),
    // `/d/b` is there, but not in the element that `/d/a` chose, by an entry beside `exists: false`.
    (
        r#"{"d":{"a":[{"exists":false},"x"],"b":[{"exists":false}]}}"#,
        r#"{"d":[{"a":"x"},{"b":1}]}"#,
        "The event matches: `/d/a` is \"x\", as the rule wants; `/d/b` is absent in the list element that the other \
         conditions chose, as the rule wants.",
    ),
    (
        r#"{"$or":[{"a":[1]},{"b":[2]}]}"#,
        r#"{"b":[0,2.0]}"#,
        "The event matches by `/$or/1`: one of the 2 values of `/b` is 2.0, as the rule wants.",
    ),
    (r#"{"a":[1]}"#, "[]", "The event does not match: it is no object, and rules look at the fields of one."),
];

/// An entry of a list, in words.
const WISHES: &[(&str, &str)] = &[
    (r#""x""#, r#""x""#),
    ("5.0", "5"),
    ("null", "null"),
    (r#"{"prefix":"x"}"#, r#"a text that starts with "x""#),
    (r#"{"prefix":""}"#, "any text"),
    (r#"{"suffix":"x"}"#, r#"a text that ends with "x""#),
    (r#"{"equals-ignore-case":"x"}"#, r#""x" in upper or lower case"#),
    (r#"{"prefix":{"equals-ignore-case":"x"}}"#, r#"a text that starts with "x" in upper or lower case"#),
    (r#"{"suffix":{"equals-ignore-case":"x"}}"#, r#"a text that ends with "x" in upper or lower case"#),
    (r#"{"wildcard":"a*b"}"#, r#"a text of the form "a*b""#),
    (r#"{"numeric":["=",3]}"#, "the number 3"),
    (r#"{"numeric":["<=",3]}"#, "a number of at most 3"),
    (r#"{"numeric":[">=",0,"<",10]}"#, "a number of at least 0 and less than 10"),
    (r#"{"cidr":"10.0.0.0/8"}"#, "an IP address in 10.0.0.0/8"),
    (r#"{"at-least":"high"}"#, "a severity of high or above"),
    (r#"{"at-most":"low"}"#, "a severity of low or below"),
    (r#"{"exists":true}"#, "any value"),
    (r#"{"exists":false}"#, "no value at all"),
    (r#"{"anything-but":"x"}"#, r#"any value except "x""#),
    (r#"{"anything-but":[1,2,3]}"#, "any value except 1, 2 or 3"),
    (r#"{"anything-but":{"suffix":"x"}}"#, r#"any value that does not end with "x""#),
    (r#"{"anything-but":{"wildcard":"*x"}}"#, r#"any value that is not of the form "*x""#),
    (r#"{"anything-but":{"equals-ignore-case":"x"}}"#, r#"any value except "x" in upper or lower case"#),
    ("1,2,3,4,5,6", "1, 2, 3, 4, 5 or 6"),
    ("1,2,3,4,5,6,7", "1, 2, 3, 4, 5 or 2 other things"),
];

#[test]
fn every_operator_has_words() {
    for (list, wants) in WISHES {
        let explanation = pattern(&format!(r#"{{"f":[{list}]}}"#)).explain(&value("{}"));
        assert_eq!(explanation.alternatives[0].clauses[0].wants, *wants);
    }
    for operator in OPERATOR_NAMES {
        assert!(WISHES.iter().any(|(list, _)| list.contains(&format!("\"{operator}\""))), "{operator}");
    }
}

#[test]
fn pattern_explanations_read_as_sentences() {
    for (text, event, sentence) in SENTENCES {
        assert_eq!(pattern(text).explain(&value(event)).to_string(), *sentence);
    }
}

#[test]
fn pattern_explanation_is_machine_readable() {
    let explanation =
        pattern(r#"{"d":{"a":["x"],"b":[{"exists":false}]}}"#).explain(&value(r#"{"d":[{"a":"x","b":1}]}"#));
    let expected = r#"{"matched":false,
        "sentence":"The event does not match: `/d/b` is 1, but the rule wants it to be absent.",
        "alternatives":[{"matched":false,"clauses":[
        {"path":"/d/a","matched":true,"sentence":"`/d/a` is \"x\", as the rule wants","wants":"\"x\"","has":"\"x\"",
         "anyOf":[{"operator":"equals","operand":"x","matched":true}],
         "found":"values","seen":[{"at":"/d/0/a","value":"x","matched":true}],"seenTotal":1},
        {"path":"/d/b","matched":false,"sentence":"`/d/b` is 1, but the rule wants it to be absent",
         "wants":"no value at all","has":"1","anyOf":[{"operator":"exists","operand":false,"matched":false}],
         "found":"values","seen":[{"at":"/d/0/b","value":1,"matched":false}],"seenTotal":1}]}]}"#;
    assert_eq!(serde_json::to_value(explanation).unwrap(), value(expected));
}

/// The two elements that disagree, each with the value that does.
#[test]
fn elements_that_disagree_are_named_with_their_values() {
    let explanation = pattern(r#"{"e":{"x":[1],"y":[2],"z":[3]}}"#)
        .explain(&value(r#"{"e":[{"x":7},{"x":1,"y":[5,6]},{"x":0,"y":2,"z":3}]}"#));
    let expected = r#"[
        {"element":"/e/2","holds":["/e/y","/e/z"],
         "fails":[{"path":"/e/x","at":"/e/2/x","value":0,"matched":false,"wants":"1","has":"0"}]},
        {"element":"/e/1","holds":["/e/x"],"fails":[
          {"path":"/e/y","at":"/e/1/y/0","value":5,"matched":false,"wants":"2","has":"5 and 1 more"},
          {"path":"/e/z","wants":"3","has":"absent"}]}]"#;
    let conflict = explanation.alternatives[0].conflict.as_ref().unwrap();
    assert_eq!(serde_json::to_value(&conflict.elements).unwrap(), value(expected));
    assert_eq!(explanation.alternatives[0].failed(), 1);
}

/// With a thousand clauses and elements each, what looks past all clauses at every step would not end.
#[test]
fn explaining_costs_no_more_than_matching_may() {
    let fields: Vec<String> = (0..1_000).map(|i| format!(r#""f{i}":[{{"exists":false}}]"#)).collect();
    let elements: Vec<String> = (0..4_000).map(|i| format!(r#"{{"f{}":1}}"#, i % 1_000)).collect();
    let event = value(&format!(r#"{{"d":[{{"g":1}},{}]}}"#, elements.join(",")));
    let hostile = pattern(&format!(r#"{{"d":{{{},"g":[2]}}}}"#, fields.join(",")));
    assert!(!hostile.explain(&event).matched);
    let mut work = 0;
    assert!(hostile.misses(&event, usize::MAX, &mut work) > 1);
    assert!(work < 20_000_000, "{work}");
}
