//! From minijinja source to the program that [`super::eval`] runs.
//!
//! The parser is minijinja's own, so authors write the dialect they know. What it parsed is checked and copied into a
//! small owned tree: only the statements, filters, tests and functions listed here exist, names are resolved and
//! arguments counted when a template is saved, not when an alert is due. The virtual machine of minijinja is not used:
//! it has no hook to bound what `~`, `+`, `*`, a slice or a comparison cost (see [`super::budget`]).

use super::budget::{MAX_LEAF_SOURCE, MAX_TAG_TOKENS, MAX_TAGS};
use super::filters::{FilterKind, TestKind};
use minijinja::machinery::{Token, ast, parse, parse_expr, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;

#[derive(Debug)]
pub enum Node {
    Raw(Box<str>),
    Emit(u16, Expr),
    For(Box<For>),
    If(u16, Expr, Vec<Node>, Vec<Node>),
    Set(u16, Box<str>, Expr),
    Break,
    Continue,
}

#[derive(Debug)]
pub struct For {
    pub line: u16,
    pub names: Vec<Box<str>>,
    pub items: Expr,
    pub filter: Option<Expr>,
    pub body: Vec<Node>,
    pub otherwise: Vec<Node>,
}

#[derive(Debug)]
pub enum Expr {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Box<str>),
    Root(Root),
    Local(Box<str>),
    Attr(Box<Expr>, Box<str>),
    Item(Box<Expr>, Box<Expr>),
    Slice(Box<Expr>, Option<Box<Expr>>, Option<Box<Expr>>),
    Not(Box<Expr>),
    Neg(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Concat(Box<Expr>, Box<Expr>),
    Math(Math, Box<Expr>, Box<Expr>),
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    Choose(Box<Expr>, Box<Expr>, Option<Box<Expr>>),
    Filter(FilterKind, Box<Expr>, Vec<Option<Expr>>),
    Test(TestKind, Box<Expr>, Vec<Option<Expr>>),
    Translate(Box<Expr>, Vec<(Box<str>, Expr)>),
    List(Vec<Expr>),
}

/// What every template can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    Event,
    Rule,
    Channel,
    Tenant,
    Locale,
    /// Only in the message of a digest; elsewhere it does not exist.
    Digest,
}

impl Root {
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Event, "event"),
        (Self::Rule, "rule"),
        (Self::Channel, "channel"),
        (Self::Tenant, "tenant"),
        (Self::Locale, "locale"),
        (Self::Digest, "digest"),
    ];
}

#[derive(Debug, Clone, Copy)]
pub enum Math {
    Add,
    Sub,
    Mul,
    Div,
    FloorDiv,
    Rem,
}

#[derive(Debug, Clone, Copy)]
pub enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    NotIn,
}

/// What is wrong with a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub line: Option<u16>,
    pub reason: String,
    pub fix: String,
}

type Parsed<T> = Result<T, Box<Rejection>>;

fn reject<T>(line: u16, reason: impl Into<String>, fix: impl Into<String>) -> Parsed<T> {
    Err(Box::new(Rejection { line: Some(line).filter(|l| *l > 0), reason: reason.into(), fix: fix.into() }))
}

/// What a leaf may use, and what it was found to use.
pub struct Scope {
    /// Names bound so far: `each … as`, loop targets, `set`.
    names: Vec<String>,
    /// Whether the leaf is Markdown, where the Markdown filters make sense.
    markdown: bool,
    in_loop: usize,
    /// Literal keys given to `t`, and whether `t` is called at all.
    pub keys: Vec<String>,
    pub translates: bool,
}

impl Scope {
    pub fn new(names: Vec<String>, markdown: bool) -> Self {
        Self { names, markdown, in_loop: 0, keys: Vec::new(), translates: false }
    }
}

/// Parses one string leaf.
pub fn compile_leaf(source: &str, scope: &mut Scope) -> Parsed<Vec<Node>> {
    let config =
        SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(from_engine)?;
    bound(source, false, &config)?;
    let parsed = parse(source, "template", config).map_err(from_engine)?;
    match &parsed {
        ast::Stmt::Template(template) => statements(&template.children, scope),
        _ => reject(0, "this is no template", ""),
    }
}

/// Parses one bare expression, as `when` and `each` hold.
pub fn compile_expression(source: &str, scope: &mut Scope) -> Parsed<Expr> {
    bound(source, true, &SyntaxConfig::default())?;
    expression(&parse_expr(source).map_err(from_engine)?, scope)
}

