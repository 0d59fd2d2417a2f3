//! Every outcome and control as a story; any JSON at all; one end for each action.

mod any;

use super::*;
use crate::time::Timestamp;
use any::{arbitrary_json, pointers};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const HOURS: &str = "2026-11-23T06:00:00.000Z";

fn second(second: u64) -> String {
    rfc3339_millis(Timestamp::from_second(1_795_327_200 + i64::try_from(second).unwrap()).unwrap())
}

fn id(prefix: &str, name: &str) -> String {
    let derived = crate::ids::DeliveryId::derive([prefix, name]);
    derived.as_str().replace("dlv_", prefix)
}

fn entry(seq: u64, kind: &str, mut predicate: Value) -> (u64, Value) {
    predicate["log"] = "studio.example/tenant/demo-1".into();
    predicate["seq"] = seq.into();
    predicate["at"] = second(seq).into();
    predicate["kind"] = kind.into();
    (seq, json!({"_type": "https://in-toto.io/Statement/v1", "predicate": predicate}))
}

fn intent(name: &str) -> Value {
    json!({"delivery": id("dlv_", name), "channel": "sec-chat", "target": "sha256:00", "message": "sha256:00", "idempotencyKey": "k"})
}

fn decision(outcome: &str, control: &str, parameters: Value) -> Value {
    json!({"rule": "critical-findings", "ruleDigest": "sha256:11", "action": "chat", "outcome": outcome, "control": control,
           "parameters": parameters, "logicalTime": second(0), "tzdb": "2026b", "alsoApplied": []})
}

fn with(mut value: Value, name: &str, member: Value) -> Value {
    value[name] = member;
    value
}

fn sends(name: &str) -> Value {
    with(decision("send", "none", json!({})), "intent", intent(name))
}

fn held() -> Value {
    decision(
        "held",
        "quiet-hours",
        json!({"calendar": "nights", "of": "policy", "until": HOURS, "held": id("hld_", "h"), "message": "sha256:00"}),
    )
}

fn digested(control: &str, more: Value) -> Value {
    let mut parameters = json!({"digest": id("dig_", "d"), "mode": "tumbling", "closesAt": second(900)});
    parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    decision("digested", control, parameters)
}

fn event(decisions: &[Value]) -> (u64, Value) {
    entry(4, "event", json!({"event": "sha256:22", "unmatched": 7, "decisions": decisions}))
}

fn attempt(seq: u64, name: &str, number: u64, result: &str, follows: Value) -> (u64, Value) {
    entry(
        seq,
        "attempt",
        json!({"delivery": id("dlv_", name), "attempt": number, "result": result, "message": "sha256:00", "follows": follows}),
    )
}

fn released(seq: u64, what: &str, outcome: &str, control: &str, parameters: Value) -> (u64, Value) {
    let (field, id) = match what {
        "held" => ("held", id("hld_", "h")),
        "digest" => ("digest", id("dig_", "d")),
        _ => ("delivery", id("dlv_", "a")),
    };
    let mut release = json!({"release": what, "rule": "critical-findings", "ruleDigest": "sha256:11", "action": "chat",
        "outcome": outcome, "control": control, "parameters": parameters, "logicalTime": second(seq), "tzdb": "2026b"});
    release[field] = id.into();
    if outcome == "send" {
        release["intent"] = intent("a");
    }
    entry(seq, "release", release)
}

fn flushed(seq: u64, closed: &str) -> (u64, Value) {
    entry(
        seq,
        "digest",
        json!({"digest": id("dig_", "d"), "rule": "critical-findings", "ruleDigest": "sha256:11", "action": "chat",
        "control": "throttle", "entries": [4, 9, 12], "trueCount": 12, "retainedCount": 10, "closed": closed,
        "parameters": {}, "logicalTime": second(seq), "tzdb": "2026b", "intent": intent("a")}),
    )
}

