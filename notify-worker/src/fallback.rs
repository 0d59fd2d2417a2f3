//! Another channel takes over what one cannot deliver: a new delivery of the same message, written in the transaction
//! that ends the old one, so that a kill at any moment neither loses nor doubles it.

use crate::clock::entropy;
use crate::dispatch::Ready;
use crate::worker::Shared;
use notify_core::document::behaviour::Fallback;
use notify_core::document::{Channel, Kind};
use notify_core::ids::{ChannelId, DeliveryId, TenantId};
use notify_core::ledger::EntryDraft;
use notify_core::ledger::commitment::{Commitment, salt};
use notify_core::ledger::entry::{DeliveryAct, DeliveryEntry, Intent};
use notify_core::plan::{Snapshot, target_of};
use notify_core::time::Timestamp;
use notify_store::StoreError;
use notify_store::model::NewDelivery;
use std::collections::BTreeSet;

/// Deliveries that may follow one another like this.
pub const MOST: usize = notify_core::document::behaviour::MOST_FALLBACKS;
/// `cause` of such a delivery begins so.
pub(crate) const CAUSE: &str = "fallback-of:";

/// What is written when another channel takes over.
#[derive(Debug, Clone)]
pub(crate) struct TakesOver {
    pub delivery: NewDelivery,
    pub entry: EntryDraft,
}

/// What a delivery goes back to: the cause of the first of those that it repeats or takes over from.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn first_cause(
    shared: &Shared,
    tenant: &TenantId,
    cause: &str,
) -> Result<String, StoreError> {
    let mut cause = cause.to_owned();
    for _ in 0..LINKS {
        let before = cause.strip_prefix(CAUSE).or_else(|| cause.strip_prefix("replay:")?.split(':').next());
        let Some(Ok(id)) = before.map(str::parse::<DeliveryId>) else { break };
        let Some(before) = shared.store.delivery(tenant, &id).await? else { break };
        cause = before.delivery.cause;
    }
    Ok(cause)
}

/// Repeats of repeats that are looked through.
const LINKS: u32 = 100;

/// An attempt later than this is too late.
pub(crate) fn latest(decided_at: Timestamp, fallback: &Fallback) -> Timestamp {
    decided_at.checked_add(fallback.after.signed()).unwrap_or(Timestamp::MAX)
}

/// The delivery that takes over; `None` when nobody does.
///
/// # Errors
/// When the store cannot be read: then nobody knows, and nothing may be ended for want of a fallback.
pub(crate) async fn takes_over(
    shared: &Shared,
    ready: &Ready,
    snapshot: &Snapshot,
    why: &str,
    now: Timestamp,
) -> Result<Option<TakesOver>, StoreError> {
    let first = match snapshot.channels.get(&ready.channel) {
        Some(channel) => channel.document.fallback.clone(),
        // It was deleted: what it said last counts for what it left behind.
        None => {
            let document =
                shared.store.document(&ready.tenant, Kind::Channel, ready.channel.as_str(), None).await?;
            document.and_then(|document| serde_json::from_str::<Channel>(&document.body).ok()?.fallback)
        }
    };
    let Some(first) = first else { return Ok(None) };
    // A test is about its channel and no other, also when it is repeated.
    if first_cause(shared, &ready.tenant, &ready.cause).await?.starts_with("test:") {
        return Ok(None);
    }
    let mut tried = BTreeSet::from([ready.channel.clone()]);
    let mut cause = ready.cause.clone();
    while let Some(before) = cause.strip_prefix(CAUSE) {
        let Ok(id) = before.parse::<DeliveryId>() else { break };
        let Some(before) = shared.store.delivery(&ready.tenant, &id).await? else { break };
        tried.insert(before.delivery.channel);
        if tried.len() > MOST {
            return Ok(None);
        }
        cause = before.delivery.cause;
    }
    let Some(channel) = usable(snapshot, &first.channel, &tried) else { return Ok(None) };
    let Some(row) = shared.store.delivery(&ready.tenant, &ready.id).await? else { return Ok(None) };
    make(ready, row.delivery, channel, why, now).map(Some)
}

