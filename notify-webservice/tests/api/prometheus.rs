//! Alertmanager's API, and a real Prometheus that takes us for its Alertmanager.

use crate::harness::{assert_problem, service};
use http::Method;
use notify_core::ids::TenantId;
use notify_core::time::{Clock, Timestamp};
use notify_store::model::{Event, Page};
use notify_webservice::Limits;
use notify_webservice::auth::Scope;
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpListener;

const ALERTS: &str = "/api/v2/alerts";
const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn alerts_are_taken_as_alertmanager_takes_them() {
    let service = service().await;
    let alert =
        json!({ "labels": { "alertname": "Down", "severity": "page" }, "startsAt": "2026-11-18T00:00:00Z" });
    let post = async |body: &Value| service.admin(Method::POST, ALERTS, &[JSON], &body.to_string()).await;
    let first = post(&json!([alert])).await;
    assert_eq!((first.status.as_u16(), first.text("/items/0/status")), (200, "accepted"), "{}", first.body);
    service.later(60);
    let again = post(&json!([alert])).await;
    assert_eq!((again.status.as_u16(), again.text("/items/0/status")), (200, "duplicate"), "{}", again.body);
    assert_eq!(again.text("/items/0/key"), first.text("/items/0/key"));
    let mut over = alert.clone();
    over["endsAt"] = json!("2026-11-18T00:05:00Z");
    assert_eq!(post(&json!([over])).await.text("/items/0/status"), "accepted", "the end is another event");
    // The good ones of a body with bad ones are taken.
    let mixed = post(&json!([{ "labels": { "alertname": "Other" } }, { "labels": {} }])).await;
    assert_eq!((mixed.status.as_u16(), mixed.code()), (400, "invalid-event"), "{}", mixed.body);
    assert_eq!(
        (mixed.text("/items/0/status"), mixed.text("/items/1/problem/path")),
        ("accepted", "/1/labels")
    );
    assert_eq!(post(&json!([])).await.status.as_u16(), 200);
    assert_problem(&post(&json!({})).await, 400, "invalid-event");
    assert_problem(
        &service.admin(Method::POST, ALERTS, &[("content-type", "text/plain")], "[]").await,
        415,
        "unsupported-media-type",
    );
}

/// Ended with the test.
struct Prometheus(Child);

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Prometheus {
    /// With one rule whose alert fires until `until`.
    fn start(folder: &Path, port: u16, receiver: &str, token: &str, until: i64) -> Self {
        let rules = format!(
            "groups:\n- name: test\n  interval: 1s\n  rules:\n  - alert: AlwaysFiring\n    expr: vector(time()) < {until}\n    \
             labels: {{ severity: critical }}\n    annotations: {{ summary: 'it is {{{{ $value }}}}' }}\n"
        );
        let config = format!(
            "global:\n  evaluation_interval: 1s\n  external_labels: {{ site: test }}\nrule_files: [rules.yml]\nalerting:\n  \
             alertmanagers:\n  - authorization:\n      credentials: {token}\n    static_configs:\n    - targets: ['{receiver}']\n"
        );
        std::fs::write(folder.join("rules.yml"), rules).unwrap();
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let mut command = Command::new("prometheus");
        command.current_dir(folder).arg("--config.file=prometheus.yml").arg("--storage.tsdb.path=data");
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--rules.alert.resend-delay=1s");
        Self(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }
}

fn installed() -> bool {
    Command::new("prometheus").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_sends_to_us() {
    if !installed() {
        assert!(std::env::var_os("NOTIFY_STAGE").is_none(), "`cargo xtask test` installs Prometheus");
        eprintln!("skipped: Prometheus is not installed");
        return;
    }
    let service = service().await;
    service.follow_the_machines_clock();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let receiver = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let router = service.router.clone();
    let served = tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await;
        };
        notify_webservice::serve(listener, router, &Limits::default(), stopped).await
    });
    let folder = tempfile::tempdir().unwrap();
    let port = {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        free.local_addr().unwrap().port()
    };
    let until = service.clock.now().as_second() + 24;
    let prometheus =
        Prometheus::start(folder.path(), port, &receiver, &service.token("acme", &[Scope::Publish]), until);

    let acme = TenantId::new("acme").unwrap();
    let events = async || service.store.events(&acme, &Page { limit: 50, after: None }).await.unwrap().items;
    let log = || std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    let eventually = async |what: &str, holds: &dyn Fn(&[Event], u64) -> bool| {
        for _ in 0..600 {
            let found = events().await;
            if holds(&found, service.engine.offered.load(Ordering::Relaxed)) {
                return found;
            }
            pause().await;
        }
        panic!("never happened: {what}\n{:?}\n{}", events().await, log());
    };
    let resent =
        eventually("the alert is sent again", &|found, offered| !found.is_empty() && offered >= 3).await;
    assert_eq!(resent.len(), 1, "three sendings are one event: {resent:?}");
    let body: Value = serde_json::from_str(&resent[0].event.body).unwrap();
    assert_eq!(body["type"], "alertmanager.alert.firing");
    assert_eq!((&body["severity"], &body["subject"]), (&json!("critical"), &json!("AlwaysFiring")));
    assert_eq!(
        body["data"]["labels"],
        json!({ "alertname": "AlwaysFiring", "severity": "critical", "site": "test" })
    );
    assert!(body["data"]["generatorURL"].as_str().unwrap().contains("/graph?g0.expr=vector"), "{body}");

    let both = eventually("it is resolved", &|found, _| found.len() >= 2).await;
    let before = service.engine.offered.load(Ordering::Relaxed);
    let after = eventually("the end is sent again", &|_, offered| offered >= before + 3).await;
    assert_eq!(after.len(), 2, "{after:?}");
    let end: Value = serde_json::from_str(&both[0].event.body).unwrap();
    assert_eq!(end["type"], "alertmanager.alert.resolved");
    assert_eq!(end["data"]["startsAt"], body["data"]["startsAt"]);
    assert_eq!(end["data"]["fingerprint"], body["data"]["fingerprint"]);
    let ended: Timestamp = end["data"]["endsAt"].as_str().unwrap().parse().unwrap();
    assert!((ended.as_second() - until).abs() <= 10, "{ended}");

    drop(prometheus);
    let _ = stop.send(());
    served.await.unwrap().unwrap();
}

#[allow(clippy::disallowed_methods)] // another program's work is waited for; the look comes after, with a bound
async fn pause() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}
