//! `notify rule apply|export`: rules as files.

pub mod apply;
pub mod export;
pub mod sources;

use crate::failure::Failure;
use clap::Args;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Clone, Default, Args)]
pub struct ApplyArgs {
    /// Files (YAML with one or more documents, or JSON) and folders with all below them; `-` reads standard input.
    #[arg(short, long, required = true, num_args = 1..)]
    pub file: Vec<PathBuf>,
    /// Delete the rules of the set that no file holds any more.
    #[arg(long)]
    pub prune: bool,
    /// With `--prune`: also when no rule is left in the files, so that the whole set is deleted.
    #[arg(long, requires = "prune")]
    pub allow_empty: bool,
    /// Only show what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// Do it without asking.
    #[arg(short, long)]
    pub yes: bool,
    /// The set that these files are: new rules come into it, and only its rules are pruned.
    #[arg(long, default_value = "default")]
    pub set: String,
    /// Take rules that exist into the set: those made in another way, or by another set.
    #[arg(long)]
    pub adopt: bool,
    /// Also rules whose own tests fail; the ledger keeps that.
    #[arg(long)]
    pub force: bool,
    /// Only rules with this label, such as team=security; may be given several times. What the files hold without it is
    /// neither applied nor pruned.
    #[arg(long, value_name = "LABEL=VALUE")]
    pub selector: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// A folder, with one file for each rule; `-` prints all of them.
    #[arg(long, default_value = "-")]
    pub out: PathBuf,
    /// Only rules with this label, such as team=security; may be given several times.
    #[arg(long, value_name = "LABEL=VALUE")]
    pub selector: Vec<String>,
}

/// `team=security`, several times: rules that carry all of these labels.
fn selector(given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let one = |text: &String| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(Failure::usage(
            format!("`{text}` is no label with a value"),
            "write it as LABEL=VALUE, such as --selector team=security",
        )),
    };
    given.iter().map(one).collect()
}

fn pairs(labels: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}
