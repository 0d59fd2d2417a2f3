//! Recurrence rules (RFC 5545, section 3.3.10) of days and longer periods.
//!
//! A rule is a question to a date: is it one of its period's? Periods are counted from the first start, so any of them
//! is found by arithmetic, and only a rule with a `COUNT` is ever followed from its beginning.

use super::day::{DAY, Day, days_in_month, first_of};
use super::words::Fault;
use std::ops::Range;

/// Longest `INTERVAL`.
pub const MAX_INTERVAL: i64 = 10_000;
/// Largest `COUNT`.
pub const MAX_COUNT: usize = 5_000;
/// Most starts on one day (`BYHOUR`, `BYMINUTE`).
pub const MAX_TIMES: usize = 48;
/// Days that a rule with `COUNT` may have to look at.
const MAX_LOOKS: usize = 200_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frequency {
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

/// How `UNTIL` was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    Day(Day),
    Local(i64),
    /// UTC.
    Moment(i64),
}

/// A rule with its first start. All times are local, in seconds since 1970-01-01T00:00 on the wall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    frequency: Frequency,
    interval: i64,
    start: i64,
    until: Option<i64>,
    /// The rule with a `COUNT`, already followed.
    counted: Option<Vec<i64>>,
    /// Bits 1 to 12; none set: all.
    months: u16,
    days_of_month: Vec<i8>,
    /// Ordinal (0: each) and weekday, Monday first.
    weekdays: Vec<(i16, u8)>,
    /// Ordinals count in months, not in years.
    of_month: bool,
    positions: Vec<i16>,
    week_start: u8,
    /// Seconds since midnight, rising.
    times: Vec<i64>,
}

/// The parts of a rule's text.
#[derive(Debug, Default)]
struct Parts<'t> {
    seen: Vec<(&'t str, &'t str)>,
}

impl<'t> Parts<'t> {
    fn read(text: &'t str) -> Result<Self, Fault> {
        let text = text.strip_prefix("RRULE:").unwrap_or(text);
        let mut parts = Self::default();
        for part in text.split(';') {
            let Some((name, value)) = part.split_once('=') else {
                return Err((
                    format!("`{}` is no part of a rule", shown(part)),
                    "write parts such as `FREQ=WEEKLY;BYDAY=MO,TU`",
                ));
            };
            if parts.get(name).is_some() {
                return Err((format!("`{}` appears twice", shown(name)), "keep one of them"));
            }
            parts.seen.push((name, value));
        }
        Ok(parts)
    }

