//! What only a server has: several processes on one database, roles and row-level security.

mod support;

use notify_core::ids::TenantId;
use notify_core::ledger::EntryKind;
use notify_core::noise::{Remembered, StateKey, StateRow};
use notify_store::model::{Lease, NewDelivery};
use notify_store::{Backend, Bookkeeping, Commit, Effect, Guard, NoiseChanges, Refused, Store, StoreError};
use notify_testkit::proxy::{Cut, Ending, Proxy, Toward, When};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::collections::BTreeSet;
use std::time::Duration;
use support::*;

/// Two stores on one database, as two processes would have them.
async fn two() -> (Store, Store, TenantId) {
    let options = options(Backend::Postgres { url: postgres_url() });
    let (one, two) = (Store::open(options.clone()).await.unwrap(), Store::open(options).await.unwrap());
    let acme = tenant("acme");
    one.commit(create_tenant(&acme)).await.unwrap();
    (one, two, acme)
}

#[test]
fn one_owner_at_a_time() {
    runtime().block_on(async {
        let (one, two, acme) = two().await;
        let ttl = Duration::from_secs(600);
        let lease = one.acquire_lease(&acme, "one", ttl).await.unwrap().unwrap();
        assert_eq!(two.acquire_lease(&acme, "two", ttl).await.unwrap(), None);
        one.release_lease(&acme, &lease).await.unwrap();
        let second = two.acquire_lease(&acme, "two", ttl).await.unwrap();
        assert_eq!(second, Some(Lease { holder: "two".into(), epoch: 2 }));
        let old = Guard::Lease { holder: "one".into(), epoch: 1 };
        let lost = one.commit(accept(&acme, event("a"), vec![]).guarded(old)).await;
        assert!(matches!(lost, Err(StoreError::Refused(Refused::LeaseLost))));
    });
}

