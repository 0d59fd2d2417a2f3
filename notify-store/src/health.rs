//! Which channels have had nothing but failures, and since when: bookkeeping derived from attempts, so it needs no
//! ledger entry. A row exists only while a channel fails; a channel that works costs nothing.

use crate::pools::Shared;
use crate::sql::Arg;
use crate::sql::row::corrupt;
use crate::store::StoreError;
use notify_core::ids::{ChannelId, TenantId};
use notify_core::time::Timestamp;

impl Shared {
    pub async fn channel_failing_since(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
    ) -> Result<Option<Timestamp>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = "SELECT failing_since FROM channel_health WHERE tenant = $1 AND channel = $2";
        let args = [Arg::from(tenant.as_str()), Arg::from(channel.as_str())];
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        rows.first().map(|row| row.time(0)).transpose()
    }

    pub async fn note_channel_failing(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        since: Timestamp,
    ) -> Result<Timestamp, StoreError> {
        self.writing(async |db| {
            db.enter(&self.texts, tenant).await?;
            // Two processes may note at once: the first failure counts, whoever comes second.
            let sql = "INSERT INTO channel_health (tenant, channel, failing_since) VALUES ($1, $2, $3) \
                 ON CONFLICT (tenant, channel) DO UPDATE SET failing_since = \
                 CASE WHEN channel_health.failing_since < excluded.failing_since \
                 THEN channel_health.failing_since ELSE excluded.failing_since END RETURNING failing_since";
            let args = [Arg::from(tenant.as_str()), Arg::from(channel.as_str()), Arg::from(since)];
            let rows = db.rows(&self.texts, sql, args).await?;
            rows.first().ok_or_else(|| corrupt("no time of a failure"))?.time(0)
        })
        .await
    }

    pub async fn note_channel_works(&self, tenant: &TenantId, channel: &ChannelId) -> Result<(), StoreError> {
        self.writing(async |db| {
            db.enter(&self.texts, tenant).await?;
            let sql = "DELETE FROM channel_health WHERE tenant = $1 AND channel = $2";
            db.run(&self.texts, sql, [Arg::from(tenant.as_str()), Arg::from(channel.as_str())]).await?;
            Ok(())
        })
        .await
    }

    pub async fn channel_took_since(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        since: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = "SELECT 1 FROM deliveries WHERE tenant = $1 AND channel = $2 AND updated_at >= $3 \
             AND (state = 'delivered' OR state = 'accepted') LIMIT 1";
        let args = [Arg::from(tenant.as_str()), Arg::from(channel.as_str()), Arg::from(since)];
        Ok(!reader.db().rows(&self.texts, sql, args).await?.is_empty())
    }
}
