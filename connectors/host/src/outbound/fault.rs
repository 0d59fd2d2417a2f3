//! Why an attempt brought no response.

use crate::request::Outcome;
use notify_netguard::Blocked;
use std::fmt;

/// An attempt without a response. The texts are for people and hold no secret, no header and no body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundFault {
    pub kind: FaultKind,
    pub detail: String,
    /// True only when it is certain that no byte of the request left this host: such an attempt cannot have been a
    /// delivery. False means "perhaps".
    pub never_sent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Egress policy; `code` is [`Blocked::code`].
    Blocked { code: &'static str },
    /// The channel has no value for a secret that the request names.
    MissingSecret,
    /// The prepared request cannot be sent as it is.
    InvalidRequest,
    /// Name resolution or TCP.
    Connect,
    /// Handshake or certificate.
    Tls,
    /// The attempt's time is over.
    Timeout,
    /// The connection ended before the response was complete.
    Reset,
    /// The answer is not HTTP/1, or over the limits.
    Protocol,
}

impl FaultKind {
    /// Stable word for metrics and the ledger.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Blocked { .. } => "blocked",
            Self::MissingSecret => "missing-secret",
            Self::InvalidRequest => "invalid-request",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
        }
    }
}

impl OutboundFault {
    pub(super) fn before(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), never_sent: true }
    }

    pub(super) fn after(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), never_sent: false }
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::before(FaultKind::InvalidRequest, detail)
    }

    /// `host_is_secret`: part of the URL's authority came from a secret, so the host may not be named.
    pub(super) fn blocked(blocked: &Blocked, host_is_secret: bool) -> Self {
        let detail = if host_is_secret { blocked.without_host() } else { blocked.to_string() };
        Self::before(FaultKind::Blocked { code: blocked.code() }, detail)
    }

    /// How the dispatcher treats it: what only a change of configuration can mend is [`Outcome::BadConfig`]. A name
    /// that resolves to a forbidden address counts as that too.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self.kind {
            FaultKind::Blocked { .. } | FaultKind::MissingSecret | FaultKind::InvalidRequest => {
                Outcome::BadConfig
            }
            FaultKind::Timeout => Outcome::Timeout,
            FaultKind::Connect | FaultKind::Tls | FaultKind::Reset | FaultKind::Protocol => {
                Outcome::Retry { after_ms: None }
            }
        }
    }
}

impl fmt::Display for OutboundFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for OutboundFault {}
