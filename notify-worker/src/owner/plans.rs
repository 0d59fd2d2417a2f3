//! From events to one commit: plan within the budget, claim what can be sent at once, submit, and answer when durable.

use super::memory::Noted;
use super::{Item, Landed, MAX_TRIES, Owner, refuse};
use crate::clock::{after, entropy};
use crate::dispatch::{Dispatcher, Ready, Slot};
use crate::metrics::Suppressed;
use crate::planning::Place;
use crate::worker::{Accepted, Shared, unavailable};
use notify_core::event::Event;
use notify_core::ids::{EventKey, TenantId};
use notify_core::ledger::EntryDraft;
use notify_core::noise::NoiseState;
use notify_core::plan::{Planned, PlannedDelivery, PlannedItem, Snapshot};
use notify_core::time::{Timestamp, logical};
use notify_store::model::{NewDelivery, NewDigestItem, NewEvent, NewHeld};
use notify_store::{Bookkeeping, Commit, Committed, Effect, Guard, Refused, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// Pending events are planned and committed together for at most this long: the lease has to outlive the commit, and
/// what comes in meanwhile waits.
const CATCH_UP_BUDGET: Duration = Duration::from_millis(250);
/// How long to wait for a lease that somebody else holds.
const NOT_OWNER_PAUSE: Duration = Duration::from_millis(500);
/// How long to wait after the store failed.
const AFTER_A_FAULT: Duration = Duration::from_millis(500);

/// What a planned batch writes, and what is sent once that is durable.
#[derive(Default)]
pub(super) struct Batch {
    pub effects: Vec<Effect>,
    pub entries: Vec<EntryDraft>,
    ready: Vec<(Slot, Ready)>,
    /// Deliveries for which there was no place: they wait in the store's queue.
    queued: u64,
    suppressed: Suppressed,
    /// Alerts that digests of this batch stand for.
    pub coalesced: u64,
}

/// What happens once a batch is durable.
struct Launch {
    ready: Vec<(Slot, Ready)>,
    queued: u64,
    suppressed: Suppressed,
    coalesced: u64,
}

impl Owner {
    /// Plans in order until the budget is used up; what is left is accepted alone and planned later. Stops before an
    /// event that a timer goes before.
    pub(super) async fn plan_and_commit(&mut self, items: Vec<Item>, snapshot: &Snapshot) {
        let started = self.shared.clock.now();
        let late_from = after(started, self.shared.options.plan_budget);
        let (mut batch, mut noted) = (Batch::default(), Noted::default());
        let mut planned = Vec::with_capacity(items.len());
        let mut rest = items.into_iter();
        while let Some(item) = rest.next() {
            let now = self.shared.clock.now();
            let at = self.logical(started);
            if self.memory.as_ref().is_none_or(|memory| memory.is_due(at)) {
                self.waiting.push(item);
                self.waiting.extend(rest.by_ref());
                break;
            }
            let Ok(entropy) = entropy() else {
                tracing::error!("the operating system gives no entropy; planning has to wait");
                self.accept_pending(vec![item]);
                break;
            };
            let mut plan = self.plan(snapshot, &item.event, at, &entropy, None).await;
            if let Some(memory) = &mut self.memory {
                memory.note(&mut noted, std::mem::take(&mut plan.changes));
            }
            let event = new_event(&item.event, started, Some(plan.event_salt));
            batch.effects.push(Effect::AcceptPlanned(Box::new(event)));
            batch.take(plan, &item.event.key, now, &self.dispatcher, snapshot);
            planned.push(item);
            if now >= late_from {
                break;
            }
        }
        if !planned.is_empty() {
            let (commit, launch) = batch.finish(&self.tenant);
            let (commit, version) = self.guarded(commit, noted, snapshot);
            self.submit(commit, planned, started, false, launch, version);
        }
        let late: Vec<Item> = rest.collect();
        if !late.is_empty() {
            self.accept_pending(late);
        }
    }

    /// Makes events durable without a plan.
    pub(super) fn accept_pending(&mut self, items: Vec<Item>) {
        let now = self.shared.clock.now();
        let accept = |item: &Item| Bookkeeping::AcceptPending(Box::new(new_event(&item.event, now, None)));
        let commit = Commit::bookkeeping(self.tenant.clone(), items.iter().map(accept).collect());
        let nothing = Launch { ready: vec![], queued: 0, suppressed: Suppressed::default(), coalesced: 0 };
        self.submit(commit, items, now, true, nothing, None);
    }

    /// Plans one batch of what the store holds as pending, oldest first.
    pub(super) async fn catch_up(&mut self) {
        match self.catch_up_once().await {
            Ok(more) => self.behind = more,
            Err(error) => {
                tracing::error!(tenant = %self.tenant, %error, "pending events could not be planned; trying again");
                // Plans of this batch are remembered and will not be written: repeats of nothing.
                self.memory = None;
                self.behind = true;
                self.look_again_at = Some(after(self.shared.clock.now(), AFTER_A_FAULT));
            }
        }
    }

    async fn catch_up_once(&mut self) -> Result<bool, StoreError> {
        // Waited for before the lease is looked at, and held for one batch: however many tenants wait, the lease is still
        // held when the batch is committed.
        let shared = Arc::clone(&self.shared);
        let place = if self.cost.is_expensive() { shared.planning.place().await } else { None };
        if !self.hold_lease().await? {
            // Somebody else plans this tenant, or its last owner's lease still runs.
            let now = self.shared.clock.now();
            self.look_again_at = Some(after(now, NOT_OWNER_PAUSE));
            let waits = !shared.store.pending_events(&self.tenant, 1).await?.is_empty();
            return Ok(waits || shared.store.timers_due(now).await?.contains(&self.tenant));
        }
        self.load_memory().await?;
        let limit = u32::try_from(self.shared.options.batch).unwrap_or(u32::MAX);
        let pending = self.shared.store.pending_events(&self.tenant, limit).await?;
        let snapshot = self.shared.snapshots.get(&self.tenant).await?;
        if pending.is_empty() {
            // While many timers are still due, what comes in is made durable and planned after them.
            let now = self.due_by();
            return Ok(self.memory.as_ref().is_some_and(|memory| memory.is_due(now)));
        }
        let (mut batch, mut noted) = (Batch::default(), Noted::default());
        let enough = after(self.shared.clock.now(), CATCH_UP_BUDGET);
        for stored in pending {
            let event = match Event::stored(&self.tenant, &stored.event.body) {
                Ok(event) => event,
                Err(problem) => {
                    let what = format!("the stored event {} cannot be read: {problem}", stored.event.key);
                    return Err(StoreError::Corrupt(what));
                }
            };
            let now = self.shared.clock.now();
            let at = self.logical(stored.event.accepted_at);
            if self.memory.as_ref().is_none_or(|memory| memory.is_due(at)) {
                break;
            }
            let entropy = entropy().map_err(|error| StoreError::Corrupt(format!("no entropy: {error}")))?;
            let mut plan = self.plan(&snapshot, &event, at, &entropy, place.as_ref()).await;
            if let Some(memory) = &mut self.memory {
                memory.note(&mut noted, std::mem::take(&mut plan.changes));
            }
            batch.effects.push(Effect::MarkPlanned { key: event.key.clone(), salt: plan.event_salt });
            batch.take(plan, &event.key, now, &self.dispatcher, &snapshot);
            if self.shared.clock.now() >= enough {
                break;
            }
        }
        drop(place);
        self.commit_now(batch, noted, &snapshot).await
    }

    /// Writes a batch and waits for it; true: there may be more to do.
    pub(super) async fn commit_now(
        &mut self,
        batch: Batch,
        noted: Noted,
        snapshot: &Snapshot,
    ) -> Result<bool, StoreError> {
        let (commit, launch) = batch.finish(&self.tenant);
        let (commit, version) = self.guarded(commit, noted, snapshot);
        if commit.effects().is_empty() && commit.bookkeeping.is_empty() {
            return Ok(true);
        }
        match self.shared.store.commit(commit).await {
            Ok(committed) => {
                self.remembered(version, None);
                launch.go(&self.shared, &self.dispatcher, &committed);
                Ok(true)
            }
            Err(error) => {
                self.remembered(version, Some(&error));
                match error {
                    StoreError::Refused(Refused::LeaseLost) => self.lost_lease(),
                    StoreError::Refused(Refused::NoiseChanged { .. }) => {}
                    StoreError::Refused(Refused::ConfigChanged { .. } | Refused::NotPending { .. }) => {
                        self.shared.snapshots.reload(&self.tenant).await?;
                    }
                    error => {
                        wake_if_in_doubt(&error, &self.dispatcher);
                        return Err(error);
                    }
                }
                Ok(true)
            }
        }
    }

    /// [`notify_core::plan::plan`], where it does not hold up others.
    async fn plan(
        &mut self,
        snapshot: &Snapshot,
        event: &Event,
        at: Timestamp,
        entropy: &[u8; 32],
        place: Option<&Place<'_>>,
    ) -> Planned {
        let expected = self.cost.expect(event.body.len(), snapshot.rule_count());
        let shared = &self.shared;
        let nothing = NoiseState::default();
        let state = self.memory.as_ref().map_or(&nothing, |memory| &memory.state);
        let plan = || shared.metrics.plan(snapshot, event, at, entropy, state);
        let (planned, took) = shared.planning.run(expected, place, plan).await;
        self.cost.learn(event.body.len(), took);
        planned
    }

    pub(super) fn logical(&mut self, accepted_at: Timestamp) -> Timestamp {
        let at = logical(accepted_at, self.last_logical);
        self.last_logical = Some(at);
        at
    }

    /// With everything that its plans relied on, and what noise control remembers of them.
    fn guarded(&mut self, mut commit: Commit, noted: Noted, snapshot: &Snapshot) -> (Commit, Option<u64>) {
        if let Some((lease, _)) = &self.lease {
            commit = commit.guarded(Guard::Lease { holder: lease.holder.clone(), epoch: lease.epoch });
        }
        commit = commit.guarded(Guard::ConfigVersion(snapshot.config_version));
        let now = self.last_logical.unwrap_or(Timestamp::UNIX_EPOCH);
        let Some(memory) = &mut self.memory else { return (commit, None) };
        let (guard, written, version) = memory.depart(noted, now);
        commit.bookkeeping.extend(written);
        (commit.guarded(guard), version)
    }

    /// A batch that noise control is part of has landed.
    pub(super) fn remembered(&mut self, version: Option<u64>, error: Option<&StoreError>) {
        let Some(memory) = &mut self.memory else { return };
        match (version, error) {
            (Some(version), None) => memory.landed(version),
            (_, Some(StoreError::Refused(Refused::LeaseLost))) => memory.refused(false),
            // Refused because of one before it that was: then it is taken back with that one. Otherwise somebody else wrote.
            (_, Some(StoreError::Refused(Refused::NoiseChanged { .. }))) => {
                let follows = memory.follows_one_of_ours(version);
                memory.refused(follows);
            }
            (Some(_), Some(error)) => memory.refused(matches!(error, StoreError::Refused(_))),
            (None, _) => {}
        }
    }

    fn submit(
        &mut self,
        commit: Commit,
        items: Vec<Item>,
        accepted_at: Timestamp,
        pending: bool,
        launch: Launch,
        version: Option<u64>,
    ) {
        let answer = self.shared.store.submit(commit);
        let shared = Arc::clone(&self.shared);
        let dispatcher = self.dispatcher.clone();
        self.commits.spawn(async move {
            let keys: Vec<EventKey> = items.iter().map(|item| item.event.key.clone()).collect();
            let outcome = answer.await.unwrap_or(Err(StoreError::Closed));
            match outcome {
                Ok(committed) => {
                    // Deliveries leave before the answers do: both are due, and people wait for alerts.
                    launch.go(&shared, &dispatcher, &committed);
                    shared.metrics.accepted.add(items.len() as u64);
                    for item in items {
                        let key = item.event.key.clone();
                        let _ = item.answer.send(Ok(Accepted { key, duplicate: false, accepted_at }));
                    }
                    Landed {
                        keys,
                        accepted_at: Some(accepted_at),
                        again: vec![],
                        error: None,
                        pending,
                        version,
                    }
                }
                Err(error) => {
                    wake_if_in_doubt(&error, &dispatcher);
                    Landed { version, ..not_written(keys, items, error) }
                }
            }
        });
    }
}

/// The commit may have been written, with deliveries that are claimed and that nobody sends. Whoever waits for the queue
/// has to learn that their claims will run out.
fn wake_if_in_doubt(error: &StoreError, dispatcher: &Dispatcher) {
    if matches!(error, StoreError::InDoubt(_)) {
        dispatcher.wake_poll();
    }
}

/// Some refusals are cured by looking again: the lease, the configuration or the store's events have moved on. After
/// a database error the same look tells whether the commit was written after all.
fn not_written(keys: Vec<EventKey>, items: Vec<Item>, error: StoreError) -> Landed {
    let curable = matches!(
        &error,
        StoreError::Database(_)
            | StoreError::InDoubt(_)
            | StoreError::Refused(
                Refused::LeaseLost
                    | Refused::ConfigChanged { .. }
                    | Refused::NoiseChanged { .. }
                    | Refused::EventExists { .. }
                    | Refused::DeliveryExists(_)
            )
    );
    // One event that cannot be written must not take its neighbours with it: each gets a try of its own.
    let apart = !curable && items.len() > 1 && !matches!(error, StoreError::Closed);
    let (mut again, given_up): (Vec<Item>, Vec<Item>) =
        items.into_iter().partition(|item| (curable || apart) && item.tries < MAX_TRIES);
    for item in &mut again {
        item.tries += 1;
        item.alone |= apart;
    }
    if !given_up.is_empty() {
        if let StoreError::Refused(Refused::NoTenant) = &error {
            for item in given_up {
                let _ = item.answer.send(Err(unavailable("the tenant does not exist")));
            }
        } else {
            refuse(given_up, &error);
        }
    }
    Landed { keys, accepted_at: None, again, error: Some(error), pending: false, version: None }
}

impl Launch {
    fn go(self, shared: &Shared, dispatcher: &Dispatcher, committed: &Committed) {
        shared.metrics.entries.add(committed.seqs.len() as u64);
        shared.metrics.suppressed(&self.suppressed);
        shared.metrics.coalesced.add(self.coalesced);
        for (slot, ready) in self.ready {
            dispatcher.start(slot, ready);
        }
        if self.queued > 0 {
            dispatcher.wake_poll();
        }
    }
}

fn new_event(event: &Event, accepted_at: Timestamp, salt: Option<[u8; 32]>) -> NewEvent {
    NewEvent {
        key: event.key.clone(),
        source: event.source.clone(),
        id: event.id.clone(),
        r#type: event.r#type.clone(),
        subject: event.subject.clone(),
        body: event.body.clone(),
        body_hash: event.body_hash,
        accepted_at,
        salt,
    }
}

impl Batch {
    fn finish(self, tenant: &TenantId) -> (Commit, Launch) {
        let commit = Commit::new(tenant.clone(), self.effects, self.entries);
        let Self { ready, queued, suppressed, coalesced, .. } = self;
        (commit, Launch { ready, queued, suppressed, coalesced })
    }

    /// Takes over one plan.
    fn take(
        &mut self,
        plan: Planned,
        event: &EventKey,
        now: Timestamp,
        dispatcher: &Dispatcher,
        snapshot: &Snapshot,
    ) {
        self.entries.push(plan.entry);
        self.suppressed.note(&plan.decisions);
        for hold in plan.holds {
            let held = NewHeld {
                id: hold.id,
                event: event.clone(),
                rule: hold.rule,
                rule_version: hold.rule_version,
                action: hold.action,
                channel: hold.channel,
                control: hold.control.as_str().to_owned(),
                message: hold.message_json,
                message_salt: hold.message_salt,
                message_commitment: hold.message_commitment.to_string(),
                held_at: now,
                release_at: hold.release_at,
            };
            self.effects.push(Effect::Hold(Box::new(held)));
        }
        for item in plan.items {
            let PlannedItem { digest, number, rule, action, severity } = item;
            let item =
                NewDigestItem { digest, number, event: event.clone(), rule, action, severity, at: now };
            self.effects.push(Effect::AddToDigest(Box::new(item)));
        }
        for planned in plan.deliveries {
            self.deliver(Some(planned), Some(event.clone()), now, dispatcher, snapshot);
        }
    }

    /// A delivery for which there is room is claimed in the same commit and sent as soon as that is durable; the others
    /// wait in the queue.
    pub fn deliver(
        &mut self,
        planned: Option<PlannedDelivery>,
        event: Option<EventKey>,
        now: Timestamp,
        dispatcher: &Dispatcher,
        snapshot: &Snapshot,
    ) {
        let Some(planned) = planned else { return };
        let slot = dispatcher.reserve_for_new(&snapshot.tenant, &planned.channel);
        let claim = slot.as_ref().map(|_| dispatcher.new_claim(&planned.channel, snapshot, now));
        let delivery = NewDelivery {
            id: planned.id,
            event,
            cause: planned.cause,
            rule: planned.rule,
            rule_version: planned.rule_version,
            action: planned.action,
            channel: planned.channel,
            message: planned.message_json,
            message_salt: planned.message_salt,
            message_commitment: planned.message_commitment.to_string(),
            target: planned.target,
            target_salt: planned.target_salt,
            created_at: now,
            due_at: now,
            claim,
        };
        if let Some(slot) = slot {
            let ready = Ready::first_attempt(snapshot.tenant.clone(), &delivery);
            self.ready.extend(ready.map(|ready| (slot, ready)));
        } else {
            self.queued += 1;
        }
        self.effects.push(Effect::CreateDelivery(Box::new(delivery)));
    }
}
