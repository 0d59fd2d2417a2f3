//! The body as `rich_text`: elements whose text is text and whose style stands beside it.

use crate::text::{escape, fit_cost};
use notify_connector_sdk::Json;
use notify_connector_sdk::json::cost_of;
use notify_markup::{Block, Inline, honest};

/// Longest link that Slack takes.
pub(crate) const URL_MOST: usize = 3000;
/// What an element adds around its text, at most, with what closes everything after it.
const AROUND: usize = 160;
/// Slack indents lists this deep.
const DEEPEST: u8 = 6;

#[derive(Debug, Clone, Copy, Default)]
struct Style {
    bold: bool,
    italic: bool,
    strike: bool,
    code: bool,
}

/// What stands open in the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Section,
    /// Its depth, and whether it is numbered.
    List(u8, bool),
}

/// Writes one `rich_text` block's elements until its room is used up.
pub(crate) struct Rich {
    json: Json,
    room: usize,
    open: Open,
    /// Cost when the open section was begun.
    begun: usize,
    empty: bool,
    /// Something did not fit: nothing more is written.
    pub(crate) cut: bool,
}

impl Rich {
    pub(crate) fn new(room: usize) -> Self {
        Self { json: Json::with_capacity(1024), room, open: Open::Nothing, begun: 0, empty: true, cut: false }
    }

    fn left(&self) -> usize {
        self.room.saturating_sub(self.json.cost())
    }

    pub(crate) fn blocks(&mut self, blocks: &[Block]) {
        for block in blocks {
            if self.cut {
                return;
            }
            match block {
                Block::Paragraph(text) => self.paragraph(text, Style::default()),
                Block::Heading { text, .. } => self.paragraph(text, Style { bold: true, ..Style::default() }),
                Block::Item { depth, number, text } => self.item(*depth, *number, text),
                Block::Quote(text) => {
                    self.alone("rich_text_quote", |rich| rich.inlines(text, Style::default()))
                }
                Block::Code(code) => {
                    self.alone("rich_text_preformatted", |rich| {
                        rich.text(code.trim_end_matches('\n'), Style::default())
                    });
                }
                Block::Rule => self.line(|rich| rich.text("———", Style::default())),
            }
        }
    }

    /// `name: value`, each on a line of its own.
    pub(crate) fn field(&mut self, name: &str, value: &str) {
        self.close_list();
        if self.open == Open::Section {
            self.text("\n", Style::default());
        } else {
            self.section();
        }
        if !name.is_empty() {
            self.text(name, Style { bold: true, ..Style::default() });
            self.text("  ", Style::default());
        }
        self.text(value, Style::default());
    }

    /// A link in a list of links.
    pub(crate) fn link_item(&mut self, title: &str, url: &str) {
        let text = Inline::Text(title.to_owned());
        if notify_markup::is_link(url) && url.len() <= URL_MOST {
            self.item(0, None, &[Inline::Link { text: vec![text], url: url.to_owned() }]);
        } else {
            self.item(0, None, &[Inline::Text(format!("{title}: {url}"))]);
        }
    }

    /// A text in a box.
    pub(crate) fn boxed(&mut self, name: &str, content: &str) {
        if !name.is_empty() {
            self.line(|rich| rich.text(name, Style { bold: true, ..Style::default() }));
        }
        self.alone("rich_text_preformatted", |rich| rich.text(&honest(content), Style::default()));
    }

    /// The block; nothing when nothing was written.
    pub(crate) fn finish(mut self) -> Option<Json> {
        self.close_all();
        if self.empty {
            return None;
        }
        let mut block = Json::with_capacity(self.json.cost() + 64);
        block.open();
        block.pair("type", "rich_text");
        block.key("elements");
        block.list();
        block.join(self.json);
        block.end();
        block.close();
        Some(block)
    }

    fn close_list(&mut self) {
        if matches!(self.open, Open::List(..)) {
            self.close_all();
        }
    }

    fn close_all(&mut self) {
        if self.open == Open::Section {
            self.not_empty(self.begun);
        }
        if self.open != Open::Nothing {
            self.json.end();
            self.json.close();
        }
        self.open = Open::Nothing;
    }

    fn start(&mut self, kind: &'static str) {
        self.json.open();
        self.json.pair("type", kind);
    }

    fn section(&mut self) {
        let first = self.empty;
        self.close_all();
        self.start("rich_text_section");
        self.json.key("elements");
        self.json.list();
        self.open = Open::Section;
        self.begun = self.json.cost();
        self.empty = false;
        if !first {
            self.text("\n", Style::default());
        }
    }

    /// A paragraph of its own, a blank line after what was before.
    fn line(&mut self, write: impl FnOnce(&mut Self)) {
        if self.left() < 2 * AROUND {
            self.cut = true;
            return;
        }
        if self.open == Open::Section {
            self.text("\n\n", Style::default());
        } else {
            self.section();
        }
        write(self);
    }

    fn paragraph(&mut self, text: &[Inline], style: Style) {
        if has_text(text) {
            self.line(|rich| rich.inlines(text, style));
        }
    }

