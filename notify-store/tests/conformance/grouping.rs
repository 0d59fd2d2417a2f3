//! Commits that share a transaction must not notice it.

use crate::support::*;
use notify_core::document::Kind;
use notify_core::ids::TenantId;
use notify_core::ledger::EntryKind;
use notify_store::model::NewDelivery;
use notify_store::{Bookkeeping, Commit, Committed, Effect, Guard, Refused, Store, StoreError};
use serde_json::Value;

/// Hands all over before the first answer is awaited, so that they wait together.
async fn together(store: &Store, commits: Vec<Commit>) -> Vec<Result<Committed, StoreError>> {
    let answers: Vec<_> = commits.into_iter().map(|commit| store.submit(commit)).collect();
    let mut results = Vec::new();
    for answer in answers {
        results.push(answer.await.unwrap());
    }
    results
}

fn short(results: &[Result<Committed, StoreError>]) -> Vec<String> {
    let one = |result: &Result<Committed, StoreError>| match result {
        Ok(done) if done.late => format!("late {:?}", done.seqs),
        Ok(done) => format!("{:?} {:?}", done.seqs, done.versions),
        Err(error) => error.to_string(),
    };
    results.iter().map(one).collect()
}

pub async fn as_if_one_after_the_other(fresh: Fresh) {
    let store = fresh.store;
    let acme = tenant("acme");
    let mine = |name: &str| NewDelivery { claim: Some((token("mine"), at(90))), ..delivery(name) };
    let claim = |attempt| Guard::Claim { delivery: delivery_id("a"), attempt, token: token("mine") };
    let late = || draft(EntryKind::Attempt, delivery_id("a").as_str());
    let mark = |name: &str| {
        let effect = Effect::MarkPlanned { key: event(name).key, salt: [1; 32] };
        Commit::new(acme.clone(), vec![effect], vec![draft(EntryKind::Event, "x")])
    };
    let commits = || {
        vec![
            put(&acme, Kind::Rule, "r", "too early"),
            create_tenant(&acme),
            create_tenant(&acme),
            accept(&acme, event("a"), vec![mine("a")]),
            accept(&acme, event("a"), vec![mine("b")]),
            accept(&acme, event("b"), vec![mine("a")]),
            accept(&acme, event("b"), vec![mine("b")]),
            put(&acme, Kind::Rule, "r", "1"),
            put(&acme, Kind::Rule, "r", "2").guarded(Guard::ConfigVersion(1)),
            put(&acme, Kind::Rule, "r", "3").guarded(Guard::ConfigVersion(1)),
            delete(&acme, Kind::Rule, "r"),
            delete(&acme, Kind::Rule, "r"),
            put(&acme, Kind::Rule, "r", "3"),
            mark("p"),
            Commit::bookkeeping(acme.clone(), vec![Bookkeeping::AcceptPending(Box::new(pending("p")))]),
            mark("p"),
            mark("p"),
            record(&acme, attempt("a", 1, retry(50))).guarded(claim(1)).or_late(late()),
            record(&acme, attempt("a", 2, DELIVERED)).guarded(claim(2)).or_late(late()),
            record(&acme, attempt("a", 2, DELIVERED)),
            record(&acme, attempt("a", 2, DELIVERED)),
        ]
    };
    let expected = [
        "the tenant does not exist",
        "[0] []",
        "the tenant exists already",
        "[1] []",
        &format!("event {} exists", event("a").key),
        &format!("delivery {} exists", delivery_id("a")),
        "[2] []",
        "[3] [1]",
        "[4] [2]",
        "the configuration is at version 2",
        "[5] []",
        "the document is at version None",
        "[6] [3]",
        &format!("event {} is not pending", event("p").key),
        "[] []",
        "[7] []",
        &format!("event {} is not pending", event("p").key),
        "[8] []",
        "late [9]",
        "[10] []",
        "the delivery is Some(Delivered)",
    ];
    assert_eq!(short(&together(&store, commits()).await), expected);
    check_ledger(&store, &acme).await;
    assert_eq!(store.attempts(&acme, &delivery_id("a")).await.unwrap().len(), 2);
    assert_eq!(store.configuration(&acme).await.unwrap().documents[0].body, "3");
    assert_eq!(store.backlog(at(99)).await.unwrap().scheduled_deliveries, 1);
    // Alone, each again meets the same rows: the events exist, the documents have moved on.
    for (commit, ok) in commits().into_iter().zip([true, false, false, false, false, false, false, true]) {
        assert_eq!(store.commit(commit).await.is_ok(), ok);
    }
}

pub async fn refused_leaves_nothing(fresh: Fresh) {
    let store = fresh.store;
    let acme = tenant("acme");
    store.commit(create_tenant(&acme)).await.unwrap();
    store.commit(accept(&acme, event("old"), vec![delivery("old")])).await.unwrap();
    // Everything possible happens before the last effect is refused.
    let effects = || {
        vec![
            Effect::PutDocument {
                kind: Kind::Rule,
                id: "r".into(),
                digest: "d".into(),
                body: "b".into(),
                at: at(1),
            },
            Effect::AcceptPlanned(Box::new(event("new"))),
            Effect::CreateDelivery(Box::new(delivery("new"))),
            Effect::RecordAttempt(Box::new(attempt("old", 1, DEAD))),
            Effect::CreateDelivery(Box::new(delivery("old"))),
        ]
    };
    let bad = || {
        let mut commit = Commit::new(
            acme.clone(),
            effects(),
            vec![draft(EntryKind::Event, "x"), draft(EntryKind::Event, "y")],
        );
        commit.bookkeeping.push(Bookkeeping::AcceptPending(Box::new(pending("other"))));
        commit
    };
    let results = together(
        &store,
        vec![
            bad(),
            put(&acme, Kind::Rule, "r", "first"),
            bad(),
            accept(&acme, event("new"), vec![delivery("new")]),
            record(&acme, attempt("old", 1, retry(50))),
        ],
    )
    .await;
    assert_eq!(
        short(&results),
        [
            &*format!("delivery {} exists", delivery_id("old")),
            "[2] [1]",
            &*format!("delivery {} exists", delivery_id("old")),
            "[3] []",
            "[4] []",
        ]
    );
    let backlog = store.backlog(at(99)).await.unwrap();
    assert_eq!((backlog.pending_events, backlog.dead_deliveries, backlog.scheduled_deliveries), (0, 0, 2));
    assert_eq!(store.config_version(&acme).await.unwrap(), 1);
    let seqs: Vec<_> =
        store.events(&acme, &notify_store::model::Page { limit: 9, after: None }).await.unwrap().items;
    assert_eq!(seqs.iter().map(|e| e.accepted_seq).collect::<Vec<_>>(), [2, 1], "numbers have no holes");
    check_ledger(&store, &acme).await;
}

