//! What goes in and out of a connector, as safe values.

use crate::{Message, http};
use notify_connector_abi as abi;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What the message means for its incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It belongs to no incident.
    None,
    Open,
    Update,
    Resolve,
}

impl Phase {
    pub(crate) const fn from_abi(phase: u32) -> Self {
        match phase {
            abi::PHASE_OPEN => Self::Open,
            abi::PHASE_UPDATE => Self::Update,
            abi::PHASE_RESOLVE => Self::Resolve,
            _ => Self::None,
        }
    }
}

/// One message to send through one channel, borrowed for the call.
#[derive(Debug, Clone, Copy)]
pub struct Send<'a> {
    /// Opaque; a transport gets it again in [`crate::Transport::cancel`].
    pub token: u64,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// When the delivery was decided: the same on every attempt. Unix milliseconds, as all times here.
    pub delivery_unix_ms: u64,
    pub attempt_unix_ms: u64,
    pub deadline_unix_ms: u64,
    pub phase: Phase,
    /// Only a check whether the channel would work: nothing may be sent to people.
    pub check: bool,
    pub channel_type: &'a str,
    /// The same on every attempt: what receivers deduplicate on.
    pub delivery_id: &'a str,
    /// What [`Verdict::reference`] said last for this incident on this channel.
    pub provider_reference: Option<&'a str>,
    pub config_json: &'a [u8],
    pub message_json: &'a [u8],
    pub secret_names_json: &'a [u8],
    /// Transports only; empty for codecs.
    pub secrets_json: &'a [u8],
}

impl<'a> Send<'a> {
    /// The message, parsed.
    ///
    /// # Errors
    /// A permanent refusal: what was stored is no message, and will be none on the next attempt.
    pub fn message(&self) -> Result<Message, Refusal> {
        serde_json::from_slice(self.message_json)
            .map_err(|error| Refusal::permanent(format!("the message cannot be read: {error}")))
    }

    /// The channel's configuration, parsed.
    ///
    /// # Errors
    /// A refusal that names the place in the configuration.
    pub fn config<C: Deserialize<'a>>(&self) -> Result<C, Refusal> {
        serde_json::from_slice(self.config_json)
            .map_err(|error| Refusal::bad_config(format!("the channel's configuration: {error}")))
    }

    /// Whether the channel has a secret of this name.
    #[must_use]
    pub fn has_secret(&self, name: &str) -> bool {
        if self.secret_names_json.len() <= 2 {
            return false;
        }
        serde_json::from_slice::<Vec<Cow<'_, str>>>(self.secret_names_json)
            .is_ok_and(|names| names.iter().any(|known| known == name))
    }
}

/// Why nothing can be prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub(crate) code: i32,
    pub(crate) detail: String,
}

impl Refusal {
    /// Trying again may help.
    pub fn retry(detail: impl Into<String>) -> Self {
        Self { code: abi::RETRY, detail: detail.into() }
    }
    /// This message will never get through.
    pub fn permanent(detail: impl Into<String>) -> Self {
        Self { code: abi::PERMANENT, detail: detail.into() }
    }
    /// No message will get through before the channel's configuration is changed.
    pub fn bad_config(detail: impl Into<String>) -> Self {
        Self { code: abi::BAD_CONFIG, detail: detail.into() }
    }
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

/// An HTTP answer, borrowed for the call.
#[derive(Debug, Clone)]
pub struct Response<'a> {
    pub status: u16,
    /// The body was longer than the operator's limit and was cut.
    pub truncated: bool,
    /// The answer to a check.
    pub check: bool,
    pub attempt_unix_ms: u64,
    pub channel_type: &'a str,
    pub config_json: &'a [u8],
    pub headers_json: &'a [u8],
    pub body: &'a [u8],
}

impl Response<'_> {
    /// The first header of this (lower-case) name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let headers: Vec<(Cow<'_, str>, Cow<'_, str>)> = serde_json::from_slice(self.headers_json).ok()?;
        headers.into_iter().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }

    /// `Retry-After`, as seconds or as an HTTP date relative to the attempt.
    #[must_use]
    pub fn retry_after_ms(&self) -> Option<u64> {
        http::retry_after_ms(&self.header("retry-after")?, self.attempt_unix_ms)
    }
}

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerdictCode {
    Delivered,
    /// Handed over, not confirmed.
    Accepted,
    Retry,
    Throttled,
    Permanent,
    BadConfig,
    /// The target is gone for good: the channel is disabled.
    Gone,
    /// Cancelled in time; nothing was sent.
    Cancelled,
}

impl VerdictCode {
    pub(crate) const fn abi(self) -> i32 {
        match self {
            Self::Delivered => abi::OK,
            Self::Accepted => abi::ACCEPTED,
            Self::Retry => abi::RETRY,
            Self::Throttled => abi::THROTTLED,
            Self::Permanent => abi::PERMANENT,
            Self::BadConfig => abi::BAD_CONFIG,
            Self::Gone => abi::GONE,
            Self::Cancelled => abi::CANCELLED,
        }
    }
}

/// An outcome with what was learned. `detail` is for people: short, and without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub code: VerdictCode,
    pub retry_after_ms: Option<u64>,
    pub detail: String,
    pub provider_reference: Option<String>,
}

impl Verdict {
    pub fn new(code: VerdictCode, detail: impl Into<String>) -> Self {
        Self { code, retry_after_ms: None, detail: detail.into(), provider_reference: None }
    }
    #[must_use]
    pub fn delivered() -> Self {
        Self::new(VerdictCode::Delivered, "")
    }
    pub fn accepted(detail: impl Into<String>) -> Self {
        Self::new(VerdictCode::Accepted, detail)
    }
    pub fn retry(after_ms: Option<u64>, detail: impl Into<String>) -> Self {
        Self { retry_after_ms: after_ms, ..Self::new(VerdictCode::Retry, detail) }
    }
    pub fn throttled(after_ms: Option<u64>, detail: impl Into<String>) -> Self {
        Self { retry_after_ms: after_ms, ..Self::new(VerdictCode::Throttled, detail) }
    }
    pub fn permanent(detail: impl Into<String>) -> Self {
        Self::new(VerdictCode::Permanent, detail)
    }
    pub fn bad_config(detail: impl Into<String>) -> Self {
        Self::new(VerdictCode::BadConfig, detail)
    }
    pub fn gone(detail: impl Into<String>) -> Self {
        Self::new(VerdictCode::Gone, detail)
    }
    /// With the target's own id for what was sent; handed back on the incident's next send.
    #[must_use]
    pub fn reference(mut self, reference: impl Into<String>) -> Self {
        self.provider_reference = Some(reference.into());
        self
    }
}

impl From<Refusal> for Verdict {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.code {
            abi::BAD_CONFIG => VerdictCode::BadConfig,
            abi::PERMANENT => VerdictCode::Permanent,
            _ => VerdictCode::Retry,
        };
        Self::new(code, refusal.detail)
    }
}

/// One fault in a channel's configuration that its JSON Schema cannot express.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigProblem {
    /// JSON Pointer into the configuration.
    pub path: String,
    pub reason: String,
    pub fix: String,
}
