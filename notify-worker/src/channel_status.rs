//! How a channel is, in one answer: what its attempts, its breaker, its targets and its checks tell.

use crate::checks::{can_be_checked, every};
use crate::gate::forget_older;
use crate::targets::targets;
use crate::trial::{known, store_fails};
use crate::worker::Worker;
use notify_core::breaker::Breaker;
use notify_core::document::{Channel, Version};
use notify_core::ids::{ChannelId, TenantId};
use notify_core::problem::Problem;
use notify_core::time::{Timestamp, rfc3339_millis};
use notify_store::StoreError;
use notify_store::model::{ChannelQueue, ChannelState, Page, Paged};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// All that is known of one channel.
struct Known<'a> {
    channel: &'a Channel,
    state: ChannelState,
    queue: ChannelQueue,
    failing_since: Option<Timestamp>,
    paused_until: Option<Timestamp>,
    next_turn: Option<Timestamp>,
    now: Timestamp,
}

impl Worker {
    /// # Errors
    /// `not-found`.
    pub async fn channel_status(&self, tenant: &TenantId, channel: &ChannelId) -> Result<Value, Problem> {
        let Version { version, document: channel, .. } = self.channel_of(tenant, channel).await?;
        let state = self.shared.store.channel_state(tenant, &channel.id).await;
        let mut state = state.map_err(|error| store_fails(&error))?.unwrap_or_default();
        forget_older(&mut state, version);
        let queues = self.shared.store.channel_queues(tenant).await.map_err(|error| store_fails(&error))?;
        let queue = queues.into_iter().find(|(id, _)| *id == channel.id).map(|(_, queue)| queue);
        let known = known(state.secrets.as_deref());
        let status = self.one(tenant, &channel, state, queue.unwrap_or_default()).await;
        let mut status = status.map_err(|error| store_fails(&error))?;
        let (secrets, _) = self.secrets(tenant, &channel, &known, None).await;
        status["secretsReadable"] = secrets.iter().all(|secret| secret["readable"] == true).into();
        status["secrets"] = secrets.into();
        Ok(status)
    }

