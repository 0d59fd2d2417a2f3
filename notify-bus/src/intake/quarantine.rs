//! Messages that nobody can be told about: kept with the reason until a person has looked.
//!
//! Each change is in the ledger as an `access` entry (`event-quarantined`, `event-redriven`, `quarantine-deleted`): who
//! let an event in or kept it out. The entry commits to the body; the salt is not kept, because the body does not outlive
//! its stay here and an auditor only has to see that something was put aside, when and why.

use super::Intake;
use crate::Receipt;
use notify_core::event::{Event, EventLimits, Mode};
use notify_core::ids::{TenantId, hex};
use notify_core::ledger::EntryDraft;
use notify_core::ledger::commitment::{Commitment, salt};
use notify_core::ledger::entry::AccessEntry;
use notify_core::problem::{Code, Problem};
use notify_core::time::Timestamp;
use notify_store::model::{Opening, Quarantined};
use notify_store::{Commit, Effect, Refused, StoreError};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

const PREFIX: &str = "qtn_";
/// What does it when no person does.
const SYSTEM: &[u8] = b"system";
/// Characters of an origin and of a content type.
const MAX_NAME: usize = 256;

/// How much is kept for a person to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuarantineLimits {
    /// Messages of one tenant; when it is full, the bus is not acknowledged and keeps them.
    pub messages: u64,
    /// Bytes kept of one body; a longer one is cut and cannot be sent on from here.
    pub body_bytes: usize,
}

impl Default for QuarantineLimits {
    fn default() -> Self {
        Self { messages: 10_000, body_bytes: EventLimits::HIGHEST_MAX_BYTES }
    }
}

/// A message as a bus hands it over, for one tenant.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    pub tenant: &'a TenantId,
    /// The bus and the place on it, such as `nats:alerts.in`.
    pub origin: &'a str,
    /// `application/cloudevents+json`, or empty, which means the same.
    pub content_type: &'a str,
    pub body: &'a [u8],
    /// The bus's own time of the message, the same on every delivery.
    pub received_at: Timestamp,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    Published(Receipt),
    /// Under this id.
    Quarantined(String),
}

impl Message<'_> {
    /// # Errors
    /// When it is no single event in the JSON format.
    pub fn event(&self, limits: &EventLimits) -> Result<Event, Problem> {
        let media =
            if self.content_type.is_empty() { "application/cloudevents+json" } else { self.content_type };
        match Mode::of(Some(media))? {
            Mode::Structured => Event::structured(self.tenant, self.body, limits),
            Mode::Batch | Mode::Binary => Err(Problem::new(
                Code::UnsupportedMediaType,
                "content-type",
                format!("a message with the content type `{}` is not read", media.escape_debug()),
                "send one event per message, as `application/cloudevents+json`",
            )),
        }
    }

    /// The same message has one id, also when the bus delivers it again.
    fn id(&self) -> String {
        let mut hash = Sha256::new();
        for part in
            [self.tenant.as_str().as_bytes(), self.origin.as_bytes(), self.content_type.as_bytes(), self.body]
        {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest = hex(hash.finalize().get(..12).unwrap_or_default());
        format!("{PREFIX}{:013x}{digest}", self.received_at.as_millisecond().max(0))
    }
}

/// Whether a text may be the id of a quarantined message.
#[must_use]
pub fn is_quarantine_id(text: &str) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|rest| {
        rest.len() == 37 && rest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

impl Intake {
    pub(super) async fn put_aside(
        &self,
        message: &Message<'_>,
        problem: &Problem,
    ) -> Result<String, Problem> {
        let failed = |error: StoreError| {
            tracing::error!(tenant = %message.tenant, %error, "a message could not be put into quarantine");
            Problem::new(Code::Unavailable, "", "the store cannot be used", "hand it over again in a moment")
        };
        let id = message.id();
        if self.store.quarantined(message.tenant, &id).await.map_err(failed)?.is_some() {
            return Ok(id);
        }
        if self.store.quarantine_size(message.tenant).await.map_err(failed)? >= self.quarantine.messages {
            let reason =
                format!("the quarantine holds {} messages and takes no more", self.quarantine.messages);
            let fix = "send them on or delete them: `notify quarantine list`";
            return Err(Problem::new(Code::Unavailable, "", reason, fix));
        }
        let kept = message.body.get(..self.quarantine.body_bytes).unwrap_or(message.body);
        let quarantined = Quarantined {
            id: id.clone(),
            received_at: message.received_at,
            origin: message.origin.chars().take(MAX_NAME).collect(),
            content_type: message.content_type.chars().take(MAX_NAME).collect(),
            code: problem.code.as_str().to_owned(),
            problem: serde_json::to_string(problem).unwrap_or_default(),
            size: kept.len() as u64,
            body: kept.to_vec(),
            truncated: kept.len() < message.body.len(),
        };
        let Some(Recorded { entry, opening }) = recorded("event-quarantined", SYSTEM, &quarantined) else {
            return Err(Problem::new(Code::Unavailable, "", "the system gives no random bytes", "try again"));
        };
        let effects = vec![Effect::Quarantine(Box::new(quarantined)), Effect::KeepOpening(opening)];
        match self.store.commit(Commit::new(message.tenant.clone(), effects, vec![entry])).await {
            // Another consumer of the same bus was faster.
            Ok(_) | Err(StoreError::Refused(Refused::Quarantined { .. })) => {}
            Err(error) => return Err(failed(error)),
        }
        tracing::warn!(tenant = %message.tenant, origin = message.origin, %id, code = %problem.code, "a message was put into quarantine");
        Ok(id)
    }
}

struct Recorded {
    entry: EntryDraft,
    opening: Opening,
}

/// `None`: the system gives no random bytes.
fn recorded(act: &str, actor: &[u8], message: &Quarantined) -> Option<Recorded> {
    let mut entropy = [0; 32];
    getrandom::fill(&mut entropy).ok()?;
    let about = format!("quarantine/{}", message.id);
    let salted = |field| salt(&entropy, &about, field, 0);
    let (actor_salt, body_salt) = (salted("actor"), salted("body"));
    let commitment = Commitment::of(&actor_salt, actor);
    let opening = Opening { commitment: commitment.hex(), salt: actor_salt, bytes: actor.to_vec() };
    let mut details = Map::new();
    details.insert("message".into(), message.id.clone().into());
    details.insert("reason".into(), message.code.clone().into());
    details.insert("body".into(), Value::from(Commitment::of(&body_salt, &message.body).to_string()));
    let entry = AccessEntry { act: act.to_owned(), actor: commitment, details, about }.into_draft();
    Some(Recorded { entry, opening })
}

/// The commit that takes a message out of quarantine: sent on (`redriven`), or deleted.
#[must_use]
pub fn removal(tenant: &TenantId, message: &Quarantined, redriven: bool, actor: &[u8]) -> Option<Commit> {
    let act = if redriven { "event-redriven" } else { "quarantine-deleted" };
    let Recorded { entry, opening } = recorded(act, actor, message)?;
    let effects = vec![Effect::EndQuarantine { id: message.id.clone() }, Effect::KeepOpening(opening)];
    Some(Commit::new(tenant.clone(), effects, vec![entry]))
}

/// Only the record that the message was taken in, where it is no longer in quarantine.
#[must_use]
pub fn let_in(tenant: &TenantId, message: &Quarantined, actor: &[u8]) -> Option<Commit> {
    let Recorded { entry, opening } = recorded("event-redriven", actor, message)?;
    Some(Commit::new(tenant.clone(), vec![Effect::KeepOpening(opening)], vec![entry]))
}
