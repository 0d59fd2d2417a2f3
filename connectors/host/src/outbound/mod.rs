//! Outbound HTTP: the one way a notification leaves this host.
//!
//! ```text
//! PreparedRequest ─ fill, validate, sign ─ check URL ─ pooled connection | resolve ─ check addresses ─ dial ─ TLS ─ send
//! ```
//!
//! Redirects are answers like any other, environment proxies are never read, and the socket address that was checked
//! is the one that is dialled.
#![forbid(unsafe_code)]

mod dial;
mod echo;
mod fault;
mod fill;
mod pool;

pub use dial::{InvalidEgress, Resolve, Resolving, SystemResolver, check_authorities};
pub(crate) use echo::clean_text;
pub use fault::{FaultKind, OutboundFault};

use crate::request::{HttpResponse, PreparedRequest};
use crate::secrets::ResolvedSecrets;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use notify_core::time::Timestamp;
use notify_netguard::Target;
use pool::{Connection, Pool};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The operator's rules for outbound HTTP: where to, and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressPolicy {
    /// Which URLs and addresses may be called.
    pub guard: notify_netguard::Policy,
    /// Name resolution, TCP and TLS together.
    pub connect_timeout: Duration,
    /// Bytes of a request's body; a larger one is not sent.
    pub max_request_body: usize,
    /// Bytes of a response's body; the rest is cut off and `truncated` is set.
    pub max_response_body: usize,
    /// Bytes of a response's status line and headers, at least 8 KiB; more is a protocol fault. Not more than 100
    /// headers are taken in any case.
    pub max_response_header: usize,
    /// An idle connection is closed after one to two times this. Shorter than the usual server's 60 s, so that
    /// mostly we close first.
    pub idle_timeout: Duration,
    /// More idle connections to one origin are closed at once.
    pub max_idle_per_origin: usize,
    /// Trust the system's certificate authorities.
    pub system_roots: bool,
    /// The operator's own certificate authorities, PEM.
    pub extra_ca_pem: Option<Vec<u8>>,
}

impl Default for EgressPolicy {
    fn default() -> Self {
        Self {
            guard: notify_netguard::Policy::default(),
            connect_timeout: Duration::from_secs(5),
            max_request_body: 1024 * 1024,
            max_response_body: 64 * 1024,
            max_response_header: 32 * 1024,
            idle_timeout: Duration::from_secs(25),
            max_idle_per_origin: 128,
            system_roots: true,
            extra_ca_pem: None,
        }
    }
}

impl EgressPolicy {
    /// What a transport, which dials itself, is told of it: the member `studio` of its options.
    #[must_use]
    pub fn for_transports(&self) -> serde_json::Value {
        let shown =
            |of: &[notify_netguard::HostPattern]| of.iter().map(ToString::to_string).collect::<Vec<_>>();
        serde_json::json!({
            "egress": {
                "allow": self.guard.allow.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "onlyHosts": self.guard.only_hosts.as_deref().map(shown),
                "systemRoots": self.system_roots,
                "ca": self.extra_ca_pem.as_deref().map(String::from_utf8_lossy),
            }
        })
    }
}

/// Sends prepared requests under one policy. Cheap to share (`Arc`), one per process.
pub struct Outbound {
    dialer: dial::Dialer,
    pool: Pool,
    max_request_body: usize,
    max_response_body: usize,
    max_response_header: usize,
}

const HEAD_TOO_LARGE: &str = "the response's headers are over the limit";

impl Outbound {
    /// # Errors
    /// [`InvalidEgress`] when the operator's certificates cannot be used.
    pub fn new(policy: EgressPolicy) -> Result<Self, InvalidEgress> {
        Self::with_resolver(policy, Arc::new(SystemResolver))
    }

    /// With another source of addresses for host names.
    ///
    /// # Errors
    /// As [`Outbound::new`].
    pub fn with_resolver(policy: EgressPolicy, resolver: Arc<dyn Resolve>) -> Result<Self, InvalidEgress> {
        let tls = dial::tls_connector(policy.system_roots, policy.extra_ca_pem.as_deref())?;
        let connect_timeout = policy.connect_timeout;
        // hyper panics below its own minimum of 8 KiB.
        let max_response_header = policy.max_response_header.max(8 * 1024);
        Ok(Self {
            dialer: dial::Dialer { policy: policy.guard, resolver, tls, connect_timeout },
            pool: Pool::new(policy.idle_timeout, policy.max_idle_per_origin, max_response_header),
            max_request_body: policy.max_request_body,
            max_response_body: policy.max_response_body,
            max_response_header,
        })
    }

