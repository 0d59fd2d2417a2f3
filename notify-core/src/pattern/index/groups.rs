//! Equality clauses as one composite key: an event makes one look-up for all rules that ask the same fields.

use super::alternatives::Tests;
use super::hash::{self, Composite, Fixed};
use super::hooks::equalities;
use super::leaves::Leaves;
use super::members::{Found, Members, Run};
use super::paths::PathId;
use super::tables::{self, Buffers, Tables};
use crate::pattern::fold::fold_into;
use crate::pattern::operator::Scalar;
use std::collections::{BTreeMap, HashMap};

/// Keys that the lists of one alternative may be multiplied out to. Longer lists are left to the check.
const MAX_KEYS: usize = 64;
/// Alternatives under one key that are simply tried.
const HOT: usize = 6;

/// Entries in tables of hot keys for each alternative of a group.
const MAX_COPIES: usize = 4;

/// A field of a key; `true` where its texts are folded.
type Part = (PathId, bool);

/// All alternatives whose key is of the same fields.
#[derive(Debug)]
struct Group {
    parts: Box<[Part]>,
    /// By the composite of the values in the order of `parts`.
    keys: HashMap<u64, Run, Fixed>,
    all: Run,
}

#[derive(Debug)]
pub(super) struct Groups {
    groups: Vec<Group>,
    /// By path: the groups whose last part it is. A group is looked at only for events that have that field.
    by_last_part: Vec<(PathId, Vec<u32>)>,
    /// For keys under which many alternatives stand.
    hot: Vec<Tables>,
}

/// Values of the parts of a key in one event.
#[derive(Debug, Default)]
pub(super) struct Hashes {
    all: Vec<u64>,
    part: Vec<u64>,
    ends: Vec<usize>,
    folded: String,
}

impl Groups {
    /// Takes the alternatives that have a key; the others are returned.
    pub(super) fn build(tests: &Tests<'_>, members: &mut Members) -> (Self, Vec<u32>) {
        let mut drafts: BTreeMap<Box<[Part]>, Vec<(u64, u32)>> = BTreeMap::new();
        let mut without = Vec::new();
        for alternative in 0..tests.len() {
            match key_of(tests, alternative) {
                None => without.push(alternative),
                Some((parts, keys)) => {
                    drafts.entry(parts).or_default().extend(keys.into_iter().map(|key| (key, alternative)));
                }
            }
        }
        let mut built = Self { groups: Vec::new(), by_last_part: Vec::new(), hot: Vec::new() };
        let mut by_last_part: BTreeMap<PathId, Vec<u32>> = BTreeMap::new();
        for (parts, entries) in drafts {
            if let (Some((path, _)), Ok(number)) = (parts.last(), u32::try_from(built.groups.len())) {
                by_last_part.entry(*path).or_default().push(number);
            }
            let group = built.group(parts, entries, tests, members);
            built.groups.push(group);
        }
        built.by_last_part = by_last_part.into_iter().collect();
        (built, without)
    }

    fn group(
        &mut self,
        parts: Box<[Part]>,
        mut entries: Vec<(u64, u32)>,
        tests: &Tests<'_>,
        members: &mut Members,
    ) -> Group {
        entries.sort_unstable();
        entries.dedup();
        let different = entries.chunk_by(|a, b| a.0 == b.0).count();
        let mut keys = HashMap::with_capacity_and_hasher(different, Fixed::default());
        // Lists bring the same rules under many keys; they share one table, and tables hold no more than a few entries
        // for each alternative.
        let mut tables: HashMap<Vec<u32>, Run, Fixed> = HashMap::default();
        let mut room = {
            let mut own: Vec<u32> = entries.iter().map(|(_, alternative)| *alternative).collect();
            own.sort_unstable();
            own.dedup();
            MAX_COPIES * own.len()
        };
        for same in entries.chunk_by(|a, b| a.0 == b.0) {
            let of: Vec<u32> = same.iter().map(|(_, alternative)| *alternative).collect();
            let run = match tables.get(&of) {
                Some(known) => *known,
                None if of.len() > HOT && room >= of.len() => {
                    room -= of.len();
                    self.hot.push(tables::build(&of, tests, members));
                    let run = Run::table(self.hot.len() - 1);
                    tables.insert(of, run);
                    run
                }
                None => members.add(&of),
            };
            keys.extend(same.first().map(|(key, _)| (*key, run)));
        }
        let mut all: Vec<u32> = entries.into_iter().map(|(_, alternative)| alternative).collect();
        all.sort_unstable();
        all.dedup();
        Group { parts, keys, all: members.add(&all) }
    }

    pub(super) fn find(
        &self,
        leaves: &Leaves,
        hashes: &mut Hashes,
        buffers: &mut Buffers,
        found: &mut Found,
    ) {
        let mut look = |numbers: &[u32]| {
            for number in numbers {
                if let Some(group) = self.groups.get(*number as usize) {
                    self.find_in(group, leaves, hashes, buffers, found);
                }
            }
        };
        if self.by_last_part.len() <= leaves.present().len() {
            for (path, numbers) in &self.by_last_part {
                if !leaves.is_absent(*path) {
                    look(numbers);
                }
            }
            return;
        }
        for path in leaves.present() {
            if let Ok(place) = self.by_last_part.binary_search_by_key(path, |(path, _)| *path)
                && let Some((_, numbers)) = self.by_last_part.get(place)
            {
                look(numbers);
            }
        }
    }

