//! Tenants, counts and small look-ups.

use crate::model::{Backlog, RememberedAnswer, Tenant};
use crate::pools::Shared;
use crate::sql::row::corrupt;
use crate::sql::{Arg, Db, Row, each};
use crate::store::StoreError;
use notify_core::ids::TenantId;
use notify_core::time::Timestamp;

const TENANTS: &str = "SELECT r.tenant, r.name, r.opaque, r.config_version, r.created_at \
     FROM @rows JOIN tenant_heads r ON r.tenant = v.column1 ORDER BY r.tenant";

fn tenant(row: &Row) -> Result<Tenant, StoreError> {
    Ok(Tenant {
        id: row.parsed(0)?,
        name: row.text(1)?,
        opaque: row.text(2)?,
        config_version: row.count(3)?,
        created_at: row.time(4)?,
    })
}

impl Shared {
    pub async fn now(&self) -> Result<Timestamp, StoreError> {
        let mut reader = self.directory().await?;
        let rows = reader.db().rows(&self.texts, "SELECT @now", []).await?;
        rows.first().ok_or_else(|| corrupt("no time"))?.time(0)
    }

    pub async fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        let mut reader = self.directory().await?;
        let mut db = reader.db();
        let rows = db.rows(&self.texts, "SELECT id FROM tenants ORDER BY id", []).await?;
        let ids = rows.iter().map(|row| row.parsed(0)).collect::<Result<Vec<TenantId>, _>>()?;
        let together = if db.dialect().mixes_tenants() { ids.len().max(1) } else { 1 };
        let mut found = Vec::with_capacity(ids.len());
        for ids in ids.chunks(together) {
            self.tenants_in(&mut db, ids, &mut found).await?;
        }
        Ok(found)
    }

    pub async fn tenant(&self, id: &TenantId) -> Result<Option<Tenant>, StoreError> {
        let mut reader = self.directory().await?;
        let mut found = Vec::new();
        self.tenants_in(&mut reader.db(), std::slice::from_ref(id), &mut found).await?;
        Ok(found.pop())
    }

    async fn tenants_in(
        &self,
        db: &mut Db<'_>,
        ids: &[TenantId],
        found: &mut Vec<Tenant>,
    ) -> Result<(), StoreError> {
        if let Some(first) = ids.first() {
            db.enter(&self.texts, first).await?;
        }
        let asked = each(ids, |id| [Arg::from(id.as_str())]);
        for row in db.rows_for(&self.texts, TENANTS, asked).await? {
            found.push(tenant(&row)?);
        }
        Ok(())
    }

    pub async fn config_version(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = "SELECT config_version FROM tenant_heads WHERE tenant = $1";
        let rows = reader.db().rows(&self.texts, sql, [Arg::from(tenant.as_str())]).await?;
        rows.first().map_or(Ok(0), |row| row.count(0))
    }

    pub async fn remembered_answer(
        &self,
        tenant: &TenantId,
        key: &str,
    ) -> Result<Option<RememberedAnswer>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql =
            "SELECT request_digest, status, answer FROM idempotency_keys WHERE tenant = $1 AND key = $2";
        let args = [Arg::from(tenant.as_str()), Arg::from(key)];
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        rows.first()
            .map(|row| {
                Ok(RememberedAnswer {
                    request_digest: row.text(0)?,
                    status: u16::try_from(row.int(1)?).map_err(corrupt)?,
                    answer: row.text(2)?,
                })
            })
            .transpose()
    }

    pub async fn backlog(&self, now: Timestamp) -> Result<Backlog, StoreError> {
        let mut reader = self.directory().await?;
        let sql = "SELECT \
             (SELECT CAST(COALESCE(SUM(pending_events), 0) AS BIGINT) FROM tenants), \
             (SELECT CAST(COALESCE(SUM(dead_deliveries), 0) AS BIGINT) FROM tenants), \
             (SELECT COUNT(*) FROM work_queue), \
             (SELECT COUNT(*) FROM work_queue WHERE due_at <= $1 AND (claim_token IS NULL OR ready_at <= $1)), \
             (SELECT MIN(due_at) FROM work_queue WHERE due_at <= $1 AND (claim_token IS NULL OR ready_at <= $1))";
        let rows = reader.db().rows(&self.texts, sql, [Arg::from(now)]).await?;
        let row = rows.first().ok_or_else(|| corrupt("no counts"))?;
        Ok(Backlog {
            pending_events: row.count(0)?,
            dead_deliveries: row.count(1)?,
            scheduled_deliveries: row.count(2)?,
            overdue_deliveries: row.count(3)?,
            oldest_due: row.opt_int(4)?.map(crate::sql::row::timestamp).transpose()?,
        })
    }
}
