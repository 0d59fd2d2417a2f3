//! What is suspicious about rules that are valid: rules that can never match, that say the same twice, that cost much.
//!
//! Lint never refuses anything and is one-sided: what it calls impossible or covered certainly is, for every CloudEvent
//! that intake accepts; what it does not see may still be. Pure, so that the service, the command line and an editor
//! say the same. `docs/lint.md` lists the codes.

mod actions;
mod code;
mod fields;
mod rules;
#[cfg(test)]
mod tests;

pub use code::{Code, Level};

use crate::document::{EventType, Rule};
use crate::pattern::study::Study;
use crate::problem::Problem;
use serde::Serialize;

/// Findings of one kind that are listed for one rule; the last one says how many more there are.
const MAX_OF_A_KIND: usize = 20;

/// One thing that lint found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule's id.
    pub rule: String,
    pub code: Code,
    pub severity: Level,
    /// JSON Pointer into the rule.
    pub path: String,
    pub reason: String,
    pub fix: String,
    /// The rule that covers or repeats this one.
    #[serde(rename = "otherRule", skip_serializing_if = "Option::is_none")]
    pub other_rule: Option<String>,
}

impl Finding {
    pub(crate) fn new(
        code: Code,
        path: impl Into<String>,
        reason: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            rule: String::new(),
            code,
            severity: code.level(),
            path: path.into(),
            reason: reason.into(),
            fix: fix.into(),
            other_rule: None,
        }
    }

    /// A rule that the service would refuse.
    #[must_use]
    pub fn invalid(rule: &str, problem: &Problem) -> Self {
        let reason = format!("{}: {}", problem.code, problem.reason);
        Self { rule: rule.to_owned(), ..Self::new(Code::InvalidRule, &problem.path, reason, &problem.fix) }
    }
}

/// A rule with its pattern opened up.
struct Opened<'r> {
    rule: &'r Rule,
    study: Study,
}

/// What is to be said of these rules together, ordered by rule, place and code. `types` are the registered event types.
#[must_use]
pub fn lint(rules: &[Rule], types: &[EventType]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut opened = Vec::with_capacity(rules.len());
    for rule in rules {
        let mut own = actions::lint(rule);
        match Study::of(rule) {
            Ok(study) => {
                own.extend(study.findings());
                own.extend(fields::lint(&study, types));
                opened.push(Opened { rule, study });
            }
            Err(problem) => own.push(Finding::invalid("", &problem)),
        }
        findings.extend(limited(own).into_iter().map(|f| Finding { rule: rule.id.to_string(), ..f }));
    }
    findings.extend(rules::lint(&opened));
    sort(&mut findings);
    findings
}

/// By rule, place and code.
pub fn sort(findings: &mut [Finding]) {
    findings.sort_by(|a, b| (&a.rule, &a.path, a.code).cmp(&(&b.rule, &b.path, b.code)));
}

fn limited(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by(|a, b| (a.code, &a.path, &a.reason).cmp(&(b.code, &b.path, &b.reason)));
    // One test may stand in many branches.
    findings.dedup_by(|a, b| a.code == b.code && a.path == b.path);
    let mut kept: Vec<Finding> = Vec::new();
    for group in findings.chunk_by(|a, b| a.code == b.code) {
        kept.extend(group.iter().take(MAX_OF_A_KIND).cloned());
        let more = group.len().saturating_sub(MAX_OF_A_KIND);
        if let (true, Some(last)) = (more > 0, kept.last_mut()) {
            last.reason.push_str(&format!(" ({more} more like it are not listed)"));
        }
    }
    kept
}
