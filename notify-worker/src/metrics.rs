//! Counters, as Prometheus text. Bounded label sets: never an id.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($field:ident = $name:literal, $help:literal;)*) => {
        /// What happened since the process started.
        #[derive(Debug, Default)]
        pub struct Metrics { $(pub $field: Counter,)* }

        impl Metrics {
            /// Prometheus text exposition format 0.0.4.
            #[must_use]
            pub fn render(&self) -> String {
                let mut out = String::new();
                $(let _ = write!(out, "# HELP {0} {1}\n# TYPE {0} counter\n{0} {2}\n", $name, $help, self.$field.get());)*
                out
            }
        }
    };
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

counters! {
    accepted = "notify_events_accepted_total", "Events accepted durably.";
    duplicates = "notify_events_duplicate_total", "Events answered as accepted before.";
    sent = "notify_sent_total", "Deliveries that a receiver took.";
    failed = "notify_failed_total", "Attempts that failed.";
    suppressed = "notify_suppressed_total", "Actions of matching rules that were not sent.";
    retried = "notify_retry_total", "Attempts that another one follows.";
    dead = "notify_deadletter_total", "Deliveries given up.";
    disabled = "notify_channels_disabled_total", "Channels disabled because their receiver was gone or failed for long.";
    late = "notify_attempt_late_total", "Results that came after their claim had gone to somebody else.";
    entries = "notify_ledger_entries_total", "Ledger entries written by this process.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_help_type_and_value() {
        let metrics = Metrics::default();
        metrics.sent.add(3);
        let text = metrics.render();
        assert!(text.contains("# TYPE notify_sent_total counter\nnotify_sent_total 3\n"), "{text}");
    }
}
