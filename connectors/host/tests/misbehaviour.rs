//! Plug-ins that crash, hang, lie or babble: the host stays up, the caller is told, the status shows it.

mod common;

use common::{Home, interpret, prepare, status};
use notify_connector_host::{ConnectorHost, HostFault, PluginStatus, RestartPolicy};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// No pauses, so that one case follows the other.
fn restless(home: &Home) -> ConnectorHost {
    let mut config = home.config();
    config.restart =
        RestartPolicy { breaker_after: usize::MAX, first_pause: Duration::ZERO, ..RestartPolicy::default() };
    config.codec_patience = Duration::from_secs(3);
    ConnectorHost::open(config).unwrap()
}

fn word(fault: &HostFault) -> &'static str {
    match fault {
        HostFault::UnknownChannelType(_) => "unknown",
        HostFault::Refused { .. } => "refused",
        HostFault::Unavailable { .. } => "unavailable",
        HostFault::Crashed { .. } => "crashed",
        HostFault::Timeout { .. } => "timeout",
        HostFault::Garbage { .. } => "garbage",
        HostFault::Input { .. } => "input",
        HostFault::Declined(_) => "declined",
    }
}

/// Which of the counters a case moves: crashes, timeouts, late, unknown, garbage.
fn counters(status: &PluginStatus) -> [u64; 5] {
    [status.crashes, status.timeouts, status.late, status.unknown, status.garbage]
}

#[tokio::test]
async fn prepare_faults_are_told_and_counted() {
    let home = Home::new();
    home.stage_bad(&[]);
    let host = restless(&home);
    assert_eq!(prepare(&host, "{}").await.map(|request| request.method), Ok("POST".to_owned()));
    for (config, expected, moved) in [
        ("segv", "crashed", [1, 0, 0, 0, 0]),
        ("abort", "crashed", [1, 0, 0, 0, 0]),
        ("exit", "crashed", [1, 0, 0, 0, 0]),
        ("overflow", "crashed", [1, 0, 0, 0, 0]),
        ("close-socket", "crashed", [1, 0, 0, 0, 0]),
        ("write-socket", "crashed", [1, 0, 0, 0, 1]),
        ("hang", "timeout", [1, 1, 0, 0, 0]),
        ("spin", "timeout", [1, 1, 0, 0, 0]),
        ("small-size", "garbage", [0, 0, 0, 0, 1]),
        ("null-array", "garbage", [0, 0, 0, 0, 1]),
        ("null-bytes", "garbage", [0, 0, 0, 0, 1]),
        ("bad-code", "garbage", [0, 0, 0, 0, 1]),
        ("not-json", "garbage", [0, 0, 0, 0, 1]),
        ("other-shape", "garbage", [0, 0, 0, 0, 1]),
        ("not-utf8", "garbage", [0, 0, 0, 0, 1]),
        ("huge", "garbage", [0, 0, 0, 0, 1]),
        ("left-out", "garbage", [0, 0, 0, 0, 1]),
        ("call-fails", "garbage", [0, 0, 0, 0, 1]),
        ("decline", "declined", [0; 5]),
        ("twice", "ok", [0, 0, 1, 0, 0]),
        ("stale", "ok", [0, 0, 1, 0, 0]),
        ("stranger", "ok", [0, 0, 0, 1, 0]),
        // Of 100,000 stray answers the child passes 64 on.
        ("flood", "ok", [0, 0, 0, 64, 0]),
        ("print", "ok", [0; 5]),
    ] {
        // An ordinary call before, so that there is a living child and an earlier token.
        prepare(&host, "{}").await.unwrap_or_else(|fault| panic!("before {config}: {fault}"));
        let before = counters(&status(&host));
        let result = prepare(&host, config).await;
        assert_eq!(result.as_ref().map_or_else(word, |_| "ok"), expected, "{config}: {result:?}");
        let moved_now = || {
            let now = counters(&status(&host));
            std::array::from_fn::<u64, 5, _>(|i| now[i] - before[i])
        };
        common::eventually(&format!("{config}: {moved:?}, not {:?}", moved_now()), || moved_now() == moved)
            .await;
        // And an ordinary call after it works, on a new child if need be.
        assert!(prepare(&host, "{}").await.is_ok(), "after {config}");
    }
    let end = status(&host);
    assert_eq!((end.state, end.restarts, end.in_flight), ("running", 8, 0), "{end:?}");
}

#[tokio::test]
async fn interpret_faults_are_told() {
    let home = Home::new();
    home.stage_bad(&[]);
    let host = restless(&home);
    for (config, expected) in [
        ("{}", "ok"),
        ("segv", "crashed"),
        ("hang", "timeout"),
        ("left-out", "garbage"),
        ("bad-code", "garbage"),
        ("null-bytes", "garbage"),
        ("long-detail", "ok"),
    ] {
        let result = interpret(&host, config).await;
        assert_eq!(result.as_ref().map_or_else(word, |_| "ok"), expected, "{config}: {result:?}");
        if let Ok(verdict) = result {
            assert!(verdict.detail.len() <= 1024, "details are cut");
        }
    }
}

