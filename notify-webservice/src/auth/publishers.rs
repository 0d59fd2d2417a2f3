//! Services that publish with a signature in place of a token: Standard Webhooks, with keys that the operator configures.

use super::{Caller, Scope, tenant_agrees};
use crate::app::{App, internal, store_problem};
use crate::documents::record;
use crate::engine::Actor;
use http::HeaderMap;
use notify_connector_host::secrets::SecretResolver;
use notify_connector_host::signing::{
    ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, VerifyFault, VerifyingKey, WebhookHeaders, verify,
};
use notify_core::document::channel::SecretRef;
use notify_core::ids::TenantId;
use notify_core::ledger::entry::AccessEntry;
use notify_core::problem::{Code, Problem};
use notify_core::time::Timestamp;
use notify_store::{Commit, Effect};
use serde::Deserialize;
use serde_json::Map;
use std::collections::HashSet;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publisher {
    /// Names it in the ledger.
    pub name: String,
    /// Whom it may publish for. With several, each request names one in its events' `tenant`.
    pub tenants: Vec<TenantId>,
    /// `whsec_…` or `whpk_…`, newest first; each is good, so that a key can be changed without a gap.
    pub secrets: Vec<SecretRef>,
}

/// All of them.
pub struct Publishers {
    all: Vec<Publisher>,
    secrets: Arc<SecretResolver>,
    /// Publisher and tenant pairs whose first use is in the ledger.
    recorded: tokio::sync::Mutex<HashSet<(String, TenantId)>>,
    /// Places for bodies of senders whom nobody knows yet.
    unverified: Arc<Semaphore>,
}

/// Bodies that may be held at once before their signature is verified; more are answered 429.
const UNVERIFIED: usize = 64;

impl Publishers {
    #[must_use]
    pub fn new(all: Vec<Publisher>, secrets: Arc<SecretResolver>) -> Self {
        let unverified = Arc::new(Semaphore::new(UNVERIFIED));
        Self { all, secrets, recorded: tokio::sync::Mutex::default(), unverified }
    }

    /// Before a body is read for somebody whom nobody knows: can there be a good signature at all? The place is held until
    /// the sender is known.
    ///
    /// # Errors
    /// `invalid-signature`; `rate-limited` when too many such bodies are held already.
    pub fn expect_signature(
        &self,
        headers: &HeaderMap,
        now: Timestamp,
    ) -> Result<OwnedSemaphorePermit, Problem> {
        for name in [ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER] {
            one(headers, name)?;
        }
        if self.all.is_empty() {
            return Err(unsigned("no publisher is configured here".to_owned()));
        }
        // Everything but the signature itself is judged without a body.
        if let Err(fault) = verify(&[], signed(headers)?, b"", now)
            && fault != VerifyFault::NoMatch
        {
            return Err(unsigned(fault.to_string()));
        }
        Arc::clone(&self.unverified).try_acquire_owned().map_err(|_| {
            let reason = "too many signed requests are being received at once";
            Problem::new(Code::RateLimited, "", reason, "send it again after a moment")
        })
    }

