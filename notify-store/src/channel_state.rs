//! How channels are: breaker, pause, last results, last check. Bookkeeping derived from attempts, so it needs no ledger
//! entry. Rows are written when something changes, so a channel that works costs next to nothing.

use crate::model::{ChannelCheck, ChannelError, ChannelQueue, ChannelState};
use crate::pools::Shared;
use crate::sql::row::{corrupt, timestamp};
use crate::sql::{Arg, OrNull, Row};
use crate::store::StoreError;
use notify_core::breaker::Breaker;
use notify_core::ids::{ChannelId, TenantId};
use notify_core::time::Timestamp;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT channel, breaker, breaker_since, breaker_until, breaker_round, paused_until, success_at, error_at, \
             error_result, error_status, error_text, check_due, check_at, check_result, check_text, secrets, \
             version \
             FROM channel_state ",
            $rest
        )
    };
}

fn decode(row: &Row) -> Result<(ChannelId, ChannelState), StoreError> {
    let time = |at: usize| row.opt_int(at)?.map(timestamp).transpose();
    let text = |at: usize| Ok::<_, StoreError>(row.opt_text(at)?.unwrap_or_default());
    let breaker = match (row.str(1)?, time(2)?, time(3)?) {
        ("open", Some(since), Some(until)) => Breaker::Open { since, until, round: row.count32(4)? },
        ("half-open", Some(since), Some(until)) => Breaker::HalfOpen { since, until, round: row.count32(4)? },
        ("closed", ..) => Breaker::default(),
        _ => return Err(corrupt("a breaker")),
    };
    let error = match time(7)? {
        None => None,
        Some(at) => Some(ChannelError {
            at,
            result: text(8)?,
            http_status: row.opt_int(9)?.map(u16::try_from).transpose().map_err(corrupt)?,
            text: text(10)?,
        }),
    };
    let check = match time(12)? {
        None => None,
        Some(at) => Some(ChannelCheck { at, result: text(13)?, text: text(14)? }),
    };
    let state = ChannelState {
        version: row.opt_int(16)?.map(u64::try_from).transpose().map_err(corrupt)?,
        breaker,
        paused_until: time(5)?,
        success_at: time(6)?,
        error,
        check_due: time(11)?,
        check,
        secrets: row.opt_text(15)?,
    };
    Ok((row.parsed(0)?, state))
}

