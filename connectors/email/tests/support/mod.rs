//! A mail server in Python, and sends to it.
#![allow(dead_code)] // each test binary uses its own part

pub mod raw;

use base64::Engine as _;
use notify_connector_email::config::Options;
use notify_connector_email::deliver::{Job, Post};
use notify_connector_sdk::{Phase, Send, Verdict};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub const DELIVERY: &str = "dlv_0123456789abcdef0123456789abcdef";

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The interpreter with the test packages.
pub fn python() -> PathBuf {
    let named = std::env::var_os("NOTIFY_TOOLS_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| root().join("target/tools/bin/python"));
    assert!(
        python.exists(),
        "aiosmtpd and dkimpy are on PyPI; `cargo xtask test` installs them, or name it in NOTIFY_TOOLS_PYTHON"
    );
    python
}

pub fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(name)
}

/// Runs a Python program on this input; its output.
pub fn run_python(name: &str, arguments: &[&str], input: &[u8]) -> String {
    let mut child = Command::new(python())
        .arg(script(name))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{name}: {text}");
    text
}

/// One authority and one certificate for `localhost` and 127.0.0.1.
pub struct Tls {
    pub ca: String,
    pub dir: tempfile::TempDir,
}

impl Tls {
    pub fn new() -> Self {
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let ca = parameters.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(parameters, ca_key);
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cert.pem"), certificate.pem()).unwrap();
        std::fs::write(dir.path().join("key.pem"), key.serialize_pem()).unwrap();
        Self { ca: ca.pem(), dir }
    }

    pub fn cert(&self) -> String {
        self.dir.path().join("cert.pem").display().to_string()
    }

    pub fn key(&self) -> String {
        self.dir.path().join("key.pem").display().to_string()
    }
}

/// A running server. Ends with its standard input.
pub struct Server {
    child: Child,
    pub port: u16,
    dir: tempfile::TempDir,
}

/// What it took.
pub struct Taken {
    pub to: String,
    pub data: Vec<u8>,
    pub json: Value,
}

impl Server {
    pub fn start(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("taken.jsonl");
        std::fs::write(&out, "").unwrap();
        let mut child = Command::new(python())
            .arg(script("smtp_server.py"))
            .arg(&out)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap_or_else(|_| panic!("the server says {line:?}"));
        Self { child, port, dir }
    }

    pub fn taken(&self) -> Vec<Taken> {
        let text = std::fs::read_to_string(self.dir.path().join("taken.jsonl")).unwrap();
        text.lines()
            .map(|line| {
                let json: Value = serde_json::from_str(line).unwrap();
                let data = base64::engine::general_purpose::STANDARD.decode(json["data"].as_str().unwrap());
                Taken { to: json["to"][0].as_str().unwrap().to_owned(), data: data.unwrap(), json }
            })
            .collect()
    }

    pub fn recipients(&self) -> Vec<String> {
        self.taken().into_iter().map(|one| one.to.split('@').next().unwrap().to_owned()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Loopback is allowed, no system certificates.
pub fn options(ca: Option<&str>) -> Options {
    let studio = json!({"egress": {"allow": ["127.0.0.0/8"], "systemRoots": false, "ca": ca}});
    let options = json!({"connectSeconds": 5, "studio": studio});
    Options::read(options.to_string().as_bytes()).unwrap()
}

/// One send and its circumstances.
#[derive(Clone)]
pub struct Mail {
    pub config: Value,
    pub message: Value,
    pub secrets: Value,
    pub reference: Option<String>,
    pub phase: Phase,
    pub check: bool,
    pub delivery: String,
}

impl Mail {
    pub fn to(port: u16, tls: &str, recipients: &[&str]) -> Self {
        let to: Vec<String> = recipients
            .iter()
            .map(|one| if one.contains('@') { (*one).to_owned() } else { format!("{one}@rcpt.test") })
            .collect();
        Self {
            config: json!({"to": to, "from": "Notify <alerts@studio.test>",
                "server": {"host": "127.0.0.1", "port": port, "tls": tls}}),
            message: json!({"title": "Disk full", "severity": "high", "body": "It is **full**."}),
            secrets: json!({}),
            reference: None,
            phase: Phase::None,
            check: false,
            delivery: DELIVERY.to_owned(),
        }
    }

    pub fn with<T>(&self, read: impl FnOnce(&Send<'_>) -> T) -> T {
        let (config, message, secrets) =
            (self.config.to_string(), self.message.to_string(), self.secrets.to_string());
        read(&Send {
            token: 1,
            attempt: 1,
            delivery_unix_ms: 1_795_327_200_123,
            attempt_unix_ms: 1_795_327_201_000,
            deadline_unix_ms: u64::MAX,
            phase: self.phase,
            check: self.check,
            channel_type: "email",
            delivery_id: &self.delivery,
            provider_reference: self.reference.as_deref(),
            config_json: config.as_bytes(),
            message_json: message.as_bytes(),
            secret_names_json: b"[]",
            secrets_json: secrets.as_bytes(),
        })
    }

    pub fn job(&self, options: &Options) -> Result<Job, Verdict> {
        self.with(|send| Job::read(send, options)).map_err(Verdict::from)
    }

    pub async fn send(&self, post: &Post, options: &Options) -> Verdict {
        match self.job(options) {
            Ok(job) => job.run(post).await,
            Err(verdict) => verdict,
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let job = self.job(&Options::default()).unwrap_or_else(|verdict| panic!("{verdict:?}"));
        job.bytes(&notify_connector_email::dkim::Signers::default(), 0).unwrap()
    }
}

pub fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}
