//! A snapshot that was changed step by step is the one that is compiled from scratch.

use super::*;
use crate::document::{Channel, Rule, Template, Version, parse_channel, parse_rule, parse_template};
use crate::event::{Event, EventLimits};
use crate::ids::{ChannelId, RuleId, TenantId};
use crate::noise::NoiseState;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn rule(id: &str, priority: i32, kind: u8, enabled: bool, version: u64) -> Version<Rule> {
    let document = json!({
        "schema": "notify-rule@1", "id": id, "name": format!("{id} {version}"), "priority": priority,
        "enabled": enabled, "match": { "type": [format!("t{kind}")] },
        "actions": [{ "id": "a", "channel": format!("c{kind}"), "template": "says" }],
    });
    let (document, _, digest) = parse_rule(&document).unwrap();
    Version { version, digest, document }
}

fn channel(id: &str, version: u64) -> Version<Channel> {
    let config = json!({ "url": format!("https://{id}.example/{version}") });
    let document = json!({
        "schema": "notify-channel@1", "id": id, "name": id, "type": "webhook", "enabled": !version.is_multiple_of(3), "config": config,
    });
    let (document, _, digest) = parse_channel(&document).unwrap();
    Version { version, digest, document }
}

fn template(version: u64) -> Version<Template> {
    let title = json!({ "title": format!("Version {version} of {{{{ event.type }}}}") });
    let document = json!({ "schema": "notify-template@1", "id": "says", "name": "Says", "message": title });
    let (document, _, digest) = parse_template(&document).unwrap();
    Version { version, digest, document }
}

/// What the store would hold.
#[derive(Default)]
struct Stored {
    rules: BTreeMap<RuleId, Version<Rule>>,
    channels: BTreeMap<ChannelId, Version<Channel>>,
    template: Option<Version<Template>>,
    version: u64,
}

