//! What noise control keeps back: everything held is released once, and a digest names exactly what went into it.

use super::fields::{Faults, Fields};
use super::report::FindingCode as Code;
use crate::ledger::noise_entries::{DigestClosed, ReleaseOutcome};
use crate::ledger::statement::Statement;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// How much of the log is in view.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Earlier entries are not in view.
    pub blind: bool,
    /// Lines are picked out: nothing can be said about what stands between.
    pub filtered: bool,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    message: [u8; 32],
    over: bool,
}

/// One window of a digest.
#[derive(Debug, Default)]
struct Window {
    /// Numbers of the entries in view that went into it, rising; emptied when it is over.
    entries: Vec<u64>,
    decisions: u64,
    over: bool,
}

/// The digest entry whose parts are being read.
#[derive(Debug)]
struct Listing {
    digest: [u8; 16],
    entries: Vec<u64>,
}

/// Follows what is held and collected.
#[derive(Debug, Default)]
pub struct Kept {
    held: BTreeMap<[u8; 16], Held>,
    windows: BTreeMap<[u8; 16], Window>,
    listing: Option<Listing>,
}

/// What a release does to the delivery it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfDelivery {
    /// It is no retry.
    None,
    Retry {
        delivery: [u8; 16],
        message: [u8; 32],
        cancelled: bool,
    },
}

/// Number of an entry: that of its first part.
fn number_of(statement: &Statement) -> u64 {
    let before = statement.part.map_or(0, |part| u64::from(part.number).saturating_sub(1));
    statement.seq.saturating_sub(before)
}

impl Kept {
    /// The decisions of an event entry.
    pub fn event(&mut self, statement: &Statement, faults: &mut Faults) {
        let decisions = statement.predicate.get("decisions").and_then(Value::as_array);
        for decision in decisions.into_iter().flatten().filter_map(Value::as_object) {
            let outcome = decision.get("outcome").and_then(Value::as_str).unwrap_or_default();
            if matches!(outcome, "suppressed" | "held" | "digested") && decision.contains_key("intent") {
                faults.add(Code::MisplacedIntent, format!("a decision that is `{outcome}` has an intent"));
            }
            let empty = Map::new();
            let parameters = decision.get("parameters").and_then(Value::as_object).unwrap_or(&empty);
            let mut parameters = Fields::new(parameters, "parameters", faults);
            match outcome {
                "held" => self.hold(&mut parameters),
                "digested" => self.collect(&mut parameters, number_of(statement)),
                _ => {}
            }
        }
    }

    fn hold(&mut self, parameters: &mut Fields<'_, '_>) {
        let (id, message) = (parameters.held("held"), parameters.commitment("message"));
        let (Some(id), Some(message)) = (id, message) else { return };
        if self.held.insert(id, Held { message, over: false }).is_some() {
            parameters.faults.add(Code::DuplicateHold, "the same id was held before");
        }
    }

    fn collect(&mut self, parameters: &mut Fields<'_, '_>, number: u64) {
        let Some(id) = parameters.digest_id("digest") else { return };
        let window = self.windows.entry(id).or_default();
        if window.over {
            parameters.faults.add(Code::DigestOver, "the digest was sent or cancelled before");
            return;
        }
        if window.entries.last() != Some(&number) {
            window.entries.push(number);
        }
        window.decisions += 1;
    }

    pub fn release(&mut self, mut fields: Fields<'_, '_>, view: View) -> OfDelivery {
        for text in ["rule", "action", "control", "tzdb"] {
            fields.text(text);
        }
        fields.time("logicalTime");
        fields.object("parameters");
        if fields.has("ruleDigest") {
            fields.digest("ruleDigest");
        }
        let outcome = fields.one_of("outcome", &ReleaseOutcome::NAMES);
        let over = matches!(outcome, Some("send" | "cancel"));
        match (outcome, fields.has("intent")) {
            (Some("send"), false) => fields.fault("intent", "is missing: the outcome is `send`"),
            (Some("hold" | "cancel"), true) => {
                fields.faults.add(Code::MisplacedIntent, "a release that sends nothing has an intent");
            }
            _ => {}
        }
        match fields.one_of("release", &["held", "retry", "digest"]) {
            Some("held") => self.release_held(fields, over, view),
            Some("retry") => {
                let (delivery, message) = (fields.delivery("delivery"), repeated_message(&mut fields));
                let intent = fields.get("intent").and_then(Value::as_object);
                if intent.is_some_and(|intent| intent.get("delivery") != fields.get("delivery")) {
                    fields.fault("intent", "announces another delivery than the one released");
                }
                if let (Some(delivery), Some(message)) = (delivery, message) {
                    let cancelled = outcome == Some("cancel");
                    return OfDelivery::Retry { delivery, message, cancelled };
                }
            }
            Some(_) => {
                if outcome == Some("send") {
                    fields.fault(
                        "outcome",
                        "of a digest is `hold` or `cancel`: one that is sent has a digest entry",
                    );
                }
                if let Some(id) = fields.digest_id("digest") {
                    let window = self.windows.entry(id).or_default();
                    if window.over {
                        fields.faults.add(Code::DigestOver, "the digest was sent or cancelled before");
                    } else if over {
                        *window = Window { over: true, ..Window::default() };
                    }
                }
            }
            None => {}
        }
        OfDelivery::None
    }

