//! Deliveries, attempts, claims and leases.

use crate::support::*;
use notify_core::ids::{ChannelId, EventKey, RuleId};
use notify_core::ledger::EntryKind;
use notify_store::model::{DeliveryFilter, DeliveryState, Follows, NewDelivery, Page};
use notify_store::{Commit, Effect, Guard, Refused, Store, StoreError};
use std::time::Duration;

async fn with_tenant(fresh: Fresh) -> (Store, notify_core::ids::TenantId, Fresh) {
    let acme = tenant("acme");
    fresh.store.commit(create_tenant(&acme)).await.unwrap();
    (fresh.store.clone(), acme, fresh)
}

fn claim(name: &str, attempt: u32, by: &str) -> Guard {
    Guard::Claim { delivery: delivery_id(name), attempt, token: token(by) }
}

pub async fn from_intent_to_delivered(fresh: Fresh) {
    let (store, acme, _fresh) = with_tenant(fresh).await;
    let claimed = NewDelivery { claim: Some((token("mine"), at(90))), ..delivery("one") };
    store.commit(accept(&acme, event("one"), vec![claimed])).await.unwrap();
    let found = store.delivery(&acme, &delivery_id("one")).await.unwrap().unwrap();
    assert_eq!((found.state, found.next_attempt), (DeliveryState::Scheduled, 1));
    assert_eq!(found.delivery.message, delivery("one").message);
    assert_eq!(found.delivery.event, Some(EventKey::derive(["one"])));
    assert_eq!((found.delivery.message_salt, found.delivery.target_salt), ([5; 32], [6; 32]));
    assert_eq!((found.delivery.due_at, found.updated_at), (at(20), at(11)));
    assert_eq!(store.next_due().await.unwrap(), Some(at(90)), "the claim's end");
    assert!(store.claim_due(at(89), MINUTE, 10).await.unwrap().is_empty(), "claimed by its planner");

    let mut result = attempt("one", 1, DELIVERED);
    result.provider_reference = Some("ts-1".into());
    store.commit(record(&acme, result).guarded(claim("one", 1, "mine"))).await.unwrap();
    let found = store.delivery(&acme, &delivery_id("one")).await.unwrap().unwrap();
    assert_eq!((found.state, found.next_attempt), (DeliveryState::Delivered, 1));
    assert_eq!(found.last_result.as_deref(), Some("delivered"));
    assert_eq!(found.provider_reference.as_deref(), Some("ts-1"));
    assert_eq!(found.updated_at, at(31));
    assert_eq!(store.next_due().await.unwrap(), None);
    let attempts = store.attempts(&acme, &delivery_id("one")).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].attempt, attempts[0].http_status), (1, Some(200)));
    assert_eq!(attempts[0].request, Some((b"POST one 1".to_vec(), [8; 32])));
    assert_eq!(attempts[0].follows, DELIVERED);
    assert_eq!(check_ledger(&store, &acme).await, 3);
}

