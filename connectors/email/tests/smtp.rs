//! Against aiosmtpd: what the server answers at each step, and what becomes of the send.

mod support;

use notify_connector_email::deliver::Post;
use notify_connector_sdk::{Phase, Verdict, VerdictCode};
use serde_json::json;
use std::time::Duration;
use support::{Mail, Server, Tls, options};

fn post(ca: Option<&str>) -> (Post, notify_connector_email::config::Options) {
    let options = options(ca);
    (Post::new(&options).unwrap(), options)
}

async fn send(server: &Server, recipients: &[&str]) -> Verdict {
    let (post, options) = post(None);
    Mail::to(server.port, "none", recipients).send(&post, &options).await
}

fn is(verdict: &Verdict, code: VerdictCode, says: &str) {
    assert_eq!(verdict.code, code, "{verdict:?}");
    assert!(verdict.detail.contains(says), "{says:?} in {verdict:?}");
    assert!(verdict.provider_reference.as_ref().is_none_or(|text| text.len() <= 1024));
}

#[tokio::test]
async fn each_answer_has_its_outcome() {
    use VerdictCode as V;
    let server = Server::start(&["--size", "40000"]);
    for (recipient, code, says) in [
        ("ok", V::Accepted, "queued as 4711"),
        ("nouser", V::Permanent, "5.1.1"),
        ("full", V::Retry, "4.2.2"),
        ("relay", V::BadConfig, "5.7.1"),
        ("rate", V::Throttled, "4.7.1"),
        ("down", V::Retry, "421"),
        ("big", V::Permanent, "5.3.4"),
        ("spam", V::Permanent, "5.7.1"),
        ("tempdata", V::Retry, "4.3.0"),
        ("cutrcpt", V::Retry, "RCPT TO"),
        ("cutdata", V::Retry, "before the server's answer"),
        ("grey", V::Retry, "Greylisting"),
        ("grey", V::Accepted, ""),
    ] {
        is(&send(&server, &[recipient]).await, code, says);
    }
    let (post, options) = post(None);
    for (from, code, says) in
        [("forged@studio.test", V::BadConfig, "MAIL FROM"), ("cutmail@studio.test", V::Retry, "MAIL FROM")]
    {
        let mut mail = Mail::to(server.port, "none", &["ok"]);
        mail.config["from"] = json!(from);
        is(&mail.send(&post, &options).await, code, says);
    }
    let mut large = Mail::to(server.port, "none", &["ok"]);
    large.message["attachments"] =
        json!([{"name": "a.txt", "contentType": "text/plain", "content": "line\n".repeat(12_000)}]);
    is(&large.send(&post, &options).await, V::Permanent, "552");
}

#[tokio::test]
async fn a_retry_goes_to_the_rest_only() {
    let server = Server::start(&[]);
    let (post, options) = post(None);
    let mut mail = Mail::to(server.port, "none", &["a", "nouser", "grey", "b"]);
    let first = mail.send(&post, &options).await;
    is(&first, VerdictCode::Retry, "Greylisting");
    assert_eq!(server.recipients(), ["a", "b"], "the others were not held up");
    mail.reference = first.provider_reference;
    let second = mail.send(&post, &options).await;
    is(&second, VerdictCode::Accepted, "3 of 4 recipients");
    assert_eq!(server.recipients(), ["a", "b", "grey"]);
    let sessions: std::collections::BTreeSet<i64> =
        server.taken().iter().map(|taken| taken.json["session"].as_i64().unwrap()).collect();
    assert_eq!(sessions.len(), 1, "one connection for both attempts");
}

