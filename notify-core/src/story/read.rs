//! Follows the entries of one event: what each does to the actions it is about.

mod ends;

use super::{ActionStory, End, Evidence, Step, words};
pub use ends::Told;
use ends::failed;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Who gets what happens to a delivery.
#[derive(Debug, Clone)]
enum Owner {
    Branch(usize),
    Digest(String),
}

/// Where a decision sent the alert.
#[derive(Debug, Clone)]
enum Path {
    Delivery(String),
    Held(String),
    Digest(String),
    Stopped(End),
}

#[derive(Debug)]
struct Branch {
    story: ActionStory,
    paths: Vec<Path>,
    /// The decision that stands for it in its sentence.
    decision: Value,
}

#[derive(Debug, Default)]
struct Delivery {
    owner: Option<Owner>,
    /// Number of the next attempt and when it is due.
    next: (u64, Option<String>),
    ended: Option<End>,
    last_result: Option<String>,
    /// The release entry that ended it, or that keeps its next attempt back.
    judged: Option<Value>,
    channel: Option<String>,
    /// It, and its replays, in order.
    again: Vec<String>,
    root: Option<String>,
}

#[derive(Debug)]
enum Kept {
    Waits {
        until: Option<String>,
        /// The release entry that had it wait on.
        again: Option<Value>,
    },
    Sent(String),
    /// With the release entry that ended it.
    Cancelled(Value),
}

#[derive(Debug)]
struct HeldAlert {
    branch: usize,
    now: Kept,
}

#[derive(Debug)]
struct Digest {
    branches: Vec<usize>,
    now: Kept,
    count: Option<u64>,
}

pub(super) struct Teller<'e> {
    evidence: &'e Evidence,
    branches: Vec<Branch>,
    index: BTreeMap<(String, String), usize>,
    deliveries: BTreeMap<String, Delivery>,
    held: BTreeMap<String, HeldAlert>,
    digests: BTreeMap<String, Digest>,
    unmatched: Option<u64>,
    decided: bool,
}

pub(super) fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name)?.as_str()
}

fn owned(value: &Value, name: &str) -> Option<String> {
    text(value, name).map(str::to_owned)
}

/// The time that a release names.
fn until(release: &Value) -> Option<String> {
    release.get("parameters").and_then(|parameters| owned(parameters, "until"))
}

