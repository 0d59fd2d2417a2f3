//! `notify man`: one page for each command.

use crate::args::Cli;
use crate::failure::Failure;
use crate::output;
use clap::CommandFactory;
use std::path::Path;

/// # Errors
/// When the folder cannot be written.
pub fn run(out: &Path) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::other(format!("{} cannot be written: {error}", out.display()), "name a folder of yours")
    };
    std::fs::create_dir_all(out).map_err(failed)?;
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), out).map_err(failed)?;
    let pages = std::fs::read_dir(out).map_err(failed)?.count();
    output::say(&format!("{pages} pages in {}; read one with `man -l`", out.display()));
    Ok(())
}
