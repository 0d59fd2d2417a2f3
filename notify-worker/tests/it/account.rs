//! What became of every alert, told from the ledger alone and held against the store: nothing is lost, nothing is there
//! twice.
#![allow(dead_code)] // each test binary uses its own part

use crate::studio::Studio;
use notify_core::ids::{DigestId, HeldId};
use notify_core::ledger::export::writer::{Export, StoredEntry};
use notify_core::ledger::export::{ExportFiles, Report, VerifyOptions, verify};
use notify_core::ledger::keys::{ExportKey, LogKeys};
use notify_core::ledger::policy::Policy;
use notify_core::ledger::tree::Hash;
use notify_core::ledger::trust::{LogKeyRange, Trust};
use notify_core::noise::{StateKey, StateRow};
use notify_store::model::{DeliveryFilter, LedgerEntry, Page};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One digest that was sent.
#[derive(Debug, Default)]
pub struct Sent {
    pub delivery: String,
    /// Numbers of event entries, rising.
    pub entries: Vec<u64>,
    pub count: u64,
    pub closed: String,
}

/// What became of all alerts of a tenant.
#[derive(Debug, Default)]
pub struct Account {
    /// Decided to be sent at once.
    pub sent: usize,
    /// By control.
    pub suppressed: BTreeMap<String, usize>,
    /// Held, and then sent, cancelled, or still waiting with a timer.
    pub released: usize,
    pub cancelled: usize,
    pub waiting: usize,
    pub digests: BTreeMap<String, Sent>,
    /// Alerts of digests that were sent, cancelled, or are still being collected with a timer.
    pub digested: usize,
    pub digests_cancelled: usize,
    pub collecting: usize,
    pub holds_again: usize,
    /// Events with an entry, whether a rule matched or not.
    pub events: usize,
}

pub async fn entries(studio: &Studio) -> Vec<LedgerEntry> {
    let head = studio.store.ledger_head(&studio.tenant).await.unwrap().unwrap();
    let mut entries = Vec::new();
    while (entries.len() as u64) < head.size {
        let from = entries.len() as u64;
        entries.extend(studio.store.ledger_entries(&studio.tenant, from, head.size, 500).await.unwrap());
    }
    entries
}

