//! What the answers of Workflows mean, and those of relays that speak like the retired Office 365 connectors: status 200
//! with a text that says which error Teams had.

use notify_connector_sdk::http::shown;
use notify_connector_sdk::{Response, Verdict, VerdictCode};
use serde_json::Value;

/// How much of the answer's own words goes into a detail, in characters.
const SAID: usize = 160;

/// Codes of Power Automate's `{"error":{"code":…}}`, what they mean here, and what a person does about it.
const TABLE: &[(&str, VerdictCode, &str)] = {
    use VerdictCode::{BadConfig, Gone, Permanent, Throttled};
    &[
        ("WorkflowNotFound", Gone, "the workflow was deleted; make a new one and replace the secret"),
        ("WorkflowTriggerIsNotEnabled", BadConfig, "the workflow is turned off; its owner turns it on again"),
        ("WorkflowNotEnabled", BadConfig, "the workflow is turned off; its owner turns it on again"),
        (
            "WorkflowTriggerNotFound",
            BadConfig,
            "the workflow has another trigger now; copy its address again",
        ),
        (
            "DirectApiAuthorizationRequired",
            BadConfig,
            "let `Anyone` trigger the workflow, and copy its address again",
        ),
        ("DirectApiInvalidAuthorizationScheme", BadConfig, "let `Anyone` trigger the workflow"),
        ("AuthorizationFailed", BadConfig, "the address's signature is not valid; copy it again"),
        ("InvalidSignature", BadConfig, "the address's signature is not valid; copy it again"),
        ("SasAuthenticationFailed", BadConfig, "the address's signature is not valid; copy it again"),
        (
            "TriggerInputSchemaMismatch",
            BadConfig,
            "the workflow expects something else; use the template for webhook alerts",
        ),
        ("RequestEntityTooLarge", Permanent, "Teams finds the message too long"),
        ("WorkflowTriggerRateLimited", Throttled, "the workflow's owner has used up the allowance"),
        ("TooManyRequests", Throttled, "the workflow's owner has used up the allowance"),
    ]
};

#[derive(serde::Deserialize)]
struct Failed {
    error: Fault,
}

#[derive(serde::Deserialize)]
struct Fault {
    #[serde(default)]
    code: String,
}

pub(crate) fn interpret(response: &Response<'_>) -> Verdict {
    let after = response.retry_after_ms();
    if response.status == 429 {
        return Verdict::throttled(after, detail(response));
    }
    let failed = serde_json::from_slice::<Failed>(response.body).ok();
    if let Some(verdict) = failed.as_ref().and_then(|failed| of_code(&failed.error.code, after)) {
        return verdict;
    }
    match response.status {
        202 => Verdict::accepted("the workflow took it; it does not say whether it posted"),
        200..=299 => success(response, failed.is_some(), after),
        status => of_status(status, detail(response), after),
    }
}

fn of_code(code: &str, after: Option<u64>) -> Option<Verdict> {
    let (code, verdict, hint) = TABLE.iter().find(|(known, ..)| *known == code)?;
    let mut verdict = Verdict::new(*verdict, format!("Workflows answered `{code}`: {hint}"));
    if verdict.code == VerdictCode::Throttled {
        verdict.retry_after_ms = after;
    }
    Some(verdict)
}

/// A success by its status: the text may know better.
fn success(response: &Response<'_>, failed: bool, after: Option<u64>) -> Verdict {
    let text =
        String::from_utf8_lossy(response.body.get(..response.body.len().min(2048)).unwrap_or_default());
    let lower = text.to_ascii_lowercase();
    if let Some((_, rest)) = lower.split_once("http error ") {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).take(3).collect();
        let status = digits.parse::<u16>().unwrap_or(500);
        return of_status(
            status,
            format!("Teams answered {}, but says: {}", response.status, shown(response.body, SAID)),
            after,
        );
    }
    if !failed && is_success(response.body) {
        return Verdict::delivered();
    }
    // A page of a proxy or a portal, a text about an error: nothing says that a message was posted.
    Verdict::retry(
        after,
        format!("Teams answered {}, but says: {}", response.status, shown(response.body, SAID)),
    )
}

/// Nothing, the `1` of the old connectors and their relays, or JSON in which nothing is an error.
fn is_success(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    if body.is_empty() || body == b"1" {
        return true;
    }
    let good = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    let is_error = |key: &str| key.eq_ignore_ascii_case("error") || key.eq_ignore_ascii_case("errors");
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => members.iter().all(|(key, value)| !is_error(key) || good(value)),
        Ok(Value::Array(_) | Value::Null | Value::Bool(true)) => true,
        _ => false,
    }
}

fn of_status(status: u16, detail: String, after: Option<u64>) -> Verdict {
    match status {
        429 | 502..=504 => Verdict::throttled(after, detail),
        300..=399 => Verdict::permanent(format!("{detail} (a redirect, which is not followed)")),
        400 | 413 => Verdict::permanent(detail),
        401 | 403 => Verdict::bad_config(detail),
        404 => Verdict::bad_config(format!("{detail} (check the address)")),
        410 => Verdict::gone(detail),
        _ => Verdict::retry(after, detail),
    }
}

fn detail(response: &Response<'_>) -> String {
    let said = shown(response.body, SAID);
    let colon = if said.is_empty() { "" } else { ": " };
    format!("Teams answered {}{colon}{said}", response.status)
}
