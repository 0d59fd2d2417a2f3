//! Whether a claimed delivery may leave now: its channel is not paused, its breaker lets it pass, and its targets have a
//! turn for it. What may not goes back to the queue without an attempt, and holds no place meanwhile.
//!
//! What is known of a channel is kept in memory and written when it changes. A process that is alone on its store is
//! always right. Several agree within [`STALE`]: each counts failures of its own, the one that opens a breaker writes that
//! down, the others see it at their next look; a probe is given out by the store, so there is one at a time in all of
//! them. Turns at targets with a rate are given out by the store and exact.

use crate::clock::after;
use crate::dispatch::{Dispatcher, Ready};
use crate::record::result_name;
use crate::targets::{provided, targets};
use crate::worker::Shared;
use notify_connector_host::AttemptResult;
use notify_connector_host::request::Outcome;
use notify_core::breaker::{Ask, Breaker, Settings};
use notify_core::document::noise::Setting;
use notify_core::document::{Channel, Version};
use notify_core::duration::Length;
use notify_core::ids::{ChannelId, TenantId};
use notify_core::plan::Snapshot;
use notify_core::retry::{MAX_WAIT, THROTTLE_FLOOR};
use notify_core::time::{Timestamp, rfc3339_millis};
use notify_store::StoreError;
use notify_store::model::{ChannelError, ChannelState, Turn};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What another process may have changed is looked up again after this long.
const STALE: Duration = Duration::from_secs(2);
/// A success is noted so often at most, unless it is news.
const SUCCESS_EVERY: Duration = Duration::from_secs(60);
/// A failure is noted so often at most, unless it is news.
const ERROR_EVERY: Duration = Duration::from_secs(1);
/// Those who wait for a channel come back one after the other, this far apart and this far at most.
const SPREAD: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(15));
/// What an error says is kept up to so many bytes.
const MAX_TEXT: usize = 1_000;

type Key = (TenantId, ChannelId);

/// Channels that this process has used.
#[derive(Debug, Default)]
pub(crate) struct Gates(Mutex<HashMap<Key, Known>>);

#[derive(Debug, Clone)]
struct Known {
    breaker: Breaker,
    paused_until: Option<Timestamp>,
    read_at: Timestamp,
    success_noted: Option<Timestamp>,
    error_noted: Option<Timestamp>,
    /// Deliveries that were sent back since the channel was shut.
    waiting: u32,
    has_fallback: bool,
    channel_type: String,
    /// Of the channel's document that this is about.
    version: u64,
}

/// What the gate says to a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gate {
    /// It may leave; as the breaker's probe or not.
    Pass { probe: bool },
    /// It is back in the queue.
    Waits,
    /// It would wait longer than its fallback allows: until when, and why. Its claim is kept.
    TooLong { until: Timestamp, why: String },
    /// The claim is somebody else's.
    Lost,
}

impl Gates {
    fn held(&self) -> MutexGuard<'_, HashMap<Key, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, key: &Key) -> Option<Known> {
        self.held().get(key).cloned()
    }

    fn change<T>(&self, key: &Key, change: impl FnOnce(&mut Known) -> T) -> Option<T> {
        self.held().get_mut(key).map(change)
    }

    /// What was known is looked up again.
    pub fn forget(&self, tenant: &TenantId, channel: &ChannelId) {
        self.held().remove(&(tenant.clone(), channel.clone()));
    }

    /// What was said of a channel's receiver does not hold for a channel that was changed since, perhaps to another one,
    /// and nothing holds for one that is gone.
    pub fn follow(&self, snapshot: &Snapshot) {
        self.held().retain(|(tenant, channel), known| {
            *tenant != snapshot.tenant
                || snapshot.channels.get(channel).is_some_and(|found| found.version <= known.version)
        });
    }

    /// Until when a channel is surely shut, where nobody has to look at the delivery.
    pub fn shut_until(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        now: Timestamp,
        alone: bool,
    ) -> Option<Timestamp> {
        let mut held = self.held();
        let known = held.get_mut(&(tenant.clone(), channel.clone()))?;
        if known.has_fallback || (!alone && now > after(known.read_at, STALE)) {
            return None;
        }
        let until = known.shut(now)?;
        Some(known.line_up(until))
    }

    /// How many breakers of each type of channel that was used are open, as far as this process knows.
    pub fn open_by_type(&self) -> BTreeMap<String, i64> {
        let mut open = BTreeMap::new();
        for known in self.held().values() {
            *open.entry(known.channel_type.clone()).or_default() +=
                i64::from(known.breaker.until().is_some());
        }
        open
    }
}

impl Known {
    fn shut(&self, now: Timestamp) -> Option<Timestamp> {
        self.breaker.until().into_iter().chain(self.paused_until).filter(|until| *until > now).max()
    }

