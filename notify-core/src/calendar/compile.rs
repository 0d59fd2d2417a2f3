//! From the entries of a document to what can be asked.

use super::day::{DAY, Day};
use super::entry::{DayFilter, Entry, MAX_DURATION_DAYS, Recurring, When};
use super::rrule::{self, Rule};
use super::words::{self, Fault};
use super::{alertmanager, ical};
use crate::document::calendar::{self as document, CONTACT, Calendar};
use crate::problem::{Code, Problem};
use jiff::tz::TimeZone;
use std::collections::BTreeSet;

/// Most entries of a calendar once iCalendar texts and `timeIntervals` are written out.
pub const MAX_COMPILED: usize = 5_000;
/// Most recurrences without an end that `COUNT` gives, weighed by their starts on one day.
pub const MAX_STARTS_PER_DAY: usize = 500;
/// Longest one-off window, in days.
const MAX_ONE_OFF_DAYS: i64 = 366 * 5;

/// A document, compiled.
#[derive(Debug)]
pub struct Parts {
    /// `None`: the contact's.
    pub zone: Option<TimeZone>,
    pub windows: Vec<Entry>,
    pub holidays: Vec<Entry>,
    pub except: Vec<Entry>,
}

struct Compiler {
    zone: Option<TimeZone>,
    entries: usize,
    per_day: usize,
}

fn problem(path: impl Into<String>, (reason, fix): Fault) -> Problem {
    Problem::new(Code::InvalidCalendar, path, reason, fix)
}

/// # Errors
/// What cannot be compiled, with its place.
pub fn parts(calendar: &Calendar) -> Result<Parts, Problem> {
    let zone = match calendar.time_zone.as_str() {
        CONTACT => None,
        name => Some(zone(name, "/timeZone")?),
    };
    let mut compiler = Compiler { zone: zone.clone(), entries: 0, per_day: 0 };
    let holidays = compiler.list(&calendar.holidays, "/holidays")?;
    for (path, entry) in &holidays {
        let whole = match &entry.when {
            When::Moments(_) => false,
            When::Local((from, to)) => from % DAY == 0 && to % DAY == 0,
            When::Days(filter, spans) => !filter.holidays && spans.iter().all(|span| *span == (0, DAY)),
            When::Recurring(recurring) => recurring.in_days && recurring.rule.whole_days(),
        };
        if !whole || entry.zone.is_some() {
            return Err(problem(
                path.clone(),
                (
                    "holidays are whole days, in no zone of their own".to_owned(),
                    "write `dates`, or `rrule` and a `start` without a time; put hours into `windows` or `except`",
                ),
            ));
        }
    }
    let windows = compiler.list(&calendar.windows, "/windows")?;
    let except = compiler.list(&calendar.except, "/except")?;
    let bare = |list: Vec<(String, Entry)>| list.into_iter().map(|(_, entry)| entry).collect();
    Ok(Parts { zone, windows: bare(windows), holidays: bare(holidays), except: bare(except) })
}

/// # Errors
/// When the bundled database has no such zone.
pub fn zone(name: &str, path: &str) -> Result<TimeZone, Problem> {
    let fix = "write an IANA name such as `Europe/Berlin` or `UTC`";
    let found = TimeZone::get(name).ok().filter(|zone| zone.iana_name() == Some(name));
    found.ok_or_else(|| problem(path, ("there is no such time zone".to_owned(), fix)))
}

