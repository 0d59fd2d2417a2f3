//! Sets of seconds, as sorted half-open intervals.

/// From, and to where it no longer is.
pub type Interval = (i64, i64);

/// Sorts and joins those that touch or overlap; empty ones disappear.
#[must_use]
pub fn union(mut all: Vec<Interval>) -> Vec<Interval> {
    all.retain(|(from, to)| from < to);
    all.sort_unstable();
    let mut joined: Vec<Interval> = Vec::with_capacity(all.len());
    for (from, to) in all {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// What is in `from` and not in `cut`; both are unions.
#[must_use]
pub fn subtract(from: &[Interval], cut: &[Interval]) -> Vec<Interval> {
    let mut left = Vec::with_capacity(from.len());
    let mut first = 0;
    for &(mut start, end) in from {
        while cut.get(first).is_some_and(|(_, to)| *to <= start) {
            first += 1;
        }
        for &(cut_from, cut_to) in cut.iter().skip(first).take_while(|(cut_from, _)| *cut_from < end) {
            if cut_from > start {
                left.push((start, cut_from));
            }
            start = start.max(cut_to);
        }
        if start < end {
            left.push((start, end));
        }
    }
    left
}

/// The parts of a union that lie in one interval.
#[must_use]
pub fn clip(all: &[Interval], within: Interval) -> Vec<Interval> {
    let cut = all.iter().map(|(from, to)| ((*from).max(within.0), (*to).min(within.1)));
    cut.filter(|(from, to)| from < to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any() -> impl Strategy<Value = Vec<Interval>> {
        prop::collection::vec((0_i64..60, -3_i64..12), 0..12)
            .prop_map(|all| all.into_iter().map(|(from, long)| (from, from + long)).collect())
    }

    fn holds(all: &[Interval], at: i64) -> bool {
        all.iter().any(|(from, to)| (*from..*to).contains(&at))
    }

    proptest! {
        #[test]
        fn sets_are_what_they_hold(a in any(), b in any(), from in 0_i64..60, to in 0_i64..60) {
            let (left, right) = (union(a.clone()), union(b.clone()));
            let difference = subtract(&left, &right);
            let cut = clip(&left, (from, to));
            for at in -5..80 {
                prop_assert_eq!(holds(&left, at), holds(&a, at));
                prop_assert_eq!(holds(&difference, at), holds(&a, at) && !holds(&b, at));
                prop_assert_eq!(holds(&cut, at), holds(&a, at) && (from..to).contains(&at));
            }
            for all in [left, difference, cut] {
                prop_assert!(all.iter().all(|(from, to)| from < to));
                prop_assert!(all.windows(2).all(|pair| pair[0].1 < pair[1].0), "{:?}", all);
            }
        }
    }
}
