//! Writing documents. Each write is checked against the configuration it will become part of: the commit carries that
//! configuration's version as a guard and is tried again when another write came first. So no rule can come to refer
//! to a channel that was deleted a moment before.

use super::check::{self, Checked, Parsed};
use super::idempotency::{Idempotent, decorate};
use super::precondition::IfMatch;
use super::{DocumentView, not_found, record, rule_tests};
use crate::answer;
use crate::app::{Answer, Call, internal, store_problem};
use crate::muting;
use crate::muting::impact::{self, Impact};
use http::StatusCode;
use notify_core::document::Kind;
use notify_core::ids::is_slug;
use notify_core::ledger::entry::ConfigAction;
use notify_core::problem::{Code, Problem};
use notify_core::time::truncate_to_millis;
use notify_store::model::Document;
use notify_store::{Commit, Committed, Effect, Guard, Refused, StoreError};
use serde_json::value::to_value;

/// Writes of one tenant are rare; who loses this often meets a flood.
pub(crate) const TRIES: usize = 16;

/// What a try came to.
pub(crate) enum Settled {
    Done(axum::response::Response),
    /// Another write came first: look again.
    Again,
}

/// `POST /{kind}s`
pub async fn create(kind: Kind, call: Call) -> Answer {
    write(kind, &call, |current, id| match current {
        Some(current) if !current.deleted => Err(Problem::new(
            Code::AlreadyExists,
            "/id",
            format!("the {} `{id}` exists, at version {}", kind.as_str(), current.version),
            "replace it with PUT, or choose another id",
        )),
        _ => Ok(ConfigAction::Create),
    })
    .await
}

/// `PUT /{kind}s/{id}`
pub async fn replace(kind: Kind, call: Call) -> Answer {
    let expected = IfMatch::of(&call)?;
    let in_path = call.param("id").to_owned();
    write(kind, &call, |current, id| {
        if id != in_path {
            return Err(Problem::new(
                Code::InvalidParameter,
                "/id",
                format!("the document is `{id}`, the address says `{}`", in_path.escape_default()),
                "an id never changes: create another document and delete this one",
            ));
        }
        match current {
            Some(current) if !current.deleted => {
                expected.check(kind, id, current.version)?;
                Ok(ConfigAction::Replace)
            }
            _ => not_found(kind, id),
        }
    })
    .await
}

/// Decides what a write means for what is current, or refuses it.
async fn write(
    kind: Kind,
    call: &Call,
    decide: impl Fn(Option<&Document>, &str) -> Result<ConfigAction, Problem>,
) -> Answer {
    let repeat = Idempotent::of(call)?;
    let answered = match &repeat {
        Some(repeat) => repeat.answered_before(call).await?,
        None => None,
    };
    if let Some(answer) = answered {
        return Ok(answer);
    }
    let flag = |name| call.query.get::<bool>(name, "`true` or `false`").map(Option::unwrap_or_default);
    // A route knows one of them at most.
    let insists = flag("force")? || flag("confirm")?;
    let checked = check::body(kind, call)?;
    let objections = Objections {
        refusal: rule_tests::refusal(&checked, call).await?,
        impact: impact::of_write(&checked, call).await?,
        insists,
        again: false,
    };
    for _ in 0..TRIES {
        match try_put(kind, call, &checked, &objections, repeat.as_ref(), &decide).await? {
            Settled::Done(response) => return Ok(response),
            Settled::Again => {}
        }
    }
    Err(too_busy())
}

/// What may be said against a document that is right in itself, and whether its author insists.
#[derive(Default)]
struct Objections {
    /// Of a rule's own tests.
    refusal: Option<Problem>,
    /// What a silence would have muted.
    impact: Option<Impact>,
    insists: bool,
    /// It was saved before, and what it names may have gone since.
    again: bool,
}

impl Objections {
    fn to(&self, checked: &Checked, replaced: Option<&Document>) -> Option<Problem> {
        match (&self.impact, &checked.parsed) {
            (Some(impact), Parsed::Silence(silence)) => impact.objection(replaced, silence),
            _ => rule_tests::objection(self.refusal.as_ref(), replaced, checked).cloned(),
        }
    }
}

