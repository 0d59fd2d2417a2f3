//! `If-Match`: a write to something that exists says which version it was made from.

use crate::app::Call;
use notify_core::document::Kind;
use notify_core::problem::{Code, Problem};

/// What the writer believes to be current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: any, as long as it exists.
    Any,
    Version(u64),
}

impl IfMatch {
    /// # Errors
    /// `precondition-required` when absent, `precondition-failed` for a tag that can never match.
    pub fn of(call: &Call) -> Result<Self, Problem> {
        let mut values = call.headers.get_all(http::header::IF_MATCH).iter();
        let Some(value) = values.next() else {
            return Err(Problem::new(
                Code::PreconditionRequired,
                "if-match",
                "this write must say which version it replaces",
                "read the document and send its ETag as `If-Match`, or `If-Match: *` to write over any version",
            ));
        };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self::Any);
        }
        let version =
            text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).and_then(|n| n.parse().ok());
        match (version, values.next()) {
            (Some(version), None) => Ok(Self::Version(version)),
            _ => Err(Problem::new(
                Code::PreconditionFailed,
                "if-match",
                format!("`{}` is no ETag of a document", text.escape_default()),
                "send one ETag as it was given, such as `\"3\"`, or `*`",
            )),
        }
    }

    /// # Errors
    /// `precondition-failed` when another version is current.
    pub fn check(self, kind: Kind, id: &str, current: u64) -> Result<(), Problem> {
        match self {
            Self::Any => Ok(()),
            Self::Version(version) if version == current => Ok(()),
            Self::Version(version) => Err(Problem::new(
                Code::PreconditionFailed,
                "if-match",
                format!("{} `{id}` is at version {current}, not {version}", kind.as_str()),
                "read it again, redo the change on the new version and send its ETag",
            )),
        }
    }
}
