//! The network side of outbound HTTP, against real servers on 127.0.0.1.

mod support;

use notify_connector_host::outbound::{EgressPolicy, FaultKind, Outbound, OutboundFault, Resolve};
use notify_connector_host::request::{HttpResponse, Outcome, PreparedRequest};
use notify_connector_host::secrets::ResolvedSecrets;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use support::{End, Names, RawServer, Server, allow, answer, attempt_time, post};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);
const DELIVERY: &str = "dlv_00000000000000000000000000000001";

async fn send_within(
    outbound: &Outbound,
    request: &PreparedRequest,
    timeout: Duration,
) -> Result<HttpResponse, OutboundFault> {
    outbound.execute(request, &ResolvedSecrets::default(), DELIVERY, attempt_time(), timeout).await
}

async fn send(outbound: &Outbound, url: &str) -> Result<HttpResponse, OutboundFault> {
    send_within(outbound, &post(url), LONG).await
}

fn loopback() -> Outbound {
    Outbound::new(allow(&["127.0.0.1"])).unwrap()
}

fn named(policy: EgressPolicy, names: Arc<dyn Resolve>) -> Outbound {
    Outbound::with_resolver(policy, names).unwrap()
}

#[track_caller]
fn assert_fault(
    result: Result<HttpResponse, OutboundFault>,
    kind: FaultKind,
    never_sent: bool,
    detail: &str,
) {
    let fault = result.unwrap_err();
    assert_eq!((fault.kind, fault.never_sent), (kind, never_sent), "{fault:?}");
    assert!(fault.detail.contains(detail), "{fault:?} should say `{detail}`");
}

const BLOCKED: FaultKind = FaultKind::Blocked { code: "address" };

#[tokio::test]
async fn a_request_arrives_whole_and_the_response_comes_back() {
    let server = Server::start(|_| {
        let mut response = answer(202, "taken");
        response.headers_mut().insert("Retry-After", "7".parse().unwrap());
        response
    })
    .await;
    let response = send(&loopback(), &format!("http://{}/hook?a=b#c", server.address)).await.unwrap();
    assert_eq!(
        (response.status, response.body.as_slice(), response.truncated),
        (202, b"taken".as_slice(), false)
    );
    assert!(response.headers.contains(&("retry-after".to_owned(), "7".to_owned())));

    let (head, body) = server.seen.lock().unwrap().pop().unwrap();
    assert_eq!((head.method.as_str(), head.uri.to_string().as_str()), ("POST", "/hook?a=b"));
    assert_eq!(body.as_ref(), b"{\"a\":1}");
    for (name, expected) in [
        ("host", server.address.to_string().as_str()),
        ("content-length", "7"),
        ("content-type", "application/json"),
        ("user-agent", "notify-studio"),
        ("webhook-id", DELIVERY),
    ] {
        assert_eq!(head.headers.get_all(name).iter().collect::<Vec<_>>(), [expected], "{name}");
    }
}

#[tokio::test]
async fn loopback_is_blocked_unless_the_operator_names_it() {
    let server = Server::start(|_| answer(200, "")).await;
    let port = server.address.port();
    let strict = Outbound::new(EgressPolicy::default()).unwrap();
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.0.0.1.",
        "\u{ff11}27.0.0.1",
        "[::ffff:7f00:1]",
    ] {
        let result = send(&strict, &format!("http://{host}:{port}/")).await;
        assert_fault(result, BLOCKED, true, "is a loopback address; the operator can allow");
    }
    // The system's resolver knows this name without a network.
    let result = send(&strict, &format!("http://localhost:{port}/")).await;
    assert_fault(result, BLOCKED, true, "localhost resolves to a forbidden address");
    let other_port = Outbound::new(allow(&[&format!("127.0.0.1:{}", port.wrapping_add(1).max(1))])).unwrap();
    assert_fault(send(&other_port, &server.url()).await, BLOCKED, true, "a loopback address");
    assert_eq!(server.connections.load(Ordering::SeqCst), 0, "a blocked request must not even connect");

    let exact = Outbound::new(allow(&[&server.address.to_string()])).unwrap();
    assert_eq!(send(&exact, &server.url()).await.unwrap().status, 200);
    assert_eq!(send(&strict, &server.url()).await.unwrap_err().outcome(), Outcome::BadConfig);
}

