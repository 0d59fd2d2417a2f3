//! What auditors read: exports as tars, notes, checkpoints, proofs, policies, envelopes, statements.

use ed25519_dalek::SigningKey;
use notify_core::ledger::append::{Appender, LogState};
use notify_core::ledger::checkpoint::Checkpoint;
use notify_core::ledger::commitment::Commitment;
use notify_core::ledger::dsse::Envelope;
use notify_core::ledger::entry::{ConfigAction, ConfigEntry, DocumentContent, Genesis};
use notify_core::ledger::export::files::ENTRIES;
use notify_core::ledger::export::writer::{Export, StoredEntry};
use notify_core::ledger::export::{ExportFiles, FileRole, Verifier, VerifyOptions};
use notify_core::ledger::keys::{ExportKey, LogKey, LogKeys};
use notify_core::ledger::note::{Note, NoteKey};
use notify_core::ledger::policy::Policy;
use notify_core::ledger::statement::Statement;
use notify_core::ledger::tlog_proof::TlogProof;
use notify_core::ledger::trust::{LogKeyRange, Trust};
use std::io::Read;
use std::path::PathBuf;
use std::sync::OnceLock;

// The program's own reader of tars: it is part of no library.
#[path = "../../notify-cli/src/tar.rs"]
mod tar;

fn log_key() -> LogKey {
    let keys = LogKeys::new("fuzz.example", [3; 32]).expect("a host name");
    keys.log_key("fuzz.example/tenant/0123456789abcdef").expect("an origin")
}

fn export_key() -> ExportKey {
    ExportKey::from_seed(&[2; 32])
}

fn trust() -> &'static (Trust, String, String) {
    static TRUST: OnceLock<(Trust, String, String)> = OnceLock::new();
    TRUST.get_or_init(|| {
        let key = log_key().note_key().expect("a key");
        let policy = Policy::without_witnesses([&key]);
        let keys =
            Trust::keys_json(&[export_key().public().clone()], &[LogKeyRange::always(key)]).expect("PEM");
        (Trust::parse(policy.as_bytes(), keys.as_bytes()).expect("our own files"), policy, keys)
    })
}

/// Files of a small export that verifies: where the fuzzer begins.
#[must_use]
pub fn sample_files() -> Vec<(String, Vec<u8>)> {
    let mut log = Appender::new(LogState::empty(log_key().origin()));
    let at = "2026-11-22T06:00:00Z".parse().expect("a time");
    let config = ConfigEntry {
        document_kind: "rule".into(),
        document: "critical".into(),
        version: 1,
        action: ConfigAction::Create,
        content: DocumentContent::Committed(Commitment::of(&[5; 32], b"{}")),
        actor: Commitment::of(&[6; 32], b"alice"),
        forced: vec![],
    };
    log.append(&[Genesis::default().into_draft(), config.into_draft()], at).expect("good drafts");
    let appended = log.finish(&log_key()).expect("the log's key");
    let entries = appended.entries.iter();
    let export = Export {
        entries: entries
            .map(|entry| StoredEntry {
                seq: entry.seq,
                payload: Some(&entry.payload),
                leaf_hash: entry.leaf_hash,
            })
            .collect(),
        checkpoint: &appended.checkpoint,
        openings: vec![([6; 32], b"alice")],
        ..Export::default()
    };
    export.files(&export_key()).expect("an undamaged log")
}

/// These files as a tar.
#[must_use]
pub fn tar_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, bytes) in files {
        let mut header = [0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000644");
        header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = b'0';
        header[257..263].copy_from_slice(b"ustar\0");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(512), 0);
    }
    out.resize(out.len() + 1024, 0);
    out
}

fn scratch() -> &'static PathBuf {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let memory = PathBuf::from("/dev/shm");
        let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
        folder.join(format!("notify-fuzz-{}", std::process::id()))
    })
}

/// Verifies an export as the program does. True when it is believed.
pub fn believed(data: &[u8]) -> bool {
    let path = scratch();
    std::fs::write(path, data).expect("the scratch file can be written");
    let opened = tar::Tar::open(path);
    let _ = std::fs::remove_file(path);
    let Ok(tar) = opened else { return false };
    let mut files = ExportFiles::new();
    let mut entries = None;
    for member in &tar.members {
        if !member.regular {
            files.refuse(&member.name);
            continue;
        }
        let mut content = Vec::new();
        if tar.reader(member).and_then(|mut reader| reader.read_to_end(&mut content)).is_err() {
            return false;
        }
        if member.name == ENTRIES {
            if matches!(files.declare(&member.name), Some(FileRole::Entries)) {
                entries = Some(content);
            }
        } else {
            files.add(&member.name, content);
        }
    }
    let mut verifier = Verifier::new(&files, &trust().0, VerifyOptions::default());
    // In pieces, as it comes from a file.
    for piece in entries.unwrap_or_default().chunks(1000) {
        verifier.feed(piece);
    }
    let report = verifier.finish();
    let _ = (report.to_string(), serde_json::to_string(&report));
    report.is_verified() && report.lines > 0
}

/// The tar of an export. A sound one stays believed only if its entries and head are unchanged.
pub fn export(data: &[u8]) {
    static SAMPLE: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    if believed(data) {
        let sample = SAMPLE.get_or_init(sample_files);
        for name in ["checkpoint", ENTRIES] {
            let content = &sample.iter().find(|(file, _)| file == name).expect("every export has it").1;
            let found = data.windows(content.len()).any(|window| window == content.as_slice());
            assert!(found, "an export is believed whose {name} is not the one that was signed");
        }
    }
}

/// The texts of the ledger, each by its own reader; what is read writes itself as it was.
pub fn ledger_text(data: &[u8]) {
    if let Ok(note) = Note::parse(data) {
        assert_eq!(note.to_string().as_bytes(), data);
        let _ = trust().0.head(data, &[]);
        let _ = trust().0.policy.witnessed(&note);
        if let Ok(checkpoint) = Checkpoint::parse(&note.text) {
            assert_eq!(checkpoint.to_string(), note.text);
        }
    }
    if let Ok(proof) = TlogProof::parse(data) {
        assert_eq!(proof.to_string().as_bytes(), data);
    }
    if let Ok(envelope) = Envelope::parse(data) {
        assert_eq!(envelope.to_json(), data);
        let _ = export_key().public().signed(&envelope);
        let _ = Statement::parse(&envelope.payload);
    }
    let _ = Statement::parse(data);
    if let Ok(policy) = Policy::parse(data) {
        assert!(policy.witnesses().count() <= data.len());
        let _ = Trust::parse(data, trust().2.as_bytes());
    }
    let _ = Trust::parse(trust().1.as_bytes(), data);
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(key) = NoteKey::parse(text) {
            assert_eq!(key.to_string(), text);
        }
        let _ = Checkpoint::parse(text);
    }
}

/// The key with which service targets sign.
#[must_use]
pub fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}
