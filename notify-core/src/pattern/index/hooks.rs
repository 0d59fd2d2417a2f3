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
        match operator {
            Operator::Null => all.push(Hook::Exact(hash::of(Scalar::Null))),
            Operator::Bool(b) => all.push(Hook::Exact(hash::of(Scalar::Bool(*b)))),
            Operator::Number(n) => all.push(Hook::Exact(hash::of(Scalar::Number(*n)))),
            Operator::Text(text) => all.push(Hook::Exact(hash::of_text(text))),
            Operator::AtLeast(least) => all.extend(severities(|s| s >= *least)),
            Operator::AtMost(most) => all.extend(severities(|s| s <= *most)),
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
                let literals: Vec<&str> = wildcard.literals().filter(|text| !text.is_empty()).collect();
                all.push(match literals.is_empty() {
                    true => Hook::AnyText,
                    false => Hook::Wildcard { head: wildcard.head(), literals },
                });
            }
            Operator::Numeric(range) => all.push(match (range.low, range.high) {
                (Bound::Included(low), Bound::Included(high)) if low == high => {
                    Hook::Exact(hash::of(Scalar::Number(low)))
                }
                _ => Hook::Range(Interval::around(range)),
            }),
            Operator::Cidr(network) => all.push(Hook::Net(network.key())),
            Operator::Exists(true) => all.push(Hook::AnyValue),
            Operator::Exists(false) | Operator::AnythingBut(_) => return None,
        }
    }
    Some(all)
}

fn severities<'t>(wanted: impl Fn(Severity) -> bool) -> impl Iterator<Item = Hook<'t>> {
    Severity::ALL.into_iter().filter(move |s| wanted(*s)).map(|s| Hook::Exact(hash::of_text(s.name())))
}

fn affix<'t>(text: &str, hook: Hook<'t>) -> Hook<'t> {
    if text.is_empty() { Hook::AnyText } else { hook }
}

/// The hashes of a test that only takes certain values, for a composite key; `true` if they are of folded texts.
pub(super) fn equalities(test: &Test) -> Option<(Vec<u64>, bool)> {
    let plain = |operator: &Operator| {
        !matches!(operator, Operator::Exists(_) | Operator::AnythingBut(_))
            && !matches!(operator, Operator::Prefix(_) | Operator::PrefixIgnoreCase(_))
            && !matches!(operator, Operator::Suffix(_) | Operator::SuffixIgnoreCase(_))
            && !matches!(operator, Operator::Wildcard(_) | Operator::Cidr(_))
    };
    if test.accepts_absence || !test.operators.iter().all(plain) {
        return None;
    }
    let folded = test.operators.iter().any(|operator| matches!(operator, Operator::EqualsIgnoreCase(_)));
    let mut hashes = Vec::with_capacity(test.operators.len());
    if folded {
        for operator in &test.operators {
            match operator {
                Operator::EqualsIgnoreCase(text) => hashes.push(hash::of_text(text.folded())),
                Operator::Text(text) => {
                    let mut folded = String::new();
                    crate::pattern::fold::fold_into(text, &mut folded);
                    hashes.push(hash::of_text(&folded));
                }
                _ => hashes.extend(exact_hashes(operator)?),
            }
        }
    } else {
        for operator in &test.operators {
            hashes.extend(exact_hashes(operator)?);
        }
    }
    hashes.sort_unstable();
    hashes.dedup();
    Some((hashes, folded))
}

fn exact_hashes(operator: &Operator) -> Option<Vec<u64>> {
    // The names of severities are lower case: they are their own folded form.
    let single = Test::new(vec![operator.clone()]);
    let exact = |hook| if let Hook::Exact(hash) = hook { Some(hash) } else { None };
    hooks(&single)?.into_iter().map(exact).collect()
}
