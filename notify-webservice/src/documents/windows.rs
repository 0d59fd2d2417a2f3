//! `GET /calendars/{id}/windows`: what comes next, for people.

use super::not_found;
use super::places::holding;
use crate::answer;
use crate::app::{Answer, Call, internal, store_problem};
use http::StatusCode;
use notify_core::calendar::{CompiledCalendar, time_zone, upcoming};
use notify_core::document::{Calendar, Kind, Version};
use notify_core::ids::is_slug;
use notify_core::problem::{Code, Problem};
use notify_core::time::Timestamp;

/// The next windows of a saved calendar.
pub async fn windows(call: Call) -> Answer {
    let id = call.param("id");
    let from = call.query.get::<Timestamp>("after", "a time like 2026-11-22T08:00:00Z")?;
    let from = from.unwrap_or_else(|| call.app.clock.now());
    let count = call.query.get::<usize>("count", "a number from 1 to 100")?.unwrap_or(5);
    if !(1..=upcoming::MAX_COUNT).contains(&count) {
        let reason = format!("`{count}` is not a number from 1 to {}", upcoming::MAX_COUNT);
        return Err(Problem::new(
            Code::InvalidParameter,
            "count",
            reason,
            "ask for fewer, or for later ones with `after`",
        ));
    }
    let local = call.query.text("timeZone").map(|name| {
        time_zone(name, "timeZone")
            .map_err(|problem| Problem::new(Code::InvalidParameter, "timeZone", problem.reason, problem.fix))
    });
    let local = local.transpose()?;
    if !is_slug(id) {
        return not_found(Kind::Calendar, id);
    }
    let found = call.app.store.document(call.tenant(), Kind::Calendar, id, None).await;
    let found = found.map_err(|error| store_problem(&call.request, &error))?;
    let Some(found) = found.filter(|found| !found.deleted) else { return not_found(Kind::Calendar, id) };
    let document: Calendar =
        serde_json::from_str(&found.body).map_err(|error| internal(&call.request, &error))?;
    let document = Version { version: found.version, digest: found.digest, document };
    // Working out the windows of the widest calendar takes longer than a thread of the runtime should be held.
    let work = move || {
        let compiled = CompiledCalendar::new(&document)?;
        Ok(upcoming::upcoming(&compiled, &document.document, from, count, local.as_ref()))
    };
    let view: Result<_, Problem> =
        holding((), work).await.map_err(|error| internal(&call.request, &error))?;
    Ok(answer::json(StatusCode::OK, &view?))
}
