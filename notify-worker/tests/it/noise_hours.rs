//! What waits for the end of quiet hours, and what is judged again because it is late.

use crate::account::{account, windows};
use crate::noise::{SetClock, accept, calendar, rule, rule_to, watchful, written};
use crate::studio::{Studio, eventually};
use notify_core::document::Kind;
use notify_store::model::{DeliveryState, Page};
use serde_json::{Value, json};
use std::sync::Arc;

async fn quiet(studio: &Studio) {
    let policy = json!({
        "schema": "notify-policy@1", "id": "noise", "name": "Noise",
        "quietHours": [{"calendar": "nights", "mode": "hold"}],
    });
    studio.put(Kind::Policy, &policy).await;
}

async fn held(studio: &Studio) -> usize {
    let page = Page { limit: 100, after: None };
    studio.store.held_alerts(&studio.tenant, &page).await.unwrap().items.len()
}

async fn none_held(studio: &Studio) {
    eventually("nothing waits", || async { (held(studio).await == 0).then_some(()) }).await;
}

/// Held, a restart, and at the end of the hours: what is to happen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_held_is_judged_at_the_end_of_the_hours() {
    for restarted in [false, true] {
        for case in ["sent", "rule disabled", "rule deleted", "silenced", "held again"] {
            let clock = Arc::new(SetClock::default());
            let mut studio = Studio::with_channels().await;
            calendar(&studio, clock.as_ref(), "nights", &[(-60, 1_000)]).await;
            quiet(&studio).await;
            rule(&studio, "t", &json!({})).await;
            let mut worker = studio.worker_at(clock.clone(), watchful).await;
            for id in ["1", "2"] {
                accept(&studio, &worker, id, "t").await;
            }
            assert_eq!((held(&studio).await, studio.deliveries().await.len()), (2, 0), "{case}");
            match case {
                "rule disabled" => rule_to(&studio, "t", "once", &json!({}), false).await,
                "rule deleted" => studio.delete(Kind::Rule, "t").await,
                "silenced" => {
                    let silence = json!({
                        "schema": "notify-silence@1", "id": "s", "reason": "r", "match": {"type": ["t"]},
                        "until": written(clock.as_ref(), 100_000),
                    });
                    studio.put(Kind::Silence, &silence).await;
                }
                "held again" => {
                    calendar(&studio, clock.as_ref(), "nights", &[(-60, 1_000), (1_000, 2_000)]).await;
                }
                _ => {}
            }
            worker.configuration_changed(&studio.tenant).await;
            if restarted {
                worker.stop().await;
                studio = studio.reopened().await;
                worker = studio.worker_at(clock.clone(), watchful).await;
            }
            clock.set(1_001);
            if case == "held again" {
                eventually("they are judged again", || async {
                    let page = Page { limit: 9, after: None };
                    let held = studio.store.held_alerts(&studio.tenant, &page).await.unwrap().items;
                    let later = written(clock.as_ref(), 900).parse().unwrap();
                    (held.len() == 2 && held.iter().all(|held| held.release_at > later)).then_some(())
                })
                .await;
                assert_eq!(account(&studio).await.holds_again, 2);
                clock.set(2_001);
            }
            none_held(&studio).await;
            let found = account(&studio).await;
            let sent = matches!(case, "sent" | "held again");
            let expected = if sent { (2, 0) } else { (0, 2) };
            assert_eq!((found.released, found.cancelled), expected, "{case} {restarted}: {found:?}");
            assert_eq!(studio.deliveries().await.len(), expected.0, "{case} {restarted}");
            worker.stop().await;
        }
    }
}

/// The sixth and those after it are one digest, however the night was interrupted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_few_are_held_and_the_others_become_a_digest() {
    let clock = Arc::new(SetClock::default());
    let mut studio = Studio::with_channels().await;
    calendar(&studio, clock.as_ref(), "nights", &[(-60, 1_000)]).await;
    quiet(&studio).await;
    rule(&studio, "t", &json!({})).await;
    for round in 0..3 {
        let worker = studio.worker_at(clock.clone(), watchful).await;
        for n in 0..3 {
            accept(&studio, &worker, &format!("{round}-{n}"), "t").await;
        }
        worker.stop().await;
        studio = studio.reopened().await;
    }
    let found = account(&studio).await;
    assert_eq!((found.waiting, found.collecting), (5, 4), "{found:?}");
    let worker = studio.worker_at(clock.clone(), watchful).await;
    clock.set(1_001);
    none_held(&studio).await;
    eventually("the digest is sent", || async { windows(&studio).await.is_empty().then_some(()) }).await;
    let found = account(&studio).await;
    assert_eq!((found.released, found.digested, found.digests.len()), (5, 4, 1), "{found:?}");
    worker.stop().await;
}

