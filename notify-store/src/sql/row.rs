//! Columns by position, decoded without a look at the declared type: the conformance suite runs every query on both.

use crate::store::StoreError;
use notify_core::time::Timestamp;
use rusqlite::types::Value;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

#[derive(Debug)]
pub enum Row {
    Direct(Vec<Value>),
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

macro_rules! get {
    ($self:ident, $column:ident) => {
        match $self {
            Row::Sqlite(row) => row.try_get_unchecked($column),
            Row::Postgres(row) => row.try_get_unchecked($column),
            Row::Direct(row) => Get::get(row, $column),
        }
    };
}

/// A value of a direct row as the type that is asked for.
trait Get<'r>: Sized {
    fn of(value: &'r Value) -> Option<Self>;

    fn get(row: &'r [Value], column: usize) -> Result<Self, sqlx::Error> {
        let value =
            row.get(column).ok_or(sqlx::Error::ColumnIndexOutOfBounds { index: column, len: row.len() })?;
        Self::of(value).ok_or_else(|| {
            let source = format!("{:?} is of another type", value.data_type()).into();
            sqlx::Error::ColumnDecode { index: column.to_string(), source }
        })
    }
}

impl Get<'_> for i64 {
    fn of(value: &Value) -> Option<Self> {
        if let Value::Integer(value) = value { Some(*value) } else { None }
    }
}
impl<'r> Get<'r> for &'r str {
    fn of(value: &'r Value) -> Option<Self> {
        if let Value::Text(text) = value { Some(text) } else { None }
    }
}
impl Get<'_> for String {
    fn of(value: &Value) -> Option<Self> {
        <&str>::of(value).map(str::to_owned)
    }
}
impl Get<'_> for Vec<u8> {
    fn of(value: &Value) -> Option<Self> {
        if let Value::Blob(bytes) = value { Some(bytes.clone()) } else { None }
    }
}
impl<'r, T: Get<'r>> Get<'r> for Option<T> {
    fn of(value: &'r Value) -> Option<Self> {
        if matches!(value, Value::Null) { Some(None) } else { T::of(value).map(Some) }
    }
}

impl Row {
    /// Number of columns.
    pub fn width(&self) -> usize {
        match self {
            Self::Sqlite(row) => row.len(),
            Self::Postgres(row) => row.len(),
            Self::Direct(row) => row.len(),
        }
    }
    pub fn int(&self, column: usize) -> Result<i64, StoreError> {
        Ok(get!(self, column)?)
    }
    pub fn opt_int(&self, column: usize) -> Result<Option<i64>, StoreError> {
        Ok(get!(self, column)?)
    }
    pub fn text(&self, column: usize) -> Result<String, StoreError> {
        Ok(get!(self, column)?)
    }
    pub fn str(&self, column: usize) -> Result<&str, StoreError> {
        Ok(get!(self, column)?)
    }
    pub fn opt_text(&self, column: usize) -> Result<Option<String>, StoreError> {
        Ok(get!(self, column)?)
    }
    pub fn bytes(&self, column: usize) -> Result<Vec<u8>, StoreError> {
        Ok(get!(self, column)?)
    }
    pub fn opt_bytes(&self, column: usize) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(get!(self, column)?)
    }

    /// A number that is never negative.
    pub fn count(&self, column: usize) -> Result<u64, StoreError> {
        u64::try_from(self.int(column)?).map_err(|_| corrupt(format_args!("a count in column {column}")))
    }
    pub fn count32(&self, column: usize) -> Result<u32, StoreError> {
        u32::try_from(self.int(column)?).map_err(|_| corrupt(format_args!("a count in column {column}")))
    }
    pub fn time(&self, column: usize) -> Result<Timestamp, StoreError> {
        timestamp(self.int(column)?)
    }
    pub fn hash(&self, column: usize) -> Result<[u8; 32], StoreError> {
        hash(&self.bytes(column)?)
    }
    pub fn opt_hash(&self, column: usize) -> Result<Option<[u8; 32]>, StoreError> {
        self.opt_bytes(column)?.as_deref().map(hash).transpose()
    }
    /// A text that was valid when it was written.
    pub fn parsed<T: TryFrom<String>>(&self, column: usize) -> Result<T, StoreError>
    where
        T::Error: std::fmt::Display,
    {
        T::try_from(self.text(column)?).map_err(corrupt)
    }
    pub fn opt_parsed<T: TryFrom<String>>(&self, column: usize) -> Result<Option<T>, StoreError>
    where
        T::Error: std::fmt::Display,
    {
        self.opt_text(column)?.map(|text| T::try_from(text).map_err(corrupt)).transpose()
    }
}

/// Microseconds since the epoch, as every time is stored.
pub fn timestamp(micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(corrupt)
}

fn hash(bytes: &[u8]) -> Result<[u8; 32], StoreError> {
    bytes.try_into().map_err(|_| corrupt(format_args!("a hash of {} bytes", bytes.len())))
}

/// What the database gave back is not what was written.
pub fn corrupt(what: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("the database holds an invalid value: {what}"))
}
