//! Channels that the studio disables by itself, what it tells about it, and how they come back.

use crate::receiver::Receiver;
use crate::studio::{Studio, eventually, now};
use notify_core::document::Kind;
use notify_core::time::Timestamp;
use notify_store::model::{DeliveryState, EventState, Page};
use notify_worker::Worker;
use notify_worker::channels::{CHANNEL_UPDATED, OWN_SOURCE};
use serde_json::{Value, json};
use std::time::Duration;

/// Sends an event of this type and waits until its delivery is over; gives the state.
async fn send(studio: &Studio, worker: &Worker, id: &str, r#type: &str) -> DeliveryState {
    let key = worker.accept(studio.event(id, r#type, "x")).await.unwrap().key;
    let caused = |found: &notify_store::model::Delivery| found.delivery.event.as_ref() == Some(&key);
    // Where planning is late, the event is accepted first.
    let delivery = eventually("the delivery is made", || async {
        studio.deliveries().await.into_iter().find(caused).map(|found| found.delivery.id)
    })
    .await;
    eventually("the delivery is over", || async {
        let found = studio.store.delivery(&studio.tenant, &delivery).await.unwrap().unwrap();
        (found.state != DeliveryState::Scheduled).then_some(found.state)
    })
    .await
}

async fn disabled(studio: &Studio, id: &str) -> u64 {
    eventually(&format!("{id} is disabled"), || async {
        let (version, channel) = studio.channel(id).await;
        (channel["enabled"] == false).then_some(version)
    })
    .await
}

/// The studio's own events, oldest first.
async fn own_events(studio: &Studio) -> Vec<Value> {
    let page = Page { limit: 100, after: None };
    let mut events = studio.store.events(&studio.tenant, &page).await.unwrap().items;
    events.reverse();
    let own = events.into_iter().filter(|event| event.event.source == OWN_SOURCE);
    own.map(|event| {
        assert!(matches!(event.state, EventState::Planned | EventState::Pending));
        serde_json::from_str(&event.event.body).unwrap()
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_gone_disables_its_channel_and_people_are_told_once() {
    let studio = Studio::new().await;
    let (gone, operations) = (Receiver::start(410), Receiver::start(200));
    studio.hook("gone", &gone.url, &json!({})).await;
    studio.hook("operations", &operations.url, &json!({})).await;
    studio.rule("alerts", "alert", "gone").await;
    studio.rule("watch", CHANNEL_UPDATED, "operations").await;
    let worker = studio.sending_worker(&[], |_| {}).await;
    assert_eq!(send(&studio, &worker, "1", "alert").await, DeliveryState::Dead);
    assert_eq!(disabled(&studio, "gone").await, 2);

    // The own event was written with it, is planned, and reaches whoever asked for such events.
    eventually("operations are told", || async { (!operations.got().is_empty()).then_some(()) }).await;
    let told: Value = serde_json::from_slice(&operations.got()[0].body).unwrap();
    assert_eq!(told["data"]["event"]["type"], CHANNEL_UPDATED, "{told}");
    let own = own_events(&studio).await;
    assert_eq!(own.len(), 1);
    assert_eq!(
        (&own[0]["type"], &own[0]["subject"], &own[0]["notifyhops"], &own[0]["data"]["reason"]),
        (&CHANNEL_UPDATED.into(), &"gone".into(), &1.into(), &"gone".into())
    );
    let entries = studio.entries_about("channel/gone").await;
    let (kind, entry) = entries.last().unwrap();
    assert_eq!((kind.as_str(), &entry["version"]), ("config", &2.into()), "{entry}");
    assert_eq!(worker.metrics().disabled.get(), 1);

    // What comes later is not sent, and the decision says why.
    let key = worker.accept(studio.event("2", "alert", "x")).await.unwrap().key;
    let decided = eventually("it is decided", || async {
        studio.entries_about(key.as_str()).await.into_iter().find(|(kind, _)| kind == "event")
    })
    .await
    .1;
    assert_eq!(studio.deliveries().await.len(), 2, "the alert and the news about its channel");
    assert!(decided.to_string().contains("channel-disabled"), "{decided}");
    assert_eq!(gone.got().len(), 1);

    // The channel that tells of it goes as well: a delivery that one of our own events caused tells nobody.
    operations.answers(410);
    studio.rule("also", "note", "operations").await;
    worker.configuration_changed(&studio.tenant).await;
    studio.hook("gone", &gone.url, &json!({})).await;
    worker.configuration_changed(&studio.tenant).await;
    assert_eq!(send(&studio, &worker, "3", "alert").await, DeliveryState::Dead);
    assert_eq!(disabled(&studio, "gone").await, 4);
    disabled(&studio, "operations").await;
    worker.stop().await;
    let studio = studio.reopened().await;
    let subjects: Vec<_> = own_events(&studio).await.iter().map(|event| event["subject"].clone()).collect();
    assert_eq!(subjects, ["gone", "gone"], "none about operations");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_failures_for_long_disables_a_channel() {
    let limit = Duration::from_millis(300);
    let studio = Studio::new().await;
    let receiver = Receiver::start(500);
    studio.hook("hook", &receiver.url, &json!({})).await;
    studio.rule("alerts", "alert", "hook").await;
    let worker = studio.sending_worker(&[], |options| options.disable_after = Some(limit)).await;
    let enabled = async || studio.channel("hook").await.1["enabled"] == true;
    let past_the_limit = async || {
        let from = now();
        eventually("time passes", || async {
            Duration::try_from(now().duration_since(from)).is_ok_and(|d| d > limit).then_some(())
        })
        .await;
    };
    let hook = notify_core::ids::ChannelId::new("hook").unwrap();
    let noted = async || studio.store.channel_failing_since(&studio.tenant, &hook).await.unwrap();
    let settled = async |failing: bool| {
        eventually("the channel's health is noted", || async {
            (noted().await.is_some() == failing).then_some(())
        })
        .await;
    };

    // The first failure only begins the count, and a success ends it.
    assert_eq!(send(&studio, &worker, "1", "alert").await, DeliveryState::Dead);
    settled(true).await;
    past_the_limit().await;
    receiver.answers(200);
    assert_eq!(send(&studio, &worker, "2", "alert").await, DeliveryState::Delivered);
    settled(false).await;
    receiver.answers(503);
    assert_eq!(send(&studio, &worker, "3", "alert").await, DeliveryState::Dead);
    settled(true).await;
    assert!(enabled().await, "failing for a moment only");

    // What another process noted long ago is held against the successes that the store knows of.
    worker.stop().await;
    let studio = studio.reopened().await;
    let long_ago = Timestamp::from_second(1_700_000_000).unwrap();
    studio.store.note_channel_failing(&studio.tenant, &hook, long_ago).await.unwrap();
    let worker = studio.sending_worker(&[], |options| options.disable_after = Some(limit)).await;
    assert_eq!(send(&studio, &worker, "4", "alert").await, DeliveryState::Dead);
    eventually("the count begins anew", || async {
        let since = studio.store.channel_failing_since(&studio.tenant, &hook).await.unwrap();
        since.filter(|since| *since > long_ago)
    })
    .await;
    assert_eq!(studio.channel("hook").await.1["enabled"], true);

    // A restart does not forget.
    worker.stop().await;
    let studio = studio.reopened().await;
    let worker = studio.sending_worker(&[], |options| options.disable_after = Some(limit)).await;
    past_the_limit().await;
    assert_eq!(send(&studio, &worker, "5", "alert").await, DeliveryState::Dead);
    disabled(&studio, "hook").await;
    let own = own_events(&studio).await;
    assert_eq!((own.len(), &own[0]["data"]["reason"]), (1, &"failing".into()));
    assert!(own[0]["data"]["failingSince"].is_string() && own[0]["severity"] == "high", "{}", own[0]);

    // Enabled again by a person, it gets the whole time anew.
    let (_, mut channel) = studio.channel("hook").await;
    channel["enabled"] = true.into();
    studio.put(Kind::Channel, &channel).await;
    worker.configuration_changed(&studio.tenant).await;
    assert_eq!(send(&studio, &worker, "6", "alert").await, DeliveryState::Dead);
    assert_eq!(studio.channel("hook").await.1["enabled"], true);
    worker.stop().await;
}

/// What is ours, not the receiver's: without a plug-in nothing was ever asked of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_of_our_own_disables_nothing() {
    let studio = Studio::with_channels().await;
    studio.rule("alerts", "alert", "once").await;
    let worker = studio.worker_with(|options| options.disable_after = Some(Duration::ZERO)).await;
    assert_eq!(send(&studio, &worker, "1", "alert").await, DeliveryState::Dead);
    assert_eq!(send(&studio, &worker, "2", "alert").await, DeliveryState::Dead);
    worker.stop().await;
    let studio = studio.reopened().await;
    assert_eq!(studio.channel("once").await.1["enabled"], true);
    assert_eq!(own_events(&studio).await, [Value::Null; 0]);
}
