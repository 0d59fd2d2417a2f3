//! `notify-plugin.json`: what a plug-in says of itself, signed as the bytes that it is.

use crate::refused_secrets::RefusedSecrets;
use notify_core::ids::is_slug;
use notify_core::json::{self, Limits};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// File names inside a plug-in's folder.
pub const MANIFEST_FILE: &str = "notify-plugin.json";
pub const SIGNATURE_FILE: &str = "notify-plugin.json.sig";
/// Longest manifest, in bytes.
pub const MAX_MANIFEST: usize = 256 * 1024;

/// The platform that this host runs on, as in the manifest's `files`: `linux-x86_64-gnu` and the like.
#[must_use]
pub fn platform() -> String {
    let env = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    format!("{}-{}-{env}", std::env::consts::OS, std::env::consts::ARCH)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Codec,
    Transport,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Abi {
    pub major: u16,
    pub minor: u16,
}

/// The library for one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// A plain name inside the plug-in's folder.
    pub name: String,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// A secret that a channel of this connector may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretName {
    pub name: String,
    #[serde(default)]
    pub required: bool,
    /// A channel may have any number of these: each is named `<name>-<something>`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub many: bool,
    #[serde(default)]
    pub description: String,
    /// Values that cannot be right, so that a person learns why before anything is sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refuse: Vec<RefusedValue>,
}

/// A secret's values that are refused. A codec sees no secret, so only the host can tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedValue {
    /// A regular expression without look-around and back-references: it is matched in linear time.
    pub pattern: String,
    /// What is wrong and what to do about it.
    pub reason: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks like this")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl SecretName {
    /// Whether a channel's secret of this name is one of these.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        if !self.many {
            return self.name == name;
        }
        let rest = name.strip_prefix(self.name.as_str()).and_then(|rest| rest.strip_prefix('-'));
        rest.is_some_and(|rest| !rest.is_empty()) && is_slug(name)
    }

    /// As people are told of it.
    #[must_use]
    pub fn shown(&self) -> String {
        if self.many { format!("{}-…", self.name) } else { self.name.clone() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct PluginLimits {
    /// Longest prepared request, in bytes of its JSON.
    pub max_request_bytes: u32,
    /// Most calls under way in the child at once: for a transport, what a crash leaves in doubt.
    pub window: u32,
    /// How much the target takes; all of them hold.
    pub rates: Vec<Rate>,
}

/// At most `count` sends in `seconds`, in a burst or spread out, to each target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    pub count: u32,
    pub seconds: u32,
    /// What makes two channels one target: JSON Pointers into `config`, or `secret:NAME` for the references of a secret.
    /// Channels of equal values share the rate, across rules. Empty: each channel has its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per: Vec<String>,
}

/// How the studio can tell whether a channel would work, without sending anything to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthKind {
    /// Not at all.
    #[default]
    None,
    /// By a send with `NC_SEND_CHECK`.
    Check,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct HealthHints {
    pub kind: HealthKind,
}

impl Default for PluginLimits {
    fn default() -> Self {
        Self { max_request_bytes: 1024 * 1024, window: 1024, rates: Vec::new() }
    }
}

/// Hints for channels that do not configure their own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct RetryHints {
    pub schedule_seconds: Vec<u32>,
    pub timeout_seconds: Option<u32>,
}

/// The signed manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Manifest {
    pub name: String,
    /// Semantic version; the host only compares it with what the library says.
    pub version: String,
    #[serde(default)]
    pub description: String,
    pub abi: Abi,
    pub kind: Kind,
    pub channel_types: Vec<String>,
    /// Platform to library.
    pub files: BTreeMap<String, File>,
    /// JSON Schema of a channel's `config`.
    pub config_schema: serde_json::Value,
    #[serde(default)]
    pub secrets: Vec<SecretName>,
    #[serde(default)]
    pub limits: PluginLimits,
    #[serde(default)]
    pub retry: RetryHints,
    /// What it wants to reach, for the operator to read and, for transports, to allow.
    #[serde(default)]
    pub egress: serde_json::Value,
    #[serde(default)]
    pub health: HealthHints,
}

/// Why a manifest is refused. For the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestFault {
    #[error("notify-plugin.json: {0}")]
    Json(#[from] json::JsonFault),
    #[error("notify-plugin.json: {0}")]
    Shape(String),
    #[error("notify-plugin.json: `{path}`: {reason}")]
    Value { path: String, reason: String },
}

