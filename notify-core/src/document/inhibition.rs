//! The inhibition document: while one thing is broken, what follows from it is not told.

use super::parse::{Parsed, is_pointer, seal};
use super::reader::Reader;
use super::scope;
use crate::duration::Length;
use crate::ids::InhibitionId;
use crate::pattern::Pattern;
use crate::problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// `schema: notify-inhibition@1`.
pub const SCHEMA: &str = "notify-inhibition@1";
/// Most values that have to be equal.
pub const MAX_EQUAL: usize = 10;
/// Longest JSON Pointer in `equal`, in characters.
pub const MAX_POINTER: usize = 1000;
/// How long a source fires without news of it, when the document does not say.
pub const DEFAULT_FOR: Length = Length::from_secs(3_600);
const MIN_FOR: Length = Length::from_secs(1);
/// Longest `for`.
pub const MAX_FOR: Length = Length::from_secs(30 * 86_400);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Inhibition {
    pub schema: String,
    pub id: InhibitionId,
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default = "yes")]
    pub enabled: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    pub source: Source,
    pub target: Target,
    /// JSON Pointers into the event: source and target have the same value there. Empty: any source mutes all targets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub equal: Vec<String>,
    /// How long a source fires without news of it.
    #[serde(default = "default_for")]
    pub r#for: Length,
}

/// What mutes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Source {
    /// An event that matches fires.
    pub r#match: Value,
    /// An event that matches ends that, also when it matches `match`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolve: Option<Value>,
}

/// What is muted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Target {
    pub r#match: Value,
}

/// The patterns of an inhibition.
#[derive(Debug, Clone)]
pub struct Patterns {
    pub source: Pattern,
    pub resolve: Option<Pattern>,
    pub target: Pattern,
}

impl Inhibition {
    /// # Errors
    /// [`Code::InvalidPattern`] with a JSON Pointer into the document.
    pub fn patterns(&self) -> Result<Patterns, Problem> {
        let compile =
            |pattern: &Value, at: &str| Pattern::compile(pattern).map_err(|problem| problem.under(at));
        Ok(Patterns {
            source: compile(&self.source.r#match, "/source/match")?,
            resolve: self.source.resolve.as_ref().map(|p| compile(p, "/source/resolve")).transpose()?,
            target: compile(&self.target.r#match, "/target/match")?,
        })
    }
}

const fn yes() -> bool {
    true
}

const fn default_for() -> Length {
    DEFAULT_FOR
}

/// # Errors
/// [`Code::InvalidInhibition`], [`Code::UnknownField`], with the place.
pub fn parse_inhibition(value: &Value) -> Result<Parsed<Inhibition>, Problem> {
    let code = Code::InvalidInhibition;
    let reader = Reader::document(value, code, SCHEMA)?;
    let known =
        ["schema", "id", "name", "description", "enabled", "labels", "source", "target", "equal", "for"];
    reader.only(&known, &[])?;
    let part = |name: &str, members: &[&str], fix: &str| -> Result<(Value, Option<Value>), Problem> {
        let part = Reader::new(reader.need(name, fix)?, reader.at(name), code)?;
        part.only(members, &[])?;
        part.need("match", "write a pattern over the event")?;
        let pattern = scope::pattern(&part, "match", code)?.unwrap_or_default();
        Ok((pattern, scope::pattern(&part, "resolve", code)?))
    };
    let (source, resolve) =
        part("source", &["match", "resolve"], "write `match` with the pattern of what mutes")?;
    let (target, _) = part("target", &["match"], "write `match` with the pattern of what is muted")?;
    let inhibition = Inhibition {
        schema: SCHEMA.to_owned(),
        id: reader.id("id")?,
        name: reader.name()?,
        description: reader.description()?,
        enabled: reader.flag("enabled", true)?,
        labels: reader.labels()?,
        source: Source { r#match: source, resolve },
        target: Target { r#match: target },
        equal: equal(&reader, code)?,
        r#for: lasting(&reader)?,
    };
    seal(inhibition, code)
}

fn equal(reader: &Reader, code: Code) -> Result<Vec<String>, Problem> {
    let mut seen = BTreeSet::new();
    let one = |(index, value): (usize, &Value)| {
        let fault = |reason: &str, fix: &str| Err(Problem::new(code, format!("/equal/{index}"), reason, fix));
        match value.as_str() {
            Some(text) if text.chars().count() > MAX_POINTER => {
                fault("this pointer is too long", "shorten it")
            }
            Some(text) if is_pointer(text) && seen.insert(text.to_owned()) => Ok(text.to_owned()),
            Some(text) if is_pointer(text) => fault("this pointer stands here twice", "name each once"),
            _ => fault("this is not a JSON Pointer", "write e.g. `/data/labels/cluster`"),
        }
    };
    reader.list("equal", 0..=MAX_EQUAL)?.iter().enumerate().map(one).collect()
}

fn lasting(reader: &Reader) -> Result<Length, Problem> {
    let fix = format!("write a duration from {MIN_FOR} to {MAX_FOR}, e.g. `1h` or `90s`");
    let Some(text) = reader.text("for", 1, 64)? else { return Ok(DEFAULT_FOR) };
    match text.parse::<Length>() {
        Ok(length) if (MIN_FOR..=MAX_FOR).contains(&length) => Ok(length),
        Ok(length) => Err(reader.fault("for", format!("{length} is out of bounds"), fix)),
        Err(error) => Err(reader.fault("for", error.to_string(), fix)),
    }
}
