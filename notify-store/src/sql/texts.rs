//! From a template to the text that a database gets, made once and shared.

use crate::dialect::Dialect;
use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// Templates with `@` words → finished texts. The words:
/// - `@rows`: `(VALUES (…), (…)) AS v`, whose columns are `v.column1`, `v.column2`, … on both databases;
/// - `@columns`: `column1, column2, …`, as many as a row has;
/// - `@now`, `@lock`, `@share`, `@skip_locked`: see [`Dialect`].
#[derive(Debug)]
pub struct Texts {
    dialect: Dialect,
    made: Mutex<HashMap<(&'static str, usize), Arc<str>>>,
}

/// A finished text.
pub enum Text {
    Static(&'static str),
    Made(Arc<str>),
}

impl SqlSafeStr for Text {
    fn into_sql_str(self) -> SqlStr {
        match self {
            Self::Static(text) => text.into_sql_str(),
            // Made of a static template, numbers and punctuation only.
            Self::Made(text) => AssertSqlSafe(text).into_sql_str(),
        }
    }
}

impl Texts {
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, made: Mutex::default() }
    }

    /// The text of `template` for `rows` rows of `width` values.
    pub fn of(&self, template: &'static str, rows: usize, width: usize) -> Text {
        if !template.contains('@') {
            return Text::Static(template);
        }
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let text = made.entry((template, rows)).or_insert_with(|| self.make(template, rows, width).into());
        Text::Made(Arc::clone(text))
    }

    /// The text of `template` for one row whose values are bound by number: what SQLite runs once per row. The same
    /// statement over `VALUES` would fill a temporary table first, which costs more than the row.
    pub fn of_one(&self, template: &'static str, width: usize) -> Text {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let text = made
            .entry((template, usize::MAX))
            .or_insert_with(|| self.make(&single(template, width), 1, width).into());
        Text::Made(Arc::clone(text))
    }

    fn make(&self, template: &str, rows: usize, width: usize) -> String {
        let mut parts = template.split('@');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(part.len());
            let (word, rest) = part.split_at(end);
            match word {
                "rows" => self.values(&mut text, rows, width),
                "columns" => {
                    for column in 1..=width {
                        let _ = write!(text, "{}column{column}", if column == 1 { "" } else { ", " });
                    }
                }
                word => text.push_str(self.dialect.word(word)),
            }
            text.push_str(rest);
        }
        text
    }

    /// `$7` is a name to SQLite, which searches its list of names for every bound value: quadratic in a large
    /// batch (1,280 values: about a millisecond). A bare `?` has no name.
    fn values(&self, text: &mut String, rows: usize, width: usize) {
        text.push_str("(VALUES ");
        for row in 0..rows {
            text.push_str(if row == 0 { "(" } else { ", (" });
            for column in 0..width {
                text.push_str(if column == 0 { "" } else { "," });
                match self.dialect {
                    Dialect::Sqlite => text.push('?'),
                    Dialect::Postgres => {
                        let _ = write!(text, "${}", row * width + column + 1);
                    }
                }
            }
            text.push(')');
        }
        text.push_str(") AS v");
    }
}

/// Takes the row set out of a template: its columns become `?1`, `?2`, ….
fn single(template: &str, width: usize) -> String {
    let numbers = (1..=width).map(|column| format!("?{column}")).collect::<Vec<_>>().join(", ");
    let text = if let Some((head, tail)) = template.split_once(" SELECT @columns") {
        // INSERT … SELECT @columns[, constants] FROM @rows WHERE column1 IS NOT NULL …
        let (constants, end) = tail.split_once(" FROM @rows WHERE column1 IS NOT NULL").unwrap_or((tail, ""));
        format!("{head} VALUES ({numbers}{constants}){end}")
    } else if let Some((head, tail)) = template.split_once(" IN (SELECT @columns FROM @rows)") {
        format!("{head} = ({numbers}){tail}")
    } else {
        join_as_filter(template)
    };
    let text = text.replace("v.column", "?");
    // Constants of an INSERT name a column without the alias.
    if text.contains(" VALUES (") { text.replace(", column", ", ?") } else { text }
}

/// `FROM @rows JOIN t r ON c` → `FROM t r WHERE c`; `UPDATE … FROM @rows WHERE c` → `UPDATE … WHERE c`.
fn join_as_filter(template: &str) -> String {
    match template.split_once("FROM @rows JOIN ") {
        Some((head, tail)) => format!("{head}FROM {}", tail.replacen(" ON ", " WHERE ", 1)),
        None => template.replacen(" FROM @rows", "", 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_needs_no_row_set() {
        for (template, width, expected) in [
            (
                "INSERT INTO t (a, b, c, d) SELECT @columns, 'x', column2 FROM @rows WHERE column1 IS NOT NULL",
                2,
                "INSERT INTO t (a, b, c, d) VALUES (?1, ?2, 'x', ?2)",
            ),
            (
                "INSERT INTO t (a) SELECT @columns FROM @rows WHERE column1 IS NOT NULL ON CONFLICT (a) DO NOTHING",
                1,
                "INSERT INTO t (a) VALUES (?1) ON CONFLICT (a) DO NOTHING",
            ),
            (
                "UPDATE t SET a = v.column2 FROM @rows WHERE t.b = v.column1",
                2,
                "UPDATE t SET a = ?2 WHERE t.b = ?1",
            ),
            (
                "DELETE FROM t WHERE (a, b) IN (SELECT @columns FROM @rows)",
                2,
                "DELETE FROM t WHERE (a, b) = (?1, ?2)",
            ),
            (
                "SELECT v.column1, r.x FROM @rows JOIN t r ON r.a = v.column2 ORDER BY r.a @lock",
                2,
                "SELECT ?1, r.x FROM t r WHERE r.a = ?2 ORDER BY r.a ",
            ),
        ] {
            let texts = Texts::new(Dialect::Sqlite);
            assert_eq!(texts.of_one(template, width).into_sql_str().as_str(), expected);
        }
    }
}
