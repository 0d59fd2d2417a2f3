//! Alerts that wait: what a round has to know of them, and what it writes.

use super::state::{Slot, State};
use super::write::tenant;
use crate::commit::{Effect, Refused};
use crate::model::NewHeld;
use crate::sql::row::corrupt;
use crate::sql::{Arg, Db, OrNull, Rows, Texts, each};
use crate::store::StoreError;
use notify_core::ids::HeldId;
use notify_core::time::Timestamp;
use std::sync::Arc;

/// Whether the alert waits, and what this round does to it.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeldRow<'c> {
    there: bool,
    /// It was in the database when the round began.
    stored: bool,
    added: Option<&'c NewHeld>,
    until: Option<Timestamp>,
}

pub async fn load(db: &mut Db<'_>, texts: &Texts, state: &mut State<'_>) -> Result<(), StoreError> {
    let asked = each(state.held.asked(), |(at, (slot, id, _))| {
        [Arg::count(at as u64), Arg::Shared(Arc::clone(&state.tenants[*slot].name)), Arg::from(*id)]
    });
    let found = db
        .rows_for(
            texts,
            "SELECT v.column1 FROM @rows JOIN held_alerts r ON r.tenant = v.column2 AND r.id = v.column3",
            asked,
        )
        .await?;
    for row in found {
        let at = usize::try_from(row.int(0)?).ok();
        let entry = at.and_then(|at| state.held.rows.get_mut(at));
        let (_, _, entry) = entry.ok_or_else(|| corrupt("a row that was not asked for"))?;
        (entry.there, entry.stored) = (true, true);
    }
    Ok(())
}

/// # Errors
/// [`Refused::Held`] when it waits, or does not, against what the effect needs.
pub fn apply<'c>(state: &mut State<'c>, slot: Slot, effect: &'c Effect) -> Result<(), Refused> {
    let (id, is_new): (&'c HeldId, bool) = match effect {
        Effect::Hold(held) => (&held.id, true),
        Effect::HoldLonger { id, .. } | Effect::EndHold { id } => (id, false),
        _ => return Ok(()),
    };
    let row = state.held.state(slot, id.as_str());
    if row.there == is_new {
        return Err(Refused::Held(id.clone(), row.there));
    }
    let row = match effect {
        Effect::Hold(held) => HeldRow { there: true, added: Some(held), until: None, ..row },
        Effect::HoldLonger { until, .. } => HeldRow { until: Some(*until), ..row },
        _ => HeldRow { there: false, ..row },
    };
    state.set_held(slot, id.as_str(), row);
    Ok(())
}

pub async fn write(db: &mut Db<'_>, texts: &Texts, state: &State<'_>) -> Result<(), StoreError> {
    let (mut new, mut gone, mut longer) = (Rows::default(), Rows::default(), Rows::default());
    for (slot, id, row) in &state.held.rows {
        if !row.there {
            if row.stored {
                gone.push([tenant(state, *slot), Arg::from(*id)]);
            }
            continue;
        }
        let Some(held) = row.added else {
            longer.extend_if(row.until, |until| [tenant(state, *slot), Arg::from(*id), Arg::from(until)]);
            continue;
        };
        new.push([
            tenant(state, *slot),
            Arg::from(*id),
            Arg::from(held.event.as_str()),
            state.event_seq(*slot, held.event.as_str()).or_null(),
            Arg::from(held.rule.as_str()),
            Arg::count(held.rule_version),
            Arg::from(held.action.as_str()),
            Arg::from(held.channel.as_str()),
            Arg::from(&held.control),
            Arg::from(&held.message),
            Arg::from(&held.message_salt),
            Arg::from(&held.message_commitment),
            Arg::from(held.held_at),
            Arg::from(row.until.unwrap_or(held.release_at)),
        ]);
    }
    let statements = [
        (gone, "DELETE FROM held_alerts WHERE (tenant, id) IN (SELECT @columns FROM @rows)"),
        (
            new,
            "INSERT INTO held_alerts (tenant, id, event, event_seq, rule, rule_version, action, channel, control, \
             message, message_salt, message_commitment, held_at, release_at) \
             SELECT @columns FROM @rows WHERE column1 IS NOT NULL",
        ),
        (
            longer,
            "UPDATE held_alerts SET release_at = v.column3 FROM @rows \
             WHERE held_alerts.tenant = v.column1 AND held_alerts.id = v.column2",
        ),
    ];
    for (rows, sql) in statements {
        db.run_rows(texts, sql, rows).await?;
    }
    Ok(())
}
