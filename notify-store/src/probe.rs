//! Whether the database takes writes, and small counts that limits need.

use crate::pools::Shared;
use crate::sql::Arg;
use crate::sql::row::corrupt;
use crate::store::StoreError;
use notify_core::document::Kind;
use notify_core::ids::TenantId;
use notify_core::time::Timestamp;

impl Shared {
    /// Writes one row of its own and waits until that is durable.
    pub async fn probe_write(&self, at: Timestamp) -> Result<(), StoreError> {
        self.writing(async |db| {
            let sql = "INSERT INTO write_probe (id, at) VALUES (1, $1) \
                       ON CONFLICT (id) DO UPDATE SET at = excluded.at";
            db.run(&self.texts, sql, [Arg::from(at)]).await?;
            Ok(())
        })
        .await
    }

    pub async fn document_count(&self, tenant: &TenantId, kind: Kind) -> Result<u64, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = "SELECT COUNT(*) FROM document_heads WHERE tenant = $1 AND kind = $2 AND deleted = 0";
        let args = [Arg::from(tenant.as_str()), Arg::from(kind.as_str())];
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        rows.first().ok_or_else(|| corrupt("no count"))?.count(0)
    }
}
