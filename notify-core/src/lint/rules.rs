//! Rules that another rule makes superfluous.
//!
//! Every pair of rules would be too many. A rule that covers another asks less of the same fields, so it is put into
//! buckets by one of its clauses (the one whose values are rarest), and each rule is compared with what stands in the
//! buckets of its own clauses. Where rules are so alike that this is still too much, it ends after
//! [`MAX_WORK`] and says so.

use super::{Code, Finding, Opened};
use crate::document::Rule;
use crate::pattern::study::Key;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Entries of buckets looked at, and pairs of operators compared, in one run: a second or two.
pub(super) const MAX_WORK: usize = 20_000_000;

type Field = Vec<Arc<str>>;

/// Rules by a clause of theirs.
#[derive(Default)]
struct Buckets {
    by_value: HashMap<(Field, String), Vec<usize>>,
    by_field: HashMap<Field, Vec<usize>>,
}

impl Buckets {
    fn of(rules: &[&Opened<'_>]) -> Self {
        let mut frequency = HashMap::<(Field, String), usize>::new();
        for key in rules.iter().flat_map(|rule| rule.study.keys()).flatten() {
            for value in key.values.iter().flatten() {
                *frequency.entry((key.field.clone(), value.clone())).or_default() += 1;
            }
        }
        let commonest = |key: &&Key| {
            let values = key.values.iter().flatten();
            values.filter_map(|value| frequency.get(&(key.field.clone(), value.clone()))).max().copied()
        };
        let mut buckets = Self::default();
        for (index, rule) in rules.iter().enumerate() {
            for keys in rule.study.keys() {
                let rarest = keys.iter().filter(|key| key.values.is_some()).min_by_key(commonest);
                match (rarest, keys.first()) {
                    (Some(key), _) => {
                        for value in key.values.iter().flatten() {
                            let place = (key.field.clone(), value.clone());
                            buckets.by_value.entry(place).or_default().push(index);
                        }
                    }
                    (None, Some(key)) => {
                        buckets.by_field.entry(key.field.clone()).or_default().push(index);
                    }
                    (None, None) => {}
                }
            }
        }
        buckets
    }

    /// Rules that may cover this one. A covering list has at least the values of the covered one, so one value of each
    /// clause is enough to find it by.
    fn candidates(&self, keys: &[Key]) -> Vec<&[usize]> {
        let mut found = Vec::new();
        for key in keys {
            if let Some(value) = key.values.iter().flatten().next() {
                let place = (key.field.clone(), value.clone());
                found.extend(self.by_value.get(&place).map(Vec::as_slice));
            }
            found.extend(self.by_field.get(&key.field).map(Vec::as_slice));
        }
        found
    }
}

pub(super) fn lint(rules: &[Opened<'_>]) -> Vec<Finding> {
    lint_within(rules, MAX_WORK)
}

pub(super) fn lint_within(rules: &[Opened<'_>], mut work: usize) -> Vec<Finding> {
    let mut enabled: Vec<&Opened<'_>> = rules.iter().filter(|rule| rule.rule.enabled).collect();
    enabled.sort_by(|a, b| a.rule.id.cmp(&b.rule.id));
    let buckets = Buckets::of(&enabled);
    let mut found = Vec::new();
    for (index, narrow) in enabled.iter().enumerate() {
        // What covers the rule covers each way through it, so the first way is enough to find it by.
        let Some(keys) = narrow.study.keys().next() else { continue };
        let mut best: Option<(bool, &Opened<'_>)> = None;
        let candidates = buckets.candidates(&keys);
        let mut spend = |cost: usize| {
            work = work.saturating_sub(cost);
            work > 0
        };
        if !spend(candidates.iter().map(|bucket| bucket.len()).sum()) {
            found.push(cut(narrow.rule));
            return found;
        }
        let candidates: BTreeSet<usize> = candidates.into_iter().flatten().copied().collect();
        for candidate in candidates.into_iter().filter(|candidate| *candidate != index) {
            let Some(wide) = enabled.get(candidate) else { continue };
            if !spend(narrow.study.operators().saturating_mul(wide.study.operators())) {
                found.push(cut(narrow.rule));
                return found;
            }
            if !wide.study.covers(&narrow.study) {
                continue;
            }
            // Two that say the same are reported once, at the later one.
            if index < candidate && narrow.study.covers(&wide.study) {
                continue;
            }
            let same_actions = actions(narrow.rule) == actions(wide.rule);
            if best.is_none_or(|(best_same, _)| same_actions && !best_same) {
                best = Some((same_actions, *wide));
            }
        }
        if let Some((same_actions, wide)) = best {
            found.push(finding(narrow, wide, same_actions));
        }
    }
    found
}

/// What a rule sends, whatever the ids and the order of its actions.
fn actions(rule: &Rule) -> BTreeMap<(&str, Option<&str>, Option<&str>), usize> {
    let mut all = BTreeMap::new();
    for action in &rule.actions {
        let template = action.template.as_ref().map(|template| template.as_str());
        *all.entry((action.channel.as_str(), template, action.locale.as_deref())).or_default() += 1;
    }
    all
}

fn finding(narrow: &Opened<'_>, wide: &Opened<'_>, same_actions: bool) -> Finding {
    let other = &wide.rule.id;
    let (code, reason, fix) = if same_actions {
        (
            Code::RuleDuplicated,
            format!("the rule `{other}` matches every event that this one matches, with the same actions"),
            "remove one of the two rules, or narrow the other".to_owned(),
        )
    } else {
        (
            Code::RuleCovered,
            format!("the rule `{other}` matches every event that this one matches, with other actions"),
            format!("nothing to do where both alerts are meant; else narrow `{other}`"),
        )
    };
    Finding {
        rule: narrow.rule.id.to_string(),
        other_rule: Some(other.to_string()),
        ..Finding::new(code, narrow.study.place(), reason, fix)
    }
}

fn cut(rule: &Rule) -> Finding {
    let reason =
        "the rules are too many and too alike; those from this one on were not compared with the others";
    let fix = "lint fewer rules at once, e.g. the files of one team";
    Finding { rule: rule.id.to_string(), ..Finding::new(Code::ComparisonLimit, "", reason, fix) }
}
