//! `notify doctor` finds what is wrong, beside a running service and without one, and changes nothing.

use crate::{Run, notify};
use notify_core::document::Kind;
use notify_core::ids::TenantId;
use notify_core::ledger::{EntryDraft, EntryKind};
use notify_store::{Backend, Commit, Effect, OpenOptions, Store};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

fn doctor(folder: &Path, arguments: &[&str]) -> Run {
    let mut all = vec!["doctor", "--home", "home", "-o", "json"];
    all.extend_from_slice(arguments);
    notify(&all, &[], folder)
}

/// Check → (verdict, detail).
fn findings(run: &Run) -> BTreeMap<String, (String, String)> {
    let report: Value = serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{}{}", run.out, run.err));
    let findings = report["findings"].as_array().unwrap();
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    for finding in findings {
        let fine = finding["verdict"] == "ok";
        assert!(fine || !text(finding, "fix").is_empty(), "what is wrong comes with its fix: {finding}");
    }
    findings
        .iter()
        .map(|finding| (text(finding, "check"), (text(finding, "verdict"), text(finding, "detail"))))
        .collect()
}

#[track_caller]
fn check(run: &Run, code: i32, expected: &[(&str, &str, &str)]) {
    assert_eq!(run.code, code, "{}", run.out);
    let found = findings(run);
    for (name, verdict, said) in expected {
        let (is, detail) = found.get(*name).unwrap_or_else(|| panic!("no {name}: {}", run.out));
        assert!(is == verdict && detail.contains(said), "{name}: {is} {detail}");
    }
}

/// A home with a tenant, on a port that nobody listens on.
fn home() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| notify(arguments, &[("NOTIFY_HOME", "home")], folder.path());
    run(&["tenant", "create", "acme"]).ok();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\n[connectors]\nhost_program = \"/bin/true\"\n\
         [egress]\nallow = [\"127.0.0.0/8\"]\nallow_http = true\n"
    );
    std::fs::write(folder.path().join("home/notify.toml"), config).unwrap();
    for name in ["plugins", "trust/plugins"] {
        std::fs::create_dir_all(folder.path().join("home").join(name)).unwrap();
    }
    folder
}

async fn store(folder: &Path) -> Store {
    let seed = std::fs::read_to_string(folder.join("home/keys/log.seed")).unwrap();
    let options = OpenOptions {
        backend: Backend::Sqlite { file: folder.join("home/notify.db") },
        site: "notify.localhost".to_owned(),
        log_seed: notify_core::ledger::commitment::parse_hex32(seed.trim()).unwrap(),
        read_connections: 1,
    };
    Store::open(options).await.unwrap()
}

async fn channel(store: &Store, id: &str, url: &str, enabled: bool) {
    let document = json!({
        "schema": "notify-channel@1", "id": id, "name": id, "type": "webhook", "enabled": enabled,
        "config": {"url": url},
    });
    let (_, body, digest) = notify_core::document::parse_any(Kind::Channel, &document).unwrap();
    let at = "2026-11-22T00:00:00Z".parse().unwrap();
    let effect = Effect::PutDocument { kind: Kind::Channel, id: id.to_owned(), digest, body, at };
    let entry = EntryDraft {
        kind: EntryKind::Config,
        subject: vec![("document".to_owned(), "ab".repeat(32))],
        predicate: serde_json::Map::new(),
        about: format!("channel/{id}"),
    };
    store.commit(Commit::new(TenantId::new("acme").unwrap(), vec![effect], vec![entry])).await.unwrap();
}

#[test]
fn a_home_in_order_and_one_that_is_not() {
    let folder = home();
    let home = folder.path().join("home");
    check(
        &doctor(folder.path(), &[]),
        0,
        &[
            ("config", "ok", "4 keys differ"),
            ("home", "ok", ""),
            ("key log.seed", "ok", ""),
            ("key token.ed25519.pem", "ok", ""),
            ("key export.ed25519.pem", "ok", ""),
            ("key links.json", "ok", "its newest key is "),
            ("disk", "ok", "MiB free"),
            ("database", "ok", "not in use; 1 tenants"),
            ("migrations", "ok", "all"),
            ("integrity", "ok", "no damage"),
            ("clock", "ok", "not behind"),
            ("plug-ins", "warn", "none is installed"),
            ("service", "warn", "does not answer"),
        ],
    );
    let seed = home.join("keys/log.seed");
    let mode = |mode| std::fs::set_permissions(&seed, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    check(&doctor(folder.path(), &[]), 1, &[("key log.seed", "fail", "mode 644")]);
    mode(0o600);
    let good = std::fs::read(&seed).unwrap();
    std::fs::write(&seed, "short").unwrap();
    check(&doctor(folder.path(), &[]), 1, &[("key log.seed", "fail", "64 hexadecimal digits")]);
    std::fs::write(&seed, good).unwrap();
    #[allow(clippy::disallowed_methods)] // the file's time has to lie in the real future
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    std::fs::File::options().write(true).open(&seed).unwrap().set_modified(tomorrow).unwrap();
    check(&doctor(folder.path(), &[]), 1, &[("clock", "fail", "is before keys/log.seed")]);
    std::fs::remove_file(&seed).unwrap();
    check(&doctor(folder.path(), &[]), 1, &[("key log.seed", "fail", "No such file")]);
    assert!(!seed.exists(), "a look makes nothing");
    std::fs::create_dir(home.join("plugins/broken")).unwrap();
    std::fs::write(home.join("plugins/broken/notify-plugin.json"), "{}").unwrap();
    check(&doctor(folder.path(), &[]), 1, &[("plug-in broken", "fail", "")]);
    std::fs::write(home.join("notify.db"), "garbage".repeat(2_000)).unwrap();
    check(&doctor(folder.path(), &[]), 1, &[("database", "fail", "not a database")]);
    std::fs::write(home.join("notify.toml"), "[log]\nlevle = 1\n").unwrap();
    check(&doctor(folder.path(), &[]), 1, &[("config", "fail", "levle")]);
    let nowhere = notify(&["doctor", "--home", "nowhere"], &[], folder.path());
    assert!(
        nowhere.out.contains("FAIL  home") && nowhere.out.contains("fix: `notify tenant create"),
        "{}",
        nowhere.out
    );
    assert_eq!(nowhere.code, 1);
    assert!(!folder.path().join("nowhere").exists());
}

#[test]
fn beside_a_running_service_and_out_to_the_receivers() {
    let folder = home();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let store = runtime.block_on(async {
        let store = store(folder.path()).await;
        channel(&store, "up", &format!("http://{}/", open.local_addr().unwrap()), true).await;
        channel(&store, "down", &format!("http://{closed}/"), true).await;
        channel(&store, "off", "http://127.0.0.1:9/", false).await;
        store
    });
    let quiet = doctor(folder.path(), &[]);
    check(&quiet, 0, &[("database", "ok", "in use by a service"), ("channel acme/off", "warn", "disabled")]);
    assert!(!findings(&quiet).contains_key("channel acme/up"), "nobody is connected to unasked");
    let connected = doctor(folder.path(), &["--connect"]);
    check(
        &connected,
        1,
        &[("channel acme/up", "ok", "takes connections"), ("channel acme/down", "fail", "refused")],
    );
    runtime.block_on(channel(&store, "down", "http://169.254.169.254/", true));
    check(&doctor(folder.path(), &[]), 1, &[("channel acme/down", "fail", "169.254")]);
    runtime.block_on(store.close());
    check(&doctor(folder.path(), &[]), 1, &[("database", "ok", "not in use")]);
}
