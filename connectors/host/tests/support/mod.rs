//! Servers on 127.0.0.1 for the tests of outbound HTTP.
#![allow(dead_code)] // each test file uses a part

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use notify_connector_host::outbound::{EgressPolicy, Resolve, Resolving};
use notify_connector_host::request::{Auth, Part, PreparedRequest};
use notify_connector_host::secrets::{ResolvedSecrets, SecretValue};
use notify_core::time::Timestamp;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub type Seen = (http::request::Parts, Bytes);

/// A hyper server that answers every request with `respond` and remembers what it got.
pub struct Server {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    pub seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub async fn start(respond: impl Fn(&Seen) -> Response<Full<Bytes>> + Send + Sync + 'static) -> Self {
        Self::start_with(respond, |tcp| async move { Some(tcp) }).await
    }

    /// `accept` turns the TCP stream into what HTTP is spoken over (TLS).
    pub async fn start_with<S, F>(
        respond: impl Fn(&Seen) -> Response<Full<Bytes>> + Send + Sync + 'static,
        accept: impl Fn(TcpStream) -> F + Send + Sync + 'static,
    ) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = Option<S>> + Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            connections: Arc::default(),
            seen: Arc::default(),
        };
        let (connections, seen, respond) =
            (Arc::clone(&server.connections), Arc::clone(&server.seen), Arc::new(respond));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let Some(stream) = accept(tcp).await else { continue };
                let (seen, respond) = (Arc::clone(&seen), Arc::clone(&respond));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (seen, respond) = (Arc::clone(&seen), Arc::clone(&respond));
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                        let request = (head, body);
                        let response = respond(&request);
                        seen.lock().unwrap().push(request);
                        Ok::<_, Infallible>(response)
                    }
                });
                tokio::spawn(async move {
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        server
    }

    pub fn hits(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }
}

pub fn answer(status: u16, body: &str) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()
}

/// A server that speaks bytes: reads one request per script, writes the script's pieces, then does `end`. One script
/// per connection; the last one repeats.
pub struct RawServer {
    pub address: SocketAddr,
    /// Requests that arrived completely.
    pub requests: Arc<AtomicUsize>,
    pub connections: Arc<AtomicUsize>,
}

#[derive(Clone, Copy)]
pub enum End {
    /// Closes in order (FIN).
    Close,
    /// Closes hard (RST).
    Reset,
    /// Stays open and silent.
    Hang,
    /// Reads one more request and closes without an answer.
    TakeOneAndClose,
}

impl RawServer {
    pub async fn start(scripts: Vec<(Vec<&'static [u8]>, End)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            requests: Arc::default(),
            connections: Arc::default(),
        };
        let (requests, connections) = (Arc::clone(&server.requests), Arc::clone(&server.connections));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let index = connections.fetch_add(1, Ordering::SeqCst);
                let (pieces, end) = scripts[index.min(scripts.len() - 1)].clone();
                tokio::spawn(play(stream, pieces, end, Arc::clone(&requests)));
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }
}

async fn play(mut stream: TcpStream, pieces: Vec<&'static [u8]>, end: End, requests: Arc<AtomicUsize>) {
    read_request(&mut stream).await;
    requests.fetch_add(1, Ordering::SeqCst);
    for piece in pieces {
        if stream.write_all(piece).await.is_err() {
            return;
        }
        let _ = stream.flush().await;
    }
    match end {
        End::Close => {}
        End::Reset => {
            let linger = Some(std::time::Duration::ZERO);
            #[allow(deprecated)] // a linger of zero does not block
            let _ = stream.set_linger(linger);
        }
        End::Hang => std::future::pending().await,
        End::TakeOneAndClose => {
            read_request(&mut stream).await;
            requests.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Reads one request with a `content-length`.
async fn read_request(stream: &mut TcpStream) {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let Ok(count @ 1..) = stream.read(&mut buffer).await else { return };
        bytes.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .and_then(|length| length.parse::<usize>().ok())
            .unwrap_or(0);
        if body.len() >= length {
            return;
        }
    }
}

/// Names to addresses; each lookup of a name takes the next answer, the last one stays.
pub struct Names(pub Mutex<HashMap<&'static str, Vec<Vec<SocketAddr>>>>);

impl Names {
    pub fn new(entries: &[(&'static str, &[&[SocketAddr]])]) -> Arc<Self> {
        let answers = |list: &[&[SocketAddr]]| list.iter().map(|answer| answer.to_vec()).collect();
        Arc::new(Self(Mutex::new(entries.iter().map(|(name, list)| (*name, answers(list))).collect())))
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, name: &'a str, _port: u16) -> Resolving<'a> {
        let mut names = self.0.lock().unwrap();
        let answer = match names.get_mut(name) {
            Some(answers) if answers.len() > 1 => Ok(answers.remove(0)),
            Some(answers) => Ok(answers[0].clone()),
            None => Err(std::io::ErrorKind::NotFound.into()),
        };
        Box::pin(async move { answer })
    }
}

pub fn allow(entries: &[&str]) -> EgressPolicy {
    let guard = notify_netguard::Policy {
        allow: entries.iter().map(|entry| entry.parse().unwrap()).collect(),
        ..notify_netguard::Policy::default()
    };
    EgressPolicy { guard, system_roots: false, ..EgressPolicy::default() }
}

pub fn post(url: &str) -> PreparedRequest {
    PreparedRequest {
        method: "POST".to_owned(),
        url: vec![Part::Text(url.to_owned())],
        headers: vec![("Content-Type".to_owned(), vec![Part::Text("application/json".to_owned())])],
        body: vec![Part::Text("{\"a\":1}".to_owned())],
        auth: Auth::None,
    }
}

pub fn secrets(entries: &[(&str, &[&str])]) -> ResolvedSecrets {
    let mut secrets = ResolvedSecrets::default();
    for (name, values) in entries {
        secrets.insert(*name, values.iter().map(|value| SecretValue::new((*value).to_owned())).collect());
    }
    secrets
}

pub fn attempt_time() -> Timestamp {
    "2026-11-22T06:00:00Z".parse().unwrap()
}
