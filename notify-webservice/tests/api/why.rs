//! Stories, the noise report, previews of digests.

use crate::harness::{Answered, Service, assert_problem, service};
use http::Method;
use notify_core::duration::Length;
use notify_core::ids::{ChannelId, DeliveryId, DigestId, EventKey, HeldId, RuleId, TenantId};
use notify_core::ledger::commitment::{Commitment, PlainDigest};
use notify_core::ledger::entry::{AttemptEntry, Decision, EventEntry, Follows, Intent};
use notify_core::ledger::noise_entries::{DigestClosed, DigestEntry, ReleaseEntry, ReleaseOutcome, Released};
use notify_core::ledger::{EntryDraft, EntryKind};
use notify_core::noise::{Control, Remembered, StateKey, StateRow, Window};
use notify_core::severity::Severity;
use notify_core::time::{Clock, rfc3339_millis};
use notify_store::model::{Attempt, DeliveryState, NewDelivery, NewDigestItem, NewHeld};
use notify_store::{Bookkeeping, Commit, Effect, NoiseChanges};
use serde_json::{Map, Value, json};

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

async fn get(service: &Service, path: &str) -> Answered {
    service.admin(Method::GET, &format!("/api/v1/notify/{path}"), &[], "").await
}

async fn published(service: &Service, id: &str, source: &str) -> EventKey {
    let event = json!({ "specversion": "1.0", "id": id, "source": source, "type": "report.ready" });
    let structured = [("content-type", "application/cloudevents+json")];
    let answered = service.admin(Method::POST, "/api/v1/events", &structured, &event.to_string()).await;
    answered.text("/key").parse().unwrap()
}

fn commitment(name: &str) -> Commitment {
    Commitment::of(&[3; 32], name.as_bytes())
}

fn intent(name: &str) -> Intent {
    let delivery = DeliveryId::derive(["why", name]);
    Intent {
        channel: ChannelId::new("chat").unwrap(),
        target: commitment("target"),
        message: commitment(name),
        idempotency_key: delivery.to_string(),
        delivery,
    }
}

fn decision(service: &Service, rule: &str, outcome: &str, control: &str, parameters: &Value) -> Decision {
    Decision {
        rule: RuleId::new(rule).unwrap(),
        rule_digest: PlainDigest::of(rule.as_bytes()),
        action: "a".to_owned().try_into().unwrap(),
        outcome: outcome.into(),
        control: control.into(),
        parameters: parameters.as_object().unwrap().clone(),
        logical_time: service.clock.now(),
        tzdb: "2026b".into(),
        also_applied: vec![],
        intent: (outcome == "send").then(|| intent("d")),
    }
}

async fn commit(service: &Service, effects: Vec<Effect>, entries: Vec<EntryDraft>) {
    let effects = if effects.is_empty() { vec![Effect::RecordOnly] } else { effects };
    service.store.commit(Commit::new(TenantId::new("acme").unwrap(), effects, entries)).await.unwrap();
}

fn delivery(service: &Service, name: &str, event: Option<&EventKey>) -> Effect {
    let now = service.clock.now();
    let intent = intent(name);
    Effect::CreateDelivery(Box::new(NewDelivery {
        id: intent.delivery,
        event: event.cloned(),
        cause: "event:x".into(),
        rule: RuleId::new("sends").unwrap(),
        rule_version: 3,
        action: "a".to_owned().try_into().unwrap(),
        channel: intent.channel,
        message: "{}".into(),
        message_salt: [3; 32],
        message_commitment: intent.message.to_string(),
        target: "t".into(),
        target_salt: [3; 32],
        created_at: now,
        due_at: now,
        claim: None,
    }))
}

