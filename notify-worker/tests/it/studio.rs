//! A tenant, its documents and events on a store in a folder of its own.

use notify_connector_host::outbound::EgressPolicy;
use notify_connector_host::secrets::SecretResolver;
use notify_connector_host::{ConnectorHost, HostConfig};
use notify_core::document::{Kind, parse_any};
use notify_core::event::{Event, EventLimits};
use notify_core::ids::{DeliveryId, TenantId};
use notify_core::ledger::commitment::{Commitment, salt};
use notify_core::ledger::entry::{ConfigAction, ConfigEntry, DocumentContent, Genesis};
use notify_core::time::{Clock, Timestamp};
use notify_store::model::{Attempt, Delivery, DeliveryFilter, DeliveryState, LedgerEntry, Page};
use notify_store::{Backend, Commit, Effect, OpenOptions, Store};
use notify_worker::clock::{SystemClock, wait};
use notify_worker::{Worker, WorkerOptions};
use serde_json::{Value, json};
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// Ample for what takes milliseconds; a test that needs it all has failed.
const PATIENCE: Duration = Duration::from_secs(20);

#[allow(dead_code)] // each test binary uses its own part
pub struct Studio {
    pub store: Store,
    pub tenant: TenantId,
    folder: TempDir,
}

/// Waits until `look` finds something.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let found = async {
        loop {
            match look().await {
                Some(found) => return found,
                None => wait(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("never happened: {what}"))
}

pub fn now() -> Timestamp {
    SystemClock.now()
}

fn options(file: &Path) -> OpenOptions {
    on_backend(Backend::Sqlite { file: file.to_owned() })
}

fn on_backend(backend: Backend) -> OpenOptions {
    OpenOptions { backend, site: "test.example".into(), log_seed: [7; 32], read_connections: 2 }
}

/// A rule that sends every alert, where it does not ask for noise control itself.
fn without_noise_control(rule: &Value) -> Value {
    let mut rule = rule.clone();
    let silent = rule["actions"].as_array_mut().into_iter().flatten().fold(true, |silent, action| {
        let members = action.as_object_mut().unwrap();
        let asks = ["dedupe", "throttle", "digest"].iter().any(|control| members.contains_key(*control));
        if !asks {
            members.insert("dedupe".to_owned(), "off".into());
            members.insert("throttle".to_owned(), "off".into());
        }
        silent && !asks
    });
    if silent && rule.get("storm").is_none() {
        rule["storm"] = "off".into();
    }
    rule
}

#[allow(dead_code)]
impl Studio {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let backend = Backend::Sqlite { file: folder.path().join("notify.db") };
        Self::on(backend, folder).await
    }

    /// On this database; other files go into the folder.
    pub async fn on(backend: Backend, folder: TempDir) -> Self {
        let store = Store::open(on_backend(backend)).await.unwrap();
        let tenant = TenantId::new("acme").unwrap();
        let effect = Effect::CreateTenant {
            name: "Acme".into(),
            opaque: "0123456789abcdef".into(),
            created_at: now(),
        };
        let genesis = Genesis::default().into_draft();
        store.commit(Commit::new(tenant.clone(), vec![effect], vec![genesis])).await.unwrap();
        Self { store, tenant, folder }
    }

    /// The same after its worker has stopped, which closes the store.
    pub async fn reopened(self) -> Self {
        let file = self.folder.path().join("notify.db");
        let store = Store::open(options(&file)).await.unwrap();
        Self { store, ..self }
    }

    /// Channels `once` (one attempt), `later` (the second attempt is an hour away) and `off`; no rules.
    pub async fn with_channels() -> Self {
        let studio = Self::new().await;
        for (id, enabled, schedule) in
            [("once", true, json!([])), ("later", true, json!([3600])), ("off", false, json!([]))]
        {
            let config = json!({"url": format!("https://{id}.example/hook")});
            let retry = json!({"scheduleSeconds": schedule});
            let channel = json!({
                "schema": "notify-channel@1", "id": id, "name": id, "type": "webhook", "enabled": enabled,
                "config": config, "retry": retry,
            });
            studio.put(Kind::Channel, &channel).await;
        }
        studio
    }

    /// Saves a document as the API does, without telling any worker.
    pub async fn put(&self, kind: Kind, document: &Value) {
        let id = document["id"].as_str().unwrap();
        let document = &if kind == Kind::Rule { without_noise_control(document) } else { document.clone() };
        let (_, body, digest) = parse_any(kind, document).unwrap();
        let known = self.store.document(&self.tenant, kind, id, None).await.unwrap();
        let commitment = |field: &str, bytes: &[u8]| Commitment::of(&salt(&[9; 32], id, field, 0), bytes);
        let entry = ConfigEntry {
            document_kind: kind.as_str().into(),
            document: id.into(),
            version: known.map_or(1, |document| document.version + 1),
            action: ConfigAction::Replace,
            content: DocumentContent::Committed(commitment("config", body.as_bytes())),
            actor: commitment("actor", b"tests"),
            forced: vec![],
        };
        let effect = Effect::PutDocument { kind, id: id.into(), digest, body, at: now() };
        self.store
            .commit(Commit::new(self.tenant.clone(), vec![effect], vec![entry.into_draft()]))
            .await
            .unwrap();
    }

    /// Deletes a document as the API does, without telling any worker.
    pub async fn delete(&self, kind: Kind, id: &str) {
        let commitment = |field: &str, bytes: &[u8]| Commitment::of(&salt(&[9; 32], id, field, 0), bytes);
        let entry = ConfigEntry {
            document_kind: kind.as_str().into(),
            document: id.into(),
            version: 1,
            action: ConfigAction::Delete,
            content: DocumentContent::Committed(commitment("config", b"gone")),
            actor: commitment("actor", b"tests"),
            forced: vec![],
        };
        let effect = Effect::DeleteDocument { kind, id: id.into(), at: now() };
        let commit = Commit::new(self.tenant.clone(), vec![effect], vec![entry.into_draft()]);
        self.store.commit(commit).await.unwrap();
    }

    /// Another process' view of the same database, which must not be a file.
    pub async fn sibling(&self, backend: Backend) -> Self {
        let store = Store::open(on_backend(backend)).await.unwrap();
        Self { store, tenant: self.tenant.clone(), folder: tempfile::tempdir().unwrap() }
    }

    /// A rule with one action: events of this type go to this channel.
    pub async fn rule(&self, id: &str, r#type: &str, channel: &str) {
        let rule = json!({
            "schema": "notify-rule@1", "id": id, "name": id, "match": {"type": [r#type]},
            "actions": [{"id": "only", "channel": channel}],
        });
        self.put(Kind::Rule, &rule).await;
    }

    pub fn event(&self, id: &str, r#type: &str, data: &str) -> Event {
        let value = json!({"specversion": "1.0", "id": id, "source": "/tests", "type": r#type, "data": data});
        Event::from_value(&self.tenant, value, &EventLimits::default()).unwrap()
    }

    pub async fn worker(&self) -> Worker {
        self.worker_with(|_| {}).await
    }

    pub async fn worker_with(&self, adjust: impl FnOnce(&mut WorkerOptions)) -> Worker {
        let secrets = Arc::new(SecretResolver::with_environment(None, "NONE_", |_| None));
        self.worker_through(host(self.folder.path()), secrets, adjust).await
    }

    pub async fn worker_through(
        &self,
        host: Arc<ConnectorHost>,
        secrets: Arc<SecretResolver>,
        adjust: impl FnOnce(&mut WorkerOptions),
    ) -> Worker {
        self.worker_by(Arc::new(SystemClock), host, secrets, adjust).await
    }

    /// A worker that sends nothing, by this clock.
    pub async fn worker_at(&self, clock: Arc<dyn Clock>, adjust: impl FnOnce(&mut WorkerOptions)) -> Worker {
        let secrets = Arc::new(SecretResolver::with_environment(None, "NONE_", |_| None));
        self.worker_by(clock, host(self.folder.path()), secrets, adjust).await
    }

    async fn worker_by(
        &self,
        clock: Arc<dyn Clock>,
        host: Arc<ConnectorHost>,
        secrets: Arc<SecretResolver>,
        adjust: impl FnOnce(&mut WorkerOptions),
    ) -> Worker {
        let mut options = WorkerOptions::new("tests".into());
        adjust(&mut options);
        Worker::start(self.store.clone(), host, secrets, clock, options).await.unwrap()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A webhook channel that gives up after one attempt.
    pub async fn hook(&self, id: &str, url: &str, secrets: &Value) {
        let channel = json!({
            "schema": "notify-channel@1", "id": id, "name": id, "type": "webhook", "enabled": true,
            "config": {"url": url}, "secrets": secrets, "retry": {"scheduleSeconds": []},
        });
        self.put(Kind::Channel, &channel).await;
    }

    pub async fn channel(&self, id: &str) -> (u64, Value) {
        let found = self.store.document(&self.tenant, Kind::Channel, id, None).await.unwrap().unwrap();
        (found.version, serde_json::from_str(&found.body).unwrap())
    }

    /// All deliveries, newest first.
    pub async fn deliveries(&self) -> Vec<Delivery> {
        let page = Page { limit: 100, after: None };
        self.store.deliveries(&self.tenant, &DeliveryFilter::default(), &page).await.unwrap().items
    }

    pub async fn delivery_in(&self, id: &DeliveryId, state: DeliveryState, next_attempt: u32) -> Delivery {
        eventually(&format!("{id} is {state:?} at {next_attempt}"), || async {
            let found = self.store.delivery(&self.tenant, id).await.unwrap();
            found.filter(|found| found.state == state && found.next_attempt >= next_attempt)
        })
        .await
    }

    pub async fn attempts(&self, id: &DeliveryId) -> Vec<Attempt> {
        self.store.attempts(&self.tenant, id).await.unwrap()
    }

    /// Entries about something, as (kind, payload).
    pub async fn entries_about(&self, about: &str) -> Vec<(String, Value)> {
        let entries = self.store.ledger_entries_about(&self.tenant, about).await.unwrap();
        entries.into_iter().map(|entry| (entry.kind.clone(), predicate(entry))).collect()
    }
}

fn predicate(entry: LedgerEntry) -> Value {
    let payload: Value = serde_json::from_str(&entry.payload.expect("nothing is pruned here")).unwrap();
    payload["predicate"].clone()
}

/// A host without plug-ins; the program that would run them does not exist either.
fn host(folder: &Path) -> Arc<ConnectorHost> {
    for name in ["plugins", "trust"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    let config = HostConfig::new(
        folder.join("plugins"),
        folder.join("trust"),
        folder.join("no-such-program"),
        EgressPolicy::default(),
    );
    Arc::new(ConnectorHost::open(config).unwrap())
}
