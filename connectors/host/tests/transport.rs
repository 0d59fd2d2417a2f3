//! A transport in its child process: back-pressure, cancellation, crashes and repeated answers.

mod common;

use common::{Home, at, status};
use notify_connector_host::request::{Outcome, Verdict};
use notify_connector_host::secrets::SecretResolver;
use notify_connector_host::stage::stage_plugin;
use notify_connector_host::{AttemptInput, ConnectorHost, HostConfig, HostFault, Phase, RestartPolicy};
use notify_core::document::channel::SecretRef;
use notify_core::ids::TenantId;
use std::sync::Arc;
use std::time::Duration;

const MANIFEST: &str = r#"{"name":"slow","version":"1.0.0","abi":{"major":1,"minor":0},"kind":"transport",
    "channelTypes":["slow"],"files":{},"configSchema":{}}"#;

fn staged() -> (Home, Arc<ConnectorHost>) {
    let home = Home::new();
    let library = common::compile(home.dir.path(), "transport.c", &[]);
    stage_plugin(&library, MANIFEST.as_bytes(), &home.key, &home.plugins()).unwrap();
    let host = Arc::new(home.open());
    (home, host)
}

async fn send(host: &ConnectorHost, config: &str, patience: Duration) -> Result<Verdict, HostFault> {
    let input = notify_connector_host::PrepareInput {
        deadline: notify_core::time::Timestamp::MAX,
        ..common::input(config)
    };
    host.send("slow", input, b"{}", patience).await
}

const LONG: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_send_gets_its_outcome_through_back_pressure() {
    let (_home, host) = staged();
    let sends: Vec<_> = (0..300)
        .map(|_| {
            let host = Arc::clone(&host);
            tokio::spawn(async move { send(&host, "{}", LONG).await.unwrap() })
        })
        .collect();
    for one in sends {
        let verdict = one.await.unwrap();
        assert_eq!(
            (verdict.outcome, verdict.provider_reference.as_deref()),
            (Outcome::Accepted, Some("queued-1"))
        );
    }
    assert!(send(&host, "twice", LONG).await.is_ok());
    common::eventually("the second answer is counted", || status(&host).late == 1).await;
    assert!(host.health("slow").await.is_ok());
    let prepared = host.prepare("slow", common::input("{}")).await;
    assert!(matches!(prepared, Err(HostFault::Input { .. })), "a transport prepares nothing");
    host.shutdown(LONG).await;
    let end = status(&host);
    assert_eq!((end.state, end.crashes, end.garbage, end.unknown), ("stopped", 0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_send_times_out_and_harms_no_other() {
    let (_home, host) = staged();
    let silent = send(&host, "mute", Duration::from_millis(300)).await;
    assert!(matches!(silent, Err(HostFault::Timeout { .. })), "{silent:?}");
    assert!(send(&host, "{}", LONG).await.is_ok());
    common::eventually("its answer to the cancellation is late", || status(&host).late == 1).await;
    let now = status(&host);
    assert_eq!(
        (now.state, now.restarts, now.timeouts, now.crashes),
        ("running", 0, 1, 0),
        "it was not killed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_leaves_sends_in_doubt_and_the_host_alive() {
    let (_home, host) = staged();
    let crashed = send(&host, "crash", LONG).await;
    assert!(matches!(crashed, Err(HostFault::Crashed { .. })), "{crashed:?}");
    assert!(send(&host, "{}", LONG).await.is_ok());
    assert_eq!(status(&host).crashes, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_hands_secrets_to_the_transport_only() {
    let (_home, host) = staged();
    let resolver = SecretResolver::with_environment(None, "NOTIFY_SECRET_", |_| Some("hunter2".to_owned()));
    let reference = SecretRef::try_from("secret://env/NOTIFY_SECRET_ACME_SMTP".to_owned()).unwrap();
    let tenant = TenantId::new("acme").unwrap();
    let result = host
        .attempt(AttemptInput {
            channel_type: "slow",
            config_json: b"{}",
            tenant: &tenant,
            secrets: &[("password".to_owned(), vec![reference])].into(),
            resolver: &resolver,
            message_json: br#"{"title":"t"}"#,
            delivery_id: "dlv_0123456789abcdef0123456789abcdef",
            delivery_time: at(0),
            attempt: 1,
            attempt_time: at(253_402_207_000_000),
            deadline: LONG,
            phase: Phase::Open,
            provider_reference: None,
            provided: &[],
            check: false,
        })
        .await;
    assert_eq!(result.verdict.provider_reference.as_deref(), Some("had-secret"), "{result:?}");
    assert!(!result.never_sent && result.redacted_request.is_none() && result.response.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transport_may_dial_and_little_else() {
    let (home, _) = staged();
    let no_pauses =
        RestartPolicy { breaker_after: usize::MAX, first_pause: Duration::ZERO, ..RestartPolicy::default() };
    let host = ConnectorHost::open(HostConfig { restart: no_pauses, ..home.config() }).unwrap();
    for (config, expected) in [
        ("dial", "done"),
        ("read-hosts", "done"),
        ("read-passwd", "refused"),
        ("create", "refused"),
        ("bind", "refused"),
    ] {
        let verdict = send(&host, config, LONG).await.unwrap();
        assert_eq!(verdict.provider_reference.as_deref(), Some(expected), "{config}");
    }
    for (config, call) in [
        ("try-program", "execve"),
        ("try-raw", "socket"),
        ("try-alg", "socket"),
        ("try-limit-parent", "prlimit64"),
        ("try-listen", "listen"),
    ] {
        let crashed = send(&host, config, LONG).await;
        assert!(matches!(crashed, Err(HostFault::Crashed { .. })), "{config}: {crashed:?}");
        let told = || status(&host).problem.unwrap_or_default();
        common::eventually(&format!("{config}: {}", told()), || told().contains(call)).await;
    }
    assert_eq!(status(&host).crashes, 5);
}
