//! Verifies an export against trust files: heads and proofs first, then line by line in one pass.

use super::fields::Faults;
use super::files::{
    CHECKPOINT, CONSISTENCY, ENTRIES, ExportFiles, FileFault, FileRole, PREFIX, PREVIOUS, SITE_PROOF,
};
use super::line::{CheckedLine, Content, MAX_LINE_BYTES, check_line};
use super::report::{FindingCode as Code, Report};
use super::semantics::{Semantics, commitments};
use crate::ids::hex;
use crate::ledger::checkpoint::{Checkpoint, hash_text, parse_decimal, parse_hash};
use crate::ledger::commitment::SALT_BYTES;
use crate::ledger::keys::Origin;
use crate::ledger::note::Note;
use crate::ledger::proof::{verify_consistency_for_witness, verify_inclusion};
use crate::ledger::tlog_proof::TlogProof;
use crate::ledger::tree::{CompactRange, Hash, leaf_hash};
use crate::ledger::trust::{Head, HeadFault, Trust};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// How much to ask of an export.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// The export is a selection: lines with one proof each. Completeness is not proven then.
    pub filtered: bool,
    /// Do not check envelope signatures; the tree and its head still bind every byte of every statement.
    pub tree_only: bool,
    /// Heads the auditor knows from elsewhere (earlier exports, a mail, a witness).
    pub held: Vec<Checkpoint>,
}

/// Verifies an export that is in memory.
#[must_use]
pub fn verify(files: &ExportFiles, trust: &Trust, options: VerifyOptions) -> Report {
    let mut verifier = Verifier::new(files, trust, options);
    match files.get(&FileRole::Entries) {
        Some(entries) => verifier.feed(entries),
        None => verifier.report.find(Code::MissingFile, ENTRIES, None, None, "the export has no entries"),
    }
    verifier.finish()
}

/// Verifies an export whose entries come piece by piece.
#[derive(Debug)]
pub struct Verifier<'t> {
    trust: &'t Trust,
    options: VerifyOptions,
    report: Report,
    head: Option<Head>,
    /// The tree of all leaves up to here; unused when filtered.
    range: CompactRange,
    /// The sequence number the next line should have; `None` before the first line of a filtered export.
    expected: Option<u64>,
    semantics: Semantics,
    /// Heads whose root is compared when the tree has their size.
    milestones: BTreeMap<u64, Vec<(Hash, String)>>,
    /// Proofs that wait for their line.
    proofs: BTreeMap<u64, TlogProof>,
    /// Openings that no line has committed to yet.
    openings: BTreeSet<[u8; 32]>,
    exporters: BTreeSet<[u8; 32]>,
    /// An incomplete line.
    rest: Vec<u8>,
    overlong: bool,
}

impl<'t> Verifier<'t> {
    /// Judges everything but the entries.
    #[must_use]
    pub fn new(files: &ExportFiles, trust: &'t Trust, options: VerifyOptions) -> Self {
        let mut verifier = Self {
            trust,
            report: Report::empty(),
            head: None,
            range: CompactRange::new(),
            expected: (!options.filtered).then_some(0),
            semantics: Semantics::new(options.filtered, options.filtered),
            milestones: BTreeMap::new(),
            proofs: BTreeMap::new(),
            openings: BTreeSet::new(),
            exporters: BTreeSet::new(),
            rest: vec![],
            overlong: false,
            options,
        };
        verifier.check_files(files);
        verifier.check_head(files);
        verifier.check_prefix(files);
        verifier.check_previous(files);
        verifier.check_held();
        verifier.read_proofs(files);
        verifier.read_openings(files);
        verifier.check_site(files);
        verifier.check_milestones();
        verifier
    }

    fn find(&mut self, code: Code, file: &str, reason: impl Into<String>) {
        self.report.find(code, file, None, None, reason);
    }

    fn check_files(&mut self, files: &ExportFiles) {
        for (name, fault) in &files.faults {
            let code = match fault {
                FileFault::Twice => Code::DuplicateFile,
                FileFault::NotRegular => Code::NotRegularFile,
                FileFault::Place | FileFault::ProofName | FileFault::OpeningName => Code::BadFileName,
            };
            self.find(code, name, fault.to_string());
        }
        self.report.untrusted_files.clone_from(&files.untrusted);
        if self.options.filtered {
            self.report.limits.push("the export is filtered: completeness is not proven".to_owned());
        }
        if self.options.tree_only {
            self.report.limits.push("envelope signatures were not checked".to_owned());
        }
    }

