//! The values of an event that a control's key names.

use super::key::StateKey;
use serde_json::Value;

/// The state key of `kind`, its `owner` (rule, action, …) and the values at JSON Pointers of an event.
///
/// Values count by what they are: `1` and `"1"` differ, an absent value is null, and objects are equal in any order of
/// their members.
#[must_use]
pub fn state_key(kind: &str, owner: &[&str], pointers: &[String], event: &Value) -> StateKey {
    let mut parts: Vec<Vec<u8>> = Vec::with_capacity(1 + owner.len() + 2 * pointers.len());
    parts.push(kind.as_bytes().to_vec());
    parts.extend(owner.iter().map(|part| part.as_bytes().to_vec()));
    // The pointers too: what was remembered by other values says nothing of these.
    for pointer in pointers {
        parts.push(pointer.as_bytes().to_vec());
        parts.push(canonical(event.pointer(pointer).unwrap_or(&Value::Null)));
    }
    StateKey::derive(parts.iter().map(Vec::as_slice))
}

/// An accepted event is canonical (its members are in one order, its numbers spelled in one way), so its parts are too.
fn canonical(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => [b"\"", text.as_bytes()].concat(),
        other => serde_json::to_vec(other).unwrap_or_default(),
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
        let pointers = ["/a".to_owned(), "/b".to_owned()];
        let of = |event: &Value| state_key("dedupe", &[], &pointers, event);
        assert_ne!(of(&json!({"a": "x", "b": ""})), of(&json!({"a": "", "b": "x"})));
        let other =
            state_key("dedupe", &[], &["/b".to_owned(), "/c".to_owned()], &json!({"b": "x", "c": ""}));
        assert_ne!(of(&json!({"a": "x", "b": ""})), other, "a key of other pointers begins anew");
    }
}
