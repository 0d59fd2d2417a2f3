//! The channel that every tenant has without a document. A document of its name from before there was one goes on until
//! it is deleted; then this one takes its place.

use super::DocumentView;
use notify_core::document::Kind;
use notify_core::document::channel::INBOX;
use notify_core::document::console::built_in;
use notify_core::problem::{Code, Problem};
use notify_core::time::Timestamp;
use notify_store::model::Document;

pub fn is_it(kind: Kind, id: &str) -> bool {
    kind == Kind::Channel && id == INBOX
}

fn refused(what: &str) -> Problem {
    Problem::new(
        Code::InvalidChannel,
        "/id",
        format!("`{INBOX}` is the studio's own inbox: every tenant has it, and it cannot be {what}"),
        "leave it as it is; for an inbox with settings of its own create a channel of type `console` with another id",
    )
}

/// # Errors
/// `invalid-channel` for the built-in channel.
pub fn not_written(kind: Kind, id: &str) -> Result<(), Problem> {
    if is_it(kind, id) { Err(refused("changed or disabled")) } else { Ok(()) }
}

/// # Errors
/// `invalid-channel` for the built-in channel.
pub fn not_deleted(kind: Kind, id: &str) -> Result<(), Problem> {
    if is_it(kind, id) { Err(refused("deleted")) } else { Ok(()) }
}

/// How it is shown.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn view(kind: Kind, id: &str, request: &str) -> Result<Option<DocumentView>, Problem> {
    let Some(own) = built_in().filter(|_| is_it(kind, id)) else { return Ok(None) };
    let body = serde_json::to_string(&own.document).map_err(|error| crate::app::internal(request, &error))?;
    let document = Document {
        kind,
        id: id.to_owned(),
        version: own.version,
        digest: own.digest,
        body,
        created_at: Timestamp::UNIX_EPOCH,
        deleted: false,
    };
    DocumentView::of(document, request).map(Some)
}
