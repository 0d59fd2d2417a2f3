//! Servers that refuse one recipient, hang, talk without end, or repeat what they were told.

mod support;

use base64::Engine as _;
use notify_connector_email::config::Options;
use notify_connector_email::deliver::Post;
use notify_connector_sdk::{Verdict, VerdictCode};
use serde_json::json;
use std::time::Duration;
use support::raw::{Raw, usual};
use support::{Mail, options};

fn post() -> (Post, Options) {
    let options = options(None);
    (Post::new(&options).unwrap(), options)
}

fn is(verdict: &Verdict, code: VerdictCode, says: &str) {
    assert_eq!(verdict.code, code, "{verdict:?}");
    assert!(verdict.detail.contains(says), "{says:?} in {verdict:?}");
}

/// As quickly as something that waits for nobody, on a busy machine.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(3), work).await.expect("it waited")
}

/// Refuses what is for `bad…`, at this command, so; `worse…` so.
fn refusing(at: &'static str, bad: &'static str, worse: &'static str) -> Raw {
    Raw::odd(move |line, recipient| {
        let answer = match recipient {
            one if one.starts_with("bad") => bad,
            one if one.starts_with("worse") => worse,
            _ => return None,
        };
        line.starts_with(at).then(|| answer.to_owned())
    })
}

#[tokio::test]
async fn one_recipient_is_not_all() {
    use VerdictCode as V;
    let (grey, rate) = ("450 4.2.0 greylisted", "450 4.7.1 too many messages");
    let (rule, unknown) = ("550 5.7.1 relaying denied", "550 5.1.1 no such user");
    for (at, bad, worse, to, code, taken) in [
        ("RCPT", "530 5.7.0 sign in first", "", &["a", "bad", "c"][..], V::Accepted, &["a", "c"][..]),
        ("RCPT", "535 no", "", &["bad", "c"], V::Accepted, &["c"]),
        ("DATA", "538 5.7.11 no", "", &["bad", "c"], V::Accepted, &["c"]),
        ("RCPT", "452 4.5.3 too many recipients", "", &["a", "bad", "c"], V::Throttled, &["a", "c"]),
        ("RCPT", "451 4.3.0 local error", "", &["a", "bad", "c"], V::Retry, &["a", "c"]),
        ("DATA", "451 4.3.0 local error", "", &["a", "bad", "c"], V::Retry, &["a", "c"]),
        (".", "451 4.3.0 queue file write error", "", &["a", "bad", "c"], V::Retry, &["a", "c"]),
        ("RCPT", "421 4.3.2 shutting down", "", &["a", "bad", "c"], V::Retry, &["a"]),
        // What is left decides.
        ("RCPT", rate, grey, &["bad", "worse", "c"], V::Retry, &["c"]),
        ("RCPT", rate, rate, &["bad", "worse"], V::Throttled, &[]),
        ("RCPT", unknown, grey, &["bad", "worse"], V::Retry, &[]),
        ("RCPT", rule, "", &["bad1", "bad2"], V::BadConfig, &[]),
        ("RCPT", rule, unknown, &["bad", "worse"], V::Permanent, &[]),
        ("RCPT", rule, unknown, &["worse", "bad"], V::Permanent, &[]),
        ("RCPT", rule, "", &["bad", "c"], V::Accepted, &["c"]),
    ] {
        let server = refusing(at, bad, worse);
        let (post, options) = post();
        let verdict = Mail::to(server.port, "none", to).send(&post, &options).await;
        is(&verdict, code, bad.split(' ').next().unwrap());
        assert_eq!(server.taken(), taken, "{at} {bad}");
    }
}

