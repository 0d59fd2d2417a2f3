//! Long lists of accepted values, searched instead of tried one by one: an array of thousands of values against a list
//! of hundreds costs a look-up for each value, not the product of the two.

use super::cidr::{NetKey, address};
use super::fold::fold_into;
use super::number::Num;
use super::operator::{Operator, Scalar};
use std::ops::{Bound, RangeBounds};

/// Shorter lists are tried one by one.
const MANY: usize = 16;

/// The operators of one list, each kind in the form in which it is searched. Answers as trying each does.
#[derive(Debug, Clone)]
pub(super) struct AnyOf {
    /// Sorted.
    texts: Box<[Box<str>]>,
    /// Sorted, folded.
    folded: Box<[Box<str>]>,
    /// Sorted; none is a prefix of another.
    prefixes: Box<[Box<[u8]>]>,
    /// The same, reversed.
    suffixes: Box<[Box<[u8]>]>,
    /// As `prefixes` and `suffixes`, of folded texts.
    folded_prefixes: Box<[Box<[u8]>]>,
    folded_suffixes: Box<[Box<[u8]>]>,
    /// By their lower bounds; they do not overlap.
    ranges: Box<[(Bound<Num>, Bound<Num>)]>,
    /// Sorted, and the kinds of them: families with masks.
    nets: Box<[NetKey]>,
    kinds: Box<[(bool, u128)]>,
    /// Everything else: `null` and the like, severities, `anything-but`, and wildcards, of which a pattern may have few.
    others: Box<[Operator]>,
}

impl AnyOf {
    /// `None` for a list that is short enough to be tried.
    pub(super) fn new(operators: &[Operator]) -> Option<Box<Self>> {
        if operators.len() <= MANY {
            return None;
        }
        let (mut texts, mut folded, mut prefixes, mut suffixes) = (vec![], vec![], vec![], vec![]);
        let (mut folded_prefixes, mut folded_suffixes) = (vec![], vec![]);
        let (mut ranges, mut nets, mut others) = (vec![], vec![], vec![]);
        for operator in operators {
            match operator {
                Operator::Text(text) => texts.push(text.clone()),
                Operator::EqualsIgnoreCase(text) => folded.push(text.folded().into()),
                Operator::Prefix(text) => prefixes.push(text.as_bytes().into()),
                Operator::Suffix(text) => suffixes.push(text.bytes().rev().collect()),
                Operator::PrefixIgnoreCase(text) => folded_prefixes.push(text.folded().as_bytes().into()),
                Operator::SuffixIgnoreCase(text) => {
                    folded_suffixes.push(text.folded().bytes().rev().collect());
                }
                Operator::Number(n) => ranges.push((Bound::Included(*n), Bound::Included(*n))),
                Operator::Numeric(range) => ranges.push((range.low, range.high)),
                Operator::Cidr(network) => nets.push(network.key()),
                other => others.push(other.clone()),
            }
        }
        texts.sort_unstable();
        folded.sort_unstable();
        nets.sort_unstable_by_key(order);
        nets.dedup();
        let mut kinds: Vec<(bool, u128)> = nets.iter().map(|net| (net.v6, net.mask)).collect();
        kinds.dedup();
        Some(Box::new(Self {
            texts: texts.into(),
            folded: folded.into(),
            prefixes: shortest(prefixes),
            suffixes: shortest(suffixes),
            ranges: merged(ranges),
            folded_prefixes: shortest(folded_prefixes),
            folded_suffixes: shortest(folded_suffixes),
            nets: nets.into(),
            kinds: kinds.into(),
            others: others.into(),
        }))
    }

    pub(super) fn accepts(&self, value: Scalar<'_>) -> bool {
        let searched = match value {
            Scalar::Text(text) => self.accepts_text(text),
            Scalar::Number(number) => {
                let behind = self.ranges.partition_point(|(low, _)| begins_at_or_before(*low, number));
                let nearest = behind.checked_sub(1).and_then(|place| self.ranges.get(place));
                nearest.is_some_and(|range| range.contains(&number))
            }
            Scalar::Null | Scalar::Bool(_) => false,
        };
        searched || self.others.iter().any(|operator| operator.accepts(value))
    }

    fn accepts_text(&self, text: &str) -> bool {
        if self.texts.binary_search_by(|known| (**known).cmp(text)).is_ok()
            || begins_with_one_of(&self.prefixes, text.as_bytes())
        {
            return true;
        }
        if !self.suffixes.is_empty() && begins_with_one_of(&self.suffixes, &reversed(text)) {
            return true;
        }
        if !self.nets.is_empty()
            && let Some((v6, bits)) = address(text)
            && self.kinds.iter().filter(|(family, _)| *family == v6).any(|(_, mask)| {
                let wanted = NetKey { v6, mask: *mask, net: bits & mask };
                self.nets.binary_search_by_key(&order(&wanted), order).is_ok()
            })
        {
            return true;
        }
        if self.folded.is_empty() && self.folded_prefixes.is_empty() && self.folded_suffixes.is_empty() {
            return false;
        }
        let mut folded = String::new();
        fold_into(text, &mut folded);
        self.folded.binary_search_by(|known| (**known).cmp(&folded)).is_ok()
            || begins_with_one_of(&self.folded_prefixes, folded.as_bytes())
            || (!self.folded_suffixes.is_empty()
                && begins_with_one_of(&self.folded_suffixes, &reversed(&folded)))
    }
}

