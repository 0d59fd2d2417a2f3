//! The rule sets of `reference/matching.md`, section 2, and events of about 600 bytes of which half are made to hit.

use crate::random::Random;
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Set {
    /// type (of 400) + data.region (20) + data.customer (5,000), all equality.
    Exact3,
    /// Six kinds in equal parts, see `mixed_rule`.
    Mixed,
    /// Two literals between stars on one field; nothing else to find them by.
    Wildcard,
    /// As `wildcard`, of words that many rules share and every event is full of: an event has to try dozens.
    Regexlike,
    /// Five numeric rules over an array of ten objects.
    Arrays,
}

impl Set {
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact3 => "exact3",
            Self::Mixed => "mixed",
            Self::Wildcard => "wildcard",
            Self::Regexlike => "regexlike",
            Self::Arrays => "arrays",
        }
    }

    /// The pattern of rule `i`.
    pub fn rule(self, i: usize) -> Value {
        // Each rule has its own numbers, so that the same rule stands in every set size.
        let mut random = Random::new(i as u64 * 2 + 1);
        let of = Facts::draw(&mut random);
        match self {
            Self::Exact3 => {
                json!({ "type": [of.kind()], "data": { "region": [of.region()], "customer": [of.customer()] } })
            }
            Self::Mixed => mixed_rule(i, &of, &mut random),
            Self::Wildcard => json!({ "data": { "message": [{ "wildcard": format!("*error*k{i:x}q*") }] } }),
            Self::Regexlike => {
                let (a, b) = (word(random.below(WORDS)), word(random.below(WORDS)));
                json!({ "data": { "message": [{ "wildcard": format!("*{a}*{b}*") }] } })
            }
            Self::Arrays => {
                json!({ "data": { "points": { "x": [{ "numeric": [">", 900 + i, "<", 1000] }], "y": [{ "numeric": ["<", 100] }] } } })
            }
        }
    }

    /// An event that meets rule `i` (of `exact3` and of most kinds of `mixed`).
    pub fn event(self, i: usize, random: &mut Random, hits: bool) -> String {
        let mut own = Random::new(i as u64 * 2 + 1);
        let of = if hits { Facts::draw(&mut own) } else { Facts::draw(random) };
        let message = match self {
            Self::Wildcard => {
                format!("job {} error: key k{i:x}q of table {} is gone", random.below(1000), random.below(99))
            }
            Self::Regexlike => (0..12).map(|_| word(random.below(WORDS))).collect::<Vec<_>>().join(" "),
            _ => "the job ended before its time; its log says more about the reasons for that".to_owned(),
        };
        let points = match self {
            Self::Arrays => {
                let point = |_| json!({ "x": random.below(1000), "y": random.below(1000) });
                (0..10).map(point).collect::<Vec<_>>().into()
            }
            _ => json!("none"),
        };
        json!({
            "specversion": "1.0", "id": format!("{:016x}-{:016x}", random.next(), random.next()),
            "source": "https://platform.example/clusters/eu-1/namespaces/shop", "type": of.kind(),
            "subject": "ghcr.io/acme/shop", "time": "2026-11-22T10:11:12.345Z",
            "datacontenttype": "application/json", "severity": of.severity(),
            "data": {
                "region": of.region(), "customer": of.customer(), "status": of.status(),
                "path": format!("{}logs/today.log", of.path()), "amount": of.amount, "active": of.active,
                "points": points, "host": format!("node-{}.eu-1.example", random.below(500)), "attempt": 3,
                "message": message, "runbook": "https://wiki.example/runbooks/jobs/ended-early"
            }
        })
        .to_string()
    }
}

const WORDS: u64 = 1_000;

/// Pronounceable, each different from all others.
fn word(n: u64) -> String {
    const SYLLABLES: [&str; 10] = ["ba", "de", "fi", "go", "lu", "ma", "ne", "pi", "ro", "su"];
    let syllable = |place: u64| SYLLABLES[(n / place % 10) as usize];
    format!("{}{}{}", syllable(100), syllable(10), syllable(1))
}

struct Facts {
    kind: u64,
    region: u64,
    customer: u64,
    folder: u64,
    amount: u64,
    status: u64,
    severity: u64,
    active: bool,
}

impl Facts {
    fn draw(random: &mut Random) -> Self {
        Self {
            kind: random.below(400),
            region: random.below(20),
            customer: random.below(5_000),
            folder: random.below(2_000),
            amount: random.below(100_000),
            status: random.below(5),
            severity: random.below(4),
            active: random.below(2) == 1,
        }
    }

    fn kind(&self) -> String {
        format!("com.example.type{}", self.kind)
    }

    fn region(&self) -> String {
        format!("region-{}", self.region)
    }

    fn customer(&self) -> String {
        format!("customer-{}", self.customer)
    }

    fn path(&self) -> String {
        format!("/srv/app{}/", self.folder)
    }

    fn status(&self) -> String {
        format!("status{}", self.status)
    }

    fn severity(&self) -> &'static str {
        ["low", "medium", "high", "critical"][self.severity as usize]
    }
}

fn mixed_rule(i: usize, of: &Facts, random: &mut Random) -> Value {
    let kind = json!([of.kind()]);
    match i % 6 {
        0 => json!({ "type": kind, "data": { "path": [{ "prefix": of.path() }] } }),
        1 => {
            let (low, high) = (of.amount.saturating_sub(500), of.amount + 500);
            json!({ "type": kind, "data": { "amount": [{ "numeric": [">=", low, "<", high] }] } })
        }
        2 => {
            json!({ "type": kind, "data": { "customer": [of.customer()], "status": [{ "anything-but": "status9" }] } })
        }
        3 => json!({ "type": kind, "data": { "path": [{ "wildcard": format!("{}*.log", of.path()) }] } }),
        4 => {
            let kinds: Vec<String> =
                (0..3).map(|n| format!("com.example.type{}", (of.kind + n) % 400)).collect();
            let regions: Vec<String> = (0..2).map(|n| format!("region-{}", (of.region + n) % 20)).collect();
            let mut customers: Vec<String> =
                (0..4).map(|_| format!("customer-{}", random.below(5_000))).collect();
            customers.push(of.customer());
            json!({ "type": kinds, "data": { "region": regions, "customer": customers } })
        }
        _ => json!({
            "type": kind, "severity": [of.severity()],
            "data": { "active": [of.active], "customer": [of.customer()] }
        }),
    }
}
