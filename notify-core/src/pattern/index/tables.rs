//! Alternatives by one test each: the rarest that the rules themselves show.

use super::affixes::Affixes;
use super::alternatives::Tests;
use super::hash::{self, Fixed};
use super::hooks::{Hook, hooks};
use super::leaves::Leaves;
use super::literals::{self, Literals, Wildcards};
use super::members::{Found, Members, Run};
use super::paths::PathId;
use super::ranges::{Interval, Ranges};
use crate::pattern::cidr::{NetKey, address};
use crate::pattern::fold::fold_into;
use crate::pattern::operator::Scalar;
use std::collections::{BTreeMap, HashMap};

/// Fewer wildcards than this are tried one by one: an automaton is not worth its memory.
const WORTH_AN_AUTOMATON: usize = 8;

/// Bytes of an affix or literal that a table holds: enough to tell nearly all apart, and what is found by less is judged
/// in full anyway. Without a bound one long text would stand in many tables.
const MAX_TEXT: usize = 64;

/// Each alternative stands in the table of one path, or is always a candidate.
#[derive(Debug)]
pub(super) struct Tables {
    /// Sorted by path.
    paths: Box<[PathTables]>,
    always: Run,
}

type ByHash = HashMap<u64, Run, Fixed>;

#[derive(Debug)]
struct PathTables {
    path: PathId,
    exact: ByHash,
    prefixes: Option<Box<Affixes>>,
    suffixes: Option<Box<Affixes>>,
    folded: Option<Box<FoldedTables>>,
    ranges: Option<Ranges>,
    nets: Option<Box<Nets>>,
    literals: Option<Box<Literals>>,
    any_text: Run,
    any_value: Run,
}

#[derive(Debug)]
struct FoldedTables {
    exact: ByHash,
    prefixes: Option<Affixes>,
    suffixes: Option<Affixes>,
}

#[derive(Debug)]
struct Nets {
    /// Family and mask of each kind of network in `by_key`.
    kinds: Vec<(bool, u128)>,
    by_key: HashMap<NetKey, Run, Fixed>,
}

/// Buffers of a search.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    folded: String,
    reversed: Vec<u8>,
    literals: literals::Seen,
}

impl Tables {
    pub(super) fn find(&self, leaves: &Leaves, buffers: &mut Buffers, found: &mut Found) {
        found.push(self.always);
        if self.paths.len() <= leaves.present().len() {
            self.paths.iter().for_each(|tables| tables.find(leaves, buffers, found));
            return;
        }
        for path in leaves.present() {
            if let Ok(place) = self.paths.binary_search_by_key(path, |tables| tables.path)
                && let Some(tables) = self.paths.get(place)
            {
                tables.find(leaves, buffers, found);
            }
        }
    }
}

impl PathTables {
    fn find(&self, leaves: &Leaves, buffers: &mut Buffers, found: &mut Found) {
        for (hash, value) in leaves.values(self.path) {
            if !found.step(1) {
                return;
            }
            found.push(self.any_value);
            if let Some(run) = self.exact.get(&hash) {
                found.push(*run);
            }
            match value {
                Scalar::Text(text) => self.find_text(text, buffers, found),
                Scalar::Number(number) => {
                    self.ranges.iter().for_each(|r| r.find(number.nearest(), |run| found.push(run)));
                }
                Scalar::Null | Scalar::Bool(_) => {}
            }
        }
    }

    fn find_text(&self, text: &str, buffers: &mut Buffers, found: &mut Found) {
        found.push(self.any_text);
        self.prefixes.iter().for_each(|table| table.find(text.as_bytes(), |run| found.push(run)));
        if let Some(table) = &self.suffixes {
            reverse(text, &mut buffers.reversed);
            table.find(&buffers.reversed, |run| found.push(run));
        }
        if let Some(nets) = &self.nets
            && let Some((v6, bits)) = address(text)
        {
            for (_, mask) in nets.kinds.iter().filter(|(family, _)| *family == v6) {
                let key = NetKey { v6, mask: *mask, net: bits & mask };
                nets.by_key.get(&key).into_iter().for_each(|run| found.push(*run));
            }
        }
        self.literals.iter().for_each(|literals| literals.find(text, &mut buffers.literals, found));
        if let Some(tables) = &self.folded {
            buffers.folded.clear();
            fold_into(text, &mut buffers.folded);
            let text = &buffers.folded;
            tables.exact.get(&hash::of_text(text)).into_iter().for_each(|run| found.push(*run));
            tables.prefixes.iter().for_each(|table| table.find(text.as_bytes(), |run| found.push(run)));
            if let Some(table) = &tables.suffixes {
                reverse(text, &mut buffers.reversed);
                table.find(&buffers.reversed, |run| found.push(run));
            }
        }
    }
}

fn reverse(text: &str, into: &mut Vec<u8>) {
    into.clear();
    into.extend(text.bytes().rev());
}

