//! All installed plug-ins, and the calls that the studio makes of them.

use crate::child::sandbox::Sandbox;
use crate::config_schema::{plugin_problems, schema_of, schema_problem, unknown_type};
use crate::connection::Counters;
use crate::frame::{ResponseFields, SendFields, ToChild, fault};
use crate::load::{self, LoadFault, Verified};
use crate::manifest::Kind;
use crate::outbound::{EgressPolicy, InvalidEgress, Outbound};
use crate::pending::{Answer, Awaits};
use crate::refused_secrets::RefusedSecrets;
use crate::request::{HttpResponse, Outcome, PreparedRequest, Verdict};
use crate::secrets::ResolvedSecrets;
use crate::status::PluginStatus;
use crate::supervisor::{HostFault, RestartPolicy, Settings, Supervisor};
use crate::trust::{TrustFault, TrustStore};
use notify_connector_abi as abi;
use notify_core::problem::Problem;
use notify_core::time::Timestamp;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where things are and how patient the host is.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// One folder per plug-in. A missing folder means that there are none.
    pub plugins_dir: PathBuf,
    /// Public keys (`trust.rs`).
    pub trust_dir: PathBuf,
    /// The `notify-connector-host` program.
    pub host_binary: PathBuf,
    /// Longest wait for one codec call, from the moment it is made. A codec that misses it is killed.
    pub codec_patience: Duration,
    pub start_patience: Duration,
    /// The processor's time that a codec has for one batch, should nobody be left to lose patience; 0: no limit.
    pub codec_cpu_seconds: u32,
    pub sandbox: Sandbox,
    pub restart: RestartPolicy,
    /// What codecs' requests may reach, and how.
    pub egress: EgressPolicy,
    /// Operator's settings per plug-in name, handed to `create`. Transports also get `studio`, see
    /// [`EgressPolicy::for_transports`].
    pub options: BTreeMap<String, Map<String, Value>>,
}

impl HostConfig {
    #[must_use]
    pub fn new(
        plugins_dir: impl Into<PathBuf>,
        trust_dir: impl Into<PathBuf>,
        host_binary: impl Into<PathBuf>,
        egress: EgressPolicy,
    ) -> Self {
        Self {
            plugins_dir: plugins_dir.into(),
            trust_dir: trust_dir.into(),
            host_binary: host_binary.into(),
            codec_patience: Duration::from_secs(5),
            start_patience: Duration::from_secs(10),
            codec_cpu_seconds: 30,
            sandbox: Sandbox::Available,
            restart: RestartPolicy::default(),
            egress,
            options: BTreeMap::new(),
        }
    }
}

/// Why the host cannot start at all. One bad plug-in is not such a reason: it is listed as refused.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    #[error(transparent)]
    Trust(#[from] TrustFault),
    #[error(transparent)]
    Egress(#[from] InvalidEgress),
    #[error("the plug-in folder cannot be read: {0}")]
    Plugins(std::io::Error),
}

/// What the message means for its incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    #[default]
    None,
    Open,
    Update,
    Resolve,
}

impl Phase {
    const fn abi(self) -> u32 {
        match self {
            Self::None => abi::PHASE_NONE,
            Self::Open => abi::PHASE_OPEN,
            Self::Update => abi::PHASE_UPDATE,
            Self::Resolve => abi::PHASE_RESOLVE,
        }
    }
}

/// One message for one channel.
#[derive(Debug, Clone, Copy)]
pub struct PrepareInput<'a> {
    /// The channel's `config`, as JSON.
    pub config_json: &'a [u8],
    /// The stored message bytes.
    pub message_json: &'a [u8],
    pub delivery_id: &'a str,
    /// When the delivery was decided: the same on every attempt.
    pub delivery_time: Timestamp,
    /// 1 for the first.
    pub attempt: u32,
    pub attempt_time: Timestamp,
    /// When the host gives up on the attempt.
    pub deadline: Timestamp,
    pub phase: Phase,
    /// What the last verdict of this incident on this channel said.
    pub provider_reference: Option<&'a str>,
    /// Names of the secrets that the channel has; never their values.
    pub secret_names: &'a [String],
    /// Only a check: nothing is to be sent (`NC_SEND_CHECK`).
    pub check: bool,
}

