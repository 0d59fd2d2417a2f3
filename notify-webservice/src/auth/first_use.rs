//! The first use of a token is recorded in the ledger: who got in, with which scopes, until when. Tokens are made
//! offline, so this is where the service learns of one.

use super::Caller;
use super::cache::TokenDigest;
use crate::app::{App, internal, store_problem};
use crate::documents::record;
use notify_core::ledger::entry::AccessEntry;
use notify_core::problem::Problem;
use notify_core::time::{Timestamp, rfc3339_millis};
use notify_store::{Commit, Effect};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Records the token unless that was done before (also by an earlier process), and remembers it.
///
/// # Errors
/// When the tenant does not exist or the ledger cannot be written: then nobody gets in.
pub async fn record_first_use(
    app: &App,
    caller: &Arc<Caller>,
    digest: TokenDigest,
    request: &str,
) -> Result<(), Problem> {
    let _one_at_a_time = app.authenticator.first_use.lock().await;
    let verified = &app.authenticator.verified;
    if verified.get(&digest).is_some() {
        return Ok(());
    }
    let failed = |error| store_problem(request, &error);
    let about = format!("token/{}", caller.actor.token);
    let known = app.store.ledger_entries_about(&caller.tenant, &about).await.map_err(failed)?;
    if known.is_empty() {
        let entropy = record::entropy().map_err(|error| internal(request, &error))?;
        let (actor, opening) = record::commit(&entropy, &about, "actor", record::actor_bytes(caller));
        let scopes: Vec<Value> = caller.scopes.iter().map(|scope| scope.as_str().into()).collect();
        let expires = Timestamp::from_second(caller.expires_at).unwrap_or(Timestamp::MAX);
        let mut details = Map::new();
        details.insert("scopes".into(), scopes.into());
        details.insert("expiresAt".into(), rfc3339_millis(expires).into());
        let entry = AccessEntry { act: "token-first-used".to_owned(), actor, details, about };
        let effects = vec![Effect::KeepOpening(opening)];
        let commit = Commit::new(caller.tenant.clone(), effects, vec![entry.into_draft()]);
        app.commit(commit).await.map_err(failed)?;
    }
    verified.put(digest, Arc::clone(caller), app.clock.now());
    Ok(())
}
