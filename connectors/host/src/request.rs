//! What a codec prepares and what the host sends: requests as lists of parts, so that a codec never sees a secret.

use serde::{Deserialize, Serialize};

/// Literal bytes, or the place where the host puts a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    /// UTF-8 text.
    Text(String),
    /// Name of a secret of the channel; the newest of its values is filled in.
    Secret(String),
}

/// How the host authenticates the request. Names are names of the channel's secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "scheme")]
pub enum Auth {
    #[default]
    None,
    Bearer {
        secret: String,
    },
    Basic {
        user: String,
        secret: String,
    },
    /// `webhook-id`, `webhook-timestamp`, `webhook-signature`; one signature for each value of the secret
    /// (`whsec_…` → `v1`, `whsk_…` → `v1a`).
    StandardWebhooks {
        secret: String,
    },
}

/// An HTTP request before secrets and signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PreparedRequest {
    /// `POST`, `PUT` or `PATCH`.
    pub method: String,
    pub url: Vec<Part>,
    pub headers: Vec<(String, Vec<Part>)>,
    pub body: Vec<Part>,
    #[serde(default)]
    pub auth: Auth,
}

/// What came back, cut to the operator's limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpResponse {
    pub status: u16,
    /// Lower-case names.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub truncated: bool,
}

/// What a connector says of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    Delivered,
    /// Handed over, not confirmed.
    Accepted,
    Retry {
        after_ms: Option<u64>,
    },
    Throttled {
        after_ms: Option<u64>,
    },
    Permanent,
    BadConfig,
    /// The target says that it is gone for good (HTTP 410): the channel is to be disabled.
    Gone,
    Cancelled,
    /// Made by the host only.
    Timeout,
    /// Made by the host only: the plug-in died.
    Crashed,
}

/// An outcome with what was learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub outcome: Outcome,
    /// For people: short, no secrets.
    pub detail: String,
    pub provider_reference: Option<String>,
}

impl PreparedRequest {
    /// The form that previews show and the ledger's `request` commitment covers: method, URL, headers and body, with
    /// ‹secret:name› in place of secrets.
    #[must_use]
    pub fn redacted(&self) -> Vec<u8> {
        let mut text = format!("{} {}\n", self.method, redact(&self.url));
        for (name, value) in &self.headers {
            text.push_str(&format!("{}: {}\n", name.to_ascii_lowercase(), redact(value)));
        }
        match &self.auth {
            Auth::None => {}
            Auth::Bearer { secret } => text.push_str(&format!("authorization: Bearer ‹secret:{secret}›\n")),
            Auth::Basic { user, secret } => {
                text.push_str(&format!("authorization: Basic {user}:‹secret:{secret}›\n"));
            }
            Auth::StandardWebhooks { secret } => {
                text.push_str(&format!("webhook-signature: ‹secret:{secret}›\n"));
            }
        }
        text.push('\n');
        text.push_str(&redact(&self.body));
        text.into_bytes()
    }
}

fn redact(parts: &[Part]) -> String {
    parts.iter().fold(String::new(), |mut out, part| {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Secret(name) => out.push_str(&format!("‹secret:{name}›")),
        }
        out
    })
}