/// The fallback, or that of a fallback that is off or gone.
fn usable<'s>(snapshot: &'s Snapshot, first: &ChannelId, tried: &BTreeSet<ChannelId>) -> Option<&'s Channel> {
    let (mut id, mut tried) = (first, tried.clone());
    loop {
        if tried.len() > MOST || !tried.insert(id.clone()) {
            return None;
        }
        let channel = &snapshot.channels.get(id)?.document;
        if channel.enabled {
            return Some(channel);
        }
        id = &channel.fallback.as_ref()?.channel;
    }
}

fn make(
    ready: &Ready,
    row: NewDelivery,
    channel: &Channel,
    why: &str,
    now: Timestamp,
) -> Result<TakesOver, StoreError> {
    let entropy = entropy().map_err(|error| StoreError::Corrupt(format!("no entropy: {error}")))?;
    let cause = format!("{CAUSE}{}", ready.id);
    let target = target_of(channel);
    let (tenant, to) = (ready.tenant.as_str(), channel.id.as_str());
    let id = DeliveryId::derive([tenant, &cause, row.rule.as_str(), row.action.as_str(), to, &target]);
    let salted = |field| salt(&entropy, id.as_str(), field, 0);
    let (message_salt, target_salt) = (salted("message"), salted("target"));
    let message = Commitment::of(&message_salt, row.message.as_bytes());
    let intent = Intent {
        delivery: id.clone(),
        channel: channel.id.clone(),
        target: Commitment::of(&target_salt, target.as_bytes()),
        message,
        idempotency_key: id.to_string(),
    };
    let act = DeliveryAct::Fallback { of: row.id.clone(), reason: why.to_owned(), intent };
    let entry = DeliveryEntry { act, actor: None }.into_draft();
    let delivery = NewDelivery {
        id,
        cause,
        channel: channel.id.clone(),
        message_salt,
        message_commitment: message.to_string(),
        target,
        target_salt,
        created_at: now,
        due_at: now,
        claim: None,
        ..row
    };
    Ok(TakesOver { delivery, entry })
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify_core::document::Version;
    use notify_core::plan::Documents;
    use serde_json::json;

    #[test]
    fn chains_end() {
        let channel = |id: &str, enabled: bool, to: Option<&str>| {
            let mut document = json!({
                "schema": "notify-channel@1", "id": id, "name": id, "type": "webhook", "enabled": enabled,
            });
            if let Some(to) = to {
                document["fallback"] = json!({"channel": to, "after": "5m"});
            }
            let document: Channel = serde_json::from_value(document).unwrap();
            Version { version: 1, digest: format!("sha256:{}", "0".repeat(64)), document }
        };
        let channels = vec![
            channel("on", true, None),
            channel("off", false, Some("on")),
            channel("x", false, Some("y")),
            channel("y", false, Some("x")),
            channel("a", false, Some("b")),
            channel("b", false, Some("c")),
            channel("c", false, Some("on")),
        ];
        let documents = Documents { channels, ..Documents::default() };
        let (snapshot, _) = Snapshot::compile(TenantId::new("t").unwrap(), 0, "en", documents);
        let check = |first: &str, tried: &[&str], expected: Option<&str>| {
            let tried = tried.iter().map(|id| ChannelId::new(*id).unwrap()).collect();
            let found = usable(&snapshot, &ChannelId::new(first).unwrap(), &tried);
            assert_eq!(found.map(|channel| channel.id.as_str()), expected, "{first}");
        };
        check("on", &["own"], Some("on"));
        check("off", &["own"], Some("on"));
        check("gone", &["own"], None);
        check("x", &["own"], None);
        check("on", &["own", "on"], None);
        check("a", &["own"], None);
        check("b", &["own"], Some("on"));
    }
}
