//! Recurrence rules: vectors of an independent implementation, a model that walks day by day, and hostile rules.

use super::super::rrule::{MAX_COUNT, Rule};
use super::super::words;
use super::*;
use proptest::prelude::*;

fn read(start: &str, rrule: &str) -> Result<Rule, String> {
    let all_day = words::date(start).is_some();
    let first = words::date(start).map(Day::start).or_else(|| words::local(start)).unwrap();
    Rule::read(rrule, first, all_day, Some).map_err(|(reason, _)| reason)
}

fn written(at: i64) -> String {
    let at = moment(at).to_string();
    at.get(..16).unwrap().to_owned()
}

/// Some 400 random rules and the RFC's examples (section 3.8.5.3), worked out by python-dateutil 2.9; without
/// `FREQ=WEEKLY` with `BYSETPOS`, where it counts positions of the first week from the first start on. `whole`: up to the end of
/// 2031, or of a `COUNT`.
#[test]
fn the_vectors_of_another_implementation() {
    for line in include_str!("../../../tests/golden/rrule.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let (start, rrule) = (case["start"].as_str().unwrap(), case["rrule"].as_str().unwrap());
        let expected: Vec<&str> =
            case["expected"].as_array().unwrap().iter().map(|at| at.as_str().unwrap()).collect();
        let rule = read(start, rrule).unwrap_or_else(|reason| panic!("{reason}: {line}"));
        let first = Day::of(words::local(start).unwrap());
        let end = if rrule.contains("COUNT") { Day::new(2060, 1, 1) } else { Day::new(2032, 1, 1) }.unwrap();
        let found: Vec<String> = rule.starts(first.0..end.0).into_iter().map(written).take(24).collect();
        assert_eq!(found, expected, "{start} {rrule}");
        // Asked for in pieces, it says the same.
        let pieces = (first.0..end.0).step_by(97);
        let found: Vec<String> =
            pieces.flat_map(|day| rule.starts(day..(day + 97).min(end.0))).map(written).take(24).collect();
        assert_eq!(found, expected, "{start} {rrule} in pieces");
    }
}

#[test]
fn what_is_not_supported_is_refused_with_its_reason() {
    let check = |rrule: &str, reason: &str| {
        let found = read("2026-01-05T22:00", rrule).err().unwrap_or_default();
        assert!(found.contains(reason), "{rrule}: {found}");
    };
    check("", "is no part of a rule");
    check("BYDAY=MO", "`FREQ` is missing");
    check("FREQ=HOURLY", "windows recur by days");
    check("FREQ=SECONDLY", "windows recur by days");
    check("FREQ=SOMETIMES", "is no frequency");
    check("FREQ=YEARLY;BYWEEKNO=20", "`BYWEEKNO` is not supported");
    check("FREQ=YEARLY;BYYEARDAY=1", "`BYYEARDAY` is not supported");
    check("FREQ=YEARLY;RSCALE=CHINESE", "`RSCALE` is not supported");
    check("FREQ=DAILY;FREQ=DAILY", "appears twice");
    check("FREQ=DAILY;COUNT=3;UNTIL=20261231", "do not go together");
    check("FREQ=DAILY;COUNT=0", "`COUNT`");
    check("FREQ=DAILY;COUNT=999999999999", "`COUNT`");
    check("FREQ=DAILY;INTERVAL=0", "`INTERVAL`");
    check("FREQ=DAILY;INTERVAL=-1", "`INTERVAL`");
    check("FREQ=DAILY;UNTIL=soon", "is no date");
    check("FREQ=DAILY;UNTIL=20260230", "is no date");
    check("FREQ=DAILY;UNTIL=20261231T99", "is no date");
    check("FREQ=DAILY;BYDAY=2MO", "needs months or years");
    check("FREQ=WEEKLY;BYDAY=2MO", "needs months or years");
    check("FREQ=MONTHLY;BYDAY=2MO;BYMONTHDAY=8", "do not go together");
    check("FREQ=WEEKLY;BYMONTHDAY=8", "does not go with");
    check("FREQ=MONTHLY;BYSETPOS=1", "needs another part");
    check("FREQ=MONTHLY;BYDAY=", "`BYDAY=` is not understood");
    check("FREQ=MONTHLY;BYDAY=XX", "is not understood");
    check("FREQ=MONTHLY;BYDAY=0MO", "is not understood");
    check("FREQ=MONTHLY;BYDAY=99MO", "is not understood");
    check("FREQ=MONTHLY;BYDAY=é", "is not understood");
    check("FREQ=MONTHLY;BYMONTHDAY=0", "out of range");
    check("FREQ=MONTHLY;BYMONTHDAY=32", "out of range");
    check("FREQ=YEARLY;BYMONTH=13", "out of range");
    check("FREQ=YEARLY;BYMONTH=0", "no month");
    check("FREQ=YEARLY;BYMONTH=-1", "out of range");
    check("FREQ=DAILY;BYHOUR=24", "out of range");
    check("FREQ=WEEKLY;WKST=XX", "is no day");
    let minutes = (0..60).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    check(&format!("FREQ=DAILY;BYMINUTE={minutes}"), "more than 48 times a day");
    assert!(read("2026-01-05", "FREQ=DAILY;BYHOUR=8").unwrap_err().contains("whole days"));
}

