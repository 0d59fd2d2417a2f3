//! Safe HTML: every tag and attribute is written here, everything else is escaped.

use crate::parse::{Block, Inline, parse};
use crate::text::push_escaped;
use std::fmt::Write as _;

/// An HTML fragment of `p`, `h3`, `ul`, `ol`, `li`, `blockquote`, `pre`, `code`, `strong`, `em`, `del`, `br`, `hr` and
/// `a`. Headings are all `h3`: the page or mail around it has its own.
#[must_use]
pub fn html(markdown: &str) -> String {
    let mut out = String::with_capacity(markdown.len() * 2);
    // Open lists, outermost first: whether each is numbered. Each has an open item.
    let mut lists: Vec<bool> = Vec::new();
    for block in parse(markdown) {
        let Block::Item { depth, number, text } = block else {
            close(&mut out, &mut lists, 0);
            plain_block(&mut out, &block);
            continue;
        };
        let depth = usize::from(depth) + 1;
        // A list of the other kind on the same level is a list of its own.
        let other = lists.get(depth - 1).is_some_and(|numbered| *numbered != number.is_some());
        close(&mut out, &mut lists, if other { depth - 1 } else { depth });
        if lists.len() == depth {
            out.push_str("</li>\n");
        }
        while lists.len() < depth {
            match number {
                None => out.push_str("<ul>\n"),
                Some(1) => out.push_str("<ol>\n"),
                Some(first) => drop(writeln!(out, "<ol start=\"{first}\">")),
            }
            lists.push(number.is_some());
            if lists.len() < depth {
                out.push_str("<li>");
            }
        }
        out.push_str("<li>");
        inlines(&mut out, &text);
    }
    close(&mut out, &mut lists, 0);
    out
}

fn close(out: &mut String, lists: &mut Vec<bool>, depth: usize) {
    while lists.len() > depth {
        if let Some(numbered) = lists.pop() {
            out.push_str(if numbered { "</li>\n</ol>\n" } else { "</li>\n</ul>\n" });
        }
    }
}

fn plain_block(out: &mut String, block: &Block) {
    match block {
        Block::Heading { text, .. } => wrapped(out, "h3", text),
        Block::Paragraph(text) | Block::Item { text, .. } => wrapped(out, "p", text),
        Block::Quote(text) => wrapped(out, "blockquote", text),
        Block::Code(code) => {
            out.push_str("<pre><code>");
            push_escaped(out, code);
            out.push_str("</code></pre>\n");
        }
        Block::Rule => out.push_str("<hr>\n"),
    }
}

fn wrapped(out: &mut String, tag: &str, text: &[Inline]) {
    let _ = write!(out, "<{tag}>");
    inlines(out, text);
    let _ = writeln!(out, "</{tag}>");
}

fn inlines(out: &mut String, text: &[Inline]) {
    for one in text {
        match one {
            Inline::Text(text) => push_escaped(out, text),
            Inline::Strong(inner) => around(out, "strong", inner),
            Inline::Emphasis(inner) => around(out, "em", inner),
            Inline::Strike(inner) => around(out, "del", inner),
            Inline::Code(code) => {
                out.push_str("<code>");
                push_escaped(out, code);
                out.push_str("</code>");
            }
            Inline::Link { text, url } => {
                out.push_str("<a href=\"");
                push_escaped(out, url);
                out.push_str("\" rel=\"noopener noreferrer\">");
                inlines(out, text);
                out.push_str("</a>");
            }
            Inline::Break => out.push_str("<br>"),
        }
    }
}

fn around(out: &mut String, tag: &str, inner: &[Inline]) {
    let _ = write!(out, "<{tag}>");
    inlines(out, inner);
    let _ = write!(out, "</{tag}>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever comes in: tags are ours, in order, and closed.
        #[test]
        fn tags_are_balanced(markdown in "([-*#>`<&\"'()\\[\\]!\n 1.a]|- |1\\. |    |<b>|https://x\\.example|javascript:x){0,40}") {
            let html = html(&markdown);
            let mut open = Vec::new();
            for tag in html.split('<').skip(1) {
                let (tag, _) = tag.split_once('>').unwrap();
                let name = tag.split(' ').next().unwrap();
                match name.strip_prefix('/') {
                    Some(name) => prop_assert_eq!(open.pop(), Some(name.to_owned())),
                    None if ["br", "hr"].contains(&name) => {}
                    None => {
                        let known = ["p", "h3", "ul", "ol", "li", "blockquote", "pre", "code", "strong", "em", "del", "a"];
                        prop_assert!(known.contains(&name), "{}", name);
                        open.push(name.to_owned());
                    }
                }
            }
            prop_assert!(open.is_empty());
            prop_assert!(!html.contains("href=\"javascript"));
        }
    }

    #[test]
    fn fragments() {
        let check = |markdown: &str, expected: &str| assert_eq!(html(markdown), expected, "{markdown}");
        check("", "");
        check(
            "**a** *b* ~~c~~ `d<`",
            "<p><strong>a</strong> <em>b</em> <del>c</del> <code>d&lt;</code></p>\n",
        );
        check("- a\n  - b\n- c", "<ul>\n<li>a<ul>\n<li>b</li>\n</ul>\n</li>\n<li>c</li>\n</ul>\n");
        check("3. a\n4. b\n\nx", "<ol start=\"3\">\n<li>a</li>\n<li>b</li>\n</ol>\n<p>x</p>\n");
        check("- a\n\n1. b", "<ul>\n<li>a</li>\n</ul>\n<ol>\n<li>b</li>\n</ol>\n");
        check(
            "[a \"b\"](https://x.example/?a=1&b='2')",
            "<p><a href=\"https://x.example/?a=1&amp;b=&#39;2&#39;\" rel=\"noopener noreferrer\">a &quot;b&quot;</a></p>\n",
        );
        check(
            "> q\n\n---\n\n```\n<x>\n```",
            "<blockquote>q</blockquote>\n<hr>\n<pre><code>&lt;x&gt;</code></pre>\n",
        );
        check("# T\n\n<img src=x onerror=y>", "<h3>T</h3>\n<p>&lt;img src=x onerror=y&gt;</p>\n");
        check("[x](javascript:alert(1))", "<p>x (javascript:alert(1))</p>\n");
    }
}
