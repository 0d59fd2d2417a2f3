//! Equality clauses as one composite key: an event makes one look-up for all rules that ask the same fields.

use super::alternatives::Alternatives;
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
    ends: Vec<usize>,
    folded: String,
}

impl Groups {
    /// Takes the alternatives that have a key; the others are returned.
    pub(super) fn build(alternatives: &Alternatives, members: &mut Members) -> (Self, Vec<u32>) {
        let mut drafts: BTreeMap<Box<[Part]>, Vec<(u64, u32)>> = BTreeMap::new();
        let mut without = Vec::new();
        for alternative in 0..alternatives.len() {
            match key_of(alternatives, alternative) {
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
            let group = built.group(parts, entries, alternatives, members);
            built.groups.push(group);
        }
        built.by_last_part = by_last_part.into_iter().collect();
        (built, without)
    }

    fn group(
        &mut self,
        parts: Box<[Part]>,
        mut entries: Vec<(u64, u32)>,
        alternatives: &Alternatives,
        members: &mut Members,
    ) -> Group {
        entries.sort_unstable();
        entries.dedup();
        let different = entries.chunk_by(|a, b| a.0 == b.0).count();
        let mut keys = HashMap::with_capacity_and_hasher(different, Fixed::default());
        for same in entries.chunk_by(|a, b| a.0 == b.0) {
            let of: Vec<u32> = same.iter().map(|(_, alternative)| *alternative).collect();
            let run = if of.len() > HOT {
                self.hot.push(tables::build(&of, alternatives, members));
                Run::table(self.hot.len() - 1)
            } else {
                members.add(&of)
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
        hashes.collect(group, leaves);
        if hashes.combinations() > group.keys.len() {
            // Arrays with more combinations than there are keys: all of the group's alternatives are tried.
            return found.push(group.all);
        }
        hashes.each_combination(0, 0, Composite::EMPTY, &mut |key| hit(key, found));
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

    /// The different values of each part.
    fn collect(&mut self, group: &Group, leaves: &Leaves) {
        self.all.clear();
        self.ends.clear();
        for (path, folded) in &group.parts {
            let start = self.all.len();
            for value in leaves.values(*path) {
                let hash = self.of(value, *folded);
                self.all.push(hash);
            }
            let mut own = self.all.split_off(start);
            own.sort_unstable();
            own.dedup();
            self.all.append(&mut own);
            self.ends.push(self.all.len());
        }
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
fn key_of(alternatives: &Alternatives, alternative: u32) -> Option<(Box<[Part]>, Vec<u64>)> {
    let mut lists: Vec<(Part, Vec<u64>)> = Vec::new();
    for (path, test) in alternatives.checks(alternative) {
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
    let fits = lists.iter().take_while(|(_, hashes)| {
        // The shortest list is always taken.
        let first = product == 1;
        product = product.saturating_mul(hashes.len());
        first || product <= MAX_KEYS
    });
    let taken = fits.count();
    lists.truncate(taken);
    lists.sort_by_key(|(part, _)| *part);
    if lists.is_empty() {
        return None;
    }
    let mut keys = vec![Composite::EMPTY];
    for (_, hashes) in &lists {
        keys = keys.iter().flat_map(|key| hashes.iter().map(|hash| key.and(*hash))).collect();
    }
    let parts = lists.into_iter().map(|(part, _)| part).collect();
    Some((parts, keys.into_iter().map(Composite::get).collect()))
}
