//! `notify why`, `notify report noise` and `notify digest` as they are typed.

use crate::online::site;
use notify_core::ids::{DigestId, EventKey, RuleId, TenantId};
use notify_core::ledger::commitment::{Commitment, PlainDigest};
use notify_core::ledger::entry::{Decision, EventEntry};
use notify_core::noise::{Control, Remembered, StateKey, StateRow, Window};
use notify_core::severity::Severity;
use notify_core::time::Clock;
use notify_store::{Bookkeeping, Commit, Effect, NoiseChanges};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn why_report_and_digests() {
    let site = site().await;
    let (service, acme) = (&site.service, TenantId::new("acme").unwrap());
    assert!(site.run(&["digest", "list"]).await.ok().contains("No digest is being collected."));
    let nothing = ["report", "noise", "--since", "2020-01-01T00:00:00Z", "--until", "2100-01-01T00:00:00Z"];
    assert!(site.run(&nothing).await.ok().contains("No rule decided anything in this time."));
    site.run(&["why", "1"]).await.fails(1, "there is no event `1`");

    site.run(&["event", "publish", "event.json"]).await.ok();
    let told = site.run(&["why", "1"]).await.ok();
    assert!(told.contains("it is not decided yet what becomes of it."), "{told}");

    let key = EventKey::derive(["acme", "/scanner", "1"]);
    let digest = DigestId::derive(["d"]);
    let now = service.clock.now();
    let decision = |action: &str, outcome: &str, control: &str, parameters: Value| Decision {
        rule: RuleId::new("findings").unwrap(),
        rule_digest: PlainDigest::of(b"r"),
        action: action.to_owned().try_into().unwrap(),
        outcome: outcome.into(),
        control: control.into(),
        parameters: parameters.as_object().unwrap().clone(),
        logical_time: now,
        tzdb: "2026b".into(),
        also_applied: vec!["budget".into()],
        intent: None,
    };
    let decisions = vec![
        decision("chat", "suppressed", "dedupe", json!({ "window": "24h", "repeats": 2, "ruleVersion": 7 })),
        decision(
            "mail",
            "digested",
            "throttle",
            json!({ "digest": digest.as_str(), "limit": 30, "per": "10m" }),
        ),
    ];
    let event = Commitment::of(&[3; 32], b"e");
    let entry = EventEntry { key: key.clone(), event, decisions, unmatched: 4 };
    let mark = Effect::MarkPlanned { key: key.clone(), salt: [3; 32] };
    service.store.commit(Commit::new(acme.clone(), vec![mark], vec![entry.into_draft()])).await.unwrap();
    let closes = notify_core::time::Timestamp::from_second(now.as_second() + 600).unwrap();
    let window = Window {
        id: digest.clone(),
        rule: RuleId::new("findings").unwrap(),
        action: "mail".to_owned().try_into().unwrap(),
        channel: "hook".to_owned().try_into().unwrap(),
        control: Control::Throttle,
        opened_at: now.as_microsecond(),
        closes_at: closes.as_microsecond(),
        cap_at: None,
        count: 1,
        severity: Severity::High,
        max: None,
        full: false,
        passes: false,
    };
    let remember =
        vec![StateRow::of(StateKey::derive([b"d".as_slice()]), &Remembered::Window(Box::new(window)))];
    let noise = NoiseChanges { remember, forget: vec![], next_timer: Some(closes) };
    service.store.commit(Commit::bookkeeping(acme, vec![Bookkeeping::Noise(Box::new(noise))])).await.unwrap();

    let told = site.run(&["why", "1", "--steps"]).await.ok();
    for part in [
        "1 rule matched: 1 in a digest, 1 not sent.",
        "action `chat`: not sent, because the same alert was let through, and repeats are muted for 24h; this is repeat \
         number 2. Without that, the budget would have applied.",
        "action `mail`: waits in a digest that closes at",
        "because the throttle lets only 30 through in 10m.",
        "ledger ",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let story: Value =
        serde_json::from_str(&site.run(&["why", key.as_str(), "-o", "json"]).await.ok()).unwrap();
    assert_eq!((&story["actions"][0]["ruleVersion"], &story["unmatched"]), (&json!(7), &json!(4)), "{story}");

    let report = site.run(&nothing).await.ok();
    let row = report.lines().find(|line| line.contains("findings")).unwrap_or_default();
    assert!(row.contains("1 dedupe") && row.contains("1 throttle"), "{report}");
    // Two alerts are too few for a score.
    assert!(report.starts_with("RULE ") && report.contains("PLANNED"), "{report}");

    let listed = site.run(&["digest", "list"]).await.ok();
    assert!(listed.contains(digest.as_str()) && listed.contains("throttle"), "{listed}");
    let got: Value =
        serde_json::from_str(&site.run(&["digest", "get", digest.as_str(), "-o", "json"]).await.ok())
            .unwrap();
    assert_eq!((&got["state"], &got["count"]), (&json!("open"), &json!(1)), "{got}");
    site.run(&["digest", "get", "dig_x"]).await.fails(1, "error[not-found]");
}
