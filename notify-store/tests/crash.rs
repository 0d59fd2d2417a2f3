//! Killed in the middle of commits: every acknowledged one is there, and the ledger is one tree.
//!
//! The test starts itself again as the victim (`CRASH_CHILD` is set), which prints a line per acknowledged commit.

mod support;

use notify_store::{Backend, OpenOptions, Store, StoreError};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;
use support::*;

const CHILD: &str = "CRASH_CHILD";

fn backend(text: &str) -> Backend {
    if text.starts_with("postgres:") {
        Backend::Postgres { url: text.into() }
    } else {
        Backend::Sqlite { file: text.into() }
    }
}

/// Commits for ever with 16 in flight; acknowledges on standard output.
#[test]
fn victim() {
    let Ok(place) = std::env::var(CHILD) else { return };
    runtime().block_on(async {
        let store = Store::open(options(backend(&place))).await.unwrap();
        let acme = tenant("acme");
        let _ = store.commit(create_tenant(&acme)).await;
        let life = std::process::id();
        let tasks: Vec<_> = (0..16)
            .map(|task| {
                let (store, acme) = (store.clone(), acme.clone());
                tokio::spawn(async move {
                    for n in 0.. {
                        let name = format!("{life}-{task}-{n}");
                        store.commit(accept(&acme, event(&name), vec![delivery(&name)])).await.unwrap();
                        let mut out = std::io::stdout().lock();
                        writeln!(out, "ack {name}").unwrap();
                        out.flush().unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Runs a victim until it has acknowledged `count` commits, kills it, and gives what it acknowledged.
fn kill_after(place: &str, count: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["victim", "--exact", "--nocapture"])
        .env(CHILD, place)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let name = |line: String| line.split("ack ").nth(1).map(str::to_owned);
    let mut acknowledged: Vec<String> =
        lines.by_ref().map_while(Result::ok).filter_map(name).take(count).collect();
    child.kill().unwrap();
    // What it still managed to say before the signal.
    acknowledged.extend(lines.map_while(Result::ok).filter_map(name));
    child.wait().unwrap();
    acknowledged
}

async fn reopen(options: &OpenOptions) -> Store {
    // A killed process's lock goes with it, but its server session may linger for a moment.
    Store::open(options.clone()).await.unwrap()
}

fn check(place: &str) {
    let options = options(backend(place));
    let mut acknowledged = Vec::new();
    for count in [1, 7, 60, 150] {
        acknowledged.extend(kill_after(place, count));
        runtime().block_on(async {
            let store = reopen(&options).await;
            let acme = tenant("acme");
            let keys: Vec<_> = acknowledged.iter().map(|name| event(name).key).collect();
            let known = store.known_events(&acme, &keys).await.unwrap();
            assert_eq!(known.len(), acknowledged.len(), "an acknowledged commit is gone");
            let size = check_ledger(&store, &acme).await;
            // Nothing half-written either: an entry, an event and a delivery come together.
            let backlog = store.backlog(at(999)).await.unwrap();
            assert_eq!(backlog.scheduled_deliveries, size - 1);
            assert!(size > acknowledged.len() as u64);
            store.close().await;
        });
    }
}

#[test]
fn sqlite_keeps_what_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    check(folder.path().join("notify.db").to_str().unwrap());
}

#[test]
fn postgres_keeps_what_it_acknowledged() {
    check(&postgres_url());
}

#[test]
fn one_process_per_file() {
    runtime().block_on(async {
        let fresh = sqlite().await;
        let second = Store::open(fresh.options.clone()).await;
        assert!(matches!(second, Err(StoreError::InUse(_))), "{second:?}");
        fresh.store.close().await;
        // Closing waits for readers, so at once is soon enough; the timeout only bounds a failure.
        let third = tokio::time::timeout(Duration::from_secs(10), Store::open(fresh.options.clone())).await;
        third.unwrap().unwrap();
    });
}
