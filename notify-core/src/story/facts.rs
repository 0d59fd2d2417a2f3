//! What a story is told from.

use crate::time::Timestamp;
use serde_json::Value;

/// All that was found about one event. The order of lists does not matter.
#[derive(Debug, Clone)]
pub struct Evidence {
    pub event: EventFacts,
    /// Number and statement of the ledger entries about the event, its deliveries, what of it was held, and the digests
    /// that it went into with their deliveries.
    pub entries: Vec<(u64, Value)>,
    /// Entries whose statement is pruned or cannot be read.
    pub unreadable: u64,
    /// Nothing was left out for being too much.
    pub complete: bool,
    pub deliveries: Vec<CurrentDelivery>,
    pub held: Vec<CurrentHeld>,
    pub digests: Vec<CurrentDigest>,
}

#[derive(Debug, Clone)]
pub struct EventFacts {
    pub key: String,
    /// The producer's.
    pub id: String,
    pub source: String,
    pub r#type: String,
    pub subject: Option<String>,
    pub accepted_at: Timestamp,
    /// It was looked at.
    pub planned: bool,
}

/// A delivery as it is now.
#[derive(Debug, Clone)]
pub struct CurrentDelivery {
    pub id: String,
    /// `scheduled`, `delivered`, `accepted`, `dead` or `cancelled`.
    pub state: String,
    pub rule_version: u64,
    pub next_attempt: u32,
    /// Of the next attempt.
    pub due_at: Option<Timestamp>,
}

/// Something that is held now.
#[derive(Debug, Clone)]
pub struct CurrentHeld {
    pub id: String,
    /// When it is judged again.
    pub release_at: Timestamp,
}

/// A digest that is being collected now.
#[derive(Debug, Clone)]
pub struct CurrentDigest {
    pub id: String,
    pub closes_at: Timestamp,
}
