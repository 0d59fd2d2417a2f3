//! How many ordinary deliveries per second the store takes: one commit with the event, its plan and its entry, and one
//! with the attempt and its entry.
//!
//! `commit_rate [sqlite|postgres|both] [in flight] [seconds] [tenants]`. PostgreSQL is started from Debian's binaries.
#![allow(clippy::disallowed_methods)] // a measurement reads the clock

use notify_core::ids::{ActionId, ChannelId, DeliveryId, EventKey, RuleId, TenantId};
use notify_core::ledger::commitment::{Commitment, salt};
use notify_core::ledger::{EntryDraft, EntryKind};
use notify_core::time::Timestamp;
use notify_store::model::{Attempt, ClaimToken, DeliveryState, Follows, NewDelivery, NewEvent};
use notify_store::{Backend, Commit, Effect, Guard, OpenOptions, Store};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// As in the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arg = |n: usize| std::env::args().nth(n);
    let number = |n: usize, default: u64| arg(n).and_then(|text| text.parse().ok()).unwrap_or(default);
    let which = arg(1).unwrap_or_else(|| "both".into());
    let (in_flight, seconds, tenants) = (number(2, 64), number(3, 5), number(4, 1));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir_in(".").expect("a folder");
    println!("flush of 16 KiB: {:.3} ms", flush_ms(folder.path()));
    if which != "postgres" {
        let backend = Backend::Sqlite { file: folder.path().join("notify.db") };
        runtime.block_on(measure("sqlite", backend, in_flight, seconds, tenants));
    }
    if which != "sqlite" {
        let server = notify_testkit::postgres::start();
        let backend = Backend::Postgres { url: server.url_for("commit_rate") };
        runtime.block_on(measure("postgres", backend, in_flight, seconds, tenants));
    }
}

