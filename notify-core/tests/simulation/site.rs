//! One tenant without clock, store or network: what the owner does, one step after the other.

use jiff::Timestamp;
use notify_core::event::Event;
use notify_core::ids::{ActionId, ChannelId, DigestId, EventKey, HeldId, RuleId};
use notify_core::ledger::EntryDraft;
use notify_core::ledger::append::{Appender, LogState, NumberedEntry};
use notify_core::ledger::commitment::Commitment;
use notify_core::ledger::entry::Genesis;
use notify_core::ledger::keys::{LogKey, LogKeys};
use notify_core::noise::{Change, NoiseState, Remembered, StateKey, StateRow};
use notify_core::plan::{
    Collected, HeldAlert, Judgement, Place, Planned, Shown, Snapshot, Verdict, arm, flush, plan, release,
    retained,
};
use notify_core::severity::Severity;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// An alert: event, rule and action.
pub type Alert = (EventKey, RuleId, ActionId);

/// How the story of an alert ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    Sent,
    Suppressed,
    Held(HeldId),
    In(DigestId),
    /// Held, and then not sent.
    Cancelled,
}

/// What became of a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestFate {
    Open,
    Sent,
    Cancelled,
}

/// What a timer brought.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Happened {
    /// Microseconds since 1970.
    pub at: i64,
    /// The held alert, or those of the digest in order of arrival.
    pub alerts: Vec<Alert>,
    /// `send`, `hold` or `cancel`.
    pub outcome: &'static str,
    pub control: String,
    /// Of `hold`.
    pub until: Option<i64>,
}

pub struct Held {
    alert: Alert,
    rule_version: u64,
    channel: ChannelId,
    message: String,
    salt: [u8; 32],
    commitment: Commitment,
}

struct Item {
    number: u32,
    alert: Alert,
    severity: Severity,
    at: Timestamp,
}

pub struct Site {
    snapshot: Snapshot,
    seed: u64,
    key: LogKey,
    log: LogState,
    pub entries: Vec<NumberedEntry>,
    pub root: String,
    pub state: NoiseState,
    last: Timestamp,
    // The store.
    rows: BTreeMap<StateKey, String>,
    pub events: BTreeMap<EventKey, (Event, u64)>,
    held: BTreeMap<HeldId, Held>,
    items: BTreeMap<DigestId, Vec<Item>>,
    pub fates: BTreeMap<Alert, Fate>,
    pub digests: BTreeMap<DigestId, DigestFate>,
    pub happened: Vec<Happened>,
}

impl Site {
    pub fn new(snapshot: Snapshot, seed: u64, start: Timestamp) -> Self {
        let origin = "site.example/tenant/0123456789abcdef";
        let key = LogKeys::new("site.example", [7; 32]).unwrap().log_key(origin).unwrap();
        let mut site = Self {
            snapshot,
            seed,
            key,
            log: LogState::empty(origin),
            entries: vec![],
            root: String::new(),
            state: NoiseState::default(),
            last: start,
            rows: BTreeMap::new(),
            events: BTreeMap::new(),
            held: BTreeMap::new(),
            items: BTreeMap::new(),
            fates: BTreeMap::new(),
            digests: BTreeMap::new(),
            happened: vec![],
        };
        site.append(&[Genesis::default().into_draft()], start);
        site.remember(arm(&site.snapshot, &site.state, start));
        site
    }

    fn entropy(&self, of: &str) -> [u8; 32] {
        Sha256::new().chain_update(self.seed.to_be_bytes()).chain_update(of).finalize().into()
    }

    fn append(&mut self, drafts: &[EntryDraft], at: Timestamp) -> Vec<u64> {
        let mut appender = Appender::new(self.log.clone());
        let seqs = appender.append(drafts, at).unwrap();
        let appended = appender.finish(&self.key).unwrap();
        self.log = appended.state;
        self.root = format!("{:?}", appended.root);
        self.entries.extend(appended.entries);
        seqs
    }

    /// To memory and to the rows of the store, as the owner does.
    fn remember(&mut self, changes: Vec<Change>) {
        for (key, value) in &changes {
            match value {
                Some(value) => drop(self.rows.insert(*key, StateRow::of(*key, value).value)),
                None => drop(self.rows.remove(key)),
            }
        }
        self.state.apply(changes);
    }

    /// The process ends, and another one reads what the store holds.
    pub fn restart(&mut self) {
        self.state = self.rows.iter().map(|(key, value)| (*key, StateRow::read(value).unwrap())).collect();
    }

