//! The six required filter dialects of the CloudEvents Subscriptions API, as a second way to write a pattern.
//!
//! Filters compile to the very clauses that patterns compile to, so matching, explaining, indexing and linting know
//! nothing of them. On the way negations are pushed down to the attributes (De Morgan), where `anything-but` and
//! `exists: false` can say them. `docs/patterns.md` has the mapping and where we differ from the specification.

mod attribute;
mod compile;
#[cfg(test)]
mod tests;

use super::Source;
use super::limits::{MAX_BRANCHES, MAX_DEPTH, MAX_EXPANDED_OPERANDS, MAX_TEXT_BYTES};
use super::operator::Operator;
use super::parse::{Group, Size, count_operand, refuse, shorten};
use crate::json::pointer_token;
use crate::problem::Problem;
use attribute::Comparison;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Where filters stand in a rule: what pointers in explanations start with.
pub(super) const PLACE: &str = "/filters";

/// Every dialect.
pub(super) const DIALECTS: [&str; 6] = ["exact", "prefix", "suffix", "all", "any", "not"];

/// What filters compile to, and where each of its tests comes from.
pub(super) struct Compiled {
    pub(super) group: Group,
    pub(super) sources: Vec<Source>,
}

/// Compiles the list of a rule's `filters`.
pub(super) fn compile(filters: &Value) -> Result<Compiled, Problem> {
    let fix = "write a list of filters, e.g. [{\"exact\": {\"type\": \"scanner.report.ready\"}}]";
    let Value::Array(list) = filters else { return Err(refuse("", "filters are a list", fix)) };
    let mut reader = Reader { operands: 0 };
    let node = reader.list(list, "", 1, Sign::Plain, fix)?;
    Ok(compile::compile(&node))
}

/// Whether an odd number of `not` stands around a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Plain,
    Negated,
}

impl Sign {
    fn flipped(self) -> Self {
        match self {
            Self::Plain => Self::Negated,
            Self::Negated => Self::Plain,
        }
    }
}

/// Filters without `not`.
#[derive(Debug, Clone)]
enum Node {
    Test(Leaf),
    /// Of nothing: holds always. Never written by a user, but a list of one is that one.
    All(Vec<Node>),
    Any(Vec<Leafy>),
}

/// One branch of an `Any` and where it was written.
#[derive(Debug, Clone)]
struct Leafy {
    at: String,
    node: Node,
}

#[derive(Debug, Clone)]
struct Leaf {
    at: String,
    attribute: Arc<str>,
    operators: Vec<Operator>,
}

impl Node {
    /// What multiplying out will give.
    fn size(&self) -> Size {
        match self {
            Self::Test(leaf) => Size { branches: 1, operands: leaf.operators.len(), wildcards: 0 },
            Self::All(nodes) => nodes
                .iter()
                .map(Self::size)
                .fold(Size { branches: 1, operands: 0, wildcards: 0 }, Size::times),
            Self::Any(branches) => branches
                .iter()
                .map(|branch| branch.node.size())
                .fold(Size { branches: 0, operands: 0, wildcards: 0 }, Size::plus),
        }
    }
}

struct Reader {
    operands: usize,
}

impl Reader {
    /// A list of filters: all have to hold, or any, if a `not` stands around.
    fn list(
        &mut self,
        list: &[Value],
        path: &str,
        depth: usize,
        sign: Sign,
        fix: &str,
    ) -> Result<Node, Problem> {
        if list.is_empty() {
            return Err(refuse(path, "an empty list says nothing", fix));
        }
        let parts = self.parts(list, path, depth, sign)?;
        match sign {
            Sign::Plain => bounded(all(parts), path),
            Sign::Negated => bounded(any(parts, path), path),
        }
    }

    fn parts(&mut self, list: &[Value], path: &str, depth: usize, sign: Sign) -> Result<Vec<Leafy>, Problem> {
        let one = |(i, filter): (usize, &Value)| {
            let at = format!("{path}/{i}");
            Ok(Leafy { node: self.filter(filter, &at, depth, sign)?, at })
        };
        list.iter().enumerate().map(one).collect()
    }

    fn filter(&mut self, filter: &Value, path: &str, depth: usize, sign: Sign) -> Result<Node, Problem> {
        let form = "write one dialect per filter, e.g. {\"exact\": {\"type\": \"scanner.report.ready\"}}";
        if depth > MAX_DEPTH {
            let reason = format!("filters are nested deeper than {MAX_DEPTH} levels");
            return Err(refuse(path, reason, "flatten them"));
        }
        let Value::Object(map) = filter else {
            return Err(refuse(path, format!("a filter is an object, not {}", shorten(filter)), form));
        };
        let mut entries = map.iter();
        let (dialect, operand) = match (entries.next(), entries.next()) {
            (Some(entry), None) => entry,
            (None, _) => return Err(refuse(path, "an empty filter says nothing", form)),
            (Some(_), Some(_)) => {
                let fix =
                    "give each dialect a filter of its own; in `filters` and in `all` every one has to hold";
                return Err(refuse(path, "one filter names one dialect", fix));
            }
        };
        let here = format!("{path}/{}", pointer_token(dialect));
        match dialect.as_str() {
            "all" | "any" => {
                let fix = format!("write {{\"{dialect}\": [{{\"exact\": {{\"type\": \"a\"}}}}, …]}}");
                let Value::Array(list) = operand else {
                    return Err(refuse(&here, format!("`{dialect}` takes a list of filters"), fix));
                };
                if list.is_empty() {
                    return Err(refuse(&here, format!("`{dialect}` of no filters says nothing"), fix));
                }
                let parts = self.parts(list, &here, depth + 1, sign)?;
                // A negated `all` is an `any` of what is negated inside, and the other way round.
                let is_all = (dialect == "all") == (sign == Sign::Plain);
                bounded(if is_all { all(parts) } else { any(parts, &here) }, &here)
            }
            "not" => self.filter(operand, &here, depth + 1, sign.flipped()),
            "exact" | "prefix" | "suffix" => {
                let Value::Object(attributes) = operand else {
                    let fix = format!("write {{\"{dialect}\": {{\"type\": \"scanner.report.ready\"}}}}");
                    return Err(refuse(&here, format!("`{dialect}` takes attributes and their values"), fix));
                };
                self.attributes(dialect, attributes, &here, sign)
            }
            "sql" => Err(refuse(
                &here,
                "the dialect `sql` (CESQL) is not offered",
                format!("use {}, or write the rule with `match` in place of `filters`", DIALECTS.join(", ")),
            )),
            other => Err(refuse(
                &here,
                format!("`{}` is no filter dialect", shorten(&Value::from(other)).trim_matches('"')),
                format!("use one of {}", DIALECTS.join(", ")),
            )),
        }
    }

