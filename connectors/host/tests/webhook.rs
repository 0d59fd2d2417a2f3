//! The real webhook plug-in in its child process: prepared, sent to a loopback receiver, signed, interpreted.

mod common;

use common::{Home, at};
use notify_connector_host::request::{Auth, Outcome, Part};
use notify_connector_host::secrets::SecretResolver;
use notify_connector_host::{AttemptInput, AttemptResult, ConnectorHost, Phase};
use notify_core::document::channel::SecretRef;
use notify_core::ids::TenantId;
use notify_core::problem::Code;
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, mpsc};
use std::time::Duration;

const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

struct Got {
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// Answers each connection's one request with the next of these responses.
fn receiver(responses: Vec<&'static str>) -> (String, mpsc::Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, got) = mpsc::channel();
    std::thread::spawn(move || {
        for response in responses {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let mut headers = BTreeMap::new();
            for line in reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty()) {
                if let Some((name, value)) = line.split_once(": ") {
                    headers.insert(name.to_ascii_lowercase(), value.to_owned());
                }
            }
            let mut body = vec![0; headers["content-length"].parse().unwrap()];
            reader.read_exact(&mut body).unwrap();
            sender.send(Got { headers, body }).unwrap();
            let mut stream = reader.into_inner();
            let answer = format!("HTTP/1.1 {response}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, got)
}

fn resolver() -> SecretResolver {
    SecretResolver::with_environment(None, "NOTIFY_SECRET_", |name| {
        (name == "NOTIFY_SECRET_ACME_HOOK").then(|| SECRET.to_owned())
    })
}

async fn attempt(host: &ConnectorHost, url: &str, number: u32) -> AttemptResult {
    let config = json!({ "url": url, "headers": {
        "X-Team": "ops", "Authorization": ["Bearer ", { "secret": "header-token" }],
    } })
    .to_string();
    let tenant = TenantId::new("acme").unwrap();
    let reference = SecretRef::try_from("secret://env/NOTIFY_SECRET_ACME_HOOK".to_owned()).unwrap();
    host.attempt(AttemptInput {
        channel_type: "webhook",
        config_json: config.as_bytes(),
        tenant: &tenant,
        secrets: &[
            ("signing".to_owned(), vec![reference.clone()]),
            ("header-token".to_owned(), vec![reference]),
        ]
        .into(),
        resolver: &resolver(),
        message_json: br#"{"title":"Disk full","severity":"high"}"#,
        delivery_id: "dlv_0123456789abcdef0123456789abcdef",
        delivery_time: at(1_795_327_200_123),
        attempt: number,
        attempt_time: at(1_795_327_200_123 + i64::from(number) * 1000),
        deadline: Duration::from_secs(20),
        phase: Phase::None,
        provider_reference: None,
        provided: &[],
        check: false,
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_end_to_end() {
    let home = Home::new();
    home.stage_webhook();
    let host = home.open();
    let (url, got) = receiver(vec![
        "503 Busy\r\nretry-after: 7",
        "500 Oops",
        "301 Moved\r\nlocation: http://127.0.0.1:1/",
        "410 Gone",
        "204 No Content",
    ]);
    let expected = [
        (503, Outcome::Throttled { after_ms: Some(7000) }),
        (500, Outcome::Retry { after_ms: None }),
        (301, Outcome::Permanent),
        (410, Outcome::Gone),
        (204, Outcome::Delivered),
    ];
    let verifier = standardwebhooks::Webhook::new(SECRET).unwrap();
    let mut bodies = Vec::new();
    for (number, (status, outcome)) in (1..).zip(expected) {
        let result = attempt(&host, &url, number).await;
        assert_eq!((result.http_status, &result.verdict.outcome), (Some(status), &outcome), "{result:?}");
        let redacted = String::from_utf8(result.redacted_request.unwrap()).unwrap();
        assert!(redacted.contains("‹secret:signing›") && !redacted.contains("MDEy"), "{redacted}");
        assert!(String::from_utf8_lossy(&result.response.unwrap()).starts_with(&format!("HTTP {status}\n")));
        let got = got.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(got.headers["webhook-id"], "dlv_0123456789abcdef0123456789abcdef");
        assert_eq!(got.headers["x-team"], "ops");
        assert_eq!(got.headers["authorization"], format!("Bearer {SECRET}"));
        assert!(redacted.contains("authorization: Bearer ‹secret:header-token›"), "{redacted}");
        // The published library judges the signature; the time is that of the attempt, which lies in this test's future.
        let time: i64 = got.headers["webhook-timestamp"].parse().unwrap();
        assert_eq!(time, (1_795_327_200_123 + i64::from(number) * 1000) / 1000);
        let signature = verifier.sign(&got.headers["webhook-id"], time, &got.body).unwrap();
        assert_eq!(got.headers["webhook-signature"], signature);
        bodies.push(got.body);
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "every attempt carries the same bytes");
    let prepared = host.prepare("webhook", common::input(&json!({ "url": url }).to_string())).await.unwrap();
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../../resources/schemas/prepared-request.schema.json"))
            .unwrap();
    let mut prepared = serde_json::to_value(prepared).unwrap();
    jsonschema::validate(&schema, &prepared).unwrap();
    prepared["url"] = json!("not parts");
    assert!(jsonschema::validate(&schema, &prepared).is_err());
    let schema: serde_json::Value =
        serde_json::from_str(include_str!("../../../resources/schemas/webhook-payload.schema.json")).unwrap();
    let body: serde_json::Value = serde_json::from_slice(&bodies[0]).unwrap();
    jsonschema::validate(&schema, &body).unwrap();
    assert!(jsonschema::validate(&schema, &json!({ "type": "other" })).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_without_an_answer() {
    let home = Home::new();
    home.stage_webhook();
    let host = home.open();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = attempt(&host, &format!("http://{closed}/"), 1).await;
    assert_eq!((refused.verdict.outcome, refused.never_sent), (Outcome::Retry { after_ms: None }, true));
    assert!(refused.redacted_request.is_some() && refused.response.is_none());
    let forbidden = attempt(&host, "http://169.254.169.254/", 1).await;
    assert_eq!(forbidden.verdict.outcome, Outcome::BadConfig, "{}", forbidden.verdict.detail);
    let nonsense = attempt(&host, "gopher://x/", 1).await;
    assert_eq!(nonsense.verdict.outcome, Outcome::BadConfig, "declined by the codec");
    assert!(nonsense.verdict.detail.contains("/url") && nonsense.redacted_request.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_share_frames_and_get_their_own_answers() {
    let home = Home::new();
    home.stage_webhook();
    let host = Arc::new(home.open());
    let calls: Vec<_> = (0..5_000)
        .map(|number| {
            let host = Arc::clone(&host);
            tokio::spawn(async move {
                let config = format!(r#"{{"url":"https://example.test/{number}"}}"#);
                let names = if number % 2 == 0 { vec!["signing".to_owned()] } else { Vec::new() };
                let mut input = common::input(&config);
                input.secret_names = &names;
                let request = host.prepare("webhook", input).await.unwrap();
                assert_eq!(request.url, [Part::Text(format!("https://example.test/{number}"))]);
                assert_eq!(request.auth == Auth::None, number % 2 == 1);
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    let status = common::status(&host);
    assert_eq!((status.state, status.restarts, status.in_flight), ("running", 0, 0));
    assert_eq!((status.late, status.unknown, status.garbage, status.crashes), (0, 0, 0, 0));
    assert!(host.health("webhook").await.is_ok_and(|verdict| verdict.outcome == Outcome::Delivered));
}

#[tokio::test]
async fn the_child_is_alone_and_ends_with_us() {
    let home = Home::new();
    home.stage_webhook();
    let host = home.open();
    host.health("webhook").await.unwrap();
    let pid = common::status(&host).pid.unwrap();
    let proc = |what: &str| std::path::PathBuf::from(format!("/proc/{pid}/{what}"));
    assert_eq!(std::fs::read(proc("environ")).unwrap(), b"", "no environment");
    let mut open: Vec<String> = std::fs::read_dir(proc("fd"))
        .unwrap()
        .map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap().display().to_string())
        .map(|target| target.split([':', ' ']).next().unwrap().to_owned())
        .collect();
    open.sort();
    open.dedup();
    assert!(
        open.iter().all(|one| ["/dev/null", "/memfd", "pipe", "socket"].contains(&one.as_str())),
        "{open:?}"
    );
    let status = std::fs::read_to_string(proc("status")).unwrap();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = rss.split_whitespace().next().unwrap().parse().unwrap();
    assert!(kib <= 6 * 1024, "an idle child takes {kib} KiB, 6 MiB are allowed");
    host.shutdown(Duration::from_secs(5)).await;
    assert!(!proc("stat").exists(), "ended and reaped");
    assert_eq!(common::status(&host).state, "stopped");
    assert!(host.health("webhook").await.is_err(), "nothing is started after a shutdown");
}

#[test]
fn configs_are_checked_with_pointers() {
    let home = Home::new();
    home.stage_webhook();
    let host = home.open();
    let problems = |config: serde_json::Value| match host
        .validate_config("webhook", config.as_object().unwrap())
    {
        Ok(()) => Vec::new(),
        Err(problems) => problems.into_iter().map(|problem| (problem.path, problem.code)).collect::<Vec<_>>(),
    };
    let at = |path: &str, code: Code| vec![(path.to_owned(), code)];
    let url = "https://example.test/x?y=1";
    assert_eq!(problems(json!({ "url": url, "method": "PUT", "headers": { "X-A": "1" } })), []);
    assert_eq!(problems(json!({})), at("/url", Code::InvalidChannel));
    assert_eq!(problems(json!({ "url": 1 })), at("/url", Code::InvalidChannel));
    assert_eq!(problems(json!({ "url": "ftp://example.test" })), at("/url", Code::InvalidChannel));
    assert_eq!(problems(json!({ "url": "https://user:pw@example.test" })), at("/url", Code::InvalidChannel));
    assert_eq!(problems(json!({ "url": url, "method": "GET" })), at("/method", Code::InvalidChannel));
    assert_eq!(problems(json!({ "url": url, "uri/x": 1 })), at("/uri~1x", Code::UnknownField));
    assert_eq!(
        problems(json!({ "url": url, "headers": { "a": "x\ny" } })),
        at("/headers/a", Code::InvalidChannel)
    );
    for name in ["Authorization", "webhook-id", "HOST", "content-type", "a b"] {
        assert_eq!(problems(json!({ "url": url, "headers": { name: "x" } })).len(), 1, "{name}");
    }
    let token = json!({ "secret": "header-token" });
    for value in [token.clone(), json!(["Bearer ", token]), json!([token, "x"])] {
        assert_eq!(
            problems(json!({ "url": url, "headers": { "authorization": value, "X-Key": value } })),
            []
        );
    }
    for (name, value) in [
        ("Authorization", json!(["Bearer x"])),
        ("X-Key", json!({ "secret": "signing" })),
        ("X-Key", json!({ "secret": "header-token", "or": 1 })),
        ("X-Key", json!([])),
        ("X-Key", json!(7)),
        ("Accept-Encoding", json!("gzip")),
    ] {
        assert_eq!(problems(json!({ "url": url, "headers": { name: value } })).len(), 1, "{name}: {value}");
    }
    let unknown = host.validate_config("fax", &serde_json::Map::new()).unwrap_err();
    assert!(unknown[0].fix.contains("webhook") && unknown[0].code == Code::UnknownReference);
    // A value is never quoted: it may be a secret in the wrong place.
    let pasted =
        host.validate_config("webhook", json!({ "url": "whsec_abc" }).as_object().unwrap()).unwrap_err();
    assert!(!format!("{pasted:?}").contains("whsec_abc"), "{pasted:?}");
}

#[tokio::test]
async fn the_plugin_says_what_its_schema_cannot() {
    let home = Home::new();
    home.stage_webhook();
    let host = home.open();
    let asked = async |config: serde_json::Value| -> Vec<String> {
        let problems = host.ask_about_config("webhook", config.to_string().as_bytes()).await.unwrap();
        problems.iter().map(|problem| format!("{}: {}", problem.path, problem.reason)).collect()
    };
    assert!(asked(json!({"url": "https://x.test"})).await.is_empty());
    let found = asked(json!({"url": "https://x.test", "headers": {"Host": "y.test", "X": "ä"}})).await;
    assert_eq!(
        found,
        [
            "/headers/Host: the studio sets this header itself",
            "/headers/X: the value has characters that a header cannot carry",
        ]
    );
    assert_eq!(asked(json!([])).await.len(), 1);
}
