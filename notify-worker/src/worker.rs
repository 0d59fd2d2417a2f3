//! Starts and stops the parts, and is the handle that the web service talks to.

use crate::channels::Health as ChannelHealth;
use crate::dispatch::Dispatcher;
use crate::gate::Gates;
use crate::inbox::InboxOptions;
use crate::metrics::Metrics;
use crate::owner::{Incoming, Item, Owner};
use crate::planning::Planning;
use crate::poll;
use crate::snapshots::Snapshots;
use notify_bus::{DurableSink, Publishing, Receipt};
use notify_connector_host::ConnectorHost;
use notify_connector_host::secrets::SecretResolver;
use notify_core::document::channel::Retry;
use notify_core::event::Event;
use notify_core::ids::{EventKey, TenantId};
use notify_core::links::{LinkKeys, Links};
use notify_core::problem::{Code, Problem};
use notify_core::time::{Clock, Timestamp};
use notify_store::{Store, StoreError};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// What an operator can set.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Names this process in leases; unique among all processes of the site.
    pub holder: String,
    pub lease: Duration,
    /// Planning that takes longer than this lets the rest of its batch be accepted first (DESIGN invariant 2).
    pub plan_budget: Duration,
    /// Events planned and committed together.
    pub batch: usize,
    /// Deliveries under way at once.
    pub concurrency: usize,
    /// Of these, to one channel that has not shown yet that it answers quickly.
    pub per_channel: usize,
    /// Time for one attempt where the channel names none.
    pub attempt_timeout: Duration,
    pub default_locale: String,
    /// Other processes may write to the same store: look for their pending events this often. `None`: there is none.
    pub sweep: Option<Duration>,
    /// How long a clean stop waits for attempts under way.
    pub drain: Duration,
    /// Events that may wait for one tenant's owner before intake is told to come back later.
    pub inbox: usize,
    /// Waits before attempts 2, 3, … where the channel names none.
    pub retry: Vec<Duration>,
    /// Where the last checkpoints are kept outside the database; `None`: nowhere.
    pub anchors: Option<PathBuf>,
    /// A channel with nothing but failures for this long is disabled; `None`: never.
    pub disable_after: Option<Duration>,
    /// How often channels are checked where they say nothing; `None`: not at all.
    pub health_every: Option<Duration>,
    /// Makes the links that messages carry; `None`: they carry none, because nobody has said where our pages are.
    pub links: Option<Links>,
    /// Know the values of secrets again, so that the store alone tells nothing of them. Where the operator gives none, they are
    /// this process's own, and values are known again while it runs. `None`: not at all.
    pub print_keys: Option<LinkKeys>,
    pub inbox_items: InboxOptions,
}

impl WorkerOptions {
    #[must_use]
    pub fn new(holder: String) -> Self {
        Self {
            holder,
            lease: Duration::from_secs(15),
            plan_budget: Duration::from_millis(5),
            batch: 64,
            concurrency: 256,
            per_channel: 16,
            attempt_timeout: Duration::from_secs(15),
            default_locale: "en".to_owned(),
            sweep: None,
            // The longest time a channel may give an attempt, and a little for its record.
            drain: Duration::from_secs(125),
            inbox: 4096,
            retry: Retry::DEFAULT_SECONDS.iter().map(|s| Duration::from_secs(u64::from(*s))).collect(),
            anchors: None,
            disable_after: Some(Duration::from_secs(5 * 86_400)),
            health_every: Some(Duration::from_secs(300)),
            links: None,
            print_keys: crate::clock::entropy().ok().map(LinkKeys::one),
            inbox_items: InboxOptions::default(),
        }
    }
}

/// The answer to an accepted event: it is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub key: EventKey,
    /// The same event had been accepted before; nothing was done again.
    pub duplicate: bool,
    pub accepted_at: Timestamp,
}

pub(crate) type Answer = Result<Accepted, Problem>;

/// Shared by all parts.
pub(crate) struct Shared {
    pub store: Store,
    pub host: Arc<ConnectorHost>,
    pub secrets: Arc<SecretResolver>,
    pub clock: Arc<dyn Clock>,
    pub snapshots: Snapshots,
    pub planning: Planning,
    pub metrics: Metrics,
    pub health: ChannelHealth,
    pub gates: Gates,
    /// Tenants whose owner has to look at the store's pending events.
    pub pending: mpsc::UnboundedSender<TenantId>,
    pub options: WorkerOptions,
    /// True once a clean stop has begun.
    pub stopping: watch::Receiver<bool>,
}

impl Shared {
    /// An event of this tenant was accepted past its owner, in a commit of another act.
    pub fn has_pending(&self, tenant: &TenantId) {
        // Fails only once the worker has stopped; the next one finds what is pending.
        let _ = self.pending.send(tenant.clone());
    }
}

