//! What entries must say together: each case is a log, and what the verifier finds in it.

use super::support::*;
use crate::ledger::entry::*;
use crate::ledger::noise_entries::ReleaseOutcome;
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

fn sent(name: &str) -> EntryDraft {
    event(name, vec![decision(Some(name))])
}

fn tried(number: u32, follows: Option<Follows>) -> EntryDraft {
    attempt("a", number, "retry", follows).into_draft()
}

#[test]
fn the_whole_story_verifies() {
    let report = report_of(&files(&Log::of(&story()).export()));
    assert_eq!(report.findings, vec![]);
    assert_eq!((report.deliveries, report.open_deliveries), (3, 0));
    assert_eq!(report.kinds["attempt"], 5);
}

#[test]
fn attempts() {
    let end = delivered;
    check(vec![sent("a")], &[]);
    check(vec![sent("a"), tried(1, retry(2)), tried(2, retry(3)), tried(3, end())], &[]);
    check(vec![tried(1, end())], &["missing-intent"]);
    check(vec![tried(1, end()), sent("a")], &["missing-intent", "duplicate-delivery"]);
    check(vec![sent("a"), tried(2, end())], &["attempt-hole"]);
    check(vec![sent("a"), tried(1, retry(2)), tried(3, end())], &["attempt-hole"]);
    check(vec![sent("a"), tried(1, end()), tried(1, end())], &["attempt-repeated"]);
    check(vec![sent("a"), tried(1, end()), tried(2, end())], &["attempt-unannounced"]);
    check(vec![sent("a"), tried(1, retry(3))], &["bad-field"]);
    // Late results may repeat a number, as often as they like, but not run ahead.
    check(vec![sent("a"), tried(1, retry(2)), tried(1, None), tried(1, None), tried(2, end())], &[]);
    check(vec![sent("a"), tried(1, None), tried(1, end())], &[]);
    check(vec![sent("a"), tried(2, None)], &["attempt-unannounced"]);
    check(vec![sent("a"), sent("a")], &["duplicate-delivery"]);
    let mut changed = attempt("a", 1, "delivered", end());
    changed.message = message(&delivery("b"));
    check(vec![sent("a"), changed.into_draft()], &["message-changed"]);
}

fn release(name: &str) -> EntryDraft {
    retried(name, ReleaseOutcome::Send(intent(name))).into_draft()
}

#[test]
fn releases_and_acts() {
    let cancel = |name: &str| {
        let delivery = delivery(name);
        let act = DeliveryAct::Cancel { message: message(&delivery), delivery };
        DeliveryEntry { act, actor: None }.into_draft()
    };
    check(vec![release("a"), tried(1, delivered())], &["missing-intent"]);
    // A re-gated retry keeps its id and its message.
    let held = Some(Follows::Outcome("held".into()));
    check(vec![sent("a"), tried(1, held.clone()), release("a"), tried(2, delivered())], &[]);
    check(vec![sent("a"), tried(1, held.clone()), tried(2, delivered())], &["attempt-unannounced"]);
    let mut other = release("a");
    other.predicate["intent"]["message"] = message(&delivery("b")).to_string().into();
    check(vec![sent("a"), tried(1, held), other], &["message-changed"]);
    check(vec![sent("a"), cancel("a")], &[]);
    check(vec![cancel("a")], &["missing-intent"]);
    let test = DeliveryEntry { act: DeliveryAct::Test { intent: intent("t") }, actor: Some(actor()) };
    check(vec![test.clone().into_draft(), attempt("t", 1, "delivered", delivered()).into_draft()], &[]);
    check(vec![test.clone().into_draft(), test.clone().into_draft()], &["duplicate-delivery"]);
    let mut unlike = test.into_draft();
    unlike.predicate["delivery"] = delivery("x").as_str().into();
    check(vec![unlike], &["bad-field"]);
    // Intents stand only where the format allows them.
    let intent = sent("a").predicate["decisions"][0]["intent"].clone();
    check(vec![raw(EntryKind::Heartbeat, "x", json!({"intent": intent}))], &["misplaced-intent"]);
    let mut with_intent = tried(1, delivered());
    with_intent.predicate.insert("intent".into(), intent);
    check(vec![sent("a"), with_intent], &["misplaced-intent"]);
}

