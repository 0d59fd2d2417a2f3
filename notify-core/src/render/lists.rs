//! What filters do with lists and objects.

use super::budget::{Budget, Fault, Outcome};
use super::eval::{Env, finite};
use super::filters::{Args, number_wanted};
use super::value::{Text, Val};
use crate::severity::Severity;
use serde_json::Value as Json;
use std::cmp::Ordering;

pub fn list_of(value: &Val<'_>) -> Outcome<usize> {
    value.list_len().ok_or_else(|| Fault::new(format!("{} is not a list", value.kind()), "use it on a list"))
}

pub fn collect<'e>(value: &Val<'e>, budget: &Budget) -> Outcome<Vec<Val<'e>>> {
    let length = list_of(value)?;
    budget.make(length * size_of::<Val<'_>>())?;
    Ok((0..length).map(|index| value.at(index)).collect())
}

/// Pairs of key and value in the order of the keys, so that the order in the event does not matter.
pub fn items<'e>(value: &Val<'e>, budget: &Budget) -> Outcome<Val<'e>> {
    let mut pairs: Vec<(&'e str, Val<'e>)> = match value {
        Val::Json(Json::Object(members)) => {
            budget.make(members.len() * 4 * size_of::<Val<'_>>())?;
            members.iter().map(|(key, value)| (key.as_str(), Val::of(value))).collect()
        }
        Val::Record(members) => members.iter().map(|(k, v)| (*k, Val::Text(Text::Borrowed(v)))).collect(),
        other => {
            return Err(Fault::new(format!("{} has no items", other.kind()), "use it on an object"));
        }
    };
    pairs.sort_by_key(|(key, _)| *key);
    let pair = |(key, value)| Val::list(vec![Val::Text(Text::Borrowed(key)), value]);
    Ok(Val::list(pairs.into_iter().map(pair).collect()))
}

/// A member named by a dotted path.
pub fn member<'e>(value: &Val<'e>, path: &str) -> Val<'e> {
    path.split('.').fold(value.clone(), |value, name| value.attr(name))
}

pub fn pluck<'e>(value: &Val<'e>, path: &str, budget: &Budget) -> Outcome<Val<'e>> {
    let mut plucked = Vec::new();
    for (index, item) in collect(value, budget)?.iter().enumerate() {
        budget.step()?;
        match member(item, path) {
            Val::Undefined => return Err(missing_member(index, path)),
            found => plucked.push(found),
        }
    }
    Ok(Val::list(plucked))
}

fn missing_member(index: usize, path: &str) -> Box<Fault> {
    Fault::new(
        format!("item {index} of the list has no `{path}`"),
        "loop over the list and give a `default`, or keep only those that have it with `selectattr`",
    )
}

pub fn join<'e>(value: &Val<'e>, args: &Args<'e>, budget: &Budget) -> Outcome<Val<'e>> {
    let separator = args.text(0)?.unwrap_or(Text::Borrowed(""));
    let value = match args.text(1)? {
        Some(path) => pluck(value, &path, budget)?,
        None => value.clone(),
    };
    let mut parts = Vec::new();
    let mut length = 0_usize;
    for item in collect(&value, budget)? {
        budget.step()?;
        let part = item.to_text()?;
        length = length.saturating_add(part.len() + separator.len());
        parts.push(part);
    }
    budget.make(length)?;
    let mut joined = String::with_capacity(length);
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            joined.push_str(&separator);
        }
        joined.push_str(part);
    }
    Ok(Val::text(joined))
}

pub fn sum<'e>(value: &Val<'e>, args: &Args<'e>, env: &Env<'e>) -> Outcome<Val<'e>> {
    let value = match args.text(0)? {
        Some(path) => pluck(value, &path, env.budget)?,
        None => value.clone(),
    };
    let (mut whole, mut float, mut all_whole) = (0_i64, 0_f64, true);
    for item in collect(&value, env.budget)? {
        env.budget.step()?;
        float += item.number().ok_or_else(|| number_wanted(&item))?;
        match item {
            Val::Int(int) => {
                whole = whole
                    .checked_add(int)
                    .ok_or_else(|| Fault::new("the sum does not fit in 64 bits", ""))?;
            }
            _ => all_whole = false,
        }
    }
    if all_whole { Ok(Val::Int(whole)) } else { finite(float) }
}

pub fn extreme<'e>(value: &Val<'e>, wanted: Ordering, budget: &Budget) -> Outcome<Val<'e>> {
    let mut best: Option<Val<'e>> = None;
    for item in collect(value, budget)? {
        budget.step()?;
        let better = match &best {
            None => true,
            Some(best) => order(&item, best, budget)? == wanted,
        };
        if better {
            best = Some(item);
        }
    }
    Ok(best.unwrap_or(Val::Undefined))
}

fn order(a: &Val<'_>, b: &Val<'_>, budget: &Budget) -> Outcome<Ordering> {
    a.order(b, budget)?.ok_or_else(|| {
        Fault::new(
            format!("{} and {} have no order", a.kind(), b.kind()),
            "sort texts or numbers; name a member with `sort(attribute=\"name\")`",
        )
    })
}

pub fn sort<'e>(value: &Val<'e>, args: &Args<'e>, budget: &Budget) -> Outcome<Val<'e>> {
    let path = args.text(0)?;
    let mut keyed = Vec::new();
    for (index, item) in collect(value, budget)?.into_iter().enumerate() {
        let key = match &path {
            None => item.clone(),
            Some(path) => match member(&item, path) {
                Val::Undefined => return Err(missing_member(index, path)),
                key => key,
            },
        };
        keyed.push((severity_rank(&key), key, item));
    }
    // The order must be total for the standard sort: check before, so that no comparison inside can fail.
    for pair in keyed.windows(2) {
        if let [(_, a, _), (_, b, _)] = pair {
            budget.step()?;
            order(a, b, budget)?;
        }
    }
    let length = keyed.len();
    let longest = keyed.iter().filter_map(|(_, key, _)| key.as_str().map(str::len)).max().unwrap_or(8);
    // n · log2 n comparisons of the longest key.
    budget.scan(length.saturating_mul(length.max(2).ilog2() as usize + 1).saturating_mul(longest.max(8)))?;
    let all_severities = keyed.iter().all(|(rank, ..)| rank.is_some());
    keyed.sort_by(|(rank_a, a, _), (rank_b, b, _)| {
        if all_severities {
            return rank_a.cmp(rank_b);
        }
        match (a.as_str(), b.as_str()) {
            (Some(a), Some(b)) => a.cmp(b),
            _ => a.number().unwrap_or(0.0).total_cmp(&b.number().unwrap_or(0.0)),
        }
    });
    if args.get(1).is_some_and(Val::truthy) {
        keyed.reverse();
    }
    Ok(Val::list(keyed.into_iter().map(|(_, _, item)| item).collect()))
}

pub fn severity_rank(value: &Val<'_>) -> Option<Severity> {
    value.as_str().and_then(Severity::from_name)
}

pub fn unique<'e>(value: &Val<'e>, budget: &Budget) -> Outcome<Val<'e>> {
    let mut kept: Vec<Val<'e>> = Vec::new();
    for item in collect(value, budget)? {
        let mut seen = false;
        for known in &kept {
            budget.step()?;
            if known.equals(&item, budget)? {
                seen = true;
                break;
            }
        }
        if !seen {
            kept.push(item);
        }
    }
    Ok(Val::list(kept))
}