/// The running worker. Clones share it.
#[derive(Clone)]
pub struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) dispatcher: Dispatcher,
    owners: Arc<Mutex<Owners>>,
    stop: Arc<watch::Sender<bool>>,
}

#[derive(Default)]
struct Owners {
    inboxes: HashMap<TenantId, mpsc::Sender<Incoming>>,
    /// Named for those who ask how the worker is.
    tasks: Vec<(&'static str, JoinHandle<()>)>,
    closed: bool,
}

/// An owner's name among the tasks; a tenant's owner that failed is replaced.
const OWNER: &str = "owner";

/// How the parts of a worker are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Owners that run.
    pub owners: usize,
    /// Owners that had failed and were started anew by this look.
    pub revived: usize,
    /// Parts that ended although no stop was asked for; only a restart brings them back.
    pub ended: Vec<&'static str>,
}

impl Worker {
    /// Starts dispatch and timers, and picks up what an earlier run left: pending events are planned, due deliveries
    /// sent, attempts that were cut off recorded as `unknown`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn start(
        store: Store,
        host: Arc<ConnectorHost>,
        secrets: Arc<SecretResolver>,
        clock: Arc<dyn Clock>,
        options: WorkerOptions,
    ) -> Result<Self, StoreError> {
        let (stop, stopping) = watch::channel(false);
        let only_process = options.sweep.is_none();
        if only_process {
            let voided = store.void_all_claims().await?;
            if voided > 0 {
                tracing::warn!(
                    attempts = voided,
                    "attempts were cut off by the last stop; their results are unknown"
                );
            }
        }
        let snapshots = Snapshots::new(store.clone(), options.default_locale.clone());
        let (pending, mut tenants_with_pending) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            store,
            host,
            secrets,
            clock,
            snapshots,
            planning: Planning::default(),
            metrics: Metrics::default(),
            health: ChannelHealth::default(),
            gates: Gates::default(),
            pending,
            options,
            stopping,
        });
        let dispatcher = Dispatcher::new(Arc::clone(&shared));
        let worker = Self { shared, dispatcher, owners: Arc::default(), stop: Arc::new(stop) };
        for tenant in worker.shared.store.tenants_with_timers().await? {
            worker.wake_owner(&tenant);
        }
        worker.wake_owners_with_pending_events().await?;
        worker.keep("poll", tokio::spawn(poll::run(Arc::clone(&worker.shared), worker.dispatcher.clone())));
        let waker = worker.clone();
        worker.keep(
            "pending",
            tokio::spawn(async move {
                let mut stopping = waker.shared.stopping.clone();
                loop {
                    tokio::select! {
                        _ = stopping.wait_for(|stop| *stop) => return,
                        Some(tenant) = tenants_with_pending.recv() => {
                            if let Ok(inbox) = waker.inbox(&tenant) {
                                // A full inbox means that the owner is awake.
                                let _ = inbox.try_send(Incoming::Pending);
                            }
                        }
                    }
                }
            }),
        );
        worker.keep("inbox", tokio::spawn(crate::inbox::run(Arc::clone(&worker.shared))));
        if let Some(folder) = worker.shared.options.anchors.clone() {
            worker.keep("anchor", tokio::spawn(crate::anchor::run(Arc::clone(&worker.shared), folder)));
        }
        worker.keep("checks", tokio::spawn(crate::checks::run(worker.clone())));
        if let Some(every) = worker.shared.options.sweep {
            worker.keep("sweep", tokio::spawn(worker.clone().sweep(every)));
        }
        Ok(worker)
    }

    /// Accepts one event durably; answers when it is. The order of calls is the order of planning.
    ///
    /// # Errors
    /// A conflict with another event of the same identity, or that the service cannot take it now.
    pub async fn accept(&self, event: Event) -> Answer {
        self.offer(event)?.await.unwrap_or_else(|_| Err(unavailable("the service is stopping")))
    }

    fn offer(&self, event: Event) -> Result<oneshot::Receiver<Answer>, Problem> {
        let (answer, answered) = oneshot::channel();
        self.inbox(&event.tenant)?
            .try_send(Incoming::Accept(Item { event: Box::new(event), answer, tries: 0, alone: false }))
            .map_err(|_| unavailable("too many events wait to be accepted"))?;
        Ok(answered)
    }

    /// Takes over what changed in the tenant's configuration; call it after each change.
    pub async fn configuration_changed(&self, tenant: &TenantId) {
        if let Err(error) = self.shared.snapshots.reload(tenant).await {
            tracing::error!(tenant = %tenant, %error, "the configuration could not be reloaded");
        }
        // A digest that is sent even if nothing happens opens its first period now, not with the next event.
        if let Ok(snapshot) = self.shared.snapshots.get(tenant).await {
            if snapshot.sends_silence() {
                self.wake_owner(tenant);
            }
            crate::gate::changed(&self.shared, &self.dispatcher, &snapshot);
        }
    }

    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        self.shared.metrics.breakers_open(&self.shared.gates.open_by_type());
        &self.shared.metrics
    }

    #[must_use]
    pub fn host(&self) -> &Arc<ConnectorHost> {
        &self.shared.host
    }

    #[must_use]
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// A clean stop: what was accepted is planned, what is under way is finished and recorded, leases are given back.
    /// Call it after intake has stopped. Nothing is sent twice because of it.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        let tasks = {
            let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
            owners.closed = true;
            owners.inboxes.clear();
            std::mem::take(&mut owners.tasks)
        };
        for (part, task) in tasks {
            if let Err(error) = task.await {
                tracing::error!(part, %error, "a part of the worker had failed");
            }
        }
        self.dispatcher.drain(self.shared.options.drain).await;
        if let Some(folder) = &self.shared.options.anchors {
            crate::anchor::write_all(&self.shared.store, folder).await;
        }
        self.shared.store.close().await;
    }

    fn inbox(&self, tenant: &TenantId) -> Result<mpsc::Sender<Incoming>, Problem> {
        let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
        if owners.closed {
            return Err(unavailable("the service is stopping"));
        }
        if let Some(inbox) = owners.inboxes.get(tenant).filter(|inbox| !inbox.is_closed()) {
            return Ok(inbox.clone());
        }
        let (sender, receiver) = mpsc::channel(self.shared.options.inbox);
        let owner = Owner::new(tenant.clone(), Arc::clone(&self.shared), self.dispatcher.clone());
        owners.tasks.push((OWNER, tokio::spawn(owner.run(receiver))));
        owners.inboxes.insert(tenant.clone(), sender.clone());
        Ok(sender)
    }

    fn keep(&self, name: &'static str, task: JoinHandle<()>) {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner).tasks.push((name, task));
    }

    /// Looks at every part. An owner that has failed gets a successor, which plans what waits in the store: nobody would
    /// start one before the tenant's next event, and none comes to a process that says it is not ready.
    #[must_use]
    pub fn health(&self) -> Health {
        let (mut health, dead): (Health, Vec<TenantId>) = {
            let mut owners = self.owners.lock().unwrap_or_else(PoisonError::into_inner);
            if owners.closed {
                return Health::default();
            }
            owners.tasks.retain(|(name, task)| *name != OWNER || !task.is_finished());
            let ended = owners.tasks.iter().filter(|(_, task)| task.is_finished()).map(|(name, _)| *name);
            let ended = ended.collect();
            let dead = owners.inboxes.iter().filter(|(_, inbox)| inbox.is_closed());
            let dead: Vec<TenantId> = dead.map(|(tenant, _)| tenant.clone()).collect();
            let health = Health { owners: owners.inboxes.len(), revived: dead.len(), ended };
            (health, dead)
        };
        for tenant in dead {
            tracing::error!(tenant = %tenant, "the owner had failed; another one takes over");
            if let Ok(inbox) = self.inbox(&tenant) {
                let _ = inbox.try_send(Incoming::Pending);
            }
        }
        health.ended.sort_unstable();
        health
    }

    fn wake_owner(&self, tenant: &TenantId) {
        if let Ok(inbox) = self.inbox(tenant) {
            // A full inbox means that the owner is awake.
            let _ = inbox.try_send(Incoming::Pending);
        }
    }

    async fn wake_owners_with_pending_events(&self) -> Result<(), StoreError> {
        for tenant in self.shared.store.timers_due(self.shared.clock.now()).await? {
            self.wake_owner(&tenant);
        }
        for tenant in self.shared.store.tenants().await? {
            if !self.shared.store.pending_events(&tenant.id, 1).await?.is_empty()
                && let Ok(inbox) = self.inbox(&tenant.id)
            {
                // A full inbox means that the owner is awake.
                let _ = inbox.try_send(Incoming::Pending);
            }
        }
        Ok(())
    }

    async fn sweep(self, every: Duration) {
        let mut stopping = self.shared.stopping.clone();
        loop {
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                () = crate::clock::wait(every) => {}
            }
            if let Err(error) = self.wake_owners_with_pending_events().await {
                tracing::warn!(%error, "pending events could not be looked up");
            }
        }
    }
}

impl DurableSink for Worker {
    fn accept(&self, event: Event) -> Publishing {
        let offered = self.offer(event);
        Box::pin(async move {
            let answer = offered?.await.unwrap_or_else(|_| Err(unavailable("the service is stopping")));
            let Accepted { key, duplicate, accepted_at } = answer?;
            Ok(Receipt { key, duplicate, accepted_at })
        })
    }
}

pub(crate) fn unavailable(reason: &str) -> Problem {
    Problem::new(Code::Unavailable, "", reason, "send it again in a moment; nothing was accepted")
}

#[cfg(test)]
mod tests;
