//! Silences, overrides and inhibitions over HTTP: the blast radius against a count by hand, confirmation, states, ends.

use crate::harness::{Answered, Service, assert_problem, service};
use http::Method;
use notify_core::document::{Kind, parse_any};
use notify_core::event::{Event, EventLimits};
use notify_core::ids::{ActionId, ChannelId, DeliveryId, RuleId, TenantId};
use notify_core::ledger::commitment::{Commitment, PlainDigest};
use notify_core::ledger::entry::{Decision, EventEntry, Intent};
use notify_core::time::{Clock, Timestamp};
use notify_store::model::NewEvent;
use notify_store::{Commit, Effect};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const JSON: (&str, &str) = ("content-type", "application/json");
const SILENCES: &str = "/api/v1/notify/silences";
const OVERRIDES: &str = "/api/v1/notify/overrides";
const OUTCOMES: [&str; 6] = ["send", "suppressed", "held", "digested", "render-failed", "send"];

fn acme() -> TenantId {
    TenantId::new("acme").unwrap()
}

/// What stands in the history, as the test knows it.
struct Past {
    at: Timestamp,
    kind: String,
    host: String,
    /// Rule and whether it was an alert. A rule's only action sends to the channel with its number modulo 3.
    decisions: Vec<(usize, bool)>,
}

fn channel_of(rule: usize) -> usize {
    rule % 3
}

async fn put(service: &Service, kind: Kind, value: &Value) {
    let (id, body, digest) = parse_any(kind, value).unwrap();
    let put = Effect::PutDocument { kind, id, digest, body, at: service.clock.now() };
    let subject = vec![("config".to_owned(), "ab".repeat(32))];
    let entry = notify_core::ledger::EntryDraft {
        kind: notify_core::ledger::EntryKind::Config,
        subject,
        predicate: Map::new(),
        about: String::new(),
    };
    service.store.commit(Commit::new(acme(), vec![put], vec![entry])).await.unwrap();
}

async fn rules_and_channels(service: &Service) {
    for n in 0..3 {
        let channel =
            json!({ "schema": "notify-channel@1", "id": format!("c{n}"), "name": "C", "type": "webhook" });
        put(service, Kind::Channel, &channel).await;
    }
    for n in 0..6 {
        let rule = json!({
            "schema": "notify-rule@1", "id": format!("r{n}"), "name": "R", "match": { "type": ["t0"] },
            "actions": [{ "id": "a", "channel": format!("c{}", channel_of(n)) }],
        });
        put(service, Kind::Rule, &rule).await;
    }
}

/// Events of the last ten days, every few minutes, with up to three decisions each.
async fn history(service: &Service, count: usize) -> Vec<Past> {
    let mut state = 7_u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let span = 10 * 86_400_000 / count as i64;
    let first = service.clock.now() - jiff_ms(span * count as i64);
    let mut past = Vec::new();
    for n in 0..count {
        let at = first + jiff_ms(span * n as i64);
        let (kind, host) = (format!("t{}", draw(4)), format!("h{}", draw(3)));
        let decided: Vec<(usize, &str)> =
            (0..draw(4)).map(|_| (draw(6), OUTCOMES[draw(OUTCOMES.len())])).collect();
        let value = json!({
            "specversion": "1.0", "id": n.to_string(), "source": "/s", "type": kind, "data": { "host": host },
        });
        let event = Event::from_value(&acme(), value, &EventLimits::default()).unwrap();
        let decisions = decided.iter().map(|(rule, outcome)| decision(*rule, outcome, at)).collect();
        let entry = EventEntry {
            key: event.key.clone(),
            event: Commitment::of(&[4; 32], event.body.as_bytes()),
            decisions,
            unmatched: 0,
        };
        let new = NewEvent {
            key: event.key,
            source: event.source,
            id: event.id,
            r#type: event.r#type,
            subject: event.subject,
            body: event.body,
            body_hash: event.body_hash,
            accepted_at: at,
            salt: Some([4; 32]),
        };
        let accept = Effect::AcceptPlanned(Box::new(new));
        service.store.commit(Commit::new(acme(), vec![accept], vec![entry.into_draft()])).await.unwrap();
        let decisions = decided.into_iter().map(|(rule, outcome)| (rule, outcome != "suppressed")).collect();
        past.push(Past { at, kind, host, decisions });
    }
    past
}

