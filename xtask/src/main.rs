//! `cargo xtask up | stage | test | bench | kill`: everything a developer or CI runs, in Rust, with nothing else to
//! learn. Thin on purpose: it builds fast, and the work is done by the product and by `notify-rig`.

mod audit;
mod fuzz;
mod stage;
mod tests;
mod tools;

use anyhow::Context;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::Command;

#[derive(Parser)]
#[command(name = "xtask", about = "Build, run, test and measure Notify Studio")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build, stage and run the demo on a fresh home; keeps serving unless `--exit` is given.
    Up {
        /// Stop after the demo; status 0 only if all held.
        #[arg(long)]
        exit: bool,
        /// Address of the studio.
        #[arg(long, default_value = "127.0.0.1:8650")]
        listen: String,
    },
    /// Build (release) and lay out `target/stage`.
    Stage,
    /// Everything that must hold; installs and starts what it needs.
    Test {
        /// Also the long runs: 100 kills, more property cases.
        #[arg(long)]
        deep: bool,
    },
    /// Measure: `match` (the rule matcher, in one process), else the whole product: `throughput`, `latency`, …
    Bench {
        scenario: Option<String>,
        /// Also write the figures here.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Let each fuzz target search for a while.
    Fuzz {
        /// One target only.
        target: Option<String>,
        #[arg(long, default_value_t = 30)]
        seconds: u32,
        /// Also the targets of the connector host and the web layer, which take minutes to build.
        #[arg(long)]
        service: bool,
    },
    /// Faulty receivers under load: `injected`, `isolation`, or both.
    Faults {
        scenario: Option<String>,
        /// Repeat a run by its printed seed.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Kill the studio under load and account for every event.
    Kill {
        #[arg(long, default_value_t = 10)]
        rounds: u32,
        /// With noise control on: open digests, held alerts, counted repeats.
        #[arg(long)]
        noise: bool,
        /// Repeat a run by its printed seed.
        #[arg(long)]
        seed: Option<u64>,
    },
}

fn main() -> std::process::ExitCode {
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let root =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent folder")?.to_owned();
    match Arguments::parse().task {
        Task::Up { exit, listen } => {
            stage::stage(&root)?;
            let mut rig = rig(&root);
            rig.args(["up", "--listen", &listen]);
            if exit {
                rig.arg("--exit");
            }
            tools::run(&mut rig)
        }
        Task::Stage => {
            let stage = stage::stage(&root)?;
            println!("staged in {}", stage.display());
            Ok(())
        }
        Task::Test { deep } => tests::run(&root, deep),
        Task::Bench { scenario: Some(scenario), json } if ["match", "plan"].contains(&scenario.as_str()) => {
            tools::run(&mut tools::cargo(&root, &["build", "--release", "--locked", "-p", "notify-bench"]))?;
            let mut bench = Command::new(tools::target_dir(&root).join("release/notify-bench"));
            bench.arg(scenario);
            if let Some(file) = json {
                bench.arg("--json").arg(file);
            }
            tools::run(&mut bench)
        }
        Task::Bench { scenario, json } => {
            stage::stage(&root)?;
            let mut rig = rig(&root);
            rig.arg("bench").args(scenario);
            if let Some(file) = json {
                rig.arg("--json").arg(file);
            }
            tools::run(&mut rig)
        }
        Task::Fuzz { target, seconds, service } => fuzz::run(&root, seconds, service, target.as_deref()),
        Task::Faults { scenario, seed } => {
            stage::stage(&root)?;
            let mut rig = rig(&root);
            rig.arg("faults").args(scenario);
            if let Some(seed) = seed {
                rig.args(["--seed", &seed.to_string()]);
            }
            tools::run(&mut rig)
        }
        Task::Kill { rounds, noise, seed } => {
            stage::stage(&root)?;
            let mut rig = rig(&root);
            rig.args(["kill", "--rounds", &rounds.to_string()]);
            if noise {
                rig.args(["--noise", "--rate", "200"]);
            }
            if let Some(seed) = seed {
                rig.args(["--seed", &seed.to_string()]);
            }
            tools::run(&mut rig)
        }
    }
}

/// `notify-rig --stage STAGE`, from the release build.
pub fn rig(root: &std::path::Path) -> Command {
    let target = tools::target_dir(root);
    let mut rig = Command::new(target.join("release/notify-rig"));
    rig.arg("--stage").arg(stage::stage_dir(root));
    rig
}
