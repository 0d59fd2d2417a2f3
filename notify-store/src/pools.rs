//! Opening, and who gets which connection: one that writes, some that read.

use crate::checkpointer::{self, Checkpointer};
use crate::dialect::Dialect;
use crate::engine::{Keyring, Memory};
use crate::sql::{Db, Texts, direct};
use crate::store::{Backend, OpenOptions, StoreError};
use notify_core::ids::TenantId;
use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use sqlx::{PgPool, Postgres, Sqlite, SqlitePool, Transaction};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

/// SQLite's migrations.
pub static SQLITE: Migrator = sqlx::migrate!("../migrations/sqlite");
/// PostgreSQL's; names, tables and columns are the same (a test compares them).
pub static POSTGRES: Migrator = sqlx::migrate!("../migrations/postgres");

/// What the committer, the readers and the queue share.
#[derive(Debug)]
pub struct Shared {
    pub keys: Keyring,
    pub texts: Texts,
    pools: Pools,
    writer: Mutex<Option<Conn>>,
    /// A sync of SQLite's log has failed. The kernel may have dropped the pages and call the next sync a success, and a
    /// new connection may take the lost commit for a good one: until all that can be seen is known to be on the disk,
    /// nothing is read or written.
    unsynced: AtomicBool,
    /// Tokens of claims whose COMMIT was not answered: nobody works on what they may hold.
    pub doubtful_claims: std::sync::Mutex<Vec<String>>,
    /// Held as long as the process uses the file.
    lock: std::sync::Mutex<Option<File>>,
}

#[derive(Debug)]
enum Pools {
    Sqlite { file: PathBuf, readers: SqlitePool, checkpointer: Checkpointer },
    Postgres { writer: PgPool, others: PgPool, commits: AtomicUsize },
}

#[derive(Debug)]
enum Conn {
    Sqlite(rusqlite::Connection, Memory),
    Postgres(PoolConnection<Postgres>),
}

/// The one writing connection, for as long as this is held.
///
/// A transaction that is begun and not ended (its future was dropped, its COMMIT or ROLLBACK failed) leaves a
/// connection in a state that nobody knows: it is closed, the database rolls back, and the next writer gets a new one.
pub struct Writer<'s> {
    slot: MutexGuard<'s, Option<Conn>>,
    open: bool,
    unsynced: &'s AtomicBool,
}

impl Writer<'_> {
    pub fn db(&mut self) -> Db<'_> {
        self.parts().0
    }

    /// The connection and what is remembered with it.
    pub fn parts(&mut self) -> (Db<'_>, Option<&mut Memory>) {
        match self.slot.as_mut() {
            Some(Conn::Sqlite(conn, memory)) => (Db::Direct(conn), Some(memory)),
            Some(Conn::Postgres(conn)) => (Db::Postgres(conn), None),
            None => unreachable!("`Shared::writer` fills the slot before it hands it out"),
        }
    }

    pub async fn begin(&mut self, texts: &Texts) -> Result<(), sqlx::Error> {
        self.open = true;
        let mut db = self.db();
        let begin = db.dialect().begin();
        db.run(texts, begin, []).await.map(|_| ())
    }

    pub async fn commit(&mut self, texts: &Texts) -> Result<(), sqlx::Error> {
        let done = self.db().run(texts, "COMMIT", []).await;
        if done.as_ref().is_err_and(direct::is_failed_sync) {
            self.unsynced.store(true, Ordering::Release);
        }
        done?;
        self.open = false;
        Ok(())
    }

    pub async fn rollback(&mut self, texts: &Texts) -> Result<(), sqlx::Error> {
        self.db().run(texts, "ROLLBACK", []).await?;
        self.open = false;
        Ok(())
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if self.open {
            match self.slot.take() {
                Some(Conn::Postgres(mut conn)) => conn.close_on_drop(),
                // Dropping it closes it.
                Some(Conn::Sqlite(..)) | None => {}
            }
        }
    }
}

