//! Events with what was decided about them.

use crate::support::*;
use notify_core::ledger::EntryKind;
use notify_store::{Bookkeeping, Commit, Effect};

pub async fn newest_first(fresh: Fresh) {
    let store = fresh.store;
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    for id in [&acme, &beta] {
        store.commit(create_tenant(id)).await.unwrap();
    }
    let names = ["one", "two", "three"];
    for name in names {
        store.commit(accept(&acme, event(name), vec![])).await.unwrap();
        // Between them, what is about something else.
        let other = vec![draft(EntryKind::Access, "who")];
        store.commit(Commit::new(acme.clone(), vec![Effect::RecordOnly], other)).await.unwrap();
    }
    let waiting = Bookkeeping::AcceptPending(Box::new(pending("four")));
    store.commit(Commit::bookkeeping(acme.clone(), vec![waiting])).await.unwrap();
    store.commit(accept(&beta, event("one"), vec![])).await.unwrap();

    let size = store.ledger_head(&acme).await.unwrap().unwrap().size;
    let all = store.decided_events(&acme, 0, size).await.unwrap();
    let expected: Vec<_> = names.into_iter().rev().map(|name| Some(event(name).key)).collect();
    assert_eq!(all.iter().map(|found| found.key.clone()).collect::<Vec<_>>(), expected);
    assert!(all.windows(2).all(|pair| pair[0].seq > pair[1].seq));
    for found in &all {
        let entries = store.ledger_entries(&acme, found.seq, found.seq + 1, 1).await.unwrap();
        assert_eq!((&found.payload, found.at), (&entries[0].payload, at(10)));
    }
    let bodies: Vec<_> = names.into_iter().rev().map(|name| Some(event(name).body)).collect();
    assert_eq!(all.iter().map(|found| found.body.clone()).collect::<Vec<_>>(), bodies);
    let first = all.last().unwrap().seq;
    assert_eq!(store.decided_events(&acme, first, first + 1).await.unwrap(), all[2..]);
    assert_eq!(store.decided_events(&acme, first + 1, first + 2).await.unwrap(), []);
    assert_eq!(store.decided_events(&acme, size, u64::MAX >> 1).await.unwrap(), []);
    assert_eq!(store.decided_events(&beta, 0, 9).await.unwrap().len(), 1);
}
