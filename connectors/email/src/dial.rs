//! From a server's name to a connection: resolve, check every address, dial exactly those, TLS by the name.

use crate::config::{Egress, Options, Settings, Tls};
use crate::names::Names;
use crate::reply::{Fault, Stage};
use crate::stream::{FAREWELL, Guarded};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::extension::ClientId;
use notify_netguard::{Policy, TargetHost, Url};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// No name has more addresses worth trying.
const MAX_ADDRESSES: usize = 8;

/// Dials under the operator's policy.
pub struct Dialer {
    policy: Policy,
    allow_plaintext: bool,
    connect: Duration,
    tls: tokio_rustls::TlsConnector,
    names: Names,
}

fn policy_of(egress: &Egress) -> Result<Policy, String> {
    let allow = egress.allow.iter().map(|entry| entry.parse()).collect::<Result<Vec<_>, _>>();
    let hosts = egress.only_hosts.as_ref().map(|hosts| hosts.iter().map(|host| host.parse()).collect());
    let only_hosts: Option<Result<Vec<_>, notify_netguard::InvalidHostPattern>> = hosts;
    Ok(Policy {
        allow: allow.map_err(|error: notify_netguard::InvalidNetwork| error.to_string())?,
        only_hosts: only_hosts.transpose().map_err(|error| error.to_string())?,
        require_https: false,
    })
}

fn roots_of(egress: &Egress) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut roots = Vec::new();
    if egress.system_roots {
        // Stores carry a few certificates that no longer parse; those are left out below.
        roots.extend(rustls_native_certs::load_native_certs().certs);
    }
    if let Some(pem) = &egress.ca {
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.push(
                certificate.map_err(|_| "[egress] ca holds a damaged certificate".to_owned())?.into_owned(),
            );
        }
    }
    Ok(roots)
}

