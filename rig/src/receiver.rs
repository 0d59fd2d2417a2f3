//! A webhook receiver that remembers what reached it and checks every signature with the product's own verifier.

use crate::clock;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use notify_connector_host::signing;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// One request that reached us.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub path: String,
    pub webhook_id: String,
    /// The id of the event in the message.
    pub event: String,
    pub title: String,
    pub at: Instant,
    /// `Ok` when the signature holds under the secret of this path.
    pub signature: Result<(), String>,
}

/// Secrets by path, and what has arrived.
pub struct Receiver {
    pub address: SocketAddr,
    inner: Arc<Inner>,
    serving: tokio::task::JoinHandle<()>,
}

struct Inner {
    secrets: HashMap<String, String>,
    /// Do not parse or remember bodies: count only (throughput benchmarks).
    light: bool,
    count: AtomicU64,
    arrivals: Mutex<Vec<Arrival>>,
}

impl Receiver {
    /// Listens on a free loopback port, or on `address`.
    pub async fn start(
        address: Option<SocketAddr>,
        secrets: HashMap<String, String>,
        light: bool,
    ) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)))).await?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner { secrets, light, count: AtomicU64::new(0), arrivals: Mutex::default() });
        let serving = tokio::spawn(serve(listener, Arc::clone(&inner)));
        Ok(Self { address, inner, serving })
    }

    /// A port that was free a moment ago, for a receiver that is down until later.
    pub async fn reserve_address() -> anyhow::Result<SocketAddr> {
        Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?)
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.inner.count.load(Ordering::Relaxed)
    }

    #[must_use]
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.inner.arrivals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn stop(&self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, inner: Arc<Inner>) {
    // Connections end with this task.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let inner = Arc::clone(&inner);
        connections.spawn(async move {
            let service = service_fn(move |request| take(request, Arc::clone(&inner)));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// The sender's signature under the secret of this path, at the time of arrival.
fn check(secret: &str, header: &dyn Fn(&str) -> String, body: &[u8]) -> Result<(), String> {
    let key = signing::VerifyingKey::parse(secret).map_err(|error| error.to_string())?;
    let (id, timestamp, signature) =
        (header(signing::ID_HEADER), header(signing::TIMESTAMP_HEADER), header(signing::SIGNATURE_HEADER));
    let headers = signing::WebhookHeaders { id: &id, timestamp: &timestamp, signature: &signature };
    signing::verify(&[key], headers, body, clock::timestamp()).map_err(|error| error.to_string())
}

async fn take(request: Request<Incoming>, inner: Arc<Inner>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let at = clock::instant();
    if !inner.light {
        let header = |name: &str| {
            head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let path = head.uri.path().to_owned();
        let signature = match inner.secrets.get(&path) {
            None => Err(format!("nobody should send to {path}")),
            Some(secret) => check(secret, &header, &body),
        };
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let text =
            |pointer: &str| json.pointer(pointer).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        let arrival = Arrival {
            path,
            webhook_id: header("webhook-id"),
            event: text("/data/event/id"),
            title: text("/data/title"),
            at,
            signature,
        };
        inner.arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(arrival);
    }
    inner.count.fetch_add(1, Ordering::Relaxed);
    Ok(Response::new(Full::new(Bytes::new())))
}
