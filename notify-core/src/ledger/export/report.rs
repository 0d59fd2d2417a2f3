//! The outcome of a verification, for people and for programs.

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

macro_rules! finding_codes {
    ($($variant:ident = $code:literal;)*) => {
        /// What was found. The texts are stable: programs may rely on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FindingCode { $($variant,)* }
        impl FindingCode {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $code,)* } }
        }
    };
}

finding_codes! {
    MissingFile = "missing-file";
    BadFileName = "bad-file-name";
    NotRegularFile = "not-a-regular-file";
    DuplicateFile = "duplicate-file";
    TruncatedLine = "truncated-line";
    BadEnvelope = "bad-envelope";
    WrongPayloadType = "wrong-payload-type";
    UnknownExportKey = "unknown-export-key";
    BadEnvelopeSignature = "bad-envelope-signature";
    BadStub = "bad-stub";
    BadStatement = "bad-statement";
    NotCanonical = "not-canonical";
    WrongLog = "wrong-log";
    SequenceGap = "sequence-gap";
    SequenceRepeat = "sequence-repeat";
    TimeBackwards = "time-backwards";
    BadPart = "bad-part";
    GenesisMissing = "genesis-missing";
    GenesisMisplaced = "genesis-misplaced";
    BadField = "bad-field";
    SubjectMismatch = "subject-mismatch";
    MisplacedIntent = "misplaced-intent";
    DuplicateDelivery = "duplicate-delivery";
    MissingIntent = "missing-intent";
    MessageChanged = "message-changed";
    AttemptHole = "attempt-hole";
    AttemptRepeated = "attempt-repeated";
    AttemptUnannounced = "attempt-unannounced";
    DuplicateHold = "duplicate-hold";
    MissingHold = "missing-hold";
    ReleaseRepeated = "release-repeated";
    DigestEntries = "digest-entries";
    DigestOver = "digest-over";
    PrunedWithoutEntry = "pruned-without-entry";
    PrunedProtected = "pruned-protected";
    BadCheckpoint = "bad-checkpoint";
    BadHeadSignature = "bad-head-signature";
    UntrustedHead = "untrusted-head";
    KeyOutOfRange = "key-out-of-range";
    KeyRevoked = "key-revoked";
    QuorumNotMet = "quorum-not-met";
    WrongSize = "wrong-size";
    WrongRoot = "wrong-root";
    BadPrefix = "bad-prefix";
    BadPrevious = "bad-previous";
    BadConsistency = "bad-consistency";
    Inconsistent = "inconsistent";
    BadProof = "bad-proof";
    MissingProof = "missing-proof";
    BadSiteProof = "bad-site-proof";
    BadOpening = "bad-opening";
    UnmatchedOpening = "unmatched-opening";
}

impl Serialize for FindingCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub code: FindingCode,
    /// The file it is in.
    pub file: String,
    /// Line of `entries.jsonl`, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The entry it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    pub reason: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.file)?;
        if let Some(line) = self.line {
            write!(f, " line {line}")?;
        }
        if let Some(seq) = self.seq {
            write!(f, " (entry {seq})")?;
        }
        write!(f, ": {}", self.reason)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything that was asked for holds; [`Report::limits`] says what was not asked for.
    Verified,
    Failed,
}

/// Findings that a report keeps; the rest is only counted.
pub const MAX_FINDINGS: usize = 1000;

/// What a verification saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub verdict: Verdict,
    /// The log; empty when there was no readable checkpoint.
    pub origin: String,
    /// Sequence number of the first line; `None` for a filtered export.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    /// Size of the tree the checkpoint speaks of.
    pub size: u64,
    /// Root in base64, as in the checkpoint.
    pub root: String,
    /// vkey of the log key whose signature is trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// Witnesses that cosigned, with POSIX seconds.
    pub witnesses: Vec<(String, u64)>,
    pub lines: u64,
    pub pruned: u64,
    pub kinds: BTreeMap<&'static str, u64>,
    /// Deliveries that were announced, and those without an end in this export.
    pub deliveries: u64,
    pub open_deliveries: u64,
    /// keyid of every export key that signed a line.
    pub exporters: Vec<String>,
    pub proofs: u64,
    pub openings: u64,
    /// What this verification does not say.
    pub limits: Vec<String>,
    /// Files that were not looked at.
    pub untrusted_files: Vec<String>,
    pub findings: Vec<Finding>,
    /// Number of findings, also beyond [`MAX_FINDINGS`].
    pub findings_total: u64,
}

impl Report {
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.verdict == Verdict::Verified
    }

    pub(super) fn find(
        &mut self,
        code: FindingCode,
        file: &str,
        line: Option<u64>,
        seq: Option<u64>,
        reason: impl Into<String>,
    ) {
        self.findings_total += 1;
        self.verdict = Verdict::Failed;
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { code, file: file.to_owned(), line, seq, reason: reason.into() });
        }
    }

    pub(super) fn empty() -> Self {
        Self {
            verdict: Verdict::Verified,
            origin: String::new(),
            first: None,
            size: 0,
            root: String::new(),
            signed_by: None,
            witnesses: vec![],
            lines: 0,
            pruned: 0,
            kinds: BTreeMap::new(),
            deliveries: 0,
            open_deliveries: 0,
            exporters: vec![],
            proofs: 0,
            openings: 0,
            limits: vec![],
            untrusted_files: vec![],
            findings: vec![],
            findings_total: 0,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.origin.is_empty() {
            writeln!(f, "log       {}", self.origin)?;
            writeln!(f, "head      size {}, root {}", self.size, self.root)?;
        }
        if let Some(key) = &self.signed_by {
            writeln!(f, "signed by {key}")?;
        }
        for (name, time) in &self.witnesses {
            writeln!(f, "witness   {name} at {time}")?;
        }
        match self.first {
            Some(first) => writeln!(f, "entries   {} from {first}, {} pruned", self.lines, self.pruned)?,
            None => writeln!(f, "entries   {} chosen ones, {} pruned", self.lines, self.pruned)?,
        }
        let kinds: Vec<String> = self.kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        if !kinds.is_empty() {
            writeln!(f, "kinds     {}", kinds.join(", "))?;
        }
        writeln!(
            f,
            "sent      {} deliveries announced, {} without an end",
            self.deliveries, self.open_deliveries
        )?;
        writeln!(f, "proofs    {}, openings {}", self.proofs, self.openings)?;
        for limit in &self.limits {
            writeln!(f, "note      {limit}")?;
        }
        for finding in &self.findings {
            writeln!(f, "FINDING   {finding}")?;
        }
        let hidden = self.findings_total - self.findings.len() as u64;
        if hidden > 0 {
            writeln!(f, "FINDING   and {hidden} more")?;
        }
        match self.verdict {
            Verdict::Verified => write!(f, "VERIFIED"),
            Verdict::Failed => write!(f, "FAILED    {} findings", self.findings_total),
        }
    }
}
