//! What a silence would have muted: counted over events and the decisions about them, with no I/O.

use notify_core::document::Silence;
use notify_core::ids::{ChannelId, EventKey, RuleId};
use notify_core::pattern::Pattern;
use notify_core::problem::Problem;
use notify_core::time::{Timestamp, rfc3339_millis};
use notify_store::model::DecidedEvent;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Outcomes that are alerts: what reached somebody, or still would. What another control stopped cannot be muted.
pub const ALERTS: [&str; 4] = ["send", "render-failed", "held", "digested"];
/// Rules and events that are named.
const RULES_SHOWN: usize = 50;
const SAMPLES: usize = 5;

/// Which alerts a silence is about, without its time.
#[derive(Debug, Clone)]
pub struct Selector {
    pattern: Option<Pattern>,
    rules: Vec<RuleId>,
    channels: Vec<ChannelId>,
    /// Where the current rules' actions send: decisions that did not send at once do not name the channel.
    actions: BTreeMap<(String, String), ChannelId>,
}

impl Selector {
    /// # Errors
    /// When its pattern does not compile.
    pub fn of(silence: &Silence, actions: BTreeMap<(String, String), ChannelId>) -> Result<Self, Problem> {
        let scope = silence.scope();
        let (rules, channels) = (scope.rules.to_vec(), scope.channels.to_vec());
        Ok(Self { pattern: scope.pattern()?, rules, channels, actions })
    }

    fn is_about(&self, decision: &Decided) -> bool {
        let rule = self.rules.is_empty() || self.rules.iter().any(|rule| rule.as_str() == decision.rule);
        rule && (self.channels.is_empty() || self.goes_to(decision))
    }

    fn goes_to(&self, decision: &Decided) -> bool {
        let named = decision.intent.as_ref().map(|intent| intent.channel.as_str());
        let known = || {
            let action = (decision.rule.clone(), decision.action.clone());
            self.actions.get(&action).map(ChannelId::as_str)
        };
        // Of a rule that has gone nobody knows: rather ask once too often.
        named.or_else(known).is_none_or(|channel| self.channels.iter().any(|one| one.as_str() == channel))
    }
}

#[derive(Debug, Deserialize)]
struct Statement {
    predicate: Predicate,
}

#[derive(Debug, Deserialize)]
struct Predicate {
    #[serde(default)]
    decisions: Vec<Decided>,
    /// Only the first of several counts as an event.
    part: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Decided {
    rule: String,
    action: String,
    outcome: String,
    intent: Option<Intent>,
}

#[derive(Debug, Deserialize)]
struct Intent {
    channel: String,
}

/// The counts so far.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Events that were looked at.
    pub events: u64,
    /// Alerts that they caused.
    pub alerts: u64,
    /// Those that the silence would have muted.
    pub muted: u64,
    /// Entries whose event or payload is kept no longer.
    pub unreadable: u64,
    rules: BTreeMap<String, OfRule>,
    samples: Vec<Sample>,
}

#[derive(Debug, Clone, Default)]
struct OfRule {
    alerts: u64,
    muted: u64,
}

/// One rule's part.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct RuleCount {
    pub rule: String,
    /// Its alerts in the period.
    pub alerts: u64,
    pub muted: u64,
}

/// An event whose alerts would have been muted.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Sample {
    pub event: EventKey,
    pub at: String,
    pub r#type: String,
    pub source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    pub rules: Vec<String>,
}

impl Tally {
    /// Counts one entry. Newest first, so that the samples are the latest.
    pub fn add(&mut self, entry: &DecidedEvent, selector: &Selector, applies: &dyn Fn(Timestamp) -> bool) {
        let statement =
            entry.payload.as_deref().and_then(|text| serde_json::from_str::<Statement>(text).ok());
        let Some(Statement { predicate }) = statement else {
            self.unreadable += 1;
            return;
        };
        if predicate.part.as_deref().is_none_or(|part| part.starts_with("1/")) {
            self.events += 1;
        }
        let is_alert = |decision: &&Decided| ALERTS.contains(&decision.outcome.as_str());
        let mut about = Vec::new();
        for decision in predicate.decisions.iter().filter(is_alert) {
            self.alerts += 1;
            self.rules.entry(decision.rule.clone()).or_default().alerts += 1;
            if selector.is_about(decision) {
                about.push(decision);
            }
        }
        if about.is_empty() || !applies(entry.at) {
            return;
        }
        // Parsed only where the rest fits.
        let body = entry.body.as_deref().and_then(|body| serde_json::from_str::<Value>(body).ok());
        let Some(body) = body else {
            self.unreadable += 1;
            return;
        };
        if selector.pattern.as_ref().is_some_and(|pattern| !pattern.matches(&body)) {
            return;
        }
        self.muted += about.len() as u64;
        for decision in &about {
            self.rules.entry(decision.rule.clone()).or_default().muted += 1;
        }
        self.sample(entry, &body, &about);
    }

    fn sample(&mut self, entry: &DecidedEvent, body: &Value, about: &[&Decided]) {
        let Some(key) = &entry.key else { return };
        if self.samples.len() >= SAMPLES || self.samples.iter().any(|sample| sample.event == *key) {
            return;
        }
        let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let mut rules: Vec<String> = about.iter().map(|decision| decision.rule.clone()).collect();
        rules.dedup();
        rules.truncate(RULES_SHOWN);
        self.samples.push(Sample {
            event: key.clone(),
            at: rfc3339_millis(entry.at),
            r#type: text("type").unwrap_or_default(),
            source: text("source").unwrap_or_default(),
            subject: text("subject"),
            rules,
        });
    }

    /// Rules of which something would have been muted: how many, and those with the most.
    #[must_use]
    pub fn rules(&self) -> (u64, Vec<RuleCount>) {
        let muted = self.rules.iter().filter(|(_, of_rule)| of_rule.muted > 0);
        let mut counts: Vec<_> = muted
            .map(|(rule, OfRule { alerts, muted })| RuleCount {
                rule: rule.clone(),
                alerts: *alerts,
                muted: *muted,
            })
            .collect();
        counts.sort_by(|a, b| b.muted.cmp(&a.muted).then_with(|| a.rule.cmp(&b.rule)));
        let all = counts.len() as u64;
        counts.truncate(RULES_SHOWN);
        (all, counts)
    }

    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }
}