/// Each field of a kind, missing and then of a wrong type.
#[test]
fn required_fields() {
    for (drafts, fields) in [
        (vec![sent("a")], &["event", "decisions", "unmatched"][..]),
        (vec![sent("a"), tried(1, delivered())], &["delivery", "attempt", "result", "message", "follows"]),
        (
            vec![story()[1].clone()],
            &["documentKind", "document", "version", "action", "actor", "configDigest"],
        ),
        (vec![story()[2].clone()], &["config"]),
        (vec![story()[3].clone()], &["act", "actor"]),
        (
            vec![
                ExportEntry { from: 0, to: 1, root: crate::ledger::tree::Hash([0; 32]), who: actor() }
                    .into_draft(),
            ],
            &["range", "rootDigest", "who"],
        ),
        (vec![prune(0, 1)], &["range", "policyDigest", "count", "approvedBy"]),
        (vec![raw(EntryKind::Erasure, "x", json!({"count": 1}))], &["count"]),
    ] {
        check(drafts.clone(), &[]);
        for field in fields {
            let mut missing = drafts.clone();
            missing.last_mut().unwrap().predicate.shift_remove(*field).unwrap();
            assert!(findings(missing).contains(&"bad-field"), "{field} missing");
            let mut wrong = drafts.clone();
            wrong.last_mut().unwrap().predicate.insert((*field).into(), Value::Bool(true));
            assert!(findings(wrong).contains(&"bad-field"), "{field} wrong");
        }
    }
}

#[test]
fn fields_of_decisions_and_intents() {
    let check_at = |pointer: &str, value: Value| {
        let mut draft = sent("a");
        let mut predicate = Value::Object(draft.predicate);
        *predicate.pointer_mut(pointer).unwrap() = value.clone();
        draft.predicate = predicate.as_object().unwrap().clone();
        check(vec![draft], &["bad-field"]);
    };
    for field in ["rule", "ruleDigest", "action", "outcome", "control", "parameters", "logicalTime", "tzdb"] {
        check_at(&format!("/decisions/0/{field}"), Value::Null);
    }
    check_at("/decisions/0/alsoApplied", json!([1]));
    check_at("/decisions/0/logicalTime", "2026-11-22T06:00:00Z".into());
    check_at("/decisions/0/logicalTime", "2026-11-22T06:00:00.000+00:00".into());
    check_at("/decisions/0", Value::Null);
    for field in ["delivery", "channel", "target", "message", "idempotencyKey"] {
        check_at(&format!("/decisions/0/intent/{field}"), Value::Null);
    }
    check_at("/decisions/0/intent", Value::Null);
    check_at("/decisions/0/intent/delivery", format!("dlv_{}", "A".repeat(32)).into());
}

#[test]
fn subjects() {
    let mut draft = sent("a");
    draft.subject[0].1 = "0".repeat(64);
    check(vec![draft], &["subject-mismatch"]);
    let mut plain = story()[1].clone();
    plain.subject[0].1 = "0".repeat(64);
    check(vec![plain], &["subject-mismatch"]);
}

fn prune(from: u64, to: u64) -> EntryDraft {
    let digest = PLAIN.to_owned() + &"0".repeat(64);
    raw(
        EntryKind::Prune,
        "range",
        json!({"range": [from, to], "policyDigest": digest, "count": to - from,
               "approvedBy": actor().to_string()}),
    )
}
const PLAIN: &str = "sha256:";

#[test]
fn pruning() {
    let base = || {
        vec![
            Genesis::default().into_draft(),
            sent("a"),
            tried(1, retry(2)),
            tried(2, delivered()),
            prune(1, 3),
        ]
    };
    let check = |drafts: Vec<EntryDraft>, pruned: &[u64], expected: &[&str]| {
        let mut log = Log::of(&drafts);
        log.pruned = pruned.to_vec();
        let report = report_of(&files(&log.export()));
        assert_eq!(codes(&report), expected);
        assert_eq!(report.pruned, pruned.len() as u64);
    };
    check(base(), &[], &[]);
    // What the stubs announced is not in view, so it is not asked for.
    check(base(), &[1, 2], &[]);
    check(base(), &[2], &[]);
    check(base(), &[1, 2, 3], &["pruned-without-entry"]);
    let mut two = base();
    two.push(prune(3, 4));
    check(two, &[1, 2, 3], &[]);
    // A prune entry cannot account for itself or what comes later.
    let mut early = base();
    early.insert(1, prune(1, 3));
    check(early.clone(), &[], &["bad-field"]);
    check(vec![early[0].clone(), sent("a"), prune(1, 4)], &[], &["bad-field"]);
}

