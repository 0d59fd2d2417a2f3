//! From the verdict of the controls to what is decided, what is remembered, and what the record says.

use super::gate::{Asked, Bypassed, Hours, Of, Stop, Verdict as Judged, bucket, budget_key};
use crate::document::noise::{DigestMode, HoursMode, Overflow};
use crate::ids::DigestId;
use crate::noise::gcra::Rate;
use crate::noise::remembered::{Remembered, Seen, Waiting};
use crate::noise::state::View;
use crate::noise::window::{Terms, Window, micros};
use crate::noise::{Control, StateKey};
use crate::severity::Severity;
use crate::time::{Timestamp, rfc3339_millis};
use serde_json::{Map, Value, json};

/// What becomes of one alert.
pub(super) enum Outcome {
    Send,
    Suppress,
    Hold { until: Timestamp },
    Collect(Collected),
}

/// A place in a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Collected {
    pub digest: DigestId,
    /// From 1.
    pub number: u32,
    pub closes_at: i64,
}

/// Everything that follows from a verdict, but for rendering.
pub(super) struct Settled {
    pub control: Option<Control>,
    pub outcome: Outcome,
    pub parameters: Map<String, Value>,
    pub also: Vec<Control>,
}

impl Asked<'_> {
    /// Decides, and changes what is remembered accordingly (DESIGN section 6b): a dedupe window opens and a token is
    /// spent only if the alert is sent, held or collected.
    pub fn settle(&self, verdict: Judged<'_>, view: &mut View<'_>) -> Settled {
        let Judged { first, also, bypassed } = verdict;
        let mut parameters = Map::new();
        let control = first.as_ref().map(|(control, _)| *control);
        // The storm breaker counts every alert that comes this far.
        let counted =
            control.is_none_or(|control| control >= Control::Storm).then(|| self.counted(view)).flatten();
        let outcome = match first {
            None => Outcome::Send,
            Some((_, stop)) => self.stopped(&stop, view, &mut parameters),
        };
        if let Some((key, storm)) = counted {
            view.put(key, Remembered::Storm(Box::new(storm)));
        }
        say_bypassed(&bypassed, &mut parameters);
        if !matches!(outcome, Outcome::Suppress) {
            self.remember(control, &outcome, view);
        }
        Settled { control, outcome, parameters, also }
    }

    /// What an alert that goes on leaves behind.
    fn remember(&self, control: Option<Control>, outcome: &Outcome, view: &mut View<'_>) {
        let now = self.facts.now();
        if let Some((key, window)) = self.dedupe_key()
            // An override that let a repeat pass does not stretch the window.
            && !matches!(view.get(&key), Some(Remembered::Dedupe(seen)) if now < seen.until)
        {
            let until = now.saturating_add(micros(window));
            view.put(key, Remembered::Dedupe(Seen { first: now, until, repeats: 0 }));
        }
        if control.is_none_or(|control| control > Control::Throttle)
            && let Some((key, _, taken)) = self.token(view)
        {
            // It may have passed by an override: then there was no token.
            let full_at = taken.unwrap_or_else(|_| self.spent(&key, view));
            view.put(key, Remembered::Bucket(full_at));
        }
        if matches!(outcome, Outcome::Send | Outcome::Hold { .. }) {
            for (of, budget) in self.budgets() {
                let key = budget_key(&of);
                let full_at = Rate::new(budget.limit, budget.per).spend(bucket(view, &key), now);
                view.put(key, Remembered::Bucket(full_at));
            }
        }
        self.note_for_digest(outcome, view);
    }

    fn spent(&self, key: &StateKey, view: &View<'_>) -> i64 {
        let now = self.facts.now();
        let throttle = self.action.throttle.as_ref().and_then(|throttle| throttle.on());
        throttle.map_or(now, |throttle| Rate::new(throttle.limit, throttle.per).spend(bucket(view, key), now))
    }

    /// An alert that is sent opens the window for those after it, where the digest says so.
    fn note_for_digest(&self, outcome: &Outcome, view: &mut View<'_>) {
        let Some(digest) = &self.action.digest else { return };
        let now = self.facts.now();
        match digest.mode {
            DigestMode::LookBack => {
                let length = digest.look_back.or(digest.window).map_or(0, micros);
                let key = self.key("look-back", &digest.key);
                view.put(key, Remembered::LookBack(now.saturating_add(length)));
            }
            _ if digest.leading && matches!(outcome, Outcome::Send | Outcome::Hold { .. }) => {
                let key = self.digest_key(digest);
                if !matches!(view.get(&key), Some(Remembered::Window(_))) {
                    let window = self.opened(Control::Digest, &self.terms());
                    view.put(key, Remembered::Window(Box::new(window)));
                }
            }
            _ => {}
        }
    }

    fn stopped(&self, stop: &Stop<'_>, view: &mut View<'_>, parameters: &mut Map<String, Value>) -> Outcome {
        let mut say = |name: &str, value: Value| drop(parameters.insert(name.to_owned(), value));
        match stop {
            Stop::Repeat { key, seen } => {
                let repeats = seen.repeats.saturating_add(1);
                view.put(*key, Remembered::Dedupe(Seen { repeats, ..*seen }));
                let dedupe = self.action.dedupe.as_ref().and_then(|dedupe| dedupe.on());
                if let Some(dedupe) = dedupe {
                    say("window", dedupe.window.to_string().into());
                    say("keyOf", dedupe.key.clone().into());
                }
                say("firstAt", time(seen.first));
                say("until", time(seen.until));
                say("repeats", repeats.into());
                Outcome::Suppress
            }
            Stop::Silenced { .. } | Stop::Inhibited { .. } => {
                self.say(stop, parameters);
                Outcome::Suppress
            }
            Stop::Storm { since } => {
                let limits = self.facts.snapshot.noise.storm().unwrap_or_default();
                say("since", time(*since));
                say("alerts", limits.alerts.into());
                say("per", limits.per.to_string().into());
                say("ends", limits.ends.into());
                let key = StateKey::derive([
                    b"storm-digest".as_slice(),
                    self.channel.document.id.as_str().as_bytes(),
                ]);
                // The first summary of a storm soon, the next ones less often.
                let young = self.facts.now() < since.saturating_add(micros(limits.per));
                let length = if young { limits.per.min(limits.digest_every) } else { limits.digest_every };
                let terms = Terms::until(self.facts.now().saturating_add(micros(length)));
                self.collect(Control::Storm, key, &terms, view, parameters)
            }
            Stop::Throttled { key, overflow, again_at } => {
                let mut per = crate::duration::Length::from_secs(0);
                if let Some(throttle) = self.action.throttle.as_ref().and_then(|throttle| throttle.on()) {
                    say("limit", throttle.limit.into());
                    say("per", throttle.per.to_string().into());
                    say("keyOf", throttle.key.clone().into());
                    per = throttle.per;
                }
                say("againAt", time(*again_at));
                say("overflow", overflow_name(*overflow).into());
                match (overflow, &self.action.digest) {
                    (Overflow::Drop, _) => Outcome::Suppress,
                    (Overflow::Digest, Some(digest)) => {
                        let key = self.digest_key(digest);
                        self.collect(Control::Throttle, key, &self.terms(), view, parameters)
                    }
                    (Overflow::Digest, None) => {
                        let terms = Terms::until(self.facts.now().saturating_add(micros(per)));
                        let channel = self.channel.document.id.as_str().as_bytes();
                        let key = StateKey::derive([b"throttle-overflow".as_slice(), &key.0, channel]);
                        self.collect(Control::Throttle, key, &terms, view, parameters)
                    }
                }
            }
            Stop::Hours(hours) => self.waits(hours, view, parameters),
            Stop::Collected { digest, key } => {
                say("keyOf", digest.key.clone().into());
                self.collect(Control::Digest, *key, &self.terms(), view, parameters)
            }
            Stop::Spent { of, budget, again_at } => {
                say("of", of.text().into());
                say("limit", budget.limit.into());
                say("per", budget.per.to_string().into());
                say("againAt", time(*again_at));
                say("overflow", overflow_name(budget.overflow).into());
                match budget.overflow {
                    Overflow::Drop => Outcome::Suppress,
                    Overflow::Digest => {
                        let terms = Terms::until(self.facts.now().saturating_add(micros(budget.per)));
                        let key = self.own_key("budget-overflow", of);
                        self.collect(Control::Budget, key, &terms, view, parameters)
                    }
                }
            }
        }
    }

    /// What the record says of a silence or an inhibition.
    pub fn say(&self, stop: &Stop<'_>, parameters: &mut Map<String, Value>) {
        let mut say = |name: &str, value: Value| drop(parameters.insert(name.to_owned(), value));
        match stop {
            Stop::Silenced { id, version, digest, until, calendar } => {
                say("silence", id.as_str().into());
                say("version", (*version).into());
                say("silenceDigest", digest.to_string().into());
                if let Some(calendar) = calendar {
                    say("calendar", calendar.as_str().into());
                }
                if let Some(until) = until {
                    say("until", rfc3339_millis(*until).into());
                }
            }
            Stop::Inhibited { id, version, digest, until, .. } => {
                say("inhibition", id.as_str().into());
                say("version", (*version).into());
                say("inhibitionDigest", digest.to_string().into());
                say("until", time(*until));
            }
            _ => {}
        }
    }

    /// Quiet hours, or maintenance of a calendar.
    fn waits(&self, hours: &Hours, view: &mut View<'_>, parameters: &mut Map<String, Value>) -> Outcome {
        say_hours(hours, parameters);
        let until = hours.until.as_microsecond();
        let control = hours.control;
        let together = |asked: &Self, view: &mut View<'_>, parameters: &mut Map<String, Value>| {
            let key = asked.own_key("hours", &hours.of);
            asked.collect(control, key, &Terms::until(until), view, parameters)
        };
        match hours.mode {
            HoursMode::Drop => Outcome::Suppress,
            HoursMode::Digest => together(self, view, parameters),
            HoursMode::Hold => {
                let key = self.own_key("waiting", &hours.of);
                let count = match view.get(&key) {
                    Some(Remembered::Waiting(waiting)) if self.facts.now() < waiting.until => waiting.count,
                    _ => 0,
                };
                if count >= hours.hold_up_to {
                    // Everybody's first minutes after the night would be a flood.
                    parameters.insert("holdUpTo".to_owned(), hours.hold_up_to.into());
                    return together(self, view, parameters);
                }
                view.put(key, Remembered::Waiting(Waiting { until, count: count + 1 }));
                Outcome::Hold { until: hours.until }
            }
        }
    }

    /// The key of something that this action has with somebody.
    fn own_key(&self, kind: &str, of: &Of) -> StateKey {
        let (rule, action, channel) = (&self.rule.rule.id, &self.action.id, &self.channel.document.id);
        let parts = [kind, &of.text(), rule.as_str(), action.as_str(), channel.as_str()];
        StateKey::derive(parts.map(str::as_bytes))
    }

    /// Terms of the action's own digest.
    fn terms(&self) -> Terms {
        let now = self.facts.now();
        let Some(digest) = &self.action.digest else { return Terms::until(now) };
        let next = digest.schedule.as_ref().and_then(|calendar| {
            let calendar = self.facts.snapshot.noise.calendars.get(calendar)?;
            let contact = super::gate::contact(self.facts.snapshot, &self.channel.document);
            calendar.next_start(self.facts.at, contact.map(|(_, contact)| &contact.time_zone))
        });
        Terms::of(digest, now, next.map(Timestamp::as_microsecond))
    }

    fn opened(&self, control: Control, terms: &Terms) -> Window {
        let facts = self.facts;
        // Not of the values of its key: the ledger shows the id for ever. An alert opens one window at most.
        let parts = [
            facts.snapshot.tenant.as_str(),
            self.rule.rule.id.as_str(),
            self.action.id.as_str(),
            facts.event.key.as_str(),
        ];
        Window {
            id: DigestId::derive(parts),
            rule: self.rule.rule.id.clone(),
            action: self.action.id.clone(),
            channel: self.channel.document.id.clone(),
            control,
            opened_at: facts.now(),
            closes_at: terms.closes_at,
            cap_at: terms.cap_at,
            count: 0,
            // Of those in it: the alert that opens it may be sent at once.
            severity: Severity::None,
            max: terms.max,
            full: false,
            passes: false,
        }
    }

    fn collect(
        &self,
        control: Control,
        key: StateKey,
        terms: &Terms,
        view: &mut View<'_>,
        parameters: &mut Map<String, Value>,
    ) -> Outcome {
        let now = self.facts.now();
        let open = match view.get(&key) {
            // Also a full one, which closes now: what comes before it is sent is in it.
            Some(Remembered::Window(window)) => Some((**window).clone()),
            _ => None,
        };
        let window = open.unwrap_or_else(|| self.opened(control, terms));
        let mut window = window.with_one_more(now, self.facts.severity, terms);
        window.passes |= control == Control::Storm && self.passes_quiet_hours();
        let collected =
            Collected { digest: window.id.clone(), number: window.count, closes_at: window.closes_at };
        parameters.insert("digest".to_owned(), window.id.as_str().into());
        parameters.insert("closesAt".to_owned(), time(window.closes_at));
        view.put(key, Remembered::Window(Box::new(window)));
        Outcome::Collect(collected)
    }
}

