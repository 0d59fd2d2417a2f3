//! An outsider's library verifies what we send: the Python package `standardwebhooks`, as its users have it.

use crate::receiver::Receiver;
use crate::studio::{Studio, eventually};
use serde_json::json;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const OLD: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const NEW: &str = "whsec_ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

/// Reads cases as JSON lines and prints for each whether the library accepts it.
const SCRIPT: &str = r#"
import json, sys
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
for line in sys.stdin:
    case = json.loads(line)
    try:
        data = Webhook(case["secret"]).verify(case["body"], case["headers"])
        print("accepts " + data["type"])
    except WebhookVerificationError as error:
        print("refuses " + str(error))
"#;

/// The virtual environment that `cargo xtask test` makes.
fn python() -> PathBuf {
    let python = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/tools/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run `cargo xtask test`, or make the venv and `pip install standardwebhooks` into it",
        python.display()
    );
    python
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_library_verifies_our_deliveries() {
    let studio = Studio::new().await;
    let receiver = Receiver::start(200);
    // Newest first, as during a rotation: receivers with either secret verify.
    let secrets =
        json!({"signing": ["secret://env/NOTIFY_SECRET_ACME_NEW", "secret://env/NOTIFY_SECRET_ACME_OLD"]});
    studio.hook("hook", &receiver.url, &secrets).await;
    studio.rule("all", "t", "hook").await;
    let known = [("NOTIFY_SECRET_ACME_NEW", NEW), ("NOTIFY_SECRET_ACME_OLD", OLD)];
    let worker = studio.sending_worker(&known, |_| {}).await;
    let preview = worker.preview(&studio.tenant, None, &studio.event("0", "t", "x")).await.unwrap();
    assert_eq!(preview.decisions[0].secrets, [("signing".to_owned(), 2)].into(), "the rotation shows");
    assert!(preview.decisions[0].request.as_ref().is_some_and(|shown| shown.contains("‹secret:signing›")));
    worker.accept(studio.event("1", "t", "Grüße, 世界 \u{1f680} \"quoted\"")).await.unwrap();
    eventually("it arrives", || async { (!receiver.got().is_empty()).then_some(()) }).await;
    worker.stop().await;

    let got = receiver.got().remove(0);
    let body = String::from_utf8(got.body).unwrap();
    let old_time = got.headers["webhook-timestamp"].parse::<i64>().unwrap() - 600;
    let case = |secret: &str, body: &str, header: &str, value: &str| {
        let mut headers = got.headers.clone();
        if !header.is_empty() {
            headers.insert(header.to_owned(), value.to_owned());
        }
        json!({ "secret": secret, "body": body, "headers": headers })
    };
    let stranger = "whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldCBrZXk=";
    let cases = [
        (case(NEW, &body, "", ""), "accepts notify.alert"),
        (case(OLD, &body, "", ""), "accepts notify.alert"),
        (case(stranger, &body, "", ""), "refuses"),
        (case(NEW, &body.replace("notify.alert", "notify.alarm"), "", ""), "refuses"),
        (case(NEW, &body, "webhook-id", "dlv_0"), "refuses"),
        (case(NEW, &body, "webhook-timestamp", &old_time.to_string()), "refuses Message timestamp too old"),
        (case(NEW, &body, "webhook-signature", "v1,AAAA"), "refuses"),
    ];
    let mut python = Command::new(python())
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    for (case, _) in &cases {
        writeln!(input, "{case}").unwrap();
    }
    drop(input);
    let output = python.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said.lines().count(), cases.len(), "{said}");
    for (said, (_, expected)) in said.lines().zip(&cases) {
        assert!(said.starts_with(expected), "{said}, expected: {expected}");
    }
}
