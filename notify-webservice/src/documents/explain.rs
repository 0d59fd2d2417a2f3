//! Why a rule matches an event or does not, and which rules come near it.

use super::not_found;
use super::preview::{event, members};
use crate::answer;
use crate::app::{Answer, Call, internal, store_problem};
use http::StatusCode;
use notify_core::document::{Kind, Rule};
use notify_core::ids::is_slug;
use notify_core::plan::{MAX_NEAREST, NEAREST};
use notify_core::problem::{Code, Problem};
use serde_json::json;

/// `POST /rules/{id}:explain`
pub async fn one(call: Call) -> Answer {
    let id = call.param("id");
    if !is_slug(id) {
        return not_found(Kind::Rule, id);
    }
    let version = call.query.get::<u64>("version", "a version number")?;
    let event = event(&call, &mut members(&call, &["event"])?)?;
    let found = call.app.store.document(call.tenant(), Kind::Rule, id, version).await;
    let found = found.map_err(|error| store_problem(&call.request, &error))?;
    let Some(document) = found.filter(|document| version.is_some() || !document.deleted) else {
        return not_found(Kind::Rule, id);
    };
    let rule: Rule = serde_json::from_str(&document.body).map_err(|error| internal(&call.request, &error))?;
    // It compiled when it was saved.
    let pattern = rule.pattern().map_err(|error| internal(&call.request, &error))?;
    // A large event and a large pattern together take a while.
    let explanation = call.in_turn(move || pattern.explain(&event.value)).await?;
    let answer = json!({
        "rule": id, "version": document.version, "enabled": rule.enabled,
        "matched": explanation.matched, "sentence": explanation.sentence, "explanation": explanation,
    });
    Ok(answer::json(StatusCode::OK, &answer))
}

/// `POST /rules:explain`
pub async fn all(call: Call) -> Answer {
    let expected = "a number from 0 to 20";
    let nearest = call.query.get::<usize>("nearest", expected)?.unwrap_or(NEAREST);
    if nearest > MAX_NEAREST {
        let reason = format!("`{nearest}` is not {expected}");
        return Err(Problem::new(Code::InvalidParameter, "nearest", reason, format!("give {expected}")));
    }
    let event = event(&call, &mut members(&call, &["event"])?)?;
    let explained = call.engine_in_turn(|engine| engine.explain(event, nearest)).await??;
    Ok(answer::json(StatusCode::OK, &explained))
}
