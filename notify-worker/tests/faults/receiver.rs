//! A webhook receiver in plain TCP: it remembers what arrived whole, and answers when it is told to.

use notify_connector_host::signing::{self, VerifyingKey, WebhookHeaders};
use notify_core::time::Clock;
use notify_worker::clock::{SystemClock, wait};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The secret of every channel.
pub const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// One whole request whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    pub webhook_id: String,
    pub body: Vec<u8>,
}

pub struct Receiver {
    pub address: SocketAddr,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    /// While true, requests are taken in and not answered.
    pub hold: watch::Sender<bool>,
}

impl Receiver {
    /// Answers each request after `pause`.
    pub async fn start(pause: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let arrivals: Arc<Mutex<Vec<Arrival>>> = Arc::default();
        let hold = watch::Sender::new(false);
        let (kept, holding) = (Arc::clone(&arrivals), hold.subscribe());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, pause, Arc::clone(&kept), holding.clone()));
            }
        });
        Self { address, arrivals, hold }
    }

    pub fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().unwrap().clone()
    }

    /// Bodies by webhook-id.
    pub fn by_id(&self) -> HashMap<String, Vec<Vec<u8>>> {
        let mut all: HashMap<String, Vec<Vec<u8>>> = HashMap::new();
        for arrival in self.arrivals() {
            all.entry(arrival.webhook_id).or_default().push(arrival.body);
        }
        all
    }
}

async fn serve(
    mut stream: TcpStream,
    pause: Duration,
    kept: Arc<Mutex<Vec<Arrival>>>,
    mut holding: watch::Receiver<bool>,
) {
    let mut bytes = Vec::new();
    while let Some(arrival) = request(&mut stream, &mut bytes).await {
        kept.lock().unwrap().push(arrival);
        if !pause.is_zero() {
            wait(pause).await;
        }
        if holding.wait_for(|hold| !hold).await.is_err() {
            return;
        }
        if stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.is_err() {
            return;
        }
    }
}

/// Reads one whole request; `None` when the connection ends first.
async fn request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<Arrival> {
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let header = |name: &str| {
                let mut lines = head.lines().filter_map(|line| line.split_once(": "));
                lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
            };
            let whole = end + 4 + header("content-length").unwrap().parse::<usize>().unwrap();
            if bytes.len() >= whole {
                let body = bytes[end + 4..whole].to_vec();
                bytes.drain(..whole);
                let [id, timestamp, signature] =
                    [signing::ID_HEADER, signing::TIMESTAMP_HEADER, signing::SIGNATURE_HEADER]
                        .map(|name| header(name).unwrap());
                let headers = WebhookHeaders { id: &id, timestamp: &timestamp, signature: &signature };
                let key = VerifyingKey::parse(SECRET).unwrap();
                signing::verify(&[key], headers, &body, SystemClock.now()).expect("the signature holds");
                return Some(Arrival { webhook_id: id, body });
            }
        }
        match stream.read_buf(bytes).await {
            Ok(1..) => {}
            _ => return None,
        }
    }
}
