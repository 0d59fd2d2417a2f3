//! A digest whose window is over becomes one delivery, or waits, or ends.

use super::decide::PlannedDelivery;
use super::gate;
use super::intend::{Addressed, context, locale, say_texts};
use super::release::{Judgement, Reason};
use super::snapshot::{CompiledRule, Snapshot};
use super::tzdb_version;
use crate::document::noise::{Digest, DigestMode, Empty, Keep};
use crate::document::rule::Action;
use crate::document::{Channel, Version};
use crate::ids::{ActionId, DigestId, RuleId};
use crate::ledger::EntryDraft;
use crate::ledger::noise_entries::{DigestClosed, DigestEntry, ReleaseEntry, ReleaseOutcome, Released};
use crate::noise::remembered::Remembered;
use crate::noise::window::{MOST_ALERTS, Window};
use crate::noise::{Change, Control, StateKey};
use crate::problem::Problem;
use crate::render::{DigestInput, DigestItem};
use crate::severity::Severity;
use crate::time::{Timestamp, rfc3339_millis};
use serde_json::{Map, Value};

/// One alert of a digest, as far as choosing needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 1, in order of arrival.
    pub number: u32,
    pub severity: Severity,
}

/// One alert that the digest shows.
#[derive(Debug, Clone)]
pub struct Shown {
    pub event: Value,
    pub rule: RuleId,
    pub action: ActionId,
    pub severity: Severity,
    /// When it was accepted.
    pub at: Timestamp,
}

/// What a window collected.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    /// Ledger numbers of the events' entries, each once, rising.
    pub entries: Vec<u64>,
    /// Those that [`retained`] chose, in its order.
    pub shown: Vec<Shown>,
    /// The rules and actions of all of them, each once.
    pub owners: Vec<(RuleId, ActionId)>,
}

/// What becomes of a window that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Flush {
    /// `None`: nothing was collected, so there is nothing to say.
    pub judgement: Option<Judgement>,
    pub delivery: Option<PlannedDelivery>,
    pub changes: Vec<Change>,
    pub entry: Option<EntryDraft>,
}

/// How many alerts this window shows, and which.
fn showing(snapshot: &Snapshot, window: &Window) -> (u32, Keep) {
    // A storm is not one rule's: what that one says of its digests is not asked.
    let own = action_of(snapshot, window).filter(|_| window.control != Control::Storm);
    let own = own.and_then(|(_, action)| action.digest.as_ref());
    own.map_or((10, Keep::Severest), |digest| (digest.retain, digest.keep))
}

/// The alerts that a digest shows one by one, in order of arrival; given in order of arrival.
#[must_use]
pub fn retained(snapshot: &Snapshot, window: &Window, places: &[Place]) -> Vec<u32> {
    let (most, keep) = showing(snapshot, window);
    choose(most as usize, keep, places)
}

fn choose(most: usize, keep: Keep, places: &[Place]) -> Vec<u32> {
    let mut chosen: Vec<Place> = match keep {
        Keep::First => places.iter().take(most).copied().collect(),
        Keep::Last => places.iter().skip(places.len().saturating_sub(most)).copied().collect(),
        Keep::Severest => {
            let mut all = places.to_vec();
            all.sort_by(|a, b| b.severity.cmp(&a.severity).then(b.number.cmp(&a.number)));
            all.truncate(most);
            all
        }
    };
    chosen.sort_by_key(|place| place.number);
    chosen.into_iter().map(|place| place.number).collect()
}

fn action_of<'s>(snapshot: &'s Snapshot, window: &Window) -> Option<(&'s CompiledRule, &'s Action)> {
    let rule = snapshot.rule(&window.rule).ok()?;
    Some((rule, rule.rule.actions.iter().find(|action| action.id == window.action)?))
}

