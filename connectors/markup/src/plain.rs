//! Plain text, for `text/plain` and for notifications.

use crate::parse::{Block, Inline, parse};
use std::fmt::Write as _;

/// The text with blocks apart by an empty line, items with `-` or their number, quotes with `>`, code indented, and the
/// address of a link after it.
#[must_use]
pub fn plain(markdown: &str) -> String {
    let mut out = String::with_capacity(markdown.len());
    let mut last_was_item = false;
    for block in parse(markdown) {
        let item = matches!(block, Block::Item { .. });
        let same_list = item && last_was_item;
        if !out.is_empty() && !same_list {
            out.push('\n');
        }
        last_was_item = item;
        match block {
            Block::Heading { text, .. } | Block::Paragraph(text) => lines(&mut out, &text, "", ""),
            Block::Item { depth, number, text } => {
                let indent = "  ".repeat(usize::from(depth));
                let mark = number.map_or_else(|| "- ".to_owned(), |number| format!("{number}. "));
                lines(
                    &mut out,
                    &text,
                    &format!("{indent}{mark}"),
                    &format!("{indent}{}", " ".repeat(mark.len())),
                );
            }
            Block::Quote(text) => lines(&mut out, &text, "> ", "> "),
            Block::Code(code) => {
                for line in code.lines() {
                    let _ = writeln!(out, "    {line}");
                }
            }
            Block::Rule => out.push_str("---\n"),
        }
    }
    out
}

fn lines(out: &mut String, text: &[Inline], first: &str, others: &str) {
    let mut flat = String::new();
    inlines(&mut flat, text);
    for (at, line) in flat.lines().enumerate() {
        out.push_str(if at == 0 { first } else { others });
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

fn inlines(out: &mut String, text: &[Inline]) {
    for one in text {
        match one {
            Inline::Text(text) | Inline::Code(text) => out.push_str(text),
            Inline::Strong(inner) | Inline::Emphasis(inner) | Inline::Strike(inner) => inlines(out, inner),
            Inline::Link { text, url } => {
                let from = out.len();
                inlines(out, text);
                let shown = out.get(from..).unwrap_or_default();
                if shown != url && Some(shown) != url.strip_prefix("mailto:") {
                    let _ = write!(out, " <{url}>");
                }
            }
            Inline::Break => out.push('\n'),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let check = |markdown: &str, expected: &str| assert_eq!(plain(markdown), expected, "{markdown}");
        check("", "");
        check("# T\n\na **b** `c`", "T\n\na b c\n");
        check("- a\n  - b\n- c\n\nd", "- a\n  - b\n- c\n\nd\n");
        check("10. a\\\n    b", "10. a\n    b\n");
        check("> q", "> q\n");
        check("```\nx\ny\n```", "    x\n    y\n");
        check("[a](https://x.example)", "a <https://x.example>\n");
        check("<https://x.example> <ops@example.org>", "https://x.example ops@example.org\n");
    }
}
