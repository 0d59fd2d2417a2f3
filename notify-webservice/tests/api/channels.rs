//! What channel documents say of other channels, and the routes about how channels are.

use crate::harness::{Answered, Service, assert_problem, service};
use crate::inbox::{delivered, message};
use http::Method;
use notify_core::ids::TenantId;
use notify_core::ledger::{EntryDraft, EntryKind};
use notify_core::severity::Severity;
use notify_core::time::Clock;
use notify_store::model::{Attempt, DeliveryState, Follows};
use notify_store::{Commit, Effect};
use serde_json::{Map, Value, json};

const JSON: (&str, &str) = ("content-type", "application/json");
const CHANNELS: &str = "/api/v1/notify/channels";

async fn put(service: &Service, id: &str, fallback: Option<&str>) -> Answered {
    let mut document =
        json!({ "schema": "notify-channel@1", "id": id, "name": id, "type": "webhook", "config": {} });
    if let Some(to) = fallback {
        document["fallback"] = json!({ "channel": to });
    }
    let known = service.admin(Method::GET, &format!("{CHANNELS}/{id}"), &[], "").await;
    if known.status.as_u16() == 200 {
        let headers = [JSON, ("if-match", "*")];
        return service
            .admin(Method::PUT, &format!("{CHANNELS}/{id}"), &headers, &document.to_string())
            .await;
    }
    service.admin(Method::POST, CHANNELS, &[JSON], &document.to_string()).await
}

#[tokio::test]
async fn fallbacks_exist_end_and_stay() {
    let service = service().await;
    let refused = put(&service, "a", Some("none")).await;
    assert_problem(&refused, 422, "unknown-reference");
    assert_eq!(refused.text("/path"), "/fallback/channel");
    assert_eq!(put(&service, "a", Some("inbox")).await.status.as_u16(), 201, "it exists for everybody");
    for (id, to) in [("b", "a"), ("c", "b"), ("d", "c")] {
        let made = put(&service, id, Some(to)).await;
        let most = id == "d";
        // d → c → b → a → inbox would be four.
        assert_eq!(made.status.as_u16(), if most { 422 } else { 201 }, "{id}: {}", made.body);
    }
    let round = put(&service, "a", Some("c")).await;
    assert_problem(&round, 422, "invalid-channel");
    assert!(round.text("/detail").contains("`a` → `c` → `b` → `a`"), "{}", round.body);
    let delete = async |id: &str| {
        service.admin(Method::DELETE, &format!("{CHANNELS}/{id}"), &[("if-match", "*")], "").await
    };
    let used = delete("b").await;
    assert_problem(&used, 409, "in-use");
    assert!(used.text("/detail").contains("channel `c`"), "{}", used.body);
    assert_eq!(delete("c").await.status.as_u16(), 204);
    assert_eq!(delete("b").await.status.as_u16(), 204);
}

#[tokio::test]
async fn routes_about_channels_know_their_channel() {
    let service = service().await;
    assert_eq!(put(&service, "a", None).await.status.as_u16(), 201);
    for (method, verb, status) in [
        (Method::GET, "/status", 200),
        (Method::POST, ":test", 202),
        (Method::POST, ":check", 200),
        (Method::POST, ":refresh-secret", 200),
    ] {
        let found = service.admin(method.clone(), &format!("{CHANNELS}/a{verb}"), &[], "").await;
        assert_eq!(found.status.as_u16(), status, "{verb}: {}", found.body);
        for missing in ["b", "A%20b"] {
            let place = format!("{CHANNELS}/{missing}{verb}");
            assert_problem(&service.admin(method.clone(), &place, &[], "").await, 404, "not-found");
        }
    }
    let all = service.admin(Method::GET, &format!("{CHANNELS}:status"), &[], "").await;
    assert_eq!(all.body["items"].as_array().map(Vec::len), Some(1), "{}", all.body);
    assert_eq!(all.body["nextPageToken"], Value::Null);
    assert_eq!(put(&service, "b", None).await.status.as_u16(), 201);
    let first = service.admin(Method::GET, &format!("{CHANNELS}:status?limit=1"), &[], "").await;
    let next = first.text("/nextPageToken");
    let path = format!("{CHANNELS}:status?limit=1&pageToken={next}");
    let second = service.admin(Method::GET, &path, &[], "").await;
    assert_eq!((first.text("/items/0/id"), second.text("/items/0/id")), ("a", "b"));
    assert_eq!(second.body["nextPageToken"], Value::Null);
    let bad = service.admin(Method::GET, &format!("{CHANNELS}:status?pageToken=x"), &[], "").await;
    assert_problem(&bad, 400, "invalid-page-token");
}

#[tokio::test]
async fn a_test_with_a_key_from_before_tells_what_came_of_it() {
    let service = service().await;
    assert_eq!(put(&service, "a", None).await.status.as_u16(), 201);
    let test = async || {
        let headers = [("idempotency-key", "k")];
        service.admin(Method::POST, &format!("{CHANNELS}/a:test"), &headers, "").await
    };
    let id = delivered(&service, "a", "a", &message("test", Severity::Info)).await;
    let first = test().await;
    assert_eq!((first.text("/id"), first.text("/state")), (id.as_str(), "scheduled"));
    let now = service.clock.now();
    let attempt = Attempt {
        delivery: id.clone(),
        attempt: 1,
        started_at: now,
        finished_at: now,
        result: "permanent".into(),
        http_status: Some(404),
        request: None,
        response: None,
        error: None,
        provider_reference: None,
        follows: Follows::Outcome(DeliveryState::Dead),
    };
    let subject = vec![("delivery".to_owned(), "ab".repeat(32))];
    let entry =
        EntryDraft { kind: EntryKind::Attempt, subject, predicate: Map::new(), about: id.to_string() };
    let effects = vec![Effect::RecordAttempt(Box::new(attempt))];
    service.store.commit(Commit::new(TenantId::new("acme").unwrap(), effects, vec![entry])).await.unwrap();
    assert_eq!(test().await.text("/state"), "dead");
}
