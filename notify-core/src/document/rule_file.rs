//! Rules as files: which set a rule belongs to, and the spelling that export writes.

use serde_json::{Map, Value};

/// The label that names the set of files a rule is kept in. `apply --prune` deletes only rules of its own set, so a rule
/// that was made elsewhere is never in danger.
pub const SET_LABEL: &str = "notify.apply-set";

/// Members of a rule in the order in which people read them; others follow.
const ORDER: [&str; 10] =
    ["schema", "id", "name", "description", "enabled", "priority", "labels", "match", "filters", "actions"];
const ACTION_ORDER: [&str; 4] = ["id", "channel", "template", "locale"];

/// The set that a rule document names, if it names one.
#[must_use]
pub fn set_of(rule: &Value) -> Option<&str> {
    rule.get("labels")?.get(SET_LABEL)?.as_str()
}

/// Writes the set into a rule document; not where its labels are no object, which reading the rule refuses.
pub fn put_into_set(rule: &mut Value, set: &str) {
    let Value::Object(members) = rule else { return };
    let labels = members.entry("labels").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(labels) = labels {
        labels.insert(SET_LABEL.to_owned(), set.into());
    }
}

/// Whether a rule document carries all of these labels.
#[must_use]
pub fn has_labels<'s>(rule: &Value, wanted: impl IntoIterator<Item = (&'s str, &'s str)>) -> bool {
    let labels = rule.get("labels");
    wanted
        .into_iter()
        .all(|(name, value)| labels.and_then(|l| l.get(name)).and_then(Value::as_str) == Some(value))
}

/// A rule as YAML: the same text for the same rule, whatever the order of its members.
#[must_use]
pub fn to_yaml(rule: &Value) -> String {
    let mut ordered = sorted(rule);
    if let Value::Object(members) = &mut ordered {
        if let Some(Value::Array(actions)) = members.get_mut("actions") {
            for action in actions {
                first(action, &ACTION_ORDER);
            }
        }
        first(&mut ordered, &ORDER);
    }
    crate::yaml::to_yaml(&ordered)
}

/// These members first, in this order.
fn first(value: &mut Value, names: &[&str]) {
    let Value::Object(members) = value else { return };
    let mut ordered = Map::new();
    for name in names {
        if let Some(member) = members.shift_remove(*name) {
            ordered.insert((*name).to_owned(), member);
        }
    }
    ordered.append(members);
    *members = ordered;
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut keys: Vec<&String> = members.keys().collect();
            keys.sort();
            let member = |key: &String| Some((key.clone(), sorted(members.get(key)?)));
            Value::Object(keys.into_iter().filter_map(member).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;
    use serde_json::json;

    #[test]
    fn the_spelling_is_for_people_and_does_not_depend_on_order() {
        let rule = json!({
            "actions": [{ "template": "t", "zone": 1, "channel": "c", "id": "a" }],
            "zeta": true, "match": { "type": ["x"], "data": { "a": [1] } }, "name": "Name", "id": "r",
            "schema": "notify-rule@1", "labels": { "z": "1", "a": "no" },
        });
        let expected = "schema: notify-rule@1\nid: r\nname: Name\nlabels:\n  a: \"no\"\n  z: \"1\"\n\
            match:\n  data:\n    a:\n      - 1\n  type:\n    - x\n\
            actions:\n  - id: a\n    channel: c\n    template: t\n    zone: 1\nzeta: true\n";
        let again = yaml::parse(expected.as_bytes(), yaml::DOCUMENT_LIMITS).unwrap();
        for rule in [&rule, &again] {
            assert_eq!(to_yaml(rule), expected);
        }
        assert_eq!(again, rule);
    }

    #[test]
    fn sets_and_labels() {
        let mut rule = json!({ "id": "r" });
        assert_eq!(set_of(&rule), None);
        put_into_set(&mut rule, "team-a");
        assert_eq!((set_of(&rule), rule["labels"][SET_LABEL].as_str()), (Some("team-a"), Some("team-a")));
        rule["labels"]["team"] = "security".into();
        for (wanted, expected) in [
            (&[][..], true),
            (&[("team", "security")], true),
            (&[("team", "security"), (SET_LABEL, "team-a")], true),
            (&[("team", "other")], false),
            (&[("absent", "")], false),
        ] {
            assert_eq!(has_labels(&rule, wanted.iter().copied()), expected, "{wanted:?}");
        }
        for odd in [json!([]), json!({ "labels": [1] })] {
            let mut changed = odd.clone();
            put_into_set(&mut changed, "x");
            assert_eq!(changed, odd);
        }
    }
}
