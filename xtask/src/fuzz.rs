//! Builds the fuzz targets with the coverage instrumentation that libFuzzer needs (all of it stable compiler flags: no
//! nightly, no `cargo-fuzz`) and lets each search for a while.

use crate::tools;
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What libFuzzer is told by the compiled code. Only for the target: build scripts run without it.
const FLAGS: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";
const TRIPLE: &str =
    if cfg!(target_arch = "aarch64") { "aarch64-unknown-linux-gnu" } else { "x86_64-unknown-linux-gnu" };

/// Targets and the folders with further seeds. Those of the second list need the `service` feature.
const TARGETS: [(&str, &[&str]); 10] = [
    ("event", &["resources/samples/events"]),
    ("alertmanager", &["resources/samples/alertmanager"]),
    ("event_text", &["resources/samples/events"]),
    ("pattern", &[]),
    ("rule_file", &["resources/rules", "resources/channels", "templates", "resources/samples/documents/bad"]),
    ("calendar", &["resources/samples/calendars"]),
    ("template", &["templates"]),
    ("canonical", &["resources/samples/events"]),
    ("export", &[]),
    ("ledger_text", &[]),
];
const SERVICE: [(&str, &[&str]); 5] =
    [("manifest", &[]), ("frame", &[]), ("token", &[]), ("link", &[]), ("page", &[])];

/// Runs each target for this many seconds. What a target finds is kept in `target/fuzz/artifacts` and fails the run.
pub fn run(root: &Path, seconds: u32, service: bool, only: Option<&str>) -> anyhow::Result<()> {
    let built = tools::target_dir(root).join("fuzz-build");
    let mut build = tools::cargo(&root.join("fuzz"), &["build", "--release", "--locked", "--target", TRIPLE]);
    build.env("RUSTFLAGS", FLAGS).env("CARGO_TARGET_DIR", &built);
    if service {
        build.args(["--features", "service"]);
    }
    tools::run(&mut build)?;
    let work = root.join("target/fuzz");
    let targets = TARGETS.iter().chain(SERVICE.iter().filter(|_| service));
    let targets: Vec<_> = targets.filter(|(name, _)| only.is_none_or(|only| only == *name)).collect();
    if targets.is_empty() {
        bail!("there is no such target, or it needs `--service`");
    }
    for (name, seeds) in targets {
        let found = work.join("corpus").join(name);
        let artifacts = work.join("artifacts").join(name);
        for folder in [&found, &artifacts] {
            std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        let mut fuzzer = Command::new(built.join(TRIPLE).join("release").join(name));
        fuzzer.current_dir(root).arg(format!("-max_total_time={seconds}"));
        fuzzer.args([
            "-rss_limit_mb=2048",
            "-timeout=10",
            "-max_len=16384",
            "-print_final_stats=0",
            "-verbosity=0",
        ]);
        fuzzer.arg(format!("-artifact_prefix={}/", artifacts.display()));
        // New finds go into the first folder, outside of the source tree; the others are read.
        fuzzer.arg(&found).arg(PathBuf::from("fuzz/corpus").join(name)).args(*seeds);
        println!("fuzz {name}: {seconds} s");
        tools::run(&mut fuzzer).with_context(|| {
            format!("the input is in {}; add it to fuzz/corpus/{name} with the fix", artifacts.display())
        })?;
    }
    Ok(())
}
