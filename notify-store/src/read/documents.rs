//! Documents and the configuration that they make up.

use super::{paged, probe};
use crate::model::{Configuration, ConfigurationChanges, Document, Page, Paged};
use crate::pools::Shared;
use crate::sql::row::corrupt;
use crate::sql::{Arg, Db, OrNull, Row};
use crate::store::StoreError;
use notify_core::document::Kind;
use notify_core::ids::TenantId;

/// Followed by the version to take: the head's, or one that was asked for.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT d.kind, d.id, d.version, d.digest, d.body, d.created_at, h.deleted FROM document_heads h \
             JOIN document_versions d ON d.tenant = h.tenant AND d.kind = h.kind AND d.id = h.id ",
            $rest
        )
    };
}

fn document(row: &Row) -> Result<Document, StoreError> {
    let kind = row.str(0)?;
    let kind =
        Kind::ALL.into_iter().find(|k| k.as_str() == kind).ok_or_else(|| corrupt("a document's kind"))?;
    Ok(Document {
        kind,
        id: row.text(1)?,
        version: row.count(2)?,
        digest: row.text(3)?,
        body: row.text(4)?,
        created_at: row.time(5)?,
        deleted: row.int(6)? != 0,
    })
}

impl Shared {
    pub async fn configuration(&self, tenant: &TenantId) -> Result<Configuration, StoreError> {
        let mut reader = self.snapshot(tenant).await?;
        let mut db = reader.db();
        let args = || [Arg::from(tenant.as_str())];
        let sql = "SELECT config_version FROM tenant_heads WHERE tenant = $1";
        let version = db.rows(&self.texts, sql, args()).await?.first().map_or(Ok(0), |row| row.count(0))?;
        let sql =
            select!("WHERE h.tenant = $1 AND h.deleted = 0 AND d.version = h.version ORDER BY h.kind, h.id");
        let rows = db.rows(&self.texts, sql, args()).await?;
        let documents = rows.iter().map(document).collect::<Result<_, _>>()?;
        Ok(Configuration { version, documents })
    }

    pub async fn configuration_of(&self, tenant: &TenantId, kind: Kind) -> Result<Configuration, StoreError> {
        let mut reader = self.snapshot(tenant).await?;
        let mut db = reader.db();
        let sql = "SELECT config_version FROM tenant_heads WHERE tenant = $1";
        let tenant = || Arg::from(tenant.as_str());
        let version = db.rows(&self.texts, sql, [tenant()]).await?;
        let version = version.first().map_or(Ok(0), |row| row.count(0))?;
        let sql = select!(
            "WHERE h.tenant = $1 AND h.kind = $2 AND h.deleted = 0 AND d.version = h.version ORDER BY h.id"
        );
        let rows = db.rows(&self.texts, sql, [tenant(), Arg::from(kind.as_str())]).await?;
        let documents = rows.iter().map(document).collect::<Result<_, _>>()?;
        Ok(Configuration { version, documents })
    }

    pub async fn configuration_since(
        &self,
        tenant: &TenantId,
        known: u64,
    ) -> Result<Option<ConfigurationChanges>, StoreError> {
        let mut reader = self.snapshot(tenant).await?;
        let mut db = reader.db();
        let sql = "SELECT config_version, (SELECT COUNT(*) FROM document_changes c WHERE c.tenant = $1 \
                   AND c.config_version > $2) FROM tenant_heads WHERE tenant = $1";
        let since = || [Arg::from(tenant.as_str()), Arg::count(known)];
        let rows = db.rows(&self.texts, sql, since()).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (version, steps) = (row.count(0)?, row.count(1)?);
        // One row a step: where one is missing, somebody wrote who does not keep them.
        if version.checked_sub(known) != Some(steps) {
            return Ok(None);
        }
        if steps == 0 {
            return Ok(Some(ConfigurationChanges { version, ..ConfigurationChanges::default() }));
        }
        let sql = select!(
            "JOIN (SELECT DISTINCT kind, id FROM document_changes WHERE tenant = $1 AND config_version > $2) c \
             ON c.kind = h.kind AND c.id = h.id \
             WHERE h.tenant = $1 AND d.version = h.version ORDER BY h.kind, h.id"
        );
        let rows = db.rows(&self.texts, sql, since()).await?;
        let changed = rows.iter().map(document).collect::<Result<Vec<_>, _>>()?;
        let one_of = |kinds: &[Kind]| changed.iter().any(|document| kinds.contains(&document.kind));
        let current = async |db: &mut Db<'_>, sql| {
            let rows = db.rows(&self.texts, sql, [Arg::from(tenant.as_str())]).await?;
            rows.iter().map(document).collect::<Result<Vec<_>, _>>()
        };
        let (mut texts, mut noise) = (None, None);
        if one_of(&[Kind::Template, Kind::Bundle]) {
            let sql = select!(
                "WHERE h.tenant = $1 AND h.kind IN ('template', 'bundle') AND h.deleted = 0 \
                 AND d.version = h.version ORDER BY h.kind, h.id"
            );
            texts = Some(current(&mut db, sql).await?);
        }
        if one_of(&Kind::NOISE) {
            let sql = select!(
                "WHERE h.tenant = $1 AND h.kind IN ('calendar', 'contact', 'silence', 'inhibition', 'override', \
                 'policy') AND h.deleted = 0 AND d.version = h.version ORDER BY h.kind, h.id"
            );
            noise = Some(current(&mut db, sql).await?);
        }
        Ok(Some(ConfigurationChanges { version, changed, texts, noise }))
    }

    pub async fn deleted_documents(
        &self,
        tenant: &TenantId,
        kind: Kind,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = "SELECT id, version FROM document_heads WHERE tenant = $1 AND kind = $2 AND deleted <> 0 \
                   ORDER BY id";
        let args = [Arg::from(tenant.as_str()), Arg::from(kind.as_str())];
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.count(1)?))).collect()
    }

    pub async fn document(
        &self,
        tenant: &TenantId,
        kind: Kind,
        id: &str,
        version: Option<u64>,
    ) -> Result<Option<Document>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = select!(
            "WHERE h.tenant = $1 AND h.kind = $2 AND h.id = $3 AND d.version = COALESCE($4, h.version)"
        );
        let version = version.map(|v| i64::try_from(v).unwrap_or(i64::MAX)).or_null();
        let args = [Arg::from(tenant.as_str()), Arg::from(kind.as_str()), Arg::from(id), version];
        reader.db().rows(&self.texts, sql, args).await?.first().map(document).transpose()
    }

    pub async fn documents(
        &self,
        tenant: &TenantId,
        kind: Kind,
        page: &Page,
    ) -> Result<Paged<Document>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = select!(
            "WHERE h.tenant = $1 AND h.kind = $2 AND h.id > $3 AND h.deleted = 0 AND d.version = h.version \
             ORDER BY h.id LIMIT $4"
        );
        let after = page.after.as_deref().unwrap_or_default();
        let args =
            [Arg::from(tenant.as_str()), Arg::from(kind.as_str()), Arg::from(after), Arg::Int(probe(page))];
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        let items = rows.iter().map(document).collect::<Result<_, _>>()?;
        Ok(paged(page, items, |document: &Document| document.id.clone()))
    }
}
