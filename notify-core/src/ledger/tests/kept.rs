//! What is held and collected: each case is a log, and what the verifier finds in it.

use super::support::*;
use crate::ledger::entry::*;
use crate::ledger::noise_entries::*;
use crate::ledger::{EntryDraft, EntryKind};
use serde_json::{Value, json};

fn findings(drafts: Vec<EntryDraft>) -> Vec<&'static str> {
    let mut all = vec![Genesis::default().into_draft()];
    all.extend(drafts);
    codes(&report_of(&files(&Log::of(&all).export())))
}

fn check(drafts: Vec<EntryDraft>, expected: &[&str]) {
    assert_eq!(findings(drafts), expected);
}

fn held(name: &str) -> EntryDraft {
    event(name, vec![holds(name)])
}

fn collected(event_name: &str, digest: &str) -> EntryDraft {
    event(event_name, vec![joins(digest)])
}

fn sends(name: &str) -> EntryDraft {
    released(name, ReleaseOutcome::Send(intent(name))).into_draft()
}

fn with(mut draft: EntryDraft, field: &str, value: Value) -> EntryDraft {
    draft.predicate.insert(field.into(), value);
    draft
}

#[test]
fn the_whole_story_verifies() {
    let report = report_of(&files(&Log::of(&kept_story()).export()));
    assert_eq!(report.findings, vec![]);
    assert_eq!((report.deliveries, report.open_deliveries), (2, 0));
    assert_eq!((report.kinds["release"], report.kinds["digest"]), (7, 1));
}

#[test]
fn what_was_held_is_released_once_with_its_message() {
    let end = |name: &str| attempt(name, 1, "delivered", delivered()).into_draft();
    let judged = |outcome| released("a", outcome).into_draft();
    check(vec![held("a")], &[]);
    check(vec![held("a"), sends("a"), end("a")], &[]);
    check(vec![held("a"), judged(ReleaseOutcome::Hold), judged(ReleaseOutcome::Hold), sends("a")], &[]);
    check(vec![held("a"), judged(ReleaseOutcome::Cancel)], &[]);
    check(vec![sends("a")], &["missing-hold"]);
    check(vec![sends("a"), held("a")], &["missing-hold", "duplicate-hold"]);
    check(vec![held("a"), held("a")], &["duplicate-hold"]);
    check(vec![held("a"), sends("a"), sends("a")], &["release-repeated", "duplicate-delivery"]);
    check(vec![held("a"), judged(ReleaseOutcome::Cancel), sends("a")], &["release-repeated"]);
    check(vec![held("a"), sends("a"), judged(ReleaseOutcome::Hold)], &["release-repeated"]);
    // A delivery that exists is not what was held.
    check(vec![event("e", vec![decision(Some("a"))]), held("a"), sends("a")], &["duplicate-delivery"]);
    // The message of another, in the release, in its intent, or in both.
    let other = message(&delivery("b"));
    let mut entry = released("a", ReleaseOutcome::Send(intent("a")));
    entry.of = Released::Held { held: held_id("a"), message: other };
    check(vec![held("a"), entry.clone().into_draft()], &["message-changed", "message-changed"]);
    entry.outcome = ReleaseOutcome::Send(Intent { message: other, ..intent("a") });
    check(vec![held("a"), entry.clone().into_draft()], &["message-changed"]);
    entry.of = Released::Held { held: held_id("a"), message: message(&delivery("a")) };
    check(vec![held("a"), entry.into_draft()], &["message-changed"]);
}

#[test]
fn a_retry_that_is_judged_anew_keeps_its_delivery() {
    let first = || event("e", vec![decision(Some("a"))]);
    let failed = || attempt("a", 1, "retry", retry(2)).into_draft();
    let judged = |outcome| retried("a", outcome).into_draft();
    let end = attempt("a", 2, "delivered", delivered()).into_draft();
    let again = || ReleaseOutcome::Send(intent("a"));
    check(vec![first(), failed(), judged(ReleaseOutcome::Hold), judged(again()), end], &[]);
    let report = |drafts: Vec<EntryDraft>| {
        let drafts: Vec<_> = std::iter::once(Genesis::default().into_draft()).chain(drafts).collect();
        report_of(&files(&Log::of(&drafts).export()))
    };
    assert_eq!(report(vec![first(), failed(), judged(ReleaseOutcome::Hold)]).open_deliveries, 1);
    assert_eq!(report(vec![first(), failed(), judged(ReleaseOutcome::Cancel)]).open_deliveries, 0);
    check(vec![judged(ReleaseOutcome::Cancel)], &["missing-intent"]);
    check(vec![judged(again())], &["missing-intent"]);
    let mut other = retried("a", ReleaseOutcome::Hold);
    other.of = Released::Retry { delivery: delivery("a"), message: message(&delivery("b")) };
    check(vec![first(), other.into_draft()], &["message-changed"]);
    let mut unlike = retried("a", ReleaseOutcome::Send(intent("b")));
    unlike.of = Released::Retry { delivery: delivery("a"), message: message(&delivery("b")) };
    let both = event("e", vec![decision(Some("a")), decision(Some("b"))]);
    check(vec![both, unlike.into_draft()], &["bad-field", "message-changed"]);
}

