//! Kills the studio under load and accounts for every event.
//!
//! Promise under test: each event that was answered 2xx is delivered in the end; what is delivered twice was in
//! flight when the process died and carries the same `webhook-id`; the ledger verifies after each restart; a publisher
//! that sends everything again causes no second delivery.

use crate::clock;
use crate::publisher::{self, Sent, Target};
use crate::receiver::Receiver;
use crate::seed;
use crate::studio::Studio;
use anyhow::{Context, bail, ensure};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[derive(clap::Args)]
pub struct Arguments {
    /// SIGKILLs, spread over the receiver modes; a fifth as many clean stops follow.
    #[arg(long, default_value_t = 10)]
    rounds: u32,
    /// Events per second.
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// With noise control on: what is open, held and counted when the kill comes.
    #[arg(long)]
    noise: bool,
    /// Seed of the kill times, printed with each run.
    #[arg(long)]
    seed: Option<u64>,
}

/// How many deliveries may be under way at once (the studio's default), so the most that a kill can repeat.
const IN_FLIGHT: usize = 256;

pub async fn run(stage: &Path, arguments: Arguments) -> anyhow::Result<()> {
    let seed = match arguments.seed {
        Some(seed) => seed,
        None => getrandom::u64()?,
    };
    let controls = if arguments.noise { "noise control on" } else { seed::CONTROLS_OFF };
    println!("kill test: {} rounds at {}/s, seed {seed}, {controls}", arguments.rounds, arguments.rate);
    let mut random = seed;
    if arguments.noise {
        return with_noise_control(stage, &arguments, random).await;
    }
    let clean_rounds = arguments.rounds.div_ceil(5);
    for round in 0..arguments.rounds + clean_rounds {
        random = drawn(random);
        let after = Duration::from_millis(300 + (random >> 33) % 2_200);
        // Every third round the receiver is down until after the restart. The last rounds stop cleanly.
        let (down, clean) = (round % 3 == 2, round >= arguments.rounds);
        let what = format!(
            "round {round}: {} after {} ms, receiver {}",
            if clean { "SIGTERM" } else { "SIGKILL" },
            after.as_millis(),
            if down { "down until after the restart" } else { "healthy" }
        );
        let summary = one_round(stage, arguments.rate, after, down, clean, round)
            .await
            .with_context(|| format!("{what} (seed {seed})"))?;
        println!("{what}: {summary}");
    }
    println!("kill test: all {} rounds hold", arguments.rounds + clean_rounds);
    Ok(())
}