impl Compiler {
    fn list(&mut self, entries: &[document::Entry], path: &str) -> Result<Vec<(String, Entry)>, Problem> {
        let mut compiled = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let here = format!("{path}/{index}");
            if let Some(text) = &entry.ical {
                let here = format!("{here}/ical");
                let read = ical::read(text);
                if let Some(note) = read.notes.iter().find(|note| note.lost) {
                    let reason = format!("line {}: {}", note.line, note.text);
                    let fix = "correct it, or let `notify calendar import` carry what it can";
                    return Err(problem(here, (reason, fix)));
                }
                for (inner, line) in read.entries {
                    let at = |problem: Problem| {
                        let reason = format!("event at line {line}: {}", problem.reason);
                        Problem::new(problem.code, here.clone(), reason, problem.fix)
                    };
                    compiled.push((here.clone(), self.one(&inner, &here).map_err(at)?));
                }
            } else if let Some(value) = &entry.time_intervals {
                for (inner, at) in alertmanager::entries(value, &format!("{here}/timeIntervals"))? {
                    compiled.push((at.clone(), self.one(&inner, &at)?));
                }
            } else {
                compiled.push((here.clone(), self.one(entry, &here)?));
            }
        }
        Ok(compiled)
    }

    fn one(&mut self, entry: &document::Entry, path: &str) -> Result<Entry, Problem> {
        self.entries += 1;
        if self.entries > MAX_COMPILED {
            let reason = format!("the calendar has more than {MAX_COMPILED} entries, events included");
            return Err(problem(path, (reason, "leave out what is past, or make two calendars")));
        }
        let zone = match &entry.time_zone {
            None => None,
            Some(_) if self.zone.is_none() => {
                let reason = "a calendar in the contact's zone has no entry in another";
                let fix = "leave `timeZone` out, or make two calendars";
                return Err(problem(format!("{path}/timeZone"), (reason.to_owned(), fix)));
            }
            Some(name) => Some(self::zone(name, &format!("{path}/timeZone"))?),
        };
        let when = if let (Some(from), Some(to)) = (&entry.from, &entry.to) {
            one_off(from, to, path)?
        } else if let (Some(rrule), Some(start)) = (&entry.rrule, &entry.start) {
            let recurring = self.recurring(entry, rrule, start, zone.as_ref(), path)?;
            self.per_day += recurring.rule.per_day();
            if self.per_day > MAX_STARTS_PER_DAY {
                let reason = format!("the recurrences start up to {} times a day", self.per_day);
                let fix = "write `days` and `times` instead, or make two calendars; 500 are allowed";
                return Err(problem(path, (reason, fix)));
            }
            When::Recurring(recurring)
        } else if let Some(text) = &entry.weekly {
            let (day, from, to) =
                words::weekly(text).map_err(|fault| problem(format!("{path}/weekly"), fault))?;
            When::Days(DayFilter { weekdays: 1 << day, ..DayFilter::default() }, vec![(from, to)])
        } else {
            by_day(entry, path)?
        };
        Ok(Entry { zone, when })
    }

    fn recurring(
        &self,
        entry: &document::Entry,
        rrule: &str,
        start: &str,
        zone: Option<&TimeZone>,
        path: &str,
    ) -> Result<Recurring, Problem> {
        let day = words::date(start);
        let fix = "write `2026-01-05T22:00`, or `2026-01-05` for whole days";
        let first = day
            .map(Day::start)
            .or_else(|| words::local(start))
            .ok_or_else(|| problem(format!("{path}/start"), ("this is no local time".to_owned(), fix)))?;
        let local = |moment: i64| {
            let zone = zone.or(self.zone.as_ref())?;
            let offset = zone.to_offset(super::zone::moment(moment)).seconds();
            Some(moment + i64::from(offset))
        };
        let rule = Rule::read(rrule, first, day.is_some(), local)
            .map_err(|fault| problem(format!("{path}/rrule"), fault))?;
        let at = format!("{path}/duration");
        let millis = match (entry.duration, day) {
            (Some(length), _) => i64::try_from(length.as_millis()).unwrap_or(i64::MAX),
            (None, Some(_)) => DAY * 1_000,
            (None, None) => {
                let reason = "`duration` is missing: this says when it begins, not how long it lasts";
                return Err(problem(at, (reason.to_owned(), "write e.g. `8h`")));
            }
        };
        let lasts = millis / 1_000;
        if millis % 1_000 != 0 || !(1..=MAX_DURATION_DAYS * DAY).contains(&lasts) {
            let fix = "write whole seconds up to `31d`; use `from` and `to` for something longer";
            return Err(problem(at, ("this duration is out of range".to_owned(), fix)));
        }
        let in_days = lasts % DAY == 0;
        if day.is_some() && !in_days {
            let fix = "write whole days, or give `start` a time";
            return Err(problem(at, ("whole days last whole days".to_owned(), fix)));
        }
        let (mut include, mut exclude, mut exclude_days) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for (list, name) in [(&entry.include, "include"), (&entry.exclude, "exclude")] {
            for (index, text) in list.iter().enumerate() {
                let date = words::date(text);
                let time = words::local(text).filter(|_| day.is_none());
                match (name, date, time) {
                    ("exclude", Some(date), _) => drop(exclude_days.insert(date)),
                    ("exclude", None, Some(time)) => drop(exclude.insert(time)),
                    // A day means the recurrence's own time on it.
                    (_, Some(date), _) => include.push(date.start() + first.rem_euclid(DAY)),
                    (_, None, Some(time)) => include.push(time),
                    _ => {
                        let at = format!("{path}/{name}/{index}");
                        return Err(problem(at, ("this is no start and no day".to_owned(), fix)));
                    }
                }
            }
        }
        include.sort_unstable();
        Ok(Recurring { rule, lasts, in_days, include, exclude, exclude_days })
    }
}

