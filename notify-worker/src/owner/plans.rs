//! From events to one commit: plan within the budget, claim what can be sent at once, submit, and answer when durable.

use super::{Item, Landed, MAX_TRIES, Owner, refuse};
use crate::clock::{after, entropy};
use crate::dispatch::{Dispatcher, Ready, Slot};
use crate::metrics::Suppressed;
use crate::planning::Place;
use crate::worker::{Accepted, Shared, unavailable};
use notify_core::event::Event;
use notify_core::ids::{EventKey, TenantId};
use notify_core::ledger::EntryDraft;
use notify_core::plan::{Planned, Snapshot};
use notify_core::time::{Timestamp, logical};
use notify_store::model::{NewDelivery, NewEvent};
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
struct Batch {
    effects: Vec<Effect>,
    entries: Vec<EntryDraft>,
    ready: Vec<(Slot, Ready)>,
    /// Deliveries for which there was no place: they wait in the store's queue.
    queued: u64,
    suppressed: Suppressed,
}

/// What happens once a batch is durable.
struct Launch {
    ready: Vec<(Slot, Ready)>,
    queued: u64,
    suppressed: Suppressed,
}

impl Owner {
    /// Plans in order until the budget is used up; what is left is accepted alone and planned later.
    pub(super) async fn plan_and_commit(&mut self, items: Vec<Item>, snapshot: &Snapshot) {
        let started = self.shared.clock.now();
        let late_from = after(started, self.shared.options.plan_budget);
        let mut batch = Batch::default();
        let mut planned = Vec::with_capacity(items.len());
        let mut rest = items.into_iter();
        for item in rest.by_ref() {
            let now = self.shared.clock.now();
            let at = self.logical(started);
            let Ok(entropy) = entropy() else {
                tracing::error!("the operating system gives no entropy; planning has to wait");
                self.accept_pending(vec![item]);
                break;
            };
            let plan = self.plan(snapshot, &item.event, at, &entropy, None).await;
            let event = new_event(&item.event, started, Some(plan.event_salt));
            batch.effects.push(Effect::AcceptPlanned(Box::new(event)));
            batch.take(plan, Some(item.event.key.clone()), now, &self.dispatcher, snapshot);
            planned.push(item);
            if now >= late_from {
                break;
            }
        }
        if !planned.is_empty() {
            let (commit, launch) = batch.finish(&self.tenant);
            let commit = self.guarded(commit, snapshot);
            self.submit(commit, planned, started, false, launch);
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
        let nothing = Launch { ready: vec![], queued: 0, suppressed: Suppressed::default() };
        self.submit(commit, items, now, true, nothing);
    }

    /// Plans one batch of what the store holds as pending, oldest first.
    pub(super) async fn catch_up(&mut self) {
        match self.catch_up_once().await {
            Ok(more) => self.behind = more,
            Err(error) => {
                tracing::error!(tenant = %self.tenant, %error, "pending events could not be planned; trying again");
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
            self.look_again_at = Some(after(self.shared.clock.now(), NOT_OWNER_PAUSE));
            return Ok(true);
        }
        let limit = u32::try_from(self.shared.options.batch).unwrap_or(u32::MAX);
        let pending = self.shared.store.pending_events(&self.tenant, limit).await?;
        let snapshot = self.shared.snapshots.get(&self.tenant).await?;
        if pending.is_empty() {
            return Ok(false);
        }
        let mut batch = Batch::default();
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
            let entropy = entropy().map_err(|error| StoreError::Corrupt(format!("no entropy: {error}")))?;
            let plan = self.plan(&snapshot, &event, at, &entropy, place.as_ref()).await;
            batch.effects.push(Effect::MarkPlanned { key: event.key.clone(), salt: plan.event_salt });
            batch.take(plan, Some(event.key), now, &self.dispatcher, &snapshot);
            if self.shared.clock.now() >= enough {
                break;
            }
        }
        drop(place);
        let (commit, launch) = batch.finish(&self.tenant);
        let committed = self.shared.store.commit(self.guarded(commit, &snapshot)).await;
        match committed {
            Ok(committed) => {
                launch.go(&self.shared, &self.dispatcher, &committed);
                Ok(true)
            }
            Err(StoreError::Refused(Refused::LeaseLost)) => {
                self.lease = None;
                Ok(true)
            }
            Err(StoreError::Refused(Refused::ConfigChanged { .. } | Refused::NotPending { .. })) => {
                self.shared.snapshots.reload(&self.tenant).await?;
                Ok(true)
            }
            Err(error) => {
                wake_if_in_doubt(&error, &self.dispatcher);
                Err(error)
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
        let plan = || shared.metrics.plan(snapshot, event, at, entropy);
        let (planned, took) = shared.planning.run(expected, place, plan).await;
        self.cost.learn(event.body.len(), took);
        planned
    }

    fn logical(&mut self, accepted_at: Timestamp) -> Timestamp {
        let at = logical(accepted_at, self.last_logical);
        self.last_logical = Some(at);
        at
    }

    fn guarded(&self, mut commit: Commit, snapshot: &Snapshot) -> Commit {
        if let Some((lease, _)) = &self.lease {
            commit = commit.guarded(Guard::Lease { holder: lease.holder.clone(), epoch: lease.epoch });
        }
        commit.guarded(Guard::ConfigVersion(snapshot.config_version))
    }

    fn submit(
        &mut self,
        commit: Commit,
        items: Vec<Item>,
        accepted_at: Timestamp,
        pending: bool,
        launch: Launch,
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
                    Landed { keys, accepted_at: Some(accepted_at), again: vec![], refused: None, pending }
                }
                Err(error) => {
                    wake_if_in_doubt(&error, &dispatcher);
                    not_written(keys, items, error)
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
    let refused = if let StoreError::Refused(refused) = error { Some(refused) } else { None };
    Landed { keys, accepted_at: None, again, refused, pending: false }
}

impl Launch {
    fn go(self, shared: &Shared, dispatcher: &Dispatcher, committed: &Committed) {
        shared.metrics.entries.add(committed.seqs.len() as u64);
        shared.metrics.suppressed(&self.suppressed);
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
        (commit, Launch { ready: self.ready, queued: self.queued, suppressed: self.suppressed })
    }

    /// Takes over one plan. A delivery for which there is room is claimed in the same commit and sent as soon as that
    /// is durable; the others wait in the queue.
    fn take(
        &mut self,
        plan: Planned,
        event: Option<EventKey>,
        now: Timestamp,
        dispatcher: &Dispatcher,
        snapshot: &Snapshot,
    ) {
        self.entries.push(plan.entry);
        self.suppressed.note(&plan.decisions);
        for planned in plan.deliveries {
            let slot = dispatcher.reserve_for_new(&snapshot.tenant, &planned.channel);
            let claim = slot.as_ref().map(|_| dispatcher.new_claim(&planned.channel, snapshot, now));
            let delivery = NewDelivery {
                id: planned.id,
                event: event.clone(),
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
}
