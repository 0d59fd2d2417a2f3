//! A channel's circuit breaker: while its receiver only fails, it is left alone.
//!
//! Closed until `failures` attempts in a row have failed; then open for `open_for`. The first who asks after that is the
//! probe, and only one: while it is under way everybody else waits. A success closes the breaker, whoever brings it; a
//! failure of the probe opens it again for twice as long, up to `at_most`. What counts as a failure is the caller's
//! business: timeouts, connections that fail and 5xx do; messages that the receiver refuses, throttling and faults of our
//! own do not.

use crate::document::behaviour::BreakerSettings;
use crate::duration::Length;
use crate::time::Timestamp;

/// When it opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it is open the first time.
    pub open_for: Length,
    /// And at most, after probes that failed.
    pub at_most: Length,
}

impl Default for Settings {
    fn default() -> Self {
        Self { failures: 10, open_for: Length::from_secs(30), at_most: Length::from_secs(600) }
    }
}

impl From<&BreakerSettings> for Settings {
    fn from(set: &BreakerSettings) -> Self {
        Self { failures: set.failures, open_for: set.open_for, at_most: set.at_most }
    }
}

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaker {
    Closed {
        /// Failures since the last success.
        failures: u32,
    },
    /// Nobody may pass before `until`; who comes then is the probe.
    Open { since: Timestamp, until: Timestamp, round: u32 },
    /// A probe is under way. When it has not ended by `until`, the next one who asks is the probe.
    HalfOpen { since: Timestamp, until: Timestamp, round: u32 },
}

impl Default for Breaker {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

/// The answer to one who wants to pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    Pass,
    /// It may pass as the probe, once this state stands.
    Probe(Breaker),
    /// Not before then.
    Wait(Timestamp),
}

impl Breaker {
    /// Whether somebody may pass; a probe has to be over after `probe`.
    #[must_use]
    pub fn ask(self, now: Timestamp, probe: Length) -> Ask {
        match self {
            Self::Closed { .. } => Ask::Pass,
            Self::Open { until, .. } | Self::HalfOpen { until, .. } if now < until => Ask::Wait(until),
            Self::Open { since, round, .. } | Self::HalfOpen { since, round, .. } => {
                Ask::Probe(Self::HalfOpen { since, until: later(now, probe), round })
            }
        }
    }

    /// After the receiver answered as one that works.
    #[must_use]
    pub const fn succeeded(self) -> Self {
        Self::Closed { failures: 0 }
    }

    /// After a failure. What was under way when the breaker opened changes nothing any more.
    #[must_use]
    pub fn failed(self, settings: Settings, probe: bool, now: Timestamp) -> Self {
        match self {
            Self::Closed { failures } => {
                let failures = failures.saturating_add(1);
                if failures < settings.failures {
                    return Self::Closed { failures };
                }
                Self::Open { since: now, until: later(now, settings.open_for), round: 0 }
            }
            Self::HalfOpen { since, round, .. } if probe => {
                let round = round.saturating_add(1);
                let doubled = settings.open_for.as_millis().saturating_mul(1 << round.min(32));
                let wait = Length::from_millis(doubled).min(settings.at_most);
                Self::Open { since, until: later(now, wait), round }
            }
            same => same,
        }
    }

    /// A probe said nothing about the receiver: the next one who asks is the probe.
    #[must_use]
    pub const fn undecided(self, now: Timestamp) -> Self {
        match self {
            Self::HalfOpen { since, round, .. } => Self::Open { since, until: now, round },
            same => same,
        }
    }

    /// Until when nobody passes; `None` when it is closed.
    #[must_use]
    pub const fn until(self) -> Option<Timestamp> {
        match self {
            Self::Closed { .. } => None,
            Self::Open { until, .. } | Self::HalfOpen { until, .. } => Some(until),
        }
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed { .. } => "closed",
            Self::Open { .. } => "open",
            Self::HalfOpen { .. } => "half-open",
        }
    }
}

