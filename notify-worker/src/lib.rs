//! The worker: takes accepted events, plans them as the tenant's one owner, dispatches deliveries, records attempts.
//!
//! The way of an event, by file: [`owner`] (accept, plan, commit) → [`dispatch`] (send) → [`record`] (attempt, retry
//! or dead letter) and back to [`poll`] when something is due again. `lanes` keeps one channel from taking the places
//! of all, `planning` one tenant from taking the processor of all. [`snapshots`] holds the compiled configuration,
//! [`clock`] is the only place that reads the time, [`acts`] are what people ask for:
//! preview and replay, [`digest_preview`] is that of many events as one message, `explain` says which rules match, [`redrive`] that for many at once; [`channels`] disables what does not work; [`anchor`] keeps the last checkpoints outside the database. `gate` asks breaker, pause and rate of a channel before an attempt, `fallback` has another channel take over, `checks` and `trial` try whether a channel works.

pub mod acts;
pub mod anchor;
mod channel_status;
pub mod channels;
mod checks;
pub mod clock;
pub mod digest_preview;
pub mod dispatch;
mod explain;
mod fallback;
mod gate;
mod lanes;
pub mod metrics;
pub mod owner;
mod planning;
pub mod poll;
pub mod record;
pub mod redrive;
mod regate;
pub mod snapshots;
mod targets;
mod trial;
mod worker;

pub use worker::{Accepted, Health, Worker, WorkerOptions};
