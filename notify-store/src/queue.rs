//! Claims and leases: who may attempt a delivery, who plans a tenant.

use crate::engine::VOID_TOKEN;
use crate::model::{Admission, ClaimToken, Claimed, Delivery, Lease};
use crate::pools::{Reader, Shared};
use crate::read::deliveries;
use crate::sql::row::corrupt;
use crate::sql::{Arg, Db, Rows, each};
use crate::store::StoreError;
use notify_core::ids::{TenantId, hex};
use notify_core::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

struct Due {
    seq: i64,
    in_doubt: bool,
}

impl Shared {
    /// Runs `work` in a transaction that may write: on the writer's connection where there is one writer, else on one
    /// of its own.
    pub(crate) async fn writing<T>(
        &self,
        work: impl AsyncFnOnce(&mut Db<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if !self.is_sqlite() {
            let mut own: Reader = self.directory().await?;
            let answer = work(&mut own.db()).await?;
            own.commit().await?;
            return Ok(answer);
        }
        let mut writer = self.writer().await?;
        writer.begin(&self.texts).await?;
        if let (_, Some(memory)) = writer.parts() {
            memory.forget();
        }
        let answer = work(&mut writer.db()).await;
        match answer {
            Ok(answer) => {
                writer.commit(&self.texts).await?;
                Ok(answer)
            }
            Err(error) => {
                // When this fails as well, the writer gives the connection up.
                let _ = writer.rollback(&self.texts).await;
                Err(error)
            }
        }
    }

    pub async fn claim_due(
        &self,
        now: Timestamp,
        lease: Duration,
        limit: u32,
        mut admit: impl FnMut(&Delivery) -> Admission,
    ) -> Result<Vec<Claimed>, StoreError> {
        let until = now.checked_add(lease).map_err(|_| corrupt("a lease without end"))?;
        let token = ClaimToken(random_token()?);
        let claimed = self.writing(async |db| {
            let found = db
                .rows(
                    &self.texts,
                    "SELECT r.tenant, r.delivery_seq, r.claim_token FROM work_queue r WHERE r.ready_at <= $1 \
                     ORDER BY r.ready_at, r.tenant, r.delivery_seq LIMIT $2 @skip_locked",
                    [Arg::from(now), Arg::Int(i64::from(limit))],
                )
                .await?;
            let mut due: BTreeMap<TenantId, Vec<Due>> = BTreeMap::new();
            for row in &found {
                let in_doubt = row.opt_text(2)?.is_some();
                due.entry(row.parsed(0)?).or_default().push(Due { seq: row.int(1)?, in_doubt });
            }
            let mut deliveries = Vec::with_capacity(found.len());
            for (tenant, due) in &due {
                db.enter(&self.texts, tenant).await?;
                let seqs = each(due.iter(), |due| [Arg::from(tenant.as_str()), Arg::Int(due.seq)]);
                let rows = db.rows_for(&self.texts, deliveries::BY_SEQ, seqs).await?;
                let in_doubt: BTreeMap<i64, bool> = due.iter().map(|d| (d.seq, d.in_doubt)).collect();
                for row in rows {
                    let (seq, delivery) = deliveries::decode(&row, tenant)?;
                    deliveries.push((in_doubt.get(&seq).copied().unwrap_or_default(), seq, delivery));
                }
            }
            deliveries.sort_by_key(|(_, _, delivery)| delivery.delivery.due_at);
            let mut claimed = Vec::with_capacity(deliveries.len());
            let (mut claims, mut later) = (Rows::default(), Rows::default());
            let directory: BTreeMap<&TenantId, Arg<'_>> =
                due.keys().map(|tenant| (tenant, Arg::from(tenant.as_str()))).collect();
            for (in_doubt, seq, delivery) in deliveries {
                let Some(tenant) = directory.get(&delivery.tenant).cloned() else { continue };
                match admit(&delivery) {
                    Admission::Take => {
                        let token = if in_doubt { ClaimToken(again(&token.0)) } else { token.clone() };
                        claims.push([tenant, Arg::Int(seq), Arg::from(token.0.clone()), Arg::from(until)]);
                        claimed.push(Claimed { in_doubt, delivery, token });
                    }
                    Admission::Leave => {}
                    // What is in doubt stays so: its token is left as it is.
                    Admission::Later(at) => later.push([tenant, Arg::Int(seq), Arg::from(at)]),
                }
            }
            db.run_rows(
                &self.texts,
                "UPDATE work_queue SET claim_token = v.column3, ready_at = v.column4 FROM @rows \
                 WHERE work_queue.tenant = v.column1 AND work_queue.delivery_seq = v.column2",
                claims,
            )
            .await?;
            db.run_rows(
                &self.texts,
                "UPDATE work_queue SET ready_at = v.column3 FROM @rows \
                 WHERE work_queue.tenant = v.column1 AND work_queue.delivery_seq = v.column2",
                later,
            )
            .await?;
            Ok(claimed)
        });
        let claimed = claimed.await;
        if claimed.is_err() {
            // Written or not, nobody starts these; nobody else may for as long as the claim runs.
            self.doubtful().push(token.0);
        }
        claimed
    }

    fn doubtful(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.doubtful_claims.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Gives back what claims in doubt may hold, as it was before them.
    async fn give_back_doubtful(&self) -> Result<(), StoreError> {
        let tokens = self.doubtful().clone();
        if tokens.is_empty() {
            return Ok(());
        }
        self.writing(async |db| {
            for token in &tokens {
                let clean = [Arg::from(token)];
                let sql =
                    "UPDATE work_queue SET claim_token = NULL, ready_at = due_at WHERE claim_token = $1";
                db.run(&self.texts, sql, clean).await?;
                let in_doubt = [Arg::from(again(token)), Arg::from(VOID_TOKEN)];
                let sql = "UPDATE work_queue SET claim_token = $2, ready_at = due_at WHERE claim_token = $1";
                db.run(&self.texts, sql, in_doubt).await?;
            }
            Ok(())
        })
        .await?;
        self.doubtful().retain(|token| !tokens.contains(token));
        Ok(())
    }

    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.give_back_doubtful().await?;
        let mut reader = self.directory().await?;
        let rows = reader.db().rows(&self.texts, "SELECT MIN(ready_at) FROM work_queue", []).await?;
        let first = rows.first().ok_or_else(|| corrupt("no answer"))?.opt_int(0)?;
        first.map(crate::sql::row::timestamp).transpose()
    }

    pub async fn void_all_claims(&self) -> Result<u64, StoreError> {
        self.writing(async |db| {
            let void = [Arg::from(VOID_TOKEN)];
            let sql =
                "UPDATE work_queue SET claim_token = $1, ready_at = due_at WHERE claim_token IS NOT NULL";
            let voided = db.run(&self.texts, sql, void).await?;
            // The holder died with its process; nobody has to wait for its lease to run out.
            db.run(&self.texts, "UPDATE leases SET expires_at = 0", []).await?;
            Ok(voided)
        })
        .await
    }

    pub async fn acquire_lease(
        &self,
        tenant: &TenantId,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let ttl = i64::try_from(ttl.as_micros()).map_err(|_| corrupt("a lease without end"))?;
        self.writing(async |db| {
            // A tenant that does not exist has no owner.
            let rows = db
                .rows(
                    &self.texts,
                    "INSERT INTO leases (tenant, holder, epoch, expires_at) \
                     SELECT id, $2, 1, @now + $3 FROM tenants WHERE id = $1 \
                     ON CONFLICT (tenant) DO UPDATE SET \
                       epoch = CASE WHEN leases.holder = excluded.holder AND leases.expires_at > @now \
                               THEN leases.epoch ELSE leases.epoch + 1 END, \
                       holder = excluded.holder, expires_at = excluded.expires_at \
                     WHERE leases.holder = excluded.holder OR leases.expires_at <= @now \
                     RETURNING holder, epoch",
                    [Arg::from(tenant.as_str()), Arg::from(holder), Arg::Int(ttl)],
                )
                .await?;
            rows.first().map(|row| Ok(Lease { holder: row.text(0)?, epoch: row.count(1)? })).transpose()
        })
        .await
    }

    pub async fn release_lease(&self, tenant: &TenantId, lease: &Lease) -> Result<(), StoreError> {
        // The row stays: its epoch must never be given twice.
        self.writing(async |db| {
            db.run(
                &self.texts,
                "UPDATE leases SET expires_at = 0 WHERE tenant = $1 AND holder = $2 AND epoch = $3",
                [Arg::from(tenant.as_str()), Arg::from(&lease.holder), Arg::count(lease.epoch)],
            )
            .await?;
            Ok(())
        })
        .await
    }
}

/// The token of a claim on a delivery whose last attempt is in doubt already.
fn again(token: &str) -> String {
    format!("{token}.d")
}

/// 128 random bits: nobody guesses another holder's claim.
fn random_token() -> Result<String, StoreError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| sqlx::Error::Io(std::io::Error::other(error.to_string())))?;
    Ok(hex(&bytes))
}
