//! What tests of codecs share: sends, random messages, the table of hostile strings, the messages of the default
//! templates, and golden files of prepared requests.

mod golden;
mod hostile;
mod random;

pub use golden::{check as golden, messages as default_messages};
pub use hostile::{HOSTILE_PLACES, Hostile, escaped, hostile_message, hostile_strings, tidy};
pub use random::message as any_message;

use notify_connector_sdk::{Part, Phase, PreparedRequest, Response, Send};
use std::path::PathBuf;

/// The address of a whole alert, as long as it may be.
#[must_use]
pub fn alert_url() -> String {
    let start = "https://notify.example/a/";
    format!("{start}{}", "x".repeat(512 - start.len()))
}

/// The repository.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// A first attempt.
#[must_use]
pub fn send<'a>(channel_type: &'a str, config: &'a str, message: &'a str, secrets: &'a str) -> Send<'a> {
    Send {
        token: 1,
        attempt: 1,
        delivery_unix_ms: 1_795_327_200_123,
        attempt_unix_ms: 1_795_327_200_123,
        deadline_unix_ms: u64::MAX,
        phase: Phase::Open,
        check: false,
        channel_type,
        delivery_id: "dlv_0123456789abcdef0123456789abcdef",
        provider_reference: None,
        config_json: config.as_bytes(),
        message_json: message.as_bytes(),
        secret_names_json: secrets.as_bytes(),
        secrets_json: b"",
    }
}

/// An answer.
#[must_use]
pub fn response<'a>(status: u16, headers: &'a str, body: &'a str) -> Response<'a> {
    Response {
        status,
        truncated: false,
        check: false,
        attempt_unix_ms: 1_795_327_200_123,
        channel_type: "chat",
        config_json: b"{}",
        headers_json: headers.as_bytes(),
        body: body.as_bytes(),
    }
}

/// The body as it leaves: secrets filled in.
#[must_use]
pub fn body(request: &PreparedRequest) -> String {
    let fill = |part: &Part| match part {
        Part::Text(text) => text.clone(),
        Part::Secret(name) if name == "studio-alert-url" => alert_url(),
        Part::Secret(name) => format!("secret-{name}"),
    };
    request.body.iter().map(fill).collect()
}

/// The body as JSON.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn json_body(request: &PreparedRequest) -> serde_json::Value {
    let text = body(request);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
