//! What is one tenant's is nobody else's: every route that takes an id, with the ids of one tenant and the tokens of
//! another. The routes come from the route table, so none can be forgotten; a kind of id that this test does not know
//! fails it.

use crate::harness::{Answered, Service, assert_problem, service};
use http::Method;
use notify_bus::Bus;
use notify_bus::intake::{Message, Taken};
use notify_core::ids::{ActionId, ChannelId, DeliveryId, DigestId, EventKey, RuleId, TenantId};
use notify_core::ledger::commitment::Commitment;
use notify_core::ledger::{EntryDraft, EntryKind};
use notify_core::severity::Severity;
use notify_core::time::Clock;
use notify_store::model::{NewDelivery, NewInboxItem};
use notify_store::{Commit, Effect};
use notify_webservice::auth::Scope;
use notify_webservice::routes::{Access, Route, routes};
use serde_json::{Map, Value, json};

/// Stands in every document and event of `acme`; no answer to another tenant may hold it.
const MARK: &str = "only-acme-knows";
/// Wants nothing of acme's channel.
const ADDRESS: &str = "only-acme-knows@example.org";
const JSON: &str = "application/json";

struct Owned {
    event: String,
    delivery: String,
    /// One to be sent on, one to be deleted.
    quarantined: [String; 2],
}

fn document(kind: &str) -> Value {
    let base = json!({ "schema": format!("notify-{kind}@1"), "id": "mine", "name": MARK });
    let more = match kind {
        "rule" => json!({ "match": { "type": ["t"] }, "actions": [{ "id": "a", "channel": "mine" }] }),
        "channel" => json!({ "type": "webhook" }),
        "template" => json!({ "message": { "title": MARK } }),
        "event-type" => json!({ "type": "t-of-acme", "dataSchema": { "title": MARK } }),
        "calendar" => json!({ "timeZone": "UTC", "windows": [{ "name": MARK, "days": ["sat-sun"] }] }),
        "contact" => json!({ "type": "person", "addresses": { "email": [MARK] } }),
        "silence" => {
            return json!({ "schema": "notify-silence@1", "id": "mine", "reason": MARK, "match": { "type": ["t"] }, "from": "2099-12-20T00:00:00Z", "until": "2099-12-31T00:00:00Z" });
        }
        "override" => {
            return json!({
                "schema": "notify-override@1", "id": "mine", "reason": MARK, "controls": ["storm"],
                "from": "2099-12-01T00:00:00Z", "until": "2099-12-31T00:00:00Z",
            });
        }
        "inhibition" => {
            json!({ "source": { "match": { "type": ["t"] } }, "target": { "match": { "type": ["u"] } } })
        }
        "policy" => return json!({ "schema": "notify-policy@1", "id": "noise", "name": MARK }),
        "bundle" => {
            return json!({ "schema": "notify-bundle@1", "id": "mine", "locale": "de", "messages": format!("a = {MARK}\n") });
        }
        other => panic!("teach this test about {other}"),
    };
    let mut document = base.as_object().unwrap().clone();
    document.extend(more.as_object().unwrap().clone());
    Value::Object(document)
}

fn event() -> Value {
    json!({ "specversion": "1.0", "id": "1", "source": "/s", "type": "t", "data": MARK })
}

async fn acme_has_one_of_each(service: &Service) -> Owned {
    for kind in [
        "channel",
        "template",
        "bundle",
        "rule",
        "event-type",
        "calendar",
        "contact",
        "silence",
        "override",
        "inhibition",
        "policy",
    ] {
        let place = match kind {
            "policy" => "/api/v1/notify/policies".to_owned(),
            kind => format!("/api/v1/notify/{kind}s"),
        };
        let body = document(kind).to_string();
        let made = service.admin(Method::POST, &place, &[("content-type", JSON)], &body).await;
        assert_eq!(made.status.as_u16(), 201, "{kind}: {}", made.body);
    }
    let structured = [("content-type", "application/cloudevents+json")];
    let accepted = service.admin(Method::POST, "/api/v1/events", &structured, &event().to_string()).await;
    let event = accepted.text("/key").to_owned();
    let delivery = delivery_of(service, event.parse().unwrap()).await;
    let quarantined = [quarantined(service, "q1").await, quarantined(service, "q2").await];
    Owned { event, delivery: delivery.to_string(), quarantined }
}

