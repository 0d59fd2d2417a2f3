//! One conformance body for both providers of the event broker. That of `memory` gets what it has in production: the
//! owner.

use crate::studio::Studio;
use notify_bus::{Bus, Glob, Subscription};
use notify_core::problem::Code;
use notify_worker::clock::SystemClock;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory() {
    let studio = Studio::with_channels().await;
    let worker = studio.worker().await;
    conforms(&studio, Bus::memory(Arc::new(worker.clone()))).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn database() {
    let studio = Studio::with_channels().await;
    conforms(&studio, Bus::database(studio.store.clone(), Arc::new(SystemClock))).await;
}

async fn conforms(studio: &Studio, bus: Bus) {
    let globs = ["scanner.*", "scanner.**", "**.ready", "other"];
    let mut subscriptions = globs.map(|glob| bus.subscribe(Glob::new(glob).unwrap()));
    let ended = bus.subscribe(Glob::new("**").unwrap());
    drop(ended);

    // Durable on receipt: another connection reads what the sender was told.
    let types = ["scanner.started", "scanner.report.ready", "release.ready", "release.done"];
    let events: Vec<_> = types.iter().map(|r#type| studio.event(r#type, r#type, "x")).collect();
    for event in &events {
        let receipt = bus.publish(event.clone()).await.unwrap();
        assert_eq!((&receipt.key, receipt.duplicate), (&event.key, false));
        let stored = studio.store.event(&studio.tenant, &event.key).await.unwrap().expect("it is durable");
        assert_eq!((&stored.event.body, stored.event.accepted_at), (&event.body, receipt.accepted_at));
    }

    // A repeat is told apart from a conflict; both in the background and awaited.
    let first = &events[0];
    let original = studio.store.event(&studio.tenant, &first.key).await.unwrap().unwrap().event;
    let conflicting = studio.event(&first.id, &first.r#type, "y");
    for in_background in [false, true] {
        let publish = |event| async {
            if in_background { bus.publish_async(event).await.unwrap() } else { bus.publish(event).await }
        };
        let repeat = publish(first.clone()).await.unwrap();
        assert_eq!((&repeat.key, repeat.duplicate), (&first.key, true), "in background: {in_background}");
        assert_eq!(repeat.accepted_at, original.accepted_at);
        assert_eq!(publish(conflicting.clone()).await.unwrap_err().code, Code::EventConflict);
        let fresh = studio.event(&format!("fresh-{in_background}"), "background", "x");
        let receipt = publish(fresh.clone()).await.unwrap();
        assert_eq!((&receipt.key, receipt.duplicate), (&fresh.key, false));
        assert!(studio.store.event(&studio.tenant, &fresh.key).await.unwrap().is_some());
    }
    let kept = studio.store.event(&studio.tenant, &first.key).await.unwrap().unwrap().event;
    assert_eq!(kept.body, original.body, "the first one stays");

    // Racing repeats: one is new.
    let raced = studio.event("raced", "race", "x");
    let answers = futures_util::future::join_all((0..8).map(|_| bus.publish_async(raced.clone()))).await;
    let new =
        answers.into_iter().filter(|answer| !answer.as_ref().unwrap().as_ref().unwrap().duplicate).count();
    assert_eq!(new, 1);

    // An unknown tenant accepts nothing.
    let mut foreign = studio.event("1", "t", "x");
    foreign.tenant = notify_core::ids::TenantId::new("nobody").unwrap();
    assert_eq!(bus.publish(foreign).await.unwrap_err().code, Code::Unavailable);

    // Exactly the matching notices of new events, in order, without loss.
    let expected: [&[&str]; 4] = [
        &["scanner.started"],
        &["scanner.started", "scanner.report.ready"],
        &["scanner.report.ready", "release.ready"],
        &[],
    ];
    for ((subscription, expected), glob) in subscriptions.iter_mut().zip(expected).zip(globs) {
        assert_eq!(noticed(subscription).await, expected, "{glob}");
        assert_eq!(subscription.missed(), 0, "{glob}");
    }
}

/// Types of the notices that wait. They are sent before the publisher has its receipt, so nothing is under way.
async fn noticed(subscription: &mut Subscription) -> Vec<String> {
    let mut types = vec![];
    while let Ok(Some(notice)) = tokio::time::timeout(Duration::from_millis(1), subscription.next()).await {
        types.push(notice.r#type);
    }
    types
}
