//! Benchmarks inside one process and on one core, each beside its baselines in the same run: ratios compare, absolute
//! figures are this machine's today. What goes over the network and to disk is measured by `notify-rig bench`.

mod baselines;
mod clock;
mod matching;
mod random;
mod sets;
mod update;

use clap::Parser;
use std::path::PathBuf;

#[derive(Parser)]
#[command(name = "notify-bench", about = "Measures the rule matcher against its baselines")]
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
    /// Memory of one rule set, printed as bytes a rule: `match` runs it in a process of its own.
    #[command(hide = true)]
    Memory { set: sets::Set, rules: usize },
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let figures = match arguments.scenario {
        Scenario::Match(scenario) => matching::run(&scenario)?,
        Scenario::Memory { set, rules } => {
            println!("{}", matching::bytes_per_rule_here(set, rules)?);
            return Ok(());
        }
    };
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_string_pretty(&figures)?)?;
    }
    Ok(())
}
