//! `notify channel test|check|refresh-secret|status`: whether a channel works, and why not.

use crate::args::{Format, Global};
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{self, Column};
use notify_client::model::Delivery;
use serde_json::{Value, json};
use std::time::Duration;

const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("TYPE", "/type"),
    ("STATE", "/state"),
    ("REASON", "/reason"),
    ("WAITING", "/waiting"),
    ("LAST SUCCESS", "/lastSuccessAt"),
    ("CHECK", "/check/last/result"),
    ("FALLBACK", "/fallback/channel"),
];
/// In pages as large as they may be.
const ALL: u32 = u32::MAX - 1;
/// How often the outcome of a test is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub async fn status(global: &Global, id: Option<&str>) -> Result<(), Failure> {
    let client = Client::new(global)?;
    let Some(id) = id else {
        let rows = client.channel_statuses(ALL).await?;
        output::list(global.output, &json!(rows), &rows, COLUMNS, "No channels.");
        return Ok(());
    };
    let status = client.channel_status(id).await?;
    match global.output {
        Format::Table => output::say(&page(&status)),
        format => output::structured(format, &status),
    }
    Ok(())
}

fn page(status: &Value) -> String {
    let at = |pointer: &str| match status.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bool(yes)) => if *yes { "yes" } else { "no" }.to_owned(),
        Some(other) => other.to_string(),
    };
    let joined = |parts: &[String]| {
        parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(", ")
    };
    let labelled = |label: &str, pointer: &str| match at(pointer) {
        value if value.is_empty() => value,
        value => format!("{label} {value}"),
    };
    let rates = status.pointer("/rates/provider").and_then(Value::as_array).into_iter().flatten();
    let rates = rates.chain(status.pointer("/rates/own")).filter_map(|rate| {
        Some(format!("{} in {} s", rate.get("count")?.as_u64()?, rate.get("seconds")?.as_u64()?))
    });
    let secrets = status.pointer("/secrets").and_then(Value::as_array).into_iter().flatten().map(|secret| {
        let text = |name: &str| secret.get(name).and_then(Value::as_str).unwrap_or_default();
        let how = match secret.get("readable") {
            Some(Value::Bool(true)) => "readable".to_owned(),
            _ => format!("NOT READABLE: {}", text("problem")),
        };
        format!("{} {} {how}", text("name"), text("reference"))
    });
    output::fields(&[
        ("channel", joined(&[at("/id"), at("/type")])),
        ("state", at("/state")),
        ("reason", at("/reason")),
        ("breaker", joined(&[at("/breaker/state"), labelled("until", "/breaker/until")])),
        ("failing since", at("/failingSince")),
        ("paused until", at("/pausedUntil")),
        ("next free turn", at("/nextTurnAt")),
        ("last success", at("/lastSuccessAt")),
        (
            "last error",
            joined(&[
                at("/lastError/at"),
                at("/lastError/result"),
                labelled("HTTP", "/lastError/httpStatus"),
                at("/lastError/text"),
            ]),
        ),
        ("waiting", at("/waiting")),
        ("in flight", at("/inFlight")),
        ("check", joined(&[at("/check/last/result"), at("/check/last/at"), at("/check/last/text")])),
        ("rates", rates.collect::<Vec<_>>().join(", ")),
        ("fallback", joined(&[at("/fallback/channel"), labelled("after", "/fallback/after")])),
        ("secrets", secrets.collect::<Vec<_>>().join("; ")),
    ])
}

/// Sends a test and waits for its outcome.
///
/// # Errors
/// The service's own; also when the test did not arrive.
pub async fn test(global: &Global, id: &str, wait: Duration) -> Result<(), Failure> {
    let client = Client::new(global)?;
    let made = client.test_channel(id, None).await?;
    let delivery = made.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let looked = async {
        loop {
            let found = client.delivery(&delivery).await?;
            if found.attempts.as_ref().is_some_and(|all| !all.is_empty()) || found.state != "scheduled" {
                return Ok::<_, Failure>(found);
            }
            notify_worker::clock::wait(LOOK_EVERY).await;
        }
    };
    let Ok(found) = tokio::time::timeout(wait, looked).await else {
        let reason = format!("the test {delivery} was not attempted within {} s", wait.as_secs());
        return Err(Failure::other(reason, format!("it goes on; see `notify channel status {id}`")));
    };
    outcome(global.output, id, &found?)
}

fn outcome(format: Format, id: &str, delivery: &Delivery) -> Result<(), Failure> {
    let whole = json!(delivery);
    let attempt = whole.pointer("/attempts").and_then(Value::as_array).and_then(|all| all.last());
    let text = |name: &str| attempt.and_then(|attempt| attempt.get(name)).and_then(Value::as_str);
    let status = attempt.and_then(|attempt| attempt.get("httpStatus")).and_then(Value::as_u64);
    let status = status.map(|status| format!(", HTTP {status}")).unwrap_or_default();
    let result = text("result").unwrap_or("unknown");
    if matches!(result, "delivered" | "accepted") {
        match format {
            Format::Table => output::say(&format!("{id}: {result}{status} ({})", delivery.id)),
            format => output::structured(format, &whole),
        }
        return Ok(());
    }
    if format != Format::Table {
        output::structured(format, &whole);
    }
    let words = text("error").map(|words| format!(": {words}")).unwrap_or_default();
    let hint = match result {
        "bad-config" => {
            format!("mend the channel's config or secrets, then `notify channel refresh-secret {id}`")
        }
        "throttled" => format!("the provider wants a pause; see `notify channel status {id}`"),
        "permanent" | "gone" => "mend the channel's target".to_owned(),
        _ => format!("`notify channel status {id}` shows how it goes on"),
    };
    Err(Failure::other(format!("{id}: {result}{status}{words} ({})", delivery.id), hint))
}

/// # Errors
/// The service's own; also when the check fails.
pub async fn check(global: &Global, id: &str) -> Result<(), Failure> {
    let checked = Client::new(global)?.check_channel(id).await?;
    let text = |name: &str| checked.get(name).and_then(Value::as_str).unwrap_or_default();
    let (result, words) = (text("result"), text("text"));
    match global.output {
        Format::Table if result != "failing" => {
            let words = if words.is_empty() { String::new() } else { format!(": {words}") };
            output::say(&format!("{id}: {result}{words}"));
        }
        Format::Table => {}
        format => output::structured(format, &checked),
    }
    if result == "failing" {
        return Err(Failure::other(format!("{id}: {words}"), format!("see `notify channel status {id}`")));
    }
    Ok(())
}

/// # Errors
/// The service's own; also when a secret cannot be read.
pub async fn refresh_secret(global: &Global, id: &str) -> Result<(), Failure> {
    let done = Client::new(global)?.refresh_channel_secret(id).await?;
    let secrets = done.get("secrets").and_then(Value::as_array).cloned().unwrap_or_default();
    let columns: &[Column] = &[
        ("NAME", "/name"),
        ("REFERENCE", "/reference"),
        ("READABLE", "/readable"),
        ("SINCE", "/sinceAt"),
        ("PROBLEM", "/problem"),
    ];
    output::list(global.output, &done, &secrets, columns, "This channel has no secrets.");
    if secrets.iter().any(|secret| secret.get("readable") != Some(&Value::Bool(true))) {
        return Err(Failure::other(
            "a secret cannot be read",
            "put it where its reference says, and try again",
        ));
    }
    Ok(())
}
