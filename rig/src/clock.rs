//! The rig measures real time; this is where it reads it.
#![allow(clippy::disallowed_methods)]

use std::time::{Duration, Instant};

#[must_use]
pub fn instant() -> Instant {
    Instant::now()
}

#[must_use]
pub fn timestamp() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

pub async fn wait(duration: Duration) {
    tokio::time::sleep(duration).await;
}

pub async fn wait_until(instant: Instant) {
    tokio::time::sleep_until(instant.into()).await;
}
