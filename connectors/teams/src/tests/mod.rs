mod answers;
mod outsiders;
mod walk;

use super::{Teams, is_legacy};
use notify_connector_sdk::{Codec, Part, Phase, PreparedRequest, Send};
use notify_connector_testing::{
    HOSTILE_PLACES, any_message, body, default_messages, golden, hostile_message, hostile_strings, json_body,
    send, tidy,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use walk::walk;

const URL: &str = r#"["url","studio-alert-url"]"#;
const MESSAGE: &str = r#"{"title":"Disk full","severity":"high","body":"**Bold** text","fields":[{"name":"host","value":"db-1","short":true}]}"#;

fn prepare(send: &Send<'_>) -> PreparedRequest {
    let first = Teams.prepare(send).expect("it can be prepared");
    assert_eq!(Teams.prepare(&Send { attempt: 7, ..*send }).as_ref(), Ok(&first), "the same bytes again");
    first
}

fn card(message: &str) -> PreparedRequest {
    prepare(&send("teams", "{}", message, URL))
}

#[test]
fn the_envelope() {
    let request = card(MESSAGE);
    assert_eq!(request.url, [Part::secret("url")]);
    let body = json_body(&request);
    assert_eq!(body["type"], "message");
    let content = &body["attachments"][0]["content"];
    assert_eq!((&content["version"], &content["msteams"]["width"]), (&json!("1.2"), &json!("Full")));
    assert_eq!(content["body"][0]["style"], "warning");
    let config = r#"{"url":"http://127.0.0.1:9/hook","fullWidth":false}"#;
    let request = prepare(&send("teams", config, MESSAGE, "[]"));
    assert_eq!(request.url, [Part::text("http://127.0.0.1:9/hook")]);
    assert_eq!(json_body(&request)["attachments"][0]["content"].get("msteams"), None);
    let resolved = prepare(&Send { phase: Phase::Resolve, ..send("teams", "{}", MESSAGE, URL) });
    assert_eq!(json_body(&resolved)["attachments"][0]["content"]["body"][0]["style"], "good");
}

#[test]
fn what_cannot_be_prepared_says_why() {
    let check = |config: &str, message: &str, secrets: &str, needle: &str| {
        let refusal = Teams.prepare(&send("teams", config, message, secrets)).expect_err(config);
        assert!(refusal.detail().contains(needle), "{config}: {refusal:?}");
    };
    check("{}", MESSAGE, "[]", "no address");
    check(r#"{"url":"https://x.example/"}"#, MESSAGE, URL, "both");
    check(r#"{"url":"ftp://x"}"#, MESSAGE, "[]", "/url");
    check(r#"{"url":"https://acme.webhook.office.com/webhookb2/x"}"#, MESSAGE, "[]", "Workflows");
    check(r#"{"url":"https://p.logic.azure.com/x?sig=abc"}"#, MESSAGE, "[]", "secret `url`");
    check(r#"{"mention":"x"}"#, MESSAGE, URL, "configuration");
    check("{}", "[]", URL, "message");
    let refusal =
        Teams.prepare(&Send { check: true, ..send("teams", "{}", MESSAGE, URL) }).expect_err("no check");
    assert!(refusal.detail().contains("cannot be checked"), "{refusal:?}");
}

#[test]
fn legacy_addresses() {
    // Of a secret, the host judges by the manifest's patterns: both must agree.
    let manifest: Value = serde_json::from_str(Teams::MANIFEST).expect("JSON");
    let rules = manifest["secrets"][0]["refuse"].as_array().expect("rules");
    let refused = |url: &str| {
        let found = rules.iter().find(|rule| {
            let pattern = rule["pattern"].as_str().expect("a pattern");
            regex::Regex::new(pattern).expect("a regular expression").is_match(url)
        });
        found.map(|rule| rule["reason"].as_str().unwrap_or_default())
    };
    for old in [
        "https://outlook.office.com./webhook/x",
        "https://ACME.Webhook.Office.COM.:443/x",
        "https://acme.webhook.office.com..",
        "Https://Outlook.Office.Com.?x",
        "https://acme.webhook.office.com/webhookb2/x",
        "https://outlook.office.com/webhook/x",
        "HTTPS://OUTLOOK.OFFICE365.COM/x",
        "https://user@webhook.office.com:443/x",
        "https://outlook.office.com",
    ] {
        assert!(is_legacy(old), "{old}");
        assert!(refused(old).is_some_and(|reason| reason.contains("retired")), "{old}");
    }
    for new in [
        "HTTPS://PROD-1.WESTEUROPE.LOGIC.AZURE.COM/workflows/x",
        "https://prod-1.westeurope.logic.azure.com:443/workflows/x",
        "https://x.environment.api.powerplatform.com/y",
        "https://relay.example/outlook.office.com",
        "https://notwebhook.office.com.example/",
        "https://xoutlook.office.com/",
    ] {
        assert!(!is_legacy(new), "{new}");
        assert_eq!(refused(new), None, "{new}");
    }
}

#[test]
fn own_styles_are_checked() {
    let content = |native: Value| {
        let message = json!({ "title": "t", "severity": "low", "native": { "teams": native } });
        json_body(&card(&message.to_string()))["attachments"][0]["content"].clone()
    };
    let own = content(json!({ "style": "good", "fullWidth": false }));
    assert_eq!((&own["body"][0]["style"], own.get("msteams")), (&json!("good"), None));
    for other in [json!({ "style": "loud" }), json!({ "style": 1, "fullWidth": "no" }), json!([])] {
        assert_eq!(content(other.clone())["body"][0]["style"], "accent", "{other}");
    }
}

#[test]
fn goldens() {
    for (name, message) in default_messages() {
        let request = card(&message);
        walk(&body(&request));
        golden("teams", &name, &request);
    }
}

#[test]
fn hostile_texts_stay_text() {
    for place in HOSTILE_PLACES {
        let baseline = walk(&body(&card(&hostile_message(place, "plain").to_string())));
        for one in hostile_strings() {
            let message = hostile_message(place, &one.text).to_string();
            let seen = walk(&body(&card(&message)));
            let at = format!("{place} {}", one.id);
            let expected: String = tidy(&one.text).chars().take(30).collect();
            assert!(seen.shown().contains(expected.trim()), "{at}: {expected:?} in {:?}", seen.shown());
            let foreign = |url: &&String| !url.starts_with("https://notify.example/a/");
            let links: Vec<_> = seen.links.iter().filter(foreign).collect();
            assert_eq!(links, baseline.links.iter().collect::<Vec<_>>(), "{at}");
            if !place.starts_with("field") && !one.text.contains("{{") {
                assert_eq!(seen.styled, baseline.styled, "{at}");
                if one.text.len() < 300 {
                    assert_eq!(seen.kinds, baseline.kinds, "{at}");
                }
            }
        }
    }
}

#[test]
fn the_edge_of_28_kib() {
    let sized = |body_text: String| {
        let message = json!({ "title": "t", "body": body_text }).to_string();
        walk(&body(&card(&message)))
    };
    let mut largest = 0;
    for unit in ["word ", "漢字", "x", "\"", "<", "\\", "**b** ", "- item\n", "> q\n\n", "`c` ", "{{a"] {
        for size in [20_000, 23_000, 24_000, 24_453, 28_672, 100_000, 512 * 1024 - 200] {
            let seen = sized(unit.repeat(size / unit.len()));
            assert!(seen.cost <= 24_000, "{unit} {size}: {}", seen.cost);
            assert!(
                size < 28_672 || unit == "**b** " || seen.links.iter().any(|url| url.contains("/a/")),
                "{unit} {size}"
            );
            largest = largest.max(seen.cost);
        }
    }
    assert!(largest > 23_000, "the room is used: {largest}");
    // What fits is not cut.
    assert!(sized("word ".repeat(4_000)).links.is_empty());
    let unlinked = json!({ "title": "t", "body": "x ".repeat(50_000) }).to_string();
    assert!(!body(&prepare(&send("teams", "{}", &unlinked, r#"["url"]"#))).contains("notify.example"));
}

proptest! {
    #[test]
    fn every_message_keeps_every_rule(message in any_message(), linked in any::<bool>()) {
        let secrets = if linked { URL } else { r#"["url"]"# };
        let request = Teams.prepare(&send("teams", "{}", &message.to_string(), secrets)).expect("prepared");
        walk(&body(&request));
    }
}
