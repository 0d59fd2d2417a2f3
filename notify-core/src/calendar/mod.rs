//! Calendars: windows of time in the zones of people, for quiet hours, maintenance and schedules.
//!
//! [`CompiledCalendar::at`] is asked for each alert. So the windows of a stretch of [`BLOCK_DAYS`] days are worked out
//! together, once, and kept: a value of document and zone alone, so nobody can tell whether it was kept or worked out.

mod alertmanager;
mod compile;
pub mod contacts;
pub mod day;
mod entry;
pub mod ical;
pub mod import;
mod intervals;
pub mod lint;
mod rrule;
pub mod upcoming;
mod words;
mod zone;

#[cfg(test)]
mod tests;

pub use compile::zone as time_zone;
pub use contacts::{Contact, Contacts};

use crate::document::{Calendar, Kind, Version, calendar::Dst};
use crate::ids::CalendarId;
use crate::ledger::commitment::PlainDigest;
use crate::plan::Broken;
use crate::problem::{Code, Problem};
use day::{DAY, Day};
use intervals::{Interval, clip, subtract, union};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::{Arc, PoisonError, RwLock};
use zone::{Clocks, moment};

/// Years that documents may name.
pub(crate) const YEARS: RangeInclusive<i32> = 1970..=2199;
/// Days whose windows are worked out together.
pub const BLOCK_DAYS: i64 = 128;
const BLOCK: i64 = BLOCK_DAYS * DAY;
/// How far ahead a change is looked for: two years and a day.
pub const HORIZON_DAYS: i64 = 731;
const HORIZON: i64 = HORIZON_DAYS * DAY;
static UTC: TimeZone = TimeZone::UTC;
/// Most blocks that a calendar keeps, over all zones of contacts.
const MAX_KEPT: usize = 1_024;

/// What a calendar says of a moment. `until` is when that changes; `None`: not within [`HORIZON_DAYS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalendarState {
    Inside { until: Option<Timestamp> },
    Outside { until: Option<Timestamp> },
}

impl CalendarState {
    #[must_use]
    pub const fn is_inside(self) -> bool {
        matches!(self, Self::Inside { .. })
    }
    #[must_use]
    pub const fn until(self) -> Option<Timestamp> {
        match self {
            Self::Inside { until } | Self::Outside { until } => until,
        }
    }
}

/// A time inside. `to` is the first moment outside; `None`: not within [`HORIZON_DAYS`] of `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub from: Timestamp,
    pub to: Option<Timestamp>,
}

/// All calendars of a tenant.
#[derive(Debug, Clone, Default)]
pub struct Calendars(Arc<BTreeMap<CalendarId, CompiledCalendar>>);

impl Calendars {
    /// Compiles what the store holds. Documents were checked when they were saved, so `Broken` is normally empty.
    #[must_use]
    pub fn compile(documents: Vec<Version<Calendar>>) -> (Self, Vec<Broken>) {
        let (mut calendars, mut broken) = (BTreeMap::new(), Vec::new());
        for document in documents {
            let id = document.document.id.clone();
            match CompiledCalendar::new(&document) {
                Ok(calendar) => drop(calendars.insert(id, calendar)),
                Err(problem) => broken.push(Broken { kind: Kind::Calendar, id: id.to_string(), problem }),
            }
        }
        (Self(Arc::new(calendars)), broken)
    }

    #[must_use]
    pub fn get(&self, id: &CalendarId) -> Option<&CompiledCalendar> {
        self.0.get(id)
    }

    pub fn iter(&self) -> impl Iterator<Item = &CompiledCalendar> {
        self.0.values()
    }
}

/// The windows of a block, clipped to it.
type Block = Arc<[Interval]>;

/// A calendar that can be asked.
#[derive(Debug)]
pub struct CompiledCalendar {
    pub id: CalendarId,
    pub version: u64,
    pub digest: PlainDigest,
    pub dst: Dst,
    parts: compile::Parts,
    /// By zone (empty: the calendar's own) and number.
    kept: RwLock<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    count: usize,
    by_zone: HashMap<String, HashMap<i64, Block, foldhash::fast::FixedState>, foldhash::fast::FixedState>,
}

/// Whether a document compiles.
///
/// # Errors
/// [`Code::InvalidCalendar`], with the place.
pub fn check(calendar: &Calendar) -> Result<(), Problem> {
    compile::parts(calendar).map(drop)
}

impl CompiledCalendar {
    /// # Errors
    /// [`Code::InvalidCalendar`], with the place.
    pub fn new(document: &Version<Calendar>) -> Result<Self, Problem> {
        let digest = PlainDigest::parse(&document.digest).ok_or_else(|| {
            Problem::new(Code::Internal, "", "its digest cannot be read", "save the calendar again")
        })?;
        let calendar = &document.document;
        Ok(Self {
            id: calendar.id.clone(),
            version: document.version,
            digest,
            dst: calendar.dst,
            parts: compile::parts(calendar)?,
            kept: RwLock::default(),
        })
    }

