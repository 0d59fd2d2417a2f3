//! What connectors are told of the studio, and that a preview names the same.

use super::*;
use crate::worker::{Worker, WorkerOptions};
use notify_connector_host::outbound::EgressPolicy;
use notify_connector_host::secrets::SecretResolver;
use notify_connector_host::{ConnectorHost, HostConfig};
use notify_core::ids::ChannelId;
use notify_core::ledger::entry::Genesis;
use notify_core::ledger::{EntryDraft, EntryKind};
use notify_core::links::{LinkKeys, Links};
use notify_core::time::Clock;
use notify_store::{Backend, Commit, Effect, OpenOptions, Store};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;

/// Installed as far as a manifest goes: of the kinds codec (`webhook`) and transport (`email`). Nothing runs.
fn host(folder: &Path) -> Arc<ConnectorHost> {
    use ed25519_dalek::pkcs8::EncodePublicKey as _;
    use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let (plugins, trust, library) = (folder.join("plugins"), folder.join("trust"), folder.join("library.so"));
    for made in [&plugins, &trust] {
        std::fs::create_dir(made).unwrap();
    }
    std::fs::write(&library, "nothing").unwrap();
    let webhook: Value =
        serde_json::from_str(include_str!("../../../connectors/webhook/notify-plugin.json")).unwrap();
    let mut email = webhook.clone();
    for (name, value) in
        [("name", json!("email")), ("kind", json!("transport")), ("channelTypes", json!(["email"]))]
    {
        assert!(email.get(name).is_some(), "{name}: {email}");
        email[name] = value;
    }
    for manifest in [webhook, email] {
        let text = manifest.to_string();
        notify_connector_host::stage::stage_plugin(&library, text.as_bytes(), &key, &plugins).unwrap();
    }
    let pem = key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
    std::fs::write(trust.join("main.pem"), pem).unwrap();
    let config = HostConfig::new(plugins, trust, folder.join("none"), EgressPolicy::default());
    Arc::new(ConnectorHost::open(config).unwrap())
}

fn channel(r#type: &str) -> Channel {
    let document = json!({
        "schema": "notify-channel@1", "id": "c", "name": "C", "type": r#type, "config": {},
        "secrets": { "token": ["secret://env/X"] },
    });
    serde_json::from_value(document).unwrap()
}

async fn worker(folder: &Path, links: Option<Links>) -> (Worker, TenantId) {
    let store = Store::open(OpenOptions {
        backend: Backend::Sqlite { file: folder.join("notify.db") },
        site: "test.example".into(),
        log_seed: [7; 32],
        read_connections: 1,
    });
    let (store, tenant) = (store.await.unwrap(), TenantId::new("acme").unwrap());
    let clock: Arc<dyn Clock> = Arc::new(crate::clock::SystemClock);
    let create = Effect::CreateTenant { name: "Acme".into(), opaque: "log".into(), created_at: clock.now() };
    store
        .commit(Commit::new(tenant.clone(), vec![create], vec![Genesis::default().into_draft()]))
        .await
        .unwrap();
    let secrets = Arc::new(SecretResolver::with_environment(None, "NONE_", |_| None));
    let options = WorkerOptions { links, ..WorkerOptions::new("tests".into()) };
    (Worker::start(store, host(folder), secrets, clock, options).await.unwrap(), tenant)
}

#[tokio::test]
async fn names_and_values() {
    let links = Links::new("https://alerts.example.org".into(), LinkKeys::one([3; 32]), 30);
    for links in [None, Some(links)] {
        let folder = tempfile::tempdir().unwrap();
        let (worker, tenant) = worker(folder.path(), links.clone()).await;
        let delivery = DeliveryId::derive(["one"]);
        let at = Timestamp::from_second(1_800_000_000).unwrap();
        let of = async |r#type: &str| {
            let values = provided(&worker.shared, &tenant, &channel(r#type), &delivery, at).await.unwrap();
            let told = secret_names(&channel(r#type).secrets, &values);
            let previewed = names(&worker.shared, &tenant, &channel(r#type), worker.shared.clock.now()).await;
            assert_eq!(told, previewed.unwrap(), "{type}: a preview names what a delivery names");
            values
        };
        let shown = |values: &Provided| values.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        let (codec, transport, unknown) = (of("webhook").await, of("email").await, of("none").await);
        match &links {
            None => assert_eq!((shown(&codec), shown(&transport), shown(&unknown)), (vec![], vec![], vec![])),
            Some(links) => {
                assert_eq!(shown(&codec), [ALERT_URL]);
                assert_eq!(shown(&transport), [ALERT_URL, UNSUBSCRIBE]);
                let token = codec[0].1.strip_prefix("https://alerts.example.org/a/").unwrap();
                let opened = links.keys.open_alert(token, at).unwrap();
                assert_eq!((opened.tenant, opened.delivery), (tenant.clone(), delivery.clone()));
                assert_eq!(opened.expires_at.duration_since(at).as_secs(), 30 * 86_400);
                let made: Value = serde_json::from_str(&transport[1].1).unwrap();
                assert!(made["prefix"].as_str().unwrap().starts_with("https://alerts.example.org/u/"));
                assert!(made["prefix"].as_str().unwrap().ends_with('.'));
                assert_eq!(made["key"].as_str().unwrap().len(), 64);
            }
        }
        let out = |address: &str| Effect::OptOut {
            channel: ChannelId::new("c").unwrap(),
            address: address.into(),
            at,
        };
        let subject = vec![("actor".to_owned(), "ab".repeat(32))];
        let (kind, about) = (EntryKind::Access, "opt-out/c".to_owned());
        let entry = EntryDraft { kind, subject, predicate: Map::new(), about };
        let commit =
            Commit::new(tenant.clone(), vec![out("b@example.org"), out("a@example.org")], vec![entry]);
        worker.store().commit(commit).await.unwrap();
        let transport = of("email").await;
        let last = transport.last().unwrap();
        assert_eq!(*last, (OPTED_OUT, r#"["a@example.org","b@example.org"]"#.to_owned()));
        assert!(!shown(&of("webhook").await).contains(&OPTED_OUT));
        worker.stop().await;
    }
}
