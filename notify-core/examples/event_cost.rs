//! What it costs to take in one event of about 600 bytes: parse, check, canonicalise, hash; and what the canonical
//! text alone costs, ours and `serde_json_canonicalizer`'s. `cargo run --release -p notify-core --example event_cost`.

use notify_core::event::{Event, EventLimits};
use notify_core::ids::TenantId;
use notify_core::{jcs, json};
use std::hint::black_box;
use std::time::Instant;

const ROUNDS: u32 = 100_000;

fn main() {
    let text = r#"{"specversion":"1.0","id":"9f0c1f52-7f6b-4a53-9a8e-1d2f6f0c0a01","source":"/scanner/eu-1","type":"scanner.report.ready","time":"2026-11-22T06:12:41.318Z","subject":"ghcr.io/acme/payment-api:2.14.0","datacontenttype":"application/json","severity":"critical","correlationid":"scan-20261122-0611-payment-api","data":{"reportId":"rpt-20261122-0001","status":"open","verdict":"fail","image":{"repository":"ghcr.io/acme/payment-api","tag":"2.14.0","digest":"sha256:0d1e2f"},"summary":{"critical":3,"high":11,"medium":24,"newCritical":1,"score":9.8},"links":{"report":"https://scanner.example.com/r/1"}}}"#;
    let tenant: TenantId = "acme".parse().unwrap_or_else(|error| panic!("{error}"));
    let limits = EventLimits::default();
    let value =
        json::parse(text.as_bytes(), json::Limits::default()).unwrap_or_else(|error| panic!("{error}"));
    let sorted = {
        let mut sorted = value.clone();
        let _ = jcs::canonicalise(&mut sorted);
        sorted
    };
    println!("{} bytes, {ROUNDS} rounds, µs each", text.len());
    time("Event::structured", || Event::structured(&tenant, text.as_bytes(), &limits).is_ok());
    time("json::parse", || json::parse(text.as_bytes(), json::Limits::default()).is_ok());
    time("Value::clone (to be taken off the next)", || value.clone().is_object());
    time("jcs::canonicalise, members unsorted", || jcs::canonicalise(&mut value.clone()).is_ok());
    time("jcs::canonicalise, members sorted", || jcs::canonicalise(&mut sorted.clone()).is_ok());
    time("serde_json_canonicalizer", || serde_json_canonicalizer::to_string(&value).is_ok());
}

fn time(what: &str, mut work: impl FnMut() -> bool) {
    #[allow(clippy::disallowed_methods)] // a measurement is an edge
    let start = Instant::now();
    for _ in 0..ROUNDS {
        assert!(black_box(work()));
    }
    println!("{:8.2}  {what}", start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS));
}
