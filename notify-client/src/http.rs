//! Requests and answers, untyped.

use crate::error::{Error, Problem};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;

/// Largest answer that is read into memory.
const MAX_ANSWER: usize = 256 * 1024 * 1024;
/// Items asked for at once.
const PAGE: u32 = 500;

/// A service and a token for it. Clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// An answer of the service, read.
#[derive(Debug, Clone)]
pub struct Answered {
    pub status: StatusCode,
    /// A text where it is no JSON.
    pub body: Value,
}

impl Answered {
    /// # Errors
    /// When it is of another shape.
    pub fn typed<T: DeserializeOwned>(self) -> Result<T, Error> {
        serde_json::from_value(self.body).map_err(|error| Error::Unexpected(error.to_string()))
    }

    /// This answer as an error.
    #[must_use]
    pub fn problem(&self) -> Error {
        let known = self.body.get("code").is_some_and(Value::is_string);
        match serde_json::from_value::<Problem>(self.body.clone()) {
            Ok(problem) if known => Error::Problem(Box::new(problem)),
            _ => Error::Status(self.status.as_u16()),
        }
    }
}

impl Client {
    /// # Errors
    /// When the address is none.
    pub fn new(base: &str, token: Option<String>) -> Result<Self, Error> {
        let base = base.trim_end_matches('/').to_owned();
        if !url::Url::parse(&base).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
            return Err(Error::Address(base));
        }
        let http = reqwest::Client::builder()
            // A redirect could carry the token elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(120))
            .user_agent(concat!("notify-client/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::Setup(error.to_string()))?;
        Ok(Self { http, base, token: token.filter(|token| !token.is_empty()) })
    }

    /// A request with the token.
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
    pub async fn send(&self, request: RequestBuilder) -> Result<Answered, Error> {
        let answered = read(self.open(request).await?).await?;
        if answered.status.as_u16() < 400 { Ok(answered) } else { Err(answered.problem()) }
    }

    /// Sends and gives the answer unread, whatever its status.
    ///
    /// # Errors
    /// When the service cannot be reached.
    pub async fn open(&self, request: RequestBuilder) -> Result<Response, Error> {
        request
            .send()
            .await
            .map_err(|error| Error::Unreachable { base: self.base.clone(), reason: root_cause(&error) })
    }

    /// `GET`, JSON.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn get(&self, path: &str) -> Result<Value, Error> {
        Ok(self.send(self.request(Method::GET, path)).await?.body)
    }

    /// `GET`, as a type.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn typed<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.send(self.request(Method::GET, path)).await?.typed()
    }

    /// Follows pages until `limit` items are there.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn all(&self, path: &str, query: &[(&str, &str)], limit: u32) -> Result<Vec<Value>, Error> {
        let mut items = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let missing = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(u32::MAX));
            if missing == 0 {
                return Ok(items);
            }
            let page = missing.min(PAGE).to_string();
            let mut query = query.to_vec();
            // `u32::MAX`: whatever there is, of a list without pages.
            if limit != u32::MAX {
                query.push(("limit", &page));
            }
            if let Some(token) = &token {
                query.push(("pageToken", token));
            }
            let mut answered = self.send(self.request(Method::GET, &with_query(path, &query))).await?;
            match answered.body.get_mut("items").map(Value::take) {
                Some(Value::Array(fresh)) => items.extend(fresh),
                _ => return Err(Error::Unexpected("it is no list".to_owned())),
            }
            token = answered.body.get("nextPageToken").and_then(Value::as_str).map(str::to_owned);
            if token.is_none() {
                return Ok(items);
            }
        }
    }

    /// The same with types.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        limit: u32,
    ) -> Result<Vec<T>, Error> {
        let items = self.all(path, query, limit).await?;
        serde_json::from_value(items.into()).map_err(|error| Error::Unexpected(error.to_string()))
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
pub async fn read(mut response: Response) -> Result<Answered, Error> {
    let status = response.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Error::BrokenOff(root_cause(&error)))? {
        if bytes.len() + chunk.len() > MAX_ANSWER {
            return Err(Error::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    let body = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    Ok(Answered { status, body })
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
    use super::*;
    use serde_json::json;

    #[test]
    fn typed_text_stays_one_segment() {
        assert_eq!(segment("a/../b?x#y ü:z"), "a%2F..%2Fb%3Fx%23y%20%C3%BC%3Az");
        assert_eq!(with_query("/x", &[("a", "1&2")]), "/x?a=1%262");
    }

    #[test]
    fn errors_in_the_services_words() {
        let check = |status: u16, body: Value, expected: &str| {
            let answered = Answered { status: StatusCode::from_u16(status).unwrap(), body };
            assert_eq!(answered.problem().to_string(), expected);
        };
        check(
            404,
            json!({"code": "not-found", "detail": "no", "path": "/x", "fix": "look", "new": 1}),
            "not-found: no (at `/x`); look",
        );
        check(502, json!("<html>"), "the service answered 502");
        check(500, json!({"error": "x"}), "the service answered 500");
        assert!(matches!(Client::new("ftp://x", None), Err(Error::Address(_))));
    }
}
