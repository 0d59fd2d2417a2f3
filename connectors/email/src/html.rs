//! The HTML form: one column of tables with inline styles, which every client understands; a style sheet adds dark mode
//! and small screens where it is read. No image, no script, nothing from elsewhere: a mail that loads something tells
//! its sender who read it and when.

use crate::content::{Content, Target, Word};
use notify_connector_sdk::message::Severity;
use notify_markup::escape_html;
use std::fmt::Write as _;

const FONT: &str =
    "font-family:-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif";

const STYLE: &str = "\
.md p{margin:0 0 12px}.md ul,.md ol{margin:0 0 12px;padding-left:22px}.md li{margin:0 0 4px}\
.md h1,.md h2,.md h3,.md h4,.md h5,.md h6{margin:16px 0 8px;font-size:16px;line-height:1.35}\
.md blockquote{margin:0 0 12px;padding:2px 0 2px 12px;border-left:3px solid #d1d5db;color:#4b5563}\
.md code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:13px;background:#f3f4f6;\
padding:1px 4px;border-radius:4px}\
.md pre{margin:0 0 12px;padding:12px;background:#f3f4f6;border-radius:6px;white-space:pre-wrap;word-break:break-word}\
.md pre code{padding:0;background:transparent}.md a{color:#1d4ed8}.md hr{border:0;border-top:1px solid #e5e7eb}\
@media (max-width:620px){.outer{padding:0!important}.card{border-radius:0!important;border-left:0!important;\
border-right:0!important}.pad{padding-left:18px!important;padding-right:18px!important}}\
@media (prefers-color-scheme:dark){body,.page{background:#0b0f17!important}\
.card{background:#151b26!important;border-color:#2b3444!important}\
.ink{color:#f3f4f6!important}.dim,.foot,.md blockquote{color:#9ca3af!important}\
.line{border-color:#2b3444!important}.md code,.md pre{background:#0f1520!important;color:#e5e7eb!important}\
.md pre code{background:transparent!important}.md a,.link{color:#93c5fd!important}\
.note{background:#1e2634!important;color:#e5e7eb!important}.ghost{color:#e5e7eb!important;border-color:#475569!important}}";

/// Bar and badge: dark enough for white text on them (WCAG AA).
const fn colour(content: &Content) -> &'static str {
    if content.resolved {
        return "#15803d";
    }
    match content.severity {
        Severity::Blocker => "#7f1d1d",
        Severity::Critical => "#b91c1c",
        Severity::High => "#c2410c",
        Severity::Medium => "#a16207",
        Severity::Low => "#1d4ed8",
        Severity::Info => "#0369a1",
        Severity::None => "#4b5563",
    }
}

/// Text with its line breaks.
fn lines(text: &str) -> String {
    escape_html(text).replace('\n', "<br>")
}

fn section(out: &mut String, padding: &str, inner: &str) {
    let _ = writeln!(out, "<tr><td class=\"pad\" style=\"padding:{padding};{FONT}\">{inner}</td></tr>");
}

fn heading(out: &mut String, content: &Content) {
    let label = content.state();
    let mut inner = String::new();
    if !label.is_empty() {
        let _ = write!(
            inner,
            "<div style=\"margin:0 0 10px\"><span style=\"display:inline-block;padding:3px 10px;border-radius:999px;\
             background:{};color:#ffffff;font-size:12px;font-weight:600;letter-spacing:.02em\">{}</span></div>",
            colour(content),
            escape_html(label)
        );
    }
    let _ = write!(
        inner,
        "<h1 class=\"ink\" style=\"margin:0;font-size:21px;line-height:1.3;font-weight:650;color:#111827;\
         word-break:break-word\">{}</h1>",
        escape_html(&content.title)
    );
    if !content.summary.is_empty() {
        let _ = write!(
            inner,
            "<p class=\"dim\" style=\"margin:8px 0 0;font-size:15px;line-height:1.5;color:#4b5563;\
             word-break:break-word\">{}</p>",
            lines(&content.summary)
        );
    }
    section(out, "24px 28px 0", &inner);
}

fn fields(out: &mut String, content: &Content) {
    if content.fields.is_empty() {
        return;
    }
    let mut inner = "<table role=\"presentation\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" \
                     style=\"border-collapse:collapse;width:100%\">"
        .to_owned();
    for (name, value) in &content.fields {
        let _ = writeln!(
            inner,
            "<tr><td class=\"dim line\" valign=\"top\" style=\"padding:8px 16px 8px 0;border-top:1px solid #e5e7eb;\
             font-size:13px;line-height:1.45;color:#6b7280;width:34%\">{}</td><td class=\"ink line\" valign=\"top\" \
             style=\"padding:8px 0;border-top:1px solid #e5e7eb;font-size:14px;line-height:1.45;color:#111827;\
             word-break:break-word\">{}</td></tr>",
            escape_html(name),
            lines(value)
        );
    }
    inner.push_str("</table>");
    section(out, "20px 28px 0", &inner);
}