#[tokio::test]
async fn redirects_are_answers() {
    let elsewhere = Server::start(|_| answer(200, "")).await;
    let location = elsewhere.url();
    for status in [301, 302, 303, 307, 308] {
        let location = location.clone();
        let server = Server::start(move |_| {
            let mut response = answer(status, "");
            response.headers_mut().insert("location", location.parse().unwrap());
            response
        })
        .await;
        assert_eq!(send(&loopback(), &server.url()).await.unwrap().status, status);
    }
    assert_eq!(elsewhere.connections.load(Ordering::SeqCst), 0);
}

/// Variables of a process can only be set safely before it starts: the test runs itself once more with a proxy that
/// would see the request.
#[tokio::test]
async fn environment_proxies_are_ignored() {
    let server = Server::start(|_| answer(200, "")).await;
    if let Ok(target) = std::env::var("NOTIFY_TEST_PROXY_TARGET") {
        assert!(std::env::var("http_proxy").is_ok());
        assert_eq!(send(&loopback(), &target).await.unwrap().status, 200);
        return;
    }
    let proxy = Server::start(|_| answer(502, "")).await;
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "environment_proxies_are_ignored"]).env("NOTIFY_TEST_PROXY_TARGET", server.url());
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        child.env(name, format!("http://{}", proxy.address));
    }
    assert!(child.output().await.unwrap().status.success());
    assert_eq!((server.hits(), proxy.connections.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test]
async fn slow_answers_time_out() {
    for (name, pieces) in [
        ("no answer", vec![]),
        ("half a head", vec![b"HTTP/1.1 200 OK\r\ncontent-le".as_slice()]),
        ("half a body", vec![b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".as_slice()]),
        (
            "no end of chunks",
            vec![b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n".as_slice()],
        ),
        (
            "only interim answers",
            vec![b"HTTP/1.1 100 Continue\r\n\r\n".as_slice(), b"HTTP/1.1 100 Continue\r\n\r\n"],
        ),
    ] {
        let server = RawServer::start(vec![(pieces, End::Hang)]).await;
        let result = send_within(&loopback(), &post(&server.url()), SHORT).await;
        let fault = result.unwrap_err();
        assert_eq!((fault.kind, fault.never_sent), (FaultKind::Timeout, false), "{name}: {fault:?}");
        assert_eq!(fault.detail, "no complete response within 300 ms", "{name}");
        assert_eq!(fault.outcome(), Outcome::Timeout);
    }
}

#[tokio::test]
async fn a_name_that_never_resolves_times_out_unsent() {
    struct Never;
    impl Resolve for Never {
        fn resolve<'a>(&'a self, _: &'a str, _: u16) -> notify_connector_host::outbound::Resolving<'a> {
            Box::pin(std::future::pending())
        }
    }
    let outbound = named(allow(&[]), Arc::new(Never));
    let result = send_within(&outbound, &post("http://hooks.example/"), SHORT).await;
    assert_fault(result, FaultKind::Timeout, true, "no connection within 300 ms");
    let outbound = named(EgressPolicy { connect_timeout: SHORT, ..allow(&[]) }, Arc::new(Never));
    let result = send(&outbound, "http://hooks.example/").await;
    assert_fault(result, FaultKind::Connect, true, "no connection within 300 ms");
}

#[tokio::test]
async fn bodies_are_cut_at_the_limit() {
    for (length, expected, truncated) in
        [(9, 9, false), (10, 10, false), (11, 10, true), (1_000_000, 10, true)]
    {
        let server = Server::start(move |_| answer(200, &"x".repeat(length))).await;
        let outbound =
            Outbound::new(EgressPolicy { max_response_body: 10, ..allow(&["127.0.0.1"]) }).unwrap();
        let response = send(&outbound, &server.url()).await.unwrap();
        assert_eq!((response.body.len(), response.truncated), (expected, truncated), "{length}");
        // A connection with unread bytes is not used again.
        assert_eq!(send(&outbound, &server.url()).await.unwrap().status, 200);
        assert_eq!(server.connections.load(Ordering::SeqCst), 1 + usize::from(truncated), "{length}");
    }
    // A body that never ends is cut, not waited for.
    let server = RawServer::start(vec![(
        vec![b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n".as_slice(), &[b'x'; 100_000]],
        End::Hang,
    )])
    .await;
    let response = send(&loopback(), &server.url()).await.unwrap();
    assert_eq!((response.body.len(), response.truncated), (64 * 1024, true));
}

#[tokio::test]
async fn broken_answers_are_reported() {
    let many: &'static [u8] =
        format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(101)).into_bytes().leak();
    let long: &'static [u8] =
        format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(40_000)).into_bytes().leak();
    for (answer, end, kind, detail) in [
        (&b""[..], End::Close, FaultKind::Reset, "closed before the response was complete"),
        (b"", End::Reset, FaultKind::Reset, "the connection failed: connection reset"),
        (b"HTTP/1.1 200 OK\r\ncontent-", End::Close, FaultKind::Reset, "closed before"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", End::Close, FaultKind::Reset, "closed before"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", End::Reset, FaultKind::Reset, ""),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", End::Hang, FaultKind::Protocol, "not valid HTTP/1.1"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            End::Hang,
            FaultKind::Protocol,
            "",
        ),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            End::Hang,
            FaultKind::Protocol,
            "body",
        ),
        (many, End::Hang, FaultKind::Protocol, "over the limit"),
        (long, End::Hang, FaultKind::Protocol, "over the limit"),
    ] {
        let server = RawServer::start(vec![(vec![answer], end)]).await;
        let result = send_within(&loopback(), &post(&server.url()), LONG).await;
        assert_fault(result, kind, false, detail);
        assert_eq!(server.requests.load(Ordering::SeqCst), 1, "must not be sent twice");
    }
}

#[tokio::test]
async fn nobody_listening_is_a_connect_fault() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let result = send(&loopback(), &format!("http://{address}/")).await;
    assert_fault(result, FaultKind::Connect, true, "no connection: connection refused");
}

