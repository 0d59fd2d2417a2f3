//! Typed fields of the kinds that this version writes. Each `into_draft` is the only place that spells its kind's
//! field names; `export::semantics` is the only place that reads them.

use super::commitment::{Commitment, PlainDigest};
use super::draft::{EntryDraft, EntryKind};
use super::tree::Hash;
use crate::ids::{ActionId, ChannelId, DeliveryId, EventKey, RuleId};
use crate::time::{Timestamp, rfc3339_millis};
use serde_json::{Map, Value, json};

/// What an attempt can end in.
pub const RESULTS: [&str; 11] = [
    "delivered",
    "accepted",
    "retry",
    "throttled",
    "permanent",
    "bad-config",
    "gone",
    "cancelled",
    "timeout",
    "crashed",
    "unknown",
];

pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

pub(super) fn subject(name: &str, commitment: &Commitment) -> (String, String) {
    (name.to_owned(), commitment.hex())
}

/// The first entry of a log.
#[derive(Debug, Clone, Default)]
pub struct Genesis {
    /// The head of the log that this one continues after `notify ledger recover`.
    pub predecessor: Option<Predecessor>,
}

#[derive(Debug, Clone)]
pub struct Predecessor {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

impl Genesis {
    /// Its `log` subject is added when it is appended.
    #[must_use]
    pub fn into_draft(self) -> EntryDraft {
        let mut predicate = Map::new();
        if let Some(Predecessor { origin, size, root }) = self.predecessor {
            let root = PlainDigest(root.0).to_string();
            predicate.insert("predecessor".into(), json!({"log": origin, "size": size, "rootDigest": root}));
        }
        EntryDraft { kind: EntryKind::Genesis, subject: vec![], predicate, about: String::new() }
    }
}

/// An event and what every matching rule decided about it.
#[derive(Debug, Clone)]
pub struct EventEntry {
    pub key: EventKey,
    /// Over the canonical event.
    pub event: Commitment,
    pub decisions: Vec<Decision>,
    /// Rules that did not match.
    pub unmatched: u64,
}

/// One matching rule and action.
#[derive(Debug, Clone)]
pub struct Decision {
    pub rule: RuleId,
    pub rule_digest: PlainDigest,
    pub action: ActionId,
    /// `send`, `suppressed`, `held`, `digested`, `render-failed`, …
    pub outcome: String,
    /// The control that decided (`dedupe`, `throttle`, …); `none` when nothing stood in the way.
    pub control: String,
    pub parameters: Map<String, Value>,
    pub logical_time: Timestamp,
    /// Version of the time zone database.
    pub tzdb: String,
    /// Later controls that would have decided the same way.
    pub also_applied: Vec<String>,
    /// What is going to be sent, when something is.
    pub intent: Option<Intent>,
}

/// The announcement of a delivery's first attempt; nothing leaves before it is committed.
#[derive(Debug, Clone)]
pub struct Intent {
    pub delivery: DeliveryId,
    pub channel: ChannelId,
    pub target: Commitment,
    pub message: Commitment,
    pub idempotency_key: String,
}

impl Intent {
    pub(super) fn to_value(&self) -> Value {
        json!({
            "delivery": self.delivery.as_str(),
            "channel": self.channel.as_str(),
            "target": self.target.to_string(),
            "message": self.message.to_string(),
            "idempotencyKey": self.idempotency_key,
        })
    }
}

impl Decision {
    fn into_value(self) -> Value {
        let mut fields = object(json!({
            "rule": self.rule.as_str(),
            "ruleDigest": self.rule_digest.to_string(),
            "action": self.action.as_str(),
            "outcome": self.outcome,
            "control": self.control,
            "logicalTime": rfc3339_millis(self.logical_time),
            "tzdb": self.tzdb,
            "alsoApplied": self.also_applied,
        }));
        fields.insert("parameters".into(), Value::Object(self.parameters));
        if let Some(intent) = self.intent {
            fields.insert("intent".into(), intent.to_value());
        }
        Value::Object(fields)
    }
}

impl EventEntry {
    #[must_use]
    pub fn into_draft(self) -> EntryDraft {
        let mut predicate = object(json!({"event": self.event.to_string(), "unmatched": self.unmatched}));
        let decisions = self.decisions.into_iter().map(Decision::into_value).collect();
        predicate.insert("decisions".into(), Value::Array(decisions));
        EntryDraft {
            kind: EntryKind::Event,
            subject: vec![subject("event", &self.event)],
            predicate,
            about: self.key.into(),
        }
    }
}

/// What follows an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Follows {
    /// The delivery is over: `delivered`, `accepted`, `dead`, `gone`, `cancelled`.
    Outcome(String),
    /// The announcement of the next attempt.
    Attempt { attempt: u32, due_at: Timestamp },
}

