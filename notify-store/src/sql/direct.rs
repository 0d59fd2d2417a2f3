//! SQLite without a thread in between, for the one connection that writes.
//!
//! The asynchronous driver hands each statement to another thread and waits for it. A transaction here has about
//! fifteen statements, and two wake-ups for each cost more than the statements (measured: half of the store's CPU and
//! most of a commit's time on two cores). The committer has a thread of its own instead and calls SQLite directly.

use super::texts::Text;
use super::{Arg, Row};
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{CachedStatement, Connection, OpenFlags, ToSql};
use sqlx::SqlSafeStr;
use std::path::Path;
use std::time::Duration;

/// Prepared statements that are kept: all templates in all sizes.
const STATEMENTS: usize = 400;

/// Opens the file for writing; it exists and is migrated.
///
/// # Errors
/// When the file cannot be opened or does not take the settings.
pub fn open(file: &Path, last_resort_pages: &str) -> Result<Connection, sqlx::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(failed)?;
    connection.busy_timeout(Duration::from_secs(10)).map_err(failed)?;
    for (pragma, value) in [
        ("journal_mode", "WAL"),
        ("synchronous", "FULL"),
        ("foreign_keys", "ON"),
        // Keys are hashes, so each row touches another index page, and what does not fit here is read again. But SQLite
        // walks through the whole cache at the end of each transaction that split a page: 16 MiB were 4 % of all CPU.
        ("cache_size", "-4096"),
        ("temp_store", "MEMORY"),
        ("wal_autocheckpoint", last_resort_pages),
    ] {
        connection.pragma_update(None, pragma, value).map_err(failed)?;
    }
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Whether SQLite could not get the disk to keep a commit.
pub fn is_failed_sync(error: &sqlx::Error) -> bool {
    let sqlx::Error::AnyDriverError(error) = error else { return false };
    let error = error.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error);
    error.is_some_and(|error| {
        [rusqlite::ffi::SQLITE_IOERR_FSYNC, rusqlite::ffi::SQLITE_IOERR_DIR_FSYNC]
            .contains(&error.extended_code)
    })
}

/// Moves everything that can be seen into the database file, syncs that, and empties the log, so that no frame of it
/// that never reached the disk counts.
///
/// # Errors
/// When the disk still fails, or readers are in the way.
pub fn make_durable(connection: &Connection) -> Result<(), sqlx::Error> {
    let busy: i64 =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map_err(failed)?;
    if busy == 0 {
        return Ok(());
    }
    Err(sqlx::Error::AnyDriverError(
        "a commit could not be synced, and readers keep the log from being emptied".into(),
    ))
}

/// Runs a statement and gives the number of rows it changed.
///
/// # Errors
/// What SQLite says.
pub fn run<'a>(
    connection: &Connection,
    text: Text,
    args: impl IntoIterator<Item = Arg<'a>>,
) -> Result<u64, sqlx::Error> {
    let mut statement = prepared(connection, text, args)?;
    statement.raw_execute().map(|rows| rows as u64).map_err(failed)
}

/// Runs a query to its end.
///
/// # Errors
/// What SQLite says.
pub fn fetch<'a>(
    connection: &Connection,
    text: Text,
    args: impl IntoIterator<Item = Arg<'a>>,
) -> Result<Vec<Row>, sqlx::Error> {
    let mut found = Vec::new();
    collect(&mut prepared(connection, text, args)?, &mut found)?;
    Ok(found)
}

/// Runs a statement once per `width` values and gives the number of rows it changed.
///
/// # Errors
/// What SQLite says.
pub fn run_each(
    connection: &Connection,
    text: Text,
    args: &[Arg<'_>],
    width: usize,
) -> Result<u64, sqlx::Error> {
    let mut statement = connection.prepare_cached(text.into_sql_str().as_str()).map_err(failed)?;
    let mut changed = 0;
    for row in args.chunks(width) {
        bind(&mut statement, row)?;
        changed += statement.raw_execute().map_err(failed)? as u64;
    }
    Ok(changed)
}

/// Runs a query once per `width` values.
///
/// # Errors
/// What SQLite says.
pub fn fetch_each(
    connection: &Connection,
    text: Text,
    args: &[Arg<'_>],
    width: usize,
    found: &mut Vec<Row>,
) -> Result<(), sqlx::Error> {
    let mut statement = connection.prepare_cached(text.into_sql_str().as_str()).map_err(failed)?;
    for row in args.chunks(width) {
        bind(&mut statement, row)?;
        collect(&mut statement, found)?;
    }
    Ok(())
}

fn collect(statement: &mut CachedStatement<'_>, found: &mut Vec<Row>) -> Result<(), sqlx::Error> {
    let width = statement.column_count();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(failed)? {
        let values: Result<Vec<Value>, _> = (0..width).map(|column| row.get(column)).collect();
        found.push(Row::Direct(values.map_err(failed)?));
    }
    Ok(())
}

fn prepared<'c, 'a>(
    connection: &'c Connection,
    text: Text,
    args: impl IntoIterator<Item = Arg<'a>>,
) -> Result<CachedStatement<'c>, sqlx::Error> {
    let text = text.into_sql_str();
    let mut statement = connection.prepare_cached(text.as_str()).map_err(failed)?;
    let args: Vec<Arg<'a>> = args.into_iter().collect();
    bind(&mut statement, &args)?;
    Ok(statement)
}

fn bind(statement: &mut CachedStatement<'_>, args: &[Arg<'_>]) -> Result<(), sqlx::Error> {
    let expected = statement.parameter_count();
    // A bare `?` has no name.
    let named = expected > 0 && statement.parameter_name(1).is_some();
    if !named && args.len() != expected {
        return Err(wrong_count(args.len(), expected));
    }
    for index in 1..=expected {
        // `$2` may come before `$1`, and may come twice: SQLite numbers names in order of appearance.
        let number = if named {
            statement.parameter_name(index).and_then(|name| name.get(1..)?.parse::<usize>().ok())
        } else {
            Some(index)
        };
        let arg = number.and_then(|number| args.get(number.checked_sub(1)?));
        let arg = arg.ok_or_else(|| wrong_count(args.len(), expected))?;
        statement.raw_bind_parameter(index, Bound(arg)).map_err(failed)?;
    }
    Ok(())
}

struct Bound<'b>(&'b Arg<'b>);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self.0 {
            Arg::Int(value) => ValueRef::Integer(*value),
            Arg::Text(text) => ValueRef::Text(text.as_bytes()),
            Arg::Shared(text) => ValueRef::Text(text.as_bytes()),
            Arg::Bytes(bytes) => ValueRef::Blob(bytes),
            Arg::NullInt | Arg::NullText | Arg::NullBytes => ValueRef::Null,
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}

fn wrong_count(given: usize, expected: usize) -> sqlx::Error {
    sqlx::Error::AnyDriverError(format!("{given} values for {expected} places").into())
}

/// A unique or other constraint refused the statement.
#[must_use]
pub fn is_constraint(error: &sqlx::Error) -> bool {
    let sqlx::Error::AnyDriverError(error) = error else { return false };
    error
        .downcast_ref::<rusqlite::Error>()
        .is_some_and(|error| error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation))
}

/// Never taken for a lost connection: SQLite has none to lose.
fn failed(error: rusqlite::Error) -> sqlx::Error {
    sqlx::Error::AnyDriverError(Box::new(error))
}
