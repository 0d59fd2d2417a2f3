//! The mirrors of the SDK and the types of the studio write the same bytes and read each other's.

use notify_connector_host::request as host;
use notify_connector_sdk as sdk;

fn same_message(text: &str) {
    let core: notify_core::message::Message = serde_json::from_str(text).expect("core reads it");
    let mirror: sdk::Message = serde_json::from_str(text).expect("the mirror reads it");
    assert_eq!(serde_json::to_string(&mirror).unwrap(), serde_json::to_string(&core).unwrap(), "{text}");
}

#[test]
fn messages_are_the_same_bytes() {
    same_message(r#"{"title":"t"}"#);
    for severity in ["none", "info", "low", "medium", "high", "critical", "blocker"] {
        same_message(&format!(r#"{{"title":"t","severity":"{severity}"}}"#));
    }
    // Every field set; a field that core gains and the mirror lacks makes `deny_unknown_fields` or the bytes differ.
    let full = notify_core::message::Message {
        title: "Ünïcode \u{0} \" \\ 🙂".into(),
        summary: "s".into(),
        severity: notify_core::severity::Severity::High,
        body: "**b**".into(),
        fields: vec![
            notify_core::message::Field { name: "n".into(), value: "v".into(), short: true },
            notify_core::message::Field { name: "n".into(), value: String::new(), short: false },
        ],
        links: vec![notify_core::message::Link { title: "l".into(), url: "https://x".into() }],
        actions: vec![notify_core::message::Action {
            id: "a".into(),
            title: "A".into(),
            url: "https://x".into(),
            style: "danger".into(),
        }],
        footer: "f".into(),
        attachments: vec![notify_core::message::Attachment {
            name: "a.txt".into(),
            content_type: "text/plain".into(),
            content: "c".into(),
        }],
        native: [("slack".to_owned(), serde_json::json!({"z": 1, "a": [null, 1.5]}))].into(),
        locale: "de-AT".into(),
        event: Some(notify_core::message::EventReference {
            id: "1".into(),
            source: "/s".into(),
            r#type: "t".into(),
            subject: Some("sub".into()),
            time: Some("2026-11-22T06:00:00Z".into()),
        }),
    };
    same_message(&serde_json::to_string(&full).unwrap());
}

#[test]
fn a_later_message_is_still_readable() {
    let later: sdk::Message =
        serde_json::from_str(r#"{"title":"t","later":{"x":1}}"#).expect("unknown fields pass");
    assert_eq!(later.title, "t");
}

fn same_request(mirror: &sdk::PreparedRequest) {
    let text = serde_json::to_string(mirror).unwrap();
    let read: host::PreparedRequest =
        serde_json::from_str(&text).expect("the host reads what the SDK writes");
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
    assert_eq!(serde_json::from_str::<sdk::PreparedRequest>(&text).unwrap(), *mirror);
}

#[test]
fn requests_are_the_same_bytes() {
    let secret = || "signing".to_owned();
    for auth in [
        sdk::Auth::None,
        sdk::Auth::Bearer { secret: secret() },
        sdk::Auth::Basic { user: "u".into(), secret: secret() },
        sdk::Auth::StandardWebhooks { secret: secret() },
    ] {
        let request =
            sdk::PreparedRequest::post(vec![sdk::Part::text("https://x/"), sdk::Part::secret("path")])
                .header("x-one", "ä")
                .json("{\"a\":\"\u{0}\"}")
                .auth(auth);
        same_request(&request);
    }
    assert_eq!(
        serde_json::to_string(&sdk::PreparedRequest::post(vec![
            sdk::Part::text("u"),
            sdk::Part::secret("s")
        ]))
        .unwrap(),
        r#"{"method":"POST","url":[{"text":"u"},{"secret":"s"}],"headers":[],"body":[],"auth":{"scheme":"none"}}"#,
    );
}

#[test]
fn times_are_written_as_the_studio_writes_them() {
    // Leap days, century rules, the ends of years, the last year that can be written.
    for ms in [
        0,
        1,
        951_782_399_999,
        951_782_400_000,
        951_868_800_000,
        1_709_164_800_000,
        1_735_689_599_999,
        4_107_542_400_000,
        1_795_327_200_123,
        253_402_207_200_000,
    ] {
        let at = notify_core::time::Timestamp::from_millisecond(ms).unwrap();
        assert_eq!(sdk::time::rfc3339_millis(ms.unsigned_abs()), notify_core::time::rfc3339_millis(at));
    }
}