pub async fn retries_and_dead(fresh: Fresh) {
    let (store, acme, _fresh) = with_tenant(fresh).await;
    store.commit(accept(&acme, event("one"), vec![delivery("one")])).await.unwrap();
    let mut first = attempt("one", 1, retry(60));
    (first.provider_reference, first.error, first.response) = (Some("ref".into()), Some("503".into()), None);
    store.commit(record(&acme, first)).await.unwrap();
    let found = store.delivery(&acme, &delivery_id("one")).await.unwrap().unwrap();
    assert_eq!((found.state, found.next_attempt), (DeliveryState::Scheduled, 2));
    assert_eq!((found.last_result.as_deref(), found.last_error.as_deref()), (Some("retry"), Some("503")));
    assert_eq!(store.next_due().await.unwrap(), Some(at(60)));
    let backlog = store.backlog(at(59)).await.unwrap();
    assert_eq!((backlog.scheduled_deliveries, backlog.overdue_deliveries), (1, 0));
    assert_eq!(store.backlog(at(60)).await.unwrap().overdue_deliveries, 1);

    // The same holder keeps it for the second attempt, then gives up.
    let kept = Follows::Retry { due_at: at(70), claim: Some((token("keeper"), at(200))) };
    store.commit(record(&acme, attempt("one", 2, kept))).await.unwrap();
    assert!(store.claim_due(at(150), MINUTE, 10).await.unwrap().is_empty());
    store.commit(record(&acme, attempt("one", 3, DEAD)).guarded(claim("one", 3, "keeper"))).await.unwrap();
    let found = store.delivery(&acme, &delivery_id("one")).await.unwrap().unwrap();
    assert_eq!((found.state, found.next_attempt), (DeliveryState::Dead, 3));
    assert_eq!(found.provider_reference.as_deref(), Some("ref"), "kept until a newer one comes");
    assert_eq!(found.last_error, None);
    let backlog = store.backlog(at(999)).await.unwrap();
    assert_eq!((backlog.scheduled_deliveries, backlog.dead_deliveries), (0, 1));
    let attempts = store.attempts(&acme, &delivery_id("one")).await.unwrap();
    let follows: Vec<_> = attempts.iter().map(|a| a.follows.clone()).collect();
    assert_eq!(follows, [retry(60), retry(70), DEAD]);
    assert_eq!(attempts[0].response, None);
}

pub async fn filters(fresh: Fresh) {
    let (store, acme, _fresh) = with_tenant(fresh).await;
    let named = |event: &str, rule: &str, channel: &str| NewDelivery {
        id: delivery_id(&format!("{event}{rule}{channel}")),
        rule: RuleId::new(rule).unwrap(),
        channel: ChannelId::new(channel).unwrap(),
        ..delivery(event)
    };
    let both = vec![named("one", "a", "x"), named("one", "b", "x")];
    store.commit(accept(&acme, event("one"), both)).await.unwrap();
    store.commit(accept(&acme, event("two"), vec![named("two", "a", "y")])).await.unwrap();
    let replay = NewDelivery { cause: "replay:1".into(), ..named("one", "a", "z") };
    let replay = Effect::CreateDelivery(Box::new(replay));
    let entry = draft(EntryKind::Delivery, "replay");
    store.commit(Commit::new(acme.clone(), vec![replay], vec![entry])).await.unwrap();
    let dead = attempt("twoay", 1, DEAD);
    store.commit(record(&acme, dead)).await.unwrap();

    let rule = |r: &str| Some(RuleId::new(r).unwrap());
    let channel = |c: &str| Some(ChannelId::new(c).unwrap());
    let key = |e: &str| Some(EventKey::derive([e]));
    let none = DeliveryFilter::default;
    for (filter, expected) in [
        (none(), vec!["oneaz", "twoay", "onebx", "oneax"]),
        (DeliveryFilter { rule: rule("a"), ..none() }, vec!["oneaz", "twoay", "oneax"]),
        (DeliveryFilter { channel: channel("x"), ..none() }, vec!["onebx", "oneax"]),
        (DeliveryFilter { event: key("one"), ..none() }, vec!["oneaz", "onebx", "oneax"]),
        (DeliveryFilter { event: key("one"), rule: rule("b"), ..none() }, vec!["onebx"]),
        (DeliveryFilter { state: Some(DeliveryState::Dead), ..none() }, vec!["twoay"]),
        (DeliveryFilter { state: Some(DeliveryState::Dead), rule: rule("b"), ..none() }, vec![]),
        (
            DeliveryFilter { state: Some(DeliveryState::Scheduled), channel: channel("z"), ..none() },
            vec!["oneaz"],
        ),
        (DeliveryFilter { event: key("nothing"), ..none() }, vec![]),
    ] {
        let mut page = Page { limit: 2, after: None };
        let mut seen = Vec::new();
        loop {
            let found = store.deliveries(&acme, &filter, &page).await.unwrap();
            assert!(found.items.len() <= 2);
            seen.extend(found.items.into_iter().map(|d| d.delivery.id));
            let Some(next) = found.next else { break };
            page.after = Some(next);
        }
        let expected: Vec<_> = expected.into_iter().map(delivery_id).collect();
        assert_eq!(seen, expected, "{filter:?}");
    }
}

