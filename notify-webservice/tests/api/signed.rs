//! `POST /internal/events/publish`: signed, idempotent, no token.

use crate::harness::{Answered, GATEWAY_SECRET, NEW_SECRET, OLD_SECRET, Service, assert_problem, service};
use http::Method;
use notify_connector_host::signing::SigningKey;
use notify_core::ids::TenantId;
use notify_store::model::Page;
use serde_json::{Value, json};

const PLACE: &str = "/internal/events/publish";
/// The harness's clock.
const NOW: i64 = 1_795_000_000;
const STRUCTURED: &str = "application/cloudevents+json";

fn event(id: &str, tenant: Option<&str>) -> Value {
    let mut event = json!({ "specversion": "1.0", "id": id, "source": "/scanner", "type": "report.ready" });
    if let Some(tenant) = tenant {
        event["tenant"] = json!(tenant);
    }
    event
}

struct Request<'a> {
    secret: &'a str,
    id: &'a str,
    at: i64,
    media: &'a str,
    more: &'a [(&'a str, &'a str)],
}

const REQUEST: Request<'static> =
    Request { secret: NEW_SECRET, id: "msg_1", at: NOW, media: STRUCTURED, more: &[] };

async fn send(service: &Service, request: &Request<'_>, body: &str) -> Answered {
    let signature = SigningKey::parse(request.secret).unwrap().sign(request.id, request.at, body.as_bytes());
    let at = request.at.to_string();
    let mut headers = vec![
        ("content-type", request.media),
        ("webhook-id", request.id),
        ("webhook-timestamp", &at),
        ("webhook-signature", &signature),
    ];
    headers.extend(request.more);
    service.send(Method::POST, PLACE, &headers, body.as_bytes()).await
}

async fn events_of(service: &Service, tenant: &str) -> usize {
    let tenant = TenantId::new(tenant).unwrap();
    service.store.events(&tenant, &Page { limit: 100, after: None }).await.unwrap().items.len()
}

#[tokio::test]
async fn either_secret_of_a_rotation_is_good_and_nothing_else() {
    let service = service().await;
    let body = event("1", None).to_string();
    for (secret, id) in [(NEW_SECRET, "msg_1"), (OLD_SECRET, "msg_2")] {
        let answered = send(&service, &Request { secret, id, ..REQUEST }, &body).await;
        assert_eq!(answered.status.as_u16(), 202, "{}", answered.body);
    }
    let refused = async |request: Request<'_>, path: &str| {
        let answered = send(&service, &request, &body).await;
        assert_problem(&answered, 401, "invalid-signature");
        assert_eq!(answered.text("/path"), path, "{}", answered.body);
    };
    let other = "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXI=";
    refused(Request { secret: other, ..REQUEST }, "webhook-signature").await;
    refused(Request { at: NOW - 301, ..REQUEST }, "webhook-signature").await;
    refused(Request { at: NOW + 301, ..REQUEST }, "webhook-signature").await;
    refused(Request { more: &[("webhook-id", "msg_9")], ..REQUEST }, "webhook-id").await;
    for at in [NOW - 300, NOW + 300] {
        assert_eq!(send(&service, &Request { at, ..REQUEST }, &body).await.status.as_u16(), 202);
    }
    // The signature covers the body.
    let signature = SigningKey::parse(NEW_SECRET).unwrap().sign("msg_3", NOW, body.as_bytes());
    let at = NOW.to_string();
    let headers = [
        ("content-type", STRUCTURED),
        ("webhook-id", "msg_3"),
        ("webhook-timestamp", at.as_str()),
        ("webhook-signature", &signature),
    ];
    let changed = service.send(Method::POST, PLACE, &headers, event("2", None).to_string().as_bytes()).await;
    assert_problem(&changed, 401, "invalid-signature");
    // Attributes in headers would not be signed.
    let binary = send(&service, &Request { id: "msg_4", media: "application/json", ..REQUEST }, "{}").await;
    assert_problem(&binary, 415, "unsupported-media-type");
    assert_eq!(events_of(&service, "acme").await, 1);
}

