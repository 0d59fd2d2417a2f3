//! Due times as people see them, filters by time, dead letters that nobody has replayed, and failing channels.

use crate::support::*;
use notify_core::ids::{ChannelId, DeliveryId, RuleId, TenantId};
use notify_core::ledger::EntryKind;
use notify_store::model::{DeliveryFilter, DeliveryState, NewDelivery, Page};
use notify_store::{Commit, Effect, Store, StoreError};

async fn with_tenant(fresh: Fresh) -> (Store, TenantId, Fresh) {
    let acme = tenant("acme");
    fresh.store.commit(create_tenant(&acme)).await.unwrap();
    (fresh.store.clone(), acme, fresh)
}

fn page(limit: u32) -> Page {
    Page { limit, after: None }
}

pub async fn due_times(fresh: Fresh) {
    let (store, acme, _fresh) = with_tenant(fresh).await;
    store.commit(accept(&acme, event("one"), vec![delivery("one")])).await.unwrap();
    let check = async |expected: Option<i64>| {
        let found = store.delivery(&acme, &delivery_id("one")).await.unwrap().unwrap();
        assert_eq!(found.next_due, expected.map(at));
        for state in [None, Some(found.state)] {
            for event in [None, found.delivery.event.clone()] {
                let filter = DeliveryFilter { state, event, ..DeliveryFilter::default() };
                let listed = store.deliveries(&acme, &filter, &page(10)).await.unwrap();
                assert_eq!(listed.items[0].next_due, expected.map(at), "{filter:?}");
            }
        }
    };
    check(Some(20)).await;
    store.commit(record(&acme, attempt("one", 1, retry(600)))).await.unwrap();
    check(Some(600)).await;
    store.claim_due(at(600), MINUTE, 1).await.unwrap();
    check(Some(600)).await;
    store.commit(record(&acme, attempt("one", 2, DEAD))).await.unwrap();
    check(None).await;
}

pub async fn times_and_tokens(fresh: Fresh) {
    let (store, acme, _fresh) = with_tenant(fresh).await;
    for (name, second) in [("a", 100), ("b", 200), ("c", 300)] {
        let made = NewDelivery { created_at: at(second), ..delivery(name) };
        store.commit(accept(&acme, event(name), vec![made])).await.unwrap();
    }
    for (from, to, expected) in [
        (None, None, vec!["c", "b", "a"]),
        (Some(200), None, vec!["c", "b"]),
        (None, Some(200), vec!["a"]),
        (Some(100), Some(300), vec!["b", "a"]),
        (Some(301), None, vec![]),
    ] {
        let filter = DeliveryFilter {
            created_from: from.map(at),
            created_to: to.map(at),
            ..DeliveryFilter::default()
        };
        let found = store.deliveries(&acme, &filter, &page(10)).await.unwrap().items;
        let ids: Vec<DeliveryId> = found.into_iter().map(|found| found.delivery.id).collect();
        assert_eq!(ids, expected.into_iter().map(delivery_id).collect::<Vec<_>>(), "{from:?} {to:?}");
    }
    for token in ["", "x", "-1", "0", "+3", "03", "3 ", "9223372036854775808"] {
        let page = Page { limit: 1, after: Some(token.to_owned()) };
        let refused = store.deliveries(&acme, &DeliveryFilter::default(), &page).await;
        assert!(matches!(refused, Err(StoreError::BadPageToken)), "{token:?}");
        let refused = store.events(&acme, &page).await;
        assert!(matches!(refused, Err(StoreError::BadPageToken)), "{token:?}");
    }
}

