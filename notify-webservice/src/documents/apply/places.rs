//! Who may bring a set of rules: its body and what is made of it are the largest things that a request holds in memory.

use notify_core::ids::TenantId;
use notify_core::problem::{Code, Problem};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Of all tenants together.
const AT_ONCE: usize = 2;

/// The places of one process.
#[derive(Debug, Clone)]
pub struct Places {
    tenants: Arc<Mutex<HashSet<TenantId>>>,
    all: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        Self { tenants: Arc::default(), all: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    tenant: TenantId,
    tenants: Arc<Mutex<HashSet<TenantId>>>,
    _all: Option<OwnedSemaphorePermit>,
}

impl Places {
    /// Waits for a place. Each tenant waits for one at most, so that none keeps the others out.
    ///
    /// # Errors
    /// [`Code::RateLimited`] while the tenant has another such request under way.
    pub async fn enter(&self, tenant: &TenantId) -> Result<Place, Problem> {
        let first = self.tenants.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone());
        if !first {
            return Err(Problem::new(
                Code::RateLimited,
                "",
                "another set of rules of this tenant is being applied",
                "wait until it is done, and send this one again",
            ));
        }
        let mut place = Place { tenant: tenant.clone(), tenants: Arc::clone(&self.tenants), _all: None };
        // Never closed.
        place._all = Arc::clone(&self.all).acquire_owned().await.ok();
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.tenant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn one_of_a_tenant_and_few_of_all() {
        let places = Places::default();
        let tenant = |name: &str| TenantId::new(name).unwrap();
        let enter =
            |name: &str| places.enter(&tenant(name)).now_or_never().map(|place| place.map_err(|p| p.code));
        let first = enter("a").unwrap().unwrap();
        assert_eq!(enter("a").unwrap().unwrap_err(), Code::RateLimited);
        let second = enter("b").unwrap().unwrap();
        assert!(enter("c").is_none(), "has to wait");
        drop(first);
        let third = enter("c").unwrap().unwrap();
        drop((second, third));
        for name in ["a", "b", "c"] {
            assert!(enter(name).unwrap().is_ok(), "{name}: also who gave up waiting");
        }
    }
}
