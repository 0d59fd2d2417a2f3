//! Rules in a running service: what matched nothing, and a rule that was forced, down to the verified ledger.

use crate::studio::{receiver, running};
use serde_json::json;

#[tokio::test]
async fn near_misses_and_forced_rules() {
    let (home, mut studio, client) = running("").await;
    let receiver = receiver().await;
    client.wire(&studio, "hook", &json!({ "config": { "url": format!("http://{receiver}/200") } })).await;
    let rules = studio.url("/api/v1/notify/rules");
    let rule = |severity: &str| {
        json!({
            "schema": "notify-rule@1", "id": "severe", "name": "Severe", "priority": 5,
            "match": { "severity": [{ "at-least": "high" }], "data": { "n": [{ "numeric": [">", 0] }] } },
            "actions": [{ "id": "a", "channel": "hook" }],
            "tests": [
                { "event": { "severity": severity, "data": { "n": 1 } }, "match": true, "channels": ["hook"] },
                { "event": { "severity": "high", "data": { "n": 0 } }, "match": false },
            ],
        })
    };
    let refused = client.post(&rules, &rule("low")).await;
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (422, &json!("rule-tests-failed")),
        "{}",
        refused.text
    );
    let forced = client.post(&format!("{rules}?force=true"), &rule("low")).await;
    assert_eq!(
        (forced.status, &forced.json()["forced"][0]["path"]),
        (201, &json!("/tests/0")),
        "{}",
        forced.text
    );

    let event = json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "x", "severity": "high", "data": { "n": 0 } });
    let preview = client.post(&format!("{rules}:preview"), &json!({ "event": event })).await;
    assert_eq!((preview.status, &preview.json()["matched"]), (200, &json!([])), "{}", preview.text);
    let nearest = &preview.json()["nearest"];
    assert_eq!(
        (&nearest["rules"][0]["rule"], &nearest["complete"]),
        (&json!("severe"), &json!(true)),
        "{nearest}"
    );
    assert_eq!(
        nearest["rules"][0]["reasons"][0]["sentence"],
        "`/data/n` is 0, but the rule wants a number greater than 0"
    );
    let alone =
        client.post(&format!("{rules}:preview"), &json!({ "event": event, "rule": rule("high") })).await;
    assert_eq!(alone.json()["nearest"]["rules"].as_array().map(Vec::len), Some(1), "{}", alone.text);
    let all = client.post(&format!("{rules}:explain?nearest=1"), &json!({ "event": event })).await;
    assert_eq!(
        (&all.json()["matched"], &all.json()["nearest"]["lookedAt"]),
        (&json!(0), &json!(1)),
        "{}",
        all.text
    );
    assert_eq!(all.json()["nearest"]["rules"][0]["failed"], 1, "{}", all.text);

    // The forced act stands in the ledger, and an auditor's verifier is content with it.
    let token = home.token("notify.auditor");
    let environment = [("NOTIFY_URL", studio.url("")), ("NOTIFY_TOKEN", token)];
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let said = |arguments: &[&str]| {
        let ran = home.notify_with(arguments, &environment);
        let text = [ran.stdout, ran.stderr].concat();
        assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&text));
        String::from_utf8(text).unwrap()
    };
    let entries = said(&["ledger", "entries", "-o", "json"]);
    assert_eq!(entries.matches("\"rule-tests-failed\"").count(), 1, "{entries}");
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    said(&["ledger", "export", "--out", &place("export")]);
    // One process at a time may use a home.
    studio.terminate();
    assert!(studio.ended().await.success());
    said(&["ledger", "trust", "--home", home.path().to_str().unwrap(), "--out", &place("trust")]);
    said(&["ledger", "verify", &place("export"), "--trust", &place("trust")]);
}