#[tokio::test]
async fn a_crash_fails_what_was_in_flight_and_nothing_else() {
    let home = Home::new();
    home.stage_bad(&[]);
    let host = Arc::new(restless(&home));
    prepare(&host, "{}").await.unwrap();
    let calls = (0..500).map(|number| {
        let host = Arc::clone(&host);
        tokio::spawn(async move { prepare(&host, if number == 250 { "segv" } else { "{}" }).await })
    });
    let calls: Vec<_> = calls.collect();
    let mut words = std::collections::BTreeMap::new();
    for call in calls {
        let result = call.await.unwrap();
        *words.entry(result.as_ref().map_or_else(word, |_| "ok")).or_insert(0) += 1;
    }
    assert!(words.get("crashed").is_some_and(|n| *n >= 1), "{words:?}");
    assert_eq!(words.values().sum::<i32>(), 500);
    assert!(words.keys().all(|word| ["ok", "crashed"].contains(word)), "{words:?}");
    assert!(prepare(&host, "{}").await.is_ok());
    assert_eq!(status(&host).in_flight, 0);
}

#[tokio::test]
async fn a_plugin_that_keeps_dying_is_left_alone_for_a_while() {
    let home = Home::new();
    home.stage_bad(&[]);
    let mut config = home.config();
    config.restart = RestartPolicy {
        breaker_after: 3,
        first_pause: Duration::from_millis(50),
        breaker_pause: Duration::from_secs(3),
        ..RestartPolicy::default()
    };
    let host = ConnectorHost::open(config).unwrap();
    let mut crashed = 0;
    let mut backing_off = false;
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    while status(&host).state != "crash-looping" {
        match prepare(&host, "segv").await.map_err(|fault| word(&fault)) {
            Err("crashed") => crashed += 1,
            Err("unavailable") => backing_off |= status(&host).state == "backing-off",
            other => panic!("{other:?}"),
        }
        assert!(crashed <= 3, "the breaker opens after three");
        tick.tick().await;
    }
    assert!(backing_off, "there was a pause before the breaker");
    let started = status(&host).restarts;
    let refused = prepare(&host, "{}").await;
    assert!(matches!(refused, Err(HostFault::Unavailable { after: Some(_), .. })), "{refused:?}");
    assert_eq!(status(&host).restarts, started, "nothing was started meanwhile");
    common::eventually("the breaker closes", || status(&host).state == "idle").await;
    assert!(prepare(&host, "{}").await.is_ok());
}

#[tokio::test]
async fn what_does_not_fit_its_manifest_is_refused_at_the_start() {
    for (macros, options, expected) in [
        (&["NO_SYMBOL"][..], json!({}), "does not export"),
        (&["NULL_TABLE"], json!({}), "table is not valid"),
        (&["SIZE=16"], json!({}), "table is not valid"),
        (&["MAJOR=2"], json!({}), "speaks ABI 2"),
        (&["CAPABILITIES=NC_CAP_TRANSPORT"], json!({}), "another kind"),
        (&["CAPABILITIES=0"], json!({}), "another kind"),
        (&["INCOMPLETE"], json!({}), "lacks a required function"),
        (&["VERSION=\"2.0.0\""], json!({}), "2.0.0"),
        (&["DESCRIBE=\"{}\""], json!({}), "description"),
        (&[], json!({"create": "fail"}), "no licence"),
        (&[], json!({"create": "nothing"}), "no instance"),
    ] {
        let home = Home::new();
        home.stage_bad(macros);
        let mut config = home.config();
        config.options.insert("bad".to_owned(), options.as_object().unwrap().clone());
        let host = ConnectorHost::open(config).unwrap();
        let result = prepare(&host, "{}").await;
        match &result {
            Err(HostFault::Refused { reason, .. }) => {
                assert!(reason.contains(expected), "{macros:?}: {reason}")
            }
            other => panic!("{macros:?} {options}: {other:?}"),
        }
        let status = status(&host);
        assert_eq!((status.state, status.pid), ("refused", None));
        assert!(status.problem.is_some_and(|problem| problem.contains(expected)));
    }
}

/// The caller's patience is shorter than the start takes: the start goes on, and a later call finds the child.
#[tokio::test]
async fn a_slow_start_survives_impatient_callers() {
    let home = Home::new();
    home.stage_bad(&[]);
    let mut config = home.config();
    config.codec_patience = Duration::from_millis(1);
    config.options.insert("bad".to_owned(), json!({ "create": "slow" }).as_object().unwrap().clone());
    let host = ConnectorHost::open(config).unwrap();
    assert!(matches!(prepare(&host, "{}").await, Err(HostFault::Timeout { .. })));
    common::eventually("it comes up", || status(&host).state == "running").await;
    let now = status(&host);
    assert_eq!((now.restarts, now.crashes), (0, 0), "{now:?}");
}

#[tokio::test]
async fn dying_or_hanging_while_it_starts_is_no_refusal() {
    for (create, expected) in [("segv", "signal: 11"), ("hang", "not ready in time")] {
        let home = Home::new();
        home.stage_bad(&[]);
        let mut config = home.config();
        config.start_patience = Duration::from_secs(2);
        config.options.insert("bad".to_owned(), json!({ "create": create }).as_object().unwrap().clone());
        let host = ConnectorHost::open(config).unwrap();
        match prepare(&host, "{}").await {
            Err(HostFault::Unavailable { reason, .. }) => {
                assert!(reason.contains(expected), "{create}: {reason}")
            }
            other => panic!("{create}: {other:?}"),
        }
        assert_eq!(status(&host).crashes, 1);
    }
}
