//! Reading case files and judging one case.

use crate::json::{self, Limits};
use crate::pattern::evaluate::{Select, fit};
use crate::pattern::{Alternative, Explanation, Found, Pattern, explain};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One line of a file of cases. The texts stay raw, so that numbers keep their spelling until our own parser.
#[derive(Deserialize)]
pub(in crate::pattern) struct Case {
    pub(in crate::pattern) name: String,
    pub(in crate::pattern) pattern: Box<RawValue>,
    pub(in crate::pattern) event: Box<RawValue>,
    pub(in crate::pattern) matches: bool,
    #[serde(default)]
    pub(in crate::pattern) tags: Vec<String>,
}

pub(in crate::pattern) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(in crate::pattern) fn lines<T: for<'t> Deserialize<'t>>(file: &Path) -> Vec<T> {
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let parse =
        |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{}: {e}: {line}", file.display()));
    text.lines().filter(|line| !line.trim().is_empty()).map(parse).collect()
}

/// `None`, and says so, when the project's shared folder is not there (a clone without it).
pub(in crate::pattern) fn shared_conformance(file: &str) -> Option<PathBuf> {
    let path = workspace().join("../shared/conformance").join(file);
    if !path.exists() {
        eprintln!("SKIPPED: {} is not there; only the project's own cases were run", path.display());
        return None;
    }
    Some(path)
}

pub(in crate::pattern) fn value(text: &str) -> Value {
    let limits = Limits { max_bytes: 1 << 20, max_depth: 64 };
    json::parse(text.as_bytes(), limits).unwrap_or_else(|e| panic!("{e}: {text}"))
}

pub(in crate::pattern) fn pattern(text: &str) -> Pattern {
    Pattern::compile(&value(text)).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// The verdict, after checking that the explanation agrees with it in every part.
pub(in crate::pattern) fn verdict(pattern: &Pattern, event: &Value) -> bool {
    let matched = pattern.matches(event);
    let explanation = pattern.explain(event);
    assert_eq!(explanation.matched, matched, "{explanation}");
    check_parts(&explanation, event);
    check_counts(pattern, &explanation, event);
    matched
}

/// The cheap count is that of the explanation, and each clause by itself is what the evaluator says of it.
fn check_counts(pattern: &Pattern, explanation: &Explanation, event: &Value) {
    let failed = explanation.alternatives.iter().map(Alternative::failed).min().unwrap();
    assert_eq!(pattern.misses(event, usize::MAX, &mut 0), failed, "{explanation}");
    for most in 0..3 {
        let counted = pattern.misses(event, most, &mut 0);
        assert_eq!(counted.min(most + 1), failed.min(most + 1), "up to {most}: {explanation}");
    }
    for conjunction in pattern.conjunctions.iter() {
        for entry in explain::entries(&conjunction.root).into_iter().take(50) {
            let by_itself = explain::alone(&entry.test, &entry.steps, event, &mut 0);
            assert_eq!(by_itself, fit(&conjunction.root, event, Only(entry.id)), "{:?}", entry.steps);
        }
    }
}

/// One test of all.
#[derive(Clone, Copy)]
struct Only(usize);

impl Select for Only {
    fn wants(self, id: usize) -> bool {
        id == self.0
    }
    fn wants_any(self, ids: Range<usize>) -> bool {
        ids.contains(&self.0)
    }
}

fn check_parts(explanation: &Explanation, event: &Value) {
    assert_eq!(explanation.matched, explanation.alternatives.iter().any(|a| a.matched));
    for alternative in &explanation.alternatives {
        let every_clause = alternative.clauses.iter().all(|clause| clause.matched);
        if alternative.matched {
            assert!(every_clause, "matched with a failed clause: {explanation}");
        } else if event.is_object() {
            assert_eq!(
                every_clause,
                alternative.conflict.is_some(),
                "a miss without a reason: {explanation:?}"
            );
        }
        for element in alternative.conflict.iter().flat_map(|conflict| &conflict.elements) {
            assert!(event.pointer(&element.element).is_some(), "{element:?} of {event}");
            assert!(!element.fails.is_empty(), "an element that disagrees about nothing: {explanation:?}");
            for seen in element.fails.iter().filter_map(|fails| fails.seen.as_ref()) {
                assert_eq!(
                    event.pointer(&seen.at).map(crate::pattern::explain::cut).as_ref(),
                    Some(&seen.value)
                );
            }
        }
        for clause in &alternative.clauses {
            let any = clause.any_of.iter().any(|choice| choice.matched);
            assert!(any || !clause.matched, "holds without a choice that holds: {explanation}");
            assert_eq!(clause.seen.is_empty(), clause.seen_total == 0);
            assert_eq!(clause.seen.is_empty(), clause.found != Found::Values);
            assert!(clause.sentence.contains(&format!("`{}`", clause.path)), "{}", clause.sentence);
            assert!(!clause.wants.is_empty() && !clause.has.is_empty(), "{clause:?}");
            for seen in &clause.seen {
                assert!(event.pointer(&seen.at).is_some(), "{} is not in {event}", seen.at);
            }
        }
    }
    assert!(!explanation.sentence.contains(": .") && explanation.sentence.ends_with('.'), "{explanation}");
    assert!(serde_json::to_value(explanation).is_ok());
}
