//! Open connections, kept per server and credentials: a bounded number of them, closed when idle.

use crate::config::{Settings, Tls};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// A server closes a connection that was used too often; we do so first.
const MAX_MESSAGES: u32 = 200;
/// Idle connections to all servers together.
const MAX_IDLE: usize = 128;

/// What makes two connections the same. The password is there as a hash, so that the map holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    host: String,
    port: u16,
    tls: Tls,
    hello_name: String,
    username: Option<String>,
    passwords: [u8; 32],
}

impl Key {
    #[must_use]
    pub fn new(settings: &Settings, passwords: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for password in passwords {
            hash.update(u64::try_from(password.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(password.as_bytes());
        }
        Self {
            host: settings.server.host.to_ascii_lowercase(),
            port: settings.port,
            tls: settings.tls,
            hello_name: settings.hello_name.clone(),
            username: settings.username.clone(),
            passwords: hash.finalize().into(),
        }
    }
}

struct Idle {
    connection: AsyncSmtpConnection,
    sent: u32,
    dirty: bool,
    since: Instant,
}

struct Lane {
    places: Arc<Semaphore>,
    idle: Vec<Idle>,
}

/// See the module.
pub struct Pool {
    lanes: Mutex<HashMap<Key, Lane>>,
    connections: usize,
    idle: Duration,
}

/// The right to use one connection, and perhaps one that is open already.
pub struct Place {
    _permit: OwnedSemaphorePermit,
    pub connection: Option<AsyncSmtpConnection>,
    /// A transaction on it ended in the middle: RSET comes before the next one.
    pub dirty: bool,
    sent: u32,
}

impl Place {
    /// Counts a message.
    pub const fn sent(&mut self) {
        self.sent += 1;
    }
}

impl Pool {
    #[must_use]
    pub fn new(connections: usize, idle: Duration) -> Self {
        Self { lanes: Mutex::default(), connections, idle }
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<Key, Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place; the newest idle connection comes with it, so that the others grow old and are closed.
    pub async fn place(&self, key: &Key) -> Option<Place> {
        let places = {
            let mut lanes = self.lanes();
            let lane = lanes.entry(key.clone()).or_insert_with(|| Lane {
                places: Arc::new(Semaphore::new(self.connections)),
                idle: Vec::new(),
            });
            Arc::clone(&lane.places)
        };
        let permit = places.acquire_owned().await.ok()?;
        let idle = self.lanes().get_mut(key).and_then(|lane| lane.idle.pop());
        let usable = idle.filter(|idle| idle.since.elapsed() < self.idle);
        let (connection, sent, dirty) =
            usable.map_or((None, 0, false), |idle| (Some(idle.connection), idle.sent, idle.dirty));
        Some(Place { _permit: permit, connection, dirty, sent })
    }

    /// Takes a working connection back. Returns one that is to be closed instead.
    pub fn put(&self, key: &Key, mut place: Place) -> Option<AsyncSmtpConnection> {
        let connection = place.connection.take()?;
        if connection.has_broken() {
            return None;
        }
        let mut lanes = self.lanes();
        let total: usize = lanes.values().map(|lane| lane.idle.len()).sum();
        match lanes.get_mut(key) {
            Some(lane) if place.sent < MAX_MESSAGES && total < MAX_IDLE => {
                let (sent, dirty) = (place.sent, place.dirty);
                lane.idle.push(Idle { connection, sent, dirty, since: Instant::now() });
                None
            }
            _ => Some(connection),
        }
    }

    /// Connections that were idle for too long, or all of them.
    #[must_use]
    pub fn expired(&self, all: bool) -> Vec<AsyncSmtpConnection> {
        let mut lanes = self.lanes();
        let mut old = Vec::new();
        for lane in lanes.values_mut() {
            let (keep, expired): (Vec<Idle>, Vec<Idle>) =
                lane.idle.drain(..).partition(|idle| !all && idle.since.elapsed() < self.idle);
            lane.idle = keep;
            old.extend(expired.into_iter().map(|idle| idle.connection));
        }
        // A lane that nobody uses is forgotten, so that servers of long ago take no memory.
        let connections = self.connections;
        lanes.retain(|_, lane| {
            !lane.idle.is_empty()
                || lane.places.available_permits() < connections
                || Arc::strong_count(&lane.places) > 1
        });
        old
    }
}
