//! The HTTP API of Notify Studio for Rust programs; the `notify` command is one of them.
//!
//! Answers have types ([`model`]) that keep what they do not know, so a newer service loses nothing on its way through.
//! Errors of the service are its problems (RFC 9457), with code, place and fix.
//!
//! ```no_run
//! # async fn example() -> Result<(), notify_client::Error> {
//! use notify_client::{Client, model::DeliveryFilter};
//! let client = Client::new("http://127.0.0.1:8650", std::env::var("NOTIFY_TOKEN").ok())?;
//! let dead = DeliveryFilter { state: Some("dead".into()), ..DeliveryFilter::default() };
//! for delivery in client.deliveries(&dead, 100).await? {
//!     println!("{} {}", delivery.id, delivery.last_error.unwrap_or_default());
//! }
//! # Ok(()) }
//! ```
#![forbid(unsafe_code)]

mod error;
mod http;
pub mod model;

pub use error::{Error, Problem};
pub use http::{Answered, Client, read, segment, with_query};

use model::{
    AppliedRules, ApplyRules, Checkpoint, Delivery, DeliveryFilter, Document, Event, EventFates, LedgerPage,
    Plugin, Readiness, Redrive, Redriven, Replay,
};
use reqwest::{Method, Response, header};
use serde_json::{Value, json};

/// The kinds of versioned documents, as paths name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Documents {
    Rules,
    Channels,
    Templates,
    Bundles,
    EventTypes,
    Calendars,
    Contacts,
    Silences,
    Overrides,
    Inhibitions,
    Policies,
}

impl Documents {
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Rules => "/api/v1/notify/rules",
            Self::Channels => "/api/v1/notify/channels",
            Self::Templates => "/api/v1/notify/templates",
            Self::Bundles => "/api/v1/notify/bundles",
            Self::EventTypes => "/api/v1/notify/event-types",
            Self::Calendars => "/api/v1/notify/calendars",
            Self::Contacts => "/api/v1/notify/contacts",
            Self::Silences => "/api/v1/notify/silences",
            Self::Overrides => "/api/v1/notify/overrides",
            Self::Inhibitions => "/api/v1/notify/inhibitions",
            Self::Policies => "/api/v1/notify/policies",
        }
    }

    fn one(self, id: &str) -> String {
        format!("{}/{}", self.path(), segment(id))
    }
}

const CHANNELS: &str = "/api/v1/notify/channels";
const DELIVERIES: &str = "/api/v1/notify/deliveries";
const EVENTS: &str = "/api/v1/notify/events";
const INBOX: &str = "/api/v1/notify/inbox";
const LEDGER: &str = "/api/v1/notify/ledger";

/// The operations of the API that a person asks for, but those on quarantine. `limit` is the most items that are wanted; pages are followed up to it.
#[allow(clippy::missing_errors_doc, reason = "each fails with what `Error` says")]
impl Client {
    /// Publishes CloudEvents as one batch; each has its fate.
    pub async fn publish(&self, events: &[Value]) -> Result<EventFates, Error> {
        let request = self
            .request(Method::POST, "/api/v1/events")
            .header(header::CONTENT_TYPE, "application/cloudevents-batch+json")
            .body(Value::from(events).to_string());
        let answered = read(self.open(request).await?).await?;
        // A batch in which every event was refused is answered as an error, with a fate for each all the same.
        if answered.body.get("items").is_some_and(Value::is_array) {
            return answered.typed();
        }
        Err(answered.problem())
    }

    /// An Alertmanager (webhook version 4) or Grafana notification.
    pub async fn ingest_alertmanager(&self, notification: &Value) -> Result<EventFates, Error> {
        let request = self.request(Method::POST, "/api/v1/ingest/alertmanager").json(notification);
        self.send(request).await?.typed()
    }

    pub async fn events(&self, limit: u32) -> Result<Vec<Event>, Error> {
        self.list(EVENTS, &[], limit).await
    }

    pub async fn event(&self, key: &str) -> Result<Event, Error> {
        self.typed(&format!("{EVENTS}/{}", segment(key))).await
    }

