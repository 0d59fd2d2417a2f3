//! One living child: its process, its socket, and the calls that wait for it.

use crate::child::sandbox::Sandbox;
use crate::frame::{FrameFault, FromChild, ToChild, split};
use crate::load::Verified;
use crate::manifest::Kind;
use crate::pending::{Answer, Awaits, Fate, Pending};
use crate::process::spawn;
use notify_connector_abi as abi;
use rustix::process::Signal;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::{Notify, oneshot};

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is counted over the life of a plug-in, across its processes.
#[derive(Debug, Default)]
pub struct Counters {
    pub started: AtomicU64,
    pub crashes: AtomicU64,
    pub timeouts: AtomicU64,
    /// Answers to calls that were answered or given up before.
    pub late: AtomicU64,
    /// Answers to calls that never were.
    pub unknown: AtomicU64,
    /// Answers that break the contract.
    pub garbage: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Why no child could be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpawnFault {
    #[error("the child process could not be started: {0}")]
    Start(String),
    #[error("the plug-in was not ready in time")]
    Slow,
    #[error("the child process ended before it was ready: {0}")]
    Ended(String),
    #[error("the plug-in refused to start: {0}")]
    Refused(String),
}

pub(crate) struct Connection {
    pending: Mutex<Pending>,
    outbox: Mutex<Vec<u8>>,
    wake: Notify,
    dead: AtomicBool,
    /// Set when we ended it on purpose: its end is then no crash.
    dismissed: AtomicBool,
    pidfd: OwnedFd,
    pub pid: u32,
    /// How the process ended; set by the thread that waits for it.
    exit: Mutex<Option<String>>,
    /// Its last words on standard error.
    last_line: Mutex<String>,
    ended: Notify,
    /// Its end was dealt with: calls failed, death noted.
    finished: AtomicBool,
    name: String,
    /// What of the sandbox is in force, as the child said.
    sandbox: Mutex<String>,
    counters: Arc<Counters>,
}

/// How a child is begun.
#[derive(Clone, Copy)]
pub(crate) struct Begin<'a> {
    /// Operator's settings for the plug-in, JSON.
    pub options: &'a [u8],
    /// Until it is ready.
    pub patience: Duration,
    pub cpu_seconds: u32,
    pub sandbox: Sandbox,
}

/// A call under way. Dropped without an answer, it frees its slot.
pub(crate) struct Call<'c> {
    connection: &'c Connection,
    pub token: u64,
    receiver: oneshot::Receiver<Answer>,
}

impl Call<'_> {
    /// `None`: the child died.
    pub async fn answer(&mut self) -> Option<Answer> {
        (&mut self.receiver).await.ok()
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        lock(&self.connection.pending).forget(self.token);
        if self.connection.was_dismissed() {
            // The last call out lets the writer end the socket.
            self.connection.wake.notify_one();
        }
    }
}

