//! Turns at targets that take only so much, right across all processes: the buckets are rows, locked while a turn is
//! taken. A delivery that has to wait keeps its turn in the queue and asks for none again.

use crate::model::{ClaimToken, TargetRate, Turn};
use crate::pools::Shared;
use crate::sql::row::{corrupt, timestamp};
use crate::sql::{Arg, Db};
use crate::store::StoreError;
use notify_core::ids::{DeliveryId, TenantId};
use notify_core::noise::gcra;
use notify_core::time::Timestamp;

/// Buckets that have been full for this long are forgotten, some at each turn.
const FORGOTTEN_AFTER: i64 = 86_400_000_000;
/// A turn that is this old is no turn any more.
const STALE_AFTER: i64 = 5_000_000;

impl Shared {
    pub async fn take_turn(
        &self,
        tenant: &TenantId,
        delivery: &DeliveryId,
        token: &ClaimToken,
        targets: &[TargetRate],
        now: Timestamp,
    ) -> Result<Turn, StoreError> {
        // Everybody locks in the same order.
        let mut targets: Vec<&TargetRate> = targets.iter().collect();
        targets.sort_by_key(|target| target.key);
        let now = now.as_microsecond();
        self.writing(async |db| {
            db.enter(&self.texts, tenant).await?;
            let mine = [Arg::from(tenant.as_str()), Arg::from(delivery.as_str()), Arg::from(&token.0)];
            let sql = "SELECT r.slot_at, r.delivery_seq FROM work_queue r WHERE r.tenant = $1 AND r.claim_token = $3 \
                 AND r.delivery_seq = (SELECT seq FROM deliveries WHERE tenant = $1 AND id = $2) @lock";
            let found = db.rows(&self.texts, sql, mine).await?;
            let Some(row) = found.first() else { return Ok(Turn::Lost) };
            let (slot, seq) = (row.opt_int(0)?, row.int(1)?);
            let mut buckets = Vec::with_capacity(targets.len());
            let mut paused_until = 0;
            for target in &targets {
                let key = Arg::from(target.key.as_slice());
                let sql = "INSERT INTO send_targets (key, full_at, paused_until) VALUES ($1, 0, 0) \
                     ON CONFLICT (key) DO NOTHING";
                db.run(&self.texts, sql, [key.clone()]).await?;
                let sql = "SELECT r.full_at, r.paused_until FROM send_targets r WHERE r.key = $1 @lock";
                let rows = db.rows(&self.texts, sql, [key]).await?;
                let row = rows.first().ok_or_else(|| corrupt("no bucket"))?;
                buckets.push((target.rate, Some(row.int(0)?)));
                paused_until = paused_until.max(row.int(1)?);
            }
            let earliest = now.max(paused_until);
            // What was not used in time is reserved anew: a line that stood still must not leave all at once.
            if let Some(slot) = slot
                && paused_until <= slot.max(now)
                && slot >= now - STALE_AFTER
            {
                // Reserved before; a restart may have brought it back too early.
                if slot <= now {
                    return Ok(Turn::Now);
                }
                give_back(self, db, tenant, seq, slot, Some(slot)).await?;
                return Ok(Turn::At(timestamp(slot)?));
            }
            let (at, full_at) = gcra::reserve(&buckets, earliest);
            for (target, full_at) in targets.iter().zip(full_at) {
                let sql = "UPDATE send_targets SET full_at = $2 WHERE key = $1";
                db.run(&self.texts, sql, [Arg::from(target.key.as_slice()), Arg::Int(full_at)]).await?;
            }
            let sql = "DELETE FROM send_targets WHERE full_at > 0 AND full_at < $1 AND paused_until < $1";
            db.run(&self.texts, sql, [Arg::Int(now - FORGOTTEN_AFTER)]).await?;
            if at <= now {
                return Ok(Turn::Now);
            }
            give_back(self, db, tenant, seq, at, Some(at)).await?;
            Ok(Turn::At(timestamp(at)?))
        })
        .await
    }

    pub async fn give_back(
        &self,
        tenant: &TenantId,
        delivery: &DeliveryId,
        token: &ClaimToken,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        self.writing(async |db| {
            db.enter(&self.texts, tenant).await?;
            let sql = "UPDATE work_queue SET claim_token = NULL, ready_at = $4 WHERE tenant = $1 \
                 AND delivery_seq = (SELECT seq FROM deliveries WHERE tenant = $1 AND id = $2) AND claim_token = $3";
            let args = [
                Arg::from(tenant.as_str()),
                Arg::from(delivery.as_str()),
                Arg::from(&token.0),
                Arg::from(until),
            ];
            Ok(db.run(&self.texts, sql, args).await? > 0)
        })
        .await
    }

    pub async fn pause_targets(&self, targets: &[TargetRate], until: Timestamp) -> Result<(), StoreError> {
        let mut keys: Vec<&[u8; 32]> = targets.iter().map(|target| &target.key).collect();
        keys.sort_unstable();
        self.writing(async |db| {
            for key in keys {
                let sql = "INSERT INTO send_targets (key, full_at, paused_until) VALUES ($1, 0, $2) \
                     ON CONFLICT (key) DO UPDATE SET paused_until = \
                     CASE WHEN send_targets.paused_until < excluded.paused_until \
                     THEN excluded.paused_until ELSE send_targets.paused_until END";
                db.run(&self.texts, sql, [Arg::from(key.as_slice()), Arg::from(until)]).await?;
            }
            Ok(())
        })
        .await
    }

    pub async fn targets_state(
        &self,
        targets: &[TargetRate],
        now: Timestamp,
    ) -> Result<(Option<Timestamp>, Option<Timestamp>), StoreError> {
        let mut reader = self.directory().await?;
        let now = now.as_microsecond();
        let (mut paused, mut free) = (0, now);
        for target in targets {
            let sql = "SELECT full_at, paused_until FROM send_targets WHERE key = $1";
            let rows = reader.db().rows(&self.texts, sql, [Arg::from(target.key.as_slice())]).await?;
            if let Some(row) = rows.first() {
                paused = paused.max(row.int(1)?);
                free = free.max(target.rate.from(Some(row.int(0)?), now));
            }
        }
        let later = |at: i64| (at > now).then(|| timestamp(at)).transpose();
        Ok((later(paused)?, later(free.max(paused))?))
    }
}

async fn give_back(
    shared: &Shared,
    db: &mut Db<'_>,
    tenant: &TenantId,
    seq: i64,
    at: i64,
    slot: Option<i64>,
) -> Result<(), StoreError> {
    let sql = "UPDATE work_queue SET claim_token = NULL, ready_at = $3, slot_at = $4 \
         WHERE tenant = $1 AND delivery_seq = $2";
    let slot = slot.map_or(Arg::NullInt, Arg::Int);
    db.run(&shared.texts, sql, [Arg::from(tenant.as_str()), Arg::Int(seq), Arg::Int(at), slot]).await?;
    Ok(())
}