    /// The documents change at this time.
    pub fn configure(&mut self, snapshot: Snapshot, at: Timestamp) {
        self.until(at);
        self.snapshot = snapshot;
        self.remember(arm(&self.snapshot, &self.state, self.last));
    }

    /// What an event would lead to now, planned on everything that is remembered and on `part` of it alone.
    pub fn preview(
        &self,
        event: &Event,
        part: impl Fn(&NoiseState, &[StateKey]) -> NoiseState,
    ) -> [Planned; 2] {
        let entropy = self.entropy(event.key.as_str());
        let whole = plan(&self.snapshot, event, self.last, &entropy, &self.state);
        let part = part(&self.state, &whole.reads);
        let of_part = plan(&self.snapshot, event, self.last, &entropy, &part);
        [whole, of_part]
    }

    /// Number of things remembered.
    pub fn remembered(&self) -> usize {
        self.state.len()
    }

    /// Time passes: timers fire in order of (due, key), each at its own time.
    pub fn until(&mut self, at: Timestamp) {
        while let Some((due, key)) = self.state.next_timer().filter(|(due, _)| *due <= at.as_microsecond()) {
            let now = Timestamp::from_microsecond(due).unwrap().max(self.last);
            self.last = now;
            match self.state.get(&key).cloned() {
                Some(Remembered::Held(_)) => self.release(key, now),
                Some(Remembered::Window(window)) => self.flush(key, &window, now),
                other => panic!("a timer of {other:?}"),
            }
        }
        self.last = self.last.max(at);
        // What nobody can see any more is dropped; the store drops it with a later commit.
        for key in self.state.sweep(self.last.as_microsecond()) {
            self.rows.remove(&key);
        }
    }

    /// An event is accepted at its time.
    pub fn accept(&mut self, event: Event, at: Timestamp) -> Planned {
        self.until(at);
        let entropy = self.entropy(event.key.as_str());
        let planned = plan(&self.snapshot, &event, self.last, &entropy, &self.state);
        let seqs = self.append(std::slice::from_ref(&planned.entry), self.last);
        self.remember(planned.changes.clone());
        let alert = |rule: &RuleId, action: &ActionId| (event.key.clone(), rule.clone(), action.clone());
        for decision in &planned.decisions {
            let fate = match &decision.verdict {
                Verdict::Send(_) | Verdict::SendFallback(..) => Fate::Sent,
                Verdict::Suppressed { .. } => Fate::Suppressed,
                Verdict::Held { held, .. } => Fate::Held(held.clone()),
                Verdict::Digested { digest, .. } => Fate::In(digest.clone()),
            };
            let before = self.fates.insert(alert(&decision.rule, &decision.action), fate);
            assert_eq!(before, None, "an alert is decided once");
        }
        for hold in &planned.holds {
            let held = Held {
                alert: alert(&hold.rule, &hold.action),
                rule_version: hold.rule_version,
                channel: hold.channel.clone(),
                message: hold.message_json.clone(),
                salt: hold.message_salt,
                commitment: hold.message_commitment,
            };
            assert!(self.held.insert(hold.id.clone(), held).is_none());
        }
        for item in &planned.items {
            let items = self.items.entry(item.digest.clone()).or_default();
            assert_eq!(items.len() + 1, item.number as usize, "numbers have no holes");
            items.push(Item {
                number: item.number,
                alert: alert(&item.rule, &item.action),
                severity: item.severity,
                at: self.last,
            });
            self.digests.insert(item.digest.clone(), DigestFate::Open);
        }
        self.events.insert(event.key.clone(), (event, seqs[0]));
        planned
    }

    fn release(&mut self, key: StateKey, now: Timestamp) {
        let id = key.to_held().unwrap();
        let held = &self.held[&id];
        let (event, rule, action) = &held.alert;
        let alert = HeldAlert {
            id: &id,
            event: &self.events[event].0,
            rule,
            rule_version: held.rule_version,
            action,
            channel: &held.channel,
            message_json: &held.message,
            message_salt: held.salt,
            message_commitment: held.commitment,
        };
        let entropy = self.entropy(&format!("{id}@{now}"));
        let released = release(&self.snapshot, &alert, now, &entropy, &self.state);
        let alerts = vec![held.alert.clone()];
        self.append(std::slice::from_ref(&released.entry), now);
        self.happens(now, alerts, &released.judgement);
        self.remember(released.changes);
        let fate = match released.judgement {
            Judgement::Hold { .. } => return,
            Judgement::Send => Fate::Sent,
            Judgement::Cancel => Fate::Cancelled,
        };
        assert_eq!(released.delivery.is_some(), fate == Fate::Sent);
        let held = self.held.remove(&id).unwrap();
        self.fates.insert(held.alert, fate);
    }

