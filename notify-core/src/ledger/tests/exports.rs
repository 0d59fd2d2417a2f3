//! Exports that must verify, and every way to tamper with one.

use super::golden::golden_files;
use super::support::*;
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::export::writer::Export;
use crate::ledger::export::{ExportFiles, Verifier, VerifyOptions, verify};
use crate::ledger::keys::LogKeys;
use crate::ledger::note::{self, KeyType, Note, NoteKey};
use crate::ledger::tree::{CompactRange, Hash, leaf_hash};
use crate::ledger::trust::{LogKeyRange, Trust, TrustFault};
use ed25519_dalek::SigningKey;

#[test]
fn every_single_byte_flip_is_refused() {
    // Genesis, an event with an intent and its attempt: small, because every byte costs a verification.
    let story = story();
    let log = Log::of(&[story[0].clone(), story[4].clone(), story[5].clone()]);
    let id = delivery("a");
    let salt = crate::ledger::commitment::salt(&ENTROPY, id.as_str(), "message", 0);
    let openings = vec![(salt, b"{\"title\":\"hello\"}".as_slice())];
    let proofs = vec![(1, log.inclusion(1))];
    let previous = Some(log.head_at(2));
    let consistency = log.consistency(2);
    let good = files(&Export {
        openings,
        proofs,
        previous,
        consistency: Some(&consistency),
        manifest: Some("{}\n"),
        ..log.export()
    });
    assert_eq!(report_of(&good).findings, vec![]);
    let trust = trust();
    for (index, (name, bytes)) in good.iter().enumerate() {
        if name == "manifest.json" {
            continue;
        }
        // One bit in every byte; every bit in the files that frame the rest.
        let masks: &[u8] = if name == "entries.jsonl" { &[0x01] } else { &[0x01, 0x20, 0x80] };
        for position in 0..bytes.len() {
            for mask in masks {
                let mut files = good.clone();
                files[index].1[position] ^= mask;
                let files: ExportFiles = files.into_iter().collect();
                let options =
                    VerifyOptions { tree_only: name == "entries.jsonl", ..VerifyOptions::default() };
                let report = verify(&files, &trust, options);
                // With the envelope's signature out of the question, only `keyid` and `sig` stay unprotected.
                let in_signature = name == "entries.jsonl" && in_signature(bytes, position);
                if !in_signature {
                    assert!(!report.is_verified(), "{name} byte {position} mask {mask:#04x}");
                    assert!(!report.findings.is_empty());
                }
            }
        }
    }
}

/// Whether a position lies in the value of `keyid` or `sig` of its line.
fn in_signature(entries: &[u8], position: usize) -> bool {
    let start = entries[..position].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let line = std::str::from_utf8(&entries[start..]).unwrap();
    position - start >= line.find("\"keyid\":\"").unwrap() + 9
}

#[test]
fn flips_in_signatures_are_refused_by_the_full_verification() {
    let good = golden_files();
    let entries = good.iter().position(|(name, _)| name == "entries.jsonl").unwrap();
    let bytes = &good[entries].1;
    let first_line = bytes.iter().position(|b| *b == b'\n').unwrap();
    for position in (0..first_line).filter(|position| in_signature(bytes, *position)) {
        let mut files = good.clone();
        files[entries].1[position] ^= 0x01;
        let report = report_of(&files);
        assert!(!report.is_verified(), "byte {position}");
    }
}

