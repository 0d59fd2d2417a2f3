//! `notify why`, `notify report`, `notify digest` and `notify held`: why alerts came or did not.

use crate::args::{Format, Global};
use crate::client::Client;
use crate::commands::deliveries::point;
use crate::commands::rules::{list, text};
use crate::failure::{Failure, printable};
use crate::{files, output};
use clap::{Args, Subcommand};
use notify_core::ids::EventKey;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::PathBuf;

#[derive(Debug, Clone, Args)]
pub struct WhyArgs {
    /// Key (`evt_…`) of the event, or the id that its producer gave it.
    pub event: String,
    /// The producer's `source`, where several use the same id or the event is old.
    #[arg(long)]
    pub source: Option<String>,
    /// Also each step with its ledger entry.
    #[arg(long)]
    pub steps: bool,
}

#[derive(Debug, Subcommand)]
pub enum ReportCommand {
    /// How noisy each rule was, with a score and a suggestion; the noisiest first (docs/why.md).
    Noise {
        /// A time (RFC 3339), or how long ago (30m, 12h, 7d).
        #[arg(long, default_value = "7d")]
        since: String,
        /// Up to then; without it, up to now.
        #[arg(long)]
        until: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum DigestCommand {
    /// Those that are being collected, the one that closes first first.
    List {
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// One: what it has collected, or how it ended.
    Get { id: String },
    /// What several events would look like as one message; nothing is sent or kept.
    Preview {
        /// A saved rule that is enabled.
        #[arg(required_unless_present = "file")]
        rule: Option<String>,
        /// A rule that need not be saved.
        #[arg(short, long, conflicts_with = "rule")]
        file: Option<PathBuf>,
        /// One of its actions; without it, the first.
        #[arg(long)]
        action: Option<String>,
        /// Why there would be a digest: digest, throttle, quiet-hours, maintenance, storm or budget.
        #[arg(long, default_value = "digest")]
        control: String,
        /// CloudEvents, JSON or YAML; a file holds one or a list of them. May be given several times.
        #[arg(long, required = true)]
        events: Vec<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub enum HeldCommand {
    /// Those that wait now, the one that is judged again first first.
    List {
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
}

pub async fn why(global: &Global, asked: &WhyArgs) -> Result<(), Failure> {
    let client = Client::new(global)?;
    let key = key_of(&client, asked).await?;
    let story = client.story(&key).await?;
    match global.output {
        Format::Table => output::say(&printable(&told(&story, asked.steps))),
        format => output::structured(format, &story),
    }
    Ok(())
}

/// The event's key; looked for under the producer's id where no key is given.
async fn key_of(client: &Client, asked: &WhyArgs) -> Result<String, Failure> {
    if asked.source.is_none() && asked.event.parse::<EventKey>().is_ok() {
        return Ok(asked.event.clone());
    }
    let found = client.events_with_id(&asked.event, asked.source.as_deref()).await?;
    match found.as_slice() {
        [one] => Ok(one.key.clone()),
        [] => {
            let fix = match asked.source {
                Some(_) => "`notify event list` shows the events that were accepted",
                None => "only the newest 20,000 events are searched; with --source also older ones",
            };
            Err(Failure::other(format!("there is no event `{}`", asked.event), fix))
        }
        several => {
            let sources: Vec<_> = several
                .iter()
                .filter_map(|event| Some(format!("--source {}", event.source.as_deref()?)))
                .collect();
            let reason = format!("{} events have the id `{}`", several.len(), asked.event);
            Err(Failure::other(reason, format!("say which: {}", sources.join(", or "))))
        }
    }
}

fn told(story: &Value, steps: bool) -> String {
    let mut out = format!("{}\n", text(story, "/sentence"));
    for action in list(story, "actions") {
        let _ = write!(out, "\n{}\n", text(action, "/sentence"));
        for step in list(action, "steps").filter(|_| steps) {
            let seq = step.get("seq").and_then(Value::as_u64).unwrap_or_default();
            let _ = writeln!(out, "  {}  ledger {seq}  {}", text(step, "/at"), text(step, "/sentence"));
        }
    }
    for note in list(story, "notes") {
        let _ = write!(out, "\nnote: {}\n", note.as_str().unwrap_or_default());
    }
    out.trim_end().to_owned()
}

pub async fn report(global: &Global, command: ReportCommand) -> Result<(), Failure> {
    let ReportCommand::Noise { since, until } = command;
    let from = point(&since)?;
    let to = until.as_deref().map(point).transpose()?;
    let report = Client::new(global)?.noise_report(Some(&from), to.as_deref()).await?;
    if global.output != Format::Table {
        output::structured(global.output, &report);
        return Ok(());
    }
    let rows: Vec<Value> = list(&report, "rules").map(row).collect();
    if rows.is_empty() {
        output::say("No rule decided anything in this time.");
        return Ok(());
    }
    let columns: &[output::Column] = &[
        ("SCORE", "/score"),
        ("RULE", "/rule"),
        ("MATCHED", "/matched"),
        ("ALERTS", "/alerts"),
        ("PLANNED", "/planned"),
        ("SUPPRESSED", "/suppressed"),
        ("DIGESTED", "/digested"),
        ("HELD", "/held"),
        ("MESSAGES", "/messages"),
    ];
    let mut out = output::table(&rows, columns);
    for rule in list(&report, "rules") {
        if let Some(advice) = rule.pointer("/suggestion/text").and_then(Value::as_str) {
            let _ = write!(out, "\n\n{}: {}", printable(text(rule, "/rule")), printable(advice));
        }
    }
    if report.get("complete") == Some(&Value::Bool(false)) {
        let covered = printable(text(&report, "/covered"));
        let _ = write!(out, "\n\nThere was more than one report looks at: counted from {covered} on.");
    }
    output::say(&out);
    Ok(())
}

/// Counts by control as one cell.
fn row(rule: &Value) -> Value {
    let mut row = rule.clone();
    for name in ["suppressed", "digested", "held"] {
        let counts = rule.get(name).and_then(Value::as_object);
        let shown: Vec<_> =
            counts.into_iter().flatten().map(|(control, count)| format!("{count} {control}")).collect();
        row[name] = shown.join(", ").into();
    }
    row
}

const COLUMNS: &[output::Column] = &[
    ("DIGEST", "/id"),
    ("RULE", "/rule"),
    ("ACTION", "/action"),
    ("CHANNEL", "/channel"),
    ("WHY", "/control"),
    ("ALERTS", "/count"),
    ("SEVERITY", "/severity"),
    ("CLOSES", "/closesAt"),
];

const HELD: &[output::Column] = &[
    ("HELD", "/id"),
    ("EVENT", "/event"),
    ("RULE", "/rule"),
    ("ACTION", "/action"),
    ("CHANNEL", "/channel"),
    ("WHY", "/control"),
    ("UNTIL", "/releaseAt"),
    ("TITLE", "/title"),
];

pub async fn held(global: &Global, command: HeldCommand) -> Result<(), Failure> {
    let HeldCommand::List { limit } = command;
    let items = Client::new(global)?.held(limit).await?;
    output::list(global.output, &json!(items), &items, HELD, "No alert is held.");
    Ok(())
}

pub async fn digest(global: &Global, command: DigestCommand) -> Result<(), Failure> {
    let client = Client::new(global)?;
    let (rule, file, action, control, events) = match command {
        DigestCommand::List { limit } => {
            let items = client.digests(limit).await?;
            output::list(global.output, &json!(items), &items, COLUMNS, "No digest is being collected.");
            return Ok(());
        }
        DigestCommand::Get { id } => {
            output::structured(global.output, &client.digest(&id).await?);
            return Ok(());
        }
        DigestCommand::Preview { rule, file, action, control, events } => {
            (rule, file, action, control, events)
        }
    };
    let rule = match (file, rule) {
        (Some(file), _) => files::document(&file)?,
        (None, Some(id)) => Value::String(id),
        (None, None) => {
            return Err(Failure::usage("no rule is given", "name a saved rule, or give a file with -f"));
        }
    };
    let mut all = Vec::new();
    for path in &events {
        match files::document(path)? {
            Value::Array(events) => all.extend(events),
            one => all.push(one),
        }
    }
    let mut asked = json!({ "rule": rule, "control": control, "events": all });
    if let Some(action) = action {
        asked["action"] = action.into();
    }
    let preview = client.preview_digest(&asked).await?;
    match global.output {
        Format::Table => output::say(&printable(&shown(&preview))),
        format => output::structured(format, &preview),
    }
    Ok(())
}

fn shown(preview: &Value) -> String {
    let number = |name: &str| preview.get(name).and_then(Value::as_u64).unwrap_or_default();
    let mut out = output::fields(&[
        ("rule", text(preview, "/rule").to_owned()),
        ("action", text(preview, "/action").to_owned()),
        ("channel", text(preview, "/channel").to_owned()),
        ("template", preview.get("template").and_then(Value::as_str).unwrap_or("built-in").to_owned()),
        ("alerts", format!("{}, {} shown", number("count"), number("retained"))),
        ("title", text(preview, "/message/title").to_owned()),
        ("summary", text(preview, "/message/summary").to_owned()),
    ]);
    if let Some(problem) = preview.get("problem") {
        let _ = write!(out, "\nproblem  {}: {}", text(problem, "/code"), text(problem, "/detail"));
    }
    for (heading, pointer) in [("", "/message/body"), ("", "/message/footer"), ("", "/request")] {
        let part = text(preview, pointer);
        if !part.is_empty() {
            let _ = write!(out, "\n{heading}\n{part}");
        }
    }
    out
}