fn order(net: &NetKey) -> (bool, u128, u128) {
    (net.v6, net.mask, net.net)
}

fn reversed(text: &str) -> Vec<u8> {
    text.bytes().rev().collect()
}

/// Without those that begin with another one: whatever begins with them begins with that too.
fn shortest(mut prefixes: Vec<Box<[u8]>>) -> Box<[Box<[u8]>]> {
    prefixes.sort_unstable();
    prefixes.dedup_by(|later, kept| later.starts_with(kept));
    prefixes.into()
}

/// The greatest that is not greater than the value is the only one that can be its prefix.
fn begins_with_one_of(prefixes: &[Box<[u8]>], value: &[u8]) -> bool {
    let behind = prefixes.partition_point(|prefix| **prefix <= *value);
    let nearest = behind.checked_sub(1).and_then(|place| prefixes.get(place));
    nearest.is_some_and(|prefix| value.starts_with(prefix))
}

fn begins_at_or_before(low: Bound<Num>, number: Num) -> bool {
    match low {
        Bound::Unbounded => true,
        Bound::Included(low) => low <= number,
        Bound::Excluded(low) => low < number,
    }
}

/// Joins intervals that overlap, so that a number lies in one at most.
fn merged(mut ranges: Vec<(Bound<Num>, Bound<Num>)>) -> Box<[(Bound<Num>, Bound<Num>)]> {
    // By the lower bound; at one number an included bound comes before an excluded one.
    let low_key = |low: &Bound<Num>| match low {
        Bound::Unbounded => (None, false),
        Bound::Included(n) => (Some(*n), false),
        Bound::Excluded(n) => (Some(*n), true),
    };
    let high_key = |high: &Bound<Num>| match high {
        Bound::Excluded(n) => (false, Some(*n), false),
        Bound::Included(n) => (false, Some(*n), true),
        Bound::Unbounded => (true, None, true),
    };
    ranges.sort_unstable_by_key(|(low, _)| low_key(low));
    let mut joined: Vec<(Bound<Num>, Bound<Num>)> = Vec::with_capacity(ranges.len());
    for (low, high) in ranges {
        let overlaps = |last: &(Bound<Num>, Bound<Num>)| match (last.1, low) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
            // `< 5` and `> 5` leave 5 out; any included side takes it in.
            (Bound::Excluded(end), Bound::Excluded(start)) => start < end,
            (
                Bound::Included(end) | Bound::Excluded(end),
                Bound::Included(start) | Bound::Excluded(start),
            ) => start <= end,
        };
        match joined.last_mut() {
            Some(last) if overlaps(last) => {
                if high_key(&high) > high_key(&last.1) {
                    last.1 = high;
                }
            }
            _ => joined.push((low, high)),
        }
    }
    joined.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::operand::parse_operator;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn operator() -> impl Strategy<Value = Value> {
        let text = "[abA.]{0,3}";
        let n = -6_i64..7;
        prop_oneof![
            text.prop_map(Value::from),
            text.prop_map(|t| json!({ "prefix": t })),
            text.prop_map(|t| json!({ "suffix": t })),
            text.prop_map(|t| json!({ "equals-ignore-case": t })),
            text.prop_map(|t| json!({ "prefix": { "equals-ignore-case": format!("{t}a") } })),
            text.prop_map(|t| json!({ "suffix": { "equals-ignore-case": format!("a{t}") } })),
            text.prop_map(|t| json!({ "wildcard": format!("{t}*b") })),
            n.clone().prop_map(Value::from),
            n.clone().prop_map(|n| json!({ "numeric": [">", n, "<", n + 2] })),
            n.clone().prop_map(|n| json!({ "numeric": [">=", n, "<=", n + 1] })),
            n.prop_map(|n| json!({ "numeric": ["=", n] })),
            prop_oneof![Just(json!({ "numeric": ["<", -5] })), Just(json!({ "numeric": [">=", 6] }))],
            (0_u8..4).prop_map(|n| json!({ "cidr": format!("10.{n}.0.0/16") })),
            Just(Value::Null),
            Just(json!({ "at-least": "high" })),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn answers_as_trying_each(
            operators in prop::collection::vec(operator(), MANY + 1..40),
            text in "[abA.]{0,4}", net in 0_u8..5, number in -16_i32..17,
        ) {
            let mut count = 0;
            let all: Vec<Operator> =
                operators.iter().map(|item| parse_operator(item, "", &mut count).unwrap()).collect();
            let any = AnyOf::new(&all).unwrap();
            let address = format!("10.{net}.1.1");
            let half = serde_json::Number::from_f64(f64::from(number) / 2.0).unwrap();
            for value in [
                Scalar::Text(&text), Scalar::Text(&address), Scalar::Text("critical"), Scalar::Number(Num::of(&half)),
                Scalar::Null, Scalar::Bool(true),
            ] {
                let tried = all.iter().any(|operator| operator.accepts(value));
                prop_assert_eq!(any.accepts(value), tried, "{:?} in {:?}", value, operators);
            }
        }
    }
}