impl Connection {
    /// Starts a child for the plug-in and waits until it is ready.
    ///
    /// # Errors
    /// [`SpawnFault`]; no process is left behind.
    pub async fn open(
        host_binary: &Path,
        plugin: &Verified,
        begin: Begin<'_>,
        counters: Arc<Counters>,
        on_end: impl FnOnce(&Self) + Send + 'static,
    ) -> Result<Arc<Self>, SpawnFault> {
        let failed = |error: std::io::Error| SpawnFault::Start(error.to_string());
        let (ours, theirs) = StdUnixStream::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let mut stream = UnixStream::from_std(ours).map_err(failed)?;
        let library = plugin.library.try_clone().map_err(failed)?;

        let mut command = Command::new(host_binary);
        command.env_clear().stdin(OwnedFd::from(theirs)).stdout(library).stderr(Stdio::piped());
        let (started, exited) = spawn(command).await.map_err(failed)?;
        let connection = Arc::new(Self {
            pending: Mutex::default(),
            outbox: Mutex::default(),
            wake: Notify::new(),
            dead: AtomicBool::new(false),
            dismissed: AtomicBool::new(false),
            pidfd: started.pidfd,
            pid: started.pid,
            exit: Mutex::default(),
            last_line: Mutex::default(),
            ended: Notify::new(),
            finished: AtomicBool::new(false),
            name: plugin.manifest.name.clone(),
            sandbox: Mutex::default(),
            counters,
        });
        Counters::add(&connection.counters.started);
        if let Some(stderr) = started.stderr {
            tokio::spawn(log_stderr(Arc::clone(&connection), stderr));
        }
        tokio::spawn({
            let connection = Arc::clone(&connection);
            async move {
                let status = exited.await.unwrap_or_else(|_| "unknown".to_owned());
                *lock(&connection.exit) = Some(status);
                connection.ended.notify_waiters();
            }
        });

        // From here on every way out must end the process: dropping the guard does.
        let guard = KillUnlessReady(&connection);
        let mut input = Vec::new();
        let greeted = greet(&mut stream, plugin, begin, &mut input);
        let ready = tokio::time::timeout(begin.patience, greeted).await;
        match ready {
            Ok(Ok(sandbox)) => *lock(&connection.sandbox) = sandbox,
            Ok(Err(Greeting::Fault(fault))) => return Err(fault),
            Ok(Err(Greeting::Gone)) => {
                let _ = tokio::time::timeout(Duration::from_secs(1), connection.wait_ended()).await;
                return Err(SpawnFault::Ended(connection.exit_text()));
            }
            Err(_) => return Err(SpawnFault::Slow),
        }
        std::mem::forget(guard);

        let (reader, writer) = stream.into_split();
        tokio::spawn(write_loop(Arc::clone(&connection), writer));
        tokio::spawn({
            let connection = Arc::clone(&connection);
            async move {
                let reason = read_loop(&connection, reader, input).await;
                connection.end(&reason).await;
                on_end(&connection);
                connection.finished.store(true, Ordering::Release);
                connection.ended.notify_waiters();
            }
        });
        Ok(connection)
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    pub fn was_dismissed(&self) -> bool {
        self.dismissed.load(Ordering::Acquire)
    }

    pub fn in_flight(&self) -> usize {
        lock(&self.pending).len()
    }

    pub fn sandbox(&self) -> String {
        lock(&self.sandbox).clone()
    }

    /// How it ended, for people.
    pub fn exit_text(&self) -> String {
        let exit = lock(&self.exit).clone().unwrap_or_else(|| "it closed its socket".to_owned());
        let last = lock(&self.last_line);
        if last.is_empty() { exit } else { format!("{exit}, after `{last}`") }
    }

    /// Queues one frame and reserves the place of its answer. `Ok(None)`: the child is dead or dismissed.
    ///
    /// # Errors
    /// [`FrameFault::Length`]: too long for any frame.
    pub fn call(&self, frame: &ToChild<'_>, awaits: Awaits) -> Result<Option<Call<'_>>, FrameFault> {
        let Some((token, receiver)) = lock(&self.pending).insert(awaits) else { return Ok(None) };
        let call = Call { connection: self, token, receiver };
        self.tell(frame, token)?;
        Ok(Some(call))
    }

    /// Queues one frame that has no answer of its own.
    ///
    /// # Errors
    /// [`FrameFault::Length`].
    pub fn tell(&self, frame: &ToChild<'_>, token: u64) -> Result<(), FrameFault> {
        frame.write(token, &mut lock(&self.outbox))?;
        // Whatever else waits by the time the writer runs goes out in the same write.
        self.wake.notify_one();
        Ok(())
    }

    /// Ends the process at once; no further call is given to it.
    pub fn kill(&self) {
        self.dead.store(true, Ordering::Release);
        // An error means that it has ended already.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Lets the process finish: it takes no new calls, and sees the end of its socket after the last one.
    pub fn dismiss(&self) {
        lock(&self.pending).refuse_new();
        self.dismissed.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Until the process is gone.
    pub async fn wait_ended(&self) {
        self.wait(|this| lock(&this.exit).is_some()).await;
    }

    /// Until its end was dealt with: a successor must not be started before its death is counted.
    pub async fn wait_finished(&self) {
        self.wait(|this| this.finished.load(Ordering::Acquire)).await;
    }

    async fn wait(&self, holds: impl Fn(&Self) -> bool) {
        loop {
            let notified = self.ended.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if holds(self) {
                return;
            }
            notified.await;
        }
    }

    /// The socket is done, for whatever reason: fail the calls, make sure that the process is gone.
    async fn end(&self, reason: &str) {
        self.dead.store(true, Ordering::Release);
        let failed = lock(&self.pending).close();
        self.wake.notify_one();
        if self.was_dismissed() {
            // It may still be finishing what it accepted; `dismiss`'s caller decides when that has lasted long enough.
            return;
        }
        // A process without its socket cannot be used for anything; one that broke the protocol must not go on.
        self.kill();
        let _ = tokio::time::timeout(Duration::from_secs(1), self.wait_ended()).await;
        tracing::warn!(
            plugin = self.name,
            pid = self.pid,
            failed,
            exit = self.exit_text(),
            reason,
            "connector ended"
        );
    }

    fn receive(&self, token: u64, frame: &FromChild<'_>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let answer = match *frame {
            FromChild::Prepared { code, request_json, detail } => {
                Answer::Prepared { code, request_json: request_json.to_vec(), detail: text(detail) }
            }
            FromChild::Outcome { code, retry_after_ms, detail, provider_reference } => Answer::Outcome {
                code,
                retry_after_ms: (retry_after_ms != abi::NOT_SAID).then_some(retry_after_ms),
                detail: text(detail),
                provider_reference: (!provider_reference.is_empty()).then(|| text(provider_reference)),
            },
            FromChild::Validated { code, problems_json } => {
                Answer::Validated { code, problems_json: problems_json.to_vec() }
            }
            FromChild::Log { level, text: line, fields_json } => {
                log(&self.name, level, &text(line), &text(fields_json));
                return;
            }
            FromChild::Ready { .. } | FromChild::Refused { .. } => {
                Counters::add(&self.counters.garbage);
                return;
            }
        };
        let fate = lock(&self.pending).deliver(token, answer);
        match fate {
            Fate::Delivered => {}
            Fate::Late => Counters::add(&self.counters.late),
            Fate::Unknown => Counters::add(&self.counters.unknown),
            Fate::WrongKind => Counters::add(&self.counters.garbage),
        }
    }
}

struct KillUnlessReady<'c>(&'c Connection);

impl Drop for KillUnlessReady<'_> {
    fn drop(&mut self) {
        self.0.kill();
    }
}

enum Greeting {
    Fault(SpawnFault),
    Gone,
}

/// Sends the start frame and waits for the plug-in to be ready; checks that it is what the manifest says.
async fn greet(
    stream: &mut UnixStream,
    plugin: &Verified,
    begin: Begin<'_>,
    input: &mut Vec<u8>,
) -> Result<String, Greeting> {
    let refused = |text: String| Greeting::Fault(SpawnFault::Refused(text));
    let capability = match plugin.manifest.kind {
        Kind::Codec => abi::CAP_CODEC,
        Kind::Transport => abi::CAP_TRANSPORT,
    };
    let mut out = Vec::new();
    let start = ToChild::Start {
        capability,
        max_request: plugin.manifest.limits.max_request_bytes,
        cpu_seconds: begin.cpu_seconds,
        sandbox: begin.sandbox.number(),
        options_json: begin.options,
    };
    start.write(0, &mut out).map_err(|fault| refused(fault.to_string()))?;
    stream.write_all(&out).await.map_err(|_| Greeting::Gone)?;
    loop {
        if let Some(raw) = split(input).map_err(|fault| refused(fault.to_string()))? {
            let frame = FromChild::read(&raw).map_err(|fault| refused(fault.to_string()))?;
            match frame {
                FromChild::Ready { describe_json, sandbox, .. } => {
                    same_identity(describe_json, plugin).map_err(refused)?;
                    let sandbox = String::from_utf8_lossy(sandbox).into_owned();
                    let consumed = raw.consumed;
                    input.drain(..consumed);
                    return Ok(sandbox);
                }
                FromChild::Refused { reason } => {
                    return Err(refused(String::from_utf8_lossy(reason).into_owned()));
                }
                // A plug-in may log while it is being made; it is not told from where, as there is no connection yet.
                FromChild::Log { level, text, fields_json } => {
                    let text = String::from_utf8_lossy(text).into_owned();
                    log(&plugin.manifest.name, level, &text, &String::from_utf8_lossy(fields_json));
                    let consumed = raw.consumed;
                    input.drain(..consumed);
                    continue;
                }
                _ => return Err(refused("it answered before it was asked".to_owned())),
            }
        }
        match stream.read_buf(input).await {
            Ok(0) | Err(_) => return Err(Greeting::Gone),
            Ok(_) => {}
        }
    }
}

/// What the library says of itself must be what was signed: else a library was staged under another one's manifest.
fn same_identity(describe_json: &[u8], plugin: &Verified) -> Result<(), String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Described {
        name: String,
        version: String,
        kind: Kind,
        channel_types: Vec<String>,
    }
    let described: Described =
        serde_json::from_slice(describe_json).map_err(|error| format!("its description: {error}"))?;
    let manifest = &plugin.manifest;
    let same = described.name == manifest.name
        && described.version == manifest.version
        && described.kind == manifest.kind
        && described.channel_types == manifest.channel_types;
    if same {
        Ok(())
    } else {
        Err(format!(
            "the library is {} {}, its manifest says {} {} (name, version, kind and channel types must agree)",
            described.name, described.version, manifest.name, manifest.version
        ))
    }
}

