//! Recurrence rules and iCalendar files.

use notify_core::calendar::import::{Options, ical};
use notify_core::calendar::{CompiledCalendar, day::Day};
use notify_core::document::{Version, parse_calendar};
use notify_core::time::Timestamp;
use serde_json::{Value, json};

/// A file, or the text of an `RRULE`. What is accepted can be asked, and asked again it says the same.
pub fn calendar(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.contains(':') {
        let imported = ical(text, &Options::default());
        for note in &imported.notes {
            assert!(!note.text.is_empty() && !note.place.is_empty(), "{note:?}");
        }
        imported.calendars.iter().for_each(ask);
    } else {
        let entry = json!({ "start": "2026-01-31T02:30", "duration": "26h", "rrule": text });
        ask(&json!({
            "schema": "notify-calendar@1", "id": "c", "name": "C", "timeZone": "Europe/Berlin", "windows": [entry],
        }));
    }
}

fn ask(value: &Value) {
    let (document, _, digest) = match parse_calendar(value) {
        Ok(parsed) => parsed,
        Err(problem) => {
            assert!(!problem.reason.is_empty() && !problem.fix.is_empty(), "{problem:?}");
            return;
        }
    };
    let version = Version { version: 1, digest, document };
    let (once, again) = (CompiledCalendar::new(&version), CompiledCalendar::new(&version));
    let (Ok(once), Ok(again)) = (once, again) else { panic!("what was parsed compiles") };
    let from: Timestamp = "2026-03-20T00:00:00Z".parse().expect("a time");
    // Asked in another order, so that other blocks are worked out first.
    let far = from.as_second() + i64::from(Day::new(2028, 1, 1).expect("a date").0 % 1_000) * 86_400;
    let _ = again.at(Timestamp::from_second(far).expect("a time"), None);
    let (a, b): (Vec<_>, Vec<_>) =
        (once.windows(from, None).take(20).collect(), again.windows(from, None).take(20).collect());
    assert_eq!(a, b);
    for pair in a.windows(2) {
        assert!(pair[0].to.is_some_and(|to| pair[0].from < to && to < pair[1].from), "{pair:?}");
    }
    for window in &a {
        assert!(once.at(window.from, None).is_inside());
        assert!(window.to.is_none_or(|to| !once.at(to, None).is_inside()));
    }
}
