//! The store's methods. Every call that touches tenant data carries the tenant.

use crate::commit::{Commit, Committed, Refused};
use crate::model::*;
use notify_core::document::Kind;
use notify_core::ids::{DeliveryId, EventKey, TenantId};
use notify_core::time::Timestamp;
use std::path::PathBuf;
use std::time::Duration;

/// Where the data is.
#[derive(Debug, Clone)]
pub enum Backend {
    /// One file, WAL, `synchronous=FULL`; one process per home, by lock file beside it.
    Sqlite { file: PathBuf },
    /// `synchronous_commit=on`; row-level security.
    Postgres { url: String },
}

#[derive(Debug, Clone)]
pub struct OpenOptions {
    pub backend: Backend,
    /// Lower-case host name in log origins.
    pub site: String,
    /// Seed of all log keys (HKDF); 32 bytes.
    pub log_seed: [u8; 32],
    /// Readers; the writer is one more.
    pub read_connections: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the database cannot be migrated: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("another process uses {0}")]
    InUse(PathBuf),
    #[error("{0}")]
    Corrupt(String),
    #[error("the store is shut down")]
    Closed,
}

/// A handle; clones share everything.
#[derive(Debug, Clone)]
pub struct Store {}

#[allow(unused_variables, clippy::unused_async, clippy::missing_errors_doc)]
impl Store {
    /// Opens, locks and migrates.
    pub async fn open(options: OpenOptions) -> Result<Self, StoreError> {
        Err(StoreError::Closed)
    }
    /// Commits and waits until it is durable.
    pub async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        Err(StoreError::Closed)
    }
    /// Hands the commit to the committer at once, in order of calls, and gives the answer to come.
    pub fn submit(&self, commit: Commit) -> tokio::sync::oneshot::Receiver<Result<Committed, StoreError>> {
        tokio::sync::oneshot::channel().1
    }
    /// Lets waiting commits finish, then closes. Later commits answer [`StoreError::Closed`].
    pub async fn close(&self) {}
    /// The database's clock.
    pub async fn now(&self) -> Result<Timestamp, StoreError> {
        Err(StoreError::Closed)
    }

    pub async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        Err(StoreError::Closed)
    }
    pub async fn tenant(&self, tenant: &TenantId) -> Result<Option<Tenant>, StoreError> {
        Err(StoreError::Closed)
    }
    pub async fn config_version(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        Err(StoreError::Closed)
    }
    pub async fn configuration(&self, tenant: &TenantId) -> Result<Configuration, StoreError> {
        Err(StoreError::Closed)
    }
    /// `version` `None` = current (also when deleted: see `Document::deleted`).
    pub async fn document(
        &self,
        tenant: &TenantId,
        kind: Kind,
        id: &str,
        version: Option<u64>,
    ) -> Result<Option<Document>, StoreError> {
        Err(StoreError::Closed)
    }
    /// Current, not deleted, by id.
    pub async fn documents(
        &self,
        tenant: &TenantId,
        kind: Kind,
        page: &Page,
    ) -> Result<Paged<Document>, StoreError> {
        Err(StoreError::Closed)
    }

    pub async fn known_events(
        &self,
        tenant: &TenantId,
        keys: &[EventKey],
    ) -> Result<Vec<KnownEvent>, StoreError> {
        Err(StoreError::Closed)
    }
    /// Oldest `accepted_seq` first.
    pub async fn pending_events(&self, tenant: &TenantId, limit: u32) -> Result<Vec<Event>, StoreError> {
        Err(StoreError::Closed)
    }
    pub async fn event(&self, tenant: &TenantId, key: &EventKey) -> Result<Option<Event>, StoreError> {
        Err(StoreError::Closed)
    }
    /// Newest first.
    pub async fn events(&self, tenant: &TenantId, page: &Page) -> Result<Paged<Event>, StoreError> {
        Err(StoreError::Closed)
    }

    pub async fn delivery(&self, tenant: &TenantId, id: &DeliveryId) -> Result<Option<Delivery>, StoreError> {
        Err(StoreError::Closed)
    }
    /// Newest first.
    pub async fn deliveries(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        page: &Page,
    ) -> Result<Paged<Delivery>, StoreError> {
        Err(StoreError::Closed)
    }
    pub async fn attempts(&self, tenant: &TenantId, id: &DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        Err(StoreError::Closed)
    }

    /// Claims due deliveries of all tenants, oldest due first, also those whose lease ran out. Takes no delivery
    /// whose claim still runs.
    pub async fn claim_due(
        &self,
        now: Timestamp,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Claimed>, StoreError> {
        Err(StoreError::Closed)
    }
    /// When the next unclaimed delivery is due or the next lease runs out; `None`: nothing waits.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        Err(StoreError::Closed)
    }
    /// At start-up of the only process on this store (SQLite): every claim is void, its attempt in doubt.
    pub async fn void_all_claims(&self) -> Result<u64, StoreError> {
        Err(StoreError::Closed)
    }

    /// Takes or renews the tenant's owner lease on the database's clock; a new holder gets a higher epoch. `None`:
    /// somebody else holds it.
    pub async fn acquire_lease(
        &self,
        tenant: &TenantId,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        Err(StoreError::Closed)
    }
    pub async fn release_lease(&self, tenant: &TenantId, lease: &Lease) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    pub async fn ledger_head(&self, tenant: &TenantId) -> Result<Option<LedgerHead>, StoreError> {
        Err(StoreError::Closed)
    }
    /// Entries `from..to` in order, at most `limit`.
    pub async fn ledger_entries(
        &self,
        tenant: &TenantId,
        from: u64,
        to: u64,
        limit: u32,
    ) -> Result<Vec<LedgerEntry>, StoreError> {
        Err(StoreError::Closed)
    }
    pub async fn ledger_entries_about(
        &self,
        tenant: &TenantId,
        about: &str,
    ) -> Result<Vec<LedgerEntry>, StoreError> {
        Err(StoreError::Closed)
    }
    /// Hashes of complete subtrees as `notify_core::ledger` asks for them: (level, index) → root of the subtree over
    /// leaves `index·2^level .. (index+1)·2^level`.
    pub async fn ledger_nodes(
        &self,
        tenant: &TenantId,
        wanted: &[(u8, u64)],
    ) -> Result<Vec<[u8; 32]>, StoreError> {
        Err(StoreError::Closed)
    }
    /// Openings of everything the entries `from..to` commit to that still exist.
    pub async fn openings(&self, tenant: &TenantId, from: u64, to: u64) -> Result<Vec<Opening>, StoreError> {
        Err(StoreError::Closed)
    }

    pub async fn remembered_answer(
        &self,
        tenant: &TenantId,
        key: &str,
    ) -> Result<Option<RememberedAnswer>, StoreError> {
        Err(StoreError::Closed)
    }
    pub async fn backlog(&self, now: Timestamp) -> Result<Backlog, StoreError> {
        Err(StoreError::Closed)
    }
}
