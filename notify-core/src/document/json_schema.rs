//! Bounds on the JSON Schemas that tenants write, judged without running them.
//!
//! A schema is a program that runs on every event of its type. It must not reach the network (`$ref` to elsewhere), must
//! end, and its cost per value must be small. A cycle of references can run for ever, or double its work with each level
//! of the event; so references may not form cycles, and what remains, with every reference written out, may have
//! [`MAX_SUBSCHEMAS`] subschemas. Patterns run on an engine with linear time; here their length is bounded.

use crate::json::pointer_token;
use crate::problem::{Code, Problem};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The one dialect.
pub const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Bytes of a schema as JSON.
pub const MAX_BYTES: usize = 64 * 1024;
/// Subschemas, each counted as often as references lead to it.
pub const MAX_SUBSCHEMAS: u64 = 500;
/// Subschemas inside each other, references written out.
pub const MAX_DEPTH: usize = 32;
/// Characters of one pattern.
pub const MAX_PATTERN: usize = 256;
/// Patterns, each counted as often as references lead to it.
pub const MAX_PATTERNS: u64 = 32;

/// Keywords whose value is an object of named subschemas.
const MAPS: [&str; 5] = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
/// Keywords whose value is a list of subschemas.
const LISTS: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords whose value is a subschema.
const SINGLES: [&str; 9] = [
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
];

/// Keywords that hold no subschemas and cost little. One that is not listed anywhere here is refused: the library runs
/// keywords of older dialects as well, such as `dependencies`, and what nobody counts has no bound.
const PLAIN: [&str; 29] = [
    "$comment",
    "contentEncoding",
    "contentMediaType",
    "default",
    "dependentRequired",
    "deprecated",
    "description",
    "example",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "readOnly",
    "required",
    "title",
    "type",
    "uniqueItems",
    "writeOnly",
];
/// Values of an `enum`, or bytes of a `const`, that cost as much as a subschema.
const VALUES_PER_SUBSCHEMA: usize = 8;

/// What running a subschema costs, references written out.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    subschemas: u64,
    patterns: u64,
    depth: usize,
}

impl Cost {
    fn values(&mut self, count: usize) {
        let more = u64::try_from(count / VALUES_PER_SUBSCHEMA).unwrap_or(u64::MAX);
        self.subschemas = self.subschemas.saturating_add(more);
    }

    fn add(&mut self, inner: Self) {
        self.subschemas = self.subschemas.saturating_add(inner.subschemas);
        self.patterns = self.patterns.saturating_add(inner.patterns);
        self.depth = self.depth.max(inner.depth.saturating_add(1));
    }
}

/// # Errors
/// [`Code::InvalidEventType`]; the path is a pointer into the schema.
pub fn check(schema: &Value) -> Result<(), Problem> {
    if !schema.is_object() {
        return Err(fault("", "the schema is not an object", "write e.g. `type: object` and `properties`"));
    }
    let bytes = schema.to_string().len();
    if bytes > MAX_BYTES {
        let reason = format!("the schema has {bytes} bytes as JSON, more than the {MAX_BYTES} allowed");
        return Err(fault("", &reason, "describe only what receivers rely on"));
    }
    let mut walk = Walk { root: schema, known: BTreeMap::new() };
    let cost = walk.cost(schema, "", 0)?;
    let depth = u64::try_from(cost.depth).unwrap_or(u64::MAX);
    for (found, limit, what) in [
        (cost.subschemas, MAX_SUBSCHEMAS, "subschemas (long lists of values count as several)"),
        (cost.patterns, MAX_PATTERNS, "patterns"),
        (depth, MAX_DEPTH as u64, "levels"),
    ] {
        if found > limit {
            let reason =
                format!("with its references written out, the schema has {found} {what}, more than {limit}");
            return Err(fault("", &reason, "describe only what receivers rely on"));
        }
    }
    Ok(())
}

struct Walk<'s> {
    root: &'s Value,
    /// Targets of references: `None` while one is being looked at.
    known: BTreeMap<String, Option<Cost>>,
}

