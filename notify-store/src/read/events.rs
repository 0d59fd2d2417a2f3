//! Events.

use super::{before, paged, probe};
use crate::engine::event_state;
use crate::model::{Event, KnownEvent, NewEvent, Page, Paged};
use crate::pools::Shared;
use crate::sql::{Arg, Row, each};
use crate::store::StoreError;
use notify_core::ids::{EventKey, TenantId};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT key, seq, state, source, id, type, subject, body, body_hash, accepted_at, salt FROM events ",
            $rest
        )
    };
}

pub(super) fn event(row: &Row, tenant: &TenantId) -> Result<Event, StoreError> {
    Ok(Event {
        tenant: tenant.clone(),
        accepted_seq: row.count(1)?,
        state: event_state(row.str(2)?)?,
        event: NewEvent {
            key: row.parsed(0)?,
            source: row.text(3)?,
            id: row.text(4)?,
            r#type: row.text(5)?,
            subject: row.opt_text(6)?,
            body: row.text(7)?,
            body_hash: row.hash(8)?,
            accepted_at: row.time(9)?,
            salt: row.opt_hash(10)?,
        },
    })
}

/// Above a number, by the producer's id.
pub(super) const WITH_ID: &str =
    select!("WHERE tenant = $1 AND seq > $2 AND id = $3 ORDER BY seq DESC LIMIT $4");

impl Shared {
    pub async fn known_events(
        &self,
        tenant: &TenantId,
        keys: &[EventKey],
    ) -> Result<Vec<KnownEvent>, StoreError> {
        if keys.is_empty() {
            return Ok(vec![]);
        }
        let mut reader = self.reader(tenant).await?;
        let asked = each(keys, |key| [Arg::from(tenant.as_str()), Arg::from(key.as_str())]);
        let rows = reader
            .db()
            .rows_for(
                &self.texts,
                "SELECT r.key, r.body_hash, r.accepted_at FROM @rows \
                 JOIN events r ON r.tenant = v.column1 AND r.key = v.column2",
                asked,
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(KnownEvent { key: row.parsed(0)?, body_hash: row.hash(1)?, accepted_at: row.time(2)? })
            })
            .collect()
    }

    pub async fn pending_events(&self, tenant: &TenantId, limit: u32) -> Result<Vec<Event>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = select!("WHERE tenant = $1 AND state = 'pending' ORDER BY seq LIMIT $2");
        let args = [Arg::from(tenant.as_str()), Arg::Int(i64::from(limit))];
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        rows.iter().map(|row| event(row, tenant)).collect()
    }

    pub async fn event(&self, tenant: &TenantId, key: &EventKey) -> Result<Option<Event>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = select!("WHERE tenant = $1 AND key = $2");
        let args = [Arg::from(tenant.as_str()), Arg::from(key.as_str())];
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        rows.first().map(|row| event(row, tenant)).transpose()
    }

    pub async fn events(&self, tenant: &TenantId, page: &Page) -> Result<Paged<Event>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = select!("WHERE tenant = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3");
        let args = [Arg::from(tenant.as_str()), Arg::Int(before(page)?), Arg::Int(probe(page))];
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        let items = rows.iter().map(|row| event(row, tenant)).collect::<Result<_, _>>()?;
        Ok(paged(page, items, |event: &Event| event.accepted_seq.to_string()))
    }
}
