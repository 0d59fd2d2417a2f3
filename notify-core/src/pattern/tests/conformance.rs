//! The shared suites: verdicts of event-ruler and quamina.

use super::support::{Case, lines, shared_conformance, value, verdict};
use crate::json::{self, Limits};
use crate::pattern::Pattern;
use crate::problem::{Code, Problem};
use serde::Deserialize;

/// Tags under which we may differ, as `docs/patterns.md` says under "Deliberate differences".
const DOCUMENTED: [&str; 2] = ["dotted-name", "or-branch-overrides-sibling"];
/// The cases that do differ, so that neither a new difference nor a lost one goes unseen.
const DIFFERENT: [&str; 6] = [
    "JsonRuleCompilerTest/testWithRuleOverride/2",
    "MachineTest/testDeleteMixedOperatorShapeWithSharedWildcard/1",
    "MachineTest/testDeleteMixedOperatorShapeWithSharedWildcard/2",
    "MachineTest/testIssue255WildcardDeleteRuleGhost/1",
    "MachineTest/testIssue255WildcardDeleteRuleOrderIndependent/1",
    "MachineTest/testIssue255WildcardPlusNumericDeleteRuleCorruption/1",
];

#[test]
fn pattern_cases_agree_except_the_documented_ones() {
    let Some(file) = shared_conformance("pattern-cases.jsonl") else { return };
    let cases: Vec<Case> = lines(&file);
    assert!(cases.len() >= 2_038, "only {} cases", cases.len());
    let mut different = Vec::new();
    let mut wrong = Vec::new();
    for case in &cases {
        let verdict = match Pattern::compile(&value(case.pattern.get())) {
            Ok(pattern) => Ok(verdict(&pattern, &value(case.event.get()))),
            Err(problem) => Err(problem.to_string()),
        };
        if verdict == Ok(case.matches) {
            continue;
        }
        if case.tags.iter().any(|tag| DOCUMENTED.contains(&tag.as_str())) {
            different.push(case.name.as_str());
        } else {
            wrong.push(format!("{}: {} on {}: {verdict:?}", case.name, case.pattern, case.event));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    different.sort_unstable();
    assert_eq!(different, DIFFERENT);
}

#[derive(Deserialize)]
struct Invalid {
    name: String,
    pattern_text: String,
}

#[test]
fn invalid_patterns_are_refused_with_place_and_reason() {
    let Some(file) = shared_conformance("pattern-invalid.jsonl") else { return };
    let cases: Vec<Invalid> = lines(&file);
    assert!(cases.len() >= 93, "only {} cases", cases.len());
    for case in cases {
        let parsed = json::parse(case.pattern_text.as_bytes(), Limits::default());
        let problem = match parsed {
            Err(fault) => Problem::from(fault),
            Ok(pattern) => match Pattern::compile(&pattern) {
                Err(problem) => {
                    assert_eq!(problem.code, Code::InvalidPattern);
                    assert!(problem.path.is_empty() || pattern.pointer(&problem.path).is_some(), "{problem}");
                    problem
                }
                Ok(_) => panic!("{} was accepted: {}", case.name, case.pattern_text),
            },
        };
        assert!(!problem.reason.is_empty() && !problem.fix.is_empty(), "{}: {problem}", case.name);
    }
}
