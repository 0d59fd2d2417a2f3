//! Benchmarks inside one process and on one core, each beside its baselines in the same run: ratios compare, absolute
//! figures are this machine's today. What goes over the network and to disk is measured by `notify-rig bench`.

mod baselines;
mod clock;
mod matching;
mod planning;
mod random;
mod sets;
mod update;

use clap::Parser;
use std::path::PathBuf;

/// As in the service.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(
    name = "notify-bench",
    about = "Measures the rule matcher and noise control against their baselines"
)]
struct Arguments {
    #[command(subcommand)]
    scenario: Scenario,
    /// Also write the figures to this file.
    #[arg(long, global = true)]
    json: Option<PathBuf>,
}

#[derive(clap::Subcommand)]
enum Scenario {
    /// Events per second by rule set and number of rules; memory; builds and changes.
    Match(matching::Arguments),
    /// Events per second through all controls of noise; memory of a million live keys.
    Plan(planning::Arguments),
    /// Memory of a million live keys, in bytes: `plan` runs it in a process of its own.
    #[command(hide = true)]
    PlanMemory,
    /// Memory of one rule set, printed as bytes a rule: `match` runs it in a process of its own.
    #[command(hide = true)]
    Memory { set: sets::Set, rules: usize },
    /// One build and so many events, for a profiler.
    #[command(hide = true)]
    Profile { set: sets::Set, rules: usize, events: usize },
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let figures = match arguments.scenario {
        Scenario::Match(scenario) => matching::run(&scenario)?,
        Scenario::Plan(scenario) => planning::bench(&scenario)?,
        Scenario::PlanMemory => {
            println!("{}", planning::memory_here()?);
            return Ok(());
        }
        Scenario::Memory { set, rules } => {
            println!("{}", matching::bytes_per_rule_here(set, rules)?);
            return Ok(());
        }
        Scenario::Profile { set, rules, events } => {
            println!("{} matches", matching::profile(set, rules, events)?);
            return Ok(());
        }
    };
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_string_pretty(&figures)?)?;
    }
    Ok(())
}
