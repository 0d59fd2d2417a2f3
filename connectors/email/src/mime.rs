//! One recipient's message as bytes (RFC 5322, MIME): headers that nobody can add to, text before HTML, attachments.

use crate::config::Settings;
use crate::content::{Content, line};
use crate::identity::{Unsubscribe, hex, message_id, safe_id};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Message as Mail, MultiPart, SinglePart};
use notify_connector_sdk::message::Message;
use notify_markup::cut_chars;
use sha2::{Digest as _, Sha256};
use std::time::{Duration, SystemTime};

/// Longest subject: clients show less, and a header line has 998 bytes at most.
const MAX_SUBJECT: usize = 180;

/// What all recipients' messages have in common.
pub struct Draft<'a> {
    pub settings: &'a Settings,
    pub message: &'a Message,
    pub content: &'a Content,
    pub delivery_id: &'a str,
    pub delivery_unix_ms: u64,
    /// The delivery whose message this one answers; empty if none.
    pub thread: &'a str,
    pub unsubscribe: Option<&'a Unsubscribe>,
}

/// A header's text as RFC 2047 words. Plain ASCII stays as it is, unless it looks like an encoded word: a reader must
/// see what was written, not what it decodes to.
fn encoded(text: &str) -> String {
    let plain = text.bytes().all(|b| (0x20..0x7f).contains(&b)) && !text.contains("=?");
    let folds = text.split(' ').all(|word| word.len() <= 60);
    if plain && folds {
        let mut out = String::new();
        let mut column = 12;
        for (at, word) in text.split(' ').enumerate() {
            if at > 0 && column + word.len() > 74 {
                out.push_str("\r\n");
                column = 0;
            }
            if at > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += word.len();
        }
        return out;
    }
    let mut words: Vec<String> = Vec::new();
    let mut chunk = String::new();
    for character in text.chars() {
        // 45 bytes are 60 characters of base64; with the frame of 12 a word stays below 75.
        if chunk.len() + character.len_utf8() > 39 {
            words.push(std::mem::take(&mut chunk));
        }
        chunk.push(character);
    }
    words.push(chunk);
    let words: Vec<String> =
        words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect();
    words.join("\r\n ")
}

/// The subject line of a message.
#[must_use]
pub fn subject(settings: &Settings, content: &Content) -> String {
    let prefix = line(&settings.subject_prefix);
    let title = if content.title.is_empty() { content.summary.clone() } else { content.title.clone() };
    // In brackets, which clients leave out when they look for the subject of a thread (RFC 5256).
    let state = if content.resolved { format!("[{}]", content.words.resolved) } else { String::new() };
    let whole = line(&format!("{prefix} {state} {title}"));
    let short = cut_chars(&whole, MAX_SUBJECT);
    if short.cut { format!("{} …", short.text.trim_end()) } else { whole }
}

/// A header whose value is ours or checked: no line break can be in it, whatever it is.
fn header(name: &'static str, value: &str) -> HeaderValue {
    let clean: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    HeaderValue::dangerous_new_pre_encoded(HeaderName::new_from_ascii_str(name), clean.clone(), clean)
}

fn mailbox(of: &crate::address::Mailbox) -> Result<lettre::message::Mailbox, String> {
    Ok(lettre::message::Mailbox::new(of.name.clone(), of.address.envelope()?))
}

/// Attachments are texts; what claims to be a structure of its own, or would run when opened, goes as bytes.
fn attachment_type(claimed: &str) -> ContentType {
    let plain = claimed.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    let lower = claimed.to_ascii_lowercase();
    let risky = ["multipart/", "message/", "text/html", "application/xhtml", "image/svg"];
    let octets = "application/octet-stream";
    let wanted = if plain && !risky.iter().any(|start| lower.starts_with(start)) { claimed } else { octets };
    ContentType::parse(wanted).or_else(|_| ContentType::parse(octets)).unwrap_or(ContentType::TEXT_PLAIN)
}

fn attachment_name(name: &str, at: usize) -> String {
    let name: String =
        line(name).chars().filter(|c| !matches!(c, '/' | '\\' | '"' | ':' | '<' | '>' | '|')).collect();
    let name = name.trim_matches(['.', ' ']).to_owned();
    let short = cut_chars(&name, 120).text.trim().to_owned();
    if short.is_empty() { format!("attachment-{}.txt", at + 1) } else { short }
}

/// The bytes for one recipient.
///
/// # Errors
/// What cannot be written: a permanent refusal.
pub fn build(draft: &Draft<'_>, recipient: &crate::address::Address) -> Result<Vec<u8>, String> {
    let Draft { settings, content, .. } = draft;
    let domain = settings.from.address.domain();
    let id = |delivery: &str| message_id(delivery, recipient.key(), domain);
    let link = draft.unsubscribe.and_then(|unsubscribe| unsubscribe.link(recipient.key()));
    let date =
        SystemTime::UNIX_EPOCH + Duration::from_millis(draft.delivery_unix_ms.min(253_402_300_799_000));
    let subject = subject(settings, content);

    let mut mail = Mail::builder()
        .from(mailbox(&settings.from)?)
        .to(lettre::message::Mailbox::new(None, recipient.envelope()?))
        .date(date)
        .message_id(Some(id(draft.delivery_id)))
        .raw_header(HeaderValue::dangerous_new_pre_encoded(
            HeaderName::new_from_ascii_str("Subject"),
            subject.clone(),
            encoded(&subject),
        ));
    if let Some(reply_to) = &settings.reply_to {
        mail = mail.reply_to(mailbox(reply_to)?);
    }
    if !draft.thread.is_empty() && draft.thread != draft.delivery_id {
        let root = id(draft.thread);
        mail = mail.raw_header(header("In-Reply-To", &root)).raw_header(header("References", &root));
    }
    mail = mail
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("X-Auto-Response-Suppress", "All"))
        .raw_header(header("List-Id", &format!("<{}>", settings.list_id)))
        .raw_header(header("X-Notify-Delivery", &safe_id(draft.delivery_id)));
    if let Some(link) = &link {
        mail = mail.raw_header(header("List-Unsubscribe", &format!("<{link}>")));
        // RFC 8058 knows one-click for https only.
        if link.starts_with("https://") {
            mail = mail.raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"));
        }
    }

    let marks = hex(&Sha256::digest(format!("{}/{}", draft.delivery_id, recipient.key())));
    let boundary = |kind: &str| format!("=_{kind}_{}", marks.get(..32).unwrap_or_default());
    let alternative = MultiPart::alternative()
        .boundary(boundary("alt"))
        .singlepart(SinglePart::plain(crate::text::text(content, link.as_deref())))
        .singlepart(SinglePart::html(crate::html::html(content, link.as_deref())));
    let body = if draft.message.attachments.is_empty() {
        alternative
    } else {
        let mut mixed = MultiPart::mixed().boundary(boundary("mix")).multipart(alternative);
        for (at, attachment) in draft.message.attachments.iter().enumerate() {
            let part = Attachment::new(attachment_name(&attachment.name, at));
            let content_type = attachment_type(&attachment.content_type);
            mixed = mixed.singlepart(part.body(attachment.content.clone(), content_type));
        }
        mixed
    };
    let mail = mail.multipart(body).map_err(|error| format!("the message cannot be written: {error}"))?;
    Ok(mail.formatted())
}