/// One event with a decision of each kind.
async fn decided(service: &Service) -> EventKey {
    let key = published(service, "1", "/s").await;
    let (held, digest) = (HeldId::derive(["h"]), DigestId::derive(["d"]));
    let message = commitment("h").to_string();
    let decisions = vec![
        decision(service, "sends", "send", "none", &json!({})),
        decision(service, "mutes", "suppressed", "dedupe", &json!({ "window": "24h", "repeats": 2 })),
        decision(
            service,
            "holds",
            "held",
            "quiet-hours",
            &json!({ "calendar": "nights", "held": held.as_str(), "message": message }),
        ),
        decision(service, "collects", "digested", "throttle", &json!({ "digest": digest.as_str() })),
    ];
    let entry = EventEntry { key: key.clone(), event: commitment("e"), decisions, unmatched: 4 };
    let mark = Effect::MarkPlanned { key: key.clone(), salt: [3; 32] };
    commit(service, vec![mark, delivery(service, "d", Some(&key))], vec![entry.into_draft()]).await;
    key
}

fn ends(story: &Answered) -> Vec<(String, String)> {
    let actions = story.body["actions"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    actions.iter().map(|action| (text(&action["rule"]), text(&action["end"]["state"]))).collect()
}

fn expected(ends: [&str; 4]) -> Vec<(String, String)> {
    let rules = ["sends", "mutes", "holds", "collects"];
    rules.into_iter().zip(ends).map(|(rule, end)| (rule.to_owned(), end.to_owned())).collect()
}

#[tokio::test]
async fn a_story_follows_what_becomes_of_each_decision() {
    let service = service().await;
    let pending = published(&service, "0", "/s").await;
    let story = get(&service, &format!("events/{pending}/story")).await;
    assert_eq!((story.status.as_u16(), story.text("/state")), (200, "pending"), "{}", story.body);

    let key = decided(&service).await;
    let path = format!("events/{key}/story");
    let story = get(&service, &path).await;
    assert_eq!(ends(&story), expected(["sending", "not-sent", "held", "in-digest"]), "{}", story.body);
    assert_eq!(story.body["unmatched"], json!(4));
    assert_eq!(story.body["actions"][0]["ruleVersion"], json!(3));
    assert_eq!(story.text("/actions/0/steps/0/record/tzdb"), "2026b");
    assert!(story.text("/actions/1/sentence").contains("repeats are muted for 24h"), "{}", story.body);

    // What was held is sent, the digest too: both in entries about their own ids.
    let release = ReleaseEntry {
        of: Released::Held { held: HeldId::derive(["h"]), message: commitment("h") },
        outcome: ReleaseOutcome::Send(intent("h")),
        rule: RuleId::new("holds").unwrap(),
        rule_digest: Some(PlainDigest::of(b"holds")),
        action: "a".to_owned().try_into().unwrap(),
        control: "none".into(),
        parameters: Map::new(),
        logical_time: service.clock.now(),
        tzdb: "2026b".into(),
    };
    let digest = DigestEntry {
        digest: DigestId::derive(["d"]),
        rule: RuleId::new("collects").unwrap(),
        rule_digest: PlainDigest::of(b"collects"),
        action: "a".to_owned().try_into().unwrap(),
        control: "throttle".into(),
        entries: vec![1],
        true_count: 1,
        retained_count: 1,
        closed: DigestClosed::Window,
        parameters: Map::new(),
        logical_time: service.clock.now(),
        tzdb: "2026b".into(),
        intent: intent("g"),
    };
    let effects = vec![delivery(&service, "h", Some(&key)), delivery(&service, "g", None)];
    commit(&service, effects, vec![release.into_draft(), digest.into_draft()]).await;
    let story = get(&service, &path).await;
    assert_eq!(ends(&story), expected(["sending", "not-sent", "sending", "in-digest"]), "{}", story.body);
    assert_eq!(story.text("/actions/3/end/digestState"), "sending");

    let attempts = ["d", "h", "g"].map(|name| {
        let entry = AttemptEntry {
            delivery: intent(name).delivery,
            attempt: 1,
            result: "delivered".into(),
            message: commitment(name),
            request: None,
            response: None,
            follows: Some(Follows::Outcome("delivered".into())),
            late: false,
        };
        entry.into_draft()
    });
    commit(&service, vec![], attempts.to_vec()).await;
    let story = get(&service, &path).await;
    assert_eq!(ends(&story), expected(["sent", "not-sent", "sent", "in-digest"]), "{}", story.body);
    assert_eq!(story.text("/actions/3/end/digestState"), "sent");
    let kinds = |action: usize| -> Vec<String> {
        let steps = story.body["actions"][action]["steps"].as_array().unwrap();
        steps.iter().map(|step| step["kind"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(kinds(2), ["event", "release", "attempt"]);
    assert_eq!(kinds(3), ["event", "digest", "attempt"]);

    for path in ["events/x/story".to_owned(), format!("events/{}/story", EventKey::derive(["absent"]))] {
        assert_problem(&get(&service, &path).await, 404, "not-found");
    }
}

/// What is stored now counts, not what was said when the alert came.
#[tokio::test]
async fn open_digests_and_held_alerts_are_shown_as_they_are_now() {
    let service = service().await;
    let key = decided(&service).await;
    let now = service.clock.now();
    let (later, id) = (now.checked_add(Length::from_secs(3_600).signed()).unwrap(), DigestId::derive(["d"]));
    let (rule, action) = (RuleId::new("collects").unwrap(), "a".to_owned().try_into().unwrap());
    let held = NewHeld {
        id: HeldId::derive(["h"]),
        event: key.clone(),
        rule: RuleId::new("holds").unwrap(),
        rule_version: 1,
        action: "a".to_owned().try_into().unwrap(),
        channel: ChannelId::new("chat").unwrap(),
        control: "quiet-hours".into(),
        message: r#"{"title":"Disk full"}"#.into(),
        message_salt: [3; 32],
        message_commitment: commitment("h").to_string(),
        held_at: now,
        release_at: later,
    };
    let window = Window {
        id: id.clone(),
        rule,
        action,
        channel: ChannelId::new("chat").unwrap(),
        control: Control::Throttle,
        opened_at: now.as_microsecond(),
        closes_at: later.as_microsecond(),
        cap_at: None,
        count: 1,
        severity: Severity::High,
        max: None,
        full: false,
        passes: false,
    };
    let item = NewDigestItem {
        digest: id.clone(),
        number: 1,
        event: key.clone(),
        rule: window.rule.clone(),
        action: window.action.clone(),
        severity: Severity::High,
        at: now,
    };
    let about = json!({ "release": "x" });
    let noted = EntryDraft {
        kind: EntryKind::Heartbeat,
        subject: vec![("x".to_owned(), "ab".repeat(32))],
        predicate: about.as_object().unwrap().clone(),
        about: "x".into(),
    };
    commit(&service, vec![Effect::Hold(Box::new(held)), Effect::AddToDigest(Box::new(item))], vec![noted])
        .await;
    let remember =
        vec![StateRow::of(StateKey::derive([b"d".as_slice()]), &Remembered::Window(Box::new(window)))];
    let noise = NoiseChanges { remember, forget: vec![], next_timer: Some(later) };
    let acme = TenantId::new("acme").unwrap();
    let noise = Commit::bookkeeping(acme, vec![Bookkeeping::Noise(Box::new(noise))]);
    service.store.commit(noise).await.unwrap();

    let until = rfc3339_millis(later);
    let story = get(&service, &format!("events/{key}/story")).await;
    assert_eq!(story.text("/actions/2/end/until"), until, "{}", story.body);
    assert_eq!(story.text("/actions/3/end/closesAt"), until, "{}", story.body);
    let open = get(&service, "digests").await;
    assert_eq!(
        (open.text("/items/0/id"), open.text("/items/0/closesAt")),
        (id.as_str(), until.as_str()),
        "{}",
        open.body
    );
    let waits = get(&service, "held").await;
    let expected = json!([{
        "id": HeldId::derive(["h"]), "event": key, "rule": "holds", "ruleVersion": 1, "action": "a", "channel": "chat",
        "control": "quiet-hours", "title": "Disk full", "heldAt": rfc3339_millis(now), "releaseAt": until,
    }]);
    assert_eq!(
        (&waits.body["items"], &waits.body["nextPageToken"]),
        (&expected, &Value::Null),
        "{}",
        waits.body
    );
    assert_problem(&get(&service, "held?pageToken=x").await, 400, "invalid-page-token");
    let token = format!("Bearer {}", service.token("other", &[notify_webservice::auth::Scope::Viewer]));
    for path in ["held", "digests"] {
        let path = format!("/api/v1/notify/{path}");
        let other = service.send(Method::GET, &path, &[("authorization", token.as_str())], b"").await;
        assert_eq!(
            (other.status.as_u16(), &other.body["items"]),
            (200, &json!([])),
            "{path}: {}",
            other.body
        );
    }
    let one = get(&service, &format!("digests/{id}")).await;
    assert_eq!((one.text("/state"), one.text("/items/0/event")), ("open", key.as_str()), "{}", one.body);
    let absent = DigestId::derive(["absent"]);
    for path in ["digests/x".to_owned(), format!("digests/{absent}")] {
        assert_problem(&get(&service, &path).await, 404, "not-found");
    }
}

#[tokio::test]
async fn a_closed_digest_is_what_its_delivery_is() {
    let service = service().await;
    let rule = || RuleId::new("collects").unwrap();
    let action = || "a".to_owned().try_into().unwrap();
    for (name, then, expected) in [
        ("s", None, "sending"),
        ("d", Some(DeliveryState::Delivered), "sent"),
        ("a", Some(DeliveryState::Accepted), "sent"),
        ("x", Some(DeliveryState::Dead), "dead"),
    ] {
        let id = DigestId::derive([name]);
        let closed = DigestEntry {
            digest: id.clone(),
            rule: rule(),
            rule_digest: PlainDigest::of(b"collects"),
            action: action(),
            control: "digest".into(),
            entries: vec![1],
            true_count: 1,
            retained_count: 1,
            closed: DigestClosed::Window,
            parameters: Map::new(),
            logical_time: service.clock.now(),
            tzdb: "2026b".into(),
            intent: intent(name),
        };
        commit(&service, vec![delivery(&service, name, None)], vec![closed.into_draft()]).await;
        if let Some(state) = then {
            let now = service.clock.now();
            let attempt = Attempt {
                delivery: intent(name).delivery,
                attempt: 1,
                started_at: now,
                finished_at: now,
                result: "x".into(),
                http_status: None,
                request: None,
                response: None,
                error: None,
                provider_reference: None,
                follows: notify_store::model::Follows::Outcome(state),
            };
            let entry = AttemptEntry {
                delivery: intent(name).delivery,
                attempt: 1,
                result: "x".into(),
                message: commitment(name),
                request: None,
                response: None,
                follows: Some(Follows::Outcome(state.as_str().to_owned())),
                late: false,
            };
            let effect = Effect::RecordAttempt(Box::new(attempt));
            commit(&service, vec![effect], vec![entry.into_draft()]).await;
        }
        let found = get(&service, &format!("digests/{id}")).await;
        let delivery = intent(name).delivery;
        assert_eq!(
            (found.text("/state"), found.text("/delivery")),
            (expected, delivery.as_str()),
            "{}",
            found.body
        );
    }
    let id = DigestId::derive(["c"]);
    let cancelled = ReleaseEntry {
        of: Released::Digest { digest: id.clone() },
        outcome: ReleaseOutcome::Cancel,
        rule: rule(),
        rule_digest: None,
        action: action(),
        control: "rule-gone".into(),
        parameters: Map::new(),
        logical_time: service.clock.now(),
        tzdb: "2026b".into(),
    };
    commit(&service, vec![], vec![cancelled.into_draft()]).await;
    let found = get(&service, &format!("digests/{id}")).await;
    assert_eq!(
        (found.text("/state"), &found.body["delivery"]),
        ("cancelled", &Value::Null),
        "{}",
        found.body
    );
}

#[tokio::test]
async fn events_are_found_by_their_producers_id() {
    let service = service().await;
    let one = published(&service, "same", "/one").await;
    let two = published(&service, "same", "/two").await;
    published(&service, "else", "/one").await;
    let keys = async |query: &str| -> Vec<String> {
        let answered = get(&service, &format!("events?{query}")).await;
        assert_eq!(answered.status.as_u16(), 200, "{}", answered.body);
        let items = answered.body["items"].as_array().unwrap();
        items.iter().map(|item| item["key"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(keys("id=same").await, [two.to_string(), one.to_string()]);
    assert_eq!(keys("id=same&source=%2Fone").await, [one.to_string()]);
    assert_eq!(keys("id=same&source=%2Fthree").await, Vec::<String>::new());
    assert_eq!(keys("id=nothing").await, Vec::<String>::new());
    assert_problem(&get(&service, "events?source=%2Fone").await, 400, "invalid-parameter");
}

#[tokio::test]
async fn the_report_counts_its_period() {
    let service = service().await;
    let empty = get(&service, "reports/noise").await;
    assert_eq!((empty.status.as_u16(), &empty.body["rules"]), (200, &json!([])), "{}", empty.body);
    decided(&service).await;
    // Entries bear the database's time, not that of the tests.
    let report = get(&service, "reports/noise?from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00Z").await;
    assert_eq!(report.body["complete"], json!(true));
    assert_eq!(
        report.body["totals"],
        json!({ "alerts": 4, "planned": 1, "suppressed": 1, "digested": 1, "held": 1, "messages": 1 }),
        "{}",
        report.body
    );
    let rules = report.body["rules"].as_array().unwrap();
    let mutes = rules.iter().find(|rule| rule["rule"] == "mutes").unwrap();
    assert_eq!((&mutes["suppressed"]["dedupe"], mutes.get("score")), (&json!(1), None));
    // Before it, nothing was decided.
    let before = get(&service, "reports/noise?to=2026-01-02T00:00:00Z").await;
    assert_eq!(before.body["totals"]["alerts"], json!(0), "{}", before.body);
    for query in ["from=2026-01-02T00:00:00Z&to=2026-01-02T00:00:00Z", "from=yesterday", "to=9999"] {
        assert_problem(&get(&service, &format!("reports/noise?{query}")).await, 400, "invalid-parameter");
    }
}

#[tokio::test]
async fn the_preview_of_a_digest_checks_what_it_is_asked() {
    let service = service().await;
    let event = json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t" });
    let ask = async |body: Value| {
        service.admin(Method::POST, "/api/v1/notify/digests:preview", JSON, &body.to_string()).await
    };
    let check = async |body: Value, status: u16, code: &str, path: &str| {
        let answered = ask(body).await;
        assert_problem(&answered, status, code);
        assert_eq!(answered.text("/path"), path, "{}", answered.body);
    };
    check(json!({ "events": [event] }), 400, "invalid-parameter", "/rule").await;
    check(json!({ "rule": "No Id", "events": [] }), 400, "invalid-parameter", "/rule").await;
    check(json!({ "rule": "r" }), 400, "invalid-parameter", "/events").await;
    check(json!({ "rule": "r", "events": [], "control": "dedupe" }), 400, "invalid-parameter", "/control")
        .await;
    check(json!({ "rule": "r", "events": [], "control": 1 }), 400, "invalid-parameter", "/control").await;
    check(json!({ "rule": "r", "events": [], "action": "No Id" }), 400, "invalid-parameter", "/action").await;
    check(json!({ "rule": "r", "events": [{ "id": 1 }] }), 400, "invalid-event", "/events/0/specversion")
        .await;
    check(json!({ "rule": "r", "events": [], "x": 1 }), 422, "unknown-field", "/x").await;
    check(json!({ "rule": "r", "events": vec![event.clone(); 1_001] }), 400, "invalid-parameter", "/events")
        .await;
    check(json!({ "rule": "absent", "events": [event.clone()] }), 404, "not-found", "/rule").await;
    let channel = json!({ "schema": "notify-channel@1", "id": "c", "name": "C", "type": "webhook" });
    let made = service.admin(Method::POST, "/api/v1/notify/channels", JSON, &channel.to_string()).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    let rule = json!({
        "schema": "notify-rule@1", "id": "r", "name": "R", "match": { "type": ["t"] },
        "actions": [{ "id": "a", "channel": "c" }],
    });
    let shown = ask(json!({ "rule": rule, "events": [event.clone(), event], "control": "storm" })).await;
    assert_eq!((shown.status.as_u16(), &shown.body["count"]), (200, &json!(2)), "{}", shown.body);
    assert_eq!(shown.text("/message/title"), "storm");
}
