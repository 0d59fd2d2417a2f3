//! The demo: a fresh studio, a tenant with channels, rules and templates, the sample events, and a table of what was
//! sent, what was not and why. Then the ledger is exported and verified.

use crate::clock;
use crate::kill::free_port;
use crate::receiver::{Arrival, Receiver};
use crate::seed;
use crate::studio::{self, Studio, TENANT};
use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[derive(clap::Args)]
pub struct Arguments {
    /// Stop after the demo; exit status 0 only if all held.
    #[arg(long)]
    exit: bool,
    /// Address of the API; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8650")]
    listen: SocketAddr,
}

/// What `resources/samples/expected.json` says: which deliveries each sample must lead to, and nothing else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    samples: Vec<ExpectedSample>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedSample {
    /// File below `resources/samples/`.
    file: String,
    /// Channel ids, one per delivery, sorted.
    delivered: Vec<String>,
}

pub async fn run(stage: &Path, arguments: Arguments) -> anyhow::Result<()> {
    let demo = stage.join("demo");
    if demo.exists() {
        std::fs::remove_dir_all(&demo)?;
    }
    let samples = stage.join("resources/samples");
    let expected: Expected = serde_json::from_slice(&std::fs::read(samples.join("expected.json"))?)?;

    let address = if arguments.listen.port() == 0 { free_port().await? } else { arguments.listen };
    let mut studio = Studio::create(stage, &demo.join("home"), address).await?;
    studio.start().await?;
    let (receiver, channels) = seed_tenant(stage, &mut studio).await?;
    let wanted: usize = expected.samples.iter().map(|sample| sample.delivered.len()).sum();
    println!("Publishing {} sample files to tenant `{TENANT}` …\n", expected.samples.len());
    let mut rows = Vec::new();
    for sample in &expected.samples {
        rows.extend(publish(&mut studio, &samples, sample).await?);
    }
    wait_for(&receiver, wanted).await;
    let arrivals = receiver.arrivals();
    let failures = account(&mut studio, &rows, &expected, &arrivals, &channels).await?;

    let export = demo.join("export");
    let words = export_folder(&mut studio, stage, &export).await?;
    println!("\n{words}");
    for failure in &failures {
        println!("NOT AS EXPECTED: {failure}");
    }
    ensure!(failures.is_empty(), "{} of the demo's expectations do not hold", failures.len());
    println!("All {wanted} expected deliveries arrived with a valid signature, and nothing else did.");
    if arguments.exit {
        return studio.terminate().await;
    }
    println!("\nAPI      http://{}/api/v1/notify/rules", studio.address);
    println!("OpenAPI  http://{}/openapi.json", studio.address);
    println!("Ledger   {}", export.display());
    println!("Token    {}", studio.token().await?);
    println!("\nServing until Ctrl-C.");
    tokio::select! {
        ended = studio.wait() => { ended?; bail!("the studio ended by itself") }
        _ = tokio::signal::ctrl_c() => studio.terminate().await,
    }
}

/// Channels, templates, text bundles and rules, through the API as an admin would. Gives the channel of each path.
async fn seed_tenant(
    stage: &Path,
    studio: &mut Studio,
) -> anyhow::Result<(Receiver, BTreeMap<String, String>)> {
    let resources = stage.join("resources");
    let mut secrets = HashMap::new();
    let mut channels = BTreeMap::new();
    let mut documents = Vec::new();
    for file in yaml_files(&resources.join("channels"))? {
        let text = std::fs::read_to_string(&file)?;
        let id = file
            .file_stem()
            .and_then(|stem| stem.to_str())
            .context("a channel file without a name")?
            .to_owned();
        let secret = seed::new_secret()?;
        studio.write_secret(&id, &secret)?;
        secrets.insert(format!("/{id}"), secret);
        channels.insert(format!("/{id}"), id);
        documents.push(text);
    }
    let receiver = Receiver::start(None, secrets, false).await?;
    for (kind, folder) in [("bundles", "templates/bundles"), ("templates", "templates")] {
        for file in yaml_files(&stage.join(folder))? {
            create(studio, kind, &std::fs::read_to_string(&file)?)
                .await
                .with_context(|| file.display().to_string())?;
        }
    }
    for text in documents {
        let text = text.replace("{{receiver}}", &format!("http://{}", receiver.address));
        create(studio, "channels", &text).await?;
    }
    for file in yaml_files(&resources.join("rules"))? {
        create(studio, "rules", &std::fs::read_to_string(&file)?)
            .await
            .with_context(|| file.display().to_string())?;
    }
    Ok((receiver, channels))
}

async fn create(studio: &mut Studio, kind: &str, yaml: &str) -> anyhow::Result<()> {
    studio.call("POST", &format!("/api/v1/notify/{kind}"), "application/yaml", yaml.as_bytes()).await?;
    Ok(())
}

fn yaml_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// One published event.
struct Row {
    file: String,
    key: String,
    what: String,
}

