//! iCalendar files: what is carried, and that what is not is told.

use super::super::{ical, import};
use super::*;
use proptest::prelude::*;

fn file(events: &[&str]) -> String {
    let events: String =
        events.iter().map(|event| format!("BEGIN:VEVENT\r\n{event}\r\nEND:VEVENT\r\n")).collect();
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{events}END:VCALENDAR\r\n")
}

fn compiled(zone: &str, events: &[&str]) -> CompiledCalendar {
    compile(json!({ "timeZone": zone, "dst": "instants", "windows": [{ "ical": file(events) }] }))
}

#[test]
fn events_are_windows() {
    let check = |event: &str, expected: &[&str]| {
        let calendar = compiled("Europe/Berlin", &[event]);
        assert_eq!(shown(&calendar, "2026-11-20T00:00:00Z", "2026-12-05T00:00:00Z"), expected, "{event}");
    };
    check("DTSTART:20261123T210000Z\r\nDTEND:20261124T050000Z", &["2026-11-23T21:00Z 2026-11-24T05:00Z"]);
    check("DTSTART:20261123T220000\r\nDURATION:PT8H", &["2026-11-23T21:00Z 2026-11-24T05:00Z"]);
    check(
        "DTSTART;TZID=Asia/Tokyo:20261123T220000\r\nDURATION:P1DT30M",
        &["2026-11-23T13:00Z 2026-11-24T13:30Z"],
    );
    check("DTSTART;VALUE=DATE:20261123", &["2026-11-22T23:00Z 2026-11-23T23:00Z"]);
    check(
        "DTSTART;VALUE=DATE:20261123\r\nDTEND;VALUE=DATE:20261125",
        &["2026-11-22T23:00Z 2026-11-24T23:00Z"],
    );
    check(
        "DTSTART:20261123T220000\r\nDTEND:20261123T230000\r\nRRULE:FREQ=WEEKLY;BYDAY=MO,WE\r\nEXDATE:20261125T220000,20261130T220000",
        &["2026-11-23T21:00Z 2026-11-23T22:00Z", "2026-12-02T21:00Z 2026-12-02T22:00Z"],
    );
    check(
        "DTSTART:20261123T220000\r\nDTEND:20261123T230000\r\nRDATE:20261126T220000\r\nRDATE;VALUE=PERIOD:20261127T100000Z/PT1H",
        &[
            "2026-11-23T21:00Z 2026-11-23T22:00Z",
            "2026-11-26T21:00Z 2026-11-26T22:00Z",
            "2026-11-27T10:00Z 2026-11-27T11:00Z",
        ],
    );
    // UNTIL in UTC, as the RFC wants for a start with a zone; an EXDATE in another zone; one that is a date.
    check(
        "DTSTART;TZID=Europe/Berlin:20261123T000000\r\nDURATION:PT1H\r\nRRULE:FREQ=DAILY;UNTIL=20261125T230000Z\r\nEXDATE;VALUE=DATE:20261124",
        &[
            "2026-11-22T23:00Z 2026-11-23T00:00Z",
            "2026-11-24T23:00Z 2026-11-25T00:00Z",
            "2026-11-25T23:00Z 2026-11-26T00:00Z",
        ],
    );
    check(
        "DTSTART;TZID=Europe/Berlin:20261123T220000\r\nDURATION:PT1H\r\nRRULE:FREQ=DAILY;COUNT=2\r\nEXDATE:20261124T210000Z",
        &["2026-11-23T21:00Z 2026-11-23T22:00Z"],
    );
    // Whole days recur as days, with a time in UNTIL as many programs write it.
    check(
        "DTSTART;VALUE=DATE:20261124\r\nRRULE:FREQ=DAILY;UNTIL=20261125T000000Z",
        &["2026-11-23T23:00Z 2026-11-25T23:00Z"],
    );
    // Folded lines, LF, lower case, quoted parameters, escapes.
    check(
        "dtstart;TZID=\"Europe/Berlin\";X-A=\"b:c;d\":202611\n 23T220000\nDURATION:P\n\tT1H\nSUMMARY:a\\, b\\nc",
        &["2026-11-23T21:00Z 2026-11-23T22:00Z"],
    );
    check(
        "DTSTART;TZID=/example.org/20240101_1/Europe/Berlin:20261123T220000\r\nDURATION:PT1H",
        &["2026-11-23T21:00Z 2026-11-23T22:00Z"],
    );
}

