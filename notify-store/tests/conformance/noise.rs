//! What noise control remembers, what waits, and what digests collect.

use crate::support::*;
use notify_core::ids::{ActionId, ChannelId, DigestId, EventKey, RuleId, TenantId};
use notify_core::ledger::{EntryDraft, EntryKind};
use notify_core::noise::{Remembered, StateKey, StateRow, Window};
use notify_core::severity::Severity;
use notify_store::model::{DeliveryState, NewDigestItem, Page};
use notify_store::{Bookkeeping, Commit, Committed, Effect, Guard, NoiseChanges, Refused, Store, StoreError};
use serde_json::Value;

fn key(n: u8) -> StateKey {
    StateKey::derive([[n].as_slice()])
}

fn remember(n: u8, value: i64) -> StateRow {
    StateRow::of(key(n), &Remembered::Bucket(value))
}

fn changes(remember: Vec<StateRow>, forget: &[u8], next_timer: Option<i64>) -> Bookkeeping {
    let forget = forget.iter().map(|n| key(*n)).collect();
    Bookkeeping::Noise(Box::new(NoiseChanges { remember, forget, next_timer: next_timer.map(at) }))
}

fn noise(id: &TenantId, version: u64, rows: Vec<StateRow>, forget: &[u8], timer: Option<i64>) -> Commit {
    Commit::bookkeeping(id.clone(), vec![changes(rows, forget, timer)]).guarded(Guard::NoiseVersion(version))
}

async fn tenants(fresh: &Fresh) -> (TenantId, TenantId) {
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    for id in [&acme, &beta] {
        fresh.store.commit(create_tenant(id)).await.unwrap();
    }
    (acme, beta)
}

async fn together(store: &Store, commits: Vec<Commit>) -> Vec<Result<Committed, StoreError>> {
    let answers: Vec<_> = commits.into_iter().map(|commit| store.submit(commit)).collect();
    let mut results = Vec::new();
    for answer in answers {
        results.push(answer.await.unwrap());
    }
    results
}

fn changed(result: &Result<Committed, StoreError>) -> Option<u64> {
    match result {
        Ok(_) => None,
        Err(StoreError::Refused(Refused::NoiseChanged { current })) => Some(*current),
        Err(error) => panic!("{error}"),
    }
}

/// (version, key → value of its bucket).
async fn memory(store: &Store, id: &TenantId) -> (u64, Vec<(u8, i64)>) {
    let found = store.noise_memory(id).await.unwrap();
    let name = |wanted: StateKey| (0..=255).find(|n| key(*n) == wanted).unwrap();
    let mut states: Vec<_> = found
        .states
        .iter()
        .map(|(key, value)| match StateRow::read(value).unwrap() {
            Remembered::Bucket(value) => (name(*key), value),
            other => panic!("{other:?}"),
        })
        .collect();
    states.sort_unstable();
    (found.version, states)
}