/// Exports the whole ledger and has the product's verifier judge it: every attempt has its intent, no delivery ends
/// twice, no number is missing.
pub async fn verified(studio: &Studio) -> Report {
    let head = studio.store.ledger_head(&studio.tenant).await.unwrap().unwrap();
    let mut entries = entries(studio).await;
    entries.retain(|entry| entry.seq < head.size);
    let stored = |entry: &LedgerEntry| (entry.seq, Hash(entry.leaf_hash));
    let export = Export {
        entries: entries
            .iter()
            .map(|entry| StoredEntry {
                seq: stored(entry).0,
                payload: entry.payload.as_deref(),
                leaf_hash: stored(entry).1,
            })
            .collect(),
        checkpoint: &head.checkpoint,
        ..Export::default()
    };
    let export_key = ExportKey::from_seed(&[1; 32]);
    let mut files = ExportFiles::new();
    for (name, bytes) in export.files(&export_key).unwrap() {
        files.add(&name, bytes);
    }
    let log = LogKeys::new("test.example", [7; 32]).unwrap().log_key(&head.origin).unwrap();
    let key = log.note_key().unwrap();
    let policy = Policy::without_witnesses([&key]);
    let keys = Trust::keys_json(&[export_key.public().clone()], &[LogKeyRange::always(key)]).unwrap();
    let trust = Trust::parse(policy.as_bytes(), keys.as_bytes()).unwrap();
    let report = verify(&files, &trust, VerifyOptions::default());
    assert!(report.is_verified(), "{report}");
    report
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Asserts that every alert has one fate, that intents and deliveries are the same set, and that what waits has a timer.
pub async fn account(studio: &Studio) -> Account {
    verified(studio).await;
    let mut account = Account::default();
    let mut intents: Vec<String> = Vec::new();
    // Held alerts and what the last release said of them; digests, the alerts that went in, and how they ended.
    let mut held: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut collected: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut cancelled: BTreeSet<String> = BTreeSet::new();
    let mut first_part: BTreeMap<String, u64> = BTreeMap::new();
    for entry in entries(studio).await {
        let payload: Value = serde_json::from_str(entry.payload.as_deref().unwrap()).unwrap();
        let said = &payload["predicate"];
        let intent = |said: &Value| text(said, "/intent/delivery").to_owned();
        match entry.kind.as_str() {
            "event" => {
                let seq = *first_part.entry(entry.about.clone()).or_insert_with(|| {
                    account.events += 1;
                    entry.seq
                });
                for decision in said["decisions"].as_array().unwrap() {
                    match text(decision, "/outcome") {
                        "send" | "render-failed" => {
                            account.sent += 1;
                            intents.push(intent(decision));
                        }
                        "suppressed" => {
                            let control = text(decision, "/control").to_owned();
                            assert!(!matches!(control.as_str(), "" | "none"), "without a reason: {decision}");
                            *account.suppressed.entry(control).or_default() += 1;
                        }
                        "held" => {
                            let id = text(decision, "/parameters/held").to_owned();
                            assert!(held.insert(id, None).is_none(), "held twice: {decision}");
                        }
                        "digested" => {
                            let id = text(decision, "/parameters/digest").to_owned();
                            collected.entry(id).or_default().push(seq);
                        }
                        other => panic!("no fate: {other}: {decision}"),
                    }
                }
            }
            "release" => {
                let outcome = text(said, "/outcome");
                match text(said, "/release") {
                    "held" => {
                        let last = held.get_mut(text(said, "/held")).expect("nobody held it");
                        let over = last.as_deref().is_some_and(|last| last != "hold");
                        assert!(!over, "released again: {said}");
                        *last = Some(outcome.to_owned());
                        account.holds_again += usize::from(outcome == "hold");
                        if outcome == "send" {
                            intents.push(intent(said));
                        }
                    }
                    "digest" if outcome == "cancel" => {
                        assert!(cancelled.insert(text(said, "/digest").to_owned()), "twice: {said}");
                    }
                    _ => account.holds_again += usize::from(outcome == "hold"),
                }
            }
            "digest" => {
                let sent = account.digests.entry(text(said, "/digest").to_owned()).or_default();
                if sent.delivery.is_empty() {
                    sent.delivery = intent(said);
                    intents.push(intent(said));
                }
                assert_eq!(sent.delivery, intent(said), "a digest is one delivery");
                sent.entries.extend(said["entries"].as_array().unwrap().iter().filter_map(Value::as_u64));
                sent.count = said["trueCount"].as_u64().unwrap();
                sent.closed = text(said, "/closed").to_owned();
            }
            "delivery" => intents.extend(Some(intent(said)).filter(|id| !id.is_empty())),
            _ => {}
        }
    }

    for (id, last) in held {
        let id: HeldId = id.parse().unwrap();
        let row = studio.store.held_alert(&studio.tenant, &id).await.unwrap();
        let timer = studio.store.noise_states(&studio.tenant, &[StateKey::of_held(&id)]).await.unwrap();
        match last.as_deref() {
            Some("send") => account.released += 1,
            Some("cancel") => account.cancelled += 1,
            _ => {
                account.waiting += 1;
                let row = row.expect("it waits, and is not in the store");
                let due =
                    StateRow::read(&timer.first().expect("it waits without a timer").1).unwrap().due_at();
                assert_eq!(due, Some(row.release_at.as_microsecond()), "timer and row agree");
                continue;
            }
        }
        assert!(row.is_none() && timer.is_empty(), "{id} is over, and still in the store");
    }

    let open: BTreeSet<String> = windows(studio).await.into_iter().map(|window| window.0).collect();
    for (id, mut went_in) in collected {
        let count = went_in.len();
        let digest: DigestId = id.parse().unwrap();
        let items = studio.store.digest_items(&studio.tenant, &digest).await.unwrap();
        if let Some(sent) = account.digests.get(&id) {
            account.digested += count;
            assert_eq!(sent.count, count as u64, "{id}: the true total");
            went_in.sort_unstable();
            went_in.dedup();
            assert_eq!(sent.entries, went_in, "{id} lists what went into it");
        } else if cancelled.contains(&id) {
            account.digests_cancelled += count;
        } else {
            account.collecting += count;
            assert!(open.contains(&id), "{id} is open, and has no timer");
            let stored: Vec<u64> = items.iter().filter_map(|item| item.entry).collect();
            assert_eq!((stored, items.len()), (went_in, count), "{id}: what the store has collected");
            continue;
        }
        assert!(items.is_empty() && !open.contains(&id), "{id} is over, and still in the store");
    }

    let announced: BTreeSet<String> = intents.iter().cloned().collect();
    assert_eq!(announced.len(), intents.len(), "an intent is there twice");
    assert_eq!(deliveries(studio).await, announced, "deliveries are what was announced: {account:?}");
    crate::told::stories_agree(studio).await;
    account
}

/// Ids of all deliveries.
async fn deliveries(studio: &Studio) -> BTreeSet<String> {
    let (mut all, mut page) = (BTreeSet::new(), Page { limit: 200, after: None });
    loop {
        let found = studio.store.deliveries(&studio.tenant, &DeliveryFilter::default(), &page).await.unwrap();
        all.extend(found.items.iter().map(|found| found.delivery.id.to_string()));
        match found.next {
            Some(next) => page.after = Some(next),
            None => return all,
        }
    }
}

/// Open windows: id and number of alerts.
pub async fn windows(studio: &Studio) -> Vec<(String, u64)> {
    let values = studio.store.noise_timers(&studio.tenant, "window", 10_000).await.unwrap();
    let read = |value: &String| {
        let value: Value = serde_json::from_str(value).unwrap();
        (text(&value, "/window/id").to_owned(), value["window"]["count"].as_u64().unwrap())
    };
    values.iter().map(read).collect()
}

/// All that is remembered, by key.
pub async fn remembered(studio: &Studio) -> BTreeMap<StateKey, String> {
    studio.store.noise_memory(&studio.tenant).await.unwrap().states.into_iter().collect()
}
