//! Nothing of a plug-in runs before its signature and hash are verified on the bytes that are loaded. The plug-in here
//! has a constructor that leaves a file: its absence is the proof.

mod common;

use common::{Home, compile_bad, key, prepare, status};
use notify_connector_host::manifest::{MANIFEST_FILE, SIGNATURE_FILE};
use notify_connector_host::stage::stage_plugin;
use notify_connector_host::{ConnectorHost, HostFault};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

struct Marked {
    home: Home,
    folder: PathBuf,
    marker: PathBuf,
}

fn marked() -> Marked {
    let home = Home::new();
    let marker = home.dir.path().join("constructor-ran");
    // Its constructor writes a file, which the sandbox would not let it.
    let folder = home.stage_bad(&[&format!("MARKER=\"{}\"", marker.display())]);
    Marked { home, folder, marker }
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_verified_plugin_does_run() {
    let Marked { home, marker, .. } = marked();
    let host = home.open_without_sandbox();
    assert!(!marker.exists(), "opening the host starts nothing");
    assert!(prepare(&host, "{}").await.is_ok());
    assert!(marker.exists(), "the constructor did run: the other tests' marker means something");
    let status = status(&host);
    assert_eq!((status.state, status.key_id.map(|id| id.len())), ("running", Some(16)));
}

#[tokio::test]
async fn what_does_not_verify_is_refused_before_any_of_its_code_runs() {
    type Tamper = fn(&Marked);
    let cases: &[(&str, Tamper, &str)] = &[
        ("library changed", |m| edit(&m.folder.join("libbad.so"), |b| b[4000] ^= 1), "SHA-256"),
        ("library longer", |m| edit(&m.folder.join("libbad.so"), |b| b.push(0)), "SHA-256"),
        ("library empty", |m| edit(&m.folder.join("libbad.so"), Vec::clear), "SHA-256"),
        ("library missing", |m| std::fs::remove_file(m.folder.join("libbad.so")).unwrap(), "cannot be read"),
        ("manifest changed", |m| edit(&m.folder.join(MANIFEST_FILE), |b| b.push(b' ')), "does not fit"),
        (
            "manifest truncated",
            |m| edit(&m.folder.join(MANIFEST_FILE), |b| b.truncate(b.len() / 2)),
            "does not fit",
        ),
        ("manifest empty", |m| edit(&m.folder.join(MANIFEST_FILE), Vec::clear), "does not fit"),
        (
            "manifest missing",
            |m| std::fs::remove_file(m.folder.join(MANIFEST_FILE)).unwrap(),
            "cannot be read",
        ),
        (
            "signature missing",
            |m| std::fs::remove_file(m.folder.join(SIGNATURE_FILE)).unwrap(),
            "cannot be read",
        ),
        ("signature empty", |m| edit(&m.folder.join(SIGNATURE_FILE), Vec::clear), "not valid"),
        (
            "signature of nobody",
            |m| std::fs::write(m.folder.join(SIGNATURE_FILE), r#"{"signatures":[]}"#).unwrap(),
            "signed by: nobody",
        ),
        (
            "signature changed",
            |m| {
                edit(&m.folder.join(SIGNATURE_FILE), |b| {
                    let text = String::from_utf8(b.clone()).unwrap();
                    let place = text.find("\"signature\":\"").unwrap() + 20;
                    b[place] = if b[place] == b'A' { b'B' } else { b'A' };
                });
            },
            "does not fit",
        ),
        (
            "signed by an unknown key",
            |m| {
                let library = m.folder.join("libbad.so");
                let copy = m.home.dir.path().join("libbad.so");
                std::fs::copy(library, &copy).unwrap();
                stage_plugin(&copy, common::MANIFEST.as_bytes(), &key(9), &m.home.plugins()).unwrap();
            },
            "no trusted key",
        ),
        (
            "the key was revoked",
            |m| {
                std::fs::remove_file(m.home.trust().join("main.pem")).unwrap();
                m.home.trust_key("other", &key(9));
            },
            "no trusted key",
        ),
        (
            "library is a link",
            |m| {
                let (real, link) = (m.home.dir.path().join("real.so"), m.folder.join("libbad.so"));
                std::fs::rename(&link, &real).unwrap();
                std::os::unix::fs::symlink(real, link).unwrap();
            },
            "symbolic link",
        ),
        (
            "manifest is a link",
            |m| {
                let (real, link) = (m.home.dir.path().join("real.json"), m.folder.join(MANIFEST_FILE));
                std::fs::rename(&link, &real).unwrap();
                std::os::unix::fs::symlink(real, link).unwrap();
            },
            "symbolic link",
        ),
        (
            "the folder is a link",
            |m| {
                let real = m.home.dir.path().join("elsewhere");
                std::fs::rename(&m.folder, &real).unwrap();
                std::os::unix::fs::symlink(real, &m.folder).unwrap();
            },
            "symbolic link",
        ),
        (
            "library is a pipe",
            |m| {
                let path = m.folder.join("libbad.so");
                std::fs::remove_file(&path).unwrap();
                let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
                assert!(made.success());
            },
            "not a plain file",
        ),
        (
            "the folder has another name",
            |m| std::fs::rename(&m.folder, m.home.plugins().join("good")).unwrap(),
            "the folder is named `good`",
        ),
        (
            "everybody may write to the folder",
            |m| std::fs::set_permissions(&m.folder, std::fs::Permissions::from_mode(0o777)).unwrap(),
            "everybody may write",
        ),
        (
            "signed, but another platform's",
            |m| {
                let mut manifest: serde_json::Value =
                    serde_json::from_slice(&std::fs::read(m.folder.join(MANIFEST_FILE)).unwrap()).unwrap();
                let file = manifest["files"].as_object_mut().unwrap().values().next().unwrap().clone();
                manifest["files"] = serde_json::json!({ "plan9-mips-gnu": file });
                let bytes = serde_json::to_vec(&manifest).unwrap();
                let signature = notify_connector_host::trust::sign(&bytes, &m.home.key);
                std::fs::write(m.folder.join(MANIFEST_FILE), bytes).unwrap();
                std::fs::write(m.folder.join(SIGNATURE_FILE), signature).unwrap();
            },
            "no library for this platform",
        ),
    ];
    for (name, tamper, expected) in cases {
        let marked = marked();
        tamper(&marked);
        let host = marked.home.open_without_sandbox();
        let status = status(&host);
        let problem = status.problem.clone().unwrap_or_default();
        assert_eq!(status.state, "refused", "{name}");
        assert!(problem.contains(expected), "{name}: {problem}");
        let result = prepare(&host, "{}").await;
        assert!(matches!(result, Err(HostFault::UnknownChannelType(_))), "{name}: {result:?}");
        assert!(!marked.marker.exists(), "{name}: its code ran");
    }
}

/// The swap between check and use: the file is replaced after verification, before the child starts.
#[tokio::test]
async fn what_runs_is_what_was_verified() {
    let Marked { home, folder, marker } = marked();
    let host = home.open_without_sandbox();
    let evil_marker = home.dir.path().join("evil-ran");
    let evil = compile_bad(home.dir.path(), &[&format!("MARKER=\"{}\"", evil_marker.display())]);
    std::fs::rename(&evil, folder.join("libbad.so")).unwrap();
    assert!(prepare(&host, "{}").await.is_ok());
    assert!(marker.exists() && !evil_marker.exists(), "the sealed copy was loaded, not the file");
    // Nor after a crash, when a new child is started from the same verified bytes.
    assert!(prepare(&host, "segv").await.is_err());
    assert!(prepare(&host, "{}").await.is_ok());
    assert!(!evil_marker.exists());
    // And the swapped file is refused when it is asked for.
    let refused = host.reload("bad").await.unwrap_err();
    assert!(refused.contains("SHA-256"), "{refused}");
    assert!(prepare(&host, "{}").await.is_ok(), "the running version stays");
}

#[tokio::test]
async fn an_upgrade_is_a_restart_of_the_child() {
    let home = Home::new();
    home.stage_bad(&[]);
    let host = home.open();
    let url = |request: notify_connector_host::request::PreparedRequest| format!("{:?}", request.url);
    assert!(url(prepare(&host, "{}").await.unwrap()).contains("/1.0.0"));
    let first = status(&host).pid;
    let library = compile_bad(home.dir.path(), &["VERSION=\"1.1.0\""]);
    let manifest = common::MANIFEST.replace("1.0.0", "1.1.0");
    stage_plugin(&library, manifest.as_bytes(), &home.key, &home.plugins()).unwrap();
    assert!(url(prepare(&host, "{}").await.unwrap()).contains("/1.0.0"), "not before it is asked for");
    // Under way: calls before, during and after. None is lost, each is answered by one version or the other.
    let host = std::sync::Arc::new(host);
    let calls: Vec<_> = (0..2000)
        .map(|_| {
            let host = std::sync::Arc::clone(&host);
            tokio::spawn(async move { prepare(&host, "{}").await })
        })
        .collect();
    host.reload("bad").await.unwrap();
    for call in calls {
        url(call.await.unwrap().unwrap());
    }
    assert!(url(prepare(&host, "{}").await.unwrap()).contains("/1.1.0"));
    let after = status(&host);
    assert_eq!((after.version.as_deref(), after.crashes), (Some("1.1.0"), 0));
    assert_ne!(after.pid, first);
}

#[test]
fn a_broken_trust_store_stops_everything() {
    let home = Home::new();
    home.stage_bad(&[]);
    std::fs::write(home.trust().join("typo.pem"), "-----BEGIN PUBLIC KEY-----\n").unwrap();
    assert!(
        matches!(ConnectorHost::open(home.config()), Err(error) if error.to_string().contains("typo.pem"))
    );
    std::fs::remove_dir_all(home.trust()).unwrap();
    assert!(ConnectorHost::open(home.config()).is_err(), "no trust store");
}

#[test]
fn manifests_are_strict() {
    use notify_connector_host::manifest::Manifest;
    assert!(Manifest::parse(common::MANIFEST.as_bytes()).is_ok());
    let check = |from: &str, to: &str, expected: &str| {
        let text = common::MANIFEST.replacen(from, to, 1);
        assert_ne!(text, common::MANIFEST, "{from} is in the manifest");
        let fault = Manifest::parse(text.as_bytes()).expect_err(to).to_string();
        assert!(fault.contains(expected), "{to}: {fault}");
    };
    check("\"name\":\"bad\"", "\"name\":\"bad\",\"name\":\"x\"", "appears twice");
    check("\"name\":\"bad\"", "\"name\":\"../bad\"", "/name");
    check("\"name\":\"bad\",", "", "missing field `name`");
    check("\"name\"", "\"extra\":1,\"name\"", "unknown field `extra`");
    check("\"1.0.0\"", "\"\"", "/version");
    check("\"major\":1", "\"major\":2", "/abi/major");
    check("\"codec\"", "\"other\"", "unknown variant");
    check("[\"bad\"]", "[]", "/channelTypes");
    check("[\"bad\"]", "[\"bad\",\"bad\"]", "/channelTypes");
    check("\"configSchema\":{}", "\"configSchema\":7", "/configSchema");
    let long =
        |name: &str| format!("\"files\":{{\"p\":{{\"name\":\"{name}\",\"sha256\":\"{}\"}}}}", "0".repeat(64));
    for name in ["../x.so", "/x.so", ".x.so", "a/b.so", ""] {
        check("\"files\":{}", &long(name), "/files/p/name");
    }
    check("\"files\":{}", "\"files\":{\"p\":{\"name\":\"x.so\",\"sha256\":\"abc\"}}", "/files/p/sha256");
    check("\"files\":{}", "\"files\":{},\"limits\":{\"window\":0}", "/limits/window");
    check("\"files\":{}", "\"files\":{},\"limits\":{\"maxRequestBytes\":2000000}", "/limits/maxRequestBytes");
}
