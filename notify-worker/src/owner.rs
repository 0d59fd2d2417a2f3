//! The one owner of a tenant: takes events in order, plans them, and commits event, decisions and deliveries together.
//!
//! Planning runs while the last commit is being made durable. An event that is planned in time costs one transaction;
//! one that is late is accepted alone and planned right after, from the store, in the order of acceptance.

mod memory;
mod plans;
mod timers;

use crate::dispatch::Dispatcher;
use crate::planning::Cost;
use crate::worker::{Accepted, Answer, Shared, unavailable};
use memory::Memory;
use notify_core::event::Event;
use notify_core::ids::{EventKey, TenantId};
use notify_core::problem::{Code, Problem};
use notify_core::time::Timestamp;
use notify_store::model::{KnownEvent, Lease};
use notify_store::{Refused, StoreError};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// What reaches an owner from outside.
pub(crate) enum Incoming {
    Accept(Item),
    /// The store holds events that are accepted and not planned.
    Pending,
}

/// One event that waits for its fate.
pub(crate) struct Item {
    pub event: Box<Event>,
    pub answer: oneshot::Sender<Answer>,
    pub tries: u8,
    /// It was in a batch that could not be written: it goes by itself now.
    pub alone: bool,
}

/// An event is offered to the store this often before its sender is told to come back.
const MAX_TRIES: u8 = 4;
/// Where one repeat is there are more: a publisher sends its backlog again.
const LOOK_UP_AFTER_A_REPEAT: u32 = 32;
/// How long to wait after the store failed.
const AFTER_A_FAULT: Duration = Duration::from_millis(500);
/// Clocks are set, machines are suspended: whoever waits for a timer looks at the time again this often.
const LOOK_AT_THE_CLOCK: Duration = Duration::from_secs(10);
/// Batches of timers between two batches of what comes in.
const TIMERS_IN_A_ROW: usize = 4;
/// Commits under way at once: one is being made durable while the next is planned.
const COMMITS_UNDER_WAY: usize = 2;

pub(crate) struct Owner {
    tenant: TenantId,
    shared: Arc<Shared>,
    dispatcher: Dispatcher,
    /// The lease and the time from which it is to be renewed.
    lease: Option<(Lease, Timestamp)>,
    last_logical: Option<Timestamp>,
    /// Submitted and not yet durable: a repeat waits for the first one's answer.
    flying: HashMap<EventKey, Flying>,
    commits: JoinSet<Landed>,
    /// The store holds pending events, or may: newer ones queue behind them.
    behind: bool,
    /// Batches that are still looked up in the store before they are planned.
    look_up_batches: u32,
    /// Pending events are not looked at before this.
    look_again_at: Option<Timestamp>,
    cost: Cost,
    /// What noise control remembers; `None`: not read yet, or not ours.
    memory: Option<Memory>,
    /// Timers are fired one by one: some commit of several was refused.
    one_by_one: bool,
    /// Events that something has to happen before: timers, or the landing of a batch that was refused. They are known to
    /// be new.
    waiting: Vec<Item>,
    /// Events of a refused batch.
    again: Vec<Item>,
}

struct Flying {
    body_hash: [u8; 32],
    repeats: Vec<oneshot::Sender<Answer>>,
}

/// What became of one commit of this owner.
struct Landed {
    keys: Vec<EventKey>,
    /// When they were accepted, if they were.
    accepted_at: Option<Timestamp>,
    /// Not written, but worth another try.
    again: Vec<Item>,
    error: Option<StoreError>,
    /// The version of noise control's memory that it makes.
    version: Option<u64>,
    /// They were accepted without a plan.
    pending: bool,
}

impl Owner {
    pub fn new(tenant: TenantId, shared: Arc<Shared>, dispatcher: Dispatcher) -> Self {
        Self {
            tenant,
            shared,
            dispatcher,
            lease: None,
            last_logical: None,
            flying: HashMap::new(),
            commits: JoinSet::new(),
            // What an earlier owner left is planned first.
            behind: true,
            look_again_at: None,
            look_up_batches: LOOK_UP_AFTER_A_REPEAT,
            cost: Cost::default(),
            memory: None,
            one_by_one: false,
            waiting: Vec::new(),
            again: Vec::new(),
        }
    }