fn jiff_ms(millis: i64) -> std::time::Duration {
    std::time::Duration::from_millis(millis.unsigned_abs())
}

fn decision(rule: usize, outcome: &str, at: Timestamp) -> Decision {
    let channel = ChannelId::new(format!("c{}", channel_of(rule))).unwrap();
    let delivery = DeliveryId::derive(["d"]);
    // What is held or put into a digest does not name its channel.
    let intent = matches!(outcome, "send" | "render-failed").then(|| Intent {
        idempotency_key: delivery.to_string(),
        delivery,
        channel,
        target: Commitment::of(&[1; 32], b"t"),
        message: Commitment::of(&[1; 32], b"m"),
    });
    Decision {
        rule: RuleId::new(format!("r{rule}")).unwrap(),
        rule_digest: PlainDigest([0; 32]),
        action: ActionId::new("a").unwrap(),
        outcome: outcome.to_owned(),
        control: "none".to_owned(),
        parameters: Map::new(),
        logical_time: at,
        tzdb: "2026a".to_owned(),
        also_applied: vec![],
        intent,
    }
}

fn silence(id: &str, more: &Value) -> Value {
    let mut value = json!({ "schema": "notify-silence@1", "id": id, "reason": "the registry moves", "until": "2026-12-10T00:00:00Z" });
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value
}

async fn post(service: &Service, path: &str, body: &Value) -> Answered {
    service.admin(Method::POST, path, &[JSON], &body.to_string()).await
}

/// Alert by alert.
fn by_hand(past: &[Past], since: Timestamp, muted: impl Fn(&Past, usize) -> bool) -> Value {
    let (mut rules, mut all): (BTreeMap<usize, u64>, BTreeMap<usize, u64>) = Default::default();
    let (mut events, mut alerts, mut count) = (0, 0, 0_u64);
    for event in past.iter().filter(|event| event.at >= since) {
        events += 1;
        for (rule, _) in event.decisions.iter().filter(|(_, is_alert)| *is_alert) {
            alerts += 1;
            *all.entry(*rule).or_default() += 1;
            if muted(event, *rule) {
                count += 1;
                *rules.entry(*rule).or_default() += 1;
            }
        }
    }
    let mut by_rule: Vec<_> = rules.iter().collect();
    by_rule.sort_by_key(|(rule, muted)| (std::cmp::Reverse(**muted), **rule));
    let by_rule: Vec<Value> = by_rule
        .iter()
        .map(|(rule, muted)| json!({ "rule": format!("r{rule}"), "alerts": all[rule], "muted": muted }))
        .collect();
    json!({ "events": events, "alerts": alerts, "muted": count, "mutedRules": rules.len(), "rules": by_rule })
}

