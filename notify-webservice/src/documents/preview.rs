//! Trying out: what an event would cause.

use super::check::{self, Parsed};
use crate::answer;
use crate::app::{Answer, Call};
use http::StatusCode;
use notify_core::document::{Kind, Rule};
use notify_core::event::Event;
use notify_core::json::Limits;
use notify_core::problem::{Code, Problem};
use notify_core::yaml;
use serde_json::{Map, Value};

/// The members of a request, each known by name.
pub(crate) fn members(call: &Call, known: &[&str]) -> Result<Map<String, Value>, Problem> {
    let limits = Limits { max_bytes: call.app.limits.document_bytes, ..yaml::DOCUMENT_LIMITS };
    let Value::Object(members) = yaml::parse_document(&call.body, call.header("content-type"), limits)?
    else {
        return Err(Problem::new(
            Code::InvalidParameter,
            "",
            "the request is no object",
            format!("send an object with {}", known.join(" and ")),
        ));
    };
    match members.keys().find(|key| !known.contains(&key.as_str())) {
        None => Ok(members),
        Some(unknown) => Err(Problem::new(
            Code::UnknownField,
            format!("/{}", notify_core::json::pointer_token(unknown)),
            format!("`{}` is not known here", unknown.escape_default()),
            format!("known: {}", known.join(", ")),
        )),
    }
}

pub(super) fn event(call: &Call, members: &mut Map<String, Value>) -> Result<Event, Problem> {
    let value = members.remove("event").ok_or_else(|| {
        Problem::new(Code::InvalidParameter, "/event", "there is no event", "send a CloudEvent as `event`")
    })?;
    Event::from_value(call.tenant(), value, &call.app.limits.events)
        .map_err(|problem| problem.under("/event"))
}

/// `POST /rules:preview`
pub async fn preview(call: Call) -> Answer {
    let mut members = members(&call, &["event", "rule"])?;
    let rule = match members.remove("rule") {
        None => None,
        Some(value) => Some(unsaved_rule(&call, value).await.map_err(|problem| problem.under("/rule"))?),
    };
    let event = event(&call, &mut members)?;
    let preview = call.engine_in_turn(|engine| engine.preview(rule, event)).await??;
    Ok(answer::json(StatusCode::OK, &preview))
}

/// A rule that passes every check of one that is saved.
pub(crate) async fn unsaved_rule(call: &Call, value: Value) -> Result<Rule, Problem> {
    let checked = call.in_turn(move || check::value(Kind::Rule, &value)).await??;
    check::against(Kind::Rule, &checked, call).await?;
    match checked.parsed {
        Parsed::Rule(rule) => Ok(*rule),
        _ => Err(answer::internal()),
    }
}
