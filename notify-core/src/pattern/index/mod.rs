//! Finds the rules that an event may match without looking at the others.
//!
//! 1. [`paths`]: the fields that some rule names, as a trie.
//! 2. [`leaves`]: one pass over the event, by [`scan`] over its text or over a parsed value, keeps their values.
//! 3. [`groups`]: rules with equality clauses are found by one composite [`hash`] of all of them; rules that share a
//!    key stand in [`tables`] of their own.
//! 4. [`tables`]: rules without equality clauses, each under its rarest test ([`hooks`]): [`affixes`], [`ranges`],
//!    networks or one of a wildcard's [`literals`].
//! 5. [`alternatives`]: what was found is judged in full; where arrays are on the way by the plain evaluator.
//!
//! A search may find too much and never too little, so the answer is that of the plain evaluator whatever the tables
//! hold. The design and its measurements: `reference/matching.md`, section 5.

mod affixes;
mod alternatives;
mod groups;
mod hash;
mod hooks;
mod layer;
mod leaves;
mod literals;
mod members;
mod paths;
mod ranges;
mod scan;
mod tables;

pub(super) use alternatives::learn;
pub(super) use hash::Fixed;
pub use layer::Scratch;
pub(super) use layer::{Layer, Loose};
pub(super) use paths::Paths;
pub use scan::NotJson;
