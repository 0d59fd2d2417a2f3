//! Calendar documents from the files of others, with a report of what could not be carried.

use super::{alertmanager, ical};
use crate::document::calendar::{self as document, Entry, MAX_ENTRIES};
use crate::document::parse_calendar;
use crate::ids::is_slug;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Documents that can be saved, and what their author should know.
#[derive(Debug, Default, Serialize)]
pub struct Imported {
    pub calendars: Vec<Value>,
    pub notes: Vec<Remark>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// `line 12`, or a JSON Pointer.
    pub place: String,
    pub text: String,
    /// The windows differ from what the file says.
    pub lost: bool,
}

/// What the file does not say.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub id: Option<String>,
    pub name: Option<String>,
    pub time_zone: Option<String>,
}

/// An iCalendar file becomes one calendar.
#[must_use]
pub fn ical(text: &str, options: &Options) -> Imported {
    let read = ical::read(text);
    let mut out = Imported::default();
    let remark = |line: usize, text: String, lost| Remark { place: format!("line {line}"), text, lost };
    out.notes.extend(read.notes.into_iter().map(|note| remark(note.line, note.text, note.lost)));
    let zones = read.entries.iter().filter_map(|(entry, _)| entry.time_zone.as_deref());
    let zone = options.time_zone.clone().or_else(|| read.zone.clone().filter(|zone| is_zone(zone)));
    let zone = zone.or_else(|| commonest(zones));
    let zone = zone.unwrap_or_else(|| {
        let text = "the file names no time zone; UTC was taken (`--time-zone` says another)".to_owned();
        out.notes.push(Remark { place: "the file".to_owned(), text, lost: false });
        "UTC".to_owned()
    });
    let name = options.name.clone().or(read.name).unwrap_or_else(|| "Imported calendar".to_owned());
    let id = options.id.clone().unwrap_or_else(|| slug(&name, &BTreeSet::new()));
    let mut base = base(&id, &name, &zone);
    let mut windows = Vec::new();
    for (entry, line) in read.entries {
        if windows.len() == MAX_ENTRIES {
            let text = format!("more than {MAX_ENTRIES} entries; this event and those after it are left out");
            out.notes.push(remark(line, text, true));
            break;
        }
        let entry = written(entry, &zone);
        // Each by itself, so that one that cannot be carried costs no other.
        base.insert("windows".to_owned(), json!([entry]));
        match parse_calendar(&Value::Object(base.clone())) {
            Ok(_) => windows.push(entry),
            Err(problem) if problem.path.starts_with("/windows/0") => {
                out.notes.push(remark(line, format!("{}; {}", problem.reason, problem.fix), true));
            }
            Err(problem) => {
                out.notes.push(Remark { place: problem.path, text: problem.reason, lost: true });
                return out;
            }
        }
    }
    finish(base, windows, &mut out);
    out
}