#[tokio::test]
async fn the_rest_is_tried_again_and_rules_are_remembered() {
    let server = refusing("RCPT", "550 5.7.1 relaying denied", "450 4.2.0 greylisted");
    let (post, options) = post();
    let mut mail = Mail::to(server.port, "none", &["bad", "worse"]);
    let first = mail.send(&post, &options).await;
    is(&first, VerdictCode::Retry, "450");
    for (answer, code) in
        [("550 5.7.1 denied", VerdictCode::BadConfig), ("550 5.1.1 unknown", VerdictCode::Permanent)]
    {
        let server = refusing("RCPT", answer, answer);
        mail.config["server"]["port"] = json!(server.port);
        mail.reference = first.provider_reference.clone();
        let second = mail.send(&post, &options).await;
        is(&second, code, "0 of 2");
        assert_eq!(server.seen().iter().filter(|line| line.starts_with("RCPT")).count(), 1, "the rest only");
        if code == VerdictCode::BadConfig {
            // Once the rule is mended, everybody is tried.
            let good = Raw::odd(|_, _| None);
            let mut mail = mail.clone();
            mail.config["server"]["port"] = json!(good.port);
            mail.reference = second.provider_reference;
            is(&mail.send(&post, &options).await, VerdictCode::Accepted, "2 of 2");
        }
    }
}

#[tokio::test]
async fn nobody_waits_for_a_goodbye() {
    let (post, options) = post();
    // Everything is answered but QUIT and RSET.
    let silent = || {
        Raw::start(b"220 raw\r\n", |line, recipient| match line {
            "QUIT" | "RSET" => None,
            _ if line.starts_with("EHLO") => Some("250-raw\r\n250 AUTH PLAIN".to_owned()),
            _ if line.starts_with("AUTH") => Some("535 5.7.8 no".to_owned()),
            _ if line.starts_with("RCPT") && recipient == "nouser" => Some("550 5.1.1 unknown".to_owned()),
            _ => Some(usual(line)),
        })
    };
    let server = silent();
    let mut check = Mail::to(server.port, "none", &["a"]);
    check.check = true;
    is(&soon(check.send(&post, &options)).await, VerdictCode::Delivered, "nothing was sent");
    check.config["username"] = json!("me");
    check.secrets = json!({"password": ["x"]});
    is(&soon(check.send(&post, &options)).await, VerdictCode::BadConfig, "535");

    let mail = Mail::to(server.port, "none", &["nouser"]);
    is(&soon(mail.send(&post, &options)).await, VerdictCode::Permanent, "5.1.1");

    // All are known: the deadline changes nothing.
    let job = Mail::to(server.port, "none", &["a", "b"]).job(&options).unwrap();
    let fresh = Post::new(&options).unwrap();
    let verdict = soon(job.run(&fresh)).await;
    is(&verdict, VerdictCode::Accepted, "2 of 2");
    assert_eq!(job.late(), verdict);

    // Several goodbyes take as long as one.
    let servers: Vec<Raw> = (0..4).map(|_| silent()).collect();
    for server in &servers {
        is(
            &Mail::to(server.port, "none", &["a"]).send(&post, &options).await,
            VerdictCode::Accepted,
            "1 of 1",
        );
    }
    tokio::time::timeout(Duration::from_millis(2500), post.close(true)).await.expect("one after the other");
    for server in &servers {
        assert_eq!(server.seen().last().map(String::as_str), Some("QUIT"));
    }
}

#[tokio::test]
async fn who_talks_without_end_is_cut() {
    let (post, options) = post();
    const ENDLESS: &[u8] = &[b'x'; 4 << 20];
    for tls in ["none", "starttls"] {
        let server = Raw::start(ENDLESS, |_, _| None);
        let verdict = soon(Mail::to(server.port, tls, &["a"]).send(&post, &options)).await;
        let says = if tls == "none" { "talks without end" } else { "greeting" };
        is(&verdict, VerdictCode::Retry, says);
    }
    let endless = |text: &'static str| {
        Raw::odd(move |line, _| line.starts_with("RCPT").then(|| text.repeat((4 << 20) / text.len())))
    };
    for text in ["2", "250-more\r\n", "250-\n"] {
        let server = endless(text);
        let verdict = soon(Mail::to(server.port, "none", &["a"]).send(&post, &options)).await;
        is(&verdict, VerdictCode::Retry, "RCPT TO");
        assert!(server.taken().is_empty());
    }
}

