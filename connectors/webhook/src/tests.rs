use super::Webhook;
use notify_connector_sdk::{Auth, Codec, Part, Phase, PreparedRequest, Response, Send, Verdict, VerdictCode};

const MESSAGE: &str = r#"{"title":"Disk full","severity":"high","fields":[{"name":"host","value":"db-1"}]}"#;

fn send<'a>(config: &'a str, message: &'a str, secrets: &'a str, attempt: u32) -> Send<'a> {
    Send {
        token: 1,
        attempt,
        delivery_unix_ms: 1_795_327_200_123,
        attempt_unix_ms: 1_795_327_200_123 + u64::from(attempt) * 5_000,
        deadline_unix_ms: u64::MAX,
        phase: Phase::Open,
        check: false,
        channel_type: "webhook",
        delivery_id: "dlv_0123456789abcdef0123456789abcdef",
        provider_reference: None,
        config_json: config.as_bytes(),
        message_json: message.as_bytes(),
        secret_names_json: secrets.as_bytes(),
        secrets_json: b"",
    }
}

fn prepare(config: &str, message: &str, secrets: &str) -> PreparedRequest {
    let first = Webhook.prepare(&send(config, message, secrets, 1)).expect("it can be prepared");
    let later = Webhook.prepare(&send(config, message, secrets, 7)).expect("it can be prepared again");
    assert_eq!(first, later, "every attempt has the same bytes");
    first
}

fn body(request: &PreparedRequest) -> &str {
    match request.body.as_slice() {
        [Part::Text(text)] => text,
        other => panic!("one text expected, not {other:?}"),
    }
}

