//! The ledger entry of a change of configuration.

use crate::auth::Caller;
use notify_core::document::Kind;
use notify_core::ledger::EntryDraft;
use notify_core::ledger::commitment::{Commitment, PlainDigest, salt};
use notify_core::ledger::entry::{ConfigAction, ConfigEntry, DocumentContent};
use notify_store::model::Opening;
use serde_json::json;

/// An entry and what its commitments stand for.
pub struct Recorded {
    pub entry: EntryDraft,
    pub openings: Vec<Opening>,
}

/// Why there is no entry.
#[derive(Debug, thiserror::Error)]
pub enum NotRecorded {
    #[error("the system gives no random bytes: {0}")]
    NoEntropy(getrandom::Error),
    #[error("`{0}` is not a digest")]
    NoDigest(String),
}

/// A commitment to bytes and its opening. `act` and `field` make the salt (ledger format, "Salts").
pub fn commit(entropy: &[u8; 32], act: &str, field: &str, bytes: Vec<u8>) -> (Commitment, Opening) {
    let salt = salt(entropy, act, field, 0);
    let commitment = Commitment::of(&salt, &bytes);
    let opening = Opening { commitment: commitment.hex(), salt, bytes };
    (commitment, opening)
}

/// # Errors
/// When the system has no random bytes.
pub fn entropy() -> Result<[u8; 32], NotRecorded> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(NotRecorded::NoEntropy)?;
    Ok(bytes)
}

/// Who did it, as the bytes behind the `actor` commitment.
#[must_use]
pub fn actor_bytes(caller: &Caller) -> Vec<u8> {
    json!({ "subject": caller.actor.subject, "token": caller.actor.token }).to_string().into_bytes()
}

/// A change of one document. Channels and contacts hold addresses: only a commitment to them is recorded. `forced`: codes of
/// the problems that would have refused it.
///
/// # Errors
/// [`NotRecorded`]
#[allow(clippy::too_many_arguments)] // each is one field of the entry
pub fn config(
    caller: &Caller,
    kind: Kind,
    id: &str,
    version: u64,
    action: ConfigAction,
    digest: &str,
    body: &str,
    forced: Vec<String>,
) -> Result<Recorded, NotRecorded> {
    let entropy = entropy()?;
    let act = format!("config:{}/{id}@{version}:{}", kind.as_str(), action.as_str());
    let (actor, opening) = commit(&entropy, &act, "actor", actor_bytes(caller));
    let mut openings = vec![opening];
    let content = if matches!(kind, Kind::Channel | Kind::Contact) {
        let (content, opening) = commit(&entropy, &act, "config", body.as_bytes().to_vec());
        openings.push(opening);
        DocumentContent::Committed(content)
    } else {
        let digest = PlainDigest::parse(digest).ok_or_else(|| NotRecorded::NoDigest(digest.to_owned()))?;
        DocumentContent::Plain(digest)
    };
    let entry = ConfigEntry {
        document_kind: kind.as_str().to_owned(),
        document: id.to_owned(),
        version,
        action,
        content,
        actor,
        forced,
    };
    Ok(Recorded { entry: entry.into_draft(), openings })
}
