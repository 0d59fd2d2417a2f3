//! Events in.

use crate::harness::{Answered, Fault, Service, assert_problem, service};
use http::Method;
use serde_json::{Value, json};

const EVENTS: &str = "/api/v1/events";

async fn publish(service: &Service, media: &str, body: &str) -> Answered {
    service.admin(Method::POST, EVENTS, &[("content-type", media)], body).await
}

fn event(id: &str, data: &Value) -> Value {
    json!({ "specversion": "1.0", "id": id, "source": "/scanner", "type": "report.ready", "data": data })
}

#[tokio::test]
async fn one_event_in_each_form_is_the_same_event() {
    let service = service().await;
    let one = event("1", &json!({ "n": 1 }));
    let first = publish(&service, "application/cloudevents+json; charset=utf-8", &one.to_string()).await;
    assert_eq!((first.status.as_u16(), first.text("/status"), first.text("/id")), (202, "accepted", "1"));
    assert!(first.text("/key").starts_with("evt_") && !first.text("/acceptedAt").is_empty());
    service.later(60);
    let binary = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/scanner"),
        ("CE-Type", "report.ready"),
    ];
    let again = service.admin(Method::POST, EVENTS, &binary, r#"{"n":1}"#).await;
    // `datacontenttype` is an attribute that only the binary form carries here: another body.
    assert!([202, 409].contains(&again.status.as_u16()), "{}", again.body);
    let batch = publish(&service, "application/cloudevents-batch+json", &json!([one]).to_string()).await;
    assert_eq!(batch.status.as_u16(), 202);
    assert_eq!(batch.text("/items/0/status"), "duplicate");
    assert_eq!(batch.text("/items/0/key"), first.text("/key"));
    assert_eq!(batch.text("/items/0/acceptedAt"), first.text("/acceptedAt"), "as accepted before");
    let conflict =
        publish(&service, "application/cloudevents+json", &event("1", &json!(2)).to_string()).await;
    assert_problem(&conflict, 409, "event-conflict");
}

#[tokio::test]
async fn a_batch_answers_for_each_event() {
    let service = service().await;
    let media = "application/cloudevents-batch+json";
    let mut broken = event("3", &json!(null));
    broken["source"] = json!(5);
    let batch = json!([
        event("1", &json!(1)),
        event("2", &json!(1)),
        broken,
        event("1", &json!(1)),
        event("2", &json!(9))
    ]);
    let answered = publish(&service, media, &batch.to_string()).await;
    assert_eq!(answered.status.as_u16(), 207, "{}", answered.body);
    let fates: Vec<_> = (0..5).map(|i| answered.text(&format!("/items/{i}/status"))).collect();
    assert_eq!(fates, ["accepted", "accepted", "refused", "duplicate", "refused"]);
    assert_eq!(answered.text("/items/2/problem/code"), "invalid-event");
    assert_eq!(answered.text("/items/2/problem/path"), "/2/source");
    assert_eq!(answered.text("/items/4/problem/code"), "event-conflict");
    let counts: Vec<_> =
        ["accepted", "duplicates", "refused"].iter().map(|name| answered.body[*name].as_u64()).collect();
    assert_eq!(counts, [Some(2), Some(1), Some(2)]);
    let refused = publish(&service, media, &json!([1, "x"]).to_string()).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (400, "invalid-event"), "{}", refused.body);
    assert_eq!(refused.text("/items/1/status"), "refused");
    let empty = publish(&service, media, "[]").await;
    assert_eq!(empty.status.as_u16(), 202, "{}", empty.body);
    assert_problem(&publish(&service, media, "{}").await, 400, "malformed-json");
}

