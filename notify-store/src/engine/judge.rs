//! Each commit in turn: do its guards hold, can its effects happen, what does it change.

use super::held;
use super::log::{Keyring, Log};
use super::quarantine;
use super::state::{DeliveryRow, DocumentRow, EventRow, KeyRow, Lease, NewTenant, Recorded, Slot, State};
use crate::commit::{Bookkeeping, Commit, Committed, Effect, Guard, Refused};
use crate::model::{Attempt, DeliveryState, EventState, Follows, NewDelivery, NewEvent};
use notify_core::ids::EventKey;
use std::borrow::Cow;

/// A claim that was taken back belongs to nobody; no claimer draws this token.
pub const VOID_TOKEN: &str = "void";

/// The judgement of a round, in order of submission.
#[derive(Debug, Default)]
pub struct Judged<'c> {
    pub answers: Vec<Result<Committed, Refused>>,
    /// Commits whose effects are written (not the late ones).
    pub written: Vec<Written<'c>>,
}

/// One commit that is written.
#[derive(Debug)]
pub struct Written<'c> {
    pub slot: Slot,
    pub commit: &'c Commit,
    /// Version numbers of its documents, in order.
    pub versions: Vec<u64>,
    /// The tenant's configuration before it.
    pub config_before: u64,
}

enum Verdict {
    Write,
    Late,
}

pub fn judge<'c>(state: &mut State<'c>, keys: &Keyring, commits: &[(Slot, &'c Commit)]) -> Judged<'c> {
    let mut judged = Judged::default();
    for &(slot, commit) in commits {
        let answer = one(state, keys, slot, commit, &mut judged);
        if answer.is_err() {
            state.undo();
        } else {
            state.keep(slot);
        }
        judged.answers.push(answer);
    }
    judged
}

fn one<'c>(
    state: &mut State<'c>,
    keys: &Keyring,
    slot: Slot,
    commit: &'c Commit,
    judged: &mut Judged<'c>,
) -> Result<Committed, Refused> {
    let creates = matches!(commit.effects().first(), Some(Effect::CreateTenant { .. }));
    if !state.tenants[slot].counters.exists && !creates {
        return Err(Refused::NoTenant);
    }
    let config_before = state.tenants[slot].counters.config_version;
    let verdict = guards(state, slot, commit)?;
    let mut done = Committed::default();
    let entries = match verdict {
        Verdict::Late => {
            done.late = true;
            commit.if_late.as_slice()
        }
        Verdict::Write => {
            for effect in commit.effects() {
                apply(state, keys, slot, effect, &mut done.versions)?;
            }
            for item in &commit.bookkeeping {
                remember(state, slot, item)?;
            }
            commit.entries()
        }
    };
    let config_after = state.tenants[slot].counters.config_version;
    done.config_version = (config_after != config_before).then_some(config_after);
    // Last, because the log cannot take an entry back.
    if !entries.is_empty() {
        let now = state.tenants[slot].now;
        let log = state.tenants[slot].log.as_mut().ok_or(Refused::NoTenant)?;
        done.seqs = log.append(entries, now)?;
    }
    if !done.late {
        let versions = done.versions.clone();
        judged.written.push(Written { slot, commit, versions, config_before });
    }
    Ok(done)
}

fn guards<'c>(state: &State<'c>, slot: Slot, commit: &'c Commit) -> Result<Verdict, Refused> {
    let tenant = &state.tenants[slot];
    let mut verdict = Verdict::Write;
    for guard in &commit.guards {
        match guard {
            Guard::Lease { holder, epoch } => {
                let held = matches!(&tenant.lease, Lease::Held(lease)
                    if lease.runs && lease.holder == *holder && lease.epoch == *epoch);
                if !held {
                    return Err(Refused::LeaseLost);
                }
            }
            Guard::ConfigVersion(version) => {
                let current = tenant.counters.config_version;
                if current != *version {
                    return Err(Refused::ConfigChanged { current });
                }
            }
            Guard::NoiseVersion(version) => {
                let current = tenant.counters.noise_version;
                if current != *version {
                    return Err(Refused::NoiseChanged { current });
                }
            }
            Guard::Claim { delivery, attempt, token } => {
                let row = state.deliveries.state(slot, delivery.as_str());
                let holds = row.state == Some(DeliveryState::Scheduled)
                    && row.next_attempt == *attempt
                    && token.0 != VOID_TOKEN
                    && row.token.as_deref() == Some(token.0.as_str());
                if !holds {
                    verdict = Verdict::Late;
                }
            }
            Guard::DocumentVersion { kind, id, expected } => {
                let current = state.documents.state(slot, (*kind, id.as_str())).current();
                if current != *expected {
                    return Err(Refused::DocumentChanged { current });
                }
            }
            Guard::DocumentExists { kind, id } => {
                let current = state.documents.state(slot, (*kind, id.as_str())).current();
                if current.is_none() {
                    return Err(Refused::DocumentChanged { current });
                }
            }
            Guard::DeliveryState { delivery, any_of } => {
                let current = state.deliveries.state(slot, delivery.as_str()).state;
                if !current.is_some_and(|current| any_of.contains(&current)) {
                    return Err(Refused::WrongState(current));
                }
            }
        }
    }
    if matches!(verdict, Verdict::Late) && commit.if_late.is_empty() {
        return Err(Refused::StaleClaim);
    }
    Ok(verdict)
}

