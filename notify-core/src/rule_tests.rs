//! The tests beside a rule: what its author expects of a few events, tried on [`plan`] itself.
//!
//! A rule is tried alone, enabled, with every channel it names present and enabled. So the verdict is the same on an
//! author's machine, in CI and in the service, and a channel that is off at the moment does not keep anybody from
//! saving a rule.

use crate::document::rule::{Rule, RuleTest};
use crate::document::{Channel, Version, channel};
use crate::event::{Event, EventLimits};
use crate::ids::{ChannelId, RuleId, TenantId};
use crate::noise::NoiseState;
use crate::pattern::Pattern;
use crate::plan::{Documents, Snapshot, Verdict, plan};
use crate::problem::{Code, Problem};
use crate::time::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// What an event of a test gets where it says nothing. Not where the rule looks at the attribute: then the test has to
/// say it.
pub const DEFAULTS: [(&str, &str); 4] =
    [("specversion", "1.0"), ("id", "test"), ("source", "/rule-test"), ("type", "rule.test")];
/// The tenant of events that name none.
const TENANT: &str = "test";

/// What became of all tests of one rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub rule: RuleId,
    pub passed: usize,
    pub failed: usize,
    /// In the order of the rule.
    pub tests: Vec<Tested>,
    /// What is not wrong, but could be better.
    pub hints: Vec<Hint>,
}

/// What became of one test.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tested {
    /// JSON Pointer into the rule.
    pub path: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    pub passed: bool,
    pub expected: Expected,
    /// Absent when the event could not be tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub got: Option<Got>,
    /// Why it failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sentence: String,
    /// Why the event could not be tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Expected {
    pub r#match: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<BTreeSet<ChannelId>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Got {
    pub r#match: bool,
    pub channels: BTreeSet<ChannelId>,
}

/// Advice; never a reason to refuse a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hint {
    /// `no-counterexample`, `no-example`.
    pub code: &'static str,
    pub path: &'static str,
    pub reason: &'static str,
    pub fix: &'static str,
}

const NO_COUNTEREXAMPLE: Hint = Hint {
    code: "no-counterexample",
    path: "/tests",
    reason: "every test expects a match, so a rule that matches everything would pass them too",
    fix: "add an event that the rule must not match, with `match: false`",
};
const NO_EXAMPLE: Hint = Hint {
    code: "no-example",
    path: "/tests",
    reason: "no test expects a match, so a rule that matches nothing would pass them too",
    fix: "add an event that the rule must match, with `match: true`",
};

