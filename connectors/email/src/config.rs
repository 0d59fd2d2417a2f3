//! What the channel says (`config`), what the operator says (`options`), and what follows for one send.

use crate::address::{Address, Mailbox};
use notify_connector_sdk::{ConfigProblem, Refusal};
use serde::Deserialize;

/// Most recipients of one channel.
pub const MAX_RECIPIENTS: usize = 50;

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    Starttls,
    Tls,
    None,
}

/// A mail server as configured.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Server {
    pub host: String,
    #[serde(default)]
    pub port: Option<u16>,
    #[serde(default)]
    pub tls: Option<Tls>,
    #[serde(default)]
    pub hello_name: Option<String>,
}

impl Server {
    /// Port and protection, each with its default that follows from the other.
    #[must_use]
    pub fn port_and_tls(&self) -> (u16, Tls) {
        let tls = self.tls.unwrap_or(if self.port == Some(465) { Tls::Tls } else { Tls::Starttls });
        let usual = match tls {
            Tls::Starttls => 587,
            Tls::Tls => 465,
            Tls::None => 25,
        };
        (self.port.unwrap_or(usual), tls)
    }
}

/// Whose signature a message carries.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dkim {
    pub domain: String,
    pub selector: String,
}

/// The channel's configuration (`configSchema` in `notify-plugin.json`).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    pub to: Vec<String>,
    #[serde(default)]
    pub from: Option<String>,
    #[serde(default)]
    pub reply_to: Option<String>,
    #[serde(default)]
    pub server: Option<Server>,
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub dkim: Option<Dkim>,
    #[serde(default)]
    pub list_id: Option<String>,
    #[serde(default)]
    pub subject_prefix: Option<String>,
}

/// The operator's settings: `[connectors.options.email]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Options {
    /// For channels that name none.
    pub server: Option<Server>,
    pub from: Option<String>,
    pub reply_to: Option<String>,
    /// Hosts that may be used as mail servers; empty: any that the egress policy allows.
    pub servers: Vec<String>,
    /// Permits `tls: none` beyond this machine. Passwords then cross the network readable.
    pub allow_plaintext: bool,
    /// Connections to one server with the same credentials.
    pub connections: usize,
    /// An idle connection is closed after this.
    pub idle_seconds: u64,
    /// TCP, TLS and greeting together.
    pub connect_seconds: u64,
    /// What the host says of itself.
    pub studio: Studio,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            server: None,
            from: None,
            reply_to: None,
            servers: Vec::new(),
            allow_plaintext: false,
            connections: 16,
            idle_seconds: 30,
            connect_seconds: 15,
            studio: Studio::default(),
        }
    }
}

/// What the host adds to every transport's options.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Studio {
    pub egress: Egress,
}

/// The operator's egress policy, as the host hands it over.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Egress {
    pub allow: Vec<String>,
    pub only_hosts: Option<Vec<String>>,
    pub system_roots: bool,
    /// Further certificate authorities, PEM.
    pub ca: Option<String>,
}

impl Default for Egress {
    fn default() -> Self {
        Self { allow: Vec::new(), only_hosts: None, system_roots: true, ca: None }
    }
}

impl Options {
    /// # Errors
    /// Text for the operator.
    pub fn read(json: &[u8]) -> Result<Self, String> {
        if json.is_empty() {
            return Ok(Self::default());
        }
        let options: Self = serde_json::from_slice(json).map_err(|error| format!("options: {error}"))?;
        for (name, value) in [("from", &options.from), ("replyTo", &options.reply_to)] {
            if let Some(text) = value {
                Mailbox::parse(text).map_err(|reason| format!("options: {name}: {reason}"))?;
            }
        }
        if !(1..=64).contains(&options.connections) {
            return Err("options: connections: between 1 and 64 is needed".to_owned());
        }
        if !(1..=3600).contains(&options.idle_seconds) || !(1..=300).contains(&options.connect_seconds) {
            return Err(
                "options: idleSeconds (1 to 3600) or connectSeconds (1 to 300) is out of range".to_owned()
            );
        }
        Ok(options)
    }
}

/// Config and options put together.
#[derive(Debug, Clone)]
pub struct Settings {
    pub recipients: Vec<Address>,
    pub from: Mailbox,
    pub reply_to: Option<Mailbox>,
    pub server: Server,
    pub port: u16,
    pub tls: Tls,
    pub hello_name: String,
    pub username: Option<String>,
    pub dkim: Option<Dkim>,
    pub list_id: String,
    pub subject_prefix: String,
}

