//! The operator's egress policy and its verdicts.

use crate::network::{AllowedNetwork, Network};
use crate::ranges::{RangeKind, range_of, unwrap_ipv4};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use url::{Host, Url};

/// What the operator permits. The default permits the public internet over http and https and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// Exceptions from the table of non-public ranges. An entry counts for a range only if it lies wholly inside it:
    /// `0.0.0.0/0` opens nothing, `169.254.0.0/16` does not open the metadata service, and loopback needs an entry
    /// of its own.
    pub allow: Vec<AllowedNetwork>,
    /// When present (sealed mode), only these hosts may be called; the address check still applies.
    pub only_hosts: Option<Vec<HostPattern>>,
    /// Refuse `http:`.
    pub require_https: bool,
}

/// `hooks.example.com`, `*.example.com` (any depth below, not the name itself) or an IP address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostPattern {
    host: TargetHost,
    below: bool,
}

/// Why a text is no host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a host: write `hooks.example.com`, `*.example.com` or an IP address")]
pub struct InvalidHostPattern(pub String);

/// Where a checked URL leads.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    pub https: bool,
    pub host: TargetHost,
    pub port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TargetHost {
    /// Already checked by [`Policy::check_url`].
    Ip(IpAddr),
    /// Lower case, IDNA-encoded. Its addresses still have to be checked, all of them.
    Domain(String),
}

/// Why a URL or an address is refused. The text is for operators and users; it may name the host, so where the URL
/// holds a secret use [`Blocked::without_host`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Blocked {
    #[error("`{0}:` is not allowed; use https")]
    Scheme(String),
    #[error("http is not allowed here, the operator requires https")]
    HttpsRequired,
    #[error("the URL contains a user name or password; use the channel's secrets instead")]
    UserInfo,
    #[error("the URL has no host")]
    NoHost,
    #[error("port 0 cannot be called")]
    PortZero,
    #[error("{0} names a cloud metadata service")]
    MetadataName(String),
    #[error("{0} is not on the operator's list of hosts ([egress] hosts)")]
    HostNotListed(String),
    #[error("{address} is {}; the operator can allow it in [egress] allow", kind.description())]
    Address { address: IpAddr, kind: RangeKind },
    #[error(
        "{address} leads to {inner}, which is {}; the operator can allow {inner} in [egress] allow",
        kind.description()
    )]
    Embedded { address: IpAddr, inner: IpAddr, kind: RangeKind },
    #[error("{name} resolves to a forbidden address: {blocked}")]
    Resolved { name: String, blocked: Box<Blocked> },
}

/// Names of the metadata services of clouds, inside their networks.
const METADATA_NAMES: [&str; 6] = [
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "metadata.azure.internal",
    "instance-data",
    "instance-data.ec2.internal",
];

impl Blocked {
    /// Stable word for metrics, problems and the ledger.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Scheme(_) => "scheme",
            Self::HttpsRequired => "https-required",
            Self::UserInfo => "user-info",
            Self::NoHost => "no-host",
            Self::PortZero => "port-zero",
            Self::HostNotListed(_) => "host-not-listed",
            Self::Address { .. } | Self::Embedded { .. } | Self::MetadataName(_) => "address",
            Self::Resolved { blocked, .. } => blocked.code(),
        }
    }

    /// The same reason without the host, its name or its address: for URLs whose host is part of a secret.
    #[must_use]
    pub fn without_host(&self) -> String {
        match self {
            Self::Address { kind, .. } | Self::Embedded { kind, .. } => {
                format!(
                    "the URL leads to {}; the operator can allow it in [egress] allow",
                    kind.description()
                )
            }
            Self::MetadataName(_) => "the URL leads to a cloud metadata service".to_owned(),
            Self::HostNotListed(_) => {
                "the URL's host is not on the operator's list of hosts ([egress] hosts)".to_owned()
            }
            Self::Scheme(_) => "the URL's scheme is not allowed; use https".to_owned(),
            Self::Resolved { blocked, .. } => blocked.without_host(),
            Self::HttpsRequired | Self::UserInfo | Self::NoHost | Self::PortZero => self.to_string(),
        }
    }
}

