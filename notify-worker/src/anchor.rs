//! The last checkpoint of each log, kept outside the database.
//!
//! A database restored from an old backup would go on from an old head and sign a second history. The anchor notices:
//! it may lag behind the database, never lead it.

use crate::clock::wait;
use crate::worker::Shared;
use notify_core::ids::TenantId;
use notify_core::ledger::checkpoint::Checkpoint;
use notify_core::ledger::note::Note;
use notify_core::ledger::proof::prefix_nodes;
use notify_core::ledger::tree::{CompactRange, Hash};
use notify_store::model::Tenant;
use notify_store::{Store, StoreError};
use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Why the studio refuses to go on.
#[derive(Debug, thiserror::Error)]
pub enum AnchorFault {
    #[error(
        "the ledger of tenant `{tenant}` has {have} entries, but {anchored} were published: this database is older than \
         its ledger. Restore a newer backup; to go on with this one, remove the anchor {file} and keep it for the auditors"
    )]
    Behind { tenant: TenantId, have: u64, anchored: u64, file: PathBuf },
    #[error(
        "the ledger of tenant `{tenant}` is not the one whose checkpoint of size {anchored} was published ({file}): \
         two histories exist. Restore the database that belongs to it"
    )]
    Forked { tenant: TenantId, anchored: u64, file: PathBuf },
    #[error(
        "the anchor {file} belongs to a tenant that this database does not have: the database is not the one that \
         published it. Restore the right one; if the tenant was really removed, keep its anchor for the auditors elsewhere"
    )]
    Unknown { file: PathBuf },
    #[error("the anchor {file} cannot be read: {reason}")]
    Unreadable { file: PathBuf, reason: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How far an anchor may lag.
const EVERY: Duration = Duration::from_secs(2);

/// Compares every anchor with the database. Call it before anything is appended.
///
/// # Errors
/// [`AnchorFault`]: the studio must not start.
pub async fn check(store: &Store, folder: &Path) -> Result<(), AnchorFault> {
    let tenants = store.tenants().await?;
    let mut entries = match tokio::fs::read_dir(folder).await {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(AnchorFault::Unreadable { file: folder.to_owned(), reason: error.to_string() });
        }
    };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let file = entry.path();
        let known = |tenant: &Tenant| anchor_file(folder, tenant) == file;
        if file.extension().is_some_and(|extension| extension == "checkpoint") && !tenants.iter().any(known) {
            return Err(AnchorFault::Unknown { file });
        }
    }
    for tenant in tenants {
        let file = anchor_file(folder, &tenant);
        let unreadable = |reason: String| AnchorFault::Unreadable { file: file.clone(), reason };
        let bytes = match tokio::fs::read(&file).await {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(error.to_string())),
        };
        let note = Note::parse(&bytes).map_err(|fault| unreadable(fault.to_string()))?;
        let anchor = Checkpoint::parse(&note.text).map_err(|fault| unreadable(fault.to_string()))?;
        let have = store.ledger_head(&tenant.id).await?.map_or(0, |head| head.size);
        let tenant_id = tenant.id.clone();
        if have < anchor.size {
            return Err(AnchorFault::Behind { tenant: tenant_id, have, anchored: anchor.size, file });
        }
        if root_at(store, &tenant.id, anchor.size).await? != Some(anchor.root) {
            return Err(AnchorFault::Forked { tenant: tenant_id, anchored: anchor.size, file });
        }
    }
    Ok(())
}

async fn root_at(store: &Store, tenant: &TenantId, size: u64) -> Result<Option<Hash>, StoreError> {
    let nodes: Vec<(u8, u64)> = prefix_nodes(size);
    let hashes = store.ledger_nodes(tenant, &nodes).await?.into_iter().map(Hash).collect();
    Ok(CompactRange::from_hashes(size, hashes).ok().map(|range| range.root()))
}

/// The last word of a clean stop, when nothing is appended any more.
pub(crate) async fn write_all(store: &Store, folder: &Path) {
    if let Err(error) = write_moved(store, folder, &mut HashMap::new()).await {
        tracing::error!(%error, "the ledger anchors could not be written");
    }
}

/// Keeps the anchors up to date until a clean stop begins.
pub(crate) async fn run(shared: Arc<Shared>, folder: PathBuf) {
    let mut written: HashMap<TenantId, u64> = HashMap::new();
    let mut stopping = shared.stopping.clone();
    loop {
        if let Err(error) = write_moved(&shared.store, &folder, &mut written).await {
            tracing::error!(%error, "the ledger anchors could not be written");
        }
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = wait(EVERY) => {}
        }
    }
}

async fn write_moved(
    store: &Store,
    folder: &Path,
    written: &mut HashMap<TenantId, u64>,
) -> Result<(), String> {
    for tenant in store.tenants().await.map_err(|error| error.to_string())? {
        let head = store.ledger_head(&tenant.id).await.map_err(|error| error.to_string())?;
        let Some(head) = head.filter(|head| written.get(&tenant.id) != Some(&head.size)) else { continue };
        let (file, text) = (anchor_file(folder, &tenant), head.checkpoint);
        let done = tokio::task::spawn_blocking(move || replace(&file, text.as_bytes())).await;
        done.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        written.insert(tenant.id, head.size);
    }
    Ok(())
}

/// Writes beside the file and renames: a reader sees the old bytes or the new ones.
fn replace(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let beside = file.with_extension("new");
    let mut new = std::fs::File::create(&beside)?;
    new.write_all(bytes)?;
    new.sync_all()?;
    std::fs::rename(&beside, file)
}

fn anchor_file(folder: &Path, tenant: &Tenant) -> PathBuf {
    folder.join(format!("{}.checkpoint", tenant.opaque))
}
