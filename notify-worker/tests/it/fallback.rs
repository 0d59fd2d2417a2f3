//! Who takes over, who waits, and what a change of a channel's document does to those who wait for it.

use crate::behaviour::{attempted, channel, over, put, send, state, took_over};
use crate::noise::{SetClock, accept, calendar, rule_to, watchful, written};
use crate::receiver::Receiver;
use crate::studio::{Studio, eventually, now};
use notify_core::breaker::Breaker;
use notify_core::document::Kind;
use notify_store::model::DeliveryState;
use notify_worker::clock::after;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// The channel goes while an alert waits for its second attempt. Whoever takes over is judged as everything that is late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_alerts_of_a_channel_that_goes_are_taken_over() {
    for (case, gone, ends) in [
        ("disabled", false, Some(DeliveryState::Delivered)),
        ("deleted", true, Some(DeliveryState::Delivered)),
        ("silenced", false, Some(DeliveryState::Cancelled)),
        ("quiet", false, Some(DeliveryState::Delivered)),
        ("rule disabled", false, None),
    ] {
        let clock = Arc::new(SetClock::default());
        let studio = Studio::new().await;
        let hook = json!({"fallback": {"channel": "inbox", "after": "1d"}});
        put(&studio, "hook", "https://hook.example/", hook).await;
        rule_to(&studio, "t", "hook", &json!({}), true).await;
        let worker = studio.worker_at(clock.clone(), watchful).await;
        accept(&studio, &worker, "1", "t").await;
        let id = studio.deliveries().await[0].delivery.id.clone();
        studio.delivery_in(&id, DeliveryState::Scheduled, 2).await;
        match case {
            "silenced" => {
                let silence = json!({
                    "schema": "notify-silence@1", "id": "s", "reason": "r", "match": {"type": ["t"]},
                    "until": written(clock.as_ref(), 100_000),
                });
                studio.put(Kind::Silence, &silence).await;
            }
            "quiet" => {
                calendar(&studio, clock.as_ref(), "nights", &[(1_000, 9_000)]).await;
                let policy = json!({
                    "schema": "notify-policy@1", "id": "noise", "name": "Noise",
                    "quietHours": [{"calendar": "nights", "mode": "hold"}],
                });
                studio.put(Kind::Policy, &policy).await;
            }
            "rule disabled" => rule_to(&studio, "t", "hook", &json!({}), false).await,
            _ => {}
        }
        if gone {
            studio.delete(Kind::Channel, "hook").await;
        } else {
            put(
                &studio,
                "hook",
                "https://hook.example/",
                json!({
                    "enabled": false, "fallback": {"channel": "inbox", "after": "1d"},
                }),
            )
            .await;
        }
        worker.configuration_changed(&studio.tenant).await;
        clock.set(7_000);
        over(&studio, &id, DeliveryState::Cancelled).await;
        let new = took_over(&studio, &id).await;
        assert_eq!(new.len(), usize::from(ends.is_some()), "{case}");
        if case == "quiet" {
            let morning = written(clock.as_ref(), 1_000).parse().unwrap();
            eventually("it waits for the morning", || async {
                let found = studio.store.delivery(&studio.tenant, &new[0].delivery.id).await.unwrap()?;
                found.next_due.filter(|due| *due > morning)
            })
            .await;
            clock.set(9_001);
        }
        if let Some(ends) = ends {
            over(&studio, &new[0].delivery.id, ends).await;
        }
        worker.stop().await;
    }
}

/// A fallback that is off and has none of its own takes nothing over: what waits for an open breaker goes on waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_can_take_over_waits_for_its_channel() {
    let studio = Studio::new().await;
    let receiver = Receiver::start(500);
    put(&studio, "off", &receiver.url, json!({"enabled": false})).await;
    let more = json!({
        "breaker": {"failures": 1, "openFor": "2s", "atMost": "2s"},
        "fallback": {"channel": "off", "after": "0"},
    });
    put(&studio, "hook", &receiver.url, more).await;
    studio.rule("alerts", "alert", "hook").await;
    let worker = studio.sending_worker(&[], |_| {}).await;
    let first = send(&studio, &worker, "1", "alert").await;
    assert_eq!(attempted(&studio, &first).await, "retry");
    eventually("it opens", || async {
        (state(&studio, &worker, "hook").await["state"] == "open").then_some(())
    })
    .await;
    let id = send(&studio, &worker, "2", "alert").await;
    eventually("it is sent back", || async {
        (state(&studio, &worker, "hook").await["waiting"] == 2).then_some(())
    })
    .await;
    receiver.answers(200);
    over(&studio, &id, DeliveryState::Delivered).await;
    assert_eq!(studio.attempts(&id).await.len(), 1);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_replay_of_a_test_is_a_test() {
    let studio = Studio::new().await;
    let bad = Receiver::start(400);
    let more = json!({"fallback": {"channel": "inbox"}, "retry": {"scheduleSeconds": []}});
    put(&studio, "bad", &bad.url, more).await;
    let worker = studio.sending_worker(&[], |_| {}).await;
    let id = worker.test_channel(&studio.tenant, &channel("bad"), "alice", None).await.unwrap();
    over(&studio, &id, DeliveryState::Dead).await;
    let again = worker.replay(&studio.tenant, &id, "alice", None).await.unwrap();
    over(&studio, &again, DeliveryState::Dead).await;
    assert!(took_over(&studio, &again).await.is_empty());
    worker.stop().await;
}