#[test]
fn request_is_exactly_this() {
    let request = prepare(r#"{"url":"https://example.test/hook"}"#, MESSAGE, r#"["signing"]"#);
    assert_eq!(request.method, "POST");
    assert_eq!(request.url, [Part::text("https://example.test/hook")]);
    assert_eq!(request.headers, [("content-type".to_owned(), vec![Part::text("application/json")])]);
    assert_eq!(request.auth, Auth::StandardWebhooks { secret: "signing".into() });
    assert_eq!(
        body(&request),
        r#"{"type":"notify.alert","timestamp":"2026-11-22T06:00:00.123Z","data":{"title":"Disk full","severity":"high","fields":[{"name":"host","value":"db-1"}],"delivery":"dlv_0123456789abcdef0123456789abcdef"}}"#
    );
}

#[test]
fn method_headers_and_missing_secret() {
    let config = r#"{"url":"http://127.0.0.1:9/","method":"PUT","headers":{"X-Team":"ops"}}"#;
    let request = prepare(config, MESSAGE, "[]");
    assert_eq!((request.method.as_str(), &request.auth), ("PUT", &Auth::None));
    assert_eq!(request.headers.last(), Some(&("X-Team".to_owned(), vec![Part::text("ops")])));
}

#[test]
fn headers_may_hold_secrets() {
    let config = r#"{"url":"https://x","headers":{"Authorization":["Bearer ",{"secret":"header-token"}],
        "X-Key":{"secret":"header-key"},"X-Team":"ops"}}"#;
    let request = prepare(config, MESSAGE, r#"["header-key","header-token","signing"]"#);
    let header = |name: &str| {
        let found = request.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, parts)| parts.clone()).unwrap_or_default()
    };
    assert_eq!(header("Authorization"), [Part::text("Bearer "), Part::secret("header-token")]);
    assert_eq!(header("X-Key"), [Part::secret("header-key")]);
    assert_eq!(header("X-Team"), [Part::text("ops")]);
    let refusal =
        Webhook.prepare(&send(config, MESSAGE, r#"["header-key"]"#, 1)).expect_err("one is missing");
    assert!(refusal.detail().contains("`header-token`"), "{refusal:?}");
}

#[test]
fn event_time_overrides_and_own_override_is_custom() {
    let message = r#"{"title":"t","native":{"slack":{"blocks":[]},"webhook":{"k":1}},
        "event":{"id":"1","source":"/s","type":"a.b","time":"2026-01-02T03:04:05Z"}}"#;
    let request = prepare(r#"{"url":"https://x"}"#, message, "[]");
    assert_eq!(
        body(&request),
        r#"{"type":"notify.alert","timestamp":"2026-01-02T03:04:05Z","data":{"title":"t","severity":"none","event":{"id":"1","source":"/s","type":"a.b","time":"2026-01-02T03:04:05Z"},"custom":{"k":1},"delivery":"dlv_0123456789abcdef0123456789abcdef"}}"#
    );
}

#[test]
fn what_cannot_be_prepared_says_why() {
    let check = |config: &str, message: &str, needle: &str| {
        let refusal = Webhook.prepare(&send(config, message, "[]", 1)).expect_err(config);
        assert!(refusal.detail().contains(needle), "{config}: {refusal:?}");
    };
    check("{}", MESSAGE, "url");
    check("", MESSAGE, "configuration");
    check(r#"{"url":"ftp://x"}"#, MESSAGE, "/url");
    check(r#"{"url":"https://x","method":"GET"}"#, MESSAGE, "/method");
    check(r#"{"url":"https://x","extra":1}"#, MESSAGE, "extra");
    check(r#"{"url":"https://x","headers":{"Webhook-Id":"1"}}"#, MESSAGE, "/headers/Webhook-Id");
    check(r#"{"url":"https://x","headers":{"authorization":"Bearer x"}}"#, MESSAGE, "/headers/authorization");
    check(r#"{"url":"https://x","headers":{"Accept-Encoding":"gzip"}}"#, MESSAGE, "/headers/Accept-Encoding");
    for name in ["signing", "header-", "header-A", "other"] {
        let config = format!(r#"{{"url":"https://x","headers":{{"X-Key":{{"secret":"{name}"}}}}}}"#);
        check(&config, MESSAGE, "/headers/X-Key");
    }
    check(r#"{"url":"https://x","headers":{"a b":"1"}}"#, MESSAGE, "/headers/a b");
    check(r#"{"url":"https://x","headers":{"a":"1\r\nb: 2"}}"#, MESSAGE, "/headers/a");
    check(r#"{"url":"https://x"}"#, "[]", "message");
}

#[test]
fn answers() {
    let check = |status: u16, headers: &str, expected: Verdict| {
        let verdict = Webhook.interpret(&Response {
            status,
            truncated: false,
            check: false,
            attempt_unix_ms: 784_111_770_000,
            channel_type: "webhook",
            config_json: b"{}",
            headers_json: headers.as_bytes(),
            body: b"",
        });
        assert_eq!(
            (verdict.code, verdict.retry_after_ms),
            (expected.code, expected.retry_after_ms),
            "{status} {headers}"
        );
        assert_eq!(
            verdict.detail.is_empty(),
            verdict.code == VerdictCode::Delivered,
            "{status}: {}",
            verdict.detail
        );
    };
    for status in [200, 201, 202, 204, 299] {
        check(status, "[]", Verdict::delivered());
    }
    for status in [300, 301, 302, 304, 307, 308] {
        check(status, "[]", Verdict::permanent(""));
    }
    check(410, "[]", Verdict::gone(""));
    for status in [429, 502, 503, 504] {
        check(status, "[]", Verdict::throttled(None, ""));
        check(status, r#"[["date","x"],["retry-after","7"]]"#, Verdict::throttled(Some(7_000), ""));
        check(
            status,
            r#"[["retry-after","Sun, 06 Nov 1994 08:49:37 GMT"]]"#,
            Verdict::throttled(Some(7_000), ""),
        );
        check(status, r#"[["retry-after","soon"]]"#, Verdict::throttled(None, ""));
        check(status, "not json", Verdict::throttled(None, ""));
    }
    for status in [408, 425, 500, 501, 505, 599] {
        check(status, r#"[["retry-after","7"]]"#, Verdict::retry(Some(7_000), ""));
    }
    for status in [100, 199, 400, 401, 403, 404, 409, 413, 422, 600, 999, 0] {
        check(status, r#"[["retry-after","7"]]"#, Verdict::retry(None, ""));
    }
}

#[test]
fn details_quote_text_only() {
    let detail = |body: &[u8]| {
        let response = Response {
            status: 500,
            truncated: false,
            check: false,
            attempt_unix_ms: 0,
            channel_type: "webhook",
            config_json: b"{}",
            headers_json: b"[]",
            body,
        };
        Webhook.interpret(&response).detail
    };
    assert_eq!(detail(b"no\r\n  room\x1b[31m"), "the receiver answered 500: no room[31m");
    assert_eq!(detail(&[0xff, 0xfe, b'a']), "the receiver answered 500");
    assert!(detail("ä".repeat(5_000).as_bytes()).len() < 300);
    let mut odd = vec![b'x'];
    odd.extend("ä".repeat(5_000).as_bytes());
    assert!(detail(&odd).contains("xää"), "a cut inside a character keeps what came before");
}

#[test]
fn manifest_describes_this_library() {
    let manifest: serde_json::Value = serde_json::from_str(Webhook::MANIFEST).expect("JSON");
    assert_eq!(manifest["kind"], "codec");
    assert_eq!(manifest["secrets"][0]["name"], super::SIGNING);
    assert!(
        manifest["files"].as_object().is_some_and(serde_json::Map::is_empty),
        "filled in when it is staged"
    );
}