    fn check_head(&mut self, files: &ExportFiles) {
        let Some(note) = files.get(&FileRole::Checkpoint) else {
            return self.find(Code::MissingFile, CHECKPOINT, "the export has no checkpoint");
        };
        match self.trust.head(note, &self.options.held) {
            Err(fault) => self.find(head_code(&fault), CHECKPOINT, fault.to_string()),
            Ok(head) => {
                self.report.origin.clone_from(&head.checkpoint.origin);
                self.report.size = head.checkpoint.size;
                self.report.root = hash_text(&head.checkpoint.root);
                self.report.signed_by = Some(head.signer.clone());
                self.report.witnesses.clone_from(&head.witnessed.cosigners);
                self.head = Some(head);
            }
        }
    }

    fn check_prefix(&mut self, files: &ExportFiles) {
        let Some(prefix) = files.get(&FileRole::Prefix) else { return };
        if self.options.filtered {
            return self.find(Code::BadPrefix, PREFIX, "a filtered export has no prefix");
        }
        match parse_prefix(prefix) {
            Ok(range) => {
                self.expected = Some(range.size());
                self.range = range;
                self.semantics = Semantics::new(true, false);
            }
            Err(reason) => self.find(Code::BadPrefix, PREFIX, reason),
        }
    }

    fn check_previous(&mut self, files: &ExportFiles) {
        let consistency = files.get(&FileRole::Consistency);
        let Some(note) = files.get(&FileRole::PreviousCheckpoint) else {
            if consistency.is_some() {
                self.find(
                    Code::BadConsistency,
                    CONSISTENCY,
                    "there is no checkpoint.prev it could start from",
                );
            }
            return;
        };
        let previous = match self.trust.head(note, &self.options.held) {
            Ok(head) => head.checkpoint,
            Err(fault) => return self.find(Code::BadPrevious, PREVIOUS, fault.to_string()),
        };
        let Some(head) = self.head.as_ref().map(|head| head.checkpoint.clone()) else { return };
        if previous.origin != head.origin {
            return self.find(Code::BadPrevious, PREVIOUS, "it is the head of another log");
        }
        if previous.size > head.size {
            return self.find(Code::BadPrevious, PREVIOUS, "it is newer than the export's checkpoint");
        }
        if let Some(text) = consistency {
            let verdict = match parse_hashes(text) {
                None => Err("it does not hold one base64 hash per line".to_owned()),
                Some(proof) => verify_consistency_for_witness(
                    previous.size,
                    head.size,
                    &proof,
                    &previous.root,
                    &head.root,
                )
                .map_err(|fault| fault.to_string()),
            };
            if let Err(reason) = verdict {
                self.find(Code::BadConsistency, CONSISTENCY, reason);
            }
        }
        // Where the lines pass the older head, they show by themselves whether they extend it.
        if !self.options.filtered && previous.size >= self.range.size() {
            self.milestones.entry(previous.size).or_default().push((previous.root, PREVIOUS.to_owned()));
        } else if consistency.is_none() {
            self.find(Code::BadConsistency, CONSISTENCY, "the older head needs a consistency proof");
        }
    }

    fn check_held(&mut self) {
        let Some(head) = self.head.as_ref().map(|head| head.checkpoint.clone()) else { return };
        let held = std::mem::take(&mut self.options.held);
        for known in held.iter().filter(|known| known.origin == head.origin) {
            if known.size == head.size && known.root != head.root {
                let reason = "a head of the same size with another root is held: the log shows two histories";
                self.find(Code::Inconsistent, CHECKPOINT, reason);
            } else if !self.options.filtered && (self.range.size()..=head.size).contains(&known.size) {
                let name = format!("the held head of size {}", known.size);
                self.milestones.entry(known.size).or_default().push((known.root, name));
            }
        }
        self.options.held = held;
    }

