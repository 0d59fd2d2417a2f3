//! Sends deliveries: a bounded number at once, each through its connector, each result recorded before its place is
//! free again.

use crate::clock::after;
use crate::fallback::takes_over;
use crate::gate::{self, Gate};
use crate::lanes::{Lanes, Pass};
use crate::record;
use crate::regate::{Regated, regate};
use crate::worker::Shared;
use notify_connector_host::request::{Outcome, Verdict};
use notify_connector_host::{AttemptInput, AttemptResult, Phase};
use notify_core::document::{Channel, Version};
use notify_core::ids::{ChannelId, DeliveryId, TenantId};
use notify_core::plan::{Snapshot, target_of};
use notify_core::time::Timestamp;
use notify_store::StoreError;
use notify_store::model::{ClaimToken, Claimed, NewDelivery};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// A place among the deliveries under way, and among those of its channel once that is known. Giving it back wakes the
/// poll when deliveries wait for one.
pub(crate) struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    pass: Option<Pass>,
    queue: Arc<Queue>,
}

impl Slot {
    /// With the place of its channel.
    pub fn with(mut self, pass: Pass) -> Self {
        self.pass = Some(pass);
        self
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        drop(self.pass.take());
        drop(self.permit.take());
        if self.queue.waiting.swap(false, Ordering::AcqRel) {
            self.queue.wake.notify_one();
        }
    }
}

/// What dispatcher and poll tell each other.
#[derive(Default)]
struct Queue {
    /// Deliveries wait in the store because there was no place for them.
    waiting: AtomicBool,
    wake: Notify,
}

/// A delivery that this process has claimed and may attempt now.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub tenant: TenantId,
    pub id: DeliveryId,
    pub channel: ChannelId,
    pub cause: String,
    pub message: String,
    pub message_commitment: String,
    /// Where it was decided to go; the intent commits to it.
    pub target: String,
    /// When it was decided: the same on every attempt.
    pub created_at: Timestamp,
    pub attempt: u32,
    pub token: ClaimToken,
    pub provider_reference: Option<String>,
    /// A holder before us was cut off in the middle of `attempt`.
    pub in_doubt: bool,
    /// It is the one that tries whether the channel's breaker may close.
    pub probe: bool,
}

impl Ready {
    /// A delivery that was claimed by its planner. `None` when it was not.
    pub fn first_attempt(tenant: TenantId, delivery: &NewDelivery) -> Option<Self> {
        let (token, _) = delivery.claim.clone()?;
        Some(Self {
            tenant,
            id: delivery.id.clone(),
            channel: delivery.channel.clone(),
            cause: delivery.cause.clone(),
            message: delivery.message.clone(),
            message_commitment: delivery.message_commitment.clone(),
            target: delivery.target.clone(),
            created_at: delivery.created_at,
            attempt: 1,
            token,
            provider_reference: None,
            in_doubt: false,
            probe: false,
        })
    }

    pub fn claimed(claimed: Claimed) -> Self {
        let Claimed { delivery, token, in_doubt } = claimed;
        let row = delivery.delivery;
        Self {
            tenant: delivery.tenant,
            id: row.id,
            channel: row.channel,
            cause: row.cause,
            message: row.message,
            message_commitment: row.message_commitment,
            target: row.target,
            created_at: row.created_at,
            attempt: delivery.next_attempt,
            token,
            provider_reference: delivery.provider_reference,
            in_doubt,
            probe: false,
        }
    }
}

/// Clones share one set of places.
#[derive(Clone)]
pub(crate) struct Dispatcher {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    lanes: Arc<Lanes>,
    queue: Arc<Queue>,
    tokens: AtomicU64,
}

/// A claim outlives its attempt's deadline by this much (DESIGN invariant 5).
pub(crate) const CLAIM_MARGIN: Duration = Duration::from_secs(30);

impl Dispatcher {
    pub fn new(shared: Arc<Shared>) -> Self {
        let places = Arc::new(Semaphore::new(shared.options.concurrency));
        let lanes = Arc::new(Lanes::new(shared.options.per_channel, shared.options.concurrency));
        let inner = Inner { shared, places, lanes, queue: Arc::default(), tokens: AtomicU64::new(0) };
        Self { inner: Arc::new(inner) }
    }

    pub fn reserve(&self) -> Option<Slot> {
        let permit = Arc::clone(&self.inner.places).try_acquire_owned().ok()?;
        Some(Slot { permit: Some(permit), pass: None, queue: Arc::clone(&self.inner.queue) })
    }

