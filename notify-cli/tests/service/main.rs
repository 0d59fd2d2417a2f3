//! `notify serve` as it runs: real processes, a real plug-in, a receiver on loopback.

mod contract;
mod health;
mod metrics;
mod rules;
mod secrets;
mod studio;
