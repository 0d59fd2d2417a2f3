//! Calendars and contacts: what refers to them, their windows, and what the ledger keeps of people.

use crate::harness::{Service, assert_problem, service};
use http::Method;
use serde_json::{Value, json};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

fn calendar(id: &str) -> Value {
    json!({
        "schema": "notify-calendar@1", "id": id, "name": "Nights", "timeZone": "Europe/Berlin",
        "windows": [{ "times": ["22:00-06:00"] }],
    })
}

fn contact(id: &str, members: &Value) -> Value {
    let mut contact = json!({ "schema": "notify-contact@1", "id": id, "name": id, "type": "person" });
    for (name, value) in members.as_object().unwrap() {
        contact[name] = value.clone();
    }
    contact
}

async fn create(service: &Service, kind: &str, document: &Value) -> crate::harness::Answered {
    service.admin(Method::POST, &format!("/api/v1/notify/{kind}s"), &JSON, &document.to_string()).await
}

async fn made(service: &Service, kind: &str, document: Value) {
    let answered = create(service, kind, &document).await;
    assert_eq!(answered.status.as_u16(), 201, "{kind}: {}", answered.body);
}

async fn deleted(service: &Service, kind: &str, id: &str) -> crate::harness::Answered {
    let path = format!("/api/v1/notify/{kind}s/{id}");
    service.admin(Method::DELETE, &path, &[("if-match", "*")], "").await
}

#[tokio::test]
async fn windows_are_told_in_local_time_and_utc() {
    let service = service().await;
    made(&service, "calendar", calendar("nights")).await;
    let place = "/api/v1/notify/calendars/nights/windows";
    let found =
        service.admin(Method::GET, &format!("{place}?after=2026-03-28T12:00:00Z&count=2"), &[], "").await;
    assert_eq!(found.status.as_u16(), 200, "{}", found.body);
    let body = &found.body;
    assert_eq!(body["inside"], false);
    assert_eq!(body["dst"], "wall-clock");
    assert!(body["tzdb"].as_str().unwrap().starts_with("20"), "{body}");
    assert_eq!(body["windows"].as_array().unwrap().len(), 2);
    assert_eq!(
        body["windows"][0],
        json!({
            "from": { "utc": "2026-03-28T21:00:00Z", "local": "2026-03-28T22:00:00+01:00", "zone": "CET" },
            "to": { "utc": "2026-03-29T04:00:00Z", "local": "2026-03-29T06:00:00+02:00", "zone": "CEST" },
            "seconds": 25_200,
            "clocksChange": true,
        })
    );
    for (query, code) in [
        ("count=0", "invalid-parameter"),
        ("count=101", "invalid-parameter"),
        ("after=soon", "invalid-parameter"),
        ("timeZone=Berlin", "invalid-parameter"),
        ("from=1", "invalid-parameter"),
    ] {
        assert_problem(&service.admin(Method::GET, &format!("{place}?{query}"), &[], "").await, 400, code);
    }
    let absent = service.admin(Method::GET, "/api/v1/notify/calendars/absent/windows", &[], "").await;
    assert_problem(&absent, 404, "not-found");
}

