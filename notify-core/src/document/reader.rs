//! Reads the members of a document with their places: what `serde` cannot do is say where, and what else was meant.

use crate::json::pointer_token;
use crate::problem::{Code, Problem};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Longest `name`, in characters.
pub(super) const MAX_NAME: usize = 200;
/// Longest `description`, in characters.
pub(super) const MAX_DESCRIPTION: usize = 2000;
/// Most `labels`.
pub(super) const MAX_LABELS: usize = 64;
/// Longest label name, in characters.
pub(super) const MAX_LABEL_NAME: usize = 63;
/// Longest label value, in characters.
pub(super) const MAX_LABEL_VALUE: usize = 256;

/// One JSON object of a document, with its place and the code of what is wrong in it.
pub(super) struct Reader<'v> {
    members: &'v Map<String, Value>,
    path: String,
    code: Code,
}

impl<'v> Reader<'v> {
    pub fn new(value: &'v Value, path: impl Into<String>, code: Code) -> Result<Self, Problem> {
        let path = path.into();
        match value {
            Value::Object(members) => Ok(Self { members, path, code }),
            other => {
                let reason = format!("{} stands where an object belongs", kind(other));
                Err(Problem::new(code, path, reason, "write `key: value` members"))
            }
        }
    }

    /// The document itself: an object whose `schema` is the expected one.
    pub fn document(value: &'v Value, code: Code, schema: &str) -> Result<Self, Problem> {
        let reader = Self::new(value, "", code)?;
        let fix = format!("write `schema: {schema}`");
        match reader.members.get("schema") {
            Some(Value::String(text)) if text == schema => Ok(reader),
            Some(_) => Err(reader.fault("schema", format!("`schema` is not `{schema}`"), fix)),
            None => Err(reader.fault("schema", "`schema` is missing", fix)),
        }
    }

    /// Refuses members that are not known, and those whose feature does not exist yet.
    pub fn only(&self, known: &[&str], not_yet: &[(&str, &str)]) -> Result<(), Problem> {
        let stranger = self.members.keys().find(|name| !known.contains(&name.as_str()));
        let Some(name) = stranger else { return Ok(()) };
        if let Some((_, feature)) = not_yet.iter().find(|(field, _)| field == name) {
            let reason =
                format!("this version does not have {feature} yet, so `{name}` would have no effect");
            let fix = format!("leave `{name}` out");
            return Err(Problem::new(Code::UnsupportedFeature, self.at(name), reason, fix));
        }
        let shown: String = name.chars().take(80).collect();
        let known_too = known.iter().copied().chain(not_yet.iter().map(|(field, _)| *field));
        let fix = match nearest(name, known_too) {
            Some(meant) => format!("did you mean `{meant}`? Known here: {}", known.join(", ")),
            None => format!("known here: {}", known.join(", ")),
        };
        Err(Problem::new(Code::UnknownField, self.at(name), format!("`{shown}` is not known here"), fix))
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub const fn code(&self) -> Code {
        self.code
    }

    pub fn at(&self, name: &str) -> String {
        format!("{}/{}", self.path, pointer_token(name))
    }

    pub fn fault(&self, name: &str, reason: impl Into<String>, fix: impl Into<String>) -> Problem {
        Problem::new(self.code, self.at(name), reason, fix)
    }

    pub fn get(&self, name: &str) -> Option<&'v Value> {
        self.members.get(name)
    }

