//! The shape of the workspace, checked on what cargo itself says: who may depend on whom, and what the core must never
//! pull in.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

fn metadata() -> Value {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let output = Command::new(env!("CARGO"))
        .current_dir(root)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            "x86_64-unknown-linux-gnu",
        ])
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON")
}

/// Name → names of what it needs to run (no dev- or build-dependencies).
fn normal_edges(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let packages = metadata["packages"].as_array().expect("packages");
    let names: BTreeMap<&str, &str> =
        packages.iter().map(|p| (p["id"].as_str().unwrap(), p["name"].as_str().unwrap())).collect();
    let nodes = metadata["resolve"]["nodes"].as_array().expect("nodes");
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for node in nodes {
        let from = edges.entry(names[node["id"].as_str().unwrap()].to_owned()).or_default();
        for dep in node["deps"].as_array().unwrap() {
            let normal = dep["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null());
            if normal {
                from.insert(names[dep["pkg"].as_str().unwrap()].to_owned());
            }
        }
    }
    edges
}

/// Invariant 1: nothing in the core's graph can reach the network, a runtime, a database or a random number. Asked of
/// `cargo tree`, which resolves features for the core alone: in the whole workspace, other crates turn on features of
/// shared dependencies that the core does not use.
#[test]
fn the_core_is_pure() {
    let output = Command::new(env!("CARGO"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args([
            "tree",
            "--package",
            "notify-core",
            "--edges",
            "normal",
            "--target",
            "x86_64-unknown-linux-gnu",
            "--prefix",
            "none",
        ])
        .arg("--locked")
        .output()
        .expect("cargo tree runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).expect("names are UTF-8");
    let core: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(
        core.contains("notify-core") && core.contains("serde_json"),
        "the tree is not the core's: {tree}"
    );
    for banned in
        ["tokio", "mio", "socket2", "reqwest", "hyper", "sqlx", "rand", "getrandom", "axum", "libloading"]
    {
        assert!(!core.contains(banned), "notify-core pulls in {banned}");
    }
}

/// DESIGN section 2: which of our own crates each may use.
#[test]
fn crates_depend_only_downwards() {
    let allowed: &[(&str, &[&str])] = &[
        ("notify-core", &[]),
        ("notify-store", &["notify-core"]),
        ("notify-bus", &["notify-core", "notify-store"]),
        ("notify-connector-abi", &[]),
        ("notify-connector-sdk", &["notify-connector-abi"]),
        ("notify-netguard", &[]),
        ("notify-connector-host", &["notify-connector-abi", "notify-core", "notify-netguard"]),
        ("notify-connector-conformance", &["notify-connector-abi", "notify-connector-host"]),
        ("notify-connector-webhook", &["notify-connector-sdk"]),
        ("notify-connector-slack", &["notify-connector-sdk", "notify-markup"]),
        ("notify-connector-teams", &["notify-connector-sdk", "notify-markup"]),
        ("notify-worker", &["notify-core", "notify-store", "notify-bus", "notify-connector-host"]),
        ("notify-markup", &[]),
        (
            "notify-webservice",
            &[
                "notify-netguard",
                "notify-core",
                "notify-store",
                "notify-bus",
                "notify-connector-host",
                "notify-markup",
            ],
        ),
    ];
    let edges = normal_edges(&metadata());
    for (name, may) in allowed {
        let own: Vec<&String> = edges[*name].iter().filter(|dep| dep.starts_with("notify-")).collect();
        for dep in own {
            assert!(may.contains(&dep.as_str()), "{name} must not depend on {dep}");
        }
    }
}

/// Files stay readable: one idea each.
#[test]
fn files_are_short() {
    let output = Command::new("git")
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(["ls-files", "*.rs"])
        .output()
        .expect("git runs");
    for file in String::from_utf8(output.stdout).expect("paths are UTF-8").lines() {
        let path = format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"));
        let lines = std::fs::read_to_string(&path).unwrap_or_default().lines().count();
        assert!(lines <= 650, "{file} has {lines} lines; split it by idea");
    }
}
