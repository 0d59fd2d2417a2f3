//! One line of `entries.jsonl`, judged by itself. Lines do not depend on each other here, so several threads may
//! check them; putting them in order is the verifier's work.

use super::report::FindingCode;
use crate::ledger::canonical::{CanonicalFault, MAX_SAFE_INTEGER};
use crate::ledger::checkpoint::parse_hash;
use crate::ledger::dsse::{Envelope, PAYLOAD_TYPE, entry_leaf_hash};
use crate::ledger::statement::{MAX_PAYLOAD_BYTES, Statement, StatementFault};
use crate::ledger::tree::Hash;
use crate::ledger::trust::Trust;

/// Bytes of a line: the largest payload in base64, and its envelope.
pub const MAX_LINE_BYTES: usize = MAX_PAYLOAD_BYTES / 3 * 4 + 512;

/// What a line holds.
#[derive(Debug, Clone)]
pub enum Content {
    Statement(Box<Statement>),
    Stub {
        seq: u64,
    },
    /// Nothing that could be read.
    Broken,
}

/// A line and what is wrong with it.
#[derive(Debug, Clone)]
pub struct CheckedLine {
    /// Its leaf, as far as one can be computed.
    pub leaf: Option<Hash>,
    pub content: Content,
    pub keyid: Option<[u8; 32]>,
    pub faults: Vec<(FindingCode, String)>,
}

impl CheckedLine {
    #[must_use]
    pub fn seq(&self) -> Option<u64> {
        match &self.content {
            Content::Statement(statement) => Some(statement.seq),
            Content::Stub { seq } => Some(*seq),
            Content::Broken => None,
        }
    }

    fn broken(code: FindingCode, reason: String) -> Self {
        Self { leaf: None, content: Content::Broken, keyid: None, faults: vec![(code, reason)] }
    }
}

const STUB_HEAD: &[u8] = br#"{"pruned":"#;

/// Checks one line, without its LF. With `tree_only` the envelope's signature is not looked at.
#[must_use]
pub fn check_line(trust: &Trust, tree_only: bool, line: &[u8]) -> CheckedLine {
    if line.len() > MAX_LINE_BYTES {
        return CheckedLine::broken(FindingCode::BadEnvelope, format!("the line has {} bytes", line.len()));
    }
    if line.starts_with(STUB_HEAD) {
        return check_stub(line);
    }
    let envelope = match Envelope::parse(line) {
        Ok(envelope) => envelope,
        Err(fault) => return CheckedLine::broken(FindingCode::BadEnvelope, fault.to_string()),
    };
    if envelope.payload_type != PAYLOAD_TYPE {
        let reason = format!("`payloadType` is not {PAYLOAD_TYPE}");
        return CheckedLine::broken(FindingCode::WrongPayloadType, reason);
    }
    let mut faults = vec![];
    if !tree_only {
        match trust.export.iter().find(|key| key.id == envelope.keyid) {
            None => {
                let reason =
                    format!("no export key {} stands in keys.json", crate::ids::hex(&envelope.keyid));
                faults.push((FindingCode::UnknownExportKey, reason));
            }
            Some(key) if !key.signed(&envelope) => {
                let reason = "the envelope's signature does not verify".to_owned();
                faults.push((FindingCode::BadEnvelopeSignature, reason));
            }
            Some(_) => {}
        }
    }
    let leaf = Some(entry_leaf_hash(&envelope.payload));
    let content = match Statement::parse(&envelope.payload) {
        Ok(statement) => Content::Statement(Box::new(statement)),
        Err(fault) => {
            let code = match fault {
                StatementFault::Canonical(CanonicalFault::NotCanonical) => FindingCode::NotCanonical,
                _ => FindingCode::BadStatement,
            };
            faults.push((code, fault.to_string()));
            Content::Broken
        }
    };
    CheckedLine { leaf, content, keyid: Some(envelope.keyid), faults }
}

/// The one form of a stub: `{"pruned":{"leafHash":"<base64>","seq":<n>}}`.
#[must_use]
pub fn stub_line(seq: u64, leaf: &Hash) -> String {
    format!(r#"{{"pruned":{{"leafHash":"{}","seq":{seq}}}}}"#, crate::ledger::checkpoint::hash_text(leaf))
}

fn parse_stub(line: &[u8]) -> Option<(u64, Hash)> {
    let text = std::str::from_utf8(line).ok()?;
    let (leaf, seq) = text.strip_prefix(r#"{"pruned":{"leafHash":""#)?.split_once(r#"","seq":"#)?;
    let seq = crate::ledger::checkpoint::parse_decimal(seq.strip_suffix("}}")?)?;
    Some((seq, parse_hash(leaf)?)).filter(|(seq, _)| *seq < MAX_SAFE_INTEGER)
}

fn check_stub(line: &[u8]) -> CheckedLine {
    match parse_stub(line) {
        Some((seq, leaf)) => {
            CheckedLine { leaf: Some(leaf), content: Content::Stub { seq }, keyid: None, faults: vec![] }
        }
        None => CheckedLine::broken(
            FindingCode::BadStub,
            "a stub is exactly {\"pruned\":{\"leafHash\":<base64>,\"seq\":<n>}}".to_owned(),
        ),
    }
}
