//! Durations on the command line.

use std::time::Duration;

/// `90s`, `30m`, `12h`, `7d`.
///
/// # Errors
/// In words, for clap.
pub fn parse(text: &str) -> Result<Duration, String> {
    let refuse = || format!("`{text}` is not a duration; write it like 90s, 30m, 12h or 7d");
    let unit = text.chars().last().ok_or_else(refuse)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(refuse()),
    };
    let number: u64 = text.strip_suffix(unit).unwrap_or_default().parse().map_err(|_| refuse())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    #[test]
    fn durations() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(super::parse(text).ok().map(|duration| duration.as_secs()), expected, "{text}");
        };
        check("90s", Some(90));
        check("2h", Some(7_200));
        check("7d", Some(604_800));
        for bad in ["", "h", "5", "-1h", "1w", "99999999999999999999s", "999999999999999999d", "1ä"] {
            check(bad, None);
        }
    }
}