/// What is put into the tables of one path.
#[derive(Default)]
struct Draft {
    exact: HashMap<u64, Vec<u32>, Fixed>,
    folded: HashMap<u64, Vec<u32>, Fixed>,
    prefixes: [BTreeMap<Vec<u8>, Vec<u32>>; 2],
    suffixes: [BTreeMap<Vec<u8>, Vec<u32>>; 2],
    ranges: BTreeMap<(u64, u64), (Interval, Vec<u32>)>,
    nets: HashMap<NetKey, Vec<u32>, Fixed>,
    literals: Wildcards,
    any_text: Vec<u32>,
    any_value: Vec<u32>,
}

/// How often the rules use an entry: the measure of how rare it is.
#[derive(Default)]
struct Uses {
    entries: HashMap<(PathId, u8, u64), u32, Fixed>,
    ranges: HashMap<PathId, u32, Fixed>,
}

/// The kinds of entries that are counted.
const EXACT: u8 = 0;
const FOLDED: u8 = 1;
const PREFIX: u8 = 2;
const SUFFIX: u8 = 3;
const NET: u8 = 4;
const LITERAL: u8 = 5;

impl Uses {
    fn count(&mut self, path: PathId, hook: &Hook<'_>) {
        let mut one = |kind, hash| *self.entries.entry((path, kind, hash)).or_default() += 1;
        match hook {
            Hook::Exact(hash) => one(EXACT, *hash),
            Hook::Folded(hash) => one(FOLDED, *hash),
            Hook::Prefix { text, .. } => one(PREFIX, hash::of_text(text)),
            Hook::Suffix { text, .. } => one(SUFFIX, hash::of_text(text)),
            Hook::Net(key) => one(NET, hash_of_net(key)),
            Hook::Wildcard { head, literals } => {
                literals.iter().for_each(|text| one(LITERAL, hash::of_text(text)));
                one(PREFIX, hash::of_text(head));
            }
            Hook::Range(_) => *self.ranges.entry(path).or_default() += 1,
            Hook::AnyText | Hook::AnyValue => {}
        }
    }

    fn of(&self, path: PathId, kind: u8, hash: u64) -> f64 {
        f64::from(self.entries.get(&(path, kind, hash)).copied().unwrap_or(0))
    }

    /// The wildcard's entry: its head as a prefix, or its rarest literal.
    fn wildcard<'t>(&self, path: PathId, head: &'t str, literals: &[&'t str]) -> (bool, &'t str, f64) {
        let literal = literals.iter().map(|text| {
            let weight = self.of(path, LITERAL, hash::of_text(text)) * chance(text);
            (false, *text, 1.0 + weight)
        });
        let prefix = Some(head)
            .filter(|head| !head.is_empty())
            .map(|head| (true, head, self.of(path, PREFIX, hash::of_text(head)) * chance(head) / 2.0));
        let all = literal.chain(prefix);
        all.min_by(|a, b| a.2.total_cmp(&b.2).then(b.1.len().cmp(&a.1.len()))).unwrap_or((true, "", f64::MAX))
    }

    /// How many alternatives an event is likely to meet by this hook.
    fn weight(&self, path: PathId, hook: &Hook<'_>) -> f64 {
        match hook {
            Hook::Exact(hash) => self.of(path, EXACT, *hash),
            Hook::Folded(hash) => self.of(path, FOLDED, *hash),
            Hook::Prefix { text, .. } => self.of(path, PREFIX, hash::of_text(text)) * chance(text),
            Hook::Suffix { text, .. } => self.of(path, SUFFIX, hash::of_text(text)) * chance(text),
            Hook::Net(key) => self.of(path, NET, hash_of_net(key)) + 1.0,
            Hook::Wildcard { head, literals } => self.wildcard(path, head, literals).2,
            Hook::Range(_) => 3.0 + f64::from(self.ranges.get(&path).copied().unwrap_or(0)) / 4.0,
            Hook::AnyText | Hook::AnyValue => 1e6,
        }
    }
}

fn start(text: &str) -> Vec<u8> {
    text.bytes().take(MAX_TEXT).collect()
}

/// Short texts are met by chance.
fn chance(text: &str) -> f64 {
    match text.len() {
        1 => 16.0,
        2 => 4.0,
        _ => 1.0,
    }
}

fn hash_of_net(key: &NetKey) -> u64 {
    use std::hash::BuildHasher;
    Fixed::default().hash_one(key)
}

/// Puts each of `members_of` under the one test that is rarest among them.
pub(super) fn build(members_of: &[u32], tests: &Tests<'_>, members: &mut Members) -> Tables {
    let mut uses = Uses::default();
    for alternative in members_of {
        for (path, test) in tests.of_alternative(*alternative) {
            for hook in hooks(test).unwrap_or_default() {
                uses.count(path, &hook);
            }
        }
    }
    let mut drafts: BTreeMap<PathId, Draft> = BTreeMap::new();
    let mut always = Vec::new();
    for alternative in members_of {
        let options = tests.of_alternative(*alternative).filter_map(|(path, test)| {
            let hooks = hooks(test)?;
            let weight: f64 = hooks.iter().map(|hook| uses.weight(path, hook)).sum();
            Some((weight, path, hooks))
        });
        match options.min_by(|a, b| a.0.total_cmp(&b.0)) {
            None => always.push(*alternative),
            Some((_, path, hooks)) => {
                let draft = drafts.entry(path).or_default();
                hooks.into_iter().for_each(|hook| draft.put(path, hook, *alternative, &uses));
            }
        }
    }
    Tables {
        paths: drafts.into_iter().map(|(path, draft)| draft.finish(path, members)).collect(),
        always: members.add(&always),
    }
}