/// Both append to one ledger and accept the same events: each event once, one tree, no commit lost.
#[test]
fn both_write_at_once() {
    runtime().block_on(async {
        let (one, two, acme) = two().await;
        let beta = tenant("beta");
        two.commit(create_tenant(&beta)).await.unwrap();
        let send = |store: Store, ids: [TenantId; 2]| {
            tokio::spawn(async move {
                let answers: Vec<_> = (0..200)
                    .map(|n| {
                        let name = format!("e{}", n / 2);
                        store.submit(accept(&ids[n % 2], event(&name), vec![delivery(&name)]))
                    })
                    .collect();
                let mut accepted = 0;
                for answer in answers {
                    match answer.await.unwrap() {
                        Ok(_) => accepted += 1,
                        Err(StoreError::Refused(Refused::EventExists { .. })) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                accepted
            })
        };
        // In opposite order of tenants, so that a wrong order of locks would dead-lock.
        let first = send(one.clone(), [acme.clone(), beta.clone()]);
        let second = send(two.clone(), [beta.clone(), acme.clone()]);
        assert_eq!(first.await.unwrap() + second.await.unwrap(), 200);
        for id in [&acme, &beta] {
            assert_eq!(check_ledger(&one, id).await, 101);
        }
    });
}

#[test]
fn claims_are_disjoint() {
    runtime().block_on(async {
        let (one, two, acme) = two().await;
        let deliveries = (0..120).map(|n| NewDelivery { event: None, ..delivery(&format!("d{n}")) });
        one.commit(accept(&acme, event("a"), deliveries.collect())).await.unwrap();
        let claim = |store: Store| {
            tokio::spawn(async move {
                let mut mine = Vec::new();
                loop {
                    let claimed = store.claim_due(at(60), MINUTE, 7).await.unwrap();
                    if claimed.is_empty() {
                        return mine;
                    }
                    mine.extend(claimed.into_iter().map(|c| (c.delivery.delivery.id, c.token)));
                }
            })
        };
        let (first, second) = (claim(one.clone()), claim(two.clone()));
        let (first, second) = (first.await.unwrap(), second.await.unwrap());
        let all: BTreeSet<_> = first.iter().chain(&second).map(|(id, _)| id.clone()).collect();
        assert_eq!((all.len(), first.len() + second.len()), (120, 120));
    });
}

/// However many processes ask: the rate is kept, and nobody gets a turn twice.
#[test]
fn turns_are_given_out_across_processes() {
    use notify_core::duration::Length;
    use notify_core::noise::gcra::Rate;
    use notify_store::model::{TargetRate, Turn};
    runtime().block_on(async {
        let (one, two, acme) = two().await;
        let deliveries = (0..40).map(|n| NewDelivery {
            event: None,
            claim: Some((token("me"), at(9_000))),
            ..delivery(&format!("d{n}"))
        });
        one.commit(accept(&acme, event("a"), deliveries.collect())).await.unwrap();
        let target = TargetRate { key: [1; 32], rate: Rate::new(1, Length::from_secs(10)) };
        let ask = |store: Store, numbers: std::ops::Range<u32>| {
            let (acme, target) = (acme.clone(), target.clone());
            tokio::spawn(async move {
                let mut turns = Vec::new();
                for n in numbers {
                    let (id, targets) = (delivery_id(&format!("d{n}")), [target.clone()]);
                    let turn = store.take_turn(&acme, &id, &token("me"), &targets, at(100)).await.unwrap();
                    turns.push(match turn {
                        Turn::Now => at(100),
                        Turn::At(then) => then,
                        Turn::Lost => panic!("d{n} is claimed"),
                    });
                }
                turns
            })
        };
        let (first, second) = (ask(one.clone(), 0..20), ask(two.clone(), 20..40));
        let mut turns = [first.await.unwrap(), second.await.unwrap()].concat();
        turns.sort();
        let expected: Vec<_> = (0..40).map(|n| at(100 + n * 10)).collect();
        assert_eq!(turns, expected);
    });
}

const UNDER_SECURITY: [&str; 19] = [
    "tenant_heads",
    "document_versions",
    "document_heads",
    "events",
    "deliveries",
    "attempts",
    "openings",
    "ledger_entries",
    "ledger_tiles",
    "idempotency_keys",
    "quarantine",
    "inbox_items",
    "opt_outs",
    "noise_state",
    "held_alerts",
    "digest_items",
    "channel_health",
    "channel_state",
    "document_changes",
];

/// Something in each table of noise control.
fn noisy(id: &TenantId) -> Commit {
    let effects = vec![
        Effect::AcceptPlanned(Box::new(event("noise"))),
        Effect::Hold(Box::new(held("noise", 99))),
        Effect::AddToDigest(Box::new(item("x", 1, "noise"))),
    ];
    let mut commit = Commit::new(id.clone(), effects, vec![draft(EntryKind::Event, "noise")]);
    let remember = vec![StateRow::of(StateKey([1; 16]), &Remembered::Bucket(1))];
    let changes = NoiseChanges { remember, ..NoiseChanges::default() };
    commit.bookkeeping.push(Bookkeeping::Noise(Box::new(changes)));
    commit
}

/// Delivered to an inbox, and a recipient who wants nothing any more.
fn in_inbox(id: &TenantId, name: &str) -> Commit {
    let channel = notify_core::ids::ChannelId::new("inbox").unwrap();
    let item = notify_store::model::NewInboxItem {
        delivery: delivery_id(name),
        channel: channel.clone(),
        severity: notify_core::severity::Severity::Info,
        created_at: at(1),
        expires_at: at(2),
    };
    let effects = vec![
        Effect::RecordAttempt(Box::new(attempt(name, 1, DELIVERED))),
        Effect::AddToInbox(Box::new(item)),
        Effect::OptOut { channel, address: "a@example.org".into(), at: at(1) },
    ];
    Commit::new(id.clone(), effects, vec![draft(EntryKind::Attempt, name)])
}

#[test]
fn row_level_security() {
    runtime().block_on(async {
        let url = postgres_url();
        let store = Store::open(options(Backend::Postgres { url: url.clone() })).await.unwrap();
        let (acme, beta) = (tenant("acme"), tenant("beta"));
        for id in [&acme, &beta] {
            store.commit(create_tenant(id)).await.unwrap();
            store.commit(put(id, notify_core::document::Kind::Rule, "r", "{}")).await.unwrap();
            store.commit(accept(id, event("a"), vec![delivery("a")])).await.unwrap();
            store.commit(in_inbox(id, "a")).await.unwrap();
            store.commit(put_aside(id, &message("qtn_1", 1))).await.unwrap();
            store.commit(noisy(id)).await.unwrap();
            let hook = delivery("a").channel;
            store.note_channel_success(id, &hook, at(1)).await.unwrap();
            store.note_channel_failing(id, &hook, at(1)).await.unwrap();
        }
        let mut raw = PgConnection::connect(&url).await.unwrap();
        // Every table with a tenant's data is on the list: a new one must be put under security too.
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace \
             AND relrowsecurity AND relforcerowsecurity ORDER BY relname",
        )
        .fetch_all(&mut raw)
        .await
        .unwrap();
        let expected: BTreeSet<_> = UNDER_SECURITY.map(str::to_owned).into();
        assert_eq!(tables.into_iter().collect::<BTreeSet<_>>(), expected);
        let open: Vec<String> = sqlx::query_scalar(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace \
             AND NOT relrowsecurity AND relname NOT LIKE '\\_sqlx%' ORDER BY relname",
        )
        .fetch_all(&mut raw)
        .await
        .unwrap();
        assert_eq!(open, ["leases", "send_targets", "tenants", "work_queue", "write_probe"]);

        for table in UNDER_SECURITY {
            let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
            let none: i64 = sqlx::query_scalar(count).fetch_one(&mut raw).await.unwrap();
            assert_eq!(none, 0, "{table} without a tenant");
            let mut tx = raw.begin().await.unwrap();
            sqlx::query("SELECT set_config('notify.tenant', 'acme', true)").execute(&mut *tx).await.unwrap();
            let tenants = AssertSqlSafe(format!("SELECT DISTINCT tenant FROM {table}"));
            let seen: Vec<String> = sqlx::query_scalar(tenants).fetch_all(&mut *tx).await.unwrap();
            assert!(seen.iter().all(|tenant| tenant == "acme"), "{table}: {seen:?}");
            assert!(!seen.is_empty() || ["openings", "ledger_tiles", "idempotency_keys"].contains(&table));
            tx.rollback().await.unwrap();
        }
        let mut tx = raw.begin().await.unwrap();
        sqlx::query("SELECT set_config('notify.tenant', 'acme', true)").execute(&mut *tx).await.unwrap();
        let foreign = "INSERT INTO openings (tenant, commitment, salt, bytes) VALUES ('beta', 'c', '', '')";
        let refused = sqlx::query(foreign).execute(&mut *tx).await.unwrap_err();
        assert!(refused.to_string().contains("row-level security"), "{refused}");
        drop(tx);
        // The setting ended with its transaction.
        let after: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM events").fetch_one(&mut raw).await.unwrap();
        assert_eq!(after, 0);
    });
}

#[test]
fn refuses_a_role_that_bypasses_security() {
    runtime().block_on(async {
        let server = notify_testkit::postgres::shared();
        let url = postgres_url();
        let database = url.rsplit('/').next().unwrap();
        let url = server.superuser_url_for(database);
        let refused = Store::open(options(Backend::Postgres { url })).await;
        assert!(matches!(refused, Err(StoreError::Misconfigured(_))));
    });
}

/// The server ends every session of ours: the next commits go through on a new one.
#[test]
fn survives_lost_sessions() {
    runtime().block_on(async {
        let url = postgres_url();
        let store = Store::open(options(Backend::Postgres { url: url.clone() })).await.unwrap();
        let acme = tenant("acme");
        store.commit(create_tenant(&acme)).await.unwrap();
        let database = url.rsplit('/').next().unwrap();
        for round in 0..3 {
            notify_testkit::postgres::shared()
                .psql(&format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
                ))
                .unwrap();
            let name = format!("e{round}");
            store.commit(accept(&acme, event(&name), vec![])).await.unwrap();
        }
        assert_eq!(check_ledger(&store, &acme).await, 4);
    });
}