/// What let an alert pass controls that would have stopped it.
pub(super) fn say_bypassed(bypassed: &[(Control, Bypassed<'_>)], parameters: &mut Map<String, Value>) {
    if bypassed.is_empty() {
        return;
    }
    let one = |(control, by): &(Control, Bypassed<'_>)| {
        let said = match by {
            Bypassed::Override(hit) => json!({
                "by": "override", "override": hit.id.as_str(), "version": hit.version,
                "overrideDigest": hit.digest.to_string(),
            }),
            Bypassed::Severity => json!({"by": "severity"}),
            Bypassed::Rule => json!({"by": "rule"}),
            Bypassed::Action => json!({"by": "action"}),
        };
        (control.as_str().to_owned(), said)
    };
    parameters.insert("bypassed".to_owned(), Value::Object(bypassed.iter().map(one).collect()));
}

pub(super) fn say_hours(hours: &Hours, parameters: &mut Map<String, Value>) {
    let said = json!({
        "calendar": hours.calendar.as_str(),
        "calendarVersion": hours.calendar_version,
        "calendarDigest": hours.calendar_digest.to_string(),
        "of": hours.of.text(),
        "ofVersion": hours.of_version,
        "timeZone": hours.time_zone,
        "mode": hours.mode.as_str(),
        "until": rfc3339_millis(hours.until),
    });
    if let Value::Object(said) = said {
        parameters.extend(said);
    }
}

const fn overflow_name(overflow: Overflow) -> &'static str {
    match overflow {
        Overflow::Digest => "digest",
        Overflow::Drop => "drop",
    }
}

/// Microseconds as the ledger shows times.
pub(super) fn time(micros: i64) -> Value {
    Timestamp::from_microsecond(micros).map(rfc3339_millis).unwrap_or_default().into()
}
