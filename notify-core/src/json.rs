//! Strict JSON: what is signed and what is matched must be one document.
//!
//! `serde_json` keeps the last of two equal keys without a word. Here a duplicate key, too deep a nesting or too
//! large a text is an error that names the place.

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::cell::{Cell, RefCell};
use std::fmt;

/// Bounds on one JSON text.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the text.
    pub max_bytes: usize,
    /// Arrays and objects inside each other; the outermost counts as 1.
    pub max_depth: usize,
}

impl Default for Limits {
    /// 64 KiB and depth 64, the limits of an event (DESIGN section 4).
    fn default() -> Self {
        Self { max_bytes: 64 * 1024, max_depth: 64 }
    }
}

/// Why a text was refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    #[error("the JSON text has {actual} bytes, more than the {limit} allowed")]
    TooLarge { actual: usize, limit: usize },
    #[error("`{path}` is nested deeper than {limit} levels")]
    TooDeep { path: String, limit: usize },
    #[error("the key `{key}` appears twice in `{path}`")]
    DuplicateKey { path: String, key: String },
    #[error("not JSON: {reason} (line {line}, column {column})")]
    Syntax { reason: String, line: usize, column: usize },
}

impl JsonFault {
    /// JSON Pointer to the fault; empty for the whole document.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::TooDeep { path, .. } | Self::DuplicateKey { path, .. } => path,
            _ => "",
        }
    }
}

/// Parses one JSON text, refusing duplicate keys.
///
/// # Errors
/// [`JsonFault`], with a JSON Pointer to the place.
pub fn parse(text: &[u8], limits: Limits) -> Result<Value, JsonFault> {
    if text.len() > limits.max_bytes {
        return Err(JsonFault::TooLarge { actual: text.len(), limit: limits.max_bytes });
    }
    let state = State {
        path: RefCell::default(),
        fault: RefCell::default(),
        float_zero: Cell::new(false),
        max_depth: limits.max_depth,
    };
    let mut reader = serde_json::Deserializer::from_slice(text);
    // Our own limit is checked first and is never above serde_json's guard of 128 against stack overflow.
    let parsed = Seed { state: &state, depth: 0 }.deserialize(&mut reader);
    let parsed = parsed.and_then(|value| reader.end().map(|()| value));
    if parsed.is_ok() && state.float_zero.get() {
        refuse_underflow(text)?;
    }
    parsed.map_err(|error| {
        state.fault.take().unwrap_or_else(|| {
            let reason = error.to_string();
            let reason = reason.split(" at line ").next().unwrap_or_default().to_owned();
            JsonFault::Syntax { reason, line: error.line(), column: error.column() }
        })
    })
}

/// Escapes one reference token of a JSON Pointer (RFC 6901).
#[must_use]
pub fn pointer_token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// `1e-400` would silently become 0 (as `1e400` would become infinity, which is refused as it is read). Only texts
/// with a zero written as a float get here, so the second look costs nothing in the usual case.
fn refuse_underflow(text: &[u8]) -> Result<(), JsonFault> {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let rest = text.get(at..).unwrap_or_default();
        let length = match byte {
            b'"' => string_length(rest),
            b'0'..=b'9' => number_length(rest),
            _ => 1,
        };
        let literal = rest.get(..length).unwrap_or(rest);
        let mantissa = literal.split(|b| matches!(b, b'e' | b'E')).next().unwrap_or_default();
        if byte.is_ascii_digit()
            && mantissa.iter().any(|b| matches!(b, b'1'..=b'9'))
            && std::str::from_utf8(literal).is_ok_and(|l| l.parse() == Ok(0.0_f64))
        {
            let before = text.get(..at).unwrap_or_default();
            let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
            return Err(JsonFault::Syntax {
                reason: "number out of range".to_owned(),
                line: before.iter().filter(|b| **b == b'\n').count() + 1,
                column: at - line_start + length,
            });
        }
        at += length;
    }
    Ok(())
}

