//! The real Slack and Teams plug-ins in their child processes, against a local server that answers as the providers do.

mod common;

use common::{Home, at};
use notify_connector_host::request::Outcome;
use notify_connector_host::secrets::SecretResolver;
use notify_connector_host::stage::stage_plugin;
use notify_connector_host::{AttemptInput, AttemptResult, ConnectorHost, Phase};
use notify_core::document::channel::SecretRef;
use notify_core::ids::TenantId;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

struct Got {
    path: String,
    headers: BTreeMap<String, String>,
    body: Value,
}

/// Answers one request per connection with the next of these: status line with headers, and body.
fn provider(answers: Vec<(&'static str, String)>) -> (String, mpsc::Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (sender, got) = mpsc::channel();
    std::thread::spawn(move || {
        for (head, answer) in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut lines = reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty());
            let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
            let headers: BTreeMap<String, String> = lines
                .filter_map(|line| {
                    line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                })
                .collect();
            let mut body = vec![0; headers["content-length"].parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            sender.send(Got { path, headers, body: serde_json::from_slice(&body).unwrap() }).unwrap();
            let length = answer.len();
            let text =
                format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}");
            reader.into_inner().write_all(text.as_bytes()).unwrap();
        }
    });
    (base, got)
}

struct Attempt<'a> {
    channel_type: &'a str,
    config: Value,
    secret: (&'a str, String),
    phase: Phase,
    reference: Option<&'a str>,
    body: String,
    check: bool,
}

async fn attempt(host: &ConnectorHost, attempt: Attempt<'_>) -> AttemptResult {
    let value = attempt.secret.1.clone();
    let resolver = SecretResolver::with_environment(None, "NOTIFY_SECRET_", move |name| {
        (name == "NOTIFY_SECRET_ACME_CHAT").then(|| value.clone())
    });
    let reference = SecretRef::try_from("secret://env/NOTIFY_SECRET_ACME_CHAT".to_owned()).unwrap();
    let message = json!({ "title": "Disk full <!channel>", "severity": "high", "body": attempt.body });
    host.attempt(AttemptInput {
        channel_type: attempt.channel_type,
        config_json: attempt.config.to_string().as_bytes(),
        tenant: &TenantId::new("acme").unwrap(),
        secrets: &[(attempt.secret.0.to_owned(), vec![reference])].into(),
        resolver: &resolver,
        message_json: message.to_string().as_bytes(),
        delivery_id: "dlv_0123456789abcdef0123456789abcdef",
        delivery_time: at(1_795_327_200_123),
        attempt: 1,
        attempt_time: at(1_795_327_200_123),
        deadline: Duration::from_secs(20),
        phase: attempt.phase,
        provider_reference: attempt.reference,
        provided: &[("studio-alert-url", "https://notify.example/a/token".to_owned())],
        check: attempt.check,
    })
    .await
}

