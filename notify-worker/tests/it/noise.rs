//! What noise control remembers is in the store: a restart, an idle night and a clock that is set change nothing.

use crate::account::{account, windows};
use crate::studio::{Studio, eventually, now};
use jiff::SignedDuration;
use notify_core::document::Kind;
use notify_core::time::{Clock, Timestamp};
use notify_worker::clock::SystemClock;
use notify_worker::{Worker, WorkerOptions};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// The machine's clock, so many seconds off.
#[derive(Default)]
pub struct SetClock(AtomicI64);

impl SetClock {
    pub fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + SignedDuration::from_secs(self.0.load(Ordering::SeqCst))
    }
}

/// Whoever waits looks often, so that a clock that jumps is noticed.
pub fn watchful(options: &mut WorkerOptions) {
    options.sweep = Some(Duration::from_millis(30));
}

/// A rule for events of its id's type, with these controls on its one action.
pub async fn rule(studio: &Studio, id: &str, controls: &Value) {
    rule_to(studio, id, "once", controls, true).await;
}

pub async fn rule_to(studio: &Studio, id: &str, channel: &str, controls: &Value, enabled: bool) {
    let mut action = json!({"id": "only", "channel": channel, "dedupe": "off", "throttle": "off"});
    action.as_object_mut().unwrap().extend(controls.as_object().unwrap().clone());
    let rule = json!({
        "schema": "notify-rule@1", "id": id, "name": id, "enabled": enabled, "match": {"type": [id]},
        "storm": "off", "actions": [action],
    });
    studio.put(Kind::Rule, &rule).await;
}

/// Accepted and planned.
pub async fn accept(studio: &Studio, worker: &Worker, id: &str, r#type: &str) {
    worker.accept(studio.event(id, r#type, "x")).await.unwrap();
    planned(studio).await;
}

/// Nothing waits to be planned.
pub async fn planned(studio: &Studio) {
    eventually("everything is planned", || async {
        studio.store.pending_events(&studio.tenant, 1).await.unwrap().is_empty().then_some(())
    })
    .await;
}

/// The digest windows are all over.
pub async fn flushed(studio: &Studio) {
    eventually("every window is over", || async { windows(studio).await.is_empty().then_some(()) }).await;
}

/// One alert goes out; after a restart the next of the same kind does not, for the same reason as without one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_counts_after_a_restart() {
    let budget = json!({
        "schema": "notify-channel@1", "id": "once", "name": "once", "type": "webhook",
        "config": {"url": "https://once.example/"}, "retry": {"scheduleSeconds": []},
        "budget": {"limit": 1, "per": "1h", "overflow": "drop"},
    });
    for (control, controls, channel) in [
        ("dedupe", json!({"dedupe": {"key": ["/type"], "window": "1h"}}), None),
        ("throttle", json!({"throttle": {"limit": 1, "per": "1h", "overflow": "drop"}}), None),
        ("budget", json!({}), Some(&budget)),
    ] {
        let studio = Studio::with_channels().await;
        if let Some(channel) = channel {
            studio.put(Kind::Channel, channel).await;
        }
        rule(&studio, "t", &controls).await;
        let worker = studio.worker().await;
        accept(&studio, &worker, "1", "t").await;
        worker.stop().await;
        let mut studio = studio.reopened().await;
        for id in ["2", "3"] {
            let worker = studio.worker().await;
            accept(&studio, &worker, id, "t").await;
            worker.stop().await;
            studio = studio.reopened().await;
        }
        let found = account(&studio).await;
        assert_eq!((found.sent, found.events), (1, 3), "{control}: {found:?}");
        assert_eq!(found.suppressed.get(control), Some(&2), "{control}: {found:?}");
    }
}

/// Two alerts before a restart and two after it are one delivery that lists the four.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_digest_goes_on_collecting_after_a_restart() {
    let clock = Arc::new(SetClock::default());
    for (controls, count, sent_at_once) in [
        (json!({"digest": {"window": "1h"}}), 4, 0),
        (json!({"digest": {"mode": "sliding", "window": "1h", "cap": "3h"}}), 4, 0),
        (json!({"digest": {"mode": "look-back", "window": "1h"}}), 3, 1),
        (json!({"throttle": {"limit": 1, "per": "1h"}}), 3, 1),
    ] {
        clock.set(0);
        let studio = Studio::with_channels().await;
        rule(&studio, "t", &controls).await;
        let worker = studio.worker_at(clock.clone(), watchful).await;
        for id in ["1", "2"] {
            accept(&studio, &worker, id, "t").await;
        }
        worker.stop().await;
        let studio = studio.reopened().await;
        let before = account(&studio).await;
        assert_eq!(before.collecting, count - 2, "{controls}: {before:?}");
        let worker = studio.worker_at(clock.clone(), watchful).await;
        for id in ["3", "4"] {
            accept(&studio, &worker, id, "t").await;
        }
        assert_eq!(windows(&studio).await.len(), 1);
        clock.set(3_700);
        flushed(&studio).await;
        let found = account(&studio).await;
        assert_eq!((found.sent, found.digested), (sent_at_once, count), "{controls}: {found:?}");
        assert_eq!(found.digests.len(), 1, "{controls}: {found:?}");
        worker.stop().await;
    }
}

