//! in-toto Statement v1 of one entry: what [`EntryDraft`] becomes once it has its log, number and time.

use super::canonical::{
    CanonicalFault, MAX_SAFE_INTEGER, check_object_numbers, parse_canonical, to_canonical,
};
use super::commitment::parse_hex32;
use super::draft::{EntryDraft, EntryKind};
use crate::jcs;
use crate::time::{Timestamp, rfc3339_millis};
use serde_json::{Map, Value};
use std::fmt;

pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
pub const PREDICATE_TYPE: &str = "urn:notify-studio:ledger-entry:v1";

/// Bytes of a payload in RFC 8785 form. In base64 with its envelope it stays below the 65,535 bytes that a C2SP
/// entry bundle can hold.
pub const MAX_PAYLOAD_BYTES: usize = 49_152;

/// Parts that one entry may be split into.
const MAX_PARTS: usize = 9_999;

/// Predicate fields that belong to the log, not to the draft.
pub const RESERVED_FIELDS: [&str; 5] = ["log", "seq", "at", "kind", "part"];

/// `part: "number/of"`, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub number: u32,
    pub of: u32,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl Part {
    /// Reads `i/n` with 1 ≤ i ≤ n, 2 ≤ n, no leading zeros.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (number, of) = text.split_once('/')?;
        let part = Self { number: number.parse().ok()?, of: of.parse().ok()? };
        (part.number >= 1 && part.number <= part.of && part.of >= 2 && part.to_string() == text)
            .then_some(part)
    }
}

/// A parsed statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// The origin.
    pub log: String,
    pub seq: u64,
    pub at: Timestamp,
    pub kind: EntryKind,
    pub part: Option<Part>,
    pub subject: Vec<(String, [u8; 32])>,
    /// The kind's own fields, without [`RESERVED_FIELDS`].
    pub predicate: Map<String, Value>,
}

/// Why a draft cannot become a statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftFault {
    #[error("an entry has {bytes} bytes, more than the {MAX_PAYLOAD_BYTES} allowed, and cannot be split")]
    TooLarge { bytes: usize },
    #[error("the field `{0}` is the log's own")]
    Reserved(String),
    #[error("an entry needs a subject")]
    NoSubject,
    #[error("the digest of subject `{0}` is not 64 lower-case hex")]
    SubjectDigest(String),
    #[error("two subjects are called `{0}`")]
    SubjectTwice(String),
    #[error(transparent)]
    Canonical(#[from] CanonicalFault),
}

/// The list that may be split over several entries, per kind.
const fn splittable_list(kind: EntryKind) -> Option<&'static str> {
    match kind {
        EntryKind::Event => Some("decisions"),
        EntryKind::Digest => Some("entries"),
        _ => None,
    }
}

/// Payloads of a draft: one, or several on consecutive numbers when it is too large for one.
///
/// # Errors
/// When the draft is malformed or too large and nothing in it can be split.
pub fn encode(draft: &EntryDraft, log: &str, seq: u64, at: Timestamp) -> Result<Vec<Vec<u8>>, DraftFault> {
    check_draft(draft)?;
    let at = rfc3339_millis(at);
    let whole = View { draft, predicate: &draft.predicate, log, seq, at: &at, part: None };
    let payload = whole.payload();
    if payload.len() <= MAX_PAYLOAD_BYTES {
        return Ok(vec![payload]);
    }
    split(&whole, payload.len())
}

fn check_draft(draft: &EntryDraft) -> Result<(), DraftFault> {
    if let Some(field) = RESERVED_FIELDS.into_iter().find(|field| draft.predicate.contains_key(*field)) {
        return Err(DraftFault::Reserved(field.to_owned()));
    }
    if draft.subject.is_empty() {
        return Err(DraftFault::NoSubject);
    }
    for (i, (name, digest)) in draft.subject.iter().enumerate() {
        if parse_hex32(digest).is_none() {
            return Err(DraftFault::SubjectDigest(name.clone()));
        }
        if draft.subject.iter().take(i).any(|(earlier, _)| earlier == name) {
            return Err(DraftFault::SubjectTwice(name.clone()));
        }
    }
    Ok(check_object_numbers(&draft.predicate)?)
}

