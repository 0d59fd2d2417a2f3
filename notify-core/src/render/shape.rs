//! The shape of a template's `message`: which keys there are, what each may hold, and how it becomes a [`Message`].

mod compile;

use super::budget::{Fault, MAX_ACTIONS, MAX_LINE_CHARS, MAX_LIST, Outcome};
use super::eval::Env;
use super::markdown;
use super::syntax::{Expr, Node};
use crate::message::{Action, Attachment, Field, Link, Message};
use crate::severity::Severity;
use serde_json::{Map, Value as Json};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// One string leaf. Most are constant and never reach the evaluator.
#[derive(Debug)]
enum Leaf {
    Constant(Box<str>),
    Program(Box<str>, Vec<Node>),
}

/// An entry of a list: as it is, only `when`, or once for `each`.
#[derive(Debug)]
struct Item<T> {
    place: Box<str>,
    each: Option<(Expr, Box<str>)>,
    when: Option<Expr>,
    shape: T,
}

#[derive(Debug)]
struct FieldShape {
    name: Leaf,
    value: Leaf,
    short: bool,
}

#[derive(Debug)]
struct LinkShape {
    title: Leaf,
    url: Leaf,
}

#[derive(Debug)]
struct ActionShape {
    id: Leaf,
    title: Leaf,
    url: Leaf,
    style: Option<Leaf>,
}

#[derive(Debug)]
struct AttachmentShape {
    name: Leaf,
    content_type: Leaf,
    content: Leaf,
}

/// Free JSON for one connector, whose string leaves are templates.
#[derive(Debug)]
enum Native {
    Constant(Json),
    Text(Leaf),
    List(Vec<Item<Native>>),
    Object(Vec<(String, Native)>),
}

/// A compiled template.
#[derive(Debug)]
pub struct Shape {
    title: Leaf,
    summary: Option<Leaf>,
    severity: Option<Leaf>,
    body: Option<Leaf>,
    fields: Vec<Item<FieldShape>>,
    links: Vec<Item<LinkShape>>,
    actions: Vec<Item<ActionShape>>,
    footer: Option<Leaf>,
    attachments: Vec<Item<AttachmentShape>>,
    native: Vec<(String, Native)>,
    /// Literal keys given to `t`, with the leaf that asks for them.
    pub keys: Vec<(String, String)>,
    /// Whether any leaf calls `t`.
    pub translates: bool,
}

impl Shape {
    /// Renders everything but `locale` and `event`, which are not the template's to say.
    pub fn render<'e>(&'e self, env: &mut Env<'e>) -> Result<Message, (Box<str>, Box<Fault>)> {
        let here = |place: &'static str| move |fault| (Box::<str>::from(place), fault);
        let mut message =
            Message { title: self.title.line(env).map_err(here("/message/title"))?, ..Message::default() };
        if let Some(leaf) = &self.summary {
            message.summary = leaf.line(env).map_err(here("/message/summary"))?;
        }
        if let Some(leaf) = &self.footer {
            message.footer = leaf.line(env).map_err(here("/message/footer"))?;
        }
        message.severity = match &self.severity {
            Some(leaf) => Severity::from_name(leaf.line(env).map_err(here("/message/severity"))?.trim()),
            None => None,
        }
        .or_else(|| event_severity(env.event))
        .unwrap_or_default();
        if let Some(leaf) = &self.body {
            env.markdown = true;
            let body = leaf.text(env);
            env.markdown = false;
            message.body = tidy_markdown(&body.map_err(here("/message/body"))?);
        }
        if message.title.is_empty() {
            let fault =
                Fault::new("the title is empty", "give a text that does not depend on the event alone");
            return Err(("/message/title".into(), fault));
        }
        produce(&self.fields, MAX_LIST, env, |field, env| {
            let value = field.value.text(env)?;
            // A field without a value says nothing.
            let value = value.trim();
            Ok((!value.is_empty()).then_some(Field {
                name: field.name.line(env)?,
                value: value.to_owned(),
                short: field.short,
            }))
        })
        .map(|fields| message.fields = fields)?;
        produce(&self.links, MAX_LIST, env, |link, env| {
            let Some(url) = link.url.address(env)? else { return Ok(None) };
            Ok(Some(Link { title: link.title.line(env)?, url }))
        })
        .map(|links| message.links = links)?;
        produce(&self.actions, MAX_ACTIONS, env, |action, env| {
            let Some(url) = action.url.address(env)? else { return Ok(None) };
            let style = action.style.as_ref().map(|leaf| leaf.line(env)).transpose()?.unwrap_or_default();
            Ok(Some(Action { id: action.id.line(env)?, title: action.title.line(env)?, url, style }))
        })
        .map(|actions| message.actions = actions)?;
        produce(&self.attachments, MAX_LIST, env, |attachment, env| {
            Ok(Some(Attachment {
                name: attachment.name.line(env)?,
                content_type: attachment.content_type.line(env)?,
                content: attachment.content.text(env)?,
            }))
        })
        .map(|attachments| message.attachments = attachments)?;
        let mut native = BTreeMap::new();
        for (connector, shape) in &self.native {
            let value = shape.render(env).map_err(|(place, fault)| {
                (place.unwrap_or_else(|| format!("/message/native/{connector}").into()), fault)
            })?;
            native.insert(connector.clone(), value);
        }
        message.native = native;
        Ok(message)
    }
}

