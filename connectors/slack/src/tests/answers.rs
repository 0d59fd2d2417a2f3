use super::super::Slack;
use notify_connector_sdk::{Codec, Part, Phase, Response, Send, VerdictCode};
use notify_connector_testing::{json_body, response, send};

#[test]
fn answers() {
    use VerdictCode::{BadConfig, Delivered, Gone, Permanent, Retry, Throttled};
    let check = |status: u16, headers: &str, body: &str, code: VerdictCode, after: Option<u64>| {
        let verdict = Slack.interpret(&response(status, headers, body));
        assert_eq!(
            (verdict.code, verdict.retry_after_ms),
            (code, after),
            "{status} {body}: {}",
            verdict.detail
        );
        assert_eq!(verdict.detail.is_empty(), code == Delivered, "{status} {body}: {}", verdict.detail);
    };
    let seven = r#"[["retry-after","7"]]"#;
    let failed = |word: &str| format!(r#"{{"ok":false,"error":"{word}"}}"#);
    // The Web API.
    check(200, "[]", r#"{"ok":true,"channel":"C1","ts":"1.2"}"#, Delivered, None);
    check(200, seven, &failed("ratelimited"), Throttled, Some(7000));
    check(200, "[]", r#"{"ok":false,"error":"rate_limited","retry_after":30}"#, Throttled, Some(30_000));
    check(429, "[]", r#"{"ok":false,"error":"ratelimited","retry_after":1.5}"#, Throttled, Some(1500));
    check(429, seven, "", Throttled, Some(7000));
    check(429, "[]", r#"{"ok":false,"retry_after":-1}"#, Throttled, None);
    for word in ["internal_error", "fatal_error", "service_unavailable", "request_timeout"] {
        check(200, "[]", &failed(word), Retry, None);
    }
    for word in [
        "channel_not_found",
        "not_in_channel",
        "invalid_auth",
        "not_authed",
        "token_revoked",
        "token_expired",
        "account_inactive",
        "missing_scope",
        "restricted_action",
    ] {
        check(200, "[]", &failed(word), BadConfig, None);
    }
    for word in ["is_archived", "channel_is_archived"] {
        check(200, "[]", &failed(word), Gone, None);
    }
    for word in ["msg_too_long", "msg_blocks_too_long", "invalid_blocks", "invalid_blocks_format", "no_text"]
    {
        check(200, "[]", &failed(word), Permanent, None);
    }
    for word in [
        "thread_not_found",
        "message_not_found",
        "cant_update_message",
        "edit_window_closed",
        "cannot_reply_to_message",
    ] {
        check(200, seven, &failed(word), Retry, Some(7000));
    }
    check(200, "[]", &failed("never_heard_of"), Retry, None);
    check(503, seven, &failed("never_heard_of"), Throttled, Some(7000));
    check(500, "[]", r#"{"ok":true}"#, Retry, None);
    // Incoming webhooks.
    check(200, "[]", "ok", Delivered, None);
    check(200, "[]", "", Delivered, None);
    check(404, "[]", "no_service", Gone, None);
    check(404, "[]", "no_team", Gone, None);
    check(410, "[]", "channel_is_archived", Gone, None);
    check(404, "[]", "channel_not_found", BadConfig, None);
    check(403, "[]", "invalid_token", BadConfig, None);
    check(403, "[]", "action_prohibited", BadConfig, None);
    check(400, "[]", "invalid_payload", Permanent, None);
    check(400, "[]", "too_many_attachments", Permanent, None);
    check(500, "[]", "rollup_error", Retry, None);
    check(200, "[]", "no_service", Gone, None);
    // Something in between.
    check(200, "[]", "<html>Login</html>", Retry, None);
    check(302, "[]", "", Permanent, None);
    check(401, "[]", "", BadConfig, None);
    check(413, "[]", "", Permanent, None);
    check(502, seven, "", Throttled, Some(7000));
    check(500, seven, "\u{0}", Retry, Some(7000));
}

#[test]
fn references() {
    let reference = |body: &str| Slack.interpret(&response(200, "[]", body)).provider_reference;
    let posted = r#"{"ok":true,"channel":"C0123456789","ts":"1795327200.000100","message":{"text":"x"}}"#;
    let expected = r#"{"channel":"C0123456789","ts":"1795327200.000100"}"#;
    assert_eq!(reference(posted).as_deref(), Some(expected));
    // A reply's reference is its thread.
    let reply = r#"{"ok":true,"channel":"C0123456789","ts":"1795327201.000200","message":{"thread_ts":"1795327200.000100"}}"#;
    assert_eq!(reference(reply).as_deref(), Some(expected));
    for odd in [
        r#"{"ok":true}"#,
        r#"{"ok":true,"channel":"<x>","ts":"1.2"}"#,
        r#"{"ok":true,"channel":"C1","ts":"x"}"#,
        "ok",
    ] {
        assert_eq!(reference(odd), None, "{odd}");
    }
    let missing = Slack.interpret(&response(
        200,
        "[]",
        r#"{"ok":false,"error":"missing_scope","needed":"chat:write\u0007"}"#,
    ));
    assert!(missing.detail.ends_with("it needs chat:write"), "{}", missing.detail);
}

#[test]
fn checks() {
    let check = |body: &str| Slack.interpret(&Response { check: true, ..response(200, "[]", body) });
    let fine = check(r#"{"ok":true,"team":"Acme","user":"notify"}"#);
    assert_eq!((fine.code, fine.provider_reference), (VerdictCode::Delivered, None));
    assert_eq!(fine.detail, "the token is valid: notify in Acme");
    assert_eq!(check(r#"{"ok":false,"error":"invalid_auth"}"#).code, VerdictCode::BadConfig);
    assert_eq!(check("ok").code, VerdictCode::Retry, "no answer of the Web API");
}

#[test]
fn what_has_lost_its_thread_goes_out_as_a_new_message() {
    let config = |mode: &str| format!(r#"{{"channel":"C0123456789","onResolve":"{mode}"}}"#);
    let known = r#"{"channel":"C0123456789","ts":"1795327200.000100"}"#;
    for (mode, word, method) in [
        ("reply", "thread_not_found", "chat.postMessage"),
        ("broadcast", "cannot_reply_to_message", "chat.postMessage"),
        ("update", "message_not_found", "chat.update"),
        ("update", "edit_window_closed", "chat.update"),
        ("update", "cant_update_message", "chat.update"),
    ] {
        let config = config(mode);
        let attempt = |attempt, reference: &str| {
            let request = Slack
                .prepare(&Send {
                    attempt,
                    phase: Phase::Resolve,
                    provider_reference: Some(reference),
                    ..send("slack", &config, super::MESSAGE, super::TOKEN)
                })
                .expect("it can be prepared");
            let body = json_body(&request);
            (request.url, body.get("thread_ts").or(body.get("ts")).cloned())
        };
        let at = |method: &str| vec![Part::text(format!("https://slack.com/api/{method}"))];
        let (url, message) = attempt(1, known);
        assert_eq!((url, message.is_some()), (at(method), true), "{word}");
        let answer = format!(r#"{{"ok":false,"error":"{word}"}}"#);
        let verdict = Slack.interpret(&response(200, "[]", &answer));
        assert_eq!(verdict.code, VerdictCode::Retry, "{word}");
        let reference = verdict.provider_reference.expect("the stored one is replaced");
        assert_eq!(attempt(2, &reference), (at("chat.postMessage"), None), "{word}");
        // The new message is what later ones belong to.
        let posted = r#"{"ok":true,"channel":"C0123456789","ts":"1795327300.000100"}"#;
        let again = Slack.interpret(&response(200, "[]", posted)).provider_reference.expect("a reference");
        assert_eq!(attempt(1, &again).1, Some("1795327300.000100".into()), "{word}");
    }
}
