//! Commands against a running service.

use crate::harness::{SITE, Service, service};
use crate::{Run, notify};
use notify_core::ledger::keys::{ExportKey, LogKeys};
use notify_core::ledger::policy::Policy;
use notify_core::ledger::trust::{LogKeyRange, Trust};
use notify_webservice::Limits;
use notify_webservice::auth::Scope;
use serde_json::Value;
use std::path::Path;

/// A served API and a folder with files.
pub struct Site {
    pub service: Service,
    url: String,
    token: String,
    pub folder: tempfile::TempDir,
    _stop: tokio::sync::oneshot::Sender<()>,
}

pub async fn site() -> Site {
    let service = service().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let router = service.router.clone();
    tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await;
        };
        notify_webservice::serve(listener, router, &Limits::default(), stopped).await
    });
    let token = service.token("acme", &[Scope::Admin]);
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "channel.yaml",
        "schema: notify-channel@1\nid: hook\nname: The hook\ntype: webhook\nconfig:\n  url: https://x.test/in\n",
    );
    write(
        "rule.yaml",
        "schema: notify-rule@1\nid: findings\nname: Critical findings\npriority: 5\nmatch:\n  type: [report.ready]\n\
         actions:\n  - id: send\n    channel: hook\n",
    );
    write(
        "event.json",
        r#"{"specversion":"1.0","id":"1","source":"/scanner","type":"report.ready","subject":"app"}"#,
    );
    write(
        "events.yaml",
        "- {specversion: '1.0', id: '1', source: /scanner, type: report.ready, subject: app}\n- {specversion: '1.0', id: '2', source: 7, type: x}\n",
    );
    Site { service, url, token, folder, _stop: stop }
}

