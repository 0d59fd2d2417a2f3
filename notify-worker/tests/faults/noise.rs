//! Digests, throttles and dedupe while the database breaks: every accepted event's alert has one fate.

use crate::account::{account, windows};
use crate::database::{cuts, options, publish, through};
use crate::receiver::Receiver;
use crate::site::{deliveries, worker};
use crate::studio::{Studio, eventually};
use notify_core::document::Kind;
use notify_store::model::DeliveryState;
use notify_testkit::postgres;
use notify_testkit::proxy::{Cut, Ending, Toward, When};
use notify_worker::clock::wait;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const EVENTS: usize = 160;

async fn rule(studio: &Studio, id: &str, controls: &Value) {
    let mut action = json!({"id": "only", "channel": "hook", "dedupe": "off", "throttle": "off"});
    action.as_object_mut().unwrap().extend(controls.as_object().unwrap().clone());
    let rule = json!({
        "schema": "notify-rule@1", "id": id, "name": id, "match": {"type": [id]}, "storm": "off",
        "actions": [action],
    });
    studio.put(Kind::Rule, &rule).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_alert_has_one_fate_while_the_database_breaks() {
    let (studio, proxy) = through(postgres::shared(), &format!("noise_chaos_{}", std::process::id())).await;
    let receiver = Receiver::start(Duration::ZERO).await;
    crate::site::channel(&studio, "hook", receiver.address, &[1, 1, 1, 1, 2, 4, 8], 1).await;
    rule(&studio, "digest", &json!({"digest": {"window": "1s"}})).await;
    rule(&studio, "full", &json!({"digest": {"window": "2s", "max": 5}})).await;
    rule(&studio, "throttle", &json!({"throttle": {"limit": 2, "per": "1s"}})).await;
    rule(&studio, "dedupe", &json!({"dedupe": {"key": ["/data"], "window": "1h"}})).await;
    let worker = worker(&studio, options).await;
    let types = ["digest", "full", "throttle", "dedupe"];
    let done = AtomicBool::new(false);
    let publishing = async {
        for chunk in 0..EVENTS / 4 {
            let events = (0..4).map(|n| {
                let number = chunk * 4 + n;
                studio.event(&number.to_string(), types[n], &format!("{}", chunk % 6))
            });
            futures_util::future::join_all(events.map(|event| publish(&worker, event))).await;
            wait(Duration::from_millis(20)).await;
        }
        done.store(true, Ordering::SeqCst);
    };
    let breaking = async {
        let mut cuts = cuts()
            .map(|(_, cut)| cut)
            .into_iter()
            .chain([
                Cut { toward: Toward::Server, when: When::After(300), how: Ending::Reset },
                Cut { toward: Toward::Client, when: When::Passed(b"COMMIT\0".to_vec()), how: Ending::Reset },
            ])
            .cycle();
        let mut round = 0;
        while !done.load(Ordering::SeqCst) || round < 12 {
            wait(Duration::from_millis(200)).await;
            if round % 4 == 3 {
                proxy.sever(Ending::Reset);
            } else {
                proxy.arm(cuts.next().unwrap());
            }
            round += 1;
        }
    };
    futures_util::future::join(breaking, publishing).await;
    assert!(proxy.cuts() > 3, "{} cuts", proxy.cuts());
    // One cut may still be armed: it hits whoever commits next, and this look goes over the same line.
    let mut quiet = false;
    for _ in 0..300 {
        let pending = studio.store.pending_events(&studio.tenant, 1).await;
        if pending.is_ok_and(|pending| pending.is_empty()) && !proxy.is_armed() {
            quiet = true;
            break;
        }
        // Something to commit, where nothing else would.
        publish(&worker, studio.event("last", "nothing", "x")).await;
        wait(Duration::from_millis(100)).await;
    }
    assert!(quiet, "events are still pending");
    eventually("every window is over", || async { windows(&studio).await.is_empty().then_some(()) }).await;
    let all_over = async {
        loop {
            let all = deliveries(&studio).await;
            if all.iter().all(|found| found.state == DeliveryState::Delivered) {
                return all;
            }
            wait(Duration::from_millis(100)).await;
        }
    };
    let all = tokio::time::timeout(Duration::from_secs(90), all_over).await.expect("all are delivered");
    let found = account(&studio).await;
    let suppressed: usize = found.suppressed.values().sum();
    assert_eq!(found.sent + suppressed + found.digested, EVENTS, "{found:?}");
    assert_eq!(found.suppressed.get("dedupe"), Some(&(EVENTS / 4 - 6)), "{found:?}");
    assert!(found.digests.len() >= EVENTS / 4 / 5, "{found:?}");
    let arrived: BTreeSet<String> = receiver.by_id().into_keys().collect();
    let decided: BTreeSet<String> = all.iter().map(|found| found.delivery.id.to_string()).collect();
    assert_eq!(arrived, decided, "the receiver saw what was decided");
    worker.stop().await;
}
