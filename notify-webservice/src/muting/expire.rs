//! Ending a silence or an override early: a new version that ends now, so that the history keeps what was in force.

use crate::answer;
use crate::app::{Answer, Call, internal, store_problem};
use crate::documents::precondition::IfMatch;
use crate::documents::write::{Settled, put_again};
use crate::documents::{DocumentView, check, not_found};
use http::{StatusCode, header};
use notify_core::document::Kind;
use notify_core::document::scope::Standing;
use notify_core::ids::is_slug;
use notify_core::time::{Timestamp, truncate_to_millis};
use serde_json::Value;

/// `POST /silences/{id}:expire`, `POST /overrides/{id}:expire`. What is over stays as it is.
pub async fn expire(kind: Kind, call: Call) -> Answer {
    let id = call.param("id").to_owned();
    if !is_slug(&id) {
        return not_found(kind, &id);
    }
    let expected = call.header("if-match").map(|_| IfMatch::of(&call)).transpose()?;
    let (store, tenant) = (&call.app.store, call.tenant());
    for _ in 0..crate::documents::write::TRIES {
        let current = store.document(tenant, kind, &id, None).await;
        let current = current.map_err(|error| store_problem(&call.request, &error))?;
        let Some(current) = current.filter(|current| !current.deleted) else { return not_found(kind, &id) };
        if let Some(expected) = expected {
            expected.check(kind, &id, current.version)?;
        }
        let now = truncate_to_millis(call.app.clock.now());
        if super::told(kind.as_str(), &current.body, now).is_some_and(|(state, _)| state == Standing::Expired)
        {
            let view = DocumentView::of(current, &call.request)?.at(now);
            let etag = view.etag();
            let mut response = answer::json(StatusCode::OK, &view);
            answer::set(&mut response, header::ETAG, &etag);
            return Ok(response);
        }
        let value = ended(&current.body, now).map_err(|error| internal(&call.request, &error))?;
        let checked = check::value(kind, &value)?;
        match put_again(kind, &call, &checked, current.version).await? {
            Settled::Done(response) => return Ok(response),
            Settled::Again => {}
        }
    }
    Err(crate::documents::write::too_busy())
}

/// What has not begun ends when it would have begun, and so covers nothing.
fn ended(body: &str, now: Timestamp) -> Result<Value, serde_json::Error> {
    let mut value: Value = serde_json::from_str(body)?;
    let from = value.get("from").and_then(Value::as_str).and_then(|from| from.parse::<Timestamp>().ok());
    let until = from.map_or(now, |from| from.max(now));
    if let Value::Object(members) = &mut value {
        members.insert("until".to_owned(), until.to_string().into());
    }
    Ok(value)
}
