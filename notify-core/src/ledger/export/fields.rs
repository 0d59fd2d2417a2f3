//! Reads the fields of a predicate and notes what is missing or malformed.

use super::report::FindingCode as Code;
use crate::ledger::canonical::MAX_SAFE_INTEGER;
use crate::ledger::commitment::Commitment;
use crate::ledger::statement::parse_at;
use crate::time::Timestamp;
use serde_json::{Map, Value};
use std::ops::Range;

/// What is wrong with one entry.
#[derive(Debug, Default)]
pub struct Faults(pub Vec<(Code, String)>);

impl Faults {
    pub fn add(&mut self, code: Code, reason: impl Into<String>) {
        self.0.push((code, reason.into()));
    }
}

/// One object of a predicate.
pub struct Fields<'m, 'f> {
    map: &'m Map<String, Value>,
    place: &'static str,
    pub faults: &'f mut Faults,
}

impl<'m, 'f> Fields<'m, 'f> {
    pub const fn new(map: &'m Map<String, Value>, place: &'static str, faults: &'f mut Faults) -> Self {
        Self { map, place, faults }
    }

    pub fn fault(&mut self, name: &str, reason: &str) {
        self.faults.add(Code::BadField, format!("`{}.{name}` {reason}", self.place));
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'m Value> {
        self.map.get(name)
    }

    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    fn read<T>(&mut self, name: &str, what: &str, read: impl FnOnce(&'m Value) -> Option<T>) -> Option<T> {
        let found = self.map.get(name).and_then(read);
        if found.is_none() {
            let state = if self.has(name) { "is not" } else { "is missing, it must be" };
            self.fault(name, &format!("{state} {what}"));
        }
        found
    }

    pub fn text(&mut self, name: &str) -> Option<&'m str> {
        self.read(name, "a non-empty text", |value| value.as_str().filter(|text| !text.is_empty()))
    }

    pub fn one_of(&mut self, name: &str, allowed: &[&str]) -> Option<&'m str> {
        let found = self.get(name).and_then(Value::as_str).filter(|text| allowed.contains(text));
        if found.is_none() {
            self.fault(name, &format!("must be one of {}", allowed.join(", ")));
        }
        found
    }

    pub fn number(&mut self, name: &str) -> Option<u64> {
        self.read(name, "a number from 0", |value| value.as_u64().filter(|n| *n <= MAX_SAFE_INTEGER))
    }

    pub fn time(&mut self, name: &str) -> Option<Timestamp> {
        self.read(name, "RFC 3339 UTC with three decimals", |value| value.as_str().and_then(parse_at))
    }

    pub fn commitment(&mut self, name: &str) -> Option<[u8; 32]> {
        let read = |value: &Value| value.as_str().and_then(Commitment::parse).map(|commitment| commitment.0);
        self.read(name, "`sha256:` and 64 lower-case hex", read)
    }

    /// Same text form; the name must end in `Digest`.
    pub fn digest(&mut self, name: &str) -> Option<[u8; 32]> {
        self.commitment(name)
    }

    pub fn delivery(&mut self, name: &str) -> Option<[u8; 16]> {
        self.read(name, "a delivery id", |value| parse_id("dlv_", value.as_str()?))
    }

    pub fn held(&mut self, name: &str) -> Option<[u8; 16]> {
        self.read(name, "the id of something held", |value| parse_id("hld_", value.as_str()?))
    }

    pub fn digest_id(&mut self, name: &str) -> Option<[u8; 16]> {
        self.read(name, "the id of a digest", |value| parse_id("dig_", value.as_str()?))
    }

    /// `[from, to)` with from < to ≤ `seq`.
    pub fn range(&mut self, name: &str, seq: u64) -> Option<Range<u64>> {
        self.read(name, "[from, to) of earlier entries", |value| match value.as_array()?.as_slice() {
            [from, to] => Some(from.as_u64()?..to.as_u64()?).filter(|r| r.start < r.end && r.end <= seq),
            _ => None,
        })
    }

    pub fn object(&mut self, name: &'static str) -> Option<Fields<'m, '_>> {
        let map = self.read(name, "an object", Value::as_object)?;
        Some(Fields { map, place: name, faults: self.faults })
    }

    pub fn optional_object(&mut self, name: &'static str) -> Option<Fields<'m, '_>> {
        if self.has(name) { self.object(name) } else { None }
    }

    /// Calls `each` for every element of a list of objects.
    pub fn each_object(&mut self, name: &'static str, mut each: impl FnMut(&mut Fields<'m, '_>)) {
        let items =
            self.read(name, "a list", |value| value.as_array()).map_or(&[] as &[Value], Vec::as_slice);
        for item in items {
            match item.as_object() {
                Some(map) => each(&mut Fields { map, place: name, faults: self.faults }),
                None => self.fault(name, "must hold only objects"),
            }
        }
    }

    pub fn texts(&mut self, name: &str) {
        let all_texts = |value: &Value| value.as_array()?.iter().all(Value::is_string).then_some(());
        self.read(name, "a list of texts", all_texts);
    }

    pub fn numbers(&mut self, name: &str) -> Vec<u64> {
        let read = |value: &Value| value.as_array()?.iter().map(Value::as_u64).collect();
        self.read(name, "a list of numbers", read).unwrap_or_default()
    }

    /// This kind of entry announces nothing.
    pub fn refuse_intents(&mut self) {
        if self.has("intent") || self.has("decisions") {
            self.faults.add(Code::MisplacedIntent, "an entry of this kind has no intent");
        }
    }
}

/// The 16 bytes of a prefix + 32 lower-case hex.
fn parse_id(prefix: &str, text: &str) -> Option<[u8; 16]> {
    let digits = text.strip_prefix(prefix)?;
    if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return None;
    }
    u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)
}
