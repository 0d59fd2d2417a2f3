//! A small log with one entry of each kind, with fixed keys, times and salts, for the tests of this module.

use crate::ids::{DeliveryId, DigestId, EventKey, HeldId};
use crate::ledger::append::{Appended, Appender, LogState, NumberedEntry};
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::commitment::{Commitment, PlainDigest, salt};
use crate::ledger::entry::*;
use crate::ledger::export::writer::{Export, StoredEntry};
use crate::ledger::export::{ExportFiles, Report, VerifyOptions, verify};
use crate::ledger::keys::{ExportKey, LogKey, LogKeys};
use crate::ledger::noise_entries::*;
use crate::ledger::policy::Policy;
use crate::ledger::proof::ProofPlan;
use crate::ledger::tree::{Hash, NodeId, combine_subtree};
use crate::ledger::trust::{LogKeyRange, Trust};
use crate::ledger::{EntryDraft, EntryKind};
use crate::time::Timestamp;
use serde_json::{Value, json};

pub const ENTROPY: [u8; 32] = [0x11; 32];

pub fn export_key() -> ExportKey {
    ExportKey::from_seed(&[0x22; 32])
}

pub fn log_keys() -> LogKeys {
    LogKeys::new("studio.example", [0x33; 32]).unwrap()
}

pub fn log_key() -> LogKey {
    log_keys().log_key("studio.example/tenant/demo-1").unwrap()
}

pub fn trust() -> Trust {
    trust_with(LogKeyRange::always(log_key().note_key().unwrap()))
}

pub fn trust_with(range: LogKeyRange) -> Trust {
    let (policy, keys) = trust_files(range);
    Trust::parse(policy.as_bytes(), keys.as_bytes()).unwrap()
}

pub fn trust_files(range: LogKeyRange) -> (String, String) {
    let policy = Policy::without_witnesses([&range.key]);
    (policy, Trust::keys_json(&[export_key().public().clone()], &[range]).unwrap())
}

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_327_200 + second).unwrap()
}

pub fn commit(id: &str, field: &str, attempt: u32, bytes: &[u8]) -> Commitment {
    Commitment::of(&salt(&ENTROPY, id, field, attempt), bytes)
}

pub fn delivery(name: &str) -> DeliveryId {
    DeliveryId::derive(["demo", name])
}

pub fn message(of: &DeliveryId) -> Commitment {
    commit(of.as_str(), "message", 0, b"{\"title\":\"hello\"}")
}

pub fn intent(name: &str) -> Intent {
    let delivery = delivery(name);
    Intent {
        channel: "sec-webhook".to_owned().try_into().unwrap(),
        target: commit(delivery.as_str(), "target", 0, b"https://hooks.example/1"),
        message: message(&delivery),
        idempotency_key: delivery.to_string(),
        delivery,
    }
}

pub fn decision(sent: Option<&str>) -> Decision {
    Decision {
        rule: "critical-findings".to_owned().try_into().unwrap(),
        rule_digest: PlainDigest::of(b"rule"),
        action: "chat".to_owned().try_into().unwrap(),
        outcome: if sent.is_some() { "send" } else { "suppressed" }.into(),
        control: if sent.is_some() { "none" } else { "dedupe" }.into(),
        parameters: json!({"window": "24h"}).as_object().unwrap().clone(),
        logical_time: at(0),
        tzdb: "2026b".into(),
        also_applied: if sent.is_some() { vec![] } else { vec!["throttle".into()] },
        intent: sent.map(intent),
    }
}

pub fn event(name: &str, decisions: Vec<Decision>) -> EntryDraft {
    let key = EventKey::derive(["demo", name]);
    let event = commit(key.as_str(), "event", 0, name.as_bytes());
    EventEntry { event, key, decisions, unmatched: 2 }.into_draft()
}

pub fn attempt(name: &str, number: u32, result: &str, follows: Option<Follows>) -> AttemptEntry {
    let delivery = delivery(name);
    AttemptEntry {
        attempt: number,
        result: result.into(),
        message: message(&delivery),
        request: Some(commit(delivery.as_str(), "request", number, b"POST /")),
        response: Some(commit(delivery.as_str(), "response", number, b"200")),
        late: follows.is_none(),
        follows,
        delivery,
    }
}

pub fn delivered() -> Option<Follows> {
    Some(Follows::Outcome("delivered".into()))
}

pub fn retry(attempt: u32) -> Option<Follows> {
    Some(Follows::Attempt { attempt, due_at: at(300) })
}

pub fn raw(kind: EntryKind, subject: &str, predicate: Value) -> EntryDraft {
    EntryDraft {
        kind,
        subject: vec![(subject.into(), PlainDigest::of(subject.as_bytes()).hex())],
        predicate: predicate.as_object().unwrap().clone(),
        about: String::new(),
    }
}

pub fn actor() -> Commitment {
    commit("act_1", "actor", 0, b"admin@example.org")
}

