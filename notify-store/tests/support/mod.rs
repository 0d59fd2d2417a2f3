//! Fresh stores on both databases, and commits to put into them.
#![allow(dead_code)] // each test binary uses its own part

use notify_core::document::Kind;
use notify_core::ids::{ActionId, ChannelId, DeliveryId, DigestId, EventKey, HeldId, RuleId, TenantId};
use notify_core::ledger::commitment::Commitment;
use notify_core::ledger::{EntryDraft, EntryKind};
use notify_core::severity::Severity;
use notify_core::time::Timestamp;
use notify_store::model::{
    Attempt, ClaimToken, DeliveryState, Follows, NewDelivery, NewDigestItem, NewEvent, NewHeld, Quarantined,
};
use notify_store::{Backend, Commit, Effect, OpenOptions, Store};
use serde_json::{Map, Value};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A store on a database of its own.
pub struct Fresh {
    pub store: Store,
    pub options: OpenOptions,
    /// Keeps SQLite's folder alive.
    _folder: Option<tempfile::TempDir>,
}

pub fn options(backend: Backend) -> OpenOptions {
    OpenOptions { backend, site: "test.example".into(), log_seed: [7; 32], read_connections: 2 }
}

pub async fn sqlite() -> Fresh {
    let folder = tempfile::tempdir().unwrap();
    let options = options(Backend::Sqlite { file: folder.path().join("notify.db") });
    Fresh { store: Store::open(options.clone()).await.unwrap(), options, _folder: Some(folder) }
}

/// URL of a new database on the shared server.
pub fn postgres_url() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    notify_testkit::postgres::shared().url_for(&format!("store_{}_{n}", std::process::id()))
}

pub async fn postgres() -> Fresh {
    let options = options(Backend::Postgres { url: postgres_url() });
    Fresh { store: Store::open(options.clone()).await.unwrap(), options, _folder: None }
}

