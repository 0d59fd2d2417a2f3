//! One event: its properties, and the entries that it stands for.

use super::super::day::{DAY, Day};
use super::super::rrule::{Rule, Until, read_until};
use super::Read;
use super::lines::{Line, shown, text};
use crate::document::calendar::{Entry, MAX_ELEMENTS};
use crate::duration::Length;
use jiff::tz::TimeZone;

/// A date, or a time with what it is counted in.
#[derive(Debug, Clone, PartialEq, Eq)]
enum When {
    Date(Day),
    /// Seconds on the wall; `None`: in whatever zone the calendar is read.
    Local(i64, Option<String>),
    Utc(i64),
}

#[derive(Debug, Default)]
pub struct Event {
    pub line: usize,
    pub uid: Option<String>,
    pub recurrence_id: Option<Line>,
    summary: Option<String>,
    start: Option<Line>,
    end: Option<Line>,
    duration: Option<Line>,
    rules: Vec<Line>,
    added: Vec<Line>,
    removed: Vec<Line>,
    cancelled: bool,
    /// Something about it was lost already.
    unusable: bool,
}

impl Event {
    pub fn at(line: usize) -> Self {
        Self { line, ..Self::default() }
    }

    pub fn recurs(&self) -> bool {
        !self.rules.is_empty() || !self.added.is_empty()
    }

    pub fn property(&mut self, line: Line, out: &mut Read) {
        let slot = match line.name.as_str() {
            "DTSTART" => Some(&mut self.start),
            "DTEND" => Some(&mut self.end),
            "DURATION" => Some(&mut self.duration),
            "RECURRENCE-ID" => Some(&mut self.recurrence_id),
            _ => None,
        };
        if let Some(slot) = slot {
            if slot.is_some() {
                out.note(line.number, true, format!("`{}` appears twice in one event", line.name));
                self.unusable = true;
            }
            if line.name == "RECURRENCE-ID" && line.parameter("RANGE").is_some() {
                out.note(line.number, true, "`RANGE` changes all later occurrences, which is not supported");
                self.unusable = true;
            }
            *slot = Some(line);
            return;
        }
        match line.name.as_str() {
            "UID" => self.uid = Some(line.value),
            "SUMMARY" => self.summary = Some(text(&line.value)).filter(|text| !text.is_empty()),
            "RRULE" => self.rules.push(line),
            "RDATE" => self.added.push(line),
            "EXDATE" => self.removed.push(line),
            "EXRULE" => {
                out.note(line.number, true, "`EXRULE` is not supported; the event is left out: use `EXDATE`");
                self.unusable = true;
            }
            "STATUS" => self.cancelled = line.value.eq_ignore_ascii_case("CANCELLED"),
            "TRANSP" if line.value.eq_ignore_ascii_case("TRANSPARENT") => {
                out.note(
                    line.number,
                    false,
                    "the event is marked as free time (`TRANSP`); it is a window here",
                );
            }
            _ => {}
        }
    }

    /// A start as `exclude` writes it: local time in the zone of this event.
    pub fn local_start_of(&self, line: &Line) -> Option<String> {
        let start = read_when(self.start.as_ref()?)?;
        local_text(&read_when(line)?, &start)
    }

    /// Writes its entries. `replaced` are occurrences that other events stand for.
    pub fn carry(self, replaced: Vec<String>, out: &mut Read) {
        if self.cancelled {
            out.note(self.line, false, "the event is cancelled and has no window");
            return;
        }
        if self.unusable {
            return;
        }
        if let Err((line, reason)) = self.entries(replaced, out) {
            out.note(line, true, format!("{reason}; the event is left out"));
        }
    }