pub async fn claiming(fresh: Fresh) {
    let (store, acme, _fresh) = with_tenant(fresh).await;
    let beta = tenant("beta");
    store.commit(create_tenant(&beta)).await.unwrap();
    for (owner, name, due) in [(&acme, "late", 50), (&beta, "early", 20), (&acme, "middle", 30)] {
        let delivery = NewDelivery { due_at: at(due), ..delivery(name) };
        store.commit(accept(owner, event(name), vec![delivery])).await.unwrap();
    }
    assert_eq!(store.next_due().await.unwrap(), Some(at(20)));
    assert!(store.claim_due(at(19), MINUTE, 10).await.unwrap().is_empty());
    let claimed = store.claim_due(at(40), MINUTE, 10).await.unwrap();
    let names: Vec<_> = claimed.iter().map(|c| (c.delivery.tenant.as_str(), c.in_doubt)).collect();
    assert_eq!(names, [("beta", false), ("acme", false)], "oldest due first, over all tenants");
    assert_eq!(claimed[0].delivery.delivery.id, delivery_id("early"));
    assert_eq!(claimed[0].delivery.next_attempt, 1);
    assert_eq!(store.next_due().await.unwrap(), Some(at(50)));
    assert!(store.claim_due(at(40), MINUTE, 10).await.unwrap().is_empty(), "claims still run");
    let one = store.claim_due(at(60), MINUTE, 1).await.unwrap();
    assert_eq!(one[0].delivery.delivery.id, delivery_id("late"));
    assert_eq!(store.next_due().await.unwrap(), Some(at(100)), "the first lease's end");

    let guard = Guard::Claim { delivery: delivery_id("early"), attempt: 1, token: claimed[0].token.clone() };
    let done = store.commit(record(&beta, attempt("early", 1, DELIVERED)).guarded(guard)).await.unwrap();
    assert!(!done.late);
    assert!(store.claim_due(at(60), MINUTE, 0).await.unwrap().is_empty());
}

pub async fn lost_holders(fresh: Fresh) {
    let (store, acme, _fresh) = with_tenant(fresh).await;
    store.commit(accept(&acme, event("one"), vec![delivery("one")])).await.unwrap();
    let first = store.claim_due(at(20), MINUTE, 10).await.unwrap().remove(0);
    assert!(!first.in_doubt);
    let second = store.claim_due(at(80), MINUTE, 10).await.unwrap().remove(0);
    assert!(second.in_doubt, "the first holder's lease ran out");
    assert_ne!(first.token, second.token);
    let by = |claimed: &notify_store::model::Claimed, attempt| Guard::Claim {
        delivery: delivery_id("one"),
        attempt,
        token: claimed.token.clone(),
    };
    let stale = store.commit(record(&acme, attempt("one", 1, DELIVERED)).guarded(by(&first, 1))).await;
    assert!(matches!(stale, Err(StoreError::Refused(Refused::StaleClaim))));
    // The new holder writes `unknown` for attempt 1 and keeps the claim for attempt 2.
    let kept = Follows::Retry { due_at: at(81), claim: Some((second.token.clone(), at(200))) };
    let unknown = notify_store::model::Attempt { result: "unknown".into(), ..attempt("one", 1, kept) };
    store.commit(record(&acme, unknown).guarded(by(&second, 1))).await.unwrap();
    store.commit(record(&acme, attempt("one", 2, retry(300))).guarded(by(&second, 2))).await.unwrap();

    // A retry that nobody holds is not in doubt; after a restart every running claim is.
    let third = store.claim_due(at(300), MINUTE, 10).await.unwrap().remove(0);
    assert!(!third.in_doubt);
    assert_eq!(third.delivery.next_attempt, 3);
    assert_eq!(store.void_all_claims().await.unwrap(), 1);
    let void = store.commit(record(&acme, attempt("one", 3, DELIVERED)).guarded(by(&third, 3))).await;
    assert!(matches!(void, Err(StoreError::Refused(Refused::StaleClaim))));
    let guessed = record(&acme, attempt("one", 3, DELIVERED)).guarded(claim("one", 3, "void"));
    assert!(matches!(store.commit(guessed).await, Err(StoreError::Refused(Refused::StaleClaim))));
    let fourth = store.claim_due(at(301), MINUTE, 10).await.unwrap().remove(0);
    assert!(fourth.in_doubt);
    assert_eq!(store.void_all_claims().await.unwrap(), 1);
}

