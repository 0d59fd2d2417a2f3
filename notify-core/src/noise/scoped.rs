//! Many documents with patterns, rules, channels and times behind one look-up: what silences and overrides are made of.
//!
//! A pattern is matched once for each event, also when many documents share it. Those that are over cost a binary
//! search and no more, so that nobody has to clean up.

use crate::document::scope::Scope;
use crate::ids::{ChannelId, RuleId};
use crate::pattern::{Pattern, RuleSet};
use crate::problem::Problem;
use crate::time::Timestamp;
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// One document.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub from: Option<Timestamp>,
    /// Exclusive; `None`: for good.
    pub until: Option<Timestamp>,
    channels: Vec<ChannelId>,
    pub value: T,
}

/// Numbers of entries in the order in which they end, those that never do last; of equal ones the first stands last.
type Timeline = Vec<u32>;

/// Documents with the same pattern.
#[derive(Debug, Default)]
struct Group {
    of_any_rule: Timeline,
    by_rule: BTreeMap<RuleId, Timeline>,
}

#[derive(Debug)]
pub(super) struct Scoped<T> {
    entries: Vec<Entry<T>>,
    groups: Vec<Group>,
    /// Documents without a pattern.
    without_pattern: Option<Group>,
    patterns: RuleSet<u32>,
}

impl<T> Default for Scoped<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), groups: Vec::new(), without_pattern: None, patterns: RuleSet::new([]) }
    }
}

/// Collects documents; of those that are equally good answers the first added wins.
pub(super) struct Builder<T> {
    scoped: Scoped<T>,
    by_pattern: BTreeMap<String, (u32, Pattern)>,
}

impl<T> Default for Builder<T> {
    fn default() -> Self {
        Self { scoped: Scoped::default(), by_pattern: BTreeMap::new() }
    }
}

impl<T> Builder<T> {
    /// # Errors
    /// When the pattern does not compile; nothing is added then.
    pub fn add(&mut self, scope: &Scope, value: T) -> Result<(), Problem> {
        let Scoped { entries, groups, without_pattern, .. } = &mut self.scoped;
        let group = match scope.pattern {
            None => without_pattern.get_or_insert_default(),
            Some(pattern) => {
                let text = pattern.to_string();
                let place = if let Some((place, _)) = self.by_pattern.get(&text) {
                    *place
                } else if let Some(pattern) = scope.pattern()? {
                    let place = number(groups.len());
                    groups.push(Group::default());
                    self.by_pattern.insert(text, (place, pattern));
                    place
                } else {
                    return Ok(());
                };
                let Some(group) = groups.get_mut(place as usize) else { return Ok(()) };
                group
            }
        };
        let entry = number(entries.len());
        if scope.rules.is_empty() {
            group.of_any_rule.push(entry);
        }
        for rule in scope.rules {
            group.by_rule.entry(rule.clone()).or_default().push(entry);
        }
        entries.push(Entry {
            from: scope.from,
            until: scope.until,
            channels: scope.channels.to_vec(),
            value,
        });
        Ok(())
    }

    pub fn build(self) -> Scoped<T> {
        let Self { mut scoped, by_pattern } = self;
        scoped.patterns = RuleSet::new(by_pattern.into_values());
        let Scoped { entries, groups, without_pattern, .. } = &mut scoped;
        for group in groups.iter_mut().chain(without_pattern) {
            for timeline in std::iter::once(&mut group.of_any_rule).chain(group.by_rule.values_mut()) {
                timeline.sort_unstable_by_key(|entry| {
                    let until = entries.get(*entry as usize).and_then(|entry| entry.until);
                    (until.is_none(), until, Reverse(*entry))
                });
            }
        }
        scoped
    }
}

/// A tenant's documents are bounded far below.
fn number(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

impl<T> Scoped<T> {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Those whose patterns match, at whatever time.
    pub fn of_event(&self, event: &Value) -> Matched<'_, T> {
        let mut groups: Vec<&Group> = self.without_pattern.iter().collect();
        if !self.patterns.is_empty() {
            let matching = self.patterns.matching(event);
            groups.extend(matching.into_iter().filter_map(|place| self.groups.get(*place as usize)));
        }
        Matched { entries: &self.entries, groups }
    }
}

/// What is about one event.
#[derive(Debug)]
pub(super) struct Matched<'s, T> {
    entries: &'s [Entry<T>],
    groups: Vec<&'s Group>,
}

impl<T> Clone for Matched<'_, T> {
    fn clone(&self) -> Self {
        Self { entries: self.entries, groups: self.groups.clone() }
    }
}

impl<'s, T> Matched<'s, T> {
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// About this alert at this time: `from` ≤ `at` < `until`. In no order.
    pub fn live(
        &self,
        rule: &RuleId,
        channel: &ChannelId,
        at: Timestamp,
    ) -> impl Iterator<Item = (u32, &'s Entry<T>)> {
        self.timelines(rule).flat_map(move |timeline| self.live_in(timeline, channel, at))
    }

    /// Of those the one that ends last, if it is as wanted.
    pub fn longest(
        &self,
        rule: &RuleId,
        channel: &ChannelId,
        at: Timestamp,
        wanted: impl Fn(&T) -> bool,
    ) -> Option<&'s Entry<T>> {
        let of_each = self.timelines(rule).filter_map(|timeline| {
            self.live_in(timeline, channel, at).find(|(_, entry)| wanted(&entry.value))
        });
        let ends = |entry: &Entry<T>| (entry.until.is_none(), entry.until);
        of_each.max_by_key(|(place, entry)| (ends(entry), Reverse(*place))).map(|(_, entry)| entry)
    }

    fn timelines(&self, rule: &RuleId) -> impl Iterator<Item = &'s Timeline> {
        self.groups
            .iter()
            .flat_map(move |group| std::iter::once(&group.of_any_rule).chain(group.by_rule.get(rule)))
    }

    /// The one that ends last first.
    fn live_in(
        &self,
        timeline: &'s Timeline,
        channel: &ChannelId,
        at: Timestamp,
    ) -> impl Iterator<Item = (u32, &'s Entry<T>)> {
        let entries = self.entries;
        let entry = move |place: u32| Some((place, entries.get(place as usize)?));
        let over = timeline.partition_point(|place| {
            entry(*place).is_some_and(|(_, entry)| entry.until.is_some_and(|until| until <= at))
        });
        let rest = timeline.get(over..).unwrap_or_default().iter().rev();
        rest.filter_map(move |place| entry(*place)).filter(move |(_, entry)| {
            entry.from.is_none_or(|from| from <= at)
                && (entry.channels.is_empty() || entry.channels.contains(channel))
        })
    }
}