    fn find_in(
        &self,
        group: &Group,
        leaves: &Leaves,
        hashes: &mut Hashes,
        buffers: &mut Buffers,
        found: &mut Found,
    ) {
        let mut hit = |key: Composite, found: &mut Found| {
            if let Some(run) = group.keys.get(&key.get()) {
                match run.as_table() {
                    None => found.push(*run),
                    Some(number) => {
                        self.hot.get(number).into_iter().for_each(|hot| hot.find(leaves, buffers, found));
                    }
                }
            }
        };
        // The usual case: every field has one value.
        let mut single = Composite::EMPTY;
        let mut several = false;
        for (path, folded) in &group.parts {
            let mut values = leaves.values(*path);
            let Some(value) = values.next() else { return };
            several |= values.next().is_some();
            single = single.and(hashes.of(value, *folded));
        }
        if !several {
            return hit(single, found);
        }
        // Arrays with more combinations than there are keys: all of the group's alternatives are tried.
        if !hashes.collect(group, leaves, found) || hashes.combinations() > group.keys.len() {
            return found.push(group.all);
        }
        hashes.each_combination(0, 0, Composite::EMPTY, &mut |key| {
            if found.step(1) {
                hit(key, found);
            }
        });
    }
}

impl Hashes {
    fn of(&mut self, (hash, value): (u64, Scalar<'_>), folded: bool) -> u64 {
        match value {
            Scalar::Text(text) if folded => {
                self.folded.clear();
                fold_into(text, &mut self.folded);
                hash::of_text(&self.folded)
            }
            _ => hash,
        }
    }

    /// The values of each part, equal neighbours once; `false` when there are clearly more than the group has keys.
    fn collect(&mut self, group: &Group, leaves: &Leaves, found: &mut Found) -> bool {
        self.all.clear();
        self.ends.clear();
        let most = 16 + 4 * group.keys.len();
        for (path, folded) in &group.parts {
            self.part.clear();
            for value in leaves.values(*path) {
                let hash = self.of(value, *folded);
                if self.part.last() != Some(&hash) {
                    self.part.push(hash);
                }
                if self.part.len() > most || !found.step(1) {
                    return false;
                }
            }
            self.part.sort_unstable();
            self.part.dedup();
            self.all.append(&mut self.part);
            self.ends.push(self.all.len());
        }
        true
    }

    fn combinations(&self) -> usize {
        let mut start = 0;
        let sizes = self.ends.iter().map(|end| end - std::mem::replace(&mut start, *end));
        sizes.fold(1, usize::saturating_mul)
    }

    /// Recursion is as deep as a key has parts.
    fn each_combination(&self, part: usize, start: usize, key: Composite, each: &mut impl FnMut(Composite)) {
        let Some(end) = self.ends.get(part) else { return each(key) };
        for hash in self.all.get(start..*end).unwrap_or_default() {
            self.each_combination(part + 1, *end, key.and(*hash), each);
        }
    }
}

/// The fields of the alternative's key and its keys, or `None` without an equality clause.
fn key_of(tests: &Tests<'_>, alternative: u32) -> Option<(Box<[Part]>, Vec<u64>)> {
    let mut lists: Vec<(Part, Vec<u64>)> = Vec::new();
    for (path, test) in tests.of_alternative(alternative) {
        if let Some((hashes, folded)) = equalities(test) {
            // `$or` can ask one field twice; one of the tests is enough to find it.
            match lists.iter_mut().find(|((known, _), _)| *known == path) {
                Some((_, known)) if known.len() <= hashes.len() => {}
                Some(longer) => *longer = ((path, folded), hashes),
                None => lists.push(((path, folded), hashes)),
            }
        }
    }
    lists.sort_by_key(|(part, hashes)| (hashes.len(), *part));
    let mut product = 1_usize;
    let fits = lists.iter().enumerate().take_while(|(place, (_, hashes))| {
        product = product.saturating_mul(hashes.len());
        // The shortest list is always taken.
        *place == 0 || product <= MAX_KEYS
    });
    let taken = fits.count();
    lists.truncate(taken);
    lists.sort_by_key(|(part, _)| *part);
    if lists.is_empty() {
        return None;
    }
    let mut keys = Vec::with_capacity(product_of(&lists));
    keys.push(Composite::EMPTY);
    for (_, hashes) in &lists {
        // Each key so far with each hash of this list, in place.
        let before = keys.len();
        for (i, hash) in hashes.iter().enumerate().rev() {
            for place in 0..before {
                let key = keys.get(place).copied().unwrap_or(Composite::EMPTY);
                match i {
                    0 => keys.get_mut(place).into_iter().for_each(|slot| *slot = key.and(*hash)),
                    _ => keys.push(key.and(*hash)),
                }
            }
        }
    }
    let parts = lists.into_iter().map(|(part, _)| part).collect();
    Some((parts, keys.into_iter().map(Composite::get).collect()))
}

fn product_of(lists: &[(Part, Vec<u64>)]) -> usize {
    lists.iter().map(|(_, hashes)| hashes.len()).fold(1, usize::saturating_mul)
}
