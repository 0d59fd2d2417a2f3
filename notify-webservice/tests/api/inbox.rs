//! The studio's own inboxes and the channel that every tenant has; opt-outs.

use crate::harness::{Service, assert_problem, service};
use http::Method;
use notify_core::ids::{ActionId, ChannelId, DeliveryId, RuleId, TenantId};
use notify_core::ledger::commitment::Commitment;
use notify_core::ledger::{EntryDraft, EntryKind};
use notify_core::message::Message;
use notify_core::severity::Severity;
use notify_core::time::Clock;
use notify_store::model::{NewDelivery, NewInboxItem};
use notify_store::{Commit, Effect};
use notify_webservice::auth::Scope;
use serde_json::{Map, Value, json};

const PLACE: &str = "/api/v1/notify/inbox";
const CHANNELS: &str = "/api/v1/notify/channels";
const JSON: [(&str, &str); 1] = [("content-type", "application/json")];

/// Delivers this message to an inbox of `acme`.
pub async fn delivered(service: &Service, name: &str, channel: &str, message: &Message) -> DeliveryId {
    let (id, salt, now) = (DeliveryId::derive([name]), [5; 32], service.clock.now());
    let json = serde_json::to_string(message).unwrap();
    let channel = ChannelId::new(channel).unwrap();
    let delivery = NewDelivery {
        id: id.clone(),
        event: None,
        cause: format!("test:{name}"),
        rule: RuleId::new("rule").unwrap(),
        rule_version: 1,
        action: ActionId::new("a").unwrap(),
        channel: channel.clone(),
        message_commitment: Commitment::of(&salt, json.as_bytes()).to_string(),
        message: json,
        message_salt: salt,
        target: "inbox".to_owned(),
        target_salt: [6; 32],
        created_at: now,
        due_at: now,
        claim: None,
    };
    let item = NewInboxItem {
        delivery: id.clone(),
        channel,
        severity: message.severity,
        created_at: now,
        expires_at: notify_core::time::Timestamp::MAX,
    };
    let subject = vec![("event".to_owned(), "ab".repeat(32))];
    let entry = EntryDraft { kind: EntryKind::Event, subject, predicate: Map::new(), about: name.to_owned() };
    let effects = vec![Effect::CreateDelivery(Box::new(delivery)), Effect::AddToInbox(Box::new(item))];
    let commit = Commit::new(TenantId::new("acme").unwrap(), effects, vec![entry]);
    service.store.commit(commit).await.unwrap();
    id
}

pub fn message(title: &str, severity: Severity) -> Message {
    Message { title: title.to_owned(), severity, summary: format!("about {title}"), ..Message::default() }
}

