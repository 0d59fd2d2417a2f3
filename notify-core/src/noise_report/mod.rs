//! How noisy each rule is: counted from the ledger's decisions, with a score and a suggestion. `docs/why.md` has the
//! formula.

mod advice;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

pub use advice::Suggestion;

/// What one rule did in the period. Each alert is one decision: one event for one action.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleNoise {
    pub rule: String,
    /// Events that it matched.
    pub matched: u64,
    pub alerts: u64,
    /// Alerts decided to be sent at once, one by one. Whether each arrived is the story of its delivery.
    pub planned: u64,
    /// Alerts not sent, by control.
    pub suppressed: BTreeMap<String, u64>,
    /// Alerts that went into a digest, by control.
    pub digested: BTreeMap<String, u64>,
    /// Alerts that had to wait, by control.
    pub held: BTreeMap<String, u64>,
    /// Of what was held: let go in the end.
    pub held_released: u64,
    /// Of what was held: not sent in the end.
    pub held_cancelled: u64,
    /// Digests that closed as a message.
    pub digests: u64,
    /// Messages that were to go out: `planned`, `heldReleased` and `digests`.
    pub messages: u64,
    /// From 0 to 100; none where there are too few alerts to judge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<Suggestion>,
}

/// All rules together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    pub alerts: u64,
    pub planned: u64,
    pub suppressed: u64,
    pub digested: u64,
    pub held: u64,
    pub messages: u64,
}

/// The noisiest rule first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NoiseReport {
    pub totals: Totals,
    pub rules: Vec<RuleNoise>,
    /// Entries that could not be read.
    pub unreadable: u64,
}

/// Counts, entry by entry.
#[derive(Debug, Default)]
pub struct Tally {
    rules: BTreeMap<String, RuleNoise>,
    unreadable: u64,
}

#[derive(Deserialize)]
struct Statement<'a> {
    #[serde(borrow)]
    predicate: Predicate<'a>,
}

#[derive(Deserialize)]
struct Predicate<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    decisions: Vec<Decision<'a>>,
    #[serde(borrow, default)]
    rule: Cow<'a, str>,
    #[serde(borrow, default)]
    release: Cow<'a, str>,
    #[serde(borrow, default)]
    outcome: Cow<'a, str>,
    #[serde(borrow, default)]
    part: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Decision<'a> {
    #[serde(borrow)]
    rule: Cow<'a, str>,
    #[serde(borrow)]
    outcome: Cow<'a, str>,
    #[serde(borrow)]
    control: Cow<'a, str>,
}

impl Tally {
    /// Counts one statement. Entries of kinds that say nothing about noise count as nothing.
    pub fn add(&mut self, statement: &str) {
        let Ok(Statement { predicate }) = serde_json::from_str(statement) else {
            self.unreadable += 1;
            return;
        };
        match &*predicate.kind {
            "event" => self.event(&predicate),
            "release" if predicate.release == "held" => {
                let rule = self.rule(&predicate.rule);
                match &*predicate.outcome {
                    "send" => rule.held_released += 1,
                    "cancel" => rule.held_cancelled += 1,
                    _ => {}
                }
            }
            // The parts of one entry are one digest.
            "digest" if predicate.part.as_deref().is_none_or(|part| part.starts_with("1/")) => {
                self.rule(&predicate.rule).digests += 1;
            }
            _ => {}
        }
    }

    /// An entry that is there and cannot be read: it is pruned.
    pub const fn unreadable(&mut self) {
        self.unreadable += 1;
    }

    fn rule(&mut self, rule: &str) -> &mut RuleNoise {
        let new = || RuleNoise { rule: rule.to_owned(), ..RuleNoise::default() };
        self.rules.entry(rule.to_owned()).or_insert_with(new)
    }

    fn event(&mut self, predicate: &Predicate<'_>) {
        let mut matched = BTreeSet::new();
        for decision in &predicate.decisions {
            let first = matched.insert(&*decision.rule);
            let rule = self.rule(&decision.rule);
            rule.matched += u64::from(first);
            rule.alerts += 1;
            match &*decision.outcome {
                "suppressed" => *rule.suppressed.entry(decision.control.to_string()).or_default() += 1,
                "digested" => *rule.digested.entry(decision.control.to_string()).or_default() += 1,
                "held" => *rule.held.entry(decision.control.to_string()).or_default() += 1,
                _ => rule.planned += 1,
            }
        }
    }

    /// The report of a period of so many seconds.
    #[must_use]
    pub fn report(self, seconds: u64) -> NoiseReport {
        let mut totals = Totals::default();
        let mut rules: Vec<RuleNoise> = self.rules.into_values().collect();
        for rule in &mut rules {
            rule.messages = rule.planned + rule.held_released + rule.digests;
            rule.score = advice::score(rule, seconds);
            rule.suggestion = advice::suggestion(rule, seconds);
            totals.alerts += rule.alerts;
            totals.planned += rule.planned;
            totals.suppressed += rule.suppressed.values().sum::<u64>();
            totals.digested += rule.digested.values().sum::<u64>();
            totals.held += rule.held.values().sum::<u64>();
            totals.messages += rule.messages;
        }
        rules.sort_by(|a, b| (b.score, b.alerts, &a.rule).cmp(&(a.score, a.alerts, &b.rule)));
        NoiseReport { totals, rules, unreadable: self.unreadable }
    }
}