#[test]
fn genesis_stands_first_and_alone() {
    let mut log = Log::of(&story());
    // Such a log cannot be appended by the API; its payloads are made by hand.
    let forge = |log: &mut Log, index: usize, from: &str, to: &str| {
        let entry = &mut log.entries[index];
        entry.payload = entry.payload.replace(from, to);
        entry.leaf_hash = crate::ledger::dsse::entry_leaf_hash(entry.payload.as_bytes());
        let mut range = crate::ledger::tree::CompactRange::new();
        log.entries.iter().for_each(|entry| range.push(entry.leaf_hash, |_| {}));
        let origin = log_key().origin().to_owned();
        let head = crate::ledger::checkpoint::Checkpoint { origin, size: range.size(), root: range.root() };
        log.heads.push((head.size, log_key().sign(&head)));
    };
    let forged = |index, from: &str, to: &str| {
        let mut log = Log::of(&story());
        forge(&mut log, index, from, to);
        codes(&report_of(&files(&log.export())))
    };
    assert_eq!(forged(0, "genesis", "heartbeat"), ["genesis-missing"]);
    assert_eq!(forged(3, "\"kind\":\"access\"", "\"kind\":\"genesis\""), ["genesis-misplaced"]);
    let origin = crate::ledger::append::log_subject(log_key().origin());
    assert_eq!(forged(0, &origin, &"0".repeat(64)), ["subject-mismatch"]);
    assert_eq!(forged(3, "tenant/demo-1", "tenant/demo-2"), ["wrong-log"]);
    assert_eq!(forged(3, "\"kind\":\"access\"", "\"kind\":\"other\""), ["bad-statement"]);
    assert_eq!(forged(3, "\"seq\":3", "\"seq\":3.0"), ["bad-statement"]);
    assert_eq!(forged(3, "\"seq\":3", "\"seq\": 3"), ["not-canonical"]);
    assert_eq!(forged(3, "03.000Z", "03.00Z"), ["bad-statement"]);
    assert_eq!(forged(3, "03.000Z", "01.000Z"), ["time-backwards"]);
    assert_eq!(
        forged(3, "\"kind\":\"access\"", "\"kind\":\"access\",\"kind\":\"access\""),
        ["bad-statement"]
    );
    assert_eq!(forged(3, "Statement/v1", "Statement/v0.1"), ["bad-statement"]);
    assert_eq!(forged(3, "ledger-entry:v1", "ledger-entry:v2"), ["bad-statement"]);
    // A part whose siblings are missing.
    assert_eq!(forged(3, "\"seq\":3", "\"part\":\"1/2\",\"seq\":3"), ["bad-part"]);
    assert_eq!(forged(3, "\"seq\":3", "\"part\":\"2/2\",\"seq\":3"), ["bad-part"]);
    assert_eq!(forged(12, "\"range\":[0,12]", "\"part\":\"1/2\",\"range\":[0,12]"), ["bad-part"]);
    assert_eq!(forged(12, "\"range\":[0,12]", "\"part\":\"1/1\",\"range\":[0,12]"), ["bad-statement"]);
    forge(&mut log, 12, "[0,12]", "[0,13]");
    assert_eq!(codes(&report_of(&files(&log.export()))), ["bad-field"]);
}

#[test]
fn a_forced_change_names_what_it_overrode() {
    let forced = |value: Value| {
        let mut entry = story().remove(1);
        assert_eq!((entry.kind, entry.predicate.get("forced")), (EntryKind::Config, None));
        entry.predicate.insert("forced".into(), value);
        entry
    };
    check(vec![forced(json!(["rule-tests-failed"]))], &[]);
    for wrong in [json!(true), json!("rule-tests-failed"), json!([1])] {
        check(vec![forced(wrong)], &["bad-field"]);
    }
    let entry = ConfigEntry {
        document_kind: "rule".into(),
        document: "r".into(),
        version: 2,
        action: ConfigAction::Replace,
        content: DocumentContent::Plain(crate::ledger::commitment::PlainDigest::of(b"rule")),
        actor: actor(),
        forced: vec!["rule-tests-failed".into()],
    };
    assert_eq!(entry.into_draft().predicate["forced"], json!(["rule-tests-failed"]));
}
