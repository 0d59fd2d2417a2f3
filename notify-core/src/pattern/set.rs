//! All patterns of one rule-set version, compiled once: the seam behind which an index will choose candidates.

use super::Pattern;
use crate::problem::Problem;
use serde_json::Value;

/// The patterns of one rule-set version with their keys, in a fixed order.
///
/// Today every pattern is tried in turn. The results are defined as what that loop gives, so an index that finds the
/// same keys in the same order can take its place without a caller noticing.
#[derive(Debug, Clone)]
pub struct RuleSet<K> {
    rules: Vec<(K, Pattern)>,
}

impl<K> RuleSet<K> {
    /// Takes patterns that are compiled already (cloning one is cheap: it is shared).
    pub fn new(rules: impl IntoIterator<Item = (K, Pattern)>) -> Self {
        Self { rules: rules.into_iter().collect() }
    }

    /// Compiles every pattern.
    ///
    /// # Errors
    /// The key of the first rule whose pattern is refused, with the problem; no rule is left out in silence.
    pub fn compile<'p>(rules: impl IntoIterator<Item = (K, &'p Value)>) -> Result<Self, (K, Problem)> {
        let mut compiled = Vec::new();
        for (key, pattern) in rules {
            match Pattern::compile(pattern) {
                Ok(pattern) => compiled.push((key, pattern)),
                Err(problem) => return Err((key, problem)),
            }
        }
        Ok(Self { rules: compiled })
    }

    /// The keys of all rules that match, in the order in which the rules were given.
    #[must_use]
    pub fn matching(&self, event: &Value) -> Vec<&K> {
        let mut keys = Vec::new();
        self.for_each_match(event, |key| keys.push(key));
        keys
    }

    /// As [`Self::matching`], without a list.
    pub fn for_each_match<'s>(&'s self, event: &Value, mut found: impl FnMut(&'s K)) {
        self.rules.iter().filter(|(_, pattern)| pattern.matches(event)).for_each(|(key, _)| found(key));
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}
