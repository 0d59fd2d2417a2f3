//! Alertmanager's webhook (version 4) and Grafana's variant of it: one CloudEvent per alert.
//!
//! A notice is about a *group*, is sent again every `repeat_interval`, and arrives by several routes; an event is
//! about one *occurrence* of one alert. So the event's id comes from what makes an occurrence (receiver, fingerprint,
//! start, status, end when resolved), and everything that depends on the group or the sending stays out of it:
//! `groupKey`, `groupLabels`, `commonLabels`, `commonAnnotations`, `truncatedAlerts`, `notification_reason`, and `endsAt`
//! while firing. Unknown fields are ignored.
//!
//! Annotations, links and values belong to the alert but may differ from one sending to the next (`{{ $value }}`), and
//! so may what Grafana says about its notice (`data.notice`: `orgId`, `title`, `state`, `message`). Those of the first
//! sending stand; a later one is a repeat and no conflict, because [`Event::body_hash`] covers the
//! occurrence and its labels only.
//!
//! Format: <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>.

use super::attributes::{is_allowed, is_rfc3339, is_uri_reference};
use super::{Event, EventLimits, batch};
use crate::ids::{TenantId, hex};
use crate::json::{self, Limits};
use crate::problem::{Code, Problem};
use crate::time::{Timestamp, rfc3339_millis};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The type of an alert that fires.
pub const FIRING: &str = "alertmanager.alert.firing";
/// The type of an alert that is over.
pub const RESOLVED: &str = "alertmanager.alert.resolved";

/// Turns a notice into events, each with a fate of its own, in order.
///
/// `received_at` is the start of an alert that names none (as with Alertmanager's own API): then each sending is a new
/// occurrence, for a repeated alert does less harm than a lost one.
///
/// # Errors
/// When the body as a whole is not such a notice.
pub fn to_events(
    tenant: &TenantId,
    bytes: &[u8],
    limits: &EventLimits,
    received_at: Timestamp,
) -> Result<Vec<Result<Event, Problem>>, Problem> {
    // The notice and its `alerts` array are two levels around each alert, as the event and its `data` are.
    let notice =
        json::parse(bytes, Limits { max_bytes: limits.max_batch_bytes, max_depth: limits.max_depth })?;
    let fix =
        "send the body of an Alertmanager `webhook_config` (version 4) or a Grafana webhook contact point";
    let alerts = match notice.get("alerts") {
        Some(Value::Array(alerts)) => alerts,
        Some(_) => return Err(fault("/alerts", "`alerts` is not an array", fix)),
        None => return Err(fault("/alerts", "the body has no `alerts`", fix)),
    };
    if alerts.len() > limits.max_batch_events {
        return Err(batch::too_many("alerts", alerts.len(), limits));
    }
    let receiver = text(&notice, "receiver").unwrap_or_default();
    let origin = Origin {
        receiver,
        source: text(&notice, "externalURL")
            .filter(|url| is_uri_reference(url))
            .map_or_else(|| format!("urn:alertmanager:{}", urn_part(receiver)), ToOwned::to_owned),
        status: text(&notice, "status"),
        received_at,
        grafana: grafana(&notice),
    };
    let one = |(index, alert): (usize, &Value)| {
        to_event(tenant, &origin, alert, limits).map_err(|problem| problem.under(&format!("/alerts/{index}")))
    };
    Ok(alerts.iter().enumerate().map(one).collect())
}

/// What an alert takes over from its notice.
struct Origin<'n> {
    receiver: &'n str,
    source: String,
    status: Option<&'n str>,
    received_at: Timestamp,
    grafana: Map<String, Value>,
}