    fn entries(&self, replaced: Vec<String>, out: &mut Read) -> Result<(), (usize, String)> {
        let line = self.start.as_ref().ok_or((self.line, "the event has no `DTSTART`".to_owned()))?;
        let start = read_when(line).ok_or_else(|| not_understood(line))?;
        let start = zoned(start, line)?;
        let lasts = self.lasts(&start)?;
        let base = Entry {
            name: self.summary.clone(),
            time_zone: match &start {
                When::Local(_, zone) => zone.clone(),
                When::Utc(_) => Some("UTC".to_owned()),
                When::Date(_) => None,
            },
            ..Entry::default()
        };
        let mut periods = Vec::new();
        let mut include = Vec::new();
        for line in &self.added {
            if line.parameter("VALUE").is_some_and(|value| value.eq_ignore_ascii_case("PERIOD")) {
                periods.extend(line.value.split(',').map(|text| (line, text)));
            } else {
                include.extend(self.starts(line, &start)?);
            }
        }
        let mut exclude = replaced;
        for line in &self.removed {
            exclude.extend(self.starts(line, &start)?);
        }
        if exclude.len() > MAX_ELEMENTS || include.len() > MAX_ELEMENTS {
            return Err((self.line, format!("more than {MAX_ELEMENTS} single dates in one event")));
        }
        let mut entries = Vec::new();
        for line in &self.rules {
            let rule = self.rule(line, &start)?;
            let seconds = seconds(&start);
            // The very reading that the calendar will do, but for what depends on its zone.
            let read = Rule::read(&rule, seconds, matches!(start, When::Date(_)), Some)
                .map_err(|(reason, fix)| (line.number, format!("{reason} ({fix})")))?;
            if !read.begins_with_start() {
                let text = "the first start is not one that the rule gives; it is no window";
                out.note(line.number, false, text);
            }
            entries.push(Entry {
                start: Some(written(&start)),
                duration: Some(Length::from_secs(lasts.unsigned_abs())),
                rrule: Some(rule),
                exclude: exclude.clone(),
                include: std::mem::take(&mut include),
                ..base.clone()
            });
        }
        if entries.is_empty() {
            // The start itself, and each date that is added.
            let mut starts = vec![seconds(&start)];
            starts.extend(include.iter().filter_map(|text| local_seconds(text, &start)));
            let excluded: Vec<i64> = exclude.iter().filter_map(|text| local_seconds(text, &start)).collect();
            starts.retain(|start| !excluded.contains(start));
            entries.extend(starts.into_iter().map(|from| one_off(from, from + lasts, &start, &base)));
        }
        for (line, text) in periods {
            entries.push(period(line, text, &base).ok_or_else(|| not_understood(line))?);
        }
        out.entries.extend(entries.into_iter().map(|entry| (entry, self.line)));
        Ok(())
    }

    /// Seconds from start to end.
    fn lasts(&self, start: &When) -> Result<i64, (usize, String)> {
        let lasts = match (&self.end, &self.duration) {
            (Some(end), Some(_)) => {
                return Err((end.number, "`DTEND` and `DURATION` do not go together".to_owned()));
            }
            (Some(line), None) => {
                let end = zoned(read_when(line).ok_or_else(|| not_understood(line))?, line)?;
                let lasts = between(start, &end).ok_or_else(|| {
                    (line.number, "`DTEND` and `DTSTART` are of different kinds".to_owned())
                })?;
                (lasts, line.number)
            }
            (None, Some(line)) => (duration(&line.value).ok_or_else(|| not_understood(line))?, line.number),
            (None, None) if matches!(start, When::Date(_)) => (DAY, self.line),
            (None, None) => return Err((self.line, "the event has no end".to_owned())),
        };
        match lasts {
            (seconds, _) if seconds > 0 => Ok(seconds),
            (_, line) => Err((line, "the event ends before or when it begins".to_owned())),
        }
    }

    /// Dates of an `EXDATE` or `RDATE` as the calendar writes them.
    fn starts(&self, line: &Line, start: &When) -> Result<Vec<String>, (usize, String)> {
        let each = line.value.split(',').map(|value| {
            let one = Line { value: value.trim().to_owned(), ..line.clone() };
            let when = read_when(&one).ok_or_else(|| not_understood(&one))?;
            local_text(&when, start).ok_or_else(|| not_understood(&one))
        });
        each.collect()
    }

