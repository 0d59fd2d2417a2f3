//! The filters and tests that templates may use: this list and nothing else. Each is bounded.

use super::budget::{Budget, Fault, Outcome};
use super::eval::{Env, finite};
use super::lists::{collect, extreme, items, join, list_of, member, pluck, severity_rank, sort, sum, unique};
use super::markdown;
use super::texts;
use super::value::{Text, Val, float_text, to_int};
use crate::severity::Severity;
use serde_json::Value as Json;
use std::cmp::Ordering;

macro_rules! filters {
    ($($kind:ident = $name:literal ($($parameter:literal),*), $required:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum FilterKind { $($kind,)* }

        impl FilterKind {
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];
            pub const fn name(self) -> &'static str { match self { $(Self::$kind => $name,)* } }
            /// Names of the parameters, in order; the first `required()` must be given.
            pub const fn parameters(self) -> &'static [&'static str] {
                match self { $(Self::$kind => &[$($parameter),*],)* }
            }
            pub const fn required(self) -> usize { match self { $(Self::$kind => $required,)* } }
        }
    };
}

filters! {
    Abs = "abs" (), 0;
    Capitalize = "capitalize" (), 0;
    Code = "code" (), 0;
    CodeBlock = "codeblock" (), 0;
    DateTime = "datetime" ("zone", "style"), 0;
    Default = "default" ("value"), 1;
    First = "first" (), 0;
    Float = "float" (), 0;
    Indent = "indent" ("width"), 0;
    Int = "int" (), 0;
    Items = "items" (), 0;
    Join = "join" ("separator", "attribute"), 0;
    Last = "last" (), 0;
    Length = "length" (), 0;
    Link = "link" ("title"), 1;
    Lower = "lower" (), 0;
    Map = "map" ("attribute"), 1;
    Max = "max" (), 0;
    Min = "min" (), 0;
    Quote = "quote" (), 0;
    RejectAttr = "rejectattr" ("attribute", "test", "value"), 1;
    Replace = "replace" ("old", "new"), 2;
    Reverse = "reverse" (), 0;
    Round = "round" ("digits"), 0;
    SelectAttr = "selectattr" ("attribute", "test", "value"), 1;
    Short = "short" (), 0;
    Sort = "sort" ("attribute", "reverse"), 0;
    Split = "split" ("separator"), 1;
    String = "string" (), 0;
    Sum = "sum" ("attribute"), 0;
    ToJson = "tojson" (), 0;
    Trim = "trim" (), 0;
    Truncate = "truncate" ("length", "end"), 1;
    Unique = "unique" (), 0;
    Upper = "upper" (), 0;
    Url = "url" (), 0;
    UrlEncode = "urlencode" (), 0;
}

impl FilterKind {
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "d" => Some(Self::Default),
            "count" => Some(Self::Length),
            _ => Self::ALL.iter().copied().find(|kind| kind.name() == name),
        }
    }

    pub fn names() -> String {
        Self::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
    }

    pub const fn accepts_undefined(self) -> bool {
        matches!(self, Self::Default)
    }

    pub const fn markdown_only(self) -> bool {
        matches!(self, Self::Code | Self::CodeBlock | Self::Quote | Self::Link)
    }
}

macro_rules! tests {
    ($($kind:ident = $name:literal, $takes_value:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum TestKind { $($kind,)* }

        impl TestKind {
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];
            pub const fn name(self) -> &'static str { match self { $(Self::$kind => $name,)* } }
            pub const fn takes_value(self) -> bool { match self { $(Self::$kind => $takes_value,)* } }
        }
    };
}

tests! {
    AtLeast = "at_least", true;
    AtMost = "at_most", true;
    Defined = "defined", false;
    EndingWith = "endingwith", true;
    Eq = "eq", true;
    Even = "even", false;
    Ge = "ge", true;
    Gt = "gt", true;
    In = "in", true;
    Le = "le", true;
    Lt = "lt", true;
    Mapping = "mapping", false;
    Ne = "ne", true;
    None = "none", false;
    Number = "number", false;
    Odd = "odd", false;
    Sequence = "sequence", false;
    StartingWith = "startingwith", true;
    String = "string", false;
    Undefined = "undefined", false;
}