#[tokio::test]
async fn plain_text_behind_starttls_is_refused() {
    let (post, options) = post();
    for (at, behind) in
        [("STARTTLS", "220 go\r\n250 AUTH PLAIN"), ("EHLO", "250-raw\r\n250 STARTTLS\r\n220 go\r\n250 raw")]
    {
        let server = Raw::odd(move |line, _| match line {
            _ if line.starts_with(at) => Some(behind.to_owned()),
            _ if line.starts_with("EHLO") => Some("250-raw\r\n250 STARTTLS".to_owned()),
            _ if line.starts_with("STARTTLS") => Some("220 go".to_owned()),
            _ => None,
        });
        let mut mail = Mail::to(server.port, "starttls", &["a"]);
        mail.config["username"] = json!("me");
        mail.secrets = json!({"password": ["secret"]});
        is(&soon(mail.send(&post, &options)).await, VerdictCode::Retry, "plain text");
        assert_eq!(server.seen().len(), 2, "nothing after STARTTLS: {:?}", server.seen());
    }
}

/// Somebody between us and a server who passes everything on, and puts `more` behind the answer to STARTTLS.
fn between(server: u16, more: &'static [u8]) -> u16 {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let mut server = std::net::TcpStream::connect(("127.0.0.1", server)).unwrap();
            let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
            std::thread::spawn(move || {
                let (mut part, mut answers) = ([0; 4096], 0);
                while let Ok(count @ 1..) = server.read(&mut part) {
                    let mut bytes = part[..count].to_vec();
                    answers += usize::from(bytes.starts_with(b"220"));
                    if answers == 2 {
                        answers += 1;
                        bytes.extend_from_slice(more);
                    }
                    if client.write_all(&bytes).is_err() {
                        break;
                    }
                }
                let _ = client.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    port
}

#[tokio::test]
async fn who_sits_between_cannot_answer_for_the_server() {
    let tls = support::Tls::new();
    let (cert, key) = (tls.cert(), tls.key());
    let server = support::Server::start(&["--tls", "starttls", "--cert", &cert, "--key", &key]);
    let options = options(Some(&tls.ca));
    let post = Post::new(&options).unwrap();
    let quiet = Mail::to(between(server.port, b""), "starttls", &["a"]);
    is(&soon(quiet.send(&post, &options)).await, VerdictCode::Accepted, "1 of 1");
    let loud = Mail::to(between(server.port, b"250-evil\r\n250 AUTH PLAIN\r\n"), "starttls", &["b"]);
    is(&soon(loud.send(&post, &options)).await, VerdictCode::Retry, "plain text");
    assert_eq!(server.recipients(), ["a"]);
}

#[tokio::test]
async fn what_is_said_to_a_sign_in_stays_there() {
    let (post, options) = post();
    let secret = "correct horse";
    let encoded = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let forms = [encoded(secret), encoded(&format!("\0me\0{secret}")), secret.to_owned()];
    for mechanism in ["PLAIN", "LOGIN"] {
        for (echo, code, says) in [
            ("535 5.7.8 {}", VerdictCode::BadConfig, "535 5.7.8"),
            ("535 what is {}?", VerdictCode::BadConfig, "535"),
            ("454 4.7.0 {}", VerdictCode::Retry, "454 4.7.0"),
            ("{}", VerdictCode::Retry, "signing in"),
            ("250 {}", VerdictCode::Retry, "in place of 235"),
        ] {
            let server = Raw::odd(move |line, _| match line {
                _ if line.starts_with("EHLO") => Some(format!("250-raw\r\n250 AUTH {mechanism}")),
                "AUTH LOGIN" => Some("334 VXNlcm5hbWU6".to_owned()),
                "bWU=" => Some("334 UGFzc3dvcmQ6".to_owned()),
                _ => Some(echo.replace("{}", line)),
            });
            let mut mail = Mail::to(server.port, "none", &["a"]);
            mail.config["username"] = json!("me");
            mail.secrets = json!({"password": [secret]});
            let verdict = soon(mail.send(&post, &options)).await;
            is(&verdict, code, says);
            assert!(server.seen().iter().any(|line| forms.iter().any(|form| line.contains(form.as_str()))));
            for form in &forms {
                assert!(!verdict.detail.contains(form.as_str()), "{mechanism} {echo}: {verdict:?}");
            }
            assert!(!verdict.detail.contains("what is"), "{verdict:?}");
        }
    }
}
