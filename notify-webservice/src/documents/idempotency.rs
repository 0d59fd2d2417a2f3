//! `Idempotency-Key`: a repeated write gets the first one's answer and changes nothing.

use crate::answer;
use crate::app::{Call, store_problem};
use axum::response::Response;
use http::{HeaderName, StatusCode, header};
use notify_core::ids::hex;
use notify_core::problem::{Code, Problem};
use notify_core::time::Timestamp;
use notify_store::Bookkeeping;
use notify_store::model::RememberedAnswer;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// One write that may be repeated.
#[derive(Debug, Clone)]
pub struct Idempotent {
    key: String,
    request_digest: String,
}

impl Idempotent {
    /// `None` when the sender gave no key.
    ///
    /// # Errors
    /// `invalid-parameter` on a key that is empty, too long or not plain text.
    pub fn of(call: &Call) -> Result<Option<Self>, Problem> {
        Ok(Self::key(call)?.map(|key| Self { key, request_digest: Self::digest(call) }))
    }

    /// A publisher's write: its keys are its own, and `webhook-id` is the key where it sends no other.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn of_publisher(call: &Call) -> Result<Self, Problem> {
        let webhook_id = || call.header("webhook-id").unwrap_or_default().to_owned();
        let key = Self::key(call)?.unwrap_or_else(webhook_id);
        // No key that comes in a header contains a space.
        let key = format!("{} {key}", call.caller.actor.subject);
        Ok(Self { key, request_digest: Self::digest(call) })
    }

    fn key(call: &Call) -> Result<Option<String>, Problem> {
        let mut values = call.headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else { return Ok(None) };
        let key = value.to_str().unwrap_or_default();
        let plain = (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
        if !plain || values.next().is_some() {
            return Err(Problem::new(
                Code::InvalidParameter,
                "idempotency-key",
                "the key is not 1 to 255 printable ASCII characters without spaces, given once",
                "send a UUID",
            ));
        }
        Ok(Some(key.to_owned()))
    }

    fn digest(call: &Call) -> String {
        let mut hash = Sha256::new();
        let if_match = call.header("if-match").unwrap_or_default();
        let parts =
            [call.method.as_str(), &call.path, &call.caller.actor.subject, if_match, &call.media_type()];
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        hash.update(&call.body);
        hex(&hash.finalize())
    }

    /// The first answer when this very request was carried out before.
    ///
    /// # Errors
    /// `idempotency-conflict` when the key stands for another request.
    pub async fn answered_before(&self, call: &Call) -> Result<Option<Response>, Problem> {
        let found = call.app.store.remembered_answer(call.tenant(), &self.key).await;
        let Some(found) = found.map_err(|error| store_problem(&call.request, &error))? else {
            return Ok(None);
        };
        self.answer_again(&found).map(Some)
    }

    fn answer_again(&self, found: &RememberedAnswer) -> Result<Response, Problem> {
        if found.request_digest != self.request_digest {
            return Err(Problem::new(
                Code::IdempotencyConflict,
                "idempotency-key",
                "the key was used for another request",
                "use a new key for each new request",
            ));
        }
        let status = StatusCode::from_u16(found.status).unwrap_or(StatusCode::OK);
        let mut response = answer::bytes(status, "application/json", found.answer.clone().into_bytes());
        if let Ok(body) = serde_json::from_str::<Value>(&found.answer) {
            decorate(&mut response, &body);
        }
        answer::set(&mut response, HeaderName::from_static("idempotent-replayed"), "true");
        Ok(response)
    }

    /// What the store keeps with the write.
    #[must_use]
    pub fn remember(&self, status: StatusCode, answer: &str, at: Timestamp) -> Bookkeeping {
        Bookkeeping::RememberIdempotency {
            key: self.key.clone(),
            request_digest: self.request_digest.clone(),
            status: status.as_u16(),
            answer: answer.to_owned(),
            at,
        }
    }
}

/// Headers that follow from the answer's body, so that they need not be kept: ETag and Location.
pub fn decorate(response: &mut Response, body: &Value) {
    if let Some(version) = body.get("version").and_then(Value::as_u64) {
        answer::set(response, header::ETAG, &format!("\"{version}\""));
    }
    if let (Some(kind), Some(id)) =
        (body.get("kind").and_then(Value::as_str), body.get("id").and_then(Value::as_str))
        && response.status() == StatusCode::CREATED
    {
        answer::set(response, header::LOCATION, &format!("/api/v1/notify/{kind}s/{id}"));
    }
}
