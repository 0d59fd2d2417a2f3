//! What `plan` decides, that it decides it again, and what may depend on entropy: salts, and nothing that anybody
//! outside has to recognise.

use super::*;
use crate::document::{Version, parse_channel, parse_rule, parse_template};
use crate::event::{Event, EventLimits};
use crate::ids::TenantId;
use crate::jcs::tests::any_json;
use crate::ledger::commitment::Commitment;
use crate::noise::NoiseState;
use crate::time::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

const HOOK: &str = "https://hooks.example/1";

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn at() -> Timestamp {
    "2026-11-22T06:00:00Z".parse().unwrap()
}

/// Two rules match everything of type `t`, one of them only severe events; the third never matches.
fn snapshot(hook_url: &str, rule_version: u64) -> Snapshot {
    let rules = [
        json!({"id": "severe", "name": "Severe", "priority": 9, "match": {"severity": [{"at-least": "high"}]},
        "actions": [
            {"id": "chat", "channel": "hook", "template": "short"},
            {"id": "fails", "channel": "hook", "template": "breaks"},
            {"id": "off", "channel": "disabled"},
            {"id": "lost", "channel": "nowhere"},
        ]}),
        json!({"id": "all", "name": "All", "match": {"type": ["t"]}, "actions": [{"id": "a", "channel": "mail"}]}),
        json!({"id": "never", "name": "Never", "match": {"type": ["x"]}, "actions": [{"id": "a", "channel": "hook"}]}),
        json!({"id": "sleeps", "name": "Sleeps", "enabled": false, "match": {}, "actions": [{"id": "a", "channel": "hook"}]}),
    ];
    let channels = [
        json!({"id": "hook", "name": "Hook", "type": "webhook", "config": {"url": hook_url}}),
        json!({"id": "mail", "name": "Mail", "type": "smtp", "config": {"to": "ops@example.org"}}),
        json!({"id": "disabled", "name": "Off", "type": "webhook", "enabled": false, "config": {"url": HOOK}}),
    ];
    let templates = [
        json!({"id": "short", "name": "Short", "message": {"title": "{{ event.type }} from {{ event.source }}"}}),
        json!({"id": "breaks", "name": "Breaks", "message": {"title": "{{ event.data.no.such.thing }}"}}),
    ];
    let with_schema = |schema: &str, mut document: Value| {
        document["schema"] = schema.into();
        document
    };
    let rules = rules.map(|rule| {
        let (document, _, digest) = parse_rule(&with_schema("notify-rule@1", rule)).unwrap();
        Version { version: rule_version, digest, document }
    });
    let channels = channels.map(|channel| {
        let (document, _, digest) = parse_channel(&with_schema("notify-channel@1", channel)).unwrap();
        Version { version: 1, digest, document }
    });
    let templates = templates.map(|template| {
        let (document, _, digest) = parse_template(&with_schema("notify-template@1", template)).unwrap();
        Version { version: 1, digest, document }
    });
    let documents = Documents {
        rules: rules.to_vec(),
        channels: channels.to_vec(),
        texts: (templates.to_vec(), vec![]),
        ..Documents::default()
    };
    let (snapshot, broken) = Snapshot::compile(tenant(), 1, "en", documents);
    assert_eq!(broken, []);
    snapshot
}

fn event(severity: &str, data: Value) -> Event {
    let value = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "severity": severity, "data": data});
    Event::from_value(&tenant(), value, &EventLimits::default()).unwrap()
}

/// `rule/action channel outcome control` of each decision, in order.
fn decided(planned: &Planned) -> Vec<String> {
    let shown = |decision: &Decision| {
        let control = Some(decision.verdict.control()).filter(|control| *control != "none").unwrap_or("-");
        let Decision { rule, action, channel, verdict, .. } = decision;
        format!("{rule}/{action} {channel} {} {control}", verdict.outcome())
    };
    planned.decisions.iter().map(shown).collect()
}

#[test]
fn each_action_of_each_matching_rule_is_decided_by_priority() {
    let all = "all/a mail send -";
    let severe = [
        "severe/chat hook send -",
        "severe/fails hook render-failed -",
        "severe/off disabled suppressed channel-disabled",
        "severe/lost nowhere suppressed channel-missing",
    ];
    for (severity, expected, deliveries, unmatched) in
        [("critical", [&severe[..], &[all]].concat(), 3, 1), ("low", vec![all], 1, 2)]
    {
        let planned =
            plan(&snapshot(HOOK, 1), &event(severity, json!({})), at(), &[1; 32], &NoiseState::default());
        assert_eq!(decided(&planned), expected, "{severity}");
        assert_eq!((planned.deliveries.len(), planned.unmatched), (deliveries, unmatched), "{severity}");
        let recorded = planned.entry.predicate["decisions"].as_array().unwrap();
        assert_eq!(recorded.len(), expected.len(), "{severity}: every decision is in the entry");
    }
}

fn ids(snapshot: &Snapshot) -> Vec<String> {
    let planned = plan(snapshot, &event("critical", json!({})), at(), &[1; 32], &NoiseState::default());
    planned.deliveries.iter().map(|delivery| delivery.id.to_string()).collect()
}

