//! Requests to the service.

use crate::args::Global;
use crate::failure::Failure;
use notify_core::problem::{Code, Problem};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use std::time::Duration;

/// Largest answer that is read into memory.
const MAX_ANSWER: usize = 256 * 1024 * 1024;
/// Items asked for at once.
const PAGE: u32 = 500;

pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// An answer of the service.
pub struct Answered {
    pub status: StatusCode,
    pub body: Value,
}

impl Client {
    /// # Errors
    /// When the address is none.
    pub fn new(global: &Global) -> Result<Self, Failure> {
        let base = global.url.trim_end_matches('/').to_owned();
        let valid = url::Url::parse(&base).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
        if !valid {
            let reason = format!("`{base}` is not an http or https address");
            return Err(Failure::usage(reason, "give --url or NOTIFY_URL like http://127.0.0.1:8650"));
        }
        let http = reqwest::Client::builder()
            // A redirect could carry the token elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(120))
            .user_agent(concat!("notify/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Failure::other(format!("no HTTP client can be made: {error}"), ""))?;
        Ok(Self { http, base, token: global.token.clone().filter(|token| !token.is_empty()) })
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends; a status below 400 is success.
    ///
    /// # Errors
    /// The service's own problem, or that it cannot be reached.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answered, Failure> {
        let answered = read(self.open(request).await?).await?;
        if answered.status.as_u16() < 400 { Ok(answered) } else { Err(refused(&answered)) }
    }

    /// Sends and gives the answer unread, whatever its status.
    ///
    /// # Errors
    /// When the service cannot be reached.
    pub async fn open(&self, request: RequestBuilder) -> Result<Response, Failure> {
        request.send().await.map_err(|error| {
            let reason = format!("{} cannot be reached: {}", self.base, root_cause(&error));
            Failure::other(reason, "start it with `notify serve`, or set NOTIFY_URL")
        })
    }

    /// `GET`, JSON.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        Ok(self.send(self.request(Method::GET, path)).await?.body)
    }

    /// Follows pages until `limit` items are there.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn all(&self, path: &str, query: &[(&str, &str)], limit: u32) -> Result<Vec<Value>, Failure> {
        let mut items: Vec<Value> = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let missing = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(u32::MAX));
            if missing == 0 {
                return Ok(items);
            }
            let page = missing.min(PAGE).to_string();
            let mut query = query.to_vec();
            query.push(("limit", &page));
            if let Some(token) = &token {
                query.push(("pageToken", token));
            }
            let mut answered = self.send(self.request(Method::GET, &with_query(path, &query))).await?;
            let fresh = match answered.body.get_mut("items").map(Value::take) {
                Some(Value::Array(fresh)) => fresh,
                _ => {
                    return Err(Failure::other(
                        "the answer of the service is no list",
                        "is it Notify Studio?",
                    ));
                }
            };
            items.extend(fresh);
            token = answered.body.get("nextPageToken").and_then(Value::as_str).map(str::to_owned);
            if token.is_none() {
                return Ok(items);
            }
        }
    }
}

/// The path with an encoded query.
#[must_use]
pub fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    if query.is_empty() {
        return path.to_owned();
    }
    let encoded = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    format!("{path}?{encoded}")
}

/// One path segment of what a user typed.
#[must_use]
pub fn segment(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// Reads a whole answer, JSON or not.
///
/// # Errors
/// When it breaks off or is too large.
pub async fn read(mut response: Response) -> Result<Answered, Failure> {
    let status = response.status();
    let mut bytes = Vec::new();
    loop {
        let chunk = response.chunk().await;
        match chunk
            .map_err(|error| Failure::other(format!("the answer broke off: {}", root_cause(&error)), ""))?
        {
            Some(chunk) if bytes.len() + chunk.len() <= MAX_ANSWER => bytes.extend_from_slice(&chunk),
            Some(_) => return Err(Failure::other("the answer is too large", "ask for less with --limit")),
            None => break,
        }
    }
    let body = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    Ok(Answered { status, body })
}

/// The problem inside an answer, as the service's own words.
#[must_use]
pub fn refused(answered: &Answered) -> Failure {
    match problem_of(&answered.body) {
        Some(problem) => Failure::from(problem),
        None => Failure::other(
            format!("the service answered {}", answered.status),
            "is there another program, or a proxy, at this address?",
        ),
    }
}

/// A problem document as a problem.
#[must_use]
pub fn problem_of(body: &Value) -> Option<Problem> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let code: Code = serde_json::from_value(body.get("code")?.clone()).ok()?;
    Some(Problem::new(code, text("path"), text("detail"), text("fix")))
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    #[test]
    fn typed_text_stays_one_segment() {
        assert_eq!(super::segment("a/../b?x#y ü:z"), "a%2F..%2Fb%3Fx%23y%20%C3%BC%3Az");
        assert_eq!(super::with_query("/x", &[("a", "1&2")]), "/x?a=1%262");
    }
}
