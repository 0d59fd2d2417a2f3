//! Sets of rules, applied as a whole.

use crate::harness::{Answered, Service, assert_problem, service, service_with};
use http::Method;
use notify_core::document::rule_file::SET_LABEL;
use notify_core::ids::TenantId;
use notify_webservice::Limits;
use notify_webservice::auth::Scope;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

const JSON: (&str, &str) = ("content-type", "application/json");

async fn with_channel(limits: Limits) -> Service {
    let service = service_with(limits).await;
    let channel = json!({ "schema": "notify-channel@1", "id": "x", "name": "A channel", "type": "webhook" });
    let made = service.admin(Method::POST, "/api/v1/notify/channels", &[JSON], &channel.to_string()).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    service
}

fn rule(id: &str, priority: i32) -> Value {
    json!({
        "schema": "notify-rule@1", "id": id, "name": "A rule", "priority": priority, "match": { "type": ["t"] },
        "actions": [{ "id": "chat", "channel": "x" }],
    })
}

fn labelled(mut rule: Value, name: &str, value: &str) -> Value {
    rule["labels"][name] = value.into();
    rule
}

async fn apply(service: &Service, request: &Value) -> Answered {
    service.admin(Method::POST, "/api/v1/notify/rules:apply", &[JSON], &request.to_string()).await
}

/// `id action version` of each rule of an answer.
#[track_caller]
fn done(answered: &Answered) -> Vec<String> {
    assert_eq!(answered.status.as_u16(), 200, "{}", answered.body);
    let shown = |rule: &Value| {
        format!("{} {} {}", rule["id"].as_str().unwrap(), rule["action"].as_str().unwrap(), rule["version"])
    };
    answered.body["rules"].as_array().unwrap().iter().map(shown).collect()
}

/// `id set` of each saved rule; `-` where it is in none.
async fn saved(service: &Service) -> Vec<String> {
    let listed = service.admin(Method::GET, "/api/v1/notify/rules?limit=500", &[], "").await;
    let shown = |item: &Value| {
        let set = item["document"]["labels"][SET_LABEL].as_str().unwrap_or("-");
        format!("{} {set}", item["id"].as_str().unwrap())
    };
    listed.body["items"].as_array().unwrap().iter().map(shown).collect()
}

/// Ledger entries, and the configuration's version.
async fn written(service: &Service) -> (u64, u64) {
    let tenant = TenantId::new("acme").unwrap();
    let head = service.store.ledger_head(&tenant).await.unwrap().unwrap();
    (head.size, service.store.config_version(&tenant).await.unwrap())
}

