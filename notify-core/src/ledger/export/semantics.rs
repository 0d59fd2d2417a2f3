//! What entries must say, alone and together: fields per kind, and the story of every delivery.

use super::fields::{Faults, Fields};
use super::kept::{Kept, OfDelivery, View};
use super::report::FindingCode as Code;
use crate::ledger::append::log_subject;
use crate::ledger::commitment::{Commitment, parse_hex32};
use crate::ledger::draft::EntryKind;
use crate::ledger::entry::{ConfigAction, RESULTS};
use crate::ledger::statement::{Part, Statement};
use crate::time::Timestamp;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ops::Range;

/// What is known of a delivery. Small, because an export may hold millions.
#[derive(Debug, Clone, Copy)]
struct Delivery {
    message: [u8; 32],
    /// Highest attempt that was announced.
    announced: u32,
    /// Number of the next record; 0 when unknown.
    next: u32,
    /// [`Semantics::epoch`] when it was last heard of.
    epoch: u32,
    ended: bool,
}

#[derive(Debug)]
struct OpenParts {
    last: Part,
    at: Timestamp,
    kind: EntryKind,
    subject: Vec<(String, [u8; 32])>,
    /// Everything that must repeat: all fields but lists.
    repeated: Map<String, Value>,
}

/// Follows the entries of one export in order.
#[derive(Debug)]
pub struct Semantics {
    /// Earlier entries are not in view, so what they would announce cannot be asked for.
    blind: bool,
    /// Lines are picked out: nothing can be said about what stands between.
    filtered: bool,
    /// Grows with every stub: what happened in it is not in view.
    epoch: u32,
    last_at: Option<Timestamp>,
    parts: Option<OpenParts>,
    /// The line before was a stub, or there was none.
    after_stub: bool,
    first_line: bool,
    deliveries: BTreeMap<[u8; 16], Delivery>,
    stubs: Vec<Range<u64>>,
    /// Range and own number of every prune entry.
    prunes: Vec<(Range<u64>, u64)>,
    /// What noise control holds and collects.
    kept: Kept,
}

/// Totals for the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    pub deliveries: u64,
    pub open: u64,
}

impl Semantics {
    /// `blind`: the export does not start at entry 0 or is filtered.
    #[must_use]
    pub fn new(blind: bool, filtered: bool) -> Self {
        Self {
            blind,
            filtered,
            epoch: 0,
            last_at: None,
            parts: None,
            after_stub: false,
            first_line: true,
            deliveries: BTreeMap::new(),
            stubs: vec![],
            prunes: vec![],
            kept: Kept::default(),
        }
    }

    /// A pruned entry.
    pub fn stub(&mut self, seq: u64) {
        self.blind = true;
        self.epoch = self.epoch.saturating_add(1);
        self.parts = None;
        self.after_stub = true;
        self.first_line = false;
        match self.stubs.last_mut() {
            Some(range) if range.end == seq => range.end += 1,
            _ => self.stubs.push(seq..seq.saturating_add(1)),
        }
    }

    /// The next entry, in order.
    pub fn statement(&mut self, statement: &Statement, faults: &mut Faults) {
        if self.last_at.is_some_and(|last| statement.at < last) {
            faults.add(Code::TimeBackwards, "`at` is before that of an earlier entry");
        }
        self.last_at = self.last_at.max(Some(statement.at));
        self.check_genesis(statement, faults);
        self.check_part(statement, faults);
        check_subject(statement, faults);
        self.check_kind(statement, faults);
        self.after_stub = false;
        self.first_line = false;
    }

