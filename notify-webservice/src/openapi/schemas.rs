//! Schemas of requests and answers, by name. Documents themselves are described by `resources/schemas`.

use super::parts::SLUG;
use notify_core::problem::Code;
use serde_json::{Value, json};

fn text() -> Value {
    json!({ "type": "string" })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn number() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

pub(super) fn page(item: &str) -> Value {
    json!({
        "type": "object",
        "required": ["items"],
        "properties": {
            "items": { "type": "array", "items": { "$ref": format!("#/components/schemas/{item}") } },
            "nextPageToken": { "type": ["string", "null"] },
        },
    })
}

pub fn all() -> Value {
    let mut all = super::parts::published();
    for group in [
        events(),
        intake(),
        versions(),
        documents(),
        super::rules::all(),
        super::calendars::all(),
        super::muting::all(),
        super::channels::all(),
        deliveries(),
        super::inbox::all(),
        ledger(),
        operations(),
        super::why::all(),
    ] {
        if let Value::Object(members) = group {
            all.extend(members);
        }
    }
    Value::Object(all)
}

fn events() -> Value {
    json!({
        "CloudEventBatch": { "type": "array", "items": { "$ref": "#/components/schemas/CloudEvent" } },
        "BinaryData": {
            "description": "Binary mode: the body is `data`, the attributes are `ce-…` headers.",
        },
        "EventFate": {
            "type": "object",
            "required": ["status"],
            "properties": {
                "index": number(),
                "id": text(),
                "key": { "type": "string", "pattern": "^evt_[0-9a-f]{32}$" },
                "status": { "enum": ["accepted", "duplicate", "refused"] },
                "acceptedAt": time(),
                "quarantine": { "type": "string", "description": "After a redrive: the message it came from." },
                "problem": { "$ref": "#/components/schemas/Problem" },
            },
        },
        "EventFates": {
            "description": "One fate for a single event; for a batch one per event, in order.",
            "oneOf": [
                { "$ref": "#/components/schemas/EventFate" },
                {
                    "type": "object",
                    "required": ["items"],
                    "properties": {
                        "items": { "type": "array", "items": { "$ref": "#/components/schemas/EventFate" } },
                        "accepted": number(), "duplicates": number(), "refused": number(),
                    },
                },
            ],
        },
        "AlertmanagerWebhook": {
            "type": "object",
            "required": ["alerts"],
            "properties": {
                "version": { "enum": ["4", "1"] },
                "alerts": { "type": "array", "items": { "type": "object" } },
            },
        },
        "Event": {
            "type": "object",
            "properties": {
                "key": text(), "state": { "enum": ["pending", "planned"] }, "acceptedAt": time(),
                "id": text(), "source": text(), "type": text(), "subject": text(),
                "event": { "$ref": "#/components/schemas/CloudEvent" },
                "decisions": { "type": "array", "items": { "type": "object" } },
                "unmatched": number(),
                "deliveries": { "type": "array", "items": { "$ref": "#/components/schemas/Delivery" } },
            },
        },
        "EventPage": page("Event"),
    })
}

fn intake() -> Value {
    json!({
        "PrometheusAlerts": {
            "type": "array",
            "description": "Alertmanager API version 2, `postableAlerts`.",
            "items": {
                "type": "object",
                "required": ["labels"],
                "properties": {
                    "labels": { "type": "object", "minProperties": 1, "additionalProperties": text() },
                    "annotations": { "type": "object" },
                    "startsAt": time(),
                    "endsAt": { "type": "string", "format": "date-time", "description": "In the past: the alert is resolved." },
                    "generatorURL": text(),
                },
            },
        },
        "QuarantinedMessage": {
            "type": "object",
            "required": ["id", "receivedAt", "origin", "code", "bytes", "truncated"],
            "properties": {
                "id": { "type": "string", "pattern": "^qtn_[0-9a-f]{37}$" },
                "receivedAt": time(),
                "origin": { "type": "string", "description": "The bus and the place on it." },
                "contentType": text(),
                "code": text(),
                "problem": { "$ref": "#/components/schemas/Problem" },
                "bytes": number(),
                "truncated": { "type": "boolean", "description": "Only the beginning was kept; it cannot be sent on." },
                "body": { "type": "string", "description": "Where it is UTF-8." },
                "bodyBase64": text(),
            },
        },
        "QuarantinePage": page("QuarantinedMessage"),
    })
}

/// A document in its version, and pages of them.
fn versions() -> Value {
    let mut all = serde_json::Map::new();
    for (name, kind) in [
        ("Rule", "rule"),
        ("Channel", "channel"),
        ("Template", "template"),
        ("Bundle", "bundle"),
        ("EventType", "event-type"),
        ("Calendar", "calendar"),
        ("Contact", "contact"),
        ("Silence", "silence"),
        ("Override", "override"),
        ("Inhibition", "inhibition"),
        ("Policy", "policy"),
    ] {
        let version = json!({
            "type": "object",
            "required": ["kind", "id", "version", "digest", "createdAt", "document"],
            "properties": {
                "kind": { "const": kind },
                "id": text(), "version": number(),
                "digest": { "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" },
                "createdAt": time(), "deleted": { "type": "boolean" },
                "document": { "$ref": format!("#/components/schemas/{name}") },
                "forced": {
                    "type": "array",
                    "description": "In the answer to a write that was forced: what would have refused it.",
                    "items": { "$ref": "#/components/schemas/Shortcoming" },
                },
            },
        });
        let mut version = version;
        if name == "Channel" {
            version["properties"]["builtIn"] = json!({
                "type": "boolean",
                "description": "True for the inbox that every tenant has without having written it, at version 0.",
            });
        }
        if matches!(name, "Silence" | "Override") {
            version["properties"]["state"] = json!({
                "enum": ["upcoming", "active", "expired"],
                "description": "Of the current version, at the time of the answer.",
            });
            version["properties"]["covers"] =
                json!({ "type": "string", "description": "What it is about, in words." });
        }
        all.insert(format!("{name}Version"), version);
        all.insert(format!("{name}VersionPage"), page(&format!("{name}Version")));
    }
    Value::Object(all)
}

fn documents() -> Value {
    json!({
        "PreviewRequest": {
            "type": "object",
            "required": ["event"],
            "properties": {
                "event": { "$ref": "#/components/schemas/CloudEvent" },
                "rule": { "type": "object", "description": "A rule that need not be saved; only it is looked at." },
            },
        },
        "Preview": {
            "type": "object",
            "properties": {
                "eventKey": text(),
                "unmatched": number(),
                "nearest": { "$ref": "#/components/schemas/NearestRules" },
                "matched": { "type": "array", "items": {
                    "type": "object",
                    "properties": {
                        "rule": text(), "version": number(), "name": text(),
                        "actions": { "type": "array", "items": {
                            "type": "object",
                            "properties": {
                                "action": text(), "channel": text(), "channelType": text(),
                                "template": text(),
                                "outcome": { "enum": ["send", "render-failed", "suppressed", "held", "digested"] },
                                "control": { "type": "string", "description": "What decided, when something stood in the way." },
                                "parameters": { "type": "object", "description": "What the ledger would say of it." },
                                "alsoApplied": { "type": "array", "items": text() },
                                "message": { "type": "object" },
                                "request": { "type": "string", "description": "The exact request with ‹secret:name› in place of secrets." },
                                "secrets": {
                                    "type": "object",
                                    "description": "The channel's secrets by name, and how many references each has.",
                                    "additionalProperties": number(),
                                },
                                "problem": { "type": "object" },
                            },
                        } },
                    },
                } },
            },
        },
        "ApplyRequest": {
            "type": "object",
            "description": "Applying the same twice writes nothing, so `Idempotency-Key` is not looked at here; neither is \
                            `If-Match`: `ifConfigVersion` stands for it.",
            "required": ["rules"],
            "properties": {
                "rules": { "type": "array", "items": { "$ref": "#/components/schemas/Rule" } },
                "set": {
                    "type": "string", "pattern": SLUG, "default": "default",
                    "description": "New rules come into it (label `notify.apply-set`); only its rules are pruned.",
                },
                "prune": { "type": "boolean", "default": false, "description": "Delete rules of the set that are not among `rules`." },
                "keep": {
                    "type": "array", "items": { "type": "string", "pattern": SLUG },
                    "description": "Ids of rules that are not pruned, whether or not they are among `rules`.",
                },
                "adopt": { "type": "boolean", "default": false, "description": "All of the rules come into the set, whatever set they are in or name. Without it a rule that is in another set, which the rule that is sent does not name, is refused." },
                "force": { "type": "boolean", "default": false, "description": "Also rules whose own tests fail; the ledger keeps that." },
                "dryRun": { "type": "boolean", "default": false },
                "selector": {
                    "type": "object", "additionalProperties": text(),
                    "description": "Only rules with these labels are pruned.",
                },
                "ifConfigVersion": {
                    "type": "integer", "minimum": 0,
                    "description": "Only if the tenant's configuration is at this version, such as that of a dry run.",
                },
            },
            "additionalProperties": false,
        },
        "AppliedRules": {
            "type": "object",
            "required": ["set", "dryRun", "applied", "configVersion", "created", "changed", "deleted", "unchanged", "rules"],
            "properties": {
                "set": text(), "dryRun": { "type": "boolean" },
                "applied": { "type": "boolean", "description": "Something was written." },
                "configVersion": number(),
                "created": number(), "changed": number(), "deleted": number(), "unchanged": number(),
                "rules": {
                    "type": "array",
                    "description": "In the order of the request, then what is deleted.",
                    "items": {
                        "type": "object",
                        "required": ["id", "action", "version"],
                        "properties": {
                            "id": text(),
                            "action": { "enum": ["create", "replace", "unchanged", "delete"] },
                            "index": { "type": "integer", "minimum": 0, "description": "Its place among `rules`." },
                            "version": { "type": "integer", "minimum": 1, "description": "After this; of a deleted rule its last." },
                            "previousVersion": number(),
                            "set": text(),
                            "changes": { "type": "array", "items": {
                                "type": "object",
                                "required": ["op", "path"],
                                "properties": {
                                    "op": { "enum": ["add", "remove", "replace"] },
                                    "path": { "type": "string", "description": "JSON Pointer into the rule." },
                                    "old": {}, "new": {},
                                },
                            } },
                            "changesOmitted": {
                                "type": "integer", "minimum": 1,
                                "description": "How many more changes there are; at most 200 are told of a rule, and 20,000 of all.",
                            },
                            "forced": {
                                "type": "array", "items": { "$ref": "#/components/schemas/Shortcoming" },
                                "description": "What the rule's own tests say against it (`force`).",
                            },
                        },
                    },
                },
            },
        },
        "ExplainRequest": {
            "type": "object",
            "required": ["event"],
            "properties": { "event": { "$ref": "#/components/schemas/CloudEvent" } },
        },
        "LintRequest": {
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "rule": { "type": "object", "description": "A rule that need not be saved; without it all saved rules." },
            },
        },
        "LintReport": {
            "type": "object",
            "required": ["rules", "findings", "omitted"],
            "properties": {
                "rules": number(),
                "omitted": number(),
                "findings": { "type": "array", "items": {
                    "type": "object",
                    "required": ["rule", "code", "severity", "path", "reason", "fix"],
                    "properties": {
                        "rule": text(), "code": text(), "severity": { "enum": ["error", "warning", "info"] },
                        "path": text(), "reason": text(), "fix": text(), "otherRule": text(),
                    },
                } },
            },
        },
    })
}

