//! The home of a service: its configuration, keys and database.

use crate::args::HomeArgs;
use crate::config::{self, Loaded, Sources, StoreUrl};
use crate::failure::Failure;
use notify_core::ids::hex;
use notify_core::ledger::keys::ExportKey;
use notify_core::links::LinkKeys;
use notify_core::time::{Clock, Timestamp};
use notify_store::{Backend, OpenOptions, Store, StoreError};
use notify_webservice::auth::TokenKey;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// An opened home. Keys that are missing were made.
pub struct Home {
    pub folder: PathBuf,
    pub loaded: Loaded,
    /// Seed of all log keys.
    pub log_seed: [u8; 32],
    /// PKCS#8 PEM.
    token_pem: String,
    export_pem: String,
    links: String,
}

/// The machine's clock, for commands; the service has its own.
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the edge: commands ask here and pass the time on")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl Home {
    /// The configuration alone; makes nothing.
    ///
    /// # Errors
    /// When it is wrong.
    pub fn config_of(args: &HomeArgs, flags: Vec<(&'static str, String)>) -> Result<Loaded, Failure> {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let sources = Sources { home: &args.home, file: args.config.as_deref(), environment, flags };
        config::load(&sources).map_err(|error| {
            Failure::other(error.to_string(), "`notify config defaults` documents every key")
        })
    }

    /// Loads the configuration and keys; makes the folder and missing keys, readable for the owner only.
    ///
    /// # Errors
    /// When the configuration is wrong or a key cannot be read or made.
    pub fn open(args: &HomeArgs, flags: Vec<(&'static str, String)>) -> Result<Self, Failure> {
        let loaded = Self::config_of(args, flags)?;
        let folder = args.home.clone();
        make_private(&folder)?;
        let keys = folder.join("keys");
        make_private(&keys)?;
        let seed = key_file(&keys.join("log.seed"), || Ok(format!("{}\n", hex(&random()?))))?;
        let log_seed = parse_seed(&seed).ok_or_else(|| {
            Failure::other(
                format!("{} is not 64 hexadecimal digits", keys.join("log.seed").display()),
                "restore it from a backup; without it the ledger cannot be continued",
            )
        })?;
        let token_pem = key_file(&keys.join("token.ed25519.pem"), || new_key_pem("token"))?;
        let export_pem = key_file(&keys.join("export.ed25519.pem"), || new_key_pem("export"))?;
        let links = key_file(&keys.join("links.json"), || Ok(LinkKeys::one(random()?).to_text()))?;
        let home = Self { folder, loaded, log_seed, token_pem, export_pem, links };
        // Said here rather than at the first use.
        home.token_key()?;
        home.export_key()?;
        home.link_keys()?;
        Ok(home)
    }

    /// # Errors
    /// When the file is no Ed25519 key.
    pub fn token_key(&self) -> Result<TokenKey, Failure> {
        TokenKey::from_pem(&self.token_pem).map_err(|error| {
            Failure::other(format!("keys/token.ed25519.pem: {error}"), "restore it or remove it")
        })
    }

    /// # Errors
    /// When the file is no Ed25519 key.
    pub fn export_key(&self) -> Result<ExportKey, Failure> {
        ExportKey::from_pem(&self.export_pem).map_err(|error| {
            Failure::other(format!("keys/export.ed25519.pem: {error}"), "restore it or remove it")
        })
    }

    /// The keys that links to our pages are signed with.
    ///
    /// # Errors
    /// When the file is no ring of keys.
    pub fn link_keys(&self) -> Result<LinkKeys, Failure> {
        LinkKeys::parse(&self.links).map_err(|error| {
            let fix = "restore it; without it, links that were sent do not open any more, and a new one is made when it is gone";
            Failure::other(format!("keys/links.json: {error}"), fix)
        })
    }

    /// The store's place and options.
    ///
    /// # Errors
    /// When the configuration names no store that we know.
    pub fn store_options(&self) -> Result<OpenOptions, Failure> {
        let config = &self.loaded.config;
        let backend = match config.store_url() {
            Ok(StoreUrl::Sqlite(file)) => Backend::Sqlite { file },
            Ok(StoreUrl::Postgres(url)) => Backend::Postgres { url },
            Err(error) => return Err(Failure::other(error.to_string(), "")),
        };
        Ok(OpenOptions {
            backend,
            site: config.ledger.site.clone(),
            log_seed: self.log_seed,
            read_connections: config.store.read_connections,
        })
    }

    /// # Errors
    /// Above all: another process uses this home.
    pub async fn open_store(&self) -> Result<Store, Failure> {
        Store::open(self.store_options()?).await.map_err(|error| match error {
            StoreError::InUse(_) => Failure::other(
                format!("a running service uses {}", self.folder.display()),
                "stop it first; with SQLite one process at a time may use a home",
            ),
            other => Failure::other(format!("the store cannot be opened: {other}"), ""),
        })
    }
}

/// 32 random bytes.
///
/// # Errors
/// When the system has none.
pub fn random() -> Result<[u8; 32], Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::other(format!("the system gives no random bytes: {error}"), ""))?;
    Ok(bytes)
}

fn new_key_pem(what: &str) -> Result<String, Failure> {
    let failed = |error: String| Failure::other(format!("the {what} key cannot be made: {error}"), "");
    let key = ExportKey::from_seed(&random()?);
    key.to_pem().map(|pem| pem.to_string()).map_err(|error| failed(error.to_string()))
}

fn parse_seed(text: &str) -> Option<[u8; 32]> {
    notify_core::ledger::commitment::parse_hex32(text.trim())
}

fn make_private(folder: &Path) -> Result<(), Failure> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| Failure::other(format!("{} cannot be made: {error}", folder.display()), ""))
}

/// Reads a key, or makes it so that a crash leaves either none or a whole one.
fn key_file(path: &Path, make: impl FnOnce() -> Result<String, Failure>) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::other(format!("{}: {error}", path.display()), "");
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode();
            if mode & 0o077 != 0 {
                return Err(Failure::other(
                    format!("{} can be read by others than its owner", path.display()),
                    format!("chmod 600 {}", path.display()),
                ));
            }
            return Ok(text);
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let text = make()?;
    let fresh = path.with_extension(format!("new-{}", std::process::id()));
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    // A hard link fails where another process was faster: then its key counts.
    let linked = std::fs::hard_link(&fresh, path);
    std::fs::remove_file(&fresh).map_err(failed)?;
    match linked {
        Ok(()) => {
            if let Some(folder) = path.parent() {
                std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
            }
            Ok(text)
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            std::fs::read_to_string(path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let args = HomeArgs { home: folder.path().join("home"), config: None };
        let first = Home::open(&args, vec![]).map_err(|failure| failure.text()).unwrap();
        let second = Home::open(&args, vec![]).map_err(|failure| failure.text()).unwrap();
        assert_eq!(
            (first.log_seed, &first.token_pem, &first.export_pem, &first.links),
            (second.log_seed, &second.token_pem, &second.export_pem, &second.links)
        );
        assert_ne!(first.token_pem, first.export_pem);
        let key = args.home.join("keys/log.seed");
        let mode = |mode| std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        mode(0o644);
        let refused = Home::open(&args, vec![]).err().map(|failure| failure.text()).unwrap_or_default();
        assert!(refused.contains("can be read by others"), "{refused}");
        mode(0o600);
        std::fs::write(&key, "short").unwrap();
        let refused = Home::open(&args, vec![]).err().map(|failure| failure.text()).unwrap_or_default();
        assert!(refused.contains("64 hexadecimal digits"), "{refused}");
    }
}
