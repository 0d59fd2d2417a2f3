//! Alertmanager's webhook and Grafana's variant of it.
//!
//! Alertmanager sends a notice again on 5xx and drops it on 4xx, so a notice of which one alert could not be made
//! durable is answered 503 as a whole: the alerts that were accepted are then duplicates.

use super::{accept_all, multi_status, unsupported};
use crate::answer;
use crate::app::{Answer, Call};
use http::StatusCode;
use notify_core::event::alertmanager::to_events;
use serde_json::json;

/// `POST /api/v1/ingest/alertmanager`
pub async fn ingest(call: Call) -> Answer {
    let media = call.media_type();
    if media != "application/json" {
        return Err(unsupported(&media, "`application/json`, as Alertmanager and Grafana do"));
    }
    let now = call.app.clock.now();
    let events = to_events(call.tenant(), &call.body, &call.app.limits.events, now)?;
    if events.is_empty() {
        let nothing = json!({ "accepted": 0, "duplicates": 0, "refused": 0, "items": [] });
        return Ok(answer::json(StatusCode::ACCEPTED, &nothing));
    }
    let fates = accept_all(&call, events, "/alerts").await?;
    Ok(multi_status(&call, &fates, StatusCode::BAD_REQUEST))
}