impl Site {
    pub async fn run(&self, arguments: &[&str]) -> Run {
        let (arguments, folder): (Vec<String>, _) =
            (arguments.iter().map(|text| (*text).to_owned()).collect(), self.folder.path().to_owned());
        let (url, token) = (self.url.clone(), self.token.clone());
        let run = move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            notify(&arguments, &[("NOTIFY_URL", &url), ("NOTIFY_TOKEN", &token)], &folder)
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn event_types_and_quarantine() {
    use notify_bus::intake::{Message, Taken};
    use notify_core::time::Clock;
    let site = site().await;
    let write = |name: &str, text: &str| std::fs::write(site.folder.path().join(name), text).unwrap();
    let document =
        "schema: notify-event-type@1\nid: report\nname: A report\ntype: report.ready\ndataSchema:\n  type: ";
    write("type.yaml", &format!("{document}object\n"));
    write("broken.yaml", &format!("{document}objekt\n"));
    site.run(&["event-type", "validate", "-f", "broken.yaml"])
        .await
        .fails(1, "error[invalid-event-type]: broken.yaml at /dataSchema/type");
    assert_eq!(
        site.run(&["event-type", "create", "-f", "type.yaml"]).await.ok(),
        "event-type report created, version 1\n"
    );
    let listed = site.run(&["event-type", "list"]).await.ok();
    assert!(listed.contains("report  report.ready  A report"), "{listed}");
    site.run(&["event", "publish", "event.json"]).await.fails(1, "error[schema-mismatch]");

    // What a bus brought.
    let tenant = notify_core::ids::TenantId::new("acme").unwrap();
    let clock = site.service.clock.clone();
    let bus = notify_bus::Bus::database(site.service.store.clone(), clock.clone());
    let body = std::fs::read(site.folder.path().join("event.json")).unwrap();
    let origin = "nats:alerts.in";
    let message =
        Message { tenant: &tenant, origin, content_type: "", body: &body, received_at: clock.now() };
    let Taken::Quarantined(id) = site.service.intake.take(&bus, message).await.unwrap() else {
        panic!("it fits")
    };
    let listed = site.run(&["quarantine", "list"]).await.ok();
    assert!(listed.contains(&id) && listed.contains("schema-mismatch"), "{listed}");
    let shown = site.run(&["quarantine", "get", &id]).await.ok();
    assert!(shown.contains("nats:alerts.in") && shown.contains(r#""type":"report.ready""#), "{shown}");
    site.run(&["quarantine", "redrive", &id]).await.fails(1, "error[schema-mismatch]");
    site.run(&["event-type", "delete", "report"]).await.ok();
    let redriven = site.run(&["quarantine", "redrive", &id]).await.ok();
    assert!(redriven.starts_with(&format!("{id} was taken in as event evt_")), "{redriven}");
    site.run(&["quarantine", "delete", &id]).await.fails(1, "error[not-found]");
    assert_eq!(site.run(&["quarantine", "list"]).await.ok(), "Nothing is in quarantine.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_from_files() {
    let site = site().await;
    site.run(&["rule", "create", "-f", "rule.yaml"])
        .await
        .fails(1, "error[unknown-reference]: rule.yaml at /actions/0/channel");
    assert_eq!(
        site.run(&["channel", "create", "-f", "channel.yaml"]).await.ok(),
        "channel hook created, version 1\n"
    );
    assert_eq!(
        site.run(&["rule", "create", "-f", "rule.yaml"]).await.ok(),
        "rule findings created, version 1\n"
    );
    let listed = site.run(&["rule", "list"]).await.ok();
    assert!(listed.starts_with("ID        NAME               ENABLED  PRIORITY  VERSION  CHANGED\nfindings  Critical findings  yes      5         1        "), "{listed}");
    // What is printed can be sent back.
    let yaml = site.run(&["rule", "get", "findings", "-o", "yaml"]).await.ok();
    std::fs::write(site.folder.path().join("back.yaml"), yaml.replace("priority: 5", "priority: 6")).unwrap();
    assert_eq!(
        site.run(&["rule", "replace", "-f", "back.yaml"]).await.ok(),
        "rule findings replaced, version 2\n"
    );
    site.run(&["rule", "replace", "-f", "back.yaml", "--version", "1"])
        .await
        .fails(1, "error[precondition-failed]");
    let versions = site.run(&["rule", "versions", "findings", "-o", "json"]).await.ok();
    let versions: Value = serde_json::from_str(&versions).unwrap();
    assert_eq!(versions.pointer("/1/document/priority"), Some(&serde_json::json!(5)));
    site.run(&["channel", "delete", "hook"]).await.fails(1, "fix: change or delete those rules first");
    let explained = site.run(&["rule", "explain", "findings", "--event", "event.json"]).await.ok();
    assert!(explained.starts_with("rule findings (version 2) matches\n"), "{explained}");
    let clean = "1 rule: 0 errors, 0 warnings, 0 notes\n";
    assert_eq!(site.run(&["rule", "lint"]).await.ok(), clean);
    assert_eq!(site.run(&["rule", "lint", "--online", "rule.yaml"]).await.ok(), clean);
    let renamed = std::fs::read_to_string(site.folder.path().join("rule.yaml")).unwrap();
    std::fs::write(
        site.folder.path().join("again.yaml"),
        renamed.replace("id: findings", "id: findings-again"),
    )
    .unwrap();
    let again = site.run(&["rule", "lint", "--online", "again.yaml", "--strict"]).await;
    assert!(
        again.out.starts_with(
            "warning[rule-duplicated]: again.yaml (rule findings-again) at /match: the rule `findings`"
        ),
        "{}",
        again.out
    );
    assert_eq!(again.code, 1);
    assert!(explained.contains("yes    /type  \"report.ready\"  \"report.ready\""), "{explained}");
    let all = site.run(&["rule", "explain", "--event", "event.json"]).await.ok();
    assert!(all.starts_with("1 of 1 rules matches.\n\nrule findings (Critical findings)\n"), "{all}");
    let other = r#"{"specversion":"1.0","id":"1","source":"/scanner","type":"report.failed"}"#;
    std::fs::write(site.folder.path().join("other.json"), other).unwrap();
    let missed = site.run(&["rule", "explain", "--event", "other.json"]).await.ok();
    let expected = "None of 1 rules matches.\n\nNearest of those that do not match:\nrule findings (Critical findings): \
                    1 condition fails\n  `/type` is \"report.failed\", but the rule wants \"report.ready\"\n";
    assert_eq!(missed, expected);
    let wrong = format!("{yaml}tests: [{{ event: {{ type: report.failed }}, match: true }}]\n");
    std::fs::write(site.folder.path().join("wrong.yaml"), wrong).unwrap();
    site.run(&["rule", "replace", "-f", "wrong.yaml"])
        .await
        .fails(1, "error[rule-tests-failed]: wrong.yaml at /tests/0: test 1 fails: The rule should match.");
    let forced = site.run(&["rule", "replace", "-f", "wrong.yaml", "--force"]).await.ok();
    assert!(
        forced.starts_with("rule findings replaced, version 3\nforced, and the ledger says so: test 1"),
        "{forced}"
    );
    site.run(&["channel", "create", "-f", "channel.yaml", "--force"]).await.fails(2, "has no tests");
    site.run(&["rule", "test", "--online"]).await.fails(1, "1 test in 1 rule: 0 passed, 1 failed");
    site.run(&["rule", "test", "--online", "findings"]).await.fails(1, "failed rule findings: test 1");
    site.run(&["rule", "test", "--online", "nothing"]).await.fails(1, "error[not-found]");
    // Off whatever the tests say, and on again although they fail.
    assert_eq!(site.run(&["rule", "disable", "findings"]).await.ok(), "rule findings disabled, version 4\n");
    let enabled = site.run(&["rule", "enable", "findings", "--force"]).await.ok();
    assert!(enabled.starts_with("rule findings enabled, version 5\n"), "{enabled}");
    let preview = site.run(&["rule", "preview", "--event", "event.json"]).await.ok();
    assert_eq!(preview, "No rule matches.\n0 other rules do not match.\n", "this engine matches nothing");
    site.run(&["rule", "delete", "findings"]).await.ok();
    site.run(&["channel", "delete", "hook"]).await.ok();
    let left = site.run(&["channel", "list"]).await.ok();
    let rows: Vec<Vec<&str>> = left.lines().skip(1).map(|row| row.split_whitespace().collect()).collect();
    assert_eq!(rows, [["inbox", "Inbox", "console", "yes", "0", "built", "in"]], "every tenant has it");
    site.run(&["channel", "get", "../x"]).await.fails(1, "error[not-found]");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_as_files() {
    let site = site().await;
    site.run(&["channel", "create", "-f", "channel.yaml"]).await.ok();
    let folder = site.folder.path().join("rules/team");
    std::fs::create_dir_all(&folder).unwrap();
    let rule = |id: &str, priority: u32, more: &str| {
        format!(
            "schema: notify-rule@1\nid: {id}\nname: Rule {id}\npriority: {priority}\n{more}match:\n  type: [t]\n\
             actions:\n  - id: send\n    channel: hook\n"
        )
    };
    let two = format!("{}---\n{}", rule("one", 1, ""), rule("two", 1, "labels: { team: b }\n"));
    std::fs::write(folder.join("both.yaml"), &two).unwrap();
    std::fs::write(site.folder.path().join("rules/bad.yaml"), rule("three", 1, "").replace("hook", "none"))
        .unwrap();
    // Nobody can agree, and one file is wrong: nothing is done.
    site.run(&["rule", "apply", "-f", "rules"])
        .await
        .fails(1, "error[unknown-reference]: rules/bad.yaml at /actions/0/channel");
    std::fs::remove_file(site.folder.path().join("rules/bad.yaml")).unwrap();
    site.run(&["rule", "apply", "-f", "rules"]).await.fails(2, "give --yes");
    assert_eq!(site.run(&["rule", "list"]).await.ok(), "No rules.\n");
    let plan = "+ one (version 1, rules/team/both.yaml (document 1)): Rule one: when {\"type\":[\"t\"]}\n\
                + two (version 1, rules/team/both.yaml (document 2)): Rule two: when {\"type\":[\"t\"]}\n\n";
    let shown = site.run(&["rule", "apply", "-f", "rules", "--dry-run"]).await.ok();
    assert_eq!(
        shown,
        format!(
            "{plan}2 to be created, 0 to be changed, 0 to be deleted, 0 unchanged. Nothing was changed.\n"
        )
    );
    let done = site.run(&["rule", "apply", "-f", "rules", "--yes"]).await.ok();
    assert_eq!(done, format!("{plan}2 created, 0 changed, 0 deleted, 0 unchanged.\n"));
    let again = site.run(&["rule", "apply", "-f", "rules"]).await.ok();
    assert_eq!(again, "Nothing to do: 2 rules are as the files say.\n", "nobody needs to agree to that");

    // One that was made by hand: exported with the others, and as it should be.
    site.run(&["rule", "create", "-f", "rule.yaml"]).await.ok();
    let exported = site.run(&["rule", "export", "--out", "out"]).await.ok();
    assert_eq!(exported, "3 files written, 0 were as they should be.\n");
    let back = site.run(&["rule", "apply", "-f", "out", "--prune", "--yes"]).await.ok();
    assert_eq!(back, "Nothing to do: 3 rules are as the files say.\n");
    std::fs::write(site.folder.path().join("out/stray.yaml"), "x").unwrap();
    let exported = site.run(&["rule", "export", "--out", "out"]).await.ok();
    assert!(
        exported.starts_with("0 files written, 3 were as they should be.\n1 files are of no"),
        "{exported}"
    );
    let printed = site.run(&["rule", "export", "--selector", "team=b"]).await.ok();
    assert!(printed.starts_with("schema: notify-rule@1\nid: two\nname: Rule two\n"), "{printed}");
    assert!(!printed.contains("id: one") && printed.contains("notify.apply-set: default"), "{printed}");
    std::fs::write(site.folder.path().join("printed.yaml"), site.run(&["rule", "export"]).await.ok())
        .unwrap();
    let back = site.run(&["rule", "apply", "-f", "printed.yaml", "--dry-run"]).await.ok();
    assert_eq!(back, "Nothing to do: 3 rules are as the files say.\n");

    // A change, and what is no longer there.
    std::fs::write(folder.join("both.yaml"), rule("one", 9, "")).unwrap();
    site.run(&["rule", "apply", "-f", "rules", "--prune", "--selector", "team=a", "--dry-run"])
        .await
        .fails(1, "none of the 1 rules in the files is selected by team=a");
    let selected = site.run(&["rule", "apply", "-f", "rules", "--selector", "team=a"]).await.ok();
    let nothing = "Nothing to do: 0 rules are as the files say.\n1 rule of the files is not selected.\n";
    assert_eq!(selected, nothing);
    // `two` carries the label where it is saved, and no longer in the files: it still stands there, and is not pruned.
    let relabelled = format!("{}---\n{}", rule("three", 1, "labels: { team: b }\n"), rule("two", 1, ""));
    std::fs::write(site.folder.path().join("relabelled.yaml"), relabelled).unwrap();
    let prune = ["rule", "apply", "-f", "relabelled.yaml", "--prune", "--selector", "team=b", "--dry-run"];
    let kept = site.run(&prune).await.ok();
    assert!(kept.contains("1 to be created, 0 to be changed, 0 to be deleted, 0 unchanged."), "{kept}");
    assert!(kept.ends_with("1 rule of the files is not selected.\n"), "{kept}");
    let shown = site.run(&["rule", "apply", "-f", "rules", "--prune", "-y"]).await.ok();
    assert_eq!(
        shown,
        "~ one (version 1 to 2, rules/team/both.yaml)\n    /priority: 1 → 9\n- two (version 1)\n\n\
         0 created, 1 changed, 1 deleted, 0 unchanged.\n"
    );
    let left = site.run(&["rule", "list", "-o", "json"]).await.ok();
    let left: Value = serde_json::from_str(&left).unwrap();
    let ids: Vec<_> = left.as_array().unwrap().iter().map(|rule| rule["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["findings", "one"], "what was made by hand is in no set");
    site.run(&["rule", "apply", "-f", "rules", "--selector", "team"]).await.fails(2, "LABEL=VALUE");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_deliveries() {
    let site = site().await;
    let published = site.run(&["event", "publish", "event.json"]).await.ok();
    assert!(published.contains("event.json  1   accepted  evt_"), "{published}");
    let again = site.run(&["event", "publish", "events.yaml"]).await;
    assert!(again.out.contains("1   duplicate") && again.out.contains("2   refused"), "{}", again.out);
    again.fails(1, "error[invalid-event]: events.yaml at /1/source");
    let key = published.split_whitespace().find(|word| word.starts_with("evt_")).unwrap().to_owned();
    let shown = site.run(&["event", "get", &key]).await.ok();
    assert!(shown.contains("source    /scanner") && shown.contains("state     pending"), "{shown}");
    assert!(site.run(&["event", "list"]).await.ok().contains(&key));
    assert_eq!(site.run(&["delivery", "list", "--state", "dead"]).await.ok(), "No deliveries.\n");
    site.run(&["delivery", "list", "--state", "lost"]).await.fails(1, "error[invalid-parameter]: state");
    site.run(&["delivery", "replay", "dlv_00000000000000000000000000000000"])
        .await
        .fails(1, "error[not-found]");
    let none = ["delivery", "list", "--since", "7d", "--until", "2099-01-01T00:00:00Z", "--channel", "hook"];
    assert_eq!(site.run(&none).await.ok(), "No deliveries.\n");
    site.run(&["delivery", "list", "--since", "soon"]).await.fails(2, "neither a time nor a duration");
    let redriven =
        site.run(&["delivery", "redrive", "--channel", "hook", "--rate", "2.5", "--dry-run"]).await;
    assert_eq!(redriven.ok(), "0 dead letters fit; 0 would be sent again\n");
    site.run(&["delivery", "redrive", "--rate", "0"])
        .await
        .fails(1, "error[invalid-parameter]: /ratePerSecond");
    let lines = site.run(&["delivery", "redrive", "-o", "json"]).await.ok();
    assert_eq!(serde_json::from_str::<Value>(&lines).unwrap()["dryRun"], false);
    assert_eq!(site.run(&["plugin", "list"]).await.ok(), "No plug-ins are installed.\n");
    site.run(&["plugin", "list", "--token", "x"]).await.fails(1, "error[unauthenticated]");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_and_its_switches() {
    let site = site().await;
    site.run(&["channel", "create", "-f", "channel.yaml"]).await.ok();
    for (verb, said) in [
        ("disable", "channel hook disabled, version 2\n"),
        ("disable", "channel hook is disabled already, version 2\n"),
        ("enable", "channel hook enabled, version 3\n"),
    ] {
        assert_eq!(site.run(&["channel", verb, "hook"]).await.ok(), said);
    }
    let shown = site.run(&["channel", "get", "hook", "-o", "yaml"]).await.ok();
    assert!(shown.contains("url: https://x.test/in") && shown.contains("enabled: true"), "{shown}");
    site.run(&["rule", "enable", "none"]).await.fails(1, "error[not-found]");
    assert!(site.run(&["service", "health"]).await.ok().contains("\"ok\""));
    site.run(&["service", "ready"]).await.ok();
    assert!(site.run(&["service", "metrics"]).await.ok().contains("notify_events_accepted_total 0"));
    assert!(site.run(&["service", "openapi"]).await.ok().contains("\"openapi\": \"3.1"));
    let alert = r#"{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"Up"},
        "startsAt":"2026-11-22T00:00:00Z","fingerprint":"0123456789abcdef"}]}"#;
    std::fs::write(site.folder.path().join("alert.json"), alert).unwrap();
    let fates = site.run(&["event", "ingest", "alert.json"]).await.ok();
    assert!(fates.contains("accepted  evt_"), "{fates}");
    // Nothing but a terminal gets colours.
    assert!(!site.run(&["channel", "list"]).await.ok().contains('\u{1b}'));
}

fn write_trust(folder: &Path) {
    let keys = LogKeys::new(SITE, [7; 32]).unwrap();
    let key = keys.log_key(&keys.tenant_origin("acme-log").unwrap()).unwrap().note_key().unwrap();
    let export = ExportKey::from_seed(&[8; 32]).public().clone();
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("policy"), Policy::without_witnesses([&key])).unwrap();
    std::fs::write(
        folder.join("keys.json"),
        Trust::keys_json(&[export], &[LogKeyRange::always(key)]).unwrap(),
    )
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_exported_and_verified() {
    let site = site().await;
    site.run(&["channel", "create", "-f", "channel.yaml"]).await.ok();
    let head = site.run(&["ledger", "head"]).await.ok();
    assert!(head.contains("log   studio.test/tenant/acme-log\nsize  3\n"), "{head}");
    assert!(site.run(&["ledger", "entries"]).await.ok().contains("channel/hook"));
    write_trust(&site.folder.path().join("trust"));
    site.run(&["ledger", "export", "--out", "export", "--openings", "--proof", "1"]).await.ok();
    site.run(&["ledger", "export", "--out", "later.tar", "--from", "3", "--prev", "export/checkpoint"])
        .await
        .ok();
    for (export, said) in
        [("export", "3 entries from 0, tree of 3"), ("later.tar", "1 entries from 3, tree of 4")]
    {
        let shown = site.run(&["ledger", "verify", export, "--trust", "trust"]).await.ok();
        assert!(shown.starts_with("verdict      VERIFIED\n") || shown.contains("VERIFIED\n"), "{shown}");
        assert!(shown.contains(said), "{shown}");
    }
    site.run(&[
        "ledger",
        "verify",
        "later.tar",
        "--trust",
        "trust",
        "--prev",
        "export/checkpoint",
        "--tree-only",
    ])
    .await
    .ok();
    site.run(&["ledger", "export", "--out", "export"]).await.fails(2, "is not empty");

    // One changed byte, a missing line, a link, a foreign key: status 3, and why.
    let folder = site.folder.path();
    let entries = folder.join("export/entries.jsonl");
    let lines = std::fs::read_to_string(&entries).unwrap();
    std::fs::write(&entries, lines.lines().next().unwrap_or_default().to_owned() + "\n").unwrap();
    site.run(&["ledger", "verify", "export", "--trust", "trust"]).await.fails(3, "NOT VERIFIED");
    std::fs::write(&entries, &lines).unwrap();
    std::os::unix::fs::symlink("checkpoint", folder.join("export/link")).unwrap();
    site.run(&["ledger", "verify", "export", "--trust", "trust"])
        .await
        .fails(3, "only regular files are allowed");
    std::fs::remove_file(folder.join("export/link")).unwrap();
    site.run(&["ledger", "verify", "export", "--trust", "trust"]).await.ok();
    let tar = folder.join("later.tar");
    let mut bytes = std::fs::read(&tar).unwrap();
    let at = bytes.windows(9).position(|window| window == b"\"payload\"").unwrap() + 20;
    bytes[at] ^= 1;
    std::fs::write(&tar, bytes).unwrap();
    site.run(&["ledger", "verify", "later.tar", "--trust", "trust"]).await.fails(3, "NOT VERIFIED");
    std::fs::write(folder.join("trust/policy"), "nonsense\n").unwrap();
    site.run(&["ledger", "verify", "export", "--trust", "trust"]).await.fails(1, "trust");
    assert_eq!(site.service.engine.changes.load(std::sync::atomic::Ordering::Relaxed), 1);
}
