//! How much of a text fits, and which texts mean the same with and without Markdown.

use notify_connector_sdk::json::char_cost;
use notify_markup::{Cut, cut_bytes, honest};
use std::borrow::Cow;

/// The beginning that adds at most so much to the JSON.
pub(crate) fn fit_cost(text: &str, most: usize) -> Cut<'_> {
    // No byte costs more than six: most texts are done here.
    if text.len() <= most / 6 {
        return Cut { text, cut: false };
    }
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += char_cost(c);
        if used > most {
            return Cut { text: cut_bytes(text, at).text, cut: true };
        }
    }
    Cut { text, cut: false }
}

/// At most `most` of cost, with `…` where something is missing.
pub(crate) fn fitted<'a>(text: &'a str, most: usize, cut: &mut bool) -> Cow<'a, str> {
    let part = fit_cost(text, most);
    if !part.cut {
        return Cow::Borrowed(text);
    }
    *cut = true;
    Cow::Owned(format!("{}…", part.text))
}

/// One honest line: no control characters, no direction marks, line breaks and runs of spaces as one space.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    let text = honest(text);
    if !text.contains(['\n', '\r', '\t']) && !text.contains("  ") && text.trim().len() == text.len() {
        return text;
    }
    Cow::Owned(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Whether nothing in a text could mean anything in any client's Markdown, nor to a card.
pub(crate) fn is_plain_markdown(text: &str) -> bool {
    let bytes = text.as_bytes();
    let alnum = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let first = text.trim_start().as_bytes();
    if first.len() != bytes.len() || first.first().is_some_and(|b| b"-+=#>".contains(b)) {
        return false;
    }
    // `1. x` and `1) x`.
    let digits = first.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits > 0
        && first.get(digits).is_some_and(|b| b".)".contains(b))
        && first.get(digits + 1).is_none_or(u8::is_ascii_whitespace)
    {
        return false;
    }
    for (at, byte) in text.bytes().enumerate() {
        let fine = match byte {
            b'*' | b'~' | b'`' | b'[' | b']' | b'<' | b'>' | b'\\' | b'|' | b'@' | b'^' | b'$' => false,
            b'\n' | b'\r' | b'\t' => false,
            b'_' => at > 0 && alnum(bytes.get(at - 1)) && alnum(bytes.get(at + 1)),
            b'&' => !(alnum(bytes.get(at + 1)) || bytes.get(at + 1) == Some(&b'#')),
            b'{' => bytes.get(at + 1) != Some(&b'{'),
            b'-' | b'=' => bytes.get(at + 1) != Some(&byte),
            b'.' => !ends_with_word(bytes, at, b"www"),
            b':' => {
                bytes.get(at + 1..at + 3) != Some(b"//")
                    && !ends_with_word(bytes, at, b"mailto")
                    && !ends_with_word(bytes, at, b"tel")
            }
            b' ' => bytes.get(at + 1) != Some(&b' '),
            _ => true,
        };
        if !fine {
            return false;
        }
    }
    true
}

fn ends_with_word(bytes: &[u8], at: usize, word: &[u8]) -> bool {
    let before = at.checked_sub(word.len()).and_then(|from| bytes.get(from..at));
    before.is_some_and(|before| before.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_or_not() {
        for plain in [
            "ghcr.io/acme/payment-api:2.14.0",
            "2 critical, 5 high",
            "my_app",
            "staging → production",
            "22 Nov 2026, 06:12 UTC",
            "2.15.0",
            "a & b",
            "",
        ] {
            assert!(is_plain_markdown(plain), "{plain}");
        }
        for other in [
            "*a*",
            "_a_",
            "a~b",
            "[x](y)",
            "- x",
            "1. x",
            "# x",
            "> x",
            "&lt;",
            "{{DATE(x)}}",
            "http://x",
            "www.x",
            "a  b",
            " a",
            "a\nb",
            "<b>",
            "x@y.z",
            "a--b",
            "`x`",
        ] {
            assert!(!is_plain_markdown(other), "{other}");
        }
    }

    #[test]
    fn fitting() {
        let mut cut = false;
        assert_eq!(fitted("the pods are down", 14, &mut cut), "the pods are…");
        assert!(cut);
        assert_eq!(fit_cost("aä", 6).text, "a");
    }
}
