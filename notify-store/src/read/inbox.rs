//! Inboxes and opt-outs.

use super::{paged, probe};
use crate::model::{InboxFilter, InboxItem, OptOut, Page, Paged};
use crate::pools::Shared;
use crate::sql::row::corrupt;
use crate::sql::{Arg, OrNull, Row};
use crate::store::StoreError;
use notify_core::ids::{ChannelId, DeliveryId, TenantId};
use notify_core::severity::Severity;
use notify_core::time::Timestamp;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT i.seq, i.id, i.channel, i.severity, d.rule, d.event, d.message, i.created_at, i.read_at, i.read_by \
             FROM inbox_items i JOIN deliveries d ON d.tenant = i.tenant AND d.seq = i.seq ",
            $rest
        )
    };
}

fn item(row: &Row) -> Result<(i64, InboxItem), StoreError> {
    let severity = usize::try_from(row.int(3)?).ok().and_then(|rank| Severity::ALL.get(rank).copied());
    let read_at = row.opt_int(8)?.map(crate::sql::row::timestamp).transpose()?;
    let item = InboxItem {
        delivery: row.parsed(1)?,
        channel: row.parsed(2)?,
        severity: severity.ok_or_else(|| corrupt("a severity"))?,
        rule: row.parsed(4)?,
        event: row.opt_parsed(5)?,
        message: row.text(6)?,
        created_at: row.time(7)?,
        read: read_at.zip(row.opt_text(9)?),
    };
    Ok((row.int(0)?, item))
}

/// Where the list goes on: items are in the order of their arrival, which is not that of their deliveries, since one may
/// have waited for long. Both numbers have one spelling.
fn place(page: &Page) -> Result<(i64, i64), StoreError> {
    let Some(token) = &page.after else { return Ok((i64::MAX, i64::MAX)) };
    let numbers = token.split_once('_').and_then(|(at, seq)| Some((at.parse().ok()?, seq.parse().ok()?)));
    let right = |(at, seq): &(i64, i64)| *seq >= 1 && format!("{at}_{seq}") == *token;
    numbers.filter(right).ok_or(StoreError::BadPageToken)
}

