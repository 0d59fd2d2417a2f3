//! What every event passes before it is published, whichever way it came: its producer's signature, and the schema of its
//! type. Who can be answered is told what is wrong; what came from a bus, where nobody waits for an answer, is put into
//! quarantine with the reason.

mod producers;
mod quarantine;
mod schemas;

pub use producers::{ProducerKeys, ProducerKeysFault};
pub use quarantine::{Message, QuarantineLimits, Taken, is_quarantine_id, let_in, removal};
pub use schemas::compile_schema;

use crate::Bus;
use notify_core::document::Kind;
use notify_core::event::{Event, EventLimits, verifiable};
use notify_core::ids::TenantId;
use notify_core::problem::{Code, Problem};
use notify_core::time::{Clock, Timestamp};
use notify_store::{Store, StoreError};
use schemas::Schemas;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// How long an event may be judged by event types that another process has since changed. This process's own changes
/// are seen at once.
const STALE_AFTER: Duration = Duration::from_secs(1);

/// The gate, shared by all ways in.
pub struct Intake {
    store: Store,
    clock: Arc<dyn Clock>,
    producers: ProducerKeys,
    limits: EventLimits,
    quarantine: QuarantineLimits,
    gates: RwLock<HashMap<TenantId, Kept>>,
}

struct Kept {
    gate: Gate,
    config_version: u64,
    /// When the version was last compared with the store's.
    looked_at: Timestamp,
}

/// What one tenant's events must fulfil. A cheap copy of what was current when it was asked for.
#[derive(Clone)]
pub struct Gate {
    tenant: TenantId,
    schemas: Arc<Schemas>,
    producers: ProducerKeys,
}

impl Intake {
    #[must_use]
    pub fn new(store: Store, clock: Arc<dyn Clock>, producers: ProducerKeys, limits: EventLimits) -> Self {
        let quarantine = QuarantineLimits::default();
        Self { store, clock, producers, limits, quarantine, gates: RwLock::default() }
    }

    #[must_use]
    pub fn with_quarantine_limits(mut self, limits: QuarantineLimits) -> Self {
        self.quarantine = limits;
        self
    }

    /// The gate of a tenant.
    ///
    /// # Errors
    /// [`Code::Unavailable`] when the event types cannot be read: events are not taken in unseen.
    pub async fn gate(&self, tenant: &TenantId) -> Result<Gate, Problem> {
        let now = self.clock.now();
        let known = {
            let gates = self.gates.read().unwrap_or_else(PoisonError::into_inner);
            gates.get(tenant).map(|kept| (kept.gate.clone(), kept.config_version, kept.looked_at))
        };
        if let Some((gate, version, looked_at)) = &known {
            let fresh = now.duration_since(*looked_at).unsigned_abs() < STALE_AFTER;
            if fresh {
                return Ok(gate.clone());
            }
            if self.store.config_version(tenant).await.map_err(|error| unreadable(&error))? == *version {
                self.keep(gate, *version, now);
                return Ok(gate.clone());
            }
        }
        // Nothing but the event types: every event in flight comes here after a change, and rules are many.
        let configuration = self.store.configuration_of(tenant, Kind::EventType).await;
        let configuration = configuration.map_err(|error| unreadable(&error))?;
        let schemas = Arc::new(Schemas::compile(
            &configuration.documents,
            known.as_ref().map(|(gate, ..)| gate.schemas.as_ref()),
        ));
        let gate = Gate { tenant: tenant.clone(), schemas, producers: self.producers.clone() };
        self.keep(&gate, configuration.version, now);
        Ok(gate)
    }

    fn keep(&self, gate: &Gate, config_version: u64, looked_at: Timestamp) {
        let mut gates = self.gates.write().unwrap_or_else(PoisonError::into_inner);
        // Two look-ups may race; the older result must not win.
        if gates.get(&gate.tenant).is_some_and(|kept| kept.config_version > config_version) {
            return;
        }
        gates.insert(gate.tenant.clone(), Kept { gate: gate.clone(), config_version, looked_at });
    }

    /// The tenant's documents were written by this process: the next event is judged by what is current then.
    pub fn configuration_changed(&self, tenant: &TenantId) {
        let mut gates = self.gates.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = gates.get_mut(tenant) {
            kept.looked_at = Timestamp::MIN;
        }
    }

    /// Takes a message from a bus: published, or put into quarantine. Either is durable when this returns, and the message
    /// may then be acknowledged. A message that comes again after a crash is taken once.
    ///
    /// # Errors
    /// [`Code::Unavailable`]: nothing was taken, and the message must not be acknowledged.
    pub async fn take(&self, bus: &Bus, message: Message<'_>) -> Result<Taken, Problem> {
        let outcome = self.try_take(bus, &message).await;
        match outcome {
            Ok(receipt) => Ok(Taken::Published(receipt)),
            Err(problem) if is_passing(problem.code) => Err(problem),
            Err(problem) => self.put_aside(&message, &problem).await.map(Taken::Quarantined),
        }
    }

    async fn try_take(&self, bus: &Bus, message: &Message<'_>) -> Result<crate::Receipt, Problem> {
        let event = message.event(&self.limits)?;
        self.gate(message.tenant).await?.admit(&event)?;
        bus.publish(event).await
    }
}

/// A later try may succeed without anybody changing the message.
const fn is_passing(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::Timeout | Code::RateLimited | Code::Internal)
}

fn unreadable(error: &StoreError) -> Problem {
    tracing::error!(%error, "the event types could not be read");
    Problem::new(
        Code::Unavailable,
        "",
        "the store cannot be read",
        "send it again in a moment; nothing was accepted",
    )
}

impl Gate {
    /// # Errors
    /// [`Code::UnverifiedEvent`], [`Code::SchemaMismatch`].
    pub fn admit(&self, event: &Event) -> Result<(), Problem> {
        if let Some(material) = verifiable::material(event)? {
            self.producers.verify(&self.tenant, &material)?;
        }
        self.schemas.check(event)
    }
}
