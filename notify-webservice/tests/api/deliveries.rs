//! Lists of deliveries with their filters and pages, and the re-drive's contract.

use crate::harness::{Answered, Service, assert_problem, service};
use http::Method;
use notify_core::ids::{ActionId, ChannelId, DeliveryId, EventKey, RuleId, TenantId};
use notify_core::ledger::{EntryDraft, EntryKind};
use notify_core::time::Timestamp;
use notify_store::model::{Attempt, DeliveryState, Follows, NewDelivery, NewEvent};
use notify_store::{Commit, Effect};
use serde_json::{Map, Value, json};

const LIST: &str = "/api/v1/notify/deliveries";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn draft(kind: EntryKind, about: &str) -> EntryDraft {
    let subject = vec![("event".to_owned(), "ab".repeat(32))];
    EntryDraft { kind, subject, predicate: Map::new(), about: about.to_owned() }
}

/// A delivery that was created at this second, with the follow-up of its first attempt.
async fn delivery(service: &Service, name: &str, channel: &str, second: i64, follows: Option<Follows>) {
    let tenant = TenantId::new("acme").unwrap();
    let event = NewEvent {
        key: EventKey::derive([name]),
        source: "/s".into(),
        id: name.into(),
        r#type: "t".into(),
        subject: None,
        body: format!(r#"{{"id":"{name}"}}"#),
        body_hash: [3; 32],
        accepted_at: at(second),
        salt: Some([4; 32]),
    };
    let id = DeliveryId::derive([name]);
    let new = NewDelivery {
        id: id.clone(),
        event: Some(event.key.clone()),
        cause: format!("event:{}", event.key),
        rule: RuleId::new("rule").unwrap(),
        rule_version: 1,
        action: ActionId::new("send").unwrap(),
        channel: ChannelId::new(channel).unwrap(),
        message: format!(r#"{{"title":"{name}"}}"#),
        message_salt: [5; 32],
        message_commitment: format!("sha256:{}", "ab".repeat(32)),
        target: "https://x".into(),
        target_salt: [6; 32],
        created_at: at(second),
        due_at: at(second),
        claim: None,
    };
    let key = event.key.to_string();
    let effects = vec![Effect::AcceptPlanned(Box::new(event)), Effect::CreateDelivery(Box::new(new))];
    service
        .store
        .commit(Commit::new(tenant.clone(), effects, vec![draft(EntryKind::Event, &key)]))
        .await
        .unwrap();
    let Some(follows) = follows else { return };
    let attempt = Attempt {
        delivery: id.clone(),
        attempt: 1,
        started_at: at(second),
        finished_at: at(second + 1),
        result: "retry".into(),
        http_status: Some(503),
        request: None,
        response: None,
        error: None,
        provider_reference: None,
        follows,
    };
    let effects = vec![Effect::RecordAttempt(Box::new(attempt))];
    let entries = vec![draft(EntryKind::Attempt, id.as_str())];
    service.store.commit(Commit::new(tenant, effects, entries)).await.unwrap();
}

async fn list(service: &Service, query: &str) -> Answered {
    service.admin(Method::GET, &format!("{LIST}{query}"), &[], "").await
}

fn titles(answered: &Answered) -> Vec<String> {
    assert_eq!(answered.status.as_u16(), 200, "{}", answered.body);
    let items = answered.body["items"].as_array().unwrap();
    items.iter().map(|item| item["title"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn filters_pages_and_due_times() {
    let service = service().await;
    let dead = || Some(Follows::Outcome(DeliveryState::Dead));
    delivery(&service, "a", "x", 0, dead()).await;
    delivery(&service, "b", "y", 3_600, Some(Follows::Retry { due_at: at(9_000), claim: None })).await;
    delivery(&service, "c", "x", 7_200, dead()).await;
    delivery(&service, "d", "x", 10_800, None).await;
    let time = |second: i64| at(second).to_string();
    for (query, expected) in [
        (String::new(), vec!["d", "c", "b", "a"]),
        ("?state=dead".into(), vec!["c", "a"]),
        ("?channel=x&state=dead".into(), vec!["c", "a"]),
        (format!("?from={}", time(3_600)), vec!["d", "c", "b"]),
        (format!("?to={}", time(3_600)), vec!["a"]),
        (format!("?from={}&to={}&channel=x", time(1), time(10_000)), vec!["c"]),
        ("?from=2027-01-15T08:00:00%2B00:00&to=2027-01-15T09:00:00Z".into(), vec!["a"]),
    ] {
        assert_eq!(titles(&list(&service, &query).await), expected, "{query}");
    }
    let waiting = list(&service, "?channel=y").await;
    assert_eq!(waiting.text("/items/0/dueAt"), "2027-01-15T10:30:00.000Z", "of the retry, not the first one");

    // Page by page, with a new one coming in meanwhile: nothing twice, nothing left out.
    let first = list(&service, "?channel=x&limit=2").await;
    assert_eq!(titles(&first), ["d", "c"]);
    delivery(&service, "e", "x", 14_400, None).await;
    let token = first.text("/nextPageToken").to_owned();
    let second = list(&service, &format!("?channel=x&limit=1&pageToken={token}")).await;
    assert_eq!((titles(&second), &second.body["nextPageToken"]), (vec!["a".to_owned()], &Value::Null));
    // A token belongs to its list, its filters and its tenant, and must be whole.
    let cut = &token[..token.len() - 1];
    for query in [
        format!("?channel=y&pageToken={token}"),
        format!("?pageToken={token}"),
        format!("?channel=x&pageToken={cut}"),
        format!("?channel=x&pageToken={}", token.replacen(|c: char| c.is_ascii_digit(), "9", 1)),
    ] {
        assert_problem(&list(&service, &query).await, 400, "invalid-page-token");
    }
    let path = format!("/api/v1/notify/events?pageToken={token}");
    assert_problem(&service.admin(Method::GET, &path, &[], "").await, 400, "invalid-page-token");
}

#[tokio::test]
async fn a_redrive_is_strict_and_repeatable() {
    let service = service().await;
    let redrive = async |body: &str, headers: &[(&str, &str)]| {
        let mut headers = headers.to_vec();
        headers.push(("content-type", "application/json"));
        service.admin(Method::POST, &format!("{LIST}:redrive"), &headers, body).await
    };
    let done = redrive("", &[]).await;
    assert_eq!((done.status.as_u16(), &done.body["ratePerSecond"]), (202, &json!(10.0)), "{}", done.body);
    let dry = redrive(r#"{"dryRun":true,"ratePerSecond":2,"filter":{"channel":"x"}}"#, &[]).await;
    assert_eq!(
        (dry.status.as_u16(), &dry.body["dryRun"], &dry.body["redriven"]),
        (200, &json!(true), &json!(0))
    );
    let key = [("idempotency-key", "k1")];
    let first = redrive("{}", &key).await;
    let again = redrive("{}", &key).await;
    assert_eq!((again.header("idempotent-replayed"), &again.body), ("true", &first.body));
    assert_problem(&redrive(r#"{"dryRun":true}"#, &key).await, 409, "idempotency-conflict");
    let deep = "[".repeat(20);
    for (body, code, path) in [
        (r#"{"filter":{"rul":"x"}}"#, "unknown-field", "/filter/rul"),
        (r#"{"filter":{"state":"delivered"}}"#, "invalid-parameter", "/filter/state"),
        (r#"{"ratePerSecond":0}"#, "invalid-parameter", "/ratePerSecond"),
        (r#"{"ratePerSecond":1,"ratePerSecond":2}"#, "duplicate-key", ""),
        (r#"{"dryRun":tru}"#, "malformed-json", ""),
        (deep.as_str(), "too-deep", "/0/0/0/0/0/0/0/0"),
    ] {
        let refused = redrive(body, &[]).await;
        assert_eq!((refused.code(), refused.text("/path")), (code, path), "{body}: {}", refused.body);
    }
}