#[tokio::test]
async fn what_is_named_exists_and_is_not_deleted() {
    let service = service().await;
    let quiet = json!([{ "calendar": "nights" }]);
    let missing = create(&service, "contact", &contact("anna", &json!({ "quietHours": quiet }))).await;
    assert_problem(&missing, 422, "unknown-reference");
    assert_eq!(missing.text("/path"), "/quietHours/0/calendar");
    made(&service, "calendar", calendar("nights")).await;
    made(&service, "contact", contact("anna", &json!({ "quietHours": quiet }))).await;
    let refused = deleted(&service, "calendar", "nights").await;
    assert_problem(&refused, 409, "in-use");
    assert!(refused.text("/detail").contains("contact `anna`"), "{}", refused.body);

    let group = |id: &str, members: &[&str]| contact(id, &json!({ "type": "group", "members": members }));
    let missing = create(&service, "contact", &group("ops", &["anna", "ben"])).await;
    assert_problem(&missing, 422, "unknown-reference");
    assert_eq!(missing.text("/path"), "/members/1");
    made(&service, "contact", group("ops", &["anna"])).await;
    made(&service, "contact", group("all", &["ops"])).await;
    let circle = group("ops", &["anna", "all"]);
    let headers = [JSON[0], ("if-match", "*")];
    let refused =
        service.admin(Method::PUT, "/api/v1/notify/contacts/ops", &headers, &circle.to_string()).await;
    assert_problem(&refused, 422, "invalid-contact");
    assert_eq!(refused.text("/path"), "/members/1");
    assert!(refused.text("/detail").contains("`ops` → `all` → `ops`"), "{}", refused.body);
    assert_problem(&deleted(&service, "contact", "anna").await, 409, "in-use");

    let channel = json!({
        "schema": "notify-channel@1", "id": "hook", "name": "Hook", "type": "webhook", "contact": "all",
        "quietHours": [{ "calendar": "nights" }],
    });
    made(&service, "channel", channel).await;
    assert_problem(&deleted(&service, "contact", "all").await, 409, "in-use");
    for (kind, id) in [
        ("channel", "hook"),
        ("contact", "all"),
        ("contact", "ops"),
        ("contact", "anna"),
        ("calendar", "nights"),
    ] {
        assert_eq!(deleted(&service, kind, id).await.status.as_u16(), 204, "{kind} {id}");
    }
}

#[tokio::test]
async fn rules_that_pass_quiet_hours_exist() {
    let service = service().await;
    made(&service, "calendar", calendar("nights")).await;
    let quiet = |rules: &[&str]| json!([{ "calendar": "nights", "bypass": { "rules": rules } }]);
    let channel = |more: &Value| {
        let mut value =
            json!({ "schema": "notify-channel@1", "id": "hook", "name": "Hook", "type": "webhook" });
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        value
    };
    made(&service, "channel", channel(&json!({}))).await;
    let rule = json!({
        "schema": "notify-rule@1", "id": "fire-alarm", "name": "Fire", "match": { "type": ["fire"] },
        "actions": [{ "id": "a", "channel": "hook" }],
    });
    made(&service, "rule", rule).await;
    let headers = [JSON[0], ("if-match", "*")];
    let typo = json!({ "quietHours": quiet(&["fire-alarm", "fire-alram"]) });
    let refused = [
        create(&service, "contact", &contact("anna", &typo)).await,
        service
            .admin(Method::PUT, "/api/v1/notify/channels/hook", &headers, &channel(&typo).to_string())
            .await,
    ];
    for refused in refused {
        assert_problem(&refused, 422, "unknown-reference");
        assert_eq!(refused.text("/path"), "/quietHours/0/bypass/rules/1");
    }
    made(&service, "contact", contact("anna", &json!({ "quietHours": quiet(&["fire-alarm"]) }))).await;
    // What only passes quiet hours does not keep a rule from being deleted.
    assert_eq!(deleted(&service, "rule", "fire-alarm").await.status.as_u16(), 204);
}

#[tokio::test]
async fn the_ledger_holds_commitments_to_people_only() {
    let service = service().await;
    made(&service, "contact", contact("anna", &json!({ "addresses": { "email": ["anna@example.org"] } })))
        .await;
    made(&service, "calendar", calendar("nights")).await;
    let entries = service.admin(Method::GET, "/api/v1/notify/ledger/entries?limit=500", &[], "").await;
    let text = entries.body.to_string();
    assert_eq!(entries.status.as_u16(), 200, "{text}");
    let kinds: Vec<_> = entries.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|entry| entry["statement"]["predicate"]["documentKind"].as_str())
        .collect();
    assert_eq!(kinds, ["contact", "calendar"], "{text}");
    assert!(!text.contains("anna@example.org"), "{text}");
}
