//! Texts as Slack wants them, and how much of one fits.

use notify_connector_sdk::json::char_cost;
use notify_markup::{Cut, cut_bytes, honest};
use std::borrow::Cow;

/// With the three characters as entities that Slack gives a meaning to.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| matches!(b, b'&' | b'<' | b'>')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// What a character adds to the JSON, once escaped.
fn json_cost(c: char) -> usize {
    match c {
        '&' => 10,
        '<' | '>' => 9,
        c => char_cost(c),
    }
}

/// What a character adds to the length that Slack limits.
fn slack_length(c: char) -> usize {
    match c {
        '&' => 5,
        '<' | '>' => 4,
        c => c.len_utf16(),
    }
}

fn fit(text: &str, most: usize, weight: impl Fn(char) -> usize) -> Cut<'_> {
    // No byte costs more than ten: most texts are done here.
    if text.len() <= most / 10 {
        return Cut { text, cut: false };
    }
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += weight(c);
        if used > most {
            let cut = cut_bytes(text, at);
            return Cut { text: cut.text, cut: true };
        }
    }
    Cut { text, cut: false }
}

/// The beginning that adds at most so much to the JSON.
pub(crate) fn fit_cost(text: &str, most: usize) -> Cut<'_> {
    fit(text, most, json_cost)
}

/// What is to be written: escaped, at most `most` of Slack's characters, with `…` where something is missing.
pub(crate) fn limited<'a>(text: &'a str, most: usize, cut: &mut bool) -> Cow<'a, str> {
    let part = fit(text, most, slack_length);
    if !part.cut {
        return escape(text);
    }
    *cut = true;
    let part = fit(text, most.saturating_sub(1), slack_length);
    Cow::Owned(format!("{}…", escape(part.text)))
}

/// One honest line: no control characters, no direction marks, line breaks and runs of spaces as one space.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    let text = honest(text);
    let tidy = text.split_whitespace();
    if !text.contains(['\n', '\r', '\t']) && !text.contains("  ") && text.trim().len() == text.len() {
        return text;
    }
    Cow::Owned(tidy.collect::<Vec<_>>().join(" "))
}

/// Whether nothing in a text could mean anything in `mrkdwn`. With `verbatim`, links and names are not searched for.
pub(crate) fn is_plain_mrkdwn(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alnum = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    // The last colon that only characters of a name have followed.
    let mut colon: Option<usize> = None;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'*' | b'~' | b'`' | b'\n' | b'\r' => return false,
            b'>' if at == 0 => return false,
            b'_' if !(at > 0 && alnum(bytes.get(at - 1)) && alnum(bytes.get(at + 1))) => return false,
            b':' => {
                if colon.is_some_and(|colon| colon + 1 < at && !is_time(bytes, colon, at)) {
                    return false;
                }
                colon = Some(at);
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'+' | b'-' | b'\'' | 0x80.. => {}
            _ => colon = None,
        }
    }
    true
}

/// Whether the text between two colons is the minutes of a time such as 12:30:45, and no name of an emoji.
fn is_time(bytes: &[u8], first: usize, second: usize) -> bool {
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    second == first + 3
        && first.checked_sub(1).is_some_and(digit)
        && (first + 1..second).all(digit)
        && (second + 1..second + 3).all(digit)
        && !digit(second + 3)
        && bytes.get(second + 3) != Some(&b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_and_limits() {
        let mut cut = false;
        assert_eq!(limited("a <b> & c", 30, &mut cut), "a &lt;b&gt; &amp; c");
        assert!(!cut);
        let text = limited("<<<<<<<<<<", 9, &mut cut);
        assert_eq!((text.as_ref(), cut), ("&lt;&lt;…", true));
        assert_eq!(fit_cost("aä", 6).text, "a");
        assert_eq!(line("  a\r\nb\u{202e}\tc "), "a b c");
    }

    #[test]
    fn what_mrkdwn_could_mean_something() {
        for plain in [
            "ghcr.io/acme/my_app:1.2",
            "sha256:62f2",
            "12:30:45",
            "2026-11-22T12:30:45Z, 7:05:59",
            "a::b",
            "host:80 other:81",
            "2 critical, 5 high",
            "a<b",
            "staging → x",
            "@here",
        ] {
            assert!(is_plain_mrkdwn(plain), "{plain}");
        }
        for other in [
            "*a*",
            "_a_",
            "a _b",
            "~x~",
            "`x`",
            "> q",
            ":fire:",
            "a :x: b",
            "a\nb",
            "x_",
            ":+1:",
            ":-1:",
            ":100:",
            "a:100:b",
            ":30:45",
            "12:30:4",
            "12:30:45:00",
            "12:300:45",
            "1:+1:1",
            ":カニ:",
            "00:1a:2b:3c",
        ] {
            assert!(!is_plain_mrkdwn(other), "{other}");
        }
    }
}