    fn get(&self, name: &str) -> Option<&'t str> {
        self.seen.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    fn numbers(&self, name: &str, most: i32, negative: bool) -> Result<Vec<i32>, Fault> {
        let Some(list) = self.get(name) else { return Ok(Vec::new()) };
        let one = |text: &str| {
            let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
            let plain = (1..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
            let number = text.strip_prefix('+').unwrap_or(text).parse::<i32>().ok().filter(|_| plain);
            let zero = !negative;
            number.filter(|n| n.abs() <= most && (*n > 0 || (zero && *n == 0) || (negative && *n < 0))).ok_or(
                (
                    format!("`{name}` has `{}`, which is out of range", shown(text)),
                    "see RFC 5545, section 3.3.10, for what each part takes",
                ),
            )
        };
        let mut numbers: Vec<i32> = list.split(',').map(one).collect::<Result<_, _>>()?;
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }
}

const KNOWN: [&str; 11] = [
    "FREQ",
    "INTERVAL",
    "COUNT",
    "UNTIL",
    "BYDAY",
    "BYMONTHDAY",
    "BYMONTH",
    "BYSETPOS",
    "BYHOUR",
    "BYMINUTE",
    "WKST",
];

impl Rule {
    /// Reads a rule. `all_day` is for starts that are dates; `local` turns a moment of UTC into local time, where that
    /// can be said.
    ///
    /// # Errors
    /// Why it is not understood, and what to do.
    pub fn read(
        text: &str,
        start: i64,
        all_day: bool,
        local: impl Fn(i64) -> Option<i64>,
    ) -> Result<Self, Fault> {
        let parts = Parts::read(text)?;
        if let Some((name, _)) =
            parts.seen.iter().find(|(name, _)| !KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name)))
        {
            return Err((
                format!("`{}` is not supported in a recurrence", shown(name)),
                "known are FREQ, INTERVAL, COUNT, UNTIL, BYDAY, BYMONTHDAY, BYMONTH, BYSETPOS, BYHOUR, BYMINUTE and \
                 WKST; name other days in `include` or in entries with `dates`",
            ));
        }
        let frequency = frequency(&parts)?;
        let first = Day::of(start);
        let (_, month, day) = first.parts();
        let mut rule = Self {
            frequency,
            interval: 1,
            start,
            until: until(&parts, all_day, local)?,
            counted: None,
            months: parts.numbers("BYMONTH", 12, false)?.iter().fold(0, |bits, month| bits | 1 << month),
            days_of_month: parts
                .numbers("BYMONTHDAY", 31, true)?
                .iter()
                .filter_map(|n| i8::try_from(*n).ok())
                .collect(),
            weekdays: weekdays(&parts)?,
            of_month: frequency == Frequency::Monthly || parts.get("BYMONTH").is_some(),
            positions: parts
                .numbers("BYSETPOS", 366, true)?
                .iter()
                .filter_map(|n| i16::try_from(*n).ok())
                .collect(),
            week_start: week_start(&parts)?,
            times: times(&parts, start, all_day)?,
        };
        if rule.months & 1 != 0 {
            return Err(("`BYMONTH` has `0`, which is no month".to_owned(), "months are 1 to 12"));
        }
        if let Some(interval) = parts.get("INTERVAL") {
            rule.interval = interval.parse().ok().filter(|n| (1..=MAX_INTERVAL).contains(n)).ok_or((
                "`INTERVAL` is not a whole number from 1 to 10000".to_owned(),
                "leave it out for each period",
            ))?;
        }
        rule.agree(&parts)?;
        // What the rule leaves open, its first start says.
        if frequency == Frequency::Weekly && rule.weekdays.is_empty() {
            rule.weekdays.push((0, first.weekday()));
        }
        let coarse = matches!(frequency, Frequency::Monthly | Frequency::Yearly);
        if coarse && rule.weekdays.is_empty() && rule.days_of_month.is_empty() {
            rule.days_of_month.extend(i8::try_from(day).ok());
            if frequency == Frequency::Yearly && rule.months == 0 {
                rule.months = 1 << month;
            }
        }
        rule.count(&parts)?;
        Ok(rule)
    }

    /// Parts that do not go together.
    fn agree(&self, parts: &Parts) -> Result<(), Fault> {
        let fix = "see RFC 5545, section 3.3.10";
        let ordinal = self.weekdays.iter().any(|(ordinal, _)| *ordinal != 0);
        if ordinal && matches!(self.frequency, Frequency::Daily | Frequency::Weekly) {
            return Err((
                "`BYDAY` with a number, such as `2MO`, needs months or years to count in".to_owned(),
                "use `FREQ=MONTHLY` or `FREQ=YEARLY`, or leave the number out",
            ));
        }
        if ordinal && !self.days_of_month.is_empty() {
            return Err((
                "`BYDAY` with a number and `BYMONTHDAY` do not go together".to_owned(),
                "keep one of them",
            ));
        }
        if self.frequency == Frequency::Weekly && !self.days_of_month.is_empty() {
            return Err(("`BYMONTHDAY` does not go with `FREQ=WEEKLY`".to_owned(), fix));
        }
        if !self.positions.is_empty()
            && !parts.seen.iter().any(|(name, _)| {
                ["BYDAY", "BYMONTHDAY", "BYMONTH", "BYHOUR", "BYMINUTE"]
                    .iter()
                    .any(|by| by.eq_ignore_ascii_case(name))
            })
        {
            return Err(("`BYSETPOS` needs another part that begins with `BY`".to_owned(), fix));
        }
        if parts.get("COUNT").is_some() && parts.get("UNTIL").is_some() {
            return Err(("`COUNT` and `UNTIL` do not go together".to_owned(), "keep one of them"));
        }
        Ok(())
    }

    /// Follows a rule with a `COUNT` to its end, once.
    fn count(&mut self, parts: &Parts) -> Result<(), Fault> {
        let Some(count) = parts.get("COUNT") else { return Ok(()) };
        let count: usize = count.parse().ok().filter(|n| (1..=MAX_COUNT).contains(n)).ok_or((
            format!("`COUNT` is not a whole number from 1 to {MAX_COUNT}"),
            "use `UNTIL`, or no end",
        ))?;
        let end = Day::new(*super::YEARS.end(), 12, 31).map_or(i32::MAX, |day| day.0);
        let (mut starts, mut looks, mut period) = (Vec::new(), 0_usize, 0_i64);
        while starts.len() < count {
            let days = self.period(period);
            if days.start > end {
                break;
            }
            looks = looks.saturating_add(days.len().max(1));
            if looks > MAX_LOOKS {
                return Err((
                    "this rule with `COUNT` goes over too many days".to_owned(),
                    "give it an `UNTIL` in place of `COUNT`",
                ));
            }
            self.of_period(days, &mut starts);
            period += 1;
        }
        starts.truncate(count);
        self.counted = Some(starts);
        Ok(())
    }

    /// The starts on days of a range, rising.
    #[must_use]
    pub fn starts(&self, days: Range<i32>) -> Vec<i64> {
        // Periods beyond are all taken for the last one.
        const LAST: i32 = 50_000_000;
        let days = days.start.min(LAST)..days.end.min(LAST);
        let (from, to) = (Day(days.start).start(), Day(days.end).start());
        if let Some(counted) = &self.counted {
            return counted.iter().copied().filter(|start| (from..to).contains(start)).collect();
        }
        let mut starts = Vec::new();
        let mut period = self.period_of(Day(days.start));
        loop {
            let in_period = self.period(period);
            if in_period.start >= days.end {
                break;
            }
            self.of_period(in_period, &mut starts);
            period += 1;
        }
        starts.retain(|start| (from..to).contains(start));
        starts
    }

    /// Upper bound of starts on one day.
    #[must_use]
    pub fn per_day(&self) -> usize {
        if self.counted.is_some() { 0 } else { self.times.len() }
    }

    /// Whether it starts at midnight, always.
    #[must_use]
    pub fn whole_days(&self) -> bool {
        self.times == [0]
    }

    /// Whether the first start is one of the rule's own.
    #[must_use]
    pub fn begins_with_start(&self) -> bool {
        let first = Day::of(self.start);
        self.starts(first.0..first.0.saturating_add(1)).contains(&self.start)
    }

    /// The days of the period with a number, the first start's being 0.
    fn period(&self, number: i64) -> Range<i32> {
        let first = Day::of(self.start);
        let steps = number.saturating_mul(self.interval);
        let small = |wide: i64| i32::try_from(wide.clamp(-100_000_000, 100_000_000)).unwrap_or_default();
        match self.frequency {
            Frequency::Daily => {
                let day = small(i64::from(first.0).saturating_add(steps));
                day..day + 1
            }
            Frequency::Weekly => {
                let week = i64::from(self.week_of(first)).saturating_add(steps.saturating_mul(7));
                small(week)..small(week) + 7
            }
            Frequency::Monthly => {
                let (year, month, _) = first.parts();
                let months =
                    small((i64::from(year) * 12 + i64::from(month) - 1).saturating_add(steps).min(2_000_000));
                let (year, month) =
                    (months.div_euclid(12), u8::try_from(months.rem_euclid(12)).unwrap_or_default() + 1);
                let day = first_of(year, month);
                day..day + i32::from(days_in_month(year, month))
            }
            Frequency::Yearly => {
                let year = small(i64::from(first.parts().0).saturating_add(steps).min(200_000));
                first_of(year, 1)..first_of(year + 1, 1)
            }
        }
    }

    /// The number of the last period that does not begin after a day; 0 before the first start.
    fn period_of(&self, day: Day) -> i64 {
        let first = Day::of(self.start);
        let since = match self.frequency {
            Frequency::Daily => i64::from(day.0) - i64::from(first.0),
            Frequency::Weekly => (i64::from(day.0) - i64::from(self.week_of(first))).div_euclid(7),
            Frequency::Monthly | Frequency::Yearly => {
                let ((from, from_month, _), (to, to_month, _)) = (first.parts(), day.parts());
                let years = i64::from(to) - i64::from(from);
                if self.frequency == Frequency::Yearly {
                    years
                } else {
                    years * 12 + i64::from(to_month) - i64::from(from_month)
                }
            }
        };
        since.div_euclid(self.interval).max(0)
    }

    fn week_of(&self, day: Day) -> i32 {
        day.0.saturating_sub((i32::from(day.weekday()) - i32::from(self.week_start)).rem_euclid(7))
    }

    /// The starts of one period.
    fn of_period(&self, days: Range<i32>, out: &mut Vec<i64>) {
        let found = days.map(Day).filter(|day| self.holds(*day));
        let found = found.flat_map(|day| self.times.iter().map(move |time| day.start() + time));
        let wanted = |start: &i64| *start >= self.start && self.until.is_none_or(|until| *start <= until);
        if self.positions.is_empty() {
            out.extend(found.filter(wanted));
            return;
        }
        let all: Vec<i64> = found.collect();
        let len = i64::try_from(all.len()).unwrap_or_default();
        let index = |position: &i16| {
            let position = i64::from(*position);
            let index = if position > 0 { position - 1 } else { len + position };
            usize::try_from(index).ok()
        };
        let mut chosen: Vec<i64> =
            self.positions.iter().filter_map(index).filter_map(|index| all.get(index).copied()).collect();
        chosen.sort_unstable();
        chosen.dedup();
        out.extend(chosen.into_iter().filter(wanted));
    }

    fn holds(&self, day: Day) -> bool {
        let (year, month, number) = day.parts();
        if self.months != 0 && self.months & (1 << month) == 0 {
            return false;
        }
        let days = days_in_month(year, month);
        let from_end = i16::from(number) - i16::from(days) - 1;
        let this = |n: &i8| i16::from(*n) == i16::from(number) || i16::from(*n) == from_end;
        if !self.days_of_month.is_empty() && !self.days_of_month.iter().any(this) {
            return false;
        }
        if self.weekdays.is_empty() {
            return true;
        }
        let weekday = day.weekday();
        let (before, after) = if self.of_month {
            (i32::from(number) - 1, i32::from(days) - i32::from(number))
        } else {
            (day.0 - first_of(year, 1), first_of(year + 1, 1) - 1 - day.0)
        };
        let (nth, nth_last) = (before / 7 + 1, -(after / 7 + 1));
        self.weekdays.iter().any(|(ordinal, wanted)| {
            let ordinal = i32::from(*ordinal);
            *wanted == weekday && (ordinal == 0 || ordinal == nth || ordinal == nth_last)
        })
    }
}

