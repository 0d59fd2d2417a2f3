//! What only shows on a socket: bounds on headers, slow clients, an orderly end.

use crate::harness::{Fault, Service, service, service_with};
use notify_webservice::Limits;
use notify_webservice::auth::Scope;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

async fn listen(
    service: &Service,
    limits: Limits,
) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let router = service.router.clone();
    let served = tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await;
        };
        notify_webservice::serve(listener, router, &limits, stopped).await
    });
    (address, stop, served)
}

/// Sends bytes and reads until the service closes.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A service that has seen enough may close while we still write.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn headers_have_bounds() {
    let service = service().await;
    let limits =
        Limits { header_bytes: 8_192, header_timeout: Duration::from_millis(200), ..Limits::default() };
    let (address, _stop, _) = listen(&service, limits).await;
    let long = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(20_000));
    let many = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(150));
    for (request, status) in [
        ("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", "HTTP/1.1 200"),
        (long.as_str(), "HTTP/1.1 431"),
        (many.as_str(), "HTTP/1.1 431"),
        ("nonsense\r\n\r\n", "HTTP/1.1 400"),
    ] {
        let answer = exchange(address, request).await;
        assert!(answer.starts_with(status), "{status}: {}", answer.chars().take(80).collect::<String>());
    }
    // A client that never ends its headers loses its connection.
    let slow = exchange(address, "GET /healthz HTTP/1.1\r\nhost: ").await;
    assert!(!slow.contains("200 OK"), "{slow}");
}

#[tokio::test]
async fn a_stop_lets_running_requests_finish() {
    let limits = Limits { request_timeout: Duration::from_millis(1_500), ..Limits::default() };
    let service = service_with(limits).await;
    service.set_fault(Some(Fault::Hang));
    let (address, stop, served) = listen(&service, Limits::default()).await;
    let token = service.token("acme", &[Scope::Publish]);
    let body = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t"}"#;
    let request = format!(
        "POST /api/v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: \
         application/cloudevents+json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let running = tokio::spawn(async move { exchange(address, &request).await });
    // The request has arrived once its token is recorded.
    let tenant = notify_core::ids::TenantId::new("acme").unwrap();
    while service.store.ledger_head(&tenant).await.unwrap().unwrap().size < 2 {
        tokio::task::yield_now().await;
    }
    stop.send(()).unwrap();
    let answer = running.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("\"code\":\"timeout\""), "{answer}");
    served.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_hundred_headers_and_no_more() {
    let service = service().await;
    let (address, _stop, _) = listen(&service, Limits::default()).await;
    for (count, status) in [(100, "HTTP/1.1 200"), (101, "HTTP/1.1 431")] {
        // `host` and `connection` are two of them.
        let extra: String = (2..count).map(|n| format!("x-{n}: 1\r\n")).collect();
        let request = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{extra}\r\n");
        let answer = exchange(address, &request).await;
        assert!(answer.starts_with(status), "{count}: {}", answer.chars().take(60).collect::<String>());
    }
}

#[tokio::test]
async fn a_connection_beyond_the_limit_waits_for_a_place() {
    let service = service().await;
    let limits = Limits { connections: 2, header_timeout: Duration::from_secs(20), ..Limits::default() };
    let (address, _stop, _) = listen(&service, limits).await;
    let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        held.push(stream);
    }
    let mut third = TcpStream::connect(address).await.unwrap();
    third.write_all(request).await.unwrap();
    let mut first = [0; 12];
    let waited = tokio::time::timeout(Duration::from_millis(300), third.read_exact(&mut first)).await;
    assert!(waited.is_err(), "both places are taken");
    held.pop();
    tokio::time::timeout(Duration::from_secs(10), third.read_exact(&mut first)).await.unwrap().unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
}

#[tokio::test]
async fn a_head_has_a_size() {
    let service = service().await;
    let limits = Limits { header_bytes: 8_192, ..Limits::default() };
    let (address, _stop, _) = listen(&service, limits).await;
    for (bytes, status) in [(8_192, "HTTP/1.1 200"), (8_193, "HTTP/1.1 431")] {
        let start = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx: ";
        let request = format!("{start}{}\r\n\r\n", "y".repeat(bytes - start.len() - 4));
        assert_eq!(request.len(), bytes);
        let answer = exchange(address, &request).await;
        assert!(answer.starts_with(status), "{bytes}: {}", answer.chars().take(60).collect::<String>());
    }
}
