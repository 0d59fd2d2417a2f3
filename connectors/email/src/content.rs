//! What a message says, ready for both of its forms: texts made honest, lists bounded, the body cut where it is too long.

use notify_connector_sdk::message::{Message, Severity};
use notify_connector_sdk::words::Words;
use notify_markup::{cut_bytes, cut_chars, honest, is_link};

/// Gmail cuts what is longer than about 102 KB; we cut ourselves, at a word, with a link to the rest.
pub const MAX_HTML: usize = 100 * 1024;
const MAX_TITLE: usize = 300;
const MAX_SUMMARY: usize = 2_000;
const MAX_FOOTER: usize = 1_000;
const MAX_FIELDS: usize = 60;
const MAX_FIELD_NAME: usize = 200;
const MAX_FIELD_VALUE: usize = 1_000;
const MAX_LINKS: usize = 20;
const MAX_LINK_TITLE: usize = 200;
/// Longer ones are shown by no client and followed by no browser.
const MAX_URL: usize = 2_048;

/// One line of honest text: what goes into headers and titles.
#[must_use]
pub fn line(text: &str) -> String {
    honest(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A link, or the text of something that may not be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub title: String,
    pub url: String,
    pub is_link: bool,
    pub danger: bool,
    pub primary: bool,
}

/// Everything of a message that both forms show.
#[derive(Debug, Clone)]
pub struct Content {
    pub language: Language,
    /// Those that all connectors use.
    pub words: &'static Words,
    pub locale: String,
    pub severity: Severity,
    /// The incident is over: nothing is bad any more, however bad it was.
    pub resolved: bool,
    pub title: String,
    pub summary: String,
    /// Markdown.
    pub body: String,
    pub fields: Vec<(String, String)>,
    pub links: Vec<Target>,
    pub actions: Vec<Target>,
    pub footer: String,
    /// Something is missing.
    pub cut: bool,
    /// The whole alert.
    pub alert_url: Option<String>,
}

impl Content {
    #[must_use]
    pub fn new(message: &Message, alert_url: Option<&str>) -> Self {
        let mut cut = false;
        let mut short = |text: String, most: usize| {
            let short = cut_chars(&text, most);
            cut |= short.cut;
            if short.cut { format!("{} …", short.text.trim_end()) } else { text }
        };
        let title = short(line(&message.title), MAX_TITLE);
        let summary = short(honest(&message.summary).trim().to_owned(), MAX_SUMMARY);
        let footer = short(honest(&message.footer).trim().to_owned(), MAX_FOOTER);
        let fields = message.fields.iter().take(MAX_FIELDS).map(|field| {
            let value = honest(&field.value).trim().to_owned();
            (short(line(&field.name), MAX_FIELD_NAME), short(value, MAX_FIELD_VALUE))
        });
        let fields = fields.collect();
        let mut target = |title: &str, url: &str, style: &str| {
            let title = line(title);
            let is_link = is_link(url) && url.len() <= MAX_URL;
            Target {
                title: short(if title.is_empty() { line(url) } else { title }, MAX_LINK_TITLE),
                is_link,
                url: if is_link { url.to_owned() } else { short(line(url), MAX_LINK_TITLE) },
                danger: style == "danger",
                primary: style == "primary",
            }
        };
        let links =
            message.links.iter().take(MAX_LINKS).map(|link| target(&link.title, &link.url, "")).collect();
        let actions = message
            .actions
            .iter()
            .take(MAX_LINKS)
            .map(|action| target(&action.title, &action.url, &action.style))
            .collect();
        cut |= message.fields.len() > MAX_FIELDS
            || message.links.len() > MAX_LINKS
            || message.actions.len() > MAX_LINKS;
        Self {
            language: Language::of(&message.locale),
            locale: message
                .locale
                .chars()
                .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
                .take(35)
                .collect(),
            severity: message.severity,
            words: Words::of(message),
            resolved: false,
            title,
            summary,
            body: honest(&message.body).into_owned(),
            fields,
            links,
            actions,
            footer,
            cut,
            alert_url: alert_url.filter(|url| is_link(url) && url.len() <= 512).map(str::to_owned),
        }
    }

    /// The word that stands beside the title; empty for none.
    #[must_use]
    pub const fn state(&self) -> &'static str {
        if self.resolved { self.words.resolved } else { self.words.severity(self.severity) }
    }

    /// Cuts the body until `size` of the result is within [`MAX_HTML`].
    pub fn fit(&mut self, size: impl Fn(&Self) -> usize) {
        let mut room = 64 * 1024;
        while size(self) > MAX_HTML && !self.body.is_empty() {
            let short = cut_bytes(&self.body, room);
            if short.cut {
                self.body = format!("{} …", short.text.trim_end());
                self.cut = true;
            }
            if room < 1024 {
                self.body.clear();
                self.cut = true;
            }
            room /= 2;
        }
    }
}

