//! (DESIGN 6d) What waited is judged again before it leaves: held alerts, and sends and retries that are late.
//!
//! Asked is what can have changed meanwhile: rule and channel, silences, maintenance, inhibition, quiet hours. Dedupe,
//! throttle, storm and budget are asked when it is decided, and not again.

use super::decide::PlannedDelivery;
use super::gate::{Asked, Bypassed, Facts, Hours, Stop, waits};
use super::intend::Addressed;
use super::outcome::{say_bypassed, say_hours};
use super::snapshot::Snapshot;
use super::tzdb_version;
use crate::event::Event;
use crate::ids::{ActionId, ChannelId, HeldId, RuleId};
use crate::ledger::EntryDraft;
use crate::ledger::commitment::{Commitment, PlainDigest};
use crate::ledger::entry;
use crate::ledger::noise_entries::{ReleaseEntry, ReleaseOutcome, Released};
use crate::message::Message;
use crate::noise::remembered::Remembered;
use crate::noise::state::View;
use crate::noise::{Change, Control, NoiseState, StateKey};
use crate::severity::Severity;
use crate::time::{Timestamp, rfc3339_millis};
use serde_json::{Map, Value};

/// How something that waited is judged.
#[derive(Debug, Clone, PartialEq)]
pub enum Judgement {
    Send,
    /// Not now either.
    Hold {
        until: Timestamp,
    },
    /// Never.
    Cancel,
}

/// What decided, for the record.
pub(super) struct Reason {
    pub control: &'static str,
    pub parameters: Map<String, Value>,
}

impl Reason {
    pub fn only(control: &'static str) -> Self {
        Self { control, parameters: Map::new() }
    }
}

/// Controls that are asked again.
const AGAIN: [Control; 4] =
    [Control::Silence, Control::Maintenance, Control::Inhibition, Control::QuietHours];

/// Rule, action and channel of something that waited.
pub(super) struct Origin<'a> {
    pub rule: &'a RuleId,
    pub action: &'a ActionId,
    pub channel: &'a ChannelId,
}

impl Origin<'_> {
    /// The dedupe window that an alert opened, while it is open.
    fn window_of(
        &self,
        snapshot: &Snapshot,
        event: &Event,
        at: Timestamp,
        state: &NoiseState,
    ) -> Option<StateKey> {
        let rule = snapshot.rule(self.rule).ok()?;
        let action = rule.rule.actions.iter().find(|action| action.id == *self.action)?;
        let channel = snapshot.channels.get(self.channel)?;
        let facts = Facts::of(snapshot, event, at);
        let (key, _) = Asked { facts: &facts, rule, action, channel }.dedupe_key()?;
        matches!(state.get(&key), Some(Remembered::Dedupe(_))).then_some(key)
    }

    fn judge(
        &self,
        snapshot: &Snapshot,
        event: Option<&Event>,
        at: Timestamp,
        state: &NoiseState,
    ) -> (Judgement, Reason, Option<PlainDigest>) {
        let Ok(rule) = snapshot.rule(self.rule) else {
            return (Judgement::Cancel, Reason::only("rule-disabled"), None);
        };
        let digest = Some(rule.digest);
        let cancel = |control| (Judgement::Cancel, Reason::only(control), digest);
        let Some(action) = rule.rule.actions.iter().find(|action| action.id == *self.action) else {
            return cancel("action-missing");
        };
        let Some(channel) = snapshot.channels.get(self.channel) else { return cancel("channel-missing") };
        if !channel.document.enabled {
            return cancel("channel-disabled");
        }
        let Some(event) = event else {
            // A digest: hours are asked as at its flush.
            let (judgement, reason) = waits(snapshot, rule, action, &channel.document, Severity::None, at);
            return (judgement, reason, digest);
        };
        let facts = Facts::of(snapshot, event, at);
        let asked = Asked { facts: &facts, rule, action, channel };
        let (judgement, reason) = asked.again(&View::new(state));
        (judgement, reason, digest)
    }
}

impl Asked<'_> {
    fn again(&self, view: &View<'_>) -> (Judgement, Reason) {
        let mut bypassed = Vec::new();
        for control in AGAIN {
            let Some(stop) = self.stops(control, view) else { continue };
            if let Some(hit) = self.overridden(control) {
                bypassed.push((control, Bypassed::Override(hit)));
                continue;
            }
            let mut reason = Reason::only(control.as_str());
            say_bypassed(&bypassed, &mut reason.parameters);
            let judgement = match &stop {
                Stop::Hours(hours) => of_hours(hours, &mut reason.parameters),
                // What silences and inhibits says the same as when an event comes.
                other => {
                    self.say(other, &mut reason.parameters);
                    Judgement::Cancel
                }
            };
            return (judgement, reason);
        }
        let mut reason = Reason::only("none");
        say_bypassed(&bypassed, &mut reason.parameters);
        (Judgement::Send, reason)
    }
}

