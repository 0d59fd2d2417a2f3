//! The alternatives of many rules as flat lists of checks, with equal names and tests held once.

use super::hash::Fixed;
use super::leaves::Leaves;
use super::paths::{PathId, Paths};
use crate::pattern::Pattern;
use crate::pattern::evaluate::{All, fit};
use crate::pattern::expand::{Conjunction, Node};
use crate::pattern::operator::{NumericRange, Operator, Scalar, Test};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Gives equal tests and names of different rules one place in memory.
pub(super) struct Sharing<'p> {
    /// Copied only when a pattern names a path that is new.
    paths: &'p mut Arc<Paths>,
    tests: HashSet<Arc<Test>, Fixed>,
}

impl<'p> Sharing<'p> {
    pub(super) fn new(paths: &'p mut Arc<Paths>) -> Self {
        Self { paths, tests: HashSet::default() }
    }

    /// The same pattern on shared parts; the trie knows its paths afterwards.
    pub(super) fn share(&mut self, pattern: &Pattern) -> Pattern {
        let shared = pattern.conjunctions.iter().map(|conjunction| Conjunction {
            branches: conjunction.branches.clone(),
            root: self.share_node(&conjunction.root, Paths::ROOT, pattern.sources.is_none()),
        });
        Pattern { conjunctions: shared.collect(), sources: pattern.sources.clone() }
    }

    /// As deep as a pattern may be. `share_tests` says whether tests are shared too: where filters were written is found by the
    /// very tests that they made.
    fn share_node(&mut self, node: &Node, path: PathId, share_tests: bool) -> Node {
        if !node.tests.is_empty() && !self.paths.is_wanted(path) {
            Arc::make_mut(self.paths).want(path);
        }
        let tests = node.tests.iter().map(|test| match self.tests.get(test) {
            _ if !share_tests => test.clone(),
            Some(known) => known.clone(),
            None => {
                self.tests.insert(test.clone());
                test.clone()
            }
        });
        let tests = tests.collect();
        let children = node.children.iter().map(|(name, child)| {
            let (name, path) = match self.paths.entry(path, name) {
                Some((name, path)) => (name.clone(), *path),
                None => Arc::make_mut(self.paths).extend(path, name),
            };
            (name, self.share_node(child, path, share_tests))
        });
        Node { tests, children: children.collect(), ids: node.ids.clone() }
    }
}

/// Adds the pattern's paths.
pub(in crate::pattern) fn learn(paths: &mut Arc<Paths>, pattern: &Pattern) {
    Sharing::new(paths).share(pattern);
}

/// One alternative: all its checks have to hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alternative {
    /// Place of its rule.
    pub(super) rule: u32,
    /// Which of the rule's alternatives it is.
    branch: u32,
    first: u32,
    length: u32,
}

/// One check of an alternative. What most rules ask stands here itself; a search in memory costs more than a comparison.
#[derive(Debug)]
struct Check {
    path: PathId,
    ask: Ask,
}

#[derive(Debug)]
enum Ask {
    /// This text and nothing else.
    Text(Place),
    /// A text of this beginning.
    Prefix(Place),
    /// Anything but this text.
    Not(Place),
    Bool(bool),
    /// A number in `ranges`' interval of that place.
    Range(u32),
    Test(Arc<Test>),
}

/// Where a text stands in `texts`.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: u32,
    length: u32,
}

/// The alternatives of many rules, in the order of the rules.
#[derive(Debug, Default)]
pub(super) struct Alternatives {
    all: Vec<Alternative>,
    checks: Vec<Check>,
    /// Each text once.
    texts: String,
    ranges: Vec<NumericRange>,
}

