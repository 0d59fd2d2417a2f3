//! What goes wrong before a handler is reached, and around it.

use crate::harness::{Fault, assert_problem, service, service_with};
use http::Method;
use notify_core::event::EventLimits;
use notify_webservice::Limits;
use notify_webservice::auth::Scope;
use serde_json::json;

const EVENTS: &str = "/api/v1/events";
const STRUCTURED: (&str, &str) = ("content-type", "application/cloudevents+json");

#[tokio::test]
async fn unknown_places_and_methods() {
    let service = service().await;
    for path in [
        "/",
        "/api",
        "/api/v1/notify/rules/",
        "/api/v1/notify/rules/a/b",
        "/api/v1/notify/rules/x:dance",
        "/%ff",
        "/api/v1/notify/rules:dance",
    ] {
        let answered = service.admin(Method::POST, path, &[], "").await;
        assert_problem(&answered, 404, "not-found");
    }
    for (method, path, allow) in [
        (Method::DELETE, EVENTS, "POST"),
        (Method::PATCH, "/api/v1/notify/rules", "GET, POST"),
        (Method::GET, "/api/v1/notify/rules/x:explain", "POST"),
        (Method::POST, "/api/v1/notify/rules/x", "GET, PUT, DELETE"),
        (Method::POST, "/healthz", "GET"),
    ] {
        let answered = service.admin(method, path, &[], "").await;
        assert_problem(&answered, 405, "method-not-allowed");
        assert_eq!(answered.header("allow"), allow, "{path}");
    }
    let bad = service.admin(Method::GET, "/api/v1/notify/rules/%ff", &[], "").await;
    assert_problem(&bad, 400, "invalid-parameter");
}

#[tokio::test]
async fn public_places_answer_without_a_token() {
    let service = service().await;
    let health = service.send(Method::GET, "/healthz", &[], b"").await;
    assert_eq!((health.status.as_u16(), health.text("/status")), (200, "ok"));
    let head = service.send(Method::HEAD, "/healthz", &[], b"").await;
    assert_eq!((head.status.as_u16(), head.bytes.len()), (200, 0));
    let metrics = service.send(Method::GET, "/metrics", &[], b"").await;
    let text = String::from_utf8(metrics.bytes.clone()).unwrap();
    assert!(
        text.contains("notify_events_accepted_total 0\n")
            && text.contains("notify_http_answers_total{class=\"2xx\"} 2\n"),
        "{text}"
    );
    let openapi = service.send(Method::GET, "/openapi.json", &[], b"").await;
    assert_eq!(openapi.text("/openapi"), "3.1.0");
    assert_eq!(service.send(Method::GET, "/readyz", &[], b"").await.status.as_u16(), 200);
    service.set_fault(Some(Fault::Unavailable));
    assert_eq!(service.send(Method::GET, "/readyz", &[], b"").await.status.as_u16(), 503);
}

#[tokio::test]
async fn a_panic_or_a_hang_is_an_answer() {
    let limits = Limits { request_timeout: std::time::Duration::from_millis(1_500), ..Limits::default() };
    let service = service_with(limits).await;
    let event = json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t" }).to_string();
    for (fault, status, code) in [
        (Fault::Panic, 500, "internal"),
        (Fault::Hang, 503, "timeout"),
        (Fault::Unavailable, 503, "unavailable"),
    ] {
        service.set_fault(Some(fault));
        let answered = service.admin(Method::POST, EVENTS, &[STRUCTURED], &event).await;
        assert_problem(&answered, status, code);
        assert_eq!(answered.header("retry-after").is_empty(), status != 503);
        assert!(!answered.body.to_string().contains("asked to"), "a panic's text is not for users");
    }
    service.set_fault(Some(Fault::Panic));
    let answered = service.admin(Method::GET, "/api/v1/notify/plugins", &[], "").await;
    assert_problem(&answered, 500, "internal");
    service.set_fault(None);
    assert_eq!(service.admin(Method::POST, EVENTS, &[STRUCTURED], &event).await.status.as_u16(), 202);
}

#[tokio::test]
async fn bodies_have_bounds() {
    let events = EventLimits { max_bytes: 2_048, max_batch_bytes: 8_192, ..EventLimits::default() };
    let service = service_with(Limits { events, document_bytes: 4_096, ..Limits::default() }).await;
    let padding = "x".repeat(3_000);
    let large =
        json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": padding }).to_string();
    assert_problem(&service.admin(Method::POST, EVENTS, &[STRUCTURED], &large).await, 413, "too-large");
    let huge = "x".repeat(9_000);
    assert_problem(&service.admin(Method::POST, EVENTS, &[STRUCTURED], &huge).await, 413, "too-large");
    let yaml = [("content-type", "application/yaml")];
    let answered = service.admin(Method::POST, "/api/v1/notify/rules", &yaml, &huge).await;
    assert_problem(&answered, 413, "too-large");
}

#[tokio::test]
async fn parameters_are_checked() {
    let service = service().await;
    for (path, parameter) in [
        ("/api/v1/notify/rules?limt=5", "limt"),
        ("/api/v1/notify/rules?limit=0", "limit"),
        ("/api/v1/notify/rules?limit=1&limit=2", "limit"),
        ("/api/v1/notify/deliveries?state=lost", "state"),
        ("/api/v1/notify/deliveries?rule=No%20Slug", "rule"),
        ("/api/v1/notify/deliveries?event=x", "event"),
        ("/api/v1/notify/deliveries?from=yesterday", "from"),
        ("/api/v1/notify/deliveries?to=2026-13-01T00:00:00Z", "to"),
        ("/api/v1/notify/rules/x?version=one", "version"),
        ("/api/v1/notify/ledger/entries?from=-1", "from"),
        ("/api/v1/notify/plugins?x=y", "x"),
    ] {
        let answered = service.admin(Method::GET, path, &[], "").await;
        assert_problem(&answered, 400, "invalid-parameter");
        assert_eq!(answered.text("/path"), parameter);
    }
    for list in ["rules", "rules/x/versions", "events", "deliveries"] {
        for token in ["nonsense!", "", "1", "0", "-1", "zzz", "1.000000000000"] {
            let path = format!("/api/v1/notify/{list}?pageToken={token}");
            let answered = service.admin(Method::GET, &path, &[], "").await;
            assert_problem(&answered, 400, "invalid-page-token");
        }
    }
}

#[tokio::test]
async fn a_request_keeps_a_plain_name_it_was_given() {
    let service = service().await;
    for (given, kept) in [("trace-1.a_B", true), ("bad name", false), (&"x".repeat(65), false)] {
        let answered = service.send(Method::GET, "/healthz", &[("x-request-id", given)], b"").await;
        assert_eq!(answered.header("x-request-id") == given, kept, "{given}");
        assert!(!answered.header("x-request-id").is_empty());
    }
    let token = format!("Bearer {}", service.token("acme", &[Scope::Publish]));
    let named = [("authorization", token.as_str()), ("x-request-id", "mine")];
    let answered = service.send(Method::POST, EVENTS, &named, b"x").await;
    assert_eq!(answered.text("/instance"), "urn:notify-studio:request:mine");
}
