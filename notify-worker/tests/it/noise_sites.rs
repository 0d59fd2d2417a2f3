//! The configuration changes under load, and owners change: what is remembered stays true to what was decided.

use crate::account::{Account, account, remembered, windows};
use crate::noise::{flushed, planned, rule, watchful};
use crate::studio::Studio;
use notify_core::document::Kind;
use notify_core::noise::{Remembered, StateRow};
use notify_core::problem::Code;
use notify_store::Backend;
use notify_testkit::postgres;
use notify_worker::Worker;
use notify_worker::clock::wait;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Rules of each kind of control, for events of types `dedupe`, `throttle`, `digest` and `full`.
async fn rules(studio: &Studio) {
    rule(studio, "dedupe", &json!({"dedupe": {"key": ["/data"], "window": "1h"}})).await;
    rule(studio, "throttle", &json!({"throttle": {"limit": 3, "per": "1s"}})).await;
    rule(studio, "digest", &json!({"digest": {"key": ["/data"], "window": "1s"}})).await;
    rule(studio, "full", &json!({"digest": {"window": "1s", "max": 7}})).await;
}

const TYPES: [&str; 4] = ["dedupe", "throttle", "digest", "full"];

/// Publishes this event until it is accepted, as a careful publisher does.
async fn publish(studio: &Studio, worker: &Worker, number: usize) {
    let kind = TYPES[number % TYPES.len()];
    let event = studio.event(&number.to_string(), kind, &format!("{}", number % 5));
    loop {
        match worker.accept(event.clone()).await {
            Ok(_) => return,
            Err(problem) => assert_eq!(problem.code, Code::Unavailable, "{problem}"),
        }
        wait(Duration::from_millis(20)).await;
    }
}

/// Repeats that the store remembers, of all dedupe windows: as many as the ledger says were not sent for that. A batch
/// that was refused and not taken back would have counted some of them twice.
async fn repeats_are_those_of_the_ledger(studio: &Studio, found: &Account) {
    let states = remembered(studio).await;
    let repeats: u32 = states
        .values()
        .filter_map(|value| match StateRow::read(value).unwrap() {
            Remembered::Dedupe(seen) => Some(seen.repeats),
            _ => None,
        })
        .sum();
    assert_eq!(found.suppressed.get("dedupe").copied().unwrap_or(0), repeats as usize, "{found:?}");
    assert!(states.values().all(|value| !value.contains("\"held\"")), "nothing was held");
}

fn check(found: &Account, events: usize) {
    assert_eq!((found.events, found.collecting, found.waiting), (events, 0, 0), "{found:?}");
    let suppressed: usize = found.suppressed.values().sum();
    assert_eq!(found.sent + suppressed + found.digested, events, "{found:?}");
    assert_eq!(found.suppressed.get("dedupe"), Some(&(events / 4 - 5)), "one of each value: {found:?}");
    let full = found.digests.values().filter(|sent| sent.closed == "count");
    assert!(full.clone().all(|sent| sent.count == 7) && full.count() > 0, "{found:?}");
}

/// Nobody tells the worker; each refusal takes back what was planned on the old configuration.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_configuration_changes_under_load() {
    const EVENTS: usize = 800;
    let studio = Studio::with_channels().await;
    rules(&studio).await;
    let worker = studio.worker().await;
    let done = AtomicBool::new(false);
    let publishing = async {
        for chunk in 0..EVENTS / 40 {
            let numbers = chunk * 40..(chunk + 1) * 40;
            futures_util::future::join_all(numbers.map(|number| publish(&studio, &worker, number))).await;
        }
        done.store(true, Ordering::SeqCst);
    };
    let changing = async {
        let mut changes = 0;
        while !done.load(Ordering::SeqCst) {
            studio.rule("other", &format!("other-{changes}"), "once").await;
            changes += 1;
            // Some batches meet a change, some do not.
            wait(Duration::from_millis(changes % 7)).await;
        }
        changes
    };
    let (changes, ()) = futures_util::future::join(changing, publishing).await;
    assert!(changes > 10, "{changes} changes");
    planned(&studio).await;
    flushed(&studio).await;
    let found = account(&studio).await;
    check(&found, EVENTS);
    repeats_are_those_of_the_ledger(&studio, &found).await;
    let before = remembered(&studio).await;
    worker.stop().await;

    // What a new owner reads leads to the same decisions as what the old one had in mind.
    let studio = studio.reopened().await;
    assert_eq!(remembered(&studio).await, before);
    let worker = studio.worker().await;
    for number in 0..5 {
        publish(&studio, &worker, EVENTS + number * 4).await;
    }
    planned(&studio).await;
    let after = account(&studio).await;
    assert_eq!(after.suppressed["dedupe"], found.suppressed["dedupe"] + 5, "{after:?}");
    repeats_are_those_of_the_ledger(&studio, &after).await;
    worker.stop().await;
}

