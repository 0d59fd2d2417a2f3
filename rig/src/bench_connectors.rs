//! How fast connectors work through their isolated processes: prepared requests a second for codecs, sent messages a
//! second for transports to a sink on loopback.
//!
//! Each codec has two messages: `short`, an alert of a few lines, and `full`, a list of findings as the default template
//! renders it: title, summary, Markdown with a list, four fields, two links, footer. For codecs also the processor's time that the calling side takes is in the figure: it is
//! the rate that a service sees.

use crate::clock;
use crate::smtp_sink::SmtpSink;
use anyhow::{Context, bail};
use jiff::Timestamp;
use notify_connector_host::outbound::EgressPolicy;
use notify_connector_host::request::Outcome;
use notify_connector_host::secrets::SecretResolver;
use notify_connector_host::{AttemptInput, ConnectorHost, HostConfig, Phase, PrepareInput};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Callers at once.
const CODEC_CALLERS: usize = 512;
const TRANSPORT_CALLERS: usize = 64;
const MEASURED: Duration = Duration::from_secs(5);
const WARM_UP: Duration = Duration::from_secs(1);

/// What each connector needs to prepare anything; those that are not here are not measured.
const CODECS: [(&str, &str, &[&str]); 3] = [
    ("webhook", r#"{"url":"https://example.test/hook"}"#, &["signing"]),
    ("slack", r##"{"channel":"#operations"}"##, &["studio-alert-url", "token"]),
    ("teams", "{}", &["studio-alert-url", "url"]),
];

fn short() -> String {
    json!({
        "title": "Alert: PodCrashLooping",
        "summary": "payments/api-7f9c restarts again and again",
        "severity": "critical",
        "body": "The container **api** restarted 7 times in 10 minutes.",
        "fields": [{"name": "Namespace", "value": "payments", "short": true}, {"name": "Cluster", "value": "prod-eu", "short": true}],
        "links": [{"title": "Open the runbook", "url": "https://runbooks.example/crash-looping"}],
        "footer": "Sent because of the rule “Alertmanager”",
        "locale": "en",
    })
    .to_string()
}

fn full() -> String {
    json!({
        "title": "2 new critical findings in registry.example/payments/api",
        "summary": "2 critical and 5 high findings are open; 1 was fixed since the last scan.",
        "severity": "critical",
        "body": "The scan of **registry.example/payments/api**, tag 2.14.1, failed. These are the worst findings:\n\n\
                 - **CVE-2026-1001** in `openssl` 3.0.11. Fixed in 3.0.16. *Known to be exploited.*\n\
                 - **CVE-2026-1002** in `libxml2` 2.9.14. There is no fix yet.\n\nUpgrade the base image and scan again.",
        "fields": [
            {"name": "Image", "value": "registry.example/payments/api:2.14.1"},
            {"name": "Digest", "value": "sha256:9f2c5d1e", "short": true},
            {"name": "Result", "value": "failed", "short": true},
            {"name": "Open findings", "value": "2 critical, 5 high, 11 medium, 30 low"},
        ],
        "links": [
            {"title": "Open the report", "url": "https://scanner.example/reports/42"},
            {"title": "Open the bill of materials", "url": "https://scanner.example/sboms/42"},
        ],
        "footer": "Sent because of the rule “Critical findings”",
        "locale": "en",
        "event": {"id": "42", "source": "/scanner", "type": "scanner.report.ready", "time": "2026-11-22T08:00:00Z"},
    })
    .to_string()
}

pub async fn run(stage: &Path) -> anyhow::Result<Vec<Value>> {
    let mut egress = EgressPolicy { system_roots: false, ..EgressPolicy::default() };
    egress.guard.allow.push("127.0.0.0/8".parse().map_err(|error| anyhow::anyhow!("{error}"))?);
    egress.guard.require_https = false;
    let config = HostConfig::new(
        stage.join("plugins"),
        stage.join("trust"),
        stage.join("bin/notify-connector-host"),
        egress,
    );
    let host = Arc::new(ConnectorHost::open(config)?);
    let mut figures = Vec::new();
    for (connector, config, secrets) in CODECS {
        if host.manifest(connector).is_some() {
            for (size, message) in [("short", short()), ("full", full())] {
                figures.push(codec(&host, connector, config, secrets, size, message).await?);
            }
        }
    }
    if host.manifest("email").is_some() {
        figures.push(email(&host).await?);
    }
    host.shutdown(Duration::from_secs(5)).await;
    Ok(figures)
}

/// Runs `one` on so many callers, and gives completed calls a second after the warm-up.
async fn rate<F>(callers: usize, one: impl Fn(u64) -> F + Clone + Send + 'static) -> anyhow::Result<f64>
where
    F: Future<Output = bool> + Send,
{
    let (stop, done, failed) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let number = Arc::new(AtomicU64::new(0));
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (stop, done, failed) = (Arc::clone(&stop), Arc::clone(&done), Arc::clone(&failed));
            let (number, one) = (Arc::clone(&number), one.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let well = one(number.fetch_add(1, Ordering::Relaxed)).await;
                    if well { &done } else { &failed }.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    clock::wait(WARM_UP).await;
    let (before, started) = (done.load(Ordering::Relaxed), clock::instant());
    clock::wait(MEASURED).await;
    let rate = (done.load(Ordering::Relaxed) - before) as f64 / started.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await?;
    }
    match failed.load(Ordering::Relaxed) {
        0 => Ok(rate),
        failed => bail!("{failed} calls failed"),
    }
}

async fn codec(
    host: &Arc<ConnectorHost>,
    connector: &'static str,
    config: &'static str,
    secrets: &[&str],
    size: &str,
    message: String,
) -> anyhow::Result<Value> {
    let names: Arc<Vec<String>> = Arc::new(secrets.iter().map(|name| (*name).to_owned()).collect());
    let message = Arc::new(message);
    let request = host.prepare(connector, input(config, &names, &message)).await;
    let bytes = request.with_context(|| format!("{connector} prepares nothing"))?.redacted().len();
    let prepare = {
        let host = Arc::clone(host);
        move |_| {
            let (host, names, message) = (Arc::clone(&host), Arc::clone(&names), Arc::clone(&message));
            async move { host.prepare(connector, input(config, &names, &message)).await.is_ok() }
        }
    };
    let per_s = rate(CODEC_CALLERS, prepare).await?;
    let figure = json!({
        "scenario": "connectors", "connector": connector, "kind": "codec", "message": size, "per_s": per_s.round(),
        "callers": CODEC_CALLERS, "request_bytes": bytes,
    });
    Ok(with_process(figure, host, connector))
}

async fn email(host: &Arc<ConnectorHost>) -> anyhow::Result<Value> {
    let sink = SmtpSink::start().await?;
    let config = Arc::new(
        json!({
            "to": ["operations@example.org"], "from": "notify@example.org",
            "server": {"host": "127.0.0.1", "port": sink.address.port(), "tls": "none"},
        })
        .to_string(),
    );
    let message = Arc::new(full());
    let resolver = Arc::new(SecretResolver::with_environment(None, "NOTIFY_SECRET_", |_| None));
    let send = {
        let host = Arc::clone(host);
        move |number: u64| {
            let (host, config, message) = (Arc::clone(&host), Arc::clone(&config), Arc::clone(&message));
            let resolver = Arc::clone(&resolver);
            async move {
                let tenant = "bench".parse().ok();
                let Some(tenant) = tenant else { return false };
                let input = AttemptInput {
                    channel_type: "email",
                    config_json: config.as_bytes(),
                    tenant: &tenant,
                    secrets: &BTreeMap::new(),
                    resolver: &resolver,
                    message_json: message.as_bytes(),
                    delivery_id: &format!("dlv_{number:032x}"),
                    delivery_time: Timestamp::UNIX_EPOCH,
                    attempt: 1,
                    attempt_time: clock::timestamp(),
                    deadline: Duration::from_secs(30),
                    phase: Phase::None,
                    provider_reference: None,
                    provided: &[],
                    check: false,
                };
                let result = host.attempt(input).await;
                matches!(result.verdict.outcome, Outcome::Delivered | Outcome::Accepted)
            }
        }
    };
    let before = sink.received();
    let per_s = rate(TRANSPORT_CALLERS, send).await.with_context(|| "email to the sink on loopback")?;
    let figure = json!({
        "scenario": "connectors", "connector": "email", "kind": "transport", "message": "full", "per_s": per_s.round(),
        "callers": TRANSPORT_CALLERS, "messages": sink.received() - before, "connections": sink.connections(),
    });
    sink.stop();
    Ok(with_process(figure, host, "email"))
}

const fn input<'a>(config: &'a str, names: &'a [String], message: &'a str) -> PrepareInput<'a> {
    PrepareInput {
        config_json: config.as_bytes(),
        message_json: message.as_bytes(),
        delivery_id: "dlv_0123456789abcdef0123456789abcdef",
        delivery_time: Timestamp::UNIX_EPOCH,
        attempt: 1,
        attempt_time: Timestamp::UNIX_EPOCH,
        deadline: Timestamp::MAX,
        phase: Phase::None,
        provider_reference: None,
        secret_names: names,
        check: false,
    }
}

/// With what the plug-in's process holds in memory.
fn with_process(mut figure: Value, host: &ConnectorHost, connector: &str) -> Value {
    let status =
        host.plugins().into_iter().find(|plugin| plugin.channel_types.iter().any(|of| of == connector));
    if let (Some(status), Some(members)) = (status, figure.as_object_mut()) {
        let memory = status.pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).ok());
        let resident = memory.as_deref().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("VmRSS"))?;
            line.split_whitespace().nth(1)?.parse::<f64>().ok()
        });
        members.insert(
            "child_rss_mib".to_owned(),
            resident.map_or(0.0, |kib| (kib / 102.4).round() / 10.0).into(),
        );
        members.insert("sandbox".to_owned(), status.sandbox.unwrap_or_default().into());
        members.insert("crashes".to_owned(), status.crashes.into());
    }
    figure
}
