//! `notify event`

use crate::args::{EventCommand, Format, Global};
use crate::client::{self, Client};
use crate::commands::deliveries;
use crate::failure::Failure;
use crate::files;
use crate::output::{self, Column};
use crate::progress;
use notify_core::problem::Problem;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Events of one request; a file may hold more.
const BATCH: usize = 500;

pub async fn run(global: &Global, command: EventCommand) -> Result<(), Failure> {
    let client = Client::new(global)?;
    match command {
        EventCommand::Publish { files } => publish(&client, global.output, &files).await,
        EventCommand::Ingest { file } => {
            let fates = client.ingest_alertmanager(&files::document(&file)?).await?;
            let rows: Vec<Value> = fates.items.iter().map(|fate| json!(fate)).collect();
            let columns: &[Column] = &[("ID", "/id"), ("STATUS", "/status"), ("KEY", "/key")];
            output::list(global.output, &json!(fates), &rows, columns, "The notification holds no alerts.");
            Ok(())
        }
        EventCommand::List(paging) => {
            let items: Vec<Value> =
                client.events(paging.limit).await?.iter().map(|event| json!(event)).collect();
            let columns: &[Column] = &[
                ("KEY", "/key"),
                ("TYPE", "/type"),
                ("SUBJECT", "/subject"),
                ("SOURCE", "/source"),
                ("ACCEPTED", "/acceptedAt"),
                ("STATE", "/state"),
            ];
            output::list(global.output, &json!(items), &items, columns, "No events.");
            Ok(())
        }
        EventCommand::Get { key } => {
            let event = json!(client.event(&key).await?);
            match global.output {
                Format::Table => output::say(&page(&event)),
                format => output::structured(format, &event),
            }
            Ok(())
        }
    }
}

async fn publish(client: &Client, format: Format, paths: &[PathBuf]) -> Result<(), Failure> {
    let mut fates: Vec<Value> = Vec::new();
    let mut problems: Vec<(Option<String>, Problem)> = Vec::new();
    let bar = progress::bar(0, "publishing");
    for path in paths {
        let events = match files::document(path)? {
            Value::Array(events) => events,
            one => vec![one],
        };
        bar.inc_length(events.len() as u64);
        for chunk in events.chunks(BATCH) {
            publish_chunk(client, path, chunk, &mut fates, &mut problems).await?;
            bar.inc(chunk.len() as u64);
        }
    }
    bar.finish_and_clear();
    let columns: &[Column] = &[("FILE", "/file"), ("ID", "/id"), ("STATUS", "/status"), ("KEY", "/key")];
    output::list(format, &json!(fates), &fates, columns, "The files hold no events.");
    if problems.is_empty() { Ok(()) } else { Err(Failure::Problems(problems)) }
}

async fn publish_chunk(
    client: &Client,
    path: &Path,
    events: &[Value],
    fates: &mut Vec<Value>,
    problems: &mut Vec<(Option<String>, Problem)>,
) -> Result<(), Failure> {
    let published = client.publish(events).await?;
    for (item, event) in published.items.iter().zip(events) {
        let mut item = json!(item);
        if let Value::Object(members) = &mut item {
            members.insert("file".into(), files::name(path).into());
            if !members.contains_key("id")
                && let Some(id) = event.get("id")
            {
                members.insert("id".into(), id.clone());
            }
        }
        if let Some(problem) = item.get("problem").and_then(client::problem_of) {
            problems.push((Some(files::name(path)), problem));
        }
        fates.push(item);
    }
    Ok(())
}

fn page(event: &Value) -> String {
    let get = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = |name: &str| event.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut out = output::fields(&[
        ("event", get("/key")),
        ("id", get("/id")),
        ("type", get("/type")),
        ("source", get("/source")),
        ("subject", get("/subject")),
        ("accepted", get("/acceptedAt")),
        ("state", get("/state")),
        ("not matched", event.get("unmatched").map(|count| format!("{count} rules")).unwrap_or_default()),
    ]);
    let decisions = list("decisions");
    if !decisions.is_empty() {
        let columns: &[Column] = &[
            ("RULE", "/rule"),
            ("ACTION", "/action"),
            ("OUTCOME", "/outcome"),
            ("CONTROL", "/control"),
            ("DELIVERY", "/intent/delivery"),
            ("LEDGER", "/ledgerSeq"),
        ];
        out.push_str("\n\n");
        out.push_str(&output::table(&decisions, columns));
    }
    let sent = list("deliveries");
    if !sent.is_empty() {
        out.push_str("\n\n");
        out.push_str(&output::table(&sent, deliveries::COLUMNS));
    }
    out
}
