//! Deliveries: what was sent where, each attempt, and sending again.

use crate::answer;
use crate::app::{Answer, Call, store_problem};
use crate::documents::idempotency::Idempotent;
use crate::redrive_request;
use http::StatusCode;
use notify_core::ids::{ChannelId, DeliveryId, EventKey, RuleId};
use notify_core::problem::{Code, Problem};
use notify_core::time::{Timestamp, rfc3339_millis};
use notify_store::model::{Attempt, Delivery, DeliveryFilter, DeliveryState, Follows};
use serde_json::{Map, Value, json};

/// `GET /deliveries`
pub async fn list(call: Call) -> Answer {
    let page = call.page()?;
    let state = call.query.text("state").map(state).transpose()?;
    let filter = DeliveryFilter {
        state,
        rule: call.query.get::<RuleId>("rule", "a rule id")?,
        channel: call.query.get::<ChannelId>("channel", "a channel id")?,
        event: call.query.get::<EventKey>("event", "an event key (`evt_…`)")?,
        created_from: call.query.get::<Timestamp>("from", A_TIME)?,
        created_to: call.query.get::<Timestamp>("to", A_TIME)?,
    };
    let found = call.app.store.deliveries(call.tenant(), &filter, &page).await;
    let found = found.map_err(|error| store_problem(&call.request, &error))?;
    let items: Vec<_> = found.items.iter().map(summary).collect();
    Ok(answer::json(StatusCode::OK, &json!({ "items": items, "nextPageToken": call.sealed(found.next) })))
}

const A_TIME: &str = "a time like 2026-11-22T08:00:00Z";

fn state(name: &str) -> Result<DeliveryState, Problem> {
    DeliveryState::from_name(name).ok_or_else(|| {
        let known: Vec<_> = DeliveryState::ALL.iter().map(|state| state.as_str()).collect();
        Problem::new(
            Code::InvalidParameter,
            "state",
            format!("`{}` is not a state of a delivery", name.escape_default()),
            format!("there are {}", known.join(", ")),
        )
    })
}

/// `GET /deliveries/{id}`: with the message and every attempt.
pub async fn read(call: Call) -> Answer {
    let id = delivery_id(&call)?;
    let found = call.app.store.delivery(call.tenant(), &id).await;
    let Some(delivery) = found.map_err(|error| store_problem(&call.request, &error))? else {
        return no_such(&call);
    };
    let attempts = call.app.store.attempts(call.tenant(), &id).await;
    let attempts = attempts.map_err(|error| store_problem(&call.request, &error))?;
    let mut view = summary(&delivery);
    if let Value::Object(members) = &mut view {
        let message = &delivery.delivery.message;
        let message = serde_json::from_str(message).unwrap_or_else(|_| Value::String(message.clone()));
        members.insert("message".into(), message);
        members.insert("messageCommitment".into(), delivery.delivery.message_commitment.clone().into());
        members.insert("attempts".into(), attempts.iter().map(attempt).collect());
    }
    Ok(answer::json(StatusCode::OK, &view))
}

/// `POST /deliveries/{id}:replay`: the same message as a new delivery.
pub async fn replay(call: Call) -> Answer {
    let id = delivery_id(&call)?;
    let repeat = Idempotent::of(&call)?;
    if let Some(repeat) = &repeat
        && let Some(answer) = repeat.answered_before(&call).await?
    {
        return Ok(answer);
    }
    let new = call
        .app
        .engine
        .replay(call.tenant(), &id, &call.caller.actor, call.header("idempotency-key"))
        .await?;
    let body = json!({ "id": new.as_str(), "replayOf": id.as_str(), "state": "scheduled" });
    if let Some(repeat) = &repeat {
        let now = call.app.clock.now();
        let remember = repeat.remember(StatusCode::ACCEPTED, &body.to_string(), now);
        let commit = notify_store::Commit::bookkeeping(call.tenant().clone(), vec![remember]);
        // The key also names the new delivery, so that a lost note costs nothing.
        if let Err(error) = call.app.commit(commit).await {
            tracing::warn!(request = call.request, %error, "the answer to an idempotency key was not kept");
        }
    }
    Ok(answer::json(StatusCode::ACCEPTED, &body))
}

