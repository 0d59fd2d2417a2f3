//! What rig runs put into a tenant: channels that point at a receiver, rules, and events.

use crate::studio::{Studio, TENANT};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// A fresh Standard Webhooks secret (`whsec_`, 32 random bytes).
pub fn new_secret() -> anyhow::Result<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(format!("whsec_{}", STANDARD.encode(bytes)))
}

/// Sends to `/load` of the receiver, signed.
pub fn channel(receiver: SocketAddr, retry_seconds: &[u32]) -> Value {
    json!({
        "schema": "notify-channel@1", "id": "load", "name": "Load receiver", "type": "webhook",
        "config": { "url": format!("http://{receiver}/load") },
        "secrets": { "signing": ["secret://file/load"] },
        "retry": { "scheduleSeconds": retry_seconds },
        "timeoutSeconds": 10,
    })
}

/// Matches every `load.*` event, and sends each of them: a new rule would else get dedupe, throttle and the storm
/// breaker, and what is counted here would be suppressed.
pub fn rule() -> Value {
    json!({
        "schema": "notify-rule@1", "id": "load", "name": "All load events",
        "match": { "type": [{ "prefix": "load." }], "severity": [{ "at-least": "low" }] },
        "storm": "off",
        "actions": [{ "id": "hook", "channel": "load", "dedupe": "off", "throttle": "off" }],
    })
}

/// What runs with [`rule`] say of it.
pub const CONTROLS_OFF: &str = "noise control off in its rules (dedupe, throttle, storm)";

/// A tenant with one webhook channel and one rule that matches every `load.*` event: for benchmarks and kill tests.
pub async fn one_rule(
    studio: &mut Studio,
    receiver: SocketAddr,
    secret: &str,
    retry_seconds: &[u32],
) -> anyhow::Result<()> {
    studio.write_secret("load", secret)?;
    for (path, document) in [("channels", channel(receiver, retry_seconds)), ("rules", rule())] {
        let body = serde_json::to_vec(&document)?;
        studio.call("POST", &format!("/api/v1/notify/{path}"), "application/json", &body).await?;
    }
    Ok(())
}

/// A CloudEvent of about 330 bytes.
#[must_use]
pub fn event(run: &str, number: u64) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{run}-{number}","source":"urn:rig:load","type":"load.tick","subject":"item-{number}","severity":"high","tenant":"{TENANT}","data":{{"number":{number},"note":"{}"}}}}"#,
        "x".repeat(128)
    )
}

/// The id that [`event`] gives.
#[must_use]
pub fn event_id(run: &str, number: u64) -> String {
    format!("{run}-{number}")
}