/// Runs every test of the rule.
///
/// # Errors
/// When the rule's pattern is not valid, or the rule cannot be planned at all.
pub fn run(rule: &Rule) -> Result<Report, Problem> {
    let pattern = rule.pattern()?;
    let snapshot = alone(rule)?;
    let tried = |(index, test): (usize, &RuleTest)| {
        let path = format!("/tests/{index}");
        let outcome = event(test, &pattern, &path).map(|event| (got(&snapshot, &event), event));
        tested(test, path, &pattern, outcome)
    };
    let tests: Vec<Tested> = rule.tests.iter().enumerate().map(tried).collect();
    let passed = tests.iter().filter(|test| test.passed).count();
    let mut hints = Vec::new();
    if !rule.tests.is_empty() {
        hints.extend(rule.tests.iter().all(|test| test.r#match).then_some(NO_COUNTEREXAMPLE));
        hints.extend(rule.tests.iter().all(|test| !test.r#match).then_some(NO_EXAMPLE));
    }
    Ok(Report { rule: rule.id.clone(), passed, failed: tests.len() - passed, tests, hints })
}

/// [`Report::refusal`] without the report: only the first failure is explained, which is what takes long.
///
/// # Errors
/// As [`run`].
pub fn refusal(rule: &Rule) -> Result<Option<Problem>, Problem> {
    let pattern = rule.pattern()?;
    let snapshot = alone(rule)?;
    let mut first: Option<(usize, Tested)> = None;
    let mut failed = 0;
    for (index, test) in rule.tests.iter().enumerate() {
        let path = format!("/tests/{index}");
        let outcome = event(test, &pattern, &path).map(|event| (got(&snapshot, &event), event));
        if outcome.as_ref().is_ok_and(|(got, _)| Expected::of(test).is_met(got)) {
            continue;
        }
        failed += 1;
        if first.is_none() {
            first = Some((index, tested(test, path, &pattern, outcome)));
        }
    }
    Ok(first.map(|(index, test)| refused(index, &test, failed)))
}

impl Expected {
    fn of(test: &RuleTest) -> Self {
        let channels = test.channels.as_ref().map(|channels| channels.iter().cloned().collect());
        Self { r#match: test.r#match, channels }
    }

    fn is_met(&self, got: &Got) -> bool {
        self.r#match == got.r#match && self.channels.as_ref().is_none_or(|wanted| *wanted == got.channels)
    }
}

impl Report {
    /// Why the rule may not be saved, unless that is forced: the first failed test.
    #[must_use]
    pub fn refusal(&self) -> Option<Problem> {
        let (index, test) = self.tests.iter().enumerate().find(|(_, test)| !test.passed)?;
        Some(refused(index, test, self.failed))
    }
}

/// `failed`: how many, with this one.
fn refused(index: usize, test: &Tested, failed: usize) -> Problem {
    let named = match test.name.as_str() {
        "" => format!("test {}", index + 1),
        name => format!("the test `{name}`"),
    };
    let more = match failed {
        1 => String::new(),
        2 => " One more test fails.".to_owned(),
        failed => format!(" {} more tests fail.", failed - 1),
    };
    let (path, why) = match &test.problem {
        Some(problem) => (problem.path.clone(), format!("cannot be tried: {}.", problem.reason)),
        None => (test.path.clone(), format!("fails: {}", test.sentence)),
    };
    let fix = match &test.problem {
        Some(problem) => problem.fix.as_str(),
        None => "correct the rule, or the test if it is the test that is wrong",
    };
    let fix = format!("{fix}; `force=true` (`--force`) saves it all the same, and the ledger keeps that");
    Problem::new(Code::RuleTestsFailed, path, format!("{named} {why}{more}"), fix)
}

/// A configuration of this rule and the channels that it names.
fn alone(rule: &Rule) -> Result<Snapshot, Problem> {
    let mut document = Rule { enabled: true, tests: Vec::new(), ..rule.clone() };
    // What the message says is not tested, and templates are not at hand everywhere.
    document.actions.iter_mut().for_each(|action| action.template = None);
    let channels = rule.actions.iter().map(|action| action.channel.clone()).collect::<BTreeSet<_>>();
    let channels = channels.into_iter().map(|id| Version {
        version: 0,
        digest: nothing(),
        document: Channel {
            schema: channel::SCHEMA.to_owned(),
            name: id.to_string(),
            id,
            description: String::new(),
            r#type: "webhook".to_owned(),
            enabled: true,
            labels: BTreeMap::new(),
            config: Map::new(),
            secrets: BTreeMap::new(),
            locale: None,
            retry: None,
            timeout_seconds: None,
            contact: None,
            quiet_hours: vec![],
            maintenance: vec![],
            budget: None,
            rate: None,
            breaker: None,
            fallback: None,
            health: None,
        },
    });
    let rules = vec![Version { version: 0, digest: nothing(), document }];
    let (snapshot, broken) = Snapshot::compile(
        tenant(TENANT)?,
        0,
        "en",
        Documents { rules, channels: channels.collect(), ..Documents::default() },
    );
    match broken.into_iter().next() {
        None => Ok(snapshot),
        Some(broken) => Err(broken.problem),
    }
}

/// In place of the digest of what is not stored.
fn nothing() -> String {
    format!("sha256:{}", "0".repeat(64))
}

fn tenant(name: &str) -> Result<TenantId, Problem> {
    TenantId::new(name).map_err(|error| Problem::new(Code::InvalidEvent, "/tenant", error.to_string(), ""))
}

/// The test's event with what it leaves out filled in.
fn event(test: &RuleTest, pattern: &Pattern, path: &str) -> Result<Event, Problem> {
    let path = format!("{path}/event");
    let mut members = match &test.event {
        Value::Object(members) => members.clone(),
        _ => Map::new(),
    };
    for (name, default) in DEFAULTS {
        if members.get(name).is_some_and(|value| !value.is_null()) {
            continue;
        }
        if name != "specversion" && pattern.asks_for(name) {
            return Err(Problem::new(
                Code::InvalidEvent,
                format!("{path}/{name}"),
                format!("the rule looks at `{name}`, which the event of the test leaves out"),
                format!("write a `{name}`, as every event has one"),
            ));
        }
        members.insert(name.to_owned(), default.into());
    }
    let named = members.get("tenant").and_then(Value::as_str).unwrap_or(TENANT);
    tenant(named)
        .and_then(|tenant| {
            Event::from_value(&tenant, Value::Object(members.clone()), &EventLimits::default())
        })
        .map_err(|problem| problem.under(&path))
}

/// What `plan` would do.
fn got(snapshot: &Snapshot, event: &Event) -> Got {
    let at = event.time.as_deref().and_then(|time| time.parse().ok()).unwrap_or(Timestamp::UNIX_EPOCH);
    let planned = plan(snapshot, event, at, &[0; 32], &NoiseState::default());
    // Also what waits or becomes part of a digest goes there in the end.
    let goes = |verdict: &Verdict| !matches!(verdict, Verdict::Suppressed { .. });
    let sent = planned.decisions.into_iter().filter(|decision| goes(&decision.verdict));
    Got { r#match: planned.unmatched == 0, channels: sent.map(|decision| decision.channel).collect() }
}

fn tested(
    test: &RuleTest,
    path: String,
    pattern: &Pattern,
    outcome: Result<(Got, Event), Problem>,
) -> Tested {
    let expected = Expected::of(test);
    let mut tested = Tested {
        path,
        name: test.name.clone(),
        passed: false,
        expected,
        got: None,
        sentence: String::new(),
        problem: None,
    };
    match outcome {
        Ok((got, event)) => {
            tested.sentence = difference(&tested.expected, &got, pattern, &event).unwrap_or_default();
            tested.passed = tested.sentence.is_empty();
            tested.got = Some(got);
        }
        Err(problem) => {
            tested.sentence = format!("The event cannot be tried: {}.", problem.reason);
            tested.problem = Some(problem);
        }
    }
    tested
}

fn difference(expected: &Expected, got: &Got, pattern: &Pattern, event: &Event) -> Option<String> {
    if expected.r#match != got.r#match {
        let wanted = if expected.r#match { "should match" } else { "should not match" };
        return Some(format!("The rule {wanted}. {}", pattern.explain(&event.value).sentence));
    }
    let wanted = expected.channels.as_ref()?;
    let named = |ids: &mut dyn Iterator<Item = &ChannelId>| {
        ids.map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
    };
    let missing = named(&mut wanted.difference(&got.channels));
    let extra = named(&mut got.channels.difference(wanted));
    match (missing.is_empty(), extra.is_empty()) {
        (true, true) => None,
        (false, true) => Some(format!("It is not sent to {missing}.")),
        (true, false) => Some(format!("It is also sent to {extra}.")),
        (false, false) => Some(format!("It is sent to {extra}, but not to {missing}.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::parse_rule;
    use serde_json::json;

    fn rule(pattern: &Value, tests: &Value) -> Rule {
        let document = json!({
            "schema": crate::document::rule::SCHEMA, "id": "r", "name": "R", "enabled": false, "match": pattern, "tests": tests,
            "actions": [
                { "id": "a", "channel": "chat", "template": "nowhere" }, { "id": "b", "channel": "mail" },
                { "id": "c", "channel": "mail" },
            ],
        });
        parse_rule(&document).unwrap().0
    }

    fn severe() -> Value {
        json!({ "severity": [{ "at-least": "high" }] })
    }

    /// The sentence of the only test; empty when it passes.
    #[track_caller]
    fn check(pattern: &Value, test: &Value, expected: &str) {
        let report = run(&rule(pattern, &json!([test]))).unwrap();
        assert_eq!(report.tests[0].sentence, expected);
        assert_eq!(report.tests[0].passed, expected.is_empty());
        assert_eq!((report.passed, report.failed), if expected.is_empty() { (1, 0) } else { (0, 1) });
        assert_eq!(report.refusal().is_some(), !expected.is_empty());
        assert_eq!(refusal(&rule(pattern, &json!([test]))), Ok(report.refusal()));
    }

    #[test]
    fn tests_pass_or_say_what_differs() {
        let high = json!({ "severity": "high" });
        check(&severe(), &json!({ "event": high, "match": true }), "");
        check(&severe(), &json!({ "event": high, "match": true, "channels": ["mail", "chat"] }), "");
        check(&severe(), &json!({ "event": { "severity": "low" }, "match": false }), "");
        check(&severe(), &json!({ "event": { "severity": "low" }, "match": false, "channels": [] }), "");
        check(
            &severe(),
            &json!({ "event": { "severity": "low" }, "match": true }),
            "The rule should match. The event does not match: `/severity` is \"low\", but the rule wants a severity of \
             high or above.",
        );
        check(
            &severe(),
            &json!({ "event": high, "match": false }),
            "The rule should not match. The event matches: `/severity` is \"high\", as the rule wants (a severity of high \
             or above).",
        );
        let channels = |names: Value| json!({ "event": high, "match": true, "channels": names });
        check(&severe(), &channels(json!(["chat"])), "It is also sent to `mail`.");
        check(&severe(), &channels(json!(["chat", "mail", "sms"])), "It is not sent to `sms`.");
        check(&severe(), &channels(json!(["chat", "sms"])), "It is sent to `mail`, but not to `sms`.");
        check(&severe(), &channels(json!([])), "It is also sent to `chat`, `mail`.");
    }

    #[test]
    fn what_the_rule_looks_at_is_never_made_up() {
        for name in ["id", "source", "type"] {
            let pattern = json!({ name: [{ "exists": true }], "severity": ["high"] });
            let sentence = format!(
                "The event cannot be tried: the rule looks at `{name}`, which the event of the test leaves out."
            );
            check(&pattern, &json!({ "event": { "severity": "high" }, "match": true }), &sentence);
            check(
                &pattern,
                &json!({ "event": { "severity": "high", name: null }, "match": true }),
                &sentence,
            );
            check(&pattern, &json!({ "event": { "severity": "high", name: "x" }, "match": true }), "");
            let either = json!({ "$or": [{ name: ["x"] }, { "severity": ["high"] }] });
            check(&either, &json!({ "event": { "severity": "high" }, "match": true }), &sentence);
        }
        let tenant = json!({ "tenant": ["acme"] });
        check(&tenant, &json!({ "event": { "tenant": "acme" }, "match": true }), "");
        check(&tenant, &json!({ "event": {}, "match": false }), "");
    }

    #[test]
    fn an_event_that_is_none_fails_its_test_with_the_place() {
        let tests = json!([
            { "event": { "severity": "high" }, "match": true },
            { "name": "bad time", "event": { "severity": "high", "time": "noon" }, "match": true },
            { "event": { "severity": "low" }, "match": true },
            { "event": { "Severity": "low" }, "match": true },
        ]);
        let report = run(&rule(&severe(), &tests)).unwrap();
        assert_eq!((report.passed, report.failed), (1, 3));
        assert_eq!(super::refusal(&rule(&severe(), &tests)), Ok(report.refusal()));
        let refusal = report.refusal().unwrap();
        assert_eq!((refusal.code, refusal.path.as_str()), (Code::RuleTestsFailed, "/tests/1/event/time"));
        assert_eq!(
            refusal.reason,
            "the test `bad time` cannot be tried: `time` is not an RFC 3339 time. 2 more tests fail."
        );
        assert_eq!(report.tests[3].problem.as_ref().unwrap().path, "/tests/3/event/Severity");
    }

    #[test]
    fn one_sided_tests_get_a_hint() {
        let test =
            |severity: &str, matches: bool| json!({ "event": { "severity": severity }, "match": matches });
        let cases = [
            (json!([]), vec![]),
            (json!([test("high", true)]), vec!["no-counterexample"]),
            (json!([test("low", false)]), vec!["no-example"]),
            (json!([test("high", true), test("low", false)]), vec![]),
        ];
        for (tests, expected) in cases {
            let report = run(&rule(&severe(), &tests)).unwrap();
            assert_eq!(report.hints.iter().map(|hint| hint.code).collect::<Vec<_>>(), expected, "{tests}");
            assert_eq!(report.refusal(), None);
        }
    }

    /// `resources/rules`: what `cargo xtask up` puts in.
    #[test]
    fn shipped_rules_pass_their_tests() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../resources/rules");
        let mut seen = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read(file.unwrap().path()).unwrap();
            let value = crate::yaml::parse(&text, crate::yaml::DOCUMENT_LIMITS).unwrap();
            let report = run(&parse_rule(&value).unwrap().0).unwrap();
            assert_eq!(report.refusal(), None);
            assert!(report.passed >= 2 && report.hints.is_empty(), "{report:?}");
            seen += 1;
        }
        assert!(seen >= 3);
    }
}
