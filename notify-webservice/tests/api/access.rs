//! Who gets in, and how far.

use crate::harness::{Answered, assert_problem, service, token_key};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use notify_core::ids::TenantId;
use notify_webservice::auth::{Issue, Scope, issue_token};
use serde_json::{Value, json};
use std::time::Duration;

const PLACE: &str = "/api/v1/notify/rules";

#[tokio::test]
async fn tokens_that_are_not_ours_are_refused() {
    let service = service().await;
    let good = service.token("acme", &[Scope::Admin]);
    let parts: Vec<&str> = good.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { panic!("{good}") };
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let decoded: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let with = |name: &str, value: Value| {
        let mut changed = decoded.clone();
        changed[name] = value;
        format!("{header}.{}.{signature}", encode(&changed))
    };
    let tenant = TenantId::new("acme").unwrap();
    let issue =
        Issue { tenant: &tenant, subject: "x", scopes: &[Scope::Admin], ttl: Duration::from_secs(60) };
    let foreign =
        issue_token(&token_key([1; 32]), &issue, [0; 16], "2026-11-22T00:00:00Z".parse().unwrap()).unwrap();
    let none = format!("{}.{claims}.", encode(&json!({ "alg": "none", "typ": "JWT" })));
    let mac = format!("{}.{claims}.{signature}", encode(&json!({ "alg": "HS256", "typ": "JWT" })));
    let check = async |header: &str| {
        let answered = service.send(Method::GET, PLACE, &[("authorization", header)], b"").await;
        assert_problem(&answered, 401, "unauthenticated");
        assert!(!answered.text("/fix").is_empty());
    };
    for token in [
        foreign.as_str(),
        &none,
        &mac,
        &with("tenant", json!("other")),
        &with("scope", json!("notify.admin")).replace(signature, &signature.to_lowercase()),
        &with("exp", json!(9_999_999_999_u64)),
        &with("aud", json!("someone")),
        &format!("{header}.{claims}"),
        &format!("{header}.{claims}.{signature}.x"),
        &format!("{good}A"),
        "x",
        "..",
        &"a".repeat(10_000),
    ] {
        check(&format!("Bearer {token}")).await;
    }
    for header in ["", "Bearer", "Bearer ", "Basic eDp5", &good] {
        check(header).await;
    }
    let bearer = format!("bearer {good}");
    let twice = [("authorization", bearer.as_str()), ("authorization", bearer.as_str())];
    assert_problem(&service.send(Method::GET, PLACE, &twice, b"").await, 401, "unauthenticated");
    let once = service.send(Method::GET, PLACE, &[("authorization", &bearer)], b"").await;
    assert_eq!(once.status.as_u16(), 200, "{}", once.body);
}

#[tokio::test]
async fn a_token_lives_as_long_as_it_says_also_when_remembered() {
    let service = service().await;
    let token = format!("Bearer {}", service.token_for("acme", &[Scope::Viewer], Duration::from_secs(600)));
    let status =
        async || -> Answered { service.send(Method::GET, PLACE, &[("authorization", &token)], b"").await };
    assert_eq!(status().await.status.as_u16(), 200);
    service.later(599);
    assert_eq!(status().await.status.as_u16(), 200);
    service.later(40);
    assert_problem(&status().await, 401, "unauthenticated");
    // Issued in the future of this clock.
    service.later(-10_000);
    assert_problem(&status().await, 401, "unauthenticated");
}

#[tokio::test]
async fn a_named_tenant_must_be_the_tokens() {
    let service = service().await;
    let token = format!("Bearer {}", service.token("acme", &[Scope::Viewer]));
    for name in ["x-notify-tenant", "X-StellaOps-Tenant"] {
        for (tenant, status) in [("acme", 200), ("other", 403), ("ACME", 403), ("", 403)] {
            let headers = [("authorization", token.as_str()), (name, tenant)];
            let answered = service.send(Method::GET, PLACE, &headers, b"").await;
            assert_eq!(answered.status.as_u16(), status, "{name}: {tenant}");
            if status == 403 {
                assert_problem(&answered, 403, "tenant-mismatch");
            }
        }
    }
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let service = service().await;
    let channel =
        json!({ "schema": "notify-channel@1", "id": "mine", "name": "Mine", "type": "webhook" }).to_string();
    let json = [("content-type", "application/json")];
    let made = service.admin(Method::POST, "/api/v1/notify/channels", &json, &channel).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    let event = json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t" }).to_string();
    let accepted = service
        .admin(Method::POST, "/api/v1/events", &[("content-type", "application/cloudevents+json")], &event)
        .await;
    let key = accepted.text("/key").to_owned();
    let token = format!("Bearer {}", service.token("other", &[Scope::Admin]));
    let other = [("authorization", token.as_str()), ("if-match", "*"), ("content-type", "application/json")];
    let place = "/api/v1/notify/channels/mine";
    let event = format!("/api/v1/notify/events/{key}");
    for (method, path, body) in [
        (Method::GET, place, ""),
        (Method::PUT, place, channel.as_str()),
        (Method::DELETE, place, ""),
        (Method::GET, "/api/v1/notify/channels/mine/versions", ""),
        (Method::GET, event.as_str(), ""),
    ] {
        let answered = service.send(method, path, &other, body.as_bytes()).await;
        assert_problem(&answered, 404, "not-found");
    }
    for (list, own) in [("channels", vec!["inbox"]), ("events", vec![]), ("deliveries", vec![])] {
        let answered = service.send(Method::GET, &format!("/api/v1/notify/{list}"), &other, b"").await;
        let items = answered.body["items"].as_array().unwrap().iter();
        assert_eq!(items.map(|item| item["id"].as_str().unwrap()).collect::<Vec<_>>(), own, "{list}");
    }
    let entries = service.send(Method::GET, "/api/v1/notify/ledger/entries", &other, b"").await;
    assert_eq!(entries.body.get("size"), Some(&json!(2)), "only its own genesis and token");
}

#[tokio::test]
async fn the_first_use_of_a_token_is_recorded_once() {
    let service = service().await;
    let token = format!("Bearer {}", service.token("acme", &[Scope::Viewer, Scope::Auditor]));
    let entries = async || {
        service.send(Method::GET, "/api/v1/notify/ledger/entries", &[("authorization", &token)], b"").await
    };
    let first = (0..4).map(|_| entries());
    futures_util::future::join_all(first).await;
    let shown = entries().await;
    assert_eq!(shown.body.get("size"), Some(&json!(2)), "{}", shown.body);
    let predicate = &shown.body["items"][1]["statement"]["predicate"];
    assert_eq!((&predicate["kind"], &predicate["act"]), (&json!("access"), &json!("token-first-used")));
    assert_eq!(predicate["details"]["scopes"], json!(["notify.viewer", "notify.auditor"]));
    assert!(!shown.body.to_string().contains("tester"));
    let nobody = format!("Bearer {}", service.token("nobody-here", &[Scope::Admin]));
    let answered = service.send(Method::GET, PLACE, &[("authorization", &nobody)], b"").await;
    assert_problem(&answered, 404, "not-found");
}
