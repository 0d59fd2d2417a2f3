//! Each event is accepted once, and what was accepted is planned.

use crate::studio::{Studio, eventually};
use notify_bus::{Bus, Receipt};
use notify_core::event::Event;
use notify_core::problem::{Code, Problem};
use notify_store::model::EventState;
use notify_worker::clock::SystemClock;
use std::sync::Arc;
use std::time::Duration;

fn shown(answer: &Result<Receipt, Problem>) -> &'static str {
    match answer {
        Ok(Receipt { duplicate: false, .. }) => "new",
        Ok(Receipt { duplicate: true, .. }) => "duplicate",
        Err(problem) if problem.code == Code::EventConflict => "conflict",
        Err(_) => "another error",
    }
}

/// Offered without waiting in between, they reach the owner as one batch; offered again, they meet the store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeats_and_conflicts_within_a_batch_and_after_it() {
    let studio = Studio::with_channels().await;
    studio.rule("all", "t", "later").await;
    let worker = studio.worker().await;
    let (first, conflicting) = (studio.event("1", "t", "x"), studio.event("1", "t", "y"));
    let offered = [first.clone(), first.clone(), conflicting, studio.event("2", "t", "x"), first.clone()];
    for expected in [
        ["new", "duplicate", "conflict", "new", "duplicate"],
        ["duplicate", "duplicate", "conflict", "duplicate", "duplicate"],
    ] {
        let publishing: Vec<_> = offered.iter().map(|event| worker.accept_durably(event)).collect();
        let answers = futures_util::future::join_all(publishing).await;
        assert_eq!(answers.iter().map(shown).collect::<Vec<_>>(), expected);
        let accepted: Vec<_> = answers.iter().flatten().filter(|receipt| receipt.key == first.key).collect();
        assert!(accepted.windows(2).all(|pair| pair[0].accepted_at == pair[1].accepted_at), "{accepted:?}");
    }
    for id in ["1", "2"] {
        let event = studio.event(id, "t", "x");
        let stored = studio.store.event(&studio.tenant, &event.key).await.unwrap().expect("it is durable");
        assert_eq!((stored.state, stored.event.body), (EventState::Planned, event.body));
        let entries = studio.entries_about(event.key.as_str()).await;
        assert_eq!(entries.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(), ["event"], "{id}");
        assert_eq!(entries[0].1["decisions"][0]["outcome"], "send");
    }
    assert_eq!(studio.deliveries().await.len(), 2);
    worker.stop().await;
}

/// `Worker::accept` and the trait's method share a name; the trait's takes its place in the order when it is called.
trait AcceptDurably {
    fn accept_durably(&self, event: &Event) -> notify_bus::Publishing;
}

impl AcceptDurably for notify_worker::Worker {
    fn accept_durably(&self, event: &Event) -> notify_bus::Publishing {
        notify_bus::DurableSink::accept(self, event.clone())
    }
}

/// Another process took events in and planned none of them: a worker does so when it starts, and when it sweeps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_accepted_elsewhere_is_planned_in_order() {
    let studio = Studio::with_channels().await;
    studio.rule("all", "t", "later").await;
    let intake = Bus::database(studio.store.clone(), Arc::new(SystemClock));
    let events: Vec<_> = (0..100).map(|n| studio.event(&n.to_string(), "t", "x")).collect();
    let (before, during) = events.split_at(90);
    for event in before {
        assert_eq!(shown(&intake.publish(event.clone()).await), "new");
    }
    let state = |event: &Event| {
        let (store, tenant, key) = (studio.store.clone(), studio.tenant.clone(), event.key.clone());
        async move { store.event(&tenant, &key).await.unwrap().map(|event| event.state) }
    };
    assert_eq!(state(&events[0]).await, Some(EventState::Pending), "nobody has planned it");
    let worker = studio.worker_with(|options| options.sweep = Some(Duration::from_millis(20))).await;
    for event in during {
        assert_eq!(shown(&intake.publish(event.clone()).await), "new");
    }
    for event in &events {
        eventually("planned", || async { state(event).await.filter(|state| *state == EventState::Planned) })
            .await;
    }
    let head = studio.store.ledger_head(&studio.tenant).await.unwrap().unwrap();
    let entries = studio.store.ledger_entries(&studio.tenant, 0, head.size, 1000).await.unwrap();
    let planned: Vec<_> = entries.iter().filter(|e| e.kind == "event").map(|e| e.about.as_str()).collect();
    let accepted: Vec<_> = events.iter().map(|event| event.key.as_str()).collect();
    assert_eq!(planned, accepted, "once each, in the order of acceptance");
    worker.stop().await;
}
