//! Entries of a calendar, ready to be asked for the time they cover.

use super::day::{DAY, Day};
use super::intervals::Interval;
use super::rrule::Rule;
use super::words::{self, Dates};
use super::zone::{Clocks, Skipped};
use crate::document::calendar::Dst;
use jiff::tz::TimeZone;
use std::collections::BTreeSet;

/// Longest window of a day: a week and the day it began on, rounded up.
const LONGEST_SPAN: i32 = 9;
/// Longest window of a recurrence, in days.
pub const MAX_DURATION_DAYS: i64 = 31;

#[derive(Debug)]
pub struct Entry {
    /// `None`: the calendar's.
    pub zone: Option<TimeZone>,
    pub when: When,
}

#[derive(Debug)]
pub enum When {
    /// On each day that the filter lets through: spans in seconds since that day's midnight.
    Days(DayFilter, Vec<Interval>),
    /// Local times.
    Local(Interval),
    Moments(Interval),
    Recurring(Recurring),
}

/// All that is not empty must hold.
#[derive(Debug, Default)]
pub struct DayFilter {
    /// Bits, Monday at 0.
    pub weekdays: u8,
    pub holidays: bool,
    pub days_of_month: Vec<(i8, i8)>,
    /// Bits 1 to 12.
    pub months: u16,
    pub years: Vec<(i32, i32)>,
    pub dates: Vec<Dates>,
}

#[derive(Debug)]
pub struct Recurring {
    pub rule: Rule,
    /// Seconds.
    pub lasts: i64,
    /// Days rather than hours: it ends at the local time it began at, whatever happens to the clocks.
    pub in_days: bool,
    /// Starts, sorted.
    pub include: Vec<i64>,
    pub exclude: BTreeSet<i64>,
    pub exclude_days: BTreeSet<Day>,
}

impl DayFilter {
    fn holds(&self, day: Day, holidays: &BTreeSet<Day>) -> bool {
        let named = self.weekdays != 0 || self.holidays;
        let this_day =
            self.weekdays & (1 << day.weekday()) != 0 || (self.holidays && holidays.contains(&day));
        if named && !this_day {
            return false;
        }
        if self.days_of_month.is_empty() && self.months == 0 && self.years.is_empty() && self.dates.is_empty()
        {
            return true;
        }
        let (year, month, number) = day.parts();
        let days = super::day::days_in_month(year, month);
        (self.months == 0 || self.months & (1 << month) != 0)
            && (self.days_of_month.is_empty()
                || self.days_of_month.iter().any(|range| words::in_month(*range, number, days)))
            && (self.years.is_empty() || self.years.iter().any(|(from, to)| (*from..=*to).contains(&year)))
            && (self.dates.is_empty() || self.dates.iter().any(|dates| dates.contains(day, month, number)))
    }
}

impl Recurring {
    /// Starts on days of a range, not sorted.
    fn starts(&self, from: Day, to: Day) -> impl Iterator<Item = i64> + use<'_> {
        let range = from.start()..to.plus(1).start();
        let more = self.include.iter().copied().filter(move |start| range.contains(start));
        let of_rule = self.rule.starts(from.0..to.0.saturating_add(1)).into_iter();
        let of_rule = of_rule
            .filter(|start| !self.exclude.contains(start) && !self.exclude_days.contains(&Day::of(*start)));
        of_rule.chain(more)
    }
}

impl Entry {
    /// Adds all moments it covers that lie in `within`, and perhaps others near it.
    pub fn cover(
        &self,
        within: Interval,
        clocks: &Clocks,
        dst: Dst,
        holidays: &BTreeSet<Day>,
        out: &mut Vec<Interval>,
    ) {
        // Any zone's clocks show the moments of `within` as local times at most a day away from it.
        let (first, last) = (Day::of(within.0).plus(-1), Day::of(within.1).plus(1));
        let local = |interval: Interval, out: &mut Vec<Interval>| match dst {
            Dst::WallClock => clocks.shown(interval, out),
            Dst::Instants => out.push((
                clocks.first(interval.0, Skipped::TheSkip),
                clocks.first(interval.1, Skipped::TheSkip),
            )),
        };
        match &self.when {
            When::Moments(interval) => out.push(*interval),
            When::Local(interval) => local(*interval, out),
            When::Days(filter, spans) => {
                let days = first.0.saturating_sub(LONGEST_SPAN)..=last.0;
                for day in days.map(Day).filter(|day| filter.holds(*day, holidays)) {
                    let midnight = day.start();
                    spans.iter().for_each(|(from, to)| local((midnight + from, midnight + to), out));
                }
            }
            When::Recurring(recurring) => {
                let longest = i32::try_from(recurring.lasts / DAY).unwrap_or(i32::MAX).saturating_add(1);
                for start in recurring.starts(first.plus(-longest), last) {
                    if dst == Dst::WallClock || recurring.in_days {
                        local((start, start + recurring.lasts), out);
                    } else {
                        let start = clocks.first(start, Skipped::AsBefore);
                        out.push((start, start + recurring.lasts));
                    }
                }
            }
        }
    }

    /// Adds the dates from `first` to `last` that it covers as whole days.
    pub fn days(&self, first: Day, last: Day, out: &mut BTreeSet<Day>) {
        let mut add = |(from, to): Interval| {
            let (from, to) = (Day::of(from).max(first), Day::of(to - 1).min(last));
            out.extend((from.0..=to.0).map(Day));
        };
        match &self.when {
            When::Local(interval) | When::Moments(interval) => add(*interval),
            When::Days(filter, _) => {
                out.extend((first.0..=last.0).map(Day).filter(|day| filter.holds(*day, &BTreeSet::new())));
            }
            When::Recurring(recurring) => {
                let longest = i32::try_from(recurring.lasts / DAY).unwrap_or(i32::MAX);
                for start in recurring.starts(first.plus(-longest), last) {
                    add((start, start + recurring.lasts));
                }
            }
        }
    }
}
