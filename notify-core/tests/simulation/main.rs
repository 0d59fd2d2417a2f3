//! A month of a tenant with every control, in one thread and without a clock: twice the same, also with restarts, and
//! nothing is lost.
//!
//! `NOTIFY_SIMULATED_EVENTS=100000 cargo test --release -p notify-core --test simulation` runs the large month.

mod against_model;
mod found;
mod made_up;
mod model;
mod peers;
mod site;
mod told;
mod world;

use jiff::Timestamp;
use notify_core::ledger::EntryKind;
use site::{Fate, Site};
use std::collections::BTreeMap;
use world::{Random, events, snapshot};

/// A month with both a leap day of the calendar and a change of clocks behind it in no zone of ours; the second half of
/// March has two.
const STARTS: [&str; 3] = ["2026-03-10T00:00:00Z", "2028-02-15T00:00:00Z", "2026-10-15T00:00:00Z"];

fn run(seed: u64, count: usize, days: i64, restarts: u64) -> Site {
    let start: Timestamp = STARTS[seed as usize % STARTS.len()].parse().unwrap();
    let mut site = Site::new(snapshot(start), seed, start);
    let mut chance = Random(!seed);
    for (at, event) in events(seed, count, start, days) {
        if restarts > 0 && chance.below(count as u64) < restarts {
            site.restart();
        }
        site.accept(event, at);
    }
    site.assert_nothing_is_lost();
    site
}

/// What each part of noise control did.
fn tally(site: &Site) -> BTreeMap<String, usize> {
    let mut tally = BTreeMap::new();
    for entry in &site.entries {
        let payload: serde_json::Value = serde_json::from_str(&entry.payload).unwrap();
        let predicate = &payload["predicate"];
        let mut count = |what: String| *tally.entry(what).or_default() += 1;
        match entry.kind {
            EntryKind::Event => {
                for decision in predicate["decisions"].as_array().unwrap() {
                    let text = |field: &str| decision[field].as_str().unwrap().to_owned();
                    count(format!("{} {}", text("outcome"), text("control")));
                    for also in decision["alsoApplied"].as_array().into_iter().flatten() {
                        count(format!("also {}", also.as_str().unwrap()));
                    }
                    let bypassed = decision["parameters"]["bypassed"].as_object();
                    for control in bypassed.into_iter().flat_map(|bypassed| bypassed.keys()) {
                        count(format!("bypassed {control}"));
                    }
                }
            }
            EntryKind::Release | EntryKind::Digest => {
                let text = |field: &str| predicate[field].as_str().unwrap_or("-").to_owned();
                count(format!("{} {} {} {}", entry.kind, text("release"), text("outcome"), text("control")));
            }
            _ => {}
        }
    }
    tally
}

fn payloads(site: &Site) -> Vec<&str> {
    site.entries.iter().map(|entry| entry.payload.as_str()).collect()
}

fn check(seed: u64, count: usize, days: i64, restarts: u64) -> Site {
    let first = run(seed, count, days, 0);
    let again = run(seed, count, days, 0);
    assert_eq!(first.root, again.root, "seed {seed}");
    let restarted = run(seed, count, days, restarts);
    assert!(payloads(&first) == payloads(&restarted), "seed {seed}: restarts change what is decided");
    assert_eq!(first.root, restarted.root);
    assert_eq!(first.fates, restarted.fates);
    first
}

#[test]
fn the_same_month_twice_and_with_restarts() {
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..50 {
        let site = check(seed, 240, 4, 10);
        for (what, count) in tally(&site) {
            *all.entry(what).or_default() += count;
        }
    }
    // Together they go through everything: a test in which nothing happens proves nothing.
    for expected in [
        "send none",
        "suppressed dedupe",
        "suppressed silence",
        "suppressed maintenance",
        "suppressed inhibition",
        "suppressed throttle",
        "digested storm",
        "digested throttle",
        "digested quiet-hours",
        "digested digest",
        "digested budget",
        "held quiet-hours",
        "release held send none",
        "digest - - digest",
        "digest - - storm",
        "digest - - throttle",
        "digest - - quiet-hours",
    ] {
        assert!(all.contains_key(expected), "{expected} never happened: {all:#?}");
    }
}

#[test]
fn a_whole_month() {
    let count = std::env::var("NOTIFY_SIMULATED_EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000);
    let site = check(7, count, 30, 50);
    let fates = |what: fn(&Fate) -> bool| site.fates.values().filter(|fate| what(fate)).count();
    println!("{:#?}", tally(&site));
    println!(
        "{} alerts: {} sent, {} suppressed, {} in digests, {} held, {} cancelled; {} entries, root {}, {} things remembered",
        site.fates.len(),
        fates(|fate| *fate == Fate::Sent),
        fates(|fate| *fate == Fate::Suppressed),
        fates(|fate| matches!(fate, Fate::In(_))),
        fates(|fate| matches!(fate, Fate::Held(_))),
        fates(|fate| *fate == Fate::Cancelled),
        site.entries.len(),
        site.root,
        site.remembered(),
    );
}
