//! Lists, entries and branches that say nothing, say it twice, or say what is probably not meant.

use super::algebra::{MAX_PAIRS, finite, implies};
use super::{Clause, Kind, Study};
use crate::json::pointer_token;
use crate::lint::{Code, Finding};
use crate::pattern::operator::Operator;
use crate::pattern::parse::shorten;
use crate::severity::Severity;
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};

pub(super) fn findings(study: &Study) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let clauses = study.ways.iter().flat_map(|way| &way.clauses);
    for clause in clauses.filter(|clause| seen.insert(clause.place.clone())) {
        if !study.written_as_filters {
            found.extend(dead_entries(clause));
            found.extend(redundant_entries(clause));
        }
        found.extend(unknown_severities(clause, study.written_as_filters));
        found.extend(empty(clause));
    }
    for way in study.ways.iter().filter(|way| way.dead.is_none()) {
        if way.clauses.iter().all(|clause| Kind::of(&clause.steps).always(&clause.test)) {
            found.push(Finding::new(
                Code::MatchesEverything,
                &way.place,
                "every event of the tenant matches",
                "name at least the event's `type`, unless that is meant",
            ));
        } else if !way.indexable {
            found.push(Finding::new(
                Code::NotIndexable,
                &way.place,
                "every clause accepts absence or is `anything-but`, so the rule is evaluated for every event",
                "add a clause with values, such as the event's `type`",
            ));
        }
    }
    found.extend(study.identical.iter().map(|place| {
        let reason = "an earlier branch of the same list says the same";
        Finding::new(Code::IdenticalBranches, place, reason, "remove one, or correct it")
    }));
    found
}

fn empty(clause: &Clause) -> Option<Finding> {
    Kind::of(&clause.steps).always(&clause.test).then(|| {
        Finding::new(
            Code::EmptyClause,
            &*clause.place,
            "this holds for every event",
            "remove it, or say what is wanted",
        )
    })
}

/// As it is written.
fn shown(operator: &Operator) -> String {
    match operator.name() {
        "equals" => shorten(&operator.operand()),
        name => format!("{{\"{name}\": {}}}", shorten(&operator.operand())),
    }
}

/// Where none can hold, the whole way is dead and reported as such.
fn dead_entries(clause: &Clause) -> Vec<Finding> {
    let kind = Kind::of(&clause.steps);
    if !clause.test.operators.iter().any(|operator| kind.allows(operator)) {
        return Vec::new();
    }
    let dead = clause.test.operators.iter().enumerate().filter(|(_, operator)| !kind.allows(operator));
    let one = |(index, operator): (usize, &Operator)| {
        let reason = format!("{} never holds for `{}`", shown(operator), clause.steps.join("/"));
        let fix = "remove it; `docs/patterns.md` says which values attributes have";
        Finding::new(Code::DeadEntry, format!("{}/{index}", clause.place), reason, fix)
    };
    dead.map(one).collect()
}

/// Plain values are looked up; only operators are compared with every entry, and that only in lists of some hundreds.
fn redundant_entries(clause: &Clause) -> Vec<Finding> {
    let operators = &clause.test.operators;
    let mut found = Vec::new();
    let mut first = HashMap::<&Operator, usize>::new();
    let open: Vec<(usize, &Operator)> = operators
        .iter()
        .enumerate()
        .filter(|(_, o)| finite(o).is_none_or(|values| values.len() > 1))
        .collect();
    let open = if open.len().saturating_mul(operators.len()) > MAX_PAIRS { Vec::new() } else { open };
    for (index, operator) in operators.iter().enumerate() {
        let equal = *first.entry(operator).or_insert(index);
        let wider = || {
            open.iter().find(|(other, wider)| {
                *other != index
                    && implies(operator, wider)
                    // Of two that say the same the later one is too much.
                    && (*other < index || !implies(wider, operator))
            })
        };
        let by = if equal < index { Some(equal) } else { wider().map(|(other, _)| *other) };
        if let Some(other) = by.and_then(|by| operators.get(by).map(|operator| (by, operator))) {
            let (by, wider) = other;
            let reason =
                format!("{} is covered by {} at `{}/{by}`", shown(operator), shown(wider), clause.place);
            let fix = "remove it, or narrow the other one";
            found.push(Finding::new(Code::RedundantEntry, format!("{}/{index}", clause.place), reason, fix));
        }
    }
    found
}

fn unknown_severities(clause: &Clause, one_place: bool) -> Vec<Finding> {
    let mut found = Vec::new();
    if clause.steps.len() != 1 || !super::names(clause, "severity") {
        return found;
    }
    for (index, operator) in clause.test.operators.iter().enumerate() {
        let inside = match operator {
            Operator::AnythingBut(not) => not.operands.as_ref(),
            other => std::slice::from_ref(other),
        };
        for operand in inside {
            let Operator::Text(text) = operand else { continue };
            if text.is_empty() || Severity::from_name(text).is_some() {
                continue;
            }
            let names = Severity::ALL.map(Severity::name).join(", ");
            let fix = match Severity::from_name(&text.to_lowercase()) {
                Some(meant) => format!("write `{meant}`, in lower case"),
                None => format!("use one of {names}"),
            };
            let place =
                if one_place { clause.place.to_string() } else { format!("{}/{index}", clause.place) };
            let reason = format!("{} is no severity", shorten(&Value::from(&**text)));
            found.push(Finding::new(Code::UnknownSeverity, place, reason, fix));
        }
    }
    found
}

/// Places of branches that an earlier branch of the same list equals. `lists` are the keys whose lists hold branches;
/// the empty one stands for the value itself.
pub(super) fn identical(value: &Value, at: &str, lists: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    if let (Value::Array(branches), true) = (value, lists.contains(&"")) {
        repeated(branches, at, &mut found);
    }
    search(value, at, lists, &mut found);
    found
}

/// Recursion is bounded: the pattern was compiled before.
fn search(value: &Value, at: &str, lists: &[&str], found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, inner) in members {
                let here = format!("{at}/{}", pointer_token(key));
                match inner {
                    Value::Array(branches) if lists.contains(&key.as_str()) => {
                        repeated(branches, &here, found);
                        search(inner, &here, lists, found);
                    }
                    Value::Object(_) => search(inner, &here, lists, found),
                    _ => {}
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                search(item, &format!("{at}/{index}"), lists, found);
            }
        }
        _ => {}
    }
}

fn repeated(branches: &[Value], at: &str, found: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for (index, branch) in branches.iter().enumerate() {
        // Keys of a JSON object have one order in memory or the order of the author; either way equal texts are equal
        // branches, and the same branch written in another order is a rarity.
        if branch.is_object() && !seen.insert(branch.to_string()) {
            found.push(format!("{at}/{index}"));
        }
    }
}
