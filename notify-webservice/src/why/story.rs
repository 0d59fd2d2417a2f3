//! `GET /events/{key}/story`: gathers what the ledger and the queue say about one event.

use crate::answer;
use crate::app::{Answer, Call, store_problem};
use crate::events::read::no_such;
use http::StatusCode;
use notify_core::ids::{DeliveryId, DigestId, EventKey};
use notify_core::problem::Problem;
use notify_core::story::{CurrentDelivery, CurrentDigest, CurrentHeld, EventFacts, Evidence, tell};
use notify_core::time::Timestamp;
use notify_store::StoreError;
use notify_store::model::{Delivery, DeliveryFilter, EventState, LedgerEntry, Page};
use serde_json::{Value, json};
use std::collections::{BTreeSet, VecDeque};

/// Things that are looked up for one story: deliveries, held alerts, digests. An event that thousands of rules match has
/// more; its story then says that it is not whole.
const LOOKED_UP: usize = 300;

/// `GET /events/{key}/story`
pub async fn read(call: Call) -> Answer {
    let Ok(key) = call.param("key").parse::<EventKey>() else { return no_such(&call) };
    let failed = |error: StoreError| store_problem(&call.request, &error);
    let Some(event) = call.app.store.event(call.tenant(), &key).await.map_err(failed)? else {
        return no_such(&call);
    };
    let facts = EventFacts {
        key: key.as_str().to_owned(),
        id: event.event.id,
        source: event.event.source,
        r#type: event.event.r#type,
        subject: event.event.subject,
        accepted_at: event.event.accepted_at,
        planned: event.state == EventState::Planned,
    };
    let evidence = gather(&call, &key, facts).await.map_err(failed)?;
    let story = call.in_turn(move || tell(&evidence)).await?;
    Ok(answer::json(StatusCode::OK, &json!(story)))
}

async fn gather(call: &Call, key: &EventKey, event: EventFacts) -> Result<Evidence, StoreError> {
    let (store, tenant) = (&call.app.store, call.tenant());
    let mut found = Found::default();
    found.keep(store.ledger_entries_about(tenant, key.as_str()).await?);
    let filter = DeliveryFilter { event: Some(key.clone()), ..DeliveryFilter::default() };
    let page = Page { limit: u32::try_from(LOOKED_UP).unwrap_or(u32::MAX), after: None };
    let deliveries = store.deliveries(tenant, &filter, &page).await?;
    let mut complete = deliveries.next.is_none();
    let mut rows: Vec<CurrentDelivery> = Vec::new();
    for delivery in deliveries.items {
        found.name(delivery.delivery.id.as_str());
        rows.push(current(&delivery));
    }
    let mut looked_up = 0;
    while let Some(about) = found.next.pop_front() {
        if looked_up == LOOKED_UP {
            complete = false;
            break;
        }
        looked_up += 1;
        found.keep(store.ledger_entries_about(tenant, &about).await?);
        // Deliveries of a digest are not the event's own.
        if let Ok(id) = about.parse::<DeliveryId>()
            && !rows.iter().any(|row| row.id == about)
            && let Some(delivery) = store.delivery(tenant, &id).await?
        {
            rows.push(current(&delivery));
        }
    }
    let Found { entries, unreadable, named, .. } = found;
    let held = store.held_of_event(tenant, key).await?;
    let held = held
        .into_iter()
        .map(|held| CurrentHeld { id: held.id.as_str().to_owned(), release_at: held.release_at });
    let mut digests = Vec::new();
    for id in named.iter().filter_map(|id| id.parse::<DigestId>().ok()).take(LOOKED_UP) {
        if let Some(window) = super::digests::open(call, &id).await?
            && let Ok(closes_at) = Timestamp::from_microsecond(window.closes_at)
        {
            digests.push(CurrentDigest { id: id.as_str().to_owned(), closes_at });
        }
    }
    Ok(Evidence { event, entries, unreadable, complete, deliveries: rows, held: held.collect(), digests })
}

fn current(delivery: &Delivery) -> CurrentDelivery {
    CurrentDelivery {
        id: delivery.delivery.id.as_str().to_owned(),
        state: delivery.state.as_str().to_owned(),
        rule_version: delivery.delivery.rule_version,
        next_attempt: delivery.next_attempt,
        due_at: Some(delivery.next_due.unwrap_or(delivery.delivery.due_at)),
    }
}

/// Entries so far, and what they name that was not looked up yet.
#[derive(Default)]
struct Found {
    entries: Vec<(u64, Value)>,
    unreadable: u64,
    named: BTreeSet<String>,
    next: VecDeque<String>,
}

impl Found {
    fn name(&mut self, id: &str) {
        if self.named.insert(id.to_owned()) {
            self.next.push_back(id.to_owned());
        }
    }

    fn keep(&mut self, entries: Vec<LedgerEntry>) {
        for entry in entries {
            let statement =
                entry.payload.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
            let Some(statement) = statement else {
                self.unreadable += 1;
                continue;
            };
            let predicate = statement.get("predicate");
            let decisions =
                predicate.and_then(|predicate| predicate.get("decisions")).and_then(Value::as_array);
            for pointer in ["/parameters/held", "/parameters/digest", "/intent/delivery"] {
                for decision in decisions.into_iter().flatten() {
                    if let Some(id) = decision.pointer(pointer).and_then(Value::as_str) {
                        self.name(id);
                    }
                }
            }
            let own = predicate.and_then(|predicate| predicate.pointer("/intent/delivery"));
            if let Some(id) = own.and_then(Value::as_str) {
                self.name(id);
            }
            self.entries.push((entry.seq, statement));
        }
    }
}

/// An event key that the producer's id leads to.
pub(crate) async fn by_id(
    call: &Call,
    id: &str,
    source: Option<&str>,
) -> Result<Vec<notify_store::model::Event>, Problem> {
    /// Without the source there is no key to look under, so so many of the newest events are looked through.
    const NEWEST: u64 = 20_000;
    /// Events shown: the same id of several sources.
    const SHOWN: u32 = 20;
    let failed = |error: StoreError| store_problem(&call.request, &error);
    let (store, tenant) = (&call.app.store, call.tenant());
    match source {
        Some(source) => {
            let key = EventKey::derive([tenant.as_str(), source, id]);
            Ok(store.event(tenant, &key).await.map_err(failed)?.into_iter().collect())
        }
        None => store.events_with_id(tenant, id, NEWEST, SHOWN).await.map_err(failed),
    }
}
