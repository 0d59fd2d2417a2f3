//! Every limit of `resources/notify.default.toml`: what lies on it passes, one beyond it is refused by name.

use crate::harness::{Answered, Fault, Service, assert_problem, service_with};
use http::Method;
use notify_core::event::EventLimits;
use notify_webservice::Limits;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const EVENT_BYTES: usize = 2_048;
const BATCH_BYTES: usize = 8_192;
const BATCH_EVENTS: usize = 5;
const DOCUMENT_BYTES: usize = 200_000;
const TENANT_DOCUMENTS: u64 = 2;

/// One request: method, path, content type, body.
struct Sent(Method, String, &'static str, String);

/// `make(n)` is a request with `n` of what is limited; `make(limit)` passes, `make(limit + 1)` gives `code`.
struct Case {
    name: &'static str,
    limit: usize,
    status: u16,
    code: &'static str,
    make: fn(usize) -> Sent,
}

fn next() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    COUNT.fetch_add(1, Ordering::Relaxed)
}

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
const JSON: &str = "application/json";

fn event(data: &Value) -> Value {
    json!({ "specversion": "1.0", "id": next().to_string(), "source": "/s", "type": "t", "data": data })
}

/// An event of exactly this many bytes.
fn sized_event(bytes: usize) -> String {
    let mut event = event(&json!(""));
    let bare = event.to_string().len();
    event["data"] = json!("x".repeat(bytes - bare));
    let text = event.to_string();
    assert_eq!(text.len(), bytes);
    text
}

fn publish(media: &'static str, body: String) -> Sent {
    Sent(Method::POST, "/api/v1/events".to_owned(), media, body)
}

/// A new document of a kind, with these members besides what it needs.
fn document(kind: &str, members: &Value) -> Sent {
    let id = format!("d{}", next());
    let mut document = match kind {
        "rule" => json!({ "match": { "type": ["t"] }, "actions": [{ "id": "a", "channel": "base" }] }),
        "channel" => json!({ "type": "webhook" }),
        "event-type" => json!({ "type": id, "dataSchema": {} }),
        "calendar" => json!({ "timeZone": "UTC", "windows": [{ "days": ["sat-sun"] }] }),
        "contact" => json!({ "type": "person" }),
        _ => json!({ "message": { "title": "x" } }),
    };
    document["schema"] = json!(format!("notify-{kind}@1"));
    document["id"] = json!(id);
    document["name"] = json!("N");
    for (name, value) in members.as_object().unwrap() {
        document[name] = value.clone();
    }
    Sent(Method::POST, format!("/api/v1/notify/{kind}s"), JSON, document.to_string())
}

fn rule(members: &Value) -> Sent {
    document("rule", members)
}

fn matching(pattern: Value) -> Sent {
    rule(&json!({ "match": pattern }))
}

/// Made longer with spaces, which say nothing in JSON.
fn padded(mut text: String, bytes: usize) -> String {
    text.extend(std::iter::repeat_n(' ', bytes - text.len()));
    text
}

fn many<T: Into<Value>>(n: usize, item: impl Fn(usize) -> T) -> Value {
    Value::Array((0..n).map(|i| item(i).into()).collect())
}

fn named(n: usize, value: impl Fn(usize) -> Value) -> Value {
    Value::Object((0..n).map(|i| (format!("k{i}"), value(i))).collect())
}

fn nested(n: usize, inner: Value) -> Value {
    (0..n).fold(inner, |inner, _| json!({ "a": inner }))
}

