//! Appending: drafts become numbered entries, subtree hashes and a signed head. The store calls this inside the
//! transaction that holds the head row's lock and writes what comes out of it.

use super::canonical::MAX_SAFE_INTEGER;
use super::checkpoint::Checkpoint;
use super::draft::{EntryDraft, EntryKind};
use super::dsse::entry_leaf_hash;
use super::keys::LogKey;
use super::statement::{DraftFault, encode};
use super::tree::{CompactRange, Hash, Node, is_stored_level};
use crate::ids::hex;
use crate::time::{Timestamp, truncate_to_millis};
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// Where a log stands: what the head row holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogState {
    pub origin: String,
    pub range: CompactRange,
    /// `at` of the last entry; `None` for an empty log.
    pub last_at: Option<Timestamp>,
}

impl LogState {
    /// A log without entries; its first must be genesis.
    #[must_use]
    pub fn empty(origin: impl Into<String>) -> Self {
        Self { origin: origin.into(), range: CompactRange::new(), last_at: None }
    }
}

/// One entry, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedEntry {
    pub seq: u64,
    pub at: Timestamp,
    pub kind: EntryKind,
    pub about: String,
    /// The RFC 8785 payload.
    pub payload: String,
    pub leaf_hash: Hash,
}

/// Why drafts were not appended. None of them was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    #[error("the first entry of a log must be genesis")]
    GenesisMissing,
    #[error("only the first entry of a log can be genesis")]
    GenesisTwice,
    #[error("the log is full")]
    Full,
    #[error("the key is of log `{key}`, not of `{log}`")]
    WrongKey { key: String, log: String },
    #[error(transparent)]
    Draft(#[from] DraftFault),
}

/// Appends several groups of drafts to one log, then signs one head over all of them.
#[derive(Debug, Clone)]
pub struct Appender {
    state: LogState,
    entries: Vec<NumberedEntry>,
    nodes: Vec<Node>,
}

/// What one transaction writes for a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    pub entries: Vec<NumberedEntry>,
    /// Subtrees of the stored levels (8, 16, 24, …) that became complete.
    pub nodes: Vec<Node>,
    /// The new head row.
    pub state: LogState,
    pub root: Hash,
    /// Signed checkpoint note of the new head.
    pub checkpoint: String,
}

impl Appender {
    #[must_use]
    pub const fn new(state: LogState) -> Self {
        Self { state, entries: vec![], nodes: vec![] }
    }

    /// Size of the log with everything appended so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.state.range.size()
    }

    /// Numbers, stamps and hashes a group of drafts, all or none, and returns their sequence numbers. A draft that
    /// had to be split takes several; `at` is `now`, or the last entry's when the clock went back.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was appended then.
    pub fn append(&mut self, drafts: &[EntryDraft], now: Timestamp) -> Result<Vec<u64>, AppendError> {
        let now = truncate_to_millis(now);
        let at = self.state.last_at.map_or(now, |last| last.max(now));
        let first = self.size();
        let mut encoded = Vec::with_capacity(drafts.len());
        let mut next = first;
        for draft in drafts {
            let draft = self.with_log_subject(draft, next)?;
            for payload in encode(&draft, &self.state.origin, next, at)? {
                if next >= MAX_SAFE_INTEGER {
                    return Err(AppendError::Full);
                }
                // The canonicaliser writes UTF-8; a payload that were not would be a bug there.
                let payload = String::from_utf8(payload)
                    .map_err(|_| DraftFault::Canonical(super::canonical::CanonicalFault::NotCanonical))?;
                let leaf_hash = entry_leaf_hash(payload.as_bytes());
                let about = draft.about.clone();
                encoded.push(NumberedEntry { seq: next, at, kind: draft.kind, about, payload, leaf_hash });
                next += 1;
            }
        }
        // From here on nothing fails.
        for entry in &encoded {
            let nodes = &mut self.nodes;
            self.state.range.push(entry.leaf_hash, |node| {
                if is_stored_level(node.level) {
                    nodes.push(node);
                }
            });
        }
        if !encoded.is_empty() {
            self.state.last_at = Some(at);
        }
        self.entries.extend(encoded);
        Ok((first..next).collect())
    }

    fn with_log_subject<'d>(
        &self,
        draft: &'d EntryDraft,
        seq: u64,
    ) -> Result<Cow<'d, EntryDraft>, AppendError> {
        match (draft.kind, seq) {
            (EntryKind::Genesis, 0) => {
                let mut genesis = draft.clone();
                genesis.subject.retain(|(name, _)| name != "log");
                genesis.subject.insert(0, ("log".to_owned(), log_subject(&self.state.origin)));
                Ok(Cow::Owned(genesis))
            }
            (EntryKind::Genesis, _) => Err(AppendError::GenesisTwice),
            (_, 0) => Err(AppendError::GenesisMissing),
            _ => Ok(Cow::Borrowed(draft)),
        }
    }

    /// Signs the head over everything appended.
    ///
    /// # Errors
    /// When the key is another log's.
    pub fn finish(self, key: &LogKey) -> Result<Appended, AppendError> {
        let Self { state, entries, nodes } = self;
        if key.origin() != state.origin {
            return Err(AppendError::WrongKey { key: key.origin().to_owned(), log: state.origin });
        }
        let root = state.range.root();
        let checkpoint =
            key.sign(&Checkpoint { origin: state.origin.clone(), size: state.range.size(), root });
        Ok(Appended { entries, nodes, state, root, checkpoint })
    }
}

/// The genesis subject: 64 hex of SHA-256 of the origin.
#[must_use]
pub fn log_subject(origin: &str) -> String {
    hex(&Sha256::digest(origin.as_bytes()))
}
