//! Schemas of inboxes and opt-outs.

use super::schemas::page;
use notify_core::severity::Severity;
use serde_json::{Value, json};

pub fn all() -> Value {
    let text = || json!({ "type": "string" });
    let time = || json!({ "type": "string", "format": "date-time" });
    let severities: Vec<_> = Severity::ALL.iter().map(|severity| severity.name()).collect();
    let mut list = page("InboxItem");
    list["properties"]["unread"] = json!({ "$ref": "#/components/schemas/UnreadCount" });
    json!({
        "InboxItem": {
            "type": "object",
            "required": ["id", "createdAt", "severity", "title", "channel", "rule", "unread"],
            "properties": {
                "id": { "type": "string", "pattern": "^dlv_[0-9a-f]{32}$", "description": "The delivery." },
                "createdAt": time(),
                "severity": { "enum": severities },
                "title": text(), "summary": text(), "channel": text(), "rule": text(), "event": text(),
                "unread": { "type": "boolean" },
                "readAt": time(),
                "readBy": { "type": "string", "description": "Who read it first." },
                "message": { "type": "object", "description": "The whole message; not in lists." },
            },
        },
        "InboxPage": list,
        "UnreadCount": {
            "type": "object",
            "description": "Of all inboxes of the tenant, whatever the list was asked for.",
            "required": ["total", "bySeverity"],
            "properties": {
                "total": { "type": "integer", "minimum": 0 },
                "bySeverity": { "type": "object", "additionalProperties": { "type": "integer", "minimum": 1 } },
            },
        },
        "InboxUnread": {
            "type": "object",
            "required": ["unread"],
            "properties": { "unread": { "$ref": "#/components/schemas/UnreadCount" } },
        },
        "OptOut": {
            "type": "object",
            "required": ["address", "since"],
            "properties": { "address": { "type": "string", "description": "Lower case." }, "since": time() },
        },
        "OptOutPage": page("OptOut"),
        "WayOutForm": {
            "type": "object",
            "properties": {
                "List-Unsubscribe": { "const": "One-Click" },
                "action": { "enum": ["unsubscribe", "resubscribe"] },
            },
        },
    })
}
