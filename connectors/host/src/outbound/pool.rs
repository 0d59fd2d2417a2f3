//! Idle HTTP/1.1 connections, by origin.
//!
//! Our own because the two guarantees we need are about single requests: knowing that a request was *not* written
//! (then it may go out on another connection) and that a connection is used again only for the origin whose address
//! was checked. hyper's `SendRequest` gives both; a general pool hides them.

use super::dial::Stream;
use super::fault::{FaultKind, OutboundFault};
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use notify_netguard::Target;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// An open connection that this task alone uses.
pub(super) struct Connection {
    pub sender: SendRequest<Full<Bytes>>,
    /// Even: idle; odd: in use. Its changes tell the driver whether the connection was idle all the time.
    uses: Arc<AtomicU32>,
}

impl Connection {
    /// False when the peer has closed it. Right after a response the driver may need a moment to see its end.
    async fn is_usable(&mut self) -> bool {
        const SETTLE: Duration = Duration::from_millis(50);
        if self.sender.is_ready() {
            return true;
        }
        !self.sender.is_closed()
            && matches!(tokio::time::timeout(SETTLE, self.sender.ready()).await, Ok(Ok(())))
    }
}

pub(super) struct Pool {
    idle: Mutex<HashMap<Target, Vec<Connection>>>,
    idle_timeout: Duration,
    max_idle_per_origin: usize,
    max_header_bytes: usize,
}

impl Pool {
    pub(super) fn new(idle_timeout: Duration, max_idle_per_origin: usize, max_header_bytes: usize) -> Self {
        Self { idle: Mutex::default(), idle_timeout, max_idle_per_origin, max_header_bytes }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Target, Vec<Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The most recently used idle connection that is still open.
    pub(super) async fn take(&self, target: &Target) -> Option<Connection> {
        loop {
            let mut connection = self.lock().get_mut(target).and_then(Vec::pop)?;
            if connection.is_usable().await {
                connection.uses.fetch_add(1, Ordering::AcqRel);
                return Some(connection);
            }
        }
    }

    /// Gives a connection back after its response was read to the end.
    pub(super) fn put(&self, target: Target, connection: Connection) {
        if connection.sender.is_closed() {
            return;
        }
        connection.uses.fetch_add(1, Ordering::AcqRel);
        let mut idle = self.lock();
        // Origins come from users: what has only closed connections left is removed, or the map would grow forever.
        if idle.len() >= 1_024 && !idle.contains_key(&target) {
            idle.retain(|_, connections| {
                connections.retain(|connection| !connection.sender.is_closed());
                !connections.is_empty()
            });
        }
        let connections = idle.entry(target).or_default();
        if connections.len() >= self.max_idle_per_origin {
            connections.retain(|connection| !connection.sender.is_closed());
        }
        if connections.len() < self.max_idle_per_origin {
            connections.push(connection);
        }
    }

    /// Starts HTTP/1.1 on a stream. The returned connection counts as in use.
    pub(super) async fn open(&self, stream: Stream) -> Result<Connection, OutboundFault> {
        match stream {
            Stream::Plain(tcp) => self.handshake(tcp).await,
            Stream::Tls(tls) => self.handshake(tls).await,
        }
    }

    async fn handshake<S>(&self, stream: S) -> Result<Connection, OutboundFault>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        // hyper itself refuses responses with more than 100 headers.
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(self.max_header_bytes)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_| {
                OutboundFault::before(FaultKind::Connect, "no connection: HTTP could not be started")
            })?;
        let uses = Arc::new(AtomicU32::new(1));
        tokio::spawn(drive(driver, Arc::clone(&uses), self.idle_timeout));
        Ok(Connection { sender, uses })
    }
}

/// Runs the connection until it ends or was idle from one look to the next, so that without any traffic too the file
/// descriptor is given back (after one to two times `idle_timeout`). If a request comes in at that very moment,
/// hyper returns it unsent.
async fn drive<S>(
    driver: http1::Connection<TokioIo<S>, Full<Bytes>>,
    uses: Arc<AtomicU32>,
    idle_timeout: Duration,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut driver = std::pin::pin!(driver);
    let mut seen = uses.load(Ordering::Acquire);
    loop {
        // Errors reach whoever waits for the response; the driver has nobody to tell.
        if tokio::time::timeout(idle_timeout, driver.as_mut()).await.is_ok() {
            return;
        }
        let now = uses.load(Ordering::Acquire);
        if now == seen && now.is_multiple_of(2) {
            return;
        }
        seen = now;
    }
}
