//! The official CloudEvents SDK for Python publishes to us, unmodified, over a socket.

use crate::harness::service;
use notify_core::ids::TenantId;
use notify_store::model::Page;
use notify_webservice::Limits;
use notify_webservice::auth::Scope;
use serde_json::{Value, json};
use std::path::Path;
use tokio::net::TcpListener;
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn structured_and_binary_are_one_event() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("../target/tools/bin/python");
    if !python.exists() {
        assert!(std::env::var_os("NOTIFY_STAGE").is_none(), "`cargo xtask test` installs the SDK");
        eprintln!("skipped: the CloudEvents SDK is not installed");
        return;
    }
    let service = service().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let router = service.router.clone();
    let served = tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await;
        };
        notify_webservice::serve(listener, router, &Limits::default(), stopped).await
    });
    let token = service.token("acme", &[Scope::Publish]);
    let script = root.join("tests/python/publish.py");
    let ran = Command::new(python).arg(script).args([&base, &token]).output().await.unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    let answers: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let fates: Vec<_> = answers
        .iter()
        .map(|a| (a["status"].as_u64().unwrap(), a["body"]["status"].as_str().unwrap_or("-")))
        .collect();
    // The binary form of each is known from its structured form: the same attributes, the same data.
    assert_eq!(fates, [(202, "accepted"), (202, "duplicate")].repeat(3), "{said}");

    let acme = TenantId::new("acme").unwrap();
    let stored = service.store.events(&acme, &Page { limit: 10, after: None }).await.unwrap().items;
    let body = |id: &str| -> Value {
        let found = stored.iter().find(|event| event.event.id == id).unwrap();
        serde_json::from_str(&found.event.body).unwrap()
    };
    let first = body("json");
    assert_eq!(first["subject"], "Euro € 😀 \"100 %\"");
    assert_eq!((&first["myext"], &first["traceparent"]), (&json!("a b"), &json!("00-x")));
    assert_eq!(first["data"], json!({ "image": "app", "findings": [1, 2.5, null], "text": "Ä" }));
    assert_eq!(body("bytes")["data_base64"], "AP8=");
    assert_eq!(body("text")["data"], "Grüße");
    let _ = stop.send(());
    served.await.unwrap().unwrap();
}
