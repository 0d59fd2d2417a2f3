//! What came from a bus and could not be taken in.

use crate::harness::{Service, assert_problem, service};
use http::Method;
use notify_bus::Bus;
use notify_bus::intake::{Message, Taken};
use notify_core::ids::TenantId;
use notify_core::time::Clock;
use notify_store::model::Page;
use notify_webservice::auth::Scope;
use serde_json::{Value, json};

const PLACE: &str = "/api/v1/notify/quarantine";

async fn take(service: &Service, body: &str) -> Taken {
    let bus = Bus::database(service.store.clone(), service.clock.clone());
    let tenant = TenantId::new("acme").unwrap();
    let received_at = service.clock.now();
    let message = Message {
        tenant: &tenant,
        origin: "nats:alerts.in",
        content_type: "",
        body: body.as_bytes(),
        received_at,
    };
    service.intake.take(&bus, message).await.unwrap()
}

fn quarantined(taken: Taken) -> String {
    match taken {
        Taken::Quarantined(id) => id,
        Taken::Published(receipt) => panic!("{receipt:?}"),
    }
}

fn event(id: &str, data: &Value) -> String {
    json!({ "specversion": "1.0", "id": id, "source": "/s", "type": "t", "data": data }).to_string()
}

async fn event_type(service: &Service, schema: &Value) {
    let body =
        json!({ "schema": "notify-event-type@1", "id": "t", "name": "T", "type": "t", "dataSchema": schema });
    let json = [("content-type", "application/json")];
    let made = service.admin(Method::POST, "/api/v1/notify/event-types", &json, &body.to_string()).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
}

