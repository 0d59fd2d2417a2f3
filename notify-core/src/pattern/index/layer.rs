//! One built index, and the few rules that are not in one yet.

use super::alternatives::{Alternatives, Sharing, Tests};
use super::groups::{Groups, Hashes};
use super::leaves::Leaves;
use super::members::{Found, Members};
use super::paths::Paths;
use super::scan::{NotJson, scan};
use super::tables::{self, Buffers, Tables};
use crate::pattern::Pattern;
use serde_json::Value;
use std::sync::Arc;

/// Buffers of one thread that matches: with them matching does not allocate.
#[derive(Debug, Default)]
pub struct Scratch {
    leaves: Leaves,
    search: Search,
}

#[derive(Debug, Default)]
struct Search {
    hashes: Hashes,
    buffers: Buffers,
    found: Found,
    candidates: Vec<u32>,
}

impl Scratch {
    /// Takes what the rules ask about from a parsed event.
    pub(in crate::pattern) fn read(&mut self, paths: &Paths, event: &Value) {
        self.leaves.read(paths, event);
    }

    /// Takes what the rules ask about from an event's text.
    pub(in crate::pattern) fn scan(&mut self, paths: &Paths, text: &str) -> Result<(), NotJson> {
        scan(text, paths, &mut self.leaves)
    }
}

/// Rules in the order of their keys with the index over them.
#[derive(Debug)]
pub(in crate::pattern) struct Layer<K> {
    pub(in crate::pattern) rules: Box<[(K, Pattern)]>,
    alternatives: Alternatives,
    groups: Groups,
    /// The alternatives without an equality clause.
    tables: Tables,
    members: Members,
}

impl<K: Ord> Layer<K> {
    /// Of equal keys the last wins. New paths are added to the trie. Each pattern is taken over as it comes, so that the
    /// set never stands in memory twice.
    pub(in crate::pattern) fn build(
        rules: impl IntoIterator<Item = (K, Pattern)>,
        paths: &mut Arc<Paths>,
    ) -> Self {
        let mut sharing = Sharing::new(paths);
        let mut rules: Vec<(K, Pattern)> =
            rules.into_iter().map(|(key, pattern)| (key, sharing.share(&pattern))).collect();
        // Stable, so that the last of equal keys stays the last.
        rules.sort_by(|(a, _), (b, _)| a.cmp(b));
        rules.reverse();
        rules.dedup_by(|(a, _), (b, _)| a == b);
        rules.reverse();
        Self::of_shared(rules, paths)
    }

    /// The same for patterns that share their parts already, in the order of their keys, each once; the trie knows
    /// their paths.
    pub(in crate::pattern) fn of_shared(rules: Vec<(K, Pattern)>, paths: &Paths) -> Self {
        let rules = rules.into_boxed_slice();
        let alternatives = Alternatives::of(rules.iter().map(|(_, pattern)| pattern), paths);
        let tests = Tests::of(rules.iter().map(|(_, pattern)| pattern), paths);
        let mut members = Members::default();
        let (groups, without_key) = Groups::build(&tests, &mut members);
        let tables = tables::build(&without_key, &tests, &mut members);
        drop(tests);
        members.shrink();
        Self { rules, alternatives, groups, tables, members }
    }

    /// Calls `found` with the place of every rule that matches, in ascending order.
    pub(in crate::pattern) fn find<'e>(
        &self,
        paths: &Paths,
        scratch: &mut Scratch,
        event: &impl Fn() -> Option<&'e Value>,
        mut found: impl FnMut(usize),
    ) {
        let Scratch { leaves, search } = scratch;
        search.found.begin(self.alternatives.len() as usize, leaves.len());
        self.groups.find(leaves, &mut search.hashes, &mut search.buffers, &mut search.found);
        self.tables.find(leaves, &mut search.buffers, &mut search.found);
        let all = self.alternatives.len();
        search.found.alternatives(&self.members, all, &mut search.candidates);
        let mut last = None;
        for candidate in &search.candidates {
            let Some(alternative) = self.alternatives.get(*candidate) else { continue };
            // One alternative of a rule is enough.
            if last == Some(alternative.rule) {
                continue;
            }
            let place = alternative.rule as usize;
            let pattern = if leaves.has_arrays() { self.rules.get(place).map(|(_, p)| p) } else { None };
            if self.alternatives.holds(alternative, pattern, paths, leaves, event) {
                last = Some(alternative.rule);
                found(place);
            }
        }
    }
}

/// A rule that is in no index yet and is tried for every event.
#[derive(Debug)]
pub(in crate::pattern) struct Loose<K> {
    pub(in crate::pattern) key: K,
    pub(in crate::pattern) pattern: Pattern,
    alternatives: Alternatives,
}

impl<K> Loose<K> {
    /// The trie must know the pattern's paths.
    pub(in crate::pattern) fn new(key: K, pattern: Pattern, paths: &Paths) -> Self {
        let alternatives = Alternatives::of(std::iter::once(&pattern), paths);
        Self { key, pattern, alternatives }
    }

    pub(in crate::pattern) fn matches<'e>(
        &self,
        paths: &Paths,
        scratch: &Scratch,
        event: &impl Fn() -> Option<&'e Value>,
    ) -> bool {
        (0..self.alternatives.len()).filter_map(|place| self.alternatives.get(place)).any(|alternative| {
            self.alternatives.holds(alternative, Some(&self.pattern), paths, &scratch.leaves, event)
        })
    }
}
