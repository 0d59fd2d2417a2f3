//! What went wrong elsewhere, each named after where.

use super::inhibitions::{Engine, inhibition};
use super::silences::calendars;
use super::{minute, version};
use crate::document::{Kind, Silence, Version, parse_override, parse_silence};
use crate::ids::{ChannelId, RuleId};
use crate::noise::{Inhibitions, Silences};
use crate::time::Timestamp;
use serde_json::{Value, json};

fn silences(documents: &[Value]) -> Silences {
    let documents = documents.iter().map(|value| version::<Silence>(Kind::Silence, value, 3)).collect();
    let (silences, broken) = Silences::compile(documents);
    assert!(broken.is_empty());
    silences
}

fn covered(silences: &Silences, at: Timestamp) -> Option<String> {
    let (rule, channel) = (RuleId::new("r").unwrap(), ChannelId::new("c").unwrap());
    let event = json!({ "type": "t1" });
    silences.covering(&event, &rule, &channel, at, &calendars).map(|hit| hit.id.to_string())
}

/// Alertmanager documents it as a caution: a label that both sides lack counts as equal, so a typing error in `equal` lets
/// any source mute every target.
#[test]
fn alertmanager_an_equal_list_that_nobody_has_matches_nothing() {
    let source = json!({ "type": ["node.down"] });
    let target = json!({ "type": ["service.down"] });
    let check = |equal: &[&str], data: Value, other: Value, expected: bool| {
        let (inhibitions, _) = Inhibitions::compile(vec![inhibition(0, &source, None, &target, equal)]);
        let mut engine = Engine::default();
        engine.take(&inhibitions, &json!({ "type": "node.down", "data": data }), minute(0));
        let muted = engine.take(&inhibitions, &json!({ "type": "service.down", "data": other }), minute(1));
        assert_eq!(!muted.is_empty(), expected, "{equal:?} {data} {other}");
    };
    check(&["/data/clustre"], json!({ "cluster": "a" }), json!({ "cluster": "a" }), false);
    check(&["/data/cluster"], json!({}), json!({}), false);
    check(&["/data/cluster"], json!({ "cluster": null }), json!({ "cluster": null }), false);
    check(&["/data/cluster"], json!({ "cluster": "" }), json!({ "cluster": "" }), false);
    check(&["/data/cluster"], json!({ "cluster": "a" }), json!({ "cluster": "b" }), false);
    check(&["/data/cluster", "/data/zone"], json!({ "cluster": "a" }), json!({ "cluster": "a" }), false);
    check(&["/data/cluster"], json!({ "cluster": "a" }), json!({ "cluster": "a" }), true);
    // Said on purpose: any source mutes all targets.
    check(&[], json!({}), json!({}), true);
}

/// An alert that matches both sides must mute neither itself nor its repeats, nor be muted by its like.
#[test]
fn alertmanager_nothing_inhibits_itself() {
    let both = json!({ "type": [{ "prefix": "disk." }] });
    let (inhibitions, _) = Inhibitions::compile(vec![inhibition(0, &both, None, &both, &["/data/host"])]);
    let mut engine = Engine::default();
    for n in 0..4 {
        let event = json!({ "type": format!("disk.{n}"), "data": { "host": "h" } });
        assert!(engine.take(&inhibitions, &event, minute(n)).is_empty(), "{n}");
        assert!(engine.take(&inhibitions, &event, minute(n)).is_empty(), "{n} again");
    }
    // One chain: critical mutes high and low, high mutes low, and high is a target of critical all the same.
    let severity = |list: &[&str]| json!({ "severity": list });
    let chain = inhibition(0, &severity(&["critical", "high"]), None, &severity(&["high", "low"]), &[]);
    let (inhibitions, _) = Inhibitions::compile(vec![chain]);
    let check = |before: &str, after: &str, muted: bool| {
        let mut engine = Engine::default();
        engine.take(&inhibitions, &json!({ "severity": before }), minute(0));
        let found = engine.take(&inhibitions, &json!({ "severity": after }), minute(1));
        assert_eq!(!found.is_empty(), muted, "{before} {after}");
    };
    check("critical", "high", true);
    check("critical", "low", true);
    check("high", "low", true);
    check("high", "high", false);
    check("low", "high", false);
    check("critical", "critical", false);
}

