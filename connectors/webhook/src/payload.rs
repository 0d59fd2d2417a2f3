//! The body: one JSON text, the same bytes on every attempt.

use notify_connector_sdk::message::{Action, Attachment, EventReference, Field, Link, Message, Severity};
use notify_connector_sdk::{Refusal, time};
use serde::Serialize;

#[derive(Serialize)]
struct Payload<'a> {
    r#type: &'static str,
    timestamp: &'a str,
    data: Data<'a>,
}

/// The message's own fields, in its own order, then ours.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    title: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    summary: &'a str,
    severity: Severity,
    #[serde(skip_serializing_if = "str::is_empty")]
    body: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    fields: &'a [Field],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    links: &'a [Link],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    actions: &'a [Action],
    #[serde(skip_serializing_if = "str::is_empty")]
    footer: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    attachments: &'a [Attachment],
    #[serde(skip_serializing_if = "str::is_empty")]
    locale: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a EventReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<&'a serde_json::Value>,
    delivery: &'a str,
}

pub(crate) fn body(message: &Message, delivery: &str, delivery_unix_ms: u64) -> Result<String, Refusal> {
    let decided;
    let timestamp = match message.event.as_ref().and_then(|event| event.time.as_deref()) {
        Some(time) => time,
        None => {
            decided = time::rfc3339_millis(delivery_unix_ms);
            &decided
        }
    };
    let data = Data {
        title: &message.title,
        summary: &message.summary,
        severity: message.severity,
        body: &message.body,
        fields: &message.fields,
        links: &message.links,
        actions: &message.actions,
        footer: &message.footer,
        attachments: &message.attachments,
        locale: &message.locale,
        event: message.event.as_ref(),
        custom: message.native.get("webhook"),
        delivery,
    };
    serde_json::to_string(&Payload { r#type: "notify.alert", timestamp, data })
        .map_err(|error| Refusal::permanent(error.to_string()))
}