#[tokio::test]
async fn files_are_compared_and_applied_as_one() {
    let service = with_channel(Limits::default()).await;
    let before = written(&service).await;
    let first = json!({ "rules": [rule("b", 1), rule("a", 1), rule("c", 1)], "dryRun": true });
    let shown = apply(&service, &first).await;
    assert_eq!(done(&shown), ["b create 1", "a create 1", "c create 1"]);
    assert_eq!(
        (&shown.body["applied"], written(&service).await),
        (&json!(false), before),
        "a dry run writes nothing"
    );

    let mut first = first;
    first["dryRun"] = json!(false);
    first["ifConfigVersion"] = shown.body["configVersion"].clone();
    let notified = service.engine.changes.load(Ordering::Relaxed);
    let answered = apply(&service, &first).await;
    assert_eq!(done(&answered), ["b create 1", "a create 1", "c create 1"]);
    assert_eq!(service.engine.changes.load(Ordering::Relaxed), notified + 1);
    let after = written(&service).await;
    assert_eq!(after, (before.0 + 3, before.1 + 3), "an entry and a step for each rule");
    assert_eq!(answered.body["configVersion"], after.1);
    let tenant = TenantId::new("acme").unwrap();
    let entries = service.store.ledger_entries(&tenant, before.0, after.0, 9).await.unwrap();
    for (entry, id) in entries.iter().zip(["b", "a", "c"]) {
        let payload: Value = serde_json::from_str(entry.payload.as_deref().unwrap()).unwrap();
        let recorded = &payload["predicate"];
        assert_eq!((entry.kind.as_str(), &recorded["document"]), ("config", &json!(id)), "{payload}");
        let read = service.admin(Method::GET, &format!("/api/v1/notify/rules/{id}"), &[], "").await;
        assert!(
            payload.to_string().contains(read.text("/digest").trim_start_matches("sha256:")),
            "{payload}"
        );
    }

    // Once more: nothing to do, nothing written.
    let again = json!({ "rules": [rule("a", 1), rule("b", 1), rule("c", 1)] });
    let answered = apply(&service, &again).await;
    assert_eq!(done(&answered), ["a unchanged 1", "b unchanged 1", "c unchanged 1"]);
    assert_eq!((&answered.body["applied"], written(&service).await), (&json!(false), after));
    assert_eq!(service.engine.changes.load(Ordering::Relaxed), notified + 1);

    let mut changed = rule("b", 7);
    changed["actions"][0]["locale"] = "de".into();
    let second = json!({ "rules": [rule("a", 1), changed, rule("d", 1)], "prune": true });
    let answered = apply(&service, &second).await;
    assert_eq!(done(&answered), ["a unchanged 1", "b replace 2", "d create 1", "c delete 1"]);
    let counts =
        ["created", "changed", "deleted", "unchanged"].map(|name| answered.body[name].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 1, 1]);
    assert_eq!(
        answered.body["rules"][1]["changes"],
        json!([
            { "op": "add", "path": "/actions/0/locale", "new": "de" },
            { "op": "replace", "path": "/priority", "old": 1, "new": 7 },
        ])
    );
    assert_eq!(written(&service).await, (after.0 + 3, after.1 + 3));
    assert_eq!(saved(&service).await, ["a default", "b default", "d default"]);

    // A rule that comes back goes on counting.
    assert_eq!(done(&apply(&service, &json!({ "rules": [rule("c", 1)] })).await), ["c create 2"]);
    let stale = json!({ "rules": [rule("c", 2)], "ifConfigVersion": after.1 });
    assert_problem(&apply(&service, &stale).await, 412, "precondition-failed");

    // As YAML, by somebody who may not.
    let yaml = "rules:\n  - schema: notify-rule@1\n    id: c\n    name: A rule\n    priority: 1\n    match: { type: [t] }\n    \
                actions: [{ id: chat, channel: x }]\n";
    let as_yaml = [("content-type", "application/yaml")];
    let answered = service.admin(Method::POST, "/api/v1/notify/rules:apply", &as_yaml, yaml).await;
    assert_eq!(done(&answered), ["c unchanged 2"]);
    let viewer = format!("Bearer {}", service.token("acme", &[Scope::Viewer]));
    let headers = [("authorization", viewer.as_str()), as_yaml[0]];
    let refused = service.send(Method::POST, "/api/v1/notify/rules:apply", &headers, yaml.as_bytes()).await;
    assert_problem(&refused, 403, "forbidden");
}

