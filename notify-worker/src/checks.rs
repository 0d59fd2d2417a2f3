//! Whether channels would work, asked of their plug-ins without sending anything: on a schedule, and by hand.
//!
//! One process of all that share a store makes a check that is due. A check that fails stops nothing; one that passes
//! closes an open breaker early. No ledger entry tells of checks: nothing leaves for people.

use crate::channels::{CHANNEL_UPDATED, OWN_SOURCE};
use crate::clock::{after, entropy, wait};
use crate::worker::{Shared, Worker};
use notify_connector_host::manifest::HealthKind;
use notify_connector_host::request::Outcome;
use notify_connector_host::{AttemptInput, AttemptResult, Phase};
use notify_core::document::noise::Setting;
use notify_core::document::{Channel, Kind};
use notify_core::event::{Event, EventLimits};
use notify_core::ids::{ChannelId, DeliveryId, TenantId, hex};
use notify_core::time::{Timestamp, rfc3339_millis};
use notify_store::model::{ChannelCheck, NewEvent};
use notify_store::{Bookkeeping, Commit, StoreError};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// How often the process looks whether a check is due.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Checks under way at once.
const AT_ONCE: usize = 4;
/// A tenant's checks of one round begin within this time.
const AT_MOST: Duration = Duration::from_secs(30);
/// Longest text of a check that is kept.
const MAX_TEXT: usize = 1_000;
/// The message of a check; it is not to be sent.
pub(crate) const PLACEHOLDER: &str = r#"{"title":"Check","severity":"none"}"#;

/// Channels of a tenant that can be checked, at a version of its configuration.
type Checkable = HashMap<TenantId, (u64, Vec<Channel>)>;

/// Runs until a clean stop begins.
pub(crate) async fn run(worker: Worker) {
    let mut stopping = worker.shared.stopping.clone();
    let (mut checkable, mut due) = (Checkable::new(), HashMap::new());
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = wait(LOOK_EVERY) => {}
        }
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            done = round(&worker, &mut checkable, &mut due) => if let Err(error) = done {
                tracing::warn!(%error, "channels could not be checked");
            },
        }
    }
}

