//! Channels that the studio disables by itself: the receiver said 410, or there was nothing but failure for long.
//!
//! As Svix does, the long failure is looked at when a delivery has used up its last attempt, not before: a channel that
//! is merely idle, or down for a night, stays as it is. What is known of a channel is one time: that of the first
//! failure after its last success. It is noted in the store when it begins and ends, so the way of a delivery that
//! succeeds costs nothing. Another process may have had a success that this one did not see: before a channel is
//! disabled, the store is asked.

use crate::clock::entropy;
use crate::dispatch::Ready;
use crate::worker::Shared;
use notify_connector_host::AttemptResult;
use notify_connector_host::request::Outcome;
use notify_core::document::{Channel, Kind, Version, parse_any};
use notify_core::event::{Event, EventLimits};
use notify_core::ids::{ChannelId, TenantId, hex};
use notify_core::ledger::commitment::{Commitment, salt};
use notify_core::ledger::entry::{ConfigAction, ConfigEntry, DocumentContent};
use notify_core::time::{Timestamp, rfc3339_millis};
use notify_store::model::{NewEvent, Opening};
use notify_store::{Bookkeeping, Commit, Effect, Guard, Refused, StoreError};
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The actor of what the studio does by itself.
const SYSTEM: &[u8] = b"system";
/// `source` of the studio's own events.
pub const OWN_SOURCE: &str = "/notify-studio";
/// `type` of the event that tells of a changed channel.
pub const CHANNEL_UPDATED: &str = "notify.channel.updated";

/// Since when each channel that was used by this process has been failing; `None`: its last result was a success.
#[derive(Debug, Default)]
pub(crate) struct Health {
    known: Mutex<HashMap<(TenantId, ChannelId), Option<Timestamp>>>,
}

impl Health {
    fn known(&self, key: &(TenantId, ChannelId)) -> Option<Option<Timestamp>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    fn learn(&self, key: (TenantId, ChannelId), since: Option<Timestamp>) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, since);
    }
}

/// Why a channel was disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// HTTP 410.
    Gone,
    Failing {
        since: Timestamp,
    },
}

impl Why {
    const fn reason(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Failing { .. } => "failing",
        }
    }

    fn text(self) -> String {
        match self {
            Self::Gone => "the receiver answered 410: it takes nothing any more".to_owned(),
            Self::Failing { since } => {
                format!("nothing but failures since {}", rfc3339_millis(since))
            }
        }
    }
}

/// Follows up on a recorded attempt. `dead`: it was the delivery's last.
pub(crate) async fn attempted(
    shared: &Shared,
    ready: &Ready,
    channel: &Version<Channel>,
    result: &AttemptResult,
    finished_at: Timestamp,
    dead: bool,
) {
    let outcome = &result.verdict.outcome;
    if *outcome == Outcome::Gone {
        // When it is not possible now, the next 410 tries again.
        let _ = disable(shared, ready, channel, Why::Gone).await;
        return;
    }
    let noted = match outcome {
        Outcome::Delivered | Outcome::Accepted => works(shared, ready).await,
        // These say nothing about the receiver, and what never became a request neither.
        Outcome::Cancelled | Outcome::Crashed | Outcome::BadConfig => Ok(()),
        _ if result.redacted_request.is_none() => Ok(()),
        _ => fails(shared, ready, channel, finished_at, dead).await,
    };
    if let Err(error) = noted {
        tracing::warn!(tenant = %ready.tenant, channel = %ready.channel, %error, "the channel's health was not noted");
    }
}

async fn works(shared: &Shared, ready: &Ready) -> Result<(), StoreError> {
    let key = (ready.tenant.clone(), ready.channel.clone());
    match shared.health.known(&key) {
        Some(None) => Ok(()),
        Some(Some(_)) => {
            shared.health.learn(key, None);
            shared.store.note_channel_works(&ready.tenant, &ready.channel).await
        }
        // The first result after the start: an earlier process may have noted a failure.
        None => {
            let noted = shared.store.channel_failing_since(&ready.tenant, &ready.channel).await?;
            if noted.is_some() {
                shared.store.note_channel_works(&ready.tenant, &ready.channel).await?;
            }
            shared.health.learn(key, None);
            Ok(())
        }
    }
}