/// Changes the lines of `entries.jsonl` and gives the codes found, with line numbers.
fn with_lines(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Vec<(&'static str, Option<u64>, Option<u64>)> {
    let log = Log::of(&story());
    let mut files = files(&log.export());
    let (_, entries) = files.iter_mut().find(|(name, _)| name == "entries.jsonl").unwrap();
    let mut lines: Vec<Vec<u8>> = entries.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    change(&mut lines);
    *entries = lines.concat();
    let report = report_of(&files);
    assert!(!report.is_verified());
    report.findings.iter().map(|f| (f.code.as_str(), f.line, f.seq)).collect()
}

#[test]
fn changed_lines_are_named() {
    let removed = with_lines(|lines| drop(lines.remove(3)));
    assert_eq!(removed, [("sequence-gap", Some(4), Some(3)), ("wrong-size", None, None)]);
    let swapped = with_lines(|lines| lines.swap(2, 3));
    assert_eq!(
        swapped,
        [
            ("sequence-gap", Some(3), Some(2)),
            ("sequence-repeat", Some(4), Some(2)),
            ("time-backwards", Some(4), Some(2)),
            ("wrong-root", None, None),
        ]
    );
    let doubled = with_lines(|lines| lines.insert(3, lines[3].clone()));
    assert_eq!(doubled, [("sequence-repeat", Some(5), Some(3)), ("wrong-size", None, None)]);
    let cut = with_lines(|lines| drop(lines.pop()));
    assert_eq!(cut, [("wrong-size", None, None)]);
    let cut_in_line = with_lines(|lines| assert_eq!(lines.last_mut().unwrap().pop(), Some(b'\n')));
    assert_eq!(cut_in_line, [("truncated-line", Some(13), Some(12)), ("wrong-size", None, None)]);
    let blank = with_lines(|lines| lines.insert(1, b"\n".to_vec()));
    assert_eq!(blank[0], ("bad-envelope", Some(2), Some(1)));
    let long = with_lines(|lines| lines.insert(1, vec![b'x'; 200_000]));
    assert_eq!(long[0], ("bad-envelope", Some(2), Some(1)));
    // A stub that nothing accounts for is a hidden entry, although the tree is exact.
    let hidden = with_lines(|lines| {
        let leaf = Log::of(&story()).entries[12].leaf_hash;
        lines[12] = (crate::ledger::export::line::stub_line(12, &leaf) + "\n").into_bytes();
    });
    assert_eq!(hidden, [("pruned-without-entry", None, Some(12))]);
    let genesis = with_lines(|lines| {
        let leaf = Log::of(&story()).entries[0].leaf_hash;
        lines[0] = (crate::ledger::export::line::stub_line(0, &leaf) + "\n").into_bytes();
    });
    assert_eq!(genesis[0], ("pruned-protected", None, Some(0)));
    let padded = with_lines(|lines| lines[4] = b"{\"pruned\":{\"leafHash\":\"AA==\",\"seq\":04}}\n".to_vec());
    assert_eq!(padded[0], ("bad-stub", Some(5), Some(4)));
}

#[test]
fn pieces_of_any_size_give_the_same_report() {
    let files: ExportFiles = golden_files().into_iter().collect();
    let entries = files.get(&crate::ledger::export::FileRole::Entries).unwrap().to_vec();
    let trust = trust();
    let whole = verify(&files, &trust, VerifyOptions::default());
    for size in [1, 7, 1000, 100_000] {
        let mut verifier = Verifier::new(&files, &trust, VerifyOptions::default());
        entries.chunks(size).for_each(|piece| verifier.feed(piece));
        assert_eq!(verifier.finish(), whole);
    }
}

#[test]
fn deltas() {
    let log = Log::of(&story());
    let first = 6;
    let mut range = CompactRange::new();
    log.entries[..6].iter().for_each(|entry| range.push(entry.leaf_hash, |_| {}));
    let delta = || Export {
        entries: log.stored(first..log.size()),
        prefix: Some((first, range.hashes())),
        ..log.export()
    };
    let consistency = log.consistency(4);
    let check = |export: &Export<'_>, expected: &[&str]| {
        assert_eq!(codes(&report_of(&files(export))), expected);
    };
    check(&delta(), &[]);
    assert_eq!(report_of(&files(&delta())).first, Some(6));
    // Heads inside the lines and at the prefix show themselves; an older one needs a proof.
    check(&Export { previous: Some(log.head_at(6)), ..delta() }, &[]);
    check(&Export { previous: Some(log.head_at(9)), ..delta() }, &[]);
    check(&Export { previous: Some(log.head_at(4)), ..delta() }, &["bad-consistency"]);
    check(&Export { previous: Some(log.head_at(4)), consistency: Some(&consistency), ..delta() }, &[]);
    check(&Export { consistency: Some(&consistency), ..delta() }, &["bad-consistency"]);
    let wrong = log.consistency(5);
    check(
        &Export { previous: Some(log.head_at(4)), consistency: Some(&wrong), ..delta() },
        &["bad-consistency"],
    );
    let other =
        log_key().sign(&Checkpoint { origin: log_key().origin().into(), size: 9, root: Hash([1; 32]) });
    check(&Export { previous: Some(&other), ..delta() }, &["inconsistent"]);
    check(&Export { previous: Some("nonsense"), ..delta() }, &["bad-previous"]);
    let report = report_of(&files(&Export { prefix: Some((7, range.hashes())), ..delta() }));
    assert_eq!(codes(&report)[0], "bad-prefix");
}

