//! Health, readiness, metrics, plug-ins and the API's own description.

use crate::answer;
use crate::app::{Answer, Call};
use http::StatusCode;
use serde_json::json;

/// `GET /healthz`: the process answers. Says nothing of what it needs; that is `/readyz`.
pub async fn health(_call: Call) -> Answer {
    Ok(answer::json(StatusCode::OK, &json!({ "status": "ok" })))
}

/// `GET /readyz`
pub async fn ready(call: Call) -> Answer {
    let readiness = call.app.engine.ready().await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(answer::json(status, &readiness))
}

/// `GET /metrics`, Prometheus text format 0.0.4.
pub async fn metrics(call: Call) -> Answer {
    let mut text = call.app.engine.metrics().await;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&crate::metrics::text(call.app.counters.registry()));
    Ok(answer::bytes(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text.into_bytes()))
}

/// `GET /openapi.json`
pub async fn openapi(_call: Call) -> Answer {
    Ok(answer::json(StatusCode::OK, &crate::openapi::document()))
}

/// `GET /api/v1/notify/plugins`
pub async fn plugins(call: Call) -> Answer {
    Ok(answer::json(StatusCode::OK, &json!({ "items": call.app.engine.plugins(), "nextPageToken": null })))
}