/// A storm's summary in the name of another alert in it, when the rule that opened it is gone: the other rules' alerts
/// are none the worse for that.
fn adopted(snapshot: &Snapshot, window: &Window, collected: &Collected) -> Option<Window> {
    if window.control != Control::Storm || action_of(snapshot, window).is_some() {
        return None;
    }
    collected.owners.iter().find_map(|(rule, action)| {
        let other = Window { rule: rule.clone(), action: action.clone(), ..window.clone() };
        action_of(snapshot, &other).is_some().then_some(other)
    })
}

/// Judges a window whose time has come, and renders it with the versions that are current now.
#[must_use]
pub fn flush(
    snapshot: &Snapshot,
    key: StateKey,
    window: &Window,
    collected: Collected,
    at: Timestamp,
    entropy: &[u8; 32],
) -> Flush {
    let adopted = adopted(snapshot, window, &collected);
    let window = adopted.as_ref().unwrap_or(window);
    let found = action_of(snapshot, window);
    let digest = found.and_then(|(_, action)| action.digest.as_ref());
    let mut changes = vec![(key, next_period(snapshot, window, digest, &key, at))];
    let says_nothing = window.count == 0 && digest.is_none_or(|digest| digest.empty == Empty::Skip);
    if says_nothing {
        return Flush { judgement: None, delivery: None, changes, entry: None };
    }
    let channel = snapshot.channels.get(&window.channel);
    let (judgement, mut reason) = judge(snapshot, window, found, channel, at);
    let rule_digest = found.map(|(rule, _)| rule.digest);
    let not_sent = |outcome, reason: Reason| {
        let entry = ReleaseEntry {
            of: Released::Digest { digest: window.id.clone() },
            outcome,
            rule: window.rule.clone(),
            rule_digest,
            action: window.action.clone(),
            control: reason.control.to_owned(),
            parameters: reason.parameters,
            logical_time: at,
            tzdb: tzdb_version().to_owned(),
        };
        Some(entry.into_draft())
    };
    match (judgement, found, channel) {
        (Judgement::Send, Some((rule, action)), Some(channel)) => {
            let sending = Sending { snapshot, window, rule, action, channel };
            let (delivery, entry, _) = sending.make(collected, at, entropy);
            Flush { judgement: Some(Judgement::Send), delivery: Some(delivery), changes, entry: Some(entry) }
        }
        (Judgement::Hold { until }, ..) => {
            reason.parameters.insert("until".to_owned(), rfc3339_millis(until).into());
            let later = Window { closes_at: until.as_microsecond(), cap_at: None, ..window.clone() };
            changes = vec![(key, Some(Remembered::Window(Box::new(later))))];
            let entry = not_sent(ReleaseOutcome::Hold, reason);
            Flush { judgement: Some(Judgement::Hold { until }), delivery: None, changes, entry }
        }
        _ => {
            let entry = not_sent(ReleaseOutcome::Cancel, reason);
            Flush { judgement: Some(Judgement::Cancel), delivery: None, changes, entry }
        }
    }
}

/// A digest as its flush would render it, whether it would be sent or not: for previews. `None` where its action or its
/// channel does not exist. With the reason why the built-in message stands in place of the template's.
#[must_use]
pub fn rendered_digest(
    snapshot: &Snapshot,
    window: &Window,
    collected: Collected,
    at: Timestamp,
) -> Option<(PlannedDelivery, Option<Problem>)> {
    let (rule, action) = action_of(snapshot, window)?;
    let channel = snapshot.channels.get(&window.channel)?;
    let sending = Sending { snapshot, window, rule, action, channel };
    let (delivery, _, failed) = sending.make(collected, at, &[0; 32]);
    Some((delivery, failed))
}

