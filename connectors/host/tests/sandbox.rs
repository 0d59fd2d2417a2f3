//! What a plug-in's process cannot do, tried by one that does: stopped by the kernel, named in the status, and nothing of
//! it happened.

mod common;

use common::{Home, prepare, status};
use notify_connector_host::{ConnectorHost, HostFault, RestartPolicy, Sandbox};
use std::time::Duration;

fn restless(home: &Home, change: impl FnOnce(&mut notify_connector_host::HostConfig)) -> ConnectorHost {
    let mut config = home.config();
    config.restart =
        RestartPolicy { breaker_after: usize::MAX, first_pause: Duration::ZERO, ..RestartPolicy::default() };
    config.sandbox = Sandbox::Required;
    change(&mut config);
    ConnectorHost::open(config).unwrap()
}

#[tokio::test]
async fn what_a_codec_may_not_do_ends_it_and_is_named() {
    let home = Home::new();
    home.stage_bad(&[]);
    let host = restless(&home, |_| {});
    for (config, call) in [
        ("try-socket", "socket"),
        ("try-unix", "socket"),
        ("try-pair", "socketpair"),
        ("try-read", "openat"),
        ("try-old-open", "openat"),
        ("try-create", "openat"),
        ("try-stat", "newfstatat"),
        ("try-unlink", "unlink"),
        ("try-memfd", "memfd_create"),
        ("try-program", "execve"),
        ("try-fork", "clone"),
        ("try-parent", "kill"),
        ("try-trace", "ptrace"),
        ("try-outlive", "prctl"),
        ("try-handler", "rt_sigaction"),
        ("try-uring", "io_uring_setup"),
        ("try-code", "mmap"),
        ("try-user", "setuid"),
        ("try-limit-parent", "prlimit64"),
        ("try-pin-parent", "sched_setaffinity"),
        ("try-owner", "fcntl"),
        ("try-queue", "rt_sigqueueinfo"),
        ("try-nice", "setpriority"),
    ] {
        prepare(&host, "{}").await.unwrap_or_else(|fault| panic!("before {config}: {fault}"));
        let result = prepare(&host, config).await;
        assert!(matches!(result, Err(HostFault::Crashed { .. })), "{config}: {result:?}");
        let expected = format!("sandbox: the plug-in tried {call} (number ");
        let told = || status(&host).problem.unwrap_or_default();
        common::eventually(&format!("{config}: {}", told()), || told().contains(&expected)).await;
    }
    assert!(!std::path::Path::new("/tmp/notify-bad").exists());
}

#[tokio::test]
async fn what_a_codec_needs_it_may() {
    let home = Home::new();
    home.stage_bad(&[]);
    let host = restless(&home, |_| {});
    for config in ["may-thread", "may-memory", "print"] {
        assert!(prepare(&host, config).await.is_ok(), "{config}: {:?}", status(&host).problem);
    }
    let status = status(&host);
    assert_eq!((status.crashes, status.sandbox.as_deref()), (0, Some("limits, landlock, seccomp")));
    // More memory than its limit is a crash of its own.
    assert!(matches!(prepare(&host, "much-memory").await, Err(HostFault::Crashed { .. })));
}

#[tokio::test]
async fn a_constructor_is_inside_as_well() {
    let home = Home::new();
    let marker = home.dir.path().join("constructor-ran");
    home.stage_bad(&[&format!("MARKER=\"{}\"", marker.display())]);
    let host = restless(&home, |_| {});
    assert!(prepare(&host, "{}").await.is_ok());
    assert!(!marker.exists(), "it could not write");
    // `create` with a socket: the plug-in never comes up, and the reason is shown.
    let host = restless(&home, |config| {
        let options = serde_json::json!({"do": "try-socket"}).as_object().cloned().unwrap_or_default();
        config.options.insert("bad".to_owned(), options);
    });
    assert!(prepare(&host, "{}").await.is_err());
    let problem = status(&host).problem.unwrap_or_default();
    assert!(problem.contains("tried socket"), "{problem}");
}

#[tokio::test]
async fn the_processors_time_of_a_batch_is_bounded() {
    let home = Home::new();
    home.stage_bad(&[]);
    let host = restless(&home, |config| {
        config.codec_patience = Duration::from_secs(60);
        config.codec_cpu_seconds = 1;
    });
    assert!(matches!(prepare(&host, "spin").await, Err(HostFault::Crashed { .. })));
    let told = || status(&host).problem.unwrap_or_default();
    common::eventually("SIGXCPU", || told().contains("SIGXCPU")).await;
    assert!(prepare(&host, "{}").await.is_ok());
}
