//! The shape of a template's `message`: which keys there are, what each may hold, and how it becomes a [`Message`].

use super::budget::{
    Fault, MAX_ACTIONS, MAX_LEAVES, MAX_LINE_CHARS, MAX_LIST, MAX_SHAPE_DEPTH, MAX_TEMPLATE_SOURCE, Outcome,
};
use super::eval::Env;
use super::markdown;
use super::syntax::{Expr, Node, Rejection, Scope, compile_expression, compile_leaf};
use crate::message::{Action, Attachment, Field, Link, Message};
use crate::problem::{Code, Problem};
use crate::severity::Severity;
use serde_json::{Map, Value as Json};
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

type Compiled<T> = Result<T, Problem>;

fn invalid(path: &str, reason: impl Into<String>, fix: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidTemplate, path, reason, fix)
}

struct Compiler {
    leaves: usize,
    bytes: usize,
    keys: Vec<(String, String)>,
    translates: bool,
    /// Names bound by `each` around the current place.
    names: Vec<String>,
}

impl Shape {
    /// # Errors
    /// A [`Problem`] with the JSON Pointer (below the template document) of the leaf at fault.
    pub fn compile(message: &Json) -> Compiled<Self> {
        let mut compiler =
            Compiler { leaves: 0, bytes: 0, keys: Vec::new(), translates: false, names: Vec::new() };
        let mut members = Members::of(message, "/message")?;
        let optional = |members: &mut Members<'_>, key: &str, compiler: &mut Compiler, markdown: bool| {
            members.take(key).map(|(value, path)| compiler.leaf(value, &path, markdown)).transpose()
        };
        let title = members.leaf("title", &mut compiler)?;
        let summary = optional(&mut members, "summary", &mut compiler, false)?;
        let severity = optional(&mut members, "severity", &mut compiler, false)?;
        let body = optional(&mut members, "body", &mut compiler, true)?;
        let footer = optional(&mut members, "footer", &mut compiler, false)?;
        let fields = compiler.list(members.take("fields"), |compiler, members| {
            Ok(FieldShape {
                name: members.leaf("name", compiler)?,
                value: members.leaf("value", compiler)?,
                short: members.flag("short")?,
            })
        })?;
        let links = compiler.list(members.take("links"), |compiler, members| {
            Ok(LinkShape { title: members.leaf("title", compiler)?, url: members.leaf("url", compiler)? })
        })?;
        let actions = compiler.list(members.take("actions"), |compiler, members| {
            Ok(ActionShape {
                id: members.leaf("id", compiler)?,
                title: members.leaf("title", compiler)?,
                url: members.leaf("url", compiler)?,
                style: optional(members, "style", compiler, false)?,
            })
        })?;
        let attachments = compiler.list(members.take("attachments"), |compiler, members| {
            Ok(AttachmentShape {
                name: members.leaf("name", compiler)?,
                content_type: members.leaf("contentType", compiler)?,
                content: members.leaf("content", compiler)?,
            })
        })?;
        let native = match members.take("native") {
            None => Vec::new(),
            Some((Json::Object(connectors), path)) => connectors
                .iter()
                .map(|(name, value)| Ok((name.clone(), compiler.native(value, &join(&path, name), 0)?)))
                .collect::<Compiled<_>>()?,
            Some((_, path)) => {
                return Err(invalid(&path, "this is not an object", "key it by connector type"));
            }
        };
        members.finish(Some(
            "title, summary, severity, body, fields, links, actions, footer, attachments, native",
        ))?;
        let Compiler { keys, translates, .. } = compiler;
        Ok(Self {
            title,
            summary,
            severity,
            body,
            fields,
            links,
            actions,
            footer,
            attachments,
            native,
            keys,
            translates,
        })
    }

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
                Ok(clean(text))
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

