//! What can go wrong between a client and the service.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A problem of the service (RFC 9457). `code` is stable; texts are for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Problem {
    pub code: String,
    pub status: u16,
    pub title: String,
    pub detail: String,
    /// JSON Pointer into what was sent, or the name of a header or parameter.
    pub path: String,
    /// What the sender can do.
    pub fix: String,
    /// Names the request in the operator's logs.
    pub instance: String,
    /// Where several things are wrong at once: all of them, this one first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// How many there are; more than `problems` where it would be too long a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem_count: Option<u64>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)?;
        if !self.path.is_empty() {
            write!(f, " (at `{}`)", self.path)?;
        }
        if !self.fix.is_empty() {
            write!(f, "; {}", self.fix)?;
        }
        Ok(())
    }
}

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{0}` is not an http or https address")]
    Address(String),
    #[error("no HTTP client can be made: {0}")]
    Setup(String),
    #[error("{base} cannot be reached: {reason}")]
    Unreachable { base: String, reason: String },
    #[error("the answer broke off: {0}")]
    BrokenOff(String),
    #[error("the answer is too large")]
    TooLarge,
    /// The service refused, in its own words.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// An error without a problem document: hardly our service.
    #[error("the service answered {0}")]
    Status(u16),
    #[error("the answer of the service is not what was expected: {0}")]
    Unexpected(String),
}

impl Error {
    /// The service's own problem, if it is one.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }
}
