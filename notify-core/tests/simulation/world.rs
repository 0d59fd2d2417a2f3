//! What the simulated tenant has: rules with every control, and a month of events.

use jiff::{SignedDuration, Timestamp};
use notify_core::document::{
    Version, parse_calendar, parse_channel, parse_contact, parse_inhibition, parse_override, parse_policy,
    parse_rule, parse_silence,
};
use notify_core::event::{Event, EventLimits};
use notify_core::ids::TenantId;
use notify_core::noise::config::NoiseDocuments;
use notify_core::plan::{Documents, Snapshot};
use serde_json::{Value, json};

pub fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

/// A sequence of numbers that only its seed decides (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

fn rules() -> Vec<Value> {
    vec![
        json!({"id": "dedupe", "match": {"type": ["scan"]}, "actions": [
            {"id": "a", "channel": "ops", "dedupe": {"key": ["/subject"], "window": "6h"}, "throttle": "off"}]}),
        json!({"id": "throttled", "match": {"type": ["scan", "report"]}, "actions": [
            {"id": "digest", "channel": "ops", "dedupe": "off", "quietHours": "bypass",
             "throttle": {"key": ["/subject"], "limit": 3, "per": "1h"}},
            {"id": "drop", "channel": "team", "dedupe": "off",
             "throttle": {"limit": 5, "per": "30m", "overflow": "drop"}}]}),
        json!({"id": "digests", "match": {"type": ["report"]}, "storm": "off", "actions": [
            {"id": "tumbling", "channel": "ops", "dedupe": "off", "throttle": "off",
             "digest": {"key": ["/subject"], "window": "15m", "max": 7}},
            {"id": "sliding", "channel": "team", "dedupe": "off", "throttle": "off",
             "digest": {"mode": "sliding", "window": "10m", "cap": "1h", "leading": true}},
            {"id": "look-back", "channel": "ann", "dedupe": "off", "throttle": "off",
             "digest": {"mode": "look-back", "window": "20m", "lookBack": "40m"}},
            {"id": "morning", "channel": "ann", "dedupe": "off", "throttle": "off",
             "digest": {"mode": "schedule", "schedule": "mornings", "empty": "send", "keep": "severest", "retain": 3}}]}),
        json!({"id": "services", "match": {"type": ["service.down"]}, "actions": [
            {"id": "a", "channel": "ops", "dedupe": {"key": ["/subject"], "window": "10m"}}]}),
        // As an author writes it who says nothing.
        json!({"id": "plain", "match": {"type": ["scan", "host.down"]}, "actions": [{"id": "a", "channel": "ann"}]}),
    ]
}

fn channels() -> Vec<Value> {
    let hours = |calendar: &str, mode: &str| json!({"calendar": calendar, "mode": mode, "bypass": {"severity": "critical"}});
    vec![
        json!({"id": "ops", "quietHours": [hours("nights", "hold")], "maintenance": [{"calendar": "patch-days"}]}),
        json!({"id": "team", "quietHours": [hours("nights", "digest")], "budget": {"limit": 40, "per": "6h"}}),
        json!({"id": "ann", "contact": "ann"}),
    ]
}

/// Parsed, in its first version.
macro_rules! documents {
    ($parse:ident, $schema:literal, $list:expr) => {
        $list
            .into_iter()
            .map(|mut document: Value| {
                document["schema"] = $schema.into();
                if document.get("name").is_none()
                    && !["notify-silence@1", "notify-override@1"].contains(&$schema)
                {
                    document["name"] = document["id"].clone();
                }
                let (document, _, digest) = $parse(&document).unwrap_or_else(|e| panic!("{e}"));
                Version { version: 1, digest, document }
            })
            .collect()
    };
}

/// All documents of a tenant, as their authors write them.
#[derive(Debug, Clone, Default)]
pub struct Tenant {
    pub rules: Vec<Value>,
    pub channels: Vec<Value>,
    pub calendars: Vec<Value>,
    pub contacts: Vec<Value>,
    pub silences: Vec<Value>,
    pub inhibitions: Vec<Value>,
    pub overrides: Vec<Value>,
    pub policies: Vec<Value>,
}