    /// One attempt: fills in secrets, signs with `attempt_time`, sends, reads the (cut) response. Any status is a
    /// response, redirects included. `timeout` covers everything.
    ///
    /// # Errors
    /// [`OutboundFault`], which also says whether it is certain that nothing was sent.
    pub async fn execute(
        &self,
        request: &PreparedRequest,
        secrets: &ResolvedSecrets,
        delivery_id: &str,
        attempt_time: Timestamp,
        timeout: Duration,
    ) -> Result<HttpResponse, OutboundFault> {
        let filled = fill::fill(
            request,
            secrets,
            delivery_id,
            attempt_time,
            &self.dialer.policy,
            self.max_request_body,
        )?;
        let sent = echo::Sent::of(filled.request.headers());
        let on_wire = AtomicBool::new(false);
        match tokio::time::timeout(timeout, self.send(filled, &on_wire)).await {
            // Nobody sees an answer before this: not the codec, which must not learn a secret, and not the store.
            Ok(result) => result.map(|mut response| {
                echo::clean(&mut response, secrets, &sent);
                response
            }),
            Err(_) => {
                let never_sent = !on_wire.load(Ordering::Relaxed);
                let what = if never_sent { "no connection" } else { "no complete response" };
                let detail = format!("{what} within {} ms", timeout.as_millis());
                Err(OutboundFault { kind: FaultKind::Timeout, detail, never_sent })
            }
        }
    }

    /// `on_wire` is true while bytes of the request may have left.
    async fn send(&self, filled: fill::Filled, on_wire: &AtomicBool) -> Result<HttpResponse, OutboundFault> {
        let fill::Filled { target, host_is_secret, mut request } = filled;
        loop {
            let (mut connection, reused) = match self.pool.take(&target).await {
                Some(connection) => (connection, true),
                None => {
                    let stream = self.dialer.dial(&target, host_is_secret).await?;
                    (self.pool.open(stream).await?, false)
                }
            };
            on_wire.store(true, Ordering::Relaxed);
            match connection.sender.try_send_request(request).await {
                Ok(response) => return self.receive(target, connection, response).await,
                Err(mut error) => match error.take_message() {
                    // hyper hands the request back only if it never began to write it: the idle connection was
                    // closed under us. Another one may take it without a risk of sending twice.
                    Some(unsent) if reused => {
                        on_wire.store(false, Ordering::Relaxed);
                        request = unsent;
                    }
                    Some(_) => {
                        return Err(OutboundFault::before(
                            FaultKind::Reset,
                            "the connection was closed at once",
                        ));
                    }
                    None => return Err(classify(error.error())),
                },
            }
        }
    }

    async fn receive(
        &self,
        target: Target,
        connection: Connection,
        response: http::Response<Incoming>,
    ) -> Result<HttpResponse, OutboundFault> {
        let (head, mut incoming) = response.into_parts();
        // hyper looks at its limit between reads only, and one read may bring twice as much.
        let head_bytes: usize =
            head.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
        if head_bytes > self.max_response_header {
            return Err(OutboundFault::after(FaultKind::Protocol, HEAD_TOO_LARGE));
        }
        let headers = head
            .headers
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let mut body = Vec::new();
        let mut truncated = false;
        while let Some(frame) = incoming.frame().await {
            let Ok(data) = frame.map_err(|error| classify(&error))?.into_data() else { continue };
            let room = self.max_response_body - body.len();
            body.extend_from_slice(data.get(..room).unwrap_or(&data));
            if data.len() > room {
                truncated = true;
                break;
            }
        }
        if !truncated {
            self.pool.put(target, connection);
        }
        Ok(HttpResponse { status: head.status.as_u16(), headers, body, truncated })
    }
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound").field("policy", &self.dialer.policy).finish_non_exhaustive()
    }
}

/// The request may have been received. hyper's own texts speak of our internals, so they are replaced.
fn classify(error: &hyper::Error) -> OutboundFault {
    if error.is_parse_too_large() {
        return OutboundFault::after(FaultKind::Protocol, HEAD_TOO_LARGE);
    }
    if error.is_parse() {
        return OutboundFault::after(FaultKind::Protocol, "the response is not valid HTTP/1.1");
    }
    let cut_off = "the connection was closed before the response was complete";
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => {
            OutboundFault::after(FaultKind::Protocol, "the response's body is not valid HTTP/1.1")
        }
        None | Some(io::ErrorKind::UnexpectedEof) => OutboundFault::after(FaultKind::Reset, cut_off),
        Some(kind) => OutboundFault::after(FaultKind::Reset, format!("the connection failed: {kind}")),
    }
}
