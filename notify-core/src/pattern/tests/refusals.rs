//! `resources/patterns/invalid.jsonl`: what is refused, and where the problem points to.

use super::support::{lines, value, workspace};
use crate::pattern::Pattern;
use crate::problem::Code;
use serde::Deserialize;

#[derive(Deserialize)]
struct Invalid {
    name: String,
    pattern_text: String,
    path: String,
}

#[test]
fn own_invalid_patterns_are_refused_at_the_right_place() {
    let cases: Vec<Invalid> = lines(&workspace().join("resources/patterns/invalid.jsonl"));
    assert!(cases.len() >= 50, "only {} cases", cases.len());
    for case in cases {
        let Err(problem) = Pattern::compile(&value(&case.pattern_text)) else {
            panic!("{} was accepted: {}", case.name, case.pattern_text)
        };
        assert_eq!(problem.code, Code::InvalidPattern, "{}", case.name);
        assert_eq!(problem.path, case.path, "{}: {problem}", case.name);
        assert!(!problem.reason.is_empty() && !problem.fix.is_empty(), "{}: {problem}", case.name);
    }
}

#[test]
fn patterns_at_the_limits_are_accepted() {
    let branches: Vec<String> = (0..64).map(|i| format!(r#"{{"a":[{i}]}}"#)).collect();
    let values: Vec<String> = (0..1_024).map(|i| i.to_string()).collect();
    for text in [
        format!(r#"{{"$or":[{}]}}"#, branches.join(",")),
        format!(r#"{{"a":[{}]}}"#, values.join(",")),
        format!("{}[1]{}", r#"{"a":"#.repeat(32), "}".repeat(32)),
        format!(r#"{{"a":[{{"wildcard":"{}"}}]}}"#, "a*".repeat(32)),
    ] {
        assert!(Pattern::compile(&value(&text)).is_ok(), "{text}");
    }
}

/// What is meant to hurt is refused before anything is multiplied out, at the place where the limit is passed.
#[test]
fn hostile_patterns_are_refused() {
    let list =
        |count: usize, one: &dyn Fn(usize) -> String| (0..count).map(one).collect::<Vec<_>>().join(",");
    let values = list(10_000, &|n| n.to_string());
    let branches = list(10_000, &|n| format!(r#"{{"a":[{n}]}}"#));
    let pair = r#"[{"a":[1]},{"b":[1]}]"#;
    let product = list(40, &|n| format!(r#""f{n}":{{"$or":{pair}}}"#));
    for (text, path) in [
        (format!(r#"{{"a":[{values}]}}"#), "/a/1024"),
        (format!(r#"{{"a":[{{"anything-but":[{values}]}}]}}"#), "/a/0/anything-but/1023"),
        (format!(r#"{{"$or":[{branches}]}}"#), "/$or/1024/a/0"),
        (format!("{{{product}}}"), ""),
        (format!("{}[1]{}", r#"{"a":"#.repeat(40), "}".repeat(40)), &"/a".repeat(32)),
        (format!(r#"{{"a":[{{"wildcard":"{}"}}]}}"#, "*a".repeat(500)), "/a/0/wildcard"),
        (format!(r#"{{"a":["{}"]}}"#, "x".repeat(100_000)), "/a/0"),
        (format!(r#"{{"{}":[1]}}"#, "x".repeat(100_000)), ""),
    ] {
        let problem = Pattern::compile(&value(&text)).expect_err(&text[..60]);
        assert_eq!(problem.path, path, "{problem}");
        assert!(
            !problem.reason.is_empty() && !problem.fix.is_empty() && problem.reason.len() < 200,
            "{problem}"
        );
    }
}
