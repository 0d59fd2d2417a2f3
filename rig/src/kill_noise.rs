//! Kills the studio while digests are open, alerts are held and repeats are counted, and accounts for every alert.
//!
//! Promise under test: each alert of each accepted event was sent (the receiver saw it), was suppressed with a reason, or
//! is part of a digest that the receiver saw and whose ledger entry lists it. When the windows and hours are over nothing
//! is left, and the receiver saw nothing that the ledger does not announce.

use crate::clock;
use crate::kill::free_port;
use crate::publisher::{self, Target};
use crate::receiver::Receiver;
use crate::seed;
use crate::studio::Studio;
use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Quiet hours end this long after the start: a kill falls before, into or after it.
const QUIET_SECONDS: i64 = 4;
/// Everything is over within this time after the restart.
const PATIENCE: Duration = Duration::from_secs(60);
/// Rules that match each event, so alerts of each.
const RULES: usize = 4;

/// One kill at this time; the words of the outcome.
pub async fn round(stage: &Path, home: &Path, rate: u32, after: Duration) -> anyhow::Result<String> {
    let secret = seed::new_secret()?;
    let secrets = ["/load", "/quiet"].map(|path| (path.to_owned(), secret.clone()));
    let receiver = Receiver::start(None, HashMap::from(secrets), false).await?;
    let mut studio = Studio::create(stage, home, free_port().await?).await?;
    studio.start().await?;
    seed_rules(&mut studio, receiver.address, &secret).await?;
    let target = Target {
        address: studio.address,
        path: "/api/v1/events",
        token: studio.token().await?,
        run: "noise".to_owned(),
    };
    let stop = Arc::new(AtomicBool::new(false));
    let publishing = {
        let (target, stop) = (target.clone(), Arc::clone(&stop));
        tokio::spawn(
            async move { publisher::on_schedule(&target, rate, 0..u64::from(rate) * 30, stop).await },
        )
    };
    clock::wait(after).await;
    studio.kill().await?;
    stop.store(true, Ordering::Relaxed);
    let sent = publishing.await?;
    let accepted = sent.iter().filter(|sent| sent.status.is_some_and(|s| (200..300).contains(&s))).count();
    ensure!(accepted > 0, "nothing was accepted before the stop");
    studio.start().await.context("restart")?;
    // A publisher that saw the connection break sends everything again: then the number of events is known.
    let again = publisher::as_fast_as_possible(&target, 8, 0..sent.len() as u64).await;
    if let Some(bad) = again.iter().find(|answer| !matches!(answer.status, Some(200 | 202))) {
        bail!("event {} sent again: {:?}", bad.number, bad.status);
    }

    let mut account = Account::default();
    let deadline = clock::instant() + PATIENCE;
    loop {
        account.read(&mut studio).await?;
        let seen: HashSet<String> =
            receiver.arrivals().into_iter().map(|arrival| arrival.webhook_id).collect();
        match account.unfinished(sent.len(), &seen) {
            None => break,
            Some(what) if clock::instant() > deadline => bail!("after {} s: {what}", PATIENCE.as_secs()),
            Some(_) => clock::wait(Duration::from_millis(200)).await,
        }
    }
    account.check(sent.len())?;
    let arrivals = receiver.arrivals();
    for arrival in &arrivals {
        if let Err(error) = &arrival.signature {
            bail!("{} arrived with a bad signature: {error}", arrival.webhook_id);
        }
        ensure!(account.intents.contains(&arrival.webhook_id), "{} was never announced", arrival.webhook_id);
    }
    let words = studio.export_and_verify(&home.with_file_name("export.tar")).await?;
    studio.terminate().await?;
    receiver.stop();
    Ok(format!(
        "{accepted} accepted before it, {} in all: {}, {} arrivals, nothing left; {}",
        sent.len(),
        account.words(),
        arrivals.len(),
        words.lines().next().unwrap_or_default()
    ))
}

/// Four rules that match every event: repeats, a throttle whose overflow is collected, a digest, and quiet hours.
async fn seed_rules(studio: &mut Studio, receiver: SocketAddr, secret: &str) -> anyhow::Result<()> {
    studio.write_secret("load", secret)?;
    let time = |seconds: i64| -> anyhow::Result<String> {
        Ok(jiff::Timestamp::from_second(clock::timestamp().as_second() + seconds)?.to_string())
    };
    let calendar = json!({
        "schema": "notify-calendar@1", "id": "nights", "name": "A short night", "timeZone": "UTC",
        "windows": [{ "from": time(-60)?, "to": time(QUIET_SECONDS)? }],
    });
    let channel = |id: &str, hours: Value| {
        json!({
            "schema": "notify-channel@1", "id": id, "name": id, "type": "webhook",
            "config": { "url": format!("http://{receiver}/{id}") },
            "secrets": { "signing": ["secret://file/load"] },
            "retry": { "scheduleSeconds": [1, 1, 1, 1, 2, 2, 4, 4] },
            "timeoutSeconds": 10, "quietHours": hours,
        })
    };
    let rule = |id: &str, channel: &str, controls: Value| {
        let mut action = json!({ "id": "hook", "channel": channel, "dedupe": "off", "throttle": "off" });
        if let (Some(action), Value::Object(controls)) = (action.as_object_mut(), controls) {
            action.extend(controls);
        }
        json!({
            "schema": "notify-rule@1", "id": id, "name": id, "match": { "type": [{ "prefix": "load." }] },
            "storm": "off", "actions": [action],
        })
    };
    let quiet = json!([{ "calendar": "nights", "mode": "hold", "holdUpTo": 40 }]);
    for (path, document) in [
        ("calendars", calendar),
        ("channels", channel("load", json!([]))),
        ("channels", channel("quiet", quiet)),
        ("rules", rule("repeats", "load", json!({ "dedupe": { "key": ["/data/note"], "window": "1s" } }))),
        ("rules", rule("throttled", "load", json!({ "throttle": { "limit": 20, "per": "1s" } }))),
        ("rules", rule("collected", "load", json!({ "digest": { "window": "1s" } }))),
        ("rules", rule("held", "quiet", json!({}))),
    ] {
        let body = serde_json::to_vec(&document)?;
        studio.call("POST", &format!("/api/v1/notify/{path}"), "application/json", &body).await?;
    }
    Ok(())
}

