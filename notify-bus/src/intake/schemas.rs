//! The schemas of a tenant's event types, compiled, and events against them.

use jsonschema::{PatternOptions, Validator};
use notify_core::document::{EventType, Kind};
use notify_core::event::Event;
use notify_core::problem::{Code, Problem};
use notify_store::model::Document;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

/// Bytes that the program of one pattern may have.
const PATTERN_BYTES: usize = 128 * 1024;
/// Faults told of one event; the first one's place is the problem's path.
const FAULTS_TOLD: usize = 3;
/// Bytes of an event up to which more than one fault is looked for.
const ALL_FAULTS_UP_TO: usize = 8 * 1024;
/// Characters told of one fault.
const FAULT_TEXT: usize = 300;

/// What runs on events: JSON Schema 2020-12, patterns on an engine with linear time, nothing fetched.
///
/// # Errors
/// [`Code::InvalidEventType`]; the path is a pointer into the schema.
pub fn compile_schema(schema: &Value) -> Result<Validator, Problem> {
    let options = jsonschema::draft202012::options()
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES))
        .should_validate_formats(false)
        .offline();
    jsonschema::meta::validate(&with_dialect(schema)).map_err(|error| refused(&error))?;
    options.build(schema).map_err(|error| refused(&error))
}

/// The meta-schema is chosen by `$schema`, which authors may leave out.
fn with_dialect(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Value::Object(members) = &mut schema {
        members.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    }
    schema
}

fn refused(error: &jsonschema::ValidationError<'_>) -> Problem {
    let reason = format!("the schema is not valid: {}", cut(&error.to_string()));
    let fix = "write JSON Schema 2020-12; patterns without look-around and back-references";
    Problem::new(Code::InvalidEventType, error.instance_path().to_string(), reason, fix)
}

/// By CloudEvents `type`.
#[derive(Default)]
pub struct Schemas(HashMap<String, Arc<Compiled>>);

struct Compiled {
    id: String,
    version: u64,
    digest: String,
    /// `None`: it was accepted once and cannot be compiled now.
    validator: Option<Validator>,
}

impl Schemas {
    /// What `before` holds of the same version is taken over: every change of a rule asks for this anew.
    pub fn compile(documents: &[Document], before: Option<&Self>) -> Self {
        let types = documents.iter().filter(|document| document.kind == Kind::EventType && !document.deleted);
        let one = |document: &Document| {
            let parsed: EventType = serde_json::from_str(&document.body)
                .inspect_err(|error| {
                    tracing::error!(id = document.id, %error, "a stored event type cannot be read");
                })
                .ok()?;
            let same = before.and_then(|before| before.0.get(&parsed.r#type)).filter(|kept| {
                (kept.id.as_str(), kept.version, kept.digest.as_str())
                    == (document.id.as_str(), document.version, document.digest.as_str())
            });
            if let Some(same) = same {
                return Some((parsed.r#type, Arc::clone(same)));
            }
            let validator = compile_schema(&parsed.data_schema)
                .inspect_err(|problem| {
                    tracing::error!(id = document.id, %problem, "a stored event type cannot be used");
                })
                .ok();
            let (id, version, digest) = (document.id.clone(), document.version, document.digest.clone());
            Some((parsed.r#type, Arc::new(Compiled { id, version, digest, validator })))
        };
        Self(types.filter_map(one).collect())
    }

    pub fn check(&self, event: &Event) -> Result<(), Problem> {
        let Some(compiled) = self.0.get(&event.r#type) else { return Ok(()) };
        let Compiled { id, version, validator, .. } = compiled.as_ref();
        let Some(validator) = validator else {
            let reason = format!("the event type `{id}` cannot be used by this version of the service");
            return Err(Problem::new(Code::Unavailable, "", reason, "have a tenant admin save it again"));
        };
        if event.value.get("data_base64").is_some() {
            let reason = format!("the event type `{id}` has a schema for JSON, and this data is not JSON");
            let fix = "send the data as JSON, with `datacontenttype: application/json`";
            return Err(Problem::new(Code::SchemaMismatch, "/data_base64", reason, fix));
        }
        let data = event.value.get("data").unwrap_or(&Value::Null);
        let Err(first) = validator.validate(data) else { return Ok(()) };
        let mut reason = format!("`data` does not fit version {version} of the event type `{id}`");
        // Looking for all faults of a large event costs more than the event is worth; the first one is cheap.
        let more: Vec<_> = if event.body.len() <= ALL_FAULTS_UP_TO {
            validator.iter_errors(data).take(FAULTS_TOLD).collect()
        } else {
            vec![]
        };
        let told = if more.is_empty() { std::slice::from_ref(&first) } else { more.as_slice() };
        for (index, error) in told.iter().enumerate() {
            // The library quotes the value; what an event holds is nobody's business in logs and answers.
            let text = error.masked_with("the value").to_string();
            let separator = if index == 0 { ":" } else { ";" };
            let _ = write!(reason, "{separator} /data{}: {}", error.instance_path(), cut(&text));
        }
        let path = told
            .first()
            .map_or_else(|| "/data".to_owned(), |error| format!("/data{}", error.instance_path()));
        let fix = format!("`notify event-type get {id}` shows the schema; change the event or the schema");
        Err(Problem::new(Code::SchemaMismatch, path, reason, fix))
    }
}

fn cut(text: &str) -> String {
    text.chars().take(FAULT_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify_core::document::parse_event_type;
    use proptest::prelude::*;
    use serde_json::json;

    /// Schemas made of the keywords that matter, with references into themselves.
    fn schema() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!({})),
            Just(json!(true)),
            Just(json!({ "type": "object" })),
            Just(json!({ "$ref": "#/$defs/a" })),
            Just(json!({ "$ref": "#/$defs/b" })),
            Just(json!({ "$ref": "#" })),
            Just(json!({ "pattern": "^a+$" })),
            Just(json!({ "additionalProperties": false, "minimum": 3 })),
        ];
        leaf.prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|s| json!({ "items": s })),
                inner.clone().prop_map(|s| json!({ "not": s })),
                inner.clone().prop_map(|s| json!({ "additionalProperties": s })),
                prop::collection::vec(inner.clone(), 1..3).prop_map(|s| json!({ "anyOf": s })),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| json!({ "properties": { "x": a, "y": b } })),
                (inner.clone(), inner)
                    .prop_map(|(a, b)| json!({ "$defs": { "a": a, "b": {} }, "allOf": [b] })),
            ]
        })
    }

    fn data() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            "[a-z]{0,4}".prop_map(Value::from)
        ];
        leaf.prop_recursive(5, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("[x-z]", inner, 0..4).prop_map(|members| json!(members)),
            ]
        })
    }

    proptest! {
        /// Whatever passes the checks ends on any data, without a panic or a full stack.
        #[test]
        fn what_is_accepted_runs_to_its_end(schema in schema(), data in data()) {
            let document = json!({ "schema": "notify-event-type@1", "id": "t", "name": "T", "type": "t", "dataSchema": schema });
            if let Ok((event_type, ..)) = parse_event_type(&document)
                && let Ok(validator) = compile_schema(&event_type.data_schema)
            {
                let valid = validator.is_valid(&data);
                prop_assert_eq!(valid, validator.iter_errors(&data).next().is_none());
            }
        }
    }
}
