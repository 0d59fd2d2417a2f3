//! `POST /rules:apply`: saved rules brought in line with files, all of them or none, in one commit.
//!
//! What is heavy (reading, checking and comparing thousands of rules) runs on a thread of its own. Two such requests
//! are worked on at once in a process, one of a tenant ([`super::places`]), and what is worked on holds its place.

mod compare;
mod request;

use super::places::{Place, holding};
use super::record;
use crate::answer;
use crate::app::{Answer, App, Call, internal, store_problem};
use axum::response::Response;
use compare::{Act, Plan, Verdicts, View, World};
use http::StatusCode;
use notify_core::document::Kind;
use notify_core::ledger::entry::ConfigAction;
use notify_core::problem::{Code, Problem};
use notify_core::time::truncate_to_millis;
use notify_store::{Commit, Committed, Effect, Guard, Refused, StoreError};
use request::Request;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

/// Others may write meanwhile; each try compares everything anew.
const TRIES: usize = 4;
/// Problems that are told of one request.
const TOLD: usize = 200;

/// Why nothing was applied.
enum Refusal {
    One(Problem),
    /// At least one; every rule's are among them.
    Many(Vec<Problem>),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::One(problem)
    }
}

/// `POST /rules:apply`
pub async fn apply(call: Call) -> Answer {
    match try_apply(&call).await {
        Ok(response) => Ok(response),
        Err(Refusal::One(problem)) => Err(problem),
        Err(Refusal::Many(problems)) => Ok(refused(&problems, &call.request)),
    }
}

async fn try_apply(call: &Call) -> Result<Response, Refusal> {
    let (limits, body) = (call.app.limits.clone(), call.body.clone());
    let media = call.header("content-type").map(str::to_owned);
    let request = off_the_runtime(call, move || request::read(&body, media.as_deref(), &limits)).await??;
    let mut request = Some((request, Verdicts::default()));
    for _ in 0..TRIES {
        let Some(asked) = request.take() else { break };
        let (asked, verdicts, plan) = compared(call, asked).await?;
        if plan.is_nothing() || asked.dry_run {
            return Ok(shown(call, &asked, plan, None).await?);
        }
        let before = plan.config_version;
        match commit(call, plan).await? {
            Outcome::Done(plan, after) => return Ok(shown(call, &asked, plan, Some(after)).await?),
            Outcome::Changed if asked.if_config_version == Some(before) => {
                return Err(moved_on(before).into());
            }
            Outcome::Changed => request = Some((asked, verdicts)),
        }
    }
    Err(Problem::new(
        Code::Unavailable,
        "",
        "the tenant's configuration is being changed too quickly by others",
        "try again in a moment",
    )
    .into())
}

async fn compared(
    call: &Call,
    (asked, mut verdicts): (Request, Verdicts),
) -> Result<(Request, Verdicts, Plan), Refusal> {
    let (store, tenant) = (&call.app.store, call.tenant());
    let failed = |error| store_problem(&call.request, &error);
    // The configuration first: what changes after it is noticed by the guard.
    let configuration = store.configuration(tenant).await.map_err(failed)?;
    if let Some(expected) = asked.if_config_version
        && expected != configuration.version
    {
        return Err(moved_on(expected).into());
    }
    let deleted = store.deleted_documents(tenant, Kind::Rule).await.map_err(failed)?;
    let most = call.app.limits.tenant_rules;
    let document_bytes = call.app.limits.document_bytes;
    let compared = off_the_runtime(call, move || {
        let world = World::of(configuration, deleted);
        let plan = compare::plan(&asked, &world, &mut verdicts, most, document_bytes);
        plan.map(|plan| (asked, verdicts, plan))
    });
    compared.await?.map_err(Refusal::Many)
}

fn moved_on(expected: u64) -> Problem {
    Problem::new(
        Code::PreconditionFailed,
        "/ifConfigVersion",
        format!("the tenant's configuration is no longer at version {expected}"),
        "compare again with `dryRun`, and apply what that shows",
    )
}

enum Outcome {
    /// With the configuration's version after it.
    Done(Plan, u64),
    Changed,
}