impl<'s> Walk<'s> {
    fn cost(&mut self, schema: &'s Value, at: &str, level: usize) -> Result<Cost, Problem> {
        let members = match schema {
            Value::Bool(_) => return Ok(Cost { subschemas: 1, patterns: 0, depth: 1 }),
            Value::Object(members) => members,
            _ => return Err(fault(at, "a subschema is an object, `true` or `false`", "write one of them")),
        };
        if level >= MAX_DEPTH {
            return Err(fault(
                at,
                &format!("subschemas are nested deeper than {MAX_DEPTH} levels"),
                "flatten them",
            ));
        }
        let mut cost = Cost { subschemas: 1, patterns: 0, depth: 1 };
        for (keyword, value) in members {
            let here = format!("{at}/{}", pointer_token(keyword));
            match keyword.as_str() {
                "$schema" => dialect(value, &here)?,
                "$id" | "$anchor" | "$dynamicAnchor" | "$dynamicRef" | "$recursiveRef" | "$vocabulary" => {
                    let reason = format!(
                        "`{keyword}` is not allowed here: every reference must lead into this document"
                    );
                    return Err(fault(&here, &reason, "use `$defs` and `$ref: '#/$defs/…'`"));
                }
                // Measured: a few hundred branches and a large event took seconds.
                "unevaluatedProperties" | "unevaluatedItems" => {
                    let reason = format!(
                        "`{keyword}` is not allowed here: its cost grows with the square of the event"
                    );
                    let fix = "list what is allowed in `properties` or `prefixItems`, with `additionalProperties` or `items`";
                    return Err(fault(&here, &reason, fix));
                }
                "$ref" => cost.add(self.reference(value, &here, level)?),
                "pattern" => {
                    pattern(value.as_str().unwrap_or_default(), &here)?;
                    cost.patterns = cost.patterns.saturating_add(1);
                }
                name if MAPS.contains(&name) => {
                    let inner = object(value, &here)?;
                    for (key, subschema) in inner {
                        let below = format!("{here}/{}", pointer_token(key));
                        if name == "patternProperties" {
                            pattern(key, &below)?;
                            cost.patterns = cost.patterns.saturating_add(1);
                        }
                        let inner = self.cost(subschema, &below, level + 1)?;
                        // A definition costs where a reference leads to it.
                        if !matches!(name, "$defs" | "definitions") {
                            cost.add(inner);
                        }
                    }
                }
                name if LISTS.contains(&name) => {
                    let Value::Array(items) = value else {
                        return Err(fault(
                            &here,
                            &format!("`{name}` is not a list"),
                            "write a list of subschemas",
                        ));
                    };
                    for (index, subschema) in items.iter().enumerate() {
                        cost.add(self.cost(subschema, &format!("{here}/{index}"), level + 1)?);
                    }
                }
                name if SINGLES.contains(&name) => cost.add(self.cost(value, &here, level + 1)?),
                // Compared with one value of the event after the other.
                "enum" => cost.values(value.as_array().map_or(0, Vec::len)),
                "const" => cost.values(value.to_string().len() / 32),
                name if PLAIN.contains(&name) || name.starts_with("x-") => {}
                name => {
                    let reason = format!("`{}` is no keyword that is read here", name.escape_default());
                    let fix =
                        "use the keywords of JSON Schema 2020-12; names that begin with `x-` are left alone";
                    return Err(fault(&here, &reason, fix));
                }
            }
        }
        Ok(cost)
    }

    fn reference(&mut self, value: &'s Value, at: &str, level: usize) -> Result<Cost, Problem> {
        let fix = "put what is referred to into `$defs` of this schema and write `$ref: '#/$defs/…'`";
        let Some(text) = value.as_str() else { return Err(fault(at, "`$ref` is not a text", fix)) };
        let Some(pointer) = text.strip_prefix('#') else {
            return Err(fault(
                at,
                "`$ref` leads out of this document; nothing is fetched from elsewhere",
                fix,
            ));
        };
        match self.known.get(pointer) {
            Some(Some(cost)) if level + cost.depth > MAX_DEPTH => {
                let reason = format!(
                    "with its references written out, the schema is nested deeper than {MAX_DEPTH} levels"
                );
                return Err(fault(at, &reason, "flatten it"));
            }
            Some(Some(cost)) => return Ok(*cost),
            Some(None) => {
                let reason = "the references form a cycle, so the schema's cost has no bound";
                return Err(fault(at, reason, "write the levels that you need, and end with `type: object`"));
            }
            None => {}
        }
        let plain = pointer.is_empty() || (pointer.starts_with('/') && !pointer.contains('%'));
        let root = self.root;
        let Some(target) = root.pointer(pointer).filter(|_| plain) else {
            return Err(fault(at, &format!("`{}` is nowhere in this schema", text.escape_default()), fix));
        };
        self.known.insert(pointer.to_owned(), None);
        let cost = self.cost(target, pointer, level + 1)?;
        self.known.insert(pointer.to_owned(), Some(cost));
        Ok(cost)
    }
}

fn dialect(value: &Value, at: &str) -> Result<(), Problem> {
    match value.as_str() {
        Some(text) if text.trim_end_matches('#') == DIALECT => Ok(()),
        _ => Err(fault(
            at,
            "only JSON Schema 2020-12 is read here",
            &format!("write `{DIALECT}`, or leave `$schema` out"),
        )),
    }
}

fn pattern(text: &str, at: &str) -> Result<(), Problem> {
    let length = text.chars().count();
    if length <= MAX_PATTERN {
        return Ok(());
    }
    let reason = format!("the pattern has {length} characters, more than the {MAX_PATTERN} allowed");
    Err(fault(at, &reason, "shorten it"))
}