    /// The rule with its `UNTIL` in a form that does not depend on the zone, where that is possible.
    fn rule(&self, line: &Line, start: &When) -> Result<String, (usize, String)> {
        let part = |part: &str| {
            let Some(until) =
                part.get(..6).filter(|name| name.eq_ignore_ascii_case("UNTIL=")).and(part.get(6..))
            else {
                return Ok(part.to_owned());
            };
            let until = read_until(until).ok_or_else(|| not_understood(line))?;
            let local = match (until, start) {
                (Until::Day(day), _) => return Ok(format!("UNTIL={}", date_part(day.start()))),
                (Until::Moment(at), When::Local(_, Some(zone))) => {
                    local_of(at, zone).ok_or_else(|| not_understood(line))?
                }
                // Which local time that is, the calendar's zone says.
                (Until::Moment(at), When::Local(_, None)) => return Ok(format!("UNTIL={}Z", basic(at))),
                (Until::Moment(at) | Until::Local(at), _) => at,
            };
            Ok(match start {
                When::Date(_) => format!("UNTIL={}", date_part(local)),
                _ => format!("UNTIL={}", basic(local)),
            })
        };
        let parts: Result<Vec<String>, _> =
            line.value.trim().split(';').filter(|part| !part.is_empty()).map(part).collect();
        Ok(parts?.join(";"))
    }
}

fn not_understood(line: &Line) -> (usize, String) {
    (line.number, format!("`{}` is not understood: `{}`", line.name, shown(&line.value)))
}

fn read_when(line: &Line) -> Option<When> {
    when(&line.value, line.parameter("TZID"))
}

fn when(value: &str, zone: Option<&str>) -> Option<When> {
    match read_until(value.trim())? {
        Until::Day(day) => Some(When::Date(day)),
        Until::Local(at) => Some(When::Local(at, zone.map(str::to_owned))),
        Until::Moment(at) => Some(When::Utc(at)),
    }
}

/// Its zone by its IANA name.
fn zoned(when: When, line: &Line) -> Result<When, (usize, String)> {
    let When::Local(at, Some(name)) = when else { return Ok(when) };
    iana(&name).map(|zone| When::Local(at, Some(zone))).ok_or_else(|| {
        let reason = format!("`TZID={}` is not an IANA time zone", shown(&name));
        (line.number, format!("{reason}; write e.g. `TZID=Europe/Berlin`"))
    })
}

/// Also with a prefix, as some programs write it: `/example.org/Europe/Berlin`.
fn iana(name: &str) -> Option<String> {
    let known = |name: &str| TimeZone::get(name).ok()?.iana_name().map(str::to_owned);
    known(name).or_else(|| {
        let parts: Vec<&str> = name.split('/').collect();
        [3, 2].iter().find_map(|take| known(&parts.get(parts.len().checked_sub(*take)?..)?.join("/")))
    })
}

fn local_of(moment: i64, zone: &str) -> Option<i64> {
    let zone = TimeZone::get(zone).ok()?;
    Some(moment + i64::from(zone.to_offset(super::super::zone::moment(moment)).seconds()))
}

/// Local seconds, UTC ones for a time in UTC.
fn seconds(when: &When) -> i64 {
    match when {
        When::Date(day) => day.start(),
        When::Local(at, _) | When::Utc(at) => *at,
    }
}

/// Seconds from one to the other; local ones where both are in one zone.
fn between(start: &When, end: &When) -> Option<i64> {
    match (start, end) {
        (When::Date(_), When::Date(_)) | (When::Utc(_), When::Utc(_)) => Some(seconds(end) - seconds(start)),
        (When::Local(from, a), When::Local(to, b)) if a == b => Some(to - from),
        (When::Local(_, Some(_)) | When::Utc(_), When::Local(_, Some(_)) | When::Utc(_)) => {
            Some(moment_of(end)? - moment_of(start)?)
        }
        _ => None,
    }
}

fn moment_of(when: &When) -> Option<i64> {
    match when {
        When::Utc(at) => Some(*at),
        When::Local(at, Some(zone)) => {
            let zone = TimeZone::get(zone).ok()?;
            let clocks = super::super::zone::Clocks::of(&zone, *at, *at);
            Some(clocks.first(*at, super::super::zone::Skipped::AsBefore))
        }
        _ => None,
    }
}

/// A time as local time of another's zone, in the calendar's writing. A date stays one.
fn local_text(when: &When, start: &When) -> Option<String> {
    match (when, start) {
        (When::Date(day), _) => Some(written(&When::Date(*day))),
        // Seen in the wild: a time where the event has dates (errata 6316).
        (_, When::Date(_)) => Some(written(&When::Date(Day::of(seconds(when))))),
        (When::Utc(at), When::Local(_, Some(zone))) => Some(written(&When::Utc(local_of(*at, zone)?))),
        (When::Utc(at), When::Utc(_)) => Some(written(&When::Utc(*at))),
        (When::Utc(_), When::Local(_, None)) => None,
        (When::Local(at, a), When::Local(_, b))
            if a == b || a.is_none() || a.as_deref().and_then(iana) == *b =>
        {
            Some(written(&When::Utc(*at)))
        }
        (When::Local(at, Some(zone)), _) => {
            let moment = moment_of(&When::Local(*at, Some(iana(zone)?)))?;
            local_text(&When::Utc(moment), start)
        }
        (When::Local(..), _) => None,
    }
}

