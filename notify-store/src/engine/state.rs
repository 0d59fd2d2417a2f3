//! What the commits of one round see: rows as read, then as changed by the commits judged before.
//!
//! Commits that share a transaction must not notice it. Each is judged against the rows in the database and against
//! everything that earlier commits of the round change; a refused one is undone here before anything is written.

use super::held::HeldRow;
use super::log::Log;
use super::quarantine::QuarantineRow;
use crate::model::{DeliveryState, EventState};
use notify_core::document::Kind;
use notify_core::ids::TenantId;
use notify_core::time::Timestamp;
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Index of a tenant in [`State::tenants`].
pub type Slot = usize;

/// Rows by key; a row that is not in the database is there as `None`-like state.
#[derive(Debug)]
pub struct Table<K, S> {
    index: HashMap<(Slot, K), usize>,
    pub rows: Vec<(Slot, K, S)>,
    /// Which of `rows` the database has to be asked for.
    ask: Vec<bool>,
}

impl<K, S> Default for Table<K, S> {
    fn default() -> Self {
        Self { index: HashMap::new(), rows: Vec::new(), ask: Vec::new() }
    }
}

impl<K: Hash + Eq + Copy, S: Default + Clone> Table<K, S> {
    /// The database will be asked for this row.
    pub fn want(&mut self, slot: Slot, key: K) {
        let at = self.place(slot, key, true);
        self.ask[at] = true;
    }

    /// A row that should not exist yet. When that is trusted the database is not asked: the insert will say.
    pub fn new_row(&mut self, slot: Slot, key: K, trust: bool) {
        let at = self.place(slot, key, !trust);
        self.ask[at] |= !trust;
    }

    fn place(&mut self, slot: Slot, key: K, ask: bool) -> usize {
        let next = self.rows.len();
        let position = *self.index.entry((slot, key)).or_insert(next);
        if position == next {
            self.rows.push((slot, key, S::default()));
            self.ask.push(ask);
        }
        position
    }

    /// The rows that have to be read, with their positions.
    pub fn asked(&self) -> impl Iterator<Item = (usize, &(Slot, K, S))> {
        self.rows.iter().enumerate().filter(|(at, _)| self.ask[*at])
    }

    /// This row is known from elsewhere.
    pub fn recall(&mut self, at: usize, row: S) {
        self.rows[at].2 = row;
        self.ask[at] = false;
    }

    /// Position of a row. Every key of a commit is named before it is judged.
    pub fn find(&self, slot: Slot, key: K) -> Option<usize> {
        self.index.get(&(slot, key)).copied()
    }

    pub fn state(&self, slot: Slot, key: K) -> S {
        self.find(slot, key).map_or_else(S::default, |position| self.rows[position].2.clone())
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub struct EventRow {
    pub state: Option<EventState>,
    pub seq: i64,
}

#[derive(Debug, Clone, Default)]
pub struct DeliveryRow<'c> {
    /// `None`: no such delivery.
    pub state: Option<DeliveryState>,
    pub seq: i64,
    pub next_attempt: u32,
    pub token: Option<Cow<'c, str>>,
    /// Set by the last attempt that this round records.
    pub recorded: Option<Recorded<'c>>,
    /// It was given back without an attempt.
    pub waits_until: Option<Timestamp>,
}

/// What a recorded attempt leaves on the delivery's row and in the work queue.
#[derive(Debug, Clone, Copy)]
pub struct Recorded<'c> {
    pub attempt: &'c crate::model::Attempt,
    /// Kept from an earlier attempt of the same round.
    pub provider_reference: Option<&'c str>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct DocumentRow {
    /// 0: never written.
    pub version: u64,
    pub deleted: bool,
    pub changed: bool,
}

impl DocumentRow {
    pub const fn current(self) -> Option<u64> {
        if self.version == 0 || self.deleted { None } else { Some(self.version) }
    }
}

#[derive(Debug, Clone, Copy, Default)]
pub struct KeyRow {
    pub taken: bool,
}

/// The part of a tenant that a refused commit gives back.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counters {
    pub exists: bool,
    pub config_version: u64,
    pub event_seq: i64,
    pub delivery_seq: i64,
    pub noise_version: u64,
    /// The tenant's first timer, where this round changes it.
    pub next_timer: Option<Option<Timestamp>>,
    /// Changes, not totals.
    pub pending: i64,
    pub dead: i64,
}

#[derive(Debug, Clone)]
pub struct LeaseRow {
    pub holder: String,
    pub epoch: u64,
    /// Microseconds, on the database's clock.
    pub expires_at: i64,
    pub runs: bool,
}

/// What is known of a tenant's owner lease.
#[derive(Debug, Clone, Default)]
pub enum Lease {
    #[default]
    NotRead,
    None,
    Held(LeaseRow),
}

/// A scheduled delivery whose claim was given by a commit of this writer.
#[derive(Debug, Clone)]
pub struct ClaimRow {
    pub seq: i64,
    pub next_attempt: u32,
    pub token: String,
}

#[derive(Debug)]
pub struct NewTenant<'c> {
    pub name: &'c str,
    pub opaque: &'c str,
    pub created_at: Timestamp,
}

#[derive(Debug)]
pub struct Tenant<'c> {
    pub id: &'c TenantId,
    /// The id as a value that many rows share.
    pub name: Arc<str>,
    pub counters: Counters,
    pub log: Option<Log>,
    pub lease: Lease,
    /// Claims of this tenant's deliveries that need not be read.
    pub claims: HashMap<String, ClaimRow>,
    pub created: Option<NewTenant<'c>>,
    /// The database's time, truncated to milliseconds.
    pub now: Timestamp,
    /// Some commit of this round is written.
    pub touched: bool,
}