/// Receivers drop repeats by these ids: another build must derive the same ones, a new version of a rule too, and
/// another target is another delivery.
#[test]
fn delivery_ids_are_what_they_have_always_been() {
    assert_eq!(ids(&snapshot(HOOK, 1)), GOLDEN_IDS);
    assert_eq!(ids(&snapshot(HOOK, 2)), GOLDEN_IDS);
    let moved = ids(&snapshot("https://hooks.example/2", 1));
    assert_eq!(
        moved.iter().zip(GOLDEN_IDS).map(|(id, old)| id == old).collect::<Vec<_>>(),
        [false, false, true]
    );
}

/// SHA-256 over prefix, tenant, cause, rule, action, channel and target, each with its length before it.
const GOLDEN_IDS: [&str; 3] = [
    "dlv_eea0142c2ba611a6821c0401af88303f",
    "dlv_cfc1d519d756db0bea7cfdb7f092a92e",
    "dlv_a28afe494649341d8bc0495cd6888eaa",
];

/// Everything of a delivery that entropy must not touch.
fn lasting(delivery: &PlannedDelivery) -> PlannedDelivery {
    PlannedDelivery {
        message_salt: [0; 32],
        message_commitment: Commitment([0; 32]),
        target_salt: [0; 32],
        ..delivery.clone()
    }
}

proptest! {
    #[test]
    fn a_plan_depends_on_its_inputs_alone(
        severity in prop::sample::select(vec!["none", "low", "high", "critical", "?"]),
        data in any_json(), entropy in any::<[u8; 32]>(), other in any::<[u8; 32]>(),
    ) {
        prop_assume!(entropy != other);
        let value = json!({
            "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "severity": severity, "data": data,
        });
        let Ok(event) = Event::from_value(&tenant(), value, &EventLimits::default()) else { return Ok(()) };
        let compiled = snapshot(HOOK, 1);
        let planned = plan(&compiled, &event, at(), &entropy, &NoiseState::default());
        prop_assert_eq!(&plan(&compiled, &event, at(), &entropy, &NoiseState::default()), &planned);
        prop_assert_eq!(&plan(&snapshot(HOOK, 1), &event, at(), &entropy, &NoiseState::default()), &planned, "compiled anew");

        let salted_anew = plan(&compiled, &event, at(), &other, &NoiseState::default());
        prop_assert_eq!(decided(&salted_anew), decided(&planned));
        prop_assert_eq!(salted_anew.deliveries.len(), planned.deliveries.len());
        prop_assert_ne!(salted_anew.event_salt, planned.event_salt);
        let mut salts = vec![planned.event_salt, salted_anew.event_salt];
        for (a, b) in planned.deliveries.iter().zip(&salted_anew.deliveries) {
            prop_assert_eq!(lasting(a), lasting(b));
            prop_assert_ne!(a.message_commitment, b.message_commitment);
            for one in [a, b] {
                salts.extend([one.message_salt, one.target_salt]);
                prop_assert_eq!(
                    one.message_commitment, Commitment::of(&one.message_salt, one.message_json.as_bytes())
                );
            }
        }
        let drawn = salts.len();
        salts.sort_unstable();
        salts.dedup();
        prop_assert_eq!(salts.len(), drawn, "a salt was used twice");
    }
}

/// A digest's template sees no more of an alert than the alert's own template shows.
#[test]
fn what_an_alert_hides_is_hidden_in_digests_too() {
    let template = |document: Value| {
        let (document, _, digest) = parse_template(&document).unwrap();
        Version { version: 1, digest, document }
    };
    let own = json!({"schema": "notify-template@1", "id": "own", "name": "Own",
        "redact": [{"path": "/data/token"}], "message": {"title": "A login"}});
    let many = json!({"schema": "notify-template@1", "id": "many", "name": "Many",
        "message": {"title": "{{ digest.count }}", "body": "{% for item in digest.items %}{{ item.event.data.token }}{% endfor %}"}});
    let rule = json!({"schema": "notify-rule@1", "id": "r", "name": "R", "match": {"type": ["t"]},
        "actions": [{"id": "a", "channel": "c", "template": "own", "digest": {"window": "1m", "template": "many"}}]});
    let channel = json!({"schema": "notify-channel@1", "id": "c", "name": "C", "type": "webhook", "config": {"url": HOOK}});
    let (document, _, digest) = parse_rule(&rule).unwrap();
    let rules = vec![Version { version: 1, digest, document }];
    let (document, _, digest) = parse_channel(&channel).unwrap();
    let channels = vec![Version { version: 1, digest, document }];
    let texts = (vec![template(own), template(many)], vec![]);
    let documents = Documents { rules, channels, texts, ..Documents::default() };
    let (snapshot, broken) = Snapshot::compile(tenant(), 1, "en", documents);
    assert_eq!(broken, []);
    let event = event("high", json!({"token": "s3cret"}));
    let mut state = NoiseState::default();
    let planned = plan(&snapshot, &event, at(), &[1; 32], &state);
    state.apply(planned.changes);
    let (_, waits) = state.timers().next().unwrap();
    let crate::noise::Remembered::Window(window) = waits else { panic!("{waits:?}") };
    let item = &planned.items[0];
    let (rule, action) = (item.rule.clone(), item.action.clone());
    let shown = vec![Shown { event: event.value, rule, action, severity: item.severity, at: at() }];
    let collected = Collected { shown, ..Collected::default() };
    let (delivery, failed) = rendered_digest(&snapshot, window, collected, at()).unwrap();
    assert_eq!(failed, None);
    assert!(delivery.message.body.contains("redacted"), "{}", delivery.message_json);
    assert!(!delivery.message_json.contains("s3cret"), "{}", delivery.message_json);
}