    /// Runs until every sender is gone and all that was sent has landed.
    pub async fn run(mut self, mut inbox: mpsc::Receiver<Incoming>) {
        let mut batch = Vec::new();
        let limit = self.shared.options.batch;
        loop {
            self.attend().await;
            let pause = self.look_again_at.filter(|at| self.behind && self.shared.clock.now() < *at);
            let timer = self.memory.as_ref().and_then(Memory::next_timer);
            let clock = Arc::clone(&self.shared.clock);
            let look_again = async {
                let next = if self.behind { Some(pause.unwrap_or(Timestamp::MIN)) } else { None };
                // What is due by the last decision's time does not wait for a clock that was set back.
                let overdue = |due: Timestamp| self.last_logical.is_some_and(|last| due <= last);
                let timer = timer.map(|due| if overdue(due) { Timestamp::MIN } else { due });
                let timer = timer.map(|due| due.max(self.look_again_at.unwrap_or(due)));
                match next.into_iter().chain(timer).min() {
                    None => std::future::pending().await,
                    Some(at) => {
                        let look = crate::clock::after(clock.now(), LOOK_AT_THE_CLOCK);
                        crate::clock::wait_until(clock.as_ref(), at.min(look)).await;
                    }
                }
            };
            // What is under way has to land before a timer fires, or before anything is planned after a refusal.
            let blocked = !self.commits.is_empty() && self.must_settle();
            tokio::select! {
                biased;
                Some(landed) = self.commits.join_next(), if !self.commits.is_empty() => match landed {
                    Ok(landed) => self.land(landed).await,
                    Err(error) => {
                        tracing::error!(tenant = %self.tenant, %error, "a commit task failed");
                        // Whoever waits for one of these is told to send it again.
                        self.flying.clear();
                        self.memory = None;
                        self.behind = true;
                    }
                },
                taken = inbox.recv_many(&mut batch, limit),
                    if !blocked && self.waiting.is_empty() && self.commits.len() < COMMITS_UNDER_WAY =>
                {
                    if taken == 0 {
                        break;
                    }
                    let mut items = Vec::with_capacity(taken);
                    for incoming in batch.drain(..) {
                        match incoming {
                            Incoming::Accept(item) => items.push(item),
                            Incoming::Pending => self.behind = true,
                        }
                    }
                    self.accept(items).await;
                }
                () = look_again, if !blocked => {}
            }
        }
        while let Some(landed) = self.commits.join_next().await {
            if let Ok(landed) = landed {
                self.land(landed).await;
            }
        }
        if let Some((lease, _)) = self.lease.take()
            && let Err(error) = self.shared.store.release_lease(&self.tenant, &lease).await
        {
            tracing::warn!(tenant = %self.tenant, %error, "the owner lease was not given back; it will run out");
        }
    }

    async fn land(&mut self, landed: Landed) {
        for key in &landed.keys {
            let Some(flying) = self.flying.remove(key) else { continue };
            for answer in flying.repeats {
                let _ = answer.send(match landed.accepted_at {
                    Some(accepted_at) => Ok(Accepted { key: key.clone(), duplicate: true, accepted_at }),
                    None => Err(unavailable("the first of these equal events could not be accepted")),
                });
            }
        }
        self.behind |= landed.pending;
        self.remembered(landed.version, landed.error.as_ref());
        match landed.error {
            Some(StoreError::Refused(Refused::LeaseLost)) => self.lost_lease(),
            Some(StoreError::Refused(Refused::ConfigChanged { .. })) => {
                if let Err(error) = self.shared.snapshots.reload(&self.tenant).await {
                    tracing::error!(tenant = %self.tenant, %error, "the configuration could not be reloaded");
                }
            }
            _ => {}
        }
        self.again.extend(landed.again);
    }

    /// Whether nothing may be planned before all that is under way has landed.
    fn must_settle(&self) -> bool {
        let Some(memory) = &self.memory else { return true };
        memory.in_trouble() || !self.waiting.is_empty() || memory.is_due(self.due_by())
    }

    /// Timers fire by the time of the next decision: that of the clock, or of the last one where the clock was set back.
    fn due_by(&self) -> Timestamp {
        let now = self.shared.clock.now();
        self.last_logical.map_or(now, |last| last.max(now))
    }

    /// Somebody else has the lease, or nobody: what is left to do here may be ours again.
    fn lost_lease(&mut self) {
        self.lease = None;
        self.behind = true;
    }

