//! Plug-ins that crash, hang, babble or were tampered with, installed in a whole studio.
//!
//! Promise under test: the studio stays up and serves its other channels; each delivery to a bad plug-in is retried and
//! then dead, with a reason that names the plug-in; `plugin list` and the ledger show it; code of a plug-in that does
//! not verify never runs.

use crate::clock;
use crate::kill::free_port;
use crate::receiver::Receiver;
use crate::seed;
use crate::studio::{Studio, TENANT};
use anyhow::{Context, bail, ensure};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePublicKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use notify_connector_host::stage::stage_plugin;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(clap::Args)]
pub struct Arguments {
    /// C source of the plug-in that misbehaves on request.
    #[arg(long)]
    source: PathBuf,
    /// Folder of `notify_connector.h`.
    #[arg(long)]
    include: PathBuf,
}

/// What a mode does to one delivery: the plug-in (one per kind, so that no breaker hides another), the word in the
/// channel's config, and the results of its attempts, of which the last is followed by the end.
const MODES: &[(&str, &str, &[&str], &str)] = &[
    ("crashing", "segv", &["crashed", "crashed"], "dead"),
    ("aborting", "abort", &["crashed", "crashed"], "dead"),
    ("hanging", "hang", &["timeout", "timeout"], "dead"),
    ("babbling", "not-json", &["retry", "retry"], "dead"),
    ("babbling", "other-shape", &["retry", "retry"], "dead"),
    ("babbling", "huge", &["retry", "retry"], "dead"),
    ("babbling", "null-array", &["retry", "retry"], "dead"),
    ("babbling", "left-out", &["retry", "retry"], "dead"),
    ("declining", "decline", &["bad-config"], "dead"),
    ("repeating", "twice", &["delivered"], "delivered"),
    ("repeating", "stale", &["delivered"], "delivered"),
    ("repeating", "flood", &["delivered"], "delivered"),
    ("writing", "write-socket", &["crashed", "crashed"], "dead"),
];

pub async fn run(stage: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("notify-misbehave-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    let result = in_folder(stage, &folder, arguments).await;
    if result.is_ok() {
        std::fs::remove_dir_all(&folder)?;
    }
    result.with_context(|| format!("folder kept: {}", folder.display()))
}

async fn in_folder(stage: &Path, folder: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    let secret = seed::new_secret()?;
    let receiver =
        Receiver::start(None, HashMap::from([("/healthy".to_owned(), secret.clone())]), false).await?;
    let bench = Workbench { folder, arguments, receiver: receiver.address, key: new_key()? };
    let plugins: HashSet<&str> = MODES.iter().map(|(plugin, ..)| *plugin).collect();
    for plugin in &plugins {
        bench.install(plugin)?;
    }
    let tampered = bench.install_tampered()?;
    copy_plugin(stage, &bench.installed())?;

    let home = folder.join("studio");
    let address = free_port().await?;
    let mut studio =
        Studio::with_plugins(stage, &home, address, &bench.installed(), "hang_seconds = 1\n").await?;
    studio.start().await?;
    seed_channels(&mut studio, &receiver, &secret).await?;

    let started = clock::instant();
    for (number, (plugin, word, ..)) in MODES.iter().enumerate() {
        publish(&mut studio, &format!("bad.{plugin}.{word}"), number).await?;
    }
    // The connector host of the healthy channel dies in the middle of its work, too.
    let mut extra = MODES.len();
    for round in 0..3 {
        for _ in 0..20 {
            publish(&mut studio, "bad.none", extra).await?;
            extra += 1;
        }
        let pid = process_of(&mut studio, "webhook").await?;
        rustix::process::kill_process(pid, rustix::process::Signal::KILL)
            .with_context(|| format!("round {round}"))?;
    }
    let deliveries = wait_until_over(&mut studio, extra + MODES.len()).await?;
    let took = started.elapsed();

    check_modes(&mut studio, &deliveries).await?;
    check_healthy(&receiver, extra)?;
    check_plugins(&mut studio, &tampered).await?;
    let log = std::fs::read_to_string(home.join("serve.log"))?;
    // Their sandbox keeps constructors from leaving files; what they say is in the studio's log.
    let has_run =
        |marker: &Path| marker.exists() || log.contains(&format!("constructor ran: {}", marker.display()));
    for plugin in &plugins {
        ensure!(has_run(&bench.proof(plugin)), "the marker does not work: `{plugin}` ran and left none");
    }
    ensure!(!has_run(&bench.marker()), "code of a plug-in that does not verify has run");
    let words = studio.export_and_verify(&folder.join("export.tar")).await?;
    studio.terminate().await?;
    receiver.stop();
    println!(
        "misbehave: {} bad deliveries ended as they must, {extra} of {extra} healthy ones arrived although their \
         host was killed 3 times, {} tampered plug-ins never ran, in {:.1} s; {}",
        MODES.len(),
        tampered.len(),
        took.as_secs_f64(),
        words.lines().next().unwrap_or_default()
    );
    Ok(())
}

/// Builds, signs and spoils plug-ins.
struct Workbench<'a> {
    folder: &'a Path,
    arguments: &'a Arguments,
    receiver: SocketAddr,
    key: SigningKey,
}