const CASES: &[Case] = &[
    Case {
        name: "limits.event_bytes",
        limit: EVENT_BYTES,
        status: 413,
        code: "too-large",
        make: |n| publish(STRUCTURED, sized_event(n)),
    },
    Case {
        name: "limits.batch_bytes",
        limit: BATCH_BYTES,
        status: 413,
        code: "too-large",
        make: |n| publish(BATCH, padded(format!("[{}]", event(&json!(1))), n)),
    },
    Case {
        name: "limits.batch_events",
        limit: BATCH_EVENTS,
        status: 413,
        code: "too-large",
        make: |n| publish(BATCH, many(n, |_| event(&json!(1))).to_string()),
    },
    Case {
        name: "event_depth",
        limit: 64,
        status: 400,
        code: "too-deep",
        // The event itself is one level.
        make: |n| publish(STRUCTURED, event(&nested(n - 1, json!(1))).to_string()),
    },
    Case {
        name: "limits.document_bytes",
        limit: DOCUMENT_BYTES,
        status: 413,
        code: "too-large",
        make: |n| {
            let Sent(method, path, media, body) = rule(&json!({}));
            Sent(method, path, media, padded(body, n))
        },
    },
    Case {
        name: "page_items",
        limit: 500,
        status: 400,
        code: "invalid-parameter",
        make: |n| Sent(Method::GET, format!("/api/v1/notify/rules?limit={n}"), JSON, String::new()),
    },
    Case {
        name: "page_token_bytes",
        limit: 512,
        status: 400,
        code: "invalid-page-token",
        // Only an id can be a token of this list, and none is so long: both are refused, the longer one unread.
        make: |n| {
            Sent(
                Method::GET,
                format!("/api/v1/notify/rules?pageToken={}", "a".repeat(n)),
                JSON,
                String::new(),
            )
        },
    },
    Case {
        name: "name_characters",
        limit: 200,
        status: 422,
        code: "invalid-rule",
        make: |n| rule(&json!({ "name": "ä".repeat(n) })),
    },
    Case {
        name: "description_characters",
        limit: 2_000,
        status: 422,
        code: "invalid-rule",
        make: |n| rule(&json!({ "description": "ä".repeat(n) })),
    },
    Case {
        name: "labels",
        limit: 64,
        status: 422,
        code: "invalid-rule",
        make: |n| rule(&json!({ "labels": named(n, |_| json!("x")) })),
    },
    Case {
        name: "rule_actions",
        limit: 20,
        status: 422,
        code: "invalid-rule",
        make: |n| {
            rule(&json!({ "actions": many(n, |i| json!({ "id": format!("a{i}"), "channel": "base" })) }))
        },
    },
    Case {
        name: "pattern_depth",
        limit: 32,
        status: 422,
        code: "invalid-pattern",
        make: |n| matching(nested(n, json!([1]))),
    },
    Case {
        name: "pattern_values",
        limit: 1_024,
        status: 422,
        code: "invalid-pattern",
        make: |n| matching(json!({ "a": many(n, |i| i) })),
    },
    Case {
        name: "pattern_branches",
        limit: 64,
        status: 422,
        code: "invalid-pattern",
        make: |n| matching(json!({ "$or": many(n, |i| json!({ "a": [i] })) })),
    },
    Case {
        name: "pattern_text_bytes",
        limit: 4_096,
        status: 422,
        code: "invalid-pattern",
        make: |n| matching(json!({ "a": ["x".repeat(n)] })),
    },
    Case {
        name: "wildcard_bytes",
        limit: 1_024,
        status: 422,
        code: "invalid-pattern",
        make: |n| matching(json!({ "a": [{ "wildcard": "x".repeat(n) }] })),
    },
    Case {
        name: "wildcard_stars",
        limit: 32,
        status: 422,
        code: "invalid-pattern",
        make: |n| matching(json!({ "a": [{ "wildcard": "a*".repeat(n) }] })),
    },
    Case {
        name: "template_text_bytes",
        limit: 8_192,
        status: 422,
        code: "invalid-template",
        make: |n| document("template", &json!({ "message": { "title": "x".repeat(n) } })),
    },
    Case {
        name: "template_bytes",
        limit: 65_536,
        status: 422,
        code: "invalid-template",
        make: |n| {
            // Eight texts of the largest size; what is beyond goes into one more.
            let text = |bytes: usize| json!({ "name": "", "value": "x".repeat(bytes) });
            let whole = (n - 1) / 8_192;
            let mut fields: Vec<Value> = (0..whole).map(|_| text(8_192)).collect();
            fields.push(text(n - 1 - whole * 8_192));
            document("template", &json!({ "message": { "title": "x", "fields": fields } }))
        },
    },
    Case {
        name: "redactions",
        limit: 50,
        status: 422,
        code: "invalid-template",
        make: |n| {
            document("template", &json!({ "redact": many(n, |i| json!({ "path": format!("/data/{i}") })) }))
        },
    },
    Case {
        name: "redaction_pattern_bytes",
        limit: 1_000,
        status: 422,
        code: "invalid-template",
        make: |n| document("template", &json!({ "redact": [{ "pattern": "x".repeat(n) }] })),
    },
    Case {
        name: "channel_config_members",
        limit: 64,
        status: 422,
        code: "invalid-channel",
        make: |n| document("channel", &json!({ "config": named(n, |i| json!(i)) })),
    },
    Case {
        name: "channel_secrets",
        limit: 16,
        status: 422,
        code: "invalid-channel",
        make: |n| {
            document("channel", &json!({ "secrets": named(n, |i| json!([format!("secret://file/s{i}")])) }))
        },
    },
    Case {
        name: "secret_references",
        limit: 4,
        status: 422,
        code: "invalid-channel",
        make: |n| {
            document("channel", &json!({ "secrets": { "s": many(n, |i| format!("secret://file/s{i}")) } }))
        },
    },
    Case {
        name: "channel_retries",
        limit: 16,
        status: 422,
        code: "invalid-channel",
        make: |n| document("channel", &json!({ "retry": { "scheduleSeconds": many(n, |_| 1) } })),
    },
    Case {
        name: "channel_retry_seconds",
        limit: 86_400,
        status: 422,
        code: "invalid-channel",
        make: |n| document("channel", &json!({ "retry": { "scheduleSeconds": [n] } })),
    },
    Case {
        name: "channel_timeout_seconds",
        limit: 120,
        status: 422,
        code: "invalid-channel",
        make: |n| document("channel", &json!({ "timeoutSeconds": n })),
    },
];