/// `POST /deliveries:redrive`: dead letters once more, each as a replay of its own, spread over time.
pub async fn redrive(call: Call) -> Answer {
    let repeat = Idempotent::of(&call)?;
    if let Some(repeat) = &repeat
        && let Some(answer) = repeat.answered_before(&call).await?
    {
        return Ok(answer);
    }
    let asked = redrive_request::read(&call)?;
    let dry_run = asked.dry_run;
    let done = call.app.engine.redrive(call.tenant(), asked, &call.caller.actor).await?;
    let status = if dry_run { StatusCode::OK } else { StatusCode::ACCEPTED };
    let body = json!(done);
    if let Some(repeat) = &repeat {
        let remember = repeat.remember(status, &body.to_string(), call.app.clock.now());
        let commit = notify_store::Commit::bookkeeping(call.tenant().clone(), vec![remember]);
        // A repeat without the note finds what was replayed and sends none of it again.
        if let Err(error) = call.app.store.commit(commit).await {
            tracing::warn!(request = call.request, %error, "the answer to an idempotency key was not kept");
        }
    }
    Ok(answer::json(status, &body))
}

fn delivery_id(call: &Call) -> Result<DeliveryId, Problem> {
    match call.param("id").parse() {
        Ok(id) => Ok(id),
        Err(_) => no_such(call),
    }
}

fn no_such<T>(call: &Call) -> Result<T, Problem> {
    Err(Problem::new(
        Code::NotFound,
        "",
        format!("there is no delivery `{}`", call.param("id").escape_default()),
        "`notify delivery list` shows what there is",
    ))
}

/// A delivery as lists show it.
pub fn summary(delivery: &Delivery) -> Value {
    let new = &delivery.delivery;
    let mut out = Map::new();
    out.insert("id".into(), new.id.as_str().into());
    out.insert("state".into(), delivery.state.as_str().into());
    out.insert("rule".into(), new.rule.as_str().into());
    out.insert("ruleVersion".into(), new.rule_version.into());
    out.insert("action".into(), new.action.as_str().into());
    out.insert("channel".into(), new.channel.as_str().into());
    out.insert("target".into(), new.target.clone().into());
    optional(&mut out, "event", new.event.as_ref().map(|key| key.as_str()));
    out.insert("cause".into(), new.cause.clone().into());
    // Title and summary are what a person recognises a delivery by.
    let message: Option<Value> = serde_json::from_str(&new.message).ok();
    optional(&mut out, "title", message.as_ref().and_then(|m| m.get("title")).and_then(Value::as_str));
    out.insert("createdAt".into(), rfc3339_millis(new.created_at).into());
    out.insert("updatedAt".into(), rfc3339_millis(delivery.updated_at).into());
    if delivery.state == DeliveryState::Scheduled {
        out.insert("dueAt".into(), rfc3339_millis(delivery.next_due.unwrap_or(new.due_at)).into());
        out.insert("nextAttempt".into(), delivery.next_attempt.into());
    }
    optional(&mut out, "lastResult", delivery.last_result.as_deref());
    optional(&mut out, "lastError", delivery.last_error.as_deref());
    optional(&mut out, "providerReference", delivery.provider_reference.as_deref());
    Value::Object(out)
}

fn attempt(attempt: &Attempt) -> Value {
    let mut out = Map::new();
    out.insert("attempt".into(), attempt.attempt.into());
    out.insert("startedAt".into(), rfc3339_millis(attempt.started_at).into());
    out.insert("finishedAt".into(), rfc3339_millis(attempt.finished_at).into());
    out.insert("result".into(), attempt.result.clone().into());
    if let Some(status) = attempt.http_status {
        out.insert("httpStatus".into(), status.into());
    }
    optional(&mut out, "error", attempt.error.as_deref());
    optional(&mut out, "providerReference", attempt.provider_reference.as_deref());
    let text = |part: &Option<(Vec<u8>, [u8; 32])>| {
        part.as_ref().map(|(bytes, _)| String::from_utf8_lossy(bytes).into_owned())
    };
    optional(&mut out, "request", text(&attempt.request).as_deref());
    optional(&mut out, "response", text(&attempt.response).as_deref());
    let follows = match &attempt.follows {
        Follows::Outcome(state) => json!({ "outcome": state.as_str() }),
        Follows::Retry { due_at, .. } => {
            json!({ "attempt": attempt.attempt.saturating_add(1), "dueAt": rfc3339_millis(*due_at) })
        }
    };
    out.insert("follows".into(), follows);
    Value::Object(out)
}

fn optional(out: &mut Map<String, Value>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        out.insert(name.into(), value.into());
    }
}
