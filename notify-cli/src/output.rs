//! Printing: aligned tables for people, JSON and YAML for programs.

use crate::args::Format;
use crate::failure::printable;
use crate::style;
use notify_core::yaml;
use serde_json::Value;
use std::io::Write;
use unicode_width::UnicodeWidthStr;

/// One column of a table: its heading and the JSON Pointer of its value.
pub type Column = (&'static str, &'static str);

/// Longer cells are cut in tables; JSON and YAML show all.
const MAX_CELL: usize = 60;

/// Prints rows as a table, or `whole` as JSON or YAML.
pub fn list(format: Format, whole: &Value, rows: &[Value], columns: &[Column], nothing: &str) {
    match format {
        Format::Table if rows.is_empty() => say(nothing),
        Format::Table => say(&table(rows, columns)),
        _ => structured(format, whole),
    }
}

/// JSON or YAML; a table of a single thing is `fields`.
pub fn structured(format: Format, value: &Value) {
    match format {
        Format::Yaml => say(yaml::to_yaml(value).trim_end()),
        Format::Json | Format::Table => say(&format!("{value:#}")),
    }
}

/// Name and value, one a line, aligned.
pub fn fields(pairs: &[(&str, String)]) -> String {
    let shown = || pairs.iter().filter(|(_, value)| !value.is_empty());
    let width = shown().map(|(name, _)| name.width()).max().unwrap_or_default();
    let line = |(name, value): &(&str, String)| format!("{}  {}", pad(name, width), printable(value));
    shown().map(line).collect::<Vec<_>>().join("\n")
}

/// To standard output; a reader that went away (`| head`) ends the program quietly.
pub fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Left-aligned columns, two spaces apart; a column without any value is left out.
#[must_use]
pub fn table(rows: &[Value], columns: &[Column]) -> String {
    let mut shown: Vec<(&str, Vec<String>)> = columns
        .iter()
        .map(|(heading, pointer)| (*heading, rows.iter().map(|row| cell(row.pointer(pointer))).collect()))
        .collect();
    shown.retain(|(_, cells): &(&str, Vec<String>)| cells.iter().any(|cell| !cell.is_empty()));
    let widths: Vec<usize> = shown
        .iter()
        .map(|(heading, cells)| {
            cells.iter().map(|cell| cell.width()).max().unwrap_or_default().max(heading.width())
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<_> = cells.iter().zip(&widths).map(|(cell, width)| pad(cell, *width)).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(shown.iter().map(|(heading, _)| *heading).collect())];
    for index in 0..rows.len() {
        let cells = shown.iter().zip(&widths).map(|((heading, cells), width)| {
            let cell = cells.get(index).map_or("", String::as_str);
            let padded = pad(cell, *width);
            // Padded first: what makes a colour has no width.
            match style::of_state(cell).filter(|_| matches!(*heading, "STATE" | "THEN" | "STATUS" | "HOLDS"))
            {
                Some(tone) => style::out(&padded, tone),
                None => padded,
            }
        });
        lines.push(cells.collect::<Vec<_>>().join("  ").trim_end().to_owned());
    }
    lines.join("\n")
}

fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(", "),
        Some(Value::Bool(yes)) => if *yes { "yes" } else { "no" }.to_owned(),
        Some(other) => other.to_string(),
    };
    let text = printable(&text).replace(['\n', '\t'], " ");
    if text.width() <= MAX_CELL {
        return text;
    }
    let mut cut = String::new();
    for c in text.chars() {
        if cut.width() >= MAX_CELL - 1 {
            break;
        }
        cut.push(c);
    }
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables_align_by_width_and_drop_empty_columns() {
        let rows = [
            json!({"id": "a", "name": "Kurz", "on": true}),
            json!({"id": "läng-er", "name": "日本\u{1b}[31m"}),
        ];
        let shown = table(&rows, &[("ID", "/id"), ("GONE", "/gone"), ("NAME", "/name"), ("ON", "/on")]);
        assert_eq!(shown, "ID       NAME       ON\na        Kurz       yes\nläng-er  日本\u{fffd}[31m");
    }

    #[test]
    fn long_cells_are_cut() {
        let shown = table(&[json!({"x": "y".repeat(100)})], &[("X", "/x")]);
        assert_eq!(shown.lines().nth(1).map(UnicodeWidthStr::width), Some(MAX_CELL));
    }
}
