//! One entry of a field's list: a plain value or `{operator: operand}`.

use super::cidr::Network;
use super::fold::Folded;
use super::limits::{MAX_TEXT_BYTES, MAX_WILDCARD_BYTES, MAX_WILDCARD_STARS};
use super::number::Num;
use super::operator::{AnythingBut, NumericRange, Operator};
use super::parse::{count_operand, refuse, shorten};
use super::wildcard::{Wildcard, WildcardFault};
use crate::problem::Problem;
use crate::severity::Severity;
use serde_json::{Map, Value};
use std::ops::Bound;

/// Every operator a list entry may use.
pub(super) const OPERATOR_NAMES: [&str; 10] = [
    "prefix",
    "suffix",
    "equals-ignore-case",
    "wildcard",
    "anything-but",
    "numeric",
    "cidr",
    "exists",
    "at-least",
    "at-most",
];

/// Parses one entry; `operands` counts across the pattern.
pub(super) fn parse_operator(item: &Value, path: &str, operands: &mut usize) -> Result<Operator, Problem> {
    count_operand(operands, path)?;
    match item {
        Value::Null => Ok(Operator::Null),
        Value::Bool(b) => Ok(Operator::Bool(*b)),
        Value::Number(n) => Ok(Operator::Number(Num::of(n))),
        Value::String(_) => Ok(Operator::Text(text(item, path)?.into())),
        Value::Array(_) => {
            Err(refuse(path, "a list inside a list of accepted values", "write one flat list"))
        }
        Value::Object(map) => {
            let (name, operand) = only_entry(map, path)?;
            let here = format!("{path}/{}", crate::json::pointer_token(name));
            named(name, operand, &here, operands)
        }
    }
}

fn named(name: &str, operand: &Value, path: &str, operands: &mut usize) -> Result<Operator, Problem> {
    match name {
        "prefix" => affix(operand, path, Operator::Prefix, Operator::PrefixIgnoreCase),
        "suffix" => affix(operand, path, Operator::Suffix, Operator::SuffixIgnoreCase),
        "equals-ignore-case" => Ok(Operator::EqualsIgnoreCase(Folded::new(text(operand, path)?))),
        "wildcard" => wildcard(operand, path),
        "anything-but" => anything_but(operand, path, operands),
        "numeric" => numeric(operand, path),
        "cidr" => cidr(operand, path),
        "exists" => match operand {
            Value::Bool(exists) => Ok(Operator::Exists(*exists)),
            _ => Err(refuse(
                path,
                "`exists` takes true or false",
                "write {\"exists\": true} or {\"exists\": false}",
            )),
        },
        "at-least" => Ok(Operator::AtLeast(severity(operand, path)?)),
        "at-most" => Ok(Operator::AtMost(severity(operand, path)?)),
        _ => {
            let reason = format!("`{}` is not an operator", shorten(&Value::from(name)).trim_matches('"'));
            Err(refuse(path, reason, format!("use one of {}", OPERATOR_NAMES.join(", "))))
        }
    }
}

fn only_entry<'m>(map: &'m Map<String, Value>, path: &str) -> Result<(&'m str, &'m Value), Problem> {
    let mut entries = map.iter();
    match (entries.next(), entries.next()) {
        (Some((name, operand)), None) => Ok((name, operand)),
        (None, _) => Err(refuse(
            path,
            "an empty object where an operator goes",
            "write {\"prefix\": \"x\"} or the like",
        )),
        (Some(_), Some(_)) => Err(refuse(
            path,
            "one object names one operator",
            "give each operator an object of its own in the list",
        )),
    }
}

fn text<'v>(operand: &'v Value, path: &str) -> Result<&'v str, Problem> {
    let Value::String(text) = operand else {
        let reason = format!("a text is needed here, not {}", shorten(operand));
        return Err(refuse(path, reason, "write it in quotes"));
    };
    bounded(text, MAX_TEXT_BYTES, path)?;
    Ok(text)
}

fn bounded(text: &str, limit: usize, path: &str) -> Result<(), Problem> {
    if text.len() > limit {
        let reason = format!("the text has {} bytes, more than the {limit} allowed", text.len());
        return Err(refuse(path, reason, "shorten it"));
    }
    Ok(())
}

/// `prefix` and `suffix` take a text or `{"equals-ignore-case": text}`.
fn affix(
    operand: &Value,
    path: &str,
    exact: fn(Box<str>) -> Operator,
    ignoring_case: fn(Folded) -> Operator,
) -> Result<Operator, Problem> {
    let Value::Object(map) = operand else { return Ok(exact(text(operand, path)?.into())) };
    let (name, inner) = only_entry(map, path)?;
    if name != "equals-ignore-case" {
        let fix = "write {\"equals-ignore-case\": \"x\"} or a text";
        return Err(refuse(path, "only `equals-ignore-case` can stand inside here", fix));
    }
    Ok(ignoring_case(Folded::new(text(inner, &format!("{path}/{name}"))?)))
}

fn wildcard(operand: &Value, path: &str) -> Result<Operator, Problem> {
    let source = text(operand, path)?;
    bounded(source, MAX_WILDCARD_BYTES, path)?;
    let (reason, fix) = match Wildcard::parse(source, MAX_WILDCARD_STARS) {
        Ok(wildcard) => return Ok(Operator::Wildcard(Box::new(wildcard))),
        Err(WildcardFault::AdjacentStars) => {
            ("two stars in a row".to_owned(), "write one star, or `\\*` for a real one")
        }
        Err(WildcardFault::BadEscape) => {
            ("a backslash may only stand before `*` or `\\`".to_owned(), "double the backslash")
        }
        Err(WildcardFault::TooManyStars) => {
            (format!("a wildcard has at most {MAX_WILDCARD_STARS} stars"), "use fewer, longer parts")
        }
    };
    Err(refuse(path, reason, fix))
}

