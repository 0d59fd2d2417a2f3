//! Health, readiness, metrics, plug-ins and the API's own description.

use crate::answer;
use crate::app::{Answer, Call};
use http::StatusCode;
use serde_json::json;
use std::fmt::Write;
use std::sync::atomic::Ordering;

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
    let mut text = call.app.engine.metrics();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    let counters = &call.app.counters;
    text.push_str("# HELP notify_http_answers_total HTTP answers by status class.\n");
    text.push_str("# TYPE notify_http_answers_total counter\n");
    for (class, count) in counters.answers.iter().enumerate().skip(1) {
        let count = count.load(Ordering::Relaxed);
        let _ = writeln!(text, "notify_http_answers_total{{class=\"{class}xx\"}} {count}");
    }
    text.push_str("# HELP notify_http_panics_total Handlers that panicked and were caught.\n");
    text.push_str("# TYPE notify_http_panics_total counter\n");
    let _ = writeln!(text, "notify_http_panics_total {}", counters.panics.load(Ordering::Relaxed));
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
