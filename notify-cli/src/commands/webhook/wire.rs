//! One step after the other to a receiver, each with its time: resolve, connect, TLS, request. A connection of its own
//! for each request: what is tested must not depend on what was tested before.
//!
//! No egress policy applies here: a person names the address, on a machine of theirs, to look at exactly that address.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use notify_core::time::Timestamp;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};
use url::{Host, Url};

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 64 * 1024;

/// A receiver and how to get there.
pub struct Wire {
    pub url: Url,
    pub port: u16,
    pub timeout: Duration,
    tls: Option<TlsConnector>,
}

pub enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What came back.
pub struct Answer {
    pub status: StatusCode,
    pub location: Option<String>,
    pub body: Vec<u8>,
}

impl Wire {
    /// # Errors
    /// In words: the URL is none of a receiver, or the certificates cannot be read.
    pub fn new(url: &str, ca: Option<&[u8]>, timeout: Duration) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|error| format!("`{url}` is no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("the URL begins neither with https:// nor with http://".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the URL holds a user or password; channels refuse that".to_owned());
        }
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or("the URL has no port")?;
        let tls = if url.scheme() == "https" { Some(connector(ca)?) } else { None };
        Ok(Self { url, port, timeout, tls })
    }

    pub fn is_https(&self) -> bool {
        self.tls.is_some()
    }

    /// # Errors
    /// In words, also when there is no address.
    pub async fn resolve(&self) -> Result<Vec<SocketAddr>, String> {
        match self.url.host() {
            Some(Host::Ipv4(address)) => Ok(vec![SocketAddr::new(address.into(), self.port)]),
            Some(Host::Ipv6(address)) => Ok(vec![SocketAddr::new(address.into(), self.port)]),
            Some(Host::Domain(name)) => {
                let found = self.within(tokio::net::lookup_host((name, self.port))).await?;
                let found: Vec<SocketAddr> =
                    found.map_err(|error| format!("`{name}` cannot be resolved: {error}"))?.collect();
                if found.is_empty() { Err(format!("`{name}` has no address")) } else { Ok(found) }
            }
            None => Err("the URL has no host".to_owned()),
        }
    }

    /// # Errors
    /// In words.
    pub async fn connect(&self, address: SocketAddr) -> Result<TcpStream, String> {
        let stream = self.within(TcpStream::connect(address)).await?;
        stream.map_err(|error| format!("{address} does not answer: {error}"))
    }

    /// TLS where the URL asks for it; with a word on what was agreed.
    ///
    /// # Errors
    /// In words: above all what is wrong with the certificate.
    pub async fn secure(&self, tcp: TcpStream) -> Result<(Stream, String), String> {
        let Some(tls) = &self.tls else { return Ok((Stream::Plain(tcp), String::new())) };
        let name = match self.url.host() {
            Some(Host::Ipv4(address)) => ServerName::from(std::net::IpAddr::from(address)),
            Some(Host::Ipv6(address)) => ServerName::from(std::net::IpAddr::from(address)),
            Some(Host::Domain(name)) => ServerName::try_from(name.trim_end_matches('.').to_owned())
                .map_err(|_| format!("`{name}` is no name that a certificate can be for"))?,
            None => return Err("the URL has no host".to_owned()),
        };
        let stream = self.within(tls.connect(name, tcp)).await?;
        let stream = stream.map_err(|error| tls_problem(&error))?;
        let (_, session) = stream.get_ref();
        let version = session.protocol_version().map(|version| format!("{version:?}")).unwrap_or_default();
        let suite =
            session.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite())).unwrap_or_default();
        let agreed = format!("{} {suite}", version.replace("TLSv1_", "TLS 1."));
        Ok((Stream::Tls(Box::new(stream)), agreed))
    }

    /// # Errors
    /// In words.
    pub async fn post(&self, stream: Stream, headers: HeaderMap, body: Bytes) -> Result<Answer, String> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = hyper::Method::POST;
        let path = &self.url[url::Position::BeforePath..url::Position::AfterQuery];
        *request.uri_mut() = path.parse().map_err(|_| "the URL's path cannot be sent".to_owned())?;
        *request.headers_mut() = headers;
        let answer = async {
            match stream {
                Stream::Plain(stream) => exchange(stream, request).await,
                Stream::Tls(stream) => exchange(*stream, request).await,
            }
        };
        self.within(answer).await?
    }

    async fn within<T>(&self, work: impl Future<Output = T>) -> Result<T, String> {
        let late = |_| format!("nothing within {} s", self.timeout.as_secs_f32());
        tokio::time::timeout(self.timeout, work).await.map_err(late)
    }
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<Answer, String> {
    let failed = |error: hyper::Error| format!("no HTTP answer: {error}");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(failed)?;
    let (head, body) = response.into_parts();
    let location = head.headers.get("location").map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    // The status says all that matters; a body that is endless or breaks off changes nothing.
    let body = Limited::new(body, MAX_ANSWER).collect().await.map(|body| body.to_bytes().to_vec());
    connection.abort();
    Ok(Answer { status: head.status, location, body: body.unwrap_or_default() })
}

fn connector(ca: Option<&[u8]>) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = ca {
        let mut found = 0;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|_| "--ca holds a damaged certificate".to_owned())?;
            roots.add(certificate).map_err(|_| "--ca holds a certificate that cannot be used".to_owned())?;
            found += 1;
        }
        if found == 0 {
            return Err("--ca holds no PEM certificate".to_owned());
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn tls_problem(error: &std::io::Error) -> String {
    use rustls::CertificateError as Certificate;
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(reason)) => match reason {
            Certificate::UnknownIssuer => {
                "the certificate's issuer is not trusted here: send the whole chain, or give --ca".to_owned()
            }
            Certificate::Expired | Certificate::ExpiredContext { .. } => {
                "the certificate has expired".to_owned()
            }
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                "the certificate is not valid yet".to_owned()
            }
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                "the certificate is for another host".to_owned()
            }
            other => format!("the certificate cannot be verified: {other}"),
        },
        _ => format!("the handshake failed: {error}"),
    }
}

/// Milliseconds between two times.
#[must_use]
pub fn millis(from: Timestamp, to: Timestamp) -> i64 {
    i64::try_from(to.duration_since(from).as_millis()).unwrap_or(i64::MAX).max(0)
}