/// One HTTP answer to be judged.
#[derive(Debug, Clone, Copy)]
pub struct InterpretInput<'a> {
    pub config_json: &'a [u8],
    pub attempt_time: Timestamp,
    pub response: &'a HttpResponse,
    /// It answers a check.
    pub check: bool,
}

struct Installed {
    supervisor: Arc<Supervisor>,
    schema: arc_swap::ArcSwap<jsonschema::Validator>,
    refused_secrets: arc_swap::ArcSwap<RefusedSecrets>,
}

/// The installed connectors.
pub struct ConnectorHost {
    config: HostConfig,
    plugins: BTreeMap<String, Installed>,
    refused: BTreeMap<String, String>,
    outbound: Outbound,
    by_channel_type: HashMap<String, String>,
}

fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.as_millisecond()).unwrap_or(0)
}

impl ConnectorHost {
    /// Reads the trust store and verifies every plug-in. Starts none.
    ///
    /// # Errors
    /// [`OpenFault`]: without a trust store nothing can be told apart.
    pub fn open(config: HostConfig) -> Result<Self, OpenFault> {
        let trust = TrustStore::read(&config.trust_dir)?;
        let mut host = Self {
            plugins: BTreeMap::new(),
            refused: BTreeMap::new(),
            outbound: Outbound::new(config.egress.clone())?,
            by_channel_type: HashMap::new(),
            config,
        };
        let mut folders = Vec::new();
        match std::fs::read_dir(&host.config.plugins_dir) {
            Ok(entries) => {
                for entry in entries {
                    folders.push(entry.map_err(OpenFault::Plugins)?.path());
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(OpenFault::Plugins(error)),
        }
        // In order of names, so that a clash of channel types is always decided the same way.
        folders.sort();
        for folder in folders {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            if let Err(reason) = host.install(&name, &folder, &trust) {
                tracing::error!(plugin = name, reason, "connector refused");
                host.refused.insert(name, reason);
            }
        }
        Ok(host)
    }

    fn install(&mut self, name: &str, folder: &std::path::Path, trust: &TrustStore) -> Result<(), String> {
        let verified = load::verify(folder, trust).map_err(|fault: LoadFault| fault.to_string())?;
        let schema = schema_of(&verified.manifest)?;
        let refused = RefusedSecrets::of(&verified.manifest.secrets)?;
        for channel_type in &verified.manifest.channel_types {
            if let Some(other) = self.by_channel_type.get(channel_type) {
                return Err(format!(
                    "channel type `{channel_type}` belongs to the connector `{other}` already"
                ));
            }
        }
        for channel_type in &verified.manifest.channel_types {
            self.by_channel_type.insert(channel_type.clone(), name.to_owned());
        }
        let installed = Installed {
            supervisor: self.supervise(name, verified),
            schema: arc_swap::ArcSwap::from_pointee(schema),
            refused_secrets: arc_swap::ArcSwap::from_pointee(refused),
        };
        self.plugins.insert(name.to_owned(), installed);
        Ok(())
    }

    fn supervise(&self, name: &str, verified: Verified) -> Arc<Supervisor> {
        let mut options = self.config.options.get(name).cloned();
        if verified.manifest.kind == Kind::Transport {
            options.get_or_insert_default().insert("studio".to_owned(), self.config.egress.for_transports());
        }
        let options_json = options.and_then(|options| serde_json::to_vec(&options).ok()).unwrap_or_default();
        let settings = Settings {
            host_binary: self.config.host_binary.clone(),
            restart: self.config.restart,
            start_patience: self.config.start_patience,
            options_json,
            codec_cpu_seconds: self.config.codec_cpu_seconds,
            sandbox: self.config.sandbox,
        };
        Supervisor::new(verified, settings)
    }

    fn installed(&self, channel_type: &str) -> Result<&Installed, HostFault> {
        let name = self.by_channel_type.get(channel_type);
        name.and_then(|name| self.plugins.get(name))
            .ok_or_else(|| HostFault::UnknownChannelType(channel_type.to_owned()))
    }

    pub(crate) const fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    /// The manifest of the connector that serves a channel type.
    #[must_use]
    pub fn manifest(&self, channel_type: &str) -> Option<Arc<Verified>> {
        Some(self.installed(channel_type).ok()?.supervisor.plugin.load_full())
    }

    /// Why the connector's manifest refuses one of these secrets.
    #[must_use]
    pub fn refused_secret(&self, channel_type: &str, secrets: &ResolvedSecrets) -> Option<String> {
        self.installed(channel_type).ok()?.refused_secrets.load().reason(secrets)
    }

    /// Every plug-in that was found, refused ones too, in order of names.
    #[must_use]
    pub fn plugins(&self) -> Vec<PluginStatus> {
        let mut all: Vec<PluginStatus> =
            self.plugins.iter().map(|(name, one)| PluginStatus::of(name, &one.supervisor)).collect();
        all.extend(self.refused.iter().map(|(name, reason)| PluginStatus::refused(name, reason)));
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Checks a channel's `config` against the connector's schema. Paths are relative to the config.
    ///
    /// # Errors
    /// One problem per fault, at most 20.
    pub fn validate_config(
        &self,
        channel_type: &str,
        config: &Map<String, Value>,
    ) -> Result<(), Vec<Problem>> {
        let Ok(installed) = self.installed(channel_type) else {
            let known: Vec<&str> = self.by_channel_type.keys().map(String::as_str).collect();
            return Err(vec![unknown_type(channel_type, known)]);
        };
        let value = Value::Object(config.clone());
        let schema = installed.schema.load();
        let problems: Vec<Problem> =
            schema.iter_errors(&value).take(20).map(|error| schema_problem(&error)).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// The HTTP request for a message.
    ///
    /// # Errors
    /// [`HostFault`]; [`HostFault::Declined`] when the connector says that there is none.
    pub async fn prepare(
        &self,
        channel_type: &str,
        input: PrepareInput<'_>,
    ) -> Result<PreparedRequest, HostFault> {
        let supervisor = &self.installed(channel_type)?.supervisor;
        let plugin = self.check_kind(supervisor, Kind::Codec)?;
        check_sizes(
            &plugin,
            &[
                ("config", input.config_json.len(), abi::limits::CONFIG),
                ("message", input.message_json.len(), abi::limits::MESSAGE),
            ],
        )?;
        let names = names_json(input.secret_names);
        let frame = ToChild::Prepare(send_fields(channel_type, &input, &names, b""));
        let answer = supervisor.call(&frame, Awaits::Prepared, self.config.codec_patience).await?;
        let Answer::Prepared { code, request_json, detail } = answer else {
            return Err(garbage(supervisor, &plugin, "another kind of answer"));
        };
        match code {
            abi::OK => serde_json::from_slice(&request_json).map_err(|error| {
                garbage(supervisor, &plugin, &format!("its request cannot be read: {error}"))
            }),
            abi::RETRY | abi::PERMANENT | abi::BAD_CONFIG => {
                let outcome = match code {
                    abi::PERMANENT => Outcome::Permanent,
                    abi::BAD_CONFIG => Outcome::BadConfig,
                    _ => Outcome::Retry { after_ms: None },
                };
                Err(HostFault::Declined(Verdict { outcome, detail, provider_reference: None }))
            }
            other => Err(garbage(supervisor, &plugin, fault_text(other))),
        }
    }

    /// What an HTTP answer means.
    ///
    /// # Errors
    /// [`HostFault`].
    pub async fn interpret(
        &self,
        channel_type: &str,
        input: InterpretInput<'_>,
    ) -> Result<Verdict, HostFault> {
        let supervisor = &self.installed(channel_type)?.supervisor;
        let plugin = self.check_kind(supervisor, Kind::Codec)?;
        let headers = serde_json::to_vec(&input.response.headers).unwrap_or_default();
        let frame = ToChild::Interpret(ResponseFields {
            status: input.response.status,
            flags: response_flags(&input),
            attempt_unix_ms: millis(input.attempt_time),
            channel_type: channel_type.as_bytes(),
            config_json: input.config_json,
            headers_json: &headers,
            body: &input.response.body,
        });
        let answer = supervisor.call(&frame, Awaits::Outcome, self.config.codec_patience).await?;
        verdict(supervisor, &plugin, answer)
    }

    /// What the plug-in itself says against a channel's `config`, beyond its schema. Paths are relative to the config.
    ///
    /// # Errors
    /// [`HostFault`] when it could not be asked.
    pub async fn ask_about_config(
        &self,
        channel_type: &str,
        config_json: &[u8],
    ) -> Result<Vec<Problem>, HostFault> {
        let supervisor = &self.installed(channel_type)?.supervisor;
        let plugin = supervisor.plugin.load_full();
        check_sizes(&plugin, &[("config", config_json.len(), abi::limits::CONFIG)])?;
        let frame = ToChild::Validate { channel_type: channel_type.as_bytes(), config_json };
        let answer = supervisor.call(&frame, Awaits::Validated, self.config.codec_patience).await?;
        let Answer::Validated { code, problems_json } = answer else {
            return Err(garbage(supervisor, &plugin, "another kind of answer"));
        };
        match code {
            0 => Ok(Vec::new()),
            1 => plugin_problems(&problems_json).map_err(|error| {
                garbage(supervisor, &plugin, &format!("its problems cannot be read: {error}"))
            }),
            other => Err(garbage(supervisor, &plugin, fault_text(other))),
        }
    }

    /// Sends through a transport. `secrets_json`: object of name to values, newest first.
    ///
    /// # Errors
    /// [`HostFault`]; after [`HostFault::Crashed`] and [`HostFault::Timeout`] it is in doubt whether it went out.
    pub async fn send(
        &self,
        channel_type: &str,
        input: PrepareInput<'_>,
        secrets_json: &[u8],
        patience: Duration,
    ) -> Result<Verdict, HostFault> {
        let supervisor = &self.installed(channel_type)?.supervisor;
        let plugin = self.check_kind(supervisor, Kind::Transport)?;
        check_sizes(
            &plugin,
            &[
                ("config", input.config_json.len(), abi::limits::CONFIG),
                ("message", input.message_json.len(), abi::limits::MESSAGE),
            ],
        )?;
        let names = names_json(input.secret_names);
        let frame = ToChild::Send(send_fields(channel_type, &input, &names, secrets_json));
        let answer = supervisor.call(&frame, Awaits::Outcome, patience).await?;
        verdict(supervisor, &plugin, answer)
    }

    /// Whether a plug-in answers: starts it if need be.
    ///
    /// # Errors
    /// [`HostFault`].
    pub async fn health(&self, channel_type: &str) -> Result<Verdict, HostFault> {
        let supervisor = &self.installed(channel_type)?.supervisor;
        let plugin = supervisor.plugin.load_full();
        let answer = supervisor.call(&ToChild::Health, Awaits::Outcome, self.config.codec_patience).await?;
        verdict(supervisor, &plugin, answer)
    }

    /// Verifies a plug-in's folder again and, if that holds, puts the new version in place of the running one.
    ///
    /// # Errors
    /// Text for the operator; the running version stays.
    pub async fn reload(&self, name: &str) -> Result<(), String> {
        let installed = self
            .plugins
            .get(name)
            .ok_or_else(|| format!("`{name}` was not installed when the studio started"))?;
        let trust = TrustStore::read(&self.config.trust_dir).map_err(|fault| fault.to_string())?;
        let verified =
            load::verify(&self.config.plugins_dir.join(name), &trust).map_err(|fault| fault.to_string())?;
        let old = installed.supervisor.plugin.load_full();
        if verified.manifest.channel_types != old.manifest.channel_types
            || verified.manifest.kind != old.manifest.kind
        {
            return Err("it changes its kind or channel types: restart the studio for that".to_owned());
        }
        let schema = schema_of(&verified.manifest)?;
        let refused = RefusedSecrets::of(&verified.manifest.secrets)?;
        installed.schema.store(Arc::new(schema));
        installed.refused_secrets.store(Arc::new(refused));
        installed.supervisor.replace(verified, self.config.codec_patience).await;
        Ok(())
    }

    /// Ends all children; each may finish what it has within `patience`.
    pub async fn shutdown(&self, patience: Duration) {
        let stops = self.plugins.values().map(|installed| {
            let supervisor = Arc::clone(&installed.supervisor);
            tokio::spawn(async move { supervisor.stop(patience).await })
        });
        for stop in stops.collect::<Vec<_>>() {
            drop(stop.await);
        }
    }

    fn check_kind(&self, supervisor: &Supervisor, kind: Kind) -> Result<Arc<Verified>, HostFault> {
        let plugin = supervisor.plugin.load_full();
        if plugin.manifest.kind == kind {
            return Ok(plugin);
        }
        let reason = match kind {
            Kind::Codec => "it is a transport, which prepares no requests",
            Kind::Transport => "it is a codec, which sends nothing itself",
        };
        Err(HostFault::Input { plugin: plugin.manifest.name.clone(), reason: reason.to_owned() })
    }
}

fn send_fields<'a>(
    channel_type: &'a str,
    input: &PrepareInput<'a>,
    names: &'a [u8],
    secrets_json: &'a [u8],
) -> SendFields<'a> {
    SendFields {
        attempt: input.attempt,
        delivery_unix_ms: millis(input.delivery_time),
        attempt_unix_ms: millis(input.attempt_time),
        deadline_unix_ms: millis(input.deadline),
        phase: input.phase.abi(),
        flags: if input.check { abi::SEND_CHECK } else { 0 },
        channel_type: channel_type.as_bytes(),
        config_json: input.config_json,
        message_json: input.message_json,
        delivery_id: input.delivery_id.as_bytes(),
        provider_reference: input.provider_reference.unwrap_or_default().as_bytes(),
        secret_names_json: names,
        secrets_json,
    }
}

const fn response_flags(input: &InterpretInput<'_>) -> u16 {
    let truncated = if input.response.truncated { abi::RESPONSE_TRUNCATED } else { 0 };
    let check = if input.check { abi::RESPONSE_CHECK } else { 0 };
    truncated | check
}

fn names_json(names: &[String]) -> Vec<u8> {
    if names.is_empty() { b"[]".to_vec() } else { serde_json::to_vec(names).unwrap_or_default() }
}

fn check_sizes(plugin: &Verified, sizes: &[(&str, usize, usize)]) -> Result<(), HostFault> {
    match sizes.iter().find(|(_, size, limit)| size > limit) {
        None => Ok(()),
        Some((what, size, limit)) => Err(HostFault::Input {
            plugin: plugin.manifest.name.clone(),
            reason: format!("the {what} has {size} bytes, {limit} are allowed"),
        }),
    }
}

fn garbage(supervisor: &Supervisor, plugin: &Verified, reason: &str) -> HostFault {
    Counters::add(&supervisor.counters.garbage);
    HostFault::Garbage { plugin: plugin.manifest.name.clone(), reason: reason.to_owned() }
}

const fn fault_text(code: i32) -> &'static str {
    match code {
        fault::CALL_FAILED => "the call failed",
        fault::NO_ANSWER => "it left this element out",
        fault::TOO_LARGE => "its answer is longer than allowed",
        _ => "its answer breaks the contract",
    }
}

fn verdict(supervisor: &Supervisor, plugin: &Verified, answer: Answer) -> Result<Verdict, HostFault> {
    let Answer::Outcome { code, retry_after_ms: after_ms, detail, provider_reference } = answer else {
        return Err(garbage(supervisor, plugin, "another kind of answer"));
    };
    let outcome = match code {
        abi::OK => Outcome::Delivered,
        abi::ACCEPTED => Outcome::Accepted,
        abi::RETRY => Outcome::Retry { after_ms },
        abi::THROTTLED => Outcome::Throttled { after_ms },
        abi::PERMANENT => Outcome::Permanent,
        abi::BAD_CONFIG => Outcome::BadConfig,
        abi::GONE => Outcome::Gone,
        abi::CANCELLED => Outcome::Cancelled,
        other => return Err(garbage(supervisor, plugin, fault_text(other))),
    };
    Ok(Verdict { outcome, detail, provider_reference })
}