/// One entry of each kind that this version writes, and a whole story.
pub fn story() -> Vec<EntryDraft> {
    let config = ConfigEntry {
        document_kind: "rule".into(),
        document: "critical-findings".into(),
        version: 1,
        action: ConfigAction::Create,
        content: DocumentContent::Plain(PlainDigest::of(b"rule")),
        actor: actor(),
        forced: vec![],
    };
    let channel = ConfigEntry {
        document_kind: "channel".into(),
        document: "sec-webhook".into(),
        content: DocumentContent::Committed(commit("act_2", "config", 0, b"https://hooks.example/1")),
        ..config.clone()
    };
    let access = AccessEntry {
        act: "token-issued".into(),
        actor: actor(),
        details: json!({"scopes": ["notify.viewer"]}).as_object().unwrap().clone(),
        about: "token/1".into(),
    };
    let replay = DeliveryEntry {
        act: DeliveryAct::Replay { of: delivery("b"), intent: intent("b-again") },
        actor: Some(actor()),
    };
    vec![
        Genesis::default().into_draft(),
        config.into_draft(),
        channel.into_draft(),
        access.into_draft(),
        event("e1", vec![decision(Some("a")), decision(None)]),
        attempt("a", 1, "delivered", delivered()).into_draft(),
        event("e2", vec![decision(Some("b"))]),
        attempt("b", 1, "retry", retry(2)).into_draft(),
        attempt("b", 1, "accepted", None).into_draft(),
        attempt("b", 2, "permanent", Some(Follows::Outcome("dead".into()))).into_draft(),
        replay.into_draft(),
        attempt("b-again", 1, "accepted", Some(Follows::Outcome("accepted".into()))).into_draft(),
        ExportEntry { from: 0, to: 12, root: Hash([7; 32]), who: actor() }.into_draft(),
    ]
}

pub fn held_id(name: &str) -> HeldId {
    HeldId::derive(["demo", name])
}

pub fn digest_id(name: &str) -> DigestId {
    DigestId::derive(["demo", name])
}

/// A decision that holds the message which `delivery(name)` will carry.
pub fn holds(name: &str) -> Decision {
    let message = message(&delivery(name)).to_string();
    let parameters = json!({"calendar": "nights", "until": "2026-11-22T07:00:00.000Z", "of": "policy",
                            "held": held_id(name).as_str(), "message": message});
    Decision {
        outcome: "held".into(),
        control: "quiet-hours".into(),
        parameters: parameters.as_object().unwrap().clone(),
        ..decision(None)
    }
}

/// A decision that puts the alert into a digest.
pub fn joins(name: &str) -> Decision {
    let parameters = json!({"digest": digest_id(name).as_str(), "mode": "tumbling", "closesAt": "2026-11-22T06:15:00.000Z"});
    Decision {
        outcome: "digested".into(),
        control: "throttle".into(),
        parameters: parameters.as_object().unwrap().clone(),
        ..decision(None)
    }
}

fn release_of(of: Released, outcome: ReleaseOutcome, control: &str) -> ReleaseEntry {
    ReleaseEntry {
        of,
        outcome,
        rule: "critical-findings".to_owned().try_into().unwrap(),
        rule_digest: Some(PlainDigest::of(b"rule")),
        action: "chat".to_owned().try_into().unwrap(),
        control: control.into(),
        parameters: serde_json::Map::new(),
        logical_time: at(0),
        tzdb: "2026b".into(),
    }
}

fn control_of(outcome: &ReleaseOutcome) -> &'static str {
    if matches!(outcome, ReleaseOutcome::Send(_)) { "none" } else { "silence" }
}

pub fn released(name: &str, outcome: ReleaseOutcome) -> ReleaseEntry {
    let control = control_of(&outcome);
    release_of(Released::Held { held: held_id(name), message: message(&delivery(name)) }, outcome, control)
}

pub fn retried(name: &str, outcome: ReleaseOutcome) -> ReleaseEntry {
    let control = control_of(&outcome);
    let delivery = delivery(name);
    release_of(Released::Retry { message: message(&delivery), delivery }, outcome, control)
}

pub fn not_flushed(name: &str, outcome: ReleaseOutcome) -> ReleaseEntry {
    let control = control_of(&outcome);
    release_of(Released::Digest { digest: digest_id(name) }, outcome, control)
}

/// A digest whose message is `delivery(name)`'s.
pub fn digest(name: &str, entries: &[u64], count: u64) -> DigestEntry {
    DigestEntry {
        digest: digest_id(name),
        rule: "critical-findings".to_owned().try_into().unwrap(),
        rule_digest: PlainDigest::of(b"rule"),
        action: "chat".to_owned().try_into().unwrap(),
        control: "throttle".into(),
        entries: entries.to_vec(),
        true_count: count,
        retained_count: count.min(2),
        closed: DigestClosed::Window,
        parameters: serde_json::Map::new(),
        logical_time: at(0),
        tzdb: "2026b".into(),
        intent: intent(name),
    }
}

