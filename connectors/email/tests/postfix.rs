//! Through Postfix with Dovecot: STARTTLS under our own authority, sign-in through SASL, delivery read back by IMAP, and
//! Postfix's own bounces read by our parser.

mod support;

use notify_connector_email::bounce::{self, Action, Kind};
use notify_connector_email::deliver::Post;
use notify_connector_sdk::VerdictCode;
use notify_testkit::mail::{MailServers, PASSWORD, USER};
use serde_json::json;
use support::{DELIVERY, Mail, Server, Tls, options, run_python};

fn servers(tls: &Tls, relay: u16) -> MailServers {
    MailServers::start(&tls.dir.path().join("cert.pem"), &tls.dir.path().join("key.pem"), relay)
}

fn mail(servers: &MailServers, recipients: &[&str]) -> Mail {
    let mut mail = Mail::to(servers.submission, "starttls", recipients);
    mail.config["from"] = json!("Notify Studio <alerts@inbox.test>");
    mail.config["server"]["host"] = json!("localhost");
    mail.config["username"] = json!(USER);
    mail.secrets = json!({"password": [PASSWORD]});
    mail
}

#[tokio::test(flavor = "multi_thread")]
async fn submission_delivery_and_bounces() {
    let tls = Tls::new();
    let relay = Server::start(&[]);
    let servers = servers(&tls, relay.port);
    let options = options(Some(&tls.ca));
    let post = Post::new(&options).unwrap();

    let mut check = mail(&servers, &["ops@inbox.test"]);
    check.check = true;
    let checked = check.send(&post, &options).await;
    assert_eq!(checked.code, VerdictCode::Delivered, "{checked:?} {}", servers.log());

    let mut first = mail(&servers, &["ops@inbox.test"]);
    first.message = json!({"title": "Größe: 100 % — 🔥", "severity": "critical", "body": "A **bold** word\n\n.\n\n.. dots",
        "attachments": [{"name": "liste ä.csv", "contentType": "text/csv", "content": "a;b\r\n.\r\nc;d\r\n"}]});
    let sent = first.send(&post, &options).await;
    assert_eq!(sent.code, VerdictCode::Accepted, "{sent:?} {}", servers.log());
    assert!(sent.detail.contains("queued as"), "{sent:?}");
    assert_eq!(servers.wait_for_mail("ops", 1).len(), 1);
    // Once more, as a mail program sees it.
    let seen = run_python("read_imap.py", &[&servers.imap.to_string(), "ops@inbox.test", PASSWORD], b"");
    let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen["subject"], "Größe: 100 % — 🔥");
    assert_eq!(seen["attachments"][0], json!({"name": "liste ä.csv", "text": "a;b\r\n.\r\nc;d\r\n"}));
    assert!(seen["text"].as_str().unwrap().contains("\n.. dots"), "{seen}");

    let unknown = mail(&servers, &["nobody@inbox.test"]).send(&post, &options).await;
    assert_eq!(unknown.code, VerdictCode::Permanent, "{unknown:?}");
    assert!(unknown.detail.contains("5.1.1"), "{unknown:?}");
    let mut large = mail(&servers, &["ops@inbox.test"]);
    large.message["attachments"] =
        json!([{"name": "x.txt", "contentType": "text/plain", "content": "0123456789\n".repeat(25_000)}]);
    let large = large.send(&post, &options).await;
    assert_eq!(large.code, VerdictCode::Permanent, "{large:?}");
    let mut wrong = mail(&servers, &["ops@inbox.test"]);
    wrong.secrets = json!({"password": ["guess"]});
    let wrong = wrong.send(&post, &options).await;
    assert_eq!(wrong.code, VerdictCode::BadConfig, "{wrong:?}");
    assert!(wrong.detail.contains("535"), "{wrong:?}");

    // Accepted here, refused at the next server: Postfix writes to the author.
    let bounced = mail(&servers, &["nouser@bounce.test"]).send(&post, &options).await;
    assert_eq!(bounced.code, VerdictCode::Accepted, "{bounced:?}");
    let notes = servers.wait_for_mail("alerts", 1);
    let found = bounce::parse(&notes[0])
        .unwrap_or_else(|why| panic!("{why:?}: {}", String::from_utf8_lossy(&notes[0])));
    assert_eq!(found.delivery_id(), Some(DELIVERY));
    assert_eq!(found.reporting_mta.as_deref(), Some("mx.inbox.test"));
    let fate = &found.fates[0];
    assert_eq!(
        (fate.recipient.as_str(), fate.action, fate.status),
        ("nouser@bounce.test", Action::Failed, Some((5, 1, 1)))
    );
    assert_eq!(fate.kind(), Kind::Hard);
    assert!(fate.diagnostic.as_deref().is_some_and(|text| text.contains("no such user here")), "{fate:?}");
    assert_eq!(bounce::parse(&servers.mailbox("ops")[0]), Err(bounce::NoBounce::OtherMessage));
}
