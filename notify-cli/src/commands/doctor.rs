//! `notify doctor`: a home looked at from all sides, each line with what to do. Nothing is made, changed or locked, so it
//! works beside a running service and where none ever ran.

use crate::args::{Format, Global, HomeArgs};
use crate::config::{Config, Loaded, StoreUrl};
use crate::failure::{Failure, printable};
use crate::home::{Home, SystemClock};
use crate::output;
use crate::serve::parts;
use crate::style::{self, Tone};
use clap::Args;
use notify_client::Client;
use notify_core::document::Channel;
use notify_core::ledger::keys::ExportKey;
use notify_core::links::LinkKeys;
use notify_core::time::{Clock, Timestamp};
use notify_store::inspect::{self, Look};
use notify_webservice::auth::TokenKey;
use serde::Serialize;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub home: HomeArgs,
    /// Also connect to the receivers of all enabled channels; nothing is sent to them.
    #[arg(long)]
    pub connect: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Finding {
    check: String,
    verdict: Verdict,
    detail: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    fix: String,
}

struct Doctor {
    format: Format,
    findings: Vec<Finding>,
}

/// Less free space than this stops accepting events soon.
const DISK_FAIL: u64 = 100 * 1024 * 1024;
const DISK_WARN: u64 = 1024 * 1024 * 1024;
/// A clock that is behind what was written by more than this has been set back.
const CLOCK_SLACK: Duration = Duration::from_secs(5);
/// For one receiver.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// # Errors
/// When a check failed; each was printed.
pub async fn run(global: &Global, args: &DoctorArgs) -> Result<(), Failure> {
    let mut doctor = Doctor { format: global.output, findings: Vec::new() };
    doctor.home(&args.home.home);
    match Home::config_of(&args.home, vec![]) {
        Ok(loaded) => {
            let changed = loaded.explained.iter().filter(|one| one.origin != crate::config::Origin::Default);
            doctor.ok("config", format!("valid; {} keys differ from the defaults", changed.count()));
            doctor.all(args, &loaded).await;
        }
        Err(failure) => {
            let reason = failure.text().trim_start_matches("error: ").trim().to_owned();
            doctor.fail("config", reason, "correct notify.toml or the NOTIFY__ variable that it names");
        }
    }
    doctor.finish()
}

impl Doctor {
    async fn all(&mut self, args: &DoctorArgs, loaded: &Loaded) {
        let config = &loaded.config;
        self.keys(&args.home.home.join("keys"));
        self.disk(&args.home.home);
        let look = self.store(config).await;
        self.clock(&args.home.home, look.as_ref());
        self.plugins(config);
        self.service(config).await;
        if let Some(look) = &look {
            self.channels(config, look, args.connect).await;
        }
    }

    fn home(&mut self, home: &Path) {
        match std::fs::metadata(home) {
            Ok(found) if !found.is_dir() => {
                self.fail(
                    "home",
                    format!("{} is no folder", home.display()),
                    "name the folder of the service",
                );
            }
            Ok(found) if found.permissions().mode() & 0o077 != 0 => self.warn(
                "home",
                format!("{} can be entered by others than its owner", home.display()),
                &format!("chmod 700 {}", home.display()),
            ),
            Ok(_) => self.ok("home", home.display().to_string()),
            Err(error) => self.fail(
                "home",
                format!("{}: {error}", home.display()),
                "`notify tenant create ID --home DIR` makes a home",
            ),
        }
    }

