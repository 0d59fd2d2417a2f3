//! What this engine got wrong before it was held against the model.

use super::peers::{Step, alert, check, one, plain, with_nights};
use serde_json::json;

#[test]
fn a_sliding_digest_that_waited_for_the_morning_is_not_put_off_for_ever() {
    let tenant = with_nights(
        one(json!({"quietHours": "respect", "digest": {"mode": "sliding", "window": "10m", "cap": "1h"}})),
        json!({}),
    );
    // Quiet hours begin while it is open, and a critical alert passes them into it.
    let bypass = with_nights(tenant, json!({"bypass": {"severity": "high"}}));
    let of = |severity: &str| json!({"severity": severity});
    let steps = [
        alert("2026-06-08T19:55:00Z", of("low")),
        plain("2026-06-08T20:30:00Z"),
        alert("2026-06-08T21:00:00Z", of("critical")),
        alert("2026-06-08T21:05:00Z", of("critical")),
    ];
    check(
        &bypass,
        &steps,
        "2026-06-09T10:00:00Z",
        &[
            "digested digest 2026-06-08T20:05:00.000Z",
            "held quiet-hours 2026-06-09T04:00:00.000Z",
            "digested digest 2026-06-08T21:10:00.000Z",
            "digested digest 2026-06-08T21:10:00.000Z",
            "2026-06-08T20:05:00.000Z: hold quiet-hours of 1",
            "2026-06-08T21:10:00.000Z: send none of 3",
            "2026-06-09T04:00:00.000Z: send none of 1",
        ],
    );
    let changed = one(json!({"digest": {"mode": "sliding", "window": "10m", "cap": "1h"}}));
    let steps = [
        plain("2026-06-09T09:00:00Z"),
        ("2026-06-09T09:01:00Z", Step::Change(changed)),
        plain("2026-06-09T09:04:00Z"),
    ];
    let closes = "digested digest 2026-06-09T09:05:00.000Z";
    let sent = "2026-06-09T09:05:00.000Z: send none of 2";
    check(&one(json!({"digest": {"window": "5m"}})), &steps, "2026-06-09T10:00:00Z", &[closes, closes, sent]);
}

#[test]
fn a_digest_goes_to_the_channel_that_its_alerts_were_decided_for() {
    let mut moved = one(json!({"digest": {"window": "5m"}}));
    moved.rules[0]["actions"][0]["channel"] = "team".into();
    moved.channels[0]["enabled"] = false.into();
    let steps = [
        plain("2026-06-09T09:00:00Z"),
        ("2026-06-09T09:01:00Z", Step::Change(moved)),
        plain("2026-06-09T09:02:00Z"),
    ];
    check(
        &one(json!({"digest": {"window": "5m"}})),
        &steps,
        "2026-06-09T10:00:00Z",
        &[
            "digested digest 2026-06-09T09:05:00.000Z",
            "digested digest 2026-06-09T09:07:00.000Z",
            "2026-06-09T09:05:00.000Z: cancel channel-disabled of 1",
            "2026-06-09T09:07:00.000Z: send none of 1",
        ],
    );
}

#[test]
fn a_period_that_was_full_is_followed_by_another_one() {
    let digest = json!({"digest": {"mode": "schedule", "schedule": "mornings", "empty": "send", "max": 2}});
    let steps: Vec<_> = (0..5).map(|_| plain("2026-06-09T09:00:00Z")).collect();
    let (later, now) =
        ("digested digest 2026-06-10T06:00:00.000Z", "digested digest 2026-06-09T09:00:00.000Z");
    let full = "2026-06-09T09:00:00.000Z: send none of 2";
    let rest = "2026-06-10T06:00:00.000Z: send none of 1";
    check(&one(digest), &steps, "2026-06-10T10:00:00Z", &[later, now, later, now, later, full, full, rest]);
}

#[test]
fn a_storms_summary_outlives_the_rule_that_opened_it() {
    let mut tenant = one(json!({}));
    tenant.policies =
        vec![json!({"id": "noise", "storm": {"alerts": 1, "per": "1m", "ends": 1, "digestEvery": "5m"}})];
    tenant.rules[0]["storm"] = "on".into();
    let mut second = tenant.rules[0].clone();
    second["id"] = "s".into();
    tenant.rules.push(second);
    let mut off = tenant.clone();
    off.rules[0]["enabled"] = false.into();
    let at = "2026-06-09T09:00:00Z";
    let steps = [plain(at), plain(at), ("2026-06-09T09:00:10Z", Step::Change(off))];
    let storm = "digested storm 2026-06-09T09:01:00.000Z";
    // The second alert of the first event already is one too many.
    let sent = "2026-06-09T09:01:00.000Z: send none of 3";
    check(&tenant, &steps, "2026-06-09T10:00:00Z", &["send none", storm, storm, storm, sent]);
}

#[test]
fn low_alerts_after_a_critical_one_that_went_out_at_once_do_not_pass_quiet_hours() {
    let tenant = with_nights(
        one(json!({"digest": {"window": "10m", "leading": true}})),
        json!({"bypass": {"severity": "critical"}}),
    );
    let steps = [
        alert("2026-06-08T19:55:00Z", json!({"severity": "critical"})),
        alert("2026-06-08T19:56:00Z", json!({"severity": "low"})),
    ];
    check(
        &tenant,
        &steps,
        "2026-06-09T10:00:00Z",
        &[
            "send none",
            "digested digest 2026-06-08T20:05:00.000Z",
            "2026-06-08T20:05:00.000Z: hold quiet-hours of 1",
            "2026-06-09T04:00:00.000Z: send none of 1",
        ],
    );
}

#[test]
fn a_key_that_is_changed_begins_anew() {
    let of = |key: &str| one(json!({"dedupe": {"key": [key], "window": "1h"}}));
    let steps = [
        alert("2026-06-09T09:00:00Z", json!({"data": {"a": 1}})),
        ("2026-06-09T09:01:00Z", Step::Change(of("/data/b"))),
        alert("2026-06-09T09:02:00Z", json!({"data": {"b": 1}})),
    ];
    check(&of("/data/a"), &steps, "2026-06-09T10:00:00Z", &["send none", "send none"]);
}

#[test]
fn a_repeat_that_an_override_lets_pass_does_not_stretch_the_window() {
    let mut tenant = one(json!({"dedupe": {"key": ["/type"], "window": "1h"}}));
    tenant.overrides =
        vec![json!({"id": "o", "reason": "watched", "controls": ["dedupe"], "channels": ["ops"],
        "from": "2026-06-09T09:20:00Z", "until": "2026-06-09T09:40:00Z"})];
    let steps = [
        plain("2026-06-09T09:00:00Z"),
        plain("2026-06-09T09:30:00Z"),
        plain("2026-06-09T09:59:00Z"),
        plain("2026-06-09T10:00:00Z"),
    ];
    let repeat = "suppressed dedupe 2026-06-09T10:00:00.000Z";
    check(&tenant, &steps, "2026-06-09T11:00:00Z", &["send none", "send none", repeat, "send none"]);
}
