//! What the only writer of a file knows without reading it again.
//!
//! SQLite has one writer per home (a lock file sees to it), so what its last transaction left in a tenant's head, lease
//! and running claims is still there at the next. That saves five of a transaction's dozen statements. The memory
//! belongs to the connection: what is recalled is taken out, and put back only after COMMIT; when anything fails, it
//! is forgotten and read again.

use super::log::{Keyring, Log};
use super::state::{ClaimRow, Counters, DeliveryRow, Lease, Slot, State};
use crate::model::DeliveryState;
use crate::store::StoreError;
use notify_core::ids::TenantId;
use notify_core::ledger::append::{Appended, LogState};
use std::borrow::Cow;
use std::collections::HashMap;

/// Tenants, and claims per tenant, beyond which everything is forgotten: memory stays bounded, reading costs little.
const MOST: usize = 4096;

#[derive(Debug, Default)]
pub struct Memory {
    tenants: HashMap<TenantId, Known>,
}

#[derive(Debug)]
pub struct Known {
    counters: Counters,
    log: LogState,
    lease: Lease,
    claims: HashMap<String, ClaimRow>,
}

impl Memory {
    /// Fills in what is known about the tenants of a round. It is gone from here until [`Memory::keep`].
    pub fn recall(&mut self, state: &mut State<'_>, keys: &Keyring) -> Result<(), StoreError> {
        for tenant in &mut state.tenants {
            let Some(known) = self.tenants.remove(tenant.id) else { continue };
            tenant.counters = known.counters;
            tenant.log = Some(Log::at(keys, known.log)?);
            tenant.lease = known.lease;
            tenant.claims = known.claims;
        }
        for at in 0..state.deliveries.rows.len() {
            let (slot, id, _) = state.deliveries.rows[at];
            let Some(claim) = state.tenants[slot].claims.remove(id) else { continue };
            let row = DeliveryRow {
                state: Some(DeliveryState::Scheduled),
                seq: claim.seq,
                next_attempt: claim.next_attempt,
                token: Some(Cow::Owned(claim.token)),
                recorded: None,
                waits_until: None,
            };
            state.deliveries.recall(at, row);
        }
        Ok(())
    }

    /// The round is durable.
    pub fn keep(&mut self, learned: Vec<(TenantId, Known)>) {
        if self.tenants.len() + learned.len() > MOST {
            self.tenants.clear();
        }
        self.tenants.extend(learned);
    }

    /// Somebody wrote leases or claims past the commits.
    pub fn forget(&mut self) {
        self.tenants.clear();
    }
}

/// What a round knows at its end of each tenant that it wrote to.
pub fn learn(state: &mut State<'_>, logs: &mut Vec<(Slot, Appended)>) -> Vec<(TenantId, Known)> {
    let mut learned = Vec::with_capacity(logs.len());
    let mut claims: HashMap<Slot, HashMap<String, ClaimRow>> = logs
        .iter()
        .map(|(slot, _)| (*slot, std::mem::take(&mut state.tenants[*slot].claims)))
        .filter(|(_, claims)| claims.len() < MOST)
        .collect();
    for (slot, id, row) in &mut state.deliveries.rows {
        if let (Some(DeliveryState::Scheduled), Some(token)) = (row.state, row.token.take()) {
            let claim = ClaimRow { seq: row.seq, next_attempt: row.next_attempt, token: token.into_owned() };
            claims.entry(*slot).or_default().insert((*id).to_owned(), claim);
        }
    }
    for (slot, appended) in logs.drain(..) {
        let tenant = &mut state.tenants[slot];
        let known = Known {
            counters: Counters { pending: 0, dead: 0, next_timer: None, ..tenant.counters },
            log: appended.state,
            lease: std::mem::take(&mut tenant.lease),
            claims: claims.remove(&slot).unwrap_or_default(),
        };
        learned.push((tenant.id.clone(), known));
    }
    learned
}
