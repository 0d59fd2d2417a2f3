//! Staging plug-ins into temporary folders, and calling them.
#![allow(dead_code)] // each test binary uses its own part

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePublicKey as _;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use notify_connector_host::outbound::EgressPolicy;
use notify_connector_host::request::{HttpResponse, PreparedRequest, Verdict};
use notify_connector_host::stage::stage_plugin;
use notify_connector_host::{
    ConnectorHost, HostConfig, HostFault, InterpretInput, Phase, PluginStatus, PrepareInput,
};
use notify_core::time::Timestamp;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub const MANIFEST: &str = r#"{"name":"bad","version":"1.0.0","abi":{"major":1,"minor":0},"kind":"codec",
    "channelTypes":["bad"],"files":{},"configSchema":{}}"#;
pub const HOST_BINARY: &str = env!("CARGO_BIN_EXE_notify-connector-host");

/// A home with a plug-in folder and a trust store that trusts one key.
pub struct Home {
    pub dir: tempfile::TempDir,
    pub key: SigningKey,
}

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

impl Home {
    pub fn new() -> Self {
        let home = Self { dir: tempfile::tempdir().unwrap(), key: key(7) };
        std::fs::create_dir(home.plugins()).unwrap();
        std::fs::create_dir(home.trust()).unwrap();
        home.trust_key("main", &home.key);
        home
    }

    pub fn trust_key(&self, name: &str, key: &SigningKey) {
        let pem = key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
        std::fs::write(self.trust().join(format!("{name}.pem")), pem).unwrap();
    }

    pub fn plugins(&self) -> PathBuf {
        self.dir.path().join("plugins")
    }

    pub fn trust(&self) -> PathBuf {
        self.dir.path().join("trust")
    }

    /// Stages `bad.c`, compiled with these macros.
    pub fn stage_bad(&self, macros: &[&str]) -> PathBuf {
        let library = compile_bad(self.dir.path(), macros);
        stage_plugin(&library, MANIFEST.as_bytes(), &self.key, &self.plugins()).unwrap()
    }

    pub fn stage_webhook(&self) -> PathBuf {
        let template = include_bytes!("../../../webhook/notify-plugin.json");
        stage_plugin(&webhook_library(), template, &self.key, &self.plugins()).unwrap()
    }

    pub fn config(&self) -> HostConfig {
        HostConfig::new(self.plugins(), self.trust(), HOST_BINARY, egress())
    }

    pub fn open(&self) -> ConnectorHost {
        ConnectorHost::open(self.config()).unwrap()
    }

    /// For plug-ins that leave a file to prove that they ran.
    pub fn open_without_sandbox(&self) -> ConnectorHost {
        let sandbox = notify_connector_host::Sandbox::Off;
        ConnectorHost::open(HostConfig { sandbox, ..self.config() }).unwrap()
    }
}

/// Loopback is allowed, and no system certificates are read: tests stay on this machine.
pub fn egress() -> EgressPolicy {
    let mut policy = EgressPolicy { system_roots: false, ..EgressPolicy::default() };
    policy.guard.allow.push("127.0.0.0/8".parse().unwrap());
    policy.guard.require_https = false;
    policy
}

/// The plug-in as cargo built it beside this test.
pub fn webhook_library() -> PathBuf {
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_path_buf();
    let path = deps.join("libnotify_connector_webhook.so");
    assert!(path.exists(), "{} is built as this crate's dev-dependency", path.display());
    path
}

pub fn compile_bad(dir: &Path, macros: &[&str]) -> PathBuf {
    compile(dir, "bad.c", macros)
}

/// Compiles a C file of `tests/bad` to `lib<stem>.so` in `dir`.
pub fn compile(dir: &Path, source: &str, macros: &[&str]) -> PathBuf {
    let library = dir.join(format!("lib{}.so", source.trim_end_matches(".c")));
    let output = Command::new("cc")
        .args([
            "-std=gnu11",
            "-O0",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wno-infinite-recursion",
            "-Wno-array-bounds",
            "-Wno-unused",
            "-shared",
            "-fPIC",
        ])
        .args(macros.iter().map(|one| format!("-D{one}")))
        .args(["-I", concat!(env!("CARGO_MANIFEST_DIR"), "/../abi/include")])
        .arg(format!("{}/tests/bad/{source}", env!("CARGO_MANIFEST_DIR")))
        .args(["-pthread", "-o"])
        .arg(&library)
        .output()
        .expect("a C compiler is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

pub fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

pub fn input(config: &str) -> PrepareInput<'_> {
    PrepareInput {
        config_json: config.as_bytes(),
        message_json: br#"{"title":"Disk full","severity":"high"}"#,
        delivery_id: "dlv_0123456789abcdef0123456789abcdef",
        delivery_time: at(1_795_327_200_123),
        attempt: 1,
        attempt_time: at(1_795_327_201_000),
        deadline: at(1_795_327_216_000),
        phase: Phase::None,
        provider_reference: None,
        secret_names: &[],
        check: false,
    }
}

pub async fn prepare(host: &ConnectorHost, config: &str) -> Result<PreparedRequest, HostFault> {
    host.prepare("bad", input(config)).await
}

pub async fn interpret(host: &ConnectorHost, config: &str) -> Result<Verdict, HostFault> {
    let response = HttpResponse { status: 200, ..HttpResponse::default() };
    let input = InterpretInput {
        config_json: config.as_bytes(),
        attempt_time: at(0),
        response: &response,
        check: false,
    };
    host.interpret("bad", input).await
}

pub fn status(host: &ConnectorHost) -> PluginStatus {
    let mut all = host.plugins();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// Waits for something that other tasks bring about.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + Duration::from_secs(20);
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    while !holds() {
        assert!(tokio::time::Instant::now() < end, "{what}");
        tick.tick().await;
    }
}
