//! Turns the result of an attempt into one commit: the attempt, what follows, and the ledger entry.

use crate::clock::{after, entropy, wait};
use crate::dispatch::{CLAIM_MARGIN, Dispatcher, Ready};
use crate::fallback::{TakesOver, latest, takes_over};
use crate::worker::Shared;
use notify_connector_host::AttemptResult;
use notify_connector_host::request::Outcome;
use notify_core::document::Channel;
use notify_core::document::Version;
use notify_core::ledger::commitment::{Commitment, salt};
use notify_core::ledger::entry::{self, AttemptEntry};
use notify_core::plan::Snapshot;
use notify_core::retry::{Attempted, Next, next};
use notify_core::time::{Timestamp, rfc3339_millis};
use notify_store::model::{Attempt, DeliveryState, Follows, NewInboxItem};
use notify_store::{Commit, Committed, Effect, Guard, Refused, StoreError};
use std::time::Duration;

/// Records a finished attempt; false when that was not possible. `over`: who takes over, where its channel does not send
/// it at all, and why.
pub(crate) async fn attempt(
    shared: &Shared,
    dispatcher: &Dispatcher,
    ready: &Ready,
    snapshot: &Snapshot,
    started_at: Timestamp,
    result: AttemptResult,
    over: Option<(String, TakesOver)>,
) -> bool {
    let channel = snapshot.channels.get(&ready.channel);
    let finished_at = shared.clock.now();
    let attempted = attempted(&result.verdict.outcome);
    let failures_before = failures_before(shared, ready).await;
    let schedule = schedule(shared, channel);
    let next = next(attempted, &schedule, failures_before, ready.attempt, &ready.id, finished_at);
    let fallback = channel.and_then(|channel| channel.document.fallback.as_ref());
    let (given_up, takes_over) = match next {
        Next::Dead => {
            let why = format!("the delivery ended with `{}`", result_name(&result.verdict.outcome));
            let new = surely_takes_over(shared, ready, snapshot, &why, finished_at).await;
            (why, new)
        }
        Next::Cancelled => over.map_or_else(Default::default, |(why, new)| (why, Some(new))),
        Next::Again { due_at } if fallback.is_some_and(|to| due_at > latest(ready.created_at, to)) => {
            let why = format!("the next attempt would be at {}", rfc3339_millis(due_at));
            let new = takes_over(shared, ready, snapshot, &why, finished_at).await;
            let new = new.unwrap_or_else(|error| {
                tracing::warn!(delivery = %ready.id, %error, "its fallback could not be read; it tries again");
                None
            });
            (why, new)
        }
        _ => Default::default(),
    };
    // A retry that nobody would wait for is not made.
    let next = match next {
        Next::Again { .. } if takes_over.is_some() => Next::Cancelled,
        next => next,
    };
    let Some(row) = row(ready, started_at, finished_at, &result, follows(next)) else { return false };
    let again = matches!(next, Next::Again { .. });
    let item = crate::inbox::item(shared, ready, channel, &result.verdict.outcome, finished_at);
    let Some(committed) = commit_attempt(shared, ready, row, item, takes_over.as_ref()).await else {
        return false;
    };
    count(shared, &committed, next, finished_at.duration_since(ready.created_at));
    if let Some(new) = takes_over.filter(|_| !committed.late) {
        tracing::info!(
            delivery = %ready.id, new = %new.delivery.id, channel = %new.delivery.channel,
            why = given_up, "the fallback takes over"
        );
        shared.metrics.fallback.add(1);
        dispatcher.wake_poll();
    }
    if again {
        dispatcher.wake_poll();
    }
    if let Some(channel) = channel.filter(|_| !committed.late) {
        crate::gate::attempted(shared, dispatcher, ready, channel, &result, finished_at).await;
        let dead = matches!(next, Next::Dead);
        crate::channels::attempted(shared, ready, channel, &result, finished_at, dead).await;
    }
    true
}

/// Asks until the store answers: what is dead does not come back to be asked again.
async fn surely_takes_over(
    shared: &Shared,
    ready: &Ready,
    snapshot: &Snapshot,
    why: &str,
    now: Timestamp,
) -> Option<TakesOver> {
    for round in 0_u32..TRIES {
        match takes_over(shared, ready, snapshot, why, now).await {
            Ok(found) => return found,
            Err(StoreError::Closed) => return None,
            Err(error) => {
                tracing::warn!(delivery = %ready.id, %error, "its fallback could not be read yet");
                wait(Duration::from_millis(100 << round.min(4))).await;
            }
        }
    }
    tracing::error!(delivery = %ready.id, "its fallback could not be looked up; replay the delivery");
    None
}