fn new_key() -> anyhow::Result<SigningKey> {
    let mut seed = [0_u8; 32];
    getrandom::fill(&mut seed)?;
    Ok(SigningKey::from_bytes(&seed))
}

impl Workbench<'_> {
    fn installed(&self) -> PathBuf {
        self.folder.join("installed")
    }

    /// A constructor of the tampered plug-ins would leave this file, or say so where its sandbox does not let it.
    fn marker(&self) -> PathBuf {
        self.folder.join("code-has-run")
    }

    /// The same of a plug-in that may run: it shows that the marker works.
    fn proof(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}-has-run"))
    }

    fn compile(&self, name: &str, marker: Option<&Path>) -> anyhow::Result<PathBuf> {
        let library = self.folder.join(format!("lib{name}.so"));
        let description = json!({
            "name": name, "version": "1.0.0", "kind": "codec", "channelTypes": [name],
        });
        // The JSON text as a C string literal.
        let describe = format!("-DDESCRIBE={}", serde_json::to_string(&description.to_string())?);
        let mut compiler = std::process::Command::new("cc");
        compiler.args(["-std=gnu11", "-O0", "-w", "-shared", "-fPIC", "-pthread"]).arg(describe);
        compiler.arg(format!(r#"-DURL="http://{}/{name}""#, self.receiver));
        if let Some(marker) = marker {
            compiler.arg(format!(r#"-DMARKER="{}""#, marker.display()));
        }
        compiler.arg("-I").arg(&self.arguments.include).arg(&self.arguments.source).arg("-o").arg(&library);
        let output = compiler.output().context("a C compiler is needed")?;
        ensure!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
        Ok(library)
    }

    fn install_library(&self, name: &str, library: &Path, key: &SigningKey) -> anyhow::Result<PathBuf> {
        let manifest = json!({
            "name": name, "version": "1.0.0", "abi": { "major": 1, "minor": 0 }, "kind": "codec",
            "channelTypes": [name], "files": {}, "configSchema": {},
        });
        let manifest = serde_json::to_vec(&manifest)?;
        let plugins = self.installed().join("plugins");
        std::fs::create_dir_all(&plugins)?;
        Ok(stage_plugin(library, &manifest, key, &plugins)?)
    }

    fn install(&self, name: &str) -> anyhow::Result<()> {
        self.install_library(name, &self.compile(name, Some(&self.proof(name)))?, &self.key)?;
        let trust = self.installed().join("trust");
        std::fs::create_dir_all(&trust)?;
        let pem = self.key.verifying_key().to_public_key_pem(LineEnding::LF);
        std::fs::write(trust.join("bench.pem"), pem.map_err(|error| anyhow::anyhow!("{error}"))?)?;
        Ok(())
    }

    /// Plug-ins that must be refused, with a word of the reason that an operator must read.
    fn install_tampered(&self) -> anyhow::Result<BTreeMap<&'static str, &'static str>> {
        let stranger = new_key()?;
        let marked = |name: &str, key: &SigningKey| -> anyhow::Result<(PathBuf, PathBuf)> {
            let library = self.compile(name, Some(&self.marker()))?;
            let folder = self.install_library(name, &library, key)?;
            let file = folder.join(library.file_name().context("no name")?);
            Ok((folder, file))
        };
        marked("stranger", &stranger)?;
        let (folder, _) = marked("unsigned", &self.key)?;
        std::fs::remove_file(folder.join("notify-plugin.json.sig"))?;
        let (_, file) = marked("changed", &self.key)?;
        let mut bytes = std::fs::read(&file)?;
        let last = bytes.last_mut().context("an empty library")?;
        *last ^= 1;
        std::fs::write(&file, bytes)?;
        let (folder, file) = marked("linked", &self.key)?;
        let elsewhere = self.folder.join("elsewhere.so");
        std::fs::rename(&file, &elsewhere)?;
        std::os::unix::fs::symlink(&elsewhere, &file)?;
        drop(folder);
        let (folder, _) = marked("renamed", &self.key)?;
        std::fs::rename(&folder, folder.with_file_name("other-name"))?;
        Ok(BTreeMap::from([
            ("stranger", "key"),
            ("unsigned", "notify-plugin.json.sig"),
            ("changed", "SHA-256"),
            ("linked", "link"),
            ("other-name", "renamed"),
        ]))
    }
}

/// The staged webhook plug-in beside the bad ones.
fn copy_plugin(stage: &Path, installed: &Path) -> anyhow::Result<()> {
    let to = installed.join("plugins/webhook");
    std::fs::create_dir_all(&to)?;
    for entry in std::fs::read_dir(stage.join("plugins/webhook"))? {
        let entry = entry?;
        std::fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    std::fs::copy(stage.join("trust/webhook.pem"), installed.join("trust/webhook.pem"))?;
    Ok(())
}

/// One channel and rule per mode, and a healthy one that gets every event.
async fn seed_channels(studio: &mut Studio, receiver: &Receiver, secret: &str) -> anyhow::Result<()> {
    studio.write_secret("healthy", secret)?;
    let mut documents = vec![
        (
            "channels",
            json!({
                "schema": "notify-channel@1", "id": "healthy", "name": "Healthy", "type": "webhook",
                "config": { "url": format!("http://{}/healthy", receiver.address) },
                "secrets": { "signing": ["secret://file/healthy"] },
                "retry": { "scheduleSeconds": [1, 1, 1, 1, 1, 1] },
            }),
        ),
        ("rules", rule("healthy", json!({ "prefix": "bad." }))),
    ];
    for (plugin, word, ..) in MODES {
        let id = format!("{plugin}-{word}");
        let channel = json!({
            "schema": "notify-channel@1", "id": id, "name": id, "type": plugin, "config": { "do": word },
            "retry": { "scheduleSeconds": [1] },
        });
        documents.push(("channels", channel));
        documents.push(("rules", rule(&id, json!(format!("bad.{plugin}.{word}")))));
    }
    for (path, document) in documents {
        let body = serde_json::to_vec(&document)?;
        studio.call("POST", &format!("/api/v1/notify/{path}"), "application/json", &body).await?;
    }
    Ok(())
}

fn rule(channel: &str, event_type: Value) -> Value {
    json!({
        "schema": "notify-rule@1", "id": channel, "name": channel, "match": { "type": [event_type] },
        "storm": "off",
        "actions": [{ "id": "send", "channel": channel, "dedupe": "off", "throttle": "off" }],
    })
}

async fn publish(studio: &mut Studio, event_type: &str, number: usize) -> anyhow::Result<()> {
    let event = json!({
        "specversion": "1.0", "id": number.to_string(), "source": "urn:rig:misbehave", "type": event_type,
        "tenant": TENANT, "data": {},
    });
    let body = serde_json::to_vec(&event)?;
    studio.call("POST", "/api/v1/events", "application/cloudevents+json", &body).await?;
    Ok(())
}

async fn get(studio: &mut Studio, path: &str) -> anyhow::Result<Value> {
    Ok(serde_json::from_slice(&studio.call("GET", path, "application/json", b"").await?.body)?)
}

fn items(answer: &Value) -> Vec<Value> {
    answer.get("items").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// All deliveries by channel, once none waits any longer.
async fn wait_until_over(studio: &mut Studio, expected: usize) -> anyhow::Result<Vec<Value>> {
    for _ in 0..600 {
        let all = items(&get(studio, "/api/v1/notify/deliveries?limit=200").await?);
        let waiting: Vec<&Value> = all.iter().filter(|one| text(one, "state") == "scheduled").collect();
        if all.len() == expected && waiting.is_empty() {
            return Ok(all);
        }
        clock::wait(Duration::from_millis(100)).await;
    }
    bail!("not all of {expected} deliveries ended within a minute")
}

async fn check_modes(studio: &mut Studio, deliveries: &[Value]) -> anyhow::Result<()> {
    for (plugin, word, results, end) in MODES {
        let channel = format!("{plugin}-{word}");
        let delivery = deliveries.iter().find(|one| text(one, "channel") == channel);
        let delivery = delivery.with_context(|| format!("no delivery to {channel}"))?;
        ensure!(text(delivery, "state") == *end, "{channel}: {delivery}");
        let full = get(studio, &format!("/api/v1/notify/deliveries/{}", text(delivery, "id"))).await?;
        let attempts = full.get("attempts").and_then(Value::as_array).cloned().unwrap_or_default();
        let seen: Vec<&str> = attempts.iter().map(|attempt| text(attempt, "result")).collect();
        ensure!(seen == *results, "{channel}: {seen:?}, not {results:?}: {full}");
        if *end == "dead" {
            let said = text(delivery, "lastError");
            ensure!(!said.is_empty(), "{channel}: no reason: {delivery}");
            println!("  {channel}: {} after {}: {said}", end, seen.join(", "));
        }
    }
    Ok(())
}

fn check_healthy(receiver: &Receiver, expected: usize) -> anyhow::Result<()> {
    let mut ids: HashMap<String, HashSet<String>> = HashMap::new();
    for arrival in receiver.arrivals().into_iter().filter(|arrival| arrival.path == "/healthy") {
        arrival.signature.as_ref().map_err(|error| anyhow::anyhow!("a signature: {error}"))?;
        ids.entry(arrival.event).or_default().insert(arrival.webhook_id);
    }
    ensure!(ids.len() == expected, "{} of {expected} events reached the healthy channel", ids.len());
    ensure!(ids.values().all(|ids| ids.len() == 1), "an event came under two delivery ids");
    Ok(())
}

async fn plugin(studio: &mut Studio, name: &str) -> anyhow::Result<Value> {
    let all = items(&get(studio, "/api/v1/notify/plugins").await?);
    all.into_iter().find(|one| text(one, "name") == name).with_context(|| format!("`{name}` is not listed"))
}

/// The plug-in's process, once it has one: it is started when it is first needed.
async fn process_of(studio: &mut Studio, name: &str) -> anyhow::Result<rustix::process::Pid> {
    for _ in 0..100 {
        let status = plugin(studio, name).await?;
        let pid = status.get("pid").and_then(Value::as_i64).and_then(|pid| i32::try_from(pid).ok());
        if let Some(pid) = pid.and_then(rustix::process::Pid::from_raw) {
            return Ok(pid);
        }
        clock::wait(Duration::from_millis(50)).await;
    }
    bail!("`{name}` has no process after 5 s")
}

async fn check_plugins(studio: &mut Studio, tampered: &BTreeMap<&str, &str>) -> anyhow::Result<()> {
    for (name, counter) in [
        ("crashing", "crashes"),
        ("aborting", "crashes"),
        ("writing", "crashes"),
        ("webhook", "crashes"),
        ("hanging", "timeouts"),
        ("babbling", "garbage"),
        ("repeating", "late"),
    ] {
        let status = plugin(studio, name).await?;
        let count = status.get(counter).and_then(Value::as_u64).unwrap_or(0);
        ensure!(count > 0, "`plugin list` shows no {counter} of `{name}`: {status}");
    }
    for (name, word) in tampered {
        let status = plugin(studio, name).await?;
        let said = text(&status, "detail");
        ensure!(text(&status, "state") == "refused", "{name}: {status}");
        ensure!(said.contains(word), "{name}: `{said}` does not say `{word}`");
        println!("  {name}: refused: {said}");
    }
    Ok(())
}