/// Where also silence is sent, the next period opens as soon as one is over: as [`arm`] would open it, so not for each
/// value that a key ever had.
fn next_period(
    snapshot: &Snapshot,
    window: &Window,
    digest: Option<&Digest>,
    key: &StateKey,
    at: Timestamp,
) -> Option<Remembered> {
    let digest = digest.filter(|digest| digest.key.is_empty())?;
    let (_, action) = action_of(snapshot, window)?;
    // An action that was changed has its periods under another key: it may have got another channel.
    if gate::digest_key(&window.rule, action, digest, &Value::Null) != *key {
        return None;
    }
    let channel = snapshot.channels.get(&window.channel)?;
    period(snapshot, &channel.document, digest, &window.rule, &window.action, window.id.as_str(), at)
}

/// An empty window of a scheduled digest that is sent even if nothing happens. `after` is what it follows: a period that
/// was full ended before the calendar's window began, and so may the next one.
fn period(
    snapshot: &Snapshot,
    channel: &Channel,
    digest: &Digest,
    rule: &RuleId,
    action: &ActionId,
    after: &str,
    at: Timestamp,
) -> Option<Remembered> {
    if digest.mode != DigestMode::Schedule || digest.empty != Empty::Send {
        return None;
    }
    let calendar = snapshot.noise.calendars.get(digest.schedule.as_ref()?)?;
    let zone = gate::contact(snapshot, channel).map(|(_, contact)| &contact.time_zone);
    let closes_at = calendar.next_start(at, zone)?;
    let parts = [snapshot.tenant.as_str(), rule.as_str(), action.as_str(), after, &rfc3339_millis(closes_at)];
    Some(Remembered::Window(Box::new(Window {
        id: DigestId::derive(parts),
        rule: rule.clone(),
        action: action.clone(),
        channel: channel.id.clone(),
        control: Control::Digest,
        opened_at: at.as_microsecond(),
        closes_at: closes_at.as_microsecond(),
        cap_at: None,
        count: 0,
        severity: Severity::None,
        max: Some(digest.max.map_or(MOST_ALERTS, |max| max.min(MOST_ALERTS))),
        full: false,
        passes: false,
    })))
}

/// Opens the periods that are to be sent even if nothing happens, and that are not open yet. Asked when the
/// configuration has changed; digests by key cannot be among them, because nobody knows their keys before.
#[must_use]
pub fn arm(snapshot: &Snapshot, state: &crate::noise::NoiseState, at: Timestamp) -> Vec<Change> {
    let mut changes = Vec::new();
    for rule in snapshot.armed() {
        for action in &rule.rule.actions {
            let Some(digest) = action.digest.as_ref().filter(|digest| digest.key.is_empty()) else {
                continue;
            };
            let key = gate::digest_key(&rule.rule.id, action, digest, &Value::Null);
            if matches!(state.get(&key), Some(Remembered::Window(_))) {
                continue;
            }
            let Some(channel) = snapshot.channels.get(&action.channel) else { continue };
            let after = rfc3339_millis(at);
            let opened = period(snapshot, &channel.document, digest, &rule.rule.id, &action.id, &after, at);
            changes.extend(opened.map(|window| (key, Some(window))));
        }
    }
    changes
}

fn judge(
    snapshot: &Snapshot,
    window: &Window,
    found: Option<(&CompiledRule, &Action)>,
    channel: Option<&Version<Channel>>,
    at: Timestamp,
) -> (Judgement, Reason) {
    let cancel = |control| (Judgement::Cancel, Reason::only(control));
    let Some((rule, action)) = found else { return cancel("rule-disabled") };
    let Some(channel) = channel else { return cancel("channel-missing") };
    if !channel.document.enabled {
        return cancel("channel-disabled");
    }
    if window.passes {
        return (Judgement::Send, Reason::only("none"));
    }
    gate::waits(snapshot, rule, action, &channel.document, window.severity, at)
}

struct Sending<'a> {
    snapshot: &'a Snapshot,
    window: &'a Window,
    rule: &'a CompiledRule,
    action: &'a Action,
    channel: &'a Version<Channel>,
}

