//! Between worker and receiver: whatever happens on the line, a delivery ends delivered or dead with a reason, every
//! attempt carries the same id and bytes, and the ledger says what happened.

use crate::account::verified;
use crate::receiver::Receiver;
use crate::site::{channel, deliveries, worker};
use crate::studio::{Studio, eventually, now};
use notify_store::model::DeliveryState;
use notify_testkit::proxy::{Cut, Ending, Fault, Proxy, Script, Toward, When};
use std::collections::HashMap;
use std::time::Duration;

/// Every way in which a line can fail.
fn faults() -> Vec<(String, Fault)> {
    let slow = Duration::from_millis(50);
    let mut all = vec![
        ("delay".to_owned(), Fault::Delay { to_server: slow, to_client: slow }),
        ("black-hole".to_owned(), Fault::BlackHole),
        ("reset-at-once".to_owned(), Fault::ResetAtOnce),
    ];
    let endings = [
        ("close", Ending::Close),
        ("reset", Ending::Reset),
        ("half", Ending::HalfClose),
        ("silence", Ending::Silence),
    ];
    // In the request: before it, in its head, in its body. In the answer of 40 bytes: before it, in its status line, in
    // its head, before the last byte of its body.
    for (way, toward, places) in
        [("request", Toward::Server, &[0_u64, 40, 700][..]), ("answer", Toward::Client, &[0, 10, 30, 39])]
    {
        for place in places {
            for (name, how) in endings {
                let cut = Cut { toward, when: When::After(*place), how };
                all.push((format!("{way}-{place}-{name}"), Fault::Cut(cut)));
            }
        }
    }
    all
}

/// The first two connections fail, later ones do not. The third attempt comes a second after the second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_recovers_delivers_once_and_for_all() {
    check(2, |delivered, attempts, arrivals, what| {
        assert!(delivered, "{what}: not delivered after {attempts} attempts");
        assert!((1..=3).contains(&attempts) && (1..=3).contains(&arrivals), "{what}: {attempts} {arrivals}");
    })
    .await;
}

/// It never recovers: three attempts, then dead with a reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_stays_broken_ends_in_a_dead_letter() {
    check(usize::MAX, |delivered, attempts, arrivals, what| {
        // Late is not broken; and an answer without its last byte was an answer.
        let whole = what == "delay" || what.starts_with("answer-39");
        assert!(delivered == (what == "delay") || (whole && delivered), "{what}: delivered {delivered}");
        assert_eq!(attempts, if delivered { 1 } else { 3 }, "{what}");
        assert!(arrivals <= 3, "{what}: {arrivals}");
    })
    .await;
}

/// One channel per fault, all at once. `judge` gets: delivered?, attempts, arrivals, name of the fault.
async fn check(broken: usize, judge: impl Fn(bool, usize, usize, &str)) {
    let studio = Studio::new().await;
    let receiver = Receiver::start(Duration::ZERO).await;
    let faults = faults();
    let mut proxies = Vec::new();
    for (name, fault) in &faults {
        let proxy = Proxy::start(receiver.address).await.unwrap();
        proxy.set(match broken {
            usize::MAX => Script::Always(fault.clone()),
            some => Script::Each(vec![fault.clone(); some]),
        });
        channel(&studio, name, proxy.address(), &[1, 1], 1).await;
        proxies.push(proxy);
    }
    // Nobody listens there: with a proxy that refuses.
    let refusing = Proxy::start(receiver.address).await.unwrap();
    refusing.refuse(true).await;
    channel(&studio, "refused", refusing.address(), &[1, 1], 1).await;

    let worker = worker(&studio, |_| {}).await;
    let names: Vec<&str> = faults.iter().map(|(name, _)| name.as_str()).chain(["refused"]).collect();
    for name in &names {
        worker.accept(studio.event(name, name, name)).await.unwrap();
    }
    if broken != usize::MAX {
        eventually("the refused one is tried", || async {
            let all = deliveries(&studio).await;
            all.into_iter().find(|d| d.delivery.channel.as_str() == "refused" && d.next_attempt > 1)
        })
        .await;
        refusing.refuse(false).await;
    }
    let all = eventually("every delivery is over", || async {
        let all = deliveries(&studio).await;
        (all.len() == names.len() && all.iter().all(|d| d.state != DeliveryState::Scheduled)).then_some(all)
    })
    .await;
    let arrived = receiver.by_id();
    for delivery in &all {
        let (id, what) = (&delivery.delivery.id, delivery.delivery.channel.as_str());
        let attempts = studio.attempts(id).await;
        let bodies = arrived.get(id.as_str()).cloned().unwrap_or_default();
        assert!(
            bodies.windows(2).all(|pair| pair[0] == pair[1]),
            "{what}: every attempt carries the same bytes"
        );
        let delivered = delivery.state == DeliveryState::Delivered;
        judge(delivered, attempts.len(), bodies.len(), what);
        assert!(delivered || delivery.state == DeliveryState::Dead, "{what}: {:?}", delivery.state);
        assert!(!delivered || !bodies.is_empty(), "{what}: delivered, and nothing arrived");
        for attempt in &attempts {
            let reason = attempt.error.as_deref().unwrap_or_default();
            assert!(attempt.result == "delivered" || !reason.is_empty(), "{what}: no reason: {attempt:?}");
        }
        assert!(delivered || delivery.last_error.is_some(), "{what}: dead without a reason");
    }
    let known: usize = arrived.values().map(Vec::len).sum();
    assert_eq!(known, receiver.arrivals().len());
    assert!(arrived.keys().all(|id| all.iter().any(|d| d.delivery.id.as_str() == id)), "an id of nobody");
    let report = verified(&studio).await;
    assert_eq!((report.deliveries, report.open_deliveries), (names.len() as u64, 0), "{report}");
    worker.stop().await;
}

