//! All patterns of one tenant behind one immutable value: the seam that an index stands behind.

use super::Pattern;
use crate::problem::Problem;
use serde_json::Value;
use std::sync::Arc;

/// Patterns with their keys, in the order of the keys whatever the order of insertion.
///
/// Immutable: [`Self::with`] and [`Self::without`] give a changed set and leave this one as it is, so readers that hold
/// it are never disturbed. Cloning is cheap.
#[derive(Debug)]
pub struct RuleSet<K> {
    rules: Arc<Vec<(K, Pattern)>>,
}

impl<K> Clone for RuleSet<K> {
    fn clone(&self) -> Self {
        Self { rules: Arc::clone(&self.rules) }
    }
}

impl<K: Ord + Clone> RuleSet<K> {
    /// Takes patterns that are compiled already (cloning one is cheap: it is shared). Of equal keys the last wins.
    pub fn new(rules: impl IntoIterator<Item = (K, Pattern)>) -> Self {
        let by_key: std::collections::BTreeMap<K, Pattern> = rules.into_iter().collect();
        Self { rules: Arc::new(by_key.into_iter().collect()) }
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
        Ok(Self::new(compiled))
    }

    /// This set with one more rule, or with the rule of an equal key replaced.
    #[must_use]
    pub fn with(&self, key: K, pattern: Pattern) -> Self {
        let mut rules = (*self.rules).clone();
        match rules.binary_search_by(|(known, _)| known.cmp(&key)) {
            Ok(place) => {
                if let Some(slot) = rules.get_mut(place) {
                    *slot = (key, pattern);
                }
            }
            Err(place) => rules.insert(place, (key, pattern)),
        }
        Self { rules: Arc::new(rules) }
    }

    /// This set without the rule of that key.
    #[must_use]
    pub fn without(&self, key: &K) -> Self {
        let mut rules = (*self.rules).clone();
        rules.retain(|(known, _)| known != key);
        Self { rules: Arc::new(rules) }
    }

    /// Whether so much has changed since the last whole build that [`Self::folded`] is due (off the path of events).
    #[must_use]
    pub fn wants_folding(&self) -> bool {
        false
    }

    /// The same rules, built anew as a whole.
    #[must_use]
    pub fn folded(&self) -> Self {
        self.clone()
    }

    /// The keys of all rules that match, in the order of the keys.
    #[must_use]
    pub fn matching(&self, event: &Value) -> Vec<&K> {
        self.rules.iter().filter(|(_, pattern)| pattern.matches(event)).map(|(key, _)| key).collect()
    }

    /// Every rule, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Pattern)> {
        self.rules.iter().map(|(key, pattern)| (key, pattern))
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
