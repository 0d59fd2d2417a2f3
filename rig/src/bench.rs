//! Measures in one run: bare publisher → receiver HTTP as the limit, the disk's flush time, and the studio on the same
//! events, durable and with the ledger on. Ratios within a run compare; absolute figures are this machine's today.

use crate::clock;
use crate::kill::free_port;
use crate::publisher::{self, Sent, Target};
use crate::receiver::Receiver;
use crate::seed;
use crate::studio::Studio;
use anyhow::{Context, bail};
use std::collections::HashMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

#[derive(clap::Args)]
pub struct Arguments {
    /// `throughput`, `latency`, or both when absent; `rules`, `noise` and `connectors` only when asked for.
    #[arg(value_parser = ["throughput", "latency", "rules", "noise", "connectors"])]
    scenario: Option<String>,
    /// Also write the figures to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Events of a throughput run.
    #[arg(long, default_value_t = 20_000)]
    pub(crate) events: u64,
    #[arg(long, default_value_t = 32)]
    pub(crate) connections: usize,
    /// Rules of a `rules` run.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) rules: u64,
    /// Events per second of a latency run.
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// Seconds of a latency run.
    #[arg(long, default_value_t = 20)]
    seconds: u32,
    /// Where the studio's home is made (its disk is what is measured); default: the system's temporary folder.
    #[arg(long)]
    home: Option<PathBuf>,
}

pub async fn run(stage: &Path, arguments: Arguments) -> anyhow::Result<()> {
    let parent = arguments.home.clone().unwrap_or_else(std::env::temp_dir);
    let home = parent.join(format!("notify-bench-{}", std::process::id()));
    std::fs::create_dir_all(&home)?;
    let result = scenarios(stage, &home, &arguments).await;
    if result.is_ok() {
        std::fs::remove_dir_all(&home)?;
    }
    let figures = result.with_context(|| format!("home kept: {}", home.display()))?;
    let text = serde_json::to_string_pretty(&figures)?;
    println!("{text}");
    if let Some(file) = &arguments.json {
        std::fs::write(file, text)?;
    }
    Ok(())
}

async fn scenarios(
    stage: &Path,
    home: &Path,
    arguments: &Arguments,
) -> anyhow::Result<Vec<serde_json::Value>> {
    let wanted = |name: &str| arguments.scenario.as_deref().is_none_or(|scenario| scenario == name);
    let mut figures = Vec::new();
    if wanted("throughput") {
        figures.push(throughput(stage, &home.join("throughput"), arguments).await?);
    }
    if wanted("latency") {
        figures.push(latency(stage, &home.join("latency"), arguments).await?);
    }
    if arguments.scenario.as_deref() == Some("rules") {
        figures.push(crate::bench_rules::run(stage, &home.join("rules"), arguments).await?);
    }
    if arguments.scenario.as_deref() == Some("noise") {
        figures.push(crate::bench_noise::run(stage, &home.join("noise"), arguments).await?);
    }
    if arguments.scenario.as_deref() == Some("connectors") {
        figures.extend(crate::bench_connectors::run(stage).await?);
    }
    Ok(figures)
}

async fn throughput(stage: &Path, home: &Path, arguments: &Arguments) -> anyhow::Result<serde_json::Value> {
    let receiver = Receiver::start(None, HashMap::new(), true).await?;
    let bare = Target { address: receiver.address, path: "/load", token: "none".into(), run: "bare".into() };
    publisher::as_fast_as_possible(&bare, arguments.connections, 0..2_000).await;
    let started = clock::instant();
    publisher::as_fast_as_possible(&bare, arguments.connections, 0..arguments.events).await;
    let limit = arguments.events as f64 / started.elapsed().as_secs_f64();

    let (mut studio, target) = loaded_studio(stage, home, &receiver).await?;
    let flush = flush_times(home)?;
    let idle = studio.memory_kib()?;
    let warm_up = 2_000;
    publish_and_wait(&target, &receiver, arguments.connections, 0..warm_up).await?;
    let cpu_before = studio.cpu_seconds()?;
    let (accepted_in, delivered_in, sent) =
        publish_and_wait(&target, &receiver, arguments.connections, warm_up..warm_up + arguments.events)
            .await?;
    let cpu = studio.cpu_seconds()? - cpu_before;
    let peak = studio.memory_kib()?;
    let words = studio.export_and_verify(&home.join("export.tar")).await?;
    studio.terminate().await?;
    receiver.stop();
    let count = arguments.events as f64;
    let delivered = count / delivered_in.as_secs_f64();
    let mut answered: Vec<f64> =
        sent.iter().map(|sent| (sent.answered - sent.due).as_secs_f64() * 1000.0).collect();
    Ok(serde_json::json!({
        "scenario": "throughput",
        "controls": seed::CONTROLS_OFF,
        "connections": arguments.connections,
        "events": arguments.events,
        "accepted_per_s": round(count / accepted_in.as_secs_f64()),
        "delivered_per_s": round(delivered),
        "answer_p50_ms": percentile(&mut answered, 0.50),
        "answer_p99_ms": percentile(&mut answered, 0.99),
        "cpu_s_per_1000": round3(cpu / count * 1000.0),
        "idle_mib": idle / 1024,
        "rss_mib": peak / 1024,
        "limit_per_s": round(limit),
        "ratio_to_limit": round3(delivered / limit),
        "flush_p50_ms": flush.0,
        "flush_p99_ms": flush.1,
        "ledger": words.lines().next().unwrap_or_default(),
    }))
}

