//! The storm breaker: a burst of the whole tenant folds into one summary for each channel.
//!
//! Alerts are counted in sixths of the period; a storm begins with the alert that is one too many within the last six of
//! them, and ends as soon as they hold few enough again. What counts are alerts that nothing before this control
//! stopped, also those that the storm itself folds: it ends when the burst does, not because it is held back.

use crate::document::noise::Storm as Limits;
use serde::{Deserialize, Serialize};

/// Parts of the period that are counted by themselves.
const PARTS: usize = 6;

/// What is remembered of a tenant's bursts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Storm {
    /// Counts, the current part last.
    counts: [u32; PARTS],
    /// Number of the current part since 1970.
    part: i64,
    /// Since when there is one, microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
}

impl Storm {
    fn length(limits: &Limits) -> i64 {
        let millis = i64::try_from(limits.per.as_millis()).unwrap_or(i64::MAX / 1_000);
        (millis.saturating_mul(1_000) / PARTS as i64).max(1)
    }

    /// As it stands at `now`, without another alert.
    #[must_use]
    pub fn at(&self, limits: &Limits, now: i64) -> Self {
        let part = now.div_euclid(Self::length(limits));
        let mut next = self.clone();
        let passed = part.saturating_sub(self.part);
        // Logical time does not go back; when `per` was changed, counting begins anew.
        let passed = usize::try_from(passed).unwrap_or(PARTS).min(PARTS);
        next.counts.rotate_left(passed);
        for count in next.counts.iter_mut().rev().take(passed) {
            *count = 0;
        }
        next.part = part;
        if next.total() <= limits.ends {
            next.since = None;
        }
        next
    }

    fn total(&self) -> u32 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// After one more alert at `now`.
    #[must_use]
    pub fn counted(&self, limits: &Limits, now: i64) -> Self {
        let mut next = self.at(limits, now);
        if let Some(last) = next.counts.last_mut() {
            *last = last.saturating_add(1);
        }
        if next.since.is_none() && next.total() > limits.alerts {
            next.since = Some(now);
        }
        next
    }

    /// When it is as good as empty, microseconds since 1970.
    #[must_use]
    pub fn forgotten_at(&self, limits: &Limits) -> i64 {
        self.part.saturating_add(PARTS as i64).saturating_mul(Self::length(limits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duration::Length;
    use proptest::prelude::*;

    fn limits(alerts: u32, ends: u32) -> Limits {
        Limits { alerts, ends, per: Length::from_secs(60), digest_every: Length::from_secs(300) }
    }

    proptest! {
        /// Against every alert remembered by its time.
        #[test]
        fn it_counts_as_a_list_of_all_alerts_would(
            alerts in 1..20_u32, ends in 1..20_u32,
            steps in prop::collection::vec(0..30_000_000_i64, 1..200),
        ) {
            let limits = limits(alerts.max(ends), ends);
            let (mut storm, mut all, mut now, mut raging) = (Storm::default(), Vec::new(), 0_i64, false);
            for step in steps {
                now += step;
                let begins = (now.div_euclid(10_000_000) - 5) * 10_000_000;
                let within = |all: &[i64]| all.iter().filter(|at| **at >= begins).count() as u32;
                raging &= within(&all) > limits.ends;
                prop_assert_eq!(storm.at(&limits, now).since.is_some(), raging);
                all.push(now);
                raging |= within(&all) > limits.alerts;
                storm = storm.counted(&limits, now);
                prop_assert_eq!(storm.since.is_some(), raging, "at {}", now);
            }
        }
    }

    #[test]
    fn the_alert_that_is_one_too_many_begins_it_and_silence_ends_it() {
        let limits = limits(3, 1);
        let mut storm = Storm::default();
        for (now, raging) in [(0, false), (1, false), (2, false), (3, true), (4, true)] {
            storm = storm.counted(&limits, now);
            assert_eq!(storm.since.is_some(), raging, "{now}");
        }
        assert_eq!(storm.since, Some(3));
        assert_eq!(storm.at(&limits, 59_999_999).since, Some(3));
        assert_eq!(storm.at(&limits, 60_000_000).since, None);
        assert!(storm.forgotten_at(&limits) <= 60_000_000);
    }
}