/// What the ledger says of every alert.
#[derive(Default)]
struct Account {
    next: u64,
    events: BTreeSet<String>,
    alerts: usize,
    suppressed: BTreeMap<String, usize>,
    intents: HashSet<String>,
    /// Held alerts and whether they are over.
    held: BTreeMap<String, bool>,
    /// Entries whose alerts went into a digest, and those that it lists.
    collected: BTreeMap<String, Vec<u64>>,
    digests: BTreeMap<String, (Vec<u64>, u64)>,
    faults: Vec<String>,
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

impl Account {
    /// Reads what the ledger has got since the last look.
    async fn read(&mut self, studio: &mut Studio) -> anyhow::Result<()> {
        loop {
            let path = format!("/api/v1/notify/ledger/entries?limit=500&from={}", self.next);
            let page = studio.call("GET", &path, "", b"").await?.json()?;
            let items = page["items"].as_array().context("a page without items")?;
            for item in items {
                let seq = item["seq"].as_u64().context("an entry without its number")?;
                self.entry(seq, &text(item, "/kind"), &text(item, "/about"), &item["statement"]["predicate"]);
                self.next = seq + 1;
            }
            if items.is_empty() {
                return Ok(());
            }
        }
    }

    fn announce(&mut self, said: &Value) {
        let id = text(said, "/intent/delivery");
        if id.is_empty() || !self.intents.insert(id.clone()) {
            self.faults.push(format!("an intent without an id, or twice: {id}"));
        }
    }

    fn entry(&mut self, seq: u64, kind: &str, about: &str, said: &Value) {
        match kind {
            "event" => {
                if !self.events.insert(about.to_owned()) {
                    self.faults.push(format!("two entries of event {about}"));
                }
                for decision in said["decisions"].as_array().into_iter().flatten() {
                    self.alerts += 1;
                    self.decision(seq, decision);
                }
            }
            "release" if text(said, "/release") == "held" => {
                let outcome = text(said, "/outcome");
                if self.held.insert(text(said, "/held"), outcome != "hold") != Some(false) {
                    self.faults.push(format!("released and not held: {said}"));
                }
                if outcome == "send" {
                    self.announce(said);
                }
            }
            "digest" => {
                let id = text(said, "/digest");
                if !self.digests.contains_key(&id) {
                    self.announce(said);
                }
                let listed = &mut self.digests.entry(id).or_default();
                listed.0.extend(said["entries"].as_array().into_iter().flatten().filter_map(Value::as_u64));
                listed.1 = said["trueCount"].as_u64().unwrap_or_default();
            }
            _ => {}
        }
    }

    fn decision(&mut self, seq: u64, decision: &Value) {
        match text(decision, "/outcome").as_str() {
            "send" => self.announce(decision),
            "suppressed" => *self.suppressed.entry(text(decision, "/control")).or_default() += 1,
            "held" => drop(self.held.insert(text(decision, "/parameters/held"), false)),
            "digested" => {
                self.collected.entry(text(decision, "/parameters/digest")).or_default().push(seq);
            }
            _ => self.faults.push(format!("no fate: {decision}")),
        }
    }

    /// What is still to come.
    fn unfinished(&self, events: usize, seen: &HashSet<String>) -> Option<String> {
        let missing = events.saturating_sub(self.events.len());
        let held = self.held.values().filter(|over| !**over).count();
        let open = self.collected.keys().filter(|id| !self.digests.contains_key(*id)).count();
        let unsent = self.intents.iter().filter(|id| !seen.contains(*id)).count();
        ((missing, held, open, unsent) != (0, 0, 0, 0)).then(|| {
            format!(
                "{missing} of {events} events are not decided, {held} alerts are held, {open} digests are open, \
                 {unsent} of {} announced deliveries did not arrive",
                self.intents.len()
            )
        })
    }

    fn check(&self, events: usize) -> anyhow::Result<()> {
        if let Some(fault) = self.faults.first() {
            bail!("{} faults in the ledger, e.g. {fault}", self.faults.len());
        }
        ensure!(self.events.len() == events, "{} events are decided, not {events}", self.events.len());
        ensure!(self.alerts == events * RULES, "{} alerts of {events} events", self.alerts);
        for (id, entries) in &self.collected {
            let (listed, count) = self.digests.get(id).context("a digest that is not there")?;
            ensure!(listed == entries, "{id} does not list what went into it");
            ensure!(*count == entries.len() as u64, "{id} counts {count} of {} alerts", entries.len());
        }
        ensure!(!self.digests.is_empty() && !self.held.is_empty(), "nothing was collected or held");
        ensure!(self.suppressed.keys().eq(["dedupe"]), "suppressed: {:?}", self.suppressed);
        Ok(())
    }

    fn words(&self) -> String {
        let suppressed: usize = self.suppressed.values().sum();
        let collected: usize = self.collected.values().map(Vec::len).sum();
        let sent = self.alerts - suppressed - collected - self.held.len();
        format!(
            "{sent} alerts sent, {suppressed} suppressed, {collected} in {} digests, {} held and released",
            self.digests.len(),
            self.held.len()
        )
    }
}
