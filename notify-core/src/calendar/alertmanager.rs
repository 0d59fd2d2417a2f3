//! Alertmanager's `time_intervals`, with equal meaning.
//!
//! Its fields must all hold, elements of a list are alternatives, a moment is judged by what a clock in `location` shows:
//! that is an entry by day with `dst: wall-clock`. What it refuses is refused here too.

use super::words;
use crate::document::calendar::{Entry, MAX_ELEMENTS, MAX_ENTRIES};
use crate::problem::{Code, Problem};
use serde_json::{Map, Value};

const FIELDS: [&str; 6] = ["times", "weekdays", "days_of_month", "months", "years", "location"];

/// Sunday first, as there.
const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

fn fault(path: impl Into<String>, reason: impl Into<String>, fix: &str) -> Problem {
    Problem::new(Code::InvalidCalendar, path, reason, fix)
}

/// The entries that a list of time intervals stands for, each with its place.
///
/// # Errors
/// [`Code::InvalidCalendar`] with the place.
pub fn entries(list: &Value, path: &str) -> Result<Vec<(Entry, String)>, Problem> {
    let items =
        list.as_array().filter(|items| (1..=MAX_ENTRIES).contains(&items.len())).ok_or_else(|| {
            fault(
                path,
                format!("this is no list of 1 to {MAX_ENTRIES} time intervals"),
                "write `- times: …` and so on",
            )
        })?;
    let one = |(index, item): (usize, &Value)| {
        let here = format!("{path}/{index}");
        let fields =
            item.as_object().ok_or_else(|| fault(&here, "this is no time interval", "write `times: …`"))?;
        Ok((entry(fields, &here)?, here))
    };
    items.iter().enumerate().map(one).collect()
}

fn entry(fields: &Map<String, Value>, path: &str) -> Result<Entry, Problem> {
    if let Some(name) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let reason = format!("Alertmanager has no `{name}` in a time interval");
        return Err(fault(
            format!("{path}/{name}"),
            reason,
            "it knows times, weekdays, days_of_month, months, years and location",
        ));
    }
    let mut entry = Entry {
        times: each(fields, "times", path, times)?,
        days: each(fields, "weekdays", path, |value| text(value).and_then(|text| weekdays(&text)))?,
        days_of_month: each(fields, "days_of_month", path, |value| {
            text(value).and_then(|text| days_of_month(&text))
        })?,
        months: each(fields, "months", path, |value| text(value).and_then(|text| months(&text)))?,
        years: each(fields, "years", path, |value| text(value).and_then(|text| years(&text)))?,
        // Its default, whatever the calendar's zone is.
        time_zone: Some("UTC".to_owned()),
        ..Entry::default()
    };
    match fields.get("location") {
        None | Some(Value::Null) => {}
        Some(Value::String(name)) if name.is_empty() => {}
        Some(Value::String(name)) if name == "Local" => {
            let reason =
                "`Local` is the zone of the machine that Alertmanager runs on, which is not known here";
            return Err(fault(
                format!("{path}/location"),
                reason,
                "write its IANA name, e.g. `Europe/Berlin`",
            ));
        }
        Some(Value::String(name)) => {
            super::time_zone(name, &format!("{path}/location"))?;
            entry.time_zone = Some(name.clone());
        }
        Some(_) => {
            return Err(fault(format!("{path}/location"), "`location` is no text", "write an IANA name"));
        }
    }
    let bare = [&entry.times, &entry.days, &entry.days_of_month, &entry.months, &entry.years];
    if bare.iter().all(|list| list.is_empty()) {
        // An interval without conditions holds always.
        entry.days.push("mon-sun".to_owned());
    }
    Ok(entry)
}

