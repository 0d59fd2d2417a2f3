//! `/openapi.json`: OpenAPI 3.1 built from the route table. `docs/openapi.json` is a snapshot that a test compares.

mod schemas;

use crate::routes::{Access, Parameter, Route, routes};
use http::Method;
use notify_core::problem::Code;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Problems that any route with a token can answer.
const ALWAYS: [Code; 7] = [
    Code::Unauthenticated,
    Code::Forbidden,
    Code::TenantMismatch,
    Code::InvalidParameter,
    Code::Timeout,
    Code::Unavailable,
    Code::Internal,
];

/// The whole description.
#[must_use]
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in routes() {
        let path = paths.entry(route.path.to_owned()).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(methods) = path {
            methods.insert(route.method.as_str().to_ascii_lowercase(), operation(&route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Notify Studio",
            "version": "1",
            "description": "Events in, alerts out, every decision in a ledger that can be verified offline. \
                Errors are RFC 9457 problem documents with a stable `code`.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "securitySchemes": { "token": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "Made by `notify token issue`. Its `tenant` is the tenant of every request.",
            }, "signature": {
                "type": "apiKey",
                "in": "header",
                "name": "webhook-signature",
                "description": "Standard Webhooks over the body, with `webhook-id` and `webhook-timestamp`; the keys are \
                    the operator's `intake.publishers`.",
            } },
            "schemas": schemas::all(),
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut out = Map::new();
    out.insert("operationId".into(), route.operation.into());
    out.insert("tags".into(), json!([route.tag]));
    out.insert("summary".into(), route.summary.into());
    match route.access {
        Access::Public => {
            out.insert("security".into(), json!([]));
        }
        Access::Signed => {
            out.insert("security".into(), json!([{ "signature": [] }]));
        }
        Access::AnyOf(scopes) => {
            let names: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
            out.insert("security".into(), json!([{ "token": [] }]));
            out.insert("x-scopes".into(), json!(names));
        }
    }
    let parameters = parameters(route);
    if !parameters.is_empty() {
        out.insert("parameters".into(), parameters.into());
    }
    if !route.accepts.is_empty() {
        let content: Map<String, Value> =
            route.accepts.iter().map(|(media, schema)| ((*media).to_owned(), content(schema))).collect();
        out.insert("requestBody".into(), json!({ "required": true, "content": content }));
    }
    out.insert("responses".into(), responses(route));
    Value::Object(out)
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path =
        route.path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).map(
            |name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }),
        );
    let listed = |parameters: &'static [Parameter], place: &'static str| {
        parameters.iter().map(move |parameter| {
            json!({
                "name": parameter.name,
                "in": place,
                "required": false,
                "description": parameter.about,
                "schema": { "type": "string" },
            })
        })
    };
    in_path.chain(listed(route.parameters, "query")).chain(listed(route.headers, "header")).collect()
}

fn content(schema: &str) -> Value {
    json!({ "schema": { "$ref": format!("#/components/schemas/{schema}") } })
}

fn responses(route: &Route) -> Value {
    let mut out: Map<String, Value> = Map::new();
    for success in route.success {
        let mut response = json!({ "description": success.about });
        if success.status != 204 {
            let body = if success.schema.is_empty() { json!({}) } else { content(success.schema) };
            response["content"] = json!({ success.media: body });
        }
        out.insert(success.status.to_string(), response);
    }
    let general: &[Code] = if route.access == Access::Public { &[Code::Internal] } else { &ALWAYS };
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in general.iter().chain(route.problems) {
        let codes = by_status.entry(code.status()).or_default();
        if !codes.contains(code) {
            codes.push(*code);
        }
    }
    for (status, codes) in by_status {
        let names: Vec<_> = codes.iter().map(|code| format!("`{code}`")).collect();
        out.entry(status.to_string()).or_insert_with(|| {
            json!({
                "description": names.join(", "),
                "content": { "application/problem+json": content("Problem") },
            })
        });
    }
    Value::Object(out)
}

/// Whether a method may carry a body; a description with a body elsewhere is a mistake in the table.
#[must_use]
pub fn may_have_body(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(key, value)| match (key.as_str(), value) {
                ("$ref", Value::String(target)) => found.push(target.clone()),
                _ => references(value, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_resolves() {
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for target in found {
            let pointer = target.strip_prefix('#').unwrap_or_default();
            assert!(document.pointer(pointer).is_some(), "{target}");
        }
    }

    #[test]
    fn bodies_are_only_where_a_method_has_one() {
        for route in routes() {
            assert!(route.accepts.is_empty() || may_have_body(&route.method), "{}", route.path);
        }
    }

    /// `UPDATE_DOCS=1 cargo test -p notify-webservice` writes the snapshot.
    #[test]
    fn the_published_description_is_current() {
        let text = format!("{:#}\n", document());
        crate::snapshot::check("docs/openapi.json", &text);
    }
}