fn frequency(parts: &Parts) -> Result<Frequency, Fault> {
    let text = parts.get("FREQ").ok_or(("`FREQ` is missing".to_owned(), "write e.g. `FREQ=WEEKLY`"))?;
    match text.to_ascii_uppercase().as_str() {
        "DAILY" => Ok(Frequency::Daily),
        "WEEKLY" => Ok(Frequency::Weekly),
        "MONTHLY" => Ok(Frequency::Monthly),
        "YEARLY" => Ok(Frequency::Yearly),
        "HOURLY" | "MINUTELY" | "SECONDLY" => Err((
            format!("`FREQ={}` is not supported: windows recur by days", shown(text)),
            "use `FREQ=DAILY` with `BYHOUR` and `BYMINUTE`, or `days` and `times`",
        )),
        _ => Err((format!("`FREQ={}` is no frequency", shown(text)), "use DAILY, WEEKLY, MONTHLY or YEARLY")),
    }
}

/// Two letters of RFC 5545.
#[must_use]
fn weekday(text: &str) -> Option<u8> {
    let at =
        ["MO", "TU", "WE", "TH", "FR", "SA", "SU"].iter().position(|day| day.eq_ignore_ascii_case(text))?;
    u8::try_from(at).ok()
}

fn weekdays(parts: &Parts) -> Result<Vec<(i16, u8)>, Fault> {
    let Some(list) = parts.get("BYDAY") else { return Ok(Vec::new()) };
    let one = |text: &str| {
        let at = text.len().checked_sub(2).filter(|at| text.is_char_boundary(*at))?;
        let (number, day) = text.split_at(at);
        let digits = number.strip_prefix(['+', '-']).unwrap_or(number);
        let ordinal = match number {
            "" => 0,
            _ if !(1..=2).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) => {
                return None;
            }
            _ => number
                .strip_prefix('+')
                .unwrap_or(number)
                .parse()
                .ok()
                .filter(|n: &i16| *n != 0 && n.abs() <= 53)?,
        };
        Some((ordinal, weekday(day)?))
    };
    let all: Option<Vec<_>> = list.split(',').map(one).collect();
    all.filter(|all| all.len() <= 60).ok_or((
        format!("`BYDAY={}` is not understood", shown(list)),
        "write days such as `MO,TU`, `2MO` for the second Monday, `-1FR` for the last Friday",
    ))
}

