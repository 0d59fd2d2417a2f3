//! Runs what [`super::syntax`] compiled. Every step and every byte is charged before it happens.

use super::budget::{Budget, Fault, MAX_OUTPUT, Outcome};
use super::filters;
use super::markdown::{self, Place};
use super::syntax::{Comparison, Expr, For, Math, Node, Root, describe};
use super::texts::Chain;
use super::value::{Text, Val, to_int};
use serde_json::Value as Json;
use std::cmp::Ordering;

/// What a template can see, for one message.
pub struct Env<'e> {
    pub event: &'e Json,
    /// What a digest is about; `None` when the message is about one event.
    pub digest: Option<&'e Json>,
    pub rule: &'e [(&'static str, &'e str)],
    pub channel: &'e [(&'static str, &'e str)],
    pub tenant: &'e str,
    pub locale: &'e str,
    pub texts: &'e Chain<'e>,
    pub budget: &'e Budget,
    /// Whether the leaf being rendered is Markdown: then values are escaped when written.
    pub markdown: bool,
    pub locals: Vec<(&'e str, Val<'e>)>,
}

enum Flow {
    Next,
    Break,
    Continue,
}

impl<'e> Env<'e> {
    /// Renders one leaf.
    pub fn leaf(&mut self, nodes: &'e [Node]) -> Outcome<String> {
        let outer = self.locals.len();
        let mut out = String::new();
        let result = self.run(nodes, &mut out);
        self.locals.truncate(outer);
        result.map(|_| out)
    }

    fn run(&mut self, nodes: &'e [Node], out: &mut String) -> Outcome<Flow> {
        for node in nodes {
            self.budget.step()?;
            match node {
                Node::Raw(text) => self.write(out, text)?,
                Node::Emit(line, expr) => {
                    self.eval(expr).and_then(|value| self.emit(expr, &value, out)).map_err(at(*line))?;
                }
                Node::Set(line, name, expr) => {
                    let value = self.eval(expr).map_err(at(*line))?;
                    self.locals.push((name, value));
                }
                Node::If(line, condition, then, otherwise) => {
                    let yes = self.truth(condition).map_err(at(*line))?;
                    match self.run(if yes { then } else { otherwise }, out)? {
                        Flow::Next => {}
                        leaving => return Ok(leaving),
                    }
                }
                Node::For(looped) => self.repeat(looped, out)?,
                Node::Break => return Ok(Flow::Break),
                Node::Continue => return Ok(Flow::Continue),
            }
        }
        Ok(Flow::Next)
    }

    fn repeat(&mut self, looped: &'e For, out: &mut String) -> Outcome<()> {
        let located = at(looped.line);
        let outer = self.locals.len();
        let items = self.iterable(&looped.items).map_err(&located)?;
        let items = match &looped.filter {
            None => items,
            Some(filter) => {
                let mut kept = Vec::new();
                for index in 0..items.list_len().unwrap_or(0) {
                    self.budget.step()?;
                    let item = items.at(index);
                    self.bind(looped, &item).map_err(&located)?;
                    if self.truth(filter).map_err(&located)? {
                        kept.push(item);
                    }
                    self.locals.truncate(outer);
                }
                Val::list(kept)
            }
        };
        let length = items.list_len().unwrap_or(0);
        if length == 0 {
            self.run(&looped.otherwise, out)?;
        }
        for index in 0..length {
            self.budget.step()?;
            self.bind(looped, &items.at(index)).map_err(&located)?;
            self.locals.push(("loop", Val::Loop(index, length)));
            let flow = self.run(&looped.body, out)?;
            self.locals.truncate(outer);
            if matches!(flow, Flow::Break) {
                break;
            }
        }
        self.locals.truncate(outer);
        Ok(())
    }