    fn line_up(&mut self, until: Timestamp) -> Timestamp {
        let wait = (SPREAD.0 * self.waiting).min(SPREAD.1);
        self.waiting = self.waiting.saturating_add(1);
        after(until, wait)
    }
}

/// Asks for a delivery that is claimed and whose channel may send.
pub(crate) async fn ask(
    shared: &Shared,
    ready: &Ready,
    channel: &Version<Channel>,
    deadline: Duration,
    now: Timestamp,
) -> Result<Gate, StoreError> {
    let key = (ready.tenant.clone(), ready.channel.clone());
    let known = look(shared, &key, channel, now).await?;
    if let Some(until) = known.paused_until.filter(|until| *until > now) {
        return shut(shared, ready, channel, &key, until, "its provider asked for a pause").await;
    }
    let probe_time = Length::from_millis(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX) + 5_000);
    let asked =
        if settings(&channel.document).is_some() { known.breaker.ask(now, probe_time) } else { Ask::Pass };
    if let Ask::Wait(until) = asked {
        return shut(shared, ready, channel, &key, until, "its breaker is open").await;
    }
    let targets = targets(&shared.host, &ready.tenant, &channel.document);
    if !targets.is_empty() {
        match shared.store.take_turn(&ready.tenant, &ready.id, &ready.token, &targets, now).await? {
            Turn::Now => {}
            Turn::At(_) => {
                shared.metrics.rate_limited.add(1);
                return Ok(Gate::Waits);
            }
            Turn::Lost => return Ok(Gate::Lost),
        }
    }
    let Ask::Probe(next) = asked else { return Ok(Gate::Pass { probe: false }) };
    let until = next.until().unwrap_or(now);
    if shared.store.begin_probe(&ready.tenant, &ready.channel, now, until).await? {
        shared.gates.change(&key, |known| known.breaker = next);
        tracing::info!(tenant = %key.0, channel = %key.1, delivery = %ready.id, "a probe of an open breaker");
        return Ok(Gate::Pass { probe: true });
    }
    // Somebody else has it, or has closed it.
    shared.gates.forget(&key.0, &key.1);
    let known = look(shared, &key, channel, now).await?;
    match known.shut(now) {
        Some(until) => shut(shared, ready, channel, &key, until, "its breaker is open").await,
        None => Ok(Gate::Pass { probe: false }),
    }
}

/// What is known, read when it may be old.
async fn look(
    shared: &Shared,
    key: &Key,
    channel: &Version<Channel>,
    now: Timestamp,
) -> Result<Known, StoreError> {
    let found = shared.gates.known(key);
    let has_fallback = channel.document.fallback.is_some();
    if let Some(known) = &found
        && known.version == channel.version
        && (shared.options.sweep.is_none() || now <= after(known.read_at, STALE))
    {
        if known.has_fallback != has_fallback {
            shared.gates.change(key, |known| known.has_fallback = has_fallback);
        }
        return Ok(known.clone());
    }
    let mut state = shared.store.channel_state(&key.0, &key.1).await?.unwrap_or_default();
    if forget_older(&mut state, channel.version) {
        shared.store.begin_version(&key.0, &key.1, channel.version).await?;
    }
    let mut held = shared.gates.held();
    if held.get(key).is_some_and(|known| known.version < channel.version) {
        held.remove(key);
    }
    let known = held.entry(key.clone()).or_insert_with(|| Known {
        breaker: state.breaker,
        paused_until: state.paused_until,
        read_at: now,
        success_noted: state.success_at,
        error_noted: state.error.as_ref().map(|error| error.at),
        waiting: 0,
        has_fallback,
        channel_type: channel.document.r#type.clone(),
        version: channel.version,
    });
    known.read_at = now;
    known.has_fallback = has_fallback;
    known.paused_until = state.paused_until;
    // Failures that did not open anything are counted here only.
    if !matches!((known.breaker, state.breaker), (Breaker::Closed { .. }, Breaker::Closed { .. }))
        && known.breaker != state.breaker
    {
        known.breaker = state.breaker;
        known.waiting = 0;
    }
    Ok(known.clone())
}

/// Breaker and pause are about the document that they were noted of; `true` when that was an older one.
pub(crate) fn forget_older(state: &mut ChannelState, version: u64) -> bool {
    let older = state.version.is_some_and(|noted| noted < version);
    let shut = state.breaker.until().is_some() || state.paused_until.is_some();
    if older {
        (state.breaker, state.paused_until) = (Breaker::default(), None);
    }
    older && shut
}

