//! `notify rule eval`: patterns and events with the verdicts that somebody expects, judged without a service.
//!
//! Files are read line by line, so that their length costs no memory.

use super::rule_explain::explanation_text;
use crate::args::Format;
use crate::failure::{Failure, printable};
use crate::{files, output, style};
use clap::Args;
use notify_core::json::{self, Limits};
use notify_core::pattern::Pattern;
use notify_core::problem::Problem;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Bytes of one line; longer ones are refused unread.
const MAX_LINE: usize = 4 * 1024 * 1024;
const A_LINE: &str = "write one JSON object a line, as `resources/patterns/cases.jsonl` has them";
/// Differences kept for JSON and YAML; all are counted.
const MAX_KEPT: usize = 1_000;

#[derive(Debug, Args)]
pub struct EvalArgs {
    /// Objects with `name`, `pattern`, `event` and `matches`, one a line (JSON Lines); `-` reads standard input.
    #[arg(long, required_unless_present_any = ["invalid", "pattern"], conflicts_with_all = ["pattern", "event"])]
    pub cases: Option<PathBuf>,
    /// Objects with `name` and `pattern_text` (or `pattern`), which have to be refused, one a line; with `path` also the
    /// place is compared.
    #[arg(long, conflicts_with_all = ["pattern", "event"])]
    pub invalid: Option<PathBuf>,
    /// One pattern: a file, or JSON in place of it.
    #[arg(long, requires = "event")]
    pub pattern: Option<String>,
    /// One event: a file, or JSON in place of it. Any JSON, not only a CloudEvent.
    #[arg(long, requires = "pattern")]
    pub event: Option<String>,
}

pub fn run(format: Format, asked: &EvalArgs) -> Result<(), Failure> {
    if let (Some(pattern), Some(event)) = (&asked.pattern, &asked.event) {
        return single(format, pattern, event);
    }
    let mut result = Counted { format, ..Counted::default() };
    let judged = result.judge(asked.cases.as_deref(), case);
    let judged = judged.and_then(|()| result.judge(asked.invalid.as_deref(), invalid));
    // What was judged before a line that cannot be read is told all the same.
    let agreed = result.finish(judged.is_ok());
    judged.and(agreed)
}

fn single(format: Format, pattern: &str, event: &str) -> Result<(), Failure> {
    let pattern = Pattern::compile(&inline_or_file(pattern)?)?;
    let explanation = pattern.explain(&inline_or_file(event)?);
    match format {
        Format::Table => {
            let (word, tone) = match explanation.matched {
                true => ("matches", style::Tone::Good),
                false => ("does not match", style::Tone::Bad),
            };
            output::say(&format!("{}\n\n{}", style::out(word, tone), explanation_text(&json!(explanation))));
        }
        format => output::structured(format, &json!(explanation)),
    }
    if explanation.matched { Ok(()) } else { Err(Failure::Said) }
}

/// A text that begins like an object or a list is one; anything else names a file.
fn inline_or_file(text: &str) -> Result<Value, Failure> {
    if text.trim_start().starts_with(['{', '[']) {
        Ok(strict(text)?)
    } else {
        files::document(Path::new(text))
    }
}

fn strict(text: &str) -> Result<Value, Problem> {
    Ok(json::parse(text.as_bytes(), Limits { max_bytes: MAX_LINE, max_depth: 64 })?)
}

/// One case whose verdict is not the expected one.
struct Difference {
    name: String,
    line: u64,
    expected: &'static str,
    got: String,
    why: String,
}

#[derive(Default)]
struct Counted {
    format: Format,
    cases: u64,
    different: u64,
    kept: Vec<Value>,
}

impl Counted {
    fn judge(
        &mut self,
        file: Option<&Path>,
        one: fn(u64, &str) -> Result<Option<Difference>, String>,
    ) -> Result<(), Failure> {
        let Some(file) = file else { return Ok(()) };
        let before = self.cases;
        each_line(file, |number, line| {
            let difference = one(number, line)?;
            self.cases += 1;
            if let Some(difference) = difference {
                self.differs(difference);
            }
            Ok(())
        })?;
        if self.cases == before {
            return Err(Failure::other(format!("{} holds no case", files::name(file)), A_LINE));
        }
        Ok(())
    }

    fn differs(&mut self, difference: Difference) {
        self.different += 1;
        let Difference { name, line, expected, got, why } = difference;
        if self.format == Format::Table {
            let head = style::out("differs", style::Tone::Bad);
            output::say(&format!(
                "{head} {} (line {line}): expected {expected}, got {}",
                printable(&name),
                printable(&got)
            ));
            output::say(&format!("  {}", printable(&why)));
        } else if self.kept.len() < MAX_KEPT {
            self.kept
                .push(json!({ "name": name, "line": line, "expected": expected, "got": got, "why": why }));
        }
    }