async fn fails(
    shared: &Shared,
    ready: &Ready,
    channel: &Version<Channel>,
    finished_at: Timestamp,
    dead: bool,
) -> Result<(), StoreError> {
    let key = (ready.tenant.clone(), ready.channel.clone());
    let since = match shared.health.known(&key).flatten() {
        Some(since) => since,
        None => {
            let since = shared.store.note_channel_failing(&ready.tenant, &ready.channel, finished_at).await?;
            shared.health.learn(key.clone(), Some(since));
            since
        }
    };
    let Some(limit) = shared.options.disable_after.filter(|_| dead) else { return Ok(()) };
    if !longer_than(since, finished_at, limit) {
        return Ok(());
    }
    // A change of the channel, such as a person enabling it again, starts the count anew.
    let document = shared.store.document(&ready.tenant, Kind::Channel, ready.channel.as_str(), None).await?;
    let Some(document) = document.filter(|document| document.version == channel.version) else {
        return Ok(());
    };
    let since = since.max(document.created_at);
    if !longer_than(since, finished_at, limit) {
        return Ok(());
    }
    if shared.store.channel_took_since(&ready.tenant, &ready.channel, since).await? {
        // Another process reached the receiver; from here on it fails again.
        shared.store.note_channel_works(&ready.tenant, &ready.channel).await?;
        let since = shared.store.note_channel_failing(&ready.tenant, &ready.channel, finished_at).await?;
        shared.health.learn(key, Some(since));
        return Ok(());
    }
    if !disable(shared, ready, channel, Why::Failing { since }).await {
        // The count stands, and the next failure tries again.
        return Ok(());
    }
    shared.health.learn(key, None);
    shared.store.note_channel_works(&ready.tenant, &ready.channel).await
}

fn longer_than(since: Timestamp, now: Timestamp, limit: Duration) -> bool {
    Duration::try_from(now.duration_since(since)).is_ok_and(|passed| passed >= limit)
}

/// Disables the channel as an act of the system: the new version, the ledger's `config` entry and the studio's own
/// event in one transaction. A person enables it again. `false`: that was not possible now.
async fn disable(shared: &Shared, ready: &Ready, channel: &Version<Channel>, why: Why) -> bool {
    let tenant = &ready.tenant;
    let mut document = channel.document.clone();
    document.enabled = false;
    let id = document.id.to_string();
    let written = serde_json::to_value(&document)
        .map_err(|error| error.to_string())
        .and_then(|value| parse_any(Kind::Channel, &value).map_err(|problem| problem.to_string()));
    let (_, body, digest) = match written {
        Ok(parts) => parts,
        Err(problem) => {
            tracing::error!(channel = id, %problem, "a channel could not be disabled");
            return false;
        }
    };
    let Ok(entropy) = entropy() else { return false };
    let (actor_salt, config_salt) = (salt(&entropy, &id, "actor", 0), salt(&entropy, &id, "config", 0));
    let actor = Commitment::of(&actor_salt, SYSTEM);
    let content = Commitment::of(&config_salt, body.as_bytes());
    let opened = |commitment: &Commitment, salt, bytes: &[u8]| {
        Effect::KeepOpening(Opening { commitment: commitment.hex(), salt, bytes: bytes.to_vec() })
    };
    let openings = [opened(&actor, actor_salt, SYSTEM), opened(&content, config_salt, body.as_bytes())];
    let version = channel.version + 1;
    let entry = ConfigEntry {
        document_kind: Kind::Channel.as_str().to_owned(),
        document: id.clone(),
        version,
        action: ConfigAction::Replace,
        content: DocumentContent::Committed(content),
        actor,
        forced: vec![],
    };
    let at = shared.clock.now();
    let effect = Effect::PutDocument { kind: Kind::Channel, id: id.clone(), digest, body, at };
    let expected = Some(channel.version);
    let effects = std::iter::once(effect).chain(openings).collect();
    let mut commit = Commit::new(tenant.clone(), effects, vec![entry.into_draft()])
        .guarded(Guard::DocumentVersion { kind: Kind::Channel, id: id.clone(), expected });
    let told = own_event(shared, ready, version, why, at).await;
    let tells = told.is_some();
    commit.bookkeeping.extend(told.map(|event| Bookkeeping::AcceptPending(Box::new(event))));
    match shared.store.commit(commit).await {
        Ok(committed) => {
            let reason = why.text();
            tracing::warn!(tenant = %tenant, channel = id, delivery = %ready.id, reason, "channel disabled");
            shared.metrics.entries.add(committed.seqs.len() as u64);
            shared.metrics.disabled.add(1);
            if let Err(error) = shared.snapshots.reload(tenant).await {
                tracing::error!(tenant = %tenant, %error, "the configuration could not be reloaded");
            }
            if tells {
                shared.has_pending(tenant);
            }
            true
        }
        // Somebody changed the channel meanwhile, perhaps to a new address: leave it alone.
        Err(StoreError::Refused(Refused::DocumentChanged { .. })) => true,
        Err(error) => {
            tracing::error!(channel = id, %error, "a channel could not be disabled");
            false
        }
    }
}

