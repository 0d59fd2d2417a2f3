//! The store's methods. Every call that touches tenant data carries the tenant.

use crate::commit::{Commit, Committed, Refused};
use crate::committer::{self, Job};
use crate::model::*;
use crate::pools::Shared;
use notify_core::document::Kind;
use notify_core::ids::{ChannelId, DeliveryId, DigestId, EventKey, HeldId, TenantId};
use notify_core::noise::StateKey;
use notify_core::time::Timestamp;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

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
    /// Nothing was written.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// COMMIT was sent and no answer came: everything was written, or nothing. Look the event, the delivery or the
    /// claim up before acting; repeating the same commit is safe where its guards or keys make it so.
    #[error("the outcome of a commit is unknown: {0}")]
    InDoubt(sqlx::Error),
    #[error("the store cannot run like this: {0}")]
    Misconfigured(String),
    #[error("the page token is not one of this list")]
    BadPageToken,
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
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    /// `None` once closed.
    jobs: Mutex<Option<mpsc::UnboundedSender<Job>>>,
    committer: Mutex<Option<JoinHandle<()>>>,
}

/// The same error for one more caller: `sqlx::Error` cannot be cloned.
pub(crate) fn repeat(error: &sqlx::Error) -> sqlx::Error {
    match error {
        sqlx::Error::Io(io) => sqlx::Error::Io(std::io::Error::new(io.kind(), io.to_string())),
        error => sqlx::Error::Protocol(error.to_string()),
    }
}