    fn finish(self, complete: bool) -> Result<(), Failure> {
        let agree = self.cases.saturating_sub(self.different);
        match self.format {
            Format::Table => {
                let tone = if self.different == 0 && complete { style::Tone::Good } else { style::Tone::Bad };
                let cases = if self.cases == 1 { "case" } else { "cases" };
                let line = format!("{} {cases}: {agree} agree, {} differ", self.cases, self.different);
                output::say(&style::out(&line, tone));
            }
            format => output::structured(
                format,
                &json!({ "cases": self.cases, "agree": agree, "differ": self.different, "differing": self.kept, "complete": complete }),
            ),
        }
        if self.different == 0 { Ok(()) } else { Err(Failure::Said) }
    }
}

/// The members of one line with their texts as they are written: a number keeps its spelling, and a key that is
/// written twice in the pattern is the pattern's fault, not the line's.
struct Members<'l>(BTreeMap<String, &'l RawValue>);

impl<'l> Deserialize<'l> for Members<'l> {
    fn deserialize<D: Deserializer<'l>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;
        impl<'l> Visitor<'l> for Once {
            type Value = Members<'l>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'l>>(self, mut map: A) -> Result<Members<'l>, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, &'l RawValue>()? {
                    if members.contains_key(&name) {
                        return Err(A::Error::custom(format!("the key `{name}` appears twice")));
                    }
                    members.insert(name, value);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Once)
    }
}

impl<'l> Members<'l> {
    fn of(line: &'l str) -> Result<Self, String> {
        serde_json::from_str(line).map_err(|error| format!("not a JSON object: {error}"))
    }

    fn need(&self, name: &str) -> Result<&'l str, String> {
        self.0.get(name).map(|raw| raw.get()).ok_or_else(|| format!("`{name}` is missing"))
    }

    fn text(&self, name: &str) -> Result<Option<String>, String> {
        let Some(raw) = self.0.get(name) else { return Ok(None) };
        serde_json::from_str(raw.get()).map(Some).map_err(|_| format!("`{name}` is not a text"))
    }

    fn name(&self) -> Result<String, String> {
        Ok(self.text("name")?.unwrap_or_else(|| "without a name".to_owned()))
    }
}

fn case(line: u64, text: &str) -> Result<Option<Difference>, String> {
    let members = Members::of(text)?;
    let name = members.name()?;
    let (pattern, event) = (members.need("pattern")?, members.need("event")?);
    let expected: bool =
        serde_json::from_str(members.need("matches")?).map_err(|_| "`matches` is not true or false")?;
    let word = |matches: bool| if matches { "a match" } else { "no match" };
    let difference = |got: &str, why: String| {
        Ok(Some(Difference { name: name.clone(), line, expected: word(expected), got: got.to_owned(), why }))
    };
    let pattern = match strict(pattern).and_then(|pattern| Pattern::compile(&pattern)) {
        Ok(pattern) => pattern,
        Err(problem) => return difference("a refusal of the pattern", problem.to_string()),
    };
    let event = match strict(event) {
        Ok(event) => event,
        Err(problem) => return difference("a refusal of the event", problem.to_string()),
    };
    let got = pattern.matches(&event);
    if got == expected { Ok(None) } else { difference(word(got), pattern.explain(&event).sentence) }
}

fn invalid(line: u64, text: &str) -> Result<Option<Difference>, String> {
    let members = Members::of(text)?;
    let name = members.name()?;
    let pattern = match members.text("pattern_text")? {
        Some(pattern) => pattern,
        None => members.need("pattern").map_err(|_| "`pattern_text` is missing")?.to_owned(),
    };
    let place = members.text("path")?;
    let difference = |got: String, why: String| {
        Ok(Some(Difference { name: name.clone(), line, expected: "a refusal", got, why }))
    };
    match strict(&pattern).and_then(|pattern| Pattern::compile(&pattern)) {
        Ok(_) => difference("a pattern".to_owned(), format!("it was accepted: {pattern}")),
        Err(problem) => match place {
            Some(place) if place != problem.path => {
                difference(format!("one at `{}` instead of `{place}`", problem.path), problem.to_string())
            }
            _ => Ok(None),
        },
    }
}

/// Calls `each` with number and text of every line that is not blank.
fn each_line(file: &Path, mut each: impl FnMut(u64, &str) -> Result<(), String>) -> Result<(), Failure> {
    let name = files::name(file);
    let unreadable = |error: std::io::Error| Failure::other(format!("{name} cannot be read: {error}"), "");
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).map_err(unreadable)?)
    };
    let mut reader = BufReader::new(source);
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        number += 1;
        let read =
            reader.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line).map_err(unreadable)?;
        if read == 0 {
            return Ok(());
        }
        let refused = |reason: String| Failure::other(format!("{name}, line {number}: {reason}"), A_LINE);
        if line.len() > MAX_LINE {
            return Err(refused(format!("it has more than {MAX_LINE} bytes")));
        }
        let text = std::str::from_utf8(&line).map_err(|_| refused("it is not UTF-8".to_owned()))?;
        if !text.trim().is_empty() {
            each(number, text).map_err(refused)?;
        }
    }
}