fn problem(path: impl Into<String>, reason: impl Into<String>, fix: impl Into<String>) -> ConfigProblem {
    ConfigProblem { path: path.into(), reason: reason.into(), fix: fix.into() }
}

/// A name for a header or a DNS label sequence: nothing that could end or fold a header.
fn is_name(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(inside)
        && !text.starts_with(['-', '.'])
        && !text.ends_with(['-', '.'])
}

impl Config {
    /// What the schema cannot say, without the operator's part.
    #[must_use]
    pub fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        if self.to.is_empty() || self.to.len() > MAX_RECIPIENTS {
            problems.push(problem("/to", "between 1 and 50 recipients are needed", "use several channels"));
        }
        for (at, address) in self.to.iter().enumerate() {
            if let Err(reason) = Address::parse(address) {
                problems.push(problem(format!("/to/{at}"), reason, "write an address like ops@example.com"));
            }
        }
        for (path, value) in [("/from", &self.from), ("/replyTo", &self.reply_to)] {
            if let Some(Err(reason)) = value.as_deref().map(Mailbox::parse) {
                problems.push(problem(path, reason, "write `a@b.example` or `Name <a@b.example>`"));
            }
        }
        let names = [
            ("/dkim/domain", self.dkim.as_ref().map(|dkim| dkim.domain.as_str())),
            ("/dkim/selector", self.dkim.as_ref().map(|dkim| dkim.selector.as_str())),
            ("/listId", self.list_id.as_deref()),
            ("/server/helloName", self.server.as_ref().and_then(|server| server.hello_name.as_deref())),
        ];
        for (path, name) in names {
            if name.is_some_and(|name| !is_name(name)) {
                problems.push(problem(path, "this is no domain name", "use letters, digits, `-` and `.`"));
            }
        }
        if self.username.as_deref().is_some_and(|name| name.chars().any(char::is_control)) {
            problems.push(problem("/username", "it contains control characters", "remove them"));
        }
        problems
    }

    /// Together with the operator's options.
    ///
    /// # Errors
    /// Bad config, naming the place.
    pub fn settle(&self, options: &Options) -> Result<Settings, Refusal> {
        if let Some(first) = self.problems().into_iter().next() {
            return Err(Refusal::bad_config(format!("{}: {}; {}", first.path, first.reason, first.fix)));
        }
        let mailbox = |path: &str, text: &str| {
            Mailbox::parse(text).map_err(|reason| Refusal::bad_config(format!("{path}: {reason}")))
        };
        let from = self.from.as_deref().or(options.from.as_deref()).ok_or_else(|| {
            Refusal::bad_config("/from: no author; name one here or in [connectors.options.email] from")
        })?;
        let from = mailbox("/from", from)?;
        let reply_to = self.reply_to.as_deref().or(options.reply_to.as_deref());
        let reply_to = reply_to.map(|text| mailbox("/replyTo", text)).transpose()?;
        let server = self.server.clone().or_else(|| options.server.clone()).ok_or_else(|| {
            Refusal::bad_config(
                "/server: no mail server; name one here or in [connectors.options.email] server",
            )
        })?;
        let known = |host: &String| host.eq_ignore_ascii_case(&server.host);
        if !options.servers.is_empty() && !options.servers.iter().any(known) {
            let reason = format!(
                "/server/host: {} is not one of the operator's mail servers ([connectors.options.email] servers)",
                server.host
            );
            return Err(Refusal::bad_config(reason));
        }
        let (port, tls) = server.port_and_tls();
        let hello_name = server.hello_name.clone().unwrap_or_else(|| from.address.domain().to_owned());
        let recipients = self.to.iter().map(|text| Address::parse(text)).collect::<Result<_, _>>();
        Ok(Settings {
            recipients: recipients.map_err(|reason| Refusal::bad_config(format!("/to: {reason}")))?,
            list_id: self.list_id.clone().unwrap_or_else(|| format!("alerts.{}", from.address.domain())),
            from,
            reply_to,
            server,
            port,
            tls,
            hello_name,
            username: self.username.clone(),
            dkim: self.dkim.clone(),
            subject_prefix: self.subject_prefix.clone().unwrap_or_default(),
        })
    }
}
