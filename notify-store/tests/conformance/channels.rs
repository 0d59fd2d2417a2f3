//! Turns at targets with a rate, and what is kept of channels.

use crate::support::*;
use notify_core::breaker::Breaker;
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
    assert_eq!(turn("d", &[target(2, 1, 60)], 103).await, Turn::At(at(180)));
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
    // One that was not used in time is reserved anew, behind the others.
    assert_eq!(again("b", &due[0].token, 117).await, Turn::At(at(130)));

    // A pause holds for all who share the target, also for reserved turns.
    store.pause_targets(&chat, at(500)).await.unwrap();
    store.pause_targets(&chat, at(400)).await.unwrap();
    assert_eq!(store.targets_state(&chat, at(120)).await.unwrap(), (Some(at(500)), Some(at(500))));
    let due = store.claim_due(at(120), MINUTE, 10).await.unwrap();
    assert_eq!(due[0].delivery.delivery.id, delivery_id("c"));
    assert_eq!(again("c", &due[0].token, 120).await, Turn::At(at(500)));
    assert_eq!(store.targets_state(&chat, at(900)).await.unwrap(), (None, None));
    // An attempt that is recorded gives up whatever turn it had.
    let due = store.claim_due(at(500), MINUTE, 10).await.unwrap();
    let c = due.iter().find(|due| due.delivery.delivery.id == delivery_id("c")).unwrap();
    store.commit(record(&acme, attempt("c", 1, retry(500)))).await.unwrap();
    let retried = store.claim_due(at(501), MINUTE, 10).await.unwrap();
    let c_again = retried.iter().find(|due| due.delivery.delivery.id == c.delivery.delivery.id).unwrap();
    assert_eq!(again("c", &c_again.token, 501).await, Turn::At(at(510)));
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
    store.note_breaker(&acme, &hook, open).await.unwrap();
    store.pause_channel(&acme, &hook, at(90)).await.unwrap();
    store.pause_channel(&acme, &hook, at(80)).await.unwrap();
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
    store.note_breaker(&acme, &hook, Breaker::default()).await.unwrap();
    assert!(!store.begin_probe(&acme, &hook, at(99), at(109)).await.unwrap(), "nothing to try");

    assert!(store.begin_check(&acme, &hook, at(10), at(20)).await.unwrap());
    assert!(!store.begin_check(&acme, &hook, at(19), at(29)).await.unwrap());
    assert!(store.begin_check(&acme, &hook, at(20), at(30)).await.unwrap());
    assert!(store.begin_check(&beta, &hook, at(10), at(20)).await.unwrap());
}