fn number_length(rest: &[u8]) -> usize {
    let inside = |b: &u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-');
    rest.iter().take_while(|b| inside(b)).count()
}

fn string_length(rest: &[u8]) -> usize {
    let mut escaped = false;
    let inside = rest.iter().skip(1).take_while(|b| {
        let ends = **b == b'"' && !escaped;
        escaped = **b == b'\\' && !escaped;
        !ends
    });
    inside.count() + 2
}

enum Step {
    Key(String),
    Index(usize),
}

struct State {
    path: RefCell<Vec<Step>>,
    fault: RefCell<Option<JsonFault>>,
    /// A zero was read from a literal with a fraction or an exponent.
    float_zero: Cell<bool>,
    max_depth: usize,
}

impl State {
    fn pointer(&self) -> String {
        self.path.borrow().iter().fold(String::new(), |mut out, step| {
            out.push('/');
            match step {
                Step::Key(key) => out.push_str(&pointer_token(key)),
                Step::Index(i) => out.push_str(&i.to_string()),
            }
            out
        })
    }
}

#[derive(Clone, Copy)]
struct Seed<'s> {
    state: &'s State,
    depth: usize,
}

impl Seed<'_> {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        let limit = self.state.max_depth.min(120);
        if self.depth >= limit {
            self.state.fault.replace(Some(JsonFault::TooDeep { path: self.state.pointer(), limit }));
            return Err(E::custom("too deep"));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }
    fn visit_f64<E: de::Error>(self, v: f64) -> Result<Value, E> {
        if v == 0.0 {
            self.state.float_zero.set(true);
        }
        Number::from_f64(v).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }
    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::String(v))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        loop {
            self.state.path.borrow_mut().push(Step::Index(items.len()));
            let item = seq.next_element_seed(inner)?;
            self.state.path.borrow_mut().pop();
            match item {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if object.contains_key(&key) {
                self.state.fault.replace(Some(JsonFault::DuplicateKey { path: self.state.pointer(), key }));
                return Err(de::Error::custom("duplicate key"));
            }
            self.state.path.borrow_mut().push(Step::Key(key.clone()));
            let value = map.next_value_seed(inner)?;
            self.state.path.borrow_mut().pop();
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let fault = parse(text.as_bytes(), Limits { max_bytes: 100, max_depth: 3 }).unwrap_err();
        assert_eq!(fault.to_string(), expected, "{text}");
    }

    #[test]
    fn faults_name_the_place() {
        check(r#"{"a":[{"b":1,"b":2}]}"#, "the key `b` appears twice in `/a/0`");
        check(r#"{"a/b":[[[]]]}"#, "`/a~1b/0/0` is nested deeper than 3 levels");
        check(&format!("\"{}\"", "x".repeat(99)), "the JSON text has 101 bytes, more than the 100 allowed");
        check("{\n \"a\": tru}", "not JSON: expected ident (line 2, column 10)");
        check("1 2", "not JSON: trailing characters (line 1, column 3)");
        check("1e999", "not JSON: number out of range (line 1, column 5)");
        check("[0.0,\n-1E-325]", "not JSON: number out of range (line 2, column 7)");
        check(r#"["\"1e-400",0.0,0.01e-330]"#, "not JSON: number out of range (line 1, column 25)");
    }

    #[test]
    fn agrees_with_serde_json_on_what_both_accept() {
        for text in [
            r#"["1e-400",0.0,0e-400,-0.0,5e-324]"#,
            r#"{"a":[1,-2,3.5,null,true,"x\u00e9"],"b":{"c":{}}}"#,
            "18446744073709551615",
            r#""""#,
        ] {
            let ours = parse(text.as_bytes(), Limits::default()).unwrap();
            assert_eq!(ours, serde_json::from_str::<Value>(text).unwrap());
        }
    }
}
