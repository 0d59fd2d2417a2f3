//! The table of the reference on windows around changes of clocks, and the other reading beside it.

use super::*;

#[test]
fn the_days_on_which_clocks_are_set() {
    // (zone, times, stretch of UTC, wall-clock, instants)
    type Case =
        (&'static str, &'static str, [&'static str; 2], &'static [&'static str], &'static [&'static str]);
    let cases: [Case; 9] = [
        (
            "America/New_York",
            "01:30-02:30",
            ["2026-03-08T00:00:00Z", "2026-03-09T00:00:00Z"],
            &["2026-03-08T06:30Z 2026-03-08T07:00Z"],
            &["2026-03-08T06:30Z 2026-03-08T07:00Z"],
        ),
        (
            "America/New_York",
            "01:30-02:30",
            ["2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"],
            &["2026-11-01T05:30Z 2026-11-01T06:00Z", "2026-11-01T06:30Z 2026-11-01T07:30Z"],
            &["2026-11-01T05:30Z 2026-11-01T07:30Z"],
        ),
        ("Europe/Sofia", "03:00-04:00", ["2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z"], &[], &[]),
        (
            "Europe/Sofia",
            "03:00-04:00",
            ["2026-10-24T12:00:00Z", "2026-10-25T12:00:00Z"],
            &["2026-10-25T00:00Z 2026-10-25T02:00Z"],
            &["2026-10-25T00:00Z 2026-10-25T02:00Z"],
        ),
        (
            "Australia/Lord_Howe",
            "01:30-02:30",
            ["2026-04-04T12:00:00Z", "2026-04-05T12:00:00Z"],
            &["2026-04-04T14:30Z 2026-04-04T16:00Z"],
            &["2026-04-04T14:30Z 2026-04-04T16:00Z"],
        ),
        // A window that ends in what is skipped or shown twice, and one around it.
        (
            "Europe/Berlin",
            "01:00-02:30",
            ["2026-03-28T20:00:00Z", "2026-03-29T12:00:00Z"],
            &["2026-03-29T00:00Z 2026-03-29T01:00Z"],
            &["2026-03-29T00:00Z 2026-03-29T01:00Z"],
        ),
        (
            "Europe/Berlin",
            "01:00-02:30",
            ["2026-10-24T20:00:00Z", "2026-10-25T12:00:00Z"],
            &["2026-10-24T23:00Z 2026-10-25T00:30Z", "2026-10-25T01:00Z 2026-10-25T01:30Z"],
            &["2026-10-24T23:00Z 2026-10-25T00:30Z"],
        ),
        (
            "Europe/Berlin",
            "22:00-06:00",
            ["2026-03-28T20:00:00Z", "2026-03-29T12:00:00Z"],
            &["2026-03-28T21:00Z 2026-03-29T04:00Z"],
            &["2026-03-28T21:00Z 2026-03-29T04:00Z"],
        ),
        (
            "Europe/Berlin",
            "22:00-06:00",
            ["2026-10-24T18:00:00Z", "2026-10-25T12:00:00Z"],
            &["2026-10-24T20:00Z 2026-10-25T05:00Z"],
            &["2026-10-24T20:00Z 2026-10-25T05:00Z"],
        ),
    ];
    for (zone, times, [from, to], wall_clock, instants) in cases {
        for (dst, expected) in [("wall-clock", wall_clock), ("instants", instants)] {
            let calendar =
                compile(json!({ "timeZone": zone, "dst": dst, "windows": [{ "times": [times] }] }));
            assert_eq!(shown(&calendar, from, to), expected, "{zone} {times} {dst} {from}");
        }
    }
}

#[test]
fn a_whole_day_is_as_long_as_it_is_there() {
    for (zone, date, minutes) in [
        ("Europe/Berlin", "2026-03-29", 23 * 60),
        ("Europe/Berlin", "2026-10-25", 25 * 60),
        ("Europe/Berlin", "2026-11-22", 24 * 60),
        ("Australia/Lord_Howe", "2026-04-05", 24 * 60 + 30),
        ("Australia/Lord_Howe", "2026-10-04", 23 * 60 + 30),
        // Samoa had no 30 December 2011 at all.
        ("Pacific/Apia", "2011-12-30", 0),
    ] {
        for dst in ["wall-clock", "instants"] {
            for entry in [
                json!({ "dates": [date] }),
                json!({ "dates": [date], "times": ["00:00-24:00"] }),
                json!({ "start": date, "rrule": "FREQ=YEARLY;COUNT=1" }),
            ] {
                let calendar = compile(json!({ "timeZone": zone, "dst": dst, "windows": [entry] }));
                let from = time(&format!("{date}T00:00:00Z")) - jiff::SignedDuration::from_hours(36);
                let found = calendar.windows(from, None).next();
                let lasts =
                    found.map_or(0, |window| (window.to.unwrap().as_second() - window.from.as_second()) / 60);
                assert_eq!(lasts, minutes, "{zone} {date} {dst} {entry}");
            }
        }
    }
}

#[test]
fn a_recurrence_of_hours_keeps_its_length_where_instants_are_meant() {
    let check = |dst: &str, start: &str, duration: &str, expected: &[&str]| {
        let calendar = compile(json!({ "timeZone": "Europe/Berlin", "dst": dst, "windows": [
            { "start": start, "duration": duration, "rrule": "FREQ=DAILY" },
        ] }));
        let (from, to) = (time("2026-03-28T12:00:00Z"), time("2026-03-29T12:00:00Z"));
        let windows: Vec<_> = calendar
            .windows(from, None)
            .take_while(|window| window.from < to)
            .map(|window| format!("{} {}", short(window.from), short(window.to.unwrap())))
            .collect();
        assert_eq!(windows, expected, "{dst} {start} {duration}");
    };
    check("wall-clock", "2026-01-05T22:00", "8h", &["2026-03-28T21:00Z 2026-03-29T04:00Z"]);
    check("instants", "2026-01-05T22:00", "8h", &["2026-03-28T21:00Z 2026-03-29T05:00Z"]);
    // Days are days, in both readings.
    for dst in ["wall-clock", "instants"] {
        let day = compile(json!({ "timeZone": "Europe/Berlin", "dst": dst, "windows": [
            { "start": "2026-03-28T12:00", "duration": "1d", "rrule": "FREQ=WEEKLY" },
        ] }));
        let expected = ["2026-03-28T11:00Z 2026-03-29T10:00Z"];
        assert_eq!(shown(&day, "2026-03-28T00:00:00Z", "2026-03-30T00:00:00Z"), expected, "{dst}");
    }
    // A start that is skipped is not dropped: a quiet window that is missing wakes people.
    check("wall-clock", "2026-01-05T02:30", "1h", &["2026-03-29T01:00Z 2026-03-29T01:30Z"]);
    check("instants", "2026-01-05T02:30", "1h", &["2026-03-29T01:30Z 2026-03-29T02:30Z"]);
}

#[test]
fn the_state_says_when_it_changes() {
    let check = |calendar: &CompiledCalendar, at: &str, expected: CalendarState| {
        assert_eq!(calendar.at(time(at), None), expected, "{at}");
    };
    let nights = compile(json!({ "timeZone": "Europe/Berlin", "windows": [
        { "times": ["22:00-06:00"] }, { "days": ["sat-sun"] },
    ] }));
    let inside = |until: &str| CalendarState::Inside { until: Some(time(until)) };
    let outside = |until: &str| CalendarState::Outside { until: Some(time(until)) };
    check(&nights, "2026-11-23T12:00:00Z", outside("2026-11-23T21:00:00Z"));
    check(&nights, "2026-11-23T20:59:59.999Z", outside("2026-11-23T21:00:00Z"));
    check(&nights, "2026-11-23T21:00:00Z", inside("2026-11-24T05:00:00Z"));
    check(&nights, "2026-11-24T04:59:59.999Z", inside("2026-11-24T05:00:00Z"));
    check(&nights, "2026-11-24T05:00:00Z", outside("2026-11-24T21:00:00Z"));
    // Friday's night, the weekend, and Sunday's night are one window.
    check(&nights, "2026-11-27T23:00:00Z", inside("2026-11-30T05:00:00Z"));
    assert_eq!(nights.next_start(time("2026-11-23T21:00:00Z"), None), Some(time("2026-11-24T21:00:00Z")));
    assert_eq!(nights.next_start(time("2026-11-24T12:00:00Z"), None), Some(time("2026-11-24T21:00:00Z")));

    let always = compile(json!({ "windows": [{ "days": ["mon-sun"] }] }));
    check(&always, "2026-11-23T12:00:00Z", CalendarState::Inside { until: None });
    let all: Vec<_> = always.windows(time("2026-11-23T12:00:00Z"), None).collect();
    assert_eq!(all, [Window { from: time("2026-11-23T12:00:00Z"), to: None }]);
    assert_eq!(always.next_start(time("2026-11-23T12:00:00Z"), None), None);

    let past = compile(json!({ "windows": [{ "dates": ["2020-01-01"] }] }));
    check(&past, "2026-11-23T12:00:00Z", CalendarState::Outside { until: None });
    assert_eq!(past.windows(time("2026-11-23T12:00:00Z"), None).count(), 0);

    // Once a year, and 29 February: seen as far as two years ahead and no farther.
    let leap = compile(json!({ "windows": [{ "dates": ["02-29"] }] }));
    check(&leap, "2026-03-01T00:00:00Z", outside("2028-02-29T00:00:00Z"));
    check(&leap, "2026-02-27T00:00:00Z", CalendarState::Outside { until: None });
    check(&leap, "2028-02-29T23:59:59Z", inside("2028-03-01T00:00:00Z"));

    // A window of years is seen to its end where that is near, and to the horizon else.
    let long = compile(json!({ "windows": [{ "from": "2026-01-01T00:00", "to": "2029-07-01T00:00" }] }));
    check(&long, "2026-06-01T00:00:00Z", CalendarState::Inside { until: None });
    check(&long, "2028-06-01T00:00:00Z", inside("2029-07-01T00:00:00Z"));
    let began: Vec<_> = long.windows(time("2026-06-01T00:00:00Z"), None).collect();
    assert_eq!(began, [Window { from: time("2026-01-01T00:00:00Z"), to: None }]);

    for at in [Timestamp::MIN, Timestamp::MAX, time("1969-12-31T23:59:59.5Z")] {
        for calendar in [&nights, &always, &past, &leap, &long] {
            let _ = (
                calendar.at(at, None),
                calendar.next_start(at, None),
                calendar.windows(at, None).take(3).count(),
            );
        }
    }
}

#[test]
fn a_calendar_in_the_contacts_zone_is_read_there() {
    let calendar = compile(json!({ "timeZone": "contact", "windows": [{ "times": ["22:00-06:00"] }] }));
    let check = |zone: Option<&str>, at: &str, inside: bool| {
        let zone = zone.map(|zone| TimeZone::get(zone).unwrap());
        assert_eq!(calendar.at(time(at), zone.as_ref()).is_inside(), inside, "{zone:?} {at}");
    };
    for _ in 0..2 {
        check(Some("Europe/Vienna"), "2026-11-23T21:30:00Z", true);
        check(Some("Asia/Tokyo"), "2026-11-23T21:30:00Z", false);
        check(Some("Asia/Tokyo"), "2026-11-23T13:30:00Z", true);
        check(None, "2026-11-23T22:30:00Z", true);
        check(None, "2026-11-23T21:30:00Z", false);
    }
    let fixed = TimeZone::fixed(jiff::tz::offset(-10));
    assert!(calendar.at(time("2026-11-23T09:00:00Z"), Some(&fixed)).is_inside());
    assert!(calendar.is_local());
    let refused = try_compile(
        json!({ "timeZone": "contact", "windows": [{ "times": ["22:00-06:00"], "timeZone": "UTC" }] }),
    );
    assert_eq!(refused.unwrap_err().path, "/windows/0/timeZone");
}
