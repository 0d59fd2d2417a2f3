//! How the service is: the checks of `/readyz` and the numbers of `/metrics` that have to be looked up. Anyone may ask, so
//! an answer is kept for a moment, and the write probe, which costs a flush, for longer.

use crate::config::{HealthConfig, Role};
use notify_connector_host::ConnectorHost;
use notify_core::ids::TenantId;
use notify_core::time::{Clock, Timestamp};
use notify_store::model::Backlog;
use notify_store::{Commit, Refused, Store, StoreError};
use notify_webservice::health::{Check, Readiness};
use notify_worker::Worker;
use notify_worker::clock::Stopwatch;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// An answer is given again for this long.
const FRESH: Duration = Duration::from_secs(1);
/// A write that succeeded stands for this long.
const WRITE_STANDS: Duration = Duration::from_secs(5);
/// A part that does not answer within this time does not work.
const PATIENCE: Duration = Duration::from_secs(2);
/// Tenants whose oldest pending event is looked up.
const TENANTS_LOOKED_AT: usize = 200;

/// Looks after one process.
pub struct Monitor {
    pub store: Store,
    pub worker: Option<Worker>,
    pub host: Arc<ConnectorHost>,
    pub clock: Arc<dyn Clock>,
    pub home: PathBuf,
    pub bounds: HealthConfig,
    pub role: Role,
    pub state: State,
}

/// What a monitor remembers.
#[derive(Default)]
pub struct State {
    draining: AtomicBool,
    /// A write has failed since the last look: what was seen before does not stand any more.
    doubt: AtomicBool,
    last: tokio::sync::Mutex<Last>,
}

#[derive(Default)]
struct Last {
    looked: Option<(Stopwatch, Vec<Check>, Option<Backlog>)>,
    wrote: Option<Stopwatch>,
    /// A write that did not end in time and still runs: no second one is started on a disk that hangs.
    hanging: Option<Probe>,
}

type Probe = tokio::task::JoinHandle<Result<(), StoreError>>;

impl Monitor {
    /// The process was told to stop.
    pub fn drain(&self) {
        self.state.draining.store(true, Ordering::Release);
    }

    /// A write failed: the next answer is looked up anew.
    pub fn doubt(&self) {
        self.state.doubt.store(true, Ordering::Release);
    }

    pub async fn readiness(&self) -> Readiness {
        let readiness = Readiness::of(self.look().await.0);
        if self.state.draining.load(Ordering::Acquire) { readiness.draining() } else { readiness }
    }

    /// `None` when the store did not say.
    pub async fn backlog(&self) -> Option<Backlog> {
        self.look().await.1
    }

    /// One look for all who ask at once.
    async fn look(&self) -> (Vec<Check>, Option<Backlog>) {
        let mut last = self.state.last.lock().await;
        if self.state.doubt.swap(false, Ordering::AcqRel) {
            last.looked = None;
            last.wrote = None;
        }
        if let Some((at, checks, backlog)) = &last.looked
            && at.elapsed() < FRESH
        {
            return (checks.clone(), *backlog);
        }
        let wrote = last.wrote.filter(|at| at.elapsed() < WRITE_STANDS);
        // At once: whoever asks waits for the slower of the two, not for both.
        let hanging = &mut last.hanging;
        let (store, (backlog_check, backlog)) = tokio::join!(
            async { if wrote.is_some() { store_works() } else { self.write(hanging).await } },
            self.backlog_check()
        );
        last.wrote = if store.ok { wrote.or_else(|| Some(Stopwatch::start())) } else { None };
        let mut checks = vec![store, backlog_check, self.disk(), self.connectors()];
        checks.extend(self.worker.as_ref().map(owners));
        last.looked = Some((Stopwatch::start(), checks.clone(), backlog));
        (checks, backlog)
    }

