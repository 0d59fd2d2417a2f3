//! Published vectors, against every primitive that reads or writes them.

use crate::ids::hex;
use crate::ledger::append::{Appender, LogState};
use crate::ledger::checkpoint::{Checkpoint, hash_text, parse_hash};
use crate::ledger::dsse::{self, Envelope, EnvelopeFault, pae};
use crate::ledger::entry::Genesis;
use crate::ledger::keys::{ExportKey, LogKeys};
use crate::ledger::note::{BadSignature, KeyType, Note, NoteFault, NoteKey};
use crate::ledger::proof::*;
use crate::ledger::tree::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

#[test]
fn dsse_pae() {
    for (payload_type, body, expected) in [
        (
            "http://example.com/HelloWorld",
            "hello world",
            "44535345763120323920687474703a2f2f6578616d706c652e636f6d2f48656c6c6f576f726c642031312068656c6c6f20776f726c64",
        ),
        // Lengths count bytes: the reference Python counts characters and would write 1.
        ("é", "", "445353457631203220c3a9203020"),
    ] {
        assert_eq!(hex(&pae(payload_type, body.as_bytes())), expected);
    }
}

#[test]
fn dsse_ed25519() {
    let seed: [u8; 32] =
        unhex("908707f3489f763049ec6dc83978ec51fbea1ecee2a9ecce927aa7abe7b64343").try_into().unwrap();
    let body =
        STANDARD.decode("eyJldmVudCI6ImFubm90YXRpb24iLCJub3RlIjoiY2Fmw6kg4pyTIOmbqiDwn5mCIn0=").unwrap();
    assert_eq!((body.len(), std::str::from_utf8(&body).unwrap().chars().count()), (50, 42));
    let key = SigningKey::from_bytes(&seed);
    let signature = key.sign(&pae("application/vnd.example.record+json", &body)).to_bytes();
    assert_eq!(
        STANDARD.encode(signature),
        "D29uozxzfFp+xHPq7SDpTQYaSBZghcT5iRBYIUUq16I+ya+x+kzO3D1xRrPjOGDP7qwRNb8qlNJNWKK1she5DA=="
    );
    let exporter = ExportKey::from_seed(&seed);
    let envelope = Envelope {
        payload: body,
        payload_type: "application/vnd.example.record+json".into(),
        keyid: [0; 32],
        signature,
    };
    assert!(exporter.public().signed(&envelope));
    let changed_type =
        Envelope { payload_type: "application/vnd.example.other+json".into(), ..envelope.clone() };
    assert!(!exporter.public().signed(&changed_type));
    let mut changed = envelope.clone();
    changed.payload[0] ^= 1;
    assert!(!exporter.public().signed(&changed));
    // Another payload type takes the general path of the parser and comes out the same.
    assert_eq!(Envelope::parse(&envelope.to_json()), Ok(envelope));
}