/// A predicate as a step shows it: without what the step says itself, and without lists that may be very long.
fn record(predicate: &Map<String, Value>) -> Value {
    let shown = |name: &str| !matches!(name, "log" | "seq" | "at" | "kind" | "entries" | "decisions");
    predicate
        .iter()
        .filter(|(name, _)| shown(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect::<Map<_, _>>()
        .into()
}

impl<'e> Teller<'e> {
    pub fn new(evidence: &'e Evidence) -> Self {
        Self {
            evidence,
            branches: Vec::new(),
            index: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            held: BTreeMap::new(),
            digests: BTreeMap::new(),
            unmatched: None,
            decided: false,
        }
    }

    /// The next entry, in order.
    pub fn read(&mut self, seq: u64, statement: &Value) {
        let Some(predicate) = statement.get("predicate").and_then(Value::as_object) else { return };
        let member = |name: &str| predicate.get(name).and_then(Value::as_str).unwrap_or_default();
        let (at, kind) = (member("at").to_owned(), member("kind"));
        let entry = Entry { seq, at, kind, whole: record(predicate) };
        match kind {
            "event" => {
                self.decided = true;
                self.unmatched = predicate.get("unmatched").and_then(Value::as_u64).or(self.unmatched);
                for decision in predicate.get("decisions").and_then(Value::as_array).into_iter().flatten() {
                    self.decision(&entry, decision);
                }
            }
            "release" => self.release(&entry),
            "digest" => self.flushed(&entry),
            "attempt" => self.attempt(&entry),
            "delivery" => self.act(&entry),
            _ => {}
        }
    }

    fn decision(&mut self, entry: &Entry<'_>, decision: &Value) {
        let rule = owned(decision, "rule").unwrap_or_default();
        let action = owned(decision, "action").unwrap_or_default();
        let next = self.branches.len();
        let branch = *self.index.entry((rule.clone(), action.clone())).or_insert(next);
        if branch == next {
            let story = ActionStory {
                rule_version: None,
                rule_digest: owned(decision, "ruleDigest"),
                channel: None,
                sentence: String::new(),
                end: End::Unknown { outcome: String::new() },
                steps: Vec::new(),
                rule,
                action,
            };
            self.branches.push(Branch { story, paths: Vec::new(), decision: decision.clone() });
        }
        let empty = Value::Null;
        let parameters = decision.get("parameters").unwrap_or(&empty);
        let version = parameters.get("ruleVersion").and_then(Value::as_u64);
        let intent = decision.get("intent").filter(|intent| text(intent, "delivery").is_some());
        let path = match text(decision, "outcome").unwrap_or_default() {
            "suppressed" => Some(Path::Stopped(End::NotSent {
                because: owned(decision, "control").unwrap_or_default(),
                until: owned(parameters, "until"),
                delivery: None,
            })),
            "held" => owned(parameters, "held").map(|id| {
                let now = Kept::Waits { until: owned(parameters, "until"), again: None };
                self.held.entry(id.clone()).or_insert(HeldAlert { branch, now });
                Path::Held(id)
            }),
            "digested" => owned(parameters, "digest").map(|id| {
                let now = Kept::Waits { until: owned(parameters, "closesAt"), again: None };
                let new = || Digest { branches: Vec::new(), now, count: None };
                let digest = self.digests.entry(id.clone()).or_insert_with(new);
                if !digest.branches.contains(&branch) {
                    digest.branches.push(branch);
                }
                Path::Digest(id)
            }),
            _ => intent.map(|intent| self.announced(intent, Owner::Branch(branch))).map(Path::Delivery),
        };
        let unknown =
            || Path::Stopped(End::Unknown { outcome: owned(decision, "outcome").unwrap_or_default() });
        let channel = intent.and_then(|intent| owned(intent, "channel"));
        let step = entry.step(words::decision(decision), decision.clone());
        if let Some(branch) = self.branches.get_mut(branch) {
            branch.paths.push(path.unwrap_or_else(unknown));
            branch.story.channel = channel.or_else(|| branch.story.channel.take());
            branch.story.rule_version = branch.story.rule_version.or(version);
            branch.story.steps.push(step);
        }
    }

    /// Follows a delivery from its intent on; gives its id.
    fn announced(&mut self, intent: &Value, owner: Owner) -> String {
        let id = owned(intent, "delivery").unwrap_or_default();
        let channel = owned(intent, "channel");
        let delivery = self.deliveries.entry(id.clone()).or_default();
        if delivery.owner.is_none() {
            delivery.owner = Some(owner);
            delivery.next = (1, None);
            delivery.again = vec![id.clone()];
        }
        delivery.channel = channel.or_else(|| delivery.channel.take());
        id
    }

    /// Adds a step to all that an owner stands for.
    fn tell(&mut self, owner: &Owner, step: &Step) {
        let branches = match owner {
            Owner::Branch(branch) => vec![*branch],
            Owner::Digest(id) => self.digests.get(id).map(|d| d.branches.clone()).unwrap_or_default(),
        };
        for branch in branches {
            if let Some(branch) = self.branches.get_mut(branch) {
                branch.story.steps.push(step.clone());
            }
        }
    }

    /// Another channel has it now.
    fn goes_to(&mut self, owner: &Owner, intent: &Value) {
        let branches = match owner {
            Owner::Branch(branch) => vec![*branch],
            Owner::Digest(id) => self.digests.get(id).map(|d| d.branches.clone()).unwrap_or_default(),
        };
        for branch in branches {
            if let Some(branch) = self.branches.get_mut(branch) {
                branch.story.channel = owned(intent, "channel");
            }
        }
    }

    fn release(&mut self, entry: &Entry<'_>) {
        let whole = &entry.whole;
        let outcome = text(whole, "outcome").unwrap_or_default();
        let until = until(whole);
        let intent = whole.get("intent").filter(|intent| text(intent, "delivery").is_some());
        let step = entry.step(words::release(whole), whole.clone());
        match text(whole, "release") {
            Some("held") => {
                let Some(held) = text(whole, "held").and_then(|id| self.held.get_mut(id)) else { return };
                let branch = held.branch;
                match (outcome, intent) {
                    ("send", Some(intent)) => {
                        held.now = Kept::Sent(owned(intent, "delivery").unwrap_or_default());
                        self.announced(intent, Owner::Branch(branch));
                        if let Some(branch) = self.branches.get_mut(branch) {
                            branch.story.channel = owned(intent, "channel");
                        }
                    }
                    ("hold", _) => held.now = Kept::Waits { until, again: Some(whole.clone()) },
                    ("cancel", _) => held.now = Kept::Cancelled(whole.clone()),
                    _ => {}
                }
                self.tell(&Owner::Branch(branch), &step);
            }
            Some("retry") => {
                let Some(delivery) = text(whole, "delivery").and_then(|id| self.deliveries.get_mut(id))
                else {
                    return;
                };
                match outcome {
                    "hold" => delivery.judged = Some(whole.clone()),
                    "send" => delivery.judged = None,
                    "cancel" => {
                        delivery.judged = Some(whole.clone());
                        delivery.ended = Some(End::NotSent {
                            because: owned(whole, "control").unwrap_or_default(),
                            until,
                            delivery: owned(whole, "delivery"),
                        });
                    }
                    _ => {}
                }
                if let Some(owner) = delivery.owner.clone() {
                    self.tell(&owner, &step);
                }
            }
            Some("digest") => {
                let Some(id) = owned(whole, "digest") else { return };
                let Some(digest) = self.digests.get_mut(&id) else { return };
                match outcome {
                    "hold" => digest.now = Kept::Waits { until, again: Some(whole.clone()) },
                    "cancel" => digest.now = Kept::Cancelled(whole.clone()),
                    _ => {}
                }
                self.tell(&Owner::Digest(id), &step);
            }
            _ => {}
        }
    }

    fn flushed(&mut self, entry: &Entry<'_>) {
        let whole = &entry.whole;
        let Some(id) = owned(whole, "digest") else { return };
        let intent = whole.get("intent").filter(|intent| text(intent, "delivery").is_some());
        let (Some(digest), Some(intent)) = (self.digests.get_mut(&id), intent) else { return };
        // The parts of one entry say the same.
        if matches!(digest.now, Kept::Sent(_)) {
            return;
        }
        digest.now = Kept::Sent(owned(intent, "delivery").unwrap_or_default());
        digest.count = whole.get("trueCount").and_then(Value::as_u64);
        self.announced(intent, Owner::Digest(id.clone()));
        self.goes_to(&Owner::Digest(id.clone()), intent);
        self.tell(&Owner::Digest(id), &entry.step(words::digest(whole), whole.clone()));
    }

    fn attempt(&mut self, entry: &Entry<'_>) {
        let whole = &entry.whole;
        let Some(id) = owned(whole, "delivery") else { return };
        let Some(delivery) = self.deliveries.get_mut(&id) else { return };
        let late = whole.get("late").is_some();
        let step = entry.step(words::attempt(whole, late), whole.clone());
        let number = whole.get("attempt").and_then(Value::as_u64).unwrap_or_default();
        if !late {
            delivery.last_result = owned(whole, "result");
            delivery.judged = None;
            let follows = whole.get("follows");
            match follows.and_then(|follows| text(follows, "outcome")) {
                Some(result @ ("delivered" | "accepted")) => {
                    let at = Some(entry.at.clone());
                    delivery.ended = Some(End::Sent { delivery: id.clone(), result: result.to_owned(), at });
                }
                Some("cancelled") => delivery.ended = Some(failed("delivery-cancelled", &id)),
                Some("held") => delivery.next = (number.saturating_add(1), None),
                Some(_) => delivery.ended = Some(failed("delivery-failed", &id)),
                None => {
                    let next = follows.and_then(|follows| follows.get("attempt")).and_then(Value::as_u64);
                    let due = follows.and_then(|follows| owned(follows, "dueAt"));
                    delivery.next = (next.unwrap_or(number.saturating_add(1)), due);
                }
            }
        }
        if let Some(owner) = delivery.owner.clone() {
            self.tell(&owner, &step);
        }
    }

    fn act(&mut self, entry: &Entry<'_>) {
        let whole = &entry.whole;
        let step = entry.step(words::act(whole), whole.clone());
        let owner = match text(whole, "act") {
            Some(act @ ("replay" | "fallback")) => {
                let of = if act == "replay" { "replayOf" } else { "fallbackOf" };
                let (Some(of), Some(intent)) = (text(whole, of), whole.get("intent")) else { return };
                let (Some(of), Some(new)) = (self.deliveries.get(of), text(intent, "delivery")) else {
                    return;
                };
                let (root, owner) = (of.root.clone().or_else(|| of.again.first().cloned()), of.owner.clone());
                let (Some(root), Some(owner)) = (root, owner) else { return };
                if self.deliveries.contains_key(new) {
                    return;
                }
                let new = self.announced(intent, owner.clone());
                if let Some(delivery) = self.deliveries.get_mut(&new) {
                    delivery.root = Some(root.clone());
                }
                if let Some(first) = self.deliveries.get_mut(&root) {
                    first.again.push(new);
                }
                if act == "fallback" {
                    self.goes_to(&owner, intent);
                }
                owner
            }
            Some(act @ ("cancel" | "dead-letter")) => {
                let Some(id) = owned(whole, "delivery") else { return };
                let Some(delivery) = self.deliveries.get_mut(&id) else { return };
                let because = if act == "cancel" { "delivery-cancelled" } else { "delivery-failed" };
                delivery.ended = Some(failed(because, &id));
                delivery.judged = None;
                let Some(owner) = delivery.owner.clone() else { return };
                owner
            }
            _ => return,
        };
        self.tell(&owner, &step);
    }
}

/// One entry as it is read.
struct Entry<'p> {
    seq: u64,
    at: String,
    kind: &'p str,
    whole: Value,
}

impl Entry<'_> {
    fn step(&self, sentence: String, record: Value) -> Step {
        Step { seq: self.seq, at: self.at.clone(), kind: self.kind.to_owned(), sentence, record }
    }
}
