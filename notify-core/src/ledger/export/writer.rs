//! Makes the files of an export from what the store holds. Each file can be made alone, so that a large export is
//! written as it is read; [`Export`] makes a small one at once.

use super::files;
use super::line::stub_line;
use crate::ledger::checkpoint::hash_text;
use crate::ledger::commitment::{Commitment, SALT_BYTES, opening_bytes};
use crate::ledger::dsse::entry_leaf_hash;
use crate::ledger::keys::ExportKey;
use crate::ledger::tlog_proof::TlogProof;
use crate::ledger::tree::Hash;

/// The stored payload does not hash to the stored leaf: the store is damaged, and the export would not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the payload of entry {seq} does not match its leaf hash")]
pub struct DamagedEntry {
    pub seq: u64,
}

/// One entry as the store has it; `payload` is `None` once it was pruned.
#[derive(Debug, Clone, Copy)]
pub struct StoredEntry<'a> {
    pub seq: u64,
    pub payload: Option<&'a str>,
    pub leaf_hash: Hash,
}

/// One line of `entries.jsonl`, with its LF: a signed envelope or a stub.
///
/// # Errors
/// When the payload is not the one that was logged.
pub fn entry_line(key: &ExportKey, entry: StoredEntry<'_>) -> Result<Vec<u8>, DamagedEntry> {
    let mut line = match entry.payload {
        None => stub_line(entry.seq, &entry.leaf_hash).into_bytes(),
        Some(payload) if entry_leaf_hash(payload.as_bytes()) != entry.leaf_hash => {
            return Err(DamagedEntry { seq: entry.seq });
        }
        Some(payload) => key.seal(payload.as_bytes().to_vec()).to_json(),
    };
    line.push(b'\n');
    Ok(line)
}

/// `prefix`: only for exports with `first` > 0. `range` is the compact range of [0, first), largest subtree first
/// (`proof::prefix_nodes`).
#[must_use]
pub fn prefix_file(first: u64, range: &[Hash]) -> String {
    format!("first {first}\n{}", hash_lines(range))
}

/// `consistency`: the proof from `checkpoint.prev`.
#[must_use]
pub fn consistency_file(proof: &[Hash]) -> String {
    hash_lines(proof)
}

fn hash_lines(hashes: &[Hash]) -> String {
    hashes.iter().map(|hash| hash_text(hash) + "\n").collect()
}

/// Name and text of `proofs/<seq>.tlog-proof`.
#[must_use]
pub fn proof_file(seq: u64, path: Vec<Hash>, checkpoint: &str) -> (String, String) {
    let proof = TlogProof { extra: None, index: seq, path, checkpoint: checkpoint.to_owned() };
    (format!("proofs/{seq}.tlog-proof"), proof.to_string())
}

/// Name and bytes of an opening in `payloads/`.
#[must_use]
pub fn opening_file(salt: &[u8; SALT_BYTES], bytes: &[u8]) -> (String, Vec<u8>) {
    (format!("payloads/{}", Commitment::of(salt, bytes).hex()), opening_bytes(salt, bytes))
}

/// Everything a small export is made of.
#[derive(Debug, Default)]
pub struct Export<'a> {
    pub entries: Vec<StoredEntry<'a>>,
    /// The signed note, with witness lines.
    pub checkpoint: &'a str,
    /// First sequence number and compact range before it; `None` from 0 and for filtered exports.
    pub prefix: Option<(u64, &'a [Hash])>,
    pub previous: Option<&'a str>,
    pub consistency: Option<&'a [Hash]>,
    /// Sequence number and inclusion path; one per line for filtered exports.
    pub proofs: Vec<(u64, Vec<Hash>)>,
    pub openings: Vec<([u8; SALT_BYTES], &'a [u8])>,
    pub site_proof: Option<&'a str>,
    /// Text of `manifest.json`: for people, not trusted.
    pub manifest: Option<&'a str>,
}

impl Export<'_> {
    /// Names and bytes, in the order of a tar: heads first.
    ///
    /// # Errors
    /// When an entry does not match its leaf hash.
    pub fn files(&self, key: &ExportKey) -> Result<Vec<(String, Vec<u8>)>, DamagedEntry> {
        let mut out: Vec<(String, Vec<u8>)> = vec![];
        let mut add = |name: &str, text: Option<String>| {
            out.extend(text.map(|text| (name.to_owned(), text.into_bytes())));
        };
        add(files::CHECKPOINT, Some(self.checkpoint.to_owned()));
        add(files::PREFIX, self.prefix.map(|(first, range)| prefix_file(first, range)));
        add(files::PREVIOUS, self.previous.map(str::to_owned));
        add(files::CONSISTENCY, self.consistency.map(consistency_file));
        add(files::SITE_PROOF, self.site_proof.map(str::to_owned));
        add(files::MANIFEST, self.manifest.map(str::to_owned));
        for (seq, path) in &self.proofs {
            let (name, text) = proof_file(*seq, path.clone(), self.checkpoint);
            add(&name, Some(text));
        }
        out.extend(self.openings.iter().map(|(salt, bytes)| opening_file(salt, bytes)));
        let mut lines = vec![];
        for entry in &self.entries {
            lines.extend(entry_line(key, *entry)?);
        }
        out.push((files::ENTRIES.to_owned(), lines));
        Ok(out)
    }
}
