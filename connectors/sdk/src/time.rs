//! Times as text, without a time library in each plug-in.

/// RFC 3339 in UTC with three decimals, as the studio writes times (`notify_core::time::rfc3339_millis`).
///
/// Days to date: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
///
/// ```
/// assert_eq!(notify_connector_sdk::time::rfc3339_millis(1_795_327_200_123), "2026-11-22T06:00:00.123Z");
/// ```
#[must_use]
pub fn rfc3339_millis(unix_ms: u64) -> String {
    // Year 9999 is the last that RFC 3339 can write.
    let ms = unix_ms.min(253_402_300_799_999);
    let (days, in_day) = (ms / 86_400_000, ms % 86_400_000);
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
    let (second, milli) = (in_day / 1000 % 60, in_day % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}
