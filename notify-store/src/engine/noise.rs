//! What noise control remembers, and what digests collect.

use super::state::{Slot, State};
use super::write::tenant;
use crate::commit::NoiseChanges;
use crate::model::NewDigestItem;
use crate::sql::{Arg, Db, OrNull, Rows, Texts};
use crate::store::StoreError;
use notify_core::ids::DigestId;
use notify_core::noise::{StateKey, StateRow};
use std::collections::HashMap;

/// Rows of a round. Of several changes of one key the last counts: commits of a round are in order.
#[derive(Default)]
pub struct NoiseWrites<'a> {
    states: HashMap<(Slot, StateKey), Option<&'a StateRow>>,
    items: Rows<'a>,
    ended: Rows<'a>,
}

impl<'a> NoiseWrites<'a> {
    pub fn changes(&mut self, slot: Slot, changes: &'a NoiseChanges) {
        for row in &changes.remember {
            self.states.insert((slot, row.key), Some(row));
        }
        for key in &changes.forget {
            self.states.insert((slot, *key), None);
        }
    }

    pub fn item(&mut self, state: &'a State<'_>, slot: Slot, item: &'a NewDigestItem) {
        self.items.push([
            tenant(state, slot),
            Arg::from(item.digest.as_str()),
            Arg::Int(i64::from(item.number)),
            Arg::from(item.event.as_str()),
            state.event_seq(slot, item.event.as_str()).or_null(),
            Arg::from(item.rule.as_str()),
            Arg::from(item.action.as_str()),
            Arg::from(item.severity.name()),
            Arg::from(item.at),
        ]);
    }

    pub fn end_digest(&mut self, state: &'a State<'_>, slot: Slot, digest: &'a DigestId) {
        self.ended.push([tenant(state, slot), Arg::from(digest.as_str())]);
    }

    pub async fn run(self, db: &mut Db<'_>, texts: &Texts, state: &State<'_>) -> Result<(), StoreError> {
        let (mut remember, mut forget) = (Rows::default(), Rows::default());
        for ((slot, key), row) in &self.states {
            match row {
                None => forget.push([tenant(state, *slot), Arg::from(key.0.as_slice())]),
                Some(row) => remember.push([
                    tenant(state, *slot),
                    Arg::from(key.0.as_slice()),
                    Arg::from(row.kind),
                    Arg::from(&row.value),
                    row.due_at.or_null(),
                    row.expires_at.or_null(),
                ]),
            }
        }
        let statements = [
            (
                remember,
                "INSERT INTO noise_state (tenant, key, kind, value, due_at, expires_at) \
                 SELECT @columns FROM @rows WHERE column1 IS NOT NULL \
                 ON CONFLICT (tenant, key) DO UPDATE SET kind = excluded.kind, value = excluded.value, \
                 due_at = excluded.due_at, expires_at = excluded.expires_at",
            ),
            (forget, "DELETE FROM noise_state WHERE (tenant, key) IN (SELECT @columns FROM @rows)"),
            (
                self.items,
                "INSERT INTO digest_items (tenant, digest, number, event, event_seq, rule, action, severity, at) \
                 SELECT @columns FROM @rows WHERE column1 IS NOT NULL",
            ),
            (self.ended, "DELETE FROM digest_items WHERE (tenant, digest) IN (SELECT @columns FROM @rows)"),
        ];
        for (rows, sql) in statements {
            db.run_rows(texts, sql, rows).await?;
        }
        Ok(())
    }
}
