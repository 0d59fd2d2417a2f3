//! RFC 8785 (JSON Canonicalization Scheme): one text per JSON value, to store, hash and sign.
//!
//! `serde_json_canonicalizer` reads each key again as JSON, sorts in trees of copies and writes through boxed
//! writers: several times the cost of parsing, on the intake path of every event. Here the value itself is brought into
//! canonical form once (members sorted, numbers in one spelling) and then written by `serde_json`, whose string
//! escapes are those of RFC 8785; only fractions are left to that crate. A property test holds both against each
//! other.

use crate::json::pointer_token;
use serde::Serialize;
use serde_json::ser::Formatter;
use serde_json::{Map, Number, Value};
use std::cmp::Ordering;
use std::io;

/// 2^53 − 1: up to here every whole number is a double of its own (RFC 7493, I-JSON).
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// A whole number that RFC 8785 cannot hold exactly, because its numbers are doubles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the number at `{path}` is beyond ±(2^53 − 1), so a canonical JSON text cannot hold it exactly")]
pub struct UnsafeInteger {
    /// JSON Pointer.
    pub path: String,
}

/// Sorts all members as RFC 8785 demands, spells all numbers in one way (`1.0`, `1e0` → `1`, `-0` → `0`) and gives
/// the canonical text. The value left behind is exactly what parsing that text gives, in the same member order, so
/// that whoever reads the stored text later sees what was seen now.
///
/// # Errors
/// [`UnsafeInteger`] for a whole number beyond ±(2^53 − 1), in any spelling.
pub fn canonicalise(value: &mut Value) -> Result<String, UnsafeInteger> {
    let mut reversed = Vec::new();
    if !normalise(value, &mut reversed) {
        let path = reversed.iter().rev().flat_map(|token| ["/", token]).collect();
        return Err(UnsafeInteger { path });
    }
    let mut text = Vec::with_capacity(256);
    let mut writer = serde_json::Serializer::with_formatter(&mut text, Fractions);
    // Writing a `Value` to memory has no error of its own: no io, string keys only.
    let written = value.serialize(&mut writer).is_ok();
    debug_assert!(written);
    Ok(String::from_utf8(text).unwrap_or_default())
}

/// `false`: refused, with the path to the place in `reversed`, innermost first.
fn normalise(value: &mut Value, reversed: &mut Vec<String>) -> bool {
    match value {
        Value::Number(number) => normalise_number(number),
        Value::Array(items) => {
            let bad = items.iter_mut().position(|item| !normalise(item, reversed));
            if let Some(index) = bad {
                reversed.push(index.to_string());
            }
            bad.is_none()
        }
        Value::Object(members) => {
            let bad =
                members.iter_mut().find_map(|(key, member)| (!normalise(member, reversed)).then_some(key));
            if let Some(key) = bad {
                reversed.push(pointer_token(key));
                return false;
            }
            sort(members);
            true
        }
        _ => true,
    }
}

fn normalise_number(number: &mut Number) -> bool {
    if let Some(n) = number.as_i64() {
        return n.unsigned_abs() <= MAX_SAFE_INTEGER;
    }
    let Some(x) = number.as_f64().filter(|_| number.is_f64()) else { return false };
    if x.fract() != 0.0 {
        return true;
    }
    if x.abs() > MAX_SAFE_INTEGER as f64 {
        return false;
    }
    *number = Number::from(x as i64);
    true
}

/// Appends the canonical text of a value without fractions that somebody else still needs as it is.
pub(crate) fn write_whole(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => {
            // Writing to memory cannot fail.
            let _ = io::Write::write_fmt(out, format_args!("{number}"));
        }
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_whole(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut members: Vec<(&str, &Value)> =
                members.iter().map(|(key, member)| (key.as_str(), member)).collect();
            write_members(&mut members, out, write_whole);
        }
    }
}

/// Appends an object: sorts its members and lets `write` append each.
pub(crate) fn write_members<T: Copy>(
    members: &mut [(&str, T)],
    out: &mut Vec<u8>,
    write: impl Fn(T, &mut Vec<u8>),
) {
    members.sort_unstable_by(|(a, _), (b, _)| by_utf16(a, b));
    out.push(b'{');
    for (index, (key, member)) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(key, out);
        out.push(b':');
        write(*member, out);
    }
    out.push(b'}');
}

