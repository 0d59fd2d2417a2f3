//! What a round has to know, read in one query per table.

use super::held;
use super::log::{Keyring, Log};
use super::memory::Memory;
use super::quarantine;
use super::state::{DeliveryRow, DocumentRow, EventRow, Lease, LeaseRow, Slot, State};
use crate::commit::{Bookkeeping, Commit, Effect, Guard};
use crate::model::{DeliveryState, EventState};
use crate::sql::row::{corrupt, timestamp};
use crate::sql::{Arg, Db, Row, Texts, each};
use crate::store::StoreError;
use notify_core::time::{Timestamp, truncate_to_millis};
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

/// Whether a row that a commit brings is looked for before it is inserted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// No: where it exists after all the transaction fails and is tried again with [`Look::First`]. For the writer of
    /// a file, to whom a failed insert costs little.
    Trust,
    First,
}

/// Locks the tenants' heads and reads every row that the commits ask for.
pub async fn load<'c>(
    db: &mut Db<'_>,
    texts: &Texts,
    keyring: &Keyring,
    state: &mut State<'c>,
    commits: &[(Slot, &'c Commit)],
    memory: Option<&mut Memory>,
    look: Look,
) -> Result<(), StoreError> {
    let wants = name_rows(state, commits, memory.is_some() && look == Look::Trust);
    if let Some(memory) = memory {
        memory.recall(state, keyring)?;
    }
    heads(db, texts, keyring, state).await?;
    if wants.leases {
        leases(db, texts, state).await?;
    }
    events(db, texts, state).await?;
    deliveries(db, texts, state, wants.claims).await?;
    documents(db, texts, state).await?;
    quarantine::load(db, texts, state).await?;
    held::load(db, texts, state).await?;
    keys(db, texts, state).await
}

#[derive(Default)]
struct Wants {
    leases: bool,
    claims: bool,
}

/// Names every row that judging will look at.
fn name_rows<'c>(state: &mut State<'c>, commits: &[(Slot, &'c Commit)], trust: bool) -> Wants {
    let mut wants = Wants::default();
    for &(slot, commit) in commits {
        let mut brings = HashSet::new();
        for guard in &commit.guards {
            match guard {
                Guard::Lease { .. } => wants.leases = true,
                Guard::ConfigVersion(_) | Guard::NoiseVersion(_) => {}
                Guard::Claim { delivery, .. } => {
                    wants.claims = true;
                    state.deliveries.want(slot, delivery.as_str());
                }
                Guard::DeliveryState { delivery, .. } => state.deliveries.want(slot, delivery.as_str()),
                Guard::DocumentVersion { kind, id, .. } | Guard::DocumentExists { kind, id } => {
                    state.documents.want(slot, (*kind, id.as_str()));
                }
            }
        }
        for effect in commit.effects() {
            match effect {
                Effect::PutDocument { kind, id, .. } | Effect::DeleteDocument { kind, id, .. } => {
                    state.documents.want(slot, (*kind, id.as_str()));
                }
                Effect::AcceptPlanned(event) => {
                    brings.insert(event.key.as_str());
                    state.events.new_row(slot, event.key.as_str(), trust);
                }
                Effect::MarkPlanned { key, .. } => state.events.want(slot, key.as_str()),
                Effect::CreateDelivery(delivery) => {
                    state.deliveries.new_row(slot, delivery.id.as_str(), trust);
                    // Another commit that brings the event may be refused; then its number is needed all the same.
                    if let Some(event) = &delivery.event
                        && !brings.contains(event.as_str())
                    {
                        state.events.want(slot, event.as_str());
                    }
                }
                Effect::RecordAttempt(attempt) => {
                    wants.claims = true;
                    state.deliveries.want(slot, attempt.delivery.as_str());
                }
                Effect::Quarantine(message) => state.quarantine.want(slot, &message.id),
                Effect::EndQuarantine { id } => state.quarantine.want(slot, id),
                Effect::Hold(held) => {
                    state.held.new_row(slot, held.id.as_str(), trust);
                    if !brings.contains(held.event.as_str()) {
                        state.events.want(slot, held.event.as_str());
                    }
                }
                Effect::HoldLonger { id, .. } | Effect::EndHold { id } => state.held.want(slot, id.as_str()),
                Effect::HoldDelivery { delivery, .. } => {
                    wants.claims = true;
                    state.deliveries.want(slot, delivery.as_str());
                }
                Effect::AddToDigest(item) => {
                    if !brings.contains(item.event.as_str()) {
                        state.events.want(slot, item.event.as_str());
                    }
                }
                Effect::AddToInbox(item) => {
                    wants.claims = true;
                    state.deliveries.want(slot, item.delivery.as_str());
                }
                Effect::CreateTenant { .. }
                | Effect::EndDigest { .. }
                | Effect::OptOut { .. }
                | Effect::EndOptOut { .. }
                | Effect::KeepOpening(_)
                | Effect::RecordOnly => {}
            }
        }
        for item in &commit.bookkeeping {
            match item {
                Bookkeeping::AcceptPending(event) => state.events.new_row(slot, event.key.as_str(), trust),
                Bookkeeping::Noise(_) | Bookkeeping::MarkInbox(_) | Bookkeeping::EndInbox { .. } => {}
                Bookkeeping::RememberIdempotency { key, .. } => state.keys.want(slot, key),
            }
        }
    }
    wants
}

/// The expected row that a found row answers: its position stands in the first column.
fn position(row: &Row, rows: usize) -> Result<usize, StoreError> {
    usize::try_from(row.int(0)?)
        .ok()
        .filter(|at| *at < rows)
        .ok_or_else(|| corrupt("a row that was not asked for"))
}

fn ordinal(at: usize) -> Arg<'static> {
    Arg::count(at as u64)
}

async fn heads(
    db: &mut Db<'_>,
    texts: &Texts,
    keys: &Keyring,
    state: &mut State<'_>,
) -> Result<(), StoreError> {
    let unknown = state.tenants.iter().enumerate().filter(|(_, tenant)| tenant.log.is_none());
    let asked = each(unknown, |(at, tenant)| [ordinal(at), Arg::from(tenant.id.as_str())]);
    let found = db
        .rows_for(
            texts,
            "SELECT v.column1, @now, r.config_version, r.event_seq, r.delivery_seq, r.log_origin, r.log_size, \
             r.log_range, r.log_at, r.noise_version FROM @rows JOIN tenant_heads r ON r.tenant = v.column2 ORDER BY r.tenant @lock",
            asked,
        )
        .await?;
    let complete = found.len() == state.tenants.len();
    for row in found {
        let at = position(&row, state.tenants.len())?;
        let tenant = &mut state.tenants[at];
        tenant.now = truncate_to_millis(timestamp(row.int(1)?)?);
        tenant.counters.exists = true;
        tenant.counters.config_version = row.count(2)?;
        tenant.counters.event_seq = row.int(3)?;
        tenant.counters.delivery_seq = row.int(4)?;
        tenant.counters.noise_version = row.count(9)?;
        tenant.log = Some(Log::resume(keys, row.text(5)?, row.count(6)?, &row.bytes(7)?, row.time(8)?)?);
    }
    if !complete {
        let now = db.rows(texts, "SELECT @now", []).await?;
        let now = now.first().ok_or_else(|| corrupt("no time"))?.time(0)?;
        for tenant in state.tenants.iter_mut().filter(|tenant| tenant.now == Timestamp::UNIX_EPOCH) {
            tenant.now = truncate_to_millis(now);
            if let Lease::Held(lease) = &mut tenant.lease {
                lease.runs = lease.expires_at > now.as_microsecond();
            }
        }
    }
    Ok(())
}

async fn leases(db: &mut Db<'_>, texts: &Texts, state: &mut State<'_>) -> Result<(), StoreError> {
    let unread =
        state.tenants.iter_mut().enumerate().filter(|(_, tenant)| matches!(tenant.lease, Lease::NotRead));
    let asked = each(unread, |(at, tenant)| {
        tenant.lease = Lease::None;
        [ordinal(at), Arg::from(tenant.id.as_str())]
    });
    // Shared: nobody takes the lease over between this look and our commit.
    let found = db
        .rows_for(
            texts,
            "SELECT v.column1, r.holder, r.epoch, r.expires_at, \
             CAST(CASE WHEN r.expires_at > @now THEN 1 ELSE 0 END AS BIGINT) FROM @rows \
             JOIN leases r ON r.tenant = v.column2 @share",
            asked,
        )
        .await?;
    for row in found {
        let at = position(&row, state.tenants.len())?;
        state.tenants[at].lease = Lease::Held(LeaseRow {
            holder: row.text(1)?,
            epoch: row.count(2)?,
            expires_at: row.int(3)?,
            runs: row.int(4)? == 1,
        });
    }
    Ok(())
}

async fn events(db: &mut Db<'_>, texts: &Texts, state: &mut State<'_>) -> Result<(), StoreError> {
    let asked = each(state.events.asked(), |(at, (slot, key, _))| {
        [ordinal(at), Arg::Shared(Arc::clone(&state.tenants[*slot].name)), Arg::from(*key)]
    });
    let found = db
        .rows_for(
            texts,
            "SELECT v.column1, r.state, r.seq FROM @rows \
             JOIN events r ON r.tenant = v.column2 AND r.key = v.column3",
            asked,
        )
        .await?;
    for row in found {
        let at = position(&row, state.events.rows.len())?;
        state.events.rows[at].2 = EventRow { state: Some(event_state(row.str(1)?)?), seq: row.int(2)? };
    }
    Ok(())
}

async fn deliveries(
    db: &mut Db<'_>,
    texts: &Texts,
    state: &mut State<'_>,
    claims: bool,
) -> Result<(), StoreError> {
    let asked = each(state.deliveries.asked(), |(at, (slot, id, _))| {
        [ordinal(at), Arg::Shared(Arc::clone(&state.tenants[*slot].name)), Arg::from(*id)]
    });
    let found = db
        .rows_for(
            texts,
            "SELECT v.column1, r.state, r.seq, r.next_attempt FROM @rows \
             JOIN deliveries r ON r.tenant = v.column2 AND r.id = v.column3",
            asked,
        )
        .await?;
    for row in &found {
        let at = position(row, state.deliveries.rows.len())?;
        let delivery_state =
            DeliveryState::from_name(row.str(1)?).ok_or_else(|| corrupt("a delivery state"))?;
        state.deliveries.rows[at].2 = DeliveryRow {
            state: Some(delivery_state),
            seq: row.int(2)?,
            next_attempt: row.count32(3)?,
            token: None,
            recorded: None,
            waits_until: None,
        };
    }
    if !claims || found.is_empty() {
        return Ok(());
    }
    let asked = each(
        state.deliveries.asked().filter(|(_, (_, _, row))| row.state == Some(DeliveryState::Scheduled)),
        |(at, (slot, _, row))| {
            [ordinal(at), Arg::Shared(Arc::clone(&state.tenants[*slot].name)), Arg::Int(row.seq)]
        },
    );
    // Locked: a dispatcher elsewhere skips these rows until the result is in.
    let found = db
        .rows_for(
            texts,
            "SELECT v.column1, r.claim_token FROM @rows \
             JOIN work_queue r ON r.tenant = v.column2 AND r.delivery_seq = v.column3 @lock",
            asked,
        )
        .await?;
    for row in found {
        let at = position(&row, state.deliveries.rows.len())?;
        state.deliveries.rows[at].2.token = row.opt_text(1)?.map(Cow::Owned);
    }
    Ok(())
}

async fn documents(db: &mut Db<'_>, texts: &Texts, state: &mut State<'_>) -> Result<(), StoreError> {
    let asked = each(state.documents.rows.iter().enumerate(), |(at, (slot, (kind, id), _))| {
        let tenant = Arg::Shared(Arc::clone(&state.tenants[*slot].name));
        [ordinal(at), tenant, Arg::from(kind.as_str()), Arg::from(*id)]
    });
    let found = db
        .rows_for(
            texts,
            "SELECT v.column1, r.version, r.deleted FROM @rows \
             JOIN document_heads r ON r.tenant = v.column2 AND r.kind = v.column3 AND r.id = v.column4",
            asked,
        )
        .await?;
    for row in found {
        let at = position(&row, state.documents.rows.len())?;
        state.documents.rows[at].2 =
            DocumentRow { version: row.count(1)?, deleted: row.int(2)? != 0, changed: false };
    }
    Ok(())
}

async fn keys(db: &mut Db<'_>, texts: &Texts, state: &mut State<'_>) -> Result<(), StoreError> {
    let asked = each(state.keys.rows.iter().enumerate(), |(at, (slot, key, _))| {
        [ordinal(at), Arg::Shared(Arc::clone(&state.tenants[*slot].name)), Arg::from(*key)]
    });
    let found = db
        .rows_for(
            texts,
            "SELECT v.column1 FROM @rows JOIN idempotency_keys r ON r.tenant = v.column2 AND r.key = v.column3",
            asked,
        )
        .await?;
    for row in found {
        let at = position(&row, state.keys.rows.len())?;
        state.keys.rows[at].2.taken = true;
    }
    Ok(())
}

pub fn event_state(name: &str) -> Result<EventState, StoreError> {
    match name {
        "pending" => Ok(EventState::Pending),
        "planned" => Ok(EventState::Planned),
        _ => Err(corrupt("an event state")),
    }
}

pub const fn event_state_name(state: EventState) -> &'static str {
    match state {
        EventState::Pending => "pending",
        EventState::Planned => "planned",
    }
}
