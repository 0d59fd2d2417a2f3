//! Event in, decisions and deliveries out.

use super::snapshot::{CompiledRule, Snapshot};
use super::tzdb_version;
use crate::document::rule::Action;
use crate::document::{Channel, Version};
use crate::event::Event;
use crate::ids::{ActionId, ChannelId, DeliveryId, RuleId};
use crate::ledger::EntryDraft;
use crate::ledger::commitment::{Commitment, PlainDigest, salt};
use crate::ledger::entry;
use crate::message::Message;
use crate::problem::Problem;
use crate::render::RenderContext;
use crate::time::Timestamp;
use serde_json::{Map, Value};

/// What was decided for one action of one matching rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    pub rule: RuleId,
    pub rule_version: u64,
    pub rule_digest: PlainDigest,
    pub action: ActionId,
    pub channel: ChannelId,
    pub verdict: Verdict,
    /// Controls that would have decided as well, had none before them done so.
    pub also_applied: Vec<String>,
}

/// The outcome of a decision. Noise control adds its controls here.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Send(Box<Intent>),
    /// The template failed; the built-in fallback is sent, and the record says so.
    SendFallback(Box<Intent>, Problem),
    /// Not sent, by this control.
    Suppressed {
        control: &'static str,
        parameters: Map<String, Value>,
    },
}

impl Verdict {
    #[must_use]
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::Send(_) => "send",
            Self::SendFallback(..) => "render-failed",
            Self::Suppressed { .. } => "suppressed",
        }
    }

    #[must_use]
    pub const fn intent(&self) -> Option<&Intent> {
        match self {
            Self::Send(intent) | Self::SendFallback(intent, _) => Some(intent),
            Self::Suppressed { .. } => None,
        }
    }
}

impl Decision {
    fn to_entry(&self, logical_time: Timestamp) -> entry::Decision {
        let (control, parameters) = match &self.verdict {
            Verdict::Suppressed { control, parameters } => (*control, parameters.clone()),
            Verdict::Send(intent) => ("none", intent.texts()),
            Verdict::SendFallback(intent, problem) => {
                let mut parameters = intent.texts();
                parameters.insert("code".to_owned(), problem.code.as_str().into());
                parameters.insert("path".to_owned(), problem.path.as_str().into());
                ("none", parameters)
            }
        };
        entry::Decision {
            rule: self.rule.clone(),
            rule_digest: self.rule_digest,
            action: self.action.clone(),
            outcome: self.verdict.outcome().to_owned(),
            control: control.to_owned(),
            parameters,
            logical_time,
            tzdb: tzdb_version().to_owned(),
            also_applied: self.also_applied.clone(),
            intent: self.verdict.intent().map(Intent::to_entry),
        }
    }
}

impl Intent {
    /// The versions of template and texts that the message was made of.
    fn texts(&self) -> Map<String, Value> {
        let mut texts = Map::new();
        if let Some(digest) = &self.template_digest {
            texts.insert("templateDigest".to_owned(), digest.as_str().into());
        }
        if !self.bundle_digests.is_empty() {
            texts.insert("bundleDigests".to_owned(), self.bundle_digests.clone().into());
        }
        texts
    }

    /// The delivery id is the idempotency key: receivers see it on every attempt.
    #[must_use]
    pub fn to_entry(&self) -> entry::Intent {
        entry::Intent {
            delivery: self.delivery.clone(),
            channel: self.channel.clone(),
            target: self.target,
            message: self.message,
            idempotency_key: self.delivery.to_string(),
        }
    }
}

/// What is about to be sent, as the ledger commits to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    pub delivery: DeliveryId,
    pub channel: ChannelId,
    pub target: Commitment,
    pub message: Commitment,
    /// `None` for the built-in fallback.
    pub template_digest: Option<String>,
    pub bundle_digests: Vec<String>,
}

/// A delivery to create.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedDelivery {
    pub id: DeliveryId,
    /// `event:<key>`.
    pub cause: String,
    pub rule: RuleId,
    pub rule_version: u64,
    pub action: ActionId,
    pub channel: ChannelId,
    pub message: Message,
    /// JSON text of `message`: the bytes that are committed to, stored and sent.
    pub message_json: String,
    pub message_salt: [u8; 32],
    pub message_commitment: Commitment,
    pub target: String,
    pub target_salt: [u8; 32],
}

/// All that follows from one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    pub decisions: Vec<Decision>,
    pub deliveries: Vec<PlannedDelivery>,
    /// Enabled rules that did not match.
    pub unmatched: u64,
    /// Salt of the event's commitment; with the event's body it is the opening.
    pub event_salt: [u8; 32],
    pub entry: EntryDraft,
}

