//! Many rows in few statements.

use super::{Arg, Db, Row, Texts};

/// Rows of one statement, all of the same width and types.
#[derive(Debug, Default)]
pub struct Rows<'a> {
    width: usize,
    args: Vec<Arg<'a>>,
}

/// Most rows of one statement. Larger chunks gain little and every size costs prepared memory.
const CHUNK: usize = 64;

impl<'a> Rows<'a> {
    pub fn push<const N: usize>(&mut self, row: [Arg<'a>; N]) {
        debug_assert!(self.width == 0 || self.width == N);
        self.width = N;
        self.args.extend(row);
    }

    /// The row of a value, where there is one.
    pub fn extend_if<T, const N: usize>(&mut self, value: Option<T>, row: impl FnOnce(T) -> [Arg<'a>; N]) {
        if let Some(value) = value {
            self.push(row(value));
        }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.args.len().checked_div(self.width).unwrap_or(0)
    }

    /// Chunks with the number of rows that each is filled up to with nulls: a power of two, so that few texts exist
    /// and each is prepared once. The templates skip rows of nulls (`WHERE column1 IS NOT NULL`, or a join that no
    /// null meets); a null row costs less than one more statement.
    fn chunks(mut self) -> impl Iterator<Item = (usize, Vec<Arg<'a>>)> {
        let width = self.width;
        let nulls: Vec<Arg<'static>> = self.args.iter().take(width).map(Arg::null).collect();
        std::iter::from_fn(move || {
            if self.args.is_empty() {
                return None;
            }
            let rest = self.args.split_off(self.args.len().min(CHUNK * width));
            let mut chunk = std::mem::replace(&mut self.args, rest);
            let rows = chunk.len() / width;
            let full = rows.next_power_of_two();
            chunk.extend((rows..full).flat_map(|_| nulls.iter().cloned()));
            Some((full, chunk))
        })
    }
}

impl Db<'_> {
    /// Runs `sql`, which holds `@rows`, over all rows.
    pub async fn run_rows(
        &mut self,
        texts: &Texts,
        sql: &'static str,
        rows: Rows<'_>,
    ) -> Result<u64, sqlx::Error> {
        let width = rows.width;
        if let Self::Direct(db) = self {
            // Nothing lies between us and the database: row by row costs less than a text per number of rows.
            return if rows.len() == 0 {
                Ok(0)
            } else {
                super::direct::run_each(db, texts.of_one(sql, width), &rows.args, width)
            };
        }
        let mut changed = 0;
        for (count, args) in rows.chunks() {
            let text = texts.of(sql, count, width);
            changed += match self {
                Self::Direct(_) => unreachable!("done above"),
                Self::Sqlite(db) => {
                    sqlx::query_with(text, super::sqlite(args)?).execute(&mut **db).await?.rows_affected()
                }
                Self::Postgres(db) => {
                    sqlx::query_with(text, super::postgres(args)?).execute(&mut **db).await?.rows_affected()
                }
            };
        }
        Ok(changed)
    }

    /// The rows that the query `sql`, which holds `@rows`, finds for all of `rows`.
    pub async fn rows_for(
        &mut self,
        texts: &Texts,
        sql: &'static str,
        rows: Rows<'_>,
    ) -> Result<Vec<Row>, sqlx::Error> {
        let mut found = Vec::with_capacity(rows.len());
        let width = rows.width;
        if let Self::Direct(db) = self {
            if rows.len() > 0 {
                let text = texts.of_one(sql, width);
                super::direct::fetch_each(db, text, &rows.args, width, &mut found)?;
            }
            return Ok(found);
        }
        for (count, args) in rows.chunks() {
            found.extend(self.fetch(texts.of(sql, count, width), args).await?);
        }
        Ok(found)
    }
}

/// One row per item.
pub fn each<'a, T, const N: usize>(
    items: impl IntoIterator<Item = T>,
    row: impl Fn(T) -> [Arg<'a>; N],
) -> Rows<'a> {
    let mut rows = Rows::default();
    for item in items {
        rows.push(row(item));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_powers_of_two_and_filled_with_typed_nulls() {
        for (rows, expected) in
            [(1, vec![1]), (3, vec![4]), (64, vec![64]), (65, vec![64, 1]), (131, vec![64, 64, 4])]
        {
            let rows = each(0..rows, |n: i64| [Arg::Int(n), Arg::from("x")]);
            let total = rows.len();
            let chunks: Vec<_> = rows.chunks().collect();
            assert_eq!(chunks.iter().map(|c| c.0).collect::<Vec<_>>(), expected);
            let args: Vec<Arg> = chunks.into_iter().flat_map(|c| c.1).collect();
            let real = args.iter().filter(|a| matches!(a, Arg::Int(_))).count();
            assert_eq!(real, total);
            assert!(
                args.chunks(2)
                    .all(|row| matches!(row, [Arg::Int(_), Arg::Text(_)] | [Arg::NullInt, Arg::NullText]))
            );
        }
    }
}
