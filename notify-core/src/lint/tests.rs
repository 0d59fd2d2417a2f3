//! `resources/lint/cases.jsonl`: rules and what is found in them.

use super::{Code, Level, Opened, lint, rules};
use crate::document::{EventType, Rule};
use crate::pattern::study::Study;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    name: String,
    /// Members that differ from those of `base`.
    rules: Vec<Map<String, Value>>,
    #[serde(default)]
    event_types: Vec<(String, Value)>,
    /// `rule code path`, in order.
    findings: Vec<String>,
}

fn rule(members: &Map<String, Value>) -> Rule {
    let mut whole = json!({
        "schema": "notify-rule@1", "id": "r", "name": "A rule", "actions": [{ "id": "a", "channel": "c" }],
    });
    if let Some(base) = whole.as_object_mut() {
        base.extend(members.clone());
    }
    serde_json::from_value(whole).unwrap_or_else(|error| panic!("{error}: {members:?}"))
}

fn event_type((name, schema): &(String, Value)) -> EventType {
    let document = json!({
        "schema": "notify-event-type@1", "id": name.replace('.', "-"), "name": "A type", "type": name,
        "dataSchema": schema,
    });
    crate::document::parse_event_type(&document).unwrap().0
}

#[test]
fn rules_are_found_to_be_what_they_are() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../resources/lint/cases.jsonl");
    let text = std::fs::read_to_string(&file).unwrap();
    let cases: Vec<Case> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let mut codes = BTreeSet::new();
    let mut names = BTreeSet::new();
    for case in &cases {
        assert!(names.insert(&case.name), "{} is used twice", case.name);
        let rules: Vec<Rule> = case.rules.iter().map(rule).collect();
        let types: Vec<EventType> = case.event_types.iter().map(event_type).collect();
        let found = lint(&rules, &types);
        let shown: Vec<String> = found.iter().map(|f| format!("{} {} {}", f.rule, f.code, f.path)).collect();
        assert_eq!(shown, case.findings, "{}: {found:#?}", case.name);
        for finding in &found {
            codes.insert(finding.code);
            assert_eq!(finding.severity, finding.code.level());
            assert!(!finding.reason.is_empty() && !finding.fix.is_empty(), "{finding:?}");
            let rule = rules.iter().find(|rule| rule.id.as_str() == finding.rule).unwrap();
            let document = serde_json::to_value(rule).unwrap();
            assert!(document.pointer(&finding.path).is_some(), "{} is not in {document}", finding.path);
        }
        let mut reversed = rules.clone();
        reversed.reverse();
        assert_eq!(lint(&reversed, &types), found, "{}: the order of the rules decides", case.name);
    }
    let elsewhere = [Code::ComparisonLimit];
    let without: Vec<_> = Code::ALL.iter().filter(|c| !codes.contains(c) && !elsewhere.contains(c)).collect();
    assert!(without.is_empty(), "no case for {without:?}");
}

fn numbered(count: usize, pattern: impl Fn(usize) -> Value) -> Vec<Rule> {
    let one = |n: usize| {
        let members = json!({ "id": format!("r{n:06}"), "match": pattern(n) });
        rule(members.as_object().unwrap())
    };
    (0..count).map(one).collect()
}

#[test]
fn comparing_ends_and_says_so() {
    let rules = numbered(30, |n| json!({ "data": { "x": [{ "prefix": format!("{n:02}") }] } }));
    let opened: Vec<Opened<'_>> =
        rules.iter().map(|rule| Opened { rule, study: Study::of(rule).unwrap() }).collect();
    // Each looks at a bucket of 30 and is compared with 29 others.
    let work = 30 * (30 + 29) + 1;
    assert_eq!(rules::lint_within(&opened, work), []);
    let cut = rules::lint_within(&opened, work - 1);
    assert_eq!(
        cut.iter().map(|f| (f.code, f.rule.as_str())).collect::<Vec<_>>(),
        [(Code::ComparisonLimit, "r000029")]
    );
}

/// Rules of one type are told apart by their rarest value: far fewer comparisons than pairs.
#[test]
fn many_rules_of_few_types_are_not_compared_pair_by_pair() {
    let rules = numbered(
        3_000,
        |n| json!({ "type": [format!("t{}", n % 3)], "data": { "customer": [format!("c{}", n / 2)] } }),
    );
    let opened: Vec<Opened<'_>> =
        rules.iter().map(|rule| Opened { rule, study: Study::of(rule).unwrap() }).collect();
    let found = rules::lint_within(&opened, 10 * 3_000);
    assert_eq!(found, [], "each customer has two rules of different types");
}

#[test]
fn long_lists_of_findings_are_cut() {
    let values: Vec<Value> = (0..100).map(Value::from).collect();
    let one = rule(json!({ "match": { "type": values, "id": ["x"] } }).as_object().unwrap());
    let found = lint(std::slice::from_ref(&one), &[]);
    assert_eq!(found.iter().map(|f| f.code).collect::<Vec<_>>(), [Code::NeverMatches]);
    let mut values = values;
    values.push("t".into());
    let one = rule(json!({ "match": { "type": values } }).as_object().unwrap());
    let found = lint(&[one], &[]);
    assert_eq!(found.len(), super::MAX_OF_A_KIND);
    assert!(found.iter().any(|f| f.reason.ends_with("(80 more like it are not listed)")), "{found:#?}");
}

#[test]
fn codes_are_stable_words() {
    let mut seen = BTreeSet::new();
    for code in Code::ALL {
        assert!(seen.insert(code.as_str()) && crate::ids::is_slug(code.as_str()), "{code}");
        assert!(!code.title().is_empty() && !code.about().is_empty());
    }
    assert_eq!(Level::ALL.map(Level::as_str), ["error", "warning", "info"]);
}