/// Three channels of one tenant: one whose receiver answers nothing, one that takes its time, one that is well. The
/// first two have far more to send than places; the third does not wait for them, and the slow one loses nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_and_a_slow_receiver_do_not_hold_up_the_others() {
    let studio = Studio::new().await;
    let (well, slow) =
        (Receiver::start(Duration::ZERO).await, Receiver::start(Duration::from_millis(1500)).await);
    let dead = Proxy::start(well.address).await.unwrap();
    dead.set(Script::Always(Fault::BlackHole));
    channel(&studio, "dead", dead.address(), &[], 10).await;
    channel(&studio, "slow", slow.address, &[], 10).await;
    channel(&studio, "well", well.address, &[], 10).await;
    let worker = worker(&studio, |options| {
        options.concurrency = 16;
        options.per_channel = 4;
    })
    .await;
    for n in 0..40 {
        for channel in ["dead", "slow"] {
            worker.accept(studio.event(&format!("{channel}-{n}"), channel, "x")).await.unwrap();
        }
    }
    let began = now();
    for n in 0..40 {
        worker.accept(studio.event(&format!("well-{n}"), "well", "x")).await.unwrap();
    }
    eventually("the well ones are delivered", || async { (well.arrivals().len() == 40).then_some(()) }).await;
    let took = now().duration_since(began);
    let states = |all: &[notify_store::model::Delivery]| {
        let mut count: HashMap<(String, DeliveryState), usize> = HashMap::new();
        for delivery in all {
            *count.entry((delivery.delivery.channel.to_string(), delivery.state)).or_default() += 1;
        }
        count
    };
    let count = states(&deliveries(&studio).await);
    // Not one attempt of the dead one had ended when all of the well ones had arrived.
    assert_eq!(count.get(&("dead".into(), DeliveryState::Scheduled)), Some(&40), "{took:?} {count:?}");
    assert!(slow.arrivals().len() <= 4 * 4, "four at a time: {}", slow.arrivals().len());
    assert!(dead.connections() <= 4, "{}", dead.connections());
    dead.sever(Ending::Reset);
    dead.set(Script::Always(Fault::Pass));
    eventually("all of the slow ones are delivered", || async {
        let count = states(&deliveries(&studio).await);
        (count.get(&("slow".into(), DeliveryState::Delivered)) == Some(&40)).then_some(())
    })
    .await;
    eventually("the dead one has recovered", || async {
        let count = states(&deliveries(&studio).await);
        let ended = !count.contains_key(&("dead".into(), DeliveryState::Scheduled));
        // The four that were cut off had one attempt only.
        (ended && count.get(&("dead".into(), DeliveryState::Delivered)) == Some(&36)).then_some(())
    })
    .await;
    verified(&studio).await;
    worker.stop().await;
}
