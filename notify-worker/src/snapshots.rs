//! The compiled configuration of each tenant. A change costs what it changes, and readers never wait for one.

use notify_core::document::{Bundle, Channel, Kind, Rule, Template, Version};
use notify_core::ids::{ChannelId, RuleId, TenantId};
use notify_core::noise::config::NoiseDocuments;
use notify_core::plan::{Broken, Changes, Documents, Snapshot};
use notify_core::problem::{Code, Problem};
use notify_store::model::{Configuration, ConfigurationChanges, Document};
use notify_store::{Store, StoreError};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// More documents than this are compiled on a thread that nobody else needs.
const FEW: usize = 32;
/// As are more bytes than this of them.
const SMALL: usize = 64 * 1024;

/// Snapshots by tenant, compiled when first needed. Clones share them.
#[derive(Clone)]
pub struct Snapshots {
    store: Store,
    default_locale: Arc<str>,
    tenants: Arc<RwLock<HashMap<TenantId, Arc<Place>>>>,
}

/// What is known of one tenant.
#[derive(Default)]
struct Place {
    current: RwLock<Option<Arc<Snapshot>>>,
    /// Held by whoever makes the next snapshot: each is made from the one before.
    renewing: tokio::sync::Mutex<()>,
    folding: AtomicBool,
}

impl Place {
    fn current(&self) -> Option<Arc<Snapshot>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// For the holder of `renewing`.
    fn put(&self, snapshot: Arc<Snapshot>) {
        let before = self.current.write().unwrap_or_else(PoisonError::into_inner).replace(snapshot);
        // Freeing 100,000 rules takes a while: not under the lock, nor on a thread that everybody needs.
        if before.as_ref().is_some_and(|before| Arc::strong_count(before) == 1) {
            drop(tokio::task::spawn_blocking(move || drop(before)));
        }
    }
}

impl Snapshots {
    #[must_use]
    pub fn new(store: Store, default_locale: String) -> Self {
        Self { store, default_locale: default_locale.into(), tenants: Arc::default() }
    }

    fn place(&self, tenant: &TenantId) -> Arc<Place> {
        if let Some(place) = self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(tenant) {
            return Arc::clone(place);
        }
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(tenants.entry(tenant.clone()).or_default())
    }

    /// The snapshot in use; may be older than the store, which the plan commit's guard then refuses.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn get(&self, tenant: &TenantId) -> Result<Arc<Snapshot>, StoreError> {
        let place = self.place(tenant);
        if let Some(found) = place.current() {
            return Ok(found);
        }
        let _one = place.renewing.lock().await;
        // Many ask at start; the first of them compiles for all.
        match place.current() {
            Some(found) => Ok(found),
            None => self.renew(tenant, &place).await,
        }
    }

    /// Takes over what has changed in the store, and puts it in place.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn reload(&self, tenant: &TenantId) -> Result<Arc<Snapshot>, StoreError> {
        let place = self.place(tenant);
        let _one = place.renewing.lock().await;
        self.renew(tenant, &place).await
    }

    async fn renew(&self, tenant: &TenantId, place: &Arc<Place>) -> Result<Arc<Snapshot>, StoreError> {
        let renewed = self.newest(tenant, place.current()).await?;
        place.put(Arc::clone(&renewed));
        if renewed.wants_folding() && !place.folding.swap(true, Ordering::AcqRel) {
            tokio::spawn(self.clone().fold(tenant.clone(), Arc::clone(place), Arc::clone(&renewed)));
        }
        Ok(renewed)
    }

    /// What the store holds now, made from `known` where that is possible.
    async fn newest(
        &self,
        tenant: &TenantId,
        known: Option<Arc<Snapshot>>,
    ) -> Result<Arc<Snapshot>, StoreError> {
        if let Some(known) = known
            && let Some(since) = self.store.configuration_since(tenant, known.config_version).await?
        {
            if since.changed.is_empty() {
                return Ok(known);
            }
            let bytes: usize = since.changed.iter().map(|document| document.body.len()).sum();
            if since.changed.len() <= FEW && bytes <= SMALL && since.texts.is_none() && since.noise.is_none()
            {
                return Ok(report(change(&known, since)));
            }
            return off_the_runtime(move || change(&known, since)).await;
        }
        let configuration = self.store.configuration(tenant).await?;
        let (tenant, locale) = (tenant.clone(), Arc::clone(&self.default_locale));
        off_the_runtime(move || compile(&tenant, configuration, &locale)).await
    }

    /// Builds the set of rules anew as a whole, and puts it in place with what has changed meanwhile.
    async fn fold(self, tenant: TenantId, place: Arc<Place>, from: Arc<Snapshot>) {
        let folded = off_the_runtime(move || (from.folded(), Vec::new())).await;
        let _one = place.renewing.lock().await;
        let folded = match folded {
            Ok(folded) => self.newest(&tenant, Some(folded)).await,
            Err(error) => Err(error),
        };
        match folded {
            Ok(folded) => place.put(folded),
            // The one in place is right, only slower.
            Err(error) => tracing::warn!(tenant = %tenant, %error, "the rules could not be folded"),
        }
        place.folding.store(false, Ordering::Release);
    }

    #[must_use]
    pub fn default_locale(&self) -> &str {
        &self.default_locale
    }
}