impl Shared {
    pub async fn inbox_item(
        &self,
        tenant: &TenantId,
        id: &DeliveryId,
    ) -> Result<Option<InboxItem>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let args = [Arg::from(tenant.as_str()), Arg::from(id.as_str())];
        let sql = select!("WHERE i.tenant = $1 AND i.id = $2");
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        rows.first().map(|row| Ok(item(row)?.1)).transpose()
    }

    pub async fn inbox(
        &self,
        tenant: &TenantId,
        filter: &InboxFilter,
        page: &Page,
    ) -> Result<Paged<InboxItem>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let (arrived, seq) = place(page)?;
        // A text of its own for what is asked for most: an index holds just the unread ones.
        let sql = if filter.unread == Some(true) {
            select!(
                "WHERE i.tenant = $1 AND (i.created_at, i.seq) < ($2, $10) AND i.read_at IS NULL AND $4 IS NOT NULL \
                 AND ($5 IS NULL OR i.severity >= $5) AND ($6 IS NULL OR i.channel = $6) \
                 AND ($7 IS NULL OR d.rule = $7) AND ($8 IS NULL OR i.created_at >= $8) \
                 AND ($9 IS NULL OR i.created_at < $9) ORDER BY i.created_at DESC, i.seq DESC LIMIT $3"
            )
        } else {
            select!(
                "WHERE i.tenant = $1 AND (i.created_at, i.seq) < ($2, $10) AND ($4 IS NULL OR i.read_at IS NOT NULL) \
                 AND ($5 IS NULL OR i.severity >= $5) AND ($6 IS NULL OR i.channel = $6) \
                 AND ($7 IS NULL OR d.rule = $7) AND ($8 IS NULL OR i.created_at >= $8) \
                 AND ($9 IS NULL OR i.created_at < $9) ORDER BY i.created_at DESC, i.seq DESC LIMIT $3"
            )
        };
        let args = [
            Arg::from(tenant.as_str()),
            Arg::Int(arrived),
            Arg::Int(probe(page)),
            filter.unread.map(i64::from).or_null(),
            filter.severity.map(|severity| severity as i64).or_null(),
            filter.channel.as_ref().map(|channel| channel.as_str()).or_null(),
            filter.rule.as_ref().map(|rule| rule.as_str()).or_null(),
            filter.from.map(|at| at.as_microsecond()).or_null(),
            filter.to.map(|at| at.as_microsecond()).or_null(),
            Arg::Int(seq),
        ];
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        let items = rows.iter().map(item).collect::<Result<_, _>>()?;
        let page = paged(page, items, |(seq, item): &(i64, InboxItem)| {
            format!("{}_{seq}", item.created_at.as_microsecond())
        });
        Ok(Paged { items: page.items.into_iter().map(|(_, item)| item).collect(), next: page.next })
    }

    pub async fn inbox_unread(&self, tenant: &TenantId) -> Result<Vec<(Severity, u64)>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = "SELECT severity, COUNT(*) FROM inbox_items WHERE tenant = $1 AND read_at IS NULL \
             GROUP BY severity ORDER BY severity DESC";
        let rows = reader.db().rows(&self.texts, sql, [Arg::from(tenant.as_str())]).await?;
        let count = |row: &Row| {
            let severity =
                usize::try_from(row.int(0)?).ok().and_then(|rank| Severity::ALL.get(rank).copied());
            Ok((severity.ok_or_else(|| corrupt("a severity"))?, row.count(1)?))
        };
        rows.iter().map(count).collect()
    }

    /// What an inbox keeps no longer: what has expired, and the oldest beyond the newest `most`.
    pub async fn inbox_over(
        &self,
        tenant: &TenantId,
        now: Timestamp,
        most: u64,
        limit: u32,
    ) -> Result<Vec<DeliveryId>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let args = [Arg::from(tenant.as_str()), Arg::from(now), Arg::Int(i64::from(limit))];
        let sql =
            "SELECT id FROM inbox_items WHERE tenant = $1 AND expires_at <= $2 ORDER BY expires_at LIMIT $3";
        let mut rows = reader.db().rows(&self.texts, sql, args).await?;
        if rows.is_empty() {
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            let args = [Arg::from(tenant.as_str()), Arg::Int(most), Arg::Int(i64::from(limit))];
            let sql = "SELECT id FROM inbox_items WHERE tenant = $1 ORDER BY created_at DESC, seq DESC \
                 LIMIT $3 OFFSET $2";
            rows = reader.db().rows(&self.texts, sql, args).await?;
        }
        rows.iter().map(|row| row.parsed(0)).collect()
    }

    /// By address; the page goes on after one.
    pub async fn opt_outs(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        page: &Page,
    ) -> Result<Paged<OptOut>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let args = [
            Arg::from(tenant.as_str()),
            Arg::from(channel.as_str()),
            Arg::from(page.after.as_deref().unwrap_or_default()),
            Arg::Int(probe(page)),
        ];
        let sql = "SELECT address, at FROM opt_outs WHERE tenant = $1 AND channel = $2 AND address > $3 \
             ORDER BY address LIMIT $4";
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        let one = |row: &Row| Ok::<_, StoreError>(OptOut { address: row.text(0)?, at: row.time(1)? });
        let items = rows.iter().map(one).collect::<Result<_, _>>()?;
        Ok(paged(page, items, |out: &OptOut| out.address.clone()))
    }

    pub async fn opt_out(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        address: &str,
    ) -> Result<Option<OptOut>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let args = [Arg::from(tenant.as_str()), Arg::from(channel.as_str()), Arg::from(address)];
        let sql = "SELECT address, at FROM opt_outs WHERE tenant = $1 AND channel = $2 AND address = $3";
        let rows = reader.db().rows(&self.texts, sql, args).await?;
        rows.first().map(|row| Ok(OptOut { address: row.text(0)?, at: row.time(1)? })).transpose()
    }
}
