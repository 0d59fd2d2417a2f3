//! Who calls and what they may do: bearer tokens, scopes, tenants.

mod cache;
mod first_use;
pub mod publishers;
pub mod scope;
pub mod token;

pub use first_use::record_first_use;
pub use publishers::{Publisher, Publishers};
pub use scope::Scope;
pub use token::{Issue, TokenKey, issue_token};

use crate::engine::Actor;
use cache::{TokenDigest, VerifiedTokens};
use http::{HeaderMap, header};
use notify_core::ids::TenantId;
use notify_core::problem::{Code, Problem};
use notify_core::time::Timestamp;
use std::sync::Arc;

/// The caller, as the token tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub tenant: TenantId,
    pub actor: Actor,
    pub scopes: Vec<Scope>,
    /// Seconds since 1970; the token is void from then on.
    pub expires_at: i64,
    /// Seconds since 1970; the token is void before.
    pub not_before: i64,
}

/// Headers that may repeat the tenant and must then agree with the token.
const TENANT_HEADERS: [&str; 2] = ["x-notify-tenant", "x-stellaops-tenant"];

/// Verifies requests with one public key.
pub struct Authenticator {
    key: TokenKey,
    verified: VerifiedTokens,
    /// Held while a first use is recorded, so that it is recorded once.
    first_use: tokio::sync::Mutex<()>,
}

/// A caller and whether this process met the token before.
pub enum Presented {
    Known(Arc<Caller>),
    /// To be recorded and then remembered.
    New(Arc<Caller>, TokenDigest),
}

impl Authenticator {
    #[must_use]
    pub fn new(key: TokenKey) -> Self {
        Self { key, verified: VerifiedTokens::new(), first_use: tokio::sync::Mutex::default() }
    }

    /// Who sent this request. A signature is checked until the token is remembered; its times are checked always.
    ///
    /// # Errors
    /// `unauthenticated` or `tenant-mismatch`.
    pub fn caller(&self, headers: &HeaderMap, now: Timestamp) -> Result<Presented, Problem> {
        let token = bearer(headers)?;
        let digest = VerifiedTokens::digest(token);
        let presented = match self.verified.get(&digest) {
            Some(caller) => Presented::Known(caller),
            None => Presented::New(Arc::new(self.key.verify(token)?), digest),
        };
        let (Presented::Known(caller) | Presented::New(caller, _)) = &presented;
        token::check_times(caller, now)?;
        tenant_agrees(headers, &caller.tenant)?;
        Ok(presented)
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let refuse = |reason: &str| {
        Problem::new(
            Code::Unauthenticated,
            "authorization",
            reason,
            "send `Authorization: Bearer <token>`; `notify token issue` makes one",
        )
    };
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or_else(|| refuse("the request carries no token"))?;
    if values.next().is_some() {
        return Err(refuse("the request carries two Authorization headers"));
    }
    let text = value.to_str().map_err(|_| refuse("the Authorization header is not plain text"))?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refuse("the Authorization header is not of the scheme `Bearer`"));
    }
    let token = token.trim();
    if token.is_empty() { Err(refuse("the bearer token is empty")) } else { Ok(token) }
}

fn tenant_agrees(headers: &HeaderMap, tenant: &TenantId) -> Result<(), Problem> {
    for name in TENANT_HEADERS {
        for value in headers.get_all(name) {
            if value.as_bytes() != tenant.as_str().as_bytes() {
                return Err(Problem::new(
                    Code::TenantMismatch,
                    name,
                    format!("the header names another tenant than the token's, `{tenant}`"),
                    "leave the header out or use a token of that tenant",
                ));
            }
        }
    }
    Ok(())
}

/// # Errors
/// `forbidden`, naming the scopes that would do.
pub fn require(caller: &Caller, any_of: &[Scope]) -> Result<(), Problem> {
    if any_of.iter().any(|needed| caller.scopes.iter().any(|held| held.includes(*needed))) {
        return Ok(());
    }
    let names: Vec<_> = any_of.iter().map(|scope| format!("`{scope}`")).collect();
    let held: Vec<_> = caller.scopes.iter().map(|scope| scope.as_str()).collect();
    Err(Problem::new(
        Code::Forbidden,
        "authorization",
        format!("the token holds {}; this needs {}", list_or_nothing(&held), names.join(" or ")),
        "use a token with that scope",
    ))
}

fn list_or_nothing(names: &[&str]) -> String {
    if names.is_empty() { "no scope".to_owned() } else { format!("`{}`", names.join("`, `")) }
}
