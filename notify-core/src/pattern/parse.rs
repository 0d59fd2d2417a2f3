//! JSON to the pattern's tree, with every refusal of the strict profile.

use super::limits::{
    MAX_BRANCHES, MAX_DEPTH, MAX_EXPANDED_OPERANDS, MAX_OPERANDS, MAX_TEXT_BYTES, MAX_WILDCARDS,
};
use super::operand::{OPERATOR_NAMES, parse_operator};
use super::operator::{Operator, Test};
use crate::json::pointer_token;
use crate::problem::{Code, Problem};
use serde_json::{Map, Value};
use std::sync::Arc;

/// One object of a pattern: all fields have to match, and one branch of each `$or`.
pub(super) struct Group {
    pub(super) fields: Vec<(Arc<str>, Field)>,
    pub(super) or: Vec<Branch>,
}

pub(super) enum Field {
    Group(Group),
    Test(Arc<Test>),
}

pub(super) struct Branch {
    /// JSON Pointer of the branch in the pattern.
    pub(super) pointer: Arc<str>,
    pub(super) group: Group,
}

/// A refusal at `path`.
pub(super) fn refuse(path: &str, reason: impl Into<String>, fix: impl Into<String>) -> Problem {
    Problem::new(Code::InvalidPattern, path, reason, fix)
}

/// Parses a whole pattern and bounds the size of what `expand` makes of it.
pub(super) fn parse(pattern: &Value) -> Result<Group, Problem> {
    let Value::Object(map) = pattern else {
        return Err(refuse(
            "",
            "a pattern is an object",
            "name event fields, each with a list of accepted values",
        ));
    };
    let group = Parser { operands: 0 }.group(map, "", 1, false)?;
    let size = size(&group);
    let fix = "use lists of values instead of branches, or split it into several rules";
    if size.branches > MAX_BRANCHES {
        let reason = format!("multiplied out, the `$or`s give more than {MAX_BRANCHES} branches");
        return Err(refuse("", reason, fix));
    }
    if size.operands > MAX_EXPANDED_OPERANDS {
        let reason = format!("multiplied out, the `$or`s give more than {MAX_EXPANDED_OPERANDS} values");
        return Err(refuse("", reason, fix));
    }
    if size.wildcards > MAX_WILDCARDS {
        let reason = format!("multiplied out, the pattern has more than {MAX_WILDCARDS} wildcards");
        return Err(refuse(
            "",
            reason,
            "use `prefix`, `suffix` or plain values, or split it into several rules",
        ));
    }
    Ok(group)
}

/// What multiplying out will give. Saturating, so that a product of `$or`s cannot wrap around.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) branches: usize,
    pub(super) operands: usize,
    pub(super) wildcards: usize,
}

impl Size {
    pub(super) fn times(self, other: Self) -> Self {
        let both = |own: usize, others: usize| {
            own.saturating_mul(other.branches).saturating_add(others.saturating_mul(self.branches))
        };
        Self {
            branches: self.branches.saturating_mul(other.branches),
            operands: both(self.operands, other.operands),
            wildcards: both(self.wildcards, other.wildcards),
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            branches: self.branches.saturating_add(other.branches),
            operands: self.operands.saturating_add(other.operands),
            wildcards: self.wildcards.saturating_add(other.wildcards),
        }
    }
}

fn size(group: &Group) -> Size {
    let of_field = |(_, field): &(Arc<str>, Field)| match field {
        Field::Group(inner) => size(inner),
        Field::Test(test) => {
            let wildcards = test.operators.iter().map(Operator::wildcards).sum();
            Size { branches: 1, operands: test.operators.len(), wildcards }
        }
    };
    let fields =
        group.fields.iter().map(of_field).fold(Size { branches: 1, operands: 0, wildcards: 0 }, Size::times);
    let or = group.or.iter().map(|branch| size(&branch.group)).reduce(Size::plus);
    or.map_or(fields, |or| fields.times(or))
}

struct Parser {
    operands: usize,
}

impl Parser {
    fn group(
        &mut self,
        map: &Map<String, Value>,
        path: &str,
        depth: usize,
        in_or: bool,
    ) -> Result<Group, Problem> {
        if depth > MAX_DEPTH {
            let reason = format!("objects are nested deeper than {MAX_DEPTH} levels");
            return Err(refuse(path, reason, "flatten the pattern"));
        }
        if map.is_empty() {
            return Err(refuse(
                path,
                "an empty object says nothing",
                "name at least one field, or remove it",
            ));
        }
        let mut group = Group { fields: Vec::new(), or: Vec::new() };
        for (key, value) in map {
            let here = format!("{path}/{}", pointer_token(key));
            if key == "$or" {
                group.or = self.or(value, &here, depth)?;
                continue;
            }
            if key.len() > MAX_TEXT_BYTES {
                let reason = format!("the field name is longer than {MAX_TEXT_BYTES} bytes");
                return Err(refuse(path, reason, "shorten it"));
            }
            if in_or && OPERATOR_NAMES.contains(&key.as_str()) {
                let reason =
                    format!("inside `$or`, `{key}` reads as an operator but stands where a field name goes");
                let fix = "name the field first: {\"$or\": [{\"field\": [{\"prefix\": \"x\"}]}, …]}";
                return Err(refuse(&here, reason, fix));
            }
            let field = match value {
                Value::Object(inner) => Field::Group(self.group(inner, &here, depth + 1, in_or)?),
                Value::Array(list) => Field::Test(Arc::new(self.test(list, &here)?)),
                scalar => {
                    let fix = format!("write the accepted values as a list: [{}]", shorten(scalar));
                    return Err(refuse(&here, "a field takes an object or a list of accepted values", fix));
                }
            };
            group.fields.push((key.as_str().into(), field));
        }
        Ok(group)
    }

    fn or(&mut self, value: &Value, path: &str, depth: usize) -> Result<Vec<Branch>, Problem> {
        let fix = "write {\"$or\": [{\"a\": [1]}, {\"b\": [2]}]}";
        let Value::Array(list) = value else {
            return Err(refuse(path, "`$or` takes a list of objects", fix));
        };
        if list.len() < 2 {
            return Err(refuse(path, "`$or` needs at least two branches", "add a branch, or drop the `$or`"));
        }
        let mut branches = Vec::new();
        for (i, item) in list.iter().enumerate() {
            let pointer = format!("{path}/{i}");
            let Value::Object(map) = item else {
                return Err(refuse(&pointer, "each branch of `$or` is an object", fix));
            };
            let group = self.group(map, &pointer, depth + 1, true)?;
            branches.push(Branch { pointer: pointer.into(), group });
        }
        Ok(branches)
    }

    fn test(&mut self, list: &[Value], path: &str) -> Result<Test, Problem> {
        if list.is_empty() {
            return Err(refuse(path, "an empty list can never match", "name at least one accepted value"));
        }
        let mut operators = Vec::with_capacity(list.len());
        for (i, item) in list.iter().enumerate() {
            operators.push(parse_operator(item, &format!("{path}/{i}"), &mut self.operands)?);
        }
        Ok(Test::new(operators))
    }
}

/// Counts operands across the whole pattern.
pub(super) fn count_operand(operands: &mut usize, path: &str) -> Result<(), Problem> {
    *operands += 1;
    if *operands > MAX_OPERANDS {
        let reason = format!("the pattern has more than {MAX_OPERANDS} values");
        return Err(refuse(path, reason, "split it into several rules"));
    }
    Ok(())
}

/// A value as a message can carry it.
pub(super) fn shorten(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
