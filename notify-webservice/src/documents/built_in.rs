//! The channel that every tenant has without a document. A document of its name from before there was one goes on until
//! it is deleted; then this one takes its place.

use super::DocumentView;
use crate::app::{Call, store_problem};
use notify_core::document::Kind;
use notify_core::document::channel::INBOX;
use notify_core::document::console::built_in;
use notify_core::problem::{Code, Problem};
use notify_core::time::Timestamp;
use notify_store::model::{Document, Page, Paged};

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

/// `current`: what the tenant has of this name.
///
/// # Errors
/// `invalid-channel` for the built-in channel. A document from before there was one can be written.
pub fn not_written(kind: Kind, id: &str, current: Option<&Document>) -> Result<(), Problem> {
    let is_own = current.is_some_and(|current| !current.deleted);
    if is_it(kind, id) && !is_own { Err(refused("changed or disabled")) } else { Ok(()) }
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
    Ok(Some(DocumentView { built_in: true, ..DocumentView::of(document, request)? }))
}

/// A page of the list: the built-in channel is the first of all, where no document of the tenant has its name. It does
/// not stand among the others by its id, since how a database sorts names is its own business.
///
/// # Errors
/// When the store cannot be read.
pub async fn page(
    kind: Kind,
    page: &Page,
    call: &Call,
) -> Result<(Option<DocumentView>, Paged<Document>), Problem> {
    let (store, tenant) = (&call.app.store, call.tenant());
    let failed = |error| store_problem(&call.request, &error);
    let mut own = None;
    if kind == Kind::Channel && page.after.is_none() {
        let found = store.document(tenant, kind, INBOX, None).await.map_err(failed)?;
        if found.is_none_or(|document| document.deleted) {
            own = view(kind, INBOX, &call.request)?;
        }
    }
    let room = if own.is_some() { page.limit.saturating_sub(1) } else { page.limit };
    let asked = Page { limit: room.max(1), after: page.after.clone() };
    let mut found = store.documents(tenant, kind, &asked).await.map_err(failed)?;
    if room == 0 {
        // All of the others are on the pages after this one.
        found.next = (!found.items.is_empty()).then(String::new);
        found.items.clear();
    }
    Ok((own, found))
}