fn object<'v>(value: &'v Value, at: &str) -> Result<&'v Map<String, Value>, Problem> {
    value
        .as_object()
        .ok_or_else(|| fault(at, "this is not an object of subschemas", "write `name: subschema` members"))
}

fn fault(path: &str, reason: &str, fix: &str) -> Problem {
    Problem::new(Code::InvalidEventType, path, reason, fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check_all(cases: &[(Value, &str)]) {
        for (schema, expected) in cases {
            let found = check(schema).err().map(|problem| format!("{}: {}", problem.path, problem.reason));
            let found = found.unwrap_or_default();
            assert!(
                found.starts_with(expected) && (found.is_empty() == expected.is_empty()),
                "{schema}\n{found}"
            );
        }
    }

    #[test]
    fn what_stays_inside_and_ends_is_allowed() {
        check_all(&[
            (json!({}), ""),
            (
                json!({ "$schema": DIALECT, "$defs": { "a": { "type": "string" } }, "properties": { "x": { "$ref": "#/$defs/a" } } }),
                "",
            ),
            // Names of members and plain data are no keywords.
            (json!({ "properties": { "$ref": { "type": "string" }, "pattern": true, "$id": {} } }), ""),
            (json!({ "const": { "$ref": "https://example.com" }, "enum": [{ "$id": "x" }] }), ""),
        ]);
    }

    #[test]
    fn what_leads_out_or_has_no_bound_is_refused_with_its_place() {
        // Keywords of older dialects run as well; values are compared one by one; a chain of references is deep.
        let values: Vec<Value> = (0..6_000).map(|n| if n == 0 { json!("x") } else { json!(n) }).collect();
        let mut chain = serde_json::Map::from_iter([("a0".to_owned(), json!({}))]);
        for level in 1..60 {
            chain.insert(format!("a{level}"), json!({ "$ref": format!("#/$defs/a{}", level - 1) }));
        }
        check_all(&[
            (
                json!({ "dependencies": { "a": { "allOf": [{ "$ref": "#" }] } } }),
                "/dependencies: `dependencies` is no keyword",
            ),
            (json!({ "additionalItems": {} }), "/additionalItems: `additionalItems` is no keyword"),
            (json!({ "x-note": 1, "enum": [1, 2, 3] }), ""),
            (json!({ "enum": values }), ": with its references written out, the schema has 751 subschemas"),
            (json!({ "$defs": chain, "$ref": "#/$defs/a59" }), "/$defs/a"),
        ]);
        // 2^14 paths, though each definition refers to the next twice only.
        let mut defs = serde_json::Map::new();
        for level in 0..14 {
            let next = json!({ "$ref": format!("#/$defs/a{}", level + 1) });
            defs.insert(format!("a{level}"), json!({ "allOf": [next, next] }));
        }
        defs.insert("a14".into(), json!({}));
        let deep = (0..40).fold(json!({}), |inner, _| json!({ "items": inner }));
        let wide: Map<String, Value> = (0..501).map(|n| (format!("p{n}"), json!({}))).collect();
        let patterns: Map<String, Value> = (0..33).map(|n| (format!("^p{n}$"), json!({}))).collect();
        check_all(&[
            (json!([]), ": the schema is not an object"),
            (json!({ "$ref": "https://example.com/s.json" }), "/$ref: `$ref` leads out"),
            (json!({ "items": { "$ref": "other.json#/x" } }), "/items/$ref: `$ref` leads out"),
            (json!({ "$ref": "#/$defs/none" }), "/$ref: `#/$defs/none` is nowhere"),
            (json!({ "$ref": "#" }), "/$ref: the references form a cycle"),
            (
                json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "items": { "$ref": "#/$defs/a" } } }, "$ref": "#/$defs/a" }),
                "/$defs/a/$ref: the references form a cycle",
            ),
            (
                json!({ "$schema": "http://json-schema.org/draft-07/schema#" }),
                "/$schema: only JSON Schema 2020-12",
            ),
            (json!({ "properties": { "a": { "$id": "urn:x" } } }), "/properties/a/$id: `$id` is not allowed"),
            (json!({ "$dynamicRef": "#x" }), "/$dynamicRef: "),
            (json!({ "$defs": defs, "$ref": "#/$defs/a0" }), ": with its references written out"),
            (deep, "/items/items"),
            (
                json!({ "properties": wide }),
                ": with its references written out, the schema has 502 subschemas",
            ),
            (
                json!({ "patternProperties": patterns }),
                ": with its references written out, the schema has 33 patterns",
            ),
            (json!({ "pattern": "a".repeat(257) }), "/pattern: the pattern has 257"),
            (json!({ "allOf": {} }), "/allOf: `allOf` is not a list"),
            (json!({ "unevaluatedProperties": false }), "/unevaluatedProperties: "),
            (json!({ "items": 7 }), "/items: a subschema is"),
            (json!({ "description": "x".repeat(MAX_BYTES) }), ": the schema has 655"),
        ]);
    }
}
