//! Making a plug-in folder that [`crate::load`] accepts: for `xtask`, the offline kit and tests.

use crate::manifest::{MANIFEST_FILE, Manifest, ManifestFault, SIGNATURE_FILE, platform};
use crate::trust;
use ed25519_dalek::SigningKey;
use notify_core::ids::hex;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// Why a plug-in could not be staged.
#[derive(Debug, thiserror::Error)]
pub enum StageFault {
    #[error("`{path}`: {error}")]
    Io { path: String, error: std::io::Error },
    #[error("the manifest template is not a JSON object: {0}")]
    Template(String),
    #[error(transparent)]
    Manifest(#[from] ManifestFault),
}

/// Copies the library to `<out_dir>/<name>/`, fills its name and hash into the template's `files` for this platform,
/// and signs the result. An existing folder's files are replaced, each by a rename. Returns the plug-in's folder.
///
/// # Errors
/// [`StageFault`].
pub fn stage_plugin(
    so_path: &Path,
    manifest_template: &[u8],
    key: &SigningKey,
    out_dir: &Path,
) -> Result<PathBuf, StageFault> {
    let library = std::fs::read(so_path).map_err(|error| io(so_path, error))?;
    let file_name = so_path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut value: serde_json::Value =
        serde_json::from_slice(manifest_template).map_err(|error| StageFault::Template(error.to_string()))?;
    let object = value.as_object_mut().ok_or_else(|| StageFault::Template("not an object".to_owned()))?;
    let files = object.entry("files").or_insert_with(|| serde_json::json!({}));
    if let Some(files) = files.as_object_mut() {
        let entry = serde_json::json!({ "name": file_name, "sha256": hex(&Sha256::digest(&library)) });
        files.insert(platform(), entry);
    }
    let mut manifest =
        serde_json::to_vec_pretty(&value).map_err(|error| StageFault::Template(error.to_string()))?;
    manifest.push(b'\n');
    let parsed = Manifest::parse(&manifest)?;

    let folder = out_dir.join(&parsed.name);
    std::fs::create_dir_all(&folder).map_err(|error| io(&folder, error))?;
    replace(&folder.join(&file_name), &library)?;
    replace(&folder.join(MANIFEST_FILE), &manifest)?;
    replace(&folder.join(SIGNATURE_FILE), trust::sign(&manifest, key).as_bytes())?;
    Ok(folder)
}

fn io(path: &Path, error: std::io::Error) -> StageFault {
    StageFault::Io { path: path.display().to_string(), error }
}

/// Never writes into an existing file: a process may have it mapped.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), StageFault> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    std::fs::write(&temporary, bytes).map_err(|error| io(&temporary, error))?;
    std::fs::rename(&temporary, path).map_err(|error| io(path, error))
}
