//! The values of an event that a control's key names.

use super::key::StateKey;
use serde_json::Value;

/// The state key of `kind`, its `owner` (rule, action, …) and the values at JSON Pointers of an event.
///
/// Values count by what they are: `1` and `"1"` differ, an absent value is null, and objects are equal in any order of
/// their members.
#[must_use]
pub fn state_key(kind: &str, owner: &[&str], pointers: &[String], event: &Value) -> StateKey {
    let mut bytes = Vec::with_capacity(256);
    for part in [kind].iter().chain(owner) {
        with_length(&mut bytes, |bytes| bytes.extend_from_slice(part.as_bytes()));
    }
    // The pointers too: what was remembered by other values says nothing of these.
    for pointer in pointers {
        with_length(&mut bytes, |bytes| bytes.extend_from_slice(pointer.as_bytes()));
        with_length(&mut bytes, |bytes| canonical(bytes, event.pointer(pointer).unwrap_or(&Value::Null)));
    }
    StateKey::of_parts(&bytes)
}

/// One part, preceded by its length. In one buffer, because keys are made several times for each alert.
fn with_length(bytes: &mut Vec<u8>, part: impl FnOnce(&mut Vec<u8>)) {
    let at = bytes.len();
    bytes.extend_from_slice(&[0; 8]);
    part(bytes);
    let length = (bytes.len() - at - 8) as u64;
    if let Some(place) = bytes.get_mut(at..at + 8) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

/// An accepted event is canonical (its members are in one order, its numbers spelled in one way), so its parts are too.
fn canonical(bytes: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => {
            bytes.push(b'"');
            bytes.extend_from_slice(text.as_bytes());
        }
        // Writing to memory has no error of its own.
        other => drop(serde_json::to_writer(bytes, other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_count_by_what_they_are() {
        let key = |event: &Value| {
            let mut event = event.clone();
            crate::jcs::canonicalise(&mut event).unwrap();
            state_key("dedupe", &["r", "a"], &["/data".to_owned()], &event)
        };
        let check = |a: Value, b: Value, same: bool| {
            assert_eq!(key(&json!({"data": a})) == key(&json!({"data": b})), same, "{a} {b}");
        };
        check(json!(1), json!("1"), false);
        check(json!(null), json!("null"), false);
        check(json!("a"), json!("\"a\""), false);
        check(json!({"a": 1, "b": [2]}), json!({"b": [2], "a": 1}), true);
        check(json!([1, 2]), json!([2, 1]), false);
        check(json!(1.0), json!(1), true);
        check(json!(true), json!("true"), false);
        assert_eq!(key(&json!({})), key(&json!({"data": null})), "an absent value is null");
        let parts: [&[u8]; 5] = [b"dedupe", b"r", b"a", b"/data", b"\"x"];
        assert_eq!(key(&json!({"data": "x"})), StateKey::derive(parts));
        let pointers = ["/a".to_owned(), "/b".to_owned()];
        let of = |event: &Value| state_key("dedupe", &[], &pointers, event);
        assert_ne!(of(&json!({"a": "x", "b": ""})), of(&json!({"a": "", "b": "x"})));
        let other =
            state_key("dedupe", &[], &["/b".to_owned(), "/c".to_owned()], &json!({"b": "x", "c": ""}));
        assert_ne!(of(&json!({"a": "x", "b": ""})), other, "a key of other pointers begins anew");
    }
}
