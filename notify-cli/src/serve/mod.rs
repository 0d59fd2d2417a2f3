//! `notify serve`: web service, bus and worker in one process, or one of them.

mod engine;
mod monitor;
mod observed;
pub mod parts;

use crate::args::HomeArgs;
use crate::config::{Config, LogFormat, Role};
use crate::failure::Failure;
use crate::home::Home;
use clap::Args;
use engine::StudioEngine;
use monitor::Monitor;
use notify_bus::Bus;
use notify_core::event::EventLimits;
use notify_core::time::Clock;
use notify_webservice::auth::Authenticator;
use notify_webservice::pages::Pages;
use notify_webservice::{App, Counters, operations_router, router};
use notify_worker::{Worker, anchor};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Flags override the configuration.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    pub home: HomeArgs,
    /// Address and port.
    #[arg(long)]
    pub listen: Option<SocketAddr>,
    /// What this process does.
    #[arg(long, value_enum)]
    pub role: Option<Role>,
    /// Form of the log.
    #[arg(long, value_enum)]
    pub log_format: Option<LogFormat>,
    /// `error`, `warn`, `info`, `debug`, or a filter such as `info,notify_worker=debug`.
    #[arg(long)]
    pub log_level: Option<String>,
}

impl ServeArgs {
    /// Loads the configuration with these flags on top, and the keys.
    ///
    /// # Errors
    /// When the configuration is wrong.
    pub fn open(&self) -> Result<Home, Failure> {
        let mut flags = Vec::new();
        if let Some(listen) = self.listen {
            flags.push(("server.listen", listen.to_string()));
        }
        if let Some(role) = self.role {
            let name = match role {
                Role::All => "all",
                Role::Web => "web",
                Role::Worker => "worker",
            };
            flags.push(("server.role", name.to_owned()));
        }
        if let Some(format) = self.log_format {
            let name = match format {
                LogFormat::Text => "text",
                LogFormat::Json => "json",
            };
            flags.push(("log.format", name.to_owned()));
        }
        flags.extend(self.log_level.clone().map(|level| ("log.level", level)));
        Home::open(&self.home, flags)
    }
}

/// The web layer's bounds from the configuration.
#[must_use]
pub fn web_limits(config: &Config) -> notify_webservice::Limits {
    let limits = &config.limits;
    notify_webservice::Limits {
        events: EventLimits {
            max_bytes: limits.event_bytes,
            max_batch_bytes: limits.batch_bytes,
            max_batch_events: limits.batch_events,
            ..EventLimits::default()
        },
        document_bytes: limits.document_bytes,
        request_timeout: Duration::from_secs(limits.request_timeout_seconds),
        header_timeout: Duration::from_secs(limits.header_timeout_seconds),
        header_bytes: limits.header_bytes,
        connections: limits.connections,
        tenant_requests: limits.tenant_requests,
        tenant_rules: limits.tenant_rules,
        tenant_channels: limits.tenant_channels,
        tenant_templates: limits.tenant_templates,
        tenant_bundles: limits.tenant_bundles,
        tenant_event_types: limits.tenant_event_types,
        tenant_noise_documents: limits.tenant_noise_documents,
        apply_bytes: limits.apply_bytes,
        apply_rules: limits.apply_rules,
        drain: Duration::from_secs(config.server.drain_seconds),
    }
}

/// Runs until SIGTERM or Ctrl-C, then stops cleanly: requests and attempts under way are finished and recorded.
///
/// # Errors
/// When something that the service needs is missing or wrong; the message says what to do.
pub fn run(args: &ServeArgs) -> Result<(), Failure> {
    let home = args.open()?;
    start_log(&home.loaded.config);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads()).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::other(format!("no runtime can be made: {error}"), ""))?;
    runtime.block_on(serve(&home))
}

