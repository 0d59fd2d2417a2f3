//! From secret references to values: the only place that reads secrets, once per attempt, into memory that is wiped.
//!
//! A tenant reaches only its own: files below `<secret_dir>/<tenant>/`, environment variables that begin with the
//! operator's prefix and the tenant's name. Values are never stored, logged or shown.
#![forbid(unsafe_code)]

mod file;

use notify_core::document::channel::SecretRef;
use notify_core::ids::TenantId;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Largest secret file, bytes.
pub const MAX_BYTES: u64 = 8 * 1024;
/// Folder of the operator's secret files; the name is no tenant id.
pub const OPERATOR_FOLDER: &str = "_operator";
/// Prefix of environment variables unless the operator sets another.
pub const DEFAULT_ENV_PREFIX: &str = "NOTIFY_SECRET_";

/// One value. Clones share the memory, which is wiped when the last one goes.
#[derive(Clone)]
pub struct SecretValue(Arc<Zeroizing<String>>);

impl SecretValue {
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(Arc::new(Zeroizing::new(value)))
    }

    /// The secret itself. Named so that a reader sees where secrets come into the open.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("‹secret›")
    }
}

/// The values of one channel's secrets, newest first under each name.
#[derive(Clone, Default)]
pub struct ResolvedSecrets(BTreeMap<String, Vec<SecretValue>>);

impl ResolvedSecrets {
    /// All values, newest first; empty when the channel has no such secret.
    #[must_use]
    pub fn values(&self, name: &str) -> &[SecretValue] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// The value to use where only one can be.
    #[must_use]
    pub fn newest(&self, name: &str) -> Option<&SecretValue> {
        self.values(name).first()
    }

    /// Every value with its name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &SecretValue)> {
        self.0.iter().flat_map(|(name, values)| values.iter().map(move |value| (name.as_str(), value)))
    }

    /// With the values that the studio itself provides for one send.
    #[must_use]
    pub fn with_provided(mut self, provided: &[(&'static str, String)]) -> Self {
        for (name, value) in provided {
            self.insert(*name, vec![SecretValue::new(value.clone())]);
        }
        self
    }

    pub fn insert(&mut self, name: impl Into<String>, values: Vec<SecretValue>) {
        self.0.insert(name.into(), values);
    }
}

impl fmt::Debug for ResolvedSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Why a secret could not be read. Names the channel's secret and the reference, never a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("secret `{name}` ({reference}): {reason}")]
pub struct SecretFault {
    pub name: String,
    pub reference: String,
    pub reason: SecretReason,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretReason {
    #[error("no file secrets are configured; the operator sets [secrets] dir")]
    NoDirectory,
    #[error("the file does not exist in the tenant's secret folder")]
    FileMissing,
    #[error("the path leaves the tenant's secret folder")]
    Outside,
    #[error("it is not a plain file")]
    NotAFile,
    #[error("it is larger than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("it is not UTF-8 text without NUL")]
    NotText,
    #[error("it is empty")]
    Empty,
    #[error("the file cannot be read: {0}")]
    Unreadable(std::io::ErrorKind),
    #[error("this tenant's environment secrets begin with `{0}` and a letter or digit")]
    ForeignVariable(String),
    #[error("the environment variable is not set")]
    VariableMissing,
    #[error("the channel lists no reference for it")]
    NoReference,
}

impl SecretReason {
    /// No later attempt can succeed unless the channel itself is changed.
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        matches!(self, Self::Outside | Self::ForeignVariable(_) | Self::NoReference)
    }
}

type EnvLookup = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Resolves references by the operator's rules. Shared by all deliveries of the process.
pub struct SecretResolver {
    files: Option<file::FileSecrets>,
    env_prefix: String,
    env: EnvLookup,
}

impl fmt::Debug for SecretResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretResolver").field("env_prefix", &self.env_prefix).finish_non_exhaustive()
    }
}

impl SecretResolver {
    /// `secret_dir` absent: file references are refused.
    #[must_use]
    pub fn new(secret_dir: Option<PathBuf>, env_prefix: impl Into<String>) -> Self {
        Self::with_environment(secret_dir, env_prefix, |name| std::env::var(name).ok())
    }