impl Shared {
    pub async fn channel_state(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
    ) -> Result<Option<ChannelState>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let args = [Arg::from(tenant.as_str()), Arg::from(channel.as_str())];
        let rows = reader.db().rows(&self.texts, select!("WHERE tenant = $1 AND channel = $2"), args).await?;
        rows.first().map(|row| Ok(decode(row)?.1)).transpose()
    }

    pub async fn channel_states(
        &self,
        tenant: &TenantId,
    ) -> Result<Vec<(ChannelId, ChannelState)>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = select!("WHERE tenant = $1 ORDER BY channel");
        let rows = reader.db().rows(&self.texts, sql, [Arg::from(tenant.as_str())]).await?;
        rows.iter().map(decode).collect()
    }

    /// Writes some columns of a channel's row, which may be new. `sql` takes tenant and channel as its first two values.
    async fn note(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        sql: &'static str,
        values: Vec<Arg<'_>>,
    ) -> Result<bool, StoreError> {
        self.writing(async |db| {
            db.enter(&self.texts, tenant).await?;
            let new = "INSERT INTO channel_state (tenant, channel, breaker, breaker_round) \
                 VALUES ($1, $2, 'closed', 0) ON CONFLICT (tenant, channel) DO NOTHING";
            let key = || [Arg::from(tenant.as_str()), Arg::from(channel.as_str())];
            db.run(&self.texts, new, key()).await?;
            let args: Vec<Arg<'_>> = key().into_iter().chain(values).collect();
            Ok(db.run(&self.texts, sql, args).await? > 0)
        })
        .await
    }

    pub async fn note_breaker(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        version: Option<u64>,
        breaker: Breaker,
    ) -> Result<(), StoreError> {
        let (since, until, round) = match breaker {
            Breaker::Closed { .. } => (None, None, 0),
            Breaker::Open { since, until, round } | Breaker::HalfOpen { since, until, round } => {
                (Some(since), Some(until), round)
            }
        };
        let sql = "UPDATE channel_state SET breaker = $3, breaker_since = $4, breaker_until = $5, \
             breaker_round = $6, version = COALESCE($7, version) WHERE tenant = $1 AND channel = $2 \
             AND ($7 IS NULL OR version IS NULL OR version <= $7)";
        let values = vec![
            Arg::from(breaker.name()),
            since.or_null(),
            until.or_null(),
            Arg::Int(i64::from(round)),
            of_version(version),
        ];
        self.note(tenant, channel, sql, values).await.map(drop)
    }

    pub async fn begin_probe(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE channel_state SET breaker = 'half-open', breaker_until = $4 \
             WHERE tenant = $1 AND channel = $2 AND breaker <> 'closed' AND breaker_until <= $3";
        self.note(tenant, channel, sql, vec![Arg::from(now), Arg::from(until)]).await
    }

    pub async fn pause_channel(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        version: Option<u64>,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE channel_state SET paused_until = $3, version = COALESCE($4, version) \
             WHERE tenant = $1 AND channel = $2 AND (paused_until IS NULL OR paused_until < $3) \
             AND ($4 IS NULL OR version IS NULL OR version <= $4)";
        self.note(tenant, channel, sql, vec![Arg::from(until), of_version(version)]).await.map(drop)
    }

    /// What was noted of an earlier version of the document does not hold any more.
    pub async fn begin_version(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        version: u64,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE channel_state SET breaker = 'closed', breaker_since = NULL, breaker_until = NULL, \
             breaker_round = 0, paused_until = NULL, version = $3 \
             WHERE tenant = $1 AND channel = $2 AND version < $3";
        self.note(tenant, channel, sql, vec![Arg::count(version)]).await.map(drop)
    }

    pub async fn resume_channel(&self, tenant: &TenantId, channel: &ChannelId) -> Result<(), StoreError> {
        let sql = "UPDATE channel_state SET paused_until = NULL WHERE tenant = $1 AND channel = $2";
        self.note(tenant, channel, sql, vec![]).await.map(drop)
    }

    pub async fn note_channel_success(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE channel_state SET success_at = $3 WHERE tenant = $1 AND channel = $2 \
             AND (success_at IS NULL OR success_at < $3)";
        self.note(tenant, channel, sql, vec![Arg::from(at)]).await.map(drop)
    }

    pub async fn note_channel_error(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        error: &ChannelError,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE channel_state SET error_at = $3, error_result = $4, error_status = $5, error_text = $6 \
             WHERE tenant = $1 AND channel = $2 AND (error_at IS NULL OR error_at <= $3)";
        let values = vec![
            Arg::from(error.at),
            Arg::from(&error.result),
            error.http_status.map(i64::from).or_null(),
            Arg::from(&error.text),
        ];
        self.note(tenant, channel, sql, values).await.map(drop)
    }

    pub async fn begin_check(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        now: Timestamp,
        next: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE channel_state SET check_due = $4 WHERE tenant = $1 AND channel = $2 \
             AND (check_due IS NULL OR check_due <= $3)";
        self.note(tenant, channel, sql, vec![Arg::from(now), Arg::from(next)]).await
    }

    pub async fn note_channel_check(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        check: &ChannelCheck,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE channel_state SET check_at = $3, check_result = $4, check_text = $5 \
             WHERE tenant = $1 AND channel = $2 AND (check_at IS NULL OR check_at <= $3)";
        let values = vec![Arg::from(check.at), Arg::from(&check.result), Arg::from(&check.text)];
        self.note(tenant, channel, sql, values).await.map(drop)
    }

    pub async fn note_channel_secrets(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        secrets: &str,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE channel_state SET secrets = $3 WHERE tenant = $1 AND channel = $2";
        self.note(tenant, channel, sql, vec![Arg::from(secrets)]).await.map(drop)
    }

    pub async fn channel_queues(
        &self,
        tenant: &TenantId,
    ) -> Result<Vec<(ChannelId, ChannelQueue)>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = "SELECT d.channel, COUNT(*), COUNT(q.claim_token) FROM work_queue q \
             JOIN deliveries d ON d.tenant = q.tenant AND d.seq = q.delivery_seq \
             WHERE q.tenant = $1 GROUP BY d.channel ORDER BY d.channel";
        let rows = reader.db().rows(&self.texts, sql, [Arg::from(tenant.as_str())]).await?;
        rows.iter()
            .map(|row| {
                let (all, in_flight) = (row.count(1)?, row.count(2)?);
                Ok((row.parsed(0)?, ChannelQueue { waiting: all.saturating_sub(in_flight), in_flight }))
            })
            .collect()
    }

    pub async fn hurry(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        now: Timestamp,
        only_bad_secrets: bool,
    ) -> Result<u64, StoreError> {
        self.writing(async |db| {
            db.enter(&self.texts, tenant).await?;
            // Commits move many rows of the queue as well; one after the other, nobody waits for the other in a circle.
            let sql = "SELECT r.tenant FROM tenant_heads r WHERE r.tenant = $1 @lock";
            db.rows(&self.texts, sql, [Arg::from(tenant.as_str())]).await?;
            // A retry or a hold moves both times, what was sent back to the line only the second. Who has a reserved
            // turn comes at that time. All keep their order.
            let sql = "UPDATE work_queue SET ready_at = CASE WHEN due_at > $3 THEN $3 ELSE due_at END, \
                 due_at = CASE WHEN due_at > $3 THEN $3 ELSE due_at END \
                 WHERE tenant = $1 AND claim_token IS NULL AND ready_at > $3 \
                 AND ($4 = 1 OR (ready_at > due_at AND (slot_at IS NULL OR ready_at > slot_at))) \
                 AND EXISTS (SELECT 1 FROM deliveries d WHERE d.tenant = work_queue.tenant \
                 AND d.seq = work_queue.delivery_seq AND d.channel = $2 \
                 AND ($4 = 0 OR (d.last_result = 'retry' AND d.last_error LIKE 'secret `%')))";
            let args = [
                Arg::from(tenant.as_str()),
                Arg::from(channel.as_str()),
                Arg::from(now),
                Arg::Int(i64::from(only_bad_secrets)),
            ];
            Ok(db.run(&self.texts, sql, args).await?)
        })
        .await
    }

    pub async fn line_up_anew(&self, tenant: &TenantId, channel: &ChannelId) -> Result<u64, StoreError> {
        self.writing(async |db| {
            db.enter(&self.texts, tenant).await?;
            let sql = "SELECT r.tenant FROM tenant_heads r WHERE r.tenant = $1 @lock";
            db.rows(&self.texts, sql, [Arg::from(tenant.as_str())]).await?;
            let sql = "UPDATE work_queue SET ready_at = due_at \
                 WHERE tenant = $1 AND claim_token IS NULL AND ready_at > due_at \
                 AND EXISTS (SELECT 1 FROM deliveries d WHERE d.tenant = work_queue.tenant \
                 AND d.seq = work_queue.delivery_seq AND d.channel = $2)";
            Ok(db.run(&self.texts, sql, [Arg::from(tenant.as_str()), Arg::from(channel.as_str())]).await?)
        })
        .await
    }
}

fn of_version(version: Option<u64>) -> Arg<'static> {
    version.map_or(Arg::NullInt, Arg::count)
}