/// Decides what happens to an event.
///
/// `logical` is the event's logical time (`time::logical`), `entropy` is drawn by the caller once per event and
/// dropped afterwards: salts are derived from it, and erasing an opening is final.
#[must_use]
pub fn plan(snapshot: &Snapshot, event: &Event, logical: Timestamp, entropy: &[u8; 32]) -> Planned {
    let matching = snapshot.matching(&event.value);
    let unmatched = snapshot.rule_count().saturating_sub(matching.len()) as u64;
    let mut decisions = Vec::new();
    let mut deliveries = Vec::new();
    for rule in matching {
        for action in &rule.rule.actions {
            let verdict = match usable_channel(snapshot, action) {
                Ok(channel) => {
                    let (verdict, delivery) = intend(snapshot, event, rule, action, channel, entropy);
                    deliveries.push(delivery);
                    verdict
                }
                Err(suppressed) => suppressed,
            };
            decisions.push(Decision {
                rule: rule.rule.id.clone(),
                rule_version: rule.version,
                rule_digest: rule.digest,
                action: action.id.clone(),
                channel: action.channel.clone(),
                verdict,
                also_applied: Vec::new(),
            });
        }
    }
    let event_salt = salt(entropy, event.key.as_str(), "event", 0);
    let entry = entry::EventEntry {
        key: event.key.clone(),
        event: Commitment::of(&event_salt, event.body.as_bytes()),
        decisions: decisions.iter().map(|decision| decision.to_entry(logical)).collect(),
        unmatched,
    };
    let entry = entry.into_draft();
    Planned { decisions, deliveries, unmatched, event_salt, entry }
}

fn usable_channel<'s>(snapshot: &'s Snapshot, action: &Action) -> Result<&'s Version<Channel>, Verdict> {
    let suppressed = |control| Verdict::Suppressed { control, parameters: Map::new() };
    match snapshot.channels.get(&action.channel) {
        None => Err(suppressed("channel-missing")),
        Some(channel) if !channel.document.enabled => Err(suppressed("channel-disabled")),
        Some(channel) => Ok(channel),
    }
}

fn intend(
    snapshot: &Snapshot,
    event: &Event,
    rule: &CompiledRule,
    action: &Action,
    channel: &Version<Channel>,
    entropy: &[u8; 32],
) -> (Verdict, PlannedDelivery) {
    let cause = format!("event:{}", event.key);
    let target = target_of(&channel.document);
    let id = DeliveryId::derive([
        snapshot.tenant.as_str(),
        &cause,
        rule.rule.id.as_str(),
        action.id.as_str(),
        action.channel.as_str(),
        &target,
    ]);
    let locale =
        action.locale.as_deref().or(channel.document.locale.as_deref()).unwrap_or(&snapshot.default_locale);
    let rendered = snapshot.library.render(
        action.template.as_ref(),
        locale,
        &event.value,
        &RenderContext {
            tenant: snapshot.tenant.as_str(),
            rule_id: rule.rule.id.as_str(),
            rule_name: &rule.rule.name,
            channel_id: action.channel.as_str(),
        },
    );
    let message_json = serde_json::to_string(&rendered.message).unwrap_or_default();
    let message_salt = salt(entropy, id.as_str(), "message", 0);
    let target_salt = salt(entropy, id.as_str(), "target", 0);
    let intent = Box::new(Intent {
        delivery: id.clone(),
        channel: action.channel.clone(),
        target: Commitment::of(&target_salt, target.as_bytes()),
        message: Commitment::of(&message_salt, message_json.as_bytes()),
        template_digest: rendered.template_digest,
        bundle_digests: rendered.bundle_digests,
    });
    let delivery = PlannedDelivery {
        id,
        cause,
        rule: rule.rule.id.clone(),
        rule_version: rule.version,
        action: action.id.clone(),
        channel: action.channel.clone(),
        message: rendered.message,
        message_json,
        message_salt,
        message_commitment: intent.message,
        target,
        target_salt,
    };
    let verdict = match rendered.failed {
        None => Verdict::Send(intent),
        Some(problem) => Verdict::SendFallback(intent, problem),
    };
    (verdict, delivery)
}

/// Where a channel sends: its `url` or `to`, or else its whole configuration as JSON.
#[must_use]
pub fn target_of(channel: &Channel) -> String {
    for key in ["url", "to"] {
        if let Some(Value::String(text)) = channel.config.get(key) {
            return text.clone();
        }
    }
    serde_json::to_string(&channel.config).unwrap_or_default()
}
