//! A rule's pattern opened up for lint: every way through it, with the place of every clause in the rule.
//!
//! Lives beside the pattern's internals because it reads them; what a finding is called and how findings of many rules
//! come together is [`crate::lint`].

mod algebra;
mod cover;
mod entries;
mod never;

pub(crate) use cover::Key;
#[cfg(test)]
mod tests;

use super::expand::{Conjunction, Node, expand};
use super::filters;
use super::indexable::indexable;
use super::operator::{Operator, Test};
use super::parse::{Field, Group, parse};
use crate::document::Rule;
use crate::event::{MAX_ATTRIBUTE_NAME, REQUIRED_ATTRIBUTES, TEXT_ATTRIBUTES};
use crate::json::pointer_token;
use crate::lint::Finding;
use crate::problem::Problem;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A field and what one list asks of it.
struct Clause {
    steps: Vec<Arc<str>>,
    test: Arc<Test>,
    /// JSON Pointer into the rule.
    place: Arc<str>,
}

/// One way through the `$or`s: all clauses have to hold.
struct Way {
    /// JSON Pointer of the innermost branch; of the whole pattern without branches.
    place: String,
    clauses: Vec<Clause>,
    indexable: bool,
    /// Why no event can take this way.
    dead: Option<never::Reason>,
}

/// See the module.
pub(crate) struct Study {
    ways: Vec<Way>,
    /// Entries of a list have pointers of their own in a pattern, but not in filters.
    written_as_filters: bool,
    identical: Vec<String>,
}

impl Study {
    /// # Errors
    /// As [`Rule::pattern`].
    pub(crate) fn of(rule: &Rule) -> Result<Self, Problem> {
        rule.pattern()?;
        let mut places = BTreeMap::new();
        let (group, root, identical) = match (&rule.r#match, &rule.filters) {
            (Some(pattern), _) => {
                let group = parse(pattern)?;
                note_places(&group, "", &mut places);
                (group, "/match", entries::identical(pattern, "/match", &["$or"]))
            }
            (None, filters) => {
                let filters = filters.as_ref().unwrap_or(&Value::Null);
                let compiled = filters::compile(filters)?;
                places.extend(compiled.sources.into_iter().map(|(test, place)| (key(&test), place)));
                (
                    compiled.group,
                    filters::PLACE,
                    entries::identical(filters, filters::PLACE, &["", "any", "all"]),
                )
            }
        };
        let ways = expand(&group).iter().map(|way| Way::of(way, root, &places)).collect();
        Ok(Self { ways, written_as_filters: root == filters::PLACE, identical })
    }

    /// What can be said of the pattern alone.
    pub(crate) fn findings(&self) -> Vec<Finding> {
        let mut found = never::findings(self);
        found.extend(entries::findings(self));
        found
    }

    /// For each way that names its event types letter by letter: the types, and the fields of `data` with their places.
    pub(crate) fn data_fields(&self) -> Vec<TypedFields<'_>> {
        self.ways.iter().filter(|way| way.dead.is_none()).filter_map(Way::typed_fields).collect()
    }

    /// Where the pattern stands in the rule.
    pub(crate) fn place(&self) -> &'static str {
        if self.written_as_filters { filters::PLACE } else { "/match" }
    }
}

/// Event types, and fields below `data` with the places of their clauses.
pub(crate) type TypedFields<'s> = (Vec<String>, Vec<(&'s [Arc<str>], Arc<str>)>);

impl Way {
    fn typed_fields(&self) -> Option<TypedFields<'_>> {
        let is_type = |clause: &&Clause| clause.steps.len() == 1 && names(clause, "type");
        let values = self.clauses.iter().filter(is_type).find_map(|c| algebra::finite_test(&c.test))?;
        let types = values.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let below = self.clauses.iter().filter(|clause| names(clause, "data")).filter_map(|clause| {
            let (_, steps) = clause.steps.split_first()?;
            (!steps.is_empty()).then(|| (steps, clause.place.clone()))
        });
        Some((types, below.collect()))
    }

    fn of(conjunction: &Conjunction, root: &str, places: &BTreeMap<usize, Arc<str>>) -> Self {
        let mut clauses = Vec::new();
        list(&conjunction.root, &mut Vec::new(), places, &mut clauses);
        // Pointers of filters start at the rule already.
        let place = match conjunction.branches.last() {
            Some(branch) if root == filters::PLACE => branch.to_string(),
            Some(branch) => format!("{root}{branch}"),
            None => root.to_owned(),
        };
        let dead = never::reason(&clauses);
        Self { place, clauses, indexable: indexable(conjunction), dead }
    }
}

