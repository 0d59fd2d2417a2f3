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
