//! Whether a document may be saved: its form, its own meaning, and what it refers to.

use crate::app::{Call, store_problem};
use crate::muting;
use notify_core::document::channel::is_builtin_channel;
use notify_core::document::parse as document;
use notify_core::document::scope::Scope;
use notify_core::document::{
    Bundle, Channel, EventType, Inhibition, Kind, Override, Rule, Silence, Template,
};
use notify_core::json::Limits;
use notify_core::problem::{Code, Problem};
use notify_core::{render, yaml};
use notify_store::model::{Document, Page};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashSet;

/// Rows read at once when all documents of a kind are looked through.
const PAGE: u32 = 500;
/// Users named when something cannot be deleted.
const NAMED: usize = 5;

/// A document that is right by itself.
#[derive(Debug, Clone)]
pub struct Checked {
    pub id: String,
    /// JSON with defaults filled in.
    pub body: String,
    /// `sha256:…` over the RFC 8785 form.
    pub digest: String,
    pub parsed: Parsed,
}

/// By kind.
#[derive(Debug, Clone)]
pub enum Parsed {
    Rule(Box<Rule>),
    Channel(Box<Channel>),
    Template(Box<Template>),
    Bundle(Box<Bundle>),
    EventType(Box<EventType>),
    Silence(Box<Silence>),
    Inhibition(Box<Inhibition>),
    Override(Box<Override>),
    /// A calendar, contact or policy.
    Noise,
}

/// The body of a write, YAML or JSON as its content type says.
///
/// # Errors
/// The first problem.
pub fn body(kind: Kind, call: &Call) -> Result<Checked, Problem> {
    let limits = Limits { max_bytes: call.app.limits.document_bytes, ..yaml::DOCUMENT_LIMITS };
    let mut document = yaml::parse_document(&call.body, call.header("content-type"), limits)?;
    muting::begin_now(kind, &mut document, call.app.clock.now());
    value(kind, &document)
}

/// A document that was read.
///
/// # Errors
/// The first problem, with its place.
pub fn value(kind: Kind, value: &Value) -> Result<Checked, Problem> {
    let (id, body, digest, parsed) = match kind {
        Kind::Rule => {
            let (rule, body, digest) = document::parse_rule(value)?;
            rule.pattern()?;
            (rule.id.to_string(), body, digest, Parsed::Rule(Box::new(rule)))
        }
        Kind::Channel => {
            let (channel, body, digest) = document::parse_channel(value)?;
            (channel.id.to_string(), body, digest, Parsed::Channel(Box::new(channel)))
        }
        Kind::Template => {
            let (template, body, digest) = document::parse_template(value)?;
            render::validate_template(&template, &[])?;
            (template.id.to_string(), body, digest, Parsed::Template(Box::new(template)))
        }
        Kind::Bundle => {
            let (bundle, body, digest) = document::parse_bundle(value)?;
            render::validate_bundle(&bundle)?;
            (bundle.id.to_string(), body, digest, Parsed::Bundle(Box::new(bundle)))
        }
        Kind::EventType => {
            let (event_type, body, digest) = notify_core::document::parse_event_type(value)?;
            notify_bus::intake::compile_schema(&event_type.data_schema)
                .map_err(|problem| problem.under("/dataSchema"))?;
            (event_type.id.clone(), body, digest, Parsed::EventType(Box::new(event_type)))
        }
        Kind::Silence => {
            let (silence, body, digest) = notify_core::document::parse_silence(value)?;
            silence.scope().pattern()?;
            (silence.id.to_string(), body, digest, Parsed::Silence(Box::new(silence)))
        }
        Kind::Inhibition => {
            let (inhibition, body, digest) = notify_core::document::parse_inhibition(value)?;
            inhibition.patterns()?;
            (inhibition.id.to_string(), body, digest, Parsed::Inhibition(Box::new(inhibition)))
        }
        Kind::Override => {
            let (document, body, digest) = notify_core::document::parse_override(value)?;
            document.scope().pattern()?;
            (document.id.to_string(), body, digest, Parsed::Override(Box::new(document)))
        }
        Kind::Calendar | Kind::Contact | Kind::Policy => {
            let (id, body, digest) = document::parse_any(kind, value)?;
            (id, body, digest, Parsed::Noise)
        }
    };
    Ok(Checked { id, body, digest, parsed })
}

