//! A TCP proxy on loopback that does to connections what networks do: it delays, cuts, resets, swallows and refuses.
//!
//! What happens to a connection is decided when it is accepted, by the [`Script`] of that moment; a [`Cut`] can also be
//! armed for whatever connection meets it first, and open connections can be severed. Nothing here is random unless a
//! seed says so, and the seed decides everything.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toward {
    Server,
    Client,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Both sides see an orderly end (FIN).
    Close,
    /// Both sides see a hard end (RST).
    Reset,
    /// Only this direction ends (FIN); what comes the other way still arrives.
    HalfClose,
    /// Nothing more arrives in this direction, and nobody is told.
    Silence,
}

/// When a cut happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// This many bytes have gone through (since the connection began, or since the cut was armed).
    After(u64),
    /// Just before the bytes in which this text ends would go through.
    Before(Vec<u8>),
    /// Just after this text went through.
    Passed(Vec<u8>),
}

/// A break in one direction of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    pub toward: Toward,
    pub when: When,
    pub how: Ending,
}

/// What happens to one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    Pass,
    /// Each piece waits this long before it goes on.
    Delay {
        to_server: Duration,
        to_client: Duration,
    },
    /// Accepted; then nothing is read and nothing is said.
    BlackHole,
    /// Accepted, and reset before a byte has gone through.
    ResetAtOnce,
    Cut(Cut),
}

/// Which connection gets which fault.
#[derive(Debug, Clone)]
pub enum Script {
    /// All the same.
    Always(Fault),
    /// The next connections get these, in order; later ones pass.
    Each(Vec<Fault>),
    /// Each draws its fault: (probability, fault); what is left passes. The same seed draws the same faults.
    Drawn { seed: u64, odds: Vec<(f64, Fault)> },
}

/// A listening proxy; dropping it ends it and all its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    inner: Arc<Inner>,
    orders: mpsc::UnboundedSender<(bool, oneshot::Sender<()>)>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Inner {
    server: Mutex<SocketAddr>,
    decisions: Mutex<Decisions>,
    armed: Mutex<Option<Cut>>,
    /// Counts the calls of [`Proxy::sever`].
    severed: watch::Sender<(u64, Ending)>,
    connections: AtomicU64,
    cuts: AtomicU64,
    bytes: [AtomicU64; 2],
}

#[derive(Debug)]
enum Decisions {
    Always(Fault),
    Each(VecDeque<Fault>),
    Drawn { state: u64, odds: Vec<(f64, Fault)> },
}

impl Decisions {
    fn next(&mut self) -> Fault {
        match self {
            Self::Always(fault) => fault.clone(),
            Self::Each(faults) => faults.pop_front().unwrap_or(Fault::Pass),
            Self::Drawn { state, odds } => {
                let mut draw = unit(state);
                for (probability, fault) in odds {
                    if draw < *probability {
                        return fault.clone();
                    }
                    draw -= *probability;
                }
                Fault::Pass
            }
        }
    }
}

