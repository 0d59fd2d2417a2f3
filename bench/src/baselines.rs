//! What the index is compared with: the plain evaluator over all rules, and the `quamina` crate.

use crate::sets::Set;
use anyhow::{Context, anyhow};
use notify_core::json::{self, Limits};
use notify_core::pattern::{Pattern, RuleSet, Scratch};
use quamina::Quamina;

/// One way of matching: text in, number of matching rules out.
pub trait Matcher {
    fn count(&mut self, event: &[u8]) -> anyhow::Result<usize>;
}

/// As the product does it today: the event was parsed strictly at intake, and its rules are found in the value.
pub struct Parsed(pub RuleSet<usize>);

impl Matcher for Parsed {
    fn count(&mut self, event: &[u8]) -> anyhow::Result<usize> {
        let event = json::parse(event, Limits::default())?;
        Ok(self.0.matching(&event).len())
    }
}

pub struct Indexed {
    pub rules: RuleSet<usize>,
    scratch: Scratch,
}

impl Indexed {
    pub fn new(rules: RuleSet<usize>) -> Self {
        Self { rules, scratch: Scratch::default() }
    }
}

impl Indexed {
    /// The rules that match, by number.
    pub fn rules_of(&mut self, event: &[u8]) -> anyhow::Result<Vec<usize>> {
        let mut keys = Vec::new();
        self.rules.matching_text(&mut self.scratch, std::str::from_utf8(event)?, &mut keys)?;
        Ok(keys.into_iter().copied().collect())
    }
}

impl Matcher for Indexed {
    fn count(&mut self, event: &[u8]) -> anyhow::Result<usize> {
        let mut keys = Vec::new();
        self.rules.matching_text(&mut self.scratch, std::str::from_utf8(event)?, &mut keys)?;
        Ok(keys.len())
    }
}

/// Every pattern in turn, after the whole event has been parsed.
pub struct Plain(Vec<Pattern>);

impl Plain {
    pub fn new(set: Set, rules: usize) -> anyhow::Result<Self> {
        let all: Result<_, _> = (0..rules).map(|i| Pattern::compile(&set.rule(i))).collect();
        Ok(Self(all.map_err(|problem| anyhow!("{problem}"))?))
    }
}

impl Plain {
    pub fn rules_of(&self, event: &[u8]) -> anyhow::Result<Vec<usize>> {
        let event = json::parse(event, Limits::default())?;
        let numbered = self.0.iter().enumerate();
        Ok(numbered.filter(|(_, pattern)| pattern.matches(&event)).map(|(i, _)| i).collect())
    }
}

impl Matcher for Plain {
    fn count(&mut self, event: &[u8]) -> anyhow::Result<usize> {
        let event = json::parse(event, Limits::default())?;
        Ok(self.0.iter().filter(|pattern| pattern.matches(&event)).count())
    }
}

pub struct Peer(Quamina<usize>);

impl Peer {
    pub fn new(set: Set, rules: usize) -> anyhow::Result<Self> {
        let mut all = Quamina::new();
        for i in 0..rules {
            all.add_pattern(i, &set.rule(i).to_string()).map_err(|error| anyhow!("quamina: {error}"))?;
        }
        Ok(Self(all))
    }
}

impl Matcher for Peer {
    fn count(&mut self, event: &[u8]) -> anyhow::Result<usize> {
        let found = self.0.matches_for_event(event).map_err(|error| anyhow!("{error}"));
        Ok(found.context("quamina")?.len())
    }
}
