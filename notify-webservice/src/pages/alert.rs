//! `/a/{token}`: one alert in full, for whoever got it shortened.

use super::paper::{Paper, note, text};
use super::words::{Language, Words};
use crate::app::{Answer, Call};
use axum::response::Response;
use http::StatusCode;
use notify_core::links::{AlertLink, LinkFault};
use notify_core::message::{Attachment, EventReference, Field, Message};
use notify_core::time::Timestamp;
use notify_markup::{honest, html, is_link};
use notify_store::model::Delivery;
use std::fmt::Write as _;

/// `GET /a/{token}`
pub async fn page(call: Call) -> Answer {
    let words = call.words();
    if !call.may_look() {
        return Ok(note(words, StatusCode::TOO_MANY_REQUESTS, words.too_many));
    }
    let link = match call.app.pages.keys.open_alert(call.param("token"), call.app.clock.now()) {
        Ok(link) => link,
        Err(LinkFault::Expired) => return Ok(note(words, StatusCode::GONE, words.expired)),
        Err(LinkFault::Unknown) => return Ok(note(words, StatusCode::NOT_FOUND, words.unknown)),
    };
    let found = match call.app.store.delivery(&link.tenant, &link.delivery).await {
        Ok(found) => found,
        Err(error) => {
            tracing::error!(request = call.request, %error, "the alert of a link could not be read");
            return Ok(note(words, StatusCode::SERVICE_UNAVAILABLE, words.broken));
        }
    };
    let shown = found.as_ref().and_then(|delivery| {
        let message = serde_json::from_str::<Message>(&delivery.delivery.message).ok()?;
        Some(shown(&message, delivery, &link))
    });
    Ok(shown.unwrap_or_else(|| note(words, StatusCode::GONE, words.gone)))
}

fn shown(message: &Message, delivery: &Delivery, link: &AlertLink) -> Response {
    let words = Language::of(&message.locale).words();
    let mut paper = Paper::new(words, &message.title, Some(message.severity));
    paper.put("<main>\n<header>\n");
    paper.element("p", "badge", words.severity(message.severity));
    paper.element("h1", "", &message.title);
    if !message.summary.is_empty() {
        paper.element("p", "summary", &message.summary);
    }
    paper.put("</header>\n");
    if !message.body.is_empty() {
        paper.put("<section class=\"body\">\n").put(&html(&honest(&message.body))).put("</section>\n");
    }
    fields(&mut paper, words, &message.fields);
    let links: Vec<_> = message.links.iter().map(|link| (link.title.as_str(), link.url.as_str())).collect();
    list(&mut paper, words.links, &links);
    let acts: Vec<_> = message.actions.iter().map(|act| (act.title.as_str(), act.url.as_str())).collect();
    list(&mut paper, words.actions, &acts);
    attachments(&mut paper, words, &message.attachments);
    if !message.footer.is_empty() {
        paper.put("<section>\n").element("p", "host", &message.footer).put("</section>\n");
    }
    about(&mut paper, words, message.event.as_ref(), delivery);
    paper.put("</main>\n<footer>\n");
    paper.element("p", "", &format!("{} {}.", words.good_until, minute(link.expires_at)));
    paper.put("</footer>\n");
    paper.answer(StatusCode::OK)
}

fn fields(paper: &mut Paper, words: &Words, fields: &[Field]) {
    if fields.is_empty() {
        return;
    }
    paper.put("<section>\n").element("h2", "", words.details).put("<dl>\n");
    for field in fields {
        pair(paper, &field.name, &field.value, field.short);
    }
    paper.put("</dl>\n</section>\n");
}

fn pair(paper: &mut Paper, name: &str, value: &str, short: bool) {
    let class = if short { "" } else { " class=\"wide\"" };
    paper.put(&format!("<div{class}>")).element("dt", "", name).element("dd", "", value).put("</div>\n");
}

/// Each link with the host that it really leads to: its title is somebody else's text.
fn list(paper: &mut Paper, heading: &str, links: &[(&str, &str)]) {
    if links.is_empty() {
        return;
    }
    paper.put("<section>\n").element("h2", "", heading).put("<ul>\n");
    for (title, url) in links {
        let mut item = String::new();
        if is_link(url) {
            let _ = write!(
                item,
                "<li><a href=\"{}\" rel=\"noopener noreferrer nofollow\">{}</a>",
                text(url),
                text(title)
            );
        } else {
            let _ = write!(item, "<li>{}", text(title));
        }
        let place = url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let place = place.unwrap_or_else(|| (*url).to_owned());
        let _ = writeln!(item, " <span class=\"host\">{}</span></li>", text(&place));
        paper.put(&item);
    }
    paper.put("</ul>\n</section>\n");
}

fn attachments(paper: &mut Paper, words: &Words, attachments: &[Attachment]) {
    if attachments.is_empty() {
        return;
    }
    paper.put("<section>\n").element("h2", "", words.attachments);
    for attachment in attachments {
        paper.put("<details>").element("summary", "", &attachment.name);
        paper.element("pre", "", &attachment.content).put("</details>\n");
    }
    paper.put("</section>\n");
}

fn about(paper: &mut Paper, words: &Words, event: Option<&EventReference>, delivery: &Delivery) {
    paper.put("<section class=\"about\">\n").element("h2", "", words.about).put("<dl>\n");
    if let Some(event) = event {
        pair(paper, words.event, &event.r#type, true);
        pair(paper, words.source, &event.source, true);
        if let Some(subject) = &event.subject {
            pair(paper, words.subject, subject, true);
        }
        if let Some(time) = &event.time {
            pair(paper, words.time, &time.parse().map_or_else(|_| time.clone(), minute), true);
        }
    }
    pair(paper, words.sent, &minute(delivery.delivery.created_at), true);
    pair(paper, words.delivery, delivery.delivery.id.as_str(), true);
    paper.put("</dl>\n</section>\n");
}

/// `2026-11-22 08:00 UTC`
fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
