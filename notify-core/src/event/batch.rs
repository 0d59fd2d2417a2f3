//! Batched mode: a JSON array of events, each with a fate of its own.

use super::{Event, EventLimits, structured};
use crate::ids::TenantId;
use crate::json::JsonFault;
use crate::problem::{Code, Problem};
use serde_json::value::RawValue;

pub(super) fn parse(
    tenant: &TenantId,
    bytes: &[u8],
    limits: &EventLimits,
) -> Result<Vec<Result<Event, Problem>>, Problem> {
    if bytes.len() > limits.max_batch_bytes {
        return Err(JsonFault::TooLarge { actual: bytes.len(), limit: limits.max_batch_bytes }.into());
    }
    // Only finds where each element begins and ends (without recursion); each is then read strictly on its own, so
    // that one bad event does not take the others with it.
    let items: Vec<&RawValue> = serde_json::from_slice(bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let reason = format!("the body is not a JSON array of events (line {line}, column {column})");
        let fix = "send `[event, …]`; a single event goes with `Content-Type: application/cloudevents+json`";
        Problem::new(Code::MalformedJson, "", reason, fix)
    })?;
    if items.len() > limits.max_batch_events {
        return Err(too_many("events", items.len(), limits));
    }
    let one = |(index, item): (usize, &&RawValue)| {
        structured::parse(tenant, item.get().as_bytes(), limits)
            .map_err(|problem| problem.under(&format!("/{index}")))
    };
    Ok(items.iter().enumerate().map(one).collect())
}

pub(super) fn too_many(what: &str, count: usize, limits: &EventLimits) -> Problem {
    let reason = format!("the body has {count} {what}, more than the {} allowed", limits.max_batch_events);
    Problem::new(Code::TooLarge, "", reason, "send them in several requests")
}
