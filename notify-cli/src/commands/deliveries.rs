//! `notify delivery`

use crate::args::{DeliveryCommand, Format, Global};
use crate::client::{Client, segment};
use crate::failure::Failure;
use crate::output::{self, Column};
use reqwest::Method;
use serde_json::{Value, json};

const PATH: &str = "/api/v1/notify/deliveries";
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
        DeliveryCommand::List { paging, state, rule, channel, event } => {
            let filters = [("state", &state), ("rule", &rule), ("channel", &channel), ("event", &event)];
            let query: Vec<_> =
                filters.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
            let items = client.all(PATH, &query, paging.limit).await?;
            output::list(global.output, &json!(items), &items, COLUMNS, "No deliveries.");
        }
        DeliveryCommand::Get { id } => {
            let delivery = client.get(&format!("{PATH}/{}", segment(&id))).await?;
            match global.output {
                Format::Table => output::say(&page(&delivery)),
                format => output::structured(format, &delivery),
            }
        }
        DeliveryCommand::Replay { id } => {
            let request = client.request(Method::POST, &format!("{PATH}/{}:replay", segment(&id)));
            let body = client.send(request).await?.body;
            match global.output {
                Format::Table => output::say(&format!("{} is on its way", text(&body, "/id"))),
                format => output::structured(format, &body),
            }
        }
    }
    Ok(())
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
