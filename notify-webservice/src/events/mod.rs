//! Intake over HTTP: CloudEvents in structured, batch and binary mode, and Alertmanager's webhook.

pub mod alertmanager;
pub mod prometheus;
pub mod read;
pub mod signed;

use crate::answer;
use crate::app::{Answer, Call};
use crate::engine::{Accepted, BoxFuture};
use futures_util::future::join_all;
use http::StatusCode;
use notify_core::event::{Event, Mode};
use notify_core::problem::{Code, Problem};
use notify_core::time::rfc3339_millis;
use serde_json::{Map, Value, json};

/// `POST /api/v1/events`
pub async fn publish(call: Call) -> Answer {
    let (tenant, limits) = (call.tenant(), &call.app.limits.events);
    match Mode::of(call.header("content-type"))? {
        Mode::Structured => one(&call, Event::structured(tenant, &call.body, limits)?).await,
        Mode::Binary => {
            let headers = call.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
            one(&call, Event::binary(tenant, headers, &call.body, limits)?).await
        }
        Mode::Batch => batch(&call, Event::batch(tenant, &call.body, limits)?).await,
    }
}

async fn one(call: &Call, event: Event) -> Answer {
    call.app.intake.gate(call.tenant()).await?.admit(&event)?;
    let id = event.id.clone();
    let accepted = call.app.engine.accept(event).await?;
    Ok(answer::json(StatusCode::ACCEPTED, &fate(None, Some(&id), &Ok(accepted))))
}

/// Events whose form was checked one by one; `Err` is refused already.
pub type Checked = Vec<Result<Event, Problem>>;

/// Hands all events over in their order, then waits for all: they share commits.
async fn batch(call: &Call, events: Checked) -> Answer {
    let fates = accept_all(call, events, "").await?;
    Ok(multi_status(call, &fates, StatusCode::MULTI_STATUS))
}

/// The engine's answer to come.
type Pending = BoxFuture<Result<Accepted, Problem>>;

/// One event's place, its `id` when it could be read, and what came of it.
struct Fate {
    id: Option<String>,
    outcome: Result<Accepted, Problem>,
}

/// `place` is where the events stand in the body, as a pointer.
async fn accept_all(call: &Call, events: Checked, place: &str) -> Result<Vec<Fate>, Problem> {
    let gate = call.app.intake.gate(call.tenant()).await?;
    let admitted = events.into_iter().enumerate().map(|(index, event)| {
        let event = event?;
        gate.admit(&event).map_err(|problem| problem.under(&format!("{place}/{index}")))?;
        Ok(event)
    });
    let pending: Vec<(Option<String>, Pending)> = admitted
        .map(|event| match event {
            Ok(event) => {
                let id = event.id.clone();
                (Some(id), call.app.engine.accept(event))
            }
            Err(problem) => {
                let refused: Pending = Box::pin(std::future::ready(Err(problem)));
                (None, refused)
            }
        })
        .collect();
    let outcomes = pending.into_iter().map(|(id, outcome)| async { Fate { id, outcome: outcome.await } });
    Ok(join_all(outcomes).await)
}

/// 202 when every event is durable. Otherwise `mixed`, or the first problem's own status when none is.
fn multi_status(call: &Call, fates: &[Fate], mixed: StatusCode) -> axum::response::Response {
    let items: Vec<_> = fates
        .iter()
        .enumerate()
        .map(|(index, each)| fate(Some(index), each.id.as_deref(), &each.outcome))
        .collect();
    let refused = fates.iter().filter(|each| each.outcome.is_err()).count();
    let duplicates = fates.iter().filter(|each| each.outcome.as_ref().is_ok_and(|ok| ok.duplicate)).count();
    let accepted = fates.len() - refused - duplicates;
    let counts = json!({
        "accepted": accepted, "duplicates": duplicates, "refused": refused, "items": items,
    });
    if refused == 0 {
        return answer::json(StatusCode::ACCEPTED, &counts);
    }
    if refused < fates.len() && mixed == StatusCode::MULTI_STATUS {
        return answer::json(mixed, &counts);
    }
    // What can be cured by sending again comes first: the sender must not give up.
    let problems = || fates.iter().filter_map(|each| each.outcome.as_ref().err());
    let first = problems().find(|problem| problem.code.status() >= 500).or_else(|| problems().next());
    let first = first.cloned().unwrap_or_else(answer::internal);
    let mut document = answer::problem_document(&first, Some(&call.request));
    if let (Value::Object(out), Value::Object(counts)) = (&mut document, counts) {
        out.insert(
            "detail".into(),
            format!("{refused} of {} events were refused: {}", fates.len(), first.reason).into(),
        );
        out.extend(counts);
    }
    let status = StatusCode::from_u16(first.code.status()).unwrap_or(mixed);
    let mut response = answer::bytes(status, "application/problem+json", document.to_string().into_bytes());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer::set(&mut response, http::header::RETRY_AFTER, "1");
    }
    response
}

/// What became of one event, as answers say it.
pub fn fate(index: Option<usize>, id: Option<&str>, outcome: &Result<Accepted, Problem>) -> Value {
    let mut out = Map::new();
    if let Some(index) = index {
        out.insert("index".into(), index.into());
    }
    if let Some(id) = id {
        out.insert("id".into(), id.into());
    }
    match outcome {
        Ok(accepted) => {
            out.insert("key".into(), accepted.key.as_str().into());
            out.insert("status".into(), if accepted.duplicate { "duplicate" } else { "accepted" }.into());
            out.insert("acceptedAt".into(), rfc3339_millis(accepted.accepted_at).into());
        }
        Err(problem) => {
            out.insert("status".into(), "refused".into());
            out.insert("problem".into(), answer::problem_document(problem, None));
        }
    }
    Value::Object(out)
}

fn unsupported(found: &str, offered: &str) -> Problem {
    let reason = if found.is_empty() {
        "the request does not say its content type".to_owned()
    } else {
        format!("`{}` is not accepted here", found.escape_default())
    };
    Problem::new(Code::UnsupportedMediaType, "content-type", reason, format!("send {offered}"))
}
