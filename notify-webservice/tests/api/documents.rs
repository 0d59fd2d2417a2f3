//! Rules, channels, templates and bundles.

use crate::harness::{Answered, Service, assert_problem, service};
use http::Method;
use notify_webservice::auth::Scope;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

const JSON: (&str, &str) = ("content-type", "application/json");
const YAML: (&str, &str) = ("content-type", "application/yaml");

fn place(kind: &str) -> String {
    format!("/api/v1/notify/{kind}s")
}

async fn create(service: &Service, kind: &str, document: &Value) -> Answered {
    service.admin(Method::POST, &place(kind), &[JSON], &document.to_string()).await
}

fn channel(id: &str) -> Value {
    json!({ "schema": "notify-channel@1", "id": id, "name": "A channel", "type": "webhook", "config": { "url": "https://x.test/" } })
}

fn rule(id: &str, channel: &str) -> Value {
    json!({
        "schema": "notify-rule@1", "id": id, "name": "A rule", "match": { "type": ["t"] },
        "actions": [{ "id": "chat", "channel": channel }],
    })
}

fn template(id: &str) -> Value {
    json!({ "schema": "notify-template@1", "id": id, "name": "A template", "message": { "title": "{{ event.id }}" } })
}

fn bundle(id: &str) -> Value {
    json!({ "schema": "notify-bundle@1", "id": id, "locale": "en", "messages": "hello = Hello\n" })
}

#[tokio::test]
async fn a_documents_life() {
    let service = service().await;
    for (kind, document) in [
        ("channel", channel("x")),
        ("rule", rule("x", "x")),
        ("template", template("x")),
        ("bundle", bundle("x")),
    ] {
        let one = format!("{}/x", place(kind));
        let made = create(&service, kind, &document).await;
        assert_eq!(made.status.as_u16(), 201, "{kind}: {}", made.body);
        assert_eq!((made.header("etag"), made.header("location")), ("\"1\"", one.as_str()));
        assert!(made.text("/digest").starts_with("sha256:"));
        assert_problem(&create(&service, kind, &document).await, 409, "already-exists");

        let read = service.admin(Method::GET, &one, &[], "").await;
        assert_eq!((read.status.as_u16(), read.header("etag"), &read.body), (200, "\"1\"", &made.body));
        let known = service.admin(Method::GET, &one, &[("if-none-match", "\"1\"")], "").await;
        assert_eq!((known.status.as_u16(), known.bytes.len()), (304, 0));

        let text = document.to_string();
        let put = async |tag: &str| service.admin(Method::PUT, &one, &[JSON, ("if-match", tag)], &text).await;
        let bare = service.admin(Method::PUT, &one, &[JSON], &text).await;
        assert_problem(&bare, 428, "precondition-required");
        for wrong in ["\"7\"", "W/\"1\"", "1", "\"x\"", ""] {
            assert_problem(&put(wrong).await, 412, "precondition-failed");
        }
        assert_eq!(put("\"1\"").await.header("etag"), "\"2\"");
        assert_problem(&put("\"1\"").await, 412, "precondition-failed");
        assert_eq!(put("*").await.header("etag"), "\"3\"");

        let old = service.admin(Method::GET, &format!("{one}?version=1"), &[], "").await;
        assert_eq!(old.body, made.body);
        assert_problem(
            &service.admin(Method::GET, &format!("{one}?version=9"), &[], "").await,
            404,
            "not-found",
        );
        let versions = service.admin(Method::GET, &format!("{one}/versions?limit=2"), &[], "").await;
        let numbers = |answered: &Answered| -> Vec<u64> {
            answered.body["items"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|item| item["version"].as_u64())
                .collect()
        };
        let next = versions.text("/nextPageToken");
        assert_eq!((numbers(&versions), next.is_empty()), (vec![3, 2], false));
        let rest = service.admin(Method::GET, &format!("{one}/versions?pageToken={next}"), &[], "").await;
        assert_eq!((numbers(&rest), rest.body.get("nextPageToken")), (vec![1], Some(&Value::Null)));
    }
    for kind in ["rule", "channel", "template", "bundle"] {
        let one = format!("{}/x", place(kind));
        let delete = async |tag: &str| service.admin(Method::DELETE, &one, &[("if-match", tag)], "").await;
        assert_problem(&service.admin(Method::DELETE, &one, &[], "").await, 428, "precondition-required");
        assert_problem(&delete("\"2\"").await, 412, "precondition-failed");
        assert_eq!(delete("\"3\"").await.status.as_u16(), 204, "{kind}");
        assert_problem(&delete("*").await, 404, "not-found");
        assert_problem(&service.admin(Method::GET, &one, &[], "").await, 404, "not-found");
        let old = service.admin(Method::GET, &format!("{one}?version=3"), &[], "").await;
        assert_eq!(old.status.as_u16(), 200, "decisions refer to old versions");
    }
    let again = create(&service, "channel", &channel("x")).await;
    assert_eq!((again.status.as_u16(), again.header("etag")), (201, "\"4\""), "versions go on over a delete");
}

