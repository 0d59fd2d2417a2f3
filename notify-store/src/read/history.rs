//! What explanations and reports look for in stored history. Each reads a bounded number of rows.

use super::events;
use crate::model::Event;
use crate::pools::Shared;
use crate::sql::Arg;
use crate::sql::row::corrupt;
use crate::store::StoreError;
use notify_core::ids::TenantId;
use notify_core::time::Timestamp;

impl Shared {
    /// Events with this id of their producer, newest first, among the `newest` ones: no index leads from the id to them.
    pub async fn events_with_id(
        &self,
        tenant: &TenantId,
        id: &str,
        newest: u64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = "SELECT event_seq FROM tenant_heads WHERE tenant = $1";
        let rows = reader.db().rows(&self.texts, sql, [Arg::from(tenant.as_str())]).await?;
        let Some(head) = rows.first().map(|row| row.count(0)).transpose()? else { return Ok(vec![]) };
        let args = [
            Arg::from(tenant.as_str()),
            Arg::count(head.saturating_sub(newest)),
            Arg::from(id),
            Arg::Int(i64::from(limit)),
        ];
        let rows = reader.db().rows(&self.texts, events::WITH_ID, args).await?;
        rows.iter().map(|row| events::event(row, tenant)).collect()
    }

    /// The first number of the log whose entry is of that time or later; the log's size when there is none. Times of
    /// entries never fall, so this halves the log until it stands there.
    pub async fn ledger_seq_at(&self, tenant: &TenantId, at: Timestamp) -> Result<u64, StoreError> {
        let mut reader = self.snapshot(tenant).await?;
        let mut db = reader.db();
        let sql = "SELECT log_size FROM tenant_heads WHERE tenant = $1";
        let rows = db.rows(&self.texts, sql, [Arg::from(tenant.as_str())]).await?;
        let (mut low, mut high) = (0, rows.first().map(|row| row.count(0)).transpose()?.unwrap_or_default());
        while low < high {
            let middle = low + (high - low) / 2;
            let sql = "SELECT at FROM ledger_entries WHERE tenant = $1 AND seq = $2";
            let rows = db.rows(&self.texts, sql, [Arg::from(tenant.as_str()), Arg::count(middle)]).await?;
            let found = rows.first().ok_or_else(|| corrupt(format_args!("no entry {middle}")))?.time(0)?;
            if found < at {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Statements of the entries `from..to` that tell of decisions, in order; `None` for one that is pruned.
    pub async fn ledger_decisions(
        &self,
        tenant: &TenantId,
        from: u64,
        to: u64,
    ) -> Result<Vec<Option<String>>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = "SELECT payload FROM ledger_entries WHERE tenant = $1 AND seq >= $2 AND seq < $3 \
             AND kind IN ('event', 'release', 'digest') ORDER BY seq";
        let args = [Arg::from(tenant.as_str()), Arg::count(from), Arg::count(to)];
        reader.db().rows(&self.texts, sql, args).await?.iter().map(|row| row.opt_text(0)).collect()
    }
}
