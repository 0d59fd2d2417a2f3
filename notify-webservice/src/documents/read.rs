//! Reading documents: lists, current and old versions.

use super::{DocumentView, not_found};
use crate::answer;
use crate::app::{Answer, Call, store_problem};
use crate::paging::bad_token;
use http::{StatusCode, header};
use notify_core::document::Kind;
use notify_core::ids::is_slug;
use notify_core::problem::{Code, Problem};
use serde_json::json;

/// `GET /{kind}s`
pub async fn list(kind: Kind, call: Call) -> Answer {
    let page = call.page()?;
    let (own, found) = super::built_in::page(kind, &page, &call).await?;
    let documents = found.items.into_iter().map(|document| DocumentView::of(document, &call.request));
    let items = own.into_iter().map(Ok).chain(documents).collect::<Result<Vec<_>, _>>()?;
    Ok(answer::json(StatusCode::OK, &json!({ "items": items, "nextPageToken": call.sealed(found.next) })))
}

/// `GET /{kind}s/{id}`, with `?version=` an old one.
pub async fn read(kind: Kind, call: Call) -> Answer {
    let id = call.param("id");
    let version = call.query.get::<u64>("version", "a version number")?;
    let view = find(kind, id, version, &call).await?;
    let etag = view.etag();
    let unchanged = call.header("if-none-match").is_some_and(|known| known == etag);
    let mut response =
        if unchanged { answer::empty(StatusCode::NOT_MODIFIED) } else { answer::json(StatusCode::OK, &view) };
    answer::set(&mut response, header::ETAG, &etag);
    Ok(response)
}

async fn find(kind: Kind, id: &str, version: Option<u64>, call: &Call) -> Result<DocumentView, Problem> {
    if !is_slug(id) {
        return not_found(kind, id);
    }
    let found = call.app.store.document(call.tenant(), kind, id, version).await;
    match found.map_err(|error| store_problem(&call.request, &error))? {
        // A deleted document is gone as such, but its versions can be read: decisions refer to them.
        Some(document) if version.is_some() => DocumentView::of(document, &call.request),
        Some(document) if !document.deleted => {
            Ok(DocumentView::of(document, &call.request)?.at(call.app.clock.now()))
        }
        _ => match version {
            Some(version) => Err(Problem::new(
                Code::NotFound,
                "version",
                format!("there is no version {version} of {} `{}`", kind.as_str(), id.escape_default()),
                "leave `version` out for the current one",
            )),
            None => match super::built_in::view(kind, id, &call.request)? {
                Some(view) => Ok(view),
                None => not_found(kind, id),
            },
        },
    }
}

/// `GET /{kind}s/{id}/versions`: newest first, also of a deleted document.
pub async fn versions(kind: Kind, call: Call) -> Answer {
    let id = call.param("id");
    if !is_slug(id) {
        return not_found(kind, id);
    }
    let page = call.page()?;
    let newest = call.app.store.document(call.tenant(), kind, id, None).await;
    let Some(newest) = newest.map_err(|error| store_problem(&call.request, &error))? else {
        // What nobody has written has one version.
        return match super::built_in::view(kind, id, &call.request)? {
            Some(view) => {
                Ok(answer::json(StatusCode::OK, &json!({ "items": [view], "nextPageToken": null })))
            }
            None => not_found(kind, id),
        };
    };
    // The token is the version to go on with.
    let start = match &page.after {
        Some(token) => token.parse::<u64>().map_err(|_| bad_token())?.min(newest.version),
        None => newest.version,
    };
    let mut items = Vec::new();
    let mut next = None;
    for version in (1..=start).rev() {
        if items.len() >= page.limit as usize {
            next = Some(version.to_string());
            break;
        }
        let found = call.app.store.document(call.tenant(), kind, id, Some(version)).await;
        if let Some(document) = found.map_err(|error| store_problem(&call.request, &error))? {
            items.push(DocumentView::of(document, &call.request)?);
        }
    }
    Ok(answer::json(StatusCode::OK, &json!({ "items": items, "nextPageToken": call.sealed(next) })))
}