async fn publish(studio: &mut Studio, samples: &Path, sample: &ExpectedSample) -> anyhow::Result<Vec<Row>> {
    let body = std::fs::read(samples.join(&sample.file)).with_context(|| sample.file.clone())?;
    let alertmanager = sample.file.starts_with("alertmanager/");
    let (path, content_type) = if alertmanager {
        ("/api/v1/ingest/alertmanager", "application/json")
    } else {
        ("/api/v1/events", "application/cloudevents+json")
    };
    let answer = studio.call("POST", path, content_type, &body).await?.json()?;
    let items =
        answer.get("items").and_then(Value::as_array).cloned().unwrap_or_else(|| vec![answer.clone()]);
    let mut rows = Vec::new();
    for item in items {
        let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        ensure!(matches!(text("status").as_str(), "accepted" | "duplicate"), "{}: {item}", sample.file);
        rows.push(Row { file: sample.file.clone(), key: text("key"), what: text("id") });
    }
    Ok(rows)
}

/// Waits until as many deliveries have arrived, then a moment more, in case there are too many.
async fn wait_for(receiver: &Receiver, wanted: usize) {
    for _ in 0..500 {
        if receiver.arrivals().len() >= wanted {
            break;
        }
        clock::wait(Duration::from_millis(20)).await;
    }
    clock::wait(Duration::from_millis(500)).await;
}

/// Prints the table and lists what is not as expected.
async fn account(
    studio: &mut Studio,
    rows: &[Row],
    expected: &Expected,
    arrivals: &[Arrival],
    channels: &BTreeMap<String, String>,
) -> anyhow::Result<Vec<String>> {
    let mut failures = Vec::new();
    for arrival in arrivals {
        if let Err(error) = &arrival.signature {
            failures
                .push(format!("{} arrived at {} with a bad signature: {error}", arrival.event, arrival.path));
        }
    }
    println!("{:<40} {:<42} {:<10} WHAT ARRIVED, OR WHY NOT", "SAMPLE", "RULE → CHANNEL", "OUTCOME");
    let mut delivered: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in rows {
        let event =
            studio.call("GET", &format!("/api/v1/notify/events/{}", row.key), "", b"").await?.json()?;
        let decisions = event.get("decisions").and_then(Value::as_array).cloned().unwrap_or_default();
        if decisions.is_empty() {
            let unmatched = event.get("unmatched").and_then(Value::as_u64).unwrap_or_default();
            print_row(&row.file, "–", "not sent", &format!("none of {unmatched} rules matches"));
        }
        for decision in decisions {
            let text = |pointer: &str| {
                decision.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            let delivery = text("/intent/delivery");
            let channel = text("/intent/channel");
            let route = format!("{} → {channel}", text("/rule"));
            if delivery.is_empty() {
                print_row(&row.file, &route, &text("/outcome"), &text("/control"));
                continue;
            }
            let arrived: Vec<&Arrival> = arrivals.iter().filter(|a| a.webhook_id == delivery).collect();
            match arrived.as_slice() {
                [one] => {
                    delivered
                        .entry(&row.file)
                        .or_default()
                        .push(channels.get(&one.path).cloned().unwrap_or_default());
                    print_row(&row.file, &route, "delivered", &one.title);
                }
                [] => {
                    failures
                        .push(format!("{}: {delivery} ({route}) did not arrive ({})", row.file, row.what));
                    print_row(&row.file, &route, "MISSING", &delivery);
                }
                more => failures.push(format!("{}: {delivery} arrived {} times", row.file, more.len())),
            }
        }
    }
    let known: usize = delivered.values().map(Vec::len).sum();
    if known != arrivals.len() {
        failures.push(format!("{} requests arrived, {known} of them expected", arrivals.len()));
    }
    for sample in &expected.samples {
        let mut got = delivered.remove(sample.file.as_str()).unwrap_or_default();
        got.sort();
        if got != sample.delivered {
            failures.push(format!("{}: delivered to {got:?}, expected {:?}", sample.file, sample.delivered));
        }
    }
    Ok(failures)
}

fn print_row(file: &str, route: &str, outcome: &str, what: &str) {
    let file = Path::new(file).file_stem().and_then(|stem| stem.to_str()).unwrap_or(file);
    println!("{file:<40} {route:<42} {outcome:<10} {what}");
}

/// Exports as a folder, the form in which people look at it, and verifies that.
async fn export_folder(studio: &mut Studio, stage: &Path, export: &Path) -> anyhow::Result<String> {
    let url = format!("http://{}", studio.address);
    let token = studio.token().await?;
    let output = tokio::process::Command::new(stage.join("bin/notify"))
        .args(["ledger", "export", "--out"])
        .arg(export)
        .env("NOTIFY_URL", url)
        .env("NOTIFY_TOKEN", token)
        .output()
        .await?;
    ensure!(output.status.success(), "export failed: {}", String::from_utf8_lossy(&output.stderr));
    studio::verify(stage, export, &studio.trust()).await
}
