//! By what a test can be found: each way in which a value can satisfy it, as an entry of some table.

use super::hash;
use super::ranges::Interval;
use crate::pattern::cidr::NetKey;
use crate::pattern::operator::{Operator, Scalar, Test};
use crate::severity::Severity;
use std::ops::Bound;

/// One way. Whatever satisfies the operator is found by its hook; what is found need not satisfy it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Hook<'t> {
    /// A value of that hash.
    Exact(u64),
    /// A text whose folded form has that hash.
    Folded(u64),
    Prefix {
        text: &'t str,
        folded: bool,
    },
    Suffix {
        text: &'t str,
        folded: bool,
    },
    /// A text of that head in which all these occur.
    Wildcard {
        head: &'t str,
        literals: Vec<&'t str>,
    },
    Range(Interval),
    Net(NetKey),
    AnyText,
    AnyValue,
}

/// All ways, or `None` for a test that no value of the event leads to: it accepts absence, or nearly everything
/// (`anything-but`).
pub(super) fn hooks(test: &Test) -> Option<Vec<Hook<'_>>> {
    if test.accepts_absence {
        return None;
    }
    let mut all = Vec::with_capacity(test.operators.len());
    for operator in &test.operators {
        if exact(operator, |hash| all.push(Hook::Exact(hash))) {
            continue;
        }
        match operator {
            Operator::EqualsIgnoreCase(folded) => all.push(Hook::Folded(hash::of_text(folded.folded()))),
            Operator::Prefix(text) => all.push(affix(text, Hook::Prefix { text, folded: false })),
            Operator::Suffix(text) => all.push(affix(text, Hook::Suffix { text, folded: false })),
            Operator::PrefixIgnoreCase(folded) => {
                let text = folded.folded();
                all.push(affix(text, Hook::Prefix { text, folded: true }));
            }
            Operator::SuffixIgnoreCase(folded) => {
                let text = folded.folded();
                all.push(affix(text, Hook::Suffix { text, folded: true }));
            }
            Operator::Wildcard(wildcard) => {
                let mut literals = wildcard.literals();
                literals.retain(|text| !text.is_empty());
                all.push(match literals.is_empty() {
                    true => Hook::AnyText,
                    false => Hook::Wildcard { head: wildcard.head(), literals },
                });
            }
            Operator::Numeric(range) => all.push(Hook::Range(Interval::around(range))),
            Operator::Cidr(network) => all.push(Hook::Net(network.key())),
            Operator::Exists(true) => all.push(Hook::AnyValue),
            // `exact` took the first ones.
            Operator::Null
            | Operator::Bool(_)
            | Operator::Number(_)
            | Operator::Text(_)
            | Operator::AtLeast(_)
            | Operator::AtMost(_)
            | Operator::Exists(false)
            | Operator::AnythingBut(_) => return None,
        }
    }
    Some(all)
}

fn affix<'t>(text: &str, hook: Hook<'t>) -> Hook<'t> {
    if text.is_empty() { Hook::AnyText } else { hook }
}

/// The hashes of a test that only takes certain values, for a composite key; `true` if they are of folded texts.
pub(super) fn equalities(test: &Test) -> Option<(Vec<u64>, bool)> {
    if test.accepts_absence {
        return None;
    }
    let folded = test.operators.iter().any(|operator| matches!(operator, Operator::EqualsIgnoreCase(_)));
    let mut hashes = Vec::with_capacity(test.operators.len());
    for operator in &test.operators {
        match operator {
            Operator::EqualsIgnoreCase(text) => hashes.push(hash::of_text(text.folded())),
            Operator::Text(text) if folded => {
                let mut folded = String::new();
                crate::pattern::fold::fold_into(text, &mut folded);
                hashes.push(hash::of_text(&folded));
            }
            // The names of severities are lower case: they are their own folded form.
            _ => {
                if !exact(operator, |hash| hashes.push(hash)) {
                    return None;
                }
            }
        }
    }
    hashes.sort_unstable();
    hashes.dedup();
    Some((hashes, folded))
}

/// Gives the hashes of the values that an operator takes, if those are certain values.
fn exact(operator: &Operator, mut each: impl FnMut(u64)) -> bool {
    let severities = |least: Severity, most: Severity, each: &mut dyn FnMut(u64)| {
        let within = Severity::ALL.into_iter().filter(|s| (least..=most).contains(s));
        within.for_each(|s| each(hash::of_text(s.name())));
    };
    match operator {
        Operator::Null => each(hash::of(Scalar::Null)),
        Operator::Bool(b) => each(hash::of(Scalar::Bool(*b))),
        Operator::Number(n) => each(hash::of(Scalar::Number(*n))),
        Operator::Text(text) => each(hash::of_text(text)),
        Operator::AtLeast(least) => severities(*least, Severity::Blocker, &mut each),
        Operator::AtMost(most) => severities(Severity::None, *most, &mut each),
        Operator::Numeric(range) => match (range.low, range.high) {
            (Bound::Included(low), Bound::Included(high)) if low == high => {
                each(hash::of(Scalar::Number(low)));
            }
            _ => return false,
        },
        _ => return false,
    }
    true
}