/// Bounds size and nesting *before* parsing: a tree is dropped recursively, so it must never become deep.
fn bound(source: &str, is_expression: bool, config: &SyntaxConfig) -> Parsed<()> {
    if source.len() > MAX_LEAF_SOURCE {
        return reject(
            0,
            format!("the text has {} bytes, more than the {MAX_LEAF_SOURCE} allowed", source.len()),
            "shorten it, or move words to a text bundle",
        );
    }
    let (mut tags, mut tokens) = (0, 0);
    for token in tokenize(source, is_expression, config.clone()) {
        let (token, span) = token.map_err(from_engine)?;
        tokens += 1;
        if matches!(token, Token::VariableStart | Token::BlockStart) {
            tags += 1;
            tokens = 0;
        } else if matches!(token, Token::TemplateData(_)) {
            tokens = 0;
        }
        if tokens > MAX_TAG_TOKENS {
            let fix = "split it with `{% set %}`";
            return reject(
                span.start_line,
                format!("an expression has more than {MAX_TAG_TOKENS} tokens"),
                fix,
            );
        }
        if tags > MAX_TAGS {
            let fix = "split the text, or use a loop";
            return reject(span.start_line, format!("the text has more than {MAX_TAGS} tags"), fix);
        }
    }
    Ok(())
}

fn from_engine(error: minijinja::Error) -> Box<Rejection> {
    let line = error.line().and_then(|line| u16::try_from(line).ok());
    let reason = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    Box::new(Rejection { line, reason, fix: "see the template reference, docs/templates.md".to_owned() })
}

fn statements(children: &[ast::Stmt<'_>], scope: &mut Scope) -> Parsed<Vec<Node>> {
    children.iter().map(|child| statement(child, scope)).collect()
}

fn statement(stmt: &ast::Stmt<'_>, scope: &mut Scope) -> Parsed<Node> {
    let no = |line: u16, what: &str| reject(line, format!("`{what}` is not offered in templates"), ALLOWED);
    match stmt {
        ast::Stmt::EmitRaw(raw) => Ok(Node::Raw(raw.raw.into())),
        ast::Stmt::EmitExpr(emit) => Ok(Node::Emit(emit.span().start_line, expression(&emit.expr, scope)?)),
        ast::Stmt::IfCond(cond) => Ok(Node::If(
            cond.span().start_line,
            expression(&cond.expr, scope)?,
            statements(&cond.true_body, scope)?,
            statements(&cond.false_body, scope)?,
        )),
        ast::Stmt::ForLoop(looped) => for_loop(looped, looped.span().start_line, scope),
        ast::Stmt::Set(set) => {
            let line = set.span().start_line;
            let ast::Expr::Var(name) = &set.target else {
                return reject(line, "`set` takes one name", "write `{% set name = … %}`");
            };
            let value = expression(&set.expr, scope)?;
            bind(name.id, line, scope)?;
            Ok(Node::Set(line, name.id.into(), value))
        }
        ast::Stmt::Break(at) if scope.in_loop > 0 => {
            let _ = at;
            Ok(Node::Break)
        }
        ast::Stmt::Continue(at) if scope.in_loop > 0 => {
            let _ = at;
            Ok(Node::Continue)
        }
        ast::Stmt::Break(at) => reject(at.span().start_line, "`break` stands outside a loop", ""),
        ast::Stmt::Continue(at) => reject(at.span().start_line, "`continue` stands outside a loop", ""),
        ast::Stmt::WithBlock(at) => no(at.span().start_line, "with"),
        ast::Stmt::SetBlock(at) => no(at.span().start_line, "set … endset"),
        ast::Stmt::AutoEscape(at) => no(at.span().start_line, "autoescape"),
        ast::Stmt::FilterBlock(at) => no(at.span().start_line, "filter"),
        ast::Stmt::Block(at) => no(at.span().start_line, "block"),
        ast::Stmt::Import(at) => no(at.span().start_line, "import"),
        ast::Stmt::FromImport(at) => no(at.span().start_line, "from … import"),
        ast::Stmt::Extends(at) => no(at.span().start_line, "extends"),
        ast::Stmt::Include(at) => no(at.span().start_line, "include"),
        ast::Stmt::Macro(at) => no(at.span().start_line, "macro"),
        ast::Stmt::CallBlock(at) => no(at.span().start_line, "call"),
        ast::Stmt::Do(at) => no(at.span().start_line, "do"),
        ast::Stmt::Template(at) => no(at.span().start_line, "template"),
    }
}

const ALLOWED: &str = "use `if`, `for`, `set`, `break`, `continue` and `{{ … }}`";

fn for_loop(looped: &ast::ForLoop<'_>, line: u16, scope: &mut Scope) -> Parsed<Node> {
    if looped.recursive {
        return reject(line, "recursive loops are not offered", "loop over a flat list");
    }
    let items = expression(&looped.iter, scope)?;
    let targets: Vec<&ast::Expr<'_>> = match &looped.target {
        ast::Expr::List(list) => list.items.iter().collect(),
        ast::Expr::Tuple(tuple) => tuple.items.iter().collect(),
        single => vec![single],
    };
    let outer = scope.names.len();
    let mut names = Vec::with_capacity(targets.len());
    for target in targets {
        let ast::Expr::Var(name) = target else {
            return reject(line, "a loop binds one or two plain names", "write `{% for item in … %}`");
        };
        bind(name.id, line, scope)?;
        names.push(name.id.into());
    }
    if !(1..=2).contains(&names.len()) {
        return reject(line, "a loop binds one or two names", "write `{% for key, value in … | items %}`");
    }
    scope.names.push("loop".to_owned());
    scope.in_loop += 1;
    let filter = looped.filter_expr.as_ref().map(|filter| expression(filter, scope)).transpose()?;
    let body = statements(&looped.body, scope)?;
    scope.in_loop -= 1;
    scope.names.truncate(outer);
    let otherwise = statements(&looped.else_body, scope)?;
    scope.names.truncate(outer);
    Ok(Node::For(Box::new(For { line, names, items, filter, body, otherwise })))
}