pub async fn dead_letters(fresh: Fresh) {
    let (store, acme, _fresh) = with_tenant(fresh).await;
    for (name, rule, second) in [("a", "x", 100), ("b", "y", 200), ("c", "x", 300), ("d", "x", 400)] {
        let made = NewDelivery { created_at: at(second), rule: RuleId::new(rule).unwrap(), ..delivery(name) };
        store.commit(accept(&acme, event(name), vec![made])).await.unwrap();
        let outcome = if name == "d" { DELIVERED } else { DEAD };
        store.commit(record(&acme, attempt(name, 1, outcome))).await.unwrap();
    }
    let names = async |filter: &DeliveryFilter, after: i64, limit: u32| -> Vec<DeliveryId> {
        let found = store.dead_letters(&acme, filter, after, limit).await.unwrap();
        found.into_iter().map(|(_, found)| found.delivery.id).collect()
    };
    let ids = |names: &[&str]| names.iter().map(|name| delivery_id(name)).collect::<Vec<_>>();
    let all = DeliveryFilter::default();
    assert_eq!(names(&all, 0, 10).await, ids(&["a", "b", "c"]), "oldest first");
    assert_eq!(names(&all, 0, 2).await, ids(&["a", "b"]));
    assert_eq!(names(&all, 2, 10).await, ids(&["c"]));
    let some = DeliveryFilter {
        rule: Some(RuleId::new("x").unwrap()),
        channel: Some(ChannelId::new("hook").unwrap()),
        created_from: Some(at(100)),
        created_to: Some(at(300)),
        ..all.clone()
    };
    assert_eq!(names(&some, 0, 10).await, ids(&["a"]));
    assert_eq!(store.count_dead_letters(&acme, &some).await.unwrap(), 1);
    let other = DeliveryFilter { channel: Some(ChannelId::new("other").unwrap()), ..all.clone() };
    assert_eq!(store.count_dead_letters(&acme, &other).await.unwrap(), 0);

    // A replay stands for what it repeats; its own death makes it a dead letter in turn.
    let again = NewDelivery {
        id: delivery_id("a2"),
        cause: format!("replay:{}:1", delivery_id("a")),
        ..delivery("a")
    };
    let effects = vec![Effect::CreateDelivery(Box::new(again))];
    store.commit(Commit::new(acme.clone(), effects, vec![draft(EntryKind::Delivery, "a2")])).await.unwrap();
    assert_eq!(names(&all, 0, 10).await, ids(&["b", "c"]));
    assert_eq!(store.count_dead_letters(&acme, &all).await.unwrap(), 2);
    store.commit(record(&acme, attempt("a2", 1, DEAD))).await.unwrap();
    assert_eq!(names(&all, 0, 10).await, ids(&["b", "c", "a2"]));
    assert!(store.dead_letters(&tenant("beta"), &all, 0, 10).await.unwrap().is_empty());

    // What no event caused, such as a digest: who took over from it, or repeats it, stands for it as well.
    for (name, by) in
        [("g1", "fallback-of:{}"), ("g2", "replay:{}:redrive"), ("g3", "replay:{}:1"), ("g4", "-")]
    {
        let lone = |name: &str, cause: String| NewDelivery { event: None, cause, ..delivery(name) };
        let by = by.replace("{}", delivery_id(name).as_str());
        let second = format!("{name}x");
        for (name, cause) in [(name, format!("digest:{name}")), (second.as_str(), by)] {
            let effects = vec![Effect::CreateDelivery(Box::new(lone(name, cause)))];
            store
                .commit(Commit::new(acme.clone(), effects, vec![draft(EntryKind::Delivery, name)]))
                .await
                .unwrap();
        }
        store.commit(record(&acme, attempt(name, 1, DEAD))).await.unwrap();
    }
    assert_eq!(names(&all, 0, 20).await, ids(&["b", "c", "a2", "g4"]));
    assert_eq!(store.count_dead_letters(&acme, &all).await.unwrap(), 4);
}

pub async fn failing_channels(fresh: Fresh) {
    let (store, acme, _fresh) = with_tenant(fresh).await;
    let beta = tenant("beta");
    store.commit(create_tenant(&beta)).await.unwrap();
    let hook = ChannelId::new("hook").unwrap();
    let since = async |id: &TenantId| store.channel_failing_since(id, &hook).await.unwrap();
    assert_eq!(since(&acme).await, None);
    for (second, first) in [(50, 50), (70, 50), (40, 40)] {
        assert_eq!(store.note_channel_failing(&acme, &hook, at(second)).await.unwrap(), at(first));
        assert_eq!(since(&acme).await, Some(at(first)));
    }
    assert_eq!(since(&beta).await, None, "another tenant's channel of the same name");
    store.note_channel_works(&beta, &hook).await.unwrap();
    assert_eq!(since(&acme).await, Some(at(40)));
    store.note_channel_works(&acme, &hook).await.unwrap();
    assert_eq!(since(&acme).await, None);

    store.commit(accept(&acme, event("one"), vec![delivery("one")])).await.unwrap();
    assert!(!store.channel_took_since(&acme, &hook, at(0)).await.unwrap());
    store.commit(record(&acme, attempt("one", 1, DELIVERED))).await.unwrap();
    assert_eq!(
        store.delivery(&acme, &delivery_id("one")).await.unwrap().unwrap().state,
        DeliveryState::Delivered
    );
    assert!(store.channel_took_since(&acme, &hook, at(31)).await.unwrap(), "it ended at second 31");
    assert!(!store.channel_took_since(&acme, &hook, at(32)).await.unwrap());
    assert!(!store.channel_took_since(&beta, &hook, at(0)).await.unwrap());
}