fn button(action: &Target) -> String {
    let title = escape_html(&action.title);
    if !action.is_link {
        return format!(
            "<div class=\"ink\" style=\"margin:0 0 8px;font-size:14px\">{title}: {}</div>",
            escape_html(&action.url)
        );
    }
    let (class, look) = if action.danger {
        ("", "background:#b91c1c;border:1px solid #b91c1c;color:#ffffff")
    } else if action.primary {
        ("", "background:#1d4ed8;border:1px solid #1d4ed8;color:#ffffff")
    } else {
        (" class=\"ghost\"", "border:1px solid #cbd5e1;color:#111827")
    };
    format!(
        "<a{class} href=\"{}\" rel=\"noopener noreferrer\" style=\"display:inline-block;margin:0 8px 8px 0;\
         padding:9px 16px;border-radius:8px;{look};font-size:14px;font-weight:600;text-decoration:none\">{title}</a>",
        escape_html(&action.url)
    )
}

fn links(out: &mut String, content: &Content) {
    // Without an action the first link is the thing to do.
    let (first, rest) = match content.links.split_first() {
        Some((first, rest)) if content.actions.is_empty() && first.is_link => (Some(first), rest),
        _ => (None, content.links.as_slice()),
    };
    let first = first.map(|link| Target { primary: true, ..link.clone() });
    let buttons: String = content.actions.iter().chain(&first).map(button).collect();
    if !buttons.is_empty() {
        section(out, "22px 28px 0", &buttons);
    }
    if rest.is_empty() {
        return;
    }
    let mut inner = String::new();
    for link in rest {
        let title = escape_html(&link.title);
        let url = escape_html(&link.url);
        let item = if link.is_link {
            format!(
                "<a class=\"link\" href=\"{url}\" rel=\"noopener noreferrer\" style=\"color:#1d4ed8\">{title}</a>"
            )
        } else {
            format!("<span class=\"ink\">{title}: {url}</span>")
        };
        let _ = write!(
            inner,
            "<div style=\"margin:0 0 6px;font-size:14px;line-height:1.5;word-break:break-word\">{item}</div>"
        );
    }
    section(out, "18px 28px 0", &inner);
}

fn note(out: &mut String, content: &Content) {
    if !content.cut {
        return;
    }
    let inner = match &content.alert_url {
        Some(url) => format!(
            "<a class=\"link\" href=\"{}\" rel=\"noopener noreferrer\" style=\"color:#1d4ed8\">{}</a>",
            escape_html(url),
            escape_html(content.language.say(Word::Cut))
        ),
        None => escape_html(content.language.say(Word::CutNoLink)),
    };
    let inner = format!(
        "<div class=\"note\" style=\"padding:10px 14px;border-radius:8px;background:#f3f4f6;font-size:14px;color:#111827\">{inner}</div>"
    );
    section(out, "18px 28px 0", &inner);
}

fn footer(content: &Content, unsubscribe: Option<&str>) -> String {
    let mut parts = Vec::new();
    if !content.footer.is_empty() {
        parts.push(lines(&content.footer));
    }
    let link = |url: &str, word| {
        format!(
            "<a class=\"foot\" href=\"{}\" rel=\"noopener noreferrer\" style=\"color:#6b7280\">{}</a>",
            escape_html(url),
            escape_html(content.language.say(word))
        )
    };
    let own: Vec<String> = [
        content.alert_url.as_deref().map(|url| link(url, Word::ViewInBrowser)),
        unsubscribe.map(|url| link(url, Word::Unsubscribe)),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !own.is_empty() {
        parts.push(own.join(" &nbsp;·&nbsp; "));
    }
    parts.join("<br>")
}

/// The whole document.
#[must_use]
pub fn html(content: &Content, unsubscribe: Option<&str>) -> String {
    let language = if content.locale.is_empty() { content.language.tag() } else { &content.locale };
    let bar = colour(content);
    let mut out = String::with_capacity(8 * 1024);
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"supported-color-schemes\" content=\"light dark\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n\
         <body style=\"margin:0;padding:0;background:#f3f4f6\">\n\
         <table role=\"presentation\" class=\"page\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" \
         style=\"background:#f3f4f6\"><tr><td class=\"outer\" align=\"center\" style=\"padding:24px 12px\">\n\
         <table role=\"presentation\" class=\"card\" width=\"100%\" cellpadding=\"0\" cellspacing=\"0\" \
         style=\"max-width:640px;background:#ffffff;border:1px solid #e5e7eb;border-radius:12px;\
         border-collapse:separate;overflow:hidden;text-align:left\">\n\
         <tr><td style=\"height:6px;line-height:6px;font-size:0;background:{bar}\">&nbsp;</td></tr>\n",
        escape_html(language),
        escape_html(&content.title),
    );
    heading(&mut out, content);
    if !content.body.trim().is_empty() {
        let inner = format!(
            "<div class=\"md ink\" style=\"font-size:15px;line-height:1.55;color:#111827;word-break:break-word\">{}</div>",
            notify_markup::html(&content.body)
        );
        section(&mut out, "18px 28px 0", &inner);
    }
    note(&mut out, content);
    fields(&mut out, content);
    links(&mut out, content);
    let foot = footer(content, unsubscribe);
    let foot = if foot.is_empty() { "&nbsp;".to_owned() } else { foot };
    section(
        &mut out,
        "24px 28px 22px",
        &format!(
            "<div class=\"foot\" style=\"font-size:12px;line-height:1.6;color:#6b7280;word-break:break-word\">{foot}</div>"
        ),
    );
    out.push_str("</table>\n</td></tr></table>\n</body>\n</html>\n");
    out
}
