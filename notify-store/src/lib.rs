//! The one store, on SQLite (embedded default) and PostgreSQL.
//!
//! **Invariant: [`Store::commit`] is the only write path, and an effect without its ledger entry cannot be written.**
//! Waiting commits are taken together into one transaction (group commit without a timer): a transaction starts when
//! the last one ended and takes all that waits.

#![forbid(unsafe_code)]

mod channel_state;
mod checkpointer;
pub mod commit;
mod committer;
mod dialect;
mod engine;
mod health;
pub mod inspect;
pub mod model;
mod pools;
mod probe;
mod queue;
mod read;
mod sql;
mod store;
mod store_channels;
mod turns;

pub use commit::{Bookkeeping, Commit, Committed, Effect, Guard, NoiseChanges, Refused};
pub use store::{Backend, OpenOptions, Store, StoreError};