async fn round(
    worker: &Worker,
    checkable: &mut Checkable,
    due: &mut HashMap<(TenantId, ChannelId), Timestamp>,
) -> Result<(), StoreError> {
    let shared = &worker.shared;
    let types = shared.host.plugins().into_iter().flat_map(|plugin| plugin.channel_types);
    if !types.into_iter().any(|kind| can_be_checked(shared, &kind)) {
        return Ok(());
    }
    let mut running = tokio::task::JoinSet::new();
    let mut asked = Vec::new();
    for tenant in shared.store.tenants().await? {
        if checkable.get(&tenant.id).is_none_or(|(version, _)| *version != tenant.config_version) {
            let read = shared.store.configuration_of(&tenant.id, Kind::Channel).await?;
            let channels = read.documents.iter().filter(|document| !document.deleted);
            let channels =
                channels.filter_map(|document| serde_json::from_str::<Channel>(&document.body).ok());
            let channels = channels.filter(|channel| can_be_checked(shared, &channel.r#type)).collect();
            checkable.insert(tenant.id.clone(), (tenant.config_version, channels));
        }
        let Some((_, channels)) = checkable.get(&tenant.id) else { continue };
        for channel in channels.iter().filter(|channel| channel.enabled) {
            let Some(every) = every(shared, channel) else { continue };
            let (key, now) = ((tenant.id.clone(), channel.id.clone()), shared.clock.now());
            let next = after(now, spread(&key, every));
            if due.get(&key).is_some_and(|due| *due > now && *due <= after(now, every)) {
                continue;
            }
            due.insert(key, next);
            asked.push((tenant.id.clone(), channel.clone(), next));
        }
    }
    // One of a tenant at a time, so that no tenant's slow receivers hold up the checks of the others.
    let mut queues: Queues = BTreeMap::new();
    for (tenant, channel, next) in asked {
        queues.entry(tenant).or_default().push((channel, next));
    }
    let mut later = Vec::new();
    for (tenant, queue) in queues {
        if running.len() >= AT_ONCE {
            later.extend(running.join_next().await.and_then(Result::ok).into_iter().flatten());
        }
        let worker = worker.clone();
        running.spawn(async move { check_all(&worker, tenant, queue).await });
    }
    while let Some(left) = running.join_next().await {
        later.extend(left.into_iter().flatten());
    }
    for key in &later {
        due.remove(key);
    }
    Ok(())
}

/// Channels that are due, each with the time of its next check.
type Queues = BTreeMap<TenantId, Vec<(Channel, Timestamp)>>;

/// One after the other, for a while; those that are left, for the next round.
async fn check_all(
    worker: &Worker,
    tenant: TenantId,
    queue: Vec<(Channel, Timestamp)>,
) -> Vec<(TenantId, ChannelId)> {
    let end = after(worker.shared.clock.now(), AT_MOST);
    let mut left = Vec::new();
    for (channel, next) in queue {
        let (store, now) = (&worker.shared.store, worker.shared.clock.now());
        if now > end {
            left.push((tenant.clone(), channel.id));
            continue;
        }
        let checked = match store.begin_check(&tenant, &channel.id, now, next).await {
            Ok(true) => check(worker, &tenant, &channel).await.map(drop),
            Ok(false) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = checked {
            tracing::warn!(%tenant, channel = %channel.id, %error, "a check could not be made or noted");
        }
    }
    left
}

pub(crate) fn can_be_checked(shared: &Shared, channel_type: &str) -> bool {
    shared.host.manifest(channel_type).is_some_and(|plugin| plugin.manifest.health.kind == HealthKind::Check)
}

/// How often a channel is checked; `None`: not on a schedule.
pub(crate) fn every(shared: &Shared, channel: &Channel) -> Option<Duration> {
    match channel.health.as_ref().map(|health| &health.every) {
        None => shared.options.health_every,
        Some(Setting::Off(_)) => None,
        Some(Setting::On(every)) => Some(Duration::from_millis(every.as_millis())),
    }
}

/// A little sooner than that, and for each channel by as much as its name says: many do not come at once.
fn spread(key: &(TenantId, ChannelId), every: Duration) -> Duration {
    let id = DeliveryId::derive([key.0.as_str(), key.1.as_str()]);
    let draw =
        id.as_str().bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into())) % 100;
    every - every / 1_000 * draw
}

/// Checks a channel now and notes the result.
pub(crate) async fn check(
    worker: &Worker,
    tenant: &TenantId,
    channel: &Channel,
) -> Result<(ChannelCheck, Option<u16>), StoreError> {
    let shared = &worker.shared;
    let before = shared.store.channel_state(tenant, &channel.id).await?.and_then(|state| state.check);
    let (result, text, http_status) = if can_be_checked(shared, &channel.r#type) {
        judged(ask(worker, tenant, channel).await?)
    } else {
        let text = format!("channels of type `{}` cannot be checked; send a test instead", channel.r#type);
        ("not-checkable", text, None)
    };
    let at = shared.clock.now();
    let check = ChannelCheck { at, result: result.to_owned(), text };
    shared.metrics.checked(result);
    shared.store.note_channel_check(tenant, &channel.id, &check).await?;
    if result == "ok" && crate::gate::close(shared, &worker.dispatcher, tenant, &channel.id, at).await? {
        tracing::info!(%tenant, channel = %channel.id, "a check passed; the breaker is closed");
    }
    let was_ok = before.is_some_and(|before| before.result == "ok");
    if result == "failing" && was_ok {
        tracing::warn!(%tenant, channel = %channel.id, text = check.text, "a check fails");
        tell(shared, tenant, channel, &check).await;
    }
    Ok((check, http_status))
}

/// # Errors
/// When the store cannot be read: that says nothing about the channel.
async fn ask(worker: &Worker, tenant: &TenantId, channel: &Channel) -> Result<AttemptResult, StoreError> {
    let shared = &worker.shared;
    let now = shared.clock.now();
    let config_json = serde_json::to_vec(&channel.config).unwrap_or_default();
    let id = DeliveryId::derive([tenant.as_str(), "check", channel.id.as_str()]);
    let provided = crate::provided::provided(shared, tenant, channel, &id, now).await?;
    let seconds = channel.timeout_seconds.map(|seconds| Duration::from_secs(seconds.into()));
    let input = AttemptInput {
        channel_type: &channel.r#type,
        config_json: &config_json,
        tenant,
        secrets: &channel.secrets,
        resolver: &shared.secrets,
        message_json: PLACEHOLDER.as_bytes(),
        delivery_id: id.as_str(),
        delivery_time: now,
        attempt: 1,
        attempt_time: now,
        deadline: seconds.unwrap_or(shared.options.attempt_timeout),
        phase: Phase::None,
        provider_reference: None,
        provided: &provided,
        check: true,
    };
    Ok(shared.host.attempt(input).await)
}

fn judged(result: AttemptResult) -> (&'static str, String, Option<u16>) {
    let mut text = result.verdict.detail;
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    let name = match result.verdict.outcome {
        Outcome::Delivered | Outcome::Accepted => "ok",
        // It was declined before anything was asked.
        Outcome::Permanent if result.never_sent && result.redacted_request.is_none() => "not-checkable",
        _ => "failing",
    };
    (name, text, result.http_status)
}

/// The studio's own event about a channel that worked at its last check and does not any more. Deliveries do not cause
/// it, so what it causes cannot come back here.
async fn tell(shared: &Shared, tenant: &TenantId, channel: &Channel, check: &ChannelCheck) {
    let Some(unique) = entropy().ok().and_then(|random| Some(hex(random.get(..8)?))) else { return };
    let id = channel.id.as_str();
    let event = json!({
        "specversion": "1.0", "id": format!("channel/{id}/check/{unique}"), "source": OWN_SOURCE,
        "type": CHANNEL_UPDATED, "subject": id, "time": rfc3339_millis(check.at),
        "datacontenttype": "application/json", "severity": "medium", "notifyhops": 1,
        "data": {
            "channel": id, "enabled": true, "reason": "check-failing", "detail": check.text,
            "fix": format!("mend it, then `notify channel check {id}`"),
        },
    });
    let event = match Event::from_value(tenant, event, &EventLimits::default()) {
        Ok(event) => event,
        Err(problem) => {
            return tracing::error!(channel = id, %problem, "the event about a check could not be made");
        }
    };
    let event = NewEvent {
        key: event.key,
        source: event.source,
        id: event.id,
        r#type: event.r#type,
        subject: event.subject,
        body: event.body,
        body_hash: event.body_hash,
        accepted_at: check.at,
        salt: None,
    };
    let commit = Commit::bookkeeping(tenant.clone(), vec![Bookkeeping::AcceptPending(Box::new(event))]);
    match shared.store.commit(commit).await {
        Ok(_) => shared.has_pending(tenant),
        Err(error) => tracing::error!(channel = id, %error, "the event about a check was not written"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_spread_and_never_later_than_asked() {
        let every = Duration::from_secs(300);
        let mut seen = std::collections::BTreeSet::new();
        for number in 0..40 {
            let key = (TenantId::new("t").unwrap(), ChannelId::new(format!("c{number}").as_str()).unwrap());
            let wait = spread(&key, every);
            assert!(wait <= every && wait >= every * 9 / 10, "{wait:?}");
            seen.insert(wait);
        }
        assert!(seen.len() > 10, "{seen:?}");
    }
}
