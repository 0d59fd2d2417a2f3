//! From local times to moments.

use super::intervals::Interval;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// How a zone's clocks stood during some time: for each stretch its first second, the first after it, and how far its
/// clocks were ahead of UTC.
#[derive(Debug)]
pub struct Clocks(Vec<(i64, i64, i64)>);

/// What a local time that no clock shows is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skipped {
    /// The moment of the skip. Keeps the order of local times, so no window turns around.
    TheSkip,
    /// RFC 5545, section 3.3.5: as if the clocks had not been set yet, so later by what was skipped.
    AsBefore,
}

impl Clocks {
    /// The clocks from before the start of any recurring window that reaches into the time asked for, to after its end.
    #[must_use]
    pub fn of(zone: &TimeZone, from: i64, to: i64) -> Self {
        const MARGIN: i64 = 35 * 86_400;
        let (mut at, end) = (from - MARGIN, to + MARGIN);
        let first = moment(at);
        let mut offset = i64::from(zone.to_offset(first).seconds());
        let mut stretches = Vec::with_capacity(4);
        for change in zone.following(first) {
            let moment = change.timestamp().as_second();
            if moment >= end {
                break;
            }
            let next = i64::from(change.offset().seconds());
            if next != offset {
                stretches.push((at, moment, offset));
                (at, offset) = (moment, next);
            }
        }
        stretches.push((at, end, offset));
        Self(stretches)
    }

    /// All moments at which these clocks show a time of the interval.
    pub fn shown(&self, (from, to): Interval, out: &mut Vec<Interval>) {
        for (first, end, offset) in &self.0 {
            let part = ((from - offset).max(*first), (to - offset).min(*end));
            if part.0 < part.1 {
                out.push(part);
            }
        }
    }

    /// The first moment at which these clocks show a local time.
    #[must_use]
    pub fn first(&self, local: i64, skipped: Skipped) -> i64 {
        let mut before = None;
        for (first, end, offset) in &self.0 {
            let moment = local - offset;
            if moment < *first {
                return match (skipped, before) {
                    (_, None) => moment,
                    (Skipped::TheSkip, Some(_)) => *first,
                    (Skipped::AsBefore, Some(before)) => local - before,
                };
            }
            if moment < *end {
                return moment;
            }
            before = Some(*offset);
        }
        local - before.unwrap_or_default()
    }
}

/// The moment of a second; beyond what can be said, the nearest that can.
#[must_use]
pub fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(if second < 0 { Timestamp::MIN } else { Timestamp::MAX })
}