fn deliveries() -> Value {
    json!({
        "Delivery": {
            "type": "object",
            "properties": {
                "id": { "type": "string", "pattern": "^dlv_[0-9a-f]{32}$" },
                "state": { "enum": ["scheduled", "delivered", "accepted", "dead", "cancelled"] },
                "rule": text(), "ruleVersion": number(), "action": text(), "channel": text(), "target": text(),
                "event": text(), "cause": text(), "title": text(), "createdAt": time(), "updatedAt": time(),
                "dueAt": time(), "nextAttempt": number(), "lastResult": text(), "lastError": text(),
                "providerReference": text(), "message": { "type": "object" }, "messageCommitment": text(),
                "attempts": { "type": "array", "items": { "$ref": "#/components/schemas/Attempt" } },
            },
        },
        "Attempt": {
            "type": "object",
            "properties": {
                "attempt": number(), "startedAt": time(), "finishedAt": time(), "result": text(),
                "httpStatus": number(), "error": text(), "providerReference": text(),
                "request": text(), "response": text(), "follows": { "type": "object" },
            },
        },
        "DeliveryPage": page("Delivery"),
        "Replay": {
            "type": "object",
            "properties": { "id": text(), "replayOf": text(), "state": text() },
        },
        "RedriveRequest": {
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "filter": {
                    "type": "object",
                    "additionalProperties": false,
                    "description": "Which dead letters; without it all that nobody has replayed.",
                    "properties": {
                        "state": { "const": "dead" },
                        "rule": text(), "channel": text(), "from": time(), "to": time(),
                    },
                },
                "ratePerSecond": { "type": "number", "minimum": 0.01, "maximum": 1000, "default": 10 },
                "dryRun": { "type": "boolean", "default": false },
            },
        },
        "Redriven": {
            "type": "object",
            "required": ["dryRun", "matched", "redriven", "skipped", "remaining", "ratePerSecond"],
            "properties": {
                "dryRun": { "type": "boolean" },
                "matched": number(), "redriven": number(),
                "remaining": { "type": "integer", "minimum": 0, "description": "Left for another request: one takes 10,000." },
                "ratePerSecond": { "type": "number" },
                "firstDueAt": time(), "lastDueAt": time(),
                "skipped": { "type": "array", "items": {
                    "type": "object",
                    "properties": {
                        "channel": text(), "count": number(),
                        "reason": { "enum": ["channel-disabled", "channel-deleted", "replayed-meanwhile"] },
                    },
                } },
            },
        },
    })
}