fn split(whole: &View<'_>, bytes: usize) -> Result<Vec<Vec<u8>>, DraftFault> {
    let too_large = DraftFault::TooLarge { bytes };
    let Some((field, items)) = splittable_list(whole.draft.kind)
        .and_then(|field| Some((field, whole.predicate.get(field)?.as_array()?)))
    else {
        return Err(too_large);
    };
    let with_items = |items: Vec<Value>| {
        let mut predicate = whole.predicate.clone();
        predicate.insert(field.to_owned(), Value::Array(items));
        predicate
    };
    // Measured with the longest number and part there can be, so that a part never outgrows its measure.
    let widest = Part { number: 9_999, of: 9_999 };
    let empty = with_items(vec![]);
    let overhead =
        View { predicate: &empty, seq: MAX_SAFE_INTEGER, part: Some(widest), ..*whole }.payload().len();
    let room = MAX_PAYLOAD_BYTES.checked_sub(overhead).ok_or_else(|| too_large.clone())?;
    let mut groups: Vec<Vec<Value>> = vec![];
    let mut used = usize::MAX;
    for item in items {
        let needed = to_canonical(item)?.len() + 1;
        if needed > room + 1 {
            return Err(too_large);
        }
        match groups.last_mut() {
            // The last item of a list has no comma after it.
            Some(group) if used.saturating_add(needed) <= room + 1 => {
                group.push(item.clone());
                used += needed;
            }
            _ => {
                groups.push(vec![item.clone()]);
                used = needed;
            }
        }
    }
    if groups.len() < 2 || groups.len() > MAX_PARTS {
        return Err(too_large);
    }
    let of = u32::try_from(groups.len()).map_err(|_| too_large.clone())?;
    (1..=of)
        .zip(groups)
        .map(|(number, items)| {
            let predicate = with_items(items);
            let seq = whole.seq + u64::from(number) - 1;
            let part = Some(Part { number, of });
            let payload = View { predicate: &predicate, seq, part, ..*whole }.payload();
            if payload.len() <= MAX_PAYLOAD_BYTES { Ok(payload) } else { Err(too_large.clone()) }
        })
        .collect()
}

/// A statement to write, borrowing everything. Its numbers were checked.
#[derive(Clone, Copy)]
struct View<'a> {
    draft: &'a EntryDraft,
    predicate: &'a Map<String, Value>,
    log: &'a str,
    seq: u64,
    at: &'a str,
    part: Option<Part>,
}

/// A field of the predicate: the log's own or the draft's.
#[derive(Clone, Copy)]
enum Field<'a> {
    Text(&'a str),
    Seq(u64),
    Value(&'a Value),
}

impl View<'_> {
    /// The RFC 8785 text. The outer keys stand here in their canonical order.
    fn payload(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        out.extend_from_slice(b"{\"_type\":");
        jcs::write_text(STATEMENT_TYPE, &mut out);
        out.extend_from_slice(b",\"predicate\":");
        let part = self.part.map(|part| part.to_string());
        let mut fields = Vec::with_capacity(self.predicate.len() + RESERVED_FIELDS.len());
        fields.push(("at", Field::Text(self.at)));
        fields.push(("kind", Field::Text(self.draft.kind.as_str())));
        fields.push(("log", Field::Text(self.log)));
        fields.push(("seq", Field::Seq(self.seq)));
        fields.extend(part.as_deref().map(|part| ("part", Field::Text(part))));
        fields.extend(self.predicate.iter().map(|(key, value)| (key.as_str(), Field::Value(value))));
        jcs::write_members(&mut fields, &mut out, |field, out| match field {
            Field::Text(text) => jcs::write_text(text, out),
            Field::Seq(seq) => out.extend_from_slice(seq.to_string().as_bytes()),
            Field::Value(value) => jcs::write_whole(value, out),
        });
        out.extend_from_slice(b",\"predicateType\":");
        jcs::write_text(PREDICATE_TYPE, &mut out);
        out.extend_from_slice(b",\"subject\":[");
        for (index, (name, sha256)) in self.draft.subject.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"{\"digest\":{\"sha256\":");
            jcs::write_text(sha256, &mut out);
            out.extend_from_slice(b"},\"name\":");
            jcs::write_text(name, &mut out);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
        out
    }
}

