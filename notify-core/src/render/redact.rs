//! Redaction: what a template's author wants hidden is gone before anything is rendered, fallback included.

use crate::document::template::Redaction;
use crate::problem::{Code, Problem};
use regex::{Regex, RegexBuilder};
use serde_json::Value;
use std::borrow::Cow;

/// What stands in place of a hidden value.
pub const MARK: &str = "‹redacted›";
const MAX_RULES: usize = 50;
const MAX_PATTERN: usize = 1_000;
/// Bytes of one compiled pattern; the crate's own default is ten times that.
const PATTERN_SIZE: usize = 1024 * 1024;
/// A text that grows beyond this by marking is hidden whole.
const MAX_TEXT: usize = 64 * 1024;

/// Compiled redactions of one template.
#[derive(Debug, Default)]
pub struct Redactor {
    paths: Vec<Vec<Box<str>>>,
    patterns: Vec<Regex>,
}

impl Redactor {
    /// # Errors
    /// A [`Problem`] that names the entry.
    pub fn compile(redactions: &[Redaction]) -> Result<Self, Problem> {
        let mut redactor = Self::default();
        if redactions.len() > MAX_RULES {
            return Err(invalid("/redact".into(), format!("more than {MAX_RULES} redactions"), "merge some"));
        }
        for (index, redaction) in redactions.iter().enumerate() {
            let place = format!("/redact/{index}");
            match (&redaction.path, &redaction.pattern) {
                (Some(path), None) => redactor.paths.push(tokens(path, &place)?),
                (None, Some(pattern)) => redactor.patterns.push(regex(pattern, &place)?),
                _ => {
                    return Err(invalid(
                        place,
                        "neither or both of `path` and `pattern` are given",
                        "give exactly one",
                    ));
                }
            }
        }
        Ok(redactor)
    }

    /// The event with everything hidden that is to be hidden.
    pub fn apply<'e>(&self, event: &'e Value) -> Cow<'e, Value> {
        if self.paths.is_empty() && self.patterns.is_empty() {
            return Cow::Borrowed(event);
        }
        let mut event = event.clone();
        for path in &self.paths {
            hide(&mut event, path);
        }
        if !self.patterns.is_empty() {
            self.hide_hits(&mut event);
        }
        Cow::Owned(event)
    }

    fn hide_hits(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                for pattern in &self.patterns {
                    if let Cow::Owned(marked) = mark(pattern, text) {
                        *text = marked;
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide_hits(item)),
            Value::Object(members) => members.values_mut().for_each(|member| self.hide_hits(member)),
            _ => {}
        }
    }
}

fn invalid(path: String, reason: impl Into<String>, fix: &str) -> Problem {
    Problem::new(Code::InvalidTemplate, path, reason, fix)
}

fn tokens(path: &str, place: &str) -> Result<Vec<Box<str>>, Problem> {
    let Some(inner) = path.strip_prefix('/') else {
        return Err(invalid(
            format!("{place}/path"),
            format!("`{path}` is not a JSON Pointer into the event"),
            "begin with `/`, as in `/data/user/email`; `*` stands for every element",
        ));
    };
    Ok(inner.split('/').map(|token| token.replace("~1", "/").replace("~0", "~").into()).collect())
}

fn regex(pattern: &str, place: &str) -> Result<Regex, Problem> {
    let place = format!("{place}/pattern");
    if pattern.len() > MAX_PATTERN {
        return Err(invalid(place, format!("the pattern is longer than {MAX_PATTERN} bytes"), "shorten it"));
    }
    let built = RegexBuilder::new(pattern).size_limit(PATTERN_SIZE).dfa_size_limit(PATTERN_SIZE).build();
    let regex = built.map_err(|error| {
        let text = error.to_string();
        let reason = text.lines().last().unwrap_or_default().trim().to_owned();
        invalid(
            place.clone(),
            reason,
            "see docs.rs/regex for the syntax; look-around and back-references are not offered",
        )
    })?;
    if regex.is_match("") {
        return Err(invalid(
            place,
            "the pattern also fits an empty text",
            "make it demand at least one character",
        ));
    }
    Ok(regex)
}