/// A string with the escapes of RFC 8785, which are those of `serde_json`.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    // Writing a string to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

/// By UTF-16 code units (RFC 8785 section 3.2.3), which is not the order of UTF-8 bytes beyond the BMP.
fn sort(members: &mut Map<String, Value>) {
    if members.keys().is_sorted_by(|a, b| by_utf16(a, b).is_le()) {
        return;
    }
    let mut list: Vec<(String, Value)> = std::mem::take(members).into_iter().collect();
    list.sort_unstable_by(|(a, _), (b, _)| by_utf16(a, b));
    members.extend(list);
}

fn by_utf16(a: &str, b: &str) -> Ordering {
    if a.is_ascii() || b.is_ascii() {
        return a.cmp(b);
    }
    a.encode_utf16().cmp(b.encode_utf16())
}

/// Writes fractions as ECMAScript does; everything else as `serde_json` does by itself.
struct Fractions;

impl Formatter for Fractions {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(serde_json_canonicalizer::to_string(&value)?.as_bytes())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Any JSON value whose numbers RFC 8785 can hold.
    pub(crate) fn any_json() -> impl Strategy<Value = Value> {
        let safe = MAX_SAFE_INTEGER as i64;
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-safe..=safe).prop_map(Value::from),
            any::<f64>().prop_map(|x| if x.is_finite() && x.abs() < 9e15 { x.into() } else { 0.5.into() }),
            (-1000.0..1000.0f64).prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn equals_the_reference_implementation(value in any_json()) {
            let mut ours = value.clone();
            let text = canonicalise(&mut ours).unwrap();
            prop_assert_eq!(&text, &serde_json_canonicalizer::to_string(&value).unwrap());
            let again: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&again, &ours);
            // `==` on maps ignores the order; the texts do not.
            prop_assert_eq!(serde_json::to_string(&again).unwrap(), serde_json::to_string(&ours).unwrap());
        }

        #[test]
        fn a_borrowed_value_gives_the_same_text(value in any_json()) {
            let whole = without_fractions(value);
            let mut text = Vec::new();
            write_whole(&whole, &mut text);
            prop_assert_eq!(text, serde_json_canonicalizer::to_vec(&whole).unwrap());
        }
    }

    fn without_fractions(value: Value) -> Value {
        match value {
            Value::Number(number) if number.is_f64() => (number.as_f64().unwrap_or_default() as i32).into(),
            Value::Array(items) => items.into_iter().map(without_fractions).collect(),
            Value::Object(members) => {
                members.into_iter().map(|(key, member)| (key, without_fractions(member))).collect()
            }
            other => other,
        }
    }

    fn check(text: &str, expected: &str) {
        let mut value: Value = serde_json::from_str(text).unwrap();
        let shown = canonicalise(&mut value).unwrap_or_else(|e| format!("unsafe at {}", e.path));
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn numbers_order_and_escapes() {
        check(r#"[1.0,-0,-0.0,1e2,0.1e-6,1E-7,0.000001]"#, "[1,0,0,100,1e-7,1e-7,0.000001]");
        check(r#"{"b":1,"a":{"z":2,"y":3}}"#, r#"{"a":{"y":3,"z":2},"b":1}"#);
        // U+FB33 is greater than the surrogates of U+1F600 as UTF-16, less as UTF-8 (RFC 8785 section 3.2.3).
        check("{\"\u{fb33}\":1,\"\u{1f600}\":2}", "{\"\u{1f600}\":2,\"\u{fb33}\":1}");
        check(r#""\u20ac\u0007\u000a\u007f\/\"""#, "\"€\\u0007\\n\u{7f}/\\\"\"");
        check("9007199254740991", "9007199254740991");
        check(r#"{"a":[0,{"x/y":9007199254740992}]}"#, "unsafe at /a/1/x~1y");
        check("-9007199254740992", "unsafe at ");
        check("[9007199254740993.0]", "unsafe at /0");
        check("[18446744073709551616]", "unsafe at /0");
        check("[1e300]", "unsafe at /0");
    }
}
