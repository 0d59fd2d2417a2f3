//! Secrets are planted wherever one can be, everything is made to fail with the log at its loudest, and nothing that
//! leaves the service holds one.

use crate::studio::{Client, Home, Studio, receiver};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

/// A text that stands nowhere by chance.
const PLANTED: &str = "PL4NTED";

struct Planted {
    signing: String,
    password: String,
    in_query: String,
    in_userinfo: String,
    wrong_token: String,
    /// A channel's address is configuration, shown to those who may read channels; but no log and no metric names it.
    in_target: String,
}

impl Planted {
    fn new() -> Self {
        let text = |what: &str| format!("{PLANTED}-{what}-7f3a91");
        Self {
            signing: format!("whsec_{}", STANDARD.encode(format!("{PLANTED}-signing-key-0123456"))),
            password: text("database"),
            in_query: text("query"),
            in_userinfo: text("userinfo"),
            wrong_token: text("bearer"),
            in_target: text("target"),
        }
    }

    /// What no output may hold.
    fn everywhere(&self, token: &str) -> Vec<(&'static str, String)> {
        let bare = self.signing.trim_start_matches("whsec_").to_owned();
        let signature = token.rsplit('.').next().unwrap_or_default().to_owned();
        vec![
            ("the signing secret", bare),
            ("the signing key", format!("{PLANTED}-signing-key")),
            ("the database password", self.password.clone()),
            ("the text in a query", self.in_query.clone()),
            ("the password in a URL", self.in_userinfo.clone()),
            ("the wrong token", self.wrong_token.clone()),
            ("the token", token.to_owned()),
            ("the token's signature", signature),
        ]
    }
}