/// alertmanager#2229, #4064: after a start, targets were told before their source was known again. Here states are kept
/// under keys that a new start finds again.
#[test]
fn alertmanager_4064_a_restart_does_not_forget_what_fires() {
    let document = || {
        let (source, target) = (json!({ "type": ["node.down"] }), json!({ "type": ["service.down"] }));
        inhibition(0, &source, Some(&json!({ "type": ["node.up"] })), &target, &["/data/host"])
    };
    let event = |kind: &str| json!({ "type": kind, "data": { "host": "h" } });
    let mut engine = Engine::default();
    let (before, _) = Inhibitions::compile(vec![document()]);
    engine.take(&before, &event("node.down"), minute(0));
    // A later version that tells the same story in other words is still the same inhibition.
    let mut renamed = document();
    (renamed.version, renamed.document.name) = (2, "Nodes and what runs there".to_owned());
    for documents in [document(), renamed] {
        let (after, _) = Inhibitions::compile(vec![documents]);
        let mut engine = engine.clone();
        assert_eq!(engine.take(&after, &event("service.down"), minute(1)), ["i0"]);
        assert!(engine.take(&after, &event("service.down"), minute(10)).is_empty(), "it lasts ten minutes");
        engine.take(&after, &event("node.down"), minute(11));
        assert_eq!(engine.take(&after, &event("service.down"), minute(12)), ["i0"]);
        assert!(engine.take(&after, &event("node.up"), minute(13)).is_empty());
        assert!(engine.take(&after, &event("service.down"), minute(14)).is_empty());
    }
    // Another source is another inhibition: what the old one saw does not mute.
    let other = inhibition(
        0,
        &json!({ "type": ["rack.down"] }),
        None,
        &json!({ "type": ["service.down"] }),
        &["/data/host"],
    );
    let (other, _) = Inhibitions::compile(vec![other]);
    assert!(engine.clone().take(&other, &event("service.down"), minute(1)).is_empty());
    // Switched off, it does nothing.
    let mut off = document();
    off.document.enabled = false;
    let (off, _) = Inhibitions::compile(vec![off]);
    assert!(off.is_empty() && engine.take(&off, &event("service.down"), minute(1)).is_empty());
}

/// alertmanager#4303, #3457: silences that were expired or replaced went on muting on some replicas. Here what is muted
/// is a function of the current versions and the logical time, with nothing beside it.
#[test]
fn alertmanager_3457_no_ghost_of_an_earlier_version_mutes() {
    let base = json!({
        "schema": "notify-silence@1", "id": "s", "reason": "r", "match": { "type": ["t1"] },
        "from": minute(0).to_string(), "until": minute(60).to_string(),
    });
    assert_eq!(covered(&silences(std::slice::from_ref(&base)), minute(30)), Some("s".to_owned()));
    let mut expired = base.clone();
    expired["until"] = minute(20).to_string().into();
    assert_eq!(covered(&silences(&[expired]), minute(30)), None);
    let mut other = base;
    other["match"] = json!({ "type": ["t2"] });
    assert_eq!(covered(&silences(&[other]), minute(30)), None);
    assert_eq!(covered(&silences(&[]), minute(30)), None);
}

#[test]
fn a_silence_covers_its_start_and_not_its_end() {
    let at = |from: &str, until: &str| {
        json!({
            "schema": "notify-silence@1", "id": "s", "reason": "r", "match": { "type": ["t1"] },
            "from": from, "until": until,
        })
    };
    let check = |silence: Value, at: &str, expected: bool| {
        let found = covered(&silences(std::slice::from_ref(&silence)), at.parse().unwrap());
        assert_eq!(found.is_some(), expected, "{silence} {at}");
    };
    let one = || at("2026-11-22T06:00:00Z", "2026-11-22T08:00:00+01:00");
    check(one(), "2026-11-22T05:59:59.999Z", false);
    check(one(), "2026-11-22T06:00:00Z", true);
    check(one(), "2026-11-22T06:59:59.999Z", true);
    check(one(), "2026-11-22T07:00:00Z", false);
    let never = || at("2026-11-22T06:00:00Z", "2026-11-22T06:00:00Z");
    check(never(), "2026-11-22T06:00:00Z", false);
    // Times are cut to milliseconds when they are read, as logical times are.
    let fine = || at("2026-11-22T06:00:00.0009Z", "2026-11-22T06:00:00.0019Z");
    check(fine(), "2026-11-22T06:00:00Z", true);
    check(fine(), "2026-11-22T06:00:00.001Z", false);
    let leap = at("2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z");
    check(leap, "2028-02-29T23:59:59.999Z", true);
}

