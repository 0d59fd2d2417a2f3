//! Where plans are made: short ones where they are asked for, long ones away from the threads that every tenant needs.
//!
//! A plan is pure computation, bounded but not short: thousands of wildcard rules against 64 KiB of arrays take
//! milliseconds. On a thread of the runtime that time is everybody's: intake, dispatch and the other owners wait. So a
//! plan that may take long gives its thread's place away first, and tenants whose plans *are* long share few places, so
//! that however many they are, most of the machine is left to the others.

use crate::clock::Stopwatch;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Semaphore, SemaphorePermit};

/// A plan that may take longer gives its thread's place away, which costs some microseconds.
const LONG: Duration = Duration::from_millis(1);
/// A tenant whose plans take longer has to wait for one of the few places.
const EXPENSIVE: Duration = Duration::from_millis(5);
/// Plans that are remembered.
const REMEMBERED: usize = 5;
/// What one rule costs where nothing is known yet, in nanoseconds for each byte of the event. High: a wrong guess costs
/// one place given away for nothing.
const GUESS_PER_RULE_AND_BYTE: f64 = 0.1;

/// How long a plan will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    Short,
    Long,
    /// Long, of a tenant whose plans are known to be.
    Expensive,
}

/// What one tenant's plans cost, learned from its last ones.
#[derive(Debug, Default)]
pub(crate) struct Cost {
    /// Bytes of the event, and the time it took.
    last: VecDeque<(usize, Duration)>,
}

impl Cost {
    pub fn learn(&mut self, bytes: usize, took: Duration) {
        if self.last.len() == REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back((bytes.max(1), took));
    }

    pub fn expect(&self, bytes: usize, rules: usize) -> Expected {
        if self.is_expensive() {
            return Expected::Expensive;
        }
        let scaled = |(of, took): &(usize, Duration)| {
            // A larger event takes longer in proportion, a smaller one perhaps as long.
            took.as_secs_f64() * (bytes as f64 / *of as f64).max(1.0)
        };
        let guess = rules as f64 * bytes as f64 * GUESS_PER_RULE_AND_BYTE / 1e9;
        let expected = self.last.iter().map(scaled).reduce(f64::max).unwrap_or(guess);
        if expected >= LONG.as_secs_f64() { Expected::Long } else { Expected::Short }
    }

    /// The mean of the last plans but the longest of them: one that the operating system interrupted proves nothing.
    pub fn is_expensive(&self) -> bool {
        let longest = self.last.iter().map(|(_, took)| *took).max().unwrap_or_default();
        let all: Duration = self.last.iter().map(|(_, took)| *took).sum();
        let counted = u32::try_from(REMEMBERED - 1).unwrap_or(u32::MAX);
        self.last.len() == REMEMBERED && (all - longest) / counted >= EXPENSIVE
    }
}

/// Held while an expensive plan, or a short batch of them, is made.
pub(crate) type Place<'p> = SemaphorePermit<'p>;

/// The places for expensive plans of this process.
#[derive(Debug)]
pub(crate) struct Planning {
    places: Semaphore,
}

impl Default for Planning {
    /// Half of the machine.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { places: Semaphore::new((cores / 2).max(1)) }
    }
}

impl Planning {
    /// A place for plans that are known to be expensive. The places are never closed.
    pub async fn place(&self) -> Option<Place<'_>> {
        self.places.acquire().await.ok()
    }

    /// Does the work, and tells how long it took (without the wait for a place).
    pub async fn run<T>(
        &self,
        expected: Expected,
        held: Option<&Place<'_>>,
        work: impl FnOnce() -> T,
    ) -> (T, Duration) {
        let timed = || {
            let watch = Stopwatch::start();
            let done = work();
            (done, watch.elapsed())
        };
        match expected {
            Expected::Short => timed(),
            Expected::Long => aside(timed),
            Expected::Expensive if held.is_none() => {
                let _place = self.place().await;
                aside(timed)
            }
            Expected::Expensive => aside(timed),
        }
    }
}

