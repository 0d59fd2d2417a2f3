//! Which rules an event matches and which it misses by little: looks at every rule, so not on the threads that serve.

use crate::worker::{Worker, unavailable};
use notify_core::event::Event;
use notify_core::plan::{Explained, NEAREST, Nearest, Snapshot};
use notify_core::problem::Problem;
use serde_json::Value;
use std::sync::Arc;

impl Worker {
    /// What the tenant's enabled rules say of an event.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn explain(&self, event: Event, nearest: usize) -> Result<Explained, Problem> {
        let snapshot = self.shared.snapshots.reload(&event.tenant).await.map_err(|error| {
            tracing::error!(tenant = %event.tenant, %error, "the configuration could not be read");
            unavailable("the store cannot be read")
        })?;
        aside(move || snapshot.explain(&event.value, nearest)).await
    }
}

pub(crate) async fn nearest(snapshot: Arc<Snapshot>, event: Value) -> Result<Nearest, Problem> {
    aside(move || snapshot.nearest(&event, NEAREST)).await
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.map_err(|_| unavailable("the service is stopping"))
}