    /// With another source of environment variables, for tests.
    #[must_use]
    pub fn with_environment(
        secret_dir: Option<PathBuf>,
        env_prefix: impl Into<String>,
        env: impl Fn(&str) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            files: secret_dir.map(file::FileSecrets::new),
            env_prefix: env_prefix.into(),
            env: Box::new(env),
        }
    }

    /// Reads every secret of a channel. File secrets cost one metadata call each while the file is unchanged; a
    /// replaced or edited file is read again, so rotation needs no restart.
    ///
    /// # Errors
    /// [`SecretFault`] for the first secret that cannot be read.
    pub fn resolve(
        &self,
        tenant: &TenantId,
        secrets: &BTreeMap<String, Vec<SecretRef>>,
    ) -> Result<ResolvedSecrets, SecretFault> {
        let mut resolved = ResolvedSecrets::default();
        for (name, references) in secrets {
            if references.is_empty() {
                let reason = SecretReason::NoReference;
                return Err(SecretFault { name: name.clone(), reference: "none".to_owned(), reason });
            }
            let mut values = Vec::with_capacity(references.len());
            for reference in references {
                values.push(self.resolve_one(tenant, reference).map_err(|reason| SecretFault {
                    name: name.clone(),
                    reference: String::from(reference.clone()),
                    reason,
                })?);
            }
            resolved.0.insert(name.clone(), values);
        }
        Ok(resolved)
    }

    /// Reads a secret of the operator's own: any environment variable, files below `<secret_dir>/_operator/`, which no
    /// tenant can name.
    ///
    /// # Errors
    /// [`SecretReason`].
    pub fn resolve_for_operator(&self, reference: &SecretRef) -> Result<SecretValue, SecretReason> {
        match reference {
            SecretRef::File(path) => {
                self.files.as_ref().ok_or(SecretReason::NoDirectory)?.read(OPERATOR_FOLDER, path)
            }
            SecretRef::Env(name) => {
                checked_text(&Zeroizing::new((self.env)(name).ok_or(SecretReason::VariableMissing)?))
            }
        }
    }

    fn resolve_one(&self, tenant: &TenantId, reference: &SecretRef) -> Result<SecretValue, SecretReason> {
        match reference {
            SecretRef::File(path) => {
                self.files.as_ref().ok_or(SecretReason::NoDirectory)?.read(tenant.as_str(), path)
            }
            SecretRef::Env(name) => {
                let prefix = self.variable_prefix(tenant);
                let own = name
                    .strip_prefix(&prefix)
                    .is_some_and(|tail| tail.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()));
                if !own {
                    return Err(SecretReason::ForeignVariable(prefix));
                }
                let value = Zeroizing::new((self.env)(name).ok_or(SecretReason::VariableMissing)?);
                checked_text(&value)
            }
        }
    }

    /// `NOTIFY_SECRET_ACME_` for `acme`, `NOTIFY_SECRET_ACME__EU_` for `acme-eu`. A hyphen becomes *two* underscores:
    /// with one, tenant `acme` could name `NOTIFY_SECRET_ACME_EU_KEY`, which belongs to `acme-eu`. Since the rest must
    /// begin with a letter or digit, the first single underscore ends the tenant, and every name has one owner.
    #[must_use]
    pub fn variable_prefix(&self, tenant: &TenantId) -> String {
        format!("{}{}_", self.env_prefix, tenant.as_str().to_ascii_uppercase().replace('-', "__"))
    }
}

/// Editors and `echo` end files with a newline that is no part of the secret; exactly one is taken off.
fn checked_text(text: &str) -> Result<SecretValue, SecretReason> {
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if text.is_empty() {
        Err(SecretReason::Empty)
    } else if text.contains('\0') {
        Err(SecretReason::NotText)
    } else if text.len() as u64 > MAX_BYTES {
        Err(SecretReason::TooLarge)
    } else {
        Ok(SecretValue::new(text.to_owned()))
    }
}