#[tokio::test]
async fn the_figures_are_those_of_a_count_by_hand() {
    let service = service().await;
    rules_and_channels(&service).await;
    let calendar = json!({
        "schema": "notify-calendar@1", "id": "mornings", "name": "Mornings", "timeZone": "UTC",
        "windows": [{ "times": ["08:00-10:00"] }],
    });
    put(&service, Kind::Calendar, &calendar).await;
    let past = history(&service, 700).await;
    let since = service.clock.now() - std::time::Duration::from_secs(7 * 86_400);
    type Muted = fn(&Past, usize) -> bool;
    let cases: [(Value, Muted); 7] = [
        (json!({ "match": { "type": ["t1"] } }), |event, _| event.kind == "t1"),
        (json!({ "match": { "type": ["t1", "t2"], "data": { "host": ["h0"] } } }), |event, _| {
            ["t1", "t2"].contains(&event.kind.as_str()) && event.host == "h0"
        }),
        (json!({ "rules": ["r2", "r5"] }), |_, rule| [2, 5].contains(&rule)),
        (json!({ "channels": ["c1"] }), |_, rule| channel_of(rule) == 1),
        (
            json!({ "match": { "data": { "host": [{ "anything-but": "h1" }] } }, "rules": ["r0"], "channels": ["c0"] }),
            |event, rule| event.host != "h1" && rule == 0,
        ),
        (json!({ "rules": ["r0"], "channels": ["c2"] }), |_, _| false),
        (json!({ "match": { "type": [{ "prefix": "t" }] }, "calendar": "mornings" }), |event, _| {
            (8..10).contains(&event.at.as_second().rem_euclid(86_400).div_euclid(3_600))
        }),
    ];
    for (selected, muted) in cases {
        let answered = post(&service, &format!("{SILENCES}:preview"), &silence("x", &selected)).await;
        assert_eq!(answered.status.as_u16(), 200, "{}", answered.body);
        let expected = by_hand(&past, since, muted);
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(answered.body[name], *value, "{selected}: {name} of {}", answered.body);
        }
        let (count, alerts) = (expected["muted"].as_u64().unwrap(), expected["alerts"].as_u64().unwrap());
        assert!(alerts > 400, "{alerts}");
        assert_eq!(answered.body["confirm"], json!(count > 100 || count * 4 > alerts), "{selected}");
        assert_eq!((&answered.body["complete"], &answered.body["unreadable"]), (&json!(true), &json!(0)));
        let said = if count == 0 { "no alert".to_owned() } else { format!("{count} alerts of ") };
        assert!(answered.text("/sentence").contains(&said), "{}", answered.body);
        // The latest come first, each with rules that it would have muted.
        let samples = answered.body["samples"].as_array().unwrap();
        assert_eq!(samples.is_empty(), count == 0);
        let times: Vec<_> = samples.iter().map(|sample| sample["at"].as_str().unwrap()).collect();
        assert!(times.is_sorted_by(|a, b| a > b), "{times:?}");
        assert!(samples.iter().all(|sample| !sample["rules"].as_array().unwrap().is_empty()));
    }
    // Of another tenant nothing is counted.
    let token = format!("Bearer {}", service.token("other", &[notify_webservice::auth::Scope::Admin]));
    let body = silence("x", &json!({ "match": { "type": ["t1"] } })).to_string();
    let headers = [JSON, ("authorization", token.as_str())];
    let other = service.send(Method::POST, &format!("{SILENCES}:preview"), &headers, body.as_bytes()).await;
    assert_eq!((&other.body["events"], &other.body["muted"]), (&json!(0), &json!(0)), "{}", other.body);
}

async fn last_config_entry(service: &Service) -> Value {
    let head = service.store.ledger_head(&acme()).await.unwrap().unwrap();
    let entries = service.store.ledger_entries(&acme(), 0, head.size, 5_000).await.unwrap();
    let last = entries.iter().rev().find(|entry| entry.kind == "config").unwrap();
    let statement: Value = serde_json::from_str(last.payload.as_deref().unwrap()).unwrap();
    statement["predicate"].clone()
}

#[tokio::test]
async fn what_would_have_muted_much_has_to_be_confirmed() {
    let service = service().await;
    rules_and_channels(&service).await;
    history(&service, 60).await;
    let wide = silence("wide", &json!({ "match": { "type": [{ "prefix": "t" }] } }));
    let refused = post(&service, SILENCES, &wide).await;
    assert_problem(&refused, 409, "confirmation-required");
    assert!(refused.text("/detail").contains("100 % of all"), "{}", refused.body);
    assert_eq!(refused.body["preview"]["muted"], refused.body["preview"]["alerts"], "{}", refused.body);
    assert!(service.store.document(&acme(), Kind::Silence, "wide", None).await.unwrap().is_none());

    let made = post(&service, &format!("{SILENCES}?confirm=true"), &wide).await;
    assert_eq!((made.status.as_u16(), made.text("/state")), (201, "active"), "{}", made.body);
    assert_eq!(made.text("/forced/0/code"), "confirmation-required");
    let entry = last_config_entry(&service).await;
    assert_eq!(entry["forced"], json!(["confirmation-required"]), "{entry}");
    assert_eq!((&entry["documentKind"], &entry["action"]), (&json!("silence"), &json!("create")));

    // What mutes less than the version before needs no new confirmation, what mutes more does.
    let put = async |version: u64, document: &Value| {
        let tag = format!("\"{version}\"");
        service
            .admin(
                Method::PUT,
                &format!("{SILENCES}/wide"),
                &[JSON, ("if-match", &tag)],
                &document.to_string(),
            )
            .await
    };
    let mut shorter = made.body["document"].clone();
    shorter["until"] = json!("2026-12-09T00:00:00Z");
    let done = put(1, &shorter).await;
    assert_eq!(done.status.as_u16(), 200, "{}", done.body);
    assert!(last_config_entry(&service).await.get("forced").is_none());
    assert_problem(&put(2, &made.body["document"]).await, 409, "confirmation-required");

    // A narrow one is not asked about, also when it is confirmed all the same: nothing was forced.
    let narrow = silence("narrow", &json!({ "match": { "type": ["nothing"] } }));
    let made = post(&service, &format!("{SILENCES}?confirm=true"), &narrow).await;
    assert_eq!((made.status.as_u16(), made.body.get("forced")), (201, None), "{}", made.body);
    let unknown = post(&service, &format!("{SILENCES}?force=true"), &narrow).await;
    assert_problem(&unknown, 400, "invalid-parameter");
}

