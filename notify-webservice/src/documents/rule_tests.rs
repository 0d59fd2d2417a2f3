//! The tests beside a rule: run on request, and before a rule is saved.

use super::check::{self, Checked, Parsed};
use crate::answer;
use crate::app::{Answer, Call, internal};
use http::StatusCode;
use notify_core::document::{Kind, Rule};
use notify_core::problem::Problem;
use notify_core::rule_tests::{self, Report};
use notify_store::model::Document;
use serde_json::Value;

/// `POST /rules:test`: the rule is the body, as for a create; nothing is saved.
pub async fn test(call: Call) -> Answer {
    let checked = check::body(Kind::Rule, &call)?;
    let Parsed::Rule(rule) = checked.parsed else { return Err(answer::internal()) };
    let report = run(*rule, &call.request).await?;
    Ok(answer::json(StatusCode::OK, &report))
}

async fn run(rule: Rule, request: &str) -> Result<Report, Problem> {
    // Fifty large events and a large pattern take a while.
    let running = tokio::task::spawn_blocking(move || rule_tests::run(&rule));
    running.await.map_err(|error| internal(request, &error))?
}

/// Why a document may not be saved, if its own tests fail.
///
/// # Errors
/// When they cannot be run at all.
pub async fn refusal(checked: &Checked, call: &Call) -> Result<Option<Problem>, Problem> {
    match &checked.parsed {
        Parsed::Rule(rule) if !rule.tests.is_empty() => {
            Ok(run(Rule::clone(rule), &call.request).await?.refusal())
        }
        _ => Ok(None),
    }
}

/// What of a failed test stands against this write, once the document that it replaces is known: nothing where the
/// rule is only switched on or off, so that a rule that was once forced can be switched off in need.
#[must_use]
pub fn objection<'p>(
    refusal: Option<&'p Problem>,
    current: Option<&Document>,
    checked: &Checked,
) -> Option<&'p Problem> {
    refusal.filter(|_| !current.is_some_and(|current| only_switched(&current.body, &checked.body)))
}

fn only_switched(before: &str, after: &str) -> bool {
    let without = |body: &str| {
        let mut value: Value = serde_json::from_str(body).ok()?;
        value.as_object_mut()?.remove("enabled");
        Some(value)
    };
    without(before).is_some_and(|before| without(after) == Some(before))
}