    /// What can only be said at the end.
    pub fn finish(mut self, mut find: impl FnMut(Code, Option<u64>, String)) -> Totals {
        if let Some(parts) = self.parts.take() {
            find(Code::BadPart, None, format!("the export ends after part {}", parts.last));
        }
        for stubs in &self.stubs {
            if stubs.start == 0 {
                find(Code::PrunedProtected, Some(0), "genesis is never pruned".to_owned());
            }
            // A prune entry can account only for what stands before it.
            let uncovered = uncovered(stubs, &self.prunes);
            if let Some(seq) = uncovered {
                let reason = "no prune entry accounts for this stub: the entry is hidden".to_owned();
                find(Code::PrunedWithoutEntry, Some(seq), reason);
            }
        }
        let open = self.deliveries.values().filter(|delivery| !delivery.ended).count() as u64;
        Totals { deliveries: self.deliveries.len() as u64, open }
    }

    fn check_genesis(&self, statement: &Statement, faults: &mut Faults) {
        match (statement.kind, statement.seq) {
            (EntryKind::Genesis, 0) => {
                let expected = parse_hex32(&log_subject(&statement.log));
                let log = statement.subject.iter().find(|(name, _)| name == "log").map(|(_, digest)| *digest);
                if log != expected {
                    faults.add(Code::SubjectMismatch, "the `log` subject is not the SHA-256 of the origin");
                }
            }
            (EntryKind::Genesis, _) => faults.add(Code::GenesisMisplaced, "genesis stands only at 0"),
            (_, 0) => faults.add(Code::GenesisMissing, "entry 0 is not genesis"),
            _ => {}
        }
    }

    fn check_part(&mut self, statement: &Statement, faults: &mut Faults) {
        if self.filtered {
            return;
        }
        let open = self.parts.take();
        let Some(part) = statement.part else {
            if let Some(open) = open {
                faults.add(Code::BadPart, format!("part {} is not followed by the next", open.last));
            }
            return;
        };
        match open {
            None if part.number > 1 && !self.after_stub => {
                let reason = if self.first_line { "the export begins" } else { "a list continues" };
                faults.add(Code::BadPart, format!("{reason} with part {part}"));
            }
            Some(open) => {
                if open.last.of != part.of || open.last.number + 1 != part.number {
                    faults.add(Code::BadPart, format!("part {part} follows part {}", open.last));
                } else if open.kind != statement.kind || open.at != statement.at {
                    faults.add(Code::BadPart, "parts of one entry must have the same `kind` and `at`");
                } else if open.subject != statement.subject
                    || open.repeated != without_lists(&statement.predicate)
                {
                    faults.add(Code::BadPart, "parts of one entry must repeat all fields but lists");
                }
            }
            None => {}
        }
        if part.number < part.of {
            self.parts = Some(OpenParts {
                last: part,
                at: statement.at,
                kind: statement.kind,
                subject: statement.subject.clone(),
                repeated: without_lists(&statement.predicate),
            });
        }
    }

    fn check_kind(&mut self, statement: &Statement, faults: &mut Faults) {
        let mut fields = Fields::new(&statement.predicate, "predicate", faults);
        match statement.kind {
            EntryKind::Genesis => {
                if let Some(mut predecessor) = fields.optional_object("predecessor") {
                    predecessor.text("log");
                    predecessor.number("size");
                    predecessor.digest("rootDigest");
                }
            }
            EntryKind::Event => {
                fields.commitment("event");
                fields.number("unmatched");
                fields.each_object("decisions", check_decision);
                self.kept.event(statement, faults);
            }
            EntryKind::Attempt => return self.attempt(fields),
            EntryKind::Delivery => return self.delivery_act(statement, fields),
            EntryKind::Digest => self.kept.digest(statement, fields, self.view()),
            EntryKind::Release => {
                let of = self.kept.release(fields, self.view());
                self.release(of, faults);
            }
            EntryKind::Config => {
                fields.text("documentKind");
                fields.text("document");
                fields.number("version");
                fields.one_of("action", &ConfigAction::ALL.map(ConfigAction::as_str));
                fields.commitment("actor");
                if fields.has("config") {
                    fields.commitment("config");
                } else {
                    fields.digest("configDigest");
                }
                if fields.has("forced") {
                    fields.texts("forced");
                }
            }
            EntryKind::Access => {
                fields.text("act");
                fields.commitment("actor");
            }
            EntryKind::Export => {
                fields.range("range", statement.seq);
                fields.digest("rootDigest");
                fields.commitment("who");
            }
            EntryKind::Prune => {
                let range = fields.range("range", statement.seq);
                let count = fields.number("count");
                fields.digest("policyDigest");
                fields.commitment("approvedBy");
                if let (Some(range), Some(count)) = (range, count) {
                    if count > range.end - range.start {
                        fields.fault("count", "is more than the range holds");
                    }
                    self.prunes.push((range, statement.seq));
                }
            }
            EntryKind::Erasure => {
                fields.number("count");
            }
            EntryKind::Incident | EntryKind::Ack | EntryKind::Key | EntryKind::Heartbeat => {}
        }
        self.intents(statement, faults);
    }

