//! Keeps one plug-in's child alive: started when first needed, replaced when it dies, left alone when it keeps dying.

use crate::child::sandbox::Sandbox;
use crate::connection::{Begin, Connection, Counters, SpawnFault, lock};
use crate::frame::ToChild;
use crate::load::Verified;
use crate::manifest::Kind;
use crate::pending::{Answer, Awaits};
use arc_swap::{ArcSwap, ArcSwapOption};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// How deaths are answered. One death costs a respawn at once; from the second within `window` on, a pause that
/// doubles; at `breaker_after` deaths the breaker opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    pub window: Duration,
    pub first_pause: Duration,
    pub longest_pause: Duration,
    pub breaker_after: usize,
    pub breaker_pause: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(60),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            breaker_after: 5,
            breaker_pause: Duration::from_secs(30),
        }
    }
}

impl RestartPolicy {
    /// How long to wait after the latest of `deaths` within the window.
    #[must_use]
    pub fn pause(&self, deaths: usize) -> Duration {
        if deaths >= self.breaker_after {
            return self.breaker_pause;
        }
        match deaths {
            0 | 1 => Duration::ZERO,
            more => {
                let doublings = u32::try_from(more - 2).unwrap_or(u32::MAX).min(20);
                self.first_pause.saturating_mul(1 << doublings).min(self.longest_pause)
            }
        }
    }
}

/// Why the host has no answer of the plug-in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostFault {
    #[error("no connector is installed for channel type `{0}`")]
    UnknownChannelType(String),
    #[error("the connector `{plugin}` was refused: {reason}")]
    Refused { plugin: String, reason: String },
    #[error("the connector `{plugin}` is not running: {reason}")]
    Unavailable { plugin: String, reason: String, after: Option<Duration> },
    #[error("the connector `{plugin}` died while it had this call")]
    Crashed { plugin: String },
    #[error("the connector `{plugin}` did not answer in time")]
    Timeout { plugin: String },
    /// An answer that breaks the contract.
    #[error("the connector `{plugin}` gave an invalid answer: {reason}")]
    Garbage { plugin: String, reason: String },
    /// The call itself is outside the contract's sizes, or not one for this kind of connector.
    #[error("this cannot be given to the connector `{plugin}`: {reason}")]
    Input { plugin: String, reason: String },
    /// The plug-in says that there is no request, and why.
    #[error("the connector declined: {}", .0.detail)]
    Declined(crate::request::Verdict),
}

/// What the supervisor needs to know from the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub host_binary: PathBuf,
    pub restart: RestartPolicy,
    /// For starting, until the plug-in is ready.
    pub start_patience: Duration,
    pub options_json: Vec<u8>,
    pub codec_cpu_seconds: u32,
    pub sandbox: Sandbox,
}

#[derive(Default)]
struct Health {
    deaths: VecDeque<Instant>,
    not_before: Option<Instant>,
    last_problem: Option<String>,
    refused: Option<String>,
    stopped: bool,
}

pub(crate) struct Supervisor {
    pub plugin: ArcSwap<Verified>,
    settings: Settings,
    current: ArcSwapOption<Connection>,
    /// Held while a child is being started, so that only one is.
    starting: tokio::sync::Mutex<()>,
    health: Mutex<Health>,
    window: Semaphore,
    pub counters: Arc<Counters>,
}

/// What `plugins()` shows of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not needed yet.
    Idle,
    Running,
    /// Died; waits before the next start.
    BackingOff,
    /// Died too often; left alone for a while.
    CrashLooping,
    /// Did not verify, or does not fit its manifest. Stays so until it is replaced.
    Refused,
    Stopped,
}

impl State {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::BackingOff => "backing-off",
            Self::CrashLooping => "crash-looping",
            Self::Refused => "refused",
            Self::Stopped => "stopped",
        }
    }
}

pub(crate) struct Snapshot {
    pub state: State,
    pub pid: Option<u32>,
    pub in_flight: usize,
    pub sandbox: Option<String>,
    pub last_problem: Option<String>,
}

