//! `notify rule lint`: what is suspicious about rules, in files or saved.

use crate::args::{Format, Global, LintArgs};
use crate::client::Client;
use crate::commands::rule_set::sources;
use crate::failure::{Failure, printable};
use crate::style::{self, Tone};
use crate::{files, output, progress};
use notify_core::document::{EventType, Kind, Rule, rule};
use notify_core::lint::{self, Finding};
use notify_webservice::documents::check::{self, Parsed};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

/// What was looked at and found, in the form of the API with a `file` for each finding.
#[derive(Default)]
struct Report {
    rules: usize,
    findings: Vec<Value>,
    omitted: u64,
    /// Documents of files that are neither rules nor event types.
    passed_over: usize,
}

pub async fn run(global: &Global, arguments: LintArgs) -> Result<(), Failure> {
    let report = if arguments.files.is_empty() {
        if !arguments.schema.is_empty() {
            let fix = "name files, or register the event type: `notify event-type create`";
            return Err(Failure::usage(
                "`--schema` is for files; saved rules know the saved event types",
                fix,
            ));
        }
        let mut report = Report::default();
        report.add(None, &Client::new(global)?.lint(None).await?);
        report
    } else {
        let found = Found::read(&arguments.files, &arguments.schema)?;
        if arguments.online { found.online(&Client::new(global)?).await? } else { found.offline()? }
    };
    report.print(global.output);
    let count = |level| report.count(level);
    if count("error") > 0 || (arguments.strict && count("warning") > 0) {
        return Err(Failure::Said);
    }
    Ok(())
}

/// The rules and event types of files.
#[derive(Default)]
struct Found {
    /// With their files, and as they are written.
    rules: Vec<(String, Rule, Value)>,
    types: Vec<EventType>,
    invalid: Vec<(String, Finding)>,
    /// Documents that are neither.
    others: usize,
}

impl Found {
    fn read(paths: &[PathBuf], schemas: &[PathBuf]) -> Result<Self, Failure> {
        let mut found = Self::default();
        for path in schemas {
            let document = files::document(path)?;
            let checked =
                check::value(Kind::EventType, &document).map_err(|problem| files::about(path, problem))?;
            found.take_type(checked.parsed);
        }
        let sources = sources::read(paths, false)?;
        found.others = sources.others;
        for refused in sources.refused {
            found.invalid.push((refused.place, Finding::invalid(&refused.id, &refused.problem)));
        }
        for (place, document) in sources.event_types {
            found.take(Kind::EventType, place, document);
        }
        for source in sources.rules {
            found.take(Kind::Rule, source.place, source.rule);
        }
        Ok(found)
    }

    fn take(&mut self, kind: Kind, place: String, document: Value) {
        match check::value(kind, &document) {
            Ok(checked) => match checked.parsed {
                Parsed::Rule(rule) => self.rules.push((place, *rule, document)),
                other => self.take_type(other),
            },
            Err(problem) => {
                let id = document.get("id").and_then(Value::as_str).unwrap_or_default();
                self.invalid.push((place, Finding::invalid(id, &problem)));
            }
        }
    }

    fn take_type(&mut self, parsed: Parsed) {
        if let Parsed::EventType(event_type) = parsed {
            self.types.push(*event_type);
        }
    }

    fn nothing(&self) -> Result<(), Failure> {
        if self.rules.is_empty() && self.invalid.is_empty() {
            let fix = format!("a rule file says `schema: {}`", rule::SCHEMA);
            return Err(Failure::other("there is no rule in what was named", fix));
        }
        Ok(())
    }

    fn offline(self) -> Result<Report, Failure> {
        self.nothing()?;
        let rules: Vec<Rule> = self.rules.iter().map(|(_, rule, _)| rule.clone()).collect();
        let file_of: BTreeMap<&str, &str> =
            self.rules.iter().map(|(file, rule, _)| (rule.id.as_str(), file.as_str())).collect();
        let mut report = Report { rules: rules.len(), passed_over: self.others, ..Report::default() };
        for finding in lint::lint(&rules, &self.types) {
            report.push(file_of.get(finding.rule.as_str()).copied(), &json!(finding));
        }
        report.invalid(&self.invalid);
        Ok(report)
    }

