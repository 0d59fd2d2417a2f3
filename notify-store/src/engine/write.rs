//! The rows of a round, one statement per table.

use super::held;
use super::inbox::InboxWrites;
use super::judge::{Judged, Written};
use super::load::event_state_name;
use super::noise::NoiseWrites;
use super::quarantine;
use super::state::{Slot, State};
use crate::commit::{Bookkeeping, Effect};
use crate::model::{Attempt, DeliveryState, EventState, Follows, NewDelivery, NewEvent};
use crate::sql::{Arg, Db, OrNull, Rows, Texts};
use crate::store::StoreError;
use notify_core::document::Kind;
use notify_core::ledger::append::Appended;
use std::sync::Arc;

#[derive(Default)]
struct Writes<'a> {
    events: Rows<'a>,
    planned: Rows<'a>,
    deliveries: Rows<'a>,
    queued: Rows<'a>,
    attempts: Rows<'a>,
    versions: Rows<'a>,
    changes: Rows<'a>,
    keys: Rows<'a>,
    openings: Rows<'a>,
    noise: NoiseWrites<'a>,
    inbox: InboxWrites<'a>,
}

/// Gives back the logs as they stand now.
pub async fn write(
    db: &mut Db<'_>,
    texts: &Texts,
    state: &mut State<'_>,
    judged: &Judged<'_>,
) -> Result<Vec<(Slot, Appended)>, StoreError> {
    let logs = finish_logs(state)?;
    tenants(db, texts, state, &logs).await?;
    let mut writes = Writes::default();
    for written in &judged.written {
        let slot = written.slot;
        let mut versions = written.versions.iter().copied();
        for effect in written.commit.effects() {
            writes.effect(state, slot, effect, &mut versions);
        }
        writes.changes(state, written);
        for item in &written.commit.bookkeeping {
            writes.bookkeeping(state, slot, item);
        }
    }
    let noise = std::mem::take(&mut writes.noise);
    let inbox = std::mem::take(&mut writes.inbox);
    writes.run(db, texts).await?;
    noise.run(db, texts, state).await?;
    inbox.run(db, texts, state).await?;
    held::write(db, texts, state).await?;
    recorded(db, texts, state).await?;
    documents(db, texts, state).await?;
    quarantine::write(db, texts, state).await?;
    ledger(db, texts, state, &logs).await?;
    Ok(logs)
}

/// Signs the heads of all logs that grew.
fn finish_logs(state: &mut State<'_>) -> Result<Vec<(Slot, Appended)>, StoreError> {
    let tenants = state.tenants.iter_mut().enumerate().filter(|(_, tenant)| tenant.touched);
    tenants
        .filter_map(|(slot, tenant)| Some((slot, tenant.log.take()?)))
        .map(|(slot, log)| Ok((slot, log.finish()?)))
        .collect()
}