fn bind(name: &str, line: u16, scope: &mut Scope) -> Parsed<()> {
    if name == "loop" || name == "t" || Root::ALL.iter().any(|(_, root)| *root == name) {
        return reject(line, format!("`{name}` has a meaning already"), "choose another name");
    }
    scope.names.push(name.to_owned());
    Ok(())
}

fn boxed(expr: &ast::Expr<'_>, scope: &mut Scope) -> Parsed<Box<Expr>> {
    expression(expr, scope).map(Box::new)
}

fn expression(expr: &ast::Expr<'_>, scope: &mut Scope) -> Parsed<Expr> {
    let line = expr.span().start_line;
    Ok(match expr {
        ast::Expr::Var(var) => variable(var.id, line, scope)?,
        ast::Expr::Const(constant) => literal(&constant.value, line)?,
        ast::Expr::GetAttr(get) => Expr::Attr(boxed(&get.expr, scope)?, get.name.into()),
        ast::Expr::GetItem(get) => Expr::Item(boxed(&get.expr, scope)?, boxed(&get.subscript_expr, scope)?),
        ast::Expr::Slice(slice) => {
            if slice.step.is_some() {
                return reject(line, "a slice takes no step", "write `list[:10]`");
            }
            let mut end = |end: &Option<ast::Expr<'_>>| end.as_ref().map(|e| boxed(e, scope)).transpose();
            let (start, stop) = (end(&slice.start)?, end(&slice.stop)?);
            Expr::Slice(boxed(&slice.expr, scope)?, start, stop)
        }
        ast::Expr::UnaryOp(unary) => {
            let inner = boxed(&unary.expr, scope)?;
            match unary.op {
                ast::UnaryOpKind::Not => Expr::Not(inner),
                ast::UnaryOpKind::Neg => Expr::Neg(inner),
            }
        }
        ast::Expr::BinOp(op) => {
            let (left, right) = (boxed(&op.left, scope)?, boxed(&op.right, scope)?);
            let compare = |how, left, right: Box<Expr>| Expr::Compare(left, vec![(how, *right)]);
            match op.op {
                ast::BinOpKind::Eq => compare(Comparison::Eq, left, right),
                ast::BinOpKind::Ne => compare(Comparison::Ne, left, right),
                ast::BinOpKind::Lt => compare(Comparison::Lt, left, right),
                ast::BinOpKind::Lte => compare(Comparison::Le, left, right),
                ast::BinOpKind::Gt => compare(Comparison::Gt, left, right),
                ast::BinOpKind::Gte => compare(Comparison::Ge, left, right),
                ast::BinOpKind::In => compare(Comparison::In, left, right),
                ast::BinOpKind::ScAnd => Expr::And(left, right),
                ast::BinOpKind::ScOr => Expr::Or(left, right),
                ast::BinOpKind::Concat => Expr::Concat(left, right),
                ast::BinOpKind::Add => Expr::Math(Math::Add, left, right),
                ast::BinOpKind::Sub => Expr::Math(Math::Sub, left, right),
                ast::BinOpKind::Mul => Expr::Math(Math::Mul, left, right),
                ast::BinOpKind::Div => Expr::Math(Math::Div, left, right),
                ast::BinOpKind::FloorDiv => Expr::Math(Math::FloorDiv, left, right),
                ast::BinOpKind::Rem => Expr::Math(Math::Rem, left, right),
                ast::BinOpKind::Pow => return reject(line, "`**` is not offered", "use `*`"),
            }
        }
        ast::Expr::Compare(chain) => {
            let mut links = Vec::with_capacity(chain.ops.len());
            for link in &chain.ops {
                let how = match link.op {
                    ast::CompareOpKind::Eq => Comparison::Eq,
                    ast::CompareOpKind::Ne => Comparison::Ne,
                    ast::CompareOpKind::Lt => Comparison::Lt,
                    ast::CompareOpKind::Lte => Comparison::Le,
                    ast::CompareOpKind::Gt => Comparison::Gt,
                    ast::CompareOpKind::Gte => Comparison::Ge,
                    ast::CompareOpKind::In => Comparison::In,
                    ast::CompareOpKind::NotIn => Comparison::NotIn,
                };
                links.push((how, expression(&link.expr, scope)?));
            }
            Expr::Compare(boxed(&chain.expr, scope)?, links)
        }
        ast::Expr::IfExpr(choice) => Expr::Choose(
            boxed(&choice.test_expr, scope)?,
            boxed(&choice.true_expr, scope)?,
            choice.false_expr.as_ref().map(|e| boxed(e, scope)).transpose()?,
        ),
        ast::Expr::Filter(filter) => {
            let Some(kind) = FilterKind::named(filter.name) else {
                return reject(
                    line,
                    format!("there is no filter `{}`", filter.name),
                    format!("use one of: {}", FilterKind::names()),
                );
            };
            if kind.markdown_only() && !scope.markdown {
                return reject(
                    line,
                    format!("the filter `{}` makes Markdown, and only `body` is Markdown", filter.name),
                    "leave it out here",
                );
            }
            let Some(inner) = &filter.expr else {
                return reject(line, "filter blocks are not offered", ALLOWED);
            };
            let inner = boxed(inner, scope)?;
            let args = arguments(filter.name, kind.parameters(), kind.required(), &filter.args, line, scope)?;
            check_named_test(kind, &args, line)?;
            Expr::Filter(kind, inner, args)
        }
        ast::Expr::Test(test) => {
            let Some(kind) = TestKind::named(test.name) else {
                return reject(
                    line,
                    format!("there is no test `{}`", test.name),
                    format!("use one of: {}", TestKind::names()),
                );
            };
            let inner = boxed(&test.expr, scope)?;
            let parameters: &[&str] = if kind.takes_value() { &["value"] } else { &[] };
            let args = arguments(test.name, parameters, parameters.len(), &test.args, line, scope)?;
            Expr::Test(kind, inner, args)
        }
        ast::Expr::Call(call) => translation(call, line, scope)?,
        ast::Expr::List(list) => {
            Expr::List(list.items.iter().map(|item| expression(item, scope)).collect::<Parsed<_>>()?)
        }
        ast::Expr::Tuple(tuple) => {
            Expr::List(tuple.items.iter().map(|item| expression(item, scope)).collect::<Parsed<_>>()?)
        }
        ast::Expr::Map(_) => return reject(line, "object literals are not offered", "use a list"),
    })
}

