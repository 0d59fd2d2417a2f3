//! The power goes at any moment, on a disk that keeps what was synced and any part of the rest: every acknowledged
//! commit is there, and the ledger is one tree.
//!
//! The test starts itself again as the victim, with a library between SQLite and the disk that writes down every write
//! and every sync in their order, together with what the victim acknowledged. From that history any number of power cuts
//! is made and looked at.

mod support;

use notify_store::{Backend, Store};
use notify_testkit::disk::{self, Disk, Step};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use support::*;

const CHILD: &str = "POWER_CUT_CHILD";
const COMMITS: usize = 600;

/// Commits with 8 in flight and acknowledges on standard output; checkpoints come far more often than in production.
#[test]
fn victim() {
    let Ok(file) = std::env::var(CHILD) else { return };
    runtime().block_on(async {
        let store = Store::open(options(Backend::Sqlite { file: file.clone().into() })).await.unwrap();
        let acme = tenant("acme");
        store.commit(create_tenant(&acme)).await.unwrap();
        let tasks: Vec<_> = (0..8)
            .map(|task| {
                let (store, acme, file) = (store.clone(), acme.clone(), file.clone());
                tokio::spawn(async move {
                    for n in 0.. {
                        let name = format!("{task}-{n}");
                        store.commit(accept(&acme, event(&name), vec![delivery(&name)])).await.unwrap();
                        // One write for the whole line, or the history would hold halves.
                        let line = format!("ack {name}\n");
                        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                        if task == 0 && n % 12 == 11 {
                            let mode = if n % 24 == 11 { "PASSIVE" } else { "RESTART" };
                            let file = file.clone();
                            let checkpoint = move || {
                                let other = rusqlite::Connection::open(file).unwrap();
                                let sql = format!("PRAGMA wal_checkpoint({mode})");
                                other.query_row(&sql, [], |_| Ok(())).unwrap();
                            };
                            tokio::task::spawn_blocking(checkpoint).await.unwrap();
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// What a victim did until it had acknowledged enough.
fn record(folder: &Path) -> Vec<Step> {
    let shim = disk::shim(folder);
    let trace = folder.join("trace");
    let file = folder.join("notify.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["victim", "--exact", "--nocapture"])
        .env(CHILD, &file)
        .env("LD_PRELOAD", shim)
        .env(disk::WATCH, &file)
        .env(disk::TRACE, &trace)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert_eq!(lines.filter(|line| line.contains("ack ")).take(COMMITS).count(), COMMITS);
    child.kill().unwrap();
    child.wait().unwrap();
    disk::history(&trace).unwrap()
}

/// Numbers that look random and are the same on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

async fn look(folder: &Path, acknowledged: &[String]) -> u64 {
    let backend = Backend::Sqlite { file: folder.join("notify.db") };
    let store = Store::open(options(backend)).await.unwrap();
    let acme = tenant("acme");
    let keys: Vec<_> = acknowledged.iter().map(|name| event(name).key).collect();
    let known = store.known_events(&acme, &keys).await.unwrap();
    assert_eq!(known.len(), acknowledged.len(), "an acknowledged commit is gone");
    let size = check_ledger(&store, &acme).await;
    let backlog = store.backlog(at(999)).await.unwrap();
    assert_eq!(backlog.scheduled_deliveries, size - 1, "an entry, an event and a delivery come together");
    // It goes on from there.
    store.commit(accept(&acme, event("after"), vec![])).await.unwrap();
    assert_eq!(check_ledger(&store, &acme).await, size + 1);
    store.close().await;
    size
}

#[test]
fn nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let steps = record(folder.path());
    let syncs = steps.iter().filter(|step| matches!(step, Step::Sync { .. })).count();
    let database = |step: &&Step| matches!(step, Step::Write { file, .. } if file.ends_with(".db"));
    assert!(syncs > 20, "{syncs} syncs: the library does not stand between SQLite and the disk");
    assert!(steps.iter().filter(database).count() > 50, "checkpoints belong to what is tested");

    let mut dice = Dice(2026);
    let said = |step: &Step| matches!(step, Step::Said(line) if line.starts_with(b"ack "));
    let first = steps.iter().position(said).unwrap();
    let cuts: u64 = std::env::var("POWER_CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(24);
    let places = (steps.len() - first) as u64;
    let mut cuts: Vec<usize> = (0..cuts).map(|_| first + dice.below(places) as usize).collect();
    cuts.sort_unstable();

    let mut disk = Disk::default();
    let mut acknowledged: Vec<String> = Vec::new();
    let (mut done, mut with_unsynced, mut sizes) = (0, 0, Vec::new());
    for cut in cuts {
        for step in &steps[done..cut] {
            disk.apply(step);
            if let Step::Said(line) = step
                && let Some(name) = String::from_utf8_lossy(line).strip_prefix("ack ")
            {
                acknowledged.push(name.trim().to_owned());
            }
        }
        done = cut;
        with_unsynced += usize::from(disk.unsynced() > 0);
        // Nothing of the rest survives, or all of it, or half of it.
        for survivors in [0, 2, 1] {
            let image = tempfile::tempdir().unwrap();
            disk.after_power_cut(image.path(), || dice.below(2) < survivors).unwrap();
            eprintln!(
                "cut {cut} of {}, {survivors} of 2 survive, {} acknowledged",
                steps.len(),
                acknowledged.len()
            );
            sizes.push(runtime().block_on(look(image.path(), &acknowledged)));
        }
    }
    assert!(with_unsynced > 5, "only {with_unsynced} cuts took something away");
    println!("{} steps, {syncs} syncs, {with_unsynced} cuts with losses; ledgers of {sizes:?}", steps.len());
}
