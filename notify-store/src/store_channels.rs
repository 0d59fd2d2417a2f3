//! The store's methods about channels: turns, pauses, states.

use crate::model::{ChannelCheck, ChannelError, ChannelQueue, ChannelState, ClaimToken, TargetRate, Turn};
use crate::store::{Store, StoreError};
use notify_core::breaker::Breaker;
use notify_core::ids::{ChannelId, DeliveryId, TenantId};
use notify_core::time::Timestamp;

#[allow(clippy::missing_errors_doc)]
impl Store {
    /// Takes the turn of a claimed delivery at its targets, all of them at once. When that is later it goes back to the
    /// queue and keeps its turn.
    pub async fn take_turn(
        &self,
        tenant: &TenantId,
        delivery: &DeliveryId,
        token: &ClaimToken,
        targets: &[TargetRate],
        now: Timestamp,
    ) -> Result<Turn, StoreError> {
        self.inner.shared.take_turn(tenant, delivery, token, targets, now).await
    }
    /// Gives a claim back without an attempt; `false` when it was somebody else's.
    pub async fn give_back(
        &self,
        tenant: &TenantId,
        delivery: &DeliveryId,
        token: &ClaimToken,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        self.inner.shared.give_back(tenant, delivery, token, until).await
    }
    /// Nobody gets a turn at these targets before then.
    pub async fn pause_targets(
        &self,
        targets: &[TargetRate],
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        self.inner.shared.pause_targets(targets, now, until).await
    }
    /// Ends a pause of these targets before its time.
    pub async fn resume_targets(&self, targets: &[TargetRate], now: Timestamp) -> Result<(), StoreError> {
        self.inner.shared.resume_targets(targets, now).await
    }
    /// Forgets targets that nobody has used for a day; how many.
    pub async fn forget_targets(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.inner.shared.forget_targets(now).await
    }
    /// Until when the targets are paused, and when the next turn is free; `None` for what is past.
    pub async fn targets_state(
        &self,
        targets: &[TargetRate],
        now: Timestamp,
    ) -> Result<(Option<Timestamp>, Option<Timestamp>), StoreError> {
        self.inner.shared.targets_state(targets, now).await
    }
    /// How a channel is; `None`: nothing was noted yet.
    pub async fn channel_state(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
    ) -> Result<Option<ChannelState>, StoreError> {
        self.inner.shared.channel_state(tenant, channel).await
    }
    /// Of all channels of a tenant, by id.
    pub async fn channel_states(
        &self,
        tenant: &TenantId,
    ) -> Result<Vec<(ChannelId, ChannelState)>, StoreError> {
        self.inner.shared.channel_states(tenant).await
    }
    /// Notes where the breaker stands. What is about an older version of the document than is known is left out.
    pub async fn note_breaker(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        version: Option<u64>,
        breaker: Breaker,
    ) -> Result<(), StoreError> {
        self.inner.shared.note_breaker(tenant, channel, version, breaker).await
    }
    /// Lets one probe pass: `true` for the one who gets it, of all who ask in all processes.
    pub async fn begin_probe(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        self.inner.shared.begin_probe(tenant, channel, now, until).await
    }
    /// Nothing is sent to the channel before then; a pause is never made shorter.
    pub async fn pause_channel(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        version: Option<u64>,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        self.inner.shared.pause_channel(tenant, channel, version, until).await
    }
    /// Breaker and pause of an earlier version of the channel's document end.
    pub async fn begin_version(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        version: u64,
    ) -> Result<(), StoreError> {
        self.inner.shared.begin_version(tenant, channel, version).await
    }
    /// All deliveries that wait for their channel ask again now, in the order in which they were due.
    pub async fn line_up_anew(&self, tenant: &TenantId, channel: &ChannelId) -> Result<u64, StoreError> {
        self.inner.shared.line_up_anew(tenant, channel).await
    }
    /// Ends a pause.
    pub async fn resume_channel(&self, tenant: &TenantId, channel: &ChannelId) -> Result<(), StoreError> {
        self.inner.shared.resume_channel(tenant, channel).await
    }
    pub async fn note_channel_success(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.inner.shared.note_channel_success(tenant, channel, at).await
    }
    pub async fn note_channel_error(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        error: &ChannelError,
    ) -> Result<(), StoreError> {
        self.inner.shared.note_channel_error(tenant, channel, error).await
    }
    /// Takes a scheduled check when it is due: `true` for one of all who ask.
    pub async fn begin_check(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        now: Timestamp,
        next: Timestamp,
    ) -> Result<bool, StoreError> {
        self.inner.shared.begin_check(tenant, channel, now, next).await
    }
    pub async fn note_channel_check(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        check: &ChannelCheck,
    ) -> Result<(), StoreError> {
        self.inner.shared.note_channel_check(tenant, channel, check).await
    }
    pub async fn note_channel_secrets(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        secrets: &str,
    ) -> Result<(), StoreError> {
        self.inner.shared.note_channel_secrets(tenant, channel, secrets).await
    }
    /// Deliveries that are not over, by channel.
    pub async fn channel_queues(
        &self,
        tenant: &TenantId,
    ) -> Result<Vec<(ChannelId, ChannelQueue)>, StoreError> {
        self.inner.shared.channel_queues(tenant).await
    }
    /// Deliveries of a channel that nobody has claimed get their turn now: those that were sent back to the line, or
    /// those whose last attempt could not read a secret. Nothing that waits for its retry, a hold or a reserved turn.
    pub async fn hurry(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        now: Timestamp,
        only_bad_secrets: bool,
    ) -> Result<u64, StoreError> {
        self.inner.shared.hurry(tenant, channel, now, only_bad_secrets).await
    }
}
