//! What follows an attempt: the retry schedule, with jitter that needs no random number.

use crate::ids::DeliveryId;
use crate::time::Timestamp;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// What the connector (or the host) said of an attempt, as far as the schedule cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempted {
    Delivered,
    /// Handed over, not confirmed: ends the delivery as well.
    Accepted,
    /// Worth another try; the receiver may have asked for a wait.
    TryAgain {
        receiver_asked: Option<Duration>,
    },
    /// The receiver is overloaded: as `TryAgain`, but never sooner than [`THROTTLE_FLOOR`] when it named no wait.
    Throttled {
        receiver_asked: Option<Duration>,
    },
    /// No later attempt can succeed.
    Hopeless,
    Cancelled,
    /// The process died in the middle: nobody knows. The next attempt is due at once and takes no place in the
    /// schedule, because the receiver has not failed.
    Unknown,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Delivered,
    Accepted,
    Dead,
    Cancelled,
    Again { due_at: Timestamp },
}

/// A throttled receiver that names no wait gets at least this long (Svix waits 60 s after a 429).
pub const THROTTLE_FLOOR: Duration = Duration::from_secs(60);
/// A receiver cannot push a retry further out than this, whatever its `Retry-After` says.
pub const MAX_WAIT: Duration = Duration::from_secs(24 * 3600);
/// Jitter: each scheduled wait is stretched or shrunk by up to this many per cent.
pub const JITTER_PERCENT: i64 = 20;
/// No delivery is attempted more often than this, `unknown` attempts included.
pub const MAX_ATTEMPTS: u32 = 64;

/// Decides what follows attempt number `attempt` (from 1). `failures_before` counts the earlier attempts that took a
/// place in the schedule, so `schedule[failures_before]` is the wait before the next one.
///
/// A receiver's own wait (`Retry-After`) is obeyed as it is: never cut short, only stretched by up to 10 % so that a
/// fleet of deliveries does not return in one instant.
#[must_use]
pub fn next(
    attempted: Attempted,
    schedule: &[Duration],
    failures_before: u32,
    attempt: u32,
    delivery: &DeliveryId,
    now: Timestamp,
) -> Next {
    let (floor, asked) = match attempted {
        Attempted::Delivered => return Next::Delivered,
        Attempted::Accepted => return Next::Accepted,
        Attempted::Hopeless => return Next::Dead,
        Attempted::Cancelled => return Next::Cancelled,
        Attempted::Unknown if attempt >= MAX_ATTEMPTS => return Next::Dead,
        Attempted::Unknown => return Next::Again { due_at: now },
        Attempted::TryAgain { receiver_asked } => (Duration::ZERO, receiver_asked),
        Attempted::Throttled { receiver_asked } => (THROTTLE_FLOOR, receiver_asked),
    };
    if attempt >= MAX_ATTEMPTS {
        return Next::Dead;
    }
    let Some(scheduled) = schedule.get(failures_before as usize) else { return Next::Dead };
    let wait = match asked {
        Some(asked) => stretched(asked.min(MAX_WAIT), spread(delivery, attempt, 0, 10)),
        None => stretched(*scheduled, spread(delivery, attempt, -JITTER_PERCENT, JITTER_PERCENT)).max(floor),
    };
    let due_at = jiff::SignedDuration::try_from(wait).ok().and_then(|wait| now.checked_add(wait).ok());
    Next::Again { due_at: due_at.unwrap_or(now) }
}

/// A whole number of per cent in `from..=to`, fixed by delivery and attempt: the same plan after a restart.
fn spread(delivery: &DeliveryId, attempt: u32, from: i64, to: i64) -> i64 {
    let digest = Sha256::new().chain_update(delivery.as_str()).chain_update(attempt.to_be_bytes()).finalize();
    let draw = i64::from(u16::from_be_bytes([digest[0], digest[1]]));
    from + draw % (to - from + 1)
}

fn stretched(wait: Duration, percent: i64) -> Duration {
    let millis = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 200);
    Duration::from_millis(u64::try_from(millis.saturating_mul(100 + percent) / 100).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(n: u32) -> DeliveryId {
        DeliveryId::derive([n.to_string().as_str()])
    }

    fn at() -> Timestamp {
        "2026-11-22T06:00:00Z".parse().unwrap()
    }

    fn seconds(next: Next) -> f64 {
        match next {
            Next::Again { due_at } => due_at.duration_since(at()).as_secs_f64(),
            other => panic!("{other:?}"),
        }
    }

    const SCHEDULE: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(300)];

    #[test]
    fn verdicts_that_end_a_delivery() {
        for (attempted, expected) in [
            (Attempted::Delivered, Next::Delivered),
            (Attempted::Accepted, Next::Accepted),
            (Attempted::Hopeless, Next::Dead),
            (Attempted::Cancelled, Next::Cancelled),
        ] {
            assert_eq!(next(attempted, &SCHEDULE, 0, 1, &id(1), at()), expected);
        }
        let again = Attempted::TryAgain { receiver_asked: None };
        assert_eq!(next(again, &SCHEDULE, 2, 3, &id(1), at()), Next::Dead);
        assert_eq!(next(again, &[], 0, 1, &id(1), at()), Next::Dead);
    }

    #[test]
    fn an_unknown_attempt_is_repeated_at_once_and_costs_no_place() {
        assert_eq!(next(Attempted::Unknown, &[], 0, 1, &id(1), at()), Next::Again { due_at: at() });
        assert_eq!(next(Attempted::Unknown, &SCHEDULE, 0, MAX_ATTEMPTS, &id(1), at()), Next::Dead);
    }

    proptest! {
        #[test]
        fn waits_stay_in_their_bounds(n in 0u32..10_000, attempt in 1u32..8, asked in 0u64..200_000) {
            let plain = seconds(next(Attempted::TryAgain { receiver_asked: None }, &SCHEDULE, 1, attempt, &id(n), at()));
            prop_assert!((240.0..=360.0).contains(&plain), "{plain}");
            let asked_for = Duration::from_secs(asked);
            let told = seconds(next(
                Attempted::Throttled { receiver_asked: Some(asked_for) }, &SCHEDULE, 0, attempt, &id(n), at(),
            ));
            let least = asked_for.min(MAX_WAIT).as_secs_f64();
            prop_assert!(told >= least && told <= least * 1.1 + 0.001, "{told} for {asked}");
            let overloaded = seconds(next(
                Attempted::Throttled { receiver_asked: None }, &SCHEDULE, 0, attempt, &id(n), at(),
            ));
            prop_assert!((overloaded - 60.0).abs() < 0.001);
        }
    }
}
