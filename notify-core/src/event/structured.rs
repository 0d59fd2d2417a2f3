//! The JSON event format (CloudEvents JSON format 1.0.2).

use super::{Event, EventLimits, verifiable};
use crate::ids::TenantId;
use crate::json;
use crate::problem::{Code, Problem};
use serde_json::Value;

pub(super) fn parse(tenant: &TenantId, bytes: &[u8], limits: &EventLimits) -> Result<Event, Problem> {
    let value = json::parse(bytes, limits.json())?;
    let signed = value.get("dssematerial").is_some_and(|material| !material.is_null());
    let signed_data = if signed { verifiable::data_of_json(bytes, &value) } else { vec![] };
    Ok(Event { signed_data, ..from_value(tenant, value, limits)? })
}

pub(super) fn from_value(tenant: &TenantId, value: Value, limits: &EventLimits) -> Result<Event, Problem> {
    let fault =
        |path: &str, reason: &str, fix: &str| Err(Problem::new(Code::InvalidEvent, path, reason, fix));
    let Value::Object(members) = &value else {
        return fault(
            "",
            "an event is a JSON object",
            "send one object with `specversion`, `id`, `source` and `type`",
        );
    };
    if let Some(Value::Null) | None = members.get("data_base64") {
        return Event::build(tenant, value, limits);
    }
    if members.get("data").is_some_and(|data| !data.is_null()) {
        return fault("/data_base64", "the event has both `data` and `data_base64`", "send one of them");
    }
    let encoded = members.get("data_base64").and_then(Value::as_str);
    if !encoded.is_some_and(super::binary::is_base64) {
        let fix = "use the standard alphabet with padding (RFC 4648 section 4)";
        return fault("/data_base64", "`data_base64` is not base64 text", fix);
    }
    Event::build(tenant, value, limits)
}
