//! The studio's own inboxes: an attempt that needs no connector, and what is kept for how long.
//!
//! An item is written by the transaction that records its attempt (`record`), so a process that is killed neither
//! loses nor doubles one. Items end by age, each at the time that was set when it came, and beyond a number per tenant;
//! the delivery, its message and the ledger are not touched by that.

use crate::dispatch::Ready;
use crate::worker::Shared;
use notify_connector_host::AttemptResult;
use notify_connector_host::request::{Outcome, Verdict};
use notify_core::document::{Channel, Version};
use notify_core::message::Message;
use notify_core::time::Timestamp;
use notify_store::model::NewInboxItem;
use notify_store::{Bookkeeping, Commit, StoreError};
use std::sync::Arc;
use std::time::Duration;

/// What an operator can set (`[inbox]`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxOptions {
    /// Days that an item is kept where its channel says nothing.
    pub retain_days: u16,
    /// Items of one tenant; beyond them the oldest go.
    pub items: u64,
    /// Between two looks for what is over.
    pub sweep: Duration,
}

impl Default for InboxOptions {
    fn default() -> Self {
        Self { retain_days: 90, items: 100_000, sweep: Duration::from_secs(600) }
    }
}

/// Items that one commit takes out, and how long others have the store to themselves between two.
const AT_ONCE: u32 = 500;
const REST: Duration = Duration::from_millis(20);

const DAY: i64 = 86_400;

/// Nothing is sent: the result is delivered once it is recorded.
pub(crate) fn attempt() -> AttemptResult {
    AttemptResult {
        verdict: Verdict { outcome: Outcome::Delivered, detail: String::new(), provider_reference: None },
        redacted_request: None,
        response: None,
        http_status: None,
        never_sent: true,
    }
}

/// What goes into the inbox with this attempt.
pub(crate) fn item(
    shared: &Shared,
    ready: &Ready,
    channel: Option<&Version<Channel>>,
    outcome: &Outcome,
    at: Timestamp,
) -> Option<NewInboxItem> {
    let channel = channel.filter(|channel| channel.document.is_console())?;
    if !matches!(outcome, Outcome::Delivered) {
        return None;
    }
    // A message of ours can be read; if it could not, it still belongs into the inbox.
    let severity = serde_json::from_str::<Message>(&ready.message).map(|message| message.severity);
    let days = i64::from(channel.document.retain_days().unwrap_or(shared.options.inbox_items.retain_days));
    let kept = jiff::SignedDuration::from_secs(days * DAY);
    Some(NewInboxItem {
        delivery: ready.id.clone(),
        channel: ready.channel.clone(),
        severity: severity.unwrap_or_default(),
        created_at: at,
        expires_at: at.saturating_add(kept).unwrap_or(Timestamp::MAX),
    })
}

/// Looks at every tenant's inbox from time to time until the stop.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut stopping = shared.stopping.clone();
    loop {
        if let Err(error) = sweep(&shared).await {
            tracing::warn!(%error, "inboxes were not looked through; the next look is as good");
        }
        if let Err(error) = shared.store.forget_targets(shared.clock.now()).await {
            tracing::warn!(%error, "old targets were not forgotten; the next look is as good");
        }
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = crate::clock::wait(shared.options.inbox_items.sweep) => {}
        }
    }
}

async fn sweep(shared: &Shared) -> Result<(), StoreError> {
    let options = &shared.options.inbox_items;
    for tenant in shared.store.tenants().await? {
        // As many as there are: who gets more than this takes out would have an inbox that grows for ever.
        loop {
            if *shared.stopping.borrow() {
                return Ok(());
            }
            let now = shared.clock.now();
            let ids = shared.store.inbox_over(&tenant.id, now, options.items, AT_ONCE).await?;
            if ids.is_empty() {
                break;
            }
            let commit = Commit::bookkeeping(tenant.id.clone(), vec![Bookkeeping::EndInbox { ids }]);
            shared.store.commit(commit).await?;
            crate::clock::wait(REST).await;
        }
    }
    Ok(())
}