impl Stored {
    fn compiled(&self) -> Snapshot {
        let rules = self.rules.values().cloned().collect();
        let channels = self.channels.values().cloned().collect();
        let texts = (self.template.iter().cloned().collect(), vec![]);
        let documents = Documents { rules, channels, texts, ..Documents::default() };
        let (snapshot, broken) = Snapshot::compile(tenant(), self.version, "en", documents);
        assert_eq!(broken, []);
        snapshot
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put(Vec<(u8, i32, u8, bool)>),
    Delete(u8),
    Channel(u8, bool),
    Template(bool),
    /// More at once than are changed one by one.
    Many(u8),
    Fold,
}

fn step() -> impl Strategy<Value = Step> {
    let put = (0_u8..12, 0..3, 0_u8..3, prop::bool::weighted(0.8));
    prop_oneof![
        6 => prop::collection::vec(put, 1..4).prop_map(Step::Put),
        3 => (0_u8..12).prop_map(Step::Delete),
        2 => (0_u8..3, any::<bool>()).prop_map(|(id, there)| Step::Channel(id, there)),
        1 => any::<bool>().prop_map(Step::Template),
        1 => (0_u8..3).prop_map(Step::Many),
        1 => Just(Step::Fold),
    ]
}

/// Carries a step out on the documents, and says what changed.
fn carry_out(documents: &mut Stored, step: &Step) -> Changes {
    documents.version += 1;
    let version = documents.version;
    let mut changes = Changes { config_version: version, ..Changes::default() };
    let mut put = |documents: &mut Stored, rule: Version<Rule>| {
        let id = rule.document.id.clone();
        documents.rules.insert(id.clone(), rule.clone());
        changes.rules.push((id, Some(rule)));
    };
    match step {
        Step::Put(rules) => {
            for (id, priority, kind, enabled) in rules {
                put(documents, rule(&format!("r{id}"), *priority, *kind, *enabled, version));
            }
        }
        Step::Many(kind) => {
            for number in 0..90 {
                put(documents, rule(&format!("m{number}"), number % 5, *kind, number % 7 != 0, version));
            }
        }
        Step::Delete(id) => {
            let id = RuleId::new(format!("r{id}")).unwrap();
            documents.rules.remove(&id);
            changes.rules.push((id, None));
        }
        Step::Channel(id, there) => {
            let name = format!("c{id}");
            let id = ChannelId::new(name.as_str()).unwrap();
            let now = there.then(|| channel(&name, version));
            match &now {
                Some(channel) => documents.channels.insert(id.clone(), channel.clone()),
                None => documents.channels.remove(&id),
            };
            changes.channels.push((id, now));
        }
        Step::Template(there) => {
            documents.template = there.then(|| template(version));
            changes.texts = Some((documents.template.iter().cloned().collect(), vec![]));
        }
        Step::Fold => {}
    }
    changes
}

fn event(kind: u8) -> Event {
    let value = json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": format!("t{kind}") });
    Event::from_value(&tenant(), value, &EventLimits::default()).unwrap()
}

fn assert_same(changed: &Snapshot, compiled: &Snapshot) {
    assert_eq!(changed.config_version, compiled.config_version);
    let order = |snapshot: &Snapshot| -> Vec<(String, u64)> {
        snapshot.rules().map(|(rule, _)| (rule.rule.id.to_string(), rule.version)).collect()
    };
    assert_eq!(order(changed), order(compiled));
    assert_eq!(changed.rule_count(), compiled.rule_count());
    assert_eq!(changed.channels, compiled.channels);
    for number in 0..12 {
        let id = RuleId::new(format!("r{number}")).unwrap();
        let version = |snapshot: &Snapshot| snapshot.rule(&id).ok().map(|rule| rule.version);
        assert_eq!(version(changed), version(compiled), "{id}");
    }
    for kind in 0..3 {
        let event = event(kind);
        let matching = |snapshot: &Snapshot| -> Vec<(String, u64)> {
            let found = snapshot.matching(&event.value);
            found.iter().map(|rule| (rule.rule.id.to_string(), rule.version)).collect()
        };
        assert_eq!(matching(changed), matching(compiled), "t{kind}");
        let at = "2026-11-22T06:00:00Z".parse().unwrap();
        assert_eq!(
            plan(changed, &event, at, &[1; 32], &NoiseState::default()),
            plan(compiled, &event, at, &[1; 32], &NoiseState::default())
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn changing_step_by_step_is_compiling_from_scratch(steps in prop::collection::vec(step(), 1..24)) {
        let mut documents = Stored::default();
        let mut snapshot = documents.compiled();
        for step in &steps {
            let before = (snapshot.clone(), documents.compiled());
            let (changed, broken) = snapshot.changed(carry_out(&mut documents, step));
            prop_assert!(broken.is_empty());
            // Who holds the old one sees the old one.
            assert_same(&before.0, &before.1);
            snapshot = if matches!(step, Step::Fold) { changed.folded() } else { changed };
            assert_same(&snapshot, &documents.compiled());
        }
    }
}

#[test]
fn a_rule_that_cannot_be_used_is_left_out_and_reported() {
    let mut documents = Stored::default();
    let good = rule("r1", 0, 0, true, 1);
    documents.rules.insert(good.document.id.clone(), good.clone());
    let mut bad = rule("r1", 0, 0, true, 2);
    bad.document.r#match = Some(json!({ "type": [{ "no-such-operator": 1 }] }));
    let changes = Changes {
        config_version: 2,
        rules: vec![(bad.document.id.clone(), Some(bad))],
        ..Changes::default()
    };
    let (changed, broken) = documents.compiled().changed(changes);
    assert_eq!(broken.iter().map(|broken| broken.id.as_str()).collect::<Vec<_>>(), ["r1"]);
    assert!(changed.rule(&good.document.id).is_err(), "its old version is not what the tenant asked for");
    assert_eq!(changed.rule_count(), 0);
}

#[test]
fn a_preview_looks_at_one_rule_alone() {
    let mut documents = Stored::default();
    for id in ["r1", "r2"] {
        let rule = rule(id, 0, 0, true, 1);
        documents.rules.insert(rule.document.id.clone(), rule);
    }
    let alone = documents.compiled().with_rule_alone(rule("new", 0, 1, false, 1)).unwrap();
    assert_eq!((alone.rule_count(), alone.matching(&event(0).value).len()), (1, 0));
    assert_eq!(alone.matching(&event(1).value).len(), 1, "enabled for the preview");
}
