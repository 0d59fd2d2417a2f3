//! Publishes events over keep-alive connections: as fast as answers come, or on a fixed schedule.

use crate::clock;
use crate::http::Connection;
use crate::seed;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// One published event.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    pub number: u64,
    /// When it should have left (open loop) or left (closed loop).
    pub due: Instant,
    pub answered: Instant,
    /// `None`: no answer came; its fate is unknown to the sender.
    pub status: Option<u16>,
}

/// Where and how to publish.
#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub path: &'static str,
    pub token: String,
    pub run: String,
}

impl Target {
    async fn publish(&self, connection: &mut Connection, number: u64) -> Option<u16> {
        let bearer = format!("Bearer {}", self.token);
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/cloudevents+json")];
        let body = seed::event(&self.run, number);
        connection.send("POST", self.path, &headers, body.as_bytes()).await.ok().map(|answer| answer.status)
    }
}

/// Closed loop: each connection sends the next number as soon as its last answer is in.
pub async fn as_fast_as_possible(
    target: &Target,
    connections: usize,
    numbers: std::ops::Range<u64>,
) -> Vec<Sent> {
    let next = Arc::new(AtomicU64::new(numbers.start));
    let mut workers = JoinSet::new();
    for _ in 0..connections {
        let (target, next, end) = (target.clone(), Arc::clone(&next), numbers.end);
        workers.spawn(async move {
            let mut connection = Connection::new(target.address);
            let mut sent = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end {
                    return sent;
                }
                let due = clock::instant();
                let status = target.publish(&mut connection, number).await;
                sent.push(Sent { number, due, answered: clock::instant(), status });
            }
        });
    }
    workers.join_all().await.into_iter().flatten().collect()
}

/// Open loop: event n leaves at start + n / rate, whatever happens to the others. Ends early when `stop` is set.
pub async fn on_schedule(
    target: &Target,
    rate: u32,
    numbers: std::ops::Range<u64>,
    stop: Arc<AtomicBool>,
) -> Vec<Sent> {
    let start = clock::instant();
    let spacing = Duration::from_secs(1) / rate;
    let idle: Arc<Mutex<Vec<Connection>>> = Arc::default();
    let mut flying = JoinSet::new();
    let mut sent = Vec::new();
    for (position, number) in (0_u32..).zip(numbers) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let due = start + spacing * position;
        clock::wait_until(due).await;
        let (target, idle) = (target.clone(), Arc::clone(&idle));
        flying.spawn(async move {
            let pooled = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let reused = pooled.is_some();
            let mut connection = pooled.unwrap_or_else(|| Connection::new(target.address));
            let mut status = target.publish(&mut connection, number).await;
            if status.is_none() && reused {
                // The studio closes what is idle for long; like any HTTP client, we notice when we use it.
                connection = Connection::new(target.address);
                status = target.publish(&mut connection, number).await;
            }
            if status.is_some() {
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            Sent { number, due, answered: clock::instant(), status }
        });
        while let Some(done) = flying.try_join_next() {
            sent.extend(done.ok());
        }
    }
    sent.extend(flying.join_all().await);
    sent
}
