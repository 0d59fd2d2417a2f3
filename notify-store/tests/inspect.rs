//! A look from outside sees the same on both databases, also beside a process that uses the store.

mod support;

use notify_core::document::Kind;
use notify_store::{Backend, inspect};
use support::*;

#[test]
fn a_look_beside_a_running_store() {
    runtime().block_on(async {
        for fresh in [sqlite().await, postgres().await] {
            let acme = tenant("acme");
            fresh.store.commit(create_tenant(&acme)).await.unwrap();
            fresh.store.commit(put(&acme, Kind::Channel, "hook", r#"{"id":"hook"}"#)).await.unwrap();
            fresh.store.commit(put(&acme, Kind::Channel, "gone", r#"{"id":"gone"}"#)).await.unwrap();
            fresh.store.commit(delete(&acme, Kind::Channel, "gone")).await.unwrap();
            fresh.store.commit(put(&acme, Kind::Rule, "rule", "{}")).await.unwrap();
            fresh.store.commit(accept(&acme, event("one"), vec![delivery("one")])).await.unwrap();
            fresh.store.commit(accept(&acme, event("two"), vec![delivery("two")])).await.unwrap();
            fresh.store.commit(record(&acme, attempt("one", 1, DEAD))).await.unwrap();
            let look = match &fresh.options.backend {
                Backend::Sqlite { file } => {
                    assert!(inspect::sqlite_in_use(file));
                    inspect::sqlite(file).unwrap()
                }
                Backend::Postgres { url } => inspect::postgres(url).await.unwrap(),
            };
            assert!(look.known.len() >= 2 && look.known.contains(&3), "{look:?}");
            assert_eq!((look.missing(), look.foreign()), (vec![], vec![]));
            let looked = matches!(fresh.options.backend, Backend::Sqlite { .. });
            assert_eq!(look.damage, looked.then(Vec::new));
            assert_eq!(look.tenants, ["acme"]);
            assert_eq!(look.channels, [("acme".to_owned(), r#"{"id":"hook"}"#.to_owned())]);
            assert_eq!((look.dead, look.waiting), (1, 1));
            assert!(look.newest.is_some_and(|at| at.as_second() > 1_700_000_000), "{:?}", look.newest);
            fresh.store.close().await;
            if let Backend::Sqlite { file } = &fresh.options.backend {
                assert!(!inspect::sqlite_in_use(file));
                assert_eq!(inspect::sqlite(file).unwrap(), look, "the same when nobody uses it");
            }
        }
    });
}

#[test]
fn what_is_no_store_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.db");
    assert!(inspect::sqlite(&missing).is_err());
    assert!(!missing.exists(), "a look makes nothing");
    let garbage = folder.path().join("garbage.db");
    std::fs::write(&garbage, "no database".repeat(1000)).unwrap();
    assert!(inspect::sqlite(&garbage).unwrap_err().contains("not a database"));
}
