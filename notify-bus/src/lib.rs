//! The event broker between intake and owner: publish and wait until it is durable, or publish and go on; subscribe
//! to event types by glob.
//!
//! Two providers here. **`memory`**: intake and owner share a process; the event goes straight to the owner, whose
//! commit makes event, decisions and deliveries durable together. **`database`**: the events table is the queue; an
//! event is committed as pending and any process that owns the tenant plans it. Both answer alike: a receipt exists
//! only for what is durable.

mod glob;
pub mod intake;
mod subscription;

pub use glob::{Glob, InvalidGlob};
pub use subscription::{Notice, Subscription};

use notify_core::event::Event;
use notify_core::ids::EventKey;
use notify_core::problem::{Code, Problem};
use notify_core::time::{Clock, Timestamp};
use notify_store::model::NewEvent;
use notify_store::{Bookkeeping, Commit, Refused, Store, StoreError};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use subscription::Subscribers;
use tokio::task::JoinHandle;

/// The event is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub key: EventKey,
    /// The same event had been published before; nothing was done again.
    pub duplicate: bool,
    pub accepted_at: Timestamp,
}

pub type Publishing = Pin<Box<dyn Future<Output = Result<Receipt, Problem>> + Send>>;

/// Where the `memory` provider's events become durable: the owner in this process.
pub trait DurableSink: Send + Sync {
    /// Resolves when the event is durable. The order of calls is the order of acceptance per tenant.
    fn accept(&self, event: Event) -> Publishing;
}

/// A broker; clones share subscriptions.
#[derive(Clone)]
pub struct Bus {
    provider: Provider,
    subscribers: Subscribers,
}

#[derive(Clone)]
enum Provider {
    Memory(Arc<dyn DurableSink>),
    Database { store: Store, clock: Arc<dyn Clock> },
}

impl Bus {
    #[must_use]
    pub fn memory(owner: Arc<dyn DurableSink>) -> Self {
        Self { provider: Provider::Memory(owner), subscribers: Subscribers::default() }
    }

    #[must_use]
    pub fn database(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self { provider: Provider::Database { store, clock }, subscribers: Subscribers::default() }
    }

    /// Publishes; the future resolves when the event is durable. The order of calls is the order of acceptance.
    ///
    /// It resolves to [`Code::EventConflict`], or to [`Code::Unavailable`] when nothing was accepted.
    #[must_use]
    pub fn publish(&self, event: Event) -> Publishing {
        let notice = Notice::about(&event);
        let subscribers = self.subscribers.clone();
        let accepting = match &self.provider {
            Provider::Memory(owner) => owner.accept(event),
            Provider::Database { store, clock } => {
                let (store, now) = (store.clone(), clock.now());
                Box::pin(async move { accept_pending(&store, now, event).await })
            }
        };
        Box::pin(async move {
            let receipt = accepting.await?;
            if !receipt.duplicate {
                subscribers.tell(&notice);
            }
            Ok(receipt)
        })
    }

    /// Publishes in the background; the handle gives the same answer as [`publish`](Self::publish).
    #[must_use]
    pub fn publish_async(&self, event: Event) -> JoinHandle<Result<Receipt, Problem>> {
        tokio::spawn(self.publish(event))
    }

    /// Notices of events that become durable through this broker from now on and whose type the glob matches.
    #[must_use]
    pub fn subscribe(&self, types: Glob) -> Subscription {
        self.subscribers.add(types)
    }
}

async fn accept_pending(store: &Store, now: Timestamp, event: Event) -> Result<Receipt, Problem> {
    for _ in 0..3 {
        let keys = [event.key.clone()];
        let known = store.known_events(&event.tenant, &keys).await.map_err(|error| unavailable(&error))?;
        if let Some(known) = known.into_iter().next() {
            if known.body_hash != event.body_hash {
                return Err(Problem::new(
                    Code::EventConflict,
                    "/id",
                    format!(
                        "another event with id `{}` from source `{}` was accepted before",
                        event.id, event.source
                    ),
                    "give each event an id of its own; a repeat must be equal to the first",
                ));
            }
            return Ok(Receipt { key: known.key, duplicate: true, accepted_at: known.accepted_at });
        }
        let new = NewEvent {
            key: event.key.clone(),
            source: event.source.clone(),
            id: event.id.clone(),
            r#type: event.r#type.clone(),
            subject: event.subject.clone(),
            body: event.body.clone(),
            body_hash: event.body_hash,
            accepted_at: now,
            salt: None,
        };
        let pending = vec![Bookkeeping::AcceptPending(Box::new(new))];
        match store.commit(Commit::bookkeeping(event.tenant.clone(), pending)).await {
            Ok(_) => return Ok(Receipt { key: event.key, duplicate: false, accepted_at: now }),
            // Somebody was faster, or the answer was lost on the way: look again.
            Err(
                StoreError::Refused(Refused::EventExists { .. })
                | StoreError::Database(_)
                | StoreError::InDoubt(_),
            ) => {}
            Err(error) => return Err(unavailable(&error)),
        }
    }
    Err(Problem::new(Code::Unavailable, "", "the store cannot be written", "send it again in a moment"))
}

fn unavailable(error: &StoreError) -> Problem {
    let reason = match error {
        StoreError::Refused(Refused::NoTenant) => "the tenant does not exist",
        _ => "the store cannot be used",
    };
    Problem::new(Code::Unavailable, "", reason, "send it again in a moment; nothing was accepted")
}
