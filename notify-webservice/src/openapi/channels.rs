//! Schemas of how channels are.

use serde_json::{Value, json};

pub fn all() -> Value {
    let text = json!({ "type": "string" });
    let some_text = json!({ "type": ["string", "null"] });
    let some_time = json!({ "type": ["string", "null"], "format": "date-time" });
    let number = json!({ "type": "integer", "minimum": 0 });
    let status = json!({ "type": ["integer", "null"], "minimum": 100, "maximum": 999 });
    let time = json!({ "type": "string", "format": "date-time" });
    let results = json!({ "enum": ["ok", "failing", "not-checkable"] });
    let secrets = json!({
        "type": "array",
        "items": {
            "type": "object",
            "required": ["name", "reference", "readable"],
            "properties": {
                "name": text, "reference": text, "readable": { "type": "boolean" }, "problem": text,
                "sinceAt": {
                    "type": "string", "format": "date-time",
                    "description": "Since when it has the value that it has, as seen by `:refresh-secret`.",
                },
            },
        },
    });
    json!({
        "ChannelStatus": {
            "type": "object",
            "required": ["id", "type", "enabled", "state", "breaker", "waiting", "inFlight"],
            "properties": {
                "id": text, "name": text, "type": text, "enabled": { "type": "boolean" },
                "state": {
                    "enum": ["ok", "failing", "open", "paused", "rate-limited", "disabled", "unused"],
                    "description": "The one word that matters most; `reason` says why.",
                },
                "reason": some_text,
                "breaker": {
                    "type": "object",
                    "properties": {
                        "state": { "enum": ["closed", "open", "half-open", "off"] },
                        "since": some_time, "until": some_time,
                    },
                },
                "failingSince": some_time, "pausedUntil": some_time, "nextTurnAt": some_time,
                "lastSuccessAt": some_time,
                "lastError": {
                    "type": ["object", "null"],
                    "properties": { "at": time, "result": text, "httpStatus": status, "text": text },
                },
                "waiting": number, "inFlight": number,
                "check": {
                    "type": "object",
                    "properties": {
                        "checkable": { "type": "boolean" },
                        "everySeconds": { "type": ["integer", "null"], "minimum": 0 },
                        "last": {
                            "type": ["object", "null"],
                            "properties": { "at": time, "result": results, "text": text },
                        },
                    },
                },
                "secretsReadable": {
                    "type": "boolean",
                    "description": "Of one channel only: lists read no secrets.",
                },
                "secrets": secrets,
                "fallback": { "type": ["object", "null"], "properties": { "channel": text, "after": text } },
                "rates": {
                    "type": "object",
                    "properties": {
                        "provider": { "type": "array", "items": { "type": "object" } },
                        "own": { "type": ["object", "null"] },
                    },
                },
            },
        },
        "ChannelStatusPage": {
            "type": "object",
            "required": ["items"],
            "properties": {
                "items": { "type": "array", "items": { "$ref": "#/components/schemas/ChannelStatus" } },
                "nextPageToken": some_text,
            },
        },
        "ChannelTest": {
            "type": "object",
            "required": ["id", "channel", "state"],
            "properties": {
                "id": { "type": "string", "pattern": "^dlv_[0-9a-f]{32}$" },
                "channel": text,
                "state": {
                    "enum": ["scheduled", "delivered", "accepted", "dead", "cancelled"],
                    "description": "`scheduled`, unless the Idempotency-Key is that of a test before.",
                },
            },
        },
        "ChannelCheck": {
            "type": "object",
            "required": ["channel", "result", "text", "at"],
            "properties": { "channel": text, "result": results, "text": text, "at": time, "httpStatus": status },
        },
        "RefreshedSecrets": {
            "type": "object",
            "required": ["channel", "secrets", "breakerClosed", "deliveriesDueNow"],
            "properties": {
                "channel": text, "secrets": secrets, "breakerClosed": { "type": "boolean" },
                "deliveriesDueNow": number,
            },
        },
    })
}
