//! Event in; decisions, deliveries and changes of what is remembered out.

use super::gate::{Asked, Facts};
use super::intend::{self, Made};
use super::outcome::{Outcome, Settled};
use super::snapshot::{CompiledRule, Snapshot};
use super::tzdb_version;
use crate::document::rule::Action;
use crate::document::{Channel, Version};
use crate::event::Event;
use crate::ids::{ActionId, ChannelId, DeliveryId, DigestId, EventKey, HeldId, RuleId};
use crate::ledger::EntryDraft;
use crate::ledger::commitment::{Commitment, PlainDigest, salt};
use crate::ledger::entry;
use crate::message::Message;
use crate::noise::remembered::{Firing, Remembered};
use crate::noise::state::View;
use crate::noise::window::micros;
use crate::noise::{Change, Control, NoiseState, StateKey};
use crate::problem::Problem;
use crate::severity::Severity;
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
    /// What the record says besides: what an override bypassed, with which numbers a control decided.
    pub parameters: Map<String, Value>,
    /// Controls that would have decided as well, had none before them done so.
    pub also_applied: Vec<&'static str>,
}

/// The outcome of a decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Send(Box<Intent>),
    /// The template failed; the built-in fallback is sent, and the record says so.
    SendFallback(Box<Intent>, Problem),
    /// Not sent, by this control.
    Suppressed {
        control: &'static str,
    },
    /// Judged again at that time.
    Held {
        control: Control,
        held: HeldId,
        until: Timestamp,
    },
    /// Part of a digest.
    Digested {
        control: Control,
        digest: DigestId,
        closes_at: Timestamp,
    },
}

impl Verdict {
    #[must_use]
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::Send(_) => "send",
            Self::SendFallback(..) => "render-failed",
            Self::Suppressed { .. } => "suppressed",
            Self::Held { .. } => "held",
            Self::Digested { .. } => "digested",
        }
    }

    /// The control that decided; `none` when nothing stood in the way.
    #[must_use]
    pub const fn control(&self) -> &'static str {
        match self {
            Self::Send(_) | Self::SendFallback(..) => "none",
            Self::Suppressed { control } => control,
            Self::Held { control, .. } | Self::Digested { control, .. } => control.as_str(),
        }
    }

    #[must_use]
    pub const fn intent(&self) -> Option<&Intent> {
        match self {
            Self::Send(intent) | Self::SendFallback(intent, _) => Some(intent),
            _ => None,
        }
    }
}

impl Decision {
    fn to_entry(&self, logical_time: Timestamp) -> entry::Decision {
        entry::Decision {
            rule: self.rule.clone(),
            rule_digest: self.rule_digest,
            action: self.action.clone(),
            outcome: self.verdict.outcome().to_owned(),
            control: self.verdict.control().to_owned(),
            parameters: self.parameters.clone(),
            logical_time,
            tzdb: tzdb_version().to_owned(),
            also_applied: self.also_applied.iter().map(|control| (*control).to_owned()).collect(),
            intent: self.verdict.intent().map(Intent::to_entry),
        }
    }
}

impl Intent {
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
}

/// A delivery to create.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedDelivery {
    pub id: DeliveryId,
    /// `event:<key>`, `release:<held>` or `digest:<digest>`.
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

/// An alert to hold back: rendered once, and those bytes are sent later.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedHold {
    pub id: HeldId,
    pub rule: RuleId,
    pub rule_version: u64,
    pub action: ActionId,
    pub channel: ChannelId,
    pub control: Control,
    pub release_at: Timestamp,
    pub message: Message,
    pub message_json: String,
    pub message_salt: [u8; 32],
    pub message_commitment: Commitment,
}

/// An alert that became part of a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedItem {
    pub digest: DigestId,
    /// Its place in the digest, from 1.
    pub number: u32,
    pub rule: RuleId,
    pub action: ActionId,
    pub severity: Severity,
}

/// All that follows from one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    pub decisions: Vec<Decision>,
    pub deliveries: Vec<PlannedDelivery>,
    pub holds: Vec<PlannedHold>,
    pub items: Vec<PlannedItem>,
    /// What is remembered from now on.
    pub changes: Vec<Change>,
    /// What was looked up, whether it was there or not: whoever plans on a part of the state needs these.
    pub reads: Vec<StateKey>,
    /// Enabled rules that did not match.
    pub unmatched: u64,
    /// Salt of the event's commitment; with the event's body it is the opening.
    pub event_salt: [u8; 32],
    pub entry: EntryDraft,
}

/// What one event leads to, as it is put together.
struct Making<'a> {
    decisions: Vec<Decision>,
    deliveries: Vec<PlannedDelivery>,
    holds: Vec<PlannedHold>,
    items: Vec<PlannedItem>,
    entropy: &'a [u8; 32],
}