fn to_event(
    tenant: &TenantId,
    origin: &Origin,
    alert: &Value,
    limits: &EventLimits,
) -> Result<Event, Problem> {
    if !alert.is_object() {
        return Err(fault("", "an alert is a JSON object", "send the alerts as Alertmanager does"));
    }
    let firing = match text(alert, "status").or(origin.status) {
        Some("firing") => true,
        Some("resolved") => false,
        _ => {
            return Err(fault(
                "/status",
                "the status is neither `firing` nor `resolved`",
                "send one of them",
            ));
        }
    };
    let labels = labels(alert)?;
    let fingerprint = match text(alert, "fingerprint").filter(|text| !text.is_empty()) {
        Some(text) => text.to_owned(),
        None => fingerprint(&labels),
    };
    let starts_at = instant(alert, "startsAt")?.unwrap_or_else(|| rfc3339_millis(origin.received_at));
    let ends_at = if firing { None } else { instant(alert, "endsAt")? };
    let status = if firing { "firing" } else { "resolved" };

    let parts = [origin.receiver, &fingerprint, &starts_at, status, ends_at.as_deref().unwrap_or_default()];
    let id = hex(&hash(parts.into_iter())[..16]);
    // The same labels under one fingerprint, or else somebody else's alert claims this identity.
    let identity = hash(parts.into_iter().chain(label_parts(&labels)));
    let occurrence = Occurrence {
        id,
        identity,
        source: origin.source.clone(),
        receiver: Some(origin.receiver),
        firing,
        fingerprint,
        starts_at,
        ends_at,
        labels,
        notice: origin.grafana.clone(),
    };
    occurrence.into_event(tenant, alert, limits)
}

/// One occurrence of one alert, whichever way it came.
pub(super) struct Occurrence<'n> {
    pub id: String,
    pub identity: [u8; 32],
    pub source: String,
    pub receiver: Option<&'n str>,
    pub firing: bool,
    pub fingerprint: String,
    pub starts_at: String,
    /// Only of a resolved alert: while it fires, it is a guess that moves with each sending.
    pub ends_at: Option<String>,
    pub labels: Map<String, Value>,
    /// What Grafana says about the notice as a whole.
    pub notice: Map<String, Value>,
}

impl Occurrence<'_> {
    /// With what `alert` says besides: annotations, links, values.
    pub fn into_event(
        self,
        tenant: &TenantId,
        alert: &Value,
        limits: &EventLimits,
    ) -> Result<Event, Problem> {
        let Self { id, identity, source, receiver, firing, fingerprint, starts_at, ends_at, labels, notice } =
            self;
        let mut data = Map::new();
        data.insert("status".into(), if firing { "firing" } else { "resolved" }.into());
        data.extend(receiver.map(|receiver| ("receiver".to_owned(), Value::from(receiver))));
        data.insert("fingerprint".into(), fingerprint.into());
        data.insert("startsAt".into(), starts_at.clone().into());
        data.extend(ends_at.clone().map(|text| ("endsAt".to_owned(), Value::from(text))));
        data.insert(
            "annotations".into(),
            alert.get("annotations").filter(|v| v.is_object()).map_or_else(|| json!({}), as_texts),
        );
        for link in ["generatorURL", "silenceURL", "dashboardURL", "panelURL", "imageURL"] {
            let shown = text(alert, link).filter(|text| !text.is_empty());
            data.extend(shown.map(|text| (link.to_owned(), Value::from(text))));
        }
        if let Some(values) = alert.get("values").filter(|values| values.is_object()) {
            data.insert("values".into(), as_texts(values));
        }
        data.extend(text(alert, "valueString").map(|text| ("valueString".to_owned(), shortened(text))));
        if !notice.is_empty() {
            data.insert("notice".into(), Value::Object(notice));
        }

        let mut event = Map::new();
        event.insert("specversion".into(), "1.0".into());
        event.insert("id".into(), id.into());
        event.insert("source".into(), source.into());
        event.insert("type".into(), if firing { FIRING } else { RESOLVED }.into());
        // A resolved alert without its end has no time that we know.
        let time = if firing { Some(starts_at) } else { ends_at };
        event.extend(time.map(|time| ("time".to_owned(), Value::from(time))));
        event.insert("datacontenttype".into(), "application/json".into());
        let label = |name: &str| {
            labels.get(name).and_then(Value::as_str).map(attribute).filter(|text| !text.is_empty())
        };
        event.extend(label("alertname").map(|name| ("subject".to_owned(), Value::from(name))));
        event.extend(
            label("severity")
                .and_then(|text| severity(&text))
                .map(|s| ("severity".to_owned(), Value::from(s))),
        );
        data.insert("labels".into(), Value::Object(labels));
        event.insert("data".into(), Value::Object(data));

        let mut event = Event::build(tenant, Value::Object(event), limits)?;
        event.body_hash = identity;
        Ok(event)
    }
}

