//! YAML 1.2 with its core schema, as far as it is JSON: what people write rules in.
//!
//! `no`, `on` and `12:30` are texts here, a duplicate key is an error, and what makes a file mean more than it shows
//! (anchors, aliases, tags, merge keys, several documents) is refused. Each refusal names line and column.

mod emit;

pub use emit::to_yaml;

use crate::json::{self, JsonFault, Limits, pointer_token};
use crate::problem::{Code, Problem};
use saphyr_parser::{Event, Marker, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

/// Bounds on a rule, channel, template or bundle: 256 KiB, depth 64.
pub const DOCUMENT_LIMITS: Limits = Limits { max_bytes: 256 * 1024, max_depth: 64 };

/// Reads a document that is YAML or JSON, as its media type says. Without one, a text that starts with `{` or `[` is
/// tried as JSON first.
///
/// # Errors
/// A [`Problem`] with the place; [`Code::UnsupportedMediaType`] for another media type.
pub fn parse_document(bytes: &[u8], content_type: Option<&str>, limits: Limits) -> Result<Value, Problem> {
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" | "text/json" => Ok(json::parse(bytes, limits)?),
        "application/yaml" | "application/x-yaml" | "text/yaml" | "text/x-yaml" => parse(bytes, limits),
        "" => {
            let json_like = matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['));
            match if json_like { Some(json::parse(bytes, limits)) } else { None } {
                Some(Ok(value)) => Ok(value),
                // Flow-style YAML starts like this too; if it is neither, it was more likely meant as JSON.
                Some(Err(fault @ JsonFault::Syntax { .. })) => parse(bytes, limits).map_err(|_| fault.into()),
                Some(Err(fault)) => Err(fault.into()),
                None => parse(bytes, limits),
            }
        }
        other if other.ends_with("+json") => Ok(json::parse(bytes, limits)?),
        other if other.ends_with("+yaml") => parse(bytes, limits),
        other => {
            let shown: String = other.chars().take(80).collect();
            let reason = format!("documents are YAML or JSON, not `{shown}`");
            let fix = "send `Content-Type: application/yaml` or `application/json`";
            Err(Problem::new(Code::UnsupportedMediaType, "content-type", reason, fix))
        }
    }
}

/// Reads one YAML document.
///
/// # Errors
/// A [`Problem`] whose reason ends with line and column.
pub fn parse(bytes: &[u8], limits: Limits) -> Result<Value, Problem> {
    if bytes.len() > limits.max_bytes {
        let reason =
            format!("the YAML text has {} bytes, more than the {} allowed", bytes.len(), limits.max_bytes);
        return Err(Problem::new(
            Code::TooLarge,
            "",
            reason,
            "send less, or ask the operator to raise the limit",
        ));
    }
    let text = text(bytes)?;
    let mut loader = Loader { open: Vec::new(), done: None, max_depth: limits.max_depth };
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| {
            let fault = fault(Code::MalformedYaml, error.info(), "correct the YAML there");
            loader.place(fault, *error.marker())
        })?;
        loader.take(event).map_err(|fault| loader.place(fault, span.start))?;
    }
    loader.done.ok_or_else(|| {
        Problem::new(
            Code::MalformedYaml,
            "",
            "the document is empty",
            "write a mapping of `key: value` lines",
        )
    })
}

fn text(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)).map_err(|error| {
        let reason = format!("the text is not UTF-8 (byte {})", error.valid_up_to());
        Problem::new(Code::MalformedYaml, "", reason, "save the file as UTF-8")
    })
}

/// Reads every document of a YAML text, for files that hold several; empty ones are left out.
///
/// # Errors
/// A [`Problem`] whose reason ends with line and column, and the number of the document it is in (from 0).
pub fn parse_all(bytes: &[u8], max_depth: usize) -> Result<Vec<Value>, (usize, Problem)> {
    let mut all = Vec::new();
    let mut loader = Loader { open: Vec::new(), done: None, max_depth };
    let mut number = 0;
    for next in Parser::new_from_str(text(bytes).map_err(|problem| (0, problem))?) {
        let (event, span) = next.map_err(|error| {
            let fault = fault(Code::MalformedYaml, error.info(), "correct the YAML there");
            (number, loader.place(fault, *error.marker()))
        })?;
        let ends = matches!(event, Event::DocumentEnd);
        loader.take(event).map_err(|fault| (number, loader.place(fault, span.start)))?;
        if ends {
            number += 1;
            all.extend(loader.done.take().filter(|document| !document.is_null()));
        }
    }
    Ok(all)
}

/// A container that has begun and not ended.
enum Open {
    Array(Vec<Value>),
    Object { members: Map<String, Value>, key: Option<String> },
}

struct Loader {
    open: Vec<Open>,
    done: Option<Value>,
    max_depth: usize,
}

