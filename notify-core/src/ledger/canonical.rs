//! RFC 8785 (JCS) under the ledger profile: integers only, within ±(2^53−1).
//!
//! With that restriction the canonical form is trivially stable: no float formatting, nothing that a reader who
//! turns every number into a double could change. Both directions refuse before they canonicalise, because
//! `serde_json` and every JCS crate round silently.

use crate::jcs;
use crate::json::{self, JsonFault, Limits, pointer_token};
use serde_json::{Map, Value};

/// 2^53 − 1: the largest integer that every JSON reader keeps exactly.
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Objects and arrays inside each other that a statement may have.
pub const MAX_DEPTH: usize = 32;

/// Why a value has no canonical form in the ledger, or a text is not in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalFault {
    #[error("`{path}` is not an integer")]
    Float { path: String },
    #[error("`{path}` is beyond ±(2^53−1)")]
    TooBig { path: String },
    #[error(transparent)]
    Json(#[from] JsonFault),
    #[error("the text is not in RFC 8785 form")]
    NotCanonical,
}

/// Refuses floats and integers beyond ±(2^53−1) anywhere in `value`.
///
/// # Errors
/// [`CanonicalFault::Float`] or [`CanonicalFault::TooBig`] with a JSON Pointer.
pub fn check_numbers(value: &Value) -> Result<(), CanonicalFault> {
    check_at(value).map_err(Misfit::into_fault)
}

/// The same for the fields of an object that is not yet inside a [`Value`].
///
/// # Errors
/// As [`check_numbers`].
pub fn check_object_numbers(object: &Map<String, Value>) -> Result<(), CanonicalFault> {
    check_members(object).map_err(Misfit::into_fault)
}

/// The path is built only on the way out of a fault: checking a sound value allocates nothing.
struct Misfit {
    float: bool,
    reversed: Vec<String>,
}

impl Misfit {
    fn under(mut self, token: impl FnOnce() -> String) -> Self {
        self.reversed.push(token());
        self
    }
    fn into_fault(self) -> CanonicalFault {
        let path = self.reversed.iter().rev().fold(String::new(), |path, token| path + "/" + token);
        if self.float { CanonicalFault::Float { path } } else { CanonicalFault::TooBig { path } }
    }
}

fn check_members(object: &Map<String, Value>) -> Result<(), Misfit> {
    object.iter().try_for_each(|(key, value)| check_at(value).map_err(|m| m.under(|| pointer_token(key))))
}

