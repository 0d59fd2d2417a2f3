//! A service for one test.

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use notify_bus::intake::{Intake, ProducerKeys};
use notify_connector_host::secrets::SecretResolver;
use notify_core::document::channel::SecretRef;
use notify_core::document::{Channel, Kind, Rule, Version};
use notify_core::event::Event;
use notify_core::ids::{ChannelId, DeliveryId, TenantId};
use notify_core::ledger::entry::Genesis;
use notify_core::ledger::keys::ExportKey;
use notify_core::links::LinkKeys;
use notify_core::plan::{Documents, Explained, Snapshot};
use notify_core::problem::{Code, Problem};
use notify_core::time::{Clock, Timestamp};
use notify_store::model::{NewEvent, Page, Paged};
use notify_store::{Backend, Bookkeeping, Commit, Effect, OpenOptions, Store};
use notify_webservice::auth::{Authenticator, Issue, Publisher, Publishers, Scope, TokenKey, issue_token};
use notify_webservice::engine::{
    Accepted, Actor, BoxFuture, Check, DigestAsked, DigestPreview, Engine, PluginStatus, Preview, Readiness,
    Redrive, Redriven,
};
use notify_webservice::pages::Pages;
use notify_webservice::{App, Counters, Limits, router};
use serde_json::Value;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower::ServiceExt;

/// Signs the links.
pub const LINK_KEY: [u8; 32] = [5; 32];
/// Looks of one client at pages in a minute.
pub const PER_MINUTE: u32 = 40;

pub const SITE: &str = "studio.test";

/// In place of the seconds: the machine's clock, for tests with programs that have no other.
const REAL_TIME: i64 = i64::MIN;

#[allow(clippy::disallowed_methods)] // other programs' clocks cannot be set
fn real_time() -> Timestamp {
    Timestamp::now()
}

/// A clock that tests move.
pub struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        match self.0.load(Ordering::Relaxed) {
            REAL_TIME => real_time(),
            seconds => Timestamp::from_second(seconds).unwrap(),
        }
    }
}

/// Accepts events durably; what it is told to do wrong is set by tests.
pub struct TestEngine {
    store: Store,
    clock: Arc<TestClock>,
    pub changes: AtomicU64,
    /// Events that were handed over, repeats too.
    pub offered: AtomicU64,
    /// One event after the other, in the order in which they came.
    order: Arc<tokio::sync::Mutex<()>>,
    /// What the next calls do instead of their work.
    pub fault: Mutex<Option<Fault>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Panic,
    Hang,
    Unavailable,
}

impl TestEngine {
    fn fault(&self) -> Option<Fault> {
        *self.fault.lock().unwrap()
    }
}

