//! Checks a template's `message` and compiles its leaves.

use super::super::budget::{MAX_LEAVES, MAX_SHAPE_DEPTH, MAX_TEMPLATE_SOURCE};
use super::super::markdown;
use super::super::syntax::{Expr, Node, Rejection, Scope, compile_expression, compile_leaf};
use super::{ActionShape, AttachmentShape, FieldShape, Item, Leaf, LinkShape, Native, Shape};
use crate::problem::{Code, Problem};
use serde_json::{Map, Value as Json};

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
            return Ok(Leaf::Constant(markdown::honest(&text).into()));
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
                        && !["event", "rule", "channel", "tenant", "locale", "digest", "loop", "t"]
                            .contains(&name)
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
