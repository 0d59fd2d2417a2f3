//! Dead letters once more: each as a replay of its own, with due times that keep the rate.
//!
//! Everything is written before the answer, in bounded commits: what was made survives a restart as any delivery does,
//! and what was not is found again by the next request. A cause that names the dead letter makes that safe: the second
//! replay of one dead letter has the id of the first and is refused by the store.

use crate::acts::{Repeat, repeat};
use crate::clock::{after, entropy};
use crate::worker::{Worker, unavailable};
use notify_core::ids::{ChannelId, TenantId};
use notify_core::plan::{Snapshot, target_of};
use notify_core::problem::Problem;
use notify_core::time::Timestamp;
use notify_store::model::{Delivery, DeliveryFilter, DeliveryState, NewDelivery};
use notify_store::{Commit, Effect, Guard, Refused, StoreError};
use std::collections::BTreeMap;
use std::time::Duration;

/// Dead letters in one commit: large enough to be quick, small enough not to hold up anybody else's.
const BATCH: u32 = 100;

/// How a re-drive is to go.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Deliveries a second, above 0.
    pub rate_per_second: f64,
    /// Most deliveries to make.
    pub at_most: u64,
    /// Counts only.
    pub dry_run: bool,
}

/// What was done, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redriven {
    /// Dead letters that fit the filter and that nobody had replayed.
    pub matched: u64,
    pub redriven: u64,
    /// How many were left out, by channel and reason.
    pub skipped: BTreeMap<(ChannelId, &'static str), u64>,
    /// Not looked at, because `at_most` was reached.
    pub remaining: u64,
    pub first_due_at: Option<Timestamp>,
    pub last_due_at: Option<Timestamp>,
}

impl Redriven {
    fn skip(&mut self, channel: &ChannelId, reason: &'static str) {
        *self.skipped.entry((channel.clone(), reason)).or_default() += 1;
    }

    fn made(&mut self, due_at: Timestamp) {
        self.redriven += 1;
        self.first_due_at = self.first_due_at.or(Some(due_at));
        self.last_due_at = Some(due_at);
    }
}

impl Worker {
    /// Sends dead letters again, oldest first. Those of channels that take nothing now are left as they are.
    ///
    /// # Errors
    /// When the store cannot be used; what was written until then stays, and the next call goes on behind it.
    pub async fn redrive(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        pace: &Pace,
        actor: &str,
    ) -> Result<Redriven, Problem> {
        let failed = |error: StoreError| {
            tracing::error!(tenant = %tenant, %error, "dead letters could not be sent again");
            unavailable("the store cannot be used")
        };
        let store = &self.shared.store;
        let snapshot = self.shared.snapshots.get(tenant).await.map_err(failed)?;
        let start = self.shared.clock.now();
        let mut done = Redriven {
            matched: store.count_dead_letters(tenant, filter).await.map_err(failed)?,
            ..Redriven::default()
        };
        let (mut place, mut seen) = (0, 0);
        while done.redriven < pace.at_most {
            let room = pace.at_most - done.redriven;
            let limit = u32::try_from(room).unwrap_or(BATCH).min(BATCH);
            let found = store.dead_letters(tenant, filter, place, limit).await.map_err(failed)?;
            let Some((last, _)) = found.last() else { break };
            place = *last;
            seen += found.len() as u64;
            let mut batch = Vec::with_capacity(found.len());
            for (_, dead) in found {
                let channel = dead.delivery.channel.clone();
                match place_for(&snapshot, &channel) {
                    Ok(target) => {
                        let due_at = due(start, done.redriven + batch.len() as u64, pace.rate_per_second);
                        batch.push((dead, target, due_at));
                    }
                    Err(reason) => done.skip(&channel, reason),
                }
            }
            if pace.dry_run {
                batch.iter().for_each(|(_, _, due_at)| done.made(*due_at));
            } else {
                self.write(tenant, batch, actor, &mut done).await?;
                self.dispatcher.wake_poll();
            }
        }
        // One that was made dead or replayed while we were at it may be counted in one place only.
        done.remaining = done.matched.saturating_sub(seen);
        Ok(done)
    }