#[derive(Debug, Default)]
pub struct State<'c> {
    pub tenants: Vec<Tenant<'c>>,
    slots: HashMap<&'c str, Slot>,
    pub events: Table<&'c str, EventRow>,
    pub deliveries: Table<&'c str, DeliveryRow<'c>>,
    pub documents: Table<(Kind, &'c str), DocumentRow>,
    pub keys: Table<&'c str, KeyRow>,
    pub quarantine: Table<&'c str, QuarantineRow<'c>>,
    pub held: Table<&'c str, HeldRow<'c>>,
    undo: Vec<Undo<'c>>,
}

#[derive(Debug)]
enum Undo<'c> {
    Event(usize, EventRow),
    Delivery(usize, DeliveryRow<'c>),
    Document(usize, DocumentRow),
    Key(usize, KeyRow),
    Quarantine(usize, QuarantineRow<'c>),
    Held(usize, HeldRow<'c>),
    Counters(Slot, Counters),
    Created(Slot),
}

impl<'c> State<'c> {
    pub fn slot(&mut self, id: &'c TenantId) -> Slot {
        let next = self.tenants.len();
        let slot = *self.slots.entry(id.as_str()).or_insert(next);
        if slot == next {
            self.tenants.push(Tenant {
                id,
                name: id.as_str().into(),
                counters: Counters::default(),
                log: None,
                lease: Lease::NotRead,
                claims: HashMap::new(),
                created: None,
                now: Timestamp::UNIX_EPOCH,
                touched: false,
            });
        }
        slot
    }

    /// Number of an event that is in the store, or comes into it in this round.
    pub fn event_seq(&self, slot: Slot, key: &str) -> Option<i64> {
        let events: &Table<&str, EventRow> = &self.events;
        let row = &events.rows[events.find(slot, key)?].2;
        row.state.map(|_| row.seq)
    }
    /// Number of a delivery that is in the store, or comes into it in this round.
    pub fn delivery_seq(&self, slot: Slot, id: &str) -> Option<i64> {
        let deliveries: &Table<&str, DeliveryRow<'_>> = &self.deliveries;
        let row = &deliveries.rows[deliveries.find(slot, id)?].2;
        row.state.map(|_| row.seq)
    }

    pub fn set_event(&mut self, slot: Slot, key: &'c str, row: EventRow) {
        if let Some(at) = self.events.find(slot, key) {
            let old = std::mem::replace(&mut self.events.rows[at].2, row);
            self.undo.push(Undo::Event(at, old));
        }
    }
    pub fn set_delivery(&mut self, slot: Slot, id: &'c str, row: DeliveryRow<'c>) {
        if let Some(at) = self.deliveries.find(slot, id) {
            let old = std::mem::replace(&mut self.deliveries.rows[at].2, row);
            self.undo.push(Undo::Delivery(at, old));
        }
    }
    pub fn set_document(&mut self, slot: Slot, key: (Kind, &'c str), row: DocumentRow) {
        if let Some(at) = self.documents.find(slot, key) {
            let old = std::mem::replace(&mut self.documents.rows[at].2, row);
            self.undo.push(Undo::Document(at, old));
        }
    }
    pub fn set_key(&mut self, slot: Slot, key: &'c str, row: KeyRow) {
        if let Some(at) = self.keys.find(slot, key) {
            let old = std::mem::replace(&mut self.keys.rows[at].2, row);
            self.undo.push(Undo::Key(at, old));
        }
    }
    pub fn set_quarantine(&mut self, slot: Slot, id: &'c str, row: QuarantineRow<'c>) {
        if let Some(at) = self.quarantine.find(slot, id) {
            let old = std::mem::replace(&mut self.quarantine.rows[at].2, row);
            self.undo.push(Undo::Quarantine(at, old));
        }
    }
    pub fn set_held(&mut self, slot: Slot, id: &'c str, row: HeldRow<'c>) {
        if let Some(at) = self.held.find(slot, id) {
            let old = std::mem::replace(&mut self.held.rows[at].2, row);
            self.undo.push(Undo::Held(at, old));
        }
    }
    pub fn count(&mut self, slot: Slot, change: impl FnOnce(&mut Counters)) {
        let counters = &mut self.tenants[slot].counters;
        self.undo.push(Undo::Counters(slot, *counters));
        change(counters);
    }
    pub fn create(&mut self, slot: Slot, tenant: NewTenant<'c>, log: Log) {
        self.count(slot, |counters| counters.exists = true);
        self.tenants[slot].created = Some(tenant);
        self.tenants[slot].log = Some(log);
        self.undo.push(Undo::Created(slot));
    }

    /// The commit stands.
    pub fn keep(&mut self, slot: Slot) {
        self.undo.clear();
        self.tenants[slot].touched = true;
    }

    /// The commit is refused: as if it had never been seen.
    pub fn undo(&mut self) {
        while let Some(step) = self.undo.pop() {
            match step {
                Undo::Event(at, row) => self.events.rows[at].2 = row,
                Undo::Delivery(at, row) => self.deliveries.rows[at].2 = row,
                Undo::Document(at, row) => self.documents.rows[at].2 = row,
                Undo::Key(at, row) => self.keys.rows[at].2 = row,
                Undo::Quarantine(at, row) => self.quarantine.rows[at].2 = row,
                Undo::Held(at, row) => self.held.rows[at].2 = row,
                Undo::Counters(slot, counters) => self.tenants[slot].counters = counters,
                Undo::Created(slot) => {
                    self.tenants[slot].created = None;
                    self.tenants[slot].log = None;
                }
            }
        }
    }
}
