//! Between worker and PostgreSQL: commits whose answer is lost, sessions that break in the middle, a server that dies.

use crate::account::verified;
use crate::receiver::Receiver;
use crate::site::{channel, deliveries, worker};
use crate::studio::{Studio, eventually};
use notify_core::event::Event;
use notify_core::problem::Code;
use notify_store::Backend;
use notify_store::model::DeliveryState;
use notify_testkit::postgres::{self, PostgresServer};
use notify_testkit::proxy::{Cut, Ending, Proxy, Toward, When};
use notify_worker::clock::wait;
use notify_worker::{Worker, WorkerOptions};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A studio whose every statement goes through a proxy.
pub async fn through(server: &PostgresServer, database: &str) -> (Studio, Proxy) {
    let url = server.url_for(database);
    let (head, rest) = url.split_once("127.0.0.1:").unwrap();
    let (port, name) = rest.split_once('/').unwrap();
    let proxy = Proxy::start(([127, 0, 0, 1], port.parse().unwrap()).into()).await.unwrap();
    let url = format!("{head}{}/{name}", proxy.address());
    (Studio::on(Backend::Postgres { url }, tempfile::tempdir().unwrap()).await, proxy)
}

/// As with two processes on one database; claims run out soon enough for a test.
pub fn options(options: &mut WorkerOptions) {
    options.sweep = Some(Duration::from_millis(200));
    options.attempt_timeout = Duration::from_secs(1);
}

/// Cuts the next commit. A session sends the text of its COMMIT only the first time (later it names the prepared
/// statement), so all sessions are made anew.
async fn cut_next_commit(proxy: &Proxy, cut: Cut) {
    proxy.sever(Ending::Reset);
    wait(Duration::from_millis(50)).await;
    proxy.arm(cut);
}

/// The two sides of a lost answer: the server never heard the COMMIT, or it did and nobody heard the server.
pub fn cuts() -> [(&'static str, Cut); 2] {
    [
        (
            "not-written",
            Cut { toward: Toward::Server, when: When::Before(b"COMMIT".to_vec()), how: Ending::Reset },
        ),
        (
            "written",
            Cut { toward: Toward::Client, when: When::Before(b"COMMIT\0".to_vec()), how: Ending::Reset },
        ),
    ]
}

/// A result whose record is in doubt is looked up, and recorded once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_in_doubt_is_recorded_once() {
    for (name, cut) in cuts() {
        let (studio, proxy) =
            through(postgres::shared(), &format!("record_{}_{name}", std::process::id())).await;
        let receiver = Receiver::start(Duration::ZERO).await;
        channel(&studio, "hook", receiver.address, &[1], 10).await;
        let worker = worker(&studio, options).await;
        // The receiver holds its answer back until nothing but the record is left to be committed.
        receiver.hold.send_replace(true);
        worker.accept(studio.event("1", "hook", "x")).await.unwrap();
        eventually("the request arrives", || async { (receiver.arrivals().len() == 1).then_some(()) }).await;
        cut_next_commit(&proxy, cut).await;
        receiver.hold.send_replace(false);
        let delivery = eventually("delivered", || async {
            deliveries(&studio).await.into_iter().find(|d| d.state == DeliveryState::Delivered)
        })
        .await;
        assert!(!proxy.is_armed(), "{name}: the COMMIT was cut");
        let attempts = studio.attempts(&delivery.delivery.id).await;
        assert_eq!(attempts.iter().map(|a| a.result.as_str()).collect::<Vec<_>>(), ["delivered"], "{name}");
        assert_eq!(studio.entries_about(delivery.delivery.id.as_str()).await.len(), 1, "{name}: one entry");
        assert_eq!(receiver.arrivals().len(), 1, "{name}: sent once");
        verified(&studio).await;
        worker.stop().await;
    }
}

/// An event whose acceptance is in doubt is answered with what is true, and sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_in_doubt_is_accepted_once() {
    for (name, cut) in cuts() {
        let (studio, proxy) =
            through(postgres::shared(), &format!("event_{}_{name}", std::process::id())).await;
        let receiver = Receiver::start(Duration::ZERO).await;
        channel(&studio, "hook", receiver.address, &[1], 1).await;
        let worker = worker(&studio, options).await;
        // The owner has its lease and its look at the store behind it.
        worker.accept(studio.event("0", "hook", "x")).await.unwrap();
        eventually("all is quiet", || async {
            deliveries(&studio).await.iter().all(|d| d.state == DeliveryState::Delivered).then_some(())
        })
        .await;
        cut_next_commit(&proxy, cut).await;
        let accepted = worker.accept(studio.event("1", "hook", "x")).await.unwrap();
        assert!(!proxy.is_armed(), "{name}: the COMMIT was cut");
        assert_eq!(accepted.duplicate, name == "written", "{name}");
        let again = worker.accept(studio.event("1", "hook", "x")).await.unwrap();
        assert_eq!((again.duplicate, again.accepted_at), (true, accepted.accepted_at), "{name}");
        // What was written and not launched is sent once its claim has run out, under the same id.
        wait_until_delivered(&studio, 2, Duration::from_secs(90)).await;
        let arrived = receiver.by_id();
        assert_eq!((arrived.len(), receiver.arrivals().len()), (2, 2), "{name}: each once");
        let report = verified(&studio).await;
        assert_eq!((report.deliveries, report.open_deliveries), (2, 0), "{name}");
        worker.stop().await;
    }
}

