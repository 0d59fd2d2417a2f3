//! Digests: those that are being collected, and what became of the others.

use crate::answer;
use crate::app::{Answer, Call, store_problem};
use http::StatusCode;
use notify_core::ids::{DeliveryId, DigestId};
use notify_core::noise::remembered::{Remembered, StateRow};
use notify_core::noise::window::Window;
use notify_core::problem::{Code, Problem};
use notify_core::time::{Timestamp, rfc3339_millis};
use notify_store::StoreError;
use notify_store::model::{DeliveryState, DigestItem};
use serde_json::{Map, Value, json};

/// Alerts of one digest that are listed.
const ITEMS: u32 = 1_000;

/// The window of a digest that is open.
///
/// # Errors
/// The store's.
pub async fn open(call: &Call, id: &DigestId) -> Result<Option<Window>, StoreError> {
    let found = call.app.store.open_digest(call.tenant(), id).await?;
    Ok(found.and_then(|text| window(&text)).filter(|window| window.id == *id))
}

/// Of a later version, or not readable: the owner reports that.
fn window(text: &str) -> Option<Window> {
    match StateRow::read(text) {
        Ok(Remembered::Window(window)) => Some(*window),
        _ => None,
    }
}

/// `GET /digests`: open ones, the one that closes first first.
pub async fn list(call: Call) -> Answer {
    let found = call.app.store.open_digests(call.tenant(), &call.page()?).await;
    let found = found.map_err(|error| store_problem(&call.request, &error))?;
    let windows = found.items.iter().filter_map(|text| window(text));
    let items: Vec<_> = windows.map(|window| summary(&window)).collect();
    Ok(answer::json(StatusCode::OK, &json!({ "items": items, "nextPageToken": call.sealed(found.next) })))
}

/// `GET /digests/{id}`
pub async fn read(call: Call) -> Answer {
    let no_such = || {
        let reason = format!("there is no digest `{}`", call.param("id").escape_default());
        Err(Problem::new(Code::NotFound, "", reason, "`notify digest list` shows the open ones"))
    };
    let Ok(id) = call.param("id").parse::<DigestId>() else { return no_such() };
    let failed = |error: StoreError| store_problem(&call.request, &error);
    if let Some(window) = open(&call, &id).await.map_err(failed)? {
        let items = call.app.store.first_digest_items(call.tenant(), &id, ITEMS).await.map_err(failed)?;
        let mut view = summary(&window);
        if let Value::Object(members) = &mut view {
            members.insert("items".into(), items.iter().map(item).collect());
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
    let said = |pointer: &str| record.as_ref().and_then(|record| record.pointer(pointer)?.as_str());
    let delivery = said("/intent/delivery").and_then(|id| id.parse::<DeliveryId>().ok());
    let mut out = Map::new();
    out.insert("id".into(), id.as_str().into());
    let state = match (&delivery, said("/outcome")) {
        (Some(delivery), _) => {
            let found = call.app.store.delivery(call.tenant(), delivery).await.map_err(failed)?;
            found.map_or("ended", |delivery| state_of(delivery.state))
        }
        (None, Some("cancel")) => "cancelled",
        (None, _) => "ended",
    };
    out.insert("state".into(), state.into());
    if let Some(delivery) = delivery {
        out.insert("delivery".into(), delivery.as_str().into());
    }
    out.insert("ledgerSeq".into(), last.seq.into());
    out.insert("record".into(), record.unwrap_or_default());
    Ok(answer::json(StatusCode::OK, &Value::Object(out)))
}

/// A digest that was closed is what its delivery is.
const fn state_of(delivery: DeliveryState) -> &'static str {
    match delivery {
        DeliveryState::Scheduled => "sending",
        DeliveryState::Delivered | DeliveryState::Accepted => "sent",
        DeliveryState::Dead => "dead",
        DeliveryState::Cancelled => "cancelled",
    }
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