/// The next number in `[0, 1)` (SplitMix64).
fn unit(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

impl From<Script> for Decisions {
    fn from(script: Script) -> Self {
        match script {
            Script::Always(fault) => Self::Always(fault),
            Script::Each(faults) => Self::Each(faults.into()),
            Script::Drawn { seed, odds } => Self::Drawn { state: seed, odds },
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Listens on a free loopback port and passes everything on to `server`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner {
            server: Mutex::new(server),
            decisions: Mutex::new(Decisions::Always(Fault::Pass)),
            armed: Mutex::new(None),
            severed: watch::Sender::new((0, Ending::Close)),
            connections: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            bytes: Default::default(),
        });
        let (orders, received) = mpsc::unbounded_channel();
        let task = tokio::spawn(accept(listener, Arc::clone(&inner), received));
        Ok(Self { address, inner, orders, task })
    }

    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// New connections go here from now on.
    pub fn point_at(&self, server: SocketAddr) {
        *held(&self.inner.server) = server;
    }

    /// Decides about connections from now on; open ones keep their fault.
    pub fn set(&self, script: Script) {
        *held(&self.inner.decisions) = script.into();
    }

    /// Cuts once: the connection, old or new, that meets it first.
    pub fn arm(&self, cut: Cut) {
        *held(&self.inner.armed) = Some(cut);
    }

    /// True when an armed cut has not happened yet.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        held(&self.inner.armed).is_some()
    }

    /// Ends all open connections, those that swallow everything too.
    pub fn sever(&self, how: Ending) {
        self.inner.severed.send_modify(|severed| *severed = (severed.0 + 1, how));
    }

    /// Refuses connections (the port is kept, but nobody listens) until told otherwise; returns when that is so.
    pub async fn refuse(&self, refuse: bool) {
        let (done, reached) = oneshot::channel();
        if self.orders.send((refuse, done)).is_ok() {
            let _ = reached.await;
        }
    }

    /// Connections that were accepted.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.inner.connections.load(Ordering::SeqCst)
    }

    /// Cuts that happened.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.inner.cuts.load(Ordering::SeqCst)
    }

    /// Bytes that have gone through in this direction.
    #[must_use]
    pub fn bytes(&self, toward: Toward) -> u64 {
        self.inner.bytes[toward as usize].load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    inner: Arc<Inner>,
    mut orders: mpsc::UnboundedReceiver<(bool, oneshot::Sender<()>)>,
) {
    let Ok(address) = listener.local_addr() else { return };
    let mut listener = Some(listener);
    // A socket that is bound and does not listen keeps the port ours while it refuses.
    let mut bound: Option<TcpSocket> = None;
    let mut open = JoinSet::new();
    loop {
        let next = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Ok((client, _)) = next => {
                inner.connections.fetch_add(1, Ordering::SeqCst);
                open.spawn(serve(client, Arc::clone(&inner)));
            }
            order = orders.recv() => {
                let Some((refuse, done)) = order else { return };
                if refuse && listener.is_some() {
                    drop(listener.take());
                    bound = bind(address).ok();
                } else if !refuse && listener.is_none() {
                    let socket = bound.take().map_or_else(|| bind(address), Ok);
                    listener = socket.and_then(|socket| socket.listen(1024)).ok();
                }
                let _ = done.send(());
            }
            Some(_) = open.join_next(), if !open.is_empty() => {}
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn serve(mut client: TcpStream, inner: Arc<Inner>) {
    let fault = held(&inner.decisions).next();
    let mut severed = inner.severed.subscribe();
    severed.mark_unchanged();
    if fault == Fault::ResetAtOnce {
        return reset(&client);
    }
    if fault == Fault::BlackHole {
        let how = sever(&mut severed).await;
        return if how == Ending::Reset {
            reset(&client)
        };
    }
    let server = *held(&inner.server);
    // A server that is not there looks to the client as if the connection broke, which is what a proxy can do.
    let Ok(mut server) = TcpStream::connect(server).await else { return reset(&client) };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let how = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let there = Pump::new(Toward::Server, &fault, &inner).run(from_client, to_server);
        let back = Pump::new(Toward::Client, &fault, &inner).run(from_server, to_client);
        tokio::select! {
            how = async { tokio::try_join!(there, back).err().unwrap_or(Ending::Close) } => how,
            how = sever(&mut severed) => how,
        }
    };
    if how == Ending::Reset {
        reset(&client);
        reset(&server);
    }
}

/// Waits for an order to end all connections.
async fn sever(severed: &mut watch::Receiver<(u64, Ending)>) -> Ending {
    match severed.changed().await {
        Ok(()) => severed.borrow().1,
        Err(_) => std::future::pending().await,
    }
}

/// The stream's end, when it is dropped, is a reset.
fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

struct Pump<'i> {
    toward: Toward,
    delay: Duration,
    own: Option<Cut>,
    inner: &'i Inner,
    /// Bytes that have gone through.
    passed: u64,
    /// The last of them: a text may come in pieces.
    tail: Vec<u8>,
}

impl<'i> Pump<'i> {
    fn new(toward: Toward, fault: &Fault, inner: &'i Inner) -> Self {
        let delay = match (fault, toward) {
            (Fault::Delay { to_server, .. }, Toward::Server) => *to_server,
            (Fault::Delay { to_client, .. }, Toward::Client) => *to_client,
            _ => Duration::ZERO,
        };
        let own = match fault {
            Fault::Cut(cut) if cut.toward == toward => Some(cut.clone()),
            _ => None,
        };
        Self { toward, delay, own, inner, passed: 0, tail: vec![] }
    }