fn check_at(value: &Value) -> Result<(), Misfit> {
    match value {
        Value::Number(number) => {
            let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            match magnitude {
                Some(magnitude) if magnitude <= MAX_SAFE_INTEGER => Ok(()),
                found => Err(Misfit { float: found.is_none(), reversed: vec![] }),
            }
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(i, item)| check_at(item).map_err(|m| m.under(|| i.to_string()))),
        Value::Object(object) => check_members(object),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

/// RFC 8785 bytes.
///
/// # Errors
/// When `value` holds a float or an integer beyond ±(2^53−1).
pub fn to_canonical(value: &Value) -> Result<Vec<u8>, CanonicalFault> {
    check_numbers(value)?;
    let mut text = Vec::with_capacity(256);
    jcs::write_whole(value, &mut text);
    Ok(text)
}

/// Parses a text that must already be in canonical form.
///
/// # Errors
/// Not JSON, a duplicate key, a float, an integer out of range, too long or deep, or another form than RFC 8785's.
pub fn parse_canonical(text: &[u8], max_bytes: usize) -> Result<Value, CanonicalFault> {
    if text.len() <= max_bytes
        && let Some(value) = super::scan::scan(text)
    {
        return Ok(value);
    }
    let value = json::parse(text, Limits { max_bytes, max_depth: MAX_DEPTH })?;
    if to_canonical(&value)? != text {
        return Err(CanonicalFault::NotCanonical);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use sha2::{Digest, Sha256};

    fn check(text: &str, expected: Result<(), &str>) {
        let got = parse_canonical(text.as_bytes(), 1000).map(|_| ()).map_err(|fault| fault.to_string());
        assert_eq!(got, expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn only_the_canonical_form_passes() {
        check(r#"{"a":[1,-9007199254740991,9007199254740991],"b":"é\u001f/"}"#, Ok(()));
        check(r#"{"a":{"b":[0,1.5]}}"#, Err("`/a/b/1` is not an integer"));
        check(r#"{"a":1.0}"#, Err("`/a` is not an integer"));
        check(r#"{"a":-0}"#, Err("`/a` is not an integer"));
        check(r#"{"a":1e3}"#, Err("`/a` is not an integer"));
        check(r#"{"a/b":9007199254740992}"#, Err("`/a~1b` is beyond ±(2^53−1)"));
        check(r#"[-9007199254740992]"#, Err("`/0` is beyond ±(2^53−1)"));
        check(r#"[18446744073709551616]"#, Err("`/0` is not an integer"));
        check(r#"{"a":1,"a":1}"#, Err("the key `a` appears twice in ``"));
        for other in [
            r#"{"b":1,"a":2}"#,
            r#"{"a": 1}"#,
            r#"{"a":"\/"}"#,
            r#"{"a":"\u00e9"}"#,
            "{\"a\":1}\n",
            r#"["\u001F"]"#,
        ] {
            check(other, Err("the text is not in RFC 8785 form"));
        }
    }

    #[test]
    fn keys_sort_by_utf16_code_units() {
        let value = json!({"\u{e000}": 2, "\u{10000}": 1, "a": 0});
        assert_eq!(
            String::from_utf8(to_canonical(&value).unwrap()).unwrap(),
            "{\"a\":0,\"\u{10000}\":1,\"\u{e000}\":2}"
        );
    }

    #[test]
    fn strings_are_escaped_as_ecmascript_does_and_not_normalised() {
        let value = json!("\u{8}\t\n\u{c}\r\u{0}\u{1f}\u{7f}\"\\/A\u{30a}\u{2028}");
        assert_eq!(
            String::from_utf8(to_canonical(&value).unwrap()).unwrap(),
            "\"\\b\\t\\n\\f\\r\\u0000\\u001f\u{7f}\\\"\\\\/A\u{30a}\u{2028}\""
        );
    }

    /// RFC 8785 number vectors (bits of the double, text): what the library below the profile does.
    #[test]
    fn the_library_formats_doubles_as_rfc_8785_asks() {
        for (bits, text) in [
            (0x0000_0000_0000_0000_u64, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            let double = f64::from_bits(bits);
            assert_eq!(serde_json_canonicalizer::to_string(&double).unwrap(), text, "{bits:016x}");
            if double.fract() != 0.0 {
                assert!(
                    to_canonical(&json!(double)).is_err(),
                    "{text} is a float and stays out of the ledger"
                );
            }
        }
    }

    #[test]
    fn length_and_depth_are_bounded() {
        assert!(matches!(
            parse_canonical(&[b'1'; 11], 10),
            Err(CanonicalFault::Json(JsonFault::TooLarge { actual: 11, limit: 10 }))
        ));
        let deep = "[".repeat(MAX_DEPTH + 1) + &"]".repeat(MAX_DEPTH + 1);
        assert!(matches!(
            parse_canonical(deep.as_bytes(), 1000),
            Err(CanonicalFault::Json(JsonFault::TooDeep { .. }))
        ));
        // A fixed point: the digest of a nested document does not depend on the order it was built in.
        let digest = Sha256::digest(to_canonical(&json!({"z": {"y": 1, "x": [{"b": 1, "a": 2}]}})).unwrap());
        assert_eq!(digest, Sha256::digest(br#"{"z":{"x":[{"a":2,"b":1}],"y":1}}"#));
    }
}