#[test]
fn envelope_profile() {
    let sealed = ExportKey::from_seed(&[1; 32]).seal(b"{}".to_vec());
    let good = String::from_utf8(sealed.to_json()).unwrap();
    assert_eq!(Envelope::parse(good.as_bytes()), Ok(sealed.clone()));
    let check = |text: String, expected: EnvelopeFault| {
        assert_eq!(Envelope::parse(text.as_bytes()), Err(expected), "{text}");
    };
    let keyid = hex(&sealed.keyid);
    let sig = STANDARD.encode(sealed.signature);
    let signature = format!(r#"{{"keyid":"{keyid}","sig":"{sig}"}}"#);
    assert!(good.contains(&signature));
    check(good.replace(&signature, ""), EnvelopeFault::SignatureCount(0));
    // One key's signature twice is not two signatures: there is exactly one.
    check(good.replace(&signature, &format!("{signature},{signature}")), EnvelopeFault::SignatureCount(2));
    check(good.replace(r#""sig":"#, r#""x":1,"sig":"#), EnvelopeFault::SignatureKeys);
    check(good.replace(&format!(r#""keyid":"{keyid}","#), ""), EnvelopeFault::SignatureKeys);
    check(good.replace(&keyid, &keyid.to_uppercase()), EnvelopeFault::KeyId);
    check(good.replace(&keyid, &keyid[..62]), EnvelopeFault::KeyId);
    check(good.replace(r#""payloadType""#, r#""extra":1,"payloadType""#), EnvelopeFault::Keys);
    check(good.replace(r#""e30=""#, r#""e30""#), EnvelopeFault::Base64("payload"));
    // Trailing bits that are not zero decode to the same bytes elsewhere.
    check(good.replace(r#""e30=""#, r#""e31=""#), EnvelopeFault::Base64("payload"));
    check(good.replace(r#""e30=""#, r#""e3 0=""#), EnvelopeFault::Base64("payload"));
    // The URL-safe alphabet is DSSE, but not the ledger's profile.
    check(good.replace(r#""e30=""#, r#""-_-_""#), EnvelopeFault::Base64("payload"));
    check(good.replace(&sig, &STANDARD.encode([0; 63])), EnvelopeFault::SignatureLength);
    check(good.replace("{\"payload", "{ \"payload"), EnvelopeFault::NotCanonical);
    check(good.replace("+json", "\\u002bjson"), EnvelopeFault::NotCanonical);
    let twice = good.replace(r#""payloadType""#, r#""payload":"e30=","payloadType""#);
    assert!(matches!(Envelope::parse(twice.as_bytes()), Err(EnvelopeFault::Json(_))));
}

const LEAVES: [&str; 8] =
    ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

#[test]
fn rfc_6962_hashes_and_roots() {
    assert_eq!(hex(&leaf_hash(b"").0), ROOTS[1]);
    assert_eq!(
        hex(&leaf_hash(b"L123456").0),
        "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    );
    let node: [u8; 32] = {
        use sha2::{Digest, Sha256};
        // The published node vector has children shorter than a hash, so it is put together here by the same rule.
        Sha256::new().chain_update([1]).chain_update(b"N123").chain_update(b"N456").finalize().into()
    };
    assert_eq!(hex(&node), "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb");

    let mut range = CompactRange::new();
    assert_eq!(hex(&range.root().0), ROOTS[0]);
    for (leaf, root) in LEAVES.iter().zip(&ROOTS[1..]) {
        range.push(leaf_hash(&unhex(leaf)), |_| {});
        assert_eq!(hex(&range.root().0), *root, "size {}", range.size());
        assert_eq!(CompactRange::from_bytes(range.size(), &range.to_bytes()), Ok(range.clone()));
    }
}

/// Root of the leaves `index·2^level ..` of the vector tree.
fn vector_nodes(wanted: &[NodeId]) -> Vec<Hash> {
    let leaves: Vec<Hash> = LEAVES.iter().map(|leaf| leaf_hash(&unhex(leaf))).collect();
    wanted
        .iter()
        .map(|&(level, index)| {
            let from = usize::try_from(index << level).unwrap();
            combine_subtree(&leaves[from..from + (1 << level)]).unwrap()
        })
        .collect()
}

#[test]
fn rfc_6962_proofs() {
    let root = |size: usize| Hash(unhex(ROOTS[size]).try_into().unwrap());
    let texts = |proof: &[Hash]| proof.iter().map(hash_text).collect::<Vec<_>>();

    let inclusion = inclusion_proof(1, 5, &vector_nodes(&inclusion_nodes(1, 5).unwrap())).unwrap();
    assert_eq!(
        texts(&inclusion),
        [
            "bjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=",
            "Xwg/ChozygdqlSeYMlgNs+DvRYS9/x9UyKNg9Q3jAx4=",
            "vBoGQ7EuTS18d5GPROD095qDi2z57FtcKD4fTYhZnms=",
        ]
    );
    assert_eq!(verify_inclusion(&leaf_hash(&[0]), 1, 5, &inclusion, &root(5)), Ok(()));

    let consistency = consistency_proof(6, 8, &vector_nodes(&consistency_nodes(6, 8).unwrap())).unwrap();
    assert_eq!(
        texts(&consistency),
        [
            "DrxdNDf74tsVi58Sah0RjjCBgQMdCpSfje3t68VY72o=",
            "yoVOoSjtBQtBs1/8G4e46yveRh6eO1WW7Oa51ZdaCuA=",
            "037kGJdt2VdTwcc4Yrk5j6Kiz5tP8P3+izDNlSCWFLc=",
        ]
    );
    assert_eq!(verify_consistency(6, 8, &consistency, &root(6), &root(8)), Ok(()));

    assert_eq!(verify_consistency(0, 8, &[], &root(0), &root(8)), Err(ProofFault::FromEmpty));
    assert_eq!(verify_consistency_for_witness(0, 8, &[], &root(0), &root(8)), Ok(()));
    assert_eq!(
        verify_consistency_for_witness(0, 8, &[root(0)], &root(0), &root(8)),
        Err(ProofFault::WrongLength)
    );
    assert_eq!(verify_consistency_for_witness(0, 8, &[], &root(1), &root(8)), Err(ProofFault::WrongOldRoot));
    assert_eq!(verify_consistency_for_witness(6, 8, &consistency, &root(6), &root(8)), Ok(()));
    assert_eq!(verify_consistency(6, 6, &[], &root(6), &root(6)), Ok(()));
    assert_eq!(verify_consistency(6, 6, &[], &root(6), &root(7)), Err(ProofFault::WrongRoot));
    assert_eq!(
        verify_consistency(7, 6, &[], &root(7), &root(6)),
        Err(ProofFault::Backwards { old: 7, new: 6 })
    );
    assert_eq!(
        verify_inclusion(&leaf_hash(&[0]), 5, 5, &[], &root(5)),
        Err(ProofFault::OutsideTree { index: 5, size: 5 })
    );
}

#[test]
fn signed_note() {
    let vkey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    let key = NoteKey::parse(vkey).unwrap();
    assert_eq!((key.to_string().as_str(), key.key_type()), (vkey, KeyType::Ed25519));
    let line = "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=";
    let text = format!("This is an example message.\n\n{line}\n");
    let note = Note::parse(text.as_bytes()).unwrap();
    assert_eq!(note.to_string(), text);
    assert!(note.signature_of(&key).unwrap().is_some());

    let changed = Note { text: "This is an example message!\n".into(), ..note.clone() };
    assert_eq!(changed.signature_of(&key), Err(BadSignature));
    // A known key with one good and one bad line: the note is to be rejected.
    let mut doubled = note.clone();
    doubled.signatures.push(doubled.signatures[0].clone());
    doubled.signatures[1].signature[5] ^= 1;
    assert_eq!(doubled.signature_of(&key), Err(BadSignature));
    // Another name or ID is an unknown key: ignored.
    let mut other = note.clone();
    other.signatures[0].name = "example.com/bar".into();
    assert_eq!(other.signature_of(&key), Ok(None));

    let fault = |text: &str| Note::parse(text.as_bytes()).unwrap_err();
    assert_eq!(fault("text\n"), NoteFault::NoSignatures);
    assert_eq!(fault("text\n\n"), NoteFault::NoSignatures);
    assert_eq!(fault(text.trim_end()), NoteFault::NoSignatures);
    assert_eq!(fault(&text.replace('—', "-")), NoteFault::SignatureLine);
    assert_eq!(fault(&text.replace("foo U", "f+oo U")), NoteFault::SignatureLine);
    assert_eq!(fault(&text.replace("QM=", "QN=")), NoteFault::SignatureLine);
    assert_eq!(fault(&text.replace("This", "Th\tis")), NoteFault::NotText);
    assert_eq!(fault(&text.replace('\n', "\r\n")), NoteFault::NotText);
    assert_eq!(Note::parse(b"\xff\n\n").unwrap_err(), NoteFault::NotText);
    let many = |n: usize| format!("text\n\n{}", format!("{line}\n").repeat(n));
    assert_eq!(Note::parse(many(16).as_bytes()).unwrap().signatures.len(), 16);
    assert_eq!(fault(&many(65)), NoteFault::TooMany);
    // The split is at the last empty line.
    assert_eq!(Note::parse(format!("a\n\nb\n\n{line}\n").as_bytes()).unwrap().text, "a\n\nb\n");

    for bad in [
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/bar+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a",
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "",
    ] {
        assert!(NoteKey::parse(bad).is_err(), "{bad}");
    }
    // The neutral element as a key would accept forged signatures.
    let mut weak = [0; 33];
    (weak[0], weak[1]) = (1, 1);
    let public: [u8; 32] = weak[1..].try_into().unwrap();
    let id = hex(&crate::ledger::note::key_id("x", KeyType::Ed25519, &public));
    assert!(NoteKey::parse(&format!("x+{id}+{}", STANDARD.encode(weak))).is_err());
}

const TESSERA_LEAVES: &str =
    "one two three four five six seven eit nain ten ileven twelf threeten fourten fivten";

#[test]
fn tessera_checkpoint() {
    let key =
        NoteKey::parse("example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx");
    let key = key.unwrap();
    let text = "example.com/log/testdata\n15\nrKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=\n";
    let note = format!(
        "{text}\n— example.com/log/testdata M9e0luh4jTG+UMBqOUo9/q+yAEvx1ilBEniMvjf1zfcBOhg+CKubMt53MvIt/uEWP6zdkdIQzd/fmwlM/dlPWF74ewI=\n"
    );
    let note = Note::parse(note.as_bytes()).unwrap();
    assert!(note.signature_of(&key).unwrap().is_some());
    let checkpoint = Checkpoint::parse(&note.text).unwrap();
    assert_eq!(checkpoint.to_string(), text);
    let mut range = CompactRange::new();
    for leaf in TESSERA_LEAVES.split(' ') {
        range.push(leaf_hash(leaf.as_bytes()), |_| {});
    }
    assert_eq!((checkpoint.size, checkpoint.root), (15, range.root()));

    for bad in [
        text.replace("15", "015"),
        text.replace("15", "+15"),
        text.replace("15", "9007199254740992"),
        text.replace("15", ""),
        text.replace("cs=", "ct="),
        format!("{text}extension\n"),
        text.trim_end().to_owned(),
        text.replace("example.com/log/testdata", ""),
    ] {
        assert!(Checkpoint::parse(&bad).is_err(), "{bad}");
    }
}

#[test]
fn cosignature() {
    let witness = SigningKey::from_bytes(&[3; 32]);
    let text = "example.com/log\n1\nrKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=\n";
    let line = crate::ledger::note::cosign("w.example", &witness, 1_700_000_000, text).unwrap();
    let key = NoteKey::new("w.example", KeyType::Cosignature, witness.verifying_key()).unwrap();
    assert_eq!(NoteKey::parse(&key.to_string()), Ok(key.clone()));
    assert_eq!(line.signature[..8], 1_700_000_000_u64.to_be_bytes());
    // What is signed, spelt out.
    let message = format!("cosignature/v1\ntime 1700000000\n{text}");
    assert_eq!(line.signature[8..], witness.sign(message.as_bytes()).to_bytes());
    let mut note = Note { text: text.into(), signatures: vec![line] };
    assert_eq!(note.signature_of(&key).unwrap().unwrap().time, Some(1_700_000_000));
    note.signatures[0].signature[7] ^= 1;
    assert_eq!(note.signature_of(&key), Err(BadSignature));
}

#[test]
fn keys_are_derived_per_origin() {
    let keys = LogKeys::new("studio.example", [5; 32]).unwrap();
    let origin = keys.tenant_origin("t-1").unwrap();
    let key = keys.log_key(&origin).unwrap();
    // Python: HKDF-SHA256(ikm = 05…05, salt = none, info = origin, 32), then the Ed25519 public key of that seed.
    assert_eq!(
        hex(key.note_key().unwrap().public()),
        "4f2c2fc23847e6c744b139d4bc5a7a3c4f96b319bf6a0afebbc2fd48e557dc2c"
    );
    assert_eq!(key.note_key().unwrap().name(), "studio.example/tenant/t-1");
    let site = keys.log_key(&keys.site_origin()).unwrap();
    assert_ne!(site.note_key().unwrap().public(), key.note_key().unwrap().public());
    assert!(keys.log_key("other.example/tenant/t-1").is_err());
    for bad in ["", "A", "t/1", &"x".repeat(65)] {
        assert!(keys.tenant_origin(bad).is_err(), "{bad}");
    }
    for bad in ["", "Studio.example", "a..b", "a/b", "-a", "a_b"] {
        assert!(LogKeys::new(bad, [5; 32]).is_err(), "{bad}");
    }
    assert!(!format!("{keys:?} {key:?}").contains("05"), "no secret in debug output");
}

#[test]
fn export_key_files() {
    let key = ExportKey::from_seed(&[6; 32]);
    let pem = key.to_pem().unwrap();
    assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI"), "PKCS#8 v1: {}", *pem);
    assert_eq!(ExportKey::from_pem(&pem).unwrap().public(), key.public());
    let public = key.public().to_pem().unwrap();
    assert_eq!(crate::ledger::keys::ExportPublicKey::from_pem(&public).as_ref(), Ok(key.public()));
    // Made with openssl: `openssl pkey -pubout -outform DER | sha256sum`.
    assert_eq!(key.public().keyid(), "4e389156bee8dc63ddc4c115543169c51ac218d9d4674935bcdfe67de81f0dfc");
    assert!(ExportKey::from_pem("nonsense").is_err());
    assert!(crate::ledger::keys::ExportPublicKey::from_pem(&pem).is_err());
}

#[test]
fn a_signed_head_is_a_note_by_the_origin() {
    let keys = LogKeys::new("studio.example", [5; 32]).unwrap();
    let origin = keys.tenant_origin("t").unwrap();
    let key = keys.log_key(&origin).unwrap();
    let mut appender = Appender::new(LogState::empty(origin.clone()));
    let now = "2026-11-22T06:00:00.123456Z".parse().unwrap();
    assert_eq!(appender.append(&[Genesis::default().into_draft()], now), Ok(vec![0]));
    let appended = appender.finish(&key).unwrap();
    let note = Note::parse(appended.checkpoint.as_bytes()).unwrap();
    assert!(note.signature_of(&key.note_key().unwrap()).unwrap().is_some());
    let head = Checkpoint::parse(&note.text).unwrap();
    assert_eq!(head, Checkpoint { origin, size: 1, root: appended.root });
    assert_eq!(parse_hash(&hash_text(&head.root)), Some(head.root));
    assert_eq!(leaf_hash(&pae(dsse::PAYLOAD_TYPE, appended.entries[0].payload.as_bytes())), head.root);
}
