//! Entries, heads, subtrees, openings.

use crate::support::*;
use notify_core::ledger::commitment::Commitment;
use notify_core::ledger::tree::Hash;
use notify_core::ledger::{EntryKind, proof, tree};
use notify_store::model::{NewDelivery, Opening};
use notify_store::{Commit, Effect, Refused, StoreError};

pub async fn entries_and_head(fresh: Fresh) {
    let store = fresh.store;
    let acme = tenant("acme");
    assert_eq!(store.ledger_head(&acme).await.unwrap(), None);
    store.commit(create_tenant_as(&acme, "x-1")).await.unwrap();
    let head = store.ledger_head(&acme).await.unwrap().unwrap();
    assert_eq!((head.origin.as_str(), head.size), ("test.example/tenant/x-1", 1));
    let entries = vec![draft(EntryKind::Access, "who"), draft(EntryKind::Export, "what")];
    let done = store.commit(Commit::new(acme.clone(), vec![Effect::RecordOnly], entries)).await.unwrap();
    assert_eq!(done.seqs, [1, 2]);
    assert_eq!(check_ledger(&store, &acme).await, 3);
    let about = store.ledger_entries_about(&acme, "what").await.unwrap();
    assert_eq!(about.len(), 1);
    assert_eq!((about[0].seq, about[0].kind.as_str()), (2, "export"));
    let some = store.ledger_entries(&acme, 1, 3, 1).await.unwrap();
    assert_eq!(some.iter().map(|e| e.seq).collect::<Vec<_>>(), [1]);
    assert!(store.ledger_entries(&acme, 3, 9, 10).await.unwrap().is_empty());
    assert!(store.ledger_entries(&tenant("other"), 0, 9, 10).await.unwrap().is_empty());
}

/// Proofs made of stored nodes verify against the head: over whole tiles, parts of tiles and single leaves.
pub async fn subtrees(fresh: Fresh) {
    let store = fresh.store;
    let acme = tenant("acme");
    store.commit(create_tenant(&acme)).await.unwrap();
    let answers: Vec<_> =
        (0..1100).map(|n| store.submit(accept(&acme, event(&n.to_string()), vec![]))).collect();
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
    let head = store.ledger_head(&acme).await.unwrap().unwrap();
    assert_eq!(head.size, 1101);
    let leaves = store.ledger_entries(&acme, 0, head.size, 2000).await.unwrap();
    for index in [0, 1, 255, 256, 511, 512, 1023, 1024, 1099, 1100] {
        let wanted = proof::inclusion_nodes(index, head.size).unwrap();
        let nodes = store.ledger_nodes(&acme, &wanted).await.unwrap();
        let nodes: Vec<Hash> = nodes.into_iter().map(Hash).collect();
        let path = proof::inclusion_proof(index, head.size, &nodes).unwrap();
        let leaf = Hash(leaves[usize::try_from(index).unwrap()].leaf_hash);
        let root = Hash(head.root);
        proof::verify_inclusion(&leaf, index, head.size, &path, &root).unwrap();
    }
    // Level 8 from its own row and, the same hash, from the leaves below it.
    let tile = store.ledger_nodes(&acme, &[(8, 3)]).await.unwrap()[0];
    let below: Vec<Hash> = leaves[768..1024].iter().map(|e| Hash(e.leaf_hash)).collect();
    assert_eq!(Hash(tile), tree::combine_subtree(&below).unwrap());
    for missing in [(8, 4), (0, 1101), (11, 0), (63, 1), (200, 0), (3, u64::MAX)] {
        let none = store.ledger_nodes(&acme, &[missing]).await;
        assert!(matches!(none, Err(StoreError::Corrupt(_))), "{missing:?}: {none:?}");
    }
}

