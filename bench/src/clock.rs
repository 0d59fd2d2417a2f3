//! Benchmarks measure real time; this is where they read it.
#![allow(clippy::disallowed_methods)]

use std::time::Instant;

#[must_use]
pub fn instant() -> Instant {
    Instant::now()
}