pub async fn states_and_versions(fresh: Fresh) {
    let (acme, beta) = tenants(&fresh).await;
    let store = &fresh.store;
    assert_eq!(memory(store, &acme).await, (0, vec![]));
    store.commit(noise(&acme, 0, vec![remember(1, 10), remember(2, 20)], &[], None)).await.unwrap();
    assert_eq!(memory(store, &acme).await, (1, vec![(1, 10), (2, 20)]));
    assert_eq!(memory(store, &beta).await, (0, vec![]), "another tenant's");
    let stale = together(store, vec![noise(&acme, 0, vec![remember(1, 99)], &[2], None)]).await;
    assert_eq!(changed(&stale[0]), Some(1));
    // The same key of another tenant is another thing; what is forgotten need not be there.
    store.commit(noise(&beta, 0, vec![remember(1, 7)], &[9], None)).await.unwrap();
    store.commit(noise(&acme, 1, vec![remember(2, 21)], &[1], None)).await.unwrap();
    assert_eq!(memory(store, &acme).await, (2, vec![(2, 21)]));
    assert_eq!(memory(store, &beta).await, (1, vec![(1, 7)]));
    let asked = store.noise_states(&acme, &[key(1), key(2), key(3)]).await.unwrap();
    assert_eq!(asked, [(key(2), r#"{"bucket":21}"#.to_owned())]);
    assert!(store.noise_states(&acme, &[]).await.unwrap().is_empty());
    // Bookkeeping alone has no entry; the guard alone changes no version.
    let guarded = accept(&acme, event("a"), vec![]).guarded(Guard::NoiseVersion(2));
    store.commit(guarded).await.unwrap();
    assert_eq!((memory(store, &acme).await.0, check_ledger(store, &acme).await), (2, 2));
}

/// Commits of one round see each other's version; what is refused leaves nothing and harms nobody.
pub async fn rounds(fresh: Fresh) {
    let (acme, beta) = tenants(&fresh).await;
    let store = &fresh.store;
    for base in [0, 3] {
        let results = together(
            store,
            vec![
                noise(&acme, base, vec![remember(1, 1), remember(2, 1), remember(3, 1)], &[], Some(10)),
                // Planned on a version that is not there yet when the batch before it was refused.
                noise(&acme, base + 7, vec![remember(1, 66), remember(6, 66)], &[2], Some(66)),
                noise(&beta, base, vec![remember(1, 5)], &[], Some(50)),
                noise(&acme, base + 1, vec![remember(1, 2), remember(4, 2)], &[2], Some(20)),
                accept(&acme, event(&format!("e{base}")), vec![]).guarded(Guard::NoiseVersion(base + 2)),
                noise(&beta, base, vec![remember(1, 66)], &[], Some(66)),
                noise(&acme, base + 2, vec![remember(2, 3)], &[4, 3], Some(30)),
                noise(&beta, base + 1, vec![], &[1], None),
                noise(&beta, base + 2, vec![remember(1, 8)], &[], None),
            ],
        )
        .await;
        let refused: Vec<Option<u64>> = results.iter().map(changed).collect();
        let (none, acme_was, beta_was) = (None, Some(base + 1), Some(base + 1));
        assert_eq!(refused, [none, acme_was, none, none, none, beta_was, none, none, none]);
        assert_eq!(memory(store, &acme).await, (base + 3, vec![(1, 2), (2, 3)]));
        assert_eq!(memory(store, &beta).await, (base + 3, vec![(1, 8)]));
        assert_eq!(store.timers_due(at(29)).await.unwrap(), []);
        assert_eq!(store.timers_due(at(30)).await.unwrap(), std::slice::from_ref(&acme));
    }
    // A commit that fails for another reason takes its bookkeeping along, and its neighbours' versions hold.
    let mut twice = accept(&acme, event("e0"), vec![]).guarded(Guard::NoiseVersion(6));
    twice.bookkeeping.push(changes(vec![remember(1, 66)], &[2], Some(66)));
    let mut good = accept(&acme, event("new"), vec![]).guarded(Guard::NoiseVersion(6));
    good.bookkeeping.push(changes(vec![remember(1, 9)], &[], None));
    let results = together(store, vec![twice, good]).await;
    assert!(matches!(results[0], Err(StoreError::Refused(Refused::EventExists { .. }))), "{results:?}");
    assert!(results[1].is_ok(), "{results:?}");
    assert_eq!(memory(store, &acme).await, (7, vec![(1, 9), (2, 3)]));
    assert_eq!(store.timers_due(at(99)).await.unwrap(), [], "no timer is left");
    check_ledger(store, &acme).await;
}

fn window(n: u8, closes: i64) -> StateRow {
    let window = Window {
        id: DigestId::derive([n.to_string().as_str()]),
        rule: RuleId::new("r").unwrap(),
        action: ActionId::new("a").unwrap(),
        channel: ChannelId::new("hook").unwrap(),
        control: notify_core::noise::Control::Digest,
        opened_at: 0,
        closes_at: at(closes).as_microsecond(),
        cap_at: None,
        count: 1,
        severity: Severity::High,
        max: None,
        full: false,
        passes: false,
    };
    StateRow::of(key(n), &Remembered::Window(Box::new(window)))
}

pub async fn timers(fresh: Fresh) {
    let (acme, beta) = tenants(&fresh).await;
    let store = &fresh.store;
    assert!(store.tenants_with_timers().await.unwrap().is_empty());
    let rows = vec![window(1, 300), window(2, 100), window(3, 200), remember(4, 1)];
    store.commit(noise(&acme, 0, rows, &[], Some(100))).await.unwrap();
    store.commit(noise(&beta, 0, vec![window(1, 150)], &[], Some(150))).await.unwrap();
    let closing = async |kind: &str, limit: u32| -> Vec<i64> {
        let found = store.noise_timers(&acme, kind, limit).await.unwrap();
        let due = |value: &String| StateRow::read(value).unwrap().due_at().unwrap();
        found.iter().map(|value| due(value) / 1_000_000 - 1_800_000_000).collect()
    };
    assert_eq!(closing("window", 9).await, [100, 200, 300]);
    assert_eq!(closing("window", 2).await, [100, 200]);
    assert_eq!(closing("held", 9).await, [0; 0]);
    let (mut pages, mut page) = (Vec::new(), Page { limit: 2, after: None });
    loop {
        let found = store.open_digests(&acme, &page).await.unwrap();
        let due = |value: &String| StateRow::read(value).unwrap().due_at().unwrap();
        pages
            .push(found.items.iter().map(|value| due(value) / 1_000_000 - 1_800_000_000).collect::<Vec<_>>());
        match found.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(pages, [vec![100, 200], vec![300]], "each once");
    for bad in ["", "x", "1", "x.00", "1.zz"] {
        let refused = store.open_digests(&acme, &Page { limit: 1, after: Some(bad.to_owned()) }).await;
        assert!(matches!(refused, Err(StoreError::BadPageToken)), "{bad:?}");
    }
    // By its id and only of this tenant, whether it has collected something or not yet.
    let named = |n: u8| DigestId::derive([n.to_string().as_str()]);
    for (id, n) in [(&acme, 2), (&beta, 1)] {
        let alert = NewDigestItem { digest: named(n), ..item("x", 1, "a") };
        let add = Effect::AddToDigest(Box::new(alert));
        store.commit(about(id, vec![add])).await.unwrap();
    }
    for (id, n, expected) in [
        (&acme, 2, Some(100)),
        (&acme, 1, Some(300)),
        (&acme, 9, None),
        (&beta, 1, Some(150)),
        (&beta, 2, None),
    ] {
        let found = store.open_digest(id, &named(n)).await.unwrap();
        let closes = found.map(|value| StateRow::read(&value).unwrap().due_at().unwrap() / 1_000_000);
        assert_eq!(closes.map(|at| at - 1_800_000_000), expected, "{n}");
    }
    assert_eq!(closing("bucket", 9).await, [0; 0], "not a timer");
    for (second, expected) in [(99, vec![]), (100, vec![&acme]), (150, vec![&acme, &beta])] {
        assert_eq!(store.timers_due(at(second)).await.unwrap().iter().collect::<Vec<_>>(), expected);
    }
    assert_eq!(store.tenants_with_timers().await.unwrap(), [acme.clone(), beta.clone()]);
    // Closed, and another one moved: the row's due time goes along.
    store.commit(noise(&acme, 1, vec![window(3, 400)], &[2], Some(300))).await.unwrap();
    assert_eq!(closing("window", 9).await, [300, 400]);
    assert_eq!(store.timers_due(at(200)).await.unwrap(), std::slice::from_ref(&beta));
    // No longer a timer at all.
    store.commit(noise(&acme, 2, vec![remember(1, 5)], &[3], None)).await.unwrap();
    assert_eq!(closing("window", 9).await, [0; 0]);
    assert_eq!(store.tenants_with_timers().await.unwrap(), [beta]);
}

fn hold(id: &TenantId, name: &str, until: i64) -> Commit {
    let effects =
        vec![Effect::AcceptPlanned(Box::new(event(name))), Effect::Hold(Box::new(held(name, until)))];
    Commit::new(id.clone(), effects, vec![draft(EntryKind::Event, event(name).key.as_str())])
}

fn about(id: &TenantId, effects: Vec<Effect>) -> Commit {
    Commit::new(id.clone(), effects, vec![draft(EntryKind::Release, "x")])
}

fn longer(id: &TenantId, name: &str, until: i64) -> Commit {
    about(id, vec![Effect::HoldLonger { id: held_id(name), until: at(until) }])
}

fn end(id: &TenantId, name: &str) -> Commit {
    about(id, vec![Effect::EndHold { id: held_id(name) }])
}

pub async fn held_alerts(fresh: Fresh) {
    let (acme, beta) = tenants(&fresh).await;
    let store = &fresh.store;
    for (name, until) in [("b", 200), ("a", 100), ("c", 100), ("d", 300)] {
        store.commit(hold(&acme, name, until)).await.unwrap();
    }
    assert_eq!(store.held_alert(&acme, &held_id("a")).await.unwrap(), Some(held("a", 100)));
    assert_eq!(store.held_alert(&beta, &held_id("a")).await.unwrap(), None);
    assert_eq!(store.held_of_event(&acme, &event("b").key).await.unwrap(), [held("b", 200)]);
    assert!(store.held_of_event(&beta, &event("b").key).await.unwrap().is_empty());

    let mut expected = vec![held("a", 100), held("c", 100)];
    expected.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
    expected.extend([held("b", 200), held("d", 300)]);
    let mut listed = Vec::new();
    let mut page = Page { limit: 1, after: None };
    loop {
        let found = store.held_alerts(&acme, &page).await.unwrap();
        listed.extend(found.items);
        match found.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(listed, expected, "by the time of their release, each once");
    for bad in ["", "x", "1", "x.hld_1"] {
        let page = Page { limit: 1, after: Some(bad.to_owned()) };
        let refused = store.held_alerts(&acme, &page).await;
        assert!(matches!(refused, Err(StoreError::BadPageToken)), "{bad:?}");
    }

    let results = together(
        store,
        vec![
            longer(&acme, "a", 500),
            end(&acme, "b"),
            // Twice, for another tenant, and where nothing waits.
            end(&acme, "b"),
            longer(&acme, "b", 600),
            end(&beta, "a"),
            longer(&acme, "nobody", 600),
            hold(&acme, "c", 900),
            about(&acme, vec![Effect::Hold(Box::new(held("d", 900)))]),
            longer(&acme, "a", 550),
            // Comes, waits longer and goes in one round.
            hold(&acme, "e", 100),
            longer(&acme, "e", 700),
            hold(&acme, "f", 100),
            end(&acme, "f"),
        ],
    )
    .await;
    let refused = |result: &Result<Committed, StoreError>| match result {
        Ok(_) => "written".to_owned(),
        Err(StoreError::Refused(Refused::Held(_, there))) => format!("held {there}"),
        Err(StoreError::Refused(Refused::EventExists { .. })) => "event exists".to_owned(),
        Err(error) => panic!("{error}"),
    };
    let (w, gone) = ("written", "held false");
    assert_eq!(
        results.iter().map(refused).collect::<Vec<_>>(),
        [w, w, gone, gone, gone, gone, "event exists", "held true", w, w, w, w, w]
    );
    for (name, until) in [("a", Some(550)), ("b", None), ("c", Some(100)), ("e", Some(700)), ("f", None)] {
        let expected = until.map(|until| held(name, until));
        assert_eq!(store.held_alert(&acme, &held_id(name)).await.unwrap(), expected, "{name}");
    }
    store.commit(end(&acme, "e")).await.unwrap();
    let gone = store.commit(end(&acme, "e")).await;
    assert!(matches!(gone, Err(StoreError::Refused(Refused::Held(_, false)))), "{gone:?}");
    check_ledger(store, &acme).await;
}

fn collect(id: &TenantId, name: &str, items: Vec<NewDigestItem>, entry: EntryDraft) -> Commit {
    let mut effects = vec![Effect::AcceptPlanned(Box::new(event(name)))];
    effects.extend(items.into_iter().map(|item| Effect::AddToDigest(Box::new(item))));
    Commit::new(id.clone(), effects, vec![entry])
}

/// An event's entry that does not fit into one: its list of decisions is split.
fn long_entry(name: &str) -> EntryDraft {
    let decisions = (0..40).map(|n| format!("{n}{}", "x".repeat(3_000)).into()).collect();
    let mut entry = draft(EntryKind::Event, event(name).key.as_str());
    entry.predicate.insert("decisions".into(), Value::Array(decisions));
    entry
}

pub async fn digest_items(fresh: Fresh) {
    let (acme, beta) = tenants(&fresh).await;
    let store = &fresh.store;
    let plain = |name: &str| draft(EntryKind::Event, event(name).key.as_str());
    // Entry 0 is the genesis; `b` takes several parts; `c` was accepted before and is planned now.
    store.commit(collect(&acme, "a", vec![item("x", 1, "a"), item("y", 1, "a")], plain("a"))).await.unwrap();
    let parts = store.commit(collect(&acme, "b", vec![item("x", 2, "b")], long_entry("b"))).await.unwrap();
    assert!(parts.seqs.len() > 1, "{:?}", parts.seqs);
    let waits = Bookkeeping::AcceptPending(Box::new(pending("c")));
    store.commit(Commit::bookkeeping(acme.clone(), vec![waits])).await.unwrap();
    let planned = vec![
        Effect::MarkPlanned { key: event("c").key, salt: [1; 32] },
        Effect::AddToDigest(Box::new(item("x", 3, "c"))),
    ];
    let planned = Commit::new(acme.clone(), planned, vec![plain("c")]);
    let other = collect(&beta, "a", vec![item("x", 1, "a")], plain("a"));
    // One that is refused, in the same round.
    let twice = collect(&acme, "a", vec![item("x", 9, "a")], plain("a"));
    let results = together(store, vec![twice, planned, other]).await;
    assert!(results[0].is_err() && results[1].is_ok() && results[2].is_ok(), "{results:?}");
    // Other entries of the same events do not count.
    let release = draft(EntryKind::Release, event("a").key.as_str());
    store.commit(Commit::new(acme.clone(), vec![Effect::RecordOnly], vec![release])).await.unwrap();

    let last = *parts.seqs.last().unwrap();
    let listed = async |id: &TenantId, of: &str| {
        let found = store.digest_items(id, &digest(of)).await.unwrap();
        found.into_iter().map(|found| (found.item, found.entry)).collect::<Vec<_>>()
    };
    let expected = vec![
        (item("x", 1, "a"), Some(1)),
        // Of an entry in parts the first.
        (item("x", 2, "b"), Some(parts.seqs[0])),
        (item("x", 3, "c"), Some(last + 1)),
    ];
    assert_eq!(listed(&acme, "x").await, expected);
    assert_eq!(listed(&acme, "y").await, [(item("y", 1, "a"), Some(1))]);
    let first = store.first_digest_items(&acme, &digest("x"), 2).await.unwrap();
    assert_eq!(first.iter().map(|found| found.item.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(listed(&beta, "x").await, [(item("x", 1, "a"), Some(1))]);

    let over = Effect::EndDigest { digest: digest("x") };
    store.commit(Commit::new(acme.clone(), vec![over], vec![draft(EntryKind::Digest, "x")])).await.unwrap();
    assert_eq!(listed(&acme, "x").await, []);
    assert_eq!(listed(&acme, "y").await.len(), 1, "another one's");
    assert_eq!(listed(&beta, "x").await.len(), 1, "another tenant's");
    check_ledger(store, &acme).await;
}

pub async fn delivery_that_waits(fresh: Fresh) {
    let (acme, _) = tenants(&fresh).await;
    let store = &fresh.store;
    store.commit(accept(&acme, event("one"), vec![delivery("one")])).await.unwrap();
    store.commit(record(&acme, attempt("one", 1, retry(600)))).await.unwrap();
    let claim = async |second: i64| store.claim_due(at(second), MINUTE, 9).await.unwrap();
    let guard = |number: u32, token: &notify_store::model::ClaimToken| Guard::Claim {
        delivery: delivery_id("one"),
        attempt: number,
        token: token.clone(),
    };
    let wait = |until: i64| Effect::HoldDelivery { delivery: delivery_id("one"), until: at(until) };
    let first = claim(600).await.remove(0);
    let hold = |until: i64| about(&acme, vec![wait(until)]).guarded(guard(2, &first.token));
    store.commit(hold(2_000)).await.unwrap();
    // The claim is gone: neither again nor a result of it.
    let again = store.commit(hold(3_000)).await;
    assert!(matches!(again, Err(StoreError::Refused(Refused::StaleClaim))), "{again:?}");
    let late = draft(EntryKind::Attempt, delivery_id("one").as_str());
    let result = record(&acme, attempt("one", 2, DELIVERED)).guarded(guard(2, &first.token)).or_late(late);
    assert!(store.commit(result).await.unwrap().late);

    let found = store.delivery(&acme, &delivery_id("one")).await.unwrap().unwrap();
    assert_eq!(
        (found.state, found.next_attempt, found.next_due),
        (DeliveryState::Scheduled, 2, Some(at(2_000))),
        "the same attempt, later"
    );
    // It does not come back when its claim would have run out, but at its time, and not as one in doubt.
    assert_eq!(store.next_due().await.unwrap(), Some(at(2_000)));
    assert!(claim(1_999).await.is_empty());
    let second = claim(2_000).await.remove(0);
    assert_eq!((second.delivery.next_attempt, second.in_doubt), (2, false));
    assert_ne!(second.token, first.token);

    // A result and a wait in one round are as one after the other: the third attempt waits.
    let mine = notify_store::model::ClaimToken("mine".to_owned());
    let follows =
        notify_store::model::Follows::Retry { due_at: at(2_100), claim: Some((mine.clone(), at(2_200))) };
    let results = together(
        store,
        vec![
            record(&acme, attempt("one", 2, follows)).guarded(guard(2, &second.token)),
            about(&acme, vec![wait(5_000)]).guarded(guard(3, &mine)),
        ],
    )
    .await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let found = store.delivery(&acme, &delivery_id("one")).await.unwrap().unwrap();
    assert_eq!((found.next_attempt, found.next_due), (3, Some(at(5_000))));
    assert_eq!(store.attempts(&acme, &delivery_id("one")).await.unwrap().len(), 2);
    let third = claim(5_000).await.remove(0);
    assert_eq!((third.delivery.next_attempt, third.in_doubt), (3, false));
    store.commit(record(&acme, attempt("one", 3, DEAD)).guarded(guard(3, &third.token))).await.unwrap();
    let over = store.commit(about(&acme, vec![wait(9_000)])).await;
    assert!(matches!(over, Err(StoreError::Refused(Refused::WrongState(_)))), "{over:?}");
    let key: EventKey = event("one").key;
    assert!(store.held_of_event(&acme, &key).await.unwrap().is_empty(), "a delivery is no held alert");
    check_ledger(store, &acme).await;
}