impl Engine for TestEngine {
    fn accept(&self, event: Event) -> BoxFuture<Result<Accepted, Problem>> {
        self.offered.fetch_add(1, Ordering::Relaxed);
        match self.fault() {
            Some(Fault::Panic) => panic!("asked to"),
            Some(Fault::Hang) => return Box::pin(std::future::pending()),
            Some(Fault::Unavailable) => {
                let problem = Problem::new(Code::Unavailable, "", "the disk is full", "try again");
                return Box::pin(std::future::ready(Err(problem)));
            }
            None => {}
        }
        let (store, accepted_at, order) = (self.store.clone(), self.clock.now(), Arc::clone(&self.order));
        Box::pin(async move {
            let _turn = order.lock().await;
            let internal = |error| Problem::new(Code::Internal, "", format!("{error}"), "");
            let known = store
                .known_events(&event.tenant, std::slice::from_ref(&event.key))
                .await
                .map_err(internal)?;
            if let Some(known) = known.first() {
                if known.body_hash != event.body_hash {
                    return Err(Problem::new(
                        Code::EventConflict,
                        "/id",
                        "same identity, other body",
                        "use a new id",
                    ));
                }
                return Ok(Accepted { key: event.key, duplicate: true, accepted_at: known.accepted_at });
            }
            let new = NewEvent {
                key: event.key.clone(),
                source: event.source,
                id: event.id,
                r#type: event.r#type,
                subject: event.subject,
                body: event.body,
                body_hash: event.body_hash,
                accepted_at,
                salt: None,
            };
            let accept = vec![Bookkeeping::AcceptPending(Box::new(new))];
            store.commit(Commit::bookkeeping(event.tenant, accept)).await.map_err(internal)?;
            Ok(Accepted { key: event.key, duplicate: false, accepted_at })
        })
    }
    fn preview(&self, _rule: Option<Rule>, event: Event) -> BoxFuture<Result<Preview, Problem>> {
        Box::pin(std::future::ready(Ok(Preview {
            event_key: event.key,
            matched: vec![],
            unmatched: 0,
            nearest: None,
        })))
    }
    fn preview_digest(&self, asked: DigestAsked) -> BoxFuture<Result<DigestPreview, Problem>> {
        let unsaved = asked.unsaved.and_then(|rule| rule.actions.into_iter().next());
        Box::pin(std::future::ready(match unsaved {
            Some(action) => Ok(DigestPreview {
                rule: asked.rule,
                action: action.id,
                channel: action.channel,
                channel_type: None,
                template: None,
                count: asked.events.len() as u64,
                retained: 0,
                message: notify_core::message::Message {
                    title: asked.control.to_owned(),
                    ..Default::default()
                },
                request: None,
                problem: None,
            }),
            None => Err(Problem::new(Code::NotFound, "/rule", "there is no such rule", "")),
        }))
    }
    /// With the tenant's rules as they are stored.
    fn explain(&self, event: Event, nearest: usize) -> BoxFuture<Result<Explained, Problem>> {
        let store = self.store.clone();
        Box::pin(async move {
            let internal =
                |error: notify_store::StoreError| Problem::new(Code::Internal, "", error.to_string(), "");
            let configuration = store.configuration(&event.tenant).await.map_err(internal)?;
            let current = configuration.documents.iter().filter(|d| d.kind == Kind::Rule && !d.deleted);
            let rules = current.map(|document| Version {
                version: document.version,
                digest: document.digest.clone(),
                document: serde_json::from_str(&document.body).unwrap(),
            });
            let (snapshot, _) = Snapshot::compile(
                event.tenant.clone(),
                1,
                "en",
                Documents { rules: rules.collect(), ..Documents::default() },
            );
            Ok(snapshot.explain(&event.value, nearest))
        })
    }
    fn replay(
        &self,
        tenant: &TenantId,
        delivery: &DeliveryId,
        _: &Actor,
        _: Option<&str>,
    ) -> BoxFuture<Result<DeliveryId, Problem>> {
        let (store, tenant, id) = (self.store.clone(), tenant.clone(), delivery.clone());
        Box::pin(async move {
            match store.delivery(&tenant, &id).await {
                Ok(Some(_)) => Ok(DeliveryId::derive([tenant.as_str(), "replay", id.as_str()])),
                _ => Err(Problem::new(Code::NotFound, "", format!("there is no delivery `{id}`"), "")),
            }
        })
    }
    fn redrive(&self, _: &TenantId, asked: Redrive, _: &Actor) -> BoxFuture<Result<Redriven, Problem>> {
        let redriven = Redriven {
            dry_run: asked.dry_run,
            rate_per_second: asked.rate_per_second,
            ..Redriven::default()
        };
        Box::pin(std::future::ready(Ok(redriven)))
    }
    fn test_channel(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        _: &Actor,
        _: Option<&str>,
    ) -> BoxFuture<Result<DeliveryId, Problem>> {
        let found = self.known_channel(tenant, channel);
        Box::pin(async move {
            let found = found.await?;
            Ok(DeliveryId::derive([found["id"].as_str().unwrap_or_default()]))
        })
    }
    fn check_channel(&self, tenant: &TenantId, channel: &ChannelId) -> BoxFuture<Result<Value, Problem>> {
        self.known_channel(tenant, channel)
    }
    fn refresh_secrets(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        _: &Actor,
    ) -> BoxFuture<Result<Value, Problem>> {
        self.known_channel(tenant, channel)
    }
    fn channel_status(&self, tenant: &TenantId, channel: &ChannelId) -> BoxFuture<Result<Value, Problem>> {
        self.known_channel(tenant, channel)
    }
    fn channel_statuses(&self, tenant: &TenantId, page: &Page) -> BoxFuture<Result<Paged<Value>, Problem>> {
        let (store, tenant, page) = (self.store.clone(), tenant.clone(), page.clone());
        Box::pin(async move {
            let all = store.documents(&tenant, Kind::Channel, &page).await;
            let all = all.map_err(|error| Problem::new(Code::Internal, "", error.to_string(), ""))?;
            let items = all.items.iter().map(|document| serde_json::from_str(&document.body).unwrap());
            Ok(Paged { items: items.collect(), next: all.next })
        })
    }
    fn configuration_changed(&self, _: &TenantId) {
        self.changes.fetch_add(1, Ordering::Relaxed);
    }
    fn validate_channel(&self, _: &TenantId, channel: &Channel) -> BoxFuture<Result<(), Problem>> {
        let checked = match channel.r#type.as_str() {
            "webhook" | "email" => Ok(()),
            "console" => notify_core::document::console::check_console(channel),
            _ => {
                Err(Problem::new(Code::InvalidChannel, "/type", "no plug-in offers this type", "install one"))
            }
        };
        Box::pin(std::future::ready(checked))
    }
    fn plugins(&self) -> Vec<PluginStatus> {
        assert!(self.fault() != Some(Fault::Panic), "asked to");
        vec![]
    }
    fn metrics(&self) -> BoxFuture<String> {
        Box::pin(std::future::ready("notify_events_accepted_total 0".to_owned()))
    }
    fn ready(&self) -> BoxFuture<Readiness> {
        let ready = self.fault() != Some(Fault::Unavailable);
        let store = if ready { Check::ok("store", "") } else { Check::fail("store", "full", "make room") };
        Box::pin(std::future::ready(Readiness::of(vec![store])))
    }
}

