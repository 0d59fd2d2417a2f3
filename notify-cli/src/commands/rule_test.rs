//! `notify rule test`: the tests that stand in rules, from files without a service or from the service's own rules.

use super::rules::{list, text};
use crate::args::{Format, Global};
use crate::client::{Client, problem_of};
use crate::failure::{Failure, printable};
use crate::{files, output, style};
use clap::Args;
use notify_client::Documents;
use notify_core::document::Kind;
use notify_core::problem::Problem;
use notify_core::rule_tests;
use notify_webservice::documents::check::{self, Parsed};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Folders inside each other that are looked through.
const MAX_DEPTH: usize = 16;

#[derive(Debug, Args)]
pub struct TestArgs {
    /// Files and folders with rules; with `--online` ids of saved rules (none: all).
    #[arg(required_unless_present = "online", value_name = "FILE")]
    pub what: Vec<PathBuf>,
    /// Test saved rules, by the service.
    #[arg(long)]
    pub online: bool,
    /// Most saved rules to look at.
    #[arg(long, default_value_t = 100_000, requires = "online")]
    pub limit: u32,
}

/// What was found, in the order of the rules.
#[derive(Default)]
struct Found {
    /// Reports of rules with tests, each with the `place` that the rule came from.
    reports: Vec<Value>,
    without_tests: usize,
    /// Files in folders that hold something else.
    others: usize,
    problems: Vec<(Option<String>, Problem)>,
}

pub async fn run(global: &Global, asked: &TestArgs) -> Result<(), Failure> {
    let found = if asked.online { online(global, asked).await? } else { offline(&asked.what)? };
    let sum = |name: &str| -> u64 {
        found.reports.iter().filter_map(|report| report.get(name).and_then(Value::as_u64)).sum()
    };
    let (passed, failed) = (sum("passed"), sum("failed"));
    match global.output {
        Format::Table => say(&found, passed, failed),
        format => output::structured(
            format,
            &json!({
                "rules": found.reports, "passed": passed, "failed": failed,
                "rulesWithoutTests": found.without_tests, "rulesRefused": found.problems.len(),
            }),
        ),
    }
    match (found.problems.is_empty(), failed) {
        (false, _) => Err(Failure::Problems(found.problems)),
        (true, 0) => Ok(()),
        (true, _) => Err(Failure::Said),
    }
}

fn say(found: &Found, passed: u64, failed: u64) {
    for report in &found.reports {
        let place = printable(text(report, "/place"));
        for (index, test) in list(report, "tests").enumerate() {
            if test.get("passed").and_then(Value::as_bool) == Some(true) {
                continue;
            }
            let name = match text(test, "/name") {
                "" => format!("test {}", index + 1),
                name => format!("`{}`", printable(name)),
            };
            output::say(&format!("{} {place}: {name}", style::out("failed", style::Tone::Bad)));
            output::say(&format!("  {}", printable(text(test, "/sentence"))));
            if let Some(fix) = test.pointer("/problem/fix").and_then(Value::as_str) {
                output::say(&format!("  fix: {}", printable(fix)));
            }
        }
        for hint in list(report, "hints") {
            output::say(&format!(
                "{} {place}: {}",
                style::out("hint", style::Tone::Caution),
                text(hint, "/reason")
            ));
            output::say(&format!("  {}", text(hint, "/fix")));
        }
    }
    let rules = found.reports.len();
    let many = |count: u64, one: &str, more: &str| {
        if count == 1 { one.to_owned() } else { format!("{count} {more}") }
    };
    let mut line = format!(
        "{} in {}: {passed} passed, {failed} failed",
        many(passed + failed, "1 test", "tests"),
        many(rules as u64, "1 rule", "rules")
    );
    match found.without_tests {
        0 => {}
        1 => line.push_str("; 1 rule has no tests"),
        more => line.push_str(&format!("; {more} rules have no tests")),
    }
    match found.others {
        0 => {}
        1 => line.push_str("; 1 file is no rule"),
        more => line.push_str(&format!("; {more} files are no rules")),
    }
    let tone = if failed == 0 { style::Tone::Good } else { style::Tone::Bad };
    output::say(&style::out(&line, tone));
}

fn offline(what: &[PathBuf]) -> Result<Found, Failure> {
    let mut found = Found::default();
    let mut rules = 0;
    for path in what {
        let folder = path.is_dir();
        let mut named = Vec::new();
        if folder {
            rule_files(path, 0, &mut named)?
        } else {
            named.push(path.clone())
        }
        for file in named {
            let document = match files::document(&file) {
                Ok(document) => document,
                Err(Failure::Problems(problems)) => {
                    found.problems.extend(problems);
                    continue;
                }
                Err(other) => return Err(other),
            };
            // Folders hold channels, events and what not.
            let schema = document.get("schema").and_then(Value::as_str).unwrap_or_default();
            if folder && !schema.starts_with("notify-rule@") {
                found.others += 1;
                continue;
            }
            rules += 1;
            let report = match check::value(Kind::Rule, &document).map(|checked| checked.parsed) {
                Ok(Parsed::Rule(rule)) if rule.tests.is_empty() => {
                    found.without_tests += 1;
                    continue;
                }
                Ok(Parsed::Rule(rule)) => rule_tests::run(&rule),
                Ok(_) => continue,
                Err(problem) => Err(problem),
            };
            match report {
                Ok(report) => found.reports.push(placed(json!(report), files::name(&file))),
                Err(problem) => found.problems.push((Some(files::name(&file)), problem)),
            }
        }
    }
    if rules == 0 && found.problems.is_empty() {
        let fix = "name files or folders with rules (`*.yaml`, `*.yml`, `*.json`)";
        return Err(Failure::other("there is no rule here", fix));
    }
    Ok(found)
}

fn placed(mut report: Value, place: String) -> Value {
    if let Value::Object(members) = &mut report {
        members.insert("place".to_owned(), place.into());
    }
    report
}

/// Documents below a folder, by name. Links are not followed: they may lead in a circle.
fn rule_files(folder: &Path, depth: usize, into: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::other(format!("{} cannot be read: {error}", folder.display()), "");
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut entries = entries.map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let document =
            path.extension().is_some_and(|e| ["yaml", "yml", "json"].iter().any(|known| e == *known));
        if kind.is_dir() && !hidden && depth < MAX_DEPTH {
            rule_files(&path, depth + 1, into)?;
        } else if kind.is_file() && !hidden && document {
            into.push(path);
        }
    }
    Ok(())
}

async fn online(global: &Global, asked: &TestArgs) -> Result<Found, Failure> {
    let client = Client::new(global)?;
    let mut rules = Vec::new();
    if asked.what.is_empty() {
        rules = client.documents(Documents::Rules, asked.limit).await?;
    }
    for id in &asked.what {
        rules.push(client.document(Documents::Rules, &id.to_string_lossy(), None).await?);
    }
    let mut found = Found::default();
    for stored in rules {
        if list(&stored.document, "tests").next().is_none() {
            found.without_tests += 1;
            continue;
        }
        let place = format!("rule {}", stored.id);
        match client.test_rule(stored.document.to_string().into_bytes()).await {
            Ok(report) => found.reports.push(placed(report, place)),
            Err(notify_client::Error::Problem(problem)) => match problem_of(&json!(problem)) {
                Some(problem) => found.problems.push((Some(place), problem)),
                None => return Err(notify_client::Error::Problem(problem).into()),
            },
            Err(other) => return Err(other.into()),
        }
    }
    Ok(found)
}
