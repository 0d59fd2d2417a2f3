//! The operators: what one scalar value has to be.

use super::cidr::Network;
use super::fold::Folded;
use super::number::Num;
use super::wildcard::Wildcard;
use crate::severity::Severity;
use serde_json::{Value, json};
use std::ops::{Bound, RangeBounds};

/// A value of an event that is neither object nor array, whatever it was read from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scalar<'v> {
    Null,
    Bool(bool),
    Number(Num),
    Text(&'v str),
}

impl<'v> Scalar<'v> {
    /// `None` for objects and arrays.
    pub(super) fn of(value: &'v Value) -> Option<Self> {
        match value {
            Value::Null => Some(Self::Null),
            Value::Bool(b) => Some(Self::Bool(*b)),
            Value::Number(n) => Some(Self::Number(Num::of(n))),
            Value::String(text) => Some(Self::Text(text)),
            Value::Array(_) | Value::Object(_) => None,
        }
    }
}

/// One operator with its operand.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Operator {
    Null,
    Bool(bool),
    Number(Num),
    Text(Box<str>),
    Prefix(Box<str>),
    Suffix(Box<str>),
    EqualsIgnoreCase(Folded),
    PrefixIgnoreCase(Folded),
    SuffixIgnoreCase(Folded),
    Wildcard(Box<Wildcard>),
    Numeric(Box<NumericRange>),
    Cidr(Box<Network>),
    AtLeast(Severity),
    AtMost(Severity),
    AnythingBut(Box<AnythingBut>),
    Exists(bool),
}

/// `numeric`: an interval. Equality is the interval of one number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct NumericRange {
    pub(super) low: Bound<Num>,
    pub(super) high: Bound<Num>,
}

/// `anything-but`: a scalar for which none of the operands holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct AnythingBut {
    /// The operator inside: `None` for plain values.
    pub(super) form: Option<&'static str>,
    /// Whether the operands were written as a list; only for showing them again.
    pub(super) list: bool,
    pub(super) operands: Box<[Operator]>,
}

impl Operator {
    /// Whether it holds for a value; never for an object or an array.
    pub(super) fn holds(&self, value: &Value) -> bool {
        Scalar::of(value).is_some_and(|scalar| self.accepts(scalar))
    }

    pub(super) fn accepts(&self, value: Scalar<'_>) -> bool {
        match (self, value) {
            (Self::Exists(exists), _) => *exists,
            (Self::AnythingBut(not), _) => !not.operands.iter().any(|operand| operand.accepts(value)),
            (Self::Null, Scalar::Null) => true,
            (Self::Bool(wanted), Scalar::Bool(seen)) => *wanted == seen,
            (Self::Number(wanted), Scalar::Number(seen)) => *wanted == seen,
            (Self::Numeric(range), Scalar::Number(seen)) => range.contains(&seen),
            (text_operator, Scalar::Text(seen)) => text_operator.holds_for_text(seen),
            _ => false,
        }
    }

    fn holds_for_text(&self, seen: &str) -> bool {
        match self {
            Self::Text(wanted) => **wanted == *seen,
            Self::Prefix(prefix) => seen.starts_with(&**prefix),
            Self::Suffix(suffix) => seen.ends_with(&**suffix),
            Self::EqualsIgnoreCase(folded) => folded.equals(seen),
            Self::PrefixIgnoreCase(folded) => folded.is_prefix_of(seen),
            Self::SuffixIgnoreCase(folded) => folded.is_suffix_of(seen),
            Self::Wildcard(wildcard) => wildcard.matches(seen),
            Self::Cidr(network) => network.contains(seen),
            Self::AtLeast(least) => Severity::from_name(seen).is_some_and(|s| s >= *least),
            Self::AtMost(most) => Severity::from_name(seen).is_some_and(|s| s <= *most),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Numeric(_) => false,
            Self::AnythingBut(_) | Self::Exists(_) => false, // decided in `holds` for every type
        }
    }

    /// The name in patterns; `equals` for a plain value.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => "equals",
            Self::Prefix(_) | Self::PrefixIgnoreCase(_) => "prefix",
            Self::Suffix(_) | Self::SuffixIgnoreCase(_) => "suffix",
            Self::EqualsIgnoreCase(_) => "equals-ignore-case",
            Self::Wildcard(_) => "wildcard",
            Self::Numeric(_) => "numeric",
            Self::Cidr(_) => "cidr",
            Self::AtLeast(_) => "at-least",
            Self::AtMost(_) => "at-most",
            Self::AnythingBut(_) => "anything-but",
            Self::Exists(_) => "exists",
        }
    }

    /// The operand as it is written in a pattern.
    pub(super) fn operand(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(b) | Self::Exists(b) => Value::Bool(*b),
            Self::Number(n) => n.to_json(),
            Self::Text(text) | Self::Prefix(text) | Self::Suffix(text) => Value::from(&**text),
            Self::EqualsIgnoreCase(folded) => Value::from(folded.source()),
            Self::PrefixIgnoreCase(folded) | Self::SuffixIgnoreCase(folded) => {
                json!({ "equals-ignore-case": folded.source() })
            }
            Self::Wildcard(wildcard) => Value::from(wildcard.source()),
            Self::Numeric(range) => range.operand(),
            Self::Cidr(network) => Value::from(network.source()),
            Self::AtLeast(severity) | Self::AtMost(severity) => Value::from(severity.name()),
            Self::AnythingBut(not) => not.operand(),
        }
    }
}

impl NumericRange {
    fn contains(&self, number: &Num) -> bool {
        (self.low, self.high).contains(number)
    }

    fn operand(&self) -> Value {
        if let (Bound::Included(low), Bound::Included(high)) = (self.low, self.high)
            && low == high
        {
            return json!(["=", low.to_json()]);
        }
        let mut terms = Vec::new();
        for (bound, open, closed) in [(self.low, ">", ">="), (self.high, "<", "<=")] {
            match bound {
                Bound::Excluded(n) => terms.extend([open.into(), n.to_json()]),
                Bound::Included(n) => terms.extend([closed.into(), n.to_json()]),
                Bound::Unbounded => {}
            }
        }
        Value::Array(terms)
    }
}

impl AnythingBut {
    fn operand(&self) -> Value {
        let mut operands: Vec<Value> = self.operands.iter().map(Operator::operand).collect();
        let plain = match operands.len() {
            1 if !self.list => operands.swap_remove(0),
            _ => Value::Array(operands),
        };
        match self.form {
            Some(form) => json!({ form: plain }),
            None => plain,
        }
    }
}

/// What one field of the event has to be: any of the operators.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Test {
    pub(super) operators: Box<[Operator]>,
    /// `exists: false` is among them.
    pub(super) accepts_absence: bool,
}

impl Test {
    pub(super) fn new(operators: Vec<Operator>) -> Self {
        let accepts_absence = operators.contains(&Operator::Exists(false));
        Self { operators: operators.into(), accepts_absence }
    }

    /// Whether it holds for a value; never for an object or an array.
    pub(super) fn holds(&self, value: &Value) -> bool {
        Scalar::of(value).is_some_and(|scalar| self.accepts(scalar))
    }

    pub(super) fn accepts(&self, value: Scalar<'_>) -> bool {
        self.operators.iter().any(|operator| operator.accepts(value))
    }
}
