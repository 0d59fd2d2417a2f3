//! `/metrics` of a running service: every name of the design, and content with `promtool`.

use crate::studio::{eventually, receiver, running};
use serde_json::json;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Of the design, section 10. `notify_digest_coalesced_total` comes with digests.
const NAMES: [(&str, &str); 21] = [
    ("notify_events_accepted_total", "counter"),
    ("notify_sent_total", "counter"),
    ("notify_failed_total", "counter"),
    ("notify_dropped_total", "counter"),
    ("notify_suppressed_total", "counter"),
    ("notify_retry_total", "counter"),
    ("notify_deadletter_total", "counter"),
    ("notify_delivery_latency_seconds", "histogram"),
    ("notify_rule_eval_seconds", "histogram"),
    ("notify_rate_limited_total", "counter"),
    ("notify_fallback_total", "counter"),
    ("notify_health_checks_total", "counter"),
    ("notify_channel_breaker_open", "gauge"),
    ("notify_backlog_depth", "gauge"),
    ("notify_ledger_entries_total", "counter"),
    ("eventbroker_published_total", "counter"),
    ("eventbroker_duplicate_total", "counter"),
    ("eventbroker_refused_total", "counter"),
    ("process_cpu_seconds_total", "counter"),
    ("process_resident_memory_bytes", "gauge"),
    ("process_start_time_seconds", "gauge"),
];

/// The linter's complaints; empty when it has none.
fn lint(text: &str) -> String {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is in the Debian package `prometheus`; `cargo xtask test` installs it");
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    if output.status.success() {
        String::new()
    } else {
        format!("{}: {}", output.status, String::from_utf8_lossy(&said))
    }
}

fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {series} in\n{text}"))
}

#[tokio::test]
async fn the_metrics_are_whole_true_and_well_formed() {
    let (_home, studio, client) = running("[limits]\ntenant_requests = 8\n").await;
    let receiver = receiver().await;
    let to = |status: u16, schedule: serde_json::Value| {
        let url = format!("http://{receiver}/{status}");
        json!({ "config": { "url": url }, "retry": { "scheduleSeconds": schedule } })
    };
    client.wire(&studio, "good", &to(200, json!([3600]))).await;
    client.wire(&studio, "busy", &to(503, json!([3600]))).await;
    client.wire(&studio, "wrong", &to(400, json!([]))).await;
    client
        .wire(
            &studio,
            "off",
            &json!({ "enabled": false, "config": { "url": format!("http://{receiver}/200") } }),
        )
        .await;
    for (id, r#type) in [
        ("1", "good"),
        ("2", "good"),
        ("2", "good"),
        ("3", "busy"),
        ("4", "wrong"),
        ("5", "off"),
        ("6", "nobody"),
    ] {
        assert_eq!(client.publish(&studio, id, r#type).await.status, 202);
    }
    for channel in ["good", "busy", "wrong"] {
        client.attempted(&studio, channel).await;
    }
    let text = eventually("both good deliveries are counted", async || {
        let text = client.get(&studio.url("/metrics")).await.text;
        // What is looked up is kept for a second.
        (value(&text, "notify_sent_total") == 2.0
            && value(&text, "notify_backlog_depth{queue=\"dead-letters\"}") == 1.0)
            .then_some(text)
    })
    .await;
    for (name, kind) in NAMES {
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name}\n{text}");
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
    }
    for (series, expected) in [
        ("notify_events_accepted_total", 6.0),
        ("notify_events_duplicate_total", 1.0),
        ("notify_failed_total", 2.0),
        ("notify_retry_total", 1.0),
        ("notify_deadletter_total", 1.0),
        ("notify_dropped_total", 0.0),
        ("notify_suppressed_total{control=\"channel-disabled\"}", 1.0),
        ("notify_delivery_latency_seconds_count", 2.0),
        ("notify_delivery_latency_seconds_bucket{le=\"+Inf\"}", 2.0),
        ("notify_backlog_depth{queue=\"events\"}", 0.0),
        ("notify_backlog_depth{queue=\"deliveries\"}", 1.0),
        ("notify_backlog_depth{queue=\"deliveries-overdue\"}", 0.0),
        ("eventbroker_published_total", 6.0),
        ("eventbroker_duplicate_total", 1.0),
        ("notify_plugin_usable{plugin=\"webhook\"}", 1.0),
        ("notify_http_panics_total", 0.0),
    ] {
        assert_eq!(value(&text, series), expected, "{series}\n{text}");
    }
    // A plan that met a change of the configuration is made again.
    assert!(value(&text, "notify_rule_eval_seconds_count") >= 6.0, "{text}");
    let head = client.get(&studio.url("/api/v1/notify/ledger/checkpoint")).await.json();
    // All but the genesis, which another process wrote.
    let entries = head["size"].as_f64().unwrap() - 1.0;
    let counted = client.get(&studio.url("/metrics")).await.text;
    assert_eq!(value(&counted, "notify_ledger_entries_total"), entries, "{head}");
    assert!(value(&text, "notify_delivery_latency_seconds_sum") > 0.0);
    // No label holds an id: each is a word of ours, or the name of a plug-in or of a channel type.
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((_, labels)) = line.split_once('{') else { continue };
        let name = labels.split('=').next().unwrap_or_default();
        let known = ["control", "queue", "class", "plugin", "le", "version", "type", "result"];
        assert!(known.contains(&name), "{line}");
    }
    assert_eq!(lint(&text), "");
    assert!(!lint("# TYPE x counter\nx 1\n").is_empty(), "the linter would have complained");
}