impl Tenant {
    pub fn snapshot(&self) -> Snapshot {
        let webhook = |mut channel: Value| {
            channel["type"] = "webhook".into();
            channel["config"] =
                json!({"url": format!("https://{}.example/hook", channel["id"].as_str().unwrap())});
            channel
        };
        let Self { rules, channels, calendars, contacts, silences, inhibitions, overrides, policies } =
            self.clone();
        let noise = NoiseDocuments {
            calendars: documents!(parse_calendar, "notify-calendar@1", calendars),
            contacts: documents!(parse_contact, "notify-contact@1", contacts),
            silences: documents!(parse_silence, "notify-silence@1", silences),
            inhibitions: documents!(parse_inhibition, "notify-inhibition@1", inhibitions),
            overrides: documents!(parse_override, "notify-override@1", overrides),
            policies: documents!(parse_policy, "notify-policy@1", policies),
        };
        let documents = Documents {
            rules: documents!(parse_rule, "notify-rule@1", rules),
            channels: documents!(parse_channel, "notify-channel@1", channels.into_iter().map(webhook)),
            noise,
            ..Documents::default()
        };
        let (snapshot, broken) = Snapshot::compile(tenant(), 1, "en", documents);
        assert_eq!(broken, []);
        snapshot
    }
}

/// The documents of the tenant; `start` is where the month begins.
pub fn snapshot(start: Timestamp) -> Snapshot {
    let after = |hours: i64| (start + SignedDuration::from_hours(hours)).to_string();
    let tenant = Tenant {
        rules: rules(),
        channels: channels(),
        calendars: vec![
            json!({"id": "nights", "timeZone": "Europe/Berlin",
                "windows": [{"times": ["22:00-06:00"]}, {"days": ["sat-sun"]}]}),
            json!({"id": "mornings", "timeZone": "Europe/Vienna", "windows": [{"times": ["08:00-09:00"]}]}),
            json!({"id": "patch-days", "timeZone": "UTC", "windows": [{"days": ["tue"], "times": ["12:00-14:00"]}]}),
            json!({"id": "siesta", "timeZone": "contact", "windows": [{"times": ["13:00-15:00"]}]}),
        ],
        contacts: vec![json!({
            "id": "ann", "type": "person", "timeZone": "America/New_York", "locale": "de",
            "quietHours": [{"calendar": "siesta", "mode": "hold", "holdUpTo": 2}], "budget": {"limit": 20, "per": "1h"},
        })],
        silences: vec![
            json!({"id": "once", "reason": "a move", "match": {"subject": ["s3"]}, "from": after(30), "until": after(60)}),
            json!({"id": "again", "reason": "patches", "rules": ["plain"], "calendar": "patch-days"}),
        ],
        inhibitions: vec![json!({
            "id": "host", "source": {"match": {"type": ["host.down"]}, "resolve": {"type": ["host.up"]}},
            "target": {"match": {"type": ["service.down"]}}, "equal": ["/subject"], "for": "45m",
        })],
        overrides: vec![json!({
            "id": "release", "reason": "watched", "controls": ["quiet-hours", "throttle"],
            "match": {"subject": ["s1"]}, "from": after(100), "until": after(140),
        })],
        policies: vec![json!({
            "id": "noise", "storm": {"alerts": 60, "per": "1m", "ends": 20, "digestEvery": "5m"},
        })],
    };
    tenant.snapshot()
}

/// The times and events of a month: days of a steady flow with bursts, so that storms, windows and limits all occur.
pub fn events(
    seed: u64,
    count: usize,
    start: Timestamp,
    days: i64,
) -> impl Iterator<Item = (Timestamp, Event)> {
    let mut random = Random(seed);
    let mean = (days * 86_400_000) as u64 / count as u64;
    let mut at = start;
    let mut burst = 0;
    (0..count).map(move |number| {
        burst = if burst > 0 {
            burst - 1
        } else if random.below(150) == 0 {
            120
        } else {
            0
        };
        let step = if burst > 0 { random.below(400) } else { random.below(2 * mean + 1) };
        at += SignedDuration::from_millis(i64::try_from(step).unwrap());
        let types = ["scan", "scan", "report", "report", "service.down", "host.down", "host.up"];
        let severities = ["low", "medium", "high", "critical"];
        let value = json!({
            "specversion": "1.0", "id": number.to_string(), "source": "/simulation",
            "type": types[random.below(7) as usize], "subject": format!("s{}", random.below(6)),
            "severity": severities[random.below(4) as usize], "data": {"n": random.below(3)},
        });
        (at, Event::from_value(&tenant(), value, &EventLimits::default()).unwrap())
    })
}
