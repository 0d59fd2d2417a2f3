//! The append API, as the store uses it.

use super::support::*;
use crate::ledger::append::{AppendError, Appender, LogState};
use crate::ledger::dsse::entry_leaf_hash;
use crate::ledger::entry::Genesis;
use crate::ledger::keys::LogKeys;
use crate::ledger::statement::{DraftFault, MAX_PAYLOAD_BYTES, Part, Statement};
use crate::ledger::tree::{CompactRange, Node, combine_subtree, stored_children};
use crate::ledger::{EntryDraft, EntryKind};
use crate::time::Timestamp;
use serde_json::{Value, json};

fn genesis() -> EntryDraft {
    Genesis::default().into_draft()
}

fn started() -> Appender {
    let mut appender = Appender::new(LogState::empty(log_key().origin()));
    appender.append(&[genesis()], at(10)).unwrap();
    appender
}

#[test]
fn numbers_times_and_leaves() {
    let mut appender = started();
    let back: Timestamp = "2020-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(appender.append(&story()[4..6], back), Ok(vec![1, 2]));
    let now: Timestamp = "2030-01-01T00:00:00.1239999Z".parse().unwrap();
    assert_eq!(appender.append(&story()[6..7], now), Ok(vec![3]));
    assert_eq!(appender.append(&[], now), Ok(vec![]));
    let appended = appender.finish(&log_key()).unwrap();
    let statements: Vec<Statement> =
        appended.entries.iter().map(|entry| Statement::parse(entry.payload.as_bytes()).unwrap()).collect();
    for (entry, statement) in appended.entries.iter().zip(&statements) {
        assert_eq!((entry.seq, entry.at, entry.kind), (statement.seq, statement.at, statement.kind));
        assert_eq!(entry.leaf_hash, entry_leaf_hash(entry.payload.as_bytes()));
        assert_eq!(statement.log, log_key().origin());
    }
    let times: Vec<Timestamp> = statements.iter().map(|statement| statement.at).collect();
    // The clock went back: the last time is repeated.
    assert_eq!(times[..3], [at(10); 3]);
    assert!(appended.entries[3].payload.contains(r#""at":"2030-01-01T00:00:00.123Z""#));
    assert_eq!(appended.state.last_at, Some(times[3]));
    assert_eq!(head_of(&appended.checkpoint).root, appended.root);
}

#[test]
fn refused_drafts_leave_no_trace() {
    let check = |draft: EntryDraft, expected: AppendError| {
        let mut appender = started();
        let before = appender.clone().finish(&log_key()).unwrap();
        // A good draft before it is not appended either.
        assert_eq!(appender.append(&[story()[4].clone(), draft], at(20)), Err(expected));
        assert_eq!(appender.finish(&log_key()).unwrap(), before);
    };
    check(genesis(), AppendError::GenesisTwice);
    let heartbeat = raw(EntryKind::Heartbeat, "head", json!({}));
    for field in ["log", "seq", "at", "kind", "part"] {
        let mut draft = heartbeat.clone();
        draft.predicate.insert(field.into(), 1.into());
        check(draft, DraftFault::Reserved(field.into()).into());
    }
    check(EntryDraft { subject: vec![], ..heartbeat.clone() }, DraftFault::NoSubject.into());
    let subject = |name: &str, digest: &str| EntryDraft {
        subject: vec![(name.into(), digest.into()), ("a".into(), "0".repeat(64))],
        ..heartbeat.clone()
    };
    check(subject("b", "ABC"), DraftFault::SubjectDigest("b".into()).into());
    check(subject("a", &"0".repeat(64)), DraftFault::SubjectTwice("a".into()).into());
    let mut float = heartbeat.clone();
    float.predicate.insert("x".into(), json!([{"y": 1.5}]));
    let fault = crate::ledger::canonical::CanonicalFault::Float { path: "/x/0/y".into() };
    check(float, DraftFault::Canonical(fault).into());
    let mut big = heartbeat.clone();
    big.predicate.insert("x".into(), "y".repeat(MAX_PAYLOAD_BYTES).into());
    let mut appender = started();
    let fault = appender.append(&[big], at(20)).unwrap_err();
    assert!(matches!(fault, AppendError::Draft(DraftFault::TooLarge { bytes }) if bytes > MAX_PAYLOAD_BYTES));

    let mut empty = Appender::new(LogState::empty(log_key().origin()));
    assert_eq!(empty.append(&[heartbeat], at(0)), Err(AppendError::GenesisMissing));
    let other =
        LogKeys::new("studio.example", [1; 32]).unwrap().log_key("studio.example/tenant/other").unwrap();
    assert!(matches!(empty.finish(&other), Err(AppendError::WrongKey { .. })));
}

#[test]
fn a_long_list_is_split_into_parts_that_verify() {
    let names: Vec<String> = (0..300).map(|i| format!("d{i}")).collect();
    let decisions = names.iter().map(|name| decision(Some(name))).collect();
    let mut log = Log::new();
    log.append(&[genesis()], at(0));
    let appended = log.append(&[event("big", decisions), event("small", vec![])], at(1));
    let parts: Vec<Statement> =
        appended.entries.iter().map(|entry| Statement::parse(entry.payload.as_bytes()).unwrap()).collect();
    let (small, parts) = parts.split_last().unwrap();
    assert_eq!((small.part, small.seq), (None, 1 + parts.len() as u64));
    assert!(parts.len() >= 3);
    let count = u32::try_from(parts.len()).unwrap();
    let mut deliveries = vec![];
    for (part, number) in parts.iter().zip(1..) {
        assert_eq!((part.part, part.seq), (Some(Part { number, of: count }), u64::from(number)));
        deliveries.extend(part.predicate["decisions"].as_array().unwrap().iter().cloned());
        assert_eq!(part.predicate["unmatched"], 2);
    }
    let expected: Vec<String> = names.iter().map(|name| delivery(name).to_string()).collect();
    let got: Vec<&str> = deliveries.iter().map(|d| d["intent"]["delivery"].as_str().unwrap()).collect();
    assert_eq!(got, expected);
    for entry in &appended.entries[..parts.len() - 1] {
        let bytes = entry.payload.len();
        assert!(bytes <= MAX_PAYLOAD_BYTES && bytes > MAX_PAYLOAD_BYTES - 2000, "well filled: {bytes}");
    }
    let report = report_of(&files(&log.export()));
    assert_eq!(report.findings, vec![]);
    assert_eq!(report.deliveries, 300);

    // One decision that is too large alone cannot be split.
    let mut huge = decision(None);
    huge.parameters.insert("x".into(), Value::from("y".repeat(MAX_PAYLOAD_BYTES)));
    let mut appender = started();
    let fault = appender.append(&[event("huge", vec![decision(None), huge])], at(1)).unwrap_err();
    assert!(matches!(fault, AppendError::Draft(DraftFault::TooLarge { .. })));
}

#[test]
fn stored_levels_become_complete_and_serve_every_subtree() {
    let mut log = Log::new();
    log.append(&[genesis()], at(0));
    let mut nodes: Vec<Node> = vec![];
    let beat = raw(EntryKind::Heartbeat, "head", json!({}));
    for batch in [1_usize, 254, 1, 300, 300] {
        nodes.extend(log.append(&vec![beat.clone(); batch], at(1)).nodes);
    }
    assert_eq!(log.size(), 857);
    let names: Vec<_> = nodes.iter().map(|node| (node.level, node.index)).collect();
    assert_eq!(names, [(8, 0), (8, 1), (8, 2)]);
    for node in &nodes {
        assert_eq!(log.nodes(&[(node.level, node.index)]), [node.hash]);
    }
    // What a store does: combine stored hashes below the wanted node.
    for wanted in [(0, 5), (3, 2), (7, 5), (8, 1), (9, 0)] {
        let (level, range) = stored_children(wanted);
        let below: Vec<_> = range.map(|index| (level, index)).collect();
        assert!(below.len() <= 128 && [0, 8].contains(&level));
        assert_eq!(combine_subtree(&log.nodes(&below)), log.nodes(&[wanted]).first().copied());
    }
}

#[test]
fn head_bytes_round_trip_and_wrong_ones_are_refused() {
    let log = Log::of(&story());
    let bytes = log.state.range.to_bytes();
    assert_eq!(CompactRange::from_bytes(13, &bytes).as_ref(), Ok(&log.state.range));
    for (size, bytes) in [(12, &bytes[..]), (13, &bytes[1..]), (13, &bytes[32..]), (0, &[0][..])] {
        assert!(CompactRange::from_bytes(size, bytes).is_err());
    }
    assert_eq!(combine_subtree(&[]), None);
}
