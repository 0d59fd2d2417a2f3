//! Schemas of parameters, headers of answers, and examples: what the route table names, spelled out.

use crate::routes::{Parameter, Route};
use serde_json::{Map, Value, json};

pub(super) const SLUG: &str = "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$";
const DELIVERY: &str = "^dlv_[0-9a-f]{32}$";
const EVENT: &str = "^evt_[0-9a-f]{32}$";

/// A parameter in the path. An id of another form than its schema's exists as little as one that nobody made: both are
/// answered 404.
pub fn in_path(route: &Route, name: &str) -> Value {
    let schema = match name {
        "key" => json!({ "type": "string", "pattern": EVENT }),
        "file" => json!({ "enum": ["start.js", "swagger-ui-bundle.js", "swagger-ui.css"] }),
        "id" if route.path.contains("/deliveries/") || route.path.contains("/inbox/") => {
            json!({ "type": "string", "pattern": DELIVERY })
        }
        "id" if route.path.contains("/digests/") => {
            json!({ "type": "string", "pattern": "^dig_[0-9a-f]{32}$" })
        }
        "id" if route.path.contains("/quarantine/") => {
            json!({ "type": "string", "pattern": "^qtn_[0-9a-f]{37}$" })
        }
        "id" => json!({ "type": "string", "pattern": SLUG }),
        _ => json!({ "type": "string", "minLength": 1 }),
    };
    let mut parameter = json!({ "name": name, "in": "path", "required": true, "schema": schema });
    // The document that the example of a write makes.
    let collections = [
        ("/rules/", "Rule"),
        ("/channels/", "Channel"),
        ("/templates/", "Template"),
        ("/bundles/", "Bundle"),
        ("/event-types/", "EventType"),
        ("/calendars/", "Calendar"),
        ("/contacts/", "Contact"),
        ("/silences/", "Silence"),
        ("/overrides/", "Override"),
        ("/inhibitions/", "Inhibition"),
        ("/policies/", "Policy"),
    ];
    let made = collections.into_iter().find(|(collection, _)| route.path.contains(collection));
    if let Some(id) = made.and_then(|(_, kind)| example(kind)?.get("id").cloned()) {
        parameter["example"] = id;
    }
    parameter
}

/// A parameter of this route; one name may mean different things in different lists, and what is said to be a time is one,
/// whatever its name.
pub fn schema_in(route: &Route, parameter: &Parameter) -> Value {
    match parameter.name {
        _ if parameter.about.contains("(RFC 3339)") => json!({ "type": "string", "format": "date-time" }),
        "state" if matches!(route.tag, "silences" | "overrides") => {
            json!({ "enum": ["upcoming", "active", "expired", "all"] })
        }
        name => schema(name),
    }
}

/// A query parameter or header, by its name; one that is not listed here is text.
fn schema(name: &str) -> Value {
    match name {
        "limit" => json!({ "type": "integer", "minimum": 1, "maximum": 500, "default": 50 }),
        "pageToken" => json!({ "type": "string", "minLength": 1, "maxLength": 512 }),
        "nearest" => json!({ "type": "integer", "minimum": 0, "maximum": 20, "default": 5 }),
        "after" => json!({ "type": "string", "format": "date-time" }),
        "count" => json!({ "type": "integer", "minimum": 1, "maximum": 100, "default": 5 }),
        "timeZone" => json!({ "type": "string", "examples": ["Europe/Berlin"] }),
        "unread" => json!({ "type": "boolean" }),
        "severity" => json!({ "enum": ["none", "info", "low", "medium", "high", "critical", "blocker"] }),
        "force" | "confirm" => json!({ "type": "boolean", "default": false }),
        "version" => json!({ "type": "integer", "minimum": 1, "maximum": 9_007_199_254_740_991_u64 }),
        "from" => json!({ "type": "integer", "minimum": 0, "maximum": 9_007_199_254_740_991_u64 }),
        "state" => json!({ "enum": ["scheduled", "delivered", "accepted", "dead", "cancelled"] }),
        "rule" | "channel" => json!({ "type": "string", "pattern": SLUG }),
        "event" => json!({ "type": "string", "pattern": EVENT }),
        "If-Match" => {
            json!({ "type": "string", "pattern": "^(\\*|\"[0-9]{1,18}\")$", "examples": ["\"3\""] })
        }
        "If-None-Match" => json!({ "type": "string", "examples": ["\"3\""] }),
        "Idempotency-Key" => json!({ "type": "string", "pattern": "^[!-~]{1,255}$" }),
        _ => json!({ "type": "string" }),
    }
}

/// Headers of answers, by name, for `components`.
pub fn all_headers() -> Value {
    let header = |about: &str| json!({ "description": about, "schema": { "type": "string" } });
    json!({
        "X-Request-Id": header("Names the request; also in the operator's log."),
        "ETag": header("The version; send it as `If-Match`."),
        "Location": header("Where it is."),
        "WWW-Authenticate": header("`Bearer`."),
        "Retry-After": {
            "description": "Seconds to wait.", "schema": { "type": "string", "pattern": "^[0-9]+$" },
        },
    })
}

/// Headers of a success with this status.
pub fn headers(route: &Route, status: u16) -> Value {
    let versioned = route.success.iter().any(|success| success.schema.ends_with("Version"));
    references(&[
        ("X-Request-Id", true),
        ("ETag", versioned && matches!(status, 200 | 201 | 304)),
        ("Location", matches!(status, 201 | 308)),
    ])
}

/// Headers of a problem.
pub fn problem_headers(status: u16) -> Value {
    references(&[
        ("X-Request-Id", true),
        ("WWW-Authenticate", status == 401),
        ("Retry-After", matches!(status, 429 | 503)),
    ])
}

