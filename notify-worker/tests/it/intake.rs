//! What comes from a bus, through both brokers: published or put aside, never lost, never twice.

use crate::studio::{Studio, now};
use notify_bus::Bus;
use notify_bus::intake::{Intake, Message, ProducerKeys, QuarantineLimits, Taken};
use notify_core::event::EventLimits;
use notify_core::problem::Code;
use notify_store::model::Page;
use notify_worker::clock::SystemClock;
use std::sync::Arc;

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
    let limits = QuarantineLimits { messages: 2, body_bytes: 64 };
    let intake = Intake::new(
        studio.store.clone(),
        Arc::new(SystemClock),
        ProducerKeys::default(),
        EventLimits::default(),
    )
    .with_quarantine_limits(limits);
    let received_at = now();
    let take = async |body: &str| {
        let message = Message {
            tenant: &studio.tenant,
            origin: "test:in",
            content_type: "",
            body: body.as_bytes(),
            received_at,
        };
        intake.take(&bus, message).await
    };
    let event = |id: &str| format!(r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"t"}}"#);
    let Ok(Taken::Published(first)) = take(&event("1")).await else { panic!("a good event is published") };
    let Ok(Taken::Published(again)) = take(&event("1")).await else { panic!("a repeat is known") };
    assert_eq!((first.duplicate, again.duplicate, &first.key), (false, true, &again.key));
    assert!(studio.store.event(&studio.tenant, &first.key).await.unwrap().is_some());

    let bad = "[".repeat(100);
    let Ok(Taken::Quarantined(id)) = take(&bad).await else { panic!("a bad one is put aside") };
    assert_eq!(take(&bad).await, Ok(Taken::Quarantined(id.clone())));
    let kept = studio.store.quarantined(&studio.tenant, &id).await.unwrap().unwrap();
    assert_eq!((kept.body.len(), kept.truncated, kept.origin.as_str()), (64, true, "test:in"));

    // Full: the bus keeps what does not go in, and good events still pass.
    assert!(matches!(take("{}").await, Ok(Taken::Quarantined(_))));
    assert_eq!(take("[]").await.unwrap_err().code, Code::Unavailable);
    assert!(matches!(take(&event("2")).await, Ok(Taken::Published(_))));
    assert_eq!(
        studio.store.quarantine(&studio.tenant, &Page { limit: 9, after: None }).await.unwrap().items.len(),
        2
    );
}
