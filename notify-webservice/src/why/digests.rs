//! Digests: those that are being collected, and what became of the others.

use crate::answer;
use crate::app::{Answer, Call, store_problem};
use http::StatusCode;
use notify_core::ids::DigestId;
use notify_core::noise::remembered::{Remembered, StateRow};
use notify_core::noise::window::Window;
use notify_core::problem::{Code, Problem};
use notify_core::time::{Timestamp, rfc3339_millis};
use notify_store::StoreError;
use notify_store::model::DigestItem;
use serde_json::{Map, Value, json};

/// Open digests that one is looked for among. A rule whose digest has a key may have many.
const OPEN: u32 = 10_000;
/// Alerts of one digest that are listed.
const ITEMS: usize = 1_000;

/// Open digests, the one that closes first first.
pub async fn open(call: &Call, limit: u32) -> Result<Vec<Window>, StoreError> {
    let found = call.app.store.noise_timers(call.tenant(), "window", limit).await?;
    let read = |text: String| match StateRow::read(&text) {
        Ok(Remembered::Window(window)) => Some(*window),
        // Of a later version, or not readable: the owner reports that.
        _ => None,
    };
    Ok(found.into_iter().filter_map(read).collect())
}

/// `GET /digests`: open ones.
pub async fn list(call: Call) -> Answer {
    let limit = call.page()?.limit;
    let windows = open(&call, limit).await.map_err(|error| store_problem(&call.request, &error))?;
    let items: Vec<_> = windows.iter().map(summary).collect();
    Ok(answer::json(StatusCode::OK, &json!({ "items": items, "nextPageToken": null })))
}

/// `GET /digests/{id}`
pub async fn read(call: Call) -> Answer {
    let no_such = || {
        let reason = format!("there is no digest `{}`", call.param("id").escape_default());
        Err(Problem::new(Code::NotFound, "", reason, "`notify digest list` shows the open ones"))
    };
    let Ok(id) = call.param("id").parse::<DigestId>() else { return no_such() };
    let failed = |error: StoreError| store_problem(&call.request, &error);
    let found = open(&call, OPEN).await.map_err(failed)?.into_iter().find(|window| window.id == id);
    if let Some(window) = found {
        let items = call.app.store.digest_items(call.tenant(), &id).await.map_err(failed)?;
        let mut view = summary(&window);
        if let Value::Object(members) = &mut view {
            members.insert("items".into(), items.iter().take(ITEMS).map(item).collect());
        }
        return Ok(answer::json(StatusCode::OK, &view));
    }
    let entries = call.app.store.ledger_entries_about(call.tenant(), id.as_str()).await.map_err(failed)?;
    let Some(last) = entries.last() else { return no_such() };
    let statement: Option<Value> = last.payload.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let mut record = statement.and_then(|mut statement| statement.get_mut("predicate").map(Value::take));
    if let Some(Value::Object(members)) = &mut record {
        members.shift_remove("log");
    }
    let state = if last.kind == "digest" { "sent" } else { "cancelled" };
    let view = json!({ "id": id.as_str(), "state": state, "ledgerSeq": last.seq, "record": record });
    Ok(answer::json(StatusCode::OK, &view))
}

fn moment(micros: i64) -> Value {
    Timestamp::from_microsecond(micros).map_or(Value::Null, |at| rfc3339_millis(at).into())
}

fn summary(window: &Window) -> Value {
    let mut out = Map::new();
    out.insert("id".into(), window.id.as_str().into());
    out.insert("state".into(), "open".into());
    out.insert("rule".into(), window.rule.as_str().into());
    out.insert("action".into(), window.action.as_str().into());
    out.insert("channel".into(), window.channel.as_str().into());
    out.insert("control".into(), window.control.as_str().into());
    out.insert("count".into(), window.count.into());
    out.insert("severity".into(), window.severity.name().into());
    out.insert("openedAt".into(), moment(window.opened_at));
    out.insert("closesAt".into(), moment(window.closes_at));
    Value::Object(out)
}

fn item(item: &DigestItem) -> Value {
    let new = &item.item;
    let mut out = Map::new();
    out.insert("event".into(), new.event.as_str().into());
    out.insert("rule".into(), new.rule.as_str().into());
    out.insert("action".into(), new.action.as_str().into());
    out.insert("severity".into(), new.severity.name().into());
    out.insert("at".into(), rfc3339_millis(new.at).into());
    if let Some(entry) = item.entry {
        out.insert("ledgerSeq".into(), entry.into());
    }
    Value::Object(out)
}