impl Alternatives {
    /// The trie must know the paths of all `patterns`.
    pub(super) fn of<'p>(patterns: impl Iterator<Item = &'p Pattern>, paths: &Paths) -> Self {
        let mut alternatives = Self::default();
        let mut known: HashMap<Box<str>, Place, Fixed> = HashMap::default();
        let mut list = Vec::new();
        for (pattern, rule) in patterns.zip(0..) {
            for (conjunction, branch) in pattern.conjunctions.iter().zip(0..) {
                let first = alternatives.checks.len();
                list_checks(&conjunction.root, Paths::ROOT, paths, &mut list);
                for (path, test) in list.drain(..) {
                    let ask = alternatives.ask(test, &mut known);
                    alternatives.checks.push(Check { path, ask });
                }
                let length = alternatives.checks.len() - first;
                alternatives.all.push(Alternative {
                    rule,
                    branch,
                    first: small(first),
                    length: small(length),
                });
            }
        }
        alternatives.all.shrink_to_fit();
        alternatives.checks.shrink_to_fit();
        alternatives.texts.shrink_to_fit();
        alternatives.ranges.shrink_to_fit();
        alternatives
    }

    fn ask(&mut self, test: &Arc<Test>, known: &mut HashMap<Box<str>, Place, Fixed>) -> Ask {
        let ask = match &*test.operators {
            [Operator::Text(text)] => self.place(text, known).map(Ask::Text),
            [Operator::Prefix(text)] => self.place(text, known).map(Ask::Prefix),
            [Operator::Bool(b)] => Some(Ask::Bool(*b)),
            [Operator::Numeric(range)] => {
                self.ranges.push((**range).clone());
                Some(Ask::Range(small(self.ranges.len() - 1)))
            }
            [Operator::AnythingBut(not)] => match (not.form, &*not.operands) {
                (None, [Operator::Text(text)]) => self.place(text, known).map(Ask::Not),
                _ => None,
            },
            _ => None,
        };
        ask.unwrap_or_else(|| Ask::Test(test.clone()))
    }

    /// `None` behind four gigabytes of different texts: such a text stays in its test.
    fn place(&mut self, text: &str, known: &mut HashMap<Box<str>, Place, Fixed>) -> Option<Place> {
        if let Some(place) = known.get(text) {
            return Some(*place);
        }
        let start = u32::try_from(self.texts.len()).ok()?;
        let place = Place { start, length: u32::try_from(text.len()).ok()? };
        self.texts.push_str(text);
        known.insert(text.into(), place);
        Some(place)
    }

    fn text(&self, place: Place) -> &str {
        let start = place.start as usize;
        self.texts.get(start..start + place.length as usize).unwrap_or_default()
    }

    pub(super) fn len(&self) -> u32 {
        small(self.all.len())
    }

    pub(super) fn get(&self, alternative: u32) -> Option<&Alternative> {
        self.all.get(alternative as usize)
    }

    fn checks(&self, alternative: &Alternative) -> &[Check] {
        let first = alternative.first as usize;
        self.checks.get(first..first + alternative.length as usize).unwrap_or_default()
    }

    /// The verdict. Where no array is on the way each field has one value or none, and the checks are independent of
    /// each other; otherwise the plain evaluator decides, on the event itself.
    pub(super) fn holds<'e>(
        &self,
        alternative: &Alternative,
        pattern: Option<&Pattern>,
        paths: &Paths,
        leaves: &Leaves,
        event: &impl Fn() -> Option<&'e Value>,
    ) -> bool {
        let checks = self.checks(alternative);
        if leaves.has_arrays() && checks.iter().any(|check| leaves.meets_array(paths, check.path)) {
            let conjunction = pattern.and_then(|p| p.conjunctions.get(alternative.branch as usize));
            return event().zip(conjunction).is_some_and(|(event, c)| fit(&c.root, event, All).is_match());
        }
        checks.iter().all(|check| {
            let value = leaves.values(check.path).next().map(|(_, value)| value);
            match (&check.ask, value) {
                (Ask::Text(place), Some(Scalar::Text(seen))) => seen == self.text(*place),
                (Ask::Prefix(place), Some(Scalar::Text(seen))) => seen.starts_with(self.text(*place)),
                (Ask::Not(place), Some(Scalar::Text(seen))) => seen != self.text(*place),
                (Ask::Not(_), Some(_)) => true,
                (Ask::Bool(wanted), Some(Scalar::Bool(seen))) => *wanted == seen,
                (Ask::Range(place), Some(Scalar::Number(seen))) => {
                    self.ranges.get(*place as usize).is_some_and(|range| range.contains(&seen))
                }
                (Ask::Text(_) | Ask::Prefix(_) | Ask::Not(_) | Ask::Bool(_) | Ask::Range(_), _) => false,
                (Ask::Test(test), Some(value)) => test.accepts(value),
                (Ask::Test(test), None) => test.accepts_absence,
            }
        })
    }
}

/// Every test of every alternative with its path: what the tables are built from.
pub(super) struct Tests<'p> {
    all: Vec<(PathId, &'p Arc<Test>)>,
    /// Where the tests of each alternative end.
    ends: Vec<usize>,
}

impl<'p> Tests<'p> {
    pub(super) fn of(patterns: impl Iterator<Item = &'p Pattern>, paths: &Paths) -> Self {
        let mut tests = Self { all: Vec::new(), ends: Vec::new() };
        for conjunction in patterns.flat_map(|pattern| &*pattern.conjunctions) {
            list_checks(&conjunction.root, Paths::ROOT, paths, &mut tests.all);
            tests.ends.push(tests.all.len());
        }
        tests
    }

    pub(super) fn len(&self) -> u32 {
        small(self.ends.len())
    }

    pub(super) fn of_alternative(&self, alternative: u32) -> impl Iterator<Item = (PathId, &'p Test)> {
        let place = alternative as usize;
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(place).copied().unwrap_or(start);
        self.all.get(start..end).unwrap_or_default().iter().map(|(path, test)| (*path, &***test))
    }
}

fn list_checks<'n>(node: &'n Node, path: PathId, paths: &Paths, into: &mut Vec<(PathId, &'n Arc<Test>)>) {
    into.extend(node.tests.iter().map(|test| (path, test)));
    for (name, child) in &node.children {
        if let Some(path) = paths.child(path, name) {
            list_checks(child, path, paths, into);
        }
    }
}

/// The operands of all rules together are far below four thousand million.
fn small(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