#[test]
fn a_changed_occurrence_stands_for_the_one_it_changes() {
    let master =
        "UID:1\r\nDTSTART;TZID=Europe/Berlin:20261123T220000\r\nDURATION:PT1H\r\nRRULE:FREQ=DAILY;COUNT=3";
    let moved = "UID:1\r\nRECURRENCE-ID;TZID=Europe/Berlin:20261124T220000\r\nDTSTART;TZID=Europe/Berlin:20261124T200000\r\nDURATION:PT30M";
    let calendar = compiled("UTC", &[moved, master]);
    assert_eq!(
        shown(&calendar, "2026-11-20T00:00:00Z", "2026-12-05T00:00:00Z"),
        [
            "2026-11-23T21:00Z 2026-11-23T22:00Z",
            "2026-11-24T19:00Z 2026-11-24T19:30Z",
            "2026-11-25T21:00Z 2026-11-25T22:00Z",
        ]
    );
    let gone = format!("{moved}\r\nSTATUS:CANCELLED");
    let calendar = compiled("UTC", &[master, &gone]);
    assert_eq!(shown(&calendar, "2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z"), [""; 0]);
}

#[test]
fn what_is_lost_is_told_with_its_line_and_refused_in_a_document() {
    let check = |event: &str, line: usize, text: &str| {
        let file = file(&[event]);
        let read = ical::read(&file);
        let lost: Vec<_> =
            read.notes.iter().filter(|note| note.lost).map(|note| (note.line, &note.text)).collect();
        assert!(lost.len() == 1 && lost[0].0 == line && lost[0].1.contains(text), "{event}: {lost:?}");
        let refused = try_compile(json!({ "windows": [{ "ical": file }] })).unwrap_err();
        assert_eq!(refused.path, "/windows/0/ical", "{event}");
        assert!(refused.reason.starts_with(&format!("line {line}: ")), "{refused}");
    };
    check("SUMMARY:x", 4, "no `DTSTART`");
    check("DTSTART:20261123T220000", 4, "no end");
    check("DTSTART:2026-11-23\r\nDURATION:PT1H", 5, "not understood");
    check(
        "DTSTART;TZID=W. Europe Standard Time:20261123T220000\r\nDURATION:PT1H",
        5,
        "not an IANA time zone",
    );
    check("DTSTART:20261123T220000Z\r\nDTEND:20261123T220000Z", 6, "ends before or when it begins");
    check("DTSTART:20261123T220000Z\r\nDTEND;VALUE=DATE:20261124", 6, "different kinds");
    check("DTSTART:20261123T220000Z\r\nDTEND:20261123T230000Z\r\nDURATION:PT1H", 6, "do not go together");
    check("DTSTART:20261123T220000Z\r\nDURATION:-PT1H", 6, "not understood");
    check("DTSTART:20261123T220000Z\r\nDURATION:PT1H\r\nRRULE:FREQ=HOURLY", 7, "windows recur by days");
    check("DTSTART:20261123T220000Z\r\nDURATION:PT1H\r\nEXRULE:FREQ=DAILY", 7, "`EXRULE`");
    check("DTSTART:20261123T220000Z\r\nDURATION:PT1H\r\nEXDATE:yesterday", 7, "not understood");
    check("DTSTART:20261123T220000Z\r\nDTSTART:20261123T220000Z\r\nDURATION:PT1H", 6, "twice");
    check("DTSTART:20261123T220000Z\r\nDURATION:PT1H\r\nnonsense", 7, "no `NAME:value` line");
    for (text, line) in [
        ("", 1),
        ("hello", 1),
        ("BEGIN:VCALENDAR\nEND:VCALENDAR", 1),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\n", 1),
        ("END:VCALENDAR", 1),
    ] {
        let read = ical::read(text);
        assert!(read.notes.iter().any(|note| note.lost && note.line == line), "{text}: {:?}", read.notes);
    }
    // No window of its own, and so nothing is lost.
    let todo = "BEGIN:VCALENDAR\nBEGIN:VTODO\nDUE:20261123T220000Z\nEND:VTODO\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20261123\nTRANSP:TRANSPARENT\nBEGIN:VALARM\nTRIGGER:-PT1H\nEND:VALARM\nEND:VEVENT\nEND:VCALENDAR";
    let read = ical::read(todo);
    assert!(read.notes.len() == 3 && read.notes.iter().all(|note| !note.lost), "{:?}", read.notes);
}