#[tokio::test]
async fn bad_events_are_refused_with_the_place() {
    let service = service().await;
    for (media, body, status, code, path) in [
        ("application/cloudevents+json", "{", 400, "malformed-json", ""),
        ("application/cloudevents+json", r#"{"id":1,"id":2}"#, 400, "duplicate-key", ""),
        (
            "application/cloudevents+json",
            r#"{"specversion":"1.0","id":"1","source":"/s"}"#,
            400,
            "invalid-event",
            "/type",
        ),
        (
            "application/cloudevents+json",
            r#"{"specversion":"0.3","id":"1","source":"/s","type":"t"}"#,
            400,
            "invalid-event",
            "/specversion",
        ),
        (
            "application/cloudevents+json",
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"n":9007199254740993}}"#,
            400,
            "invalid-event",
            "/data/n",
        ),
        (
            "application/cloudevents+json",
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","tenant":"other"}"#,
            403,
            "tenant-mismatch",
            "/tenant",
        ),
        ("application/cloudevents+avro", "", 415, "unsupported-media-type", "content-type"),
        ("application/json", "{}", 400, "invalid-event", "ce-specversion"),
    ] {
        let answered = publish(&service, media, body).await;
        assert_problem(&answered, status, code);
        assert_eq!(answered.text("/path"), path, "{}", answered.body);
    }
    let deep = format!(
        r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{}{}}}"#,
        "[".repeat(70),
        "]".repeat(70)
    );
    assert_problem(&publish(&service, "application/cloudevents+json", &deep).await, 400, "too-deep");
}

#[tokio::test]
async fn an_accepted_event_can_be_read() {
    let service = service().await;
    let made =
        publish(&service, "application/cloudevents+json", &event("1", &json!({ "n": 1 })).to_string()).await;
    let read =
        service.admin(Method::GET, &format!("/api/v1/notify/events/{}", made.text("/key")), &[], "").await;
    assert_eq!(read.status.as_u16(), 200, "{}", read.body);
    assert_eq!(read.body.pointer("/event/data/n"), Some(&json!(1)));
    assert_eq!((read.text("/state"), read.text("/source")), ("pending", "/scanner"));
    assert_eq!(read.body.get("decisions"), Some(&json!([])));
    let list = service.admin(Method::GET, "/api/v1/notify/events?limit=1", &[], "").await;
    assert_eq!(list.text("/items/0/key"), made.text("/key"));
    for unknown in ["evt_00000000000000000000000000000000", "x"] {
        let answered = service.admin(Method::GET, &format!("/api/v1/notify/events/{unknown}"), &[], "").await;
        assert_problem(&answered, 404, "not-found");
    }
}

fn notice(alerts: &Value) -> String {
    json!({ "version": "4", "receiver": "studio", "status": "firing", "externalURL": "http://am.test", "alerts": alerts }).to_string()
}

fn alert(name: &str, summary: &str) -> Value {
    json!({
        "status": "firing", "labels": { "alertname": name, "severity": "critical" },
        "annotations": { "summary": summary }, "startsAt": "2026-11-22T06:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z", "fingerprint": format!("{name}-print"),
    })
}

#[tokio::test]
async fn alertmanager_notices() {
    let service = service().await;
    let ingest = async |media: &str, body: &str| {
        service.admin(Method::POST, "/api/v1/ingest/alertmanager", &[("content-type", media)], body).await
    };
    let json_media = "application/json";
    let first = ingest(json_media, &notice(&json!([alert("A", "x"), alert("B", "x")]))).await;
    assert_eq!((first.status.as_u16(), first.body["accepted"].as_u64()), (202, Some(2)), "{}", first.body);
    let again = ingest(json_media, &notice(&json!([alert("A", "a new text"), alert("C", "x")]))).await;
    assert_eq!((again.status.as_u16(), again.text("/items/0/status")), (202, "duplicate"), "{}", again.body);
    let mixed = ingest(json_media, &notice(&json!([alert("D", "x"), { "status": "odd" }]))).await;
    assert_eq!((mixed.status.as_u16(), mixed.code()), (400, "invalid-event"), "{}", mixed.body);
    assert_eq!(mixed.text("/items/0/status"), "accepted");
    assert_eq!(mixed.text("/items/1/problem/path"), "/alerts/1/status");
    assert_problem(&ingest("text/plain", "x").await, 415, "unsupported-media-type");
    assert_problem(&ingest(json_media, "{}").await, 400, "invalid-event");
    assert_eq!(ingest(json_media, &notice(&json!([]))).await.status.as_u16(), 202);
    // Alertmanager tries again on 5xx only.
    service.set_fault(Some(Fault::Unavailable));
    let down = ingest(json_media, &notice(&json!([alert("E", "x"), { "status": "odd" }]))).await;
    assert_eq!((down.status.as_u16(), down.header("retry-after")), (503, "1"), "{}", down.body);
}