/// What the document refers to, and what only the running service knows.
///
/// # Errors
/// `unknown-reference`, or the engine's verdict on a channel.
pub async fn against(kind: Kind, checked: &Checked, call: &Call) -> Result<(), Problem> {
    super::uses::exist(kind, &checked.body, call).await?;
    match &checked.parsed {
        Parsed::Rule(rule) => {
            for (index, action) in rule.actions.iter().enumerate() {
                must_exist(
                    call,
                    Kind::Channel,
                    action.channel.as_str(),
                    &format!("/actions/{index}/channel"),
                )
                .await?;
                if let Some(template) = &action.template {
                    let path = format!("/actions/{index}/template");
                    must_exist(call, Kind::Template, template.as_str(), &path).await?;
                }
            }
            digest_templates(rule, call).await
        }
        Parsed::Channel(channel) => call.app.engine.validate_channel(call.tenant(), channel).await,
        Parsed::Template(template) => {
            let bundles = bundles(call).await?;
            render::validate_template(template, &bundles.iter().collect::<Vec<_>>())
        }
        Parsed::Bundle(_) | Parsed::Inhibition(_) | Parsed::Noise => Ok(()),
        Parsed::Silence(silence) => named(&silence.scope(), call).await,
        Parsed::Override(document) => named(&document.scope(), call).await,
        Parsed::EventType(event_type) => only_one_of_its_type(event_type, call).await,
    }
}

/// What rules of a set may refer to, read once for all of them.
#[derive(Debug, Default)]
pub struct References {
    known: HashSet<(Kind, String)>,
    /// Templates that are no good for digests.
    for_events: HashSet<String>,
}

impl References {
    pub fn add(&mut self, document: Document) {
        if document.kind == Kind::Template && is_for_events(&document) {
            self.for_events.insert(document.id.clone());
        }
        self.known.insert((document.kind, document.id));
    }

    fn has(&self, kind: Kind, id: &str) -> bool {
        kind == Kind::Channel && is_builtin_channel(id) || self.known.contains(&(kind, id.to_owned()))
    }
}

/// One rule of a set: what [`value`] and [`against`] check of a single one.
///
/// # Errors
/// Everything that is wrong with it, as far as that can be seen.
pub fn in_a_set(rule: &Value, known: &References) -> Result<Checked, Vec<Problem>> {
    match value(Kind::Rule, rule) {
        Ok(checked) => {
            let Parsed::Rule(rule) = &checked.parsed else { return Ok(checked) };
            let problems = missing(rule, known);
            if problems.is_empty() { Ok(checked) } else { Err(problems) }
        }
        Err(problem) => {
            let mut problems = vec![problem];
            // Where only the pattern is wrong, the references can be looked at all the same.
            if let Ok((rule, ..)) = document::parse_rule(rule) {
                problems.extend(missing(&rule, known));
            }
            Err(problems)
        }
    }
}

fn missing(rule: &Rule, known: &References) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, action) in rule.actions.iter().enumerate() {
        let channel = action.channel.as_str();
        if !known.has(Kind::Channel, channel) && !is_builtin_channel(action.channel.as_str()) {
            problems.push(unknown_reference(Kind::Channel, channel, &format!("/actions/{index}/channel")));
        }
        if let Some(template) = &action.template
            && !known.has(Kind::Template, template.as_str())
        {
            let path = format!("/actions/{index}/template");
            problems.push(unknown_reference(Kind::Template, template.as_str(), &path));
        }
    }
    let document = serde_json::to_value(rule).unwrap_or_default();
    for used in super::uses::named(Kind::Rule, &document) {
        if !known.has(used.kind, &used.id) {
            problems.push(unknown_reference(used.kind, &used.id, &used.path));
        } else if used.kind == Kind::Template && known.for_events.contains(&used.id) {
            problems.push(not_for_digests(&used.id, used.path));
        }
    }
    problems
}

/// The templates that a rule's digests name. A template that is written for events fails on every digest.
async fn digest_templates(rule: &Rule, call: &Call) -> Result<(), Problem> {
    for (index, action) in rule.actions.iter().enumerate() {
        let Some(id) = action.digest.as_ref().and_then(|digest| digest.template.as_ref()) else { continue };
        let found = call.app.store.document(call.tenant(), Kind::Template, id.as_str(), None).await;
        let found = found.map_err(|error| store_problem(&call.request, &error))?;
        if found.is_some_and(|document| is_for_events(&document)) {
            return Err(not_for_digests(id.as_str(), format!("/actions/{index}/digest/template")));
        }
    }
    Ok(())
}

/// Reads the event, and nothing of a digest. One that reads neither says the same of both.
fn is_for_events(document: &Document) -> bool {
    stored::<Template>(document).is_some_and(|template| {
        let text = template.message.to_string();
        text.contains("event") && !text.contains("digest")
    })
}

