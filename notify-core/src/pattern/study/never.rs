//! Clauses that exclude each other, or ask for what no event has.

use super::algebra::no_common_value;
use super::{Clause, Kind, Study, Way};
use crate::json::pointer_token;
use crate::lint::{Code, Finding};
use crate::pattern::operator::{Operator, Test};
use crate::pattern::parse::shorten;
use serde_json::Value;
use std::sync::Arc;

/// Why no event can satisfy a list of clauses.
pub(super) struct Reason {
    place: Arc<str>,
    reason: String,
    fix: String,
}

/// Clauses that stand at one field. In the list of a way they stand beside each other.
fn at_one_field(clauses: &[Clause]) -> impl Iterator<Item = &[Clause]> {
    clauses.chunk_by(|a, b| a.steps == b.steps)
}

pub(super) fn reason(clauses: &[Clause]) -> Option<Reason> {
    clauses.iter().find_map(alone).or_else(|| at_one_field(clauses).find_map(together))
}

fn field(clause: &Clause) -> String {
    clause.steps.iter().map(|step| format!("/{}", pointer_token(step))).collect()
}

/// A clause that no event satisfies.
fn alone(clause: &Clause) -> Option<Reason> {
    let kind = Kind::of(&clause.steps);
    if clause.test.operators.iter().any(|operator| kind.allows(operator)) {
        return None;
    }
    let field = field(clause);
    let (reason, fix) = match (kind, clause.steps.as_slice()) {
        (_, [only]) if kind.always_there() && clause.test.accepts_absence => (
            format!("every event has `{only}`, so it is never absent"),
            "remove the clause, or ask for a value".to_owned(),
        ),
        (Kind::Version, _) => (
            "`specversion` is always `1.0`".to_owned(),
            "remove the clause: only CloudEvents 1.0 is taken in".to_owned(),
        ),
        (Kind::Text { .. }, [only]) => {
            (format!("`{only}` is always a text and never empty"), "write texts, in quotes".to_owned())
        }
        (Kind::Extension, [only]) => (
            format!("the attribute `{only}` is a text, true, false or a whole number of 32 bits"),
            "correct the values, or look into `data`".to_owned(),
        ),
        (_, [only]) => (
            format!(
                "no event has an attribute `{}`: their names are of a-z and 0-9",
                shorten(&Value::from(&**only)).trim_matches('"')
            ),
            format!("if it is a field of the data, write it inside `data`: `/data{field}`"),
        ),
        _ => (
            "attributes have no fields inside; only `data` does".to_owned(),
            format!("if it is a field of the data, write it inside `data`: `/data{field}`"),
        ),
    };
    Some(Reason { place: clause.place.clone(), reason, fix })
}

/// Clauses at one field of which no event satisfies all.
fn together(clauses: &[Clause]) -> Option<Reason> {
    let first = clauses.first()?;
    let kind = Kind::of(&first.steps);
    let all_absent = clauses.iter().all(|clause| clause.test.accepts_absence);
    if clauses.len() < 2 || (all_absent && !kind.always_there()) {
        return None;
    }
    // One has to be absent and another has to have a value: whatever the value, and in arrays too, since clauses at one
    // field are judged on the same element.
    let wants_absence = |test: &Test| test.operators.iter().all(|o| *o == Operator::Exists(false));
    let absent = clauses.iter().find(|clause| wants_absence(&clause.test));
    let (place, what) = match absent {
        Some(absent) => (absent.place.clone(), "one asks for absence and another for a value"),
        None if kind.is_single() && no_common_value(&live(kind, clauses)) => {
            (clauses.last()?.place.clone(), "no value satisfies all of them")
        }
        None => return None,
    };
    let others: Vec<String> =
        clauses.iter().filter(|c| c.place != place).map(|c| format!("`{}`", c.place)).collect();
    Some(Reason {
        place,
        reason: format!(
            "`{}` is asked for here and at {}: {what}",
            field(first),
            others.first().cloned().unwrap_or_default()
        ),
        fix: "all clauses of a pattern have to hold, inside `$or` and around it: remove one, or make them alternatives \
              in one list"
            .to_owned(),
    })
}

/// The tests, without those entries that can never hold there. (A value that only such an entry accepts is no value
/// of the field.)
fn live(kind: Kind, clauses: &[Clause]) -> Vec<Test> {
    let of = |clause: &Clause| {
        Test::new(clause.test.operators.iter().filter(|operator| kind.allows(operator)).cloned().collect())
    };
    clauses.iter().map(of).collect()
}

/// Lists at one field of the data that only different elements of an array can satisfy.
pub(super) fn needs_array(way: &Way) -> Option<Reason> {
    at_one_field(&way.clauses).find_map(|clauses| {
        let (first, last) = (clauses.first()?, clauses.last()?);
        let tests: Vec<Test> = clauses.iter().map(|clause| (*clause.test).clone()).collect();
        let all_absent = tests.iter().all(|test| test.accepts_absence);
        if tests.len() < 2 || Kind::of(&first.steps).is_single() || all_absent {
            return None;
        }
        no_common_value(&tests).then(|| Reason {
            place: last.place.clone(),
            reason: format!(
                "no single value of `{}` satisfies this and `{}`; only an array with different elements can",
                field(first),
                first.place
            ),
            fix: "if the field is not an array, remove one of the two, or make them alternatives in one list"
                .to_owned(),
        })
    })
}

pub(super) fn findings(study: &Study) -> Vec<Finding> {
    let dead = |way: &&Way| way.dead.is_some();
    let code =
        if study.ways.iter().all(|way| way.dead.is_some()) { Code::NeverMatches } else { Code::DeadBranch };
    let mut found = Vec::new();
    for way in study.ways.iter().filter(dead) {
        let Some(Reason { place, reason, fix }) = &way.dead else { continue };
        if code == Code::NeverMatches {
            found.push(Finding::new(code, &**place, reason, fix));
        } else {
            let reason = format!("in this branch `{place}` can never hold: {reason}");
            found.push(Finding::new(code, &way.place, reason, fix));
        }
    }
    for way in study.ways.iter().filter(|way| way.dead.is_none()) {
        if let Some(Reason { place, reason, fix }) = needs_array(way) {
            found.push(Finding::new(Code::NeedsArray, &*place, reason, fix));
        }
    }
    found
}