impl TestKind {
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "==" | "equalto" => Some(Self::Eq),
            "!=" => Some(Self::Ne),
            "<" | "lessthan" => Some(Self::Lt),
            "<=" => Some(Self::Le),
            ">" | "greaterthan" => Some(Self::Gt),
            ">=" => Some(Self::Ge),
            _ => Self::ALL.iter().copied().find(|kind| kind.name() == name),
        }
    }

    pub fn names() -> String {
        Self::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")
    }

    pub const fn accepts_undefined(self) -> bool {
        matches!(self, Self::Defined | Self::Undefined)
    }
}

/// A filter's arguments, one slot per parameter.
pub struct Args<'e>(Vec<Option<Val<'e>>>);

impl<'e> Args<'e> {
    pub fn get(&self, slot: usize) -> Option<&Val<'e>> {
        self.0.get(slot).and_then(Option::as_ref).filter(|value| !matches!(value, Val::Null))
    }

    pub fn text(&self, slot: usize) -> Outcome<Option<Text<'e>>> {
        self.get(slot).map(Val::to_text).transpose()
    }

    fn count(&self, slot: usize) -> Outcome<Option<usize>> {
        match self.get(slot) {
            None => Ok(None),
            Some(Val::Int(int)) if *int >= 0 => Ok(usize::try_from(*int).ok()),
            Some(other) => {
                Err(Fault::new(format!("{} is no length", describe(other)), "give a whole number from 0"))
            }
        }
    }
}

fn describe(value: &Val<'_>) -> String {
    match value {
        Val::Int(int) => int.to_string(),
        other => other.kind().to_owned(),
    }
}

