//! Why nothing happened: the rules that an event missed by the least.

use super::snapshot::{CompiledRule, Snapshot};
use crate::ids::RuleId;
use crate::pattern::{Explanation, Pattern};
use serde::Serialize;
use serde_json::Value;

/// Rules listed where nobody says how many.
pub const NEAREST: usize = 5;
/// Most rules that can be asked for.
pub const MAX_NEAREST: usize = 20;
/// Steps and comparisons spent on the search, whatever the number of rules: a fraction of a second.
const WORK: u64 = 20_000_000;
/// Reasons listed for one rule; [`Miss::failed`] counts them all.
const MAX_REASONS: usize = 10;
/// Matching rules explained in [`Explained`]; `matched` counts them all.
const MAX_MATCHING: usize = 100;

/// Rules that do not match, the nearest first: by failed clauses, then priority, then id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Nearest {
    pub rules: Vec<Miss>,
    /// Whether these are the nearest of all enabled rules. If not, the search ended after those of the highest priority.
    pub complete: bool,
    /// Enabled rules that were looked at.
    pub looked_at: u64,
}

/// A rule that did not match, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Miss {
    pub rule: RuleId,
    /// Absent for a rule that is not saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    pub name: String,
    /// Clauses that do not hold, in the alternative that has the fewest of them.
    pub failed: usize,
    /// Empty, as are the reasons, when there was too much to explain: the rule can be asked about alone.
    pub sentence: String,
    pub reasons: Vec<Reason>,
}

/// One failed clause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reason {
    /// The field; for elements of an array that disagree, the array.
    pub path: String,
    pub sentence: String,
}

/// What all rules of a tenant say of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// Enabled rules that match, and those that do not.
    pub matched: u64,
    pub unmatched: u64,
    /// The first of those that match, in the order in which they are planned.
    pub matching: Vec<Hit>,
    pub nearest: Nearest,
}

/// A rule that matches, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hit {
    pub rule: RuleId,
    pub version: u64,
    pub name: String,
    /// Empty when there was too much to explain.
    pub sentence: String,
}

impl Snapshot {
    /// Which rules match and which come near, at most `nearest` of them.
    #[must_use]
    pub fn explain(&self, event: &Value, nearest: usize) -> Explained {
        let matching = self.matching(event);
        let mut work = 0;
        let hit = |rule: &&CompiledRule| Hit {
            rule: rule.rule.id.clone(),
            version: rule.version,
            name: rule.rule.name.clone(),
            sentence: (self.pattern(rule))
                .and_then(|pattern| explained(pattern, event, &mut work))
                .map(|explanation| explanation.sentence)
                .unwrap_or_default(),
        };
        Explained {
            matched: matching.len() as u64,
            unmatched: self.rule_count().saturating_sub(matching.len()) as u64,
            matching: matching.iter().take(MAX_MATCHING).map(hit).collect(),
            nearest: self.nearest(event, nearest),
        }
    }

    /// The rules that miss the event by the fewest clauses, at most `wanted` (and [`MAX_NEAREST`]) of them.
    #[must_use]
    pub fn nearest(&self, event: &Value, wanted: usize) -> Nearest {
        search(self.rules(), event, wanted.min(MAX_NEAREST), WORK)
    }
}

/// `rules` in the order of priority and id.
fn search<'r>(
    rules: impl Iterator<Item = (&'r CompiledRule, &'r Pattern)>,
    event: &Value,
    wanted: usize,
    budget: u64,
) -> Nearest {
    // Sorted by failed clauses; among equals the earlier rule stands first, as it came first.
    let mut best: Vec<(usize, &CompiledRule, &Pattern)> = Vec::new();
    let mut nearest = Nearest { complete: true, ..Nearest::default() };
    let mut work = 0;
    for (rule, pattern) in rules {
        // A later rule has to be nearer than the last of a full list. None can be nearer than by one clause.
        let most = match best.last() {
            Some((worst, ..)) if best.len() >= wanted => worst.saturating_sub(1),
            _ => usize::MAX,
        };
        if most == 0 || wanted == 0 {
            break;
        }
        if work >= budget {
            nearest.complete = false;
            break;
        }
        work += 1;
        nearest.looked_at += 1;
        let failed = pattern.misses(event, most, &mut work);
        if failed > 0 && failed <= most {
            let place = best.partition_point(|(known, ..)| *known <= failed);
            best.insert(place, (failed, rule, pattern));
            best.truncate(wanted);
        }
    }
    let mut work = 0;
    let told = |(failed, rule, pattern)| miss(rule, failed, explained(pattern, event, &mut work).as_ref());
    nearest.rules = best.into_iter().map(told).collect();
    nearest
}

/// `None` when explanations have cost enough: a few rules of a thousand clauses and an array of thousands would take
/// longer than all that were looked at.
fn explained(pattern: &Pattern, event: &Value, work: &mut u64) -> Option<Explanation> {
    if *work > WORK {
        return None;
    }
    // Counting walks the same clauses.
    let _ = pattern.misses(event, usize::MAX, work);
    Some(pattern.explain(event))
}

