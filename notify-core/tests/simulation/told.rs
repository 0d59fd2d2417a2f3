//! Every event is told from the ledger that the site wrote, and its story ends as the site knows that it did.

use super::site::{Alert, DigestFate, Fate, Site};
use notify_core::event::Event;
use notify_core::noise::{Remembered, StateKey};
use notify_core::story::{CurrentDigest, DigestEnd, End, EventFacts, Evidence, Story, tell};
use notify_core::time::rfc3339_millis;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Words for what a story does not understand.
const LOST: [&str; 4] = ["does not know", "does not say", "because of `", "``"];

type ByAbout = BTreeMap<String, Vec<(u64, Value)>>;

impl Site {
    pub fn assert_stories_agree(&self) {
        let entries = self.by_about();
        let open = self.open_digests();
        let mut fates: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for fate in &self.fates {
            fates.entry(&fate.0.0).or_default().push(fate);
        }
        let mut alerts = 0;
        for (event, _) in self.events.values() {
            let story = tell(&evidence(event, &entries, &open));
            let ends = story.actions.iter().map(|action| (&action.rule, &action.action));
            assert_eq!(ends.collect::<BTreeSet<_>>().len(), story.actions.len(), "{}", story.sentence);
            alerts += story.actions.len();
            for (alert, fate) in fates.get(&event.key).into_iter().flatten() {
                self.agrees(&story, alert, fate, &open);
            }
        }
        assert_eq!(alerts, self.fates.len(), "one end for each alert");
    }

    fn by_about(&self) -> ByAbout {
        let mut all = ByAbout::new();
        for entry in &self.entries {
            let mut statement: Value = serde_json::from_str(&entry.payload).unwrap();
            // A story does not read them, and a storm's are many.
            statement["predicate"].as_object_mut().unwrap().shift_remove("entries");
            all.entry(entry.about.clone()).or_default().push((entry.seq, statement));
        }
        all
    }

    fn open_digests(&self) -> BTreeMap<String, String> {
        let read = |(_, timer): (_, &Remembered)| match timer {
            Remembered::Window(window) => {
                let closes = jiff::Timestamp::from_microsecond(window.closes_at).unwrap();
                Some((window.id.to_string(), rfc3339_millis(closes)))
            }
            _ => None,
        };
        self.state.timers().filter_map(read).collect()
    }

    fn agrees(&self, story: &Story, alert: &Alert, fate: &Fate, open: &BTreeMap<String, String>) {
        let (_, rule, action) = alert;
        let told =
            story.actions.iter().find(|told| told.rule == rule.as_str() && told.action == action.as_str());
        let told = told.unwrap_or_else(|| panic!("{alert:?} is not told: {}", story.sentence));
        let steps = told.steps.iter().map(|step| &step.sentence);
        for sentence in steps.chain([&told.sentence, &story.sentence]) {
            assert!(!LOST.iter().any(|lost| sentence.contains(lost)), "{sentence}");
        }
        let agrees = match (fate, &told.end) {
            (Fate::Sent, End::Sending { attempt: 1, .. }) => true,
            (Fate::Suppressed | Fate::Cancelled, End::NotSent { because, .. }) => !because.is_empty(),
            (Fate::Held(id), End::Held { held, until, .. }) => {
                let timer = self.state.get(&StateKey::of_held(id));
                let Some(Remembered::Held(due)) = timer else { panic!("{id} has no timer") };
                let due = rfc3339_millis(jiff::Timestamp::from_microsecond(*due).unwrap());
                held.as_deref() == Some(id.as_str()) && *until == Some(due)
            }
            (Fate::In(id), End::InDigest { digest, then }) => {
                let closes = open.get(id.as_str()).cloned();
                digest == id.as_str()
                    && match (self.digests[id], then) {
                        (DigestFate::Open, DigestEnd::Open { closes_at }) => *closes_at == closes,
                        (DigestFate::Open, DigestEnd::Held { until, .. }) => *until == closes,
                        (DigestFate::Sent, DigestEnd::Sending { attempt: 1, .. }) => true,
                        _ => false,
                    }
            }
            (Fate::In(id), End::NotSent { .. }) => self.digests[id] == DigestFate::Cancelled,
            _ => false,
        };
        assert!(agrees, "{fate:?} is told as {:?}: {}", told.end, told.sentence);
    }
}

/// What the service would find: the event's entries, and those about what they name.
fn evidence(event: &Event, all: &ByAbout, open: &BTreeMap<String, String>) -> Evidence {
    let mut names = vec![event.key.to_string()];
    let mut entries: Vec<(u64, Value)> = vec![];
    let mut next = 0;
    while let Some(about) = names.get(next).cloned() {
        next += 1;
        for (seq, statement) in all.get(&about).into_iter().flatten() {
            let predicate = &statement["predicate"];
            let decisions = predicate["decisions"].as_array();
            for said in decisions.into_iter().flatten().chain([predicate]) {
                for pointer in ["/parameters/held", "/parameters/digest", "/intent/delivery"] {
                    let id = said.pointer(pointer).and_then(Value::as_str);
                    names.extend(id.filter(|id| !names.iter().any(|name| name == id)).map(str::to_owned));
                }
            }
            entries.push((*seq, statement.clone()));
        }
    }
    let digests = open
        .iter()
        .filter(|(id, _)| names.contains(id))
        .map(|(id, closes)| CurrentDigest { id: id.clone(), closes_at: closes.parse().unwrap() });
    Evidence {
        event: EventFacts {
            key: event.key.to_string(),
            id: event.id.clone(),
            source: event.source.clone(),
            r#type: event.r#type.clone(),
            subject: event.subject.clone(),
            accepted_at: jiff::Timestamp::UNIX_EPOCH,
            planned: true,
        },
        digests: digests.collect(),
        entries,
        unreadable: 0,
        complete: true,
        deliveries: vec![],
        held: vec![],
    }
}
