//! Golden files: the bytes of one statement per kind and of a small complete export. A change here is a change of the
//! format, which other people's verifiers read. `UPDATE_GOLDEN=1` writes them anew.

use super::support::*;
use crate::ledger::export::writer::proof_file;
use crate::ledger::trust::LogKeyRange;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/ledger")
}

fn check(name: &str, bytes: &[u8]) {
    let path = folder().join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
    let golden = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(String::from_utf8_lossy(bytes), String::from_utf8_lossy(&golden), "{name}");
}

/// The export that the files hold: openings of one message and target, one proof, a manifest.
pub fn golden_files() -> Files {
    let log = Log::of(&story());
    let id = delivery("a");
    let salt = |field: &str| crate::ledger::commitment::salt(&ENTROPY, id.as_str(), field, 0);
    let mut export = log.export();
    export.openings = vec![
        (salt("message"), b"{\"title\":\"hello\"}".as_slice()),
        (salt("target"), b"https://hooks.example/1".as_slice()),
    ];
    export.proofs = vec![(5, log.inclusion(5))];
    export.manifest = Some("{\"tool\":\"golden\"}\n");
    files(&export)
}

#[test]
fn statements_keep_their_bytes() {
    let log = Log::of(&story());
    let text: String = log.entries.iter().map(|entry| entry.payload.clone() + "\n").collect();
    check("statements.jsonl", text.as_bytes());
    let heads: String = log.heads.iter().map(|(_, note)| note.as_str()).collect();
    check("heads.txt", heads.as_bytes());
    let log = Log::of(&kept_story());
    let text: String = log.entries.iter().map(|entry| entry.payload.clone() + "\n").collect();
    check("kept-statements.jsonl", text.as_bytes());
}

#[test]
fn an_export_keeps_its_bytes_and_verifies() {
    let files = golden_files();
    for (name, bytes) in &files {
        check(&format!("export/{name}"), bytes);
    }
    let (policy, keys) = trust_files(LogKeyRange::always(log_key().note_key().unwrap()));
    check("trust/policy", policy.as_bytes());
    check("trust/keys.json", keys.as_bytes());
    let report = report_of(&files);
    assert_eq!(report.findings, vec![]);
    check("report.txt", (report.to_string() + "\n").as_bytes());
    check("report.json", (serde_json::to_string_pretty(&report).unwrap() + "\n").as_bytes());
    let log = Log::of(&story());
    assert_eq!(proof_file(5, log.inclusion(5), log.checkpoint()).0, "proofs/5.tlog-proof");
}
