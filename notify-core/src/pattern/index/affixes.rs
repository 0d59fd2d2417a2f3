//! All affixes of a value that are in a table, found by one binary search.

use super::members::{Members, Run};
use std::collections::BTreeMap;

/// Texts sorted by their bytes, each with its longest proper prefix that is in the table too. Suffixes are kept and
/// looked up reversed.
#[derive(Debug)]
pub(super) struct Affixes {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    start: u32,
    length: u32,
    /// Place in `entries` plus one.
    parent: u32,
    run: Run,
}

impl Affixes {
    /// `None` when the table would be larger than its 32-bit places can say.
    pub(super) fn new(by_text: BTreeMap<Vec<u8>, Vec<u32>>, members: &mut Members) -> Option<Self> {
        let mut table = Self { bytes: Vec::new(), entries: Vec::with_capacity(by_text.len()) };
        let mut open: Vec<u32> = Vec::new();
        for (text, of) in by_text {
            while let Some(last) = open.last()
                && !table.text(*last).is_some_and(|prefix| text.starts_with(prefix))
            {
                open.pop();
            }
            let entry = Entry {
                start: u32::try_from(table.bytes.len()).ok()?,
                length: u32::try_from(text.len()).ok()?,
                parent: open.last().copied().unwrap_or(0),
                run: members.add(&of),
            };
            table.bytes.extend(text);
            table.entries.push(entry);
            open.push(u32::try_from(table.entries.len()).ok()?);
        }
        u32::try_from(table.bytes.len()).ok()?;
        Some(table)
    }

    fn text(&self, place_plus_one: u32) -> Option<&[u8]> {
        self.entries.get((place_plus_one as usize).checked_sub(1)?).map(|entry| self.text_of(entry))
    }

    fn text_of(&self, entry: &Entry) -> &[u8] {
        let start = entry.start as usize;
        self.bytes.get(start..start + entry.length as usize).unwrap_or_default()
    }

    /// Every prefix of `value` in the table lies on the chain of the greatest entry that is not greater than `value`:
    /// what is sorted between a prefix and the value begins with that prefix.
    pub(super) fn find(&self, value: &[u8], mut found: impl FnMut(Run)) {
        let mut next = self.entries.partition_point(|entry| self.text_of(entry) <= value) as u32;
        let nearest = self.text(next).unwrap_or_default();
        let shared = nearest.iter().zip(value).take_while(|(a, b)| a == b).count();
        while let Some(entry) = (next as usize).checked_sub(1).and_then(|place| self.entries.get(place)) {
            if entry.length as usize <= shared {
                found(entry.run);
            }
            next = entry.parent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_exactly_the_prefixes(texts in prop::collection::btree_set("[ab]{0,4}", 0..12), value in "[abc]{0,6}") {
            let mut members = Members::default();
            let by_text = texts.iter().zip(0..).map(|(text, i)| (text.clone().into_bytes(), vec![i])).collect();
            let table = Affixes::new(by_text, &mut members).unwrap();
            let mut found: Vec<u32> = Vec::new();
            table.find(value.as_bytes(), |run| found.extend(members.of(run)));
            found.sort_unstable();
            let expected: Vec<u32> =
                texts.iter().zip(0..).filter(|(text, _)| value.starts_with(*text)).map(|(_, i)| i).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
