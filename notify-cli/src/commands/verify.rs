//! `notify ledger verify` and `notify ledger trust`: evidence for who trusts nobody here. No service, no network.

use crate::args::{Format, HomeArgs};
use crate::failure::{Failure, printable};
use crate::files;
use crate::home::Home;
use crate::output;
use crate::tar::Tar;
use notify_core::ledger::checkpoint::Checkpoint;
use notify_core::ledger::export::files::{CHECKPOINT, CONSISTENCY, ENTRIES, PREFIX, PREVIOUS, SITE_PROOF};
use notify_core::ledger::export::{ExportFiles, FileRole, Report, Verifier, VerifyOptions};
use notify_core::ledger::keys::LogKeys;
use notify_core::ledger::note::Note;
use notify_core::ledger::policy::Policy;
use notify_core::ledger::trust::{LogKeyRange, Trust};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes of one file other than `entries.jsonl`, and of all of them: they are held in memory.
const MAX_FILE: u64 = 64 * 1024 * 1024;
const MAX_FILES_TOGETHER: u64 = 4 * 1024 * 1024 * 1024;
/// Read at once.
const PIECE: usize = 256 * 1024;

/// What the auditor wants to know.
pub struct Asked {
    pub export: PathBuf,
    pub trust: PathBuf,
    pub tree_only: bool,
    pub filtered: bool,
    pub prev: Option<PathBuf>,
}

pub fn run(format: Format, asked: &Asked) -> Result<(), Failure> {
    let policy = files::read(&asked.trust.join("policy"))?;
    let keys = files::read(&asked.trust.join("keys.json"))?;
    let trust = Trust::parse(&policy, &keys).map_err(|fault| {
        Failure::other(
            format!("{}: {fault}", asked.trust.display()),
            "get both files from the operator again",
        )
    })?;
    let held = asked.prev.as_deref().map(held).transpose()?;
    let options = VerifyOptions {
        filtered: asked.filtered,
        tree_only: asked.tree_only,
        held: held.into_iter().collect(),
    };
    let failed =
        |error: io::Error| Failure::other(format!("{} cannot be read: {error}", asked.export.display()), "");
    let (collected, entries) = if asked.export.is_dir() {
        from_folder(&asked.export).map_err(failed)?
    } else {
        from_tar(&asked.export)?
    };
    let mut verifier = Verifier::new(&collected, &trust, options);
    if let Some(mut entries) = entries {
        let mut piece = vec![0; PIECE];
        loop {
            let read = entries.read(&mut piece).map_err(failed)?;
            if read == 0 {
                break;
            }
            verifier.feed(piece.get(..read).unwrap_or_default());
        }
    }
    let report = verifier.finish();
    match format {
        Format::Table => output::say(&text(&report)),
        format => output::structured(format, &serde_json::to_value(&report).unwrap_or_default()),
    }
    if report.is_verified() { Ok(()) } else { Err(Failure::NotVerified) }
}

/// A checkpoint that the auditor kept. Its signature was checked when it was taken.
fn held(path: &Path) -> Result<Checkpoint, Failure> {
    let content = files::read(path)?;
    let note = Note::parse(&content).ok();
    let checkpoint = note.and_then(|note| Checkpoint::parse(&note.text).ok());
    checkpoint.ok_or_else(|| {
        Failure::other(
            format!("{} is not a checkpoint", path.display()),
            "give the `checkpoint` of an earlier export",
        )
    })
}

type Collected = (ExportFiles, Option<Box<dyn Read>>);

/// Names of the files that the verifier reads; any other is only listed.
fn is_read(name: &str) -> bool {
    let known = [CHECKPOINT, PREFIX, PREVIOUS, CONSISTENCY, SITE_PROOF];
    known.contains(&name) || name.starts_with("proofs/") || name.starts_with("payloads/")
}

/// Adds one file, or gives back that it is the entries.
fn add(
    files: &mut ExportFiles,
    name: &str,
    size: u64,
    together: &mut u64,
    open: impl FnOnce() -> io::Result<Box<dyn Read>>,
) -> io::Result<Option<Box<dyn Read>>> {
    if name == ENTRIES {
        return Ok(match files.declare(name) {
            Some(FileRole::Entries) => Some(open()?),
            _ => None,
        });
    }
    if !is_read(name) {
        files.declare(name);
        return Ok(None);
    }
    *together = together.saturating_add(size);
    if size > MAX_FILE || *together > MAX_FILES_TOGETHER {
        return Err(io::Error::other(format!("`{name}` and the files before it are too large")));
    }
    let mut content = Vec::new();
    open()?.take(MAX_FILE).read_to_end(&mut content)?;
    files.add(name, content);
    Ok(None)
}

/// Links are refused unread: what they point to is not part of the export.
fn from_folder(folder: &Path) -> io::Result<Collected> {
    let (mut files, mut entries, mut together) = (ExportFiles::new(), None, 0);
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        let mut inside = folder.read_dir()?.collect::<io::Result<Vec<_>>>()?;
        inside.sort_by_key(std::fs::DirEntry::file_name);
        for entry in inside {
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            // Of the entry itself, not of what a link points to.
            let meta = entry.metadata()?;
            if meta.is_dir() && prefix.is_empty() && ["proofs", "payloads"].contains(&name.as_str()) {
                folders.push((entry.path(), format!("{name}/")));
            } else if meta.is_file() {
                let open = || Ok(Box::new(File::open(entry.path())?) as Box<dyn Read>);
                let found = add(&mut files, &name, meta.len(), &mut together, open)?;
                entries = entries.or(found);
            } else {
                files.refuse(&name);
            }
        }
    }
    Ok((files, entries))
}