/// How often the store is asked before an attempt stays unknown.
const TRIES: u32 = 60;

/// Records that nobody knows how the running attempt ended, and keeps the claim for the next one, which is due now.
/// `None`: the claim was lost in the meantime, or the delivery is over.
pub(crate) async fn unknown(shared: &Shared, ready: &Ready) -> Option<Ready> {
    let now = shared.clock.now();
    let next = next(Attempted::Unknown, &[], 0, ready.attempt, &ready.id, now);
    let follows = match next {
        Next::Again { due_at } => {
            let until = after(now, Duration::from_secs(120) + CLAIM_MARGIN);
            Follows::Retry { due_at, claim: Some((ready.token.clone(), until)) }
        }
        _ => Follows::Outcome(DeliveryState::Dead),
    };
    let row = Attempt {
        delivery: ready.id.clone(),
        attempt: ready.attempt,
        started_at: now,
        finished_at: now,
        result: "unknown".to_owned(),
        http_status: None,
        request: None,
        response: None,
        error: Some("the process stopped in the middle of the attempt".to_owned()),
        provider_reference: None,
        follows,
    };
    let committed = commit_attempt(shared, ready, row, None, None).await?;
    if committed.late || !matches!(next, Next::Again { .. }) {
        return None;
    }
    Some(Ready { attempt: ready.attempt + 1, in_doubt: false, ..ready.clone() })
}

fn row(
    ready: &Ready,
    started_at: Timestamp,
    finished_at: Timestamp,
    result: &AttemptResult,
    follows: Follows,
) -> Option<Attempt> {
    let entropy = match entropy() {
        Ok(entropy) => entropy,
        Err(error) => {
            tracing::error!(delivery = %ready.id, %error, "no entropy for salts; the attempt stays unknown");
            return None;
        }
    };
    let salted = |field: &str, bytes: &Option<Vec<u8>>| {
        bytes.as_ref().map(|bytes| (bytes.clone(), salt(&entropy, ready.id.as_str(), field, ready.attempt)))
    };
    let verdict = &result.verdict;
    Some(Attempt {
        delivery: ready.id.clone(),
        attempt: ready.attempt,
        started_at,
        finished_at,
        result: result_name(&verdict.outcome).to_owned(),
        http_status: result.http_status,
        request: salted("request", &result.redacted_request),
        response: salted("response", &result.response),
        error: (!verdict.detail.is_empty()).then(|| verdict.detail.clone()),
        provider_reference: verdict.provider_reference.clone(),
        follows,
    })
}

/// Writes until it is written or the claim is somebody else's: the send has happened, its record must not be lost
/// to a passing fault of the database.
async fn commit_attempt(
    shared: &Shared,
    ready: &Ready,
    row: Attempt,
    item: Option<NewInboxItem>,
    mut takes_over: Option<&TakesOver>,
) -> Option<Committed> {
    let Some(message) = Commitment::parse(&ready.message_commitment) else {
        tracing::error!(delivery = %ready.id, "the stored message commitment cannot be read");
        return None;
    };
    for round in 0_u32..TRIES {
        let entry = |late: bool| {
            let opened = |field: &Option<(Vec<u8>, [u8; 32])>| {
                field.as_ref().map(|(bytes, salt)| Commitment::of(salt, bytes))
            };
            let follows = match &row.follows {
                Follows::Outcome(state) => entry::Follows::Outcome(state.as_str().to_owned()),
                Follows::Retry { due_at, .. } => {
                    entry::Follows::Attempt { attempt: ready.attempt + 1, due_at: *due_at }
                }
            };
            let entry = AttemptEntry {
                delivery: ready.id.clone(),
                attempt: ready.attempt,
                result: row.result.clone(),
                message,
                request: opened(&row.request),
                response: opened(&row.response),
                follows: (!late).then_some(follows),
                late,
            };
            entry.into_draft()
        };
        let mut effects = vec![Effect::RecordAttempt(Box::new(row.clone()))];
        effects.extend(item.clone().map(|item| Effect::AddToInbox(Box::new(item))));
        let mut entries = vec![entry(false)];
        if let Some(new) = takes_over {
            effects.push(Effect::CreateDelivery(Box::new(new.delivery.clone())));
            entries.push(new.entry.clone());
        }
        let commit = Commit::new(ready.tenant.clone(), effects, entries)
            .guarded(Guard::Claim {
                delivery: ready.id.clone(),
                attempt: ready.attempt,
                token: ready.token.clone(),
            })
            .or_late(entry(true));
        match shared.store.commit(commit).await {
            Ok(committed) => return Some(committed),
            Err(StoreError::Refused(Refused::StaleClaim) | StoreError::Closed) => return None,
            // It was made before, so this is only about the attempt.
            Err(StoreError::Refused(Refused::DeliveryExists(_))) if takes_over.is_some() => takes_over = None,
            Err(StoreError::InDoubt(error)) => {
                tracing::warn!(delivery = %ready.id, attempt = ready.attempt, %error, "perhaps recorded; looking");
                wait(Duration::from_millis(200)).await;
                let attempts = shared.store.attempts(&ready.tenant, &ready.id).await;
                if attempts.is_ok_and(|attempts| attempts.iter().any(|a| a.attempt == ready.attempt)) {
                    return Some(Committed::default());
                }
            }
            Err(error) if round + 1 < TRIES => {
                tracing::warn!(delivery = %ready.id, attempt = ready.attempt, %error, "not recorded yet");
                wait(Duration::from_millis(100 << round.min(4))).await;
            }
            Err(error) => {
                tracing::error!(delivery = %ready.id, attempt = ready.attempt, %error, "given up; it stays unknown");
            }
        }
    }
    None
}