fn one_off(from: &str, to: &str, path: &str) -> Result<When, Problem> {
    let fix = "write both as local times, `2026-12-24T18:00`, or both with an offset, `2026-12-24T17:00:00Z`";
    let local = |text: &str| words::local(text).or_else(|| words::date(text).map(Day::start));
    let (interval, when): (_, fn(_) -> When) =
        match (local(from), local(to), words::moment(from), words::moment(to)) {
            (Some(from), Some(to), ..) => ((from, to), When::Local),
            (.., Some(from), Some(to)) => ((from, to), When::Moments),
            (None, _, None, _) => {
                return Err(problem(format!("{path}/from"), ("`from` is no time".to_owned(), fix)));
            }
            (_, None, _, None) => {
                return Err(problem(format!("{path}/to"), ("`to` is no time".to_owned(), fix)));
            }
            _ => {
                let reason = "one of `from` and `to` is a local time and the other is not".to_owned();
                return Err(problem(format!("{path}/to"), (reason, fix)));
            }
        };
    if interval.0 >= interval.1 {
        let reason = "this window ends before it begins".to_owned();
        return Err(problem(format!("{path}/to"), (reason, "write a later time")));
    }
    if interval.1 - interval.0 > MAX_ONE_OFF_DAYS * DAY {
        let reason = "this window lasts longer than five years".to_owned();
        return Err(problem(format!("{path}/to"), (reason, "write an earlier time")));
    }
    Ok(when(interval))
}

fn by_day(entry: &document::Entry, path: &str) -> Result<When, Problem> {
    fn each<T>(
        list: &[String],
        name: &str,
        path: &str,
        read: impl Fn(&str) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Problem> {
        let one = |(index, text): (usize, &String)| {
            read(text).map_err(|fault| problem(format!("{path}/{name}/{index}"), fault))
        };
        list.iter().enumerate().map(one).collect()
    }
    let days = each(&entry.days, "days", path, |text| match text {
        "holidays" => Ok(None),
        text => words::weekdays(text).map(Some),
    })?;
    let filter = DayFilter {
        weekdays: days.iter().flatten().fold(0, |bits, more| bits | more),
        holidays: days.iter().any(Option::is_none),
        days_of_month: each(&entry.days_of_month, "daysOfMonth", path, words::days_of_month)?,
        months: each(&entry.months, "months", path, words::months)?.iter().fold(0, |bits, more| bits | more),
        years: each(&entry.years, "years", path, words::years)?,
        dates: each(&entry.dates, "dates", path, words::dates)?,
    };
    let mut spans = each(&entry.times, "times", path, words::times)?;
    if spans.is_empty() {
        spans.push((0, DAY));
    }
    Ok(When::Days(filter, spans))
}

const _: () = assert!(rrule::MAX_TIMES <= MAX_STARTS_PER_DAY);
