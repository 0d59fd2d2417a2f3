//! A page as HTML and as an answer: one style, one policy, nothing that could be loaded or run.

use super::words::{Page, Words};
use crate::answer;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, StatusCode, header};
use notify_core::severity::Severity;
use notify_markup::{escape_html, honest};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::sync::LazyLock;

/// The only style; its hash stands in the policy, so that no other one is used.
pub const STYLE: &str = include_str!("page.css");

/// What a browser may do with a page: show text, with this style. `form-action` is for the pages with a button.
static POLICY: LazyLock<(String, String)> = LazyLock::new(|| {
    let style = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = |form: &str| {
        format!(
            "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action {form}; \
             frame-ancestors 'none'"
        )
    };
    (policy("'none'"), policy("'self'"))
});

/// Text as it may stand in HTML: without what lies about it, escaped.
pub fn text(raw: &str) -> String {
    escape_html(&honest(raw))
}

/// A page that is being written.
pub struct Paper {
    html: String,
    tag: &'static str,
    has_form: bool,
}

impl Paper {
    pub fn new(words: &Words, title: &str, severity: Option<Severity>) -> Self {
        let class = severity.map_or("plain", Severity::name);
        let title = text(title);
        let html = format!(
            "<!doctype html>\n<html lang=\"{}\" class=\"{class}\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"robots\" content=\"noindex, nofollow\">\n<meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
            words.tag
        );
        Self { html, tag: words.tag, has_form: false }
    }

    /// HTML that is right already.
    pub fn put(&mut self, html: &str) -> &mut Self {
        self.html.push_str(html);
        self
    }

    pub fn element(&mut self, name: &str, class: &str, raw: &str) -> &mut Self {
        let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
        let _ = writeln!(self.html, "<{name}{class}>{}</{name}>", text(raw));
        self
    }

    /// A button that posts `action` to where the page is.
    pub fn button(&mut self, action: &str, label: &str) -> &mut Self {
        self.has_form = true;
        let _ = writeln!(
            self.html,
            "<form method=\"post\"><input type=\"hidden\" name=\"action\" value=\"{action}\">\
             <button type=\"submit\">{}</button></form>",
            text(label)
        );
        self
    }

    pub fn answer(mut self, status: StatusCode) -> Response {
        self.html.push_str("</body>\n</html>\n");
        let mut response = answer::bytes(status, "text/html; charset=utf-8", self.html.into_bytes());
        let policy = if self.has_form { &POLICY.1 } else { &POLICY.0 };
        answer::set(&mut response, header::CONTENT_SECURITY_POLICY, policy);
        answer::set(&mut response, header::CACHE_CONTROL, "no-store");
        answer::set(&mut response, header::REFERRER_POLICY, "no-referrer");
        answer::set(&mut response, header::X_FRAME_OPTIONS, "DENY");
        answer::set(&mut response, header::CONTENT_LANGUAGE, self.tag);
        for (name, value) in [
            ("x-robots-tag", "noindex, nofollow, noarchive"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("permissions-policy", "interest-cohort=(), geolocation=(), camera=(), microphone=()"),
        ] {
            answer::set(&mut response, HeaderName::from_static(name), value);
        }
        response
    }
}

/// A page with a heading and a sentence.
pub fn note(words: &Words, status: StatusCode, page: Page) -> Response {
    note_with(words, status, page, |_| {})
}

pub fn note_with(
    words: &Words,
    status: StatusCode,
    Page(heading, sentence): Page,
    more: impl FnOnce(&mut Paper),
) -> Response {
    let mut paper = Paper::new(words, heading, None);
    paper.put("<main class=\"note\">\n").element("h1", "", heading).element("p", "", sentence);
    more(&mut paper);
    paper.put("</main>\n");
    let mut response = paper.answer(status);
    if status == StatusCode::TOO_MANY_REQUESTS {
        answer::set(&mut response, header::RETRY_AFTER, "60");
    }
    response
}
