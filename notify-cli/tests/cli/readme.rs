//! The newcomer's walk-through in README.md, as it stands there, against a staged build (`cargo xtask test` names it in
//! `NOTIFY_STAGE`). What differs: free ports, the build that is there already, and the Ctrl-C that ends `--watch`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

const README: &str = include_str!("../../../README.md");

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The commands of the walk-through, in order.
fn commands() -> String {
    let start = README.find("## First steps").expect("the walk-through is there");
    let end = README.find("## Reading on").expect("it ends");
    let blocks = README[start..end].split("```").skip(1).step_by(2);
    blocks.map(|block| block.trim_start_matches('\n')).collect()
}

#[test]
fn the_walk_through_works_as_written() {
    let Some(stage) = std::env::var_os("NOTIFY_STAGE").map(PathBuf::from) else {
        // Without a staged product there is nothing to walk through; that the commands exist is checked all the same.
        assert!(commands().contains("notify ledger verify export --trust trust"));
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("target")).unwrap();
    std::os::unix::fs::symlink(std::path::absolute(stage).unwrap(), folder.path().join("target/stage"))
        .unwrap();
    let (api, hook) = (free_port(), free_port());
    let script = commands()
        .replace("cargo xtask stage\n", "")
        .replace("webhook listen ", &format!("webhook listen --port {hook} "))
        .replace(":9650/", &format!(":{hook}/"))
        .replace("notify delivery list --watch", "timeout -s INT 9 notify delivery list --watch || true");
    let script = format!("set -emx\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}");
    let output = run(folder.path(), &script, api);
    for said in [
        "0 failed, ",
        "http://127.0.0.1:",
        "event.json  1   accepted",
        "200  verified  dlv_",
        "no connection: connection refused",
        "is on its way",
        "verdict        VERIFIED",
        "deliveries     3, of which 0 still open",
    ] {
        assert!(output.contains(said), "{said} is missing in\n{output}");
    }
    assert!(!folder.path().join("target/try").exists(), "it cleans up");
}

fn run(folder: &Path, script: &str, api: u16) -> String {
    let log = folder.join("log");
    let file = std::fs::File::create(&log).unwrap();
    let status = Command::new("bash")
        .args(["-c", script])
        .current_dir(folder)
        .env_remove("NOTIFY_TOKEN")
        .env("NOTIFY_URL", format!("http://127.0.0.1:{api}"))
        .env("NOTIFY__SERVER__LISTEN", format!("127.0.0.1:{api}"))
        .stdin(std::process::Stdio::null())
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .status()
        .unwrap();
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(status.success(), "{said}");
    said
}
