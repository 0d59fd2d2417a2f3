//! How fast a codec answers through its child process: `prepare_rate LIBRARY HOST_BINARY [CALLERS] [SECONDS]`.
//! Prints one JSON line. The measure is wall clock around completed `prepare` calls of the webhook plug-in.

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePublicKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use notify_connector_host::outbound::EgressPolicy;
use notify_connector_host::stage::stage_plugin;
use notify_connector_host::{ConnectorHost, HostConfig, Phase, PrepareInput};
use notify_core::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

fn rss_kib(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |at: usize, default: u64| arguments.get(at).and_then(|n| n.parse().ok()).unwrap_or(default);
    let (Some(library), Some(binary)) = (arguments.get(1), arguments.get(2)) else {
        return Err("usage: prepare_rate LIBRARY HOST_BINARY [CALLERS] [SECONDS]".into());
    };
    let home = std::env::temp_dir().join(format!("prepare-rate-{}", std::process::id()));
    let (plugins, trust) = (home.join("plugins"), home.join("trust"));
    std::fs::create_dir_all(&trust)?;
    let key = SigningKey::from_bytes(&[1; 32]);
    std::fs::write(trust.join("key.pem"), key.verifying_key().to_public_key_pem(LineEnding::LF)?)?;
    stage_plugin(library.as_ref(), include_bytes!("../../webhook/notify-plugin.json"), &key, &plugins)?;
    let egress = EgressPolicy { system_roots: false, ..EgressPolicy::default() };
    let host = Arc::new(ConnectorHost::open(HostConfig::new(&plugins, &trust, binary, egress))?);
    host.health("webhook").await?;
    let pid = host.plugins().first().and_then(|plugin| plugin.pid).unwrap_or(0);
    let idle = rss_kib(pid, "VmRSS");

    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let message =
        format!(r#"{{"title":"Disk full on db-1","severity":"high","body":"{}"}}"#, "x".repeat(300));
    let callers: Vec<_> = (0..number(3, 512))
        .map(|_| {
            let (host, stop, done, message) =
                (Arc::clone(&host), Arc::clone(&stop), Arc::clone(&done), message.clone());
            tokio::spawn(async move {
                let names = ["signing".to_owned()];
                while !stop.load(Ordering::Relaxed) {
                    let input = PrepareInput {
                        config_json: br#"{"url":"https://example.test/hook"}"#,
                        message_json: message.as_bytes(),
                        delivery_id: "dlv_0123456789abcdef0123456789abcdef",
                        delivery_time: Timestamp::UNIX_EPOCH,
                        attempt: 1,
                        attempt_time: Timestamp::UNIX_EPOCH,
                        deadline: Timestamp::MAX,
                        phase: Phase::None,
                        provider_reference: None,
                        secret_names: &names,
                        check: false,
                    };
                    if host.prepare("webhook", input).await.is_ok() {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    let begun = tokio::time::Instant::now();
    let mut timer = tokio::time::interval(Duration::from_secs(number(4, 5)));
    timer.tick().await;
    timer.tick().await;
    let rate = done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await?;
    }
    let (after, private) = (rss_kib(pid, "VmRSS"), rss_kib(pid, "RssAnon"));
    println!(
        "{{\"scenario\":\"connectors\",\"connector\":\"webhook\",\"per_s\":{rate:.0},\"child_idle_rss_kib\":{idle},\
         \"child_after_rss_kib\":{after},\"child_after_anonymous_kib\":{private}}}"
    );
    host.shutdown(Duration::from_secs(2)).await;
    std::fs::remove_dir_all(home)?;
    Ok(())
}