#[tokio::test]
async fn what_does_not_fit_waits_and_goes_on_when_the_schema_has_changed() {
    let service = service().await;
    event_type(&service, &json!({ "type": "object" })).await;
    assert!(matches!(take(&service, &event("good", &json!({}))).await, Taken::Published(_)));
    let id = quarantined(take(&service, &event("1", &json!("text"))).await);
    // The bus delivers it again after a crash: it is there once.
    assert_eq!(quarantined(take(&service, &event("1", &json!("text"))).await), id);
    service.later(1);
    let broken = quarantined(take(&service, "{\"id\":").await);

    let listed = service.admin(Method::GET, &format!("{PLACE}?limit=1"), &[], "").await;
    assert_eq!(
        (listed.text("/items/0/id"), listed.text("/items/0/code")),
        (broken.as_str(), "malformed-json")
    );
    let next = listed.text("/nextPageToken").to_owned();
    let second = service.admin(Method::GET, &format!("{PLACE}?pageToken={next}"), &[], "").await;
    assert_eq!((second.text("/items/0/id"), second.text("/items/0/origin")), (id.as_str(), "nats:alerts.in"));
    assert_eq!(second.body["items"].as_array().unwrap().len(), 1);
    let one = service.admin(Method::GET, &format!("{PLACE}/{id}"), &[], "").await;
    assert_eq!(
        (one.text("/problem/code"), one.text("/problem/path")),
        ("schema-mismatch", "/data"),
        "{}",
        one.body
    );
    assert_eq!(one.text("/body"), event("1", &json!("text")));

    // What still does not pass stays, and the answer says why.
    let still = service.admin(Method::POST, &format!("{PLACE}/{id}:redrive"), &[], "").await;
    assert_problem(&still, 422, "schema-mismatch");
    let gone = service.admin(Method::DELETE, "/api/v1/notify/event-types/t", &[("if-match", "*")], "").await;
    assert_eq!(gone.status.as_u16(), 204);
    let redriven = service.admin(Method::POST, &format!("{PLACE}/{id}:redrive"), &[], "").await;
    assert_eq!(
        (redriven.status.as_u16(), redriven.text("/status"), redriven.text("/quarantine")),
        (202, "accepted", id.as_str()),
        "{}",
        redriven.body
    );
    assert_problem(
        &service.admin(Method::POST, &format!("{PLACE}/{id}:redrive"), &[], "").await,
        404,
        "not-found",
    );
    let place = format!("{PLACE}/{broken}");
    assert_problem(
        &service.admin(Method::POST, &format!("{place}:redrive"), &[], "").await,
        400,
        "malformed-json",
    );
    assert_eq!(service.admin(Method::DELETE, &place, &[], "").await.status.as_u16(), 204);
    assert_problem(&service.admin(Method::DELETE, &place, &[], "").await, 404, "not-found");

    let acme = TenantId::new("acme").unwrap();
    let events = service.store.events(&acme, &Page { limit: 10, after: None }).await.unwrap();
    assert_eq!(events.items.iter().map(|e| e.event.id.as_str()).collect::<Vec<_>>(), ["1", "good"]);
    let entries = service.admin(Method::GET, "/api/v1/notify/ledger/entries", &[], "").await;
    let acts: Vec<(&str, &str)> = entries.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["statement"]["predicate"])
        .filter(|predicate| predicate["details"]["message"].is_string())
        .map(|predicate| {
            (predicate["act"].as_str().unwrap(), predicate["details"]["message"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        acts,
        [
            ("event-quarantined", id.as_str()),
            ("event-quarantined", &broken),
            ("event-redriven", &id),
            ("quarantine-deleted", &broken),
        ]
    );
    assert!(!entries.body.to_string().contains("text\\\""), "bodies are committed to, not shown");
}

#[tokio::test]
async fn conflicts_large_bodies_and_other_content_wait_too() {
    let service = service().await;
    take(&service, &event("1", &json!(1))).await;
    let conflict = quarantined(take(&service, &event("1", &json!(2))).await);
    let long = event("2", &json!("x".repeat(600 * 1024)));
    let large = quarantined(take(&service, &long).await);
    let read = async |id: &str| service.admin(Method::GET, &format!("{PLACE}/{id}"), &[], "").await;
    assert_eq!(read(&conflict).await.text("/code"), "event-conflict");
    let shown = read(&large).await;
    assert_eq!(
        (shown.text("/code"), shown.body["truncated"].as_bool(), shown.body["bytes"].as_u64()),
        ("too-large", Some(true), Some(512 * 1024))
    );
    assert_problem(
        &service.admin(Method::POST, &format!("{PLACE}/{large}:redrive"), &[], "").await,
        413,
        "too-large",
    );
    let bus = Bus::database(service.store.clone(), service.clock.clone());
    let (tenant, received_at) = (TenantId::new("acme").unwrap(), service.clock.now());
    let binary = Message {
        tenant: &tenant,
        origin: "kafka:in",
        content_type: "application/cloudevents+avro",
        body: &[0, 255],
        received_at,
    };
    let binary = quarantined(service.intake.take(&bus, binary).await.unwrap());
    let shown = read(&binary).await;
    assert_eq!((shown.text("/code"), shown.text("/bodyBase64")), ("unsupported-media-type", "AP8="));

    // A tenant that does not exist has no quarantine either: the message stays on the bus.
    let nobody = TenantId::new("nobody").unwrap();
    let lost = Message { tenant: &nobody, origin: "kafka:in", content_type: "", body: b"{", received_at };
    assert_eq!(service.intake.take(&bus, lost).await.unwrap_err().code.as_str(), "unavailable");
}

#[tokio::test]
async fn it_belongs_to_its_tenant() {
    let service = service().await;
    let id = quarantined(take(&service, "{").await);
    let token = format!("Bearer {}", service.token("other", &[Scope::Admin]));
    let other = [("authorization", token.as_str())];
    for (method, path) in [
        (Method::GET, format!("{PLACE}/{id}")),
        (Method::POST, format!("{PLACE}/{id}:redrive")),
        (Method::DELETE, format!("{PLACE}/{id}")),
    ] {
        assert_problem(&service.send(method, &path, &other, b"").await, 404, "not-found");
    }
    let listed = service.send(Method::GET, PLACE, &other, b"").await;
    assert_eq!(listed.body["items"], json!([]));
    assert_problem(
        &service.admin(Method::GET, &format!("{PLACE}?pageToken=x"), &[], "").await,
        400,
        "invalid-page-token",
    );
}