/// A message that came from a bus and did not fit the schema of its type; the schema is gone by now.
async fn quarantined(service: &Service, id: &str) -> String {
    let place = "/api/v1/notify/event-types";
    let strict = json!({
        "schema": "notify-event-type@1", "id": "strict", "name": "N", "type": "strict", "dataSchema": { "type": "object" },
    });
    let json = [("content-type", JSON)];
    let made = service.admin(Method::POST, place, &json, &strict.to_string()).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    let event =
        json!({ "specversion": "1.0", "id": id, "source": "/s", "type": "strict", "data": MARK }).to_string();
    let message = Message {
        tenant: &TenantId::new("acme").unwrap(),
        origin: "test:in",
        content_type: "",
        body: event.as_bytes(),
        received_at: service.clock.now(),
    };
    let bus = Bus::database(service.store.clone(), service.clock.clone());
    let Taken::Quarantined(id) = service.intake.take(&bus, message).await.unwrap() else {
        panic!("{event} was taken in");
    };
    let gone = service.admin(Method::DELETE, &format!("{place}/strict"), &[("if-match", "*")], "").await;
    assert_eq!(gone.status.as_u16(), 204, "{}", gone.body);
    id
}

async fn delivery_of(service: &Service, event: EventKey) -> DeliveryId {
    let (id, message, salt) = (DeliveryId::derive(["mine"]), format!(r#"{{"title":"{MARK}"}}"#), [5; 32]);
    let now = service.clock.now();
    let delivery = NewDelivery {
        id: id.clone(),
        event: Some(event.clone()),
        cause: format!("event:{event}"),
        rule: RuleId::new("mine").unwrap(),
        rule_version: 1,
        action: ActionId::new("a").unwrap(),
        channel: ChannelId::new("mine").unwrap(),
        message_commitment: Commitment::of(&salt, message.as_bytes()).to_string(),
        message,
        message_salt: salt,
        target: MARK.to_owned(),
        target_salt: [6; 32],
        created_at: now,
        due_at: now,
        claim: None,
    };
    let subject = vec![("event".to_owned(), "ab".repeat(32))];
    let about = event.to_string();
    let entry = EntryDraft { kind: EntryKind::Event, subject, predicate: Map::new(), about };
    let item = NewInboxItem {
        delivery: id.clone(),
        channel: ChannelId::new("mine").unwrap(),
        severity: Severity::High,
        created_at: now,
        expires_at: now,
    };
    let out =
        Effect::OptOut { channel: ChannelId::new("mine").unwrap(), address: ADDRESS.to_owned(), at: now };
    let effects = vec![Effect::CreateDelivery(Box::new(delivery)), Effect::AddToInbox(Box::new(item)), out];
    // A digest that is over: the ledger has its end.
    let over = EntryDraft {
        kind: EntryKind::Digest,
        subject: vec![("message".to_owned(), "ab".repeat(32))],
        predicate: Map::new(),
        about: DigestId::derive(["mine"]).to_string(),
    };
    service
        .store
        .commit(Commit::new(TenantId::new("acme").unwrap(), effects, vec![entry, over]))
        .await
        .unwrap();
    id
}

/// The route's path with this id in place of its parameter.
fn path(route: &Route, id: &str) -> String {
    let (before, rest) = route.path.split_once('{').unwrap();
    let (_, after) = rest.split_once('}').unwrap();
    let after = &after.replace("{address}", ADDRESS);
    assert!(!after.contains('{'), "{}: teach this test about two parameters", route.path);
    format!("{before}{id}{after}")
}

/// An id of acme's that fits the route, and one of the same form that nobody has.
fn ids(route: &Route, owned: &Owned) -> (String, String) {
    let collection = route.path.split('{').next().unwrap().trim_end_matches('/').rsplit('/').next().unwrap();
    match collection {
        "rules" | "channels" | "templates" | "bundles" | "event-types" | "calendars" | "contacts"
        | "silences" | "overrides" | "inhibitions" => ("mine".to_owned(), "absent".to_owned()),
        "policies" => ("noise".to_owned(), "absent".to_owned()),
        "events" => (owned.event.clone(), EventKey::derive(["absent"]).to_string()),
        "deliveries" | "inbox" => (owned.delivery.clone(), DeliveryId::derive(["absent"]).to_string()),
        "digests" => (DigestId::derive(["mine"]).to_string(), DigestId::derive(["absent"]).to_string()),
        "quarantine" => {
            let [sent_on, deleted] = owned.quarantined.clone();
            let id = if route.path.ends_with(":redrive") { sent_on } else { deleted };
            (id, format!("qtn_{}", "0".repeat(37)))
        }
        other => panic!("{}: teach this test how to make one of {other}", route.path),
    }
}

/// A request that the route would carry out.
fn body(route: &Route) -> (String, String) {
    let Some((media, schema)) =
        route.accepts.iter().find(|(media, _)| *media == JSON).or(route.accepts.first())
    else {
        return (JSON.to_owned(), String::new());
    };
    let body = match *schema {
        "Rule" | "Channel" | "Template" | "Bundle" | "Calendar" | "Contact" | "Silence" | "Override"
        | "Inhibition" | "Policy" => document(&schema.to_ascii_lowercase()),
        "EventType" => document("event-type"),
        "ExplainRequest" => json!({ "event": event() }),
        other => panic!("{}: teach this test a {other}", route.path),
    };
    ((*media).to_owned(), body.to_string())
}

async fn send(service: &Service, route: &Route, id: &str, token: &str) -> Answered {
    let (media, body) = body(route);
    let headers = [("authorization", token), ("content-type", media.as_str()), ("if-match", "*")];
    service.send(route.method.clone(), &path(route, id), &headers, body.as_bytes()).await
}

fn with_id() -> Vec<Route> {
    let taken: Vec<Route> = routes()
        .into_iter()
        .filter(|route| route.path.contains('{') && matches!(route.access, Access::AnyOf(_)))
        .collect();
    assert!(taken.len() >= 19, "only {} routes take an id", taken.len());
    taken
}

#[tokio::test]
async fn an_id_of_another_tenant_does_not_exist() {
    let service = service().await;
    let owned = acme_has_one_of_each(&service).await;
    let everything = format!("Bearer {}", service.token("other", &[Scope::Admin, Scope::Auditor]));
    let owner = format!("Bearer {}", service.token("acme", &[Scope::Admin, Scope::Auditor]));
    for route in with_id() {
        let (theirs, absent) = ids(&route, &owned);
        let answered = send(&service, &route, &theirs, &everything).await;
        let what = format!("{} {}", route.method, route.path);
        assert_problem(&answered, 404, "not-found");
        assert!(!String::from_utf8_lossy(&answered.bytes).contains(MARK), "{what}: {}", answered.body);
        // Nothing tells an id of somebody else's from one that nobody has.
        if route.method != Method::PUT {
            let nothing = send(&service, &route, &absent, &everything).await;
            let told = |answered: &Answered, id: &str| {
                let mut body = answered.body.clone();
                body["instance"] = Value::Null;
                body.to_string().replace(id, "ID")
            };
            assert_eq!(told(&answered, &theirs), told(&nothing, &absent), "{what}");
        }
    }
    // It was not the ids that were wrong: their owner is answered. What deletes comes last.
    let mut mine = with_id();
    let first = |route: &Route| route.path.contains("/rules/") || route.path.contains("/opt-outs/");
    mine.sort_by_key(|route| (route.method == Method::DELETE, !first(route)));
    for route in mine {
        let (id, _) = ids(&route, &owned);
        let answered = send(&service, &route, &id, &owner).await;
        assert!(answered.status.is_success(), "{} {}: {}", route.method, route.path, answered.body);
    }
}

#[tokio::test]
async fn lists_of_another_tenant_hold_nothing() {
    let service = service().await;
    let owned = acme_has_one_of_each(&service).await;
    let token = format!("Bearer {}", service.token("other", &[Scope::Admin, Scope::Auditor]));
    for route in routes() {
        if route.method != Method::GET || route.path.contains('{') || route.access == Access::Public {
            continue;
        }
        let mut places = vec![route.path.to_owned()];
        for parameter in route.parameters {
            let value = match parameter.name {
                "rule" | "channel" => "mine",
                "event" => owned.event.as_str(),
                _ => continue,
            };
            places.push(format!("{}?{}={value}", route.path, parameter.name));
        }
        for place in places {
            let answered = service.send(Method::GET, &place, &[("authorization", &token)], b"").await;
            let text = String::from_utf8_lossy(&answered.bytes).into_owned();
            assert!(answered.status.is_success(), "{place}: {text}");
            for theirs in [MARK, "mine", owned.event.as_str(), owned.delivery.as_str()] {
                assert!(!text.contains(theirs), "{place} shows {theirs}: {text}");
            }
        }
    }
}

/// `docs/scopes.md` says who may do what, route by route; each cell is tried.
#[tokio::test]
async fn every_route_is_tried_with_every_scope() {
    let service = service().await;
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/scopes.md")).unwrap();
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let routes = routes();
    assert_eq!(
        rows.len(),
        routes.len(),
        "a row for each route: UPDATE_DOCS=1 cargo test -p notify-webservice"
    );
    let mut tried = 0;
    for (row, route) in rows.iter().zip(&routes) {
        assert_eq!(row.first().copied(), Some(format!("`{} {}`", route.method, route.path).as_str()));
        let path = route.path.replace("{file}", "start.js").replace("{id}", "x").replace("{key}", "x");
        let bare = service.send(route.method.clone(), &path, &[], b"").await;
        if route.access == Access::Public {
            assert!(row.iter().skip(1).all(|cell| *cell == "yes"), "{row:?}");
            // A page says itself that it does not know the link.
            let open = bare.status.is_success() || bare.status.is_redirection();
            assert!(open || (route.tag == "pages" && bare.status == 404), "{path}: {}", bare.status);
        } else if route.access == Access::Signed {
            // No token opens it; whatever its scopes.
            assert!(row.iter().skip(1).all(|cell| *cell == "signed"), "{row:?}");
            assert_problem(&bare, 401, "invalid-signature");
        } else {
            assert_problem(&bare, 401, "unauthenticated");
            assert!(bare.header("www-authenticate").starts_with("Bearer"), "{path}");
        }
        for (cell, held) in row.iter().skip(1).zip(Scope::ALL) {
            let token = format!("Bearer {}", service.token("acme", &[held]));
            let answered = service.send(route.method.clone(), &path, &[("authorization", &token)], b"").await;
            match *cell {
                "yes" => {
                    let refused = [401, 403].contains(&answered.status.as_u16());
                    assert!(!refused, "{held} {path}: {}", answered.body);
                }
                "signed" => assert_problem(&answered, 401, "invalid-signature"),
                "–" => assert_problem(&answered, 403, "forbidden"),
                other => panic!("{path}: `{other}` is neither `yes` nor `–`"),
            }
            tried += 1;
        }
        if matches!(route.access, Access::AnyOf(_)) {
            let none = format!("Bearer {}", service.token("acme", &[]));
            let answered = service.send(route.method.clone(), &path, &[("authorization", &none)], b"").await;
            assert_problem(&answered, 403, "forbidden");
        }
    }
    assert_eq!(tried, routes.len() * Scope::ALL.len());
}