/// Saves another version of what is current, without asking what may be said against it: it says less than before.
pub(crate) async fn put_again(
    kind: Kind,
    call: &Call,
    checked: &Checked,
    version: u64,
) -> Result<Settled, Problem> {
    let objections = Objections { again: true, ..Objections::default() };
    let decide = |current: Option<&Document>, id: &str| match current {
        Some(current) if !current.deleted => {
            IfMatch::Version(version).check(kind, id, current.version)?;
            Ok(ConfigAction::Replace)
        }
        _ => not_found(kind, id),
    };
    match try_put(kind, call, checked, &objections, None, &decide).await {
        // Somebody else was quicker: the caller looks again.
        Err(problem) if problem.code == Code::PreconditionFailed => Ok(Settled::Again),
        settled => settled,
    }
}

async fn try_put(
    kind: Kind,
    call: &Call,
    checked: &Checked,
    objections: &Objections,
    repeat: Option<&Idempotent>,
    decide: &impl Fn(Option<&Document>, &str) -> Result<ConfigAction, Problem>,
) -> Result<Settled, Problem> {
    let (store, tenant) = (&call.app.store, call.tenant());
    let failed = |error| store_problem(&call.request, &error);
    // Read before everything else: what changes after this is noticed by the guard.
    let configuration = store.config_version(tenant).await.map_err(failed)?;
    let current = store.document(tenant, kind, &checked.id, None).await.map_err(failed)?;
    super::built_in::not_written(kind, &checked.id, current.as_ref())?;
    let action = decide(current.as_ref(), &checked.id)?;
    if action == ConfigAction::Create {
        // Counted at the configuration that the commit is guarded with, so two creations cannot both be the last.
        room_for_one_more(kind, call).await?;
        muting::not_over(kind, &checked.body, call.app.clock.now())?;
    }
    if !objections.again {
        check::against(kind, checked, call).await?;
    }
    // A document that was deleted is no measure of what only switches it.
    let replaced = current.as_ref().filter(|current| !current.deleted);
    let forced: Vec<Problem> = objections.to(checked, replaced).into_iter().collect();
    if let (false, Some(refusal)) = (objections.insists, forced.first()) {
        return match &objections.impact {
            Some(impact) => Ok(Settled::Done(impact.refused(refusal, call))),
            None => Err(refusal.clone()),
        };
    }

    let at = truncate_to_millis(call.app.clock.now());
    let version = current.as_ref().map_or(0, |current| current.version).saturating_add(1);
    let overridden = forced.iter().map(|problem| problem.code.to_string()).collect();
    let (digest, body) = (&checked.digest, &checked.body);
    let recorded = record::config(&call.caller, kind, &checked.id, version, action, digest, body, overridden)
        .map_err(|error| internal(&call.request, &error))?;
    let document = Document {
        kind,
        id: checked.id.clone(),
        version,
        digest: checked.digest.clone(),
        body: checked.body.clone(),
        created_at: at,
        deleted: false,
    };
    let view = DocumentView { forced, ..DocumentView::of(document, &call.request)?.at(at) };
    let view = to_value(&view).map_err(|error| internal(&call.request, &error))?;
    let status = if action == ConfigAction::Create { StatusCode::CREATED } else { StatusCode::OK };

    let put = Effect::PutDocument {
        kind,
        id: checked.id.clone(),
        digest: checked.digest.clone(),
        body: checked.body.clone(),
        at,
    };
    let mut effects = vec![put];
    effects.extend(recorded.openings.into_iter().map(Effect::KeepOpening));
    let existing = current.filter(|current| !current.deleted).map(|current| current.version);
    let mut commit = Commit::new(tenant.clone(), effects, vec![recorded.entry])
        .guarded(Guard::ConfigVersion(configuration))
        .guarded(Guard::DocumentVersion { kind, id: checked.id.clone(), expected: existing });
    let body = view.to_string();
    commit.bookkeeping.extend(repeat.map(|repeat| repeat.remember(status, &body, at)));
    let done = match settle(call, commit).await? {
        Some(done) => done,
        // Also when this very request was sent twice at once: the next try finds its answer.
        None => {
            return match repeat {
                Some(repeat) => Ok(repeat.answered_before(call).await?.map_or(Settled::Again, Settled::Done)),
                None => Ok(Settled::Again),
            };
        }
    };
    if done.versions != [version] {
        // The answer names the version: a wrong one would make the next `If-Match` lie.
        return Err(internal(&call.request, &format!("version {version} became {:?}", done.versions)));
    }
    let mut response = answer::bytes(status, "application/json", body.into_bytes());
    decorate(&mut response, &view);
    Ok(Settled::Done(response))
}

