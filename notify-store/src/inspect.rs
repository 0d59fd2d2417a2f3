//! A look at a store from outside, for `notify doctor`: nothing is created, migrated or locked for longer than a look,
//! so it works beside a running service.

use crate::pools::{POSTGRES, SQLITE};
use notify_core::time::Timestamp;
use rusqlite::OpenFlags;
use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection, Row};
use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// Numbers of the migrations that the database has.
    pub applied: Vec<i64>,
    /// Those of this program.
    pub known: Vec<i64>,
    /// What the database's own check found; empty: nothing. `None`: it has no check that is quick (PostgreSQL).
    pub damage: Option<Vec<String>>,
    pub tenants: Vec<String>,
    /// The time of the newest ledger head, for a look at the clock.
    pub newest: Option<Timestamp>,
    /// Current channel documents: tenant and JSON text.
    pub channels: Vec<(String, String)>,
    /// Deliveries that were given up.
    pub dead: u64,
    /// Deliveries that wait.
    pub waiting: u64,
}

impl Look {
    /// Migrations that are missing in the database.
    #[must_use]
    pub fn missing(&self) -> Vec<i64> {
        self.known.iter().copied().filter(|number| !self.applied.contains(number)).collect()
    }

    /// Migrations of a newer program.
    #[must_use]
    pub fn foreign(&self) -> Vec<i64> {
        self.applied.iter().copied().filter(|number| !self.known.contains(number)).collect()
    }
}

fn known(migrator: &Migrator) -> Vec<i64> {
    migrator.iter().map(|migration| migration.version).collect()
}

/// Whether a process holds the lock of this SQLite store.
#[must_use]
pub fn sqlite_in_use(file: &Path) -> bool {
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    let Ok(lock) = File::options().write(true).open(&name) else { return false };
    matches!(lock.try_lock(), Err(TryLockError::WouldBlock))
}

/// # Errors
/// In words: the file is missing, is no database, or cannot be read.
pub fn sqlite(file: &Path) -> Result<Look, String> {
    let said = |error: rusqlite::Error| error.to_string();
    let db = rusqlite::Connection::open_with_flags(
        file,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(said)?;
    db.busy_timeout(Duration::from_secs(5)).map_err(said)?;
    let texts = |sql: &str| -> Result<Vec<String>, rusqlite::Error> {
        db.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
    };
    let numbers = |sql: &str| -> Result<Vec<i64>, rusqlite::Error> {
        db.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
    };
    let mut look = Look { known: known(&SQLITE), ..Look::default() };
    // The structure of every page, without the slow comparison of indexes and tables.
    let mut damage = texts("PRAGMA quick_check(10)").map_err(said)?;
    damage.retain(|line| line != "ok");
    look.damage = Some(damage);
    look.applied =
        numbers("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version").map_err(said)?;
    look.tenants = texts("SELECT id FROM tenants ORDER BY id").map_err(said)?;
    look.newest = numbers("SELECT COALESCE(MAX(log_at), 0) FROM tenant_heads")
        .map_err(said)?
        .first()
        .and_then(|at| Timestamp::from_microsecond(*at).ok());
    let mut channels = db.prepare(CHANNELS).map_err(said)?;
    let rows = channels.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(said)?;
    look.channels = rows.collect::<Result<_, _>>().map_err(said)?;
    let count = |sql| numbers(sql).map(|found| found.first().and_then(|n| u64::try_from(*n).ok()));
    look.dead = count(DEAD).map_err(said)?.unwrap_or_default();
    look.waiting = count(WAITING).map_err(said)?.unwrap_or_default();
    Ok(look)
}

const CHANNELS: &str = "SELECT h.tenant, d.body FROM document_heads h JOIN document_versions d \
     ON d.tenant = h.tenant AND d.kind = h.kind AND d.id = h.id AND d.version = h.version \
     WHERE h.kind = 'channel' AND h.deleted = 0 ORDER BY h.tenant, h.id";
const DEAD: &str = "SELECT CAST(COALESCE(SUM(dead_deliveries), 0) AS BIGINT) FROM tenants";
const WAITING: &str = "SELECT COUNT(*) FROM work_queue";

/// # Errors
/// In words: the server cannot be reached, or the database is not one of ours.
pub async fn postgres(url: &str) -> Result<Look, String> {
    let said = |error: sqlx::Error| error.to_string();
    let mut db = PgConnection::connect(url).await.map_err(said)?;
    let mut look = Look { known: known(&POSTGRES), ..Look::default() };
    look.applied = sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success ORDER BY version")
        .fetch_all(&mut db)
        .await
        .map_err(said)?;
    look.tenants =
        sqlx::query_scalar("SELECT id FROM tenants ORDER BY id").fetch_all(&mut db).await.map_err(said)?;
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    look.dead = count(sqlx::query_scalar(DEAD).fetch_one(&mut db).await.map_err(said)?);
    look.waiting = count(sqlx::query_scalar(WAITING).fetch_one(&mut db).await.map_err(said)?);
    // Row-level security shows one tenant at a time.
    for tenant in &look.tenants {
        let mut tx = db.begin().await.map_err(said)?;
        sqlx::query("SELECT set_config('notify.tenant', $1, true)")
            .bind(tenant)
            .execute(&mut *tx)
            .await
            .map_err(said)?;
        let at: Option<i64> = sqlx::query_scalar("SELECT MAX(log_at) FROM tenant_heads")
            .fetch_one(&mut *tx)
            .await
            .map_err(said)?;
        look.newest = look.newest.max(at.and_then(|at| Timestamp::from_microsecond(at).ok()));
        for row in sqlx::query(CHANNELS).fetch_all(&mut *tx).await.map_err(said)? {
            look.channels.push((row.try_get(0).map_err(said)?, row.try_get(1).map_err(said)?));
        }
        tx.rollback().await.map_err(said)?;
    }
    db.close().await.map_err(said)?;
    Ok(look)
}