    /// Each as if it were saved among the tenant's rules.
    async fn online(self, client: &Client) -> Result<Report, Failure> {
        self.nothing()?;
        let mut report = Report { passed_over: self.others, ..Report::default() };
        let bar = progress::bar(self.rules.len() as u64, "looking at rules");
        for (file, _, document) in &self.rules {
            report.add(Some(file), &client.lint(Some(document)).await?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        report.invalid(&self.invalid);
        Ok(report)
    }
}

impl Report {
    fn push(&mut self, file: Option<&str>, finding: &Value) {
        let mut finding = finding.clone();
        if let (Some(file), Value::Object(members)) = (file, &mut finding) {
            members.insert("file".to_owned(), file.into());
        }
        self.findings.push(finding);
    }

    /// An answer of the service.
    fn add(&mut self, file: Option<&str>, answer: &Value) {
        let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or_default();
        self.rules += usize::try_from(number("rules")).unwrap_or(usize::MAX);
        self.omitted += number("omitted");
        for finding in answer.get("findings").and_then(Value::as_array).into_iter().flatten() {
            self.push(file, finding);
        }
    }

    fn invalid(&mut self, invalid: &[(String, Finding)]) {
        self.rules += invalid.len();
        for (file, finding) in invalid {
            self.push(Some(file), &json!(finding));
        }
    }

    fn count(&self, level: &str) -> usize {
        self.findings.iter().filter(|finding| text(finding, "severity") == level).count()
    }

    fn print(&self, format: Format) {
        match format {
            Format::Table => output::say(&self.text(style::out)),
            format => {
                let whole = json!({
                    "rules": self.rules, "findings": self.findings, "omitted": self.omitted,
                    "passedOver": self.passed_over,
                });
                output::structured(format, &whole);
            }
        }
    }

    fn text(&self, paint: style::Painter) -> String {
        let mut out = String::new();
        for finding in &self.findings {
            // Before it is coloured: what is printable has no colours.
            let [severity, code, file, rule, path, reason, fix] =
                ["severity", "code", "file", "rule", "path", "reason", "fix"]
                    .map(|name| printable(text(finding, name)));
            let tone = match severity.as_str() {
                "error" => Tone::Bad,
                "warning" => Tone::Caution,
                _ => Tone::Strong,
            };
            let head = paint(&format!("{severity}[{code}]"), tone);
            let of = match (file.as_str(), rule.as_str()) {
                ("", rule) => format!("rule {rule}"),
                (file, "") => file.to_owned(),
                (file, rule) => format!("{file} (rule {rule})"),
            };
            let at = if path.is_empty() { path } else { format!(" at {path}") };
            let _ = writeln!(out, "{head}: {of}{at}: {reason}");
            let _ = writeln!(out, "  fix: {fix}");
        }
        if self.omitted > 0 {
            let _ = writeln!(out, "{} more findings were left out.", self.omitted);
        }
        let many = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        let counts = [
            many(self.count("error"), "error"),
            many(self.count("warning"), "warning"),
            many(self.count("info"), "note"),
        ];
        let _ = write!(out, "{}: {}", many(self.rules, "rule"), counts.join(", "));
        if self.passed_over > 0 {
            let _ = write!(out, "; {}", sources::passed_over_text(self.passed_over));
        }
        out
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_whole_and_what_is_told_has_none() {
        let finding = json!({
            "severity": "error", "code": "never-matches", "file": "a\u{1b}[2J.yaml", "rule": "r", "path": "/\u{1b}x",
            "reason": "no\u{1b}[31m", "fix": "it\r",
        });
        let report = Report { rules: 1, findings: vec![finding], passed_over: 2, ..Report::default() };
        assert_eq!(
            report.text(style::forced),
            "\u{1b}[31merror[never-matches]\u{1b}[0m: a\u{fffd}[2J.yaml (rule r) at /\u{fffd}x: no\u{fffd}[31m\n  fix: \
             it\u{fffd}\n1 rule: 1 error, 0 warnings, 0 notes; 2 documents of other kinds were passed over"
        );
    }
}
