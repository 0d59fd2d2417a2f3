//! One running service, a client that remembers every answer, and a receiver that echoes.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePublicKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use notify_connector_host::stage::stage_plugin;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// Ample for what takes milliseconds; a test that needs it all has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `look` finds something.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let started = notify_worker::clock::Stopwatch::start();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "never happened: {what}");
        notify_worker::clock::wait(Duration::from_millis(20)).await;
    }
}

/// The program that runs plug-ins: of the stage that `cargo xtask test` made, or of this build.
fn host_program() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        if let Some(stage) = std::env::var_os("NOTIFY_STAGE") {
            return PathBuf::from(stage).join("bin/notify-connector-host");
        }
        let here = Path::new(env!("CARGO_BIN_EXE_notify")).with_file_name("notify-connector-host");
        if !here.exists() {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let built = Command::new(cargo)
                .args(["build", "--quiet", "-p", "notify-connector-host", "--bin", "notify-connector-host"])
                .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
                .status();
            assert!(built.is_ok_and(|status| status.success()) && here.exists(), "{}", here.display());
        }
        here
    };
    PROGRAM.get_or_init(find).clone()
}

/// A home in a folder of its own, with the tenant `acme`.
pub struct Home {
    folder: tempfile::TempDir,
    /// Variables of every process of this home.
    environment: Vec<(String, String)>,
}

