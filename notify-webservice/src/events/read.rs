//! Events as they were accepted, with what was decided about them.

use crate::answer;
use crate::app::{Answer, Call, store_problem};
use crate::deliveries;
use crate::why::story;
use http::StatusCode;
use notify_core::ids::EventKey;
use notify_core::problem::{Code, Problem};
use notify_core::time::rfc3339_millis;
use notify_store::model::{DeliveryFilter, Event, EventState, LedgerEntry, Page};
use serde_json::{Map, Value, json};

/// Deliveries shown with an event; `deliveries?event=` lists them all.
const DELIVERIES_SHOWN: u32 = 100;

/// `GET /events`: newest first, without bodies.
pub async fn list(call: Call) -> Answer {
    let page = call.page()?;
    let source = call.query.text("source");
    if let Some(id) = call.query.text("id") {
        let found = story::by_id(&call, id, source).await?;
        let items: Vec<_> = found.iter().map(summary).collect();
        return Ok(answer::json(StatusCode::OK, &json!({ "items": items, "nextPageToken": null })));
    }
    if source.is_some() {
        return Err(Problem::new(
            Code::InvalidParameter,
            "source",
            "a source alone finds no events",
            "give `id`, the producer's id of the event, as well",
        ));
    }
    let found = call.app.store.events(call.tenant(), &page).await;
    let found = found.map_err(|error| store_problem(&call.request, &error))?;
    let items: Vec<_> = found.items.iter().map(summary).collect();
    Ok(answer::json(StatusCode::OK, &json!({ "items": items, "nextPageToken": call.sealed(found.next) })))
}

/// `GET /events/{key}`
pub async fn read(call: Call) -> Answer {
    let Ok(key) = call.param("key").parse::<EventKey>() else { return no_such(&call) };
    let store = &call.app.store;
    let failed = |error| store_problem(&call.request, &error);
    let Some(event) = store.event(call.tenant(), &key).await.map_err(failed)? else { return no_such(&call) };
    let entries = store.ledger_entries_about(call.tenant(), key.as_str()).await.map_err(failed)?;
    let filter = DeliveryFilter { event: Some(key), ..DeliveryFilter::default() };
    let page = Page { limit: DELIVERIES_SHOWN, after: None };
    let deliveries = store.deliveries(call.tenant(), &filter, &page).await.map_err(failed)?;

    let mut view = summary(&event);
    if let Value::Object(members) = &mut view {
        let body = &event.event.body;
        let body = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.clone()));
        members.insert("event".into(), body);
        let (decisions, unmatched) = decisions(&entries);
        members.insert("decisions".into(), decisions.into());
        if let Some(unmatched) = unmatched {
            members.insert("unmatched".into(), unmatched);
        }
        let shown: Vec<_> = deliveries.items.iter().map(deliveries::summary).collect();
        members.insert("deliveries".into(), shown.into());
    }
    Ok(answer::json(StatusCode::OK, &view))
}

pub fn no_such(call: &Call) -> Answer {
    Err(Problem::new(
        Code::NotFound,
        "",
        format!("there is no event `{}`", call.param("key").escape_default()),
        "use the `key` that the event was accepted with",
    ))
}

fn summary(event: &Event) -> Value {
    let new = &event.event;
    let mut out = Map::new();
    out.insert("key".into(), new.key.as_str().into());
    let state = match event.state {
        EventState::Pending => "pending",
        EventState::Planned => "planned",
    };
    out.insert("state".into(), state.into());
    out.insert("acceptedAt".into(), rfc3339_millis(new.accepted_at).into());
    out.insert("id".into(), new.id.clone().into());
    out.insert("source".into(), new.source.clone().into());
    out.insert("type".into(), new.r#type.clone().into());
    if let Some(subject) = &new.subject {
        out.insert("subject".into(), subject.clone().into());
    }
    Value::Object(out)
}

/// The decisions of all `event` entries (a large one comes in parts), each with the sequence number that proves it.
fn decisions(entries: &[LedgerEntry]) -> (Vec<Value>, Option<Value>) {
    let mut all = Vec::new();
    let mut unmatched = None;
    for entry in entries.iter().filter(|entry| entry.kind == "event") {
        let statement: Option<Value> =
            entry.payload.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let Some(predicate) = statement.as_ref().and_then(|statement| statement.get("predicate")) else {
            continue;
        };
        if let Some(count) = predicate.get("unmatched") {
            unmatched = Some(count.clone());
        }
        for decision in predicate.get("decisions").and_then(Value::as_array).into_iter().flatten() {
            let mut decision = decision.clone();
            if let Value::Object(members) = &mut decision {
                members.insert("ledgerSeq".into(), entry.seq.into());
            }
            all.push(decision);
        }
    }
    (all, unmatched)
}