fn apply<'c>(
    state: &mut State<'c>,
    keys: &Keyring,
    slot: Slot,
    effect: &'c Effect,
    versions: &mut Vec<u64>,
) -> Result<(), Refused> {
    match effect {
        Effect::CreateTenant { name, opaque, created_at } => {
            if state.tenants[slot].counters.exists {
                return Err(Refused::TenantExists);
            }
            let log = Log::create(keys, opaque)?;
            state.create(slot, NewTenant { name, opaque, created_at: *created_at }, log);
        }
        Effect::PutDocument { kind, id, .. } => {
            let version = state.documents.state(slot, (*kind, id.as_str())).version + 1;
            let row = DocumentRow { version, deleted: false, changed: true };
            state.set_document(slot, (*kind, id.as_str()), row);
            state.count(slot, |counters| counters.config_version += 1);
            versions.push(version);
        }
        Effect::DeleteDocument { kind, id, .. } => {
            let row = state.documents.state(slot, (*kind, id.as_str()));
            if row.current().is_none() {
                return Err(Refused::DocumentChanged { current: None });
            }
            let row = DocumentRow { deleted: true, changed: true, ..row };
            state.set_document(slot, (*kind, id.as_str()), row);
            state.count(slot, |counters| counters.config_version += 1);
        }
        Effect::AcceptPlanned(event) => accept(state, slot, event, EventState::Planned)?,
        Effect::MarkPlanned { key, .. } => {
            let row = state.events.state(slot, key.as_str());
            if row.state != Some(EventState::Pending) {
                return Err(Refused::NotPending { key: key.clone() });
            }
            state.set_event(slot, key.as_str(), EventRow { state: Some(EventState::Planned), ..row });
            state.count(slot, |counters| counters.pending -= 1);
        }
        Effect::CreateDelivery(delivery) => create_delivery(state, slot, delivery)?,
        Effect::RecordAttempt(attempt) => record_attempt(state, slot, attempt)?,
        Effect::Quarantine(_) | Effect::EndQuarantine { .. } => quarantine::apply(state, slot, effect)?,
        Effect::Hold(_) | Effect::HoldLonger { .. } | Effect::EndHold { .. } => {
            held::apply(state, slot, effect)?;
        }
        Effect::HoldDelivery { delivery, until } => {
            let row = state.deliveries.state(slot, delivery.as_str());
            if row.state != Some(DeliveryState::Scheduled) {
                return Err(Refused::WrongState(row.state));
            }
            let waits = DeliveryRow { token: None, waits_until: Some(*until), ..row };
            state.set_delivery(slot, delivery.as_str(), waits);
        }
        Effect::AddToDigest(_)
        | Effect::EndDigest { .. }
        | Effect::KeepOpening(_)
        | Effect::AddToInbox(_)
        | Effect::OptOut { .. }
        | Effect::EndOptOut { .. }
        | Effect::RecordOnly => {}
    }
    Ok(())
}

