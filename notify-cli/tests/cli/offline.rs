//! Commands that need no service.

use crate::notify;

#[test]
fn tenants_and_tokens_of_a_home() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| notify(arguments, &[("NOTIFY_HOME", "home")], folder.path());
    assert_eq!(run(&["tenant", "list"]).ok(), "No tenants; `notify tenant create` makes one.\n");
    assert_eq!(run(&["tenant", "create", "acme", "--name", "Acme"]).ok(), "tenant acme created\n");
    run(&["tenant", "create", "acme"]).fails(1, "error[already-exists]: the tenant `acme` exists");
    run(&["tenant", "create", "No"]).fails(2, "is not a valid tenant id");
    let listed = run(&["tenant", "list"]).ok();
    assert!(listed.starts_with("ID    NAME  LOG") && listed.contains("acme  Acme"), "{listed}");
    let token = run(&[
        "token",
        "issue",
        "--tenant",
        "acme",
        "--scope",
        "notify.viewer,notify.publish",
        "--ttl",
        "2h",
    ])
    .ok();
    assert_eq!(token.trim().split('.').count(), 3, "{token}");
    run(&["token", "issue", "--tenant", "acme", "--scope", "notify.boss"])
        .fails(2, "`notify.boss` is not a scope");
    run(&["token", "issue", "--tenant", "acme", "--scope", "notify.admin", "--ttl", "soon"])
        .fails(2, "is not a duration");
    run(&["token", "issue", "--tenant", "acme", "--scope", "notify.admin", "--ttl", "500d"])
        .fails(2, "400 days");
    run(&["token", "issue", "--tenant", "acme"]).fails(2, "--scope");
}

#[test]
fn a_home_in_use_is_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| notify(arguments, &[("NOTIFY_HOME", "home")], folder.path());
    run(&["tenant", "create", "acme"]).ok();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let options = notify_store::OpenOptions {
        backend: notify_store::Backend::Sqlite { file: folder.path().join("home/notify.db") },
        site: "notify.localhost".to_owned(),
        log_seed: {
            let text = std::fs::read_to_string(folder.path().join("home/keys/log.seed")).unwrap();
            notify_core::ledger::commitment::parse_hex32(text.trim()).unwrap()
        },
        read_connections: 1,
    };
    let store = runtime.block_on(notify_store::Store::open(options)).unwrap();
    run(&["tenant", "list"]).fails(1, "a running service uses home");
    runtime.block_on(store.close());
    run(&["tenant", "list"]).ok();
}

#[test]
fn configuration_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("home")).unwrap();
    std::fs::write(folder.path().join("home/notify.toml"), "[log]\nlevel = \"debug\"\n").unwrap();
    let environment = [("NOTIFY_HOME", "home"), ("NOTIFY__LEDGER__SITE", "studio.acme.test")];
    let explained = notify(&["config", "explain"], &environment, folder.path()).ok();
    let line =
        |key: &str| explained.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
    assert!(line("log.level").ends_with("home/notify.toml"), "{explained}");
    assert!(line("ledger.site").ends_with("environment NOTIFY__LEDGER__SITE"), "{explained}");
    assert!(line("intake.queue").ends_with("default"), "{explained}");
    assert!(!folder.path().join("home/keys").exists(), "explaining makes nothing");
    let wrong = [("NOTIFY_HOME", "home"), ("NOTIFY__LEDGER__SIET", "x")];
    notify(&["config", "explain"], &wrong, folder.path()).fails(1, "did you mean `ledger.site`?");
    let defaults = notify(&["config", "defaults"], &[], folder.path()).ok();
    assert_eq!(defaults.trim_end(), include_str!("../../../resources/notify.default.toml").trim_end());
}

#[test]
fn documents_are_validated_offline() {
    let folder = tempfile::tempdir().unwrap();
    let good =
        "schema: notify-rule@1\nid: r\nname: R\nmatch: { type: [t] }\nactions:\n  - { id: a, channel: c }\n";
    std::fs::write(folder.path().join("good.yaml"), good).unwrap();
    std::fs::write(folder.path().join("bad.yaml"), good.replace("type: [t]", "type: [{prefixx: t}]"))
        .unwrap();
    std::fs::write(folder.path().join("twice.yaml"), format!("{good}id: s\n")).unwrap();
    let run = |files: &[&str]| {
        let mut arguments = vec!["rule", "validate"];
        arguments.extend(files.iter().flat_map(|file| ["-f", *file]));
        notify(&arguments, &[], folder.path())
    };
    let shown = run(&["good.yaml"]).ok();
    assert!(shown.contains("good.yaml  yes    r   sha256:"), "{shown}");
    let both = run(&["good.yaml", "bad.yaml"]);
    assert!(both.out.contains("bad.yaml   no"), "{}", both.out);
    both.fails(1, "error[invalid-pattern]: bad.yaml at /match/type");
    run(&["twice.yaml"]).fails(1, "error[duplicate-key]: twice.yaml");
    run(&["none.yaml"]).fails(1, "none.yaml cannot be read");
}

