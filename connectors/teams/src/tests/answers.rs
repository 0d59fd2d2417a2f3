use super::super::Teams;
use notify_connector_sdk::{Codec, VerdictCode};
use notify_connector_testing::response;

#[test]
fn answers() {
    use VerdictCode::{Accepted, BadConfig, Delivered, Gone, Permanent, Retry, Throttled};
    let check = |status: u16, headers: &str, body: &str, code: VerdictCode, after: Option<u64>| {
        let verdict = Teams.interpret(&response(status, headers, body));
        assert_eq!(
            (verdict.code, verdict.retry_after_ms),
            (code, after),
            "{status} {body}: {}",
            verdict.detail
        );
        assert_eq!(verdict.detail.is_empty(), code == Delivered, "{status} {body}: {}", verdict.detail);
        assert_eq!(verdict.provider_reference, None);
    };
    let seven = r#"[["retry-after","7"]]"#;
    check(202, "[]", "", Accepted, None);
    check(200, "[]", "1", Delivered, None);
    for fine in ["", " 1\n", "{}", r#"{"id":"08"}"#, r#"{"error":null,"errors":[]}"#, "[]", "null", "true"] {
        check(200, "[]", fine, Delivered, None);
        check(201, "[]", fine, Delivered, None);
    }
    for other in [
        "<html><title>Sign in</title></html>",
        "ok",
        "0",
        "2",
        "11",
        "Summary or Text is required.",
        r#""failed""#,
        "false",
        r#"{"error":"boom"}"#,
        r#"{"Errors":[{"message":"x"}]}"#,
        r#"{"error":true}"#,
        r#"{"cut":"#,
        "\u{0}",
    ] {
        check(200, seven, other, Retry, Some(7000));
        check(204, "[]", other, Retry, None);
    }
    let legacy = |status: &str| {
        format!(
            "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error {status} with ContextId tcid=0,server=X,cv=Y.."
        )
    };
    check(200, "[]", &legacy("429"), Throttled, None);
    check(200, seven, &legacy("429"), Throttled, Some(7000));
    check(200, "[]", &legacy("413"), Permanent, None);
    check(200, "[]", &legacy("400"), Permanent, None);
    check(200, "[]", &legacy("403"), BadConfig, None);
    check(200, "[]", &legacy("404"), BadConfig, None);
    check(200, "[]", &legacy("410"), Gone, None);
    check(200, "[]", &legacy("500"), Retry, None);
    check(200, "[]", &legacy("oops"), Retry, None);
    check(200, "[]", "Bad payload received by generic incoming webhook.", Retry, None);
    check(200, "[]", r#"{"error":{"code":"Unheard","message":"x"}}"#, Retry, None);
    let error = |code: &str| format!(r#"{{"error":{{"code":"{code}","message":"…"}}}}"#);
    check(404, "[]", &error("WorkflowNotFound"), Gone, None);
    check(400, "[]", &error("WorkflowTriggerIsNotEnabled"), BadConfig, None);
    check(401, "[]", &error("DirectApiAuthorizationRequired"), BadConfig, None);
    check(400, "[]", &error("TriggerInputSchemaMismatch"), BadConfig, None);
    check(400, "[]", &error("Unheard"), Permanent, None);
    check(403, seven, &error("TooManyRequests"), Throttled, Some(7000));
    check(429, seven, "", Throttled, Some(7000));
    check(429, "[]", "not text \u{0}", Throttled, None);
    for (status, code) in [
        (301, Permanent),
        (400, Permanent),
        (413, Permanent),
        (401, BadConfig),
        (403, BadConfig),
        (404, BadConfig),
        (410, Gone),
        (408, Retry),
        (500, Retry),
        (502, Throttled),
        (503, Throttled),
        (504, Throttled),
        (0, Retry),
        (999, Retry),
    ] {
        check(status, "[]", "<html>", code, None);
    }
    check(500, seven, "", Retry, Some(7000));
}
