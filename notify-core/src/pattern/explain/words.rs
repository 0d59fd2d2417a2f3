//! The sentences: for an admin who knows the rule's fields and has never seen an evaluator.

use super::{Alternative, Clause, ConflictElement, Found, Seen};
use crate::pattern::operator::{AnythingBut, NumericRange, Operator};
use crate::pattern::parse::shorten;
use crate::severity::Severity;
use serde_json::Value;
use std::fmt::Write as _;
use std::ops::Bound;

/// Wishes, values, clauses and alternatives named in one sentence; the rest are counted.
const MAX_NAMED: usize = 5;
const MAX_CLAUSES: usize = 8;

/// `a`, `a or b`, `a, b or c`; what is beyond [`MAX_NAMED`] is counted.
fn listed(parts: &[String], last: &str, more: &str) -> String {
    let (named, beyond) = match parts.len() > MAX_NAMED + 1 {
        true => (parts.get(..MAX_NAMED).unwrap_or_default(), parts.len() - MAX_NAMED),
        false => (parts, 0),
    };
    if beyond > 0 {
        return format!("{} {last} {beyond} {more}", named.join(", "));
    }
    match named.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((end, before)) => format!("{} {last} {end}", before.join(", ")),
    }
}

/// All that a field may be.
pub(super) fn wants(operators: &[Operator]) -> String {
    let parts: Vec<String> = operators.iter().map(wish).collect();
    listed(&parts, "or", "other things")
}

fn wish(operator: &Operator) -> String {
    let operand = || shorten(&operator.operand());
    match operator {
        Operator::Null | Operator::Bool(_) | Operator::Number(_) | Operator::Text(_) => operand(),
        Operator::Prefix(text) if text.is_empty() => "any text".to_owned(),
        Operator::Suffix(text) if text.is_empty() => "any text".to_owned(),
        Operator::Prefix(_) => format!("a text that starts with {}", operand()),
        Operator::Suffix(_) => format!("a text that ends with {}", operand()),
        Operator::EqualsIgnoreCase(_) => format!("{} in upper or lower case", operand()),
        Operator::PrefixIgnoreCase(folded) => {
            format!("a text that starts with {} in upper or lower case", quoted(folded.source()))
        }
        Operator::SuffixIgnoreCase(folded) => {
            format!("a text that ends with {} in upper or lower case", quoted(folded.source()))
        }
        Operator::Wildcard(_) => format!("a text of the form {}", operand()),
        Operator::Numeric(range) => number(range),
        Operator::Cidr(network) => format!("an IP address in {}", network.source()),
        Operator::AtLeast(severity) => format!("a severity of {} or above", severity.name()),
        Operator::AtMost(severity) => format!("a severity of {} or below", severity.name()),
        Operator::AnythingBut(not) => anything_but(not),
        Operator::Exists(true) => "any value".to_owned(),
        Operator::Exists(false) => "no value at all".to_owned(),
    }
}

fn quoted(text: &str) -> String {
    shorten(&Value::from(text))
}

fn number(range: &NumericRange) -> String {
    let shown = |number: &crate::pattern::number::Num| number.to_json().to_string();
    let low = match &range.low {
        Bound::Excluded(n) => Some(format!("greater than {}", shown(n))),
        Bound::Included(n) => Some(format!("of at least {}", shown(n))),
        Bound::Unbounded => None,
    };
    let high = match &range.high {
        Bound::Excluded(n) => Some(format!("less than {}", shown(n))),
        Bound::Included(n) => Some(format!("of at most {}", shown(n))),
        Bound::Unbounded => None,
    };
    match (low, high) {
        _ if range.low == range.high && range.low != Bound::Unbounded => match &range.low {
            Bound::Included(n) | Bound::Excluded(n) => format!("the number {}", shown(n)),
            Bound::Unbounded => "a number".to_owned(),
        },
        (Some(low), Some(high)) => format!("a number {low} and {high}"),
        (Some(only), None) | (None, Some(only)) => format!("a number {only}"),
        (None, None) => "a number".to_owned(),
    }
}

