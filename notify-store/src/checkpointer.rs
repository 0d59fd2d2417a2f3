//! Moves SQLite's write-ahead log into the database file beside the writer, not inside its commits.
//!
//! A passive checkpoint takes no lock that a writer needs. Under constant load it never catches the end of the log,
//! so the log is not started over until the writer itself moves the small rest: that is what SQLite's automatic
//! checkpoint remains for, at a size that stays rare.

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The log's size at which the writer moves what is left: 64 MiB of 4 KiB pages.
pub const LAST_RESORT_PAGES: &str = "16384";

/// Commits between two checkpoints, some tens of megabytes of log: hot pages are then moved once for many changes, and the
/// flush of the database file meets fewer of the flushes that callers wait for.
const EVERY: usize = 4096;

#[derive(Debug)]
pub struct Checkpointer {
    since: AtomicUsize,
    due: Arc<Notify>,
    pool: SqlitePool,
    task: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Checkpointer {
    pub fn start(options: SqliteConnectOptions) -> Self {
        let options = options.pragma("cache_size", "-64").thread_name(|_| "store-checkpoint".to_owned());
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(Duration::from_secs(60))
            .test_before_acquire(false)
            .connect_lazy_with(options);
        let due = Arc::new(Notify::new());
        let task = tokio::spawn(run(pool.clone(), Arc::clone(&due)));
        Self { since: AtomicUsize::new(0), due, pool, task: std::sync::Mutex::new(Some(task)) }
    }

    pub fn committed(&self, commits: usize) {
        if self.since.fetch_add(commits, Ordering::Relaxed) + commits >= EVERY {
            self.since.store(0, Ordering::Relaxed);
            self.due.notify_one();
        }
    }

    pub async fn close(&self) {
        let task = self.task.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(task) = task {
            task.abort();
        }
        self.pool.close().await;
    }
}

async fn run(pool: SqlitePool, due: Arc<Notify>) {
    loop {
        due.notified().await;
        if let Err(error) = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&pool).await {
            tracing::warn!(%error, "a checkpoint failed; the writer will do it");
        }
    }
}