/// One entry of each kind that noise control writes: held and sent, held and cancelled, a digest, one that is not sent,
/// a retry judged anew.
pub fn kept_story() -> Vec<EntryDraft> {
    let held = Some(Follows::Attempt { attempt: 2, due_at: at(300) });
    vec![
        Genesis::default().into_draft(),
        event("e1", vec![holds("a"), joins("d")]),
        event("e2", vec![holds("b"), joins("d"), joins("x")]),
        released("a", ReleaseOutcome::Hold).into_draft(),
        released("a", ReleaseOutcome::Send(intent("a"))).into_draft(),
        attempt("a", 1, "retry", held).into_draft(),
        released("b", ReleaseOutcome::Cancel).into_draft(),
        retried("a", ReleaseOutcome::Hold).into_draft(),
        retried("a", ReleaseOutcome::Send(intent("a"))).into_draft(),
        attempt("a", 2, "delivered", delivered()).into_draft(),
        digest("d", &[1, 2], 2).into_draft(),
        attempt("d", 1, "delivered", delivered()).into_draft(),
        not_flushed("x", ReleaseOutcome::Hold).into_draft(),
        not_flushed("x", ReleaseOutcome::Cancel).into_draft(),
    ]
}

/// A log in memory, as a store would hold it.
pub struct Log {
    pub entries: Vec<NumberedEntry>,
    pub state: LogState,
    /// Checkpoint after each append.
    pub heads: Vec<(u64, String)>,
    pub pruned: Vec<u64>,
}

impl Log {
    pub fn new() -> Self {
        let state = LogState::empty(log_key().origin());
        Self { entries: vec![], state, heads: vec![], pruned: vec![] }
    }

    pub fn of(drafts: &[EntryDraft]) -> Self {
        let mut log = Self::new();
        for (draft, second) in drafts.iter().zip(0..) {
            log.append(std::slice::from_ref(draft), at(second));
        }
        log
    }

    pub fn append(&mut self, drafts: &[EntryDraft], now: Timestamp) -> Appended {
        let mut appender = Appender::new(self.state.clone());
        appender.append(drafts, now).unwrap();
        let appended = appender.finish(&log_key()).unwrap();
        self.state = appended.state.clone();
        self.entries.extend(appended.entries.clone());
        self.heads.push((self.state.range.size(), appended.checkpoint.clone()));
        appended
    }

    pub fn size(&self) -> u64 {
        self.state.range.size()
    }

    pub fn checkpoint(&self) -> &str {
        &self.heads.last().unwrap().1
    }

    pub fn head_at(&self, size: u64) -> &str {
        &self.heads.iter().find(|(at, _)| *at == size).unwrap().1
    }

    /// What `Store::ledger_nodes` answers.
    pub fn nodes(&self, wanted: &[NodeId]) -> Vec<Hash> {
        let root = |&(level, index): &NodeId| {
            let from = usize::try_from(index << level).unwrap();
            let leaves: Vec<Hash> =
                self.entries[from..from + (1 << level)].iter().map(|entry| entry.leaf_hash).collect();
            combine_subtree(&leaves).unwrap()
        };
        wanted.iter().map(root).collect()
    }

    pub fn inclusion(&self, seq: u64) -> Vec<Hash> {
        let plan = ProofPlan::inclusion(seq, self.size()).unwrap();
        plan.combine(&self.nodes(&plan.nodes())).unwrap()
    }

    pub fn consistency(&self, old: u64) -> Vec<Hash> {
        let plan = ProofPlan::consistency(old, self.size()).unwrap();
        plan.combine(&self.nodes(&plan.nodes())).unwrap()
    }

    pub fn stored(&self, seqs: impl IntoIterator<Item = u64>) -> Vec<StoredEntry<'_>> {
        seqs.into_iter()
            .map(|seq| {
                let entry = &self.entries[usize::try_from(seq).unwrap()];
                let payload = (!self.pruned.contains(&seq)).then_some(entry.payload.as_str());
                StoredEntry { seq, payload, leaf_hash: entry.leaf_hash }
            })
            .collect()
    }

    pub fn export(&self) -> Export<'_> {
        Export { entries: self.stored(0..self.size()), checkpoint: self.checkpoint(), ..Export::default() }
    }
}

pub type Files = Vec<(String, Vec<u8>)>;

pub fn files(export: &Export<'_>) -> Files {
    export.files(&export_key()).unwrap()
}

pub fn report_of(files: &Files) -> Report {
    report_with(files, VerifyOptions::default())
}

pub fn report_with(files: &Files, options: VerifyOptions) -> Report {
    verify(&files.iter().cloned().collect::<ExportFiles>(), &trust(), options)
}

pub fn codes(report: &Report) -> Vec<&'static str> {
    report.findings.iter().map(|finding| finding.code.as_str()).collect()
}

pub fn head_of(note: &str) -> Checkpoint {
    Checkpoint::parse(&crate::ledger::note::Note::parse(note.as_bytes()).unwrap().text).unwrap()
}
