//! The suite passes on good plug-ins and fails, by the right name, on bad ones.

use notify_connector_conformance::{Options, Report, run_library, run_table};
use notify_connector_sdk::{Completion, Log, Send, Transport, Verdict, export_transport};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread::JoinHandle;

fn webhook() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().join("libnotify_connector_webhook.so")
}

#[test]
fn the_webhook_connector_conforms() {
    for secrets in [vec![], vec!["signing".to_owned()]] {
        let options = Options {
            config_json: br#"{"url":"https://example.test/hook"}"#.to_vec(),
            secret_names: secrets,
            ..Options::default()
        };
        let report = run_library(&webhook(), &options).unwrap();
        assert!(report.passed(), "{report:#?}");
        assert!(report.checks.len() >= 12, "{}", report.checks.len());
    }
}

#[test]
fn the_chat_connectors_conform() {
    let check = |name: &str, config: &str, secrets: &[&str]| {
        let options = Options {
            config_json: config.as_bytes().to_vec(),
            secret_names: secrets.iter().map(|&secret| secret.to_owned()).collect(),
            ..Options::default()
        };
        let library = webhook().with_file_name(format!("libnotify_connector_{name}.so"));
        let report = run_library(&library, &options).unwrap();
        assert!(report.passed() && report.checks.len() >= 12, "{name} {secrets:?}: {report:#?}");
    };
    check("slack", "{}", &["url"]);
    check("slack", r#"{"channel":"C0123456789"}"#, &["studio-alert-url", "token"]);
    check("teams", "{}", &["studio-alert-url", "url"]);
    check("teams", r#"{"url":"https://example.test/"}"#, &[]);
}

#[test]
fn the_command_prints_and_exits() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_notify-connector-conformance"))
            .args(arguments)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let library = webhook().display().to_string();
    let (code, text) =
        run(&[&library, "--config", r#"{"url":"https://example.test/"}"#, "--secret", "signing"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.lines().all(|line| line.starts_with("ok")), "{text}");
    assert_eq!(run(&[&library]).0, Some(1), "an empty configuration is not valid for it");
    assert_eq!(run(&["/dev/null"]).0, Some(1));
    assert_eq!(run(&[]).0, Some(2));
    assert_eq!(run(&["--config"]).0, Some(2));
}

/// A transport that answers from its own thread and takes five at a time.
struct Echo {
    orders: Option<mpsc::SyncSender<(bool, Completion)>>,
    worker: Option<JoinHandle<()>>,
}

impl Transport for Echo {
    const MANIFEST: &'static str =
        r#"{"name":"echo","version":"1.0.0","kind":"transport","channelTypes":["echo"]}"#;

    fn create(_options: &[u8], _log: Log) -> Result<Self, String> {
        let (orders, queue) = mpsc::sync_channel::<(bool, Completion)>(64);
        let worker = std::thread::spawn(move || {
            for (readable, completion) in queue {
                match (readable, completion.token() % 3) {
                    (false, _) => completion.done(&Verdict::permanent("unreadable")),
                    (true, 0) => drop(completion), // loses it: the SDK answers
                    (true, _) => completion.done(&Verdict::accepted("queued").reference("ref-1")),
                }
            }
        });
        Ok(Self { orders: Some(orders), worker: Some(worker) })
    }

    fn capacity(&self) -> usize {
        5
    }

    fn send(&self, send: &Send<'_>, completion: Completion) {
        assert!(completion.token() % 50 != 7, "a panic in the author's code");
        if let Some(orders) = &self.orders {
            drop(orders.send((send.message().is_ok(), completion)));
        }
    }

    fn drain(&self, _deadline_unix_ms: u64, completion: Completion) {
        completion.done(&Verdict::delivered());
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(worker) = self.worker.take() {
            drop(worker.join());
        }
    }
}

export_transport!(Echo);

#[test]
fn a_transport_of_the_sdk_conforms() {
    // SAFETY: the table of this very file.
    let report = unsafe { run_table(notify_connector_entry_v1(), &Options::default()) };
    assert!(report.passed(), "{report:#?}");
    assert!(report.checks.iter().any(|check| check.name.starts_with("send: each accepted")));
}

/// Each set of macros is compiled once; a library is never unloaded, so its folder is not removed either.
fn library(macros: &[&str]) -> PathBuf {
    let name = format!("libbad-{}.so", macros.concat().replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
    let library = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let compiled = Command::new("cc")
        .args(["-std=gnu11", "-w", "-shared", "-fPIC"])
        .args(macros.iter().map(|one| format!("-D{one}")))
        .args(["-I", concat!(env!("CARGO_MANIFEST_DIR"), "/../abi/include")])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../host/tests/bad/bad.c"))
        .arg("-o")
        .arg(&library)
        .status()
        .unwrap();
    assert!(compiled.success());
    library
}

fn bad(config: &str, library: &Path) -> Report {
    let options = Options { config_json: config.as_bytes().to_vec(), ..Options::default() };
    run_library(library, &options).unwrap()
}

#[test]
fn bad_plugins_fail_by_name() {
    let check = |config: &str, library: &Path, expected: &str| {
        let failed = bad(config, library).failed();
        assert!(failed.iter().any(|name| name.contains(expected)), "{config} {library:?}: {failed:?}");
    };
    let plain = library(&[]);
    for config in
        ["left-out", "twice", "stranger", "small-size", "null-bytes", "bad-code", "not-json", "call-fails"]
    {
        check(config, &plain, "prepare: one ordinary");
    }
    check("bad-code", &plain, "interpret: every status");
    check("long-detail", &plain, "interpret: every status");
    for (macros, expected) in [
        ("MAJOR=2", "table"),
        ("CAPABILITIES=0", "table"),
        ("INCOMPLETE", "table"),
        ("NULL_TABLE", "table"),
        ("DESCRIBE=\"{}\"", "describe"),
    ] {
        check("{}", &library(&[macros]), expected);
    }
}
