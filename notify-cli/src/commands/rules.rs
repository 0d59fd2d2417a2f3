//! `notify rule`: documents, preview and explain.

use crate::args::{Format, Global, RuleCommand};
use crate::client::{Client, segment};
use crate::commands::documents;
use crate::failure::Failure;
use crate::{files, output};
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::fmt::Write;

pub async fn run(global: &Global, command: RuleCommand) -> Result<(), Failure> {
    match command {
        RuleCommand::Document(command) => documents::run(global, documents::RULE, command).await,
        RuleCommand::Preview { file, event } => {
            let mut body = Map::new();
            body.insert("event".into(), files::document(&event)?);
            if let Some(file) = file {
                body.insert("rule".into(), files::document(&file)?);
            }
            let client = Client::new(global)?;
            let request = client.request(Method::POST, "/api/v1/notify/rules:preview").json(&body);
            let preview = client.send(request).await?.body;
            match global.output {
                Format::Table => output::say(&crate::failure::printable(&preview_text(&preview))),
                format => output::structured(format, &preview),
            }
            Ok(())
        }
        RuleCommand::Explain { id, event, version } => {
            let client = Client::new(global)?;
            let query = version.map(|version| format!("?version={version}")).unwrap_or_default();
            let path = format!("/api/v1/notify/rules/{}:explain{query}", segment(&id));
            let body = json!({ "event": files::document(&event)? });
            let answer = client.send(client.request(Method::POST, &path).json(&body)).await?.body;
            match global.output {
                Format::Table => output::say(&crate::failure::printable(&explain_text(&answer))),
                format => output::structured(format, &answer),
            }
            Ok(())
        }
    }
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn preview_text(preview: &Value) -> String {
    let mut out = String::new();
    for rule in list(preview, "matched") {
        let _ = writeln!(out, "rule {}: {}", text(rule, "/rule"), text(rule, "/name"));
        for action in list(rule, "actions") {
            let _ = writeln!(
                out,
                "  action {} → channel {}: {}",
                text(action, "/action"),
                text(action, "/channel"),
                text(action, "/outcome")
            );
            let _ = writeln!(out, "    title: {}", text(action, "/message/title"));
            if let Some(problem) = action.get("problem") {
                let _ = writeln!(out, "    problem: {}", text(problem, "/reason"));
            }
            for line in text(action, "/request").lines() {
                let _ = writeln!(out, "    | {line}");
            }
        }
    }
    let unmatched = preview.get("unmatched").and_then(Value::as_u64).unwrap_or_default();
    if out.is_empty() {
        out.push_str("No rule matches.\n");
    }
    let _ = write!(out, "{unmatched} other rules do not match.");
    out
}

fn explain_text(answer: &Value) -> String {
    let matched = answer.get("matched").and_then(Value::as_bool).unwrap_or_default();
    let verdict = if matched { "matches" } else { "does not match" };
    let mut out = format!(
        "rule {} (version {}) {verdict}",
        text(answer, "/rule"),
        answer.get("version").unwrap_or(&Value::Null)
    );
    if let Some(explanation) = answer.get("explanation") {
        out.push('\n');
        out.push_str(notify_core::yaml::to_yaml(explanation).trim_end());
    }
    out
}
