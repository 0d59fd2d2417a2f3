//! `resources/hostile/strings.jsonl`, and messages with one of them in one place.

use crate::root;
use notify_core::document::{Template, Version};
use notify_core::render::{Library, RenderContext};
use serde_json::{Value, json};

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Hostile {
    pub id: String,
    pub text: String,
}

/// Where a text from an event can stand in a message.
pub const HOSTILE_PLACES: [&str; 8] =
    ["title", "summary", "body", "field-name", "field-value", "link-title", "action-title", "footer"];

/// The table.
///
/// # Panics
/// When it cannot be read.
#[must_use]
pub fn hostile_strings() -> Vec<Hostile> {
    let text = std::fs::read_to_string(root().join("resources/hostile/strings.jsonl")).expect("the table");
    let line = |line: &str| {
        let value: Value = serde_json::from_str(line).expect("a line of JSON");
        let part = |key: &str| value[key].as_str().expect("a text").to_owned();
        Hostile { id: part("id"), text: part("text") }
    };
    let all: Vec<Hostile> = text.lines().map(line).collect();
    assert!(all.len() > 60, "{}", all.len());
    all
}

/// `Value: <text> end` as a template's body renders it: escaped by the rules of core.
///
/// # Panics
/// When it cannot be rendered.
#[must_use]
pub fn escaped(text: &str) -> String {
    let document = json!({ "schema": "notify-template@1", "id": "t", "name": "T",
        "message": { "title": "t", "body": "Value: {{ event.data.x }} end" } });
    let document: Template = serde_json::from_value(document).expect("a template");
    let version = Version { version: 1, digest: "sha256:t".into(), document };
    let (library, problems) = Library::compile(&[version], &[], "en");
    assert!(problems.is_empty(), "{problems:?}");
    let context = RenderContext { tenant: "acme", rule_id: "r", rule_name: "R", channel_id: "c" };
    let event = json!({ "id": "1", "source": "/s", "type": "t", "data": { "x": text } });
    let rendered = library.render(Some(&"t".parse().expect("an id")), "en", &event, &context);
    assert_eq!(rendered.failed, None, "{text:?}");
    rendered.message.body
}

/// A message with the text in one place. The rest is the same for every text.
#[must_use]
pub fn hostile_message(place: &str, text: &str) -> Value {
    let at = |name: &str, otherwise: &str| {
        if place == name { Value::from(text) } else { Value::from(otherwise) }
    };
    let body = if place == "body" { escaped(text) } else { "It **stopped**.".to_owned() };
    json!({
        "title": at("title", "Disk full"),
        "summary": at("summary", "No space is left"),
        "severity": "high",
        "body": body,
        "fields": [
            { "name": at("field-name", "host"), "value": at("field-value", "db-1"), "short": true },
            { "name": at("field-name", "where"), "value": at("field-value", "rack 7") },
        ],
        "links": [{ "title": at("link-title", "Report"), "url": "https://good.example/report" }],
        "actions": [{ "id": "a", "title": at("action-title", "Acknowledge"), "url": "https://good.example/ack" }],
        "footer": at("footer", "Sent because of a rule"),
    })
}

/// What a reader sees of a text: without what `honest` drops, any white space as one space.
#[must_use]
pub fn tidy(text: &str) -> String {
    notify_markup::honest(text).split_whitespace().collect::<Vec<_>>().join(" ")
}
