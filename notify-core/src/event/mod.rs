//! Events as they come in: CloudEvents 1.0 in its three HTTP forms, and Alertmanager's notices turned into them.
//!
//! Whatever the form, the result is one [`Event`] whose `body` is the RFC 8785 text of the CloudEvent's JSON form: the
//! same event sent structured, batched or binary is the same bytes, and so the same identity, hash and commitment.
//! References: CloudEvents core specification, JSON event format and HTTP protocol binding, each 1.0.2.

pub mod alertmanager;
pub mod alertmanager_api;
mod attributes;
mod batch;
mod binary;
mod structured;
pub mod verifiable;

#[cfg(test)]
mod tests;

pub(crate) use attributes::{
    MAX_NAME as MAX_ATTRIBUTE_NAME, REQUIRED_ATTRIBUTES, TEXT_ATTRIBUTES, is_rfc3339,
};

use crate::ids::{EventKey, TenantId};
use crate::jcs;
use crate::json;
use crate::problem::{Code, Problem};
use crate::severity::Severity;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// One valid event of one tenant.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub tenant: TenantId,
    /// Hash of tenant, source and id. The same key is the same event.
    pub key: EventKey,
    pub id: String,
    pub source: String,
    pub r#type: String,
    pub subject: Option<String>,
    /// RFC 3339, as sent. Never used as the event's logical time.
    pub time: Option<String>,
    /// The `severity` extension where it is one of ours; another text stays in `value` only.
    pub severity: Option<Severity>,
    /// The `notifyhops` extension, 0 to 15: how many deliveries of ours led to it.
    pub hops: u8,
    /// The CloudEvent as JSON, as `body` parses: what patterns match and templates see.
    pub value: Value,
    /// RFC 8785 form of `value`: what is stored and committed to.
    pub body: String,
    /// Tells a repeat from a conflict: SHA-256 of `body`, except for [`alertmanager`], where an alert's texts may
    /// change between sendings of one occurrence and only its identity is hashed.
    pub body_hash: [u8; 32],
    /// SHA-256 of `data` in each spelling in which its producer may have signed it. Only for an event that is read as it
    /// was sent and carries `dssematerial`; see [`verifiable`].
    pub signed_data: Vec<[u8; 32]>,
}

/// Bounds on what is taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventLimits {
    /// Bytes of one event, as sent and in canonical form.
    pub max_bytes: usize,
    /// Arrays and objects inside each other; the event itself counts as 1.
    pub max_depth: usize,
    /// Events in one batch, alerts in one notice.
    pub max_batch_events: usize,
    /// Bytes of a whole batch or notice.
    pub max_batch_bytes: usize,
}

impl EventLimits {
    /// What an operator may raise `max_bytes` to.
    pub const HIGHEST_MAX_BYTES: usize = 512 * 1024;

    fn json(&self) -> json::Limits {
        json::Limits { max_bytes: self.max_bytes, max_depth: self.max_depth }
    }
}

impl Default for EventLimits {
    /// 64 KiB and depth 64 per event (DESIGN section 4), 1,000 events and 4 MiB per batch.
    fn default() -> Self {
        Self { max_bytes: 64 * 1024, max_depth: 64, max_batch_events: 1000, max_batch_bytes: 4 * 1024 * 1024 }
    }
}

/// The form of a request's body, told by its `Content-Type` (HTTP binding, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `application/cloudevents`, in JSON: [`Event::structured`].
    Structured,
    /// `application/cloudevents-batch`, in JSON: [`Event::batch`].
    Batch,
    /// Anything else; attributes are in `ce-` headers: [`Event::binary`].
    Binary,
}

