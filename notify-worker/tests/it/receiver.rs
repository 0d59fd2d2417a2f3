//! A receiver on loopback that answers as it is told and remembers what it got, and a host that may send to it.

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePublicKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use notify_connector_host::outbound::EgressPolicy;
use notify_connector_host::secrets::SecretResolver;
use notify_connector_host::stage::stage_plugin;
use notify_connector_host::{ConnectorHost, HostConfig};
use notify_worker::{Worker, WorkerOptions};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

/// One request as it arrived.
#[derive(Debug, Clone)]
pub struct Got {
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    status: Arc<AtomicU16>,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    pub fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            url: format!("http://{}/hook", listener.local_addr().unwrap()),
            status: Arc::new(AtomicU16::new(status)),
            got: Arc::default(),
        };
        let serving = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serving.answer_one(stream);
            }
        });
        receiver
    }

    pub fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    pub fn got(&self) -> Vec<Got> {
        self.got.lock().unwrap().clone()
    }

    /// A connection that breaks off is the sender's business.
    fn answer_one(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        let mut headers = BTreeMap::new();
        for line in reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
            if let Some((name, value)) = line.split_once(": ") {
                headers.insert(name.to_ascii_lowercase(), value.to_owned());
            }
        }
        let Some(Ok(length)) = headers.get("content-length").map(|length| length.parse()) else { return };
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        self.got.lock().unwrap().push(Got { headers, body });
        let status = self.status.load(Ordering::SeqCst);
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let _ = reader.into_inner().write_all(answer.as_bytes());
    }
}

const MANIFEST: &[u8] = include_bytes!("../../../connectors/webhook/notify-plugin.json");

/// The webhook plug-in as cargo built it beside these tests, staged and trusted in `folder`.
pub fn sending_host(folder: &Path) -> Arc<ConnectorHost> {
    sending_host_with(folder, MANIFEST)
}

/// The same as a plug-in that says this of itself besides.
pub fn sending_host_that(folder: &Path, member: &str, says: serde_json::Value) -> Arc<ConnectorHost> {
    let mut manifest: serde_json::Value = serde_json::from_slice(MANIFEST).unwrap();
    manifest[member] = says;
    sending_host_with(folder, manifest.to_string().as_bytes())
}

fn sending_host_with(folder: &Path, manifest: &[u8]) -> Arc<ConnectorHost> {
    let key = SigningKey::from_bytes(&[7; 32]);
    let (plugins, trust) = (folder.join("plugins"), folder.join("trust"));
    std::fs::create_dir_all(&plugins).unwrap();
    std::fs::create_dir_all(&trust).unwrap();
    let pem = key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
    std::fs::write(trust.join("main.pem"), pem).unwrap();
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let library = deps.join("libnotify_connector_webhook.so");
    if !plugins.join("webhook").exists() {
        stage_plugin(&library, manifest, &key, &plugins).unwrap();
    }
    let mut egress = EgressPolicy { system_roots: false, ..EgressPolicy::default() };
    egress.guard.allow.push("127.0.0.0/8".parse().unwrap());
    egress.guard.require_https = false;
    let child = deps.parent().unwrap().join("examples/connector_child");
    assert!(child.exists(), "{} is built with the tests, as an example of this crate", child.display());
    Arc::new(ConnectorHost::open(HostConfig::new(plugins, trust, child, egress)).unwrap())
}

impl crate::studio::Studio {
    /// A worker that really sends: the webhook plug-in in its own process, loopback allowed. `secrets` are environment
    /// variables.
    pub async fn sending_worker(
        &self,
        secrets: &[(&str, &str)],
        adjust: impl FnOnce(&mut WorkerOptions),
    ) -> Worker {
        let known: Vec<(String, String)> =
            secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let resolver = SecretResolver::with_environment(None, "NOTIFY_SECRET_", move |asked| {
            known.iter().find(|(name, _)| name == asked).map(|(_, value)| value.clone())
        });
        self.worker_through(sending_host(self.folder()), Arc::new(resolver), adjust).await
    }
}