/// What hours mean for something that waited already.
pub(super) fn of_hours(hours: &Hours, parameters: &mut Map<String, Value>) -> Judgement {
    say_hours(hours, parameters);
    // Also those that drop: what was decided before they began is not theirs.
    Judgement::Hold { until: hours.until }
}

/// An alert that was held.
#[derive(Debug, Clone)]
pub struct HeldAlert<'a> {
    pub id: &'a HeldId,
    pub event: &'a Event,
    pub rule: &'a RuleId,
    /// Of the decision that held it.
    pub rule_version: u64,
    pub action: &'a ActionId,
    pub channel: &'a ChannelId,
    pub message_json: &'a str,
    pub message_salt: [u8; 32],
    pub message_commitment: Commitment,
}

/// What becomes of a held alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Release {
    pub judgement: Judgement,
    /// The delivery, when it is sent.
    pub delivery: Option<PlannedDelivery>,
    pub changes: Vec<Change>,
    pub entry: EntryDraft,
}

/// Judges a held alert whose time has come.
#[must_use]
pub fn release(
    snapshot: &Snapshot,
    held: &HeldAlert<'_>,
    at: Timestamp,
    entropy: &[u8; 32],
    state: &NoiseState,
) -> Release {
    let origin = Origin { rule: held.rule, action: held.action, channel: held.channel };
    let (judgement, mut reason, rule_digest) = origin.judge(snapshot, Some(held.event), at, state);
    let key = StateKey::of_held(held.id);
    let mut changes = Vec::new();
    if judgement == Judgement::Cancel {
        // Nothing was sent, so the next one is no repeat.
        changes.extend(origin.window_of(snapshot, held.event, at, state).map(|key| (key, None)));
    }
    let mut delivery = None;
    let (outcome, change) = match &judgement {
        Judgement::Cancel => (ReleaseOutcome::Cancel, None),
        Judgement::Hold { until } => {
            reason.parameters.insert("until".to_owned(), rfc3339_millis(*until).into());
            (ReleaseOutcome::Hold, Some(Remembered::Held(until.as_microsecond())))
        }
        Judgement::Send => match snapshot.channels.get(held.channel) {
            // Judged so just now.
            None => (ReleaseOutcome::Cancel, None),
            Some(channel) => {
                let addressed = Addressed {
                    snapshot,
                    cause: format!("release:{}", held.id),
                    rule: held.rule,
                    rule_version: held.rule_version,
                    action: held.action,
                    channel: &channel.document,
                };
                let message: Message = serde_json::from_str(held.message_json).unwrap_or_default();
                let json = held.message_json.to_owned();
                let (made, intent) =
                    addressed.with(message, json, held.message_salt, held.message_commitment, entropy);
                delivery = Some(made);
                (ReleaseOutcome::Send(intent.to_entry()), None)
            }
        },
    };
    let entry = ReleaseEntry {
        of: Released::Held { held: held.id.clone(), message: held.message_commitment },
        outcome,
        rule: held.rule.clone(),
        rule_digest,
        action: held.action.clone(),
        control: reason.control.to_owned(),
        parameters: reason.parameters,
        logical_time: at,
        tzdb: tzdb_version().to_owned(),
    };
    changes.push((key, change));
    Release { judgement, delivery, changes, entry: entry.into_draft() }
}

/// A delivery whose attempt is due later than a minute after it was last decided.
#[derive(Debug, Clone)]
pub struct LateAttempt<'a> {
    /// Of its first announcement: repeated.
    pub intent: entry::Intent,
    /// `None` for a digest.
    pub event: Option<&'a Event>,
    pub rule: &'a RuleId,
    pub action: &'a ActionId,
}

/// An attempt that is more than this after the last decision is judged again.
pub const LATE: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);

/// Judges an attempt that is late. Inhibition is not asked: what fires is known to the tenant's owner alone.
#[must_use]
pub fn release_attempt(snapshot: &Snapshot, late: LateAttempt<'_>, at: Timestamp) -> (Judgement, EntryDraft) {
    let origin = Origin { rule: late.rule, action: late.action, channel: &late.intent.channel };
    let (judgement, mut reason, rule_digest) = origin.judge(snapshot, late.event, at, &NoiseState::default());
    let of = Released::Retry { delivery: late.intent.delivery.clone(), message: late.intent.message };
    let outcome = match &judgement {
        Judgement::Send => ReleaseOutcome::Send(late.intent),
        Judgement::Cancel => ReleaseOutcome::Cancel,
        Judgement::Hold { until } => {
            reason.parameters.insert("until".to_owned(), rfc3339_millis(*until).into());
            ReleaseOutcome::Hold
        }
    };
    let entry = ReleaseEntry {
        of,
        outcome,
        rule: late.rule.clone(),
        rule_digest,
        action: late.action.clone(),
        control: reason.control.to_owned(),
        parameters: reason.parameters,
        logical_time: at,
        tzdb: tzdb_version().to_owned(),
    };
    (judgement, entry.into_draft())
}
