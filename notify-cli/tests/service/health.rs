//! `/healthz` and `/readyz`, and the end of a process.

use crate::studio::{Client, Home, Studio, eventually, receiver, running};
use serde_json::{Value, json};

/// State of one check.
fn state<'a>(answer: &'a Value, name: &str) -> &'a str {
    let checks = answer["checks"].as_array().unwrap();
    let check =
        checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name}: {answer}"));
    if check["state"] != "ok" {
        assert!(!check["detail"].as_str().unwrap_or_default().is_empty(), "{check}");
        assert!(!check["fix"].as_str().unwrap_or_default().is_empty(), "{check}");
    }
    check["state"].as_str().unwrap()
}

async fn readyz(client: &Client, studio: &Studio) -> (u16, Value) {
    let answered = client.get(&studio.url("/readyz")).await;
    (answered.status, answered.json())
}

#[tokio::test]
async fn a_whole_service_is_ready_and_says_what_it_looked_at() {
    let (_home, studio, client) = running("").await;
    assert_eq!(client.get(&studio.url("/healthz")).await.json(), json!({ "status": "ok" }));
    let (status, answer) = readyz(&client, &studio).await;
    assert_eq!(
        (status, &answer["ready"], &answer["status"]),
        (200, &json!(true), &json!("ready")),
        "{answer}"
    );
    for name in ["store", "backlog", "disk", "connectors", "owners"] {
        assert_eq!(state(&answer, name), "ok", "{answer}");
    }
}

#[tokio::test]
async fn without_a_plug_in_events_are_taken_and_the_lack_is_said() {
    let home = Home::new("", &[]);
    std::fs::remove_dir_all(home.path().join("../plugins/webhook")).unwrap();
    let client = Client::new(home.token("notify.admin"));
    let studio = home.serve(&["--listen", "127.0.0.1:0"]).await;
    let (status, answer) = readyz(&client, &studio).await;
    assert_eq!((status, state(&answer, "connectors")), (200, "warn"), "{answer}");
}

#[tokio::test]
async fn each_check_can_fail() {
    for (config, failing) in [
        // More than any disk of a test has.
        ("[health]\ndisk_free_mib = 100000000000\n", "disk"),
        ("", "connectors"),
    ] {
        let home = Home::new(config, &[]);
        if failing == "connectors" {
            // Its signature no longer fits.
            let manifest = home.path().join("../plugins/webhook/notify-plugin.json");
            let text = std::fs::read_to_string(&manifest).unwrap();
            std::fs::write(&manifest, text.replace("1.0.0", "1.0.1")).unwrap();
        }
        let client = Client::new(home.token("notify.admin"));
        let studio = home.serve(&["--listen", "127.0.0.1:0"]).await;
        let (status, answer) = readyz(&client, &studio).await;
        assert_eq!((status, &answer["status"]), (503, &json!("not-ready")), "{answer}");
        assert_eq!(state(&answer, failing), "fail", "{answer}");
        assert_eq!(state(&answer, "store"), "ok", "{answer}");
        assert_eq!(client.get(&studio.url("/healthz")).await.status, 200, "it lives all the same");
    }
}

/// A receiver that hangs takes the one place for deliveries; what is due behind it grows old.
#[tokio::test]
async fn a_backlog_that_grows_old_is_noticed() {
    let more = "[dispatch]\nconcurrency = 1\ntimeout_seconds = 60\n\n[health]\nbacklog_age_seconds = 1\n";
    let (_home, studio, client) = running(more).await;
    // Connections wait in the listener's queue, unanswered.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    client.wire(&studio, "silent", &json!({ "config": { "url": url } })).await;
    for id in ["1", "2", "3"] {
        assert_eq!(client.publish(&studio, id, "silent").await.status, 202);
    }
    let answer = eventually("the backlog check fails", async || {
        let (status, answer) = readyz(&client, &studio).await;
        (status == 503).then_some(answer)
    })
    .await;
    assert_eq!(state(&answer, "backlog"), "fail", "{answer}");
}

