//! `notify delivery`

use crate::args::{DeliveryCommand, DeliveryListArgs, Format, Global, RedriveArgs};
use crate::client::Client;
use crate::failure::{Failure, printable};
use crate::home::{SystemClock, random};
use crate::output::{self, Column};
use crate::{duration, progress, style};
use notify_client::model::{Delivery, DeliveryFilter, Redrive, RedriveFilter, Redriven};
use notify_core::ids::hex;
use notify_core::time::{Clock, Timestamp, rfc3339_millis};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

/// Also for the deliveries of an event.
pub const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("STATE", "/state"),
    ("RULE", "/rule"),
    ("CHANNEL", "/channel"),
    ("TITLE", "/title"),
    ("CREATED", "/createdAt"),
    ("RESULT", "/lastResult"),
    ("NEXT TRY", "/dueAt"),
];

pub async fn run(global: &Global, command: DeliveryCommand) -> Result<(), Failure> {
    let client = Client::new(global)?;
    match command {
        DeliveryCommand::List(args) => {
            let filter = filter(&args)?;
            let items = client.deliveries(&filter, args.paging.limit).await?;
            if args.watch {
                return watch(&client, global.output, &filter, &args, items).await;
            }
            let rows: Vec<Value> = items.iter().map(|item| json!(item)).collect();
            output::list(global.output, &json!(rows), &rows, COLUMNS, "No deliveries.");
        }
        DeliveryCommand::Get { id } => {
            let delivery = json!(client.delivery(&id).await?);
            match global.output {
                Format::Table => output::say(&page(&delivery)),
                format => output::structured(format, &delivery),
            }
        }
        DeliveryCommand::Replay { id, idempotency_key } => {
            let made = client.replay(&id, idempotency_key.as_deref()).await?;
            match global.output {
                Format::Table => output::say(&format!("{} is on its way", made.id)),
                format => output::structured(format, &json!(made)),
            }
        }
        DeliveryCommand::Redrive(args) => redrive(&client, global.output, &args).await?,
    }
    Ok(())
}

fn filter(args: &DeliveryListArgs) -> Result<DeliveryFilter, Failure> {
    Ok(DeliveryFilter {
        state: args.state.clone(),
        rule: args.rule.clone(),
        channel: args.channel.clone(),
        event: args.event.clone(),
        from: args.since.as_deref().map(point).transpose()?,
        to: args.until.as_deref().map(point).transpose()?,
    })
}

/// A time as it was typed: RFC 3339, or how long ago.
pub(super) fn point(text: &str) -> Result<String, Failure> {
    if text.parse::<Timestamp>().is_ok() {
        return Ok(text.to_owned());
    }
    let ago = duration::parse(text).map_err(|_| {
        let reason = format!("`{text}` is neither a time nor a duration");
        Failure::usage(reason, "give one like 2026-11-22T08:00:00Z, or how long ago: 90s, 30m, 12h, 7d")
    })?;
    let now = SystemClock.now();
    let then = notify_worker::clock::before(now, ago);
    Ok(rfc3339_millis(then))
}

/// What a watcher is told of: anything else about a delivery does not change.
fn signature(delivery: &Delivery) -> String {
    format!("{} {:?} {}", delivery.state, delivery.next_attempt, delivery.updated_at)
}

async fn watch(
    client: &Client,
    format: Format,
    filter: &DeliveryFilter,
    args: &DeliveryListArgs,
    first: Vec<Delivery>,
) -> Result<(), Failure> {
    let mut known: HashMap<String, String> = HashMap::new();
    let mut items = first;
    if format == Format::Table {
        output::say(&line(
            ["TIME", "STATE", "RESULT", "CHANNEL", "DELIVERY", "TITLE"].map(str::to_owned),
            None,
        ));
    }
    loop {
        // Oldest first, as things happen.
        for delivery in items.iter().rev() {
            let now = signature(delivery);
            if known.insert(delivery.id.clone(), now.clone()).as_ref() == Some(&now) {
                continue;
            }
            match format {
                Format::Table => output::say(&changed(delivery)),
                // One a line, so that it can be read while it goes on.
                Format::Json => output::say(&json!(delivery).to_string()),
                Format::Yaml => {
                    output::say(&format!("---\n{}", notify_core::yaml::to_yaml(&json!(delivery)).trim_end()));
                }
            }
        }
        // A delivery that fell out of the list is forgotten with time.
        if known.len() > 100_000 {
            known.retain(|id, _| items.iter().any(|item| item.id == *id));
        }
        notify_worker::clock::wait(args.interval.max(Duration::from_millis(100))).await;
        items = client.deliveries(filter, args.paging.limit).await?;
    }
}

