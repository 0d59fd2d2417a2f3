//! Everything in which the two databases differ. Each statement made of it runs on both in the conformance suite.

use crate::sql::{Arg, Db, Texts};
use notify_core::ids::TenantId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// The SQL for an `@` word of a template; see [`Texts`].
    pub(crate) fn word(self, word: &str) -> &'static str {
        match (self, word) {
            // The database's clock in microseconds. SQLite's has milliseconds and shows one time per statement.
            (Self::Sqlite, "now") => "(CAST(ROUND(unixepoch('subsec') * 1000) AS INTEGER) * 1000)",
            (Self::Postgres, "now") => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
            // SQLite's write transaction (BEGIN IMMEDIATE) locks the whole file.
            (Self::Sqlite, "empty") => "x''",
            (Self::Postgres, "empty") => "CAST('' AS BYTEA)",
            // `r` is the alias of the locked table.
            (Self::Postgres, "lock") => "FOR UPDATE OF r",
            (Self::Postgres, "share") => "FOR SHARE OF r",
            (Self::Postgres, "skip_locked") => "FOR UPDATE OF r SKIP LOCKED",
            (_, word) => {
                debug_assert!(matches!(word, "lock" | "share" | "skip_locked"), "unknown @{word}");
                ""
            }
        }
    }

    /// A transaction that will write.
    pub(crate) const fn begin(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// Whether rows of several tenants may be read and written together: on PostgreSQL row-level security shows one
    /// tenant at a time.
    pub(crate) const fn mixes_tenants(self) -> bool {
        matches!(self, Self::Sqlite)
    }
}

impl Db<'_> {
    /// Names the tenant for the rest of this transaction: the row-level security policies compare with it.
    pub(crate) async fn enter(&mut self, texts: &Texts, tenant: &TenantId) -> Result<(), sqlx::Error> {
        if matches!(self, Self::Postgres(_)) {
            self.rows(texts, "SELECT set_config('notify.tenant', $1, true)", [Arg::from(tenant.as_str())])
                .await?;
        }
        Ok(())
    }
}
