//! One SQL text on two databases: arguments, rows and statements without a driver's type in sight.
//!
//! A statement is a `&'static str` with `$1, $2, …`. Words that begin with `@` are replaced: see [`texts`].

mod batch;
pub mod direct;
pub mod row;
pub mod texts;

pub use batch::{Rows, each};
pub use row::Row;
pub use texts::Texts;

use crate::dialect::Dialect;
use futures_util::TryStreamExt;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, PgConnection, SqliteConnection};
use std::borrow::Cow;
use std::sync::Arc;

/// One bound value. Only these types exist in the schema, and a null has a type because PostgreSQL asks for it.
#[derive(Debug, Clone)]
pub enum Arg<'a> {
    Int(i64),
    Text(Cow<'a, str>),
    /// A text of many rows, such as the tenant.
    Shared(Arc<str>),
    Bytes(Cow<'a, [u8]>),
    NullInt,
    NullText,
    NullBytes,
}

impl Arg<'_> {
    /// The null of the same type.
    #[must_use]
    pub const fn null(&self) -> Arg<'static> {
        match self {
            Self::Int(_) | Self::NullInt => Arg::NullInt,
            Self::Text(_) | Self::Shared(_) | Self::NullText => Arg::NullText,
            Self::Bytes(_) | Self::NullBytes => Arg::NullBytes,
        }
    }

    /// Sequence numbers, versions and counts; beyond `i64` none exists.
    #[must_use]
    pub fn count(value: u64) -> Arg<'static> {
        Arg::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<i64> for Arg<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<notify_core::time::Timestamp> for Arg<'_> {
    fn from(at: notify_core::time::Timestamp) -> Self {
        Self::Int(at.as_microsecond())
    }
}
impl<'a> From<&'a str> for Arg<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}
impl<'a> From<&'a String> for Arg<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}
impl From<String> for Arg<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}
impl<'a> From<&'a [u8]> for Arg<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(Cow::Borrowed(bytes))
    }
}
impl<'a> From<&'a [u8; 32]> for Arg<'a> {
    fn from(bytes: &'a [u8; 32]) -> Self {
        Self::Bytes(Cow::Borrowed(bytes))
    }
}
impl From<Vec<u8>> for Arg<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Cow::Owned(bytes))
    }
}

/// `None` → the null of that type.
pub trait OrNull<'a> {
    fn or_null(self) -> Arg<'a>;
}
impl<'a> OrNull<'a> for Option<&'a str> {
    fn or_null(self) -> Arg<'a> {
        self.map_or(Arg::NullText, Arg::from)
    }
}
impl<'a> OrNull<'a> for Option<&'a [u8]> {
    fn or_null(self) -> Arg<'a> {
        self.map_or(Arg::NullBytes, Arg::from)
    }
}
impl<'a> OrNull<'a> for Option<notify_core::time::Timestamp> {
    fn or_null(self) -> Arg<'a> {
        self.map_or(Arg::NullInt, Arg::from)
    }
}
impl<'a> OrNull<'a> for Option<i64> {
    fn or_null(self) -> Arg<'a> {
        self.map_or(Arg::NullInt, Arg::Int)
    }
}

/// A borrowed connection of either database.
pub enum Db<'c> {
    /// The committer's connection.
    Direct(&'c mut rusqlite::Connection),
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl Db<'_> {
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Direct(_) | Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Runs a statement and gives the number of rows it changed.
    pub async fn run(
        &mut self,
        texts: &Texts,
        sql: &'static str,
        args: impl IntoIterator<Item = Arg<'_>> + Send,
    ) -> Result<u64, sqlx::Error> {
        let text = texts.of(sql, 0, 0);
        match self {
            Self::Direct(db) => direct::run(db, text, args),
            Self::Sqlite(db) => {
                let done = sqlx::query_with(text, sqlite(args)?).execute(&mut **db).await?;
                Ok(done.rows_affected())
            }
            Self::Postgres(db) => {
                let done = sqlx::query_with(text, postgres(args)?).execute(&mut **db).await?;
                Ok(done.rows_affected())
            }
        }
    }

    /// Runs a query to its end.
    pub async fn rows(
        &mut self,
        texts: &Texts,
        sql: &'static str,
        args: impl IntoIterator<Item = Arg<'_>> + Send,
    ) -> Result<Vec<Row>, sqlx::Error> {
        self.fetch(texts.of(sql, 0, 0), args).await
    }

    async fn fetch(
        &mut self,
        text: texts::Text,
        args: impl IntoIterator<Item = Arg<'_>> + Send,
    ) -> Result<Vec<Row>, sqlx::Error> {
        match self {
            Self::Direct(db) => direct::fetch(db, text, args),
            Self::Sqlite(db) => {
                sqlx::query_with(text, sqlite(args)?).fetch(&mut **db).map_ok(Row::Sqlite).try_collect().await
            }
            Self::Postgres(db) => {
                sqlx::query_with(text, postgres(args)?)
                    .fetch(&mut **db)
                    .map_ok(Row::Postgres)
                    .try_collect()
                    .await
            }
        }
    }
}

/// SQLite's driver hands values to another thread, so it owns them: a shared text costs one allocation, or none.
fn sqlite<'a>(args: impl IntoIterator<Item = Arg<'a>>) -> Result<SqliteArguments, sqlx::Error> {
    let args = args.into_iter();
    let mut out = SqliteArguments::default();
    out.reserve(args.size_hint().0, 0);
    for arg in args {
        match arg {
            Arg::Int(value) => out.add(value),
            Arg::Shared(text) => out.add(text),
            Arg::Text(Cow::Borrowed(text)) => out.add(Arc::<str>::from(text)),
            Arg::Text(Cow::Owned(text)) => out.add(text),
            Arg::Bytes(bytes) => out.add(bytes.into_owned()),
            Arg::NullInt => out.add(None::<i64>),
            Arg::NullText => out.add(None::<String>),
            Arg::NullBytes => out.add(None::<Vec<u8>>),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(out)
}

/// PostgreSQL's driver writes values into one buffer at once.
fn postgres<'a>(args: impl IntoIterator<Item = Arg<'a>>) -> Result<PgArguments, sqlx::Error> {
    let args = args.into_iter();
    let mut out = PgArguments::default();
    out.reserve(args.size_hint().0, 0);
    for arg in args {
        match arg {
            Arg::Int(value) => out.add(value),
            Arg::Shared(text) => out.add(&*text),
            Arg::Text(text) => out.add(&*text),
            Arg::Bytes(bytes) => out.add(&*bytes),
            Arg::NullInt => out.add(None::<i64>),
            Arg::NullText => out.add(None::<String>),
            Arg::NullBytes => out.add(None::<Vec<u8>>),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(out)
}
