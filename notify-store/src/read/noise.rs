//! What noise control remembers, what waits, and what open digests have collected.

use super::{paged, probe};
use crate::model::{DigestItem, NewDigestItem, NewHeld, NoiseMemory, Page, Paged};
use crate::pools::Shared;
use crate::sql::row::corrupt;
use crate::sql::{Arg, Row, each};
use crate::store::StoreError;
use notify_core::ids::{DigestId, EventKey, HeldId, TenantId};
use notify_core::noise::StateKey;
use notify_core::severity::Severity;
use notify_core::time::Timestamp;

macro_rules! held {
    ($rest:literal) => {
        concat!(
            "SELECT id, event, rule, rule_version, action, channel, control, message, message_salt, \
             message_commitment, held_at, release_at FROM held_alerts ",
            $rest
        )
    };
}

fn held(row: &Row) -> Result<NewHeld, StoreError> {
    Ok(NewHeld {
        id: row.parsed(0)?,
        event: row.parsed(1)?,
        rule: row.parsed(2)?,
        rule_version: row.count(3)?,
        action: row.parsed(4)?,
        channel: row.parsed(5)?,
        control: row.text(6)?,
        message: row.text(7)?,
        message_salt: row.hash(8)?,
        message_commitment: row.text(9)?,
        held_at: row.time(10)?,
        release_at: row.time(11)?,
    })
}

fn key(row: &Row, column: usize) -> Result<StateKey, StoreError> {
    let bytes = row.bytes(column)?;
    bytes.try_into().map(StateKey).map_err(|_| corrupt("the key of a state"))
}

impl Shared {
    pub async fn noise_memory(&self, tenant: &TenantId) -> Result<NoiseMemory, StoreError> {
        let mut reader = self.snapshot(tenant).await?;
        let mut db = reader.db();
        let own = || [Arg::from(tenant.as_str())];
        let sql = "SELECT noise_version FROM tenant_heads WHERE tenant = $1";
        let version = match db.rows(&self.texts, sql, own()).await?.first() {
            None => 0,
            Some(row) => row.count(0)?,
        };
        let sql = "SELECT key, value FROM noise_state WHERE tenant = $1";
        let rows = db.rows(&self.texts, sql, own()).await?;
        let states = rows.iter().map(|row| Ok((key(row, 0)?, row.text(1)?)));
        Ok(NoiseMemory { version, states: states.collect::<Result<_, StoreError>>()? })
    }