/// The result of one attempt.
#[derive(Debug, Clone)]
pub struct AttemptEntry {
    pub delivery: DeliveryId,
    /// From 1.
    pub attempt: u32,
    /// One of [`RESULTS`].
    pub result: String,
    /// The intent's message commitment, repeated.
    pub message: Commitment,
    /// With ‹secret:name› in place of secrets; `None` when there was none (`unknown`, `cancelled`).
    pub request: Option<Commitment>,
    pub response: Option<Commitment>,
    /// `None` only for late results, which change nothing.
    pub follows: Option<Follows>,
    /// The claim was stale: somebody else's record of this attempt stands.
    pub late: bool,
}

impl AttemptEntry {
    #[must_use]
    pub fn into_draft(self) -> EntryDraft {
        let mut predicate = object(json!({
            "delivery": self.delivery.as_str(),
            "attempt": self.attempt,
            "result": self.result,
            "message": self.message.to_string(),
        }));
        let mut subjects = vec![subject("message", &self.message)];
        for (name, commitment) in [("request", &self.request), ("response", &self.response)] {
            if let Some(commitment) = commitment {
                predicate.insert(name.into(), commitment.to_string().into());
                subjects.push(subject(name, commitment));
            }
        }
        if let Some(follows) = self.follows {
            let follows = match follows {
                Follows::Outcome(outcome) => json!({"outcome": outcome}),
                Follows::Attempt { attempt, due_at } => {
                    json!({"attempt": attempt, "dueAt": rfc3339_millis(due_at)})
                }
            };
            predicate.insert("follows".into(), follows);
        }
        if self.late {
            predicate.insert("late".into(), true.into());
        }
        EntryDraft { kind: EntryKind::Attempt, subject: subjects, predicate, about: self.delivery.into() }
    }
}

/// Something done to a delivery, or a delivery made by hand.
#[derive(Debug, Clone)]
pub enum DeliveryAct {
    /// A new delivery with the message of another, again.
    Replay { of: DeliveryId, intent: Intent },
    /// A new delivery with the message of one that its channel could not deliver, through another channel.
    Fallback { of: DeliveryId, reason: String, intent: Intent },
    /// A test message.
    Test { intent: Intent },
    /// No further attempt.
    Cancel { delivery: DeliveryId, message: Commitment },
    /// Given up outside of an attempt (an attempt's own end stands in its `follows`).
    DeadLetter { delivery: DeliveryId, message: Commitment, reason: String },
}

#[derive(Debug, Clone)]
pub struct DeliveryEntry {
    pub act: DeliveryAct,
    /// Who did it; `None` for the system itself.
    pub actor: Option<Commitment>,
}

impl DeliveryEntry {
    #[must_use]
    pub fn into_draft(self) -> EntryDraft {
        let (act, delivery, message, extra) = match self.act {
            DeliveryAct::Replay { of, intent } => {
                let extra = json!({"replayOf": of.as_str(), "intent": intent.to_value()});
                ("replay", intent.delivery, intent.message, extra)
            }
            DeliveryAct::Fallback { of, reason, intent } => {
                let extra = json!({"fallbackOf": of.as_str(), "reason": reason, "intent": intent.to_value()});
                ("fallback", intent.delivery, intent.message, extra)
            }
            DeliveryAct::Test { intent } => {
                ("test", intent.delivery.clone(), intent.message, json!({"intent": intent.to_value()}))
            }
            DeliveryAct::Cancel { delivery, message } => ("cancel", delivery, message, json!({})),
            DeliveryAct::DeadLetter { delivery, message, reason } => {
                ("dead-letter", delivery, message, json!({"reason": reason}))
            }
        };
        let mut predicate = object(extra);
        predicate.insert("act".into(), act.into());
        predicate.insert("delivery".into(), delivery.as_str().into());
        predicate.insert("message".into(), message.to_string().into());
        let mut subjects = vec![subject("message", &message)];
        if let Some(actor) = self.actor {
            predicate.insert("actor".into(), actor.to_string().into());
            subjects.push(subject("actor", &actor));
        }
        EntryDraft { kind: EntryKind::Delivery, subject: subjects, predicate, about: delivery.into() }
    }
}

