//! How channels are, and trying them: state, test message, check, secrets read anew.

use crate::answer;
use crate::app::{Answer, Call, store_problem};
use http::StatusCode;
use notify_core::ids::ChannelId;
use notify_core::problem::{Code, Problem};
use notify_store::model::DeliveryState;
use serde_json::json;

/// `GET /channels/{id}/status`
pub async fn status(call: Call) -> Answer {
    let id = channel_id(&call)?;
    let found = call.app.engine.channel_status(call.tenant(), &id).await?;
    Ok(answer::json(StatusCode::OK, &found))
}

/// `GET /channels:status`: of all of them, by id.
pub async fn statuses(call: Call) -> Answer {
    let found = call.app.engine.channel_statuses(call.tenant(), &call.page()?).await?;
    let body = json!({ "items": found.items, "nextPageToken": call.sealed(found.next) });
    Ok(answer::json(StatusCode::OK, &body))
}

/// `POST /channels/{id}:test`: a message that says it is a test, the way of every delivery.
pub async fn test(call: Call) -> Answer {
    let id = channel_id(&call)?;
    let key = call.header("idempotency-key");
    let delivery = call.app.engine.test_channel(call.tenant(), &id, &call.caller.actor, key).await?;
    // With a key that came before it may be over already.
    let found = call.app.store.delivery(call.tenant(), &delivery).await;
    let found = found.map_err(|error| store_problem(&call.request, &error))?;
    let state = found.map_or(DeliveryState::Scheduled, |delivery| delivery.state);
    let body = json!({ "id": delivery.as_str(), "channel": id.as_str(), "state": state.as_str() });
    Ok(answer::json(StatusCode::ACCEPTED, &body))
}

/// `POST /channels/{id}:check`: asks the plug-in now; nothing is sent to people.
pub async fn check(call: Call) -> Answer {
    let id = channel_id(&call)?;
    let checked = call.app.engine.check_channel(call.tenant(), &id).await?;
    Ok(answer::json(StatusCode::OK, &checked))
}

/// `POST /channels/{id}:refresh-secret`
pub async fn refresh_secret(call: Call) -> Answer {
    let id = channel_id(&call)?;
    let done = call.app.engine.refresh_secrets(call.tenant(), &id, &call.caller.actor).await?;
    Ok(answer::json(StatusCode::OK, &done))
}

/// What is no channel id names no channel.
fn channel_id(call: &Call) -> Result<ChannelId, Problem> {
    let id = call.param("id");
    id.parse().map_err(|_| {
        let reason = format!("there is no channel `{}`", id.escape_default());
        Problem::new(Code::NotFound, "", reason, "list them with `notify channel list`")
    })
}
