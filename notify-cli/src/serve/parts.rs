//! The parts of the service, made from the configuration.

use crate::config::{Config, PublisherConfig, StoreUrl};
use crate::failure::Failure;
use crate::home::{Home, random};
use notify_bus::intake::{Intake, ProducerKeys, QuarantineLimits};
use notify_connector_host::outbound::EgressPolicy;
use notify_connector_host::secrets::SecretResolver;
use notify_connector_host::{ConnectorHost, HostConfig};
use notify_core::ids::hex;
use notify_core::links::Links;
use notify_core::time::Clock;
use notify_netguard::{AllowedNetwork, Network, Policy};
use notify_store::Store;
use notify_webservice::auth::{Publisher, Publishers};
use notify_worker::WorkerOptions;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What every event passes.
pub fn intake(config: &Config, store: Store, clock: Arc<dyn Clock>) -> Result<Arc<Intake>, Failure> {
    let folder = &config.intake.producer_keys_dir;
    let keys = ProducerKeys::read(folder).map_err(|fault| {
        let fix =
            "`intake.producer_keys_dir` holds one folder per tenant, with one `<keyid>.pem` per public key";
        Failure::other(format!("the producers' keys cannot be used: {fault}"), fix)
    })?;
    let limits =
        QuarantineLimits { messages: config.intake.quarantine_messages, ..QuarantineLimits::default() };
    let intake =
        Intake::new(store, clock, keys, super::web_limits(config).events).with_quarantine_limits(limits);
    Ok(Arc::new(intake))
}

/// Services that sign in place of showing a token.
pub fn publishers(config: &Config, secrets: &Arc<SecretResolver>) -> Publishers {
    let one = |publisher: &PublisherConfig| Publisher {
        name: publisher.name.clone(),
        tenants: publisher.tenants.clone(),
        secrets: publisher.secrets.clone(),
    };
    Publishers::new(config.intake.publishers.iter().map(one).collect(), Arc::clone(secrets))
}

pub fn secret_resolver(config: &Config) -> SecretResolver {
    SecretResolver::new(Some(config.secrets.dir.clone()), config.secrets.env_prefix.clone())
}

/// Where connectors may send.
pub fn egress_guard(config: &Config) -> Result<Policy, Failure> {
    let allow: Result<Vec<AllowedNetwork>, _> =
        config.egress.allow.iter().map(|entry| entry.parse()).collect();
    let allow = allow.map_err(|error| {
        Failure::other(
            format!("egress.allow: {error}"),
            "write CIDR blocks or `address:port`, such as `10.1.0.0/16`",
        )
    })?;
    Ok(Policy { allow, only_hosts: None, require_https: !config.egress.allow_http })
}

/// Proxies that say who their client is.
pub fn trusted_proxies(config: &Config) -> Result<Vec<Network>, Failure> {
    let all: Result<Vec<Network>, _> =
        config.links.trusted_proxies.iter().map(|entry| entry.parse()).collect();
    all.map_err(|error| {
        Failure::other(format!("links.trusted_proxies: {error}"), "write CIDR blocks such as `10.1.0.0/16`")
    })
}

/// Checks every plug-in's signature and hash; starts none.
pub fn connector_host(config: &Config, guard: Policy) -> Result<Arc<ConnectorHost>, Failure> {
    let egress = EgressPolicy {
        guard,
        max_response_body: config.dispatch.response_bytes,
        extra_ca_pem: extra_authorities(&config.egress.ca)?,
        ..EgressPolicy::default()
    };
    let host_program = host_program(config)?;
    let connectors = &config.connectors;
    let mut options = HostConfig::new(&connectors.plugin_dir, &connectors.trust_dir, host_program, egress);
    options.codec_patience = Duration::from_secs(connectors.hang_seconds);
    for (name, table) in &connectors.options {
        let Ok(serde_json::Value::Object(settings)) = serde_json::to_value(table) else { continue };
        options.options.insert(name.clone(), settings);
    }
    options.sandbox = connectors.sandbox.into();
    let host = ConnectorHost::open(options)
        .map_err(|error| Failure::other(format!("the connectors cannot be used: {error}"), ""))?;
    Ok(Arc::new(host))
}

