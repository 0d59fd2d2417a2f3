//! A slow, obvious model: whether a clock on the wall, or a moment, is inside is asked for each minute by jiff's own zone
//! arithmetic, over random calendars around days on which clocks are set.

use super::*;
use jiff::civil::{Date, DateTime};
use jiff::tz::AmbiguousOffset;
use jiff::{SignedDuration, ToSpan};
use proptest::prelude::*;

#[derive(Debug, Clone)]
struct Spec {
    zone: &'static str,
    instants: bool,
    windows: Vec<Part>,
    except: Vec<Part>,
    holiday: Date,
    /// Minutes after the middle of the stretch that is looked at.
    around: &'static str,
}

#[derive(Debug, Clone)]
enum Part {
    /// Weekdays (7: holidays), and minutes of the day from and to; the second may be the smaller.
    Days(Vec<u8>, u32, u32),
    /// Months and a range of days of the month.
    OfMonth(Vec<u8>, i8, i8),
    /// Weekday and minute it begins at, weekday and minute it ends at.
    Weekly(u8, u32, u8, u32),
    /// Minutes after the beginning of the stretch.
    Once(u32, u32),
}

const DAYS: [&str; 8] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "holidays"];

fn clock(minutes: u32) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

impl Part {
    fn document(&self, first: Date) -> Value {
        let at = |minutes: u32| {
            let at = first.to_datetime(jiff::civil::Time::midnight()) + i64::from(minutes).minutes();
            at.strftime("%Y-%m-%dT%H:%M").to_string()
        };
        match self {
            Self::Days(days, from, to) => {
                let mut entry = json!({ "times": [format!("{}-{}", clock(*from), clock(*to))] });
                if !days.is_empty() {
                    entry["days"] = days.iter().map(|day| DAYS[usize::from(*day)]).collect();
                }
                entry
            }
            Self::OfMonth(months, from, to) => {
                json!({ "months": months, "daysOfMonth": [format!("{from}..{to}")] })
            }
            Self::Weekly(day, from, last, to) => json!({
                "weekly": format!("{} {} - {} {}", DAYS[usize::from(*day)], clock(*from), DAYS[usize::from(*last)], clock(*to)),
            }),
            Self::Once(from, lasts) => json!({ "from": at(*from), "to": at(from + lasts) }),
        }
    }

    /// The local times it covers that begin on a date.
    fn of(&self, date: Date, first: Date, holiday: Date) -> Option<(DateTime, DateTime)> {
        let midnight = date.to_datetime(jiff::civil::Time::midnight());
        let at = |minutes: u32| midnight + i64::from(minutes).minutes();
        let weekday = u8::try_from(date.weekday().to_monday_zero_offset()).unwrap();
        match self {
            Self::Days(days, from, to) => {
                let this =
                    days.is_empty() || days.contains(&weekday) || (days.contains(&7) && date == holiday);
                let to = if to < from { to + 1_440 } else { *to };
                this.then(|| (at(*from), at(to)))
            }
            Self::OfMonth(months, from, to) => {
                let place = |n: i8| if n < 0 { date.days_in_month() + n + 1 } else { n };
                let this = months.contains(&u8::try_from(date.month()).unwrap())
                    && (place(*from)..=place(*to)).contains(&date.day());
                this.then(|| (at(0), at(1_440)))
            }
            Self::Weekly(day, from, last, to) => {
                let days = u32::from((7 + last - day) % 7);
                let mut end = days * 1_440 + to;
                if end < *from {
                    end += 7 * 1_440;
                }
                (weekday == *day).then(|| (at(*from), at(end)))
            }
            Self::Once(from, lasts) => (date == first).then(|| (at(*from), at(from + lasts))),
        }
    }

    fn holds(&self, at: Timestamp, zone: &TimeZone, spec: &Spec, first: Date) -> bool {
        let local = zone.to_datetime(at);
        (-1..=15_i64).any(|back| {
            let date = local.date().checked_sub(back.days()).unwrap();
            let Some((from, to)) = self.of(date, first, spec.holiday) else { return false };
            if spec.instants {
                (once(from, zone)..once(to, zone)).contains(&at)
            } else {
                (from..to).contains(&local)
            }
        })
    }
}

/// The one moment of a local time: the first of two, the skip for none.
fn once(local: DateTime, zone: &TimeZone) -> Timestamp {
    let offset = match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset,
        AmbiguousOffset::Fold { before, .. } => before,
        AmbiguousOffset::Gap { before, .. } => {
            let mut at = before.to_timestamp(local).unwrap() - SignedDuration::from_hours(26);
            while zone.to_datetime(at) < local {
                at += SignedDuration::from_mins(1);
            }
            return at;
        }
    };
    offset.to_timestamp(local).unwrap()
}

impl Spec {
    fn holds(&self, at: Timestamp, zone: &TimeZone, first: Date) -> bool {
        let any = |parts: &[Part]| parts.iter().any(|part| part.holds(at, zone, self, first));
        any(&self.windows) && !any(&self.except)
    }
}