/// The seconds of such a text; a date stands for the event's time on it.
fn local_seconds(text: &str, start: &When) -> Option<i64> {
    let of_day = seconds(start).rem_euclid(DAY);
    super::super::words::date(text)
        .map(|day| day.start() + of_day)
        .or_else(|| super::super::words::local(text))
}

/// `2026-12-24` or `2026-12-24T18:00`, with seconds where there are any.
fn written(when: &When) -> String {
    let at = seconds(when);
    let (year, month, day) = Day::of(at).parts();
    let date = format!("{year:04}-{month:02}-{day:02}");
    let of_day = at.rem_euclid(DAY);
    let (hour, minute, second) = (of_day / 3_600, of_day % 3_600 / 60, of_day % 60);
    match when {
        When::Date(_) => date,
        _ if second == 0 => format!("{date}T{hour:02}:{minute:02}"),
        _ => format!("{date}T{hour:02}:{minute:02}:{second:02}"),
    }
}

/// `20261224T180000`.
fn basic(at: i64) -> String {
    let (year, month, day) = Day::of(at).parts();
    let of_day = at.rem_euclid(DAY);
    let (hour, minute, second) = (of_day / 3_600, of_day % 3_600 / 60, of_day % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}")
}

/// `20261224`.
fn date_part(at: i64) -> String {
    basic(at).chars().take(8).collect()
}

fn one_off(from: i64, to: i64, start: &When, base: &Entry) -> Entry {
    match start {
        When::Date(_) => {
            let (first, last) = (written(&When::Date(Day::of(from))), written(&When::Date(Day::of(to - 1))));
            let dates = if first == last { first } else { format!("{first}..{last}") };
            Entry { dates: vec![dates], ..base.clone() }
        }
        When::Utc(_) => Entry {
            from: Some(format!("{}Z", full(from))),
            to: Some(format!("{}Z", full(to))),
            time_zone: None,
            ..base.clone()
        },
        When::Local(..) => {
            Entry { from: Some(written(&When::Utc(from))), to: Some(written(&When::Utc(to))), ..base.clone() }
        }
    }
}

/// With seconds, as RFC 3339 wants.
fn full(at: i64) -> String {
    let text = written(&When::Utc(at));
    if text.len() == 16 { format!("{text}:00") } else { text }
}

/// `start/end` or `start/duration`.
fn period(line: &Line, text: &str, base: &Entry) -> Option<Entry> {
    let (from, to) = text.trim().split_once('/')?;
    let start = zoned(when(from, line.parameter("TZID"))?, line).ok()?;
    let lasts = match duration(to) {
        Some(lasts) => lasts,
        None => between(&start, &zoned(when(to, line.parameter("TZID"))?, line).ok()?)?,
    };
    let zone = match &start {
        When::Local(_, zone) => zone.clone(),
        _ => None,
    };
    let base = Entry { time_zone: zone, ..base.clone() };
    (lasts > 0).then(|| one_off(seconds(&start), seconds(&start) + lasts, &start, &base))
}

/// RFC 5545, section 3.3.6, in seconds: `P1DT2H30M`, `PT45M`, `P2W`.
fn duration(text: &str) -> Option<i64> {
    let text = text.trim();
    let mut rest = text.strip_prefix('+').unwrap_or(text).strip_prefix('P')?;
    let (mut total, mut in_time, mut any) = (0_i64, false, false);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('T') {
            if in_time {
                return None;
            }
            (rest, in_time) = (after, true);
            continue;
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let number: i64 = number.parse().ok().filter(|_| digits <= 9)?;
        let mut characters = after.chars();
        let unit = match (characters.next()?, in_time) {
            ('W', false) => 7 * DAY,
            ('D', false) => DAY,
            ('H', true) => 3_600,
            ('M', true) => 60,
            ('S', true) => 1,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        (rest, any) = (characters.as_str(), true);
    }
    any.then_some(total)
}
