use super::layers::distance;
use super::*;

fn load_from(
    file: &str,
    environment: &[(&str, &str)],
    flags: &[(&'static str, &str)],
) -> Result<Loaded, ConfigError> {
    let home = tempfile::tempdir().unwrap();
    if !file.is_empty() {
        std::fs::write(home.path().join("notify.toml"), file).unwrap();
    }
    load(&Sources {
        home: home.path(),
        file: None,
        environment: environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        flags: flags.iter().map(|(key, value)| (*key, (*value).to_owned())).collect(),
    })
}

#[test]
fn later_layers_win_and_say_so() {
    let file = "[server]\nlisten = \"127.0.0.1:1\"\n[limits]\nevent_bytes = 2048\n";
    let environment = [
        ("NOTIFY__SERVER__LISTEN", "127.0.0.1:2"),
        ("NOTIFY__EGRESS__ALLOW", "127.0.0.0/8, ::1/128"),
        ("PATH", "x"),
    ];
    let loaded = load_from(file, &environment, &[("server.listen", "127.0.0.1:3")]).unwrap();
    assert_eq!(loaded.config.server.listen.port(), 3);
    assert_eq!(loaded.config.limits.event_bytes, 2048);
    assert_eq!(loaded.config.egress.allow, ["127.0.0.0/8", "::1/128"]);
    let origin = |key: &str| loaded.explained.iter().find(|e| e.key == key).map(|e| e.origin.clone());
    assert_eq!(origin("server.listen"), Some(Origin::Flag));
    assert!(matches!(origin("limits.event_bytes"), Some(Origin::File(_))));
    assert_eq!(origin("egress.allow"), Some(Origin::Environment("NOTIFY__EGRESS__ALLOW".into())));
    assert_eq!(origin("log.level"), Some(Origin::Default));
}

#[test]
fn mistakes_are_named() {
    let check = |file: &str, environment: &[(&str, &str)], expected: &str| {
        let error = load_from(file, environment, &[]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\nexpected: {expected}");
    };
    check("[server]\nlistn = \"x\"", &[], "there is no key `server.listn`; did you mean `server.listen`?");
    check(
        "",
        &[("NOTIFY__LEDGER__SIET", "x")],
        "NOTIFY__LEDGER__SIET: there is no key `ledger.siet`; did you mean `ledger.site`?",
    );
    check("[limits]\nevent_bytes = \"many\"", &[], "`limits.event_bytes` must be integer, not string");
    check("", &[("NOTIFY__LIMITS__EVENT_BYTES", "many")], "must be a whole number, not `many`");
    check("[limits]\nevent_bytes = 10", &[], "`limits.event_bytes` must be 1024 to 524288");
    check("[ledger]\nsite = \"Not A Host\"", &[], "`ledger.site` must be a lower-case host name");
    check("[store]\nurl = \"mysql://x\"", &[], "`store.url` must begin with");
    check("[server]\nrole = \"web\"", &[], "`server.role` must be `all` with SQLite");
    check("[server]\nrole = \"boss\"", &[], "unknown variant `boss`");
    check("[server", &[], "is not TOML");
    let publisher = |rest: &str| format!("[[intake.publishers]]\nname = \"scanner\"\n{rest}");
    check(
        &publisher("tenants = []\nsecrets = [\"secret://env/A\"]"),
        &[],
        "`intake.publishers` must be at most 32",
    );
    check(&publisher("tenants = [\"acme\"]\nsecrets = []"), &[], "`intake.publishers` must be at most 32");
    check(&publisher("tenants = [\"A B\"]\nsecrets = [\"secret://env/A\"]"), &[], "tenant id");
    check(&publisher("tenants = [\"acme\"]\nsecrets = [\"whsec_Z2VoZWlt\"]"), &[], "not a secret reference");
    check("toplevel = 1", &[], "there is no key `toplevel`");
}

#[test]
fn publishers_are_read() {
    let file = "[[intake.publishers]]\nname = \"scanner\"\ntenants = [\"acme\"]\nsecrets = [\"secret://env/A\", \"secret://file/b\"]\n";
    let loaded = load_from(file, &[], &[]).unwrap();
    assert_eq!(loaded.config.intake.publishers[0].secrets.len(), 2);
    assert!(loaded.config.intake.producer_keys_dir.ends_with("trust/producers"));
}

#[test]
fn a_password_is_not_shown() {
    for url in [
        "postgres://notify:geheim@127.0.0.1/notify",
        "postgres://notify@127.0.0.1/notify?password=geheim&sslmode=disable",
        "postgres://notify:geheim@[broken/notify",
        "postgres://notify:geheim@127.0.0.1:99999999/notify",
    ] {
        let loaded = load_from("", &[("NOTIFY__STORE__URL", url)], &[]).unwrap();
        let shown = format!("{:?}", loaded.explained);
        assert!(!shown.contains("geheim") && shown.contains("hidden"), "{url}: {shown}");
    }
    let shown = format!("{:?}", load_from("", &[], &[]).unwrap().explained);
    assert!(shown.contains("sqlite:notify.db"), "{shown}");
}

#[test]
fn distances() {
    assert_eq!((distance("kitten", "sitting"), distance("", "ab"), distance("a", "a")), (3, 2, 0));
}

#[test]
fn public_addresses() {
    let check = |url: &str, expected: Option<&str>| {
        let text = format!("[server]\npublic_url = {url:?}");
        let found = load_from(&text, &[], &[]).map(|loaded| loaded.config.public_url().map(str::to_owned));
        match expected {
            Some(expected) => assert_eq!(found.unwrap().unwrap_or_default(), expected, "{url}"),
            None => assert!(found.unwrap_err().to_string().contains("server.public_url"), "{url}"),
        }
    };
    check("", Some(""));
    check("https://alerts.example.org", Some("https://alerts.example.org"));
    check("https://alerts.example.org:8443/notify/", Some("https://alerts.example.org:8443/notify"));
    check("http://127.0.0.1:8650", Some("http://127.0.0.1:8650"));
    check("http://notify.localhost/", Some("http://notify.localhost"));
    let long = format!("https://{}.example", "a".repeat(200));
    for wrong in [
        "http://alerts.example.org",
        "alerts.example.org",
        "/notify",
        "ftp://alerts.example.org",
        "https://alerts.example.org/?a=b",
        "https://alerts.example.org/#a",
        "https://user@alerts.example.org",
        "https://alerts.example.org/a b",
        "https://älerts.example.org",
        "javascript:alert(1)",
        &long,
    ] {
        check(wrong, None);
    }
}

#[test]
fn trusted_proxies_are_networks() {
    let check = |text: &str, expected: Option<&[&str]>| {
        let found = load_from(&format!("[links]\ntrusted_proxies = {text}"), &[], &[]);
        match expected {
            Some(expected) => {
                let loaded = found.unwrap();
                assert_eq!(loaded.config.links.trusted_proxies, expected, "{text}");
                let read = crate::serve::parts::trusted_proxies(&loaded.config).unwrap();
                assert_eq!(read.len(), expected.len(), "{text}");
            }
            None => assert!(found.unwrap_err().to_string().contains("links.trusted_proxies"), "{text}"),
        }
    };
    check("[]", Some(&[]));
    check(r#"["10.1.0.0/16", "2001:db8::/48"]"#, Some(&["10.1.0.0/16", "2001:db8::/48"]));
    check(r#"["proxy.example.org"]"#, None);
    check(r#"["10.1.0.7/16"]"#, None);
    check(r#"["10.1.0.0/16", "10.1.0.0/33"]"#, None);
}
