//! Counting, scoring, advising.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

const WEEK: u64 = 7 * 86_400;

fn statement(kind: &str, mut predicate: Value) -> String {
    predicate["kind"] = kind.into();
    json!({"_type": "x", "predicateType": "y", "subject": [], "predicate": predicate}).to_string()
}

fn decided(rule: &str, outcome: &str, control: &str) -> Value {
    json!({"rule": rule, "action": "a", "outcome": outcome, "control": control, "parameters": {"n": 1}, "alsoApplied": ["x"]})
}

fn report(statements: &[String], seconds: u64) -> NoiseReport {
    let mut tally = Tally::default();
    statements.iter().for_each(|statement| tally.add(statement));
    tally.report(seconds)
}

fn events(count: usize, rule: &str, outcome: &str, control: &str) -> Vec<String> {
    vec![statement("event", json!({"decisions": [decided(rule, outcome, control)]})); count]
}

#[test]
fn everything_is_counted_once() {
    let release =
        |outcome: &str| statement("release", json!({"release": "held", "rule": "r", "outcome": outcome}));
    let digest = |part: Option<&str>| {
        let mut digest = json!({"rule": "r", "trueCount": 9});
        if let Some(part) = part {
            digest["part"] = part.into();
        }
        statement("digest", digest)
    };
    let two = json!({"decisions": [decided("r", "send", "none"), decided("r", "render-failed", "none"),
                                   decided("r", "digested", "throttle"), decided("s", "suppressed", "dedupe")]});
    let statements = [
        statement("event", two),
        statement("event", json!({"decisions": []})),
        statement("event", json!({"decisions": [decided("r", "held", "quiet-hours")]})),
        release("hold"),
        release("send"),
        release("cancel"),
        statement("release", json!({"release": "retry", "rule": "r", "outcome": "send"})),
        digest(None),
        digest(Some("1/2")),
        digest(Some("2/2")),
        statement("attempt", json!({"delivery": "d"})),
        "not json".to_owned(),
    ];
    let report = report(&statements, WEEK);
    assert_eq!(report.unreadable, 1);
    assert_eq!(
        report.totals,
        Totals { alerts: 5, planned: 2, suppressed: 1, digested: 1, held: 1, messages: 5 }
    );
    let names: Vec<_> = report.rules.iter().map(|rule| rule.rule.as_str()).collect();
    assert_eq!(names, ["r", "s"]);
    let r = &report.rules[0];
    assert_eq!((r.matched, r.alerts, r.planned, r.held_released, r.held_cancelled), (2, 4, 2, 1, 1));
    assert_eq!((r.held["quiet-hours"], r.score), (1, None));
    assert_eq!((r.digests, r.messages, r.digested["throttle"]), (2, 5, 1));
    assert_eq!(report.rules[1].suppressed["dedupe"], 1);
}

#[test]
fn scores_and_suggestions() {
    fn check(
        parts: &[(usize, &str, &str)],
        seconds: u64,
        score: impl Into<Option<u8>>,
        advice: Option<&str>,
    ) {
        let statements: Vec<_> = parts
            .iter()
            .flat_map(|(count, outcome, control)| events(*count, "r", outcome, control))
            .collect();
        let report = report(&statements, seconds);
        let rule = &report.rules[0];
        assert_eq!((rule.score, rule.suggestion.map(|s| s.code)), (score.into(), advice), "{parts:?}");
    }
    check(&[(9, "suppressed", "dedupe")], WEEK, None, None);
    check(&[(1, "digested", "storm")], WEEK, None, None);
    check(&[(10, "send", "none")], WEEK, 1, None);
    check(&[(10, "send", "none"), (10, "suppressed", "dedupe")], WEEK, 50, Some("mostly-repeats"));
    check(&[(11, "send", "none"), (10, "suppressed", "dedupe")], WEEK, 47, None);
    check(&[(8, "send", "none"), (2, "digested", "throttle")], WEEK, 20, Some("over-its-limit"));
    check(&[(8, "send", "none"), (2, "suppressed", "budget")], WEEK, 20, Some("over-its-limit"));
    check(&[(8, "send", "none"), (2, "digested", "storm")], WEEK, 1, Some("part-of-storms"));
    check(&[(5, "send", "none"), (5, "suppressed", "silence")], WEEK, 0, Some("mostly-silenced"));
    check(
        &[(5, "send", "none"), (3, "held", "quiet-hours"), (2, "digested", "quiet-hours")],
        WEEK,
        0,
        Some("mostly-at-night"),
    );
    check(&[(5, "send", "none"), (5, "suppressed", "inhibition")], WEEK, 50, Some("mostly-inhibited"));
    check(&[(20, "digested", "digest")], WEEK, 0, None);
    check(&[(700, "send", "none")], WEEK, 100, Some("loud"));
    check(&[(350, "send", "none")], WEEK, 50, None);
    // An hour is no day: what was sent in it is not multiplied.
    check(&[(30, "send", "none")], 3_600, 30, None);
    check(&[(30, "send", "none")], 0, 30, None);
    check(&[(1, "suppressed", "channel-disabled")], WEEK, None, Some("goes-nowhere"));
}

/// A rule caught in the storm of another one is not the noisiest.
#[test]
fn a_storm_of_others_is_nobodys_noise() {
    let quiet = events(12, "quiet", "digested", "storm");
    let noisy = [events(6, "noisy", "suppressed", "dedupe"), events(6, "noisy", "send", "none")].concat();
    let few = events(1, "few", "digested", "storm");
    let report = report(&[quiet, noisy, few].concat(), WEEK);
    let scores: Vec<_> = report.rules.iter().map(|rule| (rule.rule.as_str(), rule.score)).collect();
    assert_eq!(scores, [("noisy", Some(50)), ("quiet", Some(0)), ("few", None)]);
}

proptest! {
    /// Every alert stands in exactly one column, in any order of entries.
    #[test]
    fn the_columns_add_up(
        decisions in prop::collection::vec(("[a-c]", prop::sample::select(vec!["send", "suppressed", "digested", "held", "render-failed", "other"]), "[a-d]{1,2}"), 0..60),
        turn in any::<prop::sample::Index>(),
    ) {
        let mut statements: Vec<String> = decisions
            .chunks(3)
            .map(|chunk| {
                let all: Vec<_> = chunk.iter().map(|(rule, outcome, control)| decided(rule, outcome, control)).collect();
                statement("event", json!({"decisions": all}))
            })
            .collect();
        let whole = report(&statements, WEEK);
        prop_assert_eq!(whole.totals.alerts, decisions.len() as u64);
        for rule in &whole.rules {
            let columns = rule.planned + rule.held.values().sum::<u64>() + rule.suppressed.values().sum::<u64>() + rule.digested.values().sum::<u64>();
            prop_assert_eq!(columns, rule.alerts);
            prop_assert!(rule.matched <= rule.alerts && rule.score.is_none_or(|score| score <= 100));
        }
        if !statements.is_empty() {
            let turn = turn.index(statements.len());
            statements.rotate_left(turn);
        }
        prop_assert_eq!(report(&statements, WEEK), whole);
    }
}