    /// A place for a delivery that was planned just now; none while older ones wait for theirs, or when its channel
    /// has all the places that it may have.
    pub fn reserve_for_new(&self, tenant: &TenantId, channel: &ChannelId) -> Option<Slot> {
        if self.inner.queue.waiting.load(Ordering::Acquire) {
            return None;
        }
        let slot = self.reserve()?;
        self.lanes().enter(tenant, channel).map(|pass| slot.with(pass))
    }

    pub fn lanes(&self) -> &Arc<Lanes> {
        &self.inner.lanes
    }

    pub fn free(&self) -> usize {
        self.inner.places.available_permits()
    }

    /// Says that the store holds due deliveries that nobody has claimed.
    pub fn more_is_waiting(&self) {
        self.inner.queue.waiting.store(true, Ordering::Release);
    }

    /// Has [`poll`](crate::poll) look at the store's queue.
    pub fn wake_poll(&self) {
        self.inner.queue.wake.notify_one();
    }

    pub async fn woken(&self) {
        self.inner.queue.wake.notified().await;
    }

    /// A token that no other claim of this site has, and the time until which it holds.
    pub fn new_claim(
        &self,
        channel: &ChannelId,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> (ClaimToken, Timestamp) {
        let deadline = self.deadline(snapshot.channels.get(channel));
        let number = self.inner.tokens.fetch_add(1, Ordering::Relaxed);
        let token = ClaimToken(format!("{}/{number}", self.inner.shared.options.holder));
        (token, after(now, deadline + CLAIM_MARGIN))
    }

    pub fn deadline(&self, channel: Option<&Version<Channel>>) -> Duration {
        channel
            .and_then(|channel| channel.document.timeout_seconds)
            .map_or(self.inner.shared.options.attempt_timeout, |s| Duration::from_secs(u64::from(s)))
    }

    /// Attempts a delivery in a task of its own; the slot is given back once the result is recorded.
    pub fn start(&self, slot: Slot, ready: Ready) {
        let dispatcher = self.clone();
        tokio::spawn(async move {
            // Nobody else will look at a claim whose attempt was not recorded before its lease ends, so the poll must
            // learn when that is.
            if !dispatcher.attempt_and_record(ready).await {
                dispatcher.wake_poll();
            }
            drop(slot);
        });
    }

    /// False when nothing was recorded.
    async fn attempt_and_record(&self, mut ready: Ready) -> bool {
        let shared = &self.inner.shared;
        if ready.in_doubt {
            match record::unknown(shared, &ready).await {
                Some(next) => ready = next,
                None => return false,
            }
        }
        let started_at = shared.clock.now();
        let snapshot = match self.current_snapshot(&ready.tenant).await {
            Ok(snapshot) => snapshot,
            Err(error) => return self.back(&ready, "the configuration could not be read", &error).await,
        };
        let channel = snapshot.channels.get(&ready.channel);
        let sends = channel
            .filter(|channel| channel.document.enabled && target_of(&channel.document) == ready.target);
        let mut over = None;
        if let Some(channel) = sends {
            match gate::ask(shared, &ready, channel, self.deadline(Some(channel)), started_at).await {
                Ok(Gate::Pass { probe }) => ready.probe = probe,
                Ok(Gate::Waits) => {
                    self.wake_poll();
                    return true;
                }
                Ok(Gate::TooLong { until, why }) => {
                    match takes_over(shared, &ready, &snapshot, &why, started_at).await {
                        Ok(Some(new)) => over = Some((why, new)),
                        Ok(None) => return self.waits(&ready, until).await,
                        Err(error) => {
                            return self.back(&ready, "its fallback could not be read", &error).await;
                        }
                    }
                }
                Ok(Gate::Lost) => return false,
                Err(error) => return self.back(&ready, "its channel could not be asked", &error).await,
            }
        }
        let regated = match over {
            // Whoever takes over is judged by its own channel.
            Some(_) => Regated::Go,
            None => regate(shared, &ready, &snapshot, started_at).await,
        };
        if ready.probe && regated != Regated::Go {
            gate::unused_probe(shared, &ready, started_at).await;
        }
        match regated {
            Regated::Go | Regated::Ends | Regated::ChannelOff => {}
            Regated::Waits => {
                self.wake_poll();
                return true;
            }
            Regated::Lost => return false,
            Regated::Failed => {
                let given = gate::give_back_soon(shared, &ready).await;
                self.wake_poll();
                return given;
            }
        }
        let off = match channel {
            _ if over.is_some() || regated == Regated::Ends => None,
            None => Some("the channel was deleted"),
            Some(channel) if !channel.document.enabled => Some("the channel is disabled"),
            // It was by the time of the judgement.
            Some(_) if regated == Regated::ChannelOff => Some("the channel is disabled or deleted"),
            Some(_) => None,
        };
        if let Some(why) = off {
            match takes_over(shared, &ready, &snapshot, why, started_at).await {
                Ok(new) => over = new.map(|new| (why.to_owned(), new)),
                Err(error) => return self.back(&ready, "its fallback could not be read", &error).await,
            }
        }
        let mut moved = false;
        let result = match channel {
            _ if regated == Regated::Ends => not_sent("it was judged again, and is not to be sent any more"),
            _ if off.is_some() => not_sent(off.unwrap_or_default()),
            _ if over.is_some() => not_sent(over.as_ref().map_or("", |(why, _)| why)),
            Some(channel) if target_of(&channel.document) != ready.target => {
                moved = true;
                not_sent(
                    "the channel's target has changed since this was decided; a new delivery takes its place",
                )
            }
            Some(channel) => self.send(&ready, channel, started_at).await,
            None => not_sent("the channel was deleted"),
        };
        let recorded = record::attempt(shared, self, &ready, &snapshot, started_at, result, over).await;
        if recorded && moved {
            crate::acts::follow_target(shared, self, &ready).await;
        }
        recorded
    }

    /// Nothing was sent, and nobody takes over: it waits for its channel.
    async fn waits(&self, ready: &Ready, until: Timestamp) -> bool {
        match gate::wait_all_the_same(&self.inner.shared, ready, until).await {
            Ok(Gate::Waits) => {
                self.wake_poll();
                true
            }
            Ok(_) => false,
            Err(error) => self.back(ready, "it could not be sent back to its queue", &error).await,
        }
    }

    /// Nothing was sent, for a fault of the store; it comes back in a moment.
    async fn back(&self, ready: &Ready, what: &str, error: &StoreError) -> bool {
        tracing::error!(delivery = %ready.id, %error, "{what}; nothing was sent");
        let given = gate::give_back_soon(&self.inner.shared, ready).await;
        self.wake_poll();
        given
    }

    /// Other processes may have changed the configuration; alone, every change goes through our own snapshots.
    async fn current_snapshot(&self, tenant: &TenantId) -> Result<Arc<Snapshot>, StoreError> {
        let shared = &self.inner.shared;
        let snapshot = shared.snapshots.get(tenant).await?;
        if shared.options.sweep.is_none()
            || shared.store.config_version(tenant).await? == snapshot.config_version
        {
            return Ok(snapshot);
        }
        let snapshot = shared.snapshots.reload(tenant).await?;
        shared.gates.follow(&snapshot);
        Ok(snapshot)
    }

    async fn send(&self, ready: &Ready, channel: &Version<Channel>, started_at: Timestamp) -> AttemptResult {
        let shared = &self.inner.shared;
        let document = &channel.document;
        if document.is_console() {
            return crate::inbox::attempt();
        }
        let provided =
            crate::provided::provided(shared, &ready.tenant, document, &ready.id, ready.created_at).await;
        let provided = match provided {
            Ok(provided) => provided,
            Err(error) => {
                tracing::warn!(delivery = %ready.id, %error, "who opted out cannot be read; nothing was sent");
                let detail = "who opted out of the channel could not be read; nothing was sent".to_owned();
                return failed(Outcome::Retry { after_ms: None }, detail);
            }
        };
        let Ok(config_json) = serde_json::to_vec(&document.config) else {
            return failed(Outcome::BadConfig, "the channel's config is not JSON".to_owned());
        };
        let input = AttemptInput {
            channel_type: &document.r#type,
            config_json: &config_json,
            tenant: &ready.tenant,
            secrets: &document.secrets,
            resolver: &shared.secrets,
            message_json: ready.message.as_bytes(),
            delivery_id: ready.id.as_str(),
            delivery_time: ready.created_at,
            attempt: ready.attempt,
            attempt_time: started_at,
            deadline: self.deadline(Some(channel)),
            phase: Phase::None,
            provider_reference: ready.provider_reference.as_deref(),
            provided: &provided,
            check: false,
        };
        shared.host.attempt(input).await
    }

    /// Waits until nothing is under way, at most this long.
    pub async fn drain(&self, limit: Duration) {
        let all = u32::try_from(self.inner.shared.options.concurrency).unwrap_or(u32::MAX);
        tokio::select! {
            all = self.inner.places.acquire_many(all) => drop(all),
            () = crate::clock::wait(limit) => {
                let left = self.inner.shared.options.concurrency - self.free();
                tracing::warn!(left, "attempts were still under way at the end; their results will be unknown");
            }
        }
    }
}

fn not_sent(why: &str) -> AttemptResult {
    failed(Outcome::Cancelled, why.to_owned())
}

pub(crate) fn failed(outcome: Outcome, detail: String) -> AttemptResult {
    AttemptResult {
        verdict: Verdict { outcome, detail, provider_reference: None },
        redacted_request: None,
        response: None,
        http_status: None,
        never_sent: true,
    }
}
