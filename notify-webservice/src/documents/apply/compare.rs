//! Files against what is saved: which rules are new, changed, gone or as they were. Pure.

use super::super::check::{self, Checked, Parsed, References};
use super::super::rule_tests::objection;
use super::request::Request;
use notify_core::document::difference::{Difference, Differences, differences};
use notify_core::document::rule_file::{has_labels, put_into_set, set_of};
use notify_core::document::{Kind, rule_file};
use notify_core::problem::{Code, Problem};
use notify_core::rule_tests;
use notify_store::model::{Configuration, Document};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// Differences that are told of one rule, and of all together: each holds a copy of what it replaces.
const TOLD_OF_ONE: usize = 200;
const TOLD_OF_ALL: usize = 20_000;

/// What is asked of a rule's own tests, by the rule's digest: kept when everything is compared anew, because another
/// write came first.
#[derive(Default)]
pub struct Verdicts(HashMap<String, Option<Problem>>);

/// What is saved.
pub struct World {
    config_version: u64,
    /// Current rules by id.
    rules: BTreeMap<String, Document>,
    /// Versions of deleted rules by id: a rule that comes back goes on counting.
    deleted: HashMap<String, u64>,
    references: References,
}

impl World {
    pub fn of(configuration: Configuration, deleted: Vec<(String, u64)>) -> Self {
        let mut world = Self {
            config_version: configuration.version,
            rules: BTreeMap::new(),
            deleted: deleted.into_iter().collect(),
            references: References::default(),
        };
        for document in configuration.documents {
            match document.kind {
                Kind::Rule => drop(world.rules.insert(document.id.clone(), document)),
                _ => world.references.add(document),
            }
        }
        world
    }
}

/// What is done to one rule.
pub enum Act {
    Create { digest: String, body: String },
    Replace { digest: String, body: String, differences: Differences },
    Keep,
    Delete { digest: String, body: String },
}

/// One rule of the files, or one that is pruned.
pub struct Change {
    pub id: String,
    /// After the change; of a deleted one its last.
    pub version: u64,
    pub act: Act,
    /// What its own tests say against it, where that is overridden.
    pub forced: Vec<Problem>,
    /// Its place among the rules that were sent.
    index: Option<usize>,
    previous: Option<u64>,
    set: Option<String>,
}

/// All that is done, in the order of the files; what is pruned comes last, by id.
pub struct Plan {
    pub config_version: u64,
    all: Vec<Change>,
}

#[derive(Default)]
pub struct Counts {
    pub created: usize,
    pub changed: usize,
    pub deleted: usize,
    pub unchanged: usize,
}

/// As the answer shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    id: String,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous_version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    set: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<Difference>,
    /// How many more there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes_omitted: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    forced: Vec<Problem>,
}

impl Plan {
    /// Everything but what stays as it is.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.all.iter().filter(|change| !matches!(change.act, Act::Keep))
    }

    pub fn is_nothing(&self) -> bool {
        self.changes().next().is_none()
    }

    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for change in &self.all {
            *match change.act {
                Act::Create { .. } => &mut counts.created,
                Act::Replace { .. } => &mut counts.changed,
                Act::Keep => &mut counts.unchanged,
                Act::Delete { .. } => &mut counts.deleted,
            } += 1;
        }
        counts
    }

    pub fn into_views(self) -> Vec<View> {
        let view = |change: Change| {
            let (action, changes) = match change.act {
                Act::Create { .. } => ("create", Differences::default()),
                Act::Replace { differences, .. } => ("replace", differences),
                Act::Keep => ("unchanged", Differences::default()),
                Act::Delete { .. } => ("delete", Differences::default()),
            };
            let Change { id, version, forced, index, previous, set, .. } = change;
            let Differences { told: changes, omitted } = changes;
            View {
                id,
                action,
                index,
                version,
                previous_version: previous,
                set,
                changes,
                changes_omitted: Some(omitted).filter(|omitted| *omitted > 0),
                forced,
            }
        };
        self.all.into_iter().map(view).collect()
    }
}