fn from_tar(path: &Path) -> Result<Collected, Failure> {
    let failed = |reason: String| Failure::other(format!("{}: {reason}", path.display()), "export it again");
    let tar = Tar::open(path).map_err(|fault| failed(fault.to_string()))?;
    let (mut files, mut entries, mut together) = (ExportFiles::new(), None, 0);
    for member in &tar.members {
        if !member.regular {
            files.refuse(&member.name);
            continue;
        }
        let open = || Ok(Box::new(tar.reader(member)?) as Box<dyn Read>);
        let found = add(&mut files, &member.name, member.size, &mut together, open);
        entries = entries.or(found.map_err(|error| failed(error.to_string()))?);
    }
    Ok((files, entries))
}

/// For people.
fn text(report: &Report) -> String {
    let verdict = if report.is_verified() { "VERIFIED" } else { "NOT VERIFIED" };
    let kinds: Vec<_> = report.kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let range = match report.first {
        Some(first) => format!("{} entries from {first}, tree of {}", report.lines, report.size),
        None => format!("{} entries out of a tree of {}", report.lines, report.size),
    };
    let witnesses: Vec<_> = report.witnesses.iter().map(|(name, _)| name.as_str()).collect();
    let number = |count: u64| if count == 0 { String::new() } else { count.to_string() };
    let mut out = output::fields(&[
        ("verdict", verdict.to_owned()),
        ("log", report.origin.clone()),
        ("range", range),
        ("root", report.root.clone()),
        ("signed by", report.signed_by.clone().unwrap_or_default()),
        ("witnesses", witnesses.join(", ")),
        ("entries", kinds.join(", ")),
        ("pruned", number(report.pruned)),
        ("deliveries", format!("{}, of which {} still open", report.deliveries, report.open_deliveries)),
        ("exported by", report.exporters.join(", ")),
        ("proofs", number(report.proofs)),
        ("openings", number(report.openings)),
        ("not looked at", report.untrusted_files.join(", ")),
    ]);
    for limit in &report.limits {
        out.push_str(&format!("\nnote: {}", printable(limit)));
    }
    for finding in &report.findings {
        out.push_str(&format!("\nfinding: {}", printable(&finding.to_string())));
    }
    let hidden = report.findings_total.saturating_sub(report.findings.len() as u64);
    if hidden > 0 {
        out.push_str(&format!("\n… and {hidden} more findings"));
    }
    out
}

/// Writes `policy` and `keys.json` of one tenant's log.
pub async fn write_trust(home: &HomeArgs, out: &Path, tenant: Option<&str>) -> Result<(), Failure> {
    let home = Home::open(home, vec![])?;
    let store = home.open_store().await?;
    let tenants = store.tenants().await;
    store.close().await;
    let tenants = tenants.map_err(|error| Failure::other(error.to_string(), ""))?;
    let chosen = match (tenant, tenants.as_slice()) {
        (None, [only]) => only,
        (None, _) => {
            let names: Vec<_> = tenants.iter().map(|tenant| tenant.id.as_str()).collect();
            let reason = format!("the home has {} tenants: {}", names.len(), names.join(", "));
            return Err(Failure::usage(reason, "choose one with --tenant"));
        }
        (Some(id), all) => all.iter().find(|tenant| tenant.id.as_str() == id).ok_or_else(|| {
            Failure::other(format!("there is no tenant `{id}`"), "see `notify tenant list`")
        })?,
    };
    let (policy, keys) = trust_files(&home, &chosen.opaque)?;
    let failed =
        |error: io::Error| Failure::other(format!("{} cannot be written: {error}", out.display()), "");
    std::fs::create_dir_all(out).map_err(failed)?;
    std::fs::write(out.join("policy"), policy).map_err(failed)?;
    std::fs::write(out.join("keys.json"), keys).map_err(failed)?;
    output::say(&format!(
        "wrote {} and keys.json; hand them over apart from exports",
        out.join("policy").display()
    ));
    Ok(())
}

/// Texts of `policy` and `keys.json` for the log with this opaque id.
///
/// # Errors
/// When a key cannot be made of the home's seed.
pub fn trust_files(home: &Home, opaque: &str) -> Result<(String, String), Failure> {
    let failed =
        |error: &dyn std::fmt::Display| Failure::other(format!("the log's key cannot be made: {error}"), "");
    let keys =
        LogKeys::new(&home.loaded.config.ledger.site, home.log_seed).map_err(|error| failed(&error))?;
    let origin = keys.tenant_origin(opaque).map_err(|error| failed(&error))?;
    let log = keys.log_key(&origin).map_err(|error| failed(&error))?;
    let key = log.note_key().map_err(|error| failed(&error))?;
    let policy = Policy::without_witnesses([&key]);
    let export = home.export_key()?.public().clone();
    let keys = Trust::keys_json(&[export], &[LogKeyRange::always(key)]).map_err(|error| failed(&error))?;
    Ok((policy, keys))
}