async fn send(service: &Service, sent: &Sent) -> Answered {
    service.admin(sent.0.clone(), &sent.1, &[("content-type", sent.2)], &sent.3).await
}

async fn limited() -> Service {
    let events = EventLimits {
        max_bytes: EVENT_BYTES,
        max_batch_bytes: BATCH_BYTES,
        max_batch_events: BATCH_EVENTS,
        ..EventLimits::default()
    };
    let service = service_with(Limits { events, document_bytes: DOCUMENT_BYTES, ..Limits::default() }).await;
    let base = json!({ "schema": "notify-channel@1", "id": "base", "name": "Base", "type": "webhook" });
    let made =
        send(&service, &Sent(Method::POST, "/api/v1/notify/channels".into(), JSON, base.to_string())).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.body);
    service
}

#[tokio::test]
async fn what_is_on_a_limit_passes_and_one_beyond_is_refused() {
    let service = limited().await;
    let mut wrong = Vec::new();
    for Case { name, limit, status, code, make } in CASES {
        let at = send(&service, &make(*limit)).await;
        // No token of a list has the greatest length that is read.
        if !at.status.is_success() && *name != "page_token_bytes" {
            wrong.push(format!("{name}: {limit} gives {} {}", at.status, at.body));
        }
        let beyond = send(&service, &make(limit + 1)).await;
        if (beyond.status.as_u16(), beyond.code()) != (*status, *code) || beyond.text("/detail").is_empty() {
            wrong.push(format!("{name}: {} gives {} {}", limit + 1, beyond.status, beyond.body));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn an_idempotency_key_has_a_length() {
    let service = limited().await;
    for (length, status) in [(255, 201), (256, 400)] {
        let Sent(method, path, media, body) = rule(&json!({}));
        let key = "k".repeat(length);
        let headers = [("content-type", media), ("idempotency-key", key.as_str())];
        assert_eq!(service.admin(method, &path, &headers, &body).await.status.as_u16(), status, "{length}");
    }
}

#[tokio::test]
async fn a_tenant_has_so_many_documents_and_no_more() {
    let limits = Limits {
        tenant_rules: TENANT_DOCUMENTS,
        tenant_channels: TENANT_DOCUMENTS,
        tenant_templates: TENANT_DOCUMENTS,
        tenant_bundles: TENANT_DOCUMENTS,
        tenant_event_types: TENANT_DOCUMENTS,
        tenant_noise_documents: TENANT_DOCUMENTS,
        ..Limits::default()
    };
    let service = service_with(limits).await;
    for kind in ["channel", "rule", "template", "bundle", "event-type"] {
        let place = format!("/api/v1/notify/{kind}s");
        let made = |id: &str| {
            let Sent(_, _, _, body) = document(kind, &json!({ "id": id }));
            let mut document: Value = serde_json::from_str(&body).unwrap();
            if kind == "bundle" {
                document =
                    json!({ "schema": "notify-bundle@1", "id": id, "locale": "de", "messages": "a = b\n" });
            }
            document.to_string()
        };
        let create =
            async |id: &str| service.admin(Method::POST, &place, &[("content-type", JSON)], &made(id)).await;
        for id in ["base", "second"] {
            let answered = create(id).await;
            assert_eq!(answered.status.as_u16(), 201, "{kind} {}", answered.body);
        }
        let refused = create("third").await;
        assert_problem(&refused, 409, "limit-reached");
        assert!(
            refused.text("/fix").contains(&format!("limits.tenant_{}s", kind.replace('-', "_"))),
            "{}",
            refused.body
        );
        let headers = [("content-type", JSON), ("if-match", "*")];
        let one = format!("{place}/second");
        let replaced = service.admin(Method::PUT, &one, &headers, &made("second")).await;
        assert_eq!(replaced.status.as_u16(), 200, "a new version is not one more: {}", replaced.body);
        assert_eq!(service.admin(Method::DELETE, &one, &headers, "").await.status.as_u16(), 204);
        assert_eq!(create("third").await.status.as_u16(), 201, "{kind}: the deleted one's place is free");
    }
}

#[tokio::test]
async fn a_tenant_has_so_many_requests_at_once() {
    let limits =
        Limits { tenant_requests: 2, request_timeout: Duration::from_millis(1_500), ..Limits::default() };
    let service = service_with(limits).await;
    // The token's first use is recorded before the crowd comes.
    assert!(service.admin(Method::GET, "/api/v1/notify/rules", &[], "").await.status.is_success());
    service.set_fault(Some(Fault::Hang));
    let hang = async || send(&service, &publish(STRUCTURED, event(&json!(1)).to_string())).await;
    let third = async {
        // Both others hold their places until the time limit; this one is sent after them.
        tokio::task::yield_now().await;
        service.admin(Method::GET, "/api/v1/notify/rules", &[], "").await
    };
    let (first, second, third) = tokio::join!(hang(), hang(), third);
    assert_problem(&third, 429, "rate-limited");
    assert_eq!(third.header("retry-after"), "1");
    for answered in [first, second] {
        assert_problem(&answered, 503, "timeout");
    }
    service.set_fault(None);
    let after = service.admin(Method::GET, "/api/v1/notify/rules", &[], "").await;
    assert_eq!(after.status.as_u16(), 200, "the places are free again");
}

/// Tested in `connections.rs`, `apply.rs` and above, on a socket or with a service of their own.
const ELSEWHERE: [&str; 15] = [
    "limits.header_bytes",
    "limits.connections",
    "limits.request_timeout_seconds",
    "limits.header_timeout_seconds",
    "limits.tenant_requests",
    "limits.tenant_rules",
    "limits.tenant_channels",
    "limits.tenant_templates",
    "limits.tenant_bundles",
    "limits.tenant_event_types",
    "limits.tenant_noise_documents",
    "limits.apply_bytes",
    "limits.apply_rules",
    "headers",
    "idempotency_key_bytes",
];

/// The file of defaults names every limit, and every limit that it names is tested at the value it gives.
#[test]
fn the_defaults_name_every_limit() {
    let defaults = include_str!("../../../resources/notify.default.toml");
    let section = defaults.split("[limits]\n").nth(1).and_then(|rest| rest.split("\n[").next()).unwrap();
    let mut listed: BTreeMap<String, Option<usize>> = BTreeMap::new();
    for line in section.lines() {
        if let Some(rest) = line.strip_prefix("# fixed: ") {
            let (name, rest) = rest.split_once(" = ").unwrap();
            let value = rest.split_whitespace().next().unwrap().parse().unwrap();
            listed.insert(name.to_owned(), Some(value));
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            listed.insert(format!("limits.{name}"), None);
        }
    }
    let mut tested: BTreeMap<String, Option<usize>> = BTreeMap::new();
    for case in CASES {
        let fixed = (!case.name.starts_with("limits.")).then_some(case.limit);
        tested.insert(case.name.to_owned(), fixed);
    }
    for name in ELSEWHERE {
        let fixed = match name {
            "headers" => Some(100),
            "idempotency_key_bytes" => Some(255),
            _ => None,
        };
        tested.insert(name.to_owned(), fixed);
    }
    assert_eq!(listed, tested);
}