type Compiled = (Snapshot, Vec<Broken>);

fn report((snapshot, broken): Compiled) -> Arc<Snapshot> {
    for Broken { kind, id, problem } in broken {
        tracing::error!(tenant = %snapshot.tenant, kind = kind.as_str(), id, %problem, "a stored document cannot be used");
    }
    Arc::new(snapshot)
}

async fn off_the_runtime(
    work: impl FnOnce() -> Compiled + Send + 'static,
) -> Result<Arc<Snapshot>, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    // It ends badly only on a fault of ours, or when the runtime is shut down under it.
    done.map(report)
        .map_err(|error| StoreError::Corrupt(format!("the configuration cannot be compiled: {error}")))
}

/// Compiles a tenant's current documents.
#[must_use]
pub fn compile(tenant: &TenantId, configuration: Configuration, default_locale: &str) -> Compiled {
    let mut unreadable = Vec::new();
    let mut documents = Documents::default();
    // One by one: the text of each is dropped before the next one is read.
    for document in configuration.documents.into_iter().filter(|document| !document.deleted) {
        match document.kind {
            Kind::Rule => documents.rules.extend(typed::<Rule>(document, &mut unreadable)),
            Kind::Channel => documents.channels.extend(typed::<Channel>(document, &mut unreadable)),
            Kind::Template => documents.texts.0.extend(typed::<Template>(document, &mut unreadable)),
            Kind::Bundle => documents.texts.1.extend(typed::<Bundle>(document, &mut unreadable)),
            Kind::EventType => {}
            _ => noise(document, &mut documents.noise, &mut unreadable),
        }
    }
    let (snapshot, mut broken) =
        Snapshot::compile(tenant.clone(), configuration.version, default_locale, documents);
    broken.append(&mut unreadable);
    (snapshot, broken)
}

/// A document of noise control.
fn noise(document: Document, all: &mut NoiseDocuments, unreadable: &mut Vec<Broken>) {
    match document.kind {
        Kind::Calendar => all.calendars.extend(typed(document, unreadable)),
        Kind::Contact => all.contacts.extend(typed(document, unreadable)),
        Kind::Silence => all.silences.extend(typed(document, unreadable)),
        Kind::Inhibition => all.inhibitions.extend(typed(document, unreadable)),
        Kind::Override => all.overrides.extend(typed(document, unreadable)),
        Kind::Policy => all.policies.extend(typed(document, unreadable)),
        _ => {}
    }
}

/// The snapshot after what has changed since. A document that cannot be read is as good as gone, and reported.
fn change(known: &Snapshot, since: ConfigurationChanges) -> Compiled {
    let mut unreadable = Vec::new();
    let mut changes = Changes { config_version: since.version, ..Changes::default() };
    for document in since.changed {
        match document.kind {
            Kind::Rule => {
                let Ok(id) = RuleId::new(document.id.as_str()) else { continue };
                changes.rules.push((id, current(document, &mut unreadable)));
            }
            Kind::Channel => {
                let Ok(id) = ChannelId::new(document.id.as_str()) else { continue };
                changes.channels.push((id, current(document, &mut unreadable)));
            }
            _ => {}
        }
    }
    changes.texts = since.texts.map(|texts| {
        let (mut templates, mut bundles) = (Vec::new(), Vec::new());
        for document in texts {
            match document.kind {
                Kind::Template => templates.extend(typed::<Template>(document, &mut unreadable)),
                _ => bundles.extend(typed::<Bundle>(document, &mut unreadable)),
            }
        }
        (templates, bundles)
    });
    changes.noise = since.noise.map(|documents| {
        let mut all = NoiseDocuments::default();
        documents.into_iter().for_each(|document| noise(document, &mut all, &mut unreadable));
        all
    });
    let (snapshot, mut broken) = known.changed(changes);
    broken.append(&mut unreadable);
    (snapshot, broken)
}