#[tokio::test]
async fn every_write_is_in_the_ledger_and_tells_the_engine() {
    let service = service().await;
    create(&service, "channel", &channel("x")).await;
    create(&service, "rule", &rule("x", "x")).await;
    service.admin(Method::DELETE, "/api/v1/notify/rules/x", &[("if-match", "*")], "").await;
    assert_problem(&create(&service, "rule", &rule("y", "none")).await, 422, "unknown-reference");
    assert_eq!(service.engine.changes.load(Ordering::Relaxed), 3, "a refused write changes nothing");
    let ledger = service.admin(Method::GET, "/api/v1/notify/ledger/entries", &[], "").await;
    let shown: Vec<_> = ledger.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            let predicate = &item["statement"]["predicate"];
            format!("{} {} {}", item["kind"], predicate["document"], predicate["action"]).replace('"', "")
        })
        .collect();
    assert_eq!(
        shown,
        ["genesis null null", "access null null", "config x create", "config x create", "config x delete"]
    );
    // A channel may hold addresses: no digest that could be guessed.
    let channel = &ledger.body["items"][2]["statement"]["predicate"];
    assert!(channel.get("config").is_some() && channel.get("configDigest").is_none(), "{channel}");
    let rule = &ledger.body["items"][3]["statement"]["predicate"];
    assert!(rule.get("configDigest").is_some(), "{rule}");
    assert!(!ledger.body.to_string().contains("tester"), "no name of a person stands in an entry");
}

#[tokio::test]
async fn references_are_kept_whole() {
    let service = service().await;
    assert_problem(&create(&service, "rule", &rule("r", "gone")).await, 422, "unknown-reference");
    create(&service, "channel", &channel("c")).await;
    create(&service, "template", &template("t")).await;
    let mut with_template = rule("r", "c");
    with_template["actions"][0]["template"] = json!("t2");
    let refused = create(&service, "rule", &with_template).await;
    assert_problem(&refused, 422, "unknown-reference");
    assert_eq!(refused.text("/path"), "/actions/0/template");
    with_template["actions"][0]["template"] = json!("t");
    assert_eq!(create(&service, "rule", &with_template).await.status.as_u16(), 201);
    for kind in ["channels/c", "templates/t"] {
        let path = format!("/api/v1/notify/{kind}");
        let refused = service.admin(Method::DELETE, &path, &[("if-match", "*")], "").await;
        assert_problem(&refused, 409, "in-use");
        assert!(refused.text("/detail").contains("`r`"));
    }
}

