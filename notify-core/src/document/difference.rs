//! What differs between two versions of a document, member by member: for people who read it before they agree.

use crate::json::pointer_token;
use serde::Serialize;
use serde_json::Value;

/// One place where two JSON values differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// `add`, `remove` or `replace`.
    pub op: &'static str,
    /// JSON Pointer; in an array, the index in the longer of both.
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
}

/// The first differences of two versions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Differences {
    pub told: Vec<Difference>,
    /// How many more there are.
    pub omitted: usize,
}

/// The differences, at most `most` of them, in the order of the old value's members, then those that are new. Empty when both are equal.
/// Arrays are compared place by place.
#[must_use]
pub fn differences(old: &Value, new: &Value, most: usize) -> Differences {
    let mut found = Differences::default();
    compare(String::new(), Some(old), Some(new), most, &mut found);
    found
}

fn compare(path: String, old: Option<&Value>, new: Option<&Value>, most: usize, found: &mut Differences) {
    let op = match (old, new) {
        (None, None) => return,
        (None, Some(_)) => "add",
        (Some(_), None) => "remove",
        (Some(old), Some(new)) if old == new => return,
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                let path = format!("{path}/{}", pointer_token(key));
                compare(path, old.get(key), new.get(key), most, found);
            }
            return;
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                compare(format!("{path}/{index}"), old.get(index), new.get(index), most, found);
            }
            return;
        }
        (Some(_), Some(_)) => "replace",
    };
    if found.told.len() >= most {
        found.omitted = found.omitted.saturating_add(1);
        return;
    }
    found.told.push(Difference { op, path, old: old.cloned(), new: new.cloned() });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jcs::tests::any_json;
    use proptest::prelude::*;
    use serde_json::json;

    /// The old value with every difference carried out, from the last to the first: removals leave no gap.
    fn carried_out(old: &Value, differences: &[Difference]) -> Value {
        let mut value = old.clone();
        // Members of an array are appended in order and removed from the end.
        let (removed, rest): (Vec<_>, Vec<_>) = differences.iter().partition(|d| d.op == "remove");
        for Difference { path, new, .. } in rest {
            let new = new.clone().unwrap();
            let Some((parent, name)) = path.rsplit_once('/') else {
                value = new;
                continue;
            };
            match value.pointer_mut(parent).unwrap() {
                Value::Array(items) => {
                    let at: usize = name.parse().unwrap();
                    if at < items.len() { items[at] = new } else { items.push(new) }
                }
                Value::Object(members) => {
                    members.insert(name.replace("~1", "/").replace("~0", "~"), new);
                }
                other => panic!("{other} has no members"),
            }
        }
        for Difference { path, .. } in removed.into_iter().rev() {
            let (parent, name) = path.rsplit_once('/').unwrap();
            match value.pointer_mut(parent).unwrap() {
                Value::Array(items) => drop(items.remove(name.parse().unwrap())),
                Value::Object(members) => {
                    members.shift_remove(&name.replace("~1", "/").replace("~0", "~")).unwrap();
                }
                other => panic!("{other} has no members"),
            }
        }
        value
    }

    proptest! {
        #[test]
        fn carrying_them_out_gives_the_new_value(old in any_json(), new in any_json()) {
            let all = differences(&old, &new, usize::MAX);
            prop_assert_eq!(all.omitted, 0);
            let found = all.told;
            for most in [0, 1, 2] {
                let few = differences(&old, &new, most);
                prop_assert_eq!(&few.told[..], &found[..most.min(found.len())]);
                prop_assert_eq!(few.told.len() + few.omitted, found.len());
            }
            prop_assert_eq!(found.is_empty(), old == new);
            prop_assert_eq!(carried_out(&old, &found), new);
        }
    }

    #[test]
    fn each_names_its_place() {
        let old = json!({ "name": "N", "priority": 1, "labels": { "a/b": "x" }, "actions": [{ "id": "a" }, { "id": "b" }] });
        let new =
            json!({ "name": "N", "priority": 2, "actions": [{ "id": "a", "locale": "de" }], "match": {} });
        let shown: Vec<_> = differences(&old, &new, 9)
            .told
            .iter()
            .map(|d| {
                let side = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), Value::to_string);
                format!("{} {} {} {}", d.op, d.path, side(&d.old), side(&d.new))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "replace /priority 1 2",
                r#"remove /labels {"a/b":"x"} -"#,
                r#"add /actions/0/locale - "de""#,
                r#"remove /actions/1 {"id":"b"} -"#,
                "add /match - {}",
            ]
        );
    }
}