/// The `time_intervals` of an Alertmanager configuration, each a calendar.
#[must_use]
pub fn alertmanager(config: &Value, options: &Options) -> Imported {
    let mut out = Imported::default();
    let note = |place: String, text: String, lost| Remark { place, text, lost };
    let lists = match config {
        Value::Object(members) => {
            for name in members.keys().filter(|name| !LISTS.contains(&name.as_str())) {
                let text = format!("`{name}` says nothing of time");
                out.notes.push(note(format!("/{name}"), text, false));
            }
            LISTS.iter().filter_map(|name| Some((format!("/{name}"), members.get(*name)?))).collect()
        }
        other => vec![(String::new(), other)],
    };
    let mut ids = BTreeSet::new();
    for (path, list) in lists {
        for (index, item) in list.as_array().into_iter().flatten().enumerate() {
            let here = format!("{path}/{index}");
            let Some(intervals) = item.get("time_intervals") else {
                out.notes.push(note(here, "`time_intervals` is missing".to_owned(), true));
                continue;
            };
            let name = item.get("name").and_then(Value::as_str).unwrap_or("Imported calendar");
            let own = |option: &Option<String>| option.clone().filter(|_| ids.is_empty());
            let id = own(&options.id).unwrap_or_else(|| slug(name, &ids));
            let intervals = located(intervals, options.time_zone.as_deref());
            match alertmanager::entries(&intervals, &format!("{here}/time_intervals")) {
                Ok(entries) => {
                    let zones = entries.iter().filter_map(|(entry, _)| entry.time_zone.as_deref());
                    let zone = commonest(zones).unwrap_or_else(|| "UTC".to_owned());
                    let name = own(&options.name).unwrap_or_else(|| name.chars().take(200).collect());
                    let windows = entries.into_iter().map(|(entry, _)| written(entry, &zone)).collect();
                    finish(base(&id, &name, &zone), windows, &mut out);
                    ids.insert(id);
                }
                Err(problem) => {
                    out.notes.push(note(problem.path, format!("{}; {}", problem.reason, problem.fix), true));
                }
            }
        }
    }
    if out.calendars.is_empty() && out.notes.iter().all(|note| !note.lost) {
        out.notes.push(note(String::new(), "there are no `time_intervals`".to_owned(), true));
    }
    out
}

const LISTS: [&str; 2] = ["time_intervals", "mute_time_intervals"];

/// With the zone that `Local` means, where it was told.
fn located(intervals: &Value, zone: Option<&str>) -> Value {
    let mut intervals = intervals.clone();
    for interval in intervals.as_array_mut().into_iter().flatten() {
        if let (Some(location), Some(zone)) = (interval.get_mut("location"), zone)
            && location == "Local"
        {
            *location = zone.into();
        }
    }
    intervals
}

fn finish(mut base: Map<String, Value>, windows: Vec<Value>, out: &mut Imported) {
    if windows.is_empty() {
        return;
    }
    base.insert("windows".to_owned(), Value::Array(windows));
    let document = Value::Object(base);
    match parse_calendar(&document) {
        Ok(_) => out.calendars.push(document),
        Err(problem) => {
            let text = format!("{}; {}", problem.reason, problem.fix);
            out.notes.push(Remark { place: problem.path, text, lost: true });
        }
    }
}

fn base(id: &str, name: &str, zone: &str) -> Map<String, Value> {
    let members =
        [("schema", document::SCHEMA), ("id", id), ("name", name), ("timeZone", zone), ("dst", "wall-clock")];
    members.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

/// As it stands in a document; its zone only where it is another than the calendar's.
fn written(mut entry: Entry, zone: &str) -> Value {
    entry.time_zone = entry.time_zone.filter(|own| own != zone);
    serde_json::to_value(&entry).unwrap_or_default()
}

fn is_zone(name: &str) -> bool {
    TimeZone::get(name).is_ok_and(|zone| zone.iana_name() == Some(name))
}

fn commonest<'z>(zones: impl Iterator<Item = &'z str>) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    zones.for_each(|zone| *counts.entry(zone).or_default() += 1);
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(zone, _)| zone.to_owned())
}

/// An id that reads like the name and is not taken.
fn slug(name: &str, taken: &BTreeSet<String>) -> String {
    let mut slug = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            'ä' => slug.push_str("ae"),
            'ö' => slug.push_str("oe"),
            'ü' => slug.push_str("ue"),
            'ß' => slug.push_str("ss"),
            _ if !slug.is_empty() && !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
        if slug.len() >= 56 {
            break;
        }
    }
    let slug = slug.trim_matches('-');
    let slug = if is_slug(slug) { slug } else { "calendar" };
    let numbered = (2..).map(|number| format!("{slug}-{number}"));
    let mut tries = std::iter::once(slug.to_owned()).chain(numbered.take(10_000));
    tries.find(|id| !taken.contains(id)).unwrap_or_else(|| slug.to_owned())
}