/// Where nothing happened yet, nothing can be counted.
#[tokio::test]
async fn without_history_what_is_wide_or_long_has_to_be_confirmed() {
    let service = service().await;
    rules_and_channels(&service).await;
    let everything = json!({ "match": { "type": [{ "exists": true }] } });
    let long = json!({ "rules": ["r0"], "until": "2100-01-01T00:00:00Z" });
    let cases = [(everything, "it mutes all alerts of all rules"), (long, "it lasts longer than 30 days")];
    for (number, (more, because)) in cases.into_iter().enumerate() {
        let body = silence(&format!("s{number}"), &more);
        let previewed = post(&service, &format!("{SILENCES}:preview"), &body).await;
        assert_eq!(
            (&previewed.body["confirm"], &previewed.body["because"]),
            (&json!(true), &json!([because]))
        );
        let refused = post(&service, SILENCES, &body).await;
        assert_problem(&refused, 409, "confirmation-required");
        assert!(refused.text("/detail").contains(because), "{}", refused.body);
        let made = post(&service, &format!("{SILENCES}?confirm=true"), &body).await;
        assert_eq!(made.status.as_u16(), 201, "{}", made.body);
        assert_eq!(last_config_entry(&service).await["forced"], json!(["confirmation-required"]));
    }
    let narrow = silence("narrow", &json!({ "rules": ["r0"] }));
    let made = post(&service, SILENCES, &narrow).await;
    assert_eq!((made.status.as_u16(), made.body.get("forced")), (201, None), "{}", made.body);
}