/// A connection for reading, on PostgreSQL inside a transaction that names the tenant.
pub enum Reader {
    Sqlite(PoolConnection<Sqlite>),
    SqliteSnapshot(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Reader {
    pub fn db(&mut self) -> Db<'_> {
        match self {
            Self::Sqlite(conn) => Db::Sqlite(conn),
            Self::SqliteSnapshot(tx) => Db::Sqlite(tx),
            Self::Postgres(tx) => Db::Postgres(tx),
        }
    }

    /// For transactions that changed something (the queue on PostgreSQL).
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::SqliteSnapshot(tx) => tx.commit().await,
            Self::Postgres(tx) => tx.commit().await,
        }
    }
}

impl Shared {
    /// # Errors
    /// When the file is in use, the server cannot be reached, or the database cannot be migrated.
    pub async fn open(options: OpenOptions) -> Result<Self, StoreError> {
        let keys = Keyring::new(&options.site, options.log_seed)?;
        let readers = options.read_connections.max(1);
        let (dialect, pools, lock) = match &options.backend {
            Backend::Sqlite { file } => {
                let lock = lock(file)?;
                (Dialect::Sqlite, open_sqlite(file, readers).await?, Some(lock))
            }
            Backend::Postgres { url } => (Dialect::Postgres, open_postgres(url, readers).await?, None),
        };
        Ok(Self {
            keys,
            texts: Texts::new(dialect),
            pools,
            writer: Mutex::new(None),
            unsynced: AtomicBool::new(false),
            doubtful_claims: std::sync::Mutex::default(),
            lock: std::sync::Mutex::new(lock),
        })
    }

    pub async fn writer(&self) -> Result<Writer<'_>, StoreError> {
        let mut slot = self.writer.lock().await;
        if slot.is_none() {
            *slot = Some(match &self.pools {
                Pools::Sqlite { file, .. } => {
                    Conn::Sqlite(direct::open(file, checkpointer::LAST_RESORT_PAGES)?, Memory::default())
                }
                Pools::Postgres { writer, .. } => Conn::Postgres(writer.acquire().await?),
            });
        }
        if self.unsynced.load(Ordering::Acquire)
            && let Some(Conn::Sqlite(conn, _)) = slot.as_ref()
        {
            direct::make_durable(conn)?;
            self.unsynced.store(false, Ordering::Release);
            tracing::warn!("the disk keeps what is written again");
        }
        Ok(Writer { slot, open: false, unsynced: &self.unsynced })
    }

    /// What is read may be acted upon, so it must be on the disk.
    async fn only_durable(&self) -> Result<(), StoreError> {
        if self.unsynced.load(Ordering::Acquire) {
            drop(self.writer().await?);
        }
        Ok(())
    }

    /// For one query about one tenant.
    pub async fn reader(&self, tenant: &TenantId) -> Result<Reader, StoreError> {
        self.only_durable().await?;
        let mut reader = match &self.pools {
            Pools::Sqlite { readers, .. } => Reader::Sqlite(readers.acquire().await?),
            Pools::Postgres { others, .. } => Reader::Postgres(others.begin().await?),
        };
        reader.db().enter(&self.texts, tenant).await?;
        Ok(reader)
    }

    /// For several queries about one tenant that must see the same state.
    pub async fn snapshot(&self, tenant: &TenantId) -> Result<Reader, StoreError> {
        self.only_durable().await?;
        let mut reader = match &self.pools {
            Pools::Sqlite { readers, .. } => Reader::SqliteSnapshot(readers.begin().await?),
            Pools::Postgres { others, .. } => {
                Reader::Postgres(others.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
            }
        };
        reader.db().enter(&self.texts, tenant).await?;
        Ok(reader)
    }

    /// For tables that cross tenants.
    pub async fn directory(&self) -> Result<Reader, StoreError> {
        self.only_durable().await?;
        Ok(match &self.pools {
            Pools::Sqlite { readers, .. } => Reader::Sqlite(readers.acquire().await?),
            Pools::Postgres { others, .. } => Reader::Postgres(others.begin().await?),
        })
    }

    /// Told by the committer after each transaction.
    pub fn committed(&self, commits: usize) {
        match &self.pools {
            Pools::Sqlite { checkpointer, .. } => checkpointer.committed(commits),
            Pools::Postgres { others, commits: total, .. } => {
                let before = total.fetch_add(commits, Ordering::Relaxed);
                if ANALYZE_AT.iter().any(|at| (before..before + commits).contains(at)) {
                    tokio::spawn(analyze(others.clone()));
                }
            }
        }
    }

    pub const fn is_sqlite(&self) -> bool {
        matches!(self.pools, Pools::Sqlite { .. })
    }

    pub async fn close(&self) {
        drop(self.writer.lock().await.take());
        match &self.pools {
            Pools::Sqlite { readers, checkpointer, .. } => {
                checkpointer.close().await;
                readers.close().await;
            }
            Pools::Postgres { writer, others, .. } => {
                others.close().await;
                writer.close().await;
            }
        }
        drop(self.lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take());
    }
}

