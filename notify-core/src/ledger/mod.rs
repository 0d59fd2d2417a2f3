//! The delivery ledger: statements, tree, checkpoints, proofs, exports and their verification. Pure.
//!
//! Bytes and fields: `docs/ledger-format.md`.

pub mod draft;
pub use draft::{EntryDraft, EntryKind};
