//! Plans are made with the configuration that is in force.

use crate::studio::Studio;
use notify_core::document::Kind;

/// The worker is not even told: the plan's commit is guarded by the configuration's version.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_rule_counts_for_the_next_event() {
    let studio = Studio::with_channels().await;
    studio.rule("moving", "before", "later").await;
    let worker = studio.worker().await;
    for (id, event_type, rule_type, deliveries) in [
        ("1", "before", None, 1),
        ("2", "after", None, 1),
        ("3", "after", Some("after"), 2),
        ("4", "before", None, 2),
        ("5", "before", Some("before"), 3),
    ] {
        if let Some(rule_type) = rule_type {
            studio.rule("moving", rule_type, "later").await;
        }
        worker.accept(studio.event(id, event_type, "x")).await.unwrap();
        assert_eq!(studio.deliveries().await.len(), deliveries, "after event {id}");
    }
    let versions: Vec<_> = studio.deliveries().await.iter().map(|d| d.delivery.rule_version).collect();
    assert_eq!(versions, [3, 2, 1], "newest first");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_channel_takes_is_suppressed_on_the_record() {
    let studio = Studio::with_channels().await;
    studio.rule("to-off", "off", "off").await;
    studio.rule("to-nowhere", "nowhere", "nowhere").await;
    let worker = studio.worker().await;
    for (event_type, control) in [("off", "channel-disabled"), ("nowhere", "channel-missing")] {
        let event = studio.event(event_type, event_type, "x");
        worker.accept(event.clone()).await.unwrap();
        let entries = studio.entries_about(event.key.as_str()).await;
        let decision = &entries[0].1["decisions"][0];
        assert_eq!((&decision["outcome"], &decision["control"]), (&"suppressed".into(), &control.into()));
        assert!(decision.get("intent").is_none(), "{decision}");
    }
    assert_eq!(studio.deliveries().await.len(), 0);

    // Once the channel is enabled, the next event goes out.
    let body = studio.store.document(&studio.tenant, Kind::Channel, "off", None).await.unwrap().unwrap().body;
    let mut channel: serde_json::Value = serde_json::from_str(&body).unwrap();
    channel["enabled"] = true.into();
    studio.put(Kind::Channel, &channel).await;
    worker.accept(studio.event("again", "off", "x")).await.unwrap();
    assert_eq!(studio.deliveries().await.len(), 1);
    worker.stop().await;
}
