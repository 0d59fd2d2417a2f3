//! Bearer tokens: JWT (RFC 7519) signed with Ed25519 (RFC 8037). The algorithm is fixed here and never read from the
//! token's header.

use super::{Caller, Scope};
use crate::engine::Actor;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, spki::der::pem::LineEnding};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use notify_core::ids::TenantId;
use notify_core::problem::{Code, Problem};
use notify_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::time::Duration;

/// `iss` and `aud` of every token.
pub const ISSUER: &str = "notify-studio";
pub const AUDIENCE: &str = "notify-studio";
/// Longest a token may live, in seconds: 400 days.
pub const MAX_TTL_SECONDS: u64 = 400 * 86_400;
/// Clocks of issuer and verifier may differ by this much, in seconds.
const LEEWAY_SECONDS: i64 = 30;
/// Longer tokens are refused unread.
const MAX_TOKEN_BYTES: usize = 4_096;

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    tenant: TenantId,
    /// Scopes, separated by spaces.
    scope: String,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: String,
}

/// The site's token key.
pub struct TokenKey {
    signing: SigningKey,
    decoding: DecodingKey,
    validation: Validation,
}

/// The key file is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("the token key is not an Ed25519 private key in PKCS#8 PEM: {0}")]
    Key(String),
    #[error("the token cannot be signed: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
    #[error("a token may live from 1 second to 400 days")]
    Ttl,
}

impl TokenKey {
    /// # Errors
    /// When the text is not a PKCS#8 PEM of an Ed25519 private key.
    pub fn from_pem(pem: &str) -> Result<Self, TokenError> {
        Ok(Self::from_signing_key(
            SigningKey::from_pkcs8_pem(pem).map_err(|error| TokenError::Key(error.to_string()))?,
        ))
    }

    #[must_use]
    pub fn from_signing_key(signing: SigningKey) -> Self {
        let decoding = DecodingKey::from_ed_der(signing.verifying_key().as_bytes());
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.required_spec_claims =
            HashSet::from(["iss", "aud", "exp", "nbf", "sub"].map(str::to_owned));
        // Times are checked by `check_times`, against the caller's clock and on every use of a remembered token.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self { signing, decoding, validation }
    }

    /// PKCS#8 PEM of the private key, to keep in the home.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn to_pem(&self) -> Result<String, TokenError> {
        let pem =
            self.signing.to_pkcs8_pem(LineEnding::LF).map_err(|error| TokenError::Key(error.to_string()))?;
        Ok(pem.to_string())
    }

    /// SPKI PEM of the public key, for those who verify elsewhere.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn public_pem(&self) -> Result<String, TokenError> {
        let key = self.signing.verifying_key();
        key.to_public_key_pem(LineEnding::LF).map_err(|error| TokenError::Key(error.to_string()))
    }

    /// Signature, issuer, audience and form; not the times.
    pub(super) fn verify(&self, token: &str) -> Result<Caller, Problem> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(unauthenticated("the token is too long"));
        }
        let data = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation)
            .map_err(|error| unauthenticated(reason(&error)))?;
        let claims = data.claims;
        // A scope that this version does not know grants nothing.
        let scopes = claims.scope.split(' ').filter_map(|name| name.parse().ok()).collect();
        Ok(Caller {
            tenant: claims.tenant,
            actor: Actor { subject: claims.sub, token: claims.jti },
            scopes,
            expires_at: claims.exp,
            not_before: claims.nbf,
        })
    }
}

/// Words for a refused token. What the token says is not repeated: it is not to be trusted.
fn reason(error: &jsonwebtoken::errors::Error) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => "the token's signature is not ours",
        ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => "the token is for another service",
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => "the token is not signed with EdDSA",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks a required claim",
        _ => "the token is not a JWT of this service",
    }
}

/// # Errors
/// `unauthenticated` outside of the token's life.
pub(super) fn check_times(caller: &Caller, now: Timestamp) -> Result<(), Problem> {
    let now = now.as_second();
    if now >= caller.expires_at.saturating_add(LEEWAY_SECONDS) {
        return Err(unauthenticated("the token has run out"));
    }
    if now < caller.not_before.saturating_sub(LEEWAY_SECONDS) {
        return Err(unauthenticated("the token is not valid yet"));
    }
    Ok(())
}

fn unauthenticated(reason: &str) -> Problem {
    Problem::new(Code::Unauthenticated, "authorization", reason, "get a new token with `notify token issue`")
}

/// What a new token says.
#[derive(Debug, Clone)]
pub struct Issue<'a> {
    pub tenant: &'a TenantId,
    pub subject: &'a str,
    pub scopes: &'a [Scope],
    pub ttl: Duration,
}

/// Signs a token. `id` is random and becomes `jti`.
///
/// # Errors
/// When the life is out of bounds or signing fails.
pub fn issue_token(
    key: &TokenKey,
    issue: &Issue<'_>,
    id: [u8; 16],
    now: Timestamp,
) -> Result<String, TokenError> {
    if issue.ttl.is_zero() || issue.ttl.as_secs() > MAX_TTL_SECONDS {
        return Err(TokenError::Ttl);
    }
    let now = now.as_second();
    let names: Vec<_> = issue.scopes.iter().map(|scope| scope.as_str()).collect();
    let claims = Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: issue.subject.to_owned(),
        tenant: issue.tenant.clone(),
        scope: names.join(" "),
        iat: now,
        nbf: now,
        exp: now.saturating_add(i64::try_from(issue.ttl.as_secs().max(1)).unwrap_or(i64::MAX)),
        jti: URL_SAFE_NO_PAD.encode(id),
    };
    let der = key.signing.to_pkcs8_der().map_err(|error| TokenError::Key(error.to_string()))?;
    let header = Header::new(Algorithm::EdDSA);
    Ok(jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(der.as_bytes()))?)
}
