//! The compiled configuration of each tenant, replaced whole when it changes. Readers never wait for a change.

use notify_core::document::{Bundle, Channel, Kind, Rule, Template, Version};
use notify_core::ids::TenantId;
use notify_core::plan::{Broken, Snapshot};
use notify_core::problem::{Code, Problem};
use notify_store::model::{Configuration, Document};
use notify_store::{Store, StoreError};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// Snapshots by tenant, compiled when first needed.
pub struct Snapshots {
    store: Store,
    default_locale: String,
    compiled: RwLock<HashMap<TenantId, Arc<Snapshot>>>,
}

impl Snapshots {
    #[must_use]
    pub fn new(store: Store, default_locale: String) -> Self {
        Self { store, default_locale, compiled: RwLock::default() }
    }

    /// The snapshot in use; may be older than the store, which the plan commit's guard then refuses.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn get(&self, tenant: &TenantId) -> Result<Arc<Snapshot>, StoreError> {
        if let Some(found) = self.compiled.read().unwrap_or_else(PoisonError::into_inner).get(tenant) {
            return Ok(Arc::clone(found));
        }
        self.reload(tenant).await
    }

    /// The snapshot of what the store holds now: for people, who look at once at what they have just saved.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn current(&self, tenant: &TenantId) -> Result<Arc<Snapshot>, StoreError> {
        let version = self.store.config_version(tenant).await?;
        let found = self.get(tenant).await?;
        if found.config_version < version { self.reload(tenant).await } else { Ok(found) }
    }

    /// Compiles what the store holds now and puts it in place.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn reload(&self, tenant: &TenantId) -> Result<Arc<Snapshot>, StoreError> {
        let configuration = self.store.configuration(tenant).await?;
        let (snapshot, broken) = compile(tenant, &configuration, &self.default_locale);
        for Broken { kind, id, problem } in broken {
            tracing::error!(tenant = %tenant, kind = kind.as_str(), id, %problem, "a stored document cannot be used");
        }
        let snapshot = Arc::new(snapshot);
        let mut compiled = self.compiled.write().unwrap_or_else(PoisonError::into_inner);
        // Two reloads may race; the older result must not win.
        let newer = compiled.get(tenant).filter(|current| current.config_version > snapshot.config_version);
        let winner = newer.map_or(snapshot, Arc::clone);
        compiled.insert(tenant.clone(), Arc::clone(&winner));
        Ok(winner)
    }

    #[must_use]
    pub fn default_locale(&self) -> &str {
        &self.default_locale
    }
}

/// Compiles a tenant's current documents.
#[must_use]
pub fn compile(
    tenant: &TenantId,
    configuration: &Configuration,
    default_locale: &str,
) -> (Snapshot, Vec<Broken>) {
    let mut unreadable = Vec::new();
    let rules = typed::<Rule>(&configuration.documents, Kind::Rule, &mut unreadable);
    let (snapshot, mut broken) = compile_with_rules(tenant, configuration, default_locale, rules);
    broken.append(&mut unreadable);
    (snapshot, broken)
}

/// The same with these rules in place of the stored ones.
#[must_use]
pub fn compile_with_rules(
    tenant: &TenantId,
    configuration: &Configuration,
    default_locale: &str,
    rules: Vec<Version<Rule>>,
) -> (Snapshot, Vec<Broken>) {
    let mut unreadable = Vec::new();
    let documents = &configuration.documents;
    let channels = typed::<Channel>(documents, Kind::Channel, &mut unreadable);
    let templates = typed::<Template>(documents, Kind::Template, &mut unreadable);
    let bundles = typed::<Bundle>(documents, Kind::Bundle, &mut unreadable);
    let (snapshot, mut broken) = Snapshot::compile(
        tenant.clone(),
        configuration.version,
        default_locale,
        rules,
        channels,
        &templates,
        &bundles,
    );
    broken.append(&mut unreadable);
    (snapshot, broken)
}

fn typed<T: DeserializeOwned>(
    documents: &[Document],
    kind: Kind,
    broken: &mut Vec<Broken>,
) -> Vec<Version<T>> {
    let mut found = Vec::new();
    for document in documents.iter().filter(|d| d.kind == kind && !d.deleted) {
        match serde_json::from_str(&document.body) {
            Ok(body) => found.push(Version {
                version: document.version,
                digest: document.digest.clone(),
                document: body,
            }),
            Err(error) => broken.push(Broken {
                kind,
                id: document.id.clone(),
                problem: Problem::new(Code::Internal, "", error.to_string(), "save the document again"),
            }),
        }
    }
    found
}