    fn read_proofs(&mut self, files: &ExportFiles) {
        for (role, bytes) in &files.files {
            let FileRole::Proof(seq) = role else { continue };
            let file = proof_name(*seq);
            let proof = match TlogProof::parse(bytes) {
                Ok(proof) => proof,
                Err(fault) => {
                    self.report.find(Code::BadProof, &file, None, Some(*seq), fault.to_string());
                    continue;
                }
            };
            if let Err(reason) = self.check_proof_head(&proof, *seq) {
                self.report.find(Code::BadProof, &file, None, Some(*seq), reason);
                continue;
            }
            self.report.proofs += 1;
            self.proofs.insert(*seq, proof);
        }
    }

    fn check_proof_head(&self, proof: &TlogProof, seq: u64) -> Result<(), String> {
        if proof.index != seq {
            return Err(format!("the index line says {}", proof.index));
        }
        let Some(head) = &self.head else { return Ok(()) };
        if proof.checkpoint == head.note.to_string() {
            return Ok(());
        }
        // The same head may carry other witness lines; its text and the log's signature may not differ.
        let own = self.trust.head(proof.checkpoint.as_bytes(), &self.options.held);
        match own {
            Ok(own) if own.checkpoint == head.checkpoint => Ok(()),
            Ok(_) => Err("it is not under the export's own checkpoint".to_owned()),
            Err(fault) => Err(fault.to_string()),
        }
    }

    fn read_openings(&mut self, files: &ExportFiles) {
        for (role, bytes) in &files.files {
            let FileRole::Opening(name) = role else { continue };
            let digest: [u8; 32] = Sha256::digest(bytes).into();
            let file = format!("payloads/{}", hex(name));
            if digest != *name {
                self.find(Code::BadOpening, &file, "its SHA-256 is not its name");
            } else if bytes.len() < SALT_BYTES {
                self.find(Code::BadOpening, &file, "it is too short to begin with a salt");
            } else {
                self.report.openings += 1;
                self.openings.insert(*name);
            }
        }
    }

    /// `site.tlog-proof` shows the tenant's head in the site's log; the quorum may rest on either.
    fn check_site(&mut self, files: &ExportFiles) {
        let Some(head) = self.head.clone() else { return };
        let mut quorum_met = head.witnessed.quorum_met;
        if let Some(bytes) = files.get(&FileRole::SiteProof) {
            match self.site_head(bytes, &head) {
                Ok(site) => {
                    quorum_met |= site.witnessed.quorum_met;
                    self.report.witnesses.extend(site.witnessed.cosigners);
                }
                Err(reason) => self.find(Code::BadSiteProof, SITE_PROOF, reason),
            }
        }
        if !quorum_met {
            self.find(Code::QuorumNotMet, CHECKPOINT, "too few of the policy's witnesses have cosigned");
        }
    }

    fn site_head(&self, bytes: &[u8], head: &Head) -> Result<Head, String> {
        let proof = TlogProof::parse(bytes).map_err(|fault| fault.to_string())?;
        let site = self.trust.head(proof.checkpoint.as_bytes(), &[]).map_err(|fault| fault.to_string())?;
        let expected = match Origin::parse(&head.checkpoint.origin) {
            Ok(Origin::Tenant { site, .. }) => format!("{site}/site"),
            _ => return Err("the export's origin is not that of a tenant".to_owned()),
        };
        if site.checkpoint.origin != expected {
            return Err(format!("its checkpoint is not that of {expected}"));
        }
        // The leaf is the note as the log signed it: without the lines of witnesses, which came later.
        let signer = self.trust.policy.logs.iter().find(|key| key.to_string() == head.signer);
        let lines = head.note.signatures.iter();
        let own =
            lines.filter(|line| signer.is_some_and(|key| key.name() == line.name && key.id() == line.id));
        let leaf = Note { text: head.note.text.clone(), signatures: own.take(1).cloned().collect() };
        let Checkpoint { size, root, .. } = &site.checkpoint;
        verify_inclusion(&leaf_hash(leaf.to_string().as_bytes()), proof.index, *size, &proof.path, root)
            .map_err(|fault| fault.to_string())?;
        Ok(site)
    }