    /// What is to be done before new events are taken: mend what a refusal left, fire timers, plan what waits.
    async fn attend(&mut self) {
        // One batch of what waits in the store for one batch of what comes in: neither starves the other.
        let pause = self.look_again_at.filter(|at| self.shared.clock.now() < *at);
        if self.commits.is_empty() && pause.is_none() {
            self.look_again_at = None;
            if let Err(error) = self.settle().await {
                tracing::error!(tenant = %self.tenant, %error, "noise control cannot go on; trying again");
                self.memory = None;
                // Timers are known from memory alone: without it only this brings us back to them.
                self.behind = true;
                self.look_again_at = Some(crate::clock::after(self.shared.clock.now(), AFTER_A_FAULT));
                // Nobody waits for a store that cannot be read: they are told to come back.
                for item in std::mem::take(&mut self.waiting) {
                    self.flying.remove(&item.event.key);
                    let _ = item.answer.send(Err(unavailable("the store cannot be read")));
                }
            }
        }
        if self.must_settle() && !self.commits.is_empty() {
            return;
        }
        let pause = self.look_again_at.filter(|at| self.shared.clock.now() < *at);
        if self.behind && pause.is_none() {
            self.look_again_at = None;
            self.catch_up().await;
        }
        let waiting = std::mem::take(&mut self.waiting);
        self.go(waiting).await;
        let (alone, together): (Vec<Item>, Vec<Item>) =
            std::mem::take(&mut self.again).into_iter().partition(|item| item.alone);
        self.accept(together).await;
        for item in alone {
            self.accept(vec![item]).await;
        }
    }

    /// Nothing is under way: takes back what was refused, and fires what is due.
    async fn settle(&mut self) -> Result<(), StoreError> {
        self.recover();
        let wanted = self.behind || !self.waiting.is_empty() || self.lease.is_some();
        // Memory is its owner's: it can be large, and means nothing to anybody else.
        if self.memory.is_none() && wanted && self.hold_lease().await? {
            self.load_memory().await?;
        }
        // As many as are due now, so that a timer that is due at once again cannot hold up everything.
        let now = match self.oldest_pending().await? {
            // What was accepted before a timer was due is planned before it fires, also after an outage.
            Some(oldest) => self.due_by().min(self.last_logical.map_or(oldest, |last| last.max(oldest))),
            None => self.due_by(),
        };
        for turn in 0.. {
            if turn == TIMERS_IN_A_ROW {
                // A morning after a night with many alerts: meanwhile what comes in is made durable and planned after them.
                self.behind = true;
                break;
            }
            let config = self.shared.snapshots.get(&self.tenant).await?.config_version;
            if self.memory.as_ref().is_some_and(|memory| memory.armed_for != Some(config)) {
                self.arm(now).await?;
                self.recover();
            }
            if !self.memory.as_ref().is_some_and(|memory| memory.is_due(now)) || !self.fire(now).await? {
                break;
            }
            self.recover();
        }
        // With memory the timers are gone as well; it is read again at once.
        self.behind |= self.memory.is_none() && self.lease.is_some();
        Ok(())
    }

    /// When the oldest event that waits to be planned was accepted.
    async fn oldest_pending(&self) -> Result<Option<Timestamp>, StoreError> {
        if !self.behind {
            return Ok(None);
        }
        let pending = self.shared.store.pending_events(&self.tenant, 1).await?;
        Ok(pending.first().map(|stored| stored.event.accepted_at))
    }

    /// Takes back what was refused; what cannot be taken back is read again.
    pub(super) fn recover(&mut self) {
        if self.memory.as_mut().is_some_and(|memory| !memory.recover()) {
            self.memory = None;
        }
    }

    /// Reads what noise control remembers, unless it is there.
    async fn load_memory(&mut self) -> Result<(), StoreError> {
        if self.memory.is_none() {
            let stored = self.shared.store.noise_memory(&self.tenant).await?;
            // What still counts for an event that waits is kept for it.
            let at = self.oldest_pending().await?.unwrap_or_else(|| self.shared.clock.now());
            self.memory = Some(Memory::load(stored, at)?);
        }
        Ok(())
    }

    async fn accept(&mut self, items: Vec<Item>) {
        if items.is_empty() {
            return;
        }
        let items = match self.only_new(items).await {
            Ok(items) => items,
            Err((items, error)) => return refuse(items, &error),
        };
        self.go(items).await;
    }

