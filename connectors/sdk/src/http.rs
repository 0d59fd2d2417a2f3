//! HTTP details that every codec needs the same way.

use std::time::{Duration, UNIX_EPOCH};

/// Reads `Retry-After` (RFC 9110 section 10.2.3): seconds, or an HTTP date taken relative to the attempt. A date in the
/// past is 0; what is neither is `None`.
///
/// ```
/// use notify_connector_sdk::http::retry_after_ms;
/// assert_eq!(retry_after_ms("120", 0), Some(120_000));
/// assert_eq!(retry_after_ms("Thu, 01 Jan 1970 00:00:10 GMT", 4_000), Some(6_000));
/// assert_eq!(retry_after_ms("soon", 0), None);
/// ```
#[must_use]
pub fn retry_after_ms(value: &str, attempt_unix_ms: u64) -> Option<u64> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than a u64 holds are still a number of seconds: as long as can be said.
        return Some(value.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1000).min(MAX_WAIT_MS));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    let attempt = UNIX_EPOCH.checked_add(Duration::from_millis(attempt_unix_ms))?;
    let wait = at.duration_since(attempt).unwrap_or_default();
    Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).min(MAX_WAIT_MS))
}

/// Longest wait that is passed on: a year. Keeps arithmetic on times in range; the host applies its own, lower limit.
pub const MAX_WAIT_MS: u64 = 365 * 24 * 3600 * 1000;

/// The beginning of what an answer says, as one line for people: at most so many characters, without control characters
/// and without what is not text.
///
/// ```
/// use notify_connector_sdk::http::shown;
/// assert_eq!(shown(b" no\n\tway\0 \xff", 120), "no way");
/// assert_eq!(shown("käse".as_bytes(), 2), "kä");
/// ```
#[must_use]
pub fn shown(body: &[u8], most: usize) -> String {
    let start = String::from_utf8_lossy(body.get(..body.len().min(4 * most)).unwrap_or_default());
    let text: String = start.chars().filter(|c| !c.is_control() || c.is_whitespace()).collect();
    let tidy = text.replace('\u{fffd}', "").split_whitespace().collect::<Vec<_>>().join(" ");
    tidy.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::{MAX_WAIT_MS, retry_after_ms};

    #[test]
    fn seconds_dates_and_nonsense() {
        let at = 784_111_770_000; // Sun, 06 Nov 1994 08:49:30 GMT
        for (value, expected) in [
            ("0", Some(0)),
            (" 5 ", Some(5_000)),
            ("99999999999999999999999", Some(MAX_WAIT_MS)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7_000)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(7_000)),
            ("Sun Nov  6 08:49:37 1994", Some(7_000)),
            ("Sun, 06 Nov 1994 08:49:29 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("Sun, 31 Feb 1994 08:49:37 GMT", None),
            ("x", None),
        ] {
            assert_eq!(retry_after_ms(value, at), expected, "{value:?}");
        }
        assert_eq!(
            retry_after_ms("Sun, 06 Nov 1994 08:49:37 GMT", u64::MAX),
            Some(0),
            "any attempt time is possible"
        );
    }
}