    /// Every intent of an entry, wherever it stands.
    fn intents(&mut self, statement: &Statement, faults: &mut Faults) {
        let predicate = &statement.predicate;
        let decisions = predicate.get("decisions").and_then(Value::as_array);
        let in_decisions = decisions.into_iter().flatten().filter_map(|decision| decision.get("intent"));
        // A field outside of lists repeats in every part, so it counts once.
        let repeats = statement.part.is_some_and(|part| part.number > 1);
        let own = predicate.get("intent").filter(|_| !repeats);
        for intent in in_decisions.chain(own) {
            let allowed = matches!(
                statement.kind,
                EntryKind::Event
                    | EntryKind::Release
                    | EntryKind::Digest
                    | EntryKind::Incident
                    | EntryKind::Delivery
            );
            if !allowed {
                faults
                    .add(Code::MisplacedIntent, format!("an entry of kind {} has an intent", statement.kind));
                continue;
            }
            let Some(object) = intent.as_object() else {
                faults.add(Code::BadField, "`intent` is not an object");
                continue;
            };
            let mut fields = Fields::new(object, "intent", faults);
            let delivery = fields.delivery("delivery");
            fields.text("channel");
            fields.commitment("target");
            let message = fields.commitment("message");
            fields.text("idempotencyKey");
            if let (Some(delivery), Some(message)) = (delivery, message) {
                // Only a retry keeps its delivery; what was held has none before.
                let again = statement.kind == EntryKind::Release
                    && predicate.get("release").and_then(Value::as_str) == Some("retry");
                self.announce(delivery, message, again, faults);
            }
        }
    }

    fn announce(&mut self, id: [u8; 16], message: [u8; 32], again: bool, faults: &mut Faults) {
        let epoch = self.epoch;
        match self.deliveries.get_mut(&id) {
            None => {
                // In a partial view the number of a retry's next attempt is unknown.
                let next = if again && self.blind { 0 } else { 1 };
                self.deliveries.insert(id, Delivery { message, announced: 1, next, epoch, ended: false });
            }
            Some(delivery) if again => {
                delivery.announced = delivery.announced.max(delivery.next);
                delivery.ended = false;
            }
            Some(_) => faults.add(Code::DuplicateDelivery, "the delivery has an intent already"),
        }
    }

    const fn view(&self) -> View {
        View { blind: self.blind, filtered: self.filtered }
    }

    /// A retry that is judged anew and not sent. What a release's intent announces is read with all other intents.
    fn release(&mut self, of: OfDelivery, faults: &mut Faults) {
        let OfDelivery::Retry { delivery, message, cancelled } = of else { return };
        match self.deliveries.get_mut(&delivery) {
            Some(known) => {
                if known.message != message {
                    faults.add(Code::MessageChanged, "a release must repeat the first message commitment");
                }
                known.ended |= cancelled;
            }
            None if !self.blind => faults.add(Code::MissingIntent, "nothing announced this delivery"),
            None => {}
        }
    }