    /// Whether it is read in the zone of a contact.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        self.parts.zone.is_none()
    }

    /// The zone it is read in. `local` is the contact's; a calendar in the contact's zone is read in UTC without one.
    #[must_use]
    pub fn zone<'z>(&'z self, local: Option<&'z TimeZone>) -> &'z TimeZone {
        self.parts.zone.as_ref().or(local).unwrap_or(&UTC)
    }

    /// What it says of a moment.
    #[must_use]
    pub fn at(&self, at: Timestamp, local: Option<&TimeZone>) -> CalendarState {
        let (second, zone) = (at.as_second() - i64::from(at.subsec_nanosecond() < 0), self.zone(local));
        let end = second.saturating_add(HORIZON);
        let mut block = second.div_euclid(BLOCK);
        let windows = self.block(block, zone);
        let next = windows.partition_point(|(_, to)| *to <= second);
        match windows.get(next) {
            Some((from, to)) if *from <= second => {
                // It may go on in the blocks that follow.
                let (mut until, mut edge) = (*to, (block + 1) * BLOCK);
                while until == edge && until < end {
                    block += 1;
                    edge += BLOCK;
                    match self.block(block, zone).first() {
                        Some((from, to)) if *from == until => until = *to,
                        _ => break,
                    }
                }
                CalendarState::Inside { until: (until < end).then(|| moment(until)) }
            }
            Some((from, _)) => CalendarState::Outside { until: Some(moment(*from)) },
            None => {
                let mut until = None;
                while until.is_none() && (block + 1) * BLOCK < end {
                    block += 1;
                    until = self.block(block, zone).first().map(|(from, _)| *from);
                }
                CalendarState::Outside { until: until.filter(|until| *until < end).map(moment) }
            }
        }
    }

    /// The windows that end after `from`, in order, for as long as none is farther than [`HORIZON_DAYS`] from the last.
    /// One that `from` lies in is given with the moment it began, if that is within the horizon, and else from `from`.
    pub fn windows<'c>(
        &'c self,
        from: Timestamp,
        local: Option<&'c TimeZone>,
    ) -> impl Iterator<Item = Window> + use<'c> {
        let mut next = Some(from);
        let mut first = true;
        std::iter::from_fn(move || {
            let at = next.take()?;
            let (start, until) = match self.at(at, local) {
                CalendarState::Inside { until } if first => (self.began(at, local), until),
                CalendarState::Inside { until } => (at, until),
                CalendarState::Outside { until } => {
                    let start = until?;
                    (start, self.at(start, local).until())
                }
            };
            (first, next) = (false, until);
            Some(Window { from: start, to: until })
        })
    }

    /// The start of the next window; not of the one that `after` lies in.
    #[must_use]
    pub fn next_start(&self, after: Timestamp, local: Option<&TimeZone>) -> Option<Timestamp> {
        match self.at(after, local) {
            CalendarState::Outside { until } => until,
            CalendarState::Inside { until } => self.at(until?, local).until(),
        }
    }

    /// When the window that a moment lies in began.
    fn began(&self, at: Timestamp, local: Option<&TimeZone>) -> Timestamp {
        let (second, zone) = (at.as_second() - i64::from(at.subsec_nanosecond() < 0), self.zone(local));
        let (mut block, end) = (second.div_euclid(BLOCK), second.saturating_sub(HORIZON));
        let windows = self.block(block, zone);
        let place = windows.partition_point(|(_, to)| *to <= second);
        let Some((mut from, _)) = windows.get(place).copied() else { return at };
        while from == block * BLOCK && from > end {
            block -= 1;
            match self.block(block, zone).last() {
                Some((earlier, to)) if *to == from => from = *earlier,
                _ => break,
            }
        }
        if from <= end { at } else { moment(from) }
    }

    fn block(&self, number: i64, zone: &TimeZone) -> Block {
        let name = if self.parts.zone.is_some() { Some("") } else { zone.iana_name() };
        // A zone without a name (a fixed offset) cannot be told from others.
        let Some(name) = name else { return self.work_out(number, zone).into() };
        {
            let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(block) = kept.by_zone.get(name).and_then(|blocks| blocks.get(&number)) {
                return Arc::clone(block);
            }
        }
        let block: Block = self.work_out(number, zone).into();
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.count >= MAX_KEPT {
            *kept = Kept::default();
        }
        kept.count += 1;
        kept.by_zone.entry(name.to_owned()).or_default().insert(number, Arc::clone(&block));
        block
    }

    fn work_out(&self, number: i64, zone: &TimeZone) -> Vec<Interval> {
        let within = (number.saturating_mul(BLOCK), number.saturating_add(1).saturating_mul(BLOCK));
        let mut holidays = BTreeSet::new();
        let (first, last) = (Day::of(within.0).plus(-16), Day::of(within.1).plus(16));
        self.parts.holidays.iter().for_each(|entry| entry.days(first, last, &mut holidays));
        let mut clocks = vec![(zone.clone(), Clocks::of(zone, within.0, within.1))];
        let mut cover = |entries: &[entry::Entry]| {
            let mut all = Vec::new();
            for entry in entries {
                let zone = entry.zone.as_ref().unwrap_or(zone);
                let known = clocks.iter().position(|(known, _)| known == zone).unwrap_or_else(|| {
                    clocks.push((zone.clone(), Clocks::of(zone, within.0, within.1)));
                    clocks.len() - 1
                });
                if let Some((_, clocks)) = clocks.get(known) {
                    entry.cover(within, clocks, self.dst, &holidays, &mut all);
                }
            }
            union(all)
        };
        let (windows, except) = (cover(&self.parts.windows), cover(&self.parts.except));
        clip(&subtract(&windows, &except), within)
    }
}
