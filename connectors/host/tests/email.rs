//! The real email plug-in in its child process, under the operator's egress policy.

mod common;

use common::Home;
use notify_connector_host::request::Outcome;
use notify_connector_host::stage::stage_plugin;
use notify_connector_host::{ConnectorHost, PrepareInput};
use notify_core::time::Timestamp;
use serde_json::json;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(20);

/// Takes everything; sends each message it took.
fn sink() -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, taken) = mpsc::channel();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut out = stream.try_clone().unwrap();
                let _ = out.write_all(b"220 sink\r\n");
                let mut lines = BufReader::new(stream).lines();
                while let Some(Ok(line)) = lines.next() {
                    let answer: &[u8] = if line.starts_with("DATA") {
                        let _ = out.write_all(b"354 go\r\n");
                        let text: Vec<String> =
                            lines.by_ref().map_while(Result::ok).take_while(|line| line != ".").collect();
                        let _ = sender.send(text.join("\n"));
                        b"250 2.0.0 taken\r\n"
                    } else {
                        b"250 ok\r\n"
                    };
                    let _ = out.write_all(answer);
                }
            });
        }
    });
    (port, taken)
}

fn host(home: &Home, allow: bool, options: serde_json::Value) -> ConnectorHost {
    let library = common::webhook_library().with_file_name("libnotify_connector_email.so");
    let manifest = include_bytes!("../../email/notify-plugin.json");
    stage_plugin(&library, manifest, &home.key, &home.plugins()).unwrap();
    let mut config = home.config();
    if !allow {
        config.egress.guard.allow.clear();
    }
    if let serde_json::Value::Object(options) = options {
        config.options.insert("email".to_owned(), options);
    }
    ConnectorHost::open(config).unwrap()
}

async fn send(host: &ConnectorHost, config: &str) -> notify_connector_host::request::Verdict {
    let input = PrepareInput { deadline: Timestamp::MAX, ..common::input(config) };
    host.send("email", input, b"{}", LONG).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operators_policy_and_options_reach_the_child() {
    let (port, taken) = sink();
    let home = Home::new();
    let options = json!({"from": "Studio <alerts@studio.test>", "server": {"host": "127.0.0.1", "port": port, "tls": "none"}});
    let allowed = host(&home, true, options.clone());
    let verdict = send(&allowed, r#"{"to":["ops@rcpt.test"]}"#).await;
    assert_eq!(verdict.outcome, Outcome::Accepted, "{verdict:?}");
    let message = taken.recv_timeout(LONG).unwrap();
    assert!(message.contains("From: Studio <alerts@studio.test>"), "{message}");
    assert!(message.contains("Message-ID: <dlv_0123456789abcdef0123456789abcdef."), "{message}");
    assert!(allowed.health("email").await.is_ok());
    allowed.shutdown(LONG).await;

    let home = Home::new();
    let refused = host(&home, false, options);
    let verdict = send(&refused, r#"{"to":["ops@rcpt.test"]}"#).await;
    assert_eq!(verdict.outcome, Outcome::BadConfig, "{verdict:?}");
    assert!(verdict.detail.contains("[egress] allow"), "{verdict:?}");
    assert!(taken.try_recv().is_err(), "nothing was dialled");
    refused.shutdown(LONG).await;

    let home = Home::new();
    let wrong = host(&home, true, json!({"conections": 3}));
    let input = common::input(r#"{"to":["ops@rcpt.test"]}"#);
    let fault = wrong.send("email", input, b"{}", LONG).await.unwrap_err();
    assert!(fault.to_string().contains("conections"), "{fault}");
}
