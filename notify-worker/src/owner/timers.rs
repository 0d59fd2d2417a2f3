//! Held alerts whose time has come, and digests whose windows are over: judged, and committed as any decision is.

use super::Owner;
use super::memory::Noted;
use super::plans::Batch;
use crate::clock::{after, entropy};
use notify_core::event::Event;
use notify_core::ids::TenantId;
use notify_core::ledger::commitment::Commitment;
use notify_core::noise::{Remembered, StateKey, Window};
use notify_core::plan::{
    Collected, HeldAlert, Judgement, Place, Shown, Snapshot, arm, flush, release, retained,
};
use notify_core::time::Timestamp;
use notify_store::model::DigestItem;
use notify_store::{Effect, Store, StoreError};
use std::collections::HashMap;

/// A timer that cannot fire is tried again after this long.
const POSTPONED: std::time::Duration = std::time::Duration::from_secs(3_600);
/// Timers of one commit.
const AT_ONCE: usize = 64;

impl Owner {
    /// Fires what is due at `now`, in order of (due, key); true: there may be more. Nothing else of this tenant is under
    /// way: what a digest collected is durable.
    pub(super) async fn fire(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        if !self.hold_lease().await? {
            // Their owner fires them; we look again until it has.
            self.memory = None;
            self.behind = true;
            return Ok(false);
        }
        // An idle owner's lease has run out meanwhile, and its memory went with it.
        self.load_memory().await?;
        let snapshot = self.shared.snapshots.get(&self.tenant).await?;
        let at = self.logical(now);
        let (mut batch, mut noted) = (Batch::default(), Noted::default());
        let Some(memory) = &self.memory else { return Ok(false) };
        let due: Vec<(StateKey, Remembered)> = memory
            .state
            .due(now.as_microsecond())
            .take(if self.one_by_one { 1 } else { AT_ONCE })
            .filter_map(|(_, key)| Some((key, memory.state.get(&key)?.clone())))
            .collect();
        for (key, timer) in &due {
            let fired = match timer {
                Remembered::Held(_) => self.release(*key, &snapshot, at, &mut batch, &mut noted).await,
                Remembered::Window(window) => {
                    self.flush(*key, window, &snapshot, at, &mut batch, &mut noted).await
                }
                _ => Ok(()),
            };
            match fired {
                Ok(()) => {}
                // One that cannot be read must not stop the others.
                Err(StoreError::Corrupt(what)) => {
                    tracing::error!(tenant = %self.tenant, %key, %what, "a timer cannot fire; it is tried again in an hour");
                    self.postpone(*key, timer, at, &mut noted);
                }
                Err(error) => return Err(error),
            }
        }
        match (self.commit_now(batch, noted, &snapshot).await, due.as_slice()) {
            (Ok(more), _) => {
                self.one_by_one = false;
                Ok(more)
            }
            (Err(StoreError::Refused(refused)), [(key, timer)]) => {
                tracing::error!(tenant = %self.tenant, %key, %refused, "a timer cannot be written; it is tried again in an hour");
                self.recover();
                let mut noted = Noted::default();
                self.postpone(*key, timer, at, &mut noted);
                self.commit_now(Batch::default(), noted, &snapshot).await
            }
            (Err(StoreError::Refused(refused)), _) => {
                tracing::warn!(tenant = %self.tenant, %refused, "timers are fired one by one");
                self.one_by_one = true;
                Ok(true)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Later once more, without a judgement.
    fn postpone(&mut self, key: StateKey, timer: &Remembered, at: Timestamp, noted: &mut Noted) {
        let Some(memory) = &mut self.memory else { return };
        let later = after(at, POSTPONED).as_microsecond();
        let timer = match timer {
            Remembered::Window(window) => {
                Remembered::Window(Box::new(Window { closes_at: later, ..(**window).clone() }))
            }
            _ => Remembered::Held(later),
        };
        memory.note(noted, vec![(key, Some(timer))]);
    }

    /// Opens the periods of digests that are sent even if nothing happens.
    pub(super) async fn arm(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        if !self.hold_lease().await? {
            self.memory = None;
            return Ok(false);
        }
        self.load_memory().await?;
        let snapshot = self.shared.snapshots.get(&self.tenant).await?;
        let Some(memory) = &mut self.memory else { return Ok(false) };
        memory.armed_for = Some(snapshot.config_version);
        let changes = arm(&snapshot, &memory.state, now);
        if changes.is_empty() {
            return Ok(false);
        }
        let mut noted = Noted::default();
        memory.note(&mut noted, changes);
        self.commit_now(Batch::default(), noted, &snapshot).await
    }

    async fn release(
        &mut self,
        key: StateKey,
        snapshot: &Snapshot,
        at: Timestamp,
        batch: &mut Batch,
        noted: &mut Noted,
    ) -> Result<(), StoreError> {
        let Some(memory) = &mut self.memory else { return Ok(()) };
        let found = match key.to_held() {
            Some(id) => self.shared.store.held_alert(&self.tenant, &id).await?,
            None => None,
        };
        let Some(row) = found else {
            tracing::error!(tenant = %self.tenant, %key, "a held alert is gone; its timer is dropped");
            memory.note(noted, vec![(key, None)]);
            return Ok(());
        };
        let event = stored_event(&self.shared.store, &self.tenant, &row.event).await?;
        let Some(message_commitment) = Commitment::parse(&row.message_commitment) else {
            return Err(StoreError::Corrupt(format!("the message commitment of {} cannot be read", row.id)));
        };
        let held = HeldAlert {
            id: &row.id,
            event: &event,
            rule: &row.rule,
            rule_version: row.rule_version,
            action: &row.action,
            channel: &row.channel,
            message_json: &row.message,
            message_salt: row.message_salt,
            message_commitment,
        };
        let entropy = drawn()?;
        let released = release(snapshot, &held, at, &entropy, &memory.state);
        memory.note(noted, released.changes);
        match released.judgement {
            Judgement::Hold { until } => {
                batch.effects.push(Effect::HoldLonger { id: row.id.clone(), until });
            }
            Judgement::Send | Judgement::Cancel => {
                batch.effects.push(Effect::EndHold { id: row.id.clone() });
                // A cancelled message has no delivery whose row would hold its opening.
                if released.delivery.is_none() {
                    batch.effects.push(Effect::KeepOpening(notify_store::model::Opening {
                        commitment: message_commitment.hex(),
                        salt: row.message_salt,
                        bytes: row.message.clone().into_bytes(),
                    }));
                }
            }
        }
        batch.entries.push(released.entry);
        let event = Some(row.event);
        batch.deliver(released.delivery, event, self.shared.clock.now(), &self.dispatcher, snapshot);
        Ok(())
    }

    async fn flush(
        &mut self,
        key: StateKey,
        window: &Window,
        snapshot: &Snapshot,
        at: Timestamp,
        batch: &mut Batch,
        noted: &mut Noted,
    ) -> Result<(), StoreError> {
        let store = &self.shared.store;
        let items = store.digest_items(&self.tenant, &window.id).await?;
        let places: Vec<Place> =
            items.iter().map(|i| Place { number: i.item.number, severity: i.item.severity }).collect();
        let mut entries: Vec<u64> = items.iter().filter_map(|item| item.entry).collect();
        entries.sort_unstable();
        entries.dedup();
        let mut owners: Vec<_> = items.iter().map(|i| (i.item.rule.clone(), i.item.action.clone())).collect();
        owners.sort();
        owners.dedup();
        let by_number: HashMap<u32, &DigestItem> = items.iter().map(|i| (i.item.number, i)).collect();
        let mut shown = Vec::new();
        for number in retained(snapshot, window, &places) {
            let Some(DigestItem { item, .. }) = by_number.get(&number) else { continue };
            let event = stored_event(store, &self.tenant, &item.event).await?;
            let (rule, action) = (item.rule.clone(), item.action.clone());
            shown.push(Shown { event: event.value, rule, action, severity: item.severity, at: item.at });
        }
        let entropy = drawn()?;
        let flushed = flush(snapshot, key, window, Collected { entries, shown, owners }, at, &entropy);
        let Some(memory) = &mut self.memory else { return Ok(()) };
        memory.note(noted, flushed.changes);
        let over = !matches!(flushed.judgement, Some(Judgement::Hold { .. }));
        if let Some(entry) = flushed.entry {
            batch.entries.push(entry);
            batch.effects.push(if over {
                Effect::EndDigest { digest: window.id.clone() }
            } else {
                Effect::RecordOnly
            });
        }
        batch.coalesced += u64::from(window.count) * u64::from(flushed.delivery.is_some());
        batch.deliver(flushed.delivery, None, self.shared.clock.now(), &self.dispatcher, snapshot);
        Ok(())
    }
}

async fn stored_event(
    store: &Store,
    tenant: &TenantId,
    key: &notify_core::ids::EventKey,
) -> Result<Event, StoreError> {
    let gone = || StoreError::Corrupt(format!("the stored event {key} is gone"));
    let stored = store.event(tenant, key).await?.ok_or_else(gone)?;
    Event::stored(tenant, &stored.event.body)
        .map_err(|problem| StoreError::Corrupt(format!("the stored event {key} cannot be read: {problem}")))
}

fn drawn() -> Result<[u8; 32], StoreError> {
    entropy().map_err(|error| StoreError::Corrupt(format!("no entropy: {error}")))
}
