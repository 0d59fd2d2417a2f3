//! The email connector: a transport that speaks SMTP itself.
//!
//! ```text
//! send ─ read config, message, secrets ─ job ─ place in the pool ─ per recipient: MIME, DKIM, MAIL, RCPT, DATA ─ verdict
//! ```
//!
//! # Outcomes
//! | what happened | outcome |
//! |---|---|
//! | the server took every message | accepted: handed over, a bounce may still come |
//! | it took some, refused others for good (5.1.1 …) | accepted, the refused ones are named |
//! | it refused all of them for good, or the message itself | permanent |
//! | it refused all of them by a rule (5.7.x, 530, 535 to RCPT TO) | bad config |
//! | sign-in failed, sender not allowed, no STARTTLS, address blocked | bad config |
//! | 4xx for some, grey-listing, no connection, cut connection, the deadline | retry: goes to the rest |
//! | everyone that is left got 452, 4.7.x, "too many" | throttled |
//! | everyone opted out | cancelled |
//!
//! Who is done travels in the provider reference, so that a retry goes to the rest only. A connection that is cut after
//! the final dot and before the answer leaves one recipient in doubt: it is sent again, with the same Message-ID, by
//! which many mailboxes drop the second copy.

#![forbid(unsafe_code)]

pub mod address;
mod auth;
pub mod bounce;
pub mod config;
pub mod content;
pub mod deliver;
mod dial;
pub mod dkim;
pub mod html;
pub mod identity;
pub mod mime;
mod names;
mod plain;
mod pool;
pub mod reply;
mod stream;
pub mod text;

use config::{Config, Options};
use deliver::{Job, Post};
use notify_connector_sdk::{Completion, ConfigProblem, Log, Send, Transport, Verdict};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Sends under way at once; the manifest's window is below it.
const MAX_JOBS: usize = 256;
/// An attempt without a deadline that makes sense still ends.
const LONGEST: Duration = Duration::from_secs(600);
/// How long `destroy` waits for threads; only a hanging name resolution can need it.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// The transport.
pub struct Email {
    shared: Arc<Shared>,
    /// Taken when it ends.
    runtime: Option<Runtime>,
}

struct Shared {
    options: Options,
    post: Post,
    jobs: Mutex<HashMap<u64, Arc<Job>>>,
    /// A job ended.
    ended: Notify,
    draining: AtomicBool,
}

impl Shared {
    fn jobs(&self) -> MutexGuard<'_, HashMap<u64, Arc<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Time for an attempt: it ends a little before the host gives up, so that its answer, and who is done, still arrives.
fn patience(now_ms: u64, deadline_ms: u64) -> Duration {
    let left = Duration::from_millis(deadline_ms.saturating_sub(now_ms)).min(LONGEST);
    let margin = (left / 10).min(Duration::from_millis(500));
    left.saturating_sub(margin)
}

impl Transport for Email {
    const MANIFEST: &'static str = include_str!("../notify-plugin.json");

    fn create(options: &[u8], _log: Log) -> Result<Self, String> {
        let options = Options::read(options)?;
        let post = Post::new(&options)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(8)
            .thread_name("email")
            .enable_all()
            .build()
            .map_err(|error| format!("no threads: {error}"))?;
        let sweep = Duration::from_secs(options.idle_seconds.div_ceil(2));
        let shared = Arc::new(Shared {
            options,
            post,
            jobs: Mutex::default(),
            ended: Notify::new(),
            draining: AtomicBool::new(false),
        });
        let sweeper = Arc::downgrade(&shared);
        runtime.spawn(async move {
            let mut tick = tokio::time::interval(sweep);
            loop {
                tick.tick().await;
                let Some(shared) = sweeper.upgrade() else { return };
                shared.post.close(false).await;
            }
        });
        Ok(Self { shared, runtime: Some(runtime) })
    }

    fn validate(_channel_type: &str, config_json: &[u8]) -> Vec<ConfigProblem> {
        match serde_json::from_slice::<Config>(config_json) {
            Ok(config) => config.problems(),
            Err(error) => vec![ConfigProblem {
                path: String::new(),
                reason: error.to_string(),
                fix: "see the connector's configSchema".to_owned(),
            }],
        }
    }

    fn capacity(&self) -> usize {
        if self.shared.draining.load(Ordering::SeqCst) {
            return 0;
        }
        MAX_JOBS.saturating_sub(self.shared.jobs().len())
    }

    fn send(&self, send: &Send<'_>, completion: Completion) {
        let job = match Job::read(send, &self.shared.options) {
            Ok(job) => Arc::new(job),
            Err(refusal) => return completion.done(&refusal.into()),
        };
        let Some(runtime) = &self.runtime else {
            return completion.done(&Verdict::retry(None, "the connector is stopping"));
        };
        let token = send.token;
        let patience = patience(completion.now_unix_ms(), send.deadline_unix_ms);
        let end = Instant::now() + patience;
        self.shared.jobs().insert(token, Arc::clone(&job));
        let shared = Arc::clone(&self.shared);
        runtime.spawn(async move {
            let ran = tokio::time::timeout_at(end, job.run(&shared.post)).await;
            let verdict = ran.unwrap_or_else(|_| job.late());
            shared.jobs().remove(&token);
            completion.done(&verdict);
            shared.ended.notify_waiters();
        });
    }

    fn cancel(&self, token: u64) {
        if let Some(job) = self.shared.jobs().get(&token) {
            job.cancel();
        }
    }

    fn drain(&self, deadline_unix_ms: u64, completion: Completion) {
        self.shared.draining.store(true, Ordering::SeqCst);
        let left =
            Duration::from_millis(deadline_unix_ms.saturating_sub(completion.now_unix_ms())).min(LONGEST);
        let Some(runtime) = &self.runtime else { return completion.done(&Verdict::delivered()) };
        let shared = Arc::clone(&self.shared);
        runtime.spawn(async move {
            let idle = async {
                loop {
                    let ended = shared.ended.notified();
                    tokio::pin!(ended);
                    ended.as_mut().enable();
                    if shared.jobs().is_empty() {
                        return;
                    }
                    ended.await;
                }
            };
            let end = Instant::now() + left;
            let all = tokio::time::timeout_at(end, idle).await.is_ok();
            let _ = tokio::time::timeout_at(end, shared.post.close(true)).await;
            let left = shared.jobs().len();
            completion.done(&if all {
                Verdict::delivered()
            } else {
                Verdict::retry(None, format!("{left} sends were still under way at the deadline"))
            });
        });
    }
}

impl Drop for Email {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Tasks are dropped, and with them their completions, which answer by themselves.
            runtime.shutdown_timeout(LAST_WAIT);
        }
    }
}

notify_connector_sdk::export_transport!(Email);
