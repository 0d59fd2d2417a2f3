//! Event types: documents with a schema, and events against them.

use crate::harness::{Answered, Service, assert_problem, service};
use http::Method;
use serde_json::{Value, json};

const TYPES: &str = "/api/v1/notify/event-types";
const JSON: (&str, &str) = ("content-type", "application/json");

fn document(id: &str, r#type: &str, schema: &Value) -> String {
    json!({ "schema": "notify-event-type@1", "id": id, "name": "A type", "type": r#type, "dataSchema": schema }).to_string()
}

async fn create(service: &Service, id: &str, r#type: &str, schema: &Value) -> Answered {
    service.admin(Method::POST, TYPES, &[JSON], &document(id, r#type, schema)).await
}

async fn publish(service: &Service, media: &str, body: &Value) -> Answered {
    service.admin(Method::POST, "/api/v1/events", &[("content-type", media)], &body.to_string()).await
}

fn event(id: &str, data: &Value) -> Value {
    json!({ "specversion": "1.0", "id": id, "source": "/s", "type": "report.ready", "data": data })
}

fn schema() -> Value {
    json!({
        "type": "object",
        "required": ["image"],
        "properties": { "image": { "$ref": "#/$defs/image" }, "count": { "type": "integer", "minimum": 0 } },
        "$defs": { "image": { "type": "string", "pattern": "^[a-z]+$" } },
    })
}

#[tokio::test]
async fn an_event_that_does_not_fit_is_refused_with_the_place() {
    let service = service().await;
    let structured = "application/cloudevents+json";
    let early = publish(&service, structured, &event("0", &json!(1))).await;
    assert_eq!(early.status.as_u16(), 202, "no type is registered yet: {}", early.body);
    let made = create(&service, "report", "report.ready", &schema()).await;
    assert_eq!(
        (made.status.as_u16(), made.header("location")),
        (201, "/api/v1/notify/event-types/report"),
        "{}",
        made.body
    );

    for (data, path, said) in [
        (json!({ "image": "app" }), "", ""),
        (json!({}), "/data", "\"image\" is a required property"),
        (json!({ "image": "Secret-7" }), "/data/image", "the value does not match"),
        (json!({ "image": "app", "count": -1 }), "/data/count", "less than the minimum"),
        (Value::Null, "/data", "version 1 of the event type `report`"),
    ] {
        let answered = publish(&service, structured, &event(&format!("1{path}{data}"), &data)).await;
        if path.is_empty() {
            assert_eq!(answered.status.as_u16(), 202, "{}", answered.body);
            continue;
        }
        assert_problem(&answered, 422, "schema-mismatch");
        assert_eq!(answered.text("/path"), path, "{}", answered.body);
        assert!(answered.text("/detail").contains(said), "{}", answered.body);
        assert!(!answered.body.to_string().contains("Secret-7"), "values are not quoted: {}", answered.body);
    }
    // All first faults are told, the first one's place as the path.
    let two = publish(&service, structured, &event("2", &json!({ "count": -1 }))).await;
    assert!(
        two.text("/detail").contains("/data/count") && two.text("/detail").contains("required"),
        "{}",
        two.body
    );
    // In binary mode alike, and data that is no JSON does not slip through.
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "3"),
        ("ce-source", "/s"),
        ("ce-type", "report.ready"),
        ("content-type", "application/octet-stream"),
    ];
    let binary = service.admin(Method::POST, "/api/v1/events", &headers, "\u{1}").await;
    assert_problem(&binary, 422, "schema-mismatch");
    // In a batch, each has its fate; another type is none of this one's business.
    let mut other = event("6", &json!(1));
    other["type"] = json!("other");
    let batch = json!([event("4", &json!({ "image": "app" })), event("5", &json!({})), other]);
    let batch = publish(&service, "application/cloudevents-batch+json", &batch).await;
    assert_eq!(batch.status.as_u16(), 207, "{}", batch.body);
    let fates: Vec<_> = (0..3).map(|i| batch.text(&format!("/items/{i}/status"))).collect();
    assert_eq!(fates, ["accepted", "refused", "accepted"]);
    assert_eq!(batch.text("/items/1/problem/path"), "/1/data");
}

#[tokio::test]
async fn a_new_version_counts_at_once_and_old_ones_stay_readable() {
    let service = service().await;
    create(&service, "report", "report.ready", &json!({ "type": "object" })).await;
    let place = format!("{TYPES}/report");
    let refused = async |id: &str| {
        publish(&service, "application/cloudevents+json", &event(id, &json!("text"))).await.status.as_u16()
    };
    assert_eq!(refused("1").await, 422);
    let body = document("report", "report.ready", &json!({ "type": "string" }));
    assert_problem(&service.admin(Method::PUT, &place, &[JSON], &body).await, 428, "precondition-required");
    let replaced = service.admin(Method::PUT, &place, &[JSON, ("if-match", "\"1\"")], &body).await;
    assert_eq!((replaced.status.as_u16(), replaced.header("etag")), (200, "\"2\""), "{}", replaced.body);
    assert_eq!(refused("1").await, 202);
    let old = service.admin(Method::GET, &format!("{place}?version=1"), &[], "").await;
    assert_eq!(old.text("/document/dataSchema/type"), "object");
    let gone = service.admin(Method::DELETE, &place, &[("if-match", "*")], "").await;
    assert_eq!(gone.status.as_u16(), 204, "{}", gone.body);
    let free = publish(&service, "application/cloudevents+json", &event("2", &json!(7))).await;
    assert_eq!(free.status.as_u16(), 202, "{}", free.body);
    let entries = service.admin(Method::GET, "/api/v1/notify/ledger/entries", &[], "").await;
    let acts: Vec<_> = entries.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["statement"]["predicate"])
        .filter(|predicate| predicate["documentKind"] == "event-type")
        .map(|predicate| predicate["action"].as_str().unwrap())
        .collect();
    assert_eq!(acts, ["create", "replace", "delete"]);
}

#[tokio::test]
async fn schemas_that_could_hurt_are_refused() {
    let service = service().await;
    let check = async |schema: Value, code: &str, path: &str| {
        let answered = create(&service, "bad", "bad", &schema).await;
        assert_problem(&answered, 422, code);
        assert_eq!(answered.text("/path"), path, "{}", answered.body);
        assert!(!answered.text("/fix").is_empty());
    };
    let invalid = "invalid-event-type";
    check(json!({ "$ref": "https://example.com/s.json" }), invalid, "/dataSchema/$ref").await;
    check(json!({ "items": { "$ref": "#" } }), invalid, "/dataSchema/items/$ref").await;
    check(json!({ "type": "objekt" }), invalid, "/dataSchema/type").await;
    check(json!({ "minimum": "x" }), invalid, "/dataSchema/minimum").await;
    check(json!({ "pattern": "(?=x)" }), invalid, "/dataSchema/pattern").await;
    check(json!({ "pattern": "(a" }), invalid, "/dataSchema/pattern").await;
    check(json!({ "pattern": "(((a{100}){100}){100})" }), invalid, "/dataSchema/pattern").await;
    check(json!(3), invalid, "/dataSchema").await;
    // A type has one schema.
    assert_eq!(create(&service, "one", "t", &json!({})).await.status.as_u16(), 201);
    let second = create(&service, "two", "t", &json!({})).await;
    assert_problem(&second, 409, "already-exists");
    assert_eq!(second.text("/path"), "/type");
}