fn host(connector: &str) -> (Home, ConnectorHost) {
    let home = Home::new();
    let library = common::webhook_library().with_file_name(format!("libnotify_connector_{connector}.so"));
    let manifest = format!("{}/../{connector}/notify-plugin.json", env!("CARGO_MANIFEST_DIR"));
    stage_plugin(&library, &std::fs::read(manifest).unwrap(), &home.key, &home.plugins()).unwrap();
    let host = home.open();
    (home, host)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slack_with_a_token() {
    let posted = r#"{"ok":true,"channel":"C0123456789","ts":"1795327200.000100"}"#;
    let replied = r#"{"ok":true,"channel":"C0123456789","ts":"1795327201.000200","message":{"thread_ts":"1795327200.000100"}}"#;
    let failed = |word: &str| ("200 OK", format!(r#"{{"ok":false,"error":"{word}"}}"#));
    let (base, got) = provider(vec![
        ("200 OK", posted.to_owned()),
        ("200 OK", replied.to_owned()),
        ("200 OK\r\nretry-after: 3", r#"{"ok":false,"error":"ratelimited"}"#.to_owned()),
        ("429 Too Many Requests\r\nretry-after: 30", r#"{"ok":false,"error":"ratelimited"}"#.to_owned()),
        failed("channel_not_found"),
        failed("is_archived"),
        failed("invalid_blocks"),
        failed("internal_error"),
        ("200 OK", r#"{"ok":true,"team":"Acme","user":"notify"}"#.to_owned()),
        failed("token_revoked"),
    ]);
    let reference = r#"{"channel":"C0123456789","ts":"1795327200.000100"}"#;
    let retry = Outcome::Retry { after_ms: None };
    let cases = [
        (Phase::Open, false, Outcome::Delivered, Some(reference)),
        (Phase::Update, false, Outcome::Delivered, Some(reference)),
        (Phase::Open, false, Outcome::Throttled { after_ms: Some(3000) }, None),
        (Phase::Open, false, Outcome::Throttled { after_ms: Some(30_000) }, None),
        (Phase::Open, false, Outcome::BadConfig, None),
        (Phase::Open, false, Outcome::Gone, None),
        (Phase::Open, false, Outcome::Permanent, None),
        (Phase::Open, false, retry, None),
        (Phase::None, true, Outcome::Delivered, None),
        (Phase::None, true, Outcome::BadConfig, None),
    ];
    let (_home, host) = host("slack");
    for (number, (phase, check, outcome, expected)) in cases.into_iter().enumerate() {
        let result = attempt(
            &host,
            Attempt {
                channel_type: "slack",
                config: json!({ "channel": "C0123456789", "apiUrl": format!("{base}/api") }),
                secret: ("token", "xoxb-secret".to_owned()),
                phase,
                reference: (phase == Phase::Update).then_some(reference),
                body: "It **stopped**".to_owned(),
                check,
            },
        )
        .await;
        assert_eq!(result.verdict.outcome, outcome, "{number}: {}", result.verdict.detail);
        assert_eq!(result.verdict.provider_reference.as_deref(), expected, "{number}");
        let redacted = String::from_utf8(result.redacted_request.unwrap()).unwrap();
        assert!(redacted.contains("Bearer ‹secret:token›") && !redacted.contains("xoxb-secret"));
        let got = got.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(got.headers["authorization"], "Bearer xoxb-secret");
        assert_eq!(got.path, if check { "/api/auth.test" } else { "/api/chat.postMessage" });
        if !check {
            assert_eq!(got.body["channel"], "C0123456789");
            assert_eq!(got.body.get("thread_ts").is_some(), phase == Phase::Update);
            assert!(!got.body.to_string().contains("<!channel>"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slack_with_an_incoming_webhook() {
    let (base, got) = provider(vec![
        ("200 OK", "ok".to_owned()),
        ("404 Not Found", "no_service".to_owned()),
        ("410 Gone", "channel_is_archived".to_owned()),
        ("403 Forbidden", "invalid_token".to_owned()),
        ("400 Bad Request", "invalid_payload".to_owned()),
        ("429 Too Many Requests\r\nretry-after: 1", "rate_limited".to_owned()),
        ("503 Service Unavailable", String::new()),
        ("200 OK", "ok".to_owned()),
    ]);
    let cases = [
        (Outcome::Delivered, "short"),
        (Outcome::Gone, "short"),
        (Outcome::Gone, "short"),
        (Outcome::BadConfig, "short"),
        (Outcome::Permanent, "short"),
        (Outcome::Throttled { after_ms: Some(1000) }, "short"),
        (Outcome::Throttled { after_ms: None }, "short"),
        (Outcome::Delivered, "long"),
    ];
    let (_home, host) = host("slack");
    for (number, (outcome, length)) in cases.into_iter().enumerate() {
        let long = length == "long";
        let result = attempt(
            &host,
            Attempt {
                channel_type: "slack",
                config: json!({}),
                secret: ("url", format!("{base}/services/T0/B0/secret")),
                phase: Phase::None,
                reference: None,
                body: if long { "word ".repeat(100_000) } else { "It stopped".to_owned() },
                check: false,
            },
        )
        .await;
        assert_eq!(result.verdict.outcome, outcome, "{number}: {}", result.verdict.detail);
        let redacted = String::from_utf8(result.redacted_request.unwrap()).unwrap();
        assert!(redacted.starts_with("POST ‹secret:url›\n"), "{redacted}");
        // The bearer link is neither in a preview nor in the ledger.
        assert!(!redacted.contains("notify.example/a/"));
        assert_eq!(redacted.contains("‹secret:studio-alert-url›"), long);
        let got = got.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(got.path, "/services/T0/B0/secret");
        assert_eq!(got.body.to_string().contains("https://notify.example/a/token"), long);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn teams() {
    let failed = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error ";
    let (base, got) = provider(vec![
        ("202 Accepted", String::new()),
        ("200 OK", "1".to_owned()),
        ("200 OK", format!("{failed}429 with ContextId x")),
        ("200 OK", format!("{failed}413 with ContextId x")),
        ("429 Too Many Requests\r\nretry-after: 9", String::new()),
        ("400 Bad Request", r#"{"error":{"code":"WorkflowTriggerIsNotEnabled","message":"x"}}"#.to_owned()),
        ("404 Not Found", r#"{"error":{"code":"WorkflowNotFound","message":"x"}}"#.to_owned()),
        ("202 Accepted", String::new()),
    ]);
    let cases = [
        (Outcome::Accepted, false),
        (Outcome::Delivered, false),
        (Outcome::Throttled { after_ms: None }, false),
        (Outcome::Permanent, false),
        (Outcome::Throttled { after_ms: Some(9000) }, false),
        (Outcome::BadConfig, false),
        (Outcome::Gone, false),
        (Outcome::Accepted, true),
    ];
    let (_home, host) = host("teams");
    let send = |url: String, long: bool| Attempt {
        channel_type: "teams",
        config: json!({}),
        secret: ("url", url),
        phase: Phase::Open,
        reference: None,
        body: if long { "word ".repeat(100_000) } else { "It stopped".to_owned() },
        check: false,
    };
    for (number, (outcome, long)) in cases.into_iter().enumerate() {
        let result = attempt(&host, send(format!("{base}/workflows/1?sig=secret"), long)).await;
        assert_eq!(result.verdict.outcome, outcome, "{number}: {}", result.verdict.detail);
        let got = got.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(got.path, "/workflows/1?sig=secret");
        assert_eq!(got.body["attachments"][0]["content"]["type"], "AdaptiveCard");
        assert_eq!(got.body.to_string().contains("https://notify.example/a/token"), long);
        assert!(got.body.to_string().len() <= 24_000);
    }
    // The addresses of the retired connectors never leave: only the host can see them.
    for old in [
        "https://acme.webhook.office.com/webhookb2/x",
        "https://OUTLOOK.office365.com/webhook/x",
        "no address",
    ] {
        let result = attempt(&host, send(old.to_owned(), false)).await;
        assert_eq!((result.verdict.outcome, result.never_sent), (Outcome::BadConfig, true), "{old}");
        assert!(result.redacted_request.is_none() && !result.verdict.detail.contains("webhookb2"));
        assert!(result.verdict.detail.starts_with("secret `url`: this is"), "{}", result.verdict.detail);
    }
}