pub(super) fn tenant(state: &State<'_>, slot: Slot) -> Arg<'static> {
    Arg::Shared(Arc::clone(&state.tenants[slot].name))
}

impl<'a> Writes<'a> {
    fn effect(
        &mut self,
        state: &'a State<'_>,
        slot: Slot,
        effect: &'a Effect,
        versions: &mut impl Iterator<Item = u64>,
    ) {
        match effect {
            Effect::PutDocument { kind, id, digest, body, at } => self.versions.push([
                tenant(state, slot),
                Arg::from(kind.as_str()),
                Arg::from(id),
                Arg::count(versions.next().unwrap_or_default()),
                Arg::from(digest),
                Arg::from(body),
                Arg::from(*at),
            ]),
            Effect::AcceptPlanned(event) => self.event(state, slot, event, EventState::Planned),
            Effect::MarkPlanned { key, salt } => {
                self.planned.push([tenant(state, slot), Arg::from(key.as_str()), Arg::from(salt)]);
            }
            Effect::CreateDelivery(delivery) => self.delivery(state, slot, delivery),
            Effect::RecordAttempt(attempt) => self.attempt(state, slot, attempt),
            Effect::KeepOpening(opening) => self.openings.push([
                tenant(state, slot),
                Arg::from(&opening.commitment),
                Arg::from(&opening.salt),
                Arg::from(opening.bytes.as_slice()),
            ]),
            Effect::AddToInbox(_) | Effect::OptOut { .. } | Effect::EndOptOut { .. } => {
                self.inbox.effect(state, slot, effect);
            }
            Effect::AddToDigest(item) => self.noise.item(state, slot, item),
            Effect::EndDigest { digest } => self.noise.end_digest(state, slot, digest),
            Effect::Hold(_)
            | Effect::HoldLonger { .. }
            | Effect::EndHold { .. }
            | Effect::HoldDelivery { .. }
            | Effect::CreateTenant { .. }
            | Effect::DeleteDocument { .. }
            | Effect::Quarantine(_)
            | Effect::EndQuarantine { .. }
            | Effect::RecordOnly => {}
        }
    }

    /// Each document that is put or deleted is one step of the configuration.
    fn changes(&mut self, state: &'a State<'_>, written: &'a Written<'_>) {
        let documents = written.commit.effects().iter().filter_map(|effect| match effect {
            Effect::PutDocument { kind, id, .. } | Effect::DeleteDocument { kind, id, .. } => {
                Some((kind, id))
            }
            _ => None,
        });
        for (step, (kind, id)) in (written.config_before.saturating_add(1)..).zip(documents) {
            self.changes.push([
                tenant(state, written.slot),
                Arg::count(step),
                Arg::from(kind.as_str()),
                Arg::from(id),
            ]);
        }
    }

    fn bookkeeping(&mut self, state: &'a State<'_>, slot: Slot, item: &'a Bookkeeping) {
        match item {
            Bookkeeping::AcceptPending(event) => self.event(state, slot, event, EventState::Pending),
            Bookkeeping::Noise(changes) => self.noise.changes(slot, changes),
            Bookkeeping::MarkInbox(_) | Bookkeeping::EndInbox { .. } => {
                self.inbox.bookkeeping(state, slot, item);
            }
            Bookkeeping::RememberIdempotency { key, request_digest, status, answer, at } => {
                self.keys.push([
                    tenant(state, slot),
                    Arg::from(key),
                    Arg::from(request_digest),
                    Arg::Int(i64::from(*status)),
                    Arg::from(answer),
                    Arg::from(*at),
                ]);
            }
        }
    }

    fn event(&mut self, state: &'a State<'_>, slot: Slot, event: &'a NewEvent, as_state: EventState) {
        self.events.push([
            tenant(state, slot),
            Arg::from(event.key.as_str()),
            Arg::Int(state.events.state(slot, event.key.as_str()).seq),
            Arg::from(event_state_name(as_state)),
            Arg::from(&event.source),
            Arg::from(&event.id),
            Arg::from(&event.r#type),
            event.subject.as_deref().or_null(),
            Arg::from(&event.body),
            Arg::from(&event.body_hash),
            Arg::from(event.accepted_at),
            event.salt.as_ref().map(<[u8; 32]>::as_slice).or_null(),
        ]);
    }

    fn delivery(&mut self, state: &'a State<'_>, slot: Slot, delivery: &'a NewDelivery) {
        let seq = state.deliveries.state(slot, delivery.id.as_str()).seq;
        self.deliveries.push([
            tenant(state, slot),
            Arg::from(delivery.id.as_str()),
            Arg::Int(seq),
            delivery.event.as_ref().map(|event| event.as_str()).or_null(),
            delivery.event.as_ref().and_then(|event| state.event_seq(slot, event.as_str())).or_null(),
            Arg::from(&delivery.cause),
            Arg::from(delivery.rule.as_str()),
            Arg::count(delivery.rule_version),
            Arg::from(delivery.action.as_str()),
            Arg::from(delivery.channel.as_str()),
            Arg::from(&delivery.message),
            Arg::from(&delivery.message_salt),
            Arg::from(&delivery.message_commitment),
            Arg::from(&delivery.target),
            Arg::from(&delivery.target_salt),
            Arg::from(delivery.created_at),
            Arg::from(delivery.due_at),
        ]);
        let (ready_at, token) = match &delivery.claim {
            Some((token, until)) => (*until, Arg::from(&token.0)),
            None => (delivery.due_at, Arg::NullText),
        };
        self.queued.push([
            tenant(state, slot),
            Arg::Int(seq),
            Arg::from(delivery.due_at),
            Arg::from(ready_at),
            token,
        ]);
    }

    fn attempt(&mut self, state: &'a State<'_>, slot: Slot, attempt: &'a Attempt) {
        let follows = match &attempt.follows {
            Follows::Outcome(outcome) => format!(r#"{{"outcome":"{}"}}"#, outcome.as_str()),
            Follows::Retry { due_at, .. } => format!(r#"{{"dueAt":{}}}"#, due_at.as_microsecond()),
        };
        let salted = |part: &'a Option<(Vec<u8>, [u8; 32])>| {
            let part = part.as_ref();
            (part.map(|p| p.0.as_slice()).or_null(), part.map(|p| p.1.as_slice()).or_null())
        };
        let (request, request_salt) = salted(&attempt.request);
        let (response, response_salt) = salted(&attempt.response);
        self.attempts.push([
            tenant(state, slot),
            Arg::Int(state.deliveries.state(slot, attempt.delivery.as_str()).seq),
            Arg::Int(i64::from(attempt.attempt)),
            Arg::from(attempt.started_at),
            Arg::from(attempt.finished_at),
            Arg::from(&attempt.result),
            attempt.http_status.map(i64::from).or_null(),
            request,
            request_salt,
            response,
            response_salt,
            attempt.error.as_deref().or_null(),
            attempt.provider_reference.as_deref().or_null(),
            Arg::from(follows),
        ]);
    }

    async fn run(self, db: &mut Db<'_>, texts: &Texts) -> Result<(), StoreError> {
        let statements = [
            (
                self.events,
                "INSERT INTO events (tenant, key, seq, state, source, id, type, subject, body, body_hash, \
                 accepted_at, salt) SELECT @columns FROM @rows WHERE column1 IS NOT NULL",
            ),
            (
                self.planned,
                "UPDATE events SET state = 'planned', salt = v.column3 FROM @rows \
                 WHERE events.tenant = v.column1 AND events.key = v.column2",
            ),
            (
                self.deliveries,
                "INSERT INTO deliveries (tenant, id, seq, event, event_seq, cause, rule, rule_version, action, \
                 channel, message, message_salt, message_commitment, target, target_salt, created_at, due_at, \
                 state, next_attempt, updated_at) \
                 SELECT @columns, 'scheduled', 1, column16 FROM @rows WHERE column1 IS NOT NULL",
            ),
            (
                self.queued,
                "INSERT INTO work_queue (tenant, delivery_seq, due_at, ready_at, claim_token) \
                 SELECT @columns FROM @rows WHERE column1 IS NOT NULL",
            ),
            (
                self.attempts,
                "INSERT INTO attempts (tenant, delivery_seq, attempt, started_at, finished_at, result, \
                 http_status, request, request_salt, response, response_salt, error, provider_reference, follows) \
                 SELECT @columns FROM @rows WHERE column1 IS NOT NULL",
            ),
            (
                self.versions,
                "INSERT INTO document_versions (tenant, kind, id, version, digest, body, created_at) \
                 SELECT @columns FROM @rows WHERE column1 IS NOT NULL",
            ),
            (
                self.changes,
                "INSERT INTO document_changes (tenant, config_version, kind, id) \
                 SELECT @columns FROM @rows WHERE column1 IS NOT NULL",
            ),
            (
                self.keys,
                "INSERT INTO idempotency_keys (tenant, key, request_digest, status, answer, remembered_at) \
                 SELECT @columns FROM @rows WHERE column1 IS NOT NULL",
            ),
            (
                self.openings,
                "INSERT INTO openings (tenant, commitment, salt, bytes) \
                 SELECT @columns FROM @rows WHERE column1 IS NOT NULL ON CONFLICT (tenant, commitment) DO NOTHING",
            ),
        ];
        for (rows, sql) in statements {
            db.run_rows(texts, sql, rows).await?;
        }
        Ok(())
    }
}

/// Deliveries after their last attempt of this round, and their place in the work queue.
async fn recorded(db: &mut Db<'_>, texts: &Texts, state: &State<'_>) -> Result<(), StoreError> {
    let (mut changed, mut requeued, mut finished) = (Rows::default(), Rows::default(), Rows::default());
    for (slot, _, row) in &state.deliveries.rows {
        if let Some(until) = row.waits_until {
            let until = Arg::from(until);
            requeued.push([tenant(state, *slot), Arg::Int(row.seq), until.clone(), until, Arg::NullText]);
        }
        let (Some(recorded), Some(now)) = (&row.recorded, row.state) else { continue };
        let attempt = recorded.attempt;
        changed.push([
            tenant(state, *slot),
            Arg::Int(row.seq),
            Arg::from(now.as_str()),
            Arg::Int(i64::from(row.next_attempt)),
            Arg::from(&attempt.result),
            attempt.error.as_deref().or_null(),
            recorded.provider_reference.or_null(),
            Arg::from(attempt.finished_at),
        ]);
        match (&attempt.follows, now) {
            // An attempt of the same round, before the delivery was told to wait: its place is known.
            (_, DeliveryState::Scheduled) if row.waits_until.is_some() => {}
            (Follows::Retry { due_at, claim }, DeliveryState::Scheduled) => {
                let (ready_at, token) = match claim {
                    Some((token, until)) => (*until, Arg::from(&token.0)),
                    None => (*due_at, Arg::NullText),
                };
                requeued.push([
                    tenant(state, *slot),
                    Arg::Int(row.seq),
                    Arg::from(*due_at),
                    Arg::from(ready_at),
                    token,
                ]);
            }
            _ => finished.push([tenant(state, *slot), Arg::Int(row.seq)]),
        }
    }
    db.run_rows(
        texts,
        "UPDATE deliveries SET state = v.column3, next_attempt = v.column4, last_result = v.column5, \
         last_error = v.column6, provider_reference = COALESCE(v.column7, deliveries.provider_reference), \
         updated_at = v.column8 FROM @rows \
         WHERE deliveries.tenant = v.column1 AND deliveries.seq = v.column2",
        changed,
    )
    .await?;
    db.run_rows(
        texts,
        "UPDATE work_queue SET due_at = v.column3, ready_at = v.column4, claim_token = v.column5, slot_at = NULL FROM @rows \
         WHERE work_queue.tenant = v.column1 AND work_queue.delivery_seq = v.column2",
        requeued,
    )
    .await?;
    db.run_rows(
        texts,
        "DELETE FROM work_queue WHERE (tenant, delivery_seq) IN (SELECT @columns FROM @rows)",
        finished,
    )
    .await?;
    Ok(())
}

async fn documents(db: &mut Db<'_>, texts: &Texts, state: &State<'_>) -> Result<(), StoreError> {
    let (mut heads, mut channels, mut gone) = (Rows::default(), Rows::default(), Rows::default());
    for (slot, (kind, id), row) in state.documents.rows.iter().filter(|(_, _, row)| row.changed) {
        if *kind == Kind::Channel {
            channels.push([tenant(state, *slot), Arg::from(*id)]);
            gone.extend_if(row.deleted.then_some(*id), |id| [tenant(state, *slot), Arg::from(id)]);
        }
        heads.push([
            tenant(state, *slot),
            Arg::from(kind.as_str()),
            Arg::from(*id),
            Arg::count(row.version),
            Arg::Int(i64::from(row.deleted)),
        ]);
    }
    db.run_rows(
        texts,
        "INSERT INTO document_heads (tenant, kind, id, version, deleted) \
         SELECT @columns FROM @rows WHERE column1 IS NOT NULL \
         ON CONFLICT (tenant, kind, id) DO UPDATE SET version = excluded.version, deleted = excluded.deleted",
        heads,
    )
    .await?;
    // Who waits for a channel asks it again: it may take more now, or nothing at all.
    db.run_rows(
        texts,
        "UPDATE work_queue SET ready_at = due_at FROM @rows \
         WHERE work_queue.tenant = v.column1 AND work_queue.claim_token IS NULL \
         AND work_queue.ready_at > work_queue.due_at \
         AND EXISTS (SELECT 1 FROM deliveries d WHERE d.tenant = work_queue.tenant \
         AND d.seq = work_queue.delivery_seq AND d.channel = v.column2)",
        channels,
    )
    .await?;
    // Another channel of the same name starts clean.
    db.run_rows(
        texts,
        "DELETE FROM channel_state WHERE (tenant, channel) IN (SELECT @columns FROM @rows)",
        gone,
    )
    .await?;
    Ok(())
}

/// New tenants, and the counters and heads of all that were written to.
async fn tenants(
    db: &mut Db<'_>,
    texts: &Texts,
    state: &State<'_>,
    logs: &[(Slot, Appended)],
) -> Result<(), StoreError> {
    let (mut directory, mut new, mut heads, mut counts, mut timers) =
        (Rows::default(), Rows::default(), Rows::default(), Rows::default(), Rows::default());
    for (slot, log) in logs {
        let tenant = &state.tenants[*slot];
        let id = tenant.id.as_str();
        let counters = tenant.counters;
        if let Some(created) = &tenant.created {
            let at = Arg::from(created.created_at);
            directory.push([Arg::from(id), at.clone(), Arg::Int(counters.pending), Arg::Int(counters.dead)]);
            new.push([Arg::from(id), Arg::from(created.name), Arg::from(created.opaque), at]);
        } else if (counters.pending, counters.dead) != (0, 0) {
            counts.push([Arg::from(id), Arg::Int(counters.pending), Arg::Int(counters.dead)]);
        }
        if let Some(next) = counters.next_timer {
            timers.push([Arg::from(id), next.or_null()]);
        }
        heads.push([
            Arg::from(id),
            Arg::count(counters.config_version),
            Arg::Int(counters.event_seq),
            Arg::Int(counters.delivery_seq),
            Arg::from(&log.state.origin),
            Arg::count(log.state.range.size()),
            Arg::from(&log.root.0),
            Arg::from(log.state.range.to_bytes()),
            log.state.last_at.map_or(Arg::Int(0), Arg::from),
            Arg::from(&log.checkpoint),
            Arg::count(counters.noise_version),
        ]);
    }
    let statements = [
        (
            directory,
            "INSERT INTO tenants (id, created_at, pending_events, dead_deliveries) \
             SELECT @columns FROM @rows WHERE column1 IS NOT NULL",
        ),
        (
            new,
            "INSERT INTO tenant_heads (tenant, name, opaque, created_at, config_version, event_seq, delivery_seq, \
             log_origin, log_size, log_root, log_range, log_at, log_checkpoint) \
             SELECT @columns, 0, 0, 0, '', 0, @empty, @empty, 0, '' FROM @rows WHERE column1 IS NOT NULL",
        ),
        (
            heads,
            "UPDATE tenant_heads SET config_version = v.column2, event_seq = v.column3, \
             delivery_seq = v.column4, log_origin = v.column5, log_size = v.column6, log_root = v.column7, \
             log_range = v.column8, log_at = v.column9, log_checkpoint = v.column10, \
             noise_version = v.column11 FROM @rows \
             WHERE tenant_heads.tenant = v.column1",
        ),
        (
            counts,
            "UPDATE tenants SET pending_events = pending_events + v.column2, \
             dead_deliveries = dead_deliveries + v.column3 FROM @rows WHERE tenants.id = v.column1",
        ),
        (timers, "UPDATE tenants SET next_timer = v.column2 FROM @rows WHERE tenants.id = v.column1"),
    ];
    for (rows, sql) in statements {
        db.run_rows(texts, sql, rows).await?;
    }
    Ok(())
}

async fn ledger(
    db: &mut Db<'_>,
    texts: &Texts,
    state: &State<'_>,
    logs: &[(Slot, Appended)],
) -> Result<(), StoreError> {
    let (mut entries, mut tiles) = (Rows::default(), Rows::default());
    for (slot, entry) in
        logs.iter().flat_map(|(slot, log)| log.entries.iter().map(move |entry| (slot, entry)))
    {
        entries.push([
            tenant(state, *slot),
            Arg::count(entry.seq),
            Arg::from(entry.at),
            Arg::from(entry.kind.as_str()),
            Arg::from(&entry.about),
            state.event_seq(*slot, &entry.about).or_null(),
            state.delivery_seq(*slot, &entry.about).or_null(),
            Arg::from(&entry.payload),
            Arg::from(&entry.leaf_hash.0),
        ]);
    }
    for (slot, node) in logs.iter().flat_map(|(slot, log)| log.nodes.iter().map(move |node| (slot, node))) {
        tiles.push([
            tenant(state, *slot),
            Arg::Int(i64::from(node.level)),
            Arg::count(node.index),
            Arg::from(&node.hash.0),
        ]);
    }
    db.run_rows(
        texts,
        "INSERT INTO ledger_entries (tenant, seq, at, kind, about, event_seq, delivery_seq, payload, leaf_hash) \
         SELECT @columns FROM @rows WHERE column1 IS NOT NULL",
        entries,
    )
    .await?;
    db.run_rows(
        texts,
        "INSERT INTO ledger_tiles (tenant, level, tile, hash) SELECT @columns FROM @rows WHERE column1 IS NOT NULL",
        tiles,
    )
    .await?;
    Ok(())
}
