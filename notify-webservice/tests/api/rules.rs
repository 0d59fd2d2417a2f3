//! Rules that are explained and that carry tests.

use crate::harness::{Answered, Service, assert_problem, service};
use http::Method;
use notify_webservice::openapi;
use serde_json::{Value, json};

const JSON: (&str, &str) = ("content-type", "application/json");
const RULES: &str = "/api/v1/notify/rules";

async fn with_channel() -> Service {
    let service = service().await;
    let channel = json!({ "schema": "notify-channel@1", "id": "c", "name": "C", "type": "webhook", "config": { "url": "https://x.test/" } });
    let made = service.admin(Method::POST, "/api/v1/notify/channels", &[JSON], &channel.to_string()).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    service
}

fn rule(id: &str, pattern: Value, tests: Value) -> Value {
    json!({
        "schema": "notify-rule@1", "id": id, "name": format!("Rule {id}"), "match": pattern, "tests": tests,
        "actions": [{ "id": "a", "channel": "c" }],
    })
}

fn severe() -> Value {
    json!({ "severity": [{ "at-least": "high" }] })
}

fn good() -> Value {
    json!([
        { "event": { "severity": "high" }, "match": true, "channels": ["c"] },
        { "event": { "severity": "low" }, "match": false },
    ])
}

fn wrong() -> Value {
    json!([
        { "event": { "severity": "high" }, "match": true },
        { "name": "mild", "event": { "severity": "low" }, "match": true },
    ])
}

async fn post(service: &Service, path: &str, body: &Value) -> Answered {
    service.admin(Method::POST, path, &[JSON], &body.to_string()).await
}

async fn put(service: &Service, id: &str, query: &str, body: &Value) -> Answered {
    let headers = [JSON, ("if-match", "*")];
    service.admin(Method::PUT, &format!("{RULES}/{id}{query}"), &headers, &body.to_string()).await
}

/// The answer is what the description says of this schema.
#[track_caller]
fn described(answered: &Answered, schema: &str) {
    let document = openapi::document();
    let whole = json!({
        "$ref": format!("#/components/schemas/{schema}"), "components": document["components"],
    });
    let validator = jsonschema::draft202012::options().build(&whole).unwrap();
    let errors: Vec<String> = validator.iter_errors(&answered.body).map(|error| error.to_string()).collect();
    assert_eq!((answered.status.as_u16(), errors), (200, vec![]), "{}", answered.body);
}

/// `version action forced` of each entry about a rule.
async fn recorded(service: &Service) -> Vec<String> {
    let ledger = service.admin(Method::GET, "/api/v1/notify/ledger/entries", &[], "").await;
    let predicates = ledger.body["items"].as_array().unwrap().iter().map(|i| &i["statement"]["predicate"]);
    predicates
        .filter(|predicate| predicate["documentKind"] == "rule")
        .map(|p| format!("{} {} {}", p["version"], p["action"], p.get("forced").unwrap_or(&Value::Null)))
        .map(|line| line.replace('"', ""))
        .collect()
}

#[tokio::test]
async fn a_rule_whose_tests_fail_is_refused_unless_forced() {
    let service = with_channel().await;
    let refused = post(&service, RULES, &rule("r", severe(), wrong())).await;
    assert_problem(&refused, 422, "rule-tests-failed");
    assert_eq!(refused.text("/path"), "/tests/1");
    assert_eq!(
        refused.text("/detail"),
        "the test `mild` fails: The rule should match. The event does not match: `/severity` is \"low\", but the rule \
         wants a severity of high or above."
    );
    assert!(refused.text("/fix").contains("`force=true`"), "{}", refused.body);
    assert_problem(
        &post(&service, &format!("{RULES}?force=maybe"), &rule("r", severe(), wrong())).await,
        400,
        "invalid-parameter",
    );
    assert_problem(
        &post(&service, "/api/v1/notify/channels?force=true", &json!({})).await,
        400,
        "invalid-parameter",
    );

    let made = post(&service, RULES, &rule("r", severe(), good())).await;
    assert_eq!((made.status.as_u16(), made.body.get("forced")), (201, None), "{}", made.body);
    assert_eq!(made.body["document"]["tests"], good(), "tests are part of the document");
    assert_problem(&put(&service, "r", "", &rule("r", severe(), wrong())).await, 422, "rule-tests-failed");
    assert_problem(
        &put(&service, "r", "?force=false", &rule("r", severe(), wrong())).await,
        422,
        "rule-tests-failed",
    );

    let forced = put(&service, "r", "?force=true", &rule("r", severe(), wrong())).await;
    assert_eq!(forced.status.as_u16(), 200, "{}", forced.body);
    assert_eq!(
        (forced.text("/forced/0/code"), forced.text("/forced/0/path")),
        ("rule-tests-failed", "/tests/1")
    );
    let read = service.admin(Method::GET, &format!("{RULES}/r"), &[], "").await;
    assert_eq!(read.body.get("forced"), None, "it belongs to the write");

    // Switching it off is not a change that the tests speak of; anything else is.
    let mut off = rule("r", severe(), wrong());
    off["enabled"] = json!(false);
    assert_eq!(put(&service, "r", "", &off).await.status.as_u16(), 200);
    off["priority"] = json!(7);
    assert_problem(&put(&service, "r", "", &off).await, 422, "rule-tests-failed");
    // Force without a need is no forced act.
    let needless = put(&service, "r", "?force=true", &rule("r", severe(), good())).await;
    assert_eq!((needless.status.as_u16(), needless.body.get("forced")), (200, None), "{}", needless.body);
    let fresh = post(&service, &format!("{RULES}?force=true"), &rule("n", severe(), wrong())).await;
    assert_eq!((fresh.status.as_u16(), fresh.text("/forced/0/code")), (201, "rule-tests-failed"));
    // A deleted rule is no measure: bringing it back is a change.
    service.admin(Method::DELETE, &format!("{RULES}/n"), &[("if-match", "*")], "").await;
    assert_problem(&post(&service, RULES, &rule("n", severe(), wrong())).await, 422, "rule-tests-failed");
    assert_eq!(
        recorded(&service).await,
        [
            "1 create null",
            "2 replace [rule-tests-failed]",
            "3 replace null",
            "4 replace null",
            "1 create [rule-tests-failed]",
            "1 delete null"
        ]
    );
}

