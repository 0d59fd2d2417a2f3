//! C2SP checkpoint: origin, size and root as a note text. No extension lines.

use super::canonical::MAX_SAFE_INTEGER;
use super::tree::Hash;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// A tree head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

/// Why a text is not a checkpoint of this ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointFault {
    #[error("a checkpoint has exactly three lines: origin, size, root")]
    Lines,
    #[error("the size is not a decimal number without leading zero, up to 2^53−1")]
    Size,
    #[error("the root is not the canonical base64 of 32 bytes")]
    Root,
}

impl Checkpoint {
    /// Reads a note text.
    ///
    /// # Errors
    /// [`CheckpointFault`]; extension lines are refused.
    pub fn parse(text: &str) -> Result<Self, CheckpointFault> {
        let lines: Vec<&str> = text.strip_suffix('\n').ok_or(CheckpointFault::Lines)?.split('\n').collect();
        let [origin, size, root] = lines.as_slice() else { return Err(CheckpointFault::Lines) };
        if origin.is_empty() {
            return Err(CheckpointFault::Lines);
        }
        let size = parse_decimal(size).ok_or(CheckpointFault::Size)?;
        let root = parse_hash(root).ok_or(CheckpointFault::Root)?;
        Ok(Self { origin: (*origin).to_owned(), size, root })
    }
}

impl fmt::Display for Checkpoint {
    /// The note text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, STANDARD.encode(self.root.0))
    }
}

/// A decimal number up to 2^53−1, no sign, no leading zero.
#[must_use]
pub fn parse_decimal(text: &str) -> Option<u64> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    canonical.then(|| text.parse().ok())?.filter(|n| *n <= MAX_SAFE_INTEGER)
}

/// Canonical base64 of 32 bytes.
#[must_use]
pub fn parse_hash(text: &str) -> Option<Hash> {
    STANDARD.decode(text).ok()?.try_into().ok().map(Hash)
}

/// One hash in base64.
#[must_use]
pub fn hash_text(hash: &Hash) -> String {
    STANDARD.encode(hash.0)
}