fn evidence(entries: Vec<(u64, Value)>) -> Evidence {
    Evidence {
        event: EventFacts {
            key: id("evt_", "e"),
            id: "finding-17".into(),
            source: "/scanner/eu-1".into(),
            r#type: "scanner.report.ready".into(),
            subject: Some("payment-api".into()),
            accepted_at: Timestamp::from_second(1_795_327_200).unwrap(),
            planned: !entries.is_empty(),
        },
        entries,
        unreadable: 0,
        complete: true,
        deliveries: vec![],
        held: vec![],
        digests: vec![],
    }
}

fn delivered() -> Value {
    json!({"outcome": "delivered"})
}

fn again(number: u64) -> Value {
    json!({"attempt": number, "dueAt": second(300)})
}

/// A case of the golden file.
fn cases() -> Vec<(&'static str, Evidence)> {
    let one = |decision: Value| evidence(vec![event(&[decision])]);
    let then = |decision: Value, more: Vec<(u64, Value)>| evidence([vec![event(&[decision])], more].concat());
    let dedupe = json!({"keyOf": ["/data/image/repository", "/severity"], "window": "24h", "firstAt": second(0), "until": second(86_400), "repeats": 3});
    let mut cases = vec![
        ("pending", evidence(vec![])),
        ("no rule matched", evidence(vec![event(&[])])),
        ("sent", then(sends("a"), vec![attempt(5, "a", 1, "delivered", delivered())])),
        (
            "handed over",
            then(sends("a"), vec![attempt(5, "a", 1, "accepted", json!({"outcome": "accepted"}))]),
        ),
        ("planned, not tried yet", one(sends("a"))),
        (
            "an override let it pass",
            one(with(
                sends("a"),
                "parameters",
                json!({"bypassed": {"throttle": {"by": "override", "override": "deploy-night", "version": 3, "digest": "sha256:33"}}}),
            )),
        ),
        (
            "several let it pass",
            one(with(
                sends("a"),
                "parameters",
                json!({"bypassed": {"dedupe": {"by": "override", "override": "größe"}, "quiet-hours": {"by": "severity"}}}),
            )),
        ),
        (
            "an exception of the hours let it pass, as its action does",
            one(with(
                sends("a"),
                "parameters",
                json!({"bypassed": {"maintenance": {"by": "rule"}, "quiet-hours": {"by": "action"}}}),
            )),
        ),
        (
            "an override of an earlier version of the program",
            one(with(sends("a"), "parameters", json!({"bypassed": {"throttle": "deploy-night"}}))),
        ),
        (
            "an override let it pass one, and another one stopped it",
            one(decision(
                "suppressed",
                "silence",
                json!({"silence": "deploy", "version": 2, "ruleVersion": 7, "until": HOURS, "bypassed": {"dedupe": {"by": "override", "override": "night"}}}),
            )),
        ),
        (
            "the template failed",
            one(with(
                decision("render-failed", "none", json!({"code": "render-failed", "path": "/message/title"})),
                "intent",
                intent("a"),
            )),
        ),
        (
            "dedupe",
            one(with(
                decision("suppressed", "dedupe", dedupe),
                "alsoApplied",
                json!(["throttle", "quiet-hours", "budget"]),
            )),
        ),
        (
            "silence",
            one(decision(
                "suppressed",
                "silence",
                json!({"silence": "deploy", "version": 2, "until": HOURS}),
            )),
        ),
        (
            "silence without end",
            one(decision("suppressed", "silence", json!({"silence": "weekly", "version": 1}))),
        ),
        (
            "maintenance",
            one(decision(
                "suppressed",
                "maintenance",
                json!({"calendar": "patch-days", "of": "channel/sec-chat", "mode": "drop", "until": HOURS}),
            )),
        ),
        (
            "maintenance by a recurring silence",
            one(decision(
                "suppressed",
                "maintenance",
                json!({"silence": "weekly", "version": 3, "calendar": "patch-days", "until": HOURS}),
            )),
        ),
        (
            "inhibition",
            one(decision(
                "suppressed",
                "inhibition",
                json!({"inhibition": "node-down", "version": 4, "until": second(3_600)}),
            )),
        ),
        (
            "throttle",
            one(decision(
                "suppressed",
                "throttle",
                json!({"limit": 30, "per": "10m", "keyOf": ["/a", "/b", "/c", "/d", "/e", "/f", "/g"], "againAt": second(40), "overflow": "drop"}),
            )),
        ),
        (
            "quiet hours",
            one(decision(
                "suppressed",
                "quiet-hours",
                json!({"calendar": "nights", "mode": "drop", "of": "channel/sec-chat", "until": HOURS}),
            )),
        ),
        (
            "budget",
            one(decision("suppressed", "budget", json!({"limit": 100, "per": "1h", "of": "contact/anna"}))),
        ),
        ("storm", one(decision("suppressed", "storm", json!({})))),
        ("channel missing", one(decision("suppressed", "channel-missing", json!({})))),
        ("channel disabled", one(decision("suppressed", "channel-disabled", json!({})))),
        ("a control of a later version", one(decision("suppressed", "flapping", json!({})))),
        ("an outcome of a later version", one(decision("escalated", "none", json!({})))),
        ("held", one(held())),
        (
            "held, and later than it was said",
            Evidence {
                held: vec![CurrentHeld {
                    id: id("hld_", "h"),
                    release_at: "2026-11-23T07:00:00Z".parse().unwrap(),
                }],
                ..one(held())
            },
        ),
        (
            "held, then held again",
            then(
                held(),
                vec![released(
                    8,
                    "held",
                    "hold",
                    "quiet-hours",
                    json!({"calendar": "nights", "until": "2026-11-24T06:00:00.000Z"}),
                )],
            ),
        ),
        ("held, then on its way", then(held(), vec![released(8, "held", "send", "none", json!({}))])),
        (
            "held, then an override let it pass",
            then(
                held(),
                vec![released(
                    8,
                    "held",
                    "send",
                    "none",
                    json!({"bypassed": {"quiet-hours": {"by": "override", "override": "night", "version": 1}}}),
                )],
            ),
        ),
        (
            "held, then sent",
            then(
                held(),
                vec![
                    released(8, "held", "send", "none", json!({})),
                    attempt(9, "a", 1, "delivered", delivered()),
                ],
            ),
        ),
        (
            "held, then silenced",
            then(
                held(),
                vec![released(
                    8,
                    "held",
                    "cancel",
                    "silence",
                    json!({"silence": "deploy", "version": 2, "until": HOURS}),
                )],
            ),
        ),
        (
            "held, then its rule was disabled",
            then(held(), vec![released(8, "held", "cancel", "rule-disabled", json!({}))]),
        ),
    ];
    for (name, control, more) in [
        ("digest, open", "digest", json!({})),
        ("throttle overflow, open", "throttle", json!({"limit": 30, "per": "10m"})),
        ("quiet hours as digest, open", "quiet-hours", json!({"calendar": "nights", "of": "policy"})),
        ("storm, open", "storm", json!({"since": second(0), "alerts": 200, "per": "1m", "ends": 50})),
        ("budget overflow, open", "budget", json!({"limit": 100, "per": "1h", "of": "channel/sec-chat"})),
    ] {
        cases.push((name, one(digested(control, more))));
    }
    let throttled = || digested("throttle", json!({"limit": 30, "per": "10m"}));
    cases.extend([
        (
            "digest whose end moved",
            Evidence {
                digests: vec![CurrentDigest { id: id("dig_", "d"), closes_at: "2026-11-22T06:30:00Z".parse().unwrap() }],
                ..one(throttled())
            },
        ),
        ("digest on its way", then(throttled(), vec![flushed(20, "window")])),
        ("digest tried", then(throttled(), vec![flushed(20, "count"), attempt(21, "a", 1, "timeout", again(2))])),
        ("digest sent", then(throttled(), vec![flushed(20, "schedule"), attempt(21, "a", 1, "delivered", delivered())])),
        ("digest failed", then(throttled(), vec![flushed(20, "window"), attempt(21, "a", 1, "permanent", json!({"outcome": "dead"}))])),
        ("digest held", then(throttled(), vec![released(20, "digest", "hold", "quiet-hours", json!({"calendar": "nights", "until": HOURS}))])),
        ("digest cancelled", then(throttled(), vec![released(20, "digest", "cancel", "rule-disabled", json!({}))])),
        ("retried", then(sends("a"), vec![attempt(5, "a", 1, "timeout", again(2))])),
        (
            "retry held",
            then(sends("a"), vec![
                attempt(5, "a", 1, "timeout", again(2)),
                released(8, "retry", "hold", "quiet-hours", json!({"calendar": "nights", "until": HOURS})),
            ]),
        ),
        (
            "retry held, as the queue has it",
            Evidence {
                deliveries: vec![CurrentDelivery {
                    id: id("dlv_", "a"),
                    state: "scheduled".into(),
                    rule_version: 3,
                    next_attempt: 2,
                    due_at: Some(HOURS.parse().unwrap()),
                }],
                ..then(sends("a"), vec![
                    attempt(5, "a", 1, "timeout", again(2)),
                    released(8, "retry", "hold", "quiet-hours", json!({"calendar": "nights", "of": "contact/anna", "until": HOURS})),
                ])
            },
        ),
        (
            "retry of a digest held",
            then(throttled(), vec![
                flushed(20, "window"),
                attempt(21, "a", 1, "timeout", again(2)),
                released(22, "retry", "hold", "quiet-hours", json!({"calendar": "nights", "of": "policy", "until": HOURS})),
            ]),
        ),
        (
            "retry sent",
            then(sends("a"), vec![
                attempt(5, "a", 1, "timeout", again(2)),
                released(8, "retry", "send", "none", json!({})),
                attempt(9, "a", 2, "delivered", delivered()),
            ]),
        ),
        (
            "retry cancelled",
            then(sends("a"), vec![
                attempt(5, "a", 1, "timeout", again(2)),
                released(8, "retry", "cancel", "silence", json!({"silence": "deploy", "version": 2, "until": HOURS})),
            ]),
        ),
        ("dead", then(sends("a"), vec![attempt(5, "a", 1, "permanent", json!({"outcome": "dead"}))])),
        ("late",
            then(sends("a"), vec![entry(6, "attempt", json!({"delivery": id("dlv_", "a"), "attempt": 1, "result": "accepted", "message": "sha256:00", "late": true}))]),
        ),
        (
            "cancelled by hand",
            then(sends("a"), vec![entry(6, "delivery", json!({"act": "cancel", "delivery": id("dlv_", "a"), "message": "sha256:00"}))]),
        ),
        (
            "dead, then replayed and sent",
            then(sends("a"), vec![
                attempt(5, "a", 1, "permanent", json!({"outcome": "dead"})),
                entry(6, "delivery", json!({"act": "replay", "delivery": id("dlv_", "b"), "replayOf": id("dlv_", "a"), "message": "sha256:00", "intent": intent("b")})),
                attempt(7, "b", 1, "delivered", delivered()),
            ]),
        ),
        (
            "dead, and the fallback took over",
            then(sends("a"), vec![
                attempt(5, "a", 1, "permanent", json!({"outcome": "dead"})),
                entry(6, "delivery", json!({"act": "fallback", "delivery": id("dlv_", "b"), "fallbackOf": id("dlv_", "a"), "reason": "the delivery ended with `permanent`", "message": "sha256:00", "intent": intent("b")})),
                attempt(7, "b", 1, "delivered", delivered()),
            ]),
        ),
        (
            "two rules",
            evidence(vec![
                event(&[sends("a"), with(decision("suppressed", "throttle", json!({"limit": 1, "per": "1h"})), "rule", "other".into())]),
                attempt(5, "a", 1, "delivered", delivered()),
            ]),
        ),
        (
            "known from the queue alone",
            Evidence {
                deliveries: vec![CurrentDelivery {
                    id: id("dlv_", "a"),
                    state: "scheduled".into(),
                    rule_version: 3,
                    next_attempt: 2,
                    due_at: Some("2026-11-22T06:05:00Z".parse().unwrap()),
                }],
                ..one(sends("a"))
            },
        ),
        ("decided, and its entry pruned", {
            let mut pruned = Evidence { unreadable: 1, ..evidence(vec![]) };
            pruned.event.planned = true;
            pruned
        }),
        ("pruned", Evidence { unreadable: 2, complete: false, ..evidence(vec![]) }),
    ]);
    cases
}

