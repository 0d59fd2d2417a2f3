//! The event-type document: what the `data` of events of one type must look like, as JSON Schema 2020-12.

use super::json_schema;
use super::parse::{Parsed, seal};
use super::reader::Reader;
use crate::ids::TemplateId;
use crate::problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// `schema: notify-event-type@1`.
pub const SCHEMA: &str = "notify-event-type@1";
/// Longest `type`, in characters.
pub const MAX_TYPE: usize = 255;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EventType {
    pub schema: String,
    /// Names the document; unique per tenant.
    pub id: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The CloudEvents `type` it is about, letter by letter; one document per type.
    pub r#type: String,
    /// JSON Schema 2020-12 over the event's `data`. An event of this type that does not fit is not taken in.
    pub data_schema: Value,
}

/// # Errors
/// [`Code::InvalidEventType`], [`Code::UnknownField`], with the place.
pub fn parse_event_type(value: &Value) -> Result<Parsed<EventType>, Problem> {
    let code = Code::InvalidEventType;
    let reader = Reader::document(value, code, SCHEMA)?;
    reader.only(&["schema", "id", "name", "description", "labels", "type", "dataSchema"], &[])?;
    let id: TemplateId = reader.id("id")?;
    let r#type = reader.line("type", MAX_TYPE)?.ok_or_else(|| {
        reader.fault(
            "type",
            "`type` is missing",
            "write the `type` of the events, e.g. `scanner.report.ready`",
        )
    })?;
    let schema = reader.need("dataSchema", "write a JSON Schema for the events' `data`")?;
    json_schema::check(schema).map_err(|problem| problem.under("/dataSchema"))?;
    let document = EventType {
        schema: SCHEMA.to_owned(),
        id: id.into(),
        name: reader.name()?,
        description: reader.description()?,
        labels: reader.labels()?,
        r#type,
        data_schema: schema.clone(),
    };
    seal(document, code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn published() -> Value {
        serde_json::from_str(include_str!("../../../resources/schemas/event-type.schema.json")).unwrap()
    }

    fn example() -> Value {
        published()["examples"][0].clone()
    }

    #[test]
    fn the_published_schema_and_the_parser_agree() {
        let schema = jsonschema::draft202012::options().build(&published()).unwrap();
        let check = |edit: &dyn Fn(&mut Value), expected: &str| {
            let mut value = example();
            edit(&mut value);
            let found = parse_event_type(&value).err().map(|problem| problem.path).unwrap_or_default();
            assert_eq!(found, expected, "{value}");
            assert_eq!(schema.is_valid(&value), expected.is_empty(), "{value}");
        };
        check(&|_| (), "");
        check(&|value| value["labels"] = json!({ "team": "security" }), "");
        check(&|value| value["id"] = json!("Not A Slug"), "/id");
        check(&|value| value["type"] = json!(""), "/type");
        check(&|value| value["type"] = json!("x".repeat(256)), "/type");
        check(&|value| value["dataSchema"] = json!(true), "/dataSchema");
        check(&|value| value["version"] = json!(2), "/version");
        check(&|value| value["schema"] = json!("notify-event-type@2"), "/schema");
        for name in ["schema", "id", "name", "type", "dataSchema"] {
            check(&|value| drop(value.as_object_mut().unwrap().remove(name)), &format!("/{name}"));
        }
    }

    #[test]
    fn what_is_stored_is_read_back() {
        let (document, text, digest) = parse_event_type(&example()).unwrap();
        assert_eq!(serde_json::from_str::<EventType>(&text).unwrap(), document);
        assert!(digest.starts_with("sha256:"));
        assert_eq!(
            parse_event_type(&serde_json::from_str(&text).unwrap()).unwrap(),
            (document, text, digest)
        );
    }
}
