//! Messages from a bus that could not be taken in: looked at, sent on again, deleted.

use crate::answer;
use crate::app::{Answer, Call, internal, store_problem};
use crate::documents::record;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use notify_bus::intake::{Message, is_quarantine_id, let_in, removal};
use notify_core::problem::{Code, Problem};
use notify_core::time::rfc3339_millis;
use notify_store::model::Quarantined;
use notify_store::{Refused, StoreError};
use serde_json::{Map, Value, json};

/// `GET /quarantine`: newest first, without bodies.
pub async fn list(call: Call) -> Answer {
    let page = call.page()?;
    let found = call.app.store.quarantine(call.tenant(), &page).await;
    let found = found.map_err(|error| store_problem(&call.request, &error))?;
    let items: Vec<_> = found.items.iter().map(summary).collect();
    Ok(answer::json(StatusCode::OK, &json!({ "items": items, "nextPageToken": call.sealed(found.next) })))
}

/// `GET /quarantine/{id}`
pub async fn read(call: Call) -> Answer {
    let message = find(&call).await?;
    let mut view = summary(&message);
    if let Value::Object(members) = &mut view {
        let (name, body) = match std::str::from_utf8(&message.body) {
            Ok(text) => ("body", text.to_owned()),
            Err(_) => ("bodyBase64", STANDARD.encode(&message.body)),
        };
        members.insert(name.into(), body.into());
    }
    Ok(answer::json(StatusCode::OK, &view))
}

/// `POST /quarantine/{id}:redrive`: through the same checks as any event. What does not pass stays where it is.
pub async fn redrive(call: Call) -> Answer {
    let message = find(&call).await?;
    if message.truncated {
        let reason = "only the beginning of this message was kept: it is larger than any event may be";
        return Err(Problem::new(
            Code::TooLarge,
            "",
            reason,
            "publish what it was to say anew, then delete it",
        ));
    }
    let again = Message {
        tenant: call.tenant(),
        origin: &message.origin,
        content_type: &message.content_type,
        body: &message.body,
        received_at: message.received_at,
    };
    let event = again.event(&call.app.limits.events)?;
    call.app.intake.gate(call.tenant()).await?.admit(&event)?;
    let id = event.id.clone();
    // Durable before it leaves the quarantine: a crash in between makes the next redrive a repeat.
    let accepted = call.app.engine.accept(event).await?;
    if !end(&call, &message, true).await? {
        // Deleted meanwhile: the ledger must still say that the event was let in, and by whom.
        let actor = record::actor_bytes(&call.caller);
        let commit = let_in(call.tenant(), &message, &actor)
            .ok_or_else(|| internal(&call.request, &"the system gives no random bytes"))?;
        call.app.commit(commit).await.map_err(|error| store_problem(&call.request, &error))?;
    }
    let mut fate = crate::events::fate(None, Some(&id), &Ok(accepted));
    if let Value::Object(members) = &mut fate {
        members.insert("quarantine".into(), message.id.into());
    }
    Ok(answer::json(StatusCode::ACCEPTED, &fate))
}

/// `DELETE /quarantine/{id}`
pub async fn delete(call: Call) -> Answer {
    let message = find(&call).await?;
    if end(&call, &message, false).await? {
        return Ok(answer::empty(StatusCode::NO_CONTENT));
    }
    no_such(&call)
}

/// `false`: somebody else took it out first.
async fn end(call: &Call, message: &Quarantined, redriven: bool) -> Result<bool, Problem> {
    let actor = record::actor_bytes(&call.caller);
    let commit = removal(call.tenant(), message, redriven, &actor)
        .ok_or_else(|| internal(&call.request, &"the system gives no random bytes"))?;
    match call.app.commit(commit).await {
        Ok(_) => Ok(true),
        Err(StoreError::Refused(Refused::Quarantined { .. })) => Ok(false),
        Err(error) => Err(store_problem(&call.request, &error)),
    }
}

async fn find(call: &Call) -> Result<Quarantined, Problem> {
    let id = call.param("id");
    if !is_quarantine_id(id) {
        return no_such(call);
    }
    let found = call.app.store.quarantined(call.tenant(), id).await;
    match found.map_err(|error| store_problem(&call.request, &error))? {
        Some(message) => Ok(message),
        None => no_such(call),
    }
}

fn no_such<T>(call: &Call) -> Result<T, Problem> {
    Err(Problem::new(
        Code::NotFound,
        "",
        format!("there is no message `{}` in quarantine", call.param("id").escape_default()),
        "`notify quarantine list` shows what there is",
    ))
}

fn summary(message: &Quarantined) -> Value {
    let mut out = Map::new();
    out.insert("id".into(), message.id.clone().into());
    out.insert("receivedAt".into(), rfc3339_millis(message.received_at).into());
    out.insert("origin".into(), message.origin.clone().into());
    if !message.content_type.is_empty() {
        out.insert("contentType".into(), message.content_type.clone().into());
    }
    out.insert("code".into(), message.code.clone().into());
    let problem: Option<Problem> = serde_json::from_str(&message.problem).ok();
    out.extend(problem.map(|problem| ("problem".to_owned(), answer::problem_document(&problem, None))));
    out.insert("bytes".into(), message.size.into());
    out.insert("truncated".into(), message.truncated.into());
    Value::Object(out)
}
