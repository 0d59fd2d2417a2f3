//! Plan and timers against the slow model: events, time, restarts and changes of the configuration at random, and each
//! decision, release and digest compared.
//!
//! `NOTIFY_NOISE_CASES=4000` runs more of them, as `cargo xtask test --deep` does.

use super::made_up::{change, tenant};
use super::model::{Fate, Model};
use super::site::{Happened, Site};
use jiff::{SignedDuration, Timestamp};
use notify_core::event::{Event, EventLimits};
use notify_core::ids::DigestId;
use notify_core::noise::NoiseState;
use notify_core::plan::{Planned, Verdict};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Before and on the days when clocks change, a leap day, the end of a year.
const STARTS: [&str; 7] = [
    "2026-03-28T22:00:00Z",
    "2026-10-24T21:30:00Z",
    "2026-03-08T05:00:00Z",
    "2026-11-01T04:00:00Z",
    "2028-02-28T20:00:00Z",
    "2027-12-31T20:00:00Z",
    "2026-06-09T09:00:00Z",
];

/// Round, so that much begins and ends at the very time of an event; and not, for just before and after.
const STEPS: [i64; 16] = [
    0, 0, 0, 1, 999, 10_000, 59_999, 60_000, 60_000, 300_000, 300_000, 600_000, 900_000, 3_600_000,
    21_600_000, 93_600_000,
];