async fn shut(
    shared: &Shared,
    ready: &Ready,
    channel: &Version<Channel>,
    key: &Key,
    until: Timestamp,
    why: &str,
) -> Result<Gate, StoreError> {
    if let Some(fallback) = &channel.document.fallback
        && until > crate::fallback::latest(ready.created_at, fallback)
    {
        return Ok(Gate::TooLong { until, why: format!("{why} until {}", rfc3339_millis(until)) });
    }
    wait_until(shared, ready, key, until).await
}

/// Nobody takes over: it waits for its channel.
pub(crate) async fn wait_all_the_same(
    shared: &Shared,
    ready: &Ready,
    until: Timestamp,
) -> Result<Gate, StoreError> {
    let key = (ready.tenant.clone(), ready.channel.clone());
    wait_until(shared, ready, &key, until).await
}

async fn wait_until(shared: &Shared, ready: &Ready, key: &Key, until: Timestamp) -> Result<Gate, StoreError> {
    let turn = shared.gates.change(key, |known| known.line_up(until)).unwrap_or(until);
    let given = shared.store.give_back(&ready.tenant, &ready.id, &ready.token, turn).await?;
    Ok(if given { Gate::Waits } else { Gate::Lost })
}

/// The store failed before anything was sent: the delivery comes back in a moment, so that its claim does not run out
/// and pass for an attempt that nobody knows the end of.
pub(crate) async fn give_back_soon(shared: &Shared, ready: &Ready) -> bool {
    for round in 0_u32..8 {
        let soon = after(shared.clock.now(), Duration::from_secs(1));
        match shared.store.give_back(&ready.tenant, &ready.id, &ready.token, soon).await {
            Ok(given) => return given,
            Err(error) => tracing::warn!(delivery = %ready.id, %error, "not given back yet"),
        }
        crate::clock::wait(Duration::from_millis(100 << round.min(5))).await;
    }
    false
}

/// When the channel's breaker opens; `None`: never.
pub(crate) fn settings(channel: &Channel) -> Option<Settings> {
    match &channel.breaker {
        None => Some(Settings::default()),
        Some(Setting::Off(_)) => None,
        Some(Setting::On(set)) => Some(set.into()),
    }
}

/// What a result tells of the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// It took something.
    Works,
    /// It answered as one that works, though it took nothing.
    Lives,
    Fails,
    Nothing,
}

fn said(result: &AttemptResult) -> Said {
    let reached = result.redacted_request.is_some() || !result.never_sent;
    let broken = result.http_status.is_some_and(|status| status >= 500);
    match &result.verdict.outcome {
        Outcome::Delivered | Outcome::Accepted => Said::Works,
        _ if !reached => Said::Nothing,
        // A 503 is a receiver that is down more often than one that is busy, or one of many that are behind one address.
        Outcome::Throttled { .. } if broken => Said::Fails,
        Outcome::Permanent | Outcome::Throttled { .. } | Outcome::Gone if !result.never_sent => Said::Lives,
        Outcome::Retry { .. } if result.http_status.is_some() && !broken => Said::Lives,
        Outcome::Retry { .. } | Outcome::Timeout => Said::Fails,
        _ => Said::Nothing,
    }
}

/// How long the receiver wants to be left alone. Only who counts requests says so (429, or a provider's own words for it):
/// a 503 with a `Retry-After` delays its own delivery, and the breaker if it goes on.
fn pause(result: &AttemptResult) -> Option<Duration> {
    match result.verdict.outcome {
        Outcome::Throttled { after_ms } if said(result) != Said::Fails => {
            Some(after_ms.map_or(THROTTLE_FLOOR, Duration::from_millis).min(MAX_WAIT))
        }
        _ => None,
    }
}

/// Follows up on a result that is recorded.
pub(crate) async fn attempted(
    shared: &Shared,
    dispatcher: &Dispatcher,
    ready: &Ready,
    channel: &Version<Channel>,
    result: &AttemptResult,
    at: Timestamp,
) {
    if let Err(error) = note(shared, dispatcher, ready, channel, result, at).await {
        tracing::warn!(tenant = %ready.tenant, channel = %ready.channel, %error, "the channel's state was not noted");
    }
}

