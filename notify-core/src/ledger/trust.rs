//! What an auditor trusts, kept apart from exports: `policy` and `keys.json`, and what they say about a head.

use super::canonical::MAX_SAFE_INTEGER;
use super::checkpoint::{Checkpoint, CheckpointFault};
use super::keys::{ExportPublicKey, PemFault};
use super::note::{KeyType, Note, NoteFault, NoteKey};
use super::policy::{Policy, PolicyFault, Witnessed};
use crate::json::{self, JsonFault, Limits};
use serde_json::{Map, Value, json};

/// Bytes of a `keys.json`.
const MAX_KEYS_BYTES: usize = 4 * 1024 * 1024;

/// A log key and the sequence numbers it may sign for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKeyRange {
    pub key: NoteKey,
    /// A head of size n needs `from ≤ n − 1 ≤ to`.
    pub from: u64,
    pub to: u64,
    /// The key was lost at this sequence number: only heads up to it that a witness cosigned, or that the auditor
    /// holds, are trusted.
    pub revoked: Option<u64>,
}

impl LogKeyRange {
    /// A key for the whole log.
    #[must_use]
    pub const fn always(key: NoteKey) -> Self {
        Self { key, from: 0, to: MAX_SAFE_INTEGER, revoked: None }
    }
}

/// `policy` and `keys.json` together.
#[derive(Debug, Clone)]
pub struct Trust {
    pub policy: Policy,
    pub export: Vec<ExportPublicKey>,
    pub log: Vec<LogKeyRange>,
}

/// Why trust files are not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustFault {
    #[error(transparent)]
    Policy(#[from] PolicyFault),
    #[error("keys.json: {0}")]
    Json(#[from] JsonFault),
    #[error("keys.json: `{path}` {reason}")]
    Keys { path: String, reason: String },
    #[error("keys.json: `/export/{index}/pem`: {fault}")]
    Pem { index: usize, fault: PemFault },
    #[error("the key of {0} has two roles: export, log and witness keys must differ")]
    TwoRoles(String),
}

impl Trust {
    /// # Errors
    /// [`TrustFault`]: a trust file is used as a whole or not at all.
    pub fn parse(policy: &[u8], keys: &[u8]) -> Result<Self, TrustFault> {
        let policy = Policy::parse(policy)?;
        let (export, log) = parse_keys(keys)?;
        let mut publics: Vec<(&[u8; 32], String)> = vec![];
        for key in &export {
            publics.push((key.bytes(), format!("export key {}", key.keyid())));
        }
        for range in &log {
            publics.push((range.key.public(), format!("log {}", range.key.name())));
        }
        for witness in policy.witnesses() {
            publics.push((witness.public(), format!("witness {}", witness.name())));
        }
        for logged in &policy.logs {
            // The same log key stands in both files.
            if !log.iter().any(|range| range.key == *logged) {
                publics.push((logged.public(), format!("log {}", logged.name())));
            }
        }
        publics.sort();
        if let Some(pair) = publics.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(TrustFault::TwoRoles(format!("{} and {}", pair[0].1, pair[1].1)));
        }
        Ok(Self { policy, export, log })
    }

    /// The text of a `keys.json`.
    ///
    /// # Errors
    /// Never for keys that exist; the PEM encoder is fallible.
    pub fn keys_json(export: &[ExportPublicKey], log: &[LogKeyRange]) -> Result<String, PemFault> {
        let export = export
            .iter()
            .map(|key| Ok(json!({"keyid": key.keyid(), "pem": key.to_pem()?})))
            .collect::<Result<Vec<_>, PemFault>>()?;
        let log: Vec<Value> = log
            .iter()
            .map(|range| {
                let mut entry = json!({"vkey": range.key.to_string(), "from": range.from, "to": range.to});
                if let Some(revoked) = range.revoked {
                    entry["revoked"] = revoked.into();
                }
                entry
            })
            .collect();
        Ok(format!("{:#}\n", json!({"export": export, "log": log})))
    }

    /// Whether a signed note is a head to believe in. `held` are heads the auditor knows from elsewhere.
    ///
    /// # Errors
    /// [`HeadFault`]; the quorum is reported, not judged.
    pub fn head(&self, note: &[u8], held: &[Checkpoint]) -> Result<Head, HeadFault> {
        let note = Note::parse(note)?;
        let checkpoint = Checkpoint::parse(&note.text)?;
        // Known lines are verified whatever their name, because one bad line spoils the note.
        let mut signers = vec![];
        for key in &self.policy.logs {
            if note.signature_of(key).map_err(|_| HeadFault::BadSignature(key.name().to_owned()))?.is_some() {
                signers.push(key);
            }
        }
        let witnessed =
            self.policy.witnessed(&note).map_err(|_| HeadFault::BadSignature("a witness".to_owned()))?;
        signers.retain(|key| key.name() == checkpoint.origin);
        if signers.is_empty() {
            return Err(HeadFault::UnknownSigner { origin: checkpoint.origin });
        }
        let believed = !witnessed.cosigners.is_empty() || held.contains(&checkpoint);
        let mut why_not = HeadFault::NotInKeys;
        for signer in signers {
            let Some(range) = self.log.iter().find(|range| range.key == *signer) else { continue };
            match judge_range(range, checkpoint.size, believed) {
                Ok(()) => return Ok(Head { signer: signer.to_string(), checkpoint, note, witnessed }),
                Err(fault) => why_not = fault,
            }
        }
        Err(why_not)
    }
}

