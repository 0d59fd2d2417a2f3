//! JSON values as readable YAML: block style, quotes only where needed, long texts as literal blocks.

use serde_json::Value;

/// Longest text that stands as an implicit key; YAML's own limit is 1,024 characters.
const MAX_IMPLICIT_KEY: usize = 1000;

/// Writes a value that [`super::parse`] (and any YAML 1.2 or 1.1 reader) reads back as the same value.
#[must_use]
pub fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(members) if !members.is_empty() => node(value, 0, &mut out),
        Value::Array(items) if !items.is_empty() => node(value, 0, &mut out),
        _ => {
            leaf(value, 0, &mut out);
            out.push('\n');
        }
    }
    out
}

/// A non-empty container whose first line's indentation is written already.
fn node(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(members) => {
            for (i, (key, member)) in members.iter().enumerate() {
                if i > 0 {
                    pad(indent, out);
                }
                let key = if is_plain(key) { key.clone() } else { quoted(key) };
                if key.len() > MAX_IMPLICIT_KEY {
                    out.push_str("? ");
                    out.push_str(&key);
                    out.push('\n');
                    pad(indent, out);
                } else {
                    out.push_str(&key);
                }
                out.push(':');
                if is_open(member) {
                    out.push('\n');
                    pad(indent + 2, out);
                    node(member, indent + 2, out);
                } else {
                    out.push(' ');
                    leaf(member, indent, out);
                    out.push('\n');
                }
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    pad(indent, out);
                }
                out.push_str("- ");
                if is_open(item) {
                    node(item, indent + 2, out);
                } else {
                    leaf(item, indent, out);
                    out.push('\n');
                }
            }
        }
        _ => {}
    }
}

fn is_open(value: &Value) -> bool {
    match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

fn pad(indent: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Anything that is not an open container, without its line end.
fn leaf(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::String(text) if is_plain(text) => out.push_str(text),
        Value::String(text) if is_block(text) => {
            out.push_str(if text.ends_with('\n') { "|" } else { "|-" });
            for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
                out.push('\n');
                if !line.is_empty() {
                    pad(indent + 2, out);
                    out.push_str(line);
                }
            }
        }
        Value::String(text) => out.push_str(&quoted(text)),
        Value::Object(_) => out.push_str("{}"),
        Value::Array(_) => out.push_str("[]"),
        other => out.push_str(&other.to_string()),
    }
}

/// Whether a text can stand without quotes and means itself to every reader, also those of YAML 1.1. Narrower than the
/// specification: it begins with a letter, `/` or `_`.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let first = |c: char| c.is_alphabetic() || c == '/' || c == '_';
    let inner = |c: char| c.is_alphanumeric() || " _-./@+:=,;()<>~^$!%&*'?\\\"|[]{}#".contains(c);
    text.starts_with(first)
        && !text.ends_with([' ', ':'])
        && text.chars().all(inner)
        && !text.contains(": ")
        && !text.contains(" #")
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// Whether a text of several lines can be a literal block: nothing that needs an escape, and neither its first line
/// (which sets the indentation) nor its last one needs an indicator.
fn is_block(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let printable = |c: char| matches!(c, '\n' | ' '..='~') || c.is_alphanumeric();
    body.contains('\n')
        && body.chars().all(printable)
        && !body.starts_with(['\n', ' '])
        && !body.ends_with('\n')
        && body.split('\n').all(|line| !line.ends_with(' '))
}

/// Double quotes with JSON's escapes, which are YAML's too, and more of them for what JSON leaves as it is.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(c),
            _ if c.is_alphanumeric() => out.push(c),
            _ if u32::from(c) <= 0xffff => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}
