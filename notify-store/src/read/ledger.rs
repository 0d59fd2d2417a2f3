//! The ledger: head, entries, subtree hashes and openings.

use crate::model::{LedgerEntry, LedgerHead, Opening};
use crate::pools::Shared;
use crate::sql::row::corrupt;
use crate::sql::{Arg, Row, each};
use crate::store::StoreError;
use notify_core::ids::{DeliveryId, EventKey, TenantId};
use notify_core::ledger::commitment::{Commitment, parse_hex32};
use notify_core::ledger::tree::{Hash, combine_subtree, stored_children};
use std::collections::BTreeSet;

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT seq, at, kind, about, payload, leaf_hash FROM ledger_entries ", $rest)
    };
}

fn entry(row: &Row) -> Result<LedgerEntry, StoreError> {
    Ok(LedgerEntry {
        seq: row.count(0)?,
        at: row.time(1)?,
        kind: row.text(2)?,
        about: row.text(3)?,
        payload: row.opt_text(4)?,
        leaf_hash: row.hash(5)?,
    })
}

/// Entries about an event, a delivery, or anything else: an entry is found by exactly one of these.
const ABOUT: [&str; 3] = [
    select!(
        "WHERE tenant = $1 AND event_seq = (SELECT e.seq FROM events e WHERE e.tenant = $1 AND e.key = $2) \
         AND delivery_seq IS NULL"
    ),
    select!(
        "WHERE tenant = $1 AND delivery_seq = (SELECT d.seq FROM deliveries d WHERE d.tenant = $1 AND d.id = $2)"
    ),
    select!("WHERE tenant = $1 AND about = $2 AND event_seq IS NULL AND delivery_seq IS NULL"),
];

impl Shared {
    pub async fn ledger_head(&self, tenant: &TenantId) -> Result<Option<LedgerHead>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = "SELECT log_origin, log_size, log_root, log_checkpoint, log_at FROM tenant_heads \
             WHERE tenant = $1";
        let rows = reader.db().rows(&self.texts, sql, [Arg::from(tenant.as_str())]).await?;
        rows.first()
            .map(|row| {
                Ok(LedgerHead {
                    origin: row.text(0)?,
                    size: row.count(1)?,
                    root: row.hash(2)?,
                    checkpoint: row.text(3)?,
                    at: row.time(4)?,
                })
            })
            .transpose()
    }

    pub async fn ledger_entries(
        &self,
        tenant: &TenantId,
        from: u64,
        to: u64,
        limit: u32,
    ) -> Result<Vec<LedgerEntry>, StoreError> {
        let mut reader = self.reader(tenant).await?;
        let sql = select!("WHERE tenant = $1 AND seq >= $2 AND seq < $3 ORDER BY seq LIMIT $4");
        let args = [Arg::from(tenant.as_str()), Arg::count(from), Arg::count(to), Arg::Int(i64::from(limit))];
        reader.db().rows(&self.texts, sql, args).await?.iter().map(entry).collect()
    }

    pub async fn ledger_entries_about(
        &self,
        tenant: &TenantId,
        about: &str,
    ) -> Result<Vec<LedgerEntry>, StoreError> {
        let mut reader = self.snapshot(tenant).await?;
        let mut db = reader.db();
        let mut entries = Vec::new();
        for sql in ABOUT {
            let args = [Arg::from(tenant.as_str()), Arg::from(about)];
            for row in db.rows(&self.texts, sql, args).await? {
                entries.push(entry(&row)?);
            }
        }
        entries.sort_by_key(|entry| entry.seq);
        Ok(entries)
    }

    pub async fn ledger_nodes(
        &self,
        tenant: &TenantId,
        wanted: &[(u8, u64)],
    ) -> Result<Vec<[u8; 32]>, StoreError> {
        let mut reader = self.snapshot(tenant).await?;
        let mut db = reader.db();
        let mut nodes = Vec::with_capacity(wanted.len());
        for &(level, index) in wanted {
            let missing = || corrupt(format_args!("no subtree {index} at level {level}"));
            // No log of ours comes near 2^62 leaves, and the shifts below stay in range.
            if level > 62 || index >= 1 << (62 - level) {
                return Err(missing());
            }
            let (stored, range) = stored_children((level, index));
            let (sql, level_arg) = match stored {
                0 => (
                    "SELECT leaf_hash FROM ledger_entries \
                     WHERE tenant = $1 AND seq >= $2 AND seq < $3 AND $4 = 0 ORDER BY seq",
                    0,
                ),
                stored => (
                    "SELECT hash FROM ledger_tiles \
                     WHERE tenant = $1 AND tile >= $2 AND tile < $3 AND level = $4 ORDER BY tile",
                    i64::from(stored),
                ),
            };
            let wanted = range.end - range.start;
            let args = [
                Arg::from(tenant.as_str()),
                Arg::count(range.start),
                Arg::count(range.end),
                Arg::Int(level_arg),
            ];
            let rows = db.rows(&self.texts, sql, args).await?;
            let hashes = rows.iter().map(|row| row.hash(0).map(Hash)).collect::<Result<Vec<_>, _>>()?;
            if hashes.len() as u64 != wanted {
                return Err(missing());
            }
            nodes.push(combine_subtree(&hashes).ok_or_else(missing)?.0);
        }
        Ok(nodes)
    }

    /// Candidates come from the rows whose ids the entries name; what no shown entry commits to is left out, since a
    /// verifier refuses an opening without a commitment.
    pub async fn openings(&self, tenant: &TenantId, from: u64, to: u64) -> Result<Vec<Opening>, StoreError> {
        let mut reader = self.snapshot(tenant).await?;
        let mut db = reader.db();
        let sql = "SELECT about, payload FROM ledger_entries \
             WHERE tenant = $1 AND seq >= $2 AND seq < $3 AND payload IS NOT NULL ORDER BY seq";
        let args = [Arg::from(tenant.as_str()), Arg::count(from), Arg::count(to)];
        let mut named = Named::default();
        for row in db.rows(&self.texts, sql, args).await? {
            named.read(row.str(0)?);
            named.read(row.str(1)?);
        }
        let mut found = Found { committed: &named.commitments, openings: Vec::new(), seen: BTreeSet::new() };
        for (sql, ids) in [
            (EVENT_OPENINGS, &named.events),
            (DELIVERY_OPENINGS, &named.deliveries),
            (ATTEMPT_OPENINGS, &named.deliveries),
            (KEPT_OPENINGS, &named.commitments),
        ] {
            let asked = each(ids, |id| [Arg::from(tenant.as_str()), Arg::from(id)]);
            for row in db.rows_for(&self.texts, sql, asked).await? {
                found.consider(&row)?;
            }
        }
        Ok(found.openings)
    }
}

