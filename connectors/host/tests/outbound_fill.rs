//! Secrets, signatures and headers of outbound requests: what arrives, and what is refused before anything is sent.

mod support;

use notify_connector_host::outbound::{EgressPolicy, FaultKind, Outbound};
use notify_connector_host::request::{Auth, Part, PreparedRequest};
use notify_connector_host::secrets::ResolvedSecrets;
use notify_connector_host::signing::{VerifyingKey, WebhookHeaders, verify};
use std::time::Duration;
use support::{Seen, Server, allow, answer, attempt_time, post, secrets};

const TIMEOUT: Duration = Duration::from_secs(20);
const DELIVERY: &str = "dlv_00000000000000000000000000000001";
const WHSEC_OLD: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const WHSK_NEW: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=";
const WHPK_NEW: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";

fn text(text: &str) -> Part {
    Part::Text(text.to_owned())
}

fn secret(name: &str) -> Part {
    Part::Secret(name.to_owned())
}

fn some_secrets() -> ResolvedSecrets {
    secrets(&[
        ("token", &["t0ken", "old"]),
        ("quoted", &["a\"b\\c\nd"]),
        ("signing", &[WHSK_NEW, WHSEC_OLD]),
        ("lines", &["a\r\nx-evil: 1"]),
        ("evil-host", &["127.0.0.1:1/x"]),
    ])
}

/// Sends to a server of its own and returns what it saw.
async fn received(change: impl FnOnce(&mut PreparedRequest)) -> Seen {
    let server = Server::start(|_| answer(200, "")).await;
    let mut request = post(&server.url());
    change(&mut request);
    let outbound = Outbound::new(allow(&["127.0.0.1"])).unwrap();
    outbound.execute(&request, &some_secrets(), DELIVERY, attempt_time(), TIMEOUT).await.unwrap();
    server.seen.lock().unwrap().pop().unwrap()
}

#[tokio::test]
async fn secrets_are_filled_in_everywhere() {
    let (head, body) = received(|request| {
        request.url.extend([text("/"), secret("token"), text("?k="), secret("token")]);
        request.headers.push(("X-Key".to_owned(), vec![text("GenieKey "), secret("token")]));
        request.body = vec![text("{\"key\":\""), secret("token"), text("\"}")];
    })
    .await;
    assert_eq!(head.uri.to_string(), "/hook/t0ken?k=t0ken");
    assert_eq!(head.headers["x-key"], "GenieKey t0ken");
    assert_eq!(body.as_ref(), b"{\"key\":\"t0ken\"}");
}

#[tokio::test]
async fn a_secret_cannot_change_the_structure_of_json() {
    let with_quotes =
        |request: &mut PreparedRequest| request.body = vec![text("[\""), secret("quoted"), text("\"]")];
    let (_, body) = received(with_quotes).await;
    assert_eq!(serde_json::from_slice::<Vec<String>>(&body).unwrap(), ["a\"b\\c\nd"]);
    let (_, body) = received(|request| {
        with_quotes(request);
        request.headers = vec![("content-type".to_owned(), vec![text("text/plain")])];
    })
    .await;
    assert_eq!(body.as_ref(), b"[\"a\"b\\c\nd\"]");
}

#[tokio::test]
async fn authentication() {
    for (auth, expected) in [
        (Auth::None, None),
        (Auth::Bearer { secret: "token".to_owned() }, Some("Bearer t0ken")),
        (Auth::Basic { user: "me".to_owned(), secret: "token".to_owned() }, Some("Basic bWU6dDBrZW4=")),
    ] {
        let (head, _) = received(|request| request.auth = auth).await;
        assert_eq!(head.headers.get("authorization").map(|value| value.to_str().unwrap()), expected);
        assert!(!head.headers.contains_key("webhook-signature"));
    }
}

#[tokio::test]
async fn standard_webhooks_are_signed_with_every_value_of_the_secret() {
    let (head, body) =
        received(|request| request.auth = Auth::StandardWebhooks { secret: "signing".to_owned() }).await;
    let header = |name: &str| head.headers[name].to_str().unwrap();
    assert_eq!((header("webhook-id"), header("webhook-timestamp")), (DELIVERY, "1795327200"));
    let signature = header("webhook-signature");
    assert!(signature.starts_with("v1a,") && signature.contains(" v1,"), "newest first: {signature}");
    for key in [WHPK_NEW, WHSEC_OLD] {
        let headers = WebhookHeaders { id: DELIVERY, timestamp: header("webhook-timestamp"), signature };
        assert_eq!(
            verify(&[VerifyingKey::parse(key).unwrap()], headers, &body, attempt_time()),
            Ok(()),
            "{key}"
        );
    }
}

/// Refused without a connection; `detail` must be in the message, and no value of a secret.
async fn refused(name: &str, change: impl FnOnce(&mut PreparedRequest), kind: FaultKind, detail: &str) {
    let server = Server::start(|_| answer(200, "")).await;
    let mut request = post(&server.url());
    change(&mut request);
    let policy = EgressPolicy { max_request_body: 1_000, ..allow(&[&server.address.to_string()]) };
    let outbound = Outbound::new(policy).unwrap();
    let fault =
        outbound.execute(&request, &some_secrets(), DELIVERY, attempt_time(), TIMEOUT).await.unwrap_err();
    assert_eq!((fault.kind, fault.never_sent), (kind, true), "{name}: {fault:?}");
    assert!(fault.detail.contains(detail), "{name}: {fault:?}");
    for value in ["t0ken", "x-evil", "MfKQ", "127.0.0.1:1"] {
        assert!(!fault.detail.contains(value), "{name}: {fault:?}");
    }
    assert_eq!(server.connections.load(std::sync::atomic::Ordering::SeqCst), 0, "{name}");
}

