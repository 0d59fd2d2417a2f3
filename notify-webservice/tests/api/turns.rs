//! What is bounded by the work itself: sets of rules, lints, and what is tried out.

use crate::harness::{Answered, Service, assert_problem, service, service_with};
use axum::body::Body;
use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::{Method, Request};
use notify_core::ids::TenantId;
use notify_core::ledger::entry::Genesis;
use notify_store::{Commit, Effect};
use notify_webservice::Limits;
use notify_webservice::auth::Scope;
use serde_json::{Value, json};
use std::task::Poll;
use std::time::Duration;
use tower::ServiceExt;

const APPLY: &str = "/api/v1/notify/rules:apply";
const LINT: &str = "/api/v1/notify/rules:lint";

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

async fn post(service: &Service, tenant: &str, path: &str, body: &Value) -> Answered {
    let bearer = format!("Bearer {}", service.token(tenant, &[Scope::Admin]));
    let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    service.send(Method::POST, path, &headers, body.to_string().as_bytes()).await
}

async fn with_tenant(service: &Service, name: &str) {
    let create = Effect::CreateTenant {
        name: name.to_owned(),
        opaque: format!("{name}-log"),
        created_at: "2026-11-22T00:00:00Z".parse().unwrap(),
    };
    let entries = vec![Genesis::default().into_draft()];
    service.store.commit(Commit::new(tenant(name), vec![create], entries)).await.unwrap();
}

/// Begins to send a set of rules, and never goes on.
async fn trickle(service: &Service, tenant: &str) -> tokio::task::JoinHandle<()> {
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let mut begun = Some(begun);
    let body = stream::poll_fn(move |_| {
        let _ = begun.take().map(|begun| begun.send(()));
        Poll::<Option<Result<Bytes, std::io::Error>>>::Pending
    });
    let request = Request::builder()
        .method(Method::POST)
        .uri(APPLY)
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {}", service.token(tenant, &[Scope::Operator])))
        .body(Body::from_stream(body))
        .unwrap();
    let router = service.router.clone();
    let sending = tokio::spawn(async move { drop(router.oneshot(request).await) });
    has_begun.await.unwrap();
    sending
}

#[tokio::test]
async fn who_sends_slowly_keeps_out_only_itself() {
    let service = service().await;
    with_tenant(&service, "third").await;
    let nothing = json!({ "rules": [] });
    let slow = [trickle(&service, "acme").await, trickle(&service, "other").await];
    let answered = post(&service, "third", APPLY, &nothing).await;
    assert_eq!(answered.status.as_u16(), 200, "{}", answered.body);
    let refused = post(&service, "acme", APPLY, &nothing).await;
    assert_problem(&refused, 429, "rate-limited");
    assert_eq!(refused.header("retry-after"), "1");
    for sending in slow {
        sending.abort();
        assert!(sending.await.unwrap_err().is_cancelled());
    }
    assert_eq!(post(&service, "acme", APPLY, &nothing).await.status.as_u16(), 200);
}

#[tokio::test]
async fn one_lint_of_a_tenant() {
    let limits = Limits { request_timeout: Duration::from_millis(300), ..Limits::default() };
    let service = service_with(limits).await;
    let entered = service.app.counters.lints.enter(&tenant("acme")).unwrap();
    assert_problem(&post(&service, "acme", LINT, &json!({})).await, 429, "rate-limited");
    assert_eq!(post(&service, "other", LINT, &json!({})).await.status.as_u16(), 200);
    // Once it is at work, other tenants wait for it.
    let place = entered.begin().await;
    assert_problem(&post(&service, "other", LINT, &json!({})).await, 503, "timeout");
    drop(place);
    for tenant in ["acme", "other"] {
        assert_eq!(post(&service, tenant, LINT, &json!({})).await.status.as_u16(), 200);
    }
}

#[tokio::test]
async fn what_is_tried_out_waits_for_its_turn() {
    let limits = Limits { request_timeout: Duration::from_millis(300), ..Limits::default() };
    let service = service_with(limits).await;
    let channel = json!({ "schema": "notify-channel@1", "id": "x", "name": "A channel", "type": "webhook" });
    assert_eq!(post(&service, "acme", "/api/v1/notify/channels", &channel).await.status.as_u16(), 201);
    let rule = |id: &str| {
        json!({
            "schema": "notify-rule@1", "id": id, "name": "A rule", "match": { "type": ["t"] },
            "actions": [{ "id": "chat", "channel": "x" }],
            "tests": [{ "event": { "type": "t" }, "match": true }],
        })
    };
    assert_eq!(post(&service, "acme", "/api/v1/notify/rules", &rule("saved")).await.status.as_u16(), 201);
    let event = json!({ "event": { "specversion": "1.0", "id": "1", "source": "/s", "type": "t" } });
    let requests = [
        ("/api/v1/notify/rules:preview", event.clone()),
        ("/api/v1/notify/rules:explain", event.clone()),
        ("/api/v1/notify/rules/saved:explain", event),
        ("/api/v1/notify/rules:test", rule("tried")),
        ("/api/v1/notify/rules", rule("new")),
    ];
    let mut all = Vec::new();
    for number in 0.. {
        match service.app.counters.turns.take(&tenant(&format!("t{number}"))).now_or_never() {
            Some(turn) => all.push(turn),
            None => break,
        }
    }
    for (path, body) in &requests {
        assert_problem(&post(&service, "acme", path, body).await, 503, "timeout");
    }
    drop(all);
    for (path, body) in &requests {
        let answered = post(&service, "acme", path, body).await;
        assert!(answered.status.is_success(), "{path}: {}", answered.body);
    }
}