fn hide(value: &mut Value, path: &[Box<str>]) {
    let Some((token, rest)) = path.split_first() else {
        *value = Value::String(MARK.to_owned());
        return;
    };
    match value {
        Value::Object(members) if &**token == "*" => {
            members.values_mut().for_each(|member| hide(member, rest))
        }
        Value::Array(items) if &**token == "*" => items.iter_mut().for_each(|item| hide(item, rest)),
        Value::Object(members) => {
            if let Some(member) = members.get_mut(&**token) {
                hide(member, rest);
            }
        }
        Value::Array(items) => {
            if let Some(item) = token.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                hide(item, rest);
            }
        }
        _ => {}
    }
}

/// Each hit as one mark; hits that touch share it.
fn mark<'t>(pattern: &Regex, text: &'t str) -> Cow<'t, str> {
    let mut out = String::new();
    let mut shown = 0;
    for hit in pattern.find_iter(text) {
        let between = text.get(shown..hit.start()).unwrap_or_default();
        if out.is_empty() || !between.is_empty() {
            out.push_str(between);
            out.push_str(MARK);
        }
        shown = hit.end();
        if out.len() > MAX_TEXT.max(text.len()) {
            return Cow::Owned(MARK.to_owned());
        }
    }
    if shown == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(text.get(shown..).unwrap_or_default());
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(rule: Value, event: Value, expected: Value) {
        let rules: Vec<Redaction> = serde_json::from_value(json!([rule])).unwrap();
        assert_eq!(*Redactor::compile(&rules).unwrap().apply(&event), expected, "{rule}");
    }

    #[test]
    fn paths_and_patterns() {
        let event = || json!({"data": {"users": [{"mail": "a@x.example", "n": 1}, {"mail": "b@x.example"}], "k/ey": "v"}});
        check(
            json!({"path": "/data/users/*/mail"}),
            event(),
            json!({"data": {"users": [{"mail": MARK, "n": 1}, {"mail": MARK}], "k/ey": "v"}}),
        );
        check(json!({"path": "/data/users"}), event(), json!({"data": {"users": MARK, "k/ey": "v"}}));
        check(json!({"path": "/data/k~1ey"}), json!({"data": {"k/ey": 7}}), json!({"data": {"k/ey": MARK}}));
        check(json!({"path": "/data/users/1/mail"}), json!({"data": {}}), json!({"data": {}}));
        check(
            json!({"pattern": r"[a-z]+@x\.example"}),
            event(),
            json!({"data": {"users": [{"mail": MARK, "n": 1}, {"mail": MARK}], "k/ey": "v"}}),
        );
        check(json!({"pattern": "tok_[0-9]+"}), json!("a tok_1tok_2 b"), json!(format!("a {MARK} b")));
        // One letter of two: the text would become seven times as long.
        check(json!({"pattern": "a"}), json!("ab".repeat(60_000)), json!(MARK));
    }

    #[test]
    fn refused() {
        for (rule, word) in [
            (json!({}), "neither"),
            (json!({"path": "/a", "pattern": "b"}), "neither or both"),
            (json!({"path": "data"}), "JSON Pointer"),
            (json!({"pattern": "(a"}), "unclosed"),
            (json!({"pattern": "a*"}), "empty"),
            (json!({"pattern": "(a{1000}){1000}"}), "size"),
            (json!({"pattern": "(?=a)"}), "look-around"),
        ] {
            let rules: Vec<Redaction> = serde_json::from_value(json!([rule])).unwrap();
            let problem = Redactor::compile(&rules).unwrap_err();
            assert!(problem.reason.contains(word), "{problem}");
            assert!(problem.path.starts_with("/redact/0"), "{problem}");
        }
    }
}