#[tokio::test]
async fn only_what_belongs_to_the_set_is_pruned() {
    let service = with_channel(Limits::default()).await;
    for (id, labels) in [("console", json!({})), ("theirs", json!({ SET_LABEL: "team-b" }))] {
        let mut rule = rule(id, 1);
        rule["labels"] = labels;
        let made = service.admin(Method::POST, "/api/v1/notify/rules", &[JSON], &rule.to_string()).await;
        assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    }
    let ours = json!({
        "set": "team-a",
        "rules": [labelled(rule("one", 1), "tier", "gold"), labelled(rule("two", 1), "tier", "tin"), rule("console", 1)],
    });
    // A rule that exists stays in its set, or in none.
    assert_eq!(done(&apply(&service, &ours).await), ["one create 1", "two create 1", "console unchanged 1"]);
    assert_eq!(saved(&service).await, ["console -", "one team-a", "theirs team-b", "two team-a"]);

    for (request, expected) in [
        (
            json!({ "set": "team-a", "rules": [], "prune": true, "selector": { "tier": "gold" } }),
            vec!["one delete 1"],
        ),
        (json!({ "set": "team-c", "rules": [], "prune": true }), vec![]),
        (json!({ "set": "team-a", "rules": [], "prune": false }), vec![]),
        // The file says itself where it belongs.
        (
            json!({ "set": "team-a", "rules": [labelled(rule("console", 1), SET_LABEL, "team-z")] }),
            vec!["console replace 2"],
        ),
        // Taken over on request only.
        (
            json!({ "set": "team-a", "rules": [labelled(rule("theirs", 1), SET_LABEL, "team-b")] }),
            vec!["theirs unchanged 1"],
        ),
        (json!({ "set": "team-b", "rules": [rule("theirs", 1)] }), vec!["theirs unchanged 1"]),
        (json!({ "set": "team-a", "rules": [rule("theirs", 1)], "adopt": true }), vec!["theirs replace 2"]),
        (
            json!({ "set": "team-a", "rules": [], "prune": true, "dryRun": true }),
            vec!["theirs delete 2", "two delete 1"],
        ),
        (
            json!({ "set": "team-a", "rules": [], "prune": true, "dryRun": true, "keep": ["two", "gone"] }),
            vec!["theirs delete 2"],
        ),
        (
            json!({ "set": "team-a", "rules": [labelled(rule("two", 1), "tier", "tin")], "prune": true }),
            vec!["two unchanged 1", "theirs delete 2"],
        ),
    ] {
        assert_eq!(done(&apply(&service, &request).await), expected, "{request}");
    }
    assert_eq!(saved(&service).await, ["console team-z", "two team-a"]);
}

#[tokio::test]
async fn a_rule_of_another_set_is_taken_over_on_request_only() {
    let service = with_channel(Limits::default()).await;
    let theirs = json!({ "set": "team-b", "rules": [rule("same", 1)] });
    assert_eq!(done(&apply(&service, &theirs).await), ["same create 1"]);
    for same in [
        rule("same", 1),
        rule("same", 2),
        labelled(rule("same", 1), SET_LABEL, "team-a"),
        labelled(rule("same", 1), SET_LABEL, "team-c"),
    ] {
        let refused = apply(&service, &json!({ "set": "team-a", "rules": [rule("new", 1), same] })).await;
        assert_problem(&refused, 409, "already-exists");
        assert_eq!(
            (refused.text("/path"), refused.text("/detail")),
            ("/rules/1/id", "the rule `same` belongs to the set `team-b`, not to `team-a`")
        );
        assert!(refused.text("/fix").contains("--adopt"), "{}", refused.body);
    }
    assert_eq!(saved(&service).await, ["same team-b"]);
    // Whatever the file says.
    for (rule, set, expected) in [
        (rule("same", 1), "team-a", "same replace 2"),
        (labelled(rule("same", 1), SET_LABEL, "team-b"), "team-c", "same replace 3"),
        (labelled(rule("new", 1), SET_LABEL, "team-b"), "team-c", "new create 1"),
    ] {
        let adopted = apply(&service, &json!({ "set": set, "rules": [rule], "adopt": true })).await;
        assert_eq!(done(&adopted), [expected]);
        assert_eq!(adopted.text("/rules/0/set"), set);
    }
    assert_eq!(saved(&service).await, ["new team-c", "same team-c"]);
}

#[tokio::test]
async fn a_few_differences_are_told_and_all_are_counted() {
    let service = with_channel(Limits::default()).await;
    let of = |prefix: &str| {
        let mut rule = rule("long", 1);
        rule["match"]["subject"] = (0..300).map(|n| json!(format!("{prefix}{n}"))).collect();
        json!({ "rules": [rule] })
    };
    let created = apply(&service, &of("a")).await;
    assert_eq!(done(&created), ["long create 1"]);
    let answered = apply(&service, &of("b")).await;
    assert_eq!(done(&answered), ["long replace 2"]);
    let told = &answered.body["rules"][0];
    assert_eq!((told["changes"].as_array().unwrap().len(), &told["changesOmitted"]), (200, &json!(100)));
    assert_eq!(told["changes"][0]["path"], "/match/subject/0");
}

