//! Both sets of migrations have the same names and make the same tables, columns and keys.

mod support;

use sqlx::{Connection, PgConnection, SqliteConnection};
use std::collections::BTreeSet;
use std::path::Path;

type Columns = BTreeSet<(String, String, String, bool)>;

fn names(folder: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations").join(folder);
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn names_are_equal() {
    let sqlite = names("sqlite");
    assert!(!sqlite.is_empty());
    assert_eq!(sqlite, names("postgres"));
}

#[test]
fn tables_and_columns_are_equal() {
    support::runtime().block_on(async {
        let fresh = support::sqlite().await;
        let notify_store::Backend::Sqlite { file } = &fresh.options.backend else { unreachable!() };
        let mut db = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
        let sqlite: Vec<(String, String, String, bool)> = sqlx::query_as(
            "SELECT m.name, c.name, UPPER(c.type), c.\"notnull\" FROM sqlite_master m \
             JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE '\\_sqlx%' ESCAPE '\\'",
        )
        .fetch_all(&mut db)
        .await
        .unwrap();

        let url = support::postgres_url();
        let options = support::options(notify_store::Backend::Postgres { url: url.clone() });
        notify_store::Store::open(options).await.unwrap().close().await;
        let mut db = PgConnection::connect(&url).await.unwrap();
        let postgres: Vec<(String, String, String, bool)> = sqlx::query_as(
            "SELECT table_name::text, column_name::text, UPPER(data_type::text), is_nullable = 'NO' \
             FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE '\\_sqlx%'",
        )
        .fetch_all(&mut db)
        .await
        .unwrap();
        let sqlite: Columns = sqlite.into_iter().collect();
        let postgres: Columns = postgres
            .into_iter()
            .map(|(table, column, kind, set)| (table, column, kind.replace("BYTEA", "BLOB"), set))
            .collect();
        assert!(sqlite.len() > 80);
        assert_eq!(sqlite, postgres);
    });
}