pub async fn late_results(fresh: Fresh) {
    let (store, acme, _fresh) = with_tenant(fresh).await;
    let claimed = NewDelivery { claim: Some((token("mine"), at(90))), ..delivery("one") };
    store.commit(accept(&acme, event("one"), vec![claimed])).await.unwrap();
    let size = store.ledger_head(&acme).await.unwrap().unwrap().size;
    let late = draft(EntryKind::Attempt, delivery_id("one").as_str());
    for (attempt_number, by, is_late) in
        [(1, "other", true), (2, "mine", true), (1, "mine", false), (1, "mine", true)]
    {
        let commit = record(&acme, attempt("one", attempt_number, DELIVERED))
            .guarded(claim("one", attempt_number, by))
            .or_late(late.clone());
        let done = store.commit(commit).await.unwrap();
        assert_eq!((done.late, done.seqs.len()), (is_late, 1), "{attempt_number} {by}");
    }
    assert_eq!(store.attempts(&acme, &delivery_id("one")).await.unwrap().len(), 1);
    assert_eq!(check_ledger(&store, &acme).await, size + 4);
    let nothing = record(&acme, attempt("none", 1, DELIVERED)).guarded(claim("none", 1, "x"));
    assert!(matches!(store.commit(nothing).await, Err(StoreError::Refused(Refused::StaleClaim))));
}

pub async fn refusals(fresh: Fresh) {
    let (store, acme, _fresh) = with_tenant(fresh).await;
    store.commit(accept(&acme, event("one"), vec![delivery("one")])).await.unwrap();
    store.commit(accept(&acme, event("two"), vec![delivery("two")])).await.unwrap();
    store.commit(record(&acme, attempt("two", 1, DEAD))).await.unwrap();
    let state = |name: &str, any_of: &[DeliveryState]| Guard::DeliveryState {
        delivery: delivery_id(name),
        any_of: any_of.to_vec(),
    };
    let note = || Commit::new(acme.clone(), vec![Effect::RecordOnly], vec![draft(EntryKind::Access, "x")]);
    use DeliveryState::{Dead, Delivered, Scheduled};
    for (commit, refused) in [
        (
            accept(&acme, event("three"), vec![delivery("one")]),
            Some(Refused::DeliveryExists(delivery_id("one"))),
        ),
        (record(&acme, attempt("none", 1, DEAD)), Some(Refused::WrongState(None))),
        (record(&acme, attempt("two", 1, DEAD)), Some(Refused::WrongState(Some(Dead)))),
        (record(&acme, attempt("one", 2, DEAD)), Some(Refused::StaleClaim)),
        (
            record(&acme, attempt("one", 1, Follows::Outcome(Scheduled))),
            Some(Refused::WrongState(Some(Scheduled))),
        ),
        (note().guarded(state("one", &[Dead, Delivered])), Some(Refused::WrongState(Some(Scheduled)))),
        (note().guarded(state("none", &[Dead])), Some(Refused::WrongState(None))),
        (note().guarded(state("two", &[Dead, Delivered])), None),
    ] {
        let what = format!("{commit:?}");
        match (store.commit(commit).await, refused) {
            (Ok(_), None) => {}
            (Err(StoreError::Refused(got)), Some(refused)) => assert_eq!(got, refused, "{what}"),
            (got, _) => panic!("{what}: {got:?}"),
        }
    }
    assert!(store.event(&acme, &event("three").key).await.unwrap().is_none(), "refused as a whole");
}