fn changed(delivery: &Delivery) -> String {
    let time = delivery.updated_at.get(11..19).unwrap_or_default().to_owned();
    let mut title = printable(delivery.title.as_deref().unwrap_or_default());
    if let Some(due) = &delivery.due_at {
        title = format!("{title}  next try {}", due.get(11..19).unwrap_or(due));
    }
    let cells = [
        time,
        delivery.state.clone(),
        delivery.last_result.clone().unwrap_or_default(),
        delivery.channel.clone(),
        delivery.id.clone(),
        title,
    ];
    line(cells, style::of_state(&delivery.state))
}

fn line(cells: [String; 6], tone: Option<style::Tone>) -> String {
    let [time, state, result, channel, id, title] = cells;
    let state = format!("{state:<9}");
    let state = tone.map_or(state.clone(), |tone| style::out(&state, tone));
    format!("{time:<8}  {state}  {result:<10}  {channel:<20}  {id:<36}  {title}").trim_end().to_owned()
}

async fn redrive(client: &Client, format: Format, args: &RedriveArgs) -> Result<(), Failure> {
    let asked = Redrive {
        filter: RedriveFilter {
            rule: args.rule.clone(),
            channel: args.channel.clone(),
            from: args.since.as_deref().map(point).transpose()?,
            to: args.until.as_deref().map(point).transpose()?,
        },
        rate_per_second: args.rate,
        dry_run: args.dry_run,
    };
    // Whoever repeats the request below (a proxy, a client library) does nothing twice.
    let key = format!("redrive-{}", hex(random()?.get(..16).unwrap_or_default()));
    let spinner = progress::spinner("sending dead letters again");
    let done = client.redrive(&asked, Some(&key)).await;
    spinner.finish_and_clear();
    let done = done?;
    match format {
        Format::Table => output::say(&told(&done)),
        format => output::structured(format, &json!(done)),
    }
    Ok(())
}

fn told(done: &Redriven) -> String {
    let mut out = if done.dry_run {
        format!("{} dead letters fit; {} would be sent again", done.matched, done.redriven)
    } else {
        format!("{} of {} dead letters are on their way again", done.redriven, done.matched)
    };
    if done.redriven > 0 {
        out.push_str(&format!(", {} a second", done.rate_per_second));
        if let Some(last) = &done.last_due_at {
            out.push_str(&format!(", the last at {last}"));
        }
    }
    for skipped in &done.skipped {
        out.push_str(&format!(
            "\nleft out: {} of channel {} ({})",
            skipped.count, skipped.channel, skipped.reason
        ));
    }
    if done.remaining > 0 {
        out.push_str(&format!("\n{} more are left for another run of this command", done.remaining));
    }
    out
}

fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    }
}

fn page(delivery: &Value) -> String {
    let get = |pointer| text(delivery, pointer);
    let mut out = output::fields(&[
        ("delivery", get("/id")),
        ("state", get("/state")),
        ("rule", format!("{} (version {})", get("/rule"), get("/ruleVersion"))),
        ("action", get("/action")),
        ("channel", get("/channel")),
        ("target", get("/target")),
        ("event", get("/event")),
        ("cause", get("/cause")),
        ("created", get("/createdAt")),
        ("next try", get("/dueAt")),
        ("reference", get("/providerReference")),
        ("title", get("/message/title")),
        ("summary", get("/message/summary")),
    ]);
    let attempts = delivery.get("attempts").and_then(Value::as_array).cloned().unwrap_or_default();
    if !attempts.is_empty() {
        let columns: &[Column] = &[
            ("ATTEMPT", "/attempt"),
            ("STARTED", "/startedAt"),
            ("FINISHED", "/finishedAt"),
            ("RESULT", "/result"),
            ("HTTP", "/httpStatus"),
            ("ERROR", "/error"),
            ("THEN", "/follows/outcome"),
            ("NEXT TRY", "/follows/dueAt"),
        ];
        out.push_str("\n\n");
        out.push_str(&output::table(&attempts, columns));
    }
    out
}