/// Others say what they know of a channel through the store: it holds for the document that it is about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_channel_begins_anew_and_no_other() {
    let studio = Studio::new().await;
    let (good, bad) = (Receiver::start(200), Receiver::start(500));
    let breaker = json!({"breaker": {"failures": 1, "openFor": "1h", "atMost": "1h"}});
    put(&studio, "hook", &good.url, breaker.clone()).await;
    studio.rule("alerts", "alert", "hook").await;
    let until = after(now(), Duration::from_secs(3_600));
    let open = Breaker::Open { since: now(), until, round: 0 };
    studio.store.note_breaker(&studio.tenant, &channel("hook"), Some(1), open).await.unwrap();
    studio.store.pause_channel(&studio.tenant, &channel("hook"), Some(1), until).await.unwrap();
    put(&studio, "hook", &good.url, breaker.clone()).await;
    let worker = studio.sending_worker(&[], |_| {}).await;
    assert_eq!(state(&studio, &worker, "hook").await["breaker"]["state"], "closed");
    let id = send(&studio, &worker, "1", "alert").await;
    over(&studio, &id, DeliveryState::Delivered).await;

    // Known since the version before; another document's change does not close what opened since.
    put(&studio, "hook", &bad.url, breaker).await;
    worker.configuration_changed(&studio.tenant).await;
    let id = send(&studio, &worker, "2", "alert").await;
    assert_eq!(attempted(&studio, &id).await, "retry");
    let opens = async || {
        eventually("it is open", || async {
            (state(&studio, &worker, "hook").await["state"] == "open").then_some(())
        })
        .await
    };
    opens().await;
    put(&studio, "other", &good.url, json!({})).await;
    worker.configuration_changed(&studio.tenant).await;
    send(&studio, &worker, "3", "alert").await;
    eventually("it is sent back", || async {
        let status = state(&studio, &worker, "hook").await;
        (status["waiting"] == 2 && status["inFlight"] == 0).then_some(())
    })
    .await;
    opens().await;
    assert_eq!(bad.got().len(), 1);
    let open = || worker_says(&worker, "notify_channel_breaker_open{type=\"webhook\"} 1");
    assert!(open());

    // Gone is gone, also from what is counted.
    studio.delete(Kind::Channel, "hook").await;
    worker.configuration_changed(&studio.tenant).await;
    assert!(!open());
    assert_eq!(studio.store.channel_state(&studio.tenant, &channel("hook")).await.unwrap(), None);
    worker.stop().await;
}

fn worker_says(worker: &notify_worker::Worker, line: &str) -> bool {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, worker.metrics().registry()).unwrap();
    text.contains(line)
}

/// An hour's wait for a turn ends when the rate is corrected, or the channel is disabled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_corrected_rate_frees_the_queue() {
    for disabled in [false, true] {
        let studio = Studio::new().await;
        let receiver = Receiver::start(200);
        let slow = json!({"rate": {"count": 1, "seconds": 3600}, "fallback": {"channel": "inbox"}});
        put(&studio, "hook", &receiver.url, slow).await;
        studio.rule("alerts", "alert", "hook").await;
        let worker = studio.sending_worker(&[], |_| {}).await;
        let mut all = Vec::new();
        for number in 0..4 {
            all.push(send(&studio, &worker, &number.to_string(), "alert").await);
        }
        eventually("they stand in line", || async {
            (state(&studio, &worker, "hook").await["waiting"] == 3).then_some(())
        })
        .await;
        let quick = json!({
            "rate": {"count": 100, "seconds": 1}, "enabled": !disabled, "fallback": {"channel": "inbox"},
        });
        put(&studio, "hook", &receiver.url, quick).await;
        worker.configuration_changed(&studio.tenant).await;
        for id in &all[1..] {
            match disabled {
                false => over(&studio, id, DeliveryState::Delivered).await,
                true => {
                    over(&studio, id, DeliveryState::Cancelled).await;
                    let new = took_over(&studio, id).await;
                    over(&studio, &new[0].delivery.id, DeliveryState::Delivered).await;
                }
            }
        }
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refreshing_secrets_ends_a_pause() {
    let studio = Studio::new().await;
    let receiver = Receiver::start(429);
    put(&studio, "hook", &receiver.url, json!({})).await;
    studio.rule("alerts", "alert", "hook").await;
    let worker = studio.sending_worker(&[], |_| {}).await;
    let first = send(&studio, &worker, "1", "alert").await;
    assert_eq!(attempted(&studio, &first).await, "throttled");
    eventually("it is paused", || async {
        (state(&studio, &worker, "hook").await["state"] == "paused").then_some(())
    })
    .await;
    let second = send(&studio, &worker, "2", "alert").await;
    eventually("it is sent back", || async {
        let status = state(&studio, &worker, "hook").await;
        (status["waiting"] == 2 && status["inFlight"] == 0).then_some(())
    })
    .await;
    receiver.answers(200);
    worker.refresh_secrets(&studio.tenant, &channel("hook"), "alice").await.unwrap();
    over(&studio, &second, DeliveryState::Delivered).await;
    worker.stop().await;
}
