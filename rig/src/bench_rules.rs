//! What 100,000 rules cost end to end: two studios in one run, one with a single rule and one with many of which
//! exactly one matches each event, loaded in turn. And how soon a change of one rule counts.

use crate::bench::{Arguments, percentile, publish_and_wait, round, round3, wait_for_count};
use crate::clock;
use crate::http::Connection;
use crate::kill::free_port;
use crate::publisher::{self, Target};
use crate::receiver::Receiver;
use crate::seed;
use crate::studio::Studio;
use anyhow::bail;
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// Each studio is loaded this often, in turn, so that a machine that gets slower meanwhile slows both.
const ROUNDS: u64 = 2;
const WARM_UP: u64 = 2_000;
/// Changes whose effect is timed.
const CHANGES: u64 = 20;

struct Loaded {
    studio: Studio,
    target: Target,
    /// Event numbers used so far.
    next: u64,
    rates: Vec<f64>,
    cpu: f64,
}

pub async fn run(stage: &Path, home: &Path, arguments: &Arguments) -> anyhow::Result<serde_json::Value> {
    let rules = arguments.rules;
    let needed = 1 + WARM_UP + ROUNDS * arguments.events;
    if rules < needed {
        bail!("{needed} events need as many rules: give --rules {needed}, or fewer --events");
    }
    let receiver = Receiver::start(None, HashMap::new(), true).await?;
    let limits = "\n[limits]\nrequest_timeout_seconds = 300\napply_bytes = 134217728\napply_rules = 1000000\n\
                  tenant_rules = 1001000\n";
    let mut one = loaded(stage, &home.join("one/home"), &receiver, "one", limits).await?;
    let mut many = loaded(stage, &home.join("many/home"), &receiver, "many", limits).await?;
    let (created_in, again_in) = apply(&mut many.studio, rules).await?;
    // A new process: what it holds is its rules, not what was left of applying them. The first event has them compiled.
    let started = clock::instant();
    many.studio.terminate().await?;
    many.studio.start().await?;
    many.publish(&receiver, 1, 1).await?;
    let restarted_in = started.elapsed();
    one.publish(&receiver, 1, 1).await?;

    for studio in [&mut one, &mut many] {
        studio.publish(&receiver, arguments.connections, WARM_UP).await?;
    }
    let held = many.studio.memory_kib()?.saturating_sub(one.studio.memory_kib()?);
    for _ in 0..ROUNDS {
        for studio in [&mut one, &mut many] {
            let cpu = studio.studio.cpu_seconds()?;
            let (_, delivered_in) =
                studio.publish(&receiver, arguments.connections, arguments.events).await?;
            studio.cpu += studio.studio.cpu_seconds()? - cpu;
            studio.rates.push(arguments.events as f64 / delivered_in.as_secs_f64());
        }
    }
    let mut changes = Vec::new();
    let mut effects = Vec::new();
    for number in 0..CHANGES {
        let (answered, arrived) = change(&mut many, &receiver, number).await?;
        changes.push(answered.as_secs_f64() * 1000.0);
        effects.push(arrived.as_secs_f64() * 1000.0);
    }
    one.studio.terminate().await?;
    many.studio.terminate().await?;
    receiver.stop();

    let mean = |rates: &[f64]| rates.iter().sum::<f64>() / rates.len().max(1) as f64;
    let ratios: Vec<f64> = many.rates.iter().zip(&one.rates).map(|(many, one)| round3(many / one)).collect();
    let events = (arguments.events * ROUNDS) as f64;
    Ok(serde_json::json!({
        "scenario": "rules",
        "rules": rules,
        "controls": seed::CONTROLS_OFF,
        "connections": arguments.connections,
        "events": arguments.events,
        "delivered_per_s_one_rule": one.rates.iter().copied().map(round).collect::<Vec<_>>(),
        "delivered_per_s": many.rates.iter().copied().map(round).collect::<Vec<_>>(),
        "ratios": ratios,
        "ratio_to_one_rule": round3(mean(&many.rates) / mean(&one.rates)),
        "wanted_ratio": 0.9,
        "cpu_s_per_1000_one_rule": round3(one.cpu / events * 1000.0),
        "cpu_s_per_1000": round3(many.cpu / events * 1000.0),
        "apply_s": round3(created_in.as_secs_f64()),
        "apply_again_s": round3(again_in.as_secs_f64()),
        "memory_bytes_per_rule": held * 1024 / rules.max(1),
        "change_answer_p50_ms": percentile(&mut changes, 0.5),
        "change_to_delivery_p50_ms": percentile(&mut effects, 0.5),
        "change_to_delivery_max_ms": percentile(&mut effects, 1.0),
        "restart_to_delivery_s": round3(restarted_in.as_secs_f64()),
    }))
}

