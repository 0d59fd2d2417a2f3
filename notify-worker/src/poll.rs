//! Brings deliveries back whose time has come: retries, what found no place when it was planned, and what another
//! process left behind.

use crate::clock::{after, wait, wait_until};
use crate::dispatch::{CLAIM_MARGIN, Dispatcher, Ready};
use crate::lanes::Pass;
use crate::worker::Shared;
use notify_core::ids::{ChannelId, TenantId};
use notify_core::time::Timestamp;
use notify_store::model::{Admission, Delivery};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Claimed in one go; more would make the first of them wait for the last.
const CLAIM_BATCH: usize = 128;
/// Due deliveries looked at for each claim and at least: those of a channel without a place are sent back to its line, so
/// that they are not in the way of the others.
const LOOKED_AT: usize = 128;
/// Due times closer together than this are claimed together.
const COALESCE: Duration = Duration::from_millis(5);
/// Alone on its store, a process is told of everything that becomes due; this look finds what a fault left behind.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// A look that failed is repeated after this long.
const AFTER_A_FAULT: Duration = Duration::from_millis(500);

/// Runs until a clean stop begins.
pub(crate) async fn run(shared: Arc<Shared>, dispatcher: Dispatcher) {
    let mut stopping = shared.stopping.clone();
    loop {
        if *stopping.borrow() {
            return;
        }
        let pause = claim_and_start(&shared, &dispatcher).await;
        let pause = async {
            match pause {
                Pause::None => {}
                Pause::UntilWoken => std::future::pending().await,
                Pause::Until(due) => {
                    wait_until(shared.clock.as_ref(), due).await;
                    wait(COALESCE).await;
                }
            }
        };
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = dispatcher.woken() => {}
            () = pause => {}
        }
    }
}

enum Pause {
    None,
    UntilWoken,
    Until(Timestamp),
}

async fn claim_and_start(shared: &Shared, dispatcher: &Dispatcher) -> Pause {
    let now = shared.clock.now();
    match shared.store.next_due().await {
        Ok(Some(due)) if due > now => return Pause::Until(due.min(next_look(shared, now))),
        Ok(Some(_)) => {}
        Ok(None) => return Pause::Until(next_look(shared, now)),
        Err(error) => {
            tracing::error!(%error, "the next due time could not be read; trying again");
            return Pause::Until(after(now, AFTER_A_FAULT));
        }
    }
    let mut slots = Vec::new();
    while slots.len() < CLAIM_BATCH
        && let Some(slot) = dispatcher.reserve()
    {
        slots.push(slot);
    }
    if slots.is_empty() {
        // The next place that becomes free wakes us; unless one did between the two lines above.
        dispatcher.more_is_waiting();
        return if dispatcher.free() > 0 { Pause::None } else { Pause::UntilWoken };
    }
    let lease = shared.options.attempt_timeout.max(Duration::from_secs(120)) + CLAIM_MARGIN;
    let limit = u32::try_from(slots.len().max(LOOKED_AT)).unwrap_or(u32::MAX);
    let mut room = slots.len();
    let mut passes: HashMap<(TenantId, ChannelId), Vec<Pass>> = HashMap::new();
    let admit = |delivery: &Delivery| {
        let (tenant, channel) = (&delivery.tenant, &delivery.delivery.channel);
        if let Some(until) = shared.gates.shut_until(tenant, channel, now, shared.options.sweep.is_none()) {
            return Admission::Later(until);
        }
        match dispatcher.lanes().enter(tenant, channel) {
            Some(_) if room == 0 => Admission::Leave,
            Some(pass) => {
                room -= 1;
                passes.entry((tenant.clone(), channel.clone())).or_default().push(pass);
                Admission::Take
            }
            None => Admission::Later(after(now, dispatcher.lanes().line_up(tenant, channel))),
        }
    };
    match shared.store.claim_due_if(now, lease, limit, admit).await {
        Ok(claimed) => {
            for (slot, claimed) in slots.into_iter().zip(claimed) {
                let delivery = &claimed.delivery;
                let pass = passes.get_mut(&(delivery.tenant.clone(), delivery.delivery.channel.clone()));
                // Each claim was admitted with a pass of its channel.
                if let Some(pass) = pass.and_then(Vec::pop) {
                    dispatcher.start(slot.with(pass), Ready::claimed(claimed));
                }
            }
            Pause::None
        }
        Err(error) => {
            tracing::error!(%error, "due deliveries could not be claimed; trying again");
            Pause::Until(after(now, AFTER_A_FAULT))
        }
    }
}

fn next_look(shared: &Shared, now: Timestamp) -> Timestamp {
    after(now, shared.options.sweep.unwrap_or(LOOK_EVERY))
}