fn later(at: Timestamp, wait: Length) -> Timestamp {
    at.checked_add(wait.signed()).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    /// The slow obvious one: it keeps everything that ever happened and reads it anew for each question.
    #[derive(Default)]
    struct History(Vec<(i64, Happened)>);

    #[derive(Clone, Copy, PartialEq)]
    enum Happened {
        Success,
        Failure,
        ProbeBegan,
        ProbeFailed,
    }

    enum Stands {
        Closed,
        Shut { until: i64 },
    }

    impl History {
        fn stands(&self, settings: Settings, probe: i64) -> Stands {
            let after =
                self.0.iter().rposition(|(_, what)| *what == Happened::Success).map_or(0, |at| at + 1);
            let since = &self.0[after..];
            let failures: Vec<i64> =
                since.iter().filter(|(_, what)| *what == Happened::Failure).map(|(when, _)| *when).collect();
            let Some(opened) = failures.get(settings.failures as usize - 1) else { return Stands::Closed };
            let seconds = |length: Length| i64::try_from(length.as_millis() / 1_000).unwrap();
            let (mut until, mut wait) = (opened + seconds(settings.open_for), seconds(settings.open_for));
            for (when, what) in since {
                match what {
                    Happened::ProbeBegan => until = when + probe,
                    Happened::ProbeFailed => {
                        wait = (wait * 2).min(seconds(settings.at_most));
                        until = when + wait;
                    }
                    _ => {}
                }
            }
            Stands::Shut { until }
        }
    }

    proptest! {
        #[test]
        fn it_is_what_its_history_says(
            failures in 1..6_u32,
            open_for in 1..40_u64,
            more in 0..200_u64,
            steps in prop::collection::vec((0..30_i64, 0..4_u8), 1..120),
        ) {
            let settings = Settings {
                failures, open_for: Length::from_secs(open_for), at_most: Length::from_secs(open_for + more),
            };
            const PROBE: i64 = 7;
            let (mut breaker, mut history, mut now, mut probes) = (Breaker::default(), History::default(), 0, 0);
            for (step, what) in steps {
                now += step;
                let asked = breaker.ask(at(now), Length::from_secs(7));
                match (asked, history.stands(settings, PROBE)) {
                    (Ask::Pass, Stands::Closed) => {}
                    (Ask::Wait(until), Stands::Shut { until: told }) => {
                        prop_assert_eq!(until, at(told));
                        prop_assert!(told > now);
                    }
                    (Ask::Probe(next), Stands::Shut { until }) => {
                        prop_assert!(until <= now);
                        breaker = next;
                        history.0.push((now, Happened::ProbeBegan));
                        probes += 1;
                        // One at a time.
                        prop_assert!(matches!(breaker.ask(at(now), Length::from_secs(7)), Ask::Wait(_)));
                        if what == 2 {
                            breaker = breaker.failed(settings, true, at(now));
                            history.0.push((now, Happened::ProbeFailed));
                        }
                    }
                    (asked, _) => prop_assert!(false, "{:?} at {}", asked, now),
                }
                match what {
                    0 => { breaker = breaker.succeeded(); history.0.push((now, Happened::Success)); }
                    1 => {
                        breaker = breaker.failed(settings, false, at(now));
                        history.0.push((now, Happened::Failure));
                    }
                    _ => {}
                }
            }
            prop_assert!(probes <= 120);
        }
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let settings =
            Settings { failures: 2, open_for: Length::from_secs(10), at_most: Length::from_secs(35) };
        let mut breaker = Breaker::default().failed(settings, false, at(0));
        assert_eq!(breaker, Breaker::Closed { failures: 1 });
        breaker = breaker.failed(settings, false, at(1));
        let mut now = 11;
        for wait in [20, 35, 35] {
            assert_eq!(breaker.ask(at(now - 1), Length::from_secs(5)), Ask::Wait(at(now)));
            let Ask::Probe(probing) = breaker.ask(at(now), Length::from_secs(5)) else {
                panic!("{breaker:?}")
            };
            assert_eq!(probing.undecided(at(now)).until(), Some(at(now)), "given back at once");
            breaker = probing.failed(settings, false, at(now));
            assert_eq!(breaker, probing, "an old attempt's failure is not the probe's");
            breaker = probing.failed(settings, true, at(now));
            assert_eq!(breaker.until(), Some(at(now + wait)));
            now += wait;
        }
        assert_eq!(breaker.succeeded().ask(at(0), Length::from_secs(1)), Ask::Pass);
    }
}