fn each(
    fields: &Map<String, Value>,
    name: &str,
    path: &str,
    read: impl Fn(&Value) -> Result<String, String>,
) -> Result<Vec<String>, Problem> {
    let here = format!("{path}/{name}");
    let items = match fields.get(name) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) if items.len() <= MAX_ELEMENTS => items,
        Some(Value::Array(_)) => {
            return Err(fault(here, format!("more than {MAX_ELEMENTS} elements"), "make two intervals"));
        }
        Some(_) => return Err(fault(here, format!("`{name}` is no list"), "write a list")),
    };
    let one = |(index, value): (usize, &Value)| {
        let fix = "see the Alertmanager documentation on time intervals";
        read(value).map_err(|reason| fault(format!("{here}/{index}"), reason, fix))
    };
    items.iter().enumerate().map(one).collect()
}

/// Numbers in YAML are texts to Alertmanager. It ignores case.
fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) if text.len() <= 64 => Ok(text.trim().to_lowercase()),
        Value::Number(number) if number.is_i64() => Ok(number.to_string()),
        _ => Err("this is no text".to_owned()),
    }
}

fn times(value: &Value) -> Result<String, String> {
    let part = |name: &str| {
        let text = value.get(name).and_then(Value::as_str).ok_or_else(|| format!("`{name}` is missing"))?;
        words::time(text).map(|at| (text, at)).ok_or_else(|| format!("`{name}` is no time like 09:00"))
    };
    let fields = value.as_object().ok_or("this is no range with `start_time` and `end_time`")?;
    if let Some(name) = fields.keys().find(|name| !["start_time", "end_time"].contains(&name.as_str())) {
        return Err(format!("Alertmanager has no `{name}` here"));
    }
    let ((start_text, start), (end_text, end)) = (part("start_time")?, part("end_time")?);
    if start >= end {
        return Err(
            "the start is not before the end, which Alertmanager refuses; in `times` of this product 22:00-06:00 is allowed"
                .to_owned(),
        );
    }
    Ok(format!("{start_text}-{end_text}"))
}

fn range<T>(text: &str, read: impl Fn(&str) -> Option<T>, what: &str) -> Result<(T, T), String> {
    let (first, last) = text.split_once(':').unwrap_or((text, text));
    read(first.trim()).zip(read(last.trim())).ok_or_else(|| format!("this is no {what}"))
}

fn weekdays(text: &str) -> Result<String, String> {
    let one = |text: &str| WEEKDAYS.iter().position(|day| *day == text);
    let (first, last) = range(text, one, "day of the week")?;
    if first > last {
        return Err(
            "the range goes over the week's end, which Alertmanager refuses; in `days` of this product sat-mon is allowed"
                .to_owned(),
        );
    }
    let short = |index: usize| WEEKDAYS.get(index).and_then(|day| day.get(..3)).unwrap_or_default();
    Ok(if first == last { short(first).to_owned() } else { format!("{}-{}", short(first), short(last)) })
}

fn months(text: &str) -> Result<String, String> {
    let one = |text: &str| {
        let number = text.parse::<u8>().ok().filter(|n| (1..=12).contains(n));
        words::month_name(text).filter(|_| text.len() > 3 || text == "may").or(number)
    };
    let (first, last) = range(text, one, "month")?;
    if first > last {
        return Err("the range of months ends before it begins".to_owned());
    }
    Ok(if first == last { first.to_string() } else { format!("{first}-{last}") })
}

fn years(text: &str) -> Result<String, String> {
    let one = |text: &str| text.parse::<i32>().ok().filter(|year| super::YEARS.contains(year));
    let (first, last) = range(text, one, "year from 1970 to 2199")?;
    if first > last {
        return Err("the range of years ends before it begins".to_owned());
    }
    Ok(if first == last { first.to_string() } else { format!("{first}-{last}") })
}

fn days_of_month(text: &str) -> Result<String, String> {
    let one = |text: &str| text.parse::<i8>().ok().filter(|day| *day != 0 && (-31..=31).contains(day));
    let (first, last) = range(text, one, "day of a month")?;
    words::range_of_month(first, last).map_err(|(reason, _)| reason)?;
    Ok(if first == last { first.to_string() } else { format!("{first}..{last}") })
}