#[test]
fn rules_are_linted_offline() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, id: &str, condition: &str| {
        let text = format!(
            "schema: notify-rule@1\nid: {id}\nname: R\n{condition}\nactions:\n  - {{ id: a, channel: c }}\n"
        );
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    };
    write("rules/clean.yaml", "clean", "match: { type: [t] }");
    write("rules/team/never.yaml", "never", "match: { type: [5] }");
    write("rules/team/filters.yml", "filters", "filters: [{ exact: { type: t } }]");
    write("warn.yaml", "warn", "match: { type: [{ anything-but: t }] }");
    write("broken.yaml", "broken", "match: { type: t }");
    write("twice.yaml", "clean", "match: { type: [u] }");
    write("fields.yaml", "fields", "match: { type: [t], data: { imag: [x] } }");
    let event_type =
        "schema: notify-event-type@1\nid: t\nname: T\ntype: t\ndataSchema: { properties: { image: {} } }\n";
    std::fs::write(folder.path().join("rules/type.yaml"), event_type).unwrap();
    std::fs::write(folder.path().join("rules/note.json"), "{\"hello\": 1}").unwrap();
    // arguments, status, what is printed
    for (arguments, code, shown) in [
        (&["rules/clean.yaml"][..], 0, &["1 rule: 0 errors, 0 warnings, 0 notes\n"][..]),
        (
            &["rules"],
            1,
            &[
                "error[never-matches]: rules/team/never.yaml (rule never) at /match/type: `type` is always a text and never empty\n  fix: write texts, in quotes\n",
                "warning[rule-duplicated]: rules/team/filters.yml (rule filters) at /filters: the rule `clean`",
                "3 rules: 1 error, 1 warning, 0 notes; 1 document of another kind was passed over\n",
            ],
        ),
        (&["warn.yaml"], 0, &["warning[not-indexable]: warn.yaml (rule warn) at /match: "]),
        (&["warn.yaml", "--strict"], 1, &["1 rule: 0 errors, 1 warning, 0 notes\n"]),
        (
            &["broken.yaml"],
            1,
            &["error[invalid-rule]: broken.yaml (rule broken) at /match/type: invalid-pattern: "],
        ),
        (&["rules/clean.yaml", "twice.yaml"], 1, &["error[invalid-rule]: twice.yaml (rule clean) at /id: "]),
        (&["fields.yaml"], 0, &["1 rule: 0 errors, 0 warnings, 0 notes\n"]),
        (
            &["fields.yaml", "--schema", "rules/type.yaml"],
            0,
            &[
                "warning[unknown-field]: fields.yaml (rule fields) at /match/data/imag: the schema of `t` does not",
            ],
        ),
    ] {
        let mut all = vec!["rule", "lint"];
        all.extend(arguments);
        let run = notify(&all, &[], folder.path());
        assert_eq!(run.code, code, "{arguments:?}: {}{}", run.out, run.err);
        for text in shown {
            assert!(run.out.contains(text), "{arguments:?}: {}", run.out);
        }
    }
    let json = notify(&["rule", "lint", "warn.yaml", "-o", "json"], &[], folder.path()).ok();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["findings"][0]["code"], "not-indexable");
    assert_eq!(json["findings"][0]["file"], "warn.yaml");
    notify(&["rule", "lint", "none"], &[], folder.path()).fails(1, "none cannot be read");
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    notify(&["rule", "lint", "empty"], &[], folder.path()).fails(1, "empty holds no file");
    std::fs::write(folder.path().join("empty/note.json"), "{}").unwrap();
    notify(&["rule", "lint", "empty"], &[], folder.path()).fails(1, "there is no rule in what was named");
    notify(&["rule", "lint", "--schema", "rules/type.yaml"], &[], folder.path())
        .fails(2, "`--schema` is for files");
}

#[test]
fn usage_has_its_own_code() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["dance"][..], &[], &["rule"], &["rule", "get"], &["rule", "list", "-o", "xml"]] {
        assert_eq!(notify(arguments, &[], folder.path()).code, 2, "{arguments:?}");
    }
    notify(&["rule", "list", "--url", "ftp://x"], &[], folder.path())
        .fails(2, "is not an http or https address");
    notify(&["rule", "list", "--url", "http://127.0.0.1:9"], &[], folder.path())
        .fails(1, "cannot be reached");
    assert!(notify(&["completion", "bash"], &[], folder.path()).ok().contains("_notify"));
    let pages = notify(&["man", "--out", "man"], &[], folder.path()).ok();
    assert!(pages.contains("pages in man"), "{pages}");
    for page in ["notify.1", "notify-delivery-redrive.1", "notify-webhook-verify.1"] {
        let text = std::fs::read_to_string(folder.path().join("man").join(page)).unwrap();
        assert!(text.starts_with(".ie") && text.contains(".TH"), "{page}: {text:.100}");
    }
    assert!(notify(&["--version"], &[], folder.path()).ok().starts_with("notify "));
}
