//! Every problem that a user can be told of: one enum, stable codes.
//!
//! Doctrine. A [`Problem`] is for the person who sent something: it names the place (`path`, a JSON Pointer, or the
//! header or field), the reason in words of the domain, and the fix. It never carries a secret, an SQL text or a file
//! path of ours. What only an operator can act on stays an internal error (`thiserror` enums per crate), is logged,
//! and reaches the user as [`Code::Internal`]. HTTP serves problems as RFC 9457 `application/problem+json`;
//! `docs/problems.md` lists the codes and is generated from this file's table.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! codes {
    ($($variant:ident = $code:literal, $status:literal, $title:literal;)*) => {
        /// A stable, public code. Renaming one breaks clients.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($variant,)* }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $code,)* } }
            /// The HTTP status it is served with.
            #[must_use]
            pub const fn status(self) -> u16 { match self { $(Self::$variant => $status,)* } }
            #[must_use]
            pub const fn title(self) -> &'static str { match self { $(Self::$variant => $title,)* } }
        }
    };
}

codes! {
    MalformedJson = "malformed-json", 400, "The body is not JSON";
    MalformedYaml = "malformed-yaml", 400, "The document is not YAML";
    DuplicateKey = "duplicate-key", 400, "A key appears twice";
    TooDeep = "too-deep", 400, "The document is nested too deeply";
    TooLarge = "too-large", 413, "The content is too large";
    UnsupportedMediaType = "unsupported-media-type", 415, "This content type is not accepted here";
    InvalidEvent = "invalid-event", 400, "The event is not a valid CloudEvent";
    EventConflict = "event-conflict", 409, "Another event with this identity exists";
    InvalidPattern = "invalid-pattern", 422, "The pattern is not valid";
    InvalidRule = "invalid-rule", 422, "The rule is not valid";
    RuleTestsFailed = "rule-tests-failed", 422, "The rule's own tests fail";
    InvalidChannel = "invalid-channel", 422, "The channel is not valid";
    InvalidTemplate = "invalid-template", 422, "The template is not valid";
    InvalidBundle = "invalid-bundle", 422, "The text bundle is not valid";
    InvalidEventType = "invalid-event-type", 422, "The event type is not valid";
    InvalidCalendar = "invalid-calendar", 422, "The calendar is not valid";
    InvalidContact = "invalid-contact", 422, "The contact is not valid";
    InvalidSilence = "invalid-silence", 422, "The silence is not valid";
    InvalidInhibition = "invalid-inhibition", 422, "The inhibition is not valid";
    InvalidOverride = "invalid-override", 422, "The override is not valid";
    InvalidPolicy = "invalid-policy", 422, "The policy is not valid";
    ConfirmationRequired = "confirmation-required", 409, "The effect has to be confirmed";
    SchemaMismatch = "schema-mismatch", 422, "The event does not fit the schema of its type";
    UnverifiedEvent = "unverified-event", 422, "The event's signature does not verify";
    UnknownField = "unknown-field", 422, "A field is not known";
    UnsupportedFeature = "unsupported-feature", 422, "This version does not offer the feature";
    UnknownReference = "unknown-reference", 422, "Something named here does not exist";
    InUse = "in-use", 409, "Something else refers to it";
    ForbiddenTarget = "forbidden-target", 422, "The address is not allowed";
    InvalidSecretReference = "invalid-secret-reference", 422, "The secret reference is not valid";
    RenderFailed = "render-failed", 422, "The template could not be rendered";
    InvalidParameter = "invalid-parameter", 400, "A parameter is not valid";
    InvalidPageToken = "invalid-page-token", 400, "The page token is not valid";
    Unauthenticated = "unauthenticated", 401, "A valid bearer token is needed";
    InvalidSignature = "invalid-signature", 401, "The request's signature is not valid";
    Forbidden = "forbidden", 403, "The token does not allow this";
    TenantMismatch = "tenant-mismatch", 403, "The tenant named differs from the token's";
    NotFound = "not-found", 404, "It does not exist";
    MethodNotAllowed = "method-not-allowed", 405, "This method is not offered here";
    AlreadyExists = "already-exists", 409, "It exists already";
    PreconditionRequired = "precondition-required", 428, "If-Match is needed";
    PreconditionFailed = "precondition-failed", 412, "It was changed in the meantime";
    IdempotencyConflict = "idempotency-conflict", 409, "The idempotency key was used for another request";
    NotReplayable = "not-replayable", 409, "This delivery cannot be replayed";
    ChannelDisabled = "channel-disabled", 409, "The channel is disabled";
    LimitReached = "limit-reached", 409, "The tenant has as many of these as it may";
    RateLimited = "rate-limited", 429, "Too many requests";
    Timeout = "timeout", 503, "The request took too long";
    Unavailable = "unavailable", 503, "The service cannot answer now";
    Internal = "internal", 500, "Something went wrong on our side";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = Self::ALL.iter().copied().find(|code| code.as_str() == text);
        known.ok_or_else(|| serde::de::Error::custom(format!("unknown problem code `{text}`")))
    }
}

/// One problem: where, why, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {reason}{}{}", at(path), then(fix))]
pub struct Problem {
    pub code: Code,
    /// JSON Pointer into what was sent, or the name of a header or parameter; empty when it is about the whole.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    pub reason: String,
    /// What the sender can do; empty only where the reason says it already.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fix: String,
}

fn at(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" (at `{path}`)") }
}

fn then(fix: &str) -> String {
    if fix.is_empty() { String::new() } else { format!("; {fix}") }
}

impl Problem {
    #[must_use]
    pub fn new(
        code: Code,
        path: impl Into<String>,
        reason: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { code, path: path.into(), reason: reason.into(), fix: fix.into() }
    }

    /// The same problem seen from one level further out: `prefix` goes before the path.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.path.insert_str(0, prefix);
        self
    }
}

impl From<crate::json::JsonFault> for Problem {
    fn from(fault: crate::json::JsonFault) -> Self {
        use crate::json::JsonFault;
        let (code, fix) = match &fault {
            JsonFault::TooLarge { .. } => {
                (Code::TooLarge, "send less, or ask the operator to raise the limit")
            }
            JsonFault::TooDeep { .. } => (Code::TooDeep, "flatten the document"),
            JsonFault::DuplicateKey { .. } => (Code::DuplicateKey, "keep one of them"),
            JsonFault::Syntax { .. } => (Code::MalformedJson, "send one JSON text in UTF-8"),
        };
        Self::new(code, fault.path().to_owned(), fault.to_string(), fix)
    }
}