/// The studio's own event about it. None where a delivery of one of our own events led here, so that nothing can loop.
async fn own_event(
    shared: &Shared,
    ready: &Ready,
    version: u64,
    why: Why,
    at: Timestamp,
) -> Option<NewEvent> {
    if caused_by_own_event(shared, ready).await {
        return None;
    }
    let channel = ready.channel.as_str();
    // Nobody can have taken this id before, which would keep the channel from being disabled. A draw of its own: the
    // entropy behind salts must not show.
    let unique = hex(entropy().ok()?.get(..8)?);
    let mut data = json!({
        "channel": channel, "version": version, "enabled": false,
        "reason": why.reason(), "detail": why.text(), "delivery": ready.id.as_str(),
        "fix": format!("mend the receiver, then `notify channel enable {channel}`"),
    });
    if let Why::Failing { since } = why {
        data["failingSince"] = rfc3339_millis(since).into();
    }
    let event = json!({
        "specversion": "1.0", "id": format!("channel/{channel}/{version}/{unique}"), "source": OWN_SOURCE,
        "type": CHANNEL_UPDATED, "subject": channel, "time": rfc3339_millis(at),
        "datacontenttype": "application/json", "severity": "high", "notifyhops": 1, "data": data,
    });
    match Event::from_value(&ready.tenant, event, &EventLimits::default()) {
        Ok(event) => Some(NewEvent {
            key: event.key,
            source: event.source,
            id: event.id,
            r#type: event.r#type,
            subject: event.subject,
            body: event.body,
            body_hash: event.body_hash,
            accepted_at: at,
            salt: None,
        }),
        Err(problem) => {
            tracing::error!(channel, %problem, "the event about a disabled channel could not be made");
            None
        }
    }
}

/// When in doubt it was not: an event too many is better than silence about a dead channel, and its own hops end it.
async fn caused_by_own_event(shared: &Shared, ready: &Ready) -> bool {
    let hops = async {
        let delivery = shared.store.delivery(&ready.tenant, &ready.id).await.ok()??;
        let event = shared.store.event(&ready.tenant, delivery.delivery.event.as_ref()?).await.ok()??;
        // Only our own: a publisher's `notifyhops` must not keep people from being told.
        Event::stored(&ready.tenant, &event.event.body)
            .ok()
            .map(|event| if event.source == OWN_SOURCE { event.hops } else { 0 })
    };
    hops.await.is_some_and(|hops| hops >= 1)
}