#[test]
fn hostile_rules_end() {
    // Never, or hardly ever, anything: 30 February; 29 February on a Monday each 10,000 years.
    for rrule in [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=5000",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=1",
        "FREQ=MONTHLY;BYMONTHDAY=31;BYMONTH=2,4,6,9,11;COUNT=5000",
        "FREQ=DAILY;COUNT=5000;INTERVAL=10000",
    ] {
        let rule = read("2026-01-05T22:00", rrule);
        assert!(rule.map_or(0, |rule| rule.starts(0..200_000).len()) <= MAX_COUNT, "{rrule}");
    }
    let never = read("2026-01-05T22:00", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;INTERVAL=10000").unwrap();
    assert_eq!(never.starts(0..40_000), [0_i64; 0]);
    // Far from its first start it is found by arithmetic.
    let far = read("1970-01-01T00:00", "FREQ=DAILY;INTERVAL=3").unwrap();
    assert_eq!(far.starts(2_900_001..2_900_004).len(), 1);
    assert_eq!(far.starts(i32::MAX - 3..i32::MAX).len(), 0);

    // Many recurrences of a calendar are refused, and long durations.
    let entry = json!({ "start": "2026-01-05T00:00", "duration": "31d", "rrule": "FREQ=DAILY" });
    let many = vec![entry.clone(); 501];
    let refused = try_compile(json!({ "windows": many })).unwrap_err();
    assert_eq!(refused.path, "/windows/500");
    let mut longer = entry;
    longer["duration"] = json!("32d");
    assert_eq!(try_compile(json!({ "windows": [longer] })).unwrap_err().path, "/windows/0/duration");
}

/// A rule as numbers; its text is derived.
#[derive(Debug, Clone)]
struct Spec {
    frequency: usize,
    interval: i64,
    months: Vec<u8>,
    of_month: Vec<i8>,
    weekdays: Vec<u8>,
    week_start: u8,
    count: Option<usize>,
    start: i32,
}

const NAMES: [&str; 7] = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"];

impl Spec {
    fn text(&self) -> String {
        let join = |list: Vec<String>| list.join(",");
        let mut text = format!(
            "FREQ={};INTERVAL={};WKST={}",
            ["DAILY", "WEEKLY", "MONTHLY", "YEARLY"][self.frequency],
            self.interval,
            NAMES[usize::from(self.week_start)]
        );
        if !self.months.is_empty() {
            text += &format!(";BYMONTH={}", join(self.months.iter().map(ToString::to_string).collect()));
        }
        if !self.of_month.is_empty() {
            text += &format!(";BYMONTHDAY={}", join(self.of_month.iter().map(ToString::to_string).collect()));
        }
        if !self.weekdays.is_empty() {
            let days = self.weekdays.iter().map(|day| NAMES[usize::from(*day)].to_owned()).collect();
            text += &format!(";BYDAY={}", join(days));
        }
        if let Some(count) = self.count {
            text += &format!(";COUNT={count}");
        }
        text
    }

    /// Walks from the first start, day by day, and asks of each what the RFC asks.
    fn days(&self, to: i32) -> Vec<i32> {
        use jiff::ToSpan;
        let date = |day: i32| jiff::civil::date(1970, 1, 1).checked_add(day.days()).unwrap();
        let first = date(self.start);
        let week = |day: i32| {
            let back = (i32::from(date(day).weekday().to_monday_zero_offset()) - i32::from(self.week_start))
                .rem_euclid(7);
            (day - back) / 7
        };
        let mut found = Vec::new();
        for day in self.start..to {
            if self.count.is_some_and(|count| found.len() >= count) {
                break;
            }
            let at = date(day);
            let periods = match self.frequency {
                0 => i64::from(day - self.start),
                1 => i64::from(week(day) - week(self.start)),
                2 => i64::from(at.year() - first.year()) * 12 + i64::from(at.month() - first.month()),
                _ => i64::from(at.year() - first.year()),
            };
            let month = self.months.is_empty() || self.months.contains(&u8::try_from(at.month()).unwrap());
            let of_month = |n: &i8| *n == at.day() || *n == at.day() - at.days_in_month() - 1;
            let weekday = u8::try_from(at.weekday().to_monday_zero_offset()).unwrap();
            let nothing = self.of_month.is_empty() && self.weekdays.is_empty();
            let implied = match self.frequency {
                1 if self.weekdays.is_empty() => at.weekday() == first.weekday(),
                2 if nothing => at.day() == first.day(),
                3 if nothing => {
                    at.day() == first.day() && (!self.months.is_empty() || at.month() == first.month())
                }
                _ => true,
            };
            if periods % self.interval == 0
                && month
                && implied
                && (self.of_month.is_empty() || self.of_month.iter().any(of_month))
                && (self.weekdays.is_empty() || self.weekdays.contains(&weekday))
            {
                found.push(day);
            }
        }
        found
    }
}

fn spec() -> impl Strategy<Value = Spec> {
    let some = |most: u8| prop::collection::vec(0..most, 0..4);
    (
        0_usize..4,
        1_i64..6,
        some(12),
        prop::collection::vec(1_i8..=31, 0..4),
        some(7),
        0_u8..7,
        prop::option::of(1_usize..40),
        18_000_i32..22_000,
        any::<bool>(),
    )
        .prop_map(|(frequency, interval, months, of_month, weekdays, week_start, count, start, back)| {
            let once = |mut list: Vec<u8>| {
                list.sort_unstable();
                list.dedup();
                list
            };
            Spec {
                frequency,
                interval,
                months: once(months).into_iter().map(|month| month + 1).collect(),
                of_month: if frequency == 1 {
                    Vec::new()
                } else {
                    of_month.into_iter().map(|n| if back { -n } else { n }).collect()
                },
                weekdays: once(weekdays),
                week_start,
                count,
                start,
            }
        })
}

proptest! {
    #[test]
    fn rules_say_what_walking_day_by_day_says(spec in spec(), skip in 0_i32..1_500) {
        let start = written(Day(spec.start).start());
        let rule = read(&start[..10], &spec.text()).unwrap();
        let end = spec.start + 2_000;
        let days = |range| rule.starts(range).into_iter().map(|at| Day::of(at).0).collect::<Vec<_>>();
        let expected = spec.days(end);
        prop_assert_eq!(&days(spec.start - 10..end), &expected, "{:?}", spec);
        let later: Vec<i32> = expected.into_iter().filter(|day| *day >= spec.start + skip).collect();
        prop_assert_eq!(days(spec.start + skip..end), later, "{:?}", spec);
    }

    #[test]
    fn no_text_is_too_strange(text in "([A-Z]{2,10}=[A-Z0-9,+-]{0,8};?){0,5}|.{0,40}", start in 0_i64..4_000_000_000) {
        if let Ok(rule) = Rule::read(&text, start, start % 2 == 0, Some) {
            let _ = rule.starts(20_000..20_100);
        }
    }
}