#[tokio::test]
async fn a_key_stands_for_one_request() {
    let service = service().await;
    let with_key =
        |id: &'static str, key: &'static [(&'static str, &'static str)]| Request { id, more: key, ..REQUEST };
    let body = event("1", None).to_string();
    let first = send(&service, &with_key("msg_1", &[("idempotency-key", "k1")]), &body).await;
    assert_eq!((first.status.as_u16(), first.text("/status")), (202, "accepted"), "{}", first.body);
    service.later(60);
    // Another sending has another `webhook-id` and time; the answer is the first one's, word for word.
    let again = send(&service, &with_key("msg_2", &[("idempotency-key", "k1")]), &body).await;
    assert_eq!((again.status.as_u16(), &again.bytes), (202, &first.bytes));
    assert_eq!(again.header("idempotent-replayed"), "true");
    let other =
        send(&service, &with_key("msg_3", &[("idempotency-key", "k1")]), &event("2", None).to_string()).await;
    assert_problem(&other, 409, "idempotency-conflict");
    // Without a key, `webhook-id` is it.
    let body = event("3", None).to_string();
    let first = send(&service, &with_key("msg_4", &[]), &body).await;
    let again = send(&service, &with_key("msg_4", &[]), &body).await;
    assert_eq!((again.header("idempotent-replayed"), &again.bytes), ("true", &first.bytes));
    // A refusal is not remembered: what was wrong may be put right.
    let bad = send(&service, &with_key("msg_5", &[]), r#"{"specversion":"1.0"}"#).await;
    assert_problem(&bad, 400, "invalid-event");
    assert_eq!(
        send(&service, &with_key("msg_5", &[]), &event("4", None).to_string()).await.status.as_u16(),
        202
    );
    // An admin's key of the same name is another key.
    let channel = r#"{"schema":"notify-channel@1","id":"mine","name":"Mine","type":"webhook"}"#;
    let headers = [("content-type", "application/json"), ("idempotency-key", "k1")];
    let made = service.admin(Method::POST, "/api/v1/notify/channels", &headers, channel).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    assert_eq!(events_of(&service, "acme").await, 3);
}

#[tokio::test]
async fn the_tenant_is_the_publishers_or_the_events() {
    let service = service().await;
    let gateway = Request { secret: GATEWAY_SECRET, ..REQUEST };
    for (request, event_, status, code) in [
        (&REQUEST, event("1", None), 202, ""),
        (&REQUEST, event("2", Some("acme")), 202, ""),
        (&REQUEST, event("3", Some("other")), 403, "tenant-mismatch"),
        (&gateway, event("4", None), 400, "invalid-event"),
        (&gateway, event("5", Some("other")), 202, ""),
        (&gateway, event("6", Some("third")), 403, "tenant-mismatch"),
    ] {
        let id = format!("msg_{}", event_["id"].as_str().unwrap());
        let answered = send(&service, &Request { id: &id, ..*request }, &event_.to_string()).await;
        assert_eq!((answered.status.as_u16(), answered.code()), (status, code), "{}", answered.body);
    }
    assert_eq!((events_of(&service, "acme").await, events_of(&service, "other").await), (2, 1));
    // A batch is for one tenant.
    let media = "application/cloudevents-batch+json";
    let batch = json!([event("7", Some("other")), event("8", Some("acme")), event("9", None)]);
    let answered = send(&service, &Request { id: "msg_7", media, ..gateway }, &batch.to_string()).await;
    assert_eq!(answered.status.as_u16(), 207, "{}", answered.body);
    let fates: Vec<_> = (0..3).map(|i| answered.text(&format!("/items/{i}/status"))).collect();
    assert_eq!(fates, ["accepted", "refused", "accepted"]);
    // An unsigned header cannot lead it elsewhere.
    let turned = Request { id: "msg_8", more: &[("x-notify-tenant", "acme")], ..gateway };
    assert_problem(
        &send(&service, &turned, &event("10", Some("other")).to_string()).await,
        403,
        "tenant-mismatch",
    );
    // Who got in without a token stands in the ledger, once per tenant.
    let entries = service.admin(Method::GET, "/api/v1/notify/ledger/entries", &[], "").await;
    let firsts = entries.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["statement"]["predicate"]["act"] == "publisher-first-used")
        .count();
    assert_eq!(firsts, 1, "{}", entries.body);
}
