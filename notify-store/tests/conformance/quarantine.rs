//! Messages put aside.

use crate::support::*;
use notify_core::ids::TenantId;
use notify_core::ledger::draft::EntryKind;
use notify_store::model::Page;
use notify_store::{Commit, Effect, Refused, StoreError};

fn end(tenant: &TenantId, id: &str) -> Commit {
    let effects = vec![Effect::EndQuarantine { id: id.into() }];
    Commit::new(tenant.clone(), effects, vec![draft(EntryKind::Access, id)])
}

pub async fn in_and_out(fresh: Fresh) {
    let store = fresh.store;
    let acme = tenant("acme");
    store.commit(create_tenant(&acme)).await.unwrap();
    let first = message("qtn_1", 1);
    assert_eq!(store.quarantined(&acme, "qtn_1").await.unwrap(), None);
    store.commit(put_aside(&acme, &first)).await.unwrap();
    assert_eq!(store.quarantined(&acme, "qtn_1").await.unwrap(), Some(first.clone()));

    let refused = |done: Result<_, StoreError>| match done {
        Err(StoreError::Refused(Refused::Quarantined { there })) => Some(there),
        _ => None,
    };
    assert_eq!(refused(store.commit(put_aside(&acme, &first)).await), Some(true));
    assert_eq!(refused(store.commit(end(&acme, "qtn_2")).await), Some(false));
    store.commit(end(&acme, "qtn_1")).await.unwrap();
    assert_eq!(refused(store.commit(end(&acme, "qtn_1")).await), Some(false));
    assert_eq!(store.quarantine_size(&acme).await.unwrap(), 0);

    // In one transaction, as if one after the other: only one of each pair stands, and what stands last is there.
    let second = message("qtn_2", 2);
    let submitted = [
        store.submit(put_aside(&acme, &first)),
        store.submit(end(&acme, "qtn_1")),
        store.submit(end(&acme, "qtn_1")),
        store.submit(put_aside(&acme, &second)),
        store.submit(put_aside(&acme, &second)),
        store.submit(end(&acme, "qtn_2")),
        store.submit(put_aside(&acme, &message("qtn_2", 4))),
    ];
    let mut done = Vec::new();
    for answer in submitted {
        done.push(answer.await.unwrap().is_ok());
    }
    assert_eq!(done, [true, true, false, true, false, true, true]);
    assert_eq!(store.quarantined(&acme, "qtn_1").await.unwrap(), None);
    assert_eq!(store.quarantined(&acme, "qtn_2").await.unwrap(), Some(message("qtn_2", 4)));
    // The same over a row that the round found.
    let submitted = [store.submit(end(&acme, "qtn_2")), store.submit(put_aside(&acme, &message("qtn_2", 6)))];
    for answer in submitted {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(store.quarantined(&acme, "qtn_2").await.unwrap(), Some(message("qtn_2", 6)));
    // genesis, 2 + 5 + 2 that stood
    assert_eq!(check_ledger(&store, &acme).await, 10);
}

pub async fn pages_and_tenants(fresh: Fresh) {
    let store = fresh.store;
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    store.commit(create_tenant(&acme)).await.unwrap();
    store.commit(create_tenant(&beta)).await.unwrap();
    for n in 1..=5 {
        store.commit(put_aside(&acme, &message(&format!("qtn_{n}"), n))).await.unwrap();
    }
    let mut page = Page { limit: 2, after: None };
    let mut seen = Vec::new();
    loop {
        let found = store.quarantine(&acme, &page).await.unwrap();
        seen.push(found.items.iter().map(|m| m.id.replace("qtn_", "")).collect::<Vec<_>>().join(""));
        let Some(next) = found.next else { break };
        page.after = Some(next);
    }
    assert_eq!(seen, ["54", "32", "1"]);
    assert_eq!(
        (store.quarantine_size(&acme).await.unwrap(), store.quarantine_size(&beta).await.unwrap()),
        (5, 0)
    );
    assert_eq!(store.quarantined(&beta, "qtn_1").await.unwrap(), None);
    assert!(store.commit(end(&beta, "qtn_1")).await.is_err(), "another tenant's message");
    assert!(store.quarantined(&acme, "qtn_1").await.unwrap().is_some());
}