    fn keys(&mut self, keys: &Path) {
        let seed = |text: &str| {
            let parsed = notify_core::ledger::commitment::parse_hex32(text.trim());
            parsed.map(|_| String::new()).ok_or("it is not 64 hexadecimal digits".to_owned())
        };
        let token =
            |text: &str| TokenKey::from_pem(text).map(|_| String::new()).map_err(|error| error.to_string());
        let export =
            |text: &str| ExportKey::from_pem(text).map(|_| String::new()).map_err(|error| error.to_string());
        self.key(
            keys,
            "log.seed",
            seed,
            "restore it from a backup: without it the ledger cannot be continued",
        );
        self.key(keys, "token.ed25519.pem", token, "restore it, or remove it and issue all tokens anew");
        self.key(keys, "export.ed25519.pem", export, "restore it, or remove it and hand out new trust files");
        // Homes of before the pages have none until the next start.
        if keys.join("links.json").exists() {
            // Processes cannot see each other's homes; people can compare this.
            let told = |keys: LinkKeys| {
                format!("; its newest key is {}, which has to be so in all homes on one store", keys.id())
            };
            let links = |text: &str| LinkKeys::parse(text).map(told).map_err(|error| error.to_string());
            self.key(
                keys,
                "links.json",
                links,
                "restore it, or remove it: links that were sent open no more",
            );
        }
    }

