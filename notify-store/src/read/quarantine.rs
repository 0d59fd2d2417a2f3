//! Messages that were put aside.

use super::{paged, probe};
use crate::model::{Page, Paged, Quarantined};
use crate::pools::Shared;
use crate::sql::{Arg, Row};
use crate::store::StoreError;
use notify_core::ids::TenantId;

macro_rules! select {
    ($body:literal, $rest:literal) => {
        concat!(
            "SELECT id, received_at, origin, content_type, code, problem, ",
            $body,
            ", truncated, CAST(LENGTH(body) AS BIGINT) FROM quarantine ",
            $rest
        )
    };
}

fn message(row: &Row) -> Result<Quarantined, StoreError> {
    Ok(Quarantined {
        id: row.text(0)?,
        received_at: row.time(1)?,
        origin: row.text(2)?,
        content_type: row.text(3)?,
        code: row.text(4)?,
        problem: row.text(5)?,
        body: row.bytes(6)?,
        truncated: row.int(7)? != 0,
        size: row.count(8)?,
    })
}

impl Shared {
    pub async fn quarantined(&self, tenant: &TenantId, id: &str) -> Result<Option<Quarantined>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let args = [Arg::from(tenant.as_str()), Arg::from(id)];
        let rows =
            reader.db().rows(&self.texts, select!("body", "WHERE tenant = $1 AND id = $2"), args).await?;
        rows.first().map(message).transpose()
    }

    pub async fn quarantine(&self, tenant: &TenantId, page: &Page) -> Result<Paged<Quarantined>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let before = page.after.as_deref().unwrap_or_default();
        let args = [Arg::from(tenant.as_str()), Arg::from(before), Arg::Int(probe(page))];
        let sql = select!("@empty", "WHERE tenant = $1 AND ($2 = '' OR id < $2) ORDER BY id DESC LIMIT $3");
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        let items = rows.iter().map(message).collect::<Result<_, _>>()?;
        Ok(paged(page, items, |message: &Quarantined| message.id.clone()))
    }

    pub async fn quarantine_size(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = "SELECT COUNT(*) FROM quarantine WHERE tenant = $1";
        let rows = reader.db().rows(&self.texts, sql, [Arg::from(tenant.as_str())]).await?;
        rows.first().map_or(Ok(0), |row| row.count(0))
    }
}
