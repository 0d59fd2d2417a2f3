//! Time as values. This crate never asks for the current time; edges do, through [`Clock`].

pub use jiff::Timestamp;

/// The one way to learn the time. Implemented at the edges (`notify-worker`), faked in tests.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
}

/// RFC 3339 UTC with `Z` and exactly three decimals: the only time format in ledger entries.
///
/// ```
/// let at: jiff::Timestamp = "2026-11-22T06:00:00.123456Z".parse().unwrap();
/// assert_eq!(notify_core::time::rfc3339_millis(at), "2026-11-22T06:00:00.123Z");
/// ```
#[must_use]
pub fn rfc3339_millis(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// Drops what [`rfc3339_millis`] does not show, so that a time and its text are equal.
#[must_use]
pub fn truncate_to_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_microsecond().div_euclid(1000)).unwrap_or(at)
}

/// Logical time of an event: never before the tenant's last one, never the event's own `time` (DESIGN section 4).
#[must_use]
pub fn logical(accepted_at: Timestamp, last: Option<Timestamp>) -> Timestamp {
    last.map_or(accepted_at, |last| accepted_at.max(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncation_agrees_with_the_text() {
        for text in ["2026-11-22T06:00:00.123999Z", "1969-12-31T23:59:59.999999Z", "2026-01-01T00:00:00Z"] {
            let at: Timestamp = text.parse().unwrap();
            assert_eq!(
                rfc3339_millis(truncate_to_millis(at)).parse::<Timestamp>().unwrap(),
                truncate_to_millis(at)
            );
        }
    }
}