#[tokio::test]
async fn tests_are_run_without_saving() {
    let service = with_channel().await;
    let path = format!("{RULES}:test");
    let report = post(&service, &path, &rule("r", severe(), wrong())).await;
    described(&report, "RuleTestReport");
    assert_eq!((&report.body["passed"], &report.body["failed"]), (&json!(1), &json!(1)), "{}", report.body);
    assert_eq!(report.text("/hints/0/code"), "no-counterexample");
    assert_eq!(report.body["tests"][1]["got"], json!({ "match": false, "channels": [] }));
    // The channel need not exist: the rule is tried alone.
    let mut elsewhere = rule("r", severe(), good());
    elsewhere["actions"][0]["channel"] = json!("nowhere");
    elsewhere["tests"][0]["channels"] = json!(["nowhere"]);
    let report = post(&service, &path, &elsewhere).await;
    described(&report, "RuleTestReport");
    assert_eq!(report.body["failed"], json!(0), "{}", report.body);
    let not_tried = json!([{ "event": { "severity": 5 }, "match": true }]);
    let report = post(&service, &path, &rule("r", severe(), not_tried)).await;
    described(&report, "RuleTestReport");
    assert_eq!(report.text("/tests/0/problem/path"), "/tests/0/event/severity", "{}", report.body);
    let bad = post(&service, &path, &rule("r", json!({ "a": [] }), json!([]))).await;
    assert_problem(&bad, 422, "invalid-pattern");
    assert_eq!(recorded(&service).await, Vec::<String>::new());
}

#[tokio::test]
async fn explanations_are_as_described() {
    let service = with_channel().await;
    let patterns = [
        ("any", json!({ "$or": [severe(), { "data": { "n": [{ "numeric": [">", 0] }] } }] })),
        ("list", json!({ "data": { "f": { "a": [1], "b": [2] } } })),
        ("type", json!({ "type": ["t"], "severity": [{ "exists": false }] })),
    ];
    for (id, pattern) in &patterns {
        let made = post(&service, RULES, &rule(id, pattern.clone(), json!([]))).await;
        assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    }
    let event = |data: Value| json!({ "event": { "specversion": "1.0", "id": "1", "source": "/s", "type": "u", "severity": "low", "data": data } });
    let split = event(json!({ "f": [{ "a": 1, "b": 0 }, { "a": 0, "b": 2 }], "n": 0 }));
    let fits = event(json!({ "f": { "a": 1, "b": 2 }, "n": 1 }));
    for (id, _) in &patterns {
        for event in [&split, &fits, &event(json!({})), &event(json!([1, {}, []]))] {
            let explained = post(&service, &format!("{RULES}/{id}:explain"), event).await;
            described(&explained, "Explanation");
            assert!(explained.text("/sentence").starts_with("The event "), "{}", explained.body);
        }
    }
    let conflict = post(&service, &format!("{RULES}/list:explain"), &split).await;
    let conflict = &conflict.body["explanation"]["alternatives"][0]["conflict"];
    assert_eq!(conflict["elements"][0]["fails"][0]["at"], "/data/f/0/b", "{conflict}");
    assert_eq!(conflict["elements"][1]["fails"][0]["value"], 0, "{conflict}");

    let all = post(&service, &format!("{RULES}:explain"), &split).await;
    described(&all, "Explained");
    let named: Vec<String> = all.body["nearest"]["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|miss| format!("{} {}", miss["rule"], miss["failed"]).replace('"', ""))
        .collect();
    assert_eq!(named, ["any 1", "list 1", "type 2"], "{}", all.body);
    assert_eq!(all.body["nearest"]["complete"], json!(true));
    let one = post(&service, &format!("{RULES}:explain?nearest=1"), &fits).await;
    described(&one, "Explained");
    assert_eq!((&one.body["matched"], &one.body["unmatched"]), (&json!(2), &json!(1)), "{}", one.body);
    assert_eq!(one.text("/matching/0/rule"), "any");
    assert_eq!(one.text("/nearest/rules/0/rule"), "type");
    for wrong in ["21", "-1", "many"] {
        let answered = post(&service, &format!("{RULES}:explain?nearest={wrong}"), &fits).await;
        assert_problem(&answered, 400, "invalid-parameter");
    }
    assert_problem(
        &post(&service, &format!("{RULES}:explain"), &json!({ "event": 1 })).await,
        400,
        "invalid-event",
    );
}
