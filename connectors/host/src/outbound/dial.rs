//! From a checked target to an open connection: resolve, check every address, dial exactly those, TLS.

use super::fault::{FaultKind, OutboundFault};
use notify_netguard::{Policy, Target, TargetHost};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// No name has more addresses worth trying.
const MAX_ADDRESSES: usize = 8;

/// Turns a name into addresses. Not asked for IP literals, which are checked before.
pub trait Resolve: Send + Sync {
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> Resolving<'a>;
}

/// What [`Resolve::resolve`] returns.
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// The system's resolver (`getaddrinfo`), so `/etc/hosts` and the operator's DNS apply.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> Resolving<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((name, port)).await?.collect()) })
    }
}

/// Why the certificates of the policy cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEgress {
    #[error("[egress] ca: the file holds no PEM certificate, or a damaged one")]
    ExtraCa,
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

pub(super) struct Dialer {
    pub policy: Policy,
    pub resolver: Arc<dyn Resolve>,
    pub tls: TlsConnector,
    /// For TCP and TLS together, name resolution included.
    pub connect_timeout: Duration,
}

pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Dialer {
    pub(super) async fn dial(&self, target: &Target, host_is_secret: bool) -> Result<Stream, OutboundFault> {
        match tokio::time::timeout(self.connect_timeout, self.dial_unbounded(target, host_is_secret)).await {
            Ok(result) => result,
            Err(_) => Err(OutboundFault::before(
                FaultKind::Connect,
                format!("no connection within {} ms", self.connect_timeout.as_millis()),
            )),
        }
    }

    async fn dial_unbounded(&self, target: &Target, host_is_secret: bool) -> Result<Stream, OutboundFault> {
        let addresses = self.addresses(target, host_is_secret).await?;
        let tcp = self.connect(&addresses).await?;
        // Small requests must not wait for the acknowledgement of the last one.
        let _ = tcp.set_nodelay(true);
        if !target.https {
            return Ok(Stream::Plain(tcp));
        }
        let name = match &target.host {
            TargetHost::Ip(address) => ServerName::from(*address),
            TargetHost::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                ServerName::try_from(name.to_owned()).map_err(|_| {
                    OutboundFault::before(FaultKind::Tls, "the host is not a valid server name")
                })?
            }
        };
        match self.tls.connect(name, tcp).await {
            Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
            Err(error) => Err(OutboundFault::before(FaultKind::Tls, tls_detail(&error))),
        }
    }

    async fn addresses(
        &self,
        target: &Target,
        host_is_secret: bool,
    ) -> Result<Vec<SocketAddr>, OutboundFault> {
        let blocked = |reason| OutboundFault::blocked(&reason, host_is_secret);
        match &target.host {
            TargetHost::Ip(address) => {
                self.policy.check_address(*address, target.port).map_err(blocked)?;
                Ok(vec![SocketAddr::new(*address, target.port)])
            }
            TargetHost::Domain(name) => {
                let mut addresses = self.resolver.resolve(name, target.port).await.map_err(|error| {
                    let detail = format!("the host name cannot be resolved ({})", error.kind());
                    OutboundFault::before(FaultKind::Connect, detail)
                })?;
                // The port is the URL's, whatever a resolver says.
                addresses.iter_mut().for_each(|address| address.set_port(target.port));
                self.policy.check_resolved(name, &addresses).map_err(blocked)?;
                addresses.truncate(MAX_ADDRESSES);
                Ok(addresses)
            }
        }
    }

    /// One address after the other, families alternating, each with its share of the time: a dead first address must
    /// not use up what the others need.
    async fn connect(&self, addresses: &[SocketAddr]) -> Result<TcpStream, OutboundFault> {
        let ordered = alternating(addresses);
        let share = self.connect_timeout / u32::try_from(ordered.len().max(1)).unwrap_or(1);
        let mut last = "the host name has no address".to_owned();
        for address in ordered {
            match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = format!("no connection: {}", error.kind()),
                Err(_) => last = format!("no connection within {} ms", share.as_millis()),
            }
        }
        Err(OutboundFault::before(FaultKind::Connect, last))
    }
}

/// The resolver's order, but IPv6 and IPv4 in turn.
fn alternating(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let family =
        |first: bool| addresses.iter().filter(move |address| address.is_ipv6() == (first == first_is_v6));
    let (mut first, mut second) = (family(true), family(false));
    let mut ordered = Vec::with_capacity(addresses.len());
    while ordered.len() < addresses.len() {
        ordered.extend(first.next());
        ordered.extend(second.next());
    }
    ordered
}

/// What rustls says of a peer's certificate is about the peer, not about us.
fn tls_detail(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(reason)) => {
            let reason = match reason {
                rustls::CertificateError::UnknownIssuer => {
                    "it is issued by an authority that is not trusted here; the operator can add it in [egress] ca"
                }
                rustls::CertificateError::Expired | rustls::CertificateError::ExpiredContext { .. } => {
                    "it has expired"
                }
                rustls::CertificateError::NotValidYet
                | rustls::CertificateError::NotValidYetContext { .. } => "it is not valid yet",
                rustls::CertificateError::NotValidForName
                | rustls::CertificateError::NotValidForNameContext { .. } => "it is for another host",
                rustls::CertificateError::Revoked => "it is revoked",
                _ => "it cannot be verified",
            };
            format!("the server's certificate is refused: {reason}")
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("the server refused the TLS handshake ({alert:?})")
        }
        Some(_) => "the TLS handshake failed".to_owned(),
        None => format!("the TLS handshake failed: {}", error.kind()),
    }
}

fn add_authorities(roots: &mut RootCertStore, pem: &[u8]) -> Result<(), InvalidEgress> {
    let mut found = false;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| InvalidEgress::ExtraCa)?;
        roots.add(certificate).map_err(|_| InvalidEgress::ExtraCa)?;
        found = true;
    }
    if found { Ok(()) } else { Err(InvalidEgress::ExtraCa) }
}

/// Whether this could be an operator's file of certificate authorities.
///
/// # Errors
/// [`InvalidEgress::ExtraCa`]
pub fn check_authorities(pem: &[u8]) -> Result<(), InvalidEgress> {
    add_authorities(&mut RootCertStore::empty(), pem)
}

/// Certificates of the system (if wanted) and the operator's own.
pub(super) fn tls_connector(
    system_roots: bool,
    extra_ca_pem: Option<&[u8]>,
) -> Result<TlsConnector, InvalidEgress> {
    let mut roots = RootCertStore::empty();
    if system_roots {
        let loaded = rustls_native_certs::load_native_certs();
        for error in &loaded.errors {
            tracing::warn!(%error, "a trusted certificate of the system cannot be read");
        }
        // Stores carry a few certificates that no longer parse; they are of no use to anybody.
        roots.add_parsable_certificates(loaded.certs);
    }
    if let Some(pem) = extra_ca_pem {
        add_authorities(&mut roots, pem)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| InvalidEgress::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