#[test]
fn held_heads_catch_a_second_history() {
    let log = Log::of(&story());
    let held = |size: u64, root: Hash| VerifyOptions {
        held: vec![Checkpoint { origin: log_key().origin().into(), size, root }],
        ..VerifyOptions::default()
    };
    let good = files(&log.export());
    assert_eq!(codes(&report_with(&good, held(9, head_of(log.head_at(9)).root))), [""; 0]);
    assert_eq!(codes(&report_with(&good, held(9, Hash([1; 32])))), ["inconsistent"]);
    assert_eq!(codes(&report_with(&good, held(13, Hash([1; 32])))), ["inconsistent"]);
}

#[test]
fn filtered_exports() {
    let log = Log::of(&story());
    let chosen = [4_u64, 5, 9];
    let export = || Export {
        entries: log.stored(chosen),
        proofs: chosen.iter().map(|seq| (*seq, log.inclusion(*seq))).collect(),
        ..log.export()
    };
    let filtered = || VerifyOptions { filtered: true, ..VerifyOptions::default() };
    let report = report_with(&files(&export()), filtered());
    assert_eq!((codes(&report), report.first), (vec![], None));
    assert_eq!(report.limits, ["the export is filtered: completeness is not proven"]);
    let unasked = report_of(&files(&export()));
    assert!(!unasked.is_verified());
    assert!(unasked.findings.iter().any(|f| f.reason.contains("a filtered export is verified only as such")));
    let mut missing = export();
    missing.proofs.pop();
    assert_eq!(codes(&report_with(&files(&missing), filtered())), ["missing-proof"]);
    let mut unordered = export();
    unordered.entries.swap(0, 2);
    assert!(codes(&report_with(&files(&unordered), filtered())).contains(&"sequence-repeat"));
    let mut surplus = export();
    surplus.proofs.push((11, log.inclusion(11)));
    assert_eq!(codes(&report_with(&files(&surplus), filtered())), ["bad-proof"]);
    let mut prefixed = export();
    prefixed.prefix = Some((1, &[]));
    assert_eq!(codes(&report_with(&files(&prefixed), filtered())), ["bad-prefix"]);
}

