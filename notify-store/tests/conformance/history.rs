//! What explanations and reports look for.

use crate::support::*;
use notify_core::ledger::EntryKind;
use notify_store::model::NewEvent;
use notify_store::{Commit, Effect};

pub async fn by_the_producers_id(fresh: Fresh) {
    let store = fresh.store;
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    for id in [&acme, &beta] {
        store.commit(create_tenant(id)).await.unwrap();
        assert!(store.events_with_id(id, "one", 10, 10).await.unwrap().is_empty());
    }
    for (n, source) in ["/a", "/b", "/c"].into_iter().enumerate() {
        let same = NewEvent { id: "one".into(), source: source.into(), ..event(&format!("one{source}")) };
        store.commit(accept(&acme, same, vec![])).await.unwrap();
        store.commit(accept(&acme, event(&format!("other{n}")), vec![])).await.unwrap();
    }
    let check = async |newest: u64, limit: u32, expected: &[&str]| {
        let found = store.events_with_id(&acme, "one", newest, limit).await.unwrap();
        let sources: Vec<_> = found.iter().map(|event| event.event.source.as_str()).collect();
        assert_eq!(sources, expected, "{newest} {limit}");
    };
    check(100, 10, &["/c", "/b", "/a"]).await;
    check(100, 2, &["/c", "/b"]).await;
    check(4, 10, &["/c", "/b"]).await;
    check(1, 10, &[]).await;
    check(u64::MAX, 10, &["/c", "/b", "/a"]).await;
    assert!(store.events_with_id(&beta, "one", 100, 10).await.unwrap().is_empty());
    assert!(store.events_with_id(&tenant("nobody"), "one", 100, 10).await.unwrap().is_empty());
}

/// The first entry of a time or later, for every entry there is.
pub async fn by_time(fresh: Fresh) {
    let store = fresh.store;
    let acme = tenant("acme");
    store.commit(create_tenant(&acme)).await.unwrap();
    for n in 0..9 {
        let entries = vec![draft(EntryKind::Access, "who"); 1 + n % 3];
        store.commit(Commit::new(acme.clone(), vec![Effect::RecordOnly], entries)).await.unwrap();
    }
    let entries = store.ledger_entries(&acme, 0, 100, 100).await.unwrap();
    for entry in &entries {
        let first = entries.iter().find(|other| other.at >= entry.at).unwrap();
        assert_eq!(store.ledger_seq_at(&acme, entry.at).await.unwrap(), first.seq);
    }
    let last = entries.last().unwrap();
    let after = last.at.checked_add(MINUTE).unwrap();
    assert_eq!(store.ledger_seq_at(&acme, after).await.unwrap(), last.seq + 1);
    let before = entries[0].at.checked_sub(MINUTE).unwrap();
    assert_eq!(store.ledger_seq_at(&acme, before).await.unwrap(), 0);
    assert_eq!(store.ledger_seq_at(&tenant("nobody"), before).await.unwrap(), 0);
}

pub async fn decisions(fresh: Fresh) {
    let acme = tenant("acme");
    fresh.store.commit(create_tenant(&acme)).await.unwrap();
    let kinds =
        [EntryKind::Event, EntryKind::Access, EntryKind::Release, EntryKind::Digest, EntryKind::Config];
    let entries: Vec<_> = kinds.into_iter().map(|kind| draft(kind, "x")).collect();
    fresh.store.commit(Commit::new(acme.clone(), vec![Effect::RecordOnly], entries)).await.unwrap();
    let kinds_of = async |from: u64, to: u64| -> Vec<Option<String>> {
        let found = fresh.store.ledger_decisions(&acme, from, to).await.unwrap();
        let kind = |text: String| {
            let statement: serde_json::Value = serde_json::from_str(&text).unwrap();
            statement["predicate"]["kind"].as_str().unwrap().to_owned()
        };
        found.into_iter().map(|statement| statement.map(kind)).collect()
    };
    let named = |kinds: &[&str]| kinds.iter().map(|kind| Some((*kind).to_owned())).collect::<Vec<_>>();
    assert_eq!(kinds_of(0, 100).await, named(&["event", "release", "digest"]));
    assert_eq!(kinds_of(2, 4).await, named(&["release"]));
    assert_eq!(kinds_of(4, 4).await, named(&[]));
    fresh
        .execute(&acme, "UPDATE ledger_entries SET payload = NULL WHERE tenant = 'acme' AND kind = 'release'")
        .await;
    assert_eq!(kinds_of(0, 100).await, [Some("event".to_owned()), None, Some("digest".to_owned())]);
    assert!(fresh.store.ledger_decisions(&tenant("beta"), 0, 100).await.unwrap().is_empty());
}