fn ledger() -> Value {
    json!({
        "Checkpoint": {
            "type": "object",
            "properties": {
                "origin": text(), "size": number(),
                "root": { "type": "string", "description": "Base64." },
                "checkpoint": { "type": "string", "description": "C2SP checkpoint with the log's signature." },
                "at": time(),
            },
        },
        "LedgerEntry": {
            "type": "object",
            "properties": {
                "seq": number(), "at": time(), "kind": text(), "about": text(),
                "leafHash": { "type": "string", "description": "Base64." },
                "statement": { "type": ["object", "null"], "description": "in-toto Statement; null when pruned." },
            },
        },
        "LedgerPage": {
            "type": "object",
            "properties": {
                "items": { "type": "array", "items": { "$ref": "#/components/schemas/LedgerEntry" } },
                "size": number(),
                "next": { "type": ["integer", "null"] },
            },
        },
        "ExportRequest": {
            "type": "object",
            "properties": {
                "from": { "type": "integer", "minimum": 0, "description": "First entry (0). Above 0: a delta." },
                "openings": { "type": "boolean", "description": "Include what commitments stand for (false)." },
                "proofs": { "type": "array", "items": number(), "description": "Sequence numbers to prove apart." },
                "previous": { "type": "string", "description": "A checkpoint you hold: the export proves that it extends it." },
            },
            "additionalProperties": false,
        },
    })
}

