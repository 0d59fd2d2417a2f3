//! Turns at targets with a rate, and what is kept of channels.

use crate::support::*;
use notify_core::breaker::Breaker;
use notify_core::document::Kind;
use notify_core::duration::Length;
use notify_core::ids::{ChannelId, TenantId};
use notify_core::noise::gcra::Rate;
use notify_store::Store;
use notify_store::model::{ChannelCheck, ChannelError, ChannelQueue, NewDelivery, TargetRate, Turn};

fn target(name: u8, count: u32, seconds: u64) -> TargetRate {
    TargetRate { key: [name; 32], rate: Rate::new(count, Length::from_secs(seconds)) }
}

/// Deliveries that are claimed by `me`.
async fn claimed(store: &Store, id: &TenantId, names: &[&str]) {
    let all = names.iter().map(|name| NewDelivery {
        event: None,
        claim: Some((token("me"), at(9_000))),
        ..delivery(name)
    });
    store.commit(accept(id, event("cause"), all.collect())).await.unwrap();
}

pub async fn turns(fresh: Fresh) {
    let (store, acme) = (fresh.store.clone(), tenant("acme"));
    store.commit(create_tenant(&acme)).await.unwrap();
    claimed(&store, &acme, &["a", "b", "c", "d"]).await;
    let turn = async |name: &str, targets: &[TargetRate], second: i64| {
        store.take_turn(&acme, &delivery_id(name), &token("me"), targets, at(second)).await.unwrap()
    };
    let chat = [target(1, 1, 10)];
    assert_eq!(turn("a", &chat, 100).await, Turn::Now);
    assert_eq!(turn("b", &chat, 101).await, Turn::At(at(110)));
    // Of both: the slower one decides, and the turn counts against each.
    let both = [target(1, 1, 10), target(2, 1, 60)];
    assert_eq!(turn("c", &both, 102).await, Turn::At(at(120)));
    assert_eq!(turn("d", &[target(2, 1, 60)], 103).await, Turn::At(at(162)), "as if c left at once");
    assert_eq!(turn("b", &chat, 104).await, Turn::Lost, "its claim was given back");

    // It comes back when its turn is, and asks for none again.
    assert!(store.claim_due(at(109), MINUTE, 10).await.unwrap().is_empty());
    let due = store.claim_due(at(110), MINUTE, 10).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!((&due[0].delivery.delivery.id, due[0].in_doubt), (&delivery_id("b"), false));
    assert_eq!(due[0].delivery.next_attempt, 1, "no attempt was used");
    let again = async |name: &str, token: &notify_store::model::ClaimToken, second: i64| {
        store.take_turn(&acme, &delivery_id(name), token, &chat, at(second)).await.unwrap()
    };
    assert_eq!(again("b", &due[0].token, 110).await, Turn::Now);
    // A turn is used once; the line moves, and c is still behind b.
    assert_eq!(again("b", &due[0].token, 117).await, Turn::At(at(120)));

    // A pause holds for all who share the target, also for reserved turns; everybody keeps the place.
    store.pause_targets(&chat, at(118), at(500)).await.unwrap();
    store.pause_targets(&chat, at(118), at(400)).await.unwrap();
    assert_eq!(store.targets_state(&chat, at(120)).await.unwrap(), (Some(at(500)), Some(at(522))));
    let due = store.claim_due(at(120), MINUTE, 10).await.unwrap();
    let mut both: Vec<_> = due.iter().map(|due| (&due.delivery.delivery.id, &due.token)).collect();
    both.sort_by_key(|(id, _)| **id != delivery_id("c"));
    assert_eq!(both.len(), 2);
    assert_eq!(
        store.take_turn(&acme, both[0].0, both[0].1, &both_targets(), at(120)).await.unwrap(),
        Turn::At(at(512))
    );
    assert_eq!(again("b", both[1].1, 120).await, Turn::At(at(502)));
    assert_eq!(store.targets_state(&chat, at(900)).await.unwrap(), (None, None));
    // Ended early, also the turns come earlier.
    store.resume_targets(&chat, at(200)).await.unwrap();
    assert_eq!(store.targets_state(&chat, at(200)).await.unwrap(), (None, Some(at(222))));
    assert_eq!(store.line_up_anew(&acme, &delivery("a").channel).await.unwrap(), 3, "b, c and d");
    let due = store.claim_due(at(203), MINUTE, 10).await.unwrap();
    let b = due.iter().find(|due| due.delivery.delivery.id == delivery_id("b")).unwrap();
    assert_eq!(again("b", &b.token, 203).await, Turn::Now);
    // Where the targets are others, the turn counts for nothing.
    let d = due.iter().find(|due| due.delivery.delivery.id == delivery_id("d")).unwrap();
    let other = [target(3, 1, 60)];
    assert_eq!(
        store.take_turn(&acme, &delivery_id("d"), &d.token, &other, at(203)).await.unwrap(),
        Turn::Now
    );
    // An attempt that is recorded gives up whatever turn it had.
    let c = due.iter().find(|due| due.delivery.delivery.id == delivery_id("c")).unwrap();
    store.commit(record(&acme, attempt("c", 1, retry(500)))).await.unwrap();
    assert_eq!(store.forget_targets(at(600)).await.unwrap(), 0);
    let retried = store.claim_due(at(501), MINUTE, 10).await.unwrap();
    let c_again = retried.iter().find(|due| due.delivery.delivery.id == c.delivery.delivery.id).unwrap();
    assert_eq!(again("c", &c_again.token, 501).await, Turn::Now);
    assert_eq!(store.forget_targets(at(90_000)).await.unwrap(), 3);
}

