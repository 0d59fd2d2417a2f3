//! `notify rule test`: the tests that stand in rules, from files without a service or from the service's own rules.

use super::rule_set::sources::{self, Source};
use super::rules::{list, text};
use crate::args::{Format, Global};
use crate::client::{Client, problem_of};
use crate::failure::{Failure, printable};
use crate::{output, style};
use clap::Args;
use notify_client::Documents;
use notify_core::document::Kind;
use notify_core::problem::Problem;
use notify_core::rule_tests;
use notify_webservice::documents::check::{self, Parsed};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct TestArgs {
    /// Files and folders with rules, as `rule apply` reads them, `-` for standard input; with `--online` ids of saved rules (none: all).
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
    /// Documents that are no rules.
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
                "refused": found.problems.iter().map(refused).collect::<Vec<_>>(), "passedOver": found.others,
            }),
        ),
    }
    match (found.problems.is_empty(), failed) {
        (false, _) => Err(Failure::Problems(found.problems)),
        (true, 0) => Ok(()),
        (true, _) => Err(Failure::Said),
    }
}

fn refused((place, problem): &(Option<String>, Problem)) -> Value {
    let Problem { code, path, reason, fix, .. } = problem;
    json!({ "place": place, "code": code.as_str(), "path": path, "reason": reason, "fix": fix })
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
                printable(text(hint, "/reason"))
            ));
            output::say(&format!("  {}", printable(text(hint, "/fix"))));
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
    if found.others > 0 {
        line.push_str(&format!("; {}", sources::passed_over_text(found.others)));
    }
    match found.problems.len() {
        0 => {}
        1 => line.push_str("; 1 rule was refused"),
        more => line.push_str(&format!("; {more} rules were refused")),
    }
    let tone = if failed == 0 && found.problems.is_empty() { style::Tone::Good } else { style::Tone::Bad };
    output::say(&style::out(&line, tone));
}

fn offline(what: &[PathBuf]) -> Result<Found, Failure> {
    let sources = sources::read(what, false)?;
    let mut found = Found { others: sources.passed_over(), ..Found::default() };
    let none = sources.rules.is_empty() && sources.refused.is_empty();
    for refused in sources.refused {
        found.problems.push((Some(refused.place), refused.problem));
    }
    for Source { place, rule } in sources.rules {
        let report = match check::value(Kind::Rule, &rule).map(|checked| checked.parsed) {
            Ok(Parsed::Rule(rule)) if rule.tests.is_empty() => {
                found.without_tests += 1;
                continue;
            }
            Ok(Parsed::Rule(rule)) => rule_tests::run(&rule),
            Ok(_) => continue,
            Err(problem) => Err(problem),
        };
        match report {
            Ok(report) => found.reports.push(placed(json!(report), place)),
            Err(problem) => found.problems.push((Some(place), problem)),
        }
    }
    if none {
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
