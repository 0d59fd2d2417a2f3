//! The API against its own description, as schemathesis sees both: no 5xx, no answer that is not described.

use crate::studio::{receiver, running};
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;

/// Where `cargo xtask test` has put it, or on the path.
fn schemathesis() -> PathBuf {
    let named = std::env::var_os("NOTIFY_SCHEMATHESIS").map(PathBuf::from);
    named.unwrap_or_else(|| PathBuf::from("schemathesis"))
}

/// What is held. Not that every text of a described form is accepted (a rule's pattern has a grammar of its own), nor
/// that each one of another form is refused (ids of another form are answered 404).
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,ignored_auth,unsupported_method";

#[tokio::test]
async fn the_api_answers_as_it_is_described() {
    let (_home, studio, client) = running("").await;
    let receiver = receiver().await;
    // Something to be found under the ids that are tried.
    client.wire(&studio, "hook", &json!({ "config": { "url": format!("http://{receiver}/200") } })).await;
    assert_eq!(client.publish(&studio, "1", "hook").await.status, 202);
    client.attempted(&studio, "hook").await;
    // What the description's example of a rule refers to.
    let hook = json!({
        "schema": "notify-channel@1", "id": "security-hook", "name": "Security", "type": "webhook",
        "config": { "url": format!("http://{receiver}/200") },
    });
    assert_eq!(client.post(&studio.url("/api/v1/notify/channels"), &hook).await.status, 201);
    let template = include_str!("../../../templates/finding-summary.yaml");
    let yaml = [("content-type", "application/yaml")];
    let made = client.send("POST", &studio.url("/api/v1/notify/templates"), &yaml, template).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let mut command = Command::new(schemathesis());
    command
        .args(["run", &studio.url("/openapi.json"), "--checks", CHECKS])
        .args(["-H", &format!("Authorization: Bearer {}", client.token())])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "6", "--max-time", "60"])
        // One worker: CPython 3.11's `ast.parse`, which hypothesis calls, fails now and then in two threads at once.
        .args(["--seed", "1", "--workers", "1", "--request-timeout", "20"])
        .args(["--suppress-health-check", "all", "--no-color", "--continue-on-failure"])
        .current_dir(std::env::temp_dir());
    let run = tokio::task::spawn_blocking(move || command.output());
    let output = run
        .await
        .unwrap()
        .expect("schemathesis is on PyPI; `cargo xtask test` installs it, or name it in NOTIFY_SCHEMATHESIS");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    // Every operation was called, often enough to mean something.
    let number = |label: &str| -> usize {
        let rest = said.split(label).nth(1).unwrap_or_default();
        let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or_default()
    };
    // To the tool `/docs` and `/docs/` are one.
    assert_eq!(number("Tested:") + 1, notify_webservice::routes::routes().len(), "{said}");
    assert!(number("Test cases:\n") > 150, "{said}");
    assert!(!studio.log().contains("panicked"), "{}", studio.log());
}