/// Decides what happens to an event.
///
/// `logical` is the event's logical time (`time::logical`); timers that are due by then have fired. `entropy` is drawn
/// by the caller once per event and dropped afterwards: salts are derived from it, and erasing an opening is final.
/// Nothing is changed in `state`: the caller applies [`Planned::changes`].
#[must_use]
pub fn plan(
    snapshot: &Snapshot,
    event: &Event,
    logical: Timestamp,
    entropy: &[u8; 32],
    state: &NoiseState,
) -> Planned {
    let matching = snapshot.matching(&event.value);
    let unmatched = snapshot.rule_count().saturating_sub(matching.len()) as u64;
    let facts = Facts::of(snapshot, event, logical);
    let mut view = View::new(state);
    // Before its own alerts are judged: what it ends mutes nothing any more. A source never mutes itself
    // (`noise::inhibition`).
    fire(&facts, &mut view);
    let mut making = Making {
        decisions: Vec::new(),
        deliveries: Vec::new(),
        holds: Vec::new(),
        items: Vec::new(),
        entropy,
    };
    for rule in matching {
        for action in &rule.rule.actions {
            making.decide(&facts, rule, action, &mut view);
        }
    }
    let Making { decisions, deliveries, holds, items, .. } = making;
    let event_salt = salt(entropy, event.key.as_str(), "event", 0);
    let entry = entry::EventEntry {
        key: event.key.clone(),
        event: Commitment::of(&event_salt, event.body.as_bytes()),
        decisions: decisions.iter().map(|decision| decision.to_entry(logical)).collect(),
        unmatched,
    };
    let entry = entry.into_draft();
    let (changes, reads) = view.finish();
    Planned { decisions, deliveries, holds, items, changes, reads, unmatched, event_salt, entry }
}

/// (DESIGN 6a) What an event says of sources is remembered whether its own alerts are sent or not.
fn fire(facts: &Facts<'_>, view: &mut View<'_>) {
    let now = facts.now();
    for change in facts.sides.sources() {
        let known = match view.get(&change.key) {
            Some(Remembered::Firing(firing)) if now < firing.until => Some(firing.since),
            _ => None,
        };
        if change.firing {
            let until = now.saturating_add(micros(change.lasts));
            view.put(change.key, Remembered::Firing(Firing { since: known.unwrap_or(now), until }));
        } else if known.is_some() {
            view.forget(change.key);
        }
    }
}

fn usable_channel<'s>(snapshot: &'s Snapshot, action: &Action) -> Result<&'s Version<Channel>, &'static str> {
    match snapshot.channels.get(&action.channel) {
        None => Err("channel-missing"),
        Some(channel) if !channel.document.enabled => Err("channel-disabled"),
        Some(channel) => Ok(channel),
    }
}

impl Making<'_> {
    fn decide(&mut self, facts: &Facts<'_>, rule: &CompiledRule, action: &Action, view: &mut View<'_>) {
        let mut decision = Decision {
            rule: rule.rule.id.clone(),
            rule_version: rule.version,
            rule_digest: rule.digest,
            action: action.id.clone(),
            channel: action.channel.clone(),
            verdict: Verdict::Suppressed { control: "none" },
            parameters: Map::new(),
            also_applied: Vec::new(),
        };
        match usable_channel(facts.snapshot, action) {
            Err(control) => decision.verdict = Verdict::Suppressed { control },
            Ok(channel) => {
                let asked = Asked { facts, rule, action, channel };
                let settled = asked.settle(asked.judge(view), view);
                decision.also_applied = settled.also.iter().map(|control| control.as_str()).collect();
                self.make(&asked, settled, &mut decision, view);
            }
        }
        decision.parameters.insert("ruleVersion".to_owned(), rule.version.into());
        self.decisions.push(decision);
    }

    fn make(&mut self, asked: &Asked<'_>, settled: Settled, decision: &mut Decision, view: &mut View<'_>) {
        let Settled { control, outcome, parameters, .. } = settled;
        decision.parameters = parameters;
        let control = control.unwrap_or(Control::Budget);
        decision.verdict = match outcome {
            Outcome::Suppress => Verdict::Suppressed { control: control.as_str() },
            Outcome::Send => {
                let Made { delivery, intent, failed } =
                    intend::delivery(asked, self.entropy, &mut decision.parameters);
                self.deliveries.push(delivery);
                match failed {
                    None => Verdict::Send(Box::new(intent)),
                    Some(problem) => Verdict::SendFallback(Box::new(intent), problem),
                }
            }
            Outcome::Hold { until } => {
                let hold = intend::hold(asked, control, until, self.entropy, &mut decision.parameters);
                let held = hold.id.clone();
                view.put(StateKey::of_held(&held), Remembered::Held(until.as_microsecond()));
                self.holds.push(hold);
                Verdict::Held { control, held, until }
            }
            Outcome::Collect(collected) => {
                self.items.push(PlannedItem {
                    digest: collected.digest.clone(),
                    number: collected.number,
                    rule: decision.rule.clone(),
                    action: decision.action.clone(),
                    severity: asked.facts.severity,
                });
                let closes_at = Timestamp::from_microsecond(collected.closes_at).unwrap_or(asked.facts.at);
                Verdict::Digested { control, digest: collected.digest, closes_at }
            }
        };
    }
}

/// The cause of an event's own deliveries.
pub(super) fn event_cause(key: &EventKey) -> String {
    format!("event:{key}")
}
