//! What noise control costs end to end: two studios in one run, one with every control on its way that seldom says
//! anything, one with all of them off, loaded in turn.

use crate::bench::{Arguments, publish_and_wait, round, round3};
use crate::clock;
use crate::kill::free_port;
use crate::publisher::Target;
use crate::receiver::Receiver;
use crate::seed;
use crate::studio::Studio;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;

/// Each studio is loaded this often, in turn, so that a machine that gets slower meanwhile slows both.
const ROUNDS: u64 = 2;
const WARM_UP: u64 = 2_000;
/// Silences and inhibitions that look at each event and mute none.
const SILENCES: usize = 100;
const INHIBITIONS: usize = 10;

struct Loaded {
    studio: Studio,
    target: Target,
    next: u64,
    rates: Vec<f64>,
    cpu: f64,
}

pub async fn run(stage: &Path, home: &Path, arguments: &Arguments) -> anyhow::Result<Value> {
    let receiver = Receiver::start(None, HashMap::new(), true).await?;
    let mut off = loaded(stage, &home.join("off/home"), &receiver, "off").await?;
    let mut on = loaded(stage, &home.join("on/home"), &receiver, "on").await?;
    let left_out = controls(&mut on.studio, &receiver).await?;
    for studio in [&mut off, &mut on] {
        studio.publish(&receiver, arguments.connections, WARM_UP).await?;
    }
    for _ in 0..ROUNDS {
        for studio in [&mut off, &mut on] {
            let cpu = studio.studio.cpu_seconds()?;
            let rate = studio.publish(&receiver, arguments.connections, arguments.events).await?;
            studio.cpu += studio.studio.cpu_seconds()? - cpu;
            studio.rates.push(rate);
        }
    }
    let words = on.studio.export_and_verify(&home.join("export.tar")).await?;
    off.studio.terminate().await?;
    on.studio.terminate().await?;
    receiver.stop();
    let mean = |rates: &[f64]| rates.iter().sum::<f64>() / rates.len().max(1) as f64;
    let ratios: Vec<f64> = on.rates.iter().zip(&off.rates).map(|(on, off)| round3(on / off)).collect();
    let events = (arguments.events * ROUNDS) as f64;
    Ok(json!({
        "scenario": "noise",
        "connections": arguments.connections,
        "events": arguments.events,
        "controls": format!(
            "dedupe and throttle by subject, quiet hours, {SILENCES} silences, {INHIBITIONS} inhibitions; storm off"
        ),
        "left_out": left_out,
        "delivered_per_s_off": off.rates.iter().copied().map(round).collect::<Vec<_>>(),
        "delivered_per_s": on.rates.iter().copied().map(round).collect::<Vec<_>>(),
        "ratios": ratios,
        "ratio_to_off": round3(mean(&on.rates) / mean(&off.rates)),
        "wanted_ratio": 0.85,
        "cpu_s_per_1000_off": round3(off.cpu / events * 1000.0),
        "cpu_s_per_1000": round3(on.cpu / events * 1000.0),
        "ledger": words.lines().next().unwrap_or_default(),
    }))
}

/// With the rule and channel of all benchmarks: controls off.
async fn loaded(stage: &Path, home: &Path, receiver: &Receiver, run: &str) -> anyhow::Result<Loaded> {
    let mut studio = Studio::create(stage, home, free_port().await?).await?;
    studio.start().await?;
    seed::one_rule(&mut studio, receiver.address, &seed::new_secret()?, &[1, 2, 4]).await?;
    let token = studio.token().await?;
    let target = Target { address: studio.address, path: "/api/v1/events", token, run: run.to_owned() };
    Ok(Loaded { studio, target, next: 0, rates: Vec::new(), cpu: 0.0 })
}

impl Loaded {
    /// Delivered per second.
    async fn publish(&mut self, receiver: &Receiver, connections: usize, count: u64) -> anyhow::Result<f64> {
        let numbers = self.next..self.next + count;
        self.next = numbers.end;
        let (_, delivered_in, _) = publish_and_wait(&self.target, receiver, connections, numbers).await?;
        Ok(count as f64 / delivered_in.as_secs_f64())
    }
}

/// Every control, none of which stops an event of the benchmark. Gives the kinds of documents that this product does
/// not take.
async fn controls(studio: &mut Studio, receiver: &Receiver) -> anyhow::Result<Vec<&'static str>> {
    // Half a day from now.
    let hour = (clock::timestamp().as_second() / 3_600 + 12).rem_euclid(24);
    let later = jiff::Timestamp::from_second(clock::timestamp().as_second() + 86_400)?.to_string();
    let mut documents = vec![(
        "calendars",
        json!({
            "schema": "notify-calendar@1", "id": "nights", "name": "Nights", "timeZone": "UTC",
            "windows": [{ "times": [format!("{hour:02}:00-{hour:02}:30")] }],
        }),
    )];
    documents.extend((0..SILENCES).map(|n| {
        let silence = json!({
            "schema": "notify-silence@1", "id": format!("s{n}"), "reason": "another item is repaired",
            "match": { "type": ["load.tick"], "subject": [format!("no-such-item-{n}")] }, "until": later,
        });
        ("silences", silence)
    }));
    documents.extend((0..INHIBITIONS).map(|n| {
        let inhibition = json!({
            "schema": "notify-inhibition@1", "id": format!("i{n}"), "name": "A host is down",
            "source": { "match": { "type": [format!("load.down-{n}")] } },
            "target": { "match": { "type": ["load.tick"] } }, "equal": ["/subject"],
        });
        ("inhibitions", inhibition)
    }));
    let mut left_out = Vec::new();
    for (path, document) in documents {
        if left_out.contains(&path) {
            continue;
        }
        let body = serde_json::to_vec(&document)?;
        let answer = studio.call("POST", &format!("/api/v1/notify/{path}"), "application/json", &body).await;
        match answer {
            Ok(_) => {}
            Err(error) if error.to_string().contains(": 404 ") => left_out.push(path),
            Err(error) => return Err(error),
        }
    }
    let mut channel = seed::channel(receiver.address, &[1, 2, 4]);
    if !left_out.contains(&"calendars") {
        channel["quietHours"] = json!([{ "calendar": "nights", "mode": "hold" }]);
    }
    let mut rule = seed::rule();
    let action = &mut rule["actions"][0];
    action["dedupe"] = json!({ "key": ["/subject"], "window": "10m" });
    action["throttle"] = json!({ "key": ["/subject"], "limit": 30, "per": "10m" });
    for (path, document) in [("channels/load", channel), ("rules/load", rule)] {
        studio.replace(&format!("/api/v1/notify/{path}"), &serde_json::to_vec(&document)?).await?;
    }
    Ok(left_out)
}
