//! `POST /digests:preview`: what several events would look like as one message.

use crate::answer;
use crate::app::{Answer, Call};
use crate::documents::preview::{members, unsaved_rule};
use crate::engine::DigestAsked;
use http::StatusCode;
use notify_core::event::Event;
use notify_core::ids::{ActionId, RuleId};
use notify_core::problem::{Code, Problem};
use serde_json::Value;

/// Events of one preview.
const EVENTS: usize = 1_000;
/// Why there can be a digest.
const CONTROLS: [&str; 6] = ["digest", "throttle", "quiet-hours", "maintenance", "storm", "budget"];

fn invalid(path: &str, reason: impl Into<String>, fix: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidParameter, path, reason, fix)
}

/// `POST /digests:preview`
pub async fn preview(call: Call) -> Answer {
    let mut members = members(&call, &["rule", "action", "control", "events"])?;
    let (rule, unsaved) = match members.remove("rule") {
        Some(Value::String(id)) => {
            let id: RuleId = id.parse().map_err(|_| {
                invalid("/rule", format!("`{}` is not a rule id", id.escape_default()), "name a saved rule")
            })?;
            (id, None)
        }
        Some(document) => {
            let rule = unsaved_rule(&call, document).await.map_err(|problem| problem.under("/rule"))?;
            (rule.id.clone(), Some(rule))
        }
        None => {
            return Err(invalid(
                "/rule",
                "there is no rule",
                "send the id of a saved rule, or a rule document",
            ));
        }
    };
    let text = |value: Option<Value>, path: &str| match value {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid(path, "this is no text", "send a text")),
    };
    let action = match text(members.remove("action"), "/action")? {
        None => None,
        Some(action) => Some(action.parse::<ActionId>().map_err(|_| {
            invalid(
                "/action",
                format!("`{}` is not an action id", action.escape_default()),
                "name an action of the rule",
            )
        })?),
    };
    let control = text(members.remove("control"), "/control")?.unwrap_or_else(|| "digest".to_owned());
    let Some(control) = CONTROLS.into_iter().find(|known| *known == control) else {
        let reason = format!("`{}` collects no alerts", control.escape_default());
        return Err(invalid("/control", reason, format!("there are {}", CONTROLS.join(", "))));
    };
    let Some(Value::Array(values)) = members.remove("events") else {
        return Err(invalid("/events", "there is no list of events", "send CloudEvents as `events`"));
    };
    if values.len() > EVENTS {
        let reason = format!("{} events are more than the {EVENTS} of a preview", values.len());
        return Err(invalid("/events", reason, "send fewer: a digest shows only some anyway"));
    }
    let mut events = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let event = Event::from_value(call.tenant(), value, &call.app.limits.events);
        events.push(event.map_err(|problem| problem.under(&format!("/events/{index}")))?);
    }
    let asked = DigestAsked { tenant: call.tenant().clone(), rule, unsaved, action, control, events };
    let preview = call.engine_in_turn(|engine| engine.preview_digest(asked)).await??;
    Ok(answer::json(StatusCode::OK, &preview))
}