#[derive(Debug, Clone)]
enum Step {
    Event { later: usize, kind: usize, subject: usize, severity: usize, n: u8 },
    Restart,
    Change { later: usize, seed: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let event = (0..STEPS.len(), 0..7_usize, 0..4_usize, 0..4_usize, 0..2_u8)
        .prop_map(|(later, kind, subject, severity, n)| Step::Event { later, kind, subject, severity, n });
    let change = (0..STEPS.len(), any::<u64>()).prop_map(|(later, seed)| Step::Change { later, seed });
    prop::collection::vec(prop_oneof![20 => event, 1 => Just(Step::Restart), 3 => change], 1..70)
}

fn event(number: usize, kind: usize, subject: usize, severity: usize, n: u8) -> Event {
    let kinds = ["scan", "scan", "report", "service.down", "service.down", "host.down", "host.up"];
    let severities = ["low", "medium", "high", "critical"];
    let mut value = json!({
        "specversion": "1.0", "id": number.to_string(), "source": "/model", "type": kinds[kind],
        "severity": severities[severity], "data": {"n": n},
    });
    // One in four has none.
    if subject < 3 {
        value["subject"] = format!("s{subject}").into();
    }
    Event::from_value(&super::world::tenant(), value, &EventLimits::default()).unwrap()
}

/// Which of the model's groups each digest is.
type Groups = BTreeMap<DigestId, usize>;

fn compare(planned: &Planned, fates: &[Fate], groups: &mut Groups) {
    assert_eq!(planned.decisions.len(), fates.len());
    for (decision, fate) in planned.decisions.iter().zip(fates) {
        let outcome = decision.verdict.outcome();
        assert_eq!((&decision.rule, &decision.action), (&fate.alert.1, &fate.alert.2));
        assert_eq!(
            (outcome, decision.verdict.control()),
            (fate.outcome, fate.control),
            "{decision:#?} {fate:#?}"
        );
        assert_eq!(decision.also_applied, fate.also, "{decision:#?} {fate:#?}");
        for (name, value) in fate.said.iter().filter(|(name, _)| *name != "bypassed") {
            assert_eq!(decision.parameters.get(name), Some(value), "{name}: {decision:#?} {fate:#?}");
        }
        let overridden = |control: &Value| Some(control["override"].clone()).filter(|id| !id.is_null());
        let bypassed = decision.parameters.get("bypassed").and_then(Value::as_object);
        let bypassed: Map<String, Value> = bypassed
            .into_iter()
            .flatten()
            .filter_map(|(control, by)| Some((control.clone(), overridden(by)?)))
            .collect();
        let expected = fate.said.get("bypassed").and_then(Value::as_object).cloned().unwrap_or_default();
        assert_eq!(bypassed, expected, "{decision:#?} {fate:#?}");
        if let Verdict::Digested { digest, .. } = &decision.verdict {
            let known = *groups.entry(digest.clone()).or_insert_with(|| fate.group.unwrap());
            assert_eq!(Some(known), fate.group, "another digest: {decision:#?}");
            let digests = groups.values().filter(|group| **group == known).count();
            assert_eq!(digests, 1, "a digest of its own: {decision:#?}");
        }
    }
}

/// The bytes of a plan on a part of the state that holds what it reads are those of a plan on all of it.
fn compare_preview(site: &Site, event: &Event) {
    let [whole, of_part] = site.preview(event, |state, reads| {
        let known = reads.iter().filter_map(|key| Some((*key, state.get(key)?.clone())));
        known.collect::<BTreeMap<_, _>>().into_iter().collect::<NoiseState>()
    });
    assert!(whole == of_part, "planned on a part of the state: {whole:#?} {of_part:#?}");
}

fn sorted(all: &[Happened]) -> Vec<Happened> {
    let mut all = all.to_vec();
    all.sort();
    all
}

fn run(seed: u64, start: &str, steps: &[Step]) -> Site {
    let start: Timestamp = start.parse().unwrap();
    let mut documents = tenant(seed, start);
    let mut site = Site::new(documents.snapshot(), seed, start);
    let mut model = Model::new(documents.clone(), start);
    let (mut now, mut groups) = (start, Groups::new());
    for (number, step) in steps.iter().enumerate() {
        match *step {
            Step::Event { later, kind, subject, severity, n } => {
                now += SignedDuration::from_millis(STEPS[later]);
                let event = event(number, kind, subject, severity, n);
                site.until(now);
                compare_preview(&site, &event);
                let planned = site.accept(event.clone(), now);
                compare(&planned, &model.accept(&event, now), &mut groups);
            }
            Step::Restart => site.restart(),
            Step::Change { later, seed } => {
                now += SignedDuration::from_millis(STEPS[later]);
                change(&mut documents, seed, number, now);
                site.configure(documents.snapshot(), now);
                model.configure(documents.clone(), documents.snapshot(), now);
            }
        }
        assert_eq!(sorted(&site.happened), sorted(&model.happened), "after step {number}");
    }
    // What still waits has its time.
    now += SignedDuration::from_hours(50);
    site.until(now);
    model.until(now);
    assert_eq!(sorted(&site.happened), sorted(&model.happened), "at the end");
    site.assert_nothing_is_lost();
    site
}

fn cases() -> u32 {
    std::env::var("NOTIFY_NOISE_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, max_shrink_iters: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_does_as_the_slow_model(seed in 0..1_000_000_u64, start in 0..STARTS.len(), steps in steps()) {
        run(seed, STARTS[start], &steps);
    }
}

/// A comparison in which nothing happens proves nothing.
#[test]
fn together_the_random_runs_go_through_everything() {
    let mut runner = TestRunner::deterministic();
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..120 {
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let site = run(seed, STARTS[seed as usize % STARTS.len()], &steps);
        for (what, count) in super::tally(&site) {
            *all.entry(what).or_default() += count;
        }
    }
    let controls = [
        "dedupe",
        "silence",
        "maintenance",
        "inhibition",
        "storm",
        "throttle",
        "quiet-hours",
        "digest",
        "budget",
    ];
    let mut expected: Vec<String> = controls.iter().map(|control| format!("bypassed {control}")).collect();
    expected.extend(controls[1..].iter().map(|control| format!("also {control}")));
    for line in [
        "send none|held quiet-hours|held maintenance|suppressed channel-disabled",
        "suppressed dedupe|suppressed silence|suppressed maintenance|suppressed inhibition|suppressed throttle",
        "suppressed quiet-hours|suppressed budget",
        "digested storm|digested throttle|digested quiet-hours|digested digest|digested budget",
        "release held send none|release held hold quiet-hours|release held cancel rule-disabled",
        "release held cancel channel-disabled|release held cancel silence",
        "release digest hold quiet-hours|release digest cancel rule-disabled|release digest cancel channel-disabled",
        "release digest hold maintenance",
        "digest - - storm|digest - - throttle|digest - - quiet-hours|digest - - digest|digest - - budget",
    ] {
        expected.extend(line.split('|').map(str::to_owned));
    }
    let never: Vec<_> = expected.iter().filter(|what| !all.contains_key(*what)).collect();
    assert!(never.is_empty(), "{never:?} never happened: {all:#?}");
}
