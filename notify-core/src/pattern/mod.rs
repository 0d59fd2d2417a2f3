//! Event patterns: the AWS EventBridge pattern language in a strict profile, plus ordered severity.
//!
//! `docs/patterns.md` is the specification. In short: a pattern is an object that mirrors the event; each field takes
//! a list of accepted values or operators, of which one has to hold; all fields have to match; `$or` gives
//! alternatives. Arrays match by any element, and fields below one array are judged on the same element.
//!
//! **Numbers.** Integers of up to 64 bits are exact; every other literal is the IEEE double nearest to it, and a
//! double without a fraction is that integer. All numbers have one total order by value: `5` = `5.0` = `50e-1`,
//! `-0.0` = `0`, `9007199254740993` > `9007199254740992.0`. Literals beyond the range of a double, also those that
//! would become 0, are refused by [`crate::json::parse`].
//!
//! **Cost.** Matching is linear in the event for each `$or` branch; nothing backtracks, neither wildcards nor arrays, and
//! long lists are searched (all but wildcards and `anything-but`). [`limits`] bounds what one pattern may ask for.
//!
//! Patterns and events come from [`crate::json::parse`] (or the YAML reader), which refuse duplicate keys.

mod any_of;
mod cidr;
mod evaluate;
mod expand;
mod explain;
mod filters;
mod fold;
mod index;
mod indexable;
pub mod limits;
mod number;
mod operand;
mod operator;
mod parse;
mod set;
pub(crate) mod study;
#[cfg(test)]
mod tests;
mod wildcard;

pub use explain::{
    Alternative, Choice, Clause, Conflict, ConflictElement, Disagreement, Explanation, Found, Seen,
};
pub use index::{NotJson, Scratch};
pub use set::RuleSet;

use crate::problem::Problem;
use expand::Conjunction;
use operator::Test;
use serde_json::Value;
use std::sync::Arc;

/// A test and the JSON Pointer of where it was written.
type Source = (Arc<Test>, Arc<str>);

/// A compiled pattern. Clones share it.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// Alternatives, at least one; several only with `$or`.
    conjunctions: Arc<[Conjunction]>,
    /// For filters: where each test was written. A pattern's clauses are found by their field.
    sources: Option<Arc<[Source]>>,
}

impl Pattern {
    /// Compiles a pattern of the strict profile.
    ///
    /// # Errors
    /// [`crate::problem::Code::InvalidPattern`] with a JSON Pointer into the pattern, the reason and the fix.
    pub fn compile(pattern: &Value) -> Result<Self, Problem> {
        Ok(Self { conjunctions: expand::expand(&parse::parse(pattern)?).into(), sources: None })
    }

    /// Compiles a list of CloudEvents filters (`filters` of a rule) to the clauses of a pattern.
    ///
    /// # Errors
    /// [`crate::problem::Code::InvalidPattern`] with a JSON Pointer into the list, the reason and the fix.
    pub fn compile_filters(filters: &Value) -> Result<Self, Problem> {
        let compiled = filters::compile(filters)?;
        Ok(Self {
            conjunctions: expand::expand(&compiled.group).into(),
            sources: Some(compiled.sources.into()),
        })
    }

    /// Whether the event matches. An event that is not an object never does.
    #[must_use]
    pub fn matches(&self, event: &Value) -> bool {
        self.conjunctions.iter().any(|c| evaluate::fit(&c.root, event, evaluate::All).is_match())
    }

    /// Every clause with what was seen and the verdict; `explain(e).matched == matches(e)`.
    #[must_use]
    pub fn explain(&self, event: &Value) -> Explanation {
        explain::explain(&self.conjunctions, self.sources.as_deref().unwrap_or_default(), event)
    }

    /// How many clauses keep the event from matching, at the least: 0 if it matches, else the failed clauses of the
    /// nearest alternative, or any number above `most`. Far cheaper than [`Self::explain`]; `work` grows by the steps and
    /// comparisons made.
    #[must_use]
    pub fn misses(&self, event: &Value, most: usize, work: &mut u64) -> usize {
        explain::misses(&self.conjunctions, event, most, work)
    }

    /// Whether any part of the pattern looks at this field of the event itself.
    #[must_use]
    pub fn asks_for(&self, field: &str) -> bool {
        self.conjunctions.iter().any(|c| c.root.children.iter().any(|(name, _)| &**name == field))
    }
}