#[test]
fn proofs_and_openings() {
    let log = Log::of(&story());
    let check = |change: &dyn Fn(&mut Files), expected: &[&str]| {
        let mut files = golden_files();
        change(&mut files);
        assert_eq!(codes(&report_of(&files)), expected);
    };
    let proof = |seq: u64, name: &str| {
        let text = crate::ledger::export::writer::proof_file(seq, log.inclusion(seq), log.checkpoint()).1;
        (name.to_owned(), text.into_bytes())
    };
    check(&|files| files.push(proof(6, "proofs/6.tlog-proof")), &[]);
    check(&|files| files.push(proof(6, "proofs/7.tlog-proof")), &["bad-proof"]);
    check(&|files| files.push(proof(6, "proofs/06.tlog-proof")), &["bad-file-name"]);
    check(&|files| files.push(("proofs/README".into(), vec![])), &[]);
    check(&|files| files.push(("NOTES.txt".into(), vec![])), &[]);
    check(&|files| files.push(("more/NOTES.txt".into(), vec![])), &["bad-file-name"]);
    check(&|files| files.push(("../NOTES.txt".into(), vec![])), &["bad-file-name"]);
    check(&|files| files.push(("payloads/x".into(), vec![])), &["bad-file-name"]);
    check(&|files| files.push(("./checkpoint".into(), vec![])), &["duplicate-file"]);
    let opening = |bytes: &[u8]| crate::ledger::export::writer::opening_file(&[0; 32], bytes);
    check(&|files| files.push(opening(b"of nothing")), &["unmatched-opening"]);
    check(&|files| files.push((opening(b"a").0, b"b".to_vec())), &["bad-opening"]);
    // Under an older head of the same log the proof is good, but not the export's.
    let mut older = Log::of(&story()[..8]);
    older.pruned = vec![];
    let text = crate::ledger::export::writer::proof_file(6, older.inclusion(6), older.checkpoint()).1;
    check(&|files| files.push(("proofs/6.tlog-proof".into(), text.clone().into_bytes())), &["bad-proof"]);
    let mut refused: ExportFiles = golden_files().into_iter().collect();
    refused.refuse("link");
    assert_eq!(codes(&verify(&refused, &trust(), VerifyOptions::default())), ["not-a-regular-file"]);
}

#[test]
fn heads_need_trust() {
    let log = Log::of(&story());
    let files = files(&log.export());
    let vkey = log_key().note_key().unwrap();
    let check = |range: LogKeyRange, held: bool, expected: &[&str]| {
        let held = if held { vec![head_of(log.checkpoint())] } else { vec![] };
        let options = VerifyOptions { held, ..VerifyOptions::default() };
        let report = verify(&files.iter().cloned().collect(), &trust_with(range), options);
        assert_eq!(codes(&report), expected);
    };
    let range = |from, to, revoked| LogKeyRange { key: vkey.clone(), from, to, revoked };
    check(range(0, 12, None), false, &[]);
    check(range(12, 12, None), false, &[]);
    check(range(0, 11, None), false, &["key-out-of-range"]);
    check(range(13, 99, None), false, &["key-out-of-range"]);
    check(range(0, 99, Some(13)), false, &["key-revoked"]);
    check(range(0, 99, Some(13)), true, &[]);
    check(range(0, 99, Some(12)), true, &["key-revoked"]);
    let other = LogKeys::new("studio.example", [9; 32]).unwrap().log_key(log_key().origin()).unwrap();
    check(LogKeyRange::always(other.note_key().unwrap()), false, &["untrusted-head"]);
    // The exporter is known, the statement is of another log.
    let mut elsewhere = files.clone();
    let origin = log_key().origin().to_owned();
    let note = log_key().sign(&Checkpoint { origin, size: 13, root: Hash([0; 32]) });
    elsewhere.iter_mut().find(|(name, _)| name == "checkpoint").unwrap().1 = note.into_bytes();
    assert_eq!(codes(&report_of(&elsewhere)), ["wrong-root"]);
    let mut none = files;
    none.retain(|(name, _)| name == "manifest.json");
    assert_eq!(codes(&report_of(&none)), ["missing-file", "missing-file"]);
}

/// Trust with one witness whose cosignature is required, and the site's log.
fn witnessed_trust() -> (Trust, SigningKey) {
    let witness = SigningKey::from_bytes(&[0x44; 32]);
    let key = NoteKey::new("w.example", KeyType::Cosignature, witness.verifying_key()).unwrap();
    let tenant = log_key().note_key().unwrap();
    let site = log_keys().log_key("studio.example/site").unwrap().note_key().unwrap();
    let policy = format!("log {tenant}\nlog {site}\nwitness w {key}\nquorum w\n");
    let ranges = [LogKeyRange::always(tenant), LogKeyRange::always(site)];
    let keys = Trust::keys_json(&[export_key().public().clone()], &ranges).unwrap();
    (Trust::parse(policy.as_bytes(), keys.as_bytes()).unwrap(), witness)
}