impl Sending<'_> {
    fn make(
        &self,
        collected: Collected,
        at: Timestamp,
        entropy: &[u8; 32],
    ) -> (PlannedDelivery, EntryDraft, Option<Problem>) {
        let Self { snapshot, window, rule, action, channel } = *self;
        let locale = locale(snapshot, Some(action), &channel.document);
        let retained = collected.shown.len() as u64;
        let items = collected.shown.into_iter().map(|shown| self.item(shown, locale)).collect();
        let zone = gate::contact(snapshot, &channel.document).map(|(_, contact)| &contact.time_zone);
        let input = DigestInput {
            count: u64::from(window.count),
            from: moment(window.opened_at, at),
            to: at,
            control: window.control.as_str(),
            severity: window.severity,
            items,
            time_zone: zone.and_then(|zone| zone.iana_name()).unwrap_or("UTC"),
        };
        let own = action.digest.as_ref().filter(|_| window.control != Control::Storm);
        let template = own.and_then(|digest| digest.template.as_ref());
        let context = context(snapshot, rule, &channel.document.id);
        let rendered = snapshot.library.render_digest(template, locale, &input, &context);
        let mut parameters = Map::new();
        say_texts(&rendered, &mut parameters);
        parameters.insert("openedAt".to_owned(), rfc3339_millis(input.from).into());
        let addressed = Addressed {
            snapshot,
            cause: format!("digest:{}", window.id),
            rule: &window.rule,
            rule_version: rule.version,
            action: &window.action,
            channel: &channel.document,
        };
        let json = serde_json::to_string(&rendered.message).unwrap_or_default();
        let (delivery, intent) = addressed.first(rendered.message, json, entropy);
        let scheduled = window.control == Control::Digest
            && action.digest.as_ref().is_some_and(|digest| digest.mode == DigestMode::Schedule);
        let entry = DigestEntry {
            digest: window.id.clone(),
            rule: window.rule.clone(),
            rule_digest: rule.digest,
            action: window.action.clone(),
            control: window.control.as_str().to_owned(),
            entries: collected.entries,
            true_count: u64::from(window.count),
            retained_count: retained,
            closed: match (window.full, scheduled) {
                (true, _) => DigestClosed::Count,
                (_, true) => DigestClosed::Schedule,
                _ => DigestClosed::Window,
            },
            parameters,
            logical_time: at,
            tzdb: tzdb_version().to_owned(),
            intent: intent.to_entry(),
        };
        (delivery, entry.into_draft(), rendered.failed)
    }

    /// With the title that the alert alone would have had; its own rule may be another one than the window's.
    fn item(&self, shown: Shown, locale: &str) -> DigestItem {
        let own = self.snapshot.rule(&shown.rule).ok();
        let action = own.and_then(|rule| rule.rule.actions.iter().find(|action| action.id == shown.action));
        let rule = own.unwrap_or(self.rule);
        let context = context(self.snapshot, rule, &self.channel.document.id);
        let template = action.and_then(|action| action.template.as_ref());
        let message_title = self.snapshot.library.title(template, locale, &shown.event, &context);
        // The digest's own template hides what it says; what the alert's says is hidden here as well.
        let event = self.snapshot.library.hidden(template, &shown.event);
        DigestItem { event, message_title, severity: shown.severity, at: shown.at }
    }
}

fn moment(micros: i64, otherwise: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_alerts_are_shown() {
        let severities = [Severity::Low, Severity::High, Severity::Low, Severity::High, Severity::Medium];
        let places: Vec<_> =
            (1..).zip(severities).map(|(number, severity)| Place { number, severity }).collect();
        for (most, keep, expected) in [
            (2, Keep::First, vec![1, 2]),
            (2, Keep::Last, vec![4, 5]),
            (1, Keep::Severest, vec![4]),
            (3, Keep::Severest, vec![2, 4, 5]),
            (9, Keep::Last, vec![1, 2, 3, 4, 5]),
        ] {
            assert_eq!(choose(most, keep, &places), expected, "{most} {keep:?}");
        }
    }
}