/// # Errors
/// Every problem of every rule, each under the rule's place (`/rules/3/match/type`).
pub fn plan(
    asked: &Request,
    world: &World,
    verdicts: &mut Verdicts,
    most: u64,
    document_bytes: usize,
) -> Result<Plan, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut room = TOLD_OF_ALL;
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut all = Vec::with_capacity(asked.rules.len());
    for (index, rule) in asked.rules.iter().enumerate() {
        let place = format!("/rules/{index}");
        match one(asked, world, verdicts, rule, document_bytes, room.min(TOLD_OF_ONE)) {
            Ok(mut change) => {
                if let Some(first) = places.insert(change.id.clone(), index) {
                    let reason = format!("the rule `{}` stands at /rules/{first} already", change.id);
                    let path = format!("{place}/id");
                    problems.push(Problem::new(Code::InvalidRule, path, reason, "keep one of them"));
                }
                change.index = Some(index);
                if let Act::Replace { differences, .. } = &change.act {
                    room = room.saturating_sub(differences.told.len());
                }
                all.push(change);
            }
            Err(found) => problems.extend(found.into_iter().map(|problem| problem.under(&place))),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    if asked.prune {
        all.extend(pruned(asked, world, &places));
    }
    let plan = Plan { config_version: world.config_version, all };
    let counts = plan.counts();
    let before = world.rules.len() as u64;
    let after = (world.rules.len() + counts.created).saturating_sub(counts.deleted) as u64;
    // Who has too many already may change them, and have fewer.
    if after > most && after > before {
        return Err(vec![Problem::new(
            Code::LimitReached,
            "/rules",
            format!("the tenant would have {after} rules; it may have {most}"),
            "leave rules out, delete some with `prune`, or let the operator raise `limits.tenant_rules`",
        )]);
    }
    Ok(plan)
}

fn one(
    asked: &Request,
    world: &World,
    verdicts: &mut Verdicts,
    rule: &Value,
    document_bytes: usize,
    told: usize,
) -> Result<Change, Vec<Problem>> {
    let current = rule.get("id").and_then(Value::as_str).and_then(|id| world.rules.get(id));
    let current_set = current.and_then(stored_set);
    let mut rule = rule.clone();
    if asked.adopt {
        put_into_set(&mut rule, &asked.set);
    } else {
        let own = set_of(&rule);
        match (&current_set, own) {
            // Two collections of files with rules of one name would overwrite each other's without end.
            (Some(other), own) if *other != asked.set && own != Some(other.as_str()) => {
                return Err(vec![elsewhere(&rule, other, &asked.set)]);
            }
            // A rule that exists stays where it is: in its set, or in none.
            (Some(set), None) => put_into_set(&mut rule, set),
            (None, None) if current.is_none() => put_into_set(&mut rule, &asked.set),
            _ => {}
        }
    }
    let checked = check::in_a_set(&rule, &world.references)?;
    if checked.body.len() > document_bytes {
        let reason = format!("the rule has {} bytes; {document_bytes} are allowed", checked.body.len());
        let fix = "make it smaller, or let the operator raise `limits.document_bytes`";
        return Err(vec![Problem::new(Code::TooLarge, "", reason, fix)]);
    }
    let set = set_of(&rule).map(str::to_owned);
    let unchanged = current.is_some_and(|current| current.digest == checked.digest);
    let forced = if unchanged { Vec::new() } else { failing(verdicts, &checked, current)? };
    if !forced.is_empty() && !asked.force {
        return Err(forced);
    }
    let (id, digest, body) = (checked.id, checked.digest, checked.body);
    let Some(current) = current else {
        let version = world.deleted.get(&id).copied().unwrap_or_default().saturating_add(1);
        return Ok(Change {
            id,
            version,
            act: Act::Create { digest, body },
            forced,
            index: None,
            previous: None,
            set,
        });
    };
    let previous = Some(current.version);
    if current.digest == digest {
        let version = current.version;
        return Ok(Change { id, version, act: Act::Keep, forced, index: None, previous, set });
    }
    let json = |text: &str| serde_json::from_str(text).unwrap_or(Value::Null);
    let differences = differences(&json(&current.body), &json(&body), told);
    let act = Act::Replace { digest, body, differences };
    let version = current.version.saturating_add(1);
    Ok(Change { id, version, act, forced, index: None, previous, set })
}

/// What the rule's own tests say against saving it, as at a single save.
fn failing(
    verdicts: &mut Verdicts,
    checked: &Checked,
    current: Option<&Document>,
) -> Result<Vec<Problem>, Vec<Problem>> {
    let Parsed::Rule(rule) = &checked.parsed else { return Ok(Vec::new()) };
    if rule.tests.is_empty() {
        return Ok(Vec::new());
    }
    let refusal = match verdicts.0.get(&checked.digest) {
        Some(known) => known,
        None => {
            let found = rule_tests::refusal(rule).map_err(|problem| vec![problem])?;
            verdicts.0.entry(checked.digest.clone()).or_insert(found)
        }
    };
    Ok(objection(refusal.as_ref(), current, checked).into_iter().cloned().collect())
}

fn elsewhere(rule: &Value, other: &str, asked: &str) -> Problem {
    let id = rule.get("id").and_then(Value::as_str).unwrap_or_default();
    Problem::new(
        Code::AlreadyExists,
        "/id",
        format!("the rule `{id}` belongs to the set `{other}`, not to `{asked}`"),
        "give the rule another id, or take it over with `adopt` (`--adopt`)",
    )
}

/// The set of a saved rule. Most have none, and are not read for it.
fn stored_set(document: &Document) -> Option<String> {
    if !document.body.contains(rule_file::SET_LABEL) {
        return None;
    }
    let rule: Value = serde_json::from_str(&document.body).ok()?;
    set_of(&rule).map(str::to_owned)
}

fn pruned<'w>(
    asked: &'w Request,
    world: &'w World,
    kept: &'w HashMap<String, usize>,
) -> impl Iterator<Item = Change> + 'w {
    let gone = world.rules.values().filter(|document| {
        if kept.contains_key(&document.id)
            || asked.keep.contains(&document.id)
            || !document.body.contains(rule_file::SET_LABEL)
        {
            return false;
        }
        let Ok(rule) = serde_json::from_str::<Value>(&document.body) else { return false };
        let selector = asked.selector.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        set_of(&rule) == Some(asked.set.as_str()) && has_labels(&rule, selector)
    });
    gone.map(|document| Change {
        id: document.id.clone(),
        version: document.version,
        act: Act::Delete { digest: document.digest.clone(), body: document.body.clone() },
        forced: Vec::new(),
        index: None,
        previous: Some(document.version),
        set: Some(asked.set.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::request;
    use super::*;
    use crate::app::Limits;
    use notify_core::time::Timestamp;
    use serde_json::json;

    fn rule(id: &str) -> Value {
        json!({
            "schema": "notify-rule@1", "id": id, "name": "A rule", "match": { "type": ["t"] },
            "labels": { rule_file::SET_LABEL: "default" }, "actions": [{ "id": "chat", "channel": "x" }],
            "tests": [{ "event": { "type": "u" }, "match": true }],
        })
    }

    /// These rules, and the channel that they name.
    fn world(ids: &[&str]) -> World {
        let document = |kind, id: &str, digest, body| Document {
            kind,
            id: id.to_owned(),
            version: 1,
            digest,
            body,
            created_at: Timestamp::UNIX_EPOCH,
            deleted: false,
        };
        let mut documents = vec![document(Kind::Channel, "x", String::new(), String::new())];
        for id in ids {
            let checked = check::value(Kind::Rule, &rule(id)).unwrap();
            documents.push(document(Kind::Rule, id, checked.digest, checked.body));
        }
        World::of(Configuration { version: 7, documents }, vec![])
    }

    fn asked(ids: &[&str]) -> Request {
        let rules: Vec<Value> = ids.iter().map(|id| rule(id)).collect();
        let body = json!({ "rules": rules, "prune": true, "force": true }).to_string();
        request::read(body.as_bytes(), Some("application/json"), &Limits::default()).unwrap()
    }

    /// A tenant with five rules that may have `most`.
    #[track_caller]
    fn check(most: u64, ids: &[&str], expected: Option<Code>) {
        let world = world(&["a", "b", "c", "d", "e"]);
        let planned = plan(&asked(ids), &world, &mut Verdicts::default(), most, 9_999);
        assert_eq!(planned.err().map(|problems| problems[0].code), expected, "{ids:?}");
    }

    #[test]
    fn who_has_too_many_rules_may_have_fewer() {
        check(5, &["a", "b", "c", "d", "e"], None);
        check(5, &["a", "b", "c", "d", "e", "f"], Some(Code::LimitReached));
        check(3, &["a", "b", "c", "n"], None);
        check(3, &["a", "b", "c", "d", "n"], None);
        check(3, &["a", "b", "c", "d", "m", "n"], Some(Code::LimitReached));
        check(0, &[], None);
    }

    #[test]
    fn the_tests_of_a_rule_are_run_once() {
        let (world, asked) = (world(&[]), asked(&["a", "b"]));
        let mut verdicts = Verdicts::default();
        let forced = |verdicts: &mut Verdicts| {
            let plan = plan(&asked, &world, verdicts, 9, 9_999).map_err(|problems| problems.len()).unwrap();
            plan.all.into_iter().flat_map(|change| change.forced).map(|p| p.reason).collect::<Vec<_>>()
        };
        let first = forced(&mut verdicts);
        assert_eq!((first.len(), verdicts.0.len()), (2, 2));
        assert_eq!(forced(&mut verdicts), first);
        // What is known is not found out again.
        for known in verdicts.0.values_mut().flatten() {
            known.reason = "kept".to_owned();
        }
        assert_eq!(forced(&mut verdicts), ["kept", "kept"]);
    }
}