fn both_targets() -> [TargetRate; 2] {
    [target(1, 1, 10), target(2, 1, 60)]
}

/// Who waits for a channel asks again when its document changes, in the order in which it was due; and nothing of a
/// channel that was deleted is left to another one of its name.
pub async fn changed_documents(fresh: Fresh) {
    let (store, acme) = (fresh.store.clone(), tenant("acme"));
    store.commit(create_tenant(&acme)).await.unwrap();
    claimed(&store, &acme, &["a", "b", "c"]).await;
    let hook = delivery("a").channel;
    let chat = [target(1, 1, 3_600)];
    for (name, expected) in [("a", Turn::Now), ("b", Turn::At(at(3_700)))] {
        let turn = store.take_turn(&acme, &delivery_id(name), &token("me"), &chat, at(100)).await.unwrap();
        assert_eq!(turn, expected);
    }
    store.give_back(&acme, &delivery_id("c"), &token("me"), at(9_999)).await.unwrap();
    let state = async || store.channel_state(&acme, &hook).await.unwrap();
    let open = Breaker::Open { since: at(10), until: at(40), round: 2 };
    store.note_breaker(&acme, &hook, Some(1), open).await.unwrap();
    for (change, due, kept) in [
        (put(&acme, Kind::Channel, "other", "{}"), 0, true),
        (put(&acme, Kind::Rule, hook.as_str(), "{}"), 0, true),
        (put(&acme, Kind::Channel, hook.as_str(), "{}"), 2, true),
        (delete(&acme, Kind::Channel, hook.as_str()), 2, false),
    ] {
        store.commit(change).await.unwrap();
        let found = store.claim_due(at(200), MINUTE, 10).await.unwrap();
        assert_eq!(found.len(), due);
        for claim in found {
            store.give_back(&acme, &claim.delivery.delivery.id, &claim.token, at(9_999)).await.unwrap();
        }
        assert_eq!(state().await.is_some(), kept);
    }
}

pub async fn giving_back(fresh: Fresh) {
    let (store, acme) = (fresh.store.clone(), tenant("acme"));
    store.commit(create_tenant(&acme)).await.unwrap();
    claimed(&store, &acme, &["a", "b"]).await;
    let hook = delivery("a").channel;
    assert_eq!(
        store.channel_queues(&acme).await.unwrap(),
        [(hook.clone(), ChannelQueue { waiting: 0, in_flight: 2 })]
    );
    assert!(store.give_back(&acme, &delivery_id("a"), &token("me"), at(300)).await.unwrap());
    assert!(!store.give_back(&acme, &delivery_id("a"), &token("me"), at(300)).await.unwrap());
    assert!(!store.give_back(&acme, &delivery_id("b"), &token("you"), at(300)).await.unwrap());
    assert_eq!(
        store.channel_queues(&acme).await.unwrap(),
        [(hook.clone(), ChannelQueue { waiting: 1, in_flight: 1 })]
    );
    // What waits in line hurries; what waits for its retry does not.
    let mut failed = attempt("b", 1, retry(800));
    failed.result = "retry".into();
    failed.error = Some("secret `signing` (secret://env/X): the environment variable is not set".into());
    store.commit(record(&acme, failed)).await.unwrap();
    assert_eq!(store.hurry(&acme, &hook, at(200), false).await.unwrap(), 1);
    assert_eq!(store.claim_due(at(200), MINUTE, 10).await.unwrap().len(), 1);
    assert_eq!(store.hurry(&acme, &hook, at(210), true).await.unwrap(), 1, "for want of a secret");
    let due = store.claim_due(at(210), MINUTE, 10).await.unwrap();
    assert_eq!(due.iter().map(|due| &due.delivery.delivery.id).collect::<Vec<_>>(), [&delivery_id("b")]);
}

