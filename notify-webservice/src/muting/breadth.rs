//! What has to be confirmed of a silence whatever the past says: a tenant without history has nothing to count.

use notify_core::document::Silence;
use notify_core::duration::Length;
use serde_json::Value;

/// Longer than this it is no exception.
const DAYS: u64 = 30;
/// Every event has these.
const ALWAYS_THERE: [&str; 4] = ["specversion", "id", "source", "type"];

/// Why it has to be confirmed, in words.
#[must_use]
pub fn reasons(silence: &Silence) -> Vec<String> {
    let mut reasons = Vec::new();
    if is_everything(silence) {
        reasons.push("it mutes all alerts of all rules".to_owned());
    }
    // One that recurs is meant to last, and mutes in its windows only.
    if silence.calendar.is_none() && lasts_long(silence) {
        reasons.push(format!("it lasts longer than {DAYS} days"));
    }
    reasons
}

fn is_everything(silence: &Silence) -> bool {
    let every_event = match &silence.r#match {
        None => true,
        Some(Value::Object(fields)) => fields.iter().all(|(field, allowed)| {
            let any = |allowed: &Vec<Value>| allowed.iter().any(is_anything);
            ALWAYS_THERE.contains(&field.as_str()) && allowed.as_array().is_some_and(any)
        }),
        Some(_) => false,
    };
    every_event && silence.rules.is_empty() && silence.channels.is_empty()
}

/// A condition that every text meets.
fn is_anything(condition: &Value) -> bool {
    let is = |name: &str, text: &str| condition.get(name).and_then(Value::as_str) == Some(text);
    condition.get("exists") == Some(&Value::Bool(true))
        || is("prefix", "")
        || is("suffix", "")
        || is("wildcard", "*")
}

fn lasts_long(silence: &Silence) -> bool {
    match (silence.from, silence.until) {
        (Some(from), Some(until)) => until.duration_since(from) > Length::from_secs(DAYS * 86_400).signed(),
        (_, None) => true,
        // The service fills in when it begins.
        (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify_core::document::parse_silence;
    use serde_json::json;

    #[test]
    fn what_is_wide_or_long() {
        let check = |more: Value, expected: &[&str]| {
            let mut value = json!({ "schema": "notify-silence@1", "id": "s", "reason": "r", "from": "2026-01-01T00:00:00Z" });
            value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let (silence, ..) = parse_silence(&value).unwrap();
            assert_eq!(reasons(&silence), expected, "{more}");
        };
        let (wide, long) = ("it mutes all alerts of all rules", "it lasts longer than 30 days");
        let until = |day: &str| format!("2026-{day}T00:00:00Z");
        for condition in [
            json!({ "exists": true }),
            json!({ "prefix": "" }),
            json!({ "suffix": "" }),
            json!({ "wildcard": "*" }),
        ] {
            check(json!({ "match": { "type": ["a", condition] }, "until": until("01-02") }), &[wide]);
        }
        let all = json!({ "type": [{ "exists": true }], "id": [{ "exists": true }] });
        check(json!({ "match": all, "until": until("01-02") }), &[wide]);
        check(json!({ "match": all, "rules": ["r"], "until": until("01-02") }), &[]);
        check(json!({ "match": all, "channels": ["c"], "until": until("01-02") }), &[]);
        check(json!({ "match": { "type": [{ "exists": false }] }, "until": until("01-02") }), &[]);
        check(json!({ "match": { "type": [{ "prefix": "a" }] }, "until": until("01-02") }), &[]);
        check(json!({ "match": { "subject": [{ "exists": true }] }, "until": until("01-02") }), &[]);
        check(json!({ "match": { "data": { "x": [{ "exists": true }] } }, "until": until("01-02") }), &[]);
        check(json!({ "rules": ["r"], "until": until("01-31") }), &[]);
        check(json!({ "rules": ["r"], "until": "2026-01-31T00:00:00.001Z" }), &[long]);
        check(json!({ "match": all, "until": until("12-31") }), &[wide, long]);
        check(json!({ "rules": ["r"], "calendar": "nights" }), &[]);
        check(json!({ "rules": ["r"], "calendar": "nights", "until": until("12-31") }), &[]);
        check(json!({ "match": all, "calendar": "nights" }), &[wide]);
    }
}