#[tokio::test]
async fn bad_documents_are_refused_with_the_place() {
    let service = service().await;
    create(&service, "channel", &channel("c")).await;
    let with = |pointer: &str, value: Value| {
        let mut changed = rule("r", "c");
        if let Some(place) = changed.pointer_mut(pointer) {
            *place = value;
        } else {
            changed[pointer.trim_start_matches('/')] = value;
        }
        changed
    };
    for (document, code, path) in [
        (with("/id", json!("Not A Slug")), "invalid-rule", "/id"),
        (with("/actions", json!([])), "invalid-rule", "/actions"),
        (with("/match", json!({ "type": [{ "prefixx": "x" }] })), "invalid-pattern", "/match/type/0"),
        (with("/extra", json!(1)), "unknown-field", "/extra"),
    ] {
        let refused = create(&service, "rule", &document).await;
        assert_eq!((refused.code(), refused.status.as_u16()), (code, 422), "{}", refused.body);
        assert!(refused.text("/path").starts_with(path), "{}", refused.body);
    }
    let mut smtp = channel("d");
    smtp["type"] = json!("smtp");
    assert_problem(&create(&service, "channel", &smtp).await, 422, "invalid-channel");
    let mut secret = channel("d");
    secret["secrets"] = json!({ "token": ["whsec_geheimgeheim"] });
    let refused = create(&service, "channel", &secret).await;
    assert_eq!(refused.code(), "invalid-secret-reference", "{}", refused.body);
    assert!(!refused.body.to_string().contains("geheimgeheim"), "a pasted secret is not echoed");
    let mut broken = template("t");
    broken["message"]["title"] = json!("{{ event.id");
    assert_problem(&create(&service, "template", &broken).await, 422, "invalid-template");
    for (media, body, status, code) in [
        (YAML, "id: [", 400, "malformed-yaml"),
        (YAML, "a: 1\na: 2", 400, "duplicate-key"),
        (JSON, "{", 400, "malformed-json"),
        (("content-type", "text/html"), "<x>", 415, "unsupported-media-type"),
    ] {
        let refused = service.admin(Method::POST, "/api/v1/notify/rules", &[media], body).await;
        assert_problem(&refused, status, code);
    }
    let other = service
        .admin(
            Method::PUT,
            "/api/v1/notify/channels/e",
            &[JSON, ("if-match", "*")],
            &channel("c").to_string(),
        )
        .await;
    assert_problem(&other, 400, "invalid-parameter");
}

#[tokio::test]
async fn yaml_and_json_are_one_document() {
    let service = service().await;
    let yaml =
        "schema: notify-channel@1\nid: c\nname: A channel\ntype: webhook\nconfig:\n  url: https://x.test/\n";
    let first = service.admin(Method::POST, "/api/v1/notify/channels", &[YAML], yaml).await;
    assert_eq!(first.status.as_u16(), 201, "{}", first.body);
    let body = channel("c").to_string();
    let second =
        service.admin(Method::PUT, "/api/v1/notify/channels/c", &[JSON, ("if-match", "*")], &body).await;
    assert_eq!(first.text("/digest"), second.text("/digest"));
}

#[tokio::test]
async fn a_repeated_write_changes_nothing() {
    let service = service().await;
    let (key, other) = (("idempotency-key", "k-1"), ("idempotency-key", "k-2"));
    let body = channel("c").to_string();
    let place = place("channel");
    let first = service.admin(Method::POST, &place, &[JSON, key], &body).await;
    let again = service.admin(Method::POST, &place, &[JSON, key], &body).await;
    assert_eq!((again.status.as_u16(), &again.body), (201, &first.body));
    assert_eq!(
        (again.header("etag"), again.header("location")),
        (first.header("etag"), first.header("location"))
    );
    assert_eq!(again.header("idempotent-replayed"), "true");
    let changed = channel("d").to_string();
    assert_problem(
        &service.admin(Method::POST, &place, &[JSON, key], &changed).await,
        409,
        "idempotency-conflict",
    );
    assert_problem(&service.admin(Method::POST, &place, &[JSON, other], &body).await, 409, "already-exists");
    let one = format!("{place}/c");
    for _ in 0..2 {
        let put = service.admin(Method::PUT, &one, &[JSON, ("if-match", "\"1\""), other], &body).await;
        assert_eq!((put.status.as_u16(), put.header("etag")), (200, "\"2\""), "{}", put.body);
    }
    let long = "x".repeat(256);
    for bad in ["", "a b", long.as_str()] {
        let refused = service.admin(Method::POST, &place, &[JSON, ("idempotency-key", bad)], &body).await;
        assert_problem(&refused, 400, "invalid-parameter");
    }
}

