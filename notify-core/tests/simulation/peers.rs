//! What peers got wrong, by their threads; the edges of windows; clocks that change; and what this engine got wrong
//! before it was held against the model.
//!
//! Every case is played twice, the second time with a restart before each step.

use super::site::Site;
use super::world::Tenant;
use jiff::Timestamp;
use notify_core::document::parse_rule;
use notify_core::event::{Event, EventLimits};
use notify_core::time::rfc3339_millis;
use serde_json::{Value, json};

/// An event with these members, or other documents from now on.
enum Step {
    Event(Value),
    Change(Tenant),
}

type At = (&'static str, Step);

fn alert(at: &'static str, value: Value) -> At {
    (at, Step::Event(value))
}

/// An alert of which nothing matters.
fn plain(at: &'static str) -> At {
    alert(at, json!({}))
}

fn play_once(tenant: &Tenant, steps: &[At], end: &str, restarts: bool) -> Vec<String> {
    let start: Timestamp = steps[0].0.parse().unwrap();
    let mut site = Site::new(tenant.snapshot(), 1, start);
    let mut told = Vec::new();
    for (number, (at, step)) in steps.iter().enumerate() {
        if restarts {
            site.restart();
        }
        let at: Timestamp = at.parse().unwrap();
        match step {
            Step::Change(tenant) => site.configure(tenant.snapshot(), at),
            Step::Event(value) => {
                let mut event = json!({"specversion": "1.0", "id": number.to_string(), "source": "/peers", "type": "scan"});
                event.as_object_mut().unwrap().extend(value.as_object().unwrap().clone());
                let event =
                    Event::from_value(&super::world::tenant(), event, &EventLimits::default()).unwrap();
                for decision in site.accept(event, at).decisions {
                    let said = |name: &str| {
                        decision.parameters.get(name).and_then(Value::as_str).unwrap_or_default()
                    };
                    let verdict = &decision.verdict;
                    let until = [said("until"), said("closesAt")].concat();
                    told.push(
                        format!("{} {} {until}", verdict.outcome(), verdict.control()).trim_end().to_owned(),
                    );
                }
            }
        }
    }
    site.until(end.parse().unwrap());
    site.assert_nothing_is_lost();
    told.extend(site.happened.iter().map(|happened| {
        let at = rfc3339_millis(Timestamp::from_microsecond(happened.at).unwrap());
        format!("{at}: {} {} of {}", happened.outcome, happened.control, happened.alerts.len())
    }));
    told
}

/// What is decided, and then what timers bring until `end`.
fn check(tenant: &Tenant, steps: &[At], end: &str, expected: &[&str]) {
    let told = play_once(tenant, steps, end, false);
    assert_eq!(told, expected);
    assert_eq!(play_once(tenant, steps, end, true), told, "with restarts");
}

fn action(controls: Value) -> Value {
    let mut action = json!({"id": "a", "channel": "ops", "dedupe": "off", "throttle": "off"});
    action.as_object_mut().unwrap().extend(controls.as_object().unwrap().clone());
    action
}

/// One rule of all events, with these actions, and a second channel.
fn with(actions: &[Value]) -> Tenant {
    Tenant {
        rules: vec![json!({"id": "r", "match": {"source": ["/peers"]}, "storm": "off", "actions": actions})],
        channels: vec![json!({"id": "ops"}), json!({"id": "team"})],
        calendars: vec![
            json!({"id": "nights", "timeZone": "Europe/Berlin", "windows": [{"times": ["22:00-06:00"]}]}),
            json!({"id": "mornings", "timeZone": "Europe/Berlin", "windows": [{"times": ["08:00-09:00"]}]}),
        ],
        ..Tenant::default()
    }
}

fn one(controls: Value) -> Tenant {
    with(&[action(controls)])
}

fn with_nights(mut tenant: Tenant, hours: Value) -> Tenant {
    let mut nights = json!({"calendar": "nights"});
    nights.as_object_mut().unwrap().extend(hours.as_object().unwrap().clone());
    tenant.channels[0]["quietHours"] = json!([nights]);
    tenant
}

/// novu#2569, #1633, #4957: events that arrive together made several digests, or were left out of the one.
#[test]
fn novu_2569_arrivals_at_the_same_time_make_one_digest_with_all_of_them() {
    let tenant = one(json!({"digest": {"window": "5m"}}));
    let steps: Vec<_> = (0..40).map(|_| plain("2026-06-09T09:00:00Z")).collect();
    let mut expected = vec!["digested digest 2026-06-09T09:05:00.000Z"; 40];
    expected.push("2026-06-09T09:05:00.000Z: send none of 40");
    check(&tenant, &steps, "2026-06-09T10:00:00Z", &expected);
}

/// novu#3893, #2699: digests with a key, two digests of one workflow, and digests without a key took each other's events.
#[test]
fn novu_3893_each_action_and_key_has_its_own_digest() {
    let mut second = action(json!({"digest": {"window": "10m"}}));
    second["id"] = "b".into();
    let tenant = with(&[action(json!({"digest": {"key": ["/subject"], "window": "5m"}})), second]);
    let at = "2026-06-09T09:00:00Z";
    let steps = [
        alert(at, json!({"subject": "x"})),
        alert(at, json!({"subject": "y"})),
        alert(at, json!({"subject": "x"})),
        // None is not the empty text, nor the word.
        plain(at),
        alert(at, json!({"subject": "null"})),
    ];
    let mut expected: Vec<_> =
        ["digested digest 2026-06-09T09:05:00.000Z", "digested digest 2026-06-09T09:10:00.000Z"].repeat(5);
    let mut told = play_once(&tenant, &steps, "2026-06-09T10:00:00Z", true);
    // Of windows with the same end the order is that of their keys.
    told[10..].sort();
    expected.extend(["2026-06-09T09:05:00.000Z: send none of 1"; 3]);
    expected.extend(["2026-06-09T09:05:00.000Z: send none of 2", "2026-06-09T09:10:00.000Z: send none of 5"]);
    assert_eq!(told, expected);
}

/// A window ends before its end: what comes with it is the first of the next.
#[test]
fn edges_of_windows() {
    let (first, before, end) = ("2026-06-09T09:00:00Z", "2026-06-09T09:04:59.999Z", "2026-06-09T09:05:00Z");
    let three = [plain(first), plain(before), plain(end)];
    let over = "2026-06-09T10:00:00Z";
    for (controls, expected) in [
        (
            json!({"dedupe": {"key": ["/type"], "window": "5m"}}),
            &["send none", "suppressed dedupe 2026-06-09T09:05:00.000Z", "send none"][..],
        ),
        (
            json!({"throttle": {"limit": 1, "per": "5m", "overflow": "drop"}}),
            &["send none", "suppressed throttle", "send none"],
        ),
        (
            json!({"digest": {"window": "5m"}}),
            &[
                "digested digest 2026-06-09T09:05:00.000Z",
                "digested digest 2026-06-09T09:05:00.000Z",
                "digested digest 2026-06-09T09:10:00.000Z",
                "2026-06-09T09:05:00.000Z: send none of 2",
                "2026-06-09T09:10:00.000Z: send none of 1",
            ],
        ),
        (
            json!({"digest": {"window": "5m", "leading": true}}),
            &[
                "send none",
                "digested digest 2026-06-09T09:05:00.000Z",
                "send none",
                "2026-06-09T09:05:00.000Z: send none of 1",
            ],
        ),
        (
            json!({"digest": {"window": "5m", "mode": "sliding", "cap": "6m"}}),
            &[
                "digested digest 2026-06-09T09:05:00.000Z",
                "digested digest 2026-06-09T09:06:00.000Z",
                "digested digest 2026-06-09T09:06:00.000Z",
                "2026-06-09T09:06:00.000Z: send none of 3",
            ],
        ),
        (
            json!({"digest": {"window": "5m", "max": 2}}),
            &[
                "digested digest 2026-06-09T09:05:00.000Z",
                "digested digest 2026-06-09T09:04:59.999Z",
                "digested digest 2026-06-09T09:10:00.000Z",
                "2026-06-09T09:04:59.999Z: send none of 2",
                "2026-06-09T09:10:00.000Z: send none of 1",
            ],
        ),
        (
            json!({"digest": {"window": "1m", "mode": "look-back", "lookBack": "5m"}}),
            // The last came within 5 minutes of the one before it.
            &[
                "send none",
                "digested digest 2026-06-09T09:05:59.999Z",
                "digested digest 2026-06-09T09:05:59.999Z",
                "2026-06-09T09:05:59.999Z: send none of 2",
            ],
        ),
    ] {
        check(&one(controls), &three, over, expected);
    }
    let look_back = one(json!({"digest": {"window": "1m", "mode": "look-back", "lookBack": "5m"}}));
    check(&look_back, &[plain(first), plain(end)], over, &["send none", "send none"]);
    let mut silenced = one(json!({}));
    silenced.silences =
        vec![json!({"id": "s", "reason": "edge", "channels": ["ops"], "from": first, "until": end})];
    let silence = "suppressed silence 2026-06-09T09:05:00.000Z";
    check(&silenced, &three, over, &[silence, silence, "send none"]);
    silenced.overrides = vec![
        json!({"id": "o", "reason": "edge", "controls": ["silence"], "channels": ["ops"], "from": first, "until": before}),
    ];
    check(&silenced, &three, over, &["send none", silence, "send none"]);
}

/// Alertmanager asks for `repeat_interval` only at ticks of `group_interval`, so that it rounds up.
#[test]
fn alertmanager_repeats_come_when_the_window_is_over_and_not_at_a_tick() {
    let tenant = one(json!({"dedupe": {"key": ["/type"], "window": "4h"}}));
    let until = "suppressed dedupe 2026-06-09T13:00:03.000Z";
    let steps = [
        plain("2026-06-09T09:00:03Z"),
        plain("2026-06-09T09:05:03Z"),
        plain("2026-06-09T13:00:02.999Z"),
        plain("2026-06-09T13:00:03Z"),
        plain("2026-06-09T13:05:03Z"),
    ];
    let again = "suppressed dedupe 2026-06-09T17:00:03.000Z";
    check(&tenant, &steps, "2026-06-09T20:00:00Z", &["send none", until, until, "send none", again]);
}

fn inhibiting() -> Tenant {
    let mut tenant = one(json!({}));
    tenant.rules[0]["match"]["type"] = json!(["service.down", "host.up"]);
    tenant.inhibitions = vec![json!({
        "id": "host", "source": {"match": {"type": ["host.down"]}, "resolve": {"type": ["host.up"]}},
        "target": {"match": {"source": ["/peers"]}}, "equal": ["/subject"], "for": "1h",
    })];
    tenant
}

/// alertmanager#4064, #2229: after a start alerts went out before the sources that mute them were known again.
#[test]
fn alertmanager_4064_what_is_inhibited_stays_so_after_a_start() {
    let of = |kind: &str, subject: &str| json!({"type": kind, "subject": subject});
    let steps = [
        alert("2026-06-09T09:00:00Z", of("host.down", "x")),
        alert("2026-06-09T09:00:00Z", of("service.down", "x")),
        alert("2026-06-09T09:00:00Z", of("service.down", "y")),
        alert("2026-06-09T09:59:59.999Z", of("service.down", "x")),
        alert("2026-06-09T10:00:00Z", of("service.down", "x")),
        // Without a subject nothing is equal.
        alert("2026-06-09T10:00:00Z", json!({"type": "host.down"})),
        alert("2026-06-09T10:00:00Z", json!({"type": "service.down"})),
    ];
    let until = "suppressed inhibition 2026-06-09T10:00:00.000Z";
    check(
        &inhibiting(),
        &steps,
        "2026-06-09T11:00:00Z",
        &[until, "send none", until, "send none", "send none"],
    );
}

#[test]
fn the_end_of_a_source_is_not_muted_by_it() {
    let of = |kind: &str| json!({"type": kind, "subject": "x"});
    let steps = [
        alert("2026-06-09T09:00:00Z", of("host.down")),
        alert("2026-06-09T09:01:00Z", of("host.up")),
        alert("2026-06-09T09:02:00Z", of("service.down")),
    ];
    check(&inhibiting(), &steps, "2026-06-09T11:00:00Z", &["send none", "send none"]);
}

/// grafana#50266, oncall#174: what fired while it was quiet was not told when it was over.
#[test]
fn grafana_50266_what_waited_comes_when_quiet_hours_end() {
    let steps = || {
        vec![
            plain("2026-06-08T19:59:59.999Z"),
            plain("2026-06-08T20:00:00Z"),
            plain("2026-06-09T03:59:59.999Z"),
            plain("2026-06-09T04:00:00Z"),
        ]
    };
    let held = "held quiet-hours 2026-06-09T04:00:00.000Z";
    let sent = "2026-06-09T04:00:00.000Z: send none of 1";
    let end = "2026-06-09T10:00:00Z";
    check(
        &with_nights(one(json!({})), json!({})),
        &steps(),
        end,
        &["send none", held, held, "send none", sent, sent],
    );
    // The first by itself, the rest as one.
    let together = "digested quiet-hours 2026-06-09T04:00:00.000Z2026-06-09T04:00:00.000Z";
    check(
        &with_nights(one(json!({})), json!({"holdUpTo": 1})),
        &steps(),
        end,
        &["send none", held, together, "send none", sent, sent],
    );
    // Switched off meanwhile: said, not sent.
    let mut off = with_nights(one(json!({})), json!({}));
    let mut steps = steps();
    off.rules[0]["enabled"] = false.into();
    steps.push(("2026-06-09T03:59:59.999Z", Step::Change(off)));
    steps.swap(3, 4);
    let cancelled = "2026-06-09T04:00:00.000Z: cancel rule-disabled of 1";
    let tenant = with_nights(one(json!({})), json!({}));
    check(&tenant, &steps, end, &["send none", held, held, cancelled, cancelled]);
}

/// Knock skips a throttle whose window it cannot read, and sends everything.
#[test]
fn knock_a_limit_that_cannot_be_read_is_refused_and_a_calendar_that_is_gone_loses_nothing() {
    for bad in [
        json!({"limit": 1}),
        json!({"limit": 1, "per": "soon"}),
        json!({"per": "1h"}),
        json!({"limit": 0, "per": "1h"}),
    ] {
        let mut rule = one(json!({"throttle": bad.clone()})).rules.remove(0);
        (rule["schema"], rule["name"]) = ("notify-rule@1".into(), "r".into());
        assert!(parse_rule(&rule).is_err(), "{bad}");
    }
    let tenant = one(json!({"digest": {"mode": "schedule", "schedule": "gone"}}));
    let expected = ["digested digest 2026-06-10T09:00:00.000Z", "2026-06-10T09:00:00.000Z: send none of 1"];
    check(&tenant, &[plain("2026-06-09T09:00:00Z")], "2026-06-12T00:00:00Z", &expected);
}

/// Nights over midnight, with 7 and 9 hours, and around a leap day.
#[test]
fn held_over_changes_of_clocks_and_a_leap_day() {
    let tenant = with_nights(one(json!({})), json!({}));
    for (at, until) in [
        ("2026-03-28T21:00:00Z", "2026-03-29T04:00:00.000Z"),
        ("2026-03-29T00:30:00Z", "2026-03-29T04:00:00.000Z"),
        ("2026-10-24T20:00:00Z", "2026-10-25T05:00:00.000Z"),
        ("2026-10-25T01:30:00Z", "2026-10-25T05:00:00.000Z"),
        ("2028-02-28T22:30:00Z", "2028-02-29T05:00:00.000Z"),
        ("2028-02-29T22:30:00Z", "2028-03-01T05:00:00.000Z"),
        ("2027-02-28T22:30:00Z", "2027-03-01T05:00:00.000Z"),
        ("2026-12-31T23:30:00Z", "2027-01-01T05:00:00.000Z"),
    ] {
        let expected = [format!("held quiet-hours {until}"), format!("{until}: send none of 1")];
        let end = until.replace(":00:00", ":30:00");
        let expected: Vec<_> = expected.iter().map(String::as_str).collect();
        check(&tenant, &[plain(at)], &end, &expected);
    }
}

/// At eight in the morning is at eight in the morning, also after a night of another length.
#[test]
fn scheduled_over_changes_of_clocks_and_a_leap_day() {
    let tenant = one(json!({"digest": {"mode": "schedule", "schedule": "mornings", "empty": "send"}}));
    for (at, end, expected) in [
        ("2026-03-28T07:00:00Z", "2026-03-31T00:00:00Z", ["2026-03-29T06", "2026-03-30T06"]),
        ("2026-10-24T06:00:00Z", "2026-10-27T00:00:00Z", ["2026-10-25T07", "2026-10-26T07"]),
        ("2028-02-28T07:00:00Z", "2028-03-01T00:00:00Z", ["2028-02-29T07", "2028-03-01T07"]),
        ("2027-02-28T07:00:00Z", "2027-03-03T00:00:00Z", ["2027-03-01T07", "2027-03-02T07"]),
    ] {
        let [first, next] = expected;
        // An event at the very time of one period is the first of the next.
        let mut told = vec![
            format!("digested digest {first}:00:00.000Z"),
            format!("{first}:00:00.000Z: send none of 1"),
        ];
        if end > next {
            told.push(format!("{next}:00:00.000Z: send none of 0"));
        }
        let told: Vec<_> = told.iter().map(String::as_str).collect();
        check(&tenant, &[plain(at)], end, &told);
    }
}

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
