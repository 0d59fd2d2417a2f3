//! Dead letters once more, many at a time.

use crate::studio::{Studio, eventually};
use notify_core::document::Kind;
use notify_core::ids::{ChannelId, RuleId};
use notify_core::time::Timestamp;
use notify_store::model::{Delivery, DeliveryFilter, DeliveryState};
use notify_worker::Worker;
use notify_worker::redrive::Pace;
use serde_json::json;
use std::collections::BTreeSet;

fn pace(rate_per_second: f64) -> Pace {
    Pace { rate_per_second, at_most: 1_000, dry_run: false }
}

/// Dead letters of this rule, all of one channel of the same name.
async fn dead_letters(studio: &Studio, worker: &Worker, rule: &str, count: usize) {
    for number in 0..count {
        worker.accept(studio.event(&format!("{rule}{number}"), rule, "x")).await.unwrap();
    }
    eventually("all are dead", || async {
        let of_rule = |found: &&Delivery| found.delivery.rule.as_str() == rule;
        let all = studio.deliveries().await;
        (all.iter().filter(of_rule).filter(|d| d.state == DeliveryState::Dead).count() == count).then_some(())
    })
    .await;
}

fn due_times(deliveries: &[Delivery]) -> Vec<Timestamp> {
    let mut times: Vec<_> = deliveries.iter().map(|found| found.delivery.due_at).collect();
    times.sort();
    times
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_dead_letter_is_replayed_once_at_the_rate() {
    let studio = Studio::with_channels().await;
    studio.rule("once", "once", "once").await;
    studio.rule("other", "other", "once").await;
    let worker = studio.worker().await;
    dead_letters(&studio, &worker, "once", 5).await;
    dead_letters(&studio, &worker, "other", 2).await;
    let rule = DeliveryFilter { rule: Some(RuleId::new("once").unwrap()), ..DeliveryFilter::default() };

    let dry = Pace { dry_run: true, ..pace(20.0) };
    let counted = worker.redrive(&studio.tenant, &rule, &dry, "alice").await.unwrap();
    assert_eq!((counted.matched, counted.redriven, counted.remaining), (5, 5, 0));
    assert_eq!(studio.deliveries().await.len(), 7, "nothing was made");

    let few = Pace { at_most: 2, ..pace(20.0) };
    let first = worker.redrive(&studio.tenant, &rule, &few, "alice").await.unwrap();
    assert_eq!((first.matched, first.redriven, first.remaining), (5, 2, 3));
    let rest = worker.redrive(&studio.tenant, &rule, &pace(20.0), "alice").await.unwrap();
    assert_eq!((rest.matched, rest.redriven, rest.remaining), (3, 3, 0));
    let made: Vec<Delivery> = studio
        .deliveries()
        .await
        .into_iter()
        .filter(|found| found.delivery.cause.starts_with("replay:"))
        .collect();
    assert_eq!(made.len(), 5);
    let ids: BTreeSet<_> = made.iter().map(|found| found.delivery.id.clone()).collect();
    assert_eq!(ids.len(), 5, "each has an id of its own");
    let spaced = |start: Option<Timestamp>, count: i64| {
        (0..count).map(move |n| start.unwrap() + jiff::SignedDuration::from_millis(50 * n))
    };
    let mut expected: Vec<_> = spaced(first.first_due_at, 2).chain(spaced(rest.first_due_at, 3)).collect();
    expected.sort();
    assert_eq!(due_times(&made), expected, "twenty a second");
    for found in &made {
        let entries = studio.entries_about(found.delivery.id.as_str()).await;
        assert_eq!(entries[0].0, "delivery");
        assert_eq!(entries[0].1["act"], "replay");
        assert_eq!(entries[0].1["message"], found.delivery.message_commitment.as_str());
    }
    // They are sent and die in turn; now they are the dead letters, not what they repeated.
    for found in &made {
        studio.delivery_in(&found.delivery.id, DeliveryState::Dead, 1).await;
    }
    let again = worker.redrive(&studio.tenant, &rule, &pace(1_000.0), "alice").await.unwrap();
    assert_eq!((again.matched, again.redriven), (5, 5));
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_at_once_send_nothing_twice() {
    let studio = Studio::with_channels().await;
    studio.rule("once", "once", "once").await;
    let worker = studio.worker().await;
    dead_letters(&studio, &worker, "once", 30).await;
    let all = DeliveryFilter::default();
    // From here on a failure is tried again much later: a replay that failed already must not count as a dead letter.
    let patient = json!({
        "schema": "notify-channel@1", "id": "once", "name": "once", "type": "webhook",
        "config": {"url": "https://once.example/hook"}, "retry": {"scheduleSeconds": [3600]},
    });
    studio.put(Kind::Channel, &patient).await;
    worker.configuration_changed(&studio.tenant).await;
    let slowly = Pace { at_most: 30, ..pace(0.01) };
    let (one, two) = tokio::join!(
        worker.redrive(&studio.tenant, &all, &slowly, "alice"),
        worker.redrive(&studio.tenant, &all, &slowly, "bob"),
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.redriven + two.redriven, 30, "{one:?} {two:?}");
    let replays = |found: &Delivery| found.delivery.cause.starts_with("replay:");
    assert_eq!(studio.deliveries().await.iter().filter(|found| replays(found)).count(), 30);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_survives_a_restart_and_closed_channels_are_left_out() {
    let studio = Studio::with_channels().await;
    studio.rule("once", "once", "once").await;
    studio.rule("shut", "shut", "shut").await;
    let shut = |enabled: bool| {
        json!({
            "schema": "notify-channel@1", "id": "shut", "name": "shut", "type": "webhook", "enabled": enabled,
            "config": {"url": "https://shut.example/"}, "retry": {"scheduleSeconds": []},
        })
    };
    studio.put(Kind::Channel, &shut(true)).await;
    let worker = studio.worker().await;
    dead_letters(&studio, &worker, "once", 3).await;
    dead_letters(&studio, &worker, "shut", 2).await;
    studio.put(Kind::Channel, &shut(false)).await;
    worker.configuration_changed(&studio.tenant).await;
    let done =
        worker.redrive(&studio.tenant, &DeliveryFilter::default(), &pace(0.01), "alice").await.unwrap();
    assert_eq!((done.matched, done.redriven, done.remaining), (5, 3, 0));
    let skipped: Vec<_> = done.skipped.iter().map(|((c, reason), n)| (c.as_str(), *reason, *n)).collect();
    assert_eq!(skipped, [("shut", "channel-disabled", 2)]);
    assert_eq!(done.last_due_at.unwrap().duration_since(done.first_due_at.unwrap()).as_secs(), 200);

    worker.stop().await;
    let studio = studio.reopened().await;
    let worker = studio.worker().await;
    let waiting: Vec<Delivery> = studio
        .deliveries()
        .await
        .into_iter()
        .filter(|found| found.state == DeliveryState::Scheduled)
        .collect();
    assert_eq!(waiting.len(), 2, "the first was due at once");
    assert_eq!(waiting.iter().map(|found| found.next_due).max(), Some(done.last_due_at));
    let channel =
        DeliveryFilter { channel: Some(ChannelId::new("shut").unwrap()), ..DeliveryFilter::default() };
    let none = worker.redrive(&studio.tenant, &channel, &pace(1.0), "alice").await.unwrap();
    assert_eq!((none.matched, none.redriven), (2, 0));
    worker.stop().await;
}