/// Draws the next number.
const fn drawn(random: u64) -> u64 {
    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

async fn with_noise_control(stage: &Path, arguments: &Arguments, mut random: u64) -> anyhow::Result<()> {
    let seed = random;
    for round in 0..arguments.rounds {
        random = drawn(random);
        // Also into the end of the quiet hours, and past it.
        let after = Duration::from_millis(300 + (random >> 33) % 5_000);
        let what = format!("round {round}: SIGKILL after {} ms", after.as_millis());
        let home = std::env::temp_dir().join(format!("notify-kill-noise-{}-{round}", std::process::id()));
        let _ = std::fs::remove_dir_all(&home);
        let summary = crate::kill_noise::round(stage, &home.join("studio"), arguments.rate, after).await;
        let summary =
            summary.with_context(|| format!("{what} (seed {seed}); home kept: {}", home.display()))?;
        std::fs::remove_dir_all(&home)?;
        println!("{what}: {summary}");
    }
    println!("kill test: all {} rounds hold", arguments.rounds);
    Ok(())
}

async fn one_round(
    stage: &Path,
    rate: u32,
    after: Duration,
    down: bool,
    clean: bool,
    round: u32,
) -> anyhow::Result<String> {
    let home = std::env::temp_dir().join(format!("notify-kill-{}-{round}", std::process::id()));
    let _ = std::fs::remove_dir_all(&home);
    let result = in_home(stage, &home.join("studio"), rate, after, down, clean).await;
    if result.is_ok() {
        std::fs::remove_dir_all(&home)?;
    }
    result.with_context(|| format!("home kept: {}", home.display()))
}

async fn in_home(
    stage: &Path,
    home: &Path,
    rate: u32,
    after: Duration,
    down: bool,
    clean: bool,
) -> anyhow::Result<String> {
    let secret = seed::new_secret()?;
    let secrets = HashMap::from([("/load".to_owned(), secret.clone())]);
    let receiver_address = Receiver::reserve_address().await?;
    let mut receiver = None;
    if !down {
        receiver = Some(Receiver::start(Some(receiver_address), secrets.clone(), false).await?);
    }
    let mut studio = Studio::create(stage, home, free_port().await?).await?;
    studio.start().await?;
    seed::one_rule(&mut studio, receiver_address, &secret, &[1, 1, 1, 1, 1, 2, 2, 2, 4, 4, 8, 8]).await?;
    let target = Target {
        address: studio.address,
        path: "/api/v1/events",
        token: studio.token().await?,
        run: "kill".to_owned(),
    };

    let stop = Arc::new(AtomicBool::new(false));
    let publishing = {
        let (target, stop) = (target.clone(), Arc::clone(&stop));
        tokio::spawn(
            async move { publisher::on_schedule(&target, rate, 0..u64::from(rate) * 30, stop).await },
        )
    };
    clock::wait(after).await;
    if clean {
        studio.terminate().await?;
    } else {
        studio.kill().await?;
    }
    let before = receiver.as_ref().map_or(0, |receiver| receiver.arrivals().len());
    stop.store(true, Ordering::Relaxed);
    let sent = publishing.await?;
    studio.start().await.context("restart")?;
    if receiver.is_none() {
        receiver = Some(Receiver::start(Some(receiver_address), secrets, false).await?);
    }
    let receiver = receiver.context("no receiver")?;

    let accepted: HashSet<String> = accepted(&sent);
    ensure!(!accepted.is_empty(), "nothing was accepted before the stop");
    wait_for_all(&receiver, &accepted).await?;
    // What was in flight at the stop may come once more; only then does the count of repeats stand.
    settle(&receiver).await;
    let repeats = count_repeats(&receiver, clean)?;

    // A publisher that saw the connection break sends everything again.
    let again = publisher::as_fast_as_possible(&target, 8, 0..sent.len() as u64).await;
    for answer in &again {
        ensure!(
            matches!(answer.status, Some(200 | 202)),
            "event {} sent again: {:?}",
            answer.number,
            answer.status
        );
    }
    let all: HashSet<String> = again.iter().map(|s| seed::event_id("kill", s.number)).collect();
    wait_for_all(&receiver, &all).await?;
    settle(&receiver).await;
    let later = count_repeats(&receiver, clean)?;
    ensure!(later == repeats, "sending again caused {} second deliveries", later - repeats);

    let words = studio.export_and_verify(&home.join("export.tar")).await?;
    studio.terminate().await?;
    receiver.stop();
    let verdict = words.lines().next().unwrap_or_default().to_owned();
    Ok(format!(
        "{} sent, {} accepted before the stop, {before} delivered before it, 0 lost, {repeats} delivered twice; {verdict}",
        sent.len(),
        accepted.len(),
    ))
}

fn accepted(sent: &[Sent]) -> HashSet<String> {
    let ok = |sent: &&Sent| sent.status.is_some_and(|status| (200..300).contains(&status));
    sent.iter().filter(ok).map(|sent| seed::event_id("kill", sent.number)).collect()
}

/// Waits until every event of `expected` has arrived with a good signature; bounded.
async fn wait_for_all(receiver: &Receiver, expected: &HashSet<String>) -> anyhow::Result<()> {
    let deadline = clock::instant() + Duration::from_secs(90);
    loop {
        let arrivals = receiver.arrivals();
        if let Some(bad) = arrivals.iter().find(|arrival| arrival.signature.is_err()) {
            bail!("event {} arrived with a bad signature: {:?}", bad.event, bad.signature);
        }
        let arrived: HashSet<&str> = arrivals.iter().map(|arrival| arrival.event.as_str()).collect();
        let missing: Vec<&String> =
            expected.iter().filter(|event| !arrived.contains(event.as_str())).collect();
        if missing.is_empty() {
            return Ok(());
        }
        if clock::instant() > deadline {
            bail!(
                "{} of {} accepted events never arrived, e.g. {:?}",
                missing.len(),
                expected.len(),
                missing[0]
            );
        }
        clock::wait(Duration::from_millis(50)).await;
    }
}

/// Waits until nothing has arrived for a while.
async fn settle(receiver: &Receiver) {
    let mut seen = receiver.count();
    for _ in 0..20 {
        clock::wait(Duration::from_millis(500)).await;
        let now = receiver.count();
        if now == seen {
            return;
        }
        seen = now;
    }
}

/// Events that arrived more than once; fails when they had different ids, or when there are more than a stop allows.
fn count_repeats(receiver: &Receiver, clean: bool) -> anyhow::Result<usize> {
    let mut ids: HashMap<String, Vec<String>> = HashMap::new();
    for arrival in receiver.arrivals() {
        ids.entry(arrival.event).or_default().push(arrival.webhook_id);
    }
    let mut repeated = 0;
    for (event, ids) in ids {
        if ids.len() > 1 {
            repeated += 1;
            ensure!(ids.iter().all(|id| *id == ids[0]), "{event} was delivered under different ids: {ids:?}");
        }
    }
    ensure!(!clean || repeated == 0, "{repeated} events were delivered twice around a clean stop");
    ensure!(
        repeated <= IN_FLIGHT,
        "{repeated} events were delivered twice; only {IN_FLIGHT} can be in flight"
    );
    Ok(repeated)
}

/// A loopback port that was free a moment ago.
pub async fn free_port() -> anyhow::Result<SocketAddr> {
    Receiver::reserve_address().await
}
