//! Content lines: unfolding, names, parameters.

use std::iter::Peekable;

/// Longest line once unfolded, in bytes.
const MAX_LINE: usize = 16 * 1024;

/// `NAME;PARAM=value:value`.
#[derive(Debug, Clone)]
pub struct Line {
    /// Of its first physical line, from 1.
    pub number: usize,
    /// In upper case.
    pub name: String,
    /// Names in upper case, values without quotes.
    pub parameters: Vec<(String, String)>,
    pub value: String,
}

impl Line {
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The content lines of a text. Lines end with CRLF or LF; one that begins with a space or tab continues the last.
pub fn unfold(text: &str) -> impl Iterator<Item = Result<Line, (usize, String)>> + '_ {
    let physical =
        text.trim_start_matches('\u{feff}').split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let mut physical: Peekable<_> = physical.enumerate().peekable();
    std::iter::from_fn(move || {
        loop {
            let (index, first) = physical.next()?;
            let mut whole = first.to_owned();
            while let Some((_, more)) = physical.next_if(|(_, line)| line.starts_with([' ', '\t'])) {
                if whole.len() <= MAX_LINE {
                    whole.push_str(more.get(1..).unwrap_or_default());
                }
            }
            if whole.trim().is_empty() {
                continue;
            }
            let number = index + 1;
            return Some(if whole.len() > MAX_LINE {
                Err((number, format!("the line is longer than {MAX_LINE} bytes")))
            } else {
                split(&whole, number).ok_or_else(|| (number, "this is no `NAME:value` line".to_owned()))
            });
        }
    })
}

fn split(line: &str, number: usize) -> Option<Line> {
    let end = line.find([';', ':'])?;
    let (name, mut rest) = line.split_at(end);
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return None;
    }
    let mut parameters = Vec::new();
    while let Some(parameter) = rest.strip_prefix(';') {
        let (name, after) = parameter.split_once('=')?;
        let (value, after) = parameter_value(after)?;
        parameters.push((name.to_ascii_uppercase(), value));
        rest = after;
    }
    let value = rest.strip_prefix(':')?.to_owned();
    Some(Line { number, name: name.to_ascii_uppercase(), parameters, value })
}

/// Up to the `;` or `:` that ends it; quotes keep those inside.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let mut quoted = false;
    let end = text.char_indices().find_map(|(at, c)| {
        quoted ^= c == '"';
        (!quoted && (c == ';' || c == ':')).then_some(at)
    })?;
    let (value, rest) = text.split_at_checked(end)?;
    Some((value.replace('"', ""), rest))
}

/// A TEXT value without its escapes, on one line.
pub fn text(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some('n' | 'N') => out.push(' '),
                Some(other) => out.push(other),
                None => {}
            },
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.trim().chars().take(200).collect()
}

/// What a file says, short enough to be shown.
pub fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}