fn remember<'c>(state: &mut State<'c>, slot: Slot, item: &'c Bookkeeping) -> Result<(), Refused> {
    match item {
        Bookkeeping::AcceptPending(event) => {
            accept(state, slot, event, EventState::Pending)?;
            state.count(slot, |counters| counters.pending += 1);
        }
        Bookkeeping::Noise(changes) => {
            state.count(slot, |counters| {
                counters.noise_version += 1;
                counters.next_timer = Some(changes.next_timer);
            });
        }
        Bookkeeping::MarkInbox(_) | Bookkeeping::EndInbox { .. } => {}
        Bookkeeping::RememberIdempotency { key, .. } => {
            if state.keys.state(slot, key).taken {
                return Err(Refused::IdempotencyTaken);
            }
            state.set_key(slot, key, KeyRow { taken: true });
        }
    }
    Ok(())
}

fn accept<'c>(
    state: &mut State<'c>,
    slot: Slot,
    event: &'c NewEvent,
    as_state: EventState,
) -> Result<(), Refused> {
    let key: &'c EventKey = &event.key;
    if state.events.state(slot, key.as_str()).state.is_some() {
        return Err(Refused::EventExists { key: key.clone() });
    }
    let seq = state.tenants[slot].counters.event_seq + 1;
    state.count(slot, |counters| counters.event_seq = seq);
    state.set_event(slot, key.as_str(), EventRow { state: Some(as_state), seq });
    Ok(())
}

fn create_delivery<'c>(state: &mut State<'c>, slot: Slot, delivery: &'c NewDelivery) -> Result<(), Refused> {
    if state.deliveries.state(slot, delivery.id.as_str()).state.is_some() {
        return Err(Refused::DeliveryExists(delivery.id.clone()));
    }
    let seq = state.tenants[slot].counters.delivery_seq + 1;
    state.count(slot, |counters| counters.delivery_seq = seq);
    let row = DeliveryRow {
        state: Some(DeliveryState::Scheduled),
        seq,
        next_attempt: 1,
        token: delivery.claim.as_ref().map(|(token, _)| Cow::Borrowed(token.0.as_str())),
        recorded: None,
        waits_until: None,
    };
    state.set_delivery(slot, delivery.id.as_str(), row);
    Ok(())
}

fn record_attempt<'c>(state: &mut State<'c>, slot: Slot, attempt: &'c Attempt) -> Result<(), Refused> {
    let id = attempt.delivery.as_str();
    let row = state.deliveries.state(slot, id);
    if row.state != Some(DeliveryState::Scheduled) {
        return Err(Refused::WrongState(row.state));
    }
    if row.next_attempt != attempt.attempt {
        return Err(Refused::StaleClaim);
    }
    let (after, next_attempt, token) = match &attempt.follows {
        Follows::Outcome(DeliveryState::Scheduled) => {
            return Err(Refused::WrongState(Some(DeliveryState::Scheduled)));
        }
        Follows::Outcome(outcome) => (*outcome, row.next_attempt, None),
        Follows::Retry { claim, .. } => (
            DeliveryState::Scheduled,
            row.next_attempt + 1,
            claim.as_ref().map(|(token, _)| Cow::Borrowed(token.0.as_str())),
        ),
    };
    let earlier = row.recorded.and_then(|recorded| recorded.provider_reference);
    let recorded =
        Recorded { attempt, provider_reference: attempt.provider_reference.as_deref().or(earlier) };
    let changed = DeliveryRow {
        state: Some(after),
        next_attempt,
        token,
        recorded: Some(recorded),
        waits_until: None,
        ..row
    };
    state.set_delivery(slot, id, changed);
    if after == DeliveryState::Dead {
        state.count(slot, |counters| counters.dead += 1);
    }
    Ok(())
}
