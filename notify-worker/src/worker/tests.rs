//! Parts that fail are noticed, and an owner gets a successor.

use super::*;
use notify_connector_host::HostConfig;
use notify_connector_host::outbound::EgressPolicy;
use notify_core::ledger::entry::Genesis;
use notify_store::model::{EventState, NewEvent};
use notify_store::{Backend, Bookkeeping, Commit, Effect, OpenOptions};

async fn worker(folder: &std::path::Path) -> (Worker, TenantId) {
    let store = Store::open(OpenOptions {
        backend: Backend::Sqlite { file: folder.join("notify.db") },
        site: "test.example".into(),
        log_seed: [7; 32],
        read_connections: 1,
    })
    .await
    .unwrap();
    let tenant = TenantId::new("acme").unwrap();
    let clock: Arc<dyn Clock> = Arc::new(crate::clock::SystemClock);
    let create = Effect::CreateTenant { name: "Acme".into(), opaque: "log".into(), created_at: clock.now() };
    let genesis = Genesis::default().into_draft();
    store.commit(Commit::new(tenant.clone(), vec![create], vec![genesis])).await.unwrap();
    for name in ["plugins", "trust"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    let (plugins, trust) = (folder.join("plugins"), folder.join("trust"));
    let config = HostConfig::new(plugins, trust, folder.join("none"), EgressPolicy::default());
    let host = Arc::new(ConnectorHost::open(config).unwrap());
    let secrets = Arc::new(SecretResolver::with_environment(None, "NONE_", |_| None));
    let options = WorkerOptions::new("tests".into());
    (Worker::start(store, host, secrets, clock, options).await.unwrap(), tenant)
}

async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    for _ in 0..2_000 {
        if holds().await {
            return;
        }
        crate::clock::wait(Duration::from_millis(5)).await;
    }
    panic!("never happened: {what}");
}

fn event(tenant: &TenantId, id: &str) -> Event {
    let value = serde_json::json!({ "specversion": "1.0", "id": id, "source": "/t", "type": "t" });
    Event::from_value(tenant, value, &notify_core::event::EventLimits::default()).unwrap()
}

#[tokio::test]
async fn an_owner_that_failed_gets_a_successor_that_plans_what_waits() {
    let folder = tempfile::tempdir().unwrap();
    let (worker, tenant) = worker(folder.path()).await;
    assert_eq!(worker.health(), Health::default());
    worker.accept(event(&tenant, "1")).await.unwrap();
    assert_eq!(worker.health(), Health { owners: 1, ..Health::default() });
    {
        // An owner ends without a stop only when it panics; its inbox is then closed.
        let mut owners = worker.owners.lock().unwrap();
        for (name, task) in &owners.tasks {
            if *name == OWNER {
                task.abort();
            }
        }
        let (closed, _) = mpsc::channel(1);
        owners.inboxes.insert(tenant.clone(), closed);
    }
    // Accepted while nobody plans.
    let waiting = event(&tenant, "2");
    let new = NewEvent {
        key: waiting.key.clone(),
        source: waiting.source.clone(),
        id: waiting.id.clone(),
        r#type: waiting.r#type.clone(),
        subject: None,
        body: waiting.body.clone(),
        body_hash: waiting.body_hash,
        accepted_at: worker.shared.clock.now(),
        salt: None,
    };
    let accept = vec![Bookkeeping::AcceptPending(Box::new(new))];
    worker.store().commit(Commit::bookkeeping(tenant.clone(), accept)).await.unwrap();
    assert_eq!(worker.health(), Health { owners: 1, revived: 1, ended: vec![] });
    until("the waiting event is planned", async || {
        let found = worker.store().event(&tenant, &waiting.key).await.unwrap();
        found.is_some_and(|event| event.state == EventState::Planned)
    })
    .await;
    assert_eq!(worker.health(), Health { owners: 1, ..Health::default() }, "once");
    worker.stop().await;
}

#[tokio::test]
async fn a_part_that_ended_is_named_unless_a_stop_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (worker, _) = worker(folder.path()).await;
    worker.owners.lock().unwrap().tasks.iter().for_each(|(_, task)| task.abort());
    until("the part has ended", async || worker.health().ended == ["checks", "inbox", "pending", "poll"])
        .await;
    worker.stop().await;
    assert_eq!(worker.health(), Health::default());
}
