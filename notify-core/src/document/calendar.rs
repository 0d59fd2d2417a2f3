//! The calendar document: named windows of time, for quiet hours, maintenance and schedules.

use super::parse::{Parsed, seal};
use super::reader::Reader;
use crate::duration::Length;
use crate::ids::CalendarId;
use crate::problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// `schema: notify-calendar@1`.
pub const SCHEMA: &str = "notify-calendar@1";
/// `timeZone` of a calendar that is read in the zone of whoever is asked for.
pub const CONTACT: &str = "contact";
/// Most entries in each of `windows`, `holidays` and `except`.
pub const MAX_ENTRIES: usize = 1_000;
/// Most elements of one list inside an entry.
pub const MAX_ELEMENTS: usize = 400;
/// Longest RRULE, in characters.
pub const MAX_RRULE: usize = 500;
/// Longest iCalendar text, in characters.
pub const MAX_ICAL: usize = 256 * 1024;
/// Longest name of a zone, in characters.
pub const MAX_ZONE: usize = 64;
/// Longest element that says a day, a time or a date, in characters.
const MAX_WORD: usize = 64;
/// Years that may be named.
pub const YEARS: RangeInclusive<i64> = 1970..=2199;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Calendar {
    pub schema: String,
    pub id: CalendarId,
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// An IANA name, or [`CONTACT`].
    pub time_zone: String,
    #[serde(default)]
    pub dst: Dst,
    /// Inside is when any of them says so …
    pub windows: Vec<Entry>,
    /// Days that `holidays` in a list of `days` stands for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holidays: Vec<Entry>,
    /// … and none of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Entry>,
}

/// What a local time means on the days when clocks are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dst {
    /// Inside is whenever a clock on the wall there shows a time inside: an hour that is shown twice counts twice, one
    /// that is skipped does not count. Alertmanager's reading.
    #[default]
    WallClock,
    /// Start and end are each one moment: what is shown twice means the first, what is skipped means the moment of the
    /// skip. Windows have no holes, and a recurring window of hours keeps its length.
    Instants,
}

impl Dst {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WallClock => "wall-clock",
            Self::Instants => "instants",
        }
    }
}

/// Some time. One of six forms, told apart by their members: by day (`days`, `times`, `daysOfMonth`, `months`, `years`,
/// `dates`, which must all hold), `weekly`, `from` and `to`, `rrule`, `ical`, `timeIntervals`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Instead of the calendar's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// `mon`, `mon-fri`, `sat-mon`, `holidays`. Any of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<String>,
    /// `09:00-17:30`; `22:00-06:00` ends on the next day and belongs to the day it begins on. Absent: the whole day.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<String>,
    /// `1`, `-1` (the last), `1..7`, `-3..-1`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub days_of_month: Vec<String>,
    /// `jan`, `nov-feb`, `1`, `1-3`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub months: Vec<String>,
    /// `2026`, `2026-2028`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub years: Vec<String>,
    /// `2026-12-24`, `2026-12-24..2027-01-02`, and each year `12-24`, `12-24..01-02`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dates: Vec<String>,
    /// `fri 18:00 - mon 08:00`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weekly: Option<String>,
    /// `2026-12-24T18:00` in the zone, or `2026-12-24T17:00:00Z`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Not included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// First start of what recurs: `2026-01-05T22:00`, or `2026-01-05` for whole days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// How long each one lasts; for whole days one day unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<Length>,
    /// RFC 5545, see docs/calendars.md for the parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rrule: Option<String>,
    /// Starts, or days, left out of the recurrence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Starts, or days, added to it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Text of an iCalendar file; its events are windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ical: Option<String>,
    /// As the list of the same name in an Alertmanager configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_intervals: Option<Value>,
}

/// Parses and compiles, so what is accepted works.
///
/// # Errors
/// [`Code::InvalidCalendar`], [`Code::UnknownField`], with the place.
pub fn parse_calendar(value: &Value) -> Result<Parsed<Calendar>, Problem> {
    let code = Code::InvalidCalendar;
    let reader = Reader::document(value, code, SCHEMA)?;
    let known =
        ["schema", "id", "name", "description", "labels", "timeZone", "dst", "windows", "holidays", "except"];
    reader.only(&known, &[])?;
    let time_zone = reader.line("timeZone", MAX_ZONE)?;
    let zone_fix =
        "write an IANA name such as `Europe/Berlin`, `UTC`, or `contact` for the zone of the contact";
    let dst = match reader.get("dst") {
        None => Dst::default(),
        Some(value) => serde_json::from_value(value.clone()).map_err(|_| {
            let fix = "write `wall-clock` (what a clock on the wall shows) or `instants` (start and end are one moment each)";
            reader.fault("dst", "`dst` is no way of reading local times", fix)
        })?,
    };
    let calendar = Calendar {
        schema: SCHEMA.to_owned(),
        id: reader.id("id")?,
        name: reader.name()?,
        description: reader.description()?,
        labels: reader.labels()?,
        time_zone: time_zone.ok_or_else(|| reader.fault("timeZone", "`timeZone` is missing", zone_fix))?,
        dst,
        windows: entries(&reader, "windows", 1..=MAX_ENTRIES)?,
        holidays: entries(&reader, "holidays", 0..=MAX_ENTRIES)?,
        except: entries(&reader, "except", 0..=MAX_ENTRIES)?,
    };
    crate::calendar::check(&calendar)?;
    seal(calendar, code)
}