    /// A row of its own is written, and the committer, through which every other write goes, is asked to answer.
    async fn write(&self, hanging: &mut Option<Probe>) -> Check {
        const FIX: &str = "look at the disk and the database of [store] url, and at the log";
        let mut writing = hanging.take().unwrap_or_else(|| self.start_to_write());
        match tokio::time::timeout(PATIENCE, &mut writing).await {
            Ok(Ok(Ok(()))) => store_works(),
            Ok(Ok(Err(error))) => {
                tracing::error!(%error, "the store takes no writes");
                Check::fail("store", "the database takes no writes", FIX)
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "the write probe failed");
                Check::fail("store", "the write probe failed", FIX)
            }
            Err(_) => {
                *hanging = Some(writing);
                let detail = format!("the database did not take a write within {} s", PATIENCE.as_secs());
                Check::fail("store", detail, FIX)
            }
        }
    }

    fn start_to_write(&self) -> Probe {
        let (store, now) = (self.store.clone(), self.clock.now());
        let runtime = tokio::runtime::Handle::current();
        // SQLite's flush blocks its caller: on a disk that hangs it must not take a thread that others need.
        tokio::task::spawn_blocking(move || {
            runtime.block_on(async {
                store.probe_write(now).await?;
                committer_answers(&store).await
            })
        })
    }

    async fn backlog_check(&self) -> (Check, Option<Backlog>) {
        let now = self.clock.now();
        let looking = async {
            let backlog = self.store.backlog(now).await?;
            Ok::<_, StoreError>((backlog, self.oldest(&backlog).await?))
        };
        let unknown = || {
            Check::fail(
                "backlog",
                "what waits could not be looked up",
                "look at the check `store` and at the log",
            )
        };
        let (backlog, oldest) = match tokio::time::timeout(PATIENCE, looking).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::error!(%error, "the backlog could not be read");
                return (unknown(), None);
            }
            Err(_) => return (unknown(), None),
        };
        let age = oldest.map_or(0, |at| now.duration_since(at).as_secs().max(0).unsigned_abs());
        let waiting = backlog.pending_events.saturating_add(backlog.overdue_deliveries);
        let detail = format!("{waiting} due, the oldest for {age} s");
        let check = if age <= self.bounds.backlog_age_seconds {
            Check::ok("backlog", detail)
        } else if self.worker.is_some() {
            let fix = "look into the log for what holds the worker up; add workers, or raise [health] backlog_age_seconds";
            Check::fail("backlog", detail, fix)
        } else {
            // Others plan and send: this process can still take events.
            Check::warn("backlog", detail, "look at the processes with the role `worker`")
        };
        (check, Some(backlog))
    }

    /// Since when the oldest of what is due has waited.
    async fn oldest(&self, backlog: &Backlog) -> Result<Option<Timestamp>, StoreError> {
        let mut oldest = backlog.oldest_due;
        if backlog.pending_events > 0 {
            for tenant in self.store.tenants().await?.iter().take(TENANTS_LOOKED_AT) {
                let first = self.store.pending_events(&tenant.id, 1).await?;
                let accepted = first.first().map(|event| event.event.accepted_at);
                oldest = [oldest, accepted].into_iter().flatten().min();
            }
        }
        Ok(oldest)
    }

    fn disk(&self) -> Check {
        const NAME: &str = "disk";
        match rustix::fs::statvfs(&self.home) {
            Ok(found) => {
                let free = found.f_bavail.saturating_mul(found.f_frsize) / (1 << 20);
                let least = self.bounds.disk_free_mib;
                let detail = format!("{free} MiB free, at least {least} are wanted");
                if free >= least {
                    Check::ok(NAME, detail)
                } else {
                    let fix = "make room on the file system of the home, or lower [health] disk_free_mib";
                    Check::fail(NAME, detail, fix)
                }
            }
            Err(error) => {
                tracing::error!(%error, "the home's file system could not be looked at");
                Check::fail(
                    NAME,
                    "the home's file system could not be looked at",
                    "look whether the home exists",
                )
            }
        }
    }

    fn connectors(&self) -> Check {
        const NAME: &str = "connectors";
        let plugins = self.host.plugins();
        let (bad, good): (Vec<_>, Vec<_>) =
            plugins.iter().partition(|plugin| matches!(plugin.state, "refused" | "crash-looping"));
        let names = |plugins: &[&notify_connector_host::PluginStatus]| {
            plugins.iter().map(|plugin| plugin.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        if plugins.is_empty() && self.role != Role::Web {
            // Events are taken and kept; whoever installs the first plug-in finds them waiting.
            let fix = "put signed plug-ins into [connectors] plugin_dir";
            return Check::warn(NAME, "no plug-in is installed, so nothing can be sent", fix);
        }
        if good.is_empty() && self.role != Role::Web {
            let fix = "put signed plug-ins into [connectors] plugin_dir; `notify plugin list` says why one is refused";
            return Check::fail(NAME, "no plug-in can be used, so nothing can be sent", fix);
        }
        if bad.is_empty() {
            return Check::ok(NAME, names(&good));
        }
        let fix = "`notify plugin list` says why";
        Check::warn(NAME, format!("usable: {}; not usable: {}", names(&good), names(&bad)), fix)
    }
}

fn store_works() -> Check {
    Check::ok("store", "")
}

/// An empty commit of a tenant that cannot exist is refused, by the committer.
async fn committer_answers(store: &Store) -> Result<(), StoreError> {
    let Ok(nobody) = TenantId::new("readyz") else { return Ok(()) };
    match store.commit(Commit::bookkeeping(nobody, vec![])).await {
        Ok(_) | Err(StoreError::Refused(Refused::NoTenant)) => Ok(()),
        Err(error) => Err(error),
    }
}

fn owners(worker: &Worker) -> Check {
    const NAME: &str = "owners";
    let health = worker.health();
    if !health.ended.is_empty() {
        let detail = format!("ended: {}", health.ended.join(", "));
        return Check::fail(NAME, detail, "restart the process, and report what the log says before");
    }
    let detail = format!("{} running", health.owners);
    if health.revived > 0 {
        let detail = format!("{detail}, {} of them started anew after a failure", health.revived);
        return Check::warn(NAME, detail, "report what the log says before");
    }
    Check::ok(NAME, detail)
}