impl Policy {
    /// Checks everything that the URL alone says. The caller parses once and sends to what was parsed: the text of a
    /// URL has many spellings for one host, the parsed form has one.
    ///
    /// # Errors
    /// [`Blocked`], with the reason.
    pub fn check_url(&self, url: &Url) -> Result<Target, Blocked> {
        let https = match url.scheme() {
            "https" => true,
            "http" if self.require_https => return Err(Blocked::HttpsRequired),
            "http" => false,
            other => return Err(Blocked::Scheme(other.chars().take(32).collect())),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Blocked::UserInfo);
        }
        let port = url.port_or_known_default().ok_or(Blocked::NoHost)?;
        let host = match url.host().ok_or(Blocked::NoHost)? {
            Host::Ipv4(v4) => TargetHost::Ip(IpAddr::V4(v4)),
            Host::Ipv6(v6) => TargetHost::Ip(IpAddr::V6(v6)),
            Host::Domain(name) => TargetHost::Domain(name.to_owned()),
        };
        if port == 0 {
            return Err(Blocked::PortZero);
        }
        if let Some(listed) = &self.only_hosts
            && !listed.iter().any(|pattern| pattern.matches(&host))
        {
            return Err(Blocked::HostNotListed(host.to_string()));
        }
        match &host {
            TargetHost::Ip(address) => self.check_address(*address, port)?,
            // They lead to an address that is refused as well; but where a name is not looked up yet, when a channel is
            // saved, it would pass, and there is no honest use of one.
            TargetHost::Domain(name) => {
                let bare = name.strip_suffix('.').unwrap_or(name);
                if METADATA_NAMES.contains(&bare) {
                    return Err(Blocked::MetadataName(bare.to_owned()));
                }
            }
        }
        Ok(Target { https, host, port })
    }

    /// May this socket address be dialled?
    ///
    /// # Errors
    /// [`Blocked::Address`] or [`Blocked::Embedded`].
    pub fn check_address(&self, address: IpAddr, port: u16) -> Result<(), Blocked> {
        let inner = unwrap_ipv4(address);
        let Some(range) = range_of(inner) else { return Ok(()) };
        let range_network: &Network = &range.network;
        if self.allow.iter().any(|entry| entry.lifts(range_network, inner, port)) {
            return Ok(());
        }
        Err(if inner == address {
            Blocked::Address { address, kind: range.kind }
        } else {
            Blocked::Embedded { address, inner, kind: range.kind }
        })
    }

    /// Checks all that a name resolved to. One forbidden address refuses the name: whoever answers for it chooses
    /// the order, so trying "the good ones" would only hide an attack.
    ///
    /// # Errors
    /// [`Blocked::Resolved`].
    pub fn check_resolved(&self, name: &str, addresses: &[SocketAddr]) -> Result<(), Blocked> {
        addresses.iter().try_for_each(|address| {
            self.check_address(address.ip(), address.port())
                .map_err(|blocked| Blocked::Resolved { name: name.to_owned(), blocked: Box::new(blocked) })
        })
    }
}

impl fmt::Display for TargetHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Domain(name) => f.write_str(name),
        }
    }
}

impl HostPattern {
    fn matches(&self, host: &TargetHost) -> bool {
        match (&self.host, host) {
            (TargetHost::Ip(a), TargetHost::Ip(b)) => unwrap_ipv4(*a) == unwrap_ipv4(*b),
            (TargetHost::Domain(pattern), TargetHost::Domain(name)) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                if self.below {
                    name.strip_suffix(pattern.as_str())
                        .is_some_and(|head| head.len() > 1 && head.ends_with('.'))
                } else {
                    name == pattern
                }
            }
            _ => false,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = if self.below { "*." } else { "" };
        write!(f, "{below}{}", self.host)
    }
}

impl FromStr for HostPattern {
    type Err = InvalidHostPattern;
    fn from_str(text: &str) -> Result<Self, InvalidHostPattern> {
        let invalid = || InvalidHostPattern(text.to_owned());
        let (below, rest) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        if rest.is_empty() || rest.contains('*') {
            return Err(invalid());
        }
        // The same parser as for URLs, so that both sides of the comparison are spelled alike.
        let bracketed = match rest.parse::<IpAddr>() {
            Ok(IpAddr::V6(_)) => format!("[{rest}]"),
            _ => rest.to_owned(),
        };
        let host = match Host::parse(&bracketed).map_err(|_| invalid())? {
            Host::Domain(name) => TargetHost::Domain(name.strip_suffix('.').unwrap_or(&name).to_owned()),
            _ if below => return Err(invalid()),
            Host::Ipv4(v4) => TargetHost::Ip(IpAddr::V4(v4)),
            Host::Ipv6(v6) => TargetHost::Ip(IpAddr::V6(v6)),
        };
        Ok(Self { host, below })
    }
}