    fn flush(&mut self, key: StateKey, window: &notify_core::noise::Window, now: Timestamp) {
        let nothing = Vec::new();
        let items = self.items.get(&window.id).unwrap_or(&nothing);
        assert_eq!(items.len(), window.count as usize, "the window counts what it has");
        let places: Vec<_> =
            items.iter().map(|item| Place { number: item.number, severity: item.severity }).collect();
        let alerts = items.iter().map(|item| item.alert.clone()).collect();
        let entries = items.iter().map(|item| self.events[&item.alert.0].1).collect();
        let mut owners: Vec<_> =
            items.iter().map(|item| (item.alert.1.clone(), item.alert.2.clone())).collect();
        owners.sort();
        owners.dedup();
        let shown = retained(&self.snapshot, window, &places).into_iter().map(|number| {
            let item = &items[number as usize - 1];
            Shown {
                event: self.events[&item.alert.0].0.value.clone(),
                rule: item.alert.1.clone(),
                action: item.alert.2.clone(),
                severity: item.severity,
                at: item.at,
            }
        });
        let collected = Collected { entries, shown: shown.collect(), owners };
        let entropy = self.entropy(&format!("{}@{now}", window.id));
        let flushed = flush(&self.snapshot, key, window, collected, now, &entropy);
        if let Some(entry) = &flushed.entry {
            self.append(std::slice::from_ref(entry), now);
        }
        if let Some(judgement) = &flushed.judgement {
            self.happens(now, alerts, judgement);
        }
        self.remember(flushed.changes);
        let fate = match flushed.judgement {
            None | Some(Judgement::Hold { .. }) => return,
            Some(Judgement::Send) => DigestFate::Sent,
            Some(Judgement::Cancel) => DigestFate::Cancelled,
        };
        assert_eq!(flushed.delivery.is_some(), fate == DigestFate::Sent);
        self.digests.insert(window.id.clone(), fate);
    }

    /// Something that waited was judged, and its entry appended.
    fn happens(&mut self, now: Timestamp, alerts: Vec<Alert>, judgement: &Judgement) {
        let (outcome, until) = match judgement {
            Judgement::Send => ("send", None),
            Judgement::Hold { until } => ("hold", Some(until.as_microsecond())),
            Judgement::Cancel => ("cancel", None),
        };
        let entry: serde_json::Value = serde_json::from_str(&self.entries.last().unwrap().payload).unwrap();
        let predicate = &entry["predicate"];
        // A digest that is sent says why there was one.
        let sent = predicate["release"].is_null() || outcome == "send";
        let control = if sent { "none" } else { predicate["control"].as_str().unwrap() };
        let at = now.as_microsecond();
        self.happened.push(Happened { at, alerts, outcome, control: control.to_owned(), until });
    }

    /// Every alert's story ends: sent, suppressed, held by something that waits, or part of a digest that exists.
    pub fn assert_nothing_is_lost(&self) {
        let timers: Vec<_> = self.state.timers().collect();
        let mut open: BTreeMap<&DigestId, u32> = BTreeMap::new();
        for (_, timer) in &timers {
            if let Remembered::Window(window) = timer {
                open.insert(&window.id, window.count);
            }
        }
        for (alert, fate) in &self.fates {
            match fate {
                Fate::Sent | Fate::Suppressed | Fate::Cancelled => {}
                Fate::Held(id) => {
                    let timer = self.state.get(&StateKey::of_held(id));
                    assert!(
                        matches!(timer, Some(Remembered::Held(_))),
                        "{alert:?} is held and nobody releases it"
                    );
                }
                Fate::In(digest) => {
                    let there = self.items[digest].iter().any(|item| item.alert == *alert);
                    assert!(there, "{alert:?} is not in its digest");
                    let known = self.digests[digest];
                    assert_eq!(open.contains_key(digest), known == DigestFate::Open, "{digest} is {known:?}");
                }
            }
        }
        for (digest, count) in open {
            let items = self.items.get(digest).map_or(0, Vec::len);
            assert_eq!(items, count as usize, "{digest}");
        }
        self.assert_stories_agree();
    }
}
