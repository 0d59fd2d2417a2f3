//! `POST /rules:lint`: what is suspicious about the tenant's rules, or about one that need not be saved.

use super::check::{self, Parsed};
use super::places::holding;
use super::preview::members;
use crate::answer;
use crate::app::{Answer, Call, internal};
use http::StatusCode;
use notify_core::document::{EventType, Kind, Rule};
use notify_core::lint::{self, Finding};
use notify_core::problem::{Code, Problem};
use serde_json::{Value, json};

/// Findings in one answer, the worst first.
const MAX_FINDINGS: usize = 5_000;

/// `POST /rules:lint`
pub async fn lint(call: Call) -> Answer {
    let mut members = members(&call, &["rule"])?;
    // One of a tenant, and its turn before anything is loaded: who waits holds nothing but the request.
    let place = call.app.counters.lints.enter(call.tenant())?.begin().await;
    let (mut rules, mut types) = (Vec::new(), Vec::new());
    check::each(&call, Kind::Rule, |document| rules.push((document.id.clone(), document.body.clone())))
        .await?;
    check::each(&call, Kind::EventType, |document| types.push(document.body.clone())).await?;
    let unsaved = members.remove("rule");
    let found = holding(place, move || look(rules, unsaved, &types)).await;
    let (rules, mut found) = found.map_err(|error| internal(&call.request, &error))??;
    let omitted = found.len().saturating_sub(MAX_FINDINGS);
    if omitted > 0 {
        found.sort_by_key(|finding| finding.severity);
        found.truncate(MAX_FINDINGS);
        lint::sort(&mut found);
    }
    Ok(answer::json(StatusCode::OK, &json!({ "rules": rules, "findings": found, "omitted": omitted })))
}

/// The saved rules by id, the caller's own, the event types: how many rules were looked at, and what was found.
fn look(
    saved: Vec<(String, String)>,
    unsaved: Option<Value>,
    types: &[String],
) -> Result<(usize, Vec<Finding>), Problem> {
    let unsaved = unsaved.map(|value| check::value(Kind::Rule, &value).map(|checked| checked.parsed));
    let unsaved = match unsaved.transpose().map_err(|problem| problem.under("/rule"))? {
        None => None,
        Some(Parsed::Rule(rule)) => Some(*rule),
        Some(_) => return Err(answer::internal()),
    };
    let (mut rules, mut unreadable) = (Vec::new(), Vec::new());
    for (id, body) in saved {
        match serde_json::from_str::<Rule>(&body) {
            Ok(rule) => rules.push(rule),
            Err(_) => unreadable.push(broken(&id)),
        }
    }
    let types: Vec<EventType> = types.iter().filter_map(|body| serde_json::from_str(body).ok()).collect();
    let looked_at = if unsaved.is_some() { 1 } else { rules.len() };
    Ok((looked_at, judge(rules, unsaved, unreadable, &types)))
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
