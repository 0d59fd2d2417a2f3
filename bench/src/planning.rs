//! `plan`: events per second on one core through all controls, in memory, beside the same events without any; and what a
//! million live keys take.

use crate::clock;
use crate::random::Random;
use anyhow::{anyhow, ensure};
use notify_core::document::parse::Parsed;
use notify_core::document::{
    Version, parse_calendar, parse_channel, parse_inhibition, parse_policy, parse_rule, parse_silence,
};
use notify_core::event::{Event, EventLimits};
use notify_core::ids::TenantId;
use notify_core::noise::config::NoiseDocuments;
use notify_core::noise::{NoiseState, Remembered};
use notify_core::plan::{Collected, Documents, Place, Shown, Snapshot, flush, plan, retained};
use notify_core::problem::Problem;
use notify_core::severity::Severity;
use notify_core::time::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::process::Command;

#[derive(clap::Args)]
pub struct Arguments {
    /// Seconds of each measurement; each is made three times and the best counts.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

/// Events per second and core that the controls may not fall below.
const TARGET: f64 = 100_000.0;
/// Bytes that a million live keys may take.
const MOST_BYTES: u64 = 300 * 1024 * 1024;
const LIVE_KEYS: usize = 1_000_000;
/// Different events; they come again and again.
const EVENTS: usize = 20_000;
/// Events of one second of logical time.
const PER_SECOND: i64 = 1_000;

fn tenant() -> anyhow::Result<TenantId> {
    Ok(TenantId::new("bench")?)
}

/// One action with every control, and others of the same rule set that hold no alert of these back.
fn snapshot(controls: bool) -> anyhow::Result<Snapshot> {
    fn one<T>(
        parse: fn(&Value) -> Result<Parsed<T>, Problem>,
        document: &Value,
    ) -> anyhow::Result<Version<T>> {
        let (document, _, digest) = parse(document).map_err(|problem| anyhow!("{problem}"))?;
        Ok(Version { version: 1, digest, document })
    }
    let mut action = json!({"id": "chat", "channel": "ops", "dedupe": "off", "throttle": "off"});
    let mut channel = json!({
        "schema": "notify-channel@1", "id": "ops", "name": "Ops", "type": "webhook",
        "config": {"url": "https://ops.example/hook"},
    });
    let mut rule = json!({
        "schema": "notify-rule@1", "id": "all", "name": "All", "storm": "off", "match": {"type": ["scan"]},
    });
    let mut noise = NoiseDocuments::default();
    if controls {
        action["dedupe"] = json!({"key": ["/subject", "/severity"], "window": "10s"});
        action["throttle"] = json!({"key": ["/data/team"], "limit": 200, "per": "10s", "overflow": "digest"});
        action["digest"] = json!({"key": ["/data/team"], "window": "10s", "mode": "look-back", "lookBack": "1s", "max": 500});
        channel["quietHours"] = json!([{"calendar": "nights"}]);
        channel["budget"] = json!({"limit": 5_000, "per": "10s"});
        rule["storm"] = "on".into();
        let nights = json!({
            "schema": "notify-calendar@1", "id": "nights", "name": "Nights", "timeZone": "Europe/Berlin",
            "windows": [{"times": ["22:00-06:00"]}, {"days": ["sat-sun"]}],
        });
        noise.calendars.push(one(parse_calendar, &nights)?);
        let policy = json!({
            "schema": "notify-policy@1", "id": "noise", "name": "Noise",
            "quietHours": [{"calendar": "nights"}], "storm": {"alerts": 100_000, "per": "1m", "ends": 1},
        });
        noise.policies.push(one(parse_policy, &policy)?);
        for n in 0..100 {
            let silence = json!({
                "schema": "notify-silence@1", "id": format!("s{n}"), "reason": "A move",
                "match": {"subject": [format!("host-{n}")]},
                "from": "2026-01-01T00:00:00Z", "until": "2027-01-01T00:00:00Z",
            });
            noise.silences.push(one(parse_silence, &silence)?);
        }
        for n in 0..10 {
            let inhibition = json!({
                "schema": "notify-inhibition@1", "id": format!("i{n}"), "name": "Down",
                "source": {"match": {"type": ["down"]}},
                "target": {"match": {"type": ["scan"], "data": {"team": [format!("team-{n}")]}}},
                "equal": ["/data/team"],
            });
            noise.inhibitions.push(one(parse_inhibition, &inhibition)?);
        }
    }
    rule["actions"] = json!([action]);
    let documents = Documents {
        rules: vec![one(parse_rule, &rule)?],
        channels: vec![one(parse_channel, &channel)?],
        noise,
        ..Documents::default()
    };
    let (snapshot, broken) = Snapshot::compile(tenant()?, 1, "en", documents);
    ensure!(broken.is_empty(), "{broken:?}");
    Ok(snapshot)
}

fn event(number: usize, subject: usize, random: &mut Random) -> anyhow::Result<Event> {
    let severity = ["low", "medium", "high", "critical"][random.below(4) as usize];
    let value = json!({
        "specversion": "1.0", "id": number.to_string(), "source": "/bench", "type": "scan",
        "subject": format!("subject-{subject}"), "severity": severity,
        "data": {"team": format!("team-{}", random.below(50)), "image": {"digest": format!("sha256:{subject:064x}")}},
    });
    Event::from_value(&tenant()?, value, &EventLimits::default()).map_err(|problem| anyhow!("{problem}"))
}

/// What one run did.
#[derive(Default)]
struct Run {
    events: usize,
    outcomes: BTreeMap<String, usize>,
    digests: usize,
    seconds: f64,
}

/// Plans for so long, timers included; what digests show is rendered.
fn run(snapshot: &Snapshot, events: &[Event], seconds: f64) -> Run {
    let start: Timestamp = "2026-11-18T10:00:00Z".parse().unwrap_or(Timestamp::UNIX_EPOCH);
    let mut state = NoiseState::default();
    let mut items: HashMap<String, Vec<(usize, Severity)>> = HashMap::new();
    let mut done = Run::default();
    let begun = clock::instant();
    let entropy = [7; 32];
    while begun.elapsed().as_secs_f64() < seconds {
        for _ in 0..256 {
            let at = i64::try_from(done.events).unwrap_or(i64::MAX) * 1_000_000 / PER_SECOND;
            let at = Timestamp::from_microsecond(start.as_microsecond() + at).unwrap_or(start);
            while let Some((_, key)) = state.next_timer().filter(|(due, _)| *due <= at.as_microsecond()) {
                let Some(Remembered::Window(window)) = state.get(&key).cloned() else { break };
                let collected = items.remove(window.id.as_str()).unwrap_or_default();
                let places: Vec<Place> = (1..)
                    .zip(&collected)
                    .map(|(number, (_, severity))| Place { number, severity: *severity })
                    .collect();
                let shown = retained(snapshot, &window, &places).into_iter().filter_map(|number| {
                    let (event, severity) = collected.get(number as usize - 1)?;
                    let event = events.get(*event)?.value.clone();
                    let (rule, action) = (window.rule.clone(), window.action.clone());
                    Some(Shown { event, rule, action, severity: *severity, at })
                });
                let entries = (1..=collected.len() as u64).collect();
                let collected = Collected { entries, shown: shown.collect(), ..Collected::default() };
                let flushed = flush(snapshot, key, &window, collected, at, &entropy);
                done.digests += usize::from(flushed.delivery.is_some());
                state.apply(flushed.changes);
            }
            let number = done.events % events.len();
            let planned = plan(snapshot, &events[number], at, &entropy, &state);
            for item in &planned.items {
                items.entry(item.digest.to_string()).or_default().push((number, item.severity));
            }
            for decision in &planned.decisions {
                let what = format!("{} {}", decision.verdict.outcome(), decision.verdict.control());
                *done.outcomes.entry(what).or_default() += 1;
            }
            state.apply(planned.changes);
            state.sweep(at.as_microsecond());
            done.events += 1;
        }
    }
    done.seconds = begun.elapsed().as_secs_f64();
    done
}

pub fn bench(arguments: &Arguments) -> anyhow::Result<Vec<Value>> {
    let mut random = Random::new(5);
    let events = (0..EVENTS).map(|n| event(n, n / 2, &mut random)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut figures = Vec::new();
    let mut rates = Vec::new();
    for (name, controls) in [("none", false), ("all", true)] {
        let snapshot = snapshot(controls)?;
        let best = (0..3)
            .map(|_| run(&snapshot, &events, arguments.seconds))
            .max_by(|a, b| (a.events as f64 / a.seconds).total_cmp(&(b.events as f64 / b.seconds)))
            .ok_or_else(|| anyhow!("nothing was measured"))?;
        let rate = best.events as f64 / best.seconds;
        rates.push(rate);
        println!("controls {name:<5}{rate:>10.0} events/s; {} digests sent", best.digests);
        for (what, count) in &best.outcomes {
            println!("  {:>5.1} %  {what}", *count as f64 * 100.0 / best.events as f64);
        }
        figures.push(json!({
            "scenario": "plan", "set": name, "events_per_s": rate.round(), "outcomes": best.outcomes,
        }));
    }
    let ratio = rates.last().copied().unwrap_or_default() / rates.first().copied().unwrap_or(1.0);
    let rate = rates.last().copied().unwrap_or_default();
    let met = if rate >= TARGET { "met" } else { "missed" };
    println!(
        "all controls: {rate:.0} events/s per core, {ratio:.2} of a run without any (target {TARGET:.0}: {met})"
    );
    let bytes = memory_in_a_process_of_its_own()?;
    let met = if bytes <= MOST_BYTES { "met" } else { "missed" };
    println!(
        "{LIVE_KEYS} live keys: {:.0} MiB, {} bytes each (target 300 MiB: {met})",
        bytes as f64 / 1_048_576.0,
        bytes / LIVE_KEYS as u64
    );
    figures.push(json!({"scenario": "plan-memory", "keys": LIVE_KEYS, "bytes": bytes}));
    Ok(figures)
}

fn memory_in_a_process_of_its_own() -> anyhow::Result<u64> {
    let output = Command::new(std::env::current_exe()?).arg("plan-memory").output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

/// Resident memory that a million live dedupe windows add; each was opened by a plan.
pub fn memory_here() -> anyhow::Result<u64> {
    let snapshot = snapshot(true)?;
    let mut state = NoiseState::default();
    let at: Timestamp = "2026-11-18T10:00:00Z".parse()?;
    let mut random = Random::new(5);
    let before = resident()?;
    for n in 0.. {
        if state.len() >= LIVE_KEYS {
            break;
        }
        let planned = plan(&snapshot, &event(n, n, &mut random)?, at, &[7; 32], &state);
        state.apply(planned.changes);
        state.sweep(at.as_microsecond());
    }
    let bytes = resident()?.saturating_sub(before);
    std::hint::black_box(&state);
    Ok(bytes)
}

fn resident() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or_else(|| anyhow!("no VmRSS"))?;
    let kib: u64 = line.split_whitespace().nth(1).unwrap_or_default().parse()?;
    Ok(kib * 1024)
}
