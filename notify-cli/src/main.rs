//! `notify`: the service and everything that its admins, operators and auditors do.
#![forbid(unsafe_code)]

mod args;
mod client;
mod commands;
mod config;
#[cfg(test)]
mod coverage;
mod duration;
mod failure;
mod files;
mod home;
mod output;
mod progress;
mod serve;
mod style;
mod tar;

use args::{Cli, Command};
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches};
use failure::Failure;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Usage errors end here with status 2.
    let matches = Cli::command().get_matches();
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    cli.global.url_given = url_given(&matches);
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprint!("{}", failure.text());
            failure.exit_code()
        }
    }
}

/// Whether `--url` stands on the command line, before or after the command.
fn url_given(matches: &clap::ArgMatches) -> bool {
    let here = matches.try_contains_id("url").unwrap_or_default()
        && matches.value_source("url") == Some(ValueSource::CommandLine);
    here || matches.subcommand().is_some_and(|(_, matches)| url_given(matches))
}

fn run(cli: Cli) -> Result<(), Failure> {
    let global = &cli.global;
    match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "notify", &mut std::io::stdout());
            Ok(())
        }
        Command::Config { command } => commands::config::run(global, &command),
        Command::Rule { command } => on_runtime(commands::rules::run(global, command)),
        Command::Man { out } => commands::man::run(&out),
        Command::Doctor(args) => on_runtime(commands::doctor::run(global, &args)),
        Command::Webhook { command } => on_runtime(commands::webhook::run(global, command)),
        Command::Service { command } => on_runtime(commands::service::run(global, &command)),
        Command::Channel { command } => on_runtime(commands::documents::channels(global, command)),
        Command::Template { command } => {
            on_runtime(commands::documents::run(global, commands::documents::TEMPLATE, command))
        }
        Command::Bundle { command } => {
            on_runtime(commands::documents::run(global, commands::documents::BUNDLE, command))
        }
        Command::EventType { command } => {
            on_runtime(commands::documents::run(global, commands::documents::EVENT_TYPE, command))
        }
        Command::Calendar { command } => on_runtime(commands::calendars::run(global, command)),
        Command::Contact { command } => {
            on_runtime(commands::documents::run(global, commands::documents::CONTACT, command))
        }
        Command::Silence { command } => on_runtime(commands::muting::silence(global, command)),
        Command::Override { command } => on_runtime(commands::muting::over(global, command)),
        Command::Policy { command } => {
            on_runtime(commands::documents::run(global, commands::documents::POLICY, command))
        }
        Command::Inhibition { command } => {
            on_runtime(commands::documents::run(global, commands::documents::INHIBITION, command))
        }
        Command::Inbox { command } => on_runtime(commands::inbox::run(global, command)),
        Command::Quarantine { command } => on_runtime(commands::quarantine::run(global, command)),
        Command::Event { command } => on_runtime(commands::events::run(global, command)),
        Command::Delivery { command } => on_runtime(commands::deliveries::run(global, command)),
        Command::Why(args) => on_runtime(commands::why::why(global, &args)),
        Command::Report { command } => on_runtime(commands::why::report(global, command)),
        Command::Digest { command } => on_runtime(commands::why::digest(global, command)),
        Command::Held { command } => on_runtime(commands::why::held(global, command)),
        Command::Plugin { command } => on_runtime(commands::plugins::run(global, &command)),
        Command::Tenant { command } => on_runtime(commands::tenants::run(global, command)),
        Command::Token { command } => commands::tokens::run(global, &command),
        Command::Ledger { command } => on_runtime(commands::ledger::run(global, command)),
    }
}

/// Commands are short: one thread does.
fn on_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::other(format!("no runtime can be made: {error}"), ""))?.block_on(work)
}