/// The line to the server is cut at a COMMIT: before the server hears it, or after it has answered. Both are reported
/// as in doubt, and what is really there can be looked up on the next connection.
#[test]
fn an_unknown_outcome_is_told_as_such() {
    // The text of the statement on its way there, the server's completion tag on its way back.
    let unheard = (Toward::Server, When::Before(b"COMMIT".to_vec()));
    let unanswered = (Toward::Client, When::Before(b"COMMIT\0".to_vec()));
    for ((toward, when), written) in [(unheard, false), (unanswered, true)] {
        runtime().block_on(async {
            let url = postgres_url();
            let (head, rest) = url.split_once("127.0.0.1:").unwrap();
            let (port, database) = rest.split_once('/').unwrap();
            let line = Proxy::start(([127, 0, 0, 1], port.parse().unwrap()).into()).await.unwrap();
            // Migrated on a line that stays whole.
            Store::open(options(Backend::Postgres { url: url.clone() })).await.unwrap().close().await;
            let through = format!("{head}{}/{database}", line.address());
            let store = Store::open(options(Backend::Postgres { url: through })).await.unwrap();
            let acme = tenant("acme");
            line.arm(Cut { toward, when, how: Ending::Close });
            let answer = store.commit(create_tenant(&acme)).await;
            assert!(matches!(answer, Err(StoreError::InDoubt(_))), "{answer:?}");
            assert_eq!(store.tenant(&acme).await.unwrap().is_some(), written);
            let again = store.commit(create_tenant(&acme)).await;
            assert_eq!(again.is_err(), written, "{again:?}");
            assert_eq!(check_ledger(&store, &acme).await, 1);
        });
    }
}
