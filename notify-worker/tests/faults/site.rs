//! A studio with the real webhook plug-in, and channels on it.

use crate::receiver::SECRET;
use crate::studio::{Studio, eventually};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePublicKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use notify_connector_host::outbound::EgressPolicy;
use notify_connector_host::secrets::SecretResolver;
use notify_connector_host::stage::stage_plugin;
use notify_connector_host::{ConnectorHost, HostConfig};
use notify_core::document::Kind;
use notify_store::model::{Delivery, DeliveryFilter, Page};
use notify_worker::{Worker, WorkerOptions};
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What cargo built beside this test: `deps/` and, next to it, `examples/`.
fn built(relative: &str) -> PathBuf {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
    let path = deps.join(relative);
    assert!(path.exists(), "{} is built with this crate's tests", path.display());
    path
}

/// A host with the webhook plug-in, which may reach loopback.
fn host(folder: &Path) -> Arc<ConnectorHost> {
    let (plugins, trust) = (folder.join("plugins"), folder.join("trust"));
    std::fs::create_dir_all(&plugins).unwrap();
    std::fs::create_dir_all(&trust).unwrap();
    let key = SigningKey::from_bytes(&[7; 32]);
    let pem = key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
    std::fs::write(trust.join("main.pem"), pem).unwrap();
    let manifest = include_bytes!("../../../connectors/webhook/notify-plugin.json");
    stage_plugin(&built("libnotify_connector_webhook.so"), manifest, &key, &plugins).unwrap();
    let mut egress = EgressPolicy { system_roots: false, ..EgressPolicy::default() };
    egress.guard.allow.push("127.0.0.0/8".parse().unwrap());
    egress.guard.require_https = false;
    let child = built("../examples/connector_child");
    Arc::new(ConnectorHost::open(HostConfig::new(plugins, trust, child, egress)).unwrap())
}

/// A worker that sends for real.
pub async fn worker(studio: &Studio, adjust: impl FnOnce(&mut WorkerOptions)) -> Worker {
    let secrets = SecretResolver::with_environment(None, "NOTIFY_SECRET_", |name| {
        (name == "NOTIFY_SECRET_ACME_HOOK").then(|| SECRET.to_owned())
    });
    studio.worker_through(host(studio.folder()), Arc::new(secrets), adjust).await
}

/// A channel to this address, and a rule that sends events of the type `id` there.
pub async fn channel(studio: &Studio, id: &str, address: SocketAddr, retry: &[u32], timeout: u16) {
    let channel = json!({
        "schema": "notify-channel@1", "id": id, "name": id, "type": "webhook",
        "config": {"url": format!("http://{address}/{id}")},
        "secrets": {"signing": ["secret://env/NOTIFY_SECRET_ACME_HOOK"]},
        "retry": {"scheduleSeconds": retry}, "timeoutSeconds": timeout,
    });
    studio.put(Kind::Channel, &channel).await;
    studio.rule(id, id, id).await;
}

/// All deliveries, however many.
pub async fn deliveries(studio: &Studio) -> Vec<Delivery> {
    let mut all = Vec::new();
    let mut page = Page { limit: 200, after: None };
    loop {
        let filter = DeliveryFilter::default();
        // This look goes over the same bad line as everything else.
        let read = || async { studio.store.deliveries(&studio.tenant, &filter, &page).await.ok() };
        let part = eventually("the deliveries can be read", read).await;
        all.extend(part.items);
        match part.next {
            Some(next) => page.after = Some(next),
            None => return all,
        }
    }
}
