//! `notify tenant`: offline, on the home's store.

use crate::args::{Format, Global, TenantCommand};
use crate::failure::Failure;
use crate::home::{Home, SystemClock, random};
use crate::output;
use notify_core::ids::{TenantId, hex};
use notify_core::ledger::entry::Genesis;
use notify_core::problem::{Code, Problem};
use notify_core::time::{Clock, rfc3339_millis, truncate_to_millis};
use notify_store::{Commit, Effect, Refused, Store, StoreError};
use serde_json::{Value, json};

pub async fn run(global: &Global, command: TenantCommand) -> Result<(), Failure> {
    match command {
        TenantCommand::Create { id, name, home } => {
            let id = TenantId::new(id.as_str()).map_err(|error| Failure::usage(error.to_string(), ""))?;
            let store = Home::open(&home, vec![])?.open_store().await?;
            let made = create(&store, &id, name.as_deref().unwrap_or(id.as_str())).await;
            store.close().await;
            let made = made?;
            match global.output {
                Format::Table => output::say(&format!("tenant {id} created")),
                format => output::structured(format, &made),
            }
        }
        TenantCommand::List { home } => {
            let store = Home::open(&home, vec![])?.open_store().await?;
            let tenants = store.tenants().await;
            store.close().await;
            let tenants = tenants.map_err(|error| Failure::other(error.to_string(), ""))?;
            let rows: Vec<Value> = tenants
                .iter()
                .map(|tenant| {
                    json!({
                        "id": tenant.id.as_str(), "name": tenant.name, "log": tenant.opaque,
                        "createdAt": rfc3339_millis(tenant.created_at),
                    })
                })
                .collect();
            let columns = [("ID", "/id"), ("NAME", "/name"), ("LOG", "/log"), ("CREATED", "/createdAt")];
            output::list(
                global.output,
                &json!(rows),
                &rows,
                &columns,
                "No tenants; `notify tenant create` makes one.",
            );
        }
    }
    Ok(())
}

/// A tenant and the genesis of its ledger. The log's origin gets a random name, so that it does not tell the customer.
///
/// # Errors
/// `already-exists`, or the store's own.
pub async fn create(store: &Store, id: &TenantId, name: &str) -> Result<Value, Failure> {
    let opaque = hex(random()?.get(..8).unwrap_or_default());
    let created_at = truncate_to_millis(SystemClock.now());
    let effect = Effect::CreateTenant { name: name.to_owned(), opaque: opaque.clone(), created_at };
    let commit = Commit::new(id.clone(), vec![effect], vec![Genesis::default().into_draft()]);
    match store.commit(commit).await {
        Ok(_) => Ok(
            json!({ "id": id.as_str(), "name": name, "log": opaque, "createdAt": rfc3339_millis(created_at) }),
        ),
        Err(StoreError::Refused(Refused::TenantExists)) => Err(Problem::new(
            Code::AlreadyExists,
            "",
            format!("the tenant `{id}` exists"),
            "choose another id",
        )
        .into()),
        Err(error) => Err(Failure::other(error.to_string(), "")),
    }
}
