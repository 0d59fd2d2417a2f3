//! Events that their producer signed.

use crate::harness::{assert_problem, service};
use http::Method;
use notify_webservice::auth::Scope;
use serde_json::{Value, json};

/// Case 5 of the test vectors of cloudevents/spec, `verifiability.md`; `acme` trusts its key.
const MATERIAL: &str = "eyJwYXlsb2FkVHlwZSI6Imh0dHBzOi8vY2xvdWRldmVudHMuaW8vdmVyaWZpYWJpbGl0eS9kc3NlL3YwLjEiLCJwYXlsb2FkIjoicUNTZWlaa1MraEg5V2lDbGZxNnBsZnFZTlZ5Mmt2eFdSZm9CckxFem9Eaz0iLCJzaWduYXR1cmVzIjpbeyJrZXlpZCI6InRlc3RrZXkiLCJzaWciOiJEWXdiU3V4SDRXcWFhQlZPVlU4TllJYTZXYnZDazkvdkc5aGV0d3BKNHpJNWo2am1BTGRNaHcrcVZuc211YzY2NWZqVlJGVDFRUHUvanA1Z0c0U2pzUT09In1dfQ==";
const EVENTS: &str = "/api/v1/events";
const STRUCTURED: (&str, &str) = ("content-type", "application/cloudevents+json");

fn event() -> Value {
    json!({
        "specversion": "1.0", "id": "1", "source": "example/uri", "type": "example.type.binary",
        "datacontenttype": "application/octet-stream", "data_base64": "8J+koQ==", "dssematerial": MATERIAL,
    })
}

#[tokio::test]
async fn a_signature_of_a_trusted_producer_lets_the_event_in_and_stays_with_it() {
    let service = service().await;
    let accepted = service.admin(Method::POST, EVENTS, &[STRUCTURED], &event().to_string()).await;
    assert_eq!((accepted.status.as_u16(), accepted.text("/status")), (202, "accepted"), "{}", accepted.body);
    let place = format!("/api/v1/notify/events/{}", accepted.text("/key"));
    let shown = service.admin(Method::GET, &place, &[], "").await;
    assert_eq!(shown.text("/event/dssematerial"), MATERIAL);
    // The same bytes in binary mode are the same event.
    let headers = [
        ("content-type", "application/octet-stream"),
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "example/uri"),
        ("ce-type", "example.type.binary"),
        ("ce-dssematerial", MATERIAL),
    ];
    let binary = service.admin(Method::POST, EVENTS, &headers, "\u{1f921}").await;
    assert_eq!((binary.status.as_u16(), binary.text("/status")), (202, "duplicate"), "{}", binary.body);
}

#[tokio::test]
async fn what_does_not_verify_is_refused() {
    let service = service().await;
    let check = async |edit: &dyn Fn(&mut Value), path: &str, said: &str| {
        let mut edited = event();
        edit(&mut edited);
        let refused = service.admin(Method::POST, EVENTS, &[STRUCTURED], &edited.to_string()).await;
        assert_problem(&refused, 422, "unverified-event");
        assert_eq!(refused.text("/path"), path, "{}", refused.body);
        assert!(
            refused.text("/detail").contains(said) && !refused.text("/fix").is_empty(),
            "{}",
            refused.body
        );
    };
    check(&|event| event["data_base64"] = json!("AAAA"), "/dssematerial", "not that of this event").await;
    check(&|event| event["subject"] = json!("other"), "/dssematerial", "not that of this event").await;
    check(&|event| event["dssematerial"] = json!("not base64"), "/dssematerial", "not base64").await;
    check(&|event| event["dssematerial"] = json!("e30="), "/dssematerial", "payloadType").await;
    check(&|event| event["signedextattrs"] = json!("missing"), "/signedextattrs", "not a list").await;
    check(
        &|event| {
            event.as_object_mut().unwrap().remove("dssematerial");
            event["signedextattrs"] = json!("exta");
        },
        "/signedextattrs",
        "no `dssematerial`",
    )
    .await;
    // The key is acme's; another tenant has to trust it too.
    let token = format!("Bearer {}", service.token("other", &[Scope::Publish]));
    let other = [STRUCTURED, ("authorization", &token)];
    let refused = service.send(Method::POST, EVENTS, &other, event().to_string().as_bytes()).await;
    assert_problem(&refused, 422, "unverified-event");
    assert!(refused.text("/detail").contains("no trusted key of this tenant"), "{}", refused.body);
}
