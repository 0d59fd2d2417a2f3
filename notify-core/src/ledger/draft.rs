//! An entry before the store has given it a number and a time.

use serde_json::{Map, Value};
use std::fmt;

/// `kind` of an entry; `docs/ledger-format.md` lists the fields of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryKind {
    Genesis,
    Event,
    Attempt,
    Release,
    Digest,
    Incident,
    Ack,
    Delivery,
    Config,
    Access,
    Key,
    Prune,
    Erasure,
    Export,
    Heartbeat,
}

impl EntryKind {
    pub const ALL: [Self; 15] = [
        Self::Genesis,
        Self::Event,
        Self::Attempt,
        Self::Release,
        Self::Digest,
        Self::Incident,
        Self::Ack,
        Self::Delivery,
        Self::Config,
        Self::Access,
        Self::Key,
        Self::Prune,
        Self::Erasure,
        Self::Export,
        Self::Heartbeat,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Genesis => "genesis",
            Self::Event => "event",
            Self::Attempt => "attempt",
            Self::Release => "release",
            Self::Digest => "digest",
            Self::Incident => "incident",
            Self::Ack => "ack",
            Self::Delivery => "delivery",
            Self::Config => "config",
            Self::Access => "access",
            Self::Key => "key",
            Self::Prune => "prune",
            Self::Erasure => "erasure",
            Self::Export => "export",
            Self::Heartbeat => "heartbeat",
        }
    }

    #[must_use]
    pub fn from_name(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an entry says, without `log`, `seq`, `at` and `kind`, which the store adds when it appends.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryDraft {
    pub kind: EntryKind,
    /// (`name`, 64 lower-case hex of SHA-256), at least one; genesis gets its `log` subject from the store.
    pub subject: Vec<(String, String)>,
    /// The other predicate fields: integers only, no floats.
    pub predicate: Map<String, Value>,
    /// What the entry is about (an event key, a delivery id, a document), for look-up. Not part of the statement.
    pub about: String,
}
