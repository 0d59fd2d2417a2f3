//! Wildcards by their literals: one automaton for a path finds which literals occur in a text, and a wildcard is a
//! candidate if its two rarest do.

use super::members::{Found, Members, Run};
use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use std::collections::BTreeMap;

/// What an automaton is built from: wildcards by their rarest literal, each with the rarest of its others.
#[derive(Default)]
pub(super) struct Wildcards {
    by_literal: BTreeMap<Vec<u8>, Vec<Wanted>>,
    count: usize,
}

/// An alternative and the literal that it wants besides.
type Wanted = (u32, Option<Vec<u8>>);

impl Wildcards {
    pub(super) fn put(&mut self, literal: Vec<u8>, also: Option<Vec<u8>>, alternative: u32) {
        self.by_literal.entry(literal).or_default().push((alternative, also));
        self.count += 1;
    }

    pub(super) const fn len(&self) -> usize {
        self.count
    }

    pub(super) fn alternatives(&self) -> impl Iterator<Item = u32> {
        self.by_literal.values().flatten().map(|(alternative, _)| *alternative)
    }
}

#[derive(Debug)]
pub(super) struct Literals {
    automaton: AhoCorasick,
    /// By literal: where its entries begin; one more at the end.
    starts: Box<[u32]>,
    entries: Box<[Entry]>,
    all: Run,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    alternative: u32,
    /// The number of the other literal, or `NONE`.
    also: u32,
}

const NONE: u32 = u32::MAX;

/// The literals of one text.
#[derive(Debug, Default)]
pub(super) struct Seen {
    bits: Vec<u64>,
    list: Vec<u32>,
}

impl Seen {
    fn has(&self, literal: u32) -> bool {
        self.bits.get(literal as usize / 64).is_some_and(|word| word >> (literal % 64) & 1 == 1)
    }

    fn put(&mut self, literal: u32) {
        if let Some(word) = self.bits.get_mut(literal as usize / 64)
            && *word >> (literal % 64) & 1 == 0
        {
            *word |= 1 << (literal % 64);
            self.list.push(literal);
        }
    }

    fn clear(&mut self, literals: usize) {
        for literal in self.list.drain(..) {
            self.bits.get_mut(literal as usize / 64).into_iter().for_each(|word| *word = 0);
        }
        if self.bits.len() * 64 < literals {
            self.bits.resize(literals.div_ceil(64), 0);
        }
    }
}

impl Literals {
    /// `None` when the library cannot hold so many.
    pub(super) fn new(wildcards: &Wildcards, members: &mut Members) -> Option<Self> {
        let mut numbers: BTreeMap<&[u8], u32> = BTreeMap::new();
        for (literal, of) in &wildcards.by_literal {
            numbers.insert(literal, 0);
            numbers.extend(of.iter().filter_map(|(_, also)| Some((also.as_deref()?, 0))));
        }
        numbers.values_mut().zip(0..).for_each(|(number, i)| *number = i);
        let (mut starts, mut entries) = (Vec::new(), Vec::new());
        for literal in numbers.keys() {
            starts.push(u32::try_from(entries.len()).ok()?);
            let of = wildcards.by_literal.get(*literal).map(Vec::as_slice).unwrap_or_default();
            entries.extend(of.iter().map(|(alternative, also)| {
                let also = also.as_deref().and_then(|also| numbers.get(also).copied()).unwrap_or(NONE);
                Entry { alternative: *alternative, also }
            }));
        }
        starts.push(u32::try_from(entries.len()).ok()?);
        // Never a DFA: its tables hold a place for each state and byte, megabytes for a hundred long literals.
        let kind = Some(AhoCorasickKind::ContiguousNFA);
        let mut builder = AhoCorasick::builder();
        let automaton = builder.match_kind(MatchKind::Standard).kind(kind).build(numbers.keys()).ok()?;
        let mut all: Vec<u32> = wildcards.alternatives().collect();
        all.sort_unstable();
        all.dedup();
        let all = members.add(&all);
        Some(Self { automaton, starts: starts.into(), entries: entries.into(), all })
    }

    /// Literals inside each other can occur together at each place of a long text. Where that becomes more work than
    /// reading the text, all wildcards are candidates: they are judged one by one then, each in linear time.
    pub(super) fn find(&self, text: &str, seen: &mut Seen, found: &mut Found) {
        seen.clear(self.starts.len());
        let most = 64 + 4 * text.len();
        for (count, hit) in self.automaton.find_overlapping_iter(text).enumerate() {
            if count >= most {
                return found.push(self.all);
            }
            seen.put(hit.pattern().as_u32());
        }
        for literal in &seen.list {
            let place = *literal as usize;
            if let (Some(start), Some(end)) = (self.starts.get(place), self.starts.get(place + 1))
                && let Some(entries) = self.entries.get(*start as usize..*end as usize)
            {
                let likely = entries.iter().filter(|entry| entry.also == NONE || seen.has(entry.also));
                likely.for_each(|entry| found.push(Run::one(entry.alternative)));
            }
        }
    }
}
