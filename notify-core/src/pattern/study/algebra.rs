//! What follows from an operator: whether it holds wherever another holds, or never together with it.
//!
//! Both answers are one-sided: `true` is certain, `false` is "not shown". They speak of one value; absence is the
//! caller's business.

use crate::pattern::fold::Folded;
use crate::pattern::operator::{NumericRange, Operator, Test};
use crate::severity::Severity;
use serde_json::Value;
use std::ops::Bound;

/// All values for which it holds, where these are few.
pub(super) fn finite(operator: &Operator) -> Option<Vec<Value>> {
    let severities = |accepted: &dyn Fn(Severity) -> bool| {
        Severity::ALL.into_iter().filter(|s| accepted(*s)).map(|s| Value::from(s.name())).collect()
    };
    Some(match operator {
        Operator::Null => vec![Value::Null],
        Operator::Bool(b) => vec![Value::Bool(*b)],
        Operator::Number(n) => vec![n.to_json()],
        Operator::Text(text) => vec![Value::from(&**text)],
        Operator::AtLeast(least) => severities(&|s| s >= *least),
        Operator::AtMost(most) => severities(&|s| s <= *most),
        Operator::Numeric(range) => match (range.low, range.high) {
            (Bound::Included(low), Bound::Included(high)) if low == high => vec![low.to_json()],
            _ => return None,
        },
        _ => return None,
    })
}

/// All values for which one of the test's operators holds, where these are few. `exists: false` holds for no value.
pub(super) fn finite_test(test: &Test) -> Option<Vec<Value>> {
    let by_value = test.operators.iter().filter(|operator| **operator != Operator::Exists(false));
    let all: Option<Vec<Vec<Value>>> = by_value.map(finite).collect();
    all.map(|all| all.into_iter().flatten().collect()).filter(|all: &Vec<Value>| !all.is_empty())
}

/// Whether `b` holds for every value for which `a` holds.
pub(super) fn implies(a: &Operator, b: &Operator) -> bool {
    use Operator::{
        AnythingBut, Cidr, EqualsIgnoreCase, Exists, Numeric, Prefix, PrefixIgnoreCase, Suffix,
        SuffixIgnoreCase, Text, Wildcard,
    };
    match (a, b) {
        (Exists(false), _) | (_, Exists(false)) => return a == b,
        (_, Exists(true)) => return true,
        (Exists(true), _) => return false,
        (Text(a), Text(b)) => return a == b,
        (AnythingBut(a), AnythingBut(b)) => {
            return b.operands.iter().all(|out| a.operands.iter().any(|wider| implies(out, wider)));
        }
        (AnythingBut(_), _) => return false,
        (_, AnythingBut(b)) => return b.operands.iter().all(|out| disjoint(a, out)),
        _ => {}
    }
    if a == b {
        return true;
    }
    if let Some(values) = finite(a) {
        return values.iter().all(|value| b.holds(value));
    }
    if is_text(a) && is_any_text(b) {
        return true;
    }
    match (a, b) {
        (Numeric(a), Numeric(b)) => contains(b, a),
        (Cidr(a), Cidr(b)) => b.covers(a),
        (Prefix(a), Prefix(b)) => a.starts_with(&**b),
        (Prefix(a), PrefixIgnoreCase(b)) => b.is_prefix_of(a),
        (Suffix(a), Suffix(b)) => a.ends_with(&**b),
        (Suffix(a), SuffixIgnoreCase(b)) => b.is_suffix_of(a),
        (EqualsIgnoreCase(a), EqualsIgnoreCase(b)) => b.equals(a.source()),
        (EqualsIgnoreCase(a) | PrefixIgnoreCase(a), PrefixIgnoreCase(b)) => b.is_prefix_of(a.source()),
        (EqualsIgnoreCase(a) | SuffixIgnoreCase(a), SuffixIgnoreCase(b)) => b.is_suffix_of(a.source()),
        (Wildcard(a), Prefix(b)) => a.ends().is_some_and(|(first, ..)| first.starts_with(&**b)),
        (Wildcard(a), Suffix(b)) => a.ends().is_some_and(|(_, last, _)| last.ends_with(&**b)),
        (Prefix(a), Wildcard(b)) => {
            b.ends().is_some_and(|(first, last, only)| only && last.is_empty() && a.starts_with(first))
        }
        (Suffix(a), Wildcard(b)) => {
            b.ends().is_some_and(|(first, last, only)| only && first.is_empty() && a.ends_with(last))
        }
        _ => false,
    }
}

