//! `match`: events per second on one core, JSON parsing included.

use crate::baselines::{Indexed, Matcher, Parsed, Peer, Plain};
use crate::clock;
use crate::random::Random;
use crate::sets::Set;
use crate::update;
use anyhow::{Context, anyhow, ensure};
use notify_core::pattern::{Pattern, RuleSet};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

#[derive(clap::Args)]
pub struct Arguments {
    /// Only this rule set.
    #[arg(long)]
    set: Option<Set>,
    /// Seconds of each measurement; each is made three times.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
}

/// Rule set, rules, target in events per second (0: none).
const RUNS: [(Set, usize, f64); 12] = [
    (Set::Exact3, 1, 0.0),
    (Set::Exact3, 100, 1e6),
    (Set::Exact3, 10_000, 0.9e6),
    (Set::Exact3, 100_000, 0.8e6),
    (Set::Mixed, 100, 0.0),
    (Set::Mixed, 1_000, 0.0),
    (Set::Mixed, 10_000, 0.0),
    (Set::Mixed, 100_000, 0.3e6),
    (Set::Wildcard, 100, 0.0),
    (Set::Wildcard, 10_000, 0.5e6),
    (Set::Regexlike, 10_000, 0.1e6),
    (Set::Arrays, 5, 0.0),
];

/// Larger sets of the peer take minutes to build and gigabytes to hold; 10,000 mixed rules end in a panic of its own
/// (0.7.0: "field_transitions.len() fits in u8").
fn peer_is_asked(set: Set, rules: usize) -> bool {
    match set {
        Set::Exact3 => rules <= 100_000,
        Set::Mixed => rules <= 1_000,
        Set::Wildcard | Set::Regexlike => rules <= 100,
        Set::Arrays => true,
    }
}

const EVENTS: usize = 5_000;

pub fn run(arguments: &Arguments) -> anyhow::Result<Vec<Value>> {
    let mut figures = Vec::new();
    println!(
        "{:<10}{:>8}{:>12}{:>9}{:>12}{:>12}{:>11}{:>12}{:>9}{:>8}{:>9}",
        "set",
        "rules",
        "events/s",
        "target",
        "parsed",
        "plain",
        "ratio",
        "quamina",
        "ratio",
        "B/rule",
        "build ms"
    );
    let wanted = |set| arguments.set.is_none_or(|only| only == set);
    for (set, rules, target) in RUNS.into_iter().filter(|(set, ..)| wanted(*set)) {
        figures.push(measure(set, rules, target, arguments.seconds)?);
    }
    if wanted(Set::Exact3) {
        figures.push(update::run(Set::Exact3, 100_000)?);
        figures.push(update::run(Set::Mixed, 100_000)?);
    }
    Ok(figures)
}

pub fn compile(set: Set, rules: std::ops::Range<usize>) -> anyhow::Result<Vec<(usize, Pattern)>> {
    rules.map(|i| Ok((i, Pattern::compile(&set.rule(i)).map_err(|problem| anyhow!("{problem}"))?))).collect()
}

/// Half of them meet a rule.
pub fn events(set: Set, rules: usize) -> Vec<String> {
    let mut random = Random::new(42);
    (0..EVENTS)
        .map(|n| {
            let rule = random.below(rules as u64) as usize;
            set.event(rule, &mut random, n % 2 == 0)
        })
        .collect()
}