async fn wait_until_delivered(studio: &Studio, count: usize, patience: Duration) {
    let delivered = async {
        loop {
            let page = notify_store::model::Page { limit: 1, after: None };
            let filter = notify_store::model::DeliveryFilter {
                state: Some(DeliveryState::Delivered),
                ..Default::default()
            };
            // While the server is down there is no answer.
            if studio.store.deliveries(&studio.tenant, &filter, &page).await.is_ok() {
                let all = deliveries(studio).await;
                if all.iter().filter(|d| d.state == DeliveryState::Delivered).count() == count {
                    return;
                }
            }
            wait(Duration::from_millis(100)).await;
        }
    };
    if tokio::time::timeout(patience, delivered).await.is_err() {
        let states: Vec<_> = deliveries(studio).await.iter().map(|d| (d.state, d.next_attempt)).collect();
        panic!("not all delivered: {states:?}");
    }
}

/// Sends an event until it is accepted, as a careful publisher does.
pub async fn publish(worker: &Worker, event: Event) {
    loop {
        match worker.accept(event.clone()).await {
            Ok(_) => return,
            Err(problem) => assert_eq!(problem.code, Code::Unavailable, "{problem}"),
        }
        wait(Duration::from_millis(50)).await;
    }
}

const EVENTS: usize = 240;

/// Under a steady stream of events sessions are cut in every place, the line is severed, and the server is killed and
/// comes back: no accepted event is lost, none is planned or delivered under two ids, and the ledger is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_while_the_database_breaks() {
    let server = postgres::start();
    let (studio, proxy) = through(&server, "chaos").await;
    let server = Arc::new(Mutex::new(server));
    let receiver = Receiver::start(Duration::ZERO).await;
    channel(&studio, "hook", receiver.address, &[1, 1, 1, 1, 2, 4, 8], 1).await;
    let worker = worker(&studio, options).await;
    let done = AtomicBool::new(false);
    let publishing = async {
        for chunk in 0..EVENTS / 4 {
            let events = (0..4).map(|n| studio.event(&format!("{}", chunk * 4 + n), "hook", "x"));
            futures_util::future::join_all(events.map(|event| publish(&worker, event))).await;
            wait(Duration::from_millis(25)).await;
        }
        done.store(true, Ordering::SeqCst);
    };
    let breaking = async {
        let mut cuts = cuts()
            .map(|(_, cut)| cut)
            .into_iter()
            .chain([
                Cut { toward: Toward::Server, when: When::After(300), how: Ending::Reset },
                Cut { toward: Toward::Client, when: When::After(300), how: Ending::Close },
                Cut { toward: Toward::Server, when: When::After(3_000), how: Ending::Close },
                Cut { toward: Toward::Client, when: When::Passed(b"COMMIT\0".to_vec()), how: Ending::Reset },
            ])
            .cycle();
        let mut round = 0;
        // Also on a quick machine each kind of break has its turn.
        while !done.load(Ordering::SeqCst) || round <= 19 {
            wait(Duration::from_millis(150)).await;
            match round {
                6 | 18 => {
                    let server = Arc::clone(&server);
                    let restart = move || {
                        let mut server = server.lock().unwrap();
                        server.crash();
                        server.revive();
                    };
                    tokio::task::spawn_blocking(restart).await.unwrap();
                }
                n if n % 5 == 4 => proxy.sever(Ending::Reset),
                _ => proxy.arm(cuts.next().unwrap()),
            }
            round += 1;
        }
        round
    };
    let (rounds, ()) = futures_util::future::join(breaking, publishing).await;
    assert!(rounds > 18 && proxy.cuts() > 5, "{rounds} rounds, {} cuts", proxy.cuts());
    wait_until_delivered(&studio, EVENTS, Duration::from_secs(120)).await;
    let mut by_event: HashMap<String, usize> = HashMap::new();
    for delivery in deliveries(&studio).await {
        *by_event.entry(delivery.delivery.event.unwrap().to_string()).or_default() += 1;
    }
    assert_eq!(by_event.len(), EVENTS, "every accepted event has its delivery");
    assert!(by_event.values().all(|count| *count == 1), "and one only");
    assert_eq!(receiver.by_id().len(), EVENTS, "each under one id");
    for (id, bodies) in receiver.by_id() {
        assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "{id}");
    }
    let report = verified(&studio).await;
    assert_eq!((report.deliveries, report.open_deliveries), (EVENTS as u64, 0), "{report}");
    println!(
        "{rounds} rounds, {} cuts, {} connections, {} arrivals of {EVENTS} events",
        proxy.cuts(),
        proxy.connections(),
        receiver.arrivals().len()
    );
    worker.stop().await;
}