async fn serve(home: &Home) -> Result<(), Failure> {
    let config = &home.loaded.config;
    let clock: Arc<dyn Clock> = Arc::new(notify_worker::clock::SystemClock);
    // Bound before anything else is touched: a port in use is the most common mistake.
    let (listener, offered) = match config.server.role {
        Role::All | Role::Web => (Some(listen(config.server.listen).await?), Offered::Everything),
        Role::Worker => {
            let wrong = |error: std::net::AddrParseError| Failure::other(error.to_string(), "");
            match config.operations_listen().map_err(wrong)? {
                Some(address) => (Some(listen(address).await?), Offered::Operations),
                None => (None, Offered::Operations),
            }
        }
    };
    let store = home.open_store().await?;
    anchor::check(&store, &config.ledger.anchor_path)
        .await
        .map_err(|fault| Failure::other(fault.to_string(), "nothing was changed"))?;
    let guard = parts::egress_guard(config)?;
    let host = parts::connector_host(config, guard.clone())?;
    let secrets = Arc::new(parts::secret_resolver(config));
    let intake = parts::intake(config, store.clone(), Arc::clone(&clock))?;
    let publishers = parts::publishers(config, &secrets);
    let worker = match config.server.role {
        Role::Web => None,
        Role::All | Role::Worker => {
            let options = parts::worker_options(home)?;
            let starting = Worker::start(
                store.clone(),
                Arc::clone(&host),
                Arc::clone(&secrets),
                Arc::clone(&clock),
                options,
            );
            Some(
                starting
                    .await
                    .map_err(|error| Failure::other(format!("the worker cannot start: {error}"), ""))?,
            )
        }
    };
    let bus = match &worker {
        Some(worker) => Bus::memory(Arc::new(worker.clone())),
        None => Bus::database(store.clone(), Arc::clone(&clock)),
    };
    let monitor = Arc::new(Monitor {
        store: store.clone(),
        worker: worker.clone(),
        host: Arc::clone(&host),
        clock: Arc::clone(&clock),
        home: home.folder.clone(),
        bounds: config.health.clone(),
        role: config.server.role,
        state: monitor::State::default(),
    });
    let grace = Duration::from_secs(config.server.stop_grace_seconds);
    let stop = stopped(Arc::clone(&monitor), grace);
    let outcome = match listener {
        Some(listener) => {
            let counters = match &worker {
                Some(worker) => Counters::sharing(worker.metrics().entries.cell()),
                None => Counters::default(),
            };
            let engine = StudioEngine {
                bus,
                worker: worker.clone(),
                host: Arc::clone(&host),
                monitor,
                guard,
                secrets,
            };
            let app = App {
                store: store.clone(),
                engine: Arc::new(engine),
                authenticator: Authenticator::new(home.token_key()?),
                publishers,
                intake,
                clock,
                limits: web_limits(config),
                export_key: home.export_key()?,
                counters,
                pages: Pages::new(
                    home.link_keys()?,
                    config.links.requests_per_minute,
                    parts::trusted_proxies(config)?,
                ),
            };
            answer(listener, app, offered, stop).await
        }
        None => {
            tracing::info!("working");
            stop.await;
            Ok(())
        }
    };
    // Also after a broken listener: what was accepted is finished and recorded.
    tracing::info!("stopping");
    match worker {
        Some(worker) => worker.stop().await,
        None => store.close().await,
    }
    host.shutdown(Duration::from_secs(2)).await;
    tracing::info!("stopped");
    outcome
}

/// What a process answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Offered {
    Everything,
    /// Health, readiness and metrics.
    Operations,
}

async fn answer(
    listener: TcpListener,
    app: App,
    offered: Offered,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), Failure> {
    if let Ok(address) = listener.local_addr() {
        match offered {
            Offered::Everything => tracing::info!(%address, "serving"),
            Offered::Operations => tracing::info!(%address, "working; health and metrics are here"),
        }
    }
    let limits = app.limits.clone();
    let app = Arc::new(app);
    let router = match offered {
        Offered::Everything => router(app),
        Offered::Operations => operations_router(app),
    };
    notify_webservice::serve(listener, router, &limits, stop)
        .await
        .map_err(|error| Failure::other(format!("the listener broke: {error}"), ""))
}

/// Resolves when accepting ends. From the signal on `/readyz` says so; the grace gives those who ask it time to look
/// away.
async fn stopped(monitor: Arc<Monitor>, grace: Duration) {
    stop_signal().await;
    monitor.drain();
    if !grace.is_zero() {
        tracing::info!(seconds = grace.as_secs(), "draining");
        notify_worker::clock::wait(grace).await;
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::other(format!("{address} cannot be listened on: {error}"), "choose another with `--listen`")
    })
}

async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(error) => {
                tracing::error!(%error, "SIGTERM cannot be handled");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// One per core but one: the store's committer has a thread of its own, and on few cores each further thread costs more
/// in wake-ups than it brings (measured: 2,650 to 2,860 deliveries/s with two on two cores, 2,940 to 3,170 with one).
fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).saturating_sub(1).max(1)
}

fn start_log(config: &Config) {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.log.level);
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Fails only when a log was started before, which then goes on.
    let _ = match config.log.format {
        LogFormat::Json => log.json().try_init(),
        LogFormat::Text => log.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
    };
}
