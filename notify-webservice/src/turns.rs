//! Turns at the processor for what is tried out or explained while somebody waits: previews, explanations, the tests
//! of a rule. Each may take long, so that without a bound they would fill every thread that blocking work has, and the
//! processor with them. What is taken in and delivered does not pass here.

use notify_core::ids::TenantId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Of one tenant, running or next in line.
const OF_A_TENANT: usize = 2;
/// Tenants that are kept in mind before those without a request are forgotten.
const REMEMBERED: usize = 1_024;

/// The turns of one process.
#[derive(Debug)]
pub struct Turns {
    tenants: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
    all: Arc<Semaphore>,
}

/// A turn, until it is dropped. The work itself has to own it.
#[derive(Debug)]
pub struct Turn {
    _tenant: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl Default for Turns {
    /// Half of the processors: the other half is for events.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self::new((processors / 2).max(1))
    }
}

impl Turns {
    fn new(at_once: usize) -> Self {
        Self { tenants: Mutex::default(), all: Arc::new(Semaphore::new(at_once)) }
    }

    /// Waits, as long as the request may take. A tenant's first in line wait beside those of other tenants, and all
    /// others of its requests behind them: it delays itself only.
    pub async fn take(&self, tenant: &TenantId) -> Turn {
        // Neither is ever closed.
        let of_tenant = self.of(tenant).acquire_owned().await.ok();
        let of_all = Arc::clone(&self.all).acquire_owned().await.ok();
        Turn { _tenant: of_tenant, _all: of_all }
    }

    fn of(&self, tenant: &TenantId) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if tenants.len() >= REMEMBERED && !tenants.contains_key(tenant) {
            // Who waits or has a turn holds its semaphore.
            tenants.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        let turns = tenants.entry(tenant.clone()).or_insert_with(|| Arc::new(Semaphore::new(OF_A_TENANT)));
        Arc::clone(turns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    #[tokio::test]
    async fn a_tenant_with_many_requests_delays_itself_only() {
        let turns = Turns::new(1);
        let (busy, other) = (tenant("busy"), tenant("other"));
        let running = turns.take(&busy).await;
        let mut waiting: Vec<_> = (0..9).map(|_| Box::pin(turns.take(&busy))).collect();
        assert!(waiting.iter_mut().all(|turn| turn.now_or_never().is_none()));
        let mut others = Box::pin(turns.take(&other));
        assert!((&mut others).now_or_never().is_none());
        drop(running);
        // One of the nine stood before it, and no more.
        let next = waiting.remove(0).await;
        assert!(waiting.iter_mut().all(|turn| turn.now_or_never().is_none()));
        drop(next);
        drop(others.await);
        for turn in waiting {
            drop(turn.await);
        }
    }

    #[tokio::test]
    async fn tenants_are_forgotten_when_nothing_of_theirs_is_under_way() {
        let turns = Turns::new(usize::MAX >> 4);
        let kept = turns.take(&tenant("kept")).await;
        for number in 0..REMEMBERED * 3 {
            drop(turns.take(&tenant(&format!("t{number}"))).await);
        }
        assert!(turns.tenants.lock().unwrap().len() <= REMEMBERED + 1);
        let second = turns.take(&tenant("kept")).await;
        assert!(turns.take(&tenant("kept")).now_or_never().is_none(), "still counted");
        drop((kept, second));
    }
}
