//! Lists of silences and overrides, by how they stand.

use crate::answer;
use crate::app::{Answer, Call, store_problem};
use crate::documents::DocumentView;
use http::StatusCode;
use notify_core::document::Kind;
use notify_core::document::scope::Standing;
use serde_json::json;

/// Pages of the store that are searched for one that stands as wanted.
const MOST_PAGES: usize = 20;

/// `GET /silences`, `GET /overrides`
pub async fn list(kind: Kind, call: Call) -> Answer {
    let wanted = call.query.get::<Standing>("state", "`active`, `upcoming` or `expired`")?;
    let mut page = call.page()?;
    let now = call.app.clock.now();
    let mut items = Vec::new();
    // A page may hold less than was asked for, and says how to go on.
    for _ in 0..MOST_PAGES {
        let found = call.app.store.documents(call.tenant(), kind, &page).await;
        let found = found.map_err(|error| store_problem(&call.request, &error))?;
        for document in found.items {
            let view = DocumentView::of(document, &call.request)?.at(now);
            if wanted.is_none_or(|wanted| view.state == Some(wanted.as_str())) {
                items.push(view);
            }
        }
        page.after = found.next;
        if page.after.is_none() || !items.is_empty() {
            break;
        }
    }
    Ok(answer::json(StatusCode::OK, &json!({ "items": items, "nextPageToken": call.sealed(page.after) })))
}
