//! Silences: alerts that are not wanted, once (`silence`) or by a calendar (`maintenance`).

use super::scoped::{Builder, Entry, Matched, Scoped};
use crate::document::{Kind, Silence, Version};
use crate::ids::{CalendarId, ChannelId, RuleId, SilenceId};
use crate::ledger::commitment::PlainDigest;
use crate::plan::Broken;
use crate::problem::{Code, Problem};
use crate::time::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// A calendar has a window open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inside {
    /// When it closes; `None`: beyond what the calendar looks ahead.
    pub until: Option<Timestamp>,
}

/// What silences ask of calendars.
pub trait Windows {
    /// `None` outside of the calendar's windows, and where there is no such calendar: a silence without its calendar
    /// mutes nothing.
    fn inside(&self, calendar: &CalendarId, at: Timestamp) -> Option<Inside>;
}

impl<F: Fn(&CalendarId, Timestamp) -> Option<Inside>> Windows for F {
    fn inside(&self, calendar: &CalendarId, at: Timestamp) -> Option<Inside> {
        self(calendar, at)
    }
}

/// The silences of a tenant. Immutable; clones share.
#[derive(Debug, Clone, Default)]
pub struct Silences(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    once: Scoped<Named>,
    recurring: Scoped<(Named, CalendarId)>,
}

#[derive(Debug)]
struct Named {
    id: SilenceId,
    version: u64,
    digest: PlainDigest,
}

/// A silence that covers an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilenceHit<'s> {
    pub id: &'s SilenceId,
    pub version: u64,
    pub digest: PlainDigest,
    /// When it stops covering, as far as is known.
    pub until: Option<Timestamp>,
    /// Of a calendar: `maintenance`, else `silence`.
    pub recurring: bool,
    pub calendar: Option<&'s CalendarId>,
}

impl SilenceHit<'_> {
    /// The control that decides.
    #[must_use]
    pub const fn control(&self) -> &'static str {
        if self.recurring { "maintenance" } else { "silence" }
    }
}

impl Silences {
    /// Documents were checked when they were saved, so `Broken` is normally empty.
    #[must_use]
    pub fn compile(documents: Vec<Version<Silence>>) -> (Self, Vec<Broken>) {
        let mut documents = documents;
        documents.sort_unstable_by(|a, b| a.document.id.cmp(&b.document.id));
        let (mut once, mut recurring, mut broken) = (Builder::default(), Builder::default(), Vec::new());
        for Version { version, digest, document } in documents {
            let id = document.id.clone();
            let added = digest_of(&digest).and_then(|digest| {
                let named = Named { id: id.clone(), version, digest };
                match &document.calendar {
                    None => once.add(&document.scope(), named),
                    Some(calendar) => recurring.add(&document.scope(), (named, calendar.clone())),
                }
            });
            if let Err(problem) = added {
                broken.push(Broken { kind: Kind::Silence, id: id.to_string(), problem });
            }
        }
        (Self(Arc::new(Inner { once: once.build(), recurring: recurring.build() })), broken)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.0.once.len() + self.0.recurring.len()
    }

    /// The silences that are about an event: asked once for each event, then [`Covering::covers`] for each alert.
    #[must_use]
    pub fn of_event(&self, event: &Value) -> Covering<'_> {
        Covering { once: self.0.once.of_event(event), recurring: self.0.recurring.of_event(event) }
    }

    /// [`Self::of_event`] and [`Covering::covers`] for a single alert.
    #[must_use]
    pub fn covering(
        &self,
        event: &Value,
        rule: &RuleId,
        channel: &ChannelId,
        at: Timestamp,
        calendars: &impl Windows,
    ) -> Option<SilenceHit<'_>> {
        self.of_event(event).covers(rule, channel, at, calendars)
    }
}

/// The silences that are about one event, at whatever time.
#[derive(Debug, Clone)]
pub struct Covering<'s> {
    once: Matched<'s, Named>,
    recurring: Matched<'s, (Named, CalendarId)>,
}

impl<'s> Covering<'s> {
    /// No silence can cover any alert of this event.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.once.is_empty() && self.recurring.is_empty()
    }

    /// [`Self::silence`], else [`Self::maintenance`].
    #[must_use]
    pub fn covers(
        &self,
        rule: &RuleId,
        channel: &ChannelId,
        at: Timestamp,
        calendars: &impl Windows,
    ) -> Option<SilenceHit<'s>> {
        self.silence(rule, channel, at).or_else(|| self.maintenance(rule, channel, at, calendars))
    }

    /// The one-off silence that covers this alert; of several the one that lasts longest, then by id.
    #[must_use]
    pub fn silence(&self, rule: &RuleId, channel: &ChannelId, at: Timestamp) -> Option<SilenceHit<'s>> {
        let Entry { until, value, .. } = self.once.longest(rule, channel, at, |_| true)?;
        Some(hit(value, *until, None))
    }

    /// The recurring silence that covers this alert; of several the one that lasts longest, then by id.
    #[must_use]
    pub fn maintenance(
        &self,
        rule: &RuleId,
        channel: &ChannelId,
        at: Timestamp,
        calendars: &impl Windows,
    ) -> Option<SilenceHit<'s>> {
        // Many silences have few calendars.
        let mut asked: Vec<(&CalendarId, Option<Inside>)> = Vec::new();
        let mut best: Option<((bool, Option<Timestamp>), u32, SilenceHit<'s>)> = None;
        for (place, Entry { until, value: (named, calendar), .. }) in self.recurring.live(rule, channel, at) {
            let known = asked.iter().find(|(known, _)| *known == calendar).map(|(_, inside)| *inside);
            let inside = known.unwrap_or_else(|| {
                let inside = calendars.inside(calendar, at);
                asked.push((calendar, inside));
                inside
            });
            let Some(Inside { until: closes }) = inside else { continue };
            let until = match (closes, *until) {
                (Some(closes), Some(until)) => Some(closes.min(until)),
                (closes, until) => closes.or(until),
            };
            let ends = (until.is_none(), until);
            let better =
                best.as_ref().is_none_or(|(known, at, _)| ends > *known || (ends == *known && place < *at));
            if better {
                best = Some((ends, place, hit(named, until, Some(calendar))));
            }
        }
        best.map(|(_, _, hit)| hit)
    }
}

fn hit<'s>(named: &'s Named, until: Option<Timestamp>, calendar: Option<&'s CalendarId>) -> SilenceHit<'s> {
    let Named { id, version, digest } = named;
    SilenceHit { id, version: *version, digest: *digest, until, recurring: calendar.is_some(), calendar }
}

pub(super) fn digest_of(text: &str) -> Result<PlainDigest, Problem> {
    PlainDigest::parse(text)
        .ok_or_else(|| Problem::new(Code::Internal, "", "its digest cannot be read", "save it again"))
}
