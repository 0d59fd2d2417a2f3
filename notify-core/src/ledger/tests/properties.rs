//! Properties over random logs, proofs and bytes.

use super::golden::golden_files;
use super::support::*;
use crate::ledger::EntryKind;
use crate::ledger::append::{Appender, LogState};
use crate::ledger::checkpoint::Checkpoint;
use crate::ledger::dsse::Envelope;
use crate::ledger::entry::Genesis;
use crate::ledger::export::{ExportFiles, VerifyOptions, verify};
use crate::ledger::note::Note;
use crate::ledger::policy::Policy;
use crate::ledger::proof::*;
use crate::ledger::statement::Statement;
use crate::ledger::tlog_proof::TlogProof;
use crate::ledger::tree::*;
use crate::ledger::trust::Trust;
use proptest::prelude::*;
use serde_json::json;

/// RFC 6962 section 2.1, word for word.
fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => empty_root(),
        [leaf] => *leaf,
        _ => {
            let mut split = 1;
            while split * 2 < leaves.len() {
                split *= 2;
            }
            node_hash(&naive_root(&leaves[..split]), &naive_root(&leaves[split..]))
        }
    }
}

fn leaves(count: usize) -> Vec<Hash> {
    (0..count).map(|i| leaf_hash(&i.to_be_bytes())).collect()
}

fn nodes(leaves: &[Hash], wanted: &[NodeId]) -> Vec<Hash> {
    let root = |&(level, index): &NodeId| {
        let from = usize::try_from(index << level).unwrap();
        naive_root(&leaves[from..from + (1 << level)])
    };
    wanted.iter().map(root).collect()
}

fn flipped(hashes: &[Hash], at: usize, bit: u8) -> Vec<Hash> {
    let mut hashes = hashes.to_vec();
    hashes[at].0[usize::from(bit / 8)] ^= 1 << (bit % 8);
    hashes
}

