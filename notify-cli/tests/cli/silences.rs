//! `notify silence`, `override` and `inhibition` as they are typed.

use crate::online::site;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn from_adding_to_ending() {
    let site = site().await;
    site.run(&["channel", "create", "-f", "channel.yaml"]).await.ok();
    site.run(&["rule", "create", "-f", "rule.yaml"]).await.ok();

    let silence = ["silence", "add", "--id", "move", "--rule", "findings", "--until", "2100-01-01T00:00:00Z"];
    let refused = site.run(&[&silence[..], &["--reason", "r"]].concat()).await;
    refused.fails(1, "it lasts longer than 30 days");
    let matched = ["--match", "data.host=a", "--match", "{data: {host: [b]}, severity: [{at-most: low}]}"];
    let added = site
        .run(&[&silence[..], &matched, &["--reason", "the registry moves", "--confirm"]].concat())
        .await
        .ok();
    assert!(added.contains("silence move created, version 1"), "{added}");
    assert!(
        added.contains("active, until 2100-01-01T00:00:00Z: alerts of the rule findings for events"),
        "{added}"
    );
    let got: Value =
        serde_json::from_str(&site.run(&["silence", "get", "move", "-o", "json"]).await.ok()).unwrap();
    let pattern = serde_json::json!({ "data": { "host": ["a", "b"] }, "severity": [{ "at-most": "low" }] });
    assert_eq!((&got["document"]["match"], &got["state"]), (&pattern, &Value::from("active")));

    // Without an id one is made up, and without an end it lasts an hour.
    let made = [
        "silence",
        "add",
        "--channel",
        "hook",
        "--from",
        "2100-01-01T00:00:00Z",
        "--reason",
        "later",
        "-o",
        "json",
    ];
    let made: Value = serde_json::from_str(&site.run(&made).await.ok()).unwrap();
    assert!(made["id"].as_str().unwrap().starts_with("s-"), "{made}");
    assert_eq!(made["document"]["until"], "2100-01-01T01:00:00Z", "{made}");
    let listed = site.run(&["silence", "list", "--state", "upcoming"]).await.ok();
    assert!(listed.contains("later") && !listed.contains("move"), "{listed}");
    let preview = site.run(&["silence", "preview", "--match", "type=report.ready"]).await.ok();
    assert!(preview.contains("it would have muted no alert in the last 7 days"), "{preview}");

    assert!(!preview.contains("has to be confirmed"), "{preview}");
    let calendar = "schema: notify-calendar@1\nid: nights\nname: Nights\ntimeZone: UTC\nwindows: [{ times: [22:00-06:00] }]\n";
    std::fs::write(site.folder.path().join("nights.yaml"), calendar).unwrap();
    site.run(&["calendar", "create", "-f", "nights.yaml"]).await.ok();
    let recurring = ["silence", "preview", "--rule", "findings", "--calendar"];
    let preview = site.run(&[&recurring[..], &["nights"]].concat()).await.ok();
    assert!(preview.contains("no alert") && !preview.contains("has to be confirmed"), "{preview}");
    site.run(&[&recurring[..], &["typo"]].concat()).await.fails(1, "there is no calendar `typo`");
    let long = ["silence", "preview", "--rule", "findings", "--for", "60d"];
    assert!(site.run(&long).await.ok().contains("It has to be confirmed."));

    let ended = site.run(&["silence", "expire", "move"]).await.ok();
    assert!(ended.contains("silence move has ended, version 2"), "{ended}");
    assert!(site.run(&["silence", "list", "--state", "active"]).await.ok().contains("No silences."));
    let listed = site.run(&["silence", "list"]).await.ok();
    assert!(listed.contains("later") && !listed.contains("move"), "{listed}");
    assert!(site.run(&["silence", "list", "--all"]).await.ok().contains("move"));
    site.run(&["silence", "list", "--all", "--state", "active"]).await.fails(2, "cannot be used with");
    assert!(site.run(&["silence", "versions", "move", "-o", "json"]).await.ok().contains("\"version\": 1"));
    // What the service printed can be given back to it.
    let yaml = site.run(&["silence", "get", "move", "-o", "yaml"]).await.ok();
    std::fs::write(site.folder.path().join("move.yaml"), yaml).unwrap();
    site.run(&["silence", "replace", "-f", "move.yaml", "--confirm"]).await.ok();
    site.run(&["silence", "validate", "-f", "move.yaml"]).await.ok();

    site.run(&["silence", "add", "--match", "type", "--reason", "r"])
        .await
        .fails(2, "neither a field with a value nor a pattern");
    site.run(&["silence", "add", "--reason", "r"]).await.fails(1, "does not say what it is about");
    site.run(&["silence", "add", "--rule", "typo", "--reason", "r"])
        .await
        .fails(1, "there is no rule `typo`");
    site.run(&["silence", "add", "--rule", "findings"]).await.fails(2, "--reason");

    let over = ["override", "add", "--id", "night", "--control", "quiet-hours", "--control", "digest"];
    let span = ["--from", "2100-01-01T00:00:00Z", "--for", "8h", "--reason", "release night"];
    let added = site.run(&[&over[..], &span].concat()).await.ok();
    assert!(added.contains("upcoming, until 2100-01-01T08:00:00Z: alerts of all rules"), "{added}");
    assert!(site.run(&["override", "list"]).await.ok().contains("quiet-hours"));
    let ended = site.run(&["override", "expire", "night", "-o", "json"]).await.ok();
    assert!(ended.contains("\"state\": \"expired\""), "{ended}");
    let listed = site.run(&["override", "list"]).await.ok();
    assert!(listed.contains("No overrides in force or to come"), "{listed}");

    let inhibition = "schema: notify-inhibition@1\nid: node\nname: Nodes\nsource: { match: { type: [down] } }\n\
                      target: { match: { type: [report.ready] } }\nequal: [/data/host]\n";
    std::fs::write(site.folder.path().join("node.yaml"), inhibition).unwrap();
    site.run(&["inhibition", "validate", "-f", "node.yaml"]).await.ok();
    site.run(&["inhibition", "create", "-f", "node.yaml"]).await.ok();
    assert!(site.run(&["inhibition", "list"]).await.ok().contains("Nodes"));
    site.run(&["inhibition", "create", "-f", "node.yaml", "--force"]).await.fails(2, "has no tests");
}