fn anything_but(not: &AnythingBut) -> String {
    let texts: Vec<String> = not
        .operands
        .iter()
        .map(|operand| match operand {
            Operator::PrefixIgnoreCase(folded) | Operator::SuffixIgnoreCase(folded) => {
                format!("{} in upper or lower case", quoted(folded.source()))
            }
            other => shorten(&other.operand()),
        })
        .collect();
    let texts = listed(&texts, "or", "others");
    match not.form {
        None => format!("any value except {texts}"),
        Some("prefix") => format!("any value that does not start with {texts}"),
        Some("suffix") => format!("any value that does not end with {texts}"),
        Some("wildcard") => format!("any value that is not of the form {texts}"),
        Some("equals-ignore-case") => format!("any value except {texts} in upper or lower case"),
        Some(other) => format!("any value except {other} {texts}"),
    }
}

pub(super) const fn nothing(found: Found) -> &'static str {
    match found {
        Found::Values | Found::Absent => "absent",
        Found::Object => "an object, not a single value",
        Found::EmptyList => "an empty list",
    }
}

/// `1`, `1 and 2`, `1, 2 and 7 more`.
pub(super) fn some_values(seen: &[Seen], total: usize) -> String {
    let shown: Vec<String> = seen.iter().take(3).map(|seen| shorten(&seen.value)).collect();
    let more = total.saturating_sub(shown.len());
    match (more, shown.split_last()) {
        (0, Some((last, before))) if !before.is_empty() => format!("{} and {last}", before.join(", ")),
        (0, _) => shown.concat(),
        _ => format!("{} and {more} more", shown.join(", ")),
    }
}

/// What the event has at the clause's field.
pub(super) fn has(clause: &Clause) -> String {
    match clause.found {
        Found::Values => some_values(&clause.seen, clause.seen_total),
        other => nothing(other).to_owned(),
    }
}

pub(super) fn clause(clause: &Clause, operators: &[Operator]) -> String {
    let mut sentence = if clause.matched { held(clause, operators) } else { failed(clause, operators) };
    if let Some(source) = &clause.source {
        let _ = write!(sentence, " (`{source}`)"); // writing to a String cannot fail
    }
    sentence
}

fn held(clause: &Clause, operators: &[Operator]) -> String {
    let path = &clause.path;
    let Some(value) = clause.seen.iter().find(|seen| seen.matched) else {
        return match (clause.found, clause.seen_total) {
            (Found::Values, _) => {
                format!(
                    "`{path}` is absent in the list element that the other conditions chose, as the rule wants"
                )
            }
            (found, _) => format!("`{path}` is {}, as the rule wants", nothing(found)),
        };
    };
    let shown = shorten(&value.value);
    let start = match clause.seen_total {
        1 => format!("`{path}` is {shown}"),
        total => format!("one of the {total} values of `{path}` is {shown}"),
    };
    let by: Vec<&Operator> =
        operators.iter().zip(&clause.any_of).filter(|(_, choice)| choice.matched).map(|(o, _)| o).collect();
    let plain = |operator: &&Operator| operator.name() == "equals";
    if by.iter().any(plain) {
        return format!("{start}, as the rule wants");
    }
    let wishes: Vec<String> = by.into_iter().map(wish).collect();
    format!("{start}, as the rule wants ({})", listed(&wishes, "or", "other things"))
}

fn failed(clause: &Clause, operators: &[Operator]) -> String {
    let path = &clause.path;
    let only_absence = operators.iter().all(|operator| *operator == Operator::Exists(false));
    let wants = if only_absence { "it to be absent".to_owned() } else { clause.wants.clone() };
    match (clause.found, clause.seen.as_slice()) {
        (Found::Values, [one]) => {
            let value = typed(&one.value, operators);
            format!("`{path}` is {value}, but the rule wants {wants}{}", hint(&one.value, operators))
        }
        (Found::Values, _) if only_absence => {
            format!("`{path}` has the values {}, but the rule wants {wants}", clause.has)
        }
        (Found::Values, _) => {
            format!("`{path}` has the values {}, but the rule wants one that is {wants}", clause.has)
        }
        (found, _) => format!("`{path}` is {}, but the rule wants {wants}", nothing(found)),
    }
}

