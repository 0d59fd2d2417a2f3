//! The generic cell rate algorithm: a token bucket of which only one number is kept.
//!
//! ITU-T I.371 in its virtual scheduling form. `limit` may pass at once; then one passes each `per / limit`. The number
//! is the time at which the bucket will be full again; an empty memory is a full bucket.

use crate::duration::Length;

/// A rate with its burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Between two tokens, microseconds: rounded up, so that in the long run never more than `limit` pass per `per`.
    interval: i64,
    /// How far the bucket may be ahead of the time, microseconds.
    tolerance: i64,
}

impl Rate {
    /// `limit` at once, and `limit` each `per`.
    #[must_use]
    pub fn new(limit: u32, per: Length) -> Self {
        let limit = i64::from(limit.max(1));
        let per = i64::try_from(per.as_millis()).unwrap_or(i64::MAX / 4_000).saturating_mul(1_000).max(1);
        let interval = per.div_euclid(limit) + i64::from(per % limit != 0);
        Self { interval, tolerance: interval.saturating_mul(limit - 1) }
    }

    /// Between two tokens, microseconds.
    #[must_use]
    pub const fn interval(self) -> i64 {
        self.interval
    }

    /// Asks for one token at `now`, where `full_at` is what is remembered (microseconds since 1970 both).
    ///
    /// # Errors
    /// The time from which a token will be there.
    pub fn take(self, full_at: Option<i64>, now: i64) -> Result<i64, i64> {
        let full_at = full_at.unwrap_or(now).max(now);
        let from = full_at.saturating_sub(self.tolerance);
        if now < from { Err(from) } else { Ok(full_at.saturating_add(self.interval)) }
    }

    /// When a token is there, at `earliest` or later.
    #[must_use]
    pub fn from(self, full_at: Option<i64>, earliest: i64) -> i64 {
        full_at.map_or(earliest, |full_at| full_at.saturating_sub(self.tolerance).max(earliest))
    }

    /// Spends one token whether it is there or not: what was sent was sent. The debt is at most one more bucket.
    #[must_use]
    pub fn spend(self, full_at: Option<i64>, now: i64) -> i64 {
        let most = now.saturating_add(self.tolerance.saturating_mul(2)).saturating_add(self.interval);
        full_at.unwrap_or(now).max(now).saturating_add(self.interval).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The slow obvious bucket: whole tokens come one by one, each `interval` after the bucket was last full or the one
    /// before it came.
    struct Bucket {
        limit: u64,
        interval: i64,
        tokens: u64,
        /// When the next token comes, while some are missing.
        next: i64,
    }

    impl Bucket {
        fn take(&mut self, now: i64) -> bool {
            while self.tokens < self.limit && self.next <= now {
                self.tokens += 1;
                self.next += self.interval;
            }
            if self.tokens == 0 {
                return false;
            }
            if self.tokens == self.limit {
                self.next = now + self.interval;
            }
            self.tokens -= 1;
            true
        }
    }

    proptest! {
        #[test]
        fn it_is_a_token_bucket(
            limit in 1..20_u32,
            per in 1..100_u64,
            steps in prop::collection::vec(0..40_000_000_i64, 1..200),
        ) {
            let rate = Rate::new(limit, Length::from_secs(per));
            let mut bucket =
                Bucket { limit: limit.into(), interval: rate.interval, tokens: limit.into(), next: 0 };
            let (mut now, mut full_at) = (0, None);
            for step in steps {
                now += step;
                let taken = rate.take(full_at, now);
                prop_assert_eq!(taken.is_ok(), bucket.take(now), "at {}", now);
                match taken {
                    Ok(next) => full_at = Some(next),
                    Err(from) => prop_assert!(rate.take(full_at, from).is_ok() && rate.take(full_at, from - 1).is_err()),
                }
            }
        }

        #[test]
        fn never_more_than_the_limit_in_any_span(
            limit in 1..10_u32,
            steps in prop::collection::vec(0..3_000_000_i64, 1..300),
        ) {
            let per = 7_000_003;
            let rate = Rate::new(limit, Length::from_millis(7_001));
            let (mut now, mut full_at, mut passed) = (0, None, Vec::new());
            for step in steps {
                now += step;
                if let Ok(next) = rate.take(full_at, now) {
                    full_at = Some(next);
                    passed.push(now);
                }
            }
            // A burst of `limit` and what the span itself brings.
            for (first, at) in passed.iter().enumerate() {
                let within = passed[first..].iter().filter(|other| **other < at + per).count();
                let refilled = (per / rate.interval) as usize;
                prop_assert!(within <= limit as usize + refilled, "{} within one span", within);
            }
        }
    }

    #[test]
    fn edges() {
        let rate = Rate::new(3, Length::from_secs(3));
        let mut full_at = None;
        for (now, expected) in
            [(0, true), (0, true), (0, true), (0, false), (999_999, false), (1_000_000, true)]
        {
            let taken = rate.take(full_at, now);
            assert_eq!(taken.is_ok(), expected, "at {now}");
            full_at = taken.ok().or(full_at);
        }
        assert_eq!(Rate::new(1, Length::from_secs(1)).take(Some(i64::MAX), 0), Err(i64::MAX));
    }
}