    fn item(&mut self, depth: u8, number: Option<u64>, text: &[Inline]) {
        if self.left() < 3 * AROUND {
            self.cut = true;
            return;
        }
        let depth = depth.min(DEEPEST);
        let list = Open::List(depth, number.is_some());
        if self.open != list {
            self.close_all();
            self.start("rich_text_list");
            self.json.pair("style", if number.is_some() { "ordered" } else { "bullet" });
            if depth > 0 {
                self.json.key("indent");
                self.json.raw(["0", "1", "2", "3", "4", "5", "6"].get(usize::from(depth)).unwrap_or(&"6"));
            }
            if let Some(first @ 2..=99_999) = number {
                self.json.key("offset");
                self.json.number(first - 1);
            }
            self.json.key("elements");
            self.json.list();
            self.open = list;
            self.empty = false;
        }
        self.start("rich_text_section");
        self.json.key("elements");
        self.json.list();
        let before = self.json.cost();
        self.inlines(text, Style::default());
        self.not_empty(before);
        self.json.end();
        self.json.close();
    }

    /// Slack refuses lists of no elements.
    fn not_empty(&mut self, before: usize) {
        if self.json.cost() == before {
            self.json.raw(r#"{"type":"text","text":"–"}"#);
        }
    }

    /// An element of its own with inline elements in it.
    fn alone(&mut self, kind: &'static str, write: impl FnOnce(&mut Self)) {
        if self.left() < 2 * AROUND {
            self.cut = true;
            return;
        }
        self.close_all();
        self.start(kind);
        self.json.key("elements");
        self.json.list();
        let before = self.json.cost();
        write(self);
        self.not_empty(before);
        self.json.end();
        self.json.close();
        self.empty = false;
    }

    fn inlines(&mut self, inlines: &[Inline], style: Style) {
        for inline in inlines {
            if self.cut {
                return;
            }
            match inline {
                Inline::Text(text) => self.text(text, style),
                Inline::Strong(inner) => self.inlines(inner, Style { bold: true, ..style }),
                Inline::Emphasis(inner) => self.inlines(inner, Style { italic: true, ..style }),
                Inline::Strike(inner) => self.inlines(inner, Style { strike: true, ..style }),
                Inline::Code(code) => self.text(code, Style { code: true, ..style }),
                Inline::Link { text, url } => self.link(&flat(text), url, style),
                Inline::Break => self.text("\n", style),
            }
        }
    }

    fn text(&mut self, text: &str, style: Style) {
        let text = honest(text);
        if text.is_empty() || self.cut {
            return;
        }
        let room = self.left().saturating_sub(AROUND);
        let part = fit_cost(&text, room);
        self.cut |= part.cut;
        let shown = escape(part.text);
        self.json.open();
        self.json.pair("type", "text");
        if part.cut {
            self.json.pair("text", &format!("{shown}…"));
        } else {
            self.json.pair("text", &shown);
        }
        self.style(style);
        self.json.close();
    }

    fn link(&mut self, text: &str, url: &str, style: Style) {
        if url.len() > URL_MOST || !notify_markup::is_link(url) {
            return self.text(text, style);
        }
        let room = self.left().saturating_sub(AROUND + cost_of(url));
        let text = honest(text);
        let shown = if text.is_empty() { url } else { &*text };
        let part = fit_cost(shown, room);
        if part.cut {
            return self.text(shown, style);
        }
        self.json.open();
        self.json.pair("type", "link");
        self.json.pair("url", url);
        self.json.pair("text", &escape(shown));
        self.style(style);
        self.json.close();
    }

    fn style(&mut self, style: Style) {
        let all =
            [("bold", style.bold), ("italic", style.italic), ("strike", style.strike), ("code", style.code)];
        if all.iter().any(|(_, on)| *on) {
            self.json.key("style");
            self.json.open();
            for (name, _) in all.iter().filter(|(_, on)| *on) {
                self.json.key(name);
                self.json.raw("true");
            }
            self.json.close();
        }
    }
}

/// The text of inline elements without their styles.
pub(crate) fn flat(inlines: &[Inline]) -> String {
    let mut out = String::new();
    push_flat(&mut out, inlines);
    out
}

fn push_flat(out: &mut String, inlines: &[Inline]) {
    for inline in inlines {
        match inline {
            Inline::Text(text) | Inline::Code(text) => out.push_str(text),
            Inline::Strong(inner) | Inline::Emphasis(inner) | Inline::Strike(inner) => push_flat(out, inner),
            Inline::Link { text, .. } => push_flat(out, text),
            Inline::Break => out.push('\n'),
        }
    }
}

fn has_text(inlines: &[Inline]) -> bool {
    inlines.iter().any(|inline| match inline {
        Inline::Text(text) | Inline::Code(text) => !honest(text).trim().is_empty(),
        Inline::Strong(inner) | Inline::Emphasis(inner) | Inline::Strike(inner) => has_text(inner),
        Inline::Link { text, url } => has_text(text) || !url.is_empty(),
        Inline::Break => false,
    })
}