impl Mode {
    /// # Errors
    /// [`Code::UnsupportedMediaType`] for an event format other than JSON (`application/cloudevents+avro`, …).
    pub fn of(content_type: Option<&str>) -> Result<Self, Problem> {
        let full = content_type.unwrap_or_default();
        let essence = full.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let (mode, format) = if let Some(format) = essence.strip_prefix("application/cloudevents-batch") {
            (Self::Batch, format)
        } else if let Some(format) = essence.strip_prefix("application/cloudevents") {
            (Self::Structured, format)
        } else {
            return Ok(Self::Binary);
        };
        if format.is_empty() || format == "+json" {
            return Ok(mode);
        }
        Err(Problem::new(
            Code::UnsupportedMediaType,
            "content-type",
            format!("the event format `{}` is not read here", essence.chars().take(80).collect::<String>()),
            "send `application/cloudevents+json`, `application/cloudevents-batch+json`, or binary mode with `ce-` \
             headers",
        ))
    }
}

impl Event {
    /// One event in JSON (structured mode).
    ///
    /// # Errors
    /// A [`Problem`] that names the place in `bytes`.
    pub fn structured(tenant: &TenantId, bytes: &[u8], limits: &EventLimits) -> Result<Self, Problem> {
        structured::parse(tenant, bytes, limits)
    }

    /// An event that is JSON already, such as the one in a preview request.
    ///
    /// # Errors
    /// As [`Event::structured`]; duplicate keys and depth are the business of whoever parsed `value`.
    pub fn from_value(tenant: &TenantId, value: Value, limits: &EventLimits) -> Result<Self, Problem> {
        structured::from_value(tenant, value, limits)
    }

    /// An event from its stored `body`: no limits that were lowered since then stand in the way.
    ///
    /// # Errors
    /// Only when `body` was not written by us.
    pub fn stored(tenant: &TenantId, body: &str) -> Result<Self, Problem> {
        let lenient = EventLimits { max_bytes: usize::MAX, max_depth: 120, ..EventLimits::default() };
        structured::parse(tenant, body.as_bytes(), &lenient)
    }

    /// A JSON array of events (batched mode); each event has its own fate, in order. The paths of their problems
    /// start with the index.
    ///
    /// # Errors
    /// When the body as a whole is no JSON array or beyond the limits of a batch.
    pub fn batch(
        tenant: &TenantId,
        bytes: &[u8],
        limits: &EventLimits,
    ) -> Result<Vec<Result<Self, Problem>>, Problem> {
        batch::parse(tenant, bytes, limits)
    }

    /// An event with its attributes in headers and its data in the body (binary mode). Headers other than `ce-…` and
    /// `Content-Type` are ignored; names in any case.
    ///
    /// # Errors
    /// A [`Problem`] whose path is the header's name, or a JSON Pointer that starts with `/data`.
    pub fn binary<'h>(
        tenant: &TenantId,
        headers: impl Iterator<Item = (&'h str, &'h [u8])>,
        body: &[u8],
        limits: &EventLimits,
    ) -> Result<Self, Problem> {
        binary::parse(tenant, headers, body, limits)
    }

    /// The one way to make an event: checks the attributes, brings the value into canonical form and derives the rest.
    fn build(tenant: &TenantId, mut value: Value, limits: &EventLimits) -> Result<Self, Problem> {
        let attributes = attributes::check(tenant, &mut value)?;
        let body = jcs::canonicalise(&mut value).map_err(|fault| {
            let reason = "the whole number is beyond ±(2^53 − 1), where JSON readers disagree on its value";
            Problem::new(Code::InvalidEvent, fault.path, reason, "send it as a string")
        })?;
        if body.len() > limits.max_bytes {
            let reason = format!(
                "the event has {} bytes in its JSON form, more than the {} allowed",
                body.len(),
                limits.max_bytes
            );
            let fix = "send a link instead of the content, or ask the operator to raise the limit";
            return Err(Problem::new(Code::TooLarge, "", reason, fix));
        }
        Ok(Self {
            tenant: tenant.clone(),
            key: EventKey::derive([tenant.as_str(), &attributes.source, &attributes.id]),
            id: attributes.id,
            source: attributes.source,
            r#type: attributes.r#type,
            subject: attributes.subject,
            time: attributes.time,
            severity: attributes.severity,
            hops: attributes.hops,
            value,
            body_hash: Sha256::digest(body.as_bytes()).into(),
            signed_data: vec![],
            body,
        })
    }
}
