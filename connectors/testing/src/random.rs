//! Random messages: small, huge, hostile, in every script.

use crate::hostile_strings;
use proptest::prelude::*;
use serde_json::{Value, json};

/// A text: of the table, random, or long.
fn text(most: usize) -> impl Strategy<Value = String> {
    let table: Vec<String> = hostile_strings().into_iter().map(|one| one.text).collect();
    prop_oneof![
        4 => "[ a-zA-Z0-9.,:/_-]{0,60}",
        2 => prop::sample::select(table),
        2 => "(\\PC|[\n\r\t*_~`<>&{}\\[\\]()#|\u{202e}\u{200d}\u{301}]){0,80}",
        1 => (prop::sample::select(vec!["x", "word ", "漢", "🙂", "&", "<", "\"", "\u{1}", "e\u{301}", "{{a", "\\", "- a\n", "**b** "]), 1..most)
            .prop_map(|(unit, count)| unit.repeat(count)),
    ]
}

fn url() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "https://[a-z]{1,10}\\.example/[a-z0-9?=&%]{0,40}",
        1 => Just("javascript:alert(1)".to_owned()),
        1 => Just("mailto:a@b.example".to_owned()),
        1 => (1_usize..6000).prop_map(|n| format!("https://x.example/{}", "a".repeat(n))),
        1 => text(50),
    ]
}

/// A message as JSON.
pub fn message() -> impl Strategy<Value = Value> {
    let severity = prop::sample::select(vec!["none", "info", "low", "medium", "high", "critical", "blocker"]);
    let fields = prop::collection::vec((text(400), text(400), any::<bool>()), 0..50);
    let links = prop::collection::vec((text(100), url()), 0..50);
    let actions = prop::collection::vec((text(100), url(), "(primary|danger|odd|)"), 0..12);
    let attachments = prop::collection::vec((text(60), text(4000)), 0..3);
    let texts = (text(400), text(600), prop_oneof![3 => text(1000), 1 => text(30_000)], text(300));
    let locale = prop::sample::select(vec!["", "en", "de", "de-AT", "x"]);
    (texts, severity, fields, links, actions, attachments, locale).prop_map(
        |((title, summary, body, footer), severity, fields, links, actions, attachments, locale)| {
            let fields: Vec<Value> = fields
                .into_iter()
                .map(|(name, value, short)| json!({ "name": name, "value": value, "short": short }))
                .collect();
            let links: Vec<Value> =
                links.into_iter().map(|(title, url)| json!({ "title": title, "url": url })).collect();
            let actions: Vec<Value> = actions
                .into_iter()
                .map(|(title, url, style)| json!({ "id": "a", "title": title, "url": url, "style": style }))
                .collect();
            let attachments: Vec<Value> = attachments
                .into_iter()
                .map(|(name, text)| json!({ "name": name, "contentType": "text/plain", "content": text }))
                .collect();
            json!({ "title": title, "summary": summary, "severity": severity, "body": body, "fields": fields,
                "links": links, "actions": actions, "footer": footer, "attachments": attachments, "locale": locale })
        },
    )
}