type Fault = (Code, String, &'static str);

fn fault(code: Code, reason: &str, fix: &'static str) -> Fault {
    (code, reason.to_owned(), fix)
}

fn unsupported(reason: &str, fix: &'static str) -> Fault {
    fault(Code::MalformedYaml, reason, fix)
}

impl Loader {
    fn take(&mut self, event: Event<'_>) -> Result<(), Fault> {
        match event {
            Event::DocumentStart(_) if self.done.is_some() => Err(unsupported(
                "the file holds more than one document",
                "put each document into a file of its own",
            )),
            Event::Alias(_) => Err(unsupported("aliases (`*name`) are not read", "write the value out")),
            Event::SequenceStart(anchor, tag) => {
                plain_node(anchor, tag.is_some())?;
                self.begin(Open::Array(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                plain_node(anchor, tag.is_some())?;
                self.begin(Open::Object { members: Map::new(), key: None })
            }
            Event::Scalar(text, style, anchor, tag) => {
                plain_node(anchor, tag.is_some())?;
                let plain = style == ScalarStyle::Plain;
                if self.awaits_key() {
                    self.key(&text, plain)
                } else {
                    let value = if plain { resolve(&text)? } else { Value::from(text.into_owned()) };
                    self.value(value);
                    Ok(())
                }
            }
            Event::SequenceEnd | Event::MappingEnd => {
                match self.open.pop() {
                    Some(Open::Array(items)) => self.value(Value::Array(items)),
                    Some(Open::Object { members, .. }) => self.value(Value::Object(members)),
                    None => {}
                }
                Ok(())
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Open::Object { key: None, .. }))
    }

    fn begin(&mut self, container: Open) -> Result<(), Fault> {
        if self.awaits_key() {
            return Err(unsupported("a key is a list or a mapping", "use a text as key"));
        }
        if self.open.len() >= self.max_depth {
            let reason = format!("the document is nested deeper than {} levels", self.max_depth);
            return Err(fault(Code::TooDeep, &reason, "flatten the document"));
        }
        self.open.push(container);
        Ok(())
    }

    fn key(&mut self, text: &str, plain: bool) -> Result<(), Fault> {
        if plain && text == "<<" {
            return Err(unsupported("merge keys (`<<`) are not read", "write the members out"));
        }
        if plain && !resolve(text).is_ok_and(|value| value.is_string()) {
            let reason = format!("the key `{text}` is not a text");
            return Err(unsupported(&reason, "put it in quotes"));
        }
        let Some(Open::Object { members, key }) = self.open.last_mut() else { return Ok(()) };
        if members.contains_key(text) {
            let reason = format!("the key `{text}` appears twice");
            return Err(fault(Code::DuplicateKey, &reason, "keep one of them"));
        }
        *key = Some(text.to_owned());
        Ok(())
    }

    fn value(&mut self, value: Value) {
        match self.open.last_mut() {
            None => self.done = Some(value),
            Some(Open::Array(items)) => items.push(value),
            Some(Open::Object { members, key }) => {
                if let Some(key) = key.take() {
                    members.insert(key, value);
                }
            }
        }
    }

    /// The place of a fault: a JSON Pointer to the innermost container or member, and line and column.
    fn place(&self, (code, reason, fix): Fault, at: Marker) -> Problem {
        let mut path = String::new();
        for (level, container) in self.open.iter().enumerate() {
            match container {
                // The last container's next element has not begun.
                Open::Array(_) if level + 1 == self.open.len() => {}
                Open::Array(items) => path.push_str(&format!("/{}", items.len())),
                Open::Object { key: Some(key), .. } => path.push_str(&format!("/{}", pointer_token(key))),
                Open::Object { key: None, .. } => {}
            }
        }
        let reason = format!("{reason} (line {}, column {})", at.line(), at.col() + 1);
        Problem::new(code, path, reason, fix)
    }
}

fn plain_node(anchor: usize, tagged: bool) -> Result<(), Fault> {
    if anchor != 0 {
        return Err(unsupported("anchors (`&name`) are not read", "write the value where it is used"));
    }
    if tagged {
        return Err(unsupported("tags (`!name`) are not read", "leave the tag out; put texts in quotes"));
    }
    Ok(())
}

/// The core schema (YAML 1.2.2, section 10.3.2) for a plain scalar.
fn resolve(text: &str) -> Result<Value, Fault> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => match number(text)? {
            Some(number) => Value::Number(number),
            None => Value::from(text),
        },
    })
}

/// `None`: a text.
fn number(text: &str) -> Result<Option<Number>, Fault> {
    let beyond = || unsupported("the number is too large", "put it in quotes to have a text");
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        let digits = text.strip_prefix(prefix).filter(|digits| !digits.is_empty());
        if let Some(digits) = digits.filter(|digits| digits.chars().all(|c| c.is_digit(radix))) {
            return u64::from_str_radix(digits, radix).map(|n| Some(n.into())).map_err(|_| beyond());
        }
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err(unsupported(
            "infinity and not-a-number do not exist in JSON",
            "put it in quotes to have a text",
        ));
    }
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if unsigned.is_empty() || !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return Ok(None);
    }
    if digits(unsigned) {
        let parsed = match text.strip_prefix('-') {
            Some(_) => text.parse::<i64>().map(Number::from),
            None => unsigned.parse::<u64>().map(Number::from),
        };
        return parsed.map(Some).map_err(|_| beyond());
    }
    let (mantissa, exponent) =
        unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_ok = exponent.is_none_or(|exponent| {
        let unsigned = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !unsigned.is_empty() && digits(unsigned)
    });
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) || !exponent_ok {
        return Ok(None);
    }
    let parsed = text.parse::<f64>().ok().and_then(Number::from_f64);
    parsed.map(Some).ok_or_else(beyond)
}

#[cfg(test)]
mod tests;
