//! Events and remembered answers.

use crate::support::*;
use notify_core::ids::EventKey;
use notify_core::ledger::EntryKind;
use notify_store::model::{EventState, Page, RememberedAnswer};
use notify_store::{Bookkeeping, Commit, Effect, Refused, StoreError};

pub async fn accepted_and_planned(fresh: Fresh) {
    let store = fresh.store;
    let acme = tenant("acme");
    store.commit(create_tenant(&acme)).await.unwrap();
    let size = store.ledger_head(&acme).await.unwrap().unwrap().size;
    for name in ["one", "two"] {
        let accepted = Bookkeeping::AcceptPending(Box::new(pending(name)));
        let done = store.commit(Commit::bookkeeping(acme.clone(), vec![accepted])).await.unwrap();
        assert_eq!(done.seqs, Vec::<u64>::new());
    }
    store.commit(accept(&acme, event("three"), vec![])).await.unwrap();
    let waiting = store.pending_events(&acme, 10).await.unwrap();
    let names: Vec<_> = waiting.iter().map(|e| (e.event.id.as_str(), e.accepted_seq)).collect();
    assert_eq!(names, [("one", 1), ("two", 2)]);
    assert_eq!(store.pending_events(&acme, 1).await.unwrap().len(), 1);
    assert_eq!(store.backlog(at(0)).await.unwrap().pending_events, 2);

    let key = pending("one").key;
    let mark = |key: &EventKey| {
        let effect = Effect::MarkPlanned { key: key.clone(), salt: [11; 32] };
        Commit::new(acme.clone(), vec![effect], vec![draft(EntryKind::Event, key.as_str())])
    };
    store.commit(mark(&key)).await.unwrap();
    for key in [&key, &event("three").key, &event("unknown").key] {
        let again = store.commit(mark(key)).await;
        assert!(matches!(again, Err(StoreError::Refused(Refused::NotPending { .. }))), "{again:?}");
    }
    let planned = store.event(&acme, &key).await.unwrap().unwrap();
    assert_eq!((planned.state, planned.event.salt), (EventState::Planned, Some([11; 32])));
    assert_eq!(planned.event.body, pending("one").body);
    assert_eq!(planned.event.subject.as_deref(), Some("image"));
    assert_eq!(store.backlog(at(0)).await.unwrap().pending_events, 1);

    for commit in [
        accept(&acme, event("one"), vec![]),
        accept(&acme, event("two"), vec![]),
        Commit::bookkeeping(acme.clone(), vec![Bookkeeping::AcceptPending(Box::new(pending("three")))]),
    ] {
        let refused = store.commit(commit).await;
        assert!(matches!(refused, Err(StoreError::Refused(Refused::EventExists { .. }))), "{refused:?}");
    }
    let asked: Vec<_> = ["one", "nothing", "three"].map(|name| event(name).key).to_vec();
    let mut known = store.known_events(&acme, &asked).await.unwrap();
    known.sort_by_key(|k| asked.iter().position(|key| *key == k.key));
    assert_eq!(known.iter().map(|k| &k.key).collect::<Vec<_>>(), [&asked[0], &asked[2]]);
    assert_eq!((known[0].body_hash, known[0].accepted_at), ([3; 32], at(10)));
    assert_eq!(store.known_events(&acme, &[]).await.unwrap(), []);
    // The same event of another tenant is another event.
    let beta = tenant("beta");
    store.commit(create_tenant(&beta)).await.unwrap();
    assert_eq!(store.known_events(&beta, &asked).await.unwrap(), []);
    store.commit(accept(&beta, event("one"), vec![])).await.unwrap();
    assert_eq!(check_ledger(&store, &acme).await, size + 2);
}

pub async fn pages(fresh: Fresh) {
    let store = fresh.store;
    let acme = tenant("acme");
    store.commit(create_tenant(&acme)).await.unwrap();
    for n in 0..5 {
        store.commit(accept(&acme, event(&n.to_string()), vec![])).await.unwrap();
    }
    let mut page = Page { limit: 2, after: None };
    let mut seen = Vec::new();
    loop {
        let found = store.events(&acme, &page).await.unwrap();
        seen.push(found.items.iter().map(|e| e.event.id.clone()).collect::<Vec<_>>().join(""));
        let Some(next) = found.next else { break };
        page.after = Some(next);
    }
    assert_eq!(seen, ["43", "21", "0"]);
    page.after = Some("x".into());
    assert!(matches!(store.events(&acme, &page).await, Err(StoreError::BadPageToken)));
}

pub async fn idempotency(fresh: Fresh) {
    let store = fresh.store;
    let acme = tenant("acme");
    store.commit(create_tenant(&acme)).await.unwrap();
    let remember = |key: &str| Bookkeeping::RememberIdempotency {
        key: key.into(),
        request_digest: "d".into(),
        status: 201,
        answer: r#"{"a":1}"#.into(),
        at: at(5),
    };
    assert_eq!(store.remembered_answer(&acme, "k").await.unwrap(), None);
    let mut commit = accept(&acme, event("one"), vec![]);
    commit.bookkeeping.push(remember("k"));
    store.commit(commit).await.unwrap();
    let answer = RememberedAnswer { request_digest: "d".into(), status: 201, answer: r#"{"a":1}"#.into() };
    assert_eq!(store.remembered_answer(&acme, "k").await.unwrap(), Some(answer));
    let mut commit = accept(&acme, event("two"), vec![]);
    commit.bookkeeping.push(remember("k"));
    let taken = store.commit(commit).await;
    assert!(matches!(taken, Err(StoreError::Refused(Refused::IdempotencyTaken))));
    assert!(store.event(&acme, &event("two").key).await.unwrap().is_none());
}
