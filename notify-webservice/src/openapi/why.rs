//! Schemas of answers to "why".

use serde_json::{Value, json};

fn text() -> Value {
    json!({ "type": "string" })
}

fn said(about: &str) -> Value {
    json!({ "type": "string", "description": about })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn number() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn list(item: &str) -> Value {
    json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{item}") } })
}

pub fn all() -> Value {
    let mut all = stories();
    for group in [reports(), digests()] {
        if let (Value::Object(all), Value::Object(group)) = (&mut all, group) {
            all.extend(group);
        }
    }
    all
}

fn stories() -> Value {
    json!({
        "Story": {
            "type": "object",
            "required": ["event", "state", "sentence", "actions"],
            "properties": {
                "event": {
                    "type": "object",
                    "required": ["key", "id", "source", "type", "acceptedAt"],
                    "properties": {
                        "key": text(), "id": text(), "source": text(), "type": text(), "subject": text(),
                        "acceptedAt": time(),
                    },
                },
                "state": { "enum": ["pending", "decided"] },
                "sentence": said("The whole in one sentence."),
                "unmatched": number(),
                "actions": list("StoryAction"),
                "notes": { "type": "array", "items": said("What this story cannot say, and why.") },
            },
        },
        "StoryAction": {
            "type": "object",
            "required": ["rule", "action", "sentence", "end", "steps"],
            "properties": {
                "rule": text(), "ruleVersion": number(), "ruleDigest": text(), "action": text(),
                "channel": text(), "sentence": text(),
                "end": { "$ref": "#/components/schemas/StoryEnd" },
                "steps": list("StoryStep"),
            },
        },
        "StoryEnd": {
            "type": "object",
            "required": ["state"],
            "properties": {
                "state": { "enum": ["sent", "not-sent", "in-digest", "held", "sending", "unknown"] },
                "because": said("Not sent: a control (`dedupe`, `silence`, `maintenance`, `inhibition`, `storm`, `throttle`, `quiet-hours`, `budget`), `channel-missing`, `channel-disabled`, `rule-missing`, `rule-disabled`, `action-missing`, `delivery-failed` or `delivery-cancelled`."),
                "until": time(), "delivery": text(), "result": text(), "at": time(),
                "held": said("Held: the alert. Where the next attempt of a delivery is held, `delivery` is there instead."),
                "attempt": number(), "dueAt": time(), "digest": text(),
                "digestState": { "enum": ["open", "held", "sending", "sent"] },
                "closesAt": time(), "outcome": text(),
            },
        },
        "StoryStep": {
            "type": "object",
            "required": ["seq", "at", "kind", "sentence", "record"],
            "properties": {
                "seq": { "type": "integer", "minimum": 0, "description": "Of the ledger entry." },
                "at": text(),
                "kind": { "enum": ["event", "release", "digest", "attempt", "delivery"] },
                "sentence": text(),
                "record": { "description": "As the ledger has it." },
            },
        },
    })
}

fn reports() -> Value {
    let counts = json!({ "type": "object", "additionalProperties": number() });
    json!({
        "NoiseReport": {
            "type": "object",
            "required": ["from", "to", "covered", "complete", "entries", "totals", "rules", "unreadable"],
            "properties": {
                "from": time(), "to": time(),
                "covered": { "type": "string", "format": "date-time", "description": "Counted from here on: later than `from` when there was more than one report looks at." },
                "complete": { "type": "boolean" }, "entries": number(),
                "unreadable": { "type": "integer", "minimum": 0, "description": "Entries that are pruned." },
                "totals": {
                    "type": "object",
                    "properties": {
                        "alerts": number(), "planned": number(), "suppressed": number(), "digested": number(),
                        "held": number(), "messages": number(),
                    },
                },
                "rules": list("RuleNoise"),
            },
        },
        "RuleNoise": {
            "type": "object",
            "required": ["rule", "matched", "alerts", "planned", "suppressed", "digested", "held", "messages"],
            "properties": {
                "rule": text(), "matched": number(), "alerts": number(),
                "planned": { "type": "integer", "minimum": 0, "description": "Alerts decided to be sent at once; deliveries tell whether each arrived." },
                "suppressed": counts, "digested": counts, "held": counts, "heldReleased": number(),
                "heldCancelled": number(), "digests": number(),
                "messages": { "type": "integer", "minimum": 0, "description": "`planned` + `heldReleased` + `digests`." },
                "score": { "type": "integer", "minimum": 0, "maximum": 100, "description": "From 10 alerts on." },
                "suggestion": {
                    "type": "object",
                    "required": ["code", "text"],
                    "properties": { "code": text(), "text": text() },
                },
            },
        },
    })
}

fn digests() -> Value {
    json!({
        "Digest": {
            "type": "object",
            "required": ["id", "state"],
            "properties": {
                "id": { "type": "string", "pattern": "^dig_[0-9a-f]{32}$" },
                "state": {
                    "enum": ["open", "sending", "sent", "dead", "cancelled", "ended"],
                    "description": "Of one that is closed that of its delivery; `ended`: what became of it can no longer be read.",
                },
                "delivery": said("Of its message, once it is closed."),
                "rule": said("Of the alert that opened it; the summary of a storm takes those of all rules."),
                "action": text(), "channel": text(),
                "control": said("Why there is a digest."),
                "count": number(), "severity": text(), "openedAt": time(), "closesAt": time(),
                "items": {
                    "type": "array", "maxItems": 1_000,
                    "items": {
                        "type": "object",
                        "required": ["event", "rule", "action", "severity", "at"],
                        "properties": {
                            "event": text(), "rule": text(), "action": text(), "severity": text(),
                            "at": time(), "ledgerSeq": number(),
                        },
                    },
                },
                "ledgerSeq": { "type": "integer", "minimum": 0, "description": "Of the entry that ended it." },
                "record": { "description": "That entry, as the ledger has it." },
            },
        },
        "DigestPage": {
            "type": "object",
            "required": ["items"],
            "properties": { "items": list("Digest"), "nextPageToken": { "type": ["string", "null"] } },
        },
        "Held": {
            "type": "object",
            "required": ["id", "event", "rule", "action", "channel", "control", "heldAt", "releaseAt"],
            "properties": {
                "id": { "type": "string", "pattern": "^hld_[0-9a-f]{32}$" },
                "event": text(), "rule": text(), "ruleVersion": number(), "action": text(), "channel": text(),
                "control": said("What holds it back: `quiet-hours` or `maintenance`, or what held it again."),
                "title": said("Of the message that waits; left out where it has none."),
                "heldAt": time(),
                "releaseAt": { "type": "string", "format": "date-time", "description": "It is judged again then: sent, held further, or ended." },
            },
        },
        "HeldPage": {
            "type": "object",
            "required": ["items"],
            "properties": { "items": list("Held"), "nextPageToken": { "type": ["string", "null"] } },
        },
        "DigestPreviewRequest": {
            "type": "object",
            "required": ["rule", "events"],
            "properties": {
                "rule": { "description": "Id of a saved rule that is enabled, or a rule document that need not be saved." },
                "action": said("One of its actions; without it, the first."),
                "control": { "enum": ["digest", "throttle", "quiet-hours", "maintenance", "storm", "budget"], "default": "digest" },
                "events": {
                    "type": "array", "maxItems": 1_000,
                    "items": { "$ref": "#/components/schemas/CloudEvent" },
                },
            },
        },
        "DigestPreview": {
            "type": "object",
            "required": ["rule", "action", "channel", "count", "retained", "message"],
            "properties": {
                "rule": text(), "action": text(), "channel": text(), "channelType": text(), "template": text(),
                "count": number(), "retained": number(),
                "message": { "type": "object" },
                "request": said("The exact request with `‹secret:name›` in place of secrets."),
                "problem": { "$ref": "#/components/schemas/Problem" },
            },
        },
    })
}
