//! Entries of noise control: what was held is judged again, what was collected is sent as one.

use super::commitment::{Commitment, PlainDigest};
use super::draft::{EntryDraft, EntryKind};
use super::entry::{Intent, object, subject};
use crate::ids::{ActionId, DeliveryId, DigestId, HeldId, RuleId};
use crate::time::{Timestamp, rfc3339_millis};
use serde_json::{Map, Value, json};

/// What is judged again before it may leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Released {
    /// An alert that a decision of an event entry held. `message` is the commitment of that decision's parameters,
    /// repeated: a held message is rendered once and never anew.
    Held { held: HeldId, message: Commitment },
    /// A send or retry that waited too long since its last decision. `message` is its intent's, repeated.
    Retry { delivery: DeliveryId, message: Commitment },
    /// A digest at its flush that is *not* sent: one that is sent has a [`DigestEntry`].
    Digest { digest: DigestId },
}

/// How it was judged.
#[derive(Debug, Clone)]
pub enum ReleaseOutcome {
    /// Held: the intent of the new delivery. Retry: the same delivery, which announces its next attempt. Both repeat
    /// the message commitment. Never of a digest.
    Send(Intent),
    /// Not now either; `parameters` say until when.
    Hold,
    /// Never: the end.
    Cancel,
}

impl ReleaseOutcome {
    pub const NAMES: [&'static str; 3] = ["send", "hold", "cancel"];

    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Send(_) => "send",
            Self::Hold => "hold",
            Self::Cancel => "cancel",
        }
    }
}

/// One judgement at a release.
#[derive(Debug, Clone)]
pub struct ReleaseEntry {
    pub of: Released,
    pub outcome: ReleaseOutcome,
    pub rule: RuleId,
    /// Of the version that was judged; `None` for a delivery that no rule made (a test message).
    pub rule_digest: Option<PlainDigest>,
    pub action: ActionId,
    /// What decided: a control, `rule-disabled`, `rule-missing`, `channel-disabled`, …; `none` when nothing stood in
    /// the way.
    pub control: String,
    pub parameters: Map<String, Value>,
    pub logical_time: Timestamp,
    pub tzdb: String,
}

impl ReleaseEntry {
    #[must_use]
    pub fn into_draft(self) -> EntryDraft {
        let (name, id, message) = match self.of {
            Released::Held { held, message } => ("held", String::from(held), Some(message)),
            Released::Retry { delivery, message } => ("retry", delivery.into(), Some(message)),
            Released::Digest { digest } => ("digest", digest.into(), None),
        };
        let id_field = if name == "retry" { "delivery" } else { name };
        let mut predicate = object(json!({
            "release": name,
            "rule": self.rule.as_str(),
            "action": self.action.as_str(),
            "outcome": self.outcome.as_str(),
            "control": self.control,
            "logicalTime": rfc3339_millis(self.logical_time),
            "tzdb": self.tzdb,
        }));
        predicate.insert(id_field.into(), id.as_str().into());
        predicate.insert("parameters".into(), Value::Object(self.parameters));
        if let Some(digest) = self.rule_digest {
            predicate.insert("ruleDigest".into(), digest.to_string().into());
        }
        let mut subjects = vec![];
        if let Some(message) = message {
            predicate.insert("message".into(), message.to_string().into());
            subjects.push(subject("message", &message));
        } else if let Some(digest) = self.rule_digest {
            subjects.push(("rule".to_owned(), digest.hex()));
        } else {
            subjects.push(("digest".to_owned(), PlainDigest::of(id.as_bytes()).hex()));
        }
        if let ReleaseOutcome::Send(intent) = self.outcome {
            predicate.insert("intent".into(), intent.to_value());
        }
        EntryDraft { kind: EntryKind::Release, subject: subjects, predicate, about: id }
    }
}

/// Why a digest's window ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestClosed {
    /// Its time was over.
    Window,
    /// As many alerts as one digest takes.
    Count,
    /// The calendar said so.
    Schedule,
}

impl DigestClosed {
    pub const ALL: [Self; 3] = [Self::Window, Self::Count, Self::Schedule];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Count => "count",
            Self::Schedule => "schedule",
        }
    }
}

/// One delivery for many alerts.
#[derive(Debug, Clone)]
pub struct DigestEntry {
    pub digest: DigestId,
    pub rule: RuleId,
    pub rule_digest: PlainDigest,
    pub action: ActionId,
    /// Why there is a digest: `digest`, or the control that overflowed into one.
    pub control: String,
    /// Numbers of the event entries with a decision that went into it (the first part's, of an entry in parts).
    /// `into_draft` brings them in rising order, each once.
    pub entries: Vec<u64>,
    /// Decisions that went into it.
    pub true_count: u64,
    /// Alerts that the message names.
    pub retained_count: u64,
    pub closed: DigestClosed,
    pub parameters: Map<String, Value>,
    pub logical_time: Timestamp,
    pub tzdb: String,
    pub intent: Intent,
}

impl DigestEntry {
    #[must_use]
    pub fn into_draft(mut self) -> EntryDraft {
        self.entries.sort_unstable();
        self.entries.dedup();
        let mut predicate = object(json!({
            "digest": self.digest.as_str(),
            "rule": self.rule.as_str(),
            "ruleDigest": self.rule_digest.to_string(),
            "action": self.action.as_str(),
            "control": self.control,
            "trueCount": self.true_count,
            "retainedCount": self.retained_count,
            "closed": self.closed.as_str(),
            "logicalTime": rfc3339_millis(self.logical_time),
            "tzdb": self.tzdb,
            "intent": self.intent.to_value(),
        }));
        predicate.insert("entries".into(), self.entries.into());
        predicate.insert("parameters".into(), Value::Object(self.parameters));
        EntryDraft {
            kind: EntryKind::Digest,
            subject: vec![subject("message", &self.intent.message)],
            predicate,
            about: self.digest.into(),
        }
    }
}