    /// Passes bytes on until the source ends; `Err` is how the whole connection is to end.
    async fn run(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Result<(), Ending> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            // A cut after no bytes happens before the first.
            if let Some((0, how)) = self.cut_in(&[]) {
                return self.end(how, from, to).await;
            }
            let count = match from.read(&mut buffer).await {
                Ok(0) => {
                    let _ = to.shutdown().await;
                    return Ok(());
                }
                Ok(count) => count,
                // One side broke off: so does the other.
                Err(_) => return Err(Ending::Reset),
            };
            let piece = &buffer[..count];
            if !self.delay.is_zero() {
                #[allow(clippy::disallowed_methods)] // waiting is what is asked for
                tokio::time::sleep(self.delay).await;
            }
            let cut = self.cut_in(piece);
            let piece = &piece[..cut.map_or(count, |(at, _)| at.min(count))];
            if to.write_all(piece).await.is_err() {
                return Err(Ending::Reset);
            }
            self.inner.bytes[self.toward as usize].fetch_add(piece.len() as u64, Ordering::SeqCst);
            self.passed += piece.len() as u64;
            if let Some((_, how)) = cut {
                return self.end(how, from, to).await;
            }
        }
    }

    async fn end(&self, how: Ending, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Result<(), Ending> {
        self.inner.cuts.fetch_add(1, Ordering::SeqCst);
        match how {
            Ending::Close | Ending::Reset => return Err(how),
            Ending::HalfClose => drop(to.shutdown().await),
            Ending::Silence => {}
        }
        // What still comes is taken and forgotten, as if it were on its way.
        let mut buffer = [0; 4096];
        while let Ok(1..) = from.read(&mut buffer).await {}
        if how == Ending::Silence {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    /// Where in this piece the connection's own cut or the armed one falls.
    fn cut_in(&mut self, piece: &[u8]) -> Option<(usize, Ending)> {
        let own = self
            .own
            .as_ref()
            .and_then(|cut| Some((place(&cut.when, self.passed, &self.tail, piece)?, cut.how)));
        let mut armed = held(&self.inner.armed);
        let other = match armed.as_mut().filter(|cut| cut.toward == self.toward) {
            Some(Cut { when: When::After(left), how, .. }) => {
                let found = usize::try_from(*left).ok().filter(|left| *left <= piece.len());
                *left = left.saturating_sub(piece.len() as u64);
                // Armed with nothing left it still waits for a byte: a connection that rests is not touched.
                found.filter(|_| !piece.is_empty()).map(|at| (at, *how))
            }
            Some(cut) => place(&cut.when, self.passed, &self.tail, piece).map(|at| (at, cut.how)),
            None => None,
        };
        if other.is_some() {
            *armed = None;
        }
        drop(armed);
        self.tail.extend_from_slice(piece);
        self.tail.drain(..self.tail.len().saturating_sub(256));
        own.into_iter().chain(other).min_by_key(|(at, _)| *at)
    }
}

/// How many bytes of the piece still go through; `None`: all, and no cut.
fn place(when: &When, passed: u64, tail: &[u8], piece: &[u8]) -> Option<usize> {
    let text_ends = |text: &[u8]| {
        let joined: Vec<u8> = tail.iter().chain(piece).copied().collect();
        let mut ends = joined.windows(text.len().max(1)).enumerate();
        ends.find_map(|(at, window)| {
            (window == text)
                .then(|| (at + text.len()).checked_sub(tail.len()))
                .flatten()
                .filter(|end| *end > 0)
        })
    };
    match when {
        When::After(count) => {
            usize::try_from(count.checked_sub(passed)?).ok().filter(|left| *left <= piece.len())
        }
        // The piece holds the end of the text, so nothing of this piece is passed on.
        When::Before(text) => text_ends(text).map(|_| 0),
        When::Passed(text) => text_ends(text),
    }
}

#[cfg(test)]
mod tests;