#[test]
fn golden() {
    let mut out = String::new();
    for (name, evidence) in cases() {
        let story = tell(&evidence);
        out.push_str(&format!("# {name}\n{}\n", story.sentence));
        for action in &story.actions {
            out.push_str(&format!(
                "{}\n  {}\n",
                action.sentence,
                serde_json::to_string(&action.end).unwrap()
            ));
            for step in &action.steps {
                out.push_str(&format!("  {} {}: {}\n", step.seq, step.kind, step.sentence));
            }
        }
        for note in &story.notes {
            out.push_str(&format!("note: {note}\n"));
        }
        out.push('\n');
    }
    insta::with_settings!({snapshot_path => "../../tests/golden", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("story.sentences", out);
    });
}

#[test]
fn golden_json() {
    let (_, evidence) = cases().into_iter().find(|(name, _)| *name == "digest sent").unwrap();
    insta::with_settings!({snapshot_path => "../../tests/golden", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_json_snapshot!("story", tell(&evidence));
    });
}

/// What can happen to one action, with the end that it has then.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Suppressed,
    Sent(u64),
    Retrying(u64),
    Dead(u64),
    Held(u64),
    HeldSent(u64),
    HeldCancelled(u64),
    Digest,
    DigestSent,
    DigestCancelled,
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        Just(Fate::Suppressed),
        (0_u64..3).prop_map(Fate::Sent),
        (1_u64..3).prop_map(Fate::Retrying),
        (1_u64..3).prop_map(Fate::Dead),
        (0_u64..3).prop_map(Fate::Held),
        (0_u64..3).prop_map(Fate::HeldSent),
        (0_u64..3).prop_map(Fate::HeldCancelled),
        Just(Fate::Digest),
        Just(Fate::DigestSent),
        Just(Fate::DigestCancelled),
    ]
}

