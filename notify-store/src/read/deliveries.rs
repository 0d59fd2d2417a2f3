//! Deliveries and their attempts.

use super::{before, paged, probe};
use crate::model::{Attempt, Delivery, DeliveryFilter, DeliveryState, Follows, NewDelivery, Page, Paged};
use crate::pools::Shared;
use crate::sql::row::{corrupt, timestamp};
use crate::sql::{Arg, OrNull, Row};
use crate::store::StoreError;
use notify_core::ids::{DeliveryId, TenantId};
use serde_json::Value;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT r.seq, r.id, r.event, r.cause, r.rule, r.rule_version, r.action, r.channel, r.message, \
             r.message_salt, r.message_commitment, r.target, r.target_salt, r.created_at, r.due_at, r.state, \
             r.next_attempt, r.last_result, r.last_error, r.provider_reference, r.updated_at ",
            $rest
        )
    };
    // With the time from the work queue: a retry moves only that.
    (due $from:literal, $rest:literal) => {
        concat!(
            "SELECT r.seq, r.id, r.event, r.cause, r.rule, r.rule_version, r.action, r.channel, r.message, \
             r.message_salt, r.message_commitment, r.target, r.target_salt, r.created_at, r.due_at, r.state, \
             r.next_attempt, r.last_result, r.last_error, r.provider_reference, r.updated_at, q.due_at ",
            $from,
            " LEFT JOIN work_queue q ON q.tenant = r.tenant AND q.delivery_seq = r.seq ",
            $rest
        )
    };
}

/// Rows of (tenant, seq).
pub const BY_SEQ: &str =
    select!("FROM @rows JOIN deliveries r ON r.tenant = v.column1 AND r.seq = v.column2");

/// A delivery and its number.
pub fn decode(row: &Row, tenant: &TenantId) -> Result<(i64, Delivery), StoreError> {
    let delivery = Delivery {
        tenant: tenant.clone(),
        delivery: NewDelivery {
            id: row.parsed(1)?,
            event: row.opt_parsed(2)?,
            cause: row.text(3)?,
            rule: row.parsed(4)?,
            rule_version: row.count(5)?,
            action: row.parsed(6)?,
            channel: row.parsed(7)?,
            message: row.text(8)?,
            message_salt: row.hash(9)?,
            message_commitment: row.text(10)?,
            target: row.text(11)?,
            target_salt: row.hash(12)?,
            created_at: row.time(13)?,
            due_at: row.time(14)?,
            claim: None,
        },
        state: DeliveryState::from_name(row.str(15)?).ok_or_else(|| corrupt("a delivery state"))?,
        next_attempt: row.count32(16)?,
        last_result: row.opt_text(17)?,
        last_error: row.opt_text(18)?,
        provider_reference: row.opt_text(19)?,
        updated_at: row.time(20)?,
        // Rows that were read for a claim carry no such column.
        next_due: if row.width() > 21 { row.opt_int(21)?.map(timestamp).transpose()? } else { None },
    };
    Ok((row.int(0)?, delivery))
}

