//! What channel documents say of other channels, and the routes about how channels are.

use crate::harness::{Answered, Service, assert_problem, service};
use http::Method;
use serde_json::{Value, json};

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
}