/// A digest whose window ends at night waits for the morning, and takes what comes until then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_digest_waits_for_the_end_of_the_hours() {
    let clock = Arc::new(SetClock::default());
    let studio = Studio::with_channels().await;
    calendar(&studio, clock.as_ref(), "nights", &[(100, 1_000)]).await;
    quiet(&studio).await;
    rule(&studio, "t", &json!({"digest": {"window": "10m"}})).await;
    let worker = studio.worker_at(clock.clone(), watchful).await;
    accept(&studio, &worker, "1", "t").await;
    clock.set(601);
    eventually("it is held", || async { (account(&studio).await.holds_again == 1).then_some(()) }).await;
    assert_eq!(studio.deliveries().await.len(), 0);
    clock.set(1_001);
    eventually("it is sent", || async { windows(&studio).await.is_empty().then_some(()) }).await;
    let found = account(&studio).await;
    assert_eq!((found.digested, found.digests.len()), (1, 1), "{found:?}");
    worker.stop().await;
}

/// The second attempt is due an hour after the first: what has come meanwhile counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_attempt_is_judged_again() {
    for (case, outcomes) in [
        ("nothing", &["send"][..]),
        ("silenced", &["cancel"]),
        ("rule disabled", &["cancel"]),
        ("quiet", &["hold", "send"]),
        ("overridden", &["send"]),
    ] {
        let clock = Arc::new(SetClock::default());
        let studio = Studio::with_channels().await;
        rule_to(&studio, "t", "later", &json!({}), true).await;
        let worker = studio.worker_at(clock.clone(), watchful).await;
        accept(&studio, &worker, "1", "t").await;
        let id = studio.deliveries().await[0].delivery.id.clone();
        studio.delivery_in(&id, DeliveryState::Scheduled, 2).await;
        if matches!(case, "quiet" | "overridden") {
            calendar(&studio, clock.as_ref(), "nights", &[(1_000, 9_000)]).await;
            quiet(&studio).await;
        }
        match case {
            "silenced" => {
                let silence = json!({
                    "schema": "notify-silence@1", "id": "s", "reason": "r", "match": {"type": ["t"]},
                    "until": written(clock.as_ref(), 100_000),
                });
                studio.put(Kind::Silence, &silence).await;
            }
            "rule disabled" => rule_to(&studio, "t", "later", &json!({}), false).await,
            "overridden" => {
                let pass = json!({
                    "schema": "notify-override@1", "id": "o", "reason": "r", "controls": ["quiet-hours"],
                    "until": written(clock.as_ref(), 100_000),
                });
                studio.put(Kind::Override, &pass).await;
            }
            _ => {}
        }
        worker.configuration_changed(&studio.tenant).await;
        // The pause of an hour is jittered.
        clock.set(7_000);
        let releases = async || {
            let all = studio.entries_about(id.as_str()).await.into_iter();
            let released = all.filter(|(kind, _)| kind == "release").map(|(_, said)| said);
            released.map(|said| said["outcome"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        if case == "quiet" {
            let waits = eventually("it waits", || async {
                let found = studio.store.delivery(&studio.tenant, &id).await.unwrap().unwrap();
                let morning = written(clock.as_ref(), 1_000).parse().unwrap();
                found.next_due.is_some_and(|due| due > morning).then_some(found)
            })
            .await;
            assert_eq!((waits.state, waits.next_attempt), (DeliveryState::Scheduled, 2), "the same attempt");
            assert_eq!(studio.attempts(&id).await.len(), 1, "nothing was tried");
            clock.set(9_001);
        }
        let ends =
            if outcomes.last() == Some(&"cancel") { DeliveryState::Cancelled } else { DeliveryState::Dead };
        eventually("it is over", || async {
            let found = studio.store.delivery(&studio.tenant, &id).await.unwrap().unwrap();
            (found.state == ends).then_some(())
        })
        .await;
        assert_eq!(releases().await, outcomes, "{case}");
        let tried: Vec<u32> = studio.attempts(&id).await.iter().map(|attempt| attempt.attempt).collect();
        assert_eq!(tried, [1, 2], "{case}");
        account(&studio).await;
        worker.stop().await;
    }
}

/// What was tried within a minute is not judged again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prompt_attempt_is_not_judged_again() {
    let studio = Studio::with_channels().await;
    rule(&studio, "t", &json!({})).await;
    let worker = studio.worker().await;
    accept(&studio, &worker, "1", "t").await;
    let id = studio.deliveries().await[0].delivery.id.clone();
    studio.delivery_in(&id, DeliveryState::Dead, 1).await;
    let kinds: Vec<(String, Value)> = studio.entries_about(id.as_str()).await;
    assert!(kinds.iter().all(|(kind, _)| kind != "release"), "{kinds:?}");
    worker.stop().await;
}