/// A test is shared by all ways that it stands in.
fn key(test: &Arc<Test>) -> usize {
    Arc::as_ptr(test) as usize
}

fn note_places(group: &Group, at: &str, places: &mut BTreeMap<usize, Arc<str>>) {
    for (name, field) in &group.fields {
        let here = format!("{at}/{}", pointer_token(name));
        match field {
            Field::Test(test) => {
                places.insert(key(test), format!("/match{here}").into());
            }
            Field::Group(inner) => note_places(inner, &here, places),
        }
    }
    group.or.iter().for_each(|branch| note_places(&branch.group, &branch.pointer, places));
}

fn list(node: &Node, steps: &mut Vec<Arc<str>>, places: &BTreeMap<usize, Arc<str>>, into: &mut Vec<Clause>) {
    for test in &node.tests {
        let place = places.get(&key(test)).cloned().unwrap_or_else(|| "".into());
        into.push(Clause { steps: steps.clone(), test: test.clone(), place });
    }
    for (name, child) in &node.children {
        steps.push(name.clone());
        list(child, steps, places, into);
        steps.pop();
    }
}

fn names(clause: &Clause, first: &str) -> bool {
    clause.steps.first().is_some_and(|step| **step == *first)
}

/// What CloudEvents and intake say of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Exactly `1.0`.
    Version,
    /// A text that is not empty; and whether every event has it.
    Text { required: bool },
    /// A text, a boolean or a 32-bit integer.
    Extension,
    /// Anything, also arrays; or unsure.
    Data,
    /// No event has it.
    Nothing,
}

impl Kind {
    fn of(steps: &[Arc<str>]) -> Self {
        let Some((first, below)) = steps.split_first() else { return Self::Nothing };
        let first: &str = first;
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        match first {
            // Bytes as text; whether it may be empty is not said.
            "data_base64" if below.is_empty() => Self::Data,
            "data" => Self::Data,
            _ if !below.is_empty() => Self::Nothing,
            "specversion" => Self::Version,
            text if TEXT_ATTRIBUTES.contains(&text) => {
                Self::Text { required: REQUIRED_ATTRIBUTES.contains(&text) }
            }
            name if (1..=MAX_ATTRIBUTE_NAME).contains(&name.len()) && name.bytes().all(allowed) => {
                Self::Extension
            }
            _ => Self::Nothing,
        }
    }

    /// One value, not an array.
    fn is_single(self) -> bool {
        self != Self::Data
    }

    fn always_there(self) -> bool {
        matches!(self, Self::Version | Self::Text { required: true })
    }

    /// Whether the operator can hold for a value (or absence) that such a field may have. `true` where unsure.
    fn allows(self, operator: &Operator) -> bool {
        if let Operator::Exists(false) = operator {
            return !self.always_there();
        }
        match self {
            Self::Data => true,
            Self::Nothing => false,
            Self::Version => operator.holds(&Value::from("1.0")),
            Self::Text { .. } => match operator {
                Operator::Null | Operator::Bool(_) | Operator::Number(_) | Operator::Numeric(_) => false,
                Operator::Text(text) => !text.is_empty(),
                _ => true,
            },
            Self::Extension => match operator {
                Operator::Null => false,
                Operator::Number(_) | Operator::Numeric(_) => may_be_an_integer(operator),
                _ => true,
            },
        }
    }

    /// Whether it holds for whatever such a field has, so that it says nothing.
    fn always(self, test: &Test) -> bool {
        let has = |wanted: &Operator| test.operators.contains(wanted);
        let both = has(&Operator::Exists(true)) && has(&Operator::Exists(false));
        both || match self {
            Self::Version => test.holds(&Value::from("1.0")),
            Self::Text { required: true } => test.operators.iter().any(algebra::is_any_text),
            Self::Nothing => has(&Operator::Exists(false)),
            _ => false,
        }
    }
}

/// Whether it can hold for a whole number of 32 bits.
fn may_be_an_integer(operator: &Operator) -> bool {
    match algebra::finite(operator) {
        Some(values) => values.iter().any(|value| value.as_i64().is_some_and(|n| i32::try_from(n).is_ok())),
        None => true,
    }
}