async fn loaded(
    stage: &Path,
    home: &Path,
    receiver: &Receiver,
    run: &str,
    limits: &str,
) -> anyhow::Result<Loaded> {
    let mut studio = Studio::with_plugins(stage, home, free_port().await?, stage, limits).await?;
    studio.start().await?;
    seed::one_rule(&mut studio, receiver.address, &seed::new_secret()?, &[1, 2, 4]).await?;
    let target = Target {
        address: studio.address,
        path: "/api/v1/events",
        token: studio.token().await?,
        run: run.to_owned(),
    };
    Ok(Loaded { studio, target, next: 0, rates: Vec::new(), cpu: 0.0 })
}

impl Loaded {
    async fn publish(
        &mut self,
        receiver: &Receiver,
        connections: usize,
        count: u64,
    ) -> anyhow::Result<(Duration, Duration)> {
        let numbers = self.next..self.next + count;
        self.next = numbers.end;
        let (accepted_in, delivered_in, _) =
            publish_and_wait(&self.target, receiver, connections, numbers).await?;
        Ok((accepted_in, delivered_in))
    }
}

/// In place of the one rule: one for each event's subject, as one set. Gives the time of that, and of the same once more.
async fn apply(studio: &mut Studio, rules: u64) -> anyhow::Result<(Duration, Duration)> {
    let bearer = format!("Bearer {}", studio.token().await?);
    let headers = [("authorization", bearer.as_str()), ("if-match", "*")];
    let gone =
        Connection::new(studio.address).send("DELETE", "/api/v1/notify/rules/load", &headers, b"").await?;
    if gone.status != 204 {
        bail!("the first rule could not be deleted: {}", gone.status);
    }
    let rule = |number: u64| {
        serde_json::json!({
            "schema": "notify-rule@1", "id": format!("item-{number}"), "name": format!("Item {number}"),
            "match": { "type": ["load.tick"], "subject": [format!("item-{number}")], "severity": ["high"] },
            "storm": "off",
            "actions": [{ "id": "hook", "channel": "load", "dedupe": "off", "throttle": "off" }],
        })
    };
    let request = serde_json::json!({ "set": "bench", "rules": (0..rules).map(rule).collect::<Vec<_>>() });
    let body = serde_json::to_vec(&request)?;
    let mut times = Vec::new();
    for created in [rules, 0] {
        let started = clock::instant();
        let answer = studio.call("POST", "/api/v1/notify/rules:apply", "application/json", &body).await?;
        times.push(started.elapsed());
        let answer = answer.json()?;
        if answer["created"] != created || answer["unchanged"] != rules - created {
            bail!("applying {rules} rules created {} of {created}", answer["created"]);
        }
    }
    match times.as_slice() {
        [first, second] => Ok((*first, *second)),
        _ => bail!("applied {} times", times.len()),
    }
}

/// A new rule, and an event that only it matches right after the answer: from the sending of the rule to its answer, and
/// to the delivery.
async fn change(many: &mut Loaded, receiver: &Receiver, number: u64) -> anyhow::Result<(Duration, Duration)> {
    // Beyond every rule that there is.
    let subject = 10_000_000 + number;
    let rule = serde_json::json!({
        "schema": "notify-rule@1", "id": format!("change-{number}"), "name": "A change",
        "match": { "type": ["load.tick"], "subject": [format!("item-{subject}")] },
        "storm": "off",
        "actions": [{ "id": "hook", "channel": "load", "dedupe": "off", "throttle": "off" }],
    });
    let body = serde_json::to_vec(&rule)?;
    let before = receiver.count();
    let started = clock::instant();
    many.studio.call("POST", "/api/v1/notify/rules", "application/json", &body).await?;
    let answered = started.elapsed();
    let sent = publisher::as_fast_as_possible(&many.target, 1, subject..subject + 1).await;
    if sent.first().and_then(|sent| sent.status) != Some(202) {
        bail!("the event after change {number} was not accepted");
    }
    wait_for_count(receiver, before + 1, 1).await?;
    Ok((answered, started.elapsed()))
}