    fn check_milestones(&mut self) {
        let Some(expected) = self.milestones.remove(&self.range.size()) else { return };
        let root = self.range.root();
        for (wanted, name) in expected {
            if wanted != root {
                let reason = format!("the tree at size {} has another root than {name}", self.range.size());
                self.find(Code::Inconsistent, ENTRIES, reason);
            }
        }
    }

    /// Takes the next piece of `entries.jsonl`, of any length.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (piece, after) = bytes.split_at(end);
            bytes = after.split_first().map_or(&[], |(_, rest)| rest);
            if self.overlong {
                self.overlong = false;
                self.rest.clear();
            } else if self.rest.is_empty() {
                let line = check_line(self.trust, self.options.tree_only, piece);
                self.accept(line);
            } else {
                let mut whole = std::mem::take(&mut self.rest);
                whole.extend_from_slice(piece);
                let line = check_line(self.trust, self.options.tree_only, &whole);
                self.accept(line);
            }
        }
        if !self.overlong {
            self.rest.extend_from_slice(bytes);
            // Judged at once, so that a file without line ends cannot fill the memory.
            if self.rest.len() > MAX_LINE_BYTES {
                let line = check_line(self.trust, self.options.tree_only, &self.rest);
                self.accept(line);
                self.overlong = true;
                self.rest.clear();
            }
        }
    }

    /// Takes the next line, checked by [`check_line`] (perhaps on another thread), in order.
    pub fn accept(&mut self, line: CheckedLine) {
        self.report.lines += 1;
        let number = self.report.lines;
        let seq = line.seq().or(self.expected);
        for (code, reason) in line.faults {
            self.report.find(code, ENTRIES, Some(number), seq, reason);
        }
        if let Some(found) = match &line.content {
            Content::Statement(statement) => Some(statement.seq),
            Content::Stub { seq } => Some(*seq),
            Content::Broken => None,
        } {
            self.check_sequence(number, found);
        } else {
            self.expected = self.expected.map(|seq| seq.saturating_add(1));
        }
        if let Some(leaf) = line.leaf {
            self.check_leaf(number, seq, leaf);
        }
        self.exporters.extend(line.keyid);
        match line.content {
            Content::Stub { seq } => {
                self.report.pruned += 1;
                self.semantics.stub(seq);
            }
            Content::Statement(statement) => {
                *self.report.kinds.entry(statement.kind.as_str()).or_default() += 1;
                let mut faults = Faults::default();
                if self.head.as_ref().is_some_and(|head| head.checkpoint.origin != statement.log) {
                    faults.add(Code::WrongLog, format!("the entry is of log `{}`", statement.log));
                }
                self.semantics.statement(&statement, &mut faults);
                for (code, reason) in faults.0 {
                    self.report.find(code, ENTRIES, Some(number), seq, reason);
                }
                if !self.openings.is_empty() {
                    commitments(&statement, &mut |commitment| {
                        self.openings.remove(&commitment);
                    });
                }
            }
            Content::Broken => {}
        }
    }

    fn check_sequence(&mut self, number: u64, found: u64) {
        match self.expected {
            Some(expected) if found < expected => {
                let reason = format!("entry {found} stands where {expected} or later should");
                self.report.find(Code::SequenceRepeat, ENTRIES, Some(number), Some(found), reason);
                // A line out of place does not move what is expected next.
                return;
            }
            Some(expected) if found > expected && !self.options.filtered => {
                let reason = match found - expected {
                    1 => format!("entry {expected} is missing"),
                    _ => format!("entries {expected} to {} are missing", found - 1),
                };
                self.report.find(Code::SequenceGap, ENTRIES, Some(number), Some(expected), reason);
            }
            _ => {}
        }
        // Go on from here: one gap is one finding.
        self.expected = Some(found.saturating_add(1));
    }

    fn check_leaf(&mut self, number: u64, seq: Option<u64>, leaf: Hash) {
        if !self.options.filtered {
            self.range.push(leaf, |_| {});
            self.check_milestones();
        }
        let Some(seq) = seq else { return };
        match (self.proofs.remove(&seq), &self.head) {
            (Some(proof), Some(head)) => {
                let Checkpoint { size, root, .. } = &head.checkpoint;
                if let Err(fault) = verify_inclusion(&leaf, seq, *size, &proof.path, root) {
                    self.report.find(
                        Code::BadProof,
                        &proof_name(seq),
                        Some(number),
                        Some(seq),
                        fault.to_string(),
                    );
                }
            }
            (None, Some(_)) if self.options.filtered => {
                let reason = "a filtered export needs a proof for every line";
                self.report.find(Code::MissingProof, ENTRIES, Some(number), Some(seq), reason);
            }
            _ => {}
        }
    }

    /// The verdict.
    #[must_use]
    pub fn finish(mut self) -> Report {
        if !self.rest.is_empty() || self.overlong {
            let line = Some(self.report.lines + u64::from(!self.overlong));
            self.report.find(
                Code::TruncatedLine,
                ENTRIES,
                line,
                self.expected,
                "the last line has no line end",
            );
        }
        if !self.options.filtered {
            self.report.first = Some(self.range.size().saturating_sub(self.report.lines));
            self.check_tree();
        }
        for (seq, _) in std::mem::take(&mut self.proofs) {
            let reason = "the entry it is about is not in the export";
            self.report.find(Code::BadProof, &proof_name(seq), None, Some(seq), reason);
        }
        for name in std::mem::take(&mut self.openings) {
            let file = format!("payloads/{}", hex(&name));
            self.find(Code::UnmatchedOpening, &file, "no shown entry commits to it");
        }
        let report = &mut self.report;
        let totals = self.semantics.finish(|code, seq, reason| report.find(code, ENTRIES, None, seq, reason));
        report.deliveries = totals.deliveries;
        report.open_deliveries = totals.open;
        report.exporters = self.exporters.iter().map(|id| hex(id)).collect();
        self.report
    }

    fn check_tree(&mut self) {
        let Some(head) = self.head.as_ref().map(|head| head.checkpoint.clone()) else { return };
        let size = self.range.size();
        if size != head.size {
            let mut reason = format!("the lines end at {size}, the checkpoint says {}", head.size);
            if self.report.proofs > 0 && self.report.proofs == self.report.lines {
                reason += "; a filtered export is verified only as such";
            }
            self.find(Code::WrongSize, ENTRIES, reason);
        } else if self.range.root() != head.root {
            self.find(Code::WrongRoot, ENTRIES, "the lines lead to another root than the checkpoint's");
        }
        for name in std::mem::take(&mut self.milestones).into_values().flatten().map(|(_, name)| name) {
            self.find(Code::Inconsistent, ENTRIES, format!("the lines do not reach {name}"));
        }
    }
}

