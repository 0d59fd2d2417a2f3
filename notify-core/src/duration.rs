//! Durations in documents and on the command line: `90s`, `15m`, `24h`, `1h30m`, `2w`.
//!
//! The grammar is Prometheus' and Alertmanager's: whole numbers with `y w d h m s ms`, in this order, each unit at most
//! once. A year is 365 days, a week 7 days, a day 24 hours: lengths, not calendar steps.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A length of time in whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Length(u64);

/// Milliseconds of each unit, largest first.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A text is not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a duration: write it like 90s, 15m, 24h, 1h30m or 2w")]
pub struct InvalidLength;

impl Length {
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }
    /// For arithmetic with timestamps; lengths beyond what they can hold end at the longest.
    #[must_use]
    pub fn signed(self) -> jiff::SignedDuration {
        jiff::SignedDuration::from_millis(i64::try_from(self.0).unwrap_or(i64::MAX))
    }
}

impl FromStr for Length {
    type Err = InvalidLength;

    /// ```
    /// use notify_core::duration::Length;
    /// assert_eq!("1h30m".parse(), Ok(Length::from_secs(5_400)));
    /// assert_eq!(Length::from_secs(5_400).to_string(), "1h30m");
    /// ```
    fn from_str(text: &str) -> Result<Self, InvalidLength> {
        if text == "0" {
            return Ok(Self(0));
        }
        let (mut rest, mut total, mut from) = (text, 0_u64, 0);
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
            let (unit, tail) = tail.split_at(letters);
            let number: u64 = number.parse().map_err(|_| InvalidLength)?;
            let at = UNITS.iter().position(|(name, _)| *name == unit).filter(|at| *at >= from);
            let at = at.ok_or(InvalidLength)?;
            let part = number.checked_mul(UNITS[at].1).ok_or(InvalidLength)?;
            total = total.checked_add(part).ok_or(InvalidLength)?;
            (rest, from) = (tail, at + 1);
        }
        if text.is_empty() { Err(InvalidLength) } else { Ok(Self(total)) }
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (name, millis) in UNITS.into_iter().filter(|(name, _)| !matches!(*name, "y" | "w")) {
            if rest >= millis {
                write!(f, "{}{name}", rest / millis)?;
                rest %= millis;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Length {
    type Error = InvalidLength;
    fn try_from(text: String) -> Result<Self, InvalidLength> {
        text.parse()
    }
}

impl From<Length> for String {
    fn from(length: Length) -> Self {
        length.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(text.parse().ok().map(Length::as_millis), expected, "{text}");
        };
        check("0", Some(0));
        check("90s", Some(90_000));
        check("1h30m", Some(5_400_000));
        check("1y2w3d4h5m6s7ms", Some(((365 + 14 + 3) * 86_400 + 4 * 3_600 + 5 * 60 + 6) * 1_000 + 7));
        for bad in [
            "",
            "h",
            "5",
            "-1h",
            "1m1h",
            "1h1h",
            "1 h",
            "1ä",
            "1µs",
            "99999999999999999999s",
            "9999999999999y",
        ] {
            check(bad, None);
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_again(millis in 0..u64::MAX / 2) {
            let length = Length::from_millis(millis);
            prop_assert_eq!(length.to_string().parse::<Length>(), Ok(length));
        }
    }
}
