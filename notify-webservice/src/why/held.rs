//! Alerts that wait for the end of quiet hours or maintenance.

use crate::answer;
use crate::app::{Answer, Call, store_problem};
use http::StatusCode;
use notify_core::time::rfc3339_millis;
use notify_store::model::NewHeld;
use serde_json::{Map, Value, json};

/// `GET /held`: the one that is judged again first comes first.
pub async fn list(call: Call) -> Answer {
    let found = call.app.store.held_alerts(call.tenant(), &call.page()?).await;
    let found = found.map_err(|error| store_problem(&call.request, &error))?;
    let items: Vec<_> = found.items.iter().map(summary).collect();
    Ok(answer::json(StatusCode::OK, &json!({ "items": items, "nextPageToken": call.sealed(found.next) })))
}

fn summary(held: &NewHeld) -> Value {
    let mut out = Map::new();
    out.insert("id".into(), held.id.as_str().into());
    out.insert("event".into(), held.event.as_str().into());
    out.insert("rule".into(), held.rule.as_str().into());
    out.insert("ruleVersion".into(), held.rule_version.into());
    out.insert("action".into(), held.action.as_str().into());
    out.insert("channel".into(), held.channel.as_str().into());
    out.insert("control".into(), held.control.as_str().into());
    let message = serde_json::from_str::<Value>(&held.message).ok();
    if let Some(title) = message.as_ref().and_then(|message| message.get("title")).and_then(Value::as_str) {
        out.insert("title".into(), title.into());
    }
    out.insert("heldAt".into(), rfc3339_millis(held.held_at).into());
    out.insert("releaseAt".into(), rfc3339_millis(held.release_at).into());
    Value::Object(out)
}
