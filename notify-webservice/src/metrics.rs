//! What the web layer counts, and Prometheus text from registries.

use crate::documents::places::Places;
use crate::turns::Turns;
use notify_core::ids::TenantId;
use notify_core::problem::{Code, Problem};
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Sets of rules that are worked on at once: each may need some hundred megabytes.
const APPLIES: usize = 2;
/// Lints that are worked on at once: whoever asks again and again waits, and does not take the processor from events.
const LINTS: usize = 1;

/// Counters of one web layer. Label sets are bounded: never an id.
#[derive(Debug)]
pub struct Counters {
    /// Answers by status class: index 1 to 5.
    answers: [Counter; 6],
    /// Panics caught.
    pub panics: Counter,
    /// Requests refused because their tenant had too many at once.
    pub crowded: Counter,
    /// Ledger entries written on behalf of API calls.
    pub ledger_entries: Counter,
    in_flight: Gauge,
    tenants: RwLock<HashMap<TenantId, Arc<AtomicUsize>>>,
    /// Who applies a set of rules.
    pub applies: Places,
    /// Who has all saved rules judged.
    pub lints: Places,
    /// Who tries something out.
    pub turns: Turns,
    requests: AtomicU64,
    registry: Registry,
}

impl Default for Counters {
    fn default() -> Self {
        let entries = Counter::default();
        let mut counters = Self::sharing(entries.clone());
        counters.registry.register(
            "notify_ledger_entries",
            "Ledger entries written by this process",
            entries,
        );
        counters
    }
}

impl Counters {
    /// With the counter of ledger entries that another registry of this process shows.
    #[must_use]
    pub fn sharing(ledger_entries: Counter) -> Self {
        let mut registry = Registry::default();
        let family: Family<[(&'static str, &'static str); 1], Counter> = Family::default();
        registry.register("notify_http_answers", "HTTP answers by status class", family.clone());
        let class = |class| family.get_or_create_owned(&[("class", class)]);
        let answers =
            [Counter::default(), class("1xx"), class("2xx"), class("3xx"), class("4xx"), class("5xx")];
        let (panics, crowded, in_flight) = (Counter::default(), Counter::default(), Gauge::default());
        registry.register("notify_http_panics", "Handlers that panicked and were caught", panics.clone());
        registry.register(
            "notify_http_crowded",
            "Requests refused because their tenant had too many at once",
            crowded.clone(),
        );
        registry.register("notify_http_in_flight", "Requests being answered", in_flight.clone());
        Self {
            answers,
            panics,
            crowded,
            ledger_entries,
            in_flight,
            tenants: RwLock::default(),
            applies: Places::new(APPLIES, "another set of rules of this tenant is being applied"),
            lints: Places::new(LINTS, "the rules of this tenant are being judged already"),
            turns: Turns::default(),
            requests: AtomicU64::new(0),
            registry,
        }
    }

    /// A name for one request, unique while the process lives.
    pub fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }

    pub fn answered(&self, status: http::StatusCode) {
        if let Some(counter) = self.answers.get(usize::from(status.as_u16() / 100)) {
            counter.inc();
        }
    }

    /// Counts a request until the guard is dropped.
    #[must_use]
    pub fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// A place among the tenant's requests, until the guard is dropped.
    ///
    /// # Errors
    /// [`Code::RateLimited`] when all of its places are taken.
    pub fn enter_tenant(&self, tenant: &TenantId, limit: usize) -> Result<TenantPlace, Problem> {
        let place = TenantPlace(self.places(tenant));
        if place.0.fetch_add(1, Ordering::Relaxed) < limit {
            return Ok(place);
        }
        self.crowded.inc();
        Err(Problem::new(
            Code::RateLimited,
            "",
            format!("the tenant has {limit} requests under way, as many as it may"),
            "send fewer at once, and this one again after `Retry-After`; batches carry many events in one request",
        ))
    }

    fn places(&self, tenant: &TenantId) -> Arc<AtomicUsize> {
        if let Some(places) = self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(tenant) {
            return Arc::clone(places);
        }
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        // Only tenants of verified tokens get here; those without a request are forgotten once there are many.
        if tenants.len() >= 4_096 {
            tenants.retain(|_, places| Arc::strong_count(places) > 1);
        }
        Arc::clone(tenants.entry(tenant.clone()).or_default())
    }

    #[must_use]
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }
}

/// One request under way.
pub struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// One request of a tenant under way.
pub struct TenantPlace(Arc<AtomicUsize>);

impl Drop for TenantPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Prometheus text format 0.0.4. The library writes OpenMetrics, which names a counter's family without the `_total`
/// that its samples have; the older format, which every scraper and `promtool check metrics` read, wants one name.
#[must_use]
pub fn text(registry: &Registry) -> String {
    let mut open = String::new();
    if encode_registry(&mut open, registry).is_err() {
        tracing::error!("a metric could not be written");
    }
    let mut out = String::with_capacity(open.len() + 256);
    let mut help = None;
    for line in open.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let (total, kind) = match kind {
                "counter" => ("_total", "counter"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            if let Some((_, words)) = help.take().filter(|(named, _)| *named == name) {
                let _ = writeln!(out, "# HELP {name}{total} {words}");
            }
            let _ = writeln!(out, "# TYPE {name}{total} {kind}");
        } else if !line.starts_with("# ") {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_of_the_older_format() {
        let counters = Counters::default();
        counters.answered(http::StatusCode::OK);
        let _one = counters.enter();
        let text = text(counters.registry());
        assert!(
            text.contains(
                "# HELP notify_http_panics_total Handlers that panicked and were caught.\n\
                 # TYPE notify_http_panics_total counter\nnotify_http_panics_total 0\n"
            ),
            "{text}"
        );
        assert!(text.contains("notify_http_answers_total{class=\"2xx\"} 1\n"), "{text}");
        assert!(text.contains("# TYPE notify_http_in_flight gauge\nnotify_http_in_flight 1\n"), "{text}");
        assert!(!text.contains("EOF"), "{text}");
    }

    #[test]
    fn places_are_given_back() {
        let counters = Counters::default();
        let tenant = |name: &str| TenantId::new(name).unwrap();
        let (acme, other) = (tenant("acme"), tenant("other"));
        let first = counters.enter_tenant(&acme, 2).ok();
        let second = counters.enter_tenant(&acme, 2).ok();
        assert!(first.is_some() && second.is_some());
        let refused = counters.enter_tenant(&acme, 2).err().map(|problem| problem.code);
        assert_eq!(refused, Some(Code::RateLimited));
        assert!(counters.enter_tenant(&other, 2).is_ok(), "another tenant has its own places");
        drop(second);
        assert!(counters.enter_tenant(&acme, 2).is_ok(), "a refused request takes no place");
        assert_eq!(counters.crowded.get(), 1);
    }
}