/// The test that `selectattr` and its kin name must exist when the template is saved.
fn check_named_test(kind: FilterKind, args: &[Option<Expr>], line: u16) -> Parsed<()> {
    if !matches!(kind, FilterKind::SelectAttr | FilterKind::RejectAttr) {
        return Ok(());
    }
    match args.get(1) {
        Some(Some(Expr::Text(name))) if TestKind::named(name).is_none() => {
            reject(line, format!("there is no test `{name}`"), format!("use one of: {}", TestKind::names()))
        }
        _ => Ok(()),
    }
}

fn variable(name: &str, line: u16, scope: &Scope) -> Parsed<Expr> {
    if scope.names.iter().any(|bound| bound == name) {
        return Ok(Expr::Local(name.into()));
    }
    if let Some((root, _)) = Root::ALL.iter().find(|(_, root)| *root == name) {
        return Ok(Expr::Root(*root));
    }
    reject(
        line,
        format!("nothing is called `{name}`"),
        "use `event` (for example `event.data.name`), `rule`, `channel`, `tenant`, `locale`, or `digest` in a digest",
    )
}

fn literal(value: &minijinja::Value, line: u16) -> Parsed<Expr> {
    Ok(match value.kind() {
        ValueKind::None => Expr::Null,
        ValueKind::Bool => Expr::Bool(value.is_true()),
        ValueKind::Number => match (value.is_integer(), value.as_i64(), f64::try_from(value.clone())) {
            (true, Some(int), _) => Expr::Int(int),
            (false, _, Ok(float)) => Expr::Float(float),
            _ => return reject(line, "the number is too large", "use at most 64 bits"),
        },
        _ => match value.as_str() {
            Some(text) => Expr::Text(text.into()),
            None => return reject(line, "this literal is not offered", "use a text, a number or a list"),
        },
    })
}

