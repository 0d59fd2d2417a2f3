//! Fields of `data` that the registered schemas of a rule's event types do not describe.

use super::{Code, Finding};
use crate::document::EventType;
use crate::json::pointer_token;
use crate::pattern::study::Study;
use serde_json::Value;
use std::collections::BTreeSet;

/// Schemas looked into for one field; a schema that applies more of them counts as open.
const MAX_SCHEMAS: usize = 512;

pub(super) fn lint(study: &Study, types: &[EventType]) -> Vec<Finding> {
    let mut found = Vec::new();
    if types.is_empty() {
        return found;
    }
    for (wanted, fields) in study.data_fields() {
        let registered: Option<Vec<&EventType>> =
            wanted.iter().map(|name| types.iter().find(|known| known.r#type == **name)).collect();
        // A type without a schema may carry anything.
        let Some(registered) = registered.filter(|all| !all.is_empty()) else { continue };
        for (steps, place) in fields {
            let names: Vec<&str> = steps.iter().map(|step| &**step).collect();
            let unknown: Vec<_> =
                registered.iter().map(|known| unknown_at(&known.data_schema, &names)).collect();
            // The deepest place that some schema got to is where the mistake is.
            let Some(depth) = unknown.iter().copied().collect::<Option<Vec<_>>>() else { continue };
            let depth = depth.into_iter().max().unwrap_or_default();
            let field: String =
                names.iter().take(depth + 1).map(|name| format!("/{}", pointer_token(name))).collect();
            let named: Vec<String> = registered.iter().map(|known| format!("`{}`", known.r#type)).collect();
            found.push(Finding::new(
                Code::UnknownField,
                &*place,
                format!("the schema of {} does not describe `/data{field}`", named.join(" and of ")),
                "correct the name, or add the field to the event type's schema",
            ));
        }
    }
    found
}

/// The index of the first step that the schema does not describe; `None` if it describes them all or says nothing.
fn unknown_at(root: &Value, steps: &[&str]) -> Option<usize> {
    let mut here = vec![root];
    for (depth, step) in steps.iter().enumerate() {
        let applied = applied(root, &here)?;
        let described: Vec<&Value> =
            applied.iter().filter_map(|schema| schema.get("properties")?.get(*step)).collect();
        if !described.is_empty() {
            here = described;
            continue;
        }
        let lists_fields =
            applied.iter().any(|schema| schema.get("properties").is_some_and(Value::is_object));
        let open = applied.iter().any(|schema| {
            schema.get("patternProperties").is_some()
                || schema.get("additionalProperties").is_some_and(|more| *more != Value::Bool(false))
        });
        let closed =
            applied.iter().any(|schema| schema.get("additionalProperties") == Some(&Value::Bool(false)));
        return ((lists_fields && !open) || closed).then_some(depth);
    }
    None
}

/// The schemas that speak of one place together with those given, arrays seen through. `None` where there are too many,
/// or one is `true`, so that anything goes.
fn applied<'s>(root: &'s Value, start: &[&'s Value]) -> Option<Vec<&'s Value>> {
    let mut all = Vec::new();
    let mut seen = BTreeSet::new();
    let mut waiting = start.to_vec();
    while let Some(schema) = waiting.pop() {
        if !seen.insert(std::ptr::from_ref(schema)) {
            continue;
        }
        if all.len() >= MAX_SCHEMAS || *schema == Value::Bool(true) {
            return None;
        }
        all.push(schema);
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            waiting.push(root.pointer(target.strip_prefix('#')?)?);
        }
        for list in ["allOf", "anyOf", "oneOf", "prefixItems"] {
            waiting.extend(schema.get(list).and_then(Value::as_array).into_iter().flatten());
        }
        for single in ["if", "then", "else", "items", "contains"] {
            waiting.extend(schema.get(single).filter(|inner| inner.is_object()));
        }
        if let Some(Value::Object(dependent)) = schema.get("dependentSchemas") {
            waiting.extend(dependent.values());
        }
    }
    Some(all)
}