#[track_caller]
fn scan(what: &str, text: &str, planted: &[(&'static str, String)]) {
    for (name, secret) in planted {
        if let Some(at) = text.find(secret.as_str()) {
            let start = text.get(..at).map_or(0, |before| before.len().saturating_sub(300));
            let around: String =
                text.chars().skip(text.get(..start).map_or(0, |t| t.chars().count())).take(700).collect();
            panic!("{what} holds {name}:\n…{around}…");
        }
    }
}

/// Everything that a tenant, an attacker or a bad receiver can make go wrong.
async fn provoke(studio: &Studio, client: &Client, planted: &Planted) {
    let receiver = receiver().await;
    let signing = json!({ "signing": ["secret://file/signing"] });
    for (id, path) in
        [("echo", "200"), ("broken", "500"), ("refusing", "400"), ("gone", "410"), ("moved", "302")]
    {
        let url = format!("http://{receiver}/{path}?token={}", planted.in_target);
        client.wire(studio, id, &json!({ "config": { "url": url }, "secrets": signing })).await;
    }
    // TLS to a server that speaks none, a port on which nobody listens, and a secret that is not there.
    let tls = json!({ "config": { "url": format!("https://{receiver}/?token={}", planted.in_target) }, "secrets": signing });
    client.wire(studio, "tls", &tls).await;
    let nobody = json!({ "config": { "url": format!("http://127.0.0.1:9/?token={}", planted.in_target) }, "secrets": signing });
    client.wire(studio, "nobody", &nobody).await;
    let absent = json!({ "config": { "url": format!("http://{receiver}/200") }, "secrets": { "signing": ["secret://file/absent"] } });
    client.wire(studio, "absent", &absent).await;
    let no_key = json!({ "config": { "url": format!("http://{receiver}/200") }, "secrets": { "signing": ["secret://file/no-key"] } });
    client.wire(studio, "no-key", &no_key).await;
    for id in ["echo", "broken", "refusing", "gone", "moved", "tls", "nobody", "absent", "no-key"] {
        assert_eq!(client.publish(studio, id, id).await.status, 202);
    }
    for id in ["echo", "broken", "refusing", "gone", "moved", "tls", "nobody", "absent", "no-key"] {
        let delivery = client.attempted(studio, id).await;
        let id = delivery["id"].as_str().unwrap();
        client.post(&studio.url(&format!("/api/v1/notify/deliveries/{id}:replay")), &json!({})).await;
    }
    let userinfo = format!("https://user:{}@hooks.example.com/", planted.in_userinfo);
    let refused = json!({
        "schema": "notify-channel@1", "id": "u", "name": "u", "type": "webhook", "config": { "url": userinfo },
    });
    assert_eq!(client.post(&studio.url("/api/v1/notify/channels"), &refused).await.status, 422);
    // A secret pasted in place of a reference, and one in a place of its own.
    let pasted = json!({
        "schema": "notify-channel@1", "id": "p", "name": "p", "type": "webhook",
        "config": { "url": "https://hooks.example.com/" }, "secrets": { "signing": [planted.signing] },
    });
    assert_eq!(client.post(&studio.url("/api/v1/notify/channels"), &pasted).await.status, 422);
    let url = studio.url(&format!("/api/v1/notify/rules?token={}", planted.in_query));
    assert_eq!(client.get(&url).await.status, 400);
    let url = studio.url(&format!("/api/v1/notify/rules?limit={}", "x"));
    assert_eq!(client.get(&url).await.status, 400);
    for scheme in ["Bearer", "Basic", "Digest"] {
        let header = format!("{scheme} {}", planted.wrong_token);
        let answered =
            client.send("GET", &studio.url("/api/v1/notify/rules"), &[("authorization", &header)], "").await;
        assert_eq!(answered.status, 401);
    }
    let forged = format!("Bearer {}.{}", client.token(), planted.wrong_token);
    client.send("GET", &studio.url("/api/v1/notify/rules"), &[("authorization", &forged)], "").await;
    for (media, body) in [("application/json", "{"), ("application/yaml", "a: [b"), ("text/plain", "x")] {
        client.send("POST", &studio.url("/api/v1/notify/rules"), &[("content-type", media)], body).await;
        client.send("POST", &studio.url("/api/v1/events"), &[("content-type", media)], body).await;
    }
    for path in [
        "/readyz",
        "/healthz",
        "/openapi.json",
        "/nowhere",
        "/api/v1/notify/plugins",
        "/api/v1/notify/deliveries",
    ] {
        client.get(&studio.url(path)).await;
    }
    client.get(&studio.url("/api/v1/notify/ledger/entries?limit=500")).await;
    let export = client.post(&studio.url("/api/v1/notify/ledger:export"), &json!({ "openings": true })).await;
    assert_eq!(export.status, 200);
    assert!(export.text.contains("entries.jsonl"), "an export with its entries");
}

async fn nothing_leaks(home: &Home, format: &str, planted: &Planted) {
    home.write_secret("signing", &planted.signing);
    // Not a key of Standard Webhooks: what says so must not repeat it.
    home.write_secret("no-key", &planted.in_query);
    let client = Client::new(home.token("notify.admin,notify.auditor,notify.publish"));
    let arguments = ["--listen", "127.0.0.1:0", "--log-level", "trace", "--log-format", format];
    let mut studio = home.serve(&arguments).await;
    provoke(&studio, &client, planted).await;
    let metrics = client.get(&studio.url("/metrics")).await.text;
    studio.terminate();
    assert!(studio.ended().await.success(), "{}", studio.log());
    let everywhere = planted.everywhere(client.token());
    let log = studio.log();
    // Nothing that we use writes at TRACE.
    for word in ["DEBUG", "INFO"] {
        assert!(log.contains(word), "the log is not at its loudest: no {word}");
    }
    assert!(log.contains("answered") && log.contains("request"), "requests are named");
    scan("the log", &log, &everywhere);
    let target = [("the token in a channel's address", planted.in_target.clone())];
    scan("the log", &log, &target);
    scan("/metrics", &metrics, &target);
    let heard = client.heard.lock().unwrap();
    assert!(heard.len() > 50, "{}", heard.len());
    for (asked, answer) in heard.iter() {
        scan(asked, answer, &everywhere);
    }
    let echoed = heard.iter().filter(|(_, answer)| answer.contains("‹signature›")).count();
    assert!(echoed > 0, "the receiver did echo, and its echo was cleaned");
    if format == "json" {
        for line in log.lines().filter(|line| !line.is_empty()) {
            let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
            assert!(parsed.is_ok(), "{line}");
        }
    }
}

#[tokio::test]
async fn no_secret_leaves_on_sqlite() {
    let planted = Planted::new();
    nothing_leaks(&Home::new("", &[]), "json", &planted).await;
}

#[tokio::test]
async fn no_secret_leaves_on_postgres() {
    let planted = Planted::new();
    let url = notify_testkit::postgres::shared().url_for(&format!("secrets_{}", std::process::id()));
    let with_password = |url: &str| url.replacen("@", &format!(":{}@", planted.password), 1);
    let home = Home::new("", &[("NOTIFY__STORE__URL", &with_password(&url))]);
    nothing_leaks(&home, "text", &planted).await;
    // Nobody listens on port 9, and another database does not exist.
    let nowhere = [
        format!("postgres://notify:{}@127.0.0.1:9/x", planted.password),
        with_password(&format!("{url}_absent")),
        format!("mysql://notify:{}@127.0.0.1/x", planted.password),
        format!("postgres://notify:{}@[broken/x", planted.password),
    ];
    let words = |url: &str, arguments: &[&str]| {
        let output = home.notify_with(arguments, &[("NOTIFY__STORE__URL", url)]);
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    };
    let password = [("the database password", planted.password.clone())];
    // At once: a service gives a database that does not answer some time.
    std::thread::scope(|scope| {
        for url in &nowhere {
            scope.spawn(|| {
                let (started, said) =
                    words(url, &["serve", "--listen", "127.0.0.1:0", "--log-level", "trace"]);
                assert!(!started && !said.is_empty(), "{said}");
                scan("the words at the end", &said, &password);
                let (_, shown) = words(url, &["config", "explain"]);
                scan("`notify config explain`", &shown, &password);
            });
        }
    });
}
