//! Inboxes and opt-outs.

use super::{Store, StoreError};
use crate::model::{InboxFilter, InboxItem, OptOut, Page, Paged};
use notify_core::ids::{ChannelId, DeliveryId, TenantId};
use notify_core::severity::Severity;
use notify_core::time::Timestamp;

impl Store {
    pub async fn inbox_item(
        &self,
        tenant: &TenantId,
        id: &DeliveryId,
    ) -> Result<Option<InboxItem>, StoreError> {
        self.inner.shared.inbox_item(tenant, id).await
    }
    /// Newest first.
    pub async fn inbox(
        &self,
        tenant: &TenantId,
        filter: &InboxFilter,
        page: &Page,
    ) -> Result<Paged<InboxItem>, StoreError> {
        self.inner.shared.inbox(tenant, filter, page).await
    }
    /// How many items are unread, of each severity that has any, the worst first.
    pub async fn inbox_unread(&self, tenant: &TenantId) -> Result<Vec<(Severity, u64)>, StoreError> {
        self.inner.shared.inbox_unread(tenant).await
    }
    /// Some of the items that an inbox keeps no longer: expired, or beyond the newest `most`.
    pub async fn inbox_over(
        &self,
        tenant: &TenantId,
        now: Timestamp,
        most: u64,
        limit: u32,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        self.inner.shared.inbox_over(tenant, now, most, limit).await
    }
    /// Who wants nothing from a channel, by address.
    pub async fn opt_outs(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        page: &Page,
    ) -> Result<Paged<OptOut>, StoreError> {
        self.inner.shared.opt_outs(tenant, channel, page).await
    }
    /// Whether this address, lower case, wants nothing from a channel.
    pub async fn opt_out(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        address: &str,
    ) -> Result<Option<OptOut>, StoreError> {
        self.inner.shared.opt_out(tenant, channel, address).await
    }
}
