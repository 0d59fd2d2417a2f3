//! `notify quarantine`

use crate::args::{Format, Global, QuarantineCommand};
use crate::client::{Client, segment};
use crate::failure::Failure;
use crate::output::{self, Column};
use reqwest::Method;
use serde_json::{Value, json};

const PATH: &str = "/api/v1/notify/quarantine";
const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("RECEIVED", "/receivedAt"),
    ("FROM", "/origin"),
    ("CODE", "/code"),
    ("BYTES", "/bytes"),
    ("REASON", "/problem/detail"),
];

pub async fn run(global: &Global, command: QuarantineCommand) -> Result<(), Failure> {
    let client = Client::new(global)?;
    match command {
        QuarantineCommand::List(paging) => {
            let items = client.all(PATH, &[], paging.limit).await?;
            output::list(global.output, &json!(items), &items, COLUMNS, "Nothing is in quarantine.");
        }
        QuarantineCommand::Get { id } => {
            let message = client.get(&format!("{PATH}/{}", segment(&id))).await?;
            match global.output {
                Format::Table => output::say(&page(&message)),
                format => output::structured(format, &message),
            }
        }
        QuarantineCommand::Redrive { id } => {
            for id in &id {
                let request = client.request(Method::POST, &format!("{PATH}/{}:redrive", segment(id)));
                let body = client.send(request).await?.body;
                match global.output {
                    Format::Table => {
                        let key = body.get("key").and_then(Value::as_str).unwrap_or_default();
                        output::say(&format!("{id} was taken in as event {key}"));
                    }
                    format => output::structured(format, &body),
                }
            }
        }
        QuarantineCommand::Delete { id } => {
            for id in &id {
                client.send(client.request(Method::DELETE, &format!("{PATH}/{}", segment(id)))).await?;
                match global.output {
                    Format::Table => output::say(&format!("{id} deleted")),
                    format => output::structured(format, &json!({ "id": id, "deleted": true })),
                }
            }
        }
    }
    Ok(())
}

fn page(message: &Value) -> String {
    let get = |pointer: &str| match message.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    };
    let mut out = output::fields(&[
        ("message", get("/id")),
        ("received", get("/receivedAt")),
        ("from", get("/origin")),
        ("content type", get("/contentType")),
        ("code", get("/code")),
        ("reason", get("/problem/detail")),
        ("at", get("/problem/path")),
        ("fix", get("/problem/fix")),
    ]);
    let body = match (get("/body"), get("/bodyBase64")) {
        (text, base64) if text.is_empty() => base64,
        (text, _) => text,
    };
    out.push_str("\n\n");
    // A bus brings what it likes; a terminal must not obey it.
    out.extend(body.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }));
    out
}