fn measure(set: Set, rules: usize, target: f64, seconds: f64) -> anyhow::Result<Value> {
    let events = events(set, rules);
    let compiled = compile(set, 0..rules)?;
    let started = clock::instant();
    let built = RuleSet::new(compiled);
    let build = started.elapsed();
    let mut indexed = Indexed::new(built);
    let mut plain = Plain::new(set, rules)?;
    let mut peer = peer_is_asked(set, rules).then(|| Peer::new(set, rules)).transpose()?;

    let sample = if rules > 1_000 { 100 } else { events.len() };
    let mut matched = 0;
    for event in events.iter().take(sample) {
        let found = indexed.rules_of(event.as_bytes())?;
        ensure!(found == plain.rules_of(event.as_bytes())?, "the plain evaluator finds other rules");
        matched += found.len();
    }
    let mut parsed = Parsed(indexed.rules.clone());

    let (mut ours, mut plains, mut peers, mut values) = (vec![], vec![], vec![], vec![]);
    for _ in 0..3 {
        ours.push(rate(&mut indexed, &events, seconds)?);
        values.push(rate(&mut parsed, &events, seconds / 2.0)?);
        plains.push(rate(&mut plain, &events, seconds / 2.0)?);
        if let Some(peer) = &mut peer {
            peers.push(rate(peer, &events, seconds / 2.0)?);
        }
    }
    let (ours, plains, values) = (median(ours), median(plains), median(values));
    let peers = (!peers.is_empty()).then(|| median(peers));
    let bytes = bytes_per_rule(set, rules)?;
    println!(
        "{:<10}{:>8}{:>12.0}{:>9}{:>12.0}{:>12.0}{:>10.1}x{:>12}{:>9}{:>8}{:>9.1}",
        set.name(),
        rules,
        ours,
        if target == 0.0 {
            "".into()
        } else if ours >= target {
            "met".to_owned()
        } else {
            format!("< {target:.0}")
        },
        values,
        plains,
        ours / plains,
        peers.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}")),
        peers.map_or_else(|| "-".to_owned(), |rate| format!("{:.1}x", ours / rate)),
        bytes.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string()),
        build.as_secs_f64() * 1e3,
    );
    Ok(json!({
        "scenario": "match", "set": set.name(), "rules": rules, "events_per_s": ours.round(),
        "target_per_s": target, "parsed_per_s": values.round(), "plain_per_s": plains.round(), "ratio_to_plain": ours / plains,
        "quamina_per_s": peers.map(f64::round), "ratio_to_quamina": peers.map(|rate| ours / rate),
        "bytes_per_rule": bytes, "build_ms": build.as_secs_f64() * 1e3,
        "event_bytes": events.iter().map(String::len).sum::<usize>() / events.len(),
        "matches_per_event": matched as f64 / sample as f64,
    }))
}

/// Number of matches in so many events.
pub fn profile(set: Set, rules: usize, count: usize) -> anyhow::Result<usize> {
    let mut indexed = Indexed::new(RuleSet::new(compile(set, 0..rules)?));
    let events = events(set, rules);
    events.iter().cycle().take(count).map(|event| indexed.count(event.as_bytes())).sum()
}

fn rate(matcher: &mut impl Matcher, events: &[String], seconds: f64) -> anyhow::Result<f64> {
    let limit = Duration::from_secs_f64(seconds);
    let started = clock::instant();
    let mut done = 0_u32;
    for event in events.iter().cycle() {
        std::hint::black_box(matcher.count(event.as_bytes())?);
        done += 1;
        // The clock is looked at rarely, but a slow matcher must not run for minutes.
        if (done.is_multiple_of(64) || done < 64) && started.elapsed() >= limit {
            break;
        }
    }
    Ok(f64::from(done) / started.elapsed().as_secs_f64())
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

/// In a process of its own, where nothing else has grown the heap.
fn bytes_per_rule(set: Set, rules: usize) -> anyhow::Result<Option<u64>> {
    if rules < 10_000 {
        return Ok(None);
    }
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.args(["memory", set.name(), &rules.to_string()]).output()?;
    let said = String::from_utf8(output.stdout)?;
    Ok(Some(said.trim().parse().with_context(|| format!("memory says {said}"))?))
}

/// Growth of this process's resident memory by one set, whatever the allocator keeps for itself included.
pub fn bytes_per_rule_here(set: Set, rules: usize) -> anyhow::Result<u64> {
    let before = resident()?;
    let mut refused = None;
    let compiled = (0..rules).map_while(|i| match Pattern::compile(&set.rule(i)) {
        Ok(pattern) => Some((i, pattern)),
        Err(problem) => {
            refused = Some(problem);
            None
        }
    });
    let built = RuleSet::new(compiled);
    ensure!(refused.is_none() && built.len() == rules, "{refused:?}");
    let grown = resident()?.saturating_sub(before);
    Ok(grown / rules as u64)
}

fn resident() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = status.lines().find(|line| line.starts_with("Rss:")).context("no Rss")?;
    let kib: u64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kib * 1024)
}