#[allow(clippy::missing_errors_doc)]
impl Store {
    /// Opens, locks and migrates.
    pub async fn open(options: OpenOptions) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::open(options).await?);
        let (sender, receiver) = mpsc::unbounded_channel();
        let committing = committer::run(Arc::clone(&shared), receiver);
        let committer = if shared.is_sqlite() {
            // SQLite is called directly and a flush blocks its caller: that must not be a thread that others need.
            let runtime = tokio::runtime::Handle::current();
            tokio::task::spawn_blocking(move || runtime.block_on(committing))
        } else {
            tokio::spawn(committing)
        };
        let inner = Inner { shared, jobs: Mutex::new(Some(sender)), committer: Mutex::new(Some(committer)) };
        Ok(Self { inner: Arc::new(inner) })
    }
    /// Commits and waits until it is durable.
    pub async fn commit(&self, commit: Commit) -> Result<Committed, StoreError> {
        self.submit(commit).await.unwrap_or(Err(StoreError::Closed))
    }
    /// Hands the commit to the committer at once, in order of calls, and gives the answer to come.
    pub fn submit(&self, commit: Commit) -> tokio::sync::oneshot::Receiver<Result<Committed, StoreError>> {
        let (reply, answer) = oneshot::channel();
        let job = Job { commit, reply };
        let jobs = self.inner.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = match jobs.as_ref() {
            Some(jobs) => jobs.send(job).err().map(|refused| refused.0),
            None => Some(job),
        };
        if let Some(job) = refused {
            let _ = job.reply.send(Err(StoreError::Closed));
        }
        answer
    }
    /// Lets waiting commits finish, then closes. Later commits answer [`StoreError::Closed`].
    pub async fn close(&self) {
        drop(self.inner.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let committer = self.inner.committer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(committer) = committer
            && let Err(error) = committer.await
        {
            tracing::error!(%error, "the committer ended badly");
        }
        self.inner.shared.close().await;
    }
    /// The database's clock.
    pub async fn now(&self) -> Result<Timestamp, StoreError> {
        self.inner.shared.now().await
    }

    pub async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        self.inner.shared.tenants().await
    }
    pub async fn tenant(&self, tenant: &TenantId) -> Result<Option<Tenant>, StoreError> {
        self.inner.shared.tenant(tenant).await
    }
    pub async fn config_version(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        self.inner.shared.config_version(tenant).await
    }
    pub async fn configuration(&self, tenant: &TenantId) -> Result<Configuration, StoreError> {
        self.inner.shared.configuration(tenant).await
    }
    /// The documents of one kind, and the version of the configuration that they are part of.
    pub async fn configuration_of(&self, tenant: &TenantId, kind: Kind) -> Result<Configuration, StoreError> {
        self.inner.shared.configuration_of(tenant, kind).await
    }
    /// What changed since a configuration that the caller knows; `None` when the store cannot tell (steps from before it
    /// kept them, or by a process that did not), and the whole has to be read.
    pub async fn configuration_since(
        &self,
        tenant: &TenantId,
        known: u64,
    ) -> Result<Option<ConfigurationChanges>, StoreError> {
        self.inner.shared.configuration_since(tenant, known).await
    }
    /// Ids and last versions of what was deleted: a document that comes back goes on counting.
    pub async fn deleted_documents(
        &self,
        tenant: &TenantId,
        kind: Kind,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        self.inner.shared.deleted_documents(tenant, kind).await
    }
    /// `version` `None` = current (also when deleted: see `Document::deleted`).
    pub async fn document(
        &self,
        tenant: &TenantId,
        kind: Kind,
        id: &str,
        version: Option<u64>,
    ) -> Result<Option<Document>, StoreError> {
        self.inner.shared.document(tenant, kind, id, version).await
    }
    /// Current, not deleted, by id.
    pub async fn documents(
        &self,
        tenant: &TenantId,
        kind: Kind,
        page: &Page,
    ) -> Result<Paged<Document>, StoreError> {
        self.inner.shared.documents(tenant, kind, page).await
    }

    pub async fn known_events(
        &self,
        tenant: &TenantId,
        keys: &[EventKey],
    ) -> Result<Vec<KnownEvent>, StoreError> {
        self.inner.shared.known_events(tenant, keys).await
    }
    /// Oldest `accepted_seq` first.
    pub async fn pending_events(&self, tenant: &TenantId, limit: u32) -> Result<Vec<Event>, StoreError> {
        self.inner.shared.pending_events(tenant, limit).await
    }
    pub async fn event(&self, tenant: &TenantId, key: &EventKey) -> Result<Option<Event>, StoreError> {
        self.inner.shared.event(tenant, key).await
    }
    /// Newest first.
    pub async fn events(&self, tenant: &TenantId, page: &Page) -> Result<Paged<Event>, StoreError> {
        self.inner.shared.events(tenant, page).await
    }

    pub async fn delivery(&self, tenant: &TenantId, id: &DeliveryId) -> Result<Option<Delivery>, StoreError> {
        self.inner.shared.delivery(tenant, id).await
    }
    /// Newest first.
    pub async fn deliveries(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        page: &Page,
    ) -> Result<Paged<Delivery>, StoreError> {
        self.inner.shared.deliveries(tenant, filter, page).await
    }
    /// Dead letters that nobody has replayed yet, oldest first, each with its number, after number `after` (0: from
    /// the first). Only rule, channel and times of the filter count.
    pub async fn dead_letters(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<(i64, Delivery)>, StoreError> {
        self.inner.shared.dead_letters(tenant, filter, after, limit).await
    }
    /// How many [`dead_letters`](Self::dead_letters) there are.
    pub async fn count_dead_letters(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
    ) -> Result<u64, StoreError> {
        self.inner.shared.count_dead_letters(tenant, filter).await
    }
    pub async fn attempts(&self, tenant: &TenantId, id: &DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        self.inner.shared.attempts(tenant, id).await
    }

    /// Claims due deliveries of all tenants, oldest due first, also those whose lease ran out. Takes no delivery
    /// whose claim still runs.
    pub async fn claim_due(
        &self,
        now: Timestamp,
        lease: Duration,
        limit: u32,
    ) -> Result<Vec<Claimed>, StoreError> {
        self.claim_due_if(now, lease, limit, |_| Admission::Take).await
    }
    /// As [`Store::claim_due`]; `admit` is asked for each, oldest due first, and may send it back to the queue.
    pub async fn claim_due_if(
        &self,
        now: Timestamp,
        lease: Duration,
        limit: u32,
        admit: impl FnMut(&Delivery) -> Admission,
    ) -> Result<Vec<Claimed>, StoreError> {
        self.inner.shared.claim_due(now, lease, limit, admit).await
    }
    /// When the next unclaimed delivery is due or the next lease runs out; `None`: nothing waits. Claims whose COMMIT was
    /// not answered are given back first.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.shared.next_due().await
    }
    /// At start-up of the only process on this store (SQLite): every claim is void, its attempt in doubt, and every
    /// owner lease is over.
    pub async fn void_all_claims(&self) -> Result<u64, StoreError> {
        self.inner.shared.void_all_claims().await
    }

    /// Everything that noise control remembers of a tenant, with its version.
    pub async fn noise_memory(&self, tenant: &TenantId) -> Result<NoiseMemory, StoreError> {
        self.inner.shared.noise_memory(tenant).await
    }
    /// What it remembers under some keys; what is not there is left out.
    pub async fn noise_states(
        &self,
        tenant: &TenantId,
        keys: &[StateKey],
    ) -> Result<Vec<(StateKey, String)>, StoreError> {
        self.inner.shared.noise_states(tenant, keys).await
    }
    /// Values of one kind that have a timer, first due first.
    pub async fn noise_timers(
        &self,
        tenant: &TenantId,
        kind: &str,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        self.inner.shared.noise_timers(tenant, kind, limit).await
    }
    /// Tenants whose owner has a timer due.
    pub async fn timers_due(&self, now: Timestamp) -> Result<Vec<TenantId>, StoreError> {
        self.inner.shared.timers_due(now).await
    }
    /// Tenants that have any timer.
    pub async fn tenants_with_timers(&self) -> Result<Vec<TenantId>, StoreError> {
        self.inner.shared.tenants_with_timers().await
    }
    pub async fn held_alert(&self, tenant: &TenantId, id: &HeldId) -> Result<Option<NewHeld>, StoreError> {
        self.inner.shared.held_alert(tenant, id).await
    }
    /// First due first.
    pub async fn held_alerts(&self, tenant: &TenantId, page: &Page) -> Result<Paged<NewHeld>, StoreError> {
        self.inner.shared.held_alerts(tenant, page).await
    }
    pub async fn held_of_event(
        &self,
        tenant: &TenantId,
        event: &EventKey,
    ) -> Result<Vec<NewHeld>, StoreError> {
        self.inner.shared.held_of_event(tenant, event).await
    }
    /// What an open digest has collected, in order of arrival.
    pub async fn digest_items(
        &self,
        tenant: &TenantId,
        digest: &DigestId,
    ) -> Result<Vec<DigestItem>, StoreError> {
        self.inner.shared.digest_items(tenant, digest, u32::MAX).await
    }
    /// The first of them, at most so many.
    pub async fn first_digest_items(
        &self,
        tenant: &TenantId,
        digest: &DigestId,
        limit: u32,
    ) -> Result<Vec<DigestItem>, StoreError> {
        self.inner.shared.digest_items(tenant, digest, limit).await
    }
    /// Windows of open digests, the one that closes first first.
    pub async fn open_digests(&self, tenant: &TenantId, page: &Page) -> Result<Paged<String>, StoreError> {
        self.inner.shared.open_digests(tenant, page).await
    }
    /// The window of an open digest.
    pub async fn open_digest(
        &self,
        tenant: &TenantId,
        digest: &DigestId,
    ) -> Result<Option<String>, StoreError> {
        self.inner.shared.open_digest(tenant, digest).await
    }

    /// Since when a channel has had nothing but failures, as noted; `None`: its last result was no failure.
    pub async fn channel_failing_since(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.inner.shared.channel_failing_since(tenant, channel).await
    }
    /// Notes a failure after which no success is known; gives the first one noted.
    pub async fn note_channel_failing(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        since: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        self.inner.shared.note_channel_failing(tenant, channel, since).await
    }
    /// Forgets the failures of a channel.
    pub async fn note_channel_works(&self, tenant: &TenantId, channel: &ChannelId) -> Result<(), StoreError> {
        self.inner.shared.note_channel_works(tenant, channel).await
    }
    /// Whether the channel's receiver took anything at or after this time.
    pub async fn channel_took_since(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        since: Timestamp,
    ) -> Result<bool, StoreError> {
        self.inner.shared.channel_took_since(tenant, channel, since).await
    }

    /// Takes or renews the tenant's owner lease on the database's clock; a new holder gets a higher epoch. `None`:
    /// somebody else holds it.
    pub async fn acquire_lease(
        &self,
        tenant: &TenantId,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        self.inner.shared.acquire_lease(tenant, holder, ttl).await
    }
    pub async fn release_lease(&self, tenant: &TenantId, lease: &Lease) -> Result<(), StoreError> {
        self.inner.shared.release_lease(tenant, lease).await
    }

    pub async fn ledger_head(&self, tenant: &TenantId) -> Result<Option<LedgerHead>, StoreError> {
        self.inner.shared.ledger_head(tenant).await
    }
    /// Entries `from..to` in order, at most `limit`.
    pub async fn ledger_entries(
        &self,
        tenant: &TenantId,
        from: u64,
        to: u64,
        limit: u32,
    ) -> Result<Vec<LedgerEntry>, StoreError> {
        self.inner.shared.ledger_entries(tenant, from, to, limit).await
    }
    /// The `event` entries among `from..to`, newest first, each with its event.
    pub async fn decided_events(
        &self,
        tenant: &TenantId,
        from: u64,
        to: u64,
    ) -> Result<Vec<DecidedEvent>, StoreError> {
        self.inner.shared.decided_events(tenant, from, to).await
    }
    pub async fn ledger_entries_about(
        &self,
        tenant: &TenantId,
        about: &str,
    ) -> Result<Vec<LedgerEntry>, StoreError> {
        self.inner.shared.ledger_entries_about(tenant, about).await
    }
    /// Hashes of complete subtrees as `notify_core::ledger` asks for them: (level, index) → root of the subtree over
    /// leaves `index·2^level .. (index+1)·2^level`.
    pub async fn ledger_nodes(
        &self,
        tenant: &TenantId,
        wanted: &[(u8, u64)],
    ) -> Result<Vec<[u8; 32]>, StoreError> {
        self.inner.shared.ledger_nodes(tenant, wanted).await
    }
    /// Events with this id of their producer, newest first, among the `newest` ones.
    pub async fn events_with_id(
        &self,
        tenant: &TenantId,
        id: &str,
        newest: u64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        self.inner.shared.events_with_id(tenant, id, newest, limit).await
    }
    /// The first number of the log whose entry is of that time or later; the log's size when there is none.
    pub async fn ledger_seq_at(&self, tenant: &TenantId, at: Timestamp) -> Result<u64, StoreError> {
        self.inner.shared.ledger_seq_at(tenant, at).await
    }
    /// Statements of the entries `from..to` of the kinds `event`, `release` and `digest`, in order; `None` for one that
    /// is pruned.
    pub async fn ledger_decisions(
        &self,
        tenant: &TenantId,
        from: u64,
        to: u64,
    ) -> Result<Vec<Option<String>>, StoreError> {
        self.inner.shared.ledger_decisions(tenant, from, to).await
    }
    /// Openings of everything the entries `from..to` commit to that still exist.
    pub async fn openings(&self, tenant: &TenantId, from: u64, to: u64) -> Result<Vec<Opening>, StoreError> {
        self.inner.shared.openings(tenant, from, to).await
    }

    pub async fn quarantined(&self, tenant: &TenantId, id: &str) -> Result<Option<Quarantined>, StoreError> {
        self.inner.shared.quarantined(tenant, id).await
    }
    /// Newest first.
    pub async fn quarantine(&self, tenant: &TenantId, page: &Page) -> Result<Paged<Quarantined>, StoreError> {
        self.inner.shared.quarantine(tenant, page).await
    }
    /// Messages in quarantine.
    pub async fn quarantine_size(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        self.inner.shared.quarantine_size(tenant).await
    }

    pub async fn remembered_answer(
        &self,
        tenant: &TenantId,
        key: &str,
    ) -> Result<Option<RememberedAnswer>, StoreError> {
        self.inner.shared.remembered_answer(tenant, key).await
    }
    pub async fn backlog(&self, now: Timestamp) -> Result<Backlog, StoreError> {
        self.inner.shared.backlog(now).await
    }
    /// Writes one row that nobody reads and waits until it is durable: a disk that is full or a database that is gone
    /// shows here. Costs a flush; callers keep the answer for a while.
    pub async fn probe_write(&self, at: Timestamp) -> Result<(), StoreError> {
        if self.inner.jobs.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            return Err(StoreError::Closed);
        }
        self.inner.shared.probe_write(at).await
    }
    /// Current documents of a kind, deleted ones not counted.
    pub async fn document_count(&self, tenant: &TenantId, kind: Kind) -> Result<u64, StoreError> {
        self.inner.shared.document_count(tenant, kind).await
    }
}
