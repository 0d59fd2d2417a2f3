//! How many attempts each channel may have under way, so that one bad receiver does not hold the places of all.
//!
//! A channel begins with a few places. Each attempt that ends quickly adds one, up to three quarters of all; a slow one
//! takes an eighth away, and while none ends at all the channel is back where it began. A receiver that is dead or slow
//! therefore never holds more than those few; one that mostly answers quickly is not held back by the few attempts that
//! time out.
//!
//! What finds no place waits in the store's queue. Its turn is spread out at the pace at which the channel's attempts
//! end, so that a long line is not read again and again while nothing can be done about it.

use notify_core::ids::{ChannelId, TenantId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// An attempt that held its place no longer than this was quick.
const QUICK: Duration = Duration::from_secs(1);
/// Turns in a line are not further apart than a channel's attempts would be if each took this long.
const PACE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(10));
/// The end of a line is never further away than this: a receiver that recovers is noticed in time.
const LONGEST_WAIT: Duration = Duration::from_secs(15);
/// Idle channels that are remembered; beyond it they begin anew.
const REMEMBERED: usize = 4096;

type Key = (TenantId, ChannelId);

/// All channels of this process.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// Places of a channel that nothing is known about.
    first: usize,
    /// Places of a channel, and of all channels of a tenant, at most.
    most: usize,
    lanes: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    lanes: HashMap<Key, Lane>,
    /// Attempts under way of each tenant that has any: one tenant's channels together do not get all places either.
    tenants: HashMap<TenantId, usize>,
}

#[derive(Debug)]
struct Lane {
    under_way: usize,
    allowed: usize,
    /// How long an attempt holds its place, as a moving average.
    typical: Duration,
    /// The last time an attempt ended, or the lane became busy: long ago means that nothing moves.
    moved: Instant,
    /// The turn of the last delivery in line.
    line_ends: Instant,
}

/// A channel's place; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Pass {
    lanes: Arc<Lanes>,
    key: Key,
    since: Instant,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.lanes.leave(&self.key, self.since, Instant::now());
    }
}

impl Lanes {
    pub fn new(per_channel: usize, concurrency: usize) -> Self {
        let most = (concurrency - concurrency / 4).max(1);
        Self { first: per_channel.clamp(1, most), most, lanes: Mutex::default() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place of this channel, when it has one left.
    pub fn enter(self: &Arc<Self>, tenant: &TenantId, channel: &ChannelId) -> Option<Pass> {
        let key = (tenant.clone(), channel.clone());
        let now = Instant::now();
        self.take(&key, now).then(|| Pass { lanes: Arc::clone(self), key, since: now })
    }

    /// How long a delivery that found no place waits for its turn.
    pub fn line_up(&self, tenant: &TenantId, channel: &ChannelId) -> Duration {
        self.turn(&(tenant.clone(), channel.clone()), Instant::now())
    }

    fn take(&self, key: &Key, now: Instant) -> bool {
        let mut held = self.held();
        let Held { lanes, tenants } = &mut *held;
        if !lanes.contains_key(key) && lanes.len() >= REMEMBERED {
            lanes.retain(|_, lane| lane.under_way > 0);
        }
        let of_tenant = tenants.get(&key.0).copied().unwrap_or_default();
        let lane = lanes.entry(key.clone()).or_insert_with(|| Lane::new(self.first, now));
        if lane.under_way == 0 {
            lane.moved = now;
        } else if now.saturating_duration_since(lane.moved) > QUICK {
            // Nothing has ended for a while, so what is under way is slow, whatever it was before.
            lane.allowed = self.first;
        }
        let free = lane.under_way < lane.allowed && of_tenant < self.most;
        if free {
            lane.under_way += 1;
            tenants.insert(key.0.clone(), of_tenant + 1);
        }
        free
    }

    fn leave(&self, key: &Key, since: Instant, now: Instant) {
        let mut held = self.held();
        let Held { lanes, tenants } = &mut *held;
        if let Some(count) = tenants.get_mut(&key.0) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                tenants.remove(&key.0);
            }
        }
        let Some(lane) = lanes.get_mut(key) else { return };
        let took = now.saturating_duration_since(since);
        lane.under_way = lane.under_way.saturating_sub(1);
        lane.moved = now;
        lane.typical = (lane.typical * 7 + took) / 8;
        lane.allowed = if took <= QUICK {
            (lane.allowed + 1).min(self.most)
        } else {
            (lane.allowed - lane.allowed.div_ceil(8)).max(self.first)
        };
    }

    fn turn(&self, key: &Key, now: Instant) -> Duration {
        let mut held = self.held();
        let lane = held.lanes.entry(key.clone()).or_insert_with(|| Lane::new(self.first, now));
        let resting =
            if lane.under_way > 0 { now.saturating_duration_since(lane.moved) } else { Duration::ZERO };
        let pace = lane.typical.max(resting).clamp(PACE.0, PACE.1);
        let spacing = pace / u32::try_from(lane.allowed).unwrap_or(u32::MAX).max(1);
        lane.line_ends = (lane.line_ends.max(now) + spacing).min(now + LONGEST_WAIT);
        lane.line_ends.saturating_duration_since(now)
    }
}

impl Lane {
    fn new(first: usize, now: Instant) -> Self {
        Self { under_way: 0, allowed: first, typical: Duration::ZERO, moved: now, line_ends: now }
    }
}

#[cfg(test)]
mod tests;