impl TestEngine {
    /// The channel's document, as it is stored.
    fn known_channel(&self, tenant: &TenantId, channel: &ChannelId) -> BoxFuture<Result<Value, Problem>> {
        let (store, tenant, id) = (self.store.clone(), tenant.clone(), channel.to_string());
        Box::pin(async move {
            match store.document(&tenant, Kind::Channel, &id, None).await {
                Ok(Some(found)) if !found.deleted => Ok(serde_json::from_str(&found.body).unwrap()),
                _ => Err(Problem::new(Code::NotFound, "", format!("there is no channel `{id}`"), "")),
            }
        })
    }
}

/// A running service with the tenants `acme` and `other`.
pub struct Service {
    pub router: Router,
    pub app: Arc<App>,
    pub engine: Arc<TestEngine>,
    pub clock: Arc<TestClock>,
    pub store: Store,
    pub intake: Arc<Intake>,
    token_seed: [u8; 32],
    _home: tempfile::TempDir,
}

/// One answer, body read.
pub struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
    pub body: Value,
}

impl Answered {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub fn code(&self) -> &str {
        self.body.get("code").and_then(Value::as_str).unwrap_or_default()
    }

    pub fn text(&self, pointer: &str) -> &str {
        self.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

pub async fn service() -> Service {
    service_with(Limits::default()).await
}

pub async fn service_with(limits: Limits) -> Service {
    let home = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        backend: Backend::Sqlite { file: home.path().join("notify.db") },
        site: SITE.to_owned(),
        log_seed: [7; 32],
        read_connections: 2,
    };
    let store = Store::open(options).await.unwrap();
    let clock = Arc::new(TestClock(AtomicI64::new(1_795_000_000)));
    for tenant in ["acme", "other"] {
        let tenant = TenantId::new(tenant).unwrap();
        let opaque = format!("{tenant}-log");
        let create = Effect::CreateTenant { name: tenant.to_string(), opaque, created_at: clock.now() };
        store.commit(Commit::new(tenant, vec![create], vec![Genesis::default().into_draft()])).await.unwrap();
    }
    let engine = Arc::new(TestEngine {
        store: store.clone(),
        clock: Arc::clone(&clock),
        changes: AtomicU64::new(0),
        offered: AtomicU64::new(0),
        order: Arc::default(),
        fault: Mutex::new(None),
    });
    let token_seed = [9; 32];
    let intake = Intake::new(store.clone(), clock.clone(), producer_keys(home.path()), limits.events);
    let intake = Arc::new(intake);
    let app = App {
        store: store.clone(),
        engine: engine.clone(),
        authenticator: Authenticator::new(token_key(token_seed)),
        publishers: publishers(),
        intake: Arc::clone(&intake),
        clock: clock.clone(),
        limits,
        export_key: ExportKey::from_seed(&[8; 32]),
        counters: Counters::default(),
        pages: Pages::new(LinkKeys::one(LINK_KEY), PER_MINUTE, vec![]),
    };
    let app = Arc::new(app);
    Service { router: router(Arc::clone(&app)), app, engine, clock, store, intake, token_seed, _home: home }
}

/// `acme` trusts the key of the test vectors of cloudevents/spec, `verifiability.md`.
fn producer_keys(home: &std::path::Path) -> ProducerKeys {
    let folder = home.join("producers");
    std::fs::create_dir_all(folder.join("acme")).unwrap();
    let key = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZ805D3eqNZywjCI19lInBJOp7YMr\n\
        CrzAH3CVTAOQ0jgMeCvVTiaRJaRPRDOv8UMs6U4SvKc6pnrIDOoSYI3fdA==\n\
        -----END PUBLIC KEY-----\n";
    std::fs::write(folder.join("acme/testkey.pem"), key).unwrap();
    ProducerKeys::read(&folder).unwrap()
}

/// Two services that sign: `scanner` for `acme` (while its secret is being changed), `gateway` for both tenants.
fn publishers() -> Publishers {
    let variables = [("SCANNER_NEW", NEW_SECRET), ("SCANNER_OLD", OLD_SECRET), ("GATEWAY", GATEWAY_SECRET)];
    let lookup = move |name: &str| {
        variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    };
    let secrets = SecretResolver::with_environment(None, "NOTIFY_SECRET_", lookup);
    let publisher = |name: &str, tenants: &[&str], references: &[&str]| Publisher {
        name: name.to_owned(),
        tenants: tenants.iter().map(|tenant| TenantId::new(*tenant).unwrap()).collect(),
        secrets: references.iter().map(|name| SecretRef::Env((*name).to_owned())).collect(),
    };
    let all = vec![
        publisher("scanner", &["acme"], &["SCANNER_NEW", "SCANNER_OLD", "NOT_SET"]),
        publisher("gateway", &["acme", "other"], &["GATEWAY"]),
    ];
    Publishers::new(all, Arc::new(secrets))
}

pub const NEW_SECRET: &str = "whsec_bmV3LW5ldy1uZXctbmV3LW5ldy1uZXctbmV3";
pub const OLD_SECRET: &str = "whsec_b2xkLW9sZC1vbGQtb2xkLW9sZC1vbGQtb2xk";
pub const GATEWAY_SECRET: &str = "whsec_Z2F0ZS1nYXRlLWdhdGUtZ2F0ZS1nYXRlLWdhdGU=";

pub fn token_key(seed: [u8; 32]) -> TokenKey {
    TokenKey::from_signing_key(ed25519_dalek::SigningKey::from_bytes(&seed))
}

impl Service {
    pub fn token(&self, tenant: &str, scopes: &[Scope]) -> String {
        self.token_for(tenant, scopes, Duration::from_secs(3_600))
    }

