//! The only place that reads the time or waits for it.

use notify_core::time::{Clock, Timestamp};
use std::time::Duration;

/// The machine's clock, in the whole microseconds that the stores keep: a time in an answer and the same time read back
/// are equal.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // this is the edge where time enters
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }
}

/// Waits; at once when `at` has passed.
#[allow(clippy::disallowed_methods)] // the edge where waiting happens
pub async fn wait_until(clock: &dyn Clock, at: Timestamp) {
    let wait = Duration::try_from(at.duration_since(clock.now())).unwrap_or(Duration::ZERO);
    tokio::time::sleep(wait).await;
}

/// Waits this long.
#[allow(clippy::disallowed_methods)] // the edge where waiting happens
pub async fn wait(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// `at + duration`, clamped to the end of time.
#[must_use]
pub fn after(at: Timestamp, duration: Duration) -> Timestamp {
    jiff::SignedDuration::try_from(duration)
        .ok()
        .and_then(|d| at.checked_add(d).ok())
        .unwrap_or(Timestamp::MAX)
}

/// A time this much earlier; the beginning of time where there is none.
#[must_use]
pub fn before(at: Timestamp, duration: Duration) -> Timestamp {
    jiff::SignedDuration::try_from(duration)
        .ok()
        .and_then(|d| at.checked_sub(d).ok())
        .unwrap_or(Timestamp::MIN)
}

/// 32 bytes from the operating system, for salts and claim tokens.
///
/// # Errors
/// When the operating system has no entropy to give; nothing may then be planned or sent.
pub fn entropy() -> Result<[u8; 32], getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// Measures how long something took; never shown to the domain.
#[derive(Debug, Clone, Copy)]
pub struct Stopwatch(std::time::Instant);

impl Stopwatch {
    #[must_use]
    #[allow(clippy::disallowed_methods)] // only metrics see it
    pub fn start() -> Self {
        Self(std::time::Instant::now())
    }

    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