fn proof_name(seq: u64) -> String {
    format!("proofs/{seq}.tlog-proof")
}

const fn head_code(fault: &HeadFault) -> Code {
    match fault {
        HeadFault::Note(_) | HeadFault::Checkpoint(_) => Code::BadCheckpoint,
        HeadFault::BadSignature(_) => Code::BadHeadSignature,
        HeadFault::UnknownSigner { .. } | HeadFault::NotInKeys | HeadFault::Empty => Code::UntrustedHead,
        HeadFault::OutOfRange { .. } => Code::KeyOutOfRange,
        HeadFault::Revoked { .. } => Code::KeyRevoked,
    }
}

/// One base64 hash per LF-terminated line.
fn parse_hashes(bytes: &[u8]) -> Option<Vec<Hash>> {
    if bytes.is_empty() {
        return Some(vec![]);
    }
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() < 64 * 1024)?;
    text.strip_suffix('\n')?.split('\n').map(parse_hash).collect()
}

fn parse_prefix(bytes: &[u8]) -> Result<CompactRange, String> {
    let form = "it is not `first <n>` and one base64 hash per line";
    let end = bytes.iter().position(|byte| *byte == b'\n').ok_or(form)?;
    let (first, rest) = bytes.split_at(end + 1);
    let first =
        std::str::from_utf8(first).ok().and_then(|line| line.strip_prefix("first ")?.strip_suffix('\n'));
    let first = first.and_then(parse_decimal).filter(|first| *first > 0).ok_or(form)?;
    let hashes = parse_hashes(rest).ok_or(form)?;
    CompactRange::from_hashes(first, hashes).map_err(|fault| fault.to_string())
}