    /// Events with this id of their producer: of one source, or of all among the newest ones.
    pub async fn events_with_id(&self, id: &str, source: Option<&str>) -> Result<Vec<Event>, Error> {
        let mut query = vec![("id", id)];
        query.extend(source.map(|source| ("source", source)));
        self.list(EVENTS, &query, u32::MAX).await
    }

    /// Why an event became what it became.
    pub async fn story(&self, key: &str) -> Result<Value, Error> {
        self.get(&format!("{EVENTS}/{}/story", segment(key))).await
    }

    /// How noisy each rule was, between two times (RFC 3339).
    pub async fn noise_report(&self, from: Option<&str>, to: Option<&str>) -> Result<Value, Error> {
        let query: Vec<_> = [("from", from), ("to", to)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        self.get(&with_query("/api/v1/notify/reports/noise", &query)).await
    }

    /// Digests that are being collected.
    pub async fn digests(&self, limit: u32) -> Result<Vec<Value>, Error> {
        self.list("/api/v1/notify/digests", &[], limit).await
    }

    /// One digest: what it has collected, or how it ended.
    pub async fn digest(&self, id: &str) -> Result<Value, Error> {
        self.get(&format!("/api/v1/notify/digests/{}", segment(id))).await
    }

    /// Items of the studio's own inboxes, newest first. The filter is as the API has it.
    pub async fn inbox(&self, filter: &[(&str, &str)], limit: u32) -> Result<Vec<Value>, Error> {
        self.list(INBOX, filter, limit).await
    }

    /// One item with its whole message.
    pub async fn inbox_item(&self, id: &str) -> Result<Value, Error> {
        self.get(&format!("{INBOX}/{}", segment(id))).await
    }

    /// Marks an item as read, or as unread; gives it as it is then.
    pub async fn mark_inbox_item(&self, id: &str, read: bool) -> Result<Value, Error> {
        let verb = if read { "read" } else { "unread" };
        let request = self.request(Method::POST, &format!("{INBOX}/{}:{verb}", segment(id)));
        Ok(self.send(request).await?.body)
    }

    /// Marks all as read that is there now, of one channel or of all; gives what is still unread.
    pub async fn mark_inbox_read(&self, channel: Option<&str>) -> Result<Value, Error> {
        let query: Vec<_> = channel.map(|channel| ("channel", channel)).into_iter().collect();
        let request = self.request(Method::POST, &with_query(&format!("{INBOX}:read-all"), &query));
        Ok(self.send(request).await?.body)
    }

    /// Recipients who want nothing from a channel any more.
    pub async fn opt_outs(&self, channel: &str, limit: u32) -> Result<Vec<Value>, Error> {
        self.list(&format!("{}/opt-outs", Documents::Channels.one(channel)), &[], limit).await
    }

    /// Lets a recipient get messages of a channel again.
    pub async fn remove_opt_out(&self, channel: &str, address: &str) -> Result<(), Error> {
        let path = format!("{}/opt-outs/{}", Documents::Channels.one(channel), segment(address));
        self.send(self.request(Method::DELETE, &path)).await.map(drop)
    }

    /// Alerts that are held now, the one that is judged again first first.
    pub async fn held(&self, limit: u32) -> Result<Vec<Value>, Error> {
        self.list("/api/v1/notify/held", &[], limit).await
    }

    /// What several events would look like as one message: `rule`, `events`, and where wanted `action` and `control`.
    pub async fn preview_digest(&self, asked: &Value) -> Result<Value, Error> {
        Ok(self.send(self.request(Method::POST, "/api/v1/notify/digests:preview").json(asked)).await?.body)
    }

    pub async fn documents(&self, kind: Documents, limit: u32) -> Result<Vec<Document>, Error> {
        self.list(kind.path(), &[], limit).await
    }

    /// The current version, or an old one.
    pub async fn document(&self, kind: Documents, id: &str, version: Option<u64>) -> Result<Document, Error> {
        let query = version.map(|version| format!("?version={version}")).unwrap_or_default();
        self.typed(&format!("{}{query}", kind.one(id))).await
    }

    pub async fn versions(&self, kind: Documents, id: &str, limit: u32) -> Result<Vec<Document>, Error> {
        self.list(&format!("{}/versions", kind.one(id)), &[], limit).await
    }

    /// `document` is YAML or JSON, sent as it is: problems then name places in it.
    pub async fn create(&self, kind: Documents, document: Vec<u8>) -> Result<Document, Error> {
        let request = self.request(Method::POST, kind.path());
        self.send(with_document(request, document)).await?.typed()
    }

    /// Only when `version` is the current one.
    pub async fn replace(
        &self,
        kind: Documents,
        id: &str,
        version: u64,
        document: Vec<u8>,
    ) -> Result<Document, Error> {
        let request =
            self.request(Method::PUT, &kind.one(id)).header(header::IF_MATCH, format!("\"{version}\""));
        self.send(with_document(request, document)).await?.typed()
    }

    /// Only when `version` is the current one.
    pub async fn delete(&self, kind: Documents, id: &str, version: u64) -> Result<(), Error> {
        let request = self.request(Method::DELETE, &kind.one(id));
        self.send(request.header(header::IF_MATCH, format!("\"{version}\""))).await.map(drop)
    }

    /// What an event would cause, with the saved rules or with `rule` alone.
    pub async fn preview(&self, event: &Value, rule: Option<&Value>) -> Result<Value, Error> {
        let mut body = json!({ "event": event });
        if let Some(rule) = rule {
            body["rule"] = rule.clone();
        }
        Ok(self.send(self.request(Method::POST, "/api/v1/notify/rules:preview").json(&body)).await?.body)
    }

    /// The next windows of a calendar after a time (RFC 3339; absent: now). `time_zone`: where a calendar with `timeZone: contact` is
    /// read.
    pub async fn calendar_windows(
        &self,
        id: &str,
        after: Option<&str>,
        count: usize,
        time_zone: Option<&str>,
    ) -> Result<Value, Error> {
        let count = count.to_string();
        let mut query = vec![("count", count.as_str())];
        query.extend(after.map(|after| ("after", after)));
        query.extend(time_zone.map(|zone| ("timeZone", zone)));
        let path = format!("{}/windows", Documents::Calendars.one(id));
        Ok(self.send(self.request(Method::GET, &with_query(&path, &query))).await?.body)
    }

    /// Why a saved rule matches an event or does not.
    pub async fn explain(&self, rule: &str, event: &Value, version: Option<u64>) -> Result<Value, Error> {
        let query = version.map(|version| format!("?version={version}")).unwrap_or_default();
        let path = format!("{}:explain{query}", Documents::Rules.one(rule));
        Ok(self.send(self.request(Method::POST, &path).json(&json!({ "event": event }))).await?.body)
    }

    /// Which saved rules an event matches, and at most `nearest` of those that it misses by the least.
    pub async fn explain_all(&self, event: &Value, nearest: Option<u8>) -> Result<Value, Error> {
        let query = nearest.map(|nearest| format!("?nearest={nearest}")).unwrap_or_default();
        let path = format!("{}:explain{query}", Documents::Rules.path());
        Ok(self.send(self.request(Method::POST, &path).json(&json!({ "event": event }))).await?.body)
    }

    /// Runs the tests of a rule that need not be saved; YAML or JSON.
    pub async fn test_rule(&self, rule: Vec<u8>) -> Result<Value, Error> {
        let request = self.request(Method::POST, &format!("{}:test", Documents::Rules.path()));
        Ok(self.send(with_document(request, rule)).await?.body)
    }

    /// As [`Client::create`] of a rule, although its own tests fail. The ledger keeps that.
    pub async fn create_rule_forced(&self, rule: Vec<u8>) -> Result<Document, Error> {
        let request = self.request(Method::POST, &format!("{}?force=true", Documents::Rules.path()));
        self.send(with_document(request, rule)).await?.typed()
    }

    /// As [`Client::replace`] of a rule, although its own tests fail. The ledger keeps that.
    pub async fn replace_rule_forced(
        &self,
        id: &str,
        version: u64,
        rule: Vec<u8>,
    ) -> Result<Document, Error> {
        let request = self.request(Method::PUT, &format!("{}?force=true", Documents::Rules.one(id)));
        let request = request.header(header::IF_MATCH, format!("\"{version}\""));
        self.send(with_document(request, rule)).await?.typed()
    }

    /// What a silence would have muted in the last days; nothing is saved.
    pub async fn preview_silence(&self, silence: Vec<u8>) -> Result<Value, Error> {
        let request = self.request(Method::POST, &format!("{}:preview", Documents::Silences.path()));
        Ok(self.send(with_document(request, silence)).await?.body)
    }

    /// As [`Client::create`] of a silence, although it would have muted many alerts. The ledger keeps that.
    pub async fn create_silence_confirmed(&self, silence: Vec<u8>) -> Result<Document, Error> {
        let request = self.request(Method::POST, &format!("{}?confirm=true", Documents::Silences.path()));
        self.send(with_document(request, silence)).await?.typed()
    }

    /// As [`Client::replace`] of a silence, although it would have muted many alerts. The ledger keeps that.
    pub async fn replace_silence_confirmed(
        &self,
        id: &str,
        version: u64,
        silence: Vec<u8>,
    ) -> Result<Document, Error> {
        let request = self.request(Method::PUT, &format!("{}?confirm=true", Documents::Silences.one(id)));
        let request = request.header(header::IF_MATCH, format!("\"{version}\""));
        self.send(with_document(request, silence)).await?.typed()
    }

    /// Ends a silence or an override now. One that is over stays as it is.
    pub async fn expire(&self, kind: Documents, id: &str) -> Result<Document, Error> {
        self.send(self.request(Method::POST, &format!("{}:expire", kind.one(id)))).await?.typed()
    }

    /// What is suspicious about the saved rules, or about `rule` as if it were saved among them.
    pub async fn lint(&self, rule: Option<&Value>) -> Result<Value, Error> {
        let body = rule.map_or_else(|| json!({}), |rule| json!({ "rule": rule }));
        Ok(self.send(self.request(Method::POST, "/api/v1/notify/rules:lint").json(&body)).await?.body)
    }

    /// Brings saved rules in line with these: all of them or none.
    pub async fn apply_rules(&self, asked: &ApplyRules) -> Result<AppliedRules, Error> {
        self.send(self.request(Method::POST, "/api/v1/notify/rules:apply").json(asked)).await?.typed()
    }

    /// Newest first.
    pub async fn deliveries(&self, filter: &DeliveryFilter, limit: u32) -> Result<Vec<Delivery>, Error> {
        self.list(DELIVERIES, &filter.query(), limit).await
    }

    /// With its message and attempts.
    pub async fn delivery(&self, id: &str) -> Result<Delivery, Error> {
        self.typed(&format!("{DELIVERIES}/{}", segment(id))).await
    }

    /// The same message as a new delivery. The same key gives the same one.
    pub async fn replay(&self, id: &str, idempotency_key: Option<&str>) -> Result<Replay, Error> {
        let request = self.request(Method::POST, &format!("{DELIVERIES}/{}:replay", segment(id)));
        self.send(with_key(request, idempotency_key)).await?.typed()
    }

    /// A message that says it is a test; the delivery tells the outcome. The same key gives the same one.
    pub async fn test_channel(&self, id: &str, idempotency_key: Option<&str>) -> Result<Value, Error> {
        let request = self.request(Method::POST, &format!("{CHANNELS}/{}:test", segment(id)));
        Ok(self.send(with_key(request, idempotency_key)).await?.body)
    }

    /// Whether a channel would work; nothing is sent to people.
    pub async fn check_channel(&self, id: &str) -> Result<Value, Error> {
        Ok(self.send(self.request(Method::POST, &format!("{CHANNELS}/{}:check", segment(id)))).await?.body)
    }

    /// Reads a channel's secrets anew.
    pub async fn refresh_channel_secret(&self, id: &str) -> Result<Value, Error> {
        let request = self.request(Method::POST, &format!("{CHANNELS}/{}:refresh-secret", segment(id)));
        Ok(self.send(request).await?.body)
    }

    /// How a channel is.
    pub async fn channel_status(&self, id: &str) -> Result<Value, Error> {
        self.get(&format!("{CHANNELS}/{}/status", segment(id))).await
    }

    /// How the channels are, by id, without their secrets.
    pub async fn channel_statuses(&self, limit: u32) -> Result<Vec<Value>, Error> {
        self.list(&format!("{CHANNELS}:status"), &[], limit).await
    }

    /// Dead letters once more, at a rate.
    pub async fn redrive(&self, asked: &Redrive, idempotency_key: Option<&str>) -> Result<Redriven, Error> {
        let request = self.request(Method::POST, &format!("{DELIVERIES}:redrive")).json(asked);
        self.send(with_key(request, idempotency_key)).await?.typed()
    }

    /// The signed head of the ledger.
    pub async fn checkpoint(&self) -> Result<Checkpoint, Error> {
        self.typed(&format!("{LEDGER}/checkpoint")).await
    }

    /// One page of entries from this number on.
    pub async fn ledger_entries(&self, from: u64, limit: u32) -> Result<LedgerPage, Error> {
        self.typed(&format!("{LEDGER}/entries?from={from}&limit={limit}")).await
    }

    /// An export as a tar, to be read piece by piece.
    pub async fn export(&self, request: &Value) -> Result<Response, Error> {
        let response =
            self.open(self.request(Method::POST, &format!("{LEDGER}:export")).json(request)).await?;
        if response.status().is_success() { Ok(response) } else { Err(read(response).await?.problem()) }
    }

    pub async fn plugins(&self) -> Result<Vec<Plugin>, Error> {
        self.list("/api/v1/notify/plugins", &[], u32::MAX).await
    }

    pub async fn health(&self) -> Result<Value, Error> {
        self.get("/healthz").await
    }

    /// Also when it is not ready, which is no error here.
    pub async fn readiness(&self) -> Result<Readiness, Error> {
        let answered = read(self.open(self.request(Method::GET, "/readyz")).await?).await?;
        if answered.body.get("ready").is_some() { answered.typed() } else { Err(answered.problem()) }
    }

    /// Prometheus text.
    pub async fn metrics(&self) -> Result<String, Error> {
        match self.get("/metrics").await? {
            Value::String(text) => Ok(text),
            other => Ok(other.to_string()),
        }
    }

    pub async fn openapi(&self) -> Result<Value, Error> {
        self.get("/openapi.json").await
    }
}

/// JSON is said to be JSON: YAML has other rules for numbers and texts.
fn with_document(request: reqwest::RequestBuilder, document: Vec<u8>) -> reqwest::RequestBuilder {
    request.header(header::CONTENT_TYPE, media_type(&document)).body(document)
}

/// What a document is: JSON, or else YAML.
#[must_use]
pub fn media_type(document: &[u8]) -> &'static str {
    match serde_json::from_slice::<serde::de::IgnoredAny>(document) {
        Ok(_) => "application/json",
        Err(_) => "application/yaml",
    }
}

fn with_key(request: reqwest::RequestBuilder, key: Option<&str>) -> reqwest::RequestBuilder {
    match key {
        Some(key) => request.header("idempotency-key", key),
        None => request,
    }
}

#[cfg(test)]
mod tests {
    use super::media_type;

    #[test]
    fn documents_are_what_they_say() {
        for (document, expected) in [
            (r#"{"schema": "notify-rule@1", "priority": 1e3}"#, "application/json"),
            (" [1]\n", "application/json"),
            ("{schema: notify-rule@1}", "application/yaml"),
            ("schema: notify-rule@1\n", "application/yaml"),
            ("{} # empty", "application/yaml"),
            ("", "application/yaml"),
        ] {
            assert_eq!(media_type(document.as_bytes()), expected, "{document}");
        }
    }
}