pub async fn leases(fresh: Fresh) {
    let (store, acme, _fresh) = with_tenant(fresh).await;
    let ttl = Duration::from_secs(600);
    assert_eq!(store.acquire_lease(&tenant("nobody"), "a", ttl).await.unwrap(), None);
    let a = store.acquire_lease(&acme, "a", ttl).await.unwrap().unwrap();
    assert_eq!(a.epoch, 1);
    assert_eq!(
        store.acquire_lease(&acme, "a", ttl).await.unwrap(),
        Some(a.clone()),
        "renewing keeps the epoch"
    );
    assert_eq!(store.acquire_lease(&acme, "b", ttl).await.unwrap(), None);
    let planned = |name: &str, holder: &str, epoch| {
        accept(&acme, event(name), vec![]).guarded(Guard::Lease { holder: holder.into(), epoch })
    };
    store.commit(planned("one", "a", 1)).await.unwrap();
    for (holder, epoch) in [("b", 1), ("a", 2), ("a", 0)] {
        let lost = store.commit(planned("two", holder, epoch)).await;
        assert!(matches!(lost, Err(StoreError::Refused(Refused::LeaseLost))), "{holder} {epoch}");
    }
    // Releasing an old epoch does nothing; releasing the own one lets another in, at once.
    store.release_lease(&acme, &notify_store::model::Lease { holder: "a".into(), epoch: 9 }).await.unwrap();
    assert_eq!(store.acquire_lease(&acme, "b", ttl).await.unwrap(), None);
    store.release_lease(&acme, &a).await.unwrap();
    let lost = store.commit(planned("two", "a", 1)).await;
    assert!(matches!(lost, Err(StoreError::Refused(Refused::LeaseLost))));
    // A lease of no length has run out on the database's clock, and its holder's next one is a new epoch.
    let b = store.acquire_lease(&acme, "b", Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(b.epoch, 2);
    let lost = store.commit(planned("two", "b", 2)).await;
    assert!(matches!(lost, Err(StoreError::Refused(Refused::LeaseLost))));
    assert_eq!(store.acquire_lease(&acme, "b", ttl).await.unwrap().unwrap().epoch, 3);
    store.commit(planned("two", "b", 3)).await.unwrap();
}

/// A caller that gives up in the middle of a claim (a timeout, a `select!`) leaves no open transaction behind.
pub async fn abandoned_claims(fresh: Fresh) {
    let (store, acme, _fresh) = with_tenant(fresh).await;
    for polls in 0..25 {
        let name = format!("d{polls}");
        store.commit(accept(&acme, event(&name), vec![delivery(&name)])).await.unwrap();
        let mut claim = Box::pin(store.claim_due(at(20), MINUTE, 10));
        for _ in 0..polls {
            if futures_util::poll!(&mut claim).is_ready() {
                break;
            }
            // Lets the database's thread or socket answer, so that each poll gets further.
            tokio::time::timeout(Duration::from_millis(2), std::future::pending::<()>()).await.unwrap_err();
        }
        drop(claim);
    }
    store.commit(accept(&acme, event("last"), vec![delivery("last")])).await.unwrap();
    assert_eq!(store.backlog(at(20)).await.unwrap().scheduled_deliveries, 26);
    assert_eq!(store.claim_due(at(500), MINUTE, 100).await.unwrap().len(), 26);
    check_ledger(&store, &acme).await;
}
