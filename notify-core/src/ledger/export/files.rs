//! Which files an export may have. Whoever reads a directory or a tar asks here, so that both obey the same rules.

use crate::ledger::checkpoint::parse_decimal;
use crate::ledger::commitment::parse_hex32;
use std::collections::BTreeMap;

pub const ENTRIES: &str = "entries.jsonl";
pub const CHECKPOINT: &str = "checkpoint";
pub const PREFIX: &str = "prefix";
pub const PREVIOUS: &str = "checkpoint.prev";
pub const CONSISTENCY: &str = "consistency";
pub const SITE_PROOF: &str = "site.tlog-proof";
pub const MANIFEST: &str = "manifest.json";

/// What a file of an export is, by its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileRole {
    Entries,
    Checkpoint,
    Prefix,
    PreviousCheckpoint,
    Consistency,
    SiteProof,
    /// `proofs/<seq>.tlog-proof`.
    Proof(u64),
    /// `payloads/<hex>`.
    Opening([u8; 32]),
    /// `manifest.json` and anything else: never trusted, never changes the verdict.
    Untrusted,
}

/// Why a file cannot be part of an export.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    #[error("files stand at the top or in `proofs/` and `payloads/`, nowhere else")]
    Place,
    #[error("a proof is called `<sequence number>.tlog-proof`, without padding")]
    ProofName,
    #[error("an opening is called by 64 lower-case hexadecimal digits")]
    OpeningName,
    #[error("only regular files are allowed")]
    NotRegular,
    #[error("the name appears twice")]
    Twice,
}

/// What the file called `name` (with `/` between folders; a leading `./` is ignored) is.
///
/// # Errors
/// When an export cannot have a file of this name.
pub fn classify(name: &str) -> Result<FileRole, FileFault> {
    let name = name.strip_prefix("./").unwrap_or(name);
    if name.is_empty() || name.contains(['\\', '\0']) || name == "." || name == ".." {
        return Err(FileFault::Place);
    }
    match name.split_once('/') {
        None => Ok(match name {
            ENTRIES => FileRole::Entries,
            CHECKPOINT => FileRole::Checkpoint,
            PREFIX => FileRole::Prefix,
            PREVIOUS => FileRole::PreviousCheckpoint,
            CONSISTENCY => FileRole::Consistency,
            SITE_PROOF => FileRole::SiteProof,
            _ => FileRole::Untrusted,
        }),
        Some((_, file)) if file.is_empty() || file.contains('/') || file == "." || file == ".." => {
            Err(FileFault::Place)
        }
        Some(("proofs", file)) => match file.strip_suffix(".tlog-proof") {
            Some(seq) => parse_decimal(seq).map(FileRole::Proof).ok_or(FileFault::ProofName),
            None => Ok(FileRole::Untrusted),
        },
        Some(("payloads", file)) => parse_hex32(file).map(FileRole::Opening).ok_or(FileFault::OpeningName),
        Some(_) => Err(FileFault::Place),
    }
}

/// The files of an export. `entries.jsonl` may be added like the others or be fed to the verifier piece by piece
/// (then [`Self::declare`] it).
#[derive(Debug, Clone, Default)]
pub struct ExportFiles {
    pub(super) files: BTreeMap<FileRole, Vec<u8>>,
    names: std::collections::BTreeSet<String>,
    pub(super) faults: Vec<(String, FileFault)>,
    pub(super) untrusted: Vec<String>,
}

impl ExportFiles {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file. What is wrong with its name becomes a finding of the verification.
    pub fn add(&mut self, name: &str, bytes: Vec<u8>) {
        if let Some(role) = self.declare(name) {
            self.files.insert(role, bytes);
        }
    }

    /// Notes a regular file without its bytes and says what it is; `None` when there was something wrong with it, or
    /// nobody will read it.
    pub fn declare(&mut self, name: &str) -> Option<FileRole> {
        let short = name.strip_prefix("./").unwrap_or(name);
        let role = classify(name);
        if !self.names.insert(short.to_owned()) {
            self.faults.push((name.to_owned(), FileFault::Twice));
            return None;
        }
        match role {
            Ok(FileRole::Untrusted) => {
                self.untrusted.push(name.to_owned());
                None
            }
            Ok(role) => Some(role),
            Err(fault) => {
                self.faults.push((name.to_owned(), fault));
                None
            }
        }
    }

    /// Notes something that is no regular file: a link, a device, a folder where none belongs.
    pub fn refuse(&mut self, name: &str) {
        self.faults.push((name.to_owned(), FileFault::NotRegular));
    }

    #[must_use]
    pub fn get(&self, role: &FileRole) -> Option<&[u8]> {
        self.files.get(role).map(Vec::as_slice)
    }
}

impl<N: AsRef<str>> FromIterator<(N, Vec<u8>)> for ExportFiles {
    fn from_iter<I: IntoIterator<Item = (N, Vec<u8>)>>(files: I) -> Self {
        let mut all = Self::new();
        files.into_iter().for_each(|(name, bytes)| all.add(name.as_ref(), bytes));
        all
    }
}