fn week_start(parts: &Parts) -> Result<u8, Fault> {
    let Some(text) = parts.get("WKST") else { return Ok(0) };
    weekday(text).ok_or((format!("`WKST={}` is no day", shown(text)), "write MO to SU"))
}

fn times(parts: &Parts, start: i64, all_day: bool) -> Result<Vec<i64>, Fault> {
    let (hours, minutes) = (parts.numbers("BYHOUR", 23, false)?, parts.numbers("BYMINUTE", 59, false)?);
    let of_start = start.rem_euclid(DAY);
    if hours.is_empty() && minutes.is_empty() {
        return Ok(vec![of_start]);
    }
    if all_day {
        return Err((
            "`BYHOUR` and `BYMINUTE` do not go with whole days".to_owned(),
            "give the first start a time, e.g. `2026-01-05T00:00`",
        ));
    }
    let or = |list: Vec<i32>, own: i64| {
        if list.is_empty() { vec![own] } else { list.into_iter().map(i64::from).collect() }
    };
    let (hours, minutes) = (or(hours, of_start / 3_600), or(minutes, of_start % 3_600 / 60));
    if hours.len() * minutes.len() > MAX_TIMES {
        return Err((
            format!("this rule starts more than {MAX_TIMES} times a day"),
            "use `days` and `times`",
        ));
    }
    let seconds = of_start % 60;
    Ok(hours
        .iter()
        .flat_map(|hour| minutes.iter().map(move |minute| hour * 3_600 + minute * 60 + seconds))
        .collect())
}