/// Drops what no text needs and what can lie about it: control characters, and the marks that reverse the order of
/// writing.
fn clean(text: String) -> String {
    let bad = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    if text.chars().any(bad) { text.chars().filter(|c| !bad(*c)).collect() } else { text }
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

impl Compiler {
    fn leaf(&mut self, value: &Json, path: &str, markdown: bool) -> Compiled<Leaf> {
        let Json::String(source) = value else {
            return Err(invalid(path, "this is not a text", "write it in quotes"));
        };
        self.leaves += 1;
        self.bytes += source.len();
        if self.leaves > MAX_LEAVES || self.bytes > MAX_TEMPLATE_SOURCE {
            return Err(invalid(
                path,
                format!("the template has more than {MAX_LEAVES} texts or {MAX_TEMPLATE_SOURCE} bytes"),
                "use `each` for repeated entries",
            ));
        }
        let mut scope = Scope::new(self.names.clone(), markdown);
        let nodes = compile_leaf(source, &mut scope).map_err(|rejection| at(path, &rejection))?;
        self.note(scope, path);
        if nodes.iter().all(|node| matches!(node, Node::Raw(_))) {
            let text: String =
                nodes.iter().map(|node| if let Node::Raw(raw) = node { raw } else { "" }).collect();
            return Ok(Leaf::Constant(clean(text).into()));
        }
        Ok(Leaf::Program(path.into(), nodes))
    }

    fn note(&mut self, scope: Scope, path: &str) {
        self.translates |= scope.translates;
        self.keys.extend(scope.keys.into_iter().map(|key| (key, path.to_owned())));
    }

    fn expression(&mut self, value: &Json, path: &str) -> Compiled<Expr> {
        let Json::String(source) = value else {
            return Err(invalid(path, "this is not an expression", "write it in quotes, without `{{ }}`"));
        };
        let mut scope = Scope::new(self.names.clone(), false);
        let expr = compile_expression(source, &mut scope).map_err(|rejection| at(path, &rejection))?;
        self.note(scope, path);
        Ok(expr)
    }

    fn list<T>(
        &mut self,
        value: Option<(&Json, String)>,
        mut shape: impl FnMut(&mut Self, &mut Members<'_>) -> Compiled<T>,
    ) -> Compiled<Vec<Item<T>>> {
        let Some((value, path)) = value else { return Ok(Vec::new()) };
        let Json::Array(entries) = value else {
            return Err(invalid(&path, "this is not a list", "write its entries with `-`"));
        };
        let mut items = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            items.push(self.item(entry, &join(&path, &index.to_string()), |compiler, entry, path| {
                let mut members = Members::of(entry, path)?;
                let made = shape(compiler, &mut members)?;
                members.finish(None)?;
                Ok(made)
            })?);
        }
        Ok(items)
    }

    /// `{each: list, as: name, when: condition, item: entry}`, or the entry itself.
    fn item<T>(
        &mut self,
        entry: &Json,
        path: &str,
        mut shape: impl FnMut(&mut Self, &Json, &str) -> Compiled<T>,
    ) -> Compiled<Item<T>> {
        let wrapped = entry.as_object().filter(|object| {
            object.contains_key("item") && (object.contains_key("each") || object.contains_key("when"))
        });
        if wrapped.is_none() {
            return Ok(Item { place: path.into(), each: None, when: None, shape: shape(self, entry, path)? });
        }
        let mut members = Members::of(entry, path)?;
        let outer = self.names.len();
        let each = match members.take("each") {
            None => None,
            Some((list, list_path)) => {
                let list = self.expression(list, &list_path)?;
                let (name, name_path) = members.take("as").map_or(("item", String::new()), |(name, path)| {
                    (name.as_str().unwrap_or_default(), path)
                });
                let plain = |name: &str| {
                    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                        && name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
                        && !["event", "rule", "channel", "tenant", "locale", "loop", "t"].contains(&name)
                };
                if !plain(name) {
                    return Err(invalid(
                        &name_path,
                        "this cannot name an item",
                        "use letters, digits and `_`, and no name that has a meaning already",
                    ));
                }
                self.names.push(name.to_owned());
                Some((list, Box::from(name)))
            }
        };
        let when = match members.take("when") {
            None => None,
            Some((condition, path)) => Some(self.expression(condition, &path)?),
        };
        let made = match members.take("item") {
            Some((inner, inner_path)) => shape(self, inner, &inner_path)?,
            None => return Err(invalid(path, "`item` is missing", "give the entry to repeat")),
        };
        members.finish(Some("each, as, when, item"))?;
        self.names.truncate(outer);
        Ok(Item { place: path.into(), each, when, shape: made })
    }

    fn native(&mut self, value: &Json, path: &str, depth: usize) -> Compiled<Native> {
        if depth > MAX_SHAPE_DEPTH {
            return Err(invalid(path, format!("nested deeper than {MAX_SHAPE_DEPTH} levels"), "flatten it"));
        }
        Ok(match value {
            Json::String(_) => match self.leaf(value, path, false)? {
                Leaf::Constant(text) => Native::Constant(Json::String(text.into())),
                program => Native::Text(program),
            },
            Json::Array(entries) => {
                let mut items = Vec::with_capacity(entries.len());
                for (index, entry) in entries.iter().enumerate() {
                    let path = join(path, &index.to_string());
                    items.push(self.item(entry, &path, |compiler, entry, path| {
                        compiler.native(entry, path, depth + 1)
                    })?);
                }
                Native::List(items)
            }
            Json::Object(members) => Native::Object(
                members
                    .iter()
                    .map(|(key, member)| Ok((key.clone(), self.native(member, &join(path, key), depth + 1)?)))
                    .collect::<Compiled<_>>()?,
            ),
            constant => Native::Constant(constant.clone()),
        })
    }
}

fn at(path: &str, rejection: &Rejection) -> Problem {
    let line =
        rejection.line.filter(|line| *line > 1).map(|line| format!(" (line {line})")).unwrap_or_default();
    invalid(path, format!("{}{line}", rejection.reason), rejection.fix.clone())
}

fn join(path: &str, token: &str) -> String {
    format!("{path}/{}", token.replace('~', "~0").replace('/', "~1"))
}

/// The members of one object, taken one by one; what is left over is unknown.
struct Members<'j> {
    object: &'j Map<String, Json>,
    path: &'j str,
    known: Vec<String>,
}

