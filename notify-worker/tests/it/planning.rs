//! One tenant's rules and events are its own burden.

use crate::studio::{Studio, eventually, now};
use notify_core::document::{Kind, parse_any};
use notify_core::event::{Event, EventLimits};
use notify_core::ids::TenantId;
use notify_core::ledger::entry::Genesis;
use notify_store::{Commit, Effect};
use notify_worker::clock::Stopwatch;
use notify_worker::snapshots::Snapshots;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const HOSTILE_RULES: usize = 150;
/// Planning the hostile events takes this long, whatever one of them takes here.
const HOSTILE_TIME: Duration = Duration::from_secs(2);

fn hostile_rule(number: usize) -> Value {
    // Its literals are in every text, only never in this order: nothing but trying tells.
    let wildcard = format!("*{}*aa*aa*aa", number % 10);
    json!({
        "schema": "notify-rule@1", "id": format!("hostile-{number}"), "name": "Hostile",
        "match": { "data": { "list": [{ "wildcard": wildcard }] } }, "actions": [{ "id": "a", "channel": "once" }],
    })
}

/// 60 KB of texts that hold what all rules look for.
fn hostile_event(tenant: &TenantId, number: usize) -> Event {
    let list: Vec<String> = (0..600).map(|n| format!("{}{n}", "a".repeat(90))).collect();
    let value = json!({
        "specversion": "1.0", "id": format!("h{number}"), "source": "/hostile", "type": "h", "data": { "list": list },
    });
    Event::from_value(tenant, value, &EventLimits::default()).unwrap()
}

/// All in one commit; the ledger's entry is not what is tested here.
async fn hostile_tenant(studio: &Studio) -> TenantId {
    let tenant = TenantId::new("hostile").unwrap();
    let create = Effect::CreateTenant { name: "Hostile".into(), opaque: "hostile".into(), created_at: now() };
    let effects = (0..HOSTILE_RULES).map(|number| {
        let (_, body, digest) = parse_any(Kind::Rule, &hostile_rule(number)).unwrap();
        Effect::PutDocument { kind: Kind::Rule, id: format!("hostile-{number}"), digest, body, at: now() }
    });
    let effects = std::iter::once(create).chain(effects).collect();
    let commit = Commit::new(tenant.clone(), effects, vec![Genesis::default().into_draft()]);
    studio.store.commit(commit).await.unwrap();
    tenant
}

/// One thread for everything: where planning holds it, nobody else has any.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn hostile_rules_do_not_slow_another_tenant() {
    let studio = Studio::with_channels().await;
    studio.rule("plain", "plain", "once").await;
    let hostile = hostile_tenant(&studio).await;
    let worker = studio.worker().await;
    // Both are warm: what is measured is planning, not compiling.
    worker.accept(studio.event("warm", "plain", "x")).await.unwrap();
    let watch = Stopwatch::start();
    worker.accept(hostile_event(&hostile, 0)).await.unwrap();
    let one = watch.elapsed();
    let many = usize::try_from(HOSTILE_TIME.as_micros() / one.as_micros().max(1)).unwrap().clamp(20, 400);

    let flood: Vec<_> = (1..=many)
        .map(|number| {
            let (worker, event) = (worker.clone(), hostile_event(&hostile, number));
            tokio::spawn(async move { worker.accept(event).await })
        })
        .collect();
    let watch = Stopwatch::start();
    for number in 0..20 {
        worker.accept(studio.event(&format!("p{number}"), "plain", "x")).await.unwrap();
    }
    let ordinary = watch.elapsed();
    for event in flood {
        event.await.unwrap().unwrap();
    }
    eventually("every hostile event is planned", || async {
        studio.store.pending_events(&hostile, 1).await.unwrap().is_empty().then_some(())
    })
    .await;
    let all = watch.elapsed();
    assert_eq!(studio.deliveries().await.len(), 21, "every ordinary event went out");
    // Where they had to wait for the hostile ones, they took as long as those.
    assert!(
        ordinary < all / 2,
        "the ordinary events took {ordinary:?} of {all:?}, beside {many} hostile ones of {one:?} each"
    );
    worker.stop().await;
}

/// `id version` of each rule, in order.
fn rules(snapshot: &notify_core::plan::Snapshot) -> Vec<(String, u64)> {
    snapshot.rules().map(|(rule, _)| (rule.rule.id.to_string(), rule.version)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_taken_over_alone() {
    let studio = Studio::with_channels().await;
    let snapshots = Snapshots::new(studio.store.clone(), "en".to_owned());
    for number in 0..5 {
        studio.rule(&format!("r{number}"), "t", "once").await;
    }
    let first = snapshots.get(&studio.tenant).await.unwrap();
    assert_eq!(first.rule_count(), 5);
    assert!(Arc::ptr_eq(&first, &snapshots.reload(&studio.tenant).await.unwrap()), "nothing has changed");

    studio.rule("r1", "other", "once").await;
    studio.rule("r9", "t", "once").await;
    let stale = snapshots.get(&studio.tenant).await.unwrap();
    assert!(Arc::ptr_eq(&first, &stale), "reading costs no look at the store");
    let second = snapshots.reload(&studio.tenant).await.unwrap();
    assert!(Arc::ptr_eq(&first.channels, &second.channels) && Arc::ptr_eq(&first.library, &second.library));
    assert_eq!((first.rule_count(), second.rule_count()), (5, 6));

    let channel = json!({ "schema": "notify-channel@1", "id": "once", "name": "renamed", "type": "webhook" });
    studio.put(Kind::Channel, &channel).await;
    let template =
        json!({ "schema": "notify-template@1", "id": "t", "name": "T", "message": { "title": "x" } });
    studio.put(Kind::Template, &template).await;
    let third = snapshots.reload(&studio.tenant).await.unwrap();
    assert_eq!(third.channels.values().filter(|channel| channel.document.name == "renamed").count(), 1);
    assert!(!Arc::ptr_eq(&second.library, &third.library));
    assert_eq!(rules(&second), rules(&third));

    // From scratch it is the same.
    let fresh = Snapshots::new(studio.store.clone(), "en".to_owned());
    let scratch = fresh.get(&studio.tenant).await.unwrap();
    assert_eq!((rules(&scratch), scratch.config_version), (rules(&third), third.config_version));
    assert_eq!(scratch.channels, third.channels);

    // Many at once, while others ask: nobody sees less than there was when it asked.
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let (snapshots, store, tenant) = (snapshots.clone(), studio.store.clone(), studio.tenant.clone());
            tokio::spawn(async move {
                for _ in 0..20 {
                    let before = store.config_version(&tenant).await.unwrap();
                    assert!(snapshots.reload(&tenant).await.unwrap().config_version >= before);
                }
            })
        })
        .collect();
    for number in 0..60 {
        studio.rule(&format!("m{}", number % 20), &format!("t{number}"), "once").await;
    }
    for task in asking {
        task.await.unwrap();
    }
    let last = snapshots.reload(&studio.tenant).await.unwrap();
    assert_eq!(rules(&last), rules(&fresh.reload(&studio.tenant).await.unwrap()));
    assert_eq!(last.rule_count(), 26);
}