/// Applies one filter. `value` is defined, except for `default`.
pub fn apply<'e>(
    kind: FilterKind,
    value: Val<'e>,
    args: Vec<Option<Val<'e>>>,
    env: &mut Env<'e>,
) -> Outcome<Val<'e>> {
    use FilterKind as F;
    let args = Args(args);
    let budget = env.budget;
    // Most filters read all of a text once and make at most as much again.
    let text = |factor: usize| {
        let text = value.to_text()?;
        budget.make(text.len() * factor)?;
        Ok::<_, Box<Fault>>(text)
    };
    Ok(match kind {
        F::Default => match value {
            Val::Undefined | Val::Null => args.0.into_iter().next().flatten().unwrap_or(Val::Null),
            value => value,
        },
        F::Upper => Val::text(text(3)?.to_uppercase()),
        F::Lower => Val::text(text(3)?.to_lowercase()),
        F::Capitalize => {
            let text = text(3)?;
            let mut characters = text.chars();
            let first = characters.next().map(|c| c.to_uppercase().collect::<String>()).unwrap_or_default();
            Val::text(first + characters.as_str())
        }
        F::Trim => Val::text(text(1)?.trim().to_owned()),
        F::String => Val::Text(value.to_text()?),
        F::Truncate => {
            truncate(&text(1)?, args.count(0)?.unwrap_or(0), args.text(1)?.as_deref().unwrap_or("…"))
        }
        F::Replace => replace(&text(1)?, &args, budget)?,
        F::Indent => indent(&text(1)?, args.count(0)?.unwrap_or(4), budget)?,
        F::Short => Val::text(short(&text(1)?)),
        F::Split => split(&text(1)?, &args, budget)?,
        F::Url => Val::text(markdown::web_url(&text(3)?)?),
        F::UrlEncode => Val::text(markdown::percent_encode(&text(3)?)),
        F::DateTime => {
            let (zone, style) = (args.text(0)?, args.text(1)?);
            let zone = zone.as_deref().unwrap_or("UTC");
            Val::text(texts::date_time(&text(1)?, zone, style.as_deref().unwrap_or("both"), env.locale)?)
        }
        F::Code => safe(markdown::code_span(&text(4)?)),
        F::CodeBlock => safe(markdown::code_block(&text(4)?)),
        F::Quote => safe(markdown::quote(&text(4)?)),
        F::Link => {
            let title = args.text(0)?.unwrap_or(Text::Borrowed(""));
            budget.make(title.len() * 2)?;
            safe(markdown::link(&text(3)?, &title)?)
        }
        F::ToJson => Val::text(to_json(&value, budget)?),
        F::Abs => match value {
            Val::Int(int) => int.checked_abs().map(Val::Int).ok_or_else(|| number_wanted(&value))?,
            Val::Float(float) => Val::Float(float.abs()),
            other => return Err(number_wanted(&other)),
        },
        F::Round => round(&value, args.count(0)?.unwrap_or(0))?,
        F::Int => to_whole(&value)?,
        F::Float => to_float(&value)?,
        F::Length => {
            if let Some(text) = value.as_str() {
                budget.scan(text.len())?;
            }
            Val::Int(to_int(value.len().ok_or_else(|| {
                Fault::new(format!("{} has no length", value.kind()), "use it on a text, list or object")
            })?))
        }
        F::First => {
            list_of(&value)?;
            value.at(0)
        }
        F::Last => list_of(&value)?.checked_sub(1).map_or(Val::Undefined, |last| value.at(last)),
        F::Items => items(&value, budget)?,
        F::Reverse => Val::list(collect(&value, budget)?.into_iter().rev().collect()),
        F::Map => {
            let path = args.text(0)?;
            pluck(&value, path.as_deref().unwrap_or(""), budget)?
        }
        F::Join => join(&value, &args, budget)?,
        F::Sum => sum(&value, &args, env)?,
        F::Min => extreme(&value, Ordering::Less, budget)?,
        F::Max => extreme(&value, Ordering::Greater, budget)?,
        F::Sort => sort(&value, &args, budget)?,
        F::Unique => unique(&value, budget)?,
        F::SelectAttr => select(&value, &args, env, true)?,
        F::RejectAttr => select(&value, &args, env, false)?,
    })
}

fn safe<'e>(markdown: String) -> Val<'e> {
    Val::Safe(markdown.into())
}

pub fn number_wanted(value: &Val<'_>) -> Box<Fault> {
    Fault::new(format!("{} is not a number", value.kind()), "convert it with `int` or `float`")
}

fn truncate<'e>(text: &str, length: usize, end: &str) -> Val<'e> {
    // Never longer than asked for, the end included.
    if text.chars().nth(length).is_none() {
        return Val::text(text.to_owned());
    }
    let end: String = end.chars().take(length).collect();
    let keep = length - end.chars().count();
    Val::text(text.chars().take(keep).collect::<String>() + &end)
}

fn replace<'e>(text: &str, args: &Args<'e>, budget: &Budget) -> Outcome<Val<'e>> {
    let empty = || Text::Borrowed("");
    let (old, new) = (args.text(0)?.unwrap_or_else(empty), args.text(1)?.unwrap_or_else(empty));
    if old.is_empty() {
        return Err(Fault::new(
            "`replace` was given nothing to look for",
            "give a text of at least one letter",
        ));
    }
    let hits = text.matches(&*old).count();
    budget.make(text.len().saturating_add(hits.saturating_mul(new.len())))?;
    Ok(Val::text(text.replace(&*old, &new)))
}

fn indent<'e>(text: &str, width: usize, budget: &Budget) -> Outcome<Val<'e>> {
    let breaks = text.matches('\n').count();
    budget.make(text.len().saturating_add(breaks.saturating_mul(width)))?;
    if breaks == 0 {
        return Ok(Val::text(text.to_owned()));
    }
    let pad = format!("\n{}", " ".repeat(width));
    Ok(Val::text(text.replace('\n', &pad)))
}

