//! A home and the real program on it, with what a publisher does.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

pub struct Site {
    folder: tempfile::TempDir,
    url: String,
    port: u16,
    child: Option<Child>,
    client: reqwest::Client,
    token: String,
    /// Events that were answered 2xx.
    pub accepted: BTreeSet<u32>,
    next: u32,
}

/// Waits; the process under test gives no event to wait for.
pub async fn pause(milliseconds: u64) {
    tokio::time::interval_at(
        tokio::time::Instant::now() + Duration::from_millis(milliseconds),
        Duration::from_secs(1),
    )
    .tick()
    .await;
}

impl Site {
    /// A home with one tenant, its database where `store` says.
    pub async fn new(store: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let home = folder.path().join("home");
        fs::create_dir_all(home.join("trust/plugins")).unwrap();
        fs::write(home.join("notify.toml"), format!("[store]\nurl = {store:?}\n")).unwrap();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(40)).build().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let mut site = Self {
            folder,
            url,
            port,
            child: None,
            client,
            token: String::new(),
            accepted: BTreeSet::new(),
            next: 0,
        };
        site.notify(&["tenant", "create", "acme", "--name", "Acme"]);
        let trust = site.path("trust").to_string_lossy().into_owned();
        site.notify(&["ledger", "trust", "--tenant", "acme", "--out", &trust]);
        let scopes = ["--scope", "notify.admin", "--scope", "notify.publish", "--scope", "notify.auditor"];
        let arguments = [&["token", "issue", "--tenant", "acme", "--ttl", "1h"], &scopes[..]].concat();
        site.token = site.notify(&arguments).trim().to_owned();
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn notify(&self, arguments: &[&str]) -> String {
        let home = self.path("home");
        let mut command = Command::new(env!("CARGO_BIN_EXE_notify"));
        done(command.args(arguments).arg("--home").arg(home).stdin(Stdio::null()).output().unwrap())
    }

    /// Starts the service; true when it becomes ready, false when it ends or does not.
    pub async fn start(&mut self, environment: &[(&str, &Path)]) -> bool {
        let log = fs::File::options().create(true).append(true).open(self.path("serve.log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_notify"));
        command.args(["serve", "--listen", &format!("127.0.0.1:{}", self.port), "--home"]);
        command.arg(self.path("home")).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.envs(environment.iter().copied()).spawn().unwrap());
        for _ in 0..300 {
            if self.ready().await {
                return true;
            }
            if self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None))) {
                return false;
            }
            pause(50).await;
        }
        false
    }

    pub async fn ready(&self) -> bool {
        let answer = self.client.get(format!("{}/readyz", self.url)).send().await;
        answer.is_ok_and(|answer| answer.status() == 200)
    }

    /// Waits until it is as ready as this.
    pub async fn until_ready_is(&self, expected: bool) {
        for _ in 0..400 {
            if self.ready().await == expected {
                return;
            }
            pause(100).await;
        }
        panic!("/readyz never said {expected}; {}", self.log());
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.path("serve.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    async fn send(&self, number: u32) -> Option<(u16, Value)> {
        let note = "x".repeat(2_000);
        let event = serde_json::json!({
            "specversion": "1.0", "id": number.to_string(), "source": "/tests", "type": "t", "data": {"note": note},
        });
        let request = self.client.post(format!("{}/api/v1/events", self.url)).bearer_auth(&self.token);
        let request = request.header("content-type", "application/cloudevents+json").body(event.to_string());
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, serde_json::from_slice(&answer.bytes().await.ok()?).unwrap_or_default()))
    }

    /// Publishes the next event; what is not accepted must be refused in words. True when it was accepted.
    pub async fn publish(&mut self) -> bool {
        let number = self.next;
        self.next += 1;
        let Some((status, body)) = self.send(number).await else { panic!("no answer; {}", self.log()) };
        match status {
            200 | 202 => {
                self.accepted.insert(number);
                true
            }
            503 => {
                let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
                assert_eq!(text("code"), "unavailable", "{body}");
                assert!(!text("fix").is_empty() || body.to_string().contains("again"), "{body}");
                false
            }
            _ => panic!("{status} {body}; {}", self.log()),
        }
    }

    /// Publishes until the answer is this one.
    pub async fn publish_until(&mut self, accepted: bool) {
        for _ in 0..4_000 {
            if self.publish().await == accepted {
                return;
            }
            if accepted {
                pause(100).await;
            }
        }
        panic!("publishing never became {accepted}; {}", self.log());
    }

    /// Every accepted event is known (sending it again says so), and the ledger verifies.
    pub async fn check(&mut self) {
        assert!(!self.accepted.is_empty());
        for number in &self.accepted {
            let (status, body) = self.send(*number).await.unwrap();
            assert!((200..300).contains(&status), "event {number}: {status} {body}");
            assert_eq!(body["status"], "duplicate", "event {number} was accepted and is not known");
        }
        let export = self.path(&format!("export-{}.tar", self.next));
        let request = self.client.post(format!("{}/api/v1/notify/ledger:export", self.url));
        let request = request.bearer_auth(&self.token).header("content-type", "application/json").body("{}");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        fs::write(&export, answer.bytes().await.unwrap()).unwrap();
        let mut verify = Command::new(env!("CARGO_BIN_EXE_notify"));
        let words = done(
            verify
                .args(["ledger", "verify"])
                .arg(export)
                .arg("--trust")
                .arg(self.path("trust"))
                .output()
                .unwrap(),
        );
        assert!(words.contains("VERIFIED"), "{words}");
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.kill();
    }
}

fn done(output: Output) -> String {
    let Output { status, stdout, stderr } = output;
    assert!(status.success(), "{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}