async fn write_loop(connection: Arc<Connection>, mut writer: tokio::net::unix::OwnedWriteHalf) {
    let mut batch = Vec::new();
    loop {
        connection.wake.notified().await;
        loop {
            std::mem::swap(&mut batch, &mut *lock(&connection.outbox));
            if batch.is_empty() {
                break;
            }
            if writer.write_all(&batch).await.is_err() {
                // The reader sees the end too, and does what is to be done.
                return;
            }
            batch.clear();
            // A burst's memory must not stay: two buffers of at most this size remain per plug-in.
            batch.shrink_to(KEPT);
        }
        if connection.is_dead() || (connection.was_dismissed() && connection.in_flight() == 0) {
            drop(writer.shutdown().await);
            return;
        }
    }
}

/// Buffer space that is kept between bursts, in bytes.
const KEPT: usize = 64 * 1024;

/// Reads until the child is gone or breaks the protocol; says why it ended.
async fn read_loop(
    connection: &Connection,
    mut reader: tokio::net::unix::OwnedReadHalf,
    mut input: Vec<u8>,
) -> String {
    loop {
        let mut done = 0;
        loop {
            let frame = split(input.get(done..).unwrap_or_default())
                .and_then(|raw| raw.map(|raw| FromChild::read(&raw).map(|frame| (raw, frame))).transpose());
            match frame {
                Ok(Some((raw, frame))) => {
                    connection.receive(raw.token, &frame);
                    done += raw.consumed;
                }
                Ok(None) => break,
                Err(fault) => {
                    Counters::add(&connection.counters.garbage);
                    return fault.to_string();
                }
            }
        }
        input.drain(..done);
        if input.is_empty() {
            input.shrink_to(KEPT);
        }
        if input.capacity() - input.len() < KEPT / 4 {
            input.reserve(KEPT / 2);
        }
        match reader.read_buf(&mut input).await {
            Ok(0) => return "end of the socket".to_owned(),
            Ok(_) => {}
            // A crash shows as a reset when unread frames were left, as an end otherwise.
            Err(error) => return error.to_string(),
        }
    }
}

async fn log_stderr(connection: Arc<Connection>, stderr: std::process::ChildStderr) {
    let Ok(stderr) = tokio::process::ChildStderr::from_std(stderr) else { return };
    let mut lines = tokio::io::BufReader::with_capacity(1024, stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        // Bounded: a plug-in that never ends its line gets it cut.
        let mut limited = (&mut lines).take(4096);
        match limited.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                let text = text.trim_end();
                log(&connection.name, 2, text, "");
                *lock(&connection.last_line) = text.chars().filter(|c| !c.is_control()).take(200).collect();
            }
        }
    }
}

fn log(plugin: &str, level: u8, text: &str, fields: &str) {
    match u32::from(level) {
        abi::LOG_ERROR => tracing::error!(plugin, fields, "{text}"),
        abi::LOG_WARN => tracing::warn!(plugin, fields, "{text}"),
        abi::LOG_INFO => tracing::info!(plugin, fields, "{text}"),
        _ => tracing::debug!(plugin, fields, "{text}"),
    }
}
