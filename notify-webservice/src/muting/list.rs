//! Lists of silences and overrides, by how they stand.

use crate::answer;
use crate::app::{Answer, Call, store_problem};
use crate::documents::DocumentView;
use http::StatusCode;
use notify_core::document::Kind;
use notify_core::document::scope::Standing;
use serde_json::json;
use std::str::FromStr;

/// Pages of the store that are searched for one that stands as wanted.
const MOST_PAGES: usize = 20;

/// Which ones are asked for.
#[derive(Clone, Copy)]
enum Wanted {
    /// What is active or will be: what nobody asks otherwise is not buried under what is over.
    Current,
    All,
    Only(Standing),
}

impl FromStr for Wanted {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "all" { Ok(Self::All) } else { text.parse().map(Self::Only) }
    }
}

impl Wanted {
    fn is(self, state: Option<&str>) -> bool {
        match self {
            Self::All => true,
            Self::Current => state != Some(Standing::Expired.as_str()),
            Self::Only(wanted) => state == Some(wanted.as_str()),
        }
    }
}

/// `GET /silences`, `GET /overrides`
pub async fn list(kind: Kind, call: Call) -> Answer {
    let wanted = call.query.get::<Wanted>("state", "`active`, `upcoming`, `expired` or `all`")?;
    let wanted = wanted.unwrap_or(Wanted::Current);
    let mut page = call.page()?;
    let now = call.app.clock.now();
    let mut items = Vec::new();
    // A page may hold less than was asked for, and says how to go on.
    for _ in 0..MOST_PAGES {
        let found = call.app.store.documents(call.tenant(), kind, &page).await;
        let found = found.map_err(|error| store_problem(&call.request, &error))?;
        for document in found.items {
            let view = DocumentView::of(document, &call.request)?.at(now);
            if wanted.is(view.state) {
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
