//! Turns at targets that take only so much, right across all processes: a target is a row, locked while a turn is
//! taken. A delivery that has to wait keeps its turn in the queue.
//!
//! A bucket is counted twice. By the turns that were **used**: that alone says who may leave, so the rate holds whatever
//! was reserved. And by those that were **reserved**: that says when it is worth coming back, and who is before whom. Turns
//! that nobody used in time (a pause, no worker) are not lost: the line as a whole is moved, by as much as the first who
//! comes back finds it late, so that everybody keeps the place that he had.

use crate::model::{ClaimToken, TargetRate, Turn};
use crate::pools::Shared;
use crate::sql::row::{corrupt, timestamp};
use crate::sql::{Arg, Db};
use crate::store::StoreError;
use notify_core::ids::{DeliveryId, TenantId};
use notify_core::time::Timestamp;

/// Targets that nobody has used for this long are forgotten.
const FORGOTTEN_AFTER: i64 = 86_400_000_000;
/// Who comes to a turn this much late does not move the line: clocks and queues are not more exact.
const SLACK: i64 = 20_000;

/// A target's row.
struct Line<'t> {
    target: &'t TargetRate,
    full_at: i64,
    used_at: i64,
    moved: i64,
    paused_until: i64,
}

impl Line<'_> {
    /// From when one more may leave.
    fn free(&self, now: i64) -> i64 {
        self.target.rate.from(Some(self.used_at), now.max(self.paused_until))
    }

    /// The end of the line; when nobody waits, what was used counts.
    fn end(&self, now: i64) -> i64 {
        self.target.rate.from(Some(self.used_at.max(self.full_at)), now.max(self.paused_until))
    }

    fn shift(&mut self, by: i64) {
        self.moved = self.moved.saturating_add(by);
        self.full_at = self.full_at.saturating_add(by);
    }

    fn reserve(&mut self, now: i64) {
        // As if it were the only target: a slower one of the same delivery must not make others wait here.
        let from = self.full_at.max(self.used_at).max(now).max(self.paused_until);
        self.full_at = from.saturating_add(self.target.rate.interval());
    }

    fn spend(&mut self, at: i64) {
        self.used_at = self.used_at.max(at).saturating_add(self.target.rate.interval());
    }
}

/// Which targets, and where their lines stood: 16 bytes each.
fn place(lines: &[Line<'_>]) -> Vec<u8> {
    let one = |line: &Line<'_>| {
        let name = line.target.key.first_chunk::<8>().copied().unwrap_or_default();
        [name, line.moved.to_be_bytes()].concat()
    };
    lines.iter().flat_map(one).collect()
}