async fn room_for_one_more(kind: Kind, call: &Call) -> Result<(), Problem> {
    let limits = &call.app.limits;
    let most = match kind {
        Kind::Rule => limits.tenant_rules,
        Kind::Channel => limits.tenant_channels,
        Kind::Template => limits.tenant_templates,
        Kind::Bundle => limits.tenant_bundles,
        Kind::EventType => limits.tenant_event_types,
        Kind::Calendar | Kind::Contact | Kind::Silence | Kind::Inhibition | Kind::Override | Kind::Policy => {
            limits.tenant_noise_documents
        }
    };
    let count = call.app.store.document_count(call.tenant(), kind).await;
    let count = count.map_err(|error| store_problem(&call.request, &error))?;
    if count < most {
        return Ok(());
    }
    let which = if matches!(kind, Kind::Silence | Kind::Override) {
        "that have expired (`?state=expired`)"
    } else {
        "that are not needed"
    };
    Err(Problem::new(
        Code::LimitReached,
        "",
        format!("the tenant has {count} {}s; it may have {most}", kind.as_str()),
        format!(
            "delete {}s {which}, or let the operator raise `limits.tenant_{}s`",
            kind.as_str(),
            if Kind::NOISE.contains(&kind) {
                "noise_document".to_owned()
            } else {
                kind.as_str().replace('-', "_")
            }
        ),
    ))
}

/// `DELETE /{kind}s/{id}`
pub async fn delete(kind: Kind, call: Call) -> Answer {
    let expected = IfMatch::of(&call)?;
    let id = call.param("id");
    if !is_slug(id) {
        return not_found(kind, id);
    }
    let (store, tenant) = (&call.app.store, call.tenant());
    let failed = |error| store_problem(&call.request, &error);
    for _ in 0..TRIES {
        let configuration = store.config_version(tenant).await.map_err(failed)?;
        let current = store.document(tenant, kind, id, None).await.map_err(failed)?;
        let Some(current) = current.filter(|current| !current.deleted) else {
            super::built_in::not_deleted(kind, id)?;
            return not_found(kind, id);
        };
        expected.check(kind, id, current.version)?;
        // Where the built-in one takes its place, nobody is left with a name of nothing.
        if !super::built_in::is_it(kind, id) {
            check::unused(kind, id, &call).await?;
        }
        let (version, action) = (current.version, ConfigAction::Delete);
        let recorded =
            record::config(&call.caller, kind, id, version, action, &current.digest, &current.body, vec![])
                .map_err(|error| internal(&call.request, &error))?;
        let at = truncate_to_millis(call.app.clock.now());
        let mut effects = vec![Effect::DeleteDocument { kind, id: id.to_owned(), at }];
        effects.extend(recorded.openings.into_iter().map(Effect::KeepOpening));
        let commit = Commit::new(tenant.clone(), effects, vec![recorded.entry])
            .guarded(Guard::ConfigVersion(configuration))
            .guarded(Guard::DocumentVersion { kind, id: id.to_owned(), expected: Some(current.version) });
        if settle(&call, commit).await?.is_some() {
            return Ok(answer::empty(StatusCode::NO_CONTENT));
        }
    }
    Err(too_busy())
}

/// Commits; `None` when something was written in between.
async fn settle(call: &Call, commit: Commit) -> Result<Option<Committed>, Problem> {
    match call.app.commit(commit).await {
        Ok(done) => {
            call.app.intake.configuration_changed(call.tenant());
            call.app.engine.configuration_changed(call.tenant());
            Ok(Some(done))
        }
        Err(StoreError::Refused(
            Refused::ConfigChanged { .. } | Refused::DocumentChanged { .. } | Refused::IdempotencyTaken,
        )) => Ok(None),
        Err(error) => Err(store_problem(&call.request, &error)),
    }
}

pub(crate) fn too_busy() -> Problem {
    Problem::new(
        Code::Unavailable,
        "",
        "the tenant's configuration is being changed too quickly by others",
        "try again in a moment",
    )
}
