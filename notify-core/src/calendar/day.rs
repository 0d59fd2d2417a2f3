//! Dates as numbers: calendars ask about very many of them.

/// Days since 1970-01-01 in the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(pub i32);

/// Seconds of a day on the wall.
pub const DAY: i64 = 86_400;

impl Day {
    /// `None` when there is no such date.
    #[must_use]
    pub fn new(year: i32, month: u8, day: u8) -> Option<Self> {
        if !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
            return None;
        }
        Some(Self(first_of(year, month) + i32::from(day) - 1))
    }

    /// Year, month and day of month.
    #[must_use]
    pub fn parts(self) -> (i32, u8, u8) {
        // Years begin in March here, so that a leap day is the last of its year.
        let z = i64::from(self.0) + 719_468;
        let era = z.div_euclid(146_097);
        let of_era = z.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // in range by construction
        (year as i32, month as u8, day as u8)
    }

    /// 0 is Monday, 6 is Sunday.
    #[must_use]
    pub fn weekday(self) -> u8 {
        u8::try_from((i64::from(self.0) + 3).rem_euclid(7)).unwrap_or_default()
    }

    /// The day that a local time (seconds since 1970-01-01T00:00 on the wall) lies in.
    #[must_use]
    pub fn of(local: i64) -> Self {
        Self(i32::try_from(local.div_euclid(DAY)).unwrap_or(if local < 0 {
            i32::MIN / 4
        } else {
            i32::MAX / 4
        }))
    }

    /// Its beginning as a local time.
    #[must_use]
    pub fn start(self) -> i64 {
        i64::from(self.0) * DAY
    }

    #[must_use]
    pub fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }
}

/// The first day of a month.
#[must_use]
pub fn first_of(year: i32, month: u8) -> i32 {
    let year = i64::from(year) - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month = i64::from(month);
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    i32::try_from(era * 146_097 + of_era - 719_468).unwrap_or_default()
}

#[must_use]
pub fn days_in_month(year: i32, month: u8) -> u8 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::ToSpan;
    use jiff::civil::date;

    #[test]
    fn the_numbers_are_those_of_jiff() {
        let mut expected = date(1599, 12, 30);
        let first = Day::new(1599, 12, 30).unwrap();
        for step in 0..200_000 {
            let day = first.plus(step);
            let (year, month, number) = day.parts();
            assert_eq!(
                (year, month, number),
                (
                    expected.year().into(),
                    u8::try_from(expected.month()).unwrap(),
                    u8::try_from(expected.day()).unwrap()
                )
            );
            assert_eq!(Day::new(year, month, number), Some(day));
            assert_eq!(i8::try_from(day.weekday()).unwrap(), expected.weekday().to_monday_zero_offset());
            assert_eq!(days_in_month(year, month), u8::try_from(expected.days_in_month()).unwrap());
            expected = expected.checked_add(1.day()).unwrap();
        }
        assert_eq!(Day::new(1970, 1, 1), Some(Day(0)));
        for (year, month, day) in
            [(2026, 2, 29), (2026, 13, 1), (2026, 0, 1), (2026, 4, 31), (2100, 2, 29), (2026, 1, 0)]
        {
            assert_eq!(Day::new(year, month, day), None, "{year}-{month}-{day}");
        }
        assert_eq!((Day::of(-1), Day::of(0), Day::of(DAY)), (Day(-1), Day(0), Day(1)));
    }
}
