//! Events with what was decided about them: what a new silence would have met.

use crate::model::DecidedEvent;
use crate::pools::Shared;
use crate::sql::Arg;
use crate::sql::row::corrupt;
use crate::store::StoreError;
use notify_core::ids::{EventKey, TenantId};

impl Shared {
    pub async fn decided_events(
        &self,
        tenant: &TenantId,
        from: u64,
        to: u64,
    ) -> Result<Vec<DecidedEvent>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = "SELECT l.seq, COALESCE(e.accepted_at, l.at), l.payload, e.key, e.body FROM ledger_entries l \
                   LEFT JOIN events e ON e.tenant = l.tenant AND e.seq = l.event_seq \
                   WHERE l.tenant = $1 AND l.seq >= $2 AND l.seq < $3 AND l.kind = 'event' ORDER BY l.seq DESC";
        let args = [Arg::from(tenant.as_str()), Arg::count(from), Arg::count(to)];
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        rows.iter()
            .map(|row| {
                let key = row.opt_text(3)?.map(|key| key.parse::<EventKey>()).transpose();
                Ok(DecidedEvent {
                    seq: row.count(0)?,
                    at: row.time(1)?,
                    payload: row.opt_text(2)?,
                    key: key.map_err(corrupt)?,
                    body: row.opt_text(4)?,
                })
            })
            .collect()
    }
}