fn titles(body: &Value) -> Vec<&str> {
    let items = body["items"].as_array().unwrap();
    items.iter().map(|item| item["title"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn items_are_listed_and_marked() {
    let service = service().await;
    let mut ids = Vec::new();
    for (title, channel, severity) in
        [("a", "inbox", Severity::Low), ("b", "ops", Severity::Critical), ("c", "inbox", Severity::High)]
    {
        ids.push(delivered(&service, title, channel, &message(title, severity)).await);
        service.later(10);
    }
    let list = async |query: &str| service.admin(Method::GET, &format!("{PLACE}{query}"), &[], "").await.body;
    let all = list("").await;
    assert_eq!(titles(&all), ["c", "b", "a"]);
    assert_eq!(all["unread"], json!({ "total": 3, "bySeverity": { "critical": 1, "high": 1, "low": 1 } }));
    assert_eq!(all["items"][0]["summary"], "about c");
    assert_eq!(all["items"][0]["unread"], true);
    assert!(all["items"][0].get("message").is_none(), "lists stay small");
    for (query, expected) in [
        ("?severity=high", vec!["c", "b"]),
        ("?channel=ops", vec!["b"]),
        ("?rule=rule&limit=1", vec!["c"]),
        ("?rule=other", vec![]),
        ("?unread=false", vec![]),
    ] {
        assert_eq!(titles(&list(query).await), expected, "{query}");
    }
    for (query, path) in [("?severity=worst", "severity"), ("?unread=2", "unread"), ("?from=now", "from")] {
        let refused = service.admin(Method::GET, &format!("{PLACE}{query}"), &[], "").await;
        assert_problem(&refused, 400, "invalid-parameter");
        assert_eq!(refused.text("/path"), path);
    }
    let first = list("?limit=2").await;
    let next = first["nextPageToken"].as_str().unwrap();
    assert_eq!(titles(&list(&format!("?limit=2&pageToken={next}")).await), ["a"]);

    // Whoever may look may mark, and doing it twice is as good.
    let viewer = format!("Bearer {}", service.token("acme", &[Scope::Viewer]));
    let mark = async |verb: &str| {
        let path = format!("{PLACE}/{}:{verb}", ids[1]);
        service.send(Method::POST, &path, &[("authorization", &viewer)], b"").await
    };
    let read = mark("read").await;
    assert_eq!(
        (read.status.as_u16(), &read.body["unread"], read.text("/readBy")),
        (200, &json!(false), "tester")
    );
    let first_read = read.text("/readAt").to_owned();
    service.later(5);
    assert_eq!(mark("read").await.text("/readAt"), first_read, "who read it first stays");
    assert_eq!(titles(&list("?unread=true").await), ["c", "a"]);
    let whole = service.admin(Method::GET, &format!("{PLACE}/{}", ids[1]), &[], "").await;
    assert_eq!(whole.text("/message/title"), "b");
    assert_eq!(mark("unread").await.body["unread"], json!(true));
    assert_eq!(mark("unread").await.status.as_u16(), 200);
    let done = service.admin(Method::POST, &format!("{PLACE}:read-all?channel=inbox"), &[], "").await;
    assert_eq!(done.body["unread"], json!({ "total": 1, "bySeverity": { "critical": 1 } }));
    let done = service.admin(Method::POST, &format!("{PLACE}:read-all"), &[], "").await;
    assert_eq!(done.body["unread"]["total"], 0);
    for id in ["dlv_nonsense".to_owned(), DeliveryId::derive(["x"]).to_string()] {
        let path = format!("{PLACE}/{id}:read");
        assert_problem(&service.admin(Method::POST, &path, &[], "").await, 404, "not-found");
    }
}

#[tokio::test]
async fn every_tenant_has_a_channel_that_nobody_can_change() {
    let service = service().await;
    let rule = json!({
        "schema": "notify-rule@1", "id": "r", "name": "R", "match": { "type": ["t"] },
        "actions": [{ "id": "a", "channel": "inbox" }],
    });
    let made = service.admin(Method::POST, "/api/v1/notify/rules", &JSON, &rule.to_string()).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    let shown = service.admin(Method::GET, &format!("{CHANNELS}/inbox"), &[], "").await;
    assert_eq!((shown.status.as_u16(), shown.text("/document/type")), (200, "console"), "{}", shown.body);
    let versions = service.admin(Method::GET, &format!("{CHANNELS}/inbox/versions"), &[], "").await;
    assert_eq!((versions.status.as_u16(), &versions.body["items"][0]), (200, &shown.body));
    let document = json!({
        "schema": "notify-channel@1", "id": "inbox", "name": "Mine", "type": "webhook", "enabled": false,
        "config": { "url": "https://example.org/" },
    });
    let if_match = [("content-type", "application/json"), ("if-match", "*")];
    let put =
        service.admin(Method::PUT, &format!("{CHANNELS}/inbox"), &if_match, &document.to_string()).await;
    assert_problem(&put, 422, "invalid-channel");
    assert!(put.text("/detail").contains("inbox") && put.text("/fix").contains("another id"), "{}", put.body);
    let post = service.admin(Method::POST, CHANNELS, &JSON, &document.to_string()).await;
    assert_problem(&post, 422, "invalid-channel");
    let gone = service.admin(Method::DELETE, &format!("{CHANNELS}/inbox"), &[("if-match", "*")], "").await;
    assert_problem(&gone, 422, "invalid-channel");
    let own = |config: Value| json!({ "schema": "notify-channel@1", "id": "ops", "name": "Ops", "type": "console", "config": config });
    let refused = service.admin(Method::POST, CHANNELS, &JSON, &own(json!({ "url": "x" })).to_string()).await;
    assert_problem(&refused, 422, "invalid-channel");
    assert_eq!(refused.text("/path"), "/config/url");
    let made =
        service.admin(Method::POST, CHANNELS, &JSON, &own(json!({ "retainDays": 7 })).to_string()).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
}

/// What the tenant itself has written, whatever a service of today would take.
async fn written_before(service: &Service, id: &str) {
    let document = json!({
        "schema": "notify-channel@1", "id": id, "name": "Mine", "type": "webhook",
        "config": { "url": "https://example.org/" },
    });
    let (_, body, digest) = notify_core::document::parse_channel(&document).unwrap();
    let put = Effect::PutDocument {
        kind: notify_core::document::Kind::Channel,
        id: id.to_owned(),
        digest,
        body,
        at: service.clock.now(),
    };
    let subject = vec![("config".to_owned(), "ab".repeat(32))];
    let entry = EntryDraft { kind: EntryKind::Event, subject, predicate: Map::new(), about: id.to_owned() };
    let commit = Commit::new(TenantId::new("acme").unwrap(), vec![put], vec![entry]);
    service.store.commit(commit).await.unwrap();
}

#[tokio::test]
async fn the_list_of_channels_has_the_built_in_one() {
    let service = service().await;
    let pages = async |limit: u32| {
        let (mut ids, mut token) = (Vec::new(), String::new());
        loop {
            let path = format!("{CHANNELS}?limit={limit}{token}");
            let page = service.admin(Method::GET, &path, &[], "").await;
            assert_eq!(page.status.as_u16(), 200, "{}", page.body);
            let items = page.body["items"].as_array().unwrap();
            assert!((1..=limit as usize).contains(&items.len()), "{}", page.body);
            for item in items {
                let own = item["builtIn"].as_bool().unwrap_or_default();
                ids.push(format!("{} {} {own}", item["id"].as_str().unwrap(), item["version"]));
            }
            match page.body["nextPageToken"].as_str() {
                Some(next) => token = format!("&pageToken={next}"),
                None => return ids,
            }
        }
    };
    for limit in [1, 50] {
        assert_eq!(pages(limit).await, ["inbox 0 true"], "{limit}");
    }
    for id in ["a", "in", "z"] {
        written_before(&service, id).await;
    }
    for limit in [1, 2, 3, 4, 50] {
        assert_eq!(pages(limit).await, ["inbox 0 true", "a 1 false", "in 1 false", "z 1 false"], "{limit}");
    }
    written_before(&service, "inbox").await;
    for limit in [1, 3, 4, 50] {
        assert_eq!(pages(limit).await, ["a 1 false", "in 1 false", "inbox 1 false", "z 1 false"], "{limit}");
    }
}

#[tokio::test]
async fn a_channel_of_that_name_from_before_goes_on_until_it_is_deleted() {
    let service = service().await;
    written_before(&service, "inbox").await;
    let rule = json!({
        "schema": "notify-rule@1", "id": "r", "name": "R", "match": { "type": ["t"] },
        "actions": [{ "id": "a", "channel": "inbox" }],
    });
    let made = service.admin(Method::POST, "/api/v1/notify/rules", &JSON, &rule.to_string()).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    let place = format!("{CHANNELS}/inbox");
    let document = json!({
        "schema": "notify-channel@1", "id": "inbox", "name": "Still mine", "type": "webhook", "enabled": false,
        "config": { "url": "https://example.org/" },
    });
    let if_match = [("content-type", "application/json"), ("if-match", "\"1\"")];
    let put = service.admin(Method::PUT, &place, &if_match, &document.to_string()).await;
    assert_eq!((put.status.as_u16(), put.body["version"].as_u64()), (200, Some(2)), "{}", put.body);
    let gone = service.admin(Method::DELETE, &place, &[("if-match", "\"2\"")], "").await;
    assert_eq!(gone.status.as_u16(), 204, "{}", gone.body);
    let shown = service.admin(Method::GET, &place, &[], "").await;
    assert_eq!((shown.text("/document/type"), &shown.body["version"]), ("console", &json!(0)));
    let again = service.admin(Method::POST, CHANNELS, &JSON, &document.to_string()).await;
    assert_problem(&again, 422, "invalid-channel");
}