    /// One commit for all; when one of them is refused, one for each, so that it harms no other.
    async fn write(
        &self,
        tenant: &TenantId,
        batch: Vec<(Delivery, String, Timestamp)>,
        actor: &str,
        done: &mut Redriven,
    ) -> Result<(), Problem> {
        let together = self.commit(tenant, &batch, actor).await;
        match together {
            Ok(()) => batch.iter().for_each(|(_, _, due_at)| done.made(*due_at)),
            Err(StoreError::Refused(_)) => {
                for one in batch {
                    match self.commit(tenant, std::slice::from_ref(&one), actor).await {
                        Ok(()) => done.made(one.2),
                        Err(StoreError::Refused(Refused::DeliveryExists(_) | Refused::WrongState(_))) => {
                            done.skip(&one.0.delivery.channel, "replayed-meanwhile");
                        }
                        Err(error) => return Err(not_written(tenant, &error)),
                    }
                }
            }
            Err(error) => return Err(not_written(tenant, &error)),
        }
        Ok(())
    }

    async fn commit(
        &self,
        tenant: &TenantId,
        batch: &[(Delivery, String, Timestamp)],
        actor: &str,
    ) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let now = self.shared.clock.now();
        let (mut effects, mut entries) = (Vec::new(), Vec::new());
        for (dead, target, due_at) in batch {
            let entropy = entropy().map_err(|error| StoreError::Corrupt(format!("no entropy: {error}")))?;
            let row = dead.delivery.clone();
            let cause = format!("replay:{}:redrive", row.id);
            let Repeat { delivery, opening, entry } =
                repeat(tenant, row, &cause, target.clone(), actor, *due_at, &entropy);
            effects.push(Effect::CreateDelivery(Box::new(NewDelivery { created_at: now, ..delivery })));
            effects.push(Effect::KeepOpening(opening));
            entries.push(entry);
        }
        let mut commit = Commit::new(tenant.clone(), effects, entries);
        for (dead, _, _) in batch {
            commit = commit.guarded(Guard::DeliveryState {
                delivery: dead.delivery.id.clone(),
                any_of: vec![DeliveryState::Dead],
            });
        }
        let committed = self.shared.store.commit(commit).await?;
        self.shared.metrics.entries.add(committed.seqs.len() as u64);
        Ok(())
    }
}

fn not_written(tenant: &TenantId, error: &StoreError) -> Problem {
    tracing::error!(tenant = %tenant, %error, "a batch of dead letters could not be sent again");
    Problem {
        fix: "ask again in a moment: what is on its way by then is left out".to_owned(),
        ..unavailable("the store cannot be written; a part of the dead letters may be on its way")
    }
}

/// Where the channel points now, or why it takes nothing.
fn place_for(snapshot: &Snapshot, channel: &ChannelId) -> Result<String, &'static str> {
    match snapshot.channels.get(channel) {
        None => Err("channel-deleted"),
        Some(channel) if !channel.document.enabled => Err("channel-disabled"),
        Some(channel) => Ok(target_of(&channel.document)),
    }
}

/// The `index`th is due that many intervals after the start.
fn due(start: Timestamp, index: u64, rate_per_second: f64) -> Timestamp {
    let seconds = index as f64 / rate_per_second.max(f64::MIN_POSITIVE);
    after(start, Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_times_keep_the_rate() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        for (index, rate, expected_ms) in
            [(0, 10.0, 0), (1, 10.0, 100), (25, 10.0, 2_500), (3, 0.5, 6_000), (1_000, 1_000.0, 1_000)]
        {
            let waited = due(start, index, rate).duration_since(start).as_millis();
            assert_eq!(waited, expected_ms, "{index} at {rate}");
        }
        assert!(due(start, u64::MAX, 0.01) > start, "no overflow");
    }
}