impl Home {
    /// `more` is put behind the configuration that tests need.
    pub fn new(more: &str, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (plugins, trust) = (folder.path().join("plugins"), folder.path().join("trust"));
        for path in [&plugins, &trust] {
            std::fs::create_dir(path).unwrap();
        }
        let key = SigningKey::from_bytes(&[7; 32]);
        let deps = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
        let library = deps.join("libnotify_connector_webhook.so");
        let manifest = include_bytes!("../../../connectors/webhook/notify-plugin.json");
        stage_plugin(&library, manifest, &key, &plugins).unwrap();
        let pem = key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
        std::fs::write(trust.join("main.pem"), pem).unwrap();
        let config = format!(
            "[egress]\nallow = [\"127.0.0.1/32\"]\nallow_http = true\n\n[connectors]\nplugin_dir = {plugins:?}\n\
             trust_dir = {trust:?}\nhost_program = {:?}\n\n{more}",
            host_program()
        );
        std::fs::create_dir(folder.path().join("home")).unwrap();
        std::fs::write(folder.path().join("home/notify.toml"), config).unwrap();
        let environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let home = Self { folder, environment };
        let made = home.notify(&["tenant", "create", "acme", "--name", "Acme"]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        home
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_notify"));
        command.env_clear().env("NOTIFY_HOME", self.path()).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end.
    pub fn notify(&self, arguments: &[&str]) -> Output {
        self.notify_with(arguments, &[])
    }

    /// The same with other variables.
    pub fn notify_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        self.command().args(arguments).envs(environment.iter().copied()).output().unwrap()
    }

    pub fn token(&self, scopes: &str) -> String {
        let made = self.notify(&["token", "issue", "--tenant", "acme", "--scope", scopes, "--ttl", "1h"]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    pub fn write_secret(&self, name: &str, value: &str) {
        let folder = self.path().join("secrets/acme");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(name);
        std::fs::write(&file, value).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Starts `notify serve` with these arguments and waits until it listens.
    pub async fn serve(&self, arguments: &[&str]) -> Studio {
        let log = self.folder.path().join(format!("log-{}", arguments.len()));
        let file = std::fs::File::create(&log).unwrap();
        let child = self
            .command()
            .arg("serve")
            .args(arguments)
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut studio = Studio { child: Some(child), address: ([127, 0, 0, 1], 0).into(), log };
        studio.address = eventually("the service listens", async || {
            if let Some(child) = studio.child.as_mut()
                && let Ok(Some(status)) = child.try_wait()
            {
                panic!("ended at once, {status}: {}", studio.log());
            }
            let text = studio.log();
            let line =
                text.lines().find(|line| line.contains("serving") || line.contains("health and metrics"))?;
            let at = line.find("127.0.0.1:")?;
            let address = line.get(at..)?;
            let end =
                address.find(|c: char| !c.is_ascii_digit() && !".:".contains(c)).unwrap_or(address.len());
            address.get(..end)?.parse().ok()
        })
        .await;
        studio
    }
}

/// A running service; killed when it is dropped.
pub struct Studio {
    child: Option<Child>,
    pub address: SocketAddr,
    log: PathBuf,
}

impl Drop for Studio {
    fn drop(&mut self) {
        if let Some(child) = self.child.as_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Studio {
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let id = self.child.as_ref().map(Child::id).and_then(|id| i32::try_from(id).ok());
        let pid = id.and_then(rustix::process::Pid::from_raw).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }

    /// Waits for the end.
    pub async fn ended(&mut self) -> ExitStatus {
        let status = eventually("the service ends", async || {
            self.child.as_mut().and_then(|child| child.try_wait().unwrap())
        })
        .await;
        self.child = None;
        status
    }
}

/// One answer.
pub struct Answered {
    pub status: u16,
    pub text: String,
}

impl Answered {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

/// Sends with a token and keeps every answer.
pub struct Client {
    http: reqwest::Client,
    token: String,
    /// What was asked and everything that came back: status, headers, body.
    pub heard: Mutex<Vec<(String, String)>>,
}

impl Client {
    pub fn new(token: String) -> Self {
        let http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().unwrap();
        Self { http, token, heard: Mutex::default() }
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    pub async fn send(&self, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answered {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method.clone(), url);
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            request = request.bearer_auth(&self.token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.body(body.to_owned()).send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), format!("{:?}", response.headers()));
        let text = String::from_utf8_lossy(&response.bytes().await.unwrap()).into_owned();
        let heard = (format!("{method} {url}"), format!("{status} {headers}\n{text}"));
        self.heard.lock().unwrap().push(heard);
        Answered { status, text }
    }

    pub async fn get(&self, url: &str) -> Answered {
        self.send("GET", url, &[], "").await
    }

    pub async fn post(&self, url: &str, body: &serde_json::Value) -> Answered {
        self.send("POST", url, &[("content-type", "application/json")], &body.to_string()).await
    }

    /// Publishes an event of this type.
    pub async fn publish(&self, studio: &Studio, id: &str, r#type: &str) -> Answered {
        let event = serde_json::json!({ "specversion": "1.0", "id": id, "source": "/tests", "type": r#type });
        let headers = [("content-type", "application/cloudevents+json")];
        self.send("POST", &studio.url("/api/v1/events"), &headers, &event.to_string()).await
    }

    /// A webhook channel and a rule that sends events of the type of the same name to it.
    pub async fn wire(&self, studio: &Studio, id: &str, channel: &serde_json::Value) {
        let mut document =
            serde_json::json!({ "schema": "notify-channel@1", "id": id, "name": id, "type": "webhook" });
        for (name, value) in channel.as_object().unwrap() {
            document[name] = value.clone();
        }
        let made = self.post(&studio.url("/api/v1/notify/channels"), &document).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let rule = serde_json::json!({
            "schema": "notify-rule@1", "id": id, "name": id, "match": { "type": [id] }, "storm": "off",
            // Every alert is to be sent, also the same one again.
            "actions": [{ "id": "only", "channel": id, "dedupe": "off", "throttle": "off" }],
        });
        let made = self.post(&studio.url("/api/v1/notify/rules"), &rule).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }

    /// Waits until the deliveries to this channel have been attempted, and gives the newest with its attempts.
    pub async fn attempted(&self, studio: &Studio, channel: &str) -> serde_json::Value {
        let list = studio.url(&format!("/api/v1/notify/deliveries?channel={channel}"));
        let id = eventually("an attempt is recorded", async || {
            let page = self.get(&list).await.json();
            let first = page.pointer("/items/0")?;
            first.get("lastResult")?;
            first.get("id")?.as_str().map(str::to_owned)
        })
        .await;
        self.get(&studio.url(&format!("/api/v1/notify/deliveries/{id}"))).await.json()
    }
}

/// A receiver that answers `/<status>` with that status, and with all that it was sent.
pub async fn receiver() -> SocketAddr {
    async fn echo(uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
        let code = uri.path().trim_start_matches('/').split('/').next().and_then(|text| text.parse().ok());
        let mut response = Response::builder()
            .status(code.and_then(|c| StatusCode::from_u16(c).ok()).unwrap_or(StatusCode::OK));
        let mut text = format!("{uri}\n");
        for (name, value) in &headers {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            text.push_str(&format!("{name}: {value}\n"));
            response = response.header(format!("x-echo-{name}"), value);
        }
        text.push_str(&String::from_utf8_lossy(&body));
        response.body(Body::from(text)).unwrap()
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(echo)).await });
    address
}

/// A running studio with a client that may do everything.
pub async fn running(more: &str) -> (Home, Studio, Arc<Client>) {
    let home = Home::new(more, &[]);
    let client = Client::new(home.token("notify.admin,notify.auditor,notify.publish"));
    let studio = home.serve(&["--listen", "127.0.0.1:0"]).await;
    (home, studio, Arc::new(client))
}
