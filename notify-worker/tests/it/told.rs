//! Every event is told from the ledger and the rows of the store; each story ends as both say that it did.

use crate::account::entries;
use crate::studio::Studio;
use notify_core::story::{CurrentDelivery, DigestEnd, End, EventFacts, Evidence, tell};
use notify_core::time::Timestamp;
use notify_store::model::{DeliveryFilter, Page};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

type ByAbout = BTreeMap<String, Vec<(u64, Value)>>;

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Each action of each event that has an entry has one end, and it is none that the facts speak against.
pub async fn stories_agree(studio: &Studio) {
    let mut all = ByAbout::new();
    let mut events = BTreeSet::new();
    for entry in entries(studio).await {
        if entry.kind == "event" {
            events.insert(entry.about.clone());
        }
        let statement = serde_json::from_str(entry.payload.as_deref().unwrap()).unwrap();
        all.entry(entry.about).or_default().push((entry.seq, statement));
    }
    // Read after the ledger: a row may be further than its entries, never behind them.
    let rows = rows(studio).await;
    for key in events {
        let evidence = evidence(&key, &all, &rows);
        let story = tell(&evidence);
        let decisions = evidence
            .entries
            .iter()
            .filter_map(|(_, statement)| statement["predicate"]["decisions"].as_array())
            .flatten();
        let mut decided = 0;
        for decision in decisions {
            decided += 1;
            let ours = |told: &&notify_core::story::ActionStory| {
                told.rule == text(decision, "/rule") && told.action == text(decision, "/action")
            };
            let told = story.actions.iter().find(ours).unwrap_or_else(|| panic!("not told: {decision}"));
            let expected = expected(decision, &all, &rows);
            assert!(
                expected.contains(&name(&told.end)),
                "{expected:?}, and told as {:?}: {decision}",
                told.end
            );
            if text(decision, "/outcome") == "suppressed" {
                let control = text(decision, "/control");
                assert!(
                    matches!(&told.end, End::NotSent { because, .. } if because == control),
                    "{:?}",
                    told.end
                );
            }
        }
        assert_eq!(story.actions.len(), decided, "one end for each alert: {}", story.sentence);
    }
}

const fn name(end: &End) -> &'static str {
    match end {
        End::Sent { .. } | End::InDigest { then: DigestEnd::Sent { .. }, .. } => "sent",
        End::Sending { .. } | End::InDigest { then: DigestEnd::Sending { .. }, .. } => "sending",
        End::Held { .. } | End::InDigest { then: DigestEnd::Held { .. }, .. } => "held",
        End::InDigest { then: DigestEnd::Open { .. }, .. } => "open",
        End::NotSent { .. } => "not-sent",
        End::Unknown { .. } => "unknown",
    }
}

/// Ends that the facts allow.
fn expected(decision: &Value, all: &ByAbout, rows: &[CurrentDelivery]) -> Vec<&'static str> {
    let waits = |id: &str, open: &'static str, sent: &dyn Fn(&str) -> Vec<&'static str>| {
        let mut now = vec![open];
        for (_, statement) in all.get(id).into_iter().flatten() {
            let said = &statement["predicate"];
            now = match (text(said, "/outcome"), text(said, "/intent/delivery")) {
                ("hold", _) => vec!["held"],
                ("cancel", _) => vec!["not-sent"],
                (_, "") => now,
                (_, delivery) => sent(delivery),
            };
        }
        now
    };
    let delivery = |id: &str| {
        // Sent once more by hand: the one that came furthest counts.
        let mut all_of_it = vec![id.to_owned()];
        let mut next = 0;
        while let Some(id) = all_of_it.get(next).cloned() {
            next += 1;
            let again = all.get(&id).into_iter().flatten().filter_map(|(_, statement)| {
                let said = &statement["predicate"];
                (text(said, "/replayOf") == id).then(|| text(said, "/intent/delivery").to_owned())
            });
            all_of_it.extend(again);
        }
        let states: Vec<&str> =
            rows.iter().filter(|row| all_of_it.contains(&row.id)).map(|row| row.state.as_str()).collect();
        if states.iter().any(|state| matches!(*state, "delivered" | "accepted")) {
            vec!["sent"]
        } else if states.contains(&"scheduled") {
            vec!["sending", "held"]
        } else {
            vec!["not-sent"]
        }
    };
    match text(decision, "/outcome") {
        "suppressed" => vec!["not-sent"],
        "held" => waits(text(decision, "/parameters/held"), "held", &delivery),
        "digested" => waits(text(decision, "/parameters/digest"), "open", &delivery),
        _ => delivery(text(decision, "/intent/delivery")),
    }
}

fn evidence(key: &str, all: &ByAbout, rows: &[CurrentDelivery]) -> Evidence {
    let mut names = vec![key.to_owned()];
    let mut entries: Vec<(u64, Value)> = vec![];
    let mut next = 0;
    while let Some(about) = names.get(next).cloned() {
        next += 1;
        for (seq, statement) in all.get(&about).into_iter().flatten() {
            let predicate = &statement["predicate"];
            let decisions = predicate["decisions"].as_array();
            for said in decisions.into_iter().flatten().chain([predicate]) {
                for pointer in ["/parameters/held", "/parameters/digest", "/intent/delivery"] {
                    let id = text(said, pointer);
                    if !id.is_empty() && !names.iter().any(|name| name == id) {
                        names.push(id.to_owned());
                    }
                }
            }
            entries.push((*seq, statement.clone()));
        }
    }
    Evidence {
        event: EventFacts {
            key: key.to_owned(),
            id: String::new(),
            source: String::new(),
            r#type: String::new(),
            subject: None,
            accepted_at: Timestamp::UNIX_EPOCH,
            planned: true,
        },
        deliveries: rows.iter().filter(|row| names.contains(&row.id)).cloned().collect(),
        entries,
        unreadable: 0,
        complete: true,
        held: vec![],
        digests: vec![],
    }
}

async fn rows(studio: &Studio) -> Vec<CurrentDelivery> {
    let (mut all, mut page) = (Vec::new(), Page { limit: 200, after: None });
    loop {
        let found = studio.store.deliveries(&studio.tenant, &DeliveryFilter::default(), &page).await.unwrap();
        all.extend(found.items.iter().map(|found| CurrentDelivery {
            id: found.delivery.id.to_string(),
            state: found.state.as_str().to_owned(),
            rule_version: found.delivery.rule_version,
            next_attempt: found.next_attempt,
            due_at: found.next_due,
        }));
        match found.next {
            Some(next) => page.after = Some(next),
            None => return all,
        }
    }
}