#[tokio::test]
async fn connections_are_kept_and_shared_by_origin() {
    let server = Server::start(|_| answer(200, "ok")).await;
    let outbound = loopback();
    for _ in 0..50 {
        send(&outbound, &server.url()).await.unwrap();
    }
    assert_eq!((server.hits(), server.connections.load(Ordering::SeqCst)), (50, 1));
    let url = server.url();
    let at_once = (0..8).map(|_| send(&outbound, &url));
    for result in all_at_once(at_once.collect()).await {
        assert_eq!(result.unwrap().status, 200);
    }
    assert!((2..=8).contains(&server.connections.load(Ordering::SeqCst)));
}

/// Polls all futures in turn, so that they are under way at the same time.
async fn all_at_once<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut done = true;
        for (future, output) in &mut futures {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => done = false,
                }
            }
        }
        if done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    futures.into_iter().filter_map(|(_, output)| output).collect()
}

#[tokio::test]
async fn idle_connections_are_closed_without_traffic() {
    let server = Server::start(|_| answer(200, "ok")).await;
    let policy = EgressPolicy { idle_timeout: Duration::from_millis(20), ..allow(&["127.0.0.1"]) };
    let outbound = Outbound::new(policy).unwrap();
    send(&outbound, &server.url()).await.unwrap();
    let wait = tokio::time::timeout(Duration::from_millis(200), std::future::pending::<()>());
    assert!(wait.await.is_err());
    send(&outbound, &server.url()).await.unwrap();
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_stale_connection_is_replaced_without_sending_twice() {
    const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    for end in [End::Close, End::Reset] {
        let server = RawServer::start(vec![(vec![OK], end), (vec![OK], End::Hang)]).await;
        let outbound = loopback();
        for _ in 0..2 {
            assert_eq!(send(&outbound, &server.url()).await.unwrap().status, 200);
            // Time for the close to arrive.
            let _ = tokio::time::timeout(Duration::from_millis(100), std::future::pending::<()>()).await;
        }
        assert_eq!(server.connections.load(Ordering::SeqCst), 2);
        assert_eq!(server.requests.load(Ordering::SeqCst), 2);
    }
    // Closed *after* the second request was written: that one may have been received, so it is reported.
    let server = RawServer::start(vec![(vec![OK], End::TakeOneAndClose)]).await;
    let outbound = loopback();
    assert_eq!(send(&outbound, &server.url()).await.unwrap().status, 200);
    assert_fault(send(&outbound, &server.url()).await, FaultKind::Reset, false, "closed before");
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
    assert_eq!(server.requests.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn every_address_of_a_name_must_pass() {
    let server = Server::start(|_| answer(200, "")).await;
    let at = |text: &str| SocketAddr::new(text.parse().unwrap(), 1); // the resolver's port does not count
    let (ours, private, mapped) = (at("127.0.0.1"), at("10.0.0.1"), at("::ffff:169.254.169.254"));
    let names = Names::new(&[
        ("good.example", &[&[ours]]),
        ("last.example", &[&[ours, private]]),
        ("first.example", &[&[private, ours]]),
        ("mapped.example", &[&[ours, mapped]]),
        ("empty.example", &[&[]]),
    ]);
    let outbound = named(allow(&["127.0.0.1"]), names);
    let url = |name: &str| format!("http://{name}:{}/", server.address.port());
    for (name, expected) in [
        ("last.example", "10.0.0.1 is a private address"),
        ("first.example", "10.0.0.1 is a private address"),
        ("mapped.example", "leads to 169.254.169.254, which is a cloud metadata address"),
    ] {
        assert_fault(send(&outbound, &url(name)).await, BLOCKED, true, expected);
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 0);
    assert_fault(send(&outbound, &url("empty.example")).await, FaultKind::Connect, true, "has no address");
    assert_fault(
        send(&outbound, &url("absent.example")).await,
        FaultKind::Connect,
        true,
        "cannot be resolved",
    );
    assert_eq!(send(&outbound, &url("good.example")).await.unwrap().status, 200);
    let (head, _) = server.seen.lock().unwrap().pop().unwrap();
    assert_eq!(head.headers["host"], format!("good.example:{}", server.address.port()));
}

#[tokio::test]
async fn a_name_that_changes_its_address_is_checked_on_every_dial() {
    let server = Server::start(|_| {
        let mut response = answer(200, "");
        response.headers_mut().insert("connection", "close".parse().unwrap());
        response
    })
    .await;
    let names =
        Names::new(&[("turn.example", &[&[server.address], &["169.254.169.254:80".parse().unwrap()]])]);
    let outbound = named(allow(&["127.0.0.1"]), names);
    let url = format!("http://turn.example:{}/", server.address.port());
    assert_eq!(send(&outbound, &url).await.unwrap().status, 200);
    assert_fault(send(&outbound, &url).await, BLOCKED, true, "169.254.169.254 is a cloud metadata address");
    assert_eq!(server.hits(), 1);
}

#[tokio::test]
async fn a_dead_address_does_not_stop_the_next() {
    let server = Server::start(|_| answer(200, "")).await;
    // Nothing listens on 127.0.0.9; the server does on 127.0.0.1.
    let dead = SocketAddr::new("127.0.0.9".parse().unwrap(), server.address.port());
    let names = Names::new(&[("two.example", &[&[dead, server.address]])]);
    let outbound = named(allow(&["127.0.0.0/8"]), names);
    let url = format!("http://two.example:{}/", server.address.port());
    assert_eq!(send(&outbound, &url).await.unwrap().status, 200);
}