impl Supervisor {
    pub fn new(plugin: Verified, settings: Settings) -> Arc<Self> {
        let window = Semaphore::new(plugin.manifest.limits.window as usize);
        Arc::new(Self {
            plugin: ArcSwap::from_pointee(plugin),
            settings,
            current: ArcSwapOption::empty(),
            starting: tokio::sync::Mutex::default(),
            health: Mutex::default(),
            window,
            counters: Arc::default(),
        })
    }

    fn name(&self) -> String {
        self.plugin.load().manifest.name.clone()
    }

    pub fn snapshot(&self) -> Snapshot {
        let running = self.current.load_full().filter(|connection| !connection.is_dead());
        let health = lock(&self.health);
        let waiting = health.not_before.is_some_and(|at| at > Instant::now());
        let state = match (&health.refused, &running) {
            _ if health.stopped => State::Stopped,
            (Some(_), _) => State::Refused,
            (None, Some(_)) => State::Running,
            (None, None) if waiting && health.deaths.len() >= self.settings.restart.breaker_after => {
                State::CrashLooping
            }
            (None, None) if waiting => State::BackingOff,
            (None, None) => State::Idle,
        };
        Snapshot {
            state,
            pid: running.as_ref().map(|connection| connection.pid),
            sandbox: running.as_ref().map(|connection| connection.sandbox()),
            in_flight: running.as_ref().map_or(0, |connection| connection.in_flight()),
            last_problem: health.refused.clone().or_else(|| health.last_problem.clone()),
        }
    }

    /// Notes a death and plans the next start.
    fn died(&self, what: String) {
        Counters::add(&self.counters.crashes);
        let now = Instant::now();
        let policy = self.settings.restart;
        let mut health = lock(&self.health);
        health.deaths.push_back(now);
        while health.deaths.front().is_some_and(|at| now.duration_since(*at) > policy.window) {
            health.deaths.pop_front();
        }
        let pause = policy.pause(health.deaths.len());
        health.not_before = now.checked_add(pause);
        health.last_problem = Some(what);
    }

    /// The living child, started if need be.
    async fn connection(self: &Arc<Self>) -> Result<Arc<Connection>, HostFault> {
        if let Some(connection) = self.current.load_full().filter(|connection| !connection.is_dead()) {
            return Ok(connection);
        }
        // A task of its own: a caller that gives up must not abort a start that others wait for, or a plug-in that takes
        // longer to start than a call may take would never come up.
        let this = Arc::clone(self);
        let started = tokio::spawn(async move { this.start().await }).await;
        started.unwrap_or_else(|error| Err(self.unavailable(error.to_string(), None)))
    }

    async fn start(self: &Arc<Self>) -> Result<Arc<Connection>, HostFault> {
        let _one_at_a_time = self.starting.lock().await;
        if let Some(connection) = self.current.load_full() {
            if !connection.is_dead() {
                return Ok(connection);
            }
            connection.wait_finished().await;
        }
        {
            let health = lock(&self.health);
            if let Some(reason) = &health.refused {
                return Err(HostFault::Refused { plugin: self.name(), reason: reason.clone() });
            }
            if health.stopped {
                return Err(self.unavailable("the studio is stopping".to_owned(), None));
            }
            if let Some(left) = health.not_before.and_then(|at| at.checked_duration_since(Instant::now()))
                && !left.is_zero()
            {
                let reason = health.last_problem.clone().unwrap_or_else(|| "it died".to_owned());
                return Err(self.unavailable(reason, Some(left)));
            }
        }
        let plugin = self.plugin.load_full();
        let on_end = {
            let this = Arc::downgrade(self);
            move |connection: &Connection| {
                if let (Some(this), false) = (this.upgrade(), connection.was_dismissed()) {
                    this.died(format!("its process ended: {}", connection.exit_text()));
                }
            }
        };
        let begin = Begin {
            options: &self.settings.options_json,
            patience: self.settings.start_patience,
            cpu_seconds: self.settings.codec_cpu_seconds,
            sandbox: self.settings.sandbox,
        };
        let opened =
            Connection::open(&self.settings.host_binary, &plugin, begin, Arc::clone(&self.counters), on_end);
        match opened.await {
            Ok(connection) => {
                self.current.store(Some(Arc::clone(&connection)));
                Ok(connection)
            }
            Err(SpawnFault::Refused(reason)) => {
                lock(&self.health).refused = Some(reason.clone());
                Err(HostFault::Refused { plugin: self.name(), reason })
            }
            Err(fault) => {
                self.died(fault.to_string());
                Err(self.unavailable(fault.to_string(), None))
            }
        }
    }

