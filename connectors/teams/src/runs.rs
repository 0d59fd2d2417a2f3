//! Texts as `TextRun`s, and the body as elements of a card.

use crate::text::fit_cost;
use notify_connector_sdk::Json;
use notify_connector_sdk::json::cost_of;
use notify_markup::{Block, Inline, honest, is_link};

/// What an element adds around its text, at most, with what closes everything after it.
const AROUND: usize = 260;
const DEEPEST: u8 = 6;

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Style {
    pub(crate) bold: bool,
    pub(crate) italic: bool,
    pub(crate) strike: bool,
    pub(crate) code: bool,
    pub(crate) subtle: bool,
    /// `size` of the run; empty for the default.
    pub(crate) size: &'static str,
}

/// Writes elements of a card until the room is used up.
pub(crate) struct Runs {
    pub(crate) json: Json,
    room: usize,
    /// The next element is set off by a line.
    ruled: bool,
    /// Something did not fit: nothing more is written.
    pub(crate) cut: bool,
}

impl Runs {
    pub(crate) fn new(room: usize) -> Self {
        Self { json: Json::with_capacity(1024), room, ruled: false, cut: false }
    }

    fn left(&self) -> usize {
        self.room.saturating_sub(self.json.cost())
    }

    fn enough(&mut self, most: usize) -> bool {
        self.cut |= self.left() < most;
        !self.cut
    }

    pub(crate) fn blocks(&mut self, blocks: &[Block]) {
        let mut in_list = false;
        for block in blocks {
            if self.cut {
                return;
            }
            let was_in_list = std::mem::replace(&mut in_list, matches!(block, Block::Item { .. }));
            match block {
                Block::Paragraph(text) => self.block("", |runs| runs.inlines(text, Style::default())),
                Block::Heading { text, level } => {
                    let size = if *level <= 2 { "Medium" } else { "" };
                    self.block("Medium", |runs| {
                        runs.inlines(text, Style { bold: true, size, ..Style::default() })
                    });
                }
                Block::Item { depth, number, text } => self.item(*depth, *number, text, was_in_list),
                Block::Quote(text) => self.boxed(|runs| runs.inlines(text, Style::default())),
                Block::Code(code) => self.boxed(|runs| {
                    runs.text(code.trim_end_matches('\n'), Style { code: true, ..Style::default() });
                }),
                Block::Rule => self.ruled = true,
            }
        }
    }

    /// One `RichTextBlock`; `spacing` empty for the default.
    pub(crate) fn block(&mut self, spacing: &'static str, write: impl FnOnce(&mut Self)) {
        if !self.enough(AROUND) {
            return;
        }
        self.json.open();
        self.json.pair("type", "RichTextBlock");
        if !spacing.is_empty() {
            self.json.pair("spacing", spacing);
        }
        if std::mem::take(&mut self.ruled) {
            self.json.key("separator");
            self.json.raw("true");
        }
        self.json.key("inlines");
        self.json.list();
        let before = self.json.cost();
        write(self);
        if self.json.cost() == before {
            // No client is known to take an empty one.
            self.run(" ", Style::default());
        }
        self.json.end();
        self.json.close();
    }

    /// A text set off by its background.
    pub(crate) fn boxed(&mut self, write: impl FnOnce(&mut Self)) {
        if !self.enough(2 * AROUND) {
            return;
        }
        self.json.open();
        self.json.pair("type", "Container");
        self.json.pair("style", "emphasis");
        self.json.key("items");
        self.json.list();
        self.ruled = false;
        self.block("", write);
        self.json.end();
        self.json.close();
    }

    fn item(&mut self, depth: u8, number: Option<u64>, text: &[Inline], close_to_last: bool) {
        let indent = "\u{2003}".repeat(usize::from(depth.min(DEEPEST)));
        let mark = match number {
            Some(number) => format!("{indent}{number}. "),
            None => format!("{indent}• "),
        };
        self.block(if close_to_last { "Small" } else { "" }, |runs| {
            runs.run(&mark, Style::default());
            runs.inlines(text, Style::default());
        });
    }

    /// A link as an item of a list, or its address as text.
    pub(crate) fn link_item(&mut self, title: &str, url: &str) {
        let text = Inline::Text(title.to_owned());
        if is_link(url) {
            self.item(0, None, &[Inline::Link { text: vec![text], url: url.to_owned() }], true);
        } else {
            self.item(0, None, &[Inline::Text(format!("{title}: {url}"))], true);
        }
    }

    pub(crate) fn inlines(&mut self, inlines: &[Inline], style: Style) {
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
                Inline::Break => self.run("\n", style),
            }
        }
    }

    /// A text, in one run unless a card would make something of it.
    pub(crate) fn text(&mut self, text: &str, style: Style) {
        for piece in pieces(&honest(text)) {
            if !self.cut {
                self.fitting(piece, style);
            }
        }
    }

    fn fitting(&mut self, text: &str, style: Style) {
        let part = fit_cost(text, self.left().saturating_sub(AROUND));
        if part.cut {
            self.cut = true;
            self.run(&format!("{}…", part.text), style);
        } else {
            self.run(text, style);
        }
    }

    fn run(&mut self, text: &str, style: Style) {
        self.begin(text, style);
        self.json.close();
    }

    fn begin(&mut self, text: &str, style: Style) {
        self.json.open();
        self.json.pair("type", "TextRun");
        self.json.pair("text", text);
        if !style.size.is_empty() {
            self.json.pair("size", style.size);
        }
        if style.bold {
            self.json.pair("weight", "Bolder");
        }
        if style.code {
            self.json.pair("fontType", "Monospace");
        }
        let flags = [("italic", style.italic), ("strikethrough", style.strike), ("isSubtle", style.subtle)];
        for (name, _) in flags.iter().filter(|(_, on)| *on) {
            self.json.key(name);
            self.json.raw("true");
        }
    }

    fn link(&mut self, text: &str, url: &str, style: Style) {
        let shown = honest(if text.is_empty() { url } else { text });
        let fits = cost_of(url) + cost_of(&shown) + AROUND <= self.left();
        let pieces = pieces(&shown);
        if !is_link(url) || !fits || pieces.len() > 1 && url.len() > 200 {
            return self.text(&shown, style);
        }
        for piece in pieces {
            if !self.enough(cost_of(url) + cost_of(piece) + AROUND) {
                return;
            }
            self.begin(piece, style);
            self.json.pair("color", "Accent");
            self.json.key("selectAction");
            self.json.open();
            self.json.pair("type", "Action.OpenUrl");
            self.json.pair("url", url);
            self.json.close();
            self.json.close();
        }
    }
}

/// A text in pieces of which none has `{{` before a letter: cards know functions of that form, and each run is read on
/// its own.
fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    loop {
        let bytes = rest.as_bytes();
        let function = |at: &usize| bytes.get(at + 2).is_some_and(u8::is_ascii_alphabetic);
        let Some(at) = rest.match_indices("{{").map(|(at, _)| at).find(function) else { break };
        let (before, after) = rest.split_at(at + 1);
        pieces.push(before);
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(rest);
    }
    pieces
}

/// The text of inline elements without their styles.
fn flat(inlines: &[Inline]) -> String {
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
