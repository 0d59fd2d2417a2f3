//! The channel document: where alerts go, through which connector, with which secrets (by reference only).

use super::behaviour::{BreakerSettings, Fallback, HealthCheck, OwnRate};
use super::noise::{Budget, QuietHours, Setting};
use crate::ids::{ChannelId, ContactId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// `schema: notify-channel@1`.
pub const SCHEMA: &str = "notify-channel@1";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Channel {
    pub schema: String,
    pub id: ChannelId,
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The channel type a plug-in declares, such as `webhook`.
    pub r#type: String,
    #[serde(default = "yes")]
    pub enabled: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Checked against the plug-in's own config schema. Holds no secret.
    #[serde(default)]
    pub config: Map<String, Value>,
    /// Secret name (as the plug-in's manifest declares it) to references, newest first. Two references mean a
    /// rotation with overlap: a webhook is then signed with both.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, Vec<SecretRef>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Seconds one attempt may take, 1 to 120; absent: the operator's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u16>,
    /// Who reads it: their locale, quiet hours and budget hold for what is sent here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<ContactId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quiet_hours: Vec<QuietHours>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maintenance: Vec<QuietHours>,
    /// Messages to this channel, across rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// Lower than what the provider allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<OwnRate>,
    /// `off`, or when it opens; absent: the recommended one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Setting<BreakerSettings>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Fallback>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthCheck>,
}

/// The inbox that every tenant has without a document.
pub const INBOX: &str = "inbox";

/// Whether a channel of this id exists for every tenant without a document.
#[must_use]
pub fn is_builtin_channel(id: &str) -> bool {
    id == INBOX
}

/// `secret://env/NAME` or `secret://file/NAME`; what names are allowed is the operator's policy, per tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SecretRef {
    /// Name of an environment variable.
    Env(String),
    /// Path below the tenant's folder of the operator's secret directory.
    File(String),
}

/// When to try again after a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Retry {
    /// Waits in seconds before attempts 2, 3, …; empty means one attempt only. At most 16, each at most 86,400.
    pub schedule_seconds: Vec<u32>,
}

impl Retry {
    /// Svix's schedule: now, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h (DESIGN section 8).
    pub const DEFAULT_SECONDS: [u32; 7] = [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000];
}

/// A text is no secret reference. It may be the secret itself, pasted by mistake, so no part of it is kept here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a secret reference: use `secret://env/NAME` or `secret://file/NAME`")]
pub struct InvalidSecretRef;

impl TryFrom<String> for SecretRef {
    type Error = InvalidSecretRef;
    fn try_from(text: String) -> Result<Self, InvalidSecretRef> {
        let plain = |name: &str, more: &str| {
            !name.is_empty()
                && name.len() <= 200
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_' || more.as_bytes().contains(&b))
        };
        if let Some(name) = text.strip_prefix("secret://env/") {
            if plain(name, "") {
                return Ok(Self::Env(name.to_owned()));
            }
        } else if let Some(path) = text.strip_prefix("secret://file/") {
            let safe = |part: &str| plain(part, "-.") && !part.starts_with('.');
            if path.split('/').all(safe) {
                return Ok(Self::File(path.to_owned()));
            }
        }
        Err(InvalidSecretRef)
    }
}

impl From<SecretRef> for String {
    fn from(reference: SecretRef) -> Self {
        match reference {
            SecretRef::Env(name) => format!("secret://env/{name}"),
            SecretRef::File(path) => format!("secret://file/{path}"),
        }
    }
}

const fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_plain_names_and_nothing_pasted_is_echoed() {
        for good in ["secret://env/SEC_HOOK", "secret://file/hooks/sec.key", "secret://file/a-b"] {
            let reference = SecretRef::try_from(good.to_owned()).unwrap();
            assert_eq!(String::from(reference), good);
        }
        for bad in [
            "",
            "whsec_c2VjcmV0",
            "secret://env/",
            "secret://env/A-B",
            "secret://env/A/B",
            "secret://file/",
            "secret://file/../x",
            "secret://file/a//b",
            "secret://file//etc",
            "secret://file/.hidden",
            "secret://vault/x",
            "SECRET://env/A",
            "secret://env/Ä",
            "secret://file/a\0b",
            &format!("secret://env/{}", "A".repeat(201)),
        ] {
            let error = SecretRef::try_from(bad.to_owned()).unwrap_err().to_string();
            assert_eq!(
                error, "not a secret reference: use `secret://env/NAME` or `secret://file/NAME`",
                "{bad}"
            );
        }
    }
}
