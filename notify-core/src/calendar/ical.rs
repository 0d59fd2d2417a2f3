//! iCalendar files (RFC 5545): their events as entries of a calendar.
//!
//! What cannot be carried is noted with its line. A note that says `lost` means that the windows differ from what the file
//! says; other notes are about what has no window (alarms, tasks) or is read in one of several ways.

mod event;
mod lines;

use crate::document::calendar::{Entry, MAX_ICAL};
use event::Event;
use lines::Line;
use std::collections::BTreeMap;

/// Most events of a file.
pub const MAX_EVENTS: usize = 2_000;
/// Most notes on a file; what follows is counted in the last.
const MAX_NOTES: usize = 200;

/// Something about a file that its reader should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Counted from 1, as an editor does.
    pub line: usize,
    pub text: String,
    /// The windows differ from what the file says.
    pub lost: bool,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Read {
    /// Each with the line of its event.
    pub entries: Vec<(Entry, usize)>,
    pub notes: Vec<Note>,
    /// `X-WR-CALNAME`, by which programs name a calendar.
    pub name: Option<String>,
    /// `X-WR-TIMEZONE`, in which programs show it.
    pub zone: Option<String>,
}

impl Read {
    fn note(&mut self, line: usize, lost: bool, text: impl Into<String>) {
        match self.notes.len() {
            len if len < MAX_NOTES => self.notes.push(Note { line, text: text.into(), lost }),
            MAX_NOTES => {
                self.notes.push(Note { line, text: "more such notes are left out".to_owned(), lost: true })
            }
            _ => {}
        }
    }
}

/// Reads a file; never fails, see [`Read::notes`].
#[must_use]
pub fn read(text: &str) -> Read {
    let mut out = Read::default();
    if text.chars().nth(MAX_ICAL).is_some() {
        out.note(1, true, format!("the text has more than {MAX_ICAL} characters; nothing was read"));
        return out;
    }
    // Open components, and the event being read.
    let mut open: Vec<(String, usize)> = Vec::new();
    let mut event: Option<Event> = None;
    let mut events: Vec<Event> = Vec::new();
    let mut calendars = 0;
    for line in lines::unfold(text) {
        let line = match line {
            Ok(line) => line,
            Err((number, reason)) => {
                out.note(number, true, reason);
                continue;
            }
        };
        let upper = line.value.to_ascii_uppercase();
        match line.name.as_str() {
            "BEGIN" => {
                if open.len() >= 8 {
                    out.note(line.number, true, "components are nested too deeply; the rest was not read");
                    break;
                }
                begin(&upper, &line, &open, &mut event, &mut calendars, &mut out);
                open.push((upper, line.number));
            }
            "END" => match open.pop() {
                Some((name, _)) if name == upper => {
                    if name == "VEVENT" && open.len() == 1 {
                        events.extend(event.take());
                    }
                }
                _ => {
                    out.note(line.number, true, "`END` without its `BEGIN`; the rest was not read");
                    break;
                }
            },
            _ => match (open.last().map(|(name, _)| name.as_str()), &mut event) {
                (Some("VEVENT"), Some(event)) => event.property(line, &mut out),
                (Some("VCALENDAR"), _) => of_calendar(&line, &mut out),
                (None, _) => out.note(line.number, true, "a line outside of `BEGIN:VCALENDAR`"),
                _ => {}
            },
        }
    }
    if let Some((name, line)) = open.first() {
        out.note(*line, true, format!("`BEGIN:{}` has no `END`", lines::shown(name)));
        events.extend(event);
    }
    if calendars == 0 && out.notes.is_empty() {
        out.note(1, true, "this is no iCalendar file: `BEGIN:VCALENDAR` is missing");
    }
    if events.len() > MAX_EVENTS {
        let line = events.get(MAX_EVENTS).map_or(1, |event| event.line);
        out.note(line, true, format!("more than {MAX_EVENTS} events; the rest was not read"));
        events.truncate(MAX_EVENTS);
    }
    carry(events, &mut out);
    if out.entries.is_empty() && !out.notes.iter().any(|note| note.lost) {
        out.note(1, true, "the file has no event");
    }
    out
}

fn begin(
    name: &str,
    line: &Line,
    open: &[(String, usize)],
    event: &mut Option<Event>,
    calendars: &mut usize,
    out: &mut Read,
) {
    match (name, open.last().map(|(name, _)| name.as_str())) {
        ("VCALENDAR", None) => *calendars += 1,
        ("VEVENT", Some("VCALENDAR")) => *event = Some(Event::at(line.number)),
        ("VTIMEZONE", Some("VCALENDAR")) | (_, Some("VTIMEZONE")) => {}
        ("VALARM", Some("VEVENT")) | ("VTODO" | "VJOURNAL" | "VFREEBUSY", Some("VCALENDAR")) => {
            out.note(line.number, false, format!("`{name}` has no window"));
        }
        (_, Some("VTODO" | "VJOURNAL" | "VFREEBUSY")) => {}
        _ => out.note(line.number, true, format!("`BEGIN:{}` is not supported here", lines::shown(name))),
    }
}

fn of_calendar(line: &Line, out: &mut Read) {
    let value = lines::text(&line.value);
    match line.name.as_str() {
        "X-WR-CALNAME" => out.name = Some(value),
        "X-WR-TIMEZONE" => out.zone = Some(value),
        "VERSION" if value != "2.0" => {
            out.note(
                line.number,
                false,
                format!("the file is of version `{}`, read as 2.0", lines::shown(&value)),
            );
        }
        _ => {}
    }
}

/// Puts changed occurrences (`RECURRENCE-ID`) into the place of what they change, and writes entries.
fn carry(mut events: Vec<Event>, out: &mut Read) {
    let mut changes: BTreeMap<String, Vec<(usize, String)>> = BTreeMap::new();
    for event in &mut events {
        if let (Some(uid), Some(line)) = (&event.uid, &event.recurrence_id) {
            match event.local_start_of(line) {
                Some(start) => changes.entry(uid.clone()).or_default().push((event.line, start)),
                None => out.note(line.number, true, "`RECURRENCE-ID` is not understood"),
            }
        }
    }
    for event in events {
        let replaced = match (&event.uid, &event.recurrence_id) {
            (Some(uid), None) if event.recurs() => changes.remove(uid).unwrap_or_default(),
            _ => Vec::new(),
        };
        event.carry(replaced.into_iter().map(|(_, start)| start).collect(), out);
    }
    for (line, _) in changes.into_values().flatten() {
        out.note(
            line,
            false,
            "changes an occurrence of an event that is not in the file; taken as an event of its own",
        );
    }
}