    /// Who signed this request, and for which tenant.
    ///
    /// # Errors
    /// `invalid-signature`, `tenant-mismatch`, `invalid-event` when no tenant is named and there are several.
    pub fn caller(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<Caller, Problem> {
        let publisher = self.publisher(headers, body, now)?;
        let tenant = publisher.tenant(body)?;
        tenant_agrees(headers, &tenant)?;
        let actor = Actor { subject: format!("publisher:{}", publisher.name), token: String::new() };
        Ok(Caller { tenant, actor, scopes: vec![Scope::Publish], expires_at: i64::MAX, not_before: 0 })
    }

    fn publisher(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<&Publisher, Problem> {
        let signed = signed(headers)?;
        let mut why = None;
        for publisher in &self.all {
            let keys = self.keys(publisher);
            match verify(&keys, signed, body, now) {
                Ok(()) => return Ok(publisher),
                Err(fault) => why = Some(fault),
            }
        }
        let reason =
            why.map_or_else(|| "no publisher is configured here".to_owned(), |fault| fault.to_string());
        Err(unsigned(reason))
    }

    /// A secret that cannot be read now, or is none, does not keep the others from being used.
    fn keys(&self, publisher: &Publisher) -> Vec<VerifyingKey> {
        let one = |reference: &SecretRef| {
            let value = self.secrets.resolve_for_operator(reference);
            let key = value
                .map_err(|reason| reason.to_string())
                .and_then(|value| VerifyingKey::parse(value.expose()).map_err(|fault| fault.to_string()));
            key.inspect_err(|reason| {
                let reference = String::from(reference.clone());
                tracing::error!(publisher = publisher.name, reference, %reason, "a publisher's secret cannot be used");
            })
            .ok()
        };
        publisher.secrets.iter().filter_map(one).collect()
    }

    /// The first use is recorded in the ledger, once, also over restarts: who got in without a token.
    ///
    /// # Errors
    /// When the tenant does not exist or the ledger cannot be written: then nobody gets in.
    pub async fn record_first_use(&self, app: &App, caller: &Caller, request: &str) -> Result<(), Problem> {
        let pair = (caller.actor.subject.clone(), caller.tenant.clone());
        let mut recorded = self.recorded.lock().await;
        if recorded.contains(&pair) {
            return Ok(());
        }
        let failed = |error| store_problem(request, &error);
        let about = caller.actor.subject.replacen(':', "/", 1);
        if app.store.ledger_entries_about(&caller.tenant, &about).await.map_err(failed)?.is_empty() {
            let entropy = record::entropy().map_err(|error| internal(request, &error))?;
            let (actor, opening) = record::commit(&entropy, &about, "actor", record::actor_bytes(caller));
            let mut details = Map::new();
            details.insert("scopes".into(), vec![Scope::Publish.as_str()].into());
            let entry = AccessEntry { act: "publisher-first-used".to_owned(), actor, details, about };
            let effects = vec![Effect::KeepOpening(opening)];
            let commit = Commit::new(caller.tenant.clone(), effects, vec![entry.into_draft()]);
            app.commit(commit).await.map_err(failed)?;
        }
        recorded.insert(pair);
        Ok(())
    }
}

fn signed(headers: &HeaderMap) -> Result<WebhookHeaders<'_>, Problem> {
    Ok(WebhookHeaders {
        id: one(headers, ID_HEADER)?,
        timestamp: one(headers, TIMESTAMP_HEADER)?,
        signature: one(headers, SIGNATURE_HEADER)?,
    })
}

fn unsigned(reason: String) -> Problem {
    let fix = "sign the body as Standard Webhooks says, with a secret that the operator lists under \
               `intake.publishers`, and keep the clock right";
    Problem::new(Code::InvalidSignature, SIGNATURE_HEADER, reason, fix)
}

impl Publisher {
    /// The only one, or the one that the signed body names.
    fn tenant(&self, body: &[u8]) -> Result<TenantId, Problem> {
        if let [only] = self.tenants.as_slice() {
            return Ok(only.clone());
        }
        let Some(named) = named_tenant(body) else {
            let reason = "this publisher has several tenants, and the event names none";
            return Err(Problem::new(Code::InvalidEvent, "/tenant", reason, "set the event's `tenant`"));
        };
        self.tenants.iter().find(|tenant| tenant.as_str() == named).cloned().ok_or_else(|| {
            let reason = "this publisher does not publish for the tenant that the event names";
            let fix = "name one of its tenants, or have the operator add this one to `intake.publishers`";
            Problem::new(Code::TenantMismatch, "/tenant", reason, fix)
        })
    }
}

/// `tenant` of the event, or of a batch's first event; the parser then sees that all others agree.
fn named_tenant(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        tenant: Option<String>,
    }
    // Only the first is looked at: what is wrong with another one is that one's own fate.
    let single = serde_json::from_slice::<Named>(body).ok();
    let first = || {
        let all: Vec<&serde_json::value::RawValue> = serde_json::from_slice(body).ok()?;
        serde_json::from_str::<Named>(all.first()?.get()).ok()
    };
    single.or_else(first)?.tenant
}

fn one<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<&'h str, Problem> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().and_then(|value| value.to_str().ok());
    match (value, values.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(Problem::new(
            Code::InvalidSignature,
            name,
            format!("the request does not have exactly one `{name}` header"),
            "sign the request as Standard Webhooks says: `webhook-id`, `webhook-timestamp`, `webhook-signature`",
        )),
    }
}