    pub fn token_for(&self, tenant: &str, scopes: &[Scope], ttl: Duration) -> String {
        let tenant = TenantId::new(tenant).unwrap();
        let issue = Issue { tenant: &tenant, subject: "tester", scopes, ttl };
        issue_token(&token_key(self.token_seed), &issue, [1; 16], self.clock.now()).unwrap()
    }

    pub fn later(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::Relaxed);
    }

    pub fn follow_the_machines_clock(&self) {
        self.clock.0.store(REAL_TIME, Ordering::Relaxed);
    }

    pub fn set_fault(&self, fault: Option<Fault>) {
        *self.engine.fault.lock().unwrap() = fault;
    }

    /// Sends one request as the admin of `acme`.
    pub async fn admin(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answered {
        let token = format!("Bearer {}", self.token("acme", &[Scope::Admin]));
        let mut headers = headers.to_vec();
        headers.push(("authorization", &token));
        self.send(method, path, &headers, body.as_bytes()).await
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answered {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_vec())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answered { status: parts.status, headers: parts.headers, bytes, body }
    }
}

/// A problem document with all that the design promises.
#[track_caller]
pub fn assert_problem(answered: &Answered, status: u16, code: &str) {
    let body = &answered.body;
    assert_eq!((answered.status.as_u16(), answered.code()), (status, code), "{body}");
    assert_eq!(answered.header("content-type"), "application/problem+json");
    assert_eq!(answered.text("/type"), format!("urn:notify-studio:problem:{code}"));
    assert_eq!(body.get("status").and_then(Value::as_u64), Some(u64::from(status)));
    assert!(!answered.text("/title").is_empty() && !answered.text("/detail").is_empty(), "{body}");
    let instance = format!("urn:notify-studio:request:{}", answered.header("x-request-id"));
    assert_eq!(answered.text("/instance"), instance);
}
