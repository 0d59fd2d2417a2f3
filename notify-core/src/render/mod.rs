//! From an event and a template to the channel-neutral message.
//!
//! A [`Library`] holds one tenant's compiled templates and text bundles; it is built once per set of document versions
//! and then renders any number of events, from any thread. Rendering is pure and total: the same inputs give the same
//! bytes, and a template that fails gives the built-in fallback message together with the reason.
//!
//! The template dialect is minijinja's; its parser is used, its virtual machine is not ([`syntax`] says why).
//! `docs/templates.md` is the reference for authors.

mod budget;
mod digest;
mod digest_words;
mod eval;
mod fallback;
mod filters;
mod lists;
mod markdown;
mod redact;
mod shape;
mod syntax;
#[cfg(test)]
mod tests;
mod texts;
mod value;

use crate::document::template::TEMPLATE_SCHEMA;
use crate::document::{Bundle, Kind, Template, Version};
use crate::ids::TemplateId;
use crate::message::Message;
use crate::problem::{Code, Problem};
use budget::{Budget, MAX_MESSAGE};
use eval::Env;
use redact::Redactor;
use serde_json::Value;
use shape::Shape;
use std::collections::BTreeMap;
use std::io::{self, Write};
use texts::Texts;

pub use digest::{DigestInput, DigestItem};
pub use redact::MARK as REDACTED;

/// What a template may know besides the event.
#[derive(Debug, Clone, Copy)]
pub struct RenderContext<'a> {
    pub tenant: &'a str,
    pub rule_id: &'a str,
    pub rule_name: &'a str,
    pub channel_id: &'a str,
}

/// One rendered message and what it was made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Rendered {
    pub message: Message,
    /// Digest of the template version that was asked for, also when it failed; `None` for the built-in one.
    pub template_digest: Option<String>,
    /// Digests of the text bundles that were looked into, best locale first; empty if the template uses no `t`.
    pub bundle_digests: Vec<String>,
    /// Why the built-in fallback message was rendered instead of the template.
    pub failed: Option<Problem>,
}

/// One tenant's templates and texts, ready to render.
#[derive(Default)]
pub struct Library {
    templates: BTreeMap<TemplateId, Entry>,
    texts: Texts,
    default_locale: String,
}

struct Entry {
    digest: String,
    /// Hides also when the rest of the template is broken; `None` when the redactions themselves are.
    redactor: Option<Redactor>,
    shape: Result<Shape, Problem>,
}

impl Library {
    /// Compiles all documents. A broken one is reported and does not keep the others back: an event that asks for a
    /// broken template gets the fallback message.
    #[must_use]
    pub fn compile(
        templates: &[Version<Template>],
        bundles: &[Version<Bundle>],
        default_locale: &str,
    ) -> (Self, Vec<(Kind, TemplateId, Problem)>) {
        let (texts, broken) = Texts::compile(bundles);
        let mut problems: Vec<_> =
            broken.into_iter().map(|(id, problem)| (Kind::Bundle, id, problem)).collect();
        let mut compiled = BTreeMap::new();
        for version in templates {
            let template = &version.document;
            let redactor = Redactor::compile(&template.redact);
            let shape = match &redactor {
                Ok(_) => compile(template),
                Err(problem) => Err(problem.clone()),
            };
            if let Err(problem) = &shape {
                problems.push((Kind::Template, template.id.clone(), problem.clone()));
            }
            let entry = Entry { digest: version.digest.clone(), redactor: redactor.ok(), shape };
            compiled.insert(template.id.clone(), entry);
        }
        (Self { templates: compiled, texts, default_locale: default_locale.to_owned() }, problems)
    }

    /// An event without what its own template hides: what a message of another template may see of it.
    #[must_use]
    pub fn hidden(&self, template: Option<&TemplateId>, event: &Value) -> Value {
        match template.and_then(|id| self.templates.get(id)) {
            None => event.clone(),
            Some(Entry { redactor: Some(redactor), .. }) => redactor.apply(event).into_owned(),
            Some(_) => bare(event),
        }
    }

    /// Renders one event. Without a template, the built-in one.
    #[must_use]
    pub fn render(
        &self,
        template: Option<&TemplateId>,
        locale: &str,
        event: &Value,
        context: &RenderContext<'_>,
    ) -> Rendered {
        let Some(id) = template else { return built_in(event, None, None) };
        let Some(entry) = self.templates.get(id) else {
            let reason = format!("there is no template `{id}`");
            let problem = Problem::new(Code::UnknownReference, "", reason, "create it, or name another one");
            return built_in(event, None, Some(problem));
        };
        let Some(redactor) = &entry.redactor else {
            // What was to be hidden is not known: show what is least likely to hold it.
            let failed = entry.shape.as_ref().err().cloned();
            let bare = bare(event);
            return built_in(&bare, Some(entry.digest.clone()), failed);
        };
        let event = redactor.apply(event);
        let made = self.shaped(entry, locale, &event, None, context);
        let Made { message, bundle_digests } = made;
        let template_digest = Some(entry.digest.clone());
        match message {
            Ok(mut message) => {
                message.event = fallback::reference(&event);
                Rendered { message, template_digest, bundle_digests, failed: None }
            }
            Err(problem) => Rendered { bundle_digests, ..built_in(&event, template_digest, Some(problem)) },
        }
    }

