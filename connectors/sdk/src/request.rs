//! What a codec prepares: an HTTP request as parts. A mirror of `notify_connector_host::request`, compared with it by
//! `tests/golden.rs`; published as `resources/schemas/prepared-request.schema.json`.

use serde::{Deserialize, Serialize};

/// Literal text, or the place where the host puts a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Part {
    Text(String),
    /// Name of a secret of the channel.
    Secret(String),
}

impl Part {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
    pub fn secret(name: impl Into<String>) -> Self {
        Self::Secret(name.into())
    }
}

/// How the host authenticates the request. `secret` is the name of one of the channel's secrets.
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
    /// The host adds `webhook-id`, `webhook-timestamp` and `webhook-signature`.
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

impl PreparedRequest {
    /// A `POST` without headers and body.
    #[must_use]
    pub fn post(url: Vec<Part>) -> Self {
        Self { method: "POST".to_owned(), url, headers: Vec::new(), body: Vec::new(), auth: Auth::None }
    }

    /// With a JSON body and its content type.
    #[must_use]
    pub fn json(self, body: impl Into<String>) -> Self {
        let mut request = self.header("content-type", "application/json");
        request.body = vec![Part::Text(body.into())];
        request
    }

    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), vec![Part::Text(value.into())]));
        self
    }

    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }
}