fn part() -> impl Strategy<Value = Part> {
    let minute =
        || prop_oneof![Just(0_u32), Just(120), Just(150), Just(180), (0_u32..96).prop_map(|n| n * 15)];
    let days = prop::collection::vec(0_u8..8, 0..4).prop_map(|mut days| {
        days.sort_unstable();
        days.dedup();
        days
    });
    prop_oneof![
        4 => (days, minute(), prop_oneof![3 => minute().boxed(), 1 => Just(1_440_u32).boxed()])
            .prop_filter("not empty", |(_, from, to)| from != to)
            .prop_map(|(days, from, to)| Part::Days(days, from, to)),
        1 => (prop::collection::vec(1_u8..=12, 1..6), -31_i8..=31, 0_i8..10).prop_filter_map("a range", |(mut months, from, more)| {
            months.sort_unstable();
            months.dedup();
            let to = from.checked_add(more)?;
            let one_side = (from > 0 && to <= 31) || (from < 0 && to < 0);
            one_side.then_some(Part::OfMonth(months, from, to))
        }),
        2 => (0_u8..7, minute(), 0_u8..7, minute())
            .prop_filter("not empty", |(day, from, last, to)| (day, from) != (last, to))
            .prop_map(|(day, from, last, to)| Part::Weekly(day, from, last, to)),
        1 => (0_u32..7_000, 15_u32..6_000).prop_map(|(from, lasts)| Part::Once(from, lasts)),
    ]
}

fn spec() -> impl Strategy<Value = Spec> {
    let places = prop::sample::select(vec![
        ("Europe/Berlin", "2026-03-29"),
        ("Europe/Berlin", "2026-10-25"),
        ("Europe/Sofia", "2026-03-29"),
        ("Europe/Sofia", "2026-10-25"),
        ("America/New_York", "2026-03-08"),
        ("America/New_York", "2026-11-01"),
        ("Australia/Lord_Howe", "2026-04-05"),
        ("Australia/Lord_Howe", "2026-10-04"),
        ("Pacific/Apia", "2011-12-30"),
        ("America/St_Johns", "2011-03-13"),
        ("Africa/Casablanca", "2026-02-15"),
        ("UTC", "2028-02-29"),
    ]);
    let parts = |most| prop::collection::vec(part(), 1..most);
    (places, any::<bool>(), parts(4), prop::option::of(parts(3)), 0_i64..5).prop_map(
        |((zone, around), instants, windows, except, holiday)| Spec {
            zone,
            instants,
            windows,
            except: except.unwrap_or_default(),
            holiday: around.parse::<Date>().unwrap() + (holiday - 2).days(),
            around,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn calendars_say_what_asking_each_minute_says(spec in spec()) {
        let zone = TimeZone::get(spec.zone).unwrap();
        let first: Date = spec.around.parse::<Date>().unwrap() - 2.days();
        let list = |parts: &[Part]| parts.iter().map(|part| part.document(first)).collect::<Vec<_>>();
        let calendar = compile(json!({
            "timeZone": spec.zone,
            "dst": if spec.instants { "instants" } else { "wall-clock" },
            "windows": list(&spec.windows),
            "except": list(&spec.except),
            "holidays": [{ "dates": [spec.holiday.to_string()] }],
        }));
        let start = first.to_datetime(jiff::civil::Time::midnight()).to_zoned(zone.clone()).unwrap().timestamp();
        let steps = 4 * 24 * 12;
        let at = |step: i64| start + SignedDuration::from_mins(step * 5);
        let model: Vec<bool> = (0..=steps).map(|step| spec.holds(at(step), &zone, first)).collect();
        for step in 0..steps {
            let index = usize::try_from(step).unwrap();
            let found = calendar.at(at(step), None);
            prop_assert_eq!(found.is_inside(), model[index], "{} {:?}", at(step), spec);
            // What it says of the next change is what the model does next.
            let change = (index..model.len()).find(|later| model[*later] != model[index]);
            match (found.until(), change) {
                (Some(until), Some(change)) => {
                    let before = at(i64::try_from(change).unwrap() - 1);
                    prop_assert!(before < until && until <= at(i64::try_from(change).unwrap()), "{} {:?}", until, spec);
                    prop_assert_ne!(spec.holds(until, &zone, first), model[index]);
                }
                (until, None) => prop_assert!(until.is_none_or(|until| until > at(steps)), "{:?} {:?}", until, spec),
                (None, Some(_)) => prop_assert!(false, "no change at {} {:?}", at(step), spec),
            }
        }
        // Windows, and their starts, are the model's changes.
        let windows: Vec<Window> =
            calendar.windows(start, None).take_while(|window| window.from < at(steps)).collect();
        for step in 0..steps {
            let inside = windows.iter().any(|window| {
                window.from <= at(step) && window.to.is_none_or(|to| at(step) < to)
            });
            prop_assert_eq!(inside, model[usize::try_from(step).unwrap()], "{} {:?}", at(step), spec);
        }
        let mut after = start;
        for window in windows.iter().filter(|window| window.from > start) {
            prop_assert_eq!(calendar.next_start(after, None), Some(window.from));
            after = window.from;
        }
    }
}
