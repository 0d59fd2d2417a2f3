//! Why an event became what it became: every rule that matched, every control that decided or would have, every
//! attempt, told from the ledger and from what is still under way.
//!
//! Pure, and total over any JSON: what an entry does not say is left out, never guessed.

mod facts;
mod read;
#[cfg(test)]
mod tests;
mod words;

pub use facts::{CurrentDelivery, CurrentDigest, CurrentHeld, EventFacts, Evidence};

use crate::time::rfc3339_millis;
use read::{Teller, Told};
use serde::Serialize;
use serde_json::Value;

/// All that is known about one event.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Story {
    pub event: StoryEvent,
    pub state: State,
    /// The whole in one sentence.
    pub sentence: String,
    /// Enabled rules that did not match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unmatched: Option<u64>,
    /// One for each action of each rule that matched, in the order in which they were decided.
    pub actions: Vec<ActionStory>,
    /// What this story cannot say, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Whether the event was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Accepted, and its turn has not come.
    Pending,
    Decided,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoryEvent {
    pub key: String,
    pub id: String,
    pub source: String,
    pub r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    pub accepted_at: String,
}

/// What one action of one rule did with the event.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionStory {
    pub rule: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_digest: Option<String>,
    pub action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// How it ended, in words.
    pub sentence: String,
    pub end: End,
    pub steps: Vec<Step>,
}

/// One entry of the ledger that had a part in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its number in the ledger, where it can be proved.
    pub seq: u64,
    pub at: String,
    /// `event`, `release`, `digest`, `attempt` or `delivery`.
    pub kind: String,
    pub sentence: String,
    /// As the ledger has it: parameters, versions, logical time, version of the time zones.
    pub record: Value,
}

/// How it ended, or what it waits for. Every action of every matching rule has exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum End {
    /// It arrived (`delivered`), or was handed over (`accepted`).
    Sent {
        delivery: String,
        result: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<String>,
    },
    /// By a control, or because a delivery failed (`delivery-failed`) or was cancelled (`delivery-cancelled`).
    NotSent {
        because: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        delivery: Option<String>,
    },
    InDigest {
        digest: String,
        #[serde(flatten)]
        then: DigestEnd,
    },
    /// Judged again at `until`: an alert before its first attempt (`held`), or the next attempt (`delivery`).
    Held {
        #[serde(skip_serializing_if = "Option::is_none")]
        held: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        delivery: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<String>,
    },
    Sending {
        delivery: String,
        attempt: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        due_at: Option<String>,
    },
    /// The entry does not say; only with an entry of another program.
    Unknown { outcome: String },
}

/// What became of the digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "digestState", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum DigestEnd {
    Open {
        #[serde(skip_serializing_if = "Option::is_none")]
        closes_at: Option<String>,
    },
    /// It closed, and waits; `delivery` when it was tried before.
    Held {
        #[serde(skip_serializing_if = "Option::is_none")]
        delivery: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        until: Option<String>,
    },
    Sending {
        delivery: String,
        attempt: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        due_at: Option<String>,
    },
    Sent {
        delivery: String,
        result: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<String>,
    },
}

/// Tells the story of one event.
#[must_use]
pub fn tell(evidence: &Evidence) -> Story {
    let mut teller = Teller::new(evidence);
    let mut entries: Vec<_> = evidence.entries.iter().collect();
    entries.sort_by_key(|(seq, _)| *seq);
    entries.dedup_by_key(|(seq, _)| *seq);
    for (seq, statement) in entries {
        teller.read(*seq, statement);
    }
    let Told { actions, unmatched, decided } = teller.finish();
    let facts = &evidence.event;
    let state = if facts.planned || !actions.is_empty() { State::Decided } else { State::Pending };
    let mut notes = Vec::new();
    if evidence.unreadable > 0 {
        notes.push(words::unreadable(evidence.unreadable));
    }
    if !evidence.complete {
        notes.push(words::INCOMPLETE.to_owned());
    }
    Story {
        sentence: words::whole(state, decided, &actions, unmatched, facts.accepted_at),
        event: StoryEvent {
            key: facts.key.clone(),
            id: facts.id.clone(),
            source: facts.source.clone(),
            r#type: facts.r#type.clone(),
            subject: facts.subject.clone(),
            accepted_at: rfc3339_millis(facts.accepted_at),
        },
        state,
        unmatched,
        actions,
        notes,
    }
}