fn translation(call: &ast::Call<'_>, line: u16, scope: &mut Scope) -> Parsed<Expr> {
    const FIX: &str = "write `t(\"key\", name=value)`; filters follow a value: `value | upper`";
    match &call.expr {
        ast::Expr::Var(var) if var.id == "t" => {}
        ast::Expr::Var(var) => return reject(line, format!("there is no function `{}`", var.id), FIX),
        ast::Expr::GetAttr(get) => return reject(line, format!("there is no method `{}`", get.name), FIX),
        _ => return reject(line, "only `t` can be called", FIX),
    }
    let mut key = None;
    let mut named = Vec::new();
    for arg in &call.args {
        match arg {
            ast::CallArg::Pos(value) if key.is_none() => key = Some(boxed(value, scope)?),
            ast::CallArg::Kwarg(name, value) => named.push(((*name).into(), expression(value, scope)?)),
            _ => return reject(line, "`t` takes one key and named values", FIX),
        }
    }
    let Some(key) = key else { return reject(line, "`t` needs a key", FIX) };
    if let Expr::Text(key) = &*key {
        scope.keys.push(key.to_string());
    }
    scope.translates = true;
    Ok(Expr::Translate(key, named))
}

/// Puts positional and named arguments into the slots of `parameters`.
fn arguments(
    name: &str,
    parameters: &[&str],
    required: usize,
    args: &[ast::CallArg<'_>],
    line: u16,
    scope: &mut Scope,
) -> Parsed<Vec<Option<Expr>>> {
    let fix = if parameters.is_empty() {
        format!("`{name}` takes no arguments")
    } else {
        format!("`{name}` takes ({})", parameters.join(", "))
    };
    let mut slots: Vec<Option<Expr>> = parameters.iter().map(|_| None).collect();
    for (index, arg) in args.iter().enumerate() {
        let (slot, value) = match arg {
            ast::CallArg::Pos(value) => (Some(index), value),
            ast::CallArg::Kwarg(key, value) => (parameters.iter().position(|p| p == key), value),
            _ => return reject(line, "`*` and `**` arguments are not offered", fix),
        };
        match slot.and_then(|slot| slots.get_mut(slot)) {
            Some(empty @ None) => *empty = Some(expression(value, scope)?),
            _ => return reject(line, format!("`{name}` was given an argument it does not take"), fix),
        }
    }
    if slots.iter().take(required).any(Option::is_none) {
        return reject(line, format!("`{name}` needs more arguments"), fix);
    }
    Ok(slots)
}

/// `event.data.image.digest` for messages about what is missing.
pub fn describe(expr: &Expr) -> String {
    match expr {
        Expr::Root(root) => {
            Root::ALL.iter().find(|(r, _)| r == root).map_or_else(String::new, |(_, name)| (*name).to_owned())
        }
        Expr::Local(name) => name.to_string(),
        Expr::Attr(inner, name) => format!("{}.{name}", describe(inner)),
        Expr::Item(inner, index) => match &**index {
            Expr::Int(index) => format!("{}[{index}]", describe(inner)),
            Expr::Text(key) => format!("{}[\"{key}\"]", describe(inner)),
            _ => format!("{}[…]", describe(inner)),
        },
        Expr::Filter(kind, inner, _) => format!("{} | {}", describe(inner), kind.name()),
        Expr::Slice(inner, ..) => format!("{}[…:…]", describe(inner)),
        _ => "the value".to_owned(),
    }
}
