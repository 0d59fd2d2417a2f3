//! `notify rule`: documents, preview and explain.

use crate::args::{Format, Global, RuleCommand};
use crate::client::Client;
use crate::commands::documents::{self, RULE};
use crate::commands::{enabling, rule_eval, rule_explain, rule_set, rule_test};
use crate::failure::Failure;
use crate::{files, output};
use notify_client::Documents;
use serde_json::Value;
use std::fmt::Write;

pub async fn run(global: &Global, command: RuleCommand) -> Result<(), Failure> {
    match command {
        RuleCommand::Document(command) => documents::run(global, RULE, command).await,
        RuleCommand::Enable { id, force } => {
            enabling::run(global, RULE, Documents::Rules, &id, true, force).await
        }
        RuleCommand::Disable { id } => enabling::run(global, RULE, Documents::Rules, &id, false, false).await,
        RuleCommand::Preview { file, event } => {
            let event = files::document(&event)?;
            let rule = file.as_deref().map(files::document).transpose()?;
            let preview = Client::new(global)?.preview(&event, rule.as_ref()).await?;
            match global.output {
                Format::Table => output::say(&crate::failure::printable(&preview_text(&preview))),
                format => output::structured(format, &preview),
            }
            Ok(())
        }
        RuleCommand::Apply(args) => rule_set::apply::run(global, &args).await,
        RuleCommand::Export(args) => rule_set::export::run(global, &args).await,
        RuleCommand::Explain(asked) => rule_explain::run(global, &asked).await,
        RuleCommand::Test(asked) => rule_test::run(global, &asked).await,
        RuleCommand::Eval(asked) => rule_eval::run(global.output, &asked),
        RuleCommand::Lint(arguments) => super::lint::run(global, arguments).await,
    }
}

pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// `send`, or what stands in the way and until when.
fn decided(action: &Value) -> String {
    let (outcome, control) = (text(action, "/outcome"), text(action, "/control"));
    let until = ["/parameters/until", "/parameters/closesAt"].map(|pointer| text(action, pointer));
    let until = until.into_iter().find(|time| !time.is_empty());
    match (control, until) {
        ("", _) => outcome.to_owned(),
        (control, None) => format!("{outcome} by {control}"),
        (control, Some(until)) => format!("{outcome} by {control} until {until}"),
    }
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
                decided(action)
            );
            if !text(action, "/message/title").is_empty() {
                let _ = writeln!(out, "    title: {}", text(action, "/message/title"));
            }
            let also: Vec<_> = list(action, "alsoApplied").filter_map(Value::as_str).collect();
            if !also.is_empty() {
                let _ = writeln!(out, "    without that: {} would have decided", also.join(", "));
            }
            if let Some(problem) = action.get("problem") {
                let _ = writeln!(out, "    problem: {}", text(problem, "/reason"));
            }
            for (name, count) in action.get("secrets").and_then(Value::as_object).into_iter().flatten() {
                let many = count.as_u64() > Some(1);
                let shown =
                    if many { format!("{count} references, in rotation") } else { "1 reference".to_owned() };
                let _ = writeln!(out, "    secret {name}: {shown}");
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
    if let Some(nearest) = preview.get("nearest") {
        out.push_str(&rule_explain::nearest_text(nearest));
    }
    out
}
