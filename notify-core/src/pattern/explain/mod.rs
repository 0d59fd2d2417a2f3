//! Why a pattern matched an event or did not, clause by clause, as data and in sentences.
//!
//! Whether an alternative matched is the evaluator's verdict (`fit`). What one clause says by itself comes from
//! [`alone`], which is held against the evaluator by a property test.

mod alone;
mod conflict;
mod judge;
mod words;

#[cfg(test)]
pub(super) use alone::{alone, entries};
#[cfg(test)]
pub(super) use judge::cut;
pub(super) use judge::misses;

use super::expand::Conjunction;
use super::operator::Test;
use serde::Serialize;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// Values listed for one clause; [`Clause::seen_total`] counts them all.
const MAX_SEEN: usize = 8;
/// Bytes of one value shown.
const MAX_SEEN_BYTES: usize = 512;

/// The whole verdict. It matched if any alternative did; without `$or` there is exactly one.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    pub matched: bool,
    /// All of it in words.
    pub sentence: String,
    pub alternatives: Vec<Alternative>,
}

/// One way through the `$or`s of the pattern.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alternative {
    /// JSON Pointers into the pattern of the `$or` branches taken; empty without `$or`. For a rule of filters, pointers
    /// into the rule.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<String>,
    pub matched: bool,
    pub clauses: Vec<Clause>,
    /// Set when every clause holds somewhere, but not together in one array element.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conflict: Option<Conflict>,
}

/// One field and what was asked of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Clause {
    /// The field as a JSON Pointer that leaves array positions out, as the pattern does.
    pub path: String,
    /// For a rule of filters: JSON Pointer into the rule of the filter that asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    pub matched: bool,
    /// Field, value and wish in one sentence, without the full stop.
    pub sentence: String,
    /// What the rule wants, in words: `a number greater than 0`.
    pub wants: String,
    /// What the event has, in words: `0`, `absent`.
    pub has: String,
    /// What the field may be; one is enough.
    pub any_of: Vec<Choice>,
    pub found: Found,
    /// The first values found, and the first one that holds; empty when there is none.
    pub seen: Vec<Seen>,
    pub seen_total: usize,
}

/// What stands at the field of a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// At least one text, number, `true`, `false` or `null`.
    Values,
    /// Only an object, which is no value: its fields are.
    Object,
    /// Only an empty array.
    EmptyList,
    Absent,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Choice {
    /// As in the pattern; `equals` for a plain value.
    pub operator: &'static str,
    pub operand: Value,
    pub matched: bool,
}

/// A value of the event and where it stands, array positions included.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    pub at: String,
    /// A long text is cut and ends in `…`.
    pub value: Value,
    /// Whether this value is one that the clause asks for.
    pub matched: bool,
}

/// No element of `array` satisfies all clauses below it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conflict {
    /// JSON Pointer of the array in the event.
    pub array: String,
    pub sentence: String,
    /// The element that satisfies most of the clauses, and the first one that satisfies what that one does not.
    pub elements: Vec<ConflictElement>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConflictElement {
    /// JSON Pointer of the element in the event.
    pub element: String,
    /// Fields that are as wanted in this element.
    pub holds: Vec<String>,
    /// What keeps it from satisfying the rule.
    pub fails: Vec<Disagreement>,
}

/// A clause that one element of an array does not satisfy.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Disagreement {
    pub path: String,
    /// The first value of the field in this element.
    #[serde(flatten)]
    pub seen: Option<Seen>,
    pub wants: String,
    pub has: String,
}

impl Alternative {
    /// Clauses that do not hold; where all hold one by one but not together, that is one.
    #[must_use]
    pub fn failed(&self) -> usize {
        if self.matched { 0 } else { self.clauses.iter().filter(|clause| !clause.matched).count().max(1) }
    }
}

impl Explanation {
    /// The alternative that came nearest: the first that matched, or the first with the fewest failed clauses.
    #[must_use]
    pub fn nearest(&self) -> Option<&Alternative> {
        self.alternatives.iter().min_by_key(|alternative| alternative.failed())
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

/// Where tests were written.
type Sources = [(Arc<Test>, Arc<str>)];

pub(super) fn explain(conjunctions: &[Conjunction], sources: &Sources, event: &Value) -> Explanation {
    let alternatives: Vec<_> =
        conjunctions.iter().map(|conjunction| judge::alternative(conjunction, sources, event)).collect();
    let matched = alternatives.iter().any(|alternative| alternative.matched);
    Explanation { matched, sentence: words::whole(&alternatives, event), alternatives }
}
