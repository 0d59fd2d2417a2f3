mod answers;
mod outsiders;
mod walk;

use super::Slack;
use notify_connector_sdk::{Auth, Codec, Part, Phase, PreparedRequest, Send};
use notify_connector_testing::{
    HOSTILE_PLACES, any_message, default_messages, golden, hostile_message, hostile_strings, json_body, send,
    tidy,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use walk::walk;

const URL: &str = r#"["url","studio-alert-url"]"#;
const TOKEN: &str = r#"["token","studio-alert-url"]"#;
const CHANNEL: &str = r#"{"channel":"C0123456789"}"#;
const MESSAGE: &str = r#"{"title":"Disk full","severity":"high","body":"**Bold** text","fields":[{"name":"host","value":"db-1","short":true}]}"#;

fn prepare(send: &Send<'_>) -> PreparedRequest {
    let first = Slack.prepare(send).expect("it can be prepared");
    assert_eq!(Slack.prepare(&Send { attempt: 7, ..*send }).as_ref(), Ok(&first), "the same bytes again");
    first
}

fn by_webhook(message: &str) -> PreparedRequest {
    prepare(&send("slack", "{}", message, URL))
}

#[test]
fn the_two_ways() {
    let request = by_webhook(MESSAGE);
    assert_eq!((request.url.as_slice(), &request.auth), ([Part::secret("url")].as_slice(), &Auth::None));
    let body = json_body(&request);
    assert_eq!(body["text"], "🟠 Disk full");
    assert_eq!(body["blocks"][0]["text"]["text"], "🟠 Disk full");
    assert_eq!(body["attachments"][0]["color"], "#EF6C00");
    assert_eq!(body.get("channel"), None);

    let request = prepare(&send("slack", CHANNEL, MESSAGE, TOKEN));
    assert_eq!(request.url, [Part::text("https://slack.com/api/chat.postMessage")]);
    assert_eq!(request.auth, Auth::Bearer { secret: "token".into() });
    assert_eq!(json_body(&request)["channel"], "C0123456789");
    let config =
        r##"{"channel":"#ops","apiUrl":"http://127.0.0.1:9/api","username":"Notify","iconEmoji":":bell:"}"##;
    let request = prepare(&send("slack", config, MESSAGE, TOKEN));
    assert_eq!(request.url, [Part::text("http://127.0.0.1:9/api/chat.postMessage")]);
    let body = json_body(&request);
    assert_eq!((&body["username"], &body["icon_emoji"]), (&json!("Notify"), &json!(":bell:")));
}

#[test]
fn threads() {
    let check = |config: &str, phase: Phase, reference: Option<&str>, method: &str, expected: Value| {
        let send = Send { phase, provider_reference: reference, ..send("slack", config, MESSAGE, TOKEN) };
        let request = prepare(&send);
        assert_eq!(request.url, [Part::text(format!("https://slack.com/api/{method}"))], "{config}");
        let body = json_body(&request);
        let keys = ["channel", "thread_ts", "ts", "reply_broadcast"];
        let seen: serde_json::Map<String, Value> =
            keys.iter().filter_map(|key| Some(((*key).to_owned(), body.get(*key)?.clone()))).collect();
        assert_eq!(Value::from(seen), expected, "{config}");
    };
    let known = Some(r#"{"channel":"C0123456789","ts":"1795327200.000100"}"#);
    let plain = json!({ "channel": "C0123456789" });
    let reply = json!({ "channel": "C0123456789", "thread_ts": "1795327200.000100" });
    check(CHANNEL, Phase::Open, known, "chat.postMessage", plain.clone());
    check(CHANNEL, Phase::None, known, "chat.postMessage", plain.clone());
    check(CHANNEL, Phase::Update, known, "chat.postMessage", reply.clone());
    check(CHANNEL, Phase::Resolve, known, "chat.postMessage", reply.clone());
    check(CHANNEL, Phase::Update, None, "chat.postMessage", plain.clone());
    // A name may be that conversation; another id is not.
    check(r##"{"channel":"#ops"}"##, Phase::Update, known, "chat.postMessage", reply);
    check(
        r#"{"channel":"C9999999999"}"#,
        Phase::Update,
        known,
        "chat.postMessage",
        json!({ "channel": "C9999999999" }),
    );
    let update = r#"{"channel":"C0123456789","onResolve":"update"}"#;
    let changed = json!({ "channel": "C0123456789", "ts": "1795327200.000100" });
    check(update, Phase::Resolve, known, "chat.update", changed);
    let broadcast = r#"{"channel":"C0123456789","onResolve":"broadcast"}"#;
    let told = json!({ "channel": "C0123456789", "thread_ts": "1795327200.000100", "reply_broadcast": true });
    check(broadcast, Phase::Resolve, known, "chat.postMessage", told);
    for odd in ["", "x", "{}", r#"{"channel":"C1","ts":"<x>"}"#, r#"{"channel":"<!channel>","ts":"1.2"}"#] {
        check(CHANNEL, Phase::Update, Some(odd), "chat.postMessage", plain.clone());
    }
    let send = Send { phase: Phase::Resolve, ..send("slack", CHANNEL, MESSAGE, TOKEN) };
    assert_eq!(json_body(&prepare(&send))["text"], "✅ Disk full");
}

#[test]
fn checks_ask_who_the_token_is() {
    let request = prepare(&Send { check: true, ..send("slack", CHANNEL, MESSAGE, TOKEN) });
    assert_eq!(request.url, [Part::text("https://slack.com/api/auth.test")]);
    assert_eq!(request.auth, Auth::Bearer { secret: "token".into() });
    let refusal =
        Slack.prepare(&Send { check: true, ..send("slack", "{}", MESSAGE, URL) }).expect_err("no check");
    assert!(refusal.detail().contains("cannot be checked"), "{refusal:?}");
}

#[test]
fn what_cannot_be_prepared_says_why() {
    let check = |config: &str, message: &str, secrets: &str, needle: &str| {
        let refusal = Slack.prepare(&send("slack", config, message, secrets)).expect_err(config);
        assert!(refusal.detail().contains(needle), "{config}: {refusal:?}");
    };
    check("{}", MESSAGE, "[]", "neither");
    check("{}", MESSAGE, TOKEN, "/channel");
    check(CHANNEL, MESSAGE, URL, "/channel");
    check(CHANNEL, MESSAGE, r#"["url","token"]"#, "both");
    check(r#"{"username":"x"}"#, MESSAGE, URL, "/username");
    check(r#"{"channel":"C0123456","apiUrl":"ftp://x"}"#, MESSAGE, TOKEN, "/apiUrl");
    check(r#"{"onResolve":"never"}"#, MESSAGE, URL, "configuration");
    check("{}", "[]", URL, "message");
}

#[test]
fn own_colours_are_checked() {
    let color = |native: Value| {
        let message =
            json!({ "title": "t", "severity": "low", "footer": "f", "native": { "slack": native } });
        json_body(&by_webhook(&message.to_string()))["attachments"][0]["color"].clone()
    };
    assert_eq!(color(json!({ "color": "#A1b2C3" })), "#A1b2C3");
    for other in [json!({ "color": "red" }), json!({ "color": 1 }), json!([]), json!({ "blocks": [] })] {
        assert_eq!(color(other.clone()), "#2F7FD1", "{other}");
    }
}

#[test]
fn goldens() {
    for (name, message) in default_messages() {
        let request = by_webhook(&message);
        walk(&json_body(&request));
        golden("slack", &name, &request);
    }
}

#[test]
fn hostile_texts_stay_text() {
    for place in HOSTILE_PLACES {
        let baseline = walk(&json_body(&by_webhook(&hostile_message(place, "plain").to_string())));
        for one in hostile_strings() {
            let message = hostile_message(place, &one.text).to_string();
            let seen = walk(&json_body(&by_webhook(&message)));
            let at = format!("{place} {}", one.id);
            let expected = tidy(&one.text);
            let expected: String = expected.chars().take(30).collect();
            assert!(seen.shown().contains(expected.trim()), "{at}: {expected:?} in {:?}", seen.shown());
            let foreign = |url: &&String| !url.starts_with("https://notify.example/a/");
            assert_eq!(
                seen.links.iter().filter(foreign).collect::<Vec<_>>(),
                baseline.links.iter().collect::<Vec<_>>(),
                "{at}"
            );
            if !place.starts_with("field") {
                assert_eq!(seen.styled, baseline.styled, "{at}");
            }
            if place != "field-name" && place != "field-value" && one.text.len() < 300 {
                assert_eq!(seen.kinds, baseline.kinds, "{at}");
            }
        }
    }
}

#[test]
fn long_texts_are_cut_with_a_link_and_never_without_need() {
    let body = |message: Value, secrets: &str| {
        json_body(&prepare(&send("slack", "{}", &message.to_string(), secrets))).to_string()
    };
    for unit in
        ["word ", "漢字", "x", "&", "**b** ", "- item\n", "> q\n\n", "`c` ", "[l](https://x.example/) "]
    {
        for size in [4_000, 100_000, 512 * 1024 - 200] {
            let message = json!({ "title": "t", "body": unit.repeat(size / unit.len()) });
            let with = body(message.clone(), URL);
            let seen = walk(&serde_json::from_str(&with).expect("JSON"));
            let needed = size > 20_000;
            assert!(!needed || with.contains("https://notify.example/a/"), "{unit} {size}");
            assert!(seen.cost > 2_000, "{unit} {size}: only {}", seen.cost);
            assert!(!body(message, r#"["url"]"#).contains("studio-alert-url"));
        }
    }
    assert!(!body(serde_json::from_str(MESSAGE).expect("JSON"), URL).contains("notify.example/a/"));
}

proptest! {
    #[test]
    fn every_message_keeps_every_rule(message in any_message(), linked in any::<bool>()) {
        let secrets = if linked { URL } else { r#"["url"]"# };
        let request = Slack.prepare(&send("slack", "{}", &message.to_string(), secrets)).expect("prepared");
        walk(&json_body(&request));
    }
}