pub async fn states(fresh: Fresh) {
    let store = fresh.store.clone();
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    for id in [&acme, &beta] {
        store.commit(create_tenant(id)).await.unwrap();
    }
    let hook = ChannelId::new("hook").unwrap();
    assert_eq!(store.channel_state(&acme, &hook).await.unwrap(), None);
    let open = Breaker::Open { since: at(10), until: at(40), round: 2 };
    store.note_breaker(&acme, &hook, None, open).await.unwrap();
    store.pause_channel(&acme, &hook, None, at(90)).await.unwrap();
    store.pause_channel(&acme, &hook, None, at(80)).await.unwrap();
    store.note_channel_success(&acme, &hook, at(5)).await.unwrap();
    store.note_channel_success(&acme, &hook, at(4)).await.unwrap();
    let error = ChannelError { at: at(9), result: "retry".into(), http_status: Some(503), text: "no".into() };
    store.note_channel_error(&acme, &hook, &error).await.unwrap();
    let check = ChannelCheck { at: at(11), result: "failing".into(), text: "refused".into() };
    store.note_channel_check(&acme, &hook, &check).await.unwrap();
    store.note_channel_secrets(&acme, &hook, "{}").await.unwrap();
    let state = store.channel_state(&acme, &hook).await.unwrap().unwrap();
    assert_eq!(state.breaker, open);
    assert_eq!((state.paused_until, state.success_at), (Some(at(90)), Some(at(5))));
    assert_eq!((state.error, state.check, state.secrets), (Some(error), Some(check), Some("{}".into())));
    assert_eq!(store.channel_states(&acme).await.unwrap().len(), 1);
    assert_eq!(store.channel_state(&beta, &hook).await.unwrap(), None, "another tenant's of the same name");
    store.resume_channel(&acme, &hook).await.unwrap();
    assert_eq!(store.channel_state(&acme, &hook).await.unwrap().unwrap().paused_until, None);

    // One probe of all who ask, and again when it did not end.
    assert!(!store.begin_probe(&acme, &hook, at(39), at(50)).await.unwrap(), "too early");
    assert!(store.begin_probe(&acme, &hook, at(40), at(50)).await.unwrap());
    assert!(!store.begin_probe(&acme, &hook, at(41), at(51)).await.unwrap());
    let state = store.channel_state(&acme, &hook).await.unwrap().unwrap();
    assert_eq!(state.breaker, Breaker::HalfOpen { since: at(10), until: at(50), round: 2 });
    assert!(store.begin_probe(&acme, &hook, at(50), at(60)).await.unwrap());
    store.note_breaker(&acme, &hook, None, Breaker::default()).await.unwrap();
    assert!(!store.begin_probe(&acme, &hook, at(99), at(109)).await.unwrap(), "nothing to try");

    assert!(store.begin_check(&acme, &hook, at(10), at(20)).await.unwrap());
    assert!(!store.begin_check(&acme, &hook, at(19), at(29)).await.unwrap());
    assert!(store.begin_check(&acme, &hook, at(20), at(30)).await.unwrap());
    assert!(store.begin_check(&beta, &hook, at(10), at(20)).await.unwrap());

    // A newer document begins anew, once, and late words about the older one are not heard.
    store.note_breaker(&acme, &hook, Some(3), open).await.unwrap();
    store.pause_channel(&acme, &hook, Some(3), at(90)).await.unwrap();
    let shut = async || {
        let state = store.channel_state(&acme, &hook).await.unwrap().unwrap();
        (state.version, state.breaker == open, state.paused_until)
    };
    for (version, expected) in
        [(3, (Some(3), true, Some(at(90)))), (2, (Some(3), true, Some(at(90)))), (4, (Some(4), false, None))]
    {
        store.begin_version(&acme, &hook, version).await.unwrap();
        assert_eq!(shut().await, expected, "{version}");
    }
    store.note_breaker(&acme, &hook, Some(3), open).await.unwrap();
    store.pause_channel(&acme, &hook, Some(3), at(90)).await.unwrap();
    assert_eq!(shut().await, (Some(4), false, None));
}
