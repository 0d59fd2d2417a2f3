//! The studio's own inboxes: a delivery like any other, only that nothing leaves.

use crate::studio::{Studio, eventually, now};
use notify_core::document::Kind;
use notify_core::event::Event;
use notify_core::ids::DeliveryId;
use notify_core::ledger::commitment::Commitment;
use notify_core::ledger::entry::{DeliveryAct, DeliveryEntry, Intent};
use notify_store::model::{ClaimToken, DeliveryState, InboxFilter, InboxItem, NewDelivery, Page};
use notify_store::{Commit, Effect};
use notify_worker::inbox::InboxOptions;
use serde_json::json;
use std::time::Duration;

async fn items(studio: &Studio) -> Vec<InboxItem> {
    let page = Page { limit: 100, after: None };
    studio.store.inbox(&studio.tenant, &InboxFilter::default(), &page).await.unwrap().items
}

fn event(studio: &Studio, id: &str) -> Event {
    let value = json!({
        "specversion": "1.0", "id": id, "source": "/tests", "type": "t", "data": { "severity": "high", "summary": id },
    });
    Event::from_value(&studio.tenant, value, &notify_core::event::EventLimits::default()).unwrap()
}

/// The delivery of the one event that there is.
async fn only_delivery(studio: &Studio) -> DeliveryId {
    eventually("a delivery", || async {
        studio.deliveries().await.first().map(|delivery| delivery.delivery.id.clone())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_built_in_channel_takes_what_a_rule_sends() {
    let studio = Studio::new().await;
    studio.rule("r", "t", "inbox").await;
    let worker = studio.worker().await;
    let previewed = worker.preview(&studio.tenant, None, &event(&studio, "1")).await.unwrap();
    let decision = &previewed.decisions[0];
    assert_eq!(decision.channel_type.as_deref(), Some("console"));
    assert_eq!((decision.outcome, &decision.problem, &decision.request), ("send", &None, &None));
    let message = decision.message.clone().unwrap();
    worker.accept(event(&studio, "1")).await.unwrap();
    let id = only_delivery(&studio).await;
    studio.delivery_in(&id, DeliveryState::Delivered, 1).await;
    let found = items(&studio).await;
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].delivery, found[0].channel.as_str(), &found[0].read), (&id, "inbox", &None));
    assert_eq!(found[0].severity, message.severity);
    assert_eq!(found[0].message, serde_json::to_string(&message).unwrap(), "what was previewed");
    let attempts = studio.attempts(&id).await;
    assert_eq!((attempts.len(), attempts[0].result.as_str(), &attempts[0].request), (1, "delivered", &None));
    let entries = studio.entries_about(id.as_str()).await;
    assert_eq!(entries[0].1["follows"]["outcome"], "delivered", "{entries:?}");
    assert!(entries[0].1.get("request").is_none_or(serde_json::Value::is_null));
    crate::told::stories_agree(&studio).await;
    worker.stop().await;
}

/// A process that was cut off in the middle of the attempt leaves no item, and the next one leaves one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_neither_loses_nor_doubles_an_item() {
    let studio = Studio::new().await;
    studio.rule("r", "t", "inbox").await;
    let worker = studio.worker().await;
    worker.accept(event(&studio, "1")).await.unwrap();
    let first = only_delivery(&studio).await;
    let done = studio.delivery_in(&first, DeliveryState::Delivered, 1).await.delivery;
    worker.stop().await;
    let studio = studio.reopened().await;
    // As a process leaves it that planned and claimed a delivery, and died before its record was durable.
    let id = DeliveryId::derive(["cut off"]);
    let far = now().saturating_add(jiff::SignedDuration::from_hours(1)).unwrap();
    let claim = Some((ClaimToken("dead".into()), far));
    let cut_off = NewDelivery { id: id.clone(), cause: "test".into(), claim, ..done };
    let intent = Intent {
        delivery: id.clone(),
        channel: cut_off.channel.clone(),
        target: Commitment::of(&cut_off.target_salt, cut_off.target.as_bytes()),
        message: Commitment::parse(&cut_off.message_commitment).unwrap(),
        idempotency_key: id.to_string(),
    };
    let actor = Some(Commitment::of(&[1; 32], b"tests"));
    let entry = DeliveryEntry { act: DeliveryAct::Replay { of: first.clone(), intent }, actor }.into_draft();
    let effect = Effect::CreateDelivery(Box::new(cut_off));
    studio.store.commit(Commit::new(studio.tenant.clone(), vec![effect], vec![entry])).await.unwrap();
    assert_eq!(items(&studio).await.len(), 1);
    let worker = studio.worker().await;
    studio.delivery_in(&id, DeliveryState::Delivered, 2).await;
    let results: Vec<_> = studio.attempts(&id).await.into_iter().map(|attempt| attempt.result).collect();
    assert_eq!(results, ["unknown", "delivered"]);
    let found: Vec<_> = items(&studio).await.into_iter().map(|item| item.delivery).collect();
    assert_eq!(found, [id, first]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_of_ones_own_says_how_long() {
    let studio = Studio::new().await;
    let channel = json!({
        "schema": "notify-channel@1", "id": "ops", "name": "Ops", "type": "console", "config": { "retainDays": 1 },
    });
    studio.put(Kind::Channel, &channel).await;
    studio.rule("r", "t", "ops").await;
    let worker = studio.worker().await;
    worker.accept(event(&studio, "1")).await.unwrap();
    let id = only_delivery(&studio).await;
    studio.delivery_in(&id, DeliveryState::Delivered, 1).await;
    let over = async |hours: i64| {
        let at = now().saturating_add(jiff::SignedDuration::from_hours(hours)).unwrap();
        studio.store.inbox_over(&studio.tenant, at, 10, 10).await.unwrap()
    };
    assert_eq!((over(23).await, over(25).await), (vec![], vec![id]));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_so_many_items_are_not_kept() {
    let studio = Studio::new().await;
    studio.rule("r", "t", "inbox").await;
    let options = InboxOptions { items: 2, sweep: Duration::from_millis(20), ..InboxOptions::default() };
    let worker = studio.worker_with(|all| all.inbox_items = options).await;
    for id in ["1", "2", "3", "4"] {
        worker.accept(event(&studio, id)).await.unwrap();
    }
    eventually("the oldest are gone", || async {
        let delivered = studio.deliveries().await.len() == 4;
        let all_over = studio.deliveries().await.iter().all(|d| d.state == DeliveryState::Delivered);
        (delivered && all_over && items(&studio).await.len() == 2).then_some(())
    })
    .await;
    let newest: Vec<_> = studio.deliveries().await.into_iter().map(|d| d.delivery.id).take(2).collect();
    let kept: Vec<_> = items(&studio).await.into_iter().map(|item| item.delivery).collect();
    assert_eq!(kept, newest);
    worker.stop().await;
}