#[tokio::test]
async fn in_doubt_is_sent_again_under_the_same_name() {
    let server = Server::start(&[]);
    let (post, options) = post(None);
    let mut mail = Mail::to(server.port, "none", &["a", "cutonce"]);
    let first = mail.send(&post, &options).await;
    is(&first, VerdictCode::Retry, "before the server's answer");
    mail.reference = first.provider_reference;
    is(&mail.send(&post, &options).await, VerdictCode::Accepted, "2 of 2");
    let taken = server.taken();
    assert_eq!(server.recipients(), ["a", "cutonce", "cutonce"]);
    assert_eq!(taken[1].data, taken[2].data, "byte for byte: a mailbox can tell");
    assert_ne!(taken[0].data, taken[1].data);
}

#[tokio::test]
async fn tls_and_sign_in() {
    use VerdictCode as V;
    let tls = Tls::new();
    let (cert, key) = (tls.cert(), tls.key());
    let secure = |mode: &str| {
        Server::start(&["--tls", mode, "--cert", &cert, "--key", &key, "--auth", "alerts:pa:ss wörd"])
    };
    let (starttls, implicit) = (secure("starttls"), secure("implicit"));
    for (server, mode) in [(&starttls, "starttls"), (&implicit, "tls")] {
        let (trusting, options) = post(Some(&tls.ca));
        let mut mail = Mail::to(server.port, mode, &["ok"]);
        mail.config["username"] = json!("alerts");
        mail.secrets = json!({"password": ["pa:ss wörd"]});
        is(&mail.send(&trusting, &options).await, V::Accepted, "1 of 1");
        let taken = server.taken();
        let last = taken.last().unwrap();
        assert_eq!(
            (last.json["tls"].as_bool(), last.json["user"].as_str()),
            (Some(true), Some("alerts")),
            "{mode}"
        );

        mail.secrets = json!({"password": ["new one", "pa:ss wörd"]});
        is(&mail.send(&trusting, &options).await, V::Accepted, "1 of 1");
        mail.secrets = json!({"password": ["wrong"]});
        let refused = mail.send(&trusting, &options).await;
        is(&refused, V::BadConfig, "535");
        assert!(!refused.detail.contains("wrong"));
        let mut check = mail.clone();
        check.check = true;
        is(&check.send(&trusting, &options).await, V::BadConfig, "535");
        check.secrets = json!({"password": ["pa:ss wörd"]});
        is(&check.send(&trusting, &options).await, V::Delivered, "nothing was sent");
        assert_eq!(server.taken().len(), 2, "a check sends nothing");

        let (strange, options) = post(Some(&Tls::new().ca));
        is(&mail.send(&strange, &options).await, V::Retry, "the server's certificate");
    }
    let plain = Server::start(&[]);
    let (_, options) = post(None);
    let trusting = Post::new(&options).unwrap();
    is(
        &Mail::to(plain.port, "starttls", &["ok"]).send(&trusting, &options).await,
        V::BadConfig,
        "no STARTTLS",
    );
    assert!(plain.taken().is_empty());
}

#[tokio::test]
async fn greetings_and_closed_ports() {
    for (greet, says) in [("busy", "421"), ("cut", "greeting")] {
        let server = Server::start(&["--greet", greet]);
        is(&send(&server, &["ok"]).await, VerdictCode::Retry, says);
    }
    let silent = Server::start(&["--greet", "silent"]);
    is(&send(&silent, &["ok"]).await, VerdictCode::Retry, "not ready within 5 s");
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let (post, options) = post(None);
    is(&Mail::to(closed, "none", &["ok"]).send(&post, &options).await, VerdictCode::Retry, "no connection");
}

