//! A digest that is being collected.

use super::control::Control;
use crate::document::noise::{Digest, DigestMode};
use crate::duration::Length;
use crate::ids::{ActionId, ChannelId, DigestId, RuleId};
use crate::severity::Severity;
use serde::{Deserialize, Serialize};

/// An open window of a digest. Times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    pub id: DigestId,
    /// Of the alert that opened it; a storm's window takes those of other rules as well.
    pub rule: RuleId,
    pub action: ActionId,
    pub channel: ChannelId,
    /// Why there is a digest at all.
    pub control: Control,
    pub opened_at: i64,
    pub closes_at: i64,
    /// It closes then at the latest, however often its end is moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap_at: Option<i64>,
    /// Alerts in it.
    pub count: u32,
    /// The highest of them.
    pub severity: Severity,
    /// So many alerts close it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// It is full: it was closed by its number, not by its time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
    /// A storm's: some alert in it would not wait for quiet hours, by its rule or action.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub passes: bool,
}

/// Alerts that one digest stands for at most: what comes after them opens the next one.
pub const MOST_ALERTS: u32 = 10_000;

/// When a window that opens now will close, and how it takes more alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    pub closes_at: i64,
    pub cap_at: Option<i64>,
    pub max: Option<u32>,
    /// Each alert moves the end to this long after it.
    pub slides: Option<i64>,
}

impl Terms {
    /// Ends at a fixed time.
    #[must_use]
    pub const fn until(closes_at: i64) -> Self {
        Self { closes_at, cap_at: None, max: Some(MOST_ALERTS), slides: None }
    }

    /// Those of an action's digest, for a window that opens at `now`. `next` is when its calendar's next window begins.
    #[must_use]
    pub fn of(digest: &Digest, now: i64, next: Option<i64>) -> Self {
        let after =
            |length: Option<Length>| now.saturating_add(micros(length.unwrap_or(Length::from_secs(0))));
        let max = digest.max.map_or(MOST_ALERTS, |max| max.min(MOST_ALERTS));
        let mut terms = Self { max: Some(max), ..Self::until(after(digest.window)) };
        match digest.mode {
            DigestMode::Tumbling | DigestMode::LookBack => {}
            DigestMode::Sliding => {
                terms.cap_at = Some(after(digest.cap));
                terms.slides = digest.window.map(micros);
            }
            // A calendar without a next window: a day, so that nothing waits for ever.
            DigestMode::Schedule => terms.closes_at = next.unwrap_or(now.saturating_add(86_400_000_000)),
        }
        terms
    }
}

pub(crate) fn micros(length: Length) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000)
}

impl Window {
    /// With one more alert.
    ///
    /// An end is only moved later, and only by a window that has a cap: one that was opened under other terms, or that
    /// waits for the end of quiet hours, keeps its end. Its number closes it once. An alert that is more severe than all
    /// before it waits no longer than it would in a window of its own, since it may be let through where they were not.
    #[must_use]
    pub fn with_one_more(&self, now: i64, severity: Severity, terms: &Terms) -> Self {
        let mut next = self.clone();
        next.count = next.count.saturating_add(1);
        if let (Some(slides), Some(cap)) = (terms.slides, next.cap_at) {
            next.closes_at = next.closes_at.max(now.saturating_add(slides).min(cap));
        }
        if self.count > 0 && severity > self.severity {
            next.closes_at = next.closes_at.min(terms.closes_at.max(now));
        }
        next.severity = next.severity.max(severity);
        if !next.full && next.max.is_some_and(|max| next.count >= max) {
            next.closes_at = now;
            next.full = true;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn opened(terms: &Terms) -> Window {
        Window {
            id: DigestId::derive(["test"]),
            rule: "r".parse().unwrap(),
            action: "a".parse().unwrap(),
            channel: "c".parse().unwrap(),
            control: Control::Digest,
            opened_at: 0,
            closes_at: terms.closes_at,
            cap_at: terms.cap_at,
            count: 0,
            severity: Severity::None,
            max: terms.max,
            full: false,
            passes: false,
        }
    }

    proptest! {
        /// Of equally severe alerts the end is the last one's and the window, but not beyond the cap, or that of the one
        /// that fills it.
        #[test]
        fn its_end_is_that_of_a_list_of_all_alerts(
            window in 1..50_i64, more in 0..100_i64, max in prop::option::of(2..10_u32), sliding: bool,
            steps in prop::collection::vec(0..60_i64, 1..30),
        ) {
            let cap = window + more;
            let terms = |now: i64| Terms {
                closes_at: now + window,
                cap_at: sliding.then_some(now + cap),
                max,
                slides: sliding.then_some(window),
            };
            let (mut open, mut all, mut now) = (opened(&terms(0)), Vec::new(), 0);
            for step in steps {
                now += if all.is_empty() { 0 } else { step };
                if open.closes_at <= now && !all.is_empty() {
                    break;
                }
                all.push(now);
                open = open.with_one_more(now, Severity::Low, &terms(now));
                let full = max.and_then(|max| all.get(max as usize - 1)).copied();
                let end = if sliding { (now + window).min(cap) } else { window };
                prop_assert_eq!(open.closes_at, full.unwrap_or(end));
                prop_assert_eq!((open.count as usize, open.full), (all.len(), full.is_some()));
            }
        }
    }

    #[test]
    fn one_that_waits_keeps_its_end_unless_something_more_severe_comes() {
        let terms = |now: i64| Terms { slides: Some(10), max: Some(2), ..Terms::until(now + 10) };
        let waiting = Window { closes_at: 1_000, count: 1, severity: Severity::Low, ..opened(&terms(0)) };
        let check = |window: &Window, now, severity, closes: i64, full: bool| {
            let next = window.with_one_more(now, severity, &terms(now));
            assert_eq!((next.closes_at, next.full), (closes, full), "{severity:?}");
            next
        };
        let unlimited = Window { max: None, ..waiting.clone() };
        check(&unlimited, 100, Severity::Low, 1_000, false);
        check(&unlimited, 995, Severity::Low, 1_000, false);
        check(&unlimited, 100, Severity::High, 110, false);
        // It closes at once when it is full, but not each time after that.
        let full = check(&waiting, 100, Severity::Low, 100, true);
        let held = Window { closes_at: 1_000, ..full };
        check(&held, 200, Severity::Low, 1_000, true);
    }
}