impl Draft {
    fn put(&mut self, path: PathId, hook: Hook<'_>, alternative: u32, uses: &Uses) {
        let list = match hook {
            Hook::Exact(hash) => self.exact.entry(hash).or_default(),
            Hook::Folded(hash) => self.folded.entry(hash).or_default(),
            Hook::Prefix { text, folded } => {
                let [exact, ignoring] = &mut self.prefixes;
                if folded { ignoring } else { exact }.entry(start(text)).or_default()
            }
            Hook::Suffix { text, folded } => {
                let [exact, ignoring] = &mut self.suffixes;
                if folded { ignoring } else { exact }
                    .entry(text.bytes().rev().take(MAX_TEXT).collect())
                    .or_default()
            }
            Hook::Wildcard { head, literals } => {
                let (is_head, text, _) = uses.wildcard(path, head, &literals);
                if !is_head {
                    let others = literals.iter().filter(|other| **other != text);
                    let weight = |other: &&&str| uses.of(path, LITERAL, hash::of_text(other)) * chance(other);
                    let also =
                        others.min_by(|a, b| weight(a).total_cmp(&weight(b)).then(b.len().cmp(&a.len())));
                    return self.literals.put(start(text), also.map(|also| start(also)), alternative);
                }
                let [prefixes, _] = &mut self.prefixes;
                prefixes.entry(start(text)).or_default()
            }
            Hook::Range(interval) => {
                &mut self.ranges.entry(interval.key()).or_insert_with(|| (interval, Vec::new())).1
            }
            Hook::Net(key) => self.nets.entry(key).or_default(),
            Hook::AnyText => &mut self.any_text,
            Hook::AnyValue => &mut self.any_value,
        };
        // Two ways of one alternative may lead to one entry.
        if list.last() != Some(&alternative) {
            list.push(alternative);
        }
    }

    fn finish(mut self, path: PathId, members: &mut Members) -> PathTables {
        let mut by_hash = |table: HashMap<u64, Vec<u32>, Fixed>| -> ByHash {
            // In a fixed order, so that the same rules give the same lists.
            let sorted: BTreeMap<u64, Vec<u32>> = table.into_iter().collect();
            sorted.into_iter().map(|(hash, of)| (hash, members.add(&of))).collect()
        };
        let (exact, folded_exact) = (by_hash(self.exact), by_hash(self.folded));
        let automaton = if self.literals.len() >= WORTH_AN_AUTOMATON {
            Literals::new(&self.literals, members)
        } else {
            None
        };
        if automaton.is_none() {
            self.any_text.extend(self.literals.alternatives());
        }
        let mut affixes = |table: BTreeMap<Vec<u8>, Vec<u32>>| {
            if table.is_empty() {
                return None;
            }
            let all: Vec<u32> = table.values().flatten().copied().collect();
            let made = Affixes::new(table, members);
            if made.is_none() {
                self.any_text.extend(all);
            }
            made
        };
        let [prefixes, folded_prefixes] = self.prefixes.map(&mut affixes);
        let [suffixes, folded_suffixes] = self.suffixes.map(&mut affixes);
        self.any_text.sort_unstable();
        self.any_text.dedup();
        let folded =
            FoldedTables { exact: folded_exact, prefixes: folded_prefixes, suffixes: folded_suffixes };
        let has_folded = !folded.exact.is_empty() || folded.prefixes.is_some() || folded.suffixes.is_some();
        PathTables {
            path,
            exact,
            prefixes: prefixes.map(Box::new),
            suffixes: suffixes.map(Box::new),
            folded: has_folded.then(|| Box::new(folded)),
            ranges: (!self.ranges.is_empty()).then(|| Ranges::new(self.ranges, members)),
            nets: (!self.nets.is_empty()).then(|| Box::new(Nets::new(self.nets, members))),
            literals: automaton.map(Box::new),
            any_text: members.add(&self.any_text),
            any_value: members.add(&self.any_value),
        }
    }
}

impl Nets {
    fn new(table: HashMap<NetKey, Vec<u32>, Fixed>, members: &mut Members) -> Self {
        let mut kinds: Vec<(bool, u128)> = table.keys().map(|key| (key.v6, key.mask)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let mut sorted: Vec<_> = table.into_iter().collect();
        sorted.sort_unstable_by_key(|(key, _)| (key.v6, key.mask, key.net));
        Self { kinds, by_key: sorted.into_iter().map(|(key, of)| (key, members.add(&of))).collect() }
    }
}