/// `sha256:` and 12 digits of a digest; the part after the last `@` first, as in `image@sha256:…`.
fn short(text: &str) -> String {
    let digest = text.rsplit('@').next().unwrap_or(text);
    let (algorithm, digits) = digest.split_once(':').unwrap_or(("", digest));
    let cut: String = digits.chars().take(12).collect();
    if algorithm.is_empty() { cut } else { format!("{algorithm}:{cut}") }
}

fn split<'e>(text: &str, args: &Args<'e>, budget: &Budget) -> Outcome<Val<'e>> {
    let separator = args.text(0)?.unwrap_or(Text::Borrowed(""));
    if separator.is_empty() {
        return Err(Fault::new("`split` was given an empty separator", "give one, such as `\",\"`"));
    }
    let parts = text.matches(&*separator).count() + 1;
    // Each part is an allocation of its own.
    budget.make(parts * (size_of::<Val<'_>>() + 24))?;
    Ok(Val::list(text.split(&*separator).map(|part| Val::text(part.to_owned())).collect()))
}

fn round<'e>(value: &Val<'e>, digits: usize) -> Outcome<Val<'e>> {
    if let Val::Int(int) = value {
        return Ok(Val::Int(*int));
    }
    let number = value.number().ok_or_else(|| number_wanted(value))?;
    let scale = 10f64.powi(i32::try_from(digits.min(15)).unwrap_or(15));
    let rounded = (number * scale).round() / scale;
    // Too large to have decimals at all.
    finite(if rounded.is_finite() { rounded } else { number })
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked on the line before")]
fn to_whole<'e>(value: &Val<'e>) -> Outcome<Val<'e>> {
    let float = match value {
        Val::Int(int) => return Ok(Val::Int(*int)),
        Val::Bool(yes) => return Ok(Val::Int(i64::from(*yes))),
        Val::Float(float) => Some(*float),
        other => match other.as_str().map(str::trim) {
            Some(text) => match text.parse() {
                Ok(int) => return Ok(Val::Int(int)),
                Err(_) => text.parse().ok(),
            },
            None => None,
        },
    };
    match float {
        Some(float) if float.abs() < 9e18 => Ok(Val::Int(float.trunc() as i64)),
        _ => Err(number_wanted(value)),
    }
}

fn to_float<'e>(value: &Val<'e>) -> Outcome<Val<'e>> {
    let float = match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None => value.number(),
    };
    finite(float.ok_or_else(|| number_wanted(value))?)
}

/// Items whose member passes (or fails) a test; without a test, those whose member is true.
fn select<'e>(value: &Val<'e>, args: &Args<'e>, env: &mut Env<'e>, keep: bool) -> Outcome<Val<'e>> {
    let path = args.text(0)?.unwrap_or(Text::Borrowed(""));
    let kind = match args.text(1)? {
        None => None,
        Some(name) => Some(TestKind::named(&name).ok_or_else(|| {
            Fault::new(format!("there is no test `{}`", &*name), format!("use one of: {}", TestKind::names()))
        })?),
    };
    let mut kept = Vec::new();
    for item in collect(value, env.budget)? {
        env.budget.step()?;
        let found = member(&item, &path);
        let passes = match kind {
            None => found.truthy(),
            Some(kind) if matches!(found, Val::Undefined) && !kind.accepts_undefined() => false,
            Some(kind) => test(kind, &found, args.get(2), env)?,
        };
        if passes == keep {
            kept.push(item);
        }
    }
    Ok(Val::list(kept))
}