/// Timers are nobody's business but the owner's: its lease has run out, and no event comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_owner_fires_its_timers() {
    let studio = Studio::with_channels().await;
    rule(&studio, "t", &json!({"digest": {"window": "1s"}})).await;
    let worker = studio.worker_with(|options| options.lease = Duration::from_millis(150)).await;
    for round in 1..=2 {
        accept(&studio, &worker, &round.to_string(), "t").await;
        flushed(&studio).await;
    }
    assert_eq!(account(&studio).await.digests.len(), 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_fire_after_a_restart_without_any_event() {
    let studio = Studio::with_channels().await;
    rule(&studio, "t", &json!({"digest": {"window": "1s"}})).await;
    let worker = studio.worker().await;
    for id in ["1", "2"] {
        accept(&studio, &worker, id, "t").await;
    }
    worker.stop().await;
    let studio = studio.reopened().await;
    let worker = studio.worker().await;
    flushed(&studio).await;
    assert_eq!(account(&studio).await.digested, 2);
    worker.stop().await;
}

/// Logical time does not go back. What is due by it goes out, although the clock on the wall is an hour behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_set_back_stops_nothing() {
    let clock = Arc::new(SetClock::default());
    let studio = Studio::with_channels().await;
    rule(&studio, "t", &json!({"digest": {"window": "10m", "max": 2}})).await;
    studio.rule("plain", "plain", "once").await;
    let worker = studio.worker_at(clock.clone(), |_| {}).await;
    clock.set(3_600);
    accept(&studio, &worker, "0", "plain").await;
    clock.set(0);
    for id in ["1", "2", "3"] {
        let waiting = worker.accept(studio.event(id, "t", "x"));
        tokio::time::timeout(Duration::from_secs(15), waiting).await.expect("it is accepted").unwrap();
    }
    planned(&studio).await;
    eventually("the full one is sent", || async { (studio.deliveries().await.len() == 2).then_some(()) })
        .await;
    let found = account(&studio).await;
    assert_eq!((found.digested, found.collecting), (2, 1), "{found:?}");
    worker.stop().await;
}

/// A time as documents write it.
pub fn written(clock: &dyn Clock, seconds: i64) -> String {
    let at = clock.now() + SignedDuration::from_secs(seconds);
    Timestamp::from_second(at.as_second()).unwrap().to_string()
}

/// Windows of `(from, to)`, in seconds from now.
pub async fn calendar(studio: &Studio, clock: &dyn Clock, id: &str, times: &[(i64, i64)]) {
    let windows: Vec<Value> = times
        .iter()
        .map(|(from, to)| json!({"from": written(clock, *from), "to": written(clock, *to)}))
        .collect();
    let calendar = json!({
        "schema": "notify-calendar@1", "id": id, "name": id, "timeZone": "UTC", "windows": windows,
    });
    studio.put(Kind::Calendar, &calendar).await;
}

/// The rule comes while the tenant sleeps, and no event ever does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scheduled_digest_tells_that_nothing_happened() {
    let clock = Arc::new(SetClock::default());
    let studio = Studio::with_channels().await;
    let worker = studio.worker_at(clock.clone(), watchful).await;
    calendar(&studio, clock.as_ref(), "days", &[(1_000, 1_010), (2_000, 2_010), (9_000, 9_010)]).await;
    let digest = json!({"digest": {"mode": "schedule", "schedule": "days", "empty": "send"}});
    rule(&studio, "t", &digest).await;
    worker.configuration_changed(&studio.tenant).await;
    eventually("the first period is open", || async { (windows(&studio).await.len() == 1).then_some(()) })
        .await;
    for (at, deliveries) in [(1_001, 1), (2_001, 2)] {
        clock.set(at);
        eventually("the period is told of", || async {
            (studio.deliveries().await.len() == deliveries).then_some(())
        })
        .await;
    }
    let found = account(&studio).await;
    assert!(found.digests.values().all(|sent| sent.count == 0 && sent.closed == "schedule"), "{found:?}");
    assert_eq!((found.digests.len(), windows(&studio).await.len()), (2, 1), "the next one is open");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_override_lets_repeats_pass_for_its_time() {
    let studio = Studio::with_channels().await;
    rule(&studio, "t", &json!({"dedupe": {"key": ["/type"], "window": "1h"}})).await;
    let worker = studio.worker().await;
    accept(&studio, &worker, "1", "t").await;
    accept(&studio, &worker, "2", "t").await;
    let until = written(&SystemClock, 3_600);
    let pass = json!({
        "schema": "notify-override@1", "id": "release", "reason": "r", "controls": ["dedupe"], "until": until,
    });
    studio.put(Kind::Override, &pass).await;
    let third = studio.event("3", "t", "x");
    worker.accept(third.clone()).await.unwrap();
    planned(&studio).await;
    let found = account(&studio).await;
    assert_eq!((found.sent, found.suppressed.get("dedupe")), (2, Some(&1)), "{found:?}");
    let entry = &studio.entries_about(third.key.as_str()).await[0].1;
    let bypassed = &entry["decisions"][0]["parameters"]["bypassed"]["dedupe"];
    assert_eq!(bypassed["override"].as_str(), Some("release"), "{entry}");
    assert!(now() < until.parse().unwrap());
    worker.stop().await;
}
