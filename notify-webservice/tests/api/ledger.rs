//! The ledger over HTTP: what is exported verifies, with trust that did not come from the service.

use crate::harness::{Answered, SITE, Service, assert_problem, service};
use http::Method;
use notify_core::ledger::export::{ExportFiles, Report, VerifyOptions, verify};
use notify_core::ledger::keys::{ExportKey, LogKeys};
use notify_core::ledger::note::Note;
use notify_core::ledger::policy::Policy;
use notify_core::ledger::trust::{LogKeyRange, Trust};
use serde_json::{Value, json};

const JSON: (&str, &str) = ("content-type", "application/json");

async fn export(service: &Service, request: &Value) -> Answered {
    service.admin(Method::POST, "/api/v1/notify/ledger:export", &[JSON], &request.to_string()).await
}

async fn write_channels(service: &Service, numbers: std::ops::Range<usize>) {
    for i in numbers {
        let channel =
            json!({ "schema": "notify-channel@1", "id": format!("c{i}"), "name": "C", "type": "webhook" });
        let made =
            service.admin(Method::POST, "/api/v1/notify/channels", &[JSON], &channel.to_string()).await;
        assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    }
}

/// Unpacked by the system's tar, so that ours is not its own judge.
fn files(tar: &[u8]) -> ExportFiles {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("x");
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(folder.path().join("x.tar"), tar).unwrap();
    let status =
        std::process::Command::new("tar").args(["xf", "x.tar", "-C", "x"]).current_dir(&folder).status();
    assert!(status.unwrap().success());
    let mut files = ExportFiles::new();
    for prefix in ["", "proofs/", "payloads/"] {
        let Ok(entries) = inside.join(prefix).read_dir() else { continue };
        for entry in entries.map(Result::unwrap).filter(|entry| entry.path().is_file()) {
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            files.add(&name, std::fs::read(entry.path()).unwrap());
        }
    }
    files
}

fn trust() -> Trust {
    let keys = LogKeys::new(SITE, [7; 32]).unwrap();
    let key = keys.log_key(&keys.tenant_origin("acme-log").unwrap()).unwrap().note_key().unwrap();
    let export = ExportKey::from_seed(&[8; 32]).public().clone();
    let policy = Policy::without_witnesses([&key]);
    let keys = Trust::keys_json(&[export], &[LogKeyRange::always(key)]).unwrap();
    Trust::parse(policy.as_bytes(), keys.as_bytes()).unwrap()
}

#[track_caller]
fn verified(answered: &Answered) -> Report {
    assert_eq!(answered.status.as_u16(), 200, "{}", answered.body);
    let report = verify(&files(&answered.bytes), &trust(), VerifyOptions::default());
    assert!(report.is_verified(), "{:?}", report.findings);
    report
}

#[tokio::test]
async fn an_export_verifies_and_is_recorded() {
    let service = service().await;
    write_channels(&service, 0..3).await;
    let whole = verified(&export(&service, &json!({ "openings": true, "proofs": [0, 2, 2] })).await);
    assert_eq!((whole.first, whole.size, whole.lines, whole.proofs), (Some(0), 5, 5, 2));
    // Whose token, and per channel who did it and what it says.
    assert_eq!(whole.openings, 7);
    let head = service.admin(Method::GET, "/api/v1/notify/ledger/checkpoint", &[], "").await;
    assert_eq!(head.body.get("size"), Some(&json!(6)), "the export itself is an entry");
    let entries = service.admin(Method::GET, "/api/v1/notify/ledger/entries?from=5", &[], "").await;
    assert_eq!(entries.text("/items/0/kind"), "export");
    assert_eq!(entries.body.pointer("/items/0/statement/predicate/range"), Some(&json!([0, 5])));
    let bare = verified(&export(&service, &json!({})).await);
    assert_eq!((bare.lines, bare.openings, bare.proofs), (6, 0, 0));
    assert_eq!(bare.kinds.get("export"), Some(&1));
}

#[tokio::test]
async fn a_delta_continues_what_the_auditor_holds() {
    let service = service().await;
    write_channels(&service, 0..3).await;
    let head = service.admin(Method::GET, "/api/v1/notify/ledger/checkpoint", &[], "").await;
    let held = head.text("/checkpoint").to_owned();
    assert!(Note::parse(held.as_bytes()).is_ok(), "{held}");
    write_channels(&service, 3..8).await;
    let delta = verified(&export(&service, &json!({ "from": 5, "previous": held })).await);
    assert_eq!((delta.first, delta.size, delta.lines), (Some(5), 10, 5));
}

#[tokio::test]
async fn exports_longer_than_a_chunk() {
    let service = service().await;
    let tenant = notify_core::ids::TenantId::new("acme").unwrap();
    let who = notify_core::ledger::commitment::Commitment::of(&[1; 32], b"x");
    for i in 0..1_203 {
        let entry = notify_core::ledger::entry::AccessEntry {
            act: "token-issued".to_owned(),
            actor: who,
            details: serde_json::Map::new(),
            about: format!("{i}"),
        };
        let commit = notify_store::Commit::new(
            tenant.clone(),
            vec![notify_store::Effect::RecordOnly],
            vec![entry.into_draft()],
        );
        drop(service.store.submit(commit));
    }
    write_channels(&service, 0..1).await;
    let report = verified(&export(&service, &json!({})).await);
    assert_eq!(report.lines, 1_206);
    let mut pages = 0;
    let mut from = Some(0);
    while let Some(start) = from {
        let path = format!("/api/v1/notify/ledger/entries?from={start}&limit=500");
        from = service.admin(Method::GET, &path, &[], "").await.body["next"].as_u64();
        pages += 1;
    }
    assert_eq!(pages, 3);
}

#[tokio::test]
async fn what_cannot_be_exported_is_said() {
    let service = service().await;
    let foreign = "studio.test/tenant/other-log\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— studio.test/tenant/other-log AAAAAAAA\n";
    for (request, path) in [
        (json!({ "from": 2 }), "/from"),
        (json!({ "from": -1 }), ""),
        (json!({ "proofs": [7] }), "/proofs/0"),
        (json!({ "previous": "x" }), "/previous"),
        (json!({ "previous": foreign }), "/previous"),
        (json!({ "form": 0 }), ""),
        (json!([]), ""),
    ] {
        let answered = export(&service, &request).await;
        assert_problem(&answered, 400, "invalid-parameter");
        assert_eq!(answered.text("/path"), path, "{request}");
    }
    let head = service.admin(Method::GET, "/api/v1/notify/ledger/checkpoint", &[], "").await;
    assert_eq!(head.body.get("size"), Some(&json!(2)), "nothing was exported, so nothing was recorded");
}