impl Dialer {
    /// # Errors
    /// Text for the operator.
    pub fn new(options: &Options) -> Result<Self, String> {
        let egress = &options.studio.egress;
        let mut store = RootCertStore::empty();
        let mut unusable = 0_usize;
        for root in roots_of(egress)? {
            unusable += usize::from(store.add(root).is_err());
        }
        if unusable > 0 && !egress.system_roots {
            return Err("[egress] ca holds a certificate that cannot be used".to_owned());
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}"))?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Self {
            policy: policy_of(egress)?,
            allow_plaintext: options.allow_plaintext,
            connect: Duration::from_secs(options.connect_seconds),
            tls: tokio_rustls::TlsConnector::from(Arc::new(config)),
            names: Names::default(),
        })
    }

    /// A connection that is ready for `MAIL FROM`.
    ///
    /// # Errors
    /// [`Fault`]; nothing was sent in any case.
    pub async fn open(&self, settings: &Settings, passwords: &[&str]) -> Result<AsyncSmtpConnection, Fault> {
        let patience = self.connect;
        let opened = tokio::time::timeout(patience, self.open_unbounded(settings, passwords)).await;
        opened.unwrap_or_else(|_| {
            Err(Fault::local(Stage::Connect, format!("not ready within {} s", patience.as_secs())))
        })
    }

    async fn open_unbounded(
        &self,
        settings: &Settings,
        passwords: &[&str],
    ) -> Result<AsyncSmtpConnection, Fault> {
        let (host, addresses) = self.addresses(settings).await?;
        let local = addresses.iter().all(|address| address.ip().to_canonical().is_loopback());
        if settings.tls == Tls::None && !local && !self.allow_plaintext {
            return Err(Fault::config(
                Stage::Connect,
                "this server would be used without TLS; use starttls or tls, or let the operator set \
                 [connectors.options.email] allowPlaintext",
            ));
        }
        let mut tcp = self.connect(&addresses).await?;
        let hello = ClientId::Domain(settings.hello_name.clone());
        let mut connection = match settings.tls {
            Tls::Tls => {
                let stream = Guarded::new(self.encrypted(&host, tcp).await?);
                AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await
            }
            Tls::Starttls => {
                crate::plain::until_tls(&mut tcp, &settings.hello_name).await?;
                let stream = Guarded::greeted(self.encrypted(&host, tcp).await?);
                AsyncSmtpConnection::connect_with_transport(Box::new(stream), &hello).await
            }
            Tls::None => {
                AsyncSmtpConnection::connect_with_transport(Box::new(Guarded::new(tcp)), &hello).await
            }
        }
        .map_err(|error| Fault::of(Stage::Hello, &error))?;
        if let Some(username) = &settings.username
            && let Err(fault) = crate::auth::sign_in(&mut connection, username, passwords).await
        {
            farewell(connection);
            return Err(fault);
        }
        Ok(connection)
    }

    async fn encrypted(&self, host: &TargetHost, tcp: TcpStream) -> Result<TlsStream<TcpStream>, Fault> {
        let name = match host {
            TargetHost::Ip(address) => ServerName::from(*address),
            TargetHost::Domain(name) => ServerName::try_from(name.trim_end_matches('.').to_owned())
                .map_err(|_| Fault::config(Stage::Tls, "the host is not a valid server name"))?,
        };
        let stream = self.tls.connect(name, tcp).await;
        stream.map_err(|error| Fault::local(Stage::Tls, tls_text(&error)))
    }

    async fn addresses(&self, settings: &Settings) -> Result<(TargetHost, Vec<SocketAddr>), Fault> {
        let blocked = |text: String| Fault::config(Stage::Connect, text);
        let host = &settings.server.host;
        let bracketed = match host.parse::<IpAddr>() {
            Ok(IpAddr::V6(_)) => format!("[{host}]"),
            _ => host.clone(),
        };
        // The guard's questions are about URLs; the scheme only stands for "with TLS".
        let url = Url::parse(&format!("https://{bracketed}:{}/", settings.port))
            .map_err(|_| blocked("/server/host is no host name".to_owned()))?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(blocked("/server/host is no host name".to_owned()));
        }
        let target = self.policy.check_url(&url).map_err(|reason| blocked(reason.to_string()))?;
        match &target.host {
            TargetHost::Ip(address) => {
                let addresses = vec![SocketAddr::new(*address, settings.port)];
                Ok((target.host, addresses))
            }
            TargetHost::Domain(name) => {
                let looked_up = self.names.addresses(name).await;
                let looked_up = looked_up.map_err(|error| {
                    Fault::local(Stage::Connect, format!("{name} cannot be resolved ({error})"))
                })?;
                let mut addresses: Vec<SocketAddr> =
                    looked_up.into_iter().map(|address| SocketAddr::new(address, settings.port)).collect();
                let checked = self.policy.check_resolved(name, &addresses);
                checked.map_err(|reason| blocked(reason.to_string()))?;
                addresses.truncate(MAX_ADDRESSES);
                Ok((target.host.clone(), addresses))
            }
        }
    }

    async fn connect(&self, addresses: &[SocketAddr]) -> Result<TcpStream, Fault> {
        let share = self.connect / u32::try_from(addresses.len().max(1)).unwrap_or(1);
        let mut last = "the host name has no address".to_owned();
        for address in addresses {
            match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // lettre writes a message and its final dot apart: with Nagle's algorithm the dot would wait 40 ms.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => last = format!("no connection: {}", error.kind()),
                Err(_) => last = format!("no connection within {} ms", share.as_millis()),
            }
        }
        Err(Fault::local(Stage::Connect, last))
    }
}

/// Says goodbye, while nobody waits for it: what the connection was for is known already.
pub(crate) fn farewell(mut connection: AsyncSmtpConnection) {
    tokio::spawn(async move {
        let _ = tokio::time::timeout(FAREWELL, connection.quit()).await;
    });
}

fn tls_text(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(fault) => rustls_text(fault),
        None => format!("the handshake failed: {}", error.kind()),
    }
}

fn rustls_text(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
            "the server's certificate is issued by an authority that is not trusted here; the operator can add it \
             in [egress] ca"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(reason) => format!("the server's certificate is refused: {reason}"),
        other => format!("the handshake failed: {other}"),
    }
}