fn entries(calendar: &Reader, list: &str, range: RangeInclusive<usize>) -> Result<Vec<Entry>, Problem> {
    let items = calendar.list(list, range)?.iter().enumerate();
    items.map(|(index, value)| entry(value, format!("/{list}/{index}"))).collect()
}

/// The members of each form, without `name`; the last is told by having none of the others' first words.
const FORMS: [(&[&str], &[&str]); 5] = [
    (&["ical"], &["ical"]),
    (&["timeIntervals"], &["timeIntervals"]),
    (
        &["rrule", "start", "duration", "exclude", "include"],
        &["rrule", "start", "duration", "exclude", "include", "timeZone"],
    ),
    (&["from", "to"], &["from", "to", "timeZone"]),
    (&["weekly"], &["weekly", "timeZone"]),
];
const BY_DAY: [&str; 6] = ["days", "times", "daysOfMonth", "months", "years", "dates"];

fn entry(value: &Value, path: String) -> Result<Entry, Problem> {
    let reader = Reader::new(value, path.clone(), Code::InvalidCalendar)?;
    let form = FORMS.iter().find(|(tell, _)| tell.iter().any(|name| reader.get(name).is_some()));
    let mut known = vec!["name"];
    match form {
        Some((_, members)) => known.extend(*members),
        None => known.extend(BY_DAY.iter().chain(&["timeZone"])),
    }
    if let Some((tell, _)) = form {
        let other = reader.members().keys().find(|name| {
            !known.contains(&name.as_str())
                && (BY_DAY.contains(&name.as_str())
                    || FORMS.iter().any(|(_, all)| all.contains(&name.as_str())))
        });
        if let Some(other) = other {
            let reason = format!("`{other}` and `{}` are different forms of an entry", tell.join("`, `"));
            return Err(reader.fault(other, reason, "write two entries, or cut one out with `except`"));
        }
    }
    reader.only(&known, &[])?;
    let entry = Entry {
        name: reader.line("name", super::reader::MAX_NAME)?,
        time_zone: reader.line("timeZone", MAX_ZONE)?,
        days: words(&reader, "days")?,
        times: words(&reader, "times")?,
        days_of_month: words(&reader, "daysOfMonth")?,
        months: words(&reader, "months")?,
        years: words(&reader, "years")?,
        dates: words(&reader, "dates")?,
        weekly: reader.line("weekly", MAX_WORD)?,
        from: reader.line("from", MAX_WORD)?,
        to: reader.line("to", MAX_WORD)?,
        start: reader.line("start", MAX_WORD)?,
        duration: duration(&reader)?,
        rrule: reader.line("rrule", MAX_RRULE)?,
        exclude: words(&reader, "exclude")?,
        include: words(&reader, "include")?,
        ical: reader.text("ical", 1, MAX_ICAL)?,
        time_intervals: reader.get("timeIntervals").cloned(),
    };
    if form.is_none() && BY_DAY.iter().all(|name| reader.get(name).is_none()) {
        let fix = "write e.g. `days: [mon-fri]` and `times: [22:00-06:00]`, or `weekly`, `from` and `to`, `rrule`, `ical`, `timeIntervals`";
        return Err(Problem::new(Code::InvalidCalendar, path, "this entry says no time", fix));
    }
    for (a, b) in [("from", "to"), ("to", "from"), ("rrule", "start"), ("start", "rrule")] {
        if reader.get(a).is_some() {
            reader.need(b, &format!("`{a}` goes with `{b}`"))?;
        }
    }
    for part in ["duration", "exclude", "include"] {
        if reader.get(part).is_some() {
            reader.need("rrule", &format!("`{part}` belongs to a recurrence: write `rrule` and `start`"))?;
        }
    }
    Ok(entry)
}

fn duration(reader: &Reader) -> Result<Option<Length>, Problem> {
    let Some(text) = reader.line("duration", MAX_WORD)? else { return Ok(None) };
    text.parse().map(Some).map_err(|error: crate::duration::InvalidLength| {
        reader.fault("duration", error.to_string(), "write e.g. `8h` or `2d`")
    })
}

/// A list of texts; a whole number stands for its digits, because `months: [12]` and `years: [2026]` are numbers in YAML.
fn words(reader: &Reader, name: &str) -> Result<Vec<String>, Problem> {
    let Some(_) = reader.get(name) else { return Ok(Vec::new()) };
    let items = reader.list(name, 1..=MAX_ELEMENTS)?;
    let numbers = ["daysOfMonth", "months", "years"].contains(&name);
    let one = |(index, value): (usize, &Value)| {
        let text = match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(_) if numbers => {
                super::reader::whole(value, &(-9999..=9999)).ok().map(|number| number.to_string())
            }
            _ => None,
        };
        text.filter(|text| (1..=MAX_WORD).contains(&text.chars().count())).ok_or_else(|| {
            let path = format!("{}/{index}", reader.at(name));
            let reason = format!("this is no element of `{name}`");
            Problem::new(Code::InvalidCalendar, path, reason, "write a short text, see docs/calendars.md")
        })
    };
    items.iter().enumerate().map(one).collect()
}