impl Manifest {
    /// Parses and checks a manifest.
    ///
    /// # Errors
    /// [`ManifestFault`], naming the field.
    pub fn parse(text: &[u8]) -> Result<Self, ManifestFault> {
        let value = json::parse(text, Limits { max_bytes: MAX_MANIFEST, max_depth: 64 })?;
        let manifest: Self =
            serde_json::from_value(value).map_err(|error| ManifestFault::Shape(error.to_string()))?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestFault> {
        let fail = |path: &str, reason: &str| {
            Err(ManifestFault::Value { path: path.to_owned(), reason: reason.to_owned() })
        };
        if !is_slug(&self.name) {
            return fail("/name", notify_core::ids::SLUG_RULE);
        }
        if self.version.is_empty()
            || self.version.len() > 64
            || !self.version.bytes().all(|b| b.is_ascii_graphic())
        {
            return fail("/version", "1 to 64 printable characters are needed");
        }
        if self.abi.major != notify_connector_abi::ABI_MAJOR {
            return fail("/abi/major", "this studio speaks connector ABI 1 only");
        }
        if self.channel_types.is_empty() || !self.channel_types.iter().all(|name| is_slug(name)) {
            return fail("/channelTypes", "at least one name of a-z, 0-9 and `-` is needed");
        }
        if self.channel_types.iter().collect::<BTreeSet<_>>().len() != self.channel_types.len() {
            return fail("/channelTypes", "a name appears twice");
        }
        for (platform, file) in &self.files {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
            if file.name.is_empty() || file.name.starts_with('.') || !file.name.bytes().all(plain) {
                return fail(
                    &format!("/files/{platform}/name"),
                    "a plain file name is needed, without folders",
                );
            }
            let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            if file.sha256.len() != 64 || !file.sha256.bytes().all(hex) {
                return fail(
                    &format!("/files/{platform}/sha256"),
                    "64 lower-case hexadecimal digits are needed",
                );
            }
        }
        if !self.config_schema.is_object() {
            return fail("/configSchema", "a JSON Schema object is needed");
        }
        for secret in &self.secrets {
            if !is_slug(&secret.name) {
                return fail("/secrets", notify_core::ids::SLUG_RULE);
            }
            if secret.name == "studio" || secret.name.starts_with("studio-") {
                return fail("/secrets", "names that begin with `studio` are for values of the studio");
            }
            if secret.refuse.len() > 8 {
                return fail("/secrets", "at most 8 `refuse` are possible for one secret");
            }
            if let Err(reason) = RefusedSecrets::of_one(secret) {
                return fail("/secrets", &reason);
            }
        }
        if self.limits.rates.len() > 8 {
            return fail("/limits/rates", "at most 8 are possible");
        }
        for (at, rate) in self.limits.rates.iter().enumerate() {
            if rate.count == 0 || !(1..=86_400).contains(&rate.seconds) {
                return fail(
                    &format!("/limits/rates/{at}"),
                    "a count from 1 and 1 to 86400 seconds are needed",
                );
            }
            let known = |of: &str| of.starts_with('/') || of.strip_prefix("secret:").is_some_and(is_slug);
            if rate.per.len() > 8 || !rate.per.iter().all(|of| known(of)) {
                let reason = "JSON Pointers into the config or `secret:NAME` are needed, at most 8";
                return fail(&format!("/limits/rates/{at}/per"), reason);
            }
        }
        let allowed = 1..=u32::try_from(notify_connector_abi::limits::REQUEST).unwrap_or(u32::MAX);
        if !allowed.contains(&self.limits.max_request_bytes) {
            return fail("/limits/maxRequestBytes", "between 1 and 1048576 is needed");
        }
        if !(1..=65_536).contains(&self.limits.window) {
            return fail("/limits/window", "between 1 and 65536 is needed");
        }
        Ok(())
    }

    /// The library for the platform that this host runs on.
    ///
    /// # Errors
    /// When there is none.
    pub fn file(&self) -> Result<&File, ManifestFault> {
        let platform = platform();
        self.files.get(&platform).ok_or_else(|| ManifestFault::Value {
            path: "/files".to_owned(),
            reason: format!("there is no library for this platform, {platform}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::SecretName;

    #[test]
    fn one_secret_or_many() {
        let check = |many: bool, name: &str, expected: bool| {
            let known = SecretName {
                name: "header".into(),
                required: false,
                many,
                description: String::new(),
                refuse: Vec::new(),
            };
            assert_eq!(known.names(name), expected, "{many} {name}");
        };
        check(false, "header", true);
        check(false, "header-token", false);
        check(true, "header-token", true);
        check(true, "header-a-b2", true);
        for other in ["header", "header-", "headers-x", "header-A", "header-x ", "signing"] {
            check(true, other, false);
        }
    }
}
