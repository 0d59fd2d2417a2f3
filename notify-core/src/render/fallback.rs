//! The built-in template: what is sent when a rule names no template, or when its template fails. In code, so that
//! nothing a tenant writes can break it.

use super::markdown::one_line;
use super::shape::event_severity;
use crate::message::{EventReference, Field, Message};
use crate::severity::Severity;
use serde_json::Value;

/// Bytes of one value in the fallback message.
const MAX_VALUE: usize = 300;

/// Renders the event alone: type, subject, severity, source, time.
pub fn message(event: &Value) -> Message {
    let kind = attribute(event, "type").unwrap_or_else(|| "event".to_owned());
    let subject = attribute(event, "subject");
    let source = attribute(event, "source");
    let time = attribute(event, "time");
    let severity = event_severity(event).unwrap_or_default();
    let title = match &subject {
        Some(subject) => format!("{kind}: {subject}"),
        None => kind.clone(),
    };
    let from = source.as_deref().unwrap_or("an unknown source");
    let summary = match severity {
        Severity::None => format!("{kind} from {from}"),
        severity => format!("{kind} of severity {severity} from {from}"),
    };
    let field = |name: &str, value: Option<String>| {
        value.map(|value| Field { name: name.to_owned(), value, short: true })
    };
    let shown = (severity != Severity::None).then(|| severity.to_string());
    let fields = [
        field("Type", Some(kind)),
        field("Subject", subject),
        field("Severity", shown),
        field("Source", source),
        field("Time", time),
    ];
    Message {
        title,
        summary,
        severity,
        fields: fields.into_iter().flatten().collect(),
        locale: "en".to_owned(),
        ..Message::default()
    }
}

fn attribute(event: &Value, name: &str) -> Option<String> {
    let text = one_line(event.get(name)?.as_str()?);
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    Some(cut(text, MAX_VALUE))
}

pub fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    text.chars()
        .scan(0, |used, c| {
            *used += c.len_utf8();
            (*used <= most - '…'.len_utf8()).then_some(c)
        })
        .chain(['…'])
        .collect()
}

/// The event's identity for receivers. CloudEvents attributes are short, but nothing here relies on it.
pub fn reference(event: &Value) -> Option<EventReference> {
    const MAX_ATTRIBUTE: usize = 2_048;
    let text = |name: &str| event.get(name).and_then(Value::as_str).map(|text| cut(text, MAX_ATTRIBUTE));
    Some(EventReference {
        id: text("id")?,
        source: text("source")?,
        r#type: text("type")?,
        subject: text("subject"),
        time: text("time"),
    })
}
