//! Messages put aside and taken out again: what a round has to know of them, and what it writes.

use super::state::{Slot, State};
use crate::commit::{Effect, Refused};
use crate::model::Quarantined;
use crate::sql::row::corrupt;
use crate::sql::{Arg, Db, Rows, Texts, each};
use crate::store::StoreError;
use std::sync::Arc;

/// Whether the message is there, and what this round does to it.
#[derive(Debug, Clone, Copy, Default)]
pub struct QuarantineRow<'c> {
    pub there: bool,
    /// It was in the database when the round began.
    stored: bool,
    added: Option<&'c Quarantined>,
}

pub async fn load(db: &mut Db<'_>, texts: &Texts, state: &mut State<'_>) -> Result<(), StoreError> {
    let asked = each(state.quarantine.rows.iter().enumerate(), |(at, (slot, id, _))| {
        [Arg::count(at as u64), Arg::Shared(Arc::clone(&state.tenants[*slot].name)), Arg::from(*id)]
    });
    let found = db
        .rows_for(
            texts,
            "SELECT v.column1 FROM @rows JOIN quarantine r ON r.tenant = v.column2 AND r.id = v.column3",
            asked,
        )
        .await?;
    for row in found {
        let at = usize::try_from(row.int(0)?).ok();
        let entry = at.and_then(|at| state.quarantine.rows.get_mut(at));
        let (_, _, entry) = entry.ok_or_else(|| corrupt("a row that was not asked for"))?;
        (entry.there, entry.stored) = (true, true);
    }
    Ok(())
}

/// # Errors
/// [`Refused::Quarantined`] when it is there, or is not, against what the effect needs.
pub fn apply<'c>(state: &mut State<'c>, slot: Slot, effect: &'c Effect) -> Result<(), Refused> {
    let (id, added) = match effect {
        Effect::Quarantine(message) => (message.id.as_str(), Some(&**message)),
        Effect::EndQuarantine { id } => (id.as_str(), None),
        _ => return Ok(()),
    };
    let row = state.quarantine.state(slot, id);
    if row.there == added.is_some() {
        return Err(Refused::Quarantined { there: row.there });
    }
    state.set_quarantine(slot, id, QuarantineRow { there: added.is_some(), added, ..row });
    Ok(())
}

pub async fn write(db: &mut Db<'_>, texts: &Texts, state: &State<'_>) -> Result<(), StoreError> {
    let (mut new, mut gone) = (Rows::default(), Rows::default());
    for (slot, id, row) in &state.quarantine.rows {
        let tenant = || Arg::Shared(Arc::clone(&state.tenants[*slot].name));
        if row.stored && (!row.there || row.added.is_some()) {
            gone.push([tenant(), Arg::from(*id)]);
        }
        let Some(message) = row.added.filter(|_| row.there) else { continue };
        new.push([
            tenant(),
            Arg::from(*id),
            Arg::from(message.received_at),
            Arg::from(&message.origin),
            Arg::from(&message.content_type),
            Arg::from(&message.code),
            Arg::from(&message.problem),
            Arg::from(message.body.as_slice()),
            Arg::Int(i64::from(message.truncated)),
        ]);
    }
    db.run_rows(
        texts,
        "DELETE FROM quarantine WHERE (tenant, id) IN (SELECT v.column1, v.column2 FROM @rows)",
        gone,
    )
    .await?;
    db.run_rows(
        texts,
        "INSERT INTO quarantine (tenant, id, received_at, origin, content_type, code, problem, body, truncated) \
         SELECT @columns FROM @rows WHERE column1 IS NOT NULL",
        new,
    )
    .await?;
    Ok(())
}
