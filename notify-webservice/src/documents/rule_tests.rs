//! The tests beside a rule: run on request, and before a rule is saved.

use super::check::{self, Checked, Parsed};
use crate::answer;
use crate::app::{Answer, Call};
use http::StatusCode;
use notify_core::document::{Kind, Rule};
use notify_core::problem::Problem;
use notify_core::rule_tests;
use notify_store::model::Document;
use serde_json::Value;

/// `POST /rules:test`: the rule is the body, as for a create; nothing is saved.
pub async fn test(call: Call) -> Answer {
    let checked = check::body(Kind::Rule, &call)?;
    let Parsed::Rule(rule) = checked.parsed else { return Err(answer::internal()) };
    // Fifty large events and a large pattern take a while.
    let report = call.in_turn(move || rule_tests::run(&rule)).await??;
    Ok(answer::json(StatusCode::OK, &report))
}

/// Why a document may not be saved, if its own tests fail.
///
/// # Errors
/// When they cannot be run at all.
pub async fn refusal(checked: &Checked, call: &Call) -> Result<Option<Problem>, Problem> {
    match &checked.parsed {
        Parsed::Rule(rule) if !rule.tests.is_empty() => {
            let rule = Rule::clone(rule);
            call.in_turn(move || rule_tests::refusal(&rule)).await?
        }
        _ => Ok(None),
    }
}

/// What of a failed test stands against this write, once the document that it replaces is known: nothing where the
/// rule is only switched off, so that a rule that was once forced can be switched off in need.
#[must_use]
pub fn objection<'p>(
    refusal: Option<&'p Problem>,
    current: Option<&Document>,
    checked: &Checked,
) -> Option<&'p Problem> {
    refusal.filter(|_| !current.is_some_and(|current| only_switched_off(&current.body, &checked.body)))
}

fn only_switched_off(before: &str, after: &str) -> bool {
    let taken_apart = |body: &str| {
        let mut value: Value = serde_json::from_str(body).ok()?;
        let enabled = value.as_object_mut()?.shift_remove("enabled");
        Some((enabled, value))
    };
    let (Some((_, before)), Some((enabled, after))) = (taken_apart(before), taken_apart(after)) else {
        return false;
    };
    enabled == Some(Value::Bool(false)) && before == after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switching_off_and_nothing_else_is_always_allowed() {
        let (on, off) = (r#"{"id":"r","enabled":true}"#, r#"{"id":"r","enabled":false}"#);
        let other = r#"{"id":"r","enabled":false,"priority":2}"#;
        for (before, after, expected) in [
            (on, off, true),
            (off, off, true),
            (off, on, false),
            (on, on, false),
            (on, other, false),
            (other, off, false),
            (r#"{"id":"r"}"#, off, true),
            (off, r#"{"id":"r"}"#, false),
            ("[]", off, false),
        ] {
            assert_eq!(only_switched_off(before, after), expected, "{before} {after}");
        }
    }
}