/// Why a payload is not a statement of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementFault {
    #[error(transparent)]
    Canonical(#[from] CanonicalFault),
    #[error("the statement must have exactly `_type`, `predicate`, `predicateType` and `subject`")]
    Keys,
    #[error("`_type` is not {STATEMENT_TYPE}")]
    Type,
    #[error("`predicateType` is not {PREDICATE_TYPE}")]
    PredicateType,
    #[error(
        "`subject` must be a non-empty list of `name` and `digest.sha256` (64 lower-case hex), no name twice"
    )]
    Subject,
    #[error("`predicate.{0}` is missing or not valid")]
    Field(&'static str),
    #[error("`predicate.at` is not RFC 3339 UTC with `Z` and exactly three decimals")]
    At,
    #[error("the kind `{0}` is not known")]
    Kind(String),
}

/// A time in the one form of the ledger.
#[must_use]
pub fn parse_at(text: &str) -> Option<Timestamp> {
    let at: Timestamp = text.parse().ok()?;
    (rfc3339_millis(at) == text && text.len() == 24).then_some(at)
}

impl Statement {
    /// Reads a payload that must be in RFC 8785 form, strictly.
    ///
    /// # Errors
    /// The first thing that is not as `docs/ledger-format.md` says.
    pub fn parse(payload: &[u8]) -> Result<Self, StatementFault> {
        let Value::Object(mut object) = parse_canonical(payload, MAX_PAYLOAD_BYTES)? else {
            return Err(StatementFault::Keys);
        };
        let (Some(r#type), Some(predicate_type), Some(subject), Some(Value::Object(mut predicate)), 0) = (
            object.swap_remove("_type"),
            object.swap_remove("predicateType"),
            object.swap_remove("subject"),
            object.swap_remove("predicate"),
            object.len(),
        ) else {
            return Err(StatementFault::Keys);
        };
        if r#type != STATEMENT_TYPE {
            return Err(StatementFault::Type);
        }
        if predicate_type != PREDICATE_TYPE {
            return Err(StatementFault::PredicateType);
        }
        let subject = parse_subject(&subject).ok_or(StatementFault::Subject)?;
        let Some(Value::String(log)) = predicate.swap_remove("log") else {
            return Err(StatementFault::Field("log"));
        };
        let seq =
            predicate.swap_remove("seq").and_then(|v| v.as_u64()).ok_or(StatementFault::Field("seq"))?;
        let at = predicate.swap_remove("at");
        let at = at.as_ref().and_then(Value::as_str).and_then(parse_at).ok_or(StatementFault::At)?;
        let Some(Value::String(kind)) = predicate.swap_remove("kind") else {
            return Err(StatementFault::Field("kind"));
        };
        let kind = EntryKind::from_name(&kind).ok_or(StatementFault::Kind(kind))?;
        let part = match predicate.swap_remove("part") {
            None => None,
            Some(part) => Some(part.as_str().and_then(Part::parse).ok_or(StatementFault::Field("part"))?),
        };
        Ok(Self { log, seq, at, kind, part, subject, predicate })
    }
}

fn parse_subject(value: &Value) -> Option<Vec<(String, [u8; 32])>> {
    let mut subjects: Vec<(String, [u8; 32])> = vec![];
    for item in value.as_array()? {
        let item = item.as_object().filter(|item| item.len() == 2)?;
        let name = item.get("name")?.as_str()?;
        let digest = item.get("digest")?.as_object().filter(|digest| digest.len() == 1)?;
        if subjects.iter().any(|(earlier, _)| earlier == name) {
            return None;
        }
        subjects.push((name.to_owned(), parse_hex32(digest.get("sha256")?.as_str()?)?));
    }
    (!subjects.is_empty()).then_some(subjects)
}
