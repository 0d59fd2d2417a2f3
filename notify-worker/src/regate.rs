//! (DESIGN 6d) An attempt that is late is judged again before it is made: rule and channel may have gone, quiet hours
//! may have begun, a silence may have come.
//!
//! What a person asked for by hand (replay, test) is not judged again: they know better than the rule.

use crate::dispatch::Ready;
use crate::fallback;
use crate::worker::Shared;
use notify_core::event::Event;
use notify_core::ledger::EntryDraft;
use notify_core::ledger::commitment::Commitment;
use notify_core::ledger::entry::Intent;
use notify_core::plan::{Judgement, LATE, LateAttempt, Snapshot, release_attempt};
use notify_core::time::Timestamp;
use notify_store::{Commit, Effect, Guard, Refused, StoreError};

/// What to do with a claimed delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Regated {
    /// It may leave.
    Go,
    /// It waits; its claim was given back.
    Waits,
    /// It ends, and the attempt is to be recorded as cancelled.
    Ends,
    /// Its channel is why it ends there; another one may take over.
    ChannelOff,
    /// Nothing was recorded: its claim is somebody else's.
    Lost,
    /// Nothing was recorded, for a fault of the store.
    Failed,
}

/// Judges an attempt when it is late, and records that.
pub(crate) async fn regate(shared: &Shared, ready: &Ready, snapshot: &Snapshot, now: Timestamp) -> Regated {
    // Nobody has judged yet what a fallback takes over: its channel has hours of its own.
    let new_fallback = ready.attempt == 1 && ready.cause.starts_with(fallback::CAUSE);
    if now.duration_since(ready.created_at) <= LATE && !new_fallback {
        return Regated::Go;
    }
    let mut newer = None;
    for _ in 0..TRIES {
        let judged = judged(shared, ready, newer.as_deref().unwrap_or(snapshot), now).await;
        let failed = match judged {
            Ok(regated) => return regated,
            Err(StoreError::Refused(Refused::StaleClaim)) => return Regated::Lost,
            // What it was judged by has changed.
            Err(StoreError::Refused(Refused::ConfigChanged { .. })) => {
                match shared.snapshots.reload(&ready.tenant).await {
                    Ok(reloaded) => {
                        newer = Some(reloaded);
                        continue;
                    }
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        tracing::error!(delivery = %ready.id, error = %failed, "it could not be judged again; nothing was sent");
        return Regated::Failed;
    }
    Regated::Failed
}

/// The configuration may change so often under one judgement.
const TRIES: usize = 5;

async fn judged(
    shared: &Shared,
    ready: &Ready,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Result<Regated, StoreError> {
    let corrupt = |what: &str| StoreError::Corrupt(format!("{what} of {} cannot be read", ready.id));
    let Some(row) = shared.store.delivery(&ready.tenant, &ready.id).await? else {
        return Ok(Regated::Lost);
    };
    let row = row.delivery;
    let first = match row.cause.starts_with(fallback::CAUSE) {
        true => fallback::first_cause(shared, &ready.tenant, &row.cause).await?,
        false => row.cause.clone(),
    };
    if !["event:", "release:", "digest:"].iter().any(|cause| first.starts_with(cause)) {
        return Ok(Regated::Go);
    }
    let stored = match &row.event {
        Some(key) => shared.store.event(&ready.tenant, key).await?,
        None => None,
    };
    let event = match stored {
        Some(stored) => {
            Some(Event::stored(&ready.tenant, &stored.event.body).map_err(|_| corrupt("the event"))?)
        }
        None => None,
    };
    let intent = Intent {
        delivery: ready.id.clone(),
        channel: row.channel.clone(),
        target: Commitment::of(&row.target_salt, row.target.as_bytes()),
        message: Commitment::parse(&row.message_commitment)
            .ok_or_else(|| corrupt("the message commitment"))?,
        idempotency_key: ready.id.to_string(),
    };
    let late = LateAttempt { intent, event: event.as_ref(), rule: &row.rule, action: &row.action };
    let (judgement, entry) = release_attempt(snapshot, late, now);
    let (effect, regated) = match judgement {
        Judgement::Send => (Effect::RecordOnly, Regated::Go),
        Judgement::Cancel if said_of_channel(&entry) => (Effect::RecordOnly, Regated::ChannelOff),
        Judgement::Cancel => (Effect::RecordOnly, Regated::Ends),
        Judgement::Hold { until } => {
            (Effect::HoldDelivery { delivery: ready.id.clone(), until }, Regated::Waits)
        }
    };
    let claim =
        Guard::Claim { delivery: ready.id.clone(), attempt: ready.attempt, token: ready.token.clone() };
    let commit = Commit::new(ready.tenant.clone(), vec![effect], vec![entry])
        .guarded(claim)
        .guarded(Guard::ConfigVersion(snapshot.config_version));
    let committed = shared.store.commit(commit).await?;
    shared.metrics.entries.add(committed.seqs.len() as u64);
    Ok(regated)
}

/// Whether the channel, which is off or gone, is the reason of a judgement.
fn said_of_channel(entry: &EntryDraft) -> bool {
    let control = entry.predicate.get("control").and_then(|control| control.as_str());
    control.is_some_and(|control| control == "channel-disabled" || control == "channel-missing")
}
