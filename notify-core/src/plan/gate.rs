//! Which control decides about one alert, and which would have. Nothing is changed here: [`super::outcome`] does that.

use super::release::{Judgement, Reason, of_hours};
use super::snapshot::{CompiledRule, Snapshot};
use crate::calendar::CalendarState;
use crate::document::noise::{Budget, Digest, DigestMode, HoursMode, Overflow, QuietHours, QuietHoursFor};
use crate::document::rule::Action;
use crate::document::{Channel, Version};
use crate::event::Event;
use crate::ids::{CalendarId, InhibitionId, RuleId, SilenceId};
use crate::ledger::commitment::PlainDigest;
use crate::noise::gcra::Rate;
use crate::noise::remembered::{Remembered, Seen};
use crate::noise::state::View;
use crate::noise::storm::Storm;
use crate::noise::values::state_key;
use crate::noise::{Bypasses, Control, Covering, OverrideHit, Sides, StateKey, Target};
use crate::severity::Severity;
use crate::time::Timestamp;
use jiff::SignedDuration;
use serde_json::Value;

/// What is asked of an event once, however many rules match it.
pub(super) struct Facts<'a> {
    pub snapshot: &'a Snapshot,
    pub event: &'a Event,
    /// The logical time.
    pub at: Timestamp,
    pub severity: Severity,
    silences: Covering<'a>,
    bypasses: Bypasses<'a>,
    pub sides: Sides<'a>,
    targets: Vec<Target<'a>>,
}

impl<'a> Facts<'a> {
    pub fn of(snapshot: &'a Snapshot, event: &'a Event, at: Timestamp) -> Self {
        let noise = &snapshot.noise;
        let sides = noise.inhibitions.of_event(&event.value);
        Self {
            snapshot,
            event,
            at,
            severity: severity_of(&event.value),
            silences: noise.silences.of_event(&event.value),
            bypasses: noise.overrides.of_event(&event.value, at),
            targets: sides.targets(),
            sides,
        }
    }

    /// The logical time in microseconds.
    pub fn now(&self) -> i64 {
        self.at.as_microsecond()
    }
}

/// What an event says of its severity; anything else than a known name is none.
pub fn severity_of(event: &Value) -> Severity {
    event.get("severity").and_then(Value::as_str).and_then(Severity::from_name).unwrap_or_default()
}

/// One action of one matching rule, whose channel can take alerts.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub facts: &'a Facts<'a>,
    pub rule: &'a CompiledRule,
    pub action: &'a Action,
    pub channel: &'a Version<Channel>,
}

/// Whose quiet hours or budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Of {
    Policy,
    Channel(String),
    Contact(String),
}

impl Of {
    pub fn text(&self) -> String {
        match self {
            Self::Policy => "policy".to_owned(),
            Self::Channel(id) => format!("channel/{id}"),
            Self::Contact(id) => format!("contact/{id}"),
        }
    }
}

/// Hours that apply now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hours {
    /// Quiet hours or maintenance.
    pub control: Control,
    pub calendar: CalendarId,
    pub calendar_version: u64,
    pub calendar_digest: PlainDigest,
    pub of: Of,
    /// Version of the document that has these hours.
    pub of_version: u64,
    /// In which the calendar was read.
    pub time_zone: String,
    pub mode: HoursMode,
    pub hold_up_to: u32,
    /// When they end, or are looked at again.
    pub until: Timestamp,
}

/// Why an alert is not sent as it is.
#[derive(Debug, Clone)]
pub(super) enum Stop<'a> {
    Repeat {
        key: StateKey,
        seen: Seen,
    },
    Silenced {
        id: &'a SilenceId,
        version: u64,
        digest: PlainDigest,
        until: Option<Timestamp>,
        calendar: Option<&'a CalendarId>,
    },
    Hours(Hours),
    Inhibited {
        id: &'a InhibitionId,
        version: u64,
        digest: PlainDigest,
        until: i64,
    },
    Storm {
        since: i64,
    },
    Throttled {
        key: StateKey,
        overflow: Overflow,
        again_at: i64,
    },
    Collected {
        digest: &'a Digest,
        key: StateKey,
    },
    Spent {
        of: Of,
        budget: &'a Budget,
        again_at: i64,
    },
}