fn current<T: DeserializeOwned>(document: Document, broken: &mut Vec<Broken>) -> Option<Version<T>> {
    if document.deleted { None } else { typed(document, broken) }
}

fn typed<T: DeserializeOwned>(document: Document, broken: &mut Vec<Broken>) -> Option<Version<T>> {
    match serde_json::from_str(&document.body) {
        Ok(body) => Some(Version { version: document.version, digest: document.digest, document: body }),
        Err(error) => {
            broken.push(Broken {
                kind: document.kind,
                id: document.id,
                problem: Problem::new(Code::Internal, "", error.to_string(), "save the document again"),
            });
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify_core::document::parse_any;
    use notify_core::ledger::entry::Genesis;
    use notify_core::ledger::{EntryDraft, EntryKind};
    use notify_core::time::Timestamp;
    use notify_store::{Backend, Commit, Effect, OpenOptions};
    use serde_json::json;

    async fn put(store: &Store, tenant: &TenantId, first: bool, id: &str, r#type: &str) {
        let rule = json!({
            "schema": "notify-rule@1", "id": id, "name": id, "match": { "type": [r#type] },
            "actions": [{ "id": "a", "channel": "c" }],
        });
        let (_, body, digest) = parse_any(Kind::Rule, &rule).unwrap();
        let at = Timestamp::UNIX_EPOCH;
        let create = Effect::CreateTenant { name: String::new(), opaque: tenant.to_string(), created_at: at };
        let put = Effect::PutDocument { kind: Kind::Rule, id: id.to_owned(), digest, body, at };
        let (effects, entry) = if first {
            (vec![create, put], Genesis::default().into_draft())
        } else {
            let subject = vec![("rule".to_owned(), "ab".repeat(32))];
            let (kind, about) = (EntryKind::Config, format!("rule/{id}"));
            (vec![put], EntryDraft { kind, subject, predicate: serde_json::Map::new(), about })
        };
        let commit = Commit::new(tenant.clone(), effects, vec![entry]);
        store.commit(commit).await.unwrap();
    }

    /// `id@version` of the rules, and the configuration's version.
    fn shown(snapshot: &Snapshot) -> (Vec<String>, u64) {
        let rules = snapshot.rules().map(|(rule, _)| format!("{}@{}", rule.rule.id, rule.version));
        (rules.collect(), snapshot.config_version)
    }

    /// A fold works on the snapshot that it began with. What others put in place meanwhile, and what nobody has taken over
    /// yet, is in what it leaves.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_fold_loses_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(OpenOptions {
            backend: Backend::Sqlite { file: folder.path().join("notify.db") },
            site: "test.example".into(),
            log_seed: [7; 32],
            read_connections: 2,
        })
        .await
        .unwrap();
        let tenant = TenantId::new("acme").unwrap();
        let snapshots = Snapshots::new(store.clone(), "en".to_owned());
        put(&store, &tenant, true, "a", "x").await;
        let begun_with = snapshots.get(&tenant).await.unwrap();
        let place = snapshots.place(&tenant);
        for (taken_over, not_yet, expected) in [
            (None, None, (vec!["a@1"], 1)),
            (Some("b"), None, (vec!["a@1", "b@1"], 2)),
            (Some("a"), Some("c"), (vec!["a@2", "b@1", "c@1"], 4)),
        ] {
            if let Some(id) = taken_over {
                put(&store, &tenant, false, id, "y").await;
                snapshots.reload(&tenant).await.unwrap();
            }
            if let Some(id) = not_yet {
                put(&store, &tenant, false, id, "y").await;
            }
            let before = place.current().unwrap();
            snapshots.clone().fold(tenant.clone(), Arc::clone(&place), Arc::clone(&begun_with)).await;
            let folded = snapshots.get(&tenant).await.unwrap();
            assert!(!Arc::ptr_eq(&before, &folded), "the folded one is in place");
            let (rules, version) = shown(&folded);
            assert_eq!((rules.iter().map(String::as_str).collect::<Vec<_>>(), version), expected);
            assert!(!place.folding.load(Ordering::Acquire), "the next one may begin");
        }
    }
}