#[tokio::test]
async fn it_begins_when_it_is_saved_and_ends_when_it_is_told_to() {
    let service = service().await;
    rules_and_channels(&service).await;
    let now = service.clock.now();
    let time = |seconds: i64| (now + std::time::Duration::from_secs(seconds.unsigned_abs())).to_string();
    let made =
        post(&service, SILENCES, &silence("now", &json!({ "rules": ["r0"], "until": time(60) }))).await;
    assert_eq!((made.status.as_u16(), made.text("/document/from")), (201, time(0).as_str()), "{}", made.body);
    assert_eq!((made.text("/state"), made.text("/covers")), ("active", "alerts of the rule r0"));
    let later = silence("later", &json!({ "channels": ["c1"], "from": time(600), "until": time(900) }));
    assert_eq!(post(&service, SILENCES, &later).await.text("/state"), "upcoming");
    let over = silence(
        "over",
        &json!({ "rules": ["r0"], "from": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z" }),
    );
    let refused = post(&service, SILENCES, &over).await;
    assert_problem(&refused, 422, "invalid-silence");
    assert_eq!(refused.text("/path"), "/until");

    let listed = async |query: &str| {
        let answered = service.admin(Method::GET, &format!("{SILENCES}{query}"), &[], "").await;
        assert_eq!(answered.status.as_u16(), 200, "{}", answered.body);
        let items = answered.body["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| format!("{} {}", item["id"].as_str().unwrap(), item["state"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, ["later upcoming", "now active"]);
    assert_eq!(listed("?state=active&limit=1").await, ["now active"], "a page without one is passed over");
    assert_eq!(listed("?state=expired").await, Vec::<String>::new());
    assert_problem(
        &service.admin(Method::GET, &format!("{SILENCES}?state=gone"), &[], "").await,
        400,
        "invalid-parameter",
    );
    service.later(60);
    assert_eq!(listed("?state=all").await, ["later upcoming", "now expired"], "the end is not covered");
    assert_eq!(listed("").await, ["later upcoming"], "what is over is shown to who asks for it");
    assert_eq!(listed("?state=expired").await, ["now expired"]);
    assert_eq!(
        service.admin(Method::GET, &format!("{SILENCES}/now"), &[], "").await.text("/state"),
        "expired"
    );

    // Ended before it began, it covers nothing; ending it again changes nothing.
    let expire = async |path: &str, headers: &[(&str, &str)]| {
        service.admin(Method::POST, &format!("{path}:expire"), headers, "").await
    };
    let place = format!("{SILENCES}/later");
    assert_problem(&expire(&place, &[("if-match", "\"7\"")]).await, 412, "precondition-failed");
    let ended = expire(&place, &[("if-match", "\"1\"")]).await;
    assert_eq!(
        (ended.status.as_u16(), &ended.body["version"], ended.header("etag")),
        (200, &json!(2), "\"2\""),
        "{}",
        ended.body
    );
    assert_eq!((ended.text("/state"), ended.text("/document/until")), ("expired", time(600).as_str()));
    assert_eq!(last_config_entry(&service).await["version"], json!(2));
    let again = expire(&place, &[]).await;
    assert_eq!(
        (again.status.as_u16(), &again.body["version"], again.header("etag")),
        (200, &json!(2), "\"2\"")
    );
    assert_problem(&expire(&format!("{SILENCES}/absent"), &[]).await, 404, "not-found");
    // The versions keep what was in force.
    let first = service.admin(Method::GET, &format!("{place}?version=1"), &[], "").await;
    assert_eq!(first.text("/document/until"), time(900));

    // One that runs ends now, also when a rule that it names has gone.
    let running = silence("running", &json!({ "rules": ["r1"] }));
    assert_eq!(post(&service, SILENCES, &running).await.status.as_u16(), 201);
    let gone = service.admin(Method::DELETE, "/api/v1/notify/rules/r1", &[("if-match", "*")], "").await;
    assert_eq!(gone.status.as_u16(), 204, "{}", gone.body);
    service.later(5);
    let ended = expire(&format!("{SILENCES}/running"), &[]).await;
    assert_eq!(
        (ended.text("/state"), ended.text("/document/until")),
        ("expired", service.clock.now().to_string().as_str()),
        "{}",
        ended.body
    );
}

#[tokio::test]
async fn overrides_are_short_and_name_what_exists() {
    let service = service().await;
    rules_and_channels(&service).await;
    let now = service.clock.now();
    let document = |id: &str, days: i64, more: &Value| {
        let until = now + std::time::Duration::from_secs(days.unsigned_abs() * 86_400);
        let mut value = json!({
            "schema": "notify-override@1", "id": id, "reason": "release night", "controls": ["quiet-hours"],
            "until": until.to_string(),
        });
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        value
    };
    let made = post(&service, OVERRIDES, &document("a", 30, &json!({ "rules": ["r0"] }))).await;
    assert_eq!((made.status.as_u16(), made.text("/state")), (201, "active"), "{}", made.body);
    let check = async |value: Value, path: &str, code: &str| {
        let refused = post(&service, OVERRIDES, &value).await;
        assert_problem(&refused, 422, code);
        assert_eq!(refused.text("/path"), path, "{}", refused.body);
    };
    check(document("b", 31, &json!({})), "/until", "invalid-override").await;
    check(document("b", 1, &json!({ "rules": ["r0", "typo"] })), "/rules/1", "unknown-reference").await;
    check(document("b", 1, &json!({ "channels": ["typo"] })), "/channels/0", "unknown-reference").await;
    check(document("b", 1, &json!({ "match": { "type": "x" } })), "/match/type", "invalid-pattern").await;
    let ended = service.admin(Method::POST, &format!("{OVERRIDES}/a:expire"), &[], "").await;
    assert_eq!((ended.text("/state"), &ended.body["version"]), ("expired", &json!(2)), "{}", ended.body);
    let listed = service.admin(Method::GET, &format!("{OVERRIDES}?state=expired"), &[], "").await;
    assert_eq!(listed.text("/items/0/id"), "a", "{}", listed.body);

    let recurring = silence("s", &json!({ "rules": ["r0"], "calendar": "typo" }));
    let refused = post(&service, SILENCES, &recurring).await;
    assert_problem(&refused, 422, "unknown-reference");
    assert_eq!(refused.text("/path"), "/calendar");
    let inhibition = json!({
        "schema": "notify-inhibition@1", "id": "i", "name": "I", "source": { "match": { "type": ["a"] }, "resolve": { "type": [] } },
        "target": { "match": { "type": ["b"] } },
    });
    let refused = post(&service, "/api/v1/notify/inhibitions", &inhibition).await;
    assert_problem(&refused, 422, "invalid-pattern");
    assert_eq!(refused.text("/path"), "/source/resolve/type");
}
