//! Rules, channels, templates, text bundles and event types: versioned documents that tenants author.

pub mod apply;
mod built_in;
pub mod check;
pub mod explain;
pub mod idempotency;
pub mod lint;
pub mod places;
pub mod precondition;
pub mod preview;
pub mod read;
pub mod record;
pub mod rule_tests;
pub mod uses;
pub mod windows;
pub mod write;

use crate::app::internal;
use crate::muting;
use notify_core::document::Kind;
use notify_core::problem::{Code, Problem};
use notify_core::time::{Timestamp, rfc3339_millis};
use notify_store::model::Document;
use serde::Serialize;
use serde_json::value::RawValue;

/// One version as the API shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentView {
    pub kind: &'static str,
    pub id: String,
    pub version: u64,
    pub digest: String,
    pub created_at: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// There without anybody having written it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub built_in: bool,
    pub document: Box<RawValue>,
    /// After a write that was forced: what would have refused it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forced: Vec<Problem>,
    /// Of a silence or override: how it stands at the time of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// Of a silence or override: what it is about, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covers: Option<String>,
}

impl DocumentView {
    /// # Errors
    /// `internal` when the store holds something that is not JSON.
    pub fn of(document: Document, request: &str) -> Result<Self, Problem> {
        Ok(Self {
            kind: document.kind.as_str(),
            document: RawValue::from_string(document.body).map_err(|error| internal(request, &error))?,
            id: document.id,
            version: document.version,
            digest: document.digest,
            created_at: rfc3339_millis(document.created_at),
            deleted: document.deleted,
            built_in: false,
            forced: Vec::new(),
            state: None,
            covers: None,
        })
    }

    /// With how it stands at this time, where it is of a kind that is only in force for a while.
    #[must_use]
    pub fn at(mut self, now: Timestamp) -> Self {
        if let Some((state, covers)) = muting::told(self.kind, self.document.get(), now) {
            (self.state, self.covers) = (Some(state.as_str()), Some(covers));
        }
        self
    }

    #[must_use]
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.version)
    }
}

/// # Errors
/// Always: `not-found`.
pub fn not_found<T>(kind: Kind, id: &str) -> Result<T, Problem> {
    Err(Problem::new(
        Code::NotFound,
        "",
        format!("there is no {} `{}`", kind.as_str(), id.escape_default()),
        format!("`notify {} list` shows what there is", kind.as_str()),
    ))
}