    fn attempt(&mut self, mut fields: Fields<'_, '_>) {
        let id = fields.delivery("delivery");
        let attempt = fields.number("attempt").and_then(|n| u32::try_from(n).ok()).filter(|n| *n < u32::MAX);
        let message = fields.commitment("message");
        fields.one_of("result", &RESULTS);
        for optional in ["request", "response"] {
            if fields.has(optional) {
                fields.commitment(optional);
            }
        }
        let late = match fields.get("late") {
            None => false,
            Some(Value::Bool(true)) => true,
            Some(_) => {
                fields.fault("late", "is `true` or absent");
                false
            }
        };
        let Some(attempt) = attempt.filter(|n| *n >= 1) else {
            fields.fault("attempt", "is not a number from 1");
            return;
        };
        let follows = check_follows(&mut fields, attempt, late);
        fields.refuse_intents();
        if let (Some(id), Some(message)) = (id, message) {
            self.advance(id, attempt, message, late, follows, fields.faults);
        }
    }

    fn advance(
        &mut self,
        id: [u8; 16],
        attempt: u32,
        message: [u8; 32],
        late: bool,
        follows: Option<Follows>,
        faults: &mut Faults,
    ) {
        let (epoch, blind, filtered) = (self.epoch, self.blind, self.filtered);
        let delivery = self.deliveries.entry(id).or_insert_with(|| {
            if !blind {
                faults.add(Code::MissingIntent, "nothing announced this delivery");
            }
            let next = if late { 0 } else { attempt };
            Delivery { message, announced: attempt, next, epoch, ended: false }
        });
        if delivery.message != message {
            faults.add(Code::MessageChanged, "`message` is not the one that was announced");
        }
        // Between stubs, and between picked lines, entries may exist that are not in view.
        let unseen = filtered || delivery.epoch != epoch || delivery.next == 0;
        let unannounced = attempt > delivery.announced && !unseen;
        if late {
            if unannounced {
                faults.add(Code::AttemptUnannounced, format!("nothing announced attempt {attempt}"));
            }
            return;
        }
        if attempt < delivery.next {
            faults.add(Code::AttemptRepeated, format!("attempt {attempt} was recorded before"));
        } else if attempt > delivery.next && !unseen {
            faults.add(Code::AttemptHole, format!("attempt {} is not recorded", delivery.next));
        } else if unannounced {
            faults.add(Code::AttemptUnannounced, format!("nothing announced attempt {attempt}"));
        }
        delivery.next = delivery.next.max(attempt + 1);
        delivery.announced = delivery.announced.max(attempt);
        delivery.epoch = epoch;
        match follows {
            Some(Follows::Attempt) => delivery.announced = delivery.announced.max(attempt + 1),
            Some(Follows::Outcome) => delivery.ended = true,
            None => {}
        }
    }