fn judge_range(range: &LogKeyRange, size: u64, believed: bool) -> Result<(), HeadFault> {
    let last = size.checked_sub(1).ok_or(HeadFault::Empty)?;
    if !(range.from..=range.to).contains(&last) {
        return Err(HeadFault::OutOfRange { size, from: range.from, to: range.to });
    }
    match range.revoked {
        Some(revoked) if size > revoked || !believed => Err(HeadFault::Revoked { at: revoked }),
        _ => Ok(()),
    }
}

/// A head whose log signature is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub checkpoint: Checkpoint,
    pub note: Note,
    /// vkey of the log key that signed.
    pub signer: String,
    pub witnessed: Witnessed,
}

/// Why a note is not a trusted head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadFault {
    #[error(transparent)]
    Note(#[from] NoteFault),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointFault),
    #[error("the signature of {0} does not verify")]
    BadSignature(String),
    #[error("no log key of the policy with the name `{origin}` has signed it")]
    UnknownSigner { origin: String },
    #[error("the key that signed it does not stand in keys.json")]
    NotInKeys,
    #[error("the head of an empty log cannot be trusted")]
    Empty,
    #[error("a head of size {size} is outside of the signing key's range {from} to {to}")]
    OutOfRange { size: u64, from: u64, to: u64 },
    #[error(
        "the signing key was revoked at {at}: only earlier heads that a witness cosigned or you hold count"
    )]
    Revoked { at: u64 },
}

fn keys_fault(path: impl Into<String>, reason: impl Into<String>) -> TrustFault {
    TrustFault::Keys { path: path.into(), reason: reason.into() }
}

/// Fields `required` exactly, besides `optional` ones.
fn fields<'v>(
    value: &'v Value,
    path: &str,
    required: &[&str],
    optional: &[&str],
) -> Result<&'v Map<String, Value>, TrustFault> {
    let object = value.as_object().ok_or_else(|| keys_fault(path, "is not an object"))?;
    if let Some(missing) = required.iter().find(|field| !object.contains_key(**field)) {
        return Err(keys_fault(path, format!("lacks `{missing}`")));
    }
    match object.keys().find(|key| !required.contains(&key.as_str()) && !optional.contains(&key.as_str())) {
        Some(unknown) => Err(keys_fault(path, format!("has an unknown field `{unknown}`"))),
        None => Ok(object),
    }
}

fn parse_keys(text: &[u8]) -> Result<(Vec<ExportPublicKey>, Vec<LogKeyRange>), TrustFault> {
    let value = json::parse(text, Limits { max_bytes: MAX_KEYS_BYTES, max_depth: 4 })?;
    let object = fields(&value, "", &["export", "log"], &[])?;
    let list = |name: &str| {
        let list = object.get(name).and_then(Value::as_array);
        list.ok_or_else(|| keys_fault(format!("/{name}"), "is not a list"))
    };
    let mut export = vec![];
    for (index, item) in list("export")?.iter().enumerate() {
        let path = format!("/export/{index}");
        let item = fields(item, &path, &["keyid", "pem"], &[])?;
        let pem = item.get("pem").and_then(Value::as_str).unwrap_or_default();
        let key = ExportPublicKey::from_pem(pem).map_err(|fault| TrustFault::Pem { index, fault })?;
        if item.get("keyid").and_then(Value::as_str) != Some(&key.keyid()) {
            return Err(keys_fault(path + "/keyid", "is not the key's SHA-256"));
        }
        export.push(key);
    }
    let mut log = vec![];
    for (index, item) in list("log")?.iter().enumerate() {
        let path = format!("/log/{index}");
        let item = fields(item, &path, &["vkey", "from", "to"], &["revoked"])?;
        let vkey = item.get("vkey").and_then(Value::as_str).unwrap_or_default();
        let key =
            NoteKey::parse(vkey).map_err(|fault| keys_fault(format!("{path}/vkey"), fault.to_string()))?;
        if key.key_type() != KeyType::Ed25519 {
            return Err(keys_fault(path + "/vkey", "is not a log key"));
        }
        let number = |name: &str| {
            let number = item.get(name).and_then(Value::as_u64).filter(|n| *n <= MAX_SAFE_INTEGER);
            number.ok_or_else(|| keys_fault(format!("{path}/{name}"), "is not a sequence number"))
        };
        let revoked = item.contains_key("revoked").then(|| number("revoked")).transpose()?;
        log.push(LogKeyRange { key, from: number("from")?, to: number("to")?, revoked });
    }
    Ok((export, log))
}