    fn unavailable(&self, reason: String, after: Option<Duration>) -> HostFault {
        HostFault::Unavailable { plugin: self.name(), reason, after }
    }

    /// One call with its deadline. A codec that misses it is hanging and is killed: it has one thread, so everything
    /// behind the call hangs as well. A transport's send is cancelled instead; its other sends go on.
    pub async fn call(
        self: &Arc<Self>,
        frame: &ToChild<'_>,
        awaits: Awaits,
        patience: Duration,
    ) -> Result<Answer, HostFault> {
        let deadline = Instant::now() + patience;
        let timeout = || HostFault::Timeout { plugin: self.name() };
        let Ok(permit) = tokio::time::timeout_at(deadline, self.window.acquire()).await else {
            return Err(timeout());
        };
        let _permit = permit.map_err(|_| self.unavailable("the studio is stopping".to_owned(), None))?;
        let crashed = || HostFault::Crashed { plugin: self.name() };
        let mut connection;
        let mut call = loop {
            let Ok(living) = tokio::time::timeout_at(deadline, self.connection()).await else {
                return Err(timeout());
            };
            connection = living?;
            let call = connection.call(frame, awaits);
            match call.map_err(|fault| HostFault::Input { plugin: self.name(), reason: fault.to_string() })? {
                Some(call) => break call,
                // Replaced between the look and the call: its successor takes it.
                None if connection.was_dismissed() => {}
                None => return Err(crashed()),
            }
        };
        match tokio::time::timeout_at(deadline, call.answer()).await {
            Ok(answer) => answer.ok_or_else(crashed),
            Err(_) => {
                Counters::add(&self.counters.timeouts);
                if self.plugin.load().manifest.kind == Kind::Codec {
                    lock(&self.health).last_problem =
                        Some("it did not answer in time and was killed".to_owned());
                    connection.kill();
                } else {
                    let _ = connection.tell(&ToChild::Cancel, call.token);
                }
                Err(timeout())
            }
        }
    }

    /// Puts a newly verified version in place: calls from now on go to a new child, the old one finishes what it has.
    pub async fn replace(&self, plugin: Verified, patience: Duration) {
        {
            let mut health = lock(&self.health);
            *health = Health { stopped: health.stopped, ..Health::default() };
        }
        let old = {
            let _one_at_a_time = self.starting.lock().await;
            self.plugin.store(Arc::new(plugin));
            self.current.swap(None)
        };
        if let Some(old) = old {
            retire(&old, patience).await;
        }
    }

    /// Ends the child: it may finish what it has within `patience`.
    pub async fn stop(&self, patience: Duration) {
        lock(&self.health).stopped = true;
        let old = {
            let _one_at_a_time = self.starting.lock().await;
            self.current.swap(None)
        };
        if let Some(old) = old {
            retire(&old, patience).await;
        }
    }

    pub fn counter(&self, pick: impl FnOnce(&Counters) -> &std::sync::atomic::AtomicU64) -> u64 {
        pick(&self.counters).load(Ordering::Relaxed)
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Some(connection) = self.current.swap(None) {
            connection.dismiss();
            connection.kill();
        }
    }
}

async fn retire(connection: &Connection, patience: Duration) {
    connection.dismiss();
    if tokio::time::timeout(patience, connection.wait_ended()).await.is_err() {
        connection.kill();
        connection.wait_ended().await;
    }
}

#[cfg(test)]
mod tests {
    use super::RestartPolicy;

    #[test]
    fn pauses_double_up_to_the_breaker() {
        let policy = RestartPolicy::default();
        let pauses: Vec<u128> = (0..8).map(|deaths| policy.pause(deaths).as_millis()).collect();
        assert_eq!(pauses, [0, 0, 100, 200, 400, 30_000, 30_000, 30_000]);
        let patient = RestartPolicy { breaker_after: usize::MAX, ..policy };
        assert_eq!(patient.pause(1_000_000), policy.longest_pause);
    }
}