/// Both take events, one owns the tenant; then the other, then the first again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_share_a_tenant() {
    const EVENTS: usize = 240;
    let url = postgres::shared().url_for(&format!("noise_sites_{}", std::process::id()));
    let backend = Backend::Postgres { url };
    let studio = Studio::on(backend.clone(), tempfile::tempdir().unwrap()).await;
    let channel = json!({
        "schema": "notify-channel@1", "id": "once", "name": "once", "type": "webhook",
        "config": {"url": "https://once.example/"}, "retry": {"scheduleSeconds": []},
    });
    studio.put(Kind::Channel, &channel).await;
    rules(&studio).await;
    let sites = [studio.sibling(backend.clone()).await, studio.sibling(backend.clone()).await];
    let start = async |site: &Studio, name: &str| {
        site.worker_with(|options| {
            watchful(options);
            options.holder = name.to_owned();
            options.lease = Duration::from_millis(600);
        })
        .await
    };
    let mut site = sites.into_iter();
    let (first, second) = (site.next().unwrap(), site.next().unwrap());
    let (one, two) = (start(&first, "one").await, start(&second, "two").await);
    let both = async |numbers: std::ops::Range<usize>| {
        for chunk in numbers.collect::<Vec<_>>().chunks(16) {
            let publishing = chunk.iter().map(|number| {
                let worker = if (number / 4).is_multiple_of(2) { &one } else { &two };
                publish(&studio, worker, *number)
            });
            futures_util::future::join_all(publishing).await;
        }
    };
    both(0..EVENTS / 2).await;
    // Its clean stop gives the lease back while the other is taking events.
    let publishing = async {
        for number in EVENTS / 2..EVENTS {
            publish(&studio, &two, number).await;
        }
    };
    futures_util::future::join(one.stop(), publishing).await;
    planned(&studio).await;
    flushed(&studio).await;
    let found = account(&studio).await;
    check(&found, EVENTS);
    repeats_are_those_of_the_ledger(&studio, &found).await;
    assert!(windows(&studio).await.is_empty());
    two.stop().await;
}

/// An owner that vanished leaves its timers to whoever looks, without any event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_fires_what_a_dead_owner_left() {
    let url = postgres::shared().url_for(&format!("noise_heir_{}", std::process::id()));
    let backend = Backend::Postgres { url };
    let studio = Studio::on(backend.clone(), tempfile::tempdir().unwrap()).await;
    let channel = json!({
        "schema": "notify-channel@1", "id": "once", "name": "once", "type": "webhook",
        "config": {"url": "https://once.example/"}, "retry": {"scheduleSeconds": []},
    });
    studio.put(Kind::Channel, &channel).await;
    rules(&studio).await;
    let heir = studio.sibling(backend.clone()).await;
    let lost = studio.sibling(backend).await;
    // It never looks again after its lease: as good as dead, but that its process is still there.
    let dead = lost
        .worker_with(|options| {
            options.holder = "dead".to_owned();
            options.lease = Duration::from_secs(2);
        })
        .await;
    publish(&studio, &dead, 2).await;
    planned(&studio).await;
    assert_eq!(windows(&studio).await.len(), 1);
    lost.store.close().await;
    let two = heir
        .worker_with(|options| {
            watchful(options);
            options.holder = "heir".to_owned();
        })
        .await;
    // The lease of the dead one runs for a moment more.
    flushed(&studio).await;
    let found = account(&studio).await;
    assert_eq!((found.digested, found.digests.len()), (1, 1), "{found:?}");
    two.stop().await;
}
