//! Patterns as they are typed: `data.host=web-1`, or a pattern as in a rule.

use crate::failure::Failure;
use notify_core::yaml;
use serde_json::{Map, Value, json};

/// # Errors
/// Usage, when a text is neither a field with a value nor a pattern, or two say different things of one field.
pub fn of(given: &[String]) -> Result<Option<Value>, Failure> {
    let mut pattern = Map::new();
    for text in given {
        merge(&mut pattern, one(text)?, text)?;
    }
    Ok((!pattern.is_empty()).then_some(Value::Object(pattern)))
}

fn one(text: &str) -> Result<Map<String, Value>, Failure> {
    let refuse = || {
        let fix = "write a field and its value, such as data.host=web-1, or a pattern, such as '{type: [node.down]}'";
        Failure::usage(
            format!("`{}` is neither a field with a value nor a pattern", text.escape_debug()),
            fix,
        )
    };
    if text.trim_start().starts_with('{') {
        return match yaml::parse(text.as_bytes(), yaml::DOCUMENT_LIMITS) {
            Ok(Value::Object(pattern)) if !pattern.is_empty() => Ok(pattern),
            Ok(_) => Err(refuse()),
            Err(problem) => Err(problem.into()),
        };
    }
    let (path, value) = text.split_once('=').ok_or_else(refuse)?;
    if path.is_empty() || path.split('.').any(str::is_empty) {
        return Err(refuse());
    }
    let mut nested = json!([scalar(value)]);
    for name in path.rsplit('.') {
        nested = Value::Object(Map::from_iter([(name.to_owned(), nested)]));
    }
    match nested {
        Value::Object(pattern) => Ok(pattern),
        _ => Err(refuse()),
    }
}

/// `5`, `true` and `null` are what YAML says they are; `"5"` is a text.
fn scalar(text: &str) -> Value {
    match yaml::parse(text.as_bytes(), yaml::DOCUMENT_LIMITS) {
        Ok(value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)))
            if !text.is_empty() =>
        {
            value
        }
        _ => text.into(),
    }
}

fn merge(into: &mut Map<String, Value>, from: Map<String, Value>, text: &str) -> Result<(), Failure> {
    for (name, value) in from {
        match (into.get_mut(&name), value) {
            (None, value) => drop(into.insert(name, value)),
            (Some(Value::Object(into)), Value::Object(from)) => merge(into, from, text)?,
            // `$or` is a list of alternatives, and two of those cannot be one.
            (Some(Value::Array(into)), Value::Array(from)) if name != "$or" => into.extend(from),
            _ => {
                let reason = format!(
                    "`{}` and an earlier --match ask different things of `{name}`",
                    text.escape_debug()
                );
                return Err(Failure::usage(reason, "write them as one pattern"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed() {
        let check = |given: &[&str], expected: Option<Value>| {
            let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(of(&given).ok().flatten(), expected, "{given:?}");
        };
        check(&[], None);
        check(&["type=node.down"], Some(json!({ "type": ["node.down"] })));
        check(
            &["data.host=web-1", "data.up=true"],
            Some(json!({ "data": { "host": ["web-1"], "up": [true] } })),
        );
        check(&["data.n=5", "data.n=\"5\""], Some(json!({ "data": { "n": [5, "5"] } })));
        check(&["a=", "b=x=y", "c=a: b"], Some(json!({ "a": [""], "b": ["x=y"], "c": ["a: b"] })));
        let pattern = "{severity: [{at-most: low}], data: {host: [a]}}";
        let merged = json!({ "severity": [{ "at-most": "low" }], "data": { "host": ["a", "b"] } });
        check(&[pattern, "data.host=b"], Some(merged));
        for bad in [&["node.down"][..], &["=x"], &["a..b=x"], &["{}"], &["{a: ["], &["a=1", "a.b=2"]] {
            check(bad, None);
            assert!(of(&bad.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).is_err(), "{bad:?}");
        }
    }
}
