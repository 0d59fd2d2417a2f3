//! `POST /internal/events/publish`: events from services that sign what they send and hold no token.
//!
//! The signature covers the body alone, so an event must be in it as a whole: binary mode, whose attributes are headers,
//! is not offered. A repeat under the same key gets the first answer; without an `Idempotency-Key`, `webhook-id` is the
//! key, as Standard Webhooks intends. Only a request of which everything was accepted is remembered: after any other
//! answer the sender may try again.

use super::{batch, one, unsupported};
use crate::app::{Answer, Call, internal, store_problem};
use crate::documents::idempotency::Idempotent;
use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http_body_util::BodyExt;
use notify_core::event::{Event, Mode};
use notify_store::{Commit, Refused, StoreError};

/// The handler; the signature was verified on the way here.
pub async fn publish(call: Call) -> Answer {
    let repeat = Idempotent::of_publisher(&call)?;
    if let Some(answer) = repeat.answered_before(&call).await? {
        return Ok(answer);
    }
    let (tenant, limits) = (call.tenant(), &call.app.limits.events);
    let response = match Mode::of(call.header("content-type"))? {
        Mode::Structured => one(&call, Event::structured(tenant, &call.body, limits)?).await?,
        Mode::Batch => batch(&call, Event::batch(tenant, &call.body, limits)?).await?,
        Mode::Binary => {
            let offered = "`application/cloudevents+json` or `application/cloudevents-batch+json`: only the body is \
                           signed, so the whole event must be in it";
            return Err(unsupported(&call.media_type(), offered));
        }
    };
    if response.status() != StatusCode::ACCEPTED {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| internal(&call.request, &error))?.to_bytes();
    let answer = String::from_utf8_lossy(&body).into_owned();
    let remember = repeat.remember(parts.status, &answer, call.app.clock.now());
    match call.app.store.commit(Commit::bookkeeping(tenant.clone(), vec![remember])).await {
        Ok(_) => {}
        // The same key at the same time: the answer that was kept stands.
        Err(StoreError::Refused(Refused::IdempotencyTaken)) => {
            if let Some(answer) = repeat.answered_before(&call).await? {
                return Ok(answer);
            }
        }
        // The events are durable, and a repeat of them is known by their identity.
        Err(error) => {
            let _ = store_problem(&call.request, &error);
        }
    }
    Ok(Response::from_parts(parts, Body::from(body)))
}
