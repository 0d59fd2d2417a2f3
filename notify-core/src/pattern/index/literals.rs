//! Wildcards by one of their literals: one automaton for a path finds which literals occur in a text.

use super::members::{Found, Members, Run};
use aho_corasick::{AhoCorasick, MatchKind};
use std::collections::BTreeMap;

#[derive(Debug)]
pub(super) struct Literals {
    automaton: AhoCorasick,
    runs: Box<[Run]>,
    all: Run,
}

impl Literals {
    /// `None` when the library cannot hold so many.
    pub(super) fn new(by_text: &BTreeMap<Vec<u8>, Vec<u32>>, members: &mut Members) -> Option<Self> {
        let automaton = AhoCorasick::builder().match_kind(MatchKind::Standard).build(by_text.keys()).ok()?;
        let mut all: Vec<u32> = by_text.values().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        let all = members.add(&all);
        let runs = by_text.values().map(|of| members.add(of)).collect();
        Some(Self { automaton, runs, all })
    }

    /// Literals inside each other can occur together at each place of a long text. Where that becomes more work than
    /// reading the text, all wildcards are candidates: they are judged one by one then, each in linear time.
    pub(super) fn find(&self, text: &str, found: &mut Found) {
        let most = 64 + 4 * text.len();
        let mut before = usize::MAX;
        for (count, hit) in self.automaton.find_overlapping_iter(text).enumerate() {
            if count >= most {
                return found.push(self.all);
            }
            let literal = hit.pattern().as_usize();
            if literal != before {
                before = literal;
                self.runs.get(literal).into_iter().for_each(|run| found.push(*run));
            }
        }
    }
}