async fn latency(stage: &Path, home: &Path, arguments: &Arguments) -> anyhow::Result<serde_json::Value> {
    let secret = seed::new_secret()?;
    let receiver =
        Receiver::start(None, HashMap::from([("/load".to_owned(), secret.clone())]), false).await?;
    let mut studio = Studio::create(stage, home, free_port().await?).await?;
    studio.start().await?;
    seed::one_rule(&mut studio, receiver.address, &secret, &[1, 2, 4]).await?;
    let target = Target {
        address: studio.address,
        path: "/api/v1/events",
        token: studio.token().await?,
        run: "latency".into(),
    };
    let never = Arc::new(AtomicBool::new(false));
    let warm_up = u64::from(arguments.rate) * 2;
    publisher::on_schedule(&target, arguments.rate, 0..warm_up, Arc::clone(&never)).await;
    let numbers = warm_up..warm_up + u64::from(arguments.rate) * u64::from(arguments.seconds);
    let before = flush_times(home)?;
    let cpu_before = studio.cpu_seconds()?;
    let sent = publisher::on_schedule(&target, arguments.rate, numbers.clone(), never).await;
    let cpu = studio.cpu_seconds()? - cpu_before;
    let after = flush_times(home)?;
    if let Some(bad) = sent.iter().find(|sent| !sent.status.is_some_and(|s| (200..300).contains(&s))) {
        bail!("event {} was answered {:?}", bad.number, bad.status);
    }
    wait_for_count(&receiver, numbers.end, sent.len() as u64).await?;
    let arrived: HashMap<String, Instant> =
        receiver.arrivals().into_iter().map(|a| (a.event, a.at)).collect();
    let mut times = Vec::with_capacity(sent.len());
    for sent in &sent {
        let at = arrived.get(&seed::event_id("latency", sent.number)).context("an event did not arrive")?;
        times.push((*at - sent.due).as_secs_f64() * 1000.0);
    }
    let mut answered: Vec<f64> =
        sent.iter().map(|sent| (sent.answered - sent.due).as_secs_f64() * 1000.0).collect();
    studio.terminate().await?;
    receiver.stop();
    let flush_p50 = f64::midpoint(before.0, after.0);
    let flush_p99 = before.1.max(after.1);
    Ok(serde_json::json!({
        "scenario": "latency",
        "controls": seed::CONTROLS_OFF,
        "rate_per_s": arguments.rate,
        "events": sent.len(),
        "p50_ms": percentile(&mut times, 0.50),
        "p95_ms": percentile(&mut times, 0.95),
        "p99_ms": percentile(&mut times, 0.99),
        "max_ms": percentile(&mut times, 1.0),
        "answer_p50_ms": percentile(&mut answered, 0.50),
        "answer_p99_ms": percentile(&mut answered, 0.99),
        "cpu_s_per_1000": round3(cpu / sent.len() as f64 * 1000.0),
        "flush_p50_ms": flush_p50,
        "flush_p99_ms": flush_p99,
        "allowed_p50_ms": round3(2.0 * flush_p50 + 3.0),
        "allowed_p99_ms": round3(3.0 * flush_p99 + 10.0),
    }))
}

/// A studio whose one rule sends to a light receiver. Its channel has a secret, so every webhook is signed.
async fn loaded_studio(stage: &Path, home: &Path, receiver: &Receiver) -> anyhow::Result<(Studio, Target)> {
    let mut studio = Studio::create(stage, home, free_port().await?).await?;
    studio.start().await?;
    seed::one_rule(&mut studio, receiver.address, &seed::new_secret()?, &[1, 2, 4]).await?;
    let target = Target {
        address: studio.address,
        path: "/api/v1/events",
        token: studio.token().await?,
        run: "load".into(),
    };
    Ok((studio, target))
}

/// Publishes and waits until all has arrived: (time to the last answer, time to the last arrival, answers).
pub(crate) async fn publish_and_wait(
    target: &Target,
    receiver: &Receiver,
    connections: usize,
    numbers: std::ops::Range<u64>,
) -> anyhow::Result<(Duration, Duration, Vec<Sent>)> {
    let before = receiver.count();
    let started = clock::instant();
    let expected = numbers.end - numbers.start;
    let sent = publisher::as_fast_as_possible(target, connections, numbers).await;
    let accepted_in = started.elapsed();
    if let Some(bad) = sent.iter().find(|sent| sent.status != Some(202)) {
        bail!("event {} was answered {:?}", bad.number, bad.status);
    }
    wait_for_count(receiver, before + expected, expected).await?;
    Ok((accepted_in, started.elapsed(), sent))
}

pub(crate) async fn wait_for_count(receiver: &Receiver, wanted: u64, of: u64) -> anyhow::Result<()> {
    let deadline = clock::instant() + Duration::from_secs(60);
    while receiver.count() < wanted {
        if clock::instant() > deadline {
            bail!("{} of {of} deliveries are missing", wanted - receiver.count());
        }
        clock::wait(Duration::from_millis(1)).await;
    }
    Ok(())
}

/// Median and 99th percentile, in milliseconds, of writing 4 KiB and flushing it, on the disk of `folder`.
fn flush_times(folder: &Path) -> anyhow::Result<(f64, f64)> {
    let path = folder.join("flush.probe");
    let mut file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
    let block = [0x5a_u8; 4096];
    let mut times = Vec::new();
    for _ in 0..300 {
        let started = clock::instant();
        file.write_all(&block)?;
        file.sync_data()?;
        times.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    std::fs::remove_file(&path)?;
    Ok((percentile(&mut times, 0.5), percentile(&mut times, 0.99)))
}

/// Nearest-rank percentile, to three decimals.
pub(crate) fn percentile(values: &mut [f64], p: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (p * values.len() as f64).ceil() as usize;
    values.get(rank.clamp(1, values.len().max(1)) - 1).copied().map_or(0.0, round3)
}

pub(crate) fn round(value: f64) -> u64 {
    value.round() as u64
}

pub(crate) fn round3(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