    pub fn need(&self, name: &str, fix: &str) -> Result<&'v Value, Problem> {
        self.get(name).ok_or_else(|| self.fault(name, format!("`{name}` is missing"), fix))
    }

    fn wrong(&self, name: &str, value: &Value, expected: &str) -> Problem {
        self.fault(name, format!("`{name}` is {}", kind(value)), format!("write {expected}"))
    }

    /// A text of 1 to `max` characters without control characters.
    pub fn line(&self, name: &str, max: usize) -> Result<Option<String>, Problem> {
        let Some(text) = self.text(name, 1, max)? else { return Ok(None) };
        if text.chars().any(char::is_control) {
            return Err(self.fault(
                name,
                format!("`{name}` has control characters"),
                "write one line of plain text",
            ));
        }
        Ok(Some(text))
    }

    /// A text of `min` to `max` characters, with line breaks or not.
    pub fn text(&self, name: &str, min: usize, max: usize) -> Result<Option<String>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let Value::String(text) = value else { return Err(self.wrong(name, value, "a text (in quotes)")) };
        let count = text.chars().count();
        if count < min {
            return Err(self.fault(name, format!("`{name}` is empty"), "write some text"));
        }
        if count > max {
            let reason = format!("`{name}` has {count} characters, more than the {max} allowed");
            return Err(self.fault(name, reason, "shorten it"));
        }
        Ok(Some(text.clone()))
    }

    /// The parts that all documents share.
    pub fn name(&self) -> Result<String, Problem> {
        self.line("name", MAX_NAME)?
            .ok_or_else(|| self.fault("name", "`name` is missing", "name it for people"))
    }

    pub fn description(&self) -> Result<String, Problem> {
        Ok(self.text("description", 0, MAX_DESCRIPTION)?.unwrap_or_default())
    }

    pub fn labels(&self) -> Result<BTreeMap<String, String>, Problem> {
        let Some(value) = self.get("labels") else { return Ok(BTreeMap::new()) };
        let labels = Reader::new(value, self.at("labels"), self.code)?;
        if labels.members.len() > MAX_LABELS {
            let reason = format!("{} labels are more than the {MAX_LABELS} allowed", labels.members.len());
            return Err(self.fault("labels", reason, "keep those that you search by"));
        }
        for name in labels.members.keys() {
            if !is_label_name(name) {
                let reason = "a label's name is 1 to 63 characters from A-Z, a-z, 0-9, `-`, `_`, `.` and `/`";
                return Err(labels.fault(name, reason, "rename it"));
            }
        }
        let one =
            |name: &String| Ok((name.clone(), labels.text(name, 0, MAX_LABEL_VALUE)?.unwrap_or_default()));
        labels.members.keys().map(one).collect()
    }

    pub fn flag(&self, name: &str, default: bool) -> Result<bool, Problem> {
        match self.get(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.wrong(name, other, "`true` or `false`")),
        }
    }

    /// A whole number in `range`; `2.0` is one too, as in JSON Schema.
    pub fn whole(&self, name: &str, range: std::ops::RangeInclusive<i64>) -> Result<Option<i64>, Problem> {
        self.get(name)
            .map(|value| {
                whole(value, &range).map_err(|reason| {
                    let fix = format!("write a whole number from {} to {}", range.start(), range.end());
                    self.fault(name, format!("`{name}` {reason}"), fix)
                })
            })
            .transpose()
    }

    /// A required identifier.
    pub fn id<T: std::str::FromStr<Err = crate::ids::InvalidId>>(&self, name: &str) -> Result<T, Problem> {
        self.optional_id(name)?.ok_or_else(|| {
            self.fault(name, format!("`{name}` is missing"), format!("write {}", crate::ids::SLUG_RULE))
        })
    }

    pub fn optional_id<T: std::str::FromStr<Err = crate::ids::InvalidId>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let Value::String(text) = value else { return Err(self.wrong(name, value, "a text (in quotes)")) };
        text.parse().map(Some).map_err(|error: crate::ids::InvalidId| {
            self.fault(name, format!("`{name}` is not a valid {}", error.kind), format!("use {}", error.rule))
        })
    }

    pub fn locale(&self, name: &str) -> Result<Option<String>, Problem> {
        let Some(text) = self.line(name, 35)? else { return Ok(None) };
        if is_locale(&text) {
            return Ok(Some(text));
        }
        let fix = "write a BCP 47 tag such as `en`, `de-AT` or `zh-Hant-TW`";
        Err(self.fault(name, format!("`{name}` is not a language tag"), fix))
    }

    pub fn list(&self, name: &str, range: std::ops::RangeInclusive<usize>) -> Result<&'v [Value], Problem> {
        let items = match self.get(name) {
            None if range.contains(&0) => return Ok(&[]),
            None => return Err(self.fault(name, format!("`{name}` is missing"), "write a list")),
            Some(Value::Array(items)) => items,
            Some(other) => return Err(self.wrong(name, other, "a list")),
        };
        if range.contains(&items.len()) {
            return Ok(items);
        }
        let reason = format!("`{name}` has {} elements", items.len());
        Err(self.fault(name, reason, format!("write {} to {}", range.start(), range.end())))
    }

    pub fn members(&self) -> &'v Map<String, Value> {
        self.members
    }
}

