//! Values inside a template: borrowed from the event where possible, so that rendering copies almost nothing.

use super::budget::{Budget, Fault, Outcome};
use serde_json::Value as Json;
use std::cmp::Ordering;
use std::ops::Deref;
use std::rc::Rc;

/// Text, borrowed from the event or the template, or shared. Cloning never copies the bytes.
#[derive(Debug, Clone)]
pub enum Text<'e> {
    Borrowed(&'e str),
    Shared(Rc<str>),
}

impl Deref for Text<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self::Shared(text.into())
    }
}

#[derive(Debug, Clone)]
pub enum Val<'e> {
    /// Something the event does not have. It may be asked about (`default`, `is defined`), not used.
    Undefined,
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Text<'e>),
    /// Markdown that is safe in `body`: made by `t()` and the Markdown filters, never by event data.
    Safe(Text<'e>),
    /// An array or object of the event.
    Json(&'e Json),
    List(Rc<Vec<Val<'e>>>),
    /// A small object of ours, such as `rule`.
    Record(&'e [(&'static str, &'e str)]),
    /// The `loop` variable: index from 0, length.
    Loop(usize, usize),
}

impl<'e> Val<'e> {
    pub fn of(json: &'e Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(yes) => Self::Bool(*yes),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(int), _) => Self::Int(int),
                // Beyond i64 only the text is exact.
                (None, _) if number.is_u64() => Self::text(number.to_string()),
                (None, Some(float)) => Self::Float(float),
                (None, None) => Self::text(number.to_string()),
            },
            Json::String(text) => Self::Text(Text::Borrowed(text)),
            Json::Array(_) | Json::Object(_) => Self::Json(json),
        }
    }

    pub fn text(text: String) -> Self {
        Self::Text(text.into())
    }

    pub fn list(items: Vec<Self>) -> Self {
        Self::List(Rc::new(items))
    }

    pub fn kind(&self) -> &'static str {
        match self {
            Self::Undefined => "undefined",
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) | Self::Safe(_) => "a text",
            Self::List(_) | Self::Json(Json::Array(_)) => "a list",
            Self::Json(_) | Self::Record(_) | Self::Loop(..) => "an object",
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Safe(text) => Some(text),
            _ => None,
        }
    }

    /// A text, number or boolean as text; `null` is empty.
    pub fn to_text(&self) -> Outcome<Text<'e>> {
        Ok(match self {
            Self::Text(text) | Self::Safe(text) => text.clone(),
            Self::Null => Text::Borrowed(""),
            Self::Bool(yes) => Text::Borrowed(if *yes { "true" } else { "false" }),
            Self::Int(int) => int.to_string().into(),
            Self::Float(float) => float_text(*float).into(),
            Self::Undefined => return Err(Fault::new("a value that does not exist was used as text", "")),
            other => {
                return Err(Fault::new(
                    format!("{} cannot be shown as text", other.kind()),
                    "name one of its members, loop over it, or use `join` or `tojson`",
                ));
            }
        })
    }

    pub fn truthy(&self) -> bool {
        match self {
            Self::Undefined | Self::Null => false,
            Self::Bool(yes) => *yes,
            Self::Int(int) => *int != 0,
            Self::Float(float) => *float != 0.0,
            Self::Text(text) | Self::Safe(text) => !text.is_empty(),
            Self::Record(_) | Self::Loop(..) => true,
            Self::Json(_) | Self::List(_) => self.len() != Some(0),
        }
    }

    /// Members of a list or object, characters of a text.
    pub fn len(&self) -> Option<usize> {
        Some(match self {
            Self::Text(text) | Self::Safe(text) => text.chars().count(),
            Self::Json(Json::Array(items)) => items.len(),
            Self::Json(Json::Object(members)) => members.len(),
            Self::List(items) => items.len(),
            _ => return None,
        })
    }

    /// How many items a list has; nothing else is a list.
    pub fn list_len(&self) -> Option<usize> {
        match self {
            Self::Json(Json::Array(items)) => Some(items.len()),
            Self::List(items) => Some(items.len()),
            _ => None,
        }
    }

    pub fn at(&self, index: usize) -> Self {
        match self {
            Self::Json(Json::Array(items)) => items.get(index).map_or(Self::Undefined, Self::of),
            Self::List(items) => items.get(index).cloned().unwrap_or(Self::Undefined),
            _ => Self::Undefined,
        }
    }

    pub fn attr(&self, name: &str) -> Self {
        match self {
            Self::Json(Json::Object(members)) => members.get(name).map_or(Self::Undefined, Self::of),
            Self::Record(members) => members
                .iter()
                .find(|(key, _)| *key == name)
                .map_or(Self::Undefined, |(_, value)| Self::Text(Text::Borrowed(value))),
            Self::Loop(index, length) => match name {
                "index" => Self::Int(to_int(index + 1)),
                "index0" => Self::Int(to_int(*index)),
                "first" => Self::Bool(*index == 0),
                "last" => Self::Bool(index + 1 == *length),
                "length" => Self::Int(to_int(*length)),
                _ => Self::Undefined,
            },
            _ => Self::Undefined,
        }
    }

    /// Equality of scalars; lists and objects are never equal to anything.
    pub fn equals(&self, other: &Self, budget: &Budget) -> Outcome<bool> {
        Ok(match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            _ => match (self.as_str(), other.as_str()) {
                (Some(a), Some(b)) => {
                    budget.scan(a.len().min(b.len()))?;
                    a == b
                }
                _ => self.order_numbers(other) == Some(Ordering::Equal),
            },
        })
    }

    /// Order of two numbers or two texts (by code point); `None` for anything else.
    pub fn order(&self, other: &Self, budget: &Budget) -> Outcome<Option<Ordering>> {
        if let (Some(a), Some(b)) = (self.as_str(), other.as_str()) {
            budget.scan(a.len().min(b.len()))?;
            return Ok(Some(a.cmp(b)));
        }
        Ok(self.order_numbers(other))
    }

    fn order_numbers(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) => Some(a.cmp(b)),
            _ => self.number()?.partial_cmp(&other.number()?),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a comparison or division of mixed numbers is a float's")]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Int(int) => Some(*int as f64),
            Self::Float(float) => Some(*float),
            _ => None,
        }
    }
}

/// Lengths fit: nothing here has 2^63 members.
pub fn to_int(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// A float as JSON writes it, so that an event's number looks the same in a message.
pub fn float_text(float: f64) -> String {
    serde_json::Number::from_f64(float).map_or_else(|| "NaN".to_owned(), |number| number.to_string())
}
