//! What goes out: JSON, problems (RFC 9457) and the few headers they need.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};
use notify_core::problem::{Code, Problem};
use serde::Serialize;
use serde_json::{Map, Value};

/// Prefix of the `type` of a problem; the code follows.
pub const PROBLEM_TYPE: &str = "urn:notify-studio:problem:";
/// Seconds after which a refused sender may come again.
const RETRY_AFTER_SECONDS: u32 = 1;

/// JSON with this status.
#[must_use]
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => bytes(status, "application/json", body),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            problem(&internal(), None)
        }
    }
}

/// Any content.
#[must_use]
pub fn bytes(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// No content.
#[must_use]
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Sets a header whose value we made ourselves; one that is no header value is left out.
pub fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// The members of a problem document. `path` and `fix` are extension members; `code` is the stable part of `type`.
#[must_use]
pub fn problem_document(problem: &Problem, request: Option<&str>) -> Value {
    let mut out = Map::new();
    let code = problem.code;
    out.insert("type".into(), format!("{PROBLEM_TYPE}{code}").into());
    out.insert("title".into(), code.title().into());
    out.insert("status".into(), code.status().into());
    out.insert("code".into(), code.as_str().into());
    out.insert("detail".into(), problem.reason.clone().into());
    if !problem.path.is_empty() {
        out.insert("path".into(), problem.path.clone().into());
    }
    if !problem.fix.is_empty() {
        out.insert("fix".into(), problem.fix.clone().into());
    }
    if let Some(request) = request {
        out.insert("instance".into(), format!("urn:notify-studio:request:{request}").into());
    }
    Value::Object(out)
}

/// `application/problem+json` with the status of its code.
#[must_use]
pub fn problem(problem: &Problem, request: Option<&str>) -> Response {
    let status = StatusCode::from_u16(problem.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = problem_document(problem, request).to_string().into_bytes();
    let mut response = bytes(status, "application/problem+json", body);
    match problem.code {
        Code::Unauthenticated => {
            set(&mut response, header::WWW_AUTHENTICATE, "Bearer realm=\"notify-studio\"")
        }
        Code::InvalidSignature => set(&mut response, header::WWW_AUTHENTICATE, "StandardWebhooks"),
        Code::Unavailable | Code::Timeout | Code::RateLimited => {
            set(&mut response, header::RETRY_AFTER, &RETRY_AFTER_SECONDS.to_string());
        }
        _ => {}
    }
    response
}

/// What a user is told of a fault that only an operator can mend.
#[must_use]
pub fn internal() -> Problem {
    Problem::new(
        Code::Internal,
        "",
        "the request could not be carried out because of a fault on our side",
        "try again; if it stays, give the operator the `instance` of this answer",
    )
}
