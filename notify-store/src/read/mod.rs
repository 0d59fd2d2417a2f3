//! Queries. Each carries its tenant in the SQL text, on both databases; row-level security is the second net.

mod decided;
pub mod deliveries;
mod directory;
mod documents;
mod events;
mod history;
mod inbox;
mod ledger;
mod noise;
mod quarantine;

use crate::model::{Page, Paged};
use crate::store::StoreError;

/// One more row than asked for tells whether a next page exists.
fn probe(page: &Page) -> i64 {
    i64::from(page.limit.max(1)) + 1
}

/// Where a list in falling order of sequence numbers goes on.
fn before(page: &Page) -> Result<i64, StoreError> {
    let Some(token) = &page.after else { return Ok(i64::MAX) };
    // Numbers start at 1 and have one spelling: anything else is no token of ours, not the end of the list.
    let number = token.parse::<i64>().ok().filter(|number| *number >= 1 && number.to_string() == *token);
    number.ok_or(StoreError::BadPageToken)
}

fn paged<T>(page: &Page, mut items: Vec<T>, token: impl Fn(&T) -> String) -> Paged<T> {
    let limit = page.limit.max(1) as usize;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more { items.last().map(token) } else { None };
    Paged { items, next }
}