    /// Events that are known to be new: planned and committed, or accepted to be planned later.
    async fn go(&mut self, items: Vec<Item>) {
        if items.is_empty() {
            return;
        }
        // The configuration changes faster than we plan: take the event now, plan it when it has settled.
        let settle = items.iter().any(|item| item.tries >= 2 && !item.alone);
        // Where planning has to wait for a place, events are durable first. The tenant's own senders may still wait for as
        // long as one batch of its backlog takes.
        let settle = settle || self.cost.is_expensive();
        let mut mine = self.hold_lease().await;
        if matches!(mine, Ok(true)) && self.memory.is_none() {
            if !self.commits.is_empty() {
                // Memory is read when nothing is under way.
                return self.waiting.extend(items);
            }
            mine = self.load_memory().await.map(|()| true);
        }
        let snapshot = self.shared.snapshots.get(&self.tenant).await;
        match (mine, snapshot) {
            (Ok(true), Ok(snapshot)) if !self.behind && !settle => {
                self.plan_and_commit(items, &snapshot).await;
            }
            (Ok(_), Ok(_)) => self.accept_pending(items),
            (Err(error), _) | (_, Err(error)) => {
                for item in &items {
                    self.flying.remove(&item.event.key);
                }
                refuse(items, &error);
            }
        }
    }

    /// Answers repeats and conflicts; gives back what is new.
    async fn only_new(&mut self, items: Vec<Item>) -> Result<Vec<Item>, (Vec<Item>, StoreError)> {
        // Repeats are rare, and the commit itself refuses an event that exists: only after one has turned up is every
        // batch looked up first, for a while.
        if items.iter().any(|item| item.tries > 0) {
            self.look_up_batches = LOOK_UP_AFTER_A_REPEAT;
        }
        let known = if self.look_up_batches == 0 {
            Vec::new()
        } else {
            self.look_up_batches -= 1;
            let keys: Vec<EventKey> = items.iter().map(|item| item.event.key.clone()).collect();
            match self.shared.store.known_events(&self.tenant, &keys).await {
                Ok(known) => known,
                Err(error) => return Err((items, error)),
            }
        };
        let known: HashMap<&EventKey, &KnownEvent> = known.iter().map(|event| (&event.key, event)).collect();
        let mut fresh: Vec<Item> = Vec::with_capacity(items.len());
        for item in items {
            let key = &item.event.key;
            if let Some(event) = known.get(key) {
                let same = event.body_hash == item.event.body_hash;
                self.shared.metrics.duplicates.add(u64::from(same));
                let _ = item.answer.send(if same { Ok(repeat(event)) } else { Err(conflict(&item.event)) });
            } else if let Some(flying) = self.flying.get_mut(key) {
                if flying.body_hash == item.event.body_hash {
                    flying.repeats.push(item.answer);
                } else {
                    let _ = item.answer.send(Err(conflict(&item.event)));
                }
            } else {
                self.flying.insert(key.clone(), Flying { body_hash: item.event.body_hash, repeats: vec![] });
                fresh.push(item);
            }
        }
        Ok(fresh)
    }

    /// Takes or renews the lease; `false`: another process owns the tenant.
    pub(super) async fn hold_lease(&mut self) -> Result<bool, StoreError> {
        let now = self.shared.clock.now();
        if self.lease.as_ref().is_some_and(|(_, renew_at)| now < *renew_at) {
            return Ok(true);
        }
        let options = &self.shared.options;
        let lease = self.shared.store.acquire_lease(&self.tenant, &options.holder, options.lease).await?;
        let epoch = |lease: Option<&Lease>| lease.map(|lease| lease.epoch);
        if epoch(self.lease.as_ref().map(|(lease, _)| lease)) != epoch(lease.as_ref()) {
            // Somebody else may have planned in between.
            self.memory = None;
        }
        self.lease = lease.map(|lease| (lease, crate::clock::after(now, options.lease / 2)));
        Ok(self.lease.is_some())
    }
}

fn repeat(event: &KnownEvent) -> Accepted {
    Accepted { key: event.key.clone(), duplicate: true, accepted_at: event.accepted_at }
}

fn conflict(event: &Event) -> Problem {
    Problem::new(
        Code::EventConflict,
        "/id",
        format!("another event with id `{}` from source `{}` was accepted before", event.id, event.source),
        "give each event an id of its own; a repeat must be equal to the first",
    )
}

fn refuse(items: Vec<Item>, error: &StoreError) {
    tracing::error!(%error, events = items.len(), "events could not be accepted");
    for item in items {
        let _ = item.answer.send(Err(unavailable("the store cannot be written")));
    }
}