/// Applies one test.
pub fn test<'e>(kind: TestKind, value: &Val<'e>, argument: Option<&Val<'e>>, env: &Env<'e>) -> Outcome<bool> {
    use super::syntax::Comparison as C;
    use TestKind as T;
    let against = |how| match argument {
        Some(argument) => env.compare(how, value, argument),
        None => {
            Err(Fault::new(format!("the test `{}` needs a value", kind.name()), "give one in parentheses"))
        }
    };
    let texts = || {
        let argument = argument.map(Val::to_text).transpose()?.unwrap_or(Text::Borrowed(""));
        let value = value.to_text()?;
        env.budget.scan(argument.len().min(value.len()))?;
        Ok::<_, Box<Fault>>((value, argument))
    };
    // A value that is no severity is neither at least nor at most one, as in rules.
    let severities = |wanted: fn(&Severity, &Severity) -> bool| match argument.and_then(severity_rank) {
        Some(limit) => Ok(severity_rank(value).is_some_and(|severity| wanted(&severity, &limit))),
        None => Err(Fault::new(
            format!("the test `{}` needs a severity", kind.name()),
            "use none, info, low, medium, high, critical or blocker",
        )),
    };
    let whole = || match value {
        Val::Int(int) => Ok(*int),
        other => Err(number_wanted(other)),
    };
    match kind {
        T::Defined => Ok(!matches!(value, Val::Undefined)),
        T::Undefined => Ok(matches!(value, Val::Undefined)),
        T::None => Ok(matches!(value, Val::Null)),
        T::Number => Ok(value.number().is_some()),
        T::String => Ok(value.as_str().is_some()),
        T::Sequence => Ok(value.list_len().is_some()),
        T::Mapping => Ok(matches!(value, Val::Record(_) | Val::Json(Json::Object(_)))),
        T::Odd => whole().map(|int| int % 2 != 0),
        T::Even => whole().map(|int| int % 2 == 0),
        T::Eq => against(C::Eq),
        T::Ne => against(C::Ne),
        T::Lt => against(C::Lt),
        T::Le => against(C::Le),
        T::Gt => against(C::Gt),
        T::Ge => against(C::Ge),
        T::In => against(C::In),
        T::StartingWith => texts().map(|(value, start)| value.starts_with(&*start)),
        T::EndingWith => texts().map(|(value, end)| value.ends_with(&*end)),
        T::AtLeast => severities(|severity, limit| severity >= limit),
        T::AtMost => severities(|severity, limit| severity <= limit),
    }
}

/// Compact JSON with sorted keys; stops at the budget instead of building a text that is too large.
fn to_json(value: &Val<'_>, budget: &Budget) -> Outcome<String> {
    let mut out = String::new();
    write_json(value, &mut out, budget)?;
    Ok(out)
}

fn write_json(value: &Val<'_>, out: &mut String, budget: &Budget) -> Outcome<()> {
    budget.step()?;
    let before = out.len();
    match value {
        Val::Undefined | Val::Null => out.push_str("null"),
        Val::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
        Val::Int(int) => out.push_str(&int.to_string()),
        Val::Float(float) => out.push_str(&float_text(*float)),
        Val::Text(text) | Val::Safe(text) => {
            budget.make(text.len() * 2)?;
            out.push_str(&Json::from(&**text).to_string());
        }
        Val::Loop(..) => out.push_str("{}"),
        Val::Json(Json::Object(_)) | Val::Record(_) => {
            let pairs = items(value, budget)?;
            out.push('{');
            for index in 0..pairs.list_len().unwrap_or(0) {
                if index > 0 {
                    out.push(',');
                }
                let pair = pairs.at(index);
                write_json(&pair.at(0), out, budget)?;
                out.push(':');
                write_json(&pair.at(1), out, budget)?;
            }
            out.push('}');
        }
        Val::Json(_) | Val::List(_) => {
            out.push('[');
            for index in 0..value.list_len().unwrap_or(0) {
                if index > 0 {
                    out.push(',');
                }
                write_json(&value.at(index), out, budget)?;
            }
            out.push(']');
        }
    }
    budget.scan(out.len() - before)?;
    if out.len() > super::budget::MAX_VALUE {
        budget.make(out.len())?;
    }
    Ok(())
}
