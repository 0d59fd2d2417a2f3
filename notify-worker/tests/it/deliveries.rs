//! Attempts, dead letters, replays, and what a crash leaves behind.

use crate::studio::{Studio, now};
use notify_core::ids::DeliveryId;
use notify_core::plan::{PlannedDelivery, plan};
use notify_core::problem::Code;
use notify_core::time::Timestamp;
use notify_store::model::{ClaimToken, DeliveryState, NewDelivery, NewEvent};
use notify_store::{Commit, Effect};
use std::collections::BTreeSet;
use std::time::Duration;

async fn results(studio: &Studio, id: &DeliveryId) -> Vec<(u32, String)> {
    studio.attempts(id).await.into_iter().map(|attempt| (attempt.attempt, attempt.result)).collect()
}

fn expected(results: &[(u32, &str)]) -> Vec<(u32, String)> {
    results.iter().map(|(attempt, result)| (*attempt, (*result).to_owned())).collect()
}

/// Without a plug-in the host asks for a retry; the channel's schedule says when, or that there is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_channels_schedule_decides_what_follows_a_failure() {
    let studio = Studio::with_channels().await;
    let worker = studio.worker().await;
    for (channel, state, next_attempt) in
        [("once", DeliveryState::Dead, 1), ("later", DeliveryState::Scheduled, 2)]
    {
        studio.rule(channel, channel, channel).await;
        worker.accept(studio.event(channel, channel, "x")).await.unwrap();
        let id = studio.deliveries().await[0].delivery.id.clone();
        let delivery = studio.delivery_in(&id, state, next_attempt).await;
        assert_eq!(results(&studio, &id).await, expected(&[(1, "retry")]), "{channel}");
        assert!(
            delivery.last_error.unwrap().contains("webhook"),
            "{channel}: the reason names what is missing"
        );
        let entries = studio.entries_about(id.as_str()).await;
        assert_eq!(entries.len(), 1, "{channel}");
        let (kind, entry) = &entries[0];
        assert_eq!(
            (kind.as_str(), &entry["message"]),
            ("attempt", &delivery.delivery.message_commitment.into())
        );
        match state {
            DeliveryState::Dead => assert_eq!(entry["follows"]["outcome"], "dead", "{entry}"),
            _ => {
                assert_eq!(entry["follows"]["attempt"], 2, "{entry}");
                // An hour, give or take the jitter of 20 %.
                let due_at: Timestamp = entry["follows"]["dueAt"].as_str().unwrap().parse().unwrap();
                let wait = due_at.duration_since(now()).as_secs();
                assert!((2700..=4400).contains(&wait), "{wait} s");
            }
        }
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_is_a_new_delivery_with_an_entry_of_its_own() {
    let studio = Studio::with_channels().await;
    studio.rule("once", "once", "once").await;
    studio.rule("later", "later", "later").await;
    let worker = studio.worker().await;
    worker.accept(studio.event("1", "once", "x")).await.unwrap();
    let old = studio.deliveries().await[0].delivery.clone();
    studio.delivery_in(&old.id, DeliveryState::Dead, 1).await;

    let mut ids = BTreeSet::from([old.id.to_string()]);
    for number in 1..=3 {
        let new = worker.replay(&studio.tenant, &old.id, "alice", None).await.unwrap();
        assert!(ids.insert(new.to_string()), "{new} was given before");
        let delivery = studio.delivery_in(&new, DeliveryState::Dead, 1).await.delivery;
        assert_eq!(delivery.cause, format!("replay:{}:{number}", old.id));
        assert_eq!((&delivery.message, &delivery.target), (&old.message, &old.target));
        assert_ne!(delivery.message_commitment, old.message_commitment, "salted anew");
        assert_eq!(results(&studio, &new).await, expected(&[(1, "retry")]));
        let entries = studio.entries_about(new.as_str()).await;
        assert_eq!(
            entries.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>(),
            ["delivery", "attempt"]
        );
        let (_, replay) = &entries[0];
        assert_eq!((&replay["act"], &replay["replayOf"]), (&"replay".into(), &old.id.as_str().into()));
        assert_eq!(replay["message"], delivery.message_commitment.as_str());
        assert!(!replay.to_string().contains("alice"), "the actor is committed to, not named");
    }
    assert_eq!(studio.delivery_in(&old.id, DeliveryState::Dead, 1).await.delivery.message, old.message);

    worker.accept(studio.event("2", "later", "x")).await.unwrap();
    let waiting = studio.deliveries().await[0].delivery.id.clone();
    studio.delivery_in(&waiting, DeliveryState::Scheduled, 2).await;
    for (id, code) in [(waiting, Code::NotReplayable), (DeliveryId::derive(["none"]), Code::NotFound)] {
        assert_eq!(worker.replay(&studio.tenant, &id, "alice", None).await.unwrap_err().code, code);
    }
    assert_eq!(studio.deliveries().await.len(), 5);
    worker.stop().await;
}

/// What a killed process leaves: the plan is committed, the delivery claimed, and nobody knows whether it was sent.
async fn cut_off_attempt(studio: &Studio) -> DeliveryId {
    let event = studio.event("1", "t", "x");
    let configuration = studio.store.configuration(&studio.tenant).await.unwrap();
    let (snapshot, broken) = notify_worker::snapshots::compile(&studio.tenant, configuration, "en");
    assert_eq!(broken, []);
    let at = now();
    let mut planned = plan(&snapshot, &event, at, &[3; 32], &notify_core::noise::NoiseState::default());
    let PlannedDelivery { id, cause, rule, rule_version, action, channel, .. } =
        planned.deliveries[0].clone();
    let first = planned.deliveries.remove(0);
    let delivery = NewDelivery {
        id: id.clone(),
        event: Some(event.key.clone()),
        cause,
        rule,
        rule_version,
        action,
        channel,
        message: first.message_json,
        message_salt: first.message_salt,
        message_commitment: first.message_commitment.to_string(),
        target: first.target,
        target_salt: first.target_salt,
        created_at: at,
        due_at: at,
        claim: Some((
            ClaimToken("killed/0".into()),
            at.checked_add(jiff::SignedDuration::from_hours(1)).unwrap(),
        )),
    };
    let event = NewEvent {
        key: event.key,
        source: event.source,
        id: event.id,
        r#type: event.r#type,
        subject: event.subject,
        body: event.body,
        body_hash: event.body_hash,
        accepted_at: at,
        salt: Some(planned.event_salt),
    };
    let effects = vec![Effect::AcceptPlanned(Box::new(event)), Effect::CreateDelivery(Box::new(delivery))];
    studio.store.commit(Commit::new(studio.tenant.clone(), effects, vec![planned.entry])).await.unwrap();
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_was_cut_off_is_unknown_and_the_next_follows_at_once() {
    for (channel, state, next_attempt) in
        [("once", DeliveryState::Dead, 2), ("later", DeliveryState::Scheduled, 3)]
    {
        let studio = Studio::with_channels().await;
        studio.rule("all", "t", channel).await;
        let id = cut_off_attempt(&studio).await;
        let worker = studio.worker().await;
        let delivery = studio.delivery_in(&id, state, next_attempt).await;
        assert_eq!(results(&studio, &id).await, expected(&[(1, "unknown"), (2, "retry")]), "{channel}");
        let entries = studio.entries_about(id.as_str()).await;
        let said: Vec<_> =
            entries.iter().map(|(kind, e)| (kind.as_str(), e["result"].as_str().unwrap())).collect();
        assert_eq!(said, [("attempt", "unknown"), ("attempt", "retry")], "{channel}");
        for (_, entry) in &entries {
            assert_eq!(entry["message"], delivery.delivery.message_commitment.as_str());
        }
        worker.stop().await;
    }
}

/// Another process may still be at it: its claim is left alone until it runs out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_claim_of_another_process_is_respected() {
    let studio = Studio::with_channels().await;
    studio.rule("all", "t", "once").await;
    let id = cut_off_attempt(&studio).await;
    let worker = studio.worker_with(|options| options.sweep = Some(Duration::from_millis(5))).await;
    // The worker has been round its queue when it has sent something else.
    worker.accept(studio.event("2", "t", "x")).await.unwrap();
    let other = studio.deliveries().await.into_iter().find(|d| d.delivery.id != id).unwrap().delivery.id;
    studio.delivery_in(&other, DeliveryState::Dead, 1).await;
    assert_eq!(results(&studio, &id).await, expected(&[]));
    worker.stop().await;
}