#[tokio::test]
async fn writes_at_once_do_not_lose_each_other() {
    let service = service().await;
    create(&service, "channel", &channel("c")).await;
    let place = place("rule");
    let rules: Vec<String> = (0..8).map(|i| rule(&format!("r{i}"), "c").to_string()).collect();
    let writes = rules.iter().map(|rule| service.admin(Method::POST, &place, &[JSON], rule));
    for made in futures_util::future::join_all(writes).await {
        assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    }
    // Of many replacements of one version, one wins.
    let one = format!("{place}/r0");
    let headers = [JSON, ("if-match", "\"1\"")];
    let puts = (0..6).map(|_| service.admin(Method::PUT, &one, &headers, &rules[0]));
    let statuses: Vec<_> =
        futures_util::future::join_all(puts).await.iter().map(|put| put.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 412).count(), 5, "{statuses:?}");
}

#[tokio::test]
async fn lists_come_in_pages() {
    let service = service().await;
    for i in 0..5 {
        create(&service, "channel", &channel(&format!("c{i}"))).await;
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let next = if token.is_empty() { String::new() } else { format!("&pageToken={token}") };
        let page = service.admin(Method::GET, &format!("{}?limit=2{next}", place("channel")), &[], "").await;
        seen.extend(
            page.body["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()),
        );
        token = page.text("/nextPageToken").to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["inbox", "c0", "c1", "c2", "c3", "c4"]);
}

#[tokio::test]
async fn preview_and_explain() {
    let service = service().await;
    create(&service, "channel", &channel("c")).await;
    create(&service, "rule", &rule("r", "c")).await;
    let event = json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t" });
    let explain = async |body: &Value| {
        service.admin(Method::POST, "/api/v1/notify/rules/r:explain", &[JSON], &body.to_string()).await
    };
    let yes = explain(&json!({ "event": event })).await;
    assert_eq!((yes.status.as_u16(), yes.body.get("matched")), (200, Some(&json!(true))), "{}", yes.body);
    let mut other = event.clone();
    other["type"] = json!("u");
    let no = explain(&json!({ "event": other })).await;
    assert_eq!(no.body.get("matched"), Some(&json!(false)));
    assert_eq!(no.text("/explanation/alternatives/0/clauses/0/path"), "/type", "{}", no.body);
    assert_problem(&explain(&json!({})).await, 400, "invalid-parameter");
    let wrong = explain(&json!({ "event": { "specversion": "1.0" } })).await;
    assert_problem(&wrong, 400, "invalid-event");
    assert_eq!(wrong.text("/path"), "/event/id");
    assert_problem(&explain(&json!({ "event": event, "evnt": 1 })).await, 422, "unknown-field");
    let preview = async |body: &Value| {
        service.admin(Method::POST, "/api/v1/notify/rules:preview", &[JSON], &body.to_string()).await
    };
    let ok = preview(&json!({ "event": event, "rule": rule("new", "c") })).await;
    assert_eq!(ok.status.as_u16(), 200, "{}", ok.body);
    let unknown = preview(&json!({ "event": event, "rule": rule("new", "gone") })).await;
    assert_problem(&unknown, 422, "unknown-reference");
    assert_eq!(unknown.text("/path"), "/rule/actions/0/channel");
}

#[tokio::test]
async fn lint_sees_the_tenants_rules_and_event_types() {
    let service = service().await;
    create(&service, "channel", &channel("c")).await;
    let of = |id: &str, pattern: Value| {
        let mut rule = rule(id, "c");
        rule["match"] = pattern;
        rule
    };
    create(&service, "rule", &of("wide", json!({ "type": ["t"] }))).await;
    create(&service, "rule", &of("wide-too", json!({ "type": ["t"], "data": { "z": [1] } }))).await;
    let schema = json!({
        "schema": "notify-event-type@1", "id": "t", "name": "T", "type": "t",
        "dataSchema": { "properties": { "x": {} } },
    });
    create(&service, "event-type", &schema).await;
    let lint = async |body: &Value| {
        service.admin(Method::POST, "/api/v1/notify/rules:lint", &[JSON], &body.to_string()).await
    };
    let found = |answer: &Answered| -> Vec<String> {
        assert_eq!(answer.status.as_u16(), 200, "{}", answer.body);
        let one = |f: &Value| format!("{} {} {}", f["rule"], f["code"], f["path"]).replace('"', "");
        answer.body["findings"].as_array().unwrap().iter().map(one).collect()
    };
    let all = lint(&json!({})).await;
    let saved = ["wide-too rule-duplicated /match", "wide-too unknown-field /match/data/z"];
    assert_eq!(found(&all), saved);
    assert_eq!((&all.body["rules"], &all.body["omitted"]), (&json!(2), &json!(0)));
    assert_eq!(all.text("/findings/0/otherRule"), "wide");

    // One that need not be saved: what is found in it, and what it makes superfluous.
    let one = lint(&json!({ "rule": of("new", json!({ "type": [{ "prefix": "t" }, 5] })) })).await;
    let expected =
        ["new dead-entry /match/type/1", "wide rule-duplicated /match", "wide-too rule-duplicated /match"];
    let found_now = found(&one);
    assert!(expected.iter().take(2).all(|one| found_now.contains(&(*one).to_owned())), "{found_now:?}");
    assert!(!found_now.iter().any(|one| one.contains("unknown-field")), "{found_now:?}");
    // In place of the saved one of its id.
    let replaced = lint(&json!({ "rule": of("wide", json!({ "type": ["u"] })) })).await;
    assert_eq!(found(&replaced), Vec::<String>::new());

    let bad = lint(&json!({ "rule": of("x", json!({ "type": [] })) })).await;
    assert_problem(&bad, 422, "invalid-pattern");
    assert_eq!(bad.text("/path"), "/rule/match/type");
    assert_problem(&lint(&json!({ "rules": [] })).await, 422, "unknown-field");
    assert_problem(&lint(&json!([])).await, 400, "invalid-parameter");
    let viewer = service.token("acme", &[Scope::Viewer]);
    let other = service.token("other", &[Scope::Viewer]);
    for (token, rules) in [(viewer, 2), (other, 0)] {
        let bearer = format!("Bearer {token}");
        let headers = [JSON, ("authorization", bearer.as_str())];
        let answer = service.send(Method::POST, "/api/v1/notify/rules:lint", &headers, b"{}").await;
        assert_eq!(answer.body["rules"], json!(rules), "{}", answer.body);
    }
}

#[tokio::test]
async fn rules_of_filters_are_saved_explained_and_previewed() {
    let service = service().await;
    create(&service, "channel", &channel("c")).await;
    let mut filters = rule("f", "c");
    let members = filters.as_object_mut().unwrap();
    members.remove("match");
    members.insert(
        "filters".into(),
        json!([{ "exact": { "type": "t" } }, { "not": { "exact": { "level": "5" } } }]),
    );
    let made = create(&service, "rule", &filters).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    let event = json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "level": 5 });
    let body = json!({ "event": event }).to_string();
    let no = service.admin(Method::POST, "/api/v1/notify/rules/f:explain", &[JSON], &body).await;
    assert_eq!(no.body.get("matched"), Some(&json!(false)), "{}", no.body);
    let clauses = no.body.pointer("/explanation/alternatives/0/clauses").unwrap().as_array().unwrap();
    let failed: Vec<_> = clauses.iter().filter(|c| c["matched"] == json!(false)).collect();
    assert_eq!(failed.len(), 1, "{clauses:?}");
    assert_eq!(failed[0]["source"], "/filters/1/not/exact/level");
    filters["filters"] = json!([{ "not": { "any": [{ "exact": { "type": "a" } }, { "sql": "1" }] } }]);
    let bad = create(&service, "rule", &filters).await;
    assert_problem(&bad, 422, "invalid-pattern");
    assert_eq!(bad.text("/path"), "/filters/0/not/any/1/sql");
    let preview = json!({ "event": event, "rule": filters }).to_string();
    let bad = service.admin(Method::POST, "/api/v1/notify/rules:preview", &[JSON], &preview).await;
    assert_eq!(bad.text("/path"), "/rule/filters/0/not/any/1/sql", "{}", bad.body);
    filters["match"] = json!({ "type": ["t"] });
    assert_problem(&create(&service, "rule", &filters).await, 422, "invalid-rule");
}