/// The program that runs a plug-in.
pub fn host_program(config: &Config) -> Result<PathBuf, Failure> {
    if config.connectors.host_program.as_os_str().is_empty() {
        return beside_this_program("notify-connector-host");
    }
    Ok(config.connectors.host_program.clone())
}

/// The certificates of `egress.ca`, one file after the other. Each is looked at alone first, so that the message names
/// the right one.
fn extra_authorities(files: &[PathBuf]) -> Result<Option<Vec<u8>>, Failure> {
    let mut all = Vec::new();
    for file in files {
        let wrong = |reason: String| {
            Failure::other(
                format!("egress.ca: {}: {reason}", file.display()),
                "name files that hold PEM certificates (`-----BEGIN CERTIFICATE-----`)",
            )
        };
        let pem = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
        notify_connector_host::outbound::check_authorities(&pem).map_err(|error| wrong(error.to_string()))?;
        all.extend(pem);
        all.push(b'\n');
    }
    Ok((!all.is_empty()).then_some(all))
}

fn beside_this_program(name: &str) -> Result<PathBuf, Failure> {
    let this = std::env::current_exe();
    let this =
        this.map_err(|error| Failure::other(format!("this program's place is unknown: {error}"), ""))?;
    Ok(this.with_file_name(name))
}

pub fn worker_options(home: &Home) -> Result<WorkerOptions, Failure> {
    let config = &home.loaded.config;
    let alone = matches!(config.store_url(), Ok(StoreUrl::Sqlite(_)));
    let name = random()?;
    let mut options = WorkerOptions::new(hex(name.get(..8).unwrap_or(&name)));
    options.plan_budget = Duration::from_millis(config.intake.plan_late_ms);
    options.concurrency = config.dispatch.concurrency;
    options.per_channel = config.dispatch.per_channel;
    options.attempt_timeout = Duration::from_secs(u64::from(config.dispatch.timeout_seconds));
    options.inbox = config.intake.queue;
    options.retry =
        config.dispatch.retry_schedule_seconds.iter().map(|s| Duration::from_secs(u64::from(*s))).collect();
    let hours = config.dispatch.disable_after_hours;
    options.disable_after = (hours > 0).then(|| Duration::from_secs(u64::from(hours) * 3_600));
    let every = config.channels.health_every_seconds;
    options.health_every = (every > 0).then(|| Duration::from_secs(every));
    options.anchors = Some(config.ledger.anchor_path.clone());
    options.print_keys = Some(home.link_keys()?);
    options.links = match config.public_url() {
        Some(url) => Some(Links::new(url.to_owned(), home.link_keys()?, config.links.ttl_days)),
        None => None,
    };
    options.inbox_items.retain_days = config.inbox.retain_days;
    options.inbox_items.items = config.inbox.items;
    options.sweep = (!alone).then_some(Duration::from_secs(1));
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_file_of_authorities_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            file
        };
        let good = write("good.pem", include_str!("../../tests/service/authority.pem"));
        let no_certificate = write("empty.pem", "nothing\n");
        let damaged = write("damaged.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        let text = |files: &[PathBuf]| {
            extra_authorities(files).err().map(|failure| failure.text()).unwrap_or_default()
        };
        assert_eq!(extra_authorities(&[]).ok().flatten(), None);
        let both = extra_authorities(&[good.clone(), good.clone()]).ok().flatten().unwrap();
        assert_eq!(String::from_utf8(both).unwrap().matches("BEGIN CERTIFICATE").count(), 2);
        for (files, named) in [
            (vec![good.clone(), no_certificate], "empty.pem"),
            (vec![damaged, good], "damaged.pem"),
            (vec![folder.path().join("none.pem")], "none.pem"),
        ] {
            assert!(text(&files).contains(named), "{}", text(&files));
        }
    }
}
