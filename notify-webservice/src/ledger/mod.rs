//! The ledger over HTTP: its head, its entries and exports.

pub mod export;
pub mod tar;

pub use export::export;

use crate::answer;
use crate::app::{Answer, Call, store_problem};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use notify_core::problem::{Code, Problem};
use notify_core::time::rfc3339_millis;
use notify_store::model::{LedgerEntry, LedgerHead};
use serde_json::{Value, json};

async fn head(call: &Call) -> Result<LedgerHead, Problem> {
    let found = call.app.store.ledger_head(call.tenant()).await;
    found.map_err(|error| store_problem(&call.request, &error))?.ok_or_else(|| {
        Problem::new(
            Code::NotFound,
            "",
            "the token's tenant has no ledger on this site",
            "let the operator create the tenant with `notify tenant create`",
        )
    })
}

/// `GET /ledger/checkpoint`
pub async fn checkpoint(call: Call) -> Answer {
    let head = head(&call).await?;
    Ok(answer::json(
        StatusCode::OK,
        &json!({
            "origin": head.origin,
            "size": head.size,
            "root": STANDARD.encode(head.root),
            "checkpoint": head.checkpoint,
            "at": rfc3339_millis(head.at),
        }),
    ))
}

/// `GET /ledger/entries?from=&limit=`: sequence numbers have no holes, so the next page begins at `next`.
pub async fn entries(call: Call) -> Answer {
    let from = call.query.get::<u64>("from", "a sequence number")?.unwrap_or(0);
    let limit = call.query.page()?.limit;
    let head = head(&call).await?;
    let to = head.size.min(from.saturating_add(u64::from(limit)));
    let found = if from < to {
        let found = call.app.store.ledger_entries(call.tenant(), from, to, limit).await;
        found.map_err(|error| store_problem(&call.request, &error))?
    } else {
        Vec::new()
    };
    let next = found.last().map(|entry| entry.seq + 1).filter(|next| *next < head.size);
    let items: Vec<_> = found.iter().map(entry).collect();
    Ok(answer::json(StatusCode::OK, &json!({ "items": items, "size": head.size, "next": next })))
}

fn entry(entry: &LedgerEntry) -> Value {
    let statement: Value =
        entry.payload.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
    json!({
        "seq": entry.seq,
        "at": rfc3339_millis(entry.at),
        "kind": entry.kind,
        "about": entry.about,
        "leafHash": STANDARD.encode(entry.leaf_hash),
        "statement": statement,
    })
}
