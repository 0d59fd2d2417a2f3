//! Event values in Markdown stay text.
//!
//! `body` is CommonMark that a connector turns into its own markup. A value from an event must not become a link, an
//! image, HTML, emphasis, a heading, a list or a table, whatever the template wrote around it; and a reader of the
//! plain text should see as few backslashes as possible, so characters that mean nothing where they stand are kept.

use super::budget::{Fault, Outcome};
use std::borrow::Cow;

/// Without what no text needs and what can lie about it: control characters, and the marks that reverse the order of
/// writing. Done before escaping: what is dropped later could join two harmless halves.
pub fn honest(text: &str) -> Cow<'_, str> {
    let bad = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    // `\r\n` and `\r` alone are line breaks, too.
    if !text.chars().any(bad) {
        return Cow::Borrowed(text);
    }
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    Cow::Owned(text.chars().filter(|c| !bad(*c)).collect())
}

/// Appends `value` to Markdown so that it renders as exactly its text on one line.
///
/// Line breaks become spaces: a block construct can only begin at the start of a line, so only the first character
/// of a value must be watched for those.
pub fn push_escaped(out: &mut String, value: &str) {
    let value = &*honest(value);
    let bytes = value.as_bytes();
    // What a list number may consist of so far: digits at the very start.
    let mut leading = true;
    let mut only_digits = true;
    let mut last_space = false;
    for (at, character) in value.char_indices() {
        if character.is_whitespace() || character.is_control() {
            if !last_space {
                out.push(' ');
            }
            last_space = true;
            continue;
        }
        last_space = false;
        let rest = bytes.get(at + 1..).unwrap_or_default();
        let escape = match character {
            '\\' | '`' | '*' | '[' | ']' | '<' | '|' | '~' => true,
            // Inside a word an underscore is no emphasis.
            '_' => {
                let alnum = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
                !(alnum(at.checked_sub(1).and_then(|i| bytes.get(i))) && alnum(rest.first()))
            }
            // Setext underline, bullet, heading, quote; `(` and `:` after a template's own `[…]`.
            '-' | '+' | '=' | '#' | '>' | '(' => leading,
            // `1. ` and `1) `; also when the digits came from the value before.
            ')' | '.' if only_digits && rest.first().is_none_or(|next| !next.is_ascii_alphanumeric()) => true,
            '.' => after_word(bytes, at, b"www"),
            // Bare links of GitHub's dialect and of most chats.
            ':' => {
                leading
                    || rest.starts_with(b"//")
                    || after_word(bytes, at, b"mailto")
                    || after_word(bytes, at, b"xmpp")
            }
            // A character reference.
            '&' => rest.first().is_none_or(|next| *next == b'#' || next.is_ascii_alphanumeric()),
            // A template's own link after it would become an image.
            '!' => rest.is_empty(),
            _ => false,
        };
        if escape {
            out.push('\\');
        }
        out.push(character);
        leading = false;
        only_digits = only_digits && character.is_ascii_digit();
    }
}

fn after_word(bytes: &[u8], at: usize, word: &[u8]) -> bool {
    at.checked_sub(word.len())
        .and_then(|start| bytes.get(start..at))
        .is_some_and(|w| w.eq_ignore_ascii_case(word))
}

/// Upper bound of what [`push_escaped`] appends.
pub const fn escaped_bound(value: &str) -> usize {
    value.len() * 2
}

/// `value` as an inline code span: a fence longer than any run of backticks in it.
pub fn code_span(value: &str) -> String {
    let flat = one_line(&honest(value));
    let flat = flat.trim();
    if flat.is_empty() {
        return String::new();
    }
    let fence = "`".repeat(longest_run(flat) + 1);
    let pad = if flat.starts_with('`') || flat.ends_with('`') { " " } else { "" };
    // A table cell ends at `|` even inside code, in GitHub's dialect; a full-width bar cannot end it.
    format!("{fence}{pad}{}{pad}{fence}", flat.replace('|', "¦"))
}

