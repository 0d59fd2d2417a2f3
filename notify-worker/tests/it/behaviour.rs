//! How channels behave: rates, breaker, pauses, fallbacks, tests. Everything is really sent.

use crate::receiver::{Receiver, sending_host_that};
use crate::studio::{Studio, eventually, now};
use notify_connector_host::secrets::SecretResolver;
use notify_core::document::Kind;
use notify_core::ids::{ChannelId, DeliveryId};
use notify_core::problem::Code;
use notify_store::Backend;
use notify_store::model::{Delivery, DeliveryState, Page};
use notify_testkit::postgres;
use notify_worker::Worker;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

pub async fn put(studio: &Studio, id: &str, url: &str, more: Value) {
    let mut channel = json!({
        "schema": "notify-channel@1", "id": id, "name": id, "type": "webhook", "config": {"url": url},
        "retry": {"scheduleSeconds": [3600]},
    });
    channel.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    studio.put(Kind::Channel, &channel).await;
}

/// Sends an event of this type; its delivery.
pub async fn send(studio: &Studio, worker: &Worker, id: &str, r#type: &str) -> DeliveryId {
    let key = worker.accept(studio.event(id, r#type, "x")).await.unwrap().key;
    eventually("the delivery is made", || async {
        let mut all = studio.deliveries().await.into_iter();
        let mine = |found: &Delivery| {
            found.delivery.event.as_ref() == Some(&key) && found.delivery.cause.starts_with("event:")
        };
        all.find(mine).map(|found| found.delivery.id)
    })
    .await
}

pub async fn attempted(studio: &Studio, id: &DeliveryId) -> String {
    eventually("an attempt", || async {
        studio.attempts(id).await.last().map(|attempt| attempt.result.clone())
    })
    .await
}

pub async fn over(studio: &Studio, id: &DeliveryId, state: DeliveryState) {
    studio.delivery_in(id, state, 1).await;
}

pub fn channel(id: &str) -> ChannelId {
    ChannelId::new(id).unwrap()
}

pub async fn state(studio: &Studio, worker: &Worker, id: &str) -> Value {
    worker.channel_status(&studio.tenant, &channel(id)).await.unwrap()
}

/// No more than `count` in any `seconds`, by when attempts began.
async fn keeps_the_rate(studio: &Studio, expected: usize, count: usize, seconds: f64) {
    let mut began = Vec::new();
    for delivery in studio.deliveries().await {
        let attempts = studio.attempts(&delivery.delivery.id).await;
        assert_eq!(attempts.len(), 1, "waiting is no attempt");
        assert_eq!(attempts[0].result, "delivered");
        began.push(attempts[0].started_at);
    }
    began.sort();
    assert_eq!(began.len(), expected);
    for group in began.windows(count + 1) {
        let took = group[count].duration_since(group[0]).as_secs_f64();
        // Asked for before it began; a few milliseconds lie between.
        assert!(took > seconds - 0.05, "{took} s for {} attempts", count + 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_is_kept_in_order_without_attempts() {
    let studio = Studio::new().await;
    let receiver = Receiver::start(200);
    put(&studio, "slow", &receiver.url, json!({"rate": {"count": 1, "seconds": 1}})).await;
    studio.rule("alerts", "alert", "slow").await;
    let worker = studio.sending_worker(&[], |_| {}).await;
    for number in 0..4 {
        send(&studio, &worker, &number.to_string(), "alert").await;
    }
    eventually("all arrive", || async { (receiver.got().len() == 4).then_some(()) }).await;
    for delivery in studio.deliveries().await {
        over(&studio, &delivery.delivery.id, DeliveryState::Delivered).await;
    }
    keeps_the_rate(&studio, 4, 1, 1.0).await;
    assert!(worker.metrics().rate_limited.get() >= 3);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_share_a_rate() {
    let backend =
        Backend::Postgres { url: postgres::shared().url_for(&format!("rates_{}", std::process::id())) };
    let studio = Studio::on(backend.clone(), tempfile::tempdir().unwrap()).await;
    let receiver = Receiver::start(200);
    put(&studio, "slow", &receiver.url, json!({"rate": {"count": 2, "seconds": 2}})).await;
    studio.rule("alerts", "alert", "slow").await;
    let other = studio.sibling(backend).await;
    let sweep = Some(Duration::from_millis(50));
    let first = studio
        .sending_worker(&[], |options| {
            options.sweep = sweep;
            options.holder = "first".into();
        })
        .await;
    let second = other
        .sending_worker(&[], |options| {
            options.sweep = sweep;
            options.holder = "second".into();
        })
        .await;
    for number in 0..6 {
        send(&studio, &first, &number.to_string(), "alert").await;
    }
    eventually("all arrive", || async { (receiver.got().len() == 6).then_some(()) }).await;
    for delivery in studio.deliveries().await {
        over(&studio, &delivery.delivery.id, DeliveryState::Delivered).await;
    }
    // Two at once, then one each second.
    keeps_the_rate(&studio, 6, 2, 1.0).await;
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_breaker_spends_no_attempts_and_one_probe_closes_it() {
    let studio = Studio::new().await;
    let receiver = Receiver::start(500);
    let breaker = json!({"breaker": {"failures": 2, "openFor": "2s"}});
    put(&studio, "hook", &receiver.url, breaker).await;
    studio.rule("alerts", "alert", "hook").await;
    let worker = studio.sending_worker(&[], |_| {}).await;
    assert_eq!(state(&studio, &worker, "hook").await["state"], "unused");
    for number in ["1", "2"] {
        let id = send(&studio, &worker, number, "alert").await;
        assert_eq!(attempted(&studio, &id).await, "retry");
    }
    let open = eventually("it opens", || async {
        Some(state(&studio, &worker, "hook").await).filter(|status| status["state"] == "open")
    })
    .await;
    assert_eq!(open["lastError"]["httpStatus"], 500, "{open}");
    let waiting = [send(&studio, &worker, "3", "alert").await, send(&studio, &worker, "4", "alert").await];
    eventually("they are sent back", || async {
        let status = state(&studio, &worker, "hook").await;
        (status["waiting"] == 4 && status["inFlight"] == 0).then_some(())
    })
    .await;
    assert_eq!(receiver.got().len(), 2, "nothing more was sent");
    for id in &waiting {
        assert!(studio.attempts(id).await.is_empty(), "and no attempt was used");
    }
    let text = {
        let mut text = String::new();
        let metrics = worker.metrics();
        prometheus_client::encoding::text::encode(&mut text, metrics.registry()).unwrap();
        text
    };
    assert!(text.contains("notify_channel_breaker_open{type=\"webhook\"} 1"), "{text}");
    receiver.answers(200);
    for id in &waiting {
        over(&studio, id, DeliveryState::Delivered).await;
        assert_eq!(studio.attempts(id).await.len(), 1);
    }
    let closed = state(&studio, &worker, "hook").await;
    assert_eq!(closed["breaker"]["state"], "closed", "{closed}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_receiver_is_left_alone_by_all_deliveries() {
    let studio = Studio::new().await;
    let receiver = Receiver::start(429);
    put(&studio, "hook", &receiver.url, json!({})).await;
    studio.rule("alerts", "alert", "hook").await;
    let worker = studio.sending_worker(&[], |_| {}).await;
    let first = send(&studio, &worker, "1", "alert").await;
    assert_eq!(attempted(&studio, &first).await, "throttled");
    eventually("it is paused", || async {
        (state(&studio, &worker, "hook").await["state"] == "paused").then_some(())
    })
    .await;
    let second = send(&studio, &worker, "2", "alert").await;
    eventually("it is back in the queue", || async {
        (state(&studio, &worker, "hook").await["waiting"] == 2).then_some(())
    })
    .await;
    assert!(studio.attempts(&second).await.is_empty());
    assert_eq!(receiver.got().len(), 1);

    // The pause was that of the receiver before; a changed channel begins anew.
    receiver.answers(200);
    put(&studio, "hook", &receiver.url, json!({"description": "mended"})).await;
    worker.configuration_changed(&studio.tenant).await;
    over(&studio, &second, DeliveryState::Delivered).await;
    worker.stop().await;
}

/// The deliveries that took over from this one.
pub async fn took_over(studio: &Studio, id: &DeliveryId) -> Vec<Delivery> {
    let cause = format!("fallback-of:{id}");
    studio.deliveries().await.into_iter().filter(|found| found.delivery.cause == cause).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_channel_takes_over() {
    for (status, more, ends) in [
        // It dies.
        (
            400,
            json!({"fallback": {"channel": "second"}, "retry": {"scheduleSeconds": []}}),
            DeliveryState::Dead,
        ),
        // Its next attempt is too far away.
        (500, json!({"fallback": {"channel": "second", "after": "1m"}}), DeliveryState::Cancelled),
        (
            503,
            json!({"fallback": {"channel": "second", "after": "0"}, "retry": {"scheduleSeconds": [1]}}),
            DeliveryState::Cancelled,
        ),
    ] {
        let studio = Studio::new().await;
        let (bad, good) = (Receiver::start(status), Receiver::start(200));
        put(&studio, "second", &good.url, json!({})).await;
        put(&studio, "first", &bad.url, more).await;
        studio.rule("alerts", "alert", "first").await;
        let worker = studio.sending_worker(&[], |_| {}).await;
        let id = send(&studio, &worker, "1", "alert").await;
        over(&studio, &id, ends).await;
        let new = took_over(&studio, &id).await;
        assert_eq!(new.len(), 1);
        over(&studio, &new[0].delivery.id, DeliveryState::Delivered).await;
        let old = studio.store.delivery(&studio.tenant, &id).await.unwrap().unwrap();
        assert_eq!(old.delivery.message, new[0].delivery.message, "the same bytes");
        assert_eq!((bad.got().len(), good.got().len()), (1, 1));
        let entries = studio.entries_about(new[0].delivery.id.as_str()).await;
        let (kind, entry) = &entries[0];
        assert_eq!((kind.as_str(), &entry["act"]), ("delivery", &"fallback".into()), "{entry}");
        assert_eq!(entry["fallbackOf"], id.as_str());
        assert_eq!(worker.metrics().fallback.get(), 1);
        assert_eq!(studio.store.count_dead_letters(&studio.tenant, &Default::default()).await.unwrap(), 0);
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_longer_than_its_fallback_allows_goes_there_without_an_attempt() {
    let studio = Studio::new().await;
    let (bad, good) = (Receiver::start(500), Receiver::start(200));
    put(&studio, "second", &good.url, json!({})).await;
    let more = json!({
        "fallback": {"channel": "second", "after": "10s"}, "breaker": {"failures": 1, "openFor": "1h", "atMost": "1h"},
    });
    put(&studio, "first", &bad.url, more).await;
    studio.rule("alerts", "alert", "first").await;
    let worker = studio.sending_worker(&[], |_| {}).await;
    send(&studio, &worker, "1", "alert").await;
    eventually("it opens", || async {
        (state(&studio, &worker, "first").await["state"] == "open").then_some(())
    })
    .await;
    let id = send(&studio, &worker, "2", "alert").await;
    over(&studio, &id, DeliveryState::Cancelled).await;
    assert_eq!(bad.got().len(), 1, "only the first was tried");
    let new = took_over(&studio, &id).await;
    over(&studio, &new[0].delivery.id, DeliveryState::Delivered).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_channel_that_is_disabled_or_deleted_falls_back_and_chains_end() {
    let studio = Studio::new().await;
    let bad = Receiver::start(400);
    put(&studio, "a", &bad.url, json!({"fallback": {"channel": "b"}, "retry": {"scheduleSeconds": []}}))
        .await;
    put(&studio, "b", &bad.url, json!({"fallback": {"channel": "a"}, "retry": {"scheduleSeconds": []}}))
        .await;
    studio.rule("alerts", "alert", "a").await;
    let worker = studio.sending_worker(&[], |_| {}).await;
    let id = send(&studio, &worker, "1", "alert").await;
    over(&studio, &id, DeliveryState::Dead).await;
    let second = took_over(&studio, &id).await.remove(0).delivery.id;
    over(&studio, &second, DeliveryState::Dead).await;
    assert_eq!(studio.deliveries().await.len(), 2, "it does not go round");

    let (good, slow) = (Receiver::start(200), Receiver::start(500));
    for (name, gone) in [("off", false), ("deleted", true)] {
        put(&studio, "good", &good.url, json!({})).await;
        let more = json!({"fallback": {"channel": "good", "after": "1d"}, "retry": {"scheduleSeconds": [2]}});
        put(&studio, name, &slow.url, more.clone()).await;
        studio.rule(name, name, name).await;
        worker.configuration_changed(&studio.tenant).await;
        let id = send(&studio, &worker, name, name).await;
        assert_eq!(attempted(&studio, &id).await, "retry");
        if gone {
            studio.delete(Kind::Channel, name).await;
        } else {
            let mut more = more;
            more["enabled"] = false.into();
            put(&studio, name, &slow.url, more).await;
        }
        worker.configuration_changed(&studio.tenant).await;
        over(&studio, &id, DeliveryState::Cancelled).await;
        let new = took_over(&studio, &id).await;
        over(&studio, &new[0].delivery.id, DeliveryState::Delivered).await;
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_message_says_so_and_tells_what_came_of_it() {
    let studio = Studio::new().await;
    let (good, bad) = (Receiver::start(200), Receiver::start(400));
    put(&studio, "good", &good.url, json!({"locale": "de"})).await;
    let more = json!({"fallback": {"channel": "good"}, "retry": {"scheduleSeconds": []}});
    put(&studio, "bad", &bad.url, more).await;
    put(&studio, "off", &bad.url, json!({"enabled": false})).await;
    let worker = studio.sending_worker(&[], |_| {}).await;
    let test = async |id: &str, key: Option<&str>| {
        worker.test_channel(&studio.tenant, &channel(id), "alice", key).await
    };
    let id = test("good", Some("k")).await.unwrap();
    assert_eq!(test("good", Some("k")).await.unwrap(), id, "the same key");
    over(&studio, &id, DeliveryState::Delivered).await;
    let body = String::from_utf8(good.got()[0].body.clone()).unwrap();
    assert!(body.contains("Testnachricht") && !body.contains("alice"), "{body}");
    let entries = studio.entries_about(id.as_str()).await;
    assert_eq!((entries[0].0.as_str(), &entries[0].1["act"]), ("delivery", &"test".into()));
    assert!(!entries[0].1.to_string().contains("alice"));

    let id = test("bad", None).await.unwrap();
    over(&studio, &id, DeliveryState::Dead).await;
    assert!(took_over(&studio, &id).await.is_empty(), "a test is about its channel");
    assert_eq!(test("off", None).await.unwrap_err().code, Code::ChannelDisabled);
    assert_eq!(test("none", None).await.unwrap_err().code, Code::NotFound);
    let checked = worker.check_channel(&studio.tenant, &channel("good")).await.unwrap();
    assert_eq!(checked["result"], "not-checkable", "{checked}");
    let (mut states, mut page) = (Vec::new(), Page { limit: 2, after: None });
    loop {
        let found = worker.channel_statuses(&studio.tenant, &page).await.unwrap();
        assert!((1..=2).contains(&found.items.len()));
        assert!(found.items.iter().all(|status| status.get("secrets").is_none()), "{:?}", found.items);
        states.extend(found.items.iter().map(|status| (status["id"].clone(), status["state"].clone())));
        let Some(next) = found.next else { break };
        page.after = Some(next);
    }
    let expected = json!([["bad", "failing"], ["good", "ok"], ["inbox", "unused"], ["off", "disabled"]]);
    assert_eq!(json!(states), expected);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_read_anew_close_the_breaker_and_show_no_value() {
    let studio = Studio::new().await;
    let receiver = Receiver::start(500);
    let more = json!({
        "breaker": {"failures": 1, "openFor": "1h", "atMost": "1h"},
        "secrets": {"signing": ["secret://env/NOTIFY_SECRET_ACME_KEY", "secret://env/NOTIFY_SECRET_ACME_NONE"]},
    });
    put(&studio, "hook", &receiver.url, more).await;
    let value = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let worker = studio.sending_worker(&[("NOTIFY_SECRET_ACME_KEY", value)], |_| {}).await;
    let refresh = async || worker.refresh_secrets(&studio.tenant, &channel("hook"), "alice").await.unwrap();
    let done = refresh().await;
    assert_eq!(
        (&done["secrets"][0]["readable"], &done["secrets"][1]["readable"]),
        (&true.into(), &false.into())
    );
    let since = done["secrets"][0]["sinceAt"].clone();
    assert!(since.is_string(), "{done}");
    assert_eq!(refresh().await["secrets"][0]["sinceAt"], since, "the value is the same");
    let open = notify_core::breaker::Breaker::Open { since: now(), until: now(), round: 0 };
    studio.store.note_breaker(&studio.tenant, &channel("hook"), None, open).await.unwrap();
    assert_eq!(refresh().await["breakerClosed"], true);
    let kept = studio.store.channel_state(&studio.tenant, &channel("hook")).await.unwrap().unwrap();
    let plain = notify_core::ledger::commitment::PlainDigest::of(value.as_bytes()).hex();
    let kept = kept.secrets.unwrap();
    assert!(!kept.contains("salt"), "what the store holds is no way to try guesses: {kept}");
    for shown in [kept, done.to_string()] {
        assert!(!shown.contains(value) && !shown.contains(&plain), "{shown}");
    }
    let entries = studio.entries_about("channel/hook").await;
    assert!(entries.iter().any(|(kind, entry)| kind == "access" && entry["act"] == "secrets-refreshed"));
    worker.stop().await;
}

/// The webhook's codec knows no checks and sends them; what counts here is what the studio makes of the answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_close_the_breaker_and_failing_ones_are_told_once() {
    let studio = Studio::new().await;
    let receiver = Receiver::start(500);
    put(&studio, "hook", &receiver.url, json!({"breaker": {"failures": 1, "openFor": "1h", "atMost": "1h"}}))
        .await;
    studio.rule("alerts", "alert", "hook").await;
    let host = sending_host_that(studio.folder(), "health", json!({"kind": "check"}));
    let secrets = SecretResolver::with_environment(None, "NONE_", |_| None);
    let worker = studio.worker_through(host, Arc::new(secrets), |_| {}).await;
    send(&studio, &worker, "1", "alert").await;
    eventually("it opens", || async {
        (state(&studio, &worker, "hook").await["state"] == "open").then_some(())
    })
    .await;
    let waiting = send(&studio, &worker, "2", "alert").await;
    let check = async || worker.check_channel(&studio.tenant, &channel("hook")).await.unwrap();
    let failing = check().await;
    assert_eq!((&failing["result"], &failing["httpStatus"]), (&"failing".into(), &500.into()), "{failing}");
    assert!(studio.attempts(&waiting).await.is_empty());
    receiver.answers(200);
    assert_eq!(check().await["result"], "ok");
    over(&studio, &waiting, DeliveryState::Delivered).await;
    assert_eq!(state(&studio, &worker, "hook").await["check"]["last"]["result"], "ok");

    receiver.answers(500);
    for _ in 0..2 {
        assert_eq!(check().await["result"], "failing");
    }
    let page = notify_store::model::Page { limit: 100, after: None };
    let events = studio.store.events(&studio.tenant, &page).await.unwrap().items;
    let told = events.iter().filter(|event| event.event.r#type == notify_worker::channels::CHANNEL_UPDATED);
    assert_eq!(told.count(), 1, "when it began to fail, and not again");
    worker.stop().await;
}

/// What a plug-in says its provider takes holds for all channels of one target together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_providers_rate_is_shared_by_the_channels_of_one_target() {
    let studio = Studio::new().await;
    let receiver = Receiver::start(200);
    for id in ["one", "two"] {
        put(&studio, id, &receiver.url, json!({})).await;
        studio.rule(id, "alert", id).await;
    }
    let limits = json!({"rates": [{"count": 1, "seconds": 1, "per": ["/url"]}]});
    let host = sending_host_that(studio.folder(), "limits", limits);
    let secrets = SecretResolver::with_environment(None, "NONE_", |_| None);
    let worker = studio.worker_through(host, Arc::new(secrets), |_| {}).await;
    for number in ["1", "2"] {
        worker.accept(studio.event(number, "alert", "x")).await.unwrap();
    }
    eventually("all arrive", || async { (receiver.got().len() == 4).then_some(()) }).await;
    for delivery in studio.deliveries().await {
        over(&studio, &delivery.delivery.id, DeliveryState::Delivered).await;
    }
    keeps_the_rate(&studio, 4, 1, 1.0).await;
    worker.stop().await;
}

/// Three channels of one type whose receivers never answer do not hold up a fourth.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stuck_channels_of_a_type_leave_places_to_another() {
    let studio = Studio::new().await;
    let stuck = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", stuck.local_addr().unwrap());
    let good = Receiver::start(200);
    for (id, url) in [("a", &url), ("b", &url), ("c", &url), ("good", &good.url)] {
        put(&studio, id, url, json!({"timeoutSeconds": 60})).await;
        studio.rule(id, id, id).await;
    }
    let worker = studio
        .sending_worker(&[], |options| {
            (options.concurrency, options.per_channel) = (32, 4);
            options.drain = Duration::from_millis(10);
        })
        .await;
    for number in 0..30 {
        let kind = ["a", "b", "c"][number % 3];
        worker.accept(studio.event(&number.to_string(), kind, "x")).await.unwrap();
    }
    let id = send(&studio, &worker, "last", "good").await;
    over(&studio, &id, DeliveryState::Delivered).await;
    worker.stop().await;
}

const VICTIM: &str = "FALLBACK_VICTIM";

/// Sends alerts for ever to a channel that fails and has a fallback; says how many have died.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn victim() {
    let Ok(place) = std::env::var(VICTIM) else { return };
    let [file, bad, good] = place.split('|').collect::<Vec<_>>().try_into().unwrap();
    let backend = Backend::Sqlite { file: file.into() };
    let studio = Studio::on(backend, tempfile::tempdir().unwrap()).await;
    put(&studio, "second", good, json!({})).await;
    put(
        &studio,
        "first",
        bad,
        json!({"fallback": {"channel": "second"}, "breaker": "off", "retry": {"scheduleSeconds": []}}),
    )
    .await;
    studio.rule("alerts", "alert", "first").await;
    let worker = studio.sending_worker(&[], |_| {}).await;
    for number in 0_u32.. {
        worker.accept(studio.event(&number.to_string(), "alert", "x")).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "ack {number}").unwrap();
        out.flush().unwrap();
    }
}

/// However it is killed: each delivery that died has one that takes over, and never two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_neither_loses_nor_doubles_a_fallback() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("killed.db");
    let (bad, good) = (Receiver::start(400), Receiver::start(200));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["behaviour::victim", "--exact", "--nocapture"])
        .env(VICTIM, format!("{}|{}|{}", file.display(), bad.url, good.url))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let acknowledged = lines.map_while(Result::ok).filter(|line| line.contains("ack ")).take(60).count();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(acknowledged, 60);

    let studio = Studio::new().await.sibling(Backend::Sqlite { file }).await;
    let worker = studio.sending_worker(&[], |_| {}).await;
    eventually("everything is over", || async {
        let all = studio.deliveries().await;
        all.iter().all(|found| found.state != DeliveryState::Scheduled).then_some(())
    })
    .await;
    let page = notify_store::model::Page { limit: 1_000, after: None };
    let all = studio.store.deliveries(&studio.tenant, &Default::default(), &page).await.unwrap().items;
    let (old, new): (Vec<_>, Vec<_>) =
        all.iter().partition(|found| found.delivery.cause.starts_with("event:"));
    assert!(old.len() >= acknowledged);
    for one in &old {
        assert_eq!(one.state, DeliveryState::Dead);
        let cause = format!("fallback-of:{}", one.delivery.id);
        let after: Vec<_> = new.iter().filter(|found| found.delivery.cause == cause).collect();
        assert_eq!(after.len(), 1, "{}", one.delivery.id);
        assert_eq!(after[0].state, DeliveryState::Delivered);
    }
    assert_eq!(old.len(), new.len());
    worker.stop().await;
}
