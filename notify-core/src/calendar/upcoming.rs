//! The next windows of a calendar, for people: in local time and in UTC, with what they were worked out from.

use super::day::DAY;
use super::{CompiledCalendar, HORIZON_DAYS, lint};
use crate::document::Calendar;
use crate::plan::tzdb_version;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

/// Most windows that are shown at once.
pub const MAX_COUNT: usize = 100;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Upcoming {
    pub calendar: String,
    /// 0: not saved.
    pub version: u64,
    /// That the local times are in: the calendar's, or the one that was asked for.
    pub time_zone: String,
    pub dst: &'static str,
    /// Version of the IANA database.
    pub tzdb: &'static str,
    pub from: Moment,
    /// Whether `from` is inside a window.
    pub inside: bool,
    /// How far ahead is looked for the next window.
    pub horizon_days: i64,
    pub windows: Vec<Shown>,
    pub warnings: Vec<lint::Warning>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    pub from: Moment,
    /// Absent: not within the horizon.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<i64>,
    /// Clocks are set while it lasts, so it is longer or shorter by that than they say.
    #[serde(rename = "clocksChange", skip_serializing_if = "std::ops::Not::not")]
    pub clocks_change: bool,
}

/// One moment, three times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// RFC 3339.
    pub utc: String,
    /// RFC 3339 with the offset there.
    pub local: String,
    /// What clocks there are called then: `CET`, `CEST`.
    pub zone: String,
}

/// `local` is the zone to read a calendar with `timeZone: contact` in.
#[must_use]
pub fn upcoming(
    compiled: &CompiledCalendar,
    document: &Calendar,
    from: Timestamp,
    count: usize,
    local: Option<&TimeZone>,
) -> Upcoming {
    let zone = compiled.zone(local);
    let shown = compiled.windows(from, local).take(count.min(MAX_COUNT)).map(|window| {
        let clocks_change = window.to.is_some_and(|to| {
            let offsets = (zone.to_offset(window.from), zone.to_offset(to));
            offsets.0 != offsets.1 && to.as_second() - window.from.as_second() < 40 * DAY
        });
        Shown {
            from: moment(window.from, zone),
            to: window.to.map(|to| moment(to, zone)),
            seconds: window.to.map(|to| to.as_second() - window.from.as_second()),
            clocks_change,
        }
    });
    Upcoming {
        calendar: compiled.id.to_string(),
        version: compiled.version,
        time_zone: zone.iana_name().unwrap_or("UTC").to_owned(),
        dst: compiled.dst.as_str(),
        tzdb: tzdb_version(),
        from: moment(from, zone),
        inside: compiled.at(from, local).is_inside(),
        horizon_days: HORIZON_DAYS,
        windows: shown.collect(),
        warnings: lint::warnings(document),
    }
}

fn moment(at: Timestamp, zone: &TimeZone) -> Moment {
    let info = zone.to_offset_info(at);
    Moment {
        utc: format!("{at:.0}"),
        local: format!("{:.0}", at.display_with_offset(info.offset())),
        zone: info.abbreviation().to_owned(),
    }
}
