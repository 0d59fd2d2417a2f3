//! Each rule of the format with its place, and the forms held against each other.

use super::*;
use crate::jcs::tests::any_json;
use proptest::prelude::*;
use serde_json::json;

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn structured(text: &str) -> Result<Event, Problem> {
    Event::structured(&tenant(), text.as_bytes(), &EventLimits::default())
}

/// `base` with some members put over it; `null` in `over` really is sent as null.
fn with(over: Value) -> String {
    let mut event =
        json!({"specversion": "1.0", "id": "1", "source": "/scanner", "type": "scanner.report.ready"});
    event.as_object_mut().unwrap().extend(over.as_object().unwrap().clone());
    event.to_string()
}

/// Where and why an event is refused: `code path`.
fn verdict(result: Result<Event, Problem>) -> String {
    match result {
        Ok(event) => format!("ok {}", event.body),
        Err(problem) => {
            assert!(!problem.reason.is_empty() && !problem.fix.is_empty(), "{problem}");
            format!("{} {}", problem.code, problem.path)
        }
    }
}

fn refused(over: Value, expected: &str) {
    assert_eq!(verdict(structured(&with(over.clone()))), expected, "{over}");
}

#[test]
fn an_event_is_read_whole() {
    let event = structured(&with(json!({
        "time": "2026-11-22T06:00:00.5+01:00", "subject": "img", "severity": "high", "tenant": "acme",
        "notifyhops": 2, "myflag": true, "absent": null, "data": {"b": 1.0, "a": [null]},
    })))
    .unwrap();
    assert_eq!(
        event.body,
        r#"{"data":{"a":[null],"b":1},"id":"1","myflag":true,"notifyhops":2,"severity":"high","source":"/scanner","specversion":"1.0","subject":"img","tenant":"acme","time":"2026-11-22T06:00:00.5+01:00","type":"scanner.report.ready"}"#
    );
    assert_eq!(serde_json::to_string(&event.value).unwrap(), event.body);
    assert_eq!((event.severity, event.hops), (Some(Severity::High), 2));
    assert_eq!((event.subject.as_deref(), event.r#type.as_str()), (Some("img"), "scanner.report.ready"));
    assert_eq!(event.key, EventKey::derive(["acme", "/scanner", "1"]));
    assert_eq!(event.body_hash, <[u8; 32]>::from(Sha256::digest(event.body.as_bytes())));
    // A severity of somebody else's scale is kept and is none of ours.
    assert_eq!(structured(&with(json!({"severity": "P1"}))).unwrap().severity, None);
    assert_eq!(Event::stored(&tenant(), &event.body).unwrap(), event);
}

#[test]
fn attributes_follow_cloudevents() {
    for name in ["specversion", "id", "source", "type"] {
        for bad in [json!(null), json!(""), json!(1)] {
            refused(json!({name: bad}), &format!("invalid-event /{name}"));
        }
    }
    for (over, path) in [
        (json!({"specversion": "0.3"}), "/specversion"),
        (json!({"source": "not a uri"}), "/source"),
        (json!({"source": "1:2"}), "/source"),
        (json!({"source": "http://[::1"}), "/source"),
        (json!({"source": "a%2"}), "/source"),
        (json!({"source": "a#b#c"}), "/source"),
        (json!({"source": "/ä"}), "/source"),
        (json!({"subject": ""}), "/subject"),
        (json!({"time": "2026-11-22"}), "/time"),
        (json!({"time": "2026-02-30T00:00:00Z"}), "/time"),
        (json!({"time": "2026-11-22T24:00:00Z"}), "/time"),
        (json!({"time": "2026-11-22T06:00:00"}), "/time"),
        (json!({"time": "2026-11-22T06:00:00.Z"}), "/time"),
        (json!({"time": "2026-11-22T06:00:00+0100"}), "/time"),
        (json!({"time": "2026-11-22T06:00:00Z "}), "/time"),
        (json!({"datacontenttype": "json"}), "/datacontenttype"),
        (json!({"dataschema": "relative/path"}), "/dataschema"),
        (json!({"correlationId": "x"}), "/correlationId"),
        (json!({"a_b": "x"}), "/a_b"),
        (json!({"": "x"}), "/"),
        (json!({"abcdefghijklmnopqrstu": "x"}), "/abcdefghijklmnopqrstu"),
        (json!({"ext": {"a": 1}}), "/ext"),
        (json!({"ext": 1.5}), "/ext"),
        (json!({"ext": 2_147_483_648u32}), "/ext"),
        (json!({"ext": "a\u{7}"}), "/ext"),
        (json!({"ext": "a\u{85}"}), "/ext"),
        (json!({"ext": "\u{fdd0}"}), "/ext"),
        (json!({"ext": "\u{1fffe}"}), "/ext"),
        (json!({"severity": 3}), "/severity"),
        (json!({"dssematerial": true}), "/dssematerial"),
        (json!({"notifyhops": 16}), "/notifyhops"),
        (json!({"notifyhops": -1}), "/notifyhops"),
        (json!({"notifyhops": "x"}), "/notifyhops"),
        (json!({"data": 1, "data_base64": "AA=="}), "/data_base64"),
        (json!({"data_base64": "AA"}), "/data_base64"),
        (json!({"data_base64": "AB=="}), "/data_base64"),
        (json!({"data_base64": 1}), "/data_base64"),
        (json!({"data": {"a": [0, 9_007_199_254_740_992u64]}}), "/data/a/1"),
    ] {
        refused(over, &format!("invalid-event {path}"));
    }
    refused(json!({"tenant": "other"}), "tenant-mismatch /tenant");
    for good in [
        json!({"source": "urn:x:y"}),
        json!({"source": "https://[::1]:8080/a?b#c"}),
        json!({"source": "a/b:c"}),
        json!({"source": "mailto:a@b"}),
        json!({"time": "2016-12-31t23:59:60.123456789z"}),
        json!({"dataschema": "https://x/y#z"}),
        json!({"datacontenttype": "application/vnd.x+json; charset=\"utf-8\""}),
        json!({"abcdefghijklmnopqrst": -2_147_483_648i64}),
        json!({"notifyhops": 2.0, "ext": -3.0}),
        json!({"data": null, "data_base64": "AA=="}),
        json!({"data": "{\"not\": \"parsed again\"}"}),
    ] {
        let result = structured(&with(good.clone()));
        assert!(result.is_ok(), "{good}: {result:?}");
    }
}

#[test]
fn texts_are_read_strictly_and_bounded() {
    for (text, expected) in [
        ("[]".to_owned(), "invalid-event "),
        ("{".to_owned(), "malformed-json "),
        (r#"{"id":"1","id":"2"}"#.to_owned(), "duplicate-key "),
        (with(json!({})).replace("\"1\"", r#""\ud800""#), "malformed-json "),
    ] {
        assert_eq!(verdict(structured(&text)), expected, "{text}");
    }
    let limits = EventLimits { max_bytes: 120, max_depth: 4, ..EventLimits::default() };
    let at_limit = |text: &str| verdict(Event::structured(&tenant(), text.as_bytes(), &limits));
    let pad = |n: usize| with(json!({"data": "x".repeat(n)}));
    let room = 120 - pad(0).len();
    assert!(at_limit(&pad(room)).starts_with("ok "));
    assert_eq!(at_limit(&pad(room + 1)), "too-large ");
    assert!(at_limit(&with(json!({"data": [[[]]]}))).starts_with("ok "));
    assert_eq!(at_limit(&with(json!({"data": [[[[]]]]}))), "too-deep /data/0/0/0");
    // Short as sent, long in canonical form.
    let numbers = format!(
        r#"{{"specversion":"1.0","id":"1","source":"a","type":"b","data":[{}1]}}"#,
        "1e-6,".repeat(10)
    );
    assert!(numbers.len() <= 120, "{}", numbers.len());
    assert_eq!(at_limit(&numbers), "too-large ");
}

#[test]
fn the_mode_is_told_by_the_content_type() {
    for (content_type, expected) in [
        (None, Ok(Mode::Binary)),
        (Some("application/json"), Ok(Mode::Binary)),
        (Some("application/cloudevents"), Ok(Mode::Structured)),
        (Some("Application/CloudEvents+JSON; charset=utf-8"), Ok(Mode::Structured)),
        (Some("application/cloudevents-batch+json"), Ok(Mode::Batch)),
        (Some("application/cloudevents+avro"), Err(Code::UnsupportedMediaType)),
        (Some("application/cloudevents-batch+protobuf"), Err(Code::UnsupportedMediaType)),
    ] {
        assert_eq!(Mode::of(content_type).map_err(|p| p.code), expected, "{content_type:?}");
    }
}

#[test]
fn each_event_of_a_batch_has_its_own_fate() {
    let limits =
        EventLimits { max_batch_events: 4, max_batch_bytes: 1000, max_bytes: 200, ..EventLimits::default() };
    let batch = |text: &str| Event::batch(&tenant(), text.as_bytes(), &limits);
    let good = with(json!({}));
    let text = format!(r#"[{good}, {{"id":1,"id":2}}, 7, {}]"#, with(json!({"data": "x".repeat(200)})));
    let fates: Vec<String> = batch(&text).unwrap().into_iter().map(verdict).collect();
    assert!(fates[0].starts_with("ok "), "{fates:?}");
    assert_eq!(fates[1..], ["duplicate-key /1", "invalid-event /2", "too-large /3"]);
    assert_eq!(batch("[]").unwrap().len(), 0);
    for (text, expected) in [
        (good.clone(), Code::MalformedJson),
        ("[1,".to_owned(), Code::MalformedJson),
        ("[] []".to_owned(), Code::MalformedJson),
        ("[1,2,3,4,5]".to_owned(), Code::TooLarge),
        (format!("[\"{}\"]", "x".repeat(1000)), Code::TooLarge),
    ] {
        assert_eq!(batch(&text).unwrap_err().code, expected, "{text}");
    }
    // Found without recursion, refused without overflow.
    let limits = EventLimits { max_bytes: 1 << 20, ..EventLimits::default() };
    let deep = format!("[{}{}]", "[".repeat(200_000), "]".repeat(200_000));
    let fates = Event::batch(&tenant(), deep.as_bytes(), &limits).unwrap();
    assert_eq!(fates[0].as_ref().unwrap_err().code, Code::TooDeep);
}

const MINIMAL: [(&str, &str); 4] =
    [("ce-specversion", "1.0"), ("CE-Id", "1"), ("ce-source", "/scanner"), ("ce-type", "t")];

fn binary(headers: &[(&str, &str)], body: &[u8]) -> Result<Event, Problem> {
    let headers = MINIMAL.iter().chain(headers).map(|(name, value)| (*name, value.as_bytes()));
    Event::binary(&tenant(), headers, body, &EventLimits::default())
}

#[test]
fn headers_are_decoded_once() {
    for (raw, expected) in [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", Some("Euro € 😀")),
        ("Euro%20%e2%82%ac", Some("Euro €")),
        ("100%2525", Some("100%25")),
        (r#""quoted \"text\"""#, Some(r#"quoted "text""#)),
        ("  plain  ", Some("plain")),
        ("ä", Some("ä")),
        ("%C0%A0", None),
        ("100%", None),
        ("%zz", None),
        ("%00", None),
        ("", None),
    ] {
        let result = binary(&[("ce-subject", raw)], b"");
        match expected {
            Some(text) => assert_eq!(result.unwrap().subject.as_deref(), Some(text), "{raw}"),
            None => assert_eq!(verdict(result), "invalid-event ce-subject", "{raw}"),
        }
    }
}

#[test]
fn binary_mode_names_headers() {
    for (headers, body, expected) in [
        (vec![("ce-time", "now")], "", "invalid-event ce-time"),
        (vec![("ce-id", "2")], "", "invalid-event ce-id"),
        (vec![("ce-datacontenttype", "text/plain")], "", "invalid-event ce-datacontenttype"),
        (vec![("ce-data", "x")], "", "invalid-event ce-data"),
        (vec![("ce-my_ext", "x")], "", "invalid-event ce-my_ext"),
        (vec![("content-type", "nonsense")], "x", "invalid-event content-type"),
        (vec![("ce-tenant", "other")], "", "tenant-mismatch ce-tenant"),
        (vec![("content-type", "application/json")], "{", "malformed-json /data"),
        (vec![], r#"{"a":1,"a":2}"#, "duplicate-key /data"),
        (vec![], r#"{"a":[9007199254740993]}"#, "invalid-event /data/a/0"),
    ] {
        assert_eq!(verdict(binary(&headers, body.as_bytes())), expected, "{headers:?} {body}");
    }
    let nothing =
        Event::binary(&tenant(), [("accept", &b"*/*"[..])].into_iter(), b"{}", &EventLimits::default());
    assert_eq!(verdict(nothing), "invalid-event ce-specversion");
}

#[test]
fn binary_data_becomes_json_text_or_base64() {
    for (content_type, body, expected) in [
        (Some("application/json"), &b"{\"b\":1,\"a\":2}"[..], r#""data":{"a":2,"b":1},"#),
        (Some("application/vnd.x+json; v=1"), b"[1]", r#""data":[1],"#),
        (None, b"\"text\"", r#""data":"text","#),
        (Some("text/plain"), b"hi", r#""data":"hi","#),
        (Some("application/xml"), b"<a/>", r#""data":"<a/>","#),
        (Some("text/plain"), b"\xff", r#""data_base64":"/w==","#),
        (Some("application/octet-stream"), b"hi", r#""data_base64":"aGk=","#),
        (Some("application/json"), b"", ""),
    ] {
        let headers: Vec<_> = content_type.map(|value| ("Content-Type", value)).into_iter().collect();
        let event = binary(&headers, body).unwrap();
        let content_type =
            content_type.map(|text| format!(r#""datacontenttype":"{text}","#)).unwrap_or_default();
        let expected = format!(
            r#"{{{expected}{content_type}"id":"1","source":"/scanner","specversion":"1.0","type":"t"}}"#
        );
        assert_eq!(event.body, expected);
    }
}

/// What a sender does to a header's value (HTTP binding, section 3.1.3.2).
fn encode(text: &str) -> String {
    let byte = |b: u8| match b {
        b'"' | b'%' => format!("%{b:02X}"),
        0x21..=0x7e => char::from(b).to_string(),
        _ => format!("%{b:02x}"),
    };
    text.bytes().map(byte).collect()
}

fn attribute_text() -> impl Strategy<Value = String> {
    any::<String>()
        .prop_map(|s| s.chars().filter(|c| super::attributes::is_allowed(*c)).collect::<String>() + "x")
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), name in "[ -~]{0,12}") {
        let limits = EventLimits::default();
        let _ = Event::structured(&tenant(), &bytes, &limits);
        let _ = Event::batch(&tenant(), &bytes, &limits);
        let _ = alertmanager::to_events(&tenant(), &bytes, &limits, jiff::Timestamp::UNIX_EPOCH);
        let headers = MINIMAL.iter().map(|(n, v)| (*n, v.as_bytes())).chain([(name.as_str(), &bytes[..])]);
        let _ = Event::binary(&tenant(), headers, &bytes, &limits);
        let _ = super::attributes::is_uri_reference(&String::from_utf8_lossy(&bytes));
        let _ = super::attributes::is_rfc3339(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn arbitrary_members_never_panic_and_the_body_is_stable(
        members in prop::collection::vec(("[a-z]{1,10}", any_json()), 0..5), data in any_json(),
    ) {
        let mut over = json!({"data": data});
        over.as_object_mut().unwrap().extend(members);
        if let Ok(event) = structured(&with(over)) {
            let again = structured(&event.body).unwrap();
            prop_assert_eq!(serde_json::to_string(&again.value).unwrap(), serde_json::to_string(&event.value).unwrap());
            prop_assert_eq!(again, event);
        }
    }

    #[test]
    fn structured_and_binary_forms_have_one_body(
        id in attribute_text(), subject in attribute_text(), ext in attribute_text(), hops in 0..16u8, data in any_json(),
    ) {
        let data = if data.is_null() { json!(0) } else { data };
        let sent = with(json!({
            "id": id, "subject": subject, "myext": ext, "notifyhops": hops, "type": "t",
            "datacontenttype": "application/json", "data": data,
        }));
        let structured = structured(&sent).unwrap();
        let headers = [
            ("ce-specversion", "1.0".to_owned()), ("ce-id", encode(&id)), ("ce-source", "/scanner".to_owned()),
            ("ce-type", "t".to_owned()), ("ce-subject", encode(&subject)), ("ce-myext", encode(&ext)),
            ("ce-notifyhops", hops.to_string()), ("content-type", "application/json".to_owned()),
        ];
        let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        let body = data.to_string();
        let binary = Event::binary(&tenant(), headers, body.as_bytes(), &EventLimits::default()).unwrap();
        prop_assert_eq!(&binary.body, &structured.body);
        prop_assert_eq!(binary, structured);
    }
}

const NOTICE: &str = include_str!("samples/alertmanager-v4.json");
const GRAFANA: &str = include_str!("samples/grafana-webhook.json");

fn alerts(text: &str, received_at: &str) -> Vec<Event> {
    let at = received_at.parse().unwrap();
    let events = alertmanager::to_events(&tenant(), text.as_bytes(), &EventLimits::default(), at).unwrap();
    events.into_iter().map(Result::unwrap).collect()
}

#[test]
fn alerts_become_events() {
    let shown = |text: &str| {
        let events = alerts(text, "2026-11-22T06:00:00Z");
        events
            .iter()
            .map(|event| serde_json::to_string_pretty(&event.value).unwrap())
            .collect::<Vec<_>>()
            .join("\n")
    };
    insta::assert_snapshot!("alertmanager", shown(NOTICE));
    insta::assert_snapshot!("grafana", shown(GRAFANA));
}

/// Identity of the first alert after an edit of the notice, compared with the original's.
fn compare(edit: impl FnOnce(&mut Value)) -> &'static str {
    let first = &alerts(NOTICE, "2026-11-22T06:00:00Z")[0];
    let mut notice: Value = serde_json::from_str(NOTICE).unwrap();
    edit(&mut notice);
    let second = &alerts(&notice.to_string(), "2026-11-22T07:00:00Z")[0];
    match (first.key == second.key, first.body_hash == second.body_hash) {
        (true, true) => "repeat",
        (true, false) => "conflict",
        _ => "new",
    }
}

#[test]
fn a_second_sending_is_a_repeat_and_a_new_occurrence_is_not() {
    let alert = |name: &'static str, value: Value| move |n: &mut Value| n["alerts"][0][name] = value;
    assert_eq!(compare(|_| ()), "repeat");
    // Another group, a rising count, another reason: the same alert.
    assert_eq!(
        compare(|n| {
            n["groupKey"] = json!("{}:{x=\"y\"}");
            n["commonLabels"] = json!({});
            n["commonAnnotations"] = json!({});
            n["truncatedAlerts"] = json!(7);
            n["notification_reason"] = json!("repeat_interval");
            n["status"] = json!("resolved");
        }),
        "repeat"
    );
    assert_eq!(compare(alert("annotations", json!({"summary": "now 98 %"}))), "repeat");
    assert_eq!(compare(alert("endsAt", json!("2026-11-22T06:04:00Z"))), "repeat");
    assert_eq!(compare(alert("startsAt", json!("2026-11-22T06:12:07.321+01:00"))), "repeat");
    assert_eq!(compare(alert("startsAt", json!("2026-11-22T05:13:00Z"))), "new");
    assert_eq!(compare(alert("status", json!("resolved"))), "new");
    assert_eq!(compare(alert("fingerprint", json!("0000000000000000"))), "new");
    assert_eq!(compare(|n| n["receiver"] = json!("other")), "new");
    assert_eq!(compare(|n| n["externalURL"] = json!("http://am2:9093")), "new");
    // Without a start, each sending counts (better twice than never).
    assert_eq!(compare(alert("startsAt", Value::Null)), "new");
    // One fingerprint with two sets of labels is somebody's mistake.
    assert_eq!(compare(|n| n["alerts"][0]["labels"]["pod"] = json!("other")), "conflict");
}

#[test]
fn what_grafana_adds_neither_costs_an_alert_nor_changes_its_identity() {
    let first = &alerts(GRAFANA, "2026-11-22T06:00:00Z")[0];
    let edited = |edit: &dyn Fn(&mut Value)| {
        let mut notice: Value = serde_json::from_str(GRAFANA).unwrap();
        edit(&mut notice);
        alerts(&notice.to_string(), "2026-11-22T07:00:00Z").remove(0)
    };
    let long = "ü".repeat(100_000);
    let event = edited(&|notice| {
        notice["message"] = json!(long);
        notice["title"] = json!("[FIRING:7]");
        notice["orgId"] = json!(12_297_829_382_473_034_410_u64);
        notice["alerts"][0]["valueString"] = json!(long);
        notice["alerts"][0]["values"] = json!({ "A": 9_007_199_254_740_993_u64, "B": null, "C": -1e300 });
    });
    assert_eq!((&event.key, event.body_hash), (&first.key, first.body_hash));
    let notice = &event.value["data"]["notice"];
    assert_eq!((&notice["orgId"], &notice["title"]), (&json!("12297829382473034410"), &json!("[FIRING:7]")));
    for text in [&notice["message"], &event.value["data"]["valueString"]] {
        let text = text.as_str().unwrap();
        assert_eq!((text.chars().count(), text.ends_with('…')), (4097, true));
    }
    let values = &event.value["data"]["values"];
    assert_eq!((&values["A"], &values["B"]), (&json!("9007199254740993"), &json!("null")));
    // Alertmanager's own notices have none of it.
    assert_eq!(alerts(NOTICE, "2026-11-22T06:00:00Z")[0].value["data"].get("notice"), None);
}

#[test]
fn a_bad_alert_does_not_take_the_others_with_it() {
    let at = jiff::Timestamp::UNIX_EPOCH;
    let events =
        |text: &str| alertmanager::to_events(&tenant(), text.as_bytes(), &EventLimits::default(), at);
    let text = r#"{"receiver":"a b","alerts":[
        {"status":"firing","labels":{"alertname":"A\u0001B","severity":"page"}}, 1, {"labels":{}},
        {"status":"firing","labels":{"a":1}}, {"status":"firing"}, {"status":"firing","labels":{},"startsAt":"soon"}]}"#;
    let fates: Vec<_> = events(text).unwrap().into_iter().collect();
    let event = fates[0].as_ref().unwrap();
    assert_eq!((event.source.as_str(), event.subject.as_deref()), ("urn:alertmanager:a%20b", Some("A B")));
    assert_eq!(event.severity, Some(Severity::High));
    let rest: Vec<String> = fates.into_iter().skip(1).map(verdict).collect();
    assert_eq!(
        rest,
        [
            "invalid-event /alerts/1",
            "invalid-event /alerts/2/status",
            "invalid-event /alerts/3/labels/a",
            "invalid-event /alerts/4/labels",
            "invalid-event /alerts/5/startsAt",
        ]
    );
    for text in ["[]", "{}", r#"{"alerts":{}}"#] {
        assert_eq!(events(text).unwrap_err().path, "/alerts", "{text}");
    }
}