/// The decision about action `n`, what follows in the ledger, and the state of its end.
fn lived(n: usize, fate: Fate, seq: &mut u64) -> (Value, Vec<(u64, Value)>, &'static str) {
    let name = n.to_string();
    let (hold, window) = (id("hld_", &name), id("dig_", &name));
    let mut next = || {
        *seq += 1;
        *seq
    };
    let ours = |value: Value| with(value, "action", format!("action-{n}").into());
    let renamed = |mut entry: (u64, Value), field: &str, id: &str| {
        let predicate = &mut entry.1["predicate"];
        predicate[field] = id.into();
        if predicate.get("intent").is_some() {
            predicate["intent"] = intent(&name);
        }
        entry
    };
    let mut more = vec![];
    let (decision, end) = match fate {
        Fate::Suppressed => (decision("suppressed", "dedupe", json!({})), "not-sent"),
        Fate::Sent(retries) => {
            more.extend(
                (1..=retries).map(|number| attempt(next(), &name, number, "retry", again(number + 1))),
            );
            more.push(attempt(next(), &name, retries + 1, "delivered", delivered()));
            (sends(&name), "sent")
        }
        Fate::Retrying(tries) => {
            more.extend((1..=tries).map(|number| attempt(next(), &name, number, "retry", again(number + 1))));
            (sends(&name), "sending")
        }
        Fate::Dead(tries) => {
            more.extend((1..tries).map(|number| attempt(next(), &name, number, "retry", again(number + 1))));
            more.push(attempt(next(), &name, tries, "permanent", json!({"outcome": "dead"})));
            (sends(&name), "not-sent")
        }
        Fate::Held(times) | Fate::HeldSent(times) | Fate::HeldCancelled(times) => {
            more.extend((0..times).map(|_| {
                renamed(
                    released(next(), "held", "hold", "quiet-hours", json!({"until": HOURS})),
                    "held",
                    &hold,
                )
            }));
            let end = match fate {
                Fate::HeldSent(_) => {
                    more.push(renamed(released(next(), "held", "send", "none", json!({})), "held", &hold));
                    more.push(attempt(next(), &name, 1, "delivered", delivered()));
                    "sent"
                }
                Fate::HeldCancelled(_) => {
                    more.push(renamed(
                        released(next(), "held", "cancel", "silence", json!({})),
                        "held",
                        &hold,
                    ));
                    "not-sent"
                }
                _ => "held",
            };
            let mut decision = held();
            decision["parameters"]["held"] = hold.into();
            (decision, end)
        }
        Fate::Digest | Fate::DigestSent | Fate::DigestCancelled => {
            let mut decision = digested("digest", json!({}));
            decision["parameters"]["digest"] = window.clone().into();
            let end = match fate {
                Fate::DigestSent => {
                    more.push(renamed(flushed(next(), "window"), "digest", &window));
                    more.push(attempt(next(), &name, 1, "delivered", delivered()));
                    "in-digest"
                }
                Fate::DigestCancelled => {
                    more.push(renamed(
                        released(next(), "digest", "cancel", "rule-disabled", json!({})),
                        "digest",
                        &window,
                    ));
                    "not-sent"
                }
                _ => "in-digest",
            };
            (decision, end)
        }
    };
    (ours(decision), more, end)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    /// Whatever happened to each action, in whatever order it was found and however often: one end, and the right one.
    #[test]
    fn each_action_has_exactly_one_end(fates in prop::collection::vec(fates(), 0..8), turn in any::<prop::sample::Index>(), twice: bool) {
        let mut seq = 4;
        let lived: Vec<_> = fates.iter().enumerate().map(|(n, fate)| lived(n, *fate, &mut seq)).collect();
        let decisions: Vec<Value> = lived.iter().map(|(decision, _, _)| decision.clone()).collect();
        let mut entries = vec![event(&decisions)];
        entries.extend(lived.iter().flat_map(|(_, more, _)| more.clone()));
        if twice {
            entries.extend(entries.clone());
        }
        let turn = turn.index(entries.len());
        entries.rotate_left(turn);
        let story = tell(&evidence(entries));
        prop_assert_eq!(story.actions.len(), fates.len());
        for (n, (action, (_, more, expected))) in story.actions.iter().zip(&lived).enumerate() {
            prop_assert_eq!(&action.action, &format!("action-{n}"));
            let end = serde_json::to_value(&action.end).unwrap();
            prop_assert_eq!(end["state"].as_str(), Some(*expected), "{}", end);
            // Every entry that had a part in it is told, once.
            prop_assert_eq!(action.steps.len(), more.len() + 1);
        }
    }

    /// Any JSON in place of a statement, and any part of one in place of another.
    #[test]
    fn any_json_is_told(case in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(), wrong in arbitrary_json(), loose in arbitrary_json()) {
        let cases = cases();
        let mut evidence = cases[case.index(cases.len())].1.clone();
        evidence.entries.push((99, loose));
        let pointers: Vec<String> = evidence.entries.first().map(|(_, statement)| pointers(statement)).unwrap_or_default();
        if !pointers.is_empty() {
            let pointer = &pointers[place.index(pointers.len())];
            *evidence.entries[0].1.pointer_mut(pointer).unwrap() = wrong;
        }
        let story = tell(&evidence);
        let keys: BTreeSet<_> = story.actions.iter().map(|action| (&action.rule, &action.action)).collect();
        prop_assert_eq!(keys.len(), story.actions.len());
        prop_assert!(story.actions.iter().all(|action| !action.sentence.is_empty() && !action.steps.is_empty()));
        serde_json::to_string(&story).unwrap();
    }
}