fn count(shared: &Shared, committed: &Committed, next: Next, since_decided: jiff::SignedDuration) {
    let metrics = &shared.metrics;
    metrics.entries.add(committed.seqs.len() as u64);
    if committed.late {
        return metrics.late.add(1);
    }
    match next {
        Next::Delivered | Next::Accepted => {
            metrics.sent.add(1);
            metrics.delivery_latency.observe(Duration::try_from(since_decided).unwrap_or_default());
        }
        Next::Again { .. } => {
            metrics.failed.add(1);
            metrics.retried.add(1);
        }
        Next::Dead => {
            metrics.failed.add(1);
            metrics.dead.add(1);
        }
        Next::Cancelled => metrics.dropped.add(1),
    }
}

/// Earlier attempts that took a place in the schedule. The first attempt needs no look-up.
async fn failures_before(shared: &Shared, ready: &Ready) -> u32 {
    if ready.attempt == 1 {
        return 0;
    }
    match shared.store.attempts(&ready.tenant, &ready.id).await {
        Ok(attempts) => {
            u32::try_from(attempts.iter().filter(|a| a.result != "unknown").count()).unwrap_or(u32::MAX)
        }
        Err(error) => {
            tracing::warn!(delivery = %ready.id, %error, "earlier attempts could not be read; counting all of them");
            ready.attempt - 1
        }
    }
}

fn schedule(shared: &Shared, channel: Option<&Version<Channel>>) -> Vec<Duration> {
    match channel.and_then(|channel| channel.document.retry.as_ref()) {
        Some(retry) => retry.schedule_seconds.iter().map(|s| Duration::from_secs(u64::from(*s))).collect(),
        None => shared.options.retry.clone(),
    }
}

fn attempted(outcome: &Outcome) -> Attempted {
    let asked = |after_ms: &Option<u64>| after_ms.map(Duration::from_millis);
    match outcome {
        Outcome::Delivered => Attempted::Delivered,
        Outcome::Accepted => Attempted::Accepted,
        Outcome::Retry { after_ms } => Attempted::TryAgain { receiver_asked: asked(after_ms) },
        Outcome::Throttled { after_ms } => Attempted::Throttled { receiver_asked: asked(after_ms) },
        Outcome::Timeout | Outcome::Crashed => Attempted::TryAgain { receiver_asked: None },
        Outcome::Permanent | Outcome::BadConfig | Outcome::Gone => Attempted::Hopeless,
        Outcome::Cancelled => Attempted::Cancelled,
    }
}

pub(crate) const fn result_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Delivered => "delivered",
        Outcome::Accepted => "accepted",
        Outcome::Retry { .. } => "retry",
        Outcome::Throttled { .. } => "throttled",
        Outcome::Permanent => "permanent",
        Outcome::BadConfig => "bad-config",
        Outcome::Gone => "gone",
        Outcome::Cancelled => "cancelled",
        Outcome::Timeout => "timeout",
        Outcome::Crashed => "crashed",
    }
}

const fn follows(next: Next) -> Follows {
    match next {
        Next::Delivered => Follows::Outcome(DeliveryState::Delivered),
        Next::Accepted => Follows::Outcome(DeliveryState::Accepted),
        Next::Dead => Follows::Outcome(DeliveryState::Dead),
        Next::Cancelled => Follows::Outcome(DeliveryState::Cancelled),
        Next::Again { due_at } => Follows::Retry { due_at, claim: None },
    }
}
