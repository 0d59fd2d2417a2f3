//! The rig: real processes on loopback, driven and watched from outside.
//!
//! `up` runs the demo, `bench` measures, `kill` proves that nothing accepted is lost, `misbehave` that no plug-in can take
//! the service down. All use the same parts: a
//! [`studio`] process, a [`receiver`] and a [`publisher`]. The rig knows the product only as its users do: by command
//! line, HTTP and files.

mod bench;
mod bench_connectors;
mod bench_noise;
mod bench_rules;
mod clock;
mod faults;
mod http;
mod kill;
mod kill_noise;
mod misbehave;
mod publisher;
mod receiver;
mod seed;
mod smtp_sink;
mod stage_plugin;
mod studio;
mod unreliable;
mod up;

use clap::Parser;
use std::path::PathBuf;

#[derive(Parser)]
#[command(name = "notify-rig", about = "Drives Notify Studio from outside: demo, benchmarks, kill tests")]
struct Arguments {
    /// The staged product, as `cargo xtask stage` leaves it.
    #[arg(long)]
    stage: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Start a fresh studio with a demo tenant, publish the samples, verify the ledger, keep serving.
    Up(up::Arguments),
    /// Measure: bare HTTP as the limit, the disk's flush, and the studio, in one run.
    Bench(bench::Arguments),
    /// Sign a built plug-in with a key made for this stage, and lay it out.
    StagePlugin(stage_plugin::Arguments),
    /// Plug-ins that crash, hang, lie or were tampered with, through the whole product.
    Misbehave(misbehave::Arguments),
    /// Faulty receivers under load: first-try success, and what the healthy ones notice.
    Faults(faults::Arguments),
    /// Kill the studio at random points under load and account for every event.
    Kill(kill::Arguments),
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
    let mut arguments = Arguments::parse();
    // Paths in a studio's configuration are relative to its home.
    arguments.stage = std::path::absolute(&arguments.stage)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match arguments.command {
            Command::Up(up) => up::run(&arguments.stage, up).await,
            Command::Bench(bench) => bench::run(&arguments.stage, bench).await,
            Command::StagePlugin(plugin) => stage_plugin::run(&arguments.stage, &plugin),
            Command::Misbehave(misbehave) => misbehave::run(&arguments.stage, &misbehave).await,
            Command::Faults(faults) => faults::run(&arguments.stage, faults).await,
            Command::Kill(kill) => kill::run(&arguments.stage, kill).await,
        }
    })
}
