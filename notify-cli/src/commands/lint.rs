//! `notify rule lint`: what is suspicious about rules, in files or saved.

use crate::args::{Format, Global, LintArgs};
use crate::client::Client;
use crate::failure::{Failure, printable};
use crate::style::{self, Tone};
use crate::{files, output};
use notify_core::document::{EventType, Kind, Rule, rule};
use notify_core::lint::{self, Finding};
use notify_core::problem::{Code, Problem};
use notify_webservice::documents::check::{self, Parsed};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Folders inside each other.
const MAX_DEPTH: usize = 16;
/// Beginning of every `schema` of ours.
const OURS: &str = "notify-";

/// What was looked at and found, in the form of the API with a `file` for each finding.
#[derive(Default)]
struct Report {
    rules: usize,
    findings: Vec<Value>,
    omitted: u64,
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
        for path in paths {
            if path.is_dir() {
                let mut inside = Vec::new();
                search(path, 0, &mut inside)?;
                inside.sort();
                for file in &inside {
                    found.take(file, true)?;
                }
            } else {
                found.take(path, false)?;
            }
        }
        Ok(found)
    }

    fn take_type(&mut self, parsed: Parsed) {
        if let Parsed::EventType(event_type) = parsed {
            self.types.push(*event_type);
        }
    }

    /// `searched`: found in a folder, where other documents may lie too.
    fn take(&mut self, path: &Path, searched: bool) -> Result<(), Failure> {
        let file = files::name(path);
        let document = match files::document(path) {
            Ok(document) => document,
            Err(Failure::Problems(problems)) => {
                let findings = problems.iter().map(|(_, problem)| Finding::invalid("", problem));
                self.invalid.extend(findings.map(|finding| (file.clone(), finding)));
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        let schema = document.get("schema").and_then(Value::as_str).unwrap_or_default();
        let is_type = schema.starts_with("notify-event-type@");
        let is_rule = schema.starts_with("notify-rule@");
        // A folder may hold anything; a rule that only misses its `schema` is told apart by what it does.
        let has = |name: &str| document.get(name).is_some();
        let like_a_rule = has("actions") && (has("match") || has("filters")) && !schema.starts_with(OURS);
        if searched && !is_type && !is_rule && !like_a_rule {
            return Ok(());
        }
        let kind = if is_type { Kind::EventType } else { Kind::Rule };
        match check::value(kind, &document) {
            Ok(checked) => match checked.parsed {
                Parsed::Rule(rule) => self.take_rule(file, *rule, document),
                other => self.take_type(other),
            },
            Err(problem) => {
                let id = document.get("id").and_then(Value::as_str).unwrap_or_default();
                self.invalid.push((file, Finding::invalid(id, &problem)));
            }
        }
        Ok(())
    }

    fn take_rule(&mut self, file: String, rule: Rule, document: Value) {
        if let Some((first, ..)) = self.rules.iter().find(|(_, known, _)| known.id == rule.id) {
            let reason = format!("the id `{}` is that of a rule in {first} too", rule.id);
            let problem = Problem::new(Code::AlreadyExists, "/id", reason, "give each rule an id of its own");
            self.invalid.push((file, Finding::invalid(rule.id.as_str(), &problem)));
        } else {
            self.rules.push((file, rule, document));
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
        let mut report = Report { rules: rules.len(), ..Report::default() };
        for finding in lint::lint(&rules, &self.types) {
            report.push(file_of.get(finding.rule.as_str()).copied(), &json!(finding));
        }
        report.invalid(&self.invalid);
        Ok(report)
    }

    /// Each as if it were saved among the tenant's rules.
    async fn online(self, client: &Client) -> Result<Report, Failure> {
        self.nothing()?;
        let mut report = Report::default();
        for (file, _, document) in &self.rules {
            report.add(Some(file), &client.lint(Some(document)).await?);
        }
        report.invalid(&self.invalid);
        Ok(report)
    }
}

fn search(folder: &Path, depth: usize, into: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::other(format!("{} cannot be read: {error}", folder.display()), "");
    if depth > MAX_DEPTH {
        let reason = format!("{} is deeper than {MAX_DEPTH} folders", folder.display());
        return Err(Failure::other(reason, "name a folder further in"));
    }
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        // Links to folders are not followed: they may lead in a circle.
        if entry.file_type().map_err(failed)?.is_dir() {
            search(&path, depth + 1, into)?;
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json") && path.is_file()
        {
            into.push(path);
        }
    }
    Ok(())
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
            Format::Table => output::say(&printable(&self.text())),
            format => {
                let whole =
                    json!({ "rules": self.rules, "findings": self.findings, "omitted": self.omitted });
                output::structured(format, &whole);
            }
        }
    }

    fn text(&self) -> String {
        let mut out = String::new();
        for finding in &self.findings {
            let severity = text(finding, "severity");
            let tone = match severity {
                "error" => Tone::Bad,
                "warning" => Tone::Caution,
                _ => Tone::Strong,
            };
            let head = style::out(&format!("{severity}[{}]", text(finding, "code")), tone);
            let of = match (text(finding, "file"), text(finding, "rule")) {
                ("", rule) => format!("rule {rule}"),
                (file, "") => file.to_owned(),
                (file, rule) => format!("{file} (rule {rule})"),
            };
            let at = match text(finding, "path") {
                "" => String::new(),
                path => format!(" at {path}"),
            };
            let _ = writeln!(out, "{head}: {of}{at}: {}", text(finding, "reason"));
            let _ = writeln!(out, "  fix: {}", text(finding, "fix"));
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
        out
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