#[tokio::test]
async fn the_guard_decides_where_to() {
    let server = Server::start(&[]);
    for (host, options, says) in [
        ("127.0.0.1", "{}", "[egress] allow"),
        ("localhost", "{}", "[egress] allow"),
        ("metadata.google.internal", "{}", "metadata"),
        (
            "127.0.0.1",
            r#"{"studio":{"egress":{"allow":["127.0.0.0/8"],"onlyHosts":["mail.test"]}}}"#,
            "[egress] hosts",
        ),
        (
            "127.0.0.1",
            r#"{"servers":["mail.test"],"studio":{"egress":{"allow":["127.0.0.0/8"]}}}"#,
            "operator's mail servers",
        ),
        ("127.0.0.1@evil.test", r#"{"studio":{"egress":{"allow":["127.0.0.0/8"]}}}"#, ""),
    ] {
        let options = notify_connector_email::config::Options::read(options.as_bytes()).unwrap();
        let mut mail = Mail::to(server.port, "none", &["ok"]);
        mail.config["server"]["host"] = json!(host);
        let verdict = mail.send(&Post::new(&options).unwrap(), &options).await;
        is(&verdict, VerdictCode::BadConfig, says);
    }
    assert!(server.taken().is_empty());
}

#[tokio::test]
async fn people_who_opted_out_get_nothing() {
    let server = Server::start(&[]);
    let (post, options) = post(None);
    let mut mail = Mail::to(server.port, "none", &["A@rcpt.test", "b"]);
    mail.secrets = json!({"studio-opted-out": ["[\"a@rcpt.test\"]"]});
    is(&mail.send(&post, &options).await, VerdictCode::Accepted, "1 of 2 recipients, 1 opted out");
    assert_eq!(server.recipients(), ["b"]);
    mail.secrets = json!({"studio-opted-out": ["[\"a@rcpt.test\",\"b@rcpt.test\"]"]});
    is(&mail.send(&post, &options).await, VerdictCode::Cancelled, "all recipients of this channel opted out");
    mail.secrets = json!({"studio-opted-out": ["not json"]});
    is(&mail.send(&post, &options).await, VerdictCode::Retry, "opted-out");
    assert_eq!(server.recipients(), ["b"]);
}

#[tokio::test]
async fn a_closed_idle_connection_costs_no_attempt() {
    let (post, options) = post(None);
    let server = Server::start(&[]);
    let port = server.port;
    is(&Mail::to(port, "none", &["ok"]).send(&post, &options).await, VerdictCode::Accepted, "");
    drop(server);
    is(&Mail::to(port, "none", &["ok"]).send(&post, &options).await, VerdictCode::Retry, "no connection");
}

#[tokio::test]
async fn the_deadline_keeps_who_is_done() {
    let server = Server::start(&[]);
    let (post, options) = post(None);
    let mut mail = Mail::to(server.port, "none", &["a", "slow", "b"]);
    let job = mail.job(&options).unwrap();
    let ran = tokio::time::timeout(Duration::from_secs(2), job.run(&post)).await;
    assert!(ran.is_err());
    let late = job.late();
    is(&late, VerdictCode::Retry, "deadline");
    mail.config["to"] = json!(["a@rcpt.test", "b@rcpt.test"]);
    mail.reference = late.provider_reference;
    is(&mail.send(&post, &options).await, VerdictCode::Accepted, "2 of 2");
    assert_eq!(server.recipients(), ["a", "slow", "b"]);
}

#[tokio::test]
async fn incidents_are_threads() {
    let server = Server::start(&[]);
    let (post, options) = post(None);
    let mut mail = Mail::to(server.port, "none", &["a"]);
    let mut reference = None;
    for (phase, id) in [(Phase::Open, "1"), (Phase::Update, "2"), (Phase::Resolve, "3")] {
        mail.phase = phase;
        mail.delivery = format!("dlv_{}", id.repeat(32));
        mail.reference = reference.take();
        let verdict = mail.send(&post, &options).await;
        is(&verdict, VerdictCode::Accepted, "1 of 1");
        reference = verdict.provider_reference;
    }
    let ids: Vec<(Option<String>, Option<String>)> = server
        .taken()
        .iter()
        .map(|taken| {
            let text = String::from_utf8_lossy(&taken.data).into_owned();
            let header = |name: &str| {
                text.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
            };
            (header("Message-ID:"), header("In-Reply-To:"))
        })
        .collect();
    assert_eq!(ids[0].1, None);
    assert_eq!(ids[1].1, ids[0].0);
    assert_eq!(ids[2].1, ids[0].0);
}