/// The studio's own words. Everything else comes from templates, in their language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    En,
    De,
}

/// One of the studio's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    ViewInBrowser,
    Cut,
    CutNoLink,
    Unsubscribe,
    Details,
    Links,
}

impl Language {
    fn of(locale: &str) -> Self {
        let language = locale.split(['-', '_']).next().unwrap_or_default();
        if language.eq_ignore_ascii_case("de") { Self::De } else { Self::En }
    }

    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
        }
    }

    #[must_use]
    pub const fn say(self, word: Word) -> &'static str {
        match (self, word) {
            (Self::En, Word::ViewInBrowser) => "View in browser",
            (Self::De, Word::ViewInBrowser) => "Im Browser ansehen",
            (Self::En, Word::Cut) => "This message was shortened. Read the whole alert",
            (Self::De, Word::Cut) => "Diese Nachricht wurde gekürzt. Die ganze Meldung lesen",
            (Self::En, Word::CutNoLink) => "This message was shortened.",
            (Self::De, Word::CutNoLink) => "Diese Nachricht wurde gekürzt.",
            (Self::En, Word::Unsubscribe) => "Unsubscribe",
            (Self::De, Word::Unsubscribe) => "Abbestellen",
            (Self::En, Word::Details) => "Details",
            (Self::De, Word::Details) => "Einzelheiten",
            (_, Word::Links) => "Links",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_cut_until_they_fit() {
        for (what, body) in [
            ("words", "word ".repeat(60_000)),
            ("escaped", "<&> ".repeat(60_000)),
            ("one word", "x".repeat(300_000)),
            ("items", "- a\n".repeat(50_000)),
        ] {
            let message = Message { title: "t".into(), body, ..Message::default() };
            let mut content = Content::new(&message, Some("https://n.example/a/t"));
            content.fit(|content| crate::html::html(content, Some("https://n.example/u/t")).len());
            let html = crate::html::html(&content, Some("https://n.example/u/t"));
            assert!(html.len() <= MAX_HTML, "{what}: {}", html.len());
            assert!(html.len() > 5_000, "{what}: as much as fits is kept, {}", html.len());
            assert!(content.cut && html.contains("https://n.example/a/t"), "{what}");
        }
    }

    #[test]
    fn the_worst_lists_fit_too() {
        use notify_connector_sdk::message::{Field, Link};
        let message = Message {
            title: "\"".repeat(5_000),
            summary: "\"".repeat(5_000),
            footer: "\"".repeat(5_000),
            fields: (0..500)
                .map(|_| Field { name: "'".repeat(999), value: "'".repeat(9_999), short: false })
                .collect(),
            links: (0..500)
                .map(|_| Link { title: "&".repeat(999), url: "https://e.example".into() })
                .collect(),
            ..Message::default()
        };
        let content = Content::new(&message, None);
        assert!(content.cut && content.fields.len() == MAX_FIELDS && content.links.len() == MAX_LINKS);
    }

    #[test]
    fn lines_are_lines() {
        assert_eq!(line("a\r\n b\0\u{202e}c\t d"), "a bc d");
    }
}
