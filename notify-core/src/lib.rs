//! The domain of Notify Studio: events, rules, matching, rendering, the ledger and the `plan` function.
//!
//! **Invariant: this crate does no I/O, reads no clock, draws no random number and is never async.** Everything
//! comes in as a value, so the same inputs give the same outputs, byte for byte. Preview, simulation, replay and the
//! live worker all call the same [`plan`] and [`render`]; nothing else decides.
#![forbid(unsafe_code)]

pub mod breaker;
pub mod calendar;
pub mod document;
pub mod duration;
pub mod event;
pub mod ids;
pub mod jcs;
pub mod json;
pub mod ledger;
pub mod lint;
pub mod message;
pub mod noise;
pub mod noise_report;
pub mod pattern;
pub mod plan;
pub mod problem;
pub mod render;
pub mod retry;
pub mod rule_tests;
pub mod severity;
pub mod story;
pub mod time;
pub mod yaml;