fn cidr(operand: &Value, path: &str) -> Result<Operator, Problem> {
    let source = text(operand, path)?;
    Network::parse(source).map(|network| Operator::Cidr(Box::new(network))).ok_or_else(|| {
        let reason = format!("{} is not a network", shorten(operand));
        refuse(path, reason, "write address/length, for example 10.0.0.0/8 or 2001:db8::/32")
    })
}

fn severity(operand: &Value, path: &str) -> Result<Severity, Problem> {
    let name = text(operand, path)?;
    Severity::from_name(name).ok_or_else(|| {
        let names = Severity::ALL.map(Severity::name).join(", ");
        refuse(path, format!("{} is not a severity", shorten(operand)), format!("use one of {names}"))
    })
}

fn anything_but(operand: &Value, path: &str, operands: &mut usize) -> Result<Operator, Problem> {
    let (form, inner, here) = match operand {
        Value::Object(map) => {
            let (name, inner) = only_entry(map, path)?;
            let forms = ["prefix", "suffix", "equals-ignore-case", "wildcard"];
            let Some(form) = forms.into_iter().find(|form| *form == name) else {
                let reason = format!("`anything-but` cannot negate {}", shorten(&Value::from(name)));
                return Err(refuse(
                    path,
                    reason,
                    format!("use a value, a list of values, or one of {}", forms.join(", ")),
                ));
            };
            (Some(form), inner, format!("{path}/{form}"))
        }
        plain => (None, plain, path.to_owned()),
    };
    let (list, items) = match inner {
        Value::Array(items) => (true, items.as_slice()),
        single => (false, std::slice::from_ref(single)),
    };
    if items.is_empty() {
        return Err(refuse(&here, "an empty list excludes nothing", "name at least one value"));
    }
    let same_type = |item: &Value| item.is_string() == items.first().is_some_and(Value::is_string);
    if form.is_none() && items.iter().any(|item| !(item.is_string() || item.is_number())) {
        let fix = "for null, true and false list the values that are accepted";
        return Err(refuse(&here, "`anything-but` takes texts or numbers", fix));
    }
    if form.is_none() && !items.iter().all(same_type) {
        let fix = "all texts or all numbers; exclude the others in a second rule";
        return Err(refuse(&here, "texts and numbers are mixed", fix));
    }
    let mut excluded = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let at = if list { format!("{here}/{i}") } else { here.clone() };
        count_operand(operands, &at)?;
        excluded.push(match form {
            None if item.is_string() => Operator::Text(text(item, &at)?.into()),
            None => match item {
                Value::Number(n) => Operator::Number(Num::of(n)),
                _ => {
                    return Err(refuse(
                        &at,
                        "`anything-but` takes texts or numbers",
                        "write texts or numbers",
                    ));
                }
            },
            Some("equals-ignore-case") => Operator::EqualsIgnoreCase(Folded::new(text(item, &at)?)),
            Some("wildcard") => wildcard(item, &at)?,
            Some(affix) => {
                let text = text(item, &at)?;
                if text.is_empty() {
                    let reason = format!("every text has the empty {affix}, so this can match none");
                    return Err(refuse(&at, reason, "name at least one character"));
                }
                if affix == "prefix" { Operator::Prefix(text.into()) } else { Operator::Suffix(text.into()) }
            }
        });
    }
    Ok(Operator::AnythingBut(Box::new(AnythingBut::new(form, list, excluded.into()))))
}

fn numeric(operand: &Value, path: &str) -> Result<Operator, Problem> {
    let fix = "write [\">\", 0], [\"=\", 5] or a range from below, [\">=\", 0, \"<\", 10]";
    let Value::Array(terms) = operand else { return Err(refuse(path, "`numeric` takes a list", fix)) };
    let number = |i: usize| match terms.get(i) {
        Some(Value::Number(n)) => Ok(Num::of(n)),
        _ => Err(refuse(path, "each comparison is followed by a number", fix)),
    };
    let comparison = |i: usize| terms.get(i).and_then(Value::as_str);
    let range = match (terms.len(), comparison(0), comparison(2)) {
        (2, Some("="), _) => {
            NumericRange { low: Bound::Included(number(1)?), high: Bound::Included(number(1)?) }
        }
        (2, Some("<"), _) => NumericRange { low: Bound::Unbounded, high: Bound::Excluded(number(1)?) },
        (2, Some("<="), _) => NumericRange { low: Bound::Unbounded, high: Bound::Included(number(1)?) },
        (2, Some(">"), _) => NumericRange { low: Bound::Excluded(number(1)?), high: Bound::Unbounded },
        (2, Some(">="), _) => NumericRange { low: Bound::Included(number(1)?), high: Bound::Unbounded },
        (4, Some(from @ (">" | ">=")), Some(to @ ("<" | "<="))) => {
            let (low, high) = (number(1)?, number(3)?);
            if low >= high {
                let reason = "the lower bound of the range is not below the upper one";
                return Err(refuse(
                    path,
                    reason,
                    "swap or correct the bounds; for one value write [\"=\", value]",
                ));
            }
            NumericRange {
                low: if from == ">" { Bound::Excluded(low) } else { Bound::Included(low) },
                high: if to == "<" { Bound::Excluded(high) } else { Bound::Included(high) },
            }
        }
        _ => return Err(refuse(path, "this is not a comparison or a range", fix)),
    };
    Ok(Operator::Numeric(Box::new(range)))
}