    pub async fn noise_states(
        &self,
        tenant: &TenantId,
        keys: &[StateKey],
    ) -> Result<Vec<(StateKey, String)>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let asked = each(keys, |key| [Arg::from(tenant.as_str()), Arg::from(key.0.as_slice())]);
        let sql = "SELECT r.key, r.value FROM @rows \
                   JOIN noise_state r ON r.tenant = v.column1 AND r.key = v.column2";
        let rows = reader.db().rows_for(&self.texts, sql, asked).await?;
        rows.iter().map(|row| Ok((key(row, 0)?, row.text(1)?))).collect()
    }

    /// Values of one kind with a timer, first due first.
    pub async fn noise_timers(
        &self,
        tenant: &TenantId,
        kind: &str,
        limit: u32,
    ) -> Result<Vec<String>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = "SELECT value FROM noise_state WHERE tenant = $1 AND kind = $2 AND due_at IS NOT NULL \
                   ORDER BY due_at, key LIMIT $3";
        let args = [Arg::from(tenant.as_str()), Arg::from(kind), Arg::Int(i64::from(limit))];
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        rows.iter().map(|row| row.text(0)).collect()
    }

    /// Windows of open digests, the one that closes first first.
    pub async fn open_digests(&self, tenant: &TenantId, page: &Page) -> Result<Paged<String>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let (after_time, after_key) = match &page.after {
            None => (i64::MIN, Vec::new()),
            Some(after) => {
                let (time, key) = after.split_once('.').ok_or(StoreError::BadPageToken)?;
                let key = StateKey::parse(key).ok_or(StoreError::BadPageToken)?;
                (time.parse().map_err(|_| StoreError::BadPageToken)?, key.0.to_vec())
            }
        };
        let sql = "SELECT value, due_at, key FROM noise_state \
                   WHERE tenant = $1 AND kind = 'window' AND due_at IS NOT NULL \
                   AND (due_at > $2 OR (due_at = $2 AND key > $3)) ORDER BY due_at, key LIMIT $4";
        let args = [
            Arg::from(tenant.as_str()),
            Arg::Int(after_time),
            Arg::from(after_key.as_slice()),
            Arg::Int(probe(page)),
        ];
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        let row = |row: &Row| Ok((row.text(0)?, format!("{}.{}", row.int(1)?, key(row, 2)?)));
        let items = rows.iter().map(row).collect::<Result<_, StoreError>>()?;
        let Paged { items, next } = paged(page, items, |(_, token): &(String, String)| token.clone());
        Ok(Paged { items: items.into_iter().map(|(value, _)| value).collect(), next })
    }

    /// The window of an open digest.
    pub async fn open_digest(
        &self,
        tenant: &TenantId,
        digest: &DigestId,
    ) -> Result<Option<String>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = "SELECT value FROM noise_state WHERE tenant = $1 AND kind = 'window' AND due_at IS NOT NULL \
                   AND value LIKE $2 LIMIT 1";
        let part = format!("%\"{digest}\"%");
        let args = [Arg::from(tenant.as_str()), Arg::from(part.as_str())];
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        rows.first().map(|row| row.text(0)).transpose()
    }

    pub async fn timers_due(&self, now: Timestamp) -> Result<Vec<TenantId>, StoreError> {
        let mut reader = self.directory().await?;
        let sql = "SELECT id FROM tenants WHERE next_timer <= $1 ORDER BY id";
        let rows = reader.db().rows(&self.texts, sql, [Arg::from(now)]).await?;
        rows.iter().map(|row| row.parsed(0)).collect()
    }

    pub async fn tenants_with_timers(&self) -> Result<Vec<TenantId>, StoreError> {
        let mut reader = self.directory().await?;
        let sql = "SELECT id FROM tenants WHERE next_timer IS NOT NULL ORDER BY id";
        let rows = reader.db().rows(&self.texts, sql, []).await?;
        rows.iter().map(|row| row.parsed(0)).collect()
    }

    pub async fn held_alert(&self, tenant: &TenantId, id: &HeldId) -> Result<Option<NewHeld>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let args = [Arg::from(tenant.as_str()), Arg::from(id.as_str())];
        let rows = reader.db().rows(&self.texts, held!("WHERE tenant = $1 AND id = $2"), args).await?;
        rows.first().map(held).transpose()
    }

    pub async fn held_alerts(&self, tenant: &TenantId, page: &Page) -> Result<Paged<NewHeld>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let (after_time, after_id) = match &page.after {
            None => (i64::MIN, ""),
            Some(after) => {
                let (time, id) = after.split_once('.').ok_or(StoreError::BadPageToken)?;
                (time.parse().map_err(|_| StoreError::BadPageToken)?, id)
            }
        };
        let sql = held!(
            "WHERE tenant = $1 AND (release_at > $2 OR (release_at = $2 AND id > $3)) \
             ORDER BY release_at, id LIMIT $4"
        );
        let args =
            [Arg::from(tenant.as_str()), Arg::Int(after_time), Arg::from(after_id), Arg::Int(probe(page))];
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        let items = rows.iter().map(held).collect::<Result<_, _>>()?;
        Ok(paged(page, items, |held: &NewHeld| format!("{}.{}", held.release_at.as_microsecond(), held.id)))
    }

    pub async fn held_of_event(
        &self,
        tenant: &TenantId,
        event: &EventKey,
    ) -> Result<Vec<NewHeld>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let args = [Arg::from(tenant.as_str()), Arg::from(event.as_str())];
        let sql = held!("WHERE tenant = $1 AND event = $2 ORDER BY id");
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        rows.iter().map(held).collect()
    }

    pub async fn digest_items(
        &self,
        tenant: &TenantId,
        digest: &DigestId,
        limit: u32,
    ) -> Result<Vec<DigestItem>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = "SELECT i.number, i.event, i.rule, i.action, i.severity, i.at, \
                   (SELECT MIN(l.seq) FROM ledger_entries l WHERE l.tenant = i.tenant \
                    AND l.event_seq = i.event_seq AND l.kind = 'event') \
                   FROM digest_items i WHERE i.tenant = $1 AND i.digest = $2 ORDER BY i.number LIMIT $3";
        let args = [Arg::from(tenant.as_str()), Arg::from(digest.as_str()), Arg::Int(i64::from(limit))];
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        let item = |row: &Row| {
            Ok(DigestItem {
                item: NewDigestItem {
                    digest: digest.clone(),
                    number: row.count32(0)?,
                    event: row.parsed(1)?,
                    rule: row.parsed(2)?,
                    action: row.parsed(3)?,
                    severity: Severity::from_name(row.str(4)?).ok_or_else(|| corrupt("a severity"))?,
                    at: row.time(5)?,
                },
                entry: row.opt_int(6)?.and_then(|seq| u64::try_from(seq).ok()),
            })
        };
        rows.iter().map(item).collect()
    }
}
