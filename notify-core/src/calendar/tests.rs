//! Calendars against tables, against a model that looks at each minute, and against what peers got wrong.

mod ical;
mod model;
mod peers;
mod rrule;
mod vectors;

use super::*;
use crate::document::parse_calendar;
use serde_json::{Value, json};

/// A calendar of its members, but for those that each one has.
fn compile(members: Value) -> CompiledCalendar {
    try_compile(members.clone()).unwrap_or_else(|problem| panic!("{problem}: {members}"))
}

fn try_compile(members: Value) -> Result<CompiledCalendar, Problem> {
    let mut value = json!({ "schema": "notify-calendar@1", "id": "c", "name": "C", "timeZone": "UTC" });
    for (name, member) in members.as_object().unwrap() {
        value[name] = member.clone();
    }
    let (document, _, digest) = parse_calendar(&value)?;
    CompiledCalendar::new(&Version { version: 1, digest, document })
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Short for whole minutes of UTC, cut to a stretch of time.
fn shown(calendar: &CompiledCalendar, from: &str, to: &str) -> Vec<String> {
    let (from, to) = (time(from), time(to));
    let cut = calendar.windows(from, None).take_while(|window| window.from < to);
    cut.map(|window| {
        let end = window.to.unwrap_or(to).min(to);
        format!("{} {}", short(window.from.max(from)), short(end))
    })
    .collect()
}

fn short(at: Timestamp) -> String {
    at.to_string().replace(":00Z", "Z")
}