    fn delivery_act(&mut self, statement: &Statement, mut fields: Fields<'_, '_>) {
        let id = fields.delivery("delivery");
        let message = fields.commitment("message");
        let act = fields.one_of("act", &["replay", "fallback", "test", "cancel", "dead-letter"]);
        if fields.has("actor") {
            fields.commitment("actor");
        }
        match act {
            Some("replay" | "fallback" | "test") => {
                match act {
                    Some("replay") => drop(fields.delivery("replayOf")),
                    Some("fallback") => {
                        fields.delivery("fallbackOf");
                        fields.text("reason");
                    }
                    _ => {}
                }
                let intent = fields.get("intent").and_then(Value::as_object);
                let same = |name| intent.is_some_and(|intent| intent.get(name) == fields.get(name));
                if !same("delivery") || !same("message") {
                    fields.fault("intent", "does not announce the same `delivery` and `message`");
                }
                self.intents(statement, fields.faults);
            }
            Some(_) => {
                fields.refuse_intents();
                let (Some(id), Some(message)) = (id, message) else { return };
                match self.deliveries.get_mut(&id) {
                    Some(delivery) => {
                        delivery.ended = true;
                        if delivery.message != message {
                            let reason = "`message` is not the one that was announced";
                            fields.faults.add(Code::MessageChanged, reason);
                        }
                    }
                    None if !self.blind => {
                        fields.faults.add(Code::MissingIntent, "nothing announced this delivery");
                    }
                    None => {}
                }
            }
            None => {}
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Follows {
    Outcome,
    Attempt,
}

fn check_follows(fields: &mut Fields<'_, '_>, attempt: u32, late: bool) -> Option<Follows> {
    let mut follows = if late { fields.optional_object("follows")? } else { fields.object("follows")? };
    if follows.has("outcome") == follows.has("attempt") {
        follows.fault("outcome", "or `attempt` must be there, not both");
        return None;
    }
    if follows.has("outcome") {
        follows.text("outcome");
        return Some(Follows::Outcome);
    }
    follows.time("dueAt");
    if follows.number("attempt") != Some(u64::from(attempt) + 1) {
        follows.fault("attempt", "is not the next number");
    }
    Some(Follows::Attempt)
}

fn check_decision(decision: &mut Fields<'_, '_>) {
    for text in ["rule", "action", "outcome", "control", "tzdb"] {
        decision.text(text);
    }
    decision.digest("ruleDigest");
    decision.time("logicalTime");
    decision.object("parameters");
    decision.texts("alsoApplied");
}

/// A subject called like a field that holds a commitment or digest must be the same.
fn check_subject(statement: &Statement, faults: &mut Faults) {
    for (name, digest) in &statement.subject {
        let of = |field: &str| statement.predicate.get(field)?.as_str().and_then(Commitment::parse);
        let commitment = of(name).or_else(|| of(&format!("{name}Digest")));
        if commitment.is_some_and(|commitment| commitment.0 != *digest) {
            faults.add(Code::SubjectMismatch, format!("subject `{name}` is not what the predicate says"));
        }
    }
}

fn without_lists(predicate: &Map<String, Value>) -> Map<String, Value> {
    predicate.iter().filter(|(_, value)| !value.is_array()).map(|(k, v)| (k.clone(), v.clone())).collect()
}

/// The first number of `stubs` that no prune entry behind it accounts for.
fn uncovered(stubs: &Range<u64>, prunes: &[(Range<u64>, u64)]) -> Option<u64> {
    let mut at = stubs.start;
    while at < stubs.end {
        let end =
            prunes.iter().filter(|(range, seq)| range.contains(&at) && *seq > at).map(|(range, _)| range.end);
        match end.max() {
            // A range never reaches its own entry (checked when it was read), so one step cannot overshoot it.
            Some(end) => at = end,
            None => return Some(at),
        }
    }
    None
}

/// Calls `each` with every commitment an entry shows: `sha256:…` texts outside of fields that end in `Digest`, and
/// subjects that are not plain digests.
pub fn commitments(statement: &Statement, each: &mut impl FnMut([u8; 32])) {
    in_object(&statement.predicate, each);
    for (name, digest) in &statement.subject {
        let plain = statement.kind == EntryKind::Genesis && name == "log"
            || statement.predicate.contains_key(&format!("{name}Digest"));
        if !plain {
            each(*digest);
        }
    }
}

fn in_object(object: &Map<String, Value>, each: &mut impl FnMut([u8; 32])) {
    for (_, value) in object.iter().filter(|(key, _)| !key.ends_with("Digest")) {
        in_value(value, each);
    }
}

fn in_value(value: &Value, each: &mut impl FnMut([u8; 32])) {
    match value {
        Value::String(text) => {
            if let Some(commitment) = Commitment::parse(text) {
                each(commitment.0);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| in_value(item, each)),
        Value::Object(object) => in_object(object, each),
        _ => {}
    }
}