fn miss(rule: &CompiledRule, failed: usize, explanation: Option<&Explanation>) -> Miss {
    let alternative = explanation.and_then(Explanation::nearest);
    let clauses = alternative.iter().flat_map(|alternative| &alternative.clauses);
    let not_met = clauses.filter(|clause| !clause.matched);
    let reasons =
        not_met.map(|clause| Reason { path: clause.path.clone(), sentence: clause.sentence.clone() });
    let conflict = alternative.and_then(|alternative| alternative.conflict.as_ref());
    let conflict =
        conflict.map(|conflict| Reason { path: conflict.array.clone(), sentence: conflict.sentence.clone() });
    Miss {
        rule: rule.rule.id.clone(),
        version: (rule.version > 0).then_some(rule.version),
        name: rule.rule.name.clone(),
        failed,
        sentence: explanation.map(|explanation| explanation.sentence.clone()).unwrap_or_default(),
        reasons: reasons.chain(conflict).take(MAX_REASONS).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Version, parse_rule};
    use crate::ids::TenantId;
    use crate::plan::Documents;
    use serde_json::json;

    fn snapshot(rules: &[(&str, i64, Value)]) -> Snapshot {
        let rules = rules.iter().map(|(id, priority, pattern)| {
            let document = json!({
                "schema": "notify-rule@1", "id": id, "name": id, "priority": priority, "match": pattern,
                "actions": [{ "id": "a", "channel": "c" }],
            });
            let (document, _, digest) = parse_rule(&document).unwrap();
            Version { version: 1, digest, document }
        });
        let tenant = TenantId::new("acme").unwrap();
        Snapshot::compile(tenant, 1, "en", Documents { rules: rules.collect(), ..Documents::default() }).0
    }

    fn shown(nearest: &Nearest) -> Vec<String> {
        nearest.rules.iter().map(|miss| format!("{} {}", miss.rule, miss.failed)).collect()
    }

    #[test]
    fn the_nearest_are_ordered_by_failed_clauses_priority_and_id() {
        let snapshot = snapshot(&[
            ("three", 9, json!({"a": [9], "b": [9], "c": [9]})),
            ("z-one", 0, json!({"a": [1], "b": [9]})),
            ("b-one", 0, json!({"a": [1], "b": [8]})),
            ("first", 5, json!({"b": [9]})),
            ("hit", 0, json!({"a": [1]})),
            ("two", 0, json!({"b": [1], "c": [2], "a": [1]})),
            ("either", 0, json!({"$or": [{"a": [2], "b": [2]}, {"a": [1], "b": [3]}]})),
            ("elements", 0, json!({"list": {"x": [1], "y": [2]}})),
        ]);
        let event = json!({"a": 1, "b": 2, "list": [{"x": 1, "y": 0}, {"x": 0, "y": 2}]});
        // `either` misses by one in its nearer alternative, `elements` by the one that nobody satisfies them all.
        let expected = ["first 1", "b-one 1", "either 1", "elements 1", "z-one 1", "two 2", "three 3"];
        let all = snapshot.nearest(&event, 20);
        assert_eq!(
            (shown(&all), all.complete, all.looked_at),
            (expected.map(String::from).to_vec(), true, 8)
        );
        for wanted in 0..expected.len() {
            let nearest = snapshot.nearest(&event, wanted);
            assert_eq!(shown(&nearest), expected[..wanted], "{wanted}");
            assert!(nearest.complete);
        }
        assert_eq!(all.rules[0].reasons[0].sentence, "`/b` is 2, but the rule wants 9");
        assert_eq!(all.rules[3].reasons[0].path, "/list");
        let explained = snapshot.explain(&event, 2);
        assert_eq!((explained.matched, explained.unmatched), (1, 7));
        assert_eq!(explained.matching[0].sentence, "The event matches: `/a` is 1, as the rule wants.");
    }

    /// A tenant with 100,000 ordinary rules is searched as a whole.
    #[test]
    fn ordinary_rules_cost_little_work() {
        let event = json!({
            "type": "scanner.report.ready", "source": "/scanner", "severity": "high",
            "data": { "image": { "repository": "ghcr.io/acme/app" }, "tags": ["a", "b", "c"], "n": 3 },
        });
        let mut work = 0;
        let rules = 500_u64;
        for i in 0..rules {
            let pattern = Pattern::compile(&json!({
                "type": [format!("scanner.{i}"), { "prefix": "release." }], "severity": [{ "at-least": "high" }],
                "data": { "image": { "repository": [{ "wildcard": format!("*/{i}/*") }] }, "tags": [format!("t{i}")] },
            }));
            assert_eq!(pattern.unwrap().misses(&event, usize::MAX, &mut work), 3);
        }
        assert!(work / rules * 100_000 < WORK, "{work} for {rules}");
    }

    #[test]
    fn the_search_ends_when_its_work_is_done_and_says_so() {
        let rules: Vec<(String, Value)> =
            (0..200).map(|i| (format!("r{i:03}"), json!({"a": [i], "b": [i], "tags": ["none"]}))).collect();
        let rules: Vec<(&str, i64, Value)> =
            rules.iter().map(|(id, p)| (id.as_str(), 0, p.clone())).collect();
        let snapshot = snapshot(&rules);
        let event = json!({"a": 199, "b": 199, "tags": vec!["x"; 1_000]});
        let short = search(snapshot.rules(), &event, 3, 20_000);
        assert!(!short.complete && (5..50).contains(&short.looked_at), "{}", short.looked_at);
        assert_eq!(shown(&short), ["r000 3", "r001 3", "r002 3"]);
        let long = search(snapshot.rules(), &event, 3, WORK);
        assert_eq!(
            (shown(&long), long.complete, long.looked_at),
            (["r199 1", "r000 3", "r001 3"].map(String::from).to_vec(), true, 200)
        );
    }
}