/// Grafana's notice-wide members. They may differ from one sending to the next, so like annotations they are those of
/// the first sending, and none of them may make an alert too large.
fn grafana(notice: &Value) -> Map<String, Value> {
    let mut out = Map::new();
    for name in ["title", "state", "message"] {
        out.extend(text(notice, name).map(|text| (name.to_owned(), shortened(text))));
    }
    if let Some(org) = notice.get("orgId").filter(|value| value.is_number() || value.is_string()) {
        // An id, not a quantity: as text it may have any size.
        let shown = org.as_str().map_or_else(|| org.to_string(), ToOwned::to_owned);
        out.insert("orgId".into(), shortened(&shown));
    }
    out
}

/// At most [`MAX_TEXT`] characters; a cut is shown by `…`.
fn shortened(text: &str) -> Value {
    match text.char_indices().nth(MAX_TEXT) {
        None => Value::from(text),
        Some((end, _)) => Value::from(format!("{}…", text.get(..end).unwrap_or_default())),
    }
}

/// Characters kept of a text that a notice or a template of Grafana's makes.
const MAX_TEXT: usize = 4096;

pub(super) fn label_parts(labels: &Map<String, Value>) -> impl Iterator<Item = &str> {
    labels.iter().flat_map(|(name, value)| [name.as_str(), value.as_str().unwrap_or_default()])
}

/// The customary values of the `severity` label on our scale.
fn severity(label: &str) -> Option<&'static str> {
    use crate::severity::Severity;
    let lower = label.to_ascii_lowercase();
    match lower.as_str() {
        "warning" | "warn" => Some("medium"),
        "page" | "error" => Some("high"),
        other => Severity::from_name(other).map(Severity::name),
    }
}

/// Sorted by name, so that hash and order do not depend on the sender's order.
pub(super) fn labels(alert: &Value) -> Result<Map<String, Value>, Problem> {
    let Some(Value::Object(members)) = alert.get("labels") else {
        return Err(fault("/labels", "the alert has no `labels` object", "send the alert's labels"));
    };
    if let Some((name, _)) = members.iter().find(|(_, value)| !value.is_string()) {
        let path = format!("/labels/{}", json::pointer_token(name));
        return Err(fault(&path, "a label's value is not a string", "send it as a string"));
    }
    let mut sorted: Vec<(String, Value)> = members.clone().into_iter().collect();
    sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(sorted.into_iter().collect())
}

/// For senders that leave the fingerprint out: a hash of the labels, as Alertmanager's is (with another function).
fn fingerprint(labels: &Map<String, Value>) -> String {
    hex(&hash(label_parts(labels))[..8])
}

/// Each part preceded by its length.
pub(super) fn hash<'a>(parts: impl Iterator<Item = &'a str>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// A time in UTC, so that one instant has one text whatever zone the sender shows it in. Go's zero time (year 1),
/// which stands for "not known", is absent.
pub(super) fn instant(alert: &Value, name: &str) -> Result<Option<String>, Problem> {
    let text = match alert.get(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.is_empty() => return Ok(None),
        Some(value) => value.as_str().filter(|text| is_rfc3339(text)),
    };
    let Some(at) = text.and_then(|text| text.parse::<Timestamp>().ok()) else {
        let reason = format!("`{name}` is not an RFC 3339 time");
        return Err(fault(&format!("/{name}"), &reason, "send e.g. `2026-11-22T06:00:00Z`"));
    };
    Ok((at > ZERO_TIME_ENDS).then(|| at.to_string()))
}

/// 0002-01-01T00:00:00Z: Go's zero time is in the year before, in every zone.
const ZERO_TIME_ENDS: Timestamp = Timestamp::constant(-62_104_060_800, 0);

/// Members as texts: Grafana's `values` are numbers of any size, and none of them may cost the alert.
fn as_texts(object: &Value) -> Value {
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let members = object.as_object().into_iter().flatten();
    Value::Object(members.map(|(name, value)| (name.clone(), Value::from(shown(value)))).collect())
}

/// A label as an attribute: what attributes may not hold becomes a space.
fn attribute(label: &str) -> String {
    label.chars().map(|c| if is_allowed(c) { c } else { ' ' }).collect()
}

/// A receiver's name in a URN: whatever RFC 8141 does not allow is percent-encoded.
fn urn_part(receiver: &str) -> String {
    let mut out = String::new();
    for byte in receiver.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    if out.is_empty() { "unnamed".to_owned() } else { out }
}

pub(super) fn text<'v>(object: &'v Value, name: &str) -> Option<&'v str> {
    object.get(name).and_then(Value::as_str)
}

pub(super) fn fault(path: &str, reason: &str, fix: &str) -> Problem {
    Problem::new(Code::InvalidEvent, path, reason, fix)
}