pub async fn openings(fresh: Fresh) {
    let store = fresh.store;
    let acme = tenant("acme");
    store.commit(create_tenant(&acme)).await.unwrap();
    let hex = |salt: u8, bytes: &[u8]| Commitment::of(&[salt; 32], bytes).hex();
    let (one, intent) = (event("one"), delivery("one"));
    let body = hex(4, one.body.as_bytes());
    let message = hex(5, intent.message.as_bytes());
    let target = hex(6, intent.target.as_bytes());
    let commit = |effects, entry| Commit::new(acme.clone(), effects, vec![entry]);
    let key = one.key.to_string();
    // 1: event, its delivery's message and target. 2: an attempt of it. 3: something kept. 4: commits to nothing.
    // 5: a replay, about the old delivery, naming the new one.
    store
        .commit(commit(
            vec![
                Effect::AcceptPlanned(Box::new(one.clone())),
                Effect::CreateDelivery(Box::new(intent.clone())),
            ],
            committing(
                EntryKind::Event,
                &key,
                &[body.clone(), message.clone(), target.clone(), intent.id.to_string()],
            ),
        ))
        .await
        .unwrap();
    let (request, response) = (hex(8, b"POST one 1"), hex(9, b"ok"));
    store
        .commit(commit(
            vec![Effect::RecordAttempt(Box::new(attempt("one", 1, DEAD)))],
            committing(
                EntryKind::Attempt,
                intent.id.as_str(),
                &[message.clone(), request.clone(), response.clone()],
            ),
        ))
        .await
        .unwrap();
    let kept = Opening { commitment: hex(1, b"why"), salt: [1; 32], bytes: b"why".to_vec() };
    for _ in 0..2 {
        let entry = committing(EntryKind::Config, "doc", std::slice::from_ref(&kept.commitment));
        store.commit(commit(vec![Effect::KeepOpening(kept.clone())], entry)).await.unwrap();
    }
    let again =
        NewDelivery { id: delivery_id("again"), target: "https://b.example".into(), ..intent.clone() };
    let moved = hex(6, b"https://b.example");
    store
        .commit(commit(
            vec![Effect::CreateDelivery(Box::new(again.clone()))],
            committing(EntryKind::Delivery, intent.id.as_str(), &[moved.clone(), again.id.to_string()]),
        ))
        .await
        .unwrap();
    for (from, to, expected) in [
        (0, 1, vec![]),
        (1, 2, vec![&body, &message, &target]),
        (2, 3, vec![&message, &request, &response]),
        (3, 4, vec![&kept.commitment]),
        (5, 6, vec![&moved]),
        (0, 9, vec![&body, &message, &target, &request, &response, &kept.commitment, &moved]),
    ] {
        let found = store.openings(&acme, from, to).await.unwrap();
        let mut hexes: Vec<_> = found.iter().map(|o| &o.commitment).collect();
        let mut expected = expected;
        hexes.sort();
        expected.sort();
        assert_eq!(hexes, expected, "{from}..{to}");
        for opening in &found {
            assert_eq!(Commitment::of(&opening.salt, &opening.bytes).hex(), opening.commitment);
        }
    }
}

pub async fn refused_entries(fresh: Fresh) {
    let store = fresh.store;
    let acme = tenant("acme");
    let no_genesis = Effect::CreateTenant { name: "x".into(), opaque: "x".into(), created_at: at(0) };
    let entry = draft(EntryKind::Config, "x");
    let bad_name = create_tenant_as(&acme, "Not A Name");
    for commit in [Commit::new(acme.clone(), vec![no_genesis], vec![entry]), bad_name] {
        let refused = store.commit(commit).await;
        assert!(matches!(refused, Err(StoreError::Refused(Refused::BadEntry(_)))), "{refused:?}");
    }
    assert!(store.tenants().await.unwrap().is_empty());
    store.commit(create_tenant(&acme)).await.unwrap();
    let second = Commit::new(acme.clone(), vec![Effect::RecordOnly], vec![draft(EntryKind::Genesis, "x")]);
    assert!(matches!(store.commit(second).await, Err(StoreError::Refused(Refused::BadEntry(_)))));
}