/// What the controls say of one alert.
pub(super) struct Verdict<'a> {
    pub first: Option<(Control, Stop<'a>)>,
    /// Later ones that would have decided as well.
    pub also: Vec<Control>,
    /// Those that would have, but something lets the alert pass.
    pub bypassed: Vec<(Control, Bypassed<'a>)>,
}

/// What lets an alert pass a control that would have stopped it.
#[derive(Debug, Clone)]
pub(super) enum Bypassed<'a> {
    Override(OverrideHit<'a>),
    /// The `bypass` of the hours names its severity, or its rule.
    Severity,
    Rule,
    /// `quietHours: bypass`.
    Action,
}

impl<'a> Asked<'a> {
    /// Asks every control in order.
    pub fn judge(&self, view: &View<'_>) -> Verdict<'a> {
        let mut verdict = Verdict { first: None, also: Vec::new(), bypassed: Vec::new() };
        for control in Control::ALL {
            let Some(stop) = self.stops(control, view) else {
                verdict.bypassed.extend(self.passes_hours(control).map(|by| (control, by)));
                continue;
            };
            if let Some(hit) = self.overridden(control) {
                verdict.bypassed.push((control, Bypassed::Override(hit)));
            } else if verdict.first.is_none() {
                verdict.first = Some((control, stop));
            } else {
                verdict.also.push(control);
            }
        }
        verdict
    }

    pub fn stops(&self, control: Control, view: &View<'_>) -> Option<Stop<'a>> {
        match control {
            Control::Dedupe => self.repeat(view),
            Control::Silence => self.silence(),
            Control::Maintenance => self.maintenance(),
            Control::Inhibition => self.inhibition(view),
            Control::Storm => self.storm(view),
            Control::Throttle => self.throttle(view),
            Control::QuietHours => self.quiet_hours(),
            Control::Digest => self.digest(view),
            Control::Budget => self.budget(view),
        }
    }

    /// The override that lets this alert pass a control.
    pub fn overridden(&self, control: Control) -> Option<OverrideHit<'a>> {
        self.facts.bypasses.bypassed(&self.rule.rule.id, &self.channel.document.id, control)
    }

    /// Why hours that apply now do not stop this alert; asked when nothing stopped it.
    fn passes_hours(&self, control: Control) -> Option<Bypassed<'a>> {
        if control != Control::QuietHours {
            return None;
        }
        let Facts { snapshot, at, severity, .. } = *self.facts;
        quiet_hours(snapshot, &self.channel.document, at, |_| false)?;
        if self.action.quiet_hours == QuietHoursFor::Bypass {
            return Some(Bypassed::Action);
        }
        let by_severity = |hours: &QuietHours| bypass_of(hours).is_some_and(|least| severity >= least);
        let passes = quiet_hours(snapshot, &self.channel.document, at, by_severity).is_none();
        Some(if passes { Bypassed::Severity } else { Bypassed::Rule })
    }

    /// Whether its rule or action lets it pass quiet hours whatever its severity.
    pub fn passes_quiet_hours(&self) -> bool {
        let named = |hours: &QuietHours| {
            hours.bypass.as_ref().is_some_and(|bypass| bypass.rules.contains(&self.rule.rule.id))
        };
        let Facts { snapshot, at, .. } = *self.facts;
        self.action.quiet_hours == QuietHoursFor::Bypass
            || (quiet_hours(snapshot, &self.channel.document, at, |_| false).is_some()
                && quiet_hours(snapshot, &self.channel.document, at, named).is_none())
    }

    /// The state key of a control of this action.
    pub fn key(&self, kind: &str, pointers: &[String]) -> StateKey {
        let owner = [self.rule.rule.id.as_str(), self.action.id.as_str()];
        state_key(kind, &owner, pointers, &self.facts.event.value)
    }

    pub fn dedupe_key(&self) -> Option<(StateKey, crate::duration::Length)> {
        let dedupe = self.action.dedupe.as_ref()?.on()?;
        Some((self.key("dedupe", &dedupe.key), dedupe.window))
    }

    /// The state key of this action's own digest.
    pub fn digest_key(&self, digest: &Digest) -> StateKey {
        digest_key(&self.rule.rule.id, self.action, digest, &self.facts.event.value)
    }

    fn repeat(&self, view: &View<'_>) -> Option<Stop<'a>> {
        let (key, _) = self.dedupe_key()?;
        match view.get(&key) {
            Some(Remembered::Dedupe(seen)) if self.facts.now() < seen.until => {
                Some(Stop::Repeat { key, seen: *seen })
            }
            _ => None,
        }
    }

    fn silence(&self) -> Option<Stop<'a>> {
        let (rule, channel) = (&self.rule.rule.id, &self.channel.document.id);
        let hit = self.facts.silences.silence(rule, channel, self.facts.at)?;
        Some(Stop::Silenced {
            id: hit.id,
            version: hit.version,
            digest: hit.digest,
            until: hit.until,
            calendar: None,
        })
    }

    fn maintenance(&self) -> Option<Stop<'a>> {
        let (rule, channel) = (&self.rule.rule.id, &self.channel.document.id);
        let noise = &self.facts.snapshot.noise;
        if let Some(hit) = self.facts.silences.maintenance(rule, channel, self.facts.at, &noise.calendars) {
            let (id, version, digest, until) = (hit.id, hit.version, hit.digest, hit.until);
            return Some(Stop::Silenced { id, version, digest, until, calendar: hit.calendar });
        }
        let own = &self.channel.document;
        let channel = || Of::Channel(own.id.to_string());
        let of_policy = noise.policy.maintenance.iter().map(|hours| (Of::Policy, hours));
        let of_channel = own.maintenance.iter().map(|hours| (channel(), hours));
        of_policy
            .chain(of_channel)
            .filter(|(_, hours)| !self.bypasses(hours))
            .find_map(|(of, hours)| {
                inside(self.facts.snapshot, own, Control::Maintenance, of, hours, self.facts.at)
            })
            .map(Stop::Hours)
    }

    fn quiet_hours(&self) -> Option<Stop<'a>> {
        if self.action.quiet_hours == QuietHoursFor::Bypass {
            return None;
        }
        quiet_hours(self.facts.snapshot, &self.channel.document, self.facts.at, |hours| self.bypasses(hours))
            .map(Stop::Hours)
    }

    fn bypasses(&self, hours: &QuietHours) -> bool {
        bypasses(hours, self.facts.severity, self.rule)
    }

    fn inhibition(&self, view: &View<'_>) -> Option<Stop<'a>> {
        self.facts.targets.iter().find_map(|target| match view.get(&target.key) {
            Some(Remembered::Firing(firing)) if self.facts.now() < firing.until => Some(Stop::Inhibited {
                id: target.id,
                version: target.version,
                digest: target.digest,
                until: firing.until,
            }),
            _ => None,
        })
    }

    /// The storm with this alert counted; `None` where there is no storm breaker for it.
    pub fn counted(&self, view: &View<'_>) -> Option<(StateKey, Storm)> {
        if !self.rule.rule.storm.is_on() {
            return None;
        }
        let limits = self.facts.snapshot.noise.storm()?;
        let key = storm_key();
        let storm = match view.get(&key) {
            Some(Remembered::Storm(storm)) => storm.counted(&limits, self.facts.now()),
            _ => Storm::default().counted(&limits, self.facts.now()),
        };
        Some((key, storm))
    }

    fn storm(&self, view: &View<'_>) -> Option<Stop<'a>> {
        let (_, storm) = self.counted(view)?;
        storm.since.map(|since| Stop::Storm { since })
    }

    /// The bucket after this alert, or the time from which it will take one.
    pub fn token(&self, view: &View<'_>) -> Option<(StateKey, Overflow, Result<i64, i64>)> {
        let throttle = self.action.throttle.as_ref()?.on()?;
        let key = self.key("throttle", &throttle.key);
        let taken = Rate::new(throttle.limit, throttle.per).take(bucket(view, &key), self.facts.now());
        Some((key, throttle.overflow, taken))
    }

    fn throttle(&self, view: &View<'_>) -> Option<Stop<'a>> {
        match self.token(view)? {
            (key, overflow, Err(again_at)) => Some(Stop::Throttled { key, overflow, again_at }),
            _ => None,
        }
    }

    fn digest(&self, view: &View<'_>) -> Option<Stop<'a>> {
        let digest = self.action.digest.as_ref()?;
        let key = self.digest_key(digest);
        let open = matches!(view.get(&key), Some(Remembered::Window(_)));
        let passes = match digest.mode {
            DigestMode::LookBack => {
                let seen = view.get(&self.key("look-back", &digest.key));
                !open && !matches!(seen, Some(Remembered::LookBack(until)) if self.facts.now() < *until)
            }
            _ => digest.leading && !open,
        };
        (!passes).then_some(Stop::Collected { digest, key })
    }

    /// Budgets of the channel and of its contact.
    pub fn budgets(&self) -> impl Iterator<Item = (Of, &'a Budget)> {
        let channel = &self.channel.document;
        let contact = contact(self.facts.snapshot, channel);
        let of_channel = channel.budget.as_ref().map(|budget| (Of::Channel(channel.id.to_string()), budget));
        let of_contact =
            contact.and_then(|(id, contact)| Some((Of::Contact(id.to_string()), contact.budget.as_ref()?)));
        of_channel.into_iter().chain(of_contact)
    }

    fn budget(&self, view: &View<'_>) -> Option<Stop<'a>> {
        self.budgets().find_map(|(of, budget)| {
            let full_at = bucket(view, &budget_key(&of));
            match Rate::new(budget.limit, budget.per).take(full_at, self.facts.now()) {
                Ok(_) => None,
                Err(again_at) => Some(Stop::Spent { of, budget, again_at }),
            }
        })
    }
}

/// Where an action's own digest is collected. Of its channel: a window goes where its alerts were meant to go.
pub(super) fn digest_key(rule: &RuleId, action: &Action, digest: &Digest, event: &Value) -> StateKey {
    let owner = [rule.as_str(), action.id.as_str(), action.channel.as_str()];
    state_key("digest", &owner, &digest.key, event)
}

pub(super) fn storm_key() -> StateKey {
    StateKey::derive([b"storm".as_slice()])
}

pub(super) fn budget_key(of: &Of) -> StateKey {
    StateKey::derive([b"budget".as_slice(), of.text().as_bytes()])
}

pub(super) fn bucket(view: &View<'_>, key: &StateKey) -> Option<i64> {
    match view.get(key) {
        Some(Remembered::Bucket(full_at)) => Some(*full_at),
        _ => None,
    }
}

type Reader<'a> = (&'a crate::ids::ContactId, &'a crate::calendar::Contact);

/// Who reads a channel.
pub(super) fn contact<'a>(snapshot: &'a Snapshot, channel: &'a Channel) -> Option<Reader<'a>> {
    let id = channel.contact.as_ref()?;
    Some((id, snapshot.noise.contacts.get(id)?))
}

/// The quiet hours of policy, channel and contact that apply to a channel now; the first of them counts.
pub(super) fn quiet_hours(
    snapshot: &Snapshot,
    channel: &Channel,
    at: Timestamp,
    bypasses: impl Fn(&QuietHours) -> bool,
) -> Option<Hours> {
    let of_policy = snapshot.noise.policy.quiet_hours.iter().map(|hours| (Of::Policy, hours));
    let of_channel = channel.quiet_hours.iter().map(|hours| (Of::Channel(channel.id.to_string()), hours));
    let of_contact = contact(snapshot, channel).into_iter().flat_map(|(id, contact)| {
        contact.quiet_hours.iter().map(move |hours| (Of::Contact(id.to_string()), hours))
    });
    of_policy
        .chain(of_channel)
        .chain(of_contact)
        .filter(|(_, hours)| !bypasses(hours))
        .find_map(|(of, hours)| inside(snapshot, channel, Control::QuietHours, of, hours, at))
}

/// Whether something that no single event stands for (a digest) has to wait now: maintenance of policy and channel, and
/// quiet hours where its action heeds them.
pub(super) fn waits(
    snapshot: &Snapshot,
    rule: &CompiledRule,
    action: &Action,
    channel: &Channel,
    severity: Severity,
    at: Timestamp,
) -> (Judgement, Reason) {
    let passes = |hours: &QuietHours| bypasses(hours, severity, rule);
    let of_policy = snapshot.noise.policy.maintenance.iter().map(|hours| (Of::Policy, hours));
    let of_channel = channel.maintenance.iter().map(|hours| (Of::Channel(channel.id.to_string()), hours));
    let maintenance = of_policy
        .chain(of_channel)
        .filter(|(_, hours)| !passes(hours))
        .find_map(|(of, hours)| inside(snapshot, channel, Control::Maintenance, of, hours, at));
    let heeds = action.quiet_hours == QuietHoursFor::Respect;
    let found = maintenance.or_else(|| heeds.then(|| quiet_hours(snapshot, channel, at, passes)).flatten());
    match found {
        None => (Judgement::Send, Reason::only("none")),
        Some(hours) => {
            let mut reason = Reason::only(hours.control.as_str());
            (of_hours(&hours, &mut reason.parameters), reason)
        }
    }
}

/// Held this long at most before it is looked at again: a calendar may see no end.
/// Also, what is held is looked at again after this time in any case, so that a mistake in a calendar that was mended does
/// not keep it for long.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_hours(24);

fn inside(
    snapshot: &Snapshot,
    channel: &Channel,
    control: Control,
    of: Of,
    hours: &QuietHours,
    at: Timestamp,
) -> Option<Hours> {
    let calendar = snapshot.noise.calendars.get(&hours.calendar)?;
    let zone = contact(snapshot, channel).map(|(_, contact)| &contact.time_zone);
    let CalendarState::Inside { until } = calendar.at(at, zone) else { return None };
    let latest = at.checked_add(LOOK_AGAIN).unwrap_or(at);
    let of_version = match &of {
        Of::Policy => snapshot.noise.policy_version,
        Of::Channel(_) => snapshot.channels.get(&channel.id).map_or(0, |channel| channel.version),
        Of::Contact(_) => contact(snapshot, channel).map_or(0, |(_, contact)| contact.version),
    };
    Some(Hours {
        of_version,
        time_zone: calendar.zone(zone).iana_name().unwrap_or("UTC").to_owned(),
        control,
        calendar: hours.calendar.clone(),
        calendar_version: calendar.version,
        calendar_digest: calendar.digest,
        of,
        mode: hours.mode,
        hold_up_to: hours.hold_up_to,
        until: until.map_or(latest, |until| until.min(latest)),
    })
}

fn bypass_of(hours: &QuietHours) -> Option<Severity> {
    hours.bypass.as_ref().and_then(|bypass| bypass.severity)
}

/// Whether these hours let an alert of this severity and rule pass.
pub(super) fn bypasses(hours: &QuietHours, severity: Severity, rule: &CompiledRule) -> bool {
    hours.bypass.as_ref().is_some_and(|bypass| {
        bypass.severity.is_some_and(|least| severity >= least) || bypass.rules.contains(&rule.rule.id)
    })
}