proptest! {
    #[test]
    fn batches_do_not_change_the_log(batches in prop::collection::vec(0_usize..6, 1..12)) {
        let beat = raw(EntryKind::Heartbeat, "head", json!({}));
        let mut state = LogState::empty(log_key().origin());
        let mut leaves = vec![];
        let mut drafts = vec![Genesis::default().into_draft()];
        for batch in batches {
            drafts.extend(vec![beat.clone(); batch]);
            let mut appender = Appender::new(state);
            appender.append(&std::mem::take(&mut drafts), at(0)).unwrap();
            let appended = appender.finish(&log_key()).unwrap();
            leaves.extend(appended.entries.iter().map(|entry| entry.leaf_hash));
            prop_assert_eq!(appended.root, naive_root(&leaves));
            prop_assert_eq!(head_of(&appended.checkpoint).size, leaves.len() as u64);
            // The state survives its bytes.
            let range = CompactRange::from_bytes(appended.state.range.size(), &appended.state.range.to_bytes());
            state = LogState { range: range.unwrap(), ..appended.state };
        }
    }

    #[test]
    fn inclusion(size in 1_usize..200, index in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit: u8) {
        let leaves = leaves(size);
        let (index, n) = (index.index(size), size as u64);
        let (i, root) = (index as u64, naive_root(&leaves));
        let proof = inclusion_proof(i, n, &nodes(&leaves, &inclusion_nodes(i, n).unwrap())).unwrap();
        prop_assert_eq!(verify_inclusion(&leaves[index], i, n, &proof, &root), Ok(()));
        prop_assert!(proof.len() <= 8);
        for other in [i + 1, i ^ 1, n] {
            if other != i {
                prop_assert!(verify_inclusion(&leaves[index], other, n, &proof, &root).is_err());
            }
        }
        prop_assert!(verify_inclusion(&leaf_hash(b"x"), i, n, &proof, &root).is_err());
        if !proof.is_empty() {
            let bad = flipped(&proof, at.index(proof.len()), bit);
            prop_assert_eq!(verify_inclusion(&leaves[index], i, n, &bad, &root), Err(ProofFault::WrongRoot));
            let short = &proof[1..];
            prop_assert!(verify_inclusion(&leaves[index], i, n, short, &root).is_err());
        }
        let long = [&proof[..], &[root]].concat();
        prop_assert!(verify_inclusion(&leaves[index], i, n, &long, &root).is_err());
    }

    #[test]
    fn consistency(new in 1_usize..200, old in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit: u8) {
        let leaves = leaves(new);
        let old = old.index(new) + 1;
        let (m, n) = (old as u64, new as u64);
        let (old_root, root) = (naive_root(&leaves[..old]), naive_root(&leaves));
        let proof = consistency_proof(m, n, &nodes(&leaves, &consistency_nodes(m, n).unwrap())).unwrap();
        prop_assert_eq!(verify_consistency(m, n, &proof, &old_root, &root), Ok(()));
        if m != n {
            prop_assert!(verify_consistency(m, n, &proof, &root, &root).is_err());
            prop_assert!(verify_consistency(m, n, &proof, &old_root, &old_root).is_err());
        }
        if !proof.is_empty() {
            let bad = flipped(&proof, at.index(proof.len()), bit);
            prop_assert!(verify_consistency(m, n, &bad, &old_root, &root).is_err());
            prop_assert!(verify_consistency(m, n, &proof[1..], &old_root, &root).is_err());
        }
        let long = [&proof[..], &[root]].concat();
        prop_assert!(verify_consistency(m, n, &long, &old_root, &root).is_err());
    }

    #[test]
    fn verification_of_any_numbers_ends(index: u64, size: u64, old: u64, count in 0_usize..70) {
        let proof = leaves(count);
        let root = empty_root();
        let _ = verify_inclusion(&root, index, size, &proof, &root);
        let _ = verify_consistency(old, size, &proof, &root, &root);
        if let Ok(plan) = ProofPlan::inclusion(index, size) {
            prop_assert!(plan.nodes().len() <= 64 * 64);
            prop_assert!(plan.combine(&[]).is_err() || size == 1);
        }
        if let Ok(plan) = ProofPlan::consistency(old, size) {
            let _ = plan.nodes();
        }
    }

    /// Anything in any file: a verdict, never a panic, and never a good one.
    #[test]
    fn any_bytes_get_a_verdict(
        file in 0_usize..7,
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            "[\\PC\n\"{}:,]{0,200}".prop_map(String::into_bytes),
        ],
    ) {
        let name = ["entries.jsonl", "checkpoint", "prefix", "checkpoint.prev", "consistency", "site.tlog-proof",
                    "proofs/5.tlog-proof"][file];
        let mut files = golden_files();
        files.retain(|(known, _)| known != name);
        files.push((name.to_owned(), bytes.clone()));
        let files: ExportFiles = files.into_iter().collect();
        for (filtered, tree_only) in [(false, false), (true, true)] {
            let report = verify(&files, &trust(), VerifyOptions { filtered, tree_only, held: vec![] });
            prop_assert!(!report.is_verified(), "{}", report);
        }
        let _ = Trust::parse(&bytes, &bytes);
        let _ = Policy::parse(&bytes);
        let _ = Statement::parse(&bytes);
        let _ = Envelope::parse(&bytes);
        let _ = TlogProof::parse(&bytes);
        if let Ok(note) = Note::parse(&bytes) {
            let _ = Checkpoint::parse(&note.text);
        }
    }

    /// Random splices of a good export's lines.
    #[test]
    fn spliced_lines_are_refused(from in any::<prop::sample::Index>(), length in 0_usize..200, to in any::<prop::sample::Index>()) {
        let mut files = golden_files();
        let (_, entries) = files.iter_mut().find(|(name, _)| name == "entries.jsonl").unwrap();
        let original = entries.clone();
        let from = from.index(entries.len());
        let piece: Vec<u8> = entries.drain(from..(from + length).min(original.len())).collect();
        let to = to.index(entries.len() + 1);
        entries.splice(to..to, piece);
        let same = *entries == original;
        prop_assert_eq!(report_of(&files).is_verified(), same);
    }
}