    fn release_held(&mut self, mut fields: Fields<'_, '_>, over: bool, view: View) {
        let (id, message) = (fields.held("held"), repeated_message(&mut fields));
        let (Some(id), Some(message)) = (id, message) else { return };
        let known = self.held.entry(id);
        if matches!(known, std::collections::btree_map::Entry::Vacant(_)) && !view.blind {
            fields.faults.add(Code::MissingHold, "nothing was held under this id");
        }
        let held = known.or_insert(Held { message, over: false });
        if held.over {
            fields.faults.add(Code::ReleaseRepeated, "it was sent or cancelled before");
        }
        if held.message != message {
            fields.faults.add(Code::MessageChanged, "a release must repeat the first message commitment");
        }
        held.over |= over;
    }

    /// A digest entry, or one part of it.
    pub fn digest(&mut self, statement: &Statement, mut fields: Fields<'_, '_>, view: View) {
        for text in ["rule", "action", "control", "tzdb"] {
            fields.text(text);
        }
        fields.digest("ruleDigest");
        fields.time("logicalTime");
        fields.object("parameters");
        fields.object("intent");
        fields.one_of("closed", &DigestClosed::ALL.map(DigestClosed::as_str));
        let number = number_of(statement);
        let entries = fields.numbers("entries");
        let (all, retained) = (fields.number("trueCount"), fields.number("retainedCount"));
        if let (Some(all), Some(retained)) = (all, retained)
            && retained > all
        {
            fields.fault("retainedCount", "is more than `trueCount`");
        }
        let id = fields.digest_id("digest");
        let before = self.listing.take();
        let (Some(id), Some(all)) = (id, all) else { return };
        let mut listing = match (statement.part, before) {
            (Some(part), Some(before)) if part.number > 1 && before.digest == id => before,
            // An earlier part is not in view: the list has a beginning that nobody can check.
            (Some(part), _) if part.number > 1 => return,
            _ => Listing { digest: id, entries: vec![] },
        };
        for entry in entries {
            if entry >= number || listing.entries.last().is_some_and(|last| entry <= *last) {
                fields.fault("entries", "must be earlier sequence numbers in rising order");
                return;
            }
            listing.entries.push(entry);
        }
        if statement.part.is_some_and(|part| part.number < part.of) && !view.filtered {
            self.listing = Some(listing);
            return;
        }
        let window = self.windows.entry(id).or_default();
        if window.over {
            fields.faults.add(Code::DigestOver, "the digest was sent or cancelled before");
        }
        let whole = !view.filtered || statement.part.is_none();
        if whole && let Some(reason) = unlike(window, &listing.entries, all, view.blind) {
            fields.faults.add(Code::DigestEntries, reason);
        }
        *window = Window { over: true, ..Window::default() };
    }
}

/// `message`, which the intent repeats.
fn repeated_message(fields: &mut Fields<'_, '_>) -> Option<[u8; 32]> {
    let message = fields.commitment("message")?;
    let intent = fields.get("intent").and_then(Value::as_object);
    if intent.is_some_and(|intent| intent.get("message") != fields.get("message")) {
        fields.faults.add(Code::MessageChanged, "a release must repeat the first message commitment");
    }
    Some(message)
}

/// How a digest's own list differs from what the entries in view said went into it.
fn unlike(window: &Window, listed: &[u64], count: u64, blind: bool) -> Option<String> {
    if window.over {
        return None;
    }
    if let Some(left_out) = window.entries.iter().find(|entry| listed.binary_search(entry).is_err()) {
        return Some(format!("entry {left_out} went into this digest and is not listed"));
    }
    if window.decisions > count {
        return Some(format!("`trueCount` is {count}, but {} alerts went in", window.decisions));
    }
    if blind {
        return None;
    }
    if let Some(foreign) = listed.iter().find(|entry| window.entries.binary_search(entry).is_err()) {
        return Some(format!("entry {foreign} is listed and did not go into this digest"));
    }
    (window.decisions != count)
        .then(|| format!("`trueCount` is {count}, but {} alerts went in", window.decisions))
}