async fn note(
    shared: &Shared,
    dispatcher: &Dispatcher,
    ready: &Ready,
    channel: &Version<Channel>,
    result: &AttemptResult,
    at: Timestamp,
) -> Result<(), StoreError> {
    let (tenant, id) = (&ready.tenant, &ready.channel);
    let key = (tenant.clone(), id.clone());
    let said = said(result);
    let set = settings(&channel.document);
    let changed = shared.gates.change(&key, |known| {
        // It was about the receiver of before.
        if known.version != channel.version {
            return None;
        }
        let before = known.breaker;
        known.breaker = match (said, set) {
            (Said::Works | Said::Lives, _) => before.succeeded(),
            (Said::Fails, Some(set)) => before.failed(set, ready.probe, at),
            (Said::Fails, None) => before,
            (Said::Nothing, _) if ready.probe => before.undecided(at),
            (Said::Nothing, _) => before,
        };
        if known.breaker.name() != before.name() {
            known.waiting = 0;
        }
        let stale = |noted: Option<Timestamp>, every| noted.is_none_or(|noted| at > after(noted, every));
        let opened = before.until().is_none() && known.breaker.until().is_some();
        let success = said == Said::Works
            && (stale(known.success_noted, SUCCESS_EVERY) || before != Breaker::default());
        let error = !matches!(result.verdict.outcome, Outcome::Cancelled)
            && said != Said::Works
            && (stale(known.error_noted, ERROR_EVERY) || opened);
        if success {
            known.success_noted = Some(at);
        }
        if error {
            known.error_noted = Some(at);
        }
        Some((before, known.breaker, success, error))
    });
    let Some((before, now, success, error)) = changed.flatten() else { return Ok(()) };
    if let Some(wait) = pause(result) {
        let until = after(at, wait);
        shared.gates.change(&key, |known| known.paused_until = known.paused_until.max(Some(until)));
        shared.store.pause_channel(tenant, id, Some(channel.version), until).await?;
        // What is the channel's alone is paused with it, and begins anew with it.
        let shared_by_others = provided(&shared.host, tenant, &channel.document);
        if !shared_by_others.is_empty() {
            shared.store.pause_targets(&shared_by_others, at, until).await?;
        }
    }
    if before != now && (before.until().is_some() || now.until().is_some()) {
        shared.store.note_breaker(tenant, id, Some(channel.version), now).await?;
        tracing::warn!(tenant = %tenant, channel = %id, from = before.name(), to = now.name(), "breaker");
    }
    if success {
        shared.store.note_channel_success(tenant, id, at).await?;
    }
    if error {
        let verdict = &result.verdict;
        let mut text = verdict.detail.clone();
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        let name = result_name(&verdict.outcome).to_owned();
        let error = ChannelError { at, result: name, http_status: result.http_status, text };
        shared.store.note_channel_error(tenant, id, &error).await?;
    }
    if before.until().is_some() && now.until().is_none() {
        // Those who wait for it need not wait until the probe would have been over.
        shared.store.hurry(tenant, id, at, false).await?;
        dispatcher.wake_poll();
    }
    Ok(())
}

/// A probe that was not used after all: the next one who asks is the probe.
pub(crate) async fn unused_probe(shared: &Shared, ready: &Ready, now: Timestamp) {
    let key = (ready.tenant.clone(), ready.channel.clone());
    let undecided = shared.gates.change(&key, |known| {
        known.breaker = known.breaker.undecided(now);
        known.breaker
    });
    if let Some(breaker) = undecided
        && let Err(error) = shared.store.note_breaker(&key.0, &key.1, None, breaker).await
    {
        tracing::warn!(tenant = %key.0, channel = %key.1, %error, "the breaker's probe was not given back");
    }
}

/// The receiver was seen to work, or somebody says that it does: the breaker closes.
pub(crate) async fn close(
    shared: &Shared,
    dispatcher: &Dispatcher,
    tenant: &TenantId,
    channel: &ChannelId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let state = shared.store.channel_state(tenant, channel).await?.unwrap_or_default();
    if state.breaker.until().is_none() {
        return Ok(false);
    }
    shared.store.note_breaker(tenant, channel, None, Breaker::default()).await?;
    shared.gates.forget(tenant, channel);
    shared.store.hurry(tenant, channel, now, false).await?;
    dispatcher.wake_poll();
    Ok(true)
}

/// A person says that the channel may be used again: its pause ends.
pub(crate) async fn resume(
    shared: &Shared,
    dispatcher: &Dispatcher,
    tenant: &TenantId,
    channel: &Channel,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let targets = provided(&shared.host, tenant, channel);
    let state = shared.store.channel_state(tenant, &channel.id).await?.unwrap_or_default();
    let (of_targets, _) = shared.store.targets_state(&targets, now).await?;
    if state.paused_until.max(of_targets).is_none_or(|until| until <= now) {
        return Ok(false);
    }
    shared.store.resume_targets(&targets, now).await?;
    shared.store.resume_channel(tenant, &channel.id).await?;
    shared.gates.forget(tenant, &channel.id);
    shared.store.line_up_anew(tenant, &channel.id).await?;
    dispatcher.wake_poll();
    Ok(true)
}

/// The configuration changed; the store has sent who waits for a changed channel to ask it again.
pub(crate) fn changed(shared: &Shared, dispatcher: &Dispatcher, snapshot: &Snapshot) {
    shared.gates.follow(snapshot);
    dispatcher.wake_poll();
}