async fn commit(call: &Call, plan: Plan) -> Result<Outcome, Problem> {
    let at = truncate_to_millis(call.app.clock.now());
    let (tenant, caller) = (call.tenant().clone(), Arc::clone(&call.caller));
    let request = call.request.clone();
    let (plan, commit) = off_the_runtime(call, move || {
        let (mut effects, mut entries) = (Vec::new(), Vec::new());
        for change in plan.changes() {
            let (id, version) = (&change.id, change.version);
            let (action, digest, body) = match &change.act {
                Act::Create { digest, body } => (ConfigAction::Create, digest, body),
                Act::Replace { digest, body, .. } => (ConfigAction::Replace, digest, body),
                Act::Delete { digest, body } => (ConfigAction::Delete, digest, body),
                Act::Keep => continue,
            };
            let forced = change.forced.iter().map(|problem| problem.code.to_string()).collect();
            let recorded = record::config(&caller, Kind::Rule, id, version, action, digest, body, forced);
            let recorded = recorded.map_err(|error| internal(&request, &error))?;
            effects.push(match action {
                ConfigAction::Delete => Effect::DeleteDocument { kind: Kind::Rule, id: id.clone(), at },
                _ => Effect::PutDocument {
                    kind: Kind::Rule,
                    id: id.clone(),
                    digest: digest.clone(),
                    body: body.clone(),
                    at,
                },
            });
            effects.extend(recorded.openings.into_iter().map(Effect::KeepOpening));
            entries.push(recorded.entry);
        }
        let commit = Commit::new(tenant, effects, entries).guarded(Guard::ConfigVersion(plan.config_version));
        Ok::<_, Problem>((plan, commit))
    })
    .await??;
    let (app, place) = (Arc::clone(&call.app), call.place.clone());
    // A sender that goes away does not take the news of the change with it.
    let settled = tokio::spawn(settle(app, commit, place)).await;
    let done = match settled.map_err(|error| internal(&call.request, &error))? {
        Ok(done) => done,
        Err(StoreError::Refused(Refused::ConfigChanged { .. } | Refused::DocumentChanged { .. })) => {
            return Ok(Outcome::Changed);
        }
        Err(error) => return Err(store_problem(&call.request, &error)),
    };
    let saved =
        plan.changes().filter(|change| matches!(change.act, Act::Create { .. } | Act::Replace { .. }));
    if !saved.map(|change| change.version).eq(done.versions.iter().copied()) {
        // The answer and the ledger name the versions: a wrong one would make the next `If-Match` lie.
        return Err(internal(&call.request, &"versions came out differently than they were recorded"));
    }
    let after = done.config_version.unwrap_or(plan.config_version);
    Ok(Outcome::Done(plan, after))
}

async fn settle(app: Arc<App>, commit: Commit, _place: Option<Arc<Place>>) -> Result<Committed, StoreError> {
    let tenant = commit.tenant.clone();
    let done = app.commit(commit).await?;
    app.intake.configuration_changed(&tenant);
    app.engine.configuration_changed(&tenant);
    Ok(done)
}

/// The answer, written without a copy of everything in between.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Applied {
    set: String,
    dry_run: bool,
    applied: bool,
    config_version: u64,
    created: usize,
    changed: usize,
    deleted: usize,
    unchanged: usize,
    rules: Vec<View>,
}

/// `after`: the configuration's version once it was applied.
async fn shown(call: &Call, asked: &Request, plan: Plan, after: Option<u64>) -> Result<Response, Problem> {
    let (set, dry_run) = (asked.set.clone(), asked.dry_run);
    let body = off_the_runtime(call, move || {
        let counts = plan.counts();
        let config_version = after.unwrap_or(plan.config_version);
        let rules = plan.into_views();
        let answer = Applied {
            set,
            dry_run,
            applied: after.is_some(),
            config_version,
            created: counts.created,
            changed: counts.changed,
            deleted: counts.deleted,
            unchanged: counts.unchanged,
            rules,
        };
        answer::json(StatusCode::OK, &answer)
    });
    body.await
}

/// Every problem in one document: the first as itself, and all of them as `problems`.
fn refused(problems: &[Problem], request: &str) -> Response {
    let Some(first) = problems.first() else { return answer::problem(&answer::internal(), Some(request)) };
    let status = StatusCode::from_u16(first.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut body = answer::problem_document(first, Some(request));
    let told: Vec<Value> =
        problems.iter().take(TOLD).map(|problem| answer::problem_document(problem, None)).collect();
    if let Value::Object(members) = &mut body {
        members.insert("problems".to_owned(), told.into());
        members.insert("problemCount".to_owned(), problems.len().into());
    }
    answer::bytes(status, "application/problem+json", body.to_string().into_bytes())
}

async fn off_the_runtime<T: Send + 'static>(
    call: &Call,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    holding(call.place.clone(), work).await.map_err(|error| internal(&call.request, &error))
}