/// How a document's content is named.
#[derive(Debug, Clone, Copy)]
pub enum DocumentContent {
    /// Not personal (rule, template, calendar): a plain digest that others can compare with their copy.
    Plain(PlainDigest),
    /// May hold addresses (channel, contact): only a commitment, which an opening can resolve.
    Committed(Commitment),
}

/// A change of configuration.
#[derive(Debug, Clone)]
pub struct ConfigEntry {
    /// `rule`, `channel`, `template`, …
    pub document_kind: String,
    pub document: String,
    pub version: u64,
    /// `create`, `replace` or `delete`.
    pub action: ConfigAction,
    pub content: DocumentContent,
    /// Who did it.
    pub actor: Commitment,
    /// Codes of the problems that would have refused it, had it not been forced (`rule-tests-failed`).
    pub forced: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigAction {
    Create,
    Replace,
    Delete,
}

impl ConfigAction {
    pub const ALL: [Self; 3] = [Self::Create, Self::Replace, Self::Delete];
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Delete => "delete",
        }
    }
}

impl ConfigEntry {
    #[must_use]
    pub fn into_draft(self) -> EntryDraft {
        let (field, text, digest) = match self.content {
            DocumentContent::Plain(digest) => ("configDigest", digest.to_string(), digest.hex()),
            DocumentContent::Committed(commitment) => ("config", commitment.to_string(), commitment.hex()),
        };
        let about = format!("{}/{}", self.document_kind, self.document);
        let mut predicate = object(json!({
            "documentKind": self.document_kind,
            "document": self.document,
            "version": self.version,
            "action": self.action.as_str(),
            "actor": self.actor.to_string(),
        }));
        predicate.insert(field.into(), text.into());
        if !self.forced.is_empty() {
            predicate.insert("forced".into(), self.forced.into());
        }
        EntryDraft {
            kind: EntryKind::Config,
            subject: vec![("config".to_owned(), digest), subject("actor", &self.actor)],
            predicate,
            about,
        }
    }
}

/// Access given or taken.
#[derive(Debug, Clone)]
pub struct AccessEntry {
    /// `token-issued`, `token-revoked`, …
    pub act: String,
    /// Who did it.
    pub actor: Commitment,
    /// Further fields of the act, nothing personal: scopes, expiry.
    pub details: Map<String, Value>,
    /// For look-up only.
    pub about: String,
}

impl AccessEntry {
    #[must_use]
    pub fn into_draft(self) -> EntryDraft {
        let mut predicate = object(json!({"act": self.act, "actor": self.actor.to_string()}));
        if !self.details.is_empty() {
            predicate.insert("details".into(), Value::Object(self.details));
        }
        EntryDraft {
            kind: EntryKind::Access,
            subject: vec![subject("actor", &self.actor)],
            predicate,
            about: self.about,
        }
    }
}

/// An export that was made: who took which range, under which root.
#[derive(Debug, Clone)]
pub struct ExportEntry {
    pub from: u64,
    /// Exclusive.
    pub to: u64,
    pub root: Hash,
    pub who: Commitment,
}

impl ExportEntry {
    #[must_use]
    pub fn into_draft(self) -> EntryDraft {
        let predicate = object(json!({
            "range": [self.from, self.to],
            "rootDigest": PlainDigest(self.root.0).to_string(),
            "who": self.who.to_string(),
        }));
        EntryDraft {
            kind: EntryKind::Export,
            subject: vec![subject("who", &self.who)],
            predicate,
            about: format!("{}..{}", self.from, self.to),
        }
    }
}
