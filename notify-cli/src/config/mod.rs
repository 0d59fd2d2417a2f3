//! The operator's configuration: defaults, file, environment and flags in layers, each value with its origin.

mod layers;

pub use layers::{ConfigError, Explained, Origin};

use layers::Layers;
use notify_core::document::channel::SecretRef;
use notify_core::ids::{TenantId, is_slug};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// `resources/notify.default.toml`: documents and defines every key.
pub const DEFAULTS: &str = include_str!("../../../resources/notify.default.toml");

/// What the process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    All,
    Web,
    Worker,
}

/// All settings; each key is explained in `resources/notify.default.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub server: Server,
    pub store: StoreConfig,
    pub limits: LimitsConfig,
    pub intake: Intake,
    pub inbox: InboxConfig,
    pub links: LinksConfig,
    pub dispatch: Dispatch,
    pub channels: Channels,
    pub connectors: Connectors,
    pub egress: Egress,
    pub secrets: Secrets,
    pub ledger: Ledger,
    pub health: HealthConfig,
    pub log: Log,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    pub listen: std::net::SocketAddr,
    pub role: Role,
    /// Empty: none.
    pub operations_listen: String,
    pub stop_grace_seconds: u64,
    pub drain_seconds: u64,
    /// Empty: none.
    pub public_url: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InboxConfig {
    pub retain_days: u16,
    pub items: u64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinksConfig {
    pub ttl_days: u16,
    pub requests_per_minute: u32,
    pub trusted_proxies: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    pub url: String,
    pub read_connections: u32,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    pub event_bytes: usize,
    pub batch_bytes: usize,
    pub batch_events: usize,
    pub document_bytes: usize,
    pub header_bytes: usize,
    pub connections: usize,
    pub request_timeout_seconds: u64,
    pub header_timeout_seconds: u64,
    pub tenant_requests: usize,
    pub tenant_rules: u64,
    pub tenant_channels: u64,
    pub tenant_templates: u64,
    pub tenant_bundles: u64,
    pub tenant_event_types: u64,
    pub tenant_noise_documents: u64,
    pub apply_bytes: usize,
    pub apply_rules: usize,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intake {
    pub queue: usize,
    pub plan_late_ms: u64,
    pub publishers: Vec<PublisherConfig>,
    pub producer_keys_dir: PathBuf,
    pub quarantine_messages: u64,
}

/// A service that publishes with a signature in place of a token.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublisherConfig {
    pub name: String,
    pub tenants: Vec<TenantId>,
    pub secrets: Vec<SecretRef>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dispatch {
    pub concurrency: usize,
    pub per_channel: usize,
    pub timeout_seconds: u16,
    pub retry_schedule_seconds: Vec<u32>,
    pub response_bytes: usize,
    pub disable_after_hours: u32,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channels {
    pub health_every_seconds: u64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connectors {
    pub plugin_dir: PathBuf,
    pub trust_dir: PathBuf,
    pub host_program: PathBuf,
    pub hang_seconds: u64,
    /// Per plug-in, handed to it as it is.
    pub options: BTreeMap<String, Table>,
    pub sandbox: SandboxMode,
}

/// How much of the plug-ins' sandbox the kernel must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SandboxMode {
    Available,
    Required,
}

impl From<SandboxMode> for notify_connector_host::Sandbox {
    fn from(mode: SandboxMode) -> Self {
        match mode {
            SandboxMode::Available => Self::Available,
            SandboxMode::Required => Self::Required,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    pub allow: Vec<String>,
    pub allow_http: bool,
    pub ca: Vec<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    pub env_prefix: String,
    pub dir: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    pub site: String,
    pub anchor_path: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthConfig {
    pub backlog_age_seconds: u64,
    pub disk_free_mib: u64,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// Where settings come from besides the defaults.
#[derive(Debug)]
pub struct Sources<'a> {
    /// Folder that relative paths are below, and where `notify.toml` is looked for.
    pub home: &'a Path,
    /// Another file in place of `<home>/notify.toml`; this one must exist.
    pub file: Option<&'a Path>,
    /// Name and value of environment variables; those that do not begin with `NOTIFY__` are skipped.
    pub environment: Vec<(String, String)>,
    /// `section.key` and value, from flags.
    pub flags: Vec<(&'static str, String)>,
}

/// The settings and where each came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    pub explained: Vec<Explained>,
}

/// # Errors
/// [`ConfigError`], naming the key, where it stands, and what would do.
pub fn load(sources: &Sources<'_>) -> Result<Loaded, ConfigError> {
    let mut layers = Layers::new(DEFAULTS)?;
    let file = sources.file.map_or_else(|| sources.home.join("notify.toml"), Path::to_owned);
    match std::fs::read_to_string(&file) {
        Ok(text) => layers.file(&file, &text)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && sources.file.is_none() => {}
        Err(error) => return Err(ConfigError::File { file, reason: error.to_string() }),
    }
    layers.environment(&sources.environment)?;
    for (key, value) in &sources.flags {
        layers.set(key, value, Origin::Flag)?;
    }
    let explained = layers.explained();
    let table: Table = layers.into_table();
    let mut config: Config = Value::Table(table)
        .try_into()
        .map_err(|error: toml::de::Error| ConfigError::Value { reason: error.message().to_owned() })?;
    config.make_absolute(sources.home);
    config.check()?;
    Ok(Loaded { config, explained })
}

/// What the store's URL says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Config {
    fn make_absolute(&mut self, home: &Path) {
        let paths = [
            &mut self.connectors.plugin_dir,
            &mut self.connectors.trust_dir,
            &mut self.secrets.dir,
            &mut self.ledger.anchor_path,
            &mut self.intake.producer_keys_dir,
        ];
        for path in paths.into_iter().chain(&mut self.egress.ca) {
            *path = home.join(&*path);
        }
        if let Some(file) = self.store.url.strip_prefix("sqlite:") {
            self.store.url = format!("sqlite:{}", home.join(file).display());
        }
    }

    /// # Errors
    /// When the URL is of no store that we know.
    pub fn store_url(&self) -> Result<StoreUrl, ConfigError> {
        let url = &self.store.url;
        if let Some(file) = url.strip_prefix("sqlite:") {
            return Ok(StoreUrl::Sqlite(PathBuf::from(file)));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(StoreUrl::Postgres(url.clone()));
        }
        Err(ConfigError::Bounds { key: "store.url", must: "begin with `sqlite:` or `postgres://`" })
    }

    /// Where a process of the role `worker` answers; `None`: nowhere.
    ///
    /// # Errors
    /// When it is no address.
    pub fn operations_listen(&self) -> Result<Option<std::net::SocketAddr>, std::net::AddrParseError> {
        let text = self.server.operations_listen.trim();
        if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
    }

    /// Where people reach our pages, without a slash at its end; `None`: nobody has said.
    #[must_use]
    pub fn public_url(&self) -> Option<&str> {
        let url = self.server.public_url.trim().trim_end_matches('/');
        (!url.is_empty()).then_some(url)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let url = self.store_url()?;
        let limits = &self.limits;
        let bounds: &[(&'static str, bool, &'static str)] = &[
            ("limits.event_bytes", (1_024..=524_288).contains(&limits.event_bytes), "be 1024 to 524288"),
            (
                "limits.batch_bytes",
                limits.batch_bytes >= limits.event_bytes,
                "be at least limits.event_bytes",
            ),
            ("limits.batch_events", (1..=100_000).contains(&limits.batch_events), "be 1 to 100000"),
            ("limits.document_bytes", limits.document_bytes >= 1_024, "be at least 1024"),
            ("limits.header_bytes", limits.header_bytes >= 8_192, "be at least 8192"),
            ("limits.connections", limits.connections >= 1, "be at least 1"),
            ("limits.request_timeout_seconds", limits.request_timeout_seconds >= 1, "be at least 1"),
            ("limits.header_timeout_seconds", limits.header_timeout_seconds >= 1, "be at least 1"),
            ("limits.tenant_requests", limits.tenant_requests >= 1, "be at least 1"),
            ("limits.tenant_rules", limits.tenant_rules >= 1, "be at least 1"),
            ("limits.tenant_channels", limits.tenant_channels >= 1, "be at least 1"),
            ("limits.tenant_templates", limits.tenant_templates >= 1, "be at least 1"),
            ("limits.tenant_bundles", limits.tenant_bundles >= 1, "be at least 1"),
            ("limits.tenant_event_types", limits.tenant_event_types >= 1, "be at least 1"),
            ("limits.tenant_noise_documents", limits.tenant_noise_documents >= 1, "be at least 1"),
            (
                "limits.apply_bytes",
                (limits.document_bytes..=256 << 20).contains(&limits.apply_bytes),
                "be at least limits.document_bytes and at most 268435456",
            ),
            ("limits.apply_rules", (1..=1_000_000).contains(&limits.apply_rules), "be 1 to 1000000"),
            ("server.stop_grace_seconds", self.server.stop_grace_seconds <= 600, "be at most 600"),
            (
                "server.operations_listen",
                self.operations_listen().is_ok(),
                "be an address and port such as 127.0.0.1:8651, or empty",
            ),
            (
                "server.public_url",
                self.public_url().is_none_or(is_public_url),
                "be an address such as https://alerts.example.org, of at most 200 bytes, without query or fragment; https unless it is this machine; or empty",
            ),
            ("inbox.retain_days", (1..=3_650).contains(&self.inbox.retain_days), "be 1 to 3650"),
            ("inbox.items", (1..=10_000_000).contains(&self.inbox.items), "be 1 to 10000000"),
            ("links.ttl_days", (1..=3_650).contains(&self.links.ttl_days), "be 1 to 3650"),
            (
                "links.requests_per_minute",
                (1..=100_000).contains(&self.links.requests_per_minute),
                "be 1 to 100000",
            ),
            (
                "links.trusted_proxies",
                self.links
                    .trusted_proxies
                    .iter()
                    .all(|entry| entry.parse::<notify_netguard::Network>().is_ok()),
                "be CIDR blocks such as 10.1.0.0/16 or 192.0.2.7/32",
            ),
            ("store.read_connections", (1..=256).contains(&self.store.read_connections), "be 1 to 256"),
            ("intake.queue", self.intake.queue >= 1, "be at least 1"),
            ("intake.quarantine_messages", self.intake.quarantine_messages >= 1, "be at least 1"),
            (
                "intake.publishers",
                publishers_are_right(&self.intake.publishers),
                "be at most 32, each with a name of its own (a-z, 0-9, `-`), at least one tenant and 1 to 4 secrets",
            ),
            ("dispatch.concurrency", self.dispatch.concurrency >= 1, "be at least 1"),
            ("dispatch.concurrency", self.dispatch.concurrency <= 65_536, "be at most 65536"),
            ("intake.queue", self.intake.queue <= 1_000_000, "be at most 1000000"),
            ("connectors.hang_seconds", (1..=600).contains(&self.connectors.hang_seconds), "be 1 to 600"),
            ("dispatch.response_bytes", self.dispatch.response_bytes <= 16 << 20, "be at most 16777216"),
            (
                "dispatch.retry_schedule_seconds",
                self.dispatch.retry_schedule_seconds.len() <= 32,
                "have at most 32 waits",
            ),
            ("dispatch.per_channel", self.dispatch.per_channel >= 1, "be at least 1"),
            ("dispatch.timeout_seconds", (1..=120).contains(&self.dispatch.timeout_seconds), "be 1 to 120"),
            (
                "channels.health_every_seconds",
                matches!(self.channels.health_every_seconds, 0 | 30..=86_400),
                "be 30 to 86400, or 0 for never",
            ),
            ("ledger.site", is_host_name(&self.ledger.site), "be a lower-case host name"),
            (
                "server.role",
                self.server.role == Role::All || matches!(url, StoreUrl::Postgres(_)),
                "be `all` with SQLite: one process per home",
            ),
        ];
        for &(key, holds, must) in bounds {
            if !holds {
                return Err(ConfigError::Bounds { key, must });
            }
        }
        Ok(())
    }
}

/// It goes into messages as it is, so it has only characters that stand for themselves.
fn is_public_url(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._~:/[]-".contains(&b);
    let Ok(url) = url::Url::parse(text) else { return false };
    let here = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => return false,
    };
    text.len() <= notify_core::links::MOST_BASE_BYTES
        && text.bytes().all(plain)
        && (url.scheme() == "https" || (url.scheme() == "http" && here))
        && url.username().is_empty()
        && url.password().is_none()
}

/// Each costs a verification per request.
fn publishers_are_right(publishers: &[PublisherConfig]) -> bool {
    let mut names = BTreeSet::new();
    let right = |publisher: &PublisherConfig| {
        is_slug(&publisher.name)
            && names.insert(publisher.name.clone())
            && !publisher.tenants.is_empty()
            && (1..=4).contains(&publisher.secrets.len())
    };
    publishers.len() <= 32 && publishers.iter().all(right)
}

fn is_host_name(text: &str) -> bool {
    notify_core::ledger::keys::is_site(text)
}

#[cfg(test)]
mod tests;
