//! One total order over every number that JSON text can carry.

use serde_json::{Number, Value};
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// A JSON number, compared by its mathematical value.
///
/// Integers of up to 64 bits are exact; every other literal is the IEEE double nearest to it. A double without a
/// fraction is that integer, so `5`, `5.0` and `50e-1` are equal, and `-0.0` is `0`. There is no NaN and no infinity
/// in JSON, so the order is total.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Num {
    Int(i128),
    /// Has a fraction (then below 2^53 in size) or lies beyond the range of `Int`.
    Real(f64),
}

/// 2^127: every integral double strictly inside fits `i128`.
const INT_LIMIT: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;

impl Num {
    pub(super) fn of(number: &Number) -> Self {
        if let Some(i) = number.as_i64() {
            return Self::Int(i.into());
        }
        if let Some(u) = number.as_u64() {
            return Self::Int(u.into());
        }
        // `as_f64` is `None` only under serde_json's arbitrary-precision feature, which this workspace does not use.
        Self::from_f64(number.as_f64().unwrap_or(0.0))
    }

    fn from_f64(f: f64) -> Self {
        #[allow(clippy::cast_possible_truncation)] // integral and inside the range: checked just before
        if f.fract() == 0.0 && f.abs() < INT_LIMIT { Self::Int(f as i128) } else { Self::Real(f) }
    }

    /// The nearest double. Never falls as the number grows, so an inclusive comparison of two such doubles holds
    /// whenever the same comparison of the numbers does.
    #[allow(clippy::cast_precision_loss)] // the point of it
    pub(super) fn nearest(self) -> f64 {
        match self {
            Self::Int(i) => i as f64,
            Self::Real(f) => f,
        }
    }

    /// The number as JSON; an integral double is written as an integer.
    pub(super) fn to_json(self) -> Value {
        match self {
            Self::Int(i) => {
                if let Ok(small) = i64::try_from(i) {
                    return small.into();
                }
                #[allow(clippy::cast_precision_loss)]
                // beyond 64 bits it came from a double, so this is exact
                u64::try_from(i).map_or_else(|_| Value::from(i as f64), Value::from)
            }
            Self::Real(f) => Value::from(f),
        }
    }
}

impl Eq for Num {}

impl Hash for Num {
    /// Equal numbers are the same variant: an integral `Real` lies beyond the range of `Int`, and none is zero or NaN.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Int(i) => i.hash(state),
            Self::Real(f) => f.to_bits().hash(state),
        }
    }
}

impl Ord for Num {
    fn cmp(&self, other: &Self) -> Ordering {
        match (*self, *other) {
            (Self::Int(a), Self::Int(b)) => a.cmp(&b),
            (Self::Real(a), Self::Real(b)) => a.total_cmp(&b),
            (Self::Int(a), Self::Real(b)) => int_to_real(a, b),
            (Self::Real(a), Self::Int(b)) => int_to_real(b, a).reverse(),
        }
    }
}

impl PartialOrd for Num {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Never equal: a `Real` has a fraction or is larger than any `Int`.
fn int_to_real(a: i128, b: f64) -> Ordering {
    if b.abs() >= INT_LIMIT {
        return if b > 0.0 { Ordering::Less } else { Ordering::Greater };
    }
    #[allow(clippy::cast_possible_truncation)] // a fraction means |b| < 2^53
    if a <= b.floor() as i128 { Ordering::Less } else { Ordering::Greater }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn num(text: &str) -> Num {
        let Value::Number(n) = serde_json::from_str(text).unwrap() else { panic!("{text} is no number") };
        Num::of(&n)
    }

    #[test]
    fn literals_are_ordered_by_their_value() {
        // Each line is smaller than the next; spellings on one line are equal.
        let ascending: [&[&str]; 17] = [
            &["-1.7976931348623157e308"],
            &["-1e39"],
            &["-9223372036854775809", "-9223372036854775808.0", "-9223372036854775808"],
            &["-1.5"],
            &["-1", "-1.0", "-10e-1"],
            &["-5e-324"],
            &["0", "-0", "0.0", "-0.0", "0e5"],
            &["5e-324"],
            &["0.1", "1e-1", "0.10"],
            &["301.8", "3.018e2", "3018e-1"],
            &["9007199254740992", "9007199254740992.0"],
            &["9007199254740993"],
            &["9223372036854775807"],
            &["18446744073709551615"],
            &["18446744073709551616", "18446744073709551617", "1.8446744073709552e19"],
            &["1e38"],
            &["1e39"],
        ];
        for (i, row) in ascending.iter().enumerate() {
            for (j, other) in ascending.iter().enumerate() {
                for a in *row {
                    for b in *other {
                        assert_eq!(num(a).cmp(&num(b)), i.cmp(&j), "{a} against {b}");
                    }
                }
            }
        }
    }
}
