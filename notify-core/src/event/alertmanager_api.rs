//! Alertmanager's own API, version 2: what a Prometheus server posts to `/api/v2/alerts`. One CloudEvent per occurrence.
//!
//! A rule's alert is sent again for as long as it fires, with an `endsAt` that moves ahead, and for a quarter of an hour
//! after it is over, with the `endsAt` at which it ended. The state follows from `endsAt`, as in Alertmanager: in the past
//! means resolved; none, or one to come, means firing. So the event's id comes from labels, start and state, and every
//! further sending is a repeat. `endsAt` of a firing alert stays out, and so do annotations and `generatorURL`, whose
//! first sending stands.
//!
//! The source is one for all senders: the two servers of a redundant pair tell of the same alert. An alert that its
//! sender stops repeating is not resolved here by the passing of time; only a sender says that it is over.
//!
//! Format: <https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>, `postableAlerts`.

use super::alertmanager::{Occurrence, fault, hash, instant, label_parts, labels, text};
use super::{Event, EventLimits, batch};
use crate::ids::{TenantId, hex};
use crate::json::{self, Limits};
use crate::problem::Problem;
use crate::time::{Timestamp, rfc3339_millis};
use serde_json::{Map, Value};

/// `source` of every event that comes this way.
pub const SOURCE: &str = "urn:alertmanager:api:v2";

/// Turns the body of a `POST /api/v2/alerts` into events, each with a fate of its own, in order.
///
/// `received_at` is the start of an alert that names neither start nor end, and tells which ends are past.
///
/// # Errors
/// When the body as a whole is no list of alerts.
pub fn to_events(
    tenant: &TenantId,
    bytes: &[u8],
    limits: &EventLimits,
    received_at: Timestamp,
) -> Result<Vec<Result<Event, Problem>>, Problem> {
    let body = json::parse(bytes, Limits { max_bytes: limits.max_batch_bytes, max_depth: limits.max_depth })?;
    let Value::Array(alerts) = &body else {
        let fix = "send `[{\"labels\": {…}, …}, …]`, as Prometheus does";
        return Err(fault("", "the body is not a JSON array of alerts", fix));
    };
    if alerts.len() > limits.max_batch_events {
        return Err(batch::too_many("alerts", alerts.len(), limits));
    }
    let one = |(index, alert): (usize, &Value)| {
        to_event(tenant, alert, limits, received_at).map_err(|problem| problem.under(&format!("/{index}")))
    };
    Ok(alerts.iter().enumerate().map(one).collect())
}

fn to_event(
    tenant: &TenantId,
    alert: &Value,
    limits: &EventLimits,
    received_at: Timestamp,
) -> Result<Event, Problem> {
    if !alert.is_object() {
        return Err(fault("", "an alert is a JSON object", "send the alerts as Prometheus does"));
    }
    let mut labels = labels(alert)?;
    // To Prometheus, an empty label is one that is not there.
    labels.retain(|_, value| value.as_str().is_some_and(|text| !text.is_empty()));
    if labels.is_empty() {
        return Err(fault("/labels", "the alert has no labels", "send at least `alertname`"));
    }
    let ends_at = instant(alert, "endsAt")?;
    let is_past = |at: &String| at.parse::<Timestamp>().is_ok_and(|at| at <= received_at);
    let over = ends_at.filter(is_past);
    let starts_at = match (instant(alert, "startsAt")?, &over) {
        (Some(start), _) => start,
        (None, Some(end)) => end.clone(),
        (None, None) => rfc3339_millis(received_at),
    };
    if over.as_ref().is_some_and(|end| end.parse::<Timestamp>().ok() < starts_at.parse::<Timestamp>().ok()) {
        return Err(fault(
            "/startsAt",
            "`startsAt` is later than `endsAt`",
            "send the times as RFC 3339 with a zone",
        ));
    }
    let fingerprint = match text(alert, "fingerprint").filter(|text| !text.is_empty()) {
        Some(text) => text.to_owned(),
        None => fingerprint(&labels),
    };
    let state = if over.is_some() { "resolved" } else { "firing" };
    // With its end: a copy that arrives too late to be firing must not take the place of the true resolution.
    let end = over.as_deref().unwrap_or_default();
    let identity =
        hash([fingerprint.as_str(), &starts_at, state, end].into_iter().chain(label_parts(&labels)));
    let occurrence = Occurrence {
        id: hex(&identity[..16]),
        identity,
        source: SOURCE.to_owned(),
        receiver: None,
        firing: over.is_none(),
        fingerprint,
        starts_at,
        ends_at: over,
        labels,
        notice: Map::new(),
    };
    occurrence.into_event(tenant, alert, limits)
}