fn cosigned(note: &str, witness: &SigningKey) -> String {
    let mut note = Note::parse(note.as_bytes()).unwrap();
    note.signatures.push(note::cosign("w.example", witness, 1_800_000_000, &note.text).unwrap());
    note.to_string()
}

#[test]
fn witnesses_and_the_site_log() {
    let (trust, witness) = witnessed_trust();
    let log = Log::of(&story());
    let check = |export: &Export<'_>, expected: &[&str]| {
        let report = verify(&files(export).into_iter().collect(), &trust, VerifyOptions::default());
        assert_eq!(codes(&report), expected, "{report}");
        report
    };
    check(&log.export(), &["quorum-not-met"]);
    let direct = cosigned(log.checkpoint(), &witness);
    let report = check(&Export { checkpoint: &direct, ..log.export() }, &[]);
    assert_eq!(report.witnesses, [("w.example".to_owned(), 1_800_000_000)]);

    // The witness cosigned the site's head only; the tenant's head is a leaf of it.
    let site_key = log_keys().log_key("studio.example/site").unwrap();
    let leaves = [leaf_hash(b"another tenant"), leaf_hash(log.checkpoint().as_bytes())];
    let mut range = CompactRange::new();
    leaves.iter().for_each(|leaf| range.push(*leaf, |_| {}));
    let head = Checkpoint { origin: "studio.example/site".into(), size: 2, root: range.root() };
    let site_note = cosigned(&site_key.sign(&head), &witness);
    let (_, proof) = crate::ledger::export::writer::proof_file(1, vec![leaves[0]], &site_note);
    check(&Export { site_proof: Some(&proof), ..log.export() }, &[]);
    let (_, wrong) = crate::ledger::export::writer::proof_file(0, vec![leaves[1]], &site_note);
    check(&Export { site_proof: Some(&wrong), ..log.export() }, &["bad-site-proof", "quorum-not-met"]);
    // A tenant's own head is not a site's.
    let (_, own) = crate::ledger::export::writer::proof_file(12, log.inclusion(12), log.checkpoint());
    check(&Export { site_proof: Some(&own), ..log.export() }, &["bad-site-proof", "quorum-not-met"]);
}

#[test]
fn trust_files_are_strict() {
    let (policy, keys) = trust_files(LogKeyRange::always(log_key().note_key().unwrap()));
    let check = |policy: &str, keys: &str, expected: &str| {
        let fault: TrustFault = Trust::parse(policy.as_bytes(), keys.as_bytes()).unwrap_err();
        assert!(fault.to_string().contains(expected), "{fault}");
    };
    let keyid = export_key().public().keyid();
    check(&policy, &keys.replace(&keyid, &"0".repeat(64)), "`/export/0/keyid` is not the key's SHA-256");
    check(&policy, &keys.replace("\"from\": 0", "\"from\": -1"), "`/log/0/from` is not a sequence number");
    check(&policy, &keys.replace("\"from\": 0,", ""), "`/log/0` lacks `from`");
    check(&policy, &keys.replace("\"from\"", "\"x\": 1, \"from\""), "`/log/0` has an unknown field `x`");
    check(&policy, "{}", "`` lacks `export`");
    check(&policy, "[", "not JSON");
    check(&policy, &keys.replace("BEGIN PUBLIC", "BEGIN PRIVATE"), "not an SPKI PEM");
    check("quorum", &keys, "policy line 0");
    // One key in two roles.
    let seed = [0x22; 32];
    let witness =
        NoteKey::new("w", KeyType::Cosignature, SigningKey::from_bytes(&seed).verifying_key()).unwrap();
    let both = policy.replace("quorum none", &format!("witness w {witness}\nquorum w"));
    check(&both, &keys, "has two roles");
}