#[test]
fn the_german_holidays_are_carried_whole() {
    let text = include_str!("../../../../resources/samples/calendars/german-public-holidays.ics");
    let found = import::ical(text, &import::Options::default());
    assert!(found.notes.iter().all(|note| !note.lost), "{:?}", found.notes);
    let document = &found.calendars[0];
    assert_eq!(
        (&document["id"], &document["timeZone"]),
        (&json!("gesetzliche-feiertage-in-deutschland"), &json!("Europe/Berlin"))
    );
    let dates = |calendar: &CompiledCalendar| {
        let days = shown(calendar, "2026-12-31T12:00:00Z", "2027-12-31T12:00:00Z");
        days.iter().map(|day| day[..10].to_owned()).collect::<Vec<_>>()
    };
    // The evening before, in UTC. Two Christmas days are one window.
    let expected = [
        "2026-12-31",
        "2027-03-25",
        "2027-03-28",
        "2027-04-30",
        "2027-05-05",
        "2027-05-16",
        "2027-10-02",
        "2027-12-24",
    ];
    assert_eq!(dates(&compile(document.clone())), expected);
    let holidays = json!({ "timeZone": "Europe/Berlin", "windows": [{ "days": ["holidays"] }], "holidays": [{ "ical": text }] });
    assert_eq!(dates(&compile(holidays)), expected);
}

#[test]
fn hostile_files_end() {
    let event = "DTSTART:20261123T220000Z\r\nDURATION:PT1H";
    let many = file(&vec![event; 3_000]);
    assert!(
        ical::read(&many).notes.iter().any(|note| note.lost && note.text.contains("more than 2000 events"))
    );
    let recurring = format!("{event}\r\nRRULE:FREQ=DAILY");
    let refused =
        try_compile(json!({ "windows": [{ "ical": file(&vec![recurring.as_str(); 600]) }] })).unwrap_err();
    assert!(refused.reason.contains("times a day"), "{refused}");
    let dates =
        (0..1_000).map(|n| format!("2027{:02}{:02}", n % 12 + 1, n % 28 + 1)).collect::<Vec<_>>().join(",");
    let long = file(&[&format!("DTSTART;VALUE=DATE:20261123\r\nRDATE;VALUE=DATE:{dates}")]);
    assert!(ical::read(&long).notes.iter().any(|note| note.lost && note.text.contains("single dates")));
    for text in [
        "x".repeat(20_000),
        " \n".repeat(100_000),
        "BEGIN:VCALENDAR\n".repeat(1_000),
        "a;".repeat(5_000),
        "x".repeat(300_000),
    ] {
        assert!(ical::read(&text).entries.is_empty());
    }
}

proptest! {
    #[test]
    fn no_file_is_too_strange(lines in prop::collection::vec(
        prop_oneof![
            Just("BEGIN:VEVENT".to_owned()), Just("END:VEVENT".to_owned()),
            Just("BEGIN:VCALENDAR".to_owned()), Just("END:VCALENDAR".to_owned()),
            "(DTSTART|DTEND|RDATE|EXDATE|RECURRENCE-ID)(;TZID=[A-Za-z/]{0,12}|;VALUE=(DATE|PERIOD))?:[0-9TZ/P,]{0,32}",
            "(DURATION|RRULE|UID):[A-Z0-9=;,+-]{0,30}",
            "(DTSTART|DTEND):20(19|26)(0[1-9])(0[1-9])(T0[0-9]0000Z?)?",
            ".{0,20}",
        ],
        0..40,
    )) {
        let text = lines.join("\n");
        let read = ical::read(&text);
        prop_assert!(!read.entries.is_empty() || read.notes.iter().any(|note| note.lost || !note.text.is_empty()));
        // What was carried, and can be saved, works.
        for calendar in import::ical(&text, &import::Options::default()).calendars {
            let calendar = compile(calendar);
            let _ = calendar.windows(time("2026-11-20T00:00:00Z"), None).take(10).count();
        }
    }
}