/// SIGTERM: first it says so, then it stops accepting, finishes what it has, and ends well.
#[tokio::test]
async fn a_stop_is_announced_and_orderly() {
    let (home, mut studio, client) = running("[server]\nstop_grace_seconds = 2\n").await;
    let receiver = receiver().await;
    client.wire(&studio, "hook", &json!({ "config": { "url": format!("http://{receiver}/200") } })).await;
    assert_eq!(client.publish(&studio, "1", "hook").await.status, 202);
    studio.terminate();
    let answer = eventually("the stop is announced", async || {
        let (status, answer) = readyz(&client, &studio).await;
        (status == 503).then_some(answer)
    })
    .await;
    assert_eq!(answer["status"], "draining", "{answer}");
    assert_eq!(state(&answer, "lifecycle"), "fail");
    assert_eq!(client.get(&studio.url("/healthz")).await.status, 200);
    assert_eq!(client.publish(&studio, "2", "hook").await.status, 202, "accepting goes on during the grace");
    assert!(studio.ended().await.success());
    let log = studio.log();
    assert!(log.contains("draining") && log.contains("stopped"), "{log}");
    assert!(!log.contains("still under way"), "{log}");
    // Nothing was left behind: what was accepted last has been delivered.
    let again = home.serve(&["--listen", "127.0.0.1:0", "--log-level", "info"]).await;
    let delivered = client.get(&again.url("/api/v1/notify/deliveries?state=delivered")).await.json();
    assert_eq!(delivered["items"].as_array().map(Vec::len), Some(2), "{delivered}");
    assert!(!again.log().contains("results are unknown"), "{}", again.log());
}

/// A worker has no API, and says how it is.
#[tokio::test]
async fn a_worker_answers_for_itself() {
    let url = notify_testkit::postgres::shared().url_for(&format!("service_{}", std::process::id()));
    let more = "[server]\noperations_listen = \"127.0.0.1:0\"\n";
    let home = Home::new(more, &[("NOTIFY__STORE__URL", &url)]);
    let client = Client::new(home.token("notify.admin,notify.publish"));
    let mut worker = home.serve(&["--role", "worker"]).await;
    let (status, answer) = readyz(&client, &worker).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(state(&answer, "owners"), "ok", "{answer}");
    assert_eq!(client.get(&worker.url("/api/v1/notify/rules")).await.status, 404);
    let mut web = home.serve(&["--role", "web", "--listen", "127.0.0.1:0"]).await;
    let (status, answer) = readyz(&client, &web).await;
    assert_eq!(status, 200, "{answer}");
    let receiver = receiver().await;
    client.wire(&web, "hook", &json!({ "config": { "url": format!("http://{receiver}/200") } })).await;
    assert_eq!(client.publish(&web, "1", "hook").await.status, 202);
    client.attempted(&web, "hook").await;
    let count = |text: &str, name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(&format!("{name} "))?.parse::<f64>().ok())
            .unwrap_or(-1.0)
    };
    let of_web = client.get(&web.url("/metrics")).await.text;
    assert!(count(&of_web, "notify_events_accepted_total") >= 1.0, "{of_web}");
    let of_worker = eventually("the worker counts the delivery", async || {
        let text = client.get(&worker.url("/metrics")).await.text;
        (count(&text, "notify_sent_total") >= 1.0).then_some(text)
    })
    .await;
    assert!(count(&of_worker, "notify_delivery_latency_seconds_count") >= 1.0, "{of_worker}");
    for process in [&mut web, &mut worker] {
        process.terminate();
        assert!(process.ended().await.success());
    }
}

/// The database goes away under a running service: it lives, says so, and refuses what it cannot keep.
#[tokio::test]
async fn a_database_that_is_gone_is_noticed() {
    let server = notify_testkit::postgres::start();
    let home = Home::new(
        "[limits]\nrequest_timeout_seconds = 5\n",
        &[("NOTIFY__STORE__URL", &server.url_for("gone"))],
    );
    let client = Client::new(home.token("notify.admin,notify.publish"));
    let studio = home.serve(&["--listen", "127.0.0.1:0"]).await;
    assert_eq!(readyz(&client, &studio).await.0, 200);
    assert_eq!(client.publish(&studio, "1", "nothing").await.status, 202);
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
    let answer = eventually("the store check fails", async || {
        let (status, answer) = readyz(&client, &studio).await;
        (status == 503 && state(&answer, "store") == "fail").then_some(answer)
    })
    .await;
    // Anyone may ask: what the database said is in the log only.
    assert!(!answer.to_string().contains("postgres"), "{answer}");
    assert_eq!(client.get(&studio.url("/healthz")).await.status, 200);
    assert_eq!(client.publish(&studio, "2", "nothing").await.status, 503);
}