/// By how much lines have been moved since then; `None` when the targets are others.
fn moved_since(place: &[u8], lines: &[Line<'_>]) -> Option<i64> {
    let (then, rest) = place.as_chunks::<16>();
    if then.len() != lines.len() || !rest.is_empty() {
        return None;
    }
    then.iter().zip(lines).try_fold(i64::MIN, |most, (then, line)| {
        let (name, moved) = then.split_first_chunk::<8>()?;
        let moved = i64::from_be_bytes(moved.first_chunk::<8>().copied()?);
        line.target.key.starts_with(name).then(|| most.max(line.moved.saturating_sub(moved)))
    })
}

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
            let sql = "SELECT r.slot_at, r.delivery_seq, r.slot_lines FROM work_queue r \
                 WHERE r.tenant = $1 AND r.claim_token = $3 \
                 AND r.delivery_seq = (SELECT seq FROM deliveries WHERE tenant = $1 AND id = $2) @lock";
            let found = db.rows(&self.texts, sql, mine).await?;
            let Some(row) = found.first() else { return Ok(Turn::Lost) };
            let (slot, seq, then) = (row.opt_int(0)?, row.int(1)?, row.opt_bytes(2)?);
            let mut lines = Vec::with_capacity(targets.len());
            for target in targets {
                // Made or locked in one statement: nobody can forget it in between.
                let sql = "INSERT INTO send_targets (key, full_at, used_at, moved, paused_until) \
                     VALUES ($1, 0, 0, 0, 0) \
                     ON CONFLICT (key) DO UPDATE SET full_at = send_targets.full_at \
                     RETURNING full_at, used_at, moved, paused_until";
                let rows = db.rows(&self.texts, sql, [Arg::from(target.key.as_slice())]).await?;
                let row = rows.first().ok_or_else(|| corrupt("no bucket"))?;
                lines.push(Line {
                    target,
                    full_at: row.int(0)?,
                    used_at: row.int(1)?,
                    moved: row.int(2)?,
                    paused_until: row.int(3)?,
                });
            }
            let at = turn(&mut lines, slot.zip(then), now);
            for line in &lines {
                let sql = "UPDATE send_targets SET full_at = $2, used_at = $3, moved = $4 WHERE key = $1";
                let key = Arg::from(line.target.key.as_slice());
                let values = [Arg::Int(line.full_at), Arg::Int(line.used_at), Arg::Int(line.moved)];
                db.run(&self.texts, sql, std::iter::once(key).chain(values)).await?;
            }
            if at <= now {
                return Ok(Turn::Now);
            }
            wait_in_line(self, db, tenant, seq, at, place(&lines)).await?;
            Ok(Turn::At(timestamp(at)?))
        })
        .await
    }

    /// Forgets targets that nobody uses any more.
    pub async fn forget_targets(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.writing(async |db| {
            let sql = "DELETE FROM send_targets WHERE full_at < $1 AND used_at < $1 AND paused_until < $1";
            let before = now.as_microsecond().saturating_sub(FORGOTTEN_AFTER);
            Ok(db.run(&self.texts, sql, [Arg::Int(before)]).await?)
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

    pub async fn pause_targets(
        &self,
        targets: &[TargetRate],
        now: Timestamp,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let mut keys: Vec<&[u8; 32]> = targets.iter().map(|target| &target.key).collect();
        keys.sort_unstable();
        self.writing(async |db| {
            for key in keys {
                // The line moves with it, so that who comes later does not find an empty one behind the pause.
                let sql = "INSERT INTO send_targets (key, full_at, used_at, moved, paused_until) \
                     VALUES ($1, 0, 0, 0, $3) \
                     ON CONFLICT (key) DO UPDATE SET \
                     moved = send_targets.moved + ($3 - CASE WHEN send_targets.paused_until > $2 \
                       THEN send_targets.paused_until ELSE $2 END), \
                     full_at = send_targets.full_at + ($3 - CASE WHEN send_targets.paused_until > $2 \
                       THEN send_targets.paused_until ELSE $2 END), \
                     paused_until = $3 WHERE send_targets.paused_until < $3";
                let args = [Arg::from(key.as_slice()), Arg::from(now), Arg::from(until.max(now))];
                db.run(&self.texts, sql, args).await?;
            }
            Ok(())
        })
        .await
    }

    /// Ends a pause; who waits in line lines up behind what was used.
    pub async fn resume_targets(&self, targets: &[TargetRate], now: Timestamp) -> Result<(), StoreError> {
        let mut keys: Vec<&[u8; 32]> = targets.iter().map(|target| &target.key).collect();
        keys.sort_unstable();
        self.writing(async |db| {
            for key in keys {
                let sql = "UPDATE send_targets SET moved = moved - (paused_until - $2), \
                     full_at = full_at - (paused_until - $2), paused_until = $2 \
                     WHERE key = $1 AND paused_until > $2";
                db.run(&self.texts, sql, [Arg::from(key.as_slice()), Arg::from(now)]).await?;
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
            let sql = "SELECT full_at, used_at, moved, paused_until FROM send_targets WHERE key = $1";
            let rows = reader.db().rows(&self.texts, sql, [Arg::from(target.key.as_slice())]).await?;
            if let Some(row) = rows.first() {
                let (full_at, used_at, moved, paused_until) =
                    (row.int(0)?, row.int(1)?, row.int(2)?, row.int(3)?);
                paused = paused.max(paused_until);
                free = free.max(Line { target, full_at, used_at, moved, paused_until }.end(now));
            }
        }
        let later = |at: i64| (at > now).then(|| timestamp(at)).transpose();
        Ok((later(paused)?, later(free)?))
    }
}

/// When this one leaves: now, which spends its tokens, or later, which is its place in all lines from here on.
fn turn(lines: &mut [Line<'_>], slot: Option<(i64, Vec<u8>)>, now: i64) -> i64 {
    let mine = slot.and_then(|(at, place)| Some(at.saturating_add(moved_since(&place, lines)?)));
    let free = lines.iter().map(|line| line.free(now)).fold(now, i64::max);
    let Some(mine) = mine else {
        let at = lines.iter().map(|line| line.end(now)).fold(free, i64::max);
        for line in lines {
            if at <= now {
                line.spend(now);
                // Who waits further back in this line comes one later.
                if line.full_at > now {
                    line.full_at = line.full_at.saturating_add(line.target.rate.interval());
                }
            } else {
                line.reserve(now);
            }
        }
        return at;
    };
    if mine <= now && free <= now {
        let at = if mine >= now - SLACK { mine } else { now };
        lines.iter_mut().for_each(|line| line.spend(at));
        return now;
    }
    // Those behind keep their distance.
    for line in lines.iter_mut() {
        let late = line.free(now).saturating_sub(mine);
        if late > 0 && line.free(now) > now {
            line.shift(late);
        }
    }
    mine.max(free)
}

async fn wait_in_line(
    shared: &Shared,
    db: &mut Db<'_>,
    tenant: &TenantId,
    seq: i64,
    at: i64,
    place: Vec<u8>,
) -> Result<(), StoreError> {
    let sql = "UPDATE work_queue SET claim_token = NULL, ready_at = $3, slot_at = $3, slot_lines = $4 \
         WHERE tenant = $1 AND delivery_seq = $2";
    let args = [Arg::from(tenant.as_str()), Arg::Int(seq), Arg::Int(at), Arg::from(place.as_slice())];
    db.run(&shared.texts, sql, args).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify_core::duration::Length;
    use notify_core::noise::gcra::Rate;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const SECOND: i64 = 1_000_000;

    fn line(target: &TargetRate) -> Line<'_> {
        Line { target, full_at: 0, used_at: 0, moved: 0, paused_until: 0 }
    }

    fn rate(count: u32, seconds: u64) -> TargetRate {
        TargetRate { key: [1; 32], rate: Rate::new(count, Length::from_secs(seconds)) }
    }

    /// Those who wait, each with the time at which it asks again and its place.
    type Waiting = BTreeMap<usize, (i64, Vec<u8>)>;

    /// Lets everybody who is due ask, in this order of their numbers, until nobody is left; who left when.
    fn run(line: &mut [Line<'_>], waiting: &mut Waiting, from: i64, tick: i64) -> Vec<(usize, i64)> {
        let (mut now, mut left) = (from, Vec::new());
        while !waiting.is_empty() {
            let due: Vec<usize> =
                waiting.iter().filter(|(_, (at, _))| *at <= now).map(|(number, _)| *number).collect();
            for number in due {
                let slot = waiting.remove(&number).filter(|(_, place)| !place.is_empty());
                match turn(line, slot, now) {
                    at if at <= now => left.push((number, now)),
                    at => drop(waiting.insert(number, (at, place(line)))),
                }
            }
            now += tick;
            assert!(now < from + 100_000 * SECOND, "somebody waits for ever: {waiting:?}");
        }
        left
    }

    #[test]
    fn after_an_outage_everybody_keeps_the_place() {
        let target = rate(1, 1);
        let mut lines = [line(&target)];
        let mut waiting = Waiting::new();
        for number in 0..60 {
            match turn(&mut lines, None, 1_000 * SECOND) {
                at if at <= 1_000 * SECOND => {}
                at => drop(waiting.insert(number, (at, place(&lines)))),
            }
        }
        // Nobody worked for half of the line; who is new stands behind all of them.
        let now = 1_030 * SECOND;
        waiting.insert(99, (now + 1, Vec::new()));
        let left = run(&mut lines, &mut waiting, now, SECOND / 100);
        let order: Vec<usize> = left.iter().map(|(number, _)| *number).collect();
        assert_eq!(order, (1..60).chain([99]).collect::<Vec<_>>());
        assert!(left.windows(2).all(|two| two[1].1 - two[0].1 >= SECOND), "{left:?}");
        assert!(left.last().unwrap().1 <= now + 61 * SECOND, "and no time is wasted: {left:?}");
    }

    #[test]
    fn a_slow_rate_of_one_channel_does_not_hold_up_others_at_the_provider() {
        let (provider, own) = (rate(1, 1), TargetRate { key: [2; 32], ..rate(1, 3_600) });
        let mut lines = [line(&provider), line(&own)];
        for _ in 0..24 {
            turn(&mut lines, None, SECOND);
        }
        let [shared, _] = lines;
        let at = turn(&mut [shared], None, SECOND);
        assert!(at <= 30 * SECOND, "{at}");
    }

    proptest! {
        /// Whatever comes when: never more than the rate, nobody waits for ever, no time is lost for good.
        #[test]
        fn the_rate_holds_through_pauses_and_disorder(
            count in 1..5_u32,
            comers in prop::collection::vec(0..3 * SECOND, 1..40),
            shuffle in prop::collection::vec(any::<prop::sample::Index>(), 40),
            outage in 0..60 * SECOND,
        ) {
            let target = rate(count, u64::from(count));
            let mut lines = [line(&target)];
            let (mut now, mut waiting, mut left) = (1_000 * SECOND, Waiting::new(), Vec::new());
            let all = comers.len();
            for (number, step) in comers.into_iter().enumerate() {
                now += step;
                match turn(&mut lines, None, now) {
                    at if at <= now => left.push(now),
                    at => drop(waiting.insert(number, (at, place(&lines)))),
                }
            }
            now += outage;
            // Those who are late come in any order.
            let mut late: Vec<usize> =
                waiting.iter().filter(|(_, (at, _))| *at <= now).map(|(number, _)| *number).collect();
            for (to, from) in shuffle.iter().enumerate().take(late.len()) {
                let from = from.index(late.len());
                late.swap(to, from);
            }
            for number in late {
                let slot = waiting.remove(&number);
                match turn(&mut lines, slot, now) {
                    at if at <= now => left.push(now),
                    at => drop(waiting.insert(number, (at, place(&lines)))),
                }
            }
            let from = now;
            left.extend(run(&mut lines, &mut waiting, now, SECOND / 100).into_iter().map(|(_, at)| at));
            prop_assert_eq!(left.len(), all);
            left.sort_unstable();
            // A burst of `count`, then one each second; a turn may be used this much late without moving the line.
            for (first, began) in left.iter().enumerate() {
                for (number, at) in left[first..].iter().enumerate().skip(count as usize) {
                    let least = (number as i64 + 1 - i64::from(count)) * SECOND - SLACK;
                    prop_assert!(at - began >= least, "{} of {:?}", number, left);
                }
            }
            // Those who were overtaken keep their distances too.
            let most = from + (2 * all as i64 + 3) * SECOND;
            prop_assert!(left.iter().all(|at| *at <= most), "{:?} after {}", left, from);
        }
    }
}