/// Whether no value satisfies both.
pub(super) fn disjoint(a: &Operator, b: &Operator) -> bool {
    use Operator::{
        AnythingBut, Cidr, EqualsIgnoreCase, Exists, Numeric, Prefix, PrefixIgnoreCase, Suffix,
        SuffixIgnoreCase,
    };
    match (a, b) {
        (Exists(false), _) | (_, Exists(false)) => return true,
        (Exists(true), _) | (_, Exists(true)) | (AnythingBut(_), AnythingBut(_)) => return false,
        (AnythingBut(not), other) | (other, AnythingBut(not)) => {
            return not.operands.iter().any(|out| implies(other, out));
        }
        _ => {}
    }
    for (one, other) in [(a, b), (b, a)] {
        if let Some(values) = finite(one) {
            return !values.iter().any(|value| other.holds(value));
        }
    }
    // What is left is about texts or about numbers.
    if is_text(a) != is_text(b) {
        return true;
    }
    match (a, b) {
        (Numeric(a), Numeric(b)) => apart(a, b),
        (Cidr(a), Cidr(b)) => !a.overlaps(b),
        (Prefix(a), Prefix(b)) => !a.starts_with(&**b) && !b.starts_with(&**a),
        (Suffix(a), Suffix(b)) => !a.ends_with(&**b) && !b.ends_with(&**a),
        (EqualsIgnoreCase(a), EqualsIgnoreCase(b)) => !a.equals(b.source()),
        (EqualsIgnoreCase(whole), PrefixIgnoreCase(start))
        | (PrefixIgnoreCase(start), EqualsIgnoreCase(whole)) => !start.is_prefix_of(whole.source()),
        (EqualsIgnoreCase(whole), SuffixIgnoreCase(end))
        | (SuffixIgnoreCase(end), EqualsIgnoreCase(whole)) => !end.is_suffix_of(whole.source()),
        // Folding works character by character, so the folded value starts with the folded prefix.
        (EqualsIgnoreCase(whole), Prefix(start)) | (Prefix(start), EqualsIgnoreCase(whole)) => {
            !Folded::new(start).is_prefix_of(whole.source())
        }
        (EqualsIgnoreCase(whole), Suffix(end)) | (Suffix(end), EqualsIgnoreCase(whole)) => {
            !Folded::new(end).is_suffix_of(whole.source())
        }
        (PrefixIgnoreCase(a), PrefixIgnoreCase(b)) => {
            !a.is_prefix_of(b.source()) && !b.is_prefix_of(a.source())
        }
        (SuffixIgnoreCase(a), SuffixIgnoreCase(b)) => {
            !a.is_suffix_of(b.source()) && !b.is_suffix_of(a.source())
        }
        _ => false,
    }
}

/// Pairs of operators compared for one question; beyond it nothing is shown.
pub(super) const MAX_PAIRS: usize = 20_000;

/// Whether no value satisfies all of the tests.
pub(super) fn no_common_value(tests: &[Test]) -> bool {
    let operators: usize = tests.iter().map(|test| test.operators.len()).sum();
    if operators.saturating_mul(operators) > MAX_PAIRS {
        return false;
    }
    for test in tests {
        if let Some(values) = finite_test(test) {
            return !values.iter().any(|value| tests.iter().all(|other| other.holds(value)));
        }
    }
    let apart = |a: &Test, b: &Test| {
        a.operators.iter().all(|one| b.operators.iter().all(|other| disjoint(one, other)))
    };
    tests.iter().enumerate().any(|(i, a)| tests.iter().skip(i + 1).any(|b| apart(a, b)))
}

/// Whether every value (and absence) that satisfies `narrow` satisfies `wide`.
pub(super) fn test_implies(narrow: &Test, wide: &Test) -> bool {
    narrow.operators.iter().all(|one| wide.operators.iter().any(|other| implies(one, other)))
}

/// Holds for texts only, for more than a few.
fn is_text(operator: &Operator) -> bool {
    !matches!(operator, Operator::Numeric(_))
}

/// Holds for every text.
pub(super) fn is_any_text(operator: &Operator) -> bool {
    match operator {
        Operator::Exists(true) => true,
        Operator::Prefix(text) | Operator::Suffix(text) => text.is_empty(),
        Operator::PrefixIgnoreCase(text) | Operator::SuffixIgnoreCase(text) => text.source().is_empty(),
        Operator::Wildcard(wildcard) => wildcard.ends() == Some(("", "", true)),
        _ => false,
    }
}

fn contains(outer: &NumericRange, inner: &NumericRange) -> bool {
    let low = match (outer.low, inner.low) {
        (Bound::Unbounded, _) => true,
        (_, Bound::Unbounded) => false,
        (Bound::Excluded(o), Bound::Included(i)) => o < i,
        (Bound::Included(o) | Bound::Excluded(o), Bound::Included(i) | Bound::Excluded(i)) => o <= i,
    };
    let high = match (outer.high, inner.high) {
        (Bound::Unbounded, _) => true,
        (_, Bound::Unbounded) => false,
        (Bound::Excluded(o), Bound::Included(i)) => o > i,
        (Bound::Included(o) | Bound::Excluded(o), Bound::Included(i) | Bound::Excluded(i)) => o >= i,
    };
    low && high
}

fn apart(a: &NumericRange, b: &NumericRange) -> bool {
    let below = |high: Bound<_>, low: Bound<_>| match (high, low) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(high), Bound::Included(low)) => high < low,
        (Bound::Included(high) | Bound::Excluded(high), Bound::Included(low) | Bound::Excluded(low)) => {
            high <= low
        }
    };
    below(a.high, b.low) || below(b.high, a.low)
}