/// See [`Reader::whole`].
pub(super) fn whole(value: &Value, range: &std::ops::RangeInclusive<i64>) -> Result<i64, String> {
    #[allow(clippy::cast_possible_truncation)] // whole and far below 2^63 by the test before
    let number = value
        .as_i64()
        .or_else(|| value.as_f64().filter(|x| x.fract() == 0.0 && x.abs() < 1e15).map(|x| x as i64));
    match number {
        Some(number) if range.contains(&number) => Ok(number),
        Some(number) => Err(format!("is {number}")),
        None if value.is_number() => Err("is not a whole number in range".to_owned()),
        None => Err(format!("is {}", kind(value))),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty (null)",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn is_label_name(name: &str) -> bool {
    (1..=MAX_LABEL_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b))
}

/// `language[-Script][-REGION][-variant…]` of BCP 47 (RFC 5646): what a text bundle can be found by. Extensions and
/// private use carry no text of their own and are refused.
pub(super) fn is_locale(text: &str) -> bool {
    let alpha = |part: &str| part.bytes().all(|b| b.is_ascii_alphabetic());
    let digit = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let mut parts = text.split('-').peekable();
    let language = parts.next().unwrap_or_default();
    if !(2..=3).contains(&language.len()) || !alpha(language) {
        return false;
    }
    parts.next_if(|part| part.len() == 4 && alpha(part));
    parts.next_if(|part| (part.len() == 2 && alpha(part)) || (part.len() == 3 && digit(part)));
    parts.all(|part| {
        part.bytes().all(|b| b.is_ascii_alphanumeric())
            && ((5..=8).contains(&part.len())
                || (part.len() == 4 && part.bytes().next().is_some_and(|b| b.is_ascii_digit())))
    })
}

/// The known name that was probably meant: equal but for case and separators, or at most two edits away (one for
/// short names).
fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let fold = |text: &str| text.to_lowercase().replace(['-', '_', ' '], "");
    let folded = fold(name);
    if folded.len() > 64 {
        return None;
    }
    let scored = known.map(|candidate| (edits(&folded, &fold(candidate)), candidate));
    let (distance, best) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= if best.len() <= 4 { 1 } else { 2 }).then_some(best)
}

/// Levenshtein distance, by characters.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, cb) in row.iter_mut().skip(1).zip(&b) {
            let up = *cell;
            left = (diagonal + usize::from(ca != *cb)).min(up + 1).min(left + 1);
            diagonal = up;
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let known = || ["channel", "template", "locale", "id", "quietHours"].into_iter();
        for (name, expected) in [
            ("chanel", Some("channel")),
            ("Channel", Some("channel")),
            ("quiet_hours", Some("quietHours")),
            ("tmplate", Some("template")),
            ("ids", Some("id")),
            ("xyz", None),
            ("recipient", None),
        ] {
            assert_eq!(nearest(name, known()), expected, "{name}");
        }
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
    }

    #[test]
    fn locales() {
        for good in ["en", "de-AT", "zh-Hant-TW", "es-419", "sl-rozaj", "de-1996", "gsw", "EN-us"] {
            assert!(is_locale(good), "{good}");
            assert!(good.parse::<unic_langid::LanguageIdentifier>().is_ok(), "{good}");
        }
        for bad in
            ["", "e", "english", "en_US", "en-", "-en", "en-u-ca-gregory", "x-a", "en-USA", "12", "en--US"]
        {
            assert!(!is_locale(bad), "{bad}");
        }
    }
}
