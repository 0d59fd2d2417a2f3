//! One attribute compared with a text, and the opposite of it, as the operators of patterns.
//!
//! The specification compares the attribute's canonical text, so an extension that is the number 5 or `true` in the
//! event's JSON is compared as `5` or `true`: the same event sent with its attributes in headers has texts there.

use crate::event::{MAX_ATTRIBUTE_NAME, TEXT_ATTRIBUTES};
use crate::pattern::number::Num;
use crate::pattern::operator::{AnythingBut, NumericRange, Operator};
use crate::pattern::parse::refuse;
use crate::problem::Problem;
use std::ops::Bound;

/// A CloudEvents Integer.
const INTEGERS: (i64, i64) = (i32::MIN as i64, i32::MAX as i64);

/// Which values an attribute may have for the comparison to hold.
pub(super) struct Comparison {
    text: Operator,
    /// The form inside `anything-but`.
    form: Option<&'static str>,
    booleans: Vec<bool>,
    /// Inclusive, ascending, apart from each other.
    integers: Vec<(i64, i64)>,
}

/// No event that is taken in has an attribute of another name.
pub(super) fn check_name(name: &str, at: &str) -> Result<(), Problem> {
    if name == "data" || name == "data_base64" {
        let fix = "write the rule with `match` in place of `filters`; patterns look into `data`";
        return Err(refuse(at, "filters judge attributes, not the event's data", fix));
    }
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if (1..=MAX_ATTRIBUTE_NAME).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    let reason = format!("an attribute's name is 1 to {MAX_ATTRIBUTE_NAME} characters from a-z and 0-9");
    Err(refuse(at, reason, "name an attribute as the events carry it, e.g. `type` or `subject`"))
}

impl Comparison {
    pub(super) fn new(dialect: &str, attribute: &str, text: &str) -> Self {
        let (operator, form): (Operator, _) = match dialect {
            "prefix" => (Operator::Prefix(text.into()), Some("prefix")),
            "suffix" => (Operator::Suffix(text.into()), Some("suffix")),
            _ => (Operator::Text(text.into()), None),
        };
        let mut comparison = Self { text: operator, form, booleans: Vec::new(), integers: Vec::new() };
        if !TEXT_ATTRIBUTES.contains(&attribute) {
            let written = |b: &bool| match dialect {
                "prefix" => b.to_string().starts_with(text),
                "suffix" => b.to_string().ends_with(text),
                _ => b.to_string() == text,
            };
            comparison.booleans = [true, false].into_iter().filter(written).collect();
            comparison.integers = match dialect {
                "prefix" => integers_that_start_with(text),
                // No operator says "ends in 5" of numbers: documented as a difference.
                "suffix" => Vec::new(),
                _ => canonical_integer(text).map(|n| (n, n)).into_iter().collect(),
            };
        }
        comparison
    }

    /// One list of a pattern.
    pub(super) fn holds(self) -> Vec<Operator> {
        let mut operators = vec![self.text];
        operators.extend(self.booleans.into_iter().map(Operator::Bool));
        operators.extend(self.integers.into_iter().map(|(low, high)| range(Some(low), Some(high))));
        operators
    }

    /// Lists that all have to hold: the attribute is absent or another text, and no number or boolean of those.
    pub(super) fn fails(self) -> Vec<Vec<Operator>> {
        let no_other = self.booleans.is_empty() && self.integers.is_empty();
        let excluded = AnythingBut::new(self.form, false, vec![self.text].into());
        let not_that_text = vec![Operator::AnythingBut(Box::new(excluded)), Operator::Exists(false)];
        if no_other {
            return vec![not_that_text];
        }
        let mut others = vec![Operator::Prefix("".into()), Operator::Null, Operator::Exists(false)];
        let accepted = [true, false].into_iter().filter(|b| !self.booleans.contains(b));
        others.extend(accepted.map(Operator::Bool));
        if self.integers.is_empty() {
            others.extend([range(None, Some(-1)), between(Some(-1), None)]);
            return vec![not_that_text, others];
        }
        let mut from = None;
        for (low, high) in &self.integers {
            others.push(between(from, Some(*low)));
            from = Some(*high);
        }
        others.push(between(from, None));
        vec![not_that_text, others]
    }
}

fn number(n: i64) -> Num {
    Num::Int(n.into())
}

fn range(low: Option<i64>, high: Option<i64>) -> Operator {
    let bound = |n: Option<i64>| n.map_or(Bound::Unbounded, |n| Bound::Included(number(n)));
    Operator::Numeric(Box::new(NumericRange { low: bound(low), high: bound(high) }))
}

/// Everything strictly between.
fn between(low: Option<i64>, high: Option<i64>) -> Operator {
    let bound = |n: Option<i64>| n.map_or(Bound::Unbounded, |n| Bound::Excluded(number(n)));
    Operator::Numeric(Box::new(NumericRange { low: bound(low), high: bound(high) }))
}

/// The integer whose canonical text this is.
fn canonical_integer(text: &str) -> Option<i64> {
    let number = text.parse::<i64>().ok().filter(|n| (INTEGERS.0..=INTEGERS.1).contains(n))?;
    (number.to_string() == text).then_some(number)
}

/// The integers whose canonical text starts with `text`, as ranges: for `5` these are 5, 50…59, 500…599 and so on.
fn integers_that_start_with(text: &str) -> Vec<(i64, i64)> {
    if text == "-" {
        return vec![(INTEGERS.0, -1)];
    }
    let Some(start) = canonical_integer(text) else { return Vec::new() };
    if start == 0 {
        return vec![(0, 0)];
    }
    let mut ranges = Vec::new();
    let (mut low, mut width) = (start.abs(), 1_i64);
    // Below: 2^31 is the largest magnitude, and every step multiplies by ten.
    while low <= -INTEGERS.0 {
        let high = (low + width - 1).min(-INTEGERS.0);
        let (from, to) = if start < 0 { (-high, -low) } else { (low, high.min(INTEGERS.1)) };
        if from <= to {
            ranges.push((from, to));
        }
        low *= 10;
        width *= 10;
    }
    ranges.sort_unstable();
    ranges
}
