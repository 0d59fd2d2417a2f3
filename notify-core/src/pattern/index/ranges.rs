//! Which of many intervals hold a number: an implicit balanced tree over the lower bounds, each knot of which knows the
//! greatest upper bound below it.

use super::members::{Members, Run};
use crate::pattern::operator::NumericRange;
use std::collections::BTreeMap;
use std::ops::Bound;

/// An interval in doubles that holds at least the numbers of the exact one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Interval {
    low: f64,
    high: f64,
}

impl Interval {
    pub(super) fn around(range: &NumericRange) -> Self {
        let bound = |bound, open| match bound {
            Bound::Included(number) | Bound::Excluded(number) => crate::pattern::number::Num::nearest(number),
            Bound::Unbounded => open,
        };
        Self { low: bound(range.low, f64::NEG_INFINITY), high: bound(range.high, f64::INFINITY) }
    }

    /// Sorts as the tree needs it; bounds are never NaN, and `-0.0` counts as 0.
    pub(super) fn key(self) -> (u64, u64) {
        let ordered = |f: f64| {
            let bits = (f + 0.0).to_bits();
            if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
        };
        (ordered(self.low), ordered(self.high))
    }
}

#[derive(Debug)]
pub(super) struct Ranges(Box<[Entry]>);

#[derive(Debug)]
struct Entry {
    interval: Interval,
    highest_below: f64,
    run: Run,
}

impl Ranges {
    pub(super) fn new(
        by_interval: BTreeMap<(u64, u64), (Interval, Vec<u32>)>,
        members: &mut Members,
    ) -> Self {
        let entry = |(interval, of): (Interval, Vec<u32>)| Entry {
            interval,
            highest_below: f64::NEG_INFINITY,
            run: members.add(&of),
        };
        let mut entries: Box<[Entry]> = by_interval.into_values().map(entry).collect();
        set_highest(&mut entries);
        Self(entries)
    }

    pub(super) fn find(&self, number: f64, mut found: impl FnMut(Run)) {
        search(&self.0, number, &mut found);
    }
}

fn set_highest(entries: &mut [Entry]) -> f64 {
    let (left, rest) = entries.split_at_mut(entries.len() / 2);
    let Some((root, right)) = rest.split_first_mut() else { return f64::NEG_INFINITY };
    root.highest_below = root.interval.high.max(set_highest(left)).max(set_highest(right));
    root.highest_below
}

fn search(entries: &[Entry], number: f64, found: &mut impl FnMut(Run)) {
    let (left, rest) = entries.split_at(entries.len() / 2);
    let Some((root, right)) = rest.split_first() else { return };
    if root.highest_below < number {
        return;
    }
    search(left, number, found);
    if root.interval.low <= number {
        if number <= root.interval.high {
            found(root.run);
        }
        search(right, number, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_exactly_the_intervals(bounds in prop::collection::vec((-5_i8..5, -5_i8..6), 0..20), number in -6_i8..7) {
            let mut members = Members::default();
            let mut tree: BTreeMap<_, (Interval, Vec<u32>)> = BTreeMap::new();
            for ((low, high), i) in bounds.iter().zip(0..) {
                let high = if *high == 5 { f64::INFINITY } else { f64::from(*high) };
                let interval = Interval { low: f64::from(*low), high };
                tree.entry(interval.key()).or_insert((interval, vec![])).1.push(i);
            }
            let ranges = Ranges::new(tree, &mut members);
            let mut found: Vec<u32> = Vec::new();
            ranges.find(number.into(), |run| found.extend(members.of(run)));
            found.sort_unstable();
            let holds = |(low, high): &(i8, i8)| *low <= number && (*high == 5 || number <= *high);
            let expected: Vec<u32> = bounds.iter().zip(0..).filter(|(b, _)| holds(b)).map(|(_, i)| i).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