/// `value` as a fenced code block of its own paragraph.
pub fn code_block(value: &str) -> String {
    let text = honest(value);
    let fence = "`".repeat((longest_run(&text) + 1).max(3));
    format!("{fence}\n{}\n{fence}", text.trim_end_matches('\n'))
}

/// Each line of `value`, escaped, in a block quote.
pub fn quote(value: &str) -> String {
    let value = honest(value);
    let mut out = String::with_capacity(value.len() * 2);
    for (index, line) in value.lines().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        out.push_str("> ");
        push_escaped(&mut out, line.trim());
    }
    out
}

/// `[title](<url>)` with both made safe.
pub fn link(url: &str, title: &str) -> Outcome<String> {
    let url = web_url(url)?;
    let mut out = String::with_capacity(url.len() + title.len() + 8);
    out.push('[');
    push_escaped(&mut out, title);
    out.push_str("](");
    out.push_str(&url);
    out.push(')');
    Ok(out)
}

/// An absolute `http`, `https` or `mailto` address with everything percent-encoded that could end a Markdown link,
/// an HTML attribute or a Slack link.
pub fn web_url(url: &str) -> Outcome<String> {
    let url = url.trim();
    let scheme = url.split_once(':').map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest));
    let fine = match &scheme {
        Some((scheme, rest)) if scheme == "http" || scheme == "https" => {
            rest.strip_prefix("//").is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
        }
        Some((scheme, rest)) => scheme == "mailto" && rest.contains('@'),
        None => false,
    };
    if !fine {
        let shown: String = url.chars().take(40).collect();
        return Err(Fault::new(
            format!("`{shown}` is not an absolute http, https or mailto address"),
            "give a full address such as `https://scanner.example/report/1`",
        ));
    }
    let mut out = String::with_capacity(url.len());
    for byte in url.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&*+,;=%".contains(&byte);
        push_byte(&mut out, byte, plain);
    }
    Ok(out)
}

/// Percent-encoding of one component: only unreserved characters stay.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        push_byte(&mut out, byte, byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    }
    out
}

fn push_byte(out: &mut String, byte: u8, plain: bool) {
    const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    if plain {
        out.push(char::from(byte));
    } else {
        out.push('%');
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}

/// Where in the Markdown written so far the next value would go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Text,
    /// Right after `](`: the whole address of a link.
    Address,
    /// Right after `<`: an address of its own, if it is one.
    Angle,
    /// Inside an address, after some of it was written.
    InAddress,
}

/// Finds out whether a value would land in a link's address, where backslashes do not help against `javascript:`.
pub fn place(written: &str) -> Place {
    // An address cannot hold spaces or line breaks, so the last word is enough.
    let word = written.rsplit([' ', '\n', '\t']).next().unwrap_or_default();
    let split = |mark: &str| {
        let (before, after) = word.rsplit_once(mark)?;
        // An odd number of backslashes makes the mark plain text, as it is where an event's text was escaped.
        let backslashes = before.bytes().rev().take_while(|byte| *byte == b'\\').count();
        (backslashes % 2 == 0).then_some(after)
    };
    match (split("]("), split("<")) {
        (Some("" | "<"), _) => Place::Address,
        (Some(address), _) if !address.contains(')') => Place::InAddress,
        (_, Some("")) => Place::Angle,
        (_, Some(address)) if !address.contains('>') => Place::InAddress,
        _ => Place::Text,
    }
}

fn longest_run(text: &str) -> usize {
    let mut longest = 0;
    let mut run = 0;
    for byte in text.bytes() {
        run = if byte == b'`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// Line breaks and other controls as single spaces.
pub fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if !character.is_whitespace() && !character.is_control() {
            out.push(character);
        } else if !out.ends_with(' ') {
            out.push(' ');
        }
    }
    out
}