    /// Of every channel, by id, without their secrets: nothing is read but the store.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn channel_statuses(&self, tenant: &TenantId, page: &Page) -> Result<Paged<Value>, Problem> {
        let all = async {
            let snapshot = self.shared.snapshots.reload(tenant).await?;
            let states = self.shared.store.channel_states(tenant).await?;
            let mut states: BTreeMap<ChannelId, ChannelState> = states.into_iter().collect();
            let queues: BTreeMap<ChannelId, ChannelQueue> =
                self.shared.store.channel_queues(tenant).await?.into_iter().collect();
            let after = page.after.as_deref().unwrap_or_default();
            let mut rest = snapshot.channels.iter().filter(|(id, _)| id.as_str() > after);
            let mut items = Vec::new();
            let mut last = None;
            for (id, channel) in rest.by_ref().take(page.limit.max(1) as usize) {
                let mut state = states.remove(id).unwrap_or_default();
                forget_older(&mut state, channel.version);
                let queue = queues.get(id).copied().unwrap_or_default();
                items.push(self.one(tenant, &channel.document, state, queue).await?);
                last = Some(id.to_string());
            }
            Ok::<_, StoreError>(Paged { items, next: last.filter(|_| rest.next().is_some()) })
        };
        all.await.map_err(|error| store_fails(&error))
    }

    async fn one(
        &self,
        tenant: &TenantId,
        channel: &Channel,
        state: ChannelState,
        queue: ChannelQueue,
    ) -> Result<Value, StoreError> {
        let (store, now) = (&self.shared.store, self.shared.clock.now());
        let failing_since = store.channel_failing_since(tenant, &channel.id).await?;
        let targets = targets(&self.shared.host, tenant, channel);
        let (paused, next_turn) = match targets.is_empty() {
            true => (None, None),
            false => store.targets_state(&targets, now).await?,
        };
        let paused_until = state.paused_until.filter(|until| *until > now).max(paused);
        let known = Known { channel, state, queue, failing_since, paused_until, next_turn, now };
        Ok(self.shown(&known))
    }

    fn shown(&self, known_of: &Known<'_>) -> Value {
        let Known { channel, state, queue, .. } = known_of;
        let (name, reason) = state_of(known_of);
        let time = |at: Option<Timestamp>| at.map(rfc3339_millis);
        let (since, until) = match state.breaker {
            Breaker::Closed { .. } => (None, None),
            Breaker::Open { since, until, .. } | Breaker::HalfOpen { since, until, .. } => {
                (Some(since), Some(until))
            }
        };
        let plugin = self.shared.host.manifest(&channel.r#type);
        let rates = plugin.map(|plugin| json!(plugin.manifest.limits.rates)).unwrap_or_else(|| json!([]));
        let checkable = can_be_checked(&self.shared, &channel.r#type);
        let every = every(&self.shared, channel).filter(|_| checkable).map(|every| every.as_secs());
        json!({
            "id": channel.id, "name": channel.name, "type": channel.r#type, "enabled": channel.enabled,
            "state": name, "reason": reason,
            "breaker": {
                "state": if crate::gate::settings(channel).is_none() { "off" } else { state.breaker.name() },
                "since": time(since), "until": time(until),
            },
            "failingSince": time(known_of.failing_since),
            "pausedUntil": time(known_of.paused_until),
            "nextTurnAt": time(known_of.next_turn),
            "lastSuccessAt": time(state.success_at),
            "lastError": state.error.as_ref().map(|error| json!({
                "at": rfc3339_millis(error.at), "result": error.result, "httpStatus": error.http_status,
                "text": error.text,
            })),
            "waiting": queue.waiting, "inFlight": queue.in_flight,
            "check": {
                "checkable": checkable, "everySeconds": every,
                "last": state.check.as_ref().map(|check| json!({
                    "at": rfc3339_millis(check.at), "result": check.result, "text": check.text,
                })),
            },
            "fallback": channel.fallback,
            "rates": { "provider": rates, "own": channel.rate },
        })
    }
}

/// The one word that matters most, and why.
fn state_of(known: &Known<'_>) -> (&'static str, Option<String>) {
    let Known { channel, state, queue, failing_since, paused_until, next_turn, now } = known;
    let error = state.error.as_ref();
    let failed_last = error.is_some_and(|error| state.success_at.is_none_or(|success| success < error.at));
    let said = || error.map(|error| format!("{}: {}", error.result, error.text));
    if !channel.enabled {
        return ("disabled", said().filter(|_| failed_last));
    }
    if let Some(until) = paused_until {
        return ("paused", Some(format!("its provider asked for a pause until {}", rfc3339_millis(*until))));
    }
    if let Some(until) = state.breaker.until() {
        let opens = if until > *now {
            format!("until {}", rfc3339_millis(until))
        } else {
            "the next delivery is the probe".to_owned()
        };
        return (
            "open",
            Some(format!("{opens}{}", said().map(|said| format!("; {said}")).unwrap_or_default())),
        );
    }
    if let Some(since) = failing_since {
        let since = format!("since {}", rfc3339_millis(*since));
        return ("failing", Some(said().map_or(since.clone(), |said| format!("{since}; {said}"))));
    }
    if let Some(check) = state.check.as_ref().filter(|check| check.result == "failing") {
        return ("failing", Some(format!("its check: {}", check.text)));
    }
    if failed_last {
        return ("failing", said());
    }
    match next_turn {
        Some(at) if queue.waiting > 0 => {
            ("rate-limited", Some(format!("the next free turn is at {}", rfc3339_millis(*at))))
        }
        _ if state.success_at.is_none() && state.check.is_none() => ("unused", None),
        _ => ("ok", None),
    }
}
