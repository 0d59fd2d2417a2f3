//! CommonMark to the few blocks that every channel can show.

use crate::text::{honest, is_link};
use pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd};

/// A piece of a message's body, in order. Nesting is flat: an item knows how deep it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    Heading {
        /// 1 to 6.
        level: u8,
        text: Vec<Inline>,
    },
    Paragraph(Vec<Inline>),
    Item {
        /// 0 for the outermost list.
        depth: u8,
        /// In numbered lists.
        number: Option<u64>,
        text: Vec<Inline>,
    },
    Quote(Vec<Inline>),
    Code(String),
    Rule,
}

/// A piece of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inline {
    Text(String),
    Strong(Vec<Inline>),
    Emphasis(Vec<Inline>),
    Strike(Vec<Inline>),
    Code(String),
    Link {
        text: Vec<Inline>,
        /// `http`, `https` or `mailto`.
        url: String,
    },
    Break,
}

/// Nesting that is followed; what is deeper is flattened into it.
const DEEPEST: usize = 8;

/// The blocks of a text. Never fails: everything is some CommonMark.
#[must_use]
pub fn parse(markdown: &str) -> Vec<Block> {
    let markdown = honest(markdown);
    let mut builder = Builder::default();
    for event in Parser::new_ext(&markdown, Options::ENABLE_STRIKETHROUGH) {
        builder.take(event);
    }
    builder.end_block();
    builder.blocks
}

enum Open {
    Strong,
    Emphasis,
    Strike,
    /// `None`: not a link that may be one; its text stays and its address follows it.
    Link(Option<String>, String),
    Image,
}