impl Shared {
    pub async fn delivery(&self, tenant: &TenantId, id: &DeliveryId) -> Result<Option<Delivery>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = select!(due "FROM deliveries r", "WHERE r.tenant = $1 AND r.id = $2");
        let args = [Arg::from(tenant.as_str()), Arg::from(id.as_str())];
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        rows.first().map(|row| Ok(decode(row, tenant)?.1)).transpose()
    }

    pub async fn deliveries(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        page: &Page,
    ) -> Result<Paged<Delivery>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        // Two shapes get a text of their own because an index answers them.
        let sql = match filter {
            DeliveryFilter { event: Some(_), .. } => select!(
                due "FROM events e JOIN deliveries r ON r.tenant = e.tenant AND r.event_seq = e.seq",
                "WHERE e.tenant = $1 AND e.key = $7 AND r.seq < $2 AND ($4 IS NULL OR r.state = $4) \
                 AND ($5 IS NULL OR r.rule = $5) AND ($6 IS NULL OR r.channel = $6) \
                 AND ($8 IS NULL OR r.created_at >= $8) AND ($9 IS NULL OR r.created_at < $9) \
                 ORDER BY r.seq DESC LIMIT $3"
            ),
            DeliveryFilter { state: Some(DeliveryState::Dead), .. } => select!(
                due "FROM deliveries r",
                "WHERE r.tenant = $1 AND r.seq < $2 AND r.state = 'dead' AND r.state = $4 AND $7 IS NULL \
                 AND ($5 IS NULL OR r.rule = $5) AND ($6 IS NULL OR r.channel = $6) \
                 AND ($8 IS NULL OR r.created_at >= $8) AND ($9 IS NULL OR r.created_at < $9) \
                 ORDER BY r.seq DESC LIMIT $3"
            ),
            _ => select!(
                due "FROM deliveries r",
                "WHERE r.tenant = $1 AND r.seq < $2 AND ($4 IS NULL OR r.state = $4) AND $7 IS NULL \
                 AND ($5 IS NULL OR r.rule = $5) AND ($6 IS NULL OR r.channel = $6) \
                 AND ($8 IS NULL OR r.created_at >= $8) AND ($9 IS NULL OR r.created_at < $9) \
                 ORDER BY r.seq DESC LIMIT $3"
            ),
        };
        let args = [
            Arg::from(tenant.as_str()),
            Arg::Int(before(page)?),
            Arg::Int(probe(page)),
            filter.state.map(DeliveryState::as_str).or_null(),
            filter.rule.as_ref().map(|rule| rule.as_str()).or_null(),
            filter.channel.as_ref().map(|channel| channel.as_str()).or_null(),
            filter.event.as_ref().map(|event| event.as_str()).or_null(),
            filter.created_from.map(|at| at.as_microsecond()).or_null(),
            filter.created_to.map(|at| at.as_microsecond()).or_null(),
        ];
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        let items = rows.iter().map(|row| decode(row, tenant)).collect::<Result<_, _>>()?;
        let page = paged(page, items, |(seq, _): &(i64, Delivery)| seq.to_string());
        Ok(Paged { items: page.items.into_iter().map(|(_, delivery)| delivery).collect(), next: page.next })
    }

    /// Dead letters that nobody has replayed yet, oldest first, after this sequence number. Only rule, channel and
    /// times of the filter count.
    ///
    /// What repeats it or takes over from it belongs to the same event, so the index over events finds that. What no event
    /// caused (a digest) is found by its cause.
    pub async fn dead_letters(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<(i64, Delivery)>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = select!(
            "FROM deliveries r WHERE r.tenant = $1 AND r.seq > $2 AND r.state = 'dead' \
             AND ($4 IS NULL OR r.rule = $4) AND ($5 IS NULL OR r.channel = $5) \
             AND ($6 IS NULL OR r.created_at >= $6) AND ($7 IS NULL OR r.created_at < $7) \
             AND NOT EXISTS (SELECT 1 FROM deliveries x WHERE x.tenant = r.tenant AND x.event_seq = r.event_seq \
             AND (SUBSTR(x.cause, 1, LENGTH(r.id) + 8) = 'replay:' || r.id || ':' \
             OR x.cause = 'fallback-of:' || r.id)) \
             AND (r.event_seq IS NOT NULL OR NOT EXISTS (SELECT 1 FROM deliveries y WHERE y.tenant = r.tenant \
             AND y.event_seq IS NULL AND y.cause IN ('fallback-of:' || r.id, 'replay:' || r.id || ':redrive', \
             'replay:' || r.id || ':1'))) \
             ORDER BY r.seq LIMIT $3"
        );
        let args = [
            Arg::from(tenant.as_str()),
            Arg::Int(after),
            Arg::Int(i64::from(limit)),
            filter.rule.as_ref().map(|rule| rule.as_str()).or_null(),
            filter.channel.as_ref().map(|channel| channel.as_str()).or_null(),
            filter.created_from.map(|at| at.as_microsecond()).or_null(),
            filter.created_to.map(|at| at.as_microsecond()).or_null(),
        ];
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        rows.iter().map(|row| decode(row, tenant)).collect()
    }

    /// How many [`dead_letters`](Self::dead_letters) there are.
    pub async fn count_dead_letters(
        &self,
        tenant: &TenantId,
        filter: &DeliveryFilter,
    ) -> Result<u64, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = "SELECT COUNT(*) FROM deliveries r WHERE r.tenant = $1 AND r.state = 'dead' \
             AND ($2 IS NULL OR r.rule = $2) AND ($3 IS NULL OR r.channel = $3) \
             AND ($4 IS NULL OR r.created_at >= $4) AND ($5 IS NULL OR r.created_at < $5) \
             AND NOT EXISTS (SELECT 1 FROM deliveries x WHERE x.tenant = r.tenant AND x.event_seq = r.event_seq \
             AND (SUBSTR(x.cause, 1, LENGTH(r.id) + 8) = 'replay:' || r.id || ':' \
             OR x.cause = 'fallback-of:' || r.id)) \
             AND (r.event_seq IS NOT NULL OR NOT EXISTS (SELECT 1 FROM deliveries y WHERE y.tenant = r.tenant \
             AND y.event_seq IS NULL AND y.cause IN ('fallback-of:' || r.id, 'replay:' || r.id || ':redrive', \
             'replay:' || r.id || ':1')))";
        let args = [
            Arg::from(tenant.as_str()),
            filter.rule.as_ref().map(|rule| rule.as_str()).or_null(),
            filter.channel.as_ref().map(|channel| channel.as_str()).or_null(),
            filter.created_from.map(|at| at.as_microsecond()).or_null(),
            filter.created_to.map(|at| at.as_microsecond()).or_null(),
        ];
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        rows.first().ok_or_else(|| corrupt("no count"))?.count(0)
    }

    pub async fn attempts(&self, tenant: &TenantId, id: &DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = "SELECT a.attempt, a.started_at, a.finished_at, a.result, a.http_status, a.request, \
             a.request_salt, a.response, a.response_salt, a.error, a.provider_reference, a.follows \
             FROM deliveries d JOIN attempts a ON a.tenant = d.tenant AND a.delivery_seq = d.seq \
             WHERE d.tenant = $1 AND d.id = $2 ORDER BY a.attempt";
        let args = [Arg::from(tenant.as_str()), Arg::from(id.as_str())];
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        rows.iter().map(|row| attempt(row, id)).collect()
    }
}