/// Prometheus's own: FNV-1a over each name and value with a byte 255 behind it, so that an alert is told by the same
/// fingerprint whether it comes straight from Prometheus or by way of an Alertmanager. `labels` are sorted by name.
fn fingerprint(labels: &Map<String, Value>) -> String {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let sum = label_parts(labels)
        .fold(0xcbf2_9ce4_8422_2325, |hash, part| step(part.bytes().fold(hash, step), 255));
    format!("{sum:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(body: &Value, received_at: &str) -> Result<Vec<Result<Event, Problem>>, Problem> {
        let tenant = TenantId::new("acme").unwrap();
        let at = received_at.parse().unwrap();
        to_events(&tenant, body.to_string().as_bytes(), &EventLimits::default(), at)
    }

    fn one(alert: &Value, received_at: &str) -> Result<Event, Problem> {
        parse(&json!([alert]), received_at).unwrap().remove(0)
    }

    /// As Prometheus 2.42 sends it.
    fn firing() -> Value {
        json!({
            "annotations": { "summary": "down for 1m" },
            "endsAt": "2026-11-22T06:04:00.000Z", "startsAt": "2026-11-22T06:00:00.123Z",
            "generatorURL": "http://prometheus:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
            "labels": { "severity": "critical", "alertname": "InstanceDown", "job": "node", "empty": "" },
        })
    }

    #[test]
    fn an_alert_becomes_an_event() {
        let event = one(&firing(), "2026-11-22T06:00:01Z").unwrap();
        assert_eq!(
            (event.source.as_str(), event.r#type.as_str()),
            (SOURCE, super::super::alertmanager::FIRING)
        );
        assert_eq!(
            event.value["data"],
            json!({
                "annotations": { "summary": "down for 1m" },
                "fingerprint": "ed7ec79a180659a4",
                "generatorURL": "http://prometheus:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
                "labels": { "alertname": "InstanceDown", "job": "node", "severity": "critical" },
                "startsAt": "2026-11-22T06:00:00.123Z", "status": "firing",
            })
        );
        assert_eq!(
            (event.subject.as_deref(), event.severity.map(|s| s.name())),
            (Some("InstanceDown"), Some("critical"))
        );
    }

    /// The edited alert against the first one.
    fn compare(received_at: &str, edit: impl FnOnce(&mut Value)) -> &'static str {
        let first = one(&firing(), "2026-11-22T06:00:01Z").unwrap();
        let mut alert = firing();
        edit(&mut alert);
        let second = one(&alert, received_at).unwrap();
        match (first.key == second.key, first.body_hash == second.body_hash, first.r#type == second.r#type) {
            (true, true, true) => "repeat",
            (false, _, true) => "new",
            (false, _, false) => "other state",
            _ => "conflict",
        }
    }

    #[test]
    fn resends_are_repeats_and_the_end_decides_the_state() {
        let later = "2026-11-22T06:03:00Z";
        let set = |name: &'static str, value: Value| move |alert: &mut Value| alert[name] = value;
        assert_eq!(compare(later, |_| ()), "repeat");
        assert_eq!(compare(later, set("endsAt", json!("2026-11-22T06:07:00Z"))), "repeat");
        assert_eq!(compare(later, set("endsAt", Value::Null)), "repeat");
        assert_eq!(compare(later, set("endsAt", json!("0001-01-01T00:00:00Z"))), "repeat");
        assert_eq!(compare(later, set("startsAt", json!("2026-11-22T07:00:00.123+01:00"))), "repeat");
        assert_eq!(compare(later, set("annotations", json!({ "summary": "down for 4m" }))), "repeat");
        assert_eq!(compare(later, set("generatorURL", json!("http://replica-2:9090/graph"))), "repeat");
        assert_eq!(compare(later, |alert| alert["labels"]["empty"] = json!("x")), "new");
        assert_eq!(compare(later, set("startsAt", json!("2026-11-22T06:01:00Z"))), "new");
        assert_eq!(compare(later, set("startsAt", Value::Null)), "new");
        assert_eq!(compare(later, set("endsAt", json!("2026-11-22T06:02:59Z"))), "other state");
        assert_eq!(compare("2026-11-22T06:05:00Z", |_| ()), "other state");
    }

    #[test]
    fn a_resolved_alert_is_told_once() {
        let over = |at: &str, start: Value| {
            let mut alert = firing();
            alert["startsAt"] = start;
            one(&alert, at).unwrap()
        };
        let start = json!("2026-11-22T06:00:00.123Z");
        let (first, again) =
            (over("2026-11-22T06:05:00Z", start.clone()), over("2026-11-22T06:15:00Z", start));
        assert_eq!((first.key.clone(), first.body_hash), (again.key, again.body_hash));
        assert_eq!(first.time.as_deref(), Some("2026-11-22T06:04:00Z"));
        // Without a start, it began when it ended, as in Alertmanager.
        let (first, again) =
            (over("2026-11-22T06:05:00Z", Value::Null), over("2026-11-22T06:15:00Z", Value::Null));
        assert_eq!(first.key, again.key);
        assert_eq!(first.value["data"]["startsAt"], "2026-11-22T06:04:00Z");
    }

    #[test]
    fn a_bad_alert_does_not_take_the_others_with_it() {
        let body = json!([firing(), 1, {}, { "labels": { "a": 1 } }, { "labels": { "a": "" } },
            { "labels": { "a": "b" }, "endsAt": "soon" },
            { "labels": { "a": "b" }, "startsAt": "2026-11-22T05:00:00Z", "endsAt": "2026-11-22T04:00:00Z" }]);
        let fates = parse(&body, "2026-11-22T06:00:00Z").unwrap();
        let paths: Vec<_> =
            fates.iter().map(|fate| fate.as_ref().map_or_else(|p| p.path.as_str(), |_| "ok")).collect();
        assert_eq!(paths, ["ok", "/1", "/2/labels", "/3/labels/a", "/4/labels", "/5/endsAt", "/6/startsAt"]);
        assert!(parse(&json!({}), "2026-11-22T06:00:00Z").is_err());
        assert!(parse(&json!([]), "2026-11-22T06:00:00Z").unwrap().is_empty());
    }
}