/// One process per file: a second would not see the first one's claims.
fn lock(file: &Path) -> Result<File, StoreError> {
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    let lock =
        File::options().create(true).truncate(false).write(true).open(&name).map_err(sqlx::Error::Io)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(file.to_owned())),
        Err(TryLockError::Error(error)) => Err(sqlx::Error::Io(error).into()),
    }
}

/// Statements of all templates in all sizes stay prepared.
const STATEMENTS: usize = 400;

async fn open_sqlite(file: &Path, readers: u32) -> Result<Pools, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10))
        .disable_statement_logging();
    let mut migrating = options
        .clone()
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .connect()
        .await?;
    SQLITE.run(&mut migrating).await?;
    // What an earlier process wrote and could not sync is in the kernel's memory at best: it is made durable before
    // anybody relies on it, or the store does not open.
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut migrating).await?;
    migrating.close().await?;
    let checkpointer = Checkpointer::start(options.clone());
    let options = options
        .read_only(true)
        .pragma("cache_size", "-1024")
        .statement_cache_capacity(STATEMENTS)
        .thread_name(|n| format!("store-reader-{n}"));
    let readers = SqlitePoolOptions::new()
        .max_connections(readers)
        .max_lifetime(None)
        .idle_timeout(Duration::from_secs(300))
        .test_before_acquire(false)
        .connect_lazy_with(options);
    Ok(Pools::Sqlite { file: file.to_owned(), readers, checkpointer })
}

/// How long a caller waits for a connection. A server that is down must be told to callers long before their own time
/// is over, or they would learn nothing but that.
const PATIENCE: Duration = Duration::from_secs(5);

async fn open_postgres(url: &str, others: u32) -> Result<Pools, StoreError> {
    let options = url
        .parse::<PgConnectOptions>()?
        .application_name("notify-store")
        .statement_cache_capacity(STATEMENTS)
        .options([("synchronous_commit", "on")])
        .disable_statement_logging();
    // Every statement of the writer looks rows up by key. Without statistics of a young table the planner would read
    // it from end to end, and planning anew each time costs more than the statement.
    let writer = options.clone().options([
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
    ]);
    let writer = PgPoolOptions::new()
        .max_connections(1)
        .max_lifetime(None)
        .idle_timeout(None)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .connect_with(writer)
        .await?;
    let bypasses: bool =
        sqlx::query_scalar("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user")
            .fetch_one(&writer)
            .await?;
    if bypasses {
        return Err(StoreError::Misconfigured(
            "the PostgreSQL role is a superuser or has BYPASSRLS: row-level security would not apply"
                .to_owned(),
        ));
    }
    POSTGRES.run(&writer).await?;
    let others =
        PgPoolOptions::new().max_connections(others + 1).acquire_timeout(PATIENCE).connect_lazy_with(options);
    Ok(Pools::Postgres { writer, others, commits: AtomicUsize::new(0) })
}

/// Commits of this process after which statistics are taken. About a table that was never looked at the planner knows
/// nothing, finds all indexes alike, and may walk through a tenant's rows for each key; autovacuum comes a minute late.
const ANALYZE_AT: [usize; 3] = [32, 512, 8192];

async fn analyze(pool: PgPool) {
    let sql = "ANALYZE events, deliveries, attempts, work_queue, ledger_entries, ledger_tiles, tenant_heads, tenants";
    if let Err(error) = sqlx::query(sql).execute(&pool).await {
        tracing::warn!(%error, "no statistics; autovacuum will take them");
    }
}
