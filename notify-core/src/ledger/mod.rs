//! The delivery ledger: statements, tree, checkpoints, proofs, exports and their verification. Pure.
//!
//! Bytes and fields: `docs/ledger-format.md`. Writing goes [`entry`] (typed fields) → [`EntryDraft`] → [`append`]
//! (number, time, leaf, signed head); leaving the system goes [`export`].

pub mod append;
pub mod canonical;
pub mod checkpoint;
pub mod commitment;
pub mod draft;
pub mod dsse;
pub mod entry;
pub mod export;
pub mod keys;
pub mod noise_entries;
pub mod note;
pub mod policy;
pub mod proof;
mod scan;
pub mod statement;
#[cfg(test)]
mod tests;
pub mod tlog_proof;
pub mod tree;
pub mod trust;
pub use draft::{EntryDraft, EntryKind};
