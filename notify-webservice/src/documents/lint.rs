//! `POST /rules:lint`: what is suspicious about the tenant's rules, or about one that need not be saved.

use super::check::{self, Parsed};
use super::preview::members;
use crate::answer;
use crate::app::{Answer, Call, internal};
use http::StatusCode;
use notify_core::document::{EventType, Kind, Rule};
use notify_core::lint::{self, Finding};
use notify_core::problem::{Code, Problem};
use serde_json::json;
use tokio::sync::Semaphore;

/// One at a time: whoever asks again and again waits, and does not take the processor from those who send events.
static TURN: Semaphore = Semaphore::const_new(1);
/// Findings in one answer, the worst first.
const MAX_FINDINGS: usize = 5_000;

pub async fn lint(call: Call) -> Answer {
    let mut members = members(&call, &["rule"])?;
    let unsaved = members.remove("rule").map(|value| check::value(Kind::Rule, &value));
    let unsaved = match unsaved.transpose().map_err(|problem| problem.under("/rule"))?.map(|c| c.parsed) {
        None => None,
        Some(Parsed::Rule(rule)) => Some(*rule),
        Some(_) => return Err(answer::internal()),
    };
    let (mut rules, mut unreadable) = (Vec::new(), Vec::new());
    check::each(&call, Kind::Rule, |document| match check::stored::<Rule>(document) {
        Some(rule) => rules.push(rule),
        None => unreadable.push(broken(&document.id)),
    })
    .await?;
    let mut types = Vec::new();
    check::each(&call, Kind::EventType, |document| types.extend(check::stored::<EventType>(document)))
        .await?;
    let looked_at = match &unsaved {
        Some(_) => 1,
        None => rules.len(),
    };
    // Thousands of rules take long enough to hold up other requests.
    let turn = TURN.acquire().await.map_err(|error| internal(&call.request, &error))?;
    // The turn ends with the work, also when nobody waits for the answer any more.
    let work = move || {
        let _turn = turn;
        judge(rules, unsaved, unreadable, &types)
    };
    let found = tokio::task::spawn_blocking(work).await;
    let mut found = found.map_err(|error| internal(&call.request, &error))?;
    let omitted = found.len().saturating_sub(MAX_FINDINGS);
    if omitted > 0 {
        found.sort_by_key(|finding| finding.severity);
        found.truncate(MAX_FINDINGS);
        lint::sort(&mut found);
    }
    let answer = json!({ "rules": looked_at, "findings": found, "omitted": omitted });
    Ok(answer::json(StatusCode::OK, &answer))
}

/// With a rule of the caller's only what concerns it: what is found in it, and which rules it makes superfluous.
fn judge(
    mut rules: Vec<Rule>,
    unsaved: Option<Rule>,
    unreadable: Vec<Finding>,
    types: &[EventType],
) -> Vec<Finding> {
    let Some(rule) = unsaved else {
        let mut found = lint::lint(&rules, types);
        found.extend(unreadable);
        lint::sort(&mut found);
        return found;
    };
    let id = rule.id.to_string();
    rules.retain(|saved| saved.id != rule.id);
    rules.push(rule);
    let mut found = lint::lint(&rules, types);
    found.retain(|finding| finding.rule == id || finding.other_rule.as_deref() == Some(&id));
    found
}

/// It was accepted once.
fn broken(id: &str) -> Finding {
    let reason = "what is stored cannot be read by this version";
    let fix = format!("`notify rule get {id}`, correct it and replace it");
    Finding::invalid(id, &Problem::new(Code::InvalidRule, "", reason, fix))
}