    /// What a template makes of an event or of a digest.
    fn shaped(
        &self,
        entry: &Entry,
        locale: &str,
        event: &Value,
        digest: Option<&Value>,
        context: &RenderContext<'_>,
    ) -> Made {
        let shape = match &entry.shape {
            Ok(shape) => shape,
            Err(problem) => return Made { message: Err(problem.clone()), bundle_digests: Vec::new() },
        };
        let chain = self.texts.chain(locale, &self.default_locale);
        let budget = Budget::default();
        let mut env = Env {
            event,
            digest,
            rule: &[("id", context.rule_id), ("name", context.rule_name)],
            channel: &[("id", context.channel_id)],
            tenant: context.tenant,
            locale,
            texts: &chain,
            budget: &budget,
            markdown: false,
            locals: Vec::new(),
        };
        let bundle_digests = if shape.translates { chain.digests() } else { Vec::new() };
        let failed = match shape.render(&mut env) {
            Ok(mut message) => {
                message.locale = chain.used_locale().unwrap_or(&self.default_locale).to_owned();
                if fits(&message) {
                    return Made { message: Ok(message), bundle_digests };
                }
                Problem::new(
                    Code::RenderFailed,
                    "/message",
                    format!("the message becomes larger than {MAX_MESSAGE} bytes"),
                    "show fewer or shorter values",
                )
            }
            Err((place, fault)) => Problem::new(Code::RenderFailed, place, fault.reason, fault.fix),
        };
        Made { message: Err(failed), bundle_digests }
    }
}

/// What a template came to.
struct Made {
    message: Result<Message, Problem>,
    bundle_digests: Vec<String>,
}

/// What is least likely to hold what was to be hidden.
fn bare(event: &Value) -> Value {
    ["id", "source", "type", "time", "severity"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), event.get(name)?.clone())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn built_in(event: &Value, template_digest: Option<String>, failed: Option<Problem>) -> Rendered {
    let mut message = fallback::message(event);
    message.event = fallback::reference(event);
    Rendered { message, template_digest, bundle_digests: Vec::new(), failed }
}

/// Whether the JSON of the message is within bounds, without building it.
fn fits(message: &Message) -> bool {
    struct Counter(usize);
    impl Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    serde_json::to_writer(Counter(MAX_MESSAGE), message).is_ok()
}

fn compile(template: &Template) -> Result<Shape, Problem> {
    if template.schema != TEMPLATE_SCHEMA {
        let reason = format!("`{}` is not `{TEMPLATE_SCHEMA}`", template.schema);
        return Err(Problem::new(Code::InvalidTemplate, "/schema", reason, ""));
    }
    Shape::compile(&template.message)
}

/// Checks a template before it is saved: syntax, filters, functions, names, shape, redactions; and, when `bundles` are
/// given, that each literal key of `t` exists in at least one of them.
///
/// # Errors
/// A [`Problem`] whose path is the JSON Pointer of the leaf in the template document.
pub fn validate_template(template: &Template, bundles: &[&Bundle]) -> Result<(), Problem> {
    Redactor::compile(&template.redact)?;
    let shape = compile(template)?;
    if bundles.is_empty() {
        return Ok(());
    }
    let versions: Vec<_> = bundles
        .iter()
        .map(|bundle| Version { version: 1, digest: String::new(), document: (*bundle).clone() })
        .collect();
    let (texts, _) = Texts::compile(&versions);
    let everywhere: Vec<_> = bundles.iter().map(|bundle| texts.chain(&bundle.locale, "en")).collect();
    for (key, path) in &shape.keys {
        if !everywhere.iter().any(|chain| chain.has(key)) {
            return Err(Problem::new(
                Code::UnknownReference,
                path.clone(),
                format!("no text bundle has `{key}`"),
                "add the text to a bundle first, or use a key that exists",
            ));
        }
    }
    Ok(())
}

/// Checks a text bundle before it is saved.
///
/// # Errors
/// A [`Problem`] with the line of the first mistake.
pub fn validate_bundle(bundle: &Bundle) -> Result<(), Problem> {
    texts::validate(bundle)
}