/// Median of 50 appends of 16 KiB, each with fdatasync.
fn flush_ms(folder: &std::path::Path) -> f64 {
    use std::io::Write;
    let mut file = std::fs::File::create(folder.join("flush")).expect("a file");
    let mut times: Vec<f64> = (0..50)
        .map(|_| {
            file.write_all(&[7; 16 * 1024]).expect("a write");
            let start = Instant::now();
            file.sync_data().expect("a flush");
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[25]
}

async fn measure(name: &str, backend: Backend, in_flight: u64, seconds: u64, tenants: u64) {
    let options =
        OpenOptions { backend, site: "bench.example".into(), log_seed: [1; 32], read_connections: 2 };
    let store = Store::open(options).await.expect("a store");
    println!("{name}: idle rss {} KiB", rss_kib());
    let tenants: Vec<TenantId> =
        (0..tenants).map(|n| TenantId::new(format!("t{n}")).expect("a tenant id")).collect();
    for tenant in &tenants {
        let effect = Effect::CreateTenant {
            name: "Bench".into(),
            opaque: tenant.to_string(),
            created_at: Timestamp::UNIX_EPOCH,
        };
        let genesis = entry(EntryKind::Genesis, "", tenant.as_str(), json!({"site": "bench"}));
        store.commit(Commit::new(tenant.clone(), vec![effect], vec![genesis])).await.expect("a tenant");
    }
    let tenants = Arc::new(tenants);
    let next = Arc::new(AtomicU64::new(0));
    let (start, cpu) = (Instant::now(), cpu_seconds());
    let deadline = start + Duration::from_secs(seconds);
    let workers: Vec<_> = (0..in_flight)
        .map(|_| {
            let (store, tenants, next) = (store.clone(), Arc::clone(&tenants), Arc::clone(&next));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while Instant::now() < deadline {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let tenant = &tenants[usize::try_from(n).unwrap_or(0) % tenants.len()];
                    let (plan, attempt) = delivery(tenant, n);
                    let begin = Instant::now();
                    store.commit(plan).await.expect("the plan commits");
                    let middle = Instant::now();
                    store.commit(attempt).await.expect("the attempt commits");
                    times.push((middle - begin).as_secs_f64() * 1e3);
                    times.push(middle.elapsed().as_secs_f64() * 1e3);
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for worker in workers {
        times.extend(worker.await.expect("a worker"));
    }
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    times.sort_by(f64::total_cmp);
    let at = |q: f64| times.get((times.len() as f64 * q) as usize).copied().unwrap_or_default();
    let deliveries = times.len() as f64 / 2.0;
    println!(
        "{name}: {:.0} deliveries/s ({in_flight} in flight, {} tenants), commit p50 {:.2} p99 {:.2} max {:.2} ms, \
         {:.0} us CPU of this process per delivery, rss {} KiB",
        deliveries / wall,
        tenants.len(),
        at(0.5),
        at(0.99),
        at(0.9999),
        cpu * 1e6 / deliveries,
        rss_kib()
    );
    store.close().await;
}

fn entry(kind: EntryKind, subject: &str, about: &str, predicate: Value) -> EntryDraft {
    let predicate = match predicate {
        Value::Object(fields) => fields,
        _ => serde_json::Map::new(),
    };
    let subject = if subject.is_empty() { vec![] } else { vec![("event".to_owned(), subject.to_owned())] };
    EntryDraft { kind, subject, predicate, about: about.to_owned() }
}

/// What the worker commits for one event that one rule sends to one channel.
fn delivery(tenant: &TenantId, n: u64) -> (Commit, Commit) {
    let id = n.to_string();
    let key = EventKey::derive([tenant.as_str(), "/bench", &id]);
    let delivery = DeliveryId::derive([tenant.as_str(), key.as_str(), "rule", "chat", "hook"]);
    let now = Timestamp::from_microsecond(1_800_000_000_000_000 + i64::try_from(n).unwrap_or(0))
        .unwrap_or_default();
    let salted = |field: &str| salt(&[9; 32], delivery.as_str(), field, 1);
    let body = format!(
        r#"{{"data":{{"image":{{"digest":"sha256:{digest}","repository":"ghcr.io/acme/app"}},"summary":{{"newCritical":3,"text":"{text}"}}}},"id":"{id}","severity":"high","source":"/bench","specversion":"1.0","type":"scanner.report.ready"}}"#,
        digest = "ab".repeat(32),
        text = "three new critical findings in the image ".repeat(6),
    );
    let message = format!(
        r#"{{"title":"3 new critical findings","summary":"ghcr.io/acme/app {id}","severity":"high","body":"{}"}}"#,
        "A finding with its package and fix version. ".repeat(8)
    );
    let (message_salt, event_salt) = (salted("message"), salted("event"));
    let commitment = Commitment::of(&message_salt, message.as_bytes()).to_string();
    let identity = Commitment::of(&event_salt, body.as_bytes());
    let token = ClaimToken("0123456789abcdef0123456789abcdef".into());
    let until = now.checked_add(Duration::from_secs(60)).unwrap_or(now);
    let event = NewEvent {
        key: key.clone(),
        source: "/bench".into(),
        id,
        r#type: "scanner.report.ready".into(),
        subject: None,
        body,
        body_hash: [2; 32],
        accepted_at: now,
        salt: Some(event_salt),
    };
    let intent = NewDelivery {
        id: delivery.clone(),
        event: Some(key.clone()),
        cause: format!("event:{key}"),
        rule: RuleId::new("rule").expect("an id"),
        rule_version: 1,
        action: ActionId::new("chat").expect("an id"),
        channel: ChannelId::new("hook").expect("an id"),
        message,
        message_salt,
        message_commitment: commitment.clone(),
        target: "http://127.0.0.1:8080".into(),
        target_salt: salted("target"),
        created_at: now,
        due_at: now,
        claim: Some((token.clone(), until)),
    };
    let decided = entry(
        EntryKind::Event,
        &identity.hex(),
        key.as_str(),
        json!({"event": identity.to_string(), "unmatched": 2, "decisions": [{
            "rule": "rule", "ruleDigest": commitment, "action": "chat", "outcome": "send",
            "intent": {"delivery": delivery.as_str(), "channel": "hook", "target": commitment,
                       "message": commitment, "idempotencyKey": delivery.as_str()}}]}),
    );
    let attempted = entry(
        EntryKind::Attempt,
        &identity.hex(),
        delivery.as_str(),
        json!({"delivery": delivery.as_str(), "attempt": 1, "result": "delivered", "message": commitment,
               "request": commitment, "response": commitment, "follows": {"outcome": "delivered"}}),
    );
    let attempt = Attempt {
        delivery: delivery.clone(),
        attempt: 1,
        started_at: now,
        finished_at: now,
        result: "delivered".into(),
        http_status: Some(200),
        request: Some((vec![b'r'; 700], salted("request"))),
        response: Some((vec![b'o'; 60], salted("response"))),
        error: None,
        provider_reference: None,
        follows: Follows::Outcome(DeliveryState::Delivered),
    };
    let plan = Commit::new(
        tenant.clone(),
        vec![Effect::AcceptPlanned(Box::new(event)), Effect::CreateDelivery(Box::new(intent))],
        vec![decided],
    );
    let record = Commit::new(tenant.clone(), vec![Effect::RecordAttempt(Box::new(attempt))], vec![attempted])
        .guarded(Guard::Claim { delivery, attempt: 1, token });
    (plan, record)
}

/// User and system time of this process; Linux counts hundredths.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|f| f.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}

fn rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or_default()
}
