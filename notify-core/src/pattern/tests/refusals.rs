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