#[test]
fn a_digest_names_exactly_what_went_into_it() {
    let went_in = || vec![collected("e1", "d"), event("e", vec![decision(None)]), collected("e2", "d")];
    let then = |draft: EntryDraft| went_in().into_iter().chain([draft]).collect::<Vec<_>>();
    let sent = |entries: &[u64], count| digest("d", entries, count).into_draft();
    check(then(sent(&[1, 3], 2)), &[]);
    check(then(sent(&[1], 2)), &["digest-entries"]);
    check(then(sent(&[], 0)), &["digest-entries"]);
    check(then(sent(&[1, 2, 3], 3)), &["digest-entries"]);
    check(then(sent(&[1, 3], 3)), &["digest-entries"]);
    check(then(sent(&[1, 3], 1)), &["digest-entries"]);
    // Later entries, itself, and no order.
    for wrong in [json!([1, 4]), json!([1, 3, 9]), json!([3, 1]), json!([1, 1, 3])] {
        check(then(with(sent(&[1, 3], 2), "entries", wrong)), &["bad-field"]);
    }
    check(then(with(sent(&[1, 3], 2), "retainedCount", json!(3))), &["bad-field"]);
    // Twice, late, cancelled before.
    let mut twice = then(sent(&[1, 3], 2));
    twice.push(DigestEntry { intent: intent("other"), ..digest("d", &[1, 3], 2) }.into_draft());
    check(twice, &["digest-over"]);
    let mut late = then(sent(&[1, 3], 2));
    late.push(collected("e3", "d"));
    check(late, &["digest-over"]);
    let cancelled = not_flushed("d", ReleaseOutcome::Cancel).into_draft();
    let mut both = then(cancelled.clone());
    both.push(sent(&[1, 3], 2));
    check(both, &["digest-over"]);
    let mut both = then(sent(&[1, 3], 2));
    both.push(cancelled);
    check(both, &["digest-over"]);
    let mut held = then(not_flushed("d", ReleaseOutcome::Hold).into_draft());
    held.push(sent(&[1, 3], 2));
    check(held, &[]);
    // An empty digest, and two decisions of one event.
    check(vec![sent(&[], 0)], &[]);
    check(vec![sent(&[0], 1)], &["digest-entries"]);
    check(vec![event("e", vec![joins("d"), joins("d")]), sent(&[1], 2)], &[]);
}

#[test]
fn a_long_digest_is_judged_over_its_parts() {
    let log = |listed: u64| {
        let mut drafts = vec![Genesis::default().into_draft()];
        drafts.extend((0..12_000).map(|n| collected(&format!("e{n}"), "d")));
        let entries: Vec<u64> = (1..=listed).collect();
        drafts.push(digest("d", &entries, 12_000).into_draft());
        let mut log = Log::new();
        log.append(&drafts, at(0));
        log
    };
    let whole = log(12_000);
    let report = report_of(&files(&whole.export()));
    assert_eq!((report.findings, report.kinds["digest"], report.deliveries), (vec![], 2, 1));
    assert_eq!(codes(&report_of(&files(&log(11_999).export()))), ["digest-entries"]);
}

#[test]
fn behind_a_stub_a_list_may_be_longer_than_what_is_seen() {
    let prune = |from: u64, to: u64| {
        raw(
            EntryKind::Prune,
            "range",
            json!({"range": [from, to], "count": to - from,
            "policyDigest": format!("sha256:{}", "0".repeat(64)), "approvedBy": actor().to_string()}),
        )
    };
    let check = |entries: &[u64], pruned: &[u64], expected: &[&str]| {
        let drafts = vec![
            Genesis::default().into_draft(),
            collected("e1", "d"),
            held("a"),
            collected("e2", "d"),
            digest("d", entries, 2).into_draft(),
            sends("a"),
            prune(1, 3),
        ];
        let mut log = Log::of(&drafts);
        log.pruned = pruned.to_vec();
        assert_eq!(codes(&report_of(&files(&log.export()))), expected);
    };
    check(&[1, 3], &[], &[]);
    check(&[1, 3], &[1], &[]);
    check(&[1, 3], &[2], &[]);
    check(&[1], &[1], &["digest-entries"]);
    check(&[3], &[1, 2], &[]);
}

