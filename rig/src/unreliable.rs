//! A receiver that misbehaves to order: each request, by its path and the number of requests before it, is answered,
//! refused, reset, kept waiting or never answered. In plain TCP, because an HTTP server cannot do all of that.

use crate::clock;
use anyhow::Context;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What is done with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Take,
    TakeAfter(Duration),
    /// HTTP 503 with a `Retry-After` of one second.
    Busy,
    Reset,
    /// No answer, ever.
    Silence,
}

/// One whole request, and what was done with it.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub path: String,
    pub webhook_id: String,
    /// The id of the event in the message.
    pub event: String,
    pub at: Instant,
    pub act: Act,
}

type Judge = Box<dyn Fn(&str, u64) -> Act + Send + Sync>;

struct Inner {
    judge: Judge,
    requests: AtomicU64,
    arrivals: Mutex<Vec<Arrival>>,
}

pub struct Unreliable {
    pub address: SocketAddr,
    inner: Arc<Inner>,
    serving: JoinHandle<()>,
}

impl Unreliable {
    /// Listens on a free loopback port, or on `address`. `judge` decides by path and number of the request.
    pub async fn start(
        address: Option<SocketAddr>,
        judge: impl Fn(&str, u64) -> Act + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TcpListener::bind(address.unwrap_or(any)).await?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner {
            judge: Box::new(judge),
            requests: AtomicU64::new(0),
            arrivals: Mutex::default(),
        });
        let serving = tokio::spawn(serve(listener, Arc::clone(&inner)));
        Ok(Self { address, inner, serving })
    }

    #[must_use]
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.inner.arrivals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops listening and breaks all connections: from now on the port refuses.
    pub async fn stop(self) {
        self.serving.abort();
        let _ = self.serving.await;
    }
}

async fn serve(listener: TcpListener, inner: Arc<Inner>) {
    // Connections end with this task.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        connections.spawn(converse(stream, Arc::clone(&inner)));
        while connections.try_join_next().is_some() {}
    }
}

async fn converse(mut stream: TcpStream, inner: Arc<Inner>) {
    let mut bytes = Vec::with_capacity(4096);
    while let Ok(Some(mut arrival)) = request(&mut stream, &mut bytes).await {
        let number = inner.requests.fetch_add(1, Ordering::Relaxed);
        arrival.act = (inner.judge)(&arrival.path, number);
        let act = arrival.act;
        inner.arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(arrival);
        let answer: &[u8] = match act {
            Act::Take => b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            Act::TakeAfter(pause) => {
                clock::wait(pause).await;
                b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
            }
            Act::Busy => b"HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
            Act::Reset => {
                let _ = stream.set_zero_linger();
                return;
            }
            Act::Silence => {
                // Open until the sender gives up.
                while let Ok(1..) = stream.read(&mut [0; 256]).await {}
                return;
            }
        };
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

/// Reads one request; `None` at the end of the connection.
async fn request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> anyhow::Result<Option<Arrival>> {
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec())?;
            let header = |name: &str| {
                let mut lines = head.lines().filter_map(|line| line.split_once(':'));
                lines
                    .find(|(key, _)| key.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.trim().to_owned())
            };
            let length: usize = header("content-length").context("no content-length")?.parse()?;
            if bytes.len() >= end + 4 + length {
                let at = clock::instant();
                let body: serde_json::Value = serde_json::from_slice(&bytes[end + 4..end + 4 + length])?;
                bytes.drain(..end + 4 + length);
                let event = body.pointer("/data/event/id").and_then(|id| id.as_str()).unwrap_or_default();
                return Ok(Some(Arrival {
                    path: head.split(' ').nth(1).unwrap_or_default().to_owned(),
                    webhook_id: header("webhook-id").unwrap_or_default(),
                    event: event.to_owned(),
                    at,
                    act: Act::Take,
                }));
            }
        }
        if stream.read_buf(bytes).await? == 0 {
            return Ok(None);
        }
    }
}
