//! Who may ask for the largest pieces of work: bringing a set of rules, and having all rules judged. One of each kind
//! for a tenant, few of all tenants together, so that neither memory nor processor is any one tenant's.

use notify_core::ids::TenantId;
use notify_core::problem::{Code, Problem};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;

/// The places of one process for one kind of work.
#[derive(Debug, Clone)]
pub struct Places {
    tenants: Arc<Mutex<HashSet<TenantId>>>,
    all: Arc<Semaphore>,
    under_way: &'static str,
}

/// A tenant's place, until it is dropped. Nothing is worked on yet: what is read meanwhile may come slowly.
#[derive(Debug)]
pub struct Entered {
    tenant: TenantId,
    tenants: Arc<Mutex<HashSet<TenantId>>>,
    all: Arc<Semaphore>,
}

/// A place among all tenants' work, until it is dropped. Every thread and task of the work has to own it: the request
/// may be given up long before they end.
#[derive(Debug)]
pub struct Place {
    _tenant: Entered,
    _all: Option<OwnedSemaphorePermit>,
}

impl Places {
    /// `under_way`: what is said to a tenant that has one already.
    #[must_use]
    pub fn new(at_once: usize, under_way: &'static str) -> Self {
        Self { tenants: Arc::default(), all: Arc::new(Semaphore::new(at_once)), under_way }
    }

    /// # Errors
    /// [`Code::RateLimited`] while the tenant has another one under way.
    pub fn enter(&self, tenant: &TenantId) -> Result<Entered, Problem> {
        let first = self.tenants.lock().unwrap_or_else(PoisonError::into_inner).insert(tenant.clone());
        if !first {
            let fix = "wait until it is done, and send this one again";
            return Err(Problem::new(Code::RateLimited, "", self.under_way, fix));
        }
        let (tenants, all) = (Arc::clone(&self.tenants), Arc::clone(&self.all));
        Ok(Entered { tenant: tenant.clone(), tenants, all })
    }
}

impl Entered {
    /// Waits for its turn among all tenants. Each tenant waits for one at most, so that none keeps the others out.
    pub async fn begin(self) -> Arc<Place> {
        // Never closed.
        let all = Arc::clone(&self.all).acquire_owned().await.ok();
        Arc::new(Place { _tenant: self, _all: all })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.tenant);
    }
}

/// Work on a thread of its own, which holds on to something until it ends, whether or not somebody waits for it.
///
/// # Errors
/// When it panicked.
pub async fn holding<H: Send + 'static, T: Send + 'static>(
    held: H,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    let work = move || {
        let done = work();
        drop(held);
        done
    };
    tokio::task::spawn_blocking(work).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn tenant(name: &str) -> TenantId {
        TenantId::new(name).unwrap()
    }

    /// Its code, or whether the work may begin at once.
    fn try_it(places: &Places, name: &str) -> Result<Option<Arc<Place>>, Code> {
        places.enter(&tenant(name)).map(|entered| entered.begin().now_or_never()).map_err(|p| p.code)
    }

    #[test]
    fn one_of_a_tenant_and_few_of_all() {
        let places = Places::new(2, "busy");
        let slow = places.enter(&tenant("slow")).unwrap();
        let first = try_it(&places, "a").unwrap().unwrap();
        assert_eq!(try_it(&places, "a").unwrap_err(), Code::RateLimited);
        let second = try_it(&places, "b").unwrap().expect("who only reads takes no place of the others");
        assert!(try_it(&places, "c").unwrap().is_none(), "has to wait");
        drop(first);
        let third = try_it(&places, "c").unwrap().unwrap();
        assert_eq!(places.enter(&tenant("slow")).unwrap_err().code, Code::RateLimited);
        drop((second, third, slow));
        for name in ["a", "b", "c", "slow"] {
            assert!(try_it(&places, name).unwrap().is_some(), "{name}: also who gave up waiting");
        }
    }

    #[tokio::test]
    async fn a_place_is_given_back_when_the_work_ends_and_not_when_the_request_does() {
        let places = Places::new(1, "busy");
        let place = places.enter(&tenant("a")).unwrap().begin().await;
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let (begin, begun) = std::sync::mpsc::channel::<()>();
        let work = move || begin.send(()).is_ok() && wait.recv().is_ok();
        let request = holding(Arc::clone(&place), work);
        drop(place);
        // The request is given up while its work goes on.
        let mut request = Box::pin(request);
        assert!(request.as_mut().now_or_never().is_none());
        begun.recv().unwrap();
        drop(request);
        assert_eq!(try_it(&places, "a").unwrap_err(), Code::RateLimited);
        let mut other = Box::pin(places.enter(&tenant("b")).unwrap().begin());
        assert!(other.as_mut().now_or_never().is_none());
        go_on.send(()).unwrap();
        let other = other.await;
        drop(other);
        assert!(try_it(&places, "a").unwrap().is_some());
    }

    #[tokio::test]
    async fn a_place_is_given_back_after_a_panic() {
        let places = Places::new(1, "busy");
        let place = places.enter(&tenant("a")).unwrap().begin().await;
        let outcome = holding(place, || panic!("asked to")).await;
        assert!(outcome.is_err());
        assert!(try_it(&places, "a").unwrap().is_some());
    }
}
