//! `/openapi.json`: OpenAPI 3.1 built from the route table. `docs/openapi.json` is a snapshot that a test compares.

mod calendars;
mod channels;
mod muting;
mod parts;
mod rules;
mod schemas;
mod why;

use crate::routes::{Access, Parameter, Route, routes};
use http::Method;
use notify_core::problem::Code;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Problems that any route with a token can answer.
const ALWAYS: [Code; 9] = [
    // The tenant of the token, besides what a route looks for.
    Code::NotFound,
    Code::Unauthenticated,
    Code::Forbidden,
    Code::TenantMismatch,
    Code::InvalidParameter,
    Code::RateLimited,
    Code::Timeout,
    Code::Unavailable,
    Code::Internal,
];
/// Problems that a route without a token can answer.
const ALWAYS_PUBLIC: [Code; 3] = [Code::InvalidParameter, Code::Timeout, Code::Internal];

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
        // Where this description was read from.
        "servers": [{ "url": "/" }],
        "tags": tags(),
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
            "headers": parts::all_headers(),
            "responses": shared_responses(),
            "examples": parts::all_examples(),
            "schemas": schemas::all(),
        },
    })
}

/// Each tag that a route has, once, in the order of the routes.
fn tags() -> Vec<Value> {
    let mut names: Vec<&str> = Vec::new();
    for route in routes() {
        if !names.contains(&route.tag) {
            names.push(route.tag);
        }
    }
    names.into_iter().map(|name| json!({ "name": name })).collect()
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
            route.accepts.iter().map(|(media, schema)| ((*media).to_owned(), body(schema))).collect();
        out.insert("requestBody".into(), json!({ "required": true, "content": content }));
    }
    out.insert("responses".into(), responses(route));
    Value::Object(out)
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route
        .path
        .split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
        .map(|name| parts::in_path(route, name));
    let listed = |parameters: &'static [Parameter], place: &'static str| {
        parameters.iter().map(move |parameter| {
            json!({
                "name": parameter.name,
                "in": place,
                "required": false,
                "description": parameter.about,
                "schema": parts::schema_in(route, parameter),
            })
        })
    };
    in_path.chain(listed(route.parameters, "query")).chain(listed(route.headers, "header")).collect()
}

fn body(schema: &str) -> Value {
    let mut content = content(schema);
    if parts::EXAMPLES.contains(&schema) {
        content["examples"] = json!({ "sample": { "$ref": format!("#/components/examples/{schema}") } });
    }
    content
}

fn content(schema: &str) -> Value {
    json!({ "schema": { "$ref": format!("#/components/schemas/{schema}") } })
}

fn responses(route: &Route) -> Value {
    let mut out: Map<String, Value> = Map::new();
    for success in route.success {
        let mut response =
            json!({ "description": success.about, "headers": parts::headers(route, success.status) });
        if !success.media.is_empty() {
            let body = match success.schema {
                "" if success.media.starts_with("text/") => json!({ "schema": { "type": "string" } }),
                "" => json!({}),
                schema => content(schema),
            };
            response["content"] = json!({ success.media: body });
        }
        out.insert(success.status.to_string(), response);
    }
    let general: &[Code] = if route.access == Access::Public { &ALWAYS_PUBLIC } else { &ALWAYS };
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in general.iter().chain(route.problems) {
        let codes = by_status.entry(code.status()).or_default();
        if !codes.contains(code) {
            codes.push(*code);
        }
    }
    for (status, codes) in by_status {
        match out.get_mut(&status.to_string()) {
            // One status for a success's document and for problems (`/readyz`, 503).
            Some(response) => {
                let problem = json!({ "application/problem+json": content("Problem") });
                if let (Some(Value::Object(content)), Value::Object(problem)) =
                    (response.get_mut("content"), problem)
                {
                    content.extend(problem);
                }
            }
            None => {
                let shared = codes == of_every_route(status);
                let response = if shared {
                    json!({ "$ref": format!("#/components/responses/Problem{status}") })
                } else {
                    problem(status, &codes)
                };
                out.insert(status.to_string(), response);
            }
        }
    }
    Value::Object(out)
}

/// Problems of this status that every route with a token can answer.
fn of_every_route(status: u16) -> Vec<Code> {
    ALWAYS.into_iter().filter(|code| code.status() == status).collect()
}

fn problem(status: u16, codes: &[Code]) -> Value {
    let names: Vec<_> = codes.iter().map(|code| format!("`{code}`")).collect();
    json!({
        "description": names.join(", "),
        "headers": parts::problem_headers(status),
        "content": { "application/problem+json": content("Problem") },
    })
}

/// Answers that most routes share.
fn shared_responses() -> Value {
    let statuses: std::collections::BTreeSet<u16> = ALWAYS.iter().map(|code| code.status()).collect();
    let named = statuses
        .into_iter()
        .map(|status| (format!("Problem{status}"), problem(status, &of_every_route(status))));
    Value::Object(named.collect())
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