/// A window of a calendar ends before the silence does, or after it; a calendar that is gone mutes nothing.
#[test]
fn a_recurring_silence_lasts_no_longer_than_its_window() {
    let check = |calendar: &str, until: Option<i64>, at: i64, expected: Option<Option<i64>>| {
        let mut value = json!({
            "schema": "notify-silence@1", "id": "s", "reason": "r", "rules": ["r"], "calendar": calendar,
        });
        if let Some(until) = until {
            value["until"] = minute(until).to_string().into();
        }
        let silences = silences(&[value]);
        let (rule, channel) = (RuleId::new("r").unwrap(), ChannelId::new("c").unwrap());
        let event = json!({});
        let hit = silences.covering(&event, &rule, &channel, minute(at), &calendars);
        assert!(hit.as_ref().is_none_or(|hit| hit.control() == "maintenance" && hit.version == 3));
        assert_eq!(
            hit.map(|hit| hit.until),
            expected.map(|until| until.map(minute)),
            "{calendar} {until:?} {at}"
        );
    };
    check("c2", None, 0, Some(Some(2)));
    check("c2", Some(1), 0, Some(Some(1)));
    check("c2", Some(1), 1, None);
    check("c2", None, 2, None);
    check("c2", None, 3, Some(Some(5)));
    check("c3", None, 3, Some(None));
    check("c3", Some(9), 3, Some(Some(9)));
    check("gone", None, 3, None);
}

#[test]
fn times_that_make_no_sense_are_refused() {
    let silence = |from: &str, until: &str| {
        let value = json!({
            "schema": "notify-silence@1", "id": "s", "reason": "r", "rules": ["r"], "from": from, "until": until,
        });
        parse_silence(&value).err().map(|problem| problem.path)
    };
    assert_eq!(silence("2026-11-22T06:00:00Z", "2026-11-22T06:00:01Z"), None);
    assert_eq!(silence("2026-11-22T06:00:00Z", "2026-11-22T05:59:59Z"), Some("/until".to_owned()));
    let over = |until: &str| {
        let value = json!({
            "schema": "notify-override@1", "id": "o", "reason": "r", "controls": ["storm"],
            "from": "2026-11-01T00:00:00Z", "until": until,
        });
        parse_override(&value).err().map(|problem| problem.path)
    };
    assert_eq!(over("2026-12-01T00:00:00Z"), None);
    assert_eq!(over("2026-12-01T00:00:00.001Z"), Some("/until".to_owned()));
}

#[test]
fn what_lies_within_a_scope() {
    let document = |value: Value| -> Version<Silence> {
        let mut base = json!({ "schema": "notify-silence@1", "id": "s", "reason": "r" });
        base.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
        version(Kind::Silence, &base, 1)
    };
    let check = |a: Value, b: Value, expected: bool| {
        let (mine, theirs) = (document(a.clone()), document(b.clone()));
        assert_eq!(mine.document.scope().is_within(&theirs.document.scope()), expected, "{a} {b}");
    };
    let base = || json!({ "match": { "type": ["t"] }, "rules": ["a", "b"], "until": minute(9).to_string() });
    let with = |name: &str, value: Value| {
        let mut edited = base();
        edited[name] = value;
        edited
    };
    check(base(), base(), true);
    check(with("until", minute(8).to_string().into()), base(), true);
    check(with("until", minute(10).to_string().into()), base(), false);
    check(with("rules", json!(["b"])), base(), true);
    check(with("rules", json!(["b", "c"])), base(), false);
    check(with("channels", json!(["c"])), base(), true);
    check(base(), with("channels", json!(["c"])), false);
    check(with("match", json!({ "type": ["u"] })), base(), false);
    check(with("from", minute(1).to_string().into()), base(), true);
    check(base(), with("from", minute(1).to_string().into()), false);
    check(json!({ "rules": ["a"], "until": minute(9).to_string() }), base(), false);
}

#[test]
fn what_stands_in_lists() {
    let check = |silence: Value, at: i64, state: &str, sentence: &str| {
        let mut base = json!({ "schema": "notify-silence@1", "id": "s", "reason": "r" });
        base.as_object_mut().unwrap().extend(silence.as_object().unwrap().clone());
        let version: Version<Silence> = version(Kind::Silence, &base, 1);
        let scope = version.document.scope();
        assert_eq!(
            (scope.standing(minute(at)).as_str(), scope.sentence().as_str()),
            (state, sentence),
            "{silence}"
        );
    };
    let once = || json!({ "rules": ["a"], "from": minute(1).to_string(), "until": minute(2).to_string() });
    check(once(), 0, "upcoming", "alerts of the rule a");
    check(once(), 1, "active", "alerts of the rule a");
    check(once(), 2, "expired", "alerts of the rule a");
    let recurring = json!({ "match": { "type": ["t"] }, "channels": ["c", "d"], "calendar": "nights" });
    check(
        recurring,
        0,
        "active",
        r#"alerts of all rules to the channels c, d for events that match {"type":["t"]}"#,
    );
    let ended_before =
        json!({ "rules": ["a", "b"], "from": minute(5).to_string(), "until": minute(5).to_string() });
    check(ended_before, 0, "expired", "alerts of the rules a, b");
}