impl Fresh {
    /// One statement past the store, on rows of one tenant.
    pub async fn execute(&self, id: &TenantId, sql: &'static str) {
        use sqlx::Connection;
        match &self.options.backend {
            Backend::Sqlite { file } => {
                let url = format!("sqlite://{}", file.display());
                let mut db = sqlx::SqliteConnection::connect(&url).await.unwrap();
                sqlx::query(sql).execute(&mut db).await.unwrap();
            }
            Backend::Postgres { url } => {
                let mut db = sqlx::PgConnection::connect(url).await.unwrap();
                let mut tx = db.begin().await.unwrap();
                let tenant = "SELECT set_config('notify.tenant', $1, true)";
                sqlx::query(tenant).bind(id.as_str()).execute(&mut *tx).await.unwrap();
                sqlx::query(sql).execute(&mut *tx).await.unwrap();
                tx.commit().await.unwrap();
            }
        }
    }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

pub fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub const MINUTE: Duration = Duration::from_secs(60);

pub fn draft(kind: EntryKind, about: &str) -> EntryDraft {
    let subject = vec![("event".to_owned(), "ab".repeat(32))];
    EntryDraft { kind, subject, predicate: Map::new(), about: about.to_owned() }
}

/// An entry that commits to these commitments (64 hex each).
pub fn committing(kind: EntryKind, about: &str, commitments: &[String]) -> EntryDraft {
    let mut predicate = Map::new();
    let list = commitments.iter().map(|c| Value::String(format!("sha256:{c}"))).collect();
    predicate.insert("commitments".into(), Value::Array(list));
    EntryDraft { predicate, ..draft(kind, about) }
}

pub fn create_tenant(id: &TenantId) -> Commit {
    create_tenant_as(id, id.as_str())
}

pub fn create_tenant_as(id: &TenantId, opaque: &str) -> Commit {
    let effect =
        Effect::CreateTenant { name: format!("Tenant {id}"), opaque: opaque.to_owned(), created_at: at(0) };
    let genesis = EntryDraft { subject: vec![], ..draft(EntryKind::Genesis, id.as_str()) };
    Commit::new(id.clone(), vec![effect], vec![genesis])
}

pub fn put(id: &TenantId, kind: Kind, name: &str, body: &str) -> Commit {
    let effect = Effect::PutDocument {
        kind,
        id: name.into(),
        digest: format!("sha256:{}", "cd".repeat(32)),
        body: body.into(),
        at: at(1),
    };
    Commit::new(id.clone(), vec![effect], vec![draft(EntryKind::Config, name)])
}

pub fn delete(id: &TenantId, kind: Kind, name: &str) -> Commit {
    let effect = Effect::DeleteDocument { kind, id: name.into(), at: at(2) };
    Commit::new(id.clone(), vec![effect], vec![draft(EntryKind::Config, name)])
}

pub fn event(name: &str) -> NewEvent {
    NewEvent {
        key: EventKey::derive([name]),
        source: "/scanner".into(),
        id: name.into(),
        r#type: "scanner.report.ready".into(),
        subject: Some("image".into()),
        body: format!(r#"{{"id":"{name}"}}"#),
        body_hash: [3; 32],
        accepted_at: at(10),
        salt: Some([4; 32]),
    }
}

pub fn pending(name: &str) -> NewEvent {
    NewEvent { salt: None, ..event(name) }
}

pub fn token(name: &str) -> ClaimToken {
    ClaimToken(name.to_owned())
}

pub fn delivery_id(name: &str) -> DeliveryId {
    DeliveryId::derive([name])
}

/// Due at second 20, caused by the event of the same name.
pub fn delivery(name: &str) -> NewDelivery {
    let (message, message_salt) = (format!(r#"{{"title":"{name}"}}"#), [5; 32]);
    NewDelivery {
        id: delivery_id(name),
        event: Some(EventKey::derive([name])),
        cause: format!("event:{name}"),
        rule: RuleId::new("critical").unwrap(),
        rule_version: 3,
        action: ActionId::new("chat").unwrap(),
        channel: ChannelId::new("hook").unwrap(),
        message_commitment: Commitment::of(&message_salt, message.as_bytes()).to_string(),
        message,
        message_salt,
        target: "https://receiver.example".into(),
        target_salt: [6; 32],
        created_at: at(11),
        due_at: at(20),
        claim: None,
    }
}

pub fn held_id(name: &str) -> HeldId {
    HeldId::derive([name])
}

/// The alert of the event of the same name, until this second.
pub fn held(name: &str, until: i64) -> NewHeld {
    let made = delivery(name);
    NewHeld {
        id: held_id(name),
        event: event(name).key,
        rule: made.rule,
        rule_version: made.rule_version,
        action: made.action,
        channel: made.channel,
        control: "quiet-hours".into(),
        message: made.message,
        message_salt: made.message_salt,
        message_commitment: made.message_commitment,
        held_at: at(10),
        release_at: at(until),
    }
}

pub fn digest(name: &str) -> DigestId {
    DigestId::derive([name])
}

/// The alert of the event of this name as a part of a digest.
pub fn item(of: &str, number: u32, name: &str) -> NewDigestItem {
    NewDigestItem {
        digest: digest(of),
        number,
        event: event(name).key,
        rule: RuleId::new("r").unwrap(),
        action: ActionId::new("a").unwrap(),
        severity: if number.is_multiple_of(2) { Severity::None } else { Severity::Critical },
        at: at(10 + i64::from(number)),
    }
}

/// A message that could not be taken in.
pub fn message(id: &str, second: i64) -> Quarantined {
    Quarantined {
        id: id.into(),
        received_at: at(second),
        origin: "nats:alerts.in".into(),
        content_type: "application/cloudevents+json".into(),
        code: "schema-mismatch".into(),
        problem: r#"{"code":"schema-mismatch","reason":"no"}"#.into(),
        body: vec![0, 255, b'{'],
        size: 3,
        truncated: second % 2 == 1,
    }
}

pub fn put_aside(id: &TenantId, message: &Quarantined) -> Commit {
    let effects = vec![Effect::Quarantine(Box::new(message.clone()))];
    Commit::new(id.clone(), effects, vec![draft(EntryKind::Access, &message.id)])
}

pub fn accept(id: &TenantId, event: NewEvent, deliveries: Vec<NewDelivery>) -> Commit {
    let about = event.key.to_string();
    let mut effects = vec![Effect::AcceptPlanned(Box::new(event))];
    effects.extend(deliveries.into_iter().map(|d| Effect::CreateDelivery(Box::new(d))));
    Commit::new(id.clone(), effects, vec![draft(EntryKind::Event, &about)])
}

pub fn attempt(name: &str, number: u32, follows: Follows) -> Attempt {
    Attempt {
        delivery: delivery_id(name),
        attempt: number,
        started_at: at(30),
        finished_at: at(31),
        result: match follows {
            Follows::Outcome(DeliveryState::Delivered) => "delivered",
            Follows::Outcome(_) => "permanent",
            Follows::Retry { .. } => "retry",
        }
        .into(),
        http_status: Some(200),
        request: Some((format!("POST {name} {number}").into_bytes(), [8; 32])),
        response: Some((b"ok".to_vec(), [9; 32])),
        error: None,
        provider_reference: None,
        follows,
    }
}

pub const DELIVERED: Follows = Follows::Outcome(DeliveryState::Delivered);
pub const DEAD: Follows = Follows::Outcome(DeliveryState::Dead);

pub fn retry(second: i64) -> Follows {
    Follows::Retry { due_at: at(second), claim: None }
}

pub fn record(id: &TenantId, attempt: Attempt) -> Commit {
    let about = attempt.delivery.to_string();
    Commit::new(
        id.clone(),
        vec![Effect::RecordAttempt(Box::new(attempt))],
        vec![draft(EntryKind::Attempt, &about)],
    )
}

/// The whole ledger must be one tree: numbers without holes, leaf hashes of the stored bytes, time that never falls,
/// and the head's root over it all.
pub async fn check_ledger(store: &Store, id: &TenantId) -> u64 {
    use notify_core::ledger::dsse::entry_leaf_hash;
    use notify_core::ledger::tree::{CompactRange, Hash};
    let head = store.ledger_head(id).await.unwrap().expect("a head");
    let mut range = CompactRange::new();
    let mut last = Timestamp::MIN;
    while range.size() < head.size {
        let entries = store.ledger_entries(id, range.size(), head.size, 500).await.unwrap();
        assert!(!entries.is_empty(), "entries are missing from {}", range.size());
        for entry in entries {
            assert_eq!(entry.seq, range.size());
            assert!(entry.at >= last);
            last = entry.at;
            let payload = entry.payload.expect("nothing is pruned here");
            let seq = format!(r#""seq":{}"#, entry.seq);
            assert!(payload.contains(&seq), "{payload}");
            assert_eq!(Hash(entry.leaf_hash), entry_leaf_hash(payload.as_bytes()));
            range.push(Hash(entry.leaf_hash), |_| {});
        }
    }
    assert_eq!(range.root(), Hash(head.root));
    assert!(head.checkpoint.starts_with(&format!("{}\n{}\n", head.origin, head.size)), "{}", head.checkpoint);
    head.size
}