impl<'j> Members<'j> {
    fn of(value: &'j Json, path: &'j str) -> Compiled<Self> {
        match value {
            Json::Object(object) => Ok(Self { object, path, known: Vec::new() }),
            _ => Err(invalid(path, "this is not an object", "write its members as `name: value`")),
        }
    }

    fn take(&mut self, key: &str) -> Option<(&'j Json, String)> {
        self.known.push(key.to_owned());
        self.object.get(key).map(|value| (value, join(self.path, key)))
    }

    fn leaf(&mut self, key: &str, compiler: &mut Compiler) -> Compiled<Leaf> {
        match self.take(key) {
            Some((value, path)) => compiler.leaf(value, &path, false),
            None => Err(invalid(self.path, format!("`{key}` is missing"), format!("add `{key}`"))),
        }
    }

    fn flag(&mut self, key: &str) -> Compiled<bool> {
        match self.take(key) {
            None => Ok(false),
            Some((Json::Bool(yes), _)) => Ok(*yes),
            Some((_, path)) => {
                Err(invalid(&path, "this is neither true nor false", "write `true` or `false`"))
            }
        }
    }

    fn finish(self, offered: Option<&str>) -> Compiled<()> {
        match self.object.keys().find(|key| !self.known.contains(key)) {
            None => Ok(()),
            Some(key) => Err(Problem::new(
                Code::UnknownField,
                join(self.path, key),
                format!("`{key}` is not known here"),
                format!("use {}", offered.map_or_else(|| self.known.join(", "), str::to_owned)),
            )),
        }
    }
}
