//! The webhook connector: the message as JSON, to a URL of the channel's configuration.
//!
//! # What is sent
//! `{"type":"notify.alert","timestamp":T,"data":{…the message…,"delivery":ID}}`, the layout that Standard Webhooks
//! recommends, published as `resources/schemas/webhook-payload.schema.json`. The bytes are the same on every attempt:
//! `timestamp` is the time of the event behind the message, or of the decision to deliver where there is no event, never
//! the time of the attempt (that one is in the `webhook-timestamp` header, and signed). The message's `native` overrides
//! belong to other connectors and are left out; what the template put under `native.webhook` is sent as `data.custom`.
//!
//! # How answers are read
//! | status | outcome |
//! |---|---|
//! | 2xx | delivered |
//! | 3xx | permanent: the host does not follow redirects, the channel needs the new address |
//! | 410 | gone: the channel is disabled |
//! | 429, 502, 503, 504 | throttled, with `Retry-After` |
//! | everything else | retry, with `Retry-After` on 408, 425 and 5xx |
//!
//! "Everything else" includes 400, 401, 404 and 422. Standard Webhooks calls only 2xx a success and names only 410 as
//! final, and in practice these come from half-deployed receivers and expired gateways at least as often as from wrong
//! messages; the retry schedule is finite and ends in the dead letters, where a replay is one command. Being wrong here
//! costs a few requests; the other way round it costs the alert.

#![forbid(unsafe_code)]

mod answer;
mod payload;

use notify_connector_sdk::{
    Auth, Codec, ConfigProblem, Log, Part, PreparedRequest, Refusal, Response, Send, Verdict,
};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Name of the secret that requests are signed with.
const SIGNING: &str = "signing";

/// The channel's configuration (`configSchema` in `notify-plugin.json`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config<'a> {
    #[serde(borrow)]
    url: Cow<'a, str>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    headers: BTreeMap<Cow<'a, str>, HeaderValue>,
}

/// A header's value: text, a secret of the channel, or several of both.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum HeaderValue {
    One(Piece),
    Several(Vec<Piece>),
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Piece {
    Text(String),
    Secret(SecretPiece),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretPiece {
    secret: String,
}

impl HeaderValue {
    fn pieces(&self) -> &[Piece] {
        match self {
            Self::One(piece) => std::slice::from_ref(piece),
            Self::Several(pieces) => pieces,
        }
    }

    fn secrets(&self) -> impl Iterator<Item = &str> {
        self.pieces().iter().filter_map(|piece| match piece {
            Piece::Secret(SecretPiece { secret }) => Some(secret.as_str()),
            Piece::Text(_) => None,
        })
    }
}

impl From<Piece> for Part {
    fn from(piece: Piece) -> Self {
        match piece {
            Piece::Text(text) => Self::Text(text),
            Piece::Secret(SecretPiece { secret }) => Self::Secret(secret),
        }
    }
}

/// Headers that the host sets, or that would change what the request is.
fn is_reserved(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(
        name.as_str(),
        "content-length"
            | "content-type"
            | "content-encoding"
            | "host"
            | "connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "keep-alive"
            | "expect"
            | "accept-encoding"
            | "http2-settings"
    ) || name.starts_with("webhook-")
        || name.starts_with("proxy-")
}

/// The signing secret must never travel as text, so headers have names of their own.
fn is_header_secret(name: &str) -> bool {
    let rest = name.strip_prefix("header-").unwrap_or_default();
    !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

impl Config<'_> {
    fn problems(&self) -> Vec<ConfigProblem> {
        let mut problems = Vec::new();
        let mut problem = |path: String, reason: &str, fix: &str| {
            problems.push(ConfigProblem { path, reason: reason.to_owned(), fix: fix.to_owned() });
        };
        if !(self.url.starts_with("https://") || self.url.starts_with("http://")) {
            problem(
                "/url".to_owned(),
                "the URL is neither https nor http",
                "give the whole address, with https://",
            );
        }
        if !matches!(self.method.as_deref(), None | Some("POST" | "PUT" | "PATCH")) {
            problem("/method".to_owned(), "this method carries no message", "use POST, PUT or PATCH");
        }
        for (name, value) in &self.headers {
            let path = || format!("/headers/{}", name.replace('~', "~0").replace('/', "~1"));
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            if name.is_empty() || !name.bytes().all(token) {
                problem(path(), "this is no header name", "use letters, digits and -");
            } else if is_reserved(name) {
                problem(path(), "the studio sets this header itself", "remove it");
            } else if name.eq_ignore_ascii_case("authorization") && value.secrets().next().is_none() {
                problem(
                    path(),
                    "credentials do not belong into the configuration, which many may read",
                    "name a secret, such as [\"Bearer \", {\"secret\": \"header-token\"}]",
                );
            }
            for piece in value.pieces() {
                match piece {
                    Piece::Text(text) if !text.bytes().all(|b| b == b'\t' || (0x20..0x7f).contains(&b)) => {
                        problem(
                            path(),
                            "the value has characters that a header cannot carry",
                            "use printable ASCII",
                        );
                    }
                    Piece::Secret(SecretPiece { secret }) if !is_header_secret(secret) => {
                        problem(
                            path(),
                            "secrets of headers have names that begin with `header-`",
                            "rename it",
                        );
                    }
                    _ => {}
                }
            }
        }
        problems
    }
}

struct Webhook;

impl Codec for Webhook {
    const MANIFEST: &'static str = include_str!("../notify-plugin.json");

    fn create(_options: &[u8], _log: Log) -> Result<Self, String> {
        Ok(Self)
    }

    fn validate(_channel_type: &str, config_json: &[u8]) -> Vec<ConfigProblem> {
        match serde_json::from_slice::<Config<'_>>(config_json) {
            Ok(config) => config.problems(),
            Err(error) => vec![ConfigProblem {
                path: String::new(),
                reason: error.to_string(),
                fix: "see the connector's configSchema".to_owned(),
            }],
        }
    }

    fn prepare(&self, send: &Send<'_>) -> Result<PreparedRequest, Refusal> {
        let config: Config<'_> = send.config()?;
        if let Some(problem) = config.problems().into_iter().next() {
            return Err(Refusal::bad_config(format!(
                "{}: {}; {}",
                problem.path, problem.reason, problem.fix
            )));
        }
        let body = payload::body(&send.message()?, send.delivery_id, send.delivery_unix_ms)?;
        let mut request = PreparedRequest::post(vec![Part::text(config.url)]).json(body);
        if let Some(method) = config.method {
            request.method = method.into_owned();
        }
        for (name, value) in config.headers {
            if let Some(missing) = value.secrets().find(|secret| !send.has_secret(secret)) {
                let reason =
                    format!("/headers/{name} names the secret `{missing}`, which the channel does not have");
                return Err(Refusal::bad_config(reason));
            }
            let parts = match value {
                HeaderValue::One(piece) => vec![Part::from(piece)],
                HeaderValue::Several(pieces) => pieces.into_iter().map(Part::from).collect(),
            };
            request.headers.push((name.into_owned(), parts));
        }
        if send.has_secret(SIGNING) {
            request.auth = Auth::StandardWebhooks { secret: SIGNING.to_owned() };
        }
        Ok(request)
    }

    fn interpret(&self, response: &Response<'_>) -> Verdict {
        answer::interpret(response)
    }
}

notify_connector_sdk::export_codec!(Webhook);

#[cfg(test)]
mod tests;
