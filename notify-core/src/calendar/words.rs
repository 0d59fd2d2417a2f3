//! The short texts of a calendar: days, times, dates, and ranges of them.

use super::day::{DAY, Day};
use std::ops::RangeInclusive;

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Why a text is not understood, and what to write.
pub type Fault = (String, &'static str);

fn fault<T>(reason: impl Into<String>, fix: &'static str) -> Result<T, Fault> {
    Err((reason.into(), fix))
}

/// `mon` or `monday`: 0 to 6, Monday first.
#[must_use]
pub fn weekday(text: &str) -> Option<u8> {
    position(&WEEKDAYS, text)
}

/// `jan` or `january`: 1 to 12.
#[must_use]
pub fn month_name(text: &str) -> Option<u8> {
    position(&MONTHS, text).map(|index| index + 1)
}

fn position(names: &[&str], text: &str) -> Option<u8> {
    let at =
        names.iter().position(|name| *name == text || (text.len() == 3 && name.get(..3) == Some(text)))?;
    u8::try_from(at).ok()
}

/// A bit for each weekday of a day or range of days; the range may go over the week's end.
pub fn weekdays(text: &str) -> Result<u8, Fault> {
    let fix = "write `mon`, `mon-fri`, `sat-mon` or `holidays`, in lower case";
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (Some(first), Some(last)) = (weekday(first), weekday(last)) else {
        return fault("this is no day of the week", fix);
    };
    Ok(around(first, last, 0..=6).fold(0, |bits, day| bits | 1 << day))
}

/// A bit for each month, January at bit 1; the range may go over the year's end.
pub fn months(text: &str) -> Result<u16, Fault> {
    let one = |text: &str| {
        month_name(text).or_else(|| {
            digits(text)
                .filter(|n| text.len() <= 2 && (1..=12).contains(n))
                .and_then(|n| u8::try_from(n).ok())
        })
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (Some(first), Some(last)) = (one(first), one(last)) else {
        return fault("this is no month", "write `jan`, `nov-feb`, `1` or `1-3`, in lower case");
    };
    Ok(around(first, last, 1..=12).fold(0, |bits, month| bits | 1 << month))
}

/// From the first to the last, over the end of the range if need be.
fn around(first: u8, last: u8, range: RangeInclusive<u8>) -> impl Iterator<Item = u8> {
    let straight = first <= last;
    range.filter(move |n| if straight { (first..=last).contains(n) } else { *n >= first || *n <= last })
}

/// `2026`, `2026-2028`.
pub fn years(text: &str) -> Result<(i32, i32), Fault> {
    let one = |text: &str| {
        let year = digits(text).filter(|_| text.len() == 4)?;
        super::YEARS.contains(&year).then_some(year)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (one(first), one(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        (Some(_), Some(_)) => {
            fault("this range of years ends before it begins", "write the earlier year first")
        }
        _ => fault("these are no years from 1970 to 2199", "write `2026` or `2026-2028`"),
    }
}

/// `1`, `-1`, `1..7`, `-3..-1`, with Alertmanager's meaning: a negative number counts from the end, a range is cut to the
/// month, and one that begins after the month's end is not in it.
pub fn days_of_month(text: &str) -> Result<(i8, i8), Fault> {
    let one = |text: &str| {
        let (sign, rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let number = digits(rest).filter(|_| rest.len() <= 2).and_then(|n| i8::try_from(n).ok())?;
        (1..=31).contains(&number).then_some(sign * number)
    };
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let (Some(first), Some(last)) = (one(first), one(last)) else {
        return fault(
            "this is no day of a month",
            "write `1` to `31`, `-1` to `-31` from the end, or a range such as `1..7` or `-3..-1`",
        );
    };
    range_of_month(first, last)
}

/// Judged for the longest month, as Alertmanager does.
pub fn range_of_month(first: i8, last: i8) -> Result<(i8, i8), Fault> {
    let at = |day: i8| if day < 0 { 32 + day } else { day };
    if first < 0 && last > 0 {
        return fault(
            "this range begins counted from the month's end and ends counted from its beginning",
            "write two elements",
        );
    }
    if at(first) > at(last) {
        return fault("this range of days ends before it begins", "write two elements, one for each part");
    }
    Ok((first, last))
}

/// Whether a day is in such a range.
#[must_use]
pub fn in_month((first, last): (i8, i8), day: u8, days: u8) -> bool {
    let (day, days) = (i16::from(day), i16::from(days));
    let place = |n: i8| if n < 0 { days + i16::from(n) + 1 } else { i16::from(n) };
    (place(first)..=place(last).min(days)).contains(&day)
}

/// `09:30`; as an end also `24:00`. Seconds since midnight.
#[must_use]
pub fn time(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes) = (i64::from(digits(hours)?), i64::from(digits(minutes)?));
    (hours < 24 && minutes < 60 || hours == 24 && minutes == 0).then_some(hours * 3_600 + minutes * 60)
}

/// `22:00-06:00`: seconds since midnight; an end on the next day is beyond 24 hours.
pub fn times(text: &str) -> Result<(i64, i64), Fault> {
    let fix = "write `09:00-17:30`, `22:00-06:00` for a window that ends on the next day, or `00:00-24:00`";
    let parts = text.split_once('-').and_then(|(from, to)| Some((time(from)?, time(to)?)));
    match parts {
        None => fault("these are no times of a day", fix),
        Some((DAY, _)) => fault("a window cannot begin at 24:00", "begin at 00:00 of the next day"),
        Some((from, to)) if from == to => fault(
            "a window that ends when it begins is either empty or a whole day",
            "write `00:00-24:00` for a whole day",
        ),
        Some((from, to)) if to < from => Ok((from, to + DAY)),
        Some(both) => Ok(both),
    }
}

/// `fri 18:00 - mon 08:00`: the weekday it begins on, and seconds since that day's midnight.
pub fn weekly(text: &str) -> Result<(u8, i64, i64), Fault> {
    let fix = "write e.g. `fri 18:00 - mon 08:00`";
    let side = |text: &str| {
        let (day, at) = text.split_once(' ')?;
        Some((weekday(day)?, time(at)?))
    };
    let parts = text.split_once(" - ").and_then(|(from, to)| Some((side(from)?, side(to)?)));
    let Some(((first, from), (last, to))) = parts else { return fault("this is no part of a week", fix) };
    if from == DAY {
        return fault("a window cannot begin at 24:00", "begin at 00:00 of the next day");
    }
    let days = (i64::from(last) - i64::from(first)).rem_euclid(7);
    let to = days * DAY + to;
    match to.cmp(&from) {
        std::cmp::Ordering::Greater => Ok((first, from, to)),
        std::cmp::Ordering::Less => Ok((first, from, to + 7 * DAY)),
        std::cmp::Ordering::Equal => fault(
            "a window that ends when it begins is either empty or a whole week",
            "write `days: [mon-sun]` for always",
        ),
    }
}

/// Dates of one year or of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dates {
    Once(Day, Day),
    /// Month and day of month, both ends included; the second may be before the first, in the next year.
    Yearly((u8, u8), (u8, u8)),
}

/// `2026-12-24`, `2026-12-24..2027-01-02`, `12-24`, `12-24..01-02`.
pub fn dates(text: &str) -> Result<Dates, Fault> {
    let fix = "write `2026-12-24`, `2026-12-24..2027-01-02`, or for each year `12-24` or `12-24..01-02`";
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    if let (Some(first), Some(last)) = (date(first), date(last)) {
        return if first <= last {
            Ok(Dates::Once(first, last))
        } else {
            fault("these dates end before they begin", "write the earlier date first")
        };
    }
    match (month_and_day(first), month_and_day(last)) {
        (Some(first), Some(last)) => Ok(Dates::Yearly(first, last)),
        _ => fault("this is no date", fix),
    }
}

impl Dates {
    #[must_use]
    pub fn contains(self, day: Day, month: u8, of_month: u8) -> bool {
        match self {
            Self::Once(first, last) => (first..=last).contains(&day),
            Self::Yearly(first, last) if first <= last => (first..=last).contains(&(month, of_month)),
            Self::Yearly(first, last) => (month, of_month) >= first || (month, of_month) <= last,
        }
    }
}

/// `2026-12-24`.
#[must_use]
pub fn date(text: &str) -> Option<Day> {
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 || month.len() != 2 || day.len() != 2 {
        return None;
    }
    let year = digits(year).filter(|year| super::YEARS.contains(year))?;
    Day::new(year, u8::try_from(digits(month)?).ok()?, u8::try_from(digits(day)?).ok()?)
}

/// `12-24`; also `02-29`, which only leap years have.
fn month_and_day(text: &str) -> Option<(u8, u8)> {
    let (month, day) = text.split_once('-')?;
    if month.len() != 2 || day.len() != 2 {
        return None;
    }
    let (month, day) = (u8::try_from(digits(month)?).ok()?, u8::try_from(digits(day)?).ok()?);
    Day::new(2024, month, day).map(|_| (month, day))
}

/// `2026-12-24T18:00` or with seconds: seconds since 1970-01-01T00:00 on the wall.
#[must_use]
pub fn local(text: &str) -> Option<i64> {
    let (day, at) = text.split_once('T')?;
    let seconds = match at.len() {
        5 => 0,
        8 => digits(at.get(5..)?.strip_prefix(':')?).filter(|seconds| *seconds < 60)?,
        _ => return None,
    };
    let minutes = time(at.get(..5)?).filter(|at| *at < DAY)?;
    Some(date(day)?.start() + minutes + i64::from(seconds))
}

/// `2026-12-24T17:00:00Z` or with an offset, in whole seconds: seconds since 1970-01-01T00:00:00Z.
#[must_use]
pub fn moment(text: &str) -> Option<i64> {
    let at: jiff::Timestamp = text.parse().ok()?;
    // 1970 to 2199.
    (at.subsec_nanosecond() == 0 && (0..=7_258_118_399).contains(&at.as_second())).then(|| at.as_second())
}

/// Only ASCII digits, up to six of them.
fn digits(text: &str) -> Option<i32> {
    ((1..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}