/// The event's own `severity`, when it is one.
pub fn event_severity(event: &Json) -> Option<Severity> {
    event.get("severity").and_then(Json::as_str).and_then(Severity::from_name)
}

type Placed<T> = Result<T, (Box<str>, Box<Fault>)>;

/// Renders the entries of a list, `each` and `when` included, up to `most`.
fn produce<'e, T, M>(
    items: &'e [Item<T>],
    most: usize,
    env: &mut Env<'e>,
    mut make: impl FnMut(&'e T, &mut Env<'e>) -> Outcome<Option<M>>,
) -> Placed<Vec<M>> {
    let mut made = Vec::with_capacity(items.len());
    for item in items {
        let outer = env.locals.len();
        let result = item.run(env, |shape, env| {
            if made.len() < most {
                made.extend(make(shape, env)?);
            }
            Ok(made.len() < most)
        });
        env.locals.truncate(outer);
        result.map_err(|fault| (item.place.clone(), fault))?;
    }
    Ok(made)
}

impl<T> Item<T> {
    /// Calls `make` once per round until it answers `false`.
    fn run<'e>(
        &'e self,
        env: &mut Env<'e>,
        mut make: impl FnMut(&'e T, &mut Env<'e>) -> Outcome<bool>,
    ) -> Outcome<()> {
        let wanted = |env: &mut Env<'e>| self.when.as_ref().map_or(Ok(true), |when| env.truth(when));
        let Some((list, name)) = &self.each else {
            if wanted(env)? {
                make(&self.shape, env)?;
            }
            return Ok(());
        };
        let list = env.iterable(list)?;
        let outer = env.locals.len();
        for index in 0..list.list_len().unwrap_or(0) {
            env.budget.step()?;
            env.locals.push((name, list.at(index)));
            let more = if wanted(env)? { make(&self.shape, env)? } else { true };
            env.locals.truncate(outer);
            if !more {
                break;
            }
        }
        Ok(())
    }
}

impl Leaf {
    fn text<'e>(&'e self, env: &mut Env<'e>) -> Outcome<String> {
        match self {
            Self::Constant(text) => Ok(text.to_string()),
            Self::Program(place, nodes) => {
                let text = env.leaf(nodes).map_err(|mut fault| {
                    // A list entry has several leaves; say which.
                    if !fault.reason.contains(" (in ") {
                        let line =
                            if fault.line > 1 { format!(", line {}", fault.line) } else { String::new() };
                        fault.reason.push_str(&format!(" (in `{place}`{line})"));
                    }
                    fault
                })?;
                Ok(match markdown::honest(&text) {
                    Cow::Borrowed(_) => text,
                    Cow::Owned(cleaned) => cleaned,
                })
            }
        }
    }

    /// One line without leading or trailing space, of bounded length.
    fn line<'e>(&'e self, env: &mut Env<'e>) -> Outcome<String> {
        let text = self.text(env)?;
        if text.len() <= MAX_LINE_CHARS && !text.bytes().any(|b| b.is_ascii_control()) && text.is_ascii() {
            return Ok(if text.starts_with(' ') || text.ends_with(' ') {
                text.trim().to_owned()
            } else {
                text
            });
        }
        let line = markdown::one_line(&text);
        let line = line.trim();
        Ok(if line.chars().nth(MAX_LINE_CHARS).is_none() {
            line.to_owned()
        } else {
            line.chars().take(MAX_LINE_CHARS - 1).chain(['…']).collect()
        })
    }

    /// A web address; `None` when it is empty, so that an event without one just has no link.
    fn address<'e>(&'e self, env: &mut Env<'e>) -> Outcome<Option<String>> {
        let text = self.text(env)?;
        let text = text.trim();
        if text.is_empty() { Ok(None) } else { markdown::web_url(text).map(Some) }
    }
}

/// No blank lines at the ends, at most one between paragraphs: what `if` and `for` leave behind.
fn tidy_markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut blank = 0;
    for line in text.lines() {
        if line.trim().is_empty() {
            blank += 1;
            continue;
        }
        if !out.is_empty() {
            out.push_str(if blank > 0 { "\n\n" } else { "\n" });
        }
        out.push_str(line.trim_end_matches(['\r', '\t']));
        blank = 0;
    }
    out
}

impl Native {
    fn render<'e>(&'e self, env: &mut Env<'e>) -> Result<Json, (Option<Box<str>>, Box<Fault>)> {
        Ok(match self {
            Self::Constant(value) => value.clone(),
            Self::Text(leaf) => Json::String(leaf.text(env).map_err(|fault| (None, fault))?),
            Self::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for item in items {
                    let outer = env.locals.len();
                    let mut inner = None;
                    let result = item.run(env, |shape, env| match shape.render(env) {
                        Ok(value) => {
                            list.push(value);
                            Ok(list.len() < MAX_LIST * 4)
                        }
                        Err((place, fault)) => {
                            inner = place;
                            Err(fault)
                        }
                    });
                    env.locals.truncate(outer);
                    result.map_err(|fault| (inner.or_else(|| Some(item.place.clone())), fault))?;
                }
                Json::Array(list)
            }
            Self::Object(members) => {
                let mut object = Map::with_capacity(members.len());
                for (key, member) in members {
                    object.insert(key.clone(), member.render(env)?);
                }
                Json::Object(object)
            }
        })
    }
}
