//! `notify rule explain`: one rule clause by clause, or all rules and the nearest misses.

use super::rules::{list, text};
use crate::args::{Format, Global};
use crate::client::Client;
use crate::failure::{Failure, printable};
use crate::{files, output, style};
use clap::Args;
use notify_core::document::Kind;
use notify_core::event::{Event, EventLimits};
use notify_core::ids::TenantId;
use notify_webservice::documents::check::{self, Parsed};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A saved rule; without it (and without `--file`) all of them.
    #[arg(conflicts_with = "file")]
    pub id: Option<String>,
    /// A rule in a file instead, without a service.
    #[arg(short, long)]
    pub file: Option<PathBuf>,
    /// The CloudEvent, JSON or YAML.
    #[arg(long)]
    pub event: PathBuf,
    /// An old version of the saved rule.
    #[arg(long, requires = "id")]
    pub version: Option<u64>,
    /// Of all rules: how many that do not match to name, the nearest first, 0 to 20 (5).
    #[arg(long, conflicts_with_all = ["id", "file"], value_parser = clap::value_parser!(u8).range(0..=20))]
    pub nearest: Option<u8>,
}

pub async fn run(global: &Global, asked: &ExplainArgs) -> Result<(), Failure> {
    let event = files::document(&asked.event)?;
    let (answer, text) = match (&asked.id, &asked.file) {
        (_, Some(file)) => {
            let answer = offline(file, &asked.event, event)?;
            let text = one_text(&answer);
            (answer, text)
        }
        (Some(id), None) => {
            let answer = Client::new(global)?.explain(id, &event, asked.version).await?;
            let text = one_text(&answer);
            (answer, text)
        }
        (None, None) => {
            let answer = Client::new(global)?.explain_all(&event, asked.nearest).await?;
            let text = all_text(&answer);
            (answer, text)
        }
    };
    match global.output {
        Format::Table => output::say(&text),
        format => output::structured(format, &answer),
    }
    Ok(())
}

/// The answer that the service would give.
fn offline(file: &Path, event_file: &Path, event: Value) -> Result<Value, Failure> {
    let checked = check::value(Kind::Rule, &files::document(file)?);
    let Parsed::Rule(rule) = checked.map_err(|problem| files::about(file, problem))?.parsed else {
        return Err(Failure::other(format!("{} is no rule", files::name(file)), "name a file with a rule"));
    };
    let tenant = event.get("tenant").and_then(Value::as_str).unwrap_or("offline").to_owned();
    let tenant = TenantId::new(&tenant)
        .map_err(|error| Failure::other(format!("{}: {error}", files::name(event_file)), ""))?;
    let event = Event::from_value(&tenant, event, &EventLimits::default())
        .map_err(|problem| files::about(event_file, problem))?;
    let pattern = rule.pattern().map_err(|problem| files::about(file, problem))?;
    let explanation = pattern.explain(&event.value);
    Ok(json!({
        "rule": rule.id, "enabled": rule.enabled, "matched": explanation.matched, "sentence": explanation.sentence,
        "explanation": explanation,
    }))
}

fn one_text(answer: &Value) -> String {
    let yes = |name: &str| answer.get(name).and_then(Value::as_bool).unwrap_or_default();
    let version = answer.get("version").map(|version| format!(" (version {version})")).unwrap_or_default();
    let (verdict, tone) = match yes("matched") {
        true => ("matches", style::Tone::Good),
        false => ("does not match", style::Tone::Bad),
    };
    let off = if yes("enabled") { "" } else { ", but it is off and matches nothing" };
    let mut out =
        format!("rule {}{version} {}{off}\n\n", printable(text(answer, "/rule")), style::out(verdict, tone));
    out.push_str(&explanation_text(answer.get("explanation").unwrap_or(&Value::Null)));
    out
}

/// Each way through the pattern as a table, then all of it in words.
pub fn explanation_text(explanation: &Value) -> String {
    let mut out = String::new();
    for alternative in list(explanation, "alternatives") {
        let branches: Vec<&str> = list(alternative, "branches").filter_map(Value::as_str).collect();
        if !branches.is_empty() {
            let holds = alternative.get("matched").and_then(Value::as_bool).unwrap_or_default();
            let verdict = if holds { "holds" } else { "does not hold" };
            let _ = writeln!(out, "alternative {} {verdict}:", printable(&branches.join(" with ")));
        }
        let row = |clause: &Value| {
            let holds = clause.get("matched").and_then(Value::as_bool).unwrap_or_default();
            let mut row = clause.clone();
            row["holds"] = style::mark(holds).into();
            row
        };
        let rows: Vec<Value> = list(alternative, "clauses").map(row).collect();
        let columns = [
            ("HOLDS", "/holds"),
            ("FIELD", "/path"),
            ("THE EVENT HAS", "/has"),
            ("THE RULE WANTS", "/wants"),
        ];
        let _ = writeln!(out, "{}", output::table(&rows, &columns));
        out.push('\n');
    }
    out.push_str(&printable(text(explanation, "/sentence")));
    out
}

fn all_text(answer: &Value) -> String {
    let count = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (matched, unmatched) = (count("matched"), count("unmatched"));
    let all = matched.saturating_add(unmatched);
    let mut out = match matched {
        0 => format!("None of {all} rules matches."),
        1 => format!("1 of {all} rules matches."),
        more => format!("{more} of {all} rules match."),
    };
    for rule in list(answer, "matching") {
        let _ =
            write!(out, "\n\nrule {} ({})", printable(text(rule, "/rule")), printable(text(rule, "/name")));
        let _ = write!(out, "\n  {}", printable(text(rule, "/sentence")));
    }
    out.push_str(&nearest_text(answer.get("nearest").unwrap_or(&Value::Null)));
    out
}

/// Rules that do not match, each with its reasons; begins with a line break where there are any.
pub fn nearest_text(nearest: &Value) -> String {
    let mut out = String::new();
    for (i, rule) in list(nearest, "rules").enumerate() {
        out.push_str(if i == 0 { "\n\nNearest of those that do not match:" } else { "" });
        let failed = rule.get("failed").and_then(Value::as_u64).unwrap_or_default();
        let conditions = if failed == 1 { "1 condition fails" } else { &format!("{failed} conditions fail") };
        let _ = write!(
            out,
            "\nrule {} ({}): {conditions}",
            printable(text(rule, "/rule")),
            printable(text(rule, "/name"))
        );
        let mut shown = 0;
        for reason in list(rule, "reasons") {
            let _ = write!(out, "\n  {}", printable(text(reason, "/sentence")));
            shown += 1;
        }
        if failed > shown {
            let _ = write!(out, "\n  and {} more", failed - shown);
        }
    }
    if nearest.get("complete").and_then(Value::as_bool) == Some(false) {
        let looked_at = nearest.get("lookedAt").and_then(Value::as_u64).unwrap_or_default();
        let _ = write!(
            out,
            "\nNot every rule was looked at: the search ended after the {looked_at} of the highest priority."
        );
    }
    out
}