/// A value, with its type where that is what is wrong with it.
fn typed(value: &Value, operators: &[Operator]) -> String {
    let numbers = operators.iter().any(|o| matches!(o, Operator::Number(_) | Operator::Numeric(_)));
    let other = |o: &Operator| {
        matches!(o, Operator::Null | Operator::Bool(_) | Operator::AnythingBut(_) | Operator::Exists(_))
    };
    let texts = !operators.iter().any(other);
    let shown = shorten(value);
    match value {
        Value::String(text) if numbers && text.trim().parse::<f64>().is_ok() => format!("the text {shown}"),
        Value::Number(_) if texts && !numbers => format!("the number {shown}"),
        _ => shown,
    }
}

/// Severities are lower case; nearly the right one deserves a word.
fn hint(value: &Value, operators: &[Operator]) -> &'static str {
    let ordered = operators.iter().any(|o| matches!(o, Operator::AtLeast(_) | Operator::AtMost(_)));
    match value {
        Value::String(text) if ordered && Severity::from_name(text).is_none() => {
            if Severity::from_name(&text.trim().to_lowercase()).is_some() {
                " (severities are written in lower case)"
            } else {
                " (and that is no severity)"
            }
        }
        _ => "",
    }
}

pub(super) fn conflict(array: &str, elements: &[ConflictElement]) -> String {
    let mut out =
        format!("each condition holds for some element of the list `{array}`, but no element meets them all");
    for (i, element) in elements.iter().enumerate() {
        out.push_str(if i == 0 { ": " } else { "; " });
        let fails: Vec<String> = element
            .fails
            .iter()
            .take(3)
            .map(|fails| format!("`{}` is {}, but the rule wants {}", fails.path, fails.has, fails.wants))
            .collect();
        let _ = write!(out, "in `{}` {}", element.element, fails.join(" and "));
    }
    out
}

/// One paragraph on the whole: why it matched, or what failed in each alternative.
pub(super) fn whole(alternatives: &[Alternative], event: &Value) -> String {
    if let Some(hit) = alternatives.iter().find(|alternative| alternative.matched) {
        let by = if hit.branches.is_empty() { String::new() } else { format!(" by {}", branches(hit)) };
        let sentences: Vec<&str> = hit.clauses.iter().map(|clause| clause.sentence.as_str()).collect();
        return format!("The event matches{by}: {}.", some(&sentences));
    }
    if !event.is_object() {
        return "The event does not match: it is no object, and rules look at the fields of one.".to_owned();
    }
    let failures = |alternative: &Alternative| {
        let failed = alternative.clauses.iter().filter(|clause| !clause.matched);
        let mut sentences: Vec<&str> = failed.map(|clause| clause.sentence.as_str()).collect();
        sentences.extend(alternative.conflict.iter().map(|conflict| conflict.sentence.as_str()));
        some(&sentences)
    };
    if let [only] = alternatives
        && only.branches.is_empty()
    {
        return format!("The event does not match: {}.", failures(only));
    }
    let mut out = format!("The event matches none of the {} alternatives.", alternatives.len());
    for alternative in alternatives.iter().take(MAX_NAMED) {
        let _ = write!(out, " In {}: {}.", branches(alternative), failures(alternative));
    }
    if alternatives.len() > MAX_NAMED {
        let _ = write!(out, " {} more are not shown here.", alternatives.len() - MAX_NAMED);
    }
    out
}

fn branches(alternative: &Alternative) -> String {
    let named: Vec<String> = alternative.branches.iter().map(|branch| format!("`{branch}`")).collect();
    named.join(" with ")
}

fn some(sentences: &[&str]) -> String {
    let named = sentences.get(..MAX_CLAUSES.min(sentences.len())).unwrap_or_default().join("; ");
    match sentences.len().saturating_sub(MAX_CLAUSES) {
        0 => named,
        more => format!("{named}; and {more} more"),
    }
}
