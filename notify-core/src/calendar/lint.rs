//! What is valid in a calendar and yet probably not meant.

use super::words;
use crate::document::Calendar;
use crate::document::calendar::Entry;
use serde::Serialize;
use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// JSON Pointer into the document.
    pub path: String,
    pub reason: String,
    pub fix: String,
}

fn warning(path: String, reason: impl Into<String>, fix: &str) -> Warning {
    Warning { path, reason: reason.into(), fix: fix.to_owned() }
}

/// All of them, in the order of the document.
#[must_use]
pub fn warnings(calendar: &Calendar) -> Vec<Warning> {
    let mut found = Vec::new();
    for (list, entries) in [("windows", &calendar.windows), ("except", &calendar.except)] {
        let parts: Vec<Parts> = entries.iter().map(Parts::of).collect();
        split(list, &parts, &mut found);
        for (index, entry) in entries.iter().enumerate() {
            let here = format!("/{list}/{index}");
            if let Some(intervals) = entry.time_intervals.as_ref().and_then(Value::as_array) {
                let parts: Vec<Parts> = intervals.iter().map(Parts::of_interval).collect();
                split(&format!("{list}/{index}/timeIntervals"), &parts, &mut found);
            }
            for (at, times) in entry.times.iter().enumerate().filter(|(_, times)| times.ends_with("-23:59")) {
                let reason = format!("`{times}` leaves out the last minute of the day");
                found.push(warning(format!("{here}/times/{at}"), reason, "write `24:00` as its end"));
            }
        }
    }
    let holidays = calendar.windows.iter().chain(&calendar.except);
    if calendar.holidays.is_empty()
        && holidays.clone().any(|entry| entry.days.iter().any(|day| day == "holidays"))
    {
        let reason = "`days` names `holidays`, and the calendar has none";
        found.push(warning("/holidays".to_owned(), reason, "list them in `holidays`"));
    }
    if !calendar.holidays.is_empty()
        && !holidays.clone().any(|entry| entry.days.iter().any(|day| day == "holidays"))
    {
        let reason = "`holidays` are listed, and no entry says what to do on them";
        found.push(warning("/holidays".to_owned(), reason, "write `holidays` into the `days` of an entry"));
    }
    found
}

/// Whether an entry says times, and whether it says days.
struct Parts {
    times: bool,
    days: bool,
}

impl Parts {
    fn of(entry: &Entry) -> Self {
        let any = |lists: &[&Vec<String>]| lists.iter().any(|list| !list.is_empty());
        let days = any(&[&entry.days, &entry.days_of_month, &entry.months, &entry.years]);
        // `mon-sun`, and the days of a weekend, are complete without times.
        let complete = entry.days.iter().all(|day| {
            words::weekdays(day).is_ok_and(|bits| bits & 0b001_1111 == 0 || bits == 0b111_1111)
                || day == "holidays"
        });
        Self { times: !entry.times.is_empty(), days: days && (entry.days.is_empty() || !complete) }
    }

    fn of_interval(value: &Value) -> Self {
        let has = |name: &str| value.get(name).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
        Self {
            times: has("times"),
            days: ["weekdays", "days_of_month", "months", "years"].into_iter().any(has),
        }
    }
}

/// Entries are alternatives. Times in one and days in the next are nearly always meant together (alertmanager#2935).
fn split(list: &str, parts: &[Parts], found: &mut Vec<Warning>) {
    let times = parts.iter().position(|part| part.times && !part.days);
    let days = parts.iter().position(|part| part.days && !part.times);
    if let (Some(times), Some(days)) = (times, days) {
        let reason = format!(
            "entry {times} says only times and entry {days} only days: entries are alternatives, so each day has those \
             times, and those days are covered from midnight to midnight"
        );
        let fix = "write `times` and `days` into one entry if both must hold";
        found.push(warning(format!("/{list}/{}", times.max(days)), reason, fix));
    }
}
