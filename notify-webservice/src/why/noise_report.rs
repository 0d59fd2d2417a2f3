//! `GET /reports/noise`: how noisy each rule was.

use crate::answer;
use crate::app::{Answer, Call, store_problem};
use http::StatusCode;
use notify_core::duration::Length;
use notify_core::noise_report::Tally;
use notify_core::problem::{Code, Problem};
use notify_core::time::{Timestamp, rfc3339_millis};
use notify_store::StoreError;
use serde_json::{Value, json};

/// Ledger entries that one report looks at, the newest of its period, and the time for it: what comes first ends it.
const ENTRIES: u64 = 200_000;
const MAX_SECONDS: i64 = 5;
/// Entries read at once: few, because each may be large.
const PAGE: u64 = 256;
const DEFAULT: Length = Length::from_secs(7 * 86_400);
const A_TIME: &str = "a time like 2026-11-22T08:00:00Z";

/// `GET /reports/noise?from=&to=`
pub async fn read(call: Call) -> Answer {
    let to = call.query.get::<Timestamp>("to", A_TIME)?.unwrap_or_else(|| call.app.clock.now());
    let from = match call.query.get::<Timestamp>("from", A_TIME)? {
        Some(from) => from,
        None => to.checked_sub(DEFAULT.signed()).unwrap_or(Timestamp::MIN),
    };
    if from >= to {
        return Err(Problem::new(
            Code::InvalidParameter,
            "from",
            "the period ends before it begins",
            "give a `from` that is before `to`",
        ));
    }
    let failed = |error: StoreError| store_problem(&call.request, &error);
    let (store, tenant) = (&call.app.store, call.tenant());
    let first = store.ledger_seq_at(tenant, from).await.map_err(failed)?;
    let end = store.ledger_seq_at(tenant, to).await.map_err(failed)?;
    let lowest = first.max(end.saturating_sub(ENTRIES));
    let started = call.app.clock.now();
    let mut tally = Tally::default();
    // The newest first: what a long period leaves out is the oldest.
    let mut begin = end;
    while begin > lowest && call.app.clock.now().as_second() - started.as_second() < MAX_SECONDS {
        let page = begin.saturating_sub(PAGE).max(lowest);
        let statements = store.ledger_decisions(tenant, page, begin).await.map_err(failed)?;
        // Reading JSON keeps a processor busy: in the tenant's turn, off the threads that serve.
        tally = call
            .in_turn(move || {
                for statement in &statements {
                    match statement {
                        Some(statement) => tally.add(statement),
                        None => tally.unreadable(),
                    }
                }
                tally
            })
            .await?;
        begin = page;
    }
    let complete = begin == first;
    let covered = if complete {
        from
    } else {
        let oldest = store.ledger_entries(tenant, begin, begin.saturating_add(1), 1).await.map_err(failed)?;
        oldest.first().map_or(from, |entry| entry.at)
    };
    let seconds = to.duration_since(covered).as_secs().max(0).unsigned_abs();
    let mut report = json!(tally.report(seconds));
    if let Value::Object(members) = &mut report {
        members.insert("from".into(), rfc3339_millis(from).into());
        members.insert("to".into(), rfc3339_millis(to).into());
        members.insert("covered".into(), rfc3339_millis(covered).into());
        members.insert("complete".into(), complete.into());
        members.insert("entries".into(), (end.saturating_sub(begin)).into());
    }
    Ok(answer::json(StatusCode::OK, &report))
}