fn references(names: &[(&str, bool)]) -> Value {
    let reference = |name: &str| json!({ "$ref": format!("#/components/headers/{name}") });
    let present = names.iter().filter(|(_, present)| *present);
    Value::Object(present.map(|(name, _)| ((*name).to_owned(), reference(name))).collect::<Map<_, _>>())
}

/// Examples by the name of their schema, for `components`.
pub fn all_examples() -> Value {
    let examples =
        EXAMPLES.iter().filter_map(|name| Some(((*name).to_owned(), json!({ "value": example(name)? }))));
    Value::Object(examples.collect())
}

/// Schemas that have an example.
pub const EXAMPLES: [&str; 20] = [
    "CloudEvent",
    "CloudEventBatch",
    "AlertmanagerWebhook",
    "Rule",
    "Channel",
    "Template",
    "Bundle",
    "EventType",
    "Calendar",
    "Contact",
    "PreviewRequest",
    "ExplainRequest",
    "LintRequest",
    "ExportRequest",
    "ApplyRequest",
    "Silence",
    "Override",
    "Inhibition",
    "Policy",
    "DigestPreviewRequest",
];

const EVENT_TYPE: &str = include_str!("../../../resources/schemas/event-type.schema.json");

/// Samples that the repository ships, so that an example is a thing that works.
fn example(schema: &str) -> Option<Value> {
    let text = match schema {
        "CloudEvent" => include_str!("../../../resources/samples/events/01-scanner-report-critical.json"),
        "AlertmanagerWebhook" => include_str!("../../../resources/samples/alertmanager/firing.json"),
        "Rule" => include_str!("../../../resources/rules/critical-findings.yaml"),
        "Channel" => include_str!("../../../resources/samples/documents/good/channel-minimal.yaml"),
        "Template" => include_str!("../../../templates/scan-result.yaml"),
        "Bundle" => include_str!("../../../resources/samples/documents/good/bundle-german.yaml"),
        "Silence" => include_str!("../../../resources/samples/documents/good/silence-sample.yaml"),
        "Override" => include_str!("../../../resources/samples/documents/good/override-sample.yaml"),
        "Inhibition" => include_str!("../../../resources/samples/documents/good/inhibition-full.yaml"),
        "EventType" => {
            let schema: Value = serde_json::from_str(EVENT_TYPE).ok()?;
            return schema.pointer("/examples/0").cloned();
        }
        "Calendar" => include_str!("../../../resources/calendars/nights-and-weekends.yaml"),
        "Contact" => include_str!("../../../resources/samples/documents/good/contact-minimal.yaml"),
        "Policy" => include_str!("../../../resources/samples/documents/good/policy-full.yaml"),
        "CloudEventBatch" => return Some(Value::Array(vec![example("CloudEvent")?])),
        "PreviewRequest" => {
            return Some(json!({ "event": example("CloudEvent")?, "rule": example("Rule")? }));
        }
        "DigestPreviewRequest" => {
            return Some(json!({ "rule": example("Rule")?, "events": [example("CloudEvent")?] }));
        }
        "ApplyRequest" => return Some(json!({ "rules": [example("Rule")?], "dryRun": true })),
        "ExplainRequest" => return Some(json!({ "event": example("CloudEvent")? })),
        "LintRequest" => return Some(json!({ "rule": example("Rule")? })),
        "ExportRequest" => return Some(json!({ "openings": true, "proofs": [0] })),
        _ => return None,
    };
    notify_core::yaml::parse(text.as_bytes(), notify_core::yaml::DOCUMENT_LIMITS).ok()
}

/// The published schemas of documents and events, with their inner references made to hold from where they stand here.
pub fn published() -> Map<String, Value> {
    let files = [
        ("CloudEvent", include_str!("../../../resources/schemas/event.schema.json")),
        ("Rule", include_str!("../../../resources/schemas/rule.schema.json")),
        ("Channel", include_str!("../../../resources/schemas/channel.schema.json")),
        ("Template", include_str!("../../../resources/schemas/template.schema.json")),
        ("Bundle", include_str!("../../../resources/schemas/bundle.schema.json")),
        ("EventType", EVENT_TYPE),
        ("Calendar", include_str!("../../../resources/schemas/calendar.schema.json")),
        ("Contact", include_str!("../../../resources/schemas/contact.schema.json")),
        ("Silence", include_str!("../../../resources/schemas/silence.schema.json")),
        ("Override", include_str!("../../../resources/schemas/override.schema.json")),
        ("Inhibition", include_str!("../../../resources/schemas/inhibition.schema.json")),
        ("Policy", include_str!("../../../resources/schemas/policy.schema.json")),
    ];
    let mut all = Map::new();
    for (name, text) in files {
        let mut schema: Value = serde_json::from_str(text).unwrap_or_default();
        if let Value::Object(members) = &mut schema {
            members.remove("$id");
            members.remove("$schema");
        }
        move_references(&mut schema, name);
        all.insert(name.to_owned(), schema);
    }
    all
}

fn move_references(value: &mut Value, name: &str) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                if let (true, Value::String(target)) = (key == "$ref", &mut *value) {
                    if let Some(rest) = target.strip_prefix("#/") {
                        *target = format!("#/components/schemas/{name}/{rest}");
                    }
                } else {
                    move_references(value, name);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_references(item, name)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What cannot be read would silently be no example.
    #[test]
    fn every_sample_is_read() {
        for schema in EXAMPLES {
            assert!(example(schema).is_some_and(|example| !example.is_null()), "{schema}");
        }
        assert_eq!(published().len(), 12);
        assert!(published().values().all(|schema| schema.is_object()));
    }
}
