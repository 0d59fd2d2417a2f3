//! Metrics that are looked up when somebody asks: backlog, broker, plug-ins, the process.

use notify_bus::Counts;
use notify_connector_host::PluginStatus;
use notify_store::model::Backlog;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

/// Labels are written in the code or are names of installed plug-ins.
type Labels = [(&'static str, String); 1];
type Gauges = Family<Labels, Gauge<u64, AtomicU64>>;
type Counters = Family<Labels, Counter>;

/// `intake_elsewhere`: no worker of this process counts the events that were accepted.
pub fn registry(
    backlog: Option<Backlog>,
    bus: Counts,
    intake_elsewhere: bool,
    plugins: &[PluginStatus],
) -> Registry {
    let mut registry = Registry::default();
    if let Some(backlog) = backlog {
        of_the_backlog(&mut registry, backlog);
    }
    of_the_bus(&mut registry, bus, intake_elsewhere);
    of_plugins(&mut registry, plugins);
    let build: Gauges = Family::default();
    build.get_or_create(&[("version", env!("CARGO_PKG_VERSION").to_owned())]).set(1);
    registry.register("notify_build_info", "The running version", build);
    of_the_process(&mut registry);
    registry
}

fn of_the_backlog(registry: &mut Registry, backlog: Backlog) {
    let depth: Gauges = Family::default();
    for (queue, count) in [
        ("events", backlog.pending_events),
        ("deliveries", backlog.scheduled_deliveries),
        ("deliveries-overdue", backlog.overdue_deliveries),
        ("dead-letters", backlog.dead_deliveries),
    ] {
        depth.get_or_create(&[("queue", queue.to_owned())]).set(count);
    }
    let help = "What waits in the store, over all tenants: events without a plan, deliveries with an attempt to come, \
                those of them that are due, and deliveries given up";
    registry.register("notify_backlog_depth", help, depth);
}

fn of_the_bus(registry: &mut Registry, bus: Counts, intake_elsewhere: bool) {
    let mut counter = |name: &str, help: &str, value: u64| {
        registry.register(name, help, ConstCounter::new(value));
    };
    counter("eventbroker_published", "Events that became durable through the broker", bus.published);
    counter("eventbroker_duplicate", "Events that had been published before", bus.duplicates);
    counter("eventbroker_refused", "Events that the broker did not take", bus.refused);
    counter("eventbroker_notices_missed", "Notices that subscribers were too slow for", bus.missed);
    if intake_elsewhere {
        counter("notify_events_accepted", "Events accepted durably", bus.published);
    }
    registry.register("eventbroker_subscribers", "Live subscriptions", ConstGauge::new(bus.subscribers));
}

fn of_plugins(registry: &mut Registry, plugins: &[PluginStatus]) {
    let (crashes, restarts, timeouts) = (Counters::default(), Counters::default(), Counters::default());
    let (in_flight, usable) = (Gauges::default(), Gauges::default());
    for plugin in plugins {
        let labels = [("plugin", plugin.name.clone())];
        crashes.get_or_create(&labels).inc_by(plugin.crashes);
        restarts.get_or_create(&labels).inc_by(plugin.restarts);
        timeouts.get_or_create(&labels).inc_by(plugin.timeouts);
        in_flight.get_or_create(&labels).set(plugin.in_flight as u64);
        let works = !matches!(plugin.state, "refused" | "crash-looping");
        usable.get_or_create(&labels).set(u64::from(works));
    }
    registry.register("notify_plugin_crashes", "Processes of the plug-in that crashed", crashes);
    registry.register("notify_plugin_restarts", "Times its process was started again", restarts);
    registry.register("notify_plugin_timeouts", "Calls that it did not answer in time", timeouts);
    registry.register("notify_plugin_in_flight", "Calls under way", in_flight);
    registry.register("notify_plugin_usable", "1 unless it is refused or keeps crashing", usable);
}

/// The names that every Prometheus client uses. Values that the system does not give are left out.
fn of_the_process(registry: &mut Registry) {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
    let ticks = rustix::param::clock_ticks_per_second().max(1) as f64;
    let stat = read("stat");
    // The command name may hold spaces; fields are counted after its closing bracket, the state being the third of all.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field =
        |number: usize| fields.get(number.saturating_sub(3)).and_then(|text| text.parse::<u64>().ok());
    if let (Some(user), Some(system)) = (field(14), field(15)) {
        let seconds = user.saturating_add(system) as f64 / ticks;
        let help = "User and system CPU time, without that of plug-in processes";
        registry.register("process_cpu_seconds", help, ConstCounter::new(seconds));
    }
    let mut gauge = |name: &str, help: &str, value: Option<u64>| {
        if let Some(value) = value {
            registry.register(name, help, ConstGauge::new(value));
        }
    };
    gauge("process_virtual_memory_bytes", "Virtual memory size", field(23));
    let page = rustix::param::page_size() as u64;
    gauge("process_resident_memory_bytes", "Resident memory size", field(24).map(|pages| pages * page));
    let open = std::fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64);
    // One of them was opened to count them.
    gauge("process_open_fds", "Open file descriptors", open.map(|open| open.saturating_sub(1)));
    let limits = read("limits");
    let most = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let most = most.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    gauge("process_max_fds", "File descriptors that may be open", most);
    let threads = field(20);
    gauge("process_threads", "Operating system threads", threads);
    let boot = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let boot = boot
        .lines()
        .find_map(|line| line.strip_prefix("btime "))
        .and_then(|text| text.trim().parse::<u64>().ok());
    if let (Some(boot), Some(after)) = (boot, field(22)) {
        let started = boot as f64 + after as f64 / ticks;
        let help = "When the process started, in seconds since 1970";
        registry.register("process_start_time_seconds", help, ConstGauge::new(started));
    }
}
