//! Who wants to know of which events. A notice wakes or informs; the truth stays in the store, so a subscriber that
//! falls behind loses notices, is told so, and never slows the publisher.

use crate::glob::Glob;
use notify_core::event::Event;
use notify_core::ids::{EventKey, TenantId};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// An event has become durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub tenant: TenantId,
    pub key: EventKey,
    pub r#type: String,
}

impl Notice {
    pub(crate) fn about(event: &Event) -> Self {
        Self { tenant: event.tenant.clone(), key: event.key.clone(), r#type: event.r#type.clone() }
    }
}

/// Notices that may wait for a subscriber.
const WAITING: usize = 1024;

/// Ends when it is dropped.
#[derive(Debug)]
pub struct Subscription {
    notices: mpsc::Receiver<Notice>,
    missed: Arc<AtomicU64>,
}

impl Subscription {
    /// The next notice; `None` when the broker is gone.
    pub async fn next(&mut self) -> Option<Notice> {
        self.notices.recv().await
    }

    /// Notices that were dropped because this subscriber was slow. Look into the store for them.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Subscribers {
    all: Arc<Mutex<Vec<Subscriber>>>,
    /// Of all subscribers, also those that are gone.
    missed: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Subscriber {
    types: Glob,
    notices: mpsc::Sender<Notice>,
    missed: Arc<AtomicU64>,
}

impl Subscribers {
    pub fn add(&self, types: Glob) -> Subscription {
        let (sender, notices) = mpsc::channel(WAITING);
        let missed = Arc::new(AtomicU64::new(0));
        let subscriber = Subscriber { types, notices: sender, missed: Arc::clone(&missed) };
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(subscriber);
        Subscription { notices, missed }
    }

    pub fn tell(&self, notice: &Notice) {
        let mut subscribers = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|subscriber| {
            if !subscriber.types.matches(&notice.r#type) {
                return !subscriber.notices.is_closed();
            }
            match subscriber.notices.try_send(notice.clone()) {
                Ok(()) => true,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    subscriber.missed.fetch_add(1, Ordering::Relaxed);
                    self.missed.fetch_add(1, Ordering::Relaxed);
                    true
                }
                Err(mpsc::error::TrySendError::Closed(_)) => false,
            }
        });
    }

    /// Live subscribers, and notices that were missed.
    pub fn counts(&self) -> (u64, u64) {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let live = all.iter().filter(|subscriber| !subscriber.notices.is_closed()).count();
        (live as u64, self.missed.load(Ordering::Relaxed))
    }
}
