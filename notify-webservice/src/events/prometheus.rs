//! Alertmanager's API version 2, as far as a Prometheus server needs it: it may name us as one of its Alertmanagers.
//!
//! Prometheus does not look at the answer's body and sends every alert again while it lasts, so an alert that was refused
//! or could not be made durable comes again. As in Alertmanager, the good alerts of a body with bad ones are taken.

use super::{accept_all, multi_status, unsupported};
use crate::app::{Answer, Call};
use http::StatusCode;
use notify_core::event::alertmanager_api::to_events;

/// `POST /api/v2/alerts`
pub async fn alerts(call: Call) -> Answer {
    let media = call.media_type();
    if media != "application/json" {
        return Err(unsupported(&media, "`application/json`, as Prometheus does"));
    }
    let events = to_events(call.tenant(), &call.body, &call.app.limits.events, call.app.clock.now())?;
    let fates = accept_all(&call, events, "").await?;
    let mut response = multi_status(&call, &fates, StatusCode::BAD_REQUEST);
    // Alertmanager's clients know 200 and nothing else as success.
    if response.status() == StatusCode::ACCEPTED {
        *response.status_mut() = StatusCode::OK;
    }
    Ok(response)
}