pub async fn poison_harms_nobody(fresh: Fresh) {
    let store = fresh.store;
    let acme = tenant("acme");
    store.commit(create_tenant_as(&acme, "one-log")).await.unwrap();
    // Two tenants with one log: nothing but the database's own constraint sees it.
    let results = together(
        &store,
        vec![
            accept(&acme, event("a"), vec![delivery("a")]),
            create_tenant_as(&tenant("evil"), "one-log"),
            accept(&acme, event("b"), vec![delivery("b")]),
        ],
    )
    .await;
    assert!(matches!(results[1], Err(StoreError::Database(_))), "{:?}", results[1]);
    assert!(results[0].is_ok() && results[2].is_ok(), "{results:?}");
    assert_eq!(store.tenant(&tenant("evil")).await.unwrap(), None);
    assert_eq!(check_ledger(&store, &acme).await, 3);
    store.commit(accept(&acme, event("c"), vec![])).await.unwrap();
}

pub async fn many_tenants_at_once(fresh: Fresh) {
    let store = fresh.store;
    let ids: Vec<TenantId> = (0..9).map(|n| tenant(&format!("t{}", 8 - n))).collect();
    let mut commits: Vec<Commit> = ids.iter().map(create_tenant).collect();
    for round in 0..4 {
        for id in &ids {
            // The same names in every tenant.
            let name = format!("e{round}");
            commits.push(accept(id, event(&name), vec![delivery(&name)]));
        }
    }
    for result in together(&store, commits).await {
        result.unwrap();
    }
    for id in &ids {
        assert_eq!(check_ledger(&store, id).await, 5);
        assert_eq!(store.delivery(id, &delivery_id("e2")).await.unwrap().unwrap().tenant, *id);
    }
    let claimed = store.claim_due(at(60), MINUTE, 100).await.unwrap();
    assert_eq!(claimed.len(), 36);
    let tokens = &claimed[0].token;
    let results = claimed.iter().map(|claim| {
        let name = claim.delivery.delivery.cause.trim_start_matches("event:").to_owned();
        let guard =
            Guard::Claim { delivery: claim.delivery.delivery.id.clone(), attempt: 1, token: tokens.clone() };
        record(&claim.delivery.tenant, attempt(&name, 1, DELIVERED)).guarded(guard)
    });
    for result in together(&store, results.collect()).await {
        assert!(!result.unwrap().late);
    }
    assert_eq!(store.backlog(at(99)).await.unwrap().scheduled_deliveries, 0);
}

/// More rows than fit into one statement, more commits than into one transaction.
pub async fn large_commits(fresh: Fresh) {
    let store = fresh.store;
    let acme = tenant("acme");
    store.commit(create_tenant(&acme)).await.unwrap();
    let deliveries = (0..150).map(|n| NewDelivery { event: None, ..delivery(&format!("d{n}")) }).collect();
    store.commit(accept(&acme, event("wide"), deliveries)).await.unwrap();
    assert_eq!(store.backlog(at(99)).await.unwrap().scheduled_deliveries, 150);
    let commits = (0..700).map(|n| accept(&acme, event(&format!("n{n}")), vec![])).collect();
    let results = together(&store, commits).await;
    let seqs: Vec<u64> = results.into_iter().flat_map(|result| result.unwrap().seqs).collect();
    assert_eq!(seqs, (2..702).collect::<Vec<u64>>(), "in order of submission");
    check_ledger(&store, &acme).await;
    let mut big = draft(EntryKind::Access, "big");
    big.predicate.insert("text".into(), Value::String("x".repeat(50_000)));
    let refused = store.commit(Commit::new(acme.clone(), vec![Effect::RecordOnly], vec![big])).await;
    assert!(matches!(refused, Err(StoreError::Refused(Refused::EntryTooLarge { bytes })) if bytes > 50_000));
}

pub async fn closing(fresh: Fresh) {
    let store = fresh.store.clone();
    let acme = tenant("acme");
    let answers: Vec<_> = [create_tenant(&acme), accept(&acme, event("a"), vec![])]
        .into_iter()
        .map(|commit| store.submit(commit))
        .collect();
    store.close().await;
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
    let closed = store.commit(accept(&acme, event("b"), vec![])).await;
    assert!(matches!(closed, Err(StoreError::Closed)));
    let again = Store::open(fresh.options.clone()).await.unwrap();
    assert!(again.event(&acme, &event("a").key).await.unwrap().is_some());
    again.commit(accept(&acme, event("b"), vec![])).await.unwrap();
    assert_eq!(check_ledger(&again, &acme).await, 3);
}
