//! `notify serve`: arguments and settings. What runs with them is wired in `notify-worker` and here.

use crate::args::HomeArgs;
use crate::config::{Config, Role};
use crate::failure::Failure;
use crate::home::Home;
use clap::Args;
use notify_core::event::EventLimits;
use std::net::SocketAddr;
use std::time::Duration;

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
    }
}

pub fn run(args: &ServeArgs) -> Result<(), Failure> {
    let home = args.open()?;
    let _limits = web_limits(&home.loaded.config);
    Err(Failure::other("this build holds no worker", "build the whole product with `cargo xtask up`"))
}