fn not_for_digests(id: &str, path: String) -> Problem {
    let reason = format!("the template `{id}` is written for events: it does not read `digest`");
    let fix = "name one that reads `digest` (docs/templates.md), or leave it out for the built-in message";
    Problem::new(Code::InvalidRule, path, reason, fix)
}

/// A misspelt name would quietly do nothing.
async fn named(scope: &Scope<'_>, call: &Call) -> Result<(), Problem> {
    for (index, rule) in scope.rules.iter().enumerate() {
        must_exist(call, Kind::Rule, rule.as_str(), &format!("/rules/{index}")).await?;
    }
    for (index, channel) in scope.channels.iter().enumerate() {
        must_exist(call, Kind::Channel, channel.as_str(), &format!("/channels/{index}")).await?;
    }
    Ok(())
}

async fn must_exist(call: &Call, kind: Kind, id: &str, path: &str) -> Result<(), Problem> {
    if kind == Kind::Channel && is_builtin_channel(id) {
        return Ok(());
    }
    let found = call.app.store.document(call.tenant(), kind, id, None).await;
    let found = found.map_err(|error| store_problem(&call.request, &error))?;
    if found.is_some_and(|document| !document.deleted) {
        return Ok(());
    }
    Err(unknown_reference(kind, id, path))
}

pub(super) fn unknown_reference(kind: Kind, id: &str, path: &str) -> Problem {
    let name = kind.as_str();
    Problem::new(
        Code::UnknownReference,
        path,
        format!("there is no {name} `{id}`"),
        format!("create the {name} first, or name one that exists (`notify {name} list`)"),
    )
}

/// An event is judged by one schema.
async fn only_one_of_its_type(event_type: &EventType, call: &Call) -> Result<(), Problem> {
    let mut other = None;
    each(call, Kind::EventType, |document| {
        let found = stored::<EventType>(document).filter(|found| found.id != event_type.id);
        other = other.take().or(found.filter(|found| found.r#type == event_type.r#type));
    })
    .await?;
    match other {
        None => Ok(()),
        Some(other) => Err(Problem::new(
            Code::AlreadyExists,
            "/type",
            format!("the event type `{}` is about `{}` already", other.id, other.r#type),
            "replace that one, or delete it first",
        )),
    }
}

async fn bundles(call: &Call) -> Result<Vec<Bundle>, Problem> {
    let mut all = Vec::new();
    each(call, Kind::Bundle, |document| {
        // What was accepted once and cannot be read now is no reason to refuse a template.
        all.extend(stored::<Bundle>(document));
    })
    .await?;
    Ok(all)
}

pub(crate) fn stored<T: DeserializeOwned>(document: &Document) -> Option<T> {
    serde_json::from_str(&document.body).ok()
}

/// # Errors
/// `in-use`, naming some of the rules that refer to it.
pub async fn unused(kind: Kind, id: &str, call: &Call) -> Result<(), Problem> {
    super::uses::unused(kind, id, call).await?;
    if !matches!(kind, Kind::Channel | Kind::Template) {
        return Ok(());
    }
    let mut users = Vec::new();
    each(call, Kind::Rule, |document| {
        let Some(rule) = stored::<Rule>(document) else { return };
        let uses = |action: &notify_core::document::rule::Action| match kind {
            Kind::Channel => action.channel.as_str() == id,
            _ => action.template.as_ref().is_some_and(|template| template.as_str() == id),
        };
        if rule.actions.iter().any(uses) {
            users.push(rule.id.to_string());
        }
    })
    .await?;
    if users.is_empty() {
        return Ok(());
    }
    let more = users.len().saturating_sub(NAMED);
    let mut named = users.iter().take(NAMED).map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
    if more > 0 {
        named.push_str(&format!(" and {more} more"));
    }
    Err(Problem::new(
        Code::InUse,
        "",
        format!("the {} `{id}` is used by the rules {named}", kind.as_str()),
        "change or delete those rules first",
    ))
}

/// All current documents of a kind.
pub(crate) async fn each(call: &Call, kind: Kind, mut look: impl FnMut(&Document)) -> Result<(), Problem> {
    let mut page = Page { limit: PAGE, after: None };
    loop {
        let found = call.app.store.documents(call.tenant(), kind, &page).await;
        let found = found.map_err(|error| store_problem(&call.request, &error))?;
        found.items.iter().for_each(&mut look);
        match found.next {
            Some(next) => page.after = Some(next),
            None => return Ok(()),
        }
    }
}