fn until(parts: &Parts, all_day: bool, local: impl Fn(i64) -> Option<i64>) -> Result<Option<i64>, Fault> {
    let Some(text) = parts.get("UNTIL") else { return Ok(None) };
    let fix = "write `UNTIL=20261231` or, in UTC, `UNTIL=20261231T225959Z`";
    let until = read_until(text).ok_or_else(|| (format!("`UNTIL={}` is no date", shown(text)), fix))?;
    match until {
        // A date is meant with all its starts.
        Until::Day(day) => Ok(Some(day.plus(1).start() - 1)),
        Until::Local(at) => Ok(Some(at)),
        // Written by programs for whole days too, although the RFC has a date there.
        Until::Moment(at) if all_day => Ok(Some(at)),
        Until::Moment(at) => local(at).map(Some).ok_or((
            "`UNTIL` is in UTC, but which local time that is depends on the contact".to_owned(),
            "write it without `Z`, as a local time",
        )),
    }
}

/// `20261231`, `20261231T225959`, `20261231T225959Z`.
#[must_use]
pub fn read_until(text: &str) -> Option<Until> {
    let number = |range: Range<usize>| {
        let part = text.get(range)?;
        part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<i32>().ok())?
    };
    let year = number(0..4).filter(|year| (1600..=9000).contains(year))?;
    let day = Day::new(year, u8::try_from(number(4..6)?).ok()?, u8::try_from(number(6..8)?).ok()?)?;
    if text.len() == 8 {
        return Some(Until::Day(day));
    }
    let (hour, minute, second) = (number(9..11)?, number(11..13)?, number(13..15)?);
    // A leap second is taken for the one before it.
    if text.get(8..9) != Some("T") || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let at = day.start() + i64::from(hour * 3_600 + minute * 60 + second.min(59));
    match text.get(15..)? {
        "" => Some(Until::Local(at)),
        "Z" => Some(Until::Moment(at)),
        _ => None,
    }
}

/// What an author wrote, short enough to be shown.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}