#[tokio::test]
async fn every_problem_is_told_and_nothing_is_written() {
    let service = with_channel(Limits::default()).await;
    let before = written(&service).await;
    let mut pattern = rule("pattern", 1);
    pattern["match"]["type"] = json!([{ "no-such": 1 }]);
    pattern["actions"][0]["channel"] = "gone".into();
    let mut references = rule("references", 1);
    references["actions"] =
        json!([{ "id": "a", "channel": "none" }, { "id": "b", "channel": "x", "template": "neither" }]);
    references["actions"][0]["digest"] =
        json!({ "mode": "schedule", "schedule": "no-days", "template": "nor" });
    let request = json!({
        "rules": [rule("good", 1), pattern, references, { "id": "bare" }, 7, rule("good", 2), labelled(rule("label", 1), "ä", "x")],
    });
    let refused = apply(&service, &request).await;
    assert_problem(&refused, 422, "invalid-pattern");
    let told: Vec<String> = refused.body["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| {
            assert!(
                !problem["detail"].as_str().unwrap().is_empty()
                    && !problem["fix"].as_str().unwrap().is_empty()
            );
            format!("{} {}", problem["path"].as_str().unwrap(), problem["code"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        told,
        [
            "/rules/1/match/type/0/no-such invalid-pattern",
            "/rules/1/actions/0/channel unknown-reference",
            "/rules/2/actions/0/channel unknown-reference",
            "/rules/2/actions/1/template unknown-reference",
            "/rules/2/actions/0/digest/schedule unknown-reference",
            "/rules/2/actions/0/digest/template unknown-reference",
            "/rules/3/schema invalid-rule",
            "/rules/4 invalid-rule",
            "/rules/5/id invalid-rule",
            "/rules/6/labels/ä invalid-rule",
        ]
    );
    assert_eq!(refused.body["problemCount"], 10);
    assert_eq!(written(&service).await, before);
    assert_eq!(saved(&service).await, Vec::<String>::new());
}

/// Saved alone and in a set, a rule is held to the same.
#[tokio::test]
async fn a_digest_needs_a_template_for_digests() {
    let service = with_channel(Limits::default()).await;
    let json = [("content-type", "application/json")];
    for (id, title) in
        [("alert", "{{ event.type }}"), ("several", "{{ digest.count }} of {{ event }}"), ("fixed", "Look")]
    {
        let template =
            json!({ "schema": "notify-template@1", "id": id, "name": "T", "message": { "title": title } });
        let place = "/api/v1/notify/templates";
        let made = service.admin(Method::POST, place, &json, &template.to_string()).await;
        assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    }
    for (template, fits) in [("alert", false), ("several", true), ("fixed", true)] {
        let mut one = rule(template, 1);
        one["actions"][0]["digest"] = json!({ "window": "10m", "template": template });
        let alone = service.admin(Method::POST, "/api/v1/notify/rules", &json, &one.to_string()).await;
        let together = apply(&service, &json!({ "rules": [one] })).await;
        if fits {
            assert_eq!(
                (alone.status.as_u16(), together.status.as_u16()),
                (201, 200),
                "{} {}",
                alone.body,
                together.body
            );
        } else {
            assert_problem(&alone, 422, "invalid-rule");
            assert_eq!(alone.text("/path"), "/actions/0/digest/template");
            assert_problem(&together, 422, "invalid-rule");
            assert_eq!(together.text("/problems/0/path"), "/rules/0/actions/0/digest/template");
        }
    }
}

#[tokio::test]
async fn the_request_is_read_strictly() {
    let service = service().await;
    for (request, path, code) in [
        (json!([]), "", "invalid-parameter"),
        (json!({}), "/rules", "invalid-parameter"),
        (json!({ "rules": {} }), "/rules", "invalid-parameter"),
        (json!({ "rules": [], "purge": true }), "/purge", "unknown-field"),
        (json!({ "rules": [], "prune": "yes" }), "/prune", "invalid-parameter"),
        (json!({ "rules": [], "set": "Team A" }), "/set", "invalid-parameter"),
        (json!({ "rules": [], "selector": ["a"] }), "/selector", "invalid-parameter"),
        (json!({ "rules": [], "selector": { "a": 1 } }), "/selector/a", "invalid-parameter"),
        (
            json!({ "rules": [], "selector": { SET_LABEL: "x" } }),
            "/selector/notify.apply-set",
            "invalid-parameter",
        ),
        (json!({ "rules": [], "keep": "a" }), "/keep", "invalid-parameter"),
        (json!({ "rules": [], "keep": ["a", "B"] }), "/keep/1", "invalid-parameter"),
        (json!({ "rules": [], "ifConfigVersion": -1 }), "/ifConfigVersion", "invalid-parameter"),
    ] {
        let refused = apply(&service, &request).await;
        assert_problem(&refused, if code == "unknown-field" { 422 } else { 400 }, code);
        assert_eq!(refused.text("/path"), path, "{request}");
    }
}

#[tokio::test]
async fn a_set_has_limits() {
    let limits = Limits {
        apply_rules: 3,
        apply_bytes: 4_000,
        tenant_rules: 4,
        document_bytes: 600,
        ..Limits::default()
    };
    let service = with_channel(limits).await;
    let rules = |ids: &[&str]| json!({ "rules": ids.iter().map(|id| rule(id, 1)).collect::<Vec<_>>(), "prune": true });
    let four = apply(&service, &rules(&["a", "b", "c", "d"])).await;
    assert_problem(&four, 413, "too-large");
    assert_eq!((four.text("/path"), four.text("/fix").contains("limits.apply_rules")), ("/rules", true));
    assert_eq!(done(&apply(&service, &rules(&["a", "b", "c"])).await).len(), 3);

    let padded = format!("{}{}", rules(&["a", "b", "c"]), " ".repeat(4_000));
    let refused = service.admin(Method::POST, "/api/v1/notify/rules:apply", &[JSON], &padded).await;
    assert_problem(&refused, 413, "too-large");

    let mut large = rule("a", 1);
    large["description"] = "x".repeat(600).into();
    let refused = apply(&service, &json!({ "rules": [large] })).await;
    assert_problem(&refused, 413, "too-large");
    assert_eq!(refused.text("/path"), "/rules/0");

    let another = json!({ "set": "other", "rules": [rule("d", 1), rule("e", 1)] });
    let refused = apply(&service, &another).await;
    assert_problem(&refused, 409, "limit-reached");
    assert!(refused.text("/fix").contains("limits.tenant_rules"), "{}", refused.body);
    // What is pruned makes room in the same commit.
    let swapped = done(&apply(&service, &rules(&["d", "e", "f"])).await);
    assert_eq!(swapped, ["d create 1", "e create 1", "f create 1", "a delete 1", "b delete 1", "c delete 1"]);
}

#[tokio::test]
async fn another_tenants_rules_are_not_seen() {
    let service = with_channel(Limits::default()).await;
    assert_eq!(done(&apply(&service, &json!({ "rules": [rule("mine", 1)] })).await), ["mine create 1"]);
    let other = format!("Bearer {}", service.token("other", &[Scope::Operator]));
    let headers = [("authorization", other.as_str()), JSON];
    let send = async |request: Value| {
        service
            .send(Method::POST, "/api/v1/notify/rules:apply", &headers, request.to_string().as_bytes())
            .await
    };
    // Neither its rules nor its channels.
    assert_eq!(done(&send(json!({ "rules": [], "prune": true })).await), Vec::<String>::new());
    let refused = send(json!({ "rules": [rule("mine", 1)] })).await;
    assert_problem(&refused, 422, "unknown-reference");
    assert_eq!(saved(&service).await, ["mine default"]);
}

/// Many at once: every version is the one that the answer and the ledger name.
#[tokio::test]
async fn thousands_of_rules() {
    let service = with_channel(Limits::default()).await;
    let rules: Vec<Value> = (0..2_000).map(|n| rule(&format!("rule-{n:04}"), n)).collect();
    let answered = apply(&service, &json!({ "rules": rules })).await;
    assert_eq!(
        (answered.status.as_u16(), &answered.body["created"]),
        (200, &json!(2_000)),
        "{}",
        answered.body
    );
    let half: Vec<&Value> = rules.iter().step_by(2).collect();
    let answered = apply(&service, &json!({ "rules": half, "prune": true })).await;
    let counts =
        ["created", "changed", "deleted", "unchanged"].map(|name| answered.body[name].as_u64().unwrap());
    assert_eq!(counts, [0, 0, 1_000, 1_000]);
}