    fn attributes(
        &mut self,
        dialect: &str,
        attributes: &Map<String, Value>,
        path: &str,
        sign: Sign,
    ) -> Result<Node, Problem> {
        if attributes.is_empty() {
            let fix = "name at least one attribute, e.g. `type`";
            return Err(refuse(path, format!("`{dialect}` of no attributes says nothing"), fix));
        }
        let mut parts = Vec::with_capacity(attributes.len());
        for (name, operand) in attributes {
            let at = format!("{path}/{}", pointer_token(name));
            attribute::check_name(name, &at)?;
            let Value::String(text) = operand else {
                let reason = format!("an attribute is compared with a text, not {}", shorten(operand));
                return Err(refuse(&at, reason, "write it in quotes: \"5\" also holds for the number 5"));
            };
            if text.is_empty() {
                let fix = "write a text; for an attribute of any value use `match` with `exists: true`";
                return Err(refuse(&at, "the text is empty, which no attribute is", fix));
            }
            if text.len() > MAX_TEXT_BYTES {
                let reason =
                    format!("the text has {} bytes, more than the {MAX_TEXT_BYTES} allowed", text.len());
                return Err(refuse(&at, reason, "shorten it"));
            }
            count_operand(&mut self.operands, &at)?;
            let comparison = Comparison::new(dialect, name, text);
            let tests = match sign {
                Sign::Plain => vec![comparison.holds()],
                Sign::Negated => comparison.fails(),
            };
            let name: Arc<str> = name.as_str().into();
            let leaf = |operators| Node::Test(Leaf { at: at.clone(), attribute: name.clone(), operators });
            let mut tests: Vec<Node> = tests.into_iter().map(leaf).collect();
            let node = if tests.len() == 1 { tests.swap_remove(0) } else { Node::All(tests) };
            parts.push(Leafy { at, node });
        }
        match sign {
            Sign::Plain => bounded(all(parts), path),
            Sign::Negated => bounded(any(parts, path), path),
        }
    }
}

/// Refuses what would be too much when it is multiplied out, at the innermost place that is.
fn bounded(node: Node, path: &str) -> Result<Node, Problem> {
    let size = node.size();
    let fix = "list the values of one attribute in one `any`, or split it into several rules";
    if size.branches > MAX_BRANCHES {
        let reason = format!("multiplied out, the filters give more than {MAX_BRANCHES} branches");
        return Err(refuse(path, reason, fix));
    }
    if size.operands > MAX_EXPANDED_OPERANDS {
        let reason = format!("multiplied out, the filters give more than {MAX_EXPANDED_OPERANDS} values");
        return Err(refuse(path, reason, fix));
    }
    Ok(node)
}

fn all(parts: Vec<Leafy>) -> Node {
    let mut nodes = Vec::with_capacity(parts.len());
    for part in parts {
        match part.node {
            Node::All(inner) => nodes.extend(inner),
            other => nodes.push(other),
        }
    }
    if nodes.len() == 1 { nodes.swap_remove(0) } else { Node::All(nodes) }
}

/// Alternatives about one attribute become one list of values, which needs no branches.
fn any(parts: Vec<Leafy>, path: &str) -> Node {
    let mut flat = Vec::with_capacity(parts.len());
    for part in parts {
        match part.node {
            Node::Any(inner) => flat.extend(inner),
            _ => flat.push(part),
        }
    }
    let mut branches: Vec<Leafy> = Vec::with_capacity(flat.len());
    let mut place_of = std::collections::BTreeMap::<Arc<str>, usize>::new();
    for branch in flat {
        let Node::Test(leaf) = branch.node else {
            branches.push(branch);
            continue;
        };
        let known = place_of.get(&leaf.attribute).and_then(|place| branches.get_mut(*place));
        match known {
            Some(Leafy { at, node: Node::Test(same) }) => {
                at.replace_range(.., path);
                same.at.replace_range(.., path);
                same.operators.extend(leaf.operators);
            }
            _ => {
                place_of.insert(leaf.attribute.clone(), branches.len());
                branches.push(Leafy { at: branch.at, node: Node::Test(leaf) });
            }
        }
    }
    if branches.len() == 1 { branches.swap_remove(0).node } else { Node::Any(branches) }
}