fn attempt(row: &Row, id: &DeliveryId) -> Result<Attempt, StoreError> {
    let salted = |at: usize| Ok::<_, StoreError>(row.opt_bytes(at)?.zip(row.opt_hash(at + 1)?));
    Ok(Attempt {
        delivery: id.clone(),
        attempt: row.count32(0)?,
        started_at: row.time(1)?,
        finished_at: row.time(2)?,
        result: row.text(3)?,
        http_status: row.opt_int(4)?.map(u16::try_from).transpose().map_err(corrupt)?,
        request: salted(5)?,
        response: salted(7)?,
        error: row.opt_text(9)?,
        provider_reference: row.opt_text(10)?,
        follows: follows(row.str(11)?)?,
    })
}

/// Who held the claim after a retry was announced is not kept.
fn follows(text: &str) -> Result<Follows, StoreError> {
    let value: Value = serde_json::from_str(text).map_err(corrupt)?;
    if let Some(due_at) = value.get("dueAt").and_then(Value::as_i64) {
        return Ok(Follows::Retry { due_at: timestamp(due_at)?, claim: None });
    }
    let outcome = value.get("outcome").and_then(Value::as_str).and_then(DeliveryState::from_name);
    outcome.map(Follows::Outcome).ok_or_else(|| corrupt("what followed an attempt"))
}