/// Lets another thread go on with whatever else this one had to do.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        // Nobody to hand over to (tests, tools).
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc;

    fn after(plans: &[(usize, u64)]) -> Cost {
        let mut cost = Cost::default();
        for (bytes, micros) in plans {
            cost.learn(*bytes, Duration::from_micros(*micros));
        }
        cost
    }

    #[test]
    fn what_is_expected_follows_from_the_last_plans() {
        use Expected::{Expensive, Long, Short};
        let slow = [(64_000, 40_000); 5];
        for (name, plans, bytes, rules, expected) in [
            ("nothing known, few rules", &[][..], 600, 10, Short),
            ("nothing known, much to do", &[], 64_000, 5_000, Long),
            ("known to be quick, many rules", &[(600, 50)], 600, 100_000, Short),
            ("known to be quick, a large event", &[(600, 50)], 64_000, 10, Long),
            ("long once", &[(600, 50), (600, 3_000)], 600, 10, Long),
            ("interrupted once", &[(600, 50), (600, 50), (600, 90_000), (600, 50), (600, 50)], 600, 10, Long),
            ("always long", &slow, 600, 10, Expensive),
            (
                "one in two",
                &[(64_000, 40_000), (600, 50), (64_000, 40_000), (600, 50), (64_000, 40_000)],
                600,
                10,
                Expensive,
            ),
            ("not enough seen", &slow[..4], 64_000, 10, Long),
        ] {
            assert_eq!(after(plans).expect(bytes, rules), expected, "{name}");
        }
        let mut better = after(&slow);
        for _ in 0..REMEMBERED {
            better.learn(600, Duration::from_micros(50));
        }
        assert_eq!(better.expect(600, 10), Short, "quick again");
    }

    /// The only thread of the runtime is in a plan that ends when something else on that runtime has run.
    #[test]
    fn others_go_on_while_a_plan_takes_long() {
        for expected in [Expected::Long, Expected::Expensive] {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
            let done = runtime.block_on(async {
                let planning = Arc::new(Planning::default());
                let (finish, finished) = mpsc::channel::<()>();
                let plan = tokio::spawn(async move {
                    let wait = move || finished.recv_timeout(Duration::from_secs(20)).is_ok();
                    planning.run(expected, None, wait).await.0
                });
                tokio::spawn(async move {
                    let _ = finish.send(());
                });
                plan.await.unwrap()
            });
            assert!(done, "{expected:?}: nobody else could run");
        }
    }

    /// With one place, the second expensive plan begins when the first has ended; a long one does not wait.
    #[test]
    fn expensive_plans_share_few_places() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let planning = Arc::new(Planning { places: Semaphore::new(1) });
            let (told, story) = mpsc::channel::<&str>();
            let (go_on, wait) = mpsc::channel::<()>();
            let (began, begun) = tokio::sync::oneshot::channel::<()>();
            let (first, tell) = (Arc::clone(&planning), told.clone());
            let first = tokio::spawn(async move {
                let work = move || {
                    let _ = began.send(());
                    let _ = wait.recv_timeout(Duration::from_secs(20));
                    let _ = tell.send("first");
                };
                first.run(Expected::Expensive, None, work).await
            });
            begun.await.unwrap();
            let (second, tell) = (Arc::clone(&planning), told.clone());
            let second = tokio::spawn(async move {
                second.run(Expected::Expensive, None, || tell.send("second").unwrap()).await
            });
            let tell = told.clone();
            planning.run(Expected::Long, None, || tell.send("long").unwrap()).await;
            go_on.send(()).unwrap();
            first.await.unwrap();
            second.await.unwrap();
            drop((told, tell));
            assert_eq!(story.iter().collect::<Vec<_>>(), ["long", "first", "second"]);
        });
    }
}
