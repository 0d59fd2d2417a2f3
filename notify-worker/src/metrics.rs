//! What the worker counts. Bounded label sets: never an id. An observation costs a few relaxed atomic additions; text
//! is made only when somebody asks.

use crate::clock::Stopwatch;
use notify_core::event::Event;
use notify_core::noise::{Control, NoiseState};
use notify_core::plan::{Decision, Planned, Snapshot, Verdict, plan};
use notify_core::time::Timestamp;
use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter as Cell;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that only grows; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Counter(Cell);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.inc_by(n);
    }
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.get()
    }
    /// The library's own counter, to be registered elsewhere.
    #[must_use]
    pub fn cell(&self) -> Cell {
        self.0.clone()
    }
}

macro_rules! counters {
    ($($field:ident = $name:literal, $help:literal;)*) => {
        /// What happened since the process started.
        #[derive(Debug)]
        pub struct Metrics {
            $(pub $field: Counter,)*
            suppressed: Family<[(&'static str, &'static str); 1], Cell>,
            checks: Family<[(&'static str, &'static str); 1], Cell>,
            breakers: Family<[(&'static str, String); 1], Gauge>,
            /// From the decision to send to the receiver's yes.
            pub delivery_latency: Histogram,
            /// One event against all rules of its tenant, messages rendered.
            pub rule_eval: Histogram,
            registry: Registry,
        }

        impl Default for Metrics {
            fn default() -> Self {
                let mut registry = Registry::default();
                // The library appends `_total` to counters itself.
                $(
                    let $field = Counter::default();
                    registry.register($name, $help, $field.cell());
                )*
                let suppressed: Family<[(&'static str, &'static str); 1], Cell> = Family::default();
                registry.register(
                    "notify_suppressed",
                    "Actions of matching rules that were not sent at once, by the control that decided: also those that are held or part of a digest",
                    suppressed.clone(),
                );
                for control in NO_CHANNEL.into_iter().chain(Control::ALL.map(Control::as_str)) {
                    let _ = suppressed.get_or_create(&[("control", control)]);
                }
                let checks: Family<[(&'static str, &'static str); 1], Cell> = Family::default();
                registry.register("notify_health_checks", "Checks of channels, by result", checks.clone());
                for result in CHECK_RESULTS {
                    let _ = checks.get_or_create(&[("result", result)]);
                }
                let breakers: Family<[(&'static str, String); 1], Gauge> = Family::default();
                registry.register(
                    "notify_channel_breaker_open",
                    "Channels whose circuit breaker is open or half-open, by type, as far as this process knows",
                    breakers.clone(),
                );
                let delivery_latency = Histogram::new(DELIVERY_BOUNDS);
                registry.register(
                    "notify_delivery_latency_seconds",
                    "Time from the decision to send until a receiver took the delivery, retries included",
                    delivery_latency.clone(),
                );
                let rule_eval = Histogram::new(RULE_BOUNDS);
                registry.register(
                    "notify_rule_eval_seconds",
                    "Time to plan one event: match all rules of the tenant and render what they send",
                    rule_eval.clone(),
                );
                Self { $($field,)* suppressed, checks, breakers, delivery_latency, rule_eval, registry }
            }
        }
    };
}

counters! {
    accepted = "notify_events_accepted", "Events accepted durably";
    duplicates = "notify_events_duplicate", "Events answered as accepted before";
    sent = "notify_sent", "Deliveries that a receiver took";
    failed = "notify_failed", "Attempts that failed";
    dropped = "notify_dropped", "Deliveries cancelled before they were sent: their channel was disabled, deleted or moved";
    retried = "notify_retry", "Attempts that another one follows";
    dead = "notify_deadletter", "Deliveries given up";
    disabled = "notify_channels_disabled", "Channels disabled because their receiver was gone or failed for long";
    rate_limited = "notify_rate_limited", "Times a delivery was sent back to wait for its turn at a target with a rate";
    fallback = "notify_fallback", "Deliveries that another channel took over";
    late = "notify_attempt_late", "Results that came after their claim had gone to somebody else";
    coalesced = "notify_digest_coalesced", "Alerts that digests stand for";
    entries = "notify_ledger_entries", "Ledger entries written by this process";
}

/// Controls that exist, so that their series exist from the start.
const NO_CHANNEL: [&str; 2] = ["channel-disabled", "channel-missing"];

/// How checks end.
pub const CHECK_RESULTS: [&str; 3] = ["ok", "failing", "not-checkable"];

const DELIVERY_BOUNDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0];
const RULE_BOUNDS: &[f64] = &[
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1,
];

/// Suppressed actions of one batch, by control; counted once the batch is durable.
#[derive(Debug, Default)]
pub(crate) struct Suppressed(BTreeMap<&'static str, u64>);

impl Suppressed {
    pub fn note(&mut self, decisions: &[Decision]) {
        for decision in decisions {
            if !matches!(decision.verdict, Verdict::Send(_) | Verdict::SendFallback(..)) {
                *self.0.entry(decision.verdict.control()).or_default() += 1;
            }
        }
    }
}

impl Metrics {
    pub(crate) fn suppressed(&self, suppressed: &Suppressed) {
        for (control, count) in &suppressed.0 {
            self.suppressed.get_or_create(&[("control", control)]).inc_by(*count);
        }
    }

    pub(crate) fn checked(&self, result: &'static str) {
        self.checks.get_or_create(&[("result", result)]).inc();
    }

    /// Open breakers by type of channel; a type that has none any more shows 0.
    pub(crate) fn breakers_open(&self, by_type: &BTreeMap<String, i64>) {
        // Types of channels that are gone are not counted any more.
        self.breakers.clear();
        for (kind, open) in by_type {
            self.breakers.get_or_create(&[("type", kind.clone())]).set(*open);
        }
    }

    /// [`plan`], timed.
    pub(crate) fn plan(
        &self,
        snapshot: &Snapshot,
        event: &Event,
        at: Timestamp,
        entropy: &[u8; 32],
        state: &NoiseState,
    ) -> Planned {
        let watch = Stopwatch::start();
        let planned = plan(snapshot, event, at, entropy, state);
        self.rule_eval.observe(watch.elapsed());
        planned
    }

    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// Durations by upper bound. The library's own histogram takes a lock for each observation; this one does not.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Cells>);

#[derive(Debug)]
struct Cells {
    bounds: &'static [f64],
    /// One more than bounds: the last one takes the rest.
    counts: Vec<AtomicU64>,
    nanoseconds: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Cells { bounds, counts, nanoseconds: AtomicU64::new(0) }))
    }

    pub fn observe(&self, took: Duration) {
        let cells = &*self.0;
        let seconds = took.as_secs_f64();
        let place = cells.bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = cells.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        cells.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Observations so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.counts.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder) -> std::fmt::Result {
        let cells = &*self.0;
        let bounds = cells.bounds.iter().copied().chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> =
            bounds.zip(&cells.counts).map(|(bound, count)| (bound, count.load(Ordering::Relaxed))).collect();
        // From the same reading, so that the total and the last bucket agree.
        let count = buckets.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_nanos(cells.nanoseconds.load(Ordering::Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;

    fn text(metrics: &Metrics) -> String {
        let mut text = String::new();
        encode(&mut text, metrics.registry()).unwrap();
        text
    }

    #[test]
    fn observations_land_in_their_bucket() {
        let metrics = Metrics::default();
        metrics.sent.add(3);
        for micros in [5_000, 5_001, 400_000_000, 8_000_000_000] {
            metrics.delivery_latency.observe(Duration::from_micros(micros));
        }
        let text = text(&metrics);
        for line in [
            "notify_sent_total 3\n",
            "notify_suppressed_total{control=\"channel-disabled\"} 0\n",
            "notify_delivery_latency_seconds_bucket{le=\"0.005\"} 1\n",
            "notify_delivery_latency_seconds_bucket{le=\"0.01\"} 2\n",
            "notify_delivery_latency_seconds_bucket{le=\"1800.0\"} 3\n",
            "notify_delivery_latency_seconds_bucket{le=\"+Inf\"} 4\n",
            "notify_delivery_latency_seconds_count 4\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert_eq!(metrics.delivery_latency.count(), 4);
    }

    #[test]
    fn suppressed_actions_are_counted_by_control() {
        let metrics = Metrics::default();
        let mut batch = Suppressed::default();
        batch.0.insert("channel-disabled", 2);
        metrics.suppressed(&batch);
        metrics.suppressed(&batch);
        let text = text(&metrics);
        assert!(text.contains("notify_suppressed_total{control=\"channel-disabled\"} 4\n"), "{text}");
    }
}