fn operations() -> Value {
    let codes: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "code", "detail"],
            "properties": {
                "type": text(), "title": text(), "status": number(),
                "code": { "enum": codes },
                "detail": text(),
                "path": { "type": "string", "description": "JSON Pointer into what was sent, or the name of a header or parameter." },
                "fix": text(), "instance": text(),
                "problems": {
                    "type": "array", "items": { "$ref": "#/components/schemas/Problem" },
                    "description": "Where several things are wrong at once (`rules:apply`): all of them, at most 200.",
                },
                "preview": {
                    "$ref": "#/components/schemas/SilenceImpact",
                    "description": "With `confirmation-required`: what the silence would have muted.",
                },
                "problemCount": { "type": "integer", "minimum": 1, "description": "How many there are." },
            },
        },
        "Plugin": {
            "type": "object",
            "properties": {
                "name": text(), "version": text(), "kind": text(), "state": text(), "detail": text(),
                "channelTypes": { "type": "array", "items": text() }, "keyId": text(), "sha256": text(),
                "restarts": number(), "crashes": number(), "timeouts": number(), "garbage": number(), "late": number(),
                "inFlight": number(), "pid": number(), "sandbox": text(),
            },
        },
        "PluginPage": page("Plugin"),
        "Health": { "type": "object", "properties": { "status": { "const": "ok" } } },
        "Readiness": {
            "type": "object",
            "properties": {
                "ready": { "type": "boolean" },
                "status": { "enum": ["ready", "not-ready", "draining"] },
                "checks": { "type": "array", "items": {
                    "type": "object",
                    "required": ["name", "ok", "state"],
                    "properties": {
                        "name": text(), "ok": { "type": "boolean" }, "state": { "enum": ["ok", "warn", "fail"] },
                        "detail": text(), "fix": { "type": "string", "description": "What to do about it." },
                    },
                } },
            },
        },
        "OpenApi": { "type": "object" },
    })
}