    /// A list to loop over; objects and texts are no lists.
    pub fn iterable(&mut self, expr: &'e Expr) -> Outcome<Val<'e>> {
        let items = self.eval(expr)?;
        match items {
            Val::Undefined => Err(missing(expr)),
            Val::Null => Ok(Val::list(Vec::new())),
            items if items.list_len().is_some() => Ok(items),
            other => Err(Fault::new(
                format!("`{}` is {}, not a list", describe(expr), other.kind()),
                "loop over a list; `object | items` gives pairs of key and value",
            )),
        }
    }

    fn bind(&mut self, looped: &'e For, item: &Val<'e>) -> Outcome<()> {
        match looped.names.as_slice() {
            [one] => self.locals.push((one, item.clone())),
            names => {
                if item.list_len() != Some(names.len()) {
                    return Err(Fault::new(
                        format!("the loop binds {} names, but an item is {}", names.len(), item.kind()),
                        "use `| items` to loop over pairs",
                    ));
                }
                for (index, name) in names.iter().enumerate() {
                    self.locals.push((name, item.at(index)));
                }
            }
        }
        Ok(())
    }

    fn write(&self, out: &mut String, text: &str) -> Outcome<()> {
        self.budget.scan(text.len())?;
        if out.len() + text.len() > MAX_OUTPUT {
            return Err(Fault::new(
                format!("the text becomes longer than {MAX_OUTPUT} bytes"),
                "cut values with `truncate`, or loop over fewer items",
            ));
        }
        out.push_str(text);
        Ok(())
    }

    fn emit(&self, expr: &Expr, value: &Val<'e>, out: &mut String) -> Outcome<()> {
        let text = match value {
            Val::Undefined => return Err(missing(expr)),
            Val::Safe(text) => return self.write(out, text),
            Val::Text(text) => text.clone(),
            other => other.to_text().map_err(|mut fault| {
                fault.reason = format!("`{}` is {}", describe(expr), fault.reason);
                fault
            })?,
        };
        if !self.markdown {
            return self.write(out, &text);
        }
        match markdown::place(out) {
            Place::Text => {
                self.budget.make(markdown::escaped_bound(&text))?;
                if out.len() + text.len() > MAX_OUTPUT {
                    return self.write(out, &text);
                }
                // Numbers and booleans have nothing to escape, and `-1` should look like it.
                if matches!(value, Val::Int(_) | Val::Float(_) | Val::Bool(_)) {
                    out.push_str(&text);
                } else {
                    markdown::push_escaped(out, &text);
                }
                Ok(())
            }
            Place::Address => {
                self.budget.make(text.len() * 3)?;
                self.write(out, &markdown::web_url(&text)?)
            }
            Place::Angle => {
                self.budget.make(text.len() * 3)?;
                match markdown::web_url(&text) {
                    Ok(url) => self.write(out, &url),
                    Err(_) => {
                        // No address, so the `<` must not begin a tag with it either.
                        out.truncate(out.len().saturating_sub(1));
                        let mut escaped = String::from("\\<");
                        markdown::push_escaped(&mut escaped, &text);
                        self.write(out, &escaped)
                    }
                }
            }
            Place::InAddress => {
                self.budget.make(text.len() * 3)?;
                self.write(out, &markdown::percent_encode(&text))
            }
        }
    }

    /// The truth of a condition. Something that does not exist is an error: ask `is defined`, or give a `default`.
    pub fn truth(&mut self, expr: &'e Expr) -> Outcome<bool> {
        Ok(self.defined(expr)?.truthy())
    }

    fn defined(&mut self, expr: &'e Expr) -> Outcome<Val<'e>> {
        match self.eval(expr)? {
            Val::Undefined => Err(missing(expr)),
            value => Ok(value),
        }
    }

    pub fn eval(&mut self, expr: &'e Expr) -> Outcome<Val<'e>> {
        self.budget.step()?;
        Ok(match expr {
            Expr::Null => Val::Null,
            Expr::Bool(yes) => Val::Bool(*yes),
            Expr::Int(int) => Val::Int(*int),
            Expr::Float(float) => Val::Float(*float),
            Expr::Text(text) => Val::Text(Text::Borrowed(text)),
            Expr::Root(root) => match root {
                Root::Event => Val::Json(self.event),
                Root::Rule => Val::Record(self.rule),
                Root::Channel => Val::Record(self.channel),
                Root::Tenant => Val::Text(Text::Borrowed(self.tenant)),
                Root::Locale => Val::Text(Text::Borrowed(self.locale)),
                Root::Digest => self.digest.map_or(Val::Undefined, Val::Json),
            },
            Expr::Local(name) => {
                let bound = self.locals.iter().rev().find(|(bound, _)| *bound == &**name);
                bound.map_or(Val::Undefined, |(_, value)| value.clone())
            }
            Expr::Attr(inner, name) => self.eval(inner)?.attr(name),
            Expr::Item(inner, index) => {
                let (value, index) = (self.eval(inner)?, self.defined(index)?);
                match &index {
                    Val::Int(index) => position(*index, value.list_len().unwrap_or(0))
                        .map_or(Val::Undefined, |index| value.at(index)),
                    Val::Text(name) => value.attr(name),
                    other => {
                        return Err(Fault::new(
                            format!("{} cannot be an index", other.kind()),
                            "use a whole number or a text",
                        ));
                    }
                }
            }
            Expr::Slice(inner, start, stop) => self.slice(inner, start.as_deref(), stop.as_deref())?,
            Expr::Not(inner) => Val::Bool(!self.truth(inner)?),
            Expr::Neg(inner) => match self.defined(inner)? {
                Val::Int(int) => Val::Int(int.checked_neg().ok_or_else(overflow)?),
                Val::Float(float) => Val::Float(-float),
                other => return Err(not_numbers("-", &other)),
            },
            // Like Python: the operand that decided, not its truth.
            Expr::And(left, right) => match self.defined(left)? {
                value if value.truthy() => self.defined(right)?,
                value => value,
            },
            Expr::Or(left, right) => match self.defined(left)? {
                value if value.truthy() => value,
                _ => self.defined(right)?,
            },
            Expr::Concat(left, right) => {
                let (left, right) = (self.defined(left)?.to_text()?, self.defined(right)?.to_text()?);
                self.budget.make(left.len() + right.len())?;
                Val::text([&*left, &*right].concat())
            }
            Expr::Math(how, left, right) => {
                let (left, right) = (self.defined(left)?, self.defined(right)?);
                self.math(*how, &left, &right)?
            }
            Expr::Compare(first, links) => {
                let mut left = self.defined(first)?;
                for (how, right) in links {
                    let right = self.defined(right)?;
                    if !self.compare(*how, &left, &right)? {
                        return Ok(Val::Bool(false));
                    }
                    left = right;
                }
                Val::Bool(true)
            }
            Expr::Choose(condition, yes, no) => {
                if self.truth(condition)? {
                    self.eval(yes)?
                } else if let Some(no) = no {
                    self.eval(no)?
                } else {
                    Val::Null
                }
            }
            Expr::Filter(kind, inner, args) => {
                let value = self.eval(inner)?;
                if matches!(value, Val::Undefined) && !kind.accepts_undefined() {
                    return Err(missing(inner));
                }
                let args = self.arguments(args)?;
                filters::apply(*kind, value, args, self)?
            }
            Expr::Test(kind, inner, args) => {
                let value = self.eval(inner)?;
                if matches!(value, Val::Undefined) && !kind.accepts_undefined() {
                    return Err(missing(inner));
                }
                let args = self.arguments(args)?;
                let argument = args.into_iter().next().flatten();
                Val::Bool(filters::test(*kind, &value, argument.as_ref(), self)?)
            }
            Expr::Translate(key, named) => {
                let key = self.defined(key)?.to_text()?;
                let mut values = Vec::with_capacity(named.len());
                for (name, value) in named {
                    values.push((&**name, self.defined(value)?));
                }
                let text = self.texts.format(&key, &values, self.markdown, self.budget)?;
                if self.markdown { Val::Safe(text.into()) } else { Val::text(text) }
            }
            Expr::List(items) => {
                Val::list(items.iter().map(|item| self.defined(item)).collect::<Outcome<_>>()?)
            }
        })
    }

    fn arguments(&mut self, args: &'e [Option<Expr>]) -> Outcome<Vec<Option<Val<'e>>>> {
        args.iter().map(|arg| arg.as_ref().map(|arg| self.defined(arg)).transpose()).collect()
    }

    fn slice(
        &mut self,
        inner: &'e Expr,
        start: Option<&'e Expr>,
        stop: Option<&'e Expr>,
    ) -> Outcome<Val<'e>> {
        let value = self.defined(inner)?;
        let mut bound = |expr: Option<&'e Expr>| match expr.map(|e| self.defined(e)).transpose()? {
            None | Some(Val::Null) => Ok(None),
            Some(Val::Int(int)) => Ok(Some(int)),
            Some(other) => {
                Err(Fault::new(format!("{} cannot bound a slice", other.kind()), "use whole numbers"))
            }
        };
        let (start, stop) = (bound(start)?, bound(stop)?);
        let clamp = |int: i64, length: usize| {
            let length_int = to_int(length);
            let from_start = if int < 0 { length_int.saturating_add(int) } else { int };
            usize::try_from(from_start.clamp(0, length_int)).unwrap_or(0)
        };
        if let Some(text) = value.as_str() {
            self.budget.make(text.len())?;
            let length = text.chars().count();
            let (from, to) = (clamp(start.unwrap_or(0), length), stop.map_or(length, |s| clamp(s, length)));
            return Ok(Val::text(text.chars().skip(from).take(to.saturating_sub(from)).collect()));
        }
        let Some(length) = value.list_len() else {
            return Err(Fault::new(
                format!("`{}` is {} and cannot be sliced", describe(inner), value.kind()),
                "slice a list or a text",
            ));
        };
        let (from, to) = (clamp(start.unwrap_or(0), length), stop.map_or(length, |s| clamp(s, length)));
        self.budget.make(to.saturating_sub(from) * size_of::<Val<'_>>())?;
        Ok(Val::list((from..to).map(|index| value.at(index)).collect()))
    }

    fn math(&self, how: Math, left: &Val<'e>, right: &Val<'e>) -> Outcome<Val<'e>> {
        if let (Val::Int(a), Val::Int(b)) = (left, right) {
            let whole = match how {
                Math::Add => a.checked_add(*b),
                Math::Sub => a.checked_sub(*b),
                Math::Mul => a.checked_mul(*b),
                // Towards minus infinity, as Jinja and Python do.
                Math::FloorDiv => match a.checked_rem(*b) {
                    Some(rest) if rest != 0 && (rest < 0) != (*b < 0) => a.checked_div(*b).map(|q| q - 1),
                    _ => a.checked_div(*b),
                },
                Math::Rem => match a.checked_rem(*b) {
                    Some(rest) if rest != 0 && (rest < 0) != (*b < 0) => rest.checked_add(*b),
                    rest => rest,
                },
                Math::Div => return divide(left, right),
            };
            return whole.map(Val::Int).ok_or_else(overflow);
        }
        if let (Math::Add, Some(a), Some(b)) = (how, left.as_str(), right.as_str()) {
            self.budget.make(a.len() + b.len())?;
            return Ok(Val::text([a, b].concat()));
        }
        let sign = match how {
            Math::Add => "+",
            Math::Sub => "-",
            Math::Mul => "*",
            Math::Div => return divide(left, right),
            Math::FloorDiv => "//",
            Math::Rem => "%",
        };
        let Some((a, b)) = left.number().zip(right.number()) else {
            return Err(not_numbers(sign, if left.number().is_none() { left } else { right }));
        };
        finite(match how {
            Math::Add => a + b,
            Math::Sub => a - b,
            Math::Mul => a * b,
            Math::FloorDiv => (a / b).floor(),
            Math::Rem => a - b * (a / b).floor(),
            Math::Div => a / b,
        })
    }

    pub fn compare(&self, how: Comparison, left: &Val<'e>, right: &Val<'e>) -> Outcome<bool> {
        let ordered = |wanted: &[Ordering]| match left.order(right, self.budget)? {
            Some(order) => Ok(wanted.contains(&order)),
            None => Err(Fault::new(
                format!("{} and {} have no order", left.kind(), right.kind()),
                "compare two numbers or two texts",
            )),
        };
        match how {
            Comparison::Eq => left.equals(right, self.budget),
            Comparison::Ne => left.equals(right, self.budget).map(|same| !same),
            Comparison::Lt => ordered(&[Ordering::Less]),
            Comparison::Le => ordered(&[Ordering::Less, Ordering::Equal]),
            Comparison::Gt => ordered(&[Ordering::Greater]),
            Comparison::Ge => ordered(&[Ordering::Greater, Ordering::Equal]),
            Comparison::In => self.contains(right, left),
            Comparison::NotIn => self.contains(right, left).map(|inside| !inside),
        }
    }

    pub fn contains(&self, container: &Val<'e>, wanted: &Val<'e>) -> Outcome<bool> {
        if let Some(text) = container.as_str() {
            self.budget.scan(text.len())?;
            return Ok(text.contains(&*wanted.to_text()?));
        }
        if let Some(length) = container.list_len() {
            for index in 0..length {
                self.budget.step()?;
                if container.at(index).equals(wanted, self.budget)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        match (container, wanted.as_str()) {
            (Val::Json(Json::Object(members)), Some(key)) => Ok(members.contains_key(key)),
            _ => Err(Fault::new(
                format!("{} contains nothing", container.kind()),
                "`in` looks into a text, a list or the keys of an object",
            )),
        }
    }
}

fn at(line: u16) -> impl Fn(Box<Fault>) -> Box<Fault> {
    move |mut fault| {
        if fault.line == 0 {
            fault.line = line;
        }
        fault
    }
}

fn missing(expr: &Expr) -> Box<Fault> {
    let what = describe(expr);
    Fault::new(
        format!("`{what}` does not exist"),
        format!("give a default, as in `{what} | default(\"-\")`, or ask `is defined` first"),
    )
}

fn overflow() -> Box<Fault> {
    Fault::new("the calculation has no result in 64 bits", "check for division by zero and for large numbers")
}

fn not_numbers(sign: &str, value: &Val<'_>) -> Box<Fault> {
    Fault::new(format!("`{sign}` was given {}", value.kind()), "use numbers; `~` joins texts")
}

fn divide<'e>(left: &Val<'e>, right: &Val<'e>) -> Outcome<Val<'e>> {
    match left.number().zip(right.number()) {
        Some((a, b)) => finite(a / b),
        None => Err(not_numbers("/", if left.number().is_none() { left } else { right })),
    }
}

pub fn finite<'e>(float: f64) -> Outcome<Val<'e>> {
    if float.is_finite() { Ok(Val::Float(float)) } else { Err(overflow()) }
}

/// A Python-like index: negative counts from the end.
fn position(index: i64, length: usize) -> Option<usize> {
    let index = if index < 0 { to_int(length).checked_add(index)? } else { index };
    usize::try_from(index).ok().filter(|index| *index < length)
}