    fn key(&mut self, keys: &Path, name: &str, valid: impl Fn(&str) -> Result<String, String>, fix: &str) {
        let path = keys.join(name);
        let check = format!("key {name}");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => return self.fail(&check, format!("{}: {error}", path.display()), fix),
        };
        let mode = std::fs::metadata(&path).map(|found| found.permissions().mode() & 0o777);
        match (valid(&text), mode) {
            (Err(reason), _) => self.fail(&check, reason, fix),
            (Ok(_), Ok(mode)) if mode & 0o077 != 0 => self.fail(
                &check,
                format!("mode {mode:o}: others than the owner can read it"),
                &format!("chmod 600 {}", path.display()),
            ),
            (Ok(more), _) => self.ok(&check, format!("valid and private{more}")),
        }
    }

    fn disk(&mut self, home: &Path) {
        let Ok(stat) = rustix::fs::statvfs(home) else { return };
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let mib = free / (1024 * 1024);
        let detail = format!("{mib} MiB free");
        let fix = "free some space, or move the home to a larger disk: events are refused when it is full";
        match free {
            free if free < DISK_FAIL => self.fail("disk", detail, fix),
            free if free < DISK_WARN => self.warn("disk", detail, fix),
            _ => self.ok("disk", detail),
        }
    }

    async fn store(&mut self, config: &Config) -> Option<Look> {
        let (look, place) = match config.store_url() {
            Ok(StoreUrl::Sqlite(file)) => {
                if !file.exists() {
                    let fix = "`notify tenant create` makes it";
                    self.fail("database", format!("{} does not exist", file.display()), fix);
                    return None;
                }
                let used = if inspect::sqlite_in_use(&file) { "in use by a service" } else { "not in use" };
                (inspect::sqlite(&file), used.to_owned())
            }
            Ok(StoreUrl::Postgres(url)) => (inspect::postgres(&url).await, "PostgreSQL".to_owned()),
            Err(error) => {
                self.fail("database", error.to_string(), "correct store.url");
                return None;
            }
        };
        let look = match look {
            Ok(look) => look,
            Err(reason) => {
                let fix = "is the server running, the file whole and readable? A backup can be restored";
                self.fail("database", reason, fix);
                return None;
            }
        };
        self.ok("database", format!("{place}; {} tenants", look.tenants.len()));
        let (missing, foreign) = (look.missing(), look.foreign());
        match (missing.is_empty(), foreign.is_empty()) {
            (true, true) => self.ok("migrations", format!("all {} applied", look.known.len())),
            (false, _) => {
                let fix = "they are applied when the service starts; back up the database before";
                self.warn("migrations", format!("missing: {missing:?}"), fix);
            }
            (true, false) => {
                let fix = "use the version of notify that the database was written by, or a newer one";
                self.fail("migrations", format!("of a newer version: {foreign:?}"), fix);
            }
        }
        match look.damage.as_ref().map(|damage| damage.first()) {
            // PostgreSQL's own tools look into its files; a line here would claim what nobody looked at.
            None => {}
            Some(None) => self.ok("integrity", "no damage found"),
            Some(Some(damage)) => {
                let fix = "stop the service and restore the last backup; keep the damaged file";
                self.fail("integrity", damage.clone(), fix);
            }
        }
        if look.dead > 0 {
            let detail = format!("{} dead letters, {} deliveries wait", look.dead, look.waiting);
            self.warn(
                "deliveries",
                detail,
                "`notify delivery list --state dead`, then `notify delivery redrive`",
            );
        } else {
            self.ok("deliveries", format!("{} wait, none was given up", look.waiting));
        }
        Some(look)
    }

    fn clock(&mut self, home: &Path, look: Option<&Look>) {
        let now = SystemClock.now();
        let written = look.and_then(|look| look.newest).map(|at| ("the ledger", at));
        let files = ["notify.db", "notify.db-wal", "keys/log.seed"].into_iter().filter_map(|name| {
            let modified = std::fs::metadata(home.join(name)).ok()?.modified().ok()?;
            Some((name, Timestamp::try_from(modified).ok()?))
        });
        let ahead = written.into_iter().chain(files).find(|(_, at)| {
            Duration::try_from(at.duration_since(now)).is_ok_and(|ahead| ahead > CLOCK_SLACK)
        });
        match ahead {
            None => self.ok("clock", format!("{now}, not behind what was written")),
            Some((what, at)) => {
                let fix = "set the clock (NTP): due times, token lifetimes and ledger times follow it";
                self.fail("clock", format!("{now} is before {what} of {at}"), fix);
            }
        }
    }

    fn plugins(&mut self, config: &Config) {
        match parts::host_program(config) {
            Ok(program) if program.exists() => self.ok("connector host", program.display().to_string()),
            Ok(program) => {
                let fix = "install it beside `notify`, or set connectors.host_program";
                self.fail("connector host", format!("{} does not exist", program.display()), fix);
            }
            Err(failure) => self.fail("connector host", failure.text(), ""),
        }
        let found = parts::egress_guard(config).and_then(|guard| parts::connector_host(config, guard));
        let plugins = match found {
            Ok(host) => host.plugins(),
            Err(failure) => {
                let fix = "look at connectors.plugin_dir and connectors.trust_dir";
                return self.fail("plug-ins", failure.text().trim().to_owned(), fix);
            }
        };
        if plugins.is_empty() {
            let fix = "put plug-ins into connectors.plugin_dir and their keys into connectors.trust_dir";
            self.warn("plug-ins", "none is installed: nothing can be sent".to_owned(), fix);
        }
        for plugin in plugins {
            let check = format!("plug-in {}", plugin.name);
            let types = plugin.channel_types.join(", ");
            match plugin.problem {
                None => self.ok(&check, format!("signature and hash hold; channels: {types}")),
                Some(problem) => {
                    self.fail(&check, problem, "install it again, or trust the key that signed it");
                }
            }
        }
    }

    async fn service(&mut self, config: &Config) {
        let mut address = config.server.listen;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        let base = format!("http://{address}");
        let Ok(client) = Client::new(&base, None) else { return };
        let asked = tokio::time::timeout(CONNECT_TIME, client.readiness()).await;
        match asked {
            Ok(Ok(readiness)) if readiness.ready => self.ok("service", format!("{base} is ready")),
            Ok(Ok(readiness)) => {
                let failing: Vec<String> = readiness
                    .checks
                    .iter()
                    .filter(|check| !check.ok)
                    .map(|check| format!("{}: {}", check.name, check.detail.clone().unwrap_or_default()))
                    .collect();
                self.fail(
                    "service",
                    format!("{base} is not ready: {}", failing.join("; ")),
                    "look at its log",
                );
            }
            Ok(Err(error)) => {
                let fix =
                    "start it with `notify serve`; where it listens elsewhere, --listen is not known here";
                self.warn("service", format!("{base} does not answer: {error}"), fix);
            }
            Err(_) => self.fail("service", format!("{base} does not answer in time"), "look at its log"),
        }
    }

    async fn channels(&mut self, config: &Config, look: &Look, connect: bool) {
        let guard = match parts::egress_guard(config) {
            Ok(guard) => guard,
            Err(failure) => return self.fail("egress", failure.text().trim().to_owned(), ""),
        };
        for (tenant, body) in &look.channels {
            let Ok(channel) = serde_json::from_str::<Channel>(body) else { continue };
            let check = format!("channel {tenant}/{}", channel.id);
            if !channel.enabled {
                let fix = format!("when its receiver works again: notify channel enable {}", channel.id);
                self.warn(&check, "disabled".to_owned(), &fix);
                continue;
            }
            let Some(url) = channel.config.get("url").and_then(serde_json::Value::as_str) else { continue };
            let Ok(url) = url::Url::parse(url) else { continue };
            if let Err(blocked) = guard.check_url(&url) {
                let fix = "change the channel, or allow the address in [egress]";
                self.fail(&check, blocked.to_string(), fix);
            } else if connect {
                self.reach(&check, &guard, &url).await;
            }
        }
    }

    /// A connection and nothing more, under the same rules as the service's own.
    async fn reach(&mut self, check: &str, guard: &notify_netguard::Policy, url: &url::Url) {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().unwrap_or_default();
        let connecting = async {
            let addresses: Vec<_> = tokio::net::lookup_host((host.as_str(), port))
                .await
                .map_err(|error| format!("{host} cannot be resolved: {error}"))?
                .collect();
            guard.check_resolved(&host, &addresses).map_err(|blocked| blocked.to_string())?;
            let mut last = format!("{host} has no address");
            for address in addresses {
                match tokio::net::TcpStream::connect(address).await {
                    Ok(_) => return Ok(address),
                    Err(error) => last = format!("{address}: {error}"),
                }
            }
            Err(last)
        };
        match tokio::time::timeout(CONNECT_TIME, connecting).await {
            Ok(Ok(address)) => self.ok(check, format!("{address} takes connections")),
            Ok(Err(reason)) => {
                self.fail(check, reason, "start the receiver; `notify webhook verify --url …` tells more");
            }
            Err(_) => {
                self.fail(check, format!("{host}:{port} does not answer in time"), "is there a firewall?")
            }
        }
    }

    fn ok(&mut self, check: &str, detail: impl Into<String>) {
        self.add(check, Verdict::Ok, detail.into(), "");
    }

    fn warn(&mut self, check: &str, detail: String, fix: &str) {
        self.add(check, Verdict::Warn, detail, fix);
    }

    fn fail(&mut self, check: &str, detail: String, fix: &str) {
        self.add(check, Verdict::Fail, detail, fix);
    }

    fn add(&mut self, check: &str, verdict: Verdict, detail: String, fix: &str) {
        if self.format == Format::Table {
            let (word, tone) = match verdict {
                Verdict::Ok => ("ok  ", Tone::Good),
                Verdict::Warn => ("warn", Tone::Caution),
                Verdict::Fail => ("FAIL", Tone::Bad),
            };
            output::say(&format!("{}  {check:<22}  {}", style::out(word, tone), printable(&detail)));
            if !fix.is_empty() && verdict != Verdict::Ok {
                output::say(&format!("      fix: {fix}"));
            }
        }
        let (check, fix) = (check.to_owned(), fix.to_owned());
        self.findings.push(Finding { check, verdict, detail, fix });
    }

    fn finish(self) -> Result<(), Failure> {
        let failed = self.findings.iter().filter(|finding| finding.verdict == Verdict::Fail).count();
        let warned = self.findings.iter().filter(|finding| finding.verdict == Verdict::Warn).count();
        if self.format == Format::Table {
            output::say(&format!("{failed} failed, {warned} to look at, {} looked at", self.findings.len()));
        } else {
            output::structured(self.format, &json!({ "ok": failed == 0, "findings": self.findings }));
        }
        if failed == 0 { Ok(()) } else { Err(Failure::Said) }
    }
}
