//! Inboxes and opt-outs: nothing has to be known of them before a round; each row is written as it comes.

use super::state::{Slot, State};
use super::write::tenant;
use crate::commit::{Bookkeeping, Effect};
use crate::model::InboxMark;
use crate::sql::{Arg, Db, Rows, Texts};
use crate::store::StoreError;
use notify_core::time::Timestamp;
use std::collections::BTreeMap;

#[derive(Default)]
pub struct InboxWrites<'a> {
    items: Rows<'a>,
    read: Rows<'a>,
    unread: Rows<'a>,
    all_read: Rows<'a>,
    gone: Rows<'a>,
    /// Channel and address; `None`: no opt-out any more. Of several in one round the last holds, as in the ledger.
    opt_outs: BTreeMap<(Slot, &'a str, &'a str), Option<Timestamp>>,
}

impl<'a> InboxWrites<'a> {
    pub fn effect(&mut self, state: &'a State<'_>, slot: Slot, effect: &'a Effect) {
        match effect {
            Effect::AddToInbox(item) => self.items.push([
                tenant(state, slot),
                Arg::from(item.delivery.as_str()),
                Arg::Int(state.deliveries.state(slot, item.delivery.as_str()).seq),
                Arg::from(item.channel.as_str()),
                Arg::Int(item.severity as i64),
                Arg::from(item.created_at),
                Arg::from(item.expires_at),
            ]),
            Effect::OptOut { channel, address, at } => {
                self.opt_outs.insert((slot, channel.as_str(), address), Some(*at));
            }
            Effect::EndOptOut { channel, address } => {
                self.opt_outs.insert((slot, channel.as_str(), address), None);
            }
            _ => {}
        }
    }

    pub fn bookkeeping(&mut self, state: &'a State<'_>, slot: Slot, item: &'a Bookkeeping) {
        match item {
            Bookkeeping::MarkInbox(InboxMark::Read { id, at, by }) => {
                self.read.push([tenant(state, slot), Arg::from(id.as_str()), Arg::from(*at), Arg::from(by)]);
            }
            Bookkeeping::MarkInbox(InboxMark::Unread { id }) => {
                self.unread.push([tenant(state, slot), Arg::from(id.as_str())]);
            }
            Bookkeeping::MarkInbox(InboxMark::AllRead { channel, until, at, by }) => self.all_read.push([
                tenant(state, slot),
                Arg::from(channel.as_ref().map_or("", |channel| channel.as_str())),
                Arg::from(*until),
                Arg::from(*at),
                Arg::from(by),
            ]),
            Bookkeeping::EndInbox { ids } => {
                for id in ids {
                    self.gone.push([tenant(state, slot), Arg::from(id.as_str())]);
                }
            }
            Bookkeeping::AcceptPending(_)
            | Bookkeeping::Noise(_)
            | Bookkeeping::RememberIdempotency { .. } => {}
        }
    }

    pub async fn run(self, db: &mut Db<'_>, texts: &Texts, state: &State<'_>) -> Result<(), StoreError> {
        let statements = [
            (
                self.items,
                "INSERT INTO inbox_items (tenant, id, seq, channel, severity, created_at, expires_at) \
                 SELECT @columns FROM @rows WHERE column1 IS NOT NULL",
            ),
            (
                self.read,
                "UPDATE inbox_items SET read_at = v.column3, read_by = v.column4 FROM @rows \
                 WHERE inbox_items.tenant = v.column1 AND inbox_items.id = v.column2 \
                 AND inbox_items.read_at IS NULL",
            ),
            (
                self.unread,
                "UPDATE inbox_items SET read_at = NULL, read_by = NULL FROM @rows \
                 WHERE inbox_items.tenant = v.column1 AND inbox_items.id = v.column2",
            ),
            (
                self.all_read,
                "UPDATE inbox_items SET read_at = v.column4, read_by = v.column5 FROM @rows \
                 WHERE inbox_items.tenant = v.column1 AND inbox_items.created_at <= v.column3 \
                 AND (v.column2 = '' OR inbox_items.channel = v.column2) AND inbox_items.read_at IS NULL",
            ),
            (self.gone, "DELETE FROM inbox_items WHERE (tenant, id) IN (SELECT @columns FROM @rows)"),
        ];
        for (rows, sql) in statements {
            db.run_rows(texts, sql, rows).await?;
        }
        let (mut added, mut removed) = (Rows::default(), Rows::default());
        for ((slot, channel, address), at) in self.opt_outs {
            let key = [tenant(state, slot), Arg::from(channel), Arg::from(address)];
            match at {
                Some(at) => {
                    let [tenant, channel, address] = key;
                    added.push([tenant, channel, address, Arg::from(at)]);
                }
                None => removed.push(key),
            }
        }
        db.run_rows(
            texts,
            "DELETE FROM opt_outs WHERE (tenant, channel, address) IN (SELECT @columns FROM @rows)",
            removed,
        )
        .await?;
        db.run_rows(
            texts,
            "INSERT INTO opt_outs (tenant, channel, address, at) SELECT @columns FROM @rows \
             WHERE column1 IS NOT NULL ON CONFLICT (tenant, channel, address) DO NOTHING",
            added,
        )
        .await?;
        Ok(())
    }
}