/// Pairs of salt and bytes, any number in a row; both null where there is none.
const EVENT_OPENINGS: &str = "SELECT r.salt, r.body FROM @rows \
     JOIN events r ON r.tenant = v.column1 AND r.key = v.column2";
const DELIVERY_OPENINGS: &str = "SELECT r.message_salt, r.message, r.target_salt, r.target FROM @rows \
     JOIN deliveries r ON r.tenant = v.column1 AND r.id = v.column2";
const ATTEMPT_OPENINGS: &str = "SELECT a.request_salt, a.request, a.response_salt, a.response FROM @rows \
     JOIN deliveries r ON r.tenant = v.column1 AND r.id = v.column2 \
     JOIN attempts a ON a.tenant = r.tenant AND a.delivery_seq = r.seq";
const KEPT_OPENINGS: &str = "SELECT r.salt, r.bytes FROM @rows \
     JOIN openings r ON r.tenant = v.column1 AND r.commitment = v.column2";

/// The ids and commitments that entries name.
#[derive(Default)]
struct Named {
    events: BTreeSet<String>,
    deliveries: BTreeSet<String>,
    commitments: BTreeSet<String>,
}

impl Named {
    fn read(&mut self, text: &str) {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        for run in text.split(|c| !word(c)) {
            if run.len() == 64 && parse_hex32(run).is_some() {
                self.commitments.insert(run.to_owned());
            } else if run.starts_with(EventKey::PREFIX) && run.parse::<EventKey>().is_ok() {
                self.events.insert(run.to_owned());
            } else if run.starts_with(DeliveryId::PREFIX) && run.parse::<DeliveryId>().is_ok() {
                self.deliveries.insert(run.to_owned());
            }
        }
    }
}

struct Found<'a> {
    committed: &'a BTreeSet<String>,
    openings: Vec<Opening>,
    seen: BTreeSet<String>,
}

impl Found<'_> {
    fn consider(&mut self, row: &Row) -> Result<(), StoreError> {
        for at in (0..row.width()).step_by(2) {
            let Some((salt, bytes)) = row.opt_hash(at)?.zip(row.opt_bytes(at + 1)?) else { continue };
            let commitment = Commitment::of(&salt, &bytes).hex();
            if self.committed.contains(&commitment) && self.seen.insert(commitment.clone()) {
                self.openings.push(Opening { commitment, salt, bytes });
            }
        }
        Ok(())
    }
}
