//! What every handler can reach, and one request as handlers see it.

use crate::auth::{Authenticator, Caller, Publishers};
use crate::documents::places::{Place, holding};
use crate::engine::{BoxFuture, Engine};
use crate::metrics::Counters;
use crate::pages::Pages;
use crate::query::Query;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method};
use notify_bus::intake::Intake;
use notify_core::event::EventLimits;
use notify_core::ids::TenantId;
use notify_core::ledger::keys::ExportKey;
use notify_core::problem::{Code, Problem};
use notify_core::time::Clock;
use notify_store::{Commit, Committed, Store, StoreError};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Bounds on requests. The operator's config sets them.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Events and batches of them.
    pub events: EventLimits,
    /// Bytes of a document, a preview request or any other body.
    pub document_bytes: usize,
    /// From the first byte of the request to the first of the answer.
    pub request_timeout: Duration,
    /// A client must send its headers within this time.
    pub header_timeout: Duration,
    /// Bytes of the request line and headers together.
    pub header_bytes: usize,
    /// Connections at once; more wait in the listener's queue.
    pub connections: usize,
    /// Requests of one tenant at once; more are answered 429.
    pub tenant_requests: usize,
    /// Current documents that one tenant may have.
    pub tenant_rules: u64,
    pub tenant_channels: u64,
    pub tenant_templates: u64,
    pub tenant_bundles: u64,
    pub tenant_event_types: u64,
    /// Of each kind that noise control is made of.
    pub tenant_noise_documents: u64,
    /// Bytes and rules of one `rules:apply`.
    pub apply_bytes: usize,
    pub apply_rules: usize,
    /// After the stop, requests in flight may take this long.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            events: EventLimits::default(),
            document_bytes: 256 * 1024,
            request_timeout: Duration::from_secs(30),
            header_timeout: Duration::from_secs(15),
            header_bytes: 16 * 1024,
            connections: 4_096,
            tenant_requests: 1_024,
            tenant_rules: 20_000,
            tenant_channels: 2_000,
            tenant_templates: 2_000,
            tenant_bundles: 100,
            tenant_event_types: 1_000,
            tenant_noise_documents: 2_000,
            apply_bytes: 16 * 1024 * 1024,
            apply_rules: 20_000,
            drain: Duration::from_secs(20),
        }
    }
}

/// Everything behind the API. Made once by `notify serve`.
pub struct App {
    pub store: Store,
    pub engine: Arc<dyn Engine>,
    pub authenticator: Authenticator,
    /// Services that sign in place of showing a token.
    pub publishers: Publishers,
    /// What every event passes before the engine gets it.
    pub intake: Arc<Intake>,
    pub clock: Arc<dyn Clock>,
    pub limits: Limits,
    /// Signs the envelopes of ledger exports.
    pub export_key: ExportKey,
    pub counters: Counters,
    /// For those who have a link and no login.
    pub pages: Pages,
}

/// Who is at the other end of a request's connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

impl App {
    /// Commits, and counts what was written to the ledger.
    ///
    /// # Errors
    /// The store's.
    pub async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        let done = self.store.commit(commit).await?;
        self.counters.ledger_entries.inc_by(done.seqs.len() as u64);
        Ok(done)
    }
}

/// One authenticated request, body read.
pub struct Call {
    pub app: Arc<App>,
    pub caller: Arc<Caller>,
    pub method: Method,
    /// Path as sent, for the idempotency digest.
    pub path: String,
    pub params: Vec<(String, String)>,
    pub query: Query,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Held by all work of a route that takes whole sets of rules.
    pub place: Option<Arc<Place>>,
    /// The other end of the connection, where it is known.
    pub peer: Option<IpAddr>,
    /// Names the request in logs and problems.
    pub request: String,
}

/// What a handler gives.
pub type Answer = Result<Response, Problem>;

impl Call {
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.caller.tenant
    }

    /// What keeps a processor busy, in the tenant's turn and off the threads that serve events.
    ///
    /// # Errors
    /// `internal` when it panicked.
    pub async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = self.app.counters.turns.take(self.tenant()).await;
        holding(turn, work).await.map_err(|error| internal(&self.request, &error))
    }

    /// The same for what the engine does. The turn ends with it, also when nobody waits for it any more.
    ///
    /// # Errors
    /// `internal` when it panicked.
    pub async fn engine_in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Engine) -> BoxFuture<T>,
    ) -> Result<T, Problem> {
        let turn = self.app.counters.turns.take(self.tenant()).await;
        let work = work(&*self.app.engine);
        let work = tokio::spawn(async move {
            let done = work.await;
            drop(turn);
            done
        });
        work.await.map_err(|error| internal(&self.request, &error))
    }

    /// A path parameter of the route.
    #[must_use]
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// A header as text; absent and not-text are both `None`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The media type of the body, lower case, without parameters.
    #[must_use]
    pub fn media_type(&self) -> String {
        let full = self.header("content-type").unwrap_or_default();
        full.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}

/// Logs what only an operator can act on and gives the problem that the user sees.
#[must_use]
pub fn internal(request: &str, error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(request, %error, "request failed");
    crate::answer::internal()
}

/// A fault of the store as the caller sees it.
#[must_use]
pub fn store_problem(request: &str, error: &notify_store::StoreError) -> Problem {
    use notify_store::{Refused, StoreError};
    match error {
        StoreError::Closed => {
            Problem::new(Code::Unavailable, "", "the service is shutting down", "try again")
        }
        StoreError::Refused(Refused::NoTenant) => no_tenant(),
        StoreError::BadPageToken => Problem::new(
            Code::InvalidPageToken,
            "pageToken",
            "this is no page token of this list",
            "give `nextPageToken` of the page before, unchanged",
        ),
        StoreError::InDoubt(cause) => {
            tracing::error!(request, %cause, "the outcome of a commit is unknown");
            Problem::new(
                Code::Unavailable,
                "",
                "the database did not answer in time: the change was made whole or not at all",
                "look whether it was made, or send it again with the same Idempotency-Key",
            )
        }
        StoreError::Refused(Refused::EntryTooLarge { bytes }) => Problem::new(
            Code::TooLarge,
            "",
            format!("the ledger entry of this change would have {bytes} bytes, more than a ledger entry may"),
            "make the change smaller",
        ),
        other => internal(request, other),
    }
}

fn no_tenant() -> Problem {
    Problem::new(
        Code::NotFound,
        "",
        "the token's tenant does not exist on this site",
        "let the operator create it with `notify tenant create`",
    )
}