#[tokio::test]
async fn headers_of_the_host_are_refused_from_codecs() {
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "proxy-authorization",
        "webhook-id",
        "Webhook-Signature",
        "webhook-timestamp",
    ] {
        let change = |request: &mut PreparedRequest| request.headers.push((name.to_owned(), vec![text("1")]));
        refused(name, change, FaultKind::InvalidRequest, "is set by the host only").await;
    }
}

#[tokio::test]
async fn requests_that_cannot_be_sent_are_refused() {
    type Change = Box<dyn FnOnce(&mut PreparedRequest)>;
    let header = |name: &'static str, value: Vec<Part>| -> Change {
        Box::new(move |request| request.headers.push((name.to_owned(), value)))
    };
    let url = |parts: Vec<Part>| -> Change { Box::new(move |request| request.url = parts) };
    let auth = |auth: Auth| -> Change { Box::new(move |request| request.auth = auth) };
    let method =
        |method: &'static str| -> Change { Box::new(move |request| request.method = method.to_owned()) };
    let invalid = FaultKind::InvalidRequest;
    let address = FaultKind::Blocked { code: "address" };
    let cases: Vec<(Change, FaultKind, &str)> = vec![
        (header("x", vec![text("a\r\nb: c")]), invalid, "line break"),
        (header("x", vec![text("a\nb")]), invalid, "line break"),
        (header("x", vec![text("a\0b")]), invalid, "line break"),
        (header("x", vec![secret("lines")]), invalid, "line break"),
        (header("x y", vec![text("a")]), invalid, "is not a header name"),
        (header("x:\r\ny", vec![text("a")]), invalid, "is not a header name"),
        (header("", vec![text("a")]), invalid, "is not a header name"),
        (header("x", vec![text(&"a".repeat(9_000))]), invalid, "longer than"),
        (header("x", vec![secret("absent")]), FaultKind::MissingSecret, "no secret `absent`"),
        (url(vec![text("http://127.0.0.1/"), secret("absent")]), FaultKind::MissingSecret, "`absent`"),
        (url(vec![text("http://example.com/a b")]), invalid, "space or a control character"),
        (url(vec![text("http://exam\tple.com/")]), invalid, "space or a control character"),
        (url(vec![text("http://example.com/"), secret("lines")]), invalid, "space or a control character"),
        (url(vec![text("example.com")]), invalid, "not valid"),
        (url(vec![]), invalid, "not valid"),
        (url(vec![text(&format!("http://example.com/{}", "a".repeat(9_000)))]), invalid, "longer than"),
        (
            url(vec![text("ftp://example.com/")]),
            FaultKind::Blocked { code: "scheme" },
            "`ftp:` is not allowed",
        ),
        (url(vec![text("http://a:b@example.com/")]), FaultKind::Blocked { code: "user-info" }, "user name"),
        (url(vec![text("http://10.0.0.1/"), secret("token")]), address, "10.0.0.1 is a private address"),
        (url(vec![text("http://"), secret("evil-host")]), address, "the URL leads to a loopback address"),
        (url(vec![text("http://127.0.0.1"), secret("absent-port")]), FaultKind::MissingSecret, "absent-port"),
        (auth(Auth::Bearer { secret: "absent".to_owned() }), FaultKind::MissingSecret, "`absent`"),
        (auth(Auth::Bearer { secret: "lines".to_owned() }), invalid, "line break"),
        (auth(Auth::Basic { user: "a:b".to_owned(), secret: "token".to_owned() }), invalid, "user name"),
        (auth(Auth::StandardWebhooks { secret: "absent".to_owned() }), FaultKind::MissingSecret, "`absent`"),
        (auth(Auth::StandardWebhooks { secret: "token".to_owned() }), invalid, "begins with `whsec_`"),
        (method("GET"), invalid, "POST, PUT or PATCH"),
        (method("post"), invalid, "POST, PUT or PATCH"),
        (method("POST / HTTP/1.1\r\nx: y"), invalid, "POST, PUT or PATCH"),
        (Box::new(|r| r.body = vec![text(&"a".repeat(1_001))]), invalid, "longer than 1000 bytes"),
        (
            Box::new(|r| r.headers = vec![("x".to_owned(), vec![text("a")]); 65]),
            invalid,
            "more than 64 headers",
        ),
        (
            Box::new(|r| {
                r.headers.push(("Authorization".to_owned(), vec![text("x")]));
                r.auth = Auth::Bearer { secret: "token".to_owned() };
            }),
            invalid,
            "both `auth` and an `authorization` header",
        ),
    ];
    for (index, (change, kind, detail)) in cases.into_iter().enumerate() {
        refused(&format!("case {index}, {detail}"), change, kind, detail).await;
    }
}

#[tokio::test]
async fn delivery_ids_are_checked() {
    let outbound = Outbound::new(allow(&[])).unwrap();
    for id in ["", "a.b", "a b", "a\r\nb", "ä"] {
        let fault = outbound
            .execute(&post("http://example.com/"), &some_secrets(), id, attempt_time(), TIMEOUT)
            .await
            .unwrap_err();
        assert_eq!(fault.kind, FaultKind::InvalidRequest, "{id}");
    }
}