/// Each field, missing and then of a wrong type.
#[test]
fn required_fields() {
    let digest_fields = [
        "digest",
        "rule",
        "ruleDigest",
        "action",
        "control",
        "entries",
        "trueCount",
        "retainedCount",
        "closed",
        "parameters",
        "logicalTime",
        "tzdb",
        "intent",
    ];
    let common = ["release", "rule", "action", "outcome", "control", "parameters", "logicalTime", "tzdb"];
    let of = |more: &[&'static str]| [&common[..], more].concat();
    let cases = [
        (vec![collected("e", "d"), digest("d", &[1], 1).into_draft()], digest_fields.to_vec()),
        (vec![held("a"), sends("a")], of(&["held", "message", "intent"])),
        (
            vec![event("e", vec![decision(Some("a"))]), retried("a", ReleaseOutcome::Hold).into_draft()],
            of(&["delivery", "message"]),
        ),
        (vec![not_flushed("d", ReleaseOutcome::Cancel).into_draft()], of(&["digest"])),
    ];
    for (drafts, fields) in cases {
        check(drafts.clone(), &[]);
        for field in fields {
            let mut missing = drafts.clone();
            missing.last_mut().unwrap().predicate.shift_remove(field).unwrap();
            assert!(findings(missing).contains(&"bad-field"), "{field} missing");
            let mut wrong = drafts.clone();
            wrong.last_mut().unwrap().predicate.insert(field.into(), Value::Bool(true));
            assert!(findings(wrong).contains(&"bad-field"), "{field} wrong");
        }
    }
}

#[test]
fn intents_and_outcomes_agree() {
    let intent_value = sends("a").predicate["intent"].clone();
    check(vec![held("a"), with(sends("a"), "outcome", "cancel".into())], &["misplaced-intent"]);
    check(vec![held("a"), with(sends("a"), "outcome", "later".into())], &["bad-field"]);
    check(vec![held("a"), with(sends("a"), "release", "fallback".into())], &["bad-field"]);
    let sent = with(not_flushed("d", ReleaseOutcome::Hold).into_draft(), "outcome", "send".into());
    check(vec![with(sent, "intent", intent_value)], &["bad-field"]);
    for (decision, field) in [(holds("a"), "held"), (holds("a"), "message"), (joins("d"), "digest")] {
        let mut without = decision.clone();
        without.parameters.shift_remove(field).unwrap();
        check(vec![event("e", vec![without])], &["bad-field"]);
        let sending = Decision { intent: Some(intent("a")), ..decision };
        check(vec![event("e", vec![sending])], &["misplaced-intent"]);
    }
    let mut wrong = released("a", ReleaseOutcome::Hold).into_draft();
    wrong.subject[0].1 = "0".repeat(64);
    check(vec![held("a"), wrong], &["subject-mismatch"]);
    let mut wrong = not_flushed("d", ReleaseOutcome::Hold).into_draft();
    wrong.subject[0].1 = "0".repeat(64);
    check(vec![wrong], &["subject-mismatch"]);
}

/// The schema and the verifier read the same format.
#[test]
fn the_schema_accepts_what_is_written_and_refuses_what_is_not() {
    let schema: Value =
        serde_json::from_str(include_str!("../../../../resources/schemas/ledger-entry.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let faults = |statement: &Value| -> Vec<String> {
        schema.iter_errors(statement).map(|fault| fault.to_string()).collect()
    };
    let parsed = |entry: &crate::ledger::append::NumberedEntry| -> Value {
        serde_json::from_str(&entry.payload).unwrap()
    };
    for entry in Log::of(&story()).entries.iter().chain(&Log::of(&kept_story()).entries) {
        assert_eq!(faults(&parsed(entry)), Vec::<String>::new(), "{}", entry.payload);
    }
    let kept = Log::of(&kept_story()).entries;
    let noise = kept.iter().filter(|entry| matches!(entry.kind, EntryKind::Release | EntryKind::Digest));
    for entry in noise {
        let statement = parsed(entry);
        for field in statement["predicate"].as_object().unwrap().keys() {
            if entry.kind == EntryKind::Release && field == "ruleDigest" {
                continue;
            }
            let mut without = statement.clone();
            without["predicate"].as_object_mut().unwrap().shift_remove(field);
            assert_ne!(faults(&without), Vec::<String>::new(), "{field} of {}", entry.payload);
        }
    }
}