#[derive(Default)]
struct Builder {
    blocks: Vec<Block>,
    /// Open inline elements, each with what was before it on its level.
    inlines: Vec<(Open, Vec<Inline>)>,
    line: Vec<Inline>,
    /// Open lists: the next number of each.
    lists: Vec<Option<u64>>,
    /// The item that the next text belongs to.
    item: Option<(u8, Option<u64>)>,
    heading: Option<u8>,
    code: Option<String>,
    quotes: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => match &mut self.code {
                Some(code) => code.push_str(&text),
                None => self.text(&text),
            },
            Event::Code(text) => self.line.push(Inline::Code(text.into_string())),
            Event::Html(text) | Event::InlineHtml(text) => self.text(text.trim_end_matches('\n')),
            Event::SoftBreak => self.text(" "),
            Event::HardBreak => self.line.push(Inline::Break),
            Event::Rule => {
                self.end_block();
                self.blocks.push(Block::Rule);
            }
            // Not asked for from the parser.
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => {
                self.text(&text)
            }
            Event::TaskListMarker(_) => {}
        }
    }

    fn text(&mut self, text: &str) {
        match self.line.last_mut() {
            Some(Inline::Text(last)) => last.push_str(text),
            _ => self.line.push(Inline::Text(text.to_owned())),
        }
    }

    fn open(&mut self, open: Open) {
        if self.inlines.len() < DEEPEST * 4 {
            self.inlines.push((open, std::mem::take(&mut self.line)));
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { level, .. } => {
                self.end_block();
                self.heading = Some(level as u8);
            }
            Tag::BlockQuote(_) => {
                self.end_block();
                self.quotes += 1;
            }
            Tag::CodeBlock(_) => {
                self.end_block();
                self.code = Some(String::new());
            }
            Tag::List(first) => {
                self.end_block();
                self.lists.push(first);
            }
            Tag::Item => {
                self.end_block();
                let depth = self.lists.len().saturating_sub(1).min(DEEPEST);
                let number = match self.lists.last_mut() {
                    Some(Some(next)) => {
                        let number = *next;
                        *next = next.saturating_add(1);
                        Some(number)
                    }
                    _ => None,
                };
                self.item = Some((u8::try_from(depth).unwrap_or(u8::MAX), number));
            }
            Tag::Paragraph | Tag::HtmlBlock => self.end_text(),
            Tag::Strong => self.open(Open::Strong),
            Tag::Emphasis => self.open(Open::Emphasis),
            Tag::Strikethrough => self.open(Open::Strike),
            Tag::Link { link_type, dest_url, .. } => {
                let address = match link_type {
                    LinkType::Email => format!("mailto:{dest_url}"),
                    _ => dest_url.into_string(),
                };
                self.open(Open::Link(is_link(&address).then(|| address.clone()), address));
            }
            Tag::Image { .. } => self.open(Open::Image),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph | TagEnd::HtmlBlock => self.end_text(),
            TagEnd::Heading(_) | TagEnd::Item => self.end_block(),
            TagEnd::List(_) => {
                self.end_block();
                self.lists.pop();
            }
            TagEnd::BlockQuote(_) => {
                self.end_block();
                self.quotes = self.quotes.saturating_sub(1);
            }
            TagEnd::CodeBlock => {
                if let Some(code) = self.code.take() {
                    self.blocks.push(Block::Code(code.trim_end_matches('\n').to_owned()));
                }
            }
            TagEnd::Strong | TagEnd::Emphasis | TagEnd::Strikethrough | TagEnd::Link | TagEnd::Image => {
                self.close()
            }
            _ => {}
        }
    }

    fn close(&mut self) {
        let Some((open, before)) = self.inlines.pop() else { return };
        let inner = std::mem::replace(&mut self.line, before);
        let one = match open {
            Open::Strong => Inline::Strong(inner),
            Open::Emphasis => Inline::Emphasis(inner),
            Open::Strike => Inline::Strike(inner),
            Open::Link(Some(url), _) if inner.is_empty() => {
                Inline::Link { text: vec![Inline::Text(url.clone())], url }
            }
            Open::Link(Some(url), _) => Inline::Link { text: inner, url },
            Open::Link(None, address) => {
                self.line.extend(inner);
                return self.text(&format!(" ({address})"));
            }
            Open::Image => return self.line.extend(inner),
        };
        self.line.push(one);
    }

    /// The text so far is a block of its own.
    fn end_text(&mut self) {
        while !self.inlines.is_empty() {
            self.close();
        }
        let text = std::mem::take(&mut self.line);
        if text.is_empty() {
            return;
        }
        let block = match (self.heading, self.item) {
            (Some(level), _) => Block::Heading { level, text },
            (None, Some((depth, number))) => {
                // Further paragraphs of an item are not items.
                self.item = None;
                Block::Item { depth, number, text }
            }
            (None, None) if self.quotes > 0 => Block::Quote(text),
            (None, None) => Block::Paragraph(text),
        };
        self.blocks.push(block);
    }

    fn end_block(&mut self) {
        self.end_text();
        self.heading = None;
        self.item = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Vec<Inline> {
        vec![Inline::Text(text.to_owned())]
    }

    fn check(markdown: &str, expected: &[Block]) {
        assert_eq!(parse(markdown), expected, "{markdown}");
    }

    #[test]
    fn blocks() {
        check("", &[]);
        check(
            "# Down\nnow",
            &[Block::Heading { level: 1, text: text("Down") }, Block::Paragraph(text("now"))],
        );
        check("a\nb", &[Block::Paragraph(text("a b"))]);
        check("> one\n>\n> two", &[Block::Quote(text("one")), Block::Quote(text("two"))]);
        check("```\nx <y>\n```\n---", &[Block::Code("x <y>".to_owned()), Block::Rule]);
        let item = |depth, number, of: &str| Block::Item { depth, number, text: text(of) };
        check("- a\n  - b\n- c", &[item(0, None, "a"), item(1, None, "b"), item(0, None, "c")]);
        check("3. a\n4. b", &[item(0, Some(3), "a"), item(0, Some(4), "b")]);
        check("- a\n\n  more", &[item(0, None, "a"), Block::Paragraph(text("more"))]);
    }

    #[test]
    fn inlines() {
        let line = |parts: Vec<Inline>| vec![Block::Paragraph(parts)];
        check("**a** b", &line(vec![Inline::Strong(text("a")), Inline::Text(" b".to_owned())]));
        check(
            "*a* ~~b~~",
            &line(vec![Inline::Emphasis(text("a")), Inline::Text(" ".to_owned()), Inline::Strike(text("b"))]),
        );
        check("`x`", &line(vec![Inline::Code("x".to_owned())]));
        let link = |of: &str, url: &str| Inline::Link { text: text(of), url: url.to_owned() };
        check("[a](https://x.example/y)", &line(vec![link("a", "https://x.example/y")]));
        check("<https://x.example>", &line(vec![link("https://x.example", "https://x.example")]));
        check(
            "a\\\nb",
            &line(vec![Inline::Text("a".to_owned()), Inline::Break, Inline::Text("b".to_owned())]),
        );
    }

    #[test]
    fn what_no_channel_may_render_is_text() {
        check("<b>x</b> y", &[Block::Paragraph(text("<b>x</b> y"))]);
        check("<script>\nx\n</script>", &[Block::Paragraph(text("<script>x</script>"))]);
        check("[a](javascript:x)", &[Block::Paragraph(text("a (javascript:x)"))]);
        check("![pixel](https://x.example/p.png)", &[Block::Paragraph(text("pixel"))]);
        check("a\u{202E}b", &[Block::Paragraph(text("ab"))]);
    }
}
